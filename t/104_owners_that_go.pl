# Owners that go: the database that has something of theirs does not let them, REASSIGN OWNED takes it along, and
# what waits is run by the heir.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;
use Saga::Work;

my $node = new_saga_node('owners', 'pg_saga.sweep_interval = 0');

sub sql { return $node->safe_psql('postgres', $_[0]) }

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
like(refused('REASSIGN OWNED BY late TO heir'), qr/role "heir" has a queue "q" already/, 'a name that the heir has');
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

$node->stop;
done_testing();
