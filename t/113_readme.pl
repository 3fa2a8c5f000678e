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

# What has been started is run by workers, or in a session, after which it has ended.
sub run
{
	my ($node, $in_session) = @_;
	return $node->safe_psql('postgres', 'CALL saga.drain()') if $in_session;
	return poll_until($node, "SELECT count(*) FROM saga.executions WHERE status = 'RUNNING'", '0');
}

foreach my $in_session (0, 1)
{
	my $what = $in_session ? 'in a session' : 'with workers';
	my $node = new_saga_node("main$in_session", $in_session ? 'pg_saga.workers = 0' : ());

	# What became of an order, and of the stock.
	my $outcome = sub {
		my $id = $node->safe_psql('postgres', "SELECT saga.start_execution('shipping', '$_[0]')");
		run($node, $in_session);
		return $node->safe_psql('postgres', "SELECT concat_ws(' ', status, error, (SELECT string_agg(item || '=' || n, ' ' ORDER BY item) FROM stock))
			FROM saga.executions WHERE execution_id = '$id'");
	};

	$node->safe_psql('postgres', $code);
	run($node, $in_session);
	is($node->safe_psql('postgres', "SELECT string_agg(concat_ws(' ', status, error, compensated), ', ' ORDER BY started_at) FROM saga.executions"),
		'SUCCEEDED, FAILED NoAddress ["Reserve"]', "$what: as the README says");
	is($node->safe_psql('postgres', 'SELECT n FROM stock'), '3', "$what: the bolts of the second are back");
	is($outcome->('{"item": "bolt", "n": 3, "to": "Bonn"}'), 'SUCCEEDED bolt=0', "$what: all of them");
	is($outcome->($_), 'FAILED OutOfStock bolt=0', "$what: $_")
		foreach '{"item": "bolt", "n": 1, "to": "Bonn"}', '{"item": "nut", "n": 2, "to": "Bonn"}', '{"item": "bolt", "to": "Bonn"}',
		'{"item": "bolt", "n": 0, "to": "Bonn"}', '{"item": "bolt", "n": -4, "to": "Bonn"}', '{}';
	$node->stop;
}

done_testing();
