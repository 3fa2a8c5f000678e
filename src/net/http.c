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
 *
 * A transfer goes from "active", which libcurl has, to "finished" and, when it
 * was told, to "idle".  One whose time is over while its name is resolved is
 * told, and stays with libcurl as "parked" until the resolver has ended, so
 * that its thread and its descriptors are counted (resolving.c).  One that
 * could not begin, for want of a resolver or of something that this process
 * lacks, is "waiting" (waiting.c), and tried again; after a while it is told
 * that.
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

#include "net/http_private.h"
#include "storage/fd.h"

/* Connections beyond max_transfers: what all transfers wait for, tokens, must not wait for them. */
#define SAGA_SPARE_CONNECTIONS	4

/* Sockets are asked so often in one go, 64 at a time. */
#define SAGA_SOCKET_ROUNDS	8

/* Descriptors that are left to others of this process. */
#define SAGA_SPARE_DESCRIPTORS	2

static bool curl_initialized = false;	/* process-wide, never undone */

/* Answers are told for so long; what is left has its turn after what others do. */
#define SAGA_TELL_MS	20

/* Between two times that saga_http_attend does something. */
#define SAGA_ATTEND_MS	5

static SagaHttp *attended = NULL;	/* the process's own; NULL: none */
static dlist_head left = DLIST_STATIC_INIT(left);	/* of this process: destroyed ones, with what is parked */

static void
block_signals(sigset_t *save)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, save);
}

/* The mask is again what block_signals has saved. */
static void
restore_signals(const sigset_t *save)
{
	pthread_sigmask(SIG_SETMASK, save, NULL);
}

/* ---------- callbacks: see the top of the file ---------- */

/* libcurl's CURLMOPT_SOCKETFUNCTION: it says what it waits for on a socket. */
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

/* libcurl's CURLMOPT_TIMERFUNCTION: it wants to be called after so long, or not at all. */
static int
timer_callback(CURLM *multi, long timeout_ms, void *arg)
{
	SagaHttp   *http = arg;

	http->timer_at = timeout_ms < 0 ? -1 : saga_http_now_ms() + timeout_ms;
	return 0;
}

/* ---------- making and destroying ---------- */

/*
 * Descriptors are announced to fd.c beforehand, as far as it has any.  It
 * keeps some: the wait for a latch and a descriptor takes one each time.
 * Those of resolvers come on top of that: fd.c would leave none to others, and
 * closes files of its own when there is none left.  Returns for how many
 * transfers they suffice.
 */
static int
reserve_descriptors(SagaHttp *http, int max_transfers)
{
	int			wanted = max_transfers + SAGA_SPARE_CONNECTIONS + 1;	/* the epoll set */
	int			got = 0;
	int			transfers;

	while (got < wanted + SAGA_SPARE_DESCRIPTORS && AcquireExternalFD())
		got++;
	http->reserved = Max(got - SAGA_SPARE_DESCRIPTORS, 0);
	while (got-- > http->reserved)
		ReleaseExternalFD();
	transfers = http->reserved - SAGA_SPARE_CONNECTIONS - 1;
	saga_resolving_set_max(saga_resolving_max(transfers));
	return transfers;
}

static void reap_left(void);

SagaHttp *
saga_http_create(int max_transfers)
{
	SagaHttp   *http;
	bool		opened;
	sigset_t	save;

	reap_left();
	http = calloc(1, sizeof(SagaHttp));
	if (http == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	dlist_init(&http->idle);
	dlist_init(&http->active);
	dlist_init(&http->waiting);
	dlist_init(&http->parked);
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
		/* one that resolves a name is a connection, too */
		curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
						  (long) http->max_transfers + SAGA_SPARE_CONNECTIONS + saga_resolving_max(http->max_transfers));
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

/* The transfers of a list go, with what they hold; in_multi: libcurl has them. */
static void
free_transfers(SagaHttp *http, dlist_head *list, bool in_multi)
{
	while (!dlist_is_empty(list))
	{
		SagaTransfer *transfer = dlist_container(SagaTransfer, node, dlist_pop_head_node(list));

		if (in_multi)
			curl_multi_remove_handle(http->multi, transfer->easy);
		saga_transfer_free(transfer);
	}
}

/* The users of a list's transfers learn that no answer will be told. */
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

/* Those whose resolver has not ended. */
static void
park_resolving(SagaHttp *http, dlist_head *list)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, list)
	{
		SagaTransfer *transfer = dlist_container(SagaTransfer, node, iter.cur);

		if (!transfer->resolving && !transfer->parked)
			continue;
		saga_transfer_detach(transfer);
		dlist_delete(&transfer->node);
		dlist_push_tail(&http->parked, &transfer->node);
	}
}

/* Nothing of libcurl's is left to wait for: what libcurl has, and the struct itself, go. */
static void
free_http(SagaHttp *http)
{
	if (http->multi != NULL)
		curl_multi_cleanup(http->multi);
	saga_sockets_close(&http->sockets);
	free(http);
}

/* Resolvers that have not ended keep what libcurl has, and nothing else. */
void
saga_http_destroy(SagaHttp *http)
{
	sigset_t	save;

	if (attended == http)
		attended = NULL;
	tell_aborted(&http->active);
	tell_aborted(&http->waiting);
	tell_aborted(&http->finished);
	block_signals(&save);
	park_resolving(http, &http->active);
	park_resolving(http, &http->finished);
	free_transfers(http, &http->active, true);
	free_transfers(http, &http->waiting, false);
	free_transfers(http, &http->finished, false);
	free_transfers(http, &http->idle, false);
	for (; http->reserved > 0; http->reserved--)
		ReleaseExternalFD();
	if (dlist_is_empty(&http->parked))
		free_http(http);
	else
		dlist_push_tail(&left, &http->left_node);
	restore_signals(&save);
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
		at = Min(at, saga_transfer_give_up_at(dlist_container(SagaTransfer, node, iter.cur)));
	at = Min(at, saga_waiting_at(http));
	if (at == PG_INT64_MAX)
		return -1;
	return (long) Max(at - saga_http_now_ms(), 0);
}

