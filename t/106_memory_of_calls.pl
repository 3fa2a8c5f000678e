# What a batch works with is given back: a CALL that runs for hours, and the first execution of a batch, which has no savepoint.
use strict;
use warnings;
use File::Temp;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

plan skip_all => 'reads /proc' unless -r '/proc/self/status';

my $dir = File::Temp->newdir('saga-memory-XXXXXX', TMPDIR => 1);
my $raw = Saga::Server->start('raw', args => [ '--log', "$dir/raw" ]);
my $node = new_saga_node('main', 'pg_saga.workers = 0', 'pg_saga.publishers = 0', 'autovacuum = off', 'shared_buffers = 16MB',
	'pg_saga.payload_limit = 0');
create_extensions($node);

# The largest resident set of a session that runs this, in MB, beyond what it has when it begins.
my $hwm = q{SELECT 'MB ' || substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s+(\d+)')::integer / 1024};

sub growth
{
	my ($before, $call) = @_;
	my ($first, $last) = $node->safe_psql('postgres', "$before; $hwm; $call; $hwm") =~ /^MB (\d+)$/mg;
	note("$call: " . ($last - $first) . ' MB');
	return $last - $first;
}

# 41 kB a message in 0.1
my $settings = encode_json({ url => $raw->url, allow_private => ['127.0.0.0/8'], concurrency => 32, base_ms => 20, cap_ms => 200,
	max_attempts => 1000 });
$node->safe_psql('postgres', "SELECT saga.create_destination('server', 'http', '$settings')");
$node->safe_psql('postgres', <<'SQL');
SELECT saga.create_workflow('send', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke",
	"Parameters": {"ApiEndpoint": "saga:server/letters/20000", "Method": "POST"}, "ResultPath": "$.answer", "Next": "B"},
	"B": {"Type": "Pass", "Parameters": {"x.$": "$.answer.StatusCode"}, "End": true}}}');
SELECT count(saga.start_execution('send', jsonb_build_object('text', repeat('x', 20000), 'n', n))) FROM generate_series(1, 2000) n;
SQL
# what of it touches the shared buffers is no memory of ours
my $warm = "SELECT count(*), sum(length(input::text)) FROM saga.all_executions";
cmp_ok(growth("$warm", q{CALL saga.drain('send')}), '<', 60, 'drain that parks executions');
is($node->safe_psql('postgres', q{SELECT count(*) FROM saga.outbox WHERE state = 'waiting'}), '2000', 'all of them wait for their answers');
cmp_ok(growth('SELECT count(*), sum(length(request::text)) FROM saga.outbox', 'CALL saga.publish()'), '<', 60, 'publish');
# what a full machine did not let through is sent again
poll_until($node, q{CALL saga.publish(); SELECT count(*) FROM saga.outbox WHERE state = 'waiting'}, '0');
is($node->safe_psql('postgres', q{SELECT state, count(*) FROM saga.outbox GROUP BY 1}), 'delivered|2000', 'all are sent');
cmp_ok(growth($warm, q{CALL saga.drain('send')}), '<', 60, 'drain that resumes them');
is($node->safe_psql('postgres', q{SELECT count(*) FROM saga.executions WHERE status = 'SUCCEEDED'}), '2000', 'all have ended');

# A document of 40 MB: what stores it has three of them at most; a run has its input and its output.
my $mb = 40;
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE document AS SELECT jsonb_build_object('text', string_agg(md5(i::text), '')) AS j FROM generate_series(1, $mb * 32768) i;
SELECT saga.create_queue('q');
SELECT saga.create_workflow('pass', '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}');
SQL
cmp_ok(growth('SELECT 1', q{SELECT saga.start_execution('pass', j) FROM document}), '<', 3 * $mb + 25, 'start_execution of a large document');
cmp_ok(growth('SELECT 1', q{SELECT saga.send('q', j) FROM document}), '<', 3 * $mb + 25, 'send of one');
cmp_ok(growth('SELECT 1', q{CALL saga.drain('pass')}), '<', 5 * $mb + 25, 'a run of one');
is($node->safe_psql('postgres', q{SELECT status FROM saga.executions WHERE workflow = 'pass'}), 'SUCCEEDED', 'it has ended');

# A run that keeps too much comes back later; the first of its batch alone is what a worker claims here.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION large(i jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('n', (i ->> 'n')::int - 1, 'text', repeat('x', 190000)) $$;
SELECT saga.create_workflow('large', '{"StartAt": "A", "States": {
	"A": {"Type": "Task", "Resource": "sql:public.large", "Next": "B"},
	"B": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericGreaterThan": 0, "Next": "A"}], "Default": "C"},
	"C": {"Type": "Succeed", "OutputPath": "$.n"}}}');
SELECT saga.start_execution('large', '{"n": 600}');
ALTER SYSTEM SET pg_saga.workers = 1;
SELECT pg_reload_conf();
SQL
poll_until($node, q{SELECT status FROM saga.executions WHERE workflow = 'large'}, 'SUCCEEDED');
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM saga.history JOIN saga.executions USING (execution_id) WHERE workflow = 'large'}),
	'>', 1, 'a run that keeps too much parks, also as the first of its batch');

$node->stop;
done_testing();
