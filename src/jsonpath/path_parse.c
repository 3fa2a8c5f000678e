/*
 * path_parse.c
 *		JSONPath texts, in the dialect that Step Functions reads:
 *
 *		$.a.b  $['a b']  $.a[0]  $.a[-1]  $.a[1:3]  $.a[0,2]  $['a','b']
 *		$.*  $.a[*]  $..a  $..*  $.a[?(@.b == 1 && @.c)]  $.a.length()
 *		$$.Execution.Id  $name.a
 *
 * A path becomes an array of steps.  saga_path_scan() stops at the first
 * character that cannot belong to it, since paths also stand within filters
 * and calls; saga_path_parse() wants the whole text.  Each scan function
 * returns false after saga_scan_error(), with s->pos at the fault.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "jsonpath/jsonpath_private.h"

#define MAX_STEPS	1000

static const struct
{
	const char *name;
	SagaPathFunction function;
}			path_functions[] =

{
	{"length", SAGA_PATH_LENGTH},
	{"size", SAGA_PATH_LENGTH},
	{"keys", SAGA_PATH_KEYS},
	{"min", SAGA_PATH_MIN},
	{"max", SAGA_PATH_MAX},
	{"sum", SAGA_PATH_SUM},
	{"avg", SAGA_PATH_AVG},
	{"first", SAGA_PATH_FIRST},
	{"last", SAGA_PATH_LAST},
};

/* ---------- steps ---------- */

/* A whole number with an optional "-", which must fit an int32. */
static bool
scan_int(SagaScanner *s, int32 *result)
{
	char	   *end;
	long		n;
	const char *digits = *s->pos == '-' ? s->pos + 1 : s->pos;

	if (*digits < '0' || *digits > '9')
		return saga_scan_error(s, "a whole number was expected");
	errno = 0;
	n = strtol(s->pos, &end, 10);
	if (errno != 0 || n < PG_INT32_MIN || n > PG_INT32_MAX)
		return saga_scan_error(s, "the index is too large");
	s->pos = end;
	*result = (int32) n;
	return true;
}

/* 'a' or 'a','b' within brackets; more than one makes another kind of step. */
static bool
scan_bracket_names(SagaScanner *s, SagaStep *step)
{
	int			max = 4;

	step->kind = SAGA_STEP_NAME;
	step->names = palloc(max * sizeof(JsonbValue));
	for (;;)
	{
		if (*s->pos != '\'' && *s->pos != '"')
			return saga_scan_error(s, "a name in quotes was expected");
		if (step->count == max)
		{
			max *= 2;
			step->names = repalloc(step->names, max * sizeof(JsonbValue));
		}
		if (!saga_scan_quoted(s, &step->names[step->count]))
			return false;
		step->count++;
		saga_scan_blanks(s);
		if (*s->pos != ',')
			break;
		step->kind = SAGA_STEP_NAMES;
		s->pos++;
		saga_scan_blanks(s);
	}
	return true;
}

/*
 * 0 or 0,2 within brackets; what is read as one index may turn out to begin a
 * slice.
 */
static bool
scan_bracket_indexes(SagaScanner *s, SagaStep *step)
{
	int			max = 4;

	step->kind = SAGA_STEP_INDEX;
	step->indexes = palloc(max * sizeof(int32));
	for (;;)
	{
		if (step->count == max)
		{
			max *= 2;
			step->indexes = repalloc(step->indexes, max * sizeof(int32));
		}
		if (!scan_int(s, &step->indexes[step->count]))
			return false;
		step->count++;
		saga_scan_blanks(s);
		if (*s->pos != ',')
			break;
		step->kind = SAGA_STEP_INDEXES;
		s->pos++;
		saga_scan_blanks(s);
	}
	return true;
}

/* At the colon; a number before it is in step->indexes. */
static bool
scan_bracket_slice(SagaScanner *s, SagaStep *step)
{
	step->kind = SAGA_STEP_SLICE;
	if (step->count == 1)
	{
		step->has_from = true;
		step->from = step->indexes[0];
	}
	s->pos++;
	saga_scan_blanks(s);
	if (*s->pos != ']' && *s->pos != ':')
	{
		step->has_to = true;
		if (!scan_int(s, &step->to))
			return false;
		saga_scan_blanks(s);
	}
	if (*s->pos == ':')
		return saga_scan_error(s, "a slice has no step");
	return true;
}

/*
 * ?( ... ) within brackets.  Operators end names while it is read, also in
 * filters inside it.
 */
