# Calls that are given up, of other kinds than a request: tokens, published messages, SNS and SQS, handlers' own
# calls, and what is not there yet.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $json = JSON::PP->new->canonical;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $node = new_saga_node('main', 'pg_saga.workers = 2', 'pg_saga.crash_limit = 1', 'pg_saga.batch_time = 10s');
create_extensions($node);
my $server = start_accounting();

sql(<<'SQL');
CREATE FUNCTION refuse(jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM saga.fail('NotWanted', 'on purpose'); RETURN NULL; END $$;
CREATE FUNCTION nothing(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION die(jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(600); RETURN NULL; END $$;
CREATE TABLE handled (input jsonb);
CREATE FUNCTION handle(jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO handled VALUES ($1) RETURNING '{}'::jsonb $$;
SQL

my %lookup = (lookup => { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]', capture => { remote_id => 'invoices[0].id' },
	delay_ms => 400 });
my %kinds = (
	looked_up => { %lookup },
	paused => { %lookup },
	blind => { idempotency => { ttl_s => 1 } },
	patient => { max_attempts => 5, base_ms => 60000, cap_ms => 60000 },
	slow => { lookup => { %{ $lookup{lookup} }, delay_ms => 600000 } });
foreach my $kind (sort keys %kinds)
{
	my $text = $json->encode({
		url => $server->url('/v1/invoices'), allow_private => $true, timeout_ms => 30000, base_ms => 20, cap_ms => 100, max_attempts => 1,
		capture => { remote_id => 'id' }, compensate => { url => '/v1/invoices/{remote_id}/void' }, %{ $kinds{$kind} } });
	sql("SELECT saga.create_destination('$kind', 'http', \$s\$$text\$s\$)");
}
sql("SELECT saga.pause_destination('paused')");

sub rule { my ($number, %more) = @_; return { number => "^$number\$", method => 'POST', path => '/v1/invoices', %more } }
# Late: its effect comes at once, its answer after 7 seconds.
sub late { return rule($_[0], action => 'delay', ms => 7000, at => 'after', times => 1) }
sub lost { return rule($_[0], action => 'drop_after', attempt => 1) }
sub refused { return rule($_[0], action => 'status', status => 403, attempt => 1) }

my $handler = { Type => 'Task', Resource => 'sql:public.handle', Parameters => { 'all.$' => '$' } };
my %refuse = (Refuse => { Type => 'Task', Resource => 'sql:public.refuse', End => $true });
my %done = (Done => { Type => 'Succeed' });

sub task
{
	my ($resource, $parameters, %more) = @_;
	my %state = (Type => 'Task', Resource => $resource, Parameters => $parameters, Compensate => 'Undo', ResultPath => '$.called', End => $true, %more);
	delete @state{ grep { !defined $state{$_} } keys %state };
	delete $state{End} if $state{Next};
	return \%state;
}

sub publish
{
	my ($kind, %more) = @_;
	return task('saga:publish', { Destination => $kind, 'Payload.$' => '$.invoice' }, %more);
}

sub request
{
	my ($kind, %more) = @_;
	my $suffix = delete $more{suffix} // '';
	return task("arn:aws:states:::http:invoke$suffix", { ApiEndpoint => "saga:$kind", Method => 'POST', 'RequestBody.$' => '$.invoice',
		$suffix ? (Headers => { 'X-Token.$' => '$$.Task.Token' }) : () }, %more);
}

sub launch
{
	my ($name, $definition) = @_;
	my $text = $json->encode($definition);
	sql("SELECT saga.create_workflow('$name', \$d\$$text\$d\$)");
	return sql("SELECT saga.start_execution('$name', '{\"invoice\": {\"number\": \"$name\", \"currency\": \"EUR\", \"seller\": \"S\", \"buyer\": \"B\",
		\"total\": \"1.19\", \"tax\": \"0.19\", \"lines\": [{\"amount\": \"1.00\"}]}}', '$name')");
}

sub start
{
	my ($name, $first, %states) = @_;
	return launch($name, { StartAt => 'Call', States => { Call => $first, $first->{Compensate} ? (Undo => $handler) : (), %states } });
}

# How often the server has done it.
sub done
{
	my ($number) = @_;
	my ($book) = grep { $_->{number} eq $number } @{ $server->audit->{numbers} };
	return $book ? $book->{posted} : 0;
}

# Status, what was undone, what is listed, what was done.
sub ended
{
	my ($name) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE name = '$name'", 't');
	return sql("SELECT concat_ws(' ', status, error, 'undone ' || (SELECT string_agg(x, ',') FROM jsonb_array_elements_text(compensated) x),
		(SELECT string_agg(concat_ws(' ', 'listed', x->>'state', x->>'outcome', x->>'reason', x->>'handler'), ',') FROM jsonb_array_elements(not_compensated) x))
		FROM saga.executions WHERE name = '$name'") . ' ' . done($name);
}

# Of the outbox: state, what is known, and what that rests on.
sub record
{
	my ($name) = @_;
	return sql("SELECT string_agg(concat_ws(' ', state, outcome, outcome_by), ', ' ORDER BY created_at) FROM saga.outbox
		WHERE coalesce(request->'Body', request->'Payload')->>'number' = '$name' AND NOT compensate");
}

sub waiting_for
{
	my ($name) = @_;
	poll_until($node, "SELECT waiting_for LIKE 'outcome %' FROM saga.executions WHERE name = '$name'", 't');
	return sql("SELECT concat_ws(' ', status, waiting_for) FROM saga.executions WHERE name = '$name'");
}

sub given { return sql("SELECT concat_ws(' ', input->'all'->'output'->>'MessageId' IS NOT NULL, input->'all'->'error'->>'Error') FROM handled
	WHERE input->'all'->'input'->'Payload'->>'number' = '$_[0]'") }
sub letters { return sql("SELECT count(*) FROM saga.dead_letters WHERE queue LIKE 'destination/%' AND coalesce(body->'Body', body->'Payload')->>'number' = '$_[0]'") }
sub settle { return $node->psql('postgres', "SELECT saga.settle(outbox_id, '$_[1]') FROM saga.outbox WHERE request->'Body'->>'number' = '$_[0]'") }

sub in_flight { poll_until($node, "SELECT count(*) FROM saga.timer t JOIN saga.outbox o ON o.outbox_id = t.message_id
	WHERE lease IS NOT NULL AND request->'Body'->>'number' = '$_[0]'", '1') }
sub recorded { poll_until($node, "SELECT count(*) FROM saga.outbox WHERE request->'Body'->>'number' = '$_[0]' AND state = '$_[1]'", '1') }

$server->faults({ modes => { duplicate => 'allow' }, rules => [
	(map { late($_) } qw(in_flight no_token token_fails token_before heartbeat over sibling beating poison)),
	(map { lost($_) } qw(found nobody listed said)),
	(map { refused($_) } qw(refused)),
	rule('not_there', action => 'drop_before', attempt => 1) ] });

my @token = (suffix => '.waitForTaskToken');
my %caught = (Catch => [ { ErrorEquals => ['States.ALL'], ResultPath => '$.error', Next => 'Done' } ]);

sub parallel
{
	my ($kind, $function) = @_;
	return { Type => 'Parallel', End => $true, Branches => [
		{ StartAt => 'Charge', States => { Charge => request($kind), Undo => $handler } },
		{ StartAt => 'Pause', States => { Pause => { Type => 'Wait', Seconds => 1, Next => 'Refuse' },
			Refuse => { Type => 'Task', Resource => 'sql:public.' . ($function // 'refuse'), End => $true } } } ] };
}

sub limited { return { StartAt => 'Call', TimeoutSeconds => 1, States => { Call => request($_[0]), Undo => $handler } } }

# those that take their time
start(no_token => request('looked_up', @token, TimeoutSeconds => 1));
start(heartbeat => request('looked_up', TimeoutSeconds => 600, HeartbeatSeconds => 1, %caught), %done);
start(beating => request('looked_up', TimeoutSeconds => 600, HeartbeatSeconds => 1,
	Retry => [ { ErrorEquals => ['States.HeartbeatTimeout'], IntervalSeconds => 1, BackoffRate => 1, MaxAttempts => 90 } ]));
start(sibling => parallel('looked_up'));
launch(over => limited('looked_up'));

# ---------- saga:publish ----------

my @then = (Next => 'Wait');
my %wait = (Wait => { Type => 'Wait', Seconds => 3600, Next => 'Refuse' }, %refuse);

sub fail_it { sql("SELECT saga.stop_execution(execution_id, 'NotWanted') FROM saga.executions WHERE name = '$_[0]'") }

start(at_once => publish('looked_up', Next => 'Refuse'), %refuse);
is(ended('at_once'), 'FAILED NotWanted 0', 'what is published and undone in one transaction is taken back, and no handler runs');
is(record('at_once'), 'withdrawn never_left withdrawal', 'it never left');
start(paused => publish('paused', @then), %wait);
recorded('paused', 'waiting');
fail_it('paused');
is(ended('paused'), 'ABORTED NotWanted 0', 'nor of one that waited');
start(delivered => publish('looked_up', @then), %wait);
recorded('delivered', 'delivered');
fail_it('delivered');
is(ended('delivered'), 'ABORTED NotWanted undone Call 1', 'what is delivered is undone');
is(given('delivered'), 't NotWanted', 'by its handler, which has the id of the message');
start(in_flight => publish('looked_up', @then), %wait);
in_flight('in_flight');
fail_it('in_flight');
like(waiting_for('in_flight'), qr/^COMPENSATING outcome of Call at looked_up since /, 'what is in flight is waited for');
is(ended('in_flight'), 'ABORTED NotWanted undone Call 1', 'and undone');
is(given('in_flight'), 't NotWanted', 'with the same');
start(found => publish('looked_up', @then), %wait);
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE request->'Body'->>'number' = 'found' AND (uncertain OR state <> 'waiting')", '1');
fail_it('found');
is(ended('found'), 'ABORTED NotWanted undone Call 1', 'what is in doubt is looked up, and undone');
start(nobody => publish('blind', @then), %wait);
recorded('nobody', 'failed');
is(letters('nobody'), '1', 'a message that has failed is a dead letter');
fail_it('nobody');
is(ended('nobody'), 'ABORTED NotWanted listed Call unknown Saga.Uncertain 1', 'what nobody can find out is listed');
start(refused => publish('looked_up', @then), %wait);
recorded('refused', 'failed');
fail_it('refused');
is(ended('refused'), 'ABORTED NotWanted 0', 'what was refused needs no undoing');
is(letters('refused'), '0', 'and nobody sends it once more');
# nobody says anything of what is in flight
start(said => publish('slow', @then), %wait);
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE request->'Body'->>'number' = 'said' AND uncertain", '1');
fail_it('said');
waiting_for('said');
is((settle('said', 'no_effect'))[2], '', 'a person says how it went');
is(ended('said'), 'ABORTED NotWanted 1', 'and is believed');
my $id = start(killed => publish('paused', @then), %wait);
recorded('killed', 'waiting');
sql("SELECT saga.stop_execution('$id', compensate => false)");
is(ended('killed'), 'ABORTED listed Call unknown Saga.Stopped 0', 'without compensation it goes on, and whether it is there is not known');
is(record('killed'), 'waiting never_left', 'as it completed with its commit');
like((settle('killed', 'done'))[2], qr/is not in doubt/, 'nobody can say what became of what was not sent');
start(listed => publish('patient', @then), %wait);
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE request->'Body'->>'number' = 'listed' AND uncertain", '1');
$id = sql("SELECT execution_id FROM saga.executions WHERE name = 'listed'");
sql("SELECT saga.stop_execution('$id', compensate => false)");
is(ended('listed'), 'ABORTED listed Call unknown Saga.Stopped 1', 'nor is of one that is in doubt');
is((settle('listed', 'done'))[2], '', 'until somebody says it');
poll_until($node, "SELECT not_compensated IS NULL FROM saga.executions WHERE name = 'listed'", 't');
like(given('listed'), qr/^t/, 'then the handler runs, with the id of the message, and the entry goes');
start(uncompensated => publish('paused', Next => 'Refuse', Compensate => undef), %refuse);
is(ended('uncompensated'), 'FAILED NotWanted 0', 'without Compensate nothing is waited for');
is(record('uncompensated'), 'waiting never_left', 'nor taken back');

# ---------- a token is the answer of its request ----------

# What the request of an execution brought with it.
sub token { return sql("SELECT request->'Headers'->>'X-Token' FROM saga.outbox WHERE request->'Body'->>'number' = '$_[0]' ORDER BY created_at DESC LIMIT 1") }
sub send_token { my ($name, $what) = @_; my $token = token($name); return $node->psql('postgres', "SELECT saga.send_task_$what") if $what =~ s/TOKEN/'$token'/ }

start(token_paused => request('paused', @token, %caught), %done);
recorded('token_paused', 'waiting');
send_token('token_paused', "failure(TOKEN, 'Declined')");
is(ended('token_paused'), 'SUCCEEDED 0', 'a token that is failed says that nothing was done');
is(record('token_paused'), 'withdrawn no_effect token', 'and settles the request, which is not sent any more');
start(token_before => request('looked_up', @token, Next => 'Refuse'), %refuse);
in_flight('token_before');
send_token('token_before', q(success(TOKEN, '{"told": "first"}')));
is(ended('token_before'), 'FAILED NotWanted undone Call 1', 'one that succeeds completes the state, before the answer of the request');
is(sql("SELECT input->'all'->'output'->>'told' FROM handled WHERE input->'all'->'input'->'RequestBody'->>'number' = 'token_before'"), 'first',
	'and is what is undone');
is(ended('no_token'), 'FAILED States.Timeout undone Call 1', 'without a token the request counts');
is(sql("SELECT input->'all'->'output'->>'StatusCode' FROM handled WHERE input->'all'->'input'->'RequestBody'->>'number' = 'no_token'"), '201',
	'and the handler has its answer');
start(done_no_token => request('looked_up', @token, TimeoutSeconds => 2));
is(ended('done_no_token'), 'FAILED States.Timeout undone Call 1', 'also where that came long before');
start(token_never => request('paused', @token, TimeoutSeconds => 1));
is(ended('token_never'), 'FAILED States.Timeout 0', 'what never left is taken back');
like((send_token('token_never', q(success(TOKEN, '{}'))))[2], qr/does not wait any more/, 'and its token is not taken');
start(token_fails => request('looked_up', @token, TimeoutSeconds => 1));
waiting_for('token_fails');
is((send_token('token_fails', "failure(TOKEN, 'Declined')"))[2], '', 'a late token is taken while the debt is open');
is(ended('token_fails'), 'FAILED States.Timeout 1', 'and a failure is believed');
poll_until($node, "SELECT count(*) FROM saga.in_doubt", '0');
start(published_token => { %{ publish('looked_up', TimeoutSeconds => 2) }, Resource => 'saga:publish.waitForTaskToken' });
is(ended('published_token'), 'FAILED States.Timeout undone Call 1', 'a published message whose token does not come is undone');
is(given('published_token'), 't States.Timeout', 'with its id');

# ---------- how they end ----------

start(not_there => request('looked_up', Retry => [ { ErrorEquals => ['States.ALL'], IntervalSeconds => 1, MaxAttempts => 2 } ]));
is(ended('not_there'), 'SUCCEEDED 1', 'a retry of what is proved to have had no effect is sent');
is(ended('heartbeat'), 'SUCCEEDED undone Call 1', 'a heartbeat that does not come is a time-out');
is(ended('beating') . ' ' . record('beating'), 'SUCCEEDED 1 delivered done answer', 'and a retry goes on with it');

start(sibling_paused => parallel('paused'));
is(ended('sibling_paused') . ' ' . record('sibling_paused'), 'FAILED NotWanted 0 withdrawn never_left withdrawal', 'another branch fails: taken back');
is(ended('sibling'), 'FAILED NotWanted undone Charge 1', 'or undone');

launch(over_paused => limited('paused'));
is(ended('over_paused') . ' ' . record('over_paused'), 'TIMED_OUT States.Timeout 0 withdrawn never_left withdrawal', 'the execution times out: taken back');
is(ended('over'), 'TIMED_OUT States.Timeout undone Call 1', 'or undone');
foreach my $compensate ('true', 'false')
{
	$id = start("stopped_$compensate" => request('paused'));
	recorded("stopped_$compensate", 'waiting');
	sql("SELECT saga.stop_execution('$id', compensate => $compensate)");
	is(ended("stopped_$compensate") . ' ' . record("stopped_$compensate"), 'ABORTED 0 withdrawn never_left withdrawal',
		"stopped with compensate => $compensate: taken back");
}

start(poison_paused => parallel('paused', 'die'));
is(ended('poison_paused') . ' ' . record('poison_paused'), 'FAILED Saga.WorkerCrashed 0 withdrawn never_left withdrawal',
	'a step that ends its worker again and again: taken back');
start(poison => parallel('looked_up', 'die'));
is(ended('poison'), 'FAILED Saga.WorkerCrashed undone Charge 1', 'or undone');
start(poison_handler => request('looked_up', Next => 'Other'), Other => publish('paused', Next => 'Refuse', Compensate => undef), %refuse,
	Undo => { Type => 'Task', Resource => 'sql:public.die' });
is(ended('poison_handler'), 'FAILED Saga.WorkerCrashed listed Call done Saga.WorkerCrashed 1', 'a handler that does is given up, and what it has not undone is listed');

# ---------- SNS and SQS ----------

my $key_id = 'AKIDSAGA';
my $secret = 'secret';
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/credentials", "[default]\naws_access_key_id = $key_id\naws_secret_access_key = $secret\n");
my $aws = start_fauxqs();
my %upstream = (args => [ '--upstream', $aws->url, '--key-id', $key_id, '--secret', $secret ]);
my $sns = Saga::Server->start('sns_proxy', %upstream);
my $sqs = Saga::Server->start('sns_proxy', %upstream);
my $topic = $aws->setup('topic', 'subscriber');
my %service = (
	sns => { proxy => $sns, url => $topic->{queue_url}, settings => { topic_arn => $topic->{topic_arn} },
		task => sub { task('arn:aws:states:::sns:publish', { TopicArn => $topic->{topic_arn}, 'Message.$' => '$.invoice.number' }, @_) } },
	sqs => { proxy => $sqs, url => $aws->queue('queue', 300), settings => { region => 'us-east-1' } });
$service{sqs}{settings}{queue_url} = $service{sqs}{url};
$service{sqs}{task} = sub { task('arn:aws:states:::sqs:sendMessage', { QueueUrl => $service{sqs}{url}, 'MessageBody.$' => '$.invoice.number' }, @_) };
foreach my $kind ('sns', 'sqs')
{
	my $service = $service{$kind};
	my $settings = $json->encode({ endpoint_url => $service->{proxy}->url, allow_private => $true, base_ms => 20, cap_ms => 100, max_attempts => 1,
		credentials => { file => "$dir/credentials" }, %{ $service->{settings} } });
	sql("SELECT saga.create_destination('$kind', '$kind', '$settings')");
	$service->{proxy}->request('POST', '/_faults', [ { action => 'drop_after', times => 1 } ]);
	start("${kind}_lost" => $service->{task}->());
	my $error = uc($kind) . '.SdkClientException';
	is(ended("${kind}_lost"), "FAILED $error undone Call 0", "$kind: a message that may be there is undone on suspicion");
	is(sql("SELECT concat_ws(' ', input->'all'->'output', input->'all'->'error'->>'Error') FROM handled
		WHERE coalesce(input->'all'->'input'->>'Message', input->'all'->'input'->>'MessageBody') = '${kind}_lost'"), "null $error", "$kind: without an answer");
	$service->{proxy}->request('POST', '/_faults', [ { action => 'drop_after', times => 1 } ]);
	start("${kind}_wanted" => $service->{task}->(Retry => [ { ErrorEquals => ['States.ALL'], IntervalSeconds => 1, MaxAttempts => 2 } ]));
	is(ended("${kind}_wanted"), 'SUCCEEDED 0', "$kind: while it is wanted it is sent again");
	my %ids = map { $_->{attributes}{'saga-message-id'} => 1 } grep { $_->{body} eq "${kind}_wanted" } $aws->receive($service->{url});
	is(scalar(keys %ids), 1, "$kind: with the same id");
	sql("SELECT saga.pause_destination('$kind')");
	start("${kind}_paused" => $service->{task}->(TimeoutSeconds => 1));
	is(ended("${kind}_paused"), 'FAILED States.Timeout 0', "$kind: what never left is taken back");
}

# ---------- a handler's own call ----------

my @void = ('arn:aws:states:::http:invoke', { ApiEndpoint => 'saga:looked_up', Operation => 'compensate', 'RequestBody.$' => '$.input.RequestBody',
	'Captured.$' => '$.output.Captured' }, Compensate => undef, ResultPath => undef, End => undef);
sub undoing { return [ map { $_->{key} } grep { $_->{path} =~ /void/ } @{ $server->audit->{requests} } ] }
$server->faults({ modes => { duplicate => 'allow' }, rules => [ { method => 'POST', path => '/void$/', action => 'drop_after', times => 1 } ] });
start(handler_lost => request('looked_up', Next => 'Refuse'), %refuse, Undo => task(@void));
is(ended('handler_lost'), 'FAILED NotWanted listed Call unknown States.Http.Socket Undo 1', "a handler that fails in doubt: the entry says that it may have been undone");
my $before = @{ undoing() };
$server->faults({ modes => { duplicate => 'allow' }, rules => [ { method => 'POST', path => '/void$/', action => 'drop_before', times => 1 } ] });
start(handler_retried => request('looked_up', Next => 'Refuse'), %refuse,
	Undo => task(@void, Retry => [ { ErrorEquals => ['States.ALL'], IntervalSeconds => 1, MaxAttempts => 2 } ]));
is(ended('handler_retried'), 'FAILED NotWanted undone Call 1', 'its call is wanted: a retry goes on with it');
my @keys = @{ undoing() };
splice(@keys, 0, $before);
is(scalar(@keys) . ' ' . scalar(keys %{ { map { $_ => 1 } @keys } }), '2 1', 'under the same key');
start(handler_publishes => request('looked_up', Next => 'Refuse'), %refuse,
	Undo => { Type => 'Task', Resource => 'saga:publish', Parameters => { Destination => 'paused', 'Payload.$' => '$.input.RequestBody' } });
is(ended('handler_publishes'), 'FAILED NotWanted undone Call 1', 'one that publishes has done it with its commit');

# ---------- what is not there ----------

start(no_activity => request('looked_up', Next => 'Other'),
	Other => task('arn:aws:states:us-east-1:123456789012:activity:work', { Input => {} }, Catch => [ { ErrorEquals => ['States.ALL'], Next => 'Done' } ]), %done);
is(ended('no_activity'), 'FAILED States.Runtime undone Call 1', "an activity that is not there is no step's failure, and undoes those before");

$node->stop;
done_testing();
