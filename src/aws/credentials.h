/*
 * credentials.h
 *		AWS credentials, read when a request is sent and kept in memory only.
 */
#ifndef SAGA_AWS_CREDENTIALS_H
#define SAGA_AWS_CREDENTIALS_H

typedef struct SagaCredentials
{
	char	   *access_key;
	char	   *secret_key;
	char	   *session_token;	/* NULL: none */
} SagaCredentials;

/*
 * From the profile of a shared credentials file when one of the two is
 * given; else AWS_ACCESS_KEY_ID ..., else AWS_SHARED_CREDENTIALS_FILE.
 * Returns NULL, or a message, which holds no secret.
 */
extern char *saga_credentials_read(const char *file, const char *profile, SagaCredentials *credentials);

#endif							/* SAGA_AWS_CREDENTIALS_H */
