# Sources: SQS (fauxqs behind a proxy that checks the signature and spoils answers) into queues and
# invoices. The AWS SDK is the sender. Crashes between receive, commit and delete.
use strict;
use warnings;

use Encode;
use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $key_id = 'AKIDSOURCETEST';
my $secret = 'wJalr-secret/key:with+signs';
my $dir = File::Temp->newdir('saga-aws-XXXXXX', TMPDIR => 1);
append_to_file("$dir/credentials", "[saga]\naws_access_key_id=$key_id\naws_secret_access_key = $secret\n"
	  . "aws_session_token = token-of-the-session\n[default]\naws_access_key_id = W\naws_secret_access_key = W\n");

my $aws = start_fauxqs();
my $proxy = Saga::Server->start('sns_proxy',
	args => [ '--upstream', $aws->url, '--key-id', $key_id, '--secret', $secret ]);
my $node = new_saga_node('main', 'pg_saga.workers = 2', 'synchronous_commit = off', 'restart_after_crash = on');
create_extensions($node);
$node->safe_psql('postgres', "SELECT saga.create_queue(q) FROM unnest('{letters,numbers,small,ordered,events}'::text[]) q");

sub faults { return $proxy->request('POST', '/_faults', [@_]) }
sub requests { my ($action) = @_; return grep { $_->{action} eq $action } @{ $proxy->request('GET', '/_requests') } }

sub settings
{
	return encode_json({
		endpoint_url => $proxy->url, region => 'us-east-1', allow_private => JSON::PP::true,
		wait_s => 2, visibility_timeout_s => 5,
		credentials => { file => "$dir/credentials", profile => 'saga' }, @_ });
}

sub source
{
	my ($name, $queue, $url, @more) = @_;
	my $settings = settings(queue_url => $url, @more);
	return sql("SELECT saga.create_source('$name', 'sqs', '$settings', '$queue')");
}

sub status
{
	my ($name) = @_;
	return decode_json(sql("SELECT to_jsonb(s) FROM saga.sources s WHERE name = '$name'"));
}

# Nothing left at SQS.
sub is_empty
{
	my ($url, $name) = @_;
	my $counts;
	wait_until(sub { $counts = join(' ', $aws->counts($url)); return $counts eq '0 0' });
	return is($counts, '0 0', "$name: nothing is left at SQS");
}

sub wait_for_request
{
	my ($action, $n) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	while (time < $end) { return 1 if requests($action) >= $n }
	die "no $n requests for $action in time";
}

# ---------- into a plain queue ----------

my $letters = $aws->queue('letters');
my @ids = $aws->send_messages($letters,
	'{"a": 1.50, "b": ["x"]}', "\"\x{fc} \x{20ac} \\\"q\\\"\"", '17',
	{ MessageBody => '{"n": 1}', MessageAttributes => {
			colour => { DataType => 'String', StringValue => "r\x{f6}d" },
			source => { DataType => 'String', StringValue => 'not ours' } } },
	'no { json', '{"nul": "\\u0000"}');
