/*
 * once.c
 *		No request leaves a second time that nobody counts.
 *
 * libcurl sends a request again by itself when a connection that it had kept
 * is lost before the answer.  It must not, once a byte was sent, unless the
 * method is safe: that would be an attempt that nobody counts.  So it is asked
 * wherever such a second attempt passes (a name is resolved, a socket opened,
 * the request about to go out), and before the transfer is given to libcurl
 * anew for a reason of ours: libcurl counts from zero then.
 *
 * Of a write that failed libcurl counts nothing.  On a connection that it had
 * kept this is how it finds out that the server has closed it, and it goes on
 * with another one: nothing has left.  TLS may have sent a part of the request
 * by then, but never all of it, which is no request to a server.  Where there
 * was no further attempt, that libcurl was told to send it counts as sent
 * (was_connected in transfer.c): there is no need to be so sure then.
 *
 * The answer is remembered in the transfer: once it has left, it has left for
 * good.
 */
#include "postgres.h"

#include "net/transfer_private.h"

bool
saga_http_is_safe(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
		strcmp(method, "OPTIONS") == 0;
}

bool
saga_transfer_has_left(SagaTransfer *transfer)
{
	long		sent = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
	if (sent > 0 && !saga_http_is_safe(transfer->request->method))
		transfer->again = true;
	else
		transfer->begun = false;	/* another attempt, which may not come so far */
	return transfer->again;
}
