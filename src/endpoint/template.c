/*
 * template.c
 *		Templates: texts, and JSON documents, with {path} references.
 *
 * next_reference() finds the references of a text and skips those to secrets;
 * both halves of the file use it.  Texts (URLs, headers, operands of
 * conditions) are filled by fill_text(), documents by fill_value(), which
 * walks a template and copies it.  A template is checked when it is saved,
 * yet filled without trust: a reference that does not parse leads to nothing.
 *
 * Limits are counted in bytes of the result, since one short template can
 * refer to a large value many times.
 */
#include "postgres.h"

#include "common/text.h"
#include "endpoint/condition_private.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "net/url.h"
#include "utils/memutils.h"

#define SECRET	"secret:"

/* Of a document that is filled in. */
#define MAX_TEXT	(64 * 1024 * 1024)

/* ---------- references ---------- */

/* The text up to the next reference; what is one ends at *close. */
static const char *
next_reference(const char *text, const char **close)
{
	const char *open;

	while ((open = strchr(text, '{')) != NULL)
	{
		*close = strchr(open, '}');
		if (*close == NULL)
			return NULL;
		if (strncmp(open + 1, SECRET, strlen(SECRET)) != 0)
			return open;
		text = *close + 1;
	}
	return NULL;
}

/*
 * The path between the braces; it is read at each use, since paths are short.
 */
static SagaAnswerPath *
parse_reference(const char *open, const char *close, char **error)
{
	return saga_answer_path_parse(pnstrdup(open + 1, close - open - 1), error);
}

/*
 * Braces must pair, because one that is left over is a mistake far more often
 * than it is meant.  What stands in a reference to a secret is looked at by
 * who fills it.
 */
const char *
saga_endpoint_template_check(const char *text)
{
	for (const char *p = text; *p != '\0'; p++)
	{
		const char *close;
		char	   *error;

		if (*p == '}')
			return "holds a \"}\" that is not part of a {name}";
		if (*p != '{')
			continue;
		close = strchr(p, '}');
		if (close == NULL)
			return "holds a \"{\" that is not part of a {name}";
		if (strncmp(p + 1, SECRET, strlen(SECRET)) != 0 && parse_reference(p, close, &error) == NULL)
			return psprintf("holds %s, which is no reference: %s", pnstrdup(p, close - p + 1), error);
		p = close;
	}
	return NULL;
}

/* To secrets does not count. */
bool
saga_endpoint_template_has_references(const char *text)
{
	const char *close;

	return next_reference(text, &close) != NULL;
}

/* False: nothing is there. */
static bool
get_reference(const char *open, const char *close, Jsonb *doc, JsonbValue *value)
{
	char	   *error;
	SagaAnswerPath *path = parse_reference(open, close, &error);

	return path != NULL && saga_answer_path_get(path, doc, value);
}

/* A server may decode "%2F" before it splits a path, and go up with "../x". */
static bool
has_dot_segment(const char *text, int len)
{
	int			start = 0;

	for (int i = 0; i <= len; i++)
	{
		if (i < len && text[i] != '/' && text[i] != '\\')
			continue;
		if (saga_url_is_dot_segment(text + start, i - start))
			return true;
		start = i + 1;
	}
	return false;
}

/* A scalar as text; false: it is none, or makes more of it than the limit. */
static bool
append_scalar(StringInfo out, const JsonbValue *value, int limit, bool *too_long)
{
	if (value->type == jbvString)
	{
		/* before the copy, as the value may be far larger than the limit */
		*too_long = value->val.string.len > limit - out->len;
		if (!*too_long)
			appendBinaryStringInfo(out, value->val.string.val, value->val.string.len);
		return !*too_long;
	}
	if (value->type != jbvNumeric && value->type != jbvBool)
		return false;
	(void) saga_value_text(out, value, false, MaxAllocSize);
	*too_long = out->len > limit;
	return !*too_long;
}

/*
 * Appends the value of one reference.  It is encoded from a text of its own,
 * because dots must be looked at before the encoding hides them.
 */
