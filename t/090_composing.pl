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

# Each takes a tenth of a second, and is refused and due again at once.
my $messages = 40;
my %settings = (base_ms => 1, cap_ms => 1, max_attempts => 10000, concurrency => 1000, allow_private => ['127.0.0.0/8'], timeout_ms => 600000,
	classify => [ { status => [503], as => 'retry' } ], request => { body => { expr => '{"r": $sum(a.(b * b * b))}' } });
destination('mallory', 'costly', '/status/503', %settings);
sql("SELECT saga.publish_to('mallory.costly', m) FROM generate_series(1, $messages),
	(SELECT jsonb_build_object('a', jsonb_agg(jsonb_build_object('b', i))) AS m FROM generate_series(1, 50000) i) s");
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

$node->stop;
done_testing();
