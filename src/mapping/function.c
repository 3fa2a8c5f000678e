/*
 * function.c
 *		Functions of expressions: which there are, what they take, and those
 *		on values of any type.
 *
 * functions[] is the list of them: a name, the C function and the parameters.
 * saga_map_call() matches arguments to parameters and calls; parse.c asks
 * saga_map_function_takes() and saga_map_function_check() beforehand, so that
 * most mistakes are told when the expression is saved.
 *
 * A function finds its arguments in call->args in the order of its
 * parameters, with the types that these ask for or as nothing, and sets
 * call->result, which is nothing when it is called.  False means that an
 * error was set.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "mapping/mapping_private.h"

#define ANY "asnblo"

/* A call takes its time even with small arguments. */
#define STEPS_PER_CALL	8

static bool map_string(SagaMapCall *call);
static bool map_boolean(SagaMapCall *call);
static bool map_not(SagaMapCall *call);
static bool map_exists(SagaMapCall *call);
static bool map_count(SagaMapCall *call);
static bool map_append(SagaMapCall *call);
static bool map_merge(SagaMapCall *call);
static bool map_lookup(SagaMapCall *call);
static bool map_keys(SagaMapCall *call);

/* Parameters as in JSONata's own signatures; the last three functions are ours. */
static const SagaMapFunction functions[] =
{
	{"string", map_string, {{ANY, .context = true}, {"b", .optional = true}}, .supported = 1},
	{"boolean", map_boolean, {{ANY, .context = true}}},
	{"not", map_not, {{ANY, .context = true}}},
	{"exists", map_exists, {{ANY}}},
	{"count", map_count, {{"a"}}},
	{"append", map_append, {{ANY}, {ANY}}},
	{"merge", map_merge, {{"a", 'o'}}},
	{"lookup", map_lookup, {{ANY, .context = true}, {"s"}}},
	{"keys", map_keys, {{ANY, .context = true}}},
	{"substring", saga_map_substring, {{"s", .context = true}, {"n"}, {"n", .optional = true}}},
	{"substringBefore", saga_map_substring_before, {{"s", .context = true}, {"s"}}},
	{"substringAfter", saga_map_substring_after, {{"s", .context = true}, {"s"}}},
	{"uppercase", saga_map_uppercase, {{"s", .context = true}}},
	{"lowercase", saga_map_lowercase, {{"s", .context = true}}},
	{"trim", saga_map_trim, {{"s", .context = true}}},
	{"length", saga_map_length, {{"s", .context = true}}},
	{"pad", saga_map_pad, {{"s", .context = true}, {"n"}, {"s", .optional = true}}},
	{"contains", saga_map_contains, {{"s", .context = true}, {"s"}}},
	{"replace", saga_map_replace, {{"s", .context = true}, {"s"}, {"s"}, {"n", .optional = true}}},
	{"split", saga_map_split, {{"s", .context = true}, {"s"}, {"n", .optional = true}}},
	{"join", saga_map_join, {{"a", 's'}, {"s", .optional = true}}},
	{"number", saga_map_number, {{"nsb", .context = true}}},
	{"abs", saga_map_abs, {{"n", .context = true}}},
	{"floor", saga_map_floor_of, {{"n", .context = true}}},
	{"ceil", saga_map_ceil, {{"n", .context = true}}},
	{"round", saga_map_round, {{"n", .context = true}, {"n", .optional = true}}},
	{"sum", saga_map_sum, {{"a", 'n'}}},
	{"formatNumber", saga_map_format_number, {{"n", .context = true}, {"s"}, {"o", .optional = true}}, .supported = 2},
	{"minor", saga_map_minor, {{"ns"}, {"n", .optional = true}}},
	{"decimal", saga_map_decimal, {{"ns"}, {"n", .optional = true}}},
	{"date", saga_map_date, {{"s"}, {"s"}}},
};

/*
 * NULL when there is none of that name.  The name comes without "$" and is
 * not terminated.
 */
const SagaMapFunction *
saga_map_function_find(const char *name, int len)
{
	for (int i = 0; i < lengthof(functions); i++)
		if (strlen(functions[i].name) == len && strncmp(functions[i].name, name, len) == 0)
			return &functions[i];
	return NULL;
}

/* The first parameter without types ends the list. */
static int
count_params(const SagaMapFunction *function)
{
	int			n = 0;

	while (n < SAGA_MAP_MAX_ARGS && function->params[n].types != NULL)
		n++;
	return n;
}

