# demo/workflow-repo, as its README has it: workflows in files, which are linted, tested, planned, applied and rolled back.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql as error);

my $node = new_saga_node('main', 'pg_saga.workers = 1');
create_extensions($node, 'postgres');
sql('CREATE ROLE deployer LOGIN; GRANT USAGE ON SCHEMA saga TO deployer; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO deployer;
	GRANT CREATE, TEMPORARY ON DATABASE postgres TO deployer');

my $dir = tempdir(CLEANUP => 1);
system('cp', '-r', 'demo/workflow-repo/.', $dir) == 0 or die "cp: $?\n";
$ENV{NODE_PATH} = abs_path('t/servers/node_modules');
@ENV{qw(PGHOST PGPORT PGDATABASE)} = ($node->host, $node->port, 'postgres');
delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};

# What a goal says, and whether it is content.
sub made
{
	my (@goals) = @_;
	my ($out, $err);
	local $ENV{PGUSER} = 'deployer';
	my $ok = IPC::Run::run([ 'make', '-s', '-C', $dir, @goals ], '>', \$out, '2>', \$err);
	$err =~ s/^make.*\n//gm;
	return ($ok ? 'ok' : 'failed', "$out$err");
}

# Puts another text into a file of the repository, or a new file there.
sub change
{
	my ($file, $from, $to) = @_;
	my $text = slurp_file("$dir/$file");
	$text =~ s/\Q$from\E/$to/ or die "$file has no $from\n";
	write_file($file, $text);
}
sub write_file { my ($file, $text) = @_; open(my $fh, '>', "$dir/$file") or die "$file: $!\n"; print {$fh} $text; close($fh) or die "$file: $!\n" }

my ($rc, $said) = made('lint');
is("$rc $said", "ok 2 workflows, 0 faults\n", 'nothing is wrong with the files');
($rc, $said) = made('test');
is("$rc $said", "ok ok  tests/order.sql\nok  tests/reminder.sql\n", 'the tests come to everything');

# ---------- plan and apply ----------

($rc, $said) = made('plan');
like("$rc $said", qr{^ok order: version 1 would be made\n  workflows/order\.asl\.yaml:26:5: UNBOUND_RESOURCE at /States/Pay/Resource: .*\n    CREATE FUNCTION shop\.pay}, 'what is not there is said with its line');
($rc, $said) = made('apply');
like("$rc $said", qr/^failed nothing was applied\nERROR:  workflow "order" asks for what is not there/, 'and makes apply fail');
is(sql('SELECT count(*) FROM saga.workflows'), '0', 'of which nothing stays');
is(system($node->config_data('--bindir') . '/psql', '-X', '-q', '-U', 'deployer', '-f', "$dir/functions.sql"), 0, 'the functions are made');
($rc, $said) = made('plan');
is("$rc $said", "ok order: version 1 would be made\nreminder: version 1 would be made\n", 'then nothing is missing');
($rc, $said) = made('apply');
is("$rc $said", "ok order: made version 1\nreminder: made version 1\n", 'both are applied');
($rc, $said) = made('apply');
is("$rc $said", "ok order: nothing to do\nreminder: nothing to do\n", 'a second time does nothing');
is(sql('SELECT string_agg(name || version || owner, \' \' ORDER BY name) FROM saga.workflows'), 'order1deployer reminder1deployer', 'they belong to who applied them');

