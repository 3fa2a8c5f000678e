/*
 * workflow_private.h
 *		Workflows and their versions: what they are called, and what the names in
 *		their definitions mean.
 */
#ifndef SAGA_ENGINE_WORKFLOW_PRIVATE_H
#define SAGA_ENGINE_WORKFLOW_PRIVATE_H

#include "asl/asl.h"
#include "name/name.h"
#include "queue/queue.h"

#define SAGA_MAX_DEFINITION	(2 * 1024 * 1024)	/* bytes of a definition, as jsonb; AWS: 1 MB of text */

/* ---------- workflows (workflow.c) ---------- */

typedef struct SagaWorkflow
{
	int32		workflow_id;
	char	   *name;
	Oid			owner;
	int			version;
} SagaWorkflow;

/*
 * From a per-process cache; valid until the next transaction.  find: what a name
 * means for the current user, who needs one of these rights (SagaRight) on it.
 */
extern const SagaWorkflow *saga_workflow_by_id(int32 workflow_id, bool missing_ok);
extern const SagaWorkflow *saga_workflow_find(const char *text, int rights, bool missing_ok);
extern bool saga_workflow_may(const SagaWorkflow *workflow, int rights);

/*
 * The workflow, kept from changing until the end of the transaction, if it is still
 * there and the caller still has the privileges of its owner; else raises
 * UNDEFINED_OBJECT.  exclusive: to change it, when nobody else is using it.
 */
extern const SagaWorkflow *saga_workflow_lock(int32 workflow_id, const char *text, bool exclusive);

/* That of a version, which is there. */
extern Jsonb *saga_workflow_definition(int32 workflow_id, int version);

/* The next version of one that is there; the definition is a valid one. */
extern int	saga_workflow_add_version(int32 workflow_id, const char *name, Jsonb *definition);

/* Is there this version, made for the owner that it has now?  check raises UNDEFINED_OBJECT for any other. */
extern bool saga_workflow_has_version(const SagaWorkflow *workflow, int version);
extern void saga_workflow_check_version(const SagaWorkflow *workflow, int version);

/* A valid definition: the warnings about it, of SagaDiagnostic.  Raises for any other. */
extern List *saga_workflow_check(const char *name, Jsonb *definition);

/* saga.create_workflow for InvalidOid as owner; returns the version.  quiet: without a warning. */
extern int	saga_workflow_create(const char *name, Jsonb *definition, Oid owner, bool quiet);

/* No run of an earlier batch is left: machines that were forgotten may go. */
extern void saga_workflow_begin_batch(void);

/* The compiled machine of a version, cached; valid until the next batch. */
extern const SagaMachine *saga_workflow_machine(int32 workflow_id, int version);

/* The id of what a name in this version meant when it was made; 0: nothing then. */
extern int32 saga_workflow_meant(int32 workflow_id, int version, SagaObjectKind kind, const char *name);

/* ---------- aliases (alias.c) ---------- */

/* The version of a definition that has a name in it. */
typedef struct SagaMeaning
{
	int32		workflow_id;
	int			version;
} SagaMeaning;

/*
 * What "NAME", "NAME:3" or "NAME:alias" says is to be started, and which version
 * of it; the current user needs the right to start it.  Of an alias with several
 * versions each comes as often as its weight says.  meaning: what NAME meant
 * there is what it means, as long as that is there; NULL: it is nobody's.
 */
extern const SagaWorkflow *saga_workflow_find_version(const char *text, const SagaMeaning *meaning, bool missing_ok,
													  int *version);

/* It has another owner: what the former one published is gone. */
extern void saga_alias_forget(int32 workflow_id);

/* ---------- what names in a definition mean (reference.c) ---------- */

typedef struct SagaReference
{
	SagaObjectKind kind;
	char	   *name;			/* as written, without what follows it */
	int32		id;
} SagaReference;

/* Looks the names in a new version up, as its owner means them. */
extern void saga_reference_store(int32 workflow_id, int version, Jsonb *definition, Oid owner);

extern void saga_reference_forget(int32 workflow_id);	/* of all its versions */

/* What was stored, in the caller's memory: of SagaReference. */
extern List *saga_reference_load(int32 workflow_id, int version);

/* ---------- bindings (binding.c) ---------- */

/* An ARN, or the name of a function that an ARN may end with; palloc'd, NULL: it stands for nothing here. */
extern const SagaResource *saga_binding_by_id(int32 resource_id);
extern const SagaResource *saga_binding_of(const char *arn, bool by_function_name, Oid owner, int32 *resource_id);

/* The same; a function that is bound by no name is what lambda:invoke itself is bound to. */
extern const SagaResource *saga_binding_find(const char *arn, bool by_function_name, Oid owner, int32 *resource_id);

#define SAGA_LAMBDA_INVOKE	"arn:aws:states:::lambda:invoke"
#define SAGA_UNBOUND		"UNBOUND_RESOURCE"	/* code of diagnostics that others do not have */

/* ---------- what is bound to nothing (unbound.c) ---------- */

typedef struct SagaUnbound
{
	char	   *location;		/* JSON pointer */
	char	   *message;
	char	   *hint;			/* the statement that would mend it */
} SagaUnbound;

/* What the definition asks for, and this role would not find now: of SagaUnbound. */
extern List *saga_unbound_find(Jsonb *definition, Oid owner);

/* Says so in one message of this level; nothing for an empty list. */
extern void saga_unbound_report(int elevel, const char *name, List *unbound);

/*
 * unbound_map.c: has a distributed Map of this owner nothing to read its items
 * with, or no table to read from or write to?  Then what is wrong, and what would mend it.
 */
extern bool saga_unbound_reader(const char *text, Oid owner, char **message, char **hint);
extern bool saga_unbound_table(const char *text, Oid owner, bool writes, char **message, char **hint);

#endif							/* SAGA_ENGINE_WORKFLOW_PRIVATE_H */
