# Nobody keeps others from working by a lock that he has no right to: what the server locks before
# it looks at rights is refused in time, and no SQL names the lock that keeps the extension while work
# is being done. Whoever may drop or update the extension still waits for the batches that run.
#
# "Refused in time": with everything locked in front, so that a command that locks first would wait.
# It would end with 55P03 (lock_timeout) in place of 42501, on a slow machine too.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;
use Saga::Work;

my $node = new_saga_node('main', 'pg_saga.workers = 2', "deadlock_timeout = '200ms'", 'wal_level = logical');
create_extensions($node);
add_role($node, 'postgres', $_) foreach 'alice', 'mallory';
add_workflow($node, 'postgres', 'alice', 'wf');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE stranger LOGIN;
GRANT SELECT ON saga.executions, saga.queues TO mallory;
GRANT CREATE ON DATABASE postgres TO mallory;
CREATE SCHEMA strange AUTHORIZATION stranger;
CREATE SCHEMA mal AUTHORIZATION mallory;
SET ROLE mallory;
CREATE TABLE mal.t (queue_id int, id uuid, PRIMARY KEY (queue_id, id));
CREATE TABLE mal.p (queue_id int, id uuid) PARTITION BY LIST (queue_id);
CREATE INDEX p_index ON mal.p (queue_id, id);
CREATE MATERIALIZED VIEW mal.mv AS SELECT 1 AS a;
CREATE PROCEDURE mal.proc() LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION mal.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION mal.trap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER tr BEFORE INSERT ON mal.t FOR EACH ROW EXECUTE FUNCTION mal.trap();
CREATE PUBLICATION pub;
SELECT saga.create_queue('mq');
SET ROLE stranger;
CREATE FUNCTION strange.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
SQL

my $x = 0;

# alice starts an execution and it ends.
sub alice_works
{
	my ($name) = @_;
	$x++;
	$node->safe_psql('postgres', "SELECT saga.start_execution('wf', '{\"x\": $x}')", extra_params => [ '-U', 'alice' ]);
	ok(poll_until($node, "SELECT count(*) FROM public.done WHERE x = $x", '1'), $name);
	return;
}

alice_works('alice works');

# ---------- refused in time ----------

my $front = $node->background_psql('postgres');
my $locks = $node->safe_psql('postgres', <<'SQL');
SELECT string_agg(format(CASE relkind WHEN 'r' THEN 'LOCK TABLE %1$s IN SHARE UPDATE EXCLUSIVE MODE; SELECT count(*) FROM %1$s;'
	ELSE 'LOCK TABLE %1$s IN ACCESS SHARE MODE;' END, objid::regclass), ' ')
