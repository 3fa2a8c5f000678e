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

foreach my $batch (Saga::Faults::batches($ENV{SAGA_FAULT_LANES} // 4, $from .. $from + $seeds - 1))
{
	my $wrong = $runs->run($invoices, @$batch);
	foreach my $seed (@$batch)
	{
		diag("$done of $seeds") if ++$done % 20 == 0;
		next if is_deeply($wrong->{$seed}, [], "seed $seed");
		diag("seed $seed, to run it alone: t/check-faults --from $seed --seeds 1 --invoices $invoices");
		diag(explain(Saga::Faults::plan($seed, $invoices)));
	}
}
is(join(', ', $runs->reckon_dump), '', 'no secret in a dump');
diag("$done seeds of $invoices invoices: $runs->{requests} requests, $runs->{spoilt} of them spoilt");
$runs->node->stop;
done_testing();
