# Workflows in JSONata on workers: every type of state in one machine, that waits, is thawed and goes on with its
# variables; a distributed Map, a callback, a Catch with Output and Assign, compensation with Arguments; and what is
# done to such executions from outside: a redrive, a move to another version, the check of what is missing.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql as error);

my $node = new_saga_node('jsonata', 'pg_saga.workers = 2');
create_extensions($node, 'postgres');
sql(<<'SQL');
CREATE SCHEMA shop;
CREATE TABLE shop.price (item text PRIMARY KEY, price numeric);
INSERT INTO shop.price VALUES ('tea', 2.50), ('cake', 3.10), ('jam', 4);
CREATE TABLE shop.token (token text, for_whom text);
CREATE TABLE shop.undone (n serial, input jsonb);
CREATE TABLE shop.broken (is_broken bool);
INSERT INTO shop.broken VALUES (true);
CREATE FUNCTION shop.lines(i jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('item', l ->> 'item', 'quantity', l -> 'quantity') FROM jsonb_array_elements(i -> 'lines') l $$;
CREATE FUNCTION shop.price(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE p numeric;
BEGIN
	SELECT price INTO p FROM shop.price WHERE item = i ->> 'item';
	IF p IS NULL THEN PERFORM saga.fail('NoSuchItem', i ->> 'item'); END IF;
	RETURN jsonb_build_object('price', p);
END $$;
CREATE FUNCTION shop.ask(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO shop.token VALUES (i ->> 'token', i ->> 'who') RETURNING '{}'::jsonb $$;
CREATE FUNCTION shop.pay(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('receipt', 'R-' || (i ->> 'amount')) $$;
CREATE FUNCTION shop.refund(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO shop.undone (input) VALUES (i) RETURNING 'null'::jsonb $$;
CREATE FUNCTION shop.ship(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT is_broken FROM shop.broken) THEN PERFORM saga.fail('Broken', i ->> 'to'); END IF;
	RETURN i;
END $$;
SQL

my $json = JSON::PP->new->canonical->allow_nonref;
sub workflow { my ($name, $text) = @_; return sql("SELECT saga.create_workflow('$name', \$q\$$text\$q\$)") }
sub start { my ($name, $input) = @_; return sql("SELECT saga.start_execution('$name', \$q\$$input\$q\$)") }
sub ended { my ($id) = @_; poll_until($node, "SELECT stopped_at IS NOT NULL FROM saga.executions WHERE execution_id = '$id'"); return sql("SELECT concat_ws(' ', status, error, cause, output) FROM saga.executions WHERE execution_id = '$id'") }
sub output { my ($id) = @_; my $end = ended($id); return $end =~ /\ASUCCEEDED (.*)\z/s ? $json->decode($1) : $end }

# ---------- every type of state ----------

workflow('order', <<'ASL');
{"QueryLanguage": "JSONata", "StartAt": "Known", "States": {
  "Known": {"Type": "Choice", "Choices": [{"Condition": "{% $count($states.input.lines) > 0 %}", "Assign": {"customer": "{% $states.input.customer %}", "exact": "{% $states.input.exact %}"}, "Next": "Soon"}], "Default": "Empty"},
  "Empty": {"Type": "Fail", "Error": "Empty", "Cause": "{% 'nothing for ' & $states.input.customer %}"},
  "Soon": {"Type": "Wait", "Seconds": "{% 1 %}", "Assign": {"waited": "{% $states.context.State.EnteredTime %}"}, "Output": {"lines": "{% $states.input.lines %}", "for": "{% $customer %}"}, "Next": "Price"},
  "Price": {"Type": "Map", "ItemReader": {"Resource": "sql:shop.lines", "Arguments": {"lines": "{% $states.input.lines %}"}, "ReaderConfig": {"MaxItems": "{% 10 %}"}},
    "ItemSelector": {"item": "{% $states.context.Map.Item.Value.item %}", "quantity": "{% $states.context.Map.Item.Value.quantity %}", "who": "{% $customer %}"},
    "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "Look", "States": {
      "Look": {"Type": "Task", "Resource": "sql:shop.price", "Arguments": {"item": "{% $states.input.item %}"}, "Output": "{% {'item': $states.input.item, 'who': $states.input.who, 'sum': $states.input.quantity * $states.result.price} %}", "End": true}}},
    "MaxConcurrency": "{% 2 %}", "ToleratedFailureCount": "{% $count($states.input.lines) - 1 %}", "Assign": {"total": "{% $sum($states.result.sum) %}"}, "Output": "{% $states.result^(item).{'item': item, 'who': who, 'failed': Error} %}", "Next": "Both"},
  "Both": {"Type": "Parallel", "Arguments": {"total": "{% $total %}"}, "Branches": [
      {"StartAt": "Tax", "States": {"Tax": {"Type": "Pass", "Output": "{% $round($states.input.total * 0.1, 2) %}", "End": true}}},
      {"StartAt": "Inner", "States": {"Inner": {"Type": "Map", "Items": "{% [1..3] %}", "ItemProcessor": {"StartAt": "Square", "States": {"Square": {"Type": "Pass", "Output": "{% $states.input * $states.input %}", "End": true}}}, "Output": "{% $sum($states.result) %}", "End": true}}}],
    "Output": {"tax": "{% $states.result[0] %}", "squares": "{% $states.result[1] %}", "lines": "{% $states.input %}"}, "Next": "Ask"},
  "Ask": {"Type": "Task", "Resource": "sql:shop.ask.waitForTaskToken", "Arguments": {"token": "{% $states.context.Task.Token %}", "who": "{% $customer %}"}, "TimeoutSeconds": "{% 600 %}", "Assign": {"by": "{% $states.result.by %}"}, "Output": "{% $states.input %}", "Next": "Ship"},
  "Ship": {"Type": "Task", "Resource": "sql:shop.ship", "Arguments": {"to": "{% $customer %}"}, "Retry": [{"ErrorEquals": ["Busy"]}],
    "Catch": [{"ErrorEquals": ["Broken"], "Assign": {"why": "{% $states.errorOutput.Error & ' for ' & $states.errorOutput.Cause %}"}, "Output": "{% $merge([$states.input, {'shipped': false}]) %}", "Next": "Done"}], "Next": "Done"},
  "Done": {"Type": "Succeed", "Output": {"all": "{% $states.input %}", "total": "{% $total %}", "by": "{% $by %}", "why": "{% $why %}", "exact": "{% $exact %}", "waited": "{% $waited < $states.context.State.EnteredTime %}"}}}}
ASL
my $id = start('order', '{"customer": "Ada", "exact": 12345678901234567890.5, "lines": [{"item": "tea", "quantity": 2}, {"item": "cake", "quantity": 1}, {"item": "gold", "quantity": 9}]}');
poll_until($node, 'SELECT count(*) FROM shop.token', '1');
is(sql("SELECT for_whom FROM shop.token"), 'Ada', 'what is called gets what its arguments say');
poll_until($node, "SELECT status || ' ' || current_state FROM saga.executions WHERE execution_id = '$id'", 'RUNNING Ask');
ok(sql("SELECT runs FROM saga.continuation WHERE execution_id = '$id'") >= 3, 'it was parked, and thawed, several times');
like(sql("SELECT run FROM saga.continuation WHERE execution_id = '$id'"), qr/"customer": "Ada"/, 'with its variables');
sql("SELECT saga.send_task_success(token, '{\"by\": \"Bob\"}') FROM shop.token");
is_deeply(output($id), $json->decode('{"all": {"tax": 0.81, "squares": 14, "shipped": false, "lines": [{"item": "cake", "who": "Ada"}, {"item": "tea", "who": "Ada"}, {"failed": "NoSuchItem"}]}, "total": 8.1, "by": "Bob", "why": "Broken for Ada", "exact": 12345678901234567890.5, "waited": true}'),
	'every type of state, over commits, with its variables');
is(sql("SELECT output -> 'exact' FROM saga.executions WHERE execution_id = '$id'"), '12345678901234567890.5', 'a number that is handed on keeps its digits');
is(ended(start('order', '{"customer": "Eve", "lines": []}')), 'FAILED Empty nothing for Eve', 'a Fail says what its expressions give');

# ---------- an expression that fails ----------

workflow('failing', '{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Pass", "Output": {"sum": "{% $states.input.a + 1 %}"}, "End": true}}}');
like(ended($id = start('failing', '{"a": "x"}')), qr/^FAILED States\.QueryEvaluationError .*'\$states\.input\.a \+ 1' specified for the field 'Output\/sum' .*T2001/, 'it names the expression, its field and what JSONata says');
is(sql("SELECT details ->> 'location' || ' ' || (details ->> 'state') FROM saga.execution_history WHERE execution_id = '$id' AND type = 'EvaluationFailed'"), 'Output/sum A', 'the history says where');
is(sql("SELECT reason || ' ' || (cause ~ 'Output/sum') FROM saga.dead_letters WHERE message_id = '$id' OR details::text ~ '$id' OR reason ~ 'Query'"), 'States.QueryEvaluationError true', 'so does the dead letter');
like(error(q{SELECT saga.create_workflow('bad', '{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Pass", "Output": "{% ( %}", "End": true}}}')}), qr/\/States\/A\/Output: The JSONata expression is invalid/, 'what is no expression is refused when the workflow is made');

# ---------- compensation ----------

workflow('paid', <<'ASL');
{"StartAt": "Pay", "States": {
  "Pay": {"Type": "Task", "QueryLanguage": "JSONata", "Resource": "sql:shop.pay", "Arguments": {"amount": "{% $states.input.amount %}"}, "Assign": {"receipt": "{% $states.result.receipt %}"}, "Compensate": "Refund", "Next": "Ship"},
  "Refund": {"Type": "Task", "QueryLanguage": "JSONata", "Resource": "sql:shop.refund", "Arguments": {"receipt": "{% $states.input.output.receipt %}", "amount": "{% $states.input.input.amount %}", "because": "{% $states.input.error.Error %}"}},
  "Ship": {"Type": "Task", "Resource": "sql:shop.ship", "Parameters": {"to.$": "$receipt"}, "End": true}}}
ASL
is(ended($id = start('paid', '{"amount": 7}')), 'FAILED Broken R-7', 'a state in JSONPath reads a variable of one in JSONata');
is(sql('SELECT input FROM shop.undone'), '{"amount": 7, "because": "Broken", "receipt": "R-7"}', 'what was done is undone with the handler\'s arguments');

# ---------- from outside ----------

sql('UPDATE shop.broken SET is_broken = false');
sql("SELECT saga.redrive_execution('$id')");
is_deeply(output($id), { to => 'R-7' }, 'a redrive does it again');

my $waits = '{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Pass", "Assign": {"n": "{% $states.input.n * 2 %}"}, "Next": "W"}, "W": {"Type": "Task", "Resource": "sql:shop.ask.waitForTaskToken", "Arguments": {"token": "{% $states.context.Task.Token %}"}, "Next": "E"}, "E": {"Type": "Pass", "Output": "{% $n + ADD %}", "End": true}}}';
sql('TRUNCATE shop.token');
workflow('moved', $waits =~ s/ADD/1/r);
$id = start('moved', '{"n": 21}');
poll_until($node, 'SELECT count(*) FROM shop.token', '1');
workflow('moved', $waits =~ s/ADD/100/r);
like(sql("SELECT string_agg(d::text, ' ') FROM saga.diff_workflow('moved', \$q\$$waits\$q\$) d"), qr/E/, 'a difference of an expression is one of its state');
is(sql("SELECT count(*) FROM saga.move_executions('moved', 1, 2)"), '1', 'one that waits goes on with the next version');
poll_until($node, "SELECT status || ' ' || current_state FROM saga.executions WHERE execution_id = '$id'", 'RUNNING W');
sql("SELECT saga.send_task_success(token, 'null') FROM shop.token");
is(output($id), 142, 'with the variables that it had, and the new expressions');

workflow('missing', '{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "nobody", "Payload": "{% $states.input %}"}, "Next": "B"}, "B": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "{% $states.input.f %}"}, "End": true}}}');
is(sql("SELECT string_agg(location, ',') FROM saga.check_workflow('missing')"), '/States/A/Arguments/FunctionName', 'what a constant names is looked for, what an expression will name is not');
like(sql("SELECT saga.workflow_diagram('moved')"), qr/state "W" as (s\d+)\n.*\1 --> s\d+/s, 'it is drawn');

$node->stop;
done_testing();
