/*
 * run_map.c
 *		What a Map does: its processor once for each item, several at a time.
 *
 * The fork of a Map has a place for each item, but a thread only for those
 * that run: an item is taken up when another one ends.  An item that fails is
 * the failure of the Map, unless it is tolerated; then it is like a run of its
 * own that has failed: what it did is undone at once, whatever becomes of the
 * others.
 */
#include "postgres.h"

#include "asl/run_private.h"
#include "value/doc.h"

/* More items do not run at once, whatever MaxConcurrency says; as at AWS. */
#define SAGA_MAX_CONCURRENCY	40

/* ---------- fields of the state ---------- */

/* AWS's words for a field with a path to a value of another type. */
static void
saga_map_value_fault(SagaFault *fault, const char *name, const SagaPathField *field, Jsonb *value, const char *what)
{
	JsonbValue	scalar;
	char	   *text;

	if (saga_jsonb_scalar(value, &scalar) && scalar.type == jbvString)
		text = pnstrdup(scalar.val.string.val, scalar.val.string.len);
	else
		text = saga_jsonb_to_cstring(value);
	fault->error = "States.Runtime";
	fault->cause = psprintf("The %s field refers to value \"%s\" which is not a valid %s: %s",
							name, text, what, field->text);
}

/* The value at a field's path; NULL and a fault: there is none. */
static Jsonb *
saga_map_value(SagaRun *run, SagaThread *thread, const SagaPathField *field, const char *name, SagaFault *fault)
{
	SagaScope	scope;

	saga_scope_init(run, thread, thread->data, &scope);
	return saga_path_eval_field(field->path, name, &scope, fault);
}

/* A count that is fixed or at a path.  It is left alone when there is no path. */
static bool
saga_map_count(SagaRun *run, SagaThread *thread, const SagaPathField *field, const char *name, int64 *count,
			   SagaFault *fault)
{
	Jsonb	   *value;
	JsonbValue	scalar;
	SagaNumberFault number = SAGA_NUMBER_NO_NUMBER;

	if (field->path == NULL)
		return true;
	value = saga_map_value(run, thread, field, name, fault);
	if (value == NULL)
		return false;
	if (saga_jsonb_scalar(value, &scalar))
		number = saga_number_to_int64(&scalar, 0, PG_INT32_MAX, count);
	if (number == SAGA_NUMBER_OK)
		return true;
	saga_map_value_fault(fault, name, field, value, "integer");
	return false;
}

/* ToleratedFailurePercentage, the same way. */
static bool
saga_map_percentage(SagaRun *run, SagaThread *thread, double *percentage, SagaFault *fault)
{
	const SagaPathField *field = &thread->state->map->tolerated_percentage_path;
	Jsonb	   *value;
	JsonbValue	scalar;

	if (field->path == NULL)
		return true;
	value = saga_map_value(run, thread, field, "ToleratedFailurePercentagePath", fault);
	if (value == NULL)
		return false;
	if (!saga_jsonb_scalar(value, &scalar) || !saga_number_to_double(&scalar, percentage))
	{
		saga_map_value_fault(fault, "ToleratedFailurePercentagePath", field, value, "float");
		return false;
	}
	if (*percentage >= 0 && *percentage <= 100)
		return true;
	fault->error = "States.Runtime";
	fault->cause = "ToleratedFailurePercentage must be between 0 and 100.";
	return false;
}

/* How many items of "size" may fail: as many as the stricter of the two limits lets. */
static bool
saga_map_tolerance(SagaRun *run, SagaThread *thread, int size, int *tolerated, SagaFault *fault)
{
	const		SagaMapFields *fields = thread->state->map;
	int64		count = fields->tolerated_count;
	double		percentage = fields->tolerated_percentage;

	if (!saga_map_count(run, thread, &fields->tolerated_count_path, "ToleratedFailureCountPath", &count, fault) ||
		!saga_map_percentage(run, thread, &percentage, fault))
		return false;
	*tolerated = fields->tolerant ? size : 0;
	if (count >= 0 && count < *tolerated)
		*tolerated = (int) count;
	if (percentage >= 0)
		*tolerated = Min(*tolerated, (int) (size * percentage / 100.0));
	return true;
}

