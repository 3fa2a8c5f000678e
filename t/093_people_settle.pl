# What an execution has left when it ended: it is not forgotten, not done once more, and undone when a person
# says that it is there.
use strict;
use warnings;

use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT error sql);

my $json = JSON::PP->new->canonical->allow_nonref;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $node = new_saga_node('main', 'pg_saga.workers = 2');
create_extensions($node);
my $server = start_accounting();

sql(<<'SQL');
CREATE FUNCTION refuse(jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM saga.fail('NotWanted', 'on purpose'); RETURN NULL; END $$;
CREATE FUNCTION nothing(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE TABLE handled (input jsonb, context jsonb);
CREATE TABLE mended (number text);
CREATE FUNCTION handle(input jsonb, context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO handled VALUES (input, context);
	IF NOT EXISTS (SELECT FROM mended WHERE number = input->'input'->'RequestBody'->>'number') THEN
		RETURN saga.failure('NotMended', 'its handler fails');
	END IF;
	RETURN '{}'; END $$;
SQL

my $settings = $json->encode({
	url => $server->url('/v1/invoices'), allow_private => $true, timeout_ms => 30000, base_ms => 20, cap_ms => 100, max_attempts => 1,
	idempotency => { ttl_s => 1 }, capture => { remote_id => 'id' }, compensate => { url => '/v1/invoices/{remote_id}/void' } });
sql("SELECT saga.create_destination('blind', 'http', \$s\$$settings\$s\$)");

sub book
{
	my (%more) = @_;
	return { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Compensate => 'Undo', ResultPath => '$.booked',
		Parameters => { ApiEndpoint => 'saga:blind', Method => 'POST', 'RequestBody.$' => '$.invoice' }, %more };
}

my $void = { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Parameters => { ApiEndpoint => 'saga:blind',
	Operation => 'compensate', 'RequestBody.$' => '$.input.RequestBody', 'Captured.$' => '$.output.Captured' } };
my $handle = { Type => 'Task', Resource => 'sql:public.handle' };
my %refuse = (Refuse => { Type => 'Task', Resource => 'sql:public.refuse', End => $true });

sub workflow
{
	my ($name, $states, $start) = @_;
	my $definition = $json->encode({ StartAt => $start // 'Book', States => $states });
	sql("SELECT saga.create_workflow('$name', \$d\$$definition\$d\$)");
	return;
}

sub start
{
	my ($workflow, $name) = @_;
	return sql("SELECT saga.start_execution('$workflow', '{\"invoice\": {\"number\": \"$name\", \"currency\": \"EUR\", \"seller\": \"S\", \"buyer\": \"B\",
		\"total\": \"1.19\", \"tax\": \"0.19\", \"lines\": [{\"amount\": \"1.00\"}]}}', '$name')");
}

sub books
{
	my ($number) = @_;
	my ($book) = grep { $_->{number} eq $number } @{ $server->audit->{numbers} };
	return $book ? "$book->{posted}/$book->{voided}" : '0/0';
}

sub listed
{
	return sql("SELECT concat_ws(' ', status, (SELECT string_agg(concat_ws(' ', x->>'state', x->>'outcome', x->>'reason', x->>'handler'), ',')
		FROM jsonb_array_elements(not_compensated) x), (SELECT string_agg('letter ' || reason, ',') FROM saga.dead_letters d WHERE d.message_id = e.execution_id))
		FROM saga.executions e WHERE name = '$_[0]'");
}

# with what the server has: posted/voided
sub ended
{
	my ($name) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE name = '$name'", 't');
	return listed($name) . ' ' . books($name);
}

sub becomes
{
	my ($name, $expected, $what) = @_;
	my $is = wait_until(sub { listed($name) . ' ' . books($name) eq $expected });
	return is($is ? $expected : listed($name) . ' ' . books($name), $expected, $what);
}

sub message { return sql("SELECT outbox_id FROM saga.outbox WHERE request->'Body'->>'number' = '$_[0]' AND NOT compensate ORDER BY created_at LIMIT 1") }
sub settle { my ($name, $outcome, @output) = @_; return error("SELECT saga.settle('" . message($name) . "'::uuid, '$outcome'" . (@output ? ", '$output[0]'" : '') . ')') }
sub letter { return sql("SELECT dead_letter_id FROM saga.dead_letters d JOIN saga.executions e ON e.execution_id = d.message_id WHERE e.name = '$_[0]'") }
sub redrive { my ($name, $force) = @_; return error("SELECT saga." . ($force ? 'redrive_anew' : 'redrive') . "('" . letter($name) . "'::uuid" . ($force ? ', force => true' : '') . ')') }
sub children { return sql("SELECT string_agg(concat_ws(' ', c.status, c.error, w.owner), ',' ORDER BY c.started_at) FROM saga.executions c
	JOIN saga.executions e ON e.execution_id = c.parent_id JOIN saga.workflow w ON w.workflow_id = c.workflow_id AND w.workflow_id = e.workflow_id
		AND c.version = e.version WHERE e.name = '$_[0]'") }

my @lost = map { { number => $_, method => 'POST', path => '/v1/invoices', action => 'drop_after', attempt => 1 } }
  qw(said output twice caught closed large kept);
$server->faults({ modes => { duplicate => 'allow' }, rules => \@lost });

# ---------- done, and not undone ----------

workflow('fails', { Book => book(Next => 'Refuse'), %refuse, Undo => $handle });
start('fails', 'stands');
is(ended('stands'), 'FAILED Book done NotMended Undo letter Saga.CompensationFailed 1/0', 'a handler has failed');
like(redrive('stands'), qr/has left something that was not undone/, 'what stands is not done once more');
my ($rc, $out, $err) = $node->psql('postgres', "SELECT saga.redrive('fails')");
is("$rc $out", '0 0', 'in bulk it is passed over');
like($err, qr/1 dead letter of queue "fails" cannot be redriven/, 'and counted');
is(books('stands'), '1/0', 'nothing was done');
sql("INSERT INTO mended VALUES ('stands')");
is(settle('stands', 'done'), '', 'a person has mended the handler, and asks for it');
becomes('stands', 'FAILED letter NotWanted 1/0', 'when it has succeeded the entry goes');
is(sql("SELECT count(DISTINCT concat_ws(' ', input->'input', input->'output'->'Captured', input->'error', context->'Execution'->>'Name', context->'Execution'->>'Id'))
	|| ' ' || count(*) FROM handled WHERE input->'output'->'Captured'->>'remote_id' IS NOT NULL"), '1 2', 'it is told what it was told before');
like(settle('stands', 'done'), qr/is known already/, 'it is not undone twice');
is(redrive('stands'), '', 'now it may be done once more');
wait_until(sub { books('stands') eq '2/0' });
is(books('stands'), '2/0', 'which is another request');
is(sql("SELECT count(*) = count(DISTINCT idempotency_key) AND count(*) = 2 FROM saga.outbox WHERE request->'Body'->>'number' = 'stands'"), 't', 'under a key of its own');

# without a message
workflow('local', { Book => { Type => 'Task', Resource => 'sql:public.nothing', ResultPath => undef, Compensate => 'Undo', Next => 'Refuse' }, %refuse,
	Undo => { Type => 'Task', Resource => 'sql:public.refuse' } });
my $id = start('local', 'local');
is(ended('local'), 'FAILED Book done NotWanted Undo letter Saga.CompensationFailed 0/0', 'a step has no message');
like(redrive('local'), qr/has left something/, 'it is not redriven either');
like(error("SELECT saga.settle('$id'::uuid, 'done')"), qr/only "no_effect" can be said/, 'of an execution nothing else is said');
is(error("SELECT saga.settle('$id'::uuid, 'no_effect')"), '', 'a person has undone it');
is(ended('local'), 'FAILED letter NotWanted 0/0', 'and the entry goes');

# ---------- closed ----------

start('fails', 'closed');
is(ended('closed'), 'FAILED Book unknown Saga.Uncertain letter Saga.CompensationFailed 1/0', 'nobody knows');
like(redrive('closed'), qr/that nobody knows of/, 'it is not redriven');
is(redrive('closed', 1), '', 'but by force');
wait_until(sub { books('closed') eq '2/0' });
is(sql("SELECT x->>'outcome' || ' ' || (x->>'closed') FROM saga.executions, jsonb_array_elements(not_compensated) x WHERE name = 'closed'"), 'unknown true', 'its entry is closed');
like(settle('closed', $_), qr/is known already/, "and not settled any more: $_") foreach qw(done no_effect);
start('fails', 'forced');
is(ended('forced'), 'FAILED Book done NotMended Undo letter Saga.CompensationFailed 1/0', 'one that stands');
is(redrive('forced', 1), '', 'too');
is(sql("SELECT x->>'outcome' || ' ' || (x->>'closed') FROM saga.executions, jsonb_array_elements(not_compensated) x WHERE name = 'forced'"), 'unknown true', 'is unknown then');

# ---------- undone after the end ----------

workflow('voids', { Book => book(End => $true), Undo => $void });
my $owed = 'FAILED Book unknown Saga.Uncertain letter Saga.CompensationFailed 1/0';
start('voids', 'said');
is(ended('said'), $owed, 'nobody knows');
is(settle('said', 'done'), '', 'said without its answer');
poll_until($node, "SELECT count(*) FROM saga.executions c JOIN saga.executions e ON e.execution_id = c.parent_id WHERE e.name = 'said' AND c.status = 'FAILED'", '1');
poll_until($node, "SELECT not_compensated @? '\$[*].undoing' FROM saga.executions WHERE name = 'said'", 'f');
like(ended('said'), qr/^FAILED Book done \S+ Undo letter Saga.CompensationFailed 1\/0$/, 'the handler has failed: the entry says so');
is(sql("SELECT count(*) FROM saga.dead_letters d JOIN saga.executions c ON c.execution_id = d.message_id WHERE c.parent_id IS NOT NULL"), '0', 'in one dead letter');
like(redrive('said'), qr/has left something/, 'which is not redriven');

sub remote_id { return $json->decode(HTTP::Tiny->new->get($server->url("/v1/invoices?number=$_[0]&seller=S"))->{content})->{invoices}[0]{id} }
sub answer { return $json->encode({ StatusCode => 201, Captured => { remote_id => remote_id($_[0]) } }) }
sub undoing { return sql("SELECT x->>'undoing' FROM saga.executions, jsonb_array_elements(not_compensated) x WHERE name = '$_[0]'") }
is(settle('said', 'done', answer('said')), '', 'said with its answer');
becomes('said', 'FAILED letter Saga.Uncertain 1/1', 'it is undone, and the entry goes');
is(children('said'), 'FAILED States.Runtime postgres,SUCCEEDED postgres', 'each time by an execution of its own, of the same workflow and version');
is(sql("SELECT string_agg(type, ' ' ORDER BY event_id) FROM saga.execution_history h JOIN saga.executions c USING (execution_id)
	JOIN saga.executions e ON e.execution_id = c.parent_id WHERE e.name = 'said' AND c.status = 'SUCCEEDED' AND type LIKE '%Compensation%' OR type LIKE 'Execution%'
	AND e.name = 'said' AND c.status = 'SUCCEEDED'"), 'ExecutionStarted CompensationStarted CompensationSucceeded ExecutionSucceeded', 'with a history');
like(settle('said', 'done'), qr/is known already/, 'and not twice');

# one at a time
start('voids', 'twice');
is(ended('twice'), $owed, 'nobody knows');
sql("SELECT saga.pause_destination('blind')");
is(settle('twice', 'done', answer('twice')), '', 'said while its handler cannot run');
like(settle('twice', $_), qr/is known already/, "said again: $_") foreach qw(done no_effect);
like(redrive('twice', 1), qr/is being undone/, 'nor is it redriven meanwhile');
sql("SELECT saga.stop_execution('" . undoing('twice') . "', compensate => false)");
poll_until($node, "SELECT not_compensated @? '\$[*].undoing' FROM saga.executions WHERE name = 'twice'", 'f');
is(ended('twice'), 'FAILED Book unknown Saga.Stopped Undo letter Saga.CompensationFailed 1/0', 'stopped, it may have been undone');
is(settle('twice', 'done', answer('twice')), '', 'and is undone');
sql("SELECT saga.resume_destination('blind')");
becomes('twice', 'FAILED letter Saga.Uncertain 1/1', 'once');
is(sql("SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM saga.outbox WHERE compensate AND request::text LIKE '%\"twice\"%'"), '2 1', 'under the same key');

# beside a success
workflow('catches', { Book => book(End => $true, Catch => [ { ErrorEquals => ['States.ALL'], Next => 'Done' } ]), Done => { Type => 'Succeed' }, Undo => $void });
start('catches', 'caught');
is(ended('caught'), 'SUCCEEDED Book unknown Saga.Uncertain letter Saga.CompensationFailed 1/0', 'beside a success');
is(settle('caught', 'done', answer('caught')), '', 'it is said');
becomes('caught', 'SUCCEEDED 1/1', 'and undone, and nothing is left to tell');

# by somebody who only operates it
sql("CREATE ROLE operator LOGIN; SELECT saga.grant('workflow', 'voids', 'operator', 'operate'); GRANT USAGE ON SCHEMA saga TO operator;
	GRANT EXECUTE ON FUNCTION saga.settle(uuid, text, jsonb) TO operator");
start('voids', 'output');
is(ended('output'), $owed, 'nobody knows');
is(error("SET ROLE operator; SELECT saga.settle('" . message('output') . "'::uuid, 'done', '" . answer('output') . "')"), '', 'an operator says it');
becomes('output', 'FAILED letter Saga.Uncertain 1/1', 'and the owner undoes it');
is(children('output'), 'SUCCEEDED postgres', 'as the owner');

# what it has left is kept of long ones too
sql("SELECT saga.start_execution('voids', jsonb_build_object('pad', repeat('x', 1200000), 'invoice', '{\"number\": \"large\", \"currency\": \"EUR\", \"seller\": \"S\",
	\"buyer\": \"B\", \"total\": \"1.19\", \"tax\": \"0.19\", \"lines\": [{\"amount\": \"1.00\"}]}'::jsonb), 'large')");
is(ended('large'), $owed, 'a long one says what it has left');
is(settle('large', 'done', answer('large')), '', 'and what its handler needs');
becomes('large', 'FAILED letter Saga.Uncertain 1/1', 'is there');

# ---------- all of a destination ----------

my $lookup = { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]', capture => { remote_id => 'invoices[0].id' }, delay_ms => 100 };
sub service
{
	my ($name, %more) = @_;
	my $text = $json->encode({ url => $server->url('/v1/invoices'), allow_private => $true, timeout_ms => 30000, base_ms => 20, cap_ms => 100,
		max_attempts => 1, idempotency => { ttl_s => 1 }, capture => { remote_id => 'id' }, compensate => { url => '/v1/invoices/{remote_id}/void' }, %more });
	sql("SELECT saga.create_destination('$name', 'http', \$s\$$text\$s\$)");
	return;
}

sub booked_at { my ($at, %more) = @_; return book(Parameters => { ApiEndpoint => "saga:$at", Method => 'POST', 'RequestBody.$' => '$.invoice' }, %more) }
sub undo_at { return { %$void, Parameters => { %{ $void->{Parameters} }, ApiEndpoint => "saga:$_[0]" } } }
sub all_of { my ($at, $outcome) = @_; return sql("SELECT saga.settle('$at', '$outcome', now())") }
sub listed_names { return sql("SELECT string_agg(name, ',' ORDER BY name) FROM saga.executions WHERE name LIKE '$_[0]%' AND not_compensated IS NOT NULL") // '' }

# nobody knew of them, as their time was over while the look-up could not be asked
service('day', lookup => $lookup, settle => { deadline_s => 1 });
workflow('day', { Book => booked_at('day', End => $true), Undo => undo_at('day') });
$server->faults({ modes => { duplicate => 'allow' }, rules => [
	(map { { number => "day$_", method => 'POST', path => '/v1/invoices', action => ($_ == 3 ? 'drop_before' : 'drop_after'), attempt => 1 } } 1 .. 4),
	{ method => 'GET', path => '/v1/invoices', action => 'status', status => 500 } ] });
start('day', "day$_") foreach 1 .. 4;
poll_until($node, "SELECT count(*) FROM saga.executions WHERE name LIKE 'day%' AND not_compensated IS NOT NULL", '4');
$server->faults({ modes => { duplicate => 'allow' }, rules => [] });
is(sql("SELECT saga.settle('day', 'ask', now() - interval '1 hour')"), '0', 'none before that time');
like(error("SELECT saga.settle('day', 'done', now())"), qr/Of all calls of a destination it is "ask", "no_effect" or "unknown"/, 'of all it is not said that they were done');
is(settle('day4', 'no_effect'), '', 'of one a person has found out');
is(all_of('day', 'ask'), '3', 'of the others it is asked anew');
is(all_of('day', 'ask'), '0', 'once');
becomes('day1', 'FAILED letter Saga.Uncertain 1/1', 'what was done is undone');
becomes('day2', 'FAILED letter Saga.Uncertain 1/1', 'each');
becomes('day3', 'FAILED letter Saga.Uncertain 0/0', 'and of what was not nothing is left');
is(books('day4'), '1/0', 'what somebody has settled is not asked for');

# ---------- half is left to new work ----------

my %slow = (lookup => { %$lookup, delay_ms => 2500 });
sub given_up
{
	my ($name, $number, @rules) = @_;
	workflow($name, { Book => booked_at($name, TimeoutSeconds => 1, End => $true), Undo => undo_at($name) });
	$server->faults({ modes => { duplicate => 'allow' }, rules => [ @rules,
		map { { number => "$name$_", method => 'POST', path => '/v1/invoices', action => 'drop_after', attempt => 1 } } 1 .. $number ] });
	start($name, "$name$_") foreach 1 .. $number;
	return;
}

sub asked_at { my ($name) = @_; return grep { $_->{method} eq 'GET' && ($_->{number} // '') =~ /^$name/ } @{ $server->audit->{requests} } }

service('half', %slow, limits => { concurrency => 4 });
given_up('half', 8, { method => 'GET', path => '/v1/invoices', action => 'delay', ms => 1000, at => 'after', times => 20 });
poll_until($node, "SELECT count(*) FROM saga.executions WHERE name LIKE 'half%' AND status = 'FAILED' AND compensated = '[\"Book\"]'", '8');
my @asked = sort { $a->{at} <=> $b->{at} } asked_at('half');
my $most = 0;
foreach my $one (@asked)
{
	my $together = grep { $_->{at} <= $one->{at} && $_->{ended_at} > $one->{at} } @asked;
	$most = $together if $together > $most;
}
is(scalar(@asked), 8, 'each is asked for');
cmp_ok($most, '<=', 2, 'by half of the requests at once');

service('hour', %slow, limits => { per_hour => 12 });
given_up('hour', 4);
poll_until($node, "SELECT count(*) FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = 'hour' AND outcome_by = 'lookup'", '1');
start('hour', "new$_") foreach 1 .. 5;
poll_until($node, "SELECT count(*) FROM saga.executions WHERE name LIKE 'new%' AND status = 'SUCCEEDED'", '5');
is(scalar(asked_at('hour')), 1, 'and of the rates');
is(all_of('hour', 'unknown'), '3', 'the others wait');
poll_until($node, "SELECT count(*) FROM saga.executions WHERE name LIKE 'hour%' AND not_compensated IS NOT NULL", '3');
is(all_of('hour', 'no_effect'), '3', 'and are settled when they have ended');

# executions wait
service('wait', lookup => { %$lookup, delay_ms => 600000 });
workflow('wait', { Book => booked_at('wait', TimeoutSeconds => 1, End => $true), Undo => undo_at('wait') });
$server->faults({ modes => { duplicate => 'allow' }, rules => [
	map { { number => "wait$_", method => 'POST', path => '/v1/invoices', action => 'drop_after', attempt => 1 } } 1 .. 6 ] });
start('wait', "wait$_") foreach 1 .. 2;
poll_until($node, 'SELECT messages FROM saga.in_doubt WHERE destination = \'wait\'', '2');
is(all_of('wait', 'unknown'), '2', 'that nobody will know');
becomes($_, 'FAILED Book unknown Saga.Uncertain letter Saga.CompensationFailed 1/0', "ends the waiting of $_") foreach 'wait1', 'wait2';
start('wait', "wait$_") foreach 3 .. 4;
poll_until($node, 'SELECT messages FROM saga.in_doubt WHERE destination = \'wait\'', '2');
is(sql("SELECT saga.settle('wait', 'no_effect', '2999-01-01')"), '4', 'that nothing was done, of those and of the others; the time is a literal');
becomes($_, 'FAILED letter States.Timeout 1/0', "leaves nothing of $_") foreach 'wait1', 'wait2';
becomes($_, 'FAILED letter States.Timeout 1/0', "and nothing of $_") foreach 'wait3', 'wait4';
like(error("SET ROLE operator; SELECT saga.settle('postgres.wait', 'unknown', now())"), qr/permission denied|does not exist/, 'others may not');

# ---------- a destination is dropped ----------

start('wait', "wait$_") foreach 5 .. 6;
poll_until($node, 'SELECT messages FROM saga.in_doubt WHERE destination = \'wait\'', '2');
like(error("SELECT saga.drop_destination('wait')"), qr/has calls that have not been undone, or that nobody knows of/, 'a destination with calls in doubt is not dropped');
like(error("SELECT saga.drop_destination('wait', force => false)"), qr/has calls that have not been undone/, 'without force');
is(settle('wait5', 'no_effect'), '', 'one is settled');
is(error("SELECT saga.drop_destination('wait', force => true)"), '', 'by force it is');
becomes('wait6', 'FAILED Book unknown Saga.Uncertain letter Saga.CompensationFailed 1/0', 'its calls are unknown then');
my $entry = sql("SELECT x->>'message_id' FROM saga.executions, jsonb_array_elements(not_compensated) x WHERE name = 'wait6' AND x->>'key' IS NOT NULL");
is(error("SELECT saga.settle('$entry', 'no_effect', NULL)"), '', 'a person can settle them still');
is(listed('wait6'), 'FAILED letter States.Timeout', 'so that nothing is left');

service('gone', idempotency => { ttl_s => 1 });
workflow('gone', { Book => booked_at('gone', Next => 'Refuse'), %refuse, Undo => $handle });
start('gone', 'gone');
is(ended('gone'), 'FAILED Book done NotMended Undo letter Saga.CompensationFailed 1/0', 'one of which a call stands');
like(error("SELECT saga.drop_destination('gone')"), qr/has calls that have not been undone/, 'is not dropped');
is(error("SELECT saga.drop_destination('gone', true)"), '', 'but by force');
is(ended('gone'), 'FAILED Book unknown NotMended Undo letter Saga.CompensationFailed 1/0', 'and nobody knows of it');

# ---------- kept until it is settled ----------

$server->faults({ modes => { duplicate => 'allow' }, rules => \@lost });
start('voids', 'kept');
is(ended('kept'), $owed, 'nobody knows');
start('fails', 'held');
is(ended('held'), 'FAILED Book done NotMended Undo letter Saga.CompensationFailed 1/0', 'somebody knows');
sql(<<'SQL');
CREATE FUNCTION old(uuid) RETURNS uuid LANGUAGE sql AS $$ SELECT overlay($1::text PLACING '0190' FROM 1 FOR 4)::uuid $$;
UPDATE saga.execution SET stopped_at = now() - interval '1 day', execution_id = old(execution_id), parent_id = old(parent_id),
	not_compensated = (SELECT jsonb_agg(x || jsonb_build_object('message_id', old((x->>'message_id')::uuid))) FROM jsonb_array_elements(not_compensated) x);
UPDATE saga.execution_name SET execution_id = old(execution_id);
UPDATE saga.dead_letter SET failed_at = now() - interval '1 day', dead_letter_id = old(dead_letter_id), message_id = old(message_id);
UPDATE saga.outbox SET finished_at = now() - interval '1 day', outbox_id = old(outbox_id), execution_id = old(execution_id);
SQL
$node->append_conf('postgresql.conf', "pg_saga.execution_retention = '1h'\npg_saga.dead_letter_retention = '1h'\npg_saga.outbox_retention = '1h'");
$node->reload;
poll_until($node, "SELECT string_agg(name, ',' ORDER BY name) FROM saga.executions WHERE execution_id::text LIKE '0190%'", 'gone,held,kept');
is(sql("SELECT string_agg(x->>'outcome', ',' ORDER BY name) FROM saga.executions, jsonb_array_elements(not_compensated) x WHERE name IN ('kept', 'held')"), 'done,unknown',
	'executions with an open entry are kept');
my $open = "SELECT x->>'message_id' FROM saga.executions, jsonb_array_elements(not_compensated) x WHERE NOT x ? 'closed'";
poll_until($node, "SELECT count(*) FROM saga.dead_letters d WHERE dead_letter_id::text LIKE '0190%'
	AND NOT EXISTS (SELECT FROM saga.executions e WHERE e.execution_id = d.message_id)", '0');
is(sql("SELECT count(*) FROM saga.dead_letters d JOIN saga.executions e ON e.execution_id = d.message_id WHERE name IN ('kept', 'held')"), '2', 'and their letters');
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE outbox_id::text LIKE '0190%' AND outbox_id::text NOT IN ($open)", '0');
is(settle('kept', 'no_effect'), '', 'with what is needed to settle them');
is(settle('held', 'no_effect'), '', 'which somebody does');
is(sql("SELECT count(*) FROM saga.executions WHERE name IN ('kept', 'held') AND not_compensated IS NOT NULL"), '0', 'and then nothing is open');

$node->stop;
done_testing();