static bool
scan_bracket_filter(SagaScanner *s, SagaStep *step)
{
	bool		was_in_filter = s->in_filter;

	s->pos++;
	saga_scan_blanks(s);
	if (*s->pos != '(')
		return saga_scan_error(s, "\"(\" was expected after \"?\"");
	s->pos++;
	step->kind = SAGA_STEP_FILTER;
	s->in_filter = true;
	step->filter = saga_filter_scan(s);
	s->in_filter = was_in_filter;
	if (step->filter == NULL)
		return false;
	saga_scan_blanks(s);
	if (*s->pos != ')')
		return saga_scan_error(s, "\")\" was expected");
	s->pos++;
	saga_scan_blanks(s);
	return true;
}

/* A step in brackets, which s->pos is at; they are skipped. */
static bool
scan_bracket(SagaScanner *s, SagaStep *step)
{
	s->pos++;
	saga_scan_blanks(s);
	if (*s->pos == '\'' || *s->pos == '"')
	{
		if (!scan_bracket_names(s, step))
			return false;
	}
	else if (*s->pos == '*')
	{
		step->kind = SAGA_STEP_WILDCARD;
		s->pos++;
		saga_scan_blanks(s);
	}
	else if (*s->pos == '?')
	{
		if (!scan_bracket_filter(s, step))
			return false;
	}
	else
	{
		if (*s->pos != ':' && !scan_bracket_indexes(s, step))
			return false;
		if (*s->pos == ':' && step->count <= 1 && !scan_bracket_slice(s, step))
			return false;
	}
	if (*s->pos != ']')
		return saga_scan_error(s, "\"]\" was expected");
	s->pos++;
	return true;
}

/* Names without quotes may hold whatever has no meaning of its own. */
static bool
ends_name(const SagaScanner *s, char c)
{
	if ((unsigned char) c <= ' ' || c == 0x7f)
		return true;
	if (strchr(".[](),'\"", c) != NULL)
		return true;
	return s->in_filter && strchr("=!<>&|~", c) != NULL;
}

/* A name without quotes; the empty one has to be quoted. */
static bool
scan_name(SagaScanner *s, JsonbValue *name)
{
	StringInfoData buf;

	initStringInfo(&buf);
	while (!ends_name(s, *s->pos))
	{
		/* "\." is a dot in a name */
		if (*s->pos == '\\' && s->pos[1] != '\0')
			s->pos++;
		appendStringInfoChar(&buf, *s->pos++);
	}
	if (buf.len == 0)
		return saga_scan_error(s, "a name was expected");
	saga_value_set_string(name, buf.data, buf.len);
	return true;
}

/*
 * A function at the end of a path, at its "(".  Nothing may follow it, and it
 * takes no argument.
 */
static bool
scan_function(SagaScanner *s, SagaPath *path, const JsonbValue *name)
{
	s->pos++;
	saga_scan_blanks(s);
	if (*s->pos != ')')
		return saga_scan_error(s, "functions in a path take no argument");
	s->pos++;
	for (int i = 0; i < lengthof(path_functions); i++)
	{
		if (strlen(path_functions[i].name) == name->val.string.len &&
			memcmp(path_functions[i].name, name->val.string.val, name->val.string.len) == 0)
		{
			path->function = path_functions[i].function;
			return true;
		}
	}
	return saga_scan_error(s, "there is no path function \"%.*s\"",
						   name->val.string.len, name->val.string.val);
}

/*
 * A zeroed step at the end of the path.  The array may move: no pointer to an
 * earlier step is good any more.
 */
static SagaStep *
add_step(SagaPath *path, int *max)
{
	if (path->steps == NULL)
		path->steps = palloc0(*max * sizeof(SagaStep));
	else if (path->nsteps == *max)
	{
		path->steps = repalloc(path->steps, 2 * *max * sizeof(SagaStep));
		memset(path->steps + *max, 0, *max * sizeof(SagaStep));
		*max *= 2;
	}
	return &path->steps[path->nsteps++];
}

/* The name is shared, not copied. */
static void
set_name_step(SagaStep *step, const JsonbValue *name)
{
	step->kind = SAGA_STEP_NAME;
	step->count = 1;
	step->names = palloc(sizeof(JsonbValue));
	step->names[0] = *name;
}

/*
 * Reads steps until something else comes, or a function, which ends the path.
 */
