/*
 * function_match.c
 *		Functions that look for a pattern: a text, a regular expression, or a
 *		function that finds what it likes.
 *
 * A regular expression is a function, too: called, it gives its first match
 * as an object whose next() gives the one behind it.  Functions of the
 * expression that do the same can stand in its place.  Positions in such
 * objects count units of UTF-16.
 */
#include "postgres.h"

#include <math.h>

#include "jsonata/function_private.h"

/* Matches of a pattern in a text, one after the other. */
typedef struct Matches
{
	SagaJsonataCall *call;
	const SagaJsonataValue *text;
	SagaJsonataRegex *regex;	/* NULL: function */
	bool		found;
	SagaJsonataMatch match;		/* in bytes */
	SagaJsonataValue object;	/* of a function */
	SagaJsonataSlice matched;	/* the text that matches, as the function says */
} Matches;

/* ---------- a regular expression as a function ---------- */

/* A regular expression as a value: a function that finds its first match. */
bool
saga_jsonata_eval_regex(SAGA_JSONATA_EVAL_ARGS)
{
	SagaJsonataFunction *f = saga_jsonata_alloc(ev, sizeof(SagaJsonataFunction));

	memset(f, 0, sizeof(*f));
	f->kind = SAGA_JF_REGEX;
	f->arity = 2;
	f->regex = node->regex;
	saga_jsonata_set_nothing(result);
	result->type = SAGA_JV_FUNCTION;
	result->u.function = f;
	return saga_jsonata_tick(ev);
}

/*
 * A part of a text as a value.  A group that has no part in the match is
 * nothing.
 */
static void
set_slice(SagaJsonataValue *v, const SagaJsonataSlice *slice)
{
	if (slice->s == NULL)
		saga_jsonata_set_nothing(v);
	else
		saga_jsonata_set_string(v, slice->s, slice->len);
}

/*
 * The groups of a match as an array.  Those without a part in the match are
 * elements, too, so that the others keep their places.
 */
static bool
groups_of(SagaJsonataEval *ev, const SagaJsonataMatch *match, SagaJsonataValue *result)
{
	SagaJsonataList list = {0};

	for (int i = 0; i < match->ngroups; i++)
	{
		SagaJsonataValue group;

		set_slice(&group, &match->groups[i]);
		if (!saga_jsonata_push(ev, &list, &group))
			return false;
	}
	saga_jsonata_set_array(result, &list, 0);
	return true;
}

/* Adds a member whose name is a constant. */
static bool
put(SagaJsonataEval *ev, SagaJsonataObject *object, const char *name, const SagaJsonataValue *value)
{
	return saga_jsonata_put(ev, object, name, strlen(name), value);
}

/*
 * A match as the expression sees it: {"match", "start", "end", "groups",
 * "next"}.  next() goes on with the same text behind this match; it needs the
 * match's place, but not its groups.
 */
static bool
match_object(SagaJsonataEval *ev, SagaJsonataRegex *regex, const SagaJsonataValue *text, const SagaJsonataMatch *match,
			 SagaJsonataValue *result)
{
	SagaJsonataObject *object = saga_jsonata_new_object(ev, 5);
	SagaJsonataFunction *next = saga_jsonata_alloc(ev, sizeof(SagaJsonataFunction));
	int			start = saga_jsonata_utf16_length(text->u.string, match->start);
	int			len = saga_jsonata_utf16_length(text->u.string + match->start, match->end - match->start);
	SagaJsonataValue matched,
				from,
				to,
				groups,
				function = {0};

	memset(next, 0, sizeof(*next));
	next->kind = SAGA_JF_NEXT;
	next->regex = regex;
	next->input = *text;
	next->match = *match;
	next->match.groups = NULL;
	next->match.ngroups = 0;
	function.type = SAGA_JV_FUNCTION;
	function.u.function = next;
	saga_jsonata_set_string(&matched, text->u.string + match->start, match->end - match->start);
	saga_jsonata_set_number(&from, start);
	saga_jsonata_set_number(&to, start + len);
	if (!saga_jsonata_spend_read(ev, match->end) || !groups_of(ev, match, &groups) ||
		!put(ev, object, "match", &matched) || !put(ev, object, "start", &from) || !put(ev, object, "end", &to) ||
		!put(ev, object, "groups", &groups) || !put(ev, object, "next", &function))
		return false;
	saga_jsonata_set_object(result, object);
	return true;
}

