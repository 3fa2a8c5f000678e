# What executions have published that another one waited for, or that were items of a distributed Map: when that one
# fails later, a message that never left is taken back, one under way is undone when it is known to be done, and one of
# which nobody knows is listed where it can be settled. And what one that had succeeded has done is listed when its
# parent is stopped without compensation.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $node = new_saga_node('children_published', 'pg_saga.workers = 2');
my $books = start_accounting();
my $destination = encode_json({ url => $books->url('/v1/invoices'), allow_private => JSON::PP::true, base_ms => 10, max_attempts => 1,
	idempotency => { in => 'none' }, timeout_ms => 5000 });
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');
sql(<<"SQL");
CREATE TABLE taken_back (number text, at timestamptz);
CREATE FUNCTION take_back(i jsonb) RETURNS jsonb LANGUAGE sql AS
	\$\$ INSERT INTO taken_back VALUES (i #>> '{input,Payload,number}', clock_timestamp()) RETURNING '{}'::jsonb \$\$;
CREATE FUNCTION document(number text) RETURNS jsonb LANGUAGE sql AS \$\$ SELECT jsonb_build_object('number', number, 'currency', 'EUR', 'seller', 'S',
	'buyer', 'B', 'total', '1.19', 'tax', '0.19', 'lines', '[{"amount": "1.00"}]'::jsonb) \$\$;
SELECT saga.create_destination('books', 'http', '$destination');
SQL
my $publish = '"P": {"Type": "Task", "Resource": "saga:publish", "Compensate": "T", "End": true, "Parameters": {"Destination": "books", "Payload.$": "$"}},
	"T": {"Type": "Task", "Resource": "sql:public.take_back"}';
my $fail = '"F": {"Type": "Fail", "Error": "NotWanted"}';
sql(qq{SELECT saga.create_workflow('map', '{"StartAt": "M", "States": {"M": {"Type": "Map", "ItemsPath": "\$.items", "Next": "F", "ItemProcessor": {"StartAt": "P",
	"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "States": {$publish}}}, $fail}}')});
sql(qq{SELECT saga.create_workflow('child', '{"StartAt": "P", "States": {$publish}}')});
# it fails when the request has left
sql(q{CREATE FUNCTION under_way(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
	IF NOT EXISTS (SELECT FROM saga.outbox o LEFT JOIN saga.timer t ON t.message_id = o.outbox_id AND t.lease IS NOT NULL
		WHERE o.request::text LIKE '%"' || (i #>> '{Input,number}') || '"%' AND (o.attempts > 0 OR t.message_id IS NOT NULL))
	THEN PERFORM saga.fail('NotYet'); END IF; RETURN i; END $$});
sql(qq{SELECT saga.create_workflow('parent', '{"StartAt": "C", "States": {"C": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2",
	"Parameters": {"StateMachineArn": "child", "Input.\$": "\$"}, "Next": "U"}, "U": {"Type": "Task", "Resource": "sql:public.under_way", "Next": "F",
	"Retry": [{"ErrorEquals": ["NotYet"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 60}]}, $fail}}')});

sub closed { return poll_until($node, qq{SELECT bool_and(phase = 'x') FROM saga.children WHERE parent_id = '$_[0]'}) }

# ---------- it has not left ----------

sql(q{SELECT saga.pause_destination('books')});
my $id = sql(q{SELECT saga.start_execution('map', jsonb_build_object('items', jsonb_build_array(document('m1'), document('m2'))))});
poll_until($node, qq{SELECT status FROM saga.executions WHERE execution_id = '$id'}, 'FAILED');
closed($id);
is(sql(q{SELECT string_agg(state || ' ' || outcome, ', ') FROM saga.outbox}), 'withdrawn never_left, withdrawn never_left', 'messages of items that never left are taken back');
is(sql('SELECT count(*) FROM taken_back'), 0, 'and no handler undoes them');
is(sql(qq{SELECT undone || ' ' || not_undone FROM saga.map_runs WHERE execution_id = '$id'}), '2 0', 'the items are undone');
is(sql(q{SELECT count(*) FROM saga.dead_letters WHERE reason <> 'NotWanted'}), 0, 'nothing else is told of it');
sql(q{SELECT saga.resume_destination('books')});

# ---------- it is under way ----------

$books->faults({ modes => { duplicate => 'allow', idempotency => 'none' }, rules => [ { method => 'POST', action => 'delay', ms => 2500, at => 'after' } ] });
$id = sql(q{SELECT saga.start_execution('parent', document('c1'))});
closed($id);
poll_until($node, qq{SELECT status FROM saga.executions WHERE execution_id = '$id'}, 'FAILED');
is(sql(q{SELECT state || ' ' || outcome FROM saga.outbox WHERE request::text LIKE '%"c1"%'}), 'delivered done', 'a message of a child that is under way is waited for');
is(sql(q{SELECT count(*), bool_and(t.at > o.finished_at) FROM taken_back t, saga.outbox o WHERE t.number = 'c1' AND o.request::text LIKE '%"c1"%'}), '1|t', 'and undone then');

# ---------- nobody knows ----------

$books->faults({ modes => { duplicate => 'allow', idempotency => 'none' }, rules => [ { method => 'POST', action => 'drop_after' } ] });
$id = sql(q{SELECT saga.start_execution('parent', document('u1'))});
poll_until($node, qq{SELECT status FROM saga.executions WHERE execution_id = '$id'}, 'FAILED');
closed($id);
my $listed = sql(q{SELECT outbox_id FROM saga.outbox WHERE request::text LIKE '%"u1"%'});
poll_until($node, q{SELECT state || ' ' || outcome FROM saga.outbox WHERE request::text LIKE '%"u1"%'}, 'failed in_doubt');
is(sql(qq{SELECT not_compensated -> 0 ->> 'outcome' FROM saga.executions WHERE not_compensated @> '[{"message_id": "$listed"}]'}), 'unknown', 'one of which nobody knows is listed');
is(sql(q{SELECT count(*) FROM taken_back WHERE number = 'u1'}), 0, 'and not undone');
sql(qq{SELECT saga.settle('$listed'::uuid, 'done')});
poll_until($node, q{SELECT count(*) FROM taken_back WHERE number = 'u1'}, '1');
poll_until($node, q{SELECT count(*) FROM saga.executions WHERE not_compensated IS NOT NULL}, '0');
pass('until a person says that it was done');

# ---------- nothing is to be undone ----------

$books->faults({ modes => { duplicate => 'allow', idempotency => 'none' }, rules => [] });
sql(qq{SELECT saga.create_workflow('stopped', '{"StartAt": "M", "States": {"M": {"Type": "Map", "ItemsPath": "\$.items", "End": true, "ItemProcessor": {"StartAt": "C",
	"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "States": {
	"C": {"Type": "Choice", "Choices": [{"Variable": "\$.number", "StringEquals": "s2", "Next": "W"}], "Default": "P"}, "W": {"Type": "Wait", "Seconds": 36000, "End": true}, $publish}}}}}')});
$id = sql(q{SELECT saga.start_execution('stopped', jsonb_build_object('items', jsonb_build_array(document('s1'), document('s2'))))});
poll_until($node, qq{SELECT string_agg(status, ' ' ORDER BY input ->> 'number') FROM saga.executions WHERE started_by = '$id'}, 'SUCCEEDED RUNNING');
poll_until($node, q{SELECT state FROM saga.outbox WHERE request::text LIKE '%"s1"%'}, 'delivered');
my $done = sql(qq{SELECT execution_id FROM saga.executions WHERE started_by = '$id' AND status = 'SUCCEEDED'});
sql("SELECT saga.stop_execution('$id', compensate => false)");
closed($id);
is(sql(qq{SELECT status || ' ' || (not_compensated #>> '{0,outcome}') || ' ' || (not_compensated #>> '{0,reason}') FROM saga.executions WHERE parent_id = '$done'}),
	'ABORTED done Saga.ParentEnded', 'what an item that had succeeded has done is listed');
is(sql(qq{SELECT count(*) FROM saga.dead_letters WHERE reason = 'Saga.CompensationFailed' AND message_id = (SELECT execution_id FROM saga.executions WHERE parent_id = '$done')}),
	1, 'and told by a dead letter');
is(sql(q{SELECT count(*) FROM taken_back WHERE number = 's1'}), 0, 'and not undone');

$node->stop;
done_testing();
