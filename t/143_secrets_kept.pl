# What a publisher knows of secrets: of each owner so many, however many he has, and had; and whoever changes one of his has nobody else's
# requests wait until all of his are read anew.
use strict;
use warnings;

use File::Temp;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $node = new_saga_node('main', 'pg_saga.publishers = 1', 'shared_buffers = 16MB', 'autovacuum = off');
create_extensions($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub publisher { return sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher'") }

sql("CREATE ROLE $_ LOGIN; GRANT USAGE ON SCHEMA saga TO $_; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO $_") foreach 'alice', 'mallory';
my $dir = File::Temp->newdir('saga-secrets-XXXXXX', TMPDIR => 1);
my $server = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
my $url = $server->url('/ok');
sql(qq{SET SESSION AUTHORIZATION alice; SELECT saga.set_secret('key', 'alice-s-key'); RESET SESSION AUTHORIZATION;
	SELECT saga.set_secret('key', 'to be replaced');
	SELECT saga.create_destination('hers', 'http', '{"url": "$url", "allow_private": true, "auth": {"type": "bearer", "token": "{secret:alice.key}"}}');
	SELECT saga.set_destination_owner('hers', 'alice')});

sub alice_sends
{
	sql("SELECT saga.publish_to('alice.hers', '{}')");
	return poll_until($node, "SELECT count(*) FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = 'hers' AND o.state <> 'delivered'", '0');
}

# mallory sends a request with each sixteen of so many secrets; nobody listens. The rows are made at once, as set_secret would take long.
sub mallory_sends
{
	my ($round, $n, $bytes) = @_;
	my $destinations = int($n / 16);
	my $headers = "(SELECT jsonb_object_agg('X-' || g, '{secret:m${round}_' || g || '}') FROM generate_series(h * 16 + 1, h * 16 + 16) g)";
	sql("INSERT INTO saga.secret (owner, name, value) SELECT 'mallory', 'm${round}_' || g, repeat('x', $bytes) FROM generate_series(1, $n) g;
		SET SESSION AUTHORIZATION mallory;
		SELECT saga.create_destination('m${round}_' || h, 'http', jsonb_build_object('url', 'https://127.0.0.1:1/', 'max_attempts', 1, 'headers', $headers))
			FROM generate_series(0, $destinations - 1) h;
		SELECT saga.publish_to('m${round}_' || h, '{}') FROM generate_series(0, $destinations - 1) h");
	return ok(poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '0'), "round $round of mallory's requests has ended");
}

# ---------- changes ----------

ok(alice_sends(), 'alice sends');
mallory_sends(1, 1600, 20);

# the publisher's own, too, when it has ended
my $scans = "SELECT idx_scan FROM pg_stat_all_tables WHERE relid = 'saga.secret'::regclass";
sub restart_publisher
{
	my $pid = publisher();
	sql("SELECT pg_terminate_backend($pid)");
	return poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", '0');
}
my $rounds = 20;
foreach my $i (1 .. $rounds)
{
	sql("SET SESSION AUTHORIZATION mallory; SELECT saga.set_secret('m1_1', 'v$i')");
	alice_sends();
}
restart_publisher();
# each of the rounds read one of alice's, at least, and was not 1,600 of mallory's
ok(poll_until($node, "SELECT idx_scan >= $rounds FROM pg_stat_all_tables WHERE relid = 'saga.secret'::regclass"), 'what was read is counted');
my $before = sql($scans);
cmp_ok($before, '<', 1600 * 8, "alice's requests have not read mallory's secrets");

sql("SET SESSION AUTHORIZATION alice; SELECT saga.set_secret('key', 'another-key')");
ok(alice_sends(), 'alice sends with another key');
like(slurp_file("$dir/raw"), qr/Bearer alice-s-key.*Bearer another-key/s, 'which is the one that was sent');

# ---------- memory ----------

SKIP:
{
	skip 'reads /proc', 3 unless -r '/proc/self/status';
	my $pid = publisher();
	my $peak = sub { my ($kb) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s*(\d+) kB/m; return $kb / 1024 };
	my $mb = $peak->();

	# 320 MB, of which a publisher keeps 33; requests in flight take some more
	mallory_sends(2, 40000, 8000);
	is(publisher(), $pid, 'it is the same publisher');
	cmp_ok($peak->() - $mb, '<', 200, 'it has not kept all of them');
}

done_testing();
