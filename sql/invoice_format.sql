-- Invoices in a sender's own shape: formats and their versions, what of the sender's document a mistake is about, and
-- that the document is kept.
\set VERBOSITY terse
SET client_min_messages = warning;
-- where places of what an expression makes come from: sender, note
CREATE FUNCTION places(expression text, original json, VARIADIC locations text[]) RETURNS TABLE (location text, sender text, note text) LANGUAGE sql AS $$
	SELECT u.* FROM invoice_sender_places(expression, original, invoice_format_document(expression, original, 'test', false), locations) p,
		unnest(locations, p.senders, p.notes) u $$;

-- an error without the ids in it, which are new each time
CREATE FUNCTION error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN concat(SQLSTATE, ' ', regexp_replace(SQLERRM, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '(id)', 'g'));
END
$$;

-- ---------- what is handed through ----------
-- equal values are not one another's origin: numbers, texts with and without escapes, true, null, objects, arrays
SELECT * FROM places('{"a": b.n, "b": $.a.n, "c": $.a.s, "d": b.s, "e": b.t, "f": b.z, "g": b.o, "h": b.l, "i": a.l, "j": b.e}',
	'{"a": {"n": 1, "s": "x", "t": true, "z": null, "o": {"k": 1.50}, "l": [1.50, 1], "e": "\u00e9\n"}, "b": {"n": 1, "s": "x", "t": true, "z": null, "o": {"k": 1.50}, "l": [1.50, 1], "e": "\u00e9\n"}}',
	'/a', '/b', '/c', '/d', '/e', '/f', '/g', '/g/k', '/h/0', '/h/1', '/i', '/i/1', '/j');
-- names with slashes; an empty list; the document itself
SELECT * FROM places('{"x": `a/b`.`~c`, "y": none}', '{"a/b": {"~c": 1}, "none": []}', '/x', '/y', '');
SELECT * FROM places('$', '{"a": {"b": [{"c": 1}]}}', '/a/b/0/c', '/a/b/0/d', '/a/x/y');
-- filters, sorting, functions that choose; members of all elements
SELECT * FROM places('{"x": l[v = 2].w, "y": (l^(>v)).w, "z": $filter(l, function($i) { $i.v = 1 }).w, "u": $map(l, function($i) { $i.w }), "v": l.w[0]}',
	'{"l": [{"v": 1, "w": "s"}, {"v": 2, "w": "s"}]}', '/x', '/y/0', '/y/1', '/z', '/u/1', '/v/1');
-- what a table of the document has is from there, what one of the expression has is of what it was looked up by
SELECT * FROM places('{"x": $lookup(t, k), "y": $lookup({"de": "DE"}, k), "z": [l.$lookup({"de": "DE"}, k)]}', '{"t": {"de": "DE"}, "k": "de", "l": [{"k": "de"}, {"k": "de"}]}',
	'/x', '/y', '/z/0', '/z/1');

-- ---------- what is computed ----------
SELECT * FROM places('{"x": p / 100, "y": q * p, "z": -q, "u": $sum(l.v), "v": "no. " & p, "w": $string(q), "s": $sum(l[1].v), "t": 1 + 1}',
	'{"p": 995, "q": 2, "l": [{"v": 1}, {"v": 2}]}', '/x', '/y', '/z', '/u', '/v', '/w', '/s', '/t');
-- literals and what is missing: for which part it was written
SELECT * FROM places('{"lines": [l.{"id": $string(n), "unit": "C62", "part": {"a": n}}], "map": $map(l, function($i) { {"n": $i.n, "unit": "C62"} }), "other": "X"}',
	'{"l": [{"n": 1}, {"n": 2}]}', '/lines/1/unit', '/lines/1/price', '/lines/1/id', '/lines/0/part/b', '/lines/2', '/map/1/unit', '/other', '/missing');
