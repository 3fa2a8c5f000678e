/*
 * captured.c
 *		Whose is what a look-up has found?
 *
 * A look-up asks for what people call a thing by, the number of an invoice,
 * and finds one whoever has made it.  What another message has as its own
 * answer is not what this one did.  The values that are captured tell: the
 * record has a hash of those that answers and look-ups have in common, with
 * an index, so that it is one row that is looked for and not all of them.
 *
 * Where answers and look-up have no value in common by the settings, nobody
 * can tell what is whose.  Then the hash is of the look-up's own request, as
 * it would be made for the message: what is found by the same question that
 * another message's thing answers, may be that one's.
 *
 * Two publishers can find the same thing at the same moment.  So each locks
 * the hash until its transaction ends, and who cannot have the lock records
 * later.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/statement.h"
#include "endpoint/template.h"
#include "miscadmin.h"
#include "outbox/request_private.h"
#include "outbox/sending_private.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "value/doc.h"

#define SAGA_CAPTURED_LOCK 0x534c

typedef struct CommonState
{
	const SagaDestination *destination;
	JsonbParseState *parse;
	int			n;
} CommonState;

/* Does an answer have it, and the look-up too, if there is one? */
static void
take_common(const char *name, JsonbValue *value, void *arg)
{
	CommonState *common = arg;
	const SagaDestination *destination = common->destination;
	const SagaLookup *lookup = destination->lookup;

	if (!saga_capture_has(&destination->capture, name) &&
		(destination->poll == NULL || !saga_capture_has(&destination->poll->capture, name)))
		return;
	if (lookup != NULL && !saga_capture_has(lookup->has_capture ? &lookup->capture : &destination->capture, name))
		return;
	if (lookup != NULL && lookup->id != NULL && strcmp(lookup->id, name) != 0)
		return;
	saga_doc_push_value(&common->parse, name, value);
	common->n++;
}

/* What both have of what was captured; NULL: nothing. */
static Jsonb *
common_of(const SagaDestination *destination, const SagaDelivery *delivery)
{
	CommonState common = {destination, NULL, 0};
	Jsonb	   *doc;

	if (delivery->part.captured == NULL || delivery->part.compensate)
		return NULL;
	pushJsonbValue(&common.parse, WJB_BEGIN_OBJECT, NULL);
	saga_doc_each(&delivery->part.captured->root, take_common, &common);
	doc = JsonbValueToJsonb(pushJsonbValue(&common.parse, WJB_END_OBJECT, NULL));
	return common.n > 0 ? doc : NULL;
}

static int64
hash_of(Jsonb *common)
{
	return DatumGetInt64(DirectFunctionCall2(jsonb_hash_extended, JsonbPGetDatum(common), Int64GetDatum(0)));
}

/* Do the settings say what tells things apart? */
static bool
captures_common(const SagaDestination *destination)
{
	const SagaLookup *lookup = destination->lookup;
	const SagaCapture *asked = lookup->has_capture ? &lookup->capture : &destination->capture;
	int			i;

	for (i = 0; i < asked->n; i++)
	{
		const char *name = asked->names[i];

		if ((lookup->id == NULL || strcmp(lookup->id, name) == 0) &&
			(saga_capture_has(&destination->capture, name) ||
			 (destination->poll != NULL && saga_capture_has(&destination->poll->capture, name))))
			return true;
	}
	return false;
}

/* References to secrets stay as they are. */
static bool
append_headers(StringInfo buf, const SagaRequestSpec *spec, Jsonb *message)
{
	char	   *missing;
	int			i;

	for (i = 0; i < spec->nheaders; i++)
	{
		appendStringInfo(buf, "\n%s: ", spec->headers[i].name);
		if (!saga_endpoint_template_fill(buf, spec->headers[i].value, message, false, MaxAllocSize, &missing))
			return false;
	}
	return true;
}

