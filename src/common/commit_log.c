/*
 * commit_log.c
 *		Lines for the server's log that are true only if the transaction commits.
 *
 * What a savepoint takes back is not said.  A process says so much in a minute
 * and no more: a destination that is down for a night fails thousands of
 * executions, and each of them is in the views.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/clock.h"
#include "common/common.h"
#include "utils/memutils.h"

#define LINES_A_MINUTE	30
#define MINUTE_US		(60 * USECS_PER_SEC)

typedef struct Line
{
	int			level;			/* of the transaction, in which it was noted */
	char	   *text;
} Line;

/* Of this transaction, in its context. */
static Line lines[LINES_A_MINUTE];
static int	nlines = 0;
static int	nmore = 0;			/* for which there was no place */

/* Of this process: what it has said in the minute that began then. */
static uint64 minute = 0;		/* saga_monotonic_us */
static int	said = 0;
static int	left_out = 0;

static bool registered = false;

static void
forget(void)
{
	nlines = nmore = 0;
}

/* After a commit; the texts are there as long as the transaction's context, which goes later. */
static void
say(void)
{
	uint64		now = saga_monotonic_us();

	if (nlines == 0)
		return;
	if (minute == 0 || now - minute >= MINUTE_US)
	{
		if (left_out > 0)
			ereport(LOG,
					(errmsg("%d more lines like these were left out", left_out), errhidestmt(true), errhidecontext(true),
					 errhint("A process of pg_saga writes at most %d of them in a minute; saga.dead_letters and saga.destinations have all.",
							 LINES_A_MINUTE)));
		minute = now;
		said = left_out = 0;
	}
	for (int i = 0; i < nlines; i++)
	{
		if (++said <= LINES_A_MINUTE)
			ereport(LOG, (errmsg_internal("%s", lines[i].text), errhidestmt(true), errhidecontext(true)));
		else
			left_out++;
	}
	left_out += nmore;
	forget();
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		forget();
}

/* What was noted in a savepoint goes with it, or becomes that of what is around it. */
static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			level = nlines > 0 ? GetCurrentTransactionNestLevel() : 0;

	if (nlines == 0)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		while (nlines > 0 && lines[nlines - 1].level >= level)
			nlines--;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		for (int i = 0; i < nlines; i++)
			lines[i].level = Min(lines[i].level, level - 1);
}

void
saga_after_commit_log(const char *format, ...)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	char		text[1024];
	va_list		args;

	if (!registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		registered = true;
	}
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (nlines < LINES_A_MINUTE)
	{
		lines[nlines].text = pstrdup(text);
		lines[nlines++].level = GetCurrentTransactionNestLevel();
	}
	else
		nmore++;
	MemoryContextSwitchTo(old);
}

void
saga_after_commit_log_init(void)
{
	saga_after_commit(say);
}
