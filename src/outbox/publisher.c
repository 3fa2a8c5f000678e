/*
 * publisher.c
 *		The publisher: claims, commits, sends, records.
 *
 * A sending goes from list to list: claiming (its transaction has not
 * committed), ready, flying, done (to be recorded), gone.  Whatever raises
 * leaves each of them in one list, so the next turn goes on from there.
 *
 * The same code runs in a publisher process, in transactions of its own, and
 * in CALL saga.publish(), in those of the caller's session; the loop of both is
 * loop/loop.h's, and what it calls is at the end.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/guc.h"
#include "endpoint/auth.h"
#include "miscadmin.h"
#include "outbox/publisher_private.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Requests in flight, of one publisher: 192 of one owner, 128 of one destination (pick.c). */
#define SAGA_MAX_IN_FLIGHT	288

/* ---------- ending ---------- */

/* What is in flight stays under a lease that nobody holds: the next publisher sends it again. */
void
saga_publisher_destroy(SagaPublisher *publisher)
{
	saga_http_destroy(publisher->loop.http);
	saga_auth_end();
	saga_sendings_free(&publisher->returned);
	saga_sendings_free(&publisher->claiming);
	saga_sendings_free(&publisher->ready);
	saga_sendings_free(&publisher->flying);
	saga_sendings_free(&publisher->done);
	if (publisher->claiming_from != NULL)
		saga_cache_unpin(publisher->claiming_from);
	saga_limiter_destroy(publisher->limiter);
	if (publisher->lease_held)
		saga_lease_drop(publisher->lease);
	MemoryContextDelete(publisher->loop.context);
	pfree(publisher);
}

/* ---------- sending ---------- */

/* SagaHttpUser.finished of a sending */
static void
sending_finished(SagaHttpUser *user, const SagaHttpAnswer *answer)
{
	SagaSending *sending = (SagaSending *) user;

	if (answer->transport == SAGA_TRANSPORT_BUSY)
	{
		dlist_delete(&sending->node);
		dlist_push_tail(sending->ready, &sending->node);
		sending->exchange.started_at = 0;
		sending->plan.put_back = true;
		return;
	}

	/*
	 * first: if keeping the answer raises, how it went is recorded as
	 * uncertain
	 */
	dlist_delete(&sending->node);
	dlist_push_tail(sending->done, &sending->node);
	saga_exchange_answered(&sending->exchange, answer);
}

/* On one that was kept there may be bytes that belong to no answer. */
static bool
needs_fresh_connection(const SagaSending *sending)
{
	int			i;

	for (i = 0; i < sending->ndeliveries; i++)
	{
		if (sending->deliveries[i]->uncertain || sending->deliveries[i]->doubted)
			return true;
	}
	return false;
}

