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

CREATE FUNCTION saga.history_events(history bytea, input jsonb DEFAULT NULL, output jsonb DEFAULT NULL)
RETURNS TABLE(event_id bigint, previous_event_id bigint, type text, "timestamp" timestamptz, details jsonb)
AS 'MODULE_PATHNAME', 'saga_history_events'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.history_events(bytea, jsonb, jsonb) IS
	'the events in one stored history of an execution; its input and output are not repeated in there, so pass them along';

REVOKE ALL ON FUNCTION saga.validate(jsonb, text), saga.simulate(jsonb, jsonb, jsonb, jsonb),
	saga.history_events(bytea, jsonb, jsonb) FROM PUBLIC;