SELECT * FROM places('$ ~> |l|{"v": n * 2}, "m"|', '{"l": [{"n": 1, "m": 1}, {"n": 2}]}', '/l/0/n', '/l/0/v', '/l/1/v', '/l/0/m');
SELECT * FROM places('{"g": (l{k: {"sum": $sum(v), "text": "T"}}).*}', '{"l": [{"k": "a", "v": 1}, {"k": "b", "v": 2}, {"k": "a", "v": 3}]}', '/g/0/sum', '/g/1/sum', '/g/1/text');
-- what no text can have, or nobody can read, is not told
SELECT * FROM places('{"x": $.*.n, "y": $keys($)[0]}', '{"a\u0000b": {"n": 1}}', '/x', '/y');
SELECT * FROM places('{"x": $.*.n}', '{"\ud800": {"n": 1}}', '/x');
SELECT * FROM places('{"x": $.*.n}', json_build_object(repeat('x', 1000), '{"n": 1}'::json), '/x');
-- with variables that a path binds
SELECT * FROM places('{"x": [l@$e.m@$f[$f.i = $e.i].{"a": $e.a, "b": $f.b, "c": "C"}]}', '{"l": [{"i": 1, "a": "A"}], "m": [{"i": 0, "b": "B"}, {"i": 1, "b": "B"}]}', '/x/0/a', '/x/0/c');
-- a document that was corrected since is not what the format made
SELECT * FROM invoice_sender_places('{"a": b}', '{"b": 1}', '{"a": 2}', '{/a}');
SELECT * FROM invoice_sender_places('{"a": b}', '{"b": 1}', '{"a":1}', '{/a}');
SELECT * FROM invoice_sender_places('$error("x")', '{"b": 1}', '{"a":1}', '{/a}');
SELECT * FROM invoice_sender_places('{"a": b}', '{"b": 1}', '{"a":1}', '{}');

-- ---------- formats ----------
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT invoice_source_format('shop', '{"number": $uppercase(}');
SELECT invoice_source_format('shop', '{"ä": $now()}');
SELECT invoice_source_format('shop', '$sqrt(x) + $nothing(1)');
SELECT invoice_source_format('shop', '$eval(x)');
SELECT invoice_source_format('shop', NULL);
SELECT invoice_source_format(' ', '1');
SELECT invoice_source_format(NULL, '1');
SELECT invoice_drop_source_format('shop');
SELECT invoice_submit('{}', format => 'shop');
SELECT invoice_submit('{}', format => NULL);
SELECT invoice_submit(NULL, format => 'shop');
SELECT invoice_source_format('shop', '{"number": no}');
SELECT invoice_submit('{"no": [1]}', format => 'shop');
SELECT invoice_submit('{"no": 1}', format => 'shop');
SELECT invoice_submit('{}', format => 'shop');
SELECT invoice_source_format('list', 'x');
SELECT invoice_submit('{"x": []}', format => 'list');
SELECT invoice_submit('{"x": "an invoice"}', format => 'list');
SELECT invoice_submit('{}', format => 'list');
-- what of the document a fault is about
SELECT invoice_source_format('faults', '{"number": a + b, "seller": l.$number(v), "currency": $sum(m.v), "type_code": $error("no")}');
SELECT invoice_submit('{"a": 1, "b": "x"}', format => 'faults');
SELECT invoice_submit('{"a": true, "b": "x"}', format => 'faults');
SELECT invoice_submit('{"a": 1, "b": 1, "l": [{"v": 1}, {"v": "x"}]}', format => 'faults');
SELECT invoice_submit('{"a": 1, "b": 1, "m": [{"v": 1}, {"v": "x"}]}', format => 'faults');
SELECT invoice_submit('{"a": 1, "b": 1}', format => 'faults');
-- none of these goes on without end
SELECT invoice_source_format('endless', '($f := function($n) { $f($n + 1) }; $f(1))');
SELECT invoice_submit('{}', format => 'endless');
SELECT invoice_source_format('deep', '($f := function($n) { [$f($n)] }; $f(1))');
SELECT invoice_submit('{}', format => 'deep');
SELECT invoice_source_format('large', '{"number": $pad("x", 100000000)}');
SELECT invoice_submit('{}', format => 'large');
SELECT invoice_source_format('regex', '{"number": $match(x, /^(a+)+$/)}');
SELECT invoice_submit(json_build_object('x', repeat('a', 60) || '!'), format => 'regex');
SELECT invoice_submit(json_build_object('no', repeat('x', 1024 * 1024)), format => 'shop');

