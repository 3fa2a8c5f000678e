# The invoices of the demo are what their names say: broken ones are refused,
# the one for review has warnings, the others have neither.
use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('demo');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pg_invoice CASCADE');

for my $file (sort glob(dirname(__FILE__) . '/../demo/invoices/*.json'))
{
	my $name = basename($file);
	my $document = slurp_file($file);
	my $expected = $name =~ /broken/ ? 'fatal' : $name =~ /review/ ? 'warning' : '';
	is($node->safe_psql('postgres',
			"SELECT min(level) FROM invoice_validate(\$document\$$document\$document\$)"),
		$expected, $name);
}

$node->stop;
done_testing();
