/*
 * query.c
 *		Evaluates values with expressions of JSONata in them.
 *
 * An evaluation has a memory context of its own, which ends with it; only the
 * result is made in the run's.  What expressions may look at is bound without
 * a copy, and only what they name: the thousandth item of a Map costs no more
 * than the first, however large the state's input is.  $now() and $millis()
 * are the time of the run, and chance is the caller's, as it is in JSONPath.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "asl/query_private.h"

/* Of an expression or value in a message; what a Catch gets must stay small. */
#define SAGA_MAX_QUOTED		2000

/* ---------- faults ---------- */

/* As much of the text as a message quotes. */
static char *
quoted(const char *text)
{
	int			len = strlen(text);

	if (len <= SAGA_MAX_QUOTED)
		return pstrdup(text);
	return psprintf("%.*s...", pg_mbcliplen(text, len, SAGA_MAX_QUOTED), text);
}

/* The words of AWS around what is wrong with an expression.  Returns false. */
static bool
expression_fault(const SagaQuery *query, const char *what, SagaFault *fault)
{
	fault->location = query->field;
	if (query->kind == SAGA_QUERY_EXPRESSION)
		return saga_fault(fault, SAGA_QUERY_ERROR, "The JSONata expression '%s' specified for the field '%s' %s",
						  quoted(query->text), query->field, what);
	return saga_fault(fault, SAGA_QUERY_ERROR, "The value of the field '%s' %s", query->field, what);
}

bool
saga_asl_query_type_fault(const SagaQuery *query, const char *expected, const Jsonb *value, SagaFault *fault)
{
	JsonbValue	root;

	saga_jsonb_value(value, &root);
	return expression_fault(query, psprintf("returned an unexpected result type. Expected '%s', but was '%s' for value: %s",
											expected, saga_value_type_name(&root), quoted(saga_jsonb_to_cstring(value))),
							fault);
}

bool
saga_asl_query_value_fault(const SagaQuery *query, const char *what, const Jsonb *value, SagaFault *fault)
{
	return expression_fault(query, psprintf("returned a value that %s: %s", what, quoted(saga_jsonb_to_cstring(value))),
							fault);
}

/* What JSONata says is wrong. */
static bool
evaluation_fault(const SagaQuery *query, const SagaJsonataFault *jsonata, SagaFault *fault)
{
	if (strcmp(jsonata->code, "U1004") == 0)
		return expression_fault(query, psprintf("returned an unsupported result type. %s: %s", jsonata->code,
												jsonata->message), fault);
	return expression_fault(query, psprintf("threw an error during evaluation. %s: %s", jsonata->code, jsonata->message),
							fault);
}

/* ---------- one expression ---------- */

/* What $states has for this expression: at most three members. */
static void
bind_states(const SagaQuery *query, const SagaQueryScope *scope, SagaJsonataBinding *states, SagaJsonataBinding *members)
{
	JsonbValue	map = {.type = jbvString};

	states->name = "states";
	states->members = members;
	if (query->wants & SAGA_WANTS_INPUT)
	{
		members[states->nmembers].name = "input";
		members[states->nmembers++].value = scope->input;
	}
	if ((query->wants & SAGA_WANTS_MADE) && scope->made != NULL && scope->sees != SAGA_SEES_INPUT)
	{
		members[states->nmembers].name = scope->sees == SAGA_SEES_RESULT ? "result" : "errorOutput";
		members[states->nmembers++].value = scope->made;
	}
	if (query->wants & (SAGA_WANTS_CONTEXT | SAGA_WANTS_MAP))
	{
		saga_value_set_string(&map, "Map", 3);
		members[states->nmembers].name = "context";
		members[states->nmembers++].value =
			scope->scope->context(scope->scope->context_arg, query->wants & SAGA_WANTS_CONTEXT ? NULL : &map);
	}
}

/* The variables that the expression names and that there are, as parts of "variables"; returns how many. */
static int
bind_variables(const SagaQuery *query, Jsonb *variables, SagaJsonataBinding *bindings, JsonbValue *parts)
{
	ListCell   *lc;
	int			n = 0;

	if (variables == NULL)
		return 0;
	foreach(lc, query->variables)
	{
		const char *name = lfirst(lc);

		if (!saga_jsonb_get(variables, name, &parts[n]))
			continue;
		bindings[n].name = name;
		bindings[n].part = &parts[n];
		n++;
	}
	return n;
}

