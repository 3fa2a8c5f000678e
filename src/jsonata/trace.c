/*
 * trace.c
 *		Where in the document a part of the result comes from.
 *
 * Values point into the document, so that one which is only handed through
 * says itself where it is from: strings, objects and arrays by what they point
 * to, all others by their count, which they have no other use for.  What is
 * computed is from the nearest part of the document that holds all of its
 * operands.  Nothing is ever told by comparing values: two members with the
 * same text are not one another's origin.
 *
 * Each value of the document has a number, in the order in which they are
 * read, from 1 on; 0 is none.  So a part has a higher number than the whole.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "value/value.h"
#include "jsonata/jsonata_private.h"

/* A value of the document. */
typedef struct TraceNode
{
	int			parent;
	const char *name;			/* NULL: an element */
	int			len;
	int			index;
	bool		scalar;
} TraceNode;

/* What a value points to. */
typedef struct TraceEntry
{
	const void *at;
	int			node;
	int			count;			/* of the value: a part of an array may begin where it does */
	bool		within;			/* it is not that value itself, but was made for it */
} TraceEntry;

struct SagaJsonataTrace
{
	TraceNode  *nodes;			/* the first is not used */
	int			count;
	int			max;
	int			failed;			/* what a fault is about */
	SagaJsonataObject *entries; /* by the bytes of the pointer, as if these were a name */
};

#define ROOT	1

void
saga_jsonata_trace_start(SagaJsonataEval *ev)
{
	SagaJsonataTrace *trace = palloc0(sizeof(SagaJsonataTrace));

	trace->entries = saga_jsonata_new_object(ev, 64);
	trace->max = 64;
	trace->nodes = palloc0(trace->max * sizeof(TraceNode));
	trace->count = ROOT;
	ev->trace = trace;
}

/* ---------- the document ---------- */

/* The number of the next value, which is about to be read; 0 and a fault: there is no room for it. */
int
saga_jsonata_trace_next(SagaJsonataEval *ev, int parent, const char *name, int len, int index)
{
	SagaJsonataTrace *trace = ev->trace;
	TraceNode  *node;

	if (trace->count >= trace->max)
	{
		if (!saga_jsonata_has_room(ev, (int64) trace->max * 2, sizeof(TraceNode)))
			return 0;
		trace->max *= 2;
		trace->nodes = repalloc_huge(trace->nodes, trace->max * sizeof(TraceNode));
	}
	node = &trace->nodes[trace->count];
	node->parent = parent;
	node->name = name;
	node->len = len;
	node->index = index;
	node->scalar = false;
	return trace->count++;
}

/* Any of the pointers of a value. */
static inline const void *
pointer_of(const SagaJsonataValue *v)
{
	return v->u.string;
}

static TraceEntry *
find_entry(const SagaJsonataTrace *trace, const void *at)
{
	SagaJsonataValue *slot = at == NULL ? NULL : saga_jsonata_slot(trace->entries, (const char *) &at, sizeof(at));

	return slot == NULL ? NULL : (TraceEntry *) unconstify(char *, slot->u.string);
}

static bool
enter(SagaJsonataEval *ev, const SagaJsonataValue *v, int node, bool within)
{
	TraceEntry *entry = find_entry(ev->trace, pointer_of(v));
	SagaJsonataValue slot;
	bool		is_new = entry == NULL;

	if (is_new)
		entry = saga_jsonata_alloc(ev, sizeof(TraceEntry));
	entry->at = pointer_of(v);
	entry->node = node;
	entry->count = v->count;
	entry->within = within;
	if (!is_new)
		return true;
	saga_jsonata_set_string(&slot, (const char *) entry, sizeof(TraceEntry));
	return saga_jsonata_put(ev, ev->trace->entries, (const char *) &entry->at, sizeof(entry->at), &slot);
}

/* Whether a value says by what it points to, and not by its count, where it is from. */
static bool
by_pointer(const SagaJsonataValue *v)
{
	if (v->type == SAGA_JV_ARRAY || v->type == SAGA_JV_OBJECT)
		return (v->flags & (SAGA_JV_STORED | SAGA_JV_RANGE)) == 0;
	return v->type == SAGA_JV_STRING || (v->type == SAGA_JV_NUMBER && (v->flags & SAGA_JV_DIGITS));
}

static bool
is_scalar(const SagaJsonataValue *v)
{
	return v->type == SAGA_JV_NULL || v->type == SAGA_JV_BOOL || v->type == SAGA_JV_NUMBER || v->type == SAGA_JV_STRING;
}

/* The value of this number was read. */
bool
saga_jsonata_trace_read(SagaJsonataEval *ev, int node, SagaJsonataValue *v)
{
	ev->trace->nodes[node].scalar = is_scalar(v);
	if (!by_pointer(v))
	{
		v->count = node;
		return true;
	}
	/* an empty array points to something as well */
	if (v->type == SAGA_JV_ARRAY && v->u.elems == NULL)
		v->u.elems = saga_jsonata_alloc(ev, sizeof(SagaJsonataValue));
	return saga_jsonata_spend(ev, 2) && enter(ev, v, node, false);
}

