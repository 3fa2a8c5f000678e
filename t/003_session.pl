# What the tests are told by a session of their own process is what psql would have told them.
use strict;
use warnings;

use Test::More;
use Saga::Test qw(:DEFAULT sql);

plan(skip_all => 'without DBD::Pg each statement has a psql of its own') unless Saga::Session::statements('SELECT 1');

my $node = new_saga_node('main');

is_deeply([ map { $_->[0] } @{ Saga::Session::statements($_->[0]) // [] } ], $_->[1], "statements of: $_->[0]") foreach (
	[ 'SELECT 1', ['SELECT 1'] ], [ ' ; -- nothing', [] ],
	[ "SELECT ';' || 'it''s;'; -- c;\nSELECT E'\\';' /* ; /* ; */ ; */, \";\"", [ "SELECT ';' || 'it''s;';", "SELECT E'\\';' /* ; /* ; */ ; */, \";\"" ] ],
	[ 'DO $x$ BEGIN; $y$ ; $x$; SELECT $$;$$', [ 'DO $x$ BEGIN; $y$ ; $x$;', 'SELECT $$;$$' ] ],
	[ 'CREATE RULE r AS ON INSERT TO t DO (a; b); c', [ 'CREATE RULE r AS ON INSERT TO t DO (a; b);', 'c' ] ],
	[ "SELECT a::text, b[1:2], j->>'a:B', \$1", [ "SELECT a::text, b[1:2], j->>'a:B', \$1" ] ],
	# for psql alone
	(map { [ $_, [] ] } '\d', 'SELECT 1 \gset', 'COPY t FROM stdin', 'SELECT 1; copy t TO stdout', "SELECT :'v'", 'SELECT :DBNAME', "SELECT 'a",
		'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END'));

# The same by psql: a limit of time is its own affair.
sub by_psql { my ($sql, %params) = @_; return $node->psql('postgres', $sql, timeout => 60, %params) }

foreach my $sql (
	"SELECT 1, 'a', NULL, true, 1.10, '1e20'::float8, 0.1::float8 + 0.2, 1.5::float4, '{a,\"b c\"}'::text[], '{1,2}'::int[], '{t,f}'::bool[]",
	"SELECT '\\xab00'::bytea, now() - now(), '{\"a\": [1]}'::jsonb, 3::smallint, 123456789012::bigint, 'x'::char(3), 'c'::\"char\", 1::oid",
	'SELECT 1 WHERE false; SELECT 2', "SELECT ''; SELECT ''", 'SELECT', "SELECT 'a\nb'", 'SHOW client_encoding', "SELECT U&'\\00e4', 'ä'",
	'CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1) RETURNING a; UPDATE t SET a = 2; EXPLAIN (COSTS off) SELECT 1; VALUES (1), (2)',
	'SELEC 1', "\n\nSELECT 1;\nSELECT x.y\nFROM x;\nSELECT 3", "SELECT '{\"a\": 1}'::jsonb ? 'a', '?', \$\$ ? :a \$\$",
	q(DO $$ BEGIN RAISE NOTICE 'n' USING HINT = 'h'; RAISE WARNING 'w'; END $$), q(DO $$ BEGIN RAISE EXCEPTION 'n' USING HINT = 'h', DETAIL = 'd'; END $$),
	'BEGIN; SELECT 1; COMMIT; COMMIT', 'BEGIN; SELECT 1/0; SELECT 1', 'SELECT 1/0; SELECT 1', 'DECLARE c CURSOR WITH HOLD FOR SELECT 1; FETCH c',
	'SELECT pg_terminate_backend(pg_backend_pid())', 'SELECT current_setting(\'application_name\')')
{
	foreach my $stop (1, 0)
	{
		is_deeply([ $node->psql('postgres', $sql, on_error_stop => $stop) ], [ by_psql($sql, on_error_stop => $stop) ],
			($stop ? '' : 'all of: ') . $sql);
	}
}
is_deeply([ $node->psql('postgres', 'SELECT 1', extra_params => [ '-U', 'nobody' ]) ],
	[ by_psql('SELECT 1', extra_params => [ '-U', 'nobody' ]) ], 'no such role');
is_deeply([ $node->psql('nosuch', 'SELECT 1') ], [ $node->psql('nosuch', 'SELECT 1', timeout => 60) ], 'no such database');
is(eval { sql('SELECT 1/0'); 1 }, undef, 'safe_psql dies');
like($@, qr/division by zero.*while running.*SELECT 1\/0.* at \S*003_session\.pl line/s, 'and says what, and where');
sql('CREATE DATABASE other');
poll_until($node, 'SELECT true', 't', 'other');
is(sql('DROP DATABASE other; SELECT count(*) FROM pg_database WHERE datname = \'other\''), '0', 'no session stays');
$node->stop;
is(($node->psql('postgres', 'SELECT 1'))[0], 2, 'no server');
done_testing();
