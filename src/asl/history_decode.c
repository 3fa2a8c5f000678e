/*
 * history_decode.c
 *		Reads what history.c has written.
 *
 * The value may come from anyone who may call saga.history_events(), so
 * nothing in it is believed: lengths, indexes, and the insides of each jsonb
 * are checked first.
 */
#include "postgres.h"

#include "common/compat.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "asl/history_private.h"
#include "value/value.h"

typedef struct SagaReader
{
	const char *data;
	const char *end;
} SagaReader;

static void
pg_attribute_noreturn()
saga_history_corrupt(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("invalid execution history")));
}

static uint64
read_varint(SagaReader *reader)
{
	uint64		value = 0;
	int			shift;

	for (shift = 0; shift < 64; shift += 7)
	{
		unsigned char byte;

		if (reader->data >= reader->end)
			saga_history_corrupt();
		byte = (unsigned char) *reader->data++;
		value |= (uint64) (byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return value;
	}
	saga_history_corrupt();
}

static int64
read_signed(SagaReader *reader)
{
	uint64		value = read_varint(reader);

	return (int64) (value >> 1) ^ -(int64) (value & 1);
}

/* A count of things that take a byte or more each. */
static int
read_count(SagaReader *reader)
{
	uint64		count = read_varint(reader);

	if (count > (uint64) (reader->end - reader->data))
		saga_history_corrupt();
	return (int) count;
}

static char **
read_strings(SagaReader *reader, int *count)
{
	static char empty[] = "";
	char	  **strings;
	int			i;

	*count = read_count(reader);
	strings = palloc(sizeof(char *) * Max(*count, 1));
	for (i = 0; i < *count; i++)
	{
		int			length = read_count(reader);

		if (!pg_verify_mbstr(GetDatabaseEncoding(), reader->data, length, true))
			saga_history_corrupt();
		strings[i] = length > 0 ? pnstrdup(reader->data, length) : empty;
		reader->data += length;
	}
	return strings;
}

static Jsonb **
read_values(SagaReader *reader, int *count, Jsonb *input, Jsonb *output)
{
	Jsonb	  **values;
	int			i;

	*count = read_count(reader);
	values = palloc(sizeof(Jsonb *) * Max(*count, 1));
	for (i = 0; i < *count; i++)
	{
		int			length = read_count(reader);
		Jsonb	   *value;

		if (length == 0)
		{
			uint64		kept = read_varint(reader);

			if (kept != 1 && kept != 2)
				saga_history_corrupt();
			values[i] = kept == 1 ? input : output;
			continue;
		}
		if (length <= VARHDRSZ)
			saga_history_corrupt();
		value = palloc(length);
		memcpy(value, reader->data, length);
		reader->data += length;
		if (!VARATT_IS_4B_U(value) || VARSIZE(value) != length ||
			!saga_asl_jsonb_is_sound(VARDATA(value), length - VARHDRSZ))
			saga_history_corrupt();
		values[i] = value;
	}
	return values;
}

/* An index + 1 below count + 1; -1 for none. */
static int
read_index(SagaReader *reader, int count)
{
	uint64		index = read_varint(reader);

	if (index > (uint64) count)
		saga_history_corrupt();
	return (int) index - 1;
}

static void
add_detail(JsonbPair *pairs, int *npairs, const char *name, const JsonbValue *value)
{
	saga_value_set_string(&pairs[*npairs].key, name, strlen(name));
	pairs[(*npairs)++].value = *value;
}

/* The members of a report are details of the event. */
static void
add_report(JsonbPair *pairs, int *npairs, const Jsonb *report)
{
	JsonbIterator *it = JsonbIteratorInit(unconstify(JsonbContainer *, &report->root));
	JsonbValue	value;
	JsonbIteratorToken token;
	int			n = 0;

	if (!JB_ROOT_IS_OBJECT(report))
		saga_history_corrupt();
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY && n++ == SAGA_REPORT_MEMBERS)
			saga_history_corrupt();
		if (token == WJB_KEY)
			pairs[*npairs].key = value;
		else if (token == WJB_VALUE)
			pairs[(*npairs)++].value = value;
	}
}

