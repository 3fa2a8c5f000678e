/*
 * sqs.h
 *		The protocol of Amazon SQS, JSON 1.0: bodies of requests, and answers.
 *
 * Everything is UTF-8, works in CurrentMemoryContext, and but for the
 * checksum needs no transaction.  The queue is in the body, the connection goes to an
 * endpoint of its own: through a VPC endpoint the two differ.
 */
#ifndef SAGA_AWS_SQS_H
#define SAGA_AWS_SQS_H

#include "lib/stringinfo.h"
#include "net/xml.h"

#define SAGA_SQS_CONTENT_TYPE	"Content-Type: application/x-amz-json-1.0"

/* The header that names an action: "ReceiveMessage" ... */
extern char *saga_sqs_target(const char *action);

/* ---------- requests ---------- */

/* ,"name":"text", for objects that have a member already */
extern void saga_sqs_add_string(StringInfo body, const char *name, const char *text);

/* {"QueueUrl":"...": an object that is left open */
extern void saga_sqs_begin(StringInfo body, const char *queue_url);

extern char *saga_sqs_receive(const char *queue_url, int max, int wait_s, int visibility_s);

/* For up to SAGA_SNS_MAX_ENTRIES receipts; the id of an entry is its number from 0. */
extern char *saga_sqs_delete_batch(const char *queue_url, char **receipts, int n);
extern char *saga_sqs_visibility_batch(const char *queue_url, char **receipts, int n, int visibility_s);

/* ---------- answers ---------- */

typedef struct SagaSqsAttribute
{
	char	   *name;
	char	   *value;			/* of binary ones the Base64 text */
} SagaSqsAttribute;

typedef struct SagaSqsMessage
{
	char	   *id;
	char	   *receipt;		/* by which it is deleted or hidden for longer */
	char	   *body;			/* NUL behind it */
	size_t		body_len;
	char	   *md5;			/* of the body; NULL: not said */
	int			receives;		/* this time included; 0: not said */
	int64		sent_ms;		/* Unix time; 0: not said */
	char	   *group_id;		/* FIFO; these three NULL: not said */
	char	   *dedup_id;
	char	   *trace;
	int			nattributes;
	SagaSqsAttribute *attributes;
	bool		settled;		/* for the caller: it may be deleted */
	bool		behind;			/* for the caller: one of its group before it stays at the service */
} SagaSqsMessage;

/* The messages of an answer to ReceiveMessage; false: it is none. */
extern bool saga_sqs_parse_messages(const char *text, size_t len, SagaSqsMessage **messages, int *n);

/* Whether the body has its checksum; needs a resource owner, so a transaction. */
extern bool saga_sqs_is_intact(const SagaSqsMessage *message);

/* Any other answer, or an error; false: it is not one of SQS. */
extern bool saga_sqs_parse(const char *text, size_t len, SagaSnsAnswer *answer);

/*
 * If the body is a notification of SNS, takes the message out of it: body and
 * attributes are replaced, and sns_message_id and topic_arn added to these.
 */
extern bool saga_sqs_unwrap_sns(SagaSqsMessage *message);

#endif							/* SAGA_AWS_SQS_H */
