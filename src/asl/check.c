/*
 * check.c
 *		Reading a definition: diagnostics, JSON pointers and typed members.
 */
#include "postgres.h"

#include <math.h>

#include "common/text.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "asl/check_private.h"

/* ---------- diagnostics ---------- */

/*
 * A definition of a megabyte can have hundreds of thousands of faults, in
 * states with names of a megabyte, or a thousand levels deep.
 */
#define SAGA_MAX_DIAGNOSTICS	10000
#define SAGA_MAX_LOCATION		2000	/* bytes; "..." follows what is cut off */
#define SAGA_MAX_MESSAGE		2000

static void
append_location(StringInfo buf, const SagaLocation *at)
{
	const char *p;

	check_stack_depth();
	if (at == NULL || at->up == NULL)
		return;
	append_location(buf, at->up);
	if (buf->len > SAGA_MAX_LOCATION)
		return;
	appendStringInfoChar(buf, '/');
	if (at->name == NULL)
	{
		appendStringInfo(buf, "%d", at->index);
		return;
	}
	for (p = at->name; *p && buf->len <= SAGA_MAX_LOCATION; p++)
	{
		if (*p == '~')
			appendStringInfoString(buf, "~0");
		else if (*p == '/')
			appendStringInfoString(buf, "~1");
		else
			appendStringInfoChar(buf, *p);
	}
}

/* A copy as long as the text is, within the limit. */
static char *
shortened(const char *text, int limit)
{
	int			len = strlen(text);

	if (len <= limit)
		return pstrdup(text);
	return psprintf("%.*s...", pg_mbcliplen(text, len, limit), text);
}

static void check_report(SagaCheck *check, const SagaLocation *at, const char *code,
						 bool is_error, const char *format, va_list *args)
			pg_attribute_printf(5, 0);

static void
check_report(SagaCheck *check, const SagaLocation *at, const char *code, bool is_error,
			 const char *format, va_list *args)
{
	MemoryContext old;
	SagaDiagnostic *diagnostic;
	StringInfoData location;
	char	   *message;

	CHECK_FOR_INTERRUPTS();
	if (is_error)
		check->failed = true;
	if (list_length(check->diagnostics) >= SAGA_MAX_DIAGNOSTICS)
		return;
	old = MemoryContextSwitchTo(check->diagnostics_context);
	diagnostic = palloc0(sizeof(SagaDiagnostic));
	initStringInfo(&location);
	append_location(&location, at);
	if (location.len == 0)
		appendStringInfoChar(&location, '/');
	message = saga_vformat(format, *args);
	diagnostic->is_error = is_error;
	diagnostic->code = code;
	diagnostic->location = shortened(location.data, SAGA_MAX_LOCATION);
	diagnostic->message = shortened(message, SAGA_MAX_MESSAGE);
	pfree(location.data);
	pfree(message);
	check->diagnostics = lappend(check->diagnostics, diagnostic);
	MemoryContextSwitchTo(old);
}

void
saga_check_error(SagaCheck *check, const SagaLocation *at, const char *code,
				 const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	check_report(check, at, code, true, format, &args);
	va_end(args);
}

void
saga_check_member_error(SagaCheck *check, const SagaLocation *at, const char *name,
						const char *code, const char *format, ...)
{
	SagaLocation here = {.up = at, .name = name};
	va_list		args;

	va_start(args, format);
	check_report(check, &here, code, true, format, &args);
	va_end(args);
}

/* The same, at "below" (a JSON pointer, or NULL) under "at". */
void
saga_check_error_below(SagaCheck *check, const SagaLocation *at, const char *below,
					   const char *code, const char *message)
{
	int			before = list_length(check->diagnostics);
	SagaDiagnostic *diagnostic;
	MemoryContext old;

	saga_check_error(check, at, code, "%s", message);
	if (below == NULL || below[0] == '\0' || list_length(check->diagnostics) == before)
		return;
	diagnostic = llast(check->diagnostics);
	old = MemoryContextSwitchTo(check->diagnostics_context);
	diagnostic->location = psprintf("%s%s", diagnostic->location, shortened(below, SAGA_MAX_LOCATION));
	MemoryContextSwitchTo(old);
}

/* ---------- jsonb ---------- */

bool
saga_asl_is_object(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);
}

bool
saga_asl_is_array(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data) &&
		!JsonContainerIsScalar(value->val.binary.data);
}

