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
	'max_connections = 100',
	'pg_saga.max_processes = 8',
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

my $waiters = 70;
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
	'an execution ends while very many sessions wait in saga.receive');
{
	my $receiver = { out => '', err => '' };
	my $run = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') . ' user=alice', '-c',
			q{SELECT body FROM saga.receive('aq', 1, NULL, '20 s')} ], '>', \$receiver->{out}, '2>', \$receiver->{err});
	poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'alice' AND query LIKE '%20 s%'
		AND wait_event_type = 'Extension'}, '1');
	my $begun = time;
	sql_as('alice', q{SELECT saga.send('aq', '"here"')});
	$run->finish;
	is($receiver->{out}, "\"here\"\n", 'one more receives') or diag($receiver->{err});
	cmp_ok(time - $begun, '<', 15, 'before its wait is over');
}
{
	# what is told to sessions reaches each of them
	$node->append_conf('postgresql.conf', 'pg_saga.workers = 0');
	$node->reload;
	ok(poll_until($node, "SELECT count(*) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL", '0'), 'no worker');
	submit($node, 'postgres', 'wf', { sleep => 600 }, 2);
	my $drain = $node->background_psql('postgres', on_error_stop => 0);
	$drain->query_safe('SET SESSION AUTHORIZATION alice');
	$drain->query_until(qr/begun/, "\\echo begun\nCALL saga.drain();\n");
	poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", '1');
	sql(q{SELECT saga.stop_execution(execution_id) FROM saga.executions WHERE workflow = 'wf' AND status <> 'SUCCEEDED'});
	ok(poll_until($node, "SELECT count(*) FROM saga.executions WHERE workflow = 'wf' AND status = 'ABORTED'", '1'),
		'a session in saga.drain is told to give up an execution');
	$drain->quit;
}
sql_as('mallory', q{SELECT saga.send_batch('mq', (SELECT array_agg(to_jsonb(i)) FROM generate_series(1, 140) i))});
ok(poll_until($node, 'SELECT count(*) FROM got', '140'), 'and all who wait receive');
$bench->signal('INT');
eval { $bench->finish };

$node->stop;

# ---------- queues ----------

# fewer places than mallory has workflows and destinations that something waits in; no sweep
sub fill
{
	my ($name, @settings) = @_;
	$node = new_saga_node($name, 'pg_saga.max_queues = 16', 'pg_saga.sweep_interval = 0', @settings);
	sql('CREATE EXTENSION pg_saga');
	add_role($node, 'postgres', $_) foreach 'mallory', 'alice', 'bob';
	add_workflow($node, 'postgres', $_, $_) foreach 'mallory', 'alice', 'bob';
	sql_as('mallory', <<'SQL');
SELECT count(saga.create_queue('fill' || i)) FROM generate_series(1, 40) i;
SELECT count(saga.send('fill' || i, '{}')) FROM generate_series(1, 40) i;
SELECT count(saga.create_workflow('mw' || i,
	'{"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": "sql:public.work", "End": true}}}'))
  FROM generate_series(1, 40) i;
SELECT count(saga.create_destination('md' || i, 'http', '{"url": "http://127.0.0.1:9/"}'))
  FROM generate_series(1, 40) i;
SELECT count(saga.pause_destination('md' || i)) FROM generate_series(1, 40) i;
SELECT count(saga.publish_to('md' || i, '{}')) FROM generate_series(1, 40) i;
SELECT count(saga.start_execution('mw' || i, jsonb_build_object('x', -i))) FROM generate_series(1, 40) i;
SQL
	return;
}

# a login that may not: her workflows stay ready, and keep their places
fill('queues');
sql('REVOKE CONNECT ON DATABASE postgres FROM PUBLIC; GRANT CONNECT ON DATABASE postgres TO alice, bob');
$node->restart;
sql(q{SET SESSION AUTHORIZATION mallory; SELECT count(saga.start_execution('mw' || i, '{"x": -100}')) FROM generate_series(1, 40) i});
foreach my $i (1 .. 5)
{
	my $begun = time;
	# a workflow that is new, too
	sql_as('alice', qq{SELECT saga.create_workflow('aw$i',
		'{"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": "sql:public.work", "End": true}}}')});
	submit($node, 'postgres', "aw$i", $i);
	submit($node, 'postgres', 'bob', 10 + $i);
	ok(poll_until($node, "SELECT count(*) FROM done WHERE x IN ($i, 10 + $i)", '2'),
		"executions of others end while all places for queues are taken: $i");
	cmp_ok(time - $begun, '<', 30, 'and not only after a sweep');
}
my $accounting = start_accounting();
sql_as('alice', q{SELECT saga.create_queue('aq')});
foreach my $i (1 .. 3)
{
	my $settings = sprintf('{"url": "%s", "allow_private": ["127.0.0.0/8"]}', $accounting->url("/none/$i"));
	sql("SELECT saga.create_destination('ad$i', 'http', '$settings'); SELECT saga.publish_to('ad$i', '{}')");
	ok(poll_until($node, "SELECT count(*) > 0 FROM saga.outbox_attempt JOIN saga.destination USING (destination_id) WHERE name = 'ad$i'"),
		"a message to a new destination is sent: $i");
	sql_as('alice', "SELECT saga.send('aq', '$i')");
	is(sql_as('alice', q{SELECT body FROM saga.receive('aq')}), $i, "and one of a queue received: $i");
}
sql('GRANT CONNECT ON DATABASE postgres TO PUBLIC');
ok(poll_until($node, 'SELECT count(DISTINCT x) FROM done WHERE x BETWEEN -40 AND -1', '40'), 'all of hers are found when she may');
$node->stop;