source('letters', 'letters', $letters);
poll_until($node, "SELECT received FROM saga.sources WHERE name = 'letters'", scalar @ids);
is_empty($letters, 'letters');
is(sql("SELECT string_agg(body::text, ' ' ORDER BY sent_at, id) FROM saga.message m JOIN saga.queue q USING (queue_id)
	WHERE q.name = 'letters'"), encode('UTF-8', "{\"a\": 1.50, \"b\": [\"x\"]} \"\x{fc} \x{20ac} \\\"q\\\"\" 17 {\"n\": 1}"),
	'JSON arrives as it is');
my $headers = decode_json(sql(q{SELECT headers FROM saga.message WHERE body = '{"n": 1}'}));
is($headers->{colour}, "r\x{f6}d", 'attributes are headers');
is($headers->{source}, 'letters', 'the source is ours to say');
is($headers->{source_message_id}, $ids[3], 'and the MessageId');
like($headers->{sent_at}, qr/^20\d\d-\d\d-\d\dT[\d:.]+\+00:00$/, 'and when it was sent');
is(sql("SELECT string_agg(reason || ' ' || body, ', ' ORDER BY body) FROM saga.dead_letters WHERE queue = 'letters'"),
	'Saga.NotJson "no { json", Saga.NotJson "{\"nul\": \"\\\\u0000\"}"', 'what is no JSON is a dead letter');
is(sql("SELECT string_agg(substring(cause FROM 'is not JSON|PostgreSQL cannot keep'), ', ' ORDER BY body) FROM saga.dead_letters WHERE queue = 'letters'"),
	'is not JSON, PostgreSQL cannot keep', 'JSON that cannot be stored is told apart');
is(sql("SELECT count(*) FROM saga.dead_letters WHERE headers->>'source_message_id' IN ('$ids[4]', '$ids[5]')"), 2,
	'found by its MessageId');
my $status = status('letters');
is("$status->{state} $status->{inserted} $status->{duplicates} $status->{dead}", 'receiving 4 0 2', 'counted');
is($status->{last_error}, undef, 'no error');
is(scalar(grep { !$_->{signed} } @{ $proxy->request('GET', '/_requests') }), 0, 'every request is signed');
is(sql("SELECT type || ' ' || state FROM saga.workers WHERE type = 'source'"), 'source idle', 'saga.workers shows the process');

# ---------- two thousand, with whatever can go wrong ----------

my $numbers = $aws->queue('numbers');
faults({ action => 'twice', target => 'ReceiveMessage', times => 20 },
	{ action => 'drop_after', target => 'ReceiveMessage', times => 1 },
	{ action => 'drop_after', target => 'DeleteMessageBatch', times => 3 },
	{ action => 'refuse', target => 'DeleteMessageBatch', status => 500, code => 'InternalError', times => 5 },
	{ action => 'fail_entry', target => 'DeleteMessageBatch', match => '', code => 'InternalError',
		sender_fault => JSON::PP::false, times => 5 },
	{ action => 'html', target => 'DeleteMessageBatch', times => 2 });
$aws->send_messages($numbers, map { "{\"x\": $_}" } 1 .. 2000);
source('numbers', 'numbers', $numbers, receives => 8);
poll_until($node, "SELECT count(*) FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.name = 'numbers'", '2000');
is_empty($numbers, 'numbers');
is(sql("SELECT count(*) || ' ' || count(DISTINCT body) FROM saga.message m JOIN saga.queue q USING (queue_id)
	WHERE q.name = 'numbers'"), '2000 2000', 'each of 2,000 messages is there once');
$status = status('numbers');
cmp_ok($status->{duplicates}, '>', 0, "although some came again ($status->{duplicates})");
faults();

# ---------- kill -9 between receive and commit ----------

sub source_pid { return sql("SELECT pid FROM saga.workers WHERE type = 'source'") }

sub is_complete
{
	my ($from, $to, $name) = @_;
	my $n = $to - $from + 1;
	poll_until($node, "SELECT count(*) FROM saga.message m JOIN saga.queue q USING (queue_id)
		WHERE q.name = 'numbers' AND (body->>'x')::int BETWEEN $from AND $to", $n);
	is_empty($numbers, $name);
	return is(sql("SELECT count(*) || ' ' || count(DISTINCT body) FROM saga.message m JOIN saga.queue q USING (queue_id)
		WHERE q.name = 'numbers' AND (body->>'x')::int BETWEEN $from AND $to"), "$n $n", "$name: each is there once");
}

my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE saga.source_seen IN EXCLUSIVE MODE');
$aws->send_messages($numbers, map { "{\"x\": $_}" } 3001 .. 3030);
poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_saga source' AND wait_event_type = 'Lock'", '1');
my $pid = source_pid();
kill_process($pid);
$locker->quit;
poll_until($node, "SELECT count(*) FROM saga.workers WHERE type = 'source' AND pid <> $pid", '1');
is_complete(3001, 3030, 'killed before the commit');

# ---------- and between commit and delete ----------

faults({ action => 'hold', target => 'DeleteMessageBatch' });
my $deletes = requests('DeleteMessageBatch');
$aws->send_messages($numbers, map { "{\"x\": $_}" } 4001 .. 4030);
wait_for_request('DeleteMessageBatch', $deletes + 1);
poll_until($node, "SELECT count(*) >= 10 FROM saga.message m JOIN saga.queue q USING (queue_id)
	WHERE q.name = 'numbers' AND (body->>'x')::int > 4000");
$pid = source_pid();
my $before = status('numbers')->{duplicates};
kill_process($pid);
poll_until($node, "SELECT count(*) FROM saga.workers WHERE type = 'source' AND pid <> $pid", '1');
faults();
is_complete(4001, 4030, 'killed before the delete');
cmp_ok(status('numbers')->{duplicates}, '>=', $before + 10, 'what was committed came again, and was recognised');

# ---------- the server is stopped at once, in the middle ----------

$aws->send_messages($numbers, map { "{\"x\": $_}" } 5001 .. 5400);
poll_until($node, "SELECT count(*) > 0 FROM saga.message m JOIN saga.queue q USING (queue_id)
	WHERE q.name = 'numbers' AND (body->>'x')::int > 5000");
$node->stop('immediate');
$node->start;
is_complete(5001, 5400, 'immediate stop');

# ---------- a process that is asked to end does so at once ----------

my %polled = (letters => $letters, numbers => $numbers);
my $polls = () = requests('ReceiveMessage');
sql("SELECT saga.alter_source('$_', '" . settings(queue_url => $polled{$_}, wait_s => 20) . "')") foreach sort keys %polled;
wait_for_request('ReceiveMessage', $polls + 2);
$pid = source_pid();
my $begun = time;
sql("SELECT pg_terminate_backend($pid)");
wait_for_exit($pid);
cmp_ok(time - $begun, '<', 10, 'pg_terminate_backend does not wait for a poll');
poll_until($node, "SELECT count(*) FROM saga.workers WHERE type = 'source' AND pid <> $pid", '1');
sql("SELECT saga.alter_source('$_', '" . settings(queue_url => $polled{$_}) . "')") foreach sort keys %polled;

# ---------- backpressure ----------

my $small = $aws->queue('small');
$aws->send_messages($small, map { "{\"x\": $_}" } 1 .. 60);
source('small', 'small', $small, max_queued => 15);
poll_until($node, "SELECT state FROM saga.sources WHERE name = 'small'", 'full');
is(sql("SELECT ready FROM saga.queues WHERE name = 'small'"), 15, 'a full queue gets no more');
is(join(' ', $aws->counts($small)), '45 0', 'the rest is where it was, and was not received');
my %got;
while (keys %got < 60)
{
	my @bodies = split /\n/, sql("WITH r AS MATERIALIZED (SELECT * FROM saga.receive('small', 10, '1 min', '5 s')),
		d AS (SELECT saga.delete('small', (SELECT array_agg(message_id) FROM r)))
		SELECT body->>'x' FROM r, d");
	$got{$_}++ foreach @bodies;
	cmp_ok(sql("SELECT ready FROM saga.queues WHERE name = 'small'"), '<=', 15, 'never more than it may have') if keys %got < 60;
}
is(join(' ', sort { $a <=> $b } keys %got), join(' ', 1 .. 60), 'the others come as there is room');
is(scalar(grep { $_ > 1 } values %got), 0, 'once');
is_empty($small, 'small');

# What fails does not count for max_queued; but where everything fails, it is not taken for ever.
my $failing = $aws->queue('failing');
sql("SELECT saga.create_queue('failing')");
source('failing', 'failing', $failing, max_dead_letters => 8);
$aws->send_messages($failing, map { "no JSON $_" } 1 .. 60);
poll_until($node, "SELECT state FROM saga.sources WHERE name = 'failing'", 'full');
is(sql("SELECT count(*) FROM saga.dead_letters WHERE queue = 'failing'"), 8, 'where everything fails there are so many dead letters');
is(join(' ', $aws->counts($failing)), '52 0', 'and the rest is where it was');
sql("UPDATE saga.dead_letter SET redriven_at = now() WHERE dead_letter_id = ANY (ARRAY(
	SELECT dead_letter_id FROM saga.dead_letters WHERE queue = 'failing' ORDER BY dead_letter_id LIMIT 3))");
poll_until($node, "SELECT count(*) FROM saga.dead_letters WHERE queue = 'failing'", '11');
is(sql("SELECT count(*) FROM saga.dead_letters WHERE queue = 'failing' AND redriven_at IS NULL"), 8, 'for each that is redriven there is room for another');
sql("SELECT saga.alter_source('failing', '" . settings(queue_url => $failing) . "')");
poll_until($node, "SELECT count(*) FROM saga.dead_letters WHERE queue = 'failing'", '60');
is_empty($failing, 'failing');

# ---------- FIFO ----------

my $ordered = $aws->queue('ordered.fifo');
$aws->send_messages($ordered, map { { MessageBody => "{\"x\": $_}", MessageGroupId => 'g' . $_ % 3,
	MessageDeduplicationId => "d$_" } } 1 .. 60);
source('ordered', 'ordered', $ordered);
poll_until($node, "SELECT inserted FROM saga.sources WHERE name = 'ordered'", '60');
is_empty($ordered, 'ordered');
is(sql("SELECT count(*) FROM (SELECT (body->>'x')::int AS x, lag((body->>'x')::int) OVER (PARTITION BY headers->>'group_id' ORDER BY id) AS y
	FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.name = 'ordered') s WHERE y > x"), 0, 'FIFO: the order of each group is kept');

# one that is damaged keeps back those of its group that come with it
my $held = $aws->queue('held.fifo');
my $order = q{SELECT string_agg(body ->> 'x', ' ' ORDER BY id) FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.name = 'held' AND headers ->> 'group_id' =};
faults({ action => 'bad_md5', target => 'ReceiveMessage', body => 'damaged' });
$aws->send_messages($held, map { { MessageBody => sprintf('{"x": %d%s}', $_, $_ == 3 ? ', "damaged": 1' : ''),
	MessageGroupId => 'g' . $_ % 2, MessageDeduplicationId => "h$_" } } 1 .. 10);
sql(q{SELECT saga.create_queue('held')});
source('held', 'held', $held);
poll_until($node, q{SELECT inserted >= 6 AND received > inserted FROM saga.sources WHERE name = 'held'});
is(sql("$order 'g0'"), '2 4 6 8 10', 'FIFO: another group goes on while a message is damaged');
is(sql("$order 'g1'"), '1', 'its own waits for it');
faults();
poll_until($node, "SELECT inserted FROM saga.sources WHERE name = 'held'", '10');
is_empty($held, 'held');
is(sql("$order 'g1'"), '1 3 5 7 9', 'and keeps its order');

# ---------- SNS ----------

my $topic = $aws->setup('events', 'events', '--envelope');
my $destination = settings(topic_arn => $topic->{topic_arn});
$destination =~ s/"(wait_s|visibility_timeout_s)":\d+,?//g;
$destination =~ s/,\}/}/;
sql("SELECT saga.create_destination('events', 'sns', '$destination')");
source('events', 'events', $topic->{queue_url}, unwrap_sns => JSON::PP::true);
sql(q{SELECT saga.publish_to('events', '{"event": "ü"}', NULL, '{"kind": "test"}')});
poll_until($node, "SELECT inserted FROM saga.sources WHERE name = 'events'", '1');
my $event = decode_json(encode('UTF-8', decode('UTF-8', sql("SELECT jsonb_build_object('body', body, 'headers', headers)
	FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.name = 'events'"))));
is($event->{body}{event}, "\x{fc}", 'an envelope of SNS is unwrapped');
is($event->{headers}{kind}, 'test', 'with its attributes');
is($event->{headers}{topic_arn}, $topic->{topic_arn}, 'and the topic');

# ---------- trouble ----------

sql("SELECT saga.alter_source('letters', '" . settings(queue_url => $letters, credentials => { file => "$dir/credentials" }) . "')");
poll_until($node, "SELECT state FROM saga.sources WHERE name = 'letters'", 'failing');
like(status('letters')->{last_error}, qr/^ReceiveMessage: SignatureDoesNotMatch: wrong signature/, 'a wrong key is shown');
my $unsigned = sub { scalar grep { !$_->{signed} } @{ $proxy->request('GET', '/_requests') } };
my $tries = $unsigned->();
$begun = time;
1 while time - $begun < 3;
cmp_ok($unsigned->() - $tries, '<=', 4, 'and tried again with pauses');
sql("SELECT saga.alter_source('letters', '" . settings(queue_url => $letters) . "')");
poll_until($node, "SELECT state FROM saga.sources WHERE name = 'letters'", 'receiving');

# a body that is not what its checksum says: whole the next time
faults({ action => 'bad_md5', target => 'ReceiveMessage', body => 'damaged', times => 2 });
$aws->send_messages($letters, '"damaged"');
poll_until($node, q{SELECT count(*) FROM saga.message WHERE body = '"damaged"'}, '1');
is_empty($letters, 'damaged');

# the queue goes; another one of its name is not the one that was meant
sql("SELECT saga.drop_queue('letters')");
$aws->send_messages($letters, '"patience"');
poll_until($node, "SELECT state || ' ' || last_error FROM saga.sources WHERE name = 'letters'",
	'failing the queue of the source does not exist any more');
sql("SELECT saga.create_queue('letters')");
is(sql("SELECT queue IS NULL FROM saga.sources WHERE name = 'letters'"), 't', 'a source keeps to the queue that it was made for');
sql("SELECT saga.drop_source('letters')");
source('letters', 'letters', $letters);
poll_until($node, q{SELECT count(*) FROM saga.message WHERE body = '"patience"'}, '1');
is_empty($letters, 'patience');

# what cannot be committed is hidden for longer meanwhile, and nobody else gets it
sql(q{CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON saga.source_seen FOR EACH ROW EXECUTE FUNCTION public.refuse()});
my $extended = requests('ChangeMessageVisibilityBatch');
my $duplicates = status('letters')->{duplicates};
$aws->send_messages($letters, '"stubborn"');
wait_for_request('ChangeMessageVisibilityBatch', $extended + 2);
poll_until($node, "SELECT state || ' ' || last_error FROM saga.sources WHERE name = 'letters'", 'failing not today');
is(join(' ', $aws->counts($letters)), '0 1', 'a message that waits for its commit stays hidden');
sql('DROP FUNCTION public.refuse() CASCADE');
poll_until($node, q{SELECT count(*) FROM saga.message WHERE body = '"stubborn"'}, '1');
is_empty($letters, 'stubborn');
is(status('letters')->{duplicates}, $duplicates, 'and came only once');

# paused, dropped
sql("SELECT saga.pause_source(name) FROM saga.source");
poll_until($node, "SELECT count(*) FROM saga.workers WHERE type = 'source'", '0');
$aws->send_messages($letters, '"later"');
sql("SELECT saga.drop_source(name) FROM saga.source WHERE name <> 'letters'");
is(sql("SELECT string_agg(name || ' ' || state, ', ') FROM saga.sources"), 'letters paused', 'paused');
sql("SELECT saga.resume_source('letters')");
poll_until($node, q{SELECT count(*) FROM saga.message WHERE body = '"later"'}, '1');
is_empty($letters, 'later');

# ---------- invoices ----------

my $json = JSON::PP->new->canonical;

sub document
{
	my ($number, %change) = @_;
	return $json->encode({
		number => $number, issue_date => '2025-03-01', due_date => '2025-03-31', type_code => '380', currency => 'EUR',
		seller => { name => 'Lindqvist AB', vat_id => 'SE556677889901', address => { country => 'SE' } },
		buyer => { name => 'Weber GmbH', address => { country => 'DE' } },
		lines => [ { id => '1', name => 'Oak table', quantity => '2', unit_code => 'C62',
			unit_price => '149.90', vat_category => 'S', vat_rate => '25' } ], %change });
}

# what is paid waits: a number is free again when its invoice has failed
sql(q(CREATE ROLE invoice_owner LOGIN; SELECT invoice_setup('invoice_owner');
	SELECT saga.create_destination('payments', 'http', '{"url": "https://pay.example.com"}'), saga.set_destination_owner('payments', 'invoice_owner');
	SELECT saga.pause_destination('invoice_owner.payments')));
my $invoices = $aws->queue('invoices');
@ids = $aws->send_messages($invoices, document('S-1'), document('S-1'), document('S-2', lines => []),
	'not json', '[1]', '{"seller": {"name": "x"}}', document('S-1', currency => 'USD'), document('S-3', note => 'x' x 200000));
sql("ALTER SYSTEM SET pg_invoice.max_document_size = '64kB'");
sql("SELECT pg_reload_conf()");
sql("SELECT invoice_source('invoices', '" . settings(queue_url => $invoices) . "')");
is(sql("SELECT string_agg(distinct owner::text, ' ') FROM (SELECT owner FROM saga.workflow WHERE name LIKE 'invoice%' UNION ALL SELECT owner FROM saga.source WHERE name = 'invoices') o"),
	'invoice_owner', 'the source of invoices belongs to their owner');
poll_until($node, "SELECT count(*) FROM invoice_source_message", '3');
poll_until($node, "SELECT count(*) FROM saga.all_dead_letters WHERE queue = 'invoice-inbox'", '5');
is_empty($invoices, 'invoices');
my ($first, $second) = map { sql("SELECT tracking_id FROM invoice_tracking WHERE source_message_id = '$_'") } @ids[ 0, 1 ];
like($first, qr/^[0-9a-f-]{36}$/, 'an invoice is found by its MessageId');
is($second, $first, 'the same document under two ids has one tracking id');
is(sql("SELECT count(*) FROM invoice_submission WHERE number = 'S-1'"), 1, 'and was submitted once');
is(sql("SELECT invoice_submit('" . document('S-1') . "')"), $first, 'as invoice_submit would have it');
poll_until($node, "SELECT status FROM invoice_tracking WHERE source_message_id = '$ids[2]'", 'failed');
like(sql("SELECT reason FROM invoice_dlq WHERE source_message_id = '$ids[2]'"), qr/^InvoiceInvalid$/, 'one that breaks rules fails as any other');
my %reason = (
	3 => qr/^InvoiceUnreadable: invalid input syntax for type json/, 4 => qr/^InvoiceUnreadable: invoice document is not a JSON object/,
	5 => qr/^InvoiceUnreadable: invoice document has no number/, 6 => qr/^SQL\.23505: invoice "S-1" of this seller was already submitted/,
	7 => qr/^InvoiceUnreadable: invoice document is too large/);
foreach my $n (sort keys %reason)
{
	like(sql("SELECT reason || ': ' || cause FROM invoice_dlq WHERE source_message_id = '$ids[$n]' AND tracking_id IS NULL"), $reason{$n},
		"no invoice: a dead letter with its reason ($n)");
}
is(sql("SELECT document #>> '{}' FROM invoice_dlq WHERE source_message_id = '$ids[3]'"), 'not json', 'which has what came');
sql("ALTER SYSTEM RESET pg_invoice.max_document_size");
sql("SELECT pg_reload_conf()");
poll_until($node, "SELECT current_setting('pg_invoice.max_document_size') <> '64kB'");
sql("SELECT saga.redrive(dead_letter_id) FROM saga.all_dead_letters WHERE body->>'source_message_id' = '$ids[7]'");
poll_until($node, "SELECT count(*) FROM invoice_tracking WHERE source_message_id = '$ids[7]'", '1');
is(sql("SELECT count(*) FROM invoice_dlq WHERE source_message_id = '$ids[7]' AND tracking_id IS NULL"), 0, 'redriven, it is an invoice');

# ---------- last ----------

my $dump = $node->backup_dir . '/dump.sql';
command_ok([ 'pg_dump', '--no-sync', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
like(slurp_file($dump), qr/^COPY saga\.source_seen/m, 'what was seen is in it');
sql('CREATE DATABASE copy');
command_ok([ 'psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy') ], 'restored');
is($node->safe_psql('copy', "SELECT count(*) || ' ' || (SELECT count(*) FROM saga.inbox) FROM saga.source"), '2 1',
	'the sources and the inbox are there');
unlike(slurp_file($_), qr/wJalr|token-of-the-session/, 'no secret in ' . $_) foreach $node->logfile, $dump;
$node->stop;
done_testing();
