# A call that is given up while it is in flight is in doubt until its answer is there, and for good when its
# publisher is gone: nothing of it is ever said to have never left. What has not left is said so, in the end.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $json = JSON::PP->new->canonical;
my $true = JSON::PP::true;
my $node = new_saga_node('main', 'pg_saga.workers = 1', 'restart_after_crash = on');
create_extensions($node);
my $server = start_accounting();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(<<'SQL');
CREATE FUNCTION nothing(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION when_told(jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
	PERFORM saga.fail('NotWanted', 'on purpose'); RETURN NULL; END $$;
SQL
foreach my $name (qw(keyed blind))
{
	my $settings = $json->encode({ url => $server->url('/v1/invoices'), allow_private => $true, timeout_ms => 100000, base_ms => 20, cap_ms => 50,
		max_attempts => 1, $name eq 'keyed' ? (idempotency => { ttl_s => 86400 }) : () });
	sql("SELECT saga.create_destination('$name', 'http', '$settings')");
}

# Booked at once; the answer does not come, or as late as that.
sub hanging { return { number => $_[0], method => 'POST', action => 'delay', ms => $_[1] // 100000, at => 'after', times => 1 } }
my @names = map { my $end = $_; map { "$_-$end" } qw(stopped timeout sibling kept asked refused) } qw(killed terminated);
$server->faults({ modes => { duplicate => 'allow' }, rules => [ map({ hanging($_) } @names, 'forced'), hanging('answered', 3000) ] });

sub book
{
	my ($destination, %more) = @_;
	return { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', End => $true,
		Parameters => { ApiEndpoint => "saga:$destination", 'RequestBody.$' => '$.invoice' }, %more };
}

sub start
{
	my ($name, $first, %states) = @_;
	my $definition = $json->encode({ StartAt => 'Book', States => { Book => $first, %states } });
	sql("SELECT saga.create_workflow('$name', \$d\$$definition\$d\$)");
	return sql("SELECT saga.start_execution('$name', '{\"invoice\": {\"number\": \"$name\", \"currency\": \"EUR\", \"seller\": \"S\", \"buyer\": \"B\",
		\"total\": \"1.19\", \"tax\": \"0.19\", \"lines\": [{\"amount\": \"1.00\"}]}}', '$name')");
}

sub posted
{
	my ($number) = @_;
	my ($book) = grep { $_->{number} eq $number } @{ $server->audit->{numbers} };
	return $book ? $book->{posted} : 0;
}

sub booked { my ($number) = @_; wait_until(sub { posted($number) > 0 }) or die "$number is not booked"; return }
sub of { return "FROM saga.outbox WHERE request->'Body'->>'number' = '$_[0]' AND NOT compensate" }
sub record { return sql("SELECT string_agg(concat_ws(' ', state, outcome, attempts), ', ') " . of($_[0])) }
sub ended { poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE name = '$_[0]'", 't'); return }
sub effects { return sql("SELECT string_agg(x->>'outcome', ',') FROM saga.executions, jsonb_array_elements(effects) x WHERE name = '$_[0]'") }
sub listed { return sql("SELECT string_agg(concat_ws(' ', x->>'outcome', x->'asked'), ',') FROM saga.executions, jsonb_array_elements(not_compensated) x WHERE name = '$_[0]'") }
sub stop { return sql("SELECT saga.stop_execution(execution_id" . ($_[1] // '') . ") FROM saga.executions WHERE name = '$_[0]'") }
sub publishers { return sql("SELECT string_agg(pid::text, ' ') FROM saga.workers WHERE type = 'publisher'") }

# ---------- the publisher goes ----------

my %undo = (Undo => { Type => 'Task', Resource => 'sql:public.nothing' });
foreach my $how (qw(killed terminated))
{
	my @all = grep { /$how/ } @names;
	my @plain = grep { /stopped|timeout|sibling/ } @all;
	my @entries = grep { /kept|asked|refused/ } @all;

	start("stopped-$how", book('blind'));
	start("timeout-$how", book('blind', TimeoutSeconds => 5, Catch => [ { ErrorEquals => ['States.ALL'], Next => 'Caught' } ]), Caught => { Type => 'Succeed' });
	start("sibling-$how", { Type => 'Parallel', End => $true, Branches => [
		{ StartAt => 'Hang', States => { Hang => book('blind') } },
		{ StartAt => 'W', States => { W => { Type => 'Wait', Seconds => 5, Next => 'F' }, F => { Type => 'Task', Resource => 'sql:public.when_told', End => $true } } } ] });
	start("$_", book('keyed', Compensate => 'Undo'), %undo) foreach @entries;
	booked($_) foreach @plain, @entries;
	stop("stopped-$how");
	stop($_, ', compensate => false') foreach @entries;
	ended($_) foreach @plain, @entries;
	is(effects($_), 'in_doubt', "$_: in flight") foreach @plain;
	is(record($_), 'withdrawn in_doubt 0', "$_: and that is on record") foreach @plain, @entries;

	kill_process($_, $how eq 'killed' ? 'KILL' : 'TERM') foreach split / /, publishers();
	foreach my $name (@plain, @entries)
	{
		poll_until($node, "SELECT attempts FROM (SELECT attempts " . of($name) . ') o', '1');
		is(record($name), 'withdrawn in_doubt 1', "$name: $how, it was sent, and nobody knows how it went");
	}
	is(effects($_), 'in_doubt', "$_: so the execution says") foreach @plain;
	is(listed($_), 'unknown', "$_: so it is listed") foreach @entries;
	poll_until($node, "SELECT count(*) FROM saga.timer WHERE kind = 'o'", '0');
	is(posted($_), 1, "$_: it was booked, once") foreach @plain, @entries;
}

# ---------- what nobody knows can be asked for, or said, of all of a destination ----------

my @asked = map { ("asked-$_", "kept-$_", "refused-$_") } qw(killed terminated);
is(sql("BEGIN; SELECT saga.settle('keyed', 'no_effect', now()); ROLLBACK"), scalar(@asked), 'a person may say that it had no effect');
is(sql("SELECT saga.settle('keyed', 'ask', now())"), scalar(@asked), 'or have it asked for');
foreach my $name (@asked)
{
	poll_until($node, "SELECT count(*) FROM saga.executions WHERE name = '$name' AND not_compensated IS NULL", '1');
	is(record($name), 'delivered done 2', "$name: the answer under its key is found");
	is(posted($name), 1, "$name: and it is not booked again");
}

# ---------- forced on while it is in flight ----------

start('forced', book('keyed', Compensate => 'Undo'), %undo);
booked('forced');
stop('forced', ', compensate => false');
ended('forced');
my $redrive = "SELECT saga.redrive(d.dead_letter_id, force => true) FROM saga.dead_letters d
	JOIN saga.executions e ON e.execution_id = d.message_id WHERE e.name = 'forced'";
like(($node->psql('postgres', $redrive))[2], qr/is in flight/, 'nobody forces it on while it is in flight');
my $sender = sql("SELECT pid FROM saga.workers WHERE type = 'publisher'");
sql("SELECT pg_terminate_backend($sender)");
wait_for_exit($sender);
poll_until($node, "SELECT attempts || outcome " . of('forced'), '1in_doubt');
sql($redrive);
poll_until($node, 'SELECT count(*) ' . of('forced'), '2');
is(sql('SELECT count(DISTINCT idempotency_key) ' . of('forced')), '1', 'who does so afterwards goes on under its key');

# ---------- an answer mends it ----------

start('answered', book('blind'));
booked('answered');
stop('answered');
ended('answered');
is(effects('answered'), 'in_doubt', 'in flight');
poll_until($node, 'SELECT state ' . of('answered'), 'delivered');
is(effects('answered'), 'done', 'and done, says its answer');

# ---------- and so does its row ----------

sql("SELECT saga.pause_destination('blind')");
start('locked', book('blind'));
poll_until($node, 'SELECT count(*) ' . of('locked'), '1');
my $holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT FROM saga.message m JOIN saga.destination d ON d.destination_id = m.queue_id WHERE d.name = 'blind' FOR UPDATE OF m");
stop('locked');
ended('locked');
is(record('locked'), 'withdrawn in_doubt 0', 'somebody has its row: perhaps it is about to be sent');
$holder->query_safe('COMMIT');
$holder->quit;
sql("SELECT saga.resume_destination('blind')");
poll_until($node, "SELECT outcome <> 'in_doubt' " . of('locked'), 't');
is(record('locked'), 'withdrawn never_left 0', 'it was not, says the publisher that finds it');
is(posted('locked'), 0, 'indeed');

$node->stop;
done_testing();
