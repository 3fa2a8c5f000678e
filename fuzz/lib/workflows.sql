-- What fuzz/workflows asks of each definition. A finding is a WARNING that begins with FINDING.
CREATE SCHEMA fuzz;
CREATE TABLE fuzz.run (n int PRIMARY KEY, definition jsonb, input jsonb, execution uuid, simulated jsonb, stopped boolean NOT NULL DEFAULT false, compared boolean NOT NULL DEFAULT false);
CREATE TABLE fuzz.results (children_id uuid, child_index bigint, result jsonb);

CREATE FUNCTION fuzz.id(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT i';
CREATE FUNCTION fuzz.fail(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT saga.failure('Fuzz', 'on purpose') $$;
CREATE FUNCTION fuzz.raise(i jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(1 / 0)';
CREATE FUNCTION fuzz.rows(i jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('n', n) FROM generate_series(1, 5) n $$;
CREATE FUNCTION fuzz.raise_rows(i jsonb) RETURNS SETOF jsonb LANGUAGE sql AS 'SELECT to_jsonb(1 / (3 - n)) FROM generate_series(1, 5) n';
SELECT saga.bind_resource('arn:aws:lambda:us-east-1:111111111111:function:id', 'sql:fuzz.id');
SELECT saga.create_activity('fuzz');

CREATE FUNCTION fuzz.finding(what text, definition jsonb, input jsonb, more jsonb DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'FINDING: %', what || E'\n  definition: ' || left(definition::text, 5000) || E'\n  input: ' || left(input::text, 1000) || coalesce(E'\n  ' || left(more::text, 3000), '');
END $$;

-- {"result"} or {"error"} of an expression of $1 and $2; an internal error is a finding.
CREATE FUNCTION fuzz.ask(call text, definition jsonb, input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	result jsonb;
BEGIN
	EXECUTE 'SELECT to_jsonb((' || call || '))' INTO result USING definition, input;
	RETURN jsonb_build_object('result', result);
EXCEPTION WHEN OTHERS THEN
	IF SQLSTATE LIKE 'XX%' THEN
		PERFORM fuzz.finding(SQLSTATE || ' ' || SQLERRM || ': ' || call, definition, input);
	END IF;
	RETURN jsonb_build_object('error', SQLSTATE, 'message', SQLERRM);
END $$;

-- Is the answer the one of a definition that is (not) valid? What is too deep, or too much, is no fault of it.
CREATE FUNCTION fuzz.must_agree(what text, valid boolean, answer jsonb, definition jsonb, input jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF answer ->> 'error' LIKE '54%' THEN
		RETURN;
	ELSIF valid AND answer ? 'error' THEN
		PERFORM fuzz.finding(what || ' refuses what saga.validate finds no error in', definition, input, answer);
	ELSIF NOT valid AND answer ->> 'error' IS DISTINCT FROM '22023' THEN
		PERFORM fuzz.finding(what || ' takes what saga.validate finds an error in', definition, input, answer);
	END IF;
END $$;

CREATE FUNCTION fuzz.simulate_call(frozen boolean) RETURNS text LANGUAGE sql AS $$
SELECT 'saga.simulate($1, $2, ''{"sql:fuzz.id": "echo", "sql:fuzz.fail": {"error": "Fuzz", "cause": "on purpose"}, "sql:fuzz.id.waitForTaskToken": {"output": 1, "after": 1},
	"arn:aws:lambda:us-east-1:111111111111:function:id": "echo"}'', ''{"seed": 7, "start_time": "2025-03-01T12:00:00Z", "max_events": 1000, "freeze": ' || frozen::text || '}'')' $$;

-- All that needs no execution; then a workflow is made, and one execution started.
CREATE FUNCTION fuzz.try(n int, definition jsonb, input jsonb, state text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	rows jsonb := fuzz.ask('SELECT coalesce(jsonb_agg(to_jsonb(v)), ''[]'') FROM saga.validate($1) v', definition, input);
	valid boolean;
	simulated jsonb;
	answer jsonb;
	id uuid;
BEGIN
	IF rows ->> 'error' LIKE '54%' THEN
		RETURN;
	ELSIF rows ? 'error' THEN
		PERFORM fuzz.finding('saga.validate raises', definition, input, rows);
		RETURN;
	END IF;
	valid := NOT EXISTS (SELECT FROM jsonb_array_elements(rows -> 'result') r WHERE r ->> 'severity' = 'ERROR');
	IF EXISTS (SELECT FROM jsonb_array_elements(rows -> 'result') r WHERE coalesce(r ->> 'severity' NOT IN ('ERROR', 'WARNING') OR r ->> 'location' NOT LIKE '/%' OR r ->> 'message' = '' OR r ->> 'code' = '', true)) THEN
		PERFORM fuzz.finding('a diagnostic that is not whole', definition, input, rows);
	END IF;
	PERFORM fuzz.ask('SELECT jsonb_agg(to_jsonb(v)) FROM saga.validate($1, ''EXPRESS'') v', definition, input);

	simulated := fuzz.ask(fuzz.simulate_call(false), definition, input);
	PERFORM fuzz.must_agree('saga.simulate', valid, simulated, definition, input);
	answer := fuzz.ask(fuzz.simulate_call(false), definition, input);
	IF simulated <> answer THEN
		PERFORM fuzz.finding('saga.simulate says something else the second time', definition, input, jsonb_build_array(simulated, answer));
	END IF;
	answer := fuzz.ask(fuzz.simulate_call(true), definition, input);
	IF simulated <> answer THEN
		PERFORM fuzz.finding('saga.simulate says something else of a run that is frozen', definition, input, jsonb_build_array(simulated #- '{result,events}', answer #- '{result,events}'));
	END IF;

	PERFORM fuzz.ask(format('saga.test_state($1, $2, %L)', state), definition, input);
	PERFORM fuzz.ask(format('saga.test_state($1, $2, %L, ''{"result": {"a": [1], "n": 2}}'', options => ''{"inspectionLevel": "TRACE"}'')', state), definition, input);
	PERFORM fuzz.ask(format('saga.test_state($1, $2, %L, ''{"errorOutput": {"error": "Fuzz", "cause": "c"}}'')', state), definition, input);
	PERFORM fuzz.ask('saga.test_state($1 #> ARRAY[''States'', (SELECT k FROM jsonb_object_keys(CASE jsonb_typeof($1 -> ''States'') WHEN ''object'' THEN $1 -> ''States'' END) k LIMIT 1)], $2, mock => ''{"result": [1, 2]}'')', definition, input);
	PERFORM fuzz.must_agree('saga.workflow_diagram', valid, fuzz.ask(format('saga.workflow_diagram($1, %L)', CASE n % 2 WHEN 0 THEN 'dot' ELSE 'mermaid' END), definition, input), definition, input);
	PERFORM fuzz.ask('SELECT count(*) FROM saga.check_workflow($1)', definition, input);

	answer := fuzz.ask(format('saga.create_workflow(%L, $1)', 'fuzz-' || n), definition, input);
	PERFORM fuzz.must_agree('saga.create_workflow', valid, answer, definition, input);
	-- what has no end has none here either
	IF answer ? 'error' OR simulated #>> '{result,cause}' LIKE '%maximum number of history events%' THEN
		RETURN;
	END IF;
	answer := fuzz.ask(format('saga.start_execution(%L, $2)', 'fuzz-' || n), definition, input);
	IF answer ? 'error' THEN
		PERFORM fuzz.finding('saga.start_execution raises', definition, input, answer);
		RETURN;
	END IF;
	id := answer ->> 'result';
	INSERT INTO fuzz.run VALUES (n, definition, input, id, simulated -> 'result');
END $$;

-- What is wrong with the history of an execution that has ended; null: nothing.
CREATE FUNCTION fuzz.history_fault(id uuid, status text) RETURNS text LANGUAGE sql AS $$
SELECT CASE
	WHEN count(*) = 0 THEN 'is empty'
	WHEN (array_agg(type ORDER BY event_id))[1] <> 'ExecutionStarted' THEN 'does not begin with ExecutionStarted'
	WHEN lower((array_agg(type ORDER BY event_id DESC))[1]) <> 'execution' || replace(lower(status), '_', '') THEN 'ends with ' || (array_agg(type ORDER BY event_id DESC))[1] || ' where the status is ' || status
	WHEN count(*) FILTER (WHERE type LIKE 'Execution%') <> 2 THEN 'has an end within'
	WHEN min(event_id) <> 1 OR max(event_id) <> count(*) OR count(DISTINCT event_id) <> count(*) THEN 'has events whose numbers do not follow on each other'
	WHEN bool_or(previous_event_id >= event_id OR previous_event_id < 0) THEN 'has an event that comes after one which is later'
	WHEN bool_or(type LIKE '%StateEntered' AND details ->> 'name' IS NULL) THEN 'has a state without a name'
	WHEN count(*) FILTER (WHERE type LIKE '%StateExited') > count(*) FILTER (WHERE type LIKE '%StateEntered') THEN 'leaves more states than it enters'
	END
FROM saga.execution_history WHERE execution_id = id $$;

-- Is there anything that could wake it?
CREATE FUNCTION fuzz.is_waiting(id uuid, definition jsonb) RETURNS boolean LANGUAGE sql AS $$
SELECT EXISTS (SELECT FROM saga.timer WHERE target = id OR message_id = id) OR EXISTS (SELECT FROM saga.activity_task WHERE execution_id = id)
	OR EXISTS (SELECT FROM saga.children WHERE parent_id = id AND phase <> 'x') OR EXISTS (SELECT FROM saga.outbox o JOIN saga.message m ON m.message_id = o.outbox_id WHERE o.execution_id = id)
	OR definition::text LIKE '%waitForTaskToken%' $$;

-- After the work: stopped, those that waited have been told to end.
CREATE FUNCTION fuzz.look(stopped boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r record;
	fault text;
BEGIN
	FOR r IN SELECT f.*, e.status, e.output, e.error, e.cause FROM fuzz.run f LEFT JOIN saga.executions e ON e.execution_id = f.execution WHERE f.stopped = look.stopped ORDER BY f.n LOOP
		IF r.status IS NULL THEN
			PERFORM fuzz.finding('an execution is gone', r.definition, r.input);
		ELSIF r.status IN ('RUNNING', 'COMPENSATING') THEN
			IF NOT fuzz.is_waiting(r.execution, r.definition) OR stopped AND r.status = 'RUNNING' THEN
				PERFORM fuzz.finding('an execution is ' || r.status || CASE WHEN stopped THEN ' after it was stopped' ELSE ' and waits for nothing' END, r.definition, r.input,
					(SELECT to_jsonb(c) FROM saga.continuation c WHERE c.execution_id = r.execution));
			END IF;
			CONTINUE;
		ELSE
			fault := fuzz.history_fault(r.execution, r.status);
			IF fault IS NOT NULL THEN
				PERFORM fuzz.finding('a history ' || fault, r.definition, r.input,
					(SELECT jsonb_agg(h.type ORDER BY h.event_id) FROM saga.execution_history h WHERE h.execution_id = r.execution));
			END IF;
		END IF;
		IF r.error LIKE 'SQL.XX%' OR r.error = 'Saga.Internal' THEN
			PERFORM fuzz.finding('an internal error in a step', r.definition, r.input, jsonb_build_object('error', r.error, 'cause', r.cause));
		END IF;
		PERFORM fuzz.ask(format('saga.workflow_diagram(%L, ''mermaid'', %L::uuid)', 'fuzz-' || r.n, r.execution), r.definition, r.input);
		-- what depends on neither time nor chance nor on names goes as it was simulated
		IF NOT stopped AND r.simulated ->> 'status' IN ('SUCCEEDED', 'FAILED') AND r.definition::text !~ 'Wait|Timeout|Heartbeat|Retry|[$][$]|context|[$]states[^.]|uuid|random|shuffle|[$]now|millis|UUID|MathRandom|Token|DISTRIBUTED|Reader|publish|arn:|absent|fuzz.raise|Credentials' THEN
			UPDATE fuzz.run f SET compared = true WHERE f.n = r.n;
			IF r.status <> r.simulated ->> 'status' OR r.output IS DISTINCT FROM r.simulated -> 'output' AND r.status = 'SUCCEEDED' OR r.error IS DISTINCT FROM r.simulated ->> 'error' OR r.cause IS DISTINCT FROM r.simulated ->> 'cause' THEN
				PERFORM fuzz.finding('an execution ends in another way than the simulation', r.definition, r.input,
					jsonb_build_object('status', r.status, 'error', r.error, 'cause', r.cause, 'output', r.output, 'simulated', r.simulated - 'events'));
			END IF;
		END IF;
	END LOOP;
END $$;

CREATE FUNCTION fuzz.stop_all() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN UPDATE fuzz.run f SET stopped = true WHERE NOT EXISTS (SELECT FROM saga.execution e WHERE e.execution_id = f.execution) RETURNING execution, n LOOP
		PERFORM saga.stop_execution(r.execution, 'Stopped', 'by the fuzzer', r.n % 5 > 0);
	END LOOP;
END $$;
