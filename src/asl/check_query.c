/*
 * check_query.c
 *		Reading fields of states whose QueryLanguage may be JSONata: values
 *		with expressions, and numbers and texts that an expression may give.
 *
 * A field is read in the language of its state (SagaCheck.jsonata).  Every
 * expression is compiled here, once for all runs of the machine, and refused
 * when it looks at what there is none of where it stands.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "asl/check_private.h"

/* As at AWS. */
#define SAGA_MAX_VARIABLE_CHARS	80

#define SAGA_OPENING	"{%"
#define SAGA_CLOSING	"%}"

/* ---------- expressions ---------- */

typedef struct SagaMentions
{
	SagaCheck  *check;
	const SagaLocation *at;
	SagaSees	sees;
	SagaQuery  *query;
} SagaMentions;

/* $states.NAME: may the field look at it?  What it wants is noted. */
static void
mention_states(SagaMentions *m, const SagaJsonataMention *mention)
{
	const char *member = mention->nsteps > 0 ? mention->steps[0] : NULL;
	bool		is_result = member != NULL && strcmp(member, "result") == 0;
	bool		is_error = member != NULL && strcmp(member, "errorOutput") == 0;

	m->query->wants |= SAGA_WANTS_STATES;
	if (mention->is_set)
		saga_check_error(m->check, m->at, SAGA_SCHEMA_FAULT, "The variable '$states' is reserved and cannot be assigned");
	else if ((is_result && m->sees != SAGA_SEES_RESULT) || (is_error && m->sees != SAGA_SEES_ERROR))
		saga_check_error(m->check, m->at, SAGA_SCHEMA_FAULT,
						 "'$states.%s' is not accessible here; it is %s", member,
						 is_result ? "in the Output and Assign of a Task, Parallel or Map" :
						 "in the Output and Assign of a Catch");
	else if (member == NULL)
		m->query->wants |= SAGA_WANTS_INPUT | SAGA_WANTS_MADE | SAGA_WANTS_CONTEXT;
	else if (is_result || is_error)
		m->query->wants |= SAGA_WANTS_MADE;
	else if (strcmp(member, "input") == 0)
		m->query->wants |= SAGA_WANTS_INPUT;
	else if (strcmp(member, "context") == 0)
		m->query->wants |= mention->nsteps > 1 && strcmp(mention->steps[1], "Map") == 0 ? SAGA_WANTS_MAP :
			SAGA_WANTS_CONTEXT;
}

/* For saga_jsonata_mentions(). */
static void
mention(void *arg, const SagaJsonataMention *mention)
{
	static const char *const chance[] = {"random", "shuffle", "uuid"};
	SagaMentions *m = arg;
	ListCell   *lc;
	int			i;

	if (strcmp(mention->name, "states") == 0)
	{
		mention_states(m, mention);
		return;
	}
	if (mention->is_set)
		return;
	for (i = 0; i < lengthof(chance); i++)
	{
		if (strcmp(mention->name, chance[i]) == 0)
			m->query->wants |= SAGA_WANTS_CHANCE;
	}
	foreach(lc, m->query->variables)
	{
		if (strcmp(lfirst(lc), mention->name) == 0)
			return;
	}
	m->query->variables = lappend(m->query->variables, pstrdup(mention->name));
}

/* Is this text an expression?  One that is opened or closed alone is a fault. */
static bool
is_expression(SagaCheck *check, const char *text, int len, const SagaLocation *at)
{
	bool		opened = len >= 2 && memcmp(text, SAGA_OPENING, 2) == 0;
	bool		closed = len >= 2 && memcmp(text + len - 2, SAGA_CLOSING, 2) == 0;

	if (opened && closed && len >= 4)
		return true;
	if (opened || closed)
		saga_check_error(check, at, SAGA_SCHEMA_FAULT,
						 "An expression of JSONata begins with '%s' and ends with '%s', with nothing around it",
						 SAGA_OPENING, SAGA_CLOSING);
	return false;
}

