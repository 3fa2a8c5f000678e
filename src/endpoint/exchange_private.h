/*
 * exchange_private.h
 *		Exchanges between their own files: the kinds of destinations, and what an
 *		answer says of itself.
 */
#ifndef SAGA_ENDPOINT_EXCHANGE_PRIVATE_H
#define SAGA_ENDPOINT_EXCHANGE_PRIVATE_H

#include "endpoint/exchange.h"

/* The request of the part's phase; NULL: the settings were changed, and there is none any more (phase.c). */
extern const SagaRequestSpec *saga_phase_spec(const SagaDestination *destination, const SagaPart *part);

/* saga_compose, for each kind (compose.c, sns.c, sqs.c). */
extern void saga_compose_http(SagaExchange *exchange);
extern void saga_compose_sns(SagaExchange *exchange);
extern void saga_compose_sqs(SagaExchange *exchange);

/* Has it none of its own?  Also of SQS. */
extern bool saga_sns_needs_trace(const SagaPart *part);

/* saga_exchange_prepare, for each kind (compose.c, aws_answer.c). */
extern SagaReadiness saga_prepare_http(SagaExchange *exchange, SagaHttp *http, char **error);
extern SagaReadiness saga_prepare_aws(SagaExchange *exchange, SagaHttp *http, char **error);

/* Of saga_exchange_classify (aws_answer.c). */
extern void saga_classify_aws(SagaExchange *exchange);

/* When it may come again, as the answer says; -1: it does not say it (retry_after.c). */
extern int64 saga_exchange_retry_after_ms(const SagaExchange *exchange, SagaClass class, int status);

/* Does the answer say when to come again, and so that nothing was begun? */
extern bool saga_exchange_is_put_off(const SagaExchange *exchange);

/* By its Content-Type (classify.c). */
extern bool saga_head_says_json(const char *head);

#endif							/* SAGA_ENDPOINT_EXCHANGE_PRIVATE_H */
