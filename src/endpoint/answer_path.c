/*
 * answer_path.c
 *		Paths into answers and messages: one value, or nothing.
 *
 * A path is names and indexes in turn, "a.b[0]", kept as an array of steps.
 * Names point into the copy of the text that saga_answer_path_parse makes, so
 * that nothing is copied again; condition.c, template.c and the settings of
 * destinations share this reader.
 */
#include "postgres.h"

#include "endpoint/condition_private.h"

#define MAX_STEPS	100

/* These, blanks and control characters need a name in backquotes. */
#define NOT_IN_NAMES	".[]{}`\"'"

/*
 * Reads what stands between "[" and "]", which is skipped as well.  Nine
 * digits at most always fit an int32; a sign counts from the end of the
 * array.
 */
static bool
scan_index(SagaScanner *s, SagaAnswerStep *step)
{
	const char *digits = s->pos + (*s->pos == '-');
	int			n = strspn(digits, "0123456789");

	if (n == 0 || n > 9)
		return saga_scan_error(s, "\"[\" must be followed by a whole number");
	step->name = NULL;
	step->index = atoi(s->pos);
	s->pos = digits + n;
	if (*s->pos != ']')
		return saga_scan_error(s, "\"]\" was expected");
	s->pos++;
	return true;
}

/*
 * Reads a bare name, or one in backquotes, which may hold any character but a
 * backquote.  There are no escapes, so the name is the text as it stands.
 */
static bool
scan_name(SagaScanner *s, SagaAnswerStep *step)
{
	if (*s->pos == '`')
	{
		const char *end = strchr(s->pos + 1, '`');

		if (end == NULL)
			return saga_scan_error(s, "the quoted name has no end");
		step->name = s->pos + 1;
		step->len = end - step->name;
		s->pos = end + 1;
		return true;
	}
	step->name = s->pos;
	while ((unsigned char) *s->pos > ' ' && *s->pos != 0x7f && strchr(NOT_IN_NAMES, *s->pos) == NULL)
		s->pos++;
	step->len = s->pos - step->name;
	if (step->len == 0)
		return saga_scan_error(s, *s->pos == '\0' ? "a name was expected" :
							   "a name was expected (one with other characters stands in backquotes)");
	return true;
}

/* Reads up to the first character that cannot belong to the path; names point into the text. */
SagaAnswerPath *
saga_answer_path_scan(SagaScanner *s)
{
	SagaAnswerPath *path = palloc0(sizeof(SagaAnswerPath));
	int			max = 4;

	path->steps = palloc(max * sizeof(SagaAnswerStep));
	for (;;)
	{
		SagaAnswerStep *step;

		if (path->nsteps >= MAX_STEPS)
		{
			saga_scan_error(s, "the path has too many parts");
			return NULL;
		}
		if (path->nsteps >= max)
		{
			max *= 2;
			path->steps = repalloc(path->steps, max * sizeof(SagaAnswerStep));
		}
		step = &path->steps[path->nsteps];
		if (*s->pos == '[')
		{
			s->pos++;
			if (!scan_index(s, step))
				return NULL;
		}
		else if (path->nsteps == 0 || *s->pos == '.')
		{
			s->pos += path->nsteps > 0;
			if (!scan_name(s, step))
				return NULL;
		}
		else
			return path;
		path->nsteps++;
	}
}

/*
 * NULL, with a message in *error, when anything is left behind the path.  The
 * result owns its copy of the text.
 */
SagaAnswerPath *
saga_answer_path_parse(const char *text, char **error)
{
	SagaScanner s = {0};
	SagaAnswerPath *path;

	s.text = s.pos = pstrdup(text);
	path = saga_answer_path_scan(&s);
	if (path != NULL && *s.pos != '\0')
		saga_scan_error(&s, "\".\" or \"[\" was expected");
	*error = s.error;
	return s.error == NULL ? path : NULL;
}

/* Goes one step on; false: nothing is there. */
static bool
take_step(const SagaAnswerStep *step, const JsonbValue *parent, JsonbValue *value)
{
	int64		index = step->index;

	if (step->name != NULL)
		return saga_value_member(parent, step->name, step->len, value);
	if (index < 0)
		index += saga_value_count(parent);
	return saga_value_element(parent, index, value);
}

bool
saga_answer_path_get(const SagaAnswerPath *path, Jsonb *doc, JsonbValue *value)
{
	if (doc == NULL)
		return false;
	saga_jsonb_value(doc, value);
	for (int i = 0; i < path->nsteps; i++)
	{
		JsonbValue	parent = *value;

		if (!take_step(&path->steps[i], &parent, value))
			return false;
	}
	return true;
}

/*
 * An object without members is no empty list: a server that says {} has not
 * said that it found nothing.
 */
static bool
is_empty_list(const JsonbValue *value)
{
	return saga_value_is_array(value) && saga_value_count(value) == 0;
}

bool
saga_answer_path_denied(const SagaAnswerPath *path, Jsonb *doc)
{
	JsonbValue	value;

	if (doc == NULL)
		return false;
	saga_jsonb_value(doc, &value);
	for (int i = 0; i < path->nsteps; i++)
	{
		JsonbValue	parent = value;

		if (path->steps[i].name == NULL && is_empty_list(&parent))
			return true;
		if (!take_step(&path->steps[i], &parent, &value))
			return false;
	}
	/* an element of a list is something, whatever it is */
	return path->steps[path->nsteps - 1].name != NULL &&
		(value.type == jbvNull || (value.type == jbvBool && !value.val.boolean) || is_empty_list(&value));
}
