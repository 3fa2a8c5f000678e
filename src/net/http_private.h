/*
 * http_private.h
 *		A SagaHttp and its transfers, for http.c and waiting.c.
 */
#ifndef SAGA_NET_HTTP_PRIVATE_H
#define SAGA_NET_HTTP_PRIVATE_H

#include "common/clock.h"
#include "net/resolving_private.h"
#include "net/sockets_private.h"

struct SagaHttp
{
	CURLM	   *multi;
	SagaSockets sockets;
	int			max_transfers;
	int			nactive;		/* started, not yet released */
	int			reserved;		/* descriptors announced to fd.c */
	uint32		resolvers_ended;	/* saga_resolving_ended() when those that wait were tried last */
	int64		timer_at;		/* monotonic ms when libcurl wants to be called, -1: not */
	int64		attended_at;	/* monotonic ms when it was called */
	dlist_head	idle;			/* transfers whose handle can be used again */
	dlist_head	active;
	dlist_head	waiting;		/* libcurl does not have them */
	dlist_head	parked;			/* told; libcurl has them */
	dlist_head	finished;
	dlist_node	left_node;		/* in "left" */
};

/* A clock that nobody sets. */
static inline int64
saga_http_now_ms(void)
{
	return (int64) (saga_monotonic_us() / 1000);
}

/* ---------- while something else is done (http.c) ---------- */

/*
 * The same as saga_http_run without telling answers, for this process's SagaHttp if it has
 * one: in the middle of long work, inside a transaction or not, so that
 * requests go on.  Raises nothing, and does nothing if it did just now.
 */
extern void saga_http_attend(void);

/* ---------- what could not begin (waiting.c) ---------- */

/* When its time is over, or that to wait. */
extern int64 saga_transfer_give_up_at(const SagaTransfer *transfer);

/* Its time begins now. */
extern void saga_transfer_set_times(SagaTransfer *transfer);

/* One that is in no list waits from now on.  False: it has waited long enough. */
extern bool saga_waiting_add(SagaHttp *http, SagaTransfer *transfer);

/* Those whose turn it may be are given to libcurl again. */
extern void saga_waiting_try(SagaHttp *http);

/* Those that have waited long enough, or whose time is over, are to be told so. */
extern void saga_waiting_end(SagaHttp *http, int64 now);

/* When something is to be done for those that wait. */
extern int64 saga_waiting_at(const SagaHttp *http);

/* Tells the log that some wait, once in a while, and not from libcurl's frames. */
extern void saga_waiting_log(const SagaHttp *http);

#endif							/* SAGA_NET_HTTP_PRIVATE_H */
