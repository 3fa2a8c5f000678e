# A session that has changed something and leaves its transaction open holds up nobody but itself:
# publishers and sources serve many owners, and none of them waits for one.
use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $accounting = start_accounting();
my $node = new_saga_node('main', 'pg_saga.publishers = 1');
create_extensions($node);

sub destination
{
	my ($name, %settings) = @_;
	my $json = encode_json({
		url => $accounting->url('/v1/invoices'), allow_private => ['127.0.0.0/8'], base_ms => 20, cap_ms => 50,
		max_attempts => 1000, %settings });
	sql("SELECT saga.create_destination('$name', 'http', '$json')");
	return;
}

my $number = 0;

sub publish
{
	my ($to) = @_;
	$number++;
	sql("SELECT saga.publish_to('$to', jsonb_build_object('number', '$number', 'currency', 'EUR', 'seller', 'S',
		'buyer', 'B', 'total', '1.19', 'tax', '0.19', 'lines', '[{\"amount\": \"1.00\"}]'::jsonb))");
	return;
}

sub waiting
{
	my ($to) = @_;
	return "SELECT count(*) FROM saga.outbox o JOIN saga.destination d USING (destination_id)
		WHERE d.name = '$to' AND o.state = 'waiting'";
}

# ---------- a destination is resumed ----------

destination($_) foreach 'resumed', 'free';
my $person = $node->background_psql('postgres');
$person->query_safe("BEGIN; SELECT saga.resume_destination('resumed')");
publish($_) foreach 'resumed', 'free';
ok(poll_until($node, waiting('free'), '0'), 'who resumes a destination, and does not commit, holds up no other');
$person->query_safe('COMMIT');
ok(poll_until($node, waiting('resumed'), '0'), 'and when he commits, his goes on');

# ---------- one that fails: there is something to be written ----------

my $closed = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $!;
my $port = $closed->sockport;
close($closed);
destination('failing', url => "http://127.0.0.1:$port/");
publish('failing');
my $attempts = "SELECT count(*) FROM saga.outbox_attempt JOIN saga.destination d USING (destination_id) WHERE d.name = 'failing'";
poll_until($node, "SELECT ($attempts) > 2 AND EXISTS (SELECT FROM saga.destination_state s JOIN saga.destination d USING (limit_key)
	WHERE d.name = 'failing')");
$person->query_safe("BEGIN; SELECT saga.alter_destination('failing', (SELECT settings FROM saga.destination WHERE name = 'failing'))");
foreach (1 .. 3)
{
	publish('free');
	ok(poll_until($node, waiting('free'), '0'), "who alters one that fails holds up no other: $_");
}
$person->query_safe('ROLLBACK');
my $before = sql($attempts);
ok(poll_until($node, "SELECT ($attempts) > $before"), 'and his goes on');
sql("SELECT saga.pause_destination('failing')");

# ---------- a workflow that an answer is for is given away ----------

my $definition = encode_json({
	StartAt => 'Send',
	States => {
		Send => {
			Type => 'Task', Resource => 'arn:aws:states:::http:invoke', End => JSON::PP::true,
			Parameters => { ApiEndpoint => 'saga:free', Method => 'POST', 'RequestBody.$' => '$' } } } });
sql("SELECT saga.create_workflow('sends', '$definition')");
sql("SELECT saga.pause_destination('free')");
my $id = sql(q(SELECT saga.start_execution('sends', '{"number": "W"}')));
poll_until($node, waiting('free'), '1');
$person->query_safe("BEGIN; SELECT saga.set_workflow_owner('sends', current_user::regrole)");
destination('other');
sql("SELECT saga.resume_destination('free')");
poll_until($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher'");
foreach (1 .. 3)
{
	publish('other');
	ok(poll_until($node, waiting('other'), '0'), "who gives away a workflow holds up no other: $_");
}
$person->query_safe('COMMIT');
ok(poll_until($node, "SELECT status <> 'RUNNING' FROM saga.executions WHERE execution_id = '$id'"), 'and the answer arrives');

# ---------- sources; their credentials are a row of saga.secret ----------

my $aws = start_fauxqs();
my %url = map { $_ => $aws->queue($_) } 'dropped', 'letters';
sql(q(SELECT saga.set_secret('aws', '{"access_key_id": "A", "secret_access_key": "S"}')));
foreach my $name ('dropped', 'letters')
{
	my $json = encode_json({
		queue_url => $url{$name}, endpoint_url => $aws->url, region => 'us-east-1', allow_private => JSON::PP::true,
		wait_s => 1, credentials => { secret => 'aws' } });
	sql("SELECT saga.create_queue('$name')");
	sql("SELECT saga.create_source('$name', 'sqs', '$json', '$name')");
}

sub taken
{
	my ($name) = @_;
	return "SELECT count(*) FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.name = '$name'";
}

$aws->send_messages($_, '{"x": 1}') foreach values %url;
ok(poll_until($node, taken($_), '1'), "$_: a source with a secret takes a message") foreach 'dropped', 'letters';
$person->query_safe("BEGIN; SELECT saga.drop_source('dropped')");
$aws->send_messages($_, '{"x": 2}') foreach values %url;
ok(poll_until($node, taken('letters'), '2'), 'who drops a source holds up no other');
$person->query_safe('ROLLBACK');
ok(poll_until($node, taken('dropped'), '2'), 'and his goes on');
$person->query_safe("BEGIN; SELECT saga.drop_queue('dropped')");
$aws->send_messages($_, '{"x": 3}') foreach values %url;
ok(poll_until($node, taken('letters'), '3'), 'nor does who drops its queue');
$person->query_safe('ROLLBACK');
ok(poll_until($node, taken('dropped'), '3'), 'which goes on too');

$person->quit;
$node->stop;
done_testing();
