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

/* More items do not run at once, whatever MaxConcurrency says, unless the caller lets them; as at AWS. */
#define SAGA_MAX_CONCURRENCY	40

/* ---------- fields of the state ---------- */

/* ToleratedFailurePercentage, the same way. */
bool
saga_asl_map_percentage(SagaRun *run, SagaThread *thread, double *percentage, SagaFault *fault)
{
	const SagaPathField *field = &thread->state->map->tolerated_percentage_path;
	Jsonb	   *value;
	JsonbValue	scalar;

	if (!SAGA_FIELD_IS_DYNAMIC(field))
		return true;
	value = saga_asl_field_value(run, thread, field, "ToleratedFailurePercentagePath", fault);
	if (value == NULL)
		return false;
	if (!saga_asl_jsonb_scalar(value, &scalar) || !saga_asl_number_to_double(&scalar, percentage))
	{
		if (field->query != NULL)
			return saga_asl_query_type_fault(field->query, "number", value, fault);
		saga_asl_map_value_fault(fault, "ToleratedFailurePercentagePath", field, value, "float");
		return false;
	}
	if (*percentage >= 0 && *percentage <= 100)
		return true;
	if (field->query != NULL)
		return saga_asl_query_value_fault(field->query, "is not between 0 and 100", value, fault);
	fault->error = "States.Runtime";
	fault->cause = "ToleratedFailurePercentage must be between 0 and 100.";
	return false;
}

/* How many items may fail, by number and by share; -1: no such limit. */
static bool
map_limits(SagaRun *run, SagaThread *thread, int64 *count, double *percentage, SagaFault *fault)
{
	const SagaMapFields *fields = thread->state->map;

	*count = fields->tolerated_count;
	*percentage = fields->tolerated_percentage;
	return saga_asl_map_count(run, thread, &fields->tolerated_count_path, "ToleratedFailureCountPath", count, fault) &&
		saga_asl_map_percentage(run, thread, percentage, fault);
}

/* How many items of "size" that are: as many as the stricter of the two limits lets. */
static int
map_tolerated(const SagaMapFields *fields, int size, int64 count, double percentage)
{
	int			tolerated = fields->tolerant ? size : 0;

	if (count >= 0 && count < tolerated)
		tolerated = (int) count;
	if (percentage >= 0)
		tolerated = Min(tolerated, (int) (size * percentage / 100.0));
	return tolerated;
}

/*
 * Items of a JSONata state, or its input: an array.  At AWS only a distributed
 * Map has members of an object for items there.
 */
static Jsonb *
query_items(SagaRun *run, SagaThread *thread, bool *keyed, SagaFault *fault)
{
	const SagaMapFields *fields = thread->state->map;
	const SagaQuery *query = fields->items_path.query;
	Jsonb	   *value = query != NULL ? saga_asl_query_apply(run, thread, query, fault) : thread->data;
	Jsonb	   *items;

	if (value == NULL)
		return NULL;
	items = fields->distributed || !JB_ROOT_IS_OBJECT(value) ? saga_asl_items_of(value, keyed) : NULL;
	if (items != NULL)
		return items;
	if (query != NULL)
		(void) saga_asl_query_type_fault(query, "array", value, fault);
	else
	{
		fault->location = "Items";
		(void) saga_fault(fault, SAGA_QUERY_ERROR, "Map state input must be an array but was: %s",
						  saga_jsonb_to_cstring(value));
	}
	return NULL;
}

/* ItemsPath; NULL and a fault unless there is an array, or an object: *keyed is set, as saga_asl_items_of() has it. */
Jsonb *
saga_asl_map_items(SagaRun *run, SagaThread *thread, bool *keyed, SagaFault *fault)
{
	const SagaPathField *field = &thread->state->map->items_path;
	Jsonb	   *items = thread->data;

	if (thread->state->jsonata)
		return query_items(run, thread, keyed, fault);
	if (!SAGA_PATH_IS_IDENTITY(field))
		items = saga_asl_field_value(run, thread, field, "ItemsPath", fault);
	if (items == NULL)
		return NULL;
	items = saga_asl_items_of(items, keyed);
	if (items != NULL)
		return items;
	fault->error = "States.Runtime";
	fault->cause = psprintf("Reference path \"%s\" must point to array or object.", field->text != NULL ? field->text : "$");
	return NULL;
}

/* ---------- items ---------- */

/* Notes an event of an item's, which its index tells from those of the others. */
static SagaEventRecord *
log_iteration(SagaRun *run, SagaThread *thread, SagaEventType type)
{
	SagaEventRecord *record = saga_asl_log(run, thread, type);

	record->strings[0] = thread->parent->state->name;
	record->numbers[0] = (int64) thread->branch + 1;
	return record;
}

/* The first item that is to be taken up again; there is one. */
static int
item_again(const SagaFork *fork)
{
	int			i = 0;

	while (i < fork->map->next && (fork->threads[i] != NULL || fork->results[i] != NULL))
		i++;
	return i;
}

/*
 * Takes up as many items as may run at once.  False, and *fault is set, when
 * one cannot be selected; those that run are the caller's to give up.
 */
static bool
map_take_up(SagaRun *run, SagaThread *thread, SagaFault *fault)
{
	SagaFork   *fork = thread->fork;
	SagaMapping *map = fork->map;

	while (map->nrunning < map->concurrency && (map->again > 0 || map->next < fork->size))
	{
		int			index = map->again > 0 ? item_again(fork) : map->next;
		SagaMapItem of = saga_asl_map_item(map, index);
		Jsonb	   *input = saga_asl_item_input(run, thread, &of, fault);
		SagaThread *item;

		if (input == NULL)
			return false;
		if (map->again > 0)
			map->again--;
		else
			map->next++;
		item = saga_fork_start(run, thread, index, thread->state->branches[0], input);
		map->nrunning++;
		(void) log_iteration(run, item, SAGA_EVENT_ITERATION_STARTED);
	}
	return true;
}

