# pg_dump in mid-run, restored in one transaction: the restored database finishes the work, each step's effect once.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dump');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pg_saga'
pg_saga.workers = 2
max_worker_processes = 20
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE source');
$node->safe_psql('source', <<'SQL');
CREATE EXTENSION pg_saga;
CREATE TABLE effect (n int, step text);
CREATE TABLE held (n int, token text);
CREATE FUNCTION first(i jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO public.effect VALUES ((i ->> 'n')::int, 'first') RETURNING 'null'::jsonb $$;
CREATE FUNCTION hold(i jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO public.held VALUES ((i ->> 'n')::int, i ->> 'token') RETURNING 'null'::jsonb $$;
CREATE FUNCTION last(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.effect VALUES ((i ->> 'n')::int, 'last');
	IF (i ->> 'n')::int % 10 = 0 THEN PERFORM saga.fail('Tenth'); END IF;
	RETURN NULL;
END $$;
SELECT saga.create_workflow('w', '{"StartAt": "First", "States": {
	"First": {"Type": "Task", "Resource": "sql:public.first", "ResultPath": null, "Next": "Which"},
	"Which": {"Type": "Choice", "Choices": [{"Variable": "$.hold", "BooleanEquals": true, "Next": "Hold"}], "Default": "Wait"},
	"Hold": {"Type": "Task", "Resource": "sql:public.hold.waitForTaskToken",
		"Parameters": {"n.$": "$.n", "token.$": "$$.Task.Token"}, "ResultPath": null, "Next": "Last"},
	"Wait": {"Type": "Wait", "Seconds": 1, "Next": "Last"},
	"Last": {"Type": "Task", "Resource": "sql:public.last", "End": true}}}');
SELECT saga.create_queue('q');
SELECT count(saga.send('q', to_jsonb(g))) FROM generate_series(1, 10) g;
SELECT count(saga.send('q', to_jsonb(g), delay => '1 hour')) FROM generate_series(11, 15) g;
SELECT count(*) FROM saga.receive('q', 3, '1 hour');
SQL

# submit while workers run, dump in the middle
my $n = 400;
$node->safe_psql('source', "SELECT saga.start_execution('w', jsonb_build_object('n', g, 'hold', g % 4 = 0), 'e' || g) FROM generate_series(1, $n) g");
$node->poll_query_until('source', 'SELECT count(*) > 0 FROM effect') or die;
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('source') ], 'pg_dump in mid-run');
$node->safe_psql('postgres', 'CREATE DATABASE target');
$node->command_ok([ 'pg_restore', '--single-transaction', '--exit-on-error', '-d', $node->connstr('target'), $dump ],
	'pg_restore --single-transaction');

for my $db (qw(source target))
{
	is($node->safe_psql($db, 'SELECT count(DISTINCT execution_id) FROM saga.executions'), $n, "$db: every execution is there once");
	ok($node->poll_query_until($db, "SELECT count(*) = $n / 4 FROM held"), "$db: a quarter is held");
	$node->safe_psql($db, "SELECT count(saga.send_task_success(token, '{}')) FROM held");
	ok($node->poll_query_until($db, "SELECT count(*) = $n FROM saga.execution"), "$db: all have ended");
	is($node->safe_psql($db, "SELECT status, count(*) FROM saga.executions GROUP BY 1 ORDER BY 1"),
		'FAILED|' . $n / 10 . "\nSUCCEEDED|" . $n * 9 / 10, "$db: as they should");
	is($node->safe_psql($db, "SELECT count(*) FROM saga.dead_letters"), $n / 10, "$db: the failed ones are dead letters");
	is($node->safe_psql($db, "SELECT count(*), count(DISTINCT n) FROM effect WHERE step = 'first'"), "$n|$n", "$db: the first step ran once each");
	is($node->safe_psql($db, "SELECT count(*), count(DISTINCT n) FROM effect WHERE step = 'last'"),
		$n * 9 / 10 . '|' . $n * 9 / 10, "$db: the last step took effect once each");
	is($node->safe_psql($db, 'SELECT (SELECT count(*) FROM saga.continuation) + (SELECT count(*) FROM saga.message WHERE kind <> \'m\')'),
		'0', "$db: nothing is left over");
	is($node->safe_psql($db, "SELECT ready, delayed, in_flight FROM saga.queues WHERE name = 'q'"), '7|5|3', "$db: the plain queue is as it was");
}
is($node->safe_psql('target', "SELECT saga.start_execution('w', '{\"n\": 1, \"hold\": false}', 'e1') =
	(SELECT execution_id FROM saga.executions WHERE name = 'e1')"), 't', 'names are still taken');
ok($node->safe_psql('target', "SELECT saga.create_queue('another') > (SELECT queue_id FROM saga.queue WHERE name = 'q')"), 'ids go on');
$node->stop;
done_testing();