/* ---------- starting and ending one ---------- */

/* One whose handle was used before, or a new one; NULL: there is no memory. */
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
	saga_transfer_set_times(transfer);
	dlist_push_tail(&http->active, &transfer->node);
	http->nactive++;
	return true;
}

/* Its answer was told: it may be used for another request, unless its resolver has not ended. */
static void
release_transfer(SagaHttp *http, SagaTransfer *transfer)
{
	dlist_delete(&transfer->node);
	http->nactive--;
	if (transfer->parked)
	{
		saga_transfer_detach(transfer);
		dlist_push_tail(&http->parked, &transfer->node);
		return;
	}
	saga_transfer_reset(transfer);
	dlist_push_head(&http->idle, &transfer->node);
}

/* ---------- the event loop's part ---------- */

/* libcurl has no more to do with it.  "parked" is cleared here, so that it is released as others are. */
static void
collect(SagaHttp *http, SagaTransfer *transfer, CURLcode code)
{
	curl_multi_remove_handle(http->multi, transfer->easy);
	saga_resolving_end(transfer);
	if (transfer->parked)
	{
		transfer->parked = false;
		if (transfer->user != NULL)
			return;				/* its time was over, which is to be told yet */
		dlist_delete(&transfer->node);
		saga_transfer_reset(transfer);
		dlist_push_head(&http->idle, &transfer->node);
		return;
	}
	transfer->code = code;
	if (transfer->resolved)
	{
		/* the name is in libcurl's cache now */
		saga_transfer_again(transfer, transfer->connect_by - saga_http_now_ms());
		if (curl_multi_add_handle(http->multi, transfer->easy) == CURLM_OK)
			return;
		transfer->code = CURLE_OUT_OF_MEMORY;
	}
	dlist_delete(&transfer->node);
	if (saga_transfer_must_wait(transfer))
	{
		if (saga_waiting_add(http, transfer))
			return;
		transfer->busy = true;
	}
	dlist_push_tail(&http->finished, &transfer->node);
}

/* Takes the transfers that libcurl has done with. */
static void
collect_finished(SagaHttp *http)
{
	CURLMsg    *message;
	int			n;

	while ((message = curl_multi_info_read(http->multi, &n)) != NULL)
	{
		SagaTransfer *transfer;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer);
		collect(http, transfer, message->data.result);
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
	int64		now = saga_http_now_ms();
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &http->active)
	{
		SagaTransfer *transfer = dlist_container(SagaTransfer, node, iter.cur);

		if (saga_transfer_give_up_at(transfer) > now || transfer->parked)
			continue;
		saga_transfer_timed_out(transfer, transfer->end_at > now);
		if (transfer->resolving)
			transfer->parked = true;
		else
			curl_multi_remove_handle(http->multi, transfer->easy);
		dlist_delete(&transfer->node);
		dlist_push_tail(&http->finished, &transfer->node);
	}
	saga_waiting_end(http, now);
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

/* Lets libcurl do what it can without waiting: its sockets, its timer, and what has ended of it. */
static void
serve(SagaHttp *http)
{
	int			rounds = 0;
	int			running;

	while (serve_sockets(http) && ++rounds < SAGA_SOCKET_ROUNDS)
		;
	if (http->timer_at >= 0 && http->timer_at <= saga_http_now_ms())
	{
		http->timer_at = -1;
		curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	collect_finished(http);
}

/* Those that were destroyed go when the last of their resolvers has ended. */
static void
reap_left(void)
{
	dlist_mutable_iter iter;
	sigset_t	save;

	if (dlist_is_empty(&left))
		return;
	block_signals(&save);
	dlist_foreach_modify(iter, &left)
	{
		SagaHttp   *http = dlist_container(SagaHttp, left_node, iter.cur);

		serve(http);
		if (!dlist_is_empty(&http->parked))
			continue;
		dlist_delete(&http->left_node);
		free_transfers(http, &http->idle, false);
		free_http(http);
	}
	restore_signals(&save);
}

/* What has come is read before it is asked whose time is over. */
static void
run_libcurl(SagaHttp *http)
{
	sigset_t	save;

	reap_left();
	block_signals(&save);
	continue_paused(http);
	saga_waiting_try(http);
	serve(http);
	pause_full(http);
	end_late(http);
	restore_signals(&save);
	http->attended_at = saga_http_now_ms();
}

void
saga_http_attend(void)
{
	if (attended != NULL && attended->nactive > 0 && saga_http_now_ms() - attended->attended_at >= SAGA_ATTEND_MS)
		run_libcurl(attended);
}

/* The user may raise: what he has not kept of the answer is lost then. */
static void
tell_finished(SagaHttp *http, SagaTransfer *transfer)
{
	SagaHttpAnswer answer;

	dlist_push_tail(&http->active, &transfer->node);
	transfer->end_at = transfer->connect_by = PG_INT64_MAX;
	transfer->wait = SAGA_WAIT_NONE;
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
	saga_waiting_log(http);
	begun_at = saga_http_now_ms();
	while (!dlist_is_empty(&http->finished) && saga_http_now_ms() - begun_at <= SAGA_TELL_MS)
	{
		tell_finished(http, dlist_container(SagaTransfer, node, dlist_pop_head_node(&http->finished)));
		n++;
	}
	return n;
}
