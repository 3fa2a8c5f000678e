/*
 * fake.c
 *		The world that the pure parts are tested in: what they ask of the
 *		server, and of those parts of pg_saga that are not here.
 */
#include "fake.h"

#include "endpoint/auth.h"
#include "endpoint/aws_private.h"
#include "endpoint/exchange.h"
#include "endpoint/exchange_private.h"
#include "endpoint/oauth_private.h"
#include "fmgr.h"
#include "limit/limit.h"
#include "net/http.h"
#include "net/http_private.h"
#include "net/secret.h"
#include "outbox/sending_private.h"
#include "queue/queue_private.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "value/doc.h"

PG_MODULE_MAGIC;

TimestampTz fake_now = 0;

/* ---------- the server ---------- */

/* Shared memory that nobody shares. */
void *
ShmemInitStruct(const char *name, Size size, bool *found)
{
	*found = false;
	return MemoryContextAllocZero(TopMemoryContext, size);
}

LWLockPadded *
GetNamedLWLockTranche(const char *name)
{
	static LWLockPadded lock;
	static bool made = false;

	if (!made)
		LWLockInitialize(&lock.lock, LWTRANCHE_FIRST_USER_DEFINED);
	made = true;
	return &lock;
}

/* pg_saga.test_mutant is the library's; here mark.c sets the variable. */
void
DefineCustomIntVariable(const char *name, const char *short_desc, const char *long_desc, int *variable, int boot, int min,
						int max, GucContext context, int flags, GucIntCheckHook check, GucIntAssignHook assign,
						GucShowHook show)
{
}

TimestampTz
saga_fake_now(void)
{
	return fake_now;
}

/* ---------- what is not here of pg_saga ---------- */

SagaQueueSlot *
saga_queue_slot(const SagaQueue *queue)
{
	return saga_queue_slot_make(queue->queue_id, queue->owner, queue->kind);
}

const SagaQueue *
saga_queue_by_id(int32 queue_id, bool missing_ok)
{
	return NULL;
}

void
saga_http_attend(void)
{
}

bool
saga_takeover_doubts(const SagaDelivery *delivery, bool looked_up, TimestampTz last_sent_at)
{
	return false;
}

void
saga_oauth_identify(SagaAuth *auth, Oid owner)
{
}

int
saga_oauth_asking(Oid owner, int *of_owner)
{
	*of_owner = 0;
	return 0;
}

char *
saga_secret_get(const char *key)
{
	return NULL;
}

const char *
saga_secret_key_name(const char *key)
{
	return key;
}

const char *
saga_endpoint_aws_check_header(const char *name, const char *value)
{
	return NULL;
}

SagaClass
saga_endpoint_aws_class_of_answer(const SagaExchange *exchange, SagaClass class)
{
	return class;
}

void
saga_classify_aws(SagaExchange *exchange)
{
	elog(ERROR, "the tests here are of http destinations");
}

/* ---------- JSON in ---------- */

int64
fake_int(JsonbContainer *object, const char *name, int64 otherwise)
{
	JsonbValue *value = object == NULL ? NULL : saga_doc_get(object, name);

	if (value == NULL || value->type != jbvNumeric)
		return otherwise;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

double
fake_number(JsonbContainer *object, const char *name, double otherwise)
{
	JsonbValue *value = object == NULL ? NULL : saga_doc_get(object, name);

	if (value == NULL || value->type != jbvNumeric)
		return otherwise;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric)));
}

bool
fake_bool(JsonbContainer *object, const char *name)
{
	JsonbValue *value = object == NULL ? NULL : saga_doc_get(object, name);

	return value != NULL && value->type == jbvBool && value->val.boolean;
}

char *
fake_text(JsonbContainer *object, const char *name)
{
	return object == NULL ? NULL : saga_doc_get_string(object, name);
}

bool
fake_has(JsonbContainer *object, const char *name)
{
	return object != NULL && saga_doc_get(object, name) != NULL;
}

JsonbContainer *
fake_array(JsonbContainer *object, const char *name, int *n)
{
	JsonbValue *value = object == NULL ? NULL : saga_doc_get(object, name);

	*n = 0;
	if (value == NULL || !saga_doc_is_array(value))
		return NULL;
	*n = (int) JsonContainerSize(value->val.binary.data);
	return value->val.binary.data;
}

JsonbContainer *
fake_object_at(JsonbContainer *array, int i)
{
	JsonbValue *value = getIthJsonbValueFromContainer(array, i);

	if (value == NULL || value->type != jbvBinary)
		elog(ERROR, "element %d is not an object", i);
	return value->val.binary.data;
}

int64
fake_int_at(JsonbContainer *array, int i)
{
	JsonbValue *value = getIthJsonbValueFromContainer(array, i);

	if (value == NULL || value->type != jbvNumeric)
		elog(ERROR, "element %d is not a number", i);
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

/* ---------- JSON out ---------- */

void
fake_next(StringInfo out)
{
	if (out->len > 0 && strchr("[{:", out->data[out->len - 1]) == NULL)
		appendStringInfoChar(out, ',');
}

void
fake_member(StringInfo out, const char *name)
{
	fake_next(out);
	escape_json(out, name);
	appendStringInfoChar(out, ':');
}

void
fake_put_text(StringInfo out, const char *name, const char *text)
{
	fake_member(out, name);
	if (text == NULL)
		appendStringInfoString(out, "null");
	else
		escape_json(out, text);
}

void
fake_put_int(StringInfo out, const char *name, int64 number)
{
	fake_member(out, name);
	appendStringInfo(out, INT64_FORMAT, number);
}

void
fake_put_bool(StringInfo out, const char *name, bool is_so)
{
	fake_member(out, name);
	appendStringInfoString(out, is_so ? "true" : "false");
}

Datum
fake_result(StringInfo out)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(out->data));
}

/* Nothing comes from elsewhere here: there is one session. */
void
saga_note_foreign(void)
{
}

bool
saga_queue_take_foreign(void)
{
	return false;
}
