# Steps that take for ever keep nobody else's from running: alice's execution ends while the workers are
# in long steps of mallory's, also when there are as many of these as there can be workers at all.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use Saga::Test;
use Saga::Work;

my $node;

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub sql_as
{
	my ($role, $sql) = @_;
	return sql("SET client_min_messages = error; SET SESSION AUTHORIZATION $role; $sql");
}

sub set
{
	my (@settings) = @_;
	$node->append_conf('postgresql.conf', join("\n", @settings));
	$node->reload;
	return;
}

# A cluster with a workflow of each role's, and two more.
sub set_up
{
	my ($name) = @_;
	$node = new_saga_node($name, 'pg_saga.workers = 2');
	sql('CREATE EXTENSION pg_saga');
	foreach my $role ('alice', 'bob', 'mallory', 'malice', 'malcolm')
	{
		add_role($node, 'postgres', $role);
		add_workflow($node, 'postgres', $role, $role);
	}
	sql(<<'SQL');
	CREATE FUNCTION public.stubborn(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		LOOP
			BEGIN
				PERFORM pg_sleep(600);
			EXCEPTION WHEN query_canceled THEN
				NULL;
			END;
		END LOOP;
	END $$;
	CREATE TABLE caught (what jsonb);
	GRANT INSERT, SELECT ON caught TO mallory;
	CREATE FUNCTION public.note(input jsonb) RETURNS jsonb LANGUAGE sql AS
		$$ INSERT INTO public.caught VALUES (input -> 'error') RETURNING what $$;
SQL
	sql_as('mallory', <<'SQL');
	SELECT saga.create_workflow('caught', '{"StartAt": "Work", "States": {
		"Work": {"Type": "Task", "Resource": "sql:public.work", "End": true,
			"Catch": [{"ErrorEquals": ["States.Timeout"], "ResultPath": "$.error", "Next": "Note"}]},
		"Note": {"Type": "Task", "Resource": "sql:public.note", "End": true}}}');
SQL
	sql_as('malice', <<'SQL');
	SELECT saga.create_workflow('stubborn', '{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:public.stubborn", "End": true}}}');
SQL
	return;
}

sub asleep
{
	my ($role) = @_;
	return "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename = '$role' AND backend_type = 'pg_saga worker'";
}

sub done { return "SELECT count(*) FROM done WHERE x = $_[0]" }
sub workers { return "SELECT count(*) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL AND owner = '$_[0]'" }

set_up('overstay');

# ---------- beside those who overstay an owner who has no worker gets one ----------

submit($node, 'postgres', 'mallory', { sleep => 600 }, 1001);
poll_until($node, asleep('mallory'), '1');
submit($node, 'postgres', 'mallory', { sleep => 600 }, 1002);
my $begun = time;
poll_until($node, asleep('mallory'), '2');
cmp_ok(time - $begun, '<', 30, 'the second worker of an owner comes when the first one is in a long step');
submit($node, 'postgres', 'mallory', { sleep => 600 }, 1003 .. 1010);
submit($node, 'postgres', 'alice', 1);
ok(poll_until($node, done(1), '1'), "an execution ends while both workers are in long steps of mallory's");
submit($node, 'postgres', 'bob', 2);
ok(poll_until($node, done(2), '1'), 'and that of another owner');
ok(poll_until($node, "SELECT count(*) FROM saga.workers WHERE owner = 'mallory' AND overstays AND busy_since < now() - interval '90 ms'", '2'),
	'saga.workers shows who overstays');
ok(poll_until($node, "SELECT count(*) FROM saga.workers WHERE owner IN ('alice', 'bob') AND (overstays OR busy_since IS NOT NULL)", '0'), 'and who does not');
is(sql("SELECT count(*) FROM saga.workers WHERE type <> 'worker' AND overstays IS NOT NULL"), '0', 'of workers only');
submit($node, 'postgres', $_, $_ eq 'alice' ? 3 : 4) foreach 'alice', 'bob';
poll_until($node, 'SELECT count(*) FROM done WHERE x IN (3, 4)', '2');
is(sql(workers('mallory')), '2', 'she gets no more than pg_saga.workers');
is(sql(asleep('mallory')), '2', 'and nothing of hers was cancelled');

# ---------- everybody overstays: owners wait, pg_saga.step_timeout ends it ----------

sub fill
{
	my ($workflow) = @_;
	submit($node, 'postgres', $workflow, { sleep => 600 }, 1101);
	poll_until($node, asleep($_), '1') foreach 'malice';
	submit($node, 'postgres', 'malcolm', { sleep => 600 }, 1102);
	poll_until($node, asleep('malcolm'), '1');
	return;
}

# idle workers of alice's and bob's make room
fill('malice');
poll_until($node, "SELECT count(*) FROM saga.workers WHERE type = 'worker' AND overstays", '4');
submit($node, 'postgres', 'alice', 5);
poll_until($node, "SELECT ready > 0 FROM saga.queues WHERE name = 'alice'");
is(sql("SELECT count(*) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL"), '4', 'no more than twice as many as pg_saga.workers');
set('pg_saga.step_timeout = 200ms');
ok(poll_until($node, done(5), '1'), 'pg_saga.step_timeout: an execution ends while all workers are in long steps of others');
ok(poll_until($node, q{SELECT count(*) > 0 FROM saga.executions WHERE workflow <> 'alice' AND status <> 'SUCCEEDED'
	AND error = 'States.Timeout' AND cause LIKE '%pg_saga.step_timeout%'}), 'theirs failed as by TimeoutSeconds');
$node->stop;

# ---------- Catch sees it ----------

set_up('catch');
foreach my $i (1, 2)
{
	submit($node, 'postgres', 'caught', { sleep => 600 }, 1200 + $i);
	poll_until($node, asleep('mallory'), $i);
}
set('pg_saga.step_timeout = 200ms');
my $x = 10;
poll_until($node, (submit($node, 'postgres', 'alice', ++$x), done($x))[-1], '1');
ok(poll_until($node, q{SELECT count(*) > 0 FROM caught WHERE what ->> 'Error' = 'States.Timeout'}),
	'Catch sees States.Timeout, when somebody runs beside pg_saga.workers');

# ---------- a step that goes on after it was cancelled ----------

foreach (1 .. 2)
{
	sql_as('malice', q{SELECT saga.start_execution('stubborn', '{}')});
	poll_until($node, asleep('malice'), $_) if $_ == 1;
}
foreach (1 .. 4)
{
	submit($node, 'postgres', $_, ++$x) foreach 'alice', 'bob', 'malcolm';
	ok(poll_until($node, 'SELECT count(*) FROM done WHERE x IN (' . join(',', $x - 2 .. $x) . ')', '3'),
		'executions end beside steps that catch their cancellation');
}
# each time that others need its worker
my $letter = q{SELECT count(*) > 0 FROM saga.dead_letters WHERE queue = 'stubborn' AND reason = 'Saga.WorkerCrashed'};
my $end = time + $PostgreSQL::Test::Utils::timeout_default;
while (sql($letter) ne 't' && time < $end)
{
	submit($node, 'postgres', $_, ++$x) foreach 'alice', 'bob', 'malcolm';
	poll_until($node, 'SELECT count(*) FROM done WHERE x IN (' . join(',', $x - 2 .. $x) . ')', '3');
}
is(sql($letter), 't', 'such a step is ended with its worker, and is a dead letter in time');

$node->stop;
done_testing();
