/*
 * http.h
 *		HTTP requests, many at a time, without a transaction and without
 *		blocking: libcurl's multi interface behind one descriptor to wait for.
 */
#ifndef SAGA_NET_HTTP_H
#define SAGA_NET_HTTP_H

#include "net/budget.h"
#include "net/guard.h"
#include "nodes/pg_list.h"

/* All of it stays the caller's, and unchanged, until the transfer is released. */
typedef struct SagaHttpRequest
{
	const char *method;
	const char *url;
	List	   *headers;		/* char *, "Name: value"; no control characters */
	const char *body;			/* NULL: none */
	size_t		body_len;
	const SagaGuard *guard;
	int			timeout_ms;
	int			connect_timeout_ms;
	size_t		max_response_bytes;
	SagaAccount *account;		/* that its answer is counted for; NULL: it is a small one */
	Oid			owner;			/* whom its resolver is counted for; InvalidOid: it is the server's own */
	const char *ca_file;		/* NULL: pg_saga.ca_file, or the system's */
	bool		direct;			/* never through pg_saga.proxy */
	bool		wipe_answer;	/* it holds secrets: its buffer is overwritten when it is released */
	bool		fresh;			/* on a connection of its own: on a kept one something went wrong */

	/* signed by libcurl: "aws:amz:REGION:SERVICE"; NULL: unsigned */
	const char *sigv4;
	const char *access_key;
	const char *secret_key;
} SagaHttpRequest;

typedef enum SagaTransport
{
	SAGA_TRANSPORT_OK,			/* an answer, with a status */
	SAGA_TRANSPORT_BUSY,		/* nothing was sent, and it is no fault of the request: try again later */
	SAGA_TRANSPORT_NOT_SENT,	/* nothing reached the server */
	SAGA_TRANSPORT_LOST,		/* it may have reached the server; no answer */
	SAGA_TRANSPORT_REFUSED,		/* the address is not allowed */
	SAGA_TRANSPORT_WRONG		/* the request itself is impossible */
} SagaTransport;

typedef struct SagaHttp SagaHttp;

/* Can a request be sent? */
typedef enum SagaReadiness
{
	SAGA_READY_NOW,
	SAGA_READY_LATER,			/* something is being fetched over the same SagaHttp */
	SAGA_READY_BUSY,			/* that could not be sent, as in SAGA_TRANSPORT_BUSY; there may be an error */
	SAGA_READY_NEVER			/* not now: there is an error */
} SagaReadiness;

/* What became of a transfer; the texts belong to it. */
typedef struct SagaHttpAnswer
{
	SagaTransport transport;
	const char *message;		/* unless OK: for people */
	int			status;
	char	   *body;			/* NUL behind it; in UTF-8 if it is text and readable */
	size_t		body_len;
	const char *unreadable;		/* its bytes are not what the server meant, and why; NULL: they may be */
	bool		passing;		/* unreadable, and another time it need not be */
	bool		truncated;		/* had more than max_response_bytes */
	char	   *head;			/* header lines of the last answer, NUL behind it */
	size_t		head_len;
} SagaHttpAnswer;

/*
 * Who started a transfer, as the first member of what is its own.  It is told
 * the answer once, outside a transaction; then the transfer is released, so
 * it copies what it keeps.  It may start others.  When the SagaHttp goes
 * first, "aborted" is called in place of it; NULL: the user goes too.
 */
typedef struct SagaHttpUser SagaHttpUser;
struct SagaHttpUser
{
	void		(*finished) (SagaHttpUser *user, const SagaHttpAnswer *answer);
	void		(*aborted) (SagaHttpUser *user);	/* raises nothing */
};

/* May a request of this method be sent again, whatever became of the first one? */
extern bool saga_http_is_safe(const char *method);

/* Raises when it cannot be made. */
extern SagaHttp *saga_http_create(int max_transfers);
extern void saga_http_destroy(SagaHttp *http);

extern int	saga_http_active(const SagaHttp *http);
extern int	saga_http_max(const SagaHttp *http);

/* False: it cannot be sent as it is, or there is no memory.  request and user stay until the answer has been told. */
extern bool saga_http_start(SagaHttp *http, const SagaHttpRequest *request, SagaHttpUser *user);

/* Descriptor to wait for (readable), and for how long at most: -1 for ever. */
extern int	saga_http_descriptor(const SagaHttp *http);
extern long saga_http_timeout_ms(const SagaHttp *http);

/* Does what can be done without waiting, and tells answers.  Returns how many. */
extern int	saga_http_run(SagaHttp *http);

/* Those that could not begin yet are told at once that they were not sent: the caller ends. */
extern void saga_http_stop_waiting(SagaHttp *http);

#endif							/* SAGA_NET_HTTP_H */
