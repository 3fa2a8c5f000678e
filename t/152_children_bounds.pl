# Distributed Maps at their bounds: batches of so many bytes that are more than one chunk of them, results that are
# more than one document can have, a turn that crashes the server, and children that are stopped without compensation.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $node = new_saga_node('children_bounds', 'pg_saga.workers = 3', 'autovacuum = off', 'pg_saga.crash_limit = 1', 'restart_after_crash = on');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub ends
{
	my ($workflow, $status) = @_;
	return poll_until($node, "SELECT status || coalesce(' ' || error, '') FROM saga.executions WHERE workflow = '$workflow' AND started_by IS NULL", $status);
}

sql(<<'SQL');
CREATE FUNCTION machine(item jsonb, fields jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object('A', '{"Type": "Map", "ResultPath": null, "End": true}'::jsonb || fields || jsonb_build_object('ItemProcessor',
		'{"StartAt": "I", "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}'::jsonb || jsonb_build_object('States', item))))
$$;
CREATE TABLE seen (n int, t text);
CREATE FUNCTION items(i jsonb) RETURNS SETOF jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('n', n, 't', repeat(chr(97 + n % 26), (i ->> 'size')::int)) FROM generate_series(1, (i ->> 'n')::int) AS n $$;
CREATE FUNCTION see(i jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO public.seen SELECT (x ->> 'n')::int, x ->> 't' FROM jsonb_array_elements(i -> 'Items') AS x; SELECT '{}'::jsonb $$;
SQL

# Two items do not fit into one batch, so that each chunk of batches ends while an item is on its way into the next batch.
for my $case ([ 'many', 3000, 2000 ], [ 'large', 20, 1000000 ])
{
	my ($workflow, $n, $size) = @$case;
	sql(qq{SELECT saga.create_workflow('$workflow', machine('{"I": {"Type": "Task", "Resource": "sql:public.see", "End": true}}',
		'{"ItemReader": {"Resource": "sql:public.items", "Parameters": {"n": $n, "size": $size}}, "ItemBatcher": {"MaxInputBytesPerBatch": 3000}}'));
		SELECT saga.start_execution('$workflow', '{}')});
	ok(ends($workflow, 'SUCCEEDED'), "$workflow: the Map ends");
	is(sql("SELECT count(*), count(DISTINCT n), bool_and(t = repeat(chr(97 + n % 26), $size)) FROM seen"), "$n|$n|t", "$workflow: each item came once and whole");
	sql('TRUNCATE seen');
}

# No more than 256 MB go into an array: that is said to the parent, and is no error that comes again for ever.
sql(<<'SQL');
CREATE FUNCTION long(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT saga.failure('Long', repeat(md5(i ->> 'n'), 1024)) $$;
SELECT saga.create_workflow('causes', machine('{"I": {"Type": "Task", "Resource": "sql:public.long", "End": true}}',
	'{"ToleratedFailurePercentage": 100, "ItemReader": {"Resource": "sql:public.items", "Parameters": {"n": 8500, "size": 1}}}'));
SELECT saga.start_execution('causes', '{}');
SQL
ok(ends('causes', 'FAILED States.DataLimitExceeded'), 'causes that are too long together end their Map');
is(sql('SELECT count(*) FROM saga.map_item'), 0, 'no item is left');

# Two workers are in a step as the parent is stopped without compensation: their children are stopped where they park.
sql(<<'SQL');
CREATE TABLE book (what text);
CREATE FUNCTION slow(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(152);
	INSERT INTO public.book VALUES ('do');
	RETURN i;
END $$;
CREATE FUNCTION undo(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO public.book VALUES ('undo'); SELECT i $$;
SELECT saga.create_workflow('stops', machine('{"I": {"Type": "Task", "Resource": "sql:public.slow", "Compensate": "U", "Next": "W"}, "W": {"Type": "Wait", "Seconds": 3600, "End": true},
	"U": {"Type": "Task", "Resource": "sql:public.undo"}}', '{"MaxConcurrency": 2, "ItemReader": {"Resource": "sql:public.items", "Parameters": {"n": 2, "size": 1}}}'));
SQL
my $holder = $node->background_psql('postgres', on_error_stop => 0);
$holder->query_safe('SELECT pg_advisory_lock(152)');
my $id = sql(q{SELECT saga.start_execution('stops', '{}')});
$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}) or die;
sql("SELECT saga.stop_execution('$id', compensate => false)");
$node->poll_query_until('postgres', q{SELECT phase = 'c' FROM saga.children c WHERE parent_id = '} . $id . q{'}) or die;
$holder->query_safe('SELECT pg_advisory_unlock(152)');
$holder->quit;
$node->poll_query_until('postgres', qq{SELECT phase = 'x' FROM saga.children WHERE parent_id = '$id'}) or die;
is(sql('SELECT what, count(*) FROM book GROUP BY what'), 'do|2', 'what is stopped without compensation is not undone where it parks');

# Children that end one by one while the rest is waited for: one turn comes back to look, and not one more for each.
sql(<<'SQL');
CREATE TABLE held (token text);
CREATE FUNCTION hold(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO public.held VALUES (i ->> 'token'); SELECT i $$;
CREATE FUNCTION pass(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT i $$;
SELECT saga.create_workflow('slowly', machine('{"I": {"Type": "Task", "Resource": "sql:public.pass", "Compensate": "U", "Next": "W"}, "W": {"Type": "Wait", "Seconds": 36000, "End": true},
	"U": {"Type": "Task", "Resource": "sql:public.hold.waitForTaskToken", "Parameters": {"token.$": "$$.Task.Token"}}}', '{"ItemReader": {"Resource": "sql:public.items", "Parameters": {"n": 40, "size": 1}}}'));
SQL
$id = sql(q{SELECT saga.start_execution('slowly', '{}')});
$node->poll_query_until('postgres', qq{SELECT count(*) = 40 FROM saga.executions WHERE started_by = '$id' AND current_state = 'W'}) or die;
sql("SELECT saga.stop_execution('$id')");
$node->poll_query_until('postgres', 'SELECT count(*) = 40 FROM held') or die;
for my $ended (1 .. 39)
{
	sql('WITH one AS (DELETE FROM held WHERE token = (SELECT min(token) FROM held) RETURNING token) SELECT saga.send_task_success(token, 1::text::jsonb) FROM one');
	$node->poll_query_until('postgres', qq{SELECT ended = $ended FROM saga.children WHERE parent_id = '$id'}) or die;
}
cmp_ok(sql(q{SELECT count(*) FROM saga.timer WHERE kind = 'c'}), '<=', 2, 'the turns that look again do not become more');
sql('SELECT saga.send_task_success(token, 1::text::jsonb) FROM held');
$node->poll_query_until('postgres', qq{SELECT phase = 'x' FROM saga.children WHERE parent_id = '$id'}) or die;
pass('and come to the end');

# The table that results go to crashes the server: the Map is given up in the end, and others go on.
sql(<<'SQL');
CREATE TABLE results (map_run_id uuid, index bigint, execution_id uuid, status text, output jsonb, error text, cause text);
CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -9 ' || pg_backend_pid() || '; sleep 60');
	RETURN NEW;
END $$;
CREATE TRIGGER crash BEFORE INSERT ON results FOR EACH ROW EXECUTE FUNCTION crash();
SELECT saga.create_workflow('crashes', machine('{"I": {"Type": "Pass", "End": true}}',
	'{"ItemReader": {"Resource": "sql:public.items", "Parameters": {"n": 2, "size": 1}}, "ResultWriter": {"Resource": "saga:table", "Parameters": {"Table": "public.results"}}}'));
SELECT saga.start_execution('crashes', '{}');
SQL
ok(ends('crashes', 'FAILED Saga.WorkerCrashed'), 'a Map whose results crash the server ends');

$node->stop;
done_testing();
