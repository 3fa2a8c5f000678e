/*
 * template.c
 *		Payload templates: JSON whose members named "x.$" are expressions.
 *
 * A part without expressions is kept as jsonb and copied whole.
 *
 * Parsing makes a tree in which every largest part without expressions is one
 * constant; begin reading with parse_node().  Evaluation walks the rest and
 * makes one jsonb at the end.  Members of an object are sorted at parsing,
 * since ".$" is cut off their names and jsonb wants them in its order.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "jsonpath/jsonpath_private.h"

typedef enum TemplateKind
{
	TEMPLATE_CONSTANT,
	TEMPLATE_EXPR,
	TEMPLATE_ARRAY,
	TEMPLATE_OBJECT
} TemplateKind;

typedef struct TemplateMember TemplateMember;

struct SagaTemplate
{
	TemplateKind kind;
	JsonbValue	constant;
	SagaExpr   *expr;
	const char *field;			/* EXPR: the member's name, for messages */
	int			count;
	TemplateMember *members;	/* sorted by name for an OBJECT */
};

struct TemplateMember
{
	JsonbValue	name;			/* without ".$" */
	SagaTemplate node;
};

/* Where parsing is, for the pointer to an error. */
typedef struct Location
{
	const struct Location *parent;
	const JsonbValue *name;		/* NULL: index */
	int			index;
} Location;

static bool parse_node(const JsonbValue *value, const Location *loc, SagaTemplate *node,
					   char **error, char **location);

/*
 * From the root down; no deeper than parse_node() has come, which looked at
 * the stack.
 */
static void
append_location(StringInfo buf, const Location *loc)
{
	if (loc == NULL)
		return;
	append_location(buf, loc->parent);
	appendStringInfoChar(buf, '/');
	if (loc->name == NULL)
		appendStringInfo(buf, "%d", loc->index);
	else
		saga_value_append_pointer_name(buf, loc->name->val.string.val, loc->name->val.string.len);
}

/* Sets *location; always false. */
static bool
parse_fault(const Location *loc, char **location)
{
	StringInfoData buf;

	initStringInfo(&buf);
	append_location(&buf, loc);
	*location = buf.data;
	return false;
}

/*
 * Is it an expression by its name?  A member named ".$" alone is one too,
 * with the empty name.
 */
static bool
is_dynamic(const JsonbValue *name)
{
	int			len = name->val.string.len;

	return len >= 2 && memcmp(name->val.string.val + len - 2, ".$", 2) == 0;
}

/*
 * Parses the value of a ".$" member, whose name in the result loses its end.
 * The full name is kept for messages.
 */
static bool
parse_expr(const JsonbValue *name, const JsonbValue *value, const Location *loc,
		   TemplateMember *member, char **error, char **location)
{
	char	   *field = pnstrdup(name->val.string.val, name->val.string.len);
	char	   *detail = "it is no string";

	member->name.val.string.len -= 2;
	member->node.kind = TEMPLATE_EXPR;
	member->node.field = field;
	if (value->type == jbvString)
		member->node.expr = saga_expr_parse(pnstrdup(value->val.string.val, value->val.string.len),
											&detail);
	if (member->node.expr != NULL)
		return true;
	*error = psprintf("The value for the field '%s' must be a valid JSONPath or a valid intrinsic function call: %s",
					  field, detail);
	return parse_fault(loc, location);
}

/* By jsonb's order of names, so that the result need not be sorted. */
static int
compare_members(const void *a, const void *b)
{
	const JsonbPair pa = {.key = ((const TemplateMember *) a)->name};
	const JsonbPair pb = {.key = ((const TemplateMember *) b)->name};

	return saga_pair_compare(&pa, &pb);
}

/*
 * Reads elements or members into node->members.  An array has no names there.
 */
static bool
parse_members(const JsonbValue *value, const Location *loc, SagaTemplate *node,
			  char **error, char **location)
{
	SagaValueChildren c;
	Location	here = {.parent = loc};

	node->members = palloc0(Max(saga_value_count(value), 1) * sizeof(TemplateMember));
	saga_value_children_start(&c, value);
	while (saga_value_children_next(&c))
	{
		TemplateMember *member = &node->members[node->count];

		here.index = node->count++;
		if (c.is_object)
		{
			member->name = c.key;
			member->name.val.string.val = pnstrdup(c.key.val.string.val, c.key.val.string.len);
			here.name = &member->name;
			if (is_dynamic(&c.key))
			{
				if (!parse_expr(&c.key, &c.value, loc, member, error, location))
					return false;
				continue;
			}
		}
		if (!parse_node(&c.value, &here, &member->node, error, location))
			return false;
	}
	return true;
}

