-- Settings of auth: which members each type needs, and each fault with its JSON path.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT saga.set_secret('s', 'As-0815-secret');
CREATE FUNCTION pg_temp.fault(settings text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	message text;
BEGIN
	PERFORM saga.create_destination('wrong', 'http', '{"url": "https://example.invalid/"}'::jsonb || settings::jsonb);
	PERFORM saga.drop_destination('wrong');
	RETURN 'accepted';
EXCEPTION WHEN invalid_parameter_value OR undefined_object THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, message = MESSAGE_TEXT;
	RETURN CASE WHEN message LIKE 'invalid settings%' THEN detail ELSE message END;
END $$;

SELECT s AS auth, pg_temp.fault(format('{"auth": %s}', s)) FROM unnest(ARRAY[
	'1', '{}', '{"type": "digest"}', '{"type": "none"}', '{"type": "none", "token": "{secret:s}"}', '{"type": "basic", "colour": 1}',
	'{"type": "basic"}', '{"type": "basic", "user": "u"}', '{"type": "basic", "user": "u", "password": "plain"}',
	'{"type": "basic", "user": "u", "password": "{secret:s}"}', '{"type": "basic", "user": "{secret:s}", "password": "{secret:s}", "token": "{secret:s}"}',
	'{"type": "bearer"}', '{"type": "bearer", "token": "plain"}', '{"type": "bearer", "token": "{secret:s}"}', '{"type": "bearer", "token": "{secret:none}"}',
	'{"type": "header", "name": "X-Key"}', '{"type": "header", "value": "{secret:s}"}', '{"type": "header", "name": "X Key", "value": "{secret:s}"}',
	'{"type": "header", "name": "Host", "value": "{secret:s}"}', '{"type": "header", "name": "Idempotency-Key", "value": "{secret:s}"}',
	'{"type": "header", "name": "X-Key", "value": "Token {secret:s}"}',
	'{"type": "aws_sigv4"}', '{"type": "aws_sigv4", "service": "execute-api"}'
]) s;
SELECT s AS oauth, pg_temp.fault(format('{"auth": %s}', '{"type": "oauth2_client_credentials", "token_url": "https://example.invalid/token", "client_id": "c", "client_secret": "{secret:s}"}'::jsonb || s::jsonb))
 FROM unnest(ARRAY[
	'{}', '{"token_url": null}', '{"token_url": "ftp://a"}', '{"token_url": "https://a/{x}"}', '{"token_url": "/token"}', '{"client_id": null}', '{"client_id": ""}',
	'{"client_secret": null}', '{"client_secret": "plain"}', '{"send": "header"}', '{"send": "form", "scope": "a b", "audience": "x"}',
	'{"early_refresh_s": -1}', '{"refresh_token": "s"}', '{"type": "oauth2_refresh_token"}', '{"type": "oauth2_refresh_token", "refresh_token": "{secret:s}"}',
	'{"type": "oauth2_refresh_token", "refresh_token": "none"}', '{"type": "oauth2_refresh_token", "refresh_token": "s"}',
	'{"type": "oauth2_refresh_token", "refresh_token": "s", "client_secret": null}', '{"user": "u"}'
]) s;
-- what auth sets cannot be set twice
SELECT pg_temp.fault('{"auth": {"type": "bearer", "token": "{secret:s}"}, "headers": {"authorization": "{secret:s}"}}');
SELECT pg_temp.fault('{"auth": {"type": "header", "name": "X-Key", "value": "{secret:s}"}, "headers": {"x-key": "1"}}');

-- secrets in the clear
SELECT s AS settings, pg_temp.fault(s) FROM unnest(ARRAY[
	'{"url": "http://example.invalid/"}', '{"url": "http://example.invalid/", "headers": {"X-Key": "{secret:s}"}}',
	'{"url": "http://example.invalid/", "headers": {"X-Key": "{secret:s}"}, "allow_http": true}',
	'{"url": "http://192.0.2.1/", "headers": {"X-Key": "{secret:s}"}}', '{"url": "http://[2001:db8::1]/", "headers": {"X-Key": "{secret:s}"}}',
	'{"url": "http://127.0.0.1/", "headers": {"X-Key": "{secret:s}"}}', '{"url": "http://10.0.0.1/", "headers": {"X-Key": "{secret:s}"}}',
	'{"url": "http://[::1]/", "headers": {"X-Key": "{secret:s}"}}', '{"url": "http://localhost/", "headers": {"X-Key": "{secret:s}"}}',
	'{"url": "http://example.invalid/", "auth": {"type": "bearer", "token": "{secret:s}"}}', '{"url": "http://2130706433/", "auth": {"type": "bearer", "token": "{secret:s}"}}',
	'{"auth": {"type": "oauth2_client_credentials", "token_url": "http://example.invalid/", "client_id": "c", "client_secret": "{secret:s}"}}',
	'{"auth": {"type": "bearer", "token": "{secret:s}"}, "lookup": {"url": "http://example.invalid/{number}", "found": "a"}}',
	'{"allow_http": 1}'
]) s;
SELECT saga.drop_secret('s');
