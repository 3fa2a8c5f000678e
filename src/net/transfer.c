/*
 * transfer.c
 *		One request and its answer, from its beginning to its end: what became
 *		of it, its memory, its time.  What libcurl is told of it, and takes for
 *		it, is in transfer_options.c.
 *
 * A transfer is malloc'd, as libcurl's callbacks write to it; create and free
 * stand at its ends, prepare and reset around each request that it serves.
 * What is counted for an account is the size of its buffer, from prepare to
 * reset.
 *
 * transport_of() is the heart: whether a request may have reached the server
 * decides whether it can be sent again without harm.  When in doubt it is
 * LOST, never NOT_SENT.
 */
#include "postgres.h"

#include <unistd.h>

#include "net/charset_private.h"
#include "net/resolving_private.h"

/* A buffer that is larger than this is not kept for the next answer. */
#define SAGA_KEPT_BUFFER		16384

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

/* The buffer of the answer goes, overwritten if it holds secrets, and is counted for nobody any more. */
static void
free_body(SagaTransfer *transfer)
{
	if (transfer->account != NULL)
		saga_account_give(transfer->account, transfer->body_size);
	if (transfer->wipe_answer && transfer->body != NULL)
		explicit_bzero(transfer->body, transfer->body_len);
	free(transfer->body);
	transfer->body = NULL;
	transfer->body_size = 0;
}

/* ---------- the beginning ---------- */

SagaTransfer *
saga_transfer_create(void)
{
	SagaTransfer *transfer = calloc(1, sizeof(SagaTransfer));

	if (transfer == NULL)
		return NULL;
	transfer->easy = curl_easy_init();
	if (transfer->easy != NULL)
		return transfer;
	free(transfer);
	return NULL;
}

bool
saga_transfer_prepare(SagaTransfer *transfer, const SagaHttpRequest *request, SagaHttpUser *user)
{
	transfer->request = request;
	transfer->user = user;
	transfer->owner = request->owner;
	transfer->wipe_answer = request->wipe_answer;
	transfer->account = request->account;
	/* of the answer before */
	if (transfer->account != NULL)
		saga_account_take(transfer->account, transfer->body_size);
	transfer->message[0] = '\0';
	if (request->wipe_answer)
		free_body(transfer);	/* its buffer has to be as large as it may get */
	return saga_transfer_set_options(transfer);
}

/* ---------- what became of it ---------- */

/*
 * The connection was ready for the request, TLS included.  libcurl may note the
 * time of that only after its first write, which can fail part-way.
 */
static bool
was_connected(const SagaTransfer *transfer)
{
	curl_off_t	pretransfer = 0;
	long		sent = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer);
	curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
	return transfer->begun || pretransfer > 0 || sent > 0;
}

/* Is there none left for whatever libcurl and the resolver open? */
static bool
lacks_descriptor(void)
{
	int			fd = dup(STDERR_FILENO);
	bool		lacks = fd < 0 && (errno == EMFILE || errno == ENFILE);

	if (fd >= 0)
		close(fd);
	return lacks;
}

/* NULL: nothing that it lacked. */
static const char *
lack_of(const SagaTransfer *transfer)
{
	if (transfer->no_socket != 0)
		return strerror(transfer->no_socket);
	switch (transfer->code)
	{
		case CURLE_OUT_OF_MEMORY:
			return "out of memory";
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_RESOLVE_PROXY:
			if (strstr(transfer->message, "thread failed to start") != NULL)
				return "a thread that resolves a host name could not be started";
			break;
		case CURLE_COULDNT_CONNECT:
		case CURLE_FAILED_INIT:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_CONNECT_ERROR:
			break;
		default:
			return NULL;
	}
	return lacks_descriptor() ? "no file descriptor is left" : NULL;
}

bool
saga_transfer_must_wait(SagaTransfer *transfer)
{
	const char *lack;

	if (transfer->code == CURLE_OK || transfer->refused || transfer->again || was_connected(transfer))
		return false;
	if (transfer->wait != SAGA_WAIT_NONE)
	{
		strlcpy(transfer->message, "too many host names are still being resolved", sizeof(transfer->message));
		return true;
	}
	lack = lack_of(transfer);
	if (lack == NULL)
		return false;
	transfer->wait = SAGA_WAIT_PROCESS;
	strlcpy(transfer->message, lack, sizeof(transfer->message));
	return true;
}

