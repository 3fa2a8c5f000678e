# Retention and what it cannot remove: it looks at so many rows at a time, whatever can be removed of them, and
# comes to what is behind. Times are kept as they were given.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $node = new_saga_node('walk', { start => 0 }, 'pg_saga.workers = 1');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pg_saga, auto_explain'
auto_explain.log_analyze = on
auto_explain.log_timing = off
auto_explain.log_nested_statements = on
auto_explain.log_min_duration = -1
CONF
$node->start;
create_extensions($node, 'postgres');
# what the coordinator has filtered out, the most in one statement
sub most_removed
{
	my ($offset) = @_;
	my $log = substr(slurp_file($node->logfile), $offset);
	my ($most, $statements) = (0, 0);
	foreach my $entry (split /^(?=\d{4}-\d\d-\d\d )/m, $log)
	{
		next unless $entry =~ /Query Text: WITH seen/;
		$statements++;
		foreach my $rows ($entry =~ /Rows Removed by Filter: (\d+)/g) { $most = $rows if $rows > $most }
		while ($entry =~ /Scan[^\n]* on (?:execution|outbox|dead_letter|source_seen|history)[^\n]*actual rows=(\d+)/g) { $most = $1 if $1 > $most }
	}
	return ($most, $statements);
}

# ids of 1970, as somebody may give them, of executions that have ended now, and one behind that ended long ago
my $many = 12_000;
my $old = q('0180' || substr(md5(x::text), 1, 4) || '-0000-7000-8000-' || lpad(x::text, 12, '0'));
sql(<<"SQL");
SELECT saga.create_workflow('fast', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}');
SELECT saga.create_destination('books', 'http', '{"url": "https://a.invalid/"}'), saga.create_destination('others', 'http', '{"url": "https://a.invalid/"}');
SELECT saga.pause_destination('books'), saga.pause_destination('others');
SELECT saga.start_execution('fast', '{}', NULL, '00000000-0000-7000-8000-000000000001');
SQL
poll_until($node, q(SELECT count(*) FROM saga.execution WHERE execution_id = '00000000-0000-7000-8000-000000000001'), '1');
sql(<<"SQL");
INSERT INTO saga.execution (execution_id, workflow_id, version, started_at, stopped_at, status)
SELECT ('00000000-0000-7000-8000-1' || lpad(x::text, 11, '0'))::uuid, 1, 1, now(), now(), 's' FROM generate_series(1, $many) x
UNION ALL SELECT ($old)::uuid, 1, 1, now() - interval '2 days', now() - interval '2 days', 's' FROM generate_series(1, 700) x;
INSERT INTO saga.history SELECT execution_id, run, 'x' FROM (SELECT execution_id, row_number() OVER (ORDER BY execution_id) AS n FROM saga.execution WHERE stopped_at < now() - interval '1 day') e,
	generate_series(1, CASE WHEN n % 300 = 7 THEN 3500 ELSE n % 3 END) AS run;
INSERT INTO saga.dead_letter (dead_letter_id, queue_id, message_id, kind, reason, receives, failed_at)
SELECT execution_id, 1, execution_id, 's', 'test', 1, stopped_at FROM saga.execution WHERE input IS NULL;
INSERT INTO saga.outbox (destination_id, outbox_id, op, state, idempotency_key, created_at, finished_at, request)
SELECT d.destination_id, execution_id, 'p', CASE WHEN is_old THEN 'delivered' ELSE 'waiting' END, execution_id, now(),
	CASE WHEN is_old THEN stopped_at END, '{}' FROM (SELECT *, stopped_at < now() - interval '1 day' AS is_old FROM saga.execution) e, saga.destination d
