/*
 * http.c
 *		HTTP requests, many at a time, without a transaction and without
 *		blocking: libcurl's multi interface behind one descriptor to wait for.
 *
 * libcurl's sockets are in an epoll set, and the set's own descriptor is what
 * the publisher waits for together with its latch: a WaitEventSet cannot drop
 * an event.
 *
 * Nothing of PostgreSQL's is called from libcurl's callbacks: an error would
 * jump over libcurl's frames.  All signals are blocked where libcurl may start
 * its resolver: that is a thread, which inherits the mask and must run no
 * handler of the server's.
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

#include "lib/ilist.h"
#include "net/http.h"
#include "net/sockets.h"
#include "net/transfer.h"
#include "storage/fd.h"

/* Connections beyond max_transfers: what all transfers wait for, tokens, must not wait for them. */
#define SAGA_SPARE_CONNECTIONS	4

/* Sockets are asked so often in one go, 64 at a time. */
#define SAGA_SOCKET_ROUNDS	8

/* Descriptors that are left to others of this process. */
#define SAGA_SPARE_DESCRIPTORS	2

struct SagaHttp
{
	CURLM	   *multi;
	SagaSockets sockets;
	int			max_transfers;
	int			nactive;		/* started, not yet released */
	int			reserved;		/* descriptors announced to fd.c */
	int64		timer_at;		/* monotonic ms when libcurl wants to be called, -1: not */
	int64		attended_at;	/* monotonic ms when it was called */
	dlist_head	idle;			/* transfers whose handle can be used again */
	dlist_head	active;
	dlist_head	finished;
};

static bool curl_initialized = false;	/* process-wide, never undone */

/* Answers are told for so long; what is left has its turn after what others do. */
#define SAGA_TELL_MS	20

/* Between two times that saga_http_attend does something. */
#define SAGA_ATTEND_MS	5

static SagaHttp *attended = NULL;	/* the process's own; NULL: none */

static int64
monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
block_signals(sigset_t *save)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, save);
}

static void
restore_signals(const sigset_t *save)
{
	pthread_sigmask(SIG_SETMASK, save, NULL);
}

/* ---------- callbacks: see the top of the file ---------- */

static int
socket_callback(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	SagaHttp   *http = arg;
	uint32		events = 0;

	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= EPOLLOUT;
	return saga_socket_want(&http->sockets, fd, events) ? 0 : -1;
}

static int
timer_callback(CURLM *multi, long timeout_ms, void *arg)
{
	SagaHttp   *http = arg;

	http->timer_at = timeout_ms < 0 ? -1 : monotonic_ms() + timeout_ms;
	return 0;
}

/* ---------- making and destroying ---------- */

/*
 * Descriptors are announced to fd.c beforehand, as far as it has any.  It
 * keeps some: the wait for a latch and a descriptor takes one each time.
 * Returns for how many transfers they suffice.
 */
static int
reserve_descriptors(SagaHttp *http, int max_transfers)
{
	int			wanted = max_transfers + SAGA_SPARE_CONNECTIONS + 1;	/* the epoll set */
	int			got = 0;

	while (got < wanted + SAGA_SPARE_DESCRIPTORS && AcquireExternalFD())
		got++;
	http->reserved = Max(got - SAGA_SPARE_DESCRIPTORS, 0);
	while (got-- > http->reserved)
		ReleaseExternalFD();
	return http->reserved - SAGA_SPARE_CONNECTIONS - 1;
}

SagaHttp *
saga_http_create(int max_transfers)
{
	SagaHttp   *http;
	bool		opened;
	sigset_t	save;

	http = calloc(1, sizeof(SagaHttp));
	if (http == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	dlist_init(&http->idle);
	dlist_init(&http->active);
	dlist_init(&http->finished);
	http->timer_at = -1;

	http->max_transfers = reserve_descriptors(http, max_transfers);
	opened = saga_sockets_open(&http->sockets);

	block_signals(&save);
	if (!curl_initialized)
		curl_initialized = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	if (curl_initialized)
		http->multi = curl_multi_init();
	if (http->multi != NULL)
	{
		curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, socket_callback);
		curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
		curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, timer_callback);
		curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
		curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
						  (long) http->max_transfers + SAGA_SPARE_CONNECTIONS);
		curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long) http->max_transfers);
	}
	restore_signals(&save);

	if (http->multi == NULL || !opened || http->max_transfers < 1)
	{
		saga_http_destroy(http);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not prepare HTTP connections"),
				 errhint("Raising max_files_per_process may help.")));
	}
	attended = http;
	return http;
}

