/*
 * transfer.h
 *		One request of an SagaHttp and its answer, as libcurl has it.
 */
#ifndef SAGA_NET_TRANSFER_H
#define SAGA_NET_TRANSFER_H

#include <curl/curl.h>

#include "lib/ilist.h"
#include "net/http.h"

typedef struct SagaTransfer
{
	dlist_node	node;			/* in SagaHttp.idle, active or finished */
	CURL	   *easy;
	struct curl_slist *headers;
	const SagaHttpRequest *request;
	SagaHttpUser *user;
	char	   *body;
	size_t		body_len;
	size_t		body_size;		/* allocated */
	SagaAccount *account;		/* which these are counted for, as of the request */
	bool		paused;			/* there was no memory left for its owner */
	bool		pause_soon;		/* when libcurl has passed on what it has decoded */
	int64		end_at;			/* monotonic ms: its time is over */
	char	   *head;
	size_t		head_len;
	size_t		head_size;
	bool		wipe_answer;	/* as of the request, which may be gone before */
	bool		proxied;
	bool		encoded;		/* libcurl decompresses it */
	bool		overdrawn;		/* and there was no memory for what came out */
	bool		truncated;
	bool		refused;
	bool		again;			/* libcurl wanted to send it a second time */
	bool		no_memory;
	CURLcode	code;
	char		message[CURL_ERROR_SIZE];
} SagaTransfer;

/* None of them raises.  NULL: no memory. */
extern SagaTransfer *saga_transfer_create(void);

/* Everything that libcurl has to know of it.  False: it cannot be sent. */
extern bool saga_transfer_prepare(SagaTransfer *transfer, const SagaHttpRequest *request, SagaHttpUser *user);

/* What became of it; the texts stay the transfer's. */
extern void saga_transfer_answer(SagaTransfer *transfer, SagaHttpAnswer *answer);

/* It asked for that: nothing more of it is read until it may go on. */
extern void saga_transfer_pause(SagaTransfer *transfer);

/* One that is paused: may it go on? */
extern bool saga_transfer_may_continue(SagaTransfer *transfer);

/* Its time is over. */
extern void saga_transfer_timed_out(SagaTransfer *transfer);

/* Ready for another request: secrets are overwritten, connections stay with the multi handle. */
extern void saga_transfer_reset(SagaTransfer *transfer);
extern void saga_transfer_free(SagaTransfer *transfer);

#endif							/* SAGA_NET_TRANSFER_H */
