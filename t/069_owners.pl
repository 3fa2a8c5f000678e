# A publisher serves all owners: what one of them has does not keep it from the others.
# "alice's message arrives while mallory ..."
use strict;
use warnings;

use File::Temp;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test qw(:DEFAULT sql);

my $dir = File::Temp->newdir('saga-owners-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', 'pg_saga.publishers = 1');
create_extensions($node);

foreach my $role ('alice', 'mallory')
{
	sql("CREATE ROLE $role LOGIN; GRANT USAGE ON SCHEMA saga TO $role; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO $role;
		GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA saga TO $role; GRANT SELECT ON saga.dead_letters, saga.destinations TO $role");
}

sub destination
{
	my ($owner, $name, $path, %settings) = @_;
	my $json = encode_json({
		url => $raw->url($path), allow_private => ['127.0.0.0/8'], base_ms => 20, cap_ms => 50, timeout_ms => 900000, %settings });
	sql("SELECT saga.create_destination('$name', 'http', '$json'); SELECT saga.set_destination_owner('$name', '$owner')");
	return;
}

sub publish
{
	my ($to, $n) = @_;
	$n //= 1;
	my $named = sql("SELECT owner::regrole || '.' || name FROM saga.destination WHERE name = '$to'");
	sql("SELECT count(saga.publish_to('$named', '{}')) FROM generate_series(1, $n)");
	return;
}

sub outbox { return "SELECT $_[1] FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$_[0]'" }
sub waiting { return outbox($_[0], 'count(*)') . " AND o.state = 'waiting'" }
sub in_flight { return "SELECT in_flight FROM saga.destinations WHERE name = '$_[0]'" }

# ---------- places are one's own ----------

destination('mallory', 'grouped', '/hang', limits => { group => 'hers', concurrency => 3 });
destination('alice', 'hangs', '/hang', concurrency => 2);
publish($_, 5) foreach 'grouped', 'hangs';
poll_until($node, in_flight('grouped'), '3');
poll_until($node, in_flight('hangs'), '2');
my $places = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = 'postgres')";
is(sql("$places AND classid::bigint = (SELECT destination_id FROM saga.destination WHERE name = 'hangs') AND objsubid = 21321"), '2',
	"a destination's places have its number");
is(sql("$places AND classid = 'mallory'::regrole AND objsubid BETWEEN 24577 AND 24579"), '3', "a group's have its owner's, whatever it is called");

sql("SELECT saga.pause_destination('alice.hangs')");
sql("SELECT saga.pause_destination('mallory.grouped')");
# what hangs ends with it, and the next one, which is there at once, sends none of it again
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher'");

# ---------- destinations that hang ----------

destination('alice', 'alices', '/ok');
my @shares = (128, 42, 14, 5, 2);
foreach my $i (0 .. $#shares)
{
	destination('mallory', "hanging$i", '/hang', concurrency => 1000);
	publish("hanging$i", 200);
	poll_until($node, "SELECT ($_) >= $shares[$i]") foreach in_flight("hanging$i");
}
publish('alices', 20);
ok(poll_until($node, waiting('alices'), '0'), "alice's messages arrive while mallory has all the requests that she may have");

# she has more of them, in destinations that are not served at all
destination('mallory', "more$_", '/hang', concurrency => 1000) foreach 1 .. 3;
publish("more$_", 5) foreach 1 .. 3;
publish('alices', 20);
ok(poll_until($node, waiting('alices'), '0'), 'and while she asks for more');

# the publisher has nothing to do then
sub cpu { my @f = split(/ /, slurp_file("/proc/$_[0]/stat") =~ s/.*\) //sr); return ($f[11] + $f[12]) / 100 }
if (-e '/proc/self/stat')
{
	my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher'");
	my $before = cpu($pid);
	usleep(2_000_000);
	cmp_ok(cpu($pid) - $before, '<', 1, 'who waits for a request of hers to end does not spin');
}


# ---------- many destinations without messages ----------

$node->append_conf('postgresql.conf', 'pg_saga.publishers = 0');
$node->restart;
destination('alice', sprintf('many%03d', $_), '/ok') foreach 1 .. 40;
publish('many040', 3);
my $publishing = sub { $node->safe_psql('postgres', 'CALL saga.publish()', extra_params => [ '-U', 'alice' ]) };
$publishing->();
is(sql(waiting('many040')), '0', 'CALL saga.publish() serves the one that has messages');

# those that were ready once, and have none any more
publish(sprintf('many%03d', $_)) foreach 1 .. 40;
sql("DELETE FROM saga.message m USING saga.destination d WHERE d.destination_id = m.queue_id AND d.name LIKE 'many%' AND d.name <> 'many040'");
$publishing->();
is(sql(waiting('many040')), '0', 'also when others are said to be ready and are not');

# ---------- sources that hang ----------

# it takes connections, and never answers: half a minute for each receive
my $dead = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1024) or die "no socket: $!";
my $aws = start_fauxqs();
my $url = $aws->queue('alices');
sql(q(SELECT saga.set_secret('aws', '{"access_key_id": "A", "secret_access_key": "S"}')));

sub source
{
	my ($owner, $queue_url, $endpoint) = @_;
	my $json = encode_json({
		queue_url => $queue_url, endpoint_url => $endpoint, region => 'us-east-1', allow_private => JSON::PP::true,
		wait_s => 20, credentials => { secret => 'aws' } });
	return "SELECT saga.create_source(n, 'sqs', '$json', '$owner.$owner'), saga.set_source_owner(n, '$owner')";
}

sql("SET ROLE $_; SELECT saga.create_queue('$_')") foreach 'alice', 'mallory';
my $hanging = 'http://127.0.0.1:' . $dead->sockport;
sql(source('mallory', "$hanging/1/q", "$hanging/") . " FROM (SELECT 'hanging' || i AS n FROM generate_series(1, 200) i) s");
# the process has begun with them
poll_until($node, "SELECT count(*) >= 100 FROM saga.source_status WHERE state = 'receiving'");
sql(source('alice', $url, $aws->url) . " FROM (SELECT 'alices'::text AS n) s");
$aws->send_messages($url, '{"x": 1}');
poll_until($node, "SELECT count(*) FROM saga.message m JOIN saga.queue q USING (queue_id) WHERE q.name = 'alice'", '1');
is(sql("SELECT count(*) FROM saga.source_status WHERE state = 'failing'"), '0', "alice's source receives while mallory's hang");

$node->stop;
done_testing();
