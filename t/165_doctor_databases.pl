# Databases that no process of ours can look into, or that are not those which are named: work stands still there, and
# the doctor of another database says so, with the command after which it goes on.  Limits of connections are none of it.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $node = new_saga_node('main', 'pg_saga.workers = 1');
create_extensions($node);
sub sql { my ($sql, $database) = @_; return $node->safe_psql($database // 'postgres', $sql) }
sub news { return sql(q(SELECT severity, what, command FROM saga.doctor() WHERE "check" = 'databases' ORDER BY 2)) }
sub mend { sql($_) foreach split /\n/, sql(q(SELECT command FROM saga.doctor() WHERE "check" = 'databases')); return }
sub start { return sql(q(SELECT saga.start_execution('w')), $_[0] // 'shop') }
sub ends { my ($id, $database) = @_; return poll_until($node, "SELECT status FROM saga.executions WHERE execution_id = '$id'", 'SUCCEEDED', $database // 'shop') }

sql('CREATE DATABASE shop');
sql('CREATE EXTENSION pg_saga; SELECT saga.create_workflow(\'w\', \'{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}\')', 'shop');
is(news(), '', 'all is well');
ok(ends(start()), 'work is done in another database');

# ---------- it allows no connections ----------

# what was committed last is not run any more
sql('SELECT saga.create_workflow(\'late\', \'{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 2, "Next": "P"}, "P": {"Type": "Pass", "End": true}}}\')', 'shop');
my $id = sql(q(SELECT saga.start_execution('late')), 'shop');
sql('ALTER DATABASE shop ALLOW_CONNECTIONS false');
is(news(), 'warning|database shop allows no connections: what pg_saga has there stands still|ALTER DATABASE shop ALLOW_CONNECTIONS true', 'one that allows no connections');
is(sql(q(SELECT count(*) FROM saga.doctor() WHERE what LIKE '%template%')), '0', 'templates are like that');
mend();
is(news(), '', 'gone');
ok(ends($id), 'and work goes on');

# ---------- it has another name than the one that is said ----------

$node->append_conf('postgresql.conf', q(pg_saga.databases = 'postgres, shop'));
$node->reload;
ok(poll_until($node, q(SHOW pg_saga.databases), 'postgres, shop'), 'databases by their names');
is(news(), '', 'which are there');
sql('ALTER DATABASE shop RENAME TO "Store"');
is(news(), 'error|pg_saga.databases names shop, which does not exist: one that was renamed is not served under its new name|'
	  . q(ALTER SYSTEM SET pg_saga.databases = 'postgres'; SELECT pg_catalog.pg_reload_conf()), 'one that was renamed');
sql('ALTER DATABASE "Store" ALLOW_CONNECTIONS false');
is(sql(q(SELECT count(*) FROM saga.doctor() WHERE "check" = 'databases')), '1', 'what is not named is not meant');
sql('ALTER DATABASE "Store" ALLOW_CONNECTIONS true');
$id = start('Store');
$node->append_conf('postgresql.conf', q(pg_saga.databases = 'postgres, "Store"'));
$node->reload;
ok(poll_until($node, q(SHOW pg_saga.databases), 'postgres, "Store"'), 'it is named');
is(news(), '', 'gone');
ok(ends($id, 'Store'), 'and work goes on');
sql('ALTER DATABASE "Store" ALLOW_CONNECTIONS false');
is(news(), 'error|database "Store" allows no connections: what pg_saga has there stands still|ALTER DATABASE "Store" ALLOW_CONNECTIONS true', 'a named one');
mend();

# ---------- limits of connections are for sessions ----------

sql('CREATE ROLE shop LOGIN');
sql('SELECT saga.create_workflow(\'of_shop\', \'{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}\', \'shop\')', 'Store');
my $session = $node->background_psql('Store', on_error_stop => 0, extra_params => [ '-U', 'shop' ]);
sql('ALTER ROLE shop CONNECTION LIMIT 0; ALTER DATABASE "Store" CONNECTION LIMIT 0');
$id = sql(q(SELECT saga.start_execution('shop.of_shop')), 'Store');
ok(ends($id, 'Store'), 'a worker is no session that a limit of its role or database counts');
is(news(), '', 'so nothing is said');
$session->quit;

$node->stop;
done_testing();
