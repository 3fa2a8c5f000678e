# What an operator sees of work while it runs, and in the log: which execution and state a worker is in, what has
# failed, what is held. No payload and no secret is in the log.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use IO::Socket::INET;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $node = new_saga_node('seen', 'pg_saga.workers = 2', "log_line_prefix = '%b '");
my $log = $node->logfile;

sub logged { return grep { /$_[0]/ } split /\n/, slurp_file($log) }

sql('CREATE EXTENSION pg_saga');
add_role($node, 'postgres', $_) foreach ('alice', 'watcher', 'other');
sql(<<'SQL');
CREATE TABLE go (on_ boolean);
GRANT SELECT ON go TO PUBLIC;
CREATE FUNCTION wait_for_it(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM public.go) LOOP
		PERFORM pg_sleep(0.05);
	END LOOP;
	RETURN '{}';
END $$;
CREATE FUNCTION broken(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'payload-in-message %', input ->> 'secret' USING HINT = 'payload-in-hint';
END $$;
GRANT SELECT ON saga.executions, saga.workers, saga.dead_letters TO alice, watcher, other;
GRANT alice TO watcher;
GRANT pg_read_server_files TO alice;	-- to have a private address
SQL
sql("SET SESSION AUTHORIZATION alice; SELECT saga.create_workflow('order', '$_')") foreach
	'{"StartAt": "Confirm", "States": {"Confirm": {"Type": "Task", "Resource": "sql:public.wait_for_it", "End": true}}}';
sql("SET SESSION AUTHORIZATION alice; SELECT saga.create_workflow('broken', '$_')") foreach
	'{"StartAt": "Break", "States": {"Break": {"Type": "Task", "Resource": "sql:public.broken", "End": true}}}';

# ---------- a step ----------
my $id = sql("SET SESSION AUTHORIZATION alice; SELECT saga.start_execution('order')");
poll_until($node, "SELECT count(*) FROM saga.workers WHERE current_state IS NOT NULL", '1');
is(sql("SELECT type, owner, workflow, execution_id, current_state, step_since <= now() FROM saga.workers WHERE execution_id IS NOT NULL"),
	"worker|alice|order|$id|Confirm|t", 'a worker says what it runs, in which state, since when');
my $waits = "SELECT waiting_for, waiting_since <= now() FROM saga.executions WHERE execution_id = '$id'";
is(sql($waits), 'step|t', 'and so does the execution');
is(sql("SET SESSION AUTHORIZATION watcher; $waits"), 'step|t', 'to who may see the session');
sql("SELECT saga.grant('workflow', 'alice.order', 'other', 'read')");
is(sql("SET SESSION AUTHORIZATION other; $waits"), 'worker|t', 'who may not sees that a worker is needed');
is(sql("SET SESSION AUTHORIZATION other; SELECT count(*) FROM saga.workers WHERE execution_id IS NOT NULL"), '0', 'and no worker of others');
sql('INSERT INTO go VALUES (true)');
poll_until($node, "SELECT status FROM saga.executions WHERE execution_id = '$id'", 'SUCCEEDED');
poll_until($node, "SELECT count(*) FROM saga.workers WHERE execution_id IS NOT NULL", '0');
pass('what ran is not shown any more');

# ---------- a failure ----------
my $failed = sql(q{SET SESSION AUTHORIZATION alice; SELECT saga.start_execution('broken', '{"secret": "payload-in-input"}')});
poll_until($node, "SELECT status FROM saga.executions WHERE execution_id = '$failed'", 'FAILED');
is(sql("SELECT failed_state, last_error FROM saga.executions WHERE execution_id = '$failed'"), 'Break|SQL.P0001: payload-in-message payload-in-input', 'what failed, and how');
is(sql("SELECT details ->> 'hint', details ->> 'context' FROM saga.dead_letters WHERE message_id = '$failed'"),
	'payload-in-hint|PL/pgSQL function broken(jsonb) line 3 at RAISE', 'the dead letter has the hint, and the line of the function');
is(sql("SELECT details ->> 'hint', details ->> 'context' FROM saga.execution_history WHERE execution_id = '$failed' AND type = 'TaskFailed'"),
	'payload-in-hint|PL/pgSQL function broken(jsonb) line 3 at RAISE', 'and so has the history');
wait_for_log($node, qr/dead letter/);
is_deeply([ map { s/^.*?LOG:  //r } logged(qr/dead letter/) ], [ qq{dead letter: execution $failed of workflow "broken", state "Break": SQL.P0001} ],
	'a line in the log, without a payload');
like(slurp_file($log), qr/CONTEXT:.*\n?.*pg_saga execution \Q$failed\E of workflow "broken", state "Break"/, 'the error has the execution as its context');
# a long name is cut after a whole character, here of four bytes
my $name = "repeat(U&'\\+01f600', 80)";
my $long = sql(qq(SET SESSION AUTHORIZATION alice; DO \$\$ BEGIN PERFORM saga.create_workflow($name, '{"StartAt": "Break", "States": {"Break": {"Type": "Task", "Resource": "sql:public.broken", "End": true}}}'); END \$\$;
	SELECT saga.start_execution($name, '{}')));
poll_until($node, "SELECT status FROM saga.executions WHERE execution_id = '$long'", 'FAILED');
like(slurp_file($log), qr/pg_saga execution \Q$long\E of workflow "(?:\xf0\x9f\x98\x80)+", state "Break"/, 'that of a long name is whole characters');

# ---------- many of them ----------
sql(q{SET SESSION AUTHORIZATION alice; SELECT count(saga.start_execution('broken', '{}')) FROM generate_series(1, 200)});
poll_until($node, "SELECT count(*) FROM saga.executions WHERE workflow = 'broken' AND status = 'FAILED'", '201');
my @lines = logged(qr/LOG:  dead letter/);
# two workers, each of which has ended some
cmp_ok(scalar(@lines), '<=', 60 + 1, 'the log is not flooded');
cmp_ok(scalar(@lines), '>=', 30, 'and has some of them');

# ---------- what holds a destination ----------
my $server = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die;
my $port = $server->sockport;
close $server;
sql(qq{SET SESSION AUTHORIZATION alice; SELECT saga.create_destination('pay', 'http', '{"url": "http://127.0.0.1:$port", "allow_http": true, "allow_private": true,
	"retry": {"max_attempts": 50, "base_ms": 1, "cap_ms": 2}, "limits": {"breaker": {"min_requests": 3, "open_s": 3600}}}')});
sql(qq{SET SESSION AUTHORIZATION alice; SELECT saga.create_workflow('paying', '{"StartAt": "Pay", "States": {"Pay": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke",
	"Parameters": {"ApiEndpoint": "saga:pay/x", "Method": "POST", "RequestBody": {"a": "payload-in-request"}}, "End": true}}}')});
sql("SET SESSION AUTHORIZATION alice; SELECT saga.start_execution('paying')");
poll_until($node, "SELECT waiting_for FROM saga.executions WHERE workflow = 'paying'", 'destination pay (too many requests failed)');
isnt(sql("SELECT last_error FROM saga.executions WHERE workflow = 'paying'"), '', 'the last error of the request is that of the execution');
wait_for_log($node, qr/LOG:  destination "pay" is held: its breaker has opened/);
is(scalar(logged(qr/destination "pay" is held/)), 1, 'one line as the breaker opens');
unlike(join("\n", grep { /^(?!.*(ERROR|HINT|STATEMENT|CONTEXT))/ && /LOG:  (dead|dest)/ } logged(qr/payload/)), qr/payload/, 'no payload in lines of ours');

$node->stop;
done_testing();
