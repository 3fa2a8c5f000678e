SELECT pg_temp.covers('reminder', '[
	{"name": "paid at once", "responses": {"Look": {"output": true}}, "ends": {"status": "SUCCEEDED", "output": {"paid": true}}},
	{"name": "paid after one", "responses": {"Look": [{"output": false}, {"output": true}], "Remind": "echo"}, "ends": {"status": "SUCCEEDED"}},
	{"name": "never paid", "responses": {"Look": {"output": false}, "Remind": "echo"}, "ends": {"status": "FAILED", "error": "NotPaid"}}
]');

-- How often it was, is a variable.
SELECT pg_temp."is"('after the third reminder',
	saga.test_state(pg_temp.definition('reminder'), '{"paid": false}', 'Paid?', variables => '{"reminders": 3}') -> 'nextState', '"GiveUp"');
