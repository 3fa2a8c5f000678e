/*
 * items.c
 *		The items of a Map as they are read: from a text in the format that its
 *		ItemReader names, or from a value.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "asl/asl.h"
#include "value/doc.h"

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

static bool
saga_has_duplicate(const List *names)
{
	ListCell   *lc;
	ListCell   *other;

	foreach(lc, names)
	{
		CHECK_FOR_INTERRUPTS();
		foreach(other, names)
		{
			if (lc != other && strcmp(lfirst(lc), lfirst(other)) == 0)
				return true;
		}
	}
	return false;
}

/* Each line is an object of texts: what a line lacks is empty, what it has beyond the columns is left out. */
static Jsonb *
saga_parse_csv(const char *text, const SagaReaderConfig *reader, char **fault)
{
	List	   *headers = reader->csv_headers != NIL ? reader->csv_headers : saga_csv_line(&text, reader->csv_delimiter);
	JsonbParseState *state = NULL;

	if (saga_has_duplicate(headers))
	{
		*fault = pstrdup("CSV headers cannot contain duplicates.");
		return NULL;
	}
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

/* ---------- items ---------- */

static bool
saga_items_are_list(const Jsonb *value)
{
	return JB_ROOT_IS_ARRAY(value) && !JB_ROOT_IS_SCALAR(value);
}

/*
 * What a text is as JSON, in the format of the reader.  NULL, and *fault, which was NULL, says why: it is
 * none, or of a format that is not read here.
 */
Jsonb *
saga_items_parse(const SagaReaderConfig *reader, const char *text, int len, char **fault)
{
	const char *type = reader->input_type != NULL ? reader->input_type : "JSON";
	Jsonb	   *result = NULL;

	if (strcmp(type, "JSON") == 0)
		result = saga_jsonb_parse(text, len);
	else if (strcmp(type, "JSONL") == 0)
		result = saga_parse_lines(pnstrdup(text, len));
	else if (strcmp(type, "CSV") == 0)
		result = saga_parse_csv(pnstrdup(text, len), reader, fault);
	else
	{
		*fault = psprintf("A text of InputType \"%s\" cannot be read here.", type);
		return NULL;
	}
	if (result == NULL && *fault == NULL)
		*fault = psprintf("The text that was read is not %s.", type);
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
	if (!saga_items_are_list(value) || *name == '\0' || strlen(name) > 9 || strspn(name, "0123456789") != strlen(name))
		return NULL;
	element = getIthJsonbValueFromContainer(&value->root, atoi(name));
	return element != NULL ? saga_jsonb_from_value(element) : NULL;
}

/* What the JSON pointer leads to; NULL: nothing. */
Jsonb *
saga_items_pointed(Jsonb *value, const char *pointer)
{
	while (value != NULL && *pointer == '/')
	{
		int			len = strcspn(++pointer, "/");

		value = saga_pointer_step(value, pnstrdup(pointer, len));
		pointer += len;
	}
	return *pointer == '\0' ? value : NULL;
}

/*
 * The items in a value: the elements of an array; of an object {"Key", "Value"} for
 * each member, and *keyed is set.  NULL: it has no items.
 */
Jsonb *
saga_items_of(Jsonb *value, bool *keyed)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbParseState *state = NULL;
	JsonbValue	v;

	*keyed = false;
	if (saga_items_are_list(value))
		return value;
	if (!JB_ROOT_IS_OBJECT(value))
		return NULL;
	*keyed = true;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	it = JsonbIteratorInit(&value->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_KEY)
		{
			pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
			saga_jsonb_push_key(&state, "Key");
			pushJsonbValue(&state, WJB_VALUE, &v);
		}
		else if (token == WJB_VALUE)
		{
			saga_doc_push_jsonb(&state, "Value", saga_jsonb_from_value(&v));
			pushJsonbValue(&state, WJB_END_OBJECT, NULL);
		}
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}
