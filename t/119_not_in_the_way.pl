# Whoever may use something leaves a transaction open in which he has used it, or a step goes on for long; and whoever goes
# leaves work behind. The others go on meanwhile, and nobody gets rights of an heir who has not looked.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT as sql);
use Saga::Work;

my $node = new_saga_node('main', 'pg_saga.workers = 2', 'pg_saga.publishers = 1');
create_extensions($node);
add_role($node, 'postgres', $_) foreach qw(alice mallory);

# ---------- numbers of invoices are to be told apart otherwise while somebody submits ----------
sql(q{CREATE ROLE invoice_owner LOGIN; SELECT invoice_setup('invoice_owner');
	GRANT EXECUTE ON FUNCTION invoice_submit(json) TO alice, mallory});
sub submit_invoice { my ($n) = @_; (my $json = slurp_file("demo/invoices/0$n.json")) =~ s/'/''/g; return "SELECT invoice_submit('$json')" }
my $mallory = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'mallory' ]);
like($mallory->query_safe('BEGIN; ' . submit_invoice('1-de-consulting')), qr/-/, 'somebody submits an invoice, and goes on');
my $admin = $node->background_psql('postgres', on_error_stop => 0);
$admin->query_until(qr/begun/, "\\echo begun\nSET lock_timeout = '170s';\nSELECT invoice_set_number_scope('{kind}');\n");
ok(poll_until($node, q{SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
	WHERE l.relation = 'invoice_submission'::regclass AND NOT l.granted AND a.query LIKE '%number_scope%'}, 't'), 'the administrator waits for the end of that');
my ($rc, $out, $err) = $node->psql('postgres', "SET lock_timeout = '60s'; " . submit_invoice('2-fr-wine'), extra_params => [ '-U', 'alice' ]);
is($rc, 0, 'nobody waits behind the administrator') or diag($err);
($rc, $out, $err) = $node->psql('postgres', q{SET lock_timeout = '300ms'; SET search_path = public; SELECT invoice_lock_submissions(300)}, on_error_stop => 1);
like($err, qr/submitted by transactions that have not ended/, 'who does not wait for long is told why');
$mallory->query_safe('ROLLBACK');
$admin->query_safe('SELECT 1');
is(sql('SELECT number_with FROM invoice_setting WHERE current'), '{kind}', 'it is done when that has ended');
$admin->quit;

