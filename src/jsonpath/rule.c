/*
 * rule.c
 *		Choice rules: And, Or, Not and the comparisons.
 *
 * A rule is a tree; begin reading with parse_rule() and saga_jsonpath_rule_eval().
 * Operators are one table: the kind says what is compared, the type of what.
 * Constant operands are converted at parsing (times, patterns), so that an
 * evaluation looks at the variable alone.  Errors of parsing come with AWS's
 * words and a JSON pointer.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "jsonpath/jsonpath_private.h"

typedef enum RuleKind
{
	RULE_AND,
	RULE_OR,
	RULE_NOT,
	RULE_EQUALS,
	RULE_LESS,
	RULE_LESS_EQUALS,
	RULE_GREATER,
	RULE_GREATER_EQUALS,
	RULE_MATCHES,
	RULE_IS_NULL,
	RULE_IS_PRESENT,
	RULE_IS_NUMERIC,
	RULE_IS_STRING,
	RULE_IS_BOOLEAN,
	RULE_IS_TIMESTAMP
} RuleKind;

typedef enum RuleType
{
	TYPE_STRING,
	TYPE_NUMERIC,
	TYPE_BOOLEAN,
	TYPE_TIMESTAMP
} RuleType;

/* What a comparison looks at, when it has the right type. */
typedef struct RuleValue
{
	JsonbValue	value;
	TimestampTz time;
	int			nanos;			/* below the microsecond of time */
} RuleValue;

/* A StringMatches pattern: characters, each taken literally or a "*". */
typedef struct PatternChar
{
	char		c;
	bool		any;			/* "*": any text */
} PatternChar;

struct SagaRule
{
	RuleKind	kind;
	RuleType	type;
	int			count;			/* AND, OR, NOT */
	SagaRule  **rules;
	SagaPath   *variable;
	SagaPath   *path;			/* ...Path; else the operand is constant */
	RuleValue	operand;
	PatternChar *pattern;
	int			pattern_len;
};

#define COMPARISONS(prefix, type) \
	{prefix "Equals", RULE_EQUALS, type, true}, \
	{prefix "LessThan", RULE_LESS, type, true}, \
	{prefix "LessThanEquals", RULE_LESS_EQUALS, type, true}, \
	{prefix "GreaterThan", RULE_GREATER, type, true}, \
	{prefix "GreaterThanEquals", RULE_GREATER_EQUALS, type, true}

static const struct RuleOperator
{
	const char *name;
	RuleKind	kind;
	RuleType	type;			/* of the operand */
	bool		has_path;		/* there is a ...Path form */
}			operators[] =

{
	COMPARISONS("String", TYPE_STRING),
	COMPARISONS("Numeric", TYPE_NUMERIC),
	COMPARISONS("Timestamp", TYPE_TIMESTAMP),
	{"BooleanEquals", RULE_EQUALS, TYPE_BOOLEAN, true},
	{"StringMatches", RULE_MATCHES, TYPE_STRING, false},
	{"IsNull", RULE_IS_NULL, TYPE_BOOLEAN, false},
	{"IsPresent", RULE_IS_PRESENT, TYPE_BOOLEAN, false},
	{"IsNumeric", RULE_IS_NUMERIC, TYPE_BOOLEAN, false},
	{"IsString", RULE_IS_STRING, TYPE_BOOLEAN, false},
	{"IsBoolean", RULE_IS_BOOLEAN, TYPE_BOOLEAN, false},
	{"IsTimestamp", RULE_IS_TIMESTAMP, TYPE_BOOLEAN, false},
};

typedef struct RuleOperator RuleOperator;

/* What the caller, not the rule, looks at in a rule of a Choice state. */
static const char *const outer_fields[] = {"Next", "Assign", "Output", "Comment"};

static SagaRule *parse_rule(const JsonbValue *value, bool nested, const char *at,
							char **error, char **location);

/* ---------- parsing ---------- */

/* Keys of jsonb are not terminated. */
static bool
name_is(const JsonbValue *name, const char *s)
{
	return name->val.string.len == strlen(s) &&
		memcmp(name->val.string.val, s, name->val.string.len) == 0;
}

/* Sets both; always false. */
static bool
rule_error(char **error, char **location, char *message, char *at)
{
	*error = message;
	*location = at;
	return false;
}

