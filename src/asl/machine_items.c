/*
 * machine_items.c
 *		Compiles what a distributed Map says of its items: where they come from,
 *		how they are put together, where their results go.
 */
#include "postgres.h"

#include "asl/check_private.h"

/* The object at a field of a Map; false: there is none, or it is no object. */
static bool
saga_items_field(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at,
				 const char *name, JsonbValue *result)
{
	if (!saga_member(object, name, result))
		return false;
	if (!state->map->distributed)
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT,
								"Field is only supported when 'Mode' is DISTRIBUTED");
	else if (!saga_is_object(result))
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT, "Expected value of type Object");
	else
		return true;
	return false;
}

/* Its Resource; NULL: it has none of those that stand for items here. */
static SagaResource *
saga_items_resource(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, bool reads)
{
	char	   *text = saga_check_string(check, object, at, "Resource", true);
	SagaResource *resource = palloc0(sizeof(SagaResource));

	if (text == NULL)
		return NULL;
	if (strcmp(text, "saga:table") == 0)
	{
		resource->kind = SAGA_RES_TABLE;
		resource->name = resource->text = text;
		return resource;
	}
	if (reads && saga_resource_parse(text, resource) && resource->kind == SAGA_RES_SQL && !resource->wait_for_token)
		return resource;
	saga_check_member_error(check, at, "Resource", SAGA_SCHEMA_FAULT,
							"The resource provided %s is not supported; supported: %s", text,
							reads ? "sql:schema.function, saga:table" : "saga:table");
	return NULL;
}

/* {"Resource", "Parameters", "ReaderConfig": {"MaxItems"}} */
static void
saga_compile_reader(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at)
{
	static const char *const known[] = {"Resource", "Parameters", "ReaderConfig"};
	static const char *const known_config[] = {"MaxItems", "MaxItemsPath"};
	SagaMapFields *map = state->map;
	SagaLocation here = {.up = at, .name = "ItemReader"};
	SagaLocation config_at = {.up = &here, .name = "ReaderConfig"};
	JsonbValue	reader;
	JsonbValue	config;

	if (!saga_items_field(check, state, object, at, "ItemReader", &reader))
		return;
	saga_check_known(check, &reader, &here, known, lengthof(known));
	map->reader = saga_items_resource(check, &reader, &here, true);
	map->reader_parameters = saga_check_template(check, &reader, &here, "Parameters");
	if (saga_member(object, "ItemsPath", &config))
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "Only one of these fields is allowed: [ItemReader, ItemsPath]");
	if (!saga_member(&reader, "ReaderConfig", &config))
		return;
	if (!saga_is_object(&config))
	{
		saga_check_error(check, &config_at, SAGA_SCHEMA_FAULT, "Expected value of type Object");
		return;
	}
	saga_check_known(check, &config, &config_at, known_config, lengthof(known_config));
	saga_check_pair(check, &config, &config_at, "MaxItems", "MaxItemsPath");
	(void) saga_check_integer(check, &config, &config_at, "MaxItems", 1, PG_INT32_MAX, &map->max_items);
	saga_check_path(check, &config, &config_at, "MaxItemsPath", false, false, &map->max_items_path);
}

/* {"MaxItemsPerBatch", "MaxInputBytesPerBatch", "BatchInput"} */
static void
saga_compile_batcher(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at)
{
	static const char *const known[] = {
		"MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath", "BatchInput"
	};
	SagaMapFields *map = state->map;
	SagaLocation here = {.up = at, .name = "ItemBatcher"};
	JsonbValue	batcher;

	if (!saga_items_field(check, state, object, at, "ItemBatcher", &batcher))
		return;
	saga_check_known(check, &batcher, &here, known, lengthof(known));
	saga_check_pair(check, &batcher, &here, "MaxItemsPerBatch", "MaxItemsPerBatchPath");
	saga_check_pair(check, &batcher, &here, "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath");
	(void) saga_check_integer(check, &batcher, &here, "MaxItemsPerBatch", 1, PG_INT32_MAX, &map->batch_items);
	(void) saga_check_integer(check, &batcher, &here, "MaxInputBytesPerBatch", 1, PG_INT32_MAX, &map->batch_bytes);
	saga_check_path(check, &batcher, &here, "MaxItemsPerBatchPath", false, false, &map->batch_items_path);
	saga_check_path(check, &batcher, &here, "MaxInputBytesPerBatchPath", false, false, &map->batch_bytes_path);
	map->batch_input = saga_check_template(check, &batcher, &here, "BatchInput");
	if (map->batch_items == 0 && map->batch_bytes == 0 && map->batch_items_path.path == NULL &&
		map->batch_bytes_path.path == NULL)
		saga_check_error(check, &here, SAGA_SCHEMA_FAULT,
						 "One of these fields is required: [MaxItemsPerBatch, MaxInputBytesPerBatch]");
}

/* {"Resource", "Parameters"} */
static void
saga_compile_writer(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at)
{
	static const char *const known[] = {"Resource", "Parameters"};
	SagaLocation here = {.up = at, .name = "ResultWriter"};
	JsonbValue	writer;

	if (!saga_items_field(check, state, object, at, "ResultWriter", &writer))
		return;
	saga_check_known(check, &writer, &here, known, lengthof(known));
	state->map->writer = saga_items_resource(check, &writer, &here, false);
	state->map->writer_parameters = saga_check_template(check, &writer, &here, "Parameters");
}

/* The fields of a Map that only a distributed one has; its mode is known. */
void
saga_compile_items(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at)
{
	saga_compile_reader(check, state, object, at);
	saga_compile_batcher(check, state, object, at);
	saga_compile_writer(check, state, object, at);
}
