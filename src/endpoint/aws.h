/*
 * aws.h
 *		What all services of AWS have in common: signature, credentials, error
 *		codes, the trace.
 */
#ifndef SAGA_ENDPOINT_AWS_H
#define SAGA_ENDPOINT_AWS_H

#include "aws/credentials.h"
#include "endpoint/exchange.h"

/* The credentials that the settings of a destination name; it stays the destination's. */
extern SagaAwsSource saga_endpoint_aws_source(const SagaDestination *destination);

/* The same for a request of whoever else: secrets are appended to *secrets. */
extern SagaReadiness saga_endpoint_aws_sign_request(SagaHttpRequest *request, List **secrets,
													const SagaAwsSource *source, const char *region,
													const char *service, SagaHttp *http, char **error);

/*
 * A URL as libcurl signs it rightly: the query sorted, each key with "=", in
 * the one way to encode it.  NULL: its path cannot be signed, *error says why.
 */
extern char *saga_endpoint_aws_normalize_url(const char *url, char **error);

/* NULL, or why a header cannot be a part of a signed request. */
extern const char *saga_endpoint_aws_check_header(const char *name, const char *value);

/*
 * The W3C trace of an execution, for messages that have none of their own:
 * the trace is the execution, the parent is the call of the step.
 */
#define SAGA_TRACEPARENT		"traceparent"
#define SAGA_TRACEPARENT_LEN	55
#define SAGA_TRACEPARENT_SIZE	(strlen(SAGA_TRACEPARENT) + strlen("String") + SAGA_TRACEPARENT_LEN)

#endif							/* SAGA_ENDPOINT_AWS_H */
