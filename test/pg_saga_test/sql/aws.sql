-- What SQS and SNS answer (src/aws/sqs.c, src/net/xml.c), and what SQS is asked. What each should give stands beside it; only
-- what gives something else is shown.
CREATE EXTENSION pg_saga_test;
\pset null (none)

-- ---------- messages ----------
-- as in the reference of ReceiveMessage
SELECT jsonb_pretty(saga_test.sqs_messages('{"Messages": [{"Attributes": {"SenderId": "AIDASSYFHUBOBT7F4XT75", "ApproximateFirstReceiveTimestamp": "1677112433437",
	"ApproximateReceiveCount": "1", "SentTimestamp": "1677112427387", "MessageGroupId": "g", "MessageDeduplicationId": "d", "AWSTraceHeader": "Root=1"},
	"Body": "This is a test message", "MD5OfBody": "fafb00f5732ab283681e124bf8747ed1", "MessageId": "219f8380-5770-4cc2-8c3e-5c715e145f5e",
	"ReceiptHandle": "AQEBaZ+j5qUoOAoxlmrCQPkBm9njMWXqemmIG6shMHCO6fV20JrQYg/AiZ8JELwLwOu5U61W+aIX5Qzu7GGofxJuvzymr4Ph53RiR0mudj4InLSgpSspYeTRDteBye5tV/txbZDdNZxsi+qqZA9xPnmMscKQqF6pGhnGIKrnkYGl45Nl6GPIZv62LrIRb6mSqOn1fn0yqrvmWuuY3w2UzQbaYunJWGxpzZze21EOBtywknU3Je/g7G9is+c6K9hGniddzhLkK1tHzZKjejOU4jokaiB4nmi0dF3JqLzDsQuPF0Gi8qffhEvw56nl8QCbluSJScFhJYvoagGnDbwOnd9z50L239qtFIgETdpKyirlWwl/NGjWJ45dqWpiW3d2Ws7q",
	"MessageAttributes": {"City": {"StringValue": "Any City", "DataType": "String"}, "Blob": {"BinaryValue": "VmlubnkgUmF2ZW4=", "DataType": "Binary"}, "N": {"StringValue": "10", "DataType": "Number.int"}}}]}'));
-- an empty answer, and what is none
SELECT answer, expected, saga_test.sqs_messages(answer) FROM (VALUES ('{}', '[]'::jsonb), ('{"Messages": []}', '[]'), ('{"Messages": null}', '[]'), ('{"Messages": [], "Other": 1}', '[]'),
	('', NULL), ('null', NULL), ('[]', NULL), ('1', NULL), ('"x"', NULL), ('{"Messages": [1]}', NULL), ('{"Messages": [null]}', NULL),
	('{"Messages": [{}]}', NULL), ('{"Messages": [{"MessageId": "m"}]}', NULL), ('{"Messages": [{"MessageId": "m", "ReceiptHandle": "r"}]}', NULL), ('{"Messages": [{"MessageId": "m", "Body": "b"}]}', NULL),
	('{"Messages": [{"ReceiptHandle": "r", "Body": "b"}]}', NULL), ('{"Messages": [{"MessageId": 1, "ReceiptHandle": "r", "Body": "b"}]}', NULL), ('{"Messages": [', NULL), ('{"Messages": []} x', NULL),
	('<html></html>', NULL)) t(answer, expected) WHERE saga_test.sqs_messages(answer) IS DISTINCT FROM expected;
CREATE FUNCTION pg_temp.message(more text DEFAULT '', id text DEFAULT 'm', body text DEFAULT 'b') RETURNS text LANGUAGE sql AS $$
	SELECT format('{"MessageId": "%s", "ReceiptHandle": "r", "Body": %s%s}', id, to_json(body), more)
$$;
CREATE FUNCTION pg_temp.messages(VARIADIC messages text[]) RETURNS jsonb LANGUAGE sql AS $$
	SELECT saga_test.sqs_messages('{"Messages": [' || array_to_string(messages, ',') || ']}')
