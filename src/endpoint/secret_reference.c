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

#include "common/statement.h"
#include "endpoint/destination.h"
#include "endpoint/secret_private.h"
#include "miscadmin.h"
#include "net/secret.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/syscache.h"
#include "value/doc.h"

typedef struct Reference
{
	char	   *name;			/* as the settings have it */
	char	   *key;
} Reference;

static SagaStatement insert_stmt = {
	.sql = "INSERT INTO saga.reference (referrer, referrer_id, version, kind, name, object_id, object_owner, object_name, "
	"used_by) SELECT $referrer, $referrer_id, 0, 'secret', $name, s.secret_id, s.owner, s.name, $used_by::oid::regrole "
	"FROM saga.secret s WHERE s.secret_id = $secret_id ON CONFLICT DO NOTHING"
};

static SagaStatement forget_stmt = {
	.sql = "DELETE FROM saga.reference WHERE referrer = $referrer AND referrer_id = $referrer_id AND kind = 'secret'"
};

static SagaStatement load_stmt = {
	.sql = "SELECT used_by::oid AS used_by, object_owner::oid AS object_owner, object_id, name, object_name FROM saga.reference "
	"WHERE referrer = $referrer AND referrer_id = $referrer_id AND version = 0 AND kind = 'secret'",
	.read_only = true
};

/* What its owner granted on the row that a dump left out is of the one that takes its place. */
static SagaStatement regrant_stmt = {
	.sql = "UPDATE saga.object_grant g SET object_id = s.secret_id FROM saga.secret s, saga.reference r "
	"WHERE s.owner = $owner AND s.name = $name AND r.kind = 'secret' AND r.object_owner = s.owner AND r.object_name = s.name "
	"AND g.kind = 'secret' AND g.object_id = r.object_id AND NOT EXISTS (SELECT FROM saga.secret c WHERE c.secret_id = g.object_id)"
};

static SagaStatement relink_stmt = {
	.sql = "UPDATE saga.reference r SET object_id = s.secret_id FROM saga.secret s "
	"WHERE s.owner = $owner AND s.name = $name AND r.kind = 'secret' AND r.object_owner = s.owner AND r.object_name = s.name"
};

/* The row stays until the end of the transaction. */
static SagaStatement share_stmt = {
	.sql = "SELECT FROM saga.secret WHERE secret_id = $secret_id FOR KEY SHARE",
	.limit = 1
};

void
saga_endpoint_secret_forget_references(const char *referrer, int32 id)
{
	(void) saga_run(&forget_stmt, saga_param_text("referrer", referrer), saga_param_int4("referrer_id", id));
}

/* One that was not there, of a dump without secrets say, is again: it cannot be dropped unseen. */
void
saga_endpoint_secret_found_again(Oid owner, const char *name)
{
	const SagaParam params[] = {saga_param_oid("owner", owner), saga_param_text("name", name), {.name = NULL}};

	(void) saga_statement_run(&regrant_stmt, params);
	(void) saga_statement_run(&relink_stmt, params);
}

/* What the text of the settings names means what it means for the caller now, and stays that. */
void
saga_endpoint_secret_store_references(const char *referrer, int32 id, const char *name, List *secrets)
{
	ListCell   *lc;

	saga_endpoint_secret_forget_references(referrer, id);
	foreach(lc, secrets)
	{
		SagaObject	object;

		if (!saga_name_object_find(SAGA_OBJECT_SECRET, lfirst(lc), GetUserId(), SAGA_RIGHT_USE, &object) ||
			saga_run(&share_stmt, saga_param_int4("secret_id", object.id)) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("secret \"%s\" does not exist", (char *) lfirst(lc)),
					 errdetail("%s \"%s\" refers to it.", strcmp(referrer, "source") == 0 ? "Source" : "Destination", name),
					 errhint("Make it first, with saga.set_secret. Another's is written owner.name, and needs the right to use it.")));
		(void) saga_run(&insert_stmt,
						saga_param_text("referrer", referrer),
						saga_param_int4("referrer_id", id),
						saga_param_text("name", lfirst(lc)),
						saga_param_if(!has_privs_of_role(GetUserId(), object.owner), saga_param_oid("used_by", GetUserId())),
						saga_param_int4("secret_id", object.id));
	}
}

