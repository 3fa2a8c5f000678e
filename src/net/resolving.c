/*
 * resolving.c
 *		Host names that are being resolved, counted for who asked.
 *
 * libcurl resolves a name in a thread that nobody can end: it lives, with its
 * descriptors, until the resolver gives up, whatever becomes of the request.
 * So such a transfer is counted here until then, also when it was told that
 * its time is over (http.c), and only some of them resolve at once: of one
 * name, of one owner, and in all.  Whoever finds no room waits.
 *
 * What is here is called from libcurl's callbacks: nothing raises.
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "common/guc.h"
#include "net/resolving_private.h"

/* At once, of a process: each has a thread and some four descriptors. */
#define SAGA_MAX_NAMES			32

/* Of one owner. */
#define SAGA_MAX_NAMES_OF_OWNER	8

/* Of one owner, the same name: the others find it in the cache then. */
#define SAGA_MAX_OF_NAME		2

/* No resolver takes as long. */
#define SAGA_RESOLVER_MS		86400000L

/* As with requests, an owner has at most so many times what is free (share.c). */
#define SAGA_SHARE				2

static dlist_head resolving = DLIST_STATIC_INIT(resolving); /* of this process: SagaTransfer */
static int	max_names = SAGA_MAX_NAMES; /* of the SagaHttp that was made last */
static uint32 ended = 0;		/* a counter */

int
saga_resolving_max(int max_transfers)
{
	return Max(Min(max_transfers / 4, SAGA_MAX_NAMES), 2);
}

void
saga_resolving_set_max(int max)
{
	max_names = max;
}

/* May one more name be resolved for this transfer?  If not, it is noted what it waits for. */
static bool
has_room(SagaTransfer *transfer)
{
	int			all = 0;
	int			of_owner = 0;
	int			of_name = 0;
	dlist_iter	iter;

	dlist_foreach(iter, &resolving)
	{
		const SagaTransfer *other = dlist_container(SagaTransfer, resolving_node, iter.cur);

		all++;
		if (other->owner != transfer->owner)
			continue;
		of_owner++;
		of_name += pg_strcasecmp(other->name, transfer->name) == 0;
	}
	if (of_name >= SAGA_MAX_OF_NAME)
		transfer->wait = SAGA_WAIT_NAME;
	else if (of_owner >= SAGA_MAX_NAMES_OF_OWNER || of_owner >= SAGA_SHARE * (max_names - all))
		transfer->wait = SAGA_WAIT_OWNER;
	else
		return true;
	return false;
}

int
saga_resolving_start(void *resolver_state, void *reserved, void *arg)
{
	SagaTransfer *transfer = arg;

	if (transfer->parked || saga_transfer_has_left(transfer))
		return 1;
	if (transfer->resolving)
		return 0;
	/* an address takes no thread, and is done with at once */
	if (!transfer->is_address && !has_room(transfer))
		return 1;

	/*
	 * libcurl would forget the thread when the time to connect is over: that
	 * is our matter until then (end_late in http.c).  As libcurl shares out
	 * that time over the addresses, it is given the transfer anew when they
	 * are known, with what is left of it.
	 */
	if (!transfer->is_address)
		curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS, SAGA_RESOLVER_MS);
	dlist_push_tail(&resolving, &transfer->resolving_node);
	transfer->resolving = true;
	return 0;
}

void
saga_resolving_end(SagaTransfer *transfer)
{
	if (!transfer->resolving)
		return;
	dlist_delete(&transfer->resolving_node);
	transfer->resolving = false;
	if (!transfer->is_address)
		ended++;
}

uint32
saga_resolving_ended(void)
{
	return ended;
}

/* Those that libcurl resolves itself. */
static bool
is_address(char *host)
{
	char	   *zone = strchr(host, '%');
	size_t		len = strlen(host);
	unsigned char address[16];

	if (host[0] == '[' && len > 2 && host[len - 1] == ']')
	{
		host[len - 1] = '\0';
		host++;
		if (zone != NULL)
			*zone = '\0';
		return inet_pton(AF_INET6, host, address) == 1;
	}
	return inet_pton(AF_INET, host, address) == 1 || pg_strcasecmp(host, "localhost") == 0;
}

bool
saga_resolving_prepare(SagaTransfer *transfer)
{
	const char *url = transfer->proxied ? saga_proxy : transfer->request->url;
	CURLU	   *parts = curl_url();
	char	   *host = NULL;

	if (parts == NULL)
		return false;
	free(transfer->name);
	transfer->is_address = false;
	if (curl_url_set(parts, CURLUPART_URL, url, CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
		curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK)
	{
		transfer->name = strdup(host);
		transfer->is_address = is_address(host);
	}
	else
		transfer->name = strdup(url);
	curl_free(host);
	curl_url_cleanup(parts);
	return transfer->name != NULL;
}
