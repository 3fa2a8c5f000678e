# Composing requests takes an owner's time, not that of others: "alice's message arrives while mallory's
# expressions are evaluated, again and again".
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $dir = File::Temp->newdir('saga-composing-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', 'pg_saga.publishers = 1');
create_extensions($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub destination
{
	my ($owner, $name, $path, %settings) = @_;
	my $json = encode_json({ url => $raw->url($path), allow_private => ['127.0.0.0/8'], timeout_ms => 600000, %settings });
	sql("SELECT saga.create_destination('$name', 'http', '$json'); SELECT saga.set_destination_owner('$name', '$owner')");
	return;
}

sub requests
{
	my ($path) = @_;
	my @lines = split(/\n/, slurp_file("$dir/raw"));
	return grep { index($lines[$_], qq("target":"$path")) >= 0 } 0 .. $#lines;
}

sub wait_for_requests
{
	my ($path, $n) = @_;
	return wait_until(sub { scalar(requests($path)) >= $n });
}

sql("CREATE ROLE $_") foreach 'alice', 'mallory';
destination('alice', 'alices', '/ok', request => { body => { expr => q({"r": $sum(a)}) } });

# Each takes some hundredths of a second, and is refused and due again at once.
my $messages = 40;
my %settings = (base_ms => 1, cap_ms => 1, max_attempts => 10000, concurrency => 1000, allow_private => ['127.0.0.0/8'], timeout_ms => 600000,
	classify => [ { status => [503], as => 'retry' } ], request => { body => { expr => '{"r": $sum(a.(b * b * b))}' } });
destination('mallory', 'costly', '/status/503', %settings);
sql("SELECT saga.publish_to('mallory.costly', m) FROM generate_series(1, $messages),
	(SELECT jsonb_build_object('a', jsonb_agg(jsonb_build_object('b', i))) AS m FROM generate_series(1, 15000) i) s");
ok(wait_for_requests('/status/503', 2 * $messages), "mallory's messages are sent again and again");

# Of hers there are sent before one of alice's: not a whole round of them.
my $between = 0;
my @counts;
foreach my $i (1 .. 5)
{
	my $before = scalar(requests('/status/503'));
	sql("SELECT saga.publish_to('alice.alices', '{\"a\": [1, 2]}')");
	ok(wait_for_requests('/ok', $i), "alice's message $i arrives") or last;
	my $at = (requests('/ok'))[$i - 1];
	push(@counts, scalar(grep { $_ < $at } requests('/status/503')) - $before);
	$between += $counts[-1];
}
cmp_ok($between, '<', 2 * $messages, "and before most of mallory's: of hers there were @counts");

# All of hers have their turn, too, and none is lost.
my $json = encode_json({ url => $raw->url('/ok2'), %settings });
sql("SELECT saga.alter_destination('mallory.costly', '$json')");
ok(poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state <> 'delivered'", '0'), 'all are delivered in the end');
ok(!$node->log_contains(qr/could not compose|is put aside/), 'none was given back for an error');

# ---------- what does not get its turn goes back, its attempt undone; of SNS and SQS, too ----------

append_to_file("$dir/credentials", "[saga]\naws_access_key_id=K\naws_secret_access_key = S\n");
my $aws = start_fauxqs();
my $topic = $aws->setup('topic', 'subscriber');
my $queue = $aws->queue('plain', 300);

sub aws_destination
{
	my ($name, $kind, %settings) = @_;
	my $json = encode_json({ endpoint_url => $aws->url, region => 'us-east-1', allow_private => ['127.0.0.0/8'], timeout_ms => 600000,
		credentials => { file => "$dir/credentials", profile => 'saga' }, %settings });
	sql("SELECT saga.create_destination('$name', '$kind', '$json'); SELECT saga.set_destination_owner('$name', 'mallory')");
	return;
}

aws_destination('topic', 'sns', topic_arn => $topic->{topic_arn});
aws_destination('queue', 'sqs', queue_url => $queue);
destination('mallory', 'slow', '/ok3', %settings);
sql(<<'SQL');
CREATE TABLE given_back (message_id uuid, receives int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.given_back VALUES (new.message_id, new.receives); RETURN NULL; END $$;
CREATE TRIGGER note AFTER UPDATE ON saga.timer FOR EACH ROW WHEN (old.lease IS NOT NULL AND new.lease IS NULL) EXECUTE FUNCTION note();
SQL

my $in_flight = 'SELECT count(*) FROM saga.timer t JOIN saga.destination d ON d.destination_id = t.queue_id WHERE lease IS NOT NULL AND name';
my $stopped;
END { kill('CONT', $stopped) if $stopped }

sql("SELECT saga.publish_to('mallory.slow', m) FROM generate_series(1, 45),
	(SELECT jsonb_build_object('a', jsonb_agg(jsonb_build_object('b', i))) AS m FROM generate_series(1, 20000) i) s");
poll_until($node, "SELECT ($in_flight = 'slow') > 10");
sql("SELECT saga.publish_to('mallory.' || d, jsonb_build_object('n', n)) FROM unnest('{topic, queue}'::text[]) d, generate_series(1, 25) n");
poll_until($node, "SELECT ($in_flight IN ('topic', 'queue')) > 0 OR NOT EXISTS (SELECT FROM saga.outbox WHERE state = 'waiting')");

# longer than one waits for its turn: it gets none, as the publisher does nothing
$stopped = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher'});
kill('STOP', $stopped) or die "could not stop $stopped: $!";
sleep(21);
kill('CONT', $stopped);
$stopped = undef;
ok(poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state <> 'delivered'", '0'), 'all are delivered, though some had no turn');
cmp_ok(sql('SELECT count(*) FROM given_back'), '>', 0, 'these went back');
is(sql('SELECT max(receives) FROM given_back'), '0', 'and it was no attempt');
is(sql("SELECT max(attempts) FROM saga.outbox JOIN saga.destination USING (destination_id) WHERE name IN ('slow', 'topic', 'queue')"), '1', 'each was sent once');
is(scalar(requests('/ok3')), 45, 'all arrive once');
foreach my $of ([ 'of SNS', $topic->{queue_url} ], [ 'of SQS', $queue ])
{
	is_deeply([ sort { $a <=> $b } map { decode_json($_->{body})->{n} } $aws->receive($of->[1]) ], [ 1 .. 25 ], "and those $of->[0]");
}
$node->stop;

# ---------- in a session, which has nobody else to serve ----------

$node = new_saga_node('call', 'pg_saga.publishers = 0');
create_extensions($node);
sql("CREATE ROLE $_") foreach 'alice', 'mallory';
destination('mallory', 'costly', '/ok4', %settings);
destination('alice', 'alices', '/ok5');
sql("SELECT saga.publish_to('mallory.costly', m) FROM generate_series(1, 15),
	(SELECT jsonb_build_object('a', jsonb_agg(jsonb_build_object('b', i))) AS m FROM generate_series(1, 50000) i) s");
sql("SELECT saga.publish_to('alice.alices', '{}') FROM generate_series(1, 5)");
sql('CALL saga.publish()');
is(sql('SELECT max(attempts) FROM saga.outbox'), '1', 'CALL saga.publish() composes more than fits into one turn');
is(sql("SELECT count(*) FROM saga.outbox WHERE state <> 'delivered'"), '0', 'and returns when all of it is sent');
is(scalar(requests('/ok4')) . ' ' . scalar(requests('/ok5')), '15 5', 'once');

$node->stop;
done_testing();
