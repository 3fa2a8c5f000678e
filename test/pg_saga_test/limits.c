/*
 * limits.c
 *		How much a destination may be asked: rates, holds and breakers, places,
 *		and how a publisher's requests are shared out.
 *
 * Times are milliseconds since an instant that is the same in all tests.
 */
#include "fake.h"

#include "fmgr.h"
#include "limit/hold_private.h"
#include "miscadmin.h"
#include "outbox/publisher_private.h"
#include "utils/timestamp.h"

#define START	(INT64CONST(820540800) * USECS_PER_SEC) /* 2026-01-01 */

static int64 dead_lease;
static int	max_transfers;

static bool
lease_is_dead(int64 lease)
{
	return lease == dead_lease;
}

int
saga_http_max(const SagaHttp *http)
{
	return max_transfers;
}

static TimestampTz
time_of(int64 ms)
{
	return START + ms * 1000;
}

static void
put_time(StringInfo out, const char *name, TimestampTz at)
{
	if (at == 0 || at == DT_NOEND)
		fake_put_text(out, name, NULL);
	else
		fake_put_int(out, name, (at - START) / 1000);
}

static void
read_limits(JsonbContainer *from, SagaLimits *limits)
{
	memset(limits, 0, sizeof(*limits));
	limits->concurrency = (int) fake_int(from, "concurrency", 10);
	limits->per_second = (int) fake_int(from, "per_second", 0);
	limits->per_minute = (int) fake_int(from, "per_minute", 0);
	limits->per_hour = (int) fake_int(from, "per_hour", 0);
	limits->per_day = (int) fake_int(from, "per_day", 0);
	limits->slow_start_s = (int) fake_int(from, "slow_start_s", 0);
	limits->breaker_window_s = (int) fake_int(from, "window_s", 0);
	limits->breaker_min_requests = (int) fake_int(from, "min_requests", 0);
	limits->breaker_share = fake_number(from, "share", 0);
	limits->breaker_open_s = (int) fake_int(from, "open_s", 0);
}

/* ---------- rates ---------- */

/* As if it were restarted at each row: what is kept is what is in the row. */
static void
ask_rate(const SagaLimits *limits, SagaRate *rate, int want, int use, TimestampTz now, StringInfo out)
{
	SagaGrant	grant = {.n = want};
	int			n;

	saga_rate_grant(limits, rate, now, &grant);
	n = Min(grant.n, use);
	if (n > 0 && grant.first != 0)
		saga_rate_use(limits, false, rate, &grant, n);
	fake_next(out);
	appendStringInfoChar(out, '{');
	put_time(out, "at", now);
	fake_put_int(out, "granted", grant.n);
	put_time(out, "first", grant.n > 0 ? grant.first : 0);
	fake_put_int(out, "step", grant.step_us / 1000);
	put_time(out, "until", grant.n > 0 ? 0 : grant.until);
	appendStringInfoChar(out, '}');
}

/* rate(limits jsonb, asks jsonb): asks is an array of {"at", "want", "use"} */
PG_FUNCTION_INFO_V1(saga_test_rate);

Datum
saga_test_rate(PG_FUNCTION_ARGS)
{
	Jsonb	   *asks = PG_GETARG_JSONB_P(1);
	SagaRate	rate = {0};
	SagaLimits	limits;
	StringInfoData out;

	read_limits(&PG_GETARG_JSONB_P(0)->root, &limits);
	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < JB_ROOT_COUNT(asks); i++)
	{
		JsonbContainer *ask = fake_object_at(&asks->root, i);
		int			want = (int) fake_int(ask, "want", 1);

		ask_rate(&limits, &rate, want, (int) fake_int(ask, "use", want), time_of(fake_int(ask, "at", 0)), &out);
	}
	appendStringInfoChar(&out, ']');
	PG_RETURN_DATUM(fake_result(&out));
}

/*
 * rate_starts(limits jsonb, n integer): when n requests start, in ms, of a publisher that asks as soon as it may and as
 * late as it may, in turn.
 */
PG_FUNCTION_INFO_V1(saga_test_rate_starts);

Datum
saga_test_rate_starts(PG_FUNCTION_ARGS)
{
	int			n = PG_GETARG_INT32(1);
	SagaRate	rate = {0};
	SagaLimits	limits;
	TimestampTz now = START;
	StringInfoData out;
	int			rounds = 0;

	read_limits(&PG_GETARG_JSONB_P(0)->root, &limits);
	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	while (n > 0)
	{
		SagaGrant	grant = {.n = Min(n, 7)};

		CHECK_FOR_INTERRUPTS();
		saga_rate_grant(&limits, &rate, now, &grant);
		if (grant.n == 0)
		{
			now = Max(grant.until, now + 1);
			continue;
		}
		saga_rate_use(&limits, false, &rate, &grant, grant.n);
		for (int i = 0; i < grant.n; i++)
		{
			TimestampTz at = Max(grant.first + i * grant.step_us, now) + (rounds % 2 == 0 ? 0 : grant.late_us);

			fake_next(&out);
			appendStringInfo(&out, "%.3f", (double) (at - START) / 1000);
		}
		n -= grant.n;
		rounds++;
	}
	appendStringInfoChar(&out, ']');
	PG_RETURN_DATUM(fake_result(&out));
}

