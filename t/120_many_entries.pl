# An execution that has left thousands of calls: they are settled in one go, its list is written once for all of
# them, and a destination is dropped without others waiting for that.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT error sql);

my $json = JSON::PP->new->canonical;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $many = 3000;
my $node = new_saga_node('main', 'pg_saga.workers = 2');
create_extensions($node);
my $server = start_accounting();

my $settings = $json->encode({
	url => $server->url('/v1/invoices'), allow_private => $true, timeout_ms => 30000, base_ms => 20, cap_ms => 100, max_attempts => 1,
	idempotency => { ttl_s => 1 }, capture => { remote_id => 'id' }, compensate => { url => '/v1/invoices/{remote_id}/void' },
	lookup => { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]', delay_ms => 3600000 } });
sql("SELECT saga.create_destination('books', 'http', \$s\$$settings\$s\$)");
my $definition = $json->encode({ StartAt => 'Book', States => {
	Book => { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Compensate => 'Undo', TimeoutSeconds => 1, End => $true,
		Parameters => { ApiEndpoint => 'saga:books', Method => 'POST', 'RequestBody.$' => '$' } },
	Undo => { Type => 'Task', Resource => 'arn:aws:states:::http:invoke', Parameters => { ApiEndpoint => 'saga:books',
		Operation => 'compensate', 'RequestBody.$' => '$.input.RequestBody', 'Captured.$' => '$.output.Captured' } } } });
sql("SELECT saga.create_workflow('many', \$d\$$definition\$d\$)");
$server->faults({ modes => { duplicate => 'allow' }, rules => [
	{ number => 'first', method => 'POST', path => '/v1/invoices', action => 'drop_after', attempt => 1 } ] });
my $id = sql(q(SELECT saga.start_execution('many', '{"number": "first", "currency": "EUR", "seller": "S", "buyer": "B", "total": "1.19",
	"tax": "0.19", "lines": [{"amount": "1.00"}]}', 'many')));
poll_until($node, q(SELECT messages FROM saga.in_doubt WHERE destination = 'books'), '1');
is(sql("SELECT saga.settle('books', 'unknown', now())"), '1', 'nobody knows how its call went');
poll_until($node, "SELECT status FROM saga.executions WHERE name = 'many'", 'FAILED');

# what a Map of thousands of calls would have left
sql(<<"SQL");
CREATE TABLE call AS SELECT n, saga.make_id() AS id FROM generate_series(2, $many) n;
INSERT INTO saga.outbox SELECT (jsonb_populate_record(o, jsonb_build_object('outbox_id', id, 'task_id', 1000 + n, 'idempotency_key', gen_random_uuid()))).*
	FROM saga.outbox o, call WHERE o.execution_id = '$id';
UPDATE saga.execution SET not_compensated = not_compensated
	|| (SELECT jsonb_agg(not_compensated->0 || jsonb_build_object('message_id', id) ORDER BY n) FROM call) WHERE execution_id = '$id';
UPDATE saga.dead_letter SET details = jsonb_set(details, '{not_compensated}', (SELECT not_compensated FROM saga.execution WHERE execution_id = '$id'))
	WHERE message_id = '$id';
-- counts writes of other transactions, too
CREATE SEQUENCE written;
CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN PERFORM nextval('public.written'); RETURN NULL; END \$\$;
CREATE TRIGGER count_it AFTER UPDATE ON saga.execution FOR EACH ROW EXECUTE FUNCTION count_it();
CREATE TRIGGER count_it AFTER UPDATE ON saga.dead_letter FOR EACH ROW EXECUTE FUNCTION count_it();
ANALYZE saga.outbox;
SQL

my $list = "(SELECT not_compensated FROM saga.execution WHERE execution_id = '$id')";
my $letter = "(SELECT details->'not_compensated' FROM saga.dead_letter WHERE message_id = '$id')";
sub entries { return sql("SELECT count(*) FROM jsonb_array_elements($list) x WHERE $_[0]") }
sub write_list
{
	sql("UPDATE saga.execution SET not_compensated = (SELECT jsonb_agg($_[0] ORDER BY n) FROM jsonb_array_elements(not_compensated)
		WITH ORDINALITY l(x, n)) WHERE execution_id = '$id';
		UPDATE saga.dead_letter SET details = jsonb_set(details, '{not_compensated}', $list) WHERE message_id = '$id'");
	return;
}
my $writes = sql("SELECT nextval('written')");

# So many times the two rows have been written since the last call.
sub writes
{
	my $was = $writes;
	$writes = sql("SELECT nextval('written')");
	return $writes - $was - 1;
}

is(entries('NOT x ? \'closed\''), $many, "$many entries are open");
like(error("SET statement_timeout = '10ms'; SELECT saga.settle('books', 'ask', now())"), qr/canceling statement due to statement timeout/, 'who settles them can be stopped');
is(entries('x ? \'asked\''), 0, 'and then nothing has been done');
writes();
is(sql("SELECT saga.settle('books', 'ask', now())"), $many, 'of all it is asked anew');
is(entries('x ? \'asked\' AND x->>\'outcome\' = \'unknown\''), $many, 'as each entry says');
is(sql("SELECT $list = $letter"), 't', 'in the dead letter, too');
is(writes(), 2, 'both were written once');
is(sql("SELECT messages FROM saga.in_doubt WHERE destination = 'books'"), $many, 'they are being found out');
is(sql("SELECT saga.settle('books', 'ask', now())"), 0, 'which they are only once');
is(writes(), 0, 'without being written');

is(sql("SELECT saga.settle('books', 'unknown', now())"), $many, 'that nobody will know');
is(entries('NOT x ? \'asked\' AND x->>\'outcome\' = \'unknown\''), $many, 'each entry says at once');
is(writes(), 2, 'which was written once');
is(sql("SELECT count(*) FROM saga.outbox WHERE execution_id = '$id' AND state = 'withdrawn' AND outcome = 'in_doubt' AND outcome_by = 'person'"), $many, 'and so the records');

# some of each kind
write_list("CASE WHEN n <= 100 THEN x || '{\"closed\": true}' WHEN n <= 200 THEN x || jsonb_build_object('undoing', '$id')
	WHEN n <= 300 THEN x || '{\"outcome\": \"done\"}' ELSE x END");
writes();
is(sql("SELECT saga.settle('books', 'no_effect', now())"), $many - 300, 'that nothing was done is said of what nobody knew');
is(entries('true'), 300, 'whose entries go');
is(entries('x ? \'closed\''), 100, 'not those that were closed');
is(entries('x ? \'undoing\''), 100, 'nor those that are being undone');
is(entries('x->>\'outcome\' = \'done\''), 100, 'nor those that are known');
is(sql("SELECT $list = $letter"), 't', 'as in the dead letter');
is(writes(), 2, 'written once');
is(sql("SELECT count(*) FROM saga.outbox WHERE execution_id = '$id' AND outcome = 'no_effect'"), $many - 300, 'and so the records');

# ---------- the destination is dropped ----------

like(error("SELECT saga.drop_destination('books')"), qr/has calls that have not been undone/, 'a destination with such calls is not dropped');
like(error("SELECT saga.drop_destination('books', force => true)"), qr/has calls that have not been undone.*Somebody is working at one of them/s, 'nor by force, while some are being undone');
is(entries('x->>\'outcome\' = \'done\''), 100, 'and then nothing has been done');
write_list("x - 'undoing'");

# somebody who may operate the workflow leaves his transaction open
sql("CREATE ROLE operator LOGIN; SELECT saga.grant('workflow', 'many', 'operator', 'operate'); GRANT USAGE ON SCHEMA saga TO operator;
	GRANT EXECUTE ON FUNCTION saga.settle(uuid, text, jsonb) TO operator");
my $known = sql("SELECT x->>'message_id' FROM jsonb_array_elements($list) x WHERE x->>'outcome' = 'done' LIMIT 1");
my $operator = $node->background_psql('postgres', extra_params => [ '-U', 'operator' ]);
my $pid = $operator->query_safe('SELECT pg_backend_pid()');
$operator->query_safe("BEGIN; SELECT saga.settle('$known'::uuid, 'no_effect')");
like(error("SELECT saga.drop_destination('books', force => true)"), qr/Process $pid works at one of them.*Let that process end its transaction/s, 'who works at one is named');
$operator->query_safe('ROLLBACK');
$operator->quit;

# somebody has sent there, and not committed
my $sender = $node->background_psql('postgres');
$sender->query_safe("BEGIN; SELECT saga.publish_to('books', '{}')");
my $dropper = $node->background_psql('postgres');
$dropper->query_safe("SET lock_timeout = '600s'");
writes();
$dropper->query_until(qr/begun/, "\\echo begun\nSELECT saga.drop_destination('books', force => true);\n");
poll_until($node, 'SELECT last_value - ' . $writes . ' FROM written', '2');
pass('what it has to write is written while it waits for others');
is(entries('x->>\'outcome\' = \'done\''), 100, 'in a transaction that has not committed');
sql("SELECT saga.publish_to('books', '{}') WHERE false");
$sender->query_safe('ROLLBACK');
$sender->quit;
$dropper->quit;
is(sql("SELECT count(*) FROM saga.destination WHERE name = 'books'"), 0, 'then it is dropped');
is(entries('x->>\'outcome\' = \'unknown\''), 300, 'and nobody knows of its calls');
is(entries('x ? \'closed\''), 100, 'of which some were closed before');
is(sql("SELECT $list = $letter"), 't', 'as in the dead letter');
is(writes(), 2, 'with the lock nothing more was written');

$node->stop;
done_testing();
