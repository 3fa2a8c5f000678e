/*
 * secret.h
 *		References to secrets: {secret:NAME} (a row of saga.secret),
 *		{secret:file:/path} and {secret:env:NAME}.
 *
 * What is stored with a destination, and shown, is the reference; the secret
 * itself is read when a request is sent, and is then in memory only.
 */
#ifndef SAGA_NET_SECRET_H
#define SAGA_NET_SECRET_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

typedef struct SagaSecretUse
{
	bool		any;			/* has a reference of any kind */
	bool		file;			/* has a {secret:file:...} */
	bool		environment;	/* has a {secret:env:...} */
	int			count;			/* of references */
	List	   *names;			/* char *: of rows of saga.secret */
} SagaSecretUse;

/* NULL, or why this cannot be the name of a row of saga.secret. */
extern const char *saga_secret_check_name(const char *name);

/* NULL, or why this cannot refer to one: a name, or owner.name, quoted as identifiers are. */
extern const char *saga_secret_check_reference(const char *name);

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

/*
 * Replaces each secret in a foreign text by asterisks, in place; also where
 * it is percent-encoded, in Base64, escaped as in JSON or XML, or cut off by
 * the text's end (redact.c).  May be interrupted where there is much to
 * search: the text still holds them then.
 */
extern void saga_secret_redact(char *data, size_t len, List *secrets);

/* ---------- rows of saga.secret (secret_store.c) ---------- */

/*
 * What a reference is within a process: whose secret it meant, "OID/NAME".  Neither ever
 * changes, so it is the same one also when it was dropped, or left out of a dump, and
 * its owner sets it again.  Settings cannot be made with one: no name has a slash.
 */
extern char *saga_secret_key(Oid owner, const char *name);
extern const char *saga_secret_key_name(const char *key);	/* for people */

/* The id of the row that a key means now; 0: there is none.  In a transaction. */
extern int32 saga_secret_row(const char *key);

/*
 * Reads the rows of these keys, unless this process knows them and they have not
 * changed.  In a transaction, right before something is
 * sent; in UTF-8, as everything that is sent.
 */
extern void saga_secret_load(List *keys);

/* What was loaded: a copy, or NULL when there is no such row.  Anywhere. */
extern char *saga_secret_get(const char *key);

#endif							/* SAGA_NET_SECRET_H */
