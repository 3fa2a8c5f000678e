# A chain of steps commits between two of them, once pg_saga.batch_time is over or where the definition
# asks for it: what is done is seen, is kept over a crash, and is done once.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $node = new_saga_node('between', 'pg_saga.workers = 1', 'restart_after_crash = on');

# A step takes a while, and waits for the door that is named after its state.
sql(<<'SQL');
CREATE EXTENSION pg_saga;
CREATE TABLE door (state text);
CREATE TABLE log (n int GENERATED ALWAYS AS IDENTITY, x int, state text, tx bigint DEFAULT txid_current());
CREATE FUNCTION step(input jsonb, context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.log (x, state) VALUES ((coalesce(input -> 'input', input) ->> 'x')::int, context #>> '{State,Name}');
	PERFORM pg_sleep((input ->> 'sleep')::float8);
	IF input ? 'door' THEN
		WHILE EXISTS (SELECT FROM public.door WHERE state = context #>> '{State,Name}') LOOP
			PERFORM pg_sleep(0.02);
		END LOOP;
	END IF;
	IF context #>> '{State,Name}' = input ->> 'fail' THEN
		RAISE EXCEPTION 'as told';
	END IF;
	RETURN 'null';
END $$;
SQL

# A to E, each with a handler; some with "Commit".
sub flow
{
	my ($name, @commit) = @_;
	my @names = 'A' .. 'E';
	my @states;
	foreach my $i (0 .. 4)
	{
		my $commit = (grep { $_ eq $names[$i] } @commit) ? '"Commit": true, ' : '';
		my $next = $i < 4 ? "\"Next\": \"$names[$i + 1]\"" : '"End": true';
		push @states, qq{"$names[$i]": {"Type": "Task", "Resource": "sql:public.step", "ResultPath": null, "Compensate": "Undo$names[$i]", $commit$next}},
		  qq{"Undo$names[$i]": {"Type": "Task", "Resource": "sql:public.step"}};
	}
	return sql("SELECT saga.create_workflow('$name', '{\"StartAt\": \"A\", \"States\": {" . join(', ', @states) . "}}')");
}
flow('slow');
flow('asked', 'B', 'D');

sub start { return sql("SELECT saga.start_execution('$_[0]', '$_[1]')") }
sub states { return sql("SELECT string_agg(state, ' ' ORDER BY n) FROM log WHERE x = $_[0]") }
sub ended { return poll_until($node, "SELECT status FROM saga.executions WHERE execution_id = '$_[0]'", $_[1]) }

# ---------- once pg_saga.batch_time is over ----------

sql("INSERT INTO door VALUES ('C')");
my $id = start('slow', '{"x": 1, "sleep": 0.1, "door": true}');
ok(poll_until($node, "SELECT string_agg(state, ' ' ORDER BY n) FROM log", 'A B'), 'steps that are done are seen while the next one runs');
is(sql("SELECT status, current_state FROM saga.executions WHERE execution_id = '$id'"), 'RUNNING|C', 'so is the state');
is(sql("SELECT string_agg(details ->> 'name', ' ' ORDER BY event_id) FROM saga.execution_history WHERE execution_id = '$id' AND type = 'TaskStateExited'"), 'A B', 'and the history');
is(sql("SELECT max(extract(epoch FROM now() - xact_start)) < 60 FROM pg_stat_activity WHERE backend_type = 'pg_saga worker'"), 't', 'the transaction is that of the step');

# the server crashes in the third step
my $begun = sql('SELECT pg_postmaster_start_time()');
my ($worker) = pids($node, 'postgres', 'worker');
kill_process($worker);
poll_until($node, 'SELECT true');
poll_until($node, "SELECT count(*) FROM saga.workers WHERE type = 'worker' AND pid <> $worker", '1');
is(states(1), 'A B', 'what was committed is there after a crash');
sql('DELETE FROM door');
ended($id, 'SUCCEEDED');
is(states(1), 'A B C D E', 'and is not done again');
is(sql("SELECT count(DISTINCT tx) FROM log"), '5', 'five transactions');
is(sql("SELECT count(*), count(DISTINCT event_id) = count(*), min(event_id), max(event_id) = count(*) FROM saga.execution_history WHERE execution_id = '$id'"),
	'27|t|1|t', 'one history, without gaps');
is(sql('SELECT (SELECT count(*) FROM saga.message), (SELECT count(*) FROM saga.continuation), (SELECT count(*) FROM saga.timer)'), '0|0|0', 'nothing is left');

# a failure later on undoes all of it
$id = start('slow', '{"x": 2, "sleep": 0.1, "fail": "D"}');
ended($id, 'FAILED');
is(states(2), 'A B C UndoC UndoB UndoA', 'handlers run for what was committed');

# quick ones do not
sql("SELECT saga.start_execution('slow', jsonb_build_object('x', x)) FROM generate_series(100, 399) x");
poll_until($node, "SELECT count(*) FROM saga.executions WHERE status = 'SUCCEEDED' AND (input ->> 'x')::int >= 100", '300');
cmp_ok(sql('SELECT count(*) FROM (SELECT x FROM log WHERE x >= 100 GROUP BY x HAVING count(DISTINCT tx) > 1) t'), '<', 150, 'short steps share their transaction');
is(sql('SELECT count(*) FROM log WHERE x >= 100'), '1500', 'each is done once');

# long chains of one workflow end one after the other
sql("ALTER SYSTEM SET pg_saga.batch_time = '200ms'");
$node->restart;
sql("SELECT saga.start_execution('slow', jsonb_build_object('x', x, 'sleep', 0.25)) FROM generate_series(401, 403) x");
poll_until($node, 'SELECT count(*) FROM log WHERE x IN (401, 402, 403)', '15');
is(sql('SELECT count(*) FROM (SELECT x FROM log WHERE x IN (401, 402, 403) GROUP BY x HAVING count(DISTINCT tx) > 1) t'), '3', 'long chains have several transactions');
is(sql("SELECT count(*) FROM log l WHERE x = 402 AND n < (SELECT n FROM log WHERE x = 401 AND state = 'E')"), '0', 'and the first has ended before the second begins');

# ---------- where the definition asks for it ----------

sql("ALTER SYSTEM SET pg_saga.batch_time = '60s'");
$node->restart;
$id = start('slow', '{"x": 3}');
ended($id, 'SUCCEEDED');
is(sql('SELECT count(DISTINCT tx) FROM log WHERE x = 3'), '1', 'in one transaction');
$id = start('asked', '{"x": 4}');
ended($id, 'SUCCEEDED');
is(sql("SELECT string_agg(states, ' | ' ORDER BY n) FROM (SELECT string_agg(state, ' ' ORDER BY n) AS states, min(n) AS n FROM log WHERE x = 4 GROUP BY tx) t"),
	'A B | C D | E', 'commits where it is asked for');
sql("ALTER SYSTEM SET pg_saga.workers = 0");
sql('SELECT pg_reload_conf()');
poll_until($node, "SELECT count(*) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL", '0');
$id = start('asked', '{"x": 5}');
my $next = start('asked', '{"x": 6}');
sql('CALL saga.drain(NULL, 1)');
is(states(5), 'A B C D E', 'in saga.drain() too, where it is one execution');
is(states(6), '', 'and one that was not asked for is not done');

# ---------- what may be written ----------

my ($rc, $out, $err) = $node->psql('postgres', q[SELECT saga.create_workflow('x', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:public.step", "Commit": 1, "End": true}}}')]);
like($err, qr{/States/A/Commit: Expected value of type Boolean}, 'Commit is true or false');
($rc, $out, $err) = $node->psql('postgres', q[SELECT saga.create_workflow('x', '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Commit": true, "End": true}}}')]);
like($err, qr{/States/A/Commit: Field is not supported}, 'of a Task');

$node->stop;
done_testing();
