# An owner's tokens take nothing that others need: neither connections, when her token endpoints do not answer, nor the
# publisher's memory, nor its time, nor rows without end.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $dir = File::Temp->newdir('saga-tokens-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', 'pg_saga.publishers = 1');
create_extensions($node);

sub requests { return map { decode_json($_)->{target} } split(/\n/, slurp_file("$dir/raw")) }

# As SQL, with "g" for the number.
sub destinations
{
	my ($name, $n, $token_url, %auth) = @_;
	my $json = encode_json({
		url => $raw->url('/status/200'), allow_private => ['127.0.0.0/8'], base_ms => 20, cap_ms => 200, max_attempts => 1000,
		auth => { type => 'oauth2_client_credentials', token_url => $raw->url('TOKEN'), client_id => 'c', client_secret => '{secret:s}',
			scope => 'SCOPE', %auth } });
	sql("SELECT saga.create_destination('$name' || g, 'http', replace(replace('$json', 'TOKEN', $token_url), 'SCOPE', 's' || g)::jsonb),
			saga.set_destination_owner('$name' || g, 'mallory') FROM generate_series(1, $n) g");
	return;
}

sub publish_to_all
{
	my ($name, $n) = @_;
	sql("SELECT saga.publish_to('mallory.$name' || g, '{}') FROM generate_series(1, $n) g");
	return;
}

sub waiting { return "SELECT count(*) FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE state = 'waiting' AND d.owner = '$_[0]'::regrole" }

sub publisher { return sql("SELECT pid FROM saga.workers WHERE type = 'publisher'") }

sub alice_sends
{
	sql("SELECT saga.publish_to('alice.books', '{}')");
	return poll_until($node, waiting('alice'), '0');
}

sql("CREATE ROLE $_") foreach 'alice', 'mallory';
sql(q(SELECT saga.set_secret('s', 'S-4711')));
my $hers = encode_json({ url => $raw->url('/ok'), allow_private => ['127.0.0.0/8'] });
sql("SELECT saga.create_destination('books', 'http', '$hers'), saga.set_destination_owner('books', 'alice')");

# ---------- endpoints that give a token once, and never again ----------

my $n = 400;
my $answers = q('[{"status": 200, "text": "{\"access_token\":\"t-' || g || '\",\"expires_in\":3600}"}, {"raw": ""}]');
my $spec = "'/say/' || translate(encode(convert_to($answers, 'UTF8'), 'base64'), E'+/=\\n', '-_')";
destinations('hanging', $n, $spec, early_refresh_s => 3600);
publish_to_all('hanging', $n);
ok(poll_until($node, waiting('mallory'), '0'), 'each of many destinations has a token');
my $asked = grep { m{^/say/} } requests();

# It is time to ask for others, and for long they can still be used; of a publisher that has just started.
my $pid = publisher();
kill_process($pid, 'TERM');
sql("UPDATE saga.token SET fetched_at = now() - interval '2000 s', expires_at = now() + interval '900 s'");
publish_to_all('hanging', $n);
ok(wait_until(sub {
	(grep { m{^/say/} } requests()) > $asked + 150 || sql("SELECT count(*) FROM saga.outbox WHERE state = 'delivered'") > $n + 150 }),
	'with tokens that are about to expire messages are sent again');
ok(alice_sends(), "alice's message arrives while mallory's token endpoints do not answer");
my @before = requests();
splice(@before, (grep { $before[$_] eq '/ok' } 0 .. $#before)[0]);
cmp_ok(scalar(grep { m{^/say/} } @before) - $asked, '<', 100, 'which few are asked at once');
ok(poll_until($node, waiting('mallory'), '0'), 'and mallory sends with the tokens that she has');

# ---------- many tokens, large ones ----------

# Its own memory, without what it has touched of the server's.
sub resident_kb
{
	my ($kb) = slurp_file("/proc/$_[0]/status") =~ /RssAnon:\s+(\d+)/;
	return $kb;
}

sub token_rows_read
{
	return sql("SELECT pg_stat_clear_snapshot(); SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables
		WHERE relid = 'saga.token'::regclass") =~ s/^\s+//r;
}

# Rows of long ago that have not expired.
sql("INSERT INTO saga.token (key, made_for, version, access_token, fetched_at, expires_at, failures, owner, destination_id, written_at)
	SELECT 'client/' || md5(g::text), 'x', 1, 'y', now(), now() + interval '400 days', 0, 'mallory', 1, now() - interval '1 day'
	FROM generate_series(1, 50000) g; ANALYZE saga.token");
my $read_before = token_rows_read();
$n = 1500;
destinations('large', $n, q('/token/16000/' || (g % 7)));
publish_to_all('large', 300);
ok(poll_until($node, waiting('mallory'), '0'), 'tokens of 16 kB');
$pid = publisher();
my $kb = resident_kb($pid);
publish_to_all('large', $n);
ok(alice_sends(), "alice's message arrives while mallory fetches tokens");
ok(poll_until($node, waiting('mallory'), '0'), 'a thousand more of them');
is(publisher(), $pid, 'of the same publisher');
$kb = resident_kb($pid) - $kb;
cmp_ok($kb, '<', 18000, 'which does not keep them all in its memory');
# what is cached of the destinations themselves is there, too: the tokens would be twenty megabytes more
poll_until($node, "SELECT count(*) < 50000 FROM saga.token");
my $read = token_rows_read() - $read_before;
cmp_ok($read, '<', 10_000_000, 'and does not read all that is there for each') or diag($read);

# ---------- rows ----------

sql("DELETE FROM saga.token WHERE made_for = 'x'");
publish_to_all('large', $n);
ok(poll_until($node, waiting('mallory'), '0'), 'once more');
cmp_ok(sql("SELECT count(*) FROM saga.token WHERE owner = 'mallory'::regrole"), '<=', 1100, 'an owner has some rows and no more');
sql("INSERT INTO saga.token (key, made_for, version, access_token, fetched_at, expires_at, failures, owner, destination_id, written_at)
	VALUES ('client/long', 'x', 1, 'y', now(), now() + interval '400 days', 0, 'alice', (SELECT destination_id FROM saga.destination WHERE name = 'books'), now())");
sql("SELECT saga.drop_destination('mallory.large' || g) FROM generate_series(1, $n) g");
$node->restart;
ok(poll_until($node, "SELECT count(*) FROM saga.token t WHERE NOT EXISTS (SELECT FROM saga.destination d WHERE d.destination_id = t.destination_id)", '0'),
	'those of destinations that are gone go, too');
is(sql("SELECT count(*) FROM saga.token WHERE key = 'client/long'"), '1', 'and no others');

$node->stop;
done_testing();
