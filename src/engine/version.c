/*
 * version.c
 *		The versions of a workflow: what another definition would change, a
 *		new version only when there is something new, and the way back.
 */
#include "postgres.h"

#include "common/compat.h"
#include "common/statement.h"
#include "engine/engine_private.h"
#include "engine/workflow_private.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "value/doc.h"

PG_FUNCTION_INFO_V1(saga_diff_workflow);
PG_FUNCTION_INFO_V1(saga_apply_workflow);
PG_FUNCTION_INFO_V1(saga_rollback_workflow);

/* ---------- what would change ---------- */

/* The states of one definition, as arrays for a statement. */
typedef struct States
{
	ArrayBuildState *names;
	ArrayBuildState *places;
	ArrayBuildState *states;
} States;

static void
add_state(const char *name, const char *location, const JsonbValue *state, void *arg)
{
	States	   *states = arg;

	states->names = accumArrayResult(states->names, CStringGetTextDatum(name), false, TEXTOID, CurrentMemoryContext);
	states->places = accumArrayResult(states->places, CStringGetTextDatum(location), false, TEXTOID, CurrentMemoryContext);
	states->states = accumArrayResult(states->states, JsonbPGetDatum(saga_jsonb_from_value(state)), false, JSONBOID,
									  CurrentMemoryContext);
}

static ArrayType *
array_of(ArrayBuildState *array, Oid type)
{
	return array == NULL ? construct_empty_array(type) : DatumGetArrayTypeP(makeArrayResult(array, CurrentMemoryContext));
}

/* What a Parallel or a Map is without the states in it, which have rows of their own. */
#define OWN_MEMBERS(state) \
	"CASE " state " ->> 'Type' WHEN 'Parallel' THEN " state " || jsonb_build_object('Branches'," \
	" (SELECT jsonb_agg(b - 'States' ORDER BY n) FROM jsonb_array_elements(" state " -> 'Branches') WITH ORDINALITY x(b, n)))" \
	" WHEN 'Map' THEN " state " #- '{ItemProcessor,States}' #- '{Iterator,States}' ELSE " state " END"

static SagaStatement diff_stmt = {
	.sql = "WITH old(name, place, own) AS (SELECT name, place, " OWN_MEMBERS("state")
	" FROM unnest($old_names, $old_places, $old_states) s(name, place, state)"
	" UNION ALL SELECT NULL, '', $old - 'States'),"
	" new(name, place, own) AS (SELECT name, place, " OWN_MEMBERS("state")
	" FROM unnest($new_names, $new_places, $new_states) s(name, place, state)"
	" UNION ALL SELECT NULL, '', $new - 'States'),"
	" stand(name, executions) AS (SELECT t ->> 'state', count(DISTINCT c.execution_id)"
	" FROM saga.continuation c, jsonb_array_elements(c.run -> 'threads') t WHERE c.workflow_id = $workflow_id GROUP BY 1"
	" UNION ALL SELECT NULL, count(*) FROM saga.all_executions WHERE workflow_id = $workflow_id AND stopped_at IS NULL),"
	" both_of AS (SELECT coalesce(n.name, o.name) AS name, coalesce(n.place, o.place) AS place,"
	" CASE WHEN o.own IS NULL THEN 'added' WHEN n.own IS NULL THEN 'gone' WHEN o.own <> n.own THEN 'changed'"
	" WHEN o.place <> n.place THEN 'moved' END AS change,"
	" CASE WHEN o.own <> n.own THEN (SELECT array_agg(coalesce(a.key, b.key) ORDER BY coalesce(a.key, b.key) COLLATE \"C\")"
	" FROM jsonb_each(o.own) a FULL JOIN jsonb_each(n.own) b ON a.key = b.key WHERE a.value IS DISTINCT FROM b.value) END AS members"
	" FROM old o FULL JOIN new n ON coalesce('s' || o.name, '') = coalesce('s' || n.name, ''))"
	" SELECT b.name AS state, b.place AS location, b.change, b.members, coalesce(s.executions, 0) AS executions"
	" FROM both_of b LEFT JOIN stand s ON coalesce('s' || s.name, '') = coalesce('s' || b.name, '')"
	" WHERE b.change IS NOT NULL ORDER BY b.place COLLATE \"C\"",
	.read_only = true
};

static SagaRows *
diff(int32 workflow_id, Jsonb *old_definition, Jsonb *new_definition)
{
	States		old_states = {0};
	States		new_states = {0};

	saga_definition_each_state(old_definition, add_state, &old_states);
	saga_definition_each_state(new_definition, add_state, &new_states);
	return saga_query(&diff_stmt, saga_param_int4("workflow_id", workflow_id),
					  saga_param_jsonb("old", old_definition), saga_param_jsonb("new", new_definition),
					  saga_param_array("old_names", TEXTARRAYOID, array_of(old_states.names, TEXTOID)),
					  saga_param_array("old_places", TEXTARRAYOID, array_of(old_states.places, TEXTOID)),
					  saga_param_array("old_states", JSONBARRAYOID, array_of(old_states.states, JSONBOID)),
					  saga_param_array("new_names", TEXTARRAYOID, array_of(new_states.names, TEXTOID)),
					  saga_param_array("new_places", TEXTARRAYOID, array_of(new_states.places, TEXTOID)),
					  saga_param_array("new_states", JSONBARRAYOID, array_of(new_states.states, JSONBOID)));
}

