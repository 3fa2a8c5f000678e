# invoice_setup is run by one session at a time, and held up by nobody who may not run it.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $node = new_saga_node('setup', "pg_saga.databases = 'no_such_database'");
create_extensions($node);

# Only what waits for a lock is given up.
my $patient = "SET lock_timeout = '30s'";

sql('CREATE ROLE stranger LOGIN; CREATE ROLE auditor LOGIN; CREATE ROLE invoice_owner LOGIN;
	GRANT SELECT ON invoice, invoice_line, invoice_vat, invoice_approval, invoice_document_history, invoice_submission TO auditor;
	GRANT EXECUTE ON FUNCTION saga.make_id() TO invoice_owner');

# ---------- held up by nobody ----------

my $stranger = $node->background_psql('postgres', extra_params => [ '-U', 'stranger' ]);
# every number that a lock on one of our tables or functions may have been made of
$stranger->query_safe("SELECT count(pg_advisory_lock(oid::bigint)) FROM (SELECT oid FROM pg_class WHERE relname LIKE 'invoice%'
	UNION ALL SELECT oid FROM pg_proc WHERE proname LIKE 'invoice%' UNION ALL SELECT oid FROM pg_namespace) AS o");
my $auditor = $node->background_psql('postgres', extra_params => [ '-U', 'auditor' ]);
$auditor->query_safe('BEGIN; SELECT FROM invoice_document_history, invoice_submission, invoice_approval, invoice');
my ($rc, $out, $err) = $node->psql('postgres', "$patient; SELECT invoice_setup('invoice_owner')");
is($err, '', 'strangers with advisory locks and readers with open transactions do not hold it up');
is(sql('SELECT invoice_workflow_owner()'), 'invoice_owner', 'the workflow is there');

my $owner = $node->background_psql('postgres', extra_params => [ '-U', 'invoice_owner' ]);
$owner->query_safe("BEGIN; UPDATE invoice_submission SET attempts = attempts; SELECT FROM invoice_approval_limit;
	INSERT INTO invoice_approval (token, tracking_id, execution_id, reason) VALUES ('t', saga.make_id(), saga.make_id(), 'r')");
($rc, $out, $err) = $node->psql('postgres', "$patient; SELECT invoice_setup('invoice_owner')");
is($err, '', 'nor does the owner of the workflow, whose step is not over');
$owner->query_safe('ROLLBACK');

# the lock itself, and every mode that it conflicts with
my ($table, $mode) = split /\|/, sql(<<'SQL') =~ s/\s//gr;
BEGIN;
SELECT invoice_setup();
SELECT relation::regclass || '|' || mode FROM pg_locks JOIN pg_class c ON c.oid = relation
 WHERE pid = pg_backend_pid() AND mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
   AND relname LIKE 'invoice%';
COMMIT;
SQL
is($mode, 'ShareUpdateExclusiveLock', "it locks a table, $table");
foreach my $role ('stranger', 'auditor', 'invoice_owner')
{
	foreach my $lock ('SHARE UPDATE EXCLUSIVE', 'SHARE', 'ACCESS EXCLUSIVE')
	{
		($rc, $out, $err) = $node->psql('postgres', "BEGIN; LOCK TABLE $table IN $lock MODE", extra_params => [ '-U', $role ]);
		like($err, qr/permission denied/, "which $role cannot lock: $lock");
	}
}

# ---------- one at a time ----------

sql('CREATE DATABASE fresh');
create_extensions($node, 'fresh');
my $first = $node->background_psql('fresh');
my $second = $node->background_psql('fresh');
$first->query_safe("BEGIN; SELECT invoice_setup('invoice_owner')");
$second->query_until(qr/begun/, "\\echo begun\nSELECT invoice_submit('{\"number\": \"1\", \"seller\": {\"name\": \"S\"}}');\n\\echo ended\n");
poll_until($node, "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND relation <> 0", '1');
$first->query_safe('COMMIT');
$second->query_until(qr/ended/, "\n");
is($node->safe_psql('fresh', 'SELECT count(*), max(version) FROM saga.workflow_version'), '2|1', 'two at once make one version of each workflow');

$_->quit foreach $stranger, $auditor, $owner, $first, $second;
$node->stop;
done_testing();
