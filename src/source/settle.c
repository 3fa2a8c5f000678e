/*
 * settle.c
 *		What a source has received: it is committed, and then deleted at the
 *		service; what waits for its commit is hidden there for longer.
 *
 * A commit takes a few messages, never more than so many bytes, whatever one
 * answer has.  What has been committed of it is deleted at once.
 *
 * Begin reading with saga_intake_commit, then settle() and request_for().  A
 * message is deleted only after its commit; if the delete fails, or the
 * process ends in between, it comes again and is recognised by its id
 * (accept.c).  One that is given up is neither committed nor deleted: the
 * service hides it until its time is over, and gives it out again.
 */
#include "postgres.h"

#include "common/clock.h"
#include "miscadmin.h"
#include "source/receiver_private.h"
#include "storage/lockdefs.h"
#include "utils/timestamp.h"

#define ACCEPT_MESSAGES		100 /* in one commit */
#define ACCEPT_BYTES		1000000 /* of messages, unless a single one has more */
#define ACCEPT_TRIES		20	/* then they are left to come again */
#define ACCEPT_WHOLE_TRIES	3	/* then one message at a time finds the culprit */
#define ACCEPT_BACKOFF_MS	200
#define ACCEPT_BACKOFF_MAX_MS 30000
#define SETTLE_TRIES		3
#define SETTLE_BACKOFF_MS	1000
#define SETTLE_BACKOFF_MAX_MS 60000
#define EXTEND_MAX			20	/* extensions outstanding: more would not help */

/* ---------- deleting, hiding for longer ---------- */

/* The request has had its answer, and is freed in the next turn. */
static void
finish(SagaReceiver *receiver, SagaSourceRequest *request)
{
	request->intake->outstanding--;
	dlist_push_tail(&receiver->finished, &request->node);
}

/* Nobody waits for a source that was stopped, and its server does not answer. */
static void
give_up_pending(SagaReceiver *receiver, const SagaIntake *intake, SagaSourceOwner *owner)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &owner->pending)
	{
		SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, iter.cur);

		if (request->intake != intake)
			continue;
		dlist_delete(&request->node);
		owner->npending--;
		finish(receiver, request);
	}
}

/* A delete twice more; then they come again, and are recognised. */
void
saga_receiver_settled(SagaReceiver *receiver, SagaSourceRequest *request, const char *error)
{
	int			left = error != NULL ? request->nreceipts : request->nfailed;

	receiver->settling--;
	request->owner->settling--;
	request->intake->settling--;
	if (error != NULL && request->intake->stopped)
		give_up_pending(receiver, request->intake, request->owner);
	if (request->action == SAGA_SOURCE_DELETE && left > 0)
	{
		if (++request->tries < SETTLE_TRIES && !request->intake->stopped)
		{
			request->nreceipts = left;
			request->start_at = saga_source_after_ms(saga_backoff_jittered(SETTLE_BACKOFF_MS, request->tries - 1,
																		   SETTLE_BACKOFF_MAX_MS));
			dlist_push_tail(&request->owner->pending, &request->node);
			request->owner->npending++;
			return;
		}
		saga_source_count_error();
	}
	finish(receiver, request);
}

/* The SagaSourceAnswered of deletes and extensions. */
static void
settle_answered(SagaSourceRequest *request, const char *error, void *arg)
{
	dlist_delete(&request->node);
	saga_receiver_settled(arg, request, error);
}

/* For the messages of a receive from one to before another. */
static void
request_for(SagaReceiver *receiver, SagaIntake *intake, const SagaSourceRequest *receive, SagaSourceAction action,
			int from, int to)
{
	SagaSourceRequest *request = NULL;
	int			i;

	for (i = from; i < to; i++)
	{
		if (action == SAGA_SOURCE_DELETE && !receive->messages[i].settled)
			continue;
		if (request == NULL || request->nreceipts == SAGA_SNS_MAX_ENTRIES)
		{
			request = saga_intake_request(receiver, intake, receive->source, action, settle_answered);
			dlist_push_tail(&request->owner->pending, &request->node);
			request->owner->npending++;
			intake->outstanding++;
		}
		request->receipts[request->nreceipts++] = MemoryContextStrdup(request->context, receive->messages[i].receipt);
	}
}

/* ---------- committing ---------- */

/* What a message counts, of what one commit may take. */
static size_t
message_bytes(const SagaSqsMessage *message)
{
	size_t		bytes = message->body_len;

	for (int i = 0; i < message->nattributes; i++)
		bytes += strlen(message->attributes[i].name) + strlen(message->attributes[i].value);
	return bytes;
}

