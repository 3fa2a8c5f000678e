# saga.doctor() on settings of the server: each is seen, and gone after the command that it names.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $node = new_saga_node('doctor', { preload => 'auto_explain' });
create_extensions($node);
$node->safe_psql('postgres', 'REVOKE CREATE ON SCHEMA public FROM PUBLIC');

my $news = q(SELECT "check", severity, what, command FROM saga.doctor() WHERE "check" NOT LIKE '%owner%' ORDER BY 1, 3);
sub news { return $node->safe_psql('postgres', $news) }

# ---------- not preloaded ----------
is(news(), 'preload|warning|pg_saga is not in shared_preload_libraries: nothing runs by itself (needs a restart)|'
	  . q(ALTER SYSTEM SET shared_preload_libraries = 'auto_explain', 'pg_saga'), 'a server that does not preload it, without the settings of processes');
$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN; GRANT USAGE ON SCHEMA saga TO plain; GRANT EXECUTE ON FUNCTION saga.doctor() TO plain; GRANT SELECT ON saga.doctor_objects TO plain');
is($node->safe_psql('postgres', $news, extra_params => [ '-U', 'plain' ]), '', 'who may not see that setting is told nothing of it');

sub mend
{
	my ($restart) = @_;
	$node->safe_psql('postgres', $_) foreach split /\n/, $node->safe_psql('postgres', q(SELECT command FROM saga.doctor() WHERE "check" NOT LIKE '%owner%'));
	$restart ? $node->restart : $node->reload;
	# also that sessions have read what was reloaded
	ok(poll_until($node, "SELECT count(*) = 0 FROM ($news) n"), 'gone');
	return;
}
mend(1);

# ---------- too few processes ----------
$node->append_conf('postgresql.conf', "max_worker_processes = 5\npg_saga.max_processes = 8\npg_saga.workers = 10\npg_saga.publishers = 1\npg_saga.sources = on\n");
$node->restart;
is($node->safe_psql('postgres', q(SELECT severity, command FROM saga.doctor() WHERE "check" = 'processes' ORDER BY 1)),
	"error|ALTER SYSTEM SET max_worker_processes = 15\nerror|ALTER SYSTEM SET pg_saga.max_processes = 14", 'too few processes for the settings');
is($node->safe_psql('postgres', q(SELECT severity, command FROM saga.doctor() WHERE "check" = 'parallel')),
	"warning|ALTER SYSTEM SET max_worker_processes = 23", 'and none are left by parallel queries');
mend(1);
ok(poll_until($node, q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_saga coordinator')), 'they run');
is(news(), '', 'and nothing is said of them');

# ---------- too few places in shared memory ----------
# nobody takes what is ready
$node->append_conf('postgresql.conf', "pg_saga.workers = 0\npg_saga.max_databases = 1\npg_saga.max_queues = 16\n");
$node->restart;
$node->safe_psql('postgres', 'CREATE ROLE shop LOGIN');
$node->safe_psql('postgres', qq(SELECT saga.create_workflow('w' || n, '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}', 'shop') FROM generate_series(1, 20) n));
my $off = 'pg_saga.workers = 0: no execution runs by itself';
my $on = q(ALTER SYSTEM SET pg_saga.workers = '2'; SELECT pg_catalog.pg_reload_conf());
is(news(), "switched_off|notice|$off|$on", 'workflows that have nothing to do need no place, and no worker');
$node->safe_psql('postgres', q(SELECT saga.start_execution('shop.w' || n, '{}') FROM generate_series(1, 20) n));
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION pg_saga');
ok(poll_until($node, q(SELECT count(*) FROM saga.workers WHERE reason IS NOT NULL), '3'), 'places are missing, and workers');
is(news(), "places|warning|a database has no place in shared memory by pg_saga.max_databases = 1: what is ready in others is found late (needs a restart)|ALTER SYSTEM SET pg_saga.max_databases = 3\n"
	  . 'places|warning|all places for queues in shared memory are taken by pg_saga.max_queues = 16: what is ready in others is found late (needs a restart)|ALTER SYSTEM SET pg_saga.max_queues = 32' . "\n"
	  . "switched_off|warning|$off, and something waits|$on", 'and the doctor says so');
mend(1);
is($node->safe_psql('postgres', q(SELECT count(*) FROM saga.workers WHERE reason IS NOT NULL)), '0', 'none is missing');

# ---------- the log ----------
# as the doctor names them, on a server whose log then has the value of a secret
my %loud = (
	log_statement => 'all', log_min_duration_statement => 0, log_min_duration_sample => '0', log_transaction_sample_rate => '1',
	log_parameter_max_length_on_error => -1, log_lock_waits => 'on', 'auto_explain.log_min_duration' => 0);
foreach my $name (sort keys %loud)
{
	$node->safe_psql('postgres', "ALTER SYSTEM SET $name = '$loud{$name}'");
	$node->reload;
	ok(poll_until($node, qq(SELECT count(*) = 1 FROM saga.doctor() WHERE "check" = 'secret_log' AND what LIKE '$name = %')), "$name is seen");
	if ($name !~ /lock_waits|on_error/)
	{
		my $at = -s $node->logfile;
		$node->safe_psql('postgres', "SELECT saga.set_secret('key', 'value-of-$name')");
		wait_for_log($node, qr/value-of-\Q$name\E/, $at);
	}
	mend(0);
}
my $at = -s $node->logfile;
$node->safe_psql('postgres', "SELECT saga.set_secret('key', 'value-of-nothing')");
unlike(slurp_file($node->logfile, $at), qr/value-of-nothing/, 'with all of them mended the log shows no value');

$node->stop;
done_testing();
