/*
 * share.c
 *		Owners of sources, and how much each has of the process that serves all:
 *		connections, memory, time, lines of the log.
 *
 * What a server of one owner does, one that answers nothing or answers with
 * too much, is paid for out of that owner's share.  Receives and what follows
 * them, deletes and extensions, have connections of their own, so that neither
 * waits for the other.  Who has his share when is turn.c's.
 *
 * A share is never fixed: has_room() gives an owner at most twice what is
 * free, of each thing.  So one alone has two thirds, two have two fifths
 * each, and there is always something left for one who comes new.
 */
#include "postgres.h"

#include "common/clock.h"
#include "source/receiver_private.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define TURN_US			30000	/* of an owner, before the next one is served */
#define MAX_PENDING		1000	/* of an owner: then nothing more is received for him */
#define LOG_LINES		20		/* of an owner in a minute */

SagaSourceOwner *
saga_source_owner(SagaReceiver *receiver, Oid role)
{
	SagaAccount *account = saga_budget_account(receiver->loop.budget, role);
	MemoryContext old;
	SagaSourceOwner *owner;
	ListCell   *lc;

	foreach(lc, receiver->owners)
	{
		owner = lfirst(lc);
		if (owner->account == account)
			return owner;
	}
	old = MemoryContextSwitchTo(receiver->loop.context);
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
