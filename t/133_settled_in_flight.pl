# A person says that a call had no effect while its answer is still to come: nobody can know that yet, and the
# answer must find somebody who listens.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $dir = File::Temp->newdir('saga-flight-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
append_to_file("$dir/raw", '');
my $node = new_saga_node('main', 'pg_saga.workers = 2', 'pg_saga.publishers = 1', 'restart_after_crash = on');
create_extensions($node);
my $json = JSON::PP->new->canonical;

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub error { my ($rc, $out, $err) = $node->psql('postgres', $_[0]); return $err }

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

$node->stop;
done_testing();
