/*
 * task.c
 *		Starting the task of a state: a SQL function at once, anything outside
 *		through the outbox.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/base64.h"
#include "common/cryptohash.h"
#include "common/md5.h"
#include "common/sha2.h"
#include "engine/children_private.h"
#include "engine/engine_private.h"
#include "engine/step_private.h"
#include "engine/task_private.h"
#include "engine/workflow_private.h"
#include "miscadmin.h"
#include "outbox/outbox.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "value/doc.h"

typedef struct ContextArg
{
	SagaJob    *job;
	int			task_id;
} ContextArg;

/* What a SQL function with two arguments gets as its second one; made only when it has two. */
static Jsonb *
step_context_object(void *arg)
{
	ContextArg *c = arg;

	return saga_run_context(c->job->run, c->task_id);
}

/* ---------- SQL ---------- */

typedef struct StepCall
{
	const char *function;
	Jsonb	   *input;
} StepCall;

/* For saga_engine_task_guarded(): the function of a step, with a StepCall. */
static Jsonb *
call_step(SagaJob *job, const SagaAction *action, void *arg, const char **error, char **cause)
{
	const StepCall *call = arg;
	ContextArg	context = {job, action->task_id};

	return saga_step_call(call->function, call->input, step_context_object, &context, action->timeout_ms, error, cause);
}

/* A step that is a SQL function: its result, or NULL and *error. */
static Jsonb *
run_sql(SagaBatch *batch, SagaJob *job, const SagaAction *action, const char *function, Jsonb *input,
		const char **error, char **cause)
{
	StepCall	call = {function, input};

	return saga_engine_task_guarded(batch, job, action, call_step, &call, error, cause);
}

/* ---------- outbox ---------- */

/*
 * Equal for all attempts of one visit of a state, different for any other, and
 * for any other execution: whoever may give ids must not find one whose keys
 * are those of another's calls.
 */
