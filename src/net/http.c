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
 * jump over libcurl's frames.  They fill malloc'ed buffers that have a limit
 * and note what went wrong.  All signals are blocked where libcurl may start
 * its resolver: that is a thread, which inherits the mask and must run no
 * handler of the server's.
 */
#include "postgres.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "common/guc.h"
#include "lib/ilist.h"
#include "net/http.h"
#include "net/proxy.h"
#include "storage/fd.h"

#define SAGA_MAX_HEAD_BYTES		65536
#define SAGA_CONNECTION_MAX_AGE 30	/* seconds an idle connection is kept */
#define SAGA_USER_AGENT			"pg_saga"

/* Connections beyond max_transfers: what all transfers wait for, tokens, must not wait for them. */
#define SAGA_SPARE_CONNECTIONS	4

/* Descriptors that are left to others of this process. */
#define SAGA_SPARE_DESCRIPTORS	2

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
	char	   *head;
	size_t		head_len;
	size_t		head_size;
	bool		wipe_answer;	/* as of the request, which may be gone before */
	bool		proxied;
	bool		truncated;
	bool		refused;
	bool		again;			/* libcurl wanted to send it a second time */
	bool		no_memory;
	CURLcode	code;
	char		message[CURL_ERROR_SIZE];
} SagaTransfer;

struct SagaHttp
{
	CURLM	   *multi;
	int			epoll;
	int			max_transfers;
	int			nactive;		/* started, not yet released */
	int			reserved;		/* descriptors announced to fd.c */
	int64		timer_at;		/* monotonic ms when libcurl wants to be called, -1: not */
	dlist_head	idle;			/* transfers whose handle can be used again */
	dlist_head	active;
	dlist_head	finished;
};

static bool curl_initialized = false;	/* process-wide, never undone */

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

static bool
is_safe_method(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
		strcmp(method, "OPTIONS") == 0;
}

/* ---------- callbacks: see the top of the file ---------- */

