/*
 * transfer_options.c
 *		What libcurl is told of a request, and the callbacks by which it gives
 *		the answer and asks whether it may go on.
 *
 * Nothing of PostgreSQL's is called from the callbacks: an error would jump
 * over libcurl's frames.  They fill malloc'ed buffers that have a limit and
 * note what went wrong.
 *
 * Begin reading with saga_transfer_set_options.  Order of the callbacks in
 * one request: a name is resolved (resolving.c), a socket is opened (the
 * guard looks at the address), the request is about to go out (once more for
 * a kept connection), header lines come, the body comes.  A callback that
 * returns an error ends the transfer; a flag says why.
 */
#include "postgres.h"

#include "common/guc.h"
#include "net/guard_private.h"
#include "net/proxy_private.h"
#include "net/resolving_private.h"

#define SAGA_MAX_HEAD_BYTES		65536
#define SAGA_CONNECTION_MAX_AGE 30	/* seconds an idle connection is kept */
#define SAGA_USER_AGENT			"pg_saga"

/* ---------- callbacks: see the top of the file ---------- */

/* Does not move what is there when it has room for all there may be. */
static bool
append(char **data, size_t *len, size_t *size, const char *from, size_t n)
{
	if (*len + n + 1 > *size)
	{
		size_t		new_size = Max(Max(*size * 2, 1024), *len + n + 1);
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

/* As append, of an answer's body: up to twice as large each time, but not larger than it may get. */
static bool
append_body(SagaTransfer *transfer, const char *from, size_t n)
{
	size_t		old_size = transfer->body_size;
	size_t		size = transfer->body_len + n + 1;
	char	   *body;

	if (size > old_size)
	{
		size = Max(size, Min(old_size * 2, transfer->request->max_response_bytes + 1));
		body = realloc(transfer->body, size);
		if (body == NULL)
			return false;
		transfer->body = body;
		transfer->body_size = size;
		if (transfer->account != NULL)
			saga_account_take(transfer->account, size - old_size);
	}
	memcpy(transfer->body + transfer->body_len, from, n);
	transfer->body_len += n;
	transfer->body[transfer->body_len] = '\0';
	return true;
}

/*
 * One transfer of each owner goes on whatever is used: they would wait for
 * each other else.
 */
static bool
has_memory_for(SagaTransfer *transfer, size_t n)
{
	SagaAccount *account = transfer->account;

	if (account == NULL || transfer->body_len + n < transfer->body_size)
		return true;
	if (account->first == NULL)
		account->first = transfer;
	return account->first == transfer || saga_account_has_room(account, n + transfer->body_size);
}

/*
 * Of what libcurl decompresses: it would go on with what it has read, and
 * keep that where nobody counts it.  So all of it is taken before the transfer
 * pauses, within reason: a little can become a lot.
 */
static bool
take_decompressed(SagaTransfer *transfer, size_t n)
{
	transfer->pause_soon = true;
	return saga_account_may_overdraw(transfer->account, n + transfer->body_size);
}

/* The limit is counted here: MAXFILESIZE does not stop a chunked answer. */
static size_t
write_callback(char *chunk, size_t size, size_t nmemb, void *arg)
{
	SagaTransfer *transfer = arg;
	size_t		n = size * nmemb;
	size_t		room = transfer->request->max_response_bytes - transfer->body_len;
	bool		has_memory = has_memory_for(transfer, Min(n, room));

	if (!has_memory && transfer->encoded && !take_decompressed(transfer, Min(n, room)))
	{
		transfer->overdrawn = true;
		return 0;
	}
	if (!has_memory && !transfer->encoded)
	{
		/*
		 * it stays with the server until there is: the same bytes come again
		 * then
		 */
		transfer->paused = true;
		transfer->account->budget->npaused++;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (n > room)
		transfer->truncated = true;

	/*
	 * at once as large as it may get: realloc would leave copies of secrets
	 * behind
	 */
	if (transfer->wipe_answer && transfer->body == NULL)
	{
		transfer->body = malloc(transfer->request->max_response_bytes + 1);
		transfer->body_size = transfer->body ? transfer->request->max_response_bytes + 1 : 0;
	}
	if (!append_body(transfer, chunk, Min(n, room)))
	{
		transfer->no_memory = true;
		return 0;
	}
	return n > room ? 0 : n;
}

/* The first of a header's values, in lower case.  Returns whether there are more. */
static bool
first_value(const char *line, size_t n, char *value, size_t size)
{
	const char *end = line + n;
	size_t		len = 0;

	while (line < end && (*line == ' ' || *line == '\t'))
		line++;
	while (line < end && len < size - 1 && strchr(", \t\r\n", *line) == NULL)
		value[len++] = pg_ascii_tolower((unsigned char) *line++);
	value[len] = '\0';
	return memchr(line, ',', end - line) != NULL;
}

/*
 * Is the body decompressed?  What is no compression, as in "Content-Encoding:
 * UTF-8", is an error to libcurl: such a body is taken as it is.
 */
static void
note_coding(SagaTransfer *transfer, const char *line, size_t n)
{
	static const char *const codings[] = {"gzip", "x-gzip", "deflate", "br", "zstd", "identity", "none"};
	char		value[16];

	if (n > 18 && pg_strncasecmp(line, "transfer-encoding:", 18) == 0)
		transfer->encoded |= first_value(line + 18, n - 18, value, sizeof(value)) || strcmp(value, "chunked") != 0;
	if (n <= 17 || pg_strncasecmp(line, "content-encoding:", 17) != 0)
		return;
	if (first_value(line + 17, n - 17, value, sizeof(value)))
		transfer->encoded = true;
	for (int i = 0; i < lengthof(codings); i++)
		transfer->encoded |= strcmp(value, codings[i]) == 0;
	if (!transfer->encoded)
		curl_easy_setopt(transfer->easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
}

/* libcurl's CURLOPT_HEADERFUNCTION: one line of the head, of which there may be so much. */
static size_t
header_callback(char *line, size_t size, size_t nmemb, void *arg)
{
	SagaTransfer *transfer = arg;
	size_t		n = size * nmemb;

	/* a status line begins the next answer, after a 100 Continue */
	if (n > 5 && strncmp(line, "HTTP/", 5) == 0)
	{
		transfer->head_len = 0;
		transfer->encoded = false;
	}
	note_coding(transfer, line, n);
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
	curl_socket_t fd;

	if (!transfer->parked && saga_transfer_has_left(transfer))
	{
		saga_resolving_end(transfer);
		return CURL_SOCKET_BAD;
	}
	if (transfer->resolving && !transfer->is_address && !transfer->resolved_before)
		transfer->resolved = transfer->resolved_before = true;
	saga_resolving_end(transfer);
	if (transfer->parked || transfer->resolved)
		return CURL_SOCKET_BAD;
	if (!transfer->proxied && !saga_guard_allows(transfer->request->guard, &address->addr))
	{
		transfer->refused = true;
		return CURL_SOCKET_BAD;
	}
	transfer->refused = false;	/* another address of the name */
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
		transfer->no_socket = errno;
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/*
 * Asked before each time that a request goes out.  A connection that another
 * destination opened, under its own rules, may be reused.
 */
static int
before_request_callback(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	SagaTransfer *transfer = arg;

	saga_resolving_end(transfer);
	if (transfer->parked)
		return CURL_PREREQFUNC_ABORT;
	transfer->connect_by = PG_INT64_MAX;
	if (saga_transfer_has_left(transfer))
		return CURL_PREREQFUNC_ABORT;

	/*
	 * also clears what another address of the name, tried side by side, was
	 * refused for
	 */
	transfer->refused = !transfer->proxied &&
		(remote_ip == NULL || !saga_guard_allows_text(transfer->request->guard, remote_ip));
	transfer->begun = !transfer->refused;
	return transfer->begun ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

/* ---------- what libcurl is told ---------- */

/* The request line and the body; a method that usually has a body gets an empty one. */
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
		/*
		 * not by a read function: that would not be in a signature, and in a
		 * packet of its own
		 */
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_len);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
	}
	else if (!saga_http_is_safe(request->method) && strcmp(request->method, "DELETE") != 0)
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

/* The caller's headers, and none of libcurl's that would wait for a server's leave. */
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

/* The request goes through pg_saga.proxy, or through none. */
static bool
set_proxy(SagaTransfer *transfer)
{
	const SagaHttpRequest *request = transfer->request;

	transfer->proxied = !request->direct && saga_proxy_serves(request->url, request->guard);
	/* "" and not nothing: libcurl would obey the server's environment */
	return curl_easy_setopt(transfer->easy, CURLOPT_PROXY, transfer->proxied ? saga_proxy : "") == CURLE_OK &&
		curl_easy_setopt(transfer->easy, CURLOPT_NOPROXY, "") == CURLE_OK;
}

/* Whom the server's certificate has to be from. */
static bool
set_certificates(const SagaTransfer *transfer)
{
	const char *file = transfer->request->ca_file;

	if (file == NULL && saga_ca_file[0] != '\0')
		file = saga_ca_file;

	/*
	 * in place of the system's, which libcurl may also have as a directory,
	 * and not beside them
	 */
	return file == NULL || (curl_easy_setopt(transfer->easy, CURLOPT_CAINFO, file) == CURLE_OK &&
							curl_easy_setopt(transfer->easy, CURLOPT_CAPATH, NULL) == CURLE_OK);
}

bool
saga_transfer_set_options(SagaTransfer *transfer)
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
	 * all that this libcurl can decompress: servers and proxies compress,
	 * asked or not
	 */
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->fresh ? 1L : 0L);

	/*
	 * No limit on low speed: it would also count the time that a server takes
	 * to think.  An answer that drips is cut off by the time limit of all,
	 * which is ours: libcurl would look at the clock before it reads what has
	 * come while this process had other things to do.  So is the one to
	 * connect while a name is resolved: libcurl would forget the resolver.
	 */
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) request->connect_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, saga_resolving_start);
	curl_easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, transfer);
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
		set_certificates(transfer) && set_proxy(transfer) && set_headers(transfer) && saga_resolving_prepare(transfer);
}