/*
 * Looks at the number of arguments alone; their types are known only when the
 * expression is evaluated.  Parameters that JSONata knows and we do not are
 * told apart from those that nobody knows.
 */
bool
saga_map_function_takes(const SagaMapFunction *function, int nargs, char **error)
{
	int			most = count_params(function);
	int			least = 0;

	for (int i = 0; i < most; i++)
		least += !function->params[i].optional && !function->params[i].context;
	if (nargs < least)
		*error = psprintf("$%s has too few arguments", function->name);
	else if (nargs > most)
		*error = psprintf("$%s has too many arguments", function->name);
	else if (function->supported > 0 && nargs > function->supported)
		*error = psprintf("argument %d of $%s is not supported in mappings", function->supported + 1, function->name);
	else
		return true;
	return false;
}

/*
 * NULL, or what is wrong with a picture that stands in the expression as it
 * is.  The last argument is it, for both functions that have one.
 */
const char *
saga_map_function_check(const SagaMapFunction *function, SagaMapNode *const *args, int nargs)
{
	const SagaMapNode *last = nargs > 0 ? args[nargs - 1] : NULL;

	if (last == NULL || last->kind != SAGA_MAP_LITERAL || last->literal.type != SAGA_MAP_STRING ||
		last->predicates.count > 0)
		return NULL;
	if (function->eval == saga_map_format_number)
		return saga_map_picture_check(last->literal.u.string, last->literal.count);
	if (function->eval == saga_map_date)
		return saga_map_date_picture_check(last->literal.u.string, last->literal.count);
	return NULL;
}

/* ---------- arguments ---------- */

/* JSONata's letters for types; 'm' is nothing, which fits every parameter. */
static char
type_letter(const SagaMapValue *v)
{
	static const char letters[] = "mlbnsao";

	return letters[v->type];
}

/*
 * A parameter of type "a" alone takes anything: what is no array becomes an
 * array of one later.
 */
static bool
type_fits(const SagaMapParam *param, char letter)
{
	const char *types = param->types[0] == 'a' && param->types[1] == '\0' ? ANY : param->types;

	return letter == 'm' || strchr(types, letter) != NULL;
}

/* Which argument goes to which parameter (-1: none), as a regular expression would match. */
static bool
match_params(const SagaMapParam *params, int nparams, const SagaMapValue *args, int nargs, int next, int *which)
{
	if (nparams == 0)
		return next == nargs;
	if (next < nargs && type_fits(params, type_letter(&args[next])))
	{
		*which = next;
		if (match_params(params + 1, nparams - 1, args, nargs, next + 1, which + 1))
			return true;
	}
	if (!params->context && !params->optional)
		return false;
	*which = -1;
	return match_params(params + 1, nparams - 1, args, nargs, next, which + 1);
}

/*
 * Makes an array of an argument that is to be one, and looks at the types of
 * its elements where the signature names one.  Nothing stays nothing.
 */
static bool
check_array(SagaMapCall *call, int arg, const SagaMapParam *param)
{
	SagaMapValue *v = &call->args[arg];
	SagaMapValue *elems = v;
	int			n = 1;
	SagaMapList list = {0};

	if (v->type == SAGA_MAP_NOTHING)
		return true;
	if (v->type == SAGA_MAP_ARRAY)
	{
		if (param->elements == 0)
			return true;
		elems = saga_map_elems(call->ev, v);
		n = v->count;
	}
	for (int i = 0; i < n && param->elements != 0; i++)
	{
		if (!saga_map_tick(call->ev))
			return false;
		if (type_letter(&elems[i]) != param->elements)
			return saga_map_call_error(call, "takes only %s, not %s",
									   param->elements == 'n' ? "numbers" : param->elements == 's' ? "strings" : "objects",
									   saga_map_type_name(&elems[i]));
	}
	if (v->type == SAGA_MAP_ARRAY)
		return true;
	if (!saga_map_push(call->ev, &list, v))
		return false;
	saga_map_set_array(v, &list, 0);
	return true;
}

/*
 * The error for arguments that fit no way of reading the signature: it names
 * their types, never their values.
 */
