/*
 * intake.c
 *		One source as it is being served: what it may receive, what came, and
 *		how it is doing.
 *
 * A receive that was answered waits in its source's list until its owner has
 * time to read it, and one that has brought messages until they are committed
 * (settle.c).
 *
 * Functions here are single steps that the turn calls: reading an answer,
 * looking at the target, starting a receive, telling the table how the source
 * is doing.  A step that opens a transaction sets receiver->current first, so
 * that whatever raises is known to be this source's; and it sets the time of
 * its next try before, so that the try after an error comes with a pause.
 *
 * "reserved" counts messages that receives in flight may bring, so that
 * together they never bring more than the queue has room for.
 */
#include "postgres.h"

#include "common/clock.h"
#include "miscadmin.h"
#include "net/secret.h"
#include "source/receiver_private.h"
#include "storage/lockdefs.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define IDLE_RECEIVE_MS		1000	/* between two receives that bring nothing */
#define STALE_MIN_MS		100 /* after nothing that is new */
#define STALE_MAX_MS		5000
#define LOOK_MS				1000	/* between two looks at the target */
#define LOOK_PAUSE			20	/* times as long as one takes */
#define PROBLEM_LOOK_MS		5000
#define BACKOFF_MIN_MS		1000
#define BACKOFF_MAX_MS		60000
#define SETTLE_MIN			8	/* deletes and extensions that are outstanding while more is received; or twice as many as receives */

SagaIntake *
saga_intake_new(MemoryContext context)
{
	SagaIntake *intake = MemoryContextAllocZero(context, sizeof(SagaIntake));

	dlist_init(&intake->answers);
	dlist_init(&intake->received);
	return intake;
}

/*
 * What has changed may have been mended: it is tried at once.  Its secrets
 * are read anew in any case: rights on them may have been taken back.
 */
void
saga_intake_serve_as(SagaIntake *intake, SagaSource *source, SagaSourceOwner *owner)
{
	/*
	 * also when it was given away: the rights of the new owner are to be
	 * looked at
	 */
	bool		same = intake->source != NULL && intake->owner == owner &&
	intake->source->changed_at == source->changed_at;

	if (intake->source != NULL)
		saga_source_release(intake->source);
	intake->source = source;
	intake->owner = owner;
	intake->stopped = false;
	if (!same || source->endpoint.secrets != NIL)
	{
		intake->look_at = 0;
		intake->looked = false;
	}
	if (same)
		return;
	intake->want = 1;
	intake->failures = intake->stale = 0;
	intake->receive_at = intake->note_at = 0;
}

/* ---------- what saga.sources shows ---------- */

/* Logged once, until it is another one, and not more than is its owner's share. */
void
saga_intake_set_error(SagaReceiver *receiver, SagaIntake *intake, const char *error)
{
	if (intake->error != NULL && error != NULL && strcmp(intake->error, error) == 0)
		return;
	if (intake->error != NULL)
		pfree(intake->error);
	intake->error = error != NULL ? MemoryContextStrdup(receiver->loop.context, error) : NULL;
	if (error != NULL && !intake->stopped && saga_source_owner_may_log(intake->owner))
		ereport(LOG,
				(errmsg("source \"%s\" cannot go on: %s", intake->source->name, error)));
}

/* How the source is doing, as saga.sources shows it. */
static const char *
state_of(const SagaIntake *intake)
{
	if (intake->error != NULL)
		return "failing";
	return intake->looked && intake->room <= 0 ? "full" : "receiving";
}

void
saga_intake_note(SagaReceiver *receiver, SagaIntake *intake)
{
	const char *state = state_of(intake);

	if (intake->noted_state == state &&
		(intake->error == NULL || (intake->noted_error != NULL && strcmp(intake->noted_error, intake->error) == 0)))
		return;
	saga_source_note(intake->source->source_id, state, intake->error);
	intake->noted_state = state;
	if (intake->noted_error != NULL)
		pfree(intake->noted_error);
	intake->noted_error = intake->error != NULL ? MemoryContextStrdup(receiver->loop.context, intake->error) : NULL;
}