/* One copy of each value, however large. */
static Jsonb *
read_details(SagaReader *reader, const SagaEventShape *shape, char **strings, int nstrings,
			 Jsonb **values, int nvalues)
{
	JsonbPair	pairs[SAGA_EVENT_STRINGS + SAGA_EVENT_VALUES + SAGA_REPORT_MEMBERS + SAGA_EVENT_NUMBERS];
	JsonbValue	details;
	JsonbValue	value;
	int			npairs = 0;

	for (int i = 0; i < SAGA_EVENT_STRINGS && shape->strings[i] != NULL; i++)
	{
		int			index = read_index(reader, nstrings);

		if (index < 0)
			continue;
		saga_value_set_string(&value, strings[index], strlen(strings[index]));
		add_detail(pairs, &npairs, shape->strings[i], &value);
	}
	for (int i = 0; i < SAGA_EVENT_VALUES && shape->values[i] != NULL; i++)
	{
		int			index = read_index(reader, nvalues);

		if (index < 0 || values[index] == NULL)
			continue;
		if (strcmp(shape->values[i], SAGA_EVENT_REPORT) == 0)
		{
			add_report(pairs, &npairs, values[index]);
			continue;
		}
		saga_jsonb_value(values[index], &value);
		add_detail(pairs, &npairs, shape->values[i], &value);
	}
	for (int i = 0; i < SAGA_EVENT_NUMBERS && shape->numbers[i] != NULL; i++)
	{
		uint64		number = read_varint(reader);

		if (number == 0 || number > (uint64) PG_INT64_MAX)
			continue;
		saga_value_set_int(&value, (int64) number - 1);
		add_detail(pairs, &npairs, shape->numbers[i], &value);
	}
	qsort(pairs, npairs, sizeof(JsonbPair), saga_pair_compare);
	details.type = jbvObject;
	details.val.object.nPairs = npairs;
	details.val.object.pairs = pairs;
	return saga_jsonb_from_value(&details);
}

/* The next event; its details are made in the current context. */
static void
read_event(SagaReader *reader, SagaEvent *event, char **strings, int nstrings, Jsonb **values, int nvalues)
{
	const SagaEventShape *shape;

	if (reader->data == reader->end)
		saga_history_corrupt();
	shape = saga_asl_event_shape((unsigned char) *reader->data++);
	if (shape == NULL)
		saga_history_corrupt();
	event->type = shape->type;
	event->previous_id = (int64) ((uint64) event->id - (uint64) read_signed(reader));
	event->timestamp = (int64) ((uint64) event->timestamp + (uint64) read_signed(reader));
	if (!IS_VALID_TIMESTAMP(event->timestamp))
		saga_history_corrupt();
	event->details = read_details(reader, shape, strings, nstrings, values, nvalues);
}

void
saga_history_decode(bytea *history, Jsonb *input, Jsonb *output, Size *room, SagaEventFunction fn, void *arg)
{
	SagaReader	reader = {.data = VARDATA_ANY(history)};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "saga history event", ALLOCSET_DEFAULT_SIZES);
	SagaEvent	event = {0};
	char	  **strings;
	Jsonb	  **values;
	int			nstrings;
	int			nvalues;
	int			nevents;

	reader.end = reader.data + VARSIZE_ANY_EXHDR(history);
	if (reader.data == reader.end || *reader.data++ != 1)
		saga_history_corrupt();
	event.id = read_signed(&reader);
	event.timestamp = read_signed(&reader);
	strings = read_strings(&reader, &nstrings);
	values = read_values(&reader, &nvalues, input, output);
	nevents = read_count(&reader);
	while (nevents-- > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		read_event(&reader, &event, strings, nstrings, values, nvalues);
		if (VARSIZE(event.details) > *room)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("events of an execution history are too large together")));
		*room -= VARSIZE(event.details);
		MemoryContextSwitchTo(old);
		fn(&event, arg);
		MemoryContextReset(context);
		event.id = (int64) ((uint64) event.id + 1);
	}
	if (reader.data != reader.end)
		saga_history_corrupt();
	MemoryContextDelete(context);
}
