/*
 * xml.h
 *		Answers of SNS and STS: XML, read by expat.
 */
#ifndef SAGA_NET_XML_H
#define SAGA_NET_XML_H

#define SAGA_SNS_MAX_ENTRIES 10

/* Also what SQS answers (aws/sqs.h). */
typedef struct SagaSnsEntry
{
	bool		failed;
	bool		sender_fault;
	char		id[81];			/* of a batch's entry; "" for Publish */
	char		message_id[101];
	char		sequence_number[101];
	char		md5[33];		/* of the body, SQS only */
	char		code[101];
	char		message[501];
} SagaSnsEntry;

typedef struct SagaSnsAnswer
{
	int			nentries;
	SagaSnsEntry entries[SAGA_SNS_MAX_ENTRIES];

	/* an error of the whole request; code "": none */
	char		code[101];
	char		message[501];
} SagaSnsAnswer;

/* false: this is no answer of SNS (cut off, an HTML page ...) */
extern bool saga_net_sns_parse(const char *text, size_t len, SagaSnsAnswer *answer);

#define SAGA_STS_MAX_TOKEN 16384

/* AssumeRoleWithWebIdentity; it holds secrets, so the caller overwrites it. */
typedef struct SagaStsAnswer
{
	char		access_key[129];
	char		secret_key[129];
	char		session_token[SAGA_STS_MAX_TOKEN];
	char		expiration[65];
	char		code[101];		/* "": no error */
	char		message[501];
} SagaStsAnswer;

/* false: this is no answer of STS, or a text in it is too long for its field */
extern bool saga_sts_parse(const char *text, size_t len, SagaStsAnswer *answer);

#endif							/* SAGA_NET_XML_H */
