# An id that a caller gives is used once, also where somebody gives it who has seen it before its owner
# used it. And where two executions have one id all the same, as after a restore, one of them is given up
# with a dead letter, and no other execution has to do with it.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;
use Saga::Work;

my $node = new_saga_node('ids', 'pg_saga.workers = 1');
create_extensions($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }

add_role($node, 'postgres', 'alice');
sql(<<'SQL');
CREATE TABLE account (what text, execution text);
GRANT INSERT ON account TO alice;
CREATE FUNCTION book(input jsonb, context jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO public.account VALUES (context #>> '{State,Name}', context #>> '{Execution,Id}') RETURNING coalesce(input, '{}') $$;
CREATE TABLE held (token text);
GRANT INSERT ON held TO alice;
CREATE FUNCTION hold(input jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO public.held VALUES (input ->> 'token') RETURNING 'null'::jsonb $$;
CREATE ROLE invoice_owner LOGIN;
SELECT invoice_setup('invoice_owner');
SET SESSION AUTHORIZATION alice;
SELECT saga.create_workflow('quick', '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}');
SELECT saga.create_workflow('transfer', '{"StartAt": "Credit", "States": {
	"Credit": {"Type": "Task", "Resource": "sql:public.book", "Next": "Ask"},
	"Ask": {"Type": "Task", "Resource": "sql:public.hold.waitForTaskToken", "Parameters": {"token.$": "$$.Task.Token"}, "Next": "Debit"},
	"Debit": {"Type": "Task", "Resource": "sql:public.book", "End": true}}}');
SQL

sub workflow { return "(SELECT workflow_id FROM saga.workflow WHERE name = '$_[0]')" }

sub start { return sql("SELECT saga.start_execution(" . workflow($_[0]) . ", '" . ($_[1] // '{}') . "')") }

sub letter { return sql("SELECT reason, cause, details ->> 'status' FROM saga.dead_letters WHERE message_id = '$_[0]'") }

sub booked { return sql("SELECT string_agg(what, ' ' ORDER BY what) FROM account WHERE execution = '$_[0]'") }

# As if one of the same id, of another workflow, had ended.
sub twin_that_ended { return "INSERT INTO saga.execution (execution_id, workflow_id, version, started_at, stopped_at, status)
	SELECT $_[0], " . workflow('invoice') . ", 1, now(), now(), 's'" }

# ---------- the id of an invoice, seen before its execution is started ----------

# what debug_print_plan shows to who submits, and a submission of the same number lets wait
sql(<<'SQL');
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE LOG 'the id is %', NEW.tracking_id;
	PERFORM pg_advisory_xact_lock(139);
	RETURN NEW;
END $$;
CREATE TRIGGER tell BEFORE INSERT ON invoice_submission FOR EACH ROW EXECUTE FUNCTION tell();
SQL
my $person = $node->background_psql('postgres', on_error_stop => 0);
my $holder = $node->background_psql('postgres');
my $invoice = q{'{"number": "1", "seller": {"name": "S"}, "lines": []}'};

sub submit_and_tell
{
	my $offset = -s $node->logfile;
	my $id;

	$holder->query_safe('SELECT pg_advisory_lock(139)');
	$person->query_until(qr/submitting/, "\\echo submitting\nSELECT 'submitted ' || invoice_submit($invoice) AS said;\n");
	ok(wait_until(sub { ($id) = slurp_file($node->logfile, $offset) =~ /the id is ([0-9a-f-]{36})/ }), 'its id was told');
	return $id;
}

my $id = submit_and_tell();
my (undef, undef, $err) = $node->psql('postgres', "SELECT saga.start_execution(" . workflow('quick') . ", '{}', NULL::text, '$id')");
is($err, '', 'somebody else starts an execution with it');
$holder->query_safe('SELECT pg_advisory_unlock(139)');
$person->query('');
is(sql("SELECT count(*) FROM invoice_submission WHERE tracking_id = '$id'"), '0', 'the invoice is refused');
is(sql("SELECT count(*) FROM saga.given_id WHERE execution_id = '$id'"), '1', 'the id is his');

# the same while he has not committed; and then he does not
$id = submit_and_tell();
my $other = $node->background_psql('postgres');
$other->query_safe("BEGIN; SELECT saga.start_execution(" . workflow('quick') . ", '{}', NULL::text, '$id')");
$holder->query_safe('SELECT pg_advisory_unlock(139)');
poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid' AND query LIKE '%invoice_submit%'}, '1');
$other->query_safe('ROLLBACK');
poll_until($node, "SELECT count(*) FROM invoice_submission WHERE tracking_id = '$id'", '1');
pass('the invoice waits for him, and is taken');
$_->quit foreach $person, $holder, $other;

# ---------- two of one id: one has ended ----------

# both parts of a transfer are booked, or none
$id = start('transfer');
poll_until($node, "SELECT count(*) FROM saga.continuation WHERE execution_id = '$id'", '1');
sql(twin_that_ended("'$id'"));
sql("SELECT saga.send_task_success(token, '{}') FROM held WHERE token LIKE '%$id%'");
poll_until($node, "SELECT count(*) FROM saga.continuation WHERE execution_id = '$id'", '0');
is(booked($id), 'Credit Debit', 'one that waited goes on to its end');
like(letter($id), qr/^Saga\.DuplicateExecution\|it ended as SUCCEEDED; .*\|SUCCEEDED$/, 'and there is a dead letter');

$id = start('transfer');
poll_until($node, "SELECT count(*) FROM saga.continuation WHERE execution_id = '$id'", '1');
sql(twin_that_ended("'$id'"));
sql("SELECT saga.stop_execution('$id', compensate => false)");
poll_until($node, "SELECT count(*) FROM saga.continuation WHERE execution_id = '$id'", '0');
pass('one that waits can be stopped');
is(sql("SELECT count(*) FROM saga.dead_letters WHERE message_id = '$id'"), '1', 'and there is a dead letter');

# many in one transaction with such a one
my $offset = -s $node->logfile;
sql("BEGIN; CREATE TABLE started AS SELECT saga.start_execution(" . workflow('quick') . ", to_jsonb(n)) AS id, n FROM generate_series(1, 200) n;"
	. twin_that_ended('id') . ' FROM started WHERE n % 10 = 0; COMMIT');
poll_until($node, 'SELECT count(*) FROM saga.message', '0');
is(sql("SELECT count(*) FROM saga.execution JOIN started ON id = execution_id WHERE workflow_id = " . workflow('quick')), '180', 'the others have ended');
is(sql("SELECT count(*), min(reason) FROM saga.dead_letters JOIN started ON id = message_id"), '20|Saga.DuplicateExecution', 'these have dead letters');
my @failed = slurp_file($node->logfile, $offset) =~ /duplicate key/g;
cmp_ok(scalar(@failed), '<=', 1, 'one batch at most was lost for it');

# ---------- two of one id: one waits ----------

$id = sql("WITH s AS MATERIALIZED (SELECT saga.start_execution(" . workflow('transfer') . ") AS id)
	INSERT INTO saga.continuation (execution_id, workflow_id, version, status, started_at, parked_at, run)
	SELECT id, " . workflow('invoice') . ", 1, 'r', now(), now(), '{}' FROM s RETURNING execution_id");
poll_until($node, "SELECT count(*) FROM saga.dead_letters WHERE message_id = '$id'", '1');
like(letter($id), qr/^Saga\.DuplicateExecution\|.*was not begun\|$/, 'one that begins is a dead letter');
is(booked($id), '', 'nothing of it was done');
is(sql("SELECT count(*) FROM saga.continuation WHERE execution_id = '$id'"), '1', 'the other one waits on');
sql("SELECT saga.redrive(dead_letter_id) FROM saga.dead_letters WHERE message_id = '$id'");
poll_until($node, "SELECT count(*) FROM saga.continuation WHERE workflow_id = " . workflow('transfer'), '1');
pass('it can be redriven');

$node->stop;
done_testing();