static void
free_transfer(SagaHttp *http, SagaTransfer *transfer, bool in_multi)
{
	if (in_multi)
		curl_multi_remove_handle(http->multi, transfer->easy);
	saga_transfer_free(transfer);
}

static void
free_transfers(SagaHttp *http, dlist_head *list, bool in_multi)
{
	while (!dlist_is_empty(list))
		free_transfer(http, dlist_container(SagaTransfer, node, dlist_pop_head_node(list)), in_multi);
}

static void
tell_aborted(dlist_head *list)
{
	dlist_iter	iter;

	dlist_foreach(iter, list)
	{
		SagaTransfer *transfer = dlist_container(SagaTransfer, node, iter.cur);

		if (transfer->user->aborted != NULL)
			transfer->user->aborted(transfer->user);
	}
}

void
saga_http_destroy(SagaHttp *http)
{
	sigset_t	save;

	if (attended == http)
		attended = NULL;
	tell_aborted(&http->active);
	tell_aborted(&http->finished);
	block_signals(&save);
	free_transfers(http, &http->active, true);
	free_transfers(http, &http->finished, false);
	free_transfers(http, &http->idle, false);
	if (http->multi != NULL)
		curl_multi_cleanup(http->multi);
	restore_signals(&save);
	saga_sockets_close(&http->sockets);
	while (http->reserved-- > 0)
		ReleaseExternalFD();
	free(http);
}

int
saga_http_active(const SagaHttp *http)
{
	return http->nactive;
}

int
saga_http_max(const SagaHttp *http)
{
	return http->max_transfers;
}

int
saga_http_descriptor(const SagaHttp *http)
{
	return http->sockets.epoll;
}

long
saga_http_timeout_ms(const SagaHttp *http)
{
	int64		at = http->timer_at < 0 ? PG_INT64_MAX : http->timer_at;
	dlist_iter	iter;

	if (!dlist_is_empty(unconstify(dlist_head *, &http->finished)))
		return 0;				/* there was no time to tell it */
	dlist_foreach(iter, unconstify(dlist_head *, &http->active))
		at = Min(at, dlist_container(SagaTransfer, node, iter.cur)->end_at);
	if (at == PG_INT64_MAX)
		return -1;
	return (long) Max(at - monotonic_ms(), 0);
}

/* ---------- starting and ending one ---------- */

static SagaTransfer *
get_transfer(SagaHttp *http)
{
	if (!dlist_is_empty(&http->idle))
		return dlist_container(SagaTransfer, node, dlist_pop_head_node(&http->idle));
	return saga_transfer_create();
}

bool
saga_http_start(SagaHttp *http, const SagaHttpRequest *request, SagaHttpUser *user)
{
	SagaTransfer *transfer = get_transfer(http);

	if (transfer == NULL)
		return false;
	if (!saga_transfer_prepare(transfer, request, user) ||
		curl_multi_add_handle(http->multi, transfer->easy) != CURLM_OK)
	{
		saga_transfer_free(transfer);
		return false;
	}
	transfer->end_at = monotonic_ms() + request->timeout_ms;
	dlist_push_tail(&http->active, &transfer->node);
	http->nactive++;
	return true;
}

static void
release_transfer(SagaHttp *http, SagaTransfer *transfer)
{
	saga_transfer_reset(transfer);
	dlist_delete(&transfer->node);
	dlist_push_head(&http->idle, &transfer->node);
	http->nactive--;
}

/* ---------- the event loop's part ---------- */

static void
collect_finished(SagaHttp *http)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		CURL	   *easy = message->easy_handle;
		CURLcode	code = message->data.result;
		SagaTransfer *transfer;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &transfer);
		curl_multi_remove_handle(http->multi, easy);
		transfer->code = code;
		dlist_delete(&transfer->node);
		dlist_push_tail(&http->finished, &transfer->node);
	}
}