static bool
wrong_arguments(SagaMapCall *call, const SagaMapValue *args, int nargs)
{
	StringInfoData buf;

	if (nargs == 0)
		return saga_map_call_error(call, "needs an argument");
	initStringInfo(&buf);
	for (int i = 0; i < nargs; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "", saga_map_type_name(&args[i]));
	return saga_map_call_error(call, "does not take %s", buf.data);
}

/*
 * Calls the node's function.  A parameter with a context takes the context
 * value where its argument is missing, so that Name.$uppercase() works as in
 * JSONata.
 */
bool
saga_map_call(SagaMapEval *ev, const SagaMapNode *node, const SagaMapValue *args, int nargs,
			  const SagaMapValue *context, SagaMapValue *result)
{
	const SagaMapFunction *function = node->function;
	int			nparams = count_params(function);
	int			which[SAGA_MAP_MAX_ARGS];
	SagaMapCall call = {.ev = ev, .node = node, .result = result};

	if (!saga_map_charge(ev, STEPS_PER_CALL))
		return false;
	for (int i = 0; i < nargs; i++)
		/* a short argument can be a number of a hundred thousand digits */
		if (args[i].type == SAGA_MAP_NUMBER && !saga_map_charge_number(ev, args[i].u.number))
			return false;
	if (!match_params(function->params, nparams, args, nargs, 0, which))
		return wrong_arguments(&call, args, nargs);
	for (int i = 0; i < nparams; i++)
	{
		const SagaMapParam *param = &function->params[i];

		if (which[i] >= 0)
			call.args[i] = args[which[i]];
		else if (param->context)
		{
			if (!type_fits(param, type_letter(context)))
				return saga_map_call_error(&call, "without its first argument does not take %s, which is the context",
										   saga_map_type_name(context));
			call.args[i] = *context;
		}
		if (param->types[0] == 'a' && param->types[1] == '\0' && !check_array(&call, i, param))
			return false;
	}
	return function->eval(&call);
}

/* ---------- values of any type ---------- */

/*
 * $string: a string stays as it is, nothing stays nothing, all else is
 * written as JSON.  A wrapper is the document, so it is written as the array
 * that it holds.
 */
static bool
map_string(SagaMapCall *call)
{
	SagaMapValue *v = &call->args[0];
	StringInfoData buf;

	if (v->type == SAGA_MAP_NOTHING)
		return true;
	if (v->flags & SAGA_MAP_WRAPPER)
		v = v->u.elems;
	initStringInfo(&buf);
	if (!saga_map_append_text(call->ev, &buf, v, false))
		return false;
	saga_map_set_string(call->result, buf.data, buf.len);
	return true;
}

/* $boolean, by JSONata's rules of what counts as true. */
static bool
map_boolean(SagaMapCall *call)
{
	if (call->args[0].type != SAGA_MAP_NOTHING)
		saga_map_set_bool(call->result, saga_map_boolean(call->ev, &call->args[0]));
	return true;
}

/* $not: of nothing it is nothing, not true. */
static bool
map_not(SagaMapCall *call)
{
	if (call->args[0].type != SAGA_MAP_NOTHING)
		saga_map_set_bool(call->result, !saga_map_boolean(call->ev, &call->args[0]));
	return true;
}

/* $exists, the one function that tells nothing from other values. */
static bool
map_exists(SagaMapCall *call)
{
	saga_map_set_bool(call->result, call->args[0].type != SAGA_MAP_NOTHING);
	return true;
}

/* $count: nothing has a count of 0 already, as its members are none. */
static bool
map_count(SagaMapCall *call)
{
	saga_map_set_number(call->result, int64_to_numeric(call->args[0].count));
	return true;
}

/* $append: sequence.c has the rules, since paths need them too. */
static bool
map_append(SagaMapCall *call)
{
	return saga_map_append(call->ev, &call->args[0], &call->args[1], call->result);
}

/*
 * $lookup: the member of an object, or of all objects in an array, by a name
 * that is computed.
 */
static bool
map_lookup(SagaMapCall *call)
{
	if (call->args[1].type == SAGA_MAP_NOTHING)
		return true;
	return saga_map_lookup(call->ev, &call->args[0], call->args[1].u.string, call->args[1].count, call->result);
}

/* ---------- $keys, $merge ---------- */

typedef struct Member
{
	SagaMapPair pair;
	int			order;			/* where it came, counted from 0: a sort by name must not lose that */
} Member;

