/*
 * run.c
 *		A run of a machine, an event at a time: what saga.simulate() cannot do,
 *		which has a script and no second answers.  Frozen and thawed wherever it
 *		parks, if asked to.
 */
#include "fake.h"

#include "asl/asl.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "value/doc.h"

#define START	(INT64CONST(820540800) * USECS_PER_SEC) /* 2026-01-01 */

typedef struct TestRun
{
	SagaMachine *machine;
	SagaRunEnv	env;
	SagaRun    *run;
	TimestampTz now;
	JsonbContainer *fates;
	bool		thaw;
	StringInfoData out;
} TestRun;

static uint64
no_random(void *arg)
{
	return 0;
}

static char *
token_of(void *arg, int task_id, const SagaResource *resource)
{
	return psprintf("token %d", task_id);
}

/* "fates": {"task id": "done" ...}; of those that are not in it nothing is known */
static void
fate_of(void *arg, SagaWish wish, SagaOutside *call)
{
	TestRun    *test = arg;
	char	   *fate = fake_text(test->fates, psprintf("%d", call->task_id));

	call->destination = "there";
	call->message_id = psprintf("message %d", call->task_id);
	call->key = NULL;
	call->output = NULL;
	if (fate == NULL || strcmp(fate, "unknown") == 0)
		call->fate = SAGA_FATE_UNKNOWN;
	else if (strcmp(fate, "none") == 0)
		call->fate = SAGA_FATE_NONE;
	else if (strcmp(fate, "no effect") == 0)
		call->fate = SAGA_FATE_NO_EFFECT;
	else if (strcmp(fate, "in doubt") == 0)
		call->fate = SAGA_FATE_IN_DOUBT;
	else if (strcmp(fate, "done") == 0)
	{
		call->fate = SAGA_FATE_DONE;
		call->output = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{\"done\": true}")));
	}
	else
		elog(ERROR, "there is no fate \"%s\"", fate);
}

static SagaMachine *
compile(Jsonb *definition)
{
	List	   *diagnostics;
	SagaMachine *machine = saga_machine_compile(definition, &diagnostics);

	if (machine == NULL)
	{
		const SagaDiagnostic *first = linitial(diagnostics);

		elog(ERROR, "%s: %s", first->location, first->message);
	}
	return machine;
}

/* ---------- what it does ---------- */

static void
put_jsonb(StringInfo out, const char *name, Jsonb *value)
{
	if (value == NULL)
		return;
	fake_member(out, name);
	JsonbToCString(out, &value->root, VARSIZE(value));
}

static void
put_row(TestRun *test, const char *what)
{
	fake_next(&test->out);
	appendStringInfoChar(&test->out, '{');
	fake_put_int(&test->out, "at", (test->now - START) / 1000);
	fake_put_text(&test->out, "what", what);
	fake_member(&test->out, "more");
	appendStringInfoChar(&test->out, '{');
}

static void
put_action(TestRun *test, const SagaAction *action)
{
	if (action->kind == SAGA_ACTION_TASK)
	{
		put_row(test, psprintf("%s %d: %s", action->compensation ? "undo" : "task", action->task_id, action->state_name));
		put_jsonb(&test->out, "input", action->input);
		if (action->timeout_ms != 0)
			fake_put_int(&test->out, "timeout", action->timeout_ms);
	}
	else if (action->kind == SAGA_ACTION_PARK)
	{
		put_row(test, "park");
		if (action->wake_at != DT_NOEND)
			fake_put_int(&test->out, "wake_at", (action->wake_at - START) / 1000);
	}
	else
	{
		put_row(test, saga_asl_status_name(action->status));
		if (action->error != NULL)
			fake_put_text(&test->out, "error", action->error);
		put_jsonb(&test->out, "output", action->output);
		put_jsonb(&test->out, "compensated", action->compensated);
		put_jsonb(&test->out, "not_compensated", action->not_compensated);
		put_jsonb(&test->out, "effects", action->effects);
	}
	appendStringInfoString(&test->out, "}}");
}