-- ---------- an invoice ----------
SELECT invoice_source_format('shop', $${
	"number": no, "issue_date": day, "due_date": due, "type_code": "380", "currency": cur,
	"seller": {"name": shop, "vat_id": "SE556677889901", "address": {"country": "SE"}},
	"buyer": {"name": who.name, "address": {"country": who.country}},
	"payment": iban ? {"means_code": "58", "accounts": [{"id": iban}]},
	"lines": [items.{"id": $string(pos), "name": text, "quantity": qty, "unit_code": "C62", "unit_price": cents / 100, "vat_category": "S", "vat_rate": vat}]}$$) AS version;
SELECT invoice_source_format('shop', expression) AS the_same FROM invoice_source_formats WHERE name = 'shop' AND current;
SELECT name, version, current, made_by = session_user AS by_me, made_at IS NOT NULL AS at FROM invoice_source_formats ORDER BY 1, 2;
CREATE FUNCTION doc(no text, change jsonb DEFAULT '{}') RETURNS json LANGUAGE sql AS $$SELECT (jsonb_build_object('no', no, 'shop', 'Lindqvist AB', 'day', '2026-03-01',
	'due', '2026-03-31', 'cur', 'SEK', 'who', '{"name": "Weber GmbH", "country": "DE"}'::jsonb,
	'items', '[{"pos": 1, "text": "Oak table", "qty": "2", "cents": 14990, "vat": "25"}, {"pos": 2, "text": "Chair", "qty": 1, "cents": 4995, "vat": "25"}]'::jsonb) || change)::json$$;
SELECT invoice_read_document(doc('F-1'), 'shop');
SELECT invoice_read_document(doc('F-1'), NULL);
SELECT * FROM invoice_validate(doc('F-1'), NULL);
SELECT invoice_read_document(NULL, 'shop') IS NULL AS nothing, (SELECT count(*) FROM invoice_validate(NULL, 'shop'));
SELECT * FROM invoice_validate(doc('F-1'), 'shop');
SELECT * FROM invoice_validate(doc('F-1', '{"day": "1.3.2026", "who": {"name": "Weber GmbH"}, "items": [{"pos": 1, "text": "Oak table", "qty": "2", "cents": -1, "vat": "0"}, {"pos": 1}], "cur": ""}'), 'shop');
SELECT * FROM invoice_validate('{}', 'shop') WHERE rule LIKE 'BR-0%';

