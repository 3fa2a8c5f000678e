# A process that was told to end is not one that failed: the next one starts without a pause, however often that
# was done. And pg_cancel_backend() ends none of ours: it cancels the step that runs, which fails as any statement would.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $node = new_saga_node('told', 'pg_saga.workers = 1', 'pg_saga.sweep_interval = 0');

sql('CREATE EXTENSION pg_saga');
add_role($node, 'postgres', 'app');
add_workflow($node, 'postgres', 'app', 'wf');
my $x = 0;

# One more execution, and the pid of the worker that ran it.
sub run_one
{
	submit($node, 'postgres', 'wf', ++$x);
	poll_until($node, "SELECT count(*) FROM done WHERE x = $x", '1');
	return sql("SELECT pid FROM done WHERE x = $x");
}

# ---------- told to end, again and again: the pauses of failures would be four minutes ----------

my $times = 14;
foreach my $type ('worker', 'coordinator')
{
	my $begun = time;
	for (1 .. $times)
	{
		my $worker = run_one();
		my ($pid) = $type eq 'worker' ? $worker : wait_pid($node, 'postgres', $type);
		sql("SELECT pg_terminate_backend($pid)");
		wait_for_exit($pid);
		wait_pid($node, 'postgres', $type, $pid) if $type eq 'coordinator';
	}
	run_one();
	cmp_ok(time - $begun, '<', 120, "a $type that is told to end $times times is there again each time");
}

# ---------- cancelled between steps ----------

sql(q{SELECT saga.create_destination('d', 'http', '{"url": "http://127.0.0.1:1/", "retry": {"max_attempts": 1}}')});
sql(q{SELECT saga.publish_to('d', '1')});
poll_until($node, 'SELECT count(*) FROM saga.dead_letter', '1');
my $worker = run_one();
my $all = q{SELECT string_agg(type || ' ' || pid, ', ' ORDER BY type) FROM saga.workers WHERE pid IS NOT NULL};
my $before = sql($all);
like($before, qr/coordinator .*launcher .*publisher .*worker /, 'there is one of each');
my $offset = -s $node->logfile;
sql('SELECT count(pg_cancel_backend(pid)) FROM saga.workers WHERE pid IS NOT NULL') for 1 .. 10;
is(run_one(), $worker, 'the worker goes on');
sql(q{SELECT saga.publish_to('d', '2')});
poll_until($node, 'SELECT count(*) FROM saga.dead_letter', '2');
is(sql($all), $before, 'all of them do');
unlike(slurp_file($node->logfile, $offset), qr/cancel/, 'and nothing of ours was cancelled');

# ---------- in a step ----------

sql(<<'SQL');
CREATE TABLE calls (x int);
CREATE SEQUENCE called;
GRANT USAGE ON SEQUENCE called TO app;
CREATE FUNCTION public.sleeps(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS
	$$ BEGIN PERFORM nextval('called'); PERFORM pg_sleep(1000); RETURN input; END $$;
CREATE FUNCTION public.cancels(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS
	$$ BEGIN PERFORM nextval('called'); PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(1000); RETURN input; END $$;
CREATE FUNCTION public.waits(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS
	$$ BEGIN SET LOCAL lock_timeout = '100ms'; LOCK TABLE calls; RETURN input; EXCEPTION WHEN lock_not_available THEN RETURN '"late"'; END $$;
GRANT ALL ON calls TO app;
SET SESSION AUTHORIZATION app;
SELECT saga.create_workflow(f, jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object('A',
	'{"Type": "Task", "End": true}'::jsonb || jsonb_build_object('Resource', 'sql:public.' || f))))
  FROM unnest('{sleeps, cancels, waits}'::text[]) f;
SQL
my $ended = q{SELECT status || ' ' || coalesce(error, output::text) FROM saga.executions WHERE workflow = };
submit($node, 'postgres', 'sleeps', 1);
poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type LIKE 'pg_saga%'}, '1');
sql("SELECT pg_cancel_backend($worker)");
poll_until($node, "$ended 'sleeps'", 'FAILED SQL.57014');
is(sql('SELECT last_value FROM called'), '1', 'a step that is cancelled fails, and is not called again');
submit($node, 'postgres', 'cancels', 1);
poll_until($node, "$ended 'cancels'", 'FAILED SQL.57014');
is(sql('SELECT last_value FROM called'), '2', 'also when it cancels itself');
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE calls');
submit($node, 'postgres', 'waits', 1);
ok(poll_until($node, "$ended 'waits'", 'SUCCEEDED "late"'), 'a lock_timeout of a step is one');
$holder->quit;
is(run_one(), $worker, 'and the worker is the same all the time');

$node->stop;
done_testing();