# one that waits for the manager
sql("SET ROLE deployer; SELECT saga.start_execution('order', '{\"amount\": 5000}')");
poll_until($node, "SELECT current_state FROM saga.executions WHERE workflow = 'order'", 'AskManager');
change('workflows/order.asl.yaml', 'TimeoutSeconds: 172800', 'TimeoutSeconds: 86400');
change('workflows/order.asl.yaml', 'ErrorEquals: [NoMoney]', 'ErrorEquals: [NoMoney, NoCard]');
($rc, $said) = made('plan');
is("$rc $said", "ok order: version 2 would be made\n  changed /States/AskManager in TimeoutSeconds; executions there: 1\n  changed /States/Pay in Catch\nreminder: nothing to do, version 1 is it\n", 'plan shows what would change, and who stands there');
is(sql("SELECT version FROM saga.workflows WHERE name = 'order'"), '1', 'and changes nothing');
($rc, $said) = made('apply');
is("$rc $said", "ok order: made version 2\nreminder: nothing to do\n", 'the one that has changed is applied');
($rc, $said) = made('rollback', 'WORKFLOW=order');
is("$rc $said", "ok order: made version 3, as it was before the newest\n", 'and rolled back');
is(sql("SELECT definition #>> '{States,AskManager,TimeoutSeconds}' FROM saga.workflows WHERE name = 'order'"), '172800', 'to what it was');
($rc, $said) = made('plan');
like($said, qr{^order: version 4 would be made\n  changed /States/AskManager in TimeoutSeconds}, 'plan shows what apply would change back');
($rc, $said) = made('rollback', 'WORKFLOW=none');
like("$rc $said", qr/^failed ERROR:  workflow "none" does not exist/, 'what is not there is not rolled back');
($rc, $said) = made('rollback');
like("$rc $said", qr/^failed say which/, 'nor is nothing');

# ---------- tests that fail ----------

change('workflows/order.asl.yaml', "    Compensate: Refund\n", "      - ErrorEquals: [Fraud]\n        Next: Refused\n    Compensate: Refund\n");
($rc, $said) = made('test');
is("$rc $said", <<'OUT', 'what no test comes to is named, with its place');
failed FAILED  tests/order.sql
    psql:tests/order.sql:15: ERROR:  order has what no test comes to
    DETAIL:  /States/Pay/Catch/1 to Refused
ok  tests/reminder.sql
OUT
change('workflows/reminder.asl.json', '"NumericGreaterThanEquals": 3', '"NumericGreaterThanEquals": 4');
($rc, $said) = made('test');
like($said, qr{FAILED  tests/reminder\.sql\n    psql:tests/reminder\.sql:9: ERROR:  after the third reminder\n    DETAIL:  It is        "Remind"\n    and has to be "GiveUp"\n}, 'and so is a value that is another one');
is(sql("SELECT count(*) FROM pg_class WHERE relname = 'definitions'"), '0', 'nothing stays of a test');

# ---------- files that are wrong ----------

change('workflows/order.asl.yaml', 'Next: Ship', 'Next: Shipp');
write_file('workflows/indent.asl.yml', "StartAt: A\nStates:\n  A:\n    Type: Pass\n   End: true\n");
write_file('workflows/reminder.asl.yaml', "StartAt: A\n");
write_file('workflows/quote.asl.yaml', "StartAt: it's\nStates: {it's: {Type: Pass, End: yes, 'a/b': 1}}\n");
write_file('workflows/twice.asl.json', "{\"StartAt\": \"A\",\n \"States\": {\"A\": {\"Type\": \"Succeed\"}, \"A\": {\"Type\": \"Fail\"}}}\n");
($rc, $said) = made('lint');
is($rc, 'failed', 'a fault is a failure');
like($said, qr{^workflows/order\.asl\.yaml:\d+:5: error MISSING_TRANSITION_TARGET at /States/Pay/Next: .*Shipp$}m, 'the file, the line, the place, the fault');
like($said, qr{^workflows/indent\.asl\.yml:5:1: error BAD_INDENT: }m, 'of what is no YAML too');
like($said, qr{^workflows/twice\.asl\.json:2:39: error DUPLICATE_KEY: }m, 'a name that is there twice');
like($said, qr{^workflows/reminder\.asl\.yaml:1:1: error: workflows/reminder\.asl\.json is the workflow "reminder", too$}m, 'a workflow that is there twice');
like($said, qr{^workflows/quote\.asl\.yaml:2:\d+: error .* at /States/it's/End: }m, 'yes is a text');
($rc, $said) = made('apply');
like("$rc $said", qr{^failed workflows/indent\.asl\.yml:5:1: error}, 'nothing of that is applied');
is(sql("SELECT version FROM saga.workflows WHERE name = 'order'"), '3', 'not even what is right');
$ENV{PGPORT} = 1;
($rc, $said) = made('lint');
like("$rc $said", qr/^failed (?:workflows.*\n)*psql: error: connection/s, 'a server that is not there is no fault of a file');

$node->stop;
done_testing();
