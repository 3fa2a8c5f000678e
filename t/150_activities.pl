# Activities: tasks that sessions take over SQL. Who gets them, when the clocks begin, what is withdrawn and
# what is stale, who may, and what compensation makes of a worker that is lost.
use strict;
use warnings;

use IPC::Run qw(start finish);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql as error);

my $node = new_saga_node('activities', 'pg_saga.workers = 2', 'max_prepared_transactions = 2', 'max_connections = 60');
create_extensions($node, 'postgres');
sql(<<'SQL');
CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE mallory LOGIN;
GRANT USAGE ON SCHEMA saga TO PUBLIC; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO PUBLIC;
GRANT SELECT ON saga.activities, saga.executions, saga.execution_history, saga.queues, saga.grants TO PUBLIC;
CREATE TABLE undone (at serial, input jsonb); GRANT ALL ON undone, undone_at_seq TO PUBLIC;
CREATE FUNCTION undo(i jsonb) RETURNS jsonb LANGUAGE sql AS 'INSERT INTO undone (input) VALUES (i) RETURNING NULL::jsonb';
SQL

my $json = JSON::PP->new->canonical;
my $arn = 'arn:aws:states:eu-central-1:123456789012:activity';

sub task { my ($name, %more) = @_; return { Type => 'Task', Resource => "$arn:$name", End => JSON::PP::true, %more } }