/* Has the value the type?  Then *result holds all that comparing needs. */
static bool
read_value(RuleType type, const JsonbValue *value, RuleValue *result)
{
	result->value = *value;
	switch (type)
	{
		case TYPE_STRING:
			return value->type == jbvString;
		case TYPE_NUMERIC:
			return value->type == jbvNumeric;
		case TYPE_BOOLEAN:
			return value->type == jbvBool;
		case TYPE_TIMESTAMP:
			return value->type == jbvString &&
				saga_timestamp_parse(value->val.string.val, value->val.string.len,
									 &result->time, &result->nanos);
	}
	return false;
}

/* For the message on an operand of another type. */
static const char *
type_wanted(RuleType type)
{
	switch (type)
	{
		case TYPE_STRING:
			return "a string";
		case TYPE_NUMERIC:
			return "a number";
		case TYPE_BOOLEAN:
			return "true or false";
		case TYPE_TIMESTAMP:
			return "an RFC 3339 timestamp";
	}
	return NULL;
}

/*
 * Resolves the escapes of a pattern, byte by byte: "\*" is a star that is
 * meant, and in UTF-8 no byte of another character looks like one.
 */
static void
compile_pattern(SagaRule *rule)
{
	const char *p = rule->operand.value.val.string.val;
	const char *end = p + rule->operand.value.val.string.len;

	rule->pattern = palloc(Max(end - p, 1) * sizeof(PatternChar));
	while (p < end)
	{
		PatternChar *c = &rule->pattern[rule->pattern_len++];

		c->any = *p == '*';
		if (*p == '\\' && p + 1 < end && (p[1] == '*' || p[1] == '\\'))
			p++;
		c->c = *p++;
	}
}

/* NULL, *error and *location when the value is no path. */
static SagaPath *
parse_path(const JsonbValue *value, const char *field, const char *at, char **error, char **location)
{
	char	   *detail = "it is no string";
	SagaPath   *path = NULL;

	if (value->type == jbvString)
		path = saga_path_parse(pnstrdup(value->val.string.val, value->val.string.len), &detail);
	if (path == NULL)
		rule_error(error, location,
				   psprintf("The value for the field '%s' must be a valid JSONPath: %s", field, detail),
				   psprintf("%s/%s", at, field));
	return path;
}

/*
 * Reads what is compared with: a constant of the operator's type, or a path
 * in its "...Path" form.
 */
static bool
parse_operand(SagaRule *rule, const RuleOperator *op, bool is_path, const JsonbValue *value,
			  const char *at, char **error, char **location)
{
	char	   *field = psprintf("%s%s", op->name, is_path ? "Path" : "");

	rule->kind = op->kind;
	rule->type = op->type;
	if (is_path)
	{
		rule->path = parse_path(value, field, at, error, location);
		return rule->path != NULL;
	}
	if (!read_value(op->type, value, &rule->operand))
		return rule_error(error, location,
						  psprintf("The value for the field '%s' must be %s", field, type_wanted(op->type)),
						  psprintf("%s/%s", at, field));
	/* the rule outlives the definition */
	saga_jsonb_value(saga_jsonb_from_value(value), &rule->operand.value);
	if (rule->kind == RULE_MATCHES)
		compile_pattern(rule);
	return true;
}

/* The rules of And and Or, or the one of Not. */
static bool
parse_rules(SagaRule *rule, RuleKind kind, const char *field, const JsonbValue *value,
			const char *at, char **error, char **location)
{
	SagaValueChildren c;
	char	   *here = psprintf("%s/%s", at, field);

	rule->kind = kind;
	if (kind == RULE_NOT)
	{
		rule->rules = palloc(sizeof(SagaRule *));
		rule->rules[0] = parse_rule(value, true, here, error, location);
		rule->count = 1;
		return rule->rules[0] != NULL;
	}
	if (!saga_value_is_array(value) || saga_value_count(value) == 0)
		return rule_error(error, location,
						  psprintf("The value for the field '%s' must be an array of rules that is not empty", field),
						  here);
	rule->rules = palloc(saga_value_count(value) * sizeof(SagaRule *));
	saga_value_children_start(&c, value);
	while (saga_value_children_next(&c))
	{
		rule->rules[rule->count] = parse_rule(&c.value, true, psprintf("%s/%d", here, rule->count),
											  error, location);
		if (rule->rules[rule->count++] == NULL)
			return false;
	}
	return true;
}