$$;
-- what stands in them
SELECT body, m -> 0 ->> 'body' AS got FROM unnest(ARRAY['', ' ', 'x', 'Größe 😀', E'line\nline\ttab', '"quoted" \back', '{"a": 1}', repeat('long ', 1000)]) body, LATERAL (SELECT pg_temp.messages(pg_temp.message('', 'm', body)) AS m) x
	WHERE m -> 0 ->> 'body' IS DISTINCT FROM body;
-- its checksum: of the bytes of the body, in either case; none is one that is not right
SELECT body, expected, m -> 0 ->> 'intact' AS got FROM (VALUES ('This is a test message', 'fafb00f5732ab283681e124bf8747ed1', true), ('This is a test message', 'FAFB00F5732AB283681E124BF8747ED1', NULL), ('This is a test messagE', 'fafb00f5732ab283681e124bf8747ed1', false),
	('', 'd41d8cd98f00b204e9800998ecf8427e', true), ('Größe', md5('Größe'), true), ('x', '', false), ('x', 'zz', false)) t(body, md5, expected),
	LATERAL (SELECT pg_temp.messages(pg_temp.message(format(', "MD5OfBody": "%s"', md5), 'm', body)) AS m) x WHERE expected IS NOT NULL AND (m -> 0 ->> 'intact')::boolean <> expected;
SELECT attributes, receives, sent_ms, m -> 0 ->> 'receives' AS got_receives, m -> 0 ->> 'sent_ms' AS got_sent FROM (VALUES
	('{"ApproximateReceiveCount": "3", "SentTimestamp": "1677112427387"}', 3, 1677112427387), ('{}', 0, 0), ('{"ApproximateReceiveCount": "x", "SentTimestamp": ""}', 0, 0),
	('{"ApproximateReceiveCount": 3, "SentTimestamp": 5}', 0, 0), ('{"SentTimestamp": "0"}', 0, 0), ('null', 0, 0), ('[]', 0, 0)) t(attributes, receives, sent_ms),
	LATERAL (SELECT pg_temp.messages(pg_temp.message(', "Attributes": ' || attributes)) AS m) x
	WHERE (m -> 0 ->> 'receives')::bigint <> receives OR (m -> 0 ->> 'sent_ms')::bigint <> sent_ms;
-- what is no such number is not said: a damaged message that was received often enough is a dead letter, so its count must not turn
SELECT n, m -> 0 ->> 'receives' AS receives, m -> 0 ->> 'sent_ms' AS sent_ms FROM unnest(ARRAY['0', '007', '2147483647', '2147483648', '4294967297', '9223372036854775807', '9223372036854775808', '99999999999999999999', '-1', '+1', '1e3', ' 7', '7x', '1.5', '']) n,
	LATERAL (SELECT pg_temp.messages(pg_temp.message(format(', "Attributes": {"ApproximateReceiveCount": "%s", "SentTimestamp": "%s"}', n, n))) AS m) x;
SELECT a, m -> 0 ->> 'attributes' AS got FROM unnest(ARRAY['{}', '{"a": {"StringValue": "1"}}', '{"b": {"BinaryValue": "eA=="}}', '{"c": {}}', '{"c": 1}', '{"c": null}', '{"a": {"StringValue": ""}}', '{"a": {"StringValue": "1", "BinaryValue": "eA=="}}', '[]', 'null', '"x"']) a,
	LATERAL (SELECT pg_temp.messages(pg_temp.message(', "MessageAttributes": ' || a)) AS m) x;

-- ---------- notifications of SNS in them ----------
CREATE FUNCTION pg_temp.unwrapped(notification text) RETURNS text LANGUAGE sql AS $$
	SELECT m -> 0 ->> 'body' || ' | ' || (m -> 0 ->> 'attributes') FROM saga_test.sqs_messages('{"Messages": [' || pg_temp.message('', 'm', notification) || ']}', true) m
