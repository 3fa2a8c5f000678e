-- Rules and arithmetic.  None of these raises for what a document contains:
-- it is reported, under INV-FORM when it is not even an invoice.

-- Every violated rule, one row a place.  location is a JSON pointer.
CREATE FUNCTION @extschema@.invoice_validate(document json,
	OUT rule text, OUT level text, OUT location text, OUT message text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'saga_invoice_validate'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 5;
COMMENT ON FUNCTION @extschema@.invoice_validate(json) IS
	'every violated rule of a document, one row a place; level is fatal or warning, location a JSON pointer';

-- The figures of an invoice, computed from its lines, allowances and charges;
-- NULL when the document is not a JSON object.  Figures of a document with
-- fatal rules mean nothing.
CREATE FUNCTION @extschema@.invoice_calculate(document json)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_invoice_calculate'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION @extschema@.invoice_calculate(json) IS 'the figures of an invoice, computed from its lines, allowances and charges';

-- Both in one pass: {"rules": [{rule, level, location, message}], "fatal": bool,
-- "warnings": [rule], "totals": figures, null when fatal}.  At most 100 places
-- of one rule are listed, and then how many more there are.
CREATE FUNCTION @extschema@.invoice_check(document json)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'saga_invoice_check'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION @extschema@.invoice_check(json) IS 'violated rules, warnings and figures of a document in one pass';

-- Can the document become jsonb?  Not with \u0000 in a text, a number such as
-- 1e999999, nesting beyond reason or 64 MB of text; INV-FORM or INV-NUM then
-- says where.
CREATE FUNCTION @extschema@.invoice_storable(document json)
RETURNS boolean
AS 'MODULE_PATHNAME', 'saga_invoice_storable'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION @extschema@.invoice_storable(json) IS 'whether jsonb can hold the document';

-- The code lists that the rules use.
CREATE FUNCTION @extschema@.invoice_codes(OUT list text, OUT code text, OUT minor_unit int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'saga_invoice_codes'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 3500;
COMMENT ON FUNCTION @extschema@.invoice_codes() IS 'the code lists that the rules use';

-- A credit note carries positive amounts; its type gives the sign.
CREATE FUNCTION @extschema@.invoice_is_credit_note(type_code text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'saga_invoice_is_credit_note'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.invoice_is_credit_note(text) IS 'whether a type code is one of a credit note';
