/*
 * once.c
 *		No request leaves a second time that nobody counts.
 *
 * libcurl sends a request again by itself when a connection that it had kept
 * is lost before the answer.  It must not, once a byte was sent, unless the
 * method is safe: that would be an attempt that nobody counts.  So it is asked
 * wherever such a second attempt passes (a name is resolved, a socket opened,
 * the request about to go out), and before the transfer is given to libcurl
 * anew for a reason of ours: libcurl counts from zero then.  Of a write that
 * failed it counts nothing, though TLS may have sent a part of it: that it was
 * told to send counts as well.
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
	if ((sent > 0 || transfer->begun) && !saga_http_is_safe(transfer->request->method))
		transfer->again = true;
	return transfer->again;
}
