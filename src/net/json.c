/*
 * json.c
 *		Foreign JSON, and its members.  This and json_read.c are the files that include json-c, whose json_object is
 *		also the name of a function of the server's.
 */
#include "postgres.h"

#include <json-c/json.h>
#include <limits.h>

#include "net/json.h"
#include "net/json_private.h"

/*
 * json-c makes an object of a hundred bytes of each value: no service has
 * reason for so many.
 */
#define MAX_VALUES	50000

/* json-c takes much memory for each value: are there more than it may be given? */
static bool
has_too_many(const char *text, size_t len)
{
	const char *end = text + len;
	bool		in_string = false;
	int			n = 0;

	for (; text < end; text++)
	{
		if (*text == '"')
			in_string = !in_string;
		else if (in_string)
			text += *text == '\\';
		else
			n += *text == ',' || *text == '[' || *text == '{';
	}
	return n > MAX_VALUES;
}

/*
 * The text must have a NUL behind it, which is parsed too: without it a bare
 * number or null is "go on".
 */
bool
saga_json_parse(const char *text, size_t len, json_object **object)
{
	json_tokener *tokener;
	bool		ok;

	*object = NULL;
	/* an embedded NUL would end the text for json-c */
	if (len >= INT_MAX || strlen(text) != len || has_too_many(text, len))
		return false;
	tokener = json_tokener_new_ex(SAGA_JSON_MAX_DEPTH);
	if (tokener == NULL)
		return false;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	*object = json_tokener_parse_ex(tokener, text, (int) len + 1);
	ok = json_tokener_get_error(tokener) == json_tokener_success &&
		json_tokener_get_parse_end(tokener) >= len;
	json_tokener_free(tokener);
	return ok;
}

/* The text of a scalar, palloc'd; NULL: it is none, or has a NUL in it, or there is no memory. */
static char *
copy_scalar(json_object *value)
{
	const char *text;
	size_t		len;
	char	   *copy;

	if (value == NULL || json_object_is_type(value, json_type_object) ||
		json_object_is_type(value, json_type_array))
		return NULL;
	text = json_object_get_string(value);
	len = json_object_is_type(value, json_type_string) ? json_object_get_string_len(value) : strlen(text);
	/* json-c's own memory would be lost if this raised */
	copy = palloc_extended(len + 1, MCXT_ALLOC_NO_OOM);
	if (copy == NULL || strlen(text) != len)
		return NULL;
	memcpy(copy, text, len + 1);
	if (json_object_is_type(value, json_type_string))
		explicit_bzero(unconstify(char *, text), len);
	return copy;
}

bool
saga_json_get_members(const char *text, size_t len, SagaJsonMember *members, int n)
{
	json_object *object;
	bool		ok = saga_json_parse(text, len, &object) && json_object_is_type(object, json_type_object);
	int			i;

	for (i = 0; i < n; i++)
	{
		json_object *value;

		members[i].text = ok && json_object_object_get_ex(object, members[i].name, &value) ?
			copy_scalar(value) : NULL;
	}
	json_object_put(object);
	return ok;
}