/* False: it has to wait, for a token, or goes back. */
static bool
start_sending(SagaPublisher *publisher, SagaSending *sending)
{
	SagaReadiness prepared = SAGA_READY_NEVER;
	bool		started = false;
	SagaDestination *destination = sending->exchange.destination;
	const SagaRequestSpec *spec = sending->exchange.spec;	/* NULL: of sns */
	SagaHttpRequest *http = &sending->exchange.http;
	char	   *error = NULL;
	MemoryContext old = MemoryContextSwitchTo(saga_exchange_begin_prepare(&sending->exchange));

	sending->exchange.started_at = GetCurrentTimestamp();
	http->url = sending->exchange.url;
	http->guard = &destination->guard;
	http->timeout_ms = spec ? spec->timeout_ms : destination->timeout_ms;
	http->connect_timeout_ms = spec ? spec->connect_timeout_ms : destination->connect_timeout_ms;
	http->max_response_bytes = saga_answer_limit(destination, spec);
	http->owner = destination->owner;
	http->account = saga_budget_account(publisher->loop.budget, destination->owner);
	http->ca_file = destination->ca_file;
	http->fresh = needs_fresh_connection(sending);
	if (sending->deliveries[0]->part.error != NULL)
		sending->exchange.ended_at = sending->exchange.started_at;	/* found wrong when it was composed */
	else
	{
		prepared = saga_exchange_prepare(&sending->exchange, publisher->loop.http, &error);
		if (prepared == SAGA_READY_NOW && sending->plan.later)
		{
			/* the time that it was given has passed */
			sending->plan.later = false;
			sending->plan.start_at = sending->plan.start_by = 0;
			if (saga_limit_has_rate(sending->plan.limit))
				prepared = SAGA_READY_LATER;
		}
		else
			sending->plan.later = prepared == SAGA_READY_LATER;
		sending->plan.put_back = prepared == SAGA_READY_BUSY;
		if (prepared == SAGA_READY_NOW)
		{
			sending->user.finished = sending_finished;
			sending->done = &publisher->done;
			sending->ready = &publisher->ready;
			started = saga_http_start(publisher->loop.http, http, &sending->user);
			if (!started)
				error = "the request could not be started";
		}
		if (!started && prepared != SAGA_READY_LATER && prepared != SAGA_READY_BUSY)
			saga_exchange_not_sent(&sending->exchange, error);
	}
	MemoryContextSwitchTo(old);
	if (prepared == SAGA_READY_LATER || prepared == SAGA_READY_BUSY)
	{
		sending->exchange.started_at = 0;
		return false;
	}
	dlist_delete(&sending->node);
	dlist_push_tail(started ? &publisher->flying : &publisher->done, &sending->node);
	return true;
}

/* Returns how many are not ready any more. */
static int
start_ready(SagaPublisher *publisher)
{
	dlist_mutable_iter iter;
	int			n = 0;

	dlist_foreach_modify(iter, &publisher->ready)
	{
		SagaSending *sending = dlist_container(SagaSending, node, iter.cur);

		if (saga_publisher_may_start(sending, GetCurrentTimestamp()) && start_sending(publisher, sending))
			n++;
	}
	return n;
}

/* ---------- telling the other publishers ---------- */

int
saga_publisher_report(SagaPublisher *publisher)
{
	saga_publisher_begin(publisher);
	saga_limit_report(publisher->limiter);
	saga_publisher_commit(publisher);
	saga_limit_reported(publisher->limiter);
	return 1;
}

/* ---------- tokens ---------- */

static bool
has_spare_room(const void *arg, Oid owner)
{
	return saga_outbox_owner_has_spare_room(arg, owner);
}

#define SAGA_TOKEN_PURGE_MS	60000

/* The coordinator purges what nobody reads any more (src/worker/retention.c), where there is one. */
static void
purge_tokens(void)
{
	static TimestampTz purge_at = 0;
	TimestampTz now = saga_monotonic_now();

	if (saga_shared != NULL || purge_at > now)
		return;
	purge_at = TimestampTzPlusMilliseconds(now, SAGA_TOKEN_PURGE_MS);
	(void) saga_oauth_purge();
}

static int
work_on_auth(SagaPublisher *publisher)
{
	const SagaAuthRoom room = {has_spare_room, publisher};

	saga_publisher_begin(publisher);
	saga_auth_work(&room);
	purge_tokens();
	saga_publisher_commit(publisher);
	saga_auth_worked(publisher->loop.http);
	return 1;
}

/* ---------- turns ---------- */

static void
begin_turn(SagaLoop *loop)
{
	SagaPublisher *publisher = (SagaPublisher *) loop;

	saga_publisher_heed_clock(publisher);
	if (publisher->claim_open)
		saga_publisher_undo_claim(publisher);
	publisher->request_budget->limit = (size_t) saga_request_memory_kb * 1024;
}

