# A session that stops an execution, or says how a call went, may leave its transaction open for as long as
# its client likes: no worker and no publisher waits for it, and others' work goes on.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $dir = File::Temp->newdir('saga-open-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
my $node = new_saga_node('main', 'pg_saga.workers = 1');
create_extensions($node);
my $session = $node->background_psql('postgres', on_error_stop => 1);

sub hold { return $session->query_safe("BEGIN; $_[0]") }

sub workflow
{
	my ($name, $task, %others) = @_;
	my $definition = encode_json({ StartAt => 'Book', States => { Book => { Type => 'Task', End => JSON::PP::true, Compensate => 'Undo', %$task },
		Undo => { Type => 'Task', Resource => 'sql:public.undo' }, %others } });
	sql("SELECT saga.create_workflow('$name', \$saga\$$definition\$saga\$)");
	return;
}

sub start
{
	my ($workflow, $name) = @_;
	return sql("SELECT saga.start_execution('$workflow', '{}', '$name')");
}

sub ended
{
	my ($name) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE name = '$name'", 't');
	return sql("SELECT concat_ws(' ', status, error) FROM saga.executions WHERE name = '$name'");
}

my $records = 'FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name';

sub tried
{
	my ($destination, $payload) = @_;
	poll_until($node, "SELECT attempts > 0 $records = '$destination' AND o.request::text LIKE '%$payload%'", 't');
	return 1;
}

sql(q(CREATE FUNCTION undo(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
	SELECT saga.create_workflow('other', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')));

# ---------- with an ordering key ----------

sub fifo
{
	my ($name, $queue_url, %more) = @_;
	my $settings = encode_json({ queue_url => $queue_url, region => 'us-east-1', allow_private => JSON::PP::true, credentials => { secret => 'aws' },
		base_ms => 3600000, cap_ms => 3600000, jitter => 'none', max_attempts => 5, %more });
	sql("SELECT saga.create_destination('$name', 'sqs', '$settings')");
	workflow($name, { Resource => 'arn:aws:states:::sqs:sendMessage',
		Parameters => { QueueUrl => "destination:$name", MessageBody => 'first', MessageGroupId => 'a' } });
	return;
}

sql(q(SELECT saga.set_secret('aws', '{"access_key_id": "a", "secret_access_key": "b"}')));

# nobody listens there: nothing has left
fifo('dead', 'http://127.0.0.1:1/1/dead.fifo');
start('dead', 'dead');
tried('dead', 'first');
sql(q(SELECT saga.publish_to('dead', '"second"', 'a')));
hold("SELECT saga.stop_execution(execution_id) FROM saga.executions WHERE name = 'dead'");
sql(q(SELECT saga.publish_to('dead', '"third"', 'b')));
ok(tried('dead', 'third'), 'stopped in an open transaction: messages of other keys are sent');
$session->query_safe('COMMIT');
is(ended('dead'), 'ABORTED', 'then it has ended');
is(sql("SELECT concat_ws(' ', state, outcome) $records = 'dead' AND execution_id IS NOT NULL"), 'withdrawn no_effect', 'what had not left is taken back');
ok(tried('dead', 'second'), 'and what was behind it is sent');

# in doubt, and tried again later
fifo('lost', $raw->url('/lost-then/200/lost.fifo'));
start('lost', 'lost');
tried('lost', 'first');
sql(q(SELECT saga.publish_to('lost', '"second"', 'a')));
hold("SELECT saga.settle(outbox_id, 'done') $records = 'lost' AND execution_id IS NOT NULL");
sql(q(SELECT saga.publish_to('lost', '"third"', 'b')));
ok(tried('lost', 'third'), 'settled in an open transaction: messages of other keys are sent');
$session->query_safe('COMMIT');
is(ended('lost'), 'SUCCEEDED', 'then it is the answer');
ok(tried('lost', 'second'), 'and what was behind it is sent');

# ---------- settled while it runs out of time ----------

foreach my $end ('COMMIT', 'ROLLBACK')
{
	my $name = lc $end;
	# in doubt, and not in flight: of that nobody says anything
	my $settings = encode_json({ url => $raw->url("/lost-then/200/$name"), allow_private => JSON::PP::true, timeout_ms => 600000,
		base_ms => 3600000, cap_ms => 3600000, jitter => 'none', max_attempts => 5, idempotency => { ttl_s => 86400 } });
	sql("SELECT saga.create_destination('$name', 'http', '$settings')");
	workflow($name, { Resource => 'arn:aws:states:::http:invoke', TimeoutSeconds => 3,
		Catch => [ { ErrorEquals => ['Saga.Uncertain'], Next => 'Late', ResultPath => '$.error' } ],
		Parameters => { ApiEndpoint => "saga:$name", Method => 'POST', RequestBody => {} } }, Late => { Type => 'Wait', Seconds => 600, End => JSON::PP::true });
	my $id = start($name, $name);
	poll_until($node, "SELECT uncertain $records = '$name'", 't');
	hold("SELECT saga.settle(outbox_id, 'done', '{}') $records = '$name'");
	# until it is past its time
	poll_until($node, "SELECT count(*) FROM saga.timer t JOIN saga.workflow w ON w.workflow_id = t.queue_id WHERE w.name = '$name' AND wake_at > now()", '0');
	sql('SELECT pg_sleep(0.5)');
	start('other', "other$name");
	is(ended("other$name"), 'SUCCEEDED', "settled in an open transaction, and out of time: others' executions are run");
	$session->query_safe($end);
	if ($end eq 'COMMIT')
	{
		is(ended($name), 'SUCCEEDED', 'then it is the answer');
		next;
	}
	poll_until($node, "SELECT current_state FROM saga.executions WHERE name = '$name'", 'Late');
	pass('rolled back it has run out of time');
}

# ---------- stopped, and not ----------

workflow('token', { Resource => 'sql:public.undo.waitForTaskToken', TimeoutSeconds => 3 });
start('token', 'token');
poll_until($node, "SELECT current_state FROM saga.executions WHERE name = 'token'", 'Book');
hold("SELECT saga.stop_execution(execution_id) FROM saga.executions WHERE name = 'token'");
poll_until($node, "SELECT count(*) FROM saga.timer t JOIN saga.workflow w ON w.workflow_id = t.queue_id WHERE w.name = 'token' AND wake_at > now()", '0');
sql('SELECT pg_sleep(0.5)');
start('other', 'othertoken');
is(ended('othertoken'), 'SUCCEEDED', "stopped in an open transaction, and out of time: others' executions are run");
$session->query_safe('ROLLBACK');
is(ended('token'), 'FAILED States.Timeout', 'rolled back it has run out of time');

$session->quit;
$node->stop;
done_testing();