/* ---------- what happens to it ---------- */

static Jsonb *
value_of(JsonbContainer *event, const char *name)
{
	return JsonbValueToJsonb(saga_doc_get(event, name));
}

/* "of": the task, or the last one that was called.  Says whether it was open still. */
static void
answer(TestRun *test, JsonbContainer *event, int last_task)
{
	int			task = (int) fake_int(event, "of", last_task);
	SagaTaskError error = {
		.error = fake_text(event, "fail"),
		.cause = "as the test says",
		.in_doubt = fake_bool(event, "in_doubt")
	};
	bool		taken = true;

	if (fake_has(event, "succeed"))
		taken = saga_run_task_succeeded(test->run, task, value_of(event, "succeed"), test->now);
	else if (fake_has(event, "fail"))
		taken = saga_run_task_failed(test->run, task, &error, test->now);
	else if (fake_has(event, "heartbeat"))
		taken = saga_run_task_heartbeat(test->run, task, test->now);
	else
		saga_run_task_parked(test->run, task, NULL, test->now);
	if (taken)
		return;
	put_row(test, psprintf("not taken for %d", task));
	appendStringInfoString(&test->out, "}}");
}

static void
happen(TestRun *test, JsonbContainer *event, int last_task)
{
	test->now += fake_int(event, "after", 0) * 1000 + fake_int(event, "us", 0);
	if (fake_has(event, "stop"))
		saga_run_stop(test->run, "Stopped", fake_text(event, "stop"), fake_bool(event, "compensate"), test->now);
	else if (fake_has(event, "give_up"))
		saga_run_give_up(test->run, fake_text(event, "give_up"), "as the test says", test->now);
	else if (fake_has(event, "kill"))
		saga_run_kill(test->run, fake_text(event, "kill"), "as the test says", test->now);
	else if (fake_has(event, "succeed") || fake_has(event, "fail") || fake_has(event, "heartbeat") || fake_has(event, "parked"))
		answer(test, event, last_task);
}

/*
 * run(definition jsonb, input jsonb, events jsonb, thaw boolean, fates jsonb): each thing that it does, and then the next
 * event, until it ends or there is none left.
 */
PG_FUNCTION_INFO_V1(saga_test_run);

Datum
saga_test_run(PG_FUNCTION_ARGS)
{
	TestRun		test = {.now = START, .thaw = PG_GETARG_BOOL(3), .fates = &PG_GETARG_JSONB_P(4)->root};
	Jsonb	   *input = PG_GETARG_JSONB_P(1);
	Jsonb	   *events = PG_GETARG_JSONB_P(2);
	int			last_task = 0;
	SagaAction	action;

	test.machine = compile(PG_GETARG_JSONB_P(0));
	test.env = (SagaRunEnv)
	{
		.execution_id = "id", .execution_name = "name", .role = "owner", .machine_id = "machine",
			.machine_name = "machine", .started_at = START, .random = no_random, .make_token = token_of,
			.distributed = true, .call_fate = fate_of, .arg = &test
	};
	initStringInfo(&test.out);
	appendStringInfoChar(&test.out, '[');
	test.run = saga_run_start(test.machine, &test.env, input, test.now);
	for (int i = 0;; i++)
	{
		saga_run_next(test.run, test.now, &action);
		put_action(&test, &action);
		if (action.kind == SAGA_ACTION_TASK)
			last_task = action.task_id;
		if (action.kind == SAGA_ACTION_FINISHED || i == JB_ROOT_COUNT(events))
			break;
		if (action.kind == SAGA_ACTION_PARK && test.thaw)
			test.run = saga_run_thaw(test.machine, &test.env, saga_run_freeze(test.run));
		happen(&test, fake_object_at(&events->root, i), last_task);
	}
	appendStringInfoChar(&test.out, ']');
	PG_RETURN_DATUM(fake_result(&test.out));
}
