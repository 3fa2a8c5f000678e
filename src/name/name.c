/*
 * name.c
 *		What a name means for a user.
 */
#include "postgres.h"

#include <limits.h>

#include "common/statement.h"
#include "miscadmin.h"
#include "name/name.h"
#include "nodes/pg_list.h"
#include "parser/scansup.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

/* Set once, from _PG_init. */
static SagaObjectLookup lookups[SAGA_OBJECT_KINDS];

/* The setting, and who set it: InvalidOid is an administrator. */
static char *owner_path = NULL;
static Oid	owner_path_setter = InvalidOid;
static int	max_objects_per_owner = 10000;

/*
 * A value that was set before the library was loaded is taken over when it is, which
 * may be inside a function that runs with another's rights.
 */
static bool defining = false;

void
saga_name_object_register(SagaObjectKind kind, SagaObjectLookup lookup)
{
	lookups[kind] = lookup;
}

/* ---------- the setting ---------- */

/*
 * Whose setting it is goes with the value, wherever the server keeps, restores
 * or gives back the value: the caller of a function that runs with the rights
 * of another must not decide what that one's names mean.
 */
static bool
check_owner_path(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *names;
	bool		ok = SplitIdentifierString(copy, ',', &names);
	Oid		   *setter;

	if (!ok)
		GUC_check_errdetail("List syntax is invalid.");
	else
		list_free(names);
	pfree(copy);
	if (!ok)
		return false;

	setter = saga_guc_malloc(sizeof(Oid));
	if (setter == NULL)
		return false;
	switch (source)
	{
		case PGC_S_CLIENT:
		case PGC_S_USER:
		case PGC_S_DATABASE_USER:
			/* of the role that logged in: nobody else may set these for it */
			*setter = GetSessionUserId();
			break;
		case PGC_S_INTERACTIVE:
		case PGC_S_SESSION:
		case PGC_S_TEST:
			*setter = defining ? GetSessionUserId() : GetUserId();
			break;
		default:
			*setter = InvalidOid;
	}
	*extra = setter;
	return true;
}

/* The setting has another value, and with it comes who set it. */
static void
assign_owner_path(const char *newval, void *extra)
{
	owner_path_setter = extra ? *(Oid *) extra : InvalidOid;
}

