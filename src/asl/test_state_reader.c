/*
 * test_state_reader.c
 *		What the ItemReader of a Map that is tested has read: mapItemReaderData,
 *		a text as it is in its source, or what it would have been read as.
 */
#include "postgres.h"

#include "asl/test_state_private.h"
#include "value/doc.h"

/* How many elements an array has. */
int
saga_test_count(Jsonb *items)
{
	return (int) JB_ROOT_COUNT(items);
}

/* The one at this place, as a jsonb of its own. */
Jsonb *
saga_test_element(Jsonb *items, int index)
{
	return saga_jsonb_from_value(getIthJsonbValueFromContainer(&items->root, index));
}

/* ---------- what was read ---------- */

/*
 * mapItemReaderData as JSON.  A text is what the reader finds in its source,
 * in the reader's format; anything else is what that would have been read as.
 */
static Jsonb *
reader_value(const SagaTest *test)
{
	const SagaReaderConfig *reader = &test->state->map->reader_config;
	JsonbValue	scalar;
	Jsonb	   *result;
	char	   *fault = NULL;

	if (!saga_asl_jsonb_scalar(test->reader_data, &scalar) || scalar.type != jbvString)
		return test->reader_data;
	result = saga_asl_items_parse(reader, scalar.val.string.val, scalar.val.string.len, &fault);
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_JSON_TEXT),
				 errmsg("the text in \"mapItemReaderData\" cannot be read"),
				 errdetail_internal("%s", fault),
				 errhint("Give a text of the reader's InputType, or the items that are read from it as a JSON array.")));
	return result;
}

/* The first "count" elements. */
static Jsonb *
first_items(Jsonb *items, int64 count)
{
	JsonbParseState *state = NULL;
	int			i;

	if (count <= 0 || count >= saga_test_count(items))
		return items;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (i = 0; i < count; i++)
		saga_jsonb_push(&state, WJB_ELEM, saga_test_element(items, i));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* The items that were read; NULL and a fault: what was read has none. */
Jsonb *
saga_test_read_items(SagaTest *test, bool *keyed, SagaFault *fault)
{
	const SagaMapFields *reader = test->state->map;
	Jsonb	   *value = reader_value(test);
	Jsonb	   *items = NULL;
	int64		most = reader->max_items;

	if ((reader->reader_parameters != NULL &&
		 saga_asl_payload_apply(test->run, test->thread, reader->reader_parameters, test->thread->data, SAGA_SEES_INPUT,
								fault) == NULL) ||
		!saga_asl_map_count(test->run, test->thread, &reader->max_items_path, "MaxItemsPath", &most, fault))
		return NULL;
	if (reader->reader_config.items_pointer != NULL)
		value = test->found.after_items_pointer = saga_asl_items_pointed(value, reader->reader_config.items_pointer);
	if (value != NULL)
		items = saga_asl_items_of(value, keyed);
	if (items != NULL)
		return first_items(items, most);
	fault->error = "States.ItemReaderFailed";
	fault->cause = reader->reader_config.items_pointer != NULL ?
		psprintf("There are no items at the ItemsPointer '%s'.", reader->reader_config.items_pointer) :
		pstrdup("What the ItemReader has read is no array and no object.");
	return NULL;
}
