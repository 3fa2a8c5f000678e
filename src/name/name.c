/*
 * name.c
 *		What a name means for a user.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "name/name.h"
#include "nodes/pg_list.h"
#include "parser/scansup.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
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

static const char *const kind_names[SAGA_OBJECT_KINDS] = {
	[SAGA_OBJECT_QUEUE] = "queue",
	[SAGA_OBJECT_WORKFLOW] = "workflow",
	[SAGA_OBJECT_DESTINATION] = "destination",
	[SAGA_OBJECT_SOURCE] = "source",
	[SAGA_OBJECT_SECRET] = "secret",
	[SAGA_OBJECT_BINDING] = "binding"
};

const char *
saga_object_kind_name(SagaObjectKind kind)
{
	return kind_names[kind];
}

void
saga_object_register(SagaObjectKind kind, SagaObjectLookup lookup)
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
saga_owner_path(Oid user)
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

/*
 * owner.name, or name.  *owner is NULL for a bare one.  An owner without quotes
 * is folded to lower case as an identifier of SQL; a name is taken as it is, as
 * where it was made.
 */
static bool
split_name(const char *text, char **owner, char **name)
{
	const char *rest = text;
	char	   *part = quoted_part(text, &rest);

	*owner = NULL;
	if (part != NULL && *rest == '\0')
	{
		*name = part;
		return true;
	}
	if (part == NULL)
	{
		rest = strchr(text, '.');
		if (rest == NULL || rest == text)
		{
			*name = pstrdup(text);
			return true;
		}
		part = downcase_truncate_identifier(text, rest - text, false);
	}
	if (*rest++ != '.' || *rest == '\0')
		return false;
	*owner = part;
	if (*rest == '"')
	{
		*name = quoted_part(rest, &rest);
		return *name != NULL && *rest == '\0';
	}
	*name = pstrdup(rest);
	return true;
}

static bool
look_up(SagaObjectKind kind, Oid owner, const char *name, SagaObject *object)
{
	object->kind = kind;
	return lookups[kind] (owner, name, object);
}

static bool
find_named(SagaObjectKind kind, const char *text, Oid user, int rights, SagaObject *object)
{
	char	   *owner;
	char	   *name;
	ListCell   *lc;

	if (look_up(kind, user, text, object))
		return true;
	if (!split_name(text, &owner, &name))
		return false;
	if (owner != NULL)
	{
		Oid			oid = get_role_oid(owner, true);

		return OidIsValid(oid) && look_up(kind, oid, name, object) &&
			saga_object_may(object, user, rights);
	}
	if (strcmp(name, text) != 0 && look_up(kind, user, name, object))
		return true;
	foreach(lc, saga_owner_path(user))
	{
		if (look_up(kind, lfirst_oid(lc), name, object) && saga_object_may(object, user, rights))
			return true;
	}
	return false;
}

bool
saga_object_find(SagaObjectKind kind, const char *text, Oid user, int rights, SagaObject *object)
{
	bool		found;

	SPI_connect();
	found = find_named(kind, text, user, rights, object);
	SPI_finish();
	return found;
}

bool
saga_object_find_own(SagaObjectKind kind, const char *text, Oid user, SagaObject *object)
{
	char	   *owner;
	char	   *name;
	bool		found;

	SPI_connect();
	found = look_up(kind, user, text, object);
	if (!found && split_name(text, &owner, &name) &&
		(owner == NULL || get_role_oid(owner, true) == user))
		found = look_up(kind, user, name, object);
	SPI_finish();
	return found;
}

/*
 * A name with a dot behind the name of a role, or in quotes, could not be told
 * from another's object.
 */
static void
check_new_name(SagaObjectKind kind, const char *text)
{
	char	   *owner;
	char	   *name;

	if (text[0] != '"' && (!split_name(text, &owner, &name) || owner == NULL || !OidIsValid(get_role_oid(owner, true))))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid name of a %s: \"%s\"", kind_names[kind], text),
			 errdetail("It reads as that of another role, which is written owner.name, quoted as identifiers are."),
			 errhint("There is none of that owner and name that you may replace; give a new one a name without the owner.")));
}