/* A call of a regular expression, or of next() of one of its matches. */
bool
saga_jsonata_regex_call(SagaJsonataEval *ev, const SagaJsonataFunction *f, const SagaJsonataValue *args, int nargs,
						SagaJsonataValue *result)
{
	SagaJsonataMatch match = f->match;
	SagaJsonataValue text = f->kind == SAGA_JF_NEXT ? f->input : (SagaJsonataValue) {0};
	bool		found = false;
	bool		done;

	if (f->kind == SAGA_JF_REGEX && nargs > 0)
		text = args[0];
	if (text.type != SAGA_JV_STRING)
		return true;
	if (f->kind == SAGA_JF_NEXT)
		done = saga_jsonata_regex_next(f->regex, text.u.string, text.count, &ev->work, &match, &found, ev->fault);
	else
		done = saga_jsonata_regex_exec(f->regex, text.u.string, text.count, 0, &ev->work, &match, &found, ev->fault);
	if (!done)
		return saga_jsonata_fail(ev, "D3142", "the regular expression failed");
	return !found || match_object(ev, f->regex, &text, &match, result);
}

/* ---------- one match after the other ---------- */

/* Bytes of a text up to so many units of UTF-16. */
static int
bytes_of_units(const SagaJsonataValue *text, double units)
{
	int			i = 0;

	while (i < text->count && units > 0)
	{
		unsigned char c = text->u.string[i];
		int			len = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;

		units -= len == 4 ? 2 : 1;
		i += Min(len, text->count - i);
	}
	return i;
}

/*
 * Does the object look like a match?  One member of the right type is enough.
 */
static bool
is_match(const SagaJsonataValue *object)
{
	SagaJsonataValue member;

	if (object->type != SAGA_JV_OBJECT)
		return false;
	return (saga_jsonata_member(object, "start", 5, &member) && member.type == SAGA_JV_NUMBER) ||
		(saga_jsonata_member(object, "groups", 6, &member) && member.type == SAGA_JV_ARRAY) ||
		(saga_jsonata_member(object, "next", 4, &member) && member.type == SAGA_JV_FUNCTION);
}

/* A number of a match; 0 where it is missing, or is something else. */
static double
number_member(const SagaJsonataValue *object, const char *name)
{
	SagaJsonataValue member;

	if (!saga_jsonata_member(object, name, strlen(name), &member) || member.type != SAGA_JV_NUMBER)
		return 0;
	return saga_jsonata_double(&member);
}

/*
 * Reads what a function of the expression has given: nothing, or an object
 * that says where its match is.  Its positions are cut to the text, but they
 * may go backwards, so that callers must be ready for that.  T1010: it is no
 * match.
 */
static bool
read_match(Matches *m)
{
	SagaJsonataEval *ev = m->call->ev;
	SagaJsonataValue member;

	m->found = !saga_jsonata_is_nothing(&m->object);
	if (!m->found)
		return true;
	if (!is_match(&m->object))
		return saga_jsonata_fail(ev, "T1010", "the matcher that %s was given does not return a match", m->call->builtin->name);
	m->match.start = bytes_of_units(m->text, number_member(&m->object, "start"));
	m->match.end = bytes_of_units(m->text, number_member(&m->object, "end"));
	m->matched.s = "";
	m->matched.len = 0;
	if (saga_jsonata_member(&m->object, "match", 5, &member) && member.type == SAGA_JV_STRING)
	{
		m->matched.s = member.u.string;
		m->matched.len = member.count;
	}
	return saga_jsonata_spend_read(ev, m->text->count);
}

