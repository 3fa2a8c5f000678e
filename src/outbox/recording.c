/*
 * recording.c
 *		The publisher's turn to write down how requests went: which ones, in
 *		which order, how many in one transaction, and what happens to one that
 *		cannot be written.
 *
 * A publisher serves all owners.  So owners take turns; a transaction is
 * committed after a short time, and the network is served before the next
 * one; and what raises costs nobody but its own message.
 */
#include "postgres.h"

#include "endpoint/auth.h"
#include "miscadmin.h"
#include "outbox/publisher_private.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* One transaction records so many at most, and begins no other after this time. */
#define SAGA_RECORD_BATCH	100
#define SAGA_RECORD_SLICE_MS 20

/* Bytes of an answer that has a transaction of its own. */
#define SAGA_LONG_ANSWER	65536

/* One that raised: so often as it is, then without its answer; then it is left to its lease. */
#define SAGA_RECORD_WHOLE_TRIES 2
#define SAGA_RECORD_TRIES	5

/* After one raised, each is recorded in a subtransaction, which costs more, for this time. */
#define SAGA_RECORD_GUARD_MS 60000

/* ---------- one sending ---------- */

static void
count_done(const SagaSending *sending)
{
	int			i;

	if (saga_my_proc == NULL)
		return;
	for (i = 0; i < sending->ndeliveries; i++)
		pg_atomic_fetch_add_u64(sending->deliveries[i]->part.class == SAGA_CLASS_SUCCESS ?
								&saga_my_proc->done : &saga_my_proc->errors, 1);
	pg_atomic_write_u64(&saga_my_proc->last_active, (uint64) GetCurrentTimestamp());
}

static void
try_again_later(SagaSending *sending)
{
	sending->recorded = false;
	sending->record_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAGA_RECORD_RETRY_MS);
}

/*
 * After the commit.  A delivery whose record was locked stays, and is
 * recorded when the lock is gone.
 */
static void
settle_sending(SagaSending *sending)
{
	int			i;

	if (sending->nunrecorded > 0)
	{
		memcpy(sending->deliveries, sending->unrecorded,
			   sizeof(SagaDelivery *) * sending->nunrecorded);
		sending->ndeliveries = sending->exchange.nparts = sending->nunrecorded;
		for (i = 0; i < sending->ndeliveries; i++)
			sending->exchange.parts[i] = &sending->deliveries[i]->part;
		try_again_later(sending);
		return;
	}
	count_done(sending);
	dlist_delete(&sending->node);
	saga_sending_free(sending);
}

/*
 * One that cannot be written, for whatever reason, must not hold back the
 * others for ever: it is left to its lease, and counts as lost then.
 */
static void
give_up_on(SagaSending *sending)
{
	ereport(LOG,
			(errmsg("could not record how outbox message %s was sent",
					saga_uuid_to_cstring(&sending->deliveries[0]->part.outbox_id))));
	dlist_delete(&sending->node);
	saga_sending_free(sending);
}

/*
 * Refused for its credentials, and there are others: it is sent once more,
 * which is the same attempt.
 */
static bool
is_worth_another_try(const SagaPublisher *publisher, SagaSending *sending)
{
	if (publisher->ending || publisher->leaving || sending->deliveries[0]->part.class != SAGA_CLASS_AUTH || !sending->exchange.answered || sending->refused_before ||
		!saga_auth_refused(&sending->exchange))
		return false;
	sending->refused_before = true;
	return true;
}

/* The server is in trouble, or cannot be reached; a busy one says so. */
static bool
is_failure(const SagaPart *part)
{
	if (part->class != SAGA_CLASS_RETRY && part->class != SAGA_CLASS_UNCERTAIN)
		return false;
	/* a look-up that finds nothing is one that works */
	if (part->absent)
		return false;
	return part->status < 400 || part->status >= 500 || part->status == 408;
}

static int64
pause_ms(const SagaDestination *destination, const SagaPart *part)
{
	if (part->class != SAGA_CLASS_RETRY || (part->status != 429 && part->status != 503))
		return 0;
	return Min(part->retry_after_ms, (int64) destination->retry_after.max_s * 1000);
}

/* The one of several that says most about the server. */
static const SagaPart *
choose_part(const SagaExchange *exchange)
{
	int			i;

	for (i = 0; i < exchange->nparts; i++)
	{
		if (exchange->parts[i]->class == SAGA_CLASS_SUCCESS)
			return exchange->parts[i];
	}
	return exchange->parts[0];
}

