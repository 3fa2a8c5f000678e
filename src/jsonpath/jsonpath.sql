-- jsonpath: one path, expression, template or rule of a workflow, to try it out
CREATE FUNCTION saga.eval_path(path text, input jsonb, context jsonb DEFAULT NULL, variables jsonb DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_eval_path'
LANGUAGE C VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION saga.eval_path(text, jsonb, jsonb, jsonb) IS
	'value of a path or an intrinsic function call, as in a member "x.$"';

CREATE FUNCTION saga.eval_template(template jsonb, input jsonb, context jsonb DEFAULT NULL, variables jsonb DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_eval_template'
LANGUAGE C VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION saga.eval_template(jsonb, jsonb, jsonb, jsonb) IS
	'what Parameters or a ResultSelector makes of an input';

CREATE FUNCTION saga.eval_choice(rule jsonb, input jsonb, context jsonb DEFAULT NULL, variables jsonb DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'saga_eval_choice'
LANGUAGE C VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION saga.eval_choice(jsonb, jsonb, jsonb, jsonb) IS
	'whether a rule of a Choice state matches an input';

CREATE FUNCTION saga.eval_result_path(path text, input jsonb, result jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_eval_result_path'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.eval_result_path(text, jsonb, jsonb) IS
	'the input with a result put in at a ResultPath';
