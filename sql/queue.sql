-- Queues: send, receive, delete, visibility, dead letters, redrive, rights, views.
-- All of it in this session: no background process has a part in it.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- making queues
SELECT saga.create_queue('orders') > 0 AS created;
SELECT saga.create_queue('orders');
SELECT saga.create_queue('');
SELECT saga.create_queue(repeat('x', 201));
SELECT saga.create_queue(E'a\tb');
SELECT saga.create_queue(NULL);
SELECT saga.create_queue('q', visibility_timeout => NULL);
SELECT saga.create_queue('q', visibility_timeout => '-1 second');
SELECT saga.create_queue('q', visibility_timeout => '2000 years');
SELECT saga.create_queue('q', max_receives => -1);
SELECT saga.create_queue('q', max_receives => NULL);
SELECT saga.create_queue('q', dead_letter_queue => 'q');
SELECT saga.create_queue('q', dead_letter_queue => 'nowhere');
SELECT saga.create_queue('q', fifo => true);
SELECT saga.create_queue('q', retention => '-1 day');
SELECT name, kind, ready, delayed, in_flight, dead, oldest_at, visibility_timeout, max_receives, dead_letter_queue
  FROM saga.queues WHERE name = 'orders';

-- sending; ids go up
SELECT saga.send('orders', '{"n": 1}') AS id1 \gset
SELECT saga.send('orders', '{"n": 2}', headers => '{"h": "x"}') AS id2 \gset
SELECT :'id1'::uuid < :'id2'::uuid AS in_order, substr(:'id1', 15, 1) AS version;
SELECT count(*), bool_and(id > :'id2'::uuid), array_agg(id ORDER BY id) = array_agg(id ORDER BY n) AS in_order
  FROM saga.send_batch('orders', ARRAY['{"n": 3}', '{"n": 4}', '{"n": 5}']::jsonb[]) WITH ORDINALITY AS s (id, n);
SELECT count(*) FROM saga.send_batch('orders', '{}');
SELECT count(*) FROM saga.send_batch('orders', ARRAY['6'::jsonb], delay => '1 hour', headers => '{}');
SELECT saga.send('orders', 'null') IS NOT NULL AS json_null_is_a_body;
SELECT ready, delayed, in_flight FROM saga.queues WHERE name = 'orders';
SELECT saga.send('nowhere', '1');
SELECT saga.send(NULL, '1');
SELECT saga.send('orders', NULL);
SELECT saga.send('orders', '1', delay => '-1 second');
SELECT saga.send('orders', '1', headers => '[1]');
SELECT saga.send('orders', '1', group_id => 'g');
SELECT saga.send('orders', '1', dedup_id => 'd');
SELECT * FROM saga.send_batch('orders', NULL);
SELECT * FROM saga.send_batch('orders', ARRAY['1', NULL]::jsonb[]);

-- more than one statement's worth
SELECT saga.create_queue('many') > 0 AS created;
SELECT count(DISTINCT id) FROM saga.send_batch('many', (SELECT array_agg(to_jsonb(i)) FROM generate_series(1, 2500) i)) id;
SELECT count(*), sum(body::int), array_agg(body::int) = array_agg(body::int ORDER BY body::int) AS in_order
  FROM saga.receive('many', 10000);
SELECT saga.purge('many');

-- receiving: oldest first, hidden afterwards, again when the time is up
SELECT message_id = :'id1' AS first, receives, sent_at <= now() + '1 minute' AS sent, visible_at > now() + '29 seconds' AS hidden, body, headers
  FROM saga.receive('orders');
SELECT message_id = :'id2' AS second, receives, body, headers FROM saga.receive('orders', 1, '0');
SELECT message_id = :'id2' AS second, receives, body, headers FROM saga.receive('orders', 10) ORDER BY body;
SELECT ready, delayed, in_flight FROM saga.queues WHERE name = 'orders';
SELECT count(*) FROM saga.receive('orders', 10);
SELECT saga.delete('orders', ARRAY[:'id1', :'id1', '00000000-0000-0000-0000-000000000000']::uuid[]);
SELECT saga.delete('orders', ARRAY[:'id1']::uuid[]);
SELECT saga.delete('orders', '{}');
SELECT saga.delete('orders', NULL);
SELECT saga.delete('orders', ARRAY[NULL]::uuid[]);
SELECT * FROM saga.receive('orders', 0);
SELECT * FROM saga.receive('orders', 10001);
SELECT * FROM saga.receive('orders', NULL);
SELECT * FROM saga.receive('orders', 1, '-1 second');
SELECT * FROM saga.receive('orders', 1, wait => '21 seconds');
SELECT * FROM saga.receive('nowhere');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM saga.receive('orders');
SELECT * FROM saga.receive('orders', wait => '1 second');
ROLLBACK;

