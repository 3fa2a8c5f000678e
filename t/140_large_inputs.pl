# Many large documents at once: a worker takes one after the other, whether they are what executions start
# with, what a token was answered with, what is kept of those that wait, or what steps return.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;
use Saga::Work;

plan skip_all => 'reads /proc' unless -r '/proc/self/status';

my $mb = 12;
my $n = 32;
my $node = new_saga_node('large', 'pg_saga.workers = 1', 'shared_buffers = 16MB', 'autovacuum = off', 'pg_saga.payload_limit = 0');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');

sub sql { return $node->safe_psql('postgres', $_[0]) }

add_role($node, 'postgres', 'alice');
sql(<<"SQL");
CREATE TABLE small (x int);
GRANT INSERT ON small TO alice;
CREATE FUNCTION small(input jsonb) RETURNS jsonb LANGUAGE sql AS \$\$ INSERT INTO public.small VALUES (1) RETURNING '{}'::jsonb \$\$;
CREATE TABLE held (token text);
GRANT INSERT ON held TO alice;
CREATE FUNCTION hold(input jsonb) RETURNS jsonb LANGUAGE sql AS \$\$ INSERT INTO public.held VALUES (input ->> 'token') RETURNING 'null'::jsonb \$\$;
CREATE FUNCTION large(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
	IF input ? 'small' THEN RETURN '{}'; END IF;
	RETURN to_jsonb(repeat('a', $mb * 1048576 + (random() * 10)::int));
END \$\$;
SET SESSION AUTHORIZATION alice;
SELECT saga.create_workflow('input', '{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:public.small", "End": true}}}');
SELECT saga.create_workflow('waits', '{"StartAt": "W", "States": {"W": {"Type": "Wait", "TimestampPath": "\$.at", "Next": "S"},
	"S": {"Type": "Task", "Resource": "sql:public.small", "End": true}}}');
SELECT saga.create_workflow('result', '{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": "sql:public.large", "End": true}}}');
SELECT saga.create_workflow('asks', '{"StartAt": "Ask", "States": {"Ask": {"Type": "Task", "Resource": "sql:public.hold.waitForTaskToken",
	"Parameters": {"token.\$": "\$\$.Task.Token"}, "End": true}}}');
SQL

sub start { return "SELECT count(saga.start_execution((SELECT workflow_id FROM saga.workflow WHERE name = '$_[0]'), $_[1])) FROM generate_series(1, $_[2])" }

# Megabytes that the worker has had at most; it is the same one all the time.
my $pid = '';

sub worker
{
	my $now = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'pg_saga worker%' AND usename = 'alice'});
	$pid ||= $now;
	is($now, $pid, 'it is the same worker');
	my ($kb) = slurp_file("/proc/$now/status") =~ /VmHWM:\s+(\d+)/;
	return $kb / 1024;
}

sub ended { return poll_until($node, "SELECT count(*) FROM saga.execution WHERE status = 's'", $_[0]) }

sub is_bounded
{
	my ($what, $first) = @_;
	my $got = worker();

	note("$what: $got MB, and $first MB before");
	cmp_ok($got - $first, '<', 16 * $mb, "$n $what of $mb MB");
	return;
}

# Quick ones, after which a batch has fifty of them; returns how many have ended.
sub quick
{
	my ($workflow, $input) = @_;
	my $then = sql('SELECT count(*) FROM saga.execution') + 300;

	sql(start($workflow, $input, 300));
	if ($workflow eq 'asks')
	{
		poll_until($node, 'SELECT count(*) FROM held', '300');
		sql(q{SELECT count(saga.send_task_success(token, '1')) FROM held; TRUNCATE held});
	}
	ended($then);
	return $then;
}

my $large = "repeat('a', $mb * 1048576)";
my $ended = quick('input', q{'{}'});
my $first = worker();

sql(start('input', "to_jsonb($large)", $n));
ended($ended + $n);
is_bounded('inputs', $first);

$ended = quick('asks', q{'{}'});
sql(start('asks', q{'{}'}, $n));
poll_until($node, 'SELECT count(*) FROM held', $n);
sql("SELECT count(saga.send_task_success(token, to_jsonb($large))) FROM held");
ended($ended + $n);
is_bounded('answers to tokens', $first);

$ended = quick('result', q{'{"small": true}'});
sql(start('result', q{'{}'}, $n));
ended($ended + $n);
is_bounded('results of steps', $first);

$ended = quick('waits', q{'{"at": "2020-01-01T00:00:00Z"}'});
sql(start('waits', "jsonb_build_object('at', to_char(now() + '5 s', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), 'x', $large)", $n));
ended($ended + $n);
is_bounded('inputs of executions that wait', $first);

$node->stop;
done_testing();
