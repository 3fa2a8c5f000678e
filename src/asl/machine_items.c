/*
 * machine_items.c
 *		Compiles what a distributed Map says of its items: where they come from,
 *		how they are put together, where their results go.
 *
 * The test of a state alone reads and writes nothing: what it names there may
 * be anything.
 */
#include "postgres.h"

#include "asl/check_private.h"

/* The object at a field of a Map; false: there is none, or it is no object. */
static bool
items_field(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at,
			const char *name, JsonbValue *result)
{
	if (!saga_asl_member(object, name, result))
		return false;
	if (!state->map->distributed && !check->testing)
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT,
								"Field is only supported when 'Mode' is DISTRIBUTED");
	else if (!saga_asl_is_object(result))
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT, "Expected value of type Object");
	else
		return true;
	return false;
}

/* Does it read from S3?  That stands for what it is bound to (saga.bind_resource). */
static bool
reads_s3(const char *text)
{
	return strcmp(text, SAGA_S3_GET_OBJECT) == 0 || strcmp(text, SAGA_S3_LIST_OBJECTS) == 0;
}

/* Its Resource; NULL: it has none of those that stand for items here. */
static SagaResource *
items_resource(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, bool reads)
{
	/* at AWS a ResultWriter may only say how results are written */
	bool		required = reads || !check->testing;
	char	   *text = saga_check_string(check, object, at, "Resource", required);
	SagaResource *resource = palloc0(sizeof(SagaResource));

	if (text == NULL && required)
		return NULL;
	if (text == NULL)
		text = "";
	if (strcmp(text, "saga:table") == 0 || check->testing || (reads && reads_s3(text)))
	{
		resource->kind = reads && reads_s3(text) ? SAGA_RES_OTHER : SAGA_RES_TABLE;
		resource->name = resource->text = text;
		return resource;
	}
	if (reads && saga_resource_parse(text, resource) && resource->kind == SAGA_RES_SQL && !resource->wait_for_token)
		return resource;
	saga_check_member_error(check, at, "Resource", SAGA_SCHEMA_FAULT,
							!reads && strcmp(text, SAGA_S3_PUT_OBJECT) == 0 ?
							"The resource provided %s is not supported; results go to a table: "
							"\"ResultWriter\": {\"Resource\": \"%s\", \"Parameters\": {\"Table\": \"schema.table\"}}" :
							"The resource provided %s is not supported; supported: %s", text,
							reads ? "sql:schema.function, saga:table, " SAGA_S3_GET_OBJECT ", " SAGA_S3_LIST_OBJECTS
							: "saga:table");
	return NULL;
}

/* A field with a path, which a JSONata state has none of. */
static void
check_path_member(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, const char *name,
				  SagaPathField *field)
{
	JsonbValue	value;

	if (!check->jsonata)
		saga_check_path(check, object, at, name, false, false, field);
	else if (saga_asl_member(object, name, &value))
		saga_check_member_error(check, at, name, SAGA_SCHEMA_FAULT,
								"Field is not supported when 'QueryLanguage' is JSONata");
}

/* CSVDelimiter is a word. */
static char
compile_delimiter(SagaCheck *check, const JsonbValue *config, const SagaLocation *at)
{
	static const char *const words[] = {"COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB"};
	char	   *text = saga_check_string(check, config, at, "CSVDelimiter", false);
	int			i;

	for (i = 0; text != NULL && i < lengthof(words); i++)
	{
		if (strcmp(text, words[i]) == 0)
			return ",|; \t"[i];
	}
	if (text != NULL)
		saga_check_member_error(check, at, "CSVDelimiter", SAGA_SCHEMA_FAULT,
								"The field 'CSVDelimiter' should have one of these values: [COMMA, PIPE, SEMICOLON, SPACE, TAB]");
	return ',';
}

/* CSVHeaderLocation, and CSVHeaders where it says that they are given. */
static void
compile_headers(SagaCheck *check, SagaReaderConfig *reader, const JsonbValue *config, const SagaLocation *at)
{
	SagaLocation list_at = {.up = at, .name = "CSVHeaders"};
	char	   *where = saga_check_string(check, config, at, "CSVHeaderLocation", false);
	JsonbValue	list;
	int			i;

	if (where != NULL && strcmp(where, "FIRST_ROW") != 0 && strcmp(where, "GIVEN") != 0)
		saga_check_member_error(check, at, "CSVHeaderLocation", SAGA_SCHEMA_FAULT,
								"The field 'CSVHeaderLocation' should have one of these values: [FIRST_ROW, GIVEN]");
	if (where == NULL || strcmp(where, "GIVEN") != 0 || !saga_check_array(check, config, at, "CSVHeaders", &list))
		return;
	for (i = 0; i < JsonContainerSize(list.val.binary.data); i++)
	{
		JsonbValue *name = getIthJsonbValueFromContainer(list.val.binary.data, i);

		if (name->type == jbvString)
			reader->csv_headers = lappend(reader->csv_headers, saga_asl_string_of(name));
		else
			saga_check_error(check, &list_at, SAGA_SCHEMA_FAULT, "Expected values of type String");
	}
}

/*
 * ReaderConfig of the ItemReader at "up".  What is said of a text is for those
 * that read an object of S3; a function or a table gives items.
 */
