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
poll_until($node, q{SELECT count(*) FROM saga.workers WHERE type = 'worker'}, '0');
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
poll_until($node, q{SELECT count(*) FROM saga.workers WHERE type = 'worker'}, '0');
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

# --- work that was there before the server started is found
$node->append_conf('postgresql.conf', 'pg_saga.workers = 0');
$node->reload;
poll_until($node, q{SELECT count(*) FROM saga.workers WHERE type = 'worker'}, '0');
submit($node, 'postgres', 'wf', 6000);
$node->stop('fast');
$node->append_conf('postgresql.conf', 'pg_saga.workers = 2');
$node->start;
poll_until($node, 'SELECT count(*) FROM public.done WHERE x = 6000', '1');
pass('work of before a restart is done');

$node->stop('fast');
done_testing();
