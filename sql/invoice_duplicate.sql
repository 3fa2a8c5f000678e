-- Numbers that look alike: who is held, and what the same number is.
\set VERBOSITY terse
SET client_min_messages = warning;
-- the views have many parts
SET jit = off;
CREATE FUNCTION doc(number text, change jsonb DEFAULT '{}') RETURNS json LANGUAGE sql AS $$
	SELECT ('{"issue_date": "2025-03-01", "due_date": "2025-03-31", "type_code": "380", "currency": "EUR",
		"seller": {"name": "Lindqvist AB", "vat_id": "SE556677889901", "address": {"country": "SE"}},
		"buyer": {"name": "Weber GmbH", "address": {"country": "DE"}},
		"lines": [{"id": "1", "name": "Oak table", "quantity": "2", "unit_code": "C62", "unit_price": "149.90", "vat_category": "S", "vat_rate": "25"}]}'::jsonb
		|| jsonb_build_object('number', number) || change)::json
$$;
-- ids are new each time
CREATE FUNCTION error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate || ' ' || regexp_replace(sqlerrm, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '(id)');
END
$$;
CREATE VIEW state AS
	SELECT t.number, t.type_code, t.status, (SELECT a.reason FROM invoice_approval a WHERE a.tracking_id = t.tracking_id AND a.decided_at IS NULL) AS reason
	FROM invoice_tracking t ORDER BY t.submitted_at;
CREATE FUNCTION tracking(number text) RETURNS uuid LANGUAGE sql AS
	'SELECT tracking_id FROM invoice_submission s WHERE s.number = $1 AND superseded_at IS NULL';
CREATE ROLE regress_duplicate_owner LOGIN;

-- one spelling
SELECT n, invoice_number_key(n) = 'SOME1' AS same FROM unnest(ARRAY['SOME-1', 'some-1', 'Some 1', 'SOME' || U&'\2011' || '1', 'SOME' || U&'\00A0' || '1', 'SO' || U&'\200B' || 'ME1',
	U&'\FF33\FF2F\FF2D\FF25\FF0D\FF11', 'some/1', 'S.O.M.E._1', E'SOME\t1', 'SOME' || U&'\2013' || '1', 'SOME' || U&'\2215' || '1', 'SOM' || U&'\0415' || '1', 'SOME-2', 'SOME-01']) AS n;
-- whole classes: blanks, what nobody sees, and dashes; and where they were between a letter and its accent
SELECT c, count(*) AS characters, string_agg(to_hex(n), ' ' ORDER BY n) FILTER (WHERE invoice_number_key('A' || chr(n) || '1') <> 'A1') AS not_taken_out FROM (
	SELECT c, n FROM (VALUES ('Cc', '[1,31] [127,159]'),
		('White_Space', '[9,13] [32,32] [133,133] [160,160] [5760,5760] [8192,8202] [8232,8233] [8239,8239] [8287,8287] [12288,12288]'),
		('Default_Ignorable_Code_Point', '[173,173] [847,847] [1564,1564] [4447,4448] [6068,6069] [6155,6159] [8203,8207] [8234,8238] [8288,8303] [12644,12644] [65024,65039] [65279,65279] [65440,65440] [65520,65528] [113824,113827] [119155,119162] [917504,921599]'),
		('Cf', '[173,173] [1536,1541] [1564,1564] [1757,1757] [1807,1807] [2192,2193] [2274,2274] [6158,6158] [8203,8207] [8234,8238] [8288,8292] [8294,8303] [65279,65279] [65529,65531] [69821,69821] [69837,69837] [78896,78911] [113824,113827] [119155,119162] [917505,917505] [917536,917631]'),
		('Pd', '[45,45] [1418,1418] [1470,1470] [5120,5120] [6150,6150] [8208,8213] [11799,11799] [11802,11802] [11834,11835] [11840,11840] [11869,11869] [12316,12316] [12336,12336] [12448,12448] [65073,65074] [65112,65112] [65123,65123] [65293,65293] [69293,69293]'),
		('other', '[727,727] [8259,8260] [8275,8275] [8315,8315] [8331,8331] [8722,8722] [8725,8725] [10134,10134] [10240,10240] [68974,68974] [119129,119129]')) v (c, ranges)
	CROSS JOIN LATERAL regexp_split_to_table(ranges, ' ') r CROSS JOIN LATERAL generate_series(lower(r::int4range), upper(r::int4range) - 1) n) s
	GROUP BY c ORDER BY c COLLATE "C";
