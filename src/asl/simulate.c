/*
 * simulate.c
 *		saga.simulate(): a run without a server behind it.
 *
 * The clock is virtual: it jumps to the next wait, retry, time limit or
 * scripted answer.  Tasks are answered from a script by state name or
 * resource.  It is a dry run for people, and the way the interpreter is
 * tested and fuzzed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "asl/random_private.h"
#include "asl/run_private.h"
#include "asl/simulate_private.h"

PG_FUNCTION_INFO_V1(saga_simulate);

/* As at AWS: what loops for ever ends here. */
#define SAGA_DEFAULT_EVENTS 25000
#define SAGA_MAX_REPEAT 10000000

/* ---------- environment ---------- */

/* The same run every time. */
static uint64
saga_simulate_random(void *arg)
{
	SagaSimulation *sim = arg;

	return saga_splitmix64(&sim->random_state);
}

static char *
saga_simulate_token(void *arg, int task_id, const SagaResource *resource)
{
	return psprintf("token-%d", task_id);
}

static void
saga_bad_option(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for simulation option \"%s\"", name)));
}

static bool
saga_option_bool(const JsonbValue *options, const char *name, bool absent)
{
	JsonbValue	value;

	if (!saga_member(options, name, &value))
		return absent;
	if (value.type != jbvBool)
		saga_bad_option(name);
	return value.val.boolean;
}

static int64
saga_option_int(const JsonbValue *options, const char *name, int64 min, int64 max, int64 absent)
{
	JsonbValue	value;
	int64		result;

	if (!saga_member(options, name, &value))
		return absent;
	if (saga_number_to_int64(&value, min, max, &result) != SAGA_NUMBER_OK)
		saga_bad_option(name);
	return result;
}

static char *
saga_option_string(const JsonbValue *options, const char *name, char *absent)
{
	JsonbValue	value;

	if (!saga_member(options, name, &value))
		return absent;
	if (value.type == jbvNull)
		return NULL;
	if (value.type != jbvString)
		saga_bad_option(name);
	return saga_string_of(&value);
}

/* {"stop": {"after": seconds, "error", "cause", "compensate"}} */
static void
saga_option_stop(SagaSimulation *sim, const JsonbValue *options)
{
	JsonbValue	stop;

	sim->stop_at = DT_NOEND;
	if (!saga_member(options, "stop", &stop))
		return;
	if (!saga_is_object(&stop))
		saga_bad_option("stop");
	sim->stop_at = sim->start + saga_option_int(&stop, "after", 0, SAGA_MAX_SECONDS, 0) * USECS_PER_SEC;
	sim->stop_error = saga_option_string(&stop, "error", NULL);
	sim->stop_cause = saga_option_string(&stop, "cause", NULL);
	sim->stop_compensate = saga_option_bool(&stop, "compensate", true);
}

static bool
saga_object_of(Jsonb *jsonb, JsonbValue *value)
{
	value->type = jbvBinary;
	value->val.binary.data = &jsonb->root;
	value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
	return JB_ROOT_IS_OBJECT(jsonb);
}