/* diff_workflow(name text, definition jsonb) */
Datum
saga_diff_workflow(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *definition = PG_GETARG_JSONB_P(1);
	const SagaWorkflow *workflow = saga_workflow_find(name, SAGA_RIGHT_READ, false);
	SagaRows   *rows;

	(void) saga_workflow_check(workflow->name, definition);
	saga_init_srf(fcinfo);
	rows = diff(workflow->workflow_id, saga_workflow_definition(workflow->workflow_id, workflow->version), definition);
	while (saga_rows_next(rows))
		tuplestore_puttuple(rsinfo->setResult, saga_row_tuple(rows));
	return (Datum) 0;
}

/* ---------- a new version, if it is one ---------- */

/*
 * The newest version, which nobody replaces before the end of the transaction;
 * 0: the workflow is not there for this snapshot.  The workflow comes first, as
 * for who gives it away.
 */
static int
lock_version(int32 workflow_id, const char *name)
{
	static SagaStatement stmt = {
		.sql = "SELECT version FROM saga.workflow WHERE workflow_id = $workflow_id FOR NO KEY UPDATE",
		.limit = 1
	};
	SagaRows   *rows;

	(void) saga_workflow_lock(workflow_id, name, false);
	rows = saga_query(&stmt, saga_param_int4("workflow_id", workflow_id));
	return saga_rows_next(rows) ? saga_column_int4(rows, "version") : 0;
}

static bool
has_definition(int32 workflow_id, int version, Jsonb *definition)
{
	static SagaStatement stmt = {
		.sql = "SELECT FROM saga.workflow_version WHERE workflow_id = $workflow_id AND version = $version"
		" AND definition = $definition"
	};

	return saga_run(&stmt, saga_param_int4("workflow_id", workflow_id), saga_param_int4("version", version),
					saga_param_jsonb("definition", definition)) > 0;
}

static void
push_diagnostic(JsonbParseState **state, const char *severity, const char *code, const char *location,
				const char *message, const char *hint)
{
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(state, "severity", severity);
	saga_doc_push_string(state, "code", code);
	saga_doc_push_string(state, "location", location);
	saga_doc_push_string(state, "message", message);
	if (hint != NULL)
		saga_doc_push_string(state, "hint", hint);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static Jsonb *
diagnostics_document(List *warnings, List *unbound)
{
	JsonbParseState *state = NULL;
	ListCell   *lc;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, warnings)
	{
		SagaDiagnostic *d = lfirst(lc);

		push_diagnostic(&state, "WARNING", d->code, d->location, d->message, NULL);
	}
	foreach(lc, unbound)
	{
		SagaUnbound *one = lfirst(lc);

		push_diagnostic(&state, "WARNING", SAGA_UNBOUND, one->location, one->message, one->hint);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* apply_workflow(name text, definition jsonb, dry_run boolean, strict boolean) */
Datum
saga_apply_workflow(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *definition = PG_GETARG_JSONB_P(1);
	bool		dry_run = PG_GETARG_BOOL(2);
	bool		strict = PG_GETARG_BOOL(3);
	List	   *warnings = saga_workflow_check(name, definition);
	SagaObject	object;
	bool		exists = saga_name_object_find_to_replace(SAGA_OBJECT_WORKFLOW, name, GetUserId(), &object);
	int			version = 0;
	bool		changed;
	List	   *unbound;
	Datum		values[3];
	bool		nulls[3] = {0};

	if (exists)
		version = dry_run ? saga_workflow_by_id(object.id, false)->version : lock_version(object.id, name);
	changed = version == 0 || !has_definition(object.id, version, definition);
	if (changed && dry_run)
		version++;
	else if (changed)
		version = saga_workflow_create(name, definition, InvalidOid, true);
	/* a definition that starts itself is there now */
	unbound = saga_unbound_find(definition, exists ? object.owner : GetUserId());
	if (strict && unbound != NIL)
		saga_unbound_report(ERROR, name, unbound);
	saga_init_srf(fcinfo);
	values[0] = Int32GetDatum(version);
	values[1] = BoolGetDatum(changed);
	values[2] = JsonbPGetDatum(diagnostics_document(warnings, unbound));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}

/* ---------- back ---------- */

/*
 * rollback_workflow(name text, version integer) returns integer
 *
 * As a new version: what an execution ran is told by its version, for ever,
 * and another that is made meanwhile has its number.
 */
Datum
saga_rollback_workflow(PG_FUNCTION_ARGS)
{
	char	   *name;
	const SagaWorkflow *workflow;
	Jsonb	   *definition;
	int			newest;
	int			wanted;

	saga_engine_require_argument(fcinfo, 0, "name");
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	workflow = saga_workflow_find(name, SAGA_RIGHT_OWN, false);
	newest = lock_version(workflow->workflow_id, name);
	wanted = PG_ARGISNULL(1) ? newest - 1 : PG_GETARG_INT32(1);
	if (PG_ARGISNULL(1) && !saga_workflow_has_version(workflow, wanted))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("workflow \"%s\" has no version to go back to", workflow->name),
				 errdetail("Its newest version, %d, is the first one, or the first one of its owner.", newest)));
	saga_workflow_check_version(workflow, wanted);
	/* it may have been made while the lock was waited for */
	PushActiveSnapshot(GetLatestSnapshot());
	definition = saga_workflow_definition(workflow->workflow_id, wanted);
	PopActiveSnapshot();
	PG_RETURN_INT32(saga_workflow_add_version(workflow->workflow_id, name, definition));
}
