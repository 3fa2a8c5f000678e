# A request that may have had its effect, and what is said of it afterwards: a refusal that follows proves
# nothing, and an execution that gives such a call up says that it was not undone.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $dir = File::Temp->newdir('saga-doubt-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main');
create_extensions($node);

sub requests { return grep { index($_, qq("target":"$_[0]")) >= 0 } split(/\n/, slurp_file("$dir/raw")) }

sub destination
{
	my ($name, $path, %settings) = @_;
	my $json = encode_json({
		url => $raw->url($path), allow_private => JSON::PP::true, timeout_ms => 8000, base_ms => 20, cap_ms => 50, %settings });
	sql("SELECT saga.create_destination('$name', 'http', '$json')");
	return;
}

sub outcome
{
	my ($name) = @_;
	poll_until($node, "SELECT count(*) FROM saga.outbox o JOIN saga.destination d USING (destination_id)
		WHERE d.name = '$name' AND state = 'waiting'", '0');
	return sql("SELECT string_agg(concat_ws(' ', state, last_class, split_part(last_error, ':', 1)), ', ')
		FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$name'");
}

# ---------- a refusal, or an overload to the end, after a lost answer ----------

foreach my $status (301, 400, 403, 410, 429, 503)
{
	destination("lost$status", "/lost-then/$status", max_attempts => 3);
	sql("SELECT saga.publish_to('lost$status', '{}')");
	# 503 is itself in doubt, and sent again to the end
	is(outcome("lost$status"), 'failed uncertain ' . ($status == 503 ? 'States.Http.StatusCode.503' : 'Saga.Uncertain'),
		"$status after a lost answer proves nothing");
	next if $status == 503;
	destination("sole$status", "/status/$status", max_attempts => 2);
	sql("SELECT saga.publish_to('sole$status', '{}')");
	unlike(outcome("sole$status"), qr/uncertain/i, "$status to the first request does");
}
destination('asked', '/lost-then/403/asked', max_attempts => 5,
	lookup => { url => '/status/404', method => 'GET', found => 'id' });
sql("SELECT saga.publish_to('asked', '{}')");
is(outcome('asked'), 'failed fatal States.Http.StatusCode.403', 'with a look-up that finds nothing, it is the refusal');
is(sql("SELECT string_agg(phase, ' ' ORDER BY attempt) FROM saga.outbox_attempt a JOIN saga.destination d USING (destination_id)
	WHERE d.name = 'asked'"), 'send lookup send lookup', 'which is asked once more after it');

sql("SELECT saga.redrive(dead_letter_id) FROM saga.dead_letters WHERE queue = 'destination/asked'");
is(outcome('asked'), 'failed fatal States.Http.StatusCode.403', 'redriven it is refused again');
is(scalar(requests('/lost-then/403/asked')), 3, 'having been sent again, once');
destination('asked503', '/lost-then/503/asked', max_attempts => 3,
	lookup => { url => '/status/404', method => 'GET', found => 'id' });
sql("SELECT saga.publish_to('asked503', '{}')");
is(outcome('asked503'), 'failed retry States.Http.StatusCode.503', 'an overload to the end stays one');

# ---------- bytes that are no answer ----------

destination('nonsense', '/nonsense', max_attempts => 2);
sql("SELECT saga.publish_to('nonsense', '{}')");
like(outcome('nonsense'), qr/^failed uncertain/, 'who answers, but not in HTTP, has the request');
is(scalar(requests('/nonsense')), 2, 'it is sent again under its key');
destination('stray', '/stray', max_attempts => 5);
foreach my $n (1 .. 6)
{
	sql("SELECT saga.publish_to('stray', '{}')");
	outcome('stray');
}
is(outcome('stray'), join(', ', ('delivered success') x 6), 'stray bytes after an answer spoil no request');

# ---------- executions ----------

sql(q(CREATE FUNCTION undo(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
	CREATE FUNCTION out_of_stock(jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'out of stock'; END $$));

sub charge
{
	my ($destination, %more) = @_;
	return {
		Type => 'Task', Resource => 'arn:aws:states:::http:invoke', End => JSON::PP::true, Compensate => 'Refund',
		Parameters => { ApiEndpoint => "saga:$destination", RequestBody => {} }, %more };
}

sub workflow
{
	my ($name, $first, %others) = @_;
	delete $first->{End} unless defined $first->{End};
	my $definition = encode_json({ StartAt => 'First', States => {
		First => $first, $first->{Compensate} ? (Refund => { Type => 'Task', Resource => 'sql:public.undo' }) : (), %others } });
	sql("SELECT saga.create_workflow('$name', \$saga\$$definition\$saga\$)");
	sql("SELECT saga.start_execution('$name', '{}', '$name')");
	return;
}

# state and outcome of what is not undone, after the execution's status
sub ended
{
	my ($name) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE name = '$name'", 't');
	return sql("SELECT concat_ws(' ', e.status, d.reason, (SELECT string_agg(concat_ws(' ', n->>'state', n->>'outcome'), ', ')
			FROM jsonb_array_elements(nullif(d.details->'not_compensated', 'null')) n))
		FROM saga.executions e LEFT JOIN saga.dead_letters d ON d.message_id = e.execution_id WHERE e.name = '$name'");
}

sub in_flight
{
	my ($name) = @_;
	poll_until($node, "SELECT count(*) FROM saga.timer t JOIN saga.destination d ON d.destination_id = t.queue_id
		WHERE d.name = '$name' AND lease IS NOT NULL", '1');
	return;
}

destination('hang', '/hang');
workflow('timeout', charge('hang', TimeoutSeconds => 1));
is(ended('timeout'), 'FAILED Saga.CompensationFailed First unknown', 'time-out of a request in flight');

destination('hang2', '/hang2');
workflow('stopped', charge('hang2'));
in_flight('hang2');
sql("SELECT saga.stop_execution(execution_id) FROM saga.executions WHERE name = 'stopped'");
is(ended('stopped'), 'ABORTED Saga.CompensationFailed First unknown', 'stopped while it was in flight');

destination('hang3', '/hang3');
workflow('sibling', { Type => 'Parallel', End => JSON::PP::true, Branches => [
	{ StartAt => 'Charge', States => { Charge => charge('hang3'),
		Refund => { Type => 'Task', Resource => 'sql:public.undo' } } },
	{ StartAt => 'Wait', States => { Wait => { Type => 'Wait', Seconds => 2, Next => 'Stock' },
		Stock => { Type => 'Task', Resource => 'sql:public.out_of_stock', End => JSON::PP::true } } } ] });
is(ended('sibling'), 'FAILED Saga.CompensationFailed Charge unknown', 'another branch failed while it was in flight');

destination('refused', '/lost-then/403/refused', max_attempts => 3);
workflow('refused', charge('refused'));
is(ended('refused'), 'FAILED Saga.CompensationFailed First unknown', 'refused after a lost answer');

destination('late', '/after/2500/ok');
destination('later', '/after/6000/ok');
workflow('late', charge('late', TimeoutSeconds => 1, Catch => [ { ErrorEquals => ['States.Timeout'], Next => 'Later' } ]),
	Later => { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Next => 'End',
		Parameters => { ApiEndpoint => 'saga:later', RequestBody => {} } },
	End => { Type => 'Fail', Error => 'Gone' });
is(ended('late'), 'FAILED Gone', 'its answer came after the time-out');
is(sql("SELECT compensated FROM saga.executions WHERE name = 'late'"), '["First"]', 'and it was undone');

# ---------- who catches it ----------

foreach my $name ('Saga.Uncertain', 'States.Http.StatusCode.403', 'States.TaskFailed')
{
	(my $id = lc $name) =~ s/\W//g;
	destination("c$id", "/lost-then/403/$id", max_attempts => 3);
	workflow("c$id", charge("c$id", Catch => [ { ErrorEquals => [$name], Next => 'Caught' } ]), Caught => { Type => 'Succeed' });
	is(ended("c$id"), 'SUCCEEDED Saga.CompensationFailed First unknown', "a refusal in doubt is caught as $name");
}

# ---------- a call that a catcher keeps, and what waits for it ----------

sub waits_for
{
	my ($name) = @_;
	poll_until($node, "SELECT count(*) FROM saga.executions WHERE name = '$name' AND waiting_for LIKE 'outcome %'", '1');
	return sql("SELECT concat_ws(' ', status, regexp_replace(waiting_for, ' since .*', '')) FROM saga.executions WHERE name = '$name'");
}

sub keeping { return charge($_[0], Catch => [ { ErrorEquals => ['Saga.Uncertain'], ResultPath => undef, Next => 'On' } ]) }
my %ways = (
	over => [ { Type => 'Pass', End => JSON::PP::true }, 'RUNNING', 'the path has ended' ],
	same => [ { Type => 'Pass', Next => 'First' }, 'RUNNING', 'the same call comes again' ],
	fails => [ { Type => 'Task', Resource => 'sql:public.out_of_stock', End => JSON::PP::true }, 'COMPENSATING', 'the path has failed' ]);
foreach my $way (sort keys %ways)
{
	destination("kept$way", '/drop', max_attempts => 1, base_ms => 500, cap_ms => 800, idempotency => { ttl_s => 86400 });
	workflow("kept$way", keeping("kept$way"), On => $ways{$way}[0]);
	is(waits_for("kept$way"), "$ways{$way}[1] outcome of First at kept$way", "$ways{$way}[2]: it waits for the call that was kept, and says so");
}
destination('keptpath', '/drop', max_attempts => 1, base_ms => 500, cap_ms => 800, idempotency => { ttl_s => 86400 });
workflow('keptpath', keeping('keptpath'), On => { Type => 'Wait', Seconds => 3600, End => JSON::PP::true });
poll_until($node, "SELECT count(*) FROM saga.executions WHERE name = 'keptpath' AND current_state = 'On'", '1');
is(sql("SELECT waiting_for FROM saga.executions WHERE name = 'keptpath'"), 'timer', 'a path that goes on does not wait for it');

# ---------- the answer of a token is the outcome ----------

sql(q(CREATE TABLE tokens (token text)));
destination('token', '/hang/token');
workflow('token', charge('token', Resource => 'arn:aws:states:::http:invoke.waitForTaskToken',
	Parameters => { ApiEndpoint => 'saga:token', 'RequestBody' => { 'token.$' => '$$.Task.Token' } }));
in_flight('token');
sql("SELECT saga.send_task_failure(request->'Body'->>'token', 'Declined') FROM saga.outbox o JOIN saga.destination d USING (destination_id)
	WHERE d.name = 'token'");
is(ended('token'), 'FAILED Declined', 'who fails the token says that nothing was done');

# ---------- undone in another way ----------

my $server = $raw->url('');
destination('other', '/status/200/other');
foreach my $told (0, 1)
{
	my $name = $told ? 'told' : 'blind';
	destination($name, "/status/200/$name", max_attempts => 5, compensate => { url => "$server/lost-then/409/$name", else => 'other',
		$told ? (already_done => { status => [410] }) : () });
	workflow("undo$name", { %{ charge($name) }, End => undef, Next => 'Stock' },
		Stock => { Type => 'Task', Resource => 'sql:public.out_of_stock', End => JSON::PP::true },
		Refund => { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Parameters => { ApiEndpoint => "saga:$name",
			Operation => 'compensate', 'RequestBody.$' => '$.input.RequestBody' } });
}
is(ended('undotold'), 'FAILED SQL.P0001', 'who tells what is undone already is believed when he refuses');
like(ended('undoblind'), qr/^FAILED Saga.CompensationFailed First/, 'else a refusal after a lost answer is no reason to undo it twice');
is(scalar(requests('/status/200/other')), 1, 'in another way');

# ---------- done, and not taken ----------

destination('large', '/answer', request => { body => 'message' });
workflow('large', charge('large', Parameters => { ApiEndpoint => 'saga:large', RequestBody => { base64 => 'YWFhYWFhYWFhYWFhYWFh', times => 20000 } }));
is(ended('large'), 'FAILED States.DataLimitExceeded', 'an answer that is too large for the execution');
is(sql("SELECT compensated FROM saga.executions WHERE name = 'large'"), '["First"]', 'is undone');

# ---------- what is known to have had no effect ----------

destination('plain', '/status/403/plain');
workflow('plain', charge('plain'));
is(ended('plain'), 'FAILED States.Http.StatusCode.403', 'a plain refusal leaves nothing to undo');

destination('paused', '/ok');
sql("SELECT saga.pause_destination('paused')");
workflow('paused', charge('paused', TimeoutSeconds => 1));
is(ended('paused'), 'FAILED States.Timeout', 'nor does a request that never left');
sql("SELECT saga.resume_destination('paused'); SELECT saga.publish_to('paused', '{\"after\": true}')");
like(outcome('paused'), qr/delivered/, 'once the destination goes on');
is(scalar(requests('/ok')), 1, 'it has been taken back');

destination('again', '/lost-then/200/again', max_attempts => 1);
workflow('again', charge('again', Retry => [ { ErrorEquals => ['States.ALL'], IntervalSeconds => 1 } ]));
is(ended('again'), 'SUCCEEDED', 'one that was lost and succeeds under the same key is the same one');

$node->stop;
done_testing();