/* ---------- values ---------- */

/* 0: nothing is known.  *within: it is not that value itself, nor made of it alone. */
static int
origin(const SagaJsonataEval *ev, const SagaJsonataValue *v, bool *within)
{
	const TraceEntry *entry;

	*within = false;
	if (!by_pointer(v))
	{
		if (!is_scalar(v) || v->count <= 0 || v->count >= ev->trace->count)
			return 0;
		*within = !ev->trace->nodes[v->count].scalar;
		return v->count;
	}
	entry = find_entry(ev->trace, pointer_of(v));
	if (entry == NULL || (v->type == SAGA_JV_ARRAY && entry->count != v->count))
		return 0;
	*within = entry->within;
	return entry->node;
}

/* The nearest value that both are in. */
static int
common(const SagaJsonataTrace *trace, int a, int b)
{
	if (a == 0 || b == 0)
		return a + b;
	while (a != b)
	{
		if (a > b)
			a = trace->nodes[a].parent;
		else
			b = trace->nodes[b].parent;
	}
	return a;
}

/* What holds everything that a value is made of; false: a fault was set. */
static bool
made_of(SagaJsonataEval *ev, const SagaJsonataValue *v, int *node)
{
	bool		within;
	int			own = origin(ev, v, &within);
	int			n;

	if (own != 0 && (!within || is_scalar(v)))
	{
		*node = common(ev->trace, *node, own);
		return saga_jsonata_tick(ev);
	}
	if (v->type == SAGA_JV_TUPLE)
		return made_of(ev, &v->u.tuple->at, node);
	if ((v->type != SAGA_JV_ARRAY && v->type != SAGA_JV_OBJECT) || !by_pointer(v))
		return true;
	if (!saga_jsonata_enter(ev))
		return false;
	n = saga_jsonata_count(v);
	for (int i = 0; i < n; i++)
	{
		if (!made_of(ev, v->type == SAGA_JV_ARRAY ? &v->u.elems[i] : &v->u.object->pairs[i].value, node))
			return false;
	}
	saga_jsonata_leave(ev);
	return true;
}

/*
 * A value was computed from others.  A text is copied, because what points to
 * a literal of the expression is shared by all who come by.
 */
bool
saga_jsonata_trace_made(SagaJsonataEval *ev, SagaJsonataValue *result, const SagaJsonataValue *operands, int n)
{
	bool		within;
	int			node = 0;

	if (!is_scalar(result) || origin(ev, result, &within) != 0)
		return true;
	for (int i = 0; i < n; i++)
		if (!made_of(ev, &operands[i], &node))
			return false;
	if (node == 0)
		return true;
	if (by_pointer(result))
	{
		char	   *copy;

		if (!saga_jsonata_spend_copy(ev, result->count) || !saga_jsonata_has_room(ev, result->count, 1))
			return false;
		copy = saga_jsonata_alloc(ev, result->count + 1);
		memcpy(copy, result->u.string, result->count);
		copy[result->count] = '\0';
		result->u.string = copy;
		return enter(ev, result, node, !ev->trace->nodes[node].scalar);
	}
	result->count = node;
	return true;
}

/*
 * A fault was set while something was made of these.  The first that is told
 * something is the innermost.  No step is left after a fault, so that nothing
 * is looked into here.
 */
void
saga_jsonata_trace_failed(SagaJsonataEval *ev, const SagaJsonataValue *values, int n)
{
	SagaJsonataTrace *trace = ev->trace;
	bool		within;

	if (trace->failed != 0)
		return;
	for (int i = 0; i < n; i++)
		trace->failed = common(trace, trace->failed, origin(ev, &values[i], &within));
}

/* The value for which something is made that has this context, or the one that holds all of several. */
static int
context_of(SagaJsonataEval *ev, const SagaJsonataValue *context)
{
	bool		within;
	int			node = origin(ev, context, &within);

	if (node == 0 && context->type == SAGA_JV_TUPLE)
		return context_of(ev, &context->u.tuple->at);
	if (node == 0 && context->type == SAGA_JV_ARRAY && by_pointer(context))
	{
		for (int i = 0; i < context->count && node != ROOT; i++)
		{
			const SagaJsonataValue *elem = &context->u.elems[i];

			/* it is a list of its own: no deeper than this */
			if (elem->type == SAGA_JV_TUPLE)
				elem = &elem->u.tuple->at;
			node = common(ev->trace, node, origin(ev, elem, &within));
		}
	}
	return node;
}

/* An object was made, or copied, for a part of the document. */
bool
saga_jsonata_trace_object(SagaJsonataEval *ev, const SagaJsonataValue *object, const SagaJsonataValue *context)
{
	int			node = context_of(ev, context);

	return saga_jsonata_spend(ev, 2 + (context->type == SAGA_JV_ARRAY ? saga_jsonata_count(context) / 4 : 0)) &&
		(node == 0 || enter(ev, object, node, true));
}

