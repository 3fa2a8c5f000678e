# Destinations that have nothing to send cost nothing: publishers that looked into many of them, of several owners,
# and found them empty, do not look again and do not wake each other.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $dir = File::Temp->newdir('saga-idle-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
my $node = new_saga_node('main', 'pg_saga.publishers = 4', 'pg_saga.sweep_interval = 0');
create_extensions($node);

# More of each owner than one publisher has requests for.
my ($owners, $each) = (5, 80);
my $json = encode_json({ url => $raw->url('/after/100/ok'), allow_private => ['127.0.0.0/8'] });
foreach my $o (1 .. $owners)
{
	sql("CREATE ROLE o$o; SELECT count(saga.create_destination('o${o}_' || g, 'http', '$json')) FROM generate_series(1, $each) g");
	sql("SELECT count(saga.set_destination_owner('o${o}_' || g, 'o$o')) FROM generate_series(1, $each) g");
}

# none has begun a transaction for so long; one that looks again does so ten times a second, at least
sub rest
{
	return poll_until($node, q{SELECT coalesce(bool_and(state_change < clock_timestamp() - interval '3 s'), true)
		FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher'});
}

my $to_all = "SELECT count(saga.publish_to('o' || o || '.o' || o || '_' || g, '{}'))
	FROM generate_series(1, $owners) o, generate_series(1, $each) g";
sql($to_all);
ok(poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state <> 'delivered'", '0'), 'all are delivered');
ok(rest(), 'and then the publishers rest');

# All are said to be ready at once, and are not.
foreach my $round (1 .. 3)
{
	sql("BEGIN; $to_all; DELETE FROM saga.message; DELETE FROM saga.outbox WHERE state = 'waiting'; COMMIT");
	ok(rest(), "and when they looked in vain: $round");
}

# Whoever rests is woken.
sql("SELECT saga.publish_to('o1.o1_1', '{}'), saga.publish_to('o5.o5_$each', '{}')");
ok(poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state <> 'delivered'", '0'), 'and send what comes then');

$node->stop;
done_testing();
