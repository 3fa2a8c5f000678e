-- The language: what saga.validate() finds, and runs through saga.simulate(). Values, paths and
-- functions have their own test (asl_value).
SET timezone = 'UTC';

-- A machine of the states in an object, from the first that is named.
CREATE FUNCTION pg_temp.machine(start text, states jsonb, more jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE sql AS $$ SELECT jsonb_build_object('StartAt', start, 'States', states) || more $$;

CREATE FUNCTION pg_temp.faults(definition jsonb) RETURNS TABLE(code text, location text, message text)
LANGUAGE sql AS $$ SELECT code, location, message FROM saga.validate(definition) $$;

-- One state that ends, with more members.
CREATE FUNCTION pg_temp.one(type text, more jsonb) RETURNS jsonb
LANGUAGE sql AS $$ SELECT pg_temp.machine('A', jsonb_build_object('A', jsonb_build_object('Type', type) || more)) $$;

-- A run as a few lines: seconds since the start, event, and what is worth seeing of its details.
-- Each run is made twice: as it is, and frozen and thawed at each pause, with the same result.
CREATE FUNCTION pg_temp.run(definition jsonb, input jsonb DEFAULT '{}', responses jsonb DEFAULT '{}',
	options jsonb DEFAULT '{}', OUT at int, OUT event text, OUT details text) RETURNS SETOF record
LANGUAGE plpgsql AS $$
DECLARE
	r jsonb;
	frozen jsonb;
	e jsonb;
BEGIN
	options := '{"start_time": "2026-01-01T00:00:00Z"}' || options;
	r := saga.simulate(definition, input, responses, options);
	frozen := saga.simulate(definition, input, responses, options || '{"freeze": true}');
	FOR e IN SELECT * FROM jsonb_array_elements(r->'events') LOOP
		at := extract(epoch FROM (e->>'timestamp')::timestamptz - '2026-01-01 00:00:00+00');
		event := e->>'type';
		details := concat_ws(' ', e->'details'->>'name', e->'details'->>'handler',
			e->'details'->>'parameters', e->'details'->>'output', e->'details'->>'error');
		RETURN NEXT;
	END LOOP;
	at := NULL;
	event := r->>'status';
	details := (r - 'events' - 'status')::text;
	RETURN NEXT;
	IF frozen <> r THEN
		event := 'differs when frozen';
		details := (frozen - 'events')::text;
		RETURN NEXT;
	END IF;
END $$;

-- The result alone.
CREATE FUNCTION pg_temp.result(definition jsonb, input jsonb DEFAULT '{}', responses jsonb DEFAULT '{}',
	options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE sql AS $$
	SELECT saga.simulate(definition, input, responses, '{"start_time": "2026-01-01T00:00:00Z"}' || options) - 'events'
$$;

--
-- definitions
--
SELECT * FROM saga.validate('{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}, "Comment": "x", "Version": "1.0", "TimeoutSeconds": 5}');
SELECT * FROM pg_temp.faults('[]');
SELECT * FROM pg_temp.faults('"A"');
SELECT * FROM pg_temp.faults('{}');
SELECT * FROM pg_temp.faults('{"StartAt": 1, "States": []}');
SELECT * FROM pg_temp.faults('{"StartAt": "A", "States": {}}');
SELECT * FROM pg_temp.faults('{"StartAt": "B", "States": {"A": {"Type": "Succeed"}}}');
SELECT * FROM pg_temp.faults('{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}, "Comment": 1, "Version": "2", "QueryLanguage": "X", "TimeoutSeconds": 1.5, "Other": 1}');
SELECT * FROM pg_temp.faults('{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}, "TimeoutSeconds": 1e200}');
SELECT * FROM pg_temp.faults('{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}, "QueryLanguage": "JSONata"}');
SELECT * FROM pg_temp.faults('{"StartAt": "A", "States": {"A": 1}}');
SELECT * FROM pg_temp.faults('{"StartAt": "A", "States": {"A": {}}}');
SELECT * FROM pg_temp.faults(pg_temp.one('Job', '{}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Map', '{}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Pass', '{"QueryLanguage": "JSONata", "Output": 1}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Pass', '{}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Pass', '{"End": true, "Next": "A"}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Pass', '{"End": "yes"}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Pass', '{"Next": "a/b~c"}'));
SELECT * FROM pg_temp.faults(pg_temp.machine('a/b~c', '{"a/b~c": {"Type": "Pass", "Next": 1}}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Pass', '{"End": true, "Seconds": 1, "Retry": [], "InputPath": "a", "OutputPath": 1, "ResultPath": "$.a[*]", "Parameters": {"a.$": "b", "c": {"d.$": "States.Nothing()"}}, "Assign": []}'));
SELECT * FROM pg_temp.faults(pg_temp.machine('A', '{"A": {"Type": "Succeed"}, "B": {"Type": "Fail"}}'));
SELECT * FROM pg_temp.faults(pg_temp.machine(repeat('n', 81), jsonb_build_object(repeat('n', 81), '{"Type": "Succeed"}'::jsonb)));

SELECT * FROM pg_temp.faults(pg_temp.one('Task', '{"End": true}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Task', '{"End": true, "Resource": "whatever"}'));
SELECT resource, (SELECT count(*) FROM saga.validate(pg_temp.one('Task', jsonb_build_object('End', true, 'Resource', resource)))) AS faults
FROM unnest('{sql:a.b,sql:a,sql:a.,sql:.b,sql:a.b.waitForTaskToken,sql:a.b.sync,saga:publish,saga:other,
	arn:aws:states:::http:invoke,arn:aws:states:::sns:publish,arn:aws:states:::sns:subscribe,
	arn:aws:states:::sqs:sendMessage.waitForTaskToken,arn:aws:states:::states:startExecution.sync:2,
	arn:aws:states:::aws-sdk:s3:putObject,arn:aws:states:::,arn:aws:states:::x,
	arn:aws:lambda:us-east-1:111111111111:function:f,arn:aws:states:us-east-1:111111111111:activity:a,
	arn:aws:states:us-east-1:111111111111:activity:,arn:a}'::text[]) resource;
SELECT * FROM pg_temp.faults(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b", "TimeoutSeconds": 0, "TimeoutSecondsPath": "$.a", "HeartbeatSeconds": 1.5, "Credentials": {}}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b", "TimeoutSeconds": 5, "HeartbeatSeconds": 5}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b", "Retry": [{}, 1, {"ErrorEquals": []}, {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 0}, {"ErrorEquals": ["a", 1, "States.ALL"], "MaxAttempts": -1, "BackoffRate": 0.5, "JitterStrategy": "HALF", "MaxDelaySeconds": 1, "x": 1}]}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b", "Catch": [1, {}, {"ErrorEquals": ["a"], "Next": "B", "ResultPath": "$$.a", "Assign": 1}]}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Choice', '{}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Choice', '{"Choices": []}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Choice', '{"Default": "B", "Choices": [1, {"Variable": "$.a", "IsNull": true}, {"Variable": "$.a", "Next": "A"}]}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Wait', '{"End": true}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Wait', '{"End": true, "Seconds": -1, "Timestamp": "2026-02-30T00:00:00Z"}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Fail', '{"Error": 1, "ErrorPath": "$.a", "CausePath": "States.Format(", "Next": "A"}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Parallel', '{"End": true}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Parallel', '{"End": true, "Branches": []}'));
SELECT * FROM pg_temp.faults(pg_temp.one('Parallel', '{"End": true, "Branches": [1, {}, {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}, "Name": 1}]}'));
SELECT code, location, message FROM saga.validate(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b.waitForTaskToken"}'), 'EXPRESS');
SELECT * FROM saga.validate('{}', 'OTHER');

-- compensation
SELECT * FROM pg_temp.faults(pg_temp.machine('A', '{"A": {"Type": "Task", "Resource": "sql:a.b", "End": true, "Compensate": "C"}, "C": {"Type": "Task", "Resource": "sql:a.c"}}'));
SELECT * FROM pg_temp.faults(pg_temp.machine('A', '{"A": {"Type": "Task", "Resource": "sql:a.b", "End": true, "Compensate": "X"}}'));
SELECT * FROM pg_temp.faults(pg_temp.machine('A', '{"A": {"Type": "Pass", "End": true, "Compensate": "C"}, "C": {"Type": "Task", "Resource": "sql:a.c"}}'));
SELECT * FROM pg_temp.faults(pg_temp.machine('A', '{"A": {"Type": "Task", "Resource": "sql:a.b", "End": true, "Compensate": "C"}, "C": {"Type": "Pass", "End": true}}'));
SELECT * FROM pg_temp.faults(pg_temp.machine('A', '{"A": {"Type": "Task", "Resource": "sql:a.b", "Next": "C", "Compensate": "C"}, "C": {"Type": "Task", "Resource": "sql:a.c"}}'));
SELECT * FROM pg_temp.faults(pg_temp.machine('A', '{"A": {"Type": "Task", "Resource": "sql:a.b", "End": true, "Compensate": "A"}}'));
SELECT * FROM pg_temp.faults(pg_temp.machine('A', '{"A": {"Type": "Task", "Resource": "sql:a.b", "End": true, "Compensate": "C"}, "C": {"Type": "Task", "Resource": "sql:a.c", "Next": "A", "Catch": [], "Compensate": "C"}}'));

--
-- runs: data flow
--
SELECT * FROM pg_temp.run(pg_temp.machine('A', '{
	"A": {"Type": "Pass", "Next": "B"},
	"B": {"Type": "Pass", "InputPath": "$.a", "Parameters": {"in.$": "$"}, "ResultPath": "$.r", "OutputPath": "$.r", "Next": "C"},
	"C": {"Type": "Pass", "Result": [1], "ResultPath": null, "Next": "D"},
	"D": {"Type": "Succeed", "InputPath": "$.in"}}'), '{"a": {"x": 1}}');
SELECT pg_temp.result(pg_temp.one('Pass', '{"End": true, "InputPath": null}'), '{"a": 1}');
SELECT pg_temp.result(pg_temp.one('Pass', '{"End": true, "OutputPath": null}'), '{"a": 1}');
SELECT pg_temp.result(pg_temp.one('Pass', '{"End": true, "OutputPath": "$.no"}'), '{"a": 1}');
SELECT pg_temp.result(pg_temp.one('Pass', '{"End": true, "Result": 1, "ResultPath": "$.a"}'), '[1]');
SELECT pg_temp.result(pg_temp.one('Pass', '{"End": true}'), v) FROM unnest('{1,"null","\"s\"","[]","true"}'::jsonb[]) v;
SELECT pg_temp.result(pg_temp.one('Pass', '{"End": true, "Parameters": {"c.$": "$$"}}'), '{"i": 1}') #- '{output,c,Execution,RoleArn}';
SELECT pg_temp.result(pg_temp.machine('A', '{
	"A": {"Type": "Pass", "Assign": {"x.$": "$.n", "y": 1}, "Next": "B"},
	"B": {"Type": "Pass", "Assign": {"x": 0, "y.$": "$x"}, "Next": "C"},
	"C": {"Type": "Pass", "Parameters": {"x.$": "$x", "y.$": "$y"}, "End": true}}'), '{"n": 7}');
-- the limit on data
SELECT pg_temp.result(pg_temp.one('Pass', '{"End": true}'), to_jsonb(repeat('x', 99)), '{}', '{"data_limit": 100}');

-- tasks
SELECT * FROM pg_temp.run(pg_temp.one('Task', '{"End": true, "Resource": "sql:app.f", "Parameters": {"v.$": "$.v"}, "ResultSelector": {"got.$": "$.r"}, "ResultPath": "$.out", "TimeoutSeconds": 9}'),
	'{"v": 1}', '{"A": {"output": {"r": 2, "more": 3}}}');
SELECT * FROM pg_temp.run(pg_temp.one('Task', '{"End": true, "Resource": "arn:aws:lambda:us-east-1:111111111111:function:f"}'), '{}', '{"A": "echo"}');
SELECT * FROM pg_temp.run(pg_temp.one('Task', '{"End": true, "Resource": "arn:aws:states:::sns:publish"}'), '{}', '{"arn:aws:states:::sns:publish": {"error": "SNS.Broken", "cause": "why"}}');
SELECT * FROM pg_temp.run(pg_temp.one('Task', '{"End": true, "Resource": "saga:publish", "Parameters": {"Destination": "d"}}'), '{}');
SELECT * FROM pg_temp.run(pg_temp.one('Task', '{"End": true, "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "Parameters": {"t.$": "$$.Task.Token"}, "TimeoutSecondsPath": "$.limit"}'), '{"limit": 30}', '{"A": {"after": 20, "output": "done"}}');
-- what a task is told of the context, at each attempt
SELECT pg_temp.result(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b", "Parameters": {"n.$": "$$.State.RetryCount"}, "Retry": [{"ErrorEquals": ["E"]}]}'), '{}', '{"A": [{"error": "E"}, {"error": "E"}, "echo"]}');
-- a result that is too large fails the task
SELECT pg_temp.result(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b"}'), '{}', jsonb_build_object('A', jsonb_build_object('output', repeat('x', 99))), '{"data_limit": 100}');

-- time limits
SELECT * FROM pg_temp.run(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b", "TimeoutSeconds": 5}'), '{}', '{"A": {"after": 6, "output": 1}}');
SELECT * FROM pg_temp.run(pg_temp.machine('A', '{
	"A": {"Type": "Task", "End": true, "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "HeartbeatSeconds": 5, "Catch": [{"ErrorEquals": ["States.HeartbeatTimeout"], "Next": "B"}]},
	"B": {"Type": "Succeed"}}'), '{}', '{"A": "none"}');
SELECT pg_temp.result(pg_temp.one('Task', '{"End": true, "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "HeartbeatSeconds": 5}'), '{}', '{"A": {"after": 60, "heartbeat": 4, "output": "alive"}}', '{"freeze": true}');
SELECT * FROM pg_temp.run(pg_temp.machine('A', '{"A": {"Type": "Wait", "Seconds": 60, "Next": "B"}, "B": {"Type": "Succeed"}}', '{"TimeoutSeconds": 5}'));
SELECT pg_temp.result(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b", "TimeoutSecondsPath": "$.t"}'), jsonb_build_object('t', t), '{"A": "echo"}')
FROM unnest('{0,-1,1.5,1e30,"\"5\"","null",5}'::jsonb[]) t;

-- Wait
SELECT * FROM pg_temp.run(pg_temp.machine('A', '{
	"A": {"Type": "Wait", "Seconds": 3, "Next": "B"},
	"B": {"Type": "Wait", "SecondsPath": "$.s", "Next": "C"},
	"C": {"Type": "Wait", "Timestamp": "2026-01-01T00:01:00Z", "Next": "D"},
	"D": {"Type": "Wait", "TimestampPath": "$.t", "Next": "E"},
	"E": {"Type": "Wait", "Seconds": 0, "End": true}}'), '{"s": 7, "t": "2026-01-01T01:02:00+01:00"}');
SELECT pg_temp.result(pg_temp.one('Wait', '{"End": true, "SecondsPath": "$.s"}'), jsonb_build_object('s', s))
FROM unnest('{-1,1.5,1e30,-1e30,1e-30,99999999,100000000,"\"5\"","null","[]"}'::jsonb[]) s;
SELECT pg_temp.result(pg_temp.one('Wait', '{"End": true, "TimestampPath": "$.t"}'), jsonb_build_object('t', t))
FROM unnest('{"\"2026-01-01\"","\"0000-01-01T00:00:00Z\"","\"9999-12-31T23:59:59.999999999-12:00\"",1,"null"}'::jsonb[]) t;

-- Choice
SELECT s, pg_temp.result(pg_temp.machine('A', '{
	"A": {"Type": "Choice", "Choices": [
		{"Variable": "$.s", "StringEquals": "x", "Next": "X"},
		{"Not": {"Variable": "$.s", "IsString": true}, "Next": "Y"}], "Default": "Z"},
	"X": {"Type": "Pass", "Result": "x", "End": true},
	"Y": {"Type": "Pass", "Result": "y", "End": true},
	"Z": {"Type": "Pass", "Result": "z", "End": true}}'), jsonb_build_object('s', s))
FROM unnest('{"\"x\"","\"a\"",1}'::jsonb[]) s;
SELECT pg_temp.result(pg_temp.machine('A', '{"A": {"Type": "Choice", "Choices": [{"Variable": "$.s", "IsNull": true, "Next": "B"}]}, "B": {"Type": "Succeed"}}'), '{"s": 1}');
SELECT pg_temp.result(pg_temp.machine('A', '{"A": {"Type": "Choice", "Choices": [{"Variable": "$.s", "IsNull": true, "Next": "B"}]}, "B": {"Type": "Succeed"}}'), '{}');

-- Fail
SELECT * FROM pg_temp.run(pg_temp.one('Fail', '{"Error": "E", "Cause": "C"}'));
SELECT pg_temp.result(pg_temp.one('Fail', '{}'));
SELECT pg_temp.result(pg_temp.one('Fail', '{"ErrorPath": "$.e", "CausePath": "States.Format(''{} is {}'', $.e, $.n)"}'), '{"e": "E", "n": 1}');
SELECT pg_temp.result(pg_temp.one('Fail', '{"ErrorPath": "$.n"}'), '{"n": 1}');

-- Retry
SELECT * FROM pg_temp.run(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b", "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxDelaySeconds": 10, "MaxAttempts": 4}]}'), '{}', '{"A": [{"error": "E"}, {"error": "E"}, {"error": "E"}, {"error": "E"}, "echo"]}');
-- each retrier counts for itself; the first that matches decides
SELECT * FROM pg_temp.run(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b", "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}, {"ErrorEquals": ["States.ALL"], "MaxAttempts": 1, "IntervalSeconds": 30}]}'), '{}', '{"A": [{"error": "E"}, {"error": "F"}, {"error": "E", "cause": "last"}]}');
-- jitter lies between nothing and the full delay
SELECT bool_and(t BETWEEN 0 AND 100) AND count(DISTINCT t) > 5 AS jitter
FROM (SELECT extract(epoch FROM (saga.simulate(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b", "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 100, "JitterStrategy": "FULL"}]}'),
		'{}', '{"A": [{"error": "E"}, "echo"]}', jsonb_build_object('seed', seed, 'start_time', '2026-01-01T00:00:00Z'))->'events'->-1->>'timestamp')::timestamptz - '2026-01-01 00:00:00+00') t
	FROM generate_series(1, 20) seed) x;
-- a delay that grows without end stays a time
SELECT pg_temp.result(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b", "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 99999999, "BackoffRate": 1e300, "MaxAttempts": 3}]}'), '{}', '{"A": [{"error": "E"}, {"error": "E"}, {"error": "E"}, "echo"]}');

-- Catch
SELECT error, pg_temp.result(pg_temp.machine('A', '{
	"A": {"Type": "Task", "Resource": "sql:a.b", "End": true, "Catch": [
		{"ErrorEquals": ["E", "F"], "Next": "Ef", "ResultPath": "$.e"},
		{"ErrorEquals": ["States.TaskFailed"], "Next": "Failed", "Assign": {"what.$": "$.Error"}},
		{"ErrorEquals": ["States.ALL"], "Next": "All", "ResultPath": null}]},
	"Ef": {"Type": "Succeed"},
	"Failed": {"Type": "Pass", "Parameters": {"what.$": "$what", "in.$": "$"}, "End": true},
	"All": {"Type": "Succeed"}}'), '{"x": 1}', jsonb_build_object('A', jsonb_build_object('error', error, 'cause', 'c')))
FROM unnest('{F,G,States.Timeout,States.Runtime,SQL.23505}'::text[]) error;
SELECT pg_temp.result(pg_temp.machine('A', '{"A": {"Type": "Task", "Resource": "sql:a.b", "End": true, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}, "B": {"Type": "Succeed"}}'), '{}', '{"A": {"error": null}}');
-- a catcher that fails is not caught by itself
SELECT pg_temp.result(pg_temp.machine('A', '{"A": {"Type": "Task", "Resource": "sql:a.b", "End": true, "Catch": [{"ErrorEquals": ["E", "States.ResultPathMatchFailure", "States.Runtime"], "Next": "B", "ResultPath": "$.a.b"}]}, "B": {"Type": "Succeed"}}'), '1', '{"A": {"error": "E"}}');

-- Parallel
SELECT * FROM pg_temp.run(pg_temp.one('Parallel', '{"End": true, "ResultPath": "$.r", "Branches": [
	{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 5, "Next": "T"}, "T": {"Type": "Task", "Resource": "sql:a.t", "End": true}}},
	{"StartAt": "U", "States": {"U": {"Type": "Task", "Resource": "sql:a.u", "End": true}}}]}'), '{"i": 1}', '{"T": {"output": "t"}, "U": {"after": 9, "output": "u"}}');
SELECT * FROM pg_temp.run(pg_temp.machine('A', '{
	"A": {"Type": "Parallel", "Next": "Z", "Retry": [{"ErrorEquals": ["States.BranchFailed"], "MaxAttempts": 1}], "Catch": [{"ErrorEquals": ["E"], "Next": "Y"}], "Branches": [
		{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 50, "End": true}}},
		{"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": true, "Branches": [
			{"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "sql:a.t", "End": true}}},
			{"StartAt": "U", "States": {"U": {"Type": "Task", "Resource": "sql:a.u", "End": true}}}]}}}]},
	"Y": {"Type": "Succeed"}, "Z": {"Type": "Fail"}}'), '{}', '{"T": "none", "U": {"after": 3, "error": "E", "cause": "why"}}');

--
-- compensation
--
CREATE TEMP TABLE book (definition jsonb);
INSERT INTO book VALUES (pg_temp.machine('Pay', '{
	"Pay": {"Type": "Task", "Resource": "sql:a.pay", "Parameters": {"sum.$": "$.sum"}, "ResultPath": "$.paid", "Compensate": "Refund", "Next": "Book"},
	"Refund": {"Type": "Task", "Resource": "sql:a.refund"},
	"Book": {"Type": "Task", "Resource": "sql:a.book", "ResultPath": "$.booked", "Compensate": "Void", "Next": "Announce"},
	"Void": {"Type": "Task", "Resource": "sql:a.void", "Parameters": {"id.$": "$.output.id", "why.$": "$.error.Error"}, "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}]},
	"Announce": {"Type": "Task", "Resource": "sql:a.announce", "ResultPath": null, "End": true}}'));
SELECT r.* FROM book, pg_temp.run(definition, '{"sum": 5}', '{"Pay": {"output": "p"}, "Book": {"output": {"id": 7}}, "Announce": "echo"}') r;
SELECT r.* FROM book, pg_temp.run(definition, '{"sum": 5}', '{"Pay": {"output": "p"}, "Book": {"output": {"id": 7}}, "Announce": {"error": "E", "cause": "why"}, "Refund": {"after": 5, "output": 1}, "Void": [{"error": "F"}, "echo"]}') r;
-- what could not be undone is listed, and the rest is undone all the same
SELECT pg_temp.result(definition, '{"sum": 5}', '{"Pay": {"output": "p"}, "Book": {"output": {"id": 7}}, "Announce": {"error": "E"}, "Refund": "echo", "Void": [{"error": "F"}, {"error": "G", "cause": "again"}]}') FROM book;
SELECT pg_temp.result(definition, '{"sum": 5}', '{"Pay": {"output": "p"}, "Book": {"output": {}}, "Announce": {"error": "E"}, "Refund": "echo", "Void": "echo"}') FROM book;
-- stopped, with and without
SELECT r.* FROM book, pg_temp.run(definition, '{"sum": 5}', '{"Pay": {"output": "p"}, "Book": "none", "Refund": "echo"}', '{"stop": {"after": 4, "error": "Stop", "cause": "enough"}}') r;
SELECT pg_temp.result(definition, '{"sum": 5}', '{"Pay": {"output": "p"}, "Book": "none"}', '{"stop": {"after": 4, "compensate": false}}') FROM book;
-- stopped again while a handler runs
SELECT pg_temp.result(definition, '{"sum": 5}', '{"Pay": {"output": "p"}, "Book": {"error": "E"}, "Refund": "none"}', '{"stop": {"after": 4, "compensate": false}}') FROM book;
-- the machine's time limit; it does not hold for the handlers
SELECT r.* FROM book, pg_temp.run(definition || '{"TimeoutSeconds": 3}', '{"sum": 5}', '{"Pay": {"output": "p"}, "Book": "none", "Refund": {"after": 10, "output": 1}}') r;
-- each completed visit once; a caught error undoes nothing, and what follows undoes it all
SELECT pg_temp.result(pg_temp.machine('A', '{
	"A": {"Type": "Task", "Resource": "sql:a.a", "ResultPath": "$.n", "Compensate": "UndoA", "Next": "More"},
	"UndoA": {"Type": "Task", "Resource": "sql:a.undo"},
	"More": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericLessThan": 2, "Next": "A"}], "Default": "B"},
	"B": {"Type": "Task", "Resource": "sql:a.b", "Compensate": "UndoB", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}], "End": true},
	"UndoB": {"Type": "Task", "Resource": "sql:a.undo"},
	"C": {"Type": "Fail", "Error": "Later"}}'), '{"n": 0}', '{"A": [{"output": 1}, {"output": 2}], "B": {"error": "E"}, "sql:a.undo": "echo"}', '{"freeze": true}');
-- steps within a Parallel that failed
SELECT * FROM pg_temp.run(pg_temp.one('Parallel', '{"End": true, "Branches": [
	{"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "sql:a.t", "Compensate": "UndoT", "Next": "W"}, "UndoT": {"Type": "Task", "Resource": "sql:a.undo"}, "W": {"Type": "Wait", "Seconds": 90, "End": true}}},
	{"StartAt": "U", "States": {"U": {"Type": "Task", "Resource": "sql:a.u", "Compensate": "UndoU", "Next": "F"}, "UndoU": {"Type": "Task", "Resource": "sql:a.undo"}, "F": {"Type": "Fail", "Error": "E"}}}]}'),
	'{}', '{"T": {"output": "t"}, "U": {"after": 2, "output": "u"}, "sql:a.undo": "echo"}');
-- a step whose result was no good was still done
SELECT pg_temp.result(pg_temp.machine('A', '{"A": {"Type": "Task", "Resource": "sql:a.a", "ResultSelector": {"x.$": "$.no"}, "Retry": [{"ErrorEquals": ["States.Runtime", "States.ParameterPathFailure"]}], "Compensate": "U", "End": true}, "U": {"Type": "Task", "Resource": "sql:a.undo"}}'), '{}', '{"A": {"output": 1}, "U": "echo"}') - 'cause';

-- A call that is done is not made again, whatever becomes of its answer, and undone once. Each of these
-- has a Retry of everything, and a member that fails; what it is called with is counted.
CREATE FUNCTION pg_temp.unfit(state jsonb, more jsonb DEFAULT '{}', options jsonb DEFAULT '{"freeze": true}', OUT calls bigint, OUT result jsonb)
LANGUAGE sql AS $$
	SELECT (SELECT count(*) FROM jsonb_array_elements(r->'events') e WHERE e->>'type' ~ '(Task|Function)Scheduled$' AND NOT e->'details' ? 'compensates'),
		r - 'events' - 'cause'
	FROM saga.simulate(pg_temp.machine('A', jsonb_build_object('A', '{"Type": "Task", "Resource": "sql:a.a", "Compensate": "U", "End": true,
			"Retry": [{"ErrorEquals": ["States.DataLimitExceeded", "States.IntrinsicFailure", "States.Runtime"]}, {"ErrorEquals": ["States.ALL"]}]}'::jsonb || state,
		'U', '{"Type": "Task", "Resource": "sql:a.undo"}'::jsonb) || more), '{"n": 1, "s": "x"}',
		jsonb_build_object('A', jsonb_build_object('output', jsonb_build_object('r', repeat('x', 500))), 'B', '{"output": 1}'::jsonb, 'U', '{"output": 1}'::jsonb),
		options) r
$$;
SELECT state, u.* FROM unnest('{
	"{\"ResultSelector\": {\"x.$\": \"$.no\"}}",
	"{\"ResultSelector\": {\"x.$\": \"States.StringToJson($.r)\"}}",
	"{\"ResultSelector\": {\"x.$\": \"States.MathAdd($.r, 1)\"}}",
	"{\"ResultSelector\": {\"x.$\": \"States.ArrayGetItem($.r, 1)\"}}",
	"{\"ResultPath\": \"$.s.a\"}",
	"{\"OutputPath\": \"$.no\"}",
	"{\"Assign\": {\"x.$\": \"$.no\"}}",
	"{\"Assign\": {\"x.$\": \"States.StringToJson($.r)\"}}"}'::jsonb[]) state, pg_temp.unfit(state) u;
-- larger than the limit: the answer, also one of which little would be taken; and only what it is made to
SELECT state, u.* FROM unnest('{"{}", "{\"ResultSelector\": {}}", "{\"Retry\": [{\"ErrorEquals\": [\"States.TaskFailed\"]}]}"}'::jsonb[]) state,
	pg_temp.unfit(state, '{}', '{"data_limit": 400}') u;
SELECT * FROM pg_temp.unfit('{"ResultPath": "$.more", "ResultSelector": {"a.$": "$.r", "b.$": "$.r"}}', '{}', '{"data_limit": 800}');
-- a Parallel has its result when its branches have
SELECT pg_temp.result(pg_temp.machine('A', '{
	"A": {"Type": "Parallel", "ResultSelector": {"x.$": "$.no"}, "Compensate": "U", "End": true, "Retry": [{"ErrorEquals": ["States.Runtime"]}], "Branches": [
		{"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": "sql:a.b", "Compensate": "V", "End": true}, "V": {"Type": "Task", "Resource": "sql:a.undo"}}}]},
	"U": {"Type": "Task", "Resource": "sql:a.undo"}}'), '{}', '{"B": [{"output": 1}], "sql:a.undo": "echo"}') - 'cause';
-- the handler's own answer is nobody's: it is not asked for a second time
SELECT pg_temp.result(pg_temp.machine('A', '{
	"A": {"Type": "Task", "Resource": "sql:a.a", "Compensate": "U", "Next": "F"},
	"U": {"Type": "Task", "Resource": "sql:a.undo", "Retry": [{"ErrorEquals": ["States.DataLimitExceeded"]}, {"ErrorEquals": ["States.ALL"]}]},
	"F": {"Type": "Fail", "Error": "E"}}'), '{}', jsonb_build_object('A', '{"output": 1}'::jsonb, 'U', jsonb_build_array(jsonb_build_object('output', repeat('x', 500)))), '{"data_limit": 400}');
-- caught, it is undone at once, beside what comes next; the end waits for it
SELECT * FROM pg_temp.run(pg_temp.machine('A', '{
	"A": {"Type": "Task", "Resource": "sql:a.a", "ResultSelector": {"x.$": "States.StringToJson($)"}, "Compensate": "U", "End": true,
		"Retry": [{"ErrorEquals": ["States.ALL"]}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "W"}]},
	"U": {"Type": "Task", "Resource": "sql:a.undo", "Parameters": {"was.$": "$.output", "why.$": "$.error.Error"}},
	"W": {"Type": "Wait", "Seconds": 3, "End": true}}'), '{}', '{"A": {"output": "x"}, "U": {"after": 5, "output": 1}}');
-- entered again with the same request it waits for that
SELECT at, event, details FROM pg_temp.run(pg_temp.machine('A', '{
	"A": {"Type": "Task", "Resource": "sql:a.a", "ResultSelector": {"x.$": "States.StringToJson($)"}, "Compensate": "U", "End": true,
		"Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": null, "Next": "A"}]},
	"U": {"Type": "Task", "Resource": "sql:a.undo"}}'), '{}', '{"A": [{"output": "x"}, {"output": "1"}], "U": {"after": 5, "output": 1}}');
-- so is what a branch gave up, while the Parallel around goes on, and is tried again
SELECT at, event, details FROM pg_temp.run(pg_temp.machine('P', '{
	"P": {"Type": "Parallel", "Retry": [{"ErrorEquals": ["States.BranchFailed"], "MaxAttempts": 1}], "Catch": [{"ErrorEquals": ["States.BranchFailed"], "Next": "W"}], "End": true, "Branches": [
		{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:a.a", "Compensate": "U", "ResultPath": "$.s.a", "End": true}, "U": {"Type": "Task", "Resource": "sql:a.undo"}}}]},
	"W": {"Type": "Pass", "Result": 1, "End": true}}'), '{"s": "x"}', '{"A": {"output": 1}, "U": "echo"}') WHERE event ~ 'Scheduled|Compensation|SUCCEEDED|differs';
-- a catcher that names Saga.Uncertain keeps it: it stands with a success, and is undone with a failure
SELECT follow->>'Type' AS next, path, pg_temp.result(pg_temp.machine('A', jsonb_build_object('N', follow, 'U', '{"Type": "Task", "Resource": "sql:a.undo"}'::jsonb,
	'A', '{"Type": "Task", "Resource": "sql:a.a", "ResultPath": "$.s.a", "Compensate": "U", "End": true}'::jsonb || jsonb_build_object(
		'Catch', jsonb_build_array(jsonb_build_object('ErrorEquals', '["Saga.Uncertain", "States.ResultPathMatchFailure"]'::jsonb, 'ResultPath', path, 'Next', 'N'))))),
	'{"s": "x"}', '{"A": {"output": 1}, "U": "echo"}', '{"freeze": true}') #- '{output,e,Cause}'::text[] #- '{cause}' AS result
FROM (VALUES ('{"Type": "Succeed"}'::jsonb, '$.e'), ('{"Type": "Fail", "Error": "E"}', '$.e'), ('{"Type": "Succeed"}', '$.s.e')) v(follow, path);
-- stopped without compensation it is listed
SELECT pg_temp.result(pg_temp.machine('A', '{
	"A": {"Type": "Task", "Resource": "sql:a.a", "ResultPath": "$.s.a", "Compensate": "U", "End": true, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "W"}]},
	"U": {"Type": "Task", "Resource": "sql:a.undo"},
	"W": {"Type": "Wait", "Seconds": 60, "End": true}}'), '{"s": "x"}', '{"A": {"output": 1}, "U": "none"}', '{"stop": {"after": 4, "compensate": false}}');
-- who catches an excess: as recorded at AWS a catcher of all has that of a task, and no Retry but by name
SELECT handles, count(*) FILTER (WHERE event = 'TaskScheduled') AS calls, max(event) FILTER (WHERE at IS NULL) AS status
FROM unnest('{States.ALL,States.TaskFailed,States.DataLimitExceeded}'::text[]) name, unnest('{Retry,Catch}'::text[]) field, concat(field, ' ', name) handles,
	pg_temp.run(pg_temp.machine('A', jsonb_build_object('S', '{"Type": "Succeed"}'::jsonb, 'A',
		'{"Type": "Task", "Resource": "sql:a.a", "End": true, "Catch": [{"ErrorEquals": ["Other"], "Next": "S"}]}'::jsonb
			|| jsonb_build_object(field, jsonb_build_array(jsonb_build_object('ErrorEquals', jsonb_build_array(name)) ||
				CASE field WHEN 'Catch' THEN '{"Next": "S"}' ELSE '{"MaxAttempts": 1}' END::jsonb)))), '{}', '{"A": {"error": "States.DataLimitExceeded"}}')
GROUP BY handles ORDER BY handles;

--
-- what never ends by itself
--
SELECT pg_temp.result(pg_temp.machine('A', '{"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}}'));
SELECT jsonb_array_length(saga.simulate(pg_temp.machine('A', '{"A": {"Type": "Wait", "Seconds": 1, "Next": "A"}}'), '{}', '{}', '{"max_events": 100, "freeze": true}')->'events');
-- deep
SELECT saga.simulate(d, '1')->>'status' FROM (
	WITH RECURSIVE r(n, d) AS (
		SELECT 0, '{"StartAt": "S0", "States": {"S0": {"Type": "Succeed"}}}'::jsonb
		UNION ALL
		SELECT n + 1, jsonb_build_object('StartAt', 'S' || n + 1, 'States', jsonb_build_object('S' || n + 1,
			jsonb_build_object('Type', 'Parallel', 'End', true, 'Branches', jsonb_build_array(d)))) FROM r WHERE n < 100)
	SELECT d FROM r WHERE n = 100) x;

--
-- options and answers that make no sense
--
SELECT saga.simulate('{}');
SELECT saga.simulate(pg_temp.one('Succeed', '{}'), '{}', '[]');
SELECT saga.simulate(pg_temp.one('Succeed', '{}'), '{}', '{}', '1');
SELECT saga.simulate(pg_temp.one('Succeed', '{}'), '{}', '{}', '{"speed": 1}');
SELECT saga.simulate(pg_temp.one('Succeed', '{}'), '{}', '{}', '{"repeat": 1e9}');
SELECT saga.simulate(pg_temp.one('Succeed', '{}'), '{}', '{}', '{"start_time": "today"}');
SELECT saga.simulate(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b"}'), '{}', '{"A": 1}');
SELECT saga.simulate(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b"}'), '{}', '{"A": {"after": -1}}');
SELECT pg_temp.result(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b"}'), '{}', '{"A": []}');

--
-- stored histories
--
SELECT * FROM saga.history_events('\x');
SELECT * FROM saga.history_events('\x00');
SELECT * FROM saga.history_events('\x0102');
SELECT * FROM saga.history_events('\x0100000000ffffffffffffffffff7f');
CREATE TEMP TABLE stored AS
SELECT decode(saga.simulate(pg_temp.one('Task', '{"End": true, "Resource": "sql:a.b", "TimeoutSeconds": 5, "Assign": {"n": -1.25e-7}}'),
	'{"t": "é", "n": [0, 1e100, -12345.678901], "o": {"a": null, "b": true, "c": {}}}', '{"A": {"output": [[], {"x": ""}]}}',
	'{"start_time": "2026-01-01T00:00:00Z", "history": true}')->'history'->>0, 'hex') AS history;
SELECT e.event_id, e.previous_event_id, e.type, e.timestamp, e.details - 'roleArn' AS details FROM stored, saga.history_events(history) e;
-- whatever byte is wrong: an error or other events, and no harm
CREATE FUNCTION pg_temp.try_history(history bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM length(e::text) FROM saga.history_events(history) e;
	RETURN 'read';
EXCEPTION WHEN data_corrupted THEN
	RETURN 'refused';
END $$;
SELECT count(*) FILTER (WHERE r IN ('read', 'refused')) = count(*) AS all_told, count(*) FILTER (WHERE r = 'refused') > 100 AS many_refused
FROM stored, generate_series(0, length(history) - 1) i, unnest('{0,1,2,16,64,127,128,255}'::int[]) b,
	pg_temp.try_history(set_byte(history, i, b)) r;
SELECT count(*) FILTER (WHERE r = 'refused') = count(*) AS all_refused
FROM stored, generate_series(0, length(history) - 1) n, pg_temp.try_history(substr(history, 1, n)) r;
