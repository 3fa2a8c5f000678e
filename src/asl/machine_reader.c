/*
 * machine_reader.c
 *		Compiles what only a distributed Map has: where its items are read
 *		from, how they go together in batches, where results are written.
 *
 * This is for the test of a state alone, which reads nothing: a definition may
 * name there whatever AWS reads.  What an execution can read is in
 * machine_items.c.
 */
#include "postgres.h"

#include "asl/check_private.h"

/* The object in the field "name"; false: there is none. */
static bool
saga_object_field(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, JsonbValue *result)
{
	if (!saga_member(object, at->name, result))
		return false;
	if (saga_is_object(result))
		return true;
	saga_check_error(check, at, SAGA_SCHEMA_FAULT, "Expected value of type Object");
	return false;
}

/* CSVDelimiter is a word. */
static char
saga_compile_delimiter(SagaCheck *check, const JsonbValue *config, const SagaLocation *at)
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
saga_compile_headers(SagaCheck *check, SagaReaderFields *fields, const JsonbValue *config, const SagaLocation *at)
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
			fields->csv_headers = lappend(fields->csv_headers, saga_string_of(name));
		else
			saga_check_error(check, &list_at, SAGA_SCHEMA_FAULT, "Expected values of type String");
	}
}

/* ReaderConfig of the ItemReader at "up". */
static void
saga_compile_reader_config(SagaCheck *check, SagaReaderFields *fields, const JsonbValue *reader, const SagaLocation *up)
{
	static const char *const known[] = {
		"InputType", "Transformation", "ManifestType", "CSVDelimiter", "CSVHeaderLocation", "CSVHeaders",
		"MaxItems", "MaxItemsPath", "ItemsPointer"
	};
	SagaLocation at = {.up = up, .name = "ReaderConfig"};
	JsonbValue	config;

	if (!saga_object_field(check, reader, &at, &config))
		return;
	saga_check_known(check, &config, &at, known, lengthof(known));
	saga_check_pair(check, &config, &at, "MaxItems", "MaxItemsPath");
	fields->input_type = saga_check_string(check, &config, &at, "InputType", false);
	fields->csv_delimiter = saga_compile_delimiter(check, &config, &at);
	saga_compile_headers(check, fields, &config, &at);
	fields->items_pointer = saga_check_string(check, &config, &at, "ItemsPointer", false);
	(void) saga_check_integer(check, &config, &at, "MaxItems", 0, PG_INT32_MAX, &fields->max_items);
	saga_check_path(check, &config, &at, "MaxItemsPath", false, false, &fields->max_items_path);
}

static void
saga_compile_item_reader(SagaCheck *check, SagaReaderFields *fields, const JsonbValue *object, const SagaLocation *up)
{
	static const char *const known[] = {"Resource", "Parameters", "ReaderConfig"};
	SagaLocation at = {.up = up, .name = "ItemReader"};
	JsonbValue	reader;

	if (!saga_object_field(check, object, &at, &reader))
		return;
	fields->reads = true;
	saga_check_known(check, &reader, &at, known, lengthof(known));
	(void) saga_check_string(check, &reader, &at, "Resource", true);
	fields->parameters = saga_check_template(check, &reader, &at, "Parameters");
	saga_compile_reader_config(check, fields, &reader, &at);
}

static void
saga_compile_batcher(SagaCheck *check, SagaReaderFields *fields, const JsonbValue *object, const SagaLocation *up)
{
	static const char *const known[] = {
		"MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath", "BatchInput"
	};
	SagaLocation at = {.up = up, .name = "ItemBatcher"};
	JsonbValue	batcher;

	if (!saga_object_field(check, object, &at, &batcher))
		return;
	fields->batches = true;
	saga_check_known(check, &batcher, &at, known, lengthof(known));
	saga_check_pair(check, &batcher, &at, "MaxItemsPerBatch", "MaxItemsPerBatchPath");
	saga_check_pair(check, &batcher, &at, "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath");
	(void) saga_check_integer(check, &batcher, &at, "MaxItemsPerBatch", 1, PG_INT32_MAX, &fields->batch_items);
	saga_check_path(check, &batcher, &at, "MaxItemsPerBatchPath", false, false, &fields->batch_items_path);
	(void) saga_check_integer(check, &batcher, &at, "MaxInputBytesPerBatch", 1, PG_INT32_MAX, &fields->batch_bytes);
	saga_check_path(check, &batcher, &at, "MaxInputBytesPerBatchPath", false, false, &fields->batch_bytes_path);
	fields->batch_input = saga_check_template(check, &batcher, &at, "BatchInput");
}

/* These fields of a Map whose others are compiled. */
void
saga_compile_tested(SagaCheck *check, SagaState *state, const JsonbValue *object, const SagaLocation *at)
{
	SagaReaderFields *fields = palloc0(sizeof(SagaReaderFields));
	SagaLocation writer_at = {.up = at, .name = "ResultWriter"};
	JsonbValue	value;

	state->map->tested = fields;
	saga_compile_item_reader(check, fields, object, at);
	saga_compile_batcher(check, fields, object, at);
	fields->writes = saga_object_field(check, object, &writer_at, &value);
}
