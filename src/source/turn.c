/*
 * turn.c
 *		Owners of sources take turns, and within one his sources do: what was
 *		received is served, receives and what follows them are started.
 *
 * Three kinds of turns: over what has come (saga_source_serve_owners, for a
 * time), over receives, and over deletes and extensions (both as long as
 * anybody may start one).  Each remembers who was last, so that the next turn
 * goes on behind him; positions of owners are stable, as owners are never
 * removed.
 */
#include "postgres.h"

#include "common/clock.h"
#include "miscadmin.h"
#include "source/receiver_private.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* The first of an owner's sources behind the one of this id. */
static int
position_behind(const SagaSourceOwner *owner, int32 source_id)
{
	int			n = list_length(owner->intakes);
	int			i;

	for (i = 0; i < n; i++)
		if (((SagaIntake *) list_nth(owner->intakes, i))->source->source_id > source_id)
			return i;
	return 0;
}

/* Starts one receive, of the owner's source whose turn it is.  False: none may receive. */
static bool
start_receive_of(SagaReceiver *receiver, SagaSourceOwner *owner)
{
	int			n = list_length(owner->intakes);
	int			first = position_behind(owner, owner->last_received);
	TimestampTz now = saga_monotonic_now();

	if (!saga_source_owner_may_receive(receiver, owner))
		return false;
	for (int i = 0; i < n; i++)
	{
		SagaIntake *intake = list_nth(owner->intakes, (first + i) % n);

		if (!saga_intake_may_receive(receiver, intake, now))
			continue;
		owner->last_received = intake->source->source_id;
		saga_intake_receive(receiver, intake);
		return true;
	}
	return false;
}

/* The first one whose source has not all that it may have. */
static SagaSourceRequest *
next_pending(SagaSourceOwner *owner, TimestampTz now)
{
	dlist_iter	iter;

	dlist_foreach(iter, &owner->pending)
	{
		SagaSourceRequest *request = dlist_container(SagaSourceRequest, node, iter.cur);

		if (request->start_at <= now && request->intake->settling < request->source->receives)
			return request;
	}
	return NULL;
}

/* Starts one delete or extension of the owner.  False: none may be started. */
static bool
start_pending_of(SagaReceiver *receiver, SagaSourceOwner *owner)
{
	SagaSourceRequest *request;
	SagaReadiness readiness;
	char	   *error = NULL;

	if (!saga_source_owner_may_settle(receiver, owner) || saga_http_active(receiver->loop.http) >= saga_http_max(receiver->loop.http))
		return false;
	request = next_pending(owner, receiver->pending_at);
	if (request == NULL)
		return false;
	readiness = saga_source_request_start(request, receiver->loop.http, &error);

	/*
	 * it stays pending, and is counted as done so that others of the owner
	 * have their turn
	 */
	if (readiness == SAGA_READY_LATER)
	{
		request->start_at = TimestampTzPlusMilliseconds(receiver->pending_at, SAGA_RECEIVER_FETCH_MS);
		return true;
	}
	dlist_delete(&request->node);
	owner->npending--;
	owner->settling++;
	receiver->settling++;
	request->intake->settling++;
	if (readiness == SAGA_READY_NOW)
		dlist_push_tail(&receiver->flying, &request->node);
	else
		saga_receiver_settled(receiver, request, error);
	return true;
}

typedef bool (*OwnerStep) (SagaReceiver *receiver, SagaSourceOwner *owner);

/* One of each owner after the other, beginning behind the one who was last, as long as there is one. */
static int
take_turns(SagaReceiver *receiver, int *last, OwnerStep step)
{
	int			nowners = list_length(receiver->owners);
	int			first = *last + 1;
	bool		any = true;
	int			n = 0;

	while (any)
	{
		any = false;
		for (int i = 0; i < nowners; i++)
		{
			int			position = (first + i) % nowners;

			if (!step(receiver, list_nth(receiver->owners, position)))
				continue;
			*last = position;
			any = true;
			n++;
		}
	}
	return n;
}

int
saga_source_start_receives(SagaReceiver *receiver)
{
	return take_turns(receiver, &receiver->last_received, start_receive_of);
}

int
saga_source_start_pending(SagaReceiver *receiver)
{
	receiver->pending_at = saga_monotonic_now();
	return take_turns(receiver, &receiver->last_settled, start_pending_of);
}

/* Returns how much was done, of which there may be more. */
static int
serve_intake(SagaReceiver *receiver, SagaIntake *intake)
{
	TimestampTz now = saga_monotonic_now();
	int			n = 0;

	saga_intake_extend(receiver, intake, now);	/* first: the others may raise */
	if (!dlist_is_empty(&intake->answers))
	{
		saga_intake_read(receiver, intake);
		n++;
	}
	if (!dlist_is_empty(&intake->received) && intake->accept_at <= now)
	{
		saga_intake_commit(receiver, intake);
		n++;
	}
	if (saga_intake_needs_look(intake, now))
		saga_intake_look(receiver, intake);
	if (saga_intake_has_news(intake, now))
		saga_intake_tell(receiver, intake);
	return n;
}

/* What raises has had its turn: those behind it come first the next time. */
static int
serve_owner(SagaReceiver *receiver, SagaSourceOwner *owner)
{
	int			nintakes = list_length(owner->intakes);
	int			first = position_behind(owner, owner->last_served);
	uint64		begun_at = saga_monotonic_us();
	int			n = 0;

	owner->used_us = 0;
	for (int i = 0; i < nintakes && saga_source_owner_has_time(owner); i++)
	{
		SagaIntake *intake = list_nth(owner->intakes, (first + i) % nintakes);

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(receiver->loop.work);
		owner->last_served = intake->source->source_id;
		n += serve_intake(receiver, intake);
		owner->used_us = saga_monotonic_us() - begun_at;
	}
	return n;
}

/* Each owner for a short time; the network is served before the next turn. */
int
saga_source_serve_owners(SagaReceiver *receiver)
{
	int			nowners = list_length(receiver->owners);
	int			first = receiver->last_served + 1;
	int			n = 0;

	for (int i = 0; i < nowners; i++)
	{
		receiver->last_served = (first + i) % nowners;
		n += serve_owner(receiver, list_nth(receiver->owners, receiver->last_served));
	}
	return n;
}