/* ItemsPath; NULL and a fault unless an array is there. */
static Jsonb *
saga_map_items(SagaRun *run, SagaThread *thread, SagaFault *fault)
{
	const SagaPathField *field = &thread->state->map->items_path;
	Jsonb	   *items = thread->data;

	if (!SAGA_PATH_IS_IDENTITY(field))
		items = saga_map_value(run, thread, field, "ItemsPath", fault);
	if (items == NULL)
		return NULL;
	if (JB_ROOT_IS_ARRAY(items) && !JB_ROOT_IS_SCALAR(items))
		return items;
	fault->error = "States.Runtime";
	fault->cause = psprintf("Reference path \"%s\" must point to array.", field->text != NULL ? field->text : "$");
	return NULL;
}

/* ---------- items ---------- */

/* Notes an event of an item's, which its index tells from those of the others. */
static SagaEventRecord *
saga_log_iteration(SagaRun *run, SagaThread *thread, SagaEventType type)
{
	SagaEventRecord *record = saga_log(run, thread, type);

	record->strings[0] = thread->parent->state->name;
	record->numbers[0] = (int64) thread->branch + 1;
	return record;
}

/* What the item's first state gets; NULL and a fault when ItemSelector fails. */
static Jsonb *
saga_item_input(SagaRun *run, SagaThread *thread, int index, SagaFault *fault)
{
	SagaMapping *map = thread->fork->map;
	Jsonb	   *input;

	if (thread->state->map->item_selector == NULL)
		return saga_map_item(map, index);
	/* another item, another context object */
	run->current = NULL;
	map->current = index;
	input = saga_template_apply(run, thread, thread->state->map->item_selector, thread->data, fault);
	map->current = -1;
	run->current = NULL;
	return input;
}

/*
 * Takes up as many items as may run at once.  False, and *fault is set, when
 * one cannot be selected; those that run are the caller's to give up.
 */
static bool
saga_map_take_up(SagaRun *run, SagaThread *thread, SagaFault *fault)
{
	SagaFork   *fork = thread->fork;
	SagaMapping *map = fork->map;

	while (map->nrunning < map->concurrency && map->next < fork->size)
	{
		Jsonb	   *input = saga_item_input(run, thread, map->next, fault);
		SagaThread *item;

		if (input == NULL)
			return false;
		item = saga_fork_start(run, thread, map->next++, thread->state->branches[0], input);
		map->nrunning++;
		(void) saga_log_iteration(run, item, SAGA_EVENT_ITERATION_STARTED);
	}
	return true;
}

/* The Map fails, for what an item failed with or for a fault of its own. */
static SagaTransition
saga_map_fail(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	saga_fork_cut(run, thread, failure);
	thread->phase = SAGA_PHASE_ATTEMPT;
	return saga_next_fail(thread, failure);
}

/* On with the next items, or out when there are none. */
static SagaTransition
saga_map_go_on(SagaRun *run, SagaThread *thread)
{
	SagaFault	fault = {0};

	if (!saga_map_take_up(run, thread, &fault))
	{
		SagaTransition next = saga_next_fault(thread, &fault);

		return saga_map_fail(run, thread, next.failure);
	}
	if (thread->fork->nopen > 0)
		return saga_next_nothing();
	(void) saga_log(run, thread, SAGA_EVENT_MAP_SUCCEEDED);
	return saga_next_complete(thread, saga_fork_results(thread));
}

/* ---------- the state ---------- */

