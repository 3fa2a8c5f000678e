/*
 * exchange_private.h
 *		Exchanges between their own files: the kinds of destinations, and what an
 *		answer says of itself.
 */
#ifndef SAGA_ENDPOINT_EXCHANGE_PRIVATE_H
#define SAGA_ENDPOINT_EXCHANGE_PRIVATE_H

#include "endpoint/exchange.h"

/* The request of the part's phase; NULL: the settings were changed, and there is none any more (phase.c). */
extern const SagaRequestSpec *saga_endpoint_phase_spec(const SagaDestination *destination, const SagaPart *part);

/* saga_compose, for each kind (compose.c, sns.c, sqs.c). */
extern void saga_compose_http(SagaExchange *exchange);
extern void saga_compose_sns(SagaExchange *exchange);
extern void saga_compose_sqs(SagaExchange *exchange);

/*
 * After composing in scratch: what is needed to send it is copied into the
 * exchange's own memory, and its documents are left behind (reduce.c).  The
 * texts that headers are filled with are kept by the second (compose.c).
 */
extern void saga_exchange_reduce(SagaExchange *exchange, MemoryContext scratch);
extern void saga_endpoint_keep_header_texts(SagaExchange *exchange);

/* Has it none of its own?  Also of SQS. */
extern bool saga_endpoint_sns_needs_trace(const SagaPart *part);

/* saga_exchange_prepare, for each kind (compose.c, aws_answer.c). */
extern SagaReadiness saga_endpoint_prepare_http(SagaExchange *exchange, SagaHttp *http, char **error);
extern SagaReadiness saga_endpoint_prepare_aws(SagaExchange *exchange, SagaHttp *http, char **error);

/* Of saga_exchange_classify (aws_answer.c). */
extern void saga_classify_aws(SagaExchange *exchange);

/* When it may come again, as the answer says; -1: it does not say it (retry_after.c). */
extern int64 saga_exchange_retry_after_ms(const SagaExchange *exchange, SagaClass class, int status);

/* Does the answer say when to come again, and so that nothing was begun? */
extern bool saga_exchange_is_put_off(const SagaExchange *exchange);

/* ---------- the class of an answer (answer_class.c) ---------- */

/* By its Content-Type. */
extern bool saga_endpoint_head_says_json(const char *head);

/* Does the answer meet the condition?  NULL: none does. */
extern bool saga_exchange_holds(const SagaExchange *exchange, const SagaCondition *condition);

/* The rules that speak of the part's request; NULL: there are none. */
extern const SagaRules *saga_exchange_rules(const SagaDestination *destination, const SagaPart *part);

/* By these rules alone; false: none of them speaks of the answer. */
extern bool saga_exchange_rule_class(const SagaExchange *exchange, const SagaRules *rules, SagaClass *class);

/* By these rules, then by the built-in table. */
extern SagaClass saga_exchange_class(const SagaExchange *exchange, const SagaRules *rules);

#endif							/* SAGA_ENDPOINT_EXCHANGE_PRIVATE_H */