$$;
SELECT pg_temp.unwrapped('{"Type": "Notification", "MessageId": "n-1", "TopicArn": "arn:aws:sns:eu-central-1:1:t", "Subject": "s", "Message": "{\"a\": 1}", "Timestamp": "2026-01-01T00:00:00.000Z",
	"SignatureVersion": "1", "MessageAttributes": {"kind": {"Type": "String", "Value": "order"}, "n": {"Type": "Number", "Value": "5"}}}');
-- anything else stays as it is
SELECT n FROM unnest(ARRAY['', 'text', '{}', '[]', 'null', '{"Type": "SubscriptionConfirmation", "Message": "x", "MessageId": "n", "TopicArn": "t"}', '{"Type": "Notification"}', '{"Type": "Notification", "Message": 1, "MessageId": "n", "TopicArn": "t"}',
	'{"Message": "x", "MessageId": "n", "TopicArn": "t"}', '{"Type": "notification", "Message": "x", "MessageId": "n", "TopicArn": "t"}']) n WHERE pg_temp.unwrapped(n) <> n || ' | ';
SELECT pg_temp.unwrapped('{"Type": "Notification", "Message": "", "MessageId": "n", "TopicArn": "t"}');

-- ---------- other answers of SQS ----------
SELECT saga_test.aws_answer('sqs', '{"MessageId": "219f8380", "MD5OfMessageBody": "fafb00f5732ab283681e124bf8747ed1", "SequenceNumber": "18849496460467696128"}');
SELECT jsonb_pretty(saga_test.aws_answer('sqs', '{"Successful": [{"Id": "0", "MessageId": "m0", "MD5OfMessageBody": "aa"}], "Failed": [{"Id": "1", "SenderFault": true, "Code": "InvalidParameterValue", "Message": "no"},
	{"Id": "2", "SenderFault": false, "Code": "InternalError"}]}'));
SELECT answer, saga_test.aws_answer('sqs', answer) ->> 'code' AS code, saga_test.aws_answer('sqs', answer) ->> 'message' AS message FROM unnest(ARRAY[
	'{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist."}', '{"__type": "com.amazon.coral.service#ExpiredTokenException", "Message": "expired"}', '{"__type": "ThrottlingException"}',
	'{"__type": "a#b#c", "message": "m"}', '{"__type": "", "message": "m"}', '{"message": "m"}', '{}', '[]', 'null', '', '<ErrorResponse/>', '{"Successful": 1}', '{"Failed": [{"Id": "0"}]}', '{"Successful": [{"Id": "0"}]}']) answer;
-- as many entries as a batch may have, and no more
SELECT n, jsonb_array_length(saga_test.aws_answer('sqs', '{"Successful": [' || (SELECT string_agg(format('{"Id": "%s", "MessageId": "m"}', i), ',') FROM generate_series(1, n) i) || ']}') -> 'entries') AS entries FROM unnest('{1,10,11}'::int[]) n;
-- texts that are too long are cut, not written over what is behind them
SELECT length(a ->> 'code') AS code, length(a ->> 'message') AS message FROM saga_test.aws_answer('sqs', format('{"__type": "%s", "message": "%s"}', repeat('c', 1000), repeat('ä', 1000))) a;

