# A few of the seeded runs of t/check-faults: each kind of plan once, and one kill.
use strict;
use warnings;

use Test::More;
use Saga::Test;
use Saga::Faults;

my $invoices = 30;
my $runs = Saga::Faults->new;

sub report
{
	my ($plan, $wrong) = @_;
	is(join("\n", @$wrong), '', "seed $plan->{seed}, $plan->{kind}") or
	  diag("to run it alone: t/check-faults --from $plan->{seed} --seeds 1 --invoices $invoices");
	return;
}

$runs->run($invoices, 3, \&report, 1 .. 7);
cmp_ok($runs->{spoilt}, '>', 50, "there were faults: $runs->{spoilt} of $runs->{requests} requests");
is(join(', ', $runs->reckon_dump), '', 'no secret in a dump');
$runs->node->stop;
done_testing();
