# Processes come when there is something for them, come back after they were ended, and leave.
use strict;
use warnings;

use Test::More;
use Saga::Test;
use Saga::Work;

my $node = new_saga_node('workers', 'pg_saga.workers = 2', 'log_min_messages = log');

poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_saga launcher'}, '1');
pass('the launcher runs');

# --- CREATE EXTENSION at run time, in two databases; one is left alone
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('postgres', 'CREATE DATABASE none');
foreach my $db ('postgres', 'other')
{
	$node->safe_psql($db, 'CREATE EXTENSION pg_saga');
	add_role($node, $db, 'app');
	add_workflow($node, $db, 'app', 'wf');
	submit($node, $db, 'wf', 1 .. 20);
}
foreach my $db ('postgres', 'other')
{
	wait_done($node, $db, 20);
	is($node->safe_psql($db, 'SELECT DISTINCT who FROM public.done'), 'app', "$db: steps ran in sessions of the owner");
	poll_until($node, "SELECT count(*) FROM saga.executions WHERE status = 'SUCCEEDED'", '20', $db);
}
is($node->safe_psql('none', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'none' AND backend_type LIKE 'pg_saga%'"),
	'0', 'nothing in a database without the extension');
is($node->safe_psql('postgres', "SELECT min(application_name) FROM pg_stat_activity WHERE backend_type = 'pg_saga worker' AND datname = 'postgres'"),
	'pg_saga worker app', 'a worker says whose it is');

# --- idle processes run no SQL
{
	my $busy = q{SELECT count(*) FROM saga.workers WHERE type = 'worker' AND state <> 'idle'};
	my $count = q{SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'other'};

	poll_until($node, $busy, '0', 'other');

	# statistics of the last commits arrive a moment later; then nothing changes any more,
	# seen from another database. The longest wait of a process is one turn of the coordinator.
	my $last = -1;
	my $now = $node->safe_psql('postgres', $count);
	my $equal = 0;
	for (1 .. 60)
	{
		$last = $now;
		$node->safe_psql('postgres', 'SELECT pg_sleep(0.5)');
		$now = $node->safe_psql('postgres', $count);
		$equal = $now == $last ? $equal + 1 : 0;
		last if $equal == 4;
	}
	is($equal, 4, 'idle: no transaction in two seconds');
}

# --- each process comes back after pg_terminate_backend
foreach my $type ('worker', 'coordinator', 'launcher')
{
	my @pids = pids($node, 'postgres', $type);
	ok(@pids > 0, "there is a $type");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($_)") foreach @pids;
	my $first = 100 * (1 + length $type);
	submit($node, 'postgres', 'wf', $first .. $first + 9);
	poll_until($node, "SELECT count(DISTINCT x) FROM public.done WHERE x BETWEEN $first AND $first + 9", '10');
	ok(wait_pid($node, 'postgres', $type, @pids), "$type comes back, and the work went on");
}
# --- publishers: one looks for lost requests when the coordinator starts, and comes back too
{
	$node->safe_psql('postgres', q{SELECT saga.create_destination('nowhere', 'http', '{"url": "http://127.0.0.1:9/"}')});
	my ($coordinator) = pids($node, 'postgres', 'coordinator');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($coordinator)");
	my $publisher = wait_pid($node, 'postgres', 'publisher');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($publisher)");
	ok(wait_pid($node, 'postgres', 'publisher', $publisher), 'a publisher comes back');
}

{
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
	unlike($log, qr/FATAL:.*pg_saga/, 'an idle process that is terminated leaves quietly');
}

# --- a worker that is terminated in the middle of a step: the step runs again
{
	$node->safe_psql('postgres', "TRUNCATE public.done");
	submit($node, 'postgres', 'wf', { sleep => 600 }, 7);
	poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type = 'pg_saga worker'}, '1');
	my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type = 'pg_saga worker'});
	$node->safe_psql('postgres', 'CREATE OR REPLACE FUNCTION public.work(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $f$
		BEGIN INSERT INTO public.done (x) VALUES ((input->>\'x\')::int); RETURN input; END $f$');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	wait_done($node, 'postgres', 1);
	is($node->safe_psql('postgres', 'SELECT count(*) FROM public.done'), '1', 'terminated in a step: it took effect once');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM saga.suspect'), '0', 'and is no suspect');
}

# --- a reload changes the number of workers
$node->append_conf('postgresql.conf', 'pg_saga.workers = 0');
$node->reload;
poll_until($node, q{SELECT count(*) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL}, '0');
submit($node, 'postgres', 'wf', 900);
$node->append_conf('postgresql.conf', 'pg_saga.workers = 1');
$node->reload;
poll_until($node, 'SELECT count(*) FROM public.done WHERE x = 900', '1');
is(scalar(pids($node, 'postgres', 'worker')), 1, 'as many workers as the setting says');

# --- more owners than workers: each has its turn
foreach my $role ('app2', 'app3')
{
	add_role($node, 'postgres', $role);
	add_workflow($node, 'postgres', $role, "wf_$role");
}
for my $i (1 .. 5)
{
	submit($node, 'postgres', 'wf', 1000 + $i);
	submit($node, 'postgres', 'wf_app2', 2000 + $i);
	submit($node, 'postgres', 'wf_app3', 3000 + $i);
}
poll_until($node, 'SELECT count(*) FROM public.done WHERE x > 1000', '15');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT who, ' ' ORDER BY who) FROM public.done WHERE x > 1000}),
	'app app2 app3', 'three owners share one worker');

