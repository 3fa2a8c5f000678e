/*
 * alias.c
 *		"workflow:3" and "workflow:alias": which version of a workflow is
 *		started by who does not want the newest one.
 *
 * An alias has one version or several with weights, so that a new one can be
 * tried with a part of what comes.  Only the start asks for it: an execution
 * has its version from then on.  A workflow whose own name has a colon in it is
 * found by that name.
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/engine_private.h"
#include "engine/workflow_private.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "value/doc.h"

#if PG_VERSION_NUM >= 150000
#include "common/pg_prng.h"
#endif

PG_FUNCTION_INFO_V1(saga_publish_alias);
PG_FUNCTION_INFO_V1(saga_drop_alias);

#define ALL_WEIGHTS	100

/* ---------- names ---------- */

/* "3"; 0: it is no version. */
static int
version_of_text(const char *text)
{
	int64		version = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9' && version <= PG_INT32_MAX; p++)
		version = version * 10 + (*p - '0');
	return *p == '\0' && text[0] != '0' && version <= PG_INT32_MAX ? (int) version : 0;
}

/* 0 to ALL_WEIGHTS - 1 */
static int
draw(void)
{
#if PG_VERSION_NUM >= 150000
	return (int) pg_prng_uint64_range(&pg_global_prng_state, 0, ALL_WEIGHTS - 1);
#else
	return (int) (random() % ALL_WEIGHTS);
#endif
}

/* One of the versions of an alias; 0: there is no such alias. */
static int
version_of_alias(int32 workflow_id, const char *alias)
{
	static SagaStatement stmt = {
		.sql = "SELECT r.key::integer AS version, r.value::integer AS weight"
		" FROM saga.alias a, jsonb_each_text(a.routing) r"
		" WHERE a.workflow_id = $workflow_id AND a.alias = $alias"
	};
	SagaRows   *rows = saga_query(&stmt, saga_param_int4("workflow_id", workflow_id), saga_param_text("alias", alias));
	int			left = draw();
	int			version = 0;

	while (saga_rows_next(rows))
	{
		version = saga_column_int4(rows, "version");
		left -= saga_column_int4(rows, "weight");
		if (left < 0)
			break;
	}
	return version;
}

/* The workflow of that name, as the caller means it; NULL: there is none that he may start. */
static const SagaWorkflow *
workflow_named(const SagaMeaning *meaning, const char *name)
{
	int32		id = meaning == NULL ? 0 : saga_workflow_meant(meaning->workflow_id, meaning->version, SAGA_OBJECT_WORKFLOW, name);
	const SagaWorkflow *workflow = id != 0 ? saga_workflow_by_id(id, true) : NULL;

	/* one that is gone means whatever has its name now */
	if (workflow == NULL)
		return saga_workflow_find(name, SAGA_RIGHT_START, true);
	return saga_workflow_may(workflow, SAGA_RIGHT_START) ? workflow : NULL;
}

const SagaWorkflow *
saga_workflow_find_version(const char *text, const SagaMeaning *meaning, bool missing_ok, int *version)
{
	const char *colon = strrchr(text, ':');
	const SagaWorkflow *workflow = workflow_named(meaning, text);

	if (workflow != NULL)
	{
		*version = workflow->version;
		return workflow;
	}
	if (colon != NULL)
		workflow = workflow_named(meaning, pnstrdup(text, colon - text));
	if (workflow != NULL)
	{
		int			number = version_of_text(colon + 1);

		*version = number != 0 ? number : version_of_alias(workflow->workflow_id, colon + 1);
		if (*version != 0 && saga_workflow_has_version(workflow, *version))
			return workflow;
		if (!missing_ok && number != 0)
			saga_workflow_check_version(workflow, number);
		else if (!missing_ok)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("workflow \"%s\" has no alias \"%s\"", workflow->name, colon + 1)));
	}
	if (!missing_ok)
		(void) saga_workflow_find(text, SAGA_RIGHT_START, false);
	return NULL;
}

