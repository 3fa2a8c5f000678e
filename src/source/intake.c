/*
 * intake.c
 *		One source as it is being served: what it may receive, what it has
 *		received and commits, what is deleted then.
 *
 * A receive that has brought messages waits in its source's list until they
 * are committed; then their receipts go into requests that delete them.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "net/secret.h"
#include "source/receiver_private.h"
#include "storage/lockdefs.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define ACCEPT_RECEIVES		10	/* answers for one commit */
#define ACCEPT_BYTES		1000000 /* of messages, unless one answer has more */
#define ACCEPT_TRIES		20	/* then they are left to come again */
#define DELETE_TRIES		3
#define IDLE_RECEIVE_MS		1000	/* between two receives that bring nothing */
#define LOOK_MS				1000	/* between two looks at the target */
#define PROBLEM_LOOK_MS		5000
#define BACKOFF_MIN_MS		1000
#define BACKOFF_MAX_MS		60000
#define ACCEPT_BACKOFF_MS	200
#define ACCEPT_BACKOFF_MAX_MS 30000

static void
count_error(void)
{
	if (saga_my_proc != NULL)
		pg_atomic_fetch_add_u64(&saga_my_proc->errors, 1);
}

static TimestampTz
after_ms(int64 ms)
{
	return TimestampTzPlusMilliseconds(saga_monotonic_now(), ms);
}

/* Doubled each time, and anything from half of it to the whole. */
static int64
backoff_ms(int failures, int64 min_ms, int64 max_ms)
{
	int64		delay = Min(max_ms, min_ms << Min(failures, 16));
	uint32		random = 0;

	if (!pg_strong_random(&random, sizeof(random)))
		return delay;
	return delay / 2 + (int64) (delay / 2 * (random / (double) PG_UINT32_MAX));
}

/* ---------- what saga.sources shows ---------- */

/* Logged once, until it is another one. */
void
saga_intake_set_error(SagaReceiver *receiver, SagaIntake *intake, const char *error)
{
	if (intake->error != NULL && error != NULL && strcmp(intake->error, error) == 0)
		return;
	if (intake->error != NULL)
		pfree(intake->error);
	intake->error = error != NULL ? MemoryContextStrdup(receiver->context, error) : NULL;
	if (error != NULL)
		ereport(LOG,
				(errmsg("source \"%s\" cannot go on: %s", intake->source->name, error)));
}

static const char *
state_of(const SagaIntake *intake)
{
	if (intake->error != NULL)
		return "failing";
	return intake->looked && intake->room <= 0 ? "full" : "receiving";
}

/* In a transaction. */
static void
note(SagaReceiver *receiver, SagaIntake *intake)
{
	const char *state = state_of(intake);

	if (intake->noted_state == state &&
		(intake->error == NULL || (intake->noted_error != NULL && strcmp(intake->noted_error, intake->error) == 0)))
		return;
	saga_source_note(intake->source->source_id, state, intake->error);
	intake->noted_state = state;
	if (intake->noted_error != NULL)
		pfree(intake->noted_error);
	intake->noted_error = intake->error != NULL ? MemoryContextStrdup(receiver->context, intake->error) : NULL;
}

bool
saga_intake_has_news(const SagaIntake *intake, TimestampTz now)
{
	return !intake->stopped && intake->note_at <= now &&
		(intake->noted_state != state_of(intake) ||
		 (intake->error != NULL && (intake->noted_error == NULL || strcmp(intake->noted_error, intake->error) != 0)));
}

/* ---------- the target ---------- */

/* NULL: there is a problem, which is noted.  In a transaction. */
static const SagaQueue *
find_target(SagaReceiver *receiver, SagaIntake *intake)
{
	char	   *problem;
	const SagaQueue *queue = saga_source_target(intake->source, &problem);

	if (queue == NULL)
		saga_intake_set_error(receiver, intake, problem);
	else if (intake->no_target)
		saga_intake_set_error(receiver, intake, NULL);
	intake->no_target = queue == NULL;
	return queue;
}

bool
saga_intake_needs_look(const SagaIntake *intake, TimestampTz now)
{
	if (intake->stopped || intake->look_at > now)
		return false;
	return !intake->looked || intake->no_target || intake->room <= intake->source->max_queued / 2;
}

