# Nothing is stranded at its birth: what is made and started in one transaction, given to another owner,
# prepared, or undone, is done without any sweep (src/queue/README.md, "No cache is older than the news").
# And when a part of that protocol is taken out, something is left behind.
#
# SAGA_STRESS_SECONDS: how long the whole protocol runs (default 8). SAGA_BIRTHS: how many workflows are made
# and started one after the other (default 400), with the longest wait of one in the output.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $seconds = $ENV{SAGA_STRESS_SECONDS} // 8;
my $births = $ENV{SAGA_BIRTHS} // 400;
my $node = new_saga_node('birth',
	'max_prepared_transactions = 100',
	'max_connections = 60',
	'fsync = off',
	'pg_saga.workers = 3',
	'pg_saga.worker_idle_timeout = 2s',
	'pg_saga.max_objects_per_owner = 1000000',
	'pg_saga.sweep_interval = 0');

sql('CREATE EXTENSION pg_saga');
add_role($node, 'postgres', $_) foreach 'app', 'heir';
add_role($node, 'postgres', 'ghost');
sql(<<'SQL');
-- it cannot run: the workflows of this role wait until they are given away, whatever the version of the server
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres TO app, heir;

CREATE FUNCTION definition(state text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object('A', state::jsonb || '{"End": true}')) $$;