-- ---------- answers of SNS ----------
SELECT saga_test.aws_answer('sns', '<PublishResponse xmlns="https://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>94f20ce6-13c5-43a0-9a9e-ca52d816e90b</MessageId><SequenceNumber>10000000000000003000</SequenceNumber></PublishResult>
	<ResponseMetadata><RequestId>f187a3c1-376f-11df-8963-01868b7c937a</RequestId></ResponseMetadata></PublishResponse>');
SELECT jsonb_pretty(saga_test.aws_answer('sns', '<PublishBatchResponse><PublishBatchResult><Successful><member><Id>0</Id><MessageId>m0</MessageId></member><member><MessageId>m1</MessageId><Id>1</Id></member></Successful>
	<Failed><member><Id>2</Id><Code>InternalError</Code><Message>a &lt;b&gt; &amp; c</Message><SenderFault>false</SenderFault></member></Failed></PublishBatchResult></PublishBatchResponse>'));
SELECT saga_test.aws_answer('sns', '<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>Topic does not exist</Message></Error><RequestId>r</RequestId></ErrorResponse>');
SELECT answer, saga_test.aws_answer('sns', answer) FROM unnest(ARRAY['', 'text', '{}', '<html><body>502</body></html>', '<PublishResponse>', '<PublishResponse/>', '<PublishResponse></PublishResponse> x', '<PublishResponse><PublishResult/></PublishResponse>',
	'<ErrorResponse/>', '<ErrorResponse><Error><Code/></Error></ErrorResponse>', '<PublishBatchResponse/>', '<a:PublishResponse xmlns:a="x"><MessageId>m</MessageId></a:PublishResponse>',
	'<?xml version="1.0"?><PublishResponse><PublishResult><MessageId> m </MessageId></PublishResult></PublishResponse>', '<PublishResponse><PublishResult><MessageId>a<!-- c -->b</MessageId></PublishResult></PublishResponse>',
	'<PublishResponse><PublishResult><MessageId><![CDATA[<x>]]></MessageId></PublishResult></PublishResponse>', '<PublishResponse><PublishResult><MessageId>&#65;&#x42;</MessageId></PublishResult></PublishResponse>',
	'<!DOCTYPE x [<!ENTITY e "boom">]><PublishResponse><PublishResult><MessageId>&e;</MessageId></PublishResult></PublishResponse>',
	'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><PublishResponse><PublishResult><MessageId>&e;</MessageId></PublishResult></PublishResponse>']) answer;
-- depth, and entities within entities, are no way to use up stack or memory
SELECT saga_test.aws_answer('sns', repeat('<a>', 100000)) IS NULL, saga_test.aws_answer('sns', repeat('<a>', 100000) || repeat('</a>', 100000)) IS NULL;
SELECT saga_test.aws_answer('sns', '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' || (SELECT string_agg(format('<!ENTITY %s "%s">', chr(97 + i), repeat('&' || chr(96 + i) || ';', 10)), '' ORDER BY i) FROM generate_series(1, 12) i)
	|| ']><ErrorResponse><Error><Message>&m;</Message></Error></ErrorResponse>') ->> 'message' IS NULL AS nothing;
SELECT length(a ->> 'code') AS code, length(a ->> 'message') AS message FROM saga_test.aws_answer('sns', format('<ErrorResponse><Error><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>', repeat('c', 1000), repeat('ä', 1000))) a;
SELECT n, jsonb_array_length(saga_test.aws_answer('sns', '<PublishBatchResponse><PublishBatchResult><Successful>' || repeat('<member><Id>0</Id></member>', n) || '</Successful></PublishBatchResult></PublishBatchResponse>') -> 'entries') AS entries
	FROM unnest('{1,10,11,5000}'::int[]) n;

-- ---------- what SQS is asked ----------
SELECT saga_test.sqs_request('receive', 'https://sqs.eu-central-1.amazonaws.com/1/q', 'x');
SELECT saga_test.sqs_request('delete', 'https://a/"q\', 'r0', 'r"1', E'r\n2'), saga_test.sqs_request('hide', 'u', 'r0', 'ü');
SELECT jsonb_array_length(saga_test.sqs_request('delete', 'u', VARIADIC array_fill('r'::text, ARRAY[10])) -> 'Entries') AS entries, (SELECT count(DISTINCT e ->> 'Id') FROM jsonb_array_elements(saga_test.sqs_request('hide', 'u', VARIADIC array_fill('r'::text, ARRAY[10])) -> 'Entries') e) AS ids;