/* White space of JSON. */
static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* text: with its marks */
static void
compile_expression(SagaCheck *check, SagaQuery *query, const char *text, int len, const SagaLocation *at, SagaSees sees)
{
	SagaMentions mentions = {.check = check, .at = at, .sees = sees, .query = query};
	SagaJsonataFault fault = {{0}};

	text += 2;
	len -= 4;
	for (; len > 0 && is_blank(*text); len--)
		text++;
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	query->kind = SAGA_QUERY_EXPRESSION;
	query->text = pnstrdup(text, len);
	query->expr = saga_jsonata_compile(text, len, &fault);
	if (query->expr != NULL)
		saga_jsonata_mentions(query->expr, mention, &mentions);
	else if (fault.position >= 0)
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "The JSONata expression is invalid: %s: %s, at character %d",
						 fault.code, fault.message, pg_mbstrlen_with_len(text, Min(fault.position, len)) + 1);
	else
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "The JSONata expression is invalid: %s: %s", fault.code,
						 fault.message);
}

/* ---------- values ---------- */

/* Where "at" is below the state that is read: "Output/total". */
static void
append_field(const SagaCheck *check, StringInfo buf, const SagaLocation *at)
{
	check_stack_depth();
	if (at == NULL || at == check->state_at)
		return;
	append_field(check, buf, at->up);
	if (buf->len > 0)
		appendStringInfoChar(buf, '/');
	if (at->name != NULL)
		appendStringInfoString(buf, at->name);
	else
		appendStringInfo(buf, "%d", at->index);
}

/* The same as a text: what messages call a field. */
static char *
field_of(const SagaCheck *check, const SagaLocation *at)
{
	StringInfoData buf;

	initStringInfo(&buf);
	append_field(check, &buf, at);
	return buf.data;
}

static void compile_value(SagaCheck *check, SagaQuery *query, const JsonbValue *value, const SagaLocation *at,
						  SagaSees sees);

/* The members of an array or object; without an expression among them it is a constant. */
static void
compile_members(SagaCheck *check, SagaQuery *query, const JsonbValue *value, const SagaLocation *at, SagaSees sees)
{
	int			count = saga_value_count(value);
	SagaLocation here = {.up = at};
	SagaValueChildren children;
	bool		constant = true;

	check_stack_depth();
	query->members = palloc(sizeof(SagaQuery *) * Max(count, 1));
	query->names = palloc(sizeof(JsonbValue) * Max(count, 1));
	saga_value_children_start(&children, value);
	while (saga_value_children_next(&children))
	{
		SagaQuery  *member = palloc0(sizeof(SagaQuery));

		CHECK_FOR_INTERRUPTS();
		here.name = children.is_object ? saga_asl_string_of(&children.key) : NULL;
		here.index = query->nmembers;
		query->names[query->nmembers] = children.key;
		query->members[query->nmembers++] = member;
		compile_value(check, member, &children.value, &here, sees);
		constant &= member->kind == SAGA_QUERY_CONSTANT;
	}
	if (constant)
		query->kind = SAGA_QUERY_CONSTANT;
	else
		query->kind = saga_value_is_object(value) ? SAGA_QUERY_OBJECT : SAGA_QUERY_ARRAY;
}

/* A value of any kind: what has no expression in it is a constant. */
static void
compile_value(SagaCheck *check, SagaQuery *query, const JsonbValue *value, const SagaLocation *at, SagaSees sees)
{
	query->value = *value;
	query->kind = SAGA_QUERY_CONSTANT;
	if (value->type == jbvBinary)
		compile_members(check, query, value, at, sees);
	else if (value->type == jbvString && is_expression(check, value->val.string.val, value->val.string.len, at))
		compile_expression(check, query, value->val.string.val, value->val.string.len, at, sees);
	if (query->kind == SAGA_QUERY_EXPRESSION)
		query->field = field_of(check, at);
}

/* A value, which lives as long as the machine, with its expressions. */
static SagaQuery *
check_query(SagaCheck *check, const JsonbValue *value, const SagaLocation *at, SagaSees sees)
{
	SagaQuery  *query = palloc0(sizeof(SagaQuery));

	compile_value(check, query, value, at, sees);
	if (query->field == NULL)
		query->field = field_of(check, at);
	if (query->kind == SAGA_QUERY_CONSTANT)
		query->constant = saga_jsonb_from_value(value);
	return query;
}

