# Restores that change neither server nor timeline: a dump into a database of the same server, a copy by
# CREATE DATABASE, a base backup that is started as it is, a copy of the files, a snapshot of the storage.
# What was sent since the state that is left, to a server that knows no keys and takes a number twice, is
# looked up and not sent again.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $true = JSON::PP::true;
my $books = start_accounting();
$books->faults({ modes => { duplicate => 'allow', idempotency => 'none' }, rules => [] });
my $settings = encode_json({ url => $books->url('/v1/invoices'), allow_private => $true, base_ms => 10, idempotency => { in => 'none' },
	lookup => { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]' } });
my $node = new_saga_node('main', { init => [ allows_streaming => 1 ] }, 'pg_saga.workers = 1');

sub setup
{
	my ($node, $db) = @_;
	create_extensions($node, $db);
	$node->safe_psql($db, <<"SQL");
CREATE FUNCTION document(name text) RETURNS jsonb LANGUAGE sql AS \$\$ SELECT jsonb_build_object('number', name, 'currency', 'EUR', 'seller', 'S',
	'buyer', 'B', 'total', '1.19', 'tax', '0.19', 'lines', '[{"amount": "1.00"}]'::jsonb) \$\$;
SELECT saga.create_destination('books', 'http', '$settings');
SELECT saga.create_workflow('book', '{"StartAt": "W", "States": {"W": {"Type": "Wait", "SecondsPath": "\$.wait", "Next": "B"},
	"B": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": {"ApiEndpoint": "saga:books", "RequestBody.\$": "\$"}, "End": true}}}');
SQL
	return;
}

# What waits: messages, and an execution whose step has begun.
sub submit
{
	my ($node, $db, $prefix) = @_;
	$node->safe_psql($db, "SELECT saga.pause_destination('books')");
	$node->safe_psql($db, "SELECT count(saga.publish_to('books', document('$prefix-' || n))) FROM generate_series(1, 5) n;
		SELECT saga.start_execution('book', document('$prefix-step') || '{\"wait\": 0}')");
	poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '6', $db);
	return;
}

sub send_all
{
	my ($node, $db) = @_;
	$node->safe_psql($db, "SELECT saga.resume_destination('books')");
	poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '0', $db);
	poll_until($node, "SELECT count(*) FROM saga.executions WHERE status = 'RUNNING'", '0', $db);
	return;
}

sub posted
{
	my ($prefix) = @_;
	my %numbers = map { $_->{number} => $_->{posted} } grep { $_->{number} =~ /^$prefix-/ } @{ $books->audit->{numbers} };
	return join(' ', map { "$_:$numbers{$_}" } sort keys %numbers);
}

sub once { my ($prefix) = @_; return join(' ', map { "$prefix-$_:1" } 1 .. 5, 'step') }
sub looked_up { return $_[0]->safe_psql($_[1], "SELECT count(*) FROM saga.outbox WHERE state = 'delivered' AND doubted AND sends = 0 AND request::text LIKE '%$_[2]-%'") }

# ---------- a dump into the same server ----------

$node->safe_psql('postgres', 'CREATE DATABASE app');
setup($node, 'app');
submit($node, 'app', 'dump');
my $dump = "$PostgreSQL::Test::Utils::tmp_check/app.dump";
$node->command_ok([ 'pg_dump', '-Fc', '-h', $node->host, '-p', $node->port, '-f', $dump, 'app' ], 'dumped');
send_all($node, 'app');
is(posted('dump'), once('dump'), 'all is sent');
is($node->safe_psql('app', 'SELECT at FROM saga.takeover'), '-infinity', 'and nothing doubted');
$node->safe_psql('app', 'ALTER TABLE saga.takeover SET (fillfactor = 90); VACUUM FULL saga.takeover');
$node->safe_psql('postgres', 'ALTER DATABASE app RENAME TO app2');
$node->restart;
submit($node, 'app2', 'renamed');
send_all($node, 'app2');
is($node->safe_psql('app2', 'SELECT at FROM saga.takeover'), '-infinity', 'nor after a restart, VACUUM FULL and RENAME');
$node->safe_psql('postgres', 'DROP DATABASE app2 WITH (FORCE)');
$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->command_ok([ 'pg_restore', '--single-transaction', '--exit-on-error', '-h', $node->host, '-p', $node->port, '-d', 'app', $dump ], 'restored');
is($node->safe_psql('app', "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'"), '6', 'where all of it waits');
send_all($node, 'app');
is(posted('dump'), once('dump'), 'dump: nothing is sent twice');
is(looked_up($node, 'app', 'dump'), '6', 'dump: it was looked up');
is($node->safe_psql('app', 'SELECT count(*) FROM saga.takeover WHERE at > now() - interval \'1 hour\''), '1', 'dump: since that is noted');

# ---------- a copy ----------

submit($node, 'app', 'copy');
# no process of ours may be in the database
$node->append_conf('postgresql.conf', "pg_saga.databases = 'postgres'");
$node->restart;
poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app'", '0');
is($node->psql('postgres', 'CREATE DATABASE copy TEMPLATE app'), 0, 'copied');
$node->append_conf('postgresql.conf', "pg_saga.databases = 'app,copy'");
$node->restart;
send_all($node, 'app');
is(posted('copy'), once('copy'), 'the one has sent all');
send_all($node, 'copy');
is(posted('copy'), once('copy'), 'copy: the other sends nothing twice');
is(looked_up($node, 'copy', 'copy'), '6', 'copy: it has looked');

# ---------- the files ----------

my $moved = 0;

sub put_files
{
	my ($from, %opt) = @_;
	rename($node->data_dir, $node->data_dir . '.' . ++$moved) or die "$!";
	PostgreSQL::Test::RecursiveCopy::copypath($from, $node->data_dir, %opt);
	chmod(0700, $node->data_dir) or die "$!";
	return;
}
sub takeovers { return $node->safe_psql('app', 'SELECT count(*), max(at) FROM saga.takeover') }

submit($node, 'app', 'backup');
$node->backup('base');
send_all($node, 'app');
is(posted('backup'), once('backup'), 'all is sent');
$node->stop('immediate');
put_files($node->backup_dir . '/base');
$node->start;
is($node->safe_psql('app', "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'"), '6', 'base backup as it is: there it waits');
send_all($node, 'app');
is(posted('backup'), once('backup'), 'base backup as it is: nothing is sent twice');
is(looked_up($node, 'app', 'backup'), '6', 'base backup as it is: it was looked up');
my $takeovers = takeovers();
$node->restart;
submit($node, 'app', 'after');
send_all($node, 'app');
is(takeovers(), $takeovers, 'a restart after that is none');

# of the cluster when it does not run
submit($node, 'app', 'cold');
$node->stop;
my $cold = "$PostgreSQL::Test::Utils::tmp_check/cold";
PostgreSQL::Test::RecursiveCopy::copypath($node->data_dir, $cold);
$node->start;
send_all($node, 'app');
$node->stop('immediate');
put_files($cold);
$node->start;
send_all($node, 'app');
is(posted('cold'), once('cold'), 'a copy of the files: nothing is sent twice');
is(looked_up($node, 'app', 'cold'), '6', 'a copy of the files: it was looked up');

# ---------- a snapshot of the storage, which leaves no trace ----------

my $snapshot = "$PostgreSQL::Test::Utils::tmp_check/snapshot";
submit($node, 'app', 'snapshot');
$node->stop;
PostgreSQL::Test::RecursiveCopy::copypath($node->data_dir, $snapshot);
$node->start;
my $since = $node->safe_psql('app', 'SELECT now()');
send_all($node, 'app');
is(posted('snapshot'), once('snapshot'), 'all is sent');
$node->stop('immediate');
put_files($snapshot);
$node->append_conf('postgresql.conf', 'pg_saga.publishers = 0');
$node->start;
# these files are others, as those of a storage that goes back are not: with no row there is nothing to compare them with
$node->safe_psql('app', 'DELETE FROM saga.takeover');
$node->append_conf('postgresql.conf', 'pg_saga.publishers = 1');
$node->reload;
# a publisher has looked, and found nothing
$node->safe_psql('app', "SELECT saga.create_destination('other', 'http', '$settings'), saga.publish_to('other', document('other-1'))");
poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '6', 'app');
is($node->safe_psql('app', "SELECT count(*) FROM saga.takeover WHERE at <> '-infinity'"), '0', 'nothing tells of it');
my ($rc, $out, $err) = $node->psql('app', q(SELECT saga.doubt_outbox(now() + interval '1 hour')));
like($err, qr/nothing has been sent yet since/, 'nobody doubts what is to come');
is($node->safe_psql('app', "SELECT saga.doubt_outbox('$since')"), '6', 'but the operator does');
send_all($node, 'app');
is(posted('snapshot'), once('snapshot'), 'snapshot: nothing is sent twice');
is(looked_up($node, 'app', 'snapshot'), '6', 'snapshot: it was looked up');
is($node->safe_psql('app', 'SELECT count(*) FROM saga.takeover'), '1', 'snapshot: noted in the row that was there');
is(posted('other'), 'other-1:1', 'what was sent meanwhile is sent');

$node->stop;
done_testing();
