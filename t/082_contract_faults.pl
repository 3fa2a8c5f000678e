# A few of the seeded runs of t/check-faults: each kind of plan once, and one kill.
use strict;
use warnings;

use Test::More;
use Saga::Test;
use Saga::Faults;

my $invoices = 30;
my $runs = Saga::Faults->new;

foreach my $batch (Saga::Faults::batches(3, 1 .. 7))
{
	my $wrong = $runs->run($invoices, @$batch);
	foreach my $seed (@$batch)
	{
		is_deeply($wrong->{$seed}, [], "seed $seed") or
		  diag("to run it alone: t/check-faults --from $seed --seeds 1 --invoices $invoices");
	}
}
cmp_ok($runs->{spoilt}, '>', 50, "there were faults: $runs->{spoilt} of $runs->{requests} requests");
is(join(', ', $runs->reckon_dump), '', 'no secret in a dump');
$runs->node->stop;
done_testing();
