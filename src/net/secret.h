/*
 * secret.h
 *		References to secrets: {secret:file:/path} and {secret:env:NAME}.
 *
 * What is stored and shown is the reference; the secret itself is read when a
 * request is sent, and only ever in memory.
 */
#ifndef SAGA_NET_SECRET_H
#define SAGA_NET_SECRET_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

typedef struct SagaSecretUse
{
	bool		any;
	bool		file;
	bool		environment;
} SagaSecretUse;

/* NULL, or what is wrong with the references in a text. */
extern const char *saga_secret_check(const char *text, SagaSecretUse *use);

/*
 * Copies a text with the references replaced.  Each secret is appended to
 * *secrets, so that answers can be searched for it.  Returns NULL or an error
 * message, which never holds a secret.
 */
extern char *saga_secret_fill(StringInfo out, const char *text, List **secrets);

/* Reads a small file of the server's; NULL and a message when it cannot. */
extern char *saga_secret_read_file(const char *path, int max_bytes, char **error);

/* Overwrites each of the secrets. */
extern void saga_secret_wipe(List *secrets);

/* Replaces each secret in a foreign text by asterisks, in place. */
extern void saga_secret_redact(char *data, size_t len, List *secrets);

#endif							/* SAGA_NET_SECRET_H */
