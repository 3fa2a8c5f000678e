# Executions that are redriven in their place, with workers: a crash in the midst of it, many at once, and
# what is kept of them goes with its time.
use strict;
use warnings;

use IPC::Run;
use JSON::PP qw(encode_json);
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT error sql);

my $node = new_saga_node('redrive', 'pg_saga.workers = 2');

sql(<<'SQL');
CREATE EXTENSION pg_saga;
CREATE TABLE log (id text, what text);
CREATE TABLE broken (what text);
CREATE TABLE held (what text);
CREATE FUNCTION step(i jsonb, c jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	state text := c #>> '{State,Name}';
BEGIN
	IF EXISTS (SELECT FROM public.broken WHERE what = state) THEN
		RETURN saga.failure('Broken', state);
	END IF;
	INSERT INTO public.log VALUES (c #>> '{Execution,Id}', state);
	WHILE EXISTS (SELECT FROM public.held WHERE what = state) LOOP
		PERFORM pg_sleep(0.02);
	END LOOP;
	RETURN '{}';
END $$;
CREATE FUNCTION undo(i jsonb, c jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ INSERT INTO public.log VALUES (c #>> '{Execution,Id}', 'undo') RETURNING '{}'::jsonb $$;
SELECT saga.create_workflow('w', '{"StartAt": "A", "States": {
	"A": {"Type": "Task", "Resource": "sql:public.step", "Next": "B"},
	"B": {"Type": "Task", "Resource": "sql:public.step", "Compensate": "U", "Commit": true, "Next": "C"},
	"C": {"Type": "Task", "Resource": "sql:public.step", "Next": "D"},
	"D": {"Type": "Task", "Resource": "sql:public.step", "End": true},
	"U": {"Type": "Task", "Resource": "sql:public.undo"}}}');
SQL

sub start { return sql("SELECT saga.start_execution('w')") }

sub ended
{
	my ($id, $status, $name) = @_;
	poll_until($node, "SELECT status NOT IN ('RUNNING', 'COMPENSATING') FROM saga.executions WHERE execution_id = '$id'");
	is(sql("SELECT status FROM saga.executions WHERE execution_id = '$id'"), $status, $name);
	return;
}

sub did { return sql("SELECT string_agg(what || ' ' || n, ', ' ORDER BY what) FROM (SELECT what, count(*) AS n FROM log WHERE id = '$_[0]' GROUP BY what) l") }

subtest 'a crash in the midst of it' => sub {
	sql("INSERT INTO broken VALUES ('D')");
	my $id = start();
	ended($id, 'FAILED', 'it has failed');
	is(did($id), 'A 1, B 1, C 1, undo 1', 'and was undone');
	sql("DELETE FROM broken; INSERT INTO held VALUES ('C'); SELECT saga.redrive_execution('$id')");
	poll_until($node, "SELECT current_state FROM saga.executions WHERE execution_id = '$id'", 'C');
	$node->stop('immediate');
	$node->start;
	is(sql("SELECT status, redrive_count FROM saga.executions WHERE execution_id = '$id'"), 'RUNNING|1', 'it goes on');
	sql('DELETE FROM held');
	ended($id, 'SUCCEEDED', 'it has succeeded');
	is(did($id), 'A 1, B 2, C 2, D 1, undo 1', 'everything was done once more that was undone, and no more');
	is(sql("SELECT count(*) = max(event_id) AND count(*) FILTER (WHERE type = 'ExecutionRedriven') = 1 FROM saga.execution_history WHERE execution_id = '$id'"),
		't', 'its history has no gap');
	is(sql("SELECT compensated, not_compensated IS NULL, redrive_count FROM saga.executions WHERE execution_id = '$id'"), '["B"]|t|1', 'and its record says what happened');
	return;
};

subtest 'many, each by two at once' => sub {
	sql("INSERT INTO broken VALUES ('D')");
	my @ids = split(/\n/, sql("SELECT saga.start_execution('w') FROM generate_series(1, 40)"));
	poll_until($node, "SELECT count(*) FROM saga.executions WHERE status = 'FAILED'", '40');
	sql('DELETE FROM broken; DELETE FROM log');
	sql(<<'SQL');
CREATE TABLE won (id uuid);
CREATE PROCEDURE redrive_all() LANGUAGE plpgsql AS $$
DECLARE
	e uuid;
BEGIN
	FOR e IN SELECT execution_id FROM saga.executions WHERE status = 'FAILED' LOOP
		BEGIN
			PERFORM saga.redrive_execution(e);
			INSERT INTO won VALUES (e);
		EXCEPTION WHEN object_not_in_prerequisite_state THEN
			NULL;
		END;
		COMMIT;
	END LOOP;
END $$;
SQL
	my @sessions = map {
		my ($in, $out, $err) = ('', '', '');
		IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', 'CALL redrive_all()' ], '<', \$in, '>', \$out, '2>', \$err)
	} 1 .. 2;
	ok($_->finish, 'a session has gone through them') foreach @sessions;
	is(sql('SELECT count(*), count(DISTINCT id) FROM won'), '40|40', 'each was redriven once');
	poll_until($node, "SELECT count(*) FROM saga.executions WHERE status = 'SUCCEEDED' AND redrive_count = 1", '41');
	is(sql('SELECT what, count(*) FROM log GROUP BY what ORDER BY what'), "B|40\nC|40\nD|40", 'and did its part once');
	return;
};

subtest 'a call that nobody knew of' => sub {
	my $server = start_accounting();
	my $body = encode_json({ number => 'known', currency => 'EUR', seller => 'S', buyer => 'B', total => '1.19', tax => '0.19', lines => [ { amount => '1.00' } ] });
	my $settings = encode_json({ url => $server->url('/v1/invoices'), allow_private => JSON::PP::true, timeout_ms => 30000, max_attempts => 1, base_ms => 20,
		idempotency => { ttl_s => 3600 }, settle => { by => 'person' } });

	$server->faults({ modes => { duplicate => 'allow' }, rules => [ { number => 'known', method => 'POST', path => '/v1/invoices', action => 'drop_after', times => 1 } ] });
	sql("SELECT saga.create_destination('books', 'http', \$s\$$settings\$s\$)");
	sql(<<'SQL');
SELECT saga.create_workflow('call', '{"StartAt": "Book", "States": {
	"Book": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Compensate": "U", "ResultPath": null, "End": true,
		"Parameters": {"ApiEndpoint": "saga:books", "RequestBody.$": "$"}},
	"U": {"Type": "Task", "Resource": "sql:public.undo"}}}');
SQL
	my $id = sql("SELECT saga.start_execution('call', \$s\$$body\$s\$)");
	ended($id, 'FAILED', 'nobody knows of it');
	like(error("SELECT saga.redrive_execution('$id')"), qr/has left something that nobody knows of.*HINT: .*saga\.settle/s, 'so it is not redriven');
	sql("SELECT saga.redrive_execution('$id', force => true)");
	ended($id, 'SUCCEEDED', 'but with force');
	is(sql("SELECT count(*), count(DISTINCT (idempotency_key, key_epoch)) FROM saga.outbox WHERE execution_id = '$id'"), '2|1', 'under the old key');
	is((grep { $_->{number} eq 'known' } @{ $server->audit->{numbers} })[0]->{posted}, 1, 'so it was done once');
	is(did($id), '', 'and nothing was undone');
	return;
};

subtest 'it goes with its time' => sub {
	sql("INSERT INTO broken VALUES ('A')");
	my $id = start();
	ended($id, 'FAILED', 'it has failed');
	is(sql("SELECT count(*) FROM saga.redrive_point WHERE execution_id = '$id' AND point IS NOT NULL"), '1', 'something is kept');
	poll_until($node, "SELECT clock_timestamp() - stopped_at > '1 s' FROM saga.execution WHERE execution_id = '$id'");
	$node->append_conf('postgresql.conf', "pg_saga.execution_retention = '1 s'\npg_saga.dead_letter_retention = '1 s'");
	$node->restart;
	poll_until($node, 'SELECT count(*) FROM saga.execution', '0');
	is(sql('SELECT count(*) FROM saga.redrive_point'), '0', 'nothing is');
	return;
};

done_testing();
