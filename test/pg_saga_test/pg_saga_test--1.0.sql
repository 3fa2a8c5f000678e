\echo Use "CREATE EXTENSION pg_saga_test" to load this file. \quit
-- For tests alone; nobody but a superuser may call any of it.
CREATE FUNCTION mark_world(slots int DEFAULT 8, mutant int DEFAULT 0) RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_mark_world';
CREATE FUNCTION note(what text, queue int, id bigint) RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_note';
CREATE FUNCTION claim_begin(claim int, queue int) RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_claim_begin';
CREATE FUNCTION claim_end(claim int, last bigint) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'saga_test_claim_end';
CREATE FUNCTION slot(queue int) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_slot';
CREATE FUNCTION make(queue int) RETURNS boolean LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_make';
CREATE FUNCTION clear_ready(queue int) RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_clear_ready';
CREATE FUNCTION forget(queue int) RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_forget';
CREATE FUNCTION mark(queue int) RETURNS bigint LANGUAGE sql AS $$SELECT (saga_test.slot(queue)->'mark')::bigint$$;

CREATE FUNCTION pool_turn(world jsonb) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_pool_turn';
CREATE FUNCTION wake(world jsonb) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_wake';

CREATE FUNCTION rate_json(limits jsonb, asks jsonb) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_rate';
CREATE FUNCTION rate(limits jsonb, asks jsonb) RETURNS TABLE (at int, granted int, first int, step int, until int) LANGUAGE sql
AS $$SELECT * FROM jsonb_to_recordset(saga_test.rate_json(limits, asks)) AS r(at int, granted int, first int, step int, until int)$$;
CREATE FUNCTION rate_starts_json(limits jsonb, n int) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_rate_starts';
CREATE FUNCTION rate_starts(limits jsonb, n int) RETURNS SETOF numeric LANGUAGE sql
AS $$SELECT value::numeric FROM jsonb_array_elements_text(saga_test.rate_starts_json(limits, n))$$;

CREATE FUNCTION hold_json(limits jsonb, steps jsonb) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_hold';
CREATE FUNCTION hold(limits jsonb, steps jsonb)
RETURNS TABLE (at int, breaker text, reason text, probe boolean, held_until int, slow_from int) LANGUAGE sql
AS $$SELECT * FROM jsonb_to_recordset(saga_test.hold_json(limits, steps))
	AS r(at int, breaker text, reason text, probe boolean, held_until int, slow_from int)$$;

CREATE FUNCTION places(limits jsonb, at jsonb) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_places';

CREATE FUNCTION share_json(world jsonb) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_share';
CREATE FUNCTION share(world jsonb) RETURNS TABLE (owner int, destination int, places int, crowded boolean, no_place boolean) LANGUAGE sql
AS $$SELECT * FROM jsonb_to_recordset(saga_test.share_json(world))
	AS r(owner int, destination int, places int, crowded boolean, no_place boolean)$$;

CREATE FUNCTION memory_json(world jsonb) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_memory';
CREATE FUNCTION memory(world jsonb) RETURNS TABLE (owner int, destination int, had int, others int, asked int, has boolean, used int) LANGUAGE sql
AS $$SELECT * FROM jsonb_to_recordset(saga_test.memory_json(world))
	AS r(owner int, destination int, had int, others int, asked int, has boolean, used int)$$;

CREATE FUNCTION message_json(settings jsonb, message jsonb, answers jsonb) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_message';
CREATE FUNCTION message(settings jsonb, message jsonb, answers jsonb)
RETURNS TABLE (at int, asked text, class text, verdict text, next text, delay int, uncertain boolean, epoch int, error text, cause text)
LANGUAGE sql
AS $$SELECT * FROM jsonb_to_recordset(saga_test.message_json(settings, message, answers))
	AS r(at int, asked text, class text, verdict text, next text, delay int, uncertain boolean, epoch int, error text, cause text)$$;

