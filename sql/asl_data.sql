-- What data makes of a workflow's requests: names in paths, messages that a service would refuse, long causes.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- names with escapes, quotes and brackets, wherever a path stands; a dot before a bracket says nothing
CREATE TEMP TABLE name (n int, path text, name text);
INSERT INTO name VALUES
  (1, $$$['a\'b']$$, $$a'b$$), (2, $$$["a\"b"]$$, $$a"b$$), (3, $$$['a"b']$$, $$a"b$$), (4, $$$["a'b"]$$, $$a'b$$),
  (5, $$$['\u00e9']$$, 'é'), (6, $$$['a]b']$$, 'a]b'), (7, $$$['a[0]']$$, 'a[0]'), (8, $$$['a\\b']$$, $$a\b$$),
  (9, $$$['a.b']$$, 'a.b'), (10, $$$['\ud83d\ude00']$$, '😀'), (11, $$$['a\tb']$$, E'a\tb'), (12, $$$['a\/b']$$, 'a/b'),
  (13, $$$['a,b']$$, 'a,b'), (14, $$$['a)b(']$$, 'a)b('), (15, $$$['$']$$, '$'), (16, $$$['']$$, ''),
  (17, $$$.['a b']$$, 'a b'), (18, $$$.[ 'a b' ]$$, 'a b'), (19, $$$['a\u0027b']$$, $$a'b$$), (20, $$$['a}b{']$$, 'a}b{'),
  (21, $$$['?(@)']$$, '?(@)'), (22, $$$['a\\']$$, $$a\$$), (23, $$$['\\u00e9']$$, $$\u00e9$$), (24, $$$['\u005c\u0022']$$, $$\"$$),
  (25, $$$.a\'b$$, $$a'b$$), (26, $$$.a\[0\]$$, 'a[0]');
CREATE FUNCTION pg_temp.pass(path text) RETURNS jsonb LANGUAGE sql AS
  $$ SELECT jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object('A', jsonb_build_object('Type', 'Pass', 'InputPath', path,
     'Parameters', '{"b.$": "$"}'::jsonb, 'ResultPath', path, 'OutputPath', path, 'End', true))) $$;
SELECT n, path, saga.eval_path(path, o) AS value,
  saga.eval_result_path(path, '{}', '7') = o AS result_path,
  saga.eval_choice(jsonb_build_object('Variable', path, 'NumericEqualsPath', path), o) AS choice,
  saga.eval_path('States.Array(' || path || ', 1)', o) AS intrinsic,
  saga.eval_path('$.x[?(@' || substr(path, 2) || ' == 7)]', jsonb_build_object('x', jsonb_build_array(o))) = jsonb_build_array(o) AS filter,
  saga.eval_path('$v' || substr(path, 2), '{}', '{}', jsonb_build_object('v', o)) AS variable,
  saga.simulate(pg_temp.pass(path), o) -> 'output' AS state
FROM name, jsonb_build_object(name, 7) AS o ORDER BY n;
SELECT path, saga.eval_path(path, '[{"b": [1, {"b c": 2}]}, 3]') FROM unnest('{$.[0],$.[0].b.[1],$.[0].[b],"$.[0].[''b''].[1].[''b c'']",$.[*],"$.[?(@.b)]",$..[0],"$.[0, 1]",$.[-1],"$.[1:]"}'::text[]) path
WHERE path <> '$.[0].[b]';
SELECT saga.eval_path('$.[0].[b]', '[]');
SELECT saga.eval_path('$.', '[]');

-- what a service would refuse is an error that a Catch takes, named as at AWS
SELECT saga.create_destination('topic', 'sns', '{"topic_arn": "arn:aws:sns:eu-west-1:123456789012:t"}') > 0 AS sns,
  saga.create_destination('fifo', 'sns', '{"topic_arn": "arn:aws:sns:eu-west-1:123456789012:t.fifo"}') > 0 AS sns_fifo,
  saga.create_destination('sqs', 'sqs', '{"queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/q"}') > 0 AS sqs,
  saga.create_destination('server', 'http', '{"url": "https://api.example.com/v1"}') > 0 AS http;
CREATE FUNCTION pg_temp.caught(resource text, parameters jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  name text := 't' || pg_catalog.substr(saga.make_id()::text, 15);
  id uuid;
BEGIN
  PERFORM saga.create_workflow(name, jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object(
    'A', jsonb_build_object('Type', 'Task', 'Resource', resource, 'Parameters', parameters, 'End', true,
      'Catch', '[{"ErrorEquals": ["States.ALL"], "Next": "B"}]'::jsonb),
    'B', '{"Type": "Pass", "End": true}'::jsonb)));
  RETURN saga.start_execution(name);
END $$;
CREATE TEMP TABLE caught AS
SELECT n, service, parameters, pg_temp.caught('arn:aws:states:::' || CASE service WHEN 'sns' THEN 'sns:publish' WHEN 'sqs' THEN 'sqs:sendMessage' ELSE 'http:invoke' END,
  CASE service WHEN 'sns' THEN '{"TopicArn": "saga:topic", "Message": "m"}' WHEN 'sqs' THEN '{"QueueUrl": "saga:sqs", "MessageBody": "m"}'
    ELSE '{"ApiEndpoint": "saga:server/x", "Method": "POST"}' END::jsonb || parameters)::uuid AS id
FROM (VALUES (1, 'sns', '{"Subject": "Grüße"}'::jsonb), (2, 'sns', '{"Subject": ""}'), (3, 'sns', '{"Subject": "a\nb"}'),
  (4, 'sns', jsonb_build_object('Subject', repeat('x', 101))), (5, 'sns', '{"Message": ""}'), (6, 'sns', '{"Message": "a\u0001"}'),
  (7, 'sns', '{"Message": "a\uffff"}'), (8, 'sns', '{"TopicArn": "saga:fifo"}'), (9, 'sns', '{"TopicArn": "saga:fifo", "MessageGroupId": "a b"}'),
  (10, 'sns', '{"TopicArn": "saga:none"}'), (11, 'sns', '{"MessageStructure": "xml"}'),
  (12, 'sqs', '{"DelaySeconds": 901}'), (13, 'sqs', '{"MessageBody": ""}'), (14, 'sqs', '{"MessageGroupId": ""}'), (15, 'sqs', '{"QueueUrl": "saga:none"}'),
  (16, 'sqs', '{"MessageDeduplicationId": "x"}'), (17, 'http', '{"Headers": {"X y": "1"}}'), (18, 'http', '{"Headers": {"X": "a\u0001"}}'),
  (19, 'http', '{"Method": "BREW"}'), (20, 'http', '{"QueryParameters": {"a": {}}}')) v(n, service, parameters);
CALL saga.drain();
SELECT n, left(parameters::text, 50) AS parameters, status, coalesce(e.output ->> 'Error', error) AS error, coalesce(e.output ->> 'Cause', cause) AS cause
  FROM caught JOIN saga.executions e ON e.execution_id = id ORDER BY n;

-- names and values of attributes, by the rules of AWS
CREATE TEMP TABLE attribute AS
SELECT n, attribute, pg_temp.caught('arn:aws:states:::sns:publish', jsonb_build_object('TopicArn', 'saga:topic', 'Message', 'm', 'MessageAttributes', attribute))::uuid AS id
FROM (VALUES (1, jsonb_build_object('AWS.foo', '{"DataType": "String", "StringValue": "x"}'::jsonb)), (2, '{"aws.foo": {"DataType": "String", "StringValue": "x"}}'),
  (3, '{"Amazon.foo": {"DataType": "String", "StringValue": "x"}}'), (4, '{".a": {"DataType": "String", "StringValue": "x"}}'),
  (5, '{"a.": {"DataType": "String", "StringValue": "x"}}'), (6, '{"a..b": {"DataType": "String", "StringValue": "x"}}'),
  (7, '{"a": {"DataType": "Number", "StringValue": "abc"}}'), (8, '{"a": {"DataType": "Number", "StringValue": "1e999"}}'),
  (9, '{"a": {"DataType": "Number", "StringValue": "."}}'), (10, '{"a": {"DataType": "Stringy", "StringValue": "x"}}'),
  (11, '{"a": {"DataType": "String.", "StringValue": "x"}}'), (12, '{"a": {"DataType": "Binary", "BinaryValue": "no base64"}}'),
  (13, jsonb_build_object('a', jsonb_build_object('DataType', 'Number', 'StringValue', repeat('1', 39))))) v(n, attribute);
CALL saga.drain();
SELECT n, left(attribute::text, 50) AS attribute, e.output ->> 'Error' AS error, e.output ->> 'Cause' AS cause
  FROM attribute JOIN saga.executions e ON e.execution_id = id ORDER BY n;
SELECT saga.publish_to('topic', '{}', headers => '{"AWS.foo": "1"}');
SELECT saga.publish_to('topic', '{}', headers => '{"a..b": "1"}');
BEGIN;
SELECT saga.publish_to('topic', '{}', headers => '{"a.b": "1"}') IS NOT NULL AS taken;
-- JSON says with ASCII what SNS does not take as it is; a text does not
SELECT saga.publish_to('topic', jsonb_build_object('n', U&'a\FFFF\FFFEb')) IS NOT NULL AS taken;
SELECT request ->> 'Message' AS message FROM saga.outbox ORDER BY outbox_id;
ROLLBACK;
SELECT saga.publish_to('topic', to_jsonb(U&'a\FFFFb'::text));

-- a cause is cut, and does not keep a Catch from its work; without room for it the dead letter has it
CREATE FUNCTION bad(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'cannot process document: %', i USING ERRCODE = 'P0042'; END $$;
SELECT saga.create_workflow('bad', '{"StartAt": "A", "States": {
  "A": {"Type": "Task", "Resource": "sql:public.bad", "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "B"}], "End": true},
  "B": {"Type": "Pass", "End": true}}}');
SELECT saga.start_execution('bad', jsonb_build_object('d', repeat('ü', 70000))) AS half \gset
SELECT saga.start_execution('bad', jsonb_build_object('d', repeat('x', 250000))) AS whole \gset
CALL saga.drain('bad');
SELECT status, error, left(cause, 60) AS cause, output #>> '{e,Error}' AS caught, length(output #>> '{e,Cause}') AS length FROM saga.executions WHERE workflow = 'bad' ORDER BY execution_id;
SELECT reason, substring(cause FROM 'It was.{60}') AS cause FROM saga.dead_letters WHERE queue = 'bad';

-- lambda:invoke with the end of the log
CREATE FUNCTION echo(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT i $$;
SELECT saga.bind_resource('arn:aws:lambda:us-east-1:111111111111:function:echo', 'sql:public.echo');
CREATE TEMP TABLE log AS SELECT log_type, pg_temp.caught('arn:aws:states:::lambda:invoke', jsonb_build_object('FunctionName', 'echo', 'Payload', 7, 'LogType', log_type))::uuid AS id
  FROM unnest('{Tail,None}'::text[]) log_type;
CALL saga.drain();
SELECT log_type, output - 'LogResult' AS output, regexp_replace(convert_from(decode(output ->> 'LogResult', 'base64'), 'UTF8'), '[0-9a-f-]{36}', 'ID', 'g') AS log
  FROM log JOIN saga.executions ON execution_id = id ORDER BY 1;

-- what an EXPRESS machine cannot have, however the ARN is written
SELECT resource, d.code, d.message FROM unnest('{arn:aws:states:us-east-1:111111111111:activity:a,arn:aws-cn:states:cn-north-1:111111111111:activity:a,arn:aws:states:::activity:a,
  arn:aws:states:us-east-1::activity:a,arn:aws:states:us-east-1:111111111111:activity:a.waitForTaskToken,arn:aws:states:::sqs:sendMessage.waitForTaskToken,arn:aws:states:::ecs:runTask.sync,
  arn:aws:states:::batch:submitJob.sync:2,sql:public.echo.waitForTaskToken,arn:aws:lambda:us-east-1:111111111111:function:activity:a,arn:aws:states:::lambda:invoke}'::text[]) resource
  LEFT JOIN LATERAL saga.validate(jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object('A', jsonb_build_object('Type', 'Task', 'Resource', btrim(resource, E' \n'), 'End', true))), 'EXPRESS') d ON true;
