/*
 * test_state_map.c
 *		What a test sees of a Map: its items, what is made of them, and how
 *		many may fail.  Nothing inside the Map is run.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "asl/test_state_private.h"
#include "value/doc.h"

#define SAGA_THRESHOLD_EXCEEDED	"States.ExceedToleratedFailureThreshold"

/* ---------- what is made of the items ---------- */

/* An item whose input is selected. */
typedef struct SagaPicked
{
	Jsonb	   *context;		/* of the test */
	Jsonb	   *item;			/* what there is of the item beside it */
} SagaPicked;

/* For SagaScope: the context of the test, with the item in it. */
static Jsonb *
picked_context(void *arg, const JsonbValue *member)
{
	SagaPicked *picked = arg;

	if (member == NULL)
		return saga_doc_merge(picked->context, picked->item);
	if (member->val.string.len == 3 && memcmp(member->val.string.val, "Map", 3) == 0)
		return picked->item;
	return picked->context;
}

static Jsonb *
select_item(SagaTest *test, const SagaMapItem *item, SagaFault *fault)
{
	SagaPicked	picked = {.context = test->context, .item = saga_test_item(item)};
	SagaScope	scope;

	saga_scope_init(test->run, test->thread, test->thread->data, &scope);
	scope.context = picked_context;
	scope.context_arg = &picked;
	return saga_asl_payload_eval(test->run, test->thread, test->state->map->item_selector, &scope, SAGA_SEES_INPUT, fault);
}

/* The input of each item, as ItemSelector makes it; NULL and a fault when it fails. */
static Jsonb *
select_items(SagaTest *test, Jsonb *items, bool keyed, SagaFault *fault)
{
	JsonbParseState *state = NULL;
	SagaMapItem item = {.keyed = keyed, .source = test->reader_data != NULL ? NULL : SAGA_STATE_DATA};

	if (test->state->map->item_selector == NULL)
		return items;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (; item.index < saga_test_count(items); item.index++)
	{
		Jsonb	   *input;

		item.value = saga_test_element(items, (int) item.index);
		input = select_item(test, &item, fault);
		CHECK_FOR_INTERRUPTS();
		if (input == NULL)
			return NULL;
		saga_jsonb_push(&state, WJB_ELEM, input);
	}
	test->found.after_item_selector = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
	return test->found.after_item_selector;
}

/* {"BatchInput": ..., "Items": [from, to)} */
static Jsonb *
make_batch(Jsonb *items, int from, int to, Jsonb *input)
{
	JsonbParseState *state = NULL;
	int			i;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (input != NULL)
		saga_doc_push_jsonb(&state, "BatchInput", input);
	saga_jsonb_push_key(&state, "Items");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (i = from; i < to; i++)
		saga_jsonb_push(&state, WJB_ELEM, saga_test_element(items, i));
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Where the batch that begins at "from" ends: before the limits are passed, but with one item at least. */
static int
batch_end(Jsonb *items, int from, int64 most_items, int64 most_bytes, Jsonb *input)
{
	int			count = saga_test_count(items);
	int64		bytes = most_bytes > 0 ? strlen(saga_jsonb_to_cstring(make_batch(items, from, from, input))) : 0;
	int			to;

	for (to = from; to < count && (most_items <= 0 || to - from < most_items); to++)
	{
		if (most_bytes > 0)
		{
			/* the comma between two items counts */
			bytes += strlen(saga_jsonb_to_cstring(saga_test_element(items, to))) + (to > from ? 1 : 0);
			if (bytes > most_bytes && to > from)
				break;
		}
	}
	return to;
}

/* ItemBatcher: the items in groups, whose inputs are noted.  False, and a fault: it fails. */
static bool
batch_items(SagaTest *test, Jsonb *items, SagaFault *fault)
{
	const SagaMapFields *fields = test->state->map;
	int64		most_items = fields->batch_items;
	int64		most_bytes = fields->batch_bytes;
	JsonbParseState *state = NULL;
	Jsonb	   *input = NULL;
	int			from = 0;

	if (!fields->batches)
		return true;
	if (!saga_asl_map_count(test->run, test->thread, &fields->batch_items_path, "MaxItemsPerBatchPath", &most_items, fault) ||
		!saga_asl_map_count(test->run, test->thread, &fields->batch_bytes_path, "MaxInputBytesPerBatchPath", &most_bytes, fault))
		return false;
	if (fields->batch_input != NULL)
	{
		input = saga_asl_payload_apply(test->run, test->thread, fields->batch_input, test->thread->data, SAGA_SEES_INPUT, fault);
		if (input == NULL)
			return false;
	}
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	while (from < saga_test_count(items))
	{
		int			to = batch_end(items, from, most_items, most_bytes, input);

		CHECK_FOR_INTERRUPTS();
		saga_jsonb_push(&state, WJB_ELEM, make_batch(items, from, to, input));
		from = to;
	}
	test->found.after_item_batcher = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
	return true;
}

/* ---------- the state ---------- */

/* The items as they come from the state's input or from the reader. */
static Jsonb *
find_items(SagaTest *test, bool *keyed, SagaFault *fault)
{
	Jsonb	   *items;

	if (test->reader_data != NULL)
		return saga_test_read_items(test, keyed, fault);
	items = saga_asl_map_items(test->run, test->thread, keyed, fault);
	if ((items == NULL || *keyed) && test->state->map->reader != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("state \"%s\" reads its items, and there are none in its input", test->state->name),
				 errhint("Give what the ItemReader reads as \"mapItemReaderData\", in \"stateConfiguration\" of the options.")));
	/* as recorded at AWS, there is nothing of a JSONata state's */
	if (!test->state->jsonata)
		test->found.after_items_path = items;
	return items;
}