CREATE FUNCTION run_json(definition jsonb, input jsonb, events jsonb, thaw boolean, fates jsonb) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_run';
CREATE FUNCTION run(definition jsonb, events jsonb, fates jsonb DEFAULT '{}', thaw boolean DEFAULT true) RETURNS TABLE (at int, what text, more jsonb)
LANGUAGE sql
AS $$SELECT * FROM jsonb_to_recordset(saga_test.run_json(definition, '{}', events, thaw, fates)) AS r(at int, what text, more jsonb)$$;

CREATE FUNCTION url(url text, templates boolean DEFAULT false) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_url';
CREATE FUNCTION url_rest(base text, "full" text) RETURNS text LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_url_rest';
CREATE FUNCTION url_encode(part text) RETURNS text LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_url_encode';
CREATE FUNCTION header(head text, name text) RETURNS text LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_header';
CREATE FUNCTION header_fault(name text, value text DEFAULT 'x') RETURNS text LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_header_fault';
CREATE FUNCTION says_json(head text) RETURNS boolean LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_says_json';
CREATE FUNCTION retry_after(settings jsonb, head text, body text DEFAULT '', status int DEFAULT 429) RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_retry_after';
CREATE FUNCTION guard(allowed text[], "only" boolean, ip text) RETURNS boolean LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_guard';
CREATE FUNCTION redact(data text, VARIADIC secrets text[]) RETURNS text LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_redact';
CREATE FUNCTION secret_references(data text) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_references';
CREATE FUNCTION sqs_messages(answer text, unwrap boolean DEFAULT false) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_sqs_messages';
CREATE FUNCTION aws_answer(service text, answer text) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_aws_answer';
CREATE FUNCTION sqs_request(action text, url text, VARIADIC receipts text[]) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_sqs_request';

CREATE FUNCTION rebuild(value jsonb) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_rebuild';
CREATE FUNCTION compare(a jsonb, b jsonb) RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_compare';
CREATE FUNCTION value_text(value jsonb, java boolean DEFAULT false, "limit" int DEFAULT 1000000) RETURNS text LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_value_text';
CREATE FUNCTION element("array" jsonb, i bigint) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_value_element';
CREATE FUNCTION number_length(data text) RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_number_length';
CREATE FUNCTION seconds_of(data text) RETURNS text LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_timestamp';
CREATE FUNCTION backoff(first bigint, failures int, most bigint) RETURNS bigint LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_backoff';
CREATE FUNCTION uuid_previous(id uuid) RETURNS uuid LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_uuid_previous';
CREATE FUNCTION uuid_time(id uuid) RETURNS timestamptz LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_uuid_time';
CREATE FUNCTION uuid_parse(data text) RETURNS text LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_uuid_parse';
CREATE FUNCTION foreign_text(data bytea, most int DEFAULT 1000000) RETURNS text LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_foreign_text';
CREATE FUNCTION foreign_json(data bytea, lenient boolean DEFAULT false) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_foreign_json';
CREATE FUNCTION charset(content_type text, data bytea) RETURNS bytea LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_charset';

CREATE FUNCTION jsonata(call jsonb) RETURNS jsonb LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_jsonata';
CREATE FUNCTION jsonata_eval(expression text, document jsonb DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE c AS 'MODULE_PATHNAME', 'saga_test_jsonata_eval';

CREATE TABLE thing (id int PRIMARY KEY);
CREATE FUNCTION cache_get(cache text, id int) RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_cache_get';
CREATE FUNCTION cache_knows(cache text, id int) RETURNS boolean LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_cache_knows';
CREATE FUNCTION cache_load(id int) RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_cache_load';
CREATE FUNCTION cache_pin(id int) RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_cache_pin';
CREATE FUNCTION cache_unpin() RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_cache_unpin';
CREATE FUNCTION cache_change() RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_cache_change';
CREATE FUNCTION cache_state() RETURNS text LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_cache_state';
CREATE FUNCTION cache_free(of_first boolean) RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'saga_test_cache_free';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA saga_test FROM PUBLIC;
