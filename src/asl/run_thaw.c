/*
 * run_thaw.c
 *		Makes a run of what run_freeze.c has written.
 */
#include "postgres.h"

#include "common/compat.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "asl/check_private.h"
#include "asl/run_private.h"

typedef struct SagaThawer
{
	SagaRun    *run;
	Jsonb	  **values;
	int			nvalues;
} SagaThawer;

static void
pg_attribute_noreturn()
frozen_corrupt(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("invalid stored state of an execution"),
			 errdetail_internal("The fault is in \"%s\".", what)));
}

/* ---------- reading ---------- */

static int64
int_of(const JsonbValue *value, const char *name)
{
	int64		result;

	if (saga_asl_number_to_int64(value, PG_INT64_MIN, PG_INT64_MAX, &result) != SAGA_NUMBER_OK)
		frozen_corrupt(name);
	return result;
}

static int64
get_int(const JsonbValue *object, const char *name, int64 absent)
{
	JsonbValue	value;

	return saga_asl_member(object, name, &value) ? int_of(&value, name) : absent;
}

static char *
get_string(const JsonbValue *object, const char *name)
{
	JsonbValue	value;
	char	   *result;

	if (!saga_asl_member(object, name, &value))
		return NULL;
	result = saga_asl_string_of(&value);
	if (result == NULL)
		frozen_corrupt(name);
	return result;
}

/* The elements of a list; none when it is absent. */
static int
get_list(const JsonbValue *object, const char *name, JsonbValue *list)
{
	if (!saga_asl_member(object, name, list))
		return 0;
	if (!saga_asl_is_array(list))
		frozen_corrupt(name);
	return JsonContainerSize(list->val.binary.data);
}

static JsonbValue *
list_object(const JsonbValue *list, int i, const char *name)
{
	JsonbValue *element = getIthJsonbValueFromContainer(list->val.binary.data, i);

	if (!saga_asl_is_object(element))
		frozen_corrupt(name);
	return element;
}

static int64
list_int(const JsonbValue *list, int i, const char *name)
{
	return int_of(getIthJsonbValueFromContainer(list->val.binary.data, i), name);
}

/* One of "values", by its index. */
static Jsonb *
value_at(SagaThawer *t, int64 index, const char *name)
{
	if (index < 0 || index >= t->nvalues)
		frozen_corrupt(name);
	return t->values[index];
}

/* NULL: the member is absent. */
static Jsonb *
get_value(SagaThawer *t, const JsonbValue *object, const char *name)
{
	int64		index = get_int(object, name, -1);

	return index < 0 ? NULL : value_at(t, index, name);
}

/* The state that a member "state" names: it must be in the machine still. */
static const SagaState *
get_state(SagaThawer *t, const JsonbValue *object)
{
	char	   *name = get_string(object, "state");
	SagaState  *state = name != NULL ? saga_machine_find(t->run->machine, name) : NULL;

	if (state == NULL)
		frozen_corrupt("state");
	return state;
}

static void
thaw_values(SagaThawer *t, const JsonbValue *object)
{
	JsonbValue	list;
	JsonbValue	value;
	JsonbIterator *it;
	JsonbIteratorToken token;
	int			i = 0;

	t->nvalues = get_list(object, "values", &list);
	t->values = palloc(sizeof(Jsonb *) * Max(t->nvalues, 1));
	if (t->nvalues == 0)
		return;
	/* not by index: finding the i-th element is not free in a jsonb array */
	it = JsonbIteratorInit(list.val.binary.data);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			t->values[i++] = saga_jsonb_from_value(&value);
}

/* ---------- threads ---------- */

static SagaPhase
get_phase(const JsonbValue *object)
{
	char	   *name = get_string(object, "phase");
	SagaPhase	phase;

	for (phase = SAGA_PHASE_ENTER; name != NULL && phase <= SAGA_PHASE_CHILDREN; phase++)
		if (strcmp(name, saga_thread_phase_name(phase)) == 0)
			return phase;
	frozen_corrupt("phase");
}

