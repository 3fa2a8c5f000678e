/*
 * common.h
 *		What every module of pg_saga uses: ids, the extension itself, locks.
 *		Statements are statement.h's.
 */
#ifndef SAGA_COMMON_H
#define SAGA_COMMON_H

#include "common/compat.h"

#include "datatype/timestamp.h"
#include "storage/lockdefs.h"
#include "utils/uuid.h"

/* ---------- ids (uuid.c) ---------- */

/*
 * A new UUIDv7.  Ids of one process never go back, also when the clock does
 * and within one millisecond.
 */
extern pg_uuid_t saga_uuid_new(void);

/*
 * The same for saga.make_id(): whoever has it may give it to an execution.  own:
 * it may be one of saga_uuid_new.  One that somebody made elsewhere is either.
 */
extern pg_uuid_t saga_uuid_new_to_give(void);
extern bool saga_uuid_is_own(const pg_uuid_t *id);

/*
 * An id of ours that SQL of ours is to give back when it uses it.  take says
 * whether it was made in this statement, and not taken before: then nobody else
 * has taken it, though somebody may know it (engine/execution_id.c).
 */
extern pg_uuid_t saga_uuid_offer(void);
extern bool saga_uuid_take_offer(const pg_uuid_t *id);

extern const pg_uuid_t saga_uuid_min;	/* all zero: below every id */
extern const pg_uuid_t saga_uuid_max;	/* all ones: above every id */

static inline int
saga_uuid_cmp(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return memcmp(a->data, b->data, UUID_LEN);
}

/* The time that an id was made at; DT_NOEND: it is no UUIDv7, somebody chose it. */
extern TimestampTz saga_uuid_time(const pg_uuid_t *id);

/* Below all ids that were made from then on, above those that were made before; as fine as ids of ours are. */
extern pg_uuid_t saga_uuid_of_time(TimestampTz at);

extern pg_uuid_t saga_uuid_previous(const pg_uuid_t *id);	/* id - 1, stops at zero */
extern char *saga_uuid_to_cstring(const pg_uuid_t *id); /* palloc'd, 36 characters */
extern bool saga_uuid_parse(const char *text, pg_uuid_t *id);	/* false: no uuid */

/* ---------- the extension (extension.c) ---------- */

/*
 * This process serves all owners: it waits for none of them.  Its lock_timeout
 * is SAGA_SERVER_LOCK_TIMEOUT, as a net below try-locks and SKIP LOCKED.  In
 * other processes the user's own lock_timeout counts, and in a batch what it sets.
 */
#define SAGA_SERVER_LOCK_TIMEOUT	"1s"
extern bool saga_serves_all;

/* The extension: its oid, its owner; InvalidOid when it is not there (missing_ok). */
extern Oid	saga_extension_oid(bool missing_ok);
extern Oid	saga_extension_owner(void);

/* Has it the version of this library?  If not, says so in the log, once per process. */
extern bool saga_extension_is_current(void);

/* The lock on the extension, shared, until the end of the transaction: DROP EXTENSION waits. */
extern void saga_extension_lock(void);

/* The same without a look whether the extension is still there; whoever drops it takes AccessExclusiveLock. */
extern void saga_extension_lock_as(Oid oid, LOCKMODE mode);

/* The library was preloaded by the server, so that its hooks see every command. */
extern bool saga_in_every_session;

/* The relation saga.NAME. */
extern Oid	saga_relation_oid(const char *name);

/* What LockDatabaseObject does of a row's "object", without waiting; false: somebody has it. */
extern bool saga_common_object_try_lock(Oid relid, int32 id, LOCKMODE mode);

/* ---------- after a commit (commit.c) ---------- */

/*
 * From _PG_init: called after each commit, when its invalidation messages are
 * out.  What wakes another process belongs here; it may neither raise nor
 * allocate.  Not called for PREPARE TRANSACTION.
 */
typedef void (*saga_teller) (void);
extern void saga_after_commit(saga_teller teller);

/*
 * commit_log.c: a line for the log, once this transaction has committed; few
 * of them in a minute.  No payload, no secret, no text of another's server.
 */
extern void saga_after_commit_log(const char *format, ...) pg_attribute_printf(1, 2);
extern void saga_after_commit_log_init(void);	/* from _PG_init */

/* ---------- locks for dropping and changing (lock.c) ---------- */

/*
 * Takes what locks the function takes, all or none, without holding up others that
 * want a weaker one: it waits for a moment at a time.  Raises LOCK_NOT_AVAILABLE when
 * they are not to be had in a few seconds, or in the user's lock_timeout.  The
 * function runs in a subtransaction, and may run several times.
 */
typedef void (*SagaTakeLocks) (void *arg);

extern void saga_take_locks(SagaTakeLocks take, void *arg, const char *what, const char *name);

/*
 * Somebody is told an id, or that an answer was taken: at the commit it is on
 * disk, whatever synchronous_commit says.
 */
extern void saga_accepted(void);

/*
 * A transaction of a process that serves all owners: READ COMMITTED and
 * read-write, whatever the defaults of role and database are.
 */
extern void saga_background_begin(void);

/*
 * The same with a snapshot and the lock on the extension, told as "activity"
 * in pg_stat_activity; and its commit.
 */
extern void saga_background_begin_work(const char *activity);
extern void saga_background_commit_work(void);

/* ---------- errors ---------- */

/*
 * Trouble of the engine or the server, never a step's failure: 40001, 40P01,
 * 55P03 and classes 53, 57, 08, 58.
 */
extern bool saga_errcode_is_infrastructure(int sqlerrcode);

/*
 * Calls fn in a subtransaction, which is undone if it raises.  Returns its
 * error, in the caller's context; NULL: none.  What is not fn's fault is
 * raised again: a cancellation, trouble of the server (attempt.c).
 */
typedef void (*saga_attempt_fn) (void *arg);
extern ErrorData *saga_common_attempt(saga_attempt_fn fn, void *arg);

#endif							/* SAGA_COMMON_H */
