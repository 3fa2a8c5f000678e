# The spelling of invoice numbers in databases of other encodings, and of what was there before an update; and
# that a number of 0.1 which was taken although something may stand asks for a person.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $node = new_saga_node('main', "pg_saga.databases = 'none'");

# ---------- encodings ----------

foreach my $encoding (qw(LATIN1 SQL_ASCII EUC_JP UTF8))
{
	my $name = lc $encoding;
	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	create_extensions($node, $name);
	is($node->safe_psql($name, q(SELECT bool_and(invoice_number_key(n) = 'SOME1') FROM unnest(ARRAY['some-1', E'SO\x01ME\x7F/1', E'Some\t1', 'S.O.M.E. 1']) n)),
		't', "$encoding: one spelling");
	is($node->safe_psql($name, q(SELECT invoice_number_key(convert_from('\xE9', 'LATIN1') || '-1') <> invoice_number_key('E1'))), 't', "$encoding: letters stay")
	  if $encoding eq 'LATIN1' || $encoding eq 'UTF8';
}
is($node->safe_psql('utf8', "SELECT invoice_number_key(U&'some\\31641')"), 'SOME1', 'UTF8: what nobody sees does not count');

# ---------- what 0.1 has ----------

$node->safe_psql('postgres', 'CREATE ROLE invoicer LOGIN; CREATE DATABASE old TEMPLATE template0 ENCODING \'UTF8\' LC_COLLATE \'C\' LC_CTYPE \'C\'');
$node->safe_psql('old', <<'SQL');
CREATE EXTENSION pg_saga VERSION '0.1';
CREATE EXTENSION pg_invoice VERSION '0.1';
INSERT INTO saga.queue (queue_id, name, kind, owner) VALUES (1, 'invoice', 'w', 'invoicer'::regrole);
INSERT INTO saga.workflow (workflow_id, name, owner, version) VALUES (1, 'invoice', 'invoicer'::regrole, 1);
INSERT INTO saga.workflow_version (workflow_id, version, definition, created_by) VALUES (1, 1, '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', 'invoicer');
GRANT SELECT ON invoice_submission TO invoicer;
CREATE FUNCTION submitted(number text, superseded timestamptz) RETURNS uuid LANGUAGE sql AS $$
	INSERT INTO invoice_submission (tracking_id, execution_id, seller_key, number, seller, superseded_at, document)
		SELECT id, id, 'name:s', $1, 'S', $2, json_build_object('number', $1, 'seller', json_build_object('name', 'S'))
		FROM gen_random_uuid() id RETURNING tracking_id $$;
SELECT submitted('A1', NULL), submitted(U&'A\31641', NULL), submitted('B1', now()), submitted('C1', now()), submitted('D1', NULL);
INSERT INTO saga.execution (execution_id, workflow_id, version, started_at, stopped_at, status)
	SELECT execution_id, 1, 1, now(), now(), 'f' FROM invoice_submission WHERE number IN ('B1', 'C1', 'D1');
INSERT INTO saga.dead_letter (dead_letter_id, queue_id, message_id, kind, reason, receives, failed_at, details)
	SELECT gen_random_uuid(), 1, execution_id, 's', 'Saga.CompensationFailed', 1, now(), '{"not_compensated": [{"state": "Pay", "error": "X"}]}'
	FROM invoice_submission WHERE number IN ('C1', 'D1');
SQL
$node->safe_psql('old', 'ALTER EXTENSION pg_saga UPDATE; ALTER EXTENSION pg_invoice UPDATE');
is($node->safe_psql('old', "SELECT string_agg(concat_ws(' ', number_key, possible_duplicate), ',' ORDER BY submitted_at) FROM invoice_submission"),
	'A1 f,A1 t,B1 f,C1 t,D1 f', 'numbers have their keys, and the ones in doubt are known');
$node->safe_psql('old', q(SELECT invoice_submit(json_build_object('number', n, 'seller', '{"name": "S"}'::json)) FROM unnest('{B1,C1,d-1}'::text[]) n));
is($node->safe_psql('old', "SELECT string_agg(concat_ws(' ', number, possible_duplicate), ',' ORDER BY number) FROM invoice_submission WHERE attempts = 1 AND superseded_at IS NULL AND number IN ('B1', 'C1', 'd-1')"),
	'B1 f,C1 t,d-1 t', 'who takes the number of one that may stand is asked for');
my ($rc, $out, $err) = $node->psql('old', q(SELECT invoice_submit('{"number": "D1", "seller": {"name": "S"}, "note": "another"}')));
like($err, qr/may still stand\nDETAIL:  It ended without success, and this has not been undone: Pay \(nobody knows/, 'or refused');

done_testing();