/* A thread that was read already. */
static SagaThread *
thread_by_id(SagaRun *run, int64 id)
{
	dlist_iter	iter;

	dlist_foreach(iter, &run->threads)
	{
		SagaThread *thread = dlist_container(SagaThread, node, iter.cur);

		if (thread->id == id)
			return thread;
	}
	frozen_corrupt("threads");
}

/* How often each retrier has tried. */
static void
thaw_attempts(SagaThread *thread, const JsonbValue *object)
{
	JsonbValue	list;
	int			count = get_list(object, "attempts", &list);
	int			i;

	if (count == 0)
		return;
	if (count != thread->state->nretriers)
		frozen_corrupt("attempts");
	thread->attempts_size = count;
	thread->attempts = palloc(sizeof(int) * count);
	for (i = 0; i < count; i++)
		thread->attempts[i] = (int) list_int(&list, i, "attempts");
}

/* Which items have failed and were tolerated. */
static void
thaw_failed_items(SagaMapping *map, const JsonbValue *object, int next)
{
	JsonbValue	list;
	int			count = get_list(object, "failed_items", &list);
	int			i;

	if (count == 0)
		return;
	map->failed = palloc0(sizeof(bool) * JB_ROOT_COUNT(map->items));
	for (i = 0; i < count; i++)
	{
		int64		item = list_int(&list, i, "failed_items");

		if (item < 0 || item >= next)
			frozen_corrupt("failed_items");
		map->failed[item] = true;
	}
}

/* The items of a Map, of which "next" have been taken up. */
static void
thaw_map(SagaThawer *t, SagaThread *thread, const JsonbValue *object, int next)
{
	Jsonb	   *items = get_value(t, object, "items");
	SagaMapping *map;

	if (items == NULL || thread->data == NULL || !JB_ROOT_IS_ARRAY(items) || JB_ROOT_IS_SCALAR(items) ||
		next > JB_ROOT_COUNT(items))
		frozen_corrupt("items");
	map = saga_thread_map(thread, JB_ROOT_COUNT(items));
	map->items = items;
	map->keyed = get_int(object, "keyed", 0) != 0;
	map->next = next;
	map->concurrency = (int) get_int(object, "concurrency", 0);
	map->tolerated = (int) get_int(object, "tolerated", 0);
	map->nfailed = (int) get_int(object, "failed", 0);
	map->again = (int) get_int(object, "again", 0);
	if (map->concurrency <= 0)
		frozen_corrupt("concurrency");
	thaw_failed_items(map, object, next);
}

/* The fork of a thread whose branches or items run; their threads come after it and take their places. */
static void
thaw_fork(SagaThawer *t, SagaThread *thread, const JsonbValue *object)
{
	JsonbValue	list;
	int			count = get_list(object, "results", &list);
	SagaFork   *fork;
	int			i;

	if (thread->state->type == SAGA_STATE_MAP)
		thaw_map(t, thread, object, count);
	else if (thread->state->type == SAGA_STATE_PARALLEL && count == thread->state->nbranches)
		(void) saga_thread_fork(thread, count);
	else
		frozen_corrupt("results");
	fork = thread->fork;
	for (i = 0; i < count; i++)
	{
		int64		index = list_int(&list, i, "results");

		if (index < 0)
			continue;
		fork->results[i] = value_at(t, index, "results");
		fork->nopen--;
	}
}

/* Where a thread stands in the tree: the root, the handler, or a place in its parent's fork. */
static void
thaw_place(SagaRun *run, SagaThread *thread, int64 parent_id, bool is_handler)
{
	SagaThread *parent;
	SagaFork   *fork;

	if (parent_id == 0)
	{
		if (is_handler)
			run->handler = thread;
		else
			run->root = thread;
		return;
	}
	parent = thread_by_id(run, parent_id);
	fork = parent->fork;
	if (fork == NULL || thread->branch < 0 || thread->branch >= fork->size ||
		fork->threads[thread->branch] != NULL || fork->results[thread->branch] != NULL)
		frozen_corrupt("branch");
	thread->parent = parent;
	fork->threads[thread->branch] = thread;
	if (fork->map != NULL)
		fork->map->nrunning++;
}