void
saga_transfer_again(SagaTransfer *transfer, int64 connect_ms)
{
	transfer->wait = SAGA_WAIT_NONE;
	transfer->begun = false;
	transfer->resolved = false;
	transfer->no_socket = 0;
	transfer->message[0] = '\0';
	curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS, (long) Max(connect_ms, 1));
	transfer->head_len = 0;
}

/* What is known of where the request got to. */
static SagaTransport
transport_of(SagaTransfer *transfer)
{
	bool		connected = was_connected(transfer);

	if (transfer->again)
		return SAGA_TRANSPORT_LOST;
	if (transfer->busy)
		return SAGA_TRANSPORT_BUSY;
	if (transfer->refused)
		return SAGA_TRANSPORT_REFUSED;
	switch (transfer->code)
	{
		case CURLE_OK:
			return SAGA_TRANSPORT_OK;
		case CURLE_URL_MALFORMAT:
		case CURLE_BAD_FUNCTION_ARGUMENT:
			return SAGA_TRANSPORT_WRONG;
		case CURLE_UNSUPPORTED_PROTOCOL:
			/* also an answer that is no HTTP, to a request that was sent */
			return connected ? SAGA_TRANSPORT_LOST : SAGA_TRANSPORT_WRONG;
		default:
			break;
	}
	return connected ? SAGA_TRANSPORT_LOST : SAGA_TRANSPORT_NOT_SENT;
}

/* In UTF-8.  The buffer that it came in is as good as gone. */
static SagaCharsetResult
convert_body(SagaTransfer *transfer)
{
	char	   *type = NULL;
	char	   *converted;
	size_t		len;
	size_t		size;
	SagaCharsetResult result;

	if (transfer->body_len == 0)
		return SAGA_CHARSET_KEPT;
	curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
	/* the buffer itself changes when a byte order mark is taken off */
	result = saga_charset_to_utf8(type, transfer->body, &transfer->body_len, &converted, &len, &size);
	if (converted == NULL)
		return result;
	free_body(transfer);
	transfer->body = converted;
	transfer->body_len = len;
	transfer->body_size = size;
	if (transfer->account != NULL)
		saga_account_take(transfer->account, size);
	return result;
}

/* What came is there with a status, and is not what the server wrote. */
static bool
is_undecoded(const SagaTransfer *transfer)
{
	return transfer->encoded && !transfer->truncated && !transfer->no_memory &&
		(transfer->code == CURLE_BAD_CONTENT_ENCODING || transfer->code == CURLE_WRITE_ERROR);
}

void
saga_transfer_answer(SagaTransfer *transfer, SagaHttpAnswer *answer)
{
	long		status = 0;

	memset(answer, 0, sizeof(*answer));
	transfer->pause_soon = false;
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	answer->transport = transport_of(transfer);
	/* too long an answer is an answer */
	if (transfer->truncated && status > 0)
		answer->transport = SAGA_TRANSPORT_OK;
	/* so is one that cannot be decompressed; what there is of it is nothing */
	if (is_undecoded(transfer) && status > 0)
	{
		answer->transport = SAGA_TRANSPORT_OK;
		answer->unreadable = transfer->overdrawn ? "there was no memory to decompress it" : "it cannot be decompressed";
		answer->passing = transfer->overdrawn;
	}
	else if (answer->transport == SAGA_TRANSPORT_OK && convert_body(transfer) == SAGA_CHARSET_UNREADABLE)
		answer->unreadable = "it is not in the characters that it says";
	/* a status without a whole answer means nothing to anybody */
	answer->status = answer->transport == SAGA_TRANSPORT_OK ? (int) status : 0;
	if (answer->transport == SAGA_TRANSPORT_REFUSED)
		answer->message = "the address of the destination is private, and the destination does not allow that";
	else if (transfer->no_memory)
		answer->message = "out of memory";
	else if (transfer->again)
		answer->message = "the connection was lost before the answer";
	else
		answer->message = transfer->message[0] ? transfer->message : curl_easy_strerror(transfer->code);
	if (transfer->body_len > 0 && !is_undecoded(transfer))
	{
		answer->body = transfer->body;
		answer->body_len = transfer->body_len;
	}
	answer->truncated = transfer->truncated;
	answer->head = transfer->head_len > 0 ? transfer->head : NULL;
	answer->head_len = transfer->head_len;
}

