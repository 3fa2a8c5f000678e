/*
 * client.c
 *		The publisher's network part alone: POSTs through src/net/http.c in a
 *		backend, waited for together with its latch, no table touched.
 *
 * bench_http(url text, requests integer, in_flight integer, bytes integer)
 * returns requests per second.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "net/http.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/wait_event.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(bench_http);

typedef struct Request
{
	SagaHttpUser user;
	SagaHttpRequest http;
	dlist_node	node;
} Request;

static dlist_head idle;
static int	failed;

static void
finished(SagaHttpUser *user, const SagaHttpAnswer *answer)
{
	Request    *request = (Request *) user;

	if (answer->transport != SAGA_TRANSPORT_OK || answer->status != 200)
		failed++;
	dlist_push_tail(&idle, &request->node);
}

static void
prepare(Request *request, char *url, char *body, int bytes)
{
	static SagaGuard guard = {.allow_all = true};

	request->user.finished = finished;
	request->http.method = "POST";
	request->http.url = url;
	request->http.headers = list_make1("Content-Type: application/json");
	request->http.body = body;
	request->http.body_len = bytes;
	request->http.guard = &guard;
	request->http.timeout_ms = 30000;
	request->http.connect_timeout_ms = 5000;
	request->http.max_response_bytes = 1048576;
	dlist_push_tail(&idle, &request->node);
}

Datum
bench_http(PG_FUNCTION_ARGS)
{
	char	   *url = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			total = PG_GETARG_INT32(1);
	int			in_flight = PG_GETARG_INT32(2);
	int			bytes = PG_GETARG_INT32(3);
	Request    *requests = palloc0(sizeof(Request) * in_flight);
	char	   *body = palloc(bytes);
	SagaHttp   *http = saga_http_create(in_flight);
	instr_time	begin;
	instr_time	duration;
	int			started = 0;
	int			done = 0;
	int			i;

	memset(body, 'x', bytes);
	dlist_init(&idle);
	failed = 0;
	for (i = 0; i < in_flight; i++)
		prepare(&requests[i], url, body, bytes);
	INSTR_TIME_SET_CURRENT(begin);
	while (done < total)
	{
		int			n;

		CHECK_FOR_INTERRUPTS();
		while (started < total && !dlist_is_empty(&idle))
		{
			Request    *request = dlist_container(Request, node, dlist_pop_head_node(&idle));

			if (!saga_http_start(http, &request->http, &request->user))
				elog(ERROR, "could not start a request");
			started++;
		}
		n = saga_http_run(http);
		done += n;
		if (n == 0)
		{
			long		ms = saga_http_timeout_ms(http);

			(void) WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
									 saga_http_descriptor(http), ms < 0 ? 1000 : ms, PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
		}
	}
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, begin);
	saga_http_destroy(http);
	if (failed > 0)
		elog(ERROR, "%d requests failed", failed);
	PG_RETURN_FLOAT8(total / INSTR_TIME_GET_DOUBLE(duration));
}