# ---------- documents come through a source whose numbers somebody has who goes on ----------
my $held = join(';', map { submit_invoice($_) } '1-de-consulting', '3-us-software');
like($mallory->query_safe("BEGIN; $held"), qr/-/, 'somebody submits two invoices, and goes on');
foreach my $file ('01-de-consulting', '03-us-software')
{
	(my $json = slurp_file("demo/invoices/$file.json")) =~ s/'/''/g;
	sql("SELECT saga.start_execution('invoice_owner.invoice-inbox', jsonb_build_object('body', '$json', 'source_message_id', '$file'))");
}
ok(poll_until($node, q{SELECT count(*) FROM saga.timer t JOIN saga.workflow w ON w.workflow_id = t.queue_id WHERE w.name = 'invoice-inbox'
	UNION ALL SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid' ORDER BY 1 DESC LIMIT 1}, '2'), 'they wait for her');
my $other = as('alice', submit_invoice('4-gb-print'));
ok(poll_until($node, "SELECT status <> 'RUNNING' FROM saga.all_executions WHERE execution_id = '$other'", 't'), 'the workers go on with those of others');
$mallory->query_safe('ROLLBACK');
ok(poll_until($node, q{SELECT string_agg(status, ',') FROM saga.all_executions WHERE workflow = 'invoice-inbox'}, 'SUCCEEDED,SUCCEEDED'), 'and with these in the end');

# ---------- the order of the messages of a destination that others may use ----------
my $dir = PostgreSQL::Test::Utils::tempdir;
append_to_file("$dir/credentials", "[default]\naws_access_key_id = a\naws_secret_access_key = b\n");
sql(qq{SELECT saga.create_destination('fifo', 'sqs', '{"queue_url": "http://127.0.0.1:1/0/q.fifo", "endpoint_url": "http://127.0.0.1:1", "region": "us-east-1",
	"allow_private": true, "credentials": {"file": "$dir/credentials"}, "base_ms": 50, "cap_ms": 100}'); SELECT saga.set_destination_owner('fifo', 'alice')});
as('alice', q{SELECT saga.grant('destination', 'fifo', 'mallory', 'use')});
sql('CREATE TABLE gate (); GRANT SELECT ON gate TO mallory');
as('mallory', q{
	CREATE FUNCTION public.stay(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN LOCK TABLE public.gate IN ACCESS SHARE MODE; RETURN input; END';
	SELECT saga.create_workflow('send', '{"StartAt": "Send", "States": {
		"Send": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "TimeoutSecondsPath": "$.timeout", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Stay"}],
			"Parameters": {"QueueUrl": "saga:alice.fifo", "MessageBody": "x", "MessageGroupId": "hers", "MessageDeduplicationId.$": "$$.Execution.Id"}, "End": true},
		"Stay": {"Type": "Task", "Resource": "sql:public.stay", "End": true}}}')});

sub waits { my ($n) = @_; return poll_until($node, "SELECT count(*) FROM saga.outbox WHERE ordering_key = 'hers' AND state = 'waiting'", $n) }

sub goes_on
{
	my ($what) = @_;
	as('alice', q{SELECT saga.resume_destination('fifo')});
	my $id = as('alice', q{SELECT saga.publish_to('fifo', '{}', 'another')});
	ok(poll_until($node, "SELECT attempts > 0 FROM saga.outbox WHERE outbox_id = '$id'", 't'), "$what: messages of other keys are sent");
	as('alice', q{SELECT saga.pause_destination('fifo')});
	return;
}

as('alice', q{SELECT saga.pause_destination('fifo')});
my $id = as('mallory', q{SELECT saga.start_execution('send', '{"timeout": 100000}')});
ok(waits(1), 'a call with an ordering key waits');
$mallory->query_safe("BEGIN; SELECT saga.stop_execution('$id')");
goes_on('a stop in an open transaction');
$mallory->query_safe('COMMIT');
as('alice', q{SELECT saga.resume_destination('fifo')});
ok(poll_until($node, "SELECT status FROM saga.all_executions WHERE execution_id = '$id'", 'ABORTED'), 'the stop is done in the end');
ok(waits(0), 'and the call is withdrawn');
as('alice', q{SELECT saga.pause_destination('fifo')});

my $gate = $node->background_psql('postgres');
$gate->query_safe('BEGIN; LOCK TABLE gate IN ACCESS EXCLUSIVE MODE');
$id = as('mallory', q{SELECT saga.start_execution('send', '{"timeout": 1}')});
ok(poll_until($node, q{SELECT EXISTS (SELECT FROM saga.outbox WHERE unwanted_since IS NOT NULL)
	OR EXISTS (SELECT FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted)}, 't'), 'the time of another one is over');
goes_on('a step that stays');
as('alice', q{SELECT saga.resume_destination('fifo')});
$gate->query_safe('COMMIT');
ok(poll_until($node, "SELECT status FROM saga.all_executions WHERE execution_id = '$id'", 'SUCCEEDED'), 'it is withdrawn, and the step is done');
$gate->quit;
$mallory->quit;

# ---------- what is left behind is not given to a superuser ----------
as('mallory', q{SELECT saga.create_workflow('left', '{"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 1000, "End": true}}}')});
foreach my $heir ('postgres', 'CURRENT_USER')
{
	($rc, $out, $err) = $node->psql('postgres', "REASSIGN OWNED BY mallory TO $heir");
	like($err, qr/cannot give the workflows of role "mallory" to superuser "postgres"\nDETAIL: .*workflow left\nworkflow send\nHINT: /s, "REASSIGN OWNED to $heir is refused");
}
is(sql(q{SELECT string_agg(DISTINCT owner::text, ',') FROM saga.workflow WHERE name IN ('left', 'send')}), 'mallory', 'nothing was given');

$node->stop;
done_testing();