/* ---------- memory and time ---------- */

void
saga_transfer_pause(SagaTransfer *transfer)
{
	transfer->pause_soon = false;
	transfer->paused = true;
	transfer->account->budget->npaused++;
	curl_easy_pause(transfer->easy, CURLPAUSE_RECV);
}

bool
saga_transfer_may_continue(SagaTransfer *transfer)
{
	SagaAccount *account = transfer->account;

	if (account->first != NULL && account->first != transfer &&
		!saga_account_has_room(account, CURL_MAX_WRITE_SIZE + transfer->body_size))
		return false;
	transfer->paused = false;
	account->budget->npaused--;
	return true;
}

void
saga_transfer_timed_out(SagaTransfer *transfer, bool connecting)
{
	const SagaHttpRequest *request = transfer->request;

	transfer->code = CURLE_OPERATION_TIMEDOUT;
	if (transfer->resolving || transfer->wait == SAGA_WAIT_NAME)
		snprintf(transfer->message, sizeof(transfer->message), "Resolving timed out after %d milliseconds",
				 connecting ? request->connect_timeout_ms : request->timeout_ms);
	else if (connecting)
		snprintf(transfer->message, sizeof(transfer->message), "Connection timed out after %d milliseconds",
				 request->connect_timeout_ms);
	else
		snprintf(transfer->message, sizeof(transfer->message),
				 "Operation timed out after %d milliseconds with %zu bytes received",
				 request->timeout_ms, transfer->body_len);
}

/* ---------- the end ---------- */

/* Nothing of it is counted for anybody. */
static void
close_account(SagaTransfer *transfer)
{
	SagaAccount *account = transfer->account;

	if (account == NULL)
		return;
	saga_account_give(account, transfer->body_size);
	if (account->first == transfer)
		account->first = NULL;
	if (transfer->paused)
		account->budget->npaused--;
	transfer->paused = false;
	transfer->account = NULL;
}

void
saga_transfer_detach(SagaTransfer *transfer)
{
	close_account(transfer);
	/* libcurl must not look at what is the user's any more */
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, NULL);
	wipe_headers(transfer);
	transfer->parked = true;
	transfer->request = NULL;
	transfer->user = NULL;
}

void
saga_transfer_reset(SagaTransfer *transfer)
{
	close_account(transfer);
	saga_resolving_end(transfer);

	/*
	 * options go; connections, names and sessions of TLS stay with the multi
	 * handle
	 */
	curl_easy_reset(transfer->easy);
	wipe_headers(transfer);
	/* small buffers are kept for the next answer */
	if (transfer->wipe_answer || transfer->body_size > SAGA_KEPT_BUFFER)
		free_body(transfer);
	if (transfer->head_size > SAGA_KEPT_BUFFER)
	{
		free(transfer->head);
		transfer->head = NULL;
		transfer->head_size = 0;
	}
	transfer->body_len = transfer->head_len = 0;
	transfer->truncated = transfer->refused = transfer->again = transfer->no_memory = false;
	transfer->encoded = transfer->overdrawn = transfer->pause_soon = false;
	transfer->parked = transfer->busy = transfer->resolved = transfer->resolved_before = transfer->begun = false;
	transfer->wait = SAGA_WAIT_NONE;
	transfer->no_socket = 0;
	transfer->wait_until = 0;
	transfer->request = NULL;
	transfer->user = NULL;
}

void
saga_transfer_free(SagaTransfer *transfer)
{
	close_account(transfer);
	saga_resolving_end(transfer);
	curl_easy_cleanup(transfer->easy);
	wipe_headers(transfer);
	free_body(transfer);
	free(transfer->head);
	free(transfer->name);
	free(transfer);
}
