# The extensions come and go, with and without shared_preload_libraries, and give PUBLIC nothing.
use strict;
use warnings;

use Test::More;
use Saga::Test;

# Functions that PUBLIC could execute; a NULL ACL is the built-in default, which lets everyone.
my $for_public = <<'SQL';
SELECT coalesce(string_agg(p.oid::regprocedure::text, E'\n' ORDER BY 1), '')
  FROM pg_proc p,
       aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
 WHERE p.pronamespace = 'saga'::regnamespace AND a.grantee = 0 AND a.privilege_type = 'EXECUTE'
SQL

# Tables and views of the engine that PUBLIC could change or, views apart, read.
my $tables_for_public = <<'SQL';
SELECT coalesce(string_agg(c.oid::regclass::text || ' ' || a.privilege_type, E'\n' ORDER BY 1), '')
  FROM pg_class c, aclexplode(c.relacl) a
 WHERE c.relnamespace = 'saga'::regnamespace AND a.grantee = 0
   AND NOT (c.relkind = 'v' AND a.privilege_type = 'SELECT')
SQL

foreach my $preload ('pg_saga', '')
{
	my $how = $preload ? 'preloaded' : 'not preloaded';
	my $node = new_saga_node('basic' . ($preload ? '' : '_bare'), { preload => $preload });

	is($node->safe_psql('postgres', 'SHOW shared_preload_libraries'), $preload, "$how: starts");
	foreach my $time ('first', 'second')
	{
		create_extensions($node);
		is( $node->safe_psql('postgres',
				q{SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension
				   WHERE extname IN ('pg_saga', 'pg_invoice')}),
			'pg_invoice pg_saga', "$how: created, $time time");
		is($node->safe_psql('postgres', $for_public), '', "$how: no function for PUBLIC");
		is($node->safe_psql('postgres', $tables_for_public), '', "$how: no table for PUBLIC");
		my ($rc, $out, $err) = $node->psql('postgres', 'DROP EXTENSION pg_saga');
		isnt($rc, 0, "$how: pg_saga is not dropped under pg_invoice");
		$node->safe_psql('postgres', 'DROP EXTENSION pg_invoice; DROP EXTENSION pg_saga');
		is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_namespace WHERE nspname = 'saga'}),
			'0', "$how: dropped, the schema with it");
	}
	$node->stop;
}

done_testing();
