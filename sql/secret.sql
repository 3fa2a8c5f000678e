-- Secrets: who may make, use and read them; references to them. No publisher and no server here:
-- nobody listens on port 1.
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE ROLE secret_owner;
CREATE ROLE secret_other;
CREATE ROLE secret_team;
GRANT secret_team TO secret_owner;
GRANT USAGE ON SCHEMA saga TO secret_owner, secret_other, secret_team;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO secret_owner, secret_other, secret_team;
GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA saga TO secret_owner;
GRANT SELECT ON saga.secrets, saga.outbox_status TO secret_owner, secret_other;

-- ---------- making, changing ----------
SET ROLE secret_owner;
SELECT saga.set_secret('books-key', 'Xk-0815-secret');
SELECT saga.set_secret('books-key', 'Xk-0816-secret');
SELECT saga.set_secret('', 'x');
SELECT saga.set_secret('a:b', 'x');
SELECT saga.set_secret(repeat('x', 101), 'x');
SELECT saga.set_secret('x', NULL);
SELECT saga.set_secret('x', '');
SELECT saga.set_secret('x', E'a\nb');
SELECT saga.set_secret('x', repeat('x', 16385));
SELECT saga.drop_secret('x');
RESET ROLE;
SELECT name, owner, value, changed_at >= created_at AS changed FROM saga.secret;
SELECT saga.set_secret('admin-key', 'Xk-0817-secret');

-- ---------- reading ----------
SET ROLE secret_owner;
SELECT name, owner FROM saga.secrets;
SELECT value FROM saga.secret;
SELECT access_token FROM saga.token;
SELECT saga.set_secret('postgres.admin-key', 'mine');
SELECT saga.drop_secret('postgres.admin-key');
SELECT saga.drop_secret('admin-key');
SET ROLE secret_other;
SELECT name FROM saga.secrets;
SELECT saga.set_secret('secret_owner.books-key', 'mine');
SELECT saga.drop_secret('secret_owner.books-key');
SELECT saga.drop_secret('books-key');
RESET ROLE;
SELECT attname FROM pg_attribute WHERE attrelid = 'saga.secrets'::regclass AND attnum > 0 ORDER BY attnum;
SELECT count(*) FROM pg_class c, aclexplode(c.relacl) a
 WHERE c.oid IN ('saga.secret'::regclass, 'saga.token'::regclass) AND a.grantee <> c.relowner;

-- ---------- referring to them ----------
CREATE FUNCTION pg_temp.headers(value text) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('url', 'https://example.invalid/', 'headers', jsonb_build_object('X-Api-Key', value)) $$;
CREATE FUNCTION pg_temp.fault(settings jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM saga.create_destination('wrong', 'http', settings);
	RAISE EXCEPTION 'accepted';
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END $$;
SELECT s, pg_temp.fault(pg_temp.headers(s)) FROM unnest(ARRAY['{secret:}', '{secret:a{b}', '{secret:vault:x}', '{secret:books-key']) s;
SET ROLE secret_owner;
SELECT saga.create_destination('d1', 'http', pg_temp.headers('{secret:no-such}'));
SELECT saga.create_destination('d1', 'http', pg_temp.headers('{secret:admin-key}'));
SELECT saga.create_destination('d1', 'http', pg_temp.headers('{secret:books-key}')) > 0 AS made;
SELECT saga.drop_secret('books-key');
-- given away: used, not read, not sent elsewhere
SELECT saga.set_destination_owner('d1', 'secret_team');
RESET ROLE;
REVOKE secret_team FROM secret_owner;
GRANT secret_team TO secret_other;
SET ROLE secret_other;
SELECT saga.publish_to('secret_team.d1', '{}') IS NOT NULL AS accepted;
SELECT saga.alter_destination('secret_team.d1', '{"url": "https://mine.invalid/", "headers": {"X-Api-Key": "{secret:books-key}"}}');
RESET ROLE;
SET ROLE secret_owner;
SELECT saga.drop_secret('books-key');
RESET ROLE;
-- what a restored destination refers to is nobody's to take, and its owner's to set again
DELETE FROM saga.secret WHERE name = 'books-key';
SET ROLE secret_other;
SELECT saga.set_secret('books-key', 'Xk-0819-secret');
SELECT saga.drop_secret('books-key');
SET ROLE secret_owner;
SELECT saga.set_secret('books-key', 'Xk-0818-secret');
SELECT saga.drop_secret('books-key');
RESET ROLE;
-- and one that is gone is a named error when it is needed
DELETE FROM saga.secret WHERE name = 'books-key';
CALL saga.publish();
SELECT last_class, last_error FROM saga.outbox WHERE attempts > 0;

-- a source's
SELECT saga.create_queue('letters') > 0 AS made;
SELECT saga.set_secret('books-aws', '{"access_key_id": "A", "secret_access_key": "S"}');
SELECT saga.create_source('letters', 'sqs', '{"queue_url": "https://sqs.eu-west-1.amazonaws.com/1/q", "credentials": {"secret": "books-aws"}}', 'letters') > 0 AS made;
SELECT saga.drop_secret('books-aws');
DELETE FROM saga.secret WHERE name = 'books-aws';
SET ROLE secret_other;
SELECT saga.set_secret('books-aws', '{}');
SELECT saga.drop_secret('books-aws');
RESET ROLE;
SELECT saga.set_secret('books-aws', '{}');
SELECT saga.drop_secret('books-aws');
SELECT saga.drop_source('letters');
SELECT saga.drop_queue('letters');

DELETE FROM saga.outbox;
SELECT saga.drop_destination('secret_team.d1');
SELECT saga.drop_secret(name) FROM saga.secret ORDER BY name;
SELECT count(*) FROM saga.secret;
DROP FUNCTION pg_temp.headers(text);
SET pg_saga.keep_owners = off;
DROP OWNED BY secret_owner, secret_other, secret_team;
DROP ROLE secret_owner, secret_other, secret_team;
