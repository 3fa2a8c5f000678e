# docs/security.md: its SQL runs as it stands, and the roles that it makes may do what they are for and
# nothing else. A block "sql as ROLE" is run by that role; "sql with FUNCTION" where there is such a one.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $node = new_saga_node('roles', 'pg_saga.workers = 1');
$node->safe_psql('postgres', 'CREATE DATABASE shop');

# runs a statement as a role; what went wrong, or nothing
sub attempt
{
	my ($role, $sql) = @_;
	my ($out, $err) = ('', '');
	$node->psql('shop', $sql, stdout => \$out, stderr => \$err, on_error_stop => 1, extra_params => [ '-U', $role, '-v', 'VERBOSITY=verbose' ]);
	return $err =~ /ERROR:  (.*)/ ? $1 : '';
}

sub admin { return $node->safe_psql('shop', $_[0]) }

my $page = slurp_file('docs/security.md');
my $blocks = 0;
while ($page =~ /^```sql(?: (as|with) (\S+))?\n(.*?)^```$/msg)
{
	my ($how, $what, $sql) = ($1 // '', $2 // '', $3);
	next if $how eq 'with' && admin("SELECT count(*) = 0 FROM pg_proc WHERE oid::regproc::text = '$what'") eq 't';
	my ($ret, $out, $err) = $node->psql('shop', $sql, on_error_stop => 1, extra_params => $how eq 'as' ? [ '-U', $what ] : []);
	is("$ret $err", '0 ', 'block ' . ++$blocks . ": " . ($sql =~ /\A(.*)/)[0]) or note($sql);
}
cmp_ok($blocks, '>=', 7, 'there were blocks');
my $granted = admin("SELECT count(*) > 0 FROM pg_proc WHERE oid::regproc::text = 'saga.grant'") eq 't';

# they would lock a table before anything is refused
like(attempt('shop_owner', "SELECT $_"), qr/permission denied for function/, "$_ is nobody's") foreach map { "brin_$_" }
	"summarize_new_values('saga.message_pkey')", "summarize_range('saga.message_pkey', 0)", "desummarize_range('saga.message_pkey', 0)";

# ---------- what they are for ----------
is(attempt('shop_web', q(SELECT shop.place_order('o-1', '[1]'))), '', 'the starter starts');
is(attempt('shop_web', q(SELECT shop.place_order('o-2', '[2]'))), '', 'twice');
ok(poll_until($node, 'SELECT count(*) = 2 FROM saga.execution', 't', 'shop'), 'both ran, in a worker as their owner');
is(admin(q(SELECT string_agg(DISTINCT status, ',') FROM saga.all_executions WHERE workflow = 'orders')), 'SUCCEEDED', 'and succeeded');
is(attempt('shop_deployer', q(SELECT saga.validate('{}'), saga.test_mapping('a', '{"a": 1}'))), '', 'the deployer tries things out');
is(attempt('shop_deployer', q(SELECT saga.create_queue('parcels'); SELECT saga.set_secret('key', 'x'); SELECT saga.drop_secret('key'); SELECT saga.drop_queue('parcels'))),
	'', 'and makes and drops');
is(attempt('shop_operator', $_), '', "the operator: $_")
  foreach 'SELECT * FROM saga.executions', 'SELECT * FROM saga.execution_history', 'SELECT * FROM saga.workers', 'SELECT * FROM saga.destinations',
  q(SELECT saga.redrive(queue, 'x') FROM (VALUES (CASE WHEN to_regproc('saga.grant') IS NULL THEN 'orders' ELSE 'shop_owner.orders' END)) q (queue)),
  q(SELECT saga.pause_destination(d), saga.resume_destination(d) FROM (VALUES (CASE WHEN to_regproc('saga.grant') IS NULL THEN 'books' ELSE 'shop_owner.books' END)) q (d));
is($node->safe_psql('shop', q(SELECT executions FROM shop.progress() WHERE status = 'SUCCEEDED'), extra_params => [ '-U', 'shop_monitor' ]), '2', 'the monitor sees what the owner shows');
is(attempt('shop_monitor', 'SELECT * FROM saga.workers'), '', 'and the workers');
is(attempt('saga_auditor', 'SELECT * FROM saga.doctor()'), '', 'the auditor asks the doctor');
is(admin(q(SELECT string_agg("check" || ' ' || what, '; ') FROM saga.doctor() WHERE what NOT LIKE '%workflow "invoice-inbox"%')) // '', '', 'who finds nothing in what this page makes');

# ---------- and nothing else ----------
sub refused
{
	my ($role, $sql) = @_;
	like(attempt($role, $sql), qr/^(?:42501|42704|55000)/, "$role may not: $sql");
	return;
}

# The deployer and the operator are members of the owner, and may start what it may.
my $start = q(SELECT saga.start_execution('shop_owner.orders', '{}'));
refused('shop_web', $_) foreach q(SELECT saga.create_workflow('w', '{}')), q(SELECT saga.redrive('orders')), 'SELECT * FROM saga.executions', 'SELECT shop.progress()',
  'SELECT shop.pack(NULL) FROM saga.secret', ($granted ? () : $start);
refused('shop_owner', $_) foreach q(SELECT saga.create_workflow('orders', '{}')), q(SELECT saga.set_workflow_owner('orders', 'shop_owner')),
  q(SELECT saga.alter_destination('books', '{}')), q(SELECT saga.set_secret('key', 'x')), q(SELECT saga.stop_execution(NULL)), 'SELECT * FROM saga.dead_letters', 'CREATE TABLE public.x ()',
  'CREATE FUNCTION invoices.f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', 'CREATE FUNCTION saga.f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$';
refused('shop_deployer', $_) foreach q(SELECT saga.create_source('s', 'sqs', '{}', 'q')), q(SELECT saga.set_inbox('a', 'b.c')), 'SELECT * FROM saga.secret', 'SELECT * FROM saga.destination',
  q(SELECT saga.set_workflow_owner('orders', 'postgres')), q(SELECT saga.create_destination('x', 'http', '{"url": "http://127.0.0.1/", "allow_private": true}'));
refused('shop_operator', $_) foreach q(SELECT saga.create_workflow('orders', '{}')), q(SELECT saga.alter_destination('books', '{}')), q(SELECT saga.set_secret('key', 'x')), 'SELECT * FROM saga.all_executions';
refused('shop_monitor', $_) foreach $start, 'SELECT * FROM saga.queues', q(SELECT saga.redrive('orders')), 'SELECT * FROM saga.all_dead_letters', 'SELECT * FROM saga.execution';
refused('saga_auditor', $_) foreach $start, 'SELECT * FROM saga.executions', 'SELECT * FROM saga.destination', 'SELECT * FROM saga.workers';
$node->safe_psql('shop', 'CREATE ROLE anybody LOGIN');
refused('anybody', $_) foreach 'SELECT saga.make_id()', 'SELECT * FROM saga.executions', 'SELECT * FROM invoices.invoice_tracking', q(SELECT invoices.invoice_check('{}')), q(SELECT shop.place_order('x', '[]')),
  'CREATE TABLE public.x ()';
is($node->safe_psql('shop', 'GRANT USAGE ON SCHEMA saga TO anybody; GRANT SELECT ON saga.executions, saga.destinations TO anybody; SET ROLE anybody;
	SELECT (SELECT count(*) FROM saga.executions) + (SELECT count(*) FROM saga.destinations)'), '0', 'who may read views sees no row of others');

# ---------- an owner that nobody logs in as ----------
my $hba = $node->data_dir . '/pg_hba.conf';
my $lines = slurp_file($hba);
open my $fh, '>', $hba or die "$hba: $!\n";
print $fh "local all shop_owner reject\nhost all shop_owner all reject\n$lines";
close $fh;
$node->reload;
# by new connections only, so also by a new worker
my $err = '';
ok( (   sub {
			for (1 .. 300)
			{
				$node->psql('shop', 'SELECT 1', stderr => \$err, extra_params => [ '-U', 'shop_owner' ]);
				return 1 if $err =~ /pg_hba.conf rejects connection/;
				select undef, undef, undef, 0.1;
			}
			return 0;
		})->(),
	'it cannot log in') or diag($err);
admin(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'pg_saga worker%'));
is(attempt('shop_web', q(SELECT shop.place_order('o-3', '[3]'))), '', 'an order');
ok(poll_until($node, 'SELECT count(*) = 3 FROM saga.execution', 't', 'shop'), 'and a worker runs it all the same');

$node->stop;
done_testing();