/* The operator of that name, with or without "Path" at its end. */
static const RuleOperator *
find_operator(const JsonbValue *name, bool *is_path)
{
	for (int i = 0; i < lengthof(operators); i++)
	{
		const RuleOperator *op = &operators[i];
		int			len = strlen(op->name);

		if (name->val.string.len < len || memcmp(name->val.string.val, op->name, len) != 0)
			continue;
		*is_path = op->has_path && name->val.string.len == len + 4 &&
			memcmp(name->val.string.val + len, "Path", 4) == 0;
		if (name->val.string.len == len || *is_path)
			return op;
	}
	return NULL;
}

/* Inside And, Or and Not only Comment may stand beside the rule. */
static bool
is_outer_field(const JsonbValue *name, bool nested)
{
	for (int i = 0; i < lengthof(outer_fields); i++)
	{
		if (name_is(name, outer_fields[i]))
			return !nested || strcmp(outer_fields[i], "Comment") == 0;
	}
	return false;
}

/* One member of a rule; *what counts what the rule does. */
static bool
parse_member(SagaRule *rule, const JsonbValue *name, const JsonbValue *value, bool nested,
			 int *what, const char *at, char **error, char **location)
{
	const RuleOperator *op;
	bool		is_path;
	StringInfoData buf;

	if (name_is(name, "Variable"))
	{
		rule->variable = parse_path(value, "Variable", at, error, location);
		return rule->variable != NULL;
	}
	if (is_outer_field(name, nested))
		return true;
	/* from here on it is what the rule does, of which there may be one */
	(*what)++;
	if (name_is(name, "And"))
		return parse_rules(rule, RULE_AND, "And", value, at, error, location);
	if (name_is(name, "Or"))
		return parse_rules(rule, RULE_OR, "Or", value, at, error, location);
	if (name_is(name, "Not"))
		return parse_rules(rule, RULE_NOT, "Not", value, at, error, location);
	op = find_operator(name, &is_path);
	if (op != NULL)
		return parse_operand(rule, op, is_path, value, at, error, location);

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s/", at);
	saga_value_append_pointer_name(&buf, name->val.string.val, name->val.string.len);
	return rule_error(error, location,
					  psprintf("The field '%.*s' is not supported in a choice rule",
							   name->val.string.len, name->val.string.val),
					  buf.data);
}

/*
 * "at" is the JSON pointer of the rule.  It must do exactly one thing, and
 * needs a variable unless it joins other rules.
 */
static SagaRule *
parse_rule(const JsonbValue *value, bool nested, const char *at, char **error, char **location)
{
	SagaRule   *rule = palloc0(sizeof(SagaRule));
	SagaValueChildren c;
	int			what = 0;

	check_stack_depth();

	if (!saga_value_is_object(value))
	{
		rule_error(error, location, "A choice rule must be an object", pstrdup(at));
		return NULL;
	}
	saga_value_children_start(&c, value);
	while (saga_value_children_next(&c))
	{
		JsonbValue	member = c.value;

		if (!parse_member(rule, &c.key, &member, nested, &what, at, error, location))
			return NULL;
	}
	if (what != 1)
		rule_error(error, location, what == 0 ? "A choice rule needs a comparison, And, Or or Not" :
				   "A choice rule can have only one of a comparison, And, Or or Not", pstrdup(at));
	else if (rule->kind > RULE_NOT && rule->variable == NULL)
		rule_error(error, location, "The field 'Variable' is required but was missing", pstrdup(at));
	else if (rule->kind <= RULE_NOT && rule->variable != NULL)
		rule_error(error, location, "The field 'Variable' does not go with And, Or or Not",
				   psprintf("%s/Variable", at));
	else
		return rule;
	return NULL;
}

/* NULL, *error and *location when it is wrong.  The rule owns what it has. */
SagaRule *
saga_jsonpath_rule_parse(const JsonbValue *value, char **error, char **location)
{
	*error = NULL;
	*location = NULL;
	return parse_rule(value, false, "", error, location);
}

/* ---------- evaluation ---------- */

/* Each "*" takes as little as it can, and only the last one is ever tried again. */
static bool
matches(const SagaRule *rule, const JsonbValue *value)
{
	const char *s = value->val.string.val;
	const char *end = s + value->val.string.len;
	const char *retry = NULL;
	int			p = 0;
	int			star = -1;

	while (s < end)
	{
		CHECK_FOR_INTERRUPTS();
		if (p < rule->pattern_len && rule->pattern[p].any)
		{
			star = p++;
			retry = s;
		}
		else if (p < rule->pattern_len && rule->pattern[p].c == *s)
		{
			p++;
			s++;
		}
		else if (star >= 0)
		{
			p = star + 1;
			s = ++retry;
		}
		else
			return false;
	}
	while (p < rule->pattern_len && rule->pattern[p].any)
		p++;
	return p == rule->pattern_len;
}