static void
tell_outcome(SagaSending *sending)
{
	const SagaPart *part = choose_part(&sending->exchange);
	SagaLimitOutcome outcome = {
		.at = sending->exchange.ended_at,
		.failed = is_failure(part),
		.auth = part->class == SAGA_CLASS_AUTH,
		.pause_ms = pause_ms(sending->exchange.destination, part),
		.error = part->error,
		.cause = part->cause
	};

	saga_limit_tell(sending->plan.limit, sending->plan.probe, &outcome);
	sending->plan.probe = false;
}

/*
 * Once, also when recording it has to be tried again.  Of what was not sent a
 * secret that cannot be read is a matter of the destination, anything else one
 * of the message.
 */
static void
tell_limits(SagaSending *sending)
{
	if (sending->plan.told)
		return;
	sending->plan.told = true;
	if (sending->exchange.answered || sending->deliveries[0]->part.class == SAGA_CLASS_AUTH)
		tell_outcome(sending);
	else if (sending->plan.probe)
	{
		saga_limit_probe_void(sending->plan.limit, sending->exchange.ended_at);
		sending->plan.probe = false;
	}
	saga_sending_leave(sending);
}

static void
send_again(SagaPublisher *publisher, SagaSending *sending)
{
	int			i;

	sending->exchange.answered = sending->exchange.classified = false;
	for (i = 0; i < sending->ndeliveries; i++)
		saga_endpoint_part_set_outcome(&sending->deliveries[i]->part, SAGA_CLASS_AUTH, 0, NULL, NULL);
	sending->plan.start_at = sending->plan.start_by = 0;
	dlist_delete(&sending->node);
	dlist_push_tail(&publisher->ready, &sending->node);
}

static void
classify(void *arg)
{
	SagaSending *sending = arg;

	saga_exchange_classify(&sending->exchange);
}

/* What was decided before it turned out that the answer cannot be kept counts no more. */
static void
set_unreadable(SagaSending *sending, const char *why)
{
	int			i;

	for (i = 0; i < sending->ndeliveries; i++)
	{
		if (sending->deliveries[i]->decided)
			*sending->deliveries[i] = *sending->deliveries[i]->before;
	}
	saga_exchange_unreadable(&sending->exchange, why);
}

/* What an answer means must not depend on what is written: so it has a subtransaction of its own, which writes nothing. */
static void
look_at_answer(SagaSending *sending)
{
	ErrorData  *error;

	if (!sending->exchange.answered || sending->exchange.classified)
		return;
	error = saga_common_attempt(classify, sending);
	if (error != NULL)
		set_unreadable(sending, error->message);
}

static void
record_one(SagaPublisher *publisher, SagaSending *sending)
{
	look_at_answer(sending);
	if (is_worth_another_try(publisher, sending))
	{
		send_again(publisher, sending);
		return;
	}
	sending->recorded = true;
	tell_limits(sending);
	(void) saga_outbox_record_sending(sending, publisher->lease);
}

typedef struct Recording
{
	SagaPublisher *publisher;
	SagaSending *sending;
} Recording;

static void
record_in_attempt(void *arg)
{
	Recording  *recording = arg;

	record_one(recording->publisher, recording->sending);
}

/* Trouble that passes is not the answer's. */
static bool
may_pass(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_TRANSACTION_ROLLBACK ||
		category == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
}

/* If it raises, the others of the transaction are recorded all the same. */
static void
record_guarded(SagaPublisher *publisher, SagaSending *sending)
{
	Recording	recording = {publisher, sending};
	ErrorData  *error = saga_common_attempt(record_in_attempt, &recording);

	if (error == NULL)
		return;
	ereport(LOG,
			(errmsg("could not record how outbox message %s was sent: %s",
					saga_uuid_to_cstring(&sending->deliveries[0]->part.outbox_id), error->message)));
	if (++sending->record_tries >= SAGA_RECORD_WHOLE_TRIES && sending->exchange.answered && !may_pass(error->sqlerrcode))
		set_unreadable(sending, error->message);
	try_again_later(sending);
}

/* ---------- which ones ---------- */

typedef struct Turn
{
	SagaSending *sending;
	Oid			owner;
	int			rank;			/* among those of its owner */
	bool		later;			/* its owner had his turn before the last one */
	int			position;
} Turn;

