# A copy that goes on from an earlier state knows that before it decides on any call, publisher or not: what
# the original may have sent since is in doubt, also of a step that runs once more, whatever an answer here says.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $json = JSON::PP->new->canonical;
my $true = JSON::PP::true;
my $node = new_saga_node('main', 'pg_saga.workers = 1');
create_extensions($node);
my $books = start_accounting();
$books->faults({ modes => { duplicate => 'allow' }, rules => [] });

sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(<<'SQL');
CREATE FUNCTION nothing(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE TABLE tokens (token text);
CREATE FUNCTION hand_out(jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO tokens VALUES ($1->>'token') RETURNING '{}'::jsonb $$;
SQL
my %keyed = (url => $books->url('/v1/invoices'), allow_private => $true, base_ms => 20, cap_ms => 50, max_attempts => 2,
	idempotency => { ttl_s => 86400 }, capture => { remote_id => 'id' });
my %destinations = (map({ $_ => {%keyed} } qw(keyed refusing down held)),
	asked => { %keyed, lookup => { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]', capture => { remote_id => 'invoices[0].id' }, delay_ms => 10 } });
sql("SELECT saga.create_destination('$_', 'http', '" . $json->encode($destinations{$_}) . "')") foreach sort keys %destinations;

sub pausing { return sql("SELECT saga.$_[0]_destination(d) FROM unnest('{asked,keyed,refusing,down,held}'::text[]) d") }

# Books an invoice; undone by nothing, unless it is plain.
sub start
{
	my ($name, $destination, $plain, %more) = @_;
	my %states = (Book => { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', End => $true, $plain ? () : (Compensate => 'Undo'),
		Parameters => { ApiEndpoint => "saga:$destination", 'RequestBody.$' => '$.invoice' }, %more });
	$states{Undo} = { Type => 'Task', Resource => 'sql:public.nothing' } unless $plain;
	$states{First} = $name eq 'again' ?
		{ Type => 'Task', Resource => 'sql:public.hand_out.waitForTaskToken', Parameters => { 'token.$' => '$$.Task.Token' }, ResultPath => undef, Next => 'Book' } :
		{ Type => 'Pass', Next => 'Book' };
	my $definition = $json->encode({ StartAt => 'First', States => \%states });
	sql("SELECT saga.create_workflow('$name', \$d\$$definition\$d\$) WHERE to_jsonb((SELECT count(*) FROM saga.workflows WHERE name = '$name')) = '0'");
	sql("SELECT saga.start_execution('$name', '{\"invoice\": {\"number\": \"$name\", \"currency\": \"EUR\", \"seller\": \"S\", \"buyer\": \"B\",
		\"total\": \"1.19\", \"tax\": \"0.19\", \"lines\": [{\"amount\": \"1.00\"}]}}', '$name')");
	return;
}

sub posted
{
	my ($number) = @_;
	my ($book) = grep { $_->{number} eq $number } @{ $books->audit->{numbers} };
	return $book ? $book->{posted} : 0;
}

sub of { return "FROM saga.outbox WHERE request->'Body'->>'number' = '$_[0]'" }
sub record { return sql("SELECT string_agg(concat_ws(' ', state, outcome), ', ') " . of($_[0])) }
sub stop { sql("SELECT saga.stop_execution(execution_id" . ($_[1] // '') . ") FROM saga.executions WHERE name = '$_[0]'"); return }

# Status, what was undone, and what is known of what was not.
sub ended
{
	my ($name) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE name = '$name'", 't');
	return sql("SELECT concat_ws(' ', status, 'undone ' || (compensated->>0), 'listed ' || (not_compensated->0->>'outcome'), 'effect ' || (effects->0->>'outcome'))
		FROM saga.executions WHERE name = '$name'");
}

# ---------- the original ----------

my @stopped = qw(stopped at_once plain again);
my @overdue = qw(overdue overdue_plain overdue_retried);
my @later = qw(refused unreachable found clock);
my @all = (@stopped, @overdue, @later);
my $copy = "$PostgreSQL::Test::Utils::tmp_check/copy";

pausing('pause');
start('stopped', 'keyed');
start('at_once', 'keyed');
start('plain', 'keyed', 1);
start('again', 'keyed');
start('refused', 'refusing');
start('unreachable', 'down');
start('found', 'asked');
start('clock', 'held');
poll_until($node, 'SELECT count(*) FROM tokens', '1');
# the time of these is over in the copy; the original is stopped before, and has no worker to see to it until it has the answers
my @time = (TimeoutSeconds => 60);
start('overdue', 'keyed', 0, @time);
start('overdue_plain', 'keyed', 1, @time);
start('overdue_retried', 'keyed', 0, @time, Retry => [ { ErrorEquals => ['States.Timeout'], IntervalSeconds => 1 } ]);
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", @all - 1);
$node->stop;
PostgreSQL::Test::RecursiveCopy::copypath($node->data_dir, $copy);
$node->append_conf('postgresql.conf', 'pg_saga.workers = 0');
$node->start;
pausing('resume');
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'delivered'", @all - 1);
$node->append_conf('postgresql.conf', 'pg_saga.workers = 1');
$node->reload;
sql("SELECT saga.send_task_success(token, '{}') FROM tokens");
poll_until($node, "SELECT count(*) FROM saga.executions WHERE status = 'RUNNING'", '0');
is(join(' ', map { "$_:" . posted($_) } @all), join(' ', map { "$_:1" } @all), 'the original has booked all');
is(sql('SELECT at FROM saga.takeover'), '-infinity', 'and nothing is doubted');

# ---------- the copy, as one is told to begin: nothing is sent ----------

$node->stop('immediate');
rename($node->data_dir, $node->data_dir . '.original') or die "$!";
rename($copy, $node->data_dir) or die "$!";
chmod(0700, $node->data_dir) or die "$!";
$node->append_conf('postgresql.conf', 'pg_saga.publishers = 0');
$node->start;
is(sql("SELECT count(*) FROM saga.executions WHERE status = 'RUNNING'"), scalar(@all), 'the copy knows nothing of it');

sql("SELECT saga.send_task_success(token, '{}') FROM tokens");
poll_until($node, 'SELECT count(*) ' . of('again'), '1');
stop($_) foreach qw(stopped plain again found);
stop('at_once', ', compensate => false');
is(ended('stopped'), 'ABORTED listed unknown', 'stopped: it may have been booked');
is(ended('at_once'), 'ABORTED listed unknown', 'so it may be when nothing is undone');
is(ended('plain'), 'ABORTED effect in_doubt', 'or when there is nothing to undo');
is(ended('again'), 'ABORTED listed unknown', 'or when the step has run once more');
is(record('again'), 'failed in_doubt', 'though its message was made after the takeover');
is(ended('overdue'), 'FAILED listed unknown', 'or when its time is over');
is(ended('overdue_plain'), 'FAILED effect in_doubt', 'also of one that is not undone');
unlike(join(' ', map { record($_) } @all), qr/withdrawn never_left|no_effect/, 'nothing is said to have never left');
is(sql("SELECT count(*) FROM saga.takeover WHERE at > '-infinity'"), '1', 'that it has taken over is noted, without a publisher');

# ---------- what answers say here ----------

$books->faults({ modes => { duplicate => 'allow' }, rules => [ { number => 'refused', method => 'POST', times => 100, action => 'status', status => 403 } ] });
my $closed = $json->encode({ %keyed, url => 'http://127.0.0.1:' . Saga::Server::free_port() . '/v1/invoices' });
sql("SELECT saga.alter_destination('down', '$closed')");
sql("SELECT saga.resume_destination(d) FROM unnest('{asked,keyed,refusing,down}'::text[]) d");
$node->append_conf('postgresql.conf', 'pg_saga.publishers = 1');
$node->reload;
is(ended('refused'), 'FAILED listed unknown', 'that the server refuses it now says nothing of the time before');
is(ended('unreachable'), 'FAILED listed unknown', 'nor does it that nobody is there');
is(ended('found'), 'ABORTED undone Book', 'what can be looked up is found, and undone');
is(ended('overdue_retried'), 'SUCCEEDED', 'what is tried again is the same request');
is(join(' ', map { "$_:" . posted($_) } @all), join(' ', map { "$_:1" } @all), 'and nothing is booked twice');

# ---------- when ----------

sub takeover_at
{
	sql("UPDATE saga.takeover SET at = $_[0] WHERE at > '-infinity'");
	$node->restart;
	return;
}

takeover_at("(SELECT created_at - interval '30 seconds' " . of('clock') . ')');
stop('clock');
is(ended('clock'), 'ABORTED listed unknown', 'the clock of the original may have been ahead');
takeover_at("now() - interval '5 minutes'");
start('fresh', 'held');
poll_until($node, 'SELECT count(*) ' . of('fresh'), '1');
stop('fresh');
is(ended('fresh'), 'ABORTED', 'what is begun here later is as ever');
is(record('fresh'), 'withdrawn never_left', 'and has never left');

$node->stop;
done_testing();
