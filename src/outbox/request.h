/*
 * request.h
 *		What a task or saga.publish_to asks for, as it is stored and as it is sent.
 *
 * Stored (saga.outbox.request), for http:
 *   {"Method", "Path": "/below?the=url", "Headers", "Body", "Form": array format}
 * and for sns:
 *   {"Message", "Subject", "MessageAttributes", "MessageStructure",
 *    "MessageGroupId", "MessageDeduplicationId"}
 * Members that were not given are missing.
 */
#ifndef SAGA_OUTBOX_REQUEST_H
#define SAGA_OUTBOX_REQUEST_H

#include "outbox/destination.h"
#include "outbox/outbox.h"

#define SAGA_SNS_MAX_BYTES	262144
#define SAGA_HTTP_MAX_BYTES	(16 * 1024 * 1024)

/* The name of the attribute that every SNS message carries. */
#define SAGA_SNS_ID_ATTRIBUTE	"saga-message-id"

typedef struct SagaResolved
{
	SagaDestination *destination;
	Jsonb	   *request;		/* as it is stored */
	const char *ordering_key;

	/* not resolved: an error for the task */
	const char *error;
	char	   *cause;
} SagaResolved;

/* Finds the destination and checks the request; false: error and cause are set. */
extern bool saga_request_resolve(const SagaOutboxEntry *entry, SagaResolved *resolved);

/* false, with an error for the task: for the checks of one kind */
extern bool saga_reject(SagaResolved *resolved, const char *error, const char *fmt, ...)
			pg_attribute_printf(3, 4);
extern bool saga_request_check_http(const SagaOutboxEntry *entry, SagaResolved *resolved,
									const char *rest);
extern bool saga_request_check_sns(const SagaOutboxEntry *entry, SagaResolved *resolved);

/* The URL of a stored http request; NULL, with the name of the template's member that is missing. */
extern char *saga_request_url(const SagaRequestSpec *spec, Jsonb *request, char **missing);

/* The name of a way to write arrays in a form, as AWS has them; NULL: none of that name. */
extern const char *saga_form_format(const char *name);

/* Its body as bytes; NULL: none.  *content_type is what is sent when the request names none. */
extern char *saga_request_body(Jsonb *request, const char **content_type);

#endif							/* SAGA_OUTBOX_REQUEST_H */
