# Places in shared memory that one owner can take are a cache, and no limit at which the work of
# others stops: alice's execution ends, her message is sent and received, while mallory has taken
# all of them.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use Saga::Test;
use Saga::Work;

my $node = new_saga_node('slots',
	'max_connections = 60',
	'pg_saga.max_processes = 8',
	'pg_saga.max_receivers = 4',
	'pg_saga.sweep_interval = 0');    # nothing here may depend on it

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub sql_as
{
	my ($role, $sql) = @_;
	return sql("SET client_min_messages = error; SET SESSION AUTHORIZATION $role; $sql");
}

sql('CREATE EXTENSION pg_saga');
add_role($node, 'postgres', $_) foreach 'mallory', 'alice';

# ---------- sessions that wait in saga.receive ----------

my $waiters = 12;
sql_as('mallory', q{SELECT saga.create_queue('mq')});
sql_as('alice', q{SELECT saga.create_queue('aq')});
add_workflow($node, 'postgres', 'alice', 'wf');
my $script = PostgreSQL::Test::Utils::tempdir() . '/receive.sql';
sql('CREATE TABLE got (id uuid); GRANT INSERT ON got TO mallory');
append_to_file($script, q{INSERT INTO got SELECT message_id FROM saga.receive('mq', 1, '1 h', '20 s');});
my ($out, $err) = ('', '');
my $bench = IPC::Run::start([ 'pgbench', '-n', '-c', $waiters, '-T', '600', '-U', 'mallory', '-f', $script,
		$node->connstr('postgres') ], '>', \$out, '2>', \$err);
poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'mallory' AND wait_event_type = 'Extension'},
	$waiters);

submit($node, 'postgres', 'wf', 1);
ok(poll_until($node, 'SELECT count(*) FROM done WHERE x = 1', '1'),
	'an execution ends while more sessions wait in saga.receive than have places');
{
	# her session has no place either: it looks by itself
	my $receiver = { out => '', err => '' };
	my $run = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') . ' user=alice', '-c',
			q{SELECT body FROM saga.receive('aq', 1, NULL, '20 s')} ], '>', \$receiver->{out}, '2>', \$receiver->{err});
	poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'alice' AND query LIKE '%20 s%'
		AND wait_event_type = 'Extension'}, '1');
	my $begun = time;
	sql_as('alice', q{SELECT saga.send('aq', '"here"')});
	$run->finish;
	is($receiver->{out}, "\"here\"\n", 'one that has no place receives') or diag($receiver->{err});
	cmp_ok(time - $begun, '<', 15, 'before its wait is over');
}
sql_as('mallory', q{SELECT saga.send_batch('mq', (SELECT array_agg(to_jsonb(i)) FROM generate_series(1, 40) i))});
ok(poll_until($node, 'SELECT count(*) FROM got', '40'), 'and all who wait receive');
$bench->signal('INT');
eval { $bench->finish };

$node->stop;
done_testing();