static int
compare_turns(const void *a, const void *b)
{
	const Turn *x = a;
	const Turn *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->later != y->later)
		return x->later ? 1 : -1;
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return x->position - y->position;
}

/* What is due, one of each owner after the other, beginning behind the owner who was last. */
static Turn *
take_turns(const SagaPublisher *publisher, TimestampTz now, int *n)
{
	Turn	   *turns;
	dlist_iter	iter;
	int			size = 0;
	int			i;

	*n = 0;
	dlist_foreach(iter, unconstify(dlist_head *, &publisher->done))
		size++;
	turns = palloc(sizeof(Turn) * Max(size, 1));
	dlist_foreach(iter, unconstify(dlist_head *, &publisher->done))
	{
		SagaSending *sending = dlist_container(SagaSending, node, iter.cur);
		Turn	   *turn = &turns[*n];

		if (sending->record_at > now)
			continue;
		turn->sending = sending;
		turn->owner = sending->exchange.destination->owner;
		turn->later = turn->owner <= publisher->last_recorded;
		turn->position = (*n)++;
		turn->rank = 0;
		for (i = 0; i < turn->position; i++)
			turn->rank += turns[i].owner == turn->owner;
	}
	qsort(turns, *n, sizeof(Turn), compare_turns);
	return turns;
}

/* ---------- the recording transaction ---------- */

/* While it is looked at the process may be told to end, which undoes what is in the same transaction. */
static bool
is_long_work(const SagaSending *sending)
{
	return sending->exchange.answered && !sending->exchange.classified && sending->exchange.answer_len > SAGA_LONG_ANSWER;
}

/* Returns how many had their turn. */
static int
record_turns(SagaPublisher *publisher, const Turn *turns, int n, bool guarded)
{
	TimestampTz begun_at = saga_monotonic_now();
	int			i;

	for (i = 0; i < n; i++)
	{
		if (i > 0 && is_long_work(turns[i].sending))
			return i;
		if (guarded)
			record_guarded(publisher, turns[i].sending);
		else
			record_one(publisher, turns[i].sending);
		publisher->last_recorded = turns[i].owner;
		MemoryContextReset(publisher->loop.work);
		/* who is told to end commits first what is done */
		if (ProcDiePending || QueryCancelPending ||
			TimestampDifferenceExceeds(begun_at, saga_monotonic_now(), SAGA_RECORD_SLICE_MS))
			return i + 1;
	}
	return n;
}

int
saga_publisher_record(SagaPublisher *publisher)
{
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext old = MemoryContextSwitchTo(publisher->loop.context);
	bool		guarded;
	Turn	   *turns;
	int			n;
	int			i;

	if (publisher->turns != NULL)
		pfree(publisher->turns);	/* the last time raised */
	publisher->turns = turns = take_turns(publisher, now, &n);
	MemoryContextSwitchTo(old);
	if (n == 0)
		return 0;
	n = Min(n, SAGA_RECORD_BATCH);

	/*
	 * not one of them, but the transaction: one at a time finds the culprit,
	 * if there is one
	 */
	if (publisher->record_raised > 1)
		n = 1;
	if (publisher->record_raised > 1 && ++turns[0].sending->record_tries > SAGA_RECORD_TRIES)
	{
		give_up_on(turns[0].sending);
		publisher->record_raised = 1;
		return 1;
	}
	if (publisher->record_raised > 0)
		publisher->guard_until = TimestampTzPlusMilliseconds(now, SAGA_RECORD_GUARD_MS);
	guarded = publisher->in_call || publisher->guard_until > now;
	publisher->record_raised++;
	/* what was recorded in a transaction that aborted was not */
	for (i = 0; i < n; i++)
		turns[i].sending->recorded = false;
	saga_publisher_begin(publisher);
	n = record_turns(publisher, turns, n, guarded);
	saga_publisher_commit(publisher);
	publisher->record_raised = 0;

	for (i = 0; i < n; i++)
	{
		SagaSending *sending = turns[i].sending;

		if (sending->recorded)
			settle_sending(sending);
		else if (sending->record_tries > SAGA_RECORD_TRIES)
			give_up_on(sending);
	}
	if (publisher->in_call)
		publisher->look_everywhere = true;	/* the next of an ordering key */
	return n;
}
