# kill -9 of workers in mid-run, and an immediate stop: every accepted execution ends exactly once.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pg_saga'
pg_saga.workers = 2
pg_saga.crash_limit = 10
max_worker_processes = 20
restart_after_crash = on
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_saga;
CREATE TABLE effect (n int, step int, UNIQUE (n, step));
CREATE FUNCTION step(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE s int := coalesce((i ->> 'step')::int, 0) + 1;
BEGIN
	INSERT INTO public.effect VALUES ((i ->> 'n')::int, s);
	PERFORM count(*) FROM generate_series(1, 2000);
	RETURN i || jsonb_build_object('step', s);
END $$;
SELECT saga.create_workflow('w', '{"StartAt": "A", "States": {
	"A": {"Type": "Task", "Resource": "sql:public.step", "Next": "B"},
	"B": {"Type": "Task", "Resource": "sql:public.step", "Next": "W"},
	"W": {"Type": "Wait", "Seconds": 1, "Next": "C"},
	"C": {"Type": "Task", "Resource": "sql:public.step", "End": true}}}');
SQL

my $accepted = 0;
sub submit
{
	my $n = shift;
	my $from = $accepted + 1;
	$accepted += $n;
	$node->safe_psql('postgres',
		"SELECT count(saga.start_execution('w', jsonb_build_object('n', g))) FROM generate_series($from, $accepted) g");
}

sub wait_for_server { return poll_until($node, 'SELECT true') }

for my $round (1 .. 3)
{
	submit(1500);
	# in mid-run: something of this round is done, and something is not
	my $before = $accepted - 1500;
	poll_until($node, "SELECT count(*) > 20 FROM effect WHERE n > $before");
	my $pid = $node->safe_psql('postgres', "SELECT pid FROM saga.workers WHERE type = 'worker' LIMIT 1");
	ok($pid && kill(9, $pid), "round $round: kill -9 of a worker");
	# from then on the server lets nobody in until it is back
	wait_for_exit($pid);
	wait_for_server();
}
submit(1500);
poll_until($node, 'SELECT count(*) > 20 FROM effect WHERE n > ' . ($accepted - 1500));
$node->stop('immediate');
$node->start;
ok(poll_until($node, "SELECT count(*) = $accepted FROM saga.execution"), 'all executions ended');
is($node->safe_psql('postgres', 'SELECT status, count(*) FROM saga.executions GROUP BY 1'), "SUCCEEDED|$accepted", 'and succeeded');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT n) FROM effect'), 3 * $accepted . "|$accepted", 'each step took effect once');
is($node->safe_psql('postgres', 'SELECT count(*) FROM saga.message'), '0', 'the queue is empty');
is($node->safe_psql('postgres', 'SELECT count(*) FROM saga.timer'), '0', 'no timer is left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM saga.dead_letter'), '0', 'nobody was blamed');
$node->stop;
done_testing();
