# The rules against the published examples: whole invoices with their expected
# totals, warnings and violated rules, and fragments that must not trip a rule.
# All cases go into one table and are compared there, by one query each.
# SAGA_SEED and SAGA_INVOICES choose other derived invoices, and how many.
use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $shared = ($ENV{SAGA_SHARED} || dirname(__FILE__) . '/../../shared') . '/invoices';
if (!-d $shared)
{
	die "no examples in $shared (set SAGA_SHARED)\n" if ($ENV{CI} // '') eq 'true';
	plan skip_all => "no examples in $shared (set SAGA_SHARED)";
}

my $node = PostgreSQL::Test::Cluster->new('invoices');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION pg_invoice CASCADE;
	CREATE TABLE example (name text, doc json);
	CREATE TABLE fragment (name text, doc json);
	CREATE TABLE code_file (doc json);
});

sub load
{
	my ($table, @rows) = @_;
	my $data = '';

	for my $row (@rows)
	{
		my @columns = @$row;
		for (@columns)
		{
			s/\\/\\\\/g;
			s/\n/\\n/g;
			s/\r/\\r/g;
			s/\t/\\t/g;
		}
		$data .= join("\t", @columns) . "\n";
	}
	$node->safe_psql('postgres', "COPY $table FROM stdin;\n$data\\.\n");
}

my @files = sort glob("$shared/examples/*.json");
load('example', map { [ basename($_), slurp_file($_) ] } @files);
my @lines = split /\n/, slurp_file("$shared/unit-pass.jsonl");
load('fragment', map { [ $_ + 1, $lines[$_] ] } 0 .. $#lines);
load('code_file', [ slurp_file("$shared/codes.json") ]);
cmp_ok(scalar(@files), '>', 0, 'there are examples');
cmp_ok(scalar(@lines), '>', 0, 'there are fragments');

$node->safe_psql('postgres', slurp_file(dirname(__FILE__) . '/lib/invoice_examples.sql'));

# Each view has one row for each case that is not as it should be.
my %views = (
	wrong_verdict => 'violated rules',
	wrong_warnings => 'warnings',
	wrong_totals => 'totals',
	wrong_recomputed => 'totals without the declared amounts',
	wrong_fragments => 'fragments trip no rule that they must not',
	wrong_validate => 'validate, calculate and check agree',
	wrong_codes => 'code lists');
for my $view (sort keys %views)
{
	is($node->safe_psql('postgres', "SELECT * FROM $view ORDER BY 1"), '', $views{$view});
}

# The same derived invoice without and with declared amounts.
$node->safe_psql('postgres', slurp_file(dirname(__FILE__) . '/lib/invoice_derive.sql'));
my $count = $ENV{SAGA_INVOICES} // 200;
my $seed = $ENV{SAGA_SEED} // 42;
$node->safe_psql('postgres', "INSERT INTO derived SELECT * FROM derive($seed, $count)");
is($node->safe_psql('postgres', 'SELECT count(*) FROM derived'), $count, "derive $count invoices, seed $seed");
is($node->safe_psql('postgres', 'SELECT * FROM wrong_derived()'), '',
	'derived invoices: declared and computed agree, faults are found');

$node->stop;
done_testing();
