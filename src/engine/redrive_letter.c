/*
 * redrive_letter.c
 *		The way back of a dead letter of an execution.
 *
 * It goes on where it failed, in its place, as by saga.redrive_execution().
 * Where nothing tells where that is, or by saga.redrive_anew(), another one is
 * started, of the version that the workflow has now: the definition
 * may be what was mended.
 */
#include "postgres.h"

#include "engine/children_private.h"
#include "engine/entry_private.h"
#include "engine/workflow_private.h"
#include "outbox/outbox.h"
#include "value/doc.h"

/*
 * Something is there, or may be, that was not undone: a new execution would do
 * it once more.  *unknown: of one of them nobody knows.
 */
static bool
has_open_entry(Jsonb *details, bool *unknown)
{
	JsonbValue	list;
	JsonbValue	v;
	JsonbIterator *it;
	JsonbIteratorToken token;
	bool		open = false;

	*unknown = false;
	if (details == NULL || !saga_jsonb_get(details, "not_compensated", &list) || list.type != jbvBinary)
		return false;
	it = JsonbIteratorInit(list.val.binary.data);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		Jsonb	   *entry;
		JsonbValue	closed;
		char	   *outcome;

		if (token != WJB_ELEM || v.type != jbvBinary)
			continue;
		entry = saga_jsonb_from_value(&v);
		if (saga_jsonb_get(entry, "closed", &closed))
			continue;
		open = true;
		outcome = saga_jsonb_get_string(entry, "outcome");
		*unknown |= outcome == NULL || strcmp(outcome, "done") != 0;
	}
	return open;
}

/* What the dead one has left is settled, or closed by force.  False: it is neither, and the letter is one of many. */
static bool
settle(const SagaQueue *queue, const SagaDeadLetter *letter, const SagaRedriveHow *how, const pg_uuid_t *heir)
{
	bool		unknown;

	if (how->force)
		saga_entry_close(&letter->message_id, queue->queue_id, heir);
	else if (!has_open_entry(letter->details, &unknown))
		saga_outbox_hand_on(&letter->message_id, heir);
	else if (how->many)
		return false;
	else
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 unknown ? errmsg("execution %s has left something that nobody knows of", saga_uuid_to_cstring(&letter->message_id)) :
				 errmsg("execution %s has left something that was not undone", saga_uuid_to_cstring(&letter->message_id)),
				 errdetail("The details of its dead letter say in not_compensated what it is."),
				 errhint("Find out, undo it, and say so with saga.settle; or redrive it with force, after which nobody undoes it.")));
	return true;
}

/* Raises, unless the letter is one of many: what the dead one has started goes on, and may be undone yet. */
static bool
has_open_children(const SagaDeadLetter *letter, const SagaRedriveHow *how)
{
	static SagaStatement stmt = {
		.sql = "SELECT WHERE " SAGA_OPEN_CHILDREN("$execution_id"),
		.limit = 1
	};

	if (saga_run(&stmt, saga_param_uuid("execution_id", &letter->message_id)) == 0)
		return false;
	if (!how->many)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("execution %s has started others that have not ended, and cannot be redriven yet",
						saga_uuid_to_cstring(&letter->message_id)),
				 errhint(SAGA_OPEN_CHILDREN_HINT)));
	return true;
}

/*
 * Another execution, of the version that the workflow has now.  Its name stays
 * with the dead one.  What the dead one has left and nobody knew of, or
 * inherited, the new one may take up.
 */
static bool
start_anew(const SagaQueue *queue, const SagaDeadLetter *letter, const SagaRedriveHow *how, pg_uuid_t *as)
{
	SagaSend	row = {.kind = letter->kind};

	*as = saga_uuid_new();
	if (has_open_children(letter, how))
		return false;
	if (!settle(queue, letter, how, as))
		return false;
	row.message_id = *as;
	row.body = how->input != NULL ? how->input : letter->body;
	row.version = saga_workflow_by_id(queue->queue_id, false)->version;
	saga_queue_send_rows(queue, &row, 1);
	return true;
}

/* Whose letter says how it ended has been one; others were refused before they began. */
static bool
has_ended(const SagaDeadLetter *letter)
{
	return letter->details != NULL && strcmp(letter->reason, "Saga.DuplicateExecution") != 0;
}

/* An error, unless it is one of many; what an event says is of an execution that the letter does not tell. */
static bool
has_way_back(const SagaDeadLetter *letter, const SagaRedriveHow *how)
{
	char	   *status = letter->details != NULL ? saga_jsonb_get_string(letter->details, "status") : NULL;

	if (letter->kind != SAGA_MSG_START)
	{
		if (!how->many)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("dead letter of an event cannot be redriven"),
					 errhint("Redrive or restart its execution.")));
		return false;
	}
	if (status != NULL && strcmp(status, "SUCCEEDED") == 0)
	{
		if (!how->many)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("execution %s has succeeded and cannot be redriven", saga_uuid_to_cstring(&letter->message_id)),
					 errdetail("Its dead letter says what it gave up on its way and could not undo.")));
		return false;
	}
	return true;
}

bool
saga_engine_redrive_letter(const SagaQueue *queue, const SagaDeadLetter *letter, const SagaRedriveHow *how, pg_uuid_t *as)
{
	SagaInPlace in_place = SAGA_IN_PLACE_HAS_NO_POINT;
	char	   *why = NULL;

	if (!has_way_back(letter, how))
		return false;
	if (!how->anew && has_ended(letter))
		in_place = saga_engine_redrive_in_place(queue, &letter->message_id, how, &why);
	if (in_place != SAGA_IN_PLACE_HAS_NO_POINT)
	{
		*as = letter->message_id;
		return in_place == SAGA_IN_PLACE_GOES_ON;
	}
	if (!start_anew(queue, letter, how, as))
		return false;
	if (why != NULL && !how->many)
		ereport(NOTICE,
				(errmsg("execution %s cannot go on where it failed, and execution %s was started in its place",
						saga_uuid_to_cstring(&letter->message_id), saga_uuid_to_cstring(as)),
				 errdetail("%s", why)));
	return true;
}