/*
 * Where the text behind a match begins, for $replace.  A function's match is
 * as long as the text that it says has matched, whatever its "end" is.
 */
static int
match_end(const Matches *m)
{
	return m->regex != NULL ? m->match.end : Min(m->match.start + m->matched.len, m->text->count);
}

/*
 * After a search: hands a fault on, or sets the text that has matched, which
 * means nothing unless m->found is true.
 */
static bool
regex_done(Matches *m, bool done)
{
	if (!done)
		return saga_jsonata_fail(m->call->ev, "D3142", "the regular expression failed");
	m->matched.s = m->text->u.string + m->match.start;
	m->matched.len = m->match.end - m->match.start;
	return true;
}

/*
 * Looks for the first match of a pattern, which must be a function, in the
 * first argument of the call.  False: a fault was set.  m->found says whether
 * there is a match.
 */
static bool
first_match(Matches *m, SagaJsonataCall *call, const SagaJsonataValue *pattern)
{
	SagaJsonataEval *ev = call->ev;
	const SagaJsonataFunction *f = pattern->u.function;

	memset(m, 0, sizeof(*m));
	m->call = call;
	m->text = &call->args[0];
	if (f->kind == SAGA_JF_REGEX)
	{
		m->regex = f->regex;
		return regex_done(m, saga_jsonata_regex_exec(m->regex, m->text->u.string, m->text->count, 0, &ev->work, &m->match,
													 &m->found, ev->fault));
	}
	return saga_jsonata_call_with(call, pattern, m->text, 1, &m->object) && read_match(m);
}

/*
 * Goes on behind the last match.  When a function has found the match, next()
 * of its object finds the following one; T1006: there is no such function.
 */
static bool
next_match(Matches *m)
{
	SagaJsonataEval *ev = m->call->ev;
	SagaJsonataValue next = {0};
	SagaJsonataValue object = m->object;

	if (!saga_jsonata_tick(ev))
		return false;
	if (m->regex != NULL)
		return regex_done(m, saga_jsonata_regex_next(m->regex, m->text->u.string, m->text->count, &ev->work, &m->match,
													 &m->found, ev->fault));
	(void) saga_jsonata_member(&object, "next", 4, &next);
	saga_jsonata_set_nothing(&m->object);
	return saga_jsonata_call_with(m->call, &next, NULL, 0, &m->object) && read_match(m);
}

/* The limit of matches; a negative one is refused. */
static bool
read_limit(SagaJsonataCall *call, int arg, const char *code, double *limit)
{
	*limit = INFINITY;
	if (saga_jsonata_is_nothing(&call->args[arg]))
		return true;
	*limit = saga_jsonata_double(&call->args[arg]);
	if (*limit < 0)
		return saga_jsonata_fail(call->ev, code, "argument %d of %s must not be negative", arg + 1, call->builtin->name);
	return true;
}

/* ---------- functions ---------- */

bool
saga_jsonata_fn_contains(SagaJsonataCall *call)
{
	SagaJsonataValue *text = &call->args[0];
	SagaJsonataValue *token = &call->args[1];
	Matches		m;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (saga_jsonata_is_nothing(token))
		return true;
	if (token->type == SAGA_JV_FUNCTION)
	{
		if (!first_match(&m, call, token))
			return false;
		saga_jsonata_set_bool(call->result, m.found);
		return true;
	}
	saga_jsonata_set_bool(call->result, saga_jsonata_find(text->u.string, text->count, token->u.string, token->count, 0) >= 0);
	return saga_jsonata_spend_read(call->ev, text->count);
}

