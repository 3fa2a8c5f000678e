-- asl: definitions and dry runs
CREATE FUNCTION saga.validate(definition jsonb, type text DEFAULT 'STANDARD')
RETURNS TABLE(severity text, code text, location text, message text)
AS 'MODULE_PATHNAME', 'saga_validate'
LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.validate(jsonb, text) IS
	'what is wrong with a workflow definition: one row for each fault, with its place as a JSON pointer';

CREATE FUNCTION saga.simulate(definition jsonb, input jsonb DEFAULT '{}', responses jsonb DEFAULT '{}', options jsonb DEFAULT '{}')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_simulate'
LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.simulate(jsonb, jsonb, jsonb, jsonb) IS
	'dry run of a definition: time passes at once, tasks are answered from a script by state name or resource';

CREATE FUNCTION saga.simulate_coverage(definition jsonb, runs jsonb[])
RETURNS TABLE(location text, kind text, state text, target text, hits bigint)
AS 'MODULE_PATHNAME', 'saga_simulate_coverage'
LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.simulate_coverage(jsonb, jsonb[]) IS
'which states and ways of a definition a set of dry runs comes to, and how often; what hits says 0 of, none does. runs: what saga.simulate is given, {"input", "responses", "options"}, each may be left out.
A row for each State, and each Choice, Default, Next, End, Retry, Catch and Compensate of it, in branches and items too; location: a JSON pointer into the definition; target: the state that it leads to.
Errors: invalid_parameter_value, whose context says the number of the run, from 1 on';

CREATE FUNCTION saga.history_events(history bytea, input jsonb DEFAULT NULL, output jsonb DEFAULT NULL)
RETURNS TABLE(event_id bigint, previous_event_id bigint, type text, "timestamp" timestamptz, details jsonb)
AS 'MODULE_PATHNAME', 'saga_history_events'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.history_events(bytea, jsonb, jsonb) IS
	'the events in one stored history of an execution; its input and output are not repeated in there, so pass them along';

CREATE FUNCTION saga.test_state(definition jsonb, input jsonb DEFAULT '{}', state text DEFAULT NULL, mock jsonb DEFAULT NULL,
	context jsonb DEFAULT NULL, variables jsonb DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_test_state'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.test_state(jsonb, jsonb, text, jsonb, jsonb, jsonb, jsonb) IS
'runs one state by itself, as the API TestState of AWS does, and tells what becomes of it: status (SUCCEEDED, FAILED, RETRIABLE, CAUGHT_ERROR), output, error, cause, nextState, and inspectionData.
definition: the state; or a machine, of which "state" names one, also inside a Map or Parallel. mock, what a Task, Map or Parallel comes to: {"result"} or {"errorOutput": {"error", "cause"}}, with "fieldValidationMode".
context: takes the place of $$; variables: an object. options: "inspectionLevel" (INFO, DEBUG, TRACE), "stateConfiguration" (retrierRetryCount, mapIterationFailureCount, errorCausedByState, mapItemReaderData), "start_time", "seed".
Errors: invalid_parameter_value, invalid_json_text, undefined_object (no such state)';

REVOKE ALL ON FUNCTION saga.validate(jsonb, text), saga.simulate(jsonb, jsonb, jsonb, jsonb), saga.simulate_coverage(jsonb, jsonb[]),
	saga.history_events(bytea, jsonb, jsonb), saga.test_state(jsonb, jsonb, text, jsonb, jsonb, jsonb, jsonb) FROM PUBLIC;