static bool
scan_steps(SagaScanner *s, SagaPath *path, int *max)
{
	while (*s->pos == '.' || *s->pos == '[')
	{
		SagaStep   *step;
		JsonbValue	name;
		bool		descend = false;

		if (path->nsteps == MAX_STEPS)
			return saga_scan_error(s, "the path has more than %d steps", MAX_STEPS);
		if (saga_scan_word(s, ".."))
			descend = true;
		else if (*s->pos == '.')
			s->pos++;
		else
		{
			if (!scan_bracket(s, add_step(path, max)))
				return false;
			continue;
		}
		if (*s->pos == '[')
		{
			/*
			 * a dot before a bracket says nothing: $.[0] and $.a.['b'] run at
			 * AWS
			 */
			step = add_step(path, max);
			step->descend = descend;
			if (!scan_bracket(s, step))
				return false;
		}
		else if (*s->pos == '*' && (ends_name(s, s->pos[1]) || s->pos[1] == '\0'))
		{
			s->pos++;
			step = add_step(path, max);
			step->kind = SAGA_STEP_WILDCARD;
			step->descend = descend;
		}
		else
		{
			if (!scan_name(s, &name))
				return false;
			if (*s->pos == '(')
			{
				if (descend)
					return saga_scan_error(s, "a name was expected");
				return scan_function(s, path, &name);
			}
			step = add_step(path, max);
			step->descend = descend;
			set_name_step(step, &name);
		}
	}
	return true;
}

/* What names of variables are made of; bytes beyond ASCII are letters here. */
static bool
is_variable_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || IS_HIGHBIT_SET(c) ||
		(!first && c >= '0' && c <= '9');
}

/* "$" (or "$$", "$name", "@") */
static bool
scan_root(SagaScanner *s, SagaPath *path, int *max)
{
	const char *start;
	JsonbValue	name;

	if (*s->pos == '@' && s->in_filter)
	{
		s->pos++;
		path->root = SAGA_ROOT_CURRENT;
		return true;
	}
	if (*s->pos != '$')
		return saga_scan_error(s, "a path must begin with \"$\"");
	s->pos++;
	if (*s->pos == '$')
	{
		s->pos++;
		path->root = SAGA_ROOT_CONTEXT;
		return true;
	}
	path->root = SAGA_ROOT_DATA;
	if (is_variable_char(*s->pos, true))
	{
		for (start = s->pos; is_variable_char(*s->pos, false);)
			s->pos++;
		path->root = SAGA_ROOT_VARIABLE;
		saga_value_set_string(&name, pnstrdup(start, s->pos - start), s->pos - start);
		set_name_step(add_step(path, max), &name);
	}
	return true;
}

/* Several names at the end make one object; anywhere else they are a choice. */
static bool
path_is_definite(const SagaPath *path)
{
	for (int i = 0; i < path->nsteps; i++)
	{
		const SagaStep *step = &path->steps[i];

		if (step->descend)
			return false;
		if (step->kind == SAGA_STEP_NAMES && i == path->nsteps - 1)
			continue;
		if (step->kind != SAGA_STEP_NAME && step->kind != SAGA_STEP_INDEX)
			return false;
	}
	return true;
}

/* NULL after an error.  The path owns what it has, so that the text may go. */
SagaPath *
saga_path_scan(SagaScanner *s)
{
	SagaPath   *path = palloc0(sizeof(SagaPath));
	const char *start = s->pos;
	int			max = 4;

	if (!scan_root(s, path, &max) || !scan_steps(s, path, &max))
		return NULL;
	path->definite = path_is_definite(path);
	path->text = pnstrdup(start, s->pos - start);
	return path;
}

/* The whole text must be a path. */
SagaPath *
saga_path_parse(const char *text, char **error)
{
	SagaScanner s = {.text = text, .pos = text};
	SagaPath   *path = saga_path_scan(&s);

	if (path != NULL && *s.pos != '\0')
		saga_scan_error(&s, "the path ends before this character");
	*error = s.error;
	return s.error == NULL ? path : NULL;
}

/* An index from the end names no fixed place, so it does not do, either. */
bool
saga_path_is_reference(const SagaPath *path)
{
	if (path->function != SAGA_PATH_NO_FUNCTION)
		return false;
	for (int i = 0; i < path->nsteps; i++)
	{
		const SagaStep *step = &path->steps[i];

		if (step->descend)
			return false;
		if (step->kind != SAGA_STEP_NAME &&
			(step->kind != SAGA_STEP_INDEX || step->indexes[0] < 0))
			return false;
	}
	return true;
}

SagaPathRoot
saga_path_root(const SagaPath *path)
{
	return path->root;
}

/* Lives as long as the path. */
const char *
saga_path_text(const SagaPath *path)
{
	return path->text;
}