typedef struct Members
{
	Member	   *members;
	int			count;
	int			max;
} Members;

/*
 * Adds all members of one object, and pays for their names, which the sort
 * will compare.
 */
static bool
add_members(SagaMapCall *call, Members *members, const SagaMapValue *object)
{
	SagaMapPair *pairs = saga_map_pairs(call->ev, object);

	if (pairs == NULL)
		return false;
	for (int i = 0; i < object->count; i++)
	{
		/* the names are what is compared when they are sorted */
		if (!saga_map_tick(call->ev) || !saga_map_charge_bytes(call->ev, pairs[i].len))
			return false;
		if (members->count >= members->max)
		{
			if (members->max >= 1000000)
				return saga_map_call_error(call, "finds too many members");
			members->max = Max(members->max * 2, 16);
			members->members = members->members == NULL ? palloc(members->max * sizeof(Member)) :
				repalloc(members->members, members->max * sizeof(Member));
		}
		members->members[members->count].pair = pairs[i];
		members->members[members->count].order = members->count;
		members->count++;
	}
	return true;
}

/*
 * Adds the members of an object, or of all objects in an array at any depth.
 * Other values have none.
 */
static bool
add_members_below(SagaMapCall *call, Members *members, SagaMapValue *v)
{
	SagaMapValue *elems;

	check_stack_depth();

	if (v->type == SAGA_MAP_OBJECT)
		return add_members(call, members, v);
	if (v->type != SAGA_MAP_ARRAY)
		return true;
	elems = saga_map_elems(call->ev, v);
	for (int i = 0; i < v->count; i++)
		if (!saga_map_tick(call->ev) || !add_members_below(call, members, &elems[i]))
			return false;
	return true;
}

/* By bytes: only equality matters here, so that no collation is asked. */
static int
compare_names(const Member *a, const Member *b)
{
	int			cmp = memcmp(a->pair.name, b->pair.name, Min(a->pair.len, b->pair.len));

	return cmp != 0 ? cmp : a->pair.len - b->pair.len;
}

/* By name; of one name the last first. */
static int
compare_members(const void *a, const void *b)
{
	int			cmp = compare_names(a, b);

	return cmp != 0 ? cmp : ((const Member *) b)->order - ((const Member *) a)->order;
}

/* By where a name came first. */
static int
compare_order(const void *a, const void *b)
{
	return ((const Member *) a)->order - ((const Member *) b)->order;
}

/* Leaves one of each name: the last value, in the place of the first. */
static bool
make_unique(SagaMapCall *call, Members *members)
{
	int			n = 0;

	if (!saga_map_sort(call->ev, members->members, members->count, sizeof(Member), compare_members))
		return false;
	for (int i = 0; i < members->count; i++)
	{
		if (n > 0 && compare_names(&members->members[n - 1], &members->members[i]) == 0)
			members->members[n - 1].order = members->members[i].order;
		else
			members->members[n++] = members->members[i];
	}
	members->count = n;
	return saga_map_sort(call->ev, members->members, n, sizeof(Member), compare_order);
}

/* $keys: each name once, in the order in which they came first. */
static bool
map_keys(SagaMapCall *call)
{
	Members		members = {0};
	SagaMapList list = {0};

	if (!add_members_below(call, &members, &call->args[0]) || !make_unique(call, &members))
		return false;
	for (int i = 0; i < members.count; i++)
	{
		SagaMapValue name;

		saga_map_set_string(&name, members.members[i].pair.name, members.members[i].pair.len);
		if (!saga_map_push(call->ev, &list, &name))
			return false;
	}
	saga_map_set_array(call->result, &list, SAGA_MAP_SEQUENCE);
	return true;
}

/*
 * $merge: one object of several; of equal names the last value counts, in the
 * place of the first.
 */
static bool
map_merge(SagaMapCall *call)
{
	Members		members = {0};
	SagaMapPair *pairs;

	if (call->args[0].type == SAGA_MAP_NOTHING)
		return true;
	if (!add_members_below(call, &members, &call->args[0]) || !make_unique(call, &members))
		return false;
	pairs = palloc((members.count + 1) * sizeof(SagaMapPair));
	for (int i = 0; i < members.count; i++)
		pairs[i] = members.members[i].pair;
	call->result->type = SAGA_MAP_OBJECT;
	call->result->count = members.count;
	call->result->u.pairs = pairs;
	return true;
}