-- made and started in the caller's transaction
CREATE FUNCTION born(name text, owner text, state text DEFAULT '{"Type": "Pass"}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM saga.create_workflow(name, definition(state), owner::regrole);
	PERFORM saga.start_execution(owner || '.' || name, '{}');
END $$;

-- whoever has it now, the other one has it then; something was started before, and after
CREATE FUNCTION give(name text, heir text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	w record;
BEGIN
	SELECT * INTO w FROM saga.workflows v WHERE v.name = give.name;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	PERFORM saga.set_workflow_owner(w.owner::oid || '.' || w.name,
		coalesce(heir, CASE w.owner::text WHEN 'app' THEN 'heir' ELSE 'app' END)::regrole, w.definition_hash);
	PERFORM saga.start_execution(w.workflow_id, '{}');
EXCEPTION WHEN undefined_object THEN
	NULL;						-- somebody else was quicker
END $$;

CREATE FUNCTION sends(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM saga.create_destination(name, 'http', '{"url": "http://127.0.0.1:1/", "retry": {"max_attempts": 1}}');
	PERFORM saga.publish_to(name, '1');
END $$;

SELECT saga.create_workflow('g' || i, definition('{"Type": "Pass"}'), 'app') FROM generate_series(1, 6) i;
SELECT saga.create_workflow('v' || i, definition('{"Type": "Pass"}'), 'app') FROM generate_series(1, 4) i;
SQL

# What clients do: weight, script.
my %scripts = (
	born => [ 6, q{
\set n random(1, 1000000000)
SELECT born('b:n', 'app');
} ],
	late => [ 6, q{
\set n random(1, 1000000000)
\set ms random(0, 15)
\set undo random(1, 3)
BEGIN;
SELECT born('l:n', 'app');
SELECT born('m:n', 'heir');
\sleep :ms ms
\if :undo = 1
ROLLBACK;
\else
COMMIT;
\endif
} ],
	savepoint => [ 3, q{
\set n random(1, 1000000000)
\set ms random(0, 10)
BEGIN;
SAVEPOINT a;
SELECT born('s:n', 'app');
\sleep :ms ms
ROLLBACK TO a;
SELECT born('s:n', 'heir');
RELEASE a;
\sleep :ms ms
COMMIT;
} ],
	version => [ 3, q{
\set q random(1, 4)
BEGIN;
SELECT born('v:q', 'app', '{"Type": "Pass", "Comment": ":q"}');
COMMIT;
} ],
	wait => [ 1, q{
\set n random(1, 1000000000)
SELECT born('w:n', 'app', '{"Type": "Wait", "Seconds": 1}');
} ],
	given => [ 4, q{
\set q random(1, 6)
\set undo random(1, 4)
SELECT saga.start_execution((SELECT workflow_id FROM saga.workflow WHERE name = 'g:q'), '{}');
BEGIN;
SELECT give('g:q');
\if :undo = 1
ROLLBACK;
\else
COMMIT;
\endif
} ],
	inherited => [ 4, q{
\set n random(1, 1000000000)
\set ms random(0, 10)
SELECT born('i:n', 'ghost');
BEGIN;
SELECT give('i:n', 'heir');
\sleep :ms ms
COMMIT;
} ],
	prepared => [ 2, q{
\set n random(1, 1000000000)
BEGIN;
SELECT born('p:n', 'app');
SELECT give('i:n', 'heir');
PREPARE TRANSACTION 'born_:n';
} ],
	inherited_prepared => [ 1, q{
\set n random(1, 1000000000)
SELECT born('j:n', 'ghost');
BEGIN;
SELECT give('j:n', 'heir');
PREPARE TRANSACTION 'give_:n';
} ],
	sends => [ 2, q{
\set n random(1, 1000000000)
\set ms random(0, 10)
\set undo random(1, 3)
BEGIN;
SELECT sends('d:n');
\sleep :ms ms
\if :undo = 1
ROLLBACK;
\else
COMMIT;
\endif
} ]);

my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/$_.sql", $scripts{$_}[1]) foreach keys %scripts;

# COMMIT and ROLLBACK PREPARED from another session, some time later.
sub resolve
{
	my ($share) = @_;
	$node->psql('postgres', <<"SQL");
SELECT format('%s PREPARED %L', CASE WHEN gid LIKE 'born%' AND random() < 0.3 THEN 'ROLLBACK' ELSE 'COMMIT' END, gid)
  FROM pg_prepared_xacts WHERE random() < $share \\gexec
SQL
	return;
}

# Toggles what keeps an owner from running: what is born meanwhile waits, and must not wait any longer.
sub toggle
{
	sql('REVOKE CONNECT ON DATABASE postgres FROM heir');
	usleep(300_000);
	sql('BEGIN; GRANT CONNECT ON DATABASE postgres TO heir; COMMIT');
	return;
}

sub load
{
	my ($duration, @names) = @_;
	my @files = map { ('-f', "$dir/$_.sql\@$scripts{$_}[0]") } @names;
	my ($out, $err) = ('', '');
	my $bench = IPC::Run::start(
		[ 'pgbench', '-n', '-c', '6', '-j', '2', '--max-tries=1', '-T', $duration, @files, $node->connstr('postgres') ],
		'>', \$out, '2>', \$err);
	while ($bench->pumpable)
	{
		resolve(0.5);
		toggle() if rand() < 0.1;
		$bench->pump_nb;
		usleep(20_000);
	}
	$bench->finish;
	resolve(1) while sql('SELECT count(*) FROM pg_prepared_xacts') ne '0';

	# a give that met somebody else's, or a client that ended in between
	sql(q{SELECT give(name, 'heir') FROM saga.workflows WHERE owner = 'ghost'::regrole});
	return $out =~ /number of transactions actually processed: (\d+)/ ? $1 : die "pgbench: $err";
}

sub left { return sql('SELECT (SELECT count(*) FROM saga.message) + (SELECT count(*) FROM saga.timer)') }

# What stays although nothing changes any more.
sub left_behind
{
	my ($before, $since) = (-1, time);
	while (time - $since < 8)
	{
		my $now = left();
		return 0 if $now == 0;
		$since = time if $now != $before;
		$before = $now;
		usleep(200_000);
	}
	return $before;
}

sub mutant
{
	my ($bits) = @_;
	sql("ALTER SYSTEM SET pg_saga.test_mutant = $bits");
	$node->restart;
	ok(poll_until($node, 'SELECT (SELECT count(*) FROM saga.message)', '0'), 'the sweep of a start finds what is left') if $bits == 0;
	return;
}

# ---------- one after the other, with workers that are idle in between ----------

append_to_file("$dir/one.sql", q{
BEGIN;
SELECT born('one' || nextval('births'), 'app');
COMMIT;
\sleep 3 ms
});
sql('CREATE SEQUENCE births');
my ($out, $err) = ('', '');
IPC::Run::run([ 'pgbench', '-n', '-c', '1', '-t', $births, '-f', "$dir/one.sql", $node->connstr('postgres') ], '>', \$out, '2>', \$err)
  or die "pgbench: $err";
ok(poll_until($node, q{SELECT count(*) FROM saga.executions WHERE status = 'SUCCEEDED'}, $births), "$births born one after the other are run");
note('longest wait: ' . sql('SELECT max(stopped_at - started_at) FROM saga.executions'));

# ---------- everything at a time ----------

my $end = time + $seconds;
while (time < $end)
{
	my $done = load(4, sort keys %scripts);
	cmp_ok($done, '>', 20, 'the load was a load');
	note("$done transactions");
	ok(poll_until($node, 'SELECT (SELECT count(*) FROM saga.message) + (SELECT count(*) FROM saga.timer)', '0'),
		'nothing is left behind, without a sweep');
}
is(sql(q{SELECT count(*) FROM saga.executions WHERE status <> 'SUCCEEDED'}), '0', 'all of it succeeded');
ok(poll_until($node, q{SELECT count(*) FROM saga.workers WHERE type IN ('worker', 'publisher') AND pid IS NOT NULL}, '0'),
	'nobody looks for ever for what was undone');

# ---------- each part is needed ----------

# Transactions that give something away and are prepared ask for a sweep: none of those here.
mutant(16);
my $left = 0;
for (my $i = 0; $i < 6 && !$left; $i++)
{
	load(3, 'born', 'inherited');
	$left = left_behind();
}
cmp_ok($left, '>', 0, 'when slots keep their former owner, something is left behind');
note("$left left behind");
mutant(0);

# A worker that is called for something else meets what is not committed yet.
mutant(32);
$left = 0;
my $session = $node->background_psql('postgres');
for (my $i = 0; $i < 60 && !$left; $i++)
{
	$session->query_safe("BEGIN; SELECT born('f$i', 'app')");
	sql("SELECT saga.start_execution('app.v1', '{}')");
	usleep(rand(900_000));
	$session->query_safe('COMMIT');
	$left = left_behind();
}
$session->quit;
cmp_ok($left, '>', 0, 'when slots of what is not seen are forgotten, something is left behind');
mutant(0);

$node->stop;
done_testing();
