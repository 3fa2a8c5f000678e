# What a person says of calls, or wants in spite of them. That one had no effect while its answer is still to come:
# nobody can know that yet, and the answer must find somebody who listens. That what nobody knows of is done once
# more: under the old key where the server knows it still, and never under that of what is known.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT error sql);

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $dir = File::Temp->newdir('saga-flight-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', 'pg_saga.workers = 2', 'pg_saga.publishers = 1', 'restart_after_crash = on');
create_extensions($node);
my $json = JSON::PP->new->canonical;

# What has arrived there waits until it goes on.
sub halt { kill('STOP', $raw->pid); return }
sub go_on { kill('CONT', $raw->pid); return }

sql(q(CREATE TABLE undone (name text)));
sql(q(CREATE FUNCTION undo(input jsonb, context jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO undone VALUES (context->'Execution'->>'Name') RETURNING '{}'::jsonb $$));

sub workflow
{
	my ($name, %more) = @_;
	my $settings = $json->encode({ url => $raw->url("/status/201/$name"), allow_private => $true, timeout_ms => 600000, idempotency => { in => 'none' },
		settle => { by => 'person' } });
	my $definition = $json->encode({ StartAt => 'Book', States => { Book => { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', TimeoutSeconds => 1,
		Compensate => 'Undo', Parameters => { ApiEndpoint => "saga:$name", 'RequestBody.$' => '$' }, End => $true, %more },
		$more{Catch} ? (Done => { Type => 'Succeed' }) : (), Undo => { Type => 'Task', Resource => 'sql:public.undo' } } });

	sql("SELECT saga.create_destination('$name', 'http', \$s\$$settings\$s\$); SELECT saga.create_workflow('$name', \$d\$$definition\$d\$)");
	return;
}

sub of { return "FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$_[0]'" }
sub given_up { return poll_until($node, 'SELECT unwanted_since IS NOT NULL AND EXISTS (SELECT FROM saga.timer t WHERE t.message_id = o.outbox_id AND lease IS NOT NULL) ' . of($_[0]), 't') }
sub settle { my ($name, $outcome) = @_; return error("SELECT saga.settle(outbox_id, '$outcome') " . of($name)) }
sub settle_all { my ($name, $outcome) = @_; return sql("SELECT saga.settle('$name', '$outcome', now())") }
sub record { return sql("SELECT concat_ws(' ', state, outcome, outcome_by) " . of($_[0])) }

sub ended
{
	my ($name) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE name = '$name'", 't');
	return sql("SELECT concat_ws(' ', status, (SELECT string_agg(concat_ws(' ', x->>'state', x->>'outcome'), ',') FROM jsonb_array_elements(not_compensated) x), "
		  . "'undone ' || (SELECT count(*) FROM undone WHERE name = '$name')) FROM saga.executions WHERE name = '$name'");
}

# ---------- its publisher lives ----------

workflow('fails');
workflow('caught', Catch => [ { ErrorEquals => ['States.ALL'], Next => 'Done' } ]);
halt();
foreach my $name (qw(fails caught))
{
	sql("SELECT saga.start_execution('$name', '{}', '$name')");
	given_up($name);
	is(settle_all($name, 'no_effect'), '0', "$name: of all of a destination, what is in flight is passed over");
	foreach my $outcome (qw(no_effect done))
	{
		my $said = settle($name, $outcome);

		like($said, qr/message [0-9a-f-]{36} is in flight/, "$name: nor is it said of that one: $outcome");
		like($said, qr/DETAIL:  Process [1-9][0-9]* waits for its answer, until \d{4}-.* at the latest\.\nHINT: /, '  with who has it, and for how long');
	}
	is(record($name), 'waiting never_left', '  and nothing is written down');
}
is(sql("SELECT string_agg(backend_type, ',') FROM pg_stat_activity WHERE pid = "
	  . ((settle('fails', 'done') =~ /Process (\d+)/)[0] // 0)), 'pg_saga publisher', 'it is the publisher that has it');
go_on();
is(ended('fails'), 'FAILED undone 1', 'the answer comes, and what was done is undone');
is(ended('caught'), 'SUCCEEDED undone 1', 'also where the execution went on without it');
is(record($_), 'delivered done answer', "$_: the record has the answer") foreach qw(fails caught);

# ---------- somebody gives up before ----------

workflow('unknown');
halt();
sql("SELECT saga.start_execution('unknown', '{}', 'unknown')");
given_up('unknown');
is(settle_all('unknown', 'unknown'), '1', 'given up as unknown it can be');
is(ended('unknown'), 'FAILED Book unknown undone 0', 'and is listed so');
is(settle_all('unknown', 'no_effect'), '0', 'it is in flight all the same');
like(settle('unknown', 'no_effect'), qr/is in flight/, 'of that one too');
is(sql("SELECT jsonb_array_length(not_compensated) FROM saga.executions WHERE name = 'unknown'"), '1', 'and stays in the list');
go_on();
poll_until($node, "SELECT concat_ws(' ', state, outcome, outcome_by) " . of('unknown'), 'delivered done answer');

# ---------- its publisher is gone ----------

workflow('lost');
halt();
sql("SELECT saga.start_execution('lost', '{}', 'lost')");
given_up('lost');
my ($pid) = settle('lost', 'no_effect') =~ /Process (\d+)/;
sql("SELECT saga.pause_destination('lost')");
kill_process($pid);
poll_until($node, 'SELECT 1', '1');
is(wait_until(sub { settle('lost', 'no_effect') eq '' }), 1, 'what was lost with its publisher a person settles');
is(ended('lost'), 'FAILED undone 0', 'as he says');
like(record('lost'), qr/^failed no_effect person$/, 'by his word');
go_on();

# ---------- once more, in spite of what nobody knows ----------

my $server = start_accounting();
my @lost = map { { number => $_, method => 'POST', path => '/v1/invoices', action => 'drop_after', times => 1 } } qw(known expired changed twice published gone);
$server->faults({ modes => { duplicate => 'allow' }, rules => [ @lost,
	{ number => 'refused', method => 'POST', path => '/v1/invoices', action => 'status', status => 422, store => $true, times => 1 } ] });

sub invoice { return { number => $_[0], currency => 'EUR', seller => 'S', buyer => 'B', total => '1.19', tax => '0.19', lines => [ { amount => '1.00' } ] } }

sub booking
{
	my ($name, %settings) = @_;
	my $settings = $json->encode({ url => $server->url('/v1/invoices'), allow_private => $true, timeout_ms => 30000, max_attempts => 1, base_ms => 20,
		idempotency => { ttl_s => 3600 }, settle => { by => 'person' }, %settings });
	return sql("SELECT saga.create_destination('$name', 'http', \$s\$$settings\$s\$)");
}

sub definition
{
	my ($name, @parameters) = @_;
	my @states = map { { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Compensate => "Undo$_", ResultPath => undef,
		Parameters => { ApiEndpoint => "saga:$name", %{ $parameters[$_] } }, $_ == $#parameters ? (End => $true) : (Next => 'Book' . ($_ + 1)) } } 0 .. $#parameters;
	return '$d$' . $json->encode({ StartAt => 'Book0', States => { map { ("Book$_" => $states[$_], "Undo$_" => { Type => 'Task', Resource => 'sql:public.undo' }) }
		0 .. $#parameters } }) . '$d$';
}

sub posted { my ($number) = @_; my ($book) = grep { $_->{number} eq $number } @{ $server->audit->{numbers} }; return $book ? $book->{posted} : 0 }
sub letter { return sql("SELECT dead_letter_id FROM saga.dead_letters d JOIN saga.executions e ON e.execution_id = d.message_id WHERE e.name = '$_[0]' AND redriven_at IS NULL") }
sub keys_of { return sql("SELECT count(*) || ' ' || count(DISTINCT (idempotency_key, key_epoch)) FROM saga.outbox WHERE request->'Body'->>'number' = '$_[0]'") }

sub ends
{
	my ($id) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE execution_id = '$id'", 't');
	return sql("SELECT status FROM saga.executions WHERE execution_id = '$id'");
}

my $body = { 'RequestBody.$' => '$' };
foreach my $case ([ known => 1 ], [ expired => 2, idempotency => { ttl_s => 30 } ], [ changed => 2 ], [ twice => 2 ])
{
	my ($name, $times, %settings) = @$case;

	booking("at_$name", %settings);
	sql("SELECT saga.create_workflow('w_$name', " . definition("at_$name", $body) . ')');
	sql("SELECT saga.start_execution('w_$name', \$s\$" . $json->encode(invoice($name)) . "\$s\$, '$name')");
	like(ended($name), qr/^FAILED Book0 unknown/, "$name: nobody knows of it");
	sql("SELECT saga.create_workflow('w_$name', " . definition("at_$name", { 'RequestBody.$' => '$', Headers => { 'X-More' => 'x' } }) . ')') if $name eq 'changed';
	sql("SELECT saga.create_workflow('w_$name', " . definition("at_$name", $body, $body) . ')') if $name eq 'twice';
	like(error("SELECT saga.redrive('" . letter($name) . "'::uuid)"), qr/has left something that nobody knows of/, '  so it is not redriven');
	my $redrive = $name eq 'known' || $name eq 'expired' ? 'redrive' : 'redrive_anew';
	my $old = sql("SELECT execution_id FROM saga.executions WHERE name = '$name'");
	my $id = sql("SELECT saga.$redrive('" . letter($name) . "'::uuid, force => true)");
	is($id eq $old ? 'redrive' : 'redrive_anew', $redrive, '  but with force, in its place or as another one');
	is(ends($id), 'SUCCEEDED', '  and it succeeds');
	is(posted($name), $times, "  and was done so often: $times");
	is(sql("SELECT string_agg(concat_ws(' ', x->>'state', x->>'outcome', x->>'closed', (x->>'heir')::uuid = '$id'), ',') FROM saga.executions, jsonb_array_elements(not_compensated) x
		WHERE execution_id = '$old'"), { known => '', expired => 'Book0 unknown true' }->{$name} // 'Book0 unknown true t',
		'  which the record says once, or where it does not know, and who has gone on with it');
}
is(keys_of('known'), '2 1', 'one key');
is(sql("SELECT string_agg(concat_ws(' ', state, outcome, outcome_by), ',' ORDER BY created_at) FROM saga.outbox WHERE request->'Body'->>'number' = 'known'"),
	'failed in_doubt answer,delivered done replay', 'and the answer that was lost');
is(keys_of('twice'), '3 2', 'one call takes it up, the next one of the same request is another');

# a letter of what was published
foreach my $case ([ published => 1 ], [ gone => 2, idempotency => { ttl_s => 30 } ], [ refused => 1 ])
{
	my ($name, $times, %settings) = @$case;

	booking("at_$name", %settings);
	sql("SELECT saga.publish_to('at_$name', \$s\$" . $json->encode(invoice($name)) . "\$s\$)");
	poll_until($node, 'SELECT state ' . of("at_$name"), 'failed');
	sql("SELECT saga.redrive(dead_letter_id, force => true) FROM saga.dead_letters WHERE queue = 'destination/at_$name'");
	poll_until($node, 'SELECT state ' . of("at_$name"), 'delivered');
	is(posted($name), $times, "$name: done so often: $times");
}
is(sql('SELECT key_epoch ' . of('at_published')) . sql('SELECT key_epoch ' . of('at_gone')) . sql('SELECT key_epoch ' . of('at_refused')), '011',
	'the old key is for what nobody knows, and the server does');

$node->stop;
done_testing();
