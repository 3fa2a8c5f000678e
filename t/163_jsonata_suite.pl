# JSONata's own test suite (SAGA_SHARED/jsonata-suite), by t/jsonata/run-suite.
use strict;
use warnings;
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $shared = $ENV{SAGA_SHARED} || dirname(__FILE__) . '/../../shared';
if (!-d "$shared/jsonata-suite")
{
	die "no suite of JSONata in $shared (set SAGA_SHARED)\n" if ($ENV{CI} // '') eq 'true';
	plan skip_all => "no suite of JSONata in $shared (set SAGA_SHARED)";
}

my $node = new_saga_node('main');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');
my $out;
{
	local @ENV{qw(PGHOST PGPORT PGDATABASE SAGA_SHARED)} = ($node->host, $node->port, 'postgres', $shared);
	IPC::Run::run([ 't/jsonata/run-suite' ], '>', \$out, '2>&1');
}
my ($passed, $failed) = $out =~ /^(\d+) passed, (\d+) failed$/m;
ok($passed, 'it runs') or diag $out;
cmp_ok($passed // 0, '>=', 0.98 * (($passed // 0) + ($failed // 1)), "$passed of " . ($passed + $failed) . ' cases pass');
diag $_ for $out =~ /^FAILED .*$/mg;
$node->stop;
done_testing();