# --- an owner that may not connect: the reason is shown, and the work goes on when it may
$node->safe_psql('postgres', 'ALTER ROLE app2 NOLOGIN');
submit($node, 'postgres', 'wf_app2', 2100);
poll_until($node, q{SELECT reason LIKE '%"app2" is not permitted to log in%' FROM saga.workers WHERE owner = 'app2' AND state = 'waiting'})
  if $node->pg_version < 17;
$node->safe_psql('postgres', 'ALTER ROLE app2 LOGIN');
poll_until($node, 'SELECT count(*) FROM public.done WHERE x = 2100', '1');
pass('NOLOGIN: the reason is shown, and gone with it');
poll_until($node, q{SELECT count(*) FROM saga.workers WHERE state = 'waiting'}, '0');

# --- saga.workers shows an ordinary role its own
$node->safe_psql('postgres', 'GRANT SELECT ON saga.workers TO app');
is($node->safe_psql('postgres', q{SET SESSION AUTHORIZATION app; SELECT count(*) FROM saga.workers WHERE owner <> 'app' OR database <> 'postgres'}),
	'0', 'saga.workers shows nothing of other owners and databases');

# --- an idle worker leaves and comes back
$node->append_conf('postgresql.conf', "pg_saga.worker_idle_timeout = 200");
$node->reload;
poll_until($node, q{SELECT count(*) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL}, '0');
submit($node, 'postgres', 'wf', 4000);
poll_until($node, 'SELECT count(*) FROM public.done WHERE x = 4000', '1');
pass('an idle worker leaves, and one comes when there is work');

# --- the extension goes and comes again, with work
$node->safe_psql('other', 'DROP EXTENSION pg_saga CASCADE');
workers_gone($node, 'other');
$node->safe_psql('other', 'CREATE EXTENSION pg_saga');
add_role($node, 'other', 'app');
$node->safe_psql('other', 'TRUNCATE public.done');
add_workflow($node, 'other', 'app', 'again');
submit($node, 'other', 'again', 1 .. 5);
wait_done($node, 'other', 5);
pass('dropped and created again: workers come back');

# --- pg_saga.databases narrows it
$node->append_conf('postgresql.conf', "pg_saga.databases = 'other'");
$node->reload;
workers_gone($node, 'postgres');
submit($node, 'other', 'again', 6);
wait_done($node, 'other', 6);
$node->append_conf('postgresql.conf', "pg_saga.databases = ''");
$node->reload;
submit($node, 'postgres', 'wf', 5000);
poll_until($node, 'SELECT count(*) FROM public.done WHERE x = 5000', '1');
pass('pg_saga.databases narrows and widens');

