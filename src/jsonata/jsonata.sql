-- jsonata: expressions over a document
CREATE FUNCTION saga.jsonata(expression text, document jsonb, bindings jsonb DEFAULT '{}', numbers text DEFAULT 'double')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_jsonata'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.jsonata(text, jsonb, jsonb, text) IS
	'what a JSONata expression makes of a document; NULL: undefined; bindings: {"name": value} for $name; numbers: double, or decimal for exact ones';

CREATE FUNCTION saga.jsonata_json(expression text, document json, bindings json DEFAULT '{}', numbers text DEFAULT 'double')
RETURNS json
AS 'MODULE_PATHNAME', 'saga_jsonata_json'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION saga.jsonata_json(text, json, json, text) IS
	'as saga.jsonata, with members in the order in which they are written or made, and numbers with the digits they are written with';

CREATE FUNCTION saga.jsonata_volatile(expression text, document jsonb, bindings jsonb DEFAULT '{}', numbers text DEFAULT 'double')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_jsonata_volatile'
LANGUAGE C VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION saga.jsonata_volatile(text, jsonb, jsonb, text) IS
	'as saga.jsonata, for expressions with $now, $millis, $random or $shuffle, which give something else each time';
