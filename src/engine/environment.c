/*
 * environment.c
 *		The run of a job: what the interpreter is given of the world around it, and
 *		what has happened since it was frozen.
 */
#include "postgres.h"

#include "common/clock.h"
#include "common/guc.h"
#include "engine/batch_private.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/event_private.h"
#include "engine/execution_private.h"
#include "engine/task_private.h"
#include "engine/workflow_private.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "utils/memutils.h"

/* For the interpreter: 64 random bits. */
static uint64
env_random(void *arg)
{
	uint64		value = 0;

	if (!pg_strong_random(&value, sizeof(value)))
		elog(ERROR, "could not generate random values");
	return value;
}

/* For the interpreter: the token of a task, of an activity's with the activity. */
static char *
env_make_token(void *arg, int task_id, const SagaResource *resource)
{
	SagaJob    *job = arg;
	SagaTaskToken token = {.workflow_id = job->queue->queue_id, .execution_id = job->execution_id, .task_id = task_id};
	const SagaQueue *activity;

	if (resource->kind == SAGA_RES_ACTIVITY)
	{
		activity = saga_activity_meant(job, resource->name);
		token.activity_id = activity != NULL ? activity->queue_id : 0;
	}
	return saga_token_make(&token);
}

/* For the interpreter: what is known of a call, of whichever kind it is. */
static void
env_call_fate(void *arg, SagaWish wish, SagaOutside *call)
{
	SagaJob    *job = arg;

	if (wish == SAGA_WISH_ADOPT)
	{
		saga_outbox_adopt(&job->parent_id, &job->execution_id, call);
		return;
	}
	if (call->activity)
	{
		saga_activity_fate(&job->execution_id, wish, call);
		return;
	}
	if (saga_machine_has_children(job->machine) && saga_children_fate(job, wish, call))
		return;
	saga_outbox_fate(&job->execution_id, wish, call);
}

/*
 * What its steps see of it.  One that undoes what another has left is as if it
 * was that one: handlers know what is theirs by the execution's id.
 */
void
saga_job_environment(SagaJob *job)
{
	SagaRunEnv *env = &job->env;
	const char *name = job->name;

	env->execution_id = saga_uuid_to_cstring(saga_job_undoes(job) ? &job->parent_id : &job->execution_id);
	if (saga_job_undoes(job))
		name = saga_store_ended_name(&job->parent_id);
	env->execution_name = name ? name : env->execution_id;
	env->role = GetUserNameFromId(job->queue->owner, true);
	env->machine_id = job->queue->name;
	env->machine_name = job->queue->name;
	env->started_at = job->started_at;
	env->data_limit = (int64) saga_payload_limit_kb * 1024;
	env->random = env_random;
	env->make_token = env_make_token;
	env->distributed = true;
	/* who waits for one starts it again */
	env->redrivable = !saga_job_undoes(job) && !saga_job_is_child(job);
	env->call_fate = env_call_fate;
	env->arg = job;
	job->machine = saga_workflow_machine(job->queue->queue_id, job->version);
}

/* Begins the run, or thaws it. */
static void
set_up_run(SagaJob *job)
{
	uint64		begun_at;

	saga_job_environment(job);
	begun_at = saga_monotonic_us();
	if (job->frozen)
	{
		job->run = saga_run_thaw(job->machine, &job->env, job->frozen);
		job->thaw_us = saga_monotonic_us() - begun_at;
	}
	else if (job->map_state != NULL)
		job->run = saga_run_start_item(job->machine, job->map_state, &job->env, job->input, job->started_at);
	else
		job->run = saga_run_start(job->machine, &job->env, job->input, job->started_at);
}

/* What an event says of a task: a heartbeat, a result or an error. */
static void
feed_answer(SagaJob *job, int task_id, Jsonb *body, TimestampTz now)
{
	SagaTaskError error = {0};
	JsonbValue	v;

	if (saga_jsonb_get(body, "heartbeat", &v))
		saga_run_task_heartbeat(job->run, task_id, now);
	else if (saga_jsonb_get(body, "output", &v))
		saga_run_task_succeeded(job->run, task_id, saga_jsonb_from_value(&v), now);
	else
	{
		error.error = saga_jsonb_get_string(body, "error");
		error.cause = saga_jsonb_get_string(body, "cause");
		error.other = saga_jsonb_get_string(body, "other");
		error.in_doubt = saga_jsonb_get(body, "in_doubt", &v) && v.type == jbvBool && v.val.boolean;
		saga_run_task_failed(job->run, task_id, &error, now);
	}
}

/* A worker of an activity has the task, or has done something with it: then it has it, whichever event comes first. */
static void
feed_worker(SagaJob *job, int task_id, Jsonb *body, TimestampTz now)
{
	const char *worker = saga_jsonb_get_string(body, "worker");

	(void) saga_run_task_started(job->run, task_id, worker, now);
	if (saga_engine_event_is_answer(body))
		saga_activity_task_closed(&job->execution_id, task_id);
	else
		saga_activity_task_started(&job->execution_id, task_id, worker);
}

/* What somebody says who has the token of a task. */
static void
feed_token(SagaJob *job, const char *text, Jsonb *body, TimestampTz now)
{
	int			task_id = saga_run_find_token(job->run, text);
	SagaTaskToken token;
	JsonbValue	v;

	if (task_id == 0)
		return;
	if (saga_token_parse(text, &token) && token.activity_id != 0)
		feed_worker(job, task_id, body, now);
	if (!saga_jsonb_get(body, "started", &v))
		feed_answer(job, task_id, body, now);
	if (saga_engine_event_is_answer(body))
		saga_outbox_answered(job->queue->queue_id, &job->execution_id, task_id, saga_jsonb_get(body, "output", &v));
}

/* What is stale (the task has ended, the token is not known) is ignored. */
static void
feed_event(SagaJob *job, Jsonb *body, TimestampTz now)
{
	JsonbValue	v;

	if (body == NULL || !JB_ROOT_IS_OBJECT(body))
		return;
	if (saga_jsonb_get(body, "stop", &v))
	{
		Jsonb	   *stop = saga_jsonb_from_value(&v);
		bool		compensate = saga_jsonb_get(stop, "compensate", &v) &&
		v.type == jbvBool && v.val.boolean;

		job->stopped = true;
		saga_run_stop(job->run, saga_jsonb_get_string(stop, "error"),
					  saga_jsonb_get_string(stop, "cause"), compensate, now);
	}
	else if (saga_jsonb_get(body, "token", &v))
		feed_token(job, saga_jsonb_get_string(body, "token"), body, now);
	else if (saga_jsonb_get(body, "task", &v) && v.type == jbvNumeric)
	{
		bool		error = false;
		int			task_id = numeric_int4_opt_error(v.val.numeric, &error);

		if (!error)
			feed_answer(job, task_id, body, now);
	}
}

void
saga_job_begin(SagaJob *job, TimestampTz now)
{
	int			i;

	set_up_run(job);
	for (i = 0; i < job->nevents; i++)
		if (job->events[i]->kind == SAGA_MSG_EVENT)
			feed_event(job, job->events[i]->body, now);
}

void
saga_job_of_start(SagaJob *job, SagaItem *item)
{
	job->version = item->version;
	job->input = item->body ? item->body : saga_jsonb_empty_object();
	job->name = item->headers ? saga_jsonb_get_string(item->headers, "name") : NULL;
	job->started_at = item->sent_at;
	saga_child_of_headers(job, item->headers);
}