SELECT invoice_number_key('e' || U&'\200D\0301' || '1') = upper(U&'\00E9' || '1') AS composed, provolatile FROM pg_proc WHERE proname = 'invoice_number_key';
-- other digits and letters stay
SELECT count(DISTINCT invoice_number_key('A' || chr(n) || '1')) FROM unnest(ARRAY[48, 955, 1632, 4352, 20000, 12540, 12354, 128512]) n;
SELECT invoice_number_key('- /') AS nothing_left, invoice_number_key('Stra' || U&'\00DF' || 'e 7'), length(invoice_number_key(repeat(U&'\FDFA', 160))) AS long;

-- the workflow without its network, in a session of its owner
SELECT invoice_set_number_scope('{kind}');
SELECT invoice_setup('regress_duplicate_owner');
GRANT EXECUTE ON FUNCTION saga.create_workflow(text, jsonb), invoice_definition() TO regress_duplicate_owner;
SET SESSION AUTHORIZATION regress_duplicate_owner;
SELECT saga.create_workflow('invoice', jsonb_set(invoice_definition(), '{States}', (
	SELECT jsonb_object_agg(k, CASE k WHEN 'Save' THEN v - 'Next' || '{"End": true}' ELSE v END) FROM jsonb_each(invoice_definition()->'States') AS e (k, v)
	WHERE k IN ('Validate', 'Calculate', 'Needs a person', 'Hold', 'Nobody decided', 'What is due', 'Take the payment', 'Give a credit', 'Nothing due', 'Save', 'Void'))));
RESET SESSION AUTHORIZATION;
\set work 'SET SESSION AUTHORIZATION regress_duplicate_owner; CALL invoice_process(); RESET SESSION AUTHORIZATION;'

-- the second is held, whatever became of the first; another seller's is not, nor one that is only near
SELECT count(invoice_submit(d)) FROM unnest(ARRAY[doc('SOME-1'), doc('some-1'), doc('SOME-2'), doc('Some.1', '{"seller": {"name": "Other", "vat_id": "SE1", "address": {"country": "SE"}}}')]) d;
:work
SELECT * FROM state;
SELECT invoice_submit(doc('SOME/1')) <> tracking('SOME-1') AS another, invoice_submit(doc('SOME-1')) = tracking('SOME-1') AS the_same;
:work
SELECT * FROM state;
SELECT rule FROM invoice_validate(doc('some-1'));
SELECT number, regexp_replace(m, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '(id)', 'g') AS message, document->>'number' = number AS document
  FROM invoice_held, unnest(messages) AS m ORDER BY 1;

-- the currency of the VAT return: what is wrong with it
SELECT count(invoice_submit(d)) FROM unnest(ARRAY[doc('T-1', '{"tax_currency": "EUR"}'), doc('T-2', '{"tax_currency": "SEK"}')]) d;
:work
SELECT number, m FROM invoice_held, unnest(messages) m WHERE number LIKE 'T%' ORDER BY 1;
-- what one that is undoing waits for
BEGIN;
UPDATE saga.continuation SET status = 'c', waiting_for = 'outcome of Pay at payments' WHERE execution_id = tracking('T-1');
SELECT number, status, waiting_for FROM invoice_tracking WHERE number LIKE 'T%' ORDER BY 1;
ROLLBACK;
SELECT invoice_reject(tracking(n), 'no') FROM unnest('{T-1,T-2}'::text[]) n;
:work