void
saga_intake_look(SagaReceiver *receiver, SagaIntake *intake)
{
	const SagaQueue *queue;

	receiver->current = intake;
	intake->look_at = after_ms(LOOK_MS);
	saga_receiver_begin(receiver);
	if (saga_source_try_lock(intake->source->source_id))
	{
		saga_secret_load(intake->source->endpoint.secrets);
		queue = find_target(receiver, intake);
		if (queue != NULL)
			intake->room = saga_source_room(intake->source, queue);
		else
			intake->look_at = after_ms(PROBLEM_LOOK_MS);
		intake->looked = queue != NULL;
		note(receiver, intake);
	}
	saga_receiver_commit(receiver);
	receiver->current = NULL;
}

void
saga_intake_tell(SagaReceiver *receiver, SagaIntake *intake)
{
	receiver->current = intake;
	intake->note_at = after_ms(PROBLEM_LOOK_MS);
	saga_receiver_begin(receiver);
	if (saga_source_try_lock(intake->source->source_id) && saga_source_exists(intake->source->source_id))
		note(receiver, intake);
	saga_receiver_commit(receiver);
	intake->note_at = 0;
	receiver->current = NULL;
}

/* ---------- deleting ---------- */

static void answered(SagaSourceRequest *request, const char *error, void *arg);

static SagaSourceRequest *
new_request(SagaReceiver *receiver, SagaSource *source, SagaSourceAction action)
{
	SagaSourceRequest *request = saga_source_request_new(receiver->context, source, action);

	request->answered = answered;
	request->arg = receiver;
	return request;
}

/* Deletes, or hides for longer, the messages of a receive. */
static void
request_for(SagaReceiver *receiver, const SagaSourceRequest *receive, SagaSourceAction action)
{
	SagaSourceRequest *request = NULL;
	int			i;

	for (i = 0; i < receive->nmessages; i++)
	{
		if (action == SAGA_SOURCE_DELETE && !receive->messages[i].settled)
			continue;
		if (request == NULL || request->nreceipts == SAGA_SNS_MAX_ENTRIES)
		{
			request = new_request(receiver, receive->source, action);
			dlist_push_tail(&receiver->pending, &request->node);
		}
		request->receipts[request->nreceipts++] = MemoryContextStrdup(request->context, receive->messages[i].receipt);
	}
}

/* Twice more; then they come again, and are recognised. */
void
saga_receiver_deleted(SagaReceiver *receiver, SagaSourceRequest *request, const char *error)
{
	int			left = error != NULL ? request->nreceipts : request->nfailed;

	if (left > 0 && ++request->tries < DELETE_TRIES)
	{
		request->nreceipts = left;
		request->start_at = after_ms(backoff_ms(request->tries - 1, BACKOFF_MIN_MS, BACKOFF_MAX_MS));
		dlist_push_tail(&receiver->pending, &request->node);
		return;
	}
	if (left > 0)
		count_error();
	dlist_push_tail(&receiver->finished, &request->node);
}

/* ---------- receiving ---------- */

static void
count_receives(SagaReceiver *receiver, SagaIntake *intake, SagaAccount *account, int n)
{
	intake->receiving += n;
	receiver->receiving += n;
	account->requests += n;		/* the source may have another owner now */
}

static void
receive_failed(SagaReceiver *receiver, SagaIntake *intake, const char *error, bool renewed)
{
	intake->want = 1;
	if (renewed && intake->failures == 0)
	{
		/* with other credentials at once, but only once */
		intake->failures++;
		return;
	}
	intake->receive_at = after_ms(backoff_ms(intake->failures++, BACKOFF_MIN_MS, BACKOFF_MAX_MS));
	/* a look reads its secret again, which may be another one */
	if (intake->source->endpoint.secrets != NIL)
		intake->looked = false;
	saga_intake_set_error(receiver, intake, error);
	count_error();
}