/* The Map fails, for what an item failed with or for a fault of its own. */
static SagaTransition
map_fail(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	saga_fork_cut(run, thread, failure);
	thread->phase = SAGA_PHASE_ATTEMPT;
	return saga_next_fail(thread, failure);
}

/* On with the next items, or out when there are none. */
SagaTransition
saga_asl_map_go_on(SagaRun *run, SagaThread *thread)
{
	SagaFault	fault = {0};

	if (!map_take_up(run, thread, &fault))
	{
		SagaTransition next = saga_next_fault(thread, &fault);

		saga_fork_remember(run, thread);
		return map_fail(run, thread, next.failure);
	}
	if (thread->fork->nopen > 0)
		return saga_next_nothing();
	(void) saga_asl_log(run, thread, SAGA_EVENT_MAP_SUCCEEDED);
	saga_done_begin_with(run, thread);
	return saga_next_complete(thread, saga_fork_results(thread));
}

/* ---------- the state ---------- */

/* Takes up the first items. */
static SagaTransition
map_begin(SagaRun *run, SagaThread *thread, const SagaMapCall *call)
{
	int			size = JB_ROOT_COUNT(call->items);
	SagaMapping *map = saga_thread_map(thread, size);
	int			most = run->env.map_concurrency > 0 ? run->env.map_concurrency : SAGA_MAX_CONCURRENCY;

	thread->phase = SAGA_PHASE_CHILDREN;
	map->items = call->items;
	map->keyed = call->keyed;
	map->tolerated = map_tolerated(thread->state->map, size, call->tolerated_count, call->tolerated_percentage);
	map->concurrency = call->concurrency == 0 ? most : (int) Min(call->concurrency, most);
	return saga_asl_map_go_on(run, thread);
}

/* Where the items are, and what limits there are; then they are run here, or by the caller. */
SagaTransition
saga_asl_map_step(SagaRun *run, SagaThread *thread, SagaAction *action)
{
	const SagaMapFields *fields = thread->state->map;
	bool		distributed = fields->distributed && run->env.distributed;
	SagaMapCall *call = palloc0(sizeof(SagaMapCall));
	SagaEventRecord *record;
	SagaFault	fault = {0};

	call->concurrency = fields->max_concurrency;
	if (!saga_asl_map_count(run, thread, &fields->max_concurrency_path, "MaxConcurrencyPath", &call->concurrency, &fault))
		return saga_next_fault(thread, &fault);
	if (fields->reader == NULL)
		call->items = saga_asl_map_items(run, thread, &call->keyed, &fault);
	else if (!distributed)
	{
		fault.error = "States.ItemReaderFailed";
		fault.cause = "Items are read by an execution, not by a simulation.";
	}
	if (fault.error != NULL)
		return saga_next_fault(thread, &fault);
	record = saga_asl_log(run, thread, SAGA_EVENT_MAP_STARTED);
	record->numbers[0] = call->items != NULL ? (int64) JB_ROOT_COUNT(call->items) + 1 : 1;
	if (!map_limits(run, thread, &call->tolerated_count, &call->tolerated_percentage, &fault))
		return saga_next_fault(thread, &fault);
	return distributed ? saga_distributed_step(run, thread, call, action) : map_begin(run, thread, call);
}

/* "thread" is that of the item, and is gone afterwards. */
SagaTransition
saga_asl_map_item_ended(SagaRun *run, SagaThread *thread, Jsonb *output)
{
	SagaThread *parent = thread->parent;

	(void) log_iteration(run, thread, SAGA_EVENT_ITERATION_SUCCEEDED);
	saga_done_hand_up(run, thread);
	parent->fork->map->nrunning--;
	saga_fork_ended(run, thread, output);
	return saga_asl_map_go_on(run, parent);
}

/* What stands in the result for an item that has failed and was tolerated. */
static Jsonb *
failed_item(const SagaFailure *failure)
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
map_failure(const SagaThread *thread, const SagaFailure *failure)
{
	SagaFailure own = *failure;

	own.of_item = true;
	own.from_branch = own.in_doubt = own.unknown = own.of_task = own.completed = false;
	own.location = NULL;
	if (thread->state->map->tolerant || thread->state->map->distributed)
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
saga_asl_map_item_failed(SagaRun *run, SagaThread *thread, const SagaFailure *failure)
{
	SagaThread *parent = thread->parent;
	SagaFork   *fork = parent->fork;
	SagaMapping *map = fork->map;
	SagaEventRecord *record = log_iteration(run, thread, SAGA_EVENT_ITERATION_FAILED);
	int			item = thread->id;
	int			index = thread->branch;
	SagaTransition next;

	record->strings[1] = failure->error;
	record->strings[2] = failure->cause;
	map->nrunning--;
	map->nfailed++;
	if (map->nfailed > map->tolerated)
	{
		SagaFailure own = map_failure(parent, failure);

		saga_fork_remember(run, parent);
		saga_fork_failed(run, thread, failure);
		return map_fail(run, parent, &own);
	}
	saga_fork_failed(run, thread, failure);
	fork->results[index] = failed_item(failure);
	if (map->failed == NULL)
		map->failed = palloc0(sizeof(bool) * fork->size);
	map->failed[index] = true;
	saga_asl_item_unwanted(run, item, failure);
	next = saga_asl_map_go_on(run, parent);
	next.undo = true;
	return next;
}
