# A source when its database fails over between commit and delete: the standby that takes over
# gets the same messages again, and knows them.
use strict;
use warnings;

use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use Saga::Test;

my $dir = File::Temp->newdir('saga-aws-XXXXXX', TMPDIR => 1);
append_to_file("$dir/credentials", "[default]\naws_access_key_id = test\naws_secret_access_key = test\n");
my $aws = start_fauxqs();
my $proxy = Saga::Server->start('sns_proxy', args => [ '--upstream', $aws->url, '--key-id', 'test', '--secret', 'test' ]);
my $url = $aws->queue('letters');

my $primary = new_saga_node('primary', { init => [ allows_streaming => 1 ] });
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->append_conf('postgresql.conf', "synchronous_standby_names = 'standby'");
$primary->reload;
create_extensions($primary);

my $settings = encode_json({
	queue_url => $url, endpoint_url => $proxy->url, region => 'us-east-1', allow_private => JSON::PP::true, wait_s => 2,
	visibility_timeout_s => 5, credentials => { file => "$dir/credentials" } });
$proxy->request('POST', '/_faults', [ { action => 'hold', target => 'DeleteMessageBatch' } ]);
$aws->send_messages($url, map { "{\"x\": $_}" } 1 .. 100);
$primary->safe_psql('postgres', "SELECT saga.create_queue('letters'); SELECT saga.create_source('letters', 'sqs', '$settings', 'letters')");
poll_until($primary, 'SELECT count(*) >= 20 FROM saga.message');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg_saga%'"), 0,
	'nothing is received on a standby');
$primary->stop('immediate');
$proxy->request('POST', '/_faults', []);
$standby->promote;
poll_until($standby, 'SELECT count(*) FROM saga.message', '100');
my $counts;
wait_until(sub { $counts = join(' ', $aws->counts($url)); return $counts eq '0 0' });
is($counts, '0 0', 'nothing is left at SQS');
is($standby->safe_psql('postgres', 'SELECT count(*), count(DISTINCT body) FROM saga.message'), '100|100', 'each is there once');
cmp_ok($standby->safe_psql('postgres', 'SELECT duplicates FROM saga.sources'), '>=', 20, 'what was committed came again, and was recognised');

$standby->stop;
done_testing();
