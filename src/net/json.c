/*
 * json.c
 *		Is a foreign text JSON?  The one file that includes json-c, whose
 *		json_object is also the name of a function of the server's.
 */
#include "postgres.h"

#include <json-c/json.h>
#include <json-c/json_visit.h>
#include <limits.h>

#include "net/json.h"

/* json-c takes NaN and Infinity even when strict: not JSON, and not for jsonb. */
static int
find_special_number(json_object *item, int flags, json_object *parent, const char *key,
					size_t *index, void *arg)
{
	const char *text;

	if (!json_object_is_type(item, json_type_double))
		return JSON_C_VISIT_RETURN_CONTINUE;
	text = json_object_get_string(item);
	if (text != NULL && strpbrk(text, "NI") == NULL)
		return JSON_C_VISIT_RETURN_CONTINUE;
	*(bool *) arg = true;
	return JSON_C_VISIT_RETURN_STOP;
}

/*
 * The text must have a NUL behind it, which is parsed too: without it a bare
 * number or null is "go on".
 */
bool
saga_json_check(const char *text, size_t len)
{
	json_tokener *tokener;
	json_object *object;
	bool		ok;
	bool		special = false;

	/* an embedded NUL would end the text for json-c */
	if (len >= INT_MAX || strlen(text) != len)
		return false;
	tokener = json_tokener_new_ex(SAGA_JSON_MAX_DEPTH);
	if (tokener == NULL)
		return false;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	object = json_tokener_parse_ex(tokener, text, (int) len + 1);
	ok = json_tokener_get_error(tokener) == json_tokener_success &&
		json_tokener_get_parse_end(tokener) >= len;
	json_tokener_free(tokener);
	if (ok && object != NULL)
		(void) json_c_visit(object, 0, find_special_number, &special);
	json_object_put(object);
	return ok && !special;
}
