/*
 * transfer_private.h
 *		One request of a SagaHttp and its answer, as libcurl has it.
 */
#ifndef SAGA_NET_TRANSFER_PRIVATE_H
#define SAGA_NET_TRANSFER_PRIVATE_H

#include <curl/curl.h>

#include "lib/ilist.h"
#include "net/http.h"

/* What a transfer waits for before libcurl may have it again. */
typedef enum SagaTransferWait
{
	SAGA_WAIT_NONE,
	SAGA_WAIT_NAME,				/* others of its owner resolve the same name: it has no more time than it had */
	SAGA_WAIT_OWNER,			/* too many names of its owner, or of all, are being resolved */
	SAGA_WAIT_PROCESS			/* this process has no descriptor, thread or memory */
} SagaTransferWait;

typedef struct SagaTransfer
{
	dlist_node	node;			/* in one of the lists of its SagaHttp */
	CURL	   *easy;
	struct curl_slist *headers; /* libcurl's copies, which are wiped */
	const SagaHttpRequest *request;
	SagaHttpUser *user;
	char	   *body;
	size_t		body_len;
	size_t		body_size;		/* allocated */
	SagaAccount *account;		/* which these are counted for, as of the request */
	bool		paused;			/* there was no memory left for its owner */
	bool		pause_soon;		/* when libcurl has passed on what it has decoded */
	int64		end_at;			/* monotonic ms: its time is over */
	int64		connect_by;		/* and until then it must be connected, if it is not */

	/* its host name (resolving.c) */
	Oid			owner;			/* whom that is counted for, as of the request */
	char	   *name;			/* malloc'ed */
	bool		is_address;		/* it needs no resolver */
	bool		resolving;
	bool		resolved;		/* it has just been: libcurl is given it again, to connect */
	bool		resolved_before;
	dlist_node	resolving_node; /* then */
	bool		parked;			/* its time was over meanwhile: it stays until the resolver has ended */

	/* it could not begin */
	SagaTransferWait wait;
	int			no_socket;		/* errno, if that was for want of one; 0: it was not */
	int64		retry_at;		/* monotonic ms */
	int64		wait_until;		/* then it is told; 0: it has not waited yet */
	bool		busy;			/* so it was */
	char	   *head;
	size_t		head_len;
	size_t		head_size;
	bool		wipe_answer;	/* as of the request, which may be gone before */
	bool		proxied;		/* it goes through pg_saga.proxy */
	bool		encoded;		/* libcurl decompresses it */
	bool		overdrawn;		/* and there was no memory for what came out */
	bool		truncated;		/* more came than max_response_bytes */
	bool		refused;		/* the guard does not allow its address */
	bool		begun;			/* libcurl was told to send it */
	bool		again;			/* libcurl wanted to send it a second time */
	bool		no_memory;
	CURLcode	code;			/* libcurl's, when it has ended */
	char		message[CURL_ERROR_SIZE];	/* libcurl's or ours, for people */
} SagaTransfer;

/* Nothing of all this raises. */

/* ---------- once.c ---------- */

/* May a byte of it have left, so that libcurl must not send it again?  Notes it, if so. */
extern bool saga_transfer_has_left(SagaTransfer *transfer);

/* ---------- what libcurl is told (transfer_options.c) ---------- */

/* All that it has to know of the transfer's request.  False: it cannot be sent. */
extern bool saga_transfer_set_options(SagaTransfer *transfer);

/* ---------- from its beginning to its end (transfer.c) ---------- */

/* NULL: no memory. */
extern SagaTransfer *saga_transfer_create(void);

/* A request of a user begins with it.  False: it cannot be sent. */
extern bool saga_transfer_prepare(SagaTransfer *transfer, const SagaHttpRequest *request, SagaHttpUser *user);

/* What became of it; the texts stay the transfer's. */
extern void saga_transfer_answer(SagaTransfer *transfer, SagaHttpAnswer *answer);

/* It asked for that: nothing more of it is read until it may go on. */
extern void saga_transfer_pause(SagaTransfer *transfer);

/* One that is paused: may it go on? */
extern bool saga_transfer_may_continue(SagaTransfer *transfer);

/* Its time, or that to connect, is over. */
extern void saga_transfer_timed_out(SagaTransfer *transfer, bool connecting);

/*
 * It has ended: did it fail for want of something of ours, before anything was
 * sent?  Sets "wait", and "message".
 */
extern bool saga_transfer_must_wait(SagaTransfer *transfer);

/* Its name was resolved, or it waited: libcurl is to have it again, and connect within this time. */
extern void saga_transfer_again(SagaTransfer *transfer, int64 connect_ms);

/* Its user is gone, while libcurl still resolves its name: it sends nothing any more. */
extern void saga_transfer_detach(SagaTransfer *transfer);

/* Ready for another request: secrets are overwritten, connections stay with the multi handle. */
extern void saga_transfer_reset(SagaTransfer *transfer);
extern void saga_transfer_free(SagaTransfer *transfer);

#endif							/* SAGA_NET_TRANSFER_PRIVATE_H */
