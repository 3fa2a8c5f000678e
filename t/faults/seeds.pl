# The seeds that t/check-faults was asked for, side by side, one test each.
use strict;
use warnings;

use Test::More;
use Saga::Test;
use Saga::Faults;

my $seeds = $ENV{SAGA_FAULT_SEEDS} // 200;
my $from = $ENV{SAGA_FAULT_FROM} // 1;
my $invoices = $ENV{SAGA_FAULT_INVOICES} // 50;
my $runs = Saga::Faults->new;
my $done = 0;

sub report
{
	my ($plan, $wrong, $took) = @_;
	my $seed = $plan->{seed};

	diag("$done of $seeds") if ++$done % 20 == 0;
	return if is(join("\n", @$wrong), '', sprintf('seed %d, %s%s: %.1f s', $seed, $plan->{kind}, $plan->{kill} ? ", $plan->{kill} killed" : '', $took));
	diag("seed $seed, to run it alone: t/check-faults --from $seed --seeds 1 --invoices $invoices");
	diag(explain($plan));
	return;
}

$runs->run($invoices, $ENV{SAGA_FAULT_LANES} // 6, \&report, $from .. $from + $seeds - 1);
is(join(', ', $runs->reckon_dump), '', 'no secret in a dump');
is(join(', ', $runs->not_met), '', 'every kind of fault and kill was met') if $seeds >= 100;
note(explain($runs->met));
diag("$done seeds of $invoices invoices: $runs->{requests} requests, $runs->{spoilt} of them spoilt");
$runs->node->stop;
done_testing();
