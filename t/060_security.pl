# What the owner of a workflow tries to gain from its steps, and what must still work in them.
# One worker, so that each attempt is followed by an execution in the same session.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('security');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pg_saga'
pg_saga.workers = 1
autovacuum_naptime = '1d'
CONF
$node->start;

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_saga;
CREATE ROLE mallory LOGIN;
CREATE ROLE bob LOGIN;
CREATE ROLE friend LOGIN;
GRANT friend TO mallory;
CREATE SCHEMA mal AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA saga TO mallory, bob;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA saga TO mallory, bob;
GRANT SELECT ON saga.executions TO mallory, bob;
CREATE TABLE public.secret (x text);
INSERT INTO public.secret VALUES ('only for the superuser');
SQL

# As mallory: one workflow that does what its input's "sql" says and returns what it saw.
my $as_mallory = sub { $node->safe_psql('postgres', shift, extra_params => ['-U', 'mallory']) };
$as_mallory->(<<'SQL');
CREATE TABLE mal.seen (at serial, what text, who text, sess text);
CREATE FUNCTION mal.run(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE r text; s text;
BEGIN
	FOR s IN SELECT jsonb_array_elements_text(i -> 'sql') LOOP
		IF s LIKE 'SELECT%' THEN EXECUTE s INTO r; ELSE EXECUTE s; END IF;
	END LOOP;
	RETURN jsonb_build_object('r', r, 'user', current_user, 'session', session_user);
END $$;
SELECT saga.create_workflow('try', '{"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "sql:mal.run", "End": true}}}');
SQL

# Runs one attempt to its end; returns "STATUS|error|output".
sub attempt
{
	my @sql = @_;
	my $json = '[' . join(',', map { my $s = $_; $s =~ s/(["\\])/\\$1/g; $s =~ s/\n/ /g; qq("$s") } @sql) . ']';
	my $quoted = $json =~ s/'/''/gr;
	# SET ROLE: the role's own settings are for the workers
	my $id = $node->safe_psql('postgres', "SET ROLE mallory; SELECT saga.start_execution('try', jsonb_build_object('sql', '$quoted'::jsonb))");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM saga.execution WHERE execution_id = '$id'")
	  or die "execution $id did not end";
	return $node->safe_psql('postgres',
		"SELECT status || '|' || coalesce(error, '') || '|' || coalesce(output::text, '') FROM saga.executions WHERE execution_id = '$id'");
}

# ---------- nothing is gained ----------
like(attempt('SELECT x FROM public.secret'), qr/^FAILED\|SQL\.42501/, 'reads no table of the superuser');
like(attempt('SELECT count(*)::text FROM saga.message'), qr/^FAILED\|SQL\.42501/, 'reads no table of the engine');
like(attempt('SET ROLE postgres'), qr/^FAILED\|SQL\.42501/, 'SET ROLE postgres is refused');
like(attempt('SET SESSION AUTHORIZATION postgres'), qr/^FAILED\|SQL\.42501/, 'SET SESSION AUTHORIZATION is refused');
like(attempt('RESET ROLE', 'SELECT current_user::text'), qr/"r": "mallory"/, 'RESET ROLE gives nothing');
like(attempt('RESET SESSION AUTHORIZATION', 'SELECT session_user::text'), qr/"r": "mallory"/, 'RESET SESSION AUTHORIZATION gives nothing');
like(attempt('SELECT current_user || session_user'), qr/mallorymallory/, 'the session is the owner\'s');
like(attempt('COMMIT'), qr/^FAILED\|SQL\./, 'a step cannot commit');
like(attempt('ROLLBACK'), qr/^FAILED\|SQL\./, 'a step cannot roll back');
like(attempt('DISCARD ALL'), qr/^FAILED\|SQL\.25001/, 'DISCARD ALL is refused');
like(attempt('COPY (SELECT 1) TO PROGRAM \'true\''), qr/^FAILED\|SQL\.42501/, 'no COPY TO PROGRAM');

# a role that it is a member of: allowed, and over with the execution
like(attempt('SET ROLE friend', 'SELECT current_user::text'), qr/"r": "friend"/, 'SET ROLE to a role of its own works');
like(attempt('SELECT current_user::text'), qr/"r": "mallory"/, 'and is over in the next execution');

# deferred triggers run as the owner, inside the execution
$as_mallory->(<<'SQL');
CREATE TABLE mal.deferred (x int);
CREATE FUNCTION mal.spy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO mal.seen (what, who, sess) VALUES ('deferred ' || NEW.x, current_user, session_user);
	IF NEW.x < 0 THEN RAISE EXCEPTION 'deferred failure' USING ERRCODE = 'P0007'; END IF;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER spy AFTER INSERT ON mal.deferred DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION mal.spy();
SQL
like(attempt('INSERT INTO mal.deferred VALUES (1)'), qr/^SUCCEEDED/, 'a deferred trigger works in a step');
is($node->safe_psql('postgres', "SELECT who || ' ' || sess FROM mal.seen WHERE what = 'deferred 1'"),
	'mallory mallory', 'and runs as the owner');
like(attempt('INSERT INTO mal.deferred VALUES (-1)'), qr/^FAILED\|SQL\.P0007/, 'one that fails is its own execution\'s failure');

# ---------- nothing survives into the next execution ----------
like(attempt('DECLARE c CURSOR WITH HOLD FOR SELECT current_user'), qr/^SUCCEEDED/, 'WITH HOLD is allowed');
like(attempt('SELECT count(*)::text FROM pg_cursors WHERE is_holdable'), qr/"r": "0"/, 'and gone');
like(attempt('PREPARE p AS SELECT 1'), qr/^SUCCEEDED/, 'PREPARE is allowed');
like(attempt('PREPARE p AS SELECT 2'), qr/^SUCCEEDED/, 'and gone');
like(attempt('CREATE TEMP TABLE message (queue_id int, id uuid)', 'INSERT INTO message VALUES (1, NULL)',
		'SELECT count(*)::text FROM message'), qr/"r": "1"/, 'temporary tables work in a step');
like(attempt('CREATE TEMP TABLE message (x int)'), qr/^SUCCEEDED/, 'and are gone');
like(attempt('SELECT pg_advisory_lock(42)::text'), qr/^SUCCEEDED/, 'advisory locks are allowed');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), '0', 'and gone');
like(attempt('SET work_mem = \'99MB\'', 'SET default_transaction_read_only = on', 'SET synchronous_commit = off',
		'SET row_security = off', 'SELECT 1::text'), qr/^SUCCEEDED/, 'settings can be changed');
like(attempt('SELECT current_setting(\'work_mem\') || current_setting(\'default_transaction_read_only\') || current_setting(\'synchronous_commit\')'),
	qr/"r": "4MBoffon"/, 'and are back');
like(attempt('SET CONSTRAINTS ALL IMMEDIATE'), qr/^SUCCEEDED/, 'SET CONSTRAINTS is allowed');
like(attempt('INSERT INTO mal.deferred VALUES (2)', 'SELECT count(*)::text FROM mal.seen WHERE what = \'deferred 2\''),
	qr/"r": "0"/, 'and the constraint is deferred again in the next execution');

# ---------- the engine's own statements are out of reach ----------
# operators, casts and tables under the owner's search_path that would run as the extension's owner
$as_mallory->(<<'SQL');
CREATE FUNCTION mal.eq_int(int, int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN INSERT INTO mal.seen (what, who, sess) VALUES ('operator', current_user, session_user); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
CREATE OPERATOR mal.= (LEFTARG = int, RIGHTARG = int, FUNCTION = mal.eq_int);
CREATE FUNCTION mal.gt_uuid(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN INSERT INTO mal.seen (what, who, sess) VALUES ('operator', current_user, session_user); RETURN $1 OPERATOR(pg_catalog.>) $2; END $$;
CREATE OPERATOR mal.> (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = mal.gt_uuid);
CREATE FUNCTION mal.eq_uuid(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN INSERT INTO mal.seen (what, who, sess) VALUES ('operator', current_user, session_user); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
CREATE OPERATOR mal.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = mal.eq_uuid);
CREATE FUNCTION mal.unnest(uuid[]) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
BEGIN INSERT INTO mal.seen (what, who, sess) VALUES ('function', current_user, session_user); RETURN QUERY SELECT pg_catalog.unnest($1); END $$;
ALTER ROLE mallory SET search_path = mal, pg_catalog;
ALTER ROLE mallory SET plan_cache_mode = force_custom_plan;
SQL
# a new session with that search_path, and then plans made anew in the same one
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'pg_saga worker%'");
like(attempt('SELECT 1::text'), qr/^SUCCEEDED/, 'works under a hostile search_path');
$node->safe_psql('postgres', 'ANALYZE saga.message; ANALYZE saga.execution; ANALYZE saga.queue');
like(attempt('SET search_path = mal, pg_catalog', 'SELECT 2::text'), qr/^SUCCEEDED/, 'and when plans are made anew');
$node->safe_psql('postgres', 'VACUUM ANALYZE');
like(attempt('SELECT 3::text'), qr/^SUCCEEDED/, 'and after a vacuum');
my $id = $node->safe_psql('postgres', "SELECT saga.start_execution('try', '{\"sql\": []}')", extra_params => ['-U', 'mallory']);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM saga.execution WHERE execution_id = '$id'");
is($node->safe_psql('postgres', "SELECT count(*) FROM mal.seen WHERE what IN ('operator', 'function') AND who <> 'mallory'"),
	'0', 'no operator or function of the owner ran as somebody else');

# a role's read-only default and time-outs do not stop the engine
$node->safe_psql('postgres', <<'SQL');
ALTER ROLE mallory SET default_transaction_read_only = on;
ALTER ROLE mallory SET default_transaction_isolation = 'serializable';
ALTER ROLE mallory SET statement_timeout = '1ms';
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'pg_saga worker%';
SQL
like(attempt('SELECT current_setting(\'transaction_isolation\') || current_setting(\'transaction_read_only\')'),
	qr/"r": "read committedoff"/, 'a role read-only or serializable by default runs read committed, read write');
$node->safe_psql('postgres', 'ALTER ROLE mallory RESET ALL');

# ---------- others ----------
my ($rc, $out, $err) = $node->psql('postgres', "SELECT saga.start_execution('mallory.try', '{}')", extra_params => ['-U', 'bob']);
like($err, qr/workflow "mallory.try" does not exist/, 'another role cannot start it');
($rc, $out, $err) = $node->psql('postgres', "SELECT saga.set_workflow_owner('try', 'postgres')", extra_params => ['-U', 'mallory']);
like($err, qr/must be member of role|must be able to SET ROLE/, 'an owner cannot make the superuser run its workflow');
($rc, $out, $err) = $node->psql('postgres', "INSERT INTO saga.workflow VALUES (99, 'x', 'postgres', 1)", extra_params => ['-U', 'mallory']);
like($err, qr/permission denied for table/, 'nor by writing the table');

# no superuser session of ours ever called a step
is($node->safe_psql('postgres', "SELECT count(*) FROM mal.seen WHERE sess <> 'mallory'"), '0', 'no session but the owner\'s ran its code');

# ---------- a role that cannot run: its work waits, with the reason ----------
$node->safe_psql('postgres', "ALTER ROLE mallory NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'pg_saga worker%'");
$id = $node->safe_psql('postgres', "SET ROLE mallory; SELECT saga.start_execution('try', '{\"sql\": []}')");
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM saga.workers WHERE owner = 'mallory' AND reason ~ 'not permitted to log in'"),
	'the reason is in saga.workers') if $node->pg_version < 17;
$node->safe_psql('postgres', 'ALTER ROLE mallory LOGIN');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM saga.execution WHERE execution_id = '$id'"), 'it goes on once the role may log in');

$node->stop;
done_testing();
