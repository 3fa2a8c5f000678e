/*
 * history.c
 *		Notes the events of a run and writes them as one value.
 *
 * Layout, integers as base-128 varints, signed ones zigzag:
 *
 *		byte version, first event id, base timestamp,
 *		count of strings, {length, bytes} each,
 *		count of jsonb values, {length, bytes} each, or {0, 1: the execution's
 *			input, 2: its output}, which the caller keeps,
 *		count of events, {type, previous id - own id, time since the last,
 *						  string, value (index + 1, 0: none) and number each
 *						  that its shape names}
 *
 * A string or jsonb that several events point to is written once; what is
 * the same is known by its address.  So a value is no longer than the memory
 * that its run has taken, and the definition with the execution's input.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "asl/history_private.h"

#define SAGA_HISTORY_VERSION 1

#define SAGA_STATE_EVENTS(base, what, name) \
	[base + SAGA_STATE_TASK] = {"TaskState" what, {"name"}, {name}}, \
	[base + SAGA_STATE_PASS] = {"PassState" what, {"name"}, {name}}, \
	[base + SAGA_STATE_CHOICE] = {"ChoiceState" what, {"name"}, {name}}, \
	[base + SAGA_STATE_WAIT] = {"WaitState" what, {"name"}, {name}}, \
	[base + SAGA_STATE_SUCCEED] = {"SucceedState" what, {"name"}, {name}}, \
	[base + SAGA_STATE_FAIL] = {"FailState" what, {"name"}, {name}}, \
	[base + SAGA_STATE_PARALLEL] = {"ParallelState" what, {"name"}, {name}}, \
	[base + SAGA_STATE_MAP] = {"MapState" what, {"name"}, {name}}

#define SAGA_EXITED_EVENT(type, text) \
	[SAGA_EVENT_STATE_EXITED + type] = {text "StateExited", {"name"}, {"output", "assignedVariables"}}

static const SagaEventShape saga_event_shapes[SAGA_EVENT_TYPES] = {
	[SAGA_EVENT_EXECUTION_STARTED] = {"ExecutionStarted", {"roleArn"}, {"input"}},
	[SAGA_EVENT_EXECUTION_SUCCEEDED] = {"ExecutionSucceeded", {NULL}, {"output"}},
	[SAGA_EVENT_EXECUTION_FAILED] = {"ExecutionFailed", {"error", "cause"}},
	[SAGA_EVENT_EXECUTION_TIMED_OUT] = {"ExecutionTimedOut", {"error", "cause"}},
	[SAGA_EVENT_EXECUTION_ABORTED] = {"ExecutionAborted", {"error", "cause"}},
	[SAGA_EVENT_EXECUTION_REDRIVEN] = {"ExecutionRedriven", {NULL}, {NULL}, {"redriveCount"}},

	SAGA_STATE_EVENTS(SAGA_EVENT_STATE_ENTERED, "Entered", "input"),
	SAGA_EXITED_EVENT(SAGA_STATE_TASK, "Task"),
	SAGA_EXITED_EVENT(SAGA_STATE_PASS, "Pass"),
	SAGA_EXITED_EVENT(SAGA_STATE_CHOICE, "Choice"),
	SAGA_EXITED_EVENT(SAGA_STATE_WAIT, "Wait"),
	SAGA_EXITED_EVENT(SAGA_STATE_SUCCEED, "Succeed"),
	SAGA_EXITED_EVENT(SAGA_STATE_FAIL, "Fail"),
	SAGA_EXITED_EVENT(SAGA_STATE_PARALLEL, "Parallel"),
	SAGA_EXITED_EVENT(SAGA_STATE_MAP, "Map"),
	SAGA_STATE_EVENTS(SAGA_EVENT_STATE_ABORTED, "Aborted", NULL),

	[SAGA_EVENT_TASK + SAGA_TASK_SCHEDULED] = {"TaskScheduled",
		{"resourceType", "resource", "compensates"}, {"parameters"},
	{"timeoutInSeconds", "heartbeatInSeconds"}},
	[SAGA_EVENT_TASK + SAGA_TASK_STARTED] = {"TaskStarted",
	{"resourceType", "resource", "compensates"}},
	[SAGA_EVENT_TASK + SAGA_TASK_SUBMITTED] = {"TaskSubmitted",
	{"resourceType", "resource", "compensates"}, {"output"}},
	[SAGA_EVENT_TASK + SAGA_TASK_SUCCEEDED] = {"TaskSucceeded",
	{"resourceType", "resource", "compensates"}, {"output"}},
	[SAGA_EVENT_TASK + SAGA_TASK_FAILED] = {"TaskFailed",
	{"resourceType", "resource", "compensates", "error", "cause"}},
	[SAGA_EVENT_TASK + SAGA_TASK_TIMED_OUT] = {"TaskTimedOut",
	{"resourceType", "resource", "compensates", "error", "cause"}},

	[SAGA_EVENT_TASK + SAGA_TASK_REPORTED] = {"TaskFailed",
	{"resourceType", "resource", "compensates", "error", "cause"}, {SAGA_EVENT_REPORT}},

	[SAGA_EVENT_LAMBDA + SAGA_TASK_SCHEDULED] = {"LambdaFunctionScheduled",
		{"resourceType", "resource", "compensates"}, {"input"},
	{"timeoutInSeconds", "heartbeatInSeconds"}},
	[SAGA_EVENT_LAMBDA + SAGA_TASK_STARTED] = {"LambdaFunctionStarted", {NULL}},
	[SAGA_EVENT_LAMBDA + SAGA_TASK_SUBMITTED] = {"TaskSubmitted",
	{"resourceType", "resource", "compensates"}, {"output"}},
	[SAGA_EVENT_LAMBDA + SAGA_TASK_SUCCEEDED] = {"LambdaFunctionSucceeded",
	{NULL}, {"output"}},
	[SAGA_EVENT_LAMBDA + SAGA_TASK_FAILED] = {"LambdaFunctionFailed",
	{"resourceType", "resource", "compensates", "error", "cause"}},
	[SAGA_EVENT_LAMBDA + SAGA_TASK_TIMED_OUT] = {"LambdaFunctionTimedOut",
	{"resourceType", "resource", "compensates", "error", "cause"}},

	[SAGA_EVENT_LAMBDA + SAGA_TASK_REPORTED] = {"LambdaFunctionFailed",
	{"resourceType", "resource", "compensates", "error", "cause"}, {SAGA_EVENT_REPORT}},

	[SAGA_EVENT_ACTIVITY + SAGA_TASK_SCHEDULED] = {"ActivityScheduled",
		{"resourceType", "resource", "compensates"}, {"input"},
	{"timeoutInSeconds", "heartbeatInSeconds"}},
	[SAGA_EVENT_ACTIVITY + SAGA_TASK_STARTED] = {"ActivityStarted", {"workerName"}},
	[SAGA_EVENT_ACTIVITY + SAGA_TASK_SUBMITTED] = {"TaskSubmitted",
	{"resourceType", "resource", "compensates"}, {"output"}},
	[SAGA_EVENT_ACTIVITY + SAGA_TASK_SUCCEEDED] = {"ActivitySucceeded",
	{NULL}, {"output"}},
	[SAGA_EVENT_ACTIVITY + SAGA_TASK_FAILED] = {"ActivityFailed",
	{"resourceType", "resource", "compensates", "error", "cause"}},
	[SAGA_EVENT_ACTIVITY + SAGA_TASK_TIMED_OUT] = {"ActivityTimedOut",
	{"resourceType", "resource", "compensates", "error", "cause"}},

	[SAGA_EVENT_PARALLEL_STARTED] = {"ParallelStateStarted", {NULL}},
	[SAGA_EVENT_PARALLEL_FAILED] = {"ParallelStateFailed", {"error", "cause"}},
	[SAGA_EVENT_MAP_STARTED] = {"MapStateStarted", {NULL}, {NULL}, {"length"}},
	[SAGA_EVENT_MAP_FAILED] = {"MapStateFailed", {"error", "cause"}},
	[SAGA_EVENT_MAP_SUCCEEDED] = {"MapStateSucceeded", {NULL}},
	[SAGA_EVENT_ITERATION_STARTED] = {"MapIterationStarted", {"name"}, {NULL}, {"index"}},
	[SAGA_EVENT_ITERATION_SUCCEEDED] = {"MapIterationSucceeded", {"name"}, {NULL}, {"index"}},
	[SAGA_EVENT_ITERATION_FAILED] = {"MapIterationFailed", {"name", "error", "cause"}, {NULL}, {"index"}},
	[SAGA_EVENT_ITERATION_ABORTED] = {"MapIterationAborted", {"name"}, {NULL}, {"index"}},

	[SAGA_EVENT_MAP_RUN_STARTED] = {"MapRunStarted", {"mapRunArn"}},
	[SAGA_EVENT_MAP_RUN_SUCCEEDED] = {"MapRunSucceeded", {NULL}},
	[SAGA_EVENT_MAP_RUN_FAILED] = {"MapRunFailed", {"error", "cause"}},
	[SAGA_EVENT_MAP_RUN_ABORTED] = {"MapRunAborted", {NULL}},
	[SAGA_EVENT_MAP_RUN_REDRIVEN] = {"MapRunRedriven", {"mapRunArn"}, {NULL}, {"redriveCount"}},

	[SAGA_EVENT_COMPENSATION_STARTED] = {"CompensationStarted", {"name", "handler"}},
	[SAGA_EVENT_COMPENSATION_SUCCEEDED] = {"CompensationSucceeded", {"name", "handler"}},
	[SAGA_EVENT_COMPENSATION_FAILED] = {"CompensationFailed",
	{"name", "handler", "error", "cause"}},

	[SAGA_EVENT_EVALUATION_FAILED] = {"EvaluationFailed", {"error", "cause", "location", "state"}},
};

const SagaEventShape *
saga_asl_event_shape(int type)
{
	if (type < 0 || type >= SAGA_EVENT_TYPES || saga_event_shapes[type].type == NULL)
		return NULL;
	return &saga_event_shapes[type];
}

/* ---------- noting ---------- */