static void
saga_read_options(SagaSimulation *sim, const JsonbValue *options)
{
	static const char *const known[] = {
		"start_time", "freeze", "repeat", "seed", "type", "data_limit", "max_events", "name", "stop",
		"history"
	};
	SagaCheck	check = {.diagnostics_context = CurrentMemoryContext};
	SagaLocation at = {0};
	char	   *text;

	saga_check_known(&check, options, &at, known, lengthof(known));
	if (check.failed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized simulation option at \"%s\"",
						((SagaDiagnostic *) linitial(check.diagnostics))->location)));
	sim->start = GetCurrentTransactionStartTimestamp();
	text = saga_option_string(options, "start_time", NULL);
	if (text != NULL && !saga_timestamp_parse(text, strlen(text), &sim->start, NULL))
		saga_bad_option("start_time");
	text = saga_option_string(options, "type", "STANDARD");
	sim->env.express = text != NULL && strcmp(text, "EXPRESS") == 0;
	if (!sim->env.express && (text == NULL || strcmp(text, "STANDARD") != 0))
		saga_bad_option("type");
	sim->freeze = saga_option_bool(options, "freeze", false);
	sim->raw_history = saga_option_bool(options, "history", false);
	sim->repeat = saga_option_int(options, "repeat", 1, SAGA_MAX_REPEAT, 1);
	sim->random_state = saga_option_int(options, "seed", 0, PG_INT64_MAX, 0);
	sim->max_events = saga_option_int(options, "max_events", 1, PG_INT32_MAX, SAGA_DEFAULT_EVENTS);
	sim->env.data_limit = saga_option_int(options, "data_limit", 0, PG_INT64_MAX, 262144);
	sim->env.execution_name = saga_option_string(options, "name", "simulation");
	saga_option_stop(sim, options);

	sim->env.execution_id = psprintf("arn:aws:states:us-east-1:111111111111:%s:simulation:%s%s",
									 sim->env.express ? "express" : "execution",
									 sim->env.execution_name ? sim->env.execution_name : "",
									 sim->env.express ? ":1" : "");
	sim->env.role = GetUserNameFromId(GetUserId(), false);
	sim->env.machine_id = "arn:aws:states:us-east-1:111111111111:stateMachine:simulation";
	sim->env.machine_name = "simulation";
	sim->env.started_at = sim->start;
	sim->env.random = saga_simulate_random;
	sim->env.make_token = saga_simulate_token;
	sim->env.arg = sim;
}

/* ---------- answers ---------- */

static SagaScript *
saga_find_script(SagaSimulation *sim, const SagaAction *action)
{
	SagaScript *script;
	ListCell   *lc;

	foreach(lc, sim->scripts)
	{
		script = lfirst(lc);
		if (script->state_name == action->state_name)
			return script;
	}
	script = palloc0(sizeof(SagaScript));
	script->state_name = action->state_name;
	script->known = saga_member(&sim->responses, action->state_name, &script->answer) ||
		saga_member(&sim->responses, action->resource->text, &script->answer);
	sim->scripts = lappend(sim->scripts, script);
	return script;
}

/* The answer to this call; false when the script has none. */
static bool
saga_next_answer(SagaSimulation *sim, const SagaAction *action, JsonbValue *answer)
{
	SagaScript *script = saga_find_script(sim, action);
	int			call = script->calls++;
	JsonbValue *element;

	if (!script->known)
		return false;
	*answer = script->answer;
	if (!saga_is_array(answer))
		return true;
	element = getIthJsonbValueFromContainer(answer->val.binary.data, call);
	if (element == NULL)
		return false;
	*answer = *element;
	return true;
}

static void
saga_wrong_answer(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid simulated response"),
			 errhint("A response is \"echo\", \"none\", {\"output\": ...} or {\"error\": ..., \"cause\": ...}, or a list of these.")));
}

static bool
saga_answer_is(const JsonbValue *answer, const char *word)
{
	return answer->type == jbvString && answer->val.string.len == strlen(word) &&
		memcmp(answer->val.string.val, word, strlen(word)) == 0;
}

static void
saga_give_answer(SagaSimulation *sim, int task_id, const JsonbValue *answer, Jsonb *input)
{
	JsonbValue	value;

	if (saga_answer_is(answer, "echo"))
		(void) saga_run_task_succeeded(sim->run, task_id, input, sim->now);
	else if (!saga_is_object(answer))
		saga_wrong_answer();
	else if (saga_member(answer, "output", &value))
	{
		Jsonb	   *output;

		if (value.type == jbvBinary)
		{
			output = palloc(VARHDRSZ + value.val.binary.len);
			SET_VARSIZE(output, VARHDRSZ + value.val.binary.len);
			memcpy(VARDATA(output), value.val.binary.data, value.val.binary.len);
		}
		else
			output = JsonbValueToJsonb(&value);
		(void) saga_run_task_succeeded(sim->run, task_id, output, sim->now);
	}
	else if (saga_member(answer, "error", &value) || saga_member(answer, "cause", &value))
	{
		SagaTaskError error = {0};

		error.error = saga_option_string(answer, "error", NULL);
		error.cause = saga_option_string(answer, "cause", NULL);
		(void) saga_run_task_failed(sim->run, task_id, &error, sim->now);
	}
	else
		saga_wrong_answer();
}

