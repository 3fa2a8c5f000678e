# What a server of SQS says over and over takes a source no time that others need, nothing that somebody else does
# makes a source that fails ask more often, and no date of a sender keeps what is known of a message for ever.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test qw(:DEFAULT as sql);
use Saga::Work;

my $dir = PostgreSQL::Test::Utils::tempdir;
append_to_file("$dir/credentials", "[default]\naws_access_key_id = a\naws_secret_access_key = b\n");
my $server = Saga::Server->start('sqs_script');
my $aws = start_fauxqs();
my $node = new_saga_node('main');
create_extensions($node);
add_role($node, 'postgres', $_) foreach qw(alice mallory);

sub script { my (%queues) = @_; $server->request('POST', '/_queues', \%queues); return }
sub requests { my ($name, $kind) = @_; return $server->request('GET', '/_queues')->{$name}{$kind}{requests} // 0 }
sub status { my ($name, $what) = @_; return "SELECT $what FROM saga.sources WHERE name = '$name'" }

sub source
{
	my ($owner, $name, $queue, $url, $endpoint, %settings) = @_;
	my $json = encode_json({
		queue_url => $url, endpoint_url => $endpoint->url, region => 'us-east-1', allow_private => JSON::PP::true,
		credentials => { file => "$dir/credentials" }, %settings });
	sql("SELECT saga.create_source('$name', 'sqs', '$json', '$queue', '$owner')");
	return;
}

sub hers { my ($name, %settings) = @_; return source('mallory', $name, 'hers', $server->url("/0/$name"), $server, %settings) }

as('mallory', q(SELECT saga.create_queue('hers')));
as('alice', q(SELECT saga.create_queue('letters')));

# ---------- large answers ----------

script(large => { messages => 100, bytes => 140000, answers => 1 });
hers('large');
ok(poll_until($node, status('large', 'inserted'), '100'), 'one answer of 14 MB is taken');
cmp_ok(sql('SELECT count(DISTINCT xmin::text) FROM saga.message'), '>=', 10, 'in several transactions');
is(requests('large', 'delete') >= 10, 1, 'and what is committed is deleted');
sql(q(SELECT saga.drop_source('mallory.large')));

# ---------- the same messages again and again ----------

script(same => { messages => 100, bytes => 140000 });
hers('same', receives => 20);
ok(poll_until($node, status('same', 'duplicates > 100'), 't'), 'the same messages come again');
my $url = $aws->queue('letters');
source('alice', 'letters', 'letters', $url, $aws, wait_s => 1);
foreach my $n (1 .. 10)
{
	$aws->send_messages($url, "{\"x\": $n}");
	ok(poll_until($node, q{SELECT count(*) FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.name = 'letters'}, $n),
		"alice's message arrives while mallory's server repeats itself: $n");
}
is(sql(status('same', 'inserted')), 100, 'each of hers is there once');
sql(q(SELECT saga.drop_source('mallory.same')));

# what is known is not looked at any more
script(spoilt => { messages => 10, md5 => 'wrong' });
hers('spoilt');
ok(poll_until($node, status('spoilt', 'duplicates > 10'), 't'), 'what is known is recognised before anything is made of it');
is(sql(status('spoilt', 'inserted')), 10, 'and was taken once');
sql(q(SELECT saga.drop_source('mallory.spoilt')));

# damaged ones are never taken, so never known
foreach my $name ('again', 'damaged')
{
	script($name => { messages => 0 });
	hers($name, receives => 20);
	ok(wait_until(sub { requests($name, 'receive') > 0 }), "$name: a source is served");
	script($name => { messages => 10, $name eq 'damaged' ? (md5 => 'wrong') : () });
	ok(poll_until($node, status($name, 'received > 30'), 't'), 'to which nothing new comes');
	my $begun = time;
	my $before = requests($name, 'receive');
	usleep(100_000) while time - $begun < 5;
	cmp_ok(requests($name, 'receive') - $before, '<', 10 + (time - $begun), 'its server is asked with pauses');
	sql("SELECT saga.drop_source('mallory.$name')");
}

# what is no answer of SQS, and would take much time or memory
my %too_much = (body => [ { bytes => 3000000 }, qr/a message is longer than 2097152 bytes/ ],
	receipt => [ { receipt => 5000 }, qr/a receipt handle is longer than 4096 bytes/ ],
	attributes => [ { attributes => 1001 }, qr/a message has more than 1000 attributes/ ]);
foreach my $name (sort keys %too_much)
{
	my ($script, $error) = @{ $too_much{$name} };
	script($name => { messages => 1, %$script });
	hers($name);
	ok(poll_until($node, status($name, 'state'), 'failing'), "$name: too much is an error");
	like(sql(status($name, 'last_error')), $error, 'which says so');
	sql("SELECT saga.drop_source('mallory.$name')");
}

# ---------- a source that fails ----------

as('mallory', q(SELECT saga.set_secret('s', 'x'); SELECT saga.grant('secret', 's', 'alice', 'use')));
script(failing => { receive => 'fail' });
source('alice', 'failing', 'letters', $server->url('/0/failing'), $server);
ok(wait_until(sub { requests('failing', 'receive') >= 4 }), "alice's source fails");

# With pauses of some seconds, whatever happens meanwhile.
sub asked_during
{
	my ($name, $n, $sql) = @_;
	my $from = requests('failing', 'receive');
	my $at = time;
	as('mallory', $sql x $n);
	usleep(100_000) while time - $at < 5;
	cmp_ok(requests('failing', 'receive') - $from, '<', 4 + (time - $at) / 2, $name);
	return;
}

asked_during('who takes back what was not granted does not make it ask', 2000, "SELECT saga.revoke('secret', 's', 'mallory', 'use');\n");
asked_during('nor who takes back what was', 500,
	"SELECT saga.grant('secret', 's', 'alice', 'use');\nSELECT saga.revoke('secret', 's', 'alice', 'use');\n");
hers('paused');
asked_during('nor who pauses his own', 300, "SELECT saga.pause_source('paused');\nSELECT saga.resume_source('paused');\n");
script(failing => { messages => 1, answers => 1 });
ok(poll_until($node, status('failing', 'state'), 'receiving'), 'it recovers');
my $settings = sql(q(SELECT settings FROM saga.source WHERE name = 'failing'));
script(failing => { receive => 'fail' });
ok(poll_until($node, status('failing', 'state'), 'failing'), 'it fails again');
my $asked_before = requests('failing', 'receive');
ok(wait_until(sub {
	sql("SELECT saga.alter_source('alice.failing', '$settings')");
	usleep(300_000);
	return requests('failing', 'receive') > $asked_before + 5;
}), 'who alters it is heard at once');
sql(q(SELECT saga.drop_source('alice.failing'); SELECT saga.drop_source('mallory.paused')));

# ---------- many that fail ----------

script(map { ("loud$_" => { receive => 'fail' }) } 1 .. 200);
$settings = encode_json({ endpoint_url => $server->url, region => 'us-east-1', allow_private => JSON::PP::true,
	credentials => { file => "$dir/credentials" } });
sql("SELECT saga.create_source('loud' || i, 'sqs', jsonb_build_object('queue_url', '" . $server->url('/0/') . "loud' || i) || '$settings', 'hers', 'mallory')
	FROM generate_series(1, 200) i");
ok(poll_until($node, q{SELECT count(*) FROM saga.sources WHERE name ~ '^loud' AND last_error IS NOT NULL}, '200'), 'two hundred sources of one owner fail');
my $lines = () = slurp_file($node->logfile) =~ /source "loud\d+" cannot go on/g;
cmp_ok($lines, '<', 200, 'the log has some of them');
cmp_ok($lines, '>', 0, 'and is not silent');
sql(q(SELECT saga.drop_source('mallory.' || name) FROM saga.source WHERE name ~ '^loud'));

# ---------- dates of a sender ----------

script('late.fifo' => { messages => 10, answers => 1, sent => 253402300798000 });
hers('late.fifo');
ok(poll_until($node, status('late.fifo', 'inserted'), '10'), 'messages that were sent in the year 9999 are taken');
is(sql('SELECT count(*) FROM saga.source_seen WHERE seen_at > now()'), 0, 'they are known from now on');
sql(q(INSERT INTO saga.source_seen SELECT source_id, 'old', '00000000-0000-7000-8000-000000000001', '9999-12-31' FROM saga.source
	WHERE name = 'late.fifo'));
my $pid = sql(q(SELECT pid FROM saga.workers WHERE type = 'coordinator'));
sql("SELECT pg_terminate_backend($pid)");
ok(poll_until($node, q{SELECT count(*) FROM saga.source_seen WHERE dedup_id = 'old'}, '0'),
	'what was noted long ago is forgotten, whatever its date');

$node->stop;
done_testing();
