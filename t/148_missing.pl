# A process that is missing is seen: saga.workers says what waits for it and why, and saga.doctor() has the command that
# mends it.  And one that hangs is: since when it is busy.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;
use Saga::Work;

my $node = new_saga_node('missing', { start => 0 }, 'pg_saga.workers = 1', 'pg_saga.publishers = 1', 'max_wal_senders = 0');

sub sql { return $node->safe_psql('postgres', $_[0]) }

# Each from its line on, after a restart if need be.
sub set
{
	my ($restart, @settings) = @_;
	$node->append_conf('postgresql.conf', join("\n", @settings));
	$restart ? $node->restart : $node->reload;
	return;
}

# What of it there is besides rows of no interest here, and what was to come in time.
my $rows = q{SELECT type || ': ' || reason FROM saga.workers WHERE state = 'waiting' AND pid IS NULL AND owner IS NULL ORDER BY 1};
my $news = q{SELECT severity || ': ' || what FROM saga.doctor() WHERE "check" IN ('missing', 'switched_off') ORDER BY 1};

sub shows
{
	my ($query, $expected, $what) = @_;
	my $now;
	ok(wait_until(sub { ($now = sql($query)) eq $expected }), $what) or diag("$now\ninstead of\n$expected");
	return;
}

# What the doctor says, but for what is to stay as it is.
sub mend
{
	my ($restart) = @_;
	sql($_) foreach split /\n/, sql(q{SELECT DISTINCT command FROM saga.doctor() WHERE "check" IN ('missing', 'switched_off')});
	$restart ? $node->restart : $node->reload;
	shows($rows, '', 'nothing is missing any more');
	shows($news, '', 'and the doctor says so');
	return;
}

sub ends
{
	my ($x, $sent, $what) = @_;
	return ok(poll_until($node, "SELECT (SELECT count(*) FROM done WHERE x = $x), (SELECT count(*) >= $sent FROM saga.outbox_attempt)", '1|t'), $what);
}

$node->start;
sql('CREATE EXTENSION pg_saga');
add_role($node, 'postgres', 'alice');
add_workflow($node, 'postgres', 'alice', 'wf');
# nobody is there
sql(q{SELECT saga.create_destination('d', 'http', '{"url": "http://127.0.0.1:9/", "allow_private": ["127.0.0.0/8"], "retry": {"max_attempts": 1}}')});
shows($news, '', 'nothing is missing');

# ---------- the server has no room: its own launcher of logical replication takes the first place ----------

my $full = 'no free background worker slot (max_worker_processes)';
sub missing { return "error: a $_[0] cannot be started: $full (needs a restart)" }

set(1, 'max_worker_processes = 3');
sql(q{SELECT saga.publish_to('d', '{}')});
submit($node, 'postgres', 'wf', 1);
shows($rows, "publisher: $full\nworker: $full", 'saga.workers: there is no place for a worker and a publisher');
shows($news, missing('publisher') . "\n" . missing('worker'), 'the doctor says so');
like(sql(q{SELECT type || ' ' || database || ' ' || (last_active > now() - interval '1 h') FROM saga.workers WHERE state = 'waiting' AND type = 'worker'}),
	qr/^worker postgres t/, 'in which database, and since when');
is(sql('SET ROLE alice; SELECT count(*) FROM saga.worker_status() WHERE owner IS NULL AND reason IS NOT NULL'), '2', 'who has no part in it sees it, too');
set(1, 'max_worker_processes = 2');
shows($rows, "coordinator: $full", 'no place for a coordinator');
shows($news, missing('coordinator'), 'the doctor says so');
set(1, 'max_worker_processes = 1');
shows($rows, '', 'no place for the launcher');
like(sql($news), qr/^error: the launcher does not run, .* max_worker_processes = 1 had no place/, 'the doctor says so');
mend(1);
ends(1, 1, 'with the doctor\'s commands all is done');

# ---------- there are to be none ----------

sql(q{SELECT saga.create_queue('q')});
set(0, 'pg_saga.workers = 0', 'pg_saga.publishers = 0', 'pg_saga.sources = off');
my @off = ('pg_saga.publishers = 0: no message is sent by itself', 'pg_saga.sources = off: no message is taken from sources',
	'pg_saga.workers = 0: no execution runs by itself');
shows($rows, '', 'what nobody needs is not missing');
shows($news, join("\n", map { "notice: $_" } @off), 'the doctor has seen it');
sql(q{SELECT saga.create_source('s', 'sqs', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q"}', 'q')});
sql(q{SELECT saga.publish_to('d', '{}')});
submit($node, 'postgres', 'wf', 2);
shows($rows, "publisher: pg_saga.publishers is 0\nsource: pg_saga.sources is off\nworker: pg_saga.workers is 0", 'saga.workers: something waits for each of them');
is(sql('SELECT d.state, d.reason, s.state FROM saga.destinations d, saga.sources s'), 'open|pg_saga.publishers is 0|off', 'and so do the views of what waits');
shows($news, join("\n", map { "warning: $_, and something waits" } @off), 'the doctor says so');
sql(q{SELECT saga.drop_source('s')});
mend(0);
is(sql('SELECT state, reason FROM saga.destinations'), 'open|', 'nothing is in the way');
ends(2, 2, 'with the doctor\'s commands all is done');

# ---------- a coordinator that goes takes along what it has said ----------

sql('REVOKE CONNECT ON DATABASE postgres FROM PUBLIC');
submit($node, 'postgres', 'wf', 3);
my $reasons = q{SELECT count(*) FROM saga.workers WHERE owner = 'alice' AND reason LIKE '%no CONNECT privilege%'};
shows($reasons, '1', 'an owner who cannot have a worker');
set(0, q{pg_saga.databases = 'other, "a""b"'});
shows(q{SELECT count(*) FROM saga.workers WHERE type = 'coordinator'}, '0', 'this database is not served any more');
shows($reasons, '0', 'and nothing is said of who waited');
sql('GRANT CONNECT ON DATABASE postgres TO PUBLIC');
shows($news, q{warning: pg_saga.databases = other, "a""b" does not name this database: nothing runs here by itself}, 'the doctor says so');
mend(0);
ends(3, 2, 'with the doctor\'s command all is done');

# ---------- since when a process is busy ----------

my $busy = q{SELECT count(*) > 0 FROM saga.workers WHERE type = '%s' AND busy_since BETWEEN started_at - interval '1 s' AND now()};
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE saga.message, saga.timer');
sql("SELECT pg_terminate_backend(pid) FROM saga.workers WHERE type IN ('coordinator', 'publisher')");
shows(sprintf($busy, $_), 't', "a $_ that is held up") foreach 'coordinator', 'publisher';
$locker->query_safe('COMMIT');
$locker->quit;
shows(q{SELECT count(*) FROM saga.workers WHERE busy_since IS NOT NULL}, '0', 'and nobody any more');

$node->stop;
done_testing();