static int
socket_callback(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	SagaHttp   *http = arg;
	struct epoll_event event = {0};

	event.data.fd = fd;
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	if (what == CURL_POLL_REMOVE)
		(void) epoll_ctl(http->epoll, EPOLL_CTL_DEL, fd, &event);
	else if (epoll_ctl(http->epoll, EPOLL_CTL_MOD, fd, &event) != 0 &&
			 epoll_ctl(http->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		return -1;
	return 0;
}

static int
timer_callback(CURLM *multi, long timeout_ms, void *arg)
{
	SagaHttp   *http = arg;

	http->timer_at = timeout_ms < 0 ? -1 : monotonic_ms() + timeout_ms;
	return 0;
}

/* Does not move what is there when it has room for all there may be. */
static bool
append(char **data, size_t *len, size_t *size, const char *from, size_t n)
{
	if (*len + n + 1 > *size)
	{
		size_t		new_size = Max(*size * 2, *len + n + 1);
		char	   *new_data = realloc(*data, new_size);

		if (new_data == NULL)
			return false;
		*data = new_data;
		*size = new_size;
	}
	memcpy(*data + *len, from, n);
	*len += n;
	(*data)[*len] = '\0';
	return true;
}

/* The limit is counted here: MAXFILESIZE does not stop a chunked answer. */
static size_t
write_callback(char *chunk, size_t size, size_t nmemb, void *arg)
{
	SagaTransfer *transfer = arg;
	size_t		n = size * nmemb;
	size_t		room = transfer->request->max_response_bytes - transfer->body_len;

	if (n > room)
		transfer->truncated = true;
	/* at once as large as it may get: realloc would leave copies of secrets behind */
	if (transfer->wipe_answer && transfer->body == NULL)
	{
		transfer->body = malloc(transfer->request->max_response_bytes + 1);
		transfer->body_size = transfer->body ? transfer->request->max_response_bytes + 1 : 0;
	}
	if (!append(&transfer->body, &transfer->body_len, &transfer->body_size, chunk, Min(n, room)))
	{
		transfer->no_memory = true;
		return 0;
	}
	return n > room ? 0 : n;
}

static size_t
header_callback(char *line, size_t size, size_t nmemb, void *arg)
{
	SagaTransfer *transfer = arg;
	size_t		n = size * nmemb;

	/* a status line begins the next answer, after a 100 Continue */
	if (n > 5 && strncmp(line, "HTTP/", 5) == 0)
		transfer->head_len = 0;
	if (transfer->head_len + n > SAGA_MAX_HEAD_BYTES)
		return n;
	if (!append(&transfer->head, &transfer->head_len, &transfer->head_size, line, n))
		transfer->no_memory = true;
	return transfer->no_memory ? 0 : n;
}

/* A proxy has any address: who sets pg_saga.proxy decides where it is and what it lets through. */
static curl_socket_t
open_socket_callback(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	SagaTransfer *transfer = arg;

	if (!transfer->proxied && !saga_guard_allows(transfer->request->guard, &address->addr))
	{
		transfer->refused = true;
		return CURL_SOCKET_BAD;
	}
	transfer->refused = false;	/* another address of the name */
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/*
 * Asked before each time that a request goes out.
 *
 * libcurl sends a request again by itself when a connection that it had
 * reused is dropped before the answer.  It must not, once a byte was sent,
 * unless the method is safe: that would be an attempt that nobody counts.
 *
 * A connection that another destination opened, under its own rules, may be
 * reused.
 */
static int
before_request_callback(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	SagaTransfer *transfer = arg;
	long		sent = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
	if (sent > 0 && !is_safe_method(transfer->request->method))
	{
		transfer->again = true;
		return CURL_PREREQFUNC_ABORT;
	}
	/* also clears what another address of the name, tried side by side, was refused for */
	transfer->refused = !transfer->proxied &&
		(remote_ip == NULL || !saga_guard_allows_text(transfer->request->guard, remote_ip));
	return transfer->refused ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
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
	sigset_t	save;

	http = calloc(1, sizeof(SagaHttp));
	if (http == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	dlist_init(&http->idle);
	dlist_init(&http->active);
	dlist_init(&http->finished);
	http->timer_at = -1;

	http->max_transfers = reserve_descriptors(http, max_transfers);
	http->epoll = epoll_create1(EPOLL_CLOEXEC);

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

	if (http->multi == NULL || http->epoll < 0 || http->max_transfers < 1)
	{
		saga_http_destroy(http);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not prepare HTTP connections"),
				 errhint("Raising max_files_per_process may help.")));
	}
	return http;
}

/* libcurl keeps copies of the headers, and some hold secrets. */
static void
wipe_headers(SagaTransfer *transfer)
{
	struct curl_slist *item;

	for (item = transfer->headers; item != NULL; item = item->next)
		explicit_bzero(item->data, strlen(item->data));
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
}

static void
free_body(SagaTransfer *transfer)
{
	if (transfer->wipe_answer && transfer->body != NULL)
		explicit_bzero(transfer->body, transfer->body_len);
	free(transfer->body);
	transfer->body = NULL;
}

static void
free_transfer(SagaHttp *http, SagaTransfer *transfer, bool in_multi)
{
	if (in_multi)
		curl_multi_remove_handle(http->multi, transfer->easy);
	curl_easy_cleanup(transfer->easy);
	wipe_headers(transfer);
	free_body(transfer);
	free(transfer->head);
	free(transfer);
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

	tell_aborted(&http->active);
	tell_aborted(&http->finished);
	block_signals(&save);
	free_transfers(http, &http->active, true);
	free_transfers(http, &http->finished, false);
	free_transfers(http, &http->idle, false);
	if (http->multi != NULL)
		curl_multi_cleanup(http->multi);
	restore_signals(&save);
	if (http->epoll >= 0)
		close(http->epoll);
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
	return http->epoll;
}

long
saga_http_timeout_ms(const SagaHttp *http)
{
	if (http->timer_at < 0)
		return -1;
	return (long) Max(http->timer_at - monotonic_ms(), 0);
}

/* ---------- one transfer ---------- */

static void
set_method_and_body(SagaTransfer *transfer)
{
	const SagaHttpRequest *request = transfer->request;
	CURL	   *easy = transfer->easy;

	if (strcmp(request->method, "HEAD") == 0)
	{
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (request->body != NULL && request->body_len > 0)
	{
		/* not by a read function: that would not be in a signature, and in a packet of its own */
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_len);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
	}
	else if (!is_safe_method(request->method) && strcmp(request->method, "DELETE") != 0)
	{
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) 0);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
	}
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

/* libcurl would pass CR LF on: a header of somebody else's choice, or another request. */
static bool
is_one_line(const char *text)
{
	return strpbrk(text, "\r\n") == NULL;
}

static bool
set_headers(SagaTransfer *transfer)
{
	ListCell   *lc;
	struct curl_slist *list = NULL;

	foreach(lc, transfer->request->headers)
	{
		if (!is_one_line(lfirst(lc)))
			return false;
		list = curl_slist_append(transfer->headers, lfirst(lc));
		if (list == NULL)
			return false;
		transfer->headers = list;
	}
	/* a header that is switched off would be signed and not sent */
	if (transfer->request->sigv4 == NULL)
	{
		list = curl_slist_append(transfer->headers, "Expect:");
		if (list == NULL)
			return false;
		transfer->headers = list;
	}
	return curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK;
}

static bool
set_proxy(SagaTransfer *transfer)
{
	const SagaHttpRequest *request = transfer->request;

	transfer->proxied = !request->direct && saga_proxy_serves(request->url, request->guard);
	/* "" and not nothing: libcurl would obey the server's environment */
	return curl_easy_setopt(transfer->easy, CURLOPT_PROXY, transfer->proxied ? saga_proxy : "") == CURLE_OK &&
		curl_easy_setopt(transfer->easy, CURLOPT_NOPROXY, "") == CURLE_OK;
}

static bool
set_certificates(const SagaTransfer *transfer)
{
	const char *file = transfer->request->ca_file;

	if (file == NULL && saga_ca_file[0] != '\0')
		file = saga_ca_file;
	/* in place of the system's, which libcurl may also have as a directory, and not beside them */
	return file == NULL || (curl_easy_setopt(transfer->easy, CURLOPT_CAINFO, file) == CURLE_OK &&
							curl_easy_setopt(transfer->easy, CURLOPT_CAPATH, NULL) == CURLE_OK);
}

static bool
set_options(SagaTransfer *transfer)
{
	const SagaHttpRequest *request = transfer->request;
	CURL	   *easy = transfer->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->message);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* or a name server that hangs would block everything else */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long) SAGA_CONNECTION_MAX_AGE);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, SAGA_USER_AGENT);
	/*
	 * No limit on low speed: it would also count the time that a server takes
	 * to think.  An answer that drips is cut off by the time limit of all.
	 */
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) request->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) request->connect_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, write_callback);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_callback);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket_callback);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request_callback);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
	set_method_and_body(transfer);
	if (request->sigv4 != NULL &&
		(curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, request->sigv4) != CURLE_OK ||
		 curl_easy_setopt(easy, CURLOPT_USERNAME, request->access_key) != CURLE_OK ||
		 curl_easy_setopt(easy, CURLOPT_PASSWORD, request->secret_key) != CURLE_OK))
		return false;
	return is_one_line(request->url) && curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
		set_certificates(transfer) && set_proxy(transfer) && set_headers(transfer);
}

