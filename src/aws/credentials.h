/*
 * credentials.h
 *		AWS credentials: where they come from, kept in memory only, and new
 *		ones before they expire.
 *
 * All functions are called outside a transaction (or, in CALL saga.publish(),
 * without a snapshot): they may begin a request.
 */
#ifndef SAGA_AWS_CREDENTIALS_H
#define SAGA_AWS_CREDENTIALS_H

#include "net/http.h"

typedef struct SagaCredentials
{
	char	   *access_key;
	char	   *secret_key;
	char	   *session_token;	/* NULL: none */
} SagaCredentials;

/*
 * What the settings of a destination or a source say.  Nothing: the chain of
 * the server, which pg_saga.aws_credentials may cut down to one link.
 */
typedef struct SagaAwsSource
{
	const char *secret;			/* a row of saga.secret */
	const char *file;			/* a shared credentials file */
	const char *profile;		/* of that file, or of the server's own */
	const char *region;			/* where STS is asked, if the environment names no region */
} SagaAwsSource;

/*
 * NOW: copies, in CurrentMemoryContext, for the caller to overwrite.  LATER:
 * being fetched over this SagaHttp; ask again after its next answer.  NEVER:
 * *error says why, without a secret.
 */
extern SagaReadiness saga_aws_credentials(const SagaAwsSource *source, SagaHttp *http,
										  SagaCredentials *credentials, char **error);

/*
 * A service did not take these credentials, so they are not used again.  True:
 * others can be had, which saga_aws_credentials gives or fetches next.
 */
extern bool saga_aws_credentials_refused(const SagaAwsSource *source, const char *access_key);

/* AWS_REGION, AWS_DEFAULT_REGION, or NULL. */
extern const char *saga_aws_region(void);

/* Does this error of a service say that the credentials are expired or unknown? */
extern bool saga_aws_is_credentials_error(const char *code);

#endif							/* SAGA_AWS_CREDENTIALS_H */
