/*
 * children_map.c
 *		A distributed Map begins: its items become inputs of executions.
 *
 * They are read once, in the step of the parent that begins the Map, so that
 * ItemSelector sees what the parent sees, and one snapshot of what they are
 * read from.  They go to saga.map_item a chunk at a time: neither a function
 * nor a table is ever in memory whole.  From there turns of the children take
 * them (children_turn.c).
 */
#include "postgres.h"

#include "common/statement.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/step_private.h"
#include "engine/task_private.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "value/doc.h"

/* Inputs that are written by one statement: so many, or so many bytes. */
#define CHUNK_INPUTS	1000
#define CHUNK_BYTES		(4 * 1024 * 1024)

/* The items on their way into the table. */
typedef struct Items
{
	SagaJob    *job;
	const SagaAction *action;
	SagaChildren *children;
	const SagaResource *reader; /* what reads them; NULL: they are in the state's data */
	SagaMapItem item;			/* the one that is at hand */

	/*
	 * of one item, of the batch that is being filled, and of the chunk: each
	 * ends at another time
	 */
	MemoryContext item_context;
	MemoryContext batch_context;
	MemoryContext chunk_context;

	/* the batch that is being filled: of an ItemBatcher */
	JsonbParseState *batch;
	int			batch_items;
	Size		batch_bytes;

	/* the chunk */
	Datum	   *inputs;
	Datum	   *counts;
	int			n;
	Size		bytes;

	const char *error;			/* of ItemSelector */
	const char *cause;
} Items;

/* ---------- into the table ---------- */

static void
write_chunk(Items *items)
{
	static SagaStatement stmt = {
		.sql = "INSERT INTO saga.map_item (children_id, child_index, items, input)"
		" SELECT $children_id, $first + i.n - 1, i.count, i.input"
		" FROM unnest($counts::integer[], $inputs::jsonb[]) WITH ORDINALITY AS i(count, input, n)"
	};

	if (items->n > 0)
		saga_run(&stmt, saga_param_uuid("children_id", &items->children->children_id),
				 saga_param_int8("first", items->children->children - items->n),
				 saga_param_array("counts", INT4ARRAYOID,
								  construct_array(items->counts, items->n, INT4OID, sizeof(int32), true, TYPALIGN_INT)),
				 saga_param_array("inputs", JSONBARRAYOID,
								  construct_array(items->inputs, items->n, JSONBOID, -1, false, TYPALIGN_INT)));
	items->n = 0;
	items->bytes = 0;
	MemoryContextReset(items->chunk_context);
}

static Jsonb *
copy_into(MemoryContext context, const Jsonb *value)
{
	return memcpy(MemoryContextAlloc(context, VARSIZE(value)), value, VARSIZE(value));
}

/* One input more, for so many items. */
static void
add_input(Items *items, const Jsonb *value, int count)
{
	Jsonb	   *input = copy_into(items->chunk_context, value);

	items->inputs[items->n] = JsonbPGetDatum(input);
	items->counts[items->n++] = Int32GetDatum(count);
	items->bytes += VARSIZE(input);
	items->children->children++;
	items->children->items += count;
	if (items->n == CHUNK_INPUTS || items->bytes > CHUNK_BYTES)
		write_chunk(items);
}

/* ---------- batches ---------- */

/* {"BatchInput", "Items": [...]} */
static void
end_batch(Items *items)
{
	JsonbParseState *state = NULL;
	MemoryContext old;
	Jsonb	   *list;

	if (items->batch_items == 0)
		return;
	old = MemoryContextSwitchTo(items->batch_context);
	list = JsonbValueToJsonb(pushJsonbValue(&items->batch, WJB_END_ARRAY, NULL));
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (items->action->map->batch_input != NULL)
		saga_doc_push_jsonb(&state, "BatchInput", items->action->map->batch_input);
	saga_doc_push_jsonb(&state, "Items", list);
	add_input(items, JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)), items->batch_items);
	MemoryContextSwitchTo(old);
	MemoryContextReset(items->batch_context);
	items->batch = NULL;
	items->batch_items = 0;
	items->batch_bytes = 0;
}

static void
add_to_batch(Items *items, const Jsonb *input)
{
	const SagaMapCall *map = items->action->map;
	MemoryContext old;

	if (items->batch_items > 0 && map->batch_bytes > 0 && items->batch_bytes + VARSIZE(input) > map->batch_bytes)
		end_batch(items);
	old = MemoryContextSwitchTo(items->batch_context);
	if (items->batch_items == 0)
		pushJsonbValue(&items->batch, WJB_BEGIN_ARRAY, NULL);
	saga_jsonb_push(&items->batch, WJB_ELEM, copy_into(items->batch_context, input));
	MemoryContextSwitchTo(old);
	items->batch_items++;
	items->batch_bytes += VARSIZE(input);
	if (items->batch_items == map->batch_items)
		end_batch(items);
}

/* ---------- items ---------- */