SET client_min_messages = warning;
-- the document stays as it came
SELECT invoice_submit('{"no":  "F-1", "shop": "Lindqvist AB", "b": 1.50, "a": 1, "items": []}', format => 'shop') AS id \gset
SELECT original, source_format, source_format_version, document FROM invoice_submission WHERE tracking_id = :'id';
SELECT source_format, source_format_version, status FROM invoice_tracking WHERE tracking_id = :'id';
CALL saga.drain('invoice');
SELECT status, error FROM invoice_tracking WHERE tracking_id = :'id';
SELECT original, source_format, source_format_version, messages FROM invoice_dlq WHERE tracking_id = :'id';
SELECT jsonb_path_query(cause::jsonb, '$.violations[*] ? (exists (@.sender))') FROM invoice_dlq WHERE tracking_id = :'id';
-- the same again, and in another spelling of the sender's
SELECT invoice_submit('{"no":  "F-1", "shop": "Lindqvist AB", "b": 1.50, "a": 1, "items": []}', format => 'shop') = :'id' AS same;
-- held: a warning is told with its place too
SELECT invoice_submit(doc('F-2', '{"iban": "DE00370400440532013000"}'), format => 'shop') AS held \gset
CALL saga.drain('invoice');
SELECT reason, messages, original->>'iban' AS iban, source_format_version FROM invoice_held WHERE tracking_id = :'held';
-- read in another way since: what is alive is the same invoice, what is dead makes room
SELECT invoice_source_format('shop', replace(expression, '"380"', '"380", "notes": ["v3"]')) AS version FROM invoice_source_formats WHERE name = 'shop' AND current;
SELECT invoice_submit(doc('F-2', '{"iban": "DE00370400440532013000"}'), format => 'shop') = :'held' AS same;
SELECT error_of(format('SELECT invoice_submit(%L, format => %L)', doc('F-2', '{"due": "2026-04-30"}'), 'shop'));
SELECT invoice_submit('{"no":  "F-1", "shop": "Lindqvist AB", "b": 1.50, "a": 1, "items": []}', format => 'shop') AS next \gset
SELECT s.tracking_id = :'next' AS new, s.superseded_at IS NOT NULL AS superseded, s.source_format_version, s.document->'notes' AS notes
  FROM invoice_submission s WHERE s.number = 'F-1' ORDER BY s.submitted_at;
CALL saga.drain('invoice');
-- corrected: by a document of ours, of the sender's, or by another version of the format
SELECT invoice_retry(:'next', doc('F-1', '{"cur": "???"}'), false, 'shop') = :'next' AS retried;
SELECT original->>'cur' AS cur, source_format_version, document->>'currency' AS currency, attempts FROM invoice_submission WHERE tracking_id = :'next';
SELECT original IS NOT NULL AS original, source_format, source_format_version, document->'lines' AS lines FROM invoice_document_history WHERE tracking_id = :'next';
CALL saga.drain('invoice');
SELECT messages FROM invoice_dlq WHERE tracking_id = :'next';
SELECT invoice_source_format('shop', replace(expression, '"currency": cur', '"currency": cur = "???" ? "SEK" : cur')) AS version FROM invoice_source_formats WHERE name = 'shop' AND current;
SELECT invoice_retry(:'next', NULL, false, 'shop') = :'next' AS retried;
SELECT original->>'cur' AS cur, source_format_version, document->>'currency' AS currency FROM invoice_submission WHERE tracking_id = :'next';
SELECT invoice_cancel(:'next');
CALL saga.drain('invoice');
SELECT invoice_retry(:'next', '{"number": "F-1", "seller": {"vat_id": "SE556677889901"}}') = :'next' AS retried;
SELECT original, source_format, document FROM invoice_submission WHERE tracking_id = :'next';
CALL saga.drain('invoice');
SELECT messages[1], original FROM invoice_dlq WHERE tracking_id = :'next';
SELECT error_of(format('SELECT invoice_retry(%L, NULL, false, %L)', :'next', 'shop'));

-- ---------- a batch, a source ----------
\set VERBOSITY terse
SELECT * FROM invoice_submit_batch('[]', 'skip', 'none');
CREATE TABLE batch AS SELECT * FROM invoice_submit_batch(json_build_array(doc('F-9'), '{"no": 7}'::json, doc('F-8', '{"items": [{"cents": "x"}]}'), doc('F-9'), '[]'::json),
	'skip', 'shop');