/* Every process loads its destinations, and what their references mean, anew. */
void
saga_endpoint_secret_right_revoked(SagaObjectKind kind)
{
	if (kind == SAGA_OBJECT_SECRET)
		CacheInvalidateRelcacheByRelid(saga_relation_oid("destination"));
}

/* ---------- the destination that takes what cannot be undone ---------- */

static SagaStatement other_stmt = {
	.sql = "SELECT object_id FROM saga.reference "
	"WHERE referrer = 'destination' AND referrer_id = $referrer_id AND version = 0 AND kind = 'destination'",
	.limit = 1
};

static SagaStatement insert_other_stmt = {
	.sql = "INSERT INTO saga.reference (referrer, referrer_id, version, kind, name, object_id) "
	"VALUES ('destination', $referrer_id, 0, 'destination', $name, $object_id)"
};

static SagaStatement forget_other_stmt = {
	.sql = "DELETE FROM saga.reference WHERE referrer = 'destination' AND referrer_id = $referrer_id AND kind = 'destination'"
};

void
saga_destination_store_other(int32 id, int32 other_id, const char *other)
{
	SagaParam	referrer_id = saga_param_int4("referrer_id", id);

	(void) saga_run(&forget_other_stmt, referrer_id);
	if (other_id != 0)
		(void) saga_run(&insert_other_stmt, referrer_id, saga_param_text("name", other),
						saga_param_int4("object_id", other_id));
}

int32
saga_destination_other(int32 id)
{
	SagaRows   *rows = saga_query(&other_stmt, saga_param_int4("referrer_id", id));
	int32		other_id = saga_rows_next(rows) ? saga_column_int4(rows, "object_id") : 0;

	saga_rows_free(rows);
	return other_id;
}

/* ---------- settings by what they meant ---------- */

/* A right that was granted and taken back: then the reference means no secret, whatever it is set to later. */
static bool
is_revoked(SagaRows *rows)
{
	SagaObject	object = {.kind = SAGA_OBJECT_SECRET};
	Oid			used_by;

	if (saga_column_is_null(rows, "used_by"))
		return false;
	used_by = saga_column_oid(rows, "used_by");
	object.owner = saga_column_oid(rows, "object_owner");
	object.id = saga_column_int4(rows, "object_id");
	return !SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(used_by)) ||
		!saga_name_object_may(&object, used_by, SAGA_RIGHT_USE);
}

/*
 * Of one destination or source: names as they stand in the settings, with the
 * keys that are put in their place.  A revoked right gives a key that no
 * secret has.
 */
static List *
load_references(const char *referrer, int32 id)
{
	List	   *references = NIL;
	SagaRows   *rows = saga_query(&load_stmt, saga_param_text("referrer", referrer), saga_param_int4("referrer_id", id));

	while (saga_rows_next(rows))
	{
		Reference  *reference = palloc(sizeof(Reference));
		Oid			owner = is_revoked(rows) ? InvalidOid : saga_column_oid(rows, "object_owner");

		reference->name = saga_column_text(rows, "name");
		reference->key = saga_secret_key(owner, saga_column_text(rows, "object_name"));
		references = lappend(references, reference);
	}
	saga_rows_free(rows);
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

/*
 * Changes a string in place if it refers to a secret.  parent and member say
 * where it stands.
 */
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

/*
 * Pushes a copy of the container.  name is that of the member which it is the
 * value of, "" at the top and for what an array holds.
 */
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
			/*
			 * no secret goes into a body: what looks like a reference there
			 * is text
			 */
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
saga_endpoint_secret_qualify(const char *referrer, int32 id, Jsonb *settings)
{
	List	   *references = load_references(referrer, id);
	JsonbParseState *state = NULL;

	if (references == NIL || !JB_ROOT_IS_OBJECT(settings))
		return settings;
	return JsonbValueToJsonb(qualify(&state, &settings->root, "", references));
}