FROM pg_depend d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE extname IN ('pg_saga', 'pg_invoice') AND relkind IN ('r', 'v')
SQL
$front->query_safe("BEGIN; SET enable_seqscan = off; $locks
	EXPLAIN SELECT FROM saga.message WHERE queue_id = 1 AND id IS NULL;
	LOCK TABLE pg_catalog.pg_class IN SHARE UPDATE EXCLUSIVE MODE;
	SELECT saga.send('mallory.mq', '{}')");
my $mallory = $node->background_psql('postgres', extra_params => [ '-U', 'mallory' ]);
$mallory->query_safe("BEGIN; SELECT saga.send('mq', '{}'); SELECT count(*) FROM saga.executions");

# Each in a transaction of its own.
sub refused
{
	my ($role, @commands) = @_;
	foreach my $sql (@commands)
	{
		my ($rc, $out, $err) = $node->psql('postgres', "SET lock_timeout = '1s'; BEGIN; $sql",
			extra_params => [ '-U', $role, '-v', 'VERBOSITY=sqlstate' ]);
		like($err, qr/ERROR:  42501/, "$role: $sql");
	}
	return;
}

my @of_extension = (
	'DROP EXTENSION pg_saga', 'DROP EXTENSION pg_saga CASCADE', 'DROP EXTENSION IF EXISTS pg_invoice, pg_saga',
	'ALTER EXTENSION pg_saga UPDATE', q(COMMENT ON EXTENSION pg_saga IS 'x'));
refused('stranger', @of_extension, (map { "ALTER FUNCTION strange.f() $_" } 'DEPENDS ON EXTENSION pg_saga',
		'NO DEPENDS ON EXTENSION pg_saga', 'DEPENDS ON EXTENSION pg_invoice'),
	'CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS $$SELECT 1$$; ALTER FUNCTION pg_temp.f() DEPENDS ON EXTENSION pg_saga',
	q(DO $do$ BEGIN EXECUTE 'ALTER FUNCTION strange.f() DEPENDS ON EXTENSION pg_saga'; END $do$),
	'ALTER MATERIALIZED VIEW public.invoice_submission DEPENDS ON EXTENSION plpgsql',
	'CREATE RULE r AS ON INSERT TO public.invoice_submission DO INSTEAD NOTHING',
	'CREATE RULE r AS ON INSERT TO pg_catalog.pg_class DO INSTEAD NOTHING',
	'ALTER INDEX pg_catalog.pg_class_oid_index DEPENDS ON EXTENSION plpgsql',
	q(COMMENT ON TABLE pg_catalog.pg_class IS 'x'),
	'CREATE RULE r AS ON INSERT TO saga.message DO INSTEAD NOTHING', 'DROP OWNED BY postgres');
refused('mallory', @of_extension,
	(map { "ALTER $_ DEPENDS ON EXTENSION pg_saga" } 'FUNCTION mal.f()', 'ROUTINE mal.f()', 'PROCEDURE mal.proc()',
		'TRIGGER tr ON mal.t', 'INDEX mal.t_pkey', 'MATERIALIZED VIEW mal.mv'),
	(map { "ALTER $_ DEPENDS ON EXTENSION plpgsql" } 'MATERIALIZED VIEW saga.message', 'INDEX saga.message',
		'INDEX saga.message_pkey', 'TRIGGER workflow_changed ON saga.workflow', 'FUNCTION saga.drop_queue(text)'),
	'CREATE RULE r AS ON INSERT TO saga.message DO INSTEAD NOTHING',
	'CREATE OR REPLACE RULE "_RETURN" AS ON SELECT TO saga.executions DO INSTEAD SELECT 1',
	'CREATE TRIGGER t BEFORE INSERT ON saga.message FOR EACH ROW EXECUTE FUNCTION mal.trap()',
	'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON saga.message FOR EACH ROW EXECUTE FUNCTION mal.trap()',
	'CREATE OR REPLACE TRIGGER workflow_changed AFTER INSERT ON saga.workflow FOR EACH ROW EXECUTE FUNCTION mal.trap()',
	'CREATE TRIGGER t INSTEAD OF INSERT ON saga.executions FOR EACH ROW EXECUTE FUNCTION mal.trap()',
	'ALTER TABLE mal.p ATTACH PARTITION saga.message DEFAULT', 'ALTER TABLE mal.p DETACH PARTITION saga.message',
	'ALTER TABLE mal.p DETACH PARTITION saga.message FINALIZE', 'ALTER INDEX mal.p_index ATTACH PARTITION saga.message_pkey',
	'ALTER TABLE mal.t INHERIT saga.message', 'CREATE TABLE mal.n () INHERITS (saga.message)',
	'CREATE TABLE mal.n PARTITION OF saga.message DEFAULT', 'CREATE TABLE mal.n (x uuid REFERENCES saga.execution)',
	'CREATE TABLE mal.n (x uuid, FOREIGN KEY (x) REFERENCES saga.execution)',
	'CREATE SCHEMA mals CREATE TABLE n (x uuid REFERENCES saga.execution)',
	'ALTER TABLE mal.t ADD FOREIGN KEY (queue_id, id) REFERENCES saga.message NOT VALID',
	'ALTER TABLE mal.t ADD COLUMN x uuid REFERENCES saga.execution',
	'CREATE STATISTICS mal.st ON queue_id, id FROM saga.message', 'CREATE PUBLICATION p2 FOR TABLE mal.t, saga.message',
	'ALTER PUBLICATION pub ADD TABLE saga.message', q(COMMENT ON TABLE saga.message IS 'x'),
	q(COMMENT ON COLUMN saga.message.id IS 'x'), q(COMMENT ON VIEW saga.executions IS 'x'));

# what the server itself refuses in time stays so
refused('mallory', 'LOCK TABLE saga.message', 'LOCK TABLE saga.executions IN SHARE MODE', 'TRUNCATE saga.message', 'DROP TABLE saga.message',
	'DROP SCHEMA saga CASCADE', 'ALTER TABLE saga.message ADD COLUMN x int', 'ALTER TABLE saga.message RENAME TO x',
	'ALTER VIEW saga.executions RENAME COLUMN workflow TO x', 'CREATE OR REPLACE VIEW saga.executions AS SELECT 1',
	'CREATE INDEX ON saga.message (sent_at)', 'REINDEX TABLE saga.message', 'CLUSTER saga.message USING message_pkey',
	'CREATE POLICY p ON saga.message', 'DROP TRIGGER workflow_changed ON saga.workflow', 'DROP INDEX saga.message_pkey',
	'REFRESH MATERIALIZED VIEW saga.message', 'REASSIGN OWNED BY postgres TO mallory', 'SELECT FROM saga.message FOR UPDATE');
alice_works('alice works with all of that in front');
$front->query_safe('ROLLBACK');

# whoever has the right still can
$node->safe_psql('postgres', <<'SQL');
GRANT REFERENCES ON saga.execution TO mallory;
SET ROLE mallory;
BEGIN;
CREATE TABLE mal.n (x uuid REFERENCES saga.execution);
COMMENT ON TABLE mal.t IS 'x';
CREATE RULE r AS ON UPDATE TO mal.t DO INSTEAD NOTHING;
ALTER FUNCTION mal.f() DEPENDS ON EXTENSION plpgsql;
ALTER TABLE mal.p ATTACH PARTITION mal.t DEFAULT;
ROLLBACK;
RESET ROLE;
REVOKE REFERENCES ON saga.execution FROM mallory;
SQL

# ---------- rights that are not enough ----------

# A trigger would run with the rights of the owner of the extension, whoever inserts.
$node->safe_psql('postgres', 'GRANT ALL ON saga.message, saga.executions, public.invoice_submission TO mallory');
refused('mallory', map { "CREATE TRIGGER t $_ EXECUTE FUNCTION mal.trap()" } 'BEFORE INSERT ON saga.message FOR EACH ROW',
	'BEFORE INSERT ON saga.message', 'INSTEAD OF UPDATE ON saga.executions FOR EACH ROW', 'AFTER INSERT ON public.invoice_submission FOR EACH ROW');
$node->safe_psql('postgres', 'REVOKE ALL ON saga.message, saga.executions, public.invoice_submission FROM mallory');

# Who sets something for his own role in the database shares the lock on it; who drops, renames or moves it would wait for that,
# and everybody who connects would wait behind.
$node->safe_psql('postgres', 'CREATE DATABASE other');
my $setting = $node->background_psql('postgres', extra_params => [ '-U', 'stranger' ]);
$setting->query_safe("BEGIN; ALTER ROLE stranger IN DATABASE postgres SET work_mem = '5MB'");
foreach my $sql ('DROP DATABASE postgres', 'DROP DATABASE postgres WITH (FORCE)', 'ALTER DATABASE postgres RENAME TO x',
	'ALTER DATABASE postgres SET TABLESPACE pg_default', 'ALTER DATABASE postgres CONNECTION LIMIT 0')
{
	my ($rc, $out, $err) = $node->psql('other', $sql, extra_params => [ '-U', 'stranger', '-v', 'VERBOSITY=sqlstate' ],
		connstr => $node->connstr('other') . " options='-c lock_timeout=1s'");
	like($err, qr/ERROR:  42501/, "stranger: $sql");
}
$setting->query_safe('ROLLBACK');
$setting->quit;
$node->safe_psql('postgres', 'DROP DATABASE other');

# ---------- held, not asked for ----------

# over disconnects and restarts
$node->psql('postgres', q(BEGIN; ALTER FUNCTION mal.f() DEPENDS ON EXTENSION pg_saga; PREPARE TRANSACTION 'hers'),
	extra_params => [ '-U', 'mallory' ]);
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0', 'no lock of mallory\'s is prepared');
alice_works('alice works after an attempt to prepare one');

