# Calls that are done, and of whose answer nothing can be made: none is made again, whatever Retry says, and each is
# undone, kept or listed.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $json = JSON::PP->new->canonical;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $dir = File::Temp->newdir('saga-taken-XXXXXX', TMPDIR => 1);
my $node = new_saga_node('main', 'pg_saga.workers = 2');
create_extensions($node);
my $server = start_accounting();
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');

sql(<<'SQL');
CREATE TABLE worked (number text, undone boolean, token text);
CREATE FUNCTION work(jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO worked VALUES ($1->>'number', false, $1->>'token') RETURNING '{"id": "x"}'::jsonb $$;
CREATE FUNCTION much(jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO worked VALUES ($1->>'number', false) RETURNING jsonb_build_object('id', repeat('x', 300000)) $$;
CREATE FUNCTION undo(jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO worked VALUES (coalesce($1#>>'{input,number}', $1#>>'{input,Payload,number}'), true) RETURNING '{}'::jsonb $$;
CREATE FUNCTION refuse(jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM saga.fail('NotWanted', 'on purpose'); RETURN NULL; END $$;
SQL

$server->faults({ modes => { duplicate => 'allow', idempotency => 'none' }, rules => [] });
foreach my $name (qw(books paused))
{
	my $text = $json->encode({ url => $server->url('/v1/invoices'), allow_private => $true, idempotency => { in => 'none' },
		capture => { remote_id => 'id' }, compensate => { url => '/v1/invoices/{remote_id}/void' } });
	sql("SELECT saga.create_destination('$name', 'http', \$s\$$text\$s\$)");
}
sql("SELECT saga.pause_destination('paused')");
my $large = $json->encode({ url => $raw->url('/answer'), allow_private => $true, request => { body => 'message' }, idempotency => { in => 'none' } });
sql("SELECT saga.create_destination('large', 'http', \$s\$$large\$s\$)");

my @names = qw(States.DataLimitExceeded States.Runtime States.IntrinsicFailure States.ResultPathMatchFailure);
my @retry = (Retry => [ map { { ErrorEquals => $_, IntervalSeconds => 1, MaxAttempts => 2 } } [@names], ['States.ALL'] ]);
my %selector = (ResultSelector => { 'x.$' => "States.StringToJson('{')" });
my %void = (Undo => { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Parameters => { ApiEndpoint => 'saga:books', Operation => 'compensate',
	'RequestBody.$' => '$.input.RequestBody', 'Captured.$' => '$.output.Captured' } });
my %undo = (Undo => { Type => 'Task', Resource => 'sql:public.undo' });
my %fails = (Undo => { Type => 'Task', Resource => 'sql:public.refuse' });
my %done = (Done => { Type => 'Succeed' });
my %refuse = (Done => { Type => 'Task', Resource => 'sql:public.refuse', End => $true });

sub task
{
	my ($resource, $parameters, %more) = @_;
	my %state = (Type => 'Task', Resource => $resource, Parameters => $parameters, Compensate => 'Undo', End => $true, @retry, %more);
	delete @state{ grep { !defined $state{$_} } keys %state };
	return \%state;
}

sub book { return task('arn:aws:states:::http:invoke', { ApiEndpoint => 'saga:books', Method => 'POST', 'RequestBody.$' => '$' }, @_) }
sub step { return task('sql:public.work', { 'number.$' => '$.number' }, @_) }
sub publish { return task('saga:publish', { Destination => shift, 'Payload.$' => '$' }, ResultPath => '$.number.a', @_) }
sub caught { return (Catch => [ { ErrorEquals => [@_], Next => 'Done', ResultPath => '$.error' } ]) }

sub start
{
	my ($name, $first, %states) = @_;
	my $text = $json->encode({ StartAt => 'Call', States => { Call => $first, %states } });
	sql("SELECT saga.create_workflow('$name', \$d\$$text\$d\$)");
	sql("SELECT saga.start_execution('$name', '{\"number\": \"$name\", \"currency\": \"EUR\", \"seller\": \"S\", \"buyer\": \"B\",
		\"total\": \"1.19\", \"tax\": \"0.19\", \"lines\": [{\"amount\": \"1.00\"}]}', '$name')");
	return;
}

# Status, what was undone, what is listed, what has effects.
sub ended
{
	my ($name) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE name = '$name'", 't');
	return sql("SELECT concat_ws(' ', status, error, 'undone ' || (SELECT string_agg(x, ',') FROM jsonb_array_elements_text(compensated) x),
		(SELECT string_agg(concat_ws(' ', 'listed', x->>'state', x->>'outcome', x->>'reason', x->>'message_id' ~ '-'), ',') FROM jsonb_array_elements(not_compensated) x),
		(SELECT string_agg(concat_ws(' ', 'effect', x->>'state', x->>'outcome'), ',') FROM jsonb_array_elements(effects) x))
		FROM saga.executions WHERE name = '$name'");
}

# How often it was done, and undone.
sub booked
{
	my ($number) = @_;
	my ($book) = grep { $_->{number} eq $number } @{ $server->audit->{numbers} };
	return $book ? "$book->{posted} $book->{voided}" : '0 0';
}
sub worked { return sql("SELECT concat_ws(' ', count(*) FILTER (WHERE NOT undone), count(*) FILTER (WHERE undone)) FROM worked WHERE number = '$_[0]'") }

# ---------- requests ----------

my %faults = (
	selector => \%selector,
	path => { ResultPath => '$.number.a' },
	output_path => { ResultPath => '$.r', OutputPath => '$.no' },
	assign => { Assign => { 'x.$' => "States.StringToJson('{')" } });
start("http_$_", book(%{ $faults{$_} }), %void) foreach sort keys %faults;
start(http_caught => book(%selector, caught('States.ALL')), %void, %done);
start(http_kept => book(%selector, caught('Saga.Uncertain', 'States.IntrinsicFailure')), %void, %done);
start(http_kept_fails => book(%selector, caught('Saga.Uncertain', 'States.IntrinsicFailure')), %void, %refuse);
start(http_listed => book(%selector, caught('States.ALL')), %fails, %done);
start(http_plain => book(%selector, Compensate => undef, caught('States.ALL')), %done);
start(http_around => { Type => 'Parallel', End => $true, caught('States.ALL'), Branches => [
	{ StartAt => 'Inner', States => { Inner => book(%selector), %void } },
	{ StartAt => 'Wait', States => { Wait => { Type => 'Wait', Seconds => 3600, End => $true } } } ] }, %done);
start(large => task('arn:aws:states:::http:invoke', { ApiEndpoint => 'saga:large', RequestBody => { base64 => 'YWFhYWFhYWFhYWFhYWFh', times => 20000 } },
	ResultSelector => {}), %undo);
start(large_all => task('arn:aws:states:::http:invoke', { ApiEndpoint => 'saga:large', RequestBody => { base64 => 'YWFhYWFhYWFhYWFhYWFh', times => 20001 } },
	caught('States.ALL')), %undo, %done);

# ---------- steps, tokens, messages ----------

start("sql_$_", step(%{ $faults{$_} }), %undo) foreach sort keys %faults;
start(sql_caught => step(%selector, caught('States.ALL')), %undo, %done);
start(sql_large => step(Resource => 'sql:public.much'), %undo);
start(token => step(Resource => 'sql:public.work.waitForTaskToken', Parameters => { 'number.$' => '$.number', 'token.$' => '$$.Task.Token' }, %selector), %undo);
poll_until($node, "SELECT count(*) FROM worked WHERE number = 'token'", '1');
sql("SELECT saga.send_task_success(token, '{}') FROM worked WHERE number = 'token'");
start(published_at_once => publish('books'), %undo);
start(published_paused => publish('paused', caught('States.ALL')), %undo, %done);

# ---------- what became of them ----------

my %errors = (selector => 'States.IntrinsicFailure', path => 'States.ResultPathMatchFailure', output_path => 'States.Runtime',
	assign => 'States.IntrinsicFailure');
foreach my $fault (sort keys %faults)
{
	is(ended("http_$fault"), "FAILED $errors{$fault} undone Call", "a request, and then a fault: $fault");
	is(booked("http_$fault"), '1 1', 'is made once, and undone');
	is(ended("sql_$fault"), "FAILED $errors{$fault} undone Call", "a step, and then a fault: $fault");
	is(worked("sql_$fault"), '1 1', 'runs once, and is undone');
}
is(ended('http_caught'), 'SUCCEEDED undone Call', 'with a catcher it is undone although the execution succeeds');
is(booked('http_caught'), '1 1', 'once');
is(ended('http_kept'), 'SUCCEEDED', 'a catcher that names Saga.Uncertain keeps it');
is(booked('http_kept'), '1 0', 'and it stands');
is(ended('http_kept_fails'), 'FAILED NotWanted undone Call', 'until the execution fails');
is(booked('http_kept_fails'), '1 1', 'and it is undone');
is(ended('http_listed'), 'SUCCEEDED listed Call done NotWanted t', 'one that cannot be undone is listed beside the success');
is(booked('http_listed'), '1 0', 'and stands');
is(sql("SELECT d.reason FROM saga.dead_letters d JOIN saga.executions e ON d.message_id = e.execution_id WHERE e.name = 'http_listed'"),
	'Saga.CompensationFailed', 'with a dead letter');
is(ended('http_plain'), 'SUCCEEDED effect Call done', 'without Compensate it is an effect');
is(booked('http_plain'), '1 0', 'that stands');
is(ended('http_around'), 'SUCCEEDED undone Inner', 'one in a branch is undone though the Parallel around is caught');
is(booked('http_around'), '1 1', 'once');
is(ended('large'), 'FAILED States.DataLimitExceeded undone Call', 'an answer that is too large, though little would have been taken');
is(ended('large_all'), 'SUCCEEDED undone Call', 'and one that a catcher of all takes, as at AWS');
is(scalar(grep { index($_, '"target":"/answer"') >= 0 } split(/\n/, slurp_file("$dir/raw"))), 2, 'both are asked for once');
is(ended('sql_caught'), 'SUCCEEDED undone Call', 'a step with a catcher');
is(worked('sql_caught'), '1 1', 'runs once, and is undone');
is(ended('sql_large'), 'FAILED States.DataLimitExceeded undone Call', 'a step that says too much');
is(worked('sql_large'), '1 1', 'runs once, and is undone');
is(ended('token'), 'FAILED States.IntrinsicFailure undone Call', 'a step that hands a token out, and an answer to that');
is(worked('token'), '1 1', 'runs once, and is undone');
is(ended('published_at_once'), 'FAILED States.ResultPathMatchFailure', 'a message whose id has no place is taken back with the commit that sends it');
is(booked('published_at_once') . ', ' . worked('published_at_once'), '0 0, 0 0', 'and nobody is to undo it');
is(ended('published_paused'), 'SUCCEEDED', 'so is one that a catcher lets go');
is(sql("SELECT string_agg(concat_ws(' ', d.name, state, outcome), ', ') FROM saga.outbox o JOIN saga.destination d USING (destination_id)
	WHERE request->'Payload'->>'number' = 'published_paused' OR request->'Body'->>'number' = 'published_paused'"), 'paused withdrawn never_left', 'it never left');

$node->stop;
done_testing();
