-- Members of requests that are of a wrong type: errors that a Catch takes, never left out without a word.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;

SELECT saga.create_destination('topic', 'sns', '{"topic_arn": "arn:aws:sns:eu-west-1:123456789012:t"}') > 0 AS sns,
  saga.create_destination('fifo', 'sns', '{"topic_arn": "arn:aws:sns:eu-west-1:123456789012:t.fifo"}') > 0 AS sns_fifo,
  saga.create_destination('sqs', 'sqs', '{"queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/q"}') > 0 AS sqs,
  saga.create_destination('server', 'http', '{"url": "https://api.example.com/v1"}') > 0 AS http,
  saga.create_queue('here') > 0 AS queue;
CREATE FUNCTION pg_temp.start(resource text, parameters jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  name text := 't' || pg_catalog.substr(saga.make_id()::text, 15);
BEGIN
  PERFORM saga.create_workflow(name, jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object(
    'A', jsonb_build_object('Type', 'Task', 'Resource', resource, 'Parameters', parameters, 'End', true,
      'Catch', '[{"ErrorEquals": ["States.ALL"], "Next": "B"}]'::jsonb),
    'B', '{"Type": "Pass", "End": true}'::jsonb)));
  RETURN saga.start_execution(name);
END $$;
CREATE TEMP TABLE service (service text, resource text, parameters jsonb);
INSERT INTO service VALUES
  ('http', 'arn:aws:states:::http:invoke', '{"ApiEndpoint": "saga:server/x", "Method": "POST"}'),
  ('here', 'arn:aws:states:::sqs:sendMessage', '{"QueueUrl": "saga:here", "MessageBody": "m"}'),
  ('publish', 'saga:publish', '{"Destination": "server", "Payload": {}}'),
  ('sns', 'arn:aws:states:::sns:publish', '{"TopicArn": "saga:topic", "Message": "m"}'),
  ('sqs', 'arn:aws:states:::sqs:sendMessage', '{"QueueUrl": "saga:sqs", "MessageBody": "m"}');
CREATE TEMP TABLE wrong AS
SELECT service, member, pg_temp.start(resource, service.parameters || member)::uuid AS id
FROM (VALUES ('http', '{"Method": 1}'::jsonb), ('http', '{"Method": {}}'), ('http', '{"Headers": "x"}'), ('http', '{"Headers": []}'), ('http', '{"Headers": {"X": null}}'),
  ('http', '{"Headers": {"X": ["a"]}}'), ('http', '{"QueryParameters": "a=b"}'), ('http', '{"QueryParameters": [1]}'), ('http', '{"QueryParameters": {"a": null}}'),
  ('http', '{"Authentication": "arn"}'), ('http', '{"InvocationConfig": 1}'), ('http', '{"Transform": "x"}'), ('http', '{"Transform": {"RequestBodyEncoding": 1}}'),
  ('http', '{"Transform": {"RequestBodyEncoding": "URL_ENCODED", "RequestEncodingOptions": "INDICES"}}'),
  ('http', '{"Transform": {"RequestBodyEncoding": "URL_ENCODED", "RequestEncodingOptions": {"ArrayFormat": ["INDICES"]}}}'),
  ('http', '{"Transform": {"RequestBodyEncodings": "URL_ENCODED"}}'), ('http', '{"Operation": {}}'), ('http', '{"Captured": "x"}'), ('http', '{"OrderingKey": "x"}'),
  ('http', '{"ApiEndpoint": 1}'),
  ('publish', '{"OrderingKey": {}}'), ('publish', '{"OrderingKey": true}'), ('publish', '{"OrderingKey": ["a"]}'), ('publish', '{"orderingKey": "a"}'),
  ('publish', jsonb_build_object('OrderingKey', repeat('x', 257))), ('publish', '{"OrderingKey": 1e300}'), ('publish', '{"Headers": 1}'), ('publish', '{"Destination": 1}'),
  ('publish', '{"Destination": "topic", "OrderingKey": false}'), ('publish', '{"Destination": "topic", "OrderingKeys": "x"}'), ('publish', '{"Destination": "topic", "Headers": "x"}'),
  ('publish', '{"Destination": "sqs", "OrderingKey": []}'),
  ('sns', '{"Subject": {}}'), ('sns', '{"Subject": 5}'), ('sns', '{"MessageStructure": true}'), ('sns', '{"MessageAttributes": "x"}'), ('sns', '{"MessageAttributes": []}'),
  ('sns', '{"MessageAttributes": {"a": "x"}}'), ('sns', '{"MessageAttributes": {"a": {"DataType": "Number", "StringValue": 5}}}'),
  ('sns', '{"MessageAttributes": {"a": {"DataType": 1, "StringValue": "5"}}}'), ('sns', '{"MessageAttributes": {"a": {"DataType": "Binary", "StringValue": 1, "BinaryValue": "aaaa"}}}'),
  ('sns', '{"MessageAttributes": {"a": {"DataType": "String", "StringValue": "a", "BinaryValue": "aaaa"}}}'),
  ('sns', '{"MessageAttributes": {"a": {"DataType": "String", "StringValue": "a", "Type": "x"}}}'), ('sns', '{"MessageGroupId": 5000}'),
  ('sns', '{"TopicArn": "saga:fifo", "MessageGroupId": 5000}'), ('sns', '{"TopicArn": "saga:fifo", "MessageGroupId": "a", "MessageDeduplicationId": {}}'), ('sns', '{"TopicArn": []}'),
  ('sqs', '{"DelaySeconds": "5"}'), ('sqs', '{"DelaySeconds": -1}'), ('sqs', '{"DelaySeconds": 1.5}'), ('sqs', '{"DelaySeconds": true}'), ('sqs', '{"MessageGroupId": 1}'),
  ('sqs', '{"MessageDeduplicationId": 1}'), ('sqs', '{"MessageAttributes": 1}'), ('sqs', '{"QueueUrl": 1}'),
  ('here', '{"DelaySeconds": -1}'), ('here', '{"DelaySeconds": "Grüße"}'), ('here', '{"DelaySeconds": 901}'), ('here', '{"DelaySeconds": {}}'), ('here', '{"MessageAttributes": 1}'),
  ('here', '{"MessageGroupId": {}}'), ('here', '{"MessageDeduplicationId": 5}'), ('here', '{"delaySeconds": 5}')) v(service, member) JOIN service USING (service);