/* ---------- holds ---------- */

static const char *
breaker_name(SagaBreaker breaker)
{
	return breaker == SAGA_BREAKER_CLOSED ? "closed" : breaker == SAGA_BREAKER_OPEN ? "open" : "half open";
}

static SagaProbe
probe_of(const char *name)
{
	if (name == NULL)
		return SAGA_PROBE_NONE;
	if (strcmp(name, "passed") == 0)
		return SAGA_PROBE_PASSED;
	return strcmp(name, "failed") == 0 ? SAGA_PROBE_FAILED : SAGA_PROBE_VOID;
}

static void
apply_step(SagaLimitRow *row, const SagaLimits *limits, JsonbContainer *step, TimestampTz now)
{
	SagaLimitNews news = {
		.successes = (int) fake_int(step, "successes", 0),
		.failures = (int) fake_int(step, "failures", 0),
		.auth = fake_bool(step, "auth"),
		.probe = probe_of(fake_text(step, "probe")),
		.since = now
	};

	if (fake_has(step, "pause_ms"))
		news.pause_until = now + fake_int(step, "pause_ms", 0) * 1000;
	(void) saga_hold_heed_clock(row, now);
	saga_hold_apply(row, limits, &news, now);
}

/*
 * hold(limits jsonb, steps jsonb): what became of requests, at "at".  "resume": a person says so.  "dead": whoever has the
 * probe is gone.  Who asks and may send a probe has it then.
 */
PG_FUNCTION_INFO_V1(saga_test_hold);

Datum
saga_test_hold(PG_FUNCTION_ARGS)
{
	Jsonb	   *steps = PG_GETARG_JSONB_P(1);
	SagaLimitRow row = {.counted_from = START};
	SagaLimits	limits;
	StringInfoData out;

	read_limits(&PG_GETARG_JSONB_P(0)->root, &limits);
	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < JB_ROOT_COUNT(steps); i++)
	{
		JsonbContainer *step = fake_object_at(&steps->root, i);
		TimestampTz now = time_of(fake_int(step, "at", 0));
		TimestampTz until;
		bool		probe = false;

		dead_lease = fake_bool(step, "dead") ? 1 : 0;
		if (fake_bool(step, "resume"))
			saga_hold_end(&row, now);
		else
			apply_step(&row, &limits, step, now);
		until = saga_hold_until(&row, now, lease_is_dead, &probe);
		fake_next(&out);
		appendStringInfoChar(&out, '{');
		put_time(&out, "at", now);
		fake_put_text(&out, "breaker", breaker_name(row.breaker));
		fake_put_text(&out, "reason", row.breaker_reason);
		fake_put_bool(&out, "probe", probe);
		put_time(&out, "held_until", until);
		put_time(&out, "slow_from", row.slow_from);
		appendStringInfoChar(&out, '}');
		if (!probe)
			continue;
		row.breaker = SAGA_BREAKER_HALF_OPEN;
		row.breaker_until = now + 30 * USECS_PER_SEC;
		row.probe_lease = 1;
	}
	appendStringInfoChar(&out, ']');
	PG_RETURN_DATUM(fake_result(&out));
}

/* ---------- places ---------- */

/* places(limits jsonb, at integer[]): how many there are, so long after an outage */
PG_FUNCTION_INFO_V1(saga_test_places);

Datum
saga_test_places(PG_FUNCTION_ARGS)
{
	Jsonb	   *ats = PG_GETARG_JSONB_P(1);
	SagaLimitGroup *group = palloc0(sizeof(SagaLimitGroup));
	StringInfoData out;

	/*
	 * without shared memory there is no start of the server that counts as an
	 * outage
	 */
	saga_shared = NULL;
	read_limits(&PG_GETARG_JSONB_P(0)->root, &group->limits);
	group->slow_from = START;
	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < JB_ROOT_COUNT(ats); i++)
	{
		fake_next(&out);
		appendStringInfo(&out, "%d", saga_place_count(group, time_of(fake_int_at(&ats->root, i))));
	}
	appendStringInfoChar(&out, ']');
	PG_RETURN_DATUM(fake_result(&out));
}

/* ---------- sharing out ---------- */

static SagaDestination *
make_destination(JsonbContainer *from)
{
	SagaDestination *destination = palloc0(sizeof(SagaDestination));

	destination->destination_id = (int32) fake_int(from, "destination", 1);
	destination->owner = (Oid) fake_int(from, "owner", 1);
	destination->limits.concurrency = (int) fake_int(from, "concurrency", 1000);
	destination->limits.group = fake_text(from, "group");
	destination->limit_key = destination->limits.group != NULL ? destination->limits.group :
		psprintf("test %d", destination->destination_id);
	return destination;
}