static pg_uuid_t
idempotency_key(const SagaJob *job, const SagaAction *action)
{
	const pg_uuid_t *execution_id = saga_job_undoes(job) ? &job->parent_id : &job->execution_id;

	/*
	 * a handler's is made of the visit that it undoes: the same after a
	 * restore, whatever was undone before it
	 */
	int			call_id = action->undoes != 0 ? -action->undoes : action->call_id;
	pg_cryptohash_ctx *sha256 = pg_cryptohash_create(PG_SHA256);
	uint32		visit = pg_hton32((uint32) call_id);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	pg_uuid_t	key;

	if (sha256 == NULL || pg_cryptohash_init(sha256) < 0 ||
		pg_cryptohash_update(sha256, execution_id->data, UUID_LEN) < 0 ||
		pg_cryptohash_update(sha256, (const uint8 *) &visit, sizeof(visit)) < 0 ||
		pg_cryptohash_final(sha256, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute a SHA256 hash");
	pg_cryptohash_free(sha256);
	memcpy(key.data, digest, UUID_LEN);
	key.data[6] = 0x80 | (key.data[6] & 0x0f);	/* version 8: custom */
	key.data[8] = 0x80 | (key.data[8] & 0x3f);
	return key;
}

/* {"MessageId": ...}, what publishing answers. */
static Jsonb *
message_id_object(const pg_uuid_t *id)
{
	JsonbParseState *state = NULL;
	JsonbValue	v = {.type = jbvString};

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	v.val.string.val = "MessageId";
	v.val.string.len = strlen("MessageId");
	pushJsonbValue(&state, WJB_KEY, &v);
	v.val.string.val = saga_uuid_to_cstring(id);
	v.val.string.len = 36;
	pushJsonbValue(&state, WJB_VALUE, &v);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* What a name of a destination meant when the definition was made; 0: nothing. */
static int32
destination_meant(const char *name, void *arg)
{
	const SagaJob *job = arg;

	return saga_workflow_meant(job->queue->queue_id, job->version, SAGA_OBJECT_DESTINATION, name);
}

/*
 * A call outside: a record and a message for its destination, in this
 * transaction. What cannot be accepted is the task's failure.
 */
static void
run_outbox(SagaJob *job, const SagaAction *action, SagaOutboxOp op)
{
	SagaOutboxEntry entry = {0};
	const char *error;
	char	   *cause = NULL;

	entry.outbox_id = saga_uuid_new();
	entry.op = op;
	entry.request = action->input;
	entry.idempotency_key = idempotency_key(job, action);
	entry.execution_id = job->execution_id;
	entry.role = GetUserId();
	entry.meant = destination_meant;
	entry.meant_arg = job;
	/* nobody waits for what is published, until it is to be undone */
	if (op != SAGA_OUTBOX_PUBLISH || action->undone_later)
	{
		entry.workflow_id = job->queue->queue_id;
		entry.task_id = action->task_id;
		entry.only_submit = action->token != NULL && op != SAGA_OUTBOX_PUBLISH;
	}
	error = saga_outbox_enqueue(&entry, &cause);
	if (error)
		saga_engine_task_answer(job, action, NULL, error, cause);
	else if (op == SAGA_OUTBOX_PUBLISH)
		saga_engine_task_answer(job, action, message_id_object(&entry.outbox_id), NULL, NULL);
	else
		saga_run_task_parked(job->run, action->task_id, NULL, GetCurrentTimestamp());
}

/* ---------- a queue of this database ---------- */

/*
 * The plain queue of "saga:NAME"; NULL: there is none that the workflow's owner may
 * use, as it is an URL of SQS, or the name of a destination.
 */
static const SagaQueue *
local_queue(const SagaJob *job, const char *url)
{
	int32		id;
	const SagaQueue *queue;
	SagaObject	object;

	if (url == NULL || strncmp(url, "saga:", 5) != 0)
		return NULL;
	id = saga_workflow_meant(job->queue->queue_id, job->version, SAGA_OBJECT_QUEUE, url + 5);
	/* it meant a destination: no queue that was made since takes its place */
	if (id == 0 && destination_meant(url + 5, unconstify(SagaJob *, job)) != 0)
		return NULL;
	queue = id != 0 ? saga_queue_by_id(id, true) : NULL;
	if (queue == NULL)
	{
		queue = saga_queue_find(url + 5, GetUserId(), SAGA_RIGHT_USE, true);
		return queue != NULL && queue->kind == SAGA_QUEUE_PLAIN ? queue : NULL;
	}
	object = saga_queue_object(queue);
	return saga_name_object_may(&object, GetUserId(), SAGA_RIGHT_USE) ? queue : NULL;
}

/* What SQS says of a message that it has taken.  Without MD5 (FIPS) that is left out. */
static Jsonb *
sent_object(const SagaSend *row, Jsonb *request)
{
	JsonbParseState *state = NULL;
	JsonbValue	body;
	JsonbValue	attributes;
	char	   *text;
	char		hex[MD5_DIGEST_LENGTH * 2 + 1];
	char		of_attributes[MD5_DIGEST_LENGTH * 2 + 1];
	const char *why;

	saga_jsonb_value(row->body, &body);
	text = body.type == jbvString ?
		pnstrdup(body.val.string.val, body.val.string.len) : saga_jsonb_to_cstring(row->body);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (saga_md5_hash(text, strlen(text), hex, &why))
		saga_doc_push_string(&state, "MD5OfMessageBody", hex);
	if (saga_jsonb_get(request, "MessageAttributes", &attributes) &&
		saga_engine_sqs_attributes_md5(saga_jsonb_from_value(&attributes), of_attributes))
		saga_doc_push_string(&state, "MD5OfMessageAttributes", of_attributes);
	saga_doc_push_string(&state, "MessageId", saga_uuid_to_cstring(&row->message_id));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Into a plain queue of this database; NULL and *error for what SQS would refuse. */
static Jsonb *
send_to_queue(const SagaQueue *queue, const SagaAction *action, const char **error, char **cause)
{
	SagaSend	row = {.kind = SAGA_MSG_MESSAGE};
	JsonbValue	body;
	int			delay_s;

	*error = saga_request_check_local(action->input, &delay_s, cause);
	if (*error != NULL)
		return NULL;
	*error = "SQS.AmazonSQSException";
	if (!saga_jsonb_get(action->input, "MessageBody", &body))
	{
		*cause = "MessageBody is missing";
		return NULL;
	}
	row.message_id = saga_uuid_new();
	row.body = saga_jsonb_from_value(&body);
	row.delay_ms = (int64) delay_s * 1000;
	saga_queue_send_rows(queue, &row, 1);
	*error = NULL;
	return sent_object(&row, action->input);
}

/* Into a queue of this database, or one of SQS through the outbox. */
static void
send_message(SagaJob *job, const SagaAction *action)
{
	char	   *url = saga_jsonb_get_string(action->input, "QueueUrl");
	const SagaQueue *queue = local_queue(job, url);
	const char *error = NULL;
	char	   *cause = NULL;
	char	   *name;

	if (queue != NULL)
	{
		Jsonb	   *output = send_to_queue(queue, action, &error, &cause);

		saga_engine_task_answer(job, action, output, error, cause);
	}
	else if (url != NULL && strncmp(url, "saga:", 5) == 0 &&
			 destination_meant(url + 5, job) == 0 &&
			 saga_outbox_destination_meaning(SAGA_OUTBOX_SQS, url, GetUserId(), &name) == 0)
		saga_engine_task_answer(job, action, NULL, "SQS.AmazonSQSException",
								psprintf("queue \"%s\" does not exist", url + 5));
	else
		run_outbox(job, action, SAGA_OUTBOX_SQS);
}

/* ---------- activities ---------- */

/* The task waits for a worker; nobody is called. */
static void
run_activity(SagaJob *job, const SagaAction *action)
{
	const SagaQueue *activity = saga_activity_meant(job, action->resource->name);

	if (activity == NULL || action->token == NULL)
		saga_engine_task_answer(job, action, NULL, "States.Runtime",
								psprintf("The activity %s does not exist.", action->resource->text));
	else
		saga_activity_task_open(activity, job, action);
}

/* ---------- lambda:invoke ---------- */

/*
 * LogType "Tail": the end of the function's log, in base64.  Ours writes none;
 * what Lambda puts around it is there.
 */
static Jsonb *
lambda_log(const SagaJob *job, const SagaAction *action)
{
	pg_uuid_t	id = idempotency_key(job, action);
	char	   *request = saga_uuid_to_cstring(&id);
	char	   *log = psprintf("START RequestId: %s Version: $LATEST\nEND RequestId: %s\n", request, request);
	int			size = pg_b64_enc_len(strlen(log)) + 1;
	char	   *text = palloc(size);
	JsonbValue	v = {.type = jbvString};

	v.val.string.val = text;
	v.val.string.len = saga_b64_encode(log, strlen(log), text, size);
	return saga_jsonb_from_value(&v);
}

/* A member whose value is a whole jsonb, which may be a scalar. */
static void
push_result(JsonbParseState **state, const char *name, const Jsonb *value)
{
	JsonbValue	v = {.type = jbvString};

	v.val.string.val = unconstify(char *, name);
	v.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &v);
	saga_jsonb_value(value, &v);
	pushJsonbValue(state, WJB_VALUE, &v);
}

/* What lambda:invoke answers around the function's own result. */
static Jsonb *
lambda_result(const SagaJob *job, const SagaAction *action, Jsonb *payload)
{
	JsonbParseState *state = NULL;
	JsonbValue	version = {.type = jbvString};
	JsonbValue	status = {.type = jbvNumeric};
	char	   *log_type = saga_jsonb_get_string(action->input, "LogType");

	version.val.string.val = "$LATEST";
	version.val.string.len = strlen("$LATEST");
	status.val.numeric = int64_to_numeric(200);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_result(&state, "ExecutedVersion", saga_jsonb_from_value(&version));
	push_result(&state, "Payload", payload);
	push_result(&state, "StatusCode", saga_jsonb_from_value(&status));
	if (log_type != NULL && strcmp(log_type, "Tail") == 0)
		push_result(&state, "LogResult", lambda_log(job, action));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* ---------- dispatch ---------- */

/*
 * An ARN that stands for something of ours: a SQL function is called here,
 * anything else is started as what it stands for.
 */
static void
start_bound(SagaBatch *batch, SagaJob *job, const SagaAction *action)
{
	const char *arn = action->resource->name;
	bool		invoke = strcmp(arn, SAGA_LAMBDA_INVOKE) == 0;
	Jsonb	   *input = action->input;
	const SagaResource *bound;
	SagaAction	resolved = *action;
	const char *error = NULL;
	char	   *cause = NULL;
	Jsonb	   *output;

	if (invoke)
	{
		arn = saga_jsonb_get_string(action->input, "FunctionName");
		input = saga_engine_task_document(action->input, "Payload", saga_jsonb_empty_object());
	}
	bound = arn ? saga_engine_task_binding(job, arn, invoke) : NULL;
	if (bound == NULL && saga_engine_answer_start(batch, job, action))
		return;
	if (bound == NULL)
	{
		saga_engine_task_answer(job, action, NULL, invoke ? "Lambda.ResourceNotFoundException" : "States.Runtime",
								psprintf("\"%s\" stands for nothing here; saga.bind_resource(arn, resource) says what it is",
										 arn ? arn : ""));
		return;
	}
	if (bound->kind != SAGA_RES_SQL)
	{
		resolved.resource = bound;
		resolved.input = input;
		saga_engine_task_start(batch, job, &resolved);
		return;
	}
	output = run_sql(batch, job, action, bound->name, input, &error, &cause);
	if (output && invoke)
		output = lambda_result(job, action, output);
	saga_engine_task_answer(job, action, output, error, cause);
}

void
saga_engine_task_start(SagaBatch *batch, SagaJob *job, const SagaAction *action)
{
	const char *error = NULL;
	char	   *cause = NULL;
	Jsonb	   *output;

	if (action->resume)
	{
		saga_outbox_resume(&job->execution_id, action->task_id, action->answered);
		saga_run_task_parked(job->run, action->task_id, NULL, GetCurrentTimestamp());
		return;
	}
	if (action->map != NULL)
	{
		saga_engine_map_run_start(batch, job, action);
		return;
	}
	switch (action->resource->kind)
	{
		case SAGA_RES_SQL:
			output = run_sql(batch, job, action, action->resource->name, action->input, &error, &cause);
			saga_engine_task_answer(job, action, output, error, cause);
			break;
		case SAGA_RES_PUBLISH:
			run_outbox(job, action, SAGA_OUTBOX_PUBLISH);
			break;
		case SAGA_RES_HTTP:
			run_outbox(job, action, SAGA_OUTBOX_HTTP);
			break;
		case SAGA_RES_SNS:
			run_outbox(job, action, SAGA_OUTBOX_SNS);
			break;
		case SAGA_RES_SQS:
			send_message(job, action);
			break;
		case SAGA_RES_START_EXECUTION:
			saga_child_start(batch, job, action);
			break;
		case SAGA_RES_UNDO_CHILDREN:
			saga_children_undo(job, action);
			break;
		case SAGA_RES_OTHER:
			start_bound(batch, job, action);
			break;
		case SAGA_RES_ACTIVITY:
			run_activity(job, action);
			break;
		default:
			saga_engine_task_answer(job, action, NULL, "States.Runtime",
									psprintf("resource \"%s\" is not supported", action->resource->text));
			break;
	}
}
