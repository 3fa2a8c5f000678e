# Slow steps: as many run side by side as there may be workers, however they were submitted, and
# none of the quick ones waits behind a slow one of the same workflow.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $node = new_saga_node('slow', 'pg_saga.workers = 5');

# A slow step goes on until the door is open; while it is in it, it holds an advisory lock.
sql(<<'SQL');
CREATE EXTENSION pg_saga;
CREATE TABLE door (open boolean);
INSERT INTO door VALUES (false);
CREATE TABLE done (x int, pid int DEFAULT pg_backend_pid(), tx bigint DEFAULT txid_current());
CREATE SEQUENCE tried;
CREATE FUNCTION work(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF (input ->> 'slow')::boolean THEN
		PERFORM nextval('public.tried');
		PERFORM pg_advisory_xact_lock(4711, (input ->> 'x')::int);
		WHILE NOT (SELECT open FROM public.door) LOOP
			PERFORM pg_sleep(0.02);
		END LOOP;
	END IF;
	INSERT INTO public.done (x) VALUES ((input ->> 'x')::int);
	RETURN 'null';
END $$;
SQL
foreach my $name ('together', 'apart', 'mixed')
{
	sql(qq{SELECT saga.create_workflow('$name', '{"StartAt": "W", "States": {"W": {"Type": "Task", "Resource": "sql:public.work", "End": true}}}')});
}

sub door { return sql('UPDATE door SET open = ' . ($_[0] ? 'true' : 'false')) }

my $inside = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 4711";

# ---------- submitted in one transaction, and one by one ----------

submit($node, 'postgres', 'together', { slow => 'true' }, 1 .. 20);
ok(poll_until($node, $inside, '5'), 'slow executions of one transaction run in all workers');
door(1);
ok(poll_until($node, 'SELECT count(*) FROM done', '20'), 'and end');
cmp_ok(sql('SELECT count(DISTINCT pid) FROM done'), '>=', 4, 'in several processes');
sql('TRUNCATE done');

door(0);
submit($node, 'postgres', 'apart', { slow => 'true' }, $_) foreach 1 .. 20;
ok(poll_until($node, $inside, '5'), 'and so do those that were submitted one by one');
door(1);
ok(poll_until($node, 'SELECT count(*) FROM done', '20'), 'and end');
sql('TRUNCATE done');

# ---------- one that is slow against all expectation ----------

# The workflow is known to be quick; the slow one is the first of a claim, in the middle, the last.
foreach my $place (1, 25, 50)
{
	door(0);
	submit($node, 'postgres', 'mixed', 1001 .. 1400);
	poll_until($node, 'SELECT count(*) FROM done', '400');
	cmp_ok(sql('SELECT max(n) FROM (SELECT count(*) AS n FROM done GROUP BY tx) t'), '>=', 5, 'quick ones share their commits');
	my $log = -s $node->logfile;
	sql(qq{SELECT count(saga.start_execution('mixed', jsonb_build_object('x', x, 'slow', x = $place))) FROM generate_series(1, 50) x});
	ok(poll_until($node, 'SELECT count(*) FROM done WHERE x <= 50', '49'), "quick ones end while the slow one is number $place");
	ok(poll_until($node, $inside, '1'), 'which goes on');
	unlike(slurp_file($node->logfile, $log), qr/ERROR|cancel/, 'nothing of that is an error');
	door(1);
	ok(poll_until($node, "SELECT count(*) FROM done WHERE x = $place", '1'), 'and ends');
	sql('TRUNCATE done');
}
is(sql("SELECT count(*) FROM saga.executions WHERE status <> 'SUCCEEDED'"), '0', 'none has failed');
cmp_ok(sql('SELECT last_value FROM tried'), '<=', 40 + 3 * 4, 'and slow ones were not begun again and again');

# ---------- a step that catches its cancellation ----------

door(0);
sql(<<'SQL');
CREATE OR REPLACE FUNCTION work(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	caught boolean := false;
BEGIN
	IF (input ->> 'slow')::boolean THEN
		BEGIN
			WHILE NOT (SELECT open FROM public.door) LOOP
				PERFORM pg_sleep(0.02);
			END LOOP;
		EXCEPTION WHEN query_canceled THEN
			caught := true;
		END;
	END IF;
	INSERT INTO public.done (x) VALUES (CASE WHEN caught THEN -1 ELSE (input ->> 'x')::int END);
	RETURN 'null';
END $$;
SQL
submit($node, 'postgres', 'mixed', 1001 .. 1400);
poll_until($node, 'SELECT count(*) FROM done', '400');
sql(q{SELECT count(saga.start_execution('mixed', jsonb_build_object('x', x, 'slow', x = 20))) FROM generate_series(1, 50) x});
ok(poll_until($node, 'SELECT count(*) FROM done WHERE x <= 50', '49'), 'quick ones end while one catches its cancellation');
door(1);
ok(poll_until($node, 'SELECT count(*) FROM done WHERE x = 20', '1'), 'it runs again, undisturbed');
is(sql('SELECT count(*) FROM done WHERE x < 0'), '0', 'and what it did when it was disturbed is undone');

# ---------- an event for an execution that is in a slow step ----------

# Others run though the first thing in the queue is an event that nobody can take now.
door(0);
sql(<<'SQL');
SELECT saga.create_workflow('events', '{"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": true, "Branches": [
	{"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 1, "Next": "B"}, "B": {"Type": "Task", "Resource": "sql:public.work", "End": true}}},
	{"StartAt": "C", "States": {"C": {"Type": "Wait", "Seconds": 2, "End": true}}}]}}}');
SQL
submit($node, 'postgres', 'events', { slow => 'true' }, 2001);
poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_saga worker' AND wait_event = 'PgSleep'", '1');
poll_until($node, 'SELECT count(*) FROM saga.timer', '0');
submit($node, 'postgres', 'events', 2002 .. 2011);
ok(poll_until($node, 'SELECT count(*) FROM done WHERE x > 2001', '10'), 'executions run behind an event for one that is in a slow step');
door(1);
ok(poll_until($node, q{SELECT count(*) FROM saga.executions WHERE workflow = 'events' AND status = 'SUCCEEDED'}, '11'), 'which ends too');

$node->stop;
done_testing();
