# Owners that go: the database that has something of theirs does not let them, REASSIGN OWNED takes it along, and
# what waits is run by the heir.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $node = new_saga_node('owners', 'pg_saga.sweep_interval = 0');

# The error of a statement that fails.
sub refused
{
	my ($sql, $db) = @_;
	my ($rc, $out, $err) = $node->psql($db // 'postgres', $sql);
	return $rc == 0 ? 'it was done' : $err;
}

sql('CREATE EXTENSION pg_saga; CREATE DATABASE other; CREATE ROLE plain');
add_role($node, 'postgres', $_) foreach 'app', 'heir';
add_workflow($node, 'postgres', 'app', 'wf');
add_workflow($node, 'postgres', 'app', 'w "odd".x');
sql('GRANT SELECT, INSERT ON done TO heir; GRANT SELECT ON gate TO heir; REVOKE CONNECT ON DATABASE postgres FROM PUBLIC; GRANT CONNECT ON DATABASE postgres TO heir');
sql(<<'SQL');
SET SESSION AUTHORIZATION app;
SELECT saga.create_queue('q');
SELECT saga.set_secret('key', 'value');
SELECT saga.create_destination('d', 'http', '{"url": "https://example.com/", "headers": {"X-Key": "{secret:key}"}}');
SELECT saga.grant('queue', 'q', 'plain', 'use');
SQL
submit($node, 'postgres', 'wf', 1);

my $owned = "destination d\nqueue q\nsecret key\nworkflow w \"odd\".x\nworkflow wf";
foreach my $command ('DROP ROLE plain, app', 'DROP OWNED BY app')
{
	my $error = refused($command);
	like($error, qr/role "app", which owns objects of pg_saga in this database/, "$command is refused");
	like($error, qr/DETAIL:  \Q$owned\E\n/, 'with what there is');
	like($error, qr/HINT:  REASSIGN OWNED BY app/, 'and what to do');
}
is(sql(q{SELECT count(*) FROM pg_roles WHERE rolname IN ('app', 'plain')}), '2', 'all of them are there');
like(refused('SET SESSION AUTHORIZATION plain; DROP OWNED BY app'), qr/permission denied/, 'who may not is told no more than that');

sql('REASSIGN OWNED BY app TO heir');
is(sql(q{SELECT string_agg(DISTINCT owner::text, ',') FROM (SELECT owner FROM saga.queue UNION ALL SELECT owner FROM saga.workflow
	UNION ALL SELECT owner FROM saga.destination UNION ALL SELECT owner FROM saga.secret UNION ALL SELECT object_owner FROM saga.reference WHERE object_owner IS NOT NULL) o}),
	'heir', 'REASSIGN OWNED takes everything along');
is(sql(q{SELECT count(*) FROM saga.object_grant}), '0', 'but no rights that were granted on it');
ok(poll_until($node, q{SELECT who FROM done WHERE x = 1}, 'heir'), 'and the heir runs what waited');
sql('DROP OWNED BY app; DROP ROLE app');

# a name that the heir has already
add_role($node, 'postgres', 'late');
sql("SET SESSION AUTHORIZATION late; SELECT saga.create_queue('q')");
my $error = refused('REASSIGN OWNED BY late TO heir');
like($error, qr/role "heir" has objects of the same names as role "late" already\nDETAIL:  queue q\nHINT:  /, 'a name that the heir has');
sql(<<'SQL');
SET SESSION AUTHORIZATION late;
SELECT saga.set_secret('key', 'other'), saga.set_secret('mine', 'value');
SELECT saga.create_destination('d', 'http', '{"url": "https://example.com/"}');
SELECT saga.create_queue('wf');
SELECT saga.bind_resource('arn:aws:lambda:eu-central-1:1:function:f', 'sql:public.work');
SET SESSION AUTHORIZATION heir;
SELECT saga.bind_resource('arn:aws:lambda:eu-central-1:1:function:f', 'sql:public.work');
SQL
$error = refused('REASSIGN OWNED BY late TO heir');
like($error, qr/DETAIL:  destination d\nqueue q\nresource arn:\S+\nsecret key\nworkflow wf\nHINT:  /, 'names of any kind');
$error = refused(q{SELECT saga.set_destination_owner('late.d', 'heir', definition_hash) FROM saga.destinations WHERE owner = 'late'::regrole});
like($error, qr/role "heir" has a destination "d" already/, 'also of one that is given away by itself');
foreach my $name ($error, refused('DROP ROLE late'), refused('REASSIGN OWNED BY late TO heir'))
{
	is(sql("SELECT count(*) > 0 FROM pg_proc WHERE pronamespace = 'saga'::regnamespace AND 'saga.' || proname = '$_'"), 't', "there is $_") foreach $name =~ /HINT:.*/ ? $& =~ /saga\.\w+/g : ();
}
sql(q{SET SESSION AUTHORIZATION late; SELECT saga.drop_secret('key'), saga.drop_destination('d'), saga.drop_queue('wf')});
sql('DELETE FROM saga.resource WHERE created_by = (SELECT oid FROM pg_roles WHERE rolname = $$late$$)');
sql(q{SET SESSION AUTHORIZATION heir; SELECT saga.drop_queue('q')});
sql('REASSIGN OWNED BY late TO heir; DROP OWNED BY late; DROP ROLE late');

# from elsewhere, or by who insists
add_role($node, 'postgres', 'gone');
add_workflow($node, 'postgres', 'gone', 'orphan');
sql('SET pg_saga.keep_owners = off; DROP OWNED BY gone');
$node->safe_psql('other', 'DROP ROLE gone');
submit($node, 'postgres', 'orphan', 2);
ok(poll_until($node, q{SELECT reason ~ '^role [0-9]+ does not exist$' FROM saga.workers WHERE reason IS NOT NULL}, 't'), 'what waits says so');
sql(q{SELECT saga.set_workflow_owner(owner::oid || '.orphan', 'heir', definition_hash) FROM saga.workflows WHERE name = 'orphan'});
ok(poll_until($node, q{SELECT who FROM done WHERE x = 2}, 'heir'), 'and is run by who is given the workflow');

# what waits says why
sub waits { my ($db) = @_; return $node->safe_psql($db // 'postgres', q{SELECT string_agg(DISTINCT regexp_replace(waiting_for, '^timer; ', ''), ' / ') FROM saga.executions
	WHERE status = 'RUNNING'}) }
