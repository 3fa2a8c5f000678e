# fuzz/workflows, fuzz/asl_value and fuzz/endpoint: some hundreds of definitions, expressions and inputs that
# nobody would write. No process of the server ends, nothing is an internal error, and what holds of
# each definition does (the head of fuzz/workflows).
# FUZZ_SEED: another seed, as that of a run to see again; FUZZ_SECONDS: so long, instead of so many ("make fuzz").
use strict;
use warnings;
use lib 'fuzz/lib';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Fuzz::Definition;
use Saga::Test;

# frames of an instrumented library are larger
my @stack = $ENV{LD_PRELOAD} ? ("max_stack_depth = '7MB'") : ();
my $node = new_saga_node('fuzz', q(pg_saga.databases = 'no_such_database'), 'log_error_verbosity = verbose', 'log_min_error_statement = panic', @stack);
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
$ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');

my $seconds = delete $ENV{FUZZ_SECONDS};
# a run of some seconds is always the same, so that it fails for what was changed
my $seed = $ENV{FUZZ_SEED} // ($seconds ? int rand 2**31 : 1);
diag("seed $seed");

sub fuzz
{
	my ($fuzzer, @options) = @_;
	my ($out, $err);
	my $ok = IPC::Run::run([ $^X, "fuzz/$fuzzer", @options ], '<', \undef, '>', \$out, '2>', \$err);
	return ($ok, "$out$err");
}

# ---------- nothing is found ----------

foreach (
	[ 'workflows', 0.6, 200, '--log', $node->logfile, '--memory', $ENV{LD_PRELOAD} ? 4000 : 1000 ],
	[ 'asl_value', 0.25, 800 ],
	[ 'endpoint', 0.15, 800 ])
{
	my ($fuzzer, $share, $count, @options) = @$_;
	my ($ok, $out) = fuzz($fuzzer, '--seed', $seed, $seconds ? ('--seconds', $share * $seconds) : ('--count', $count), @options);
	ok($ok, "fuzz/$fuzzer, seed $seed: nothing found") or diag($out);
	my $many = $seconds ? qr/\d+/ : $count;
	like($out, qr/^$many (?:definitions|statements): .*; findings: 0$/m, 'in that many');
	note($out);
}

# ---------- what is wrong is found ----------

my ($ok, $out) = fuzz('workflows', '--seed', 1, '--count', 1, '--memory', 1, '--keep');
ok(!$ok, 'too much memory is a finding');
like($out, qr/^FINDING: \d+ MB of memory/m, 'and is named');

sub findings
{
	my ($statements) = @_;
	my ($rc, $text, $err) = $node->psql('saga_fuzz', "TRUNCATE fuzz.run; $statements");
	return join "\n", $err =~ /FINDING: (.*)/g;
}
my $pass = '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}';
my $run = "CREATE TEMP TABLE r AS SELECT saga.create_workflow('w', '$pass'), saga.start_execution('w', '{\"a\": 1}') AS id; INSERT INTO fuzz.run SELECT 1, '$pass', '{\"a\": 1}', id, ";
is(findings("$run saga.simulate('$pass', '{\"a\": 1}') FROM r; SELECT fuzz.look(false)"), 'an execution is RUNNING and waits for nothing', 'one that did not end');
is(findings("$run '{\"status\": \"SUCCEEDED\", \"output\": 2}' FROM r; CALL saga.drain(); SELECT fuzz.look(false)"), 'an execution ends in another way than the simulation', 'one with another output');
is(findings("$run saga.simulate('$pass', '{\"a\": 1}') FROM r; CALL saga.drain(); SELECT fuzz.look(false)"), '', 'nothing of one that did');
is(findings("SET session_replication_role = replica; UPDATE saga.execution SET status = 'f'; INSERT INTO fuzz.run SELECT 1, '$pass', '{}', execution_id, '{}' FROM saga.execution LIMIT 1; SELECT fuzz.look(false)"),
	'a history ends with ExecutionSucceeded where the status is FAILED', 'a history that is not the one of its end');
is(findings(q(INSERT INTO fuzz.run VALUES (1, '{}', '{}', gen_random_uuid(), '{}'); SELECT fuzz.look(false))), 'an execution is gone', 'one that is not there');
is(findings(q(SELECT fuzz.must_agree('x', true, '{"error": "22023"}', '{}', '{}'), fuzz.must_agree('y', false, '{"result": 1}', '{}', '{}'), fuzz.must_agree('z', true, '{"error": "54001"}', '{}', '{}'))),
	"x refuses what saga.validate finds no error in\ny takes what saga.validate finds an error in", 'a disagreement about a definition');
like(findings(q(SELECT fuzz.ask('saga.history_events(''\x00'')', '{}', '{}'))), qr/^XX001 /, 'an internal error');

# ---------- the same seed makes the same ----------

sub made
{
	srand(5);
	my $source = Fuzz::Definition->new('.', shared_dir());
	return join "\n", map { my ($definition, $input) = $source->definition; $source->text($definition) . $source->text($input) } 1 .. 20;
}
is(made(), made(), 'the same definitions for the same seed');

$node->stop;
done_testing();
