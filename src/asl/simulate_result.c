/*
 * simulate_result.c
 *		What saga.simulate() tells of a run.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "asl/history_private.h"
#include "asl/simulate_private.h"
#include "value/doc.h"

static void
push_jsonb(JsonbParseState **state, const char *name, Jsonb *value)
{
	if (value == NULL)
		return;
	saga_jsonb_push_key(state, name);
	saga_jsonb_push(state, WJB_VALUE, value);
}

/* Half of what fits into one jsonb; the rest of the result is little. */
#define SAGA_MAX_EVENT_BYTES	((Size) 32 * 1024 * 1024)

/* The events so far.  Each is a document of its own, whose bytes go into the result as they are. */
typedef struct Events
{
	JsonbValue *list;
	int			count;
	int			room;
}			Events;

static void
add_event(const SagaEvent *event, void *arg)
{
	Events	   *events = arg;
	JsonbParseState *state = NULL;
	JsonbValue	details;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(&state, "id");
	saga_jsonb_push_int64(&state, WJB_VALUE, event->id);
	saga_jsonb_push_key(&state, "previous_id");
	saga_jsonb_push_int64(&state, WJB_VALUE, event->previous_id);
	saga_doc_push_string(&state, "type", event->type);
	saga_doc_push_string(&state, "timestamp", saga_asl_format_rfc3339(event->timestamp));
	saga_jsonb_value(event->details, &details);
	if (events->count == events->room)
	{
		events->room = Max(16, 2 * events->room);
		events->list = events->list == NULL ? palloc(events->room * sizeof(JsonbValue)) :
			repalloc(events->list, events->room * sizeof(JsonbValue));
	}
	saga_jsonb_value(saga_doc_with_member(pushJsonbValue(&state, WJB_END_OBJECT, NULL), "details", &details),
					 &events->list[events->count++]);
}

static void
read_events(SagaSimulation *sim, JsonbValue *value)
{
	Size		room = SAGA_MAX_EVENT_BYTES;
	Events		events = {0};
	ListCell   *lc;

	foreach(lc, sim->histories)
		saga_history_decode(lfirst(lc), NULL, NULL, &room, add_event, &events);
	saga_value_set_array(value, events.list, events.count);
}

/* The stored values, in hexadecimal. */
static void
push_raw_history(SagaSimulation *sim, JsonbParseState **state)
{
	ListCell   *lc;

	saga_jsonb_push_key(state, "history");
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, sim->histories)
	{
		bytea	   *history = lfirst(lc);
		StringInfoData buf;
		int			i;

		initStringInfo(&buf);
		for (i = 0; i < VARSIZE_ANY_EXHDR(history); i++)
			appendStringInfo(&buf, "%02x", (unsigned char) VARDATA_ANY(history)[i]);
		saga_jsonb_push_string(state, WJB_ELEM, buf.data);
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

static void
push_task(SagaSimulation *sim, JsonbParseState **state)
{
	const SagaAction *action = &sim->action;

	saga_jsonb_push_key(state, "task");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(state, "state", action->state_name);
	saga_doc_push_string(state, "resource", action->resource->text);
	push_jsonb(state, "input", action->input);
	if (action->token != NULL)
		saga_doc_push_string(state, "token", action->token);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* "microseconds" is the time of all the runs. */
Jsonb *
saga_simulation_result(SagaSimulation *sim, double microseconds)
{
	const SagaAction *action = &sim->action;
	JsonbParseState *state = NULL;
	JsonbValue	events;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_doc_push_string(&state, "status", saga_asl_status_name(saga_run_status(sim->run)));
	if (action->kind == SAGA_ACTION_FINISHED && action->status == SAGA_SUCCEEDED)
		push_jsonb(&state, "output", action->output);
	else if (action->kind == SAGA_ACTION_FINISHED)
	{
		if (action->error != NULL)
			saga_doc_push_string(&state, "error", action->error);
		if (action->cause != NULL)
			saga_doc_push_string(&state, "cause", action->cause);
	}
	else
		saga_doc_push_string(&state, "current_state", saga_run_current_state(sim->run));
	push_jsonb(&state, "compensated", action->compensated);
	push_jsonb(&state, "not_compensated", action->not_compensated);
	if (sim->unanswered)
		push_task(sim, &state);
	if (sim->raw_history)
		push_raw_history(sim, &state);
	if (sim->repeat > 1)
	{
		saga_jsonb_push_key(&state, "nanoseconds");
		saga_jsonb_push_int64(&state, WJB_VALUE, (int64) (microseconds * 1000 / sim->repeat));
	}
	read_events(sim, &events);
	return saga_doc_with_member(pushJsonbValue(&state, WJB_END_OBJECT, NULL), "events", &events);
}
