-- Who is a member of a role and does not inherit from it has none of its rights before SET ROLE: no
-- view shows him what the functions refuse him.
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE ROLE usage_team;
CREATE ROLE usage_member NOINHERIT;
CREATE ROLE usage_heir INHERIT;
GRANT usage_team TO usage_member, usage_heir;
GRANT USAGE ON SCHEMA saga TO usage_team, usage_member, usage_heir;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA saga TO usage_team, usage_member, usage_heir;
GRANT SELECT ON ALL TABLES IN SCHEMA saga TO usage_member, usage_heir;

-- where bare names are one's own, the team's come next
SELECT count(set_config(name, 'usage_team', false)) >= 0 AS set FROM pg_settings WHERE name = 'pg_saga.owner_path';

-- ---------- one of everything ----------
SET ROLE usage_team;
SELECT saga.create_queue('usage-q', '1 s', 1) > 0 AND saga.create_activity('usage-a') > 0 AS made;
SELECT saga.set_secret('usage-key', 'Xk-0815-secret');
SELECT saga.create_destination('usage-d', 'http', '{"url": "https://127.0.0.1:1", "headers": {"X-Key": "{secret:usage-key}"}}') > 0 AS made;
SELECT saga.create_workflow('usage-w', '{"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "E"}}}');
SELECT saga.publish_alias('usage-w', 'usage-a', '{"1": 100}');
SELECT saga.start_execution('usage-w') IS NOT NULL AS accepted;
CALL saga.drain();
SELECT saga.start_execution('usage-w') AS execution \gset
SELECT saga.publish_to('usage-d', '{}') IS NOT NULL AS accepted;
RESET ROLE;
-- with the server's credentials: not for everybody to make
SELECT saga.create_source('usage-s', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"}', queue) > 0 AS made
FROM (SELECT 'usage-q') q (queue);
SELECT saga.set_source_owner('usage-s', 'usage_team');

-- ---------- what the views show ----------
CREATE FUNCTION pg_temp.rows_of(view regclass) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM %s', view) INTO n;
	RETURN n > 0;
END $$;
CREATE TEMP TABLE seen (role name, view text, rows boolean);
GRANT INSERT ON seen TO usage_member, usage_heir;
CREATE TEMP VIEW views AS
	SELECT oid::regclass AS view FROM pg_class
	WHERE relnamespace = 'saga'::regnamespace AND relkind = 'v'
		-- for no one; processes, of which there are none in this test; rights of one's own
		AND relname NOT IN ('all_executions', 'all_dead_letters', 'workers', 'grants');
GRANT SELECT ON views TO usage_member, usage_heir;
SET ROLE usage_heir;
INSERT INTO seen SELECT current_user, view, pg_temp.rows_of(view) FROM views;
SET ROLE usage_member;
INSERT INTO seen SELECT current_user, view, pg_temp.rows_of(view) FROM views;
RESET ROLE;
SELECT view, bool_or(rows) FILTER (WHERE role = 'usage_heir') AS heir, bool_or(rows) FILTER (WHERE role = 'usage_member') AS member
FROM seen GROUP BY view ORDER BY view COLLATE "C";

-- ---------- what the functions say ----------
CREATE FUNCTION pg_temp.refused(call text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT ' || call;
	RAISE 'passed' USING ERRCODE = 'SA000';
EXCEPTION
	WHEN SQLSTATE 'SA000' THEN RETURN false;
	WHEN OTHERS THEN RETURN true;
END $$;
CREATE TEMP TABLE said (role name, call text, refused boolean);
GRANT INSERT ON said TO usage_member, usage_heir;
CREATE TEMP TABLE calls (call text);
GRANT SELECT ON calls TO usage_member, usage_heir;
INSERT INTO calls VALUES
	($$saga.send('usage_team.usage-q', '{}')$$), ($$saga.receive('usage_team.usage-q')$$), ($$saga.purge('usage_team.usage-q')$$),
	($$saga.get_activity_task('usage_team.usage-a', NULL, '0 s')$$),
	($$saga.pause_destination('usage_team.usage-d')$$), ($$saga.publish_to('usage_team.usage-d', '{}')$$), ($$saga.pause_source('usage_team.usage-s')$$),
	($$saga.set_secret('usage_team.usage-key', 'x')$$), ($$saga.start_execution('usage_team.usage-w')$$), ($$saga.redrive('usage_team.usage-w', 'E')$$);
INSERT INTO calls VALUES (format($$saga.stop_execution(%L)$$, :'execution'));
SET ROLE usage_heir;
INSERT INTO said SELECT current_user, call, pg_temp.refused(call) FROM calls;
SET ROLE usage_member;
INSERT INTO said SELECT current_user, call, pg_temp.refused(call) FROM calls;
RESET ROLE;
SELECT replace(call, :'execution', 'ID') AS call, bool_or(refused) FILTER (WHERE role = 'usage_heir') AS heir_refused,
	bool_or(refused) FILTER (WHERE role = 'usage_member') AS member_refused
FROM said GROUP BY call ORDER BY said.call COLLATE "C";

DELETE FROM saga.outbox;
SET ROLE usage_team;
SELECT saga.drop_source('usage-s');
SELECT saga.drop_destination('usage-d');
SELECT saga.drop_secret('usage-key');
SELECT saga.drop_queue('usage-q'), saga.drop_activity('usage-a');
RESET ROLE;
-- what is left of the workflow goes with the database of this test
SET pg_saga.keep_owners = off;
DROP OWNED BY usage_member, usage_heir, usage_team;
DROP ROLE usage_member, usage_heir, usage_team;