static bool
fill_reference(StringInfo out, const char *open, const char *close, Jsonb *doc, bool url_encode, int limit, bool *too_long)
{
	JsonbValue	value;
	StringInfoData text;
	bool		fits;

	if (!get_reference(open, close, doc, &value))
		return false;
	if (!url_encode)
		return append_scalar(out, &value, limit, too_long);
	initStringInfo(&text);
	fits = append_scalar(&text, &value, limit, too_long) && text.len > 0 && !has_dot_segment(text.data, text.len);
	if (fits)
		saga_url_encode(out, text.data, text.len);
	pfree(text.data);
	return fits;
}

/* As saga_endpoint_template_fill, and *too_long when it was the limit. */
static bool
fill_text(StringInfo out, const char *text, Jsonb *doc, bool url_encode, int limit, char **missing, bool *too_long)
{
	const char *open;
	const char *close;

	*missing = NULL;
	*too_long = false;
	while ((open = next_reference(text, &close)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		appendBinaryStringInfo(out, text, open - text);
		*too_long = out->len > limit;
		if (*too_long || !fill_reference(out, open, close, doc, url_encode, limit, too_long))
		{
			*missing = pnstrdup(open + 1, close - open - 1);
			return false;
		}
		text = close + 1;
	}
	appendStringInfoString(out, text);
	return true;
}

/*
 * The caller cannot tell whether it was the limit: either way the delivery
 * cannot be made.
 */
bool
saga_endpoint_template_fill(StringInfo out, const char *text, Jsonb *doc, bool url_encode, int limit, char **missing)
{
	bool		too_long;

	return fill_text(out, text, doc, url_encode, limit, missing, &too_long);
}

/* ---------- JSON templates ---------- */

/* Names that are no plain words are shown as $.headers["a b"]. */
char *
saga_endpoint_member_path(const char *parent, const char *name, int len)
{
	for (int i = 0; i < len; i++)
		if (!saga_is_ascii_alnum(name[i]) && name[i] != '_')
			return psprintf("%s[\"%.*s\"]", parent, len, name);
	return psprintf("%s.%.*s", parent, len, name);
}

/* Where a value stands: a chain on the C stack, made a path only for a fault. */
typedef struct Place
{
	const struct Place *above;
	const JsonbValue *name;		/* NULL: an element */
	int			index;
} Place;

#define MAX_PLACE	1000

/*
 * The path of a place from the top down, cut at some MAX_PLACE bytes: names
 * in a template may be very long.
 */
static void
append_place(StringInfo buf, const Place *place)
{
	char	   *path;

	check_stack_depth();

	if (place == NULL)
		return;
	append_place(buf, place->above);
	if (buf->len > MAX_PLACE)
		return;
	if (place->name == NULL)
	{
		appendStringInfo(buf, "[%d]", place->index);
		return;
	}
	path = saga_endpoint_member_path("", place->name->val.string.val,
									 pg_mbcliplen(place->name->val.string.val, place->name->val.string.len, MAX_PLACE));
	appendStringInfoString(buf, path);
	pfree(path);
}

/*
 * NULL, or what is wrong with the first string that is faulty, and its path.
 * Texts are freed at once, since a template has as many as its author likes.
 */
static const char *
check_value(const JsonbValue *value, const char *path, const Place *place, char **fault_path)
{
	SagaValueChildren c;
	Place		here = {place};
	const char *error;

	check_stack_depth();

	if (value->type == jbvString)
	{
		char	   *text = pnstrdup(value->val.string.val, value->val.string.len);

		error = saga_endpoint_template_check(text);
		pfree(text);
		if (error != NULL)
		{
			StringInfoData buf;

			initStringInfo(&buf);
			appendStringInfoString(&buf, path);
			append_place(&buf, place);
			*fault_path = buf.data;
		}
		return error;
	}
	if (value->type != jbvBinary)
		return NULL;
	saga_value_children_start(&c, value);
	while (saga_value_children_next(&c))
	{
		here.name = c.is_object ? &c.key : NULL;
		error = check_value(&c.value, path, &here, fault_path);
		if (error != NULL)
			return error;
		/* also counted in objects, where nobody reads it */
		here.index++;
	}
	return NULL;
}

/* The names of members are not looked at: they are copied as they are. */
const char *
saga_endpoint_json_template_check(Jsonb *template, const char *path, char **fault_path)
{
	JsonbValue	value;

	saga_jsonb_value(template, &value);
	return check_value(&value, path, NULL, fault_path);
}

/* One document that is being filled in. */
typedef struct Filling
{
	Jsonb	   *doc;
	int			room;			/* bytes that may still be added */
	char	   *missing;		/* NULL: nothing is missing, there is no room */
} Filling;

static bool fill_value(Filling *filling, const JsonbValue *value, JsonbValue *result);

/* Counted when it is referred to: the same value can be put into many places. */
static bool
take_room(Filling *filling, const JsonbValue *value)
{
	Size		size = saga_value_size(value);

	if (size > filling->room)
		return false;
	filling->room -= size;
	return true;
}

/*
 * A string that is one reference as a whole takes the value with its type,
 * and shares it with the message; only with other text around it does it
 * become text.
 */
static bool
fill_string(Filling *filling, const JsonbValue *value, JsonbValue *result)
{
	char	   *text = pnstrdup(value->val.string.val, value->val.string.len);
	const char *close;
	const char *open = next_reference(text, &close);
	StringInfoData buf;
	bool		too_long;

	*result = *value;
	if (open == NULL)
		return true;
	if (open == text && close[1] == '\0')
	{
		if (get_reference(open, close, filling->doc, result))
			return take_room(filling, result);
		filling->missing = pnstrdup(open + 1, close - open - 1);
		return false;
	}
	initStringInfo(&buf);
	if (!fill_text(&buf, text, filling->doc, false, filling->room, &filling->missing, &too_long))
	{
		/* for the caller nothing is missing then */
		if (too_long)
			filling->missing = NULL;
		return false;
	}
	pfree(text);
	saga_value_set_string(result, pnstrdup(buf.data, buf.len), buf.len);
	pfree(buf.data);
	return take_room(filling, result);
}

/*
 * The filled copy of an array or object.  Keys keep their order, which is
 * jsonb's own, so that the result need not be sorted.
 */
static bool
fill_container(Filling *filling, const JsonbValue *value, JsonbValue *result)
{
	int			count = saga_value_count(value);
	SagaValueChildren c;
	int			n = 0;

	saga_value_children_start(&c, value);
	if (c.is_object)
	{
		result->type = jbvObject;
		result->val.object.nPairs = count;
		result->val.object.pairs = palloc((count + 1) * sizeof(JsonbPair));
	}
	else
		saga_value_set_array(result, palloc((count + 1) * sizeof(JsonbValue)), count);
	while (saga_value_children_next(&c))
	{
		JsonbValue *filled = c.is_object ? &result->val.object.pairs[n].value : &result->val.array.elems[n];

		if (c.is_object)
			result->val.object.pairs[n].key = c.key;
		if (!fill_value(filling, &c.value, filled))
			return false;
		n++;
	}
	return true;
}

/* Scalars other than strings are the same in the result. */
static bool
fill_value(Filling *filling, const JsonbValue *value, JsonbValue *result)
{
	check_stack_depth();

	if (value->type == jbvString)
		return fill_string(filling, value, result);
	if (value->type == jbvBinary)
		return fill_container(filling, value, result);
	*result = *value;
	return true;
}

/*
 * The result is a jsonb of its own, in the current context.  What was made on
 * the way stays there as well until the caller resets it.
 */
bool
saga_endpoint_json_template_fill(Jsonb *template, Jsonb *doc, Jsonb **result, char **missing)
{
	Filling		filling = {doc, MAX_TEXT, NULL};
	JsonbValue	value;
	JsonbValue	filled;
	SagaFault	fault = {0};
	bool		ok;

	saga_jsonb_value(template, &value);
	ok = fill_value(&filling, &value, &filled);
	*missing = filling.missing;
	if (!ok)
		return false;
	*result = saga_value_flatten(&filled, &fault);
	return *result != NULL;
}