# A workflow of these states, and an execution of it: its id.
my $made = 0;
sub run_states
{
	my ($states, $start_at, $input) = @_;
	my $name = 'w' . ++$made;
	my $definition = $json->encode({ StartAt => $start_at // 'A', States => $states });
	return sql("SELECT saga.create_workflow('$name', \$q\$$definition\$q\$)") && sql("SELECT saga.start_execution('$name', '" . ($input // '{}') . "')");
}

sub get { my ($activity, $worker, $wait) = @_; return sql("SELECT task_token, input FROM saga.get_activity_task('$activity', '" . ($worker // 'me') . "', '" . ($wait // '60 s') . "')") }
sub token { my ($token) = split(/\|/, get(@_)); return $token }
sub ended { my ($id) = @_; poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE execution_id = '$id'"); return sql("SELECT concat_ws(' ', status, error, output) FROM saga.executions WHERE execution_id = '$id'") }
sub events { return sql("SELECT string_agg(type || coalesce(' ' || (details ->> 'workerName'), ''), ',' ORDER BY event_id) FROM saga.execution_history WHERE execution_id = '$_[0]' AND type LIKE 'Activity%'") }
sub counts { return sql("SELECT waiting, taken, workers FROM saga.activities WHERE name = '$_[0]' AND owner = 'postgres'::regrole") }
sub queued { return sql("SELECT ready FROM saga.queues WHERE name = 'activity/$_[0]'") }
my $stale = qr/the task of this token does not wait any more/;

# ---------- making, taking, answering ----------

ok(sql("SELECT saga.create_activity('work') = saga.create_activity('work')"), 'an activity is made once');
like(error("SELECT saga.create_activity('')"), qr/invalid activity name/, 'a name has a character');
sql("SELECT saga.create_queue('work')");
is(sql("SELECT saga.drop_queue('work')"), 't', 'a queue of the same name is another thing');
like(error("SELECT * FROM saga.receive('activity/work')"), qr/belongs to an activity/, 'no messages of it are received');
like(error("SELECT saga.send('activity/work', '{}')"), qr/belongs to an activity/, 'nor sent');
like(error("SELECT saga.bind_resource('arn:aws:lambda:a:1:function:f', '$arn:work')"), qr/is not a resource that can be called/, 'nothing stands for an activity');
like(error("SELECT saga.create_workflow('x', '" . $json->encode({ StartAt => 'A', States => { A => task('work.waitForTaskToken') } }) . "')"), qr/not recognized/, 'it is waited for by itself');

my $id = run_states({ A => task('work', HeartbeatSeconds => 600) }, 'A', '{"x": 1}');
my $got = get('work');
my ($token, $input) = split(/\|/, $got);
is($input, '{"x": 1}', 'a worker that waits gets the input');
poll_until($node, "SELECT waiting = 0 AND taken = 1 AND workers = '{me}' FROM saga.activities WHERE name = 'work'");
sql("SELECT saga.send_task_heartbeat('$token'); SELECT saga.send_task_success('$token', '{\"y\": 2}')");
is(ended($id), 'SUCCEEDED {"y": 2}', 'its answer is the result');
is(events($id), 'ActivityScheduled,ActivityStarted me,ActivitySucceeded', 'with who did it');
like(error("SELECT saga.send_task_success('$token', '{}')"), $stale, 'there is one answer');
is(counts('work'), '0|0|', 'nothing is left of it');
is(get('work', 'me', '0 s'), '', 'without a task there is no row');

$id = run_states({ A => task('work') });
$token = token('work');
sql("SELECT saga.send_task_failure('$token', 'Broken', 'why')");
is(ended($id), 'FAILED Broken', 'a worker may say that it failed');
is(events($id), 'ActivityScheduled,ActivityStarted me,ActivityFailed', 'which is told as well');

$id = run_states({ A => task('absent', Catch => [ { ErrorEquals => ['States.ALL'], Next => 'C' } ]), C => { Type => 'Succeed' } });
is(ended($id), 'FAILED States.Runtime', 'an activity that is not there is nothing for States.ALL');
like(sql("SELECT cause FROM saga.executions WHERE execution_id = '$id'"), qr/^The activity \Q$arn\E:absent does not exist\.$/, 'and is named');
$id = run_states({ A => task('work', Parameters => { 't.$' => '$$.Task.Token' }) });
is(ended($id), 'FAILED States.Runtime', 'its token is not in the context object');

# ---------- handing out ----------

# a session with a transaction of its own
sub session { return $node->background_psql('postgres', on_error_stop => 0) }

$id = run_states({ A => task('work') });
my $first = session();
$first->query_safe('BEGIN');
like($first->query_safe("SELECT input FROM saga.get_activity_task('work', 'first')"), qr/\{\}/, 'one has it');
is(get('work', 'second', '0.2 s'), '', 'so nobody else gets it');
$first->query_safe('ROLLBACK');
$token = token('work', 'second');
ok($token, 'who rolls back gives it back');
sql("SELECT saga.send_task_success('$token', '1')");
is(ended($id), 'SUCCEEDED 1', 'and it is as if he had never had it');
is(events($id), 'ActivityScheduled,ActivityStarted second,ActivitySucceeded', 'in the history, too');

$id = run_states({ A => task('work') });
sql("BEGIN; SELECT count(*) FROM saga.get_activity_task('work', 'prepared'); PREPARE TRANSACTION 'p'");
is(get('work', 'second', '0.2 s'), '', 'prepared, it is locked');
sql("ROLLBACK PREPARED 'p'");
$token = token('work', 'second');
sql("SELECT saga.send_task_success('$token', '1')");
is(ended($id), 'SUCCEEDED 1', 'and comes back, too');

# many wait, and each task wakes one of them
sql("SELECT saga.create_activity('many')");
my @handles = map {
	my ($out, $err) = ('', '');
	{ out => \$out, h => start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
		"SELECT 'got ' || (input ->> 'n') FROM saga.get_activity_task('many', 'w$_')" ], '>', \$out, '2>', \$err) };
} 1 .. 20;
my $asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%get_activity_task(''many''%' AND wait_event_type = 'Extension'";
poll_until($node, $asleep, '20');
sql("SELECT saga.create_workflow('many', '" . $json->encode({ StartAt => 'A', States => { A => task('many') } }) . "')");
sql("SELECT count(saga.start_execution('many', jsonb_build_object('n', n))) FROM generate_series(1, 20) n");
finish($_->{h}) foreach @handles;
is(join(',', sort { $a <=> $b } map { ${ $_->{out} } =~ /got (\d+)/ } @handles), join(',', 1 .. 20), 'twenty workers that waited got a task each');
my $ids = sql("SELECT count(saga.stop_execution(execution_id)) FROM saga.executions WHERE workflow = 'many' AND status = 'RUNNING'");
is($ids, '20', 'all are stopped');
poll_until($node, "SELECT waiting + taken FROM saga.activities WHERE name = 'many'", '0');
like(error("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM saga.get_activity_task('many')"), qr/cannot wait for messages in a transaction/, 'a snapshot that is kept sees no task come');
like(error("SELECT * FROM saga.get_activity_task('many', 'w', '61 s')"), qr/must not be longer than 60 seconds/, 'the wait has a limit');
like(error("SELECT * FROM saga.get_activity_task('many', repeat('w', 81))"), qr/must not be longer than 80 characters/, 'and so has a name');

# ---------- clocks ----------

# heartbeats count from when a worker has it: this one waits longer than that for one
$id = run_states({ A => task('work', HeartbeatSeconds => 1, TimeoutSeconds => 600) });
poll_until($node, "SELECT now() - oldest_waiting_at > '1.5 s' FROM saga.activities WHERE name = 'work'");
$token = token('work', 'silent');
ok($token, 'without a worker no heartbeat is missed');
is(ended($id), 'FAILED States.Timeout', 'but by one that has it');
is(events($id), 'ActivityScheduled,ActivityStarted silent,ActivityTimedOut', 'after it was started');
like(error("SELECT saga.send_task_heartbeat('$token')"), $stale, 'its token is stale');
is(counts('work'), '0|0|', 'and it has no task');

# the time limit counts from scheduling
$id = run_states({ A => task('work', TimeoutSeconds => 1) });
is(ended($id), 'FAILED States.Timeout', 'a task that nobody takes times out');
is(events($id), 'ActivityScheduled,ActivityTimedOut', 'and was never started');
is(queued('work'), '0', 'it is withdrawn');

# a worker that is lost: another one gets the task, and the first one's answer is refused
$id = run_states({ A => task('work', HeartbeatSeconds => 1, Retry => [ { ErrorEquals => ['States.HeartbeatTimeout'], IntervalSeconds => 1 } ]) });
my $lost = token('work', 'lost');
# taken and answered at once: no heartbeat is missed, however slow this machine is
$token = sql(q(SELECT task_token FROM saga.get_activity_task('work', 'heir'), saga.send_task_success(task_token, '"in time"')));
ok($token && $token ne $lost, 'another attempt has another token');
like(error("SELECT saga.send_task_success('$lost', '\"late\"')"), $stale, 'who comes back too late is refused');
is(ended($id), 'SUCCEEDED "in time"', 'the other one counts');

# ---------- what nobody wants any more ----------

# stopped before it was handed out, and while somebody has it
$id = run_states({ A => task('work') });
poll_until($node, "SELECT waiting FROM saga.activities WHERE name = 'work'", '1');
like(error("SELECT saga.drop_activity('work')"), qr/has tasks that executions wait for/, 'an activity that is waited for is not dropped');
sql("SELECT saga.stop_execution('$id')");
is(ended($id) . ' ' . queued('work'), 'ABORTED 0', 'a stop withdraws what waits');
$id = run_states({ A => task('work') });
$token = token('work');
sql("SELECT saga.stop_execution('$id', 'Stop')");
is(ended($id), 'ABORTED Stop', 'stopped while a worker has it');
like(error("SELECT saga.send_task_success('$token', '1')"), $stale, 'who learns of it with his answer');

# one is being taken as it is withdrawn: after a rollback nobody gets it
$id = run_states({ A => task('work') });
poll_until($node, "SELECT waiting FROM saga.activities WHERE name = 'work'", '1');
$first->query_safe('BEGIN');
like($first->query_safe("SELECT input FROM saga.get_activity_task('work', 'first')"), qr/\{\}/, 'one is taking it');
sql("SELECT saga.stop_execution('$id')");
is(ended($id), 'ABORTED', 'which keeps nobody from stopping the execution');
$first->query_safe('ROLLBACK');
is(get('work', 'second', '0 s'), '', 'what comes back then is not handed out');
is(queued('work') . ' ' . counts('work'), '0 0|0|', 'and goes');
$first->quit;

# a branch fails: the other's task goes
$id = run_states({ P => { Type => 'Parallel', End => JSON::PP::true, Branches => [
	{ StartAt => 'A', States => { A => task('work') } }, { StartAt => 'B', States => { B => task('many') } } ] } }, 'P');
$token = token('many');
poll_until($node, "SELECT waiting FROM saga.activities WHERE name = 'work'", '1');
sql("SELECT saga.send_task_failure('$token', 'Broken')");
is(ended($id) . ' ' . queued('work') . ' ' . counts('work'), 'FAILED Broken 0 0|0|', 'a sibling that fails withdraws it');

# many at once, in a Map
$id = run_states({ M => { Type => 'Map', End => JSON::PP::true, ItemProcessor => { StartAt => 'A', States => { A => task('work') } } } }, 'M', '[1, 2, 3]');
foreach (1 .. 3)
{
	my ($t, $n) = split(/\|/, get('work', "m$_"));
	sql("SELECT saga.send_task_success('$t', '" . 10 * $n . "')");
}
is(ended($id), 'SUCCEEDED [10, 20, 30]', 'the items of a Map are done by many');

# ---------- compensation ----------

my %undo = (Undo => { Type => 'Task', Resource => 'sql:public.undo' });
sub undone { return sql("WITH u AS (DELETE FROM undone RETURNING at, input) SELECT coalesce(string_agg(input::text, ' ' ORDER BY at), 'nothing') FROM u") }
my $completes = task('work', Compensate => 'Undo', Next => 'F');
delete $completes->{End};
$id = run_states({ A => $completes, F => { Type => 'Fail', Error => 'E' }, %undo });
$token = token('work');
sql("SELECT saga.send_task_success('$token', '7')");
is(ended($id), 'FAILED E', 'a state of an activity has completed');
is(undone(), '{"error": {"Cause": null, "Error": "E"}, "input": {}, "output": 7}', 'and is undone');

# a worker that is lost may have done it
my %kept = (Compensate => 'Undo', HeartbeatSeconds => 1);
$id = run_states({ A => task('work', %kept), %undo });
token('work');
is(ended($id), 'FAILED States.Timeout', 'a worker is lost');
is(undone(), '{"error": {"Cause": "The task of the state \'A\' sent no heartbeat for 1 seconds (HeartbeatSeconds).", "Error": "States.Timeout"}, "input": {}, "output": null}',
	'what it may have done is undone');
is(sql("SELECT compensated, not_compensated IS NULL FROM saga.executions WHERE execution_id = '$id'"), '["A"]|t', 'and said to be');

# so it is when nobody took the next attempt, and when the next one says that it failed
my @retry = (Retry => [ { ErrorEquals => ['States.Timeout'], IntervalSeconds => 1, MaxAttempts => 1 } ]);
$id = run_states({ A => task('work', %kept, TimeoutSeconds => 6, @retry), %undo });
token('work');
is(ended($id), 'FAILED States.Timeout', 'lost, and nobody takes the next attempt');
like(undone(), qr/"output": null\}$/, 'the first attempt is undone');
$id = run_states({ A => task('work', %kept, @retry), %undo });
token('work', 'lost');
sql(q(SELECT task_token FROM saga.get_activity_task('work', 'heir'), saga.send_task_failure(task_token, 'Broken')));
is(ended($id), 'FAILED Broken', 'lost, and the next one fails');
like(undone(), qr/"Error": "Broken"\}, "input": \{\}, "output": null\}$/, 'the first attempt is undone');

# nobody ever had it, or who had it says that it has failed: nothing is to be undone
$id = run_states({ A => task('work', Compensate => 'Undo', TimeoutSeconds => 1), %undo });
is(ended($id) . ' ' . undone(), 'FAILED States.Timeout nothing', 'what was never handed out is not undone');
$id = run_states({ A => task('work', Compensate => 'Undo'), %undo });
$token = token('work');
sql("SELECT saga.send_task_failure('$token', 'Broken')");
is(ended($id) . ' ' . undone(), 'FAILED Broken nothing', 'nor what has failed');
$id = run_states({ A => task('work', Compensate => 'Undo'), %undo });
$token = token('work');
sql("SELECT saga.stop_execution('$id')");
is(ended($id), 'ABORTED', 'stopped while a worker has it');
like(undone(), qr/"output": null\}$/, 'is undone');
like(error("SELECT saga.send_task_success('$token', '1')"), $stale, 'and the answer refused');

# stopped without compensation: nobody knows what the worker has done
$id = run_states({ A => task('work', Compensate => 'Undo'), %undo });
$token = token('work');
sql("SELECT saga.stop_execution('$id', NULL, NULL, false)");
is(ended($id) . ' ' . undone(), 'ABORTED nothing', 'stopped for good');
is(sql("SELECT not_compensated FROM saga.executions WHERE execution_id = '$id'"), '[{"state": "A", "reason": "Saga.Stopped", "outcome": "unknown"}]',
	'it is said that nobody knows');

# a handler may be an activity, too
$id = run_states({ A => $completes, F => { Type => 'Fail', Error => 'E' }, Undo => do { my $t = task('many'); delete $t->{End}; $t } });
$token = token('work');
sql("SELECT saga.send_task_success('$token', '7')");
($token, $input) = split(/\|/, get('many', 'undoer'));
like($input, qr/"output": 7\}/, 'a worker undoes');
sql("SELECT saga.send_task_success('$token', 'null')");
is(ended($id), 'FAILED E', 'and the execution ends');
is(sql("SELECT compensated FROM saga.executions WHERE execution_id = '$id'"), '["A"]', 'compensated');

# ---------- whose, and who may ----------

as('alice', "SELECT saga.create_activity('work'); SELECT saga.create_activity('hers')");
is(as('alice', "SELECT count(*) FROM saga.activities"), '2', 'each owner has names of his own');
sub refused { my ($role, $statement) = @_; my ($rc, $out, $err) = $node->psql('postgres', $statement, extra_params => [ '-U', $role ]); return $err }
like(refused('bob', "SELECT * FROM saga.get_activity_task('alice.hers', 'b', '0 s')"), qr/activity "alice.hers" does not exist/, 'another\'s is as if it was not there');
like(refused('bob', "SELECT saga.grant('activity', 'alice.hers', 'bob', 'operate')"), qr/does not exist/, 'nobody grants what is not his');
like(refused('alice', "SELECT saga.grant('activity', 'hers', 'bob', 'start')"), qr/is no right on an activity/, 'there are rights');
as('alice', "SELECT saga.grant('activity', 'hers', 'bob', 'operate'); SELECT saga.create_workflow('w', '" . $json->encode({ StartAt => 'A', States => { A => task('hers') } }) . "')");
my $hers = as('alice', "SELECT saga.start_execution('w')");
$got = as('bob', "SELECT task_token FROM saga.get_activity_task('alice.hers', 'b')");
like(refused('mallory', "SELECT saga.send_task_success('$got', '1')"), qr/invalid task token/, 'a token alone is no right');
(my $forged = $got) =~ s/\d+$/sql("SELECT activity_id FROM saga.activities WHERE name = 'work' AND owner = 'postgres'::regrole")/e;
like(refused('mallory', "SELECT saga.send_task_success('$forged', '1')"), qr/invalid task token/, 'nor one of somebody else\'s activity');
as('mallory', "SELECT saga.create_activity('mine')");
($forged = $got) =~ s/\d+$/as('mallory', "SELECT activity_id FROM saga.activities WHERE name = 'mine'")/e;
like(refused('mallory', "SELECT saga.send_task_success('$forged', '1')"), $stale, 'nor does one\'s own activity make it one');
is(as('bob', 'SELECT count(*) FROM saga.activities'), '0', 'to operate is not to read');
as('alice', "SELECT saga.grant('activity', 'hers', 'bob', 'read')");
is(as('bob', 'SELECT name, waiting + taken FROM saga.activities'), 'hers|1', 'which is granted by itself');
as('bob', "SELECT saga.send_task_heartbeat('$got'); SELECT saga.send_task_success('$got', '1')");
poll_until($node, "SELECT status FROM saga.executions WHERE execution_id = '$hers'", 'SUCCEEDED');
pass('a worker that may operate answers');

# a definition needs the right to use it
as('bob', "SELECT saga.create_workflow('wb', '" . $json->encode({ StartAt => 'A', States => { A => task('alice.hers') } }) . "')");
$id = as('bob', "SELECT saga.start_execution('wb')");
is(ended($id), 'FAILED States.Runtime', 'without the right to use it there is none');
as('alice', "SELECT saga.grant('activity', 'hers', 'bob', 'use')");
$id = as('bob', "SELECT saga.start_execution('wb')");
$got = as('alice', "SELECT task_token FROM saga.get_activity_task('hers', 'a')");
as('alice', "SELECT saga.send_task_success('$got', '\"for bob\"')");
is(ended($id), 'SUCCEEDED "for bob"', 'with it the owner\'s workers do it');
is(sql("SELECT string_agg(concat_ws(' ', kind, name, role, \"right\"), ',' ORDER BY \"right\") FROM saga.grants WHERE kind = 'activity'"),
	'activity hers bob operate,activity hers bob read,activity hers bob use', 'what was granted is shown');
is(as('bob', "SET pg_saga.owner_path = 'alice'; SELECT count(*) FROM saga.get_activity_task('hers', 'b', '0 s')"), '0', 'owner_path leads to it');

# roles that go
like(error('DROP ROLE mallory'), qr/activity mine/, 'who has one is not dropped');
sql('REASSIGN OWNED BY mallory TO bob; DROP ROLE mallory');
is(as('bob', "SELECT saga.drop_activity('mine'), saga.drop_activity('mine')"), 't|f', 'given away and dropped');
is(sql("SELECT count(*) FROM saga.activity_task"), '0', 'no task is left over');

$node->stop;
done_testing();
