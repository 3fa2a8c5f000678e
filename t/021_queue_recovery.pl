# Queues with a coordinator: timers come back by themselves, rows that no commit announced are found,
# prepared transactions survive a restart, a dump loses nothing.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $node = new_saga_node('queue_recovery', 'pg_saga.sweep_interval = 300ms', 'fsync = off');
$node->safe_psql('postgres', q{CREATE EXTENSION pg_saga; SELECT saga.create_queue('q', '0')});

# The coordinator moves what is due, with nobody receiving.
$node->safe_psql('postgres', q{SELECT saga.send('q', '1', delay => '0.2 seconds')});
poll_until($node, q{SELECT ready || ' ' || delayed FROM saga.queues}, '1 0');
pass('a delayed message becomes ready');
is($node->safe_psql('postgres', q{SELECT body FROM saga.receive('q')}), '1', 'and is received');
poll_until($node, q{SELECT ready || ' ' || in_flight FROM saga.queues}, '1 0');
pass('a lease that ran out comes back');

# Claims advance the mark; a row put in behind it by hand is invisible to them until a sweep.
is($node->safe_psql('postgres', q{SELECT body FROM saga.receive('q', 1, '1 hour')}), '1', 'received again');
my $offset = -s $node->logfile;
$node->safe_psql('postgres', <<'SQL');
INSERT INTO saga.message (queue_id, id, message_id, sent_at, body)
SELECT queue_id, '00000000-0000-0000-0000-000000000001', saga.make_id(), now(), '"by hand"' FROM saga.queue
SQL
wait_for_log($node, qr/queue "q" had a message that no commit announced/, $offset);
is($node->safe_psql('postgres', q{SELECT body FROM saga.receive('q', 1, '1 hour', '10 seconds')}),
	'"by hand"', 'the sweep finds what no commit announced');

# From here on no sweep helps.
$node->append_conf('postgresql.conf', 'pg_saga.sweep_interval = 0');
$node->reload;
$node->safe_psql('postgres', <<'SQL');
BEGIN;
SELECT saga.send('q', '"prepared"');
PREPARE TRANSACTION 'p1';
BEGIN;
SELECT saga.send('q', '"prepared before the restart"');
PREPARE TRANSACTION 'p2';
SQL
sub advance
{
	return $node->safe_psql('postgres', <<'SQL');
SELECT count(*) FROM saga.send_batch('q', ARRAY['2', '3']::jsonb[]);
SELECT count(*) FROM saga.receive('q', 10, '1 hour');
SQL
}
is(advance(), "2\n2", 'the mark passes what is prepared');
my ($rc) = $node->psql('postgres', q{COMMIT PREPARED 'no such gid'});
isnt($rc, 0, 'a gid that does not exist is an error');
$node->safe_psql('postgres', q{COMMIT PREPARED 'p1'});
is($node->safe_psql('postgres', q{SELECT body FROM saga.receive('q', 10, '1 hour')}),
	'"prepared"', 'COMMIT PREPARED brings it back');
$node->restart;
is(advance(), "2\n2", 'the mark passes what was prepared before the restart');
$node->safe_psql('postgres', q{COMMIT PREPARED 'p2'});
is($node->safe_psql('postgres', q{SELECT body FROM saga.receive('q', 10, '1 hour')}),
	'"prepared before the restart"', 'COMMIT PREPARED after a restart brings it back');

# Crash: what was committed is there, what was in flight comes back.
$node->safe_psql('postgres', q{SELECT saga.send('q', '"crash"')});
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', q{SELECT body FROM saga.receive('q', 10, '1 hour')}), '"crash"', 'after a crash');

# Dump and restore: ready, delayed, in flight and dead.
$node->safe_psql('postgres', <<'SQL');
SELECT saga.purge('q');
UPDATE saga.queue SET max_receives = 1;
SELECT saga.send('q', '"dead"');
SELECT count(*) FROM saga.receive('q', 1, '0');
SELECT count(*) FROM saga.receive('q', 1);
SELECT saga.send('q', '"in flight"');
SELECT count(*) FROM saga.receive('q', 1, '1 hour');
SELECT saga.send('q', '"delayed"', delay => '1 second');
SELECT saga.send('q', '"ready"');
SQL
my $dump = $node->backup_dir . '/q.sql';
mkdir $node->backup_dir;
command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-1', '-o', '/dev/null', '-f', $dump, $node->connstr('restored') ], 'restore');
my $counts = q{SELECT ready || ' ' || delayed || ' ' || in_flight || ' ' || dead FROM saga.queues WHERE name = 'q'};
poll_until($node, $counts, '2 0 1 1', 'restored');
pass('the restored database has it all, and its coordinator fires the timer');
is($node->safe_psql('restored', q{SELECT body FROM saga.receive('q', 10, '1 hour') ORDER BY body::text}),
	"\"delayed\"\n\"ready\"", 'received in the restored database');
is($node->safe_psql('restored', q{SELECT saga.create_queue('next') > (SELECT min(queue_id) FROM saga.queue)}),
	't', 'new queues get new ids');
is($node->safe_psql('restored', q{SELECT saga.redrive('q')}), '1', 'a dead letter is redriven there');

$node->stop;
done_testing();
