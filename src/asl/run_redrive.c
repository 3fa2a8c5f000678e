/*
 * run_redrive.c
 *		A run that has failed goes on.
 *
 * The point that was kept (run_point.c) is a frozen run, whose threads stand
 * at the entry of their states.  What was completed and has been undone since
 * is to be done anew: its thread, or the branch or item that it was, begins at
 * the first such state, with the input and the variables of that visit.
 * What was done before it and stands stays in the list, to be undone by a
 * later failure.  Counters go on where the run ended, so that neither a task,
 * a visit nor an event has the number of an earlier one.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "asl/check_private.h"
#include "asl/run_private.h"
#include "value/doc.h"

/* A visit that was not undone, of what saga_asl_point_end() has written. */
typedef struct SagaStanding
{
	int			call_id;
	char	   *message_id;		/* NULL: it has none */
	bool		entry;			/* the record must have it still */
} SagaStanding;

/* What is known while a run is made ready to go on. */
typedef struct SagaRedriver
{
	SagaRun    *run;
	SagaStanding *standing;
	int			nstanding;
	Jsonb	   *not_compensated;	/* of the record, without what is done again a part of the run; NULL: nothing */
	int			entered;		/* states that are entered again */
} SagaRedriver;

/* ---------- what the end has said ---------- */

/* The run counts on from there. */
static void
read_ids(SagaRun *run, const Jsonb *end)
{
	JsonbValue	list;
	int64		ids[4];
	int			i;

	/*
	 * saga_asl_point_end() has written them, so that anything else is no
	 * fault of a user.
	 */
	if (!saga_jsonb_get(end, "ids", &list) || !saga_asl_is_array(&list) || JsonContainerSize(list.val.binary.data) != 4)
		elog(ERROR, "the end of an execution has no counters");
	for (i = 0; i < 4; i++)
	{
		if (saga_asl_number_to_int64(getIthJsonbValueFromContainer(list.val.binary.data, i), 1, PG_INT64_MAX, &ids[i]) != SAGA_NUMBER_OK)
			elog(ERROR, "the end of an execution has no counters");
	}
	run->next_thread = (int) ids[0];
	run->next_task = (int) ids[1];
	run->next_call = (int) ids[2];
	saga_history_init(&run->history, run->context, ids[3], run->env.express);
}

/* The visits that were not undone. */
static void
read_standing(SagaRedriver *r, const Jsonb *end)
{
	JsonbValue	list;
	int			i;

	if (!saga_jsonb_get(end, "calls", &list) || !saga_asl_is_array(&list))
		return;
	r->nstanding = JsonContainerSize(list.val.binary.data);
	r->standing = palloc0(sizeof(SagaStanding) * Max(r->nstanding, 1));
	for (i = 0; i < r->nstanding; i++)
	{
		Jsonb	   *call = saga_jsonb_from_value(getIthJsonbValueFromContainer(list.val.binary.data, i));
		JsonbValue	value;
		int64		id = 0;

		if (saga_jsonb_get(call, "call", &value))
			(void) saga_asl_number_to_int64(&value, 0, PG_INT32_MAX, &id);
		r->standing[i].call_id = (int) id;
		r->standing[i].message_id = saga_jsonb_get_string(call, "message");
		r->standing[i].entry = saga_jsonb_get(call, "entry", &value);
	}
}

/* Is this the entry of not_compensated for the visit?  One without a message goes by its state. */
static bool
is_entry_of(const JsonbValue *value, const SagaStanding *standing, const SagaDone *done)
{
	Jsonb	   *entry = saga_jsonb_from_value(value);
	char	   *text;

	if (!JB_ROOT_IS_OBJECT(entry))
		return false;
	text = saga_jsonb_get_string(entry, "message_id");
	if (text != NULL || standing->message_id != NULL)
		return text != NULL && standing->message_id != NULL && strcmp(text, standing->message_id) == 0;
	text = saga_jsonb_get_string(entry, "state");
	return text != NULL && strcmp(text, done->state->name) == 0;
}

/* Is the effect known to be there?  Of one whose handler may have undone it that is not known. */
static bool
is_done(const JsonbValue *value)
{
	char	   *outcome = saga_jsonb_get_string(saga_jsonb_from_value(value), "outcome");

	return outcome != NULL && strcmp(outcome, "done") == 0;
}

/*
 * Is it in the record?  *known: and known to be there.  take: then it leaves
 * that, as the visit is a part of the run again.
 */
static bool
find_entry(SagaRedriver *r, const SagaStanding *standing, const SagaDone *done, bool take, bool *known)
{
	JsonbParseState *state = NULL;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	bool		found = false;
	int			left = 0;

	*known = false;
	if (r->not_compensated == NULL)
		return false;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	it = JsonbIteratorInit(&r->not_compensated->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (!found && is_entry_of(&value, standing, done))
		{
			found = true;

			/*
			 * One that may not be there stays in the record: the run cannot
			 * count on it.
			 */
			*known = is_done(&value);
			if (*known)
				continue;
		}
		pushJsonbValue(&state, WJB_ELEM, &value);
		left++;
	}
	if (found && take)
		r->not_compensated = left > 0 ? JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL)) : NULL;
	return found;
}

