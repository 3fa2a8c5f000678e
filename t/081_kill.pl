# kill -9 in mid-run, of a worker, the publisher, the coordinator, and the whole server: every
# submitted invoice is accounted for exactly once.
use strict;
use warnings;

use Test::More;
use Saga::Test;
use Saga::Invoices;

my $seed = Saga::Invoices::seed();
my $road = Saga::Invoices->new(seed => $seed,
	conf => ['restart_after_crash = on', 'pg_saga.crash_limit = 20']);
my $node = $road->node;

# Answers take a while, so that there is something in flight; some are lost besides.
my @plan = ({ method => 'POST', path => '/^.v1.(invoices|credit-notes)$/', number => '^X', action => 'status', status => 422 },
	{ probability => 0.7, action => 'delay', ms => 400, at => 'after' },
	{ probability => 0.1, action => 'drop_after' },
	{ probability => 0.1, action => 'status', status => 500 });
$road->faults(@plan);

sub pid { return $road->sql("SELECT pid FROM saga.workers WHERE type = '$_[0]' ORDER BY pid LIMIT 1") }

# Something of the group has ended, and something is in flight.
sub wait_midrun
{
	my ($prefix) = @_;
	poll_until($node, "SELECT count(*) FILTER (WHERE status = 'completed') > 3 AND count(*) FILTER (WHERE status = 'processing') > 3
		FROM invoice_tracking WHERE number LIKE '$prefix-%'");
	return;
}

# A crash restart is over when there is another postmaster's child of that kind and SQL works.
foreach my $type ('worker', 'publisher', 'coordinator')
{
	my $prefix = uc substr($type, 0, 1);
	$road->submit($prefix, 40);
	$road->submit("X$prefix", 5);
	wait_midrun($prefix);
	my $pid = pid($type);
	kill_process($pid);
	pass("kill -9 of a $type");
	poll_until($node, "SELECT count(*) > 0 FROM saga.workers WHERE type = 'coordinator'");
	# a client that had no answer asks again
	is($road->submit($prefix, 40), 40, 'the same documents again');
	isnt(pid('coordinator'), $pid, 'the processes are back');
}

$road->submit('S', 40);
wait_midrun('S');
$node->stop('immediate');
$node->start;
pass('immediate stop of the server, and start');
is($road->submit('S', 40), 40, 'the same documents again');
$road->submit('T', 20);
ok($road->wait_ended, 'all end');
my $audit = $road->reckon(3 * 45 + 60);

# Requests that were in flight when their publisher was killed were made again, under the same key
# (reckon looks at that): they are those with a gap in the record of their attempts.
my $lost = $road->sql(<<'SQL');
SELECT count(*) FROM saga.outbox o WHERE state IN ('delivered', 'failed') AND attempts - 1 >
	(SELECT count(*) FROM saga.outbox_attempt a WHERE a.destination_id = o.destination_id AND a.outbox_id = o.outbox_id
	 AND a.attempt < o.attempts)
SQL
cmp_ok($lost, '>', 0, 'some requests were in flight when their publisher was killed');
cmp_ok(scalar(grep { $_->{replay} } @{ $audit->{requests} }), '>', 0, 'and some of those that were made again had taken effect');
is($road->sql(q{SELECT string_agg(concat_ws(' ', kind, reason, left(cause, 300)), '; ') FROM saga.dead_letters WHERE reason LIKE 'Saga.%'}), '', 'nobody was blamed');

$node->stop;
done_testing();
