# A step that crashes the server ends as a dead letter, and everything else is done once.
use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Utils;
use Saga::Test;
use Saga::Work;

my $node = new_saga_node('poison', 'pg_saga.workers = 2', 'restart_after_crash = on', 'pg_saga.crash_limit = 2',
	'log_min_messages = log');

# Workflow NAME with the one step sql:public.NAME.
sub add_step
{
	my ($name, $body) = @_;
	$node->safe_psql('postgres', <<"SQL");
CREATE FUNCTION public.$name(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$f\$
BEGIN
	$body
	RETURN input;
END \$f\$;
SET SESSION AUTHORIZATION app;
SELECT saga.create_workflow('$name',
	'{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:public.$name", "End": true}}}');
SQL
	return;
}

sub start_one
{
	my ($workflow) = @_;
	return $node->safe_psql('postgres', "SELECT saga.start_execution('app.$workflow', '{}')");
}

$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');
add_role($node, 'postgres', 'app');
add_workflow($node, 'postgres', 'app', 'wf');
$node->safe_psql('postgres', 'GRANT pg_execute_server_program TO app');

# the shell's parent is the worker
add_step('crash', q{COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID; sleep 1';});
add_step('suicide', q{PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10);});

# --- the whole server crashes, once more than pg_saga.crash_limit says
{
	submit($node, 'postgres', 'wf', { sleep => 5 }, 1000);
	poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}, '1');
	my $innocent = $node->safe_psql('postgres', q{SELECT message_id FROM saga.message LIMIT 1});

	# the culprit in the midst of others, all at one commit: the server crashes as soon as a worker sees it
	my $start = q{SELECT saga.start_execution('app.wf', jsonb_build_object('x', x)) FROM generate_series};
	my ($id) = $node->safe_psql('postgres',
		"BEGIN; $start(1, 100) x; SELECT 'crash', saga.start_execution('app.crash', '{}'); $start(101, 200) x; COMMIT")
	  =~ /^crash\|(.+)$/m;

	poll_until($node, "SELECT count(*) FROM saga.dead_letter WHERE message_id = '$id' AND reason = 'Saga.WorkerCrashed'", '1');
	wait_done($node, 'postgres', 201);
	is($node->safe_psql('postgres', 'SELECT count(*) FROM public.done'), '201', 'everything else was done, once');
	is($node->safe_psql('postgres', "SELECT count(*) FROM saga.executions WHERE status = 'RUNNING'"), '0', 'nothing is left running');

	my $log = slurp_file($node->logfile);
	my $crashes = () = $log =~ /was terminated by signal 9/g;
	is($crashes, 3, 'the server crashed three times');
	my $counted = () = $log =~ /execution $id was running when its process died/g;
	is($counted, 3, 'each crash was laid to the culprit');
	unlike($log, qr/execution $innocent was running when its process died/, 'and none to whom the postmaster stopped')
	  if $innocent ne '';
	poll_until($node, 'SELECT count(*) FROM saga.suspect', '0');
}

# --- a step that ends its own worker
{
	my $id = start_one('suicide');
	submit($node, 'postgres', 'wf', 301 .. 320);
	poll_until($node, "SELECT count(*) FROM saga.dead_letter WHERE message_id = '$id' AND reason = 'Saga.WorkerCrashed'", '1');
	poll_until($node, 'SELECT count(*) FROM public.done WHERE x > 300 AND x < 1000', '20');
	pass('a step that terminates its worker ends as a dead letter too');
}

# --- CALL saga.drain() meets the same
$node->append_conf('postgresql.conf', 'pg_saga.workers = 0');
$node->reload;
poll_until($node, q{SELECT count(*) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL}, '0');
{
	my $id = start_one('crash');

	submit($node, 'postgres', 'wf', 401 .. 420);
	foreach my $time (1 .. 3)
	{
		my ($rc) = $node->psql('postgres', 'CALL saga.drain()', connstr => $node->connstr('postgres') . ' user=app');
		isnt($rc, 0, "drain $time: the session is gone");
		poll_until($node, 'SELECT true');
	}
	$node->safe_psql('postgres', 'CALL saga.drain()', connstr => $node->connstr('postgres') . ' user=app');
	is($node->safe_psql('postgres', "SELECT count(*) FROM saga.dead_letter WHERE message_id = '$id' AND reason = 'Saga.WorkerCrashed'"),
		'1', 'drain: a dead letter after three crashes');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM public.done WHERE x BETWEEN 401 AND 420'), '20', 'drain: the rest was done');
}

$node->stop('fast');
done_testing();