static void
thaw_thread(SagaThawer *t, const JsonbValue *object)
{
	SagaRun    *run = t->run;
	SagaThread *thread = saga_thread_new(run, NULL, (int) get_int(object, "branch", 0));

	thread->state = get_state(t, object);
	thread->phase = get_phase(object);
	thread->input = get_value(t, object, "input");
	thread->data = get_value(t, object, "data");
	thread->variables = get_value(t, object, "variables");
	thread->entered_at = get_int(object, "entered_at", 0);
	thread->since = get_int(object, "since", thread->entered_at);
	thread->entered_event = get_int(object, "entered_event", 0);
	thread->last_event = get_int(object, "last_event", 0);
	thread->call_id = (int) get_int(object, "call", 0);
	thread->retry_count = (int) get_int(object, "retry_count", 0);
	thread->last_error = get_string(object, "last_error");
	thread->wake_at = get_int(object, "wake_at", DT_NOEND);
	thread->task_id = (int) get_int(object, "task", 0);
	thread->token = get_string(object, "token");
	thread->submitted = get_int(object, "submitted", 0) != 0;
	thread->heartbeat_ms = get_int(object, "heartbeat_ms", 0);
	thread->deadline = get_int(object, "deadline", DT_NOEND);
	thread->heartbeat_at = get_int(object, "heartbeat_at", DT_NOEND);
	thread->timeout_ms = get_int(object, "timeout_ms", 0);
	thread->resume = get_int(object, "resume", 0) != 0;
	thread->answered = get_int(object, "answered", 0) != 0;
	thread->answer = get_value(t, object, "answer");
	thread->redriven_task = (int) get_int(object, "redriven_task", 0);
	if (thread->input == NULL)
		frozen_corrupt("input");
	thaw_attempts(thread, object);
	if (thread->phase == SAGA_PHASE_CHILDREN)
		thaw_fork(t, thread, object);
	thaw_place(run, thread, get_int(object, "parent", 0), get_int(object, "handler", 0) != 0);
	thread->id = (int) get_int(object, "id", 0);
}

/*
 * Every branch that has no result must have its thread, and every item that
 * has been taken up and is not to be taken up again; no other one.
 */
static void
check_forks(SagaRun *run)
{
	dlist_iter	iter;

	dlist_foreach(iter, &run->threads)
	{
		const SagaFork *fork = dlist_container(SagaThread, node, iter.cur)->fork;
		int			missing = 0;

		for (int i = 0; fork != NULL && i < fork->size; i++)
		{
			bool		begun = fork->map == NULL || i < fork->map->next;
			bool		there = fork->threads[i] != NULL || fork->results[i] != NULL;

			if (there && !begun)
				frozen_corrupt("threads");
			missing += begun && !there ? 1 : 0;
		}
		if (fork != NULL && missing != (fork->map != NULL ? fork->map->again : 0))
			frozen_corrupt("threads");
	}
}

static void
thaw_threads(SagaThawer *t, const JsonbValue *object)
{
	SagaRun    *run = t->run;
	JsonbValue	list;
	int			count = get_list(object, "threads", &list);

	for (int i = 0; i < count; i++)
		thaw_thread(t, list_object(&list, i, "threads"));
	check_forks(run);
	count = get_list(object, "ready", &list);
	for (int i = 0; i < count; i++)
	{
		SagaThread *thread = thread_by_id(run, list_int(&list, i, "ready"));

		saga_thread_ready(run, thread, thread->phase);
	}
}

/* ---------- compensation ---------- */

static SagaStatus
status_of(const char *name)
{
	SagaStatus	status;

	for (status = SAGA_RUNNING; name != NULL && status <= SAGA_COMPENSATING; status++)
		if (strcmp(name, saga_asl_status_name(status)) == 0)
			return status;
	frozen_corrupt("status");
}

