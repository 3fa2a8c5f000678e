/*
 * unbound_map.c
 *		Is there what a distributed Map reads its items from, and writes its
 *		results to?  As the statement of children_map.c or children_write.c
 *		would find it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/compat.h"
#include "engine/workflow_private.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* "schema.name", neither of them folded.  False: it has no schema. */
static bool
split_name(const char *text, char **schema, char **name)
{
	const char *dot = strchr(text, '.');

	if (dot == NULL)
		return false;
	*schema = pnstrdup(text, dot - text);
	*name = pstrdup(dot + 1);
	return true;
}

/* Can it be called with one jsonb, in FROM? */
static bool
takes_jsonb(Form_pg_proc proc)
{
	return proc->prokind == PROKIND_FUNCTION && proc->pronargs >= 1 && proc->pronargs - proc->pronargdefaults <= 1 &&
		(proc->proargtypes.values[0] == JSONBOID || IsPolymorphicType(proc->proargtypes.values[0]));
}

/* The function of this name that would be called; InvalidOid: there is none. */
static Oid
find_reader(Oid nsp, const char *name)
{
	CatCList   *list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	Oid			found = InvalidOid;

	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);

		if (proc->pronamespace == nsp && takes_jsonb(proc) &&
			(!OidIsValid(found) || proc->proargtypes.values[0] == JSONBOID))
			found = proc->oid;
	}
	ReleaseSysCacheList(list);
	return found;
}

/* What somebody says who gives rights to the owner. */
static char *
grant_hint(const char *what, const char *schema, const char *name, Oid owner)
{
	const char *role = quote_identifier(GetUserNameFromId(owner, false));

	return psprintf("GRANT %s %s TO %s; GRANT USAGE ON SCHEMA %s TO %s;", what, quote_qualified_identifier(schema, name), role,
					quote_identifier(schema), role);
}

bool
saga_unbound_reader(const char *text, Oid owner, char **message, char **hint)
{
	char	   *schema;
	char	   *name;
	Oid			nsp;
	Oid			oid;

	if (!split_name(text, &schema, &name))
	{
		*message = psprintf("\"%s\" does not name a function with its schema", text);
		*hint = "Write sql:schema.function.";
		return true;
	}
	nsp = get_namespace_oid(schema, true);
	oid = OidIsValid(nsp) ? find_reader(nsp, name) : InvalidOid;
	if (!OidIsValid(oid))
	{
		*message = psprintf("there is no function %s(jsonb) that could return the items", text);
		*hint = psprintf("CREATE FUNCTION %s(parameters jsonb) RETURNS SETOF jsonb ...;", quote_qualified_identifier(schema, name));
		return true;
	}
	if (saga_namespace_aclcheck(nsp, owner, ACL_USAGE) == ACLCHECK_OK &&
		saga_proc_aclcheck(oid, owner, ACL_EXECUTE) == ACLCHECK_OK)
		return false;
	*message = psprintf("role \"%s\", which owns the workflow, may not call function %s", GetUserNameFromId(owner, false), text);
	*hint = grant_hint("EXECUTE ON FUNCTION", schema, name, owner);
	return true;
}

/* All of it, or at least some of its columns. */
static bool
may_use_table(Oid oid, Oid owner, bool writes)
{
	return pg_class_aclcheck(oid, owner, writes ? ACL_INSERT : ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck_all(oid, owner, writes ? ACL_INSERT : ACL_SELECT, ACLMASK_ANY) == ACLCHECK_OK;
}

bool
saga_unbound_table(const char *text, Oid owner, bool writes, char **message, char **hint)
{
	char	   *schema;
	char	   *name;
	Oid			nsp;
	Oid			oid;

	if (!split_name(text, &schema, &name))
	{
		*message = psprintf("\"%s\" does not name a table with its schema", text);
		*hint = "Write schema.table.";
		return true;
	}
	nsp = get_namespace_oid(schema, true);
	oid = OidIsValid(nsp) ? get_relname_relid(name, nsp) : InvalidOid;
	if (!OidIsValid(oid))
	{
		*message = psprintf("there is no table %s", text);
		*hint = psprintf("CREATE TABLE %s (%s);", quote_qualified_identifier(schema, name), !writes ? "..." :
						 "map_run_id uuid, index bigint, execution_id uuid, status text, output jsonb, error text, cause text");
		return true;
	}
	if (saga_namespace_aclcheck(nsp, owner, ACL_USAGE) == ACLCHECK_OK && may_use_table(oid, owner, writes))
		return false;
	*message = psprintf("role \"%s\", which owns the workflow, may not %s table %s", GetUserNameFromId(owner, false),
						writes ? "write to" : "read", text);
	*hint = grant_hint(writes ? "INSERT ON" : "SELECT ON", schema, name, owner);
	return true;
}
