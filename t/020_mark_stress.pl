# The low-water mark under stress, without any sweep: nothing may be left behind, lost or taken twice
# (src/queue/README.md). And when a part of the protocol is taken out, something is.
#
# Submitters commit late, roll back, use savepoints, several queues and PREPARE TRANSACTION; consumers
# claim as workers do, abort, leave rows in their place, pause between claim and advance, and are
# terminated. Then there are more queues than places in shared memory, so that marks come and go
# all the time. SAGA_STRESS_SECONDS: how long the whole protocol runs (default 12).
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test;

my $seconds = $ENV{SAGA_STRESS_SECONDS} // 12;
my $consumers = 3;
my $node = new_saga_node('mark_stress',
	'max_prepared_transactions = 100',
	'max_connections = 60',
	'fsync = off',
	'autovacuum_naptime = 5s',
	'pg_saga.max_queues = 16',
	"pg_saga.databases = 'no_such_database'");    # no coordinator, so no sweep

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_saga;
CREATE FUNCTION test_claim(queue text, max int, pause_us int, keep float8) RETURNS uuid[]
	LANGUAGE c STRICT AS '$libdir/pg_saga', 'saga_test_claim';
SELECT saga.create_queue('s' || i) FROM generate_series(1, 4) i;
SELECT saga.create_queue('c' || i) FROM generate_series(1, 40) i;
CREATE TABLE sent (id uuid);
CREATE TABLE taken (id uuid);
CREATE TABLE control (stop boolean);
INSERT INTO control VALUES (false);

-- a claim that is rolled back to a savepoint now and then
CREATE FUNCTION claim_in_savepoint(queue text) RETURNS uuid[] LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		IF random() < 0.1 THEN
			PERFORM test_claim(queue, 20, 200, 0.02);
			RAISE EXCEPTION 'undo';
		END IF;
		RETURN test_claim(queue, 20, (random() * 1000)::int, 0.02);
	EXCEPTION WHEN raise_exception THEN
		RETURN '{}';
	END;
END $$;

CREATE PROCEDURE consume() LANGUAGE plpgsql AS $$
DECLARE
	ids uuid[];
	idle int := 0;
	stopped boolean;
BEGIN
	LOOP
		idle := idle + 1;
		FOR i IN 1..4 LOOP
			IF random() < 0.5 THEN
				ids := claim_in_savepoint('s' || i);
			ELSE
				ids := test_claim('s' || i, 20, (random() * 1000)::int, 0.02);
			END IF;
			IF cardinality(ids) > 0 THEN
				idle := 0;
				INSERT INTO taken SELECT unnest(ids);
				PERFORM pg_sleep(random() * 0.01);
			END IF;
			IF random() < 0.1 THEN
				ROLLBACK;
			ELSE
				COMMIT;
			END IF;
		END LOOP;
		SELECT stop INTO stopped FROM control;
		EXIT WHEN stopped AND idle > 30;
		IF idle > 0 THEN
			PERFORM pg_sleep(0.002);
		END IF;
		COMMIT;
	END LOOP;
END $$;
SQL

# What the submitters do: weight, script.
my %scripts = (
	single => [ 4, q{
\set q random(1, 4)
INSERT INTO sent SELECT saga.send('s:q', '1');
} ],
	late => [ 6, q{
\set q random(1, 4)
\set ms random(0, 30)
\set undo random(1, 5)
BEGIN;
INSERT INTO sent SELECT saga.send('s:q', '2');
\sleep :ms ms
\if :undo = 1
ROLLBACK;
\else
COMMIT;
\endif
} ],
	savepoint => [ 4, q{
\set q random(1, 4)
\set r random(1, 4)
\set ms random(0, 20)
BEGIN;
SAVEPOINT a;
INSERT INTO sent SELECT saga.send('s:q', '3');
SAVEPOINT b;
INSERT INTO sent SELECT saga.send('s:r', '4');
ROLLBACK TO b;
INSERT INTO sent SELECT saga.send('s:r', '5');
RELEASE a;
\sleep :ms ms
COMMIT;
} ],
	several => [ 4, q{
\set ms random(0, 20)
BEGIN;
INSERT INTO sent SELECT saga.send('s1', '6');
INSERT INTO sent SELECT saga.send_batch('s2', array['7', '8']::jsonb[]);
INSERT INTO sent SELECT saga.send('s3', '9');
\sleep :ms ms
INSERT INTO sent SELECT saga.send('s4', '10');
COMMIT;
} ],
	prepare => [ 1, q{
\set q random(1, 4)
\set n random(1, 1000000000)
BEGIN;
INSERT INTO sent SELECT saga.send('s:q', '11');
INSERT INTO sent SELECT saga.send('s1', '12');
\sleep 5 ms
PREPARE TRANSACTION 'send_:client_id_:n';
} ],
	prepare_claim => [ 1, q{
\set q random(1, 4)
\set n random(1, 1000000000)
BEGIN;
INSERT INTO taken SELECT unnest(test_claim('s:q', 5, 200, 0.02));
PREPARE TRANSACTION 'claim_:client_id_:n';
} ]);

