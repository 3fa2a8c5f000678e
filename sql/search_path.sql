-- A step's function is looked up by its exact arguments, in its own schema, whatever the search path:
-- who may create functions there does not take over the step of another.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_step_owner;
CREATE ROLE regress_step_other;
CREATE SCHEMA steps;
GRANT USAGE, CREATE ON SCHEMA steps TO regress_step_owner, regress_step_other;
GRANT USAGE ON SCHEMA saga TO regress_step_owner;
GRANT EXECUTE ON FUNCTION saga.create_workflow(text, jsonb), saga.start_execution(text, jsonb, text, uuid) TO regress_step_owner;
GRANT EXECUTE ON PROCEDURE saga.drain(text, integer) TO regress_step_owner;
GRANT SELECT ON saga.executions TO regress_step_owner;

SET ROLE regress_step_owner;
CREATE FUNCTION steps.f(input jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"one argument"'::jsonb $$;
CREATE FUNCTION steps.f(input text) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"a text"'::jsonb $$;
CREATE FUNCTION steps.g(input jsonb, context jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"two arguments"'::jsonb $$;
SELECT saga.create_workflow('steps', '{"StartAt": "F", "States": {
	"F": {"Type": "Task", "Resource": "sql:steps.f", "ResultPath": "$.f", "Next": "G"},
	"G": {"Type": "Task", "Resource": "sql:steps.g", "ResultPath": "$.g", "End": true}}}');

CREATE PROCEDURE steps.run(what text) LANGUAGE plpgsql AS $$
DECLARE
	e record;
BEGIN
	PERFORM saga.start_execution('steps', '{}', what);
	COMMIT;
	CALL saga.drain('steps');
	SELECT * INTO e FROM saga.executions x WHERE x.name = what;
	RAISE WARNING '%: % % %', what, e.status, coalesce(e.output::text, e.error), coalesce(e.cause, '');
END
$$;
CALL steps.run('one of each');

-- both, of one role
CREATE FUNCTION steps.g(input jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"one argument"'::jsonb $$;
CALL steps.run('both are the owner''s');
DROP FUNCTION steps.g(jsonb);

-- another role's beside it, with fewer or more arguments
SET ROLE regress_step_other;
CREATE FUNCTION steps.g(input jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"taken over"'::jsonb $$;
SET ROLE regress_step_owner;
CALL steps.run('fewer arguments');
SET ROLE regress_step_other;
DROP FUNCTION steps.g(jsonb);
CREATE FUNCTION steps.f(input jsonb, context jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"taken over"'::jsonb $$;
SET ROLE regress_step_owner;
CALL steps.run('more arguments');
-- what does not fit exactly counts for nothing
SET ROLE regress_step_other;
DROP FUNCTION steps.f(jsonb, jsonb);
CREATE FUNCTION steps.f(input jsonb, context jsonb, more jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"taken over"'::jsonb $$;
CREATE FUNCTION steps.g(input anyelement) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"taken over"'::jsonb $$;
SET ROLE regress_step_owner;
CALL steps.run('others');

-- of an extension's and another role's the extension's is meant
RESET ROLE;
ALTER EXTENSION pg_invoice ADD FUNCTION steps.g(jsonb, jsonb);
SET ROLE regress_step_other;
CREATE FUNCTION steps.g(input jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"taken over"'::jsonb $$;
SET ROLE regress_step_owner;
CALL steps.run('an extension''s');
RESET ROLE;
ALTER EXTENSION pg_invoice DROP FUNCTION steps.g(jsonb, jsonb);
DROP SCHEMA steps CASCADE;
SET pg_saga.keep_owners = off;
DROP OWNED BY regress_step_owner, regress_step_other;
DROP ROLE regress_step_owner, regress_step_other;