static void
compile_reader_config(SagaCheck *check, SagaMapFields *map, const JsonbValue *reader, const SagaLocation *up)
{
	static const char *const known[] = {
		"MaxItems", "MaxItemsPath", "InputType", "Transformation", "ManifestType", "CSVDelimiter", "CSVHeaderLocation",
		"CSVHeaders", "ItemsPointer"
	};
	SagaLocation at = {.up = up, .name = "ReaderConfig"};
	bool		of_text = check->testing || map->reader == NULL || map->reader->kind == SAGA_RES_OTHER;
	SagaReaderConfig *text = &map->reader_config;
	JsonbValue	config;

	text->csv_delimiter = ',';
	if (!saga_asl_member(reader, "ReaderConfig", &config))
		return;
	if (!saga_asl_is_object(&config))
	{
		saga_check_error(check, &at, SAGA_SCHEMA_FAULT, "Expected value of type Object");
		return;
	}
	saga_check_known(check, &config, &at, known, of_text ? lengthof(known) : 2);
	saga_check_pair(check, &config, &at, "MaxItems", "MaxItemsPath");
	(void) saga_check_count(check, &config, &at, "MaxItems", 0, PG_INT32_MAX, &map->max_items, &map->max_items_path);
	check_path_member(check, &config, &at, "MaxItemsPath", &map->max_items_path);
	if (!of_text)
		return;
	text->input_type = saga_check_string(check, &config, &at, "InputType", false);
	text->csv_delimiter = compile_delimiter(check, &config, &at);
	compile_headers(check, text, &config, &at);
	text->items_pointer = saga_check_string(check, &config, &at, "ItemsPointer", false);
}

/* {"Resource", "Parameters", "ReaderConfig"} */
static void
compile_reader(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at)
{
	const char *arguments = check->jsonata ? "Arguments" : "Parameters";
	const char *known[] = {"Resource", arguments, "ReaderConfig"};
	SagaMapFields *map = state->map;
	SagaLocation here = {.up = at, .name = "ItemReader"};
	JsonbValue	reader;
	JsonbValue	value;

	if (!items_field(check, state, object, at, "ItemReader", &reader))
		return;
	saga_check_known(check, &reader, &here, known, lengthof(known));
	map->reader = items_resource(check, &reader, &here, true);
	map->reader_parameters = saga_check_payload(check, &reader, &here, arguments, SAGA_SEES_INPUT);
	/* AWS looks at no ItemsPath then */
	if (map->reader != NULL && map->reader->kind == SAGA_RES_SQL &&
		saga_asl_member(object, check->jsonata ? "Items" : "ItemsPath", &value))
		saga_check_error(check, at, SAGA_SCHEMA_FAULT, "Only one of these fields is allowed: [ItemReader, %s]",
						 check->jsonata ? "Items" : "ItemsPath");
	compile_reader_config(check, map, &reader, &here);
}

/* {"MaxItemsPerBatch", "MaxInputBytesPerBatch", "BatchInput"} */
static void
compile_batcher(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at)
{
	static const char *const known[] = {
		"MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath", "BatchInput"
	};
	SagaMapFields *map = state->map;
	SagaLocation here = {.up = at, .name = "ItemBatcher"};
	JsonbValue	batcher;

	if (!items_field(check, state, object, at, "ItemBatcher", &batcher))
		return;
	map->batches = true;
	saga_check_known(check, &batcher, &here, known, lengthof(known));
	saga_check_pair(check, &batcher, &here, "MaxItemsPerBatch", "MaxItemsPerBatchPath");
	saga_check_pair(check, &batcher, &here, "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath");
	(void) saga_check_count(check, &batcher, &here, "MaxItemsPerBatch", 1, PG_INT32_MAX, &map->batch_items,
							&map->batch_items_path);
	(void) saga_check_count(check, &batcher, &here, "MaxInputBytesPerBatch", 1, PG_INT32_MAX, &map->batch_bytes,
							&map->batch_bytes_path);
	check_path_member(check, &batcher, &here, "MaxItemsPerBatchPath", &map->batch_items_path);
	check_path_member(check, &batcher, &here, "MaxInputBytesPerBatchPath", &map->batch_bytes_path);
	map->batch_input = saga_check_payload(check, &batcher, &here, "BatchInput", SAGA_SEES_INPUT);
	if (map->batch_items == 0 && map->batch_bytes == 0 && !SAGA_FIELD_IS_DYNAMIC(&map->batch_items_path) &&
		!SAGA_FIELD_IS_DYNAMIC(&map->batch_bytes_path))
		saga_check_error(check, &here, SAGA_SCHEMA_FAULT,
						 "One of these fields is required: [MaxItemsPerBatch, MaxInputBytesPerBatch]");
}

/* {"Resource", "Parameters"} */
static void
compile_writer(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at)
{
	const char *arguments = check->jsonata ? "Arguments" : "Parameters";
	const char *known[] = {"Resource", arguments, "WriterConfig"};
	SagaLocation here = {.up = at, .name = "ResultWriter"};
	JsonbValue	writer;

	if (!items_field(check, state, object, at, "ResultWriter", &writer))
		return;
	saga_check_known(check, &writer, &here, known, check->testing ? lengthof(known) : 2);
	state->map->writer = items_resource(check, &writer, &here, false);
	state->map->writer_parameters = saga_check_payload(check, &writer, &here, arguments, SAGA_SEES_INPUT);
}

/* The fields of a Map that only a distributed one has; its mode is known. */
void
saga_compile_items(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at)
{
	compile_reader(check, state, object, at);
	compile_batcher(check, state, object, at);
	compile_writer(check, state, object, at);
}
