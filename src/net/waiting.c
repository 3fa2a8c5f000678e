/*
 * waiting.c
 *		Transfers that could not begin.
 *
 * They lack a resolver, as too many names of their owner are being resolved,
 * or something that this process has no more of: a descriptor, a thread,
 * memory.  libcurl does not have them meanwhile.  They are tried again, and
 * only after a while their users are told that nothing was sent; while one
 * waits for what is ours to give, its time does not pass.
 */
#include "postgres.h"

#include "net/http_private.h"

/* What could not begin is tried again after this ... */
#define SAGA_AGAIN_MS			200

/* ... and told after this, and the reason written to the log this often. */
#define SAGA_WAIT_MS			5000
#define SAGA_LOG_MS				60000

static int64 logged_at[SAGA_WAIT_PROCESS + 1];	/* monotonic ms, by SagaTransferWait; 0: never */

int64
saga_transfer_give_up_at(const SagaTransfer *transfer)
{
	if (transfer->wait == SAGA_WAIT_OWNER || transfer->wait == SAGA_WAIT_PROCESS)
		return transfer->wait_until;
	return Min(transfer->end_at, transfer->connect_by);
}

void
saga_transfer_set_times(SagaTransfer *transfer)
{
	int64		now = saga_http_now_ms();

	transfer->end_at = now + transfer->request->timeout_ms;
	transfer->connect_by = now + transfer->request->connect_timeout_ms;
}

bool
saga_waiting_add(SagaHttp *http, SagaTransfer *transfer)
{
	int64		now = saga_http_now_ms();

	if (transfer->wait != SAGA_WAIT_NAME)
	{
		if (transfer->wait_until == 0)
			transfer->wait_until = now + SAGA_WAIT_MS;
		if (transfer->wait_until <= now)
			return false;
	}
	/* a resolver that ends is seen at once; later is for what nobody tells */
	transfer->retry_at = now + (transfer->wait == SAGA_WAIT_PROCESS ? SAGA_AGAIN_MS : 5 * SAGA_AGAIN_MS);
	dlist_push_tail(&http->waiting, &transfer->node);
	return true;
}

void
saga_waiting_try(SagaHttp *http)
{
	bool		ended = http->resolvers_ended != saga_resolving_ended();
	int64		now = saga_http_now_ms();
	dlist_mutable_iter iter;

	http->resolvers_ended = saga_resolving_ended();
	dlist_foreach_modify(iter, &http->waiting)
	{
		SagaTransfer *transfer = dlist_container(SagaTransfer, node, iter.cur);

		if (transfer->retry_at > now && !(ended && transfer->wait != SAGA_WAIT_PROCESS))
			continue;
		/* while it waited for us its time did not pass */
		if (transfer->wait != SAGA_WAIT_NAME)
			saga_transfer_set_times(transfer);
		if (curl_multi_add_handle(http->multi, transfer->easy) != CURLM_OK)
		{
			transfer->retry_at = now + SAGA_AGAIN_MS;
			continue;
		}
		saga_transfer_again(transfer, transfer->connect_by - now);
		dlist_delete(&transfer->node);
		dlist_push_tail(&http->active, &transfer->node);
	}
}

void
saga_waiting_end(SagaHttp *http, int64 now)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &http->waiting)
	{
		SagaTransfer *transfer = dlist_container(SagaTransfer, node, iter.cur);

		if (saga_transfer_give_up_at(transfer) > now)
			continue;
		if (transfer->wait == SAGA_WAIT_NAME)
			saga_transfer_timed_out(transfer, transfer->end_at > now);
		else
			transfer->busy = true;
		dlist_delete(&transfer->node);
		dlist_push_tail(&http->finished, &transfer->node);
	}
}

int64
saga_waiting_at(const SagaHttp *http)
{
	int64		at = PG_INT64_MAX;
	dlist_iter	iter;

	dlist_foreach(iter, unconstify(dlist_head *, &http->waiting))
	{
		const SagaTransfer *transfer = dlist_container(SagaTransfer, node, iter.cur);

		if (http->resolvers_ended != saga_resolving_ended())
			return 0;			/* it may be its turn */
		at = Min(at, Min(transfer->retry_at, saga_transfer_give_up_at(transfer)));
	}
	return at;
}

void
saga_http_stop_waiting(SagaHttp *http)
{
	while (!dlist_is_empty(&http->waiting))
	{
		SagaTransfer *transfer = dlist_container(SagaTransfer, node, dlist_pop_head_node(&http->waiting));

		transfer->busy = true;
		dlist_push_tail(&http->finished, &transfer->node);
	}
}

void
saga_waiting_log(const SagaHttp *http)
{
	int64		now = saga_http_now_ms();
	dlist_iter	iter;

	dlist_foreach(iter, unconstify(dlist_head *, &http->waiting))
	{
		const SagaTransfer *transfer = dlist_container(SagaTransfer, node, iter.cur);
		int64	   *logged = &logged_at[transfer->wait];

		if (transfer->wait == SAGA_WAIT_NAME || (*logged != 0 && now - *logged < SAGA_LOG_MS))
			continue;
		*logged = now;
		if (transfer->wait == SAGA_WAIT_PROCESS)
			ereport(LOG,
					(errmsg("requests wait, as this process cannot begin them: %s", transfer->message),
					 errdetail("They are tried again, and no attempt is counted."),
					 errhint("The limits on open files, threads and memory of the server's operating system user may be too low.")));
		else
			ereport(LOG,
					(errmsg("requests of the role with OID %u wait: too many host names are still being resolved",
							transfer->owner),
					 errdetail("They are tried again, and no attempt is counted."),
					 errhint("Look for destinations whose host's name server does not answer.")));
	}
}