CALL saga.drain();
SELECT service, left(member::text, 60) AS member, status, coalesce(e.output ->> 'Error', error) AS error, coalesce(e.output ->> 'Cause', cause) AS cause
  FROM wrong JOIN saga.executions e ON e.execution_id = id ORDER BY service, wrong.member::text COLLATE "C";
SELECT count(*) AS messages FROM saga.outbox;

-- a number is a key, the same however it is written
SELECT pg_temp.start(resource, parameters || member) IS NOT NULL AS started FROM service,
  unnest('{"{\"OrderingKey\": 5000}","{\"OrderingKey\": 5000.0}","{\"OrderingKey\": \"5000\"}","{\"OrderingKey\": -1.50}","{\"OrderingKey\": null}","{\"OrderingKey\": 12345678901234567890}"}'::jsonb[]) WITH ORDINALITY m(member, n)
  WHERE service = 'publish' ORDER BY n;
SELECT pg_temp.start(resource, parameters || '{"Destination": "fifo", "OrderingKey": 5000}') IS NOT NULL AS started FROM service WHERE service = 'publish';
CALL saga.drain();
SELECT d.name, o.ordering_key, o.request ->> 'MessageGroupId' AS message_group FROM saga.outbox o JOIN saga.destination d USING (destination_id) ORDER BY 1, 2, 3;

-- what is right goes into a queue of this database, at its time
SELECT pg_temp.start(resource, parameters || member) IS NOT NULL AS started FROM service,
  unnest('{"{\"DelaySeconds\": 900}","{\"DelaySeconds\": 0}","{\"DelaySeconds\": null, \"MessageGroupId\": null}"}'::jsonb[]) WITH ORDINALITY m(member, n)
  WHERE service = 'here' ORDER BY n;
CALL saga.drain();
SELECT count(*) FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.name = 'here';
SELECT count(*), min(wake_at - sent_at) > interval '890 seconds' AS later FROM saga.timer t JOIN saga.queue q USING (queue_id) WHERE q.name = 'here' AND t.receives = 0;