/* MaxConcurrency and the limits of failure; false and a fault: one of them is at a path, and wrong. */
static bool
find_limits(SagaTest *test, SagaFault *fault)
{
	const SagaMapFields *fields = test->state->map;
	int64		count = fields->tolerated_count;
	double		percentage = fields->tolerated_percentage;

	if (!saga_asl_map_count(test->run, test->thread, &fields->tolerated_count_path, "ToleratedFailureCountPath", &count, fault))
		return false;
	test->found.tolerated_count = count;
	if (!saga_asl_map_percentage(test->run, test->thread, &percentage, fault))
		return false;
	test->found.tolerated_percentage = percentage;
	return true;
}

/* Are more items said to have failed than may? */
static bool
is_over_threshold(const SagaTest *test, int size)
{
	const SagaInspection *found = &test->found;

	if (found->tolerated_count >= 0 && test->failed_items > found->tolerated_count)
		return true;
	return found->tolerated_percentage >= 0 && size > 0 &&
		test->failed_items * 100.0 / size > found->tolerated_percentage;
}

/* The end of what is inside the Map: as the mock says, unless too many items are said to have failed. */
static SagaTransition
end_map(SagaTest *test, int size)
{
	SagaFailure failure = {.error = test->mock.error, .cause = test->mock.cause, .of_item = true};

	if (test->failed_items > size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"mapIterationFailureCount\" is greater than the number of items"),
				 errdetail("It is " INT64_FORMAT ", and the items of state \"%s\" are %d.", test->failed_items, test->state->name, size)));
	if (is_over_threshold(test, size))
	{
		failure.error = SAGA_THRESHOLD_EXCEEDED;
		failure.cause = "The specified tolerated failure threshold was exceeded";
	}
	else if (test->mock.result != NULL)
		return saga_next_complete(test->thread, test->mock.result);
	return saga_next_fail(test->thread, &failure);
}

/* The Map, whose InputPath is done; each thing is looked at in the order in which a run does it. */
SagaTransition
saga_test_map(SagaTest *test)
{
	const SagaMapFields *fields = test->state->map;
	SagaFault	fault = {0};
	int64		concurrency = fields->max_concurrency;
	bool		keyed = false;
	Jsonb	   *items;
	Jsonb	   *inputs;

	if (!saga_asl_map_count(test->run, test->thread, &fields->max_concurrency_path, "MaxConcurrencyPath", &concurrency, &fault))
		return saga_next_fault(test->thread, &fault);
	test->found.max_concurrency = concurrency;
	items = find_items(test, &keyed, &fault);
	if (items == NULL || !find_limits(test, &fault))
		return saga_next_fault(test->thread, &fault);
	inputs = select_items(test, items, keyed, &fault);
	if (inputs == NULL || !batch_items(test, inputs, &fault))
		return saga_next_fault(test->thread, &fault);
	return end_map(test, saga_test_count(items));
}