/* Those which have taken more than there is memory for. */
static void
pause_full(SagaHttp *http)
{
	dlist_iter	iter;

	dlist_foreach(iter, &http->active)
	{
		SagaTransfer *transfer = dlist_container(SagaTransfer, node, iter.cur);

		if (transfer->pause_soon && !transfer->paused)
			saga_transfer_pause(transfer);
	}
}

/* There may be memory for them now. */
static void
continue_paused(SagaHttp *http)
{
	dlist_iter	iter;

	dlist_foreach(iter, &http->active)
	{
		SagaTransfer *transfer = dlist_container(SagaTransfer, node, iter.cur);

		if (transfer->paused && saga_transfer_may_continue(transfer))
			curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
	}
}

/* Those whose time is over, and which have not ended by what has come. */
static void
end_late(SagaHttp *http)
{
	int64		now = monotonic_ms();
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &http->active)
	{
		SagaTransfer *transfer = dlist_container(SagaTransfer, node, iter.cur);

		if (transfer->end_at > now)
			continue;
		curl_multi_remove_handle(http->multi, transfer->easy);
		saga_transfer_timed_out(transfer);
		dlist_delete(&transfer->node);
		dlist_push_tail(&http->finished, &transfer->node);
	}
}

/* A connection whose transfer is paused is one that nobody wants to hear of. */
static bool
any_is_paused(SagaHttp *http)
{
	dlist_iter	iter;

	dlist_foreach(iter, &http->active)
	{
		if (dlist_container(SagaTransfer, node, iter.cur)->paused)
			return true;
	}
	return false;
}

/* Returns whether there may be more. */
static bool
serve_sockets(SagaHttp *http)
{
	struct epoll_event events[64];
	int			running;
	int			n;
	int			i;

	n = epoll_wait(http->sockets.epoll, events, lengthof(events), 0);
	for (i = 0; i < n; i++)
	{
		int			what = 0;

		if (!saga_socket_is_wanted(&http->sockets, events[i].data.fd))
		{
			if (!any_is_paused(http))
				saga_socket_hang_up(events[i].data.fd);
			continue;
		}
		if (events[i].events & (EPOLLIN | EPOLLHUP))
			what |= CURL_CSELECT_IN;
		if (events[i].events & EPOLLOUT)
			what |= CURL_CSELECT_OUT;
		if (events[i].events & EPOLLERR)
			what |= CURL_CSELECT_ERR;
		curl_multi_socket_action(http->multi, events[i].data.fd, what, &running);
	}
	return n == lengthof(events);
}

/* What has come is read before it is asked whose time is over. */
static void
run_libcurl(SagaHttp *http)
{
	int			rounds = 0;
	int			running;
	sigset_t	save;

	block_signals(&save);
	continue_paused(http);
	while (serve_sockets(http) && ++rounds < SAGA_SOCKET_ROUNDS)
		;
	if (http->timer_at >= 0 && http->timer_at <= monotonic_ms())
	{
		http->timer_at = -1;
		curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	collect_finished(http);
	pause_full(http);
	end_late(http);
	restore_signals(&save);
	http->attended_at = monotonic_ms();
}

void
saga_http_attend(void)
{
	if (attended != NULL && attended->nactive > 0 && monotonic_ms() - attended->attended_at >= SAGA_ATTEND_MS)
		run_libcurl(attended);
}

/* The user may raise: what he has not kept of the answer is lost then. */
static void
tell_finished(SagaHttp *http, SagaTransfer *transfer)
{
	SagaHttpAnswer answer;

	dlist_push_tail(&http->active, &transfer->node);
	saga_transfer_answer(transfer, &answer);
	PG_TRY();
	{
		transfer->user->finished(transfer->user, &answer);
	}
	PG_FINALLY();
	{
		release_transfer(http, transfer);
	}
	PG_END_TRY();
}

int
saga_http_run(SagaHttp *http)
{
	int64		begun_at;
	int			n = 0;

	run_libcurl(http);
	begun_at = monotonic_ms();
	while (!dlist_is_empty(&http->finished) && monotonic_ms() - begun_at <= SAGA_TELL_MS)
	{
		tell_finished(http, dlist_container(SagaTransfer, node, dlist_pop_head_node(&http->finished)));
		n++;
	}
	return n;
}
