/*
 * step.c
 *		SQL steps: calling a function of the owner's through fmgr.
 *
 * fmgr checks nothing, so this file does what the executor would: the right
 * to EXECUTE (and USAGE on the schema) of the current user, kind, result type
 * and NULLs.  One FmgrInfo per function and batch, in the batch's memory:
 * SQL functions keep their plans there and would leak into a longer life.
 * After any error all of them are made anew: one that an error left behind
 * points to freed memory and crashes the server at its next call.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/prepare.h"
#include "commands/trigger.h"
#include "common/statement.h"
#include "engine/engine.h"
#include "engine/batch_private.h"
#include "engine/step_private.h"
#include "engine/stop_private.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/regproc.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "value/doc.h"

PG_FUNCTION_INFO_V1(saga_fail);
PG_FUNCTION_INFO_V1(saga_failure);

#define ERRCODE_SAGA_FAIL MAKE_SQLSTATE('S', 'A', 'G', '0', '1')

typedef struct StepFunction
{
	const char *name;			/* "schema.function" */
	FmgrInfo	flinfo;
	int			nargs;
} StepFunction;

/* Cache of the batch; lives in step_context. */
static MemoryContext step_context = NULL;
static List *functions = NIL;

/* What saga.failure() answers with is told apart from data by this. */
static uint64 failure_nonce = 0;

bool		saga_in_step = false;
bool		saga_step_timed_out = false;

bool		saga_step_overstayed = false;
bool		saga_step_cancelled = false;

static TimeoutId step_timeout;
static bool step_timeout_registered = false;

static void
step_timeout_handler(void)
{
	saga_step_timed_out = true;
	saga_step_interrupt();
}

void
saga_step_timeout_error(bool overstayed, bool cancelled, const char **error, char **cause)
{
	*error = "States.Timeout";
	if (cancelled)
	{
		*error = "SQL.57014";
		*cause = pstrdup("the step was cancelled by pg_cancel_backend()");
	}
	else if (overstayed)
		*cause = pstrdup("the step ran longer than pg_saga.step_timeout while others waited for a worker, and was cancelled");
	else
		*cause = pstrdup("the step ran longer than its TimeoutSeconds and was cancelled");
}

void
saga_step_cancel(void)
{
	if (!saga_in_step)
		return;
	if (!saga_step_timed_out)
		saga_step_overstayed = true;
	step_timeout_handler();
}

void
saga_step_cancel_by_user(void)
{
	if (!saga_in_step)
		return;
	if (!saga_step_timed_out)
		saga_step_cancelled = true;
	step_timeout_handler();
}

/* What else the last error of a step has said, in the memory of the batch; NULL: nothing, or it was taken. */
static MemoryContext report_context = NULL;
static Jsonb *step_report = NULL;

void
saga_step_begin_batch(MemoryContext batch_context)
{
	step_context = NULL;		/* went with the batch before, however that ended */
	report_context = batch_context;
	step_report = NULL;
	saga_step_reset(batch_context);
}

void
saga_step_reset(MemoryContext batch_context)
{
	if (step_context)
		MemoryContextDelete(step_context);
	step_context = AllocSetContextCreate(batch_context, "pg_saga steps", ALLOCSET_DEFAULT_SIZES);
	functions = NIL;
}

static Oid
function_owner(Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * function(jsonb), or else function(jsonb, jsonb).  When both are there and
 * belong to different roles, one of these may have put its own beside that of
 * the other, which was meant: only an extension's is trusted then.
 */
static Oid
look_up_function(Oid nsp, const char *function, bool *ambiguous)
{
	Oid			argtypes[2] = {JSONBOID, JSONBOID};
	Oid			oids[2];
	bool		of_extension[2];
	int			i;

	*ambiguous = false;
	for (i = 0; i < 2; i++)
		oids[i] = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
								  CStringGetDatum(function),
								  PointerGetDatum(buildoidvector(argtypes, i + 1)),
								  ObjectIdGetDatum(nsp));
	if (!OidIsValid(oids[0]) || !OidIsValid(oids[1]))
		return OidIsValid(oids[0]) ? oids[0] : oids[1];
	if (function_owner(oids[0]) == function_owner(oids[1]))
		return oids[0];
	for (i = 0; i < 2; i++)
		of_extension[i] = OidIsValid(getExtensionOfObject(ProcedureRelationId, oids[i]));
	*ambiguous = of_extension[0] == of_extension[1];
	return of_extension[0] ? oids[0] : oids[1];
}