/* NULL: the visit has been undone, or somebody has said that nothing of it is there. */
static const SagaStanding *
stands(SagaRedriver *r, const SagaDone *done)
{
	int			i;

	for (i = 0; i < r->nstanding; i++)
	{
		const SagaStanding *standing = &r->standing[i];
		bool		known;

		/*
		 * The record may have lost its entry since: then somebody has settled
		 * it, and the visit does not stand.
		 */
		if (standing->call_id == done->call_id)
			return !standing->entry || find_entry(r, standing, done, false, &known) ? standing : NULL;
	}
	return NULL;
}

/* ---------- where it begins ---------- */

/* Drops what is below the thread: its state is entered as a whole. */
static void
drop_fork(SagaRun *run, SagaThread *thread)
{
	int			i;

	for (i = 0; thread->fork != NULL && i < thread->fork->size; i++)
	{
		if (thread->fork->threads[i] != NULL)
			saga_thread_drop(run, thread->fork->threads[i]);
	}
	thread->fork = NULL;
	thread->phase = SAGA_PHASE_ENTER;
}

/* NULL: it is not in the run any more. */
static SagaThread *
find_thread(SagaRun *run, int id)
{
	dlist_iter	iter;

	dlist_foreach(iter, &run->threads)
	{
		SagaThread *thread = dlist_container(SagaThread, node, iter.cur);

		if (thread->id == id)
			return thread;
	}
	return NULL;
}

/* A branch or item that had ended runs again. */
static SagaThread *
reopen(SagaRun *run, SagaThread *owner, int branch)
{
	SagaFork   *fork = owner->fork;
	SagaThread *thread = saga_thread_new(run, owner, branch);

	/*
	 * The fork waits for one more result, and a Map has one more item that
	 * runs.
	 */
	fork->threads[branch] = thread;
	fork->results[branch] = NULL;
	fork->nopen++;
	if (fork->map != NULL)
		fork->map->nrunning++;
	return thread;
}

/*
 * Is the place of the item in the run still?  It is not when what is around it
 * is entered as a whole.  *thread: that of the branch; NULL: it had ended.
 */
static bool
place_of(SagaRun *run, const SagaDone *done, SagaThread **owner, SagaThread **thread)
{
	*owner = NULL;
	*thread = run->root;
	if (done->owner == 0)
		return true;
	*owner = find_thread(run, done->owner);
	if (*owner == NULL || (*owner)->fork == NULL || done->branch < 0 || done->branch >= (*owner)->fork->size)
		return false;
	*thread = (*owner)->fork->threads[done->branch];
	return true;
}

/* The thread begins with the state that was undone, unless it begins with an earlier one. */
static void
begin_with(SagaRun *run, SagaThread *thread, const SagaDone *done)
{
	drop_fork(run, thread);
	thread->state = done->begin;
	thread->input = done->entered;
	thread->variables = done->begin_variables;
	thread->redriven_task = 0;
	thread->begun_again = true;
}

/* Goes through the list in its order: what is undone makes its thread begin there, and all behind it goes. */
static void
redrive_done(SagaRedriver *r)
{
	SagaRun    *run = r->run;
	int			kept = 0;
	int			i;

	for (i = 0; i < run->ndone; i++)
	{
		SagaDone	done = run->done[i];
		const SagaStanding *standing = stands(r, &done);
		SagaThread *owner;
		SagaThread *thread;
		bool		known = true;

		CHECK_FOR_INTERRUPTS();

		/*
		 * The thread begins before this visit, or what is around it does, so
		 * that the visit will be made anew.
		 */
		if (!place_of(run, &done, &owner, &thread) || (thread != NULL && thread->begun_again))
			continue;
		if (standing == NULL)
		{
			if (thread == NULL)
				thread = reopen(run, owner, done.branch);
			begin_with(run, thread, &done);
			continue;
		}

		/*
		 * What is known to be there leaves the record and stays in the list;
		 * what is not remains in the record alone.
		 */
		if (standing->entry)
			(void) find_entry(r, standing, &done, true, &known);
		if (known)
			run->done[kept++] = done;
	}
	run->ndone = kept;
}

/* Items of a Map that had failed, and were tolerated, are taken up again. */
static void
redrive_map(SagaThread *thread)
{
	SagaFork   *fork = thread->fork;
	SagaMapping *map = fork->map;
	int			i;

	for (i = 0; map->failed != NULL && i < map->next; i++)
	{
		if (!map->failed[i])
			continue;
		/* An item with neither a result nor a thread is one to be taken up. */
		fork->results[i] = NULL;
		fork->nopen++;
		map->again++;
	}
	map->failed = NULL;
	map->nfailed = 0;
}

