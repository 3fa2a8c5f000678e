/*
 * secret_reference.c
 *		Which secrets the settings of a destination or a source refer to, and
 *		which other destination.
 *
 * Whoever makes or alters them may use each secret that he names: that is when
 * the names are looked up, and what they mean is kept as ids.  Whoever the
 * destination is given away to uses the secrets without being able to read
 * them; and no secret that somebody makes later takes the place of one.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "net/secret.h"
#include "outbox/destination.h"
#include "outbox/doc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/syscache.h"

typedef struct Reference
{
	char	   *name;			/* as the settings have it */
	char	   *key;
} Reference;

static SagaStmt insert_stmt = {
	.sql = "INSERT INTO saga.reference (referrer, referrer_id, version, kind, name, object_id, object_owner, object_name, "
	"used_by) SELECT $1, $2, 0, 'secret', $3, s.secret_id, s.owner, s.name, $5::oid::regrole "
	"FROM saga.secret s WHERE s.secret_id = $4 ON CONFLICT DO NOTHING",
	.nargs = 5,
	.argtypes = {TEXTOID, INT4OID, TEXTOID, INT4OID, OIDOID}
};

static SagaStmt forget_stmt = {
	.sql = "DELETE FROM saga.reference WHERE referrer = $1 AND referrer_id = $2 AND kind = 'secret'",
	.nargs = 2,
	.argtypes = {TEXTOID, INT4OID}
};

static SagaStmt load_stmt = {
	.sql = "SELECT name, object_owner::oid, object_name, object_id, used_by::oid FROM saga.reference "
	"WHERE referrer = $1 AND referrer_id = $2 AND version = 0 AND kind = 'secret'",
	.nargs = 2,
	.argtypes = {TEXTOID, INT4OID}
};

/* What its owner granted on the row that a dump left out is of the one that takes its place. */
static SagaStmt regrant_stmt = {
	.sql = "UPDATE saga.object_grant g SET object_id = s.secret_id FROM saga.secret s, saga.reference r "
	"WHERE s.owner = $1 AND s.name = $2 AND r.kind = 'secret' AND r.object_owner = s.owner AND r.object_name = s.name "
	"AND g.kind = 'secret' AND g.object_id = r.object_id AND NOT EXISTS (SELECT FROM saga.secret c WHERE c.secret_id = g.object_id)",
	.nargs = 2,
	.argtypes = {OIDOID, TEXTOID}
};

static SagaStmt relink_stmt = {
	.sql = "UPDATE saga.reference r SET object_id = s.secret_id FROM saga.secret s "
	"WHERE s.owner = $1 AND s.name = $2 AND r.kind = 'secret' AND r.object_owner = s.owner AND r.object_name = s.name",
	.nargs = 2,
	.argtypes = {OIDOID, TEXTOID}
};

/* The row stays until the end of the transaction. */
static SagaStmt share_stmt = {
	.sql = "SELECT 1 FROM saga.secret WHERE secret_id = $1 FOR KEY SHARE",
	.nargs = 1,
	.argtypes = {INT4OID}
};


void
saga_secret_forget_references(const char *referrer, int32 id)
{
	Datum		values[2] = {CStringGetTextDatum(referrer), Int32GetDatum(id)};

	(void) saga_execute(&forget_stmt, values, NULL, false, 0);
}

/* One that was not there, of a dump without secrets say, is again: it cannot be dropped unseen. */
void
saga_secret_found_again(Oid owner, const char *name)
{
	Datum		values[2] = {ObjectIdGetDatum(owner), CStringGetTextDatum(name)};

	(void) saga_execute(&regrant_stmt, values, NULL, false, 0);
	(void) saga_execute(&relink_stmt, values, NULL, false, 0);
}

