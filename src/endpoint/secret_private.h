/*
 * secret_private.h
 *		Rows of saga.secret and what refers to them.
 */
#ifndef SAGA_SECRET_PRIVATE_H
#define SAGA_SECRET_PRIVATE_H

/* The row of a secret was made: grants and references that a restore left without it are its again (secret_reference.c). */
extern void saga_endpoint_secret_found_again(Oid owner, const char *name);

#endif							/* SAGA_SECRET_PRIVATE_H */