/* Where the run would begin again to do it anew; of what an earlier version has frozen that is not known. */
static void
read_begin(SagaThawer *t, const JsonbValue *item, SagaDone *done)
{
	char	   *begin = get_string(item, "begin");
	JsonbValue	variables;

	done->owner = (int) get_int(item, "owner", 0);
	done->branch = (int) get_int(item, "branch", 0);
	done->begin = begin != NULL ? saga_machine_find(t->run->machine, begin) : done->state;
	done->entered = get_value(t, item, "entered");
	done->begin_variables = done->variables;
	if (saga_asl_member(item, "begin_variables", &variables))
	{
		done->begin_variables = get_value(t, item, "begin_variables");
		if (done->begin_variables != NULL && JB_ROOT_IS_SCALAR(done->begin_variables))
			done->begin_variables = NULL;
	}
	if (done->begin == NULL)
		frozen_corrupt("begin");
}

/* One item of the list of what is to be undone, or of what was not undone. */
static void
read_done(SagaThawer *t, const JsonbValue *item, SagaDone *done)
{
	memset(done, 0, sizeof(SagaDone));
	done->state = get_state(t, item);
	done->call_id = (int) get_int(item, "call", 0);
	done->item = (int) get_int(item, "item", 0);
	done->input = get_value(t, item, "input");
	done->output = get_value(t, item, "output");
	done->variables = get_value(t, item, "variables");
	done->task_id = (int) get_int(item, "task", 0);
	done->kind = (SagaDoneKind) get_int(item, "kind", SAGA_DONE_COMPLETED);
	done->kept = get_int(item, "kept", 0) != 0;
	done->suspected = get_int(item, "suspected", 0) != 0;
	done->error = get_string(item, "error");
	done->cause = get_string(item, "cause");
	done->token = get_string(item, "token");
	done->destination = get_string(item, "destination");
	done->since = get_int(item, "since", 0);
	done->message_id = get_string(item, "message");
	done->key = get_string(item, "key");
	read_begin(t, item, done);
	if (done->state->compensate == NULL || done->input == NULL ||
		done->kind < SAGA_DONE_COMPLETED || done->kind > SAGA_DONE_UNWANTED ||
		(done->output == NULL && done->kind != SAGA_DONE_OWED))
		frozen_corrupt("done");
}

static void
thaw_done(SagaThawer *t, const JsonbValue *object)
{
	SagaRun    *run = t->run;
	JsonbValue	list;
	int			count = get_list(object, "done", &list);
	int			i;

	run->done_size = Max(count, 8);
	run->done = palloc(sizeof(SagaDone) * run->done_size);
	for (i = 0; i < count; i++)
	{
		SagaDone   *done = &run->done[run->ndone++];

		read_done(t, list_object(&list, i, "done"), done);
		run->gave_up |= done->kind != SAGA_DONE_COMPLETED || done->kept;
	}
}

/* What is known already of the end. */
static void
thaw_undone(SagaThawer *t, const JsonbValue *object)
{
	SagaRun    *run = t->run;
	JsonbValue	list;
	JsonbValue	value;
	int			count;
	int			i;

	count = get_list(object, "compensated", &list);
	for (i = 0; i < count; i++)
	{
		char	   *name = saga_asl_string_of(getIthJsonbValueFromContainer(list.val.binary.data, i));

		if (name == NULL)
			frozen_corrupt("compensated");
		run->compensated = lappend(run->compensated, name);
	}
	count = get_list(object, "not_compensated", &list);
	for (i = 0; i < count; i++)
	{
		JsonbValue *item = list_object(&list, i, "not_compensated");
		SagaUndone *undone = palloc0(sizeof(SagaUndone));

		undone->state = get_string(item, "state");
		undone->reason = get_string(item, "error");
		undone->cause = get_string(item, "cause");
		undone->unknown = get_int(item, "unknown", 0) != 0;
		undone->message_id = get_string(item, "message");
		undone->key = get_string(item, "key");
		undone->handler = get_string(item, "handler");
		undone->call_id = (int) get_int(item, "call", 0);
		if (saga_asl_member(item, "done", &value) && saga_asl_is_object(&value))
		{
			undone->done = palloc(sizeof(SagaDone));
			read_done(t, &value, undone->done);
		}
		run->not_compensated = lappend(run->not_compensated, undone);
	}
	count = get_list(object, "untouched", &list);
	for (i = 0; i < count; i++)
		run->untouched = lappend_int(run->untouched, (int) list_int(&list, i, "untouched"));
	count = get_list(object, "effects", &list);
	for (i = 0; i < count; i++)
	{
		JsonbValue *item = list_object(&list, i, "effects");
		SagaEffect *effect = palloc(sizeof(SagaEffect));

		effect->state = get_string(item, "state");
		effect->message_id = get_string(item, "message");
		run->effects = lappend(run->effects, effect);
	}
}