void
saga_secret_store_references(const char *referrer, int32 id, const char *name, List *secrets)
{
	Datum		values[5] = {CStringGetTextDatum(referrer), Int32GetDatum(id)};
	ListCell   *lc;

	saga_secret_forget_references(referrer, id);
	foreach(lc, secrets)
	{
		SagaObject	object;
		bool		found = saga_object_find(SAGA_OBJECT_SECRET, lfirst(lc), GetUserId(), SAGA_RIGHT_USE, &object);

		if (found)
		{
			values[3] = Int32GetDatum(object.id);
			(void) saga_execute(&share_stmt, &values[3], NULL, false, 1);
			found = SPI_processed > 0;
		}
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("secret \"%s\" does not exist", (char *) lfirst(lc)),
					 errdetail("%s \"%s\" refers to it.", strcmp(referrer, "source") == 0 ? "Source" : "Destination", name),
					 errhint("Make it first, with saga.set_secret. Another's is written owner.name, and needs the right to use it.")));
		values[2] = CStringGetTextDatum(lfirst(lc));
		values[4] = ObjectIdGetDatum(GetUserId());
		(void) saga_execute(&insert_stmt, values,
							has_privs_of_role(GetUserId(), object.owner) ? "    n" : NULL, false, 0);
	}
}

/* Every process loads its destinations, and what their references mean, anew. */
void
saga_secret_right_revoked(SagaObjectKind kind)
{
	if (kind == SAGA_OBJECT_SECRET)
		CacheInvalidateRelcacheByRelid(saga_relation_oid("destination"));
}

/* ---------- the destination that takes what cannot be undone ---------- */

static SagaStmt other_stmt = {
	.sql = "SELECT object_id FROM saga.reference "
	"WHERE referrer = 'destination' AND referrer_id = $1 AND version = 0 AND kind = 'destination'",
	.nargs = 1,
	.argtypes = {INT4OID}
};

static SagaStmt insert_other_stmt = {
	.sql = "INSERT INTO saga.reference (referrer, referrer_id, version, kind, name, object_id) "
	"VALUES ('destination', $1, 0, 'destination', $2, $3)",
	.nargs = 3,
	.argtypes = {INT4OID, TEXTOID, INT4OID}
};

static SagaStmt forget_other_stmt = {
	.sql = "DELETE FROM saga.reference WHERE referrer = 'destination' AND referrer_id = $1 AND kind = 'destination'",
	.nargs = 1,
	.argtypes = {INT4OID}
};

void
saga_destination_store_other(int32 id, int32 other_id, const char *other)
{
	Datum		values[3] = {Int32GetDatum(id)};

	(void) saga_execute(&forget_other_stmt, values, NULL, false, 0);
	if (other_id == 0)
		return;
	values[1] = CStringGetTextDatum(other);
	values[2] = Int32GetDatum(other_id);
	(void) saga_execute(&insert_other_stmt, values, NULL, false, 0);
}

int32
saga_destination_other(int32 id)
{
	Datum		value = Int32GetDatum(id);
	bool		isnull;

	(void) saga_execute(&other_stmt, &value, NULL, false, 1);
	return SPI_processed > 0 ? DatumGetInt32(saga_result(0, 1, &isnull)) : 0;
}

/* ---------- settings by what they meant ---------- */

/* A right that was granted and taken back: then the reference means no secret, whatever it is set to later. */
static bool
is_revoked(HeapTuple row, TupleDesc desc)
{
	SagaObject	object = {.kind = SAGA_OBJECT_SECRET};
	Oid			used_by;
	bool		isnull;

	used_by = DatumGetObjectId(SPI_getbinval(row, desc, 5, &isnull));
	if (isnull)
		return false;
	object.owner = DatumGetObjectId(SPI_getbinval(row, desc, 2, &isnull));
	object.id = DatumGetInt32(SPI_getbinval(row, desc, 4, &isnull));
	return !SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(used_by)) ||
		!saga_object_may(&object, used_by, SAGA_RIGHT_USE);
}