/* ---------- fields ---------- */

/* The value of a field of a JSONata state; NULL: it is absent. */
SagaQuery *
saga_check_query(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, const char *name, SagaSees sees)
{
	SagaLocation here = {.up = at, .name = name};
	JsonbValue	value;

	if (!check->jsonata || !saga_asl_member(object, name, &value))
		return NULL;
	return check_query(check, &value, &here, sees);
}

/* A value with expressions, in the language of the state; NULL: it is absent, or no template. */
SagaPayload *
saga_check_payload(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, const char *name, SagaSees sees)
{
	SagaPayload *payload = palloc0(sizeof(SagaPayload));

	if (check->jsonata)
		payload->query = saga_check_query(check, object, at, name, sees);
	else
		payload->template = saga_check_template(check, object, at, name);
	return payload->query != NULL || payload->template != NULL ? payload : NULL;
}

/* Of a JSONata state: is the member an expression that gives its value?  field gets it. */
static bool
check_dynamic(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, const char *name, SagaPathField *field)
{
	SagaLocation here = {.up = at, .name = name};
	JsonbValue	value;
	SagaQuery  *query;

	if (!check->jsonata || !saga_asl_member(object, name, &value) || value.type != jbvString)
		return false;
	query = check_query(check, &value, &here, SAGA_SEES_INPUT);
	if (query->kind != SAGA_QUERY_EXPRESSION)
		return false;
	field->query = query;
	return true;
}

/* An integer, or what gives one; false, and *result is left alone: it is no fixed one. */
bool
saga_check_count(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, const char *name, int64 min,
				 int64 max, int64 *result, SagaPathField *field)
{
	return !check_dynamic(check, object, at, name, field) &&
		saga_check_integer(check, object, at, name, min, max, result);
}

/* The same for any number. */
bool
saga_check_share(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, const char *name, double min,
				 double *result, SagaPathField *field)
{
	return !check_dynamic(check, object, at, name, field) && saga_check_double(check, object, at, name, min, result);
}

/* The same for a text; NULL: it is no fixed one. */
char *
saga_check_text(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, const char *name,
				SagaPathField *field)
{
	return check_dynamic(check, object, at, name, field) ? NULL : saga_check_string(check, object, at, name, false);
}

/* ---------- variables ---------- */

/* A letter or "_", then digits too; what is not ASCII is taken for a letter. */
static bool
is_identifier(const char *name)
{
	const char *p;

	for (p = name; *p; p++)
	{
		if (!IS_HIGHBIT_SET(*p) && *p != '_' && !isalpha((unsigned char) *p) &&
			(p == name || !isdigit((unsigned char) *p)))
			return false;
	}
	return p > name && pg_mbstrlen(name) <= SAGA_MAX_VARIABLE_CHARS;
}

/* Names that a JSONata state gives its variables. */
static void
check_names(SagaCheck *check, const JsonbValue *assign, const SagaLocation *at)
{
	SagaValueChildren children;

	saga_value_children_start(&children, assign);
	while (saga_value_children_next(&children))
	{
		char	   *name = saga_asl_string_of(&children.key);

		if (strcmp(name, "states") == 0)
			saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT, "The variable '$states' is reserved and cannot be assigned");
		else if (!is_identifier(name))
			saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT,
									"The name of a variable has letters, digits and '_', at most %d, and begins with no digit",
									SAGA_MAX_VARIABLE_CHARS);
	}
}

/* Assign of the state, of a rule or of a catcher. */
SagaPayload *
saga_check_assign(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, SagaSees sees)
{
	SagaLocation here = {.up = at, .name = "Assign"};
	JsonbValue	value;

	if (!saga_asl_member(object, "Assign", &value))
		return NULL;
	if (check->jsonata && !saga_asl_is_object(&value))
	{
		saga_check_error(check, &here, SAGA_SCHEMA_FAULT, "Expected value of type Object");
		return NULL;
	}
	if (check->jsonata)
		check_names(check, &value, &here);
	return saga_check_payload(check, object, at, "Assign", sees);
}
