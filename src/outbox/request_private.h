/*
 * request_private.h
 *		What a task or saga.publish_to asks for, as it is stored and as it is sent.
 *
 * Stored (saga.outbox.request), for http:
 *   {"Method", "Path": "/below?the=url", "Headers", "Body", "Form": array format,
 *    "Compensate": 1, "Captured": {...}}
 * and for sns and sqs:
 *   {"Message", "Subject", "MessageAttributes", "MessageStructure", "DelaySeconds",
 *    "MessageGroupId", "MessageDeduplicationId"}
 * Members that were not given are missing.
 */
#ifndef SAGA_OUTBOX_REQUEST_PRIVATE_H
#define SAGA_OUTBOX_REQUEST_PRIVATE_H

#include "outbox/destination.h"
#include "outbox/outbox.h"

#define SAGA_HTTP_MAX_BYTES	(16 * 1024 * 1024)

/* The attribute that every message of SNS and SQS carries; executions' also have a traceparent. */
#define SAGA_SNS_ID_ATTRIBUTE	"saga-message-id"

typedef struct SagaResolved
{
	SagaDestination *destination;
	Jsonb	   *request;		/* as it is stored */
	const char *ordering_key;
	bool		compensate;		/* it undoes what an earlier message did */

	/* not resolved: an error for the task */
	const char *error;
	char	   *cause;
} SagaResolved;

/* Finds the destination and checks the request; false: error and cause are set. */
extern bool saga_request_resolve(const SagaOutboxEntry *entry, SagaResolved *resolved);

/* The key that a message is sent under, and since when it may have been done under it; 0: it was not (again.c). */
typedef struct SagaTakenUp
{
	pg_uuid_t	key;
	int			key_epoch;
	TimestampTz first_sent_at;
} SagaTakenUp;

extern void saga_outbox_take_up(const SagaOutboxEntry *entry, const SagaResolved *resolved, SagaTakenUp *taken);

/* What a task is told that asked for what cannot be sent; destination: NULL while it is not known. */
extern const char *saga_request_error(SagaOutboxOp op, const SagaDestination *destination);

/* false, with an error for the task: for the checks of one kind */
extern bool saga_reject(SagaResolved *resolved, const char *error, const char *fmt, ...)
			pg_attribute_printf(3, 4);

/* Members that a request may have, with the types that they may be of; the last one has no name (members.c). */
#define SAGA_MEMBER_STRING	0x01
#define SAGA_MEMBER_NUMBER	0x02
#define SAGA_MEMBER_OBJECT	0x04
#define SAGA_MEMBER_OTHER	0x08
#define SAGA_MEMBER_ANY		0x0f

typedef struct SagaMember
{
	const char *name;
	int			types;
} SagaMember;

extern bool saga_request_check_members(SagaResolved *resolved, const char *error, JsonbContainer *object,
									   const SagaMember *members, const char *what);
extern bool saga_request_check_publish(SagaResolved *resolved, const char *error, JsonbContainer *input);

/* Of a request to publish, a number as its text; NULL: it has none. */
extern char *saga_request_ordering_key(JsonbContainer *input);

extern bool saga_request_check_http(const SagaOutboxEntry *entry, SagaResolved *resolved,
									const char *rest);
extern bool saga_request_check_aws(const SagaOutboxEntry *entry, SagaResolved *resolved);

/* What templates and expressions see: the message's body and what was captured; may be NULL. */
extern Jsonb *saga_request_message(Jsonb *request, Jsonb *captured);

/* The URL; request NULL: without the path that a task gave.  NULL, and what is wrong. */
extern char *saga_request_url(const SagaRequestSpec *spec, Jsonb *request, Jsonb *message, char **error);

/* NULL, or which header cannot be filled from the message. */
extern char *saga_request_headers_fault(const SagaRequestSpec *spec, Jsonb *message);

/* The name of a way to write arrays in a form, as AWS has them; NULL: none of that name. */
extern const char *saga_form_format(const char *name);

/*
 * Its body as bytes; NULL: none, or *error says what is wrong.  *content_type
 * is what is sent when the request names none.  With key_member the key
 * becomes that member of the body.
 */
extern char *saga_request_body(const SagaRequestSpec *spec, Jsonb *request, Jsonb *message,
							   const char *key_member, const char *key, const char **content_type, char **error);

/* name=value, percent-encoded, with "&" before it unless it is the first. */
extern void saga_append_query(StringInfo query, const char *name, const char *value);

#endif							/* SAGA_OUTBOX_REQUEST_PRIVATE_H */
