-- which states and ways a set of dry runs comes to
\set VERBOSITY default
\pset format unaligned
\pset null '-'
\set order '{"StartAt": "Much", "States": {"Much": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericGreaterThan": 100, "Next": "Pay"}, {"Variable": "$.n", "NumericLessThan": 0, "Next": "No"}, {"Variable": "$.n", "NumericEquals": 50, "Next": "Pay"}], "Default": "Pay"}, "Pay": {"Type": "Task", "Resource": "sql:app.pay", "ResultPath": null, "Compensate": "Refund", "Retry": [{"ErrorEquals": ["Busy"], "MaxAttempts": 1}, {"ErrorEquals": ["Never"]}], "Catch": [{"ErrorEquals": ["Busy"], "Next": "No"}, {"ErrorEquals": ["States.ALL"], "Next": "No"}], "Next": "Ship"}, "Refund": {"Type": "Task", "Resource": "sql:app.refund"}, "Ship": {"Type": "Parallel", "Branches": [{"StartAt": "Parcel", "States": {"Parcel": {"Type": "Task", "Resource": "sql:app.ship", "End": true}}}, {"StartAt": "Tell", "States": {"Tell": {"Type": "Map", "ItemsPath": "$.who", "ItemProcessor": {"StartAt": "Mail", "States": {"Mail": {"Type": "Pass", "End": true}}}, "End": true}}}], "Next": "Done"}, "Done": {"Type": "Succeed"}, "No": {"Type": "Fail", "Error": "No"}}}'
-- nothing
SELECT * FROM saga.simulate_coverage(:'order', '{}') WHERE kind = 'State' AND hits = 0;
-- one of each
CREATE TEMP TABLE run (name text, run jsonb, status text);
INSERT INTO run VALUES
	('all is well', '{"input": {"n": 200, "who": [1, 2, 3]}, "responses": {"Pay": {"output": 1}, "Parcel": {"output": 1}}}', 'SUCCEEDED'),
	('busy, once', '{"input": {"n": 50, "who": []}, "responses": {"Pay": [{"error": "Busy"}, {"output": 1}], "Parcel": {"output": 1}}, "options": {"freeze": true}}', 'SUCCEEDED'),
	('busy, twice', '{"input": {"n": 7, "who": [1]}, "responses": {"Pay": {"error": "Busy"}}}', 'FAILED'),
	('refunded', '{"input": {"n": 8, "who": [1]}, "responses": {"Pay": {"output": 1}, "Parcel": {"error": "Lost"}, "Refund": "echo"}, "options": {"type": "EXPRESS"}}', 'FAILED'),
	('no answer', '{"input": {"n": 9, "who": [1]}}', 'RUNNING');
SELECT name, saga.simulate(:'order', run -> 'input', coalesce(run -> 'responses', '{}'), coalesce(run -> 'options', '{}')) ->> 'status' = status AS right FROM run;
SELECT c.* FROM (SELECT array_agg(run) AS runs FROM run) r, saga.simulate_coverage(:'order', runs) c;
-- what is left to be tested
SELECT location FROM (SELECT array_agg(run) AS runs FROM run) r, saga.simulate_coverage(:'order', runs) WHERE hits = 0;
-- a choice is taken where its way out fails; a retrier only as often as there is another attempt; a catcher that fails is none
SELECT location, hits FROM saga.simulate_coverage('{"StartAt": "C", "States": {"C": {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsPresent": true, "Next": "T"}], "Default": "T", "OutputPath": "$.a"}, "T": {"Type": "Task", "Resource": "sql:app.t", "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 2}], "Catch": [{"ErrorEquals": ["E"], "ResultPath": "$.a.b[0]", "Next": "F"}], "End": true}, "F": {"Type": "Succeed"}}}',
	ARRAY['{}', '{"input": {"a": 1}, "responses": {"T": {"error": "E"}}}']::jsonb[]);
-- waits, heartbeats and a stop
SELECT location, hits FROM saga.simulate_coverage('{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "Next": "T"}, "T": {"Type": "Task", "Resource": "sql:app.t.waitForTaskToken", "TimeoutSeconds": 10, "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "End/"}], "End": true}, "End/": {"Type": "Pass", "End": true}}}',
	ARRAY['{"options": {"stop": {"after": 30}}}', '{"responses": {"T": {"after": 60, "output": 1}}}']::jsonb[]);
-- what is wrong with the call
SELECT * FROM saga.simulate_coverage('{"StartAt": "X", "States": {}}', '{}');
SELECT * FROM saga.simulate_coverage(:'order', ARRAY['{}', '{"inputs": 1}']::jsonb[]);
SELECT * FROM saga.simulate_coverage(:'order', ARRAY['[]']::jsonb[]);
SELECT * FROM saga.simulate_coverage(:'order', ARRAY['{}', NULL]::jsonb[]);
SELECT * FROM saga.simulate_coverage(:'order', ARRAY['{}', '{}', '{"responses": 1}']::jsonb[]);
SELECT * FROM saga.simulate_coverage(:'order', ARRAY['{"input": {"n": 1}, "responses": {"Pay": 7}}']::jsonb[]);
SELECT count(*) FROM saga.simulate_coverage(NULL, '{}');