# --- retention: what ended long ago goes, what ended lately and dead letters stay
{
	$node->safe_psql('postgres', <<'SQL');
SELECT saga.start_execution('app.wf', '{"x": 7000}', 'a name');
SELECT saga.start_execution('app.wf', '{"x": 7002}', NULL, '01900000-0000-7000-8000-000000000001');
SQL
	poll_until($node, q{SELECT count(*) FROM saga.executions WHERE execution_id::text LIKE '0190%' AND status = 'SUCCEEDED'}, '1');
	poll_until($node, q{SELECT count(*) FROM saga.executions WHERE name = 'a name' AND status = 'SUCCEEDED'}, '1');
	my $all = $node->safe_psql('postgres', 'SELECT count(*) FROM saga.execution');
	my $count = 1200;

	# as if they had run a day ago
	$node->safe_psql('postgres', <<"SQL");
UPDATE saga.execution SET stopped_at = stopped_at - interval '1 day',
	execution_id = overlay(execution_id::text PLACING '0190' FROM 1 FOR 4)::uuid;
UPDATE saga.execution_name SET execution_id = overlay(execution_id::text PLACING '0190' FROM 1 FOR 4)::uuid;
INSERT INTO saga.execution (execution_id, workflow_id, version, started_at, stopped_at, status)
SELECT overlay(gen_random_uuid()::text PLACING '0190' FROM 1 FOR 4)::uuid, 1, 1, now() - interval '2 hours',
	now() - interval '2 hours', 's' FROM generate_series(1, $count);
-- one with something that nobody knows of
UPDATE saga.execution SET status = 'f', not_compensated = '[{"state": "Pay", "outcome": "unknown"}]'
WHERE execution_id = (SELECT execution_id FROM saga.execution WHERE input IS NULL LIMIT 1);
SQL
	submit($node, 'postgres', 'wf', 7001);
	poll_until($node, 'SELECT count(*) FROM public.done WHERE x = 7001', '1');
	$node->safe_psql('postgres', <<'SQL');
INSERT INTO saga.dead_letter (dead_letter_id, queue_id, message_id, kind, reason, receives, failed_at)
SELECT i, 1, i, 's', 'test', 1, now() - interval '1 day'
  FROM (SELECT overlay(gen_random_uuid()::text PLACING '0190' FROM 1 FOR 4)::uuid FROM generate_series(1, 700)) g (i);
UPDATE saga.dead_letter SET details = '{"not_compensated": [{"state": "Pay", "outcome": "unknown"}]}'
WHERE dead_letter_id = (SELECT dead_letter_id FROM saga.dead_letter LIMIT 1);
DELETE FROM saga.destination;
INSERT INTO saga.destination (destination_id, name, kind, owner, settings) VALUES (1000, 'a', 'http', 'app', '{}'), (1001, 'b', 'http', 'app', '{}');
INSERT INTO saga.outbox (destination_id, outbox_id, op, state, idempotency_key, created_at, finished_at, request)
SELECT 1000 + x % 2, overlay(gen_random_uuid()::text PLACING '0190' FROM 1 FOR 4)::uuid, 'p',
	CASE WHEN x = 1 THEN 'waiting' ELSE 'delivered' END, gen_random_uuid(), now() - interval '1 day', now() - interval '1 day', '{}'
  FROM generate_series(1, 1201) x;
INSERT INTO saga.outbox_attempt SELECT destination_id, outbox_id, 1, created_at, created_at, 'retry' FROM saga.outbox;
SQL
	$node->append_conf('postgresql.conf',
		"pg_saga.execution_retention = '1h'\npg_saga.dead_letter_retention = '1h'\npg_saga.outbox_retention = '1h'");
	$node->reload;
	poll_until($node, 'SELECT count(*) FROM saga.execution', '2');
	is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM saga.execution_name) + (SELECT count(*) FROM saga.given_id)'),
		'0', 'retention: old executions, their names and given ids are gone');
	poll_until($node, 'SELECT count(*) FROM saga.dead_letter', '1');
	poll_until($node, 'SELECT count(*) FROM saga.outbox', '1');
	is($node->safe_psql('postgres', "SELECT string_agg(status::text, '') || (SELECT count(*) FROM saga.dead_letter WHERE details IS NOT NULL)
		FROM saga.execution WHERE not_compensated IS NOT NULL"), 'f1', 'retention: what nobody knows of stays');
	is($node->safe_psql('postgres', 'SELECT string_agg(o.state, $$$$) || count(a.*) FROM saga.outbox o JOIN saga.outbox_attempt a USING (outbox_id)'),
		'waiting1', 'retention: what waits to be sent stays');
	is($node->safe_psql('postgres', q{SELECT errors FROM saga.workers WHERE type = 'coordinator' AND database = 'postgres'}),
		'0', 'retention: no error');
	$node->safe_psql('postgres', 'TRUNCATE saga.outbox, saga.outbox_attempt; DELETE FROM saga.destination');
}

# --- work that was there before the server started is found
$node->append_conf('postgresql.conf', 'pg_saga.workers = 0');
$node->reload;
poll_until($node, q{SELECT count(*) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL}, '0');
submit($node, 'postgres', 'wf', 6000);
$node->stop('fast');
$node->append_conf('postgresql.conf', 'pg_saga.workers = 2');
$node->start;
poll_until($node, 'SELECT count(*) FROM public.done WHERE x = 6000', '1');
pass('work of before a restart is done');

$node->stop('fast');
done_testing();