-- the first has failed: the next one is no duplicate of it, nor of what was rejected; and then the first one is
SELECT invoice_submit(doc('F-1', '{"lines": []}')) IS NOT NULL AS first;
:work
SELECT invoice_submit(doc('f1')) IS NOT NULL AS second;
:work
SELECT invoice_retry(tracking('F-1'), doc('F-1')) IS NOT NULL AS first;
:work
SELECT * FROM state WHERE number ~* 'f';
SELECT invoice_reject(tracking('F-1'), 'it was f1');
:work
SELECT invoice_submit(doc('F 1')) IS NOT NULL AS third;
:work
SELECT * FROM state WHERE number ~* 'f';

-- approved although it looks alike, and then the first one is tried again, corrected or redriven
SELECT invoice_submit(doc('G-1', '{"due_date": ""}')) IS NOT NULL AS first, invoice_submit(doc('g1')) IS NOT NULL AS second;
SELECT invoice_submit(doc('H-1', '{"lines": []}')) IS NOT NULL AS first, invoice_submit(doc('h1')) IS NOT NULL AS second;
:work
SELECT * FROM state WHERE number ~* '[gh]';
SELECT invoice_approve(tracking('g1')), invoice_approve(tracking('h1')), invoice_reject(tracking('G-1'), 'no date');
:work
SELECT invoice_retry(tracking('G-1'), doc('G-1')) IS NOT NULL AS first;
UPDATE invoice_submission SET document = doc('H-1') WHERE number = 'H-1';
SELECT saga.redrive(dead_letter_id) IS NOT NULL AS redriven FROM saga.dead_letters WHERE message_id = tracking('H-1');
:work
SELECT * FROM state WHERE number ~* '[gh]';

-- corrected into a number that there is
SELECT invoice_submit(doc('I-1', '{"lines": []}')) IS NOT NULL AS wrong;
:work
SELECT invoice_retry(tracking('I-1'), doc('some 2')) IS NOT NULL AS corrected;
:work
SELECT * FROM state WHERE number = 'some 2';

-- what is the same number: by default that of a seller
SELECT error_of($$SELECT invoice_submit(doc('SOME-2', '{"type_code": "381"}'))$$);
SELECT error_of($$SELECT invoice_submit(doc('SOME-2', '{"issue_date": "2026-03-01", "due_date": "2026-03-31"}'))$$);
SELECT invoice_set_number_scope(NULL);
SELECT invoice_set_number_scope('{day}');
SELECT invoice_set_number_scope('{year,kind,kind}');
SELECT number_with FROM invoice_setting WHERE current;
SELECT count(DISTINCT invoice_submit(d)) FROM unnest(ARRAY[doc('SOME-2'), doc('SOME-2', '{"type_code": "381"}'),
	doc('SOME-2', '{"issue_date": "2026-03-01", "due_date": "2026-03-31"}')]) d;
SELECT count(invoice_submit(d)) FROM unnest(ARRAY[doc('Some-2', '{"type_code": "381"}'), doc('some-2', '{"type_code": "384"}'), doc('J-1', '{"type_code": "", "issue_date": ""}')]) d;
:work
SELECT i.number_scope, i.number, invoice_status(tracking_id) FROM invoice_submission i WHERE i.number ~* 'some.2|J' ORDER BY i.submitted_at;
-- what can be summed up
SELECT number, type_code, issue_date, payable, signed_payable FROM invoice_tracking WHERE number ~* 'some.2|J' ORDER BY submitted_at;
-- with two that would not be told apart it stays
SELECT invoice_set_number_scope('{}');
SELECT DISTINCT number_scope ~ '^kind=3.. year=202.$' FROM invoice_submission WHERE number <> 'J-1';
SELECT invoice_set_number_scope('{kind}');
-- another owner has the same setting
CREATE ROLE regress_duplicate_other LOGIN;
UPDATE invoice_submission SET superseded_at = now() WHERE issue_date > '2026-01-01';
SELECT invoice_set_number_scope('{kind}');
SELECT saga.create_workflow('invoice', invoice_definition(), 'regress_duplicate_other');
SELECT invoice_setup('regress_duplicate_other');
SELECT number_with FROM invoice_setting WHERE current;
SELECT DISTINCT number_scope FROM invoice_submission WHERE number <> 'J-1' ORDER BY 1;