/* ---------- what a caller asks for ---------- */

static void
append_node(const SagaJsonataTrace *trace, int node, StringInfo buf)
{
	int			depth = 0;
	int		   *path;

	for (int i = node; i != ROOT; i = trace->nodes[i].parent)
		depth++;
	path = palloc((depth + 1) * sizeof(int));
	for (int i = node, n = depth; i != ROOT; i = trace->nodes[i].parent)
		path[--n] = i;
	for (int i = 0; i < depth; i++)
	{
		const TraceNode *step = &trace->nodes[path[i]];

		appendStringInfoChar(buf, '/');
		if (step->name != NULL)
			saga_value_append_pointer_name(buf, step->name, step->len);
		else
			appendStringInfo(buf, "%d", step->index);
	}
	pfree(path);
}

/*
 * The place of a value with what follows it.  NULL where a text cannot have
 * it: a name has \u0000 in it, or half of a surrogate pair.
 */
static char *
place_of(SagaJsonataEval *ev, int node, const char *rest, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	StringInfoData buf;

	initStringInfo(&buf);
	append_node(ev->trace, node, &buf);
	appendStringInfoString(&buf, rest);
	MemoryContextSwitchTo(old);
	return pg_encoding_verifymbstr(PG_UTF8, buf.data, buf.len) == buf.len && strlen(buf.data) == buf.len ? buf.data : NULL;
}

/* The next name of a pointer, of which it moves the start: without its escapes, palloc'd. */
static char *
next_token(const char **pointer)
{
	const char *p = *pointer + 1;
	char	   *token = palloc(strlen(p) + 1);
	char	   *out = token;

	for (; *p != '\0' && *p != '/'; p++)
	{
		if (*p == '~' && (p[1] == '0' || p[1] == '1'))
			*out++ = *++p == '0' ? '~' : '/';
		else
			*out++ = *p;
	}
	*out = '\0';
	*pointer = p;
	return token;
}

/* What a name of a pointer leads to. */
static bool
child(const SagaJsonataValue *v, const char *token, SagaJsonataValue *result)
{
	SagaJsonataValue in = *v;
	char	   *end;
	long		index;

	if (in.type == SAGA_JV_OBJECT)
		return saga_jsonata_member(&in, token, strlen(token), result);
	if (in.type != SAGA_JV_ARRAY || token[0] < '0' || token[0] > '9')
		return false;
	index = strtol(token, &end, 10);
	if (*end != '\0' || index >= saga_jsonata_count(&in))
		return false;
	saga_jsonata_element(&in, (int) index, result);
	return true;
}

/*
 * What a container was made for: for which part of the document, or else of
 * which.  In the outermost one nothing follows from what stands side by side.
 */
static bool
around(SagaJsonataEval *ev, const SagaJsonataValue *v, bool outermost, int *node)
{
	bool		within;
	int			found = v->type == SAGA_JV_OBJECT ? origin(ev, v, &within) : 0;

	if (found <= ROOT && !outermost)
	{
		found = 0;
		if (!made_of(ev, v, &found))
			return false;
		if (ev->trace->nodes[found].scalar)
			found = ev->trace->nodes[found].parent;
	}
	if (found > ROOT)
		*node = found;
	return true;
}

/* What the fault is about, after saga_jsonata_trace_failed. */
void
saga_jsonata_trace_fault(SagaJsonataEval *ev, MemoryContext context, SagaJsonataOrigin *found)
{
	int			node = ev->trace->failed;

	memset(found, 0, sizeof(*found));
	if (node == 0)
		return;
	found->place = place_of(ev, node, "", context);
	found->within = !ev->trace->nodes[node].scalar;
}

/* Where the part of the result is from that a JSON pointer leads to; false: a fault was set. */
bool
saga_jsonata_trace_find(SagaJsonataEval *ev, const SagaJsonataValue *result, const char *pointer, MemoryContext context,
						SagaJsonataOrigin *found)
{
	SagaJsonataValue v = *result;
	SagaJsonataValue next;
	const char *rest = pointer;
	bool		within;
	int			outer = 0;		/* for what, or of what, the last container was made */
	int			node = origin(ev, &v, &within);

	memset(found, 0, sizeof(*found));
	while (*rest == '/')
	{
		const char *here = rest;

		if ((node == 0 || within) && !around(ev, &v, rest == pointer, &outer))
			return false;
		if (!child(&v, next_token(&rest), &next))
		{
			found->missing = true;
			rest = here;
			break;
		}
		v = next;
		node = origin(ev, &v, &within);
	}
	if (node == 0 || within)
	{
		rest = "";				/* which is of the result alone */
		if (node <= ROOT && !found->missing && !is_scalar(&v) && !around(ev, &v, pointer[0] == '\0', &outer))
			return false;
		node = node > ROOT && !found->missing ? node : outer;
		found->within = true;
	}
	if (node == 0)
		return true;
	found->place = place_of(ev, node, rest, context);
	return true;
}
