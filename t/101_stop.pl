# A stop ends an execution wherever it is: in a step, in the queue, parked, of an owner who cannot run;
# and nothing else of the same worker.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $node = new_saga_node('stop', 'pg_saga.workers = 2', 'log_min_messages = log', 'max_prepared_transactions = 5');

sub sql_as { return sql("SET SESSION AUTHORIZATION $_[0]; $_[1]") }

sub start
{
	my ($workflow, $input) = @_;
	return sql("SELECT saga.start_execution((SELECT workflow_id FROM saga.workflow WHERE name = '$workflow'), '" . ($input // '{}') . "')");
}

sub stop { return sql("SELECT saga.stop_execution('$_[0]', 'Enough', 'by hand'" . (defined $_[1] ? ", compensate => $_[1]" : '') . ')') }

sub state { return sql("SELECT status, error, cause, compensated FROM saga.executions WHERE execution_id = '$_[0]'") }

sub ended
{
	my ($id, $name, $compensated) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE execution_id = '$id'");
	is(state($id), 'ABORTED|Enough|by hand|' . ($compensated // ''), $name);
	is(sql("SELECT type, details ->> 'error', details ->> 'cause' FROM saga.execution_history WHERE execution_id = '$id' ORDER BY event_id DESC LIMIT 1"),
		'ExecutionAborted|Enough|by hand', "$name: its last event");
	return;
}

sql('CREATE EXTENSION pg_saga');
foreach my $role ('alice', 'bob', 'carol', 'dora', 'eve', 'other')
{
	add_role($node, 'postgres', $role);
}
sql(<<'SQL');
CREATE TABLE log (what text, x int);
GRANT INSERT, SELECT ON log TO PUBLIC;
CREATE SEQUENCE tried;
GRANT USAGE ON SEQUENCE tried TO PUBLIC;
CREATE FUNCTION note(input jsonb, context jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO public.log VALUES (context #>> '{State,Name}', (coalesce(input -> 'input', input) ->> 'x')::int) RETURNING '{}'::jsonb $$;
CREATE FUNCTION long(input jsonb, context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('public.tried');
	INSERT INTO public.log VALUES (context #>> '{State,Name}', (input ->> 'x')::int);
	PERFORM pg_sleep(600);
	RETURN '{}';
END $$;
CREATE FUNCTION short(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(random() * 0.02);
	INSERT INTO public.log VALUES ('short', (input ->> 'x')::int);
	PERFORM pg_sleep(random() * 0.02);
	RETURN '{}';
END $$;
CREATE FUNCTION stubborn(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('public.tried');
	LOOP
		BEGIN
			PERFORM pg_sleep(600);
		EXCEPTION WHEN query_canceled THEN
			NULL;
		END;
	END LOOP;
END $$;
SQL
my %flows = (
	# A is committed before B begins
	chain => '"StartAt": "A", "States": {
		"A": {"Type": "Task", "Resource": "sql:public.note", "ResultPath": null, "Compensate": "UndoA", "Commit": true, "Next": "B"},
		"UndoA": {"Type": "Task", "Resource": "sql:public.note"},
		"B": {"Type": "Task", "Resource": "sql:public.long", "Compensate": "UndoB", "Next": "C"},
		"UndoB": {"Type": "Task", "Resource": "sql:public.note"},
		"C": {"Type": "Task", "Resource": "sql:public.note", "End": true}}',
	first => '"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": "sql:public.long", "End": true,
		"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}]}, "C": {"Type": "Task", "Resource": "sql:public.note", "End": true}}',
	wait => '"StartAt": "A", "States": {
		"A": {"Type": "Task", "Resource": "sql:public.note", "ResultPath": null, "Compensate": "UndoA", "Next": "W"},
		"UndoA": {"Type": "Task", "Resource": "sql:public.note"},
		"W": {"Type": "Wait", "Seconds": 6000, "End": true}}',
	undo => '"StartAt": "A", "States": {
		"A": {"Type": "Task", "Resource": "sql:public.note", "ResultPath": null, "Compensate": "UndoA", "Next": "W"},
		"UndoA": {"Type": "Task", "Resource": "sql:public.long"},
		"W": {"Type": "Wait", "Seconds": 6000, "End": true}}',
	token => '"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "sql:public.note.waitForTaskToken", "End": true}}',
	short => '"StartAt": "C", "States": {"C": {"Type": "Task", "Resource": "sql:public.short", "End": true}}',
	stubborn => '"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:public.stubborn", "End": true}}',
	quick => '"StartAt": "C", "States": {"C": {"Type": "Task", "Resource": "sql:public.note", "End": true}}');

sub flow
{
	my ($role, $name, $as) = @_;
	return sql_as($role, "SELECT saga.create_workflow('" . ($as // $name) . "', '{$flows{$name}}')");
}
flow('alice', $_) foreach grep { $_ ne 'short' } sort keys %flows;

my $in_step = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query NOT LIKE 'SELECT count(*)%'";

# ---------- in a step ----------

my $id = start('first', '{"x": 1}');
poll_until($node, $in_step, '1');
stop($id);
ended($id, 'in its first step');
is(sql('SELECT count(*) FROM log'), '0', 'what the step did is undone, and Catch has not seen it');
is(sql('SELECT last_value FROM tried'), '1', 'it was not begun again');

$id = start('chain', '{"x": 2}');
poll_until($node, $in_step, '1');
is(sql("SELECT status, current_state FROM saga.executions WHERE execution_id = '$id'"), 'RUNNING|B', 'the step before is committed');
stop($id);
ended($id, 'in a later step', '["A"]');
is(sql("SELECT string_agg(what, ' ') FROM (SELECT what FROM log WHERE x = 2 ORDER BY ctid) l"), 'A UndoA', 'what was committed is undone');

$id = start('chain', '{"x": 3}');
poll_until($node, $in_step, '1');
stop($id, 'false');
ended($id, 'without compensation');
is(sql("SELECT string_agg(what, ' ') FROM log WHERE x = 3"), 'A', 'nothing is undone then');

# a second stop, while the first has not been seen, that says that nothing is to be undone; and in a handler
$id = start('chain', '{"x": 13}');
poll_until($node, $in_step, '1');
sql("BEGIN; SELECT saga.stop_execution('$id', 'Enough', 'by hand'); SELECT saga.stop_execution('$id', 'Enough', 'by hand', compensate => false); COMMIT");
ended($id, 'the second stop of one transaction');
$id = start('undo', '{"x": 14}');
poll_until($node, "SELECT status = 'RUNNING' AND current_state = 'W' FROM saga.executions WHERE execution_id = '$id'");
stop($id);
poll_until($node, $in_step, '1');
is(sql("SELECT status, current_state FROM saga.executions WHERE execution_id = '$id'"), 'COMPENSATING|UndoA', 'its handler takes long');
stop($id, 'false');
ended($id, 'in a handler');
is(sql("SELECT details -> 'not_compensated' -> 0 ->> 'state' FROM saga.dead_letters WHERE message_id = '$id'"), 'A', 'what was not undone is known');
sql("DELETE FROM saga.dead_letter WHERE message_id = '$id'");

# it is rolled back: nothing is stopped
$id = start('first', '{"x": 4}');
poll_until($node, $in_step, '1');
my $tried = sql('SELECT last_value FROM tried');
sql("BEGIN; SELECT saga.stop_execution('$id'); ROLLBACK; BEGIN; SAVEPOINT s; SELECT saga.stop_execution('$id'); ROLLBACK TO s; COMMIT;");
submit($node, 'postgres', 'quick', 5);
poll_until($node, 'SELECT count(*) FROM log WHERE x = 5', '1');
is(sql('SELECT last_value FROM tried'), $tried, 'a stop that is rolled back disturbs nobody');

# it is prepared: whoever runs it is told when that is committed, by any session
sql("BEGIN; SELECT saga.stop_execution('$id'); PREPARE TRANSACTION 'back'");
sql("ROLLBACK PREPARED 'back'");
submit($node, 'postgres', 'quick', 6);
poll_until($node, 'SELECT count(*) FROM log WHERE x = 6', '1');
is(sql('SELECT last_value FROM tried'), $tried, 'nor one that was prepared and rolled back');
my $prepared = start('first', '{"x": 8}');
poll_until($node, $in_step, '2');
sql("BEGIN; SELECT saga.stop_execution('$prepared', 'Enough', 'by hand'); PREPARE TRANSACTION 'stop'");
is(sql("SELECT status FROM saga.executions WHERE execution_id = '$prepared'") . sql($in_step), 'RUNNING2', 'one that is prepared says nothing yet');
sql("COMMIT PREPARED 'stop'");
ended($prepared, 'when it is committed the step ends');
is(sql($in_step), '1', 'and the other one goes on');
$prepared = start('stubborn');
poll_until($node, $in_step, '2');
sql("BEGIN; SELECT saga.stop_execution('$prepared', 'Enough', 'by hand'); PREPARE TRANSACTION 'stop'");
sql("COMMIT PREPARED 'stop'");
ended($prepared, 'also one that catches the cancellation');

# of two that run, the other one is not disturbed; three stops are one
my $other = start('first', '{"x": 5}');
poll_until($node, $in_step, '2');
$tried = sql('SELECT last_value FROM tried');
my $stop = "SELECT saga.stop_execution('$other', 'Enough', 'by hand');";
sql("BEGIN; $stop $stop SAVEPOINT s; $stop RELEASE s; COMMIT;");
ended($other, 'stopped three times');
is(sql('SELECT last_value FROM tried'), $tried, 'and the other one goes on');
is(sql($in_step), '1', 'in its step');
stop($id);
ended($id, 'until it is stopped too');

# stops at any moment: who was not stopped is done once, who was is done once or not at all
flow('alice', 'short');
sql("SELECT count(saga.start_execution((SELECT workflow_id FROM saga.workflow WHERE name = 'short'), jsonb_build_object('x', x))) FROM generate_series(1000, 1399) x");
sql(<<'SQL');
DO $$
DECLARE
	e record;
BEGIN
	FOR e IN SELECT execution_id FROM saga.executions WHERE workflow = 'short' AND (input ->> 'x')::int % 3 = 0 ORDER BY 1 LOOP
		BEGIN
			PERFORM saga.stop_execution(e.execution_id, 'Enough', 'by hand');
		EXCEPTION WHEN object_not_in_prerequisite_state THEN
			NULL;
		END;
		COMMIT;
		PERFORM pg_sleep(0.002);
	END LOOP;
END $$;
SQL
poll_until($node, "SELECT count(*) FROM saga.executions WHERE workflow = 'short' AND status IN ('SUCCEEDED', 'ABORTED')", '400');
is(sql("SELECT count(*) FROM saga.executions WHERE workflow = 'short' AND status = 'ABORTED' AND (input ->> 'x')::int % 3 <> 0"), '0', 'none but those');
cmp_ok(sql("SELECT count(*) FROM saga.executions WHERE workflow = 'short' AND status = 'ABORTED'"), '>', 0, 'and some of those');
is(sql("SELECT string_agg(e.execution_id::text, ' ') FROM saga.executions e WHERE workflow = 'short' AND (status = 'SUCCEEDED')::int <>"
	  . " (SELECT count(*) FROM log l WHERE l.x = (e.input ->> 'x')::int)"), '', 'have ended without being done, and the others were done once');
poll_until($node, 'SELECT count(*) FROM saga.message', '0');

# ---------- its worker is terminated ----------

$id = start('first', '{"x": 6}');
poll_until($node, $in_step, '1');
$tried = sql('SELECT last_value FROM tried');
sql("BEGIN; SELECT saga.stop_execution('$id', 'Enough', 'by hand');"
	  . "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE wait_event = 'PgSleep'; COMMIT;");
ended($id, 'its worker terminated before the stop is seen');
cmp_ok(sql('SELECT last_value FROM tried'), '<=', $tried + 1, 'it is not run over and over');

# ---------- a step that catches its cancellation ----------

$id = start('stubborn');
poll_until($node, $in_step, '1');
stop($id);
ended($id, 'a step that goes on');
is(sql('SELECT count(*) FROM saga.suspect'), '0', 'which leaves no suspect');

# ---------- whose neighbour somebody else has started, and has not committed ----------

my $neighbour = sql("SELECT saga.make_id()");
(my $before = $neighbour) =~ tr/0-9a-f//cd;
$before = sprintf('%s%08x', substr($before, 0, 24), hex(substr($before, 24)) - 1);
sql("SELECT saga.start_execution('alice.first', '{\"x\": 90}', NULL, '$neighbour')");
poll_until($node, $in_step, '1');
my $beside = $node->background_psql('postgres');
$beside->query_safe("BEGIN; SELECT saga.start_execution('alice.quick', '{\"x\": 91}', NULL, '$before')");
stop($neighbour);
ended($neighbour, 'beside one whose id is the one before');
$beside->query_safe('ROLLBACK');
$beside->quit;

# when it has said that it ends it is sent cancels until it is gone
foreach my $i (1 .. 3)
{
	poll_until($node, $in_step, '0');
	$id = start('stubborn');
	poll_until($node, $in_step, '1');
	my $pid = sql("SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'") or die 'nobody is in the step';
	my $offset = -s $node->logfile;
	stop($id);
	wait_until(sub { return slurp_file($node->logfile, $offset) =~ /\[$pid\] FATAL/ });
	usleep(20) while kill('INT', $pid);
	ended($id, "a step that goes on, and cancels: $i");
}
unlike(slurp_file($node->logfile), qr/worker" \(PID \d+\) was terminated by signal/, 'none of them takes the server along');

# ---------- queued ----------

# both workers are in long steps
my @long = map { start('first', '{"x": 7}') } 1 .. 2;
poll_until($node, $in_step, '2');
my @queued = map { start('chain', '{"x": 8}') } 1 .. 60;
stop($_) foreach @queued[ 0, 30, 59 ];
is(state($_), 'ABORTED|Enough|by hand|', 'one that is queued is stopped at once') foreach @queued[ 0, 30, 59 ];
is(sql("BEGIN; SELECT saga.stop_execution(saga.start_execution((SELECT workflow_id FROM saga.workflow WHERE name = 'quick'))); SELECT count(*) FROM saga.executions WHERE workflow = 'quick' AND status = 'ABORTED'; COMMIT;") =~ s/^\n//r,
	'1', 'one that this transaction has started');
stop($_) foreach @queued[ 1 .. 29, 31 .. 58 ];
stop($_) foreach @long;
ended($_, 'one of two long ones') foreach @long;
is(sql('SELECT count(*) FROM log WHERE x = 8'), '0', 'none of them has begun');
is(sql('SELECT count(*) FROM saga.message'), '0', 'the queue is empty');

# ---------- parked ----------

$id = start('token');
poll_until($node, "SELECT current_state = 'T' FROM saga.executions WHERE execution_id = '$id'");
stop($id);
is(state($id), 'ABORTED|Enough|by hand|', 'one that waits for its token, at once');
$id = start('wait', '{"x": 9}');
poll_until($node, "SELECT current_state = 'W' FROM saga.executions WHERE execution_id = '$id'");
stop($id);
like(state($id), qr/^(COMPENSATING|ABORTED)/, 'one that waits compensates at once');
ended($id, 'one that waits', '["A"]');
is(sql('SELECT count(*) FROM saga.timer'), '0', 'no timer is left');
isnt($node->psql('postgres', "SELECT saga.stop_execution('$id')"), 0, 'once only');

# ---------- owners who cannot run ----------

foreach my $case (['bob', 'ALTER ROLE bob NOLOGIN'], ['carol', 'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC'], ['dora', 'SET pg_saga.keep_owners = off; DROP OWNED BY dora; DROP ROLE dora'])
{
	my ($role, $sql) = @$case;
	my @ids;

	flow($role, 'token', "$role token");
	flow($role, 'quick', "$role quick");
	push @ids, start("$role token");
	poll_until($node, "SELECT current_state = 'T' FROM saga.executions WHERE execution_id = '$ids[0]'");
	sql('ALTER SYSTEM SET pg_saga.workers = 0; SELECT pg_reload_conf();');
	poll_until($node, "SELECT count(*) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL", '0');
	push @ids, start("$role quick");
	sql($sql);
	sql('ALTER SYSTEM RESET pg_saga.workers; SELECT pg_reload_conf();');
	stop($_) foreach @ids;
	is(state($_), 'ABORTED|Enough|by hand|', "$sql: stopped all the same") foreach @ids;
	sql('GRANT CONNECT ON DATABASE postgres TO PUBLIC');
}

# ---------- rights ----------

$id = start('first', '{"x": 10}');
poll_until($node, $in_step, '1');
my ($rc, $out, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION other; SELECT saga.stop_execution('$id')");
like($err, qr/execution $id does not exist/, 'who may not operate it cannot stop it');
sql_as('alice', "SELECT saga.grant('workflow', 'first', 'eve', 'operate')");
sql_as('eve', "SELECT saga.stop_execution('$id', 'Enough', 'by hand')");
ended($id, 'stopped by who was granted that');

# ---------- in saga.drain() ----------

sql('ALTER SYSTEM SET pg_saga.workers = 0; SELECT pg_reload_conf();');
poll_until($node, "SELECT count(*) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL", '0');
$id = start('chain', '{"x": 11}');
my $drain = $node->background_psql('postgres', on_error_stop => 0);
$drain->query_safe('SET SESSION AUTHORIZATION alice');
$drain->query_until(qr/begun/, "\\echo begun\nCALL saga.drain();\n");
poll_until($node, $in_step, '1');
my $next = start('quick', '{"x": 12}');
stop($id);
ended($id, 'in saga.drain()', '["A"]');
poll_until($node, "SELECT status = 'SUCCEEDED' FROM saga.executions WHERE execution_id = '$next'");
is($drain->query_safe("SELECT 'drained'"), 'drained', 'which goes on, and does what else is there');

# a stop after its end, and a cancel that somebody means for the session
$drain->query_until(qr/begun/, "\\echo begun\nSELECT pg_sleep(600);\n");
poll_until($node, $in_step, '1');
$node->psql('postgres', "SELECT saga.stop_execution('$id')");
is(sql($in_step), '1', 'nothing of the session is cancelled afterwards');
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
my (undef, $cancelled) = $drain->query('SELECT 1');
is($cancelled, 1, 'unless somebody cancels it');
$drain->quit;

# its session reads the definition, anew when it may have changed
sql(q(SELECT saga.create_workflow('kept', '{"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 1, "End": true}}}')));
my $again = "SELECT saga.stop_execution(saga.start_execution('kept'), 'Enough'); ALTER TABLE saga.workflow_version SET (fillfactor = 100);" x 10;
like(sql("$again SELECT 'machines ' || count(*) FROM pg_backend_memory_contexts WHERE name = 'pg_saga cached' AND ident = 'machines'"), qr/machines [12]$/,
	'a session that stops many keeps no definition that is not in use any more');
sql('ALTER TABLE saga.workflow_version RESET (fillfactor)');

is(sql("SELECT string_agg(reason, ' ') FROM saga.dead_letters"), 'Saga.CompensationFailed Saga.CompensationFailed',
	'the only dead letters are those of the two that were stopped without undoing what they had done');
unlike(slurp_file($node->logfile), qr/ERROR:  (canceling|the execution was)(?!.*user request)/, 'the log does not speak of errors');
$node->stop;
done_testing();