/* The next messages that are not too much for one transaction, at least one. */
static SagaSqsMessage **
gather(const SagaIntake *intake, int limit, int *n)
{
	SagaSqsMessage **messages = palloc(sizeof(SagaSqsMessage *) * limit);
	size_t		bytes = 0;
	dlist_iter	iter;

	*n = 0;
	dlist_foreach(iter, unconstify(dlist_head *, &intake->received))
	{
		SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, iter.cur);

		for (int i = request->ndone; i < request->nmessages; i++)
		{
			bytes += message_bytes(&request->messages[i]);
			if (*n >= limit || (*n > 0 && bytes > ACCEPT_BYTES))
				return messages;
			messages[(*n)++] = &request->messages[i];
		}
	}
	return messages;
}

/* What a commit has left at the service keeps back what comes in the next one of the same answer. */
static void
hold_back(const SagaSourceRequest *receive, int from, int to)
{
	for (int i = from; i < to; i++)
		for (int j = to; !receive->messages[i].settled && j < receive->nmessages; j++)
			saga_source_hold_back(receive->source, &receive->messages[i], &receive->messages[j]);
}

/* The first n messages are settled: committed and to be deleted, or given up. */
static void
settle(SagaReceiver *receiver, SagaIntake *intake, int n, bool committed)
{
	while (n > 0)
	{
		SagaSourceRequest *request = dlist_container(SagaSourceRequest, node,
													 dlist_head_node(&intake->received));
		int			from = request->ndone;
		int			to = Min(request->nmessages, from + n);

		n -= to - from;
		intake->reserved -= to - from;
		request->ndone = to;
		if (committed)
			hold_back(request, from, to);
		if (to == request->nmessages)
		{
			dlist_delete(&request->node);
			dlist_push_tail(&receiver->finished, &request->node);
		}
		if (committed)
			request_for(receiver, intake, request, SAGA_SOURCE_DELETE, from, to);
	}
}

/* What is left of the first answer. */
static void
give_up(SagaReceiver *receiver, SagaIntake *intake)
{
	const SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, dlist_head_node(&intake->received));

	settle(receiver, intake, request->nmessages - request->ndone, false);
	intake->accept_tries = ACCEPT_WHOLE_TRIES;
}

/* Counts a commit of n messages, for saga.workers. */
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
accept_messages(SagaReceiver *receiver, SagaIntake *intake, SagaSqsMessage **messages, int n,
				SagaAccepted *accepted, bool *gone)
{
	const SagaQueue *queue;

	*gone = false;
	if (!saga_source_try_lock(intake->source->source_id))
		return false;
	*gone = !saga_source_exists(intake->source->source_id);
	if (*gone)
		return true;
	queue = saga_intake_find_target(receiver, intake);
	if (queue == NULL)
	{
		saga_intake_note(receiver, intake);
		return false;
	}
	if (!saga_queue_try_lock(queue->queue_id))
		return false;
	saga_source_accept(intake->source, queue, messages, n, accepted);
	return true;
}

/*
 * The time of the next try is set before: whatever raises has its pause.
 * After some failures one message at a time finds the culprit.
 */
void
saga_intake_commit(SagaReceiver *receiver, SagaIntake *intake)
{
	SagaAccepted accepted = {0};
	SagaSqsMessage **messages;
	bool		gone;
	bool		done;
	int			n;

	/* what cannot be committed must not be held in memory for ever */
	if (intake->accept_tries >= ACCEPT_TRIES)
	{
		give_up(receiver, intake);
		return;
	}
	MemoryContextSwitchTo(receiver->loop.work);
	messages = gather(intake, intake->accept_tries < ACCEPT_WHOLE_TRIES ? ACCEPT_MESSAGES : 1, &n);
	receiver->current = intake;
	intake->accept_at = saga_source_after_ms(saga_backoff_jittered(ACCEPT_BACKOFF_MS, intake->accept_tries++,
																   ACCEPT_BACKOFF_MAX_MS));
	saga_receiver_begin(receiver);
	done = accept_messages(receiver, intake, messages, n, &accepted, &gone);
	saga_receiver_commit(receiver);
	receiver->current = NULL;
	if (!done)
		return;
	settle(receiver, intake, gone ? n : accepted.seen, !gone);
	if (!gone && intake->accept_tries > 1)
		saga_intake_set_error(receiver, intake, NULL);
	/* the next messages begin with whole batches again */
	intake->accept_tries = 0;
	intake->accept_at = 0;
	intake->room -= accepted.inserted + accepted.dead;
	saga_intake_came(intake, accepted.inserted + accepted.dead > 0);
	count_done(accepted.inserted + accepted.dead);
	if (accepted.damaged > 0)
		saga_source_count_error();
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
		if (intake->outstanding < EXTEND_MAX)
			request_for(receiver, intake, request, SAGA_SOURCE_EXTEND, request->ndone, request->nmessages);
		request->hidden_until = now + (int64) request->source->visibility_s * USECS_PER_SEC;
	}
}