/* [{"match", "index", "groups"}] */
bool
saga_jsonata_fn_match(SagaJsonataCall *call)
{
	SagaJsonataEval *ev = call->ev;
	SagaJsonataList list = {0};
	double		limit;
	Matches		m;
	int			counted = 0;	/* bytes whose units are known */
	int			units = 0;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!read_limit(call, 2, "D3040", &limit))
		return false;
	if (limit > 0 && !first_match(&m, call, &call->args[1]))
		return false;
	while (limit > 0 && m.found && list.count < limit)
	{
		SagaJsonataObject *object = saga_jsonata_new_object(ev, 3);
		SagaJsonataValue matched,
					index,
					groups = {0},
					value;

		/*
		 * Units are counted on from the last match, so that all matches
		 * together take one pass.  Only a function's matches can go
		 * backwards.
		 */
		if (m.match.start >= counted)
			units += saga_jsonata_utf16_length(m.text->u.string + counted, m.match.start - counted);
		else
			units = saga_jsonata_utf16_length(m.text->u.string, m.match.start);
		counted = m.match.start;
		saga_jsonata_set_number(&index, units);
		set_slice(&matched, &m.matched);
		/* a function's match may be without groups: they are nothing then */
		if (m.regex != NULL ? !groups_of(ev, &m.match, &groups) :
			!saga_jsonata_member(&m.object, "groups", 6, &groups) && false)
			return false;
		saga_jsonata_set_object(&value, object);
		if (!put(ev, object, "match", &matched) || !put(ev, object, "index", &index) || !put(ev, object, "groups", &groups) ||
			!saga_jsonata_push(ev, &list, &value) || !next_match(&m))
			return false;
	}
	saga_jsonata_set_array(call->result, &list, SAGA_JV_SEQUENCE);
	return true;
}

/* Adds what stands between two matches to the result of $split. */
static bool
push_part(SagaJsonataEval *ev, SagaJsonataList *list, const SagaJsonataValue *text, int from, int to)
{
	SagaJsonataValue part;

	/* a matcher may go backwards: then there is nothing between */
	saga_jsonata_set_string(&part, text->u.string + Min(from, to), Max(to - from, 0));
	return saga_jsonata_push(ev, list, &part);
}

/* By a text, which the helper does. */
static bool
split_by_text(SagaJsonataCall *call, double limit)
{
	SagaJsonataValue *text = &call->args[0];
	SagaJsonataSlice separator = {call->args[1].u.string, call->args[1].count};
	SagaJsonataSlice *parts;
	SagaJsonataList list = {0};
	int			n;

	if (!saga_jsonata_split(text->u.string, text->count, &separator, NULL, isinf(limit) ? SAGA_JSONATA_NO_LIMIT : limit,
							&call->ev->work, &parts, &n, call->ev->fault))
		return saga_jsonata_fail(call->ev, "D3141", "$split failed");
	for (int i = 0; i < n; i++)
	{
		SagaJsonataValue part;

		set_slice(&part, &parts[i]);
		if (!saga_jsonata_tick(call->ev) || !saga_jsonata_push(call->ev, &list, &part))
			return false;
	}
	saga_jsonata_set_array(call->result, &list, 0);
	return true;
}

bool
saga_jsonata_fn_split(SagaJsonataCall *call)
{
	SagaJsonataEval *ev = call->ev;
	SagaJsonataValue *text = &call->args[0];
	SagaJsonataList list = {0};
	double		limit;
	Matches		m;
	int			start = 0;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!read_limit(call, 2, "D3020", &limit))
		return false;
	if (call->args[1].type == SAGA_JV_STRING)
		return split_by_text(call, limit);
	if (call->args[1].type != SAGA_JV_FUNCTION)
	{
		/* without a separator the text is the only part */
		return (limit == 0 || push_part(ev, &list, text, 0, text->count)) &&
			(saga_jsonata_set_array(call->result, &list, 0), true);
	}
	if (limit > 0)
	{
		if (!first_match(&m, call, &call->args[1]))
			return false;
		while (m.found && list.count < limit)
		{
			if (!push_part(ev, &list, text, start, m.match.start))
				return false;
			start = m.match.end;
			if (!next_match(&m))
				return false;
		}
		if (list.count < limit && !push_part(ev, &list, text, start, text->count))
			return false;
	}
	saga_jsonata_set_array(call->result, &list, 0);
	return true;
}

