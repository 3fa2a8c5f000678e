# What becomes of a call that is given up: taken back, gone on with, found out, undone, kept, listed.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $json = JSON::PP->new->canonical;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $node = new_saga_node('main', 'pg_saga.workers = 2');
create_extensions($node);
my $server = start_accounting();

sql(<<'SQL');
CREATE FUNCTION refuse(jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM saga.fail('NotWanted', 'on purpose'); RETURN NULL; END $$;
CREATE FUNCTION nothing(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE TABLE tokens (name text, token text);
CREATE TABLE handled (input jsonb);
CREATE FUNCTION hand_out(input jsonb, context jsonb) RETURNS jsonb LANGUAGE sql AS $$
	INSERT INTO tokens VALUES (context->'Execution'->>'Name', input->>'token') RETURNING '{"handed": "out"}'::jsonb $$;
CREATE FUNCTION handle(jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO handled VALUES ($1) RETURNING '{}'::jsonb $$;
SQL

my %lookup = (lookup => { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]', capture => { remote_id => 'invoices[0].id' },
	delay_ms => 400 });
my %kinds = (
	looked_up => { %lookup },
	slow => { lookup => { %{ $lookup{lookup} }, delay_ms => 600000 } },
	keyed => { idempotency => { ttl_s => 3600 } },
	blind => { idempotency => { ttl_s => 1 } },
	person => { %lookup, settle => { by => 'person' } },
	suspected => { idempotency => { ttl_s => 1 }, settle => { by => 'undo' } });
foreach my $kind (sort keys %kinds)
{
	my $text = $json->encode({
		url => $server->url('/v1/invoices'), allow_private => $true, timeout_ms => 8000, base_ms => 20, cap_ms => 100, max_attempts => 1,
		capture => { remote_id => 'id' }, compensate => { url => '/v1/invoices/{remote_id}/void' }, %{ $kinds{$kind} } });
	sql("SELECT saga.create_destination('$kind', 'http', \$s\$$text\$s\$)");
}

sub rule { my ($number, %more) = @_; return { number => $number, method => 'POST', path => '/v1/invoices', %more } }
# Late: its effect comes at once, its answer later than the state waits for it.
sub late { return rule($_[0], action => 'delay', ms => 3000, at => 'after', times => 1) }
sub lost { return rule($_[0], action => 'drop_after', attempt => $_[1] // 1) }

my %refuse = (Refuse => { Type => 'Task', Resource => 'sql:public.refuse', End => $true });
my %done = (Done => { Type => 'Succeed' });

sub book
{
	my ($kind, %more) = @_;
	my %state = (Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Compensate => 'Void', ResultPath => '$.booked',
		Parameters => { ApiEndpoint => "saga:$kind", Method => 'POST', 'RequestBody.$' => '$.invoice' }, End => $true, %more);
	delete @state{ grep { !defined $state{$_} } keys %state };
	return { %state };
}

sub void
{
	my ($kind) = @_;
	return { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Parameters => { ApiEndpoint => "saga:$kind",
		Operation => 'compensate', 'RequestBody.$' => '$.input.RequestBody', 'Captured.$' => '$.output.Captured' } };
}

sub start
{
	my ($name, $kind, $first, %states) = @_;
	$states{Void} = void($kind) if !$states{Void} && grep { ($_->{Compensate} // '') eq 'Void' } $first, values %states;
	my $definition = $json->encode({ StartAt => 'Book', States => { Book => $first, %states } });
	sql("SELECT saga.create_workflow('$name', \$d\$$definition\$d\$)");
	return sql("SELECT saga.start_execution('$name', '{\"invoice\": {\"number\": \"$name\", \"currency\": \"EUR\", \"seller\": \"S\", \"buyer\": \"B\",
		\"total\": \"1.19\", \"tax\": \"0.19\", \"lines\": [{\"amount\": \"1.00\"}]}}', '$name')");
}

sub books
{
	my ($number) = @_;
	my ($book) = grep { $_->{number} eq $number } @{ $server->audit->{numbers} };
	return $book ? "$book->{posted}/$book->{voided}" : '0/0';
}

# Status, what was undone, what is listed, and what the server has: posted/voided.
sub ended
{
	my ($name) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE name = '$name'", 't');
	return sql("SELECT concat_ws(' ', status, error, 'undone ' || (SELECT string_agg(x, ',') FROM jsonb_array_elements_text(compensated) x),
		(SELECT string_agg(concat_ws(' ', 'listed', x->>'state', x->>'outcome', x->>'reason', x->>'handler'), ',') FROM jsonb_array_elements(not_compensated) x))
		FROM saga.executions WHERE name = '$name'") . ' ' . books($name);
}

sub messages { return sql("SELECT count(*) FROM saga.outbox WHERE request->'Body'->>'number' = '$_[0]' AND NOT compensate") }

sub waiting_for
{
	my ($name) = @_;
	poll_until($node, "SELECT waiting_for LIKE 'outcome %' FROM saga.executions WHERE name = '$name'", 't');
	return sql("SELECT concat_ws(' ', status, waiting_for) FROM saga.executions WHERE name = '$name'");
}

my @late = (TimeoutSeconds => 1);
sub all { return (Catch => [ { ErrorEquals => ['States.ALL'], Next => $_[0], ResultPath => '$.error' } ]) }
sub named { return (Catch => [ { ErrorEquals => ['Saga.Uncertain'], Next => $_[0], ResultPath => '$.error' } ]) }
sub retry { return (Retry => [ { ErrorEquals => [ $_[0] ], IntervalSeconds => 1, MaxAttempts => 3 } ]) }

$server->faults({ modes => { duplicate => 'allow' }, rules => [
	(map { lost($_) } qw(said_done said_not)),
	(map { late($_) } qw(retried caught fails kept kept_fails again kept_again order resent stopped_soon stopped_late person sibling effect token)),
	rule('refused', action => 'status', status => 403, attempt => 1),
	(map { lost($_) } qw(blind_all blind_caught suspected looked_up keyed wanted)),
	lost('blind_named'),
	rule('not_there', action => 'drop_before', attempt => 1) ] });

# ---------- never left ----------

sql("SELECT saga.pause_destination('looked_up')");
start(taken_back => 'looked_up', book('looked_up', @late, retry('States.Timeout')));
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE request->'Body'->>'number' = 'taken_back' AND state = 'withdrawn'", '1');
is(sql("SELECT string_agg(outcome, ',') FROM saga.outbox WHERE request->'Body'->>'number' = 'taken_back' AND state = 'withdrawn'"), 'never_left',
	'what never left is taken back');
start(never_left => 'looked_up', book('looked_up', @late, all('Done')), %done);
is(ended('never_left'), 'SUCCEEDED 0/0', 'and leaves nothing to wait for');
sql("SELECT saga.resume_destination('looked_up')");
is(ended('taken_back'), 'SUCCEEDED 1/0', 'the next try is another request');

# ---------- gone on with ----------

start(retried => 'looked_up', book('looked_up', @late, retry('States.Timeout')));
is(ended('retried') . ' ' . messages('retried'), 'SUCCEEDED 1/0 1', 'a retry after a time-out in flight goes on with the same message');
start(wanted => 'keyed', book('keyed', retry('States.ALL')));
is(ended('wanted') . ' ' . messages('wanted'), 'SUCCEEDED 1/0 1', 'so does one after a lost answer');
start(blind_all => 'blind', book('blind', retry('States.ALL')));
is(ended('blind_all'), 'FAILED Saga.Uncertain listed Book unknown Saga.Uncertain 1/0', 'where nobody can know, States.ALL does not');
start(blind_named => 'blind', book('blind', retry('Saga.Uncertain')));
like(ended('blind_named'), qr/^(SUCCEEDED|FAILED)/, 'who names it does');

# ---------- found out ----------

start(caught => 'looked_up', book('looked_up', @late, all('Done')), %done, Void => { %{ void('looked_up') }, Resource => 'sql:public.handle',
	Parameters => { 'all.$' => '$' } });
like(waiting_for('caught'), qr/^RUNNING outcome of Book at looked_up since /, 'an execution that owes says what it waits for');
is(ended('caught'), 'SUCCEEDED undone Book 1/0', 'found done it is undone');
is(sql("SELECT concat_ws(' ', input->'all'->'input'->'RequestBody'->>'number', input->'all'->'output'->>'StatusCode',
	input->'all'->'output'->'Captured'->>'remote_id' IS NOT NULL, input->'all'->'error'->>'Error') FROM handled"), 'caught 201 t States.Timeout',
	'with the answer that came, and what the state failed with');
start(fails => 'looked_up', book('looked_up', @late));
is(ended('fails'), 'FAILED States.Timeout undone Book 1/1', 'without a catcher, too');
start(looked_up => 'looked_up', book('looked_up'));
is(ended('looked_up'), 'SUCCEEDED 1/0', 'what is wanted is looked up by itself');
start(keyed => 'keyed', book('keyed'));
is(ended('keyed'), 'FAILED States.Http.Socket undone Book 1/1', 'what is not is found out by the same request under its key');
start(not_there => 'keyed', book('keyed'));
is(ended('not_there'), 'FAILED States.Http.Socket undone Book 1/1', 'if it takes effect only then, it is known and undone');
start(resent => 'keyed', book('keyed', @late, Compensate => undef));
is(ended('resent') . ' ' . messages('resent'), 'FAILED States.Timeout 1/0 1', 'without Compensate it is not');
start(blind_caught => 'blind', book('blind', all('Done')), %done);
is(ended('blind_caught'), 'SUCCEEDED listed Book unknown Saga.Uncertain 1/0', 'what nobody can find out is listed beside a success');
is(sql("SELECT concat_ws(' ', reason, details->>'status') FROM saga.dead_letters d JOIN saga.executions e ON e.execution_id = d.message_id
	WHERE e.name = 'blind_caught'"), 'Saga.CompensationFailed SUCCEEDED', 'in a dead letter');
my ($rc, $out, $err) = $node->psql('postgres', "SELECT saga.redrive(dead_letter_id) FROM saga.dead_letters d JOIN saga.executions e ON e.execution_id = d.message_id
	WHERE e.name = 'blind_caught'");
like($err, qr/has succeeded and cannot be redriven/, 'which is not redriven');
start(suspected => 'suspected', book('suspected'), Void => { Type => 'Task', Resource => 'sql:public.handle', Parameters => { 'all.$' => '$' } });
is(ended('suspected'), 'FAILED Saga.Uncertain undone Book 1/0', 'where undoing does no harm it is undone on suspicion');
is(sql("SELECT input->'all'->'output' FROM handled WHERE input->'all'->'input'->'RequestBody'->>'number' = 'suspected'"), 'null', 'without an answer');

# ---------- kept ----------

start(kept => 'looked_up', book('looked_up', @late, named('Done')), %done);
is(ended('kept'), 'SUCCEEDED 1/0', 'who names the doubt keeps the call');
start(kept_fails => 'looked_up', book('looked_up', @late, named('Refuse')), %refuse);
is(ended('kept_fails'), 'FAILED NotWanted undone Book 1/1', 'until the execution fails');

# ---------- the same request again ----------

my %same = (Same => { Type => 'Pass', Parameters => { 'invoice.$' => '$.invoice' }, Next => 'Book' });
start(again => 'looked_up', book('looked_up', @late, all('Same')), %same);
is(ended('again'), 'SUCCEEDED undone Book 2/1', 'a state entered again waits until the call before is undone');
start(kept_again => 'looked_up', book('looked_up', @late, named('Same')), %same);
is(ended('kept_again'), 'SUCCEEDED 1/0', 'and takes the answer of one that is kept');

# ---------- in its place ----------

start(order => 'looked_up', { Type => 'Task', Resource => 'sql:public.nothing', Compensate => 'Nothing', ResultPath => undef, Next => 'Late' },
	Nothing => { Type => 'Task', Resource => 'sql:public.nothing' }, Late => book('looked_up', @late));
is(ended('order'), 'FAILED States.Timeout undone Late,Book 1/1', 'earlier steps are undone after it');
start(sibling => 'looked_up', { Type => 'Parallel', End => $true, Branches => [
	{ StartAt => 'Charge', States => { Charge => book('looked_up'), Void => void('looked_up') } },
	{ StartAt => 'Pause', States => { Pause => { Type => 'Wait', Seconds => 1, Next => 'Refuse' }, %refuse } } ] });
is(ended('sibling'), 'FAILED NotWanted undone Charge 1/1', 'cut by another branch');

# ---------- stopped ----------

sub in_flight { poll_until($node, "SELECT count(*) FROM saga.timer t JOIN saga.outbox o ON o.outbox_id = t.message_id
	WHERE lease IS NOT NULL AND request->'Body'->>'number' = '$_[0]'", '1') }
my $id = start(stopped_late => 'looked_up', book('looked_up'));
in_flight('stopped_late');
sql("SELECT saga.stop_execution('$id')");
is(ended('stopped_late'), 'ABORTED undone Book 1/1', 'a stop waits for what is in flight, and undoes it');
$id = start(stopped_soon => 'looked_up', { Type => 'Task', Resource => 'sql:public.nothing', Compensate => 'Nothing', ResultPath => undef, Next => 'Late' },
	Nothing => { Type => 'Task', Resource => 'sql:public.nothing' }, Late => book('looked_up'));
in_flight('stopped_soon');
sql("SELECT saga.stop_execution('$id', compensate => false)");
is(ended('stopped_soon'), 'ABORTED listed Late unknown Saga.Stopped,listed Book done Saga.Stopped 1/0', 'without compensation all is listed');
$id = start(person => 'person', book('person', @late, all('Done')), %done);
is(ended('person'), 'SUCCEEDED undone Book 1/1', 'an answer in flight is waited for also where a person settles');

# ---------- a person ----------

sub settle { return $node->psql('postgres', "SELECT saga.settle(outbox_id, '$_[1]') FROM saga.outbox WHERE request->'Body'->>'number' = '$_[0]' AND NOT compensate") }
sub errors { my ($rc, $out, $err) = settle(@_); return $err }
start(said_done => 'slow', book('slow', @late, all('Done')), %done, Void => { Type => 'Task', Resource => 'sql:public.handle', Parameters => { 'all.$' => '$' } });
waiting_for('said_done');
is(sql("SELECT concat_ws(' ', destination, messages, settled_by) FROM saga.in_doubt"), 'slow 1 lookup', 'what is being found out, for each destination');
is(errors('said_done', 'done'), '', 'a person says that it was done');
is(ended('said_done'), 'SUCCEEDED undone Book 1/0', 'and it is undone');
like(errors('said_done', 'no_effect'), qr/is known already/, 'which is not said twice');
start(said_not => 'slow', book('slow', @late, all('Done')), %done);
waiting_for('said_not');
is(errors('said_not', 'no_effect'), '', 'or that it was not');
is(ended('said_not'), 'SUCCEEDED 1/0', 'and it is forgotten');
like(errors('retried', 'done'), qr/is known already/, 'what has an answer is not for a person to say');
is(errors('blind_caught', 'done'), '', 'after the end');
poll_until($node, "SELECT not_compensated->0->>'handler' FROM saga.executions WHERE name = 'blind_caught'", 'Void');
is(ended('blind_caught'), 'SUCCEEDED listed Book done States.Runtime Void 1/0', 'its handler cannot undo it without the answer, and the entry says so');
is(errors('blind_caught', 'no_effect'), '', 'and goes when it has been undone by hand');
is(ended('blind_caught'), 'SUCCEEDED 1/0', 'so that nothing is left');
is(sql("SELECT count(*) FROM saga.dead_letters d JOIN saga.executions e ON e.execution_id = d.message_id WHERE e.name = 'blind_caught'"), '0', 'to tell');
(undef, undef, $err) = $node->psql('postgres', "SELECT saga.redrive(dead_letter_id) FROM saga.dead_letters d JOIN saga.executions e ON e.execution_id = d.message_id
	WHERE e.name = 'blind_all'");
like($err, qr/has left something that nobody knows of/, 'what nobody knows of is not done once more');
is(errors('blind_all', 'no_effect'), '', 'until somebody says');
is(sql("SELECT count(saga.redrive(dead_letter_id)) FROM saga.dead_letters d JOIN saga.executions e ON e.execution_id = d.message_id
	WHERE e.name = 'blind_all' AND reason = 'Saga.Uncertain'"), '1', 'that it was not');

# ---------- a token ----------

my $handler = { Type => 'Task', Resource => 'sql:public.handle', Parameters => { 'all.$' => '$' } };
start(step_token => 'looked_up', { Type => 'Task', Resource => 'sql:public.hand_out.waitForTaskToken', Parameters => { 'token.$' => '$$.Task.Token' },
	TimeoutSeconds => 1, Compensate => 'Void', End => $true }, Void => $handler);
is(ended('step_token'), 'FAILED States.Timeout undone Book 0/0', 'a step that hands a token out is done with its commit');
is(sql("SELECT count(*) FROM handled WHERE input->'all'->'output'->>'handed' = 'out'"), '1', 'and undone with what it said');
start(token => 'looked_up', book('looked_up', @late, Resource => 'arn:aws:states:::http:invoke.waitForTaskToken',
	Parameters => { ApiEndpoint => 'saga:looked_up', Method => 'POST', 'RequestBody.$' => '$.invoice', 'Headers' => { 'X-Token.$' => '$$.Task.Token' } }),
	Void => $handler);
waiting_for('token');
sql("SELECT saga.send_task_success(request->'Headers'->>'X-Token', '{\"told\": \"late\"}') FROM saga.outbox WHERE request->'Body'->>'number' = 'token'");
is(ended('token'), 'FAILED States.Timeout undone Book 1/0', 'a token is taken while it is found out');
is(sql("SELECT count(*) FROM handled WHERE input->'all'->'output'->>'told' = 'late'"), '1', 'and is the answer');

# ---------- effects ----------

start(effect => 'looked_up', book('looked_up', @late, Compensate => undef, all('Done')), %done);
is(ended('effect'), 'SUCCEEDED 1/0', 'a call without Compensate holds nothing up');
poll_until($node, "SELECT effects->0->>'outcome' FROM saga.executions WHERE name = 'effect'", 'done');
is(sql("SELECT concat_ws(' ', effects->0->>'state', effects->0->>'message_id' IS NOT NULL) FROM saga.executions WHERE name = 'effect'"), 'Book t',
	'its outcome is in its record');

# ---------- keys of handlers ----------

my @keys = map { $_->{key} // '' } grep { $_->{path} =~ /void/ } @{ $server->audit->{requests} };
is(scalar(keys %{ { map { $_ => 1 } @keys } }), scalar(@keys), 'each undoing has a key of its own');

$node->stop;
done_testing();