/* Milliseconds since 1970. */
static double
unix_milliseconds(TimestampTz at)
{
	return (double) ((at + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000);
}

/* The value of one expression, which must give one; NULL and a fault. */
static Jsonb *
eval_expression(const SagaQuery *query, const SagaQueryScope *scope, SagaFault *fault)
{
	int			most = list_length(query->variables) + 1;
	SagaJsonataBinding *bindings = palloc0(sizeof(SagaJsonataBinding) * most);
	SagaJsonataBinding members[3] = {{0}};
	JsonbValue *parts = palloc(sizeof(JsonbValue) * most);
	SagaJsonataOptions options = {.aws = true, .bindings = bindings};
	SagaJsonataFault jsonata = {{0}};
	Jsonb	   *result;

	options.nbindings = bind_variables(query, scope->scope->variables, bindings, parts);
	if (query->wants & SAGA_WANTS_STATES)
		bind_states(query, scope, &bindings[options.nbindings++], members);
	options.now = unix_milliseconds(scope->now);
	if (query->wants & SAGA_WANTS_CHANCE)
		options.seed = scope->scope->random(scope->scope->random_arg);
	if (!saga_jsonata_eval(query->expr, NULL, &options, &result, &jsonata))
	{
		(void) evaluation_fault(query, &jsonata, fault);
		result = NULL;
	}
	else if (result == NULL)
		(void) expression_fault(query, "returned nothing (undefined).", fault);
	pfree(bindings);
	pfree(parts);
	return result;
}

/* ---------- values ---------- */

static bool eval_value(const SagaQuery *query, const SagaQueryScope *scope, JsonbValue *result, SagaFault *fault);

/* The values of the members, put together; one that fails is the failure of all. */
static bool
eval_members(const SagaQuery *query, const SagaQueryScope *scope, JsonbValue *result, SagaFault *fault)
{
	bool		is_object = query->kind == SAGA_QUERY_OBJECT;
	JsonbPair  *pairs = NULL;
	JsonbValue *elems = NULL;
	int			i;

	check_stack_depth();
	if (is_object)
		pairs = palloc0(sizeof(JsonbPair) * Max(query->nmembers, 1));
	else
		elems = palloc(sizeof(JsonbValue) * Max(query->nmembers, 1));
	for (i = 0; i < query->nmembers; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_object)
			pairs[i].key = query->names[i];
		if (!eval_value(query->members[i], scope, is_object ? &pairs[i].value : &elems[i], fault))
			return false;
	}
	if (is_object)
	{
		result->type = jbvObject;
		result->val.object.nPairs = query->nmembers;
		result->val.object.pairs = pairs;
	}
	else
		saga_value_set_array(result, elems, query->nmembers);
	return true;
}

/* The value, whose parts may lie in the machine. */
static bool
eval_value(const SagaQuery *query, const SagaQueryScope *scope, JsonbValue *result, SagaFault *fault)
{
	Jsonb	   *value;

	switch (query->kind)
	{
		case SAGA_QUERY_CONSTANT:
			*result = query->value;
			return true;
		case SAGA_QUERY_EXPRESSION:
			value = eval_expression(query, scope, fault);
			if (value == NULL)
				return false;
			saga_jsonb_value(value, result);
			return true;
		case SAGA_QUERY_ARRAY:
		case SAGA_QUERY_OBJECT:
			break;
	}
	return eval_members(query, scope, result, fault);
}

Jsonb *
saga_asl_query_eval(const SagaQuery *query, const SagaQueryScope *scope, SagaFault *fault)
{
	JsonbValue	value;

	if (query->kind == SAGA_QUERY_EXPRESSION)
		return eval_expression(query, scope, fault);
	if (query->kind == SAGA_QUERY_CONSTANT)
		return query->constant;
	if (!eval_value(query, scope, &value, fault))
		return NULL;
	return saga_value_flatten(&value, fault);
}