/* {"after": seconds, "heartbeat": seconds, ...}, "none" */
static void
saga_answer_later(SagaSimulation *sim, const SagaAction *action, const JsonbValue *answer,
				  int64 after, int64 heartbeat)
{
	SagaPending *pending = palloc0(sizeof(SagaPending));

	pending->task_id = action->task_id;
	pending->at = after < 0 ? DT_NOEND : sim->now + after * USECS_PER_SEC;
	pending->heartbeat_ms = heartbeat * 1000;
	pending->heartbeat_at = heartbeat > 0 ? sim->now + heartbeat * USECS_PER_SEC : DT_NOEND;
	pending->answer = *answer;
	pending->input = action->input;
	sim->pending = lappend(sim->pending, pending);
	saga_run_task_parked(sim->run, action->task_id, NULL, sim->now);
}

/* Returns false when the script has no answer: the simulation ends there. */
static bool
saga_answer_task(SagaSimulation *sim, const SagaAction *action)
{
	JsonbValue	answer;
	int64		after = 0;
	int64		heartbeat = 0;

	if (!saga_next_answer(sim, action, &answer))
	{
		if (action->resource->kind != SAGA_RES_UNDO_CHILDREN)
			return false;
		/* they undo what they did, unless the script has something else */
		answer.type = jbvString;
		answer.val.string.val = pstrdup("echo");
		answer.val.string.len = strlen("echo");
	}
	if (saga_answer_is(&answer, "none"))
		saga_answer_later(sim, action, &answer, -1, 0);
	else
	{
		if (saga_is_object(&answer))
		{
			after = saga_option_int(&answer, "after", 0, SAGA_MAX_SECONDS, 0);
			heartbeat = saga_option_int(&answer, "heartbeat", 1, SAGA_MAX_SECONDS, 0);
		}
		/* a worker of an activity takes the task at once */
		(void) saga_run_task_started(sim->run, action->task_id, NULL, sim->now);
		if (after > 0 || action->resource->wait_for_token)
			saga_answer_later(sim, action, &answer, after, heartbeat);
		else
			saga_give_answer(sim, action->task_id, &answer, action->input);
	}
	return true;
}

/* ---------- the clock ---------- */

/* The pending answer or heartbeat that comes next. */
static SagaPending *
saga_next_pending(SagaSimulation *sim, TimestampTz *at)
{
	SagaPending *next = NULL;
	ListCell   *lc;

	*at = DT_NOEND;
	foreach(lc, sim->pending)
	{
		SagaPending *pending = lfirst(lc);
		TimestampTz when = Min(pending->at, pending->heartbeat_at);

		if (when < *at)
		{
			*at = when;
			next = pending;
		}
	}
	return next;
}

static void
saga_deliver(SagaSimulation *sim, SagaPending *pending)
{
	if (pending->heartbeat_at < pending->at)
	{
		if (saga_run_task_heartbeat(sim->run, pending->task_id, sim->now))
			pending->heartbeat_at += pending->heartbeat_ms * 1000;
		else
			sim->pending = list_delete_ptr(sim->pending, pending);
		return;
	}
	sim->pending = list_delete_ptr(sim->pending, pending);
	saga_give_answer(sim, pending->task_id, &pending->answer, pending->input);
}

static void
saga_freeze_and_thaw(SagaSimulation *sim)
{
	Jsonb	   *frozen = saga_run_freeze(sim->run);

	sim->histories = lappend(sim->histories, saga_run_history(sim->run, NULL, NULL));
	sim->run = saga_run_thaw(sim->machine, &sim->env, frozen);
}

