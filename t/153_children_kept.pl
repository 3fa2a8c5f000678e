# Children, and what undoes them, stay as long as somebody may undo them: records that retention would take away,
# and handlers of an older definition when a workflow is given away.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;
use Saga::Work;

my $node = new_saga_node('children_kept', 'pg_saga.workers = 2', 'autovacuum = off', "pg_saga.execution_retention = '1s'");
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(<<'SQL');
CREATE TABLE book (what text, n int);
CREATE FUNCTION note(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO public.book VALUES ('do', (i ->> 'n')::int); SELECT i $$;
CREATE FUNCTION undo(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO public.book VALUES ('undo', (i #>> '{input,n}')::int); SELECT i $$;
CREATE TABLE held (token text);
CREATE FUNCTION hold(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO public.held VALUES (i ->> 'token'); SELECT i $$;
SELECT saga.create_workflow('map', '{"StartAt": "M", "States": {"M": {"Type": "Map", "End": true, "ItemsPath": "$$.Execution.Input.a", "ItemProcessor": {"StartAt": "I",
	"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "States": {
	"I": {"Type": "Task", "Resource": "sql:public.note", "Compensate": "U", "End": true}, "U": {"Type": "Task", "Resource": "sql:public.undo"}}}}}}');
SELECT saga.create_workflow('middle', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2",
	"Parameters": {"StateMachineArn": "map", "Input": {"a": [{"n": 1}, {"n": 2}]}}, "End": true}}}');
-- the newest execution of all says when retention has come so far
SELECT saga.create_workflow('last', '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}');
SELECT saga.create_workflow('top', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2",
	"Parameters": {"StateMachineArn": "middle"}, "Next": "H"}, "H": {"Type": "Task", "Resource": "sql:public.hold.waitForTaskToken", "Parameters": {"token.$": "$$.Task.Token"}, "End": true}}}');
SQL
my $id = sql(q{SELECT saga.start_execution('top', '{}')});
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM held') or die;
my $last = sql(q{SELECT saga.start_execution('last', '{}')});
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM saga.execution WHERE execution_id = '$last' AND stopped_at < now() - interval '2 s'") or die;

# a walk begins as the coordinator does
sub walk
{
	my ($until) = @_;
	$node->restart;
	return poll_until($node, "SELECT $until");
}

walk("count(*) = 0 FROM saga.execution WHERE execution_id = '$last'");
is(sql('SELECT count(*) FROM saga.execution'), 4, 'children, and children of those, are kept while the first parent runs');
sql(q{SELECT saga.send_task_failure(token, 'Late') FROM held});
$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM book WHERE what = 'undo'}) or die;
pass('and so they are undone');
poll_until($node, q{SELECT count(*) = 0 FROM saga.children WHERE phase NOT IN ('d', 'x')});
# a walk begins with a restart, and what is too young then waits for the next one
poll_until($node, q{SELECT max(stopped_at) < now() - interval '1 s' FROM saga.execution});
# the record of a parent, and in the next walk those of its children
walk("count(*) = $_ FROM saga.children") for 2, 1, 0;
walk('count(*) = 0 FROM saga.execution');
pass('in the end nothing is left of them');

# ---------- another owner ----------

# Its newest definition is what the hash is of; what its child would undo is of an older one.
$node->append_conf('postgresql.conf', 'pg_saga.execution_retention = 0');
$node->reload;
add_role($node, 'postgres', $_) for 'alice', 'bob';
sql(<<'SQL');
TRUNCATE held;
SELECT saga.create_workflow('child', '{"StartAt": "I", "States": {"I": {"Type": "Task", "Resource": "sql:public.note", "Compensate": "U", "End": true}, "U": {"Type": "Task", "Resource": "sql:public.undo"}}}', 'alice');
SELECT saga.create_workflow('outer', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2",
	"Parameters": {"StateMachineArn": "alice.child", "Input": {"n": 3}}, "Next": "H"}, "H": {"Type": "Task", "Resource": "sql:public.hold.waitForTaskToken", "Parameters": {"token.$": "$$.Task.Token"}, "End": true}}}');
GRANT INSERT ON book TO alice, bob;
SELECT saga.start_execution('outer', '{}');
SQL
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM held') or die;
sql(q{SELECT saga.create_workflow('child', '{"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}}', 'alice')});
my $give = q{SELECT saga.set_workflow_owner('alice.child', 'bob', (SELECT definition_hash FROM saga.workflows WHERE name = 'child'))};
my ($rc, $out, $err) = $node->psql('postgres', $give);
like($err, qr/which are undone if their parents fail/, 'what a parent may undo is not given away with a newer definition');
sql(q{SELECT saga.send_task_success(token, '1') FROM held});
poll_until($node, q{SELECT status FROM saga.executions WHERE workflow = 'outer'}, 'SUCCEEDED');
sql($give);
is(sql(q{SELECT owner FROM saga.workflows WHERE name = 'child'}), 'bob', 'when its parent has ended it is');

$node->stop;
done_testing();