static void
received(SagaReceiver *receiver, SagaSourceRequest *request, const char *error)
{
	SagaIntake *intake = saga_receiver_find(receiver, request->source_id);
	MemoryContext old = MemoryContextSwitchTo(request->context);

	count_receives(receiver, intake, request->account, -1);
	if (request->too_large)
		intake->most = Max(request->asked / 2, 1);
	if (error != NULL)
		receive_failed(receiver, intake, error, request->renewed);
	else
	{
		intake->failures = 0;
		if (!intake->no_target && intake->accept_tries == 0)
			saga_intake_set_error(receiver, intake, NULL);
		if (request->nmessages == 0)
			intake->receive_at = TimestampTzPlusMilliseconds(request->started_at, IDLE_RECEIVE_MS);
		if (request->nmessages < request->asked)
			intake->want = 1;
		else if (intake->want < request->source->receives)
			intake->want++;
	}
	intake->reserved -= request->asked - request->nmessages;
	request->hidden_until = after_ms((int64) request->source->visibility_s * 1000);
	dlist_push_tail(request->nmessages > 0 ? &intake->received : &receiver->finished, &request->node);
	MemoryContextSwitchTo(old);
}

/* saga_source_answer_fn */
static void
answered(SagaSourceRequest *request, const char *error, void *arg)
{
	SagaReceiver *receiver = arg;

	dlist_delete(&request->node);
	if (request->action == SAGA_SOURCE_RECEIVE)
		received(receiver, request, error);
	else if (request->action == SAGA_SOURCE_DELETE)
		saga_receiver_deleted(receiver, request, error);
	else
		dlist_push_tail(&receiver->finished, &request->node);
}

/*
 * One owner has at most twice as many receives as are free: two thirds when
 * he is alone, and some are left for one who comes new.
 */
static bool
owner_has_room(const SagaReceiver *receiver, const SagaIntake *intake)
{
	int			left = saga_http_max(receiver->http) - SAGA_RECEIVER_FOR_DELETES - receiver->receiving;

	return intake->account->requests < 2 * left;
}

bool
saga_intake_may_receive(const SagaReceiver *receiver, const SagaIntake *intake, TimestampTz now)
{
	int			want = intake->source->endpoint.fifo ? 1 : intake->want;

	return !intake->stopped && intake->looked && intake->room > intake->reserved && intake->receiving < want &&
		intake->receive_at <= now && intake->accept_tries == 0 &&
		saga_http_active(receiver->http) < saga_http_max(receiver->http) - SAGA_RECEIVER_FOR_DELETES &&
		owner_has_room(receiver, intake);
}

void
saga_intake_receive(SagaReceiver *receiver, SagaIntake *intake)
{
	SagaSourceRequest *request = new_request(receiver, intake->source, SAGA_SOURCE_RECEIVE);
	SagaReadiness readiness;
	char	   *error;

	request->asked = Min(intake->source->batch, intake->room - intake->reserved);
	if (intake->most > 0)
		request->asked = Min(request->asked, intake->most);
	request->account = intake->account;
	readiness = saga_source_request_start(request, receiver->http, &error);
	if (readiness == SAGA_READY_NOW)
	{
		count_receives(receiver, intake, request->account, 1);
		intake->reserved += request->asked;
		dlist_push_tail(&receiver->flying, &request->node);
		return;
	}
	if (readiness == SAGA_READY_LATER)
		intake->receive_at = after_ms(SAGA_RECEIVER_FETCH_MS);
	else
		receive_failed(receiver, intake, error, false);
	dlist_push_tail(&receiver->finished, &request->node);
}

/* ---------- committing ---------- */

/* So many receives, of the first ones, that they are not too much for one transaction. */
static int
receives_for_commit(const SagaIntake *intake, int limit)
{
	dlist_iter	iter;
	size_t		bytes = 0;
	int			n = 0;
	int			i;

	dlist_foreach(iter, unconstify(dlist_head *, &intake->received))
	{
		const SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, iter.cur);

		for (i = 0; i < request->nmessages; i++)
			bytes += request->messages[i].body_len;
		if (n >= limit || (n > 0 && bytes > ACCEPT_BYTES))
			break;
		n++;
	}
	return n;
}

/* Up to limit receives; returns their messages. */
static SagaSqsMessage **
gather(const SagaIntake *intake, int limit, int *n)
{
	SagaSqsMessage **messages = NULL;
	dlist_iter	iter;
	int			seen = 0;
	int			i;

	*n = 0;
	dlist_foreach(iter, unconstify(dlist_head *, &intake->received))
	{
		SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, iter.cur);

		if (seen++ >= limit)
			break;
		/* as many as came, whatever was asked for */
		if (messages == NULL)
			messages = palloc(mul_size(request->nmessages, sizeof(SagaSqsMessage *)));
		else
			messages = repalloc(messages, mul_size(*n + request->nmessages, sizeof(SagaSqsMessage *)));
		for (i = 0; i < request->nmessages; i++)
			messages[(*n)++] = &request->messages[i];
	}
	return messages;
}