/* An item, in the order of the items.  After a fault the rest is passed over. */
static void
add_item(Items *items, Jsonb *value)
{
	const SagaMapCall *map = items->action->map;
	MemoryContext old;
	Jsonb	   *input;

	CHECK_FOR_INTERRUPTS();
	if (items->error != NULL || (map->max_items > 0 && items->item.index >= map->max_items))
		return;
	MemoryContextReset(items->item_context);
	old = MemoryContextSwitchTo(items->item_context);
	items->item.value = value != NULL ? value : saga_jsonb_null();
	input = saga_run_item_input(items->job->run, items->action->task_id, &items->item, &items->error, &items->cause);
	items->item.index++;
	if (input == NULL)
		;						/* said to the caller */
	else if (map->batch_items > 0 || map->batch_bytes > 0)
		add_to_batch(items, input);
	else
		add_input(items, input, 1);
	MemoryContextSwitchTo(old);
}

static void
add_array(Items *items, Jsonb *array)
{
	JsonbIterator *it = JsonbIteratorInit(&array->root);
	JsonbIteratorToken token;
	JsonbValue	v;

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		Jsonb	   *value;

		if (token != WJB_ELEM)
			continue;
		value = saga_jsonb_from_value(&v);
		add_item(items, value);
		pfree(value);
	}
}

/* The items in the text of an object of S3, in the format that ReaderConfig names. */
static void
add_text(Items *items, const JsonbValue *text)
{
	const SagaReaderConfig *config = items->action->map->reader_config;
	char	   *fault = NULL;
	Jsonb	   *value = saga_asl_items_parse(config, text->val.string.val, text->val.string.len, &fault);

	if (value != NULL && config->items_pointer != NULL)
	{
		value = saga_asl_items_pointed(value, config->items_pointer);
		if (value == NULL)
			fault = psprintf("There is nothing at the ItemsPointer '%s'.", config->items_pointer);
	}
	if (value != NULL)
	{
		value = saga_asl_items_of(value, &items->item.keyed);
		if (value == NULL)
			fault = "What was read is no array and no object.";
	}
	if (value != NULL)
		add_array(items, value);
	else if (items->error == NULL)
	{
		items->error = "States.ItemReaderFailed";
		/* the text's own memory ends with the row */
		items->cause = MemoryContextStrdup(GetMemoryChunkContext(items->inputs), fault);
	}
	items->item.keyed = false;
}

/* A row of what reads: an item; or the text of an object of S3, a string, which has items in it. */
static void
add_row(Jsonb *value, int64 index, void *arg)
{
	Items	   *items = arg;
	const SagaResource *asked = items->action->map->reader;

	if (value != NULL && JB_ROOT_IS_SCALAR(value) && asked->kind == SAGA_RES_OTHER &&
		strcmp(asked->name, SAGA_S3_GET_OBJECT) == 0)
	{
		JsonbValue *scalar = getIthJsonbValueFromContainer(&value->root, 0);

		if (scalar->type == jbvString)
		{
			add_text(items, scalar);
			return;
		}
	}
	add_item(items, value);
}

/* "schema.name", quoted as a statement needs it. */
char *
saga_engine_quoted_name(const char *text)
{
	const char *dot = strchr(text, '.');

	if (dot == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" has no schema", text),
				 errhint("Write schema.name.")));
	return quote_qualified_identifier(pnstrdup(text, dot - text), dot + 1);
}

/* What the items are read with: a function that returns a set, or a table. */
static char *
reader_query(const SagaMapCall *map, const SagaResource *reader)
{
	char	   *table;
	char	   *order;

	if (reader->kind == SAGA_RES_SQL)
		return psprintf("SELECT pg_catalog.to_jsonb(item) FROM %s($1) AS item", saga_engine_quoted_name(reader->name));
	table = map->reader_input != NULL ? saga_jsonb_get_string(map->reader_input, "Table") : NULL;
	order = map->reader_input != NULL ? saga_jsonb_get_string(map->reader_input, "OrderBy") : NULL;
	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ItemReader names no Table in its Parameters or Arguments")));
	return psprintf("SELECT pg_catalog.to_jsonb(item) FROM %s AS item%s%s", saga_engine_quoted_name(table),
					order != NULL ? " ORDER BY item." : "", order != NULL ? quote_identifier(order) : "");
}

/* What $$.Map.Item.Source says of items that are read: as AWS has it for S3, else the Resource. */
static const char *
source_of(const SagaMapCall *map)
{
	char	   *bucket = map->reader_input != NULL ? saga_jsonb_get_string(map->reader_input, "Bucket") : NULL;
	char	   *key = map->reader_input != NULL ? saga_jsonb_get_string(map->reader_input, "Key") : NULL;

	if (map->reader == NULL)
		return SAGA_STATE_DATA;
	if (map->reader->kind != SAGA_RES_OTHER || bucket == NULL)
		return map->reader->text;
	return psprintf("S3://%s%s%s", bucket, key != NULL ? "/" : "", key != NULL ? key : "");
}

/* Stores the items that are read. */
static void
read_items(Items *items)
{
	const SagaMapCall *map = items->action->map;
	Jsonb	   *input = map->reader_input != NULL ? map->reader_input : saga_jsonb_empty_object();
	bool		is_function = items->reader->kind == SAGA_RES_SQL;

	/* a text has many items, which are counted here */
	saga_step_query(reader_query(map, items->reader), input, is_function,
					map->reader->kind == SAGA_RES_OTHER ? 0 : map->max_items, add_row, items);
}

