# A publisher that is told to end first writes down the answers that have arrived: nothing that was answered is in
# doubt, and what has not left is as if it had not been taken. It does not take long for that.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $dir = File::Temp->newdir('saga-ending-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', 'pg_saga.publishers = 1', 'pg_saga.worker_idle_timeout = 1h');
create_extensions($node);

# Without a key and a look-up: what is lost is in doubt for good.
sub destination
{
	my ($name, $path, %settings) = @_;
	my $json = encode_json({ url => $raw->url($path), allow_private => ['127.0.0.0/8'], timeout_ms => 600000,
		idempotency => { in => 'none' }, %settings });
	return sql("SELECT saga.create_destination('$name', 'http', '$json')");
}

sub requests
{
	my ($path) = @_;
	return scalar(grep { index($_, qq("target":"$path")) >= 0 } split(/\n/, slurp_file("$dir/raw")));
}

sub publisher { return wait_pid($node, 'postgres', 'publisher', @_) }
sub publish { return sql("SELECT saga.publish_to('$_[0]', '{}')") }
sub state_of { return "SELECT state || coalesce(' ' || (SELECT reason FROM saga.dead_letter d WHERE d.message_id = o.outbox_id), '') FROM saga.outbox o WHERE outbox_id = '$_[0]'" }

my $stopped;
END { kill('CONT', $stopped) if $stopped }

sub freeze
{
	my ($pid) = @_;
	kill('STOP', $pid) or die "could not stop $pid: $!";
	$stopped = $pid;
	return wait_until(sub { slurp_file("/proc/$pid/stat") =~ /^\d+ \(.*\) T /s });
}

sub thaw
{
	kill('CONT', $stopped) or die "could not let $stopped go on: $!";
	$stopped = undef;
	return;
}

# SIGTERM waits until it goes on
sub is_told
{
	my ($pid) = @_;
	return wait_until(sub { my ($p) = slurp_file("/proc/$pid/status") =~ /^ShdPnd:\s*([0-9a-f]+)/m; return hex($p) & (1 << 14) });
}

# In the socket there is the answer, whole.
sub answer_arrives
{
	my ($path, $n) = @_;
	my $port = sprintf('%04X', $raw->port);
	return wait_until(sub {
		# of both ends the client's: the server's port is the remote one, and something is in its receive queue
		return scalar(grep { /^\s*\d+: \S+ [0-9A-F]+:$port 01 [0-9A-F]+:(?!00000000)[0-9A-F]+ / } split(/\n/, slurp_file('/proc/net/tcp'))) >= $n;
	});
}

# ---------- answers that are in its sockets ----------

destination('slow', '/after/15000/ok');
foreach my $how ('pg_terminate_backend', 'fast shutdown')
{
	my $n = requests('/after/15000/ok') + 3;
	my @ids = split(/\n/, sql(q(SELECT saga.publish_to('slow', '{}') FROM generate_series(1, 3))));
	my $pid = publisher();
	ok(wait_until(sub { requests('/after/15000/ok') == $n }), "$how: three requests are in flight");
	freeze($pid);
	ok(answer_arrives('/after/15000/ok', 3), "$how: three answers arrive while it does nothing");
	if ($how eq 'fast shutdown')
	{
		system_or_bail('pg_ctl', '-D', $node->data_dir, '-m', 'fast', '-W', 'stop');
	}
	else
	{
		sql("SELECT pg_terminate_backend($pid)");
	}
	ok(is_told($pid), "$how: it is told to end");
	thaw();
	wait_for_exit($pid);
	if ($how eq 'fast shutdown')
	{
		wait_until(sub { !-e $node->data_dir . '/postmaster.pid' });
		$node->_update_pid(0);
		$node->start;
	}
	ok(poll_until($node, state_of($_), 'delivered'), "$how: the answer is on record") foreach @ids;
	is(requests('/after/15000/ok'), $n, "$how: and nothing was sent again");
}

# ---------- answers that it is writing down ----------

destination('quick', '/ok');
sql(<<'SQL');
CREATE TABLE gate (closed boolean);
INSERT INTO gate VALUES (true);
CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN IF (SELECT closed FROM public.gate) THEN PERFORM pg_sleep(10000); END IF; RETURN NEW; END $$;
CREATE TRIGGER waits BEFORE UPDATE ON saga.outbox FOR EACH ROW EXECUTE FUNCTION waits();
SQL
my $sleeps = q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher' AND wait_event = 'PgSleep');
my $sent = publish('quick');
poll_until($node, $sleeps, '1');
my $pid = publisher();
my $offset = -s $node->logfile;
sql('UPDATE gate SET closed = false');
sql("SELECT pg_terminate_backend($pid)");
wait_for_exit($pid);
ok(poll_until($node, state_of($sent), 'delivered'), 'a transaction that wrote it is undone, and done again');
is(requests('/ok'), 1, 'and nothing was sent again');
unlike(slurp_file($node->logfile, $offset), qr/ERROR|FATAL|released/, 'without a word in the log');

# ---------- one that cannot be written keeps it for a short time ----------

sql(<<'SQL');
UPDATE gate SET closed = true;
CREATE OR REPLACE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN WHILE (SELECT closed FROM public.gate) LOOP PERFORM pg_sleep(0.1); END LOOP; RETURN NEW; END $$;
SQL
$sent = publish('quick');
poll_until($node, $sleeps, '1');
$pid = publisher();
sql("SELECT pg_terminate_backend($pid)");
wait_for_exit($pid);
pass('it ends, though a record cannot be written');
sql('UPDATE gate SET closed = false');
ok(poll_until($node, state_of($sent), 'failed Saga.Uncertain'), 'of that call nobody knows how it went');
sql('DROP TRIGGER waits ON saga.outbox');

# ---------- what has not left ----------

# Each takes a tenth of a second to compose, so most of them are claimed and have not left.
my $messages = 40;
destination('costly', '/status/200', concurrency => 1000, idempotency => { in => 'header' },
	request => { body => { expr => '{"r": $sum(a.(b * b * b))}' } });
my $of = q(JOIN saga.destination d ON d.destination_id = %s WHERE d.name = 'costly');
my $taken = 'SELECT count(*) FROM saga.timer t ' . sprintf($of, 't.queue_id') . ' AND lease IS NOT NULL';
sql("SELECT saga.publish_to('costly', m) FROM generate_series(1, $messages),
	(SELECT jsonb_build_object('a', jsonb_agg(jsonb_build_object('b', i))) AS m FROM generate_series(1, 50000) i) s");
poll_until($node, "SELECT ($taken) > 10");
$pid = publisher();
freeze($pid);
my $before = sql($taken);
sql("SELECT pg_terminate_backend($pid)");
ok(is_told($pid), "it is told to end with $before taken");
thaw();
wait_for_exit($pid);
my $outbox = 'SELECT count(*) FROM saga.outbox o ' . sprintf($of, 'o.destination_id');
ok(poll_until($node, "$outbox AND state = 'delivered'", $messages), 'all are sent in the end');
# one or two were on their way
cmp_ok(sql("$outbox AND attempts > 1"), '<', 5, 'what had not left is as if it had not been taken');

$node->stop;
done_testing();