SELECT b.index, s.number, s.source_format_version, b.error FROM batch b LEFT JOIN invoice_submission s USING (tracking_id) ORDER BY 1;
SELECT * FROM invoice_submit_batch(json_build_array(doc('F-7'), doc('F-8', '{"items": [{"cents": "x"}]}')), 'refuse', 'shop');
SELECT b.index, b.error FROM invoice_submit_batch(json_build_array(doc('F-8', '{"items": [{"cents": "x"}]}')), on_error => 'dead_letter', format => 'shop') b;
CALL saga.drain('invoice-inbox');
SELECT reason, cause, source_format, original FROM invoice_dlq WHERE tracking_id IS NULL;
SELECT invoice_source_format('shop', replace(expression, 'cents / 100', '$number(cents) / 100')) AS version FROM invoice_source_formats WHERE name = 'shop' AND current;
SELECT invoice_source_format('shop', replace(expression, '$number(cents) / 100', 'cents = "x" ? 1 : cents / 100')) AS version FROM invoice_source_formats WHERE name = 'shop' AND current;
SELECT saga.redrive(dead_letter_id) IS NOT NULL AS redriven FROM saga.all_dead_letters WHERE body->>'format' = 'shop';
CALL saga.drain('invoice-inbox');
SELECT number, source_format_version, original->'items' AS items, document#>'{lines,0,unit_price}' AS price FROM invoice_submission WHERE number = 'F-8';

SELECT invoice_set_source_format('front-door', 'shop');
SELECT invoice_source('front-door', '{"queue_url": "https://sqs.eu-central-1.amazonaws.com/123456789012/invoices"}') IS NOT NULL AS made;
SELECT invoice_set_source_format('front-door', 'none');
SELECT invoice_set_source_format('front-door', 'shop');
SELECT saga.start_execution('invoice-inbox', jsonb_build_object('body', doc('F-6')::text, 'source', 'front-door', 'source_message_id', 'm1')) IS NOT NULL AS sent;
SELECT saga.start_execution('invoice-inbox', jsonb_build_object('body', doc('F-6')::text, 'source', 'elsewhere', 'source_message_id', 'm2')) IS NOT NULL AS sent;
SELECT invoice_drop_source_format('shop');
CALL saga.drain('invoice-inbox');
SELECT source_message_id, cause FROM invoice_dlq WHERE source_message_id IN ('m1', 'm2') ORDER BY 1;
SELECT invoice_source_format('shop', expression) > 6 AS made_again FROM invoice_source_formats WHERE name = 'shop' ORDER BY version DESC LIMIT 1;
SELECT count(saga.redrive(dead_letter_id)) FROM saga.all_dead_letters WHERE body->>'source_message_id' IN ('m1', 'm2');
CALL saga.drain('invoice-inbox');
SELECT source_message_id, number, source_format, status FROM invoice_tracking WHERE source_message_id IN ('m1', 'm2');
SELECT source_message_id, cause FROM invoice_dlq WHERE source_message_id IN ('m1', 'm2') ORDER BY 1;
SELECT invoice_set_source_format('front-door', NULL);
SELECT count(*) FROM invoice_format_of_source;

-- ---------- who may ----------
CREATE ROLE regress_format_maker;
CREATE ROLE regress_format_shop;
GRANT EXECUTE ON FUNCTION invoice_source_format(text, text), invoice_drop_source_format(text), invoice_validate(json, text), invoice_read_document(json, text) TO regress_format_maker;
GRANT EXECUTE ON FUNCTION invoice_submit(json, text), invoice_submit_batch(json, text, text) TO regress_format_shop;
SET ROLE regress_format_maker;
SELECT invoice_source_format('mine', '{"number": $, "seller": {"name": "me"}}');
SELECT invoice_read_document('"M-1"', 'mine');
SELECT count(*) > 0 AS found FROM invoice_validate('"M-1"', 'mine');
SELECT invoice_submit('"M-1"', 'mine');
SET ROLE regress_format_shop;
SELECT invoice_submit('"M-1"', 'mine') IS NOT NULL AS submitted;
SELECT count(*) FROM invoice_submit_batch('["M-1", "M-2"]', 'refuse', 'mine');
SELECT invoice_source_format('mine', '1');
SELECT * FROM invoice_source_formats;
RESET ROLE;