/* The first ones are settled: committed and to be deleted, or given up. */
static void
settle(SagaReceiver *receiver, SagaIntake *intake, int limit, bool committed)
{
	while (limit-- > 0 && !dlist_is_empty(&intake->received))
	{
		SagaSourceRequest *request = dlist_container(SagaSourceRequest, node,
													 dlist_pop_head_node(&intake->received));

		intake->reserved -= request->nmessages;
		dlist_push_tail(&receiver->finished, &request->node);
		if (committed)
			request_for(receiver, request, SAGA_SOURCE_DELETE);
	}
}

static void
count_done(int n)
{
	if (saga_my_proc == NULL)
		return;
	pg_atomic_fetch_add_u64(&saga_my_proc->batches, 1);
	pg_atomic_fetch_add_u64(&saga_my_proc->done, n);
	pg_atomic_write_u64(&saga_my_proc->last_active, (uint64) GetCurrentTimestamp());
}

/*
 * True: the messages are in the queue, or the source is gone and they stay
 * where they are.  False: try again, somebody is dropping one of them.
 */
static bool
accept_messages(SagaReceiver *receiver, SagaIntake *intake, int limit, SagaAccepted *accepted, bool *gone)
{
	const SagaQueue *queue;
	SagaSqsMessage **messages;
	int			n;

	*gone = false;
	if (!saga_source_try_lock(intake->source->source_id))
		return false;
	*gone = !saga_source_exists(intake->source->source_id);
	if (*gone)
		return true;
	queue = find_target(receiver, intake);
	if (queue == NULL)
	{
		note(receiver, intake);
		return false;
	}
	if (!saga_queue_try_lock(queue->queue_id))
		return false;
	messages = gather(intake, limit, &n);
	saga_source_accept(intake->source, queue, messages, n, accepted);
	return true;
}

/*
 * The time of the next try is set before: whatever raises has its pause.
 * After some failures one answer at a time finds the culprit.
 */
void
saga_intake_commit(SagaReceiver *receiver, SagaIntake *intake)
{
	int			limit = receives_for_commit(intake, intake->accept_tries < 3 ? ACCEPT_RECEIVES : 1);
	SagaAccepted accepted = {0};
	bool		gone;
	bool		done;

	if (intake->accept_tries >= ACCEPT_TRIES)
	{
		settle(receiver, intake, 1, false);
		intake->accept_tries = 3;
		return;
	}
	receiver->current = intake;
	intake->accept_at = after_ms(backoff_ms(intake->accept_tries++, ACCEPT_BACKOFF_MS, ACCEPT_BACKOFF_MAX_MS));
	saga_receiver_begin(receiver);
	done = accept_messages(receiver, intake, limit, &accepted, &gone);
	saga_receiver_commit(receiver);
	receiver->current = NULL;
	if (!done)
		return;
	settle(receiver, intake, limit, !gone);
	if (!gone && intake->accept_tries > 1)
		saga_intake_set_error(receiver, intake, NULL);
	intake->accept_tries = 0;
	intake->accept_at = 0;
	intake->room -= accepted.inserted;
	count_done(accepted.inserted + accepted.dead);
	if (accepted.damaged > 0)
		count_error();
}

/* Half of the time that they are hidden for has passed, and they still wait for their commit. */
static TimestampTz
extend_at(const SagaSourceRequest *request)
{
	return request->hidden_until - (int64) request->source->visibility_s * USECS_PER_SEC / 2;
}

TimestampTz
saga_intake_extend_at(SagaIntake *intake)
{
	TimestampTz at = DT_NOEND;
	dlist_iter	iter;

	dlist_foreach(iter, &intake->received)
		at = Min(at, extend_at(dlist_container(SagaSourceRequest, node, iter.cur)));
	return at;
}

void
saga_intake_extend(SagaReceiver *receiver, SagaIntake *intake, TimestampTz now)
{
	dlist_iter	iter;

	dlist_foreach(iter, &intake->received)
	{
		SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, iter.cur);

		if (extend_at(request) > now)
			continue;
		request_for(receiver, request, SAGA_SOURCE_EXTEND);
		request->hidden_until = now + (int64) request->source->visibility_s * USECS_PER_SEC;
	}
}