sql(q(SET SESSION AUTHORIZATION heir; SELECT saga.create_workflow('long', '{"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 36000, "End": true}}}');
	SELECT saga.start_execution('long', '{}')));
ok(poll_until($node, q(SELECT DISTINCT waiting_for FROM saga.executions WHERE status = 'RUNNING'), 'timer'), 'an execution that only has to wait waits for its time');
sql('REVOKE CONNECT ON DATABASE postgres FROM heir');
submit($node, 'postgres', 'wf', 3);
is(waits(), 'a worker: role "heir" has no CONNECT privilege on this database', 'an owner that cannot connect');
is(sql(q{GRANT heir TO plain; GRANT USAGE ON SCHEMA saga TO plain; GRANT SELECT ON saga.executions TO plain; SET ROLE plain;
	SELECT DISTINCT regexp_replace(waiting_for, '^timer; ', '') FROM saga.executions WHERE status = 'RUNNING'}), waits(), 'whoever may see it sees that');
if ($node->pg_version < 17)
{
	sql('BEGIN; ALTER ROLE heir NOLOGIN; GRANT CONNECT ON DATABASE postgres TO heir; COMMIT');
	is(waits(), 'a worker: role "heir" is not permitted to log in, which workers need before PostgreSQL 17', 'that cannot log in');
	sql('BEGIN; ALTER ROLE heir LOGIN; REVOKE CONNECT ON DATABASE postgres FROM heir; COMMIT');
}
$node->append_conf('postgresql.conf', q{pg_saga.databases = 'other, POSTGRES'});
$node->reload;
poll_until($node, 'SHOW pg_saga.databases', 'other, POSTGRES');
is(waits(), 'a worker: this database is not in pg_saga.databases', 'a database that is not served');
sql('GRANT CONNECT ON DATABASE postgres TO heir');
$node->append_conf('postgresql.conf', q{pg_saga.databases = 'other, "postgres"'});
$node->append_conf('postgresql.conf', 'pg_saga.workers = 0');
$node->reload;
poll_until($node, 'SHOW pg_saga.databases', 'other, "postgres"');
is(waits(), 'a worker: pg_saga.workers is 0', 'no workers');
$node->append_conf('postgresql.conf', 'pg_saga.workers = 2');
$node->reload;
ok(poll_until($node, q{SELECT who FROM done WHERE x = 3}, 'heir'), 'and in the end it is run');

$node->stop;
done_testing();
