-- One state by itself: what saga.test_state() tells of it, and what it refuses.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
-- A Map around one Pass, with these fields.
CREATE FUNCTION pg_temp.map(fields jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT '{"Type": "Map", "End": true, "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}}}'::jsonb || fields
$$;
CREATE FUNCTION pg_temp.task(fields jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT '{"Type": "Task", "Resource": "sql:a.b", "Next": "N"}'::jsonb || fields $$;
-- With all that there is to see, and what is said of the state.
CREATE FUNCTION pg_temp.test(definition jsonb, input jsonb, mock jsonb DEFAULT NULL, configuration jsonb DEFAULT NULL, state text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
	SELECT saga.test_state(definition, input, state, mock, options => jsonb_build_object('inspectionLevel', 'TRACE', 'stateConfiguration', configuration))
$$;
-- The error, its detail and hint.
CREATE FUNCTION pg_temp.refused(definition jsonb, mock jsonb DEFAULT NULL, options jsonb DEFAULT '{}', state text DEFAULT NULL, input jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text; message text; detail text; hint text;
BEGIN
	RETURN 'not refused: ' || saga.test_state(definition, input, state, mock, NULL, NULL, options)::text;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', code, message, nullif(detail, ''), nullif(hint, ''));
END
$$;

-- types without a mock
SELECT saga.test_state('{"Type": "Pass", "Next": "N"}', '{"a": 1}');
SELECT saga.test_state('{"Type": "Pass", "End": true}');
SELECT pg_temp.test('{"Type": "Pass", "InputPath": "$.a", "Parameters": {"b.$": "$"}, "ResultPath": "$.r", "OutputPath": "$.r", "Assign": {"v.$": "$.b"}, "Next": "N"}', '{"a": 1}');
SELECT pg_temp.test('{"Type": "Pass", "InputPath": "$.a", "Result": {"x": 1}, "ResultPath": "$.r", "End": true}', '{"a": 1}');
SELECT pg_temp.test('{"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericEquals": 1, "Next": "One"}], "Default": "Other"}', i) FROM unnest('{"{\"a\": 1}","{\"a\": 2}"}'::jsonb[]) AS i;
SELECT pg_temp.test('{"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericEquals": 1, "Next": "One"}]}', '{"a": 2}');
SELECT pg_temp.test('{"Type": "Wait", "SecondsPath": "$.s", "Next": "N"}', i) FROM unnest('{"{\"s\": 99999999}","{\"s\": -1}"}'::jsonb[]) AS i;
SELECT pg_temp.test('{"Type": "Succeed", "InputPath": "$.a", "OutputPath": "$.b"}', '{"a": {"b": 2}}');
SELECT pg_temp.test('{"Type": "Fail", "ErrorPath": "$.e", "Cause": "C"}', '{"e": "E"}');
-- up to where it fails
SELECT pg_temp.test('{"Type": "Pass", "InputPath": "$.b", "End": true}', '{"a": 1}');
SELECT pg_temp.test('{"Type": "Pass", "Parameters": {"b.$": "$.b"}, "End": true}', '{"a": 1}');
SELECT pg_temp.test('{"Type": "Pass", "OutputPath": "$.b", "End": true}', '{"a": 1}');

-- Task: the mock is what its call answers, as JSON or as a text that holds it
SELECT pg_temp.test(pg_temp.task('{"Parameters": {"p.$": "$.a"}, "ResultSelector": {"s.$": "$.x"}, "ResultPath": "$.r", "OutputPath": "$.r"}'), '{"a": 1}', m)
FROM unnest('{"{\"result\": {\"x\": true}}","{\"result\": \"{\\\"x\\\": null}\"}"}'::jsonb[]) AS m;
SELECT pg_temp.test(pg_temp.task('{"End": true}') - 'Next', '{}', '{"result": "\"text\""}');
SELECT pg_temp.test(pg_temp.task('{"ResultSelector": {"s.$": "$.x"}}'), '{}', '{"result": {}}');
SELECT pg_temp.test(pg_temp.task('{"ResultSelector": {"s": 1}, "ResultPath": "$.a.b"}'), '{"a": 1}', '{"result": {}}');
SELECT pg_temp.test(pg_temp.task('{"Parameters": {"p.$": "$.b"}}'), '{"a": 1}', '{"result": {}}');
SELECT left(pg_temp.test(pg_temp.task('{}'), '{}', jsonb_build_object('result', jsonb_build_array(repeat('x', 262200)))) - 'inspectionData' ->> 'error', 100);
SELECT pg_temp.test(pg_temp.task('{}'), '{}', '{"errorOutput": {}}');

-- Retry and Catch
SELECT n, pg_temp.test(pg_temp.task('{"Retry": [{"ErrorEquals": ["A"]}, {"ErrorEquals": ["B", "C"], "IntervalSeconds": 3, "BackoffRate": 2, "MaxAttempts": 2, "MaxDelaySeconds": 5}],
	"Catch": [{"ErrorEquals": ["A"], "Next": "M"}, {"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Assign": {"v.$": "$.Error"}, "Next": "M"}]}'), '{"a": 1}',
	'{"errorOutput": {"error": "C", "cause": "why"}}', jsonb_build_object('retrierRetryCount', n)) FROM unnest(ARRAY[NULL, 0, 1, 2, 2147483647]) AS n;
SELECT pg_temp.test(pg_temp.task('{"Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}]}'), '{}', '{"errorOutput": {"error": "E"}}', '{"retrierRetryCount": 1}');
SELECT pg_temp.test(pg_temp.task('{"Retry": [{"ErrorEquals": ["A"]}]}'), '{}', '{"errorOutput": {"error": "E"}}');
SELECT pg_temp.test(pg_temp.task('{"Catch": [{"ErrorEquals": ["E"], "ResultPath": "$.a.b", "Next": "N"}]}'), '{"a": 1}', '{"errorOutput": {"error": "E"}}');
-- how often it was tried is in the context, too
SELECT saga.test_state(pg_temp.task('{"Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 1, "BackoffRate": 3}]}'), '{}', NULL, '{"errorOutput": {"error": "E"}}', jsonb_build_object('State', jsonb_build_object('RetryCount', n)),
	NULL, '{"inspectionLevel": "DEBUG"}') -> 'inspectionData' -> 'errorDetails' FROM unnest(ARRAY[2, 3]) AS n;

-- a state of a machine, also inside others; its context is that of the first item
\set machine '{"StartAt": "P", "States": {"P": {"Type": "Parallel", "Next": "M", "Branches": [{"StartAt": "B1", "States": {"B1": {"Type": "Pass", "Next": "B2"}, "B2": {"Type": "Wait", "Seconds": 1, "End": true}}}, {"StartAt": "B3", "States": {"B3": {"Type": "Fail"}}}]}, "M": {"Type": "Map", "Iterator": {"StartAt": "I", "States": {"I": {"Type": "Pass", "Parameters": {"c.$": "$$"}, "End": true}}}, "Next": "T"}, "T": {"Type": "Task", "Resource": "sql:a.b", "Compensate": "U", "End": true}, "U": {"Type": "Task", "Resource": "sql:a.c"}}}'
SELECT pg_temp.test(:'machine', '{"a": 1}', NULL, NULL, s) FROM unnest('{B1,B2,B3}'::text[]) AS s;
SELECT jsonb_pretty(saga.test_state(:'machine', '[1]', 'I', options => '{"start_time": "2026-01-01T00:00:00.5Z"}') #- '{output,c,Execution,RoleArn}');
SELECT pg_temp.test(:'machine', '{"output": 1}', '{"result": 1}', NULL, s) FROM unnest('{T,U}'::text[]) AS s;
SELECT pg_temp.test('{"Type": "Task", "Resource": "sql:a.b", "Compensate": "U", "ResultPath": "$.a.b", "End": true}', '{"a": 1}', '{"result": 1}');

-- the context object and variables
SELECT saga.test_state('{"Type": "Pass", "Parameters": {"c.$": "$$", "n.$": "$$.State.Name", "v.$": "$v"}, "Assign": {"w.$": "$v"}, "End": true}', '{}', NULL, NULL, c, '{"v": 1}', '{"inspectionLevel": "DEBUG"}') - 'inspectionData'
FROM unnest('{"{}","{\"State\": {\"Name\": \"S\"}}","\"{\\\"State\\\": {\\\"Name\\\": \\\"T\\\"}}\""}'::jsonb[]) AS c;
SELECT saga.test_state('{"Type": "Pass", "Assign": {"w.$": "$v.a"}, "End": true}', '{}', NULL, NULL, NULL, '"{\"v\": {\"a\": 2}}"', '{"inspectionLevel": "DEBUG"}') -> 'inspectionData' -> 'variables';
SELECT saga.test_state(pg_temp.task('{"Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "Parameters": {"t.$": "$$.Task.Token"}}'), '{}', NULL, '{"result": {"any": 1}}', c, NULL, '{"inspectionLevel": "DEBUG"}') #- '{inspectionData,input}'
FROM unnest('{null,"{\"Task\": {\"Token\": \"T\"}}","{}"}'::jsonb[]) AS x(j), nullif(j, 'null') AS c;
SELECT count(DISTINCT saga.test_state('{"Type": "Pass", "Parameters": {"u.$": "States.UUID()"}, "End": true}', options => jsonb_build_object('seed', s))) FROM unnest(ARRAY[1, 1, 2]) AS s;

-- Parallel: all of its branches are mocked
\set parallel '{"Type": "Parallel", "Branches": [{"StartAt": "B1", "States": {"B1": {"Type": "Pass", "End": true}}}, {"StartAt": "B2", "States": {"B2": {"Type": "Pass", "End": true}}}], "ResultSelector": {"first.$": "$[0]"}, "Catch": [{"ErrorEquals": ["States.BranchFailed"], "Next": "M"}], "Next": "N"}'
SELECT pg_temp.test(:'parallel', '{"a": 1}', '{"result": [1, 2]}');
SELECT pg_temp.test(:'parallel', '{"a": 1}', '{"errorOutput": {"error": "E", "cause": "C"}}', '{"errorCausedByState": "B2"}');

-- Map: items, what is made of them, limits
SELECT pg_temp.test(pg_temp.map('{"InputPath": "$.x", "ItemsPath": "$.a", "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "n.$": "$.n", "s.$": "$$.State.Name"}, "MaxConcurrencyPath": "$.n", "ToleratedFailureCountPath": "$.n", "ToleratedFailurePercentage": 12.5, "ResultPath": "$.r"}'),
	'{"x": {"a": ["p", "q"], "n": 3}}', '{"result": [1, 2]}');
SELECT pg_temp.test(pg_temp.map('{"ItemSelector": {"all.$": "$$.*.Item"}}'), '[7]', '{"result": []}') -> 'inspectionData' -> 'afterItemSelector';
SELECT pg_temp.test(pg_temp.map('{"ItemsPath": "$.a"}'), i, '{"result": []}') FROM unnest('{"{\"a\": []}","{\"a\": 1}","{}"}'::jsonb[]) AS i;
SELECT pg_temp.test(pg_temp.map('{"ItemSelector": {"v.$": "$$.Map.Item.Value.n"}, "MaxConcurrency": 2}'), '[{"n": 1}, {"m": 1}]', '{"result": []}') #- '{inspectionData,afterInputPath}';
SELECT f, pg_temp.test(pg_temp.map('{"Retry": [{"ErrorEquals": ["E"]}, {"ErrorEquals": ["States.ExceedToleratedFailureThreshold"]}]}' || f), '[1, 2, 3]', m, '{"mapIterationFailureCount": 2, "errorCausedByState": "I"}') - 'inspectionData'
FROM unnest('{"{}","{\"ToleratedFailureCount\": 2}","{\"ToleratedFailureCount\": 1}","{\"ToleratedFailurePercentage\": 66}","{\"ToleratedFailurePercentage\": 67}"}'::jsonb[]) AS f, unnest('{"{\"result\": [1]}","{\"errorOutput\": {\"error\": \"E\"}}"}'::jsonb[]) AS m;
-- batches
SELECT b, pg_temp.test(pg_temp.map(jsonb_build_object('ItemBatcher', b)), '[1, 22, 333]', '{"result": []}') -> 'inspectionData' -> 'afterItemBatcher'
FROM unnest('{"{\"MaxItemsPerBatch\": 2}","{\"MaxItemsPerBatch\": 5, \"BatchInput\": {\"a.$\": \"$[0]\"}}","{\"MaxInputBytesPerBatch\": 16}","{\"MaxInputBytesPerBatch\": 1}","{\"MaxItemsPerBatchPath\": \"$[0]\"}"}'::jsonb[]) AS b;
-- what a reader has read
SELECT type, pg_temp.test(pg_temp.map(jsonb_build_object('ItemReader', jsonb_build_object('Resource', 'arn:aws:states:::s3:getObject', 'ReaderConfig', jsonb_build_object('InputType', type) || config::jsonb))), '{"Bucket": "b"}', '{"result": []}',
	jsonb_build_object('mapItemReaderData', data)) #- '{inspectionData,input}' #- '{inspectionData,afterInputPath}' #- '{inspectionData,afterResultPath}' #- '{inspectionData,afterResultSelector}' FROM (VALUES
	('JSON', '{"MaxItems": 2, "ItemsPointer": "/a~1b/1"}', '"{\"a/b\": [0, [1, 2, 3]]}"'::jsonb), ('JSON', '{"ItemsPointer": "/b"}', '"{\"a\": [1]}"'), ('JSON', '{}', '"{\"a\": [1]}"'), ('JSON', '{}', '[1]')) AS t(type, config, data);
SELECT pg_temp.test(pg_temp.map(jsonb_build_object('ItemSelector', '{"v.$": "$$.Map.Item.Value"}'::jsonb, 'ItemReader', jsonb_build_object('Resource', 'arn:aws:states:::s3:getObject', 'ReaderConfig', config))), '{}', '{"result": []}', jsonb_build_object('mapItemReaderData', data))
	-> 'inspectionData' -> 'afterItemSelector' FROM (VALUES ('{"InputType": "JSONL"}'::jsonb, E'{"a": 1}\n\n[2]\r\n"3"'), ('{"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}', E'a,b\r\n1,"x, ""y""\nz"\r\n2\n3,4,5\n'),
	('{"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["k", "v"], "CSVDelimiter": "PIPE"}', 'é,1|'), ('{"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}', '')) AS t(config, data);
SELECT pg_temp.test(pg_temp.map('{"ItemReader": {"Resource": "arn:aws:states:::s3:getObject"}, "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject"}}'), '[1]', '{"result": {"MapRunArn": "m"}}') - 'inspectionData';

-- the mock against what the API answers
SELECT r, mode, substr(pg_temp.refused(pg_temp.task(jsonb_build_object('Resource', 'arn:aws:states:::' || r)), jsonb_build_object('result', a::jsonb, 'fieldValidationMode', mode)), 1, 130) FROM (VALUES
	('states:startExecution', '{}'), ('states:startExecution', '{"executionArn": "a", "startDate": 1}'), ('states:startExecution', '{"ExecutionArn": "a", "StartDate": "2026-11-23T20:17:38.782740"}'),
	('states:startExecution', '{"ExecutionArn": "a", "StartDate": "yesterday"}'), ('aws-sdk:sfn:startExecution', '{"ExecutionArn": null, "StartDate": 1}'),
	('states:startExecution.sync', '{"ExecutionArn": "a", "StartDate": 1, "StateMachineArn": "m", "Status": "SUCCEEDED", "Output": {}}'), ('states:startExecution.sync:2', '{"ExecutionArn": "a", "StartDate": 1, "StateMachineArn": "m", "Status": "SUCCEEDED", "Output": {}}'),
	('lambda:invoke', '{"Payload": 1, "More": 1}'), ('lambda:invoke', '{"StatusCode": 200.5}'), ('lambda:invoke', '"x"'), ('events:putEvents', '{"Entries": [{"EventId": "1"}, {"EventId": 2}]}'), ('events:putEvents', '{"Entries": {}}'),
	('dynamodb:getItem', '{"Item": {"a": {"L": [{"S": "x"}, {"N": 1}]}}}'), ('dynamodb:getItem', '{"Item": {"a": {"M": {"b": {"BOOL": true}}}}}'), ('http:invoke', '1'), ('sqs:sendMessage.waitForTaskToken', '{"MessageId": 1}')) AS t(r, a),
	unnest('{STRICT,PRESENT,NONE}'::text[]) AS mode WHERE mode <> 'NONE' OR r LIKE '%startExecution';

-- refused: the definition, the state, the mock, the options
SELECT pg_temp.refused(d::jsonb, '{"result": []}') FROM unnest(ARRAY['{"Type": "Parallel", "Branches": [], "End": true}', '{"Type": "Nothing"}', '{"Type": "Pass"}', '[]', '{"StartAt": "A", "States": {}}', '{"Type": "Pass", "QueryLanguage": "JSONata", "End": true}']) AS d;
SELECT pg_temp.refused('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}', state => 'A');
SELECT pg_temp.refused(:'machine', state => 'X');
SELECT pg_temp.refused('{"Type": "Pass", "End": true}', state => 'StateName');
SELECT pg_temp.refused(pg_temp.map('{"ItemReader": {"ReaderConfig": {"CSVDelimiter": "X", "CSVHeaderLocation": "X", "Y": 1}}, "ItemBatcher": 1}'));
SELECT pg_temp.refused(d::jsonb) FROM unnest(ARRAY[pg_temp.task('{}')::text, :'parallel', pg_temp.map('{}')::text]) AS d;
SELECT pg_temp.refused(d::jsonb, '{"result": 1}') FROM unnest(ARRAY['{"Type": "Pass", "End": true}', '{"Type": "Succeed"}', :'parallel', pg_temp.map('{}')::text, pg_temp.map('{"ResultWriter": {}}')::text]) AS d;
SELECT pg_temp.refused(:'parallel', '{"result": [1]}');
SELECT m, pg_temp.refused(pg_temp.task('{}'), m::jsonb) FROM unnest(ARRAY['1', '{}', '{"result": 1, "errorOutput": {}}', '{"result": "text"}', '{"result": 1, "fieldValidationMode": "LAX"}', '{"errorOutput": 1}', '{"errorOutput": {"error": 1}}', '{"errorOutput": {"Error": "E"}}', '{"answer": 1}']) AS m;
SELECT pg_temp.refused(pg_temp.task('{}'), jsonb_build_object('errorOutput', jsonb_build_object('error', repeat('é', 257))));
SELECT o, pg_temp.refused(pg_temp.task('{}'), '{"result": 1}', o::jsonb) FROM unnest(ARRAY['[]', '{"level": 1}', '{"inspectionLevel": "ALL"}', '{"start_time": "today"}', '{"stateConfiguration": 1}', '{"stateConfiguration": {"x": 1}}', '{"stateConfiguration": {"retrierRetryCount": -1}}',
	'{"stateConfiguration": {"mapIterationFailureCount": 1}}', '{"stateConfiguration": {"errorCausedByState": "A"}}', '{"stateConfiguration": {"mapItemReaderData": "[]"}}']) AS o;
SELECT pg_temp.refused('{"Type": "Succeed"}', NULL, '{"stateConfiguration": {"retrierRetryCount": 1}}');
SELECT pg_temp.refused(:'parallel', '{"errorOutput": {}}', '{"stateConfiguration": {"errorCausedByState": "N"}}');
SELECT pg_temp.refused(:'machine', '{"errorOutput": {}}', '{"stateConfiguration": {"errorCausedByState": "B1"}}', 'M');
SELECT pg_temp.refused(pg_temp.map('{}'), '{"result": []}', '{"stateConfiguration": {"mapIterationFailureCount": 2}}', NULL, '[1]');
SELECT pg_temp.refused(pg_temp.map('{"ItemReader": {"Resource": "arn:aws:states:::s3:getObject"}}'), '{"result": []}');
SELECT pg_temp.refused(pg_temp.map('{"ItemReader": {"Resource": "arn:aws:states:::s3:getObject"}}'), '{"result": []}', '{"stateConfiguration": {"mapItemReaderData": "[1"}}');
SELECT pg_temp.refused(pg_temp.map('{"ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "PARQUET"}}}'), '{"result": []}', '{"stateConfiguration": {"mapItemReaderData": "x"}}');
SELECT pg_temp.refused(NULL);
SELECT saga.test_state('{"Type": "Succeed"}', context => '[]');
SELECT saga.test_state('{"Type": "Succeed"}', variables => '"{"');
-- what an execution can read is less
SELECT DISTINCT code FROM saga.validate(jsonb_build_object('StartAt', 'M', 'States', jsonb_build_object('M', pg_temp.map('{"ItemReader": {}}')))) ORDER BY code;