void
saga_history_init(SagaHistory *history, MemoryContext context, int64 next_id, bool off)
{
	memset(history, 0, sizeof(SagaHistory));
	history->context = context;
	history->off = off;
	history->first_id = next_id;
	history->next_id = next_id;
}

SagaEventRecord *
saga_history_add(SagaHistory *history, SagaEventType type)
{
	SagaEventRecord *record;

	history->next_id++;
	if (history->off)
		record = &history->scratch;
	else
	{
		if (history->nevents == history->size)
		{
			int			size = history->size == 0 ? 32 : history->size * 2;

			if (history->events == NULL)
				history->events = MemoryContextAlloc(history->context,
													 sizeof(SagaEventRecord) * size);
			else
				history->events = repalloc_huge(history->events,
												sizeof(SagaEventRecord) * size);
			history->size = size;
		}
		record = &history->events[history->nevents++];
	}
	memset(record, 0, sizeof(SagaEventRecord));
	record->type = type;
	return record;
}

/* ---------- writing ---------- */

#define SAGA_VARINT_SIZE 10

/* The most that one event takes up: its type and the numbers after it. */
#define SAGA_EVENT_SIZE \
	(1 + SAGA_VARINT_SIZE * (2 + SAGA_EVENT_STRINGS + SAGA_EVENT_VALUES + SAGA_EVENT_NUMBERS))