/* A Map that fails while its items are stored has none: nothing is rolled back for that. */
static void
forget_items(const SagaChildren *children)
{
	static SagaStatement stmt = {.sql = "DELETE FROM saga.map_item WHERE children_id = $children_id"};

	saga_run(&stmt, saga_param_uuid("children_id", &children->children_id));
}

/* For saga_engine_task_guarded(). */
typedef struct BeginMap
{
	SagaChildren *children;
	const SagaResource *reader;
} BeginMap;

/* Stores the items, and the row of their executions.  NULL and *error: the Map fails. */
static Jsonb *
begin_map(SagaJob *job, const SagaAction *action, void *arg, const char **error, char **cause)
{
	BeginMap   *begin = arg;
	SagaChildren *children = begin->children;
	Items		items = {.job = job, .action = action, .children = children, .reader = begin->reader};
	const SagaMapCall *map = action->map;

	items.item.keyed = map->keyed;
	items.item.source = source_of(map);
	children->children = children->items = 0;
	items.item_context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga item", ALLOCSET_DEFAULT_SIZES);
	items.batch_context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga batch of items", ALLOCSET_DEFAULT_SIZES);
	items.chunk_context = AllocSetContextCreate(CurrentMemoryContext, "pg_saga items", ALLOCSET_DEFAULT_SIZES);
	items.inputs = palloc(sizeof(Datum) * CHUNK_INPUTS);
	items.counts = palloc(sizeof(Datum) * CHUNK_INPUTS);
	if (map->items != NULL)
		add_array(&items, map->items);
	else
		read_items(&items);
	if (items.error == NULL)
	{
		end_batch(&items);
		write_chunk(&items);
	}
	MemoryContextDelete(items.item_context);
	MemoryContextDelete(items.batch_context);
	MemoryContextDelete(items.chunk_context);
	if (items.error != NULL)
	{
		forget_items(children);
		*error = items.error;
		*cause = unconstify(char *, items.cause);
		return NULL;
	}
	return saga_jsonb_empty_object();
}

/* How many of the items may fail: as many as the stricter of the two limits lets. */
static int64
tolerated(const SagaMapCall *map, int64 items)
{
	int64		result = map->tolerated_count >= 0 || map->tolerated_percentage >= 0 ? items : 0;

	if (map->tolerated_count >= 0)
		result = Min(result, map->tolerated_count);
	if (map->tolerated_percentage >= 0)
		result = Min(result, (int64) (items * map->tolerated_percentage / 100.0));
	return result;
}

void
saga_engine_map_run_start(SagaBatch *batch, SagaJob *job, const SagaAction *action)
{
	const SagaMapCall *map = action->map;
	SagaChildren children = {0};
	BeginMap	begin = {.children = &children, .reader = map->reader};
	const char *error = NULL;
	char	   *cause = NULL;

	if (map->max_items < 0)
	{
		saga_engine_task_answer(job, action, NULL, "States.ItemReaderFailed", "field MaxItems must be positive");
		return;
	}
	if (map->reader != NULL && map->reader->kind == SAGA_RES_OTHER)
	{
		begin.reader = saga_engine_task_binding(job, map->reader->name, false);
		if (begin.reader == NULL || begin.reader->kind != SAGA_RES_SQL)
		{
			saga_engine_task_answer(job, action, NULL, "States.ItemReaderFailed",
									psprintf("\"%s\" stands for no function here: SELECT saga.bind_resource(%s, 'sql:schema.function');",
											 map->reader->name, quote_literal_cstr(map->reader->name)));
			return;
		}
	}
	children.children_id = saga_uuid_new();
	children.parent_id = job->execution_id;
	children.task_id = action->task_id;
	children.call_id = action->call_id;
	children.parent_workflow_id = children.workflow_id = job->queue->queue_id;
	children.version = job->version;
	children.map_state = unconstify(char *, action->state_name);
	children.name = unconstify(char *, map->name);
	children.concurrency = (int) map->concurrency;
	if (map->writer != NULL)
		children.writer = map->writer_input != NULL ? map->writer_input : saga_jsonb_empty_object();
	if (saga_engine_task_guarded(batch, job, action, begin_map, &begin, &error, &cause) == NULL)
	{
		/* what reading raises has a name at AWS */
		if (map->reader != NULL && error != NULL && strncmp(error, "SQL.", 4) == 0)
		{
			cause = psprintf("%s (%s)", cause != NULL ? cause : "", error);
			error = "States.ItemReaderFailed";
		}
		saga_engine_task_answer(job, action, NULL, error, cause);
		return;
	}
	children.tolerated = tolerated(map, children.items);
	saga_children_take_over(&children, action->redrives);
	saga_children_insert(&children);
	saga_children_send(&children, saga_jsonb_empty_object(), 0);
	saga_run_task_parked(job->run, action->task_id, NULL, GetCurrentTimestamp());
}
