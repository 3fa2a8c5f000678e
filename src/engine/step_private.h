/*
 * step_private.h
 *		SQL functions that are called as steps, and the session that they run in.
 */
#ifndef SAGA_ENGINE_STEP_PRIVATE_H
#define SAGA_ENGINE_STEP_PRIVATE_H

#include "engine/engine_private.h"

/*
 * Calls a SQL function as the current user.  Returns its result, or NULL and
 * *error (with *cause) when it cannot be called or answered saga.failure();
 * raises what it raises.
 */
extern Jsonb *saga_step_call(const char *function, Jsonb *input, Jsonb *(*context) (void *arg), void *arg,
							 int64 timeout_ms, const char **error, char **cause);

/* Could a step of this user's call it now?  If not, why. */
extern bool saga_step_may_call(const char *function, Oid user, const char **error, char **cause);

/*
 * Runs a query of one column of jsonb as the current user, and hands each value
 * on as it comes; row is called within the query.  with_arg: it has a parameter;
 * max: not more rows than that, 0: all.  Raises what the query raises.
 */
extern void saga_step_query(const char *sql, Jsonb *arg, bool with_arg, int64 max, int64 timeout_ms,
							void (*row) (Jsonb *value, int64 index, void *arg), void *row_arg);

extern void saga_step_begin_batch(MemoryContext batch_context);

/* After any error: cached FmgrInfos are stale. */
extern void saga_step_reset(MemoryContext batch_context);

/* For every catch block around a step: its timer must not fire into something else. */
extern void saga_step_interrupted(void);

/* The error that was raised by a step, as Retry and Catch see it; saves no memory of edata. */
extern void saga_step_error(const ErrorData *edata, const char **error, char **cause);
extern Jsonb *saga_step_take_report(void);	/* what else it has said, once; NULL: nothing */

/*
 * The last error was a step's own TimeoutSeconds, or (overstayed)
 * pg_saga.step_timeout, or (cancelled) pg_cancel_backend().
 */
extern bool saga_step_timed_out;
extern bool saga_step_overstayed;
extern bool saga_step_cancelled;
extern void saga_step_timeout_error(bool overstayed, bool cancelled, const char **error, char **cause);

/* Drop what the execution left in the session. */
extern void saga_step_hygiene(bool in_drain);

/* In a signal handler, when a step runs: cancels it. */
extern void saga_step_interrupt(void);

/* ---------- sessions of another role (session.c) ---------- */

/* The same where the session is another role's (session.c). */
extern bool saga_session_is_foreign(void);
extern void saga_session_clean(void);

#endif							/* SAGA_ENGINE_STEP_PRIVATE_H */
