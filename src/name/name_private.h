/*
 * name_private.h
 *		Kinds of rights, for right.c and grant.c.
 */
#ifndef SAGA_NAME_PRIVATE_H
#define SAGA_NAME_PRIVATE_H

#include "name/name.h"

/* The right (one bit) that a person calls so; 0: there is none of that name. */
extern int	saga_name_right(const char *name);

/* The rights (bits) that mean something on objects of a kind. */
extern int	saga_name_rights_on(SagaObjectKind kind);

/* Rights as a person writes them: "\"read\", \"use\"".  palloc'd. */
extern char *saga_name_list_rights(int rights);

#endif							/* SAGA_NAME_PRIVATE_H */