static SagaPublisher *
make_publisher(JsonbContainer *world)
{
	SagaPublisher *publisher = palloc0(sizeof(SagaPublisher));

	publisher->in_call = fake_bool(world, "in_call");
	publisher->last_served = (int32) fake_int(world, "last_served", 0);
	dlist_init(&publisher->returned);
	dlist_init(&publisher->claiming);
	dlist_init(&publisher->ready);
	dlist_init(&publisher->flying);
	dlist_init(&publisher->done);
	return publisher;
}

static void
make_flying(SagaPublisher *publisher, JsonbContainer *from)
{
	SagaDestination *destination = make_destination(from);

	for (int64 n = fake_int(from, "n", 1); n > 0; n--)
	{
		SagaSending *sending = palloc0(sizeof(SagaSending));

		sending->exchange.destination = destination;
		dlist_push_tail(&publisher->flying, &sending->node);
	}
}

static void
put_candidate(StringInfo out, const SagaCandidate *candidate)
{
	fake_next(out);
	appendStringInfoChar(out, '{');
	fake_put_int(out, "owner", candidate->destination->owner);
	fake_put_int(out, "destination", candidate->destination->destination_id);
	fake_put_int(out, "places", list_length(candidate->places));
	fake_put_bool(out, "crowded", candidate->crowded);
	fake_put_bool(out, "no_place", candidate->no_place);
	appendStringInfoChar(out, '}');
}

/*
 * share(world jsonb): "max" requests at once, "flying" of which are there already, and the "candidates" that all have more
 * to send than there is room for.
 */
PG_FUNCTION_INFO_V1(saga_test_share);

Datum
saga_test_share(PG_FUNCTION_ARGS)
{
	JsonbContainer *world = &PG_GETARG_JSONB_P(0)->root;
	SagaPublisher *publisher = make_publisher(world);
	SagaLimiter *limiter = saga_limiter_create(CurrentMemoryContext, lease_is_dead);
	List	   *candidates = NIL;
	JsonbContainer *array;
	ListCell   *lc;
	StringInfoData out;
	int			n;

	max_transfers = (int) fake_int(world, "max", 100);
	array = fake_array(world, "flying", &n);
	for (int i = 0; i < n; i++)
		make_flying(publisher, fake_object_at(array, i));
	array = fake_array(world, "candidates", &n);
	for (int i = 0; i < n; i++)
	{
		SagaCandidate *candidate = palloc0(sizeof(SagaCandidate));

		candidate->destination = make_destination(fake_object_at(array, i));
		candidate->group = saga_limiter_group(limiter, candidate->destination);
		candidates = lappend(candidates, candidate);
	}
	saga_share_places(publisher, candidates);
	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	foreach(lc, candidates)
		put_candidate(&out, lfirst(lc));
	appendStringInfoChar(&out, ']');
	saga_limiter_destroy(limiter);
	PG_RETURN_DATUM(fake_result(&out));
}

/*
 * memory(world jsonb): of "limit" bytes for long requests each of the "asks", one after the other, has its "bytes" or does
 * not, and keeps them.
 */
PG_FUNCTION_INFO_V1(saga_test_memory);

Datum
saga_test_memory(PG_FUNCTION_ARGS)
{
	JsonbContainer *world = &PG_GETARG_JSONB_P(0)->root;
	SagaPublisher *publisher = make_publisher(world);
	StringInfoData out;
	int			n;
	JsonbContainer *asks = fake_array(world, "asks", &n);

	publisher->request_budget = saga_budget_create(CurrentMemoryContext);
	publisher->request_budget->limit = fake_int(world, "limit", 90);
	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < n; i++)
	{
		JsonbContainer *ask = fake_object_at(asks, i);
		SagaSending *sending = palloc0(sizeof(SagaSending));
		size_t		bytes = fake_int(ask, "bytes", 1);
		SagaRoom	room;
		bool		has;

		sending->exchange.destination = make_destination(ask);
		saga_room_look(publisher, sending->exchange.destination, &room);
		has = saga_room_has(&room, 0, bytes);
		fake_next(&out);
		appendStringInfoChar(&out, '{');
		fake_put_int(&out, "owner", sending->exchange.destination->owner);
		fake_put_int(&out, "destination", sending->exchange.destination->destination_id);
		fake_put_int(&out, "had", room.of_destination);
		fake_put_int(&out, "others", room.others);
		fake_put_int(&out, "asked", bytes);
		fake_put_bool(&out, "has", has);
		fake_put_int(&out, "used", publisher->request_budget->used);
		appendStringInfoChar(&out, '}');
		if (!has)
			continue;
		sending->plan.account = room.account;
		sending->plan.bytes = bytes;
		saga_account_take(room.account, bytes);
		dlist_push_tail(i % 2 == 0 ? &publisher->flying : &publisher->done, &sending->node);
	}
	appendStringInfoChar(&out, ']');
	PG_RETURN_DATUM(fake_result(&out));
}
