# A standby has no process of ours until it is promoted; then the work goes on there.
use strict;
use warnings;

use Test::More;
use Saga::Test;
use Saga::Work;

my $primary = new_saga_node('primary', { init => [ allows_streaming => 1 ] }, 'pg_saga.workers = 2');

$primary->safe_psql('postgres', 'CREATE EXTENSION pg_saga');
add_role($primary, 'postgres', 'app');
add_workflow($primary, 'postgres', 'app', 'wf');
submit($primary, 'postgres', 'wf', 1 .. 5);
wait_done($primary, 'postgres', 5);

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg_saga%'"),
	'0', 'no process on a standby');
ok(-e $primary->data_dir . '/pg_stat_tmp/pg_saga.recorder', 'the primary has a flight recorder');

# work that the primary has no time for
$primary->append_conf('postgresql.conf', 'pg_saga.workers = 0');
$primary->reload;
poll_until($primary, q{SELECT count(*) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL}, '0');
submit($primary, 'postgres', 'wf', 6 .. 25);
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));

my ($rc, $out, $err) = $standby->psql('postgres', 'CALL saga.drain()');
isnt($rc, 0, 'saga.drain() is refused on a standby');
like($err, qr/recovery|read-only/, 'with a reason');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM saga.workers'), '0', 'saga.workers can be read there');

$primary->stop('immediate');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg_saga%'"),
	'0', 'still no process before the promotion');
$standby->promote;
poll_until($standby, 'SELECT count(DISTINCT x) FROM public.done', '25');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM public.done'), '25', 'after the promotion the work went on, each once');

$standby->stop('fast');
done_testing();
