# docs/asl.md: its SQL runs as it stands, and each definition gives for each input what the page says.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $page = slurp_file('docs/asl.md');
utf8::decode($page);
my ($setup) = $page =~ /```sql\n(.*?)```/s;
my @examples;
push @examples, [ $1, $2 ] while $page =~ /```json\n(.*?)```\n```text\n(.*?)```/gs;
my $fences = () = $page =~ /```json/g;
is(scalar(@examples), $fences, 'every definition says what it gives');

my $node = new_saga_node('main');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');
$node->safe_psql('postgres', $setup);

my $json = JSON::PP->new->allow_nonref->canonical;
my %types;
my $n = 0;
for my $example (@examples)
{
	my ($definition, $lines) = @$example;
	$types{$_} = 1 for $definition =~ /"Type": "(\w+)"/g;
	$n++;
	$node->safe_psql('postgres', "SELECT saga.create_workflow('page_$n', \$q\$$definition\$q\$)");
	for my $line (split /\n/, $lines)
	{
		my ($input, $expected) = $line =~ /\A(.*?) -> (.*)\z/ or die "no input and output: $line\n";
		my $id = $node->safe_psql('postgres', "SELECT saga.start_execution('page_$n', \$q\$$input\$q\$)");
		poll_until($node, "SELECT count(*) FROM saga.executions WHERE execution_id = '$id' AND stopped_at IS NOT NULL", '1');
		my $got = $node->safe_psql('postgres', "SELECT CASE status WHEN 'SUCCEEDED' THEN output::text"
			  . " ELSE concat(error, ': ', cause, '; compensated ' || compensated::text) END FROM saga.executions WHERE execution_id = '$id'");
		my $is_json = eval { $expected = $json->encode($json->decode($expected)); 1 };
		$got = $json->encode($json->decode($got)) if $is_json;
		is($got, $expected, "example $n with $input");
	}
}
is(join(' ', sort keys %types), 'Choice Fail Map Parallel Pass Succeed Task Wait', 'the page has an example of each type of state');
$node->stop;
done_testing();