-- waiting: nothing comes; a delayed message comes in time
SELECT count(*) FROM saga.receive('many', wait => '0.2 seconds');
SELECT saga.send('many', '"late"', delay => '0.3 seconds') IS NOT NULL AS sent;
SELECT count(*) FROM saga.receive('many');
SELECT body, receives FROM saga.receive('many', wait => '15 seconds');

-- visibility: give back, take longer; a slow receiver may still delete what came back
SELECT saga.change_visibility('orders', ARRAY[:'id2']::uuid[], '1 hour');
SELECT visible_at - now() BETWEEN '59 minutes' AND '61 minutes' AS longer
  FROM (SELECT wake_at AS visible_at FROM saga.timer WHERE message_id = :'id2') t;
SELECT saga.change_visibility('orders', ARRAY[:'id2']::uuid[], '0');
SELECT message_id = :'id2' AS same, receives FROM saga.receive('orders', visibility_timeout => '0');
SELECT count(*) FROM saga.send_batch('many', ARRAY['1', '2']::jsonb[]);
SELECT array_agg(message_id) AS ids FROM saga.receive('many', 10, '0') \gset
-- both come back, one is taken again
SELECT receives FROM saga.receive('many', 1, '1 hour');
SELECT ready, in_flight FROM saga.queues WHERE name = 'many';
SELECT saga.delete('many', :'ids');
SELECT ready, in_flight FROM saga.queues WHERE name = 'many';
SELECT saga.send('orders', '"fresh"') AS fresh \gset
SELECT saga.delete('orders', ARRAY[:'fresh']::uuid[]) AS not_received_yet;
SELECT saga.change_visibility('orders', ARRAY[:'fresh']::uuid[], '0') AS not_received_yet;
SELECT saga.change_visibility('orders', ARRAY[:'id2']::uuid[], NULL);
SELECT saga.change_visibility('orders', ARRAY[:'id2']::uuid[], '-1 second');
SELECT saga.change_visibility('orders', '{}', '1 second');
SELECT saga.purge('orders') > 0 AS purged;
SELECT ready, delayed, in_flight FROM saga.queues WHERE name = 'orders';

-- transactions: nothing of what is undone stays
BEGIN;
SELECT saga.send('orders', '1') IS NOT NULL AS sent;
SAVEPOINT a;
SELECT saga.send('orders', '2') IS NOT NULL AS sent;
ROLLBACK TO a;
SELECT saga.send('orders', '3') IS NOT NULL AS sent;
COMMIT;
BEGIN;
SELECT body FROM saga.receive('orders', 1);
SAVEPOINT a;
SELECT body FROM saga.receive('orders', 1);
ROLLBACK TO a;
COMMIT;
SELECT body, receives FROM saga.receive('orders', 10);
SELECT saga.purge('orders');

-- max_receives: dead letters
SELECT saga.create_queue('fragile', '0', 2) > 0 AS created;
SELECT saga.send('fragile', '{"secret": 1}', headers => '{"h": 1}') AS bad \gset
SELECT receives FROM saga.receive('fragile');
SELECT receives FROM saga.receive('fragile');
SELECT receives FROM saga.receive('fragile');
SELECT queue, message_id = :'bad' AS same, kind, reason, cause, receives, redriven_at, redriven_as, body, headers, details
  FROM saga.dead_letters WHERE queue = 'fragile';
SELECT ready, delayed, in_flight, dead FROM saga.queues WHERE name = 'fragile';

