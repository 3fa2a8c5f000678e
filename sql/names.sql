-- Names per owner, and rights apart from owning: what a name means for whom, what each right allows,
-- and what an error does not tell.
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE ROLE names_alice LOGIN;
CREATE ROLE names_bob LOGIN;
CREATE ROLE names_team NOLOGIN;
CREATE ROLE names_mallory LOGIN;
CREATE ROLE "Names.Odd""Q" LOGIN;
GRANT USAGE ON SCHEMA saga TO PUBLIC;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA saga TO PUBLIC;
GRANT SELECT ON saga.queues, saga.workflows, saga.executions, saga.execution_history, saga.dead_letters, saga.destinations, saga.outbox_status,
	saga.sources, saga.secrets, saga.grants TO PUBLIC;
-- what a source asks for is not what anybody lacks here
GRANT pg_read_server_files TO names_bob;
CREATE SCHEMA names;
GRANT ALL ON SCHEMA names TO PUBLIC;
CREATE TABLE names.things (execution uuid, token text, letter uuid, message uuid, workflow integer);
GRANT ALL ON names.things TO PUBLIC;

-- what is said to a call: its effect is undone
CREATE FUNCTION names.said(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
	detail text;
	passed boolean;
BEGIN
	EXECUTE 'SELECT (' || call || ') IS NOT NULL' INTO passed;
	RAISE '%', CASE WHEN passed THEN 'passed' ELSE 'nothing' END USING ERRCODE = 'SA000';
EXCEPTION
	WHEN SQLSTATE 'SA000' THEN RETURN SQLERRM;
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
		RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
-- whose queue a message is in
CREATE FUNCTION names.owner_of(sent uuid) RETURNS regrole LANGUAGE sql SECURITY DEFINER AS
	$$ SELECT q.owner FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE m.message_id = sent $$;
CREATE FUNCTION names.hold(i jsonb, c jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO names.things VALUES ((c #>> '{Execution,Id}')::uuid, i ->> 'token') RETURNING 'null'::jsonb $$;
CREATE FUNCTION names.mine(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"mine"'::jsonb $$;
CREATE FUNCTION names.yours(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"yours"'::jsonb $$;

-- ---------- each right of each kind ----------
SET ROLE names_alice;
SELECT saga.create_workflow('w', '{"StartAt": "C", "States": {"C": {"Type": "Choice", "Choices": [{"Variable": "$.fail", "IsPresent": true, "Next": "F"}], "Default": "T"},
	"F": {"Type": "Fail", "Error": "E"},
	"T": {"Type": "Task", "Resource": "sql:names.hold.waitForTaskToken", "Parameters": {"token.$": "$$.Task.Token"}, "HeartbeatSeconds": 600, "End": true}}}');
SELECT count(saga.start_execution('w', i)) FROM unnest('{"{}", "{\"fail\": 1}"}'::jsonb[]) i;
CALL saga.drain();
SELECT saga.create_queue('q', max_receives => 1) > 0 AS made;
SELECT saga.send('q', '1') IS NOT NULL AS sent;
SELECT saga.create_destination('d', 'http', '{"url": "https://d.invalid/"}') > 0 AS made;
SELECT saga.set_secret('k', 'Xk-0815-secret');
SELECT saga.set_secret('aws', '{"access_key_id": "A", "secret_access_key": "S"}');
RESET ROLE;
GRANT pg_read_server_files TO names_alice;
\set source '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"}'
SET ROLE names_alice;
SELECT saga.create_source('s', 'sqs', :'source', 'q') > 0 AS made;
RESET ROLE;
UPDATE names.things SET letter = (SELECT dead_letter_id FROM saga.dead_letter), message = (SELECT message_id FROM saga.message WHERE kind = 'm'),
	workflow = (SELECT workflow_id FROM saga.workflow WHERE name = 'w');
SELECT count(*), bool_and(token IS NOT NULL AND letter IS NOT NULL AND message IS NOT NULL) AS complete FROM names.things;

CREATE TABLE names.calls (n serial, kind text, call text);
GRANT SELECT ON names.calls TO PUBLIC;
\set ECHO none
INSERT INTO names.calls (kind, call) VALUES
	('workflow', $$saga.start_execution('names_alice.w')$$),
	('workflow', $$saga.start_execution((SELECT workflow FROM names.things))$$),
	('workflow', $$saga.create_source('x', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"}', 'names_alice.w')$$),
	('workflow', $$saga.stop_execution((SELECT execution FROM names.things))$$),
	('workflow', $$saga.send_task_heartbeat((SELECT token FROM names.things))$$),
	('workflow', $$saga.send_task_success((SELECT token FROM names.things), '1')$$),
	('workflow', $$saga.send_task_failure((SELECT token FROM names.things))$$),
	('workflow', $$saga.redrive((SELECT letter FROM names.things))$$),
	('workflow', $$saga.redrive('names_alice.w')$$),
	('workflow', $$saga.workflow_version('names_alice.w')$$),
	('workflow', $$(SELECT max(status) FROM saga.executions WHERE owner = 'names_alice'::regrole)$$),
	('workflow', $$(SELECT max(h.type) FROM saga.execution_history h JOIN names.things t ON h.execution_id = t.execution)$$),
	('workflow', $$(SELECT max(name) FROM saga.workflows WHERE owner = 'names_alice'::regrole)$$),
	('workflow', $$(SELECT max(reason) FROM saga.dead_letters WHERE owner = 'names_alice'::regrole AND kind = 'execution')$$),
	('workflow', $$(SELECT max(name) FROM saga.queues WHERE owner = 'names_alice'::regrole AND kind = 'workflow')$$),
	('workflow', $$saga.create_workflow('names_alice.w', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')$$),
	('workflow', $$saga.set_workflow_owner('names_alice.w', current_user::regrole)$$),
	('workflow', $$saga.grant('workflow', 'names_alice.w', 'names_bob', 'start')$$),
	('workflow', $$saga.revoke('workflow', 'names_alice.w', 'names_bob', 'start')$$),
	('workflow', $$saga.send('names_alice.w', '1')$$),
	('queue', $$saga.send('names_alice.q', '1')$$),
	('queue', $$(SELECT count(*) FROM saga.send_batch('names_alice.q', '{}'))$$),
	('queue', $$saga.create_queue('x', dead_letter_queue => 'names_alice.q')$$),
	('queue', $$saga.create_source('x', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"}', 'names_alice.q')$$),
	('queue', $$(SELECT max(receives) FROM saga.receive('names_alice.q'))$$),
	('queue', $$saga.delete('names_alice.q', '{}')$$),
	('queue', $$saga.change_visibility('names_alice.q', '{}', '1 s')$$),
	('queue', $$saga.purge('names_alice.q')$$),
	('queue', $$saga.redrive('names_alice.q')$$),
	('queue', $$(SELECT max(name) FROM saga.queues WHERE owner = 'names_alice'::regrole AND kind = 'queue')$$),
	('queue', $$saga.start_execution('names_alice.q')$$),
	('queue', $$(SELECT saga.drop_queue('names_alice.q') OR NULL)$$),
	('queue', $$saga.grant('queue', 'names_alice.q', 'names_bob', 'use')$$),
	('destination', $$saga.publish_to('names_alice.d', '{}')$$),
	('destination', $$saga.pause_destination('names_alice.d')$$),
	('destination', $$saga.resume_destination('names_alice.d')$$),
	('destination', $$saga.redrive('names_alice.destination/d')$$),
	('destination', $$(SELECT max(name) FROM saga.destinations WHERE owner = 'names_alice'::regrole)$$),
	('destination', $$(SELECT max(destination) FROM saga.outbox_status WHERE owner = 'names_alice'::regrole)$$),
	('destination', $$saga.alter_destination('names_alice.d', '{"url": "https://b.invalid/"}')$$),
	('destination', $$saga.create_destination('x', 'http', '{"like": "names_alice.d"}')$$),
	('destination', $$saga.drop_destination('names_alice.d')$$),
	('destination', $$saga.set_destination_owner('names_alice.d', current_user::regrole)$$),
	('destination', $$saga.grant('destination', 'names_alice.d', 'names_bob', 'use')$$),
	('source', $$saga.pause_source('names_alice.s')$$),
	('source', $$saga.resume_source('names_alice.s')$$),
	('source', $$(SELECT max(name) FROM saga.sources WHERE owner = 'names_alice'::regrole)$$),
	('source', $$saga.alter_source('names_alice.s', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"}')$$),
	('source', $$saga.drop_source('names_alice.s')$$),
	('source', $$saga.set_source_owner('names_alice.s', current_user::regrole)$$),
	('source', $$saga.grant('source', 'names_alice.s', 'names_bob', 'read')$$),
	('secret', $$saga.create_destination('x', 'http', '{"url": "https://x.invalid/", "headers": {"X-K": "{secret:names_alice.k}"}}')$$),
	('secret', $$saga.create_source('x', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q", "credentials": {"secret": "names_alice.k"}}', 'own')$$),
	('secret', $$(SELECT max(name) FROM saga.secrets WHERE name = 'k')$$),
	('secret', $$saga.set_secret('names_alice.k', 'x')$$),
	('secret', $$saga.drop_secret('names_alice.k')$$),
	('secret', $$saga.grant('secret', 'names_alice.k', 'names_bob', 'use')$$);
\set ECHO all
SET ROLE names_bob;
SELECT saga.create_queue('own') > 0 AS made;
RESET ROLE;
CREATE TABLE names.answers (n integer, "right" text, answer text);
GRANT ALL ON names.answers TO PUBLIC;
-- right by right, taken back in between
CREATE PROCEDURE names.try_rights() LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT k.kind, k.name, x."right" FROM (VALUES ('workflow', 'w', '{start,operate,read}'::text[]), ('queue', 'q', '{use,operate,read}'),
		('destination', 'd', '{use,operate,read}'), ('source', 's', '{operate,read}'), ('secret', 'k', '{use}')) k (kind, name, rights), unnest(k.rights) x ("right")
	LOOP
		EXECUTE 'SET LOCAL ROLE names_alice';
		PERFORM saga.grant(r.kind, r.name, 'names_bob', r."right");
		EXECUTE 'SET LOCAL ROLE names_bob';
		INSERT INTO names.answers SELECT n, r."right", names.said(call) FROM names.calls WHERE kind = r.kind;
		EXECUTE 'SET LOCAL ROLE names_alice';
		PERFORM saga.revoke(r.kind, r.name, 'names_bob', r."right");
	END LOOP;
	EXECUTE 'SET LOCAL ROLE names_bob';
	INSERT INTO names.answers SELECT n, 'none', names.said(call) FROM names.calls;
	EXECUTE 'RESET ROLE';
	GRANT names_alice TO names_bob;
	EXECUTE 'SET LOCAL ROLE names_bob';
	INSERT INTO names.answers SELECT n, 'member', names.said(call) FROM names.calls;
	EXECUTE 'RESET ROLE';
	REVOKE names_alice FROM names_bob;
	INSERT INTO names.answers SELECT n, 'superuser', names.said(call) FROM names.calls;
END $$;
CALL names.try_rights();
SELECT kind, call, coalesce(string_agg("right", ' ' ORDER BY "right") FILTER (WHERE answer = 'passed' AND "right" <> 'superuser'), '-') AS allowed
FROM names.calls JOIN names.answers USING (n) GROUP BY n, kind, call ORDER BY n;
-- what is not allowed does not exist, or is empty
SELECT DISTINCT left(answer, 5) AS sqlstate FROM names.answers WHERE answer NOT IN ('passed', 'nothing') AND "right" = 'none' ORDER BY 1;
SELECT call, "right", answer FROM names.calls JOIN names.answers USING (n) WHERE answer NOT IN ('passed', 'nothing') AND answer !~ '^42704' ORDER BY n, 2;

-- ---------- what is not one's is not there ----------
-- said of what somebody has, and of what nobody has
SET ROLE names_mallory;
SELECT call, names.said(call) AS answer FROM names.calls WHERE names.said(call) <> 'nothing'
	AND replace(names.said(call), '"names_alice.', '"names_team.') <> names.said(replace(call, 'names_alice.', 'names_team.')) ORDER BY n;
SELECT call, names.said(call) AS answer FROM (SELECT replace(call, 'names_alice.', '') AS call, n FROM names.calls) c WHERE names.said(call) <> 'nothing'
	AND regexp_replace(names.said(call), '"([wqdsk])"', '"\1\1"', 'g') <> names.said(regexp_replace(call, '''([wqdsk])''', '''\1\1''')) ORDER BY n;
SELECT saga.workflow_version('names_alice.w'), saga.workflow_version('names_alice.nothing'), saga.drop_queue('names_alice.q'), saga.drop_queue('names_alice.nothing');
\set VERBOSITY default
SELECT saga.send('names_alice.q', '1');
SELECT saga.send('names_alice.nothing', '1');
SELECT saga.send('q', '1');
SELECT saga.send('nothing', '1');
SELECT left(names.said('saga.redrive((SELECT letter FROM names.things))'), 5), left(names.said('saga.redrive(saga.make_id())'), 5);
\set VERBOSITY terse
-- the hint is for who may use it
RESET ROLE;
SET ROLE names_alice;
SELECT saga.grant('queue', 'q', 'names_mallory', 'use');
SET ROLE names_mallory;
SELECT names.said($$saga.send('q', '1')$$);
SELECT names.said($$saga.purge('q')$$);
SELECT names.said($$saga.send('names_alice.q', '1')$$);
SELECT kind, owner, name, role, "right", granted_by FROM saga.grants ORDER BY 1, 2, 3, 4, 5;
RESET ROLE;

-- ---------- grants: kinds, rights, their end ----------
SET ROLE names_alice;
SELECT names.said(format('saga.grant(%L, %L, %L, %L)', kind, name, role, r)) AS answer, kind, name, role, r FROM (VALUES
	('table', 'q', 'names_bob', 'use'), ('binding', 'q', 'names_bob', 'use'), ('queue', 'q', 'names_bob', 'start'), ('queue', 'q', 'names_bob', 'own'), ('queue', 'q', 'names_bob', 'USE'),
	('secret', 'k', 'names_bob', 'read'), ('queue', 'w', 'names_bob', 'use'), ('queue', 'destination/d', 'names_bob', 'use'), ('workflow', 'q', 'names_bob', 'start'),
	('queue', 'nothing', 'names_bob', 'use'), ('queue', 'q', 'names_nobody', 'use'), ('queue', 'q', '4711', 'use'), ('queue', 'q', 'names_bob', 'use')) v (kind, name, role, r);
-- through a group
SELECT saga.grant('queue', 'q', 'names_team', 'use');
SELECT saga.grant('queue', 'q', 'names_team', 'use');
RESET ROLE;
GRANT names_team TO names_bob;
SET ROLE names_bob;
SELECT names.said($$saga.send('names_alice.q', '1')$$);
-- who has a right does not give it on
SELECT names.said($$saga.grant('queue', 'names_alice.q', 'names_bob', 'use')$$);
RESET ROLE;
REVOKE names_team FROM names_bob;
SET ROLE names_bob;
SELECT names.said($$saga.send('names_alice.q', '1')$$);
RESET ROLE;
-- dropped and made again, nothing of it is granted
SET ROLE names_alice;
SELECT saga.create_queue('short') > 0 AS made;
SELECT saga.grant('queue', 'short', 'names_bob', 'use');
SELECT saga.drop_queue('short');
SELECT saga.create_queue('short') > 0 AS made;
SET ROLE names_bob;
SELECT names.said($$saga.send('names_alice.short', '1')$$);
RESET ROLE;
SELECT count(*) FROM saga.object_grant g WHERE g.kind = 'queue' AND NOT EXISTS (SELECT FROM saga.queue q WHERE q.queue_id = g.object_id);

-- ---------- owner_path ----------
SET ROLE names_team;
SELECT saga.create_queue('q') > 0 AND saga.create_queue('t') > 0 AND saga.create_queue('both') > 0 AS made;
SET ROLE names_mallory;
SELECT saga.create_queue('m') > 0 AND saga.create_queue('both') > 0 AND saga.create_queue('t') > 0 AS made;
SELECT count(saga.grant('queue', n, 'names_alice', 'use')), count(saga.grant('queue', n, 'names_bob', 'use')) FROM unnest('{m,both,t}'::text[]) n;
-- a right that somebody granted does not make his object the meaning of a bare name
SET ROLE names_alice;
SELECT names.said($$saga.send('m', '1')$$);
SELECT names.owner_of(saga.send('names_mallory.m', '1'));
-- a path without a right neither
SET pg_saga.owner_path = 'names_team';
SELECT names.said($$saga.send('t', '1')$$);
RESET ROLE;
GRANT names_team TO names_alice;
SET ROLE names_alice;
SHOW pg_saga.owner_path;
-- own first, then in order; who is no role is passed over
SELECT names.owner_of(saga.send(n, '1')) FROM unnest('{q,t,both}'::text[]) n;
SET pg_saga.owner_path = names_nobody, names_mallory, names_team;
SELECT names.owner_of(saga.send(n, '1')) FROM unnest('{q,t,both,m}'::text[]) n;
SET pg_saga.owner_path = 'names_team, "$user", names_mallory';
SELECT names.owner_of(saga.send(n, '1')) FROM unnest('{q,t,both,m}'::text[]) n;
SET pg_saga.owner_path = '';
SELECT names.owner_of(saga.send('q', '1')), names.said($$saga.send('t', '1')$$) ~ '^42704' AS missing;
SET pg_saga.owner_path = 'names_team,';
-- what is made is one's own, and comes first from then on
SET pg_saga.owner_path = 'names_team';
SELECT saga.create_queue('t') > 0 AS made;
SELECT names.owner_of(saga.send('t', '1'));
SELECT saga.drop_queue('t');
SELECT names.owner_of(saga.send('t', '1'));
-- not after SET ROLE to another, not for who did not set it
SET ROLE names_bob;
SELECT names.said($$saga.send('both', '1')$$) ~ '^42704' AS missing;
SET pg_saga.owner_path = 'names_mallory';
SELECT names.owner_of(saga.send('both', '1'));
SET ROLE names_alice;
SELECT names.said($$saga.send('both', '1')$$) ~ '^42704' AS missing;
RESET pg_saga.owner_path;
-- in a function that runs with another's rights, the caller's does not count, and its own does
CREATE FUNCTION names.as_alice(name text) RETURNS text LANGUAGE sql SECURITY DEFINER AS
	$$ SELECT names.said(format('saga.send(%L, ''1'')', name)) $$;
CREATE FUNCTION names.as_alice_with(name text) RETURNS text LANGUAGE sql SECURITY DEFINER SET pg_saga.owner_path = 'names_team' AS
	$$ SELECT names.owner_of(saga.send(name, '1'))::text $$;
SET ROLE names_mallory;
SET pg_saga.owner_path = 'names_mallory';
SELECT left(names.as_alice('m'), 5), left(names.as_alice('both'), 5), left(names.as_alice('q'), 5);
SELECT names.as_alice_with('both');
SELECT left(names.as_alice('both'), 5), names.owner_of(saga.send('both', '1'));
-- nor is what such a function sets the caller's
SET ROLE names_alice;
CREATE FUNCTION names.alice_sets() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT set_config('pg_saga.owner_path', 'names_alice', false) $$;
SELECT saga.grant('queue', 'short', 'names_mallory', 'use');
SET ROLE names_mallory;
SELECT names.alice_sets(), names.said($$saga.send('short', '1')$$) ~ '^42704' AS missing;
RESET ROLE;
RESET pg_saga.owner_path;
-- by the role, by the database, by both
ALTER ROLE names_bob SET pg_saga.owner_path = 'names_mallory';
\connect - names_bob
SELECT names.owner_of(saga.send('both', '1'));
SET ROLE names_bob;
SELECT names.owner_of(saga.send('both', '1'));
\connect - postgres
-- of the session's role alone
SET SESSION AUTHORIZATION names_alice;
SELECT names.said($$saga.send('both', '1')$$) ~ '^42704' AS missing;
RESET SESSION AUTHORIZATION;
ALTER ROLE names_bob RESET pg_saga.owner_path;
ALTER DATABASE :"DBNAME" SET pg_saga.owner_path = 'names_mallory';
\connect - names_bob
SELECT names.owner_of(saga.send('both', '1'));
\connect - postgres
SET ROLE names_alice;
SELECT names.owner_of(saga.send('both', '1')), left(names.as_alice('m'), 6);
RESET ROLE;
ALTER DATABASE :"DBNAME" RESET pg_saga.owner_path;
\connect - postgres

-- ---------- a superuser's names are his own ----------
SELECT names.said(call) AS answer FROM unnest(ARRAY[$$saga.send('t', '1')$$, $$saga.start_execution('w')$$, $$saga.pause_destination('d')$$, $$saga.pause_source('s')$$, $$saga.drop_secret('k')$$]) call;
SELECT names.said($$saga.create_destination('x', 'http', '{"url": "https://x.invalid/", "headers": {"X": "{secret:k}"}}')$$);
SELECT names.owner_of(saga.send('names_mallory.t', '1'));
-- what he makes is beside theirs
SELECT saga.create_queue('q') > 0 AS made, saga.create_workflow('w', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}') AS version;
SELECT saga.set_secret('k', 'Xk-0816-secret');
SELECT owner, name FROM saga.secret WHERE name = 'k' ORDER BY 1;
SELECT names.owner_of(saga.send('q', '1'));
SELECT saga.drop_queue('q'), saga.drop_secret('k');

-- ---------- quoting ----------
SET ROLE "Names.Odd""Q";
SELECT count(saga.create_queue(n)) FROM unnest(ARRAY['plain', 'a.b', 'A b', 'it''s "so"', 'ä.ö']) n;
SELECT names.said(format('saga.send(%L, ''1'')', n)) AS own FROM unnest(ARRAY['plain', 'a.b', 'A b', 'it''s "so"', 'ä.ö', '"plain"', '"a.b"', '"it''s ""so"""', '"Names.Odd""Q".plain', '"Names.Odd""Q"."a.b"']) n;
SELECT count(saga.grant('queue', n, 'names_bob', 'use')) FROM unnest(ARRAY['plain', 'a.b', 'A b', 'it''s "so"', 'ä.ö']) n;
SET ROLE names_bob;
SELECT n, left(names.said(format('saga.send(%L, ''1'')', n)), 6) AS answer FROM unnest(ARRAY['"Names.Odd""Q".plain', '"Names.Odd""Q".a.b', '"Names.Odd""Q"."a.b"', '"Names.Odd""Q".A b', '"Names.Odd""Q"."A b"',
	'"Names.Odd""Q".it''s "so"', '"Names.Odd""Q"."it''s ""so"""', '"Names.Odd""Q".ä.ö',
	'Names.Odd"Q.plain', '"names.odd""q".plain', '"Names.Odd""Q"', '"Names.Odd""Q".', '"Names.Odd""Q', '"Names.Odd""Q"plain', '"Names.Odd""Q"."plain', '"Names.Odd""Q"."plain"x', '"".plain', '.plain', '.', '', '""', '"']) n;
SELECT n, left(names.said(format('saga.send(%L, ''1'')', n)), 6) AS answer FROM unnest(ARRAY['NAMES_TEAM.t', '"NAMES_TEAM".t', '"names_mallory".both', 'names_Mallory.both', 'names_mallory."both"']) n;
-- the hint is what one can write
SELECT names.said($$saga.send('it''s "so"', '1')$$);
SET pg_saga.owner_path = '"Names.Odd""Q"';
SELECT names.owner_of(saga.send(n, '1')) FROM unnest(ARRAY['plain', 'A b', '"a.b"']) n;
RESET pg_saga.owner_path;
RESET ROLE;
-- what reads as another's is no new name
SET ROLE names_bob;
SELECT n, names.said(format('saga.create_queue(%L)', n)) AS answer FROM unnest(ARRAY['names_team.x', 'NAMES_TEAM.x', '"x"', '"x', '"Names.Odd""Q".x', 'names_bob.x', 'names_nobody.x', 'x.names_team', '.x']) n;
SELECT names.said($$saga.create_workflow('names_team.x', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')$$);
SELECT names.said($$saga.create_workflow('names_team.x', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', 'names_bob')$$);
SELECT names.said($$saga.create_destination('names_team.x', 'http', '{"url": "https://x.invalid/"}')$$);
SELECT names.said($$saga.create_source('names_team.x', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"}', 'own')$$);
SELECT names.said($$saga.set_secret('names_team.x', 'x')$$);
RESET ROLE;

-- ---------- references are ids ----------
RESET ROLE;
SET ROLE names_team;
SELECT saga.create_destination('pay', 'http', '{"url": "https://team.invalid/"}') > 0 AS made;
SELECT saga.bind_resource('arn:aws:lambda:eu-central-1:1:function:f', 'sql:names.yours');
SET ROLE names_alice;
SET pg_saga.owner_path = 'names_team';
SELECT saga.create_workflow('refers', '{"StartAt": "P", "States": {
	"P": {"Type": "Task", "Resource": "saga:publish", "Parameters": {"Destination": "pay", "Payload": 1}, "ResultPath": null, "Next": "H"},
	"H": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {"QueueUrl": "saga:t", "MessageBody": 1}, "ResultPath": null, "Next": "F"},
	"F": {"Type": "Task", "Resource": "arn:aws:lambda:eu-central-1:1:function:f", "Next": "L"},
	"L": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}, "End": true}}}');
RESET ROLE;
SELECT r.kind, r.name, coalesce(q.owner, d.owner, b.created_by) AS owner FROM saga.reference r JOIN saga.workflow w ON r.referrer = 'workflow' AND w.workflow_id = r.referrer_id
	LEFT JOIN saga.queue q ON r.kind = 'queue' AND q.queue_id = r.object_id LEFT JOIN saga.destination d ON r.kind = 'destination' AND d.destination_id = r.object_id
	LEFT JOIN saga.resource b ON r.kind = 'binding' AND b.resource_id = r.object_id WHERE w.name = 'refers' ORDER BY 1, 2;
-- runs it, says what its names were
CREATE PROCEDURE names.run() LANGUAGE plpgsql AS $$ BEGIN PERFORM saga.start_execution('refers'); COMMIT; CALL saga.drain('refers'); END $$;
CREATE VIEW names.meant AS SELECT (SELECT string_agg(d.owner::text, ' ' ORDER BY o.outbox_id) FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = 'pay') AS pay,
	(SELECT string_agg(q.owner::text, ' ' ORDER BY m.id) FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.name = 't' AND m.sent_at > (SELECT min(created_at) FROM saga.outbox)) AS t,
	(SELECT string_agg(concat(status, ' ', output -> 'Payload'), '; ' ORDER BY execution_id) FROM saga.all_executions WHERE workflow = 'refers') AS f;
SET ROLE names_alice;
CALL names.run();
-- what is one's own of that name, made later, is not what was meant; nor is the path of today
RESET pg_saga.owner_path;
SELECT saga.create_destination('pay', 'http', '{"url": "https://own.invalid/"}') > 0 AND saga.create_queue('t') > 0 AS made;
SELECT saga.bind_resource('arn:aws:lambda:eu-central-1:1:function:f', 'sql:names.mine');
CALL names.run();
RESET ROLE;
SELECT * FROM names.meant;
DELETE FROM saga.outbox;
DELETE FROM saga.execution WHERE error IS NULL;
-- what is dropped is looked up again, as a name means now; made again, it is found again
SET ROLE names_team;
SELECT saga.drop_destination('pay'), saga.drop_queue('t');
SET ROLE names_alice;
CALL names.run();
RESET ROLE;
SELECT * FROM names.meant;
SET ROLE names_alice;
DO $$ BEGIN PERFORM saga.drop_queue('t'); END $$;
RESET ROLE;
DELETE FROM saga.outbox;
DELETE FROM saga.execution WHERE error IS NULL;
SET ROLE names_alice;
SELECT saga.drop_destination('pay');
SET ROLE names_team;
SELECT saga.create_destination('pay', 'http', '{"url": "https://team.invalid/"}') > 0 AND saga.create_queue('t') > 0 AS made;
SET ROLE names_alice;
SET pg_saga.owner_path = 'names_team';
CALL names.run();
RESET ROLE;
SELECT * FROM names.meant;
-- a right that is gone: nothing
REVOKE names_team FROM names_alice;
SET ROLE names_alice;
CALL names.run();
RESET pg_saga.owner_path;
RESET ROLE;
SELECT status, error FROM saga.all_executions WHERE workflow = 'refers' ORDER BY execution_id;
GRANT names_team TO names_alice;
DELETE FROM saga.outbox;
-- one text for a queue of SQS and for a server: each is what it is
SET ROLE names_alice;
SELECT saga.create_destination('sqs', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q", "credentials": {"secret": "aws"}}') > 0 AS made;
SELECT saga.create_workflow('twice', '{"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": true, "Branches": [
	{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {"QueueUrl": "https://sqs.eu-central-1.amazonaws.com/1/q", "MessageBody": 1}, "End": true}}},
	{"StartAt": "H", "States": {"H": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": {"ApiEndpoint": "https://sqs.eu-central-1.amazonaws.com/1/q", "Method": "POST"}, "End": true}}}]}}}');
SELECT saga.start_execution('twice') IS NOT NULL AS accepted;
CALL saga.drain('twice');
SELECT status, error, cause FROM saga.executions WHERE workflow = 'twice';
-- a URL too long to be kept is looked up when it is used
SELECT saga.create_workflow('long', jsonb_build_object('StartAt', 'H', 'States', jsonb_build_object('H', jsonb_build_object('Type', 'Task', 'Resource', 'arn:aws:states:::http:invoke',
	'Parameters', jsonb_build_object('ApiEndpoint', 'https://d.invalid/' || (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 200) i), 'Method', 'GET'), 'End', true))));
SELECT saga.start_execution('long') IS NOT NULL AS accepted;
CALL saga.drain('long');
SELECT status, error FROM saga.executions WHERE workflow = 'long';
RESET ROLE;
DELETE FROM saga.outbox;

-- a destination that settings name
SET ROLE names_team;
SELECT saga.create_destination('mother', 'http', '{"url": "https://team.invalid/"}') > 0 AS made;
SET ROLE names_alice;
SET pg_saga.owner_path = 'names_team';
SELECT saga.create_destination('undo', 'http', '{"url": "https://d.invalid/", "compensate": {"url": "https://d.invalid/undo", "else": "mother"}}') > 0 AS made;
RESET pg_saga.owner_path;
SELECT saga.create_destination('mother', 'http', '{"url": "https://own.invalid/"}') > 0 AS made;
RESET ROLE;
CREATE VIEW names.other AS SELECT d.owner, o.owner AS other FROM saga.destination d JOIN saga.reference r ON r.referrer = 'destination' AND r.referrer_id = d.destination_id AND r.kind = 'destination'
	JOIN saga.destination o ON o.destination_id = r.object_id WHERE d.name = 'undo';
SELECT * FROM names.other;
-- given away, it is the new owner's
SET ROLE names_alice;
SELECT saga.set_destination_owner('undo', 'names_team');
RESET ROLE;
SELECT * FROM names.other;

-- ---------- giving away ----------
SET ROLE names_mallory;
SELECT saga.create_workflow('gift', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:lambda:eu-central-1:1:function:g", "End": true}}}');
SELECT saga.bind_resource('arn:aws:lambda:eu-central-1:1:function:g', 'sql:names.yours');
SELECT saga.create_workflow('gift', '{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "Next": "A"}, "A": {"Type": "Task", "Resource": "arn:aws:lambda:eu-central-1:1:function:g", "End": true}}}');
SELECT saga.start_execution('gift') AS parked \gset
CALL saga.drain('gift');
SELECT saga.create_workflow('gift', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:lambda:eu-central-1:1:function:g", "End": true}}}');
SELECT saga.create_destination('gift', 'http', '{"url": "https://gift.invalid/"}') > 0 AND saga.create_queue('gift-q') > 0 AS made;
SELECT count(saga.grant(k, 'gift', 'names_bob', 'operate')) FROM unnest('{workflow,destination}'::text[]) k;
RESET ROLE;
SELECT names.said(format('saga.set_%s_owner(''names_mallory.gift'', ''names_alice'')', k)) AS answer FROM unnest('{workflow,destination}'::text[]) k;
SELECT names.said(format('saga.set_%s_owner(''names_mallory.gift'', ''names_alice'', ''0815'')', k)) AS answer FROM unnest('{workflow,destination}'::text[]) k;
SELECT definition_hash AS hash FROM saga.workflows WHERE name = 'gift' \gset
-- not while an older definition runs, which the hash is not of
SELECT saga.set_workflow_owner('names_mallory.gift', 'names_alice', :'hash');
SELECT saga.stop_execution(:'parked', compensate => false);
SET ROLE names_mallory;
CALL saga.drain('gift');
RESET ROLE;
SELECT saga.set_workflow_owner('names_mallory.gift', 'names_alice', :'hash');
SELECT saga.set_destination_owner('names_mallory.gift', 'names_alice', (SELECT definition_hash FROM saga.destinations WHERE name = 'gift'));
SELECT kind, owner, name FROM saga.queues WHERE name LIKE '%gift' ORDER BY 1;
-- what was granted is over, and names mean what they mean for the new owner
SELECT kind, owner, name, role FROM saga.grants WHERE name = 'gift';
SELECT count(*) FROM saga.reference r JOIN saga.workflow w ON w.workflow_id = r.referrer_id WHERE r.referrer = 'workflow' AND w.name = 'gift';
SET ROLE names_alice;
SELECT saga.start_execution('gift') IS NOT NULL AS accepted;
CALL saga.drain('gift');
SELECT status, error FROM saga.executions WHERE workflow = 'gift' AND owner = 'names_alice'::regrole AND status <> 'ABORTED';
-- the owner himself needs no hash, a member of the owner does; not where the name is taken
SELECT saga.create_queue('both') > 0 AS made;
SELECT saga.create_workflow('both2', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}');
SET ROLE names_team;
SELECT saga.create_queue('both2') > 0 AS made;
SELECT saga.create_workflow('team-w', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}');
SET ROLE names_alice;
SELECT names.said($$saga.set_workflow_owner('both2', 'names_team')$$);
SELECT names.said($$saga.set_workflow_owner('gift', 'names_bob')$$);
SELECT names.said($$saga.set_workflow_owner('gift', 'names_team')$$);
SELECT names.said($$saga.set_workflow_owner('names_team.team-w', 'names_alice')$$);
SELECT names.said($$saga.set_source_owner('s', 'names_team')$$);
SELECT names.said($$saga.set_source_owner('s', 'names_team', '0815')$$);
SELECT saga.create_source('s2', 'sqs', :'source', 'q') > 0 AS made;
SELECT saga.set_source_owner('s2', 'names_team');
SELECT saga.create_source('s2', 'sqs', :'source', 'q') > 0 AS made;
SELECT names.said($$saga.set_source_owner('names_alice.s2', 'names_team')$$);
RESET ROLE;
SELECT names.said($$saga.set_source_owner('names_team.s2', 'names_bob')$$);
SELECT saga.set_source_owner('names_team.s2', 'names_bob', (SELECT definition_hash FROM saga.sources WHERE name = 's2' AND owner = 'names_team'::regrole));
SELECT name, owner, queue FROM saga.sources ORDER BY 1, 2;

-- ---------- for another role ----------
SELECT saga.create_workflow('for-team', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', 'names_team') AS version;
SELECT saga.create_workflow('for-team', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', 'names_team') AS version;
SELECT owner, name, version FROM saga.workflow WHERE name = 'for-team';
SELECT saga.create_source('for-team', 'sqs', :'source', 't', 'names_team') > 0 AS made;
SELECT name, owner, queue FROM saga.sources WHERE name = 'for-team';
SELECT names.said($$saga.create_source('for-team2', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"}', 'names_alice.q', 'names_bob')$$);
SET ROLE names_bob;
SELECT names.said($$saga.create_workflow('x', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', 'names_alice')$$);
SELECT names.said($$saga.create_source('x', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"}', 'q', 'names_alice')$$);
RESET ROLE;

-- ---------- a role that was dropped ----------
CREATE ROLE names_gone;
SET ROLE names_gone;
SELECT saga.create_queue('remains') > 0 AS made;
SET ROLE names_alice;
SELECT saga.grant('queue', 'short', 'names_gone', 'use');
RESET ROLE;
SELECT 'names_gone'::regrole::oid AS gone \gset
SET pg_saga.keep_owners = off;
DROP OWNED BY names_gone;
DROP ROLE names_gone;
SELECT saga.send(:'gone' || '.remains', '1') IS NOT NULL AS sent, names.said($$saga.send('remains', '1')$$) LIKE '%write ' || :'gone' || '.remains.' AS hint;
SET ROLE names_bob;
SELECT replace(names.said(format('saga.send(%L, ''1'')', :'gone' || '.remains')), :'gone', 'N');
RESET ROLE;
SELECT saga.drop_queue(:'gone' || '.remains');
SELECT count(*) FROM saga.grants WHERE role = :gone;

-- ---------- as many as one role can have ----------
SET pg_saga.max_objects_per_owner = 1;
SELECT saga.set_secret('k', 'x');
SELECT names.said(call) FROM unnest(ARRAY[$$saga.set_secret('k2', 'x')$$, $$saga.set_secret('k', 'y')$$]) call;
SET ROLE "Names.Odd""Q";
SELECT names.said($$saga.create_queue('one more')$$);
SELECT names.said($$saga.create_workflow('one more', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')$$);
SELECT names.said($$saga.create_destination('more', 'http', '{"url": "https://x.invalid/"}')$$);
SELECT saga.bind_resource('arn:1', 'sql:names.mine');
SELECT saga.bind_resource('arn:1', 'sql:names.yours');
SELECT names.said($$saga.bind_resource('arn:2', 'sql:names.yours')$$);
RESET ROLE;
RESET pg_saga.max_objects_per_owner;
SELECT saga.drop_secret('k');

-- ---------- in a transaction that is undone ----------
SET ROLE names_alice;
BEGIN;
SAVEPOINT a;
SELECT saga.create_queue('undone') > 0 AS made;
SELECT saga.send('undone', '1') IS NOT NULL AS sent;
ROLLBACK TO a;
SELECT names.said($$saga.send('undone', '1')$$) ~ '^42704' AS missing;
SAVEPOINT a;
SELECT saga.create_queue('undone') > 0 AS made;
SELECT names.said($$saga.send('undone', '1')$$);
RELEASE a;
SELECT names.said($$saga.send('undone', '1')$$);
ROLLBACK;
SELECT names.said($$saga.send('undone', '1')$$) ~ '^42704' AS missing;
-- a right that is given and taken in the transaction counts at once
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT saga.grant('queue', 'short', 'names_bob', 'use');
SET LOCAL ROLE names_bob;
SELECT names.said($$saga.send('names_alice.short', '1')$$);
SET LOCAL ROLE names_alice;
SELECT saga.revoke('queue', 'short', 'names_bob', 'use');
SET LOCAL ROLE names_bob;
SELECT left(names.said($$saga.send('names_alice.short', '1')$$), 5) AS answer;
COMMIT;
RESET ROLE;
-- what is left goes with the database of this test, but the roles
DROP SCHEMA names CASCADE;
SET pg_saga.keep_owners = off;
DROP OWNED BY names_alice, names_bob, names_team, names_mallory, "Names.Odd""Q";
DROP ROLE names_alice, names_bob, names_team, names_mallory, "Names.Odd""Q";
