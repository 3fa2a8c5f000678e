-- Compares the examples with what they expect: a row in a view is a failure.

-- The order of the VAT breakdown and the zeros of a rate are the sender's.
CREATE FUNCTION normal(totals jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT totals || jsonb_build_object('vat_breakdown',
		(SELECT jsonb_agg(CASE WHEN g ? 'rate'
				THEN g || jsonb_build_object('rate', trim_scale((g->>'rate')::numeric)::text)
				ELSE g END ORDER BY g->>'category', (g->>'rate')::numeric)
		   FROM jsonb_array_elements(totals->'vat_breakdown') AS g))
$$;

-- An invoice without what its sender has computed.
CREATE FUNCTION bare(doc jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT (doc - 'totals')
		|| CASE WHEN doc ? 'lines' THEN jsonb_build_object('lines',
			(SELECT coalesce(jsonb_agg(l - 'net_amount' ORDER BY n), '[]')
			   FROM jsonb_array_elements(doc->'lines') WITH ORDINALITY AS x(l, n))) ELSE '{}' END
		|| CASE WHEN doc ? 'vat_breakdown' THEN jsonb_build_object('vat_breakdown',
			(SELECT coalesce(jsonb_agg(b - 'taxable_amount' - 'tax_amount' ORDER BY n), '[]')
			   FROM jsonb_array_elements(doc->'vat_breakdown') WITH ORDINALITY AS x(b, n))) ELSE '{}' END
$$;

CREATE FUNCTION ids(rules jsonb, wanted text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
	SELECT array(SELECT DISTINCT r->>'rule' FROM jsonb_array_elements(rules) AS r
				  WHERE r->>'level' = wanted ORDER BY 1)
$$;

CREATE FUNCTION texts(list jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
	SELECT array(SELECT * FROM jsonb_array_elements_text(list) ORDER BY 1)
$$;

CREATE TABLE result AS
SELECT name, (doc->'expect')::jsonb AS expect, doc->'invoice' AS invoice, c.checked,
	   ids(c.checked->'rules', 'fatal') AS fatal, ids(c.checked->'rules', 'warning') AS warnings
  FROM example, LATERAL (SELECT invoice_check(doc->'invoice') AS checked) AS c;

CREATE VIEW wrong_verdict AS
SELECT name, fatal, expect->'rules' AS expected FROM result
 WHERE NOT CASE
	WHEN (expect->>'valid')::bool THEN fatal = '{}'
	WHEN (expect->>'exact')::bool THEN fatal = texts(expect->'rules')
	ELSE fatal @> texts(expect->'rules') END
	OR (checked->>'fatal')::bool = (expect->>'valid')::bool;

CREATE VIEW wrong_warnings AS
SELECT name, warnings, expect->'warnings' AS expected FROM result
 WHERE expect ? 'warnings'
   AND (warnings <> texts(expect->'warnings') OR texts(checked->'warnings') <> warnings);

CREATE VIEW wrong_totals AS
SELECT name, checked->'totals' AS totals, expect->'totals' AS expected FROM result
 WHERE expect ? 'totals'
   AND normal(checked->'totals') IS DISTINCT FROM normal(expect->'totals');

CREATE VIEW wrong_recomputed AS
SELECT name, c.checked, expect->'totals' AS expected
  FROM result, LATERAL (SELECT invoice_check(bare(invoice::jsonb)::json) AS checked) AS c
 WHERE (expect->>'recomputable')::bool
   AND ((c.checked->>'fatal')::bool
		OR normal(c.checked->'totals') IS DISTINCT FROM normal(expect->'totals'));

CREATE VIEW wrong_fragments AS
SELECT name, doc->'expect'->'not_rules' AS not_rules, v.rules
  FROM fragment,
	   LATERAL (SELECT array_agg(rule) AS rules FROM invoice_validate(doc->'invoice')) AS v
 WHERE v.rules && texts((doc->'expect'->'not_rules')::jsonb);

CREATE VIEW wrong_validate AS
SELECT name FROM result
 WHERE checked->'rules' IS DISTINCT FROM
		(SELECT coalesce(jsonb_agg(to_jsonb(v)), '[]') FROM invoice_validate(invoice) AS v)
	OR checked->'totals' NOT IN ('null', invoice_calculate(invoice));

CREATE VIEW wrong_codes AS
WITH published AS (
	SELECT l.key AS list, c.code, NULL::int AS minor_unit
	  FROM code_file, jsonb_each(doc::jsonb) AS l,
		   jsonb_array_elements_text(CASE jsonb_typeof(l.value) WHEN 'array' THEN l.value ELSE '[]' END) AS c(code)
	UNION ALL
	SELECT 'currencies', key, value::int FROM code_file, json_each_text(doc->'currencies')
), ours AS (
	-- the longer lists are not in that file
	SELECT list, code, minor_unit FROM invoice_codes() WHERE list IN (SELECT list FROM published)
)
SELECT 'not ours' AS problem, * FROM (TABLE published EXCEPT TABLE ours) AS x
UNION ALL
SELECT 'not published', * FROM (TABLE ours EXCEPT TABLE published) AS x;