# Even who may hold the server's lock on the extension holds up nothing of ours.
$node->safe_psql('postgres', q(BEGIN; ALTER FUNCTION mal.f() DEPENDS ON EXTENSION pg_saga; PREPARE TRANSACTION 'held'));
alice_works('alice works while the extension\'s object is locked');
$node->restart;
alice_works('and after a restart');
$node->safe_psql('postgres', q(ROLLBACK PREPARED 'held'));

# ---------- dropped and updated by its owner ----------

# Starts an execution that stops in its step; returns the session that keeps it there. At first a step gives up such a
# wait after 10 ms (pg_saga.lock_timeout); its execution is run again alone, where it stays: that is waited for.
sub stop_in_step
{
	my $gate = $node->background_psql('postgres');
	$gate->query_safe('BEGIN; LOCK TABLE public.gate IN ACCESS EXCLUSIVE MODE');
	$x++;
	$node->safe_psql('postgres', "SELECT saga.start_execution('wf', '{\"x\": $x, \"gate\": true}')", extra_params => [ '-U', 'alice' ]);
	poll_until($node, "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'public.gate'::regclass AND NOT granted
		AND clock_timestamp() - waitstart > '200 ms'");
	return $gate;
}

# Runs the command in the background.
sub begin
{
	my ($sql, @params) = @_;
	my %run = (out => '', err => '');
	$run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), @params, '-c', $sql ], '<', \undef,
		'>', \$run{out}, '2>', \$run{err});
	return \%run;
}

