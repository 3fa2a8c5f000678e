# An owner may have thousands of destinations that are all said to be ready, again and again, as he alters them in a
# loop: publishers spend a short time on them in each round, and messages of others go out meanwhile.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use Saga::Test qw(:DEFAULT sql);

my $dir = File::Temp->newdir('saga-many-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', 'pg_saga.publishers = 1');
create_extensions($node);

sub settings
{
	my ($path, %settings) = @_;
	return encode_json({ url => $raw->url($path), allow_private => ['127.0.0.0/8'], %settings });
}

sub requests
{
	my ($path) = @_;
	return scalar(grep { index($_, qq("target":"$path")) >= 0 } split(/\n/, slurp_file("$dir/raw")));
}

sub wait_for_requests
{
	my ($path, $n) = @_;
	return wait_until(sub { requests($path) >= $n });
}

# More than there are slots in shared memory; and each takes some milliseconds to be loaded.
my $n = 1500;
my $expr = '[' . join(',', map { "{'a':\$sum([$_,2,3]),'b':\$string(x)}" } 1 .. 150) . ']';
my $ok = settings('/ok');
my $hers = settings('/hers', request => { body => { expr => $expr } });
$hers =~ s/'/''/g;
sql("CREATE ROLE $_") foreach 'alice', 'mallory';
sql("SELECT saga.create_destination('alices', 'http', '$ok'); SELECT saga.set_destination_owner('alices', 'alice')");
sql("SELECT saga.create_destination('d' || g, 'http', '$hers') FROM generate_series(1, $n) g");
sql("SELECT saga.set_destination_owner('d' || g, 'mallory') FROM generate_series(1, $n) g");
sql("SELECT saga.publish_to('alice.alices', '{}')");
ok(wait_for_requests('/ok', 1), "alice's first message arrives");

sql("CREATE SEQUENCE altered");
my $loop = $node->background_psql('postgres', on_error_stop => 1);
$loop->query_until(qr/begun/, qq{
\\echo begun
DO \$\$ BEGIN LOOP FOR i IN 1 .. $n LOOP
	PERFORM saga.alter_destination('mallory.d' || i, '$hers'), nextval('altered');
	COMMIT;
END LOOP; END LOOP; END \$\$;
});
ok(poll_until($node, 'SELECT last_value >= 500 FROM altered'), "mallory alters her destinations, one after the other, without end");

# One after the other, each of which took seconds.
my $begun_at = time;
foreach my $i (2 .. 31)
{
	sql("SELECT saga.publish_to('alice.alices', '{}')");
	wait_for_requests('/ok', $i) or last;
}
my $seconds = time - $begun_at;
is(requests('/ok'), 31, "alice's messages arrive meanwhile");
cmp_ok($seconds, '<', 60, sprintf('all thirty in far less than a minute or two: %.1f s', $seconds));
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %'");
eval { $loop->quit };

# All of hers have their turn, too, and none is lost.
sql("SELECT saga.publish_to('mallory.d' || g, '{\"x\": 1}') FROM generate_series(1, $n) g");
ok(poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state <> 'delivered'", '0'), 'all of hers are delivered');
is(requests('/hers'), $n, 'each once');
ok(!$node->log_contains(qr/is put aside|could not compose/), 'nothing raised');

# A destination that is being made is not to be seen yet: nobody looks for it again and again.
my $open = $node->background_psql('postgres');
$open->query_safe("BEGIN; SELECT saga.create_destination('later', 'http', '$ok'); SELECT saga.publish_to('later', '{}')");
sql("SELECT saga.publish_to('alice.alices', '{}')");
ok(wait_for_requests('/ok', 32), 'while one is being made others go out');
$open->query_safe('COMMIT');
ok(wait_for_requests('/ok', 33), 'and its own message when it is there');
$open->quit;

$node->stop;
done_testing();