bool
saga_asl_member(const JsonbValue *object, const char *name, JsonbValue *result)
{
	return getKeyJsonValueFromContainer(object->val.binary.data, name, strlen(name), result) != NULL;
}

char *
saga_asl_string_of(const JsonbValue *value)
{
	if (value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* ---------- members ---------- */

char *
saga_check_string(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
				  const char *name, bool required)
{
	JsonbValue	value;

	if (!saga_asl_member(object, name, &value))
	{
		if (required)
			saga_check_error(check, at, SAGA_SCHEMA_FAULT,
							 "The field '%s' is required but was missing", name);
		return NULL;
	}
	if (value.type != jbvString)
	{
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT, "Expected value of type String");
		return NULL;
	}
	return saga_asl_string_of(&value);
}

bool
saga_check_bool(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
				const char *name)
{
	JsonbValue	value;

	if (!saga_asl_member(object, name, &value))
		return false;
	if (value.type != jbvBool)
	{
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT, "Expected value of type Boolean");
		return false;
	}
	return value.val.boolean;
}

/* Returns false, and leaves *result alone, when it is absent or wrong. */
bool
saga_check_integer(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
				   const char *name, int64 min, int64 max, int64 *result)
{
	JsonbValue	value;

	if (!saga_asl_member(object, name, &value))
		return false;
	switch (saga_asl_number_to_int64(&value, min, max, result))
	{
		case SAGA_NUMBER_OK:
			return true;
		case SAGA_NUMBER_NO_NUMBER:
		case SAGA_NUMBER_NO_INTEGER:
			saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT,
									"Expected value of type Integer");
			return false;
		case SAGA_NUMBER_TOO_SMALL:
		case SAGA_NUMBER_TOO_LARGE:
			break;
	}
	saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT,
							"The value must be between " INT64_FORMAT " and " INT64_FORMAT, min, max);
	return false;
}

bool
saga_check_double(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
				  const char *name, double min, double *result)
{
	JsonbValue	value;
	double		number;

	if (!saga_asl_member(object, name, &value))
		return false;
	if (!saga_asl_number_to_double(&value, &number))
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT, "Expected value of type Float");
	else if (number < min || isinf(number))
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT,
								"The value must be greater than or equal to %.1f", min);
	else
	{
		*result = number;
		return true;
	}
	return false;
}

bool
saga_check_array(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
				 const char *name, JsonbValue *result)
{
	if (!saga_asl_member(object, name, result))
		return false;
	if (!saga_asl_is_array(result))
	{
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT, "Expected value of type Array");
		return false;
	}
	return true;
}

void
saga_check_path(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
				const char *name, bool nullable, bool reference, SagaPathField *field)
{
	JsonbValue	value;
	char	   *error = NULL;

	if (!saga_asl_member(object, name, &value))
		return;
	if (value.type == jbvNull && nullable)
	{
		field->discard = true;
		return;
	}
	if (value.type != jbvString)
	{
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT, "Expected value of type String");
		return;
	}
	field->text = saga_asl_string_of(&value);
	field->is_root = strcmp(field->text, "$") == 0;
	field->path = saga_path_parse(field->text, &error);
	if (field->path == NULL)
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT,
								"Value is not a valid JSONPath: %s", error ? error : field->text);
	else if (reference && !saga_path_is_reference(field->path))
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT,
								"Value is not a Reference Path: %s", field->text);
	else if (reference && saga_path_root(field->path) != SAGA_ROOT_DATA)
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT,
								"The path must start at the state's data: %s", field->text);
}

SagaExpr *
saga_check_expr(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
				const char *name)
{
	char	   *text = saga_check_string(check, object, at, name, false);
	char	   *error = NULL;
	SagaExpr   *expr;

	if (text == NULL)
		return NULL;
	expr = saga_expr_parse(text, &error);
	if (expr == NULL)
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT,
								"The value must be a valid JSONPath or a valid intrinsic function call: %s",
								error ? error : text);
	return expr;
}

SagaTemplate *
saga_check_template(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
					const char *name)
{
	JsonbValue	value;
	char	   *error = NULL;
	char	   *location = NULL;
	SagaTemplate *result;

	if (!saga_asl_member(object, name, &value))
		return NULL;
	if (!saga_asl_is_object(&value))
	{
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT, "Expected value of type Object");
		return NULL;
	}
	result = saga_template_parse(&value, &error, &location);
	if (result == NULL)
	{
		SagaLocation here = {.up = at, .name = name};

		saga_check_error_below(check, &here, location, SAGA_SCHEMA_FAULT,
							   error ? error : "invalid template");
	}
	return result;
}