/*
 * Its oid; InvalidOid, and why in *error and *cause, when there is no such
 * function, or not one that can be a step, or the user has no right to it.
 */
static Oid
check_function(const char *name, Oid user, int *nargs, const char **error, char **cause)
{
	List	   *names;
	Oid			nsp;
	Oid			oid;
	bool		ambiguous = false;
	bool		usable;
	char	   *schema;
	char	   *function;
	HeapTuple	tuple;
	Form_pg_proc proc;

	*error = "SQL.42883";
	names = saga_qualified_name_list(name);
	if (list_length(names) != 2)
	{
		*cause = psprintf("\"%s\" does not name a function with its schema", name);
		return InvalidOid;
	}
	schema = strVal(linitial(names));
	function = strVal(lsecond(names));
	nsp = get_namespace_oid(schema, true);
	oid = OidIsValid(nsp) ? look_up_function(nsp, function, &ambiguous) : InvalidOid;
	if (ambiguous)
	{
		*error = "SQL.42725";
		*cause = psprintf("functions %s(jsonb) and %s(jsonb, jsonb) belong to different roles: drop the one that is not meant",
						  name, name);
		return InvalidOid;
	}
	if (!OidIsValid(oid))
	{
		*cause = psprintf("function %s(jsonb) or %s(jsonb, jsonb) does not exist", name, name);
		return InvalidOid;
	}
	if (saga_namespace_aclcheck(nsp, user, ACL_USAGE) != ACLCHECK_OK ||
		saga_proc_aclcheck(oid, user, ACL_EXECUTE) != ACLCHECK_OK)
	{
		*error = "SQL.42501";
		*cause = psprintf("permission denied for function %s: role \"%s\", which owns the workflow, needs EXECUTE on it and USAGE on its schema",
						  name, GetUserNameFromId(user, true));
		return InvalidOid;
	}
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
	{
		*cause = psprintf("function %s does not exist", name);
		return InvalidOid;
	}
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	*nargs = proc->pronargs;
	usable = proc->prorettype == JSONBOID && proc->prokind == PROKIND_FUNCTION && !proc->proretset;
	ReleaseSysCache(tuple);
	if (!usable)
	{
		*error = "SQL.42809";
		*cause = psprintf("%s is no function that returns one jsonb", name);
		return InvalidOid;
	}
	return oid;
}

bool
saga_step_may_call(const char *name, Oid user, const char **error, char **cause)
{
	int			nargs;

	return OidIsValid(check_function(name, user, &nargs, error, cause));
}

/* Returns NULL and says why in *cause when it cannot be called. */
static StepFunction *
find_function(const char *name, const char **error, char **cause)
{
	int			nargs;
	Oid			oid = check_function(name, GetUserId(), &nargs, error, cause);
	StepFunction *step;
	MemoryContext old;

	if (!OidIsValid(oid))
		return NULL;
	old = MemoryContextSwitchTo(step_context);
	step = palloc0(sizeof(StepFunction));
	step->name = pstrdup(name);
	step->nargs = nargs;
	fmgr_info_cxt(oid, &step->flinfo, step_context);
	functions = lappend(functions, step);
	MemoryContextSwitchTo(old);
	return step;
}

static StepFunction *
get_function(const char *name, const char **error, char **cause)
{
	ListCell   *lc;

	foreach(lc, functions)
	{
		StepFunction *step = lfirst(lc);

		if (step->name == name || strcmp(step->name, name) == 0)
			return step;
	}
	return find_function(name, error, cause);
}

/* saga.failure() marks its answer with the nonce of this process. */
static bool
is_failure(Jsonb *result, const char **error, char **cause)
{
	JsonbValue	v;
	char	   *mark;
	char		nonce[32];

	if (failure_nonce == 0 || !JB_ROOT_IS_OBJECT(result) || JB_ROOT_COUNT(result) != 3 ||
		!saga_jsonb_get(result, "saga.failure", &v))
		return false;
	mark = saga_jsonb_get_string(result, "saga.failure");
	snprintf(nonce, sizeof(nonce), UINT64_FORMAT, failure_nonce);
	if (mark == NULL || strcmp(mark, nonce) != 0)
		return false;
	*error = saga_jsonb_get_string(result, "error");
	*cause = saga_jsonb_get_string(result, "cause");
	return true;
}

