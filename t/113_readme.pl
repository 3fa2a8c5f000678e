# The first code that a reader copies, as the README prints it: with workers, and without; and what it does with
# orders that its writer did not think of.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $readme = slurp_file('README.md');
my ($code) = $readme =~ /^## A workflow of your own.*?^```sql\n(.*?)^```/ms;
like($code, qr/CREATE EXTENSION pg_saga;.*saga\.start_execution/s, 'the README has its example');

my $node = new_saga_node('main');

sub sql { return $node->safe_psql($_[0], $_[1]) }

# What became of an order.
sub outcome
{
	my ($db, $input, $run) = @_;
	my $id = sql($db, "SELECT saga.start_execution('shipping', '$input')");
	sql($db, 'CALL saga.drain()') if $run;
	poll_until($node, "SELECT status <> 'RUNNING' FROM saga.executions WHERE execution_id = '$id'", 't', $db);
	return sql($db, "SELECT concat_ws(' ', status, error, (SELECT string_agg(item || '=' || n, ' ' ORDER BY item) FROM stock))
		FROM saga.executions WHERE execution_id = '$id'");
}

foreach my $case ([ 'with workers', 0 ], [ 'in a session', 1 ])
{
	my ($what, $drain) = @$case;
	my $db = "readme$drain";
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	if ($drain)
	{
		$node->append_conf('postgresql.conf', 'pg_saga.workers = 0');
		$node->reload;
		poll_until($node, "SELECT current_setting('pg_saga.workers')", '0');
	}
	sql($db, $code);
	sql($db, 'CALL saga.drain()') if $drain;
	poll_until($node, "SELECT count(*) FROM saga.executions WHERE status = 'RUNNING'", '0', $db);
	is(sql($db, "SELECT string_agg(concat_ws(' ', status, error, compensated), ', ' ORDER BY started_at) FROM saga.executions"),
		'SUCCEEDED, FAILED NoAddress ["Reserve"]', "$what: as the README says");
	is(sql($db, 'SELECT n FROM stock'), '3', "$what: the bolts of the second are back");
	is(outcome($db, '{"item": "bolt", "n": 3, "to": "Bonn"}', $drain), 'SUCCEEDED bolt=0', "$what: all of them");
	is(outcome($db, $_, $drain), 'FAILED OutOfStock bolt=0', "$what: $_")
		foreach '{"item": "bolt", "n": 1, "to": "Bonn"}', '{"item": "nut", "n": 2, "to": "Bonn"}', '{"item": "bolt", "to": "Bonn"}',
		'{"item": "bolt", "n": 0, "to": "Bonn"}', '{"item": "bolt", "n": -4, "to": "Bonn"}', '{}';
}

$node->stop;
done_testing();