# ---------- what a publisher remembers ----------

# Of each destination that it has served a publisher knows something, 1.2 kB; of those that are there no more it forgets
# it after a look at all there is, which is due here with each message: there are no slots for so many.
$node = new_saga_node('forgotten', 'pg_saga.max_queues = 16', 'pg_saga.publishers = 1');
sql('CREATE EXTENSION pg_saga');
my $none = sprintf('{"url": "%s", "allow_private": ["127.0.0.0/8"]}', $accounting->url('/none'));
sub all_ended { return poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '0') }

sub remembered
{
	my $from = -s $node->logfile;
	sql("SELECT pg_log_backend_memory_contexts(pid) FROM pg_stat_activity WHERE backend_type = 'pg_saga publisher'");
	wait_for_log($node, qr/Grand total: .*\n/, $from);
	# of many contexts the server does not show all
	return slurp_file($node->logfile, $from) =~ /saga limiter: (\d+) total/ ? $1 : 'too much';
}
sql("SELECT saga.create_destination('d' || g, 'http', '$none') FROM generate_series(1, 1000) g");
sql("SELECT saga.create_destination('stays' || g, 'http', '$none') FROM generate_series(1, 40) g");
sql("SELECT saga.publish_to('d' || g, '{}') FROM generate_series(1, 1000) g");
all_ended();
sql("SELECT saga.drop_destination('d' || g) FROM generate_series(1, 1000) g");
my $remembered;
ok(wait_until(sub
	{
		sql("SELECT saga.publish_to('stays' || g, '{}') FROM generate_series(1, 40) g");
		all_ended();
		$remembered = remembered();
		return $remembered ne 'too much' && $remembered < 500_000;
	}), 'a publisher forgets destinations that are there no more') or diag($remembered);
$node->stop;

# ---------- databases ----------

$node = new_saga_node('databases', 'pg_saga.max_databases = 1', 'pg_saga.max_queues = 16');
foreach my $db ('postgres', 'second', 'third')
{
	sql("CREATE DATABASE $db") unless $db eq 'postgres';
	$node->safe_psql($db, 'CREATE EXTENSION pg_saga');
	add_role($node, $db, 'alice');
	add_workflow($node, $db, 'alice', 'wf');
	$node->safe_psql($db, q{SET SESSION AUTHORIZATION alice; SELECT saga.create_workflow('waits',
		'{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "Work"},
			"Work": {"Type": "Task", "Resource": "sql:public.work", "End": true}}}')});
}
foreach my $db ('postgres', 'second', 'third')
{
	my $begun = time;
	submit($node, $db, 'wf', 1);
	submit($node, $db, 'waits', 2);
	wait_done($node, $db, 2);
	cmp_ok(time - $begun, '<', 30, "$db: one place for databases, and all are served");
}
is(sql(q{SELECT count(*) FROM saga.workers WHERE type = 'coordinator' AND reason LIKE '%pg_saga.max_databases%'}), '2',
	'those without a place are named');
wait_for_log($node, qr/no place in shared memory for database/);
sql('DROP DATABASE second');
pass('one that has no place can be dropped');

$node->stop;

# ---------- reasons why owners wait: there are 64 places for them, of all databases ----------

$node = new_saga_node('reasons');
sql('CREATE DATABASE second');
sql("CREATE ROLE w$_ LOGIN") foreach 1 .. 71;
my $waiting = q{SELECT count(*) FROM saga.workers WHERE state = 'waiting' AND reason LIKE '%no CONNECT privilege%' AND database = };
foreach my $db ('postgres', 'second')
{
	my ($from, $to) = $db eq 'postgres' ? (1, 70) : (71, 71);
	$node->safe_psql($db, 'CREATE EXTENSION pg_saga');
	sql("REVOKE CONNECT ON DATABASE $db FROM PUBLIC");
	$node->safe_psql($db, qq(SELECT saga.create_workflow('p', '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}', ('w' || n)::regrole)
		FROM generate_series($from, $to) n));
	$node->safe_psql($db, "SELECT saga.start_execution('w' || n || '.p', '{}') FROM generate_series($from, $to) n");
	# asked in the first one, also about the second
	ok(poll_until($node, "$waiting '$db'", $to - $from + 1), "$db: each owner who waits is shown with the reason, though there is no place");
}
is(sql("$waiting 'postgres'"), '70', 'nor is one lost that was shown before');
sql('GRANT CONNECT ON DATABASE postgres TO PUBLIC');
ok(poll_until($node, "$waiting 'postgres'", '0'), 'they are gone with the reason');
ok(poll_until($node, q{SELECT count(*) FROM saga.executions WHERE status = 'SUCCEEDED'}, '70'), 'and all run');

$node->stop;
done_testing();