/*
 * Appends what takes the place of a match: the replacement with its "$1" and
 * the like filled in, or what a replacement that is a function gives for the
 * match as an object.  D3012: it gives no string.
 */
static bool
append_replacement(Matches *m, StringInfo buf)
{
	SagaJsonataCall *call = m->call;
	SagaJsonataValue *replacement = &call->args[2];
	SagaJsonataValue object = m->object;
	SagaJsonataValue text;

	if (replacement->type == SAGA_JV_STRING)
	{
		saga_jsonata_append_replacement(buf, replacement->u.string, replacement->count, &m->matched, m->match.groups,
										m->match.ngroups);
		return saga_jsonata_spend_read(call->ev, replacement->count + m->matched.len);
	}
	if (m->regex != NULL && !match_object(call->ev, m->regex, m->text, &m->match, &object))
		return false;
	if (!saga_jsonata_call_with(call, replacement, &object, 1, &text))
		return false;
	if (text.type != SAGA_JV_STRING)
		return saga_jsonata_fail(call->ev, "D3012", "what replaces a match must be a string");
	appendBinaryStringInfo(buf, text.u.string, text.count);
	return saga_jsonata_spend_copy(call->ev, text.count);
}

/*
 * $replace for a regular expression, or a function that finds matches.  Text
 * that is not part of a match is copied as it is.
 */
static bool
replace_matches(SagaJsonataCall *call, double limit, StringInfo buf)
{
	SagaJsonataValue *text = &call->args[0];
	Matches		m;
	int			position = 0;
	int			count = 0;

	if (!first_match(&m, call, &call->args[1]))
		return false;
	for (; m.found && count < limit; count++)
	{
		/* a match that goes backwards has nothing before it */
		if (m.match.start > position)
			appendBinaryStringInfo(buf, text->u.string + position, m.match.start - position);
		if (!append_replacement(&m, buf))
			return false;
		if (buf->len > SAGA_JSONATA_MAX_TEXT)
			return saga_jsonata_fail(call->ev, "D2015", "a text gets longer than %d bytes", SAGA_JSONATA_MAX_TEXT);
		position = match_end(&m);
		if (!next_match(&m))
			return false;
	}
	appendBinaryStringInfo(buf, text->u.string + position, text->count - position);
	return saga_jsonata_spend_copy(call->ev, text->count);
}

bool
saga_jsonata_fn_replace(SagaJsonataCall *call)
{
	SagaJsonataValue *text = &call->args[0];
	SagaJsonataValue *pattern = &call->args[1];
	SagaJsonataValue *replacement = &call->args[2];
	double		limit;
	StringInfoData buf;
	bool		done;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (pattern->type == SAGA_JV_STRING && pattern->count == 0)
		return saga_jsonata_fail(call->ev, "D3010", "argument 2 of $replace must not be an empty string");
	if (!read_limit(call, 3, "D3011", &limit))
		return false;
	*call->result = *text;
	if (limit == 0 || saga_jsonata_is_nothing(pattern))
		return true;
	if (replacement->type != SAGA_JV_FUNCTION && replacement->type != SAGA_JV_STRING)
		return saga_jsonata_fail(call->ev, "D3012", "what replaces a match must be a string");
	initStringInfo(&buf);
	if (pattern->type == SAGA_JV_STRING)
	{
		SagaJsonataSlice slice = {pattern->u.string, pattern->count};

		if (replacement->type != SAGA_JV_STRING)
			return saga_jsonata_fail(call->ev, "D3012", "what replaces a text must be a string");
		done = saga_jsonata_replace(text->u.string, text->count, &slice, NULL, replacement->u.string, replacement->count,
									isinf(limit) ? SAGA_JSONATA_NO_LIMIT : limit, &call->ev->work, &buf, call->ev->fault);
	}
	else
		done = replace_matches(call, limit, &buf);
	if (!done)
		return saga_jsonata_fail(call->ev, "D3141", "$replace failed");
	saga_jsonata_set_buffer(call->ev, call->result, &buf);
	return true;
}
