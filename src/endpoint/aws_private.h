/*
 * aws_private.h
 *		What services of AWS have in common, for exchanges with them.
 */
#ifndef SAGA_ENDPOINT_AWS_PRIVATE_H
#define SAGA_ENDPOINT_AWS_PRIVATE_H

#include "endpoint/aws.h"
#include "endpoint/exchange.h"

/*
 * Adds the credentials' parts of a signature to exchange->http, whose headers
 * and body are complete; region NULL: that of the environment.  Outside a
 * transaction.  NEVER: *error says why, without a secret.
 */
extern SagaReadiness saga_endpoint_aws_sign(SagaExchange *exchange, const SagaAwsSource *source, const char *region,
											const char *service, SagaHttp *http, char **error);

/*
 * saga_auth_refused for what saga_endpoint_aws_sign has signed: when the answer says
 * that the credentials are expired or unknown, and others can be had, true.
 * A clock that is wrong is told to the log.
 */
extern bool saga_endpoint_aws_refused(SagaExchange *exchange);

/* The class of an error; code "": none, the status alone counts. */
extern SagaClass saga_endpoint_aws_class(const char *code, int status);

/*
 * The same for any service behind aws_sigv4: what its code says of
 * credentials, rights and throttling; else the class that it has already.
 */
extern SagaClass saga_endpoint_aws_class_of_answer(const SagaExchange *exchange, SagaClass class);

/* SAGA_TRACEPARENT of an execution and a call of it: palloc'd, SAGA_TRACEPARENT_LEN characters. */
extern char *saga_endpoint_aws_traceparent(const pg_uuid_t *execution_id, const pg_uuid_t *idempotency_key);

#endif							/* SAGA_ENDPOINT_AWS_PRIVATE_H */
