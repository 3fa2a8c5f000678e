/*
 * task_private.h
 *		Tasks of executions: whom they are given to, and how they are answered.
 */
#ifndef SAGA_ENGINE_TASK_PRIVATE_H
#define SAGA_ENGINE_TASK_PRIVATE_H

#include "engine/engine_private.h"

/* ---------- tasks (task.c) ---------- */

/* Starts the task of an action and answers the run. */
extern void saga_engine_task_start(SagaBatch *batch, SagaJob *job, const SagaAction *action);

/* ---------- answers to tasks of others, and as SQS answers (answer_task.c, sqs_digest.c) ---------- */

/* MD5OfMessageAttributes, as SQS has it (sqs_digest.c); false: there are none, or no MD5. */
extern bool saga_engine_sqs_attributes_md5(Jsonb *attributes, char *hex);

/* A step that answers another execution's task (answer_task.c); false: the resource is no such one. */
extern bool saga_engine_answer_start(SagaBatch *batch, SagaJob *job, const SagaAction *action);

/* ---------- activities (activity.c, activity_task.c) ---------- */

/* The queue of the activity that a definition names; NULL: there is none that the workflow's owner may use. */
extern const SagaQueue *saga_activity_meant(const SagaJob *job, const char *name);

/* May the caller take its tasks, and answer them? */
extern bool saga_activity_may_work(int32 activity_id);

/*
 * A task of an activity, in the transaction of its run, which alone writes of
 * it: it waits for a worker (open), has one (started), and is done (closed).
 * wanted: as it is now; a worker that finds that it is not passes it over.
 * fate: it is let go, and withdrawn unless a worker has it.
 */
extern void saga_activity_task_open(const SagaQueue *activity, const SagaJob *job, const SagaAction *action);
extern void saga_activity_task_started(const pg_uuid_t *execution_id, int task_id, const char *worker);
extern void saga_activity_task_closed(const pg_uuid_t *execution_id, int task_id);
extern bool saga_activity_task_wanted(const SagaMessage *message);
extern bool saga_activity_has_tasks(int32 activity_id);
extern void saga_activity_fate(const pg_uuid_t *execution_id, SagaWish wish, SagaOutside *call);

/* ---------- user code that is no step's function (guarded.c) ---------- */

/*
 * Calls "function" for a task.  In a careful run with a savepoint: what it
 * raises is its failure, as a step's is.  It returns NULL, and sets *error, when it fails.
 */
typedef Jsonb *(*SagaTaskFunction) (SagaJob *job, const SagaAction *action, void *arg, const char **error, char **cause);
extern Jsonb *saga_engine_task_guarded(SagaBatch *batch, SagaJob *job, const SagaAction *action, SagaTaskFunction function,
									   void *arg, const char **error, char **cause);

/* What an ARN meant when the execution's version was made, or means now; NULL: nothing. */
extern const SagaResource *saga_engine_task_binding(const SagaJob *job, const char *arn, bool by_function_name);
extern void saga_engine_task_answer(SagaJob *job, const SagaAction *action, Jsonb *output, const char *error,
									const char *cause);

/* A parameter that is a document; "absent" where it is none, or null. */
extern Jsonb *saga_engine_task_document(Jsonb *parameters, const char *name, Jsonb *absent);

#endif							/* SAGA_ENGINE_TASK_PRIVATE_H */
