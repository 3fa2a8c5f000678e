# Without shared_preload_libraries there is no process and no shared memory; saga.drain() does all
# the work, timers and suspects included.
use strict;
use warnings;

use Test::More;
use Saga::Test;
use Saga::Work;

my $node = new_saga_node('bare', { preload => '' }, 'restart_after_crash = on');
my $app = $node->connstr('postgres') . ' user=app';

my ($created, undef, $warned) = $node->psql('postgres', 'CREATE EXTENSION pg_saga');
is($created, 0, 'the extension can be made');
like($warned, qr/WARNING:  pg_saga is not in shared_preload_libraries: nothing runs by itself\nHINT: .*restart the server/, 'with a warning');
add_role($node, 'postgres', 'app');
add_workflow($node, 'postgres', 'app', 'wf');
submit($node, 'postgres', 'wf', 1 .. 200);
is($node->safe_psql('postgres', 'SELECT count(*) FROM saga.workers'), '0', 'no process');
is($node->safe_psql('postgres', 'SELECT DISTINCT waiting_for FROM saga.executions'),
	'a worker: pg_saga is not in shared_preload_libraries, and only CALL saga.drain() runs it', 'and the executions say so');
$node->safe_psql('postgres', 'CALL saga.drain()', connstr => $app);
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT x) FROM public.done'), '200|200', 'all done, each once');

# a timer
$node->safe_psql('postgres', q{SET SESSION AUTHORIZATION app;
SELECT saga.create_workflow('waits', '{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "S"},
	"S": {"Type": "Task", "Resource": "sql:public.work", "End": true}}}')});
submit($node, 'postgres', 'waits', 301);
$node->safe_psql('postgres', 'CALL saga.drain()', connstr => $app);
is($node->safe_psql('postgres', 'SELECT count(*) FROM public.done WHERE x = 301'), '0', 'not before its time');
$node->safe_psql('postgres', 'SELECT pg_sleep(1.1)');
$node->safe_psql('postgres', 'CALL saga.drain()', connstr => $app);
is($node->safe_psql('postgres', 'SELECT count(*) FROM public.done WHERE x = 301'), '1', 'a timer is fired');

# two sessions at once
submit($node, 'postgres', 'wf', 1001 .. 2000);
my @sessions = map {
	IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $app, '-c', 'CALL saga.drain()' ])
} 1 .. 2;
is(scalar(grep { !IPC::Run::finish($_) } @sessions), 0, 'two sessions at once');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT x) FROM public.done WHERE x > 1000'), '1000|1000', 'each once');

# a crash is counted by the next call
$node->safe_psql('postgres', 'GRANT pg_execute_server_program TO app');
$node->safe_psql('postgres', q{CREATE FUNCTION public.crash(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $f$
BEGIN
	COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID; sleep 1';
	RETURN input;
END $f$;
SET SESSION AUTHORIZATION app;
SELECT saga.create_workflow('crash',
	'{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:public.crash", "End": true}}}');
SELECT saga.start_execution('crash', '{}');});
my ($rc) = $node->psql('postgres', 'CALL saga.drain()', connstr => $app);
isnt($rc, 0, 'the session crashes');
poll_until($node, 'SELECT true');
submit($node, 'postgres', 'wf', 3001);
($rc) = $node->psql('postgres', 'CALL saga.drain()', connstr => $app);
poll_until($node, 'SELECT true');
is($node->safe_psql('postgres', 'SELECT crashes FROM saga.suspect'), '1', 'the crash before it was counted');

$node->stop('fast');
done_testing();
