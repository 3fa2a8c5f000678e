# CALL saga.publish() that is cancelled writes down what has arrived, and gives back what has not left; a publisher
# that leaves since there are to be fewer waits for its answers, and takes nothing more.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $dir = File::Temp->newdir('saga-leaving-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', 'pg_saga.publishers = 0', 'pg_saga.worker_idle_timeout = 1h');
create_extensions($node);

# Without a key and a look-up: what is lost is in doubt for good.
sub destination
{
	my ($name, $path, $database, %settings) = @_;
	my $json = encode_json({ url => $raw->url($path), allow_private => ['127.0.0.0/8'], timeout_ms => 600000,
		idempotency => { in => 'none' }, %settings });
	return $node->safe_psql($database // 'postgres', "SELECT saga.create_destination('$name', 'http', \$s\$$json\$s\$)");
}

sub requests
{
	my ($path) = @_;
	return scalar(grep { index($_, qq("target":"$path")) >= 0 } split(/\n/, slurp_file("$dir/raw")));
}

sub publish { return sql("SELECT saga.publish_to('$_[0]', '{}')") }
sub state_of { return sql("SELECT state || ' ' || attempts FROM saga.outbox WHERE outbox_id = '$_[0]'") }

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

# In the sockets there are so many answers, whole.
sub answers_arrive
{
	my ($n) = @_;
	my $port = sprintf('%04X', $raw->port);
	return wait_until(sub {
		return scalar(grep { /^\s*\d+: \S+ [0-9A-F]+:$port 01 [0-9A-F]+:(?!00000000)[0-9A-F]+ / } split(/\n/, slurp_file('/proc/net/tcp'))) >= $n;
	});
}

# A session that is in the CALL; it goes on after an error.
my $caller = $node->background_psql('postgres', on_error_stop => 0);
$caller->set_query_timer_restart;
my $pid = $caller->query_safe('SELECT pg_backend_pid()');
sub call { return $caller->query_until(qr/begun/, "\\echo begun\nCALL saga.publish();\n\\echo ended :SQLSTATE\n") }
sub call_ends { return $caller->query_until(qr/ended \w+/, "\n") =~ /ended (\w+)/ ? $1 : '' }
sub cancel { return sql("SELECT pg_cancel_backend($pid)") }

# ---------- CALL saga.publish(): answers in its sockets ----------

destination('slow', '/after/12000/ok');
destination('hangs', '/hang');
my @ids = split(/\n/, sql(q(SELECT saga.publish_to('slow', '{}') FROM generate_series(1, 3))));
my $hangs = publish('hangs');
call();
ok(wait_until(sub { requests('/after/12000/ok') == 3 && requests('/hang') == 1 }), 'its requests are in flight');
freeze($pid);
ok(answers_arrive(3), 'answers arrive while it does nothing');
cancel();
thaw();
is(call_ends(), '57014', 'it is cancelled');
is(state_of($_), 'delivered 1', 'and what has arrived is on record') foreach @ids;
is(state_of($hangs), 'waiting 0', 'nothing is known of what has not been answered, and it was not waited for');

# ---------- an answer that it is writing down ----------

destination('quick', '/ok');
sql(<<'SQL');
CREATE TABLE gate (closed boolean);
INSERT INTO gate VALUES (true);
CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN IF (SELECT closed FROM public.gate) THEN PERFORM pg_sleep(10000); END IF; RETURN NEW; END $$;
SQL
sub close_gate { sql('UPDATE gate SET closed = true; CREATE TRIGGER waits BEFORE UPDATE ON saga.outbox FOR EACH ROW
	WHEN (NEW.state = \'delivered\') EXECUTE FUNCTION waits()'); return }
sub sleeps { return poll_until($node, "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid", 'PgSleep') }
close_gate();
my $sent = publish('quick');
call();
sleeps();
sql('UPDATE gate SET closed = false');
cancel();
is(call_ends(), '57014', 'it is cancelled while it writes');
is(state_of($sent), 'delivered 1', 'what that has undone is done again');
is(requests('/ok'), 1, 'and nothing was sent again');

# one that cannot be written
sql('UPDATE gate SET closed = true');
sql(q(CREATE OR REPLACE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN IF (SELECT closed FROM public.gate) THEN PERFORM pg_sleep(10000); END IF; RAISE 'not now'; END $$));
$sent = publish('quick');
call();
sleeps();
sql('UPDATE gate SET closed = false');
cancel();
is(call_ends(), '57014', 'one that cannot be written does not hold it up');
sql('DROP TRIGGER waits ON saga.outbox');
is($caller->query('SELECT 1'), '1', 'and the session goes on');

# ---------- statement_timeout ----------

sql("SELECT saga.pause_destination('hangs')");
my $first = publish('quick');
$caller->query("SET statement_timeout = '15s'");
destination('later', '/hang/later');
my $later = publish('later');
call();
is(call_ends(), '57014', 'its time is over');
is(state_of($first), 'delivered 1', 'what came before is on record');
$caller->query('RESET statement_timeout');
sql("SELECT saga.pause_destination('later')");

# ---------- what has not left ----------

# Each takes a tenth of a second to compose, so most of them are claimed and have not left.
my $messages = 30;
destination('costly', '/status/200', 'postgres', concurrency => 1000, idempotency => { in => 'header' },
	request => { body => { expr => '{"r": $sum(a.(b * b * b))}' } });
sql("SELECT saga.publish_to('costly', m) FROM generate_series(1, $messages),
	(SELECT jsonb_build_object('a', jsonb_agg(jsonb_build_object('b', i))) AS m FROM generate_series(1, 50000) i) s");
my $costly = q(JOIN saga.destination d ON d.destination_id = %s WHERE d.name = 'costly');
my $taken = 'SELECT count(*) FROM saga.timer t ' . sprintf($costly, 't.queue_id') . ' AND lease IS NOT NULL';
call();
poll_until($node, "SELECT ($taken) > 10");
freeze($pid);
my $before = sql($taken);
cancel();
thaw();
is(call_ends(), '57014', "it is cancelled with $before taken");
cmp_ok(sql($taken), '<', 5, 'of which those that had not left are back');
$caller->query('CALL saga.publish()');
my $outbox = 'SELECT count(*) FROM saga.outbox o ' . sprintf($costly, 'o.destination_id');
is(sql("$outbox AND state = 'delivered'"), $messages, 'all are sent in the end');
cmp_ok(sql("$outbox AND attempts > 1"), '<', 5, 'as if they had not been taken');
$caller->quit;

# ---------- there are to be fewer publishers ----------

sub publishers
{
	sql("ALTER SYSTEM SET pg_saga.publishers = $_[0]");
	$node->reload;
	return;
}

my $requests = requests('/after/12000/ok');
publishers(1);
@ids = split(/\n/, sql(q(SELECT saga.publish_to('slow', '{}') FROM generate_series(1, 3))));
my $publisher = wait_pid($node, 'postgres', 'publisher');
ok(wait_until(sub { requests('/after/12000/ok') == $requests + 3 }), 'requests of a publisher are in flight');
publishers(0);
wait_for_exit($publisher);
is(state_of($_), 'delivered 1', 'it leaves with its answers') foreach @ids;

# another one comes while it waits
destination('slower', '/after/10000/ok');
publishers(1);
my $slower = publish('slower');
$publisher = wait_pid($node, 'postgres', 'publisher');
ok(wait_until(sub { requests('/after/10000/ok') == 1 }), 'a request is in flight');
publishers(0);
publishers(1);
$sent = publish('quick');
poll_until($node, "SELECT state FROM saga.outbox WHERE outbox_id = '$sent'", 'delivered');
pass('new work is done meanwhile');
poll_until($node, "SELECT state FROM saga.outbox WHERE outbox_id = '$slower'", 'delivered');
is(requests('/after/10000/ok'), 1, 'and nothing was sent again');

# a database that is dropped does not wait for it
$node->safe_psql('postgres', 'CREATE DATABASE other');
create_extensions($node, 'other');
destination('hangs', '/hang/other', 'other');
$node->safe_psql('other', "SELECT saga.publish_to('hangs', '{}')");
ok(wait_until(sub { requests('/hang/other') == 1 }), 'in another database, too');
$publisher = wait_pid($node, 'other', 'publisher');
publishers(0);
sql('DROP DATABASE other');
wait_for_exit($publisher);
pass('one that is dropped is not held up by what is in flight');

$node->stop;
done_testing();
