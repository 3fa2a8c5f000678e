/*
 * request.h
 *		What a message asks for, as it is stored, and what of a request is made
 *		of that.
 *
 * Stored (saga.outbox.request), for http:
 *   {"Method", "Path": "/below?the=url", "Headers", "Body", "Form": array format,
 *    "Compensate": 1, "Captured": {...}}
 * and for sns and sqs:
 *   {"Message", "Subject", "MessageAttributes", "MessageStructure", "DelaySeconds",
 *    "MessageGroupId", "MessageDeduplicationId"}
 * Members that were not given are missing.
 */
#ifndef SAGA_ENDPOINT_REQUEST_H
#define SAGA_ENDPOINT_REQUEST_H

#include "endpoint/destination.h"
#include "lib/stringinfo.h"

#define SAGA_HTTP_MAX_BYTES	(16 * 1024 * 1024)

/* The attribute that every message of SNS and SQS carries; executions' also have a traceparent. */
#define SAGA_SNS_ID_ATTRIBUTE	"saga-message-id"

/* What templates and expressions see: the message's body and what was captured; may be NULL. */
extern Jsonb *saga_endpoint_request_message(Jsonb *request, Jsonb *captured);

/* The URL; request NULL: without the path that a task gave.  NULL, and what is wrong. */
extern char *saga_endpoint_request_url(const SagaRequestSpec *spec, Jsonb *request, Jsonb *message, char **error);

/* NULL, or which header cannot be filled from the message. */
extern char *saga_endpoint_request_headers_fault(const SagaRequestSpec *spec, Jsonb *message);

/* The name of a way to write arrays in a form, as AWS has them; NULL: none of that name. */
extern const char *saga_form_format(const char *name);

/*
 * Its body as bytes; NULL: none, or *error says what is wrong.  *content_type
 * is what is sent when the request names none.  With key_member the key
 * becomes that member of the body.  The bytes are made in the context that is
 * given: what it takes to make them is of their size, too, and can go.
 */
extern char *saga_endpoint_request_body(const SagaRequestSpec *spec, Jsonb *request, Jsonb *message,
										const char *key_member, const char *key, MemoryContext context,
										const char **content_type, char **error);

/* name=value, percent-encoded, with "&" before it unless it is the first. */
extern void saga_endpoint_append_query(StringInfo query, const char *name, const char *value);

#endif							/* SAGA_ENDPOINT_REQUEST_H */
