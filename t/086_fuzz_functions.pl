# fuzz/functions: some thousand calls of all functions with hostile arguments by ordinary roles. No
# process of the server ends, there is no internal error, no session takes memory without bound.
# FUZZ_SEED: another seed, as that of a run to see again; FUZZ_CALLS: another number of calls; FUZZ_SECONDS: so long, instead.
use strict;
use warnings;
use lib 'fuzz/lib';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Fuzz::Server;
use Saga::Test;

my $node = new_saga_node('fuzz', 'pg_saga.workers = 1', 'pg_saga.sources = off', 'log_error_verbosity = verbose', 'log_min_error_statement = panic');
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;

sub fuzz
{
	my (@options) = @_;
	my ($out, $err);
	my $ok = IPC::Run::run([ $^X, 'fuzz/functions', '--log', $node->logfile, @options ], '<', \undef, '>', \$out, '2>', \$err);
	return ($ok, "$out$err");
}

# a run of some seconds is always the same, so that it fails for what was changed
my $seed = $ENV{FUZZ_SEED} // ($ENV{FUZZ_SECONDS} ? int rand 2**31 : 1);
# generous: what is found here stops everybody; a run by hand has the tighter limit
my $calls = $ENV{FUZZ_CALLS} // 3000;
my @extent = $ENV{FUZZ_SECONDS} ? ('--seconds', $ENV{FUZZ_SECONDS}) : ('--count', $calls);
# an instrumented library needs more
my $memory = $ENV{LD_PRELOAD} ? 4000 : 1500;
diag("seed $seed");
my ($ok, $out) = fuzz('--seed', $seed, @extent, '--memory', $memory, '--wait', 300);
ok($ok, "seed $seed: nothing found") or diag($out);
$calls = qr/\d+/ if $ENV{FUZZ_SECONDS};
like($out, qr/^$calls calls of \d+ functions: .*\bok \d+; findings: 0$/m, 'and that many calls were made');
note($out);

# ---------- it does find ----------
($ok, $out) = fuzz('--seed', 1, '--count', 1, '--memory', 1);
ok(!$ok, 'too much memory is a finding');
like($out, qr/^FINDING: \d+ MB of memory$/m, 'and is named');

my $log = "$PostgreSQL::Test::Utils::tmp_check/fuzz.log";
append_to_file($log, "LOG:  00000: server process (PID 1) was terminated by signal 11: Segmentation fault\n");
my $server = Fuzz::Server->new(log => $log);
append_to_file($log, <<'LOG');
2025-03-01 UTC [1] ERROR:  42501: permission denied for queue "x"
2025-03-01 UTC [1] ERROR:  XX001: invalid execution history
2025-03-01 UTC [1] ERROR:  XX000: cache lookup failed for function 0
2025-03-01 UTC [1] LOG:  00000: server process (PID 2) was terminated by signal 11: Segmentation fault
2025-03-01 UTC [1] PANIC:  58P01: could not open file
LOG
is(join("\n", $server->log_findings), <<'FOUND' =~ s/\n$//r, 'internal errors, signals and PANIC are found in the log, from where it began');
in the log: ERROR:  XX000: cache lookup failed for function 0
in the log: terminated by signal 11: Segmentation fault
in the log: PANIC:  58P01: could not open file
FOUND

$node->stop;
done_testing();