bool
saga_object_find_to_replace(SagaObjectKind kind, const char *text, Oid user, SagaObject *object)
{
	char	   *owner;
	char	   *name;
	bool		found;

	if (saga_object_find_own(kind, text, user, object))
		return true;
	found = split_name(text, &owner, &name) && owner != NULL &&
		saga_object_find(kind, text, user, SAGA_RIGHT_OWN, object);
	if (!found)
		check_new_name(kind, text);
	return found;
}

char *
saga_object_name(Oid owner, const char *name, Oid user)
{
	char	   *role = owner == user ? NULL : GetUserNameFromId(owner, true);

	return role == NULL ? pstrdup(name) : pstrdup(quote_qualified_identifier(role, name));
}

/* Tables of what has a name, in the order of SagaObjectKind; a binding is looked up by nothing else than an ARN. */
static const char *const object_tables[SAGA_OBJECT_KINDS] = {
	[SAGA_OBJECT_QUEUE] = "queue",
	[SAGA_OBJECT_WORKFLOW] = "workflow",
	[SAGA_OBJECT_DESTINATION] = "destination",
	[SAGA_OBJECT_SOURCE] = "source",
	[SAGA_OBJECT_SECRET] = "secret"
};

/* Another role's object of this name that the user may use: as he has to write it; NULL: none. */
static char *
find_elsewhere(SagaObjectKind kind, const char *name, Oid user, int rights)
{
	SagaStmt	stmt = {.nargs = 1,.argtypes = {TEXTOID}};
	MemoryContext context = CurrentMemoryContext;
	Datum		value = CStringGetTextDatum(name);
	SPITupleTable *rows;
	uint64		nrows;
	uint64		row;
	bool		isnull;
	char	   *full_name = NULL;

	stmt.sql = psprintf("SELECT owner::oid FROM saga.%s WHERE name = $1 ORDER BY owner LIMIT 100", object_tables[kind]);
	SPI_connect();
	(void) saga_execute(&stmt, &value, NULL, true, 0);
	rows = SPI_tuptable;
	nrows = SPI_processed;
	for (row = 0; row < nrows && full_name == NULL; row++)
	{
		Oid			owner = DatumGetObjectId(SPI_getbinval(rows->vals[row], rows->tupdesc, 1, &isnull));
		SagaObject	object;

		if (owner != user && look_up(kind, owner, name, &object) && saga_object_may(&object, user, rights))
		{
			MemoryContext old = MemoryContextSwitchTo(context);

			full_name = saga_object_name(owner, name, user);
			MemoryContextSwitchTo(old);
		}
	}
	SPI_freeplan(stmt.plan);
	SPI_finish();
	return full_name;
}

void
saga_object_missing(SagaObjectKind kind, const char *text, Oid user, int rights)
{
	char	   *elsewhere = find_elsewhere(kind, text, user, rights);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s \"%s\" does not exist", kind_names[kind], text),
			 elsewhere != NULL ?
			 errhint("A bare name is one's own. Another role has one that you may use: write %s.", elsewhere) :
			 errhint("A bare name is one's own; another's is written owner.name, and needs a right that its owner grants.")));
}

/* Walks along an index that begins with the owner, and no further than the limit. */
void
saga_object_check_count(const char *what, const char *table, Oid owner)
{
	SagaStmt	stmt = {.nargs = 2,.argtypes = {OIDOID, INT4OID}};
	Datum		values[2] = {ObjectIdGetDatum(owner), Int32GetDatum(max_objects_per_owner)};

	stmt.sql = psprintf("SELECT FROM saga.%s WHERE %s = $1 OFFSET $2 - 1 LIMIT 1", table,
						strcmp(table, "resource") == 0 ? "created_by" : "owner");
	(void) saga_execute(&stmt, values, NULL, false, 1);
	SPI_freeplan(stmt.plan);
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("role \"%s\" has %d %s, which is as many as one role can have",
						GetUserNameFromId(owner, true), max_objects_per_owner, what),
				 errhint("An administrator can raise the setting pg_saga.max_objects_per_owner.")));
}