# ... until it waits for our lock on the extension; part 1 of an object that SQL knows as a whole.
sub waits_for_extension
{
	my ($mode, $name) = @_;
	return ok(poll_until($node, "SELECT count(*) > 0 FROM pg_locks WHERE classid = 'pg_extension'::regclass AND objsubid = 1
		AND mode = '$mode' AND NOT granted"), $name);
}

sub finish
{
	my ($run) = @_;
	IPC::Run::finish($run->{handle});
	return $run->{err};
}

my $done = "SELECT count(*) FROM public.done WHERE x = ";
my $there = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_saga'";
my ($gate, $command, $late);

foreach my $sql ('ALTER EXTENSION pg_saga UPDATE', 'BEGIN; DROP EXTENSION pg_saga CASCADE; ROLLBACK')
{
	$gate = stop_in_step();
	$command = begin($sql);
	waits_for_extension('AccessExclusiveLock', "$sql: waits for the batch");
	is($node->safe_psql('postgres', "$done $x"), '0', 'which is not finished');
	refused('stranger', 'DROP EXTENSION pg_saga');
	$gate->quit;
	unlike(finish($command), qr/ERROR|FATAL/, "$sql: works when the batch has ended");
	is($node->safe_psql('postgres', "$done $x"), '1', 'and the batch was committed');
	alice_works("$sql: alice works afterwards");
}

# What begins meanwhile waits, and then sees that the extension is gone.
sub drop_by_owner
{
	my ($sql, @params) = @_;
	$gate = stop_in_step();
	$command = begin($sql, @params);
	waits_for_extension('AccessExclusiveLock', "$sql: waits for the batch");
	$late = begin(q(SELECT saga.send('mallory.mq', '{}')));
	waits_for_extension('AccessShareLock', 'and who begins now waits for it');
	$gate->quit;
	unlike(finish($command), qr/ERROR|FATAL/, "$sql: works when the batch has ended");
	like(finish($late), qr/extension "pg_saga" does not exist/, 'who came late is told so');
	is($node->safe_psql('postgres', "$done $x"), '1', 'the batch was committed');
	is($node->safe_psql('postgres', $there), '0', 'the extension is gone');
	workers_gone($node, 'postgres');
	return;
}

sub create_again
{
	my ($as) = @_;
	$node->safe_psql('postgres', "CREATE EXTENSION pg_saga", extra_params => [ '-U', $as ]);
	add_role($node, 'postgres', $_) foreach 'alice', 'mallory';
	add_workflow($node, 'postgres', 'alice', 'wf');
	$node->safe_psql('postgres', q(SET ROLE mallory; SELECT saga.create_queue('mq')));
	alice_works("created again, by $as");
	return;
}

$mallory->quit;
drop_by_owner('DROP EXTENSION pg_saga CASCADE');

# The extension belongs to a role whose things are dropped.
$node->safe_psql('postgres', 'CREATE ROLE dba LOGIN SUPERUSER; CREATE ROLE heir');
create_again('dba');
drop_by_owner('DROP OWNED BY dba CASCADE');
create_again('dba');
$gate = stop_in_step();
$command = begin('REASSIGN OWNED BY dba TO heir');
waits_for_extension('AccessExclusiveLock', 'REASSIGN OWNED: waits for the batch');
$gate->quit;
is(finish($command), '', 'REASSIGN OWNED: works when the batch has ended');
is($node->safe_psql('postgres', "$done $x"), '1', 'and the batch was committed');
$node->safe_psql('postgres', 'REASSIGN OWNED BY heir TO postgres');
alice_works('alice works afterwards');

# By something that it depends on: all tables are locked before it is known that the extension goes.
# If the batch needs one of them, one of the two is ended, and nothing is half done.
$node->safe_psql('postgres', <<'SQL');
CREATE DOMAIN public.d AS int;
CREATE FUNCTION public.of_d(public.d) RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER EXTENSION pg_saga ADD FUNCTION public.of_d(public.d);
SQL
$gate = stop_in_step();
$command = begin('DROP DOMAIN public.d CASCADE');
poll_until($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'DROP DOMAIN%' AND wait_event_type = 'Lock'");
$gate->quit;
my $error = finish($command);
if ($node->safe_psql('postgres', $there) eq '1')
{
	like($error, qr/deadlock detected/, 'dropped by a cascade: gave way to the batch');
	ok(poll_until($node, "$done $x", '1'), 'which ended');
	$node->safe_psql('postgres', 'DROP DOMAIN public.d CASCADE');
}
else
{
	unlike($error, qr/ERROR|FATAL/, 'dropped by a cascade, after the batch or in its place');
}
is($node->safe_psql('postgres', $there), '0', 'the extension is gone');
workers_gone($node, 'postgres');
create_again('postgres');

$node->stop('fast');
done_testing();