WHERE input IS NULL;
SQL
is(sql(q(SELECT count(*) FROM saga.outbox WHERE state = 'waiting')), 2 * $many, 'what waits, by its id of long ago');
my $offset = -s $node->logfile;
$node->append_conf('postgresql.conf', "auto_explain.log_min_duration = 0\npg_saga.execution_retention = '1d'\npg_saga.dead_letter_retention = '1d'\npg_saga.outbox_retention = '1d'");
$node->reload;
poll_until($node, q(SELECT count(*) FROM saga.execution WHERE stopped_at < now() - interval '1 day'), '0');
pass('an execution that ended long ago is removed, behind many that did not');
is(sql('SELECT count(*) FROM saga.history'), '0', 'with its history, however long that is');
poll_until($node, q(SELECT count(*) FROM saga.dead_letter WHERE failed_at < now() - interval '1 day'), '0');
pass('so is a dead letter');
poll_until($node, q(SELECT count(*) FROM saga.outbox WHERE state = 'delivered'), '0');
pass('and an outbox message, of each destination');
is(sql('SELECT (SELECT count(*) FROM saga.execution) - 1, (SELECT count(*) FROM saga.dead_letter), (SELECT count(*) FROM saga.outbox)'),
	join('|', $many, $many, 2 * $many), 'the others stay');
my ($most, $statements) = most_removed($offset);
cmp_ok($statements, '>', 20, 'in many statements');
cmp_ok($most, '>', 0, 'whose plans are in the log');
cmp_ok($most, '<=', 1000, 'none of which looked at many rows');
is(sql(q(SELECT errors FROM saga.workers WHERE type = 'coordinator' AND database = 'postgres')), '0', 'no error');

# ---------- ids of a time to come, which it does not walk to ----------

my ($rc, $out, $err) = $node->psql('postgres', q(SELECT saga.start_execution('fast', '{}', NULL, 'f0000000-0000-7000-8000-000000000001')));
like($err, qr/is of a time in the future/, 'they are refused');
foreach my $hours (-20000, 0, 23)
{
	my $id = sql(qq(SELECT overlay(saga.make_id()::text PLACING substr(h, 1, 8) || '-' || substr(h, 9, 4) FROM 1 FOR 13)
		FROM lpad(to_hex((extract(epoch FROM now() + interval '$hours hours') * 1000)::bigint), 12, '0') h));
	is(sql("SELECT saga.start_execution('fast', '{}', NULL, '$id')"), $id, "one of $hours hours from now is not");
}

# ---------- settings ----------

# at least what was asked for, where 0 is never
foreach my $setting ([ execution_retention => '30s' ], [ dead_letter_retention => '1s' ], [ outbox_retention => '90s' ], [ execution_retention => '1d' ],
	[ step_timeout => '400us' ], [ sweep_interval => '400us' ], [ sweep_interval => '10min' ], [ payload_limit => '100B' ], [ payload_limit => '256kB' ])
{
	my ($name, $value) = @{$setting};
	$node->append_conf('postgresql.conf', "pg_saga.$name = '$value'");
	$node->reload;
	poll_until($node, "SHOW pg_saga.$name", $value);
	pass("pg_saga.$name = $value is what it says");
	$node->append_conf('postgresql.conf', "pg_saga.$name = 0");
}
$node->reload;
poll_until($node, 'SHOW pg_saga.payload_limit', '0');
sql(q(INSERT INTO saga.execution (execution_id, workflow_id, version, started_at, stopped_at, status)
	VALUES ('01800000-0000-7000-8000-000000000001', 1, 1, now() - interval '2 minutes', now() - interval '2 minutes', 's'),
	('01800000-0000-7000-8000-000000000002', 1, 1, now() + interval '1 day', now() + interval '1 day', 's')));
$node->append_conf('postgresql.conf', "pg_saga.execution_retention = '1s'");
# a walk begins as the coordinator does
$node->restart;
poll_until($node, q(SELECT count(*) FROM saga.execution WHERE execution_id::text LIKE '01800000-0000-7000-8000-00000000000%'), '1');
pass('a retention of a second is one');

$node->stop;
done_testing();
