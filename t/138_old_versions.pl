# A workflow that is given to another role runs nothing with his rights that was not in the definition which was looked
# at: not what executions of an older version have left, and are settled later, by whoever may say how a call went.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $json = JSON::PP->new->canonical;
my $server = start_accounting();
my $node = new_saga_node('main', 'pg_saga.workers = 2', 'pg_saga.sweep_interval = 0', 'max_prepared_transactions = 5');
create_extensions($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub error { my ($rc, $out, $err) = $node->psql('postgres', $_[0]); return $err }

sql("CREATE ROLE $_ LOGIN; GRANT USAGE ON SCHEMA saga TO $_; CREATE SCHEMA $_ AUTHORIZATION $_; GRANT USAGE ON SCHEMA $_ TO PUBLIC") foreach qw(mallory alice);
sql('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO mallory; GRANT SELECT ON saga.executions, saga.workflows TO mallory');
sql('CREATE ROLE heir SUPERUSER LOGIN; CREATE TABLE ran (who text, what text); GRANT INSERT ON ran TO PUBLIC');
sql(q{SET SESSION AUTHORIZATION mallory; CREATE FUNCTION mallory.undo(input jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO public.ran VALUES (current_user, jsonb_path_query_first(input, '$.**.number') #>> '{}') RETURNING '{}'::jsonb $$});

# Each call is lost.
sub invoice { return { number => $_[0], currency => 'EUR', seller => 'S', buyer => 'B', total => '1.19', tax => '0.19', lines => [ { amount => '1.00' } ] } }
sub settings { return '$s$' . $json->encode({ url => $server->url('/v1/invoices'), allow_private => $true, timeout_ms => 60000, max_attempts => 1, base_ms => 20, cap_ms => 50,
	idempotency => { ttl_s => 3600 }, settle => { by => $_[0] } }) . '$s$' }
my $older = $json->encode({ StartAt => 'Book', States => {
	Book => { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Parameters => { ApiEndpoint => 'saga:md', 'RequestBody.$' => '$' }, Compensate => 'Undo', End => $true },
	Undo => { Type => 'Task', Resource => 'sql:mallory.undo' } } });
my $harmless = '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}';
sql("SELECT saga.create_destination('md', 'http', " . settings('person') . "), saga.set_destination_owner('md', 'mallory')");

# What nobody knew of is asked for again, by the owner of the destination.
sub ask
{
	sql("SELECT saga.alter_destination('mallory.md', " . settings('resend') . ')');
	return sql("SET SESSION AUTHORIZATION mallory; SELECT saga.settle('md', 'ask', now())");
}

# A workflow of mallory's whose first version has left a call that nobody knows of; the newest one is another.
sub left
{
	my ($name) = @_;
	sql("SELECT saga.alter_destination('mallory.md', " . settings('person') . ')');
	$server->faults({ modes => { duplicate => 'allow' }, rules => [ { method => 'POST', path => '/v1/invoices', action => 'drop_after', attempt => 1 } ] });
	sql("SET SESSION AUTHORIZATION mallory; SELECT saga.create_workflow('$name', \$d\$$older\$d\$); SELECT saga.start_execution('$name', \$i\$"
		  . $json->encode(invoice($name)) . "\$i\$, '$name')");
	poll_until($node, "SELECT not_compensated->0->>'outcome' FROM saga.executions WHERE name = '$name'", 'unknown');
	sql("SET SESSION AUTHORIZATION mallory; SELECT saga.create_workflow('$name', '$harmless')");
	return sql("SELECT execution_id FROM saga.executions WHERE name = '$name'");
}

sub give { my ($name, $heir) = @_; return "SELECT saga.set_workflow_owner('mallory.$name', '$heir', (SELECT definition_hash FROM saga.workflows WHERE name = '$name'))" }
sub owner { return sql("SELECT owner FROM saga.workflows WHERE name = '$_[0]'") }
my $refused = qr/workflow "[\w."]+" has executions of an older version than that of the hash, which have left something to be undone
DETAIL:  Their handlers would run with the rights of the new owner\. One of them is [0-9a-f-]{36}\.\nHINT:  Settle/;

# ---------- left behind ----------

my $gift = left('gift');
like(error(give('gift', 'alice')), $refused, 'not while an older version has left what its handler would undo');
like(error(give('gift', 'heir')), $refused, 'to a superuser neither');
like(error('REASSIGN OWNED BY mallory TO alice'), $refused, 'nor with all that she owns');
is(owner('gift'), 'mallory', 'it stays hers');

# who owns the destination asks: the handler is hers to run
ask();
poll_until($node, "SELECT string_agg(who || ' ' || what, ',') FROM ran", 'mallory gift');
poll_until($node, "SELECT not_compensated IS NULL FROM saga.executions WHERE execution_id = '$gift'", 't');
is(error(give('gift', 'alice')), '', 'when it is undone the workflow is given');
is(owner('gift'), 'alice', 'and is the new owner\'s');

# ---------- closed ----------

my $closed = left('closed');
sql("SELECT saga.settle('$closed'::uuid, 'unknown')");
is(error(give('closed', 'alice')), '', 'what is closed is in nobody\'s way');
ask();
is(sql("SELECT saga.start_execution('alice.closed', '{}', 'new') IS NOT NULL"), 't', 'the new owner\'s runs');
poll_until($node, "SELECT status FROM saga.executions WHERE name = 'new'", 'SUCCEEDED');
is(sql("SELECT not_compensated->0->>'closed' || coalesce(not_compensated->0->>'undoing', '') FROM saga.executions WHERE execution_id = '$closed'"), 'true', 'and the old handler does not');

# ---------- said at the same time ----------

my $beside = left('beside');
my $message = sql("SELECT not_compensated->0->>'message_id' FROM saga.executions WHERE execution_id = '$beside'");
my $session = $node->background_psql('postgres', on_error_stop => 1);
$session->query_safe("SET SESSION AUTHORIZATION mallory");
$session->query_safe("BEGIN; SELECT saga.settle('$message'::uuid, 'done', '{}')");
like(error(give('beside', 'alice')), qr/workflow "mallory\.beside" is in use by transactions that have not ended/, 'who gives it waits for who settles');
is(owner('beside'), 'mallory', 'and has not given it');

# whatever the isolation level, what was committed while one waited counts
my $giver = $node->background_psql('postgres', on_error_stop => 0);
$giver->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
sql("ALTER SYSTEM SET pg_saga.workers = 0; SELECT pg_reload_conf()");
poll_until($node, 'SHOW pg_saga.workers', '0');
poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_saga worker'", '0');
$session->query_safe('COMMIT');
like(join('', $giver->query(give('beside', 'alice')), $giver->{stderr}), qr/has executions of an older version than that of the hash/, 'a snapshot from before hides nothing');
$giver->quit;
$session->quit;
is(owner('beside'), 'mallory', 'and it has not been given');
is(sql('SELECT count(*) FROM ran WHERE who <> $$mallory$$'), '0', 'nothing of hers ran as another role');

$node->stop;
done_testing();
