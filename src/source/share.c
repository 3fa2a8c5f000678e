/*
 * share.c
 *		Owners of sources, and how much each has of the process that serves all:
 *		connections, time, lines of the log.
 *
 * What a server of one owner does, one that answers nothing or answers with
 * too much, is paid for out of that owner's share.  Receives and what follows
 * them, deletes and extensions, have connections of their own, so that neither
 * waits for the other.  Owners take turns, and within one his sources do.
 */
#include "postgres.h"

#include "common/clock.h"
#include "miscadmin.h"
#include "source/receiver_private.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define TURN_US			30000	/* of an owner, before the next one is served */
#define MAX_PENDING		1000	/* of an owner: then nothing more is received for him */
#define LOG_LINES		20		/* of an owner in a minute */

SagaSourceOwner *
saga_source_owner(SagaReceiver *receiver, Oid role)
{
	SagaAccount *account = saga_budget_account(receiver->budget, role);
	MemoryContext old;
	SagaSourceOwner *owner;
	ListCell   *lc;

	foreach(lc, receiver->owners)
	{
		owner = lfirst(lc);
		if (owner->account == account)
			return owner;
	}
	old = MemoryContextSwitchTo(receiver->context);
	owner = palloc0(sizeof(SagaSourceOwner));
	owner->account = account;
	dlist_init(&owner->pending);
	receiver->owners = lappend(receiver->owners, owner);
	MemoryContextSwitchTo(old);
	return owner;
}

/* ---------- shares ---------- */

/*
 * An owner has at most twice as many as are free: two thirds when he is
 * alone, and some are left for one who comes new.
 */
static bool
has_room(int used, int all, int max)
{
	return used < 2 * (max - all);
}

/* Nor while he has too much of what came before: messages in memory, deletes that nobody answers. */
bool
saga_source_owner_may_receive(const SagaReceiver *receiver, const SagaSourceOwner *owner)
{
	return has_room(owner->account->requests, receiver->receiving, SAGA_RECEIVER_MAX_RECEIVES) &&
		owner->npending < MAX_PENDING &&
		(owner->account->bytes == 0 || saga_account_has_room(owner->account, 0));
}

/*
 * One transfer of each owner goes on whatever memory is used.  None does of
 * one who has that much in messages that wait for their commit: these go on.
 */
void
saga_source_hold_memory(SagaReceiver *receiver)
{
	ListCell   *lc;

	foreach(lc, receiver->owners)
	{
		SagaSourceOwner *owner = lfirst(lc);
		bool		holds = owner->held > 0 && !saga_account_has_room(owner->account, 0);

		if (holds && owner->account->first == NULL)
			owner->account->first = owner;
		else if (!holds && owner->account->first == owner)
			owner->account->first = NULL;
	}
}

bool
saga_source_owner_may_settle(const SagaReceiver *receiver, const SagaSourceOwner *owner)
{
	return has_room(owner->settling, receiver->settling, SAGA_RECEIVER_MAX_SETTLING);
}

bool
saga_source_owner_has_time(const SagaSourceOwner *owner)
{
	return owner->used_us < TURN_US;
}

/* What is not logged is in saga.sources. */
bool
saga_source_owner_may_log(SagaSourceOwner *owner)
{
	TimestampTz now = saga_monotonic_now();

	if (owner->logged == 0 || now >= TimestampTzPlusMilliseconds(owner->log_from, 60000))
	{
		owner->log_from = now;
		owner->logged = 0;
	}
	return owner->logged++ < LOG_LINES;
}

/* ---------- turns ---------- */

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

static bool
start_pending_of(SagaReceiver *receiver, SagaSourceOwner *owner)
{
	SagaSourceRequest *request;
	SagaReadiness readiness;
	char	   *error = NULL;

	if (!saga_source_owner_may_settle(receiver, owner) || saga_http_active(receiver->http) >= saga_http_max(receiver->http))
		return false;
	request = next_pending(owner, receiver->pending_at);
	if (request == NULL)
		return false;
	readiness = saga_source_request_start(request, receiver->http, &error);
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
		MemoryContextReset(receiver->work);
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
