# What servers answer is their owner's matter: a large answer, one that cannot be recorded, one that ends
# the publisher cost him an attempt, and nobody else anything. "alice's message arrives while mallory ..."
use strict;
use warnings;

use File::Temp;
use IPC::Run qw(start finish);
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test qw(:DEFAULT sql);

my $dir = File::Temp->newdir('saga-answers-XXXXXX', TMPDIR => 1);
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
		url => $raw->url($path), allow_private => ['127.0.0.0/8'], base_ms => 20, cap_ms => 50, timeout_ms => 60000, %settings });
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
sub outcome { return sql(outbox($_[0], "string_agg(DISTINCT concat_ws(' ', state, attempts, last_class, last_error), '; ')")) }
sub publisher { return sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher'") }
sub requests { return grep { index($_, qq("target":"$_[0]")) >= 0 } split(/\n/, slurp_file("$dir/raw")) }

# ---------- how large an answer may be ----------

my ($rc, $out, $err) = $node->psql('postgres', sprintf q(SELECT saga.create_destination('large', 'http', '%s')),
	encode_json({ url => 'https://example.com/', max_response_bytes => 4 * 1024 * 1024 + 1 }));
like($err, qr/\$\.max_response_bytes must not be larger than 4096 kB/, 'an answer of more than 4 MB is not asked for');
($rc, $out, $err) = $node->psql('postgres', sprintf q(SELECT saga.create_destination('large', 'http', '%s')),
	encode_json({ url => 'https://example.com/', lookup => { url => '/x', found => 'a', max_response_bytes => 8 * 1024 * 1024 } }));
like($err, qr/\$\.lookup\.max_response_bytes must not be larger/, 'nor by a look-up');
$node->append_conf('postgresql.conf', 'pg_saga.answer_limit = 64MB');
$node->reload;
poll_until($node, 'SHOW pg_saga.answer_limit', '64MB');
destination('mallory', 'stored', '/ones/5000001', max_response_bytes => 64 * 1024 * 1024, max_attempts => 1, capture => { first => '[0]' });
$node->append_conf('postgresql.conf', 'pg_saga.answer_limit = 4MB');
$node->reload;
poll_until($node, 'SHOW pg_saga.answer_limit', '4MB');
publish('stored');
poll_until($node, waiting('stored'), '0');
like(outcome('stored'), qr/^failed 1 uncertain Saga.Uncertain: .*Saga.AnswerTooLarge: the answer has more than 4194304 bytes/,
	'what is stored already counts as 4 MB');

# ---------- one whose recording raises ----------

# the error of a palloc that is too large, which is called an internal one; what is kept without the answer passes
sql(q(CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN RAISE 'invalid memory alloc request size 1073741824' USING ERRCODE = 'XX000'; END $$;
	CREATE TRIGGER raises BEFORE UPDATE ON saga.outbox FOR EACH ROW
		WHEN (new.last_status = 299 AND coalesce(new.last_error, '') NOT LIKE '%Saga.UnreadableAnswer%') EXECUTE FUNCTION raise()));

destination('alice', 'slow', '/after/3000/ok');
destination('alice', 'quick', '/ok');
destination('mallory', 'raising', '/status/299', max_attempts => 3);
publish('slow');
poll_until($node, "SELECT count(*) FROM saga.timer WHERE lease IS NOT NULL", '1');
my $pid = publisher();
publish('raising', 5);
publish('quick');
ok(poll_until($node, waiting('quick'), '0'), "alice's message arrives while mallory's answers cannot be recorded");
poll_until($node, waiting('slow'), '0');
is(outcome('slow'), 'delivered 1 success', 'and what was in flight is sent once');
is(scalar(requests('/after/3000/ok')), 1, 'as the server saw it');
is(publisher(), $pid, 'by the same publisher');

poll_until($node, waiting('raising'), '0');
like(outcome('raising'), qr/^failed 1 uncertain Saga.Uncertain: [^;]*Saga.UnreadableAnswer: the answer cannot be kept: invalid memory alloc request size 1073741824$/,
	'what was done is not done again for its answer');
is(sql("SELECT count(*) FROM saga.all_dead_letters WHERE queue = 'destination/raising'"), '5', 'and each of them is a dead letter');

# in a session of hers it is the same, and the session goes on
$node->append_conf('postgresql.conf', 'pg_saga.publishers = 0');
$node->reload;
poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher'", '0');
publish('raising', 3);
my $mallory = $node->background_psql('postgres', extra_params => [ '-U', 'mallory' ]);
$mallory->query_safe('CALL saga.publish()') foreach 1 .. 2;
is($mallory->query_safe("SELECT 'still there'"), 'still there', 'CALL saga.publish() leaves no aborted transaction behind');
$mallory->quit;
$node->append_conf('postgresql.conf', 'pg_saga.publishers = 1');
$node->reload;
sql('DROP TRIGGER raises ON saga.outbox');

# ---------- one that goes with its publisher ----------

destination('mallory', 'ending', '/hang/ending', max_attempts => 2);
destination('mallory', 'asking', '/hang/asking', max_attempts => 2, lookup => { url => $raw->url('/hang/lookup'), found => 'a' });
publish($_) foreach 'ending', 'asking';

# it has failed, or the server has been asked for it so often
sub failed { return outcome($_[0]) =~ /failed/ }
sub asked { my ($name, $n, @paths) = @_; return failed($name) || (map { requests("/hang/$_") } @paths) >= $n }

foreach my $n (1 .. 6)
{
	wait_until(sub { return asked('ending', $n, 'ending') && asked('asking', $n, 'asking', 'lookup') });
	my $publisher = publisher();
	last if failed('ending') && failed('asking');
	sql("SELECT pg_terminate_backend($publisher)");
	poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE pid = $publisher", '0');
	# the next one looks for what has no publisher when it begins
	publish('quick');
	poll_until($node, waiting('quick'), '0');
}
like(outcome('ending'), qr/^failed 3 uncertain Saga\.Uncertain: each publisher that sent it ended/, 'what ends its publisher is not sent for ever');
is(scalar(requests('/hang/ending')), 2, 'but as often as it may be');
like(outcome('asking'), qr/^failed \d uncertain Saga\.Uncertain: each publisher that sent it ended/, 'nor asked for');

# ---------- many large ones at once ----------

sub request_count { return scalar(requests($_[0])) }

destination('mallory', 'ones', '/ones/1000001', concurrency => 60, timeout_ms => 600000);
destination('alice', 'later', '/after/2000/ok', timeout_ms => 8000, max_attempts => 1);
publish('later');
poll_until($node, 'SELECT in_flight FROM saga.destinations WHERE name = \'later\'', '1');
publish('ones', 60);
foreach (1 .. 1800)
{
	last if request_count('/ones/1000001') >= 50;
	usleep(50_000);
}
publish('quick', 3);
poll_until($node, waiting('quick'), '0');
my $between = sql("SELECT count(*) FROM saga.outbox o JOIN saga.destination d USING (destination_id),
	(SELECT max(p.created_at) AS since, max(p.finished_at) AS till FROM saga.outbox p JOIN saga.destination d USING (destination_id) WHERE d.name = 'quick') q
	WHERE d.name = 'ones' AND o.finished_at BETWEEN q.since AND q.till");
cmp_ok($between, '<', 30, "alice's messages arrive while mallory's answers are recorded one by one");
poll_until($node, waiting('later'), '0');
is(outcome('later'), 'delivered 1 success', 'and an answer that came meanwhile came in time');
$pid = publisher();
sql("SELECT pg_terminate_backend($pid)") if sql(waiting('ones')) > 0;
poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", '0') if $pid;
poll_until($node, waiting('ones'), '0');
like(outcome('ones'), qr/^(delivered [12] success(; )?)+$/, 'they are recorded in the end');

# ---------- and their memory ----------

SKIP:
{
	skip 'no /proc', 1 unless -e '/proc/self/status';
	destination('mallory', 'letters', '/letters/4000000', concurrency => 100, max_response_bytes => 4 * 1024 * 1024, timeout_ms => 600000);
	publish('letters', 100);
	$pid = publisher();
	poll_until($node, waiting('letters'), '0');
	is(publisher(), $pid, 'one publisher had all of them');
	my ($peak) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s*(\d+) kB/m;
	cmp_ok($peak, '<', 400_000, 'what a publisher holds of 400 MB of answers');
	note("$peak kB");
}

$node->stop;
done_testing();
