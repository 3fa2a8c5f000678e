/*
 * expression_private.h
 *		{"body": {"expr": "..."}}: a body by an expression of JSONata.
 */
#ifndef SAGA_ENDPOINT_EXPRESSION_PRIVATE_H
#define SAGA_ENDPOINT_EXPRESSION_PRIVATE_H

#include "endpoint/destination.h"

/*
 * In CurrentMemoryContext, for any number of evaluations.  NULL, and a message
 * with code and position, without a final full stop.
 */
extern SagaExpression *saga_endpoint_expression_compile(const char *text, char **error);

/*
 * True: *result is the value, or NULL for nothing.  False: *error says why.
 * A NULL message is nothing, as "$" and for every name.  Raises for nothing
 * that text and message can hold.
 */
extern bool saga_endpoint_expression_eval(const SagaExpression *expression, Jsonb *message, Jsonb **result, char **error);

#endif							/* SAGA_ENDPOINT_EXPRESSION_PRIVATE_H */