static List *
load_references(const char *referrer, int32 id)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		values[2] = {CStringGetTextDatum(referrer), Int32GetDatum(id)};
	List	   *references = NIL;
	SPITupleTable *rows;
	uint64		nrows;
	uint64		row;
	bool		isnull;

	SPI_connect();
	(void) saga_execute(&load_stmt, values, NULL, true, 0);
	rows = SPI_tuptable;
	nrows = SPI_processed;
	for (row = 0; row < nrows; row++)
	{
		HeapTuple	tuple = rows->vals[row];
		bool		revoked = is_revoked(tuple, rows->tupdesc);
		MemoryContext old = MemoryContextSwitchTo(context);
		Reference  *reference = palloc(sizeof(Reference));

		reference->name = TextDatumGetCString(SPI_getbinval(tuple, rows->tupdesc, 1, &isnull));
		reference->key = saga_secret_key(revoked ? InvalidOid :
										 DatumGetObjectId(SPI_getbinval(tuple, rows->tupdesc, 2, &isnull)),
										 TextDatumGetCString(SPI_getbinval(tuple, rows->tupdesc, 3, &isnull)));
		references = lappend(references, reference);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return references;
}

/* The text with its references by key; NULL: it has none. */
static char *
qualify_text(const char *text, List *references)
{
	static const char prefix[] = "{secret:";
	StringInfoData out;
	const char *p;
	bool		any = false;

	initStringInfo(&out);
	while ((p = strstr(text, prefix)) != NULL)
	{
		const char *start = p + strlen(prefix);
		const char *close = strchr(start, '}');
		ListCell   *lc;

		if (close == NULL)
			break;
		appendBinaryStringInfo(&out, text, start - text);
		text = start;
		foreach(lc, references)
		{
			Reference  *reference = lfirst(lc);

			if (strlen(reference->name) == close - start && strncmp(reference->name, start, close - start) == 0)
			{
				appendStringInfoString(&out, reference->key);
				text = close;
				any = true;
				break;
			}
		}
	}
	appendStringInfoString(&out, text);
	return any ? out.data : NULL;
}

/* Two settings are the name of a secret and nothing else. */
static char *
qualify_name(const char *text, List *references)
{
	ListCell   *lc;

	foreach(lc, references)
	{
		Reference  *reference = lfirst(lc);

		if (strcmp(reference->name, text) == 0)
			return reference->key;
	}
	return NULL;
}

static void
qualify_value(JsonbValue *value, const char *parent, const char *member, List *references)
{
	char	   *text;
	char	   *qualified;

	if (value->type != jbvString)
		return;
	text = pnstrdup(value->val.string.val, value->val.string.len);
	if ((strcmp(parent, "credentials") == 0 && strcmp(member, "secret") == 0) ||
		(strcmp(parent, "auth") == 0 && strcmp(member, "refresh_token") == 0))
		qualified = qualify_name(text, references);
	else
		qualified = qualify_text(text, references);
	if (qualified != NULL)
	{
		value->val.string.val = qualified;
		value->val.string.len = strlen(qualified);
	}
}

static JsonbValue *
qualify(JsonbParseState **state, JsonbContainer *container, const char *name, List *references)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;
	JsonbValue *result = NULL;
	char	   *member = "";

	check_stack_depth();
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_KEY)
			member = pnstrdup(value.val.string.val, value.val.string.len);
		if (token == WJB_VALUE || token == WJB_ELEM)
		{
			/* no secret goes into a body: what looks like a reference there is text */
			if (value.type == jbvBinary && strcmp(member, "body") != 0)
			{
				(void) qualify(state, value.val.binary.data, member, references);
				continue;
			}
			qualify_value(&value, name, member, references);
		}
		result = pushJsonbValue(state, token,
								token == WJB_KEY || token == WJB_VALUE || token == WJB_ELEM ? &value : NULL);
	}
	return result;
}

Jsonb *
saga_secret_qualify(const char *referrer, int32 id, Jsonb *settings)
{
	List	   *references = load_references(referrer, id);
	JsonbParseState *state = NULL;

	if (references == NIL || !JB_ROOT_IS_OBJECT(settings))
		return settings;
	return JsonbValueToJsonb(qualify(&state, &settings->root, "", references));
}
