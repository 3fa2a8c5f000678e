/*
 * credentials_private.h
 *		Providers of AWS credentials and the requests that they make.
 *
 * A provider keeps the credentials of one source for the life of the process.
 * A link of the chain either has them at once, or begins a fetch: one or more
 * requests over the caller's SagaHttp.  The fetch may be cut off at any time,
 * by the end of that SagaHttp or by an error, and then belongs to nobody.
 */
#ifndef SAGA_AWS_CREDENTIALS_PRIVATE_H
#define SAGA_AWS_CREDENTIALS_PRIVATE_H

#include "aws/credentials.h"
#include "common/guc.h"
#include "datatype/timestamp.h"
#include "lib/ilist.h"

/* Files and answers are not longer than this. */
#define SAGA_AWS_MAX_BYTES	65536

typedef struct SagaAwsFetch SagaAwsFetch;

typedef struct SagaAwsProvider
{
	dlist_node	node;

	/* the source */
	char	   *secret;
	char	   *file;
	char	   *profile;

	int			setting;		/* pg_saga.aws_credentials that it was made under */
	int			link;			/* that gave credentials; from then on no other is asked */
	char	   *region;			/* of whoever asked last; a hint for STS */

	/* what it has; no access key: nothing */
	SagaCredentials credentials;
	TimestampTz valid_until;
	TimestampTz renew_at;
	TimestampTz refused_at;		/* a service did not take the ones before */
	TimestampTz replaced_at;	/* and a file, or a secret, had others */

	/* getting others */
	SagaAwsFetch *fetch;		/* NULL: none is under way */
	TimestampTz retry_at;		/* not before, after a failure */
	int			failures;		/* in a row */
	char	   *error;			/* of the last one */
	bool		busy;			/* it was for want of something of ours */
} SagaAwsProvider;

typedef enum SagaAwsOutcome
{
	SAGA_AWS_ABSENT,			/* this link is not set up: ask the next one */
	SAGA_AWS_GOT,
	SAGA_AWS_FETCHING,
	SAGA_AWS_FAILED				/* set up, and does not work */
} SagaAwsOutcome;

/* ---------- providers (credentials_provider.c) ---------- */

/* A variable of the server's environment; NULL: not set, or empty. */
extern const char *saga_aws_variable(const char *name);

/* Overwrites them, and frees them. */
extern void saga_aws_wipe(SagaCredentials *credentials);

extern bool saga_aws_same_credentials(const SagaCredentials *a, const SagaCredentials *b);

/* The one of a source; NULL: nobody has asked for it yet. */
extern SagaAwsProvider *saga_aws_provider_find(const SagaAwsSource *source);

/* The same, made if need be, and anew after pg_saga.aws_credentials was changed. */
extern SagaAwsProvider *saga_aws_provider_get(const SagaAwsSource *source);

/* The fetch goes on, but nobody waits for it. */
extern void saga_aws_provider_forget_fetch(SagaAwsProvider *provider);

/* What a link got for its provider; expires_at 0: never. */
extern void saga_aws_provider_take(SagaAwsProvider *provider, int link, const SagaCredentials *credentials,
								   TimestampTz expires_at);

/* It got none: the log tells.  What is at hand is used until it expires. */
extern void saga_aws_provider_note_failure(SagaAwsProvider *provider, const char *error);

/* The same of a fetch, which is not tried again at once; busy: SAGA_TRANSPORT_BUSY. */
extern void saga_aws_provider_fail(SagaAwsProvider *provider, const char *error, bool busy);

/* ---------- links of the chain ---------- */

/* GOT: *credentials is in CurrentMemoryContext.  FAILED: *error. */
extern SagaAwsOutcome saga_aws_read_files(const SagaAwsProvider *provider, SagaCredentials *credentials,
										  char **error);

/* credentials_fetch.c, credentials_web.c, credentials_local.c */
extern SagaAwsOutcome saga_aws_fetch_web_identity(SagaAwsProvider *provider, SagaHttp *http, char **error);
extern SagaAwsOutcome saga_aws_fetch_container(SagaAwsProvider *provider, SagaHttp *http, char **error);
extern SagaAwsOutcome saga_aws_fetch_imds(SagaAwsProvider *provider, SagaHttp *http, char **error);

/* ---------- kinds of fetches ---------- */

typedef enum SagaAwsStep
{
	SAGA_AWS_STEP_DONE,			/* *credentials and *expires_at are set */
	SAGA_AWS_STEP_NEXT,			/* prepare the next request */
	SAGA_AWS_STEP_AGAIN,		/* it may work when tried again; *error */
	SAGA_AWS_STEP_FAILED		/* *error */
} SagaAwsStep;

typedef struct SagaAwsFetchKind
{
	int			link;
	const char *name;			/* for messages */
	int			timeout_ms;
	int			tries;			/* of all its requests together */

	/* Fills fetch->request for fetch->step.  Returns NULL or an error. */
	char	   *(*prepare) (SagaAwsFetch *fetch);

	/* An answer with a status. */
	SagaAwsStep (*answered) (SagaAwsFetch *fetch, const SagaHttpAnswer *answer,
							 SagaCredentials *credentials, TimestampTz *expires_at, char **error);
} SagaAwsFetchKind;

struct SagaAwsFetch
{
	SagaHttpUser user;
	const SagaAwsFetchKind *kind;
	SagaAwsProvider *provider;	/* NULL: nobody waits for it any more */
	SagaHttp   *http;
	MemoryContext context;		/* everything of it */
	int			step;			/* from 0 */
	int			tries;
	SagaHttpRequest request;
	SagaGuard	guard;
	List	   *secrets;		/* char *: overwritten at its end */

	char	   *base;			/* URL without the path */
	char	   *token;			/* of the metadata service */
	char	   *role;
};

/* Its answers come with the turns of this SagaHttp. */
extern bool saga_aws_fetch_runs_over(const SagaAwsFetch *fetch, const SagaHttp *http);

/* Begins one; FETCHING or FAILED. */
extern SagaAwsOutcome saga_aws_fetch_begin(const SagaAwsFetchKind *kind, SagaAwsProvider *provider,
										   SagaHttp *http, char **error);

/* "Name: value" with a secret in it, which is overwritten at the end. */
extern void saga_aws_fetch_add_header(SagaAwsFetch *fetch, const char *name, const char *value);

/* Only these addresses, "10.0.0.1/32"; the list ends with NULL. */
extern void saga_aws_fetch_allow(SagaAwsFetch *fetch, const char *const *addresses);

/* {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"} */
extern SagaAwsStep saga_aws_read_json(SagaAwsFetch *fetch, const SagaHttpAnswer *answer,
									  SagaCredentials *credentials, TimestampTz *expires_at, char **error);

/* "2024-05-01T12:30:00Z"; 0: it is no such time. */
extern TimestampTz saga_aws_parse_time(const char *text);

/* A small file with one line, read anew each time; NULL and *error. */
extern char *saga_aws_read_token_file(const char *path, char **error);

#endif							/* SAGA_AWS_CREDENTIALS_PRIVATE_H */
