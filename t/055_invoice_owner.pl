# Whose workflow an invoice goes through: never that of a role which took its name first, whatever
# an administrator does then, and not that of a first submitter beside an administrator.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

# the server takes messages with the credentials of its environment
$ENV{AWS_ACCESS_KEY_ID} = 'test';
$ENV{AWS_SECRET_ACCESS_KEY} = 'test';

my $aws = start_fauxqs();
my $node = new_saga_node('owner', 'pg_saga.workers = 2');
$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; CREATE ROLE invoice_owner LOGIN; CREATE ROLE other LOGIN');

# Her step does what she likes with the rights that it has, and keeps what it can get.
my $step = <<'SQL';
CREATE TABLE mallory.loot (who text, what text);
GRANT INSERT ON mallory.loot TO PUBLIC;
CREATE FUNCTION mallory.gotcha(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO mallory.loot VALUES (current_user, input::text);
	BEGIN
		INSERT INTO mallory.loot SELECT current_user, document::text FROM invoice_submission;
	EXCEPTION WHEN OTHERS THEN NULL;
	END;
	BEGIN
		ALTER ROLE mallory SUPERUSER;
	EXCEPTION WHEN OTHERS THEN NULL;
	END;
	RETURN '{}';
END $$;
GRANT EXECUTE ON FUNCTION mallory.gotcha(jsonb) TO PUBLIC;
SQL
my $definition = '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:mallory.gotcha", "End": true}}}';

sub document { return encode_json({ number => $_[0], seller => { name => 'Owner' } }) }

# A database in which mallory has taken both names, before the application is there.
sub taken
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION pg_saga; CREATE SCHEMA mallory AUTHORIZATION mallory; GRANT USAGE ON SCHEMA mallory TO PUBLIC;
		GRANT USAGE ON SCHEMA saga TO mallory; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO mallory;
		GRANT SELECT ON saga.executions, saga.dead_letters, saga.queues TO mallory');
	$node->safe_psql($name, $step . "SELECT saga.create_workflow(name, '$definition') FROM unnest('{invoice,invoice-inbox}'::text[]) name",
		extra_params => [ '-U', 'mallory' ]);
	$node->safe_psql($name, 'CREATE EXTENSION pg_invoice');
	return $name;
}

sub rows { my ($db, $sql) = @_; return $node->safe_psql($db, $sql) }

sub attempt
{
	my ($db, $sql) = @_;
	my $err = '';
	$node->psql($db, $sql, stderr => \$err);
	return $err;
}