/* Every member of the object must be one of "known". */
void
saga_check_known(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
				 const char *const *known, int nknown)
{
	JsonbIterator *it = JsonbIteratorInit(object->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *name;
		int			i;

		if (token != WJB_KEY)
			continue;
		name = saga_asl_string_of(&value);
		for (i = 0; i < nknown; i++)
		{
			if (strcmp(name, known[i]) == 0)
				break;
		}
		if (i == nknown)
			saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT, "Field is not supported");
	}
}

/*
 * The state of this name in the States object; NULL: there is none.  Of a
 * state that is tested alone those around it are made up: it is enough to
 * know what they are called.  "name" becomes theirs.
 */
SagaState *
saga_check_find(SagaCheck *check, const SagaStates *scope, char *name)
{
	SagaState  *state = saga_asl_states_find(scope, name);

	if (state == NULL && check->alone && scope->owner == NULL)
	{
		state = palloc0(sizeof(SagaState));
		state->type = SAGA_STATE_SUCCEED;
		state->name = name;
		state->reached = true;
	}
	return state;
}

/* The first error of a definition, as one of ours.  hint: a whole sentence. */
void
saga_check_raise(List *diagnostics, const char *hint)
{
	ListCell   *lc;

	foreach(lc, diagnostics)
	{
		SagaDiagnostic *diagnostic = lfirst(lc);

		if (diagnostic->is_error)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid workflow definition"),
					 errdetail("%s at %s: %s", diagnostic->code, diagnostic->location,
							   diagnostic->message),
					 errhint("%s", hint)));
	}
	elog(ERROR, "definition refused without a diagnostic");
}

/* The state that a Next, Default or StartAt names; NULL and a diagnostic if there is none. */
SagaState *
saga_check_target(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
				  const char *name, const SagaStates *scope)
{
	char	   *text = saga_check_string(check, object, at, name, false);
	SagaState  *target;

	if (text == NULL)
		return NULL;
	target = saga_check_find(check, scope, text);
	if (target == NULL)
		saga_check_member_error(check, at, name, SAGA_TARGET_FAULT, "Missing '%s' target: %s", name, text);
	return target;
}

/* QueryLanguage of the object; *jsonata stays as it is when there is none.  False, and a diagnostic: it is wrong. */
bool
saga_check_language(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, bool *jsonata)
{
	char	   *text = saga_check_string(check, object, at, "QueryLanguage", false);

	if (text == NULL)
		return true;
	if (strcmp(text, "JSONata") != 0 && strcmp(text, "JSONPath") != 0)
		saga_check_member_error(check, at, "QueryLanguage", SAGA_SCHEMA_FAULT,
								"The field 'QueryLanguage' should have one of these values: [JSONPath, JSONata]");
	else if (strcmp(text, "JSONPath") == 0 && check->whole_jsonata)
		saga_check_error(check, at, SAGA_SCHEMA_FAULT,
						 "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine");
	else if (strcmp(text, "JSONata") == 0 && GetDatabaseEncoding() != PG_UTF8)
		saga_check_member_error(check, at, "QueryLanguage", SAGA_LANGUAGE_FAULT,
								"JSONata works in databases with the encoding UTF8 only");
	else
	{
		*jsonata = strcmp(text, "JSONata") == 0;
		return true;
	}
	return false;
}

/* At most one of two (or four) fields; returns how many there are. */
int
saga_check_exclusive(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
					 const char *const *names, int nnames)
{
	JsonbValue	value;
	const char *first = NULL;
	int			found = 0;
	int			i;

	for (i = 0; i < nnames; i++)
	{
		if (!saga_asl_member(object, names[i], &value))
			continue;
		if (first == NULL)
			first = names[i];
		else
			saga_check_error(check, at, SAGA_SCHEMA_FAULT,
							 "Only one of these fields is allowed: [%s, %s]", first, names[i]);
		found++;
	}
	return found;
}

/* A field and its form with a path exclude each other. */
void
saga_check_pair(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
				const char *field, const char *path_field)
{
	const char *names[2];

	names[0] = field;
	names[1] = path_field;
	(void) saga_check_exclusive(check, object, at, names, 2);
}
