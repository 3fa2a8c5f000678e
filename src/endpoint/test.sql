-- one expression, condition or template of a destination, to try it out
CREATE FUNCTION saga.test_mapping(expr text, message jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_test_mapping'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.test_mapping(text, jsonb) IS
	'what a mapping expression of a destination makes of a message; NULL: nothing';

CREATE FUNCTION saga.test_condition(condition jsonb, status integer, headers jsonb, body text, message jsonb DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'saga_test_condition'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.test_condition(jsonb, integer, jsonb, text, jsonb) IS
	'whether a condition of a destination holds for an answer; headers: {"Name": "value"}, message: what {name} in it refers to';

CREATE FUNCTION saga.test_template(template jsonb, message jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_test_template'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.test_template(jsonb, jsonb) IS
	'what a JSON template of a destination makes of a message';
