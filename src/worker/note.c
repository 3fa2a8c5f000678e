/*
 * note.c
 *		Why the executions of an owner wait, in shared memory for saga.workers.
 *
 * There are SAGA_MAX_NOTES places, which databases share fairly.  saga_shared->lock
 * protects them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "worker/procs_private.h"

const char *
saga_worker_owner_problem(Oid owner)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner));
	bool		can_login;

	if (!HeapTupleIsValid(tuple))
		return psprintf("role %u does not exist", owner);
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
#ifndef BGWORKER_BYPASS_ROLELOGINCHECK
	if (!can_login)
		return psprintf("role \"%s\" is not permitted to log in, which workers need before PostgreSQL 17",
						GetUserNameFromId(owner, false));
#else
	(void) can_login;
#endif
	if (saga_database_aclcheck(MyDatabaseId, owner, ACL_CONNECT) != ACLCHECK_OK)
		return psprintf("role \"%s\" has no CONNECT privilege on this database",
						GetUserNameFromId(owner, false));
	return NULL;
}

/*
 * A place for one more reason: a free one, else the newest of the database that
 * has most, if that has more than ours would have.  So one database with very many
 * does not take all of them.  NULL: there is none.
 */
static SagaNote *
place_for_note(Oid dboid)
{
	SagaNote   *place = NULL;
	int			most = 0;
	int			ours = 0;

	for (int i = 0; i < SAGA_MAX_NOTES; i++)
		ours += saga_procs->notes[i].dboid == dboid;
	for (int i = 0; i < SAGA_MAX_NOTES; i++)
	{
		SagaNote   *note = &saga_procs->notes[i];
		int			n = 0;

		if (!OidIsValid(note->dboid))
			return note;
		for (int j = 0; j < SAGA_MAX_NOTES; j++)
			n += saga_procs->notes[j].dboid == note->dboid;
		if (n > most || (n == most && note->since > place->since))
			place = note;
		most = Max(most, n);
	}
	return most > ours + 1 ? place : NULL;
}

/* The place of this owner's reason; NULL: there is none. */
static SagaNote *
find_note(Oid dboid, Oid owner)
{
	for (int i = 0; i < SAGA_MAX_NOTES; i++)
	{
		SagaNote   *note = &saga_procs->notes[i];

		if (note->dboid == dboid && note->owner == owner)
			return note;
	}
	return NULL;
}

void
saga_worker_note_keep(Oid dboid, const List *owners)
{
	LWLockAcquire(saga_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SAGA_MAX_NOTES; i++)
	{
		SagaNote   *n = &saga_procs->notes[i];

		if (n->dboid == dboid && !list_member_oid(owners, n->owner))
			n->dboid = InvalidOid;
	}
	LWLockRelease(saga_shared->lock);
}

/*
 * Says whether that is news, so that the log tells each reason once.  Of a
 * reason that changes "since" begins anew.
 */
SagaNoted
saga_worker_note_set(Oid dboid, Oid owner, const char *reason)
{
	SagaNote   *note;
	SagaNoted	result = SAGA_NOTED;

	LWLockAcquire(saga_shared->lock, LW_EXCLUSIVE);
	note = find_note(dboid, owner);
	if (reason == NULL)
	{
		if (note != NULL)
			note->dboid = InvalidOid;
	}
	else if (note == NULL || strcmp(note->reason, reason) != 0)
	{
		if (note == NULL)
			note = place_for_note(dboid);
		result = note == NULL ? SAGA_NOTE_FULL : SAGA_NOTE_NEW;
		if (note != NULL)
		{
			note->dboid = dboid;
			note->owner = owner;
			note->since = GetCurrentTimestamp();
			strlcpy(note->reason, reason, sizeof(note->reason));
		}
	}
	LWLockRelease(saga_shared->lock);
	return result;
}