/* What the step may take; 0: as long as it likes. */
static void
arm_timeout(int64 timeout_ms)
{
	if (timeout_ms <= 0)
		return;
	if (!step_timeout_registered)
	{
		step_timeout = RegisterTimeout(USER_TIMEOUT, step_timeout_handler);
		step_timeout_registered = true;
	}
	enable_timeout_after(step_timeout, (int) Min(timeout_ms, INT_MAX));
}

static void
disarm_timeout(int64 timeout_ms)
{
	if (timeout_ms > 0)
		disable_timeout(step_timeout, false);
}

/*
 * Deferred constraints and triggers are checked at the end of each step: an
 * execution may be committed between any two, so a later step cannot be what
 * makes them true.
 */
Jsonb *
saga_step_call(const char *name, Jsonb *input, Jsonb *(*context) (void *arg), void *arg,
			   int64 timeout_ms, const char **error, char **cause)
{
	LOCAL_FCINFO(fcinfo, 2);
	StepFunction *step = get_function(name, error, cause);
	MemoryContext caller = CurrentMemoryContext;
	Datum		result;
	Jsonb	   *output;

	*cause = step ? NULL : *cause;
	if (step == NULL)
		return NULL;

	InitFunctionCallInfoData(*fcinfo, &step->flinfo, step->nargs, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(input);
	fcinfo->args[0].isnull = false;
	if (step->nargs == 2)
	{
		fcinfo->args[1].value = JsonbPGetDatum(context(arg));
		fcinfo->args[1].isnull = false;
	}

	/*
	 * STABLE functions read with the active snapshot: let it see the steps
	 * before
	 */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	saga_step_timed_out = false;
	saga_step_overstayed = false;
	saga_step_cancelled = false;
	saga_step_crowded = false;
	arm_timeout(timeout_ms);
	saga_in_step = true;
	saga_stop_check();			/* a signal that came before that has cancelled nothing */
	saga_proc_step_begin();
	result = FunctionCallInvoke(fcinfo);
	MemoryContextSwitchTo(caller);
	output = fcinfo->isnull ? NULL : DatumGetJsonbPCopy(result);
	AfterTriggerFireDeferred();
	saga_in_step = false;
	saga_proc_step_end();
	disarm_timeout(timeout_ms);
	if (saga_step_timed_out || saga_step_crowded || saga_run_stopped)
		CHECK_FOR_INTERRUPTS(); /* just before the end */
	if (saga_step_crowded)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("step of function %s was cancelled, as others in its batch waited, and went on", name)));
	PopActiveSnapshot();

	if (output == NULL)
		return saga_jsonb_null();
	if (is_failure(output, error, cause))
		return NULL;
	*error = NULL;
	return output;
}

void
saga_step_query(const char *sql, Jsonb *arg, bool with_arg, int64 max, int64 timeout_ms,
				void (*row) (Jsonb *value, int64 index, void *arg), void *row_arg)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	saga_step_timed_out = saga_step_overstayed = saga_step_cancelled = saga_step_crowded = false;
	arm_timeout(timeout_ms);
	saga_in_step = true;
	saga_stop_check();
	saga_proc_step_begin();
	saga_stream(sql, with_arg ? arg : NULL, max, row, row_arg);
	AfterTriggerFireDeferred();
	saga_in_step = false;
	saga_proc_step_end();
	disarm_timeout(timeout_ms);
	if (saga_step_timed_out || saga_step_crowded || saga_run_stopped)
		CHECK_FOR_INTERRUPTS(); /* just before the end */
	PopActiveSnapshot();
}

/* It may have fired while the step failed for another reason. */
void
saga_step_interrupted(void)
{
	saga_in_step = false;
	saga_proc_step_end();
	if (step_timeout_registered && get_timeout_active(step_timeout))
		disable_timeout(step_timeout, false);
	if (saga_step_timed_out || saga_step_crowded || saga_run_stopped)
		QueryCancelPending = false;
}

Jsonb *
saga_step_take_report(void)
{
	Jsonb	   *report = step_report;

	step_report = NULL;
	return report;
}

/* Bytes of each text of a report. */
#define MAX_REPORTED	4096

static void
report_text(JsonbParseState **state, const char *name, const char *text, int length)
{
	if (text != NULL && length > 0)
		saga_doc_push_string(state, name, pnstrdup(text, pg_mbcliplen(text, length, MAX_REPORTED)));
}