-- the limit is lowered while a message waits
SELECT saga.create_queue('unlimited', '0', 0) > 0 AS created;
SELECT count(*) FROM saga.send_batch('unlimited', ARRAY['7', '8']::jsonb[]);
SELECT receives FROM saga.receive('unlimited', 10);
SELECT receives FROM saga.receive('unlimited', 10);
SELECT receives FROM saga.receive('unlimited', 1);
UPDATE saga.queue SET max_receives = 2 WHERE name = 'unlimited';
SELECT receives FROM saga.receive('unlimited');
SELECT reason, receives FROM saga.dead_letters WHERE queue = 'unlimited' ORDER BY receives;

-- a dead-letter queue instead
SELECT saga.create_queue('graveyard') > 0 AS created;
SELECT saga.create_queue('source', '0', 1, dead_letter_queue => 'graveyard') > 0 AS created;
SELECT saga.send('source', '"x"') AS src \gset
SELECT saga.send('source', '"y"', headers => '{"h": 2}') AS src2 \gset
SELECT count(*) FROM saga.receive('source', 10);
SELECT count(*) FROM saga.receive('source', 10);
SELECT message_id IN (:'src', :'src2') AS same, receives, body, headers FROM saga.receive('graveyard', 10) ORDER BY body;
SELECT dead FROM saga.queues WHERE name = 'source';
SELECT saga.drop_queue('graveyard');

-- redrive
SELECT dead_letter_id AS letter FROM saga.dead_letters WHERE queue = 'fragile' \gset
SELECT saga.redrive(:'letter'::uuid) = :'bad' AS same_id;
SELECT message_id = :'bad' AS same, receives, body, headers FROM saga.receive('fragile', visibility_timeout => '1 hour');
SELECT saga.delete('fragile', ARRAY[:'bad']::uuid[]);
SELECT redriven_at IS NOT NULL AS redriven, redriven_as = :'bad' AS as_same FROM saga.dead_letters WHERE queue = 'fragile';
SELECT dead FROM saga.queues WHERE name = 'fragile';
\set VERBOSITY sqlstate
SELECT saga.redrive(:'letter'::uuid);
\set VERBOSITY default
SELECT saga.redrive('00000000-0000-0000-0000-000000000001'::uuid);
SELECT saga.redrive('00000000-0000-0000-0000-000000000001');
SELECT saga.redrive(NULL::uuid);
SELECT saga.redrive('nowhere', 'Saga.MaxReceives');
SELECT saga.redrive('fragile', max => -1);
SELECT count(*) FROM saga.send_batch('fragile', (SELECT array_agg(to_jsonb(i)) FROM generate_series(1, 250) i));
SELECT count(*) FROM saga.receive('fragile', 1000);
SELECT count(*) FROM saga.receive('fragile', 1000);
SELECT count(*) FROM saga.receive('fragile', 1000);
SELECT saga.redrive('fragile', 'Other');
SELECT saga.redrive('fragile', 'Saga.MaxReceives', 120);
SELECT array_agg(body::int) = (SELECT array_agg(i) FROM generate_series(1, 120) i) AS oldest_first
  FROM saga.receive('fragile', 1000, '1 hour');
SELECT saga.redrive('fragile');
SELECT saga.redrive('fragile');

-- letters of executions and of the outbox have their own ways back
INSERT INTO saga.dead_letter (dead_letter_id, queue_id, message_id, kind, reason, receives, failed_at)
SELECT '00000000-0000-0000-0000-00000000000a', queue_id, saga.make_id(), 's', 'Test', 1, now() FROM saga.queue WHERE name = 'fragile';
SELECT kind FROM saga.dead_letters WHERE dead_letter_id = '00000000-0000-0000-0000-00000000000a';

-- queues that are not plain
INSERT INTO saga.queue (name, kind, owner) VALUES ('wf', 'w', current_user::regrole), ('dest', 'd', current_user::regrole);
SELECT saga.send('wf', '1');
SELECT saga.receive('dest');
SELECT saga.drop_queue('wf');
DELETE FROM saga.queue WHERE name IN ('wf', 'dest');