/* Moves the clock on; false when nothing will ever happen. */
static bool
saga_sleep(SagaSimulation *sim, TimestampTz wake_at)
{
	TimestampTz at;
	SagaPending *pending = saga_next_pending(sim, &at);

	if (sim->freeze)
		saga_freeze_and_thaw(sim);
	if (sim->stop_at <= wake_at && sim->stop_at <= at && sim->stop_at != DT_NOEND)
	{
		sim->now = Max(sim->now, sim->stop_at);
		sim->stop_at = DT_NOEND;
		saga_run_stop(sim->run, sim->stop_error, sim->stop_cause, sim->stop_compensate, sim->now);
		return true;
	}
	if (at < wake_at)
	{
		sim->now = Max(sim->now, at);
		saga_deliver(sim, pending);
		return true;
	}
	if (TIMESTAMP_IS_NOEND(wake_at))
		return false;
	sim->now = Max(sim->now, wake_at);
	return true;
}

/* ---------- one run ---------- */

void
saga_simulation_run(SagaSimulation *sim)
{
	sim->now = sim->start;
	sim->scripts = NIL;
	sim->pending = NIL;
	sim->histories = NIL;
	sim->unanswered = false;
	sim->run = saga_run_start(sim->machine, &sim->env, sim->input, sim->now);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (saga_run_event_count(sim->run) > sim->max_events)
			saga_run_kill(sim->run, "States.Runtime",
						  "The execution reached the maximum number of history events.", sim->now);
		saga_run_next(sim->run, sim->now, &sim->action);
		if (sim->action.kind == SAGA_ACTION_FINISHED)
			break;
		if (sim->action.kind == SAGA_ACTION_TASK && !saga_answer_task(sim, &sim->action))
		{
			sim->unanswered = true;
			break;
		}
		if (sim->action.kind == SAGA_ACTION_PARK && !saga_sleep(sim, sim->action.wake_at))
			break;
	}
	sim->histories = lappend(sim->histories, saga_run_history(sim->run, NULL, NULL));
}

/* ---------- the function ---------- */

SagaMachine *
saga_simulation_compile(Jsonb *definition, bool express)
{
	List	   *diagnostics = NIL;
	SagaMachine *machine = saga_machine_compile_type(definition, express, &diagnostics);

	if (machine == NULL)
		saga_check_raise(diagnostics, "saga.validate() lists all faults.");
	return machine;
}

void
saga_simulation_set(SagaSimulation *sim, Jsonb *input, Jsonb *responses, Jsonb *options)
{
	JsonbValue	value;

	if (!saga_object_of(responses, &sim->responses))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("responses must be an object")));
	if (!saga_object_of(options, &value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be an object")));
	sim->input = input;
	saga_read_options(sim, &value);
}

/*
 * simulate(definition jsonb, input jsonb, responses jsonb, options jsonb)
 */
Datum
saga_simulate(PG_FUNCTION_ARGS)
{
	SagaSimulation sim = {0};
	MemoryContext context;
	MemoryContext old;
	instr_time	start;
	instr_time	duration;
	int64		i;

	saga_simulation_set(&sim, PG_GETARG_JSONB_P(1), PG_GETARG_JSONB_P(2), PG_GETARG_JSONB_P(3));
	sim.machine = saga_simulation_compile(PG_GETARG_JSONB_P(0), sim.env.express);

	context = AllocSetContextCreate(CurrentMemoryContext, "saga simulation", ALLOCSET_DEFAULT_SIZES);
	INSTR_TIME_SET_CURRENT(start);
	for (i = 0; i < sim.repeat; i++)
	{
		MemoryContextReset(context);
		old = MemoryContextSwitchTo(context);
		saga_simulation_run(&sim);
		MemoryContextSwitchTo(old);
	}
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);
	PG_RETURN_JSONB_P(saga_simulation_result(&sim, INSTR_TIME_GET_DOUBLE(duration) * 1000000.0));
}
