/*
 * json_read.c
 *		Reading foreign JSON, with json-c.
 */
#include "postgres.h"

#include <json-c/json.h>

#include "net/json_private.h"
#include "net/json_read.h"
#include "utils/memutils.h"
#include "utils/palloc.h"

typedef struct Document
{
	MemoryContextCallback callback;
	json_object *root;
} Document;

/* The context of a document goes, and with it what json-c has allocated. */
static void
put_document(void *arg)
{
	json_object_put(((Document *) arg)->root);
}

const SagaJson *
saga_json_read(const char *text, size_t len, bool *ok)
{
	/* before it is parsed: nothing may raise while nobody owns it */
	Document   *document = palloc0(sizeof(Document));

	document->callback.func = put_document;
	document->callback.arg = document;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &document->callback);
	*ok = saga_json_parse(text, len, &document->root);
	return *ok ? document->root : NULL;
}

bool
saga_json_is_object(const SagaJson *value)
{
	return json_object_is_type(value, json_type_object);
}

const SagaJson *
saga_json_member(const SagaJson *object, const char *name)
{
	json_object *value;

	if (!saga_json_is_object(object) || !json_object_object_get_ex(object, name, &value))
		return NULL;
	return value;
}

int
saga_json_length(const SagaJson *array)
{
	return json_object_is_type(array, json_type_array) ? (int) json_object_array_length(array) : 0;
}

const SagaJson *
saga_json_element(const SagaJson *array, int i)
{
	if (i < 0 || i >= saga_json_length(array))
		return NULL;
	return json_object_array_get_idx(array, i);
}

const char *
saga_json_string(const SagaJson *value, size_t *len)
{
	json_object *string = unconstify(json_object *, value);

	if (!json_object_is_type(value, json_type_string))
		return NULL;
	if (len != NULL)
		*len = json_object_get_string_len(string);
	return json_object_get_string(string);
}

const char *
saga_json_member_string(const SagaJson *object, const char *name)
{
	return saga_json_string(saga_json_member(object, name), NULL);
}

bool
saga_json_is_true(const SagaJson *value)
{
	return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

void
saga_json_each(const SagaJson *object, saga_json_member_fn fn, void *arg)
{
	json_object *members = unconstify(json_object *, object);
	struct json_object_iterator at;
	struct json_object_iterator end;

	if (!saga_json_is_object(object))
		return;
	at = json_object_iter_begin(members);
	end = json_object_iter_end(members);
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
		fn(json_object_iter_peek_name(&at), json_object_iter_peek_value(&at), arg);
}