void
saga_name_init(void)
{
	defining = true;
	DefineCustomStringVariable("pg_saga.owner_path",
							   "Owners whose objects a bare name means when one has none of that name.",
							   "Names of roles, in this order; \"$user\" is oneself, and always first. Another's object counts only where its owner granted the right.",
							   &owner_path, "\"$user\"", PGC_USERSET, GUC_LIST_INPUT,
							   check_owner_path, assign_owner_path, NULL);
	defining = false;
	DefineCustomIntVariable("pg_saga.max_objects_per_owner",
							"Number of queues, of destinations, of sources, of secrets and of bindings that one role can own.",
							"A workflow and a destination each have a queue.",
							&max_objects_per_owner, 10000, 1, INT_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
}

List *
saga_name_owner_path(Oid user)
{
	List	   *owners = NIL;
	List	   *names;
	ListCell   *lc;

	if (owner_path == NULL || (OidIsValid(owner_path_setter) && owner_path_setter != user))
		return NIL;
	if (!SplitIdentifierString(pstrdup(owner_path), ',', &names))
		return NIL;
	foreach(lc, names)
	{
		const char *name = lfirst(lc);
		Oid			owner = strcmp(name, "$user") == 0 ? user : get_role_oid(name, true);

		if (OidIsValid(owner) && owner != user)
			owners = list_append_unique_oid(owners, owner);
	}
	return owners;
}

/* ---------- taking names apart ---------- */

/* A quoted identifier at the start of a text; *end is what follows it.  NULL: it is none. */
static char *
quoted_part(const char *text, const char **end)
{
	StringInfoData buf;

	if (*text != '"')
		return NULL;
	initStringInfo(&buf);
	for (text++; *text; text++)
	{
		if (*text == '"' && *++text != '"')
		{
			*end = text;
			return buf.len > 0 ? buf.data : NULL;
		}
		appendStringInfoChar(&buf, *text);
	}
	return NULL;
}

/* The role that a part in front of a dot names; an oid without quotes is one that was dropped, perhaps. */
static Oid
owner_by_name(const char *name, bool quoted)
{
	unsigned long oid;
	char	   *end;

	if (quoted || strspn(name, "0123456789") != strlen(name))
		return get_role_oid(name, true);
	errno = 0;
	oid = strtoul(name, &end, 10);
	return errno == 0 && oid <= OID_MAX ? (Oid) oid : InvalidOid;
}

typedef struct ParsedName
{
	bool		has_owner;		/* it is owner.name */
	Oid			owner;			/* InvalidOid: there is no such role */
	char	   *name;
} ParsedName;

/*
 * owner.name, or name.  An owner without quotes is folded to lower case as an
 * identifier of SQL; a name is taken as it is, as where it was made.
 */
static bool
parse_name(const char *text, ParsedName *parsed)
{
	const char *rest = text;
	char	   *part = quoted_part(text, &rest);
	bool		quoted = part != NULL;

	parsed->has_owner = false;
	parsed->owner = InvalidOid;
	if (quoted && *rest == '\0')
	{
		parsed->name = part;
		return true;
	}
	if (!quoted)
	{
		rest = strchr(text, '.');
		if (rest == NULL || rest == text)
		{
			parsed->name = pstrdup(text);
			return true;
		}
		part = downcase_truncate_identifier(text, rest - text, false);
	}
	if (*rest++ != '.' || *rest == '\0')
		return false;
	parsed->has_owner = true;
	parsed->owner = owner_by_name(part, quoted);
	if (*rest == '"')
	{
		parsed->name = quoted_part(rest, &rest);
		return parsed->name != NULL && *rest == '\0';
	}
	parsed->name = pstrdup(rest);
	return true;
}

bool		saga_name_missing_is_cached = false;
bool		saga_name_ask_for_missing = false;

/* The object of exactly this owner and name, by the look-up of its module. */
static bool
look_up(SagaObjectKind kind, Oid owner, const char *name, SagaObject *object)
{
	object->kind = kind;
	return OidIsValid(owner) && lookups[kind] (owner, name, object);
}

/* What the name means, as far as the look-ups know from their caches. */
static bool
find(SagaObjectKind kind, const char *text, Oid user, int rights, SagaObject *object)
{
	ParsedName	parsed;
	ListCell   *lc;

	/* of what is one's own and cached this is all that is done */
	if (look_up(kind, user, text, object))
		return true;
	if (!parse_name(text, &parsed))
		return false;
	if (parsed.has_owner)
		return look_up(kind, parsed.owner, parsed.name, object) && saga_name_object_may(object, user, rights);
	if (strcmp(parsed.name, text) != 0 && look_up(kind, user, parsed.name, object))
		return true;
	foreach(lc, saga_name_owner_path(user))
	{
		if (look_up(kind, lfirst_oid(lc), parsed.name, object) && saga_name_object_may(object, user, rights))
			return true;
	}
	return false;
}

/*
 * That there is none of a name may be cached, and older than what this
 * transaction has seen already: then the table is asked.
 */
bool
saga_name_object_find(SagaObjectKind kind, const char *text, Oid user, int rights, SagaObject *object)
{
	bool		found;

	saga_name_missing_is_cached = false;
	if (find(kind, text, user, rights, object))
		return true;
	if (!saga_name_missing_is_cached)
		return false;
	saga_name_ask_for_missing = true;
	PG_TRY();
	{
		found = find(kind, text, user, rights, object);
	}
	PG_FINALLY();
	{
		saga_name_ask_for_missing = false;
	}
	PG_END_TRY();
	return found;
}

bool
saga_name_object_find_own(SagaObjectKind kind, const char *text, Oid user, SagaObject *object)
{
	ParsedName	parsed;

	if (look_up(kind, user, text, object))
		return true;
	return parse_name(text, &parsed) && (!parsed.has_owner || parsed.owner == user) &&
		look_up(kind, user, parsed.name, object);
}

/*
 * A name with a dot behind the name of a role, or in quotes, could not be told
 * from another's object.
 */
void
saga_name_object_check_new_name(SagaObjectKind kind, const char *text)
{
	ParsedName	parsed;

	if (text[0] != '"' &&
		!(parse_name(text, &parsed) && parsed.has_owner &&
		  SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(parsed.owner))))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid name of %s %s: \"%s\"", kind == SAGA_OBJECT_ACTIVITY ? "an" : "a",
					saga_name_object_kind_name(kind), text),
			 errdetail("It reads as that of another role, which is written owner.name, quoted as identifiers are."),
			 errhint("There is none of that owner and name that you may replace; give a new one a name without the owner.")));
}