bool
saga_intake_has_news(const SagaIntake *intake, TimestampTz now)
{
	return !intake->stopped && intake->note_at <= now &&
		(intake->noted_state != state_of(intake) ||
		 (intake->error != NULL && (intake->noted_error == NULL || strcmp(intake->noted_error, intake->error) != 0)));
}

/* ---------- the target ---------- */

const SagaQueue *
saga_intake_find_target(SagaReceiver *receiver, SagaIntake *intake)
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
	TimestampTz begun_at = saga_monotonic_now();
	const SagaQueue *queue;

	receiver->current = intake;
	intake->look_at = saga_source_after_ms(LOOK_MS);
	saga_receiver_begin(receiver);
	if (saga_source_try_lock(intake->source->source_id))
	{
		saga_secret_load(intake->source->endpoint.secrets);
		queue = saga_intake_find_target(receiver, intake);
		if (queue != NULL)
			intake->room = saga_source_room(intake->source, queue);
		else
			intake->look_at = saga_source_after_ms(PROBLEM_LOOK_MS);
		intake->looked = queue != NULL;
		saga_intake_note(receiver, intake);
	}
	saga_receiver_commit(receiver);
	receiver->current = NULL;
	/* there may be many messages to be counted */
	intake->look_at = Max(intake->look_at, saga_monotonic_now() + LOOK_PAUSE * (saga_monotonic_now() - begun_at));
}

void
saga_intake_tell(SagaReceiver *receiver, SagaIntake *intake)
{
	receiver->current = intake;
	intake->note_at = saga_source_after_ms(PROBLEM_LOOK_MS);
	saga_receiver_begin(receiver);
	if (saga_source_try_lock(intake->source->source_id) && saga_source_exists(intake->source->source_id))
		saga_intake_note(receiver, intake);
	saga_receiver_commit(receiver);
	intake->note_at = 0;
	receiver->current = NULL;
}

/* ---------- receiving ---------- */

/* So many more of its receives are in flight, of its owner and of all; or fewer, if n is negative. */
static void
count_receives(SagaReceiver *receiver, SagaIntake *intake, SagaSourceOwner *owner, int n)
{
	intake->receiving += n;
	receiver->receiving += n;
	owner->account->requests += n;	/* the source may have another owner now */
}

/* Nothing more is received before a pause, which grows with each failure. */
static void
receive_failed(SagaReceiver *receiver, SagaIntake *intake, const char *error, bool renewed)
{
	intake->want = 1;
	/* the answer was to credentials that have expired meanwhile */
	if (renewed && intake->failures == 0)
	{
		/* with other credentials at once, but only once */
		intake->failures++;
		return;
	}
	intake->receive_at = saga_source_after_ms(saga_backoff_jittered(BACKOFF_MIN_MS, intake->failures++, BACKOFF_MAX_MS));
	/* a look reads its secret again, which may be another one */
	if (intake->source->endpoint.secrets != NIL)
		intake->looked = false;
	saga_intake_set_error(receiver, intake, error);
	saga_source_count_error();
}

/* Whether more are wanted, and when. */
static void
came(SagaIntake *intake, const SagaSourceRequest *request)
{
	intake->failures = 0;
	if (request->nmessages == 0)
		intake->receive_at = Max(intake->receive_at, TimestampTzPlusMilliseconds(request->started_at, IDLE_RECEIVE_MS));
	if (request->nmessages < request->asked || intake->stale > 0)
		intake->want = 1;
	else if (intake->want < request->source->receives)
		intake->want++;
}

