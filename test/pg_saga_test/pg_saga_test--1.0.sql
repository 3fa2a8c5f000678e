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