-- dropping
SELECT saga.drop_queue('nowhere');
SELECT saga.drop_queue(NULL);
BEGIN;
SELECT saga.drop_queue('fragile');
SELECT saga.send('fragile', '1');
ROLLBACK;
SELECT saga.send('fragile', '"still there"') IS NOT NULL AS sent;
SELECT body FROM saga.receive('fragile');
SELECT saga.drop_queue(name) FROM unnest(ARRAY['fragile', 'source', 'graveyard', 'unlimited', 'many']) AS name;
SELECT (SELECT count(*) FROM saga.dead_letter) AS letters, (SELECT count(*) FROM saga.timer) AS timers,
	(SELECT count(*) FROM saga.message) AS messages;
-- the name is free again
BEGIN;
SELECT saga.create_queue('brief') > 0 AS created;
SELECT saga.send('brief', '1') IS NOT NULL AS sent;
ROLLBACK;
SELECT saga.send('brief', '1');

-- rights: USAGE and EXECUTE are enough for the owner, and another's queue is another's
CREATE ROLE regress_saga_alice;
CREATE ROLE regress_saga_bob;
GRANT USAGE ON SCHEMA saga TO regress_saga_alice, regress_saga_bob;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO regress_saga_alice, regress_saga_bob;
GRANT SELECT ON saga.queues, saga.dead_letters TO regress_saga_alice, regress_saga_bob;
SET ROLE regress_saga_alice;
SELECT saga.create_queue('alice', '0', 1) > 0 AS created;
SELECT saga.send('alice', '1') IS NOT NULL AS sent;
SELECT count(*) FROM saga.send_batch('alice', ARRAY['2'::jsonb]);
SELECT body FROM saga.receive('alice', 10);
SELECT count(*) FROM saga.receive('alice');
SELECT saga.redrive('alice', max => 1);
SELECT name, ready, dead FROM saga.queues;
SELECT queue, body FROM saga.dead_letters ORDER BY body;
SELECT * FROM saga.message;
SELECT dead_letter_id AS letter FROM saga.dead_letters WHERE redriven_at IS NULL \gset
SET ROLE regress_saga_bob;
SELECT name FROM saga.queues;
SELECT queue FROM saga.dead_letters;
SELECT saga.send('alice', '1');
SELECT saga.send_batch('alice', '{}');
SELECT saga.receive('alice');
SELECT saga.delete('alice', '{}');
SELECT saga.change_visibility('alice', '{}', '0');
SELECT saga.purge('alice');
SELECT saga.drop_queue('alice');
SELECT saga.redrive('alice');
\set VERBOSITY sqlstate
SELECT saga.redrive(:'letter'::uuid);
\set VERBOSITY default
SELECT saga.create_queue('bob', dead_letter_queue => 'alice');
RESET ROLE;
GRANT regress_saga_alice TO regress_saga_bob;
SET ROLE regress_saga_bob;
SELECT name FROM saga.queues;
SELECT saga.send('alice', '3');
SELECT saga.send('regress_saga_alice.alice', '3') IS NOT NULL AS sent;
RESET ROLE;
REVOKE regress_saga_alice FROM regress_saga_bob;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA saga FROM regress_saga_bob;
SET ROLE regress_saga_bob;
SELECT saga.send('alice', '1');
RESET ROLE;
-- the engine's statements do not look at the caller's operators
SET ROLE regress_saga_alice;
SELECT saga.purge('alice') > 0 AS purged;
SELECT saga.drop_queue('alice');
RESET ROLE;
-- what PUBLIC may do here: nothing
SELECT count(*) FROM pg_proc p, aclexplode(p.proacl) a
 WHERE p.pronamespace = 'saga'::regnamespace AND a.grantee = 0;
REVOKE ALL ON SCHEMA saga FROM regress_saga_alice, regress_saga_bob;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA saga FROM regress_saga_alice, regress_saga_bob;
REVOKE ALL ON saga.queues, saga.dead_letters FROM regress_saga_alice, regress_saga_bob;
SET pg_saga.keep_owners = off;
DROP ROLE regress_saga_alice, regress_saga_bob;

-- every function says what it is
SELECT p.oid::regprocedure FROM pg_proc p
 WHERE p.pronamespace = 'saga'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL ORDER BY 1;
SELECT saga.invalidate_cache();
SELECT saga.drop_queue('orders');
