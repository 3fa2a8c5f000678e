# A call that nobody knows of is done once, however often its execution is started again by force before one of them
# comes to it: the old key is handed on from one to the next, is not lost with its dead letter, and nothing of the old
# one goes on beside the new one.  So it is with invoices, which also keep their numbers.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $json = JSON::PP->new->canonical;
my $server = start_accounting();
my $node = new_saga_node('main', 'pg_saga.workers = 2', 'pg_saga.publishers = 1');
create_extensions($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub error { my ($rc, $out, $err) = $node->psql('postgres', $_[0]); return $err }
sub faults { return $server->faults({ modes => { duplicate => 'allow' }, rules => [@_] }) }
sub lost { my ($number, $path) = @_; return { number => $number, method => 'POST', path => $path // '/v1/invoices', action => 'drop_after', times => 1 } }
sub books { my ($number) = @_; my ($book) = grep { $_->{number} eq $number } @{ $server->audit->{numbers} }; return $book // {} }
sub posted { return books($_[0])->{posted} // 0 }
sub paid { my $book = books($_[0]); return ($book->{paid} // 0) . '/' . ($book->{refunded} // 0) }

# ---------- executions ----------

sql(q{CREATE TABLE shut (name text); CREATE TABLE undone (name text);
CREATE FUNCTION gate(input jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN EXISTS (SELECT FROM public.shut WHERE name = input->>'number') THEN saga.failure('Shut', 'not now') ELSE '{}' END $$;
CREATE FUNCTION undo(input jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO public.undone VALUES (input #>> '{input,RequestBody,number}') RETURNING '{}'::jsonb $$});

sub destination
{
	my ($name, %more) = @_;
	return sql("SELECT saga.create_destination('$name', 'http', \$s\$" . $json->encode({ url => $server->url('/v1/invoices'), allow_private => $true, max_attempts => 1,
		base_ms => 20, cap_ms => 50, timeout_ms => 60000, idempotency => { ttl_s => 86400 }, settle => { by => 'person' }, %more }) . '$s$)');
}

# The gate, which may be shut; then what is put there; then the call.
sub workflow
{
	my ($name, $destination, %between) = @_;
	my ($first) = keys %between;
	sql("SELECT saga.create_workflow('$name', \$d\$" . $json->encode({ StartAt => 'Gate', States => {
		Gate => { Type => 'Task', Resource => 'sql:public.gate', ResultPath => undef, Next => $first // 'Book' }, %between,
		Book => { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Parameters => { ApiEndpoint => "saga:$destination", 'RequestBody.$' => '$' }, Compensate => 'Undo', End => $true },
		Undo => { Type => 'Task', Resource => 'sql:public.undo' } } }) . '$d$)');
	return;
}

sub start
{
	my ($workflow, $number) = @_;
	my $input = $json->encode({ number => $number, currency => 'EUR', seller => 'S', buyer => 'B', total => '1.19', tax => '0.19', lines => [ { amount => '1.00' } ] });
	return sql("SELECT saga.start_execution('$workflow', \$i\$$input\$i\$)");
}

sub shut { return sql("INSERT INTO shut VALUES ('$_[0]')") }
sub open_gate { return sql("DELETE FROM shut WHERE name = '$_[0]'") }
sub letter { return sql("SELECT dead_letter_id FROM saga.dead_letters WHERE message_id = '$_[0]'") }
sub redrive { my ($id, $force) = @_; return sql("SELECT saga.redrive_anew('" . letter($id) . "'::uuid" . ($force ? ', force => true)' : ')')) }
sub ends
{
	my ($id) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE execution_id = '$id'", 't');
	return sql("SELECT concat_ws(' ', status, error, (SELECT string_agg(concat_ws(' ', x->>'state', x->>'outcome'), ',') FROM jsonb_array_elements(not_compensated) x))
		FROM saga.executions WHERE execution_id = '$id'");
}
sub heir_of { return sql("SELECT heir FROM saga.outbox WHERE execution_id = '$_[0]'") }
my $unknown = 'FAILED States.Http.Socket Book unknown';

destination('pay');
workflow('direct', 'pay');
faults(map { lost($_) } qw(once middle forced));

my $id = start('direct', 'once');
is(ends($id), $unknown, 'nobody knows whether it was done');
is(ends(redrive($id, 1)), 'SUCCEEDED', 'by force it is started again');
is(posted('once'), 1, 'and done once');

# the second one does not come to the call
foreach my $case ([ middle => 0 ], [ forced => 1 ])
{
	my ($number, $force) = @$case;
	$id = start('direct', $number);
	is(ends($id), $unknown, "$number: nobody knows of it");
	shut($number);
	my $second = redrive($id, 1);
	is(ends($second), 'FAILED Shut', '  the one that is started by force fails before the call');
	my $third = redrive($second, $force);
	is(ends($third), 'FAILED Shut', '  and the next one');
	is(heir_of($id), $third, '  which has inherited it');
	open_gate($number);
	is(ends(redrive($third, $force)), 'SUCCEEDED', '  until one comes to it');
	is(posted($number), 1, '  and it is done once');
	is(sql("SELECT count(*) FROM saga.outbox o JOIN saga.outbox n ON n.outbox_id = o.taken_up_as AND n.idempotency_key = o.idempotency_key WHERE o.execution_id = '$id'"),
		'1', '  under the old key');
}

# a state without Compensate holds nothing up, and does not do it twice either: of itself, or as it is in a newer version
sub without_compensate
{
	my ($name) = @_;
	return sql("SELECT saga.create_workflow(name, definition #- '{States,Book,Compensate}' #- '{States,Undo}') FROM saga.workflows WHERE name = '$name'");
}
workflow('bare', 'pay');
without_compensate('bare');
faults(lost('bare'));
$id = start('bare', 'bare');
is(ends($id), 'FAILED States.Http.Socket', 'without Compensate: it may have been done');
is(ends(redrive($id)), 'SUCCEEDED', '  it is started again');
is(posted('bare'), 1, '  and done once');
workflow('newer', 'pay');
faults({ %{ lost('newer') }, times => 2 });
$id = start('newer', 'newer');
is(ends($id), $unknown, 'nobody knows whether it was done');
without_compensate('newer');
my $next = redrive($id, 1);
is(ends($next), 'FAILED States.Http.Socket', '  nor in a newer version, which has no Compensate');
is(ends(redrive($next)), 'SUCCEEDED', '  it is started again');
is(posted('newer'), 1, '  and done once');

# of many at once
faults(map { lost("many$_") } 1 .. 3);
my @many = map { start('direct', "many$_") } 1 .. 3;
poll_until($node, "SELECT count(*) FROM saga.dead_letters WHERE message_id IN ('" . join("','", @many) . "')", '3');
shut("many$_") foreach 1 .. 3;
my @second = map { redrive($_, 1) } @many;
is(ends($_), 'FAILED Shut', 'one of many') foreach @second;
open_gate("many$_") foreach 1 .. 3;
is(sql("SELECT saga.redrive('direct', 'Shut')"), 3, 'all that failed so are started again');
poll_until($node, "SELECT count(*) FROM saga.executions e JOIN saga.workflows w USING (workflow_id) WHERE w.name = 'direct' AND status IN ('RUNNING', 'COMPENSATING')", '0');
is(posted("many$_"), 1, "many$_ was done once") foreach 1 .. 3;

# ---------- what goes on ----------

sub halt { kill('STOP', $server->pid); return }
sub go_on { kill('CONT', $server->pid); return }
sub in_flight { return poll_until($node, "SELECT count(*) FROM saga.timer t JOIN saga.outbox o ON o.outbox_id = t.message_id WHERE o.execution_id = '$_[0]' AND lease IS NOT NULL", $_[1] // '1') }
sub record { return sql("SELECT concat_ws(' ', state, outcome) FROM saga.outbox WHERE execution_id = '$_[0]'") }
sub by { my ($name, $by) = @_; return sql("SELECT saga.alter_destination('$name', settings || '{\"settle\": {\"by\": \"$by\"}}') FROM saga.destinations WHERE name = '$name'") }
my $flies = qr/message [0-9a-f-]{36} of execution [0-9a-f-]{36} is in flight\nDETAIL:  Process [1-9][0-9]* waits for its answer, until/;

# it was stopped while its call was under way
destination('slow');
workflow('stopped', 'slow');
halt();
$id = start('stopped', 'flies');
in_flight($id);
sql("SELECT saga.stop_execution('$id', 'Stop', 'x', compensate => false)");
is(ends($id), 'ABORTED Stop Book unknown', 'stopped in flight it is unknown');
like(error("SELECT saga.redrive('" . letter($id) . "'::uuid, force => true)"), $flies, 'and is not started again beside it');
like(error("SELECT saga.settle('$id'::uuid, 'unknown')"), $flies, 'nor closed');
is(sql("SELECT not_compensated @? '\$[*].closed' FROM saga.executions WHERE execution_id = '$id'"), 'f', 'it is open');
go_on();
in_flight($id, '0');
is(ends(redrive($id, 1)), 'SUCCEEDED', 'when the answer has come, it is');
is(posted('flies'), 1, 'and was done once');

# it is asked for once more, whether it was done at first or not
destination('asked');
workflow('asking', 'asked');
foreach my $case ([ done => 'drop_after' ], [ not_done => 'drop_before' ])
{
	my ($number, $action) = @$case;

	by('asked', 'person');
	faults({ %{ lost($number) }, action => $action });
	$id = start('asking', $number);
	is(ends($id), $unknown, "$number: nobody knows of it");
	by('asked', 'resend');
	sql("SELECT saga.pause_destination('asked')");
	is(sql("SELECT saga.settle('asked', 'ask', now())"), '1', '  it is asked for');
	is(record($id), 'waiting in_doubt', '  and waits to be');
	my $new = redrive($id, 1);
	is(record($id), 'withdrawn in_doubt', '  by force it is started again, and asked for no more');
	sql("SELECT saga.resume_destination('asked')");
	is(ends($new), 'SUCCEEDED', '  the new one has its answer');
	is(record($id), 'withdrawn in_doubt', '  the old one is left as it was');
	is(posted($number), 1, '  and it was done once');
}

by('asked', 'person');
faults(lost('closed'));
$id = start('asking', 'closed');
is(ends($id), $unknown, 'another one');
by('asked', 'resend');
halt();
is(sql("SELECT saga.settle('asked', 'ask', now())"), '1', 'is asked for');
in_flight($id);
like(error("SELECT saga.redrive('" . letter($id) . "'::uuid, force => true)"), $flies, 'and not started again while that is under way');
like(error("SELECT saga.settle('$id'::uuid, 'unknown')"), $flies, 'nor closed');
go_on();
poll_until($node, "SELECT not_compensated IS NULL FROM saga.executions WHERE execution_id = '$id'", 't');
is(sql("SELECT string_agg(name, ',') FROM undone"), 'closed', 'what was found is undone');

by('asked', 'person');
faults(lost('given'));
$id = start('asking', 'given');
is(ends($id), $unknown, 'one more');
by('asked', 'resend');
sql("SELECT saga.pause_destination('asked'); SELECT saga.settle('asked', 'ask', now())");
sql("SELECT saga.settle('$id'::uuid, 'unknown')");
is(record($id), 'withdrawn in_doubt', 'is asked for no more when a person has closed it');
is(sql("SELECT count(*) FROM saga.timer t JOIN saga.outbox o ON o.outbox_id = t.message_id WHERE o.execution_id = '$id'") + sql("SELECT count(*) FROM saga.message m JOIN saga.outbox o
	ON o.outbox_id = m.message_id WHERE o.execution_id = '$id'"), 0, 'and nothing of it waits');
sql("SELECT saga.resume_destination('asked')");

# ---------- invoices ----------

sql(<<"SQL");
CREATE ROLE invoice_owner LOGIN;
SELECT invoice_setup('invoice_owner');
SELECT saga.create_destination(n, 'http', jsonb_build_object('url', '@{[ $server->url ]}', 'allow_private', true, 'base_ms', 20, 'cap_ms', 100,
	'max_attempts', 1, 'timeout_ms', 60000)) FROM unnest('{payments,accounting}'::text[]) n;
SELECT saga.set_destination_owner(n, 'invoice_owner') FROM unnest('{payments,accounting}'::text[]) n;
SELECT saga.create_workflow('invoice', jsonb_set(invoice_definition(), '{States,Announce}', '{"Type": "Pass", "Next": "Done"}'), 'invoice_owner');
SQL

sub document
{
	my ($number, %more) = @_;
	return $json->encode({ number => $number, issue_date => '2025-03-01', due_date => $more{due} // '2025-03-31', type_code => '380', currency => 'EUR',
		seller => { name => 'Lindqvist AB', vat_id => 'SE556677889901', address => { country => 'SE' } }, buyer => { name => 'Weber GmbH', address => { country => 'DE' } },
		lines => [ { id => '1', name => 'Oak table', quantity => '2', unit_code => $more{unit} // 'C62', unit_price => '149.90', vat_category => 'S', vat_rate => '25' } ] });
}
sub submit { return sql("SELECT invoice_submit('$_[0]')") }
sub becomes { my ($tracking, $status) = @_; return poll_until($node, "SELECT status FROM invoice_tracking WHERE tracking_id = '$tracking'", $status) }
sub attempt { my ($tracking, $status, $more) = @_; sql("SELECT invoice_retry('$tracking'" . ($more // '') . ')'); return becomes($tracking, $status) }
sub dlq { return sql("SELECT concat_ws(' ', reason, compensated) FROM invoice_dlq WHERE tracking_id = '$_[0]'") }

my @numbers = qw(bad number dead refunded);
faults((map { lost($_, '/v1/payments') } @numbers), { number => 'refunded', method => 'POST', path => '/v1/invoices', action => 'status', status => 422, times => 1 });
my %first = map { $_ => submit(document($_)) } @numbers;
becomes($_, 'failed') foreach values %first;
is(join(' ', map { paid($_) } @numbers), '1/0 1/0 1/0 1/0', 'invoices whose payment was made, and lost');

# with a correction that is none
foreach my $number (qw(bad number refunded))
{
	attempt($first{$number}, 'failed', ", '" . document($number, unit => 'NONSENSE') . "', force => true");
	is(dlq($first{$number}), 'InvoiceInvalid f', "$number: by force, with a wrong correction, it fails; what the first attempt has left is there still");
	like(error("SELECT invoice_retry('$first{$number}', '" . document($number) . "')"), qr/has not been undone completely/, '  and it is not tried again without force');
}
attempt($first{bad}, 'failed', ", '" . document('bad', unit => 'NONSENSE') . "', force => true") foreach 1 .. 2;
attempt($first{bad}, 'completed', ", '" . document('bad') . "', force => true");
is(paid('bad'), '1/0', 'in the end it is paid once');

# another document of its number
my $other = submit(document('number', due => '2025-04-30'));
becomes($other, 'held');
like(sql("SELECT messages::text FROM invoice_held WHERE tracking_id = '$other'"), qr/INV-DUPLICATE .*\($first{number}; may still stand: Pay/, 'another document of its number is held, and says why');
is(paid('number'), '1/0', 'and not paid');

# taken up, and undone
attempt($first{refunded}, 'failed', ", '" . document('refunded') . "', force => true");
is(paid('refunded'), '1/1', 'what a later attempt has taken up it undoes');
like(dlq($first{refunded}), qr/422 t$/, 'and nothing stands');
attempt($first{refunded}, 'completed');
is(paid('refunded'), '2/1', 'so it is tried again, and paid under another key');

# by a dead letter first, which an invoice does not take
my $execution = sql("SELECT execution_id FROM invoice_submission WHERE tracking_id = '$first{dead}'");
is(ends(redrive($execution, 1)), 'FAILED InvoiceNotUndone', 'a dead letter of an invoice is not redriven');
attempt($first{dead}, 'completed', ', force => true');
is(paid('dead'), '1/0', 'but the call is taken up all the same');

# ---------- time goes by ----------

sql(q{CREATE TABLE held (token text); GRANT SELECT, INSERT ON held TO PUBLIC;
CREATE FUNCTION hold(input jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO public.held VALUES (input->>'token') RETURNING '{}'::jsonb $$});
workflow('held', 'pay', Hold => { Type => 'Task', Resource => 'sql:public.hold.waitForTaskToken', Parameters => { 'token.$' => '$$.Task.Token' }, ResultPath => undef, Next => 'Book' });
sub answer { poll_until($node, 'SELECT count(*) FROM held', '1'); return sql("WITH t AS (DELETE FROM held RETURNING token) SELECT saga.send_task_success(token, '{}') FROM t") }

faults(lost('kept'));
$id = start('held', 'kept');
answer();
is(ends($id), $unknown, 'nobody knows of it');
my $heir = redrive($id, 1);
poll_until($node, 'SELECT count(*) FROM held', '1');
# a walk begins with the coordinator, and looks at what is a second old then
$node->append_conf('postgresql.conf', join('', map { "pg_saga.${_}_retention = '1s'\n" } qw(execution dead_letter outbox)));
poll_until($node, "SELECT now() > failed_at + interval '1500 ms' FROM saga.dead_letter WHERE message_id = '$id'", 't');
$node->restart;
poll_until($node, "SELECT (SELECT count(*) FROM saga.dead_letter WHERE message_id = '$id') + (SELECT count(*) FROM saga.execution WHERE execution_id = '$id')", '0');
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE request->'Body'->>'number' = 'once'", '0');
# once more, as its execution may have gone after that; another record tells when
sql("INSERT INTO saga.outbox (destination_id, outbox_id, op, state, idempotency_key, created_at, finished_at, request)
	SELECT destination_id, '01800000-0000-7000-8000-000000000001', 'p', 'failed', '01800000-0000-7000-8000-000000000001', created_at, created_at, request FROM saga.outbox WHERE execution_id = '$id'");
$node->restart;
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE outbox_id = '01800000-0000-7000-8000-000000000001'", '0');
is(heir_of($id), $heir, 'its record stays when it and its dead letter go');
$node->append_conf('postgresql.conf', join('', map { "pg_saga.${_}_retention = 0\n" } qw(execution dead_letter outbox)));
$node->reload;
answer();
is(ends($heir), 'SUCCEEDED', 'and the one that was started for it comes to the call');
is(posted('kept'), 1, 'which was done once');

$node->stop;
done_testing();