static SagaTransfer *
get_transfer(SagaHttp *http)
{
	SagaTransfer *transfer;

	if (!dlist_is_empty(&http->idle))
		return dlist_container(SagaTransfer, node, dlist_pop_head_node(&http->idle));
	transfer = calloc(1, sizeof(SagaTransfer));
	if (transfer != NULL)
	{
		transfer->easy = curl_easy_init();
		if (transfer->easy == NULL)
		{
			free(transfer);
			transfer = NULL;
		}
	}
	return transfer;
}

bool
saga_http_start(SagaHttp *http, const SagaHttpRequest *request, SagaHttpUser *user)
{
	SagaTransfer *transfer = get_transfer(http);

	if (transfer != NULL)
	{
		transfer->request = request;
		transfer->user = user;
		transfer->wipe_answer = request->wipe_answer;
		transfer->message[0] = '\0';
		if (!set_options(transfer) ||
			curl_multi_add_handle(http->multi, transfer->easy) != CURLM_OK)
		{
			free_transfer(http, transfer, false);
			transfer = NULL;
		}
	}
	if (transfer != NULL)
	{
		dlist_push_tail(&http->active, &transfer->node);
		http->nactive++;
	}
	return transfer != NULL;
}

static void
release_transfer(SagaHttp *http, SagaTransfer *transfer)
{
	curl_easy_reset(transfer->easy);	/* connections stay with the multi handle */
	wipe_headers(transfer);
	free_body(transfer);
	free(transfer->head);
	transfer->head = NULL;
	transfer->body_len = transfer->body_size = transfer->head_len = transfer->head_size = 0;
	transfer->truncated = transfer->refused = transfer->again = transfer->no_memory = false;
	transfer->request = NULL;
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

static void
run_libcurl(SagaHttp *http)
{
	struct epoll_event events[64];
	int			running;
	int			n;
	int			i;
	sigset_t	save;

	block_signals(&save);
	n = epoll_wait(http->epoll, events, lengthof(events), 0);
	for (i = 0; i < n; i++)
	{
		int			what = 0;

		if (events[i].events & (EPOLLIN | EPOLLHUP))
			what |= CURL_CSELECT_IN;
		if (events[i].events & EPOLLOUT)
			what |= CURL_CSELECT_OUT;
		if (events[i].events & EPOLLERR)
			what |= CURL_CSELECT_ERR;
		curl_multi_socket_action(http->multi, events[i].data.fd, what, &running);
	}
	if (http->timer_at >= 0 && http->timer_at <= monotonic_ms())
	{
		http->timer_at = -1;
		curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	collect_finished(http);
	restore_signals(&save);
}

static SagaTransport
transport_of(SagaTransfer *transfer)
{
	curl_off_t	pretransfer = 0;

	if (transfer->refused)
		return SAGA_TRANSPORT_REFUSED;
	if (transfer->again)
		return SAGA_TRANSPORT_LOST;
	switch (transfer->code)
	{
		case CURLE_OK:
			return SAGA_TRANSPORT_OK;
		case CURLE_URL_MALFORMAT:
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_BAD_FUNCTION_ARGUMENT:
			return SAGA_TRANSPORT_WRONG;
		default:
			break;
	}
	/* the connection was ready for the request, TLS included */
	curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer);
	return pretransfer > 0 ? SAGA_TRANSPORT_LOST : SAGA_TRANSPORT_NOT_SENT;
}

static void
read_answer(SagaTransfer *transfer, SagaHttpAnswer *answer)
{
	long		status = 0;

	memset(answer, 0, sizeof(*answer));
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	answer->transport = transport_of(transfer);
	/* too long an answer is an answer */
	if (transfer->truncated && status > 0)
		answer->transport = SAGA_TRANSPORT_OK;
	answer->status = answer->transport == SAGA_TRANSPORT_OK ? (int) status : 0;
	if (answer->transport == SAGA_TRANSPORT_REFUSED)
		answer->message = "the address of the destination is private, and the destination does not allow that";
	else if (transfer->no_memory)
		answer->message = "out of memory";
	else if (transfer->again)
		answer->message = "the connection was lost before the answer";
	else
		answer->message = transfer->message[0] ? transfer->message : curl_easy_strerror(transfer->code);
	answer->body = transfer->body;
	answer->body_len = transfer->body_len;
	answer->truncated = transfer->truncated;
	answer->head = transfer->head;
	answer->head_len = transfer->head_len;
}

/* The user may raise: what he has not kept of the answer is lost then. */
static void
tell_finished(SagaHttp *http, SagaTransfer *transfer)
{
	SagaHttpAnswer answer;

	dlist_push_tail(&http->active, &transfer->node);
	read_answer(transfer, &answer);
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
	int			n = 0;

	run_libcurl(http);
	while (!dlist_is_empty(&http->finished))
	{
		tell_finished(http, dlist_container(SagaTransfer, node, dlist_pop_head_node(&http->finished)));
		n++;
	}
	return n;
}