static bool
hash_of_request(const SagaDestination *destination, const SagaDelivery *delivery, int64 *hash)
{
	const SagaRequestSpec *spec = &destination->lookup->request;
	Jsonb	   *request = saga_delivery_request(destination, delivery);
	const char *content_type;
	StringInfoData text;
	Jsonb	   *message;
	char	   *error = NULL;
	char	   *body = NULL;
	char	   *url;

	if (request == NULL)
		return false;
	message = saga_endpoint_request_message(request, NULL);
	url = saga_endpoint_request_url(spec, NULL, message, &error);
	if (url != NULL)
		body = saga_endpoint_request_body(spec, request, message, NULL, NULL, CurrentMemoryContext, &content_type, &error);
	if (error != NULL)
		return false;
	initStringInfo(&text);
	appendStringInfoString(&text, url);
	if (!append_headers(&text, spec, message) || !append_headers(&text, &destination->request, message))
		return false;
	appendStringInfo(&text, "\n\n%s", body != NULL ? body : "");
	*hash = (int64) hash_bytes_extended((unsigned char *) text.data, text.len, SAGA_CAPTURED_LOCK);
	return true;
}

/*
 * Of the look-up that would be made for the message after its first attempt;
 * false: there is none.  The message may be long, and the caller's memory that
 * of the sending.
 */
static bool
hash_of_question(const SagaDestination *destination, const SagaDelivery *delivery, int64 *hash)
{
	MemoryContext context;
	MemoryContext old;
	bool		has;

	if (!saga_endpoint_has_lookup(destination, &delivery->part) || captures_common(destination))
		return false;
	context = AllocSetContextCreate(CurrentMemoryContext, "saga question", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	has = hash_of_request(destination, delivery, hash);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return has;
}

bool
saga_outbox_captured_hash(const SagaDestination *destination, const SagaDelivery *delivery, int64 *hash)
{
	Jsonb	   *common = common_of(destination, delivery);

	if (common == NULL)
		return (delivery->verdict == SAGA_VERDICT_DELIVERED || delivery->pending_since != 0) &&
			hash_of_question(destination, delivery, hash);
	*hash = hash_of(common);
	return true;
}

/* What was sent under the same key is the same request, whichever record has it. */
static SagaStatement owner_stmt = {
	.sql = "SELECT FROM saga.outbox WHERE destination_id = $destination_id AND captured_hash = $captured_hash "
	"AND captured_hash IS NOT NULL AND state IN ('waiting', 'delivered') AND outbox_id <> $outbox_id "
	"AND ($captured IS NULL OR captured @> $captured) AND idempotency_key <> $idempotency_key LIMIT 1"
};

static bool
is_somebody_elses(const SagaDestination *destination, const SagaDelivery *delivery, const Jsonb *common, int64 hash)
{
	return saga_run(&owner_stmt, saga_param_int4("destination_id", destination->destination_id),
					saga_param_int8("captured_hash", hash), saga_param_uuid("outbox_id", &delivery->part.outbox_id),
					saga_param_jsonb("captured", common),
					saga_param_uuid("idempotency_key", &delivery->part.idempotency_key)) > 0;
}

/*
 * Says of a look-up's success whether what it found is another message's.
 * False: another publisher is writing one down that has the same, and has not
 * committed yet.
 */
bool
saga_outbox_captured_check(const SagaDestination *destination, SagaDelivery *delivery)
{
	Jsonb	   *common;
	int64		hash;
	LOCKTAG		tag;

	if ((delivery->part.class != SAGA_CLASS_SUCCESS && delivery->part.class != SAGA_CLASS_PENDING) || destination->lookup == NULL)
		return true;
	common = common_of(destination, delivery);
	if (common != NULL)
		hash = hash_of(common);
	else if (!hash_of_question(destination, delivery, &hash))
		return true;
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) destination->destination_id, (uint32) hash, SAGA_CAPTURED_LOCK);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	if (delivery->part.phase != SAGA_PHASE_LOOKUP || !is_somebody_elses(destination, delivery, common, hash))
		return true;
	delivery->foreign = true;
	delivery->part.found = NULL;
	delivery->part.captured = NULL;
	saga_endpoint_part_set_outcome(&delivery->part, SAGA_CLASS_UNCERTAIN, delivery->part.status, "Saga.NotOurs",
								   "the look-up found what another request did");
	return true;
}