/* Sorts; "a" beside "a.$" would leave open which one is meant. */
static bool
check_names(SagaTemplate *node, const Location *loc, char **error, char **location)
{
	qsort(node->members, node->count, sizeof(TemplateMember), compare_members);
	for (int i = 1; i < node->count; i++)
	{
		if (compare_members(&node->members[i - 1], &node->members[i]) == 0)
		{
			*error = psprintf("The field '%.*s' is given twice, with and without \".$\"",
							  node->members[i].name.val.string.len,
							  node->members[i].name.val.string.val);
			return parse_fault(loc, location);
		}
	}
	return true;
}

/*
 * Gives back what a constant part no longer needs: without it, a large
 * constant would take many times its size.
 */
static void
free_members(SagaTemplate *node)
{
	if (node->members == NULL)
		return;
	for (int i = 0; node->kind == TEMPLATE_OBJECT && i < node->count; i++)
		pfree(node->members[i].name.val.string.val);
	pfree(node->members);
	node->members = NULL;
}

/*
 * The template outlives the definition that it is read from.  Only the
 * largest constant parts are copied, once each.
 */
static void
keep_constant(SagaTemplate *node)
{
	if (node->kind == TEMPLATE_CONSTANT)
		saga_jsonb_value(saga_jsonb_from_value(&node->constant), &node->constant);
}

/*
 * Reads a value and all below it.  A constant is not copied yet, as the part
 * around it may turn out to be constant too.
 */
static bool
parse_node(const JsonbValue *value, const Location *loc, SagaTemplate *node,
		   char **error, char **location)
{
	bool		constant = true;

	check_stack_depth();

	if (!IsAJsonbScalar(value))
	{
		node->kind = saga_value_is_object(value) ? TEMPLATE_OBJECT : TEMPLATE_ARRAY;
		if (!parse_members(value, loc, node, error, location))
			return false;
		if (node->kind == TEMPLATE_OBJECT && !check_names(node, loc, error, location))
			return false;
		for (int i = 0; i < node->count; i++)
			constant = constant && node->members[i].node.kind == TEMPLATE_CONSTANT;
	}
	if (constant)
	{
		free_members(node);
		node->kind = TEMPLATE_CONSTANT;
		node->constant = *value;
	}
	else
	{
		for (int i = 0; i < node->count; i++)
			keep_constant(&node->members[i].node);
	}
	return true;
}

/*
 * NULL, *error and *location when it is wrong.  The definition may be freed
 * afterwards.
 */
SagaTemplate *
saga_template_parse(const JsonbValue *value, char **error, char **location)
{
	SagaTemplate *tmpl = palloc0(sizeof(SagaTemplate));

	*error = NULL;
	*location = NULL;
	if (!parse_node(value, NULL, tmpl, error, location))
		return NULL;
	keep_constant(tmpl);
	return tmpl;
}

/*
 * False and a fault from the first expression that fails.  Constants are
 * shared with the template.
 */
static bool
eval_node(const SagaTemplate *node, const SagaScope *scope, JsonbValue *result, SagaFault *fault)
{
	check_stack_depth();

	switch (node->kind)
	{
		case TEMPLATE_CONSTANT:
			*result = node->constant;
			return true;
		case TEMPLATE_EXPR:
			return saga_expr_value(node->expr, node->field, scope, result, fault);
		case TEMPLATE_ARRAY:
			{
				JsonbValue *elems = palloc(node->count * sizeof(JsonbValue));

				for (int i = 0; i < node->count; i++)
					if (!eval_node(&node->members[i].node, scope, &elems[i], fault))
						return false;
				saga_value_set_array(result, elems, node->count);
				return true;
			}
		case TEMPLATE_OBJECT:
			{
				JsonbPair  *pairs = palloc(node->count * sizeof(JsonbPair));

				for (int i = 0; i < node->count; i++)
				{
					pairs[i].key = node->members[i].name;
					if (!eval_node(&node->members[i].node, scope, &pairs[i].value, fault))
						return false;
				}
				result->type = jbvObject;
				result->val.object.pairs = pairs;
				result->val.object.nPairs = node->count;
				return true;
			}
	}
	return false;
}

/* NULL and a fault when an expression fails or the result is too large. */
Jsonb *
saga_template_eval(const SagaTemplate *tmpl, const SagaScope *scope, SagaFault *fault)
{
	JsonbValue	v;

	if (!eval_node(tmpl, scope, &v, fault))
		return NULL;
	return saga_value_flatten(&v, fault);
}
