-- Many invoices from the examples: other quantities, prices, dates, buyers,
-- currencies and lengths.  The same seed gives the same invoices.

-- The first 64 bits of SHA-256 over "seed:i:purpose", modulo n.
CREATE FUNCTION pick(seed bigint, i int, purpose text, n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
	SELECT (sum(get_byte(sha256(convert_to(seed || ':' || i || ':' || purpose, 'UTF8')), b)
				* 256::numeric ^ (7 - b)) % n)::int
	  FROM generate_series(0, 7) AS b
$$;

CREATE FUNCTION text_of(n numeric) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT to_jsonb(n::text)
$$;

-- An amount in another currency: JPY has no decimals, KWD has three.
CREATE FUNCTION relabel(amount text, currency text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT text_of(CASE currency WHEN 'JPY' THEN round(amount::numeric)
						WHEN 'KWD' THEN round(amount::numeric / 10, 3)
						ELSE amount::numeric END)
$$;

CREATE FUNCTION moved(period jsonb, days int) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce(jsonb_object_agg(key, (value::date + days)::text), '{}') FROM jsonb_each_text(period)
$$;

-- Amounts only, and in the new currency.
CREATE FUNCTION plain_allowances(list jsonb, currency text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_agg((a - 'base_amount' - 'percent') || jsonb_build_object('amount', relabel(a->>'amount', currency))
					 ORDER BY n)
	  FROM jsonb_array_elements(list) WITH ORDINALITY AS x(a, n)
$$;

CREATE FUNCTION derive_line(seed bigint, i int, j int, line jsonb, days int, currency text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	list text;
BEGIN
	line := line - 'net_amount' || jsonb_build_object('quantity',
		text_of((line->>'quantity')::numeric * (1 + pick(seed, i, 'q' || j, 20))));
	IF pick(seed, i, 'p' || j, 4) = 0 THEN
		line := line - 'gross_price' - 'price_discount' || jsonb_build_object('unit_price',
			text_of((line->>'unit_price')::numeric + pick(seed, i, 'c' || j, 1000) * 0.01));
	END IF;
	IF currency IN ('JPY', 'KWD') THEN
		line := line - 'gross_price' - 'price_discount'
			|| jsonb_build_object('unit_price', relabel(line->>'unit_price', currency));
	END IF;
	IF line ? 'period' THEN
		line := line || jsonb_build_object('period', moved(line->'period', days));
	END IF;
	FOREACH list IN ARRAY '{allowances,charges}'::text[] LOOP
		IF line ? list THEN
			line := line || jsonb_build_object(list, plain_allowances(line->list, currency));
		END IF;
	END LOOP;
	RETURN line;
END $$;

-- Without declared amounts.
CREATE FUNCTION derive_one(seed bigint, i int, doc jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	issued date := '2025-01-01'::date + pick(seed, i, 'day', 365);
	days int := issued - (doc->>'issue_date')::date;
	currency text := doc->>'currency';
	member text;
	times int := 1;
	total numeric;
BEGIN
	IF pick(seed, i, 'cur', 20) = 0 THEN
		currency := CASE pick(seed, i, 'cur2', 2) WHEN 1 THEN 'KWD' ELSE 'JPY' END;
	END IF;
	IF pick(seed, i, 'n', 10) = 0 THEN
		times := 2 + pick(seed, i, 'm', 40);
	END IF;

	doc := bare(doc) || jsonb_build_object('number', 'L-' || seed || '-' || lpad(i::text, 8, '0'),
		'issue_date', issued::text, 'currency', currency,
		'lines', (SELECT jsonb_agg(derive_line(seed, i, j::int, line, days, currency)
						|| CASE WHEN times > 1 THEN jsonb_build_object('id', ((t - 1) * n + j)::text) ELSE '{}' END
						ORDER BY t, j)
				    FROM jsonb_array_elements(doc->'lines') WITH ORDINALITY AS x(line, j),
						 generate_series(1, times) AS t, jsonb_array_length(doc->'lines') AS n));
	IF doc ? 'due_date' THEN
		doc := doc || jsonb_build_object('due_date',
			(issued + ('{14,30,60}'::int[])[1 + pick(seed, i, 'due', 3)])::text);
	END IF;
	IF doc->'delivery' ? 'date' THEN
		doc := jsonb_set(doc, '{delivery,date}', to_jsonb(((doc->'delivery'->>'date')::date + days)::text));
	END IF;
	IF doc ? 'invoicing_period' THEN
		doc := doc || jsonb_build_object('invoicing_period', moved(doc->'invoicing_period', days));
	END IF;
	doc := jsonb_set(doc, '{buyer,name}', to_jsonb((doc->'buyer'->>'name') || ' #' || pick(seed, i, 'buyer', 5000)));
	FOREACH member IN ARRAY '{allowances,charges}'::text[] LOOP
		IF doc ? member THEN
			doc := doc || jsonb_build_object(member, plain_allowances(doc->member, currency));
		END IF;
	END LOOP;
	FOREACH member IN ARRAY '{prepaid_amount,rounding_amount}'::text[] LOOP
		IF doc ? member THEN
			doc := doc || jsonb_build_object(member, relabel(doc->>member, currency));
		END IF;
	END LOOP;
	total := (invoice_calculate(doc::json)->>'tax_inclusive')::numeric;
	IF total < coalesce((doc->>'prepaid_amount')::numeric, 0) THEN
		doc := doc - 'prepaid_amount' - 'rounding_amount';
	END IF;
	RETURN doc;
END $$;

CREATE FUNCTION derive(seed bigint, count int, OUT i int, OUT doc jsonb) RETURNS SETOF record
LANGUAGE sql AS $$
	WITH base AS (
		SELECT array_agg(invoice::jsonb ORDER BY name COLLATE "C") AS docs FROM result
		  JOIN example USING (name)
		 WHERE doc->>'kind' = 'document' AND (expect->>'valid')::bool
		   AND (expect->>'recomputable')::bool AND expect->'warnings' = '[]')
	SELECT i, derive_one(seed, i, docs[1 + pick(seed, i, 'base', cardinality(docs))])
	  FROM base, generate_series(0, count - 1) AS i
$$;

-- Writes the computed figures into the document, as its sender would.
CREATE FUNCTION declare_amounts(doc jsonb, totals jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT doc || jsonb_build_object(
		'totals', totals - '{lines,vat_breakdown,prepaid,rounding}'::text[]
			|| CASE WHEN doc ? 'tax_currency'
					THEN jsonb_build_object('tax_total_accounting', totals->'tax_total') ELSE '{}' END,
		'lines', (SELECT jsonb_agg(l || jsonb_build_object('net_amount', totals->'lines'->(n::int - 1)) ORDER BY n)
				    FROM jsonb_array_elements(doc->'lines') WITH ORDINALITY AS x(l, n)),
		'vat_breakdown', (SELECT jsonb_agg(g || coalesce((SELECT jsonb_object_agg(m.key, m.value)
								FROM jsonb_array_elements(doc->'vat_breakdown') AS r, jsonb_each(r) AS m
							   WHERE r->>'category' = g->>'category' AND m.key LIKE 'exemption%'), '{}'))
							FROM jsonb_array_elements(totals->'vat_breakdown') AS g))
$$;

-- One fault of six, and the rule that must find it.
CREATE FUNCTION break_one(doc jsonb, how int, OUT broken jsonb, OUT rule text) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	s_line int := (SELECT n - 1 FROM jsonb_array_elements(doc->'lines') WITH ORDINALITY AS x(l, n)
				    WHERE l->>'vat_category' = 'S' ORDER BY n LIMIT 1);
BEGIN
	CASE how
		WHEN 0 THEN broken := doc - 'number'; rule := 'BR-02';
		WHEN 1 THEN broken := doc || '{"currency": ""}'; rule := 'BR-05';
		WHEN 2 THEN broken := jsonb_set(doc, '{lines,0,unit_price}', '"12,50"'); rule := 'INV-NUM';
		WHEN 3 THEN
			IF doc ? 'totals' THEN
				broken := jsonb_set(doc, '{totals,payable}', text_of((doc->'totals'->>'payable')::numeric + 0.01));
				rule := 'BR-CO-16';
			ELSE
				broken := doc - 'lines'; rule := 'BR-16';
			END IF;
		WHEN 4 THEN broken := doc #- '{lines,0,vat_category}'; rule := 'BR-CO-04';
		ELSE
			IF s_line IS NOT NULL THEN
				broken := jsonb_set(doc, array['lines', s_line::text, 'vat_rate'], '"0"'); rule := 'BR-S-05';
			ELSE
				broken := doc - 'number'; rule := 'BR-02';
			END IF;
	END CASE;
END $$;

CREATE TABLE derived (i int, doc jsonb);

CREATE FUNCTION wrong_derived(OUT i int, OUT problem text) RETURNS SETOF record
LANGUAGE plpgsql AS $$
DECLARE
	doc jsonb;
	computed jsonb;
	declared jsonb;
	checked jsonb;
	fault record;
	how int;
BEGIN
	FOR i, doc IN SELECT d.i, d.doc FROM derived AS d ORDER BY d.i LOOP
		computed := invoice_check(doc::json);
		-- A credit of the base may have become an amount due, without a due date.
		IF (computed->>'fatal')::bool OR computed->'warnings' NOT IN ('[]', '["BR-CO-25"]') THEN
			problem := 'bare: ' || (computed->'rules')::text;
			RETURN NEXT;
			CONTINUE;
		END IF;
		declared := declare_amounts(doc, computed->'totals');
		checked := invoice_check(declared::json);
		IF checked <> computed THEN
			problem := 'declared: ' || checked::text;
			RETURN NEXT;
		END IF;
		FOR how IN 0 .. 5 LOOP
			FOR fault IN SELECT * FROM break_one(doc, how) UNION ALL SELECT * FROM break_one(declared, how) LOOP
				IF NOT fault.rule = ANY (ids(invoice_check(fault.broken::json)->'rules', 'fatal')) THEN
					problem := 'not found: ' || fault.rule;
					RETURN NEXT;
				END IF;
			END LOOP;
		END LOOP;
	END LOOP;
END $$;
