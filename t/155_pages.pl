# saga.list_executions among 300,000: of whatever is asked for, only the page is read. What is rare, or old, lies behind
# much that is not asked for.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql as error);
use Saga::Work;

my $node = new_saga_node('pages', "pg_saga.databases = 'no_such_database'", "shared_buffers = '256MB'", 'autovacuum = off', 'fsync = off');
create_extensions($node);
add_role($node, 'postgres', $_) foreach 'alice', 'bob', 'carol';
my $definition = '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}';
as('alice', "SELECT saga.create_workflow('w' || g, '$definition') FROM generate_series(1, 5) g");
as('bob', "SELECT saga.create_workflow('his', '$definition')");
as('alice', "SELECT saga.grant('workflow', 'w5', 'carol', 'read')");

# One every second: the newest 200,000 are failures and bob's, then those of w1 to w4, of which one in a thousand was
# stopped, and the oldest 50 are of w5. Of those that wait, some compensate, behind 20,000 that do not. The newest have not begun, and but for three are bob's.
sql(<<'SQL');
CREATE FUNCTION made(s bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$ SELECT timestamptz '2026-01-01 UTC' - s * interval '1 s' $$;
CREATE FUNCTION id_of(s bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
	SELECT (lpad(to_hex((extract(epoch FROM made(s)) * 1000)::bigint), 12, '0') || '7' || substr(md5(s::text), 1, 3) || '8' || substr(md5(s::text), 4, 15))::uuid $$;
CREATE FUNCTION workflow(name text) RETURNS int LANGUAGE sql AS $$ SELECT workflow_id FROM saga.workflow w WHERE w.name = $1 $$;
INSERT INTO saga.execution (execution_id, workflow_id, version, started_at, stopped_at, status, input, output)
	SELECT id_of(s), whose, 1, made(s), made(s), CASE WHEN s <= 200000 THEN 'f' WHEN s % 1000 = 0 THEN 'a' ELSE 's' END::"char",
		jsonb_build_object('n', s), '"an output that makes the row as long as it may well be"'
	FROM (SELECT array_agg(workflow('w' || g) ORDER BY g) AS four FROM generate_series(1, 4) g) ws, workflow('his') AS his, workflow('w5') AS w5,
		generate_series(1, 300000) s, LATERAL (SELECT CASE WHEN s > 299950 THEN w5 WHEN s <= 200000 AND s % 2 = 0 THEN his ELSE ws.four[1 + s % 4] END) x(whose);
INSERT INTO saga.continuation (execution_id, workflow_id, version, status, current_state, started_at, parked_at, input, run)
	SELECT id_of(s), workflow_id, 1, CASE WHEN s > 420000 THEN 'c' ELSE 'r' END::"char", 'W', made(s), made(s), jsonb_build_object('n', s), '{}'
	FROM workflow('w1') workflow_id, generate_series(400001, 420030) s;
INSERT INTO saga.timer (queue_id, message_id, wake_at, sent_at, kind, version, body)
	SELECT workflow('his'), saga.make_id(), 'infinity', now(), 's', 1, jsonb_build_object('n', s) FROM generate_series(1, 20000) s;
SQL
# Nobody runs what is started here.
as('alice', "SELECT count(saga.start_execution('w1', jsonb_build_object('n', s))) FROM generate_series(1, 3) s");
as('bob', "SELECT count(saga.start_execution('his', jsonb_build_object('n', s))) FROM generate_series(1, 20000) s");
sql('ANALYZE');

# Of the second run of a session: the first one makes the plans.
sub blocks
{
	my ($arguments, $role) = @_;
	my $explain = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) SELECT * FROM saga.list_executions($arguments)";
	my $json = as($role // 'alice', "SELECT count(*) FROM saga.list_executions($arguments) \\g /dev/null\n$explain");
	my $plan = decode_json($json)->[0]{Plan};

	return ($plan->{'Shared Hit Blocks'} + $plan->{'Shared Read Blocks'}, $plan->{'Actual Rows'});
}

# Of each of five workflows a descent of each index, and the rows: far below what lies there.
my $all = sql("SELECT sum(pg_relation_size(r) / 8192) FROM unnest('{saga.execution, saga.continuation, saga.message, saga.timer}'::regclass[]) r");
cmp_ok($all, '>', 4000, 'what lies there');
foreach (
	[ '', 100, 'the newest of all' ],
	[ "'w1'", 100, 'of one workflow' ],
	[ "'w5'", 50, 'of one whose executions are old' ],
	[ "'w1', 'SUCCEEDED'", 100, 'those that succeeded, behind failures' ],
	[ "status => 'SUCCEEDED'", 100, 'the same of all workflows' ],
	[ "status => 'ABORTED'", 100, 'those that are rare' ],
	[ "status => 'TIMED_OUT'", 0, 'those of which there are none' ],
	[ "status => 'COMPENSATING'", 30, 'those that compensate, behind those that wait' ],
	[ "status => 'RUNNING', \"limit\" => 20", 20, 'those that wait' ],
	[ "status => 'RUNNING', since => '2026-06-01'", 3, 'those that have not begun, behind another\'s' ],
	[ "after => id_of(250000)", 100, 'a page far behind' ],
	[ "since => made(250050), until => made(249950)", 100, 'of a time' ],
	[ "since => made(250050), until => made(249950), input_contains => '250001'", 1, 'with a text in the input, of a time' ],
	[ "status => 'COMPENSATING', input_contains => '420007'", 1, 'the same of a status' ],
	[ '', 50, 'of another\'s, those that one may read', 'carol' ])
{
	my ($arguments, $rows, $what, $role) = @$_;
	my ($blocks, $found) = blocks($arguments, $role);
	is($found, $rows, $what);
	cmp_ok($blocks, '<', 1200, "$what: the page is read");
}

# ---------- page after page ----------

sql(<<'SQL');
CREATE FUNCTION walk(workflow text, status text, page int) RETURNS TABLE (execution_id uuid) LANGUAGE plpgsql AS $$
DECLARE
	last uuid;
	ids uuid[];
BEGIN
	LOOP
		SELECT array_agg(l.execution_id) INTO ids FROM saga.list_executions(workflow, status, after => last, "limit" => page) l;
		EXIT WHEN ids IS NULL;
		RETURN QUERY SELECT unnest(ids);
		last := ids[cardinality(ids)];
	END LOOP;
END $$;
GRANT SELECT ON saga.executions TO alice;
SQL
foreach ([ 'NULL', "'ABORTED'", 7 ], [ 'NULL', "'RUNNING'", 1000 ], [ 'NULL', "'COMPENSATING'", 30 ], [ "'w2'", 'NULL', 1000 ], [ "'w5'", "'SUCCEEDED'", 49 ])
{
	my ($workflow, $status, $page) = @$_;
	is(as('alice', "SELECT count(*), count(DISTINCT execution_id), md5(string_agg(execution_id::text, '' ORDER BY n))
			FROM walk($workflow, $status, $page) WITH ORDINALITY w(execution_id, n)"),
		as('alice', "SELECT count(*), count(*), md5(string_agg(execution_id::text, '' ORDER BY execution_id DESC))
			FROM saga.executions WHERE workflow = coalesce($workflow, workflow) AND status = coalesce($status, status)"),
		"all pages of $workflow, $status have what the view has, in order");
}

$node->stop;
done_testing();
