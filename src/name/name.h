/*
 * name.h
 *		Names of what roles own: queues, workflows, destinations, activities,
 *		sources, secrets and bindings; and the rights that owners grant to others.
 *
 * Names are unique per owner.  A bare name means the user's own object, then
 * that of the first owner in pg_saga.owner_path who has one that the user may
 * use; another's is written owner.name, quoted as identifiers are.  What one
 * may not use does not exist, whoever has it: nothing here tells the two apart.
 */
#ifndef SAGA_NAME_H
#define SAGA_NAME_H

#include "common/common.h"

typedef enum SagaObjectKind
{
	SAGA_OBJECT_QUEUE,
	SAGA_OBJECT_WORKFLOW,
	SAGA_OBJECT_DESTINATION,
	SAGA_OBJECT_SOURCE,
	SAGA_OBJECT_SECRET,
	SAGA_OBJECT_ACTIVITY,
	SAGA_OBJECT_BINDING
} SagaObjectKind;

#define SAGA_OBJECT_KINDS (SAGA_OBJECT_BINDING + 1)

/* Bits.  OWN is not granted: it is having the privileges of the owner. */
typedef enum SagaRight
{
	SAGA_RIGHT_START = 1,		/* workflow: start executions */
	SAGA_RIGHT_OPERATE = 2,		/* stop, answer, redrive; receive; pause and resume; take and answer tasks */
	SAGA_RIGHT_READ = 4,		/* see it, and what it did, in the views */
	SAGA_RIGHT_USE = 8,			/* queue: send; destination: publish; activity: have tasks; secret: refer to */
	SAGA_RIGHT_OWN = 16
} SagaRight;

typedef struct SagaObject
{
	SagaObjectKind kind;
	int32		id;
	Oid			owner;
} SagaObject;

/* ---------- names (name.c) ---------- */

/*
 * The object of exactly this owner and name; false: there is none.  Each module
 * registers that of its kind, from _PG_init.  What is cached costs no statement.
 */
typedef bool (*SagaObjectLookup) (Oid owner, const char *name, SagaObject *object);

extern void saga_name_object_register(SagaObjectKind kind, SagaObjectLookup lookup);

/*
 * Of look-ups that cache what there is not: is_cached says that one of them
 * knew of a name, from its cache, that there is none; ask, that it is to look.
 */
extern bool saga_name_missing_is_cached;
extern bool saga_name_ask_for_missing;

/*
 * What a name means for a user who needs one of these rights (bits) on it; false:
 * nothing.  A name with a dot in it that is one's own is that; names of
 * destinations could always have dots.  The owner may be the oid of a role, as
 * regrole shows one that was dropped.
 */
extern bool saga_name_object_find(SagaObjectKind kind, const char *text, Oid user, int rights,
								  SagaObject *object);

/* Of the user's own alone: what one replaces, or uses as one's own. */
extern bool saga_name_object_find_own(SagaObjectKind kind, const char *text, Oid user, SagaObject *object);

/*
 * For what is made or replaced: one's own, or another's by its full name with the owner's
 * privileges; never one that owner_path alone leads to.  False: it is to be made, and the
 * name will do as a new one (else INVALID_PARAMETER_VALUE is raised).
 */
extern bool saga_name_object_find_to_replace(SagaObjectKind kind, const char *text, Oid user,
											 SagaObject *object);

/* Raises INVALID_PARAMETER_VALUE for a new name that reads as that of another's object. */
extern void saga_name_object_check_new_name(SagaObjectKind kind, const char *text);

/*
 * The owners after the user himself, in the order of pg_saga.owner_path, for look-ups by
 * something else than a name.  The setting counts when the user set it, or an administrator.
 */
extern List *saga_name_owner_path(Oid user);

/*
 * Another role's object of a name that means nothing to the user, as he has to write
 * it; NULL: there is none that he has one of the rights on.  palloc'd.
 */
extern char *saga_name_object_elsewhere(SagaObjectKind kind, const char *name, Oid user, int rights);

/* Raises UNDEFINED_OBJECT for a name that means nothing to the user; that one is the hint. */
extern void saga_name_object_missing(SagaObjectKind kind, const char *text, Oid user, int rights) pg_attribute_noreturn();

/* Raises CONFIGURATION_LIMIT_EXCEEDED when the owner has pg_saga.max_objects_per_owner of them. */
extern void saga_name_object_check_count(SagaObjectKind kind, Oid owner);

/* ---------- rights (right.c) ---------- */

/* Has he one of these rights (bits)?  His own are not looked up. */
extern bool saga_name_object_may(const SagaObject *object, Oid user, int rights);

/*
 * Its row is gone, or has another owner (this transaction did it): what the former
 * one granted is over.
 */
extern void saga_name_object_forget_grants(SagaObjectKind kind, int32 id);

/* Raises unless the caller could become this role. */
extern void saga_name_object_check_new_owner(Oid role);

/*
 * Who gives away what is not his own says which definition (or settings) he means, by
 * its hash; an owner need not.  Raises otherwise.
 */
extern void saga_name_object_check_hash(SagaObjectKind kind, const char *name, Oid owner, const char *hash,
										const char *given);

/* As it is written: "queue". */
extern const char *saga_name_object_kind_name(SagaObjectKind kind);

/* ---------- granting (grant.c) ---------- */

/* Registers what is to be told, in the transaction, that a right on an object of a kind was taken back. */
typedef void (*SagaObjectRevoked) (SagaObjectKind kind);

extern void saga_name_object_on_revoke(SagaObjectRevoked revoked);

extern void saga_name_init(void);	/* from _PG_init: the setting */

#endif							/* SAGA_NAME_H */