# Everything has ended, and mallory has nothing of it.
sub nothing_of_hers
{
	my ($db, $what) = @_;
	my $hers = "workflow_id IN (SELECT workflow_id FROM saga.workflow WHERE owner = 'mallory'::regrole)";
	poll_until($node, "SELECT count(*) FROM saga.message WHERE kind <> 'm'", '0', $db);
	poll_until($node, 'SELECT count(*) FROM saga.continuation', '0', $db);
	is(rows($db, 'SELECT * FROM mallory.loot'), '', "$what: nothing of hers runs, and no document reaches her");
	is(rows($db, "SELECT count(*) FROM saga.execution WHERE $hers"), '0', "$what: nothing goes through her workflows");
	is(rows($db, "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'"), 'f', "$what: she is no superuser");
	is(rows($db, "SELECT count(*) FROM pg_class c, pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e' AND c.relname LIKE 'invoice%'
			AND (has_table_privilege('mallory', c.oid, 'SELECT, INSERT, UPDATE, DELETE') OR has_any_column_privilege('mallory', c.oid, 'SELECT, UPDATE'))"),
		'0', "$what: she may read and write no table");
	is(rows($db, "SELECT count(*) FROM pg_proc p WHERE p.proname LIKE 'invoice%' AND has_function_privilege('mallory', p.oid, 'EXECUTE')"),
		'0', "$what: and call no function");
	is(rows($db, "SELECT count(*) FROM saga.workflow WHERE owner = 'mallory'::regrole"), '2', "$what: her workflows are hers");
	return;
}

sub owners { return rows($_[0], "SELECT string_agg(DISTINCT w.owner::text, ' ') FROM invoice_setting s JOIN saga.workflow w ON w.workflow_id IN (s.workflow_id, s.inbox_workflow_id)") }

# ---------- what an administrator does ----------

my $db = taken('named');
is(attempt($db, "SELECT invoice_setup('invoice_owner')"), '', 'invoice_setup of a role');
rows($db, "SELECT invoice_submit('@{[ document('N-1') ]}')");
poll_until($node, 'SELECT status FROM invoice_tracking', 'failed', $db);
is(rows($db, 'SELECT reason FROM invoice_dlq'), 'InvoiceInvalid', 'the invoice went through what is shipped');
is(owners($db), 'invoice_owner', 'which is that role\'s');
nothing_of_hers($db, 'named');

# a client of SQS
my $queue = $aws->queue('front-door');
my $settings = encode_json({ queue_url => $queue, endpoint_url => $aws->url, region => 'us-east-1', allow_private => JSON::PP::true, wait_s => 1 });
is(attempt($db, "SELECT invoice_source('front-door', '$settings')"), '', 'invoice_source');
$aws->send_messages($queue, document('S-1'), 'no invoice');
poll_until($node, "SELECT count(*) FROM invoice_source_message", '1', $db);
poll_until($node, "SELECT count(*) FROM invoice_dlq WHERE tracking_id IS NULL", '1', $db);
is(rows($db, 'SELECT name, owner, queue FROM saga.sources'), 'front-door|invoice_owner|invoice-inbox', 'the source and its inbox are that role\'s');
nothing_of_hers($db, 'source');

# what she has is not given away by mistake
like(attempt($db, "SELECT saga.set_workflow_owner('mallory.$_', 'invoice_owner')"), qr/given away only with the hash of its definition/,
	"her $_ is not given away without its hash")
  foreach 'invoice', 'invoice-inbox';
like(attempt($db, "SELECT saga.set_workflow_owner('mallory.invoice', 'invoice_owner', encode(sha256('{}'), 'hex'))"), qr/another definition than that of the hash/,
	'nor with that of another definition');
rows($db, "SELECT saga.drop_source('invoice_owner.front-door')");
nothing_of_hers($db, 'given');

$db = taken('unnamed');
like(attempt($db, 'SELECT invoice_setup()'), qr/a superuser must name the role/, 'invoice_setup without a role is refused to a superuser');
like(attempt($db, "SELECT invoice_source('front-door', '$settings')"), qr/a superuser must name the role/, 'and so is invoice_source before it');
rows($db, "SELECT invoice_submit('@{[ document('U-1') ]}')");
poll_until($node, 'SELECT status FROM invoice_tracking', 'failed', $db);
is(owners($db), rows($db, 'SELECT current_user'), 'the first invoice makes the workflows for the owner of the extension');
nothing_of_hers($db, 'unnamed');
is(attempt($db, "SELECT saga.create_source('front-door', 'sqs', '$settings', 'invoice')"), '', 'a source that a superuser makes by itself');
is(rows($db, "SELECT owner FROM saga.workflow WHERE workflow_id = (SELECT queue_id FROM saga.source)"), rows($db, 'SELECT current_user'), 'has an inbox of his own');
rows($db, "SELECT saga.drop_source('front-door')");
is(attempt($db, "SELECT invoice_setup('invoice_owner')"), '', 'invoice_setup afterwards');
is(owners($db), 'invoice_owner', 'gives away what there is');
nothing_of_hers($db, 'afterwards');

# ---------- at the same time ----------

$db = taken('race');
my $admin = $node->background_psql($db);
my $shop = $node->background_psql($db);
my $waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'";
$admin->query_safe("BEGIN; SELECT invoice_setup('invoice_owner')");
$shop->query_until(qr/begun/, "\\echo begun\nSELECT invoice_submit('@{[ document('R-1') ]}');\n\\echo ended\n");
poll_until($node, $waits, '1', $db);
$admin->query_safe('COMMIT');
$shop->query_until(qr/ended/, "\n");
is(owners($db), 'invoice_owner', 'a first submitter beside invoice_setup takes nothing from the role that was named');

# in REPEATABLE READ it cannot see what the other has made, and is to try again
rows('postgres', 'CREATE DATABASE snapshot');
rows('snapshot', 'CREATE EXTENSION pg_invoice CASCADE');
my ($first, $second) = map { $node->background_psql('snapshot', on_error_stop => 0) } 1 .. 2;
foreach my $role ('invoice_owner', 'postgres')
{
	my $name = $role eq 'postgres' ? rows('snapshot', 'SELECT current_user') : $role;
	my $submit = "SELECT invoice_submit('@{[ document('P-1') ]}')";
	rows('snapshot', 'DROP EXTENSION pg_saga CASCADE; CREATE EXTENSION pg_invoice CASCADE');
	$second->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM invoice_submission');
	$first->query_safe("SELECT invoice_setup('$name')");
	like($second->query_until(qr/state \w+/, "$submit;\n\\echo state :SQLSTATE\n"), qr/state 40001/, "an older snapshot beside invoice_setup('$role')");
	$second->{stderr} = '';
	$second->query_safe('ROLLBACK');
	is(attempt('snapshot', $submit), '', 'and again');
	is(owners('snapshot'), $name, 'with the role that was named');
}

# ---------- dump and restore ----------

$db = 'named';
rows($db, "SELECT saga.create_workflow('invoice', jsonb_set(invoice_definition(), '{Comment}', '\"ours\"'), 'invoice_owner')");
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr($db) ], 'pg_dump');
rows('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'restored');
is(rows('restored', 'SELECT workflow_id, inbox_workflow_id, current FROM invoice_setting'), rows($db, 'SELECT workflow_id, inbox_workflow_id, current FROM invoice_setting'),
	'the setup is there');
is(owners('restored'), 'invoice_owner', 'of the same role');
rows('restored', "SELECT invoice_setup(), invoice_submit('@{[ document('D-1') ]}')");
poll_until($node, "SELECT status FROM invoice_tracking WHERE number = 'D-1'", 'failed', 'restored');
is(rows('restored', "SELECT reason FROM invoice_dlq WHERE number = 'D-1'"), 'InvoiceInvalid', 'it goes on, with the rights that it had');
is(rows('restored', "SELECT version, definition ->> 'Comment' FROM saga.workflows WHERE name = 'invoice' AND owner = 'invoice_owner'::regrole"), '2|ours', 'and with its own definition');
nothing_of_hers('restored', 'restored');

$_->quit foreach $admin, $shop, $first, $second;
$node->stop;
done_testing();
