/*
 * session.c
 *		Steps in a session that is another role's: SET ROLE x; CALL saga.drain().
 *
 * Whatever such a step leaves in the session is found later by whoever the
 * session belongs to, a superuser perhaps: a temporary table with a trigger
 * under the name of a table of his, a type in pg_temp under the name of a
 * system's type, a prepared statement or a cursor.  So after each execution
 * all of it is dropped, as in a worker.  And whatever the session has is
 * within reach of the step, which may fetch from a cursor, give back a lock
 * or drop a table that is not its own, and would go with what steps leave.
 *
 * Refusing what leaves something (SECURITY_RESTRICTED_OPERATION) would lose
 * nothing of the caller's.  But it refuses steps that are right: temporary
 * tables and deferred constraints work in a worker; and it does not refuse
 * what is worst, types and functions in pg_temp.  So it is the call that is
 * refused, before anything runs, when the session has something of its own.
 *
 * Prepared statements alone are told apart: drivers make them behind one's
 * back, even for the CALL itself, and to execute another's gives nothing.
 * The ProcessUtility hook notes the names of those that steps make.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "common/statement.h"
#include "engine/engine.h"
#include "engine/step_private.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/portal.h"

/* The session belongs to another role than the steps that run now. */
static bool foreign = false;

/* Names of prepared statements that steps made, since the last cleaning. In TopMemoryContext. */
static List *prepared = NIL;


/* ---------- the call ---------- */

static void
refuse_session(const char *why)
{
	const char *role = GetUserNameFromId(GetUserId(), false);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("saga.drain() cannot run steps of role \"%s\" in this session", role),
			 errdetail("%s", why),
			 errhint("Connect as \"%s\", or use a new session.", role)));
}

/* Other portals than those that are running, the CALL and what is around it. */
static bool
has_cursors(void)
{
	static SagaStatement stmt = {.sql = "SELECT name FROM pg_catalog.pg_cursors", .read_only = true};
	SagaRows   *rows = saga_query(&stmt);
	bool		found = false;

	while (!found && saga_rows_next(rows))
	{
		Portal		portal = GetPortalByName(saga_column_text(rows, "name"));

		found = PortalIsValid(portal) && portal->status != PORTAL_ACTIVE;
	}
	saga_rows_free(rows);
	return found;
}

/*
 * At the begin of a transaction, so that a lock that is held is the session's.
 * Advisory locks of SQL have part 1 or 2; others are our own.
 */
void
saga_session_begin_foreign(void)
{
	static SagaStatement temporary = {
		.sql = "SELECT FROM pg_catalog.pg_depend"
		" WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass"
		" AND refobjid = pg_catalog.pg_my_temp_schema()",
		.read_only = true,
		.limit = 1
	};
	static SagaStatement locks = {
		.sql = "SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory'"
		" AND pid = pg_catalog.pg_backend_pid() AND objsubid IN (1, 2)",
		.read_only = true,
		.limit = 1
	};

	if (saga_run(&temporary) > 0)
		refuse_session("It belongs to another role and has temporary objects, which the steps could reach.");
	if (has_cursors())
		refuse_session("It belongs to another role and has open cursors, which the steps could reach.");
	if (saga_run(&locks) > 0)
		refuse_session("It belongs to another role and has advisory locks, which the steps could give back.");
	foreign = true;
}

bool
saga_session_is_foreign(void)
{
	return foreign;
}

/*
 * However the call ended.  A failed transaction has taken with it what is
 * transactional; here goes what is not.  The caller's own currval goes too:
 * an error is better than a lastval that a step has chosen.
 */
void
saga_session_end_foreign(void)
{
	uint64		seed = 0;

	if (!foreign)
		return;
	saga_session_forget();
	ResetSequenceCaches();
	if (pg_strong_random(&seed, sizeof(seed)))
		(void) DirectFunctionCall1(setseed, Float8GetDatum((double) (seed >> 11) / (UINT64CONST(1) << 53)));
	foreign = false;
}

/* ---------- what steps leave ---------- */

/* What a rollback does not undo. */
void
saga_session_forget(void)
{
	ListCell   *lc;

	if (!foreign)
		return;
	foreach(lc, prepared)
		DropPreparedStatement(lfirst(lc), false);
	list_free_deep(prepared);
	prepared = NIL;
	LockReleaseSession(USER_LOCKMETHOD);
}

void
saga_session_clean(void)
{
	/* the session had none when the call began; those that run are left alone */
	PortalHashTableDeleteAll();
	saga_session_forget();
	ResetTempTableNamespace();
}

/* ---------- commands in steps ---------- */

static bool
is_noted(const char *name)
{
	ListCell   *lc;

	foreach(lc, prepared)
		if (strcmp(lfirst(lc), name) == 0)
		return true;
	return false;
}

static void
note_prepared(const char *name)
{
	MemoryContext old;

	if (name[0] == '\0' || is_noted(name) || FetchPreparedStatement(name, false) != NULL)
		return;					/* the server refuses it */
	old = MemoryContextSwitchTo(TopMemoryContext);
	prepared = lappend(prepared, pstrdup(name));
	MemoryContextSwitchTo(old);
}

/*
 * From the ProcessUtility hook, before a command of a step.  True: there is
 * nothing left to do.
 */
bool
saga_session_command(Node *stmt)
{
	const char *name;

	if (!foreign)
		return false;
	switch (nodeTag(stmt))
	{
		case T_PrepareStmt:
			note_prepared(((PrepareStmt *) stmt)->name);
			return false;
		case T_DeallocateStmt:
			name = ((DeallocateStmt *) stmt)->name;
			if (name == NULL)
			{
				/* all: those of the steps */
				ListCell   *lc;

				foreach(lc, prepared)
					DropPreparedStatement(lfirst(lc), false);
				return true;
			}
			if (!is_noted(name))
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_PSTATEMENT),
						 errmsg("prepared statement \"%s\" does not exist", name)));
			return false;
		case T_ListenStmt:
			/* as in a worker */
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot execute %s in a step", "LISTEN")));
			return false;
		case T_UnlistenStmt:
			return true;
		default:
			return false;
	}
}
