/*
 * entry_private.h
 *		What is left of an execution after its end, and executions that go on after it.
 */
#ifndef SAGA_ENGINE_ENTRY_PRIVATE_H
#define SAGA_ENGINE_ENTRY_PRIVATE_H

#include "engine/engine_private.h"
#include "engine/workflow_private.h"

/* ---------- how calls went (settle.c) ---------- */

/* saga_outbox_drop_hook */
extern bool saga_engine_settle_dropped(int32 destination_id, bool force, int *pid);

/* ---------- what an execution has left (entry.c) ---------- */

/*
 * The entries of not_compensated, in the execution and in its dead letter.
 *
 * lock: what a person speaks of; true: the execution has not ended.  settle: a person says it.  undone: the execution that undoes one has ended.
 * event: what comes for an execution that has ended; false: somebody has
 * locked its rows.  close: nobody settles or undoes them any more; heir: the
 * execution that is started for this one, or NULL.
 */
extern bool saga_entry_lock(const pg_uuid_t *execution_id, int32 workflow_id);

/* Of one that is known to have ended. */
extern void saga_entry_lock_ended(const pg_uuid_t *execution_id, int32 workflow_id);
extern void saga_entry_settle(const pg_uuid_t *message_id, const SagaWorkflow *workflow,
							  const pg_uuid_t *execution_id, bool done, Jsonb *output);

/* The same for one of many: false where somebody else has it. */
extern bool saga_entry_try_lock(const pg_uuid_t *execution_id, int32 workflow_id, bool *live);

/* What an open entry is. */
#define SAGA_ENTRY_OPEN		0x01
#define SAGA_ENTRY_UNKNOWN	0x02
#define SAGA_ENTRY_UNDOING	0x04
#define SAGA_ENTRY_ASKED	0x08

/* One of many calls, with its entry. */
typedef struct SagaLeftCall
{
	pg_uuid_t	message_id;
	pg_uuid_t	execution_id;
	int32		workflow_id;
	int			task_id;
	int			entry;			/* SAGA_ENTRY_*; 0: none is open */
	bool		chosen;			/* the entry is to be changed */
} SagaLeftCall;

typedef enum SagaEntryChange
{
	SAGA_ENTRY_GOES,
	SAGA_ENTRY_IS_ASKED,
	SAGA_ENTRY_IS_UNKNOWN
} SagaEntryChange;

/*
 * Of many calls of one execution.  Its list may name thousands of them, so it
 * is read once and written once.  look: fills in the entries, of which none is
 * chosen then.  change: of those that are chosen, when the rows are locked.
 */
extern void saga_entry_look(SagaLeftCall *calls, int n);
extern void saga_entry_change(const SagaLeftCall *calls, int n, SagaEntryChange how);

extern void saga_entry_undone(const SagaJob *job);
extern bool saga_entry_event(const SagaItem *item, int32 workflow_id);
extern void saga_entry_close(const pg_uuid_t *execution_id, int32 workflow_id, const pg_uuid_t *heir);

/* ---------- executions that go on after their end (redrive.c) ---------- */

/* In the transaction in which the run fails, or ends: what is needed to redrive it. */
extern void saga_engine_redrive_keep(const SagaJob *job);

/* One that was redriven has ended: its record is made that of all its runs. */
extern void saga_engine_redrive_ended(SagaJob *job);

typedef enum SagaInPlace
{
	SAGA_IN_PLACE_GOES_ON,
	SAGA_IN_PLACE_STAYS,		/* it must not; not raised of one of many */
	SAGA_IN_PLACE_HAS_NO_POINT	/* nothing tells where it could */
} SagaInPlace;

/*
 * One whose dead letter the caller has locked, and may redrive, goes on where it failed.
 * *why: it has no point.
 */
extern SagaInPlace saga_engine_redrive_in_place(const SagaQueue *queue, const pg_uuid_t *id, const SagaRedriveHow *how, char **why);

/* The hook of saga.redrive (redrive_letter.c). */
extern bool saga_engine_redrive_letter(const SagaQueue *queue, const SagaDeadLetter *letter, const SagaRedriveHow *how,
									   pg_uuid_t *as);

#endif							/* SAGA_ENGINE_ENTRY_PRIVATE_H */
