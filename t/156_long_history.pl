# A long loop: its history is written in chunks, each once, with commits between; a crash loses what was
# not committed and nothing else; and the memory of the worker does not grow with the loop.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $node = new_saga_node('long', 'pg_saga.workers = 0', 'restart_after_crash = on');

# A step notes what the memory contexts of its process hold now and then, and waits for its door.
sql(<<'SQL');
CREATE EXTENSION pg_saga;
CREATE TABLE door (n int);
CREATE SEQUENCE reached;
CREATE TABLE log (n int, bytes bigint, tx bigint DEFAULT txid_current());
CREATE FUNCTION add(n jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.log VALUES (n::int,
		CASE WHEN n::int % 500 = 0 THEN (SELECT sum(total_bytes) FROM pg_backend_memory_contexts) END);
	WHILE EXISTS (SELECT FROM public.door WHERE door.n = $1::int) LOOP
		PERFORM pg_sleep(0.02), nextval('public.reached');
	END LOOP;
	RETURN to_jsonb(n::int + 1);
END $$;
SQL

# More decides whether there is another turn; what a turn consists of leads back to it.
sub workflow
{
	my ($name, $turn, $end) = @_;
	$end //= '"End": {"Type": "Succeed"}';
	return sql(qq(SELECT saga.create_workflow('$name', '{"StartAt": "More", "States": {
		"More": {"Type": "Choice", "Choices": [{"Variable": "\$.n", "NumericLessThanPath": "\$.max", "Next": "Add"}], "Default": "End"},
		$turn, $end}}')));
}
sub start { return sql("SELECT saga.start_execution('$_[0]', $_[1])") }
sub status { return sql("SELECT status FROM saga.executions WHERE execution_id = '$_[0]'") }

# Are its events without gaps and in order; and how many are there?
sub history
{
	my ($id) = @_;
	return sql("SELECT count(*) = max(event_id) AND min(event_id) = 1 AND count(DISTINCT event_id) = count(*)
			AND bool_and(previous_event_id = event_id - 1 OR event_id = 2 AND previous_event_id = 0) AND bool_and(at >= before), count(*)
		FROM (SELECT *, \"timestamp\" AS at, coalesce(lag(\"timestamp\") OVER (ORDER BY event_id), '-infinity') AS before
			FROM saga.execution_history WHERE execution_id = '$id') h");
}
sub chunks { return sql("SELECT count(*) FROM saga.history WHERE execution_id = '$_[0]'") }
sub longest { return sql("SELECT greatest((SELECT max(octet_length(events)) FROM saga.history WHERE execution_id = '$_[0]'),
	(SELECT octet_length(history) FROM saga.execution WHERE execution_id = '$_[0]'))") }

# ---------- states without a task ----------

workflow('pass', '"Add": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)", "max.$": "$.max"}, "Next": "More"}');
my $id = start('pass', q('{"n": 0, "max": 10000}'));
sql("SET pg_saga.batch_time = '10ms'; CALL saga.drain()");
is(sql("SELECT status, output FROM saga.executions WHERE execution_id = '$id'"), 'SUCCEEDED|{"n": 10000, "max": 10000}', 'twenty thousand states');
# two for each of 10,001 Choices, 10,000 Passes and the Succeed, one for the start and one for the end
is(history($id), 't|40006', 'all events, in order');
cmp_ok(chunks($id), '>', 1, 'in several chunks');
is(sql("SELECT runs = 1 + (SELECT count(*) FROM saga.history h WHERE h.execution_id = e.execution_id) FROM saga.execution e WHERE execution_id = '$id'"), 't', 'one for each commit');
is(sql("SELECT string_agg(details -> 'input' ->> 'n', ' ' ORDER BY event_id) FROM saga.execution_history
	WHERE execution_id = '$id' AND type = 'PassStateEntered' AND (details -> 'input' ->> 'n')::int % 2000 = 0"), '0 2000 4000 6000 8000', 'each says what it did before');

# a short one is one row, as ever
$id = start('pass', q('{"n": 0, "max": 2}'));
sql('CALL saga.drain()');
is(history($id), 't|14', 'a short loop');
is(chunks($id), '0', 'has all its events in the row of the execution');

# ---------- large documents ----------

# each turn leaves some hundreds of kilobytes, and a process that kept all of them would have 200 MB
workflow('large', '"Add": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)", "max.$": "$.max", "zero": 0, "doc.$": "$.doc"}, "Next": "More"}',
	'"End": {"Type": "Task", "Resource": "sql:public.add", "InputPath": "$.zero", "End": true}');
$id = start('large', "jsonb_build_object('n', 0, 'max', 400, 'doc', (SELECT jsonb_agg(md5(i::text)) FROM generate_series(1, 3000) i))");
sql("SET pg_saga.batch_time = '60s'; CALL saga.drain()");
is(status($id), 'SUCCEEDED', 'a loop with large documents');
is(history($id), 't|1609', 'all events, in order');
cmp_ok(chunks($id), '>=', 2, 'in several chunks, though there was time for all of it in one');
cmp_ok(longest($id), '<', 32 * 1024 * 1024, 'none of them too large');
cmp_ok(sql('SELECT max(bytes) FROM log'), '<', 120 * 1024 * 1024, 'nor is the memory at the end of the loop');
sql('TRUNCATE log');

# what the definition says is in a chunk once, however many states say it
my $states = join ', ', map { my $next = $_ < 40 ? 'P' . ($_ + 1) : 'Count'; my $text = "$_ " . 'x' x 10000; qq("P$_": {"Type": "Pass", "Result": "$text", "Next": "$next"}) } 1 .. 40;
sql(qq(SELECT saga.create_workflow('constants', '{"StartAt": "Begin", "States": {"Begin": {"Type": "Pass", "Assign": {"n": 0}, "Next": "More"},
	"More": {"Type": "Choice", "Choices": [{"Variable": "\$n", "NumericLessThan": 50, "Next": "P1"}], "Default": "End"}, $states,
	"Count": {"Type": "Pass", "Assign": {"n.\$": "States.MathAdd(\$n, 1)"}, "Next": "More"}, "End": {"Type": "Succeed"}}}')));
$id = start('constants', q('{}'));
sql('CALL saga.drain()');
is(status($id), 'SUCCEEDED', 'a loop with long constants');
cmp_ok(longest($id), '<', 1024 * 1024, 'which stand in a chunk once');

# ---------- states with a task, and a crash ----------

workflow('task', '"Add": {"Type": "Task", "Resource": "sql:public.add", "InputPath": "$.n", "ResultPath": "$.n", "Next": "More"}');
sql('INSERT INTO door VALUES (4000)');
sql("ALTER SYSTEM SET pg_saga.workers = 1");
sql('SELECT pg_reload_conf()');
$id = start('task', q('{"n": 0, "max": 6000}'));
# it stands in the door when three commits were made at least: a run has a thousand tasks at most
poll_until($node, "SELECT count(*) >= 3 FROM saga.history WHERE execution_id = '$id'");
poll_until($node, 'SELECT is_called FROM reached');
my $chunks = chunks($id);
my $done = sql('SELECT max(n) FROM log');
# by whom each task was done, and what was written of it
my $kept = "SELECT (SELECT md5(string_agg(concat(n, ' ', tx), ',' ORDER BY n, tx)) FROM log WHERE n <= $done),
	(SELECT string_agg(md5(events), ',' ORDER BY run) FROM saga.history WHERE execution_id = '$id' AND run <= $chunks)";
my $before = sql($kept);
cmp_ok($done, '>=', 2999, 'the tasks that are committed are seen');
my ($worker) = pids($node, 'postgres', 'worker');
kill_process($worker);
poll_until($node, 'SELECT true');
is(sql($kept), $before, 'they are there after a crash, and so is the history');
sql('DELETE FROM door');
poll_until($node, "SELECT status FROM saga.executions WHERE execution_id = '$id'", 'SUCCEEDED');
is(sql('SELECT count(*), count(DISTINCT n), max(n) FROM log'), '6000|6000|5999', 'each is done once');
is(sql($kept), $before, 'and nothing of it was written again');
# five for each task: entered, scheduled, started, succeeded, exited
is(history($id), 't|' . (2 + 2 * 6001 + 5 * 6000 + 2), 'one history, in order, over all commits and the crash');
cmp_ok(sql('SELECT count(DISTINCT tx) FROM log'), '>=', 6, 'with commits between');
is(sql('SELECT max(bytes) FILTER (WHERE n >= 1000) <= 2 * max(bytes) FILTER (WHERE n < 1000) FROM log'), 't', 'the memory does not grow with the loop');

# ---------- much that is to be undone ----------

# the list is in each frozen run: commits are rarer as it grows
workflow('undone', '"Add": {"Type": "Task", "Resource": "sql:public.add", "InputPath": "$.n", "ResultPath": "$.n", "Compensate": "Undo", "Next": "More"},
	"Undo": {"Type": "Task", "Resource": "sql:public.undo"}', '"End": {"Type": "Fail", "Error": "No"}');
sql("TRUNCATE log; CREATE FUNCTION undo(i jsonb) RETURNS jsonb LANGUAGE sql AS \$\$ INSERT INTO public.log VALUES (-(i ->> 'input')::int) RETURNING 'null'::jsonb \$\$");
$id = start('undone', q('{"n": 0, "max": 3000}'));
poll_until($node, "SELECT status FROM saga.executions WHERE execution_id = '$id'", 'FAILED');
is(sql("SELECT jsonb_array_length(compensated), not_compensated FROM saga.executions WHERE execution_id = '$id'"), '3000|', 'all of a long loop is undone');
is(sql('SELECT sum(n), count(*), count(DISTINCT n) FROM log'), '0|6000|5999', 'once each');
is(sql('SELECT bool_and(n > before) FROM (SELECT n, lag(n) OVER (ORDER BY ctid) AS before FROM log WHERE n < 0) t WHERE before IS NOT NULL'), 't', 'the last one first');

$node->stop;
done_testing();
