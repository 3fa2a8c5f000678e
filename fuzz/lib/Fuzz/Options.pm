# Fuzz::Options: how long a fuzzer runs and with which seed, the same for all of them.
#
#	my $opt = Fuzz::Options::read('count=i', ...);
#
# --seconds N, or FUZZ_SECONDS; --seed N, or FUZZ_SEED. The seed is printed: the same one makes the same
# statements in the same order.
package Fuzz::Options;

use strict;
use warnings;
use Getopt::Long;

sub read
{
	my (@own) = @_;
	my %opt;
	GetOptions(\%opt, 'seconds=f', 'count=i', 'seed=i', @own) && !@ARGV
	  or die "usage: $0 [--seconds N | --count N] [--seed N]" . join('', map { my ($name, $type) = split /=/; ' [--' . $name . ($type ? ' X' : '') . ']' } @own) . "\n";
	$opt{seconds} //= $ENV{FUZZ_SECONDS} unless $opt{count};
	$opt{seconds} //= $opt{count} ? 1e9 : 60;
	$opt{count} //= 1e9;
	$opt{seed} //= $ENV{FUZZ_SEED} // (time ^ ($$ << 8)) & 0x7fffffff;
	binmode STDOUT, ':utf8';
	$| = 1;
	print "seed $opt{seed}\n";
	srand($opt{seed});
	return \%opt;
}

1;
