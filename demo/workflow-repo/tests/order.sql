-- Whole runs. What each state comes to is said by its name; a list is for one call after the other.
SELECT pg_temp.covers('order', '[
	{"name": "paid and shipped", "input": {"amount": 80}, "responses": {"Pay": {"output": {"paid": 80}}, "Ship": {"output": {"number": "P-1"}}},
		"ends": {"status": "SUCCEEDED", "output": {"number": "P-1"}}},
	{"name": "busy at first", "input": {"amount": 80}, "responses": {"Pay": [{"error": "Busy"}, {"output": 1}], "Ship": {"output": 1}},
		"ends": {"status": "SUCCEEDED", "output": 1}},
	{"name": "no money", "input": {"amount": 80}, "responses": {"Pay": {"error": "NoMoney"}},
		"ends": {"status": "SUCCEEDED", "output": {"refused": "NoMoney"}}},
	{"name": "approved", "input": {"amount": 2000}, "responses": {"AskManager": {"after": 3600, "output": true}, "Pay": "echo", "Ship": {"output": 1}},
		"ends": {"status": "SUCCEEDED", "output": 1}},
	{"name": "nobody answers", "input": {"amount": 2000}, "responses": {"AskManager": "none"},
		"ends": {"status": "SUCCEEDED", "output": {"refused": "States.Timeout"}}},
	{"name": "not shipped", "input": {"amount": 80}, "responses": {"Pay": {"output": 1}, "Ship": {"error": "OutOfStock"}, "Refund": "echo"},
		"ends": {"status": "FAILED", "error": "OutOfStock", "compensated": ["Pay"]}}
]');

-- One state: the third attempt is the last one, and it waits 8 seconds.
SELECT pg_temp."is"('the last attempt of Pay',
	saga.test_state(pg_temp.definition('order'), '{"amount": 80}', 'Pay', '{"errorOutput": {"error": "Busy", "cause": ""}}',
		options => '{"inspectionLevel": "DEBUG", "stateConfiguration": {"retrierRetryCount": 2}}') #> '{inspectionData,errorDetails}',
	'{"retryIndex": 0, "retryBackoffIntervalSeconds": 8}');
SELECT pg_temp."is"('Pay, when it is busy for the fourth time',
	saga.test_state(pg_temp.definition('order'), '{"amount": 80}', 'Pay', '{"errorOutput": {"error": "Busy", "cause": ""}}',
		options => '{"stateConfiguration": {"retrierRetryCount": 3}}') -> 'status', '"FAILED"');