/* What raises here ends in "finished": its messages come again, after a pause. */
void
saga_intake_read(SagaReceiver *receiver, SagaIntake *intake)
{
	SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, dlist_pop_head_node(&intake->answers));
	TimestampTz receive_at = intake->receive_at;
	const char *error;

	dlist_push_tail(&receiver->finished, &request->node);
	count_receives(receiver, intake, request->owner, -1);
	intake->reserved -= request->asked;
	receiver->current = intake;
	intake->receive_at = saga_source_after_ms(BACKOFF_MIN_MS);
	error = saga_source_request_read(request);
	intake->receive_at = receive_at;
	receiver->current = NULL;
	/* fewer messages the next time, and never again more */
	if (request->too_large)
		intake->most = Max(request->asked / 2, 1);
	if (error != NULL)
	{
		receive_failed(receiver, intake, error, request->renewed);
		return;
	}
	came(intake, request);
	if (!intake->no_target && intake->accept_tries == 0)
		saga_intake_set_error(receiver, intake, NULL);
	if (request->nmessages == 0)
		return;
	intake->reserved += request->nmessages;
	dlist_delete(&request->node);
	dlist_push_tail(&intake->received, &request->node);
}

SagaSourceRequest *
saga_intake_request(SagaReceiver *receiver, SagaIntake *intake, SagaSource *source, SagaSourceAction action,
					SagaSourceAnswered answered)
{
	SagaSourceRequest *request = saga_source_request_new(receiver->loop.context, source, action);

	request->answered = answered;
	request->arg = receiver;
	request->intake = intake;
	request->owner = intake->owner;
	return request;
}

/*
 * The same again, or damaged: nothing is counted against max_queued, so a
 * pause keeps such a server from being asked, and its answers from being
 * read, over and over.
 */
void
saga_intake_came(SagaIntake *intake, bool anything_new)
{
	if (anything_new)
		intake->stale = 0;
	else if (intake->receive_at <= saga_monotonic_now())
		intake->receive_at = saga_source_after_ms(saga_backoff_jittered(STALE_MIN_MS, intake->stale++, STALE_MAX_MS));
}

bool
saga_intake_may_receive(const SagaReceiver *receiver, const SagaIntake *intake, TimestampTz now)
{
	int			want = intake->source->endpoint.fifo ? 1 : intake->want;

	return !intake->stopped && intake->looked && intake->room > intake->reserved && intake->receiving < want &&
		intake->receive_at <= now && intake->accept_tries == 0 &&
		intake->outstanding < Max(2 * intake->source->receives, SETTLE_MIN) &&
		saga_http_active(receiver->loop.http) < saga_http_max(receiver->loop.http) &&
		saga_source_owner_may_receive(receiver, intake->owner);
}

/* The SagaSourceAnswered of receives: an answer is read when its owner has time. */
static void
receive_answered(SagaSourceRequest *request, const char *error, void *arg)
{
	dlist_delete(&request->node);
	request->hidden_until = saga_source_after_ms((int64) request->source->visibility_s * 1000);
	dlist_push_tail(&request->intake->answers, &request->node);
}

void
saga_intake_receive(SagaReceiver *receiver, SagaIntake *intake)
{
	SagaSourceRequest *request = saga_intake_request(receiver, intake, intake->source, SAGA_SOURCE_RECEIVE, receive_answered);
	SagaReadiness readiness;
	char	   *error;

	request->asked = Min(intake->source->batch, intake->room - intake->reserved);
	if (intake->most > 0)
		request->asked = Min(request->asked, intake->most);
	request->account = intake->owner->account;
	readiness = saga_source_request_start(request, receiver->loop.http, &error);
	if (readiness == SAGA_READY_NOW)
	{
		count_receives(receiver, intake, request->owner, 1);
		intake->reserved += request->asked;
		dlist_push_tail(&receiver->flying, &request->node);
		return;
	}
	if (readiness == SAGA_READY_LATER)
		intake->receive_at = saga_source_after_ms(SAGA_RECEIVER_FETCH_MS);
	else
		receive_failed(receiver, intake, error, false);
	dlist_push_tail(&receiver->finished, &request->node);
}