static inline char *
store_varint(char *p, uint64 value)
{
	while (value >= 0x80)
	{
		*p++ = (char) ((value & 0x7f) | 0x80);
		value >>= 7;
	}
	*p++ = (char) value;
	return p;
}

static inline char *
store_signed(char *p, int64 value)
{
	return store_varint(p, ((uint64) value << 1) ^ (uint64) (value >> 63));
}

static void
write_varint(StringInfo buf, uint64 value)
{
	char		bytes[SAGA_VARINT_SIZE];

	appendBinaryStringInfo(buf, bytes, store_varint(bytes, value) - bytes);
}

static void
write_signed(StringInfo buf, int64 value)
{
	char		bytes[SAGA_VARINT_SIZE];

	appendBinaryStringInfo(buf, bytes, store_signed(bytes, value) - bytes);
}

/* Where an address is among those of a pool. */
typedef struct SagaPlace
{
	const void *item;
	int			index;
	char		status;
} SagaPlace;

#define SH_PREFIX saga_places
#define SH_ELEMENT_TYPE SagaPlace
#define SH_KEY_TYPE const void *
#define SH_KEY item
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) &(key), sizeof(key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* So many are looked through; of more there is a hash table. */
#define SAGA_FEW_ITEMS 32

/* Addresses seen, in the order of their first use. */
typedef struct SagaPool
{
	const void **items;
	saga_places_hash *places;	/* of all items; NULL: they are few */
	int			nitems;
	int			size;
	bool		strings;		/* else jsonb */
	Size		total;			/* bytes that they will take up */
	const void *kept[2];		/* by the caller: input, output */
} SagaPool;

static void
pool_init(SagaPool *pool, bool strings)
{
	pool->size = SAGA_FEW_ITEMS;
	pool->places = NULL;
	pool->kept[0] = pool->kept[1] = NULL;
	pool->nitems = 0;
	pool->strings = strings;
	pool->total = 10;
	pool->items = palloc(sizeof(void *) * pool->size);
}

/* 1, 2: the caller's; 0: ours. */
static int
item_kept(const SagaPool *pool, const void *item)
{
	return pool->kept[0] == item ? 1 : pool->kept[1] == item ? 2 : 0;
}

static Size
item_length(const SagaPool *pool, const void *item)
{
	if (item_kept(pool, item))
		return 0;
	return pool->strings ? strlen(item) : VARSIZE(item);
}

/* There are many from now on. */
static void
pool_hash(SagaPool *pool)
{
	bool		found;
	int			i;

	pool->places = saga_places_create(CurrentMemoryContext, 4 * SAGA_FEW_ITEMS, NULL);
	for (i = 0; i < pool->nitems; i++)
		saga_places_insert(pool->places, pool->items[i], &found)->index = i;
}

/* The place of an item; that of the next one, if it is new. */
static int
pool_find(SagaPool *pool, const void *item)
{
	SagaPlace  *place;
	bool		found;
	int			i;

	if (pool->places == NULL && pool->nitems < SAGA_FEW_ITEMS)
	{
		/* neighbours are what shares values */
		for (i = pool->nitems - 1; i >= 0; i--)
			if (pool->items[i] == item)
				return i;
		return pool->nitems;
	}
	if (pool->places == NULL)
		pool_hash(pool);
	place = saga_places_insert(pool->places, item, &found);
	if (!found)
		place->index = pool->nitems;
	return place->index;
}

/* The index + 1 of an item. */
static uint64
pool_add(SagaPool *pool, const void *item)
{
	int			place;

	if (item == NULL)
		return 0;
	place = pool_find(pool, item);
	if (place < pool->nitems)
		return place + 1;
	if (pool->nitems == pool->size)
	{
		pool->size *= 2;
		pool->items = repalloc_huge(pool->items, sizeof(void *) * pool->size);
	}
	pool->items[pool->nitems++] = item;
	pool->total += item_length(pool, item) + 10;
	return pool->nitems;
}

/* What it has looked things up by; what it consists of has been written. */
static void
pool_free(SagaPool *pool)
{
	if (pool->places != NULL)
		saga_places_destroy(pool->places);
	pfree(pool->items);
}

static void
write_pool(StringInfo buf, const SagaPool *pool)
{
	int			i;

	write_varint(buf, pool->nitems);
	for (i = 0; i < pool->nitems; i++)
	{
		Size		length = item_length(pool, pool->items[i]);

		write_varint(buf, length);
		if (item_kept(pool, pool->items[i]))
			write_varint(buf, item_kept(pool, pool->items[i]));
		appendBinaryStringInfo(buf, pool->items[i], length);
	}
}

static void
write_event(StringInfo buf, SagaPool *strings, SagaPool *values,
			const SagaEventRecord *record, int64 id, TimestampTz last)
{
	const SagaEventShape *shape = &saga_event_shapes[record->type];
	char	   *p;
	int			i;

	enlargeStringInfo(buf, SAGA_EVENT_SIZE);
	p = buf->data + buf->len;
	*p++ = (char) record->type;
	p = store_signed(p, id - record->previous_id);
	p = store_signed(p, record->timestamp - last);
	for (i = 0; i < SAGA_EVENT_STRINGS && shape->strings[i] != NULL; i++)
		p = store_varint(p, pool_add(strings, record->strings[i]));
	for (i = 0; i < SAGA_EVENT_VALUES && shape->values[i] != NULL; i++)
		p = store_varint(p, pool_add(values, record->values[i]));
	for (i = 0; i < SAGA_EVENT_NUMBERS && shape->numbers[i] != NULL; i++)
		p = store_varint(p, record->numbers[i]);
	buf->len = p - buf->data;
}

bytea *
saga_history_encode(const SagaHistory *history, const Jsonb *input, const Jsonb *output)
{
	SagaPool	strings;
	SagaPool	values;
	StringInfoData events;
	StringInfoData result;
	TimestampTz base = history->nevents > 0 ? history->events[0].timestamp : 0;
	TimestampTz last = base;
	Size		size;
	int			i;

	pool_init(&strings, true);
	pool_init(&values, false);
	values.kept[0] = input;
	values.kept[1] = output;
	initStringInfo(&events);
	for (i = 0; i < history->nevents; i++)
	{
		write_event(&events, &strings, &values, &history->events[i],
					history->first_id + i, last);
		last = history->events[i].timestamp;
	}

	/* enough for all of it, so that it is written once */
	size = VARHDRSZ + 64 + strings.total + values.total + events.len;
	if (!AllocSizeIsValid(size))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("history of an execution is too long")));
	result.data = palloc(size);
	result.maxlen = (int) size;
	resetStringInfo(&result);
	result.len = VARHDRSZ;
	appendStringInfoChar(&result, SAGA_HISTORY_VERSION);
	write_signed(&result, history->first_id);
	write_signed(&result, base);
	write_pool(&result, &strings);
	write_pool(&result, &values);
	write_varint(&result, history->nevents);
	appendBinaryStringInfo(&result, events.data, events.len);
	SET_VARSIZE(result.data, result.len);

	pool_free(&strings);
	pool_free(&values);
	pfree(events.data);
	return (bytea *) result.data;
}
