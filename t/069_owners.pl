# A publisher serves all owners: what one of them has does not keep it from the others.
# "alice's message arrives while mallory ..."
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test;

my $dir = File::Temp->newdir('saga-owners-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', 'pg_saga.publishers = 1');
create_extensions($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }

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
	sql("SELECT count(saga.publish_to('$to', '{}')) FROM generate_series(1, $n)");
	return;
}

sub outbox { return "SELECT $_[1] FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$_[0]'" }
sub waiting { return outbox($_[0], 'count(*)') . " AND o.state = 'waiting'" }
sub in_flight { return "SELECT in_flight FROM saga.destinations WHERE name = '$_[0]'" }

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

$node->stop;
done_testing();