/* All threads follow the event, and those that are not in the midst of something are ready. */
static void
redrive_threads(SagaRedriver *r, Jsonb *input)
{
	SagaRun    *run = r->run;
	dlist_iter	iter;

	dlist_foreach(iter, &run->threads)
	{
		SagaThread *thread = dlist_container(SagaThread, node, iter.cur);

		/* The event of the redrive has just been added. */
		thread->last_event = run->history.next_id - 1;
		thread->begun_again = false;
		if (thread->phase == SAGA_PHASE_CHILDREN && thread->fork->map != NULL)
		{
			/*
			 * The Map itself is not entered again, but each of its items that
			 * had failed is.
			 */
			redrive_map(thread);
			saga_thread_ready(run, thread, SAGA_PHASE_CHILDREN);
			r->entered += thread->fork->map->again;
		}
		else if (thread->phase != SAGA_PHASE_CHILDREN)
		{
			r->entered++;
			if (input != NULL)
				thread->input = input;
			saga_thread_ready(run, thread, SAGA_PHASE_ENTER);
		}
	}
}

/* ---------- the run ---------- */

/* Nobody undoes or settles any more what the record has and the run has not. */
static Jsonb *
close_entries(const Jsonb *entries)
{
	JsonbParseState *state = NULL;
	JsonbIterator *it = JsonbIteratorInit(&unconstify(Jsonb *, entries)->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	JsonbValue	closed;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		JsonbIterator *members;
		JsonbValue	member;

		if (token != WJB_ELEM)
			continue;
		if (!saga_asl_is_object(&value) || saga_asl_member(&value, "closed", &closed))
		{
			pushJsonbValue(&state, WJB_ELEM, &value);
			continue;
		}
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		members = JsonbIteratorInit(value.val.binary.data);
		while ((token = JsonbIteratorNext(&members, &member, true)) != WJB_DONE)
		{
			if (token == WJB_KEY || token == WJB_VALUE)
				pushJsonbValue(&state, token, &member);
		}
		/* of equal keys the last one stays */
		saga_doc_push_string(&state, "outcome", "unknown");
		saga_doc_push_bool(&state, "closed", true);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* What it came to before, without what is a part of it again. */
static Jsonb *
earlier(const SagaRedriver *r, const Jsonb *record)
{
	static const char *const names[] = {"compensated", "effects"};
	JsonbParseState *state = NULL;
	JsonbValue	value;
	int			i;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < lengthof(names); i++)
	{
		if (saga_jsonb_get(record, names[i], &value) && saga_asl_is_array(&value))
			saga_doc_push_jsonb(&state, names[i], saga_jsonb_from_value(&value));
	}
	if (r->not_compensated != NULL)
		saga_doc_push_jsonb(&state, "not_compensated", close_entries(r->not_compensated));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

List *
saga_run_point_calls(const SagaMachine *machine, const SagaRunEnv *env, Jsonb *point)
{
	SagaRun    *run = saga_run_thaw(machine, env, point);
	List	   *calls = NIL;
	dlist_iter	iter;

	dlist_foreach(iter, &run->threads)
		calls = lappend_int(calls, dlist_container(SagaThread, node, iter.cur)->call_id);
	return calls;
}

/* Its time begins anew, and nothing of it is done before it is called. */
SagaRun *
saga_run_redrive(const SagaMachine *machine, const SagaRunEnv *env, Jsonb *point, Jsonb *standing, Jsonb *record,
				 Jsonb *input, int redrives, TimestampTz now, int *entered)
{
	SagaRedriver r = {.run = saga_run_thaw(machine, env, point)};
	SagaRun    *run = r.run;
	SagaEventRecord *event;
	JsonbValue	value;

	run->now = now;
	run->redrives = run->env.redrive_count = redrives;
	run->deadline = machine->timeout_ms > 0 ? saga_asl_time_add_ms(now, machine->timeout_ms) : DT_NOEND;

	/*
	 * The counters come first, as the event below and new threads take theirs
	 * from them; what stands and the record must be known before the list is
	 * gone through.
	 */
	read_ids(run, standing);
	read_standing(&r, standing);
	if (saga_jsonb_get(record, "not_compensated", &value) && saga_asl_is_array(&value))
		r.not_compensated = saga_jsonb_from_value(&value);
	event = saga_history_add(&run->history, SAGA_EVENT_EXECUTION_REDRIVEN);
	event->timestamp = now;
	event->previous_id = run->history.next_id - 2;
	event->numbers[0] = (int64) redrives + 1;
	redrive_done(&r);
	redrive_threads(&r, input);
	/* By now the record is without what has become a part of the run again. */
	run->earlier = earlier(&r, record);
	*entered = r.entered;
	return run;
}