/* Takes up the first items. */
SagaTransition
saga_map_step(SagaRun *run, SagaThread *thread)
{
	const		SagaMapFields *fields = thread->state->map;
	SagaFault	fault = {0};
	int64		concurrency = fields->max_concurrency;
	Jsonb	   *items;
	SagaMapping *map;
	int			tolerated;
	int			size;

	if (!saga_map_count(run, thread, &fields->max_concurrency_path, "MaxConcurrencyPath", &concurrency, &fault))
		return saga_next_fault(thread, &fault);
	items = saga_map_items(run, thread, &fault);
	if (items == NULL)
		return saga_next_fault(thread, &fault);
	size = JB_ROOT_COUNT(items);
	saga_log(run, thread, SAGA_EVENT_MAP_STARTED)->numbers[0] = (int64) size + 1;
	if (!saga_map_tolerance(run, thread, size, &tolerated, &fault))
		return saga_next_fault(thread, &fault);

	thread->phase = SAGA_PHASE_CHILDREN;
	map = saga_thread_map(thread, size);
	map->items = items;
	map->tolerated = tolerated;
	map->concurrency = concurrency == 0 ? SAGA_MAX_CONCURRENCY : (int) Min(concurrency, SAGA_MAX_CONCURRENCY);
	return saga_map_go_on(run, thread);
}

/* "thread" is that of the item, and is gone afterwards. */
SagaTransition
saga_map_item_ended(SagaRun *run, SagaThread *thread, Jsonb *output)
{
	SagaThread *parent = thread->parent;

	(void) saga_log_iteration(run, thread, SAGA_EVENT_ITERATION_SUCCEEDED);
	saga_done_hand_up(run, thread);
	parent->fork->map->nrunning--;
	saga_fork_ended(run, thread, output);
	return saga_map_go_on(run, parent);
}

/* What stands in the result for an item that has failed and was tolerated. */
static Jsonb *
saga_failed_item(const SagaFailure *failure)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "Status", "FAILED");
	saga_jsonb_push_key(&state, "Error");
	saga_jsonb_push_string(&state, WJB_VALUE, failure->error);
	saga_jsonb_push_key(&state, "Cause");
	saga_jsonb_push_string(&state, WJB_VALUE, failure->cause);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* The failure of one item too many is that item's own, unless some were tolerated. */
static SagaFailure
saga_map_failure(const SagaThread *thread, const SagaFailure *failure)
{
	SagaFailure own = *failure;

	own.of_item = true;
	own.from_branch = own.in_doubt = own.unknown = own.of_task = own.completed = false;
	if (thread->state->map->tolerant)
	{
		own.error = "States.ExceedToleratedFailureThreshold";
		own.cause = psprintf("The specified tolerated failure threshold was exceeded: %d of %d items failed, the last one with %s%s%s",
							 thread->fork->map->nfailed, thread->fork->size,
							 failure->error != NULL ? failure->error : "an error",
							 failure->cause != NULL ? ": " : "", failure->cause != NULL ? failure->cause : "");
	}
	return own;
}

/* An item has failed, which the Map tolerates or not. */
SagaTransition
saga_map_item_failed(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	SagaThread *parent = thread->parent;
	SagaFork   *fork = parent->fork;
	SagaMapping *map = fork->map;
	SagaEventRecord *record = saga_log_iteration(run, thread, SAGA_EVENT_ITERATION_FAILED);
	int			item = thread->id;
	int			index = thread->branch;
	SagaTransition next;

	record->strings[1] = failure->error;
	record->strings[2] = failure->cause;
	map->nrunning--;
	map->nfailed++;
	saga_fork_failed(run, thread, failure);
	if (map->nfailed > map->tolerated)
	{
		SagaFailure own = saga_map_failure(parent, failure);

		return saga_map_fail(run, parent, &own);
	}
	fork->results[index] = saga_failed_item(failure);
	saga_item_unwanted(run, item, failure);
	next = saga_map_go_on(run, parent);
	next.undo = true;
	return next;
}