my $dir = PostgreSQL::Test::Utils::tempdir();
my @files;
foreach my $name (sort keys %scripts)
{
	append_to_file("$dir/$name.sql", $scripts{$name}[1]);
	push @files, '-f', "$dir/$name.sql\@$scripts{$name}[0]";
}

# Takes the place of another queue.
my $churn = "$dir/churn.sql";
append_to_file($churn, q{
\set q random(1, 40)
SELECT test_claim('c:q', 1, 0, 0);
});

# A consumer in the background, anew each time it was terminated, until it ends by itself.
sub start_consumer
{
	my $consumer = { in => '', out => '', err => '' };
	$consumer->{run} = IPC::Run::start(
		[ 'psql', '-XqAt', '-d', $node->connstr('postgres') . ' application_name=consumer', '-c', 'CALL consume()' ],
		'<', \$consumer->{in}, '>', \$consumer->{out}, '2>', \$consumer->{err});
	return $consumer;
}

# COMMIT and ROLLBACK PREPARED from another session, some time later.
sub resolve
{
	my ($share) = @_;
	$node->safe_psql('postgres', <<"SQL");
SELECT format('%s PREPARED %L', CASE WHEN random() < 0.3 THEN 'ROLLBACK' ELSE 'COMMIT' END, gid)
  FROM pg_prepared_xacts WHERE random() < $share \\gexec
SQL
}

# One load, until everything is quiet again. Returns what is left in the queues.
sub cycle
{
	my ($duration, @more) = @_;
	$node->safe_psql('postgres', 'UPDATE control SET stop = false; VACUUM saga.message');
	my ($out, $err, $kills, $last_kill) = ('', '', 0, time);
	my $bench = IPC::Run::start(
		[ 'pgbench', '-n', '-c', '8', '-j', '2', '-T', $duration, @files, @more, $node->connstr('postgres') ],
		'>', \$out, '2>', \$err);
	my @running = map { start_consumer() } 1 .. $consumers;

	my $stopped = 0;
	while (@running)
	{
		resolve(0.3);
		if (!$stopped && time - $last_kill > 0.7)
		{
			$last_kill = time;
			$kills += $node->safe_psql('postgres', <<'SQL');
SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
 WHERE application_name = 'consumer' ORDER BY random() LIMIT 1) p
SQL
		}
		if (!$stopped && !$bench->pumpable)
		{
			$bench->finish or diag("pgbench: $err");
			resolve(1) while $node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts') ne '0';
			$node->safe_psql('postgres', 'UPDATE control SET stop = true');
			$stopped = 1;
		}
		$bench->pump_nb unless $stopped;
		foreach my $i (reverse 0 .. $#running)
		{
			$running[$i]{run}->pump_nb;
			next if $running[$i]{run}->pumpable;
			my $ended = $running[$i]{run}->finish;
			diag($running[$i]{err}) if !$ended && $running[$i]{err} !~ /terminating connection/;
			splice @running, $i, 1;
			push @running, start_consumer() unless $ended;
		}
		usleep(50_000);
	}
	my $left = $node->safe_psql('postgres', 'SELECT count(*) FROM saga.message');
	return ($left, $kills);
}

sub mutant
{
	my ($bits) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET pg_saga.test_mutant = $bits");
	$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
	$node->poll_query_until('postgres', "SELECT current_setting('pg_saga.test_mutant') = '$bits'");
}

# Each part of the protocol is needed: without it some load soon leaves rows behind.
my %mutants = (1 => 'without caps', 2 => 'without the push of aborted claims', 4 => 'without the push of kept rows',
	8 => 'without the push of prepared transactions');
foreach my $bits (sort keys %mutants)
{
	my $left = 0;
	mutant($bits);
	for (my $i = 0; $i < 8 && !$left; $i++)
	{
		($left) = cycle(3);
	}
	cmp_ok($left, '>', 0, "$mutants{$bits}, rows are left behind");
	note("$mutants{$bits}: $left left behind");
	$node->safe_psql('postgres', 'TRUNCATE saga.message, sent, taken');
}

# The protocol itself. The marks begin anew at zero.
mutant(0);
$node->restart;
my $all_kills = 0;
foreach my $more ([], [ '-f', "$churn\@8" ])
{
	my ($all_left, $end) = (0, time + $seconds);
	while (time < $end)
	{
		my ($left, $kills) = cycle(4, @$more);
		$all_left += $left;
		$all_kills += $kills;
	}
	is($all_left, 0, 'the whole protocol leaves nothing behind' . (@$more ? ', when queues lose their places' : ''));
}
is( $node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT id FROM taken GROUP BY id HAVING count(*) > 1) d'),
	'0', 'nothing is taken twice');
is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT id FROM sent EXCEPT SELECT id FROM taken) d'),
	'0', 'nothing is lost');
is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT id FROM taken EXCEPT SELECT id FROM sent) d'),
	'0', 'nothing comes from a transaction that was rolled back');
my $sent = $node->safe_psql('postgres', 'SELECT count(*) FROM sent');
cmp_ok($sent, '>', 500, 'the load was a load');
cmp_ok($all_kills, '>', 3, 'consumers were terminated');
note("$sent messages, $all_kills consumers terminated");

$node->stop;
done_testing();
