-- What the settings of a destination are made of: expressions, templates, conditions.
SET client_encoding = 'UTF8';
\set VERBOSITY terse
\pset format unaligned
\pset tuples_only on

CREATE TABLE message (m jsonb);
INSERT INTO message VALUES ('{
  "number": "INV-7", "issued": "2026-03-09", "at": "2026-03-09T07:05:04.25+01:00", "currency": "EUR",
  "payable": "119.00", "total": 100.5, "remote_id": 17, "ok": true, "none": null, "company": 1,
  "customer": {"name": "Öl & Söhne", "a.b": {"c d": 1}},
  "values": {"type": "out", "lines": [["create", [{"quantity": {"__class__": "Decimal", "decimal": "2"}}]]]},
  "lines": [{"type": "line", "amount": 10, "tags": ["x", "y"], "name": "A"},
            {"type": "text", "name": "B"},
            {"type": "line", "amount": 20.25, "tags": ["z"], "name": "C"}]}');

-- the result, or the error with its detail
CREATE FUNCTION try(expr text, doc jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
BEGIN
	RETURN coalesce(saga.test_mapping(expr, coalesce(doc, (SELECT m FROM message)))::text, '(nothing)');
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN message || ': ' || detail;
END $$;
CREATE FUNCTION try_all(VARIADIC exprs text[]) RETURNS SETOF text LANGUAGE sql AS
$$ SELECT e || '  ->  ' || try(e) FROM unnest(exprs) WITH ORDINALITY u(e, n) ORDER BY n $$;

-- literals and constructors
SELECT try_all('1.50', '-42', '6.022e23', '"it''s \u00e9\n"', '''say "x"''', 'true', 'null', '{}', '[]', '{"a": 1, "b": [1, [2], []]}',
	'{"a": missing, "b": [missing, 1]}', '[lines.name, "D"]', '[[lines.name], "D"]', '{number: payable}', '/* a comment */ number');

-- paths
SELECT try_all('number', 'customer.name', 'customer.`a.b`.`c d`', 'customer."a.b"', 'lines.amount', 'lines.tags', 'lines.name[0]', '(lines.name)[0]',
	'lines[0].name', 'lines[-1].name', 'lines[7]', 'lines[type = "line"].name', 'lines[amount > 15].name', 'lines[type = "text"].amount',
	'lines[0].tags[-1]', 'lines[1].tags', 'lines[2].tags', 'lines[[0, 2]].name', 'lines[1][]', 'lines[type = "text"][].name', 'lines.{"n": name, "a": amount}',
	'lines[type = "text"].{"n": name}', '[lines[type = "text"].{"n": name}]', 'lines.(name & "!")', 'lines.[name, amount]', 'lines.{"n": name, "of": $$.number}',
	'$.number', '$$.number', 'missing.a.b', 'number.a', 'none', 'none.a', 'lines.$.name', 'lines.amount.$string()', 'and', 'values.lines');
SELECT e || '  ->  ' || try(e, '[{"id": 5, "a": [1, 2]}, {"id": 6, "a": [3]}]')
	FROM unnest('{$,$[0],$[0].id,$[-1].id,id,a,a[0],$.a[0],$count($),$.id[1],id[1]}'::text[]) e;
SELECT saga.test_mapping('$', NULL) IS NULL, saga.test_mapping('a.b', NULL) IS NULL, saga.test_mapping('{"a": 1}', NULL);

-- operators
SELECT try_all('1 + 2 * 3', '(1 + 2) * 3', '0.1 + 0.2', '119.00 - 19', '10 / 4', '1 / 3', '7 % 3', '-7 % 3', '2 - -2', '-total', 'missing + 1',
	'12345678901234567890.12 + 0.01', 'number & "/" & company', '1 & true & null & missing & [1, "a"] & {"b": 1.50}', 'total = 100.50', '"1" = 1', 'missing = 1', 'missing != 1',
	'[1, {"a": 2}] = [1, {"a": 2.0}]', 'none = null', '"a" < "b"', '2 <= 10', '"2" > "10"', 'missing > 1', '"x" in lines.tags', '5 in [1, 5]', '"x" in missing',
	'ok and total > 100', 'missing or false', '[] or [0, 1]', 'ok ? "yes" : "no"', 'missing ? "yes"', 'total > 100 ? total > 200 ? "a" : "b" : "c"', '1 + 1 = 2 and 2 * 2 = 4');

-- functions of JSONata
SELECT try_all('$string(1.50)', '$string(lines[0])', '$string(missing)', '$string(1e21)', '$string(0.0000001)', '$number("007.50")', '$number("-1.5e2")', '$number("0x1F")', '$number(true)', '$number("x")',
	'$round(2.5)', '$round(3.5)', '$round(-2.5)', '$round(2.675, 2)', '$round(1250, -2)', '$abs(-1.5)', '$floor(-1.5)', '$ceil(1.2)', '$sum(lines.amount)', '$sum([])', '$sum(5)', '$sum("x")', '$sum([1, "x"])',
	'$formatNumber(1234.5, "#,##0.00")', '$formatNumber(-0.125, "0.00")', '$formatNumber(0.125, "0.00")', '$formatNumber(0.5, "00%")', '$formatNumber(7, "000")', '$formatNumber(-7, "0;(0)")', '$formatNumber(1234567, "€ #,##0")',
	'$join(lines.name, ", ")', '$join("a")', '$split("a,b,c", ",")', '$split("a,b,c", ",", 2)', '$split("äb", "")', '$substring("Größe", 2)', '$substring("Größe", 2, 2)', '$substring("Größe", -2)',
	'$substringBefore(number, "-")', '$substringAfter(number, "-")', '$substringAfter(number, "x")', '$uppercase("größe")', '$lowercase("GRÖẞE")', '$uppercase("ﬁn")', '$trim("  a  b ")', '$length("Größe")',
	'$contains(number, "INV")', '$replace("a.b.c", ".", "-")', '$replace("a.b.c", ".", "-", 1)', '$count(lines)', '$count(missing)', '$count("x")', '$exists(none)', '$exists(missing)', '$not(ok)', '$boolean([0, 0])', '$boolean("x")',
	'$append(1, [2, 3])', '$append(missing, 1)', '$merge([{"a": 1, "b": 1}, {"b": 2}])', '$merge(lines.{name: amount})', '$lookup(customer, "name")', '$lookup(lines, "name")', '$keys({"b": 1, "a": 2})', '$keys({"b": 1})', '$keys({})',
	'$pad("x", 3)', '$pad("x", -3, "0")', '$pad("x", 5, "ab")', 'number.$length()', 'lines.name.$uppercase()');

-- our own
SELECT try_all('$minor(payable)', '$minor(total)', '$minor("1.5", 3)', '$minor(12, 0)', '$minor(1.005)', '$minor("1,5")', '$minor("1e2")', '$minor(missing)', '$minor(null)', '$minor(1, 0.5)',
	'$decimal(payable)', '$decimal(1)', '$decimal(0.125)', '$decimal(-0.125)', '$decimal("2.5", 0)', '$decimal(100000000000000000000.005, 2)', '$decimal(1, 21)', '$decimal(missing)',
	'$date(issued, "DD.MM.YYYY")', '$date(at, "YYYYMMDD HH24:MI:SS")', '$date(issued, ''YYYY-MM-DD"T"HH24:MI:SS"Z"'')', '$date("2026-02-29", "YYYY")', '$date("2024-02-29", "DD")', '$date("9.3.2026", "YYYY")', '$date(missing, "YYYY")', '$date(number, "MM" & "x")');

-- they are there for destinations alone
SELECT saga.jsonata('$minor(1)', '{}');
SELECT saga.jsonata('$decimal(1)', '{}', '{}', 'decimal');

-- what is refused, and where; the rest of the language is there
SELECT try_all('', '1 +', '{"a": 1', '[1, 2', '(1', 'a b', 'a..b', '"abc', '"\y"', '"\u00"', '`abc', '/* x', '1e400', 'a.1', 'a.true', 'f(1)', '$f(1)', '$now()', '$x', '$x := 1', '(1; 2)', '1; 2', '[1..3]', 'a ~> $string()', 'a ?: b', 'a ?? b',
	'*', 'a.*', '**', 'a.%', 'a^(b)', 'a{b: c}', 'a@$b.c', 'a#$i', '$replace(a, /b/, "c")', '|a|b|', 'function($x){$x}', 'λ($x){$x}', '(a)(1)', '$substring(a, ?)', '$string(a, true)', '$formatNumber(1, "0", {})', '$string(1, 2, 3)', '$join()', '$length(1, 2)',
	'$formatNumber(1, "0.0.0")', '$formatNumber(1, "0e0")', '$formatNumber(1, "#,#,##0")', '$formatNumber(1, "0.0,0")', '$date(a, "YYYY-MON")', 'a }', 'ä ?? b', 'a"b"');
-- what has no value
SELECT try_all('1 + "x"', '"x" * 2', '-"x"', '1 / 0', '5 % 0', '1 < "x"', 'ok < 1', '{1: 2}', '{"a": 1, "a": 2}', '$length(1)', '$join([1, 2])', '$uppercase(lines)', '[1] in [1]', '1e308 * 10', '$replace("a", "", "b")', '$split("a", ",", -1)',
	'$pad("x", 1e9)', '$formatNumber(1, number & "")', '$date("x", "YYYY")', '$lookup(1)', 'lines.$length()');
-- work and memory have an end, nesting too
SELECT try('$count([1,2,3,4,5,6,7,8].$pad("x", 60000000))');
SELECT try('$count(' || repeat('[' || repeat('1,', 99) || '1].(', 4) || '()' || repeat(')', 5));
SELECT try('$pad("x", 40000000) & $pad("y", 40000000)');
SELECT left(try(repeat('(', 200) || '1' || repeat(')', 200)), 200);
SELECT left(try('1' || repeat(' + 1', 2000)), 200);
SELECT try('1' || repeat(' + 1', 400));

-- the configurations of real destinations
SELECT saga.test_mapping('{"method": "model.account.invoice.create", "params": [[values], {"company": 1}]}', m) FROM message;
SELECT saga.test_mapping('{"method": "model.account.invoice.search_read", "params": [[["number", "=", number], ["type", "=", "out"], ["state", "!=", "cancelled"]], 0, 2, null, ["state", "total_amount"], {"company": 1}]}', m) FROM message;
SELECT saga.test_mapping('{"method": "model.account.invoice.post", "params": [[remote_id], {"company": 1}]}', m) FROM message;
SELECT saga.test_mapping('{"Status": "VOIDED"}', m) FROM message;
SELECT saga.test_mapping('{"amount": $minor(payable), "currency": $lowercase(currency), "date": $date(issued, "YYYY/MM/DD"), "lines": lines[type = "line"].{"description": name, "price": $decimal(amount)}}', m) FROM message;

-- templates
SELECT saga.test_template('{"id": "{remote_id}", "amount": "{total}", "text": "Invoice {number}: {payable} {currency}", "lines": "{lines[0].tags}", "null": "{none}",
	"quoted": "{customer.`a.b`.`c d`}", "last": ["{lines[-1].name}", 1, true, null, {"k{": "{ok}"}], "secret": "{secret:key}", "two": "{remote_id}{remote_id}"}', m) FROM message;
SELECT saga.test_template('"{lines}"', m) FROM message;
\set VERBOSITY default
SELECT saga.test_template('{"a": ["{missing.x}"]}', m) FROM message;
SELECT saga.test_template('{"a": "x{lines}"}', m) FROM message;
SELECT saga.test_template('{"a": {"b c": [1, "x{"]}}', m) FROM message;
SELECT saga.test_template('{"a": "{a..b}"}', m) FROM message;
SELECT saga.test_template('{"a": "}"}', m) FROM message;
SELECT saga.test_template('{"a": "{a[x]}"}', m) FROM message;
SELECT saga.test_template('{"a": "{}"}', m) FROM message;
\set VERBOSITY terse

-- conditions
CREATE FUNCTION holds(condition jsonb, status int DEFAULT 200, body text DEFAULT NULL, headers jsonb DEFAULT NULL, message jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN saga.test_condition(condition, status, headers, body, message);
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END $$;
SELECT c || '  ->  ' || string_agg(s || ' ' || holds(c::jsonb, s), ', ' ORDER BY s)
	FROM unnest(ARRAY['{"status": 200}', '{"status": [200, 201]}', '{"status": "5xx"}', '{"status": ["4xx", 503]}', '{"status": 200.0}']) c, unnest('{200,201,404,500,503}'::int[]) s
	GROUP BY c ORDER BY c;

CREATE TABLE answer (n int, body text);
INSERT INTO answer VALUES (1, '{"Invoices": [{"InvoiceID": "x-1", "HasErrors": true, "Total": 119.00, "a.b": {"id": null}, "Tags": ["p"]}], "Fault": {"Error": [{"code": "6140", "n": 6140}]}, "id": 1}'),
	(2, '[{"id": 5, "total_amount": {"decimal": "119.00"}, "move.": {"id": 9}, "move.name": "m"}]'), (3, '[]'), (4, 'duplicate key: account_invoice_once, try again in 55 seconds'), (5, ''), (6, NULL);
SELECT c || '  ->  ' || coalesce(string_agg(n::text, ' ' ORDER BY n) FILTER (WHERE h = 'true'), 'none') || coalesce(' | ' || min(h) FILTER (WHERE h NOT IN ('true', 'false')), '')
FROM (SELECT o, c, n, holds(c::jsonb, 200, body, NULL, '{"payable": "119.0", "id": 5, "code": "6140", "word": "account", "day": "2026"}') h FROM answer,
	unnest(ARRAY[
	'{"body": {"path": "Invoices[0].HasErrors", "equals": true}}', '{"body": {"path": "Invoices[0].HasErrors", "equals": "true"}}',
	'{"body": {"path": "Fault.Error[0].code", "in": ["6140", "6210"]}}', '{"body": {"path": "Fault.Error[0].code", "equals": 6140}}', '{"body": {"path": "Fault.Error[0].n", "equals": 6140.0}}',
	'{"body": {"path": "Fault.Error[0].n", "equals": "6140"}}', '{"body": {"path": "Fault.Error[0].n", "equals": "{code}"}}', '{"body": {"path": "Fault.Error[0].code", "in": ["x", "{code}"]}}',
	'{"body": {"path": "Invoices[0].Total", "equals": 119}}', '{"body": {"path": "Invoices[0].Total", "equals": "{payable}"}}', '{"body": {"path": "[0].total_amount.decimal", "equals": "{payable}"}}',
	'{"body": {"path": "[0].total_amount.decimal", "equals": 119}}', '{"body": {"path": "[0].total_amount.decimal", "equals": "{missing}"}}', '{"body": {"path": "[0].total_amount.decimal", "not_equals": "{missing}"}}',
	'{"body": {"path": "[0].total_amount.decimal", "not_equals": "{id}"}}', '{"body": {"path": "[0].id", "equals": 5}}', '{"body": {"path": "[-1].id", "equals": "{id}"}}', '{"body": {"path": "[0].`move.`.id", "gt": 8, "lt": 10}}',
	'{"body": {"path": "[0].`move.name`", "matches": "^M$"}}', '{"body": {"path": "[0].`move.name`", "matches": "(?i)^M$"}}', '{"body": {"path": "[0]", "exists": true}}', '{"body": {"path": "[0]", "exists": false}}',
	'{"body": {"path": "Invoices[0].`a.b`.id", "exists": true}}', '{"body": {"path": "Invoices[0].`a.b`.id", "equals": null}}', '{"body": {"path": "Invoices[0].`a.b`.id", "not_equals": null}}', '{"body": {"path": "id", "not_equals": 2}}',
	'{"body": {"path": "Invoices[0].Tags", "equals": ["p"]}}', '{"body": {"path": "Invoices[0].Tags", "contains": "p"}}', '{"body": {"path": "Invoices[0].InvoiceID", "contains": "-"}}', '{"body": {"path": "id", "gt": "{id}"}}', '{"body": {"path": "id", "lt": "{id}"}}',
	'{"body": {"path": "Invoices[0].InvoiceID", "gt": "x"}}', '{"body": {"path": "Invoices[0].InvoiceID", "lt": 5}}',
	'{"body": {"contains": "account_invoice_once"}}', '{"body": {"contains": "{word}_invoice"}}', '{"body": {"contains": "VOIDED"}}', '{"body": {"contains": ""}}', '{"body": {"matches": "in \\d+ seconds$"}}', '{"body": {"matches": "^\\[\\]$"}}', '{"body": {"equals": "[]"}}', '{"body": {"exists": true}}', '{"body": {"exists": false}}',
	'{"body": [{"path": "id", "equals": 1}, {"contains": "x-1"}]}', '{"body": [{"path": "id", "equals": 1}, {"contains": "x-2"}]}', '{"status": 201, "body": {"contains": "x-1"}}', '{"status": "2xx", "body": {"contains": "x-1"}}'
	]) WITH ORDINALITY u(c, o)) t GROUP BY o, c ORDER BY o;

SELECT c || '  ->  ' || holds(c::jsonb, 500, NULL, '{"stripe-should-retry": " true ", "X-Count": "12", "Server": "a: b"}', '{"n": 12.0}')
FROM unnest(ARRAY['{"header": {"name": "Stripe-Should-Retry", "equals": "true"}}', '{"header": {"name": "stripe-should-retry", "in": ["false", "maybe"]}}', '{"header": {"name": "X-None", "exists": false}}', '{"header": {"name": "X-None", "not_equals": "a"}}',
	'{"header": {"name": "X-Count", "gt": 9, "lt": 13}}', '{"header": {"name": "X-Count", "gt": "9"}}', '{"header": {"name": "X-Count", "equals": "{n}"}}', '{"header": {"name": "Server", "matches": "^a: b$"}}', '{"header": [{"name": "Server", "contains": "b"}, {"name": "X-Count", "equals": "12"}]}']) c;

-- faults of conditions
SELECT c || '  ->  ' || holds(c::jsonb) FROM unnest(ARRAY['[]', '{}', '{"as": "fatal", "status": 200}', '{"status": 99}', '{"status": 200.5}', '{"status": "6xx"}', '{"status": []}', '{"status": [200, "2x"]}', '{"status": null}', '{"header": "x"}',
	'{"header": {"equals": "x"}}', '{"header": {"name": "a b", "exists": true}}', '{"header": {"name": "X"}}', '{"header": {"name": "X", "equals": 1}}', '{"header": {"name": "X", "path": "a", "equals": "1"}}', '{"body": {}}', '{"body": []}', '{"body": {"path": "a"}}', '{"body": {"path": "a..b", "equals": 1}}',
	'{"body": {"path": "", "equals": 1}}', '{"body": {"path": "a[", "equals": 1}}', '{"body": {"path": "a", "in": 1}}', '{"body": {"path": "a", "in": []}}', '{"body": {"path": "a", "contains": 1}}', '{"body": {"path": "a", "exists": "x"}}', '{"body": {"path": "a", "gt": true}}', '{"body": {"path": "a", "matches": "("}}', '{"body": {"path": "a", "matches": "(a*)b\\1"}}',
	'{"body": {"path": "a", "matches": 1}}', '{"body": {"path": "a", "equals": "{"}}', '{"body": {"path": "a", "equals": "{secret:x}"}}', '{"body": {"equals": 1}}', '{"body": [{"contains": "a"}, {"odd one": 1, "contains": "b"}]}', '{"body": {"path": "a", "in": ["x", "{a"]}}']) c;

-- regular expressions: look-around and back references are there, and none takes for ever
SELECT c || '  ->  ' || holds(jsonb_build_object('body', jsonb_build_object('matches', c)), 200, b)
FROM (VALUES ('^(?!a)b', 'b'), ('a(?=b)', 'ac'), ('(?<=in )\d+', 'in 55'), ('(?<!in )\m\d+', 'in 55'), ('(\w)\1', 'book'), ('^(\w)\1$', 'bo'), ('^(a+)+$', repeat('a', 60000) || 'b'), ('^(a|aa)+$', repeat('a', 1000) || 'b'),
	('(((a{0,255}){0,255}){0,255}){0,255}b', repeat('a', 1000)), ('(*LIMIT_MATCH=1)a', 'a'), ('a**', 'a'), ('a*+', 'a'), ('(?R)', 'a'), ('\Qa', 'a'), ('\p{L}', 'a'), ('[[.hyphen.]]', 'a'), ('[[:nothing:]]', 'a'), ('a{2,1}', 'a'), ('a{256}', 'a'), ('(?e)a', 'a'), ('[a', 'a'), ('a\', 'a'), ('(a', 'a'), ('(?>a)', 'a'), ('\uD800', 'a'), (repeat('a', 1001), 'a')) v (c, b);

-- large bodies
SELECT holds('{"body": {"contains": "needle"}}', 200, repeat('hay ', 300000) || 'needle'), holds('{"body": {"matches": "needle$"}}', 200, repeat('hay ', 16000) || 'needle'),
	holds('{"body": {"path": "[99999]", "equals": 1}}', 200, '[' || repeat('0,', 99999) || '1]'), saga.test_mapping('$count($[$ > 1])', (SELECT jsonb_agg(i) FROM generate_series(1, 100000) i));