static void
thaw_compensation(SagaThawer *t, const JsonbValue *object)
{
	SagaRun    *run = t->run;

	thaw_done(t, object);
	thaw_undone(t, object);
	run->last_event = get_int(object, "last_event", 0);
	run->undoing = (int) get_int(object, "undoing", 0);
	/* as an earlier version has it: the last one */
	if (run->undoing == 0 && run->ndone > 0)
		run->undoing = run->done[run->ndone - 1].call_id;
	run->decided = get_int(object, "decided", 0) != 0;
	run->output = get_value(t, object, "output");
	if (run->decided && (run->output == NULL || run->status != SAGA_RUNNING))
		frozen_corrupt("output");
	if (run->status != SAGA_COMPENSATING)
		return;
	run->final_status = status_of(get_string(object, "final"));
	run->error = get_string(object, "error");
	run->cause = get_string(object, "cause");
	run->failed_state = get_string(object, "failed_state");
	run->report = get_value(t, object, "report");
}

/* ---------- the run ---------- */

/* The counters, but for that of threads: reading threads uses it. */
static void
thaw_ids(SagaRun *run, const JsonbValue *object)
{
	JsonbValue	list;

	if (get_list(object, "ids", &list) != 4)
		frozen_corrupt("ids");
	run->next_task = (int) list_int(&list, 1, "ids");
	run->next_call = (int) list_int(&list, 2, "ids");
	saga_history_init(&run->history, run->context, list_int(&list, 3, "ids"),
					  run->env.express);
}

/* Whatever does not fit is an error: nothing of the run is used then. */
SagaRun *
saga_run_thaw(const SagaMachine *machine, const SagaRunEnv *env, Jsonb *frozen)
{
	SagaRun    *run = palloc0(sizeof(SagaRun));
	SagaThawer	t = {.run = run};
	JsonbValue	object;
	JsonbValue	list;

	if (!JB_ROOT_IS_OBJECT(frozen))
		frozen_corrupt("version");
	object.type = jbvBinary;
	object.val.binary.data = &frozen->root;
	object.val.binary.len = VARSIZE(frozen) - VARHDRSZ;
	if (get_int(&object, "version", 0) != 1)
		frozen_corrupt("version");

	run->context = CurrentMemoryContext;
	run->machine = machine;
	run->env = *env;
	run->status = status_of(get_string(&object, "status"));
	run->deadline = get_int(&object, "deadline", DT_NOEND);
	run->redrives = (int) get_int(&object, "redrives", 0);
	run->env.redrive_count = run->redrives;
	run->next_timer = DT_NOBEGIN;	/* found out by the first call */
	dlist_init(&run->threads);
	dlist_init(&run->ready);
	thaw_values(&t, &object);
	run->input = get_value(&t, &object, "input");
	run->earlier = get_value(&t, &object, "earlier");
	if (run->input == NULL)
		frozen_corrupt("input");
	thaw_ids(run, &object);
	thaw_compensation(&t, &object);
	thaw_threads(&t, &object);
	(void) get_list(&object, "ids", &list);
	run->next_thread = (int) list_int(&list, 0, "ids");

	/*
	 * an execution that undoes for another may begin with nothing left to
	 * undo
	 */
	if ((run->root == NULL && run->handler == NULL && run->ndone == 0 && run->status != SAGA_COMPENSATING) ||
		(run->status == SAGA_RUNNING && !run->decided) != (run->root != NULL) ||
		(run->handler != NULL && run->ndone == 0))
		frozen_corrupt("threads");
	return run;
}
