# The value of a secret is nowhere in the server's log, whatever goes wrong in or after saga.set_secret, with
# everything logged that errors and waits can show. (What logs statements by themselves, it cannot keep from that.)
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $node = new_saga_node('main', "pg_saga.databases = 'none'", 'log_lock_waits = on', "deadlock_timeout = '50ms'",
	'log_parameter_max_length_on_error = -1', 'log_error_verbosity = verbose', 'log_min_error_statement = debug5',
	'track_activity_query_size = 4096');
create_extensions($node);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE other LOGIN;
GRANT USAGE ON SCHEMA saga TO other;
GRANT EXECUTE ON FUNCTION saga.set_secret(text, text) TO other;
CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION USING ERRCODE = ''P0007''; END';
CREATE TABLE public.late (x int);
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON public.late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.fail();
SQL

my $n = 0;
my $value = 'Q7secretvalue';

sub set
{
	my ($name) = @_;
	$n++;
	return "saga.set_secret('$name', '$value$n')";
}

# Fails with this code, in the session and in the log, and the statement that the log shows is the made-up one.
sub fails
{
	my ($code, $what, $sql, @params) = @_;
	my $at = -s $node->logfile;
	my ($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-v', 'VERBOSITY=verbose', @params ]);
	like($err, qr/(?:ERROR|FATAL):  $code/, "$what: fails");
	like(slurp_file($node->logfile, $at), qr/$code.*STATEMENT:  SELECT saga\.set_secret\(\.\.\.\)/s, "$what: is logged");
	return;
}

$node->safe_psql('postgres', 'SELECT ' . set('a') . ', ' . set('b'));

# ---------- what it refuses itself ----------

fails('25006', 'read only', 'BEGIN READ ONLY; SELECT ' . set('a'));
fails('25006', 'read only, in a function', 'SET default_transaction_read_only = on; DO $$ BEGIN PERFORM ' . set('a') . '; END $$');
fails('22023', 'the secret of another', 'SELECT ' . set('postgres.a'), '-U', 'other');
fails('22023', 'two lines', "SELECT saga.set_secret('a', E'$value\\n$value')");
fails('22023', 'a name that is none', 'SELECT ' . set('a b'));
fails('22004', 'a value in place of the name', "SELECT saga.set_secret(NULL, '$value')");

# ---------- what comes after it in the statement, or in its transaction ----------

fails('22012', 'an error behind it', 'SELECT ' . set('a') . ', 1 / (SELECT 0)');
fails('22012', 'an error behind it, in a function', 'DO $$ BEGIN PERFORM ' . set('a') . '; PERFORM 1 / (SELECT 0); END $$');
fails('42883', 'a statement behind it', 'SELECT ' . set('a') . '\; SELECT no_such_function()');
fails('57014', 'a time-out behind it', "SET statement_timeout = '200ms'; SELECT " . set('a') . ', pg_sleep(1000)');
fails('P0007', 'at commit', 'INSERT INTO public.late VALUES (1)\; SELECT ' . set('a'));

# ---------- while it waits ----------

my $holder = $node->background_psql('postgres', on_error_stop => 0);
$holder->query_safe('BEGIN; SELECT ' . set('a') . ', ' . set('new'));
foreach my $name ('a', 'new')
{
	my $at = -s $node->logfile;
	fails('57014', "a time-out while it waits for \"$name\"", "SET statement_timeout = '2s'; SELECT " . set($name));
	fails('57014', "the same for \"$name\" in a function", "SET statement_timeout = '2s'; DO \$\$ BEGIN PERFORM " . set($name) . '; END $$');
	like(slurp_file($node->logfile, $at), qr/still waiting for/, 'the wait is logged');
}

sub begin
{
	return IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $_[0] ], '<', \undef, '>', \my $out, '2>', \my $err);
}

my $psql = begin('SELECT ' . set('a'));
my $waiting = "FROM pg_stat_activity WHERE query = 'SELECT saga.set_secret(...)' AND wait_event_type = 'Lock'";
poll_until($node, "SELECT count(*) $waiting", '1');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%Q7secret%' AND pid <> pg_backend_pid()"), '0',
	'pg_stat_activity does not show it');
my $at = -s $node->logfile;
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) $waiting");
$psql->finish;
wait_for_log($node, qr/57P01.*STATEMENT:  SELECT saga\.set_secret\(\.\.\.\)/s, $at);
pass('terminated while it waits: is logged');

# both statements of a deadlock
$psql = begin('BEGIN; SELECT ' . set('b') . '; SELECT ' . set('a'));
poll_until($node, "SELECT count(*) $waiting", '1');
$at = -s $node->logfile;
$holder->query('SELECT ' . set('b'));
$holder->quit;
$psql->finish;
like(slurp_file($node->logfile, $at), qr/40P01.*Process \d+: SELECT saga\.set_secret\(\.\.\.\).*Process \d+: SELECT saga\.set_secret\(\.\.\.\)/s,
	'a deadlock is logged, with both statements');

# ---------- as a parameter ----------

# pgbench sends its variables as parameters
sub fails_with_parameter
{
	my ($code, $what, $sql, %env) = @_;
	my $script = $node->basedir . '/script.sql';
	my $from = -s $node->logfile;
	local @ENV{ keys %env } = values %env;

	unlink $script;
	append_to_file($script, "$sql\n");
	$n++;
	foreach my $mode ('extended', 'prepared')
	{
		IPC::Run::run([ 'pgbench', '-h', $node->host, '-p', $node->port, '-n', '-t', '1', '-M', $mode, '-D', "v=$value$n", '-f', $script, 'postgres' ],
			'<', \undef, '>', \my $stdout, '2>', \my $stderr);
	}
	like(slurp_file($node->logfile, $from), qr/(?:$code.*STATEMENT:  SELECT saga\.set_secret\(\.\.\.\).*){2}/s, "$what: is logged");
	return;
}

fails_with_parameter('25006', 'parameter, read only', q{SELECT saga.set_secret('a', :v)},
	PGOPTIONS => '-c default_transaction_read_only=on');
fails_with_parameter('22012', 'parameter, an error behind it', q{SELECT saga.set_secret('a', :v), 1 / (SELECT 0)});
fails_with_parameter('22012', 'parameter, in a function', <<'SQL');
CREATE OR REPLACE FUNCTION public.around(v text) RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM saga.set_secret(''a'', v); RETURN 1 / (SELECT 0); END';
SELECT public.around(:v);
SQL

# ---------- and it has worked when nothing was wrong ----------

$node->safe_psql('postgres', 'SELECT ' . set('a'));
is($node->safe_psql('postgres', q{SELECT value FROM saga.secret WHERE name = 'a'}), "$value$n", 'the secret has its value');
unlike(slurp_file($node->logfile), qr/$value/i, 'no value is in the log');

$node->stop;
done_testing();