static int
work(SagaLoop *loop)
{
	SagaPublisher *publisher = (SagaPublisher *) loop;
	const SagaAuthRoom room = {has_spare_room, publisher};
	int			done = 0;

	if (saga_auth_has_work(&room))
		done += work_on_auth(publisher);
	if (!dlist_is_empty(&publisher->done))
		done += saga_publisher_record(publisher);
	/* before anything is claimed: what must not be sent any more */
	if (saga_limiter_report_at(publisher->limiter) <= GetCurrentTimestamp())
		done += saga_publisher_report(publisher);
	if (!publisher->in_call && publisher->look_at <= GetCurrentTimestamp())
		publisher->look_everywhere = true;
	if (!publisher->leaving && saga_http_active(loop->http) < saga_http_max(loop->http))
		done += saga_publisher_claim(publisher);
	if (!dlist_is_empty(&publisher->ready))
	{
		done += saga_publisher_compose(publisher);
		done += start_ready(publisher);
	}
	return done;
}

static bool
has_room(SagaLoop *loop)
{
	SagaPublisher *publisher = (SagaPublisher *) loop;

	return !publisher->leaving && saga_publisher_count(publisher) < saga_http_max(loop->http);
}

static long
shorten_wait(SagaLoop *loop, long timeout_ms)
{
	SagaPublisher *publisher = (SagaPublisher *) loop;
	long		auth_ms = saga_auth_timeout_ms();

	Assert(publisher->in_call || !IsTransactionState());
	if (saga_my_proc != NULL && !publisher->leaving && saga_publisher_has_new_work(publisher))
		return 0;
	if (auth_ms >= 0)
		timeout_ms = Min(timeout_ms, auth_ms);
	if (!dlist_is_empty(&publisher->done))
		timeout_ms = Min(timeout_ms, SAGA_RECORD_RETRY_MS);
	return saga_loop_until(GetCurrentTimestamp(), saga_publisher_next_work(publisher), timeout_ms);
}

void
saga_publisher_turn(SagaPublisher *publisher, long timeout_ms)
{
	saga_loop_turn(&publisher->loop, timeout_ms);
	/* while an answer is awaited the process is not idle */
	if (saga_my_proc != NULL && saga_publisher_has_requests(publisher))
		pg_atomic_write_u64(&saga_my_proc->last_active, (uint64) GetCurrentTimestamp());
}

/* Also when a look is under way, which has passed that part. */
void
saga_publisher_look_for_lost(SagaPublisher *publisher)
{
	publisher->look_everywhere = true;
	publisher->looked_to = PG_INT32_MIN;
}

bool
saga_publisher_has_requests(const SagaPublisher *publisher)
{
	return !dlist_is_empty(unconstify(dlist_head *, &publisher->flying)) ||
		!dlist_is_empty(unconstify(dlist_head *, &publisher->done));
}

/* It may not leave: what it waits for would be nobody's. */
bool
saga_publisher_is_waiting(const SagaPublisher *publisher)
{
	return !dlist_is_empty(&publisher->limiter->waits) || saga_limiter_report_at(publisher->limiter) != DT_NOEND ||
		saga_auth_is_busy();
}

/* ---------- making ---------- */

static const SagaLoopVerbs verbs = {"publishing", begin_turn, work, has_room, shorten_wait};

SagaPublisher *
saga_publisher_make(MemoryContext context, int max_in_flight)
{
	SagaPublisher *publisher = (SagaPublisher *) saga_loop_create(&verbs, sizeof(SagaPublisher), context, max_in_flight);

	publisher->limiter = saga_limiter_create(publisher->loop.context, saga_lease_is_dead);
	dlist_init(&publisher->returned);
	dlist_init(&publisher->claiming);
	dlist_init(&publisher->ready);
	dlist_init(&publisher->flying);
	dlist_init(&publisher->done);
	publisher->look_everywhere = true;
	publisher->looked_to = PG_INT32_MIN;
	publisher->request_budget = saga_budget_create(publisher->loop.context);
	return publisher;
}

SagaPublisher *
saga_publisher_create(MemoryContext context)
{
	return saga_publisher_make(context, SAGA_MAX_IN_FLIGHT);
}
