/*
 * test_state_reader.c
 *		What the ItemReader of a Map that is tested has read: mapItemReaderData,
 *		a text as it is in its source, or what it would have been read as.
 */
#include "postgres.h"

#include "miscadmin.h"

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

static bool
saga_is_list(Jsonb *value)
{
	return JB_ROOT_IS_ARRAY(value) && !JB_ROOT_IS_SCALAR(value);
}

/* ---------- formats ---------- */

/* Each line of the text is an item; NULL: one of them is no JSON. */
static Jsonb *
saga_parse_lines(const char *text)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	while (*text != '\0')
	{
		int			len = strcspn(text, "\n");
		bool		blank = strspn(text, " \t\r") >= len;
		Jsonb	   *item = blank ? NULL : saga_jsonb_parse(text, len);

		CHECK_FOR_INTERRUPTS();
		if (item == NULL && !blank)
			return NULL;
		if (item != NULL)
			saga_jsonb_push(&state, WJB_ELEM, item);
		text += len;
		if (*text == '\n')
			text++;
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/*
 * The next field of a CSV file, which may stand in quotation marks, with two
 * for one.  *rest becomes what follows the field.
 */
static char *
saga_csv_field(const char **rest, char delimiter)
{
	const char *p = *rest;
	bool		quoted = *p == '"';
	StringInfoData field;

	initStringInfo(&field);
	if (quoted)
		p++;
	for (; *p != '\0'; p++)
	{
		if (quoted && *p == '"' && p[1] == '"')
			p++;
		else if (quoted && *p == '"')
		{
			quoted = false;
			continue;
		}
		else if (!quoted && (*p == delimiter || *p == '\n' || (*p == '\r' && p[1] == '\n')))
			break;
		appendStringInfoChar(&field, *p);
	}
	*rest = p;
	return field.data;
}

/* The fields of the next line; *text becomes what follows it. */
static List *
saga_csv_line(const char **text, char delimiter)
{
	List	   *fields = NIL;
	const char *p = *text;

	for (;;)
	{
		fields = lappend(fields, saga_csv_field(&p, delimiter));
		if (*p != delimiter || *p == '\0')
			break;
		p++;
	}
	if (*p == '\r')
		p++;
	if (*p == '\n')
		p++;
	*text = p;
	return fields;
}

/* Each line is an object of texts: what a line lacks is empty, what it has beyond the columns is left out. */
static Jsonb *
saga_parse_csv(const char *text, const SagaReaderFields *reader)
{
	List	   *headers = reader->csv_headers != NIL ? reader->csv_headers : saga_csv_line(&text, reader->csv_delimiter);
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	while (*text != '\0')
	{
		List	   *fields = saga_csv_line(&text, reader->csv_delimiter);
		int			i;

		CHECK_FOR_INTERRUPTS();
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		for (i = 0; i < list_length(headers); i++)
			saga_doc_push_string(&state, list_nth(headers, i), i < list_length(fields) ? list_nth(fields, i) : "");
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* ---------- what was read ---------- */

/*
 * mapItemReaderData as JSON.  A text is what the reader finds in its source,
 * in the reader's format; anything else is what that would have been read as.
 */
static Jsonb *
saga_reader_value(const SagaTest *test)
{
	const SagaReaderFields *reader = test->state->map->tested;
	const char *type = reader->input_type != NULL ? reader->input_type : "JSON";
	JsonbValue	scalar;
	Jsonb	   *result = NULL;

	if (!saga_jsonb_scalar(test->reader_data, &scalar) || scalar.type != jbvString)
		return test->reader_data;
	if (strcmp(type, "JSON") == 0)
		result = saga_jsonb_parse(scalar.val.string.val, scalar.val.string.len);
	else if (strcmp(type, "JSONL") == 0)
		result = saga_parse_lines(pnstrdup(scalar.val.string.val, scalar.val.string.len));
	else if (strcmp(type, "CSV") == 0)
		result = saga_parse_csv(pnstrdup(scalar.val.string.val, scalar.val.string.len), reader);
	else
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"mapItemReaderData\" cannot be a text of InputType \"%s\"", type),
				 errhint("Give the items that are read from it, as a JSON array.")));
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_JSON_TEXT),
				 errmsg("the text in \"mapItemReaderData\" is not %s", type)));
	return result;
}

/* One step of a JSON pointer, "name" or an index; NULL: there is nothing. */
static Jsonb *
saga_pointer_step(Jsonb *value, char *name)
{
	JsonbValue	member;
	JsonbValue *element;
	char	   *from;
	char	   *to;

	/* "~1" is "/", "~0" is "~" */
	for (from = to = name; *from != '\0'; from++)
	{
		if (*from == '~' && (from[1] == '0' || from[1] == '1'))
			*to++ = *++from == '0' ? '~' : '/';
		else
			*to++ = *from;
	}
	*to = '\0';
	if (JB_ROOT_IS_OBJECT(value))
		return saga_jsonb_get(value, name, &member) ? saga_jsonb_from_value(&member) : NULL;
	if (!saga_is_list(value) || *name == '\0' || strlen(name) > 9 || strspn(name, "0123456789") != strlen(name))
		return NULL;
	element = getIthJsonbValueFromContainer(&value->root, atoi(name));
	return element != NULL ? saga_jsonb_from_value(element) : NULL;
}

/* What the JSON pointer leads to; NULL: nothing. */
static Jsonb *
saga_pointer_value(Jsonb *value, const char *pointer)
{
	while (value != NULL && *pointer == '/')
	{
		int			len = strcspn(++pointer, "/");

		value = saga_pointer_step(value, pnstrdup(pointer, len));
		pointer += len;
	}
	return *pointer == '\0' ? value : NULL;
}

/* The first "count" elements. */
static Jsonb *
saga_first_items(Jsonb *items, int64 count)
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
saga_test_read_items(SagaTest *test, SagaFault *fault)
{
	const SagaReaderFields *reader = test->state->map->tested;
	Jsonb	   *items = saga_reader_value(test);
	int64		most = reader->max_items;

	if (saga_template_apply(test->run, test->thread, reader->parameters, test->thread->data, fault) == NULL ||
		!saga_map_count(test->run, test->thread, &reader->max_items_path, "MaxItemsPath", &most, fault))
		return NULL;
	if (reader->items_pointer != NULL)
		items = test->found.after_items_pointer = saga_pointer_value(items, reader->items_pointer);
	if (items != NULL && saga_is_list(items))
		return saga_first_items(items, most);
	fault->error = "States.ItemReaderFailed";
	fault->cause = reader->items_pointer != NULL ?
		psprintf("There is no array at the ItemsPointer '%s'.", reader->items_pointer) :
		pstrdup("What the ItemReader has read is no array.");
	return NULL;
}