/* ---------- making them ---------- */

/* As at AWS, and a word that cannot be taken for a version. */
static void
check_alias(const char *alias)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";

	if (alias[0] == '\0' || pg_mbstrlen(alias) > SAGA_MAX_NAME_LENGTH || alias[strspn(alias, allowed)] != '\0' ||
		alias[strspn(alias, "0123456789")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid name of an alias: \"%s\"", alias),
				 errdetail("It has 1 to %d letters, digits, \"_\", \"-\" and \".\", and not digits alone.",
						   SAGA_MAX_NAME_LENGTH)));
}

typedef struct Routing
{
	const SagaWorkflow *workflow;
	int64		total;
} Routing;

static void
check_weight(const char *name, JsonbValue *value, void *arg)
{
	Routing    *routing = arg;
	int			version = version_of_text(name);
	char	   *text = value->type == jbvNumeric ? saga_doc_text(value) : "";
	size_t		digits = strspn(text, "0123456789");

	if (version == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" in the routing of an alias is no version", name)));
	if (digits == 0 || digits > 3 || text[digits] != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the weight of version %d is no whole number from 0 to %d", version, ALL_WEIGHTS)));
	saga_workflow_check_version(routing->workflow, version);
	routing->total += atoi(text);
}

static void
check_routing(const SagaWorkflow *workflow, Jsonb *document)
{
	Routing		routing = {workflow, 0};

	if (!JB_ROOT_IS_OBJECT(document) || JB_ROOT_COUNT(document) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the routing of an alias is an object of versions and their weights"),
				 errhint("For example {\"3\": 90, \"4\": 10}.")));
	saga_doc_each(&document->root, check_weight, &routing);
	if (routing.total != ALL_WEIGHTS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the weights of an alias make %d together, not " INT64_FORMAT, ALL_WEIGHTS, routing.total)));
}

/* publish_alias(workflow text, alias text, routing jsonb) returns void */
Datum
saga_publish_alias(PG_FUNCTION_ARGS)
{
	static SagaStatement stmt = {
		.sql = "INSERT INTO saga.alias (workflow_id, alias, routing) VALUES ($workflow_id, $alias, $routing)"
		" ON CONFLICT (workflow_id, alias) DO UPDATE SET routing = excluded.routing, published_at = now()"
	};
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *alias = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *routing = PG_GETARG_JSONB_P(2);
	const SagaWorkflow *workflow;

	check_alias(alias);
	workflow = saga_workflow_lock(saga_workflow_find(name, SAGA_RIGHT_OWN, false)->workflow_id, name, false);
	check_routing(workflow, routing);
	saga_run(&stmt, saga_param_int4("workflow_id", workflow->workflow_id), saga_param_text("alias", alias),
			 saga_param_jsonb("routing", routing));
	PG_RETURN_VOID();
}

/* drop_alias(workflow text, alias text) returns boolean */
Datum
saga_drop_alias(PG_FUNCTION_ARGS)
{
	static SagaStatement stmt = {
		.sql = "DELETE FROM saga.alias WHERE workflow_id = $workflow_id AND alias = $alias"
	};
	const SagaWorkflow *workflow = saga_workflow_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), SAGA_RIGHT_OWN, false);

	PG_RETURN_BOOL(saga_run(&stmt, saga_param_int4("workflow_id", workflow->workflow_id),
							saga_param_text("alias", text_to_cstring(PG_GETARG_TEXT_PP(1)))) > 0);
}

/* With its owner those who would be surprised change: nothing of the former one's is started any more. */
void
saga_alias_forget(int32 workflow_id)
{
	static SagaStatement stmt = {
		.sql = "DELETE FROM saga.alias WHERE workflow_id = $workflow_id"
	};

	saga_run(&stmt, saga_param_int4("workflow_id", workflow_id));
}
