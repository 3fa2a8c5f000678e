# Who makes the extensions may have said ALTER DEFAULT PRIVILEGES, for the tables of an application: what is made here is granted to
# nobody all the same, in a new database and in an updated one. What an administrator grants himself stays as it is.
use strict;
use warnings;

use Test::More;
use Saga::Test;

my $node = new_saga_node('main', "pg_saga.databases = 'none'");
$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; CREATE ROLE watcher LOGIN');

my $defaults = join('; ', map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO mallory" } qw(TABLES SEQUENCES FUNCTIONS SCHEMAS));
my $granted = q{
	SELECT o.name, a.grantee, a.privilege_type FROM (
		SELECT 'pg_proc'::regclass AS class, p.oid, p.oid::regprocedure::text AS name, p.proowner AS owner, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl FROM pg_proc p
		UNION ALL SELECT 'pg_class', c.oid, c.oid::regclass::text, c.relowner, c.relacl FROM pg_class c
		UNION ALL SELECT 'pg_namespace', n.oid, n.nspname, n.nspowner, n.nspacl FROM pg_namespace n) o
		JOIN pg_depend d ON d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e'
		JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname ~ '^pg_(saga|invoice)',
		aclexplode(o.acl) a
	WHERE a.grantee <> o.owner ORDER BY 1, 2, 3};

sub sql_in { my ($db, $sql) = @_; return $node->safe_psql($db, $sql) }

sql_in('postgres', 'CREATE DATABASE fresh');
sql_in('fresh', "$defaults; CREATE EXTENSION pg_invoice CASCADE");
is(sql_in('fresh', $granted), '', 'of a new database nothing is granted to anybody');
my $err;
foreach my $sql ('CREATE FUNCTION saga.f() RETURNS int LANGUAGE sql AS $$SELECT 1$$', 'TRUNCATE saga.message', 'SELECT FROM saga.all_executions',
	'DELETE FROM public.invoice_submission')
{
	$node->psql('fresh', $sql, extra_params => [ '-U', 'mallory', '-v', 'VERBOSITY=sqlstate' ], stderr => \$err);
	like($err, qr/ERROR:  42501/, "mallory: $sql");
}

# An update: default privileges that were there before 0.1 was made are not its matter, those of what is new are.
sql_in('postgres', 'CREATE DATABASE updated');
sql_in('updated', "CREATE EXTENSION pg_saga VERSION '0.1'; CREATE EXTENSION pg_invoice VERSION '0.1';
	GRANT SELECT ON saga.executions, saga.workers TO watcher; GRANT EXECUTE ON FUNCTION saga.worker_status() TO watcher");
my $before = sql_in('updated', $granted);
isnt($before, '', 'an administrator has granted something');
# also where the update is in a savepoint
sql_in('updated', "$defaults; BEGIN; SAVEPOINT s; ALTER EXTENSION pg_saga UPDATE; ALTER EXTENSION pg_invoice UPDATE; RELEASE s; COMMIT");
is(sql_in('updated', $granted), $before, 'of an updated one nothing else is');

done_testing();
