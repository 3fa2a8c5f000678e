# Waiting for the end of an execution: whoever ends it, whenever the wait begins, the end is told. A look that comes
# without news is one a minute, so a wait that takes as long has missed some. A caller who is cancelled leaves
# the execution running, and who waits holds neither a snapshot nor a lock, and looks at nothing that is not his.
use strict;
use warnings;

use File::Temp;
use IPC::Run;
use List::Util qw(max);
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql as wait_until);
use Saga::Work;

use constant NET_S => 55;

my $dir = File::Temp->newdir('saga-wait-XXXXXX', TMPDIR => 1);
my $node = new_saga_node('wait', 'pg_saga.workers = 1', 'max_connections = 60');
create_extensions($node);
add_role($node, 'postgres', 'alice');
add_workflow($node, 'postgres', 'alice', 'wf');
sql(<<'SQL');
SELECT saga.create_workflow('parked', '{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 100000, "End": true}}}');
SELECT saga.create_workflow('quick', '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}');
SQL

# A session that runs a statement, as whom.
my $tag = 0;

sub begin
{
	my ($sql, $role) = @_;
	my %session = (out => '', err => '', tag => 'tag' . ++$tag, began => time);
	my @command = ('psql', '-XAtq', '-d', $node->connstr('postgres'), '-U', $role // 'postgres', '-c', "/* $session{tag} */ $sql");

	$session{run} = IPC::Run::start(\@command, '<', \undef, '>', \$session{out}, '2>', \$session{err});
	return \%session;
}

# Until it sleeps.
sub is_waiting
{
	my ($session) = @_;
	my $waits = wait_until(sub {
		return 1 if sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '/* $session->{tag} */%' AND wait_event_type = 'Extension'");
		$session->{run}->pump_nb;
		return $session->{err} ne '' || $session->{out} ne '' });

	BAIL_OUT("it does not wait: $session->{out}$session->{err}") if !$waits || $session->{err} ne '';
	return;
}

sub waiter { my $session = begin(@_); is_waiting($session); return $session }

# What it says in the end; "late" when nobody has told it.
sub answer
{
	my ($session) = @_;
	my $end = time;

	$session->{run}->finish;
	return 'late' if time - $end > NET_S;
	return $session->{err} if $session->{err} ne '';
	return $session->{out} =~ /"status": "(\w+)"/ ? $1 : $session->{out};
}

sub pid_of { return sql("SELECT pid FROM pg_stat_activity WHERE query LIKE '/* $_[0]->{tag} */%'") }

sub start { my ($workflow, $input, $role) = @_; return as($role // 'postgres', "SELECT saga.start_execution('$workflow', '" . ($input // '{}') . "')") }

sub parked
{
	my $id = start('parked');
	poll_until($node, "SELECT current_state FROM saga.executions WHERE execution_id = '$id'", 'W');
	return $id;
}

sub wait_for { return "SELECT saga.wait_execution('$_[0]', '5 minutes')" }
sub call_for { return "CALL saga.wait_execution('$_[0]', NULL, NULL)" }

# ---------- whoever ends it ----------

# a worker's batch; many wait for one, others for another
my $gate = begin('BEGIN; LOCK TABLE gate; SELECT pg_sleep(1000)');
poll_until($node, "SELECT count(*) FROM pg_locks WHERE relation = 'gate'::regclass AND mode = 'AccessExclusiveLock' AND granted", '1');
my @held = (start('wf', '{"x": 1, "gate": true}', 'alice'), start('wf', '{"x": 2}', 'alice'));
my @waiters = map { waiter($_ % 2 ? wait_for($held[0]) : call_for($held[0]), $_ % 3 ? 'alice' : 'postgres') } 1 .. 12;
push @waiters, waiter(call_for($held[1]), 'alice');
sql('SELECT pg_terminate_backend(' . pid_of($gate) . ')');
is(join(' ', map { answer($_) } @waiters), join(' ', ('SUCCEEDED') x 13), 'a worker ends what many wait for');
eval { $gate->{run}->finish };

# a statement, in a transaction that was open when the wait began; what is rolled back is no end
my $id = parked();
my $other = parked();
my $waiter = waiter(wait_for($id));
my $caller = waiter(call_for($id));
my $xact_start = "SELECT xact_start FROM pg_stat_activity WHERE pid = " . pid_of($caller);
sql("BEGIN; SELECT saga.stop_execution('$id'); ROLLBACK");
sql("BEGIN; SAVEPOINT s; SELECT saga.stop_execution('$id'); ROLLBACK TO s; SELECT saga.stop_execution('$other'); COMMIT");
is(sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '/* tag%' AND wait_event_type = 'Extension'"), '2', 'a stop that was rolled back ends no wait');
sql("SELECT saga.stop_execution('$id')");
is(answer($_), 'ABORTED', 'a stop is told') foreach $waiter, $caller;

# thousands in one transaction
my @ids = map { parked() } 1 .. 3;
sql("SELECT saga.start_execution('parked') FROM generate_series(1, 300)");
poll_until($node, "SELECT count(*) FROM saga.executions WHERE current_state = 'W'", '303');
@waiters = map { waiter(call_for($_)) } @ids;
sql("SELECT count(saga.stop_execution(execution_id)) FROM saga.executions WHERE workflow = 'parked' AND status = 'RUNNING'");
is(join(' ', map { answer($_) } @waiters), join(' ', ('ABORTED') x 3), 'more ends in a transaction than are remembered');

# a prepared transaction
$id = parked();
$waiter = waiter(call_for($id));
sql("BEGIN; SELECT saga.stop_execution('$id'); PREPARE TRANSACTION 'stop'");
sql("COMMIT PREPARED 'stop'");
is(answer($waiter), 'ABORTED', 'COMMIT PREPARED is told');

# one that is given up without a row of its own, as another one has its id
$gate = begin('BEGIN; LOCK TABLE gate; SELECT pg_sleep(1000)');
poll_until($node, "SELECT count(*) FROM pg_locks WHERE relation = 'gate'::regclass AND mode = 'AccessExclusiveLock' AND granted", '1');
my $first = start('wf', '{"x": 3, "gate": true}', 'alice');
poll_until($node, "SELECT count(*) FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted", '1');
$id = start('wf', '{"x": 4}', 'alice');
$waiter = waiter(call_for($id), 'alice');
sql("INSERT INTO saga.execution (execution_id, workflow_id, version, started_at, stopped_at, status)
	SELECT '$id', workflow_id, 1, now(), now(), 's' FROM saga.workflow WHERE name = 'quick'");
sql('SELECT pg_terminate_backend(' . pid_of($gate) . ')');
like(answer($waiter), qr/execution $id does not exist.*waiting for the end of execution $id/s, 'what is given up is told');
eval { $gate->{run}->finish };

# ---------- what waiting costs others ----------

$id = parked();
$waiter = waiter(call_for($id));
my $pid = pid_of($waiter);
my $state = "SELECT xact_start, backend_xmin IS NULL, backend_xid IS NULL,
	(SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND locktype <> 'virtualxid') FROM pg_stat_activity a WHERE pid = $pid";
my $before = sql($state);
like($before, qr/\|t\|t\|0$/, 'who waits by CALL has neither snapshot nor lock');
sql("SELECT saga.start_execution('quick') FROM generate_series(1, 200)");
poll_until($node, "SELECT count(*) FROM saga.executions WHERE workflow = 'quick' AND status = 'SUCCEEDED'", '201');
is(sql($state), $before, 'and does not look for the ends of others');

# ---------- a caller who goes ----------

sql("SELECT pg_cancel_backend($pid)");
like(answer($waiter), qr/canceling statement due to user request.*waiting for the end of execution $id/s, 'a wait can be cancelled');
$gate = begin('BEGIN; LOCK TABLE gate; SELECT pg_sleep(1000)');
poll_until($node, "SELECT count(*) FROM pg_locks WHERE relation = 'gate'::regclass AND mode = 'AccessExclusiveLock' AND granted", '1');
my @sync = map { waiter("CALL saga.start_sync_execution('wf', '{\"x\": $_, \"gate\": true}', name => 'sync$_')", 'alice') } 5, 6, 7;
sql('SELECT pg_cancel_backend(' . pid_of($sync[0]) . ')');
like(answer($sync[0]), qr/canceling statement/, 'the caller is cancelled');
sql('SELECT pg_terminate_backend(' . pid_of($sync[1]) . ')');
like(answer($sync[1]), qr/terminating connection/, 'another one is ended');
is(sql("SELECT string_agg(status, ' ') FROM saga.executions WHERE name IN ('sync5', 'sync6', 'sync7')"), 'RUNNING RUNNING RUNNING', 'what they started is there');
sql('SELECT pg_terminate_backend(' . pid_of($gate) . ')');
is(answer($sync[2]), 'SUCCEEDED', 'the third has its result');
eval { $gate->{run}->finish };
foreach (5, 6)
{
	is(answer(begin("CALL saga.start_sync_execution('wf', '{\"x\": $_, \"gate\": true}', name => 'sync$_')", 'alice')), 'SUCCEEDED',
		'the same call again has that of what it started');
}

# ---------- begun before and after the end ----------

# starts and waits at once, so that the wait meets the commit wherever it is; one session does both in one command
append_to_file("$dir/sync.sql", "CALL saga.start_sync_execution('quick', '{}');\n");
append_to_file("$dir/wait.sql", "SELECT saga.start_execution('quick') AS id \\gset\nSELECT 1 / (saga.wait_execution(':id', '5 minutes') IS NOT NULL)::int;\n");
foreach my $how ('sync', 'wait')
{
	$node->command_ok([ 'pgbench', '-n', '-c', 8, '-t', 150, '-f', "$dir/$how.sql", '-l', '--log-prefix', "$dir/$how", 'postgres' ], "$how: 1200 times");
	my @us = map { (split)[2] } map { split(/\n/, slurp_file($_)) } glob("$dir/$how.*[0-9]");
	is(scalar @us, 1200, 'each has come back');
	cmp_ok(max(@us) / 1e6, '<', NET_S, 'and none by the net below the news');
}

$node->stop;
done_testing();
