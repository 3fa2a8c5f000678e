# Whatever an owner holds in a transaction that he leaves open, the processes that serve all owners
# go on for everybody else: each part holds something that one of them wants, and then somebody
# else's timer comes, his execution is started, and his message is sent.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $accounting = start_accounting();
my $node = new_saga_node('main', 'pg_saga.publishers = 1', 'pg_saga.workers = 2', 'pg_saga.dead_letter_retention = 1',
	'pg_saga.outbox_retention = 1', 'pg_saga.execution_retention = 1');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');
add_role($node, 'postgres', $_) foreach 'alice', 'mallory';

sub as { my ($role, $sql) = @_; return sql("SET SESSION AUTHORIZATION $role; $sql") }

sub session
{
	my ($role) = @_;
	my $psql = $node->background_psql('postgres', on_error_stop => 0);
	$psql->query_safe("SET SESSION AUTHORIZATION $role");
	return $psql;
}

# A statement that waits.
sub begin_waiting
{
	my ($psql, $sql) = @_;
	$psql->query_until(qr/begun/, "\\echo begun\n$sql;\n");
	my $word = (split /'/, $sql)[1];
	poll_until($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type IN ('Lock', 'Extension') AND query LIKE '%$word%'");
	return;
}

sub destination
{
	my ($name, $owner, %settings) = @_;
	my $json = encode_json({
		url => $accounting->url('/v1/invoices'), allow_private => ['127.0.0.0/8'], base_ms => 20, cap_ms => 50, %settings });
	sql("SELECT saga.create_destination('$name', 'http', '$json'); SELECT saga.set_destination_owner('$name', '$owner')");
	return sql("SELECT destination_id FROM saga.destination WHERE name = '$name'");
}

my $number = 0;

sub invoice
{
	$number++;
	return encode_json({ number => "N$number", currency => 'EUR', seller => 'S', buyer => 'B', total => '1.19', tax => '0.19',
		lines => [ { amount => '1.00' } ] });
}

sub workflow
{
	my ($owner, $name, $states) = @_;
	my $definition = encode_json({ StartAt => (sort keys %$states)[0], States => $states });
	as($owner, "SELECT saga.create_workflow('$name', '$definition')");
	return;
}

destination('free', 'alice');
workflow('alice', 'waits', { A => { Type => 'Wait', Seconds => 1, Next => 'B' }, B => { Type => 'Succeed' } });

# Somebody new each time, for whom a worker has to be started.
sub others_go_on
{
	my ($what) = @_;
	my $id = as('alice', q(SELECT saga.start_execution('waits', '{}')));
	my $message = as('alice', "SELECT saga.publish_to('free', '" . invoice() . "')");
	my $owner = 'new' . $number;

	add_role($node, 'postgres', $owner);
	workflow($owner, $owner, { A => { Type => 'Succeed' } });
	my $start = as($owner, "SELECT saga.start_execution('$owner', '{}')");
	ok(poll_until($node, "SELECT status FROM saga.execution WHERE execution_id = '$start'", 's'), "$what: a start is served");
	ok(poll_until($node, "SELECT status FROM saga.execution WHERE execution_id = '$id'", 's'), "$what: a second passes");
	ok(poll_until($node, "SELECT state FROM saga.outbox WHERE outbox_id = '$message'", 'delivered'), "$what: a message is sent");
	return;
}

sub pid_of
{
	my ($type) = @_;
	return sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_saga $type'");
}

# A new one looks at everything.
sub begin_anew
{
	my ($type) = @_;
	my $pid = pid_of($type);
	sql("SELECT pg_terminate_backend($pid)") if $pid ne '';
	as('alice', "SELECT saga.publish_to('free', '" . invoice() . "')") if $type eq 'publisher';
	poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_saga $type' AND pid <> " . ($pid || 0), '1');
	return;
}

my ($one, $two) = (session('mallory'), session('mallory'));
others_go_on('at first');

# ---------- coordinator: the dead-letter queue is being dropped, by somebody who waits himself ----------

foreach my $prepared (0, 1)
{
	my $kind = $prepared ? 'prepared' : 'open';
	as('mallory', "SELECT saga.create_queue('letters$prepared')");
	as('mallory', "SELECT saga.create_queue('m$prepared', '500 ms', 1, 'letters$prepared')");
	as('mallory', "SELECT saga.send('m$prepared', '{}') FROM generate_series(1, 3)");
	$one->query_safe("BEGIN; SELECT saga.send('letters$prepared', '{}')");
	$one->query_safe("PREPARE TRANSACTION 'mallory'") if $prepared;
	my $drop = session('mallory');
	$drop->query_safe("SET lock_timeout = '10min'");
	begin_waiting($drop, "SELECT saga.drop_queue('letters$prepared')");
	as('mallory', "SELECT * FROM saga.receive('m$prepared', 3)");
	# either the coordinator has moved them, in a pause of the drop, or it cannot now
	poll_until($node, "SELECT coalesce(min(wake_at) < clock_timestamp() - interval '100 ms', true) FROM saga.timer JOIN saga.queue USING (queue_id) WHERE name = 'm$prepared'");
	others_go_on("dead-letter queue dropped, $kind");
	$one->query_safe($prepared ? "ROLLBACK PREPARED 'mallory'" : 'ROLLBACK');
	$drop->quit;	# with an error: it is a dead-letter queue
	ok(poll_until($node, "SELECT count(*) FROM saga.message JOIN saga.queue USING (queue_id) WHERE name = 'letters$prepared'", '3'),
		'and then the letters arrive');
}

# ---------- coordinator: what is old is held ----------

my $old = '00000000-0000-7000-8000-0000000000';
my $held = destination('held', 'mallory');
as('mallory', q(SELECT saga.create_queue('plain')));
sql(<<"SQL");
INSERT INTO saga.dead_letter (dead_letter_id, queue_id, message_id, kind, reason, receives, failed_at, body)
	SELECT ('$old' || n)::uuid, CASE n WHEN '01' THEN queue_id ELSE $held END, ('$old' || n)::uuid,
		(CASE n WHEN '01' THEN 'm' ELSE 'o' END)::"char", 'old', 1, '2020-01-01', '{}'
	FROM saga.queue, unnest(ARRAY['01', '02']) n WHERE name = 'plain';
INSERT INTO saga.outbox (destination_id, outbox_id, op, state, idempotency_key, created_at, finished_at, request)
	SELECT $held, ('$old' || n)::uuid, 'p', 'failed', ('$old' || n)::uuid, '2020-01-01', '2020-01-01', '{}'
	FROM unnest(ARRAY['02', '03']) n;
INSERT INTO saga.outbox_attempt (destination_id, outbox_id, attempt, started_at, ended_at, class)
	SELECT destination_id, outbox_id, 1, created_at, created_at, 'fatal' FROM saga.outbox WHERE destination_id = $held;
SQL
$one->query_safe("BEGIN; SELECT saga.redrive('${old}01'::uuid); SELECT saga.redrive('${old}02'::uuid)");
$two->query_safe("BEGIN; SET LOCAL lock_timeout = '10min'");
begin_waiting($two, q(SELECT saga.drop_destination('mallory.held')));
begin_anew('coordinator');
others_go_on('old letters and old messages');
$one->query_safe('ROLLBACK');
$two->query_safe('ROLLBACK');
begin_anew('coordinator');
ok(poll_until($node, "SELECT count(*) FROM saga.dead_letter WHERE reason = 'old'", '0'), 'and then they are removed');
ok(poll_until($node, "SELECT count(*) FROM saga.outbox WHERE destination_id = $held", '0'), 'the messages too');
is(sql("SELECT count(*) FROM saga.outbox_attempt WHERE destination_id = $held"), '0', 'with their attempts');

as('mallory', q(SELECT saga.create_queue('taken')));
sql(q(SELECT saga.create_source('s', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q", "region": "eu-central-1"}', 'mallory.taken')));
sql(q(SELECT saga.pause_source('s'); SELECT saga.set_source_owner('s', 'mallory')));
sql("INSERT INTO saga.source_seen SELECT source_id, 'old', '${old}04'::uuid, '2020-01-01' FROM saga.source");
$one->query_safe(q(BEGIN; SELECT saga.drop_source('mallory.s')));
begin_anew('coordinator');
others_go_on('what a source took long ago');
$one->query_safe('ROLLBACK');
begin_anew('coordinator');
ok(poll_until($node, 'SELECT count(*) FROM saga.source_seen', '0'), 'and then it is forgotten');

# ---------- coordinator: a timer that is due ----------

# before they are due, on however slow a machine
for (my $seconds = 1; ; $seconds *= 2)
{
	as('mallory', "SELECT saga.send('plain', '{}', '$seconds s') FROM generate_series(1, 3000)");
	$one->query_safe(q(BEGIN; SELECT saga.purge('plain')));
	last if sql(q(SELECT count(*) FROM saga.timer JOIN saga.queue USING (queue_id) WHERE name = 'plain')) == 3000;
	$one->query_safe('COMMIT');
}
poll_until($node, "SELECT max(wake_at) < clock_timestamp() FROM saga.timer JOIN saga.queue USING (queue_id) WHERE name = 'plain'");
others_go_on('three thousand timers');
$one->query_safe('ROLLBACK');
ok(poll_until($node, "SELECT count(*) FROM saga.message JOIN saga.queue USING (queue_id) WHERE name = 'plain'", '3000'), 'and then they come');

# ---------- publisher: the destination that takes over is being dropped ----------

destination('mother', 'mallory');
destination('hands_on', 'mallory', compensate => { url => $accounting->url('/nowhere'), else => 'mother' });
workflow('mallory', 'undo', { A => { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', End => JSON::PP::true,
	Parameters => { ApiEndpoint => 'saga:hands_on', Operation => 'compensate', 'RequestBody.$' => '$' } } });
$one->query_safe(q(BEGIN; SELECT saga.drop_destination('mallory.mother')));
my $undo = as('mallory', "SELECT saga.start_execution('undo', '" . invoice() . "')");
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE execution_id = '$undo'", '1');
poll_until($node, "SELECT attempts > 0 OR EXISTS (SELECT FROM saga.timer WHERE message_id = outbox_id) FROM saga.outbox WHERE execution_id = '$undo'");
others_go_on('destination that takes over');
$one->query_safe('ROLLBACK');
ok(poll_until($node, "SELECT status FROM saga.execution WHERE execution_id = '$undo'", 's'), 'and then it takes over');

# ---------- publisher: messages of one that is gone, whose destination is being dropped ----------

my $left = destination('left', 'mallory');
sql("INSERT INTO saga.timer (queue_id, message_id, wake_at, sent_at, kind, lease)
	SELECT $left, saga.make_id(), now() + interval '1 hour', now(), 'o', 12345 FROM generate_series(1, 3)");
$one->query_safe(q(BEGIN; SELECT saga.drop_destination('mallory.left')));
begin_anew('publisher');
others_go_on('messages of a publisher that is gone');
$one->query_safe('ROLLBACK');
begin_anew('publisher');
ok(poll_until($node, "SELECT count(*) FROM saga.timer WHERE queue_id = $left AND lease IS NOT NULL", '0'), 'and then they are given back');

unlike(slurp_file($node->logfile), qr/canceling statement due to lock timeout/, 'nothing was waited for');
$_->quit foreach $one, $two;
$node->stop;
done_testing();