bool
saga_name_object_find_to_replace(SagaObjectKind kind, const char *text, Oid user, SagaObject *object)
{
	ParsedName	parsed;

	if (saga_name_object_find_own(kind, text, user, object))
		return true;
	if (parse_name(text, &parsed) && parsed.has_owner &&
		saga_name_object_find(kind, text, user, SAGA_RIGHT_OWN, object))
		return true;
	saga_name_object_check_new_name(kind, text);
	return false;
}

/* How the user has to write the name of an owner's object: it is bare when the object is his own.  palloc'd. */
static char *
name_for(Oid owner, const char *name, Oid user)
{
	char	   *role;

	if (owner == user)
		return pstrdup(name);
	role = GetUserNameFromId(owner, true);
	if (role == NULL)
		return psprintf("%u.%s", owner, quote_identifier(name));
	return pstrdup(quote_qualified_identifier(role, name));
}

/* ---------- messages, limits ---------- */

#define ELSEWHERE_NAMED(table, name) \
	{.sql = "SELECT owner::oid FROM saga." table " WHERE name = " name " ORDER BY owner LIMIT 100", .read_only = true}
#define ELSEWHERE(table) ELSEWHERE_NAMED(table, "$name")

/* A binding has no name, and is looked up by nothing else than an ARN. */
static SagaStatement elsewhere_stmts[SAGA_OBJECT_KINDS] = {
	[SAGA_OBJECT_QUEUE] = ELSEWHERE("queue"),
	[SAGA_OBJECT_WORKFLOW] = ELSEWHERE("workflow"),
	[SAGA_OBJECT_DESTINATION] = ELSEWHERE("destination"),
	[SAGA_OBJECT_SOURCE] = ELSEWHERE("source"),
	[SAGA_OBJECT_SECRET] = ELSEWHERE("secret"),
	/* it is its queue (queue/queue.h) */
	[SAGA_OBJECT_ACTIVITY] = ELSEWHERE_NAMED("queue", "'activity/' || $name")
};

char *
saga_name_object_elsewhere(SagaObjectKind kind, const char *name, Oid user, int rights)
{
	SagaRows   *rows = saga_query(&elsewhere_stmts[kind], saga_param_text("name", name));

	while (saga_rows_next(rows))
	{
		Oid			owner = saga_column_oid(rows, "owner");
		SagaObject	object;

		CHECK_FOR_INTERRUPTS();
		if (owner != user && look_up(kind, owner, name, &object) && saga_name_object_may(&object, user, rights))
			return name_for(owner, name, user);
	}
	return NULL;
}

void
saga_name_object_missing(SagaObjectKind kind, const char *text, Oid user, int rights)
{
	char	   *elsewhere = saga_name_object_elsewhere(kind, text, user, rights);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s \"%s\" does not exist", saga_name_object_kind_name(kind), text),
			 elsewhere != NULL ?
			 errhint("A bare name is one's own. Another role has one that you may use: write %s.", elsewhere) :
			 errhint("A bare name is one's own; another's is written owner.name, and needs a right that its owner grants.")));
}

/* Along an index that begins with the owner, and no further than the limit. */
#define COUNT(table, owner) \
	{.sql = "SELECT FROM saga." table " WHERE " owner " = $owner OFFSET $most - 1 LIMIT 1"}

/* A workflow has a queue, and so has a destination. */
static SagaStatement count_stmts[SAGA_OBJECT_KINDS] = {
	[SAGA_OBJECT_QUEUE] = COUNT("queue", "owner"),
	[SAGA_OBJECT_SOURCE] = COUNT("source", "owner"),
	[SAGA_OBJECT_SECRET] = COUNT("secret", "owner"),
	[SAGA_OBJECT_BINDING] = COUNT("resource", "created_by")
};

void
saga_name_object_check_count(SagaObjectKind kind, Oid owner)
{
	if (saga_run(&count_stmts[kind], saga_param_oid("owner", owner), saga_param_int4("most", max_objects_per_owner)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("role \"%s\" has %d %ss, which is as many as one role can have",
						GetUserNameFromId(owner, true), max_objects_per_owner, saga_name_object_kind_name(kind)),
				 errhint("An administrator can raise the setting pg_saga.max_objects_per_owner.")));
}
