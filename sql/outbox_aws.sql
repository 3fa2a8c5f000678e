-- Destinations at AWS: what their settings may say.
SET client_min_messages = warning;

CREATE FUNCTION wrong(kind text, settings jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM saga.create_destination('wrong', kind, settings);
	RAISE EXCEPTION 'taken' USING DETAIL = 'nothing is wrong';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN coalesce(nullif(detail, ''), sqlerrm);
END $$;

CREATE FUNCTION signed(more jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT wrong('http', '{"url": "https://api.example.com/v1", "region": "eu-west-1",
		"auth": {"type": "aws_sigv4", "service": "execute-api"}}'::jsonb || more) $$;

-- what can be signed
SELECT settings, signed(settings) FROM (VALUES
	('{}'::jsonb),
	('{"auth": {"type": "aws_sigv4"}}'),
	('{"auth": {"type": "aws_sigv4", "service": ""}}'),
	('{"auth": {"type": "aws_sigv4", "service": "Execute API"}}'),
	('{"auth": {"type": "aws_sigv4", "service": "s3"}}'),
	('{"region": "EU west"}'),
	('{"region": ""}'),
	('{"url": "https://api.example.com/v1/{id}/lines?b=2&a"}'),
	('{"url": "https://api.example.com/v1/a:b"}'),
	('{"url": "https://api.example.com/v1/a*"}'),
	('{"url": "https://api.example.com/a%20b"}'),
	('{"headers": {"X-Empty": ""}}'),
	('{"headers": {"X-Umlaut": "ü"}}'),
	('{"headers": {"Host": "other"}}'),
	('{"headers": {"x-amz-date": "20240101T000000Z"}}'),
	('{"headers": {"Authorization": "{secret:env:X}"}}'),
	('{"headers": {"X-Amz-Security-Token": "{secret:env:X}"}}'),
	('{"lookup": {"url": "/v1/find:it?n={number}", "found": "items[0]"}}'),
	('{"credentials": {"file": "relative"}}'),
	('{"credentials": {"secret": ""}}'),
	('{"credentials": {"profile": "p", "secret": "s"}}'),
	('{"credentials": {"access_key_id": "AKIA"}}')) v(settings);

-- whose credentials: the server's own are not for everybody
CREATE ROLE saga_aws_plain;
GRANT USAGE ON SCHEMA saga TO saga_aws_plain;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO saga_aws_plain;
SET ROLE saga_aws_plain;
SELECT saga.create_destination('theirs', 'sns', '{"topic_arn": "arn:aws:sns:eu-west-1:123456789012:t"}');
SELECT saga.create_destination('theirs', 'sns', '{"topic_arn": "arn:aws:sns:eu-west-1:123456789012:t", "credentials": {"profile": "p"}}');
SELECT saga.create_destination('theirs', 'http', '{"url": "https://a", "auth": {"type": "aws_sigv4", "service": "x"}}');
RESET ROLE;

-- a message whose path or headers could not be signed is refused when it is accepted
SELECT saga.create_destination('orders', 'http', '{"url": "https://api.example.com/orders/{id}",
	"auth": {"type": "aws_sigv4", "service": "execute-api"}}') IS NOT NULL AS created;
SELECT saga.publish_to('orders', '{"id": "a b"}');
SELECT saga.publish_to('orders', '{"id": "7"}', NULL, '{"X-Note": "é"}');
SELECT saga.publish_to('orders', '{"id": "7"}', NULL, '{"X-Note": ""}');
SELECT saga.publish_to('orders', '{"id": "7"}', NULL, '{"x-amz-date": "now"}');
SELECT saga.publish_to('orders', '{"id": "7"}', NULL, '{"X-Note": "all well"}') IS NOT NULL AS taken;

-- where credentials come from is the server's business
SHOW pg_saga.aws_credentials;
SET pg_saga.aws_credentials = 'imds';
SET pg_saga.keep_owners = off;
DROP OWNED BY saga_aws_plain;
DROP ROLE saga_aws_plain;
