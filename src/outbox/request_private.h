/*
 * request_private.h
 *		What a task or saga.publish_to asks for: which destination it means,
 *		and whether that can be sent (endpoint/request.h says how it is stored).
 */
#ifndef SAGA_OUTBOX_REQUEST_PRIVATE_H
#define SAGA_OUTBOX_REQUEST_PRIVATE_H

#include "endpoint/request.h"
#include "outbox/outbox.h"

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
extern bool saga_outbox_reject(SagaResolved *resolved, const char *error, const char *fmt, ...)
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

#endif							/* SAGA_OUTBOX_REQUEST_PRIVATE_H */
