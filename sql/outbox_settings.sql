-- The settings of http destinations: every member of the endpoint contract, what is accepted, and each
-- kind of fault with its JSON path. Nothing is sent.
\set VERBOSITY terse
\set SHOW_CONTEXT never

-- What create_destination says of these settings over a plain "url": "accepted", or the fault.
CREATE FUNCTION pg_temp.verdict(settings jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM saga.create_destination('tried', 'http', '{"url": "https://a.example/v1/things"}'::jsonb || settings);
	PERFORM saga.drop_destination('tried');
	RETURN 'accepted';
EXCEPTION WHEN invalid_parameter_value OR configuration_limit_exceeded THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END $$;

-- ---------- request ----------
SELECT s AS request, pg_temp.verdict(s::jsonb) FROM unnest(ARRAY[
	'{"name": "accounting", "comment": "a word about it"}', '{"comment": 1}',
	'{"request": "POST"}', '{"request": {"verb": "POST"}}', '{"request": {"method": "PUT"}}', '{"request": {"method": "TRACE"}}',
	'{"request": {"method": "PUT"}, "method": "PUT"}', '{"request": {"url": "https://b.example/"}}',
	'{"url": null, "request": {"url": "https://b.example/{customer.id}?q={number}"}}', '{"url": null, "request": {"url": "/v1"}}',
	'{"url": "https://a.example/{secret:x}"}', '{"url": "https://a.example/{a b"}',
	'{"request": {"headers": {"X-A": "{number}/{a.b[0]}"}}}', '{"request": {"headers": {"X-A": "{"}}}',
	'{"headers": {"X-A": "1"}, "request": {"headers": {"X-B": "2"}}}', '{"headers": {"X-A": "1"}, "request": {"headers": {"x-a": "2"}}}',
	'{"request": {"headers": {"Authorization": "Bearer x"}}}',
	'{"request": {"body": "message"}}', '{"request": {"body": "none"}}', '{"request": {"body": "all"}}', '{"request": {"body": {}}}',
	'{"request": {"body": {"expr": "a", "template": {}}}}', '{"request": {"body": {"jsonata": "a"}}}',
	'{"request": {"body": {"expr": "{\"n\": number, \"lines\": lines.{\"a\": $decimal(net, 2)}}"}}}',
	'{"request": {"body": {"expr": "{\"n\": "}}}', '{"request": {"body": {"expr": "$now()"}}}', '{"request": {"body": {"expr": 1}}}',
	'{"request": {"body": {"template": {"n": "{number}", "x": ["a {b.c} d", 1, null]}}}}', '{"request": {"body": {"template": {"x": ["{"]}}}}',
	'{"request": {"content_type": "form"}}', '{"request": {"content_type": "xml"}}',
	'{"request": {"content_type": "form", "form_arrays": "BRACKETS"}}', '{"request": {"form_arrays": "COMMAS"}}',
	'{"request": {"form_arrays": "brackets"}}', '{"request": {"content_type": "json", "form_arrays": "REPEAT"}}',
	'{"request": {"timeout_ms": 900000, "connect_timeout_ms": 1, "max_response_bytes": 4194304}}',
	'{"request": {"timeout_ms": 900001}}', '{"request": {"connect_timeout_ms": 0}}', '{"request": {"max_response_bytes": "1"}}', '{"request": {"max_response_bytes": 4194305}}'
]) s;

-- ---------- keys ----------
SELECT s AS idempotency, pg_temp.verdict(jsonb_build_object('idempotency', s::jsonb)) FROM unnest(ARRAY[
	'{}', 'null', '"header"', '{"in": "header"}', '{"in": "header", "name": "X Key"}', '{"in": "header", "name": "X-Key"}', '{"in": "cookie"}', '{"in": 1}',
	'{"in": "query"}', '{"in": "query", "name": ""}', '{"in": "query", "name": "requestid"}', '{"in": "body", "name": "meta.key"}', '{"in": "body"}', '{"in": "none"}',
	'{"format": "uuid"}', '{"format": "hex32"}', '{"format": "ulid"}', '{"prefix": "inv-"}', '{"prefix": "a b"}',
	'{"max_len": 16}', '{"max_len": 15}', '{"max_len": 1025}', '{"prefix": "twelve-bytes", "max_len": 27}', '{"prefix": "twelve-bytes", "max_len": 28}',
	'{"replay_header": "X-Replayed"}', '{"replay_header": "X Replayed"}', '{"replay_header": 1}', '{"ttl_s": 5400}', '{"ttl_s": -1}', '{"ttl_s": 1.5}', '{"retention": 1}'
]) s;
SELECT s AS header, pg_temp.verdict(s::jsonb) FROM unnest(ARRAY['{"idempotency_header": ""}', '{"idempotency_header": "X-Key"}', '{"idempotency_header": 1}', '{"idempotency_header": "Host"}']) s;

-- ---------- what an answer means ----------
SELECT s AS classify, pg_temp.verdict(jsonb_build_object('classify', s::jsonb)) FROM unnest(ARRAY[
	'[]', '{}', '[1]', '[{}]', '[{"as": "fatal"}]', '[{"status": [200]}]', '[{"status": [200], "as": "good"}]', '[{"status": [200], "as": "split"}]',
	'[{"status": [200, "4xx"], "as": "success", "comment": "why"}, {"status": [503], "as": "retry"}, {"status": [504], "as": "uncertain"}, {"status": [400], "as": "duplicate"}, {"status": [403], "as": "auth"}, {"status": [410], "as": "fatal"}]',
	'[{"status": 200, "as": "fatal"}]', '[{"status": [], "as": "fatal"}]', '[{"status": ["6xx"], "as": "fatal"}]', '[{"status": [99], "as": "fatal"}]', '[{"status": [202], "as": "pending"}]',
	'[{"status": [200], "colour": 1, "as": "fatal"}]',
	'[{"header": {"name": "X-A", "equals": "b"}, "as": "retry"}]', '[{"header": {"equals": "b"}, "as": "retry"}]', '[{"header": {"name": "X A", "equals": "b"}, "as": "retry"}]', '[{"header": {"name": "X-A", "equals": 1}, "as": "retry"}]',
	'[{"header": [{"name": "X-A", "exists": true}, {"name": "X-B", "matches": "^a+$"}], "as": "retry"}]', '[{"header": {"name": "X-A", "matches": "("}, "as": "retry"}]',
	'[{"body": {"path": "a[0].b", "equals": true}, "as": "fatal"}]', '[{"body": {"path": "a[0].b"}, "as": "fatal"}]', '[{"body": {"path": "a..b", "exists": true}, "as": "fatal"}]', '[{"body": {"path": 1, "exists": true}, "as": "fatal"}]',
	'[{"body": {"contains": "closed"}, "as": "fatal"}]', '[{"body": {"contains": 1}, "as": "fatal"}]', '[{"body": {"path": "a", "in": []}, "as": "fatal"}]', '[{"body": {"path": "a", "in": [1, "x"]}, "as": "fatal"}]',
	'[{"body": {"path": "a", "gt": 1, "lt": 5}, "as": "fatal"}]', '[{"body": {"path": "a", "gt": true}, "as": "fatal"}]', '[{"body": {"path": "a", "exists": 1}, "as": "fatal"}]',
	'[{"body": [{"path": "a", "equals": "{number}"}, {"path": "b", "not_equals": null}], "as": "fatal"}]', '[{"body": {"path": "a", "equals": "{secret:x}"}, "as": "fatal"}]'
]) s;
SELECT s AS classes, pg_temp.verdict(s::jsonb) FROM unnest(ARRAY[
	'{"default_class": "builtin"}', '{"default_class": "fatal"}', '{"uncertain_as": "retry"}', '{"uncertain_as": "uncertain"}', '{"uncertain_as": "fatal"}', '{"uncertain_as": true}',
	'{"retry_hint_header": "Stripe-Should-Retry"}', '{"retry_hint_header": "a b"}', '{"retry_hint_header": 1}',
	'{"capture": {"remote_id": "Invoices[0].InvoiceID", "version": "[0].`move.`.id"}}', '{"capture": []}', '{"capture": {"remote_id": 1}}', '{"capture": {"remote_id": "a["}}', '{"capture": {"remote id": ""}}'
]) s;

-- ---------- when again ----------
SELECT s AS again, pg_temp.verdict(s::jsonb) FROM unnest(ARRAY[
	'{"retry": {"max_attempts": 12, "base_ms": 500, "factor": 2, "cap_ms": 600000, "jitter": "full", "deadline_s": 86400}}', '{"retry": []}', '{"retry": {"max_attempts": 0}}', '{"retry": {"max_attempts": 10001}}',
	'{"retry": {"base_ms": 0}}', '{"retry": {"factor": 101}}', '{"retry": {"cap_ms": 86400001}}', '{"retry": {"jitter": "none"}}', '{"retry": {"jitter": true}}', '{"retry": {"deadline_s": -1}}', '{"retry": {"times": 1}}',
	'{"max_attempts": 3, "base_ms": 1, "factor": 1, "cap_ms": 1, "jitter": "none"}', '{"deadline_s": 1}',
	'{"retry_after": {"header": "X-Wait", "body_regex": "in (\\d+) seconds", "default_s": 60, "max_s": 86400}}', '{"retry_after": "X-Wait"}', '{"retry_after": {"header": ""}}', '{"retry_after": {"header": 1}}',
	'{"retry_after": {"body_regex": "in \\d+"}}', '{"retry_after": {"body_regex": "("}}', '{"retry_after": {"body_regex": "(a)\\1"}}', '{"retry_after": {"body_regex": 1}}', '{"retry_after": {"default_s": 604801}}', '{"retry_after": {"max_s": -1}}', '{"retry_after": {"min_s": 1}}',
	'{"retry_after_cap_ms": 1000}', '{"retry_after_cap_ms": "1 s"}'
]) s;

-- ---------- how much ----------
SELECT s AS limits, pg_temp.verdict(jsonb_build_object('limits', s::jsonb)) FROM unnest(ARRAY[
	'{"concurrency": 5, "per_second": 1, "per_minute": 60, "per_hour": 1000, "per_day": 5000, "group": "xero", "slow_start_s": 10}', '[]', '{"concurrency": 0}', '{"concurrency": 1001}', '{"per_second": -1}', '{"per_minute": 1.5}', '{"per_hour": "1"}', '{"per_day": 1000000001}',
	'{"group": ""}', '{"group": 1}', '{"slow_start_s": 3601}', '{"per_week": 1}',
	'{"breaker": false}', '{"breaker": true}', '{"breaker": {"window_s": 60, "min_requests": 20, "failure_share": 0.5, "open_s": 30}}', '{"breaker": {"failure_share": 0}}', '{"breaker": {"failure_share": 1.1}}', '{"breaker": {"min_requests": 0}}', '{"breaker": {"open_s": 0}}', '{"breaker": {"half_open": 1}}'
]) s;

-- ---------- look-up, poll, compensation ----------
SELECT s AS lookup, pg_temp.verdict(jsonb_build_object('lookup', s::jsonb)) FROM unnest(ARRAY[
	'"/v1"', '{}', '{"url": "/v1/things?number={number}"}', '{"found": "things[0]"}', '{"url": "/v1/things?number={number}", "found": "things[0]"}', '{"url": "things", "found": "[0]"}', '{"url": "/../x", "found": "[0]"}',
	'{"method": "POST", "url": "/v1/search", "body": {"expr": "{\"q\": number}"}, "content_type": "json", "headers": {"X-A": "{number}"}, "timeout_ms": 1000, "found": "[0]", "delay_ms": 30000, "capture": {"remote_id": "[0].id"}, "same": {"path": "[0].total", "equals": "{total}"}, "classify": [{"status": [404], "as": "retry"}]}',
	'{"url": "/v1", "found": ""}', '{"url": "/v1", "found": 1}', '{"url": "/v1", "found": "[0]", "same": 1}', '{"url": "/v1", "found": "[0]", "same": {"path": "[0].total"}}', '{"url": "/v1", "found": "[0]", "same": {"status": [200]}}', '{"url": "/v1", "found": "[0]", "same": {"path": "[0", "equals": 1}}',
	'{"url": "/v1", "found": "[0]", "capture": {"x": "["}}', '{"url": "/v1", "found": "[0]", "classify": [{"status": [200]}]}', '{"url": "/v1", "found": "[0]", "delay_ms": 3600001}', '{"url": "/v1", "found": "[0]", "method": "LOOK"}', '{"url": "/v1", "found": "[0]", "body": {"expr": "("}}', '{"url": "/v1", "found": "[0]", "every_ms": 1}',
	'{"url": "/v1", "found": "[0]", "headers": {"Authorization": "x"}}',
	'{"url": "/v1", "found": "[0]", "capture": {"a": "a", "b": "b"}, "id": "a"}', '{"url": "/v1", "found": "[0]", "capture": {"b": "b"}, "id": "a"}', '{"url": "/v1", "found": "[0]", "id": 1}'
]) s;
SELECT s AS poll, pg_temp.verdict(jsonb_build_object('poll', s::jsonb)) FROM unnest(ARRAY[
	'true', '{}', '{"url": "/v1/{operation}", "success": "done"}', '{"url": "/v1/{operation}", "path": "status"}', '{"path": "status", "success": "done"}',
	'{"url": "/v1/{operation}", "path": "status", "success": ["done", "booked"], "fatal": ["failed", null], "capture": {"remote_id": "id"}, "every_ms": 1, "deadline_s": 60}',
	'{"url": "/v1/{operation}", "path": "status", "success": true}', '{"url": "/v1/{operation}", "path": "status", "success": {"a": 1}}', '{"url": "/v1/{operation}", "path": "status", "success": "done", "fatal": {}}',
	'{"url": "/v1/{operation}", "path": "status", "success": "done", "every_ms": 0}', '{"url": "/v1/{operation}", "path": "status", "success": "done", "deadline_s": 0}', '{"url": "/v1/{operation}", "path": "a[", "success": "done"}', '{"url": "/v1/{operation}", "path": "status", "success": "done", "classify": []}'
]) s;
SELECT pg_temp.verdict('{"classify": [{"status": [202], "as": "pending"}], "poll": {"url": "/v1/{operation}", "path": "status", "success": "done"}}') AS pending;
SELECT s AS compensate, pg_temp.verdict(jsonb_build_object('compensate', s::jsonb)) FROM unnest(ARRAY[
	'"void"', '{}', '{"url": "/v1/things/{remote_id}/void"}', '{"method": "DELETE", "url": "/v1/things/{remote_id}"}', '{"url": "/v1/things/{remote_id}", "undo": 1}',
	'{"url": "/v1/things/{remote_id}", "body": {"template": {"Status": "VOIDED"}}, "already_done": {"status": [400], "body": {"contains": "VOIDED"}}, "classify": [{"status": [409], "as": "fatal"}], "uncertain_as": "retry", "else": {"url": "/v1/credit-notes", "body": {"template": {"id": "{remote_id}"}}}}',
	'{"url": "/v1/x", "already_done": {}}', '{"url": "/v1/x", "already_done": {"as": "success", "status": [200]}}', '{"url": "/v1/x", "classify": {}}', '{"url": "/v1/x", "uncertain_as": 1}',
	'{"url": "/v1/x", "else": "credit_notes"}', '{"url": "/v1/x", "else": {}}', '{"url": "/v1/x", "else": {"url": "/v1/y", "already_done": {"status": [200]}}}', '{"url": "/v1/x", "else": 1}'
]) s;

-- ---------- like another one ----------
SELECT saga.create_destination('pattern', 'http', '{"comment": "one of many", "url": "https://a.example/v1/invoices", "headers": {"X-A": "1", "X-B": "2"}, "idempotency": {"in": "none"},
	"limits": {"group": "a", "concurrency": 2}, "capture": {"remote_id": "id"}, "lookup": {"url": "/v1/invoices?number={number}", "found": "[0]", "delay_ms": 1000}}') > 0 AS made;
SELECT saga.create_destination('copy', 'http', '{"like": "pattern", "url": "https://a.example/v1/post", "headers": {"X-B": null, "X-C": "3"}, "uncertain_as": "retry", "capture": null, "lookup": {"delay_ms": 5}}') > 0 AS made;
SELECT jsonb_pretty(settings) FROM saga.destination WHERE name = 'copy';
-- it was a copy: what becomes of the pattern is not seen there
SELECT saga.alter_destination('pattern', '{"url": "https://b.example/"}');
SELECT settings->>'url' AS url, settings->'limits' AS limits FROM saga.destination WHERE name = 'copy';
SELECT saga.alter_destination('copy', '{"like": "copy", "lookup": null}');
SELECT settings ? 'lookup' AS lookup, settings->>'url' AS url FROM saga.destination WHERE name = 'copy';
SELECT s AS "like", pg_temp.verdict(s::jsonb) FROM unnest(ARRAY['{"like": 1}', '{"like": null}', '{"like": "copy", "lookup": {"delay_ms": 5}}', '{"like": "copy", "colour": "red"}']) s;
SELECT saga.create_destination('x', 'http', '{"like": "none"}');
CREATE ROLE settings_other;
GRANT USAGE ON SCHEMA saga TO settings_other;
GRANT EXECUTE ON FUNCTION saga.create_destination TO settings_other;
SET ROLE settings_other;
SELECT saga.create_destination('x', 'http', '{"like": "copy"}');
RESET ROLE;
SELECT saga.create_destination('x', 'sns', '{"like": "copy", "topic_arn": "arn:aws:sns:eu-central-1:1:t"}');

SELECT saga.drop_destination('copy'), saga.drop_destination('pattern');
SET pg_saga.keep_owners = off;
DROP OWNED BY settings_other;
DROP ROLE settings_other;