/* Microseconds first, then the nanoseconds below them. */
static int
compare_times(const RuleValue *a, const RuleValue *b)
{
	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	return a->nanos - b->nanos;
}

/*
 * False when either side has another type than the operator is for, whatever
 * the comparison.
 */
static bool
compare(const SagaRule *rule, const JsonbValue *variable, const JsonbValue *by_path)
{
	RuleValue	left,
				right = rule->operand;
	int			cmp;

	if (!read_value(rule->type, variable, &left))
		return false;
	if (rule->kind == RULE_MATCHES)
		return matches(rule, variable);
	if (by_path != NULL && !read_value(rule->type, by_path, &right))
		return false;
	cmp = rule->type == TYPE_TIMESTAMP ? compare_times(&left, &right) :
		saga_value_compare(&left.value, &right.value);
	switch (rule->kind)
	{
		case RULE_LESS:
			return cmp < 0;
		case RULE_LESS_EQUALS:
			return cmp <= 0;
		case RULE_GREATER:
			return cmp > 0;
		case RULE_GREATER_EQUALS:
			return cmp >= 0;
		default:
			return cmp == 0;
	}
}

/* Of a variable that is there; IsPresent does not come here. */
static bool
has_type(const SagaRule *rule, const JsonbValue *variable)
{
	RuleValue	ignored;

	switch (rule->kind)
	{
		case RULE_IS_NULL:
			return variable->type == jbvNull;
		case RULE_IS_NUMERIC:
			return variable->type == jbvNumeric;
		case RULE_IS_STRING:
			return variable->type == jbvString;
		case RULE_IS_BOOLEAN:
			return variable->type == jbvBool;
		case RULE_IS_TIMESTAMP:
			return read_value(TYPE_TIMESTAMP, variable, &ignored);
		default:
			return true;		/* RULE_IS_PRESENT */
	}
}

/* false and a fault, unless it is there */
static bool
lookup(const SagaPath *path, const SagaScope *scope, JsonbValue *result, SagaFault *fault)
{
	SagaFound	found = saga_path_value(path, scope, result, fault);

	if (found == SAGA_MISSING)
		return saga_fault(fault, "States.Runtime",
						  "Invalid path '%s': The choice state's condition path references an invalid value.",
						  saga_path_text(path));
	return found == SAGA_FOUND;
}

/*
 * A path with many matches is present when there is at least one.  A missing
 * value is no fault here.
 */
static bool
is_present(const SagaRule *rule, const SagaScope *scope, SagaFault *fault)
{
	JsonbValue	v;
	SagaFound	found = saga_path_value(rule->variable, scope, &v, fault);

	if (found == SAGA_FOUND && !saga_path_is_single(rule->variable))
		return saga_value_count(&v) > 0;
	return found == SAGA_FOUND;
}

/*
 * And and Or look at no further rule when they know; a fault ends the
 * evaluation with false, and callers look at it first.
 */
bool
saga_jsonpath_rule_eval(const SagaRule *rule, const SagaScope *scope, SagaFault *fault)
{
	JsonbValue	variable,
				by_path;
	bool		result;

	check_stack_depth();

	switch (rule->kind)
	{
		case RULE_AND:
		case RULE_OR:
			for (int i = 0; i < rule->count; i++)
			{
				result = saga_jsonpath_rule_eval(rule->rules[i], scope, fault);
				if (fault->error != NULL)
					return false;
				if (result == (rule->kind == RULE_OR))
					return result;
			}
			return rule->kind == RULE_AND;
		case RULE_NOT:
			result = saga_jsonpath_rule_eval(rule->rules[0], scope, fault);
			return fault->error == NULL && !result;
		case RULE_IS_PRESENT:
			result = is_present(rule, scope, fault);
			return fault->error == NULL && result == rule->operand.value.val.boolean;
		default:
			break;
	}
	/* all others look at the value of the variable */
	if (!lookup(rule->variable, scope, &variable, fault))
		return false;
	if (rule->kind >= RULE_IS_NULL)
		return has_type(rule, &variable) == rule->operand.value.val.boolean;
	if (rule->path == NULL)
		return compare(rule, &variable, NULL);
	return lookup(rule->path, scope, &by_path, fault) && compare(rule, &variable, &by_path);
}