/* Whose execution it is, and its state, are known where this is kept: that line of the context is left out. */
static int
context_length(const char *context)
{
	const char *ours = NULL;

	for (const char *line = context; line != NULL; line = strchr(line, '\n'))
	{
		line += *line == '\n';
		if (strncmp(line, SAGA_CONTEXT_BEGINS, strlen(SAGA_CONTEXT_BEGINS)) == 0)
			ours = line;
	}
	if (context == NULL)
		return 0;
	return ours == NULL ? strlen(context) : ours == context ? 0 : ours - context - 1;
}

static Jsonb *
make_report(const ErrorData *edata)
{
	JsonbParseState *state = NULL;
	int			length = context_length(edata->context);

	if (edata->detail == NULL && edata->hint == NULL && length == 0)
		return NULL;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	report_text(&state, "detail", edata->detail, edata->detail != NULL ? strlen(edata->detail) : 0);
	report_text(&state, "hint", edata->hint, edata->hint != NULL ? strlen(edata->hint) : 0);
	report_text(&state, "context", edata->context, length);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

void
saga_step_error(const ErrorData *edata, const char **error, char **cause)
{
	MemoryContext old;

	saga_step_interrupted();
	step_report = NULL;
	if (edata->sqlerrcode == ERRCODE_SAGA_FAIL)
	{
		*error = edata->datatype_name ? pstrdup(edata->datatype_name) : "SQL.SAG01";
		*cause = pstrdup(edata->message ? edata->message : "");
		return;
	}
	if (saga_step_timed_out && edata->sqlerrcode == ERRCODE_QUERY_CANCELED)
	{
		saga_step_timeout_error(saga_step_overstayed, saga_step_cancelled, error, cause);
		return;
	}
	*error = psprintf("SQL.%s", unpack_sql_state(edata->sqlerrcode));
	/* whoever takes it may have left the memory of the step by then */
	old = MemoryContextSwitchTo(report_context);
	step_report = make_report(edata);
	MemoryContextSwitchTo(old);
	*cause = edata->detail ?
		psprintf("%s: %s", edata->message, edata->detail) :
		pstrdup(edata->message ? edata->message : "");
}

/*
 * What could carry over into the next execution, or to whom the session
 * belongs.  Deferred triggers were fired at the end of each step.  Locks after
 * a rollback too, as it does not release session locks.  The GUC level is the
 * caller's.
 */
void
saga_step_hygiene(bool in_drain)
{
	if (in_drain)
	{
		if (saga_session_is_foreign())
			saga_session_clean();
		return;
	}
	PortalHashTableDeleteAll();
	DropAllPreparedStatements();
	ResetTempTableNamespace();
	LockReleaseSession(USER_LOCKMETHOD);
}

/* ---------- SQL ---------- */

/*
 * Raises.  The name travels in the error's datatype field, which nothing else
 * uses in an error of this code.
 */
Datum
saga_fail(PG_FUNCTION_ARGS)
{
	char	   *error;
	char	   *cause;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"error\" must not be null")));
	error = text_to_cstring(PG_GETARG_TEXT_PP(0));
	cause = PG_ARGISNULL(1) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(1));
	ereport(ERROR,
			(errcode(ERRCODE_SAGA_FAIL),
			 errmsg_internal("%s", cause),
			 err_generic_string(PG_DIAG_DATATYPE_NAME, error)));
	PG_RETURN_NULL();			/* keep compilers quiet */
}

Datum
saga_failure(PG_FUNCTION_ARGS)
{
	JsonbParseState *state = NULL;
	const char *keys[3] = {"cause", "error", "saga.failure"};
	char	   *values[3];
	int			i;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"error\" must not be null")));
	while (failure_nonce == 0)
		if (!pg_strong_random(&failure_nonce, sizeof(failure_nonce)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
	values[0] = PG_ARGISNULL(1) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(1));
	values[1] = text_to_cstring(PG_GETARG_TEXT_PP(0));
	values[2] = psprintf(UINT64_FORMAT, failure_nonce);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < 3; i++)
	{
		JsonbValue	v = {.type = jbvString};

		v.val.string.val = unconstify(char *, keys[i]);
		v.val.string.len = strlen(keys[i]);
		pushJsonbValue(&state, WJB_KEY, &v);
		v.val.string.val = values[i];
		v.val.string.len = strlen(values[i]);
		pushJsonbValue(&state, WJB_VALUE, &v);
	}
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}
