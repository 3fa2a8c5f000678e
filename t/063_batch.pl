# Errors in the middle of a batch, in a worker: each execution's failure is its own, also of the first one
# of a batch, which has no savepoint, and with two workers that could pass it to each other.
use strict;
use warnings;
use Test::More;
use Saga::Test;

my $node = new_saga_node('batch', 'pg_saga.workers = 2');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_saga;
CREATE TABLE number (n int PRIMARY KEY CHECK (n % 7 <> 0));
CREATE TABLE parent (n int PRIMARY KEY);
CREATE TABLE child (n int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE seen (n int, what text);
-- LANGUAGE sql: its plans hang on the (sub)transaction that made them
CREATE FUNCTION number(i jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO public.number VALUES ((i ->> 'n')::int) RETURNING to_jsonb(n) $$;
CREATE FUNCTION family(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.child VALUES ((i ->> 'n')::int);
	IF (i ->> 'n')::int % 7 <> 0 THEN INSERT INTO public.parent VALUES ((i ->> 'n')::int); END IF;
	RETURN NULL;
END $$;
CREATE FUNCTION slow(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF (i ->> 'n')::int % 7 = 0 THEN PERFORM pg_sleep(60); END IF;
	RETURN NULL;
END $$;
CREATE FUNCTION caught(i jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO public.seen VALUES ((i ->> 'n')::int, i #>> '{error,Error}') RETURNING 'null'::jsonb $$;
SQL

# Seven in a row, so that some batch begins with one that fails; all of it is caught, so that what the
# engine hands to Catch is seen too.
sub run
{
	my ($name, $n, $error, $extra) = @_;
	$node->safe_psql('postgres', <<SQL);
SELECT saga.create_workflow('$name', '{"StartAt": "A", "States": {
	"A": {"Type": "Task", "Resource": "sql:public.$name", "ResultPath": "\$.a", $extra "End": true,
		"Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "\$.error", "Next": "B"}]},
	"B": {"Type": "Task", "Resource": "sql:public.caught", "End": true}}}');
SELECT count(saga.start_execution('$name', jsonb_build_object('n', 7 * g))) FROM generate_series(1, 3) g;
SELECT count(saga.start_execution('$name', jsonb_build_object('n', g))) FROM generate_series(22, $n) g;
SQL
	my $all = $n - 21 + 3;
	poll_until($node, "SELECT count(*) FROM saga.executions WHERE workflow = '$name' AND status = 'SUCCEEDED'", $all);
	is($node->safe_psql('postgres', "SELECT what, count(*), count(DISTINCT n), bool_and(n % 7 = 0) FROM seen GROUP BY 1"),
		join('|', $error, (int($n / 7)) x 2, 't'), "$name: those that fail, once each");
	is($node->safe_psql('postgres', "SELECT count(*) FROM saga.message"), '0', "$name: the queue is empty");
	$node->safe_psql('postgres', 'TRUNCATE seen');
	return;
}

run('number', 700, 'SQL.23514', '');
is($node->safe_psql('postgres', 'SELECT count(*) FROM number'), '582', 'the others took effect');
run('family', 700, 'SQL.23503', '');
is($node->safe_psql('postgres', 'SELECT count(*) FROM child'), '582', 'the others took effect');
run('slow', 35, 'States.Timeout', '"TimeoutSeconds": 1,');
$node->stop;
done_testing();
