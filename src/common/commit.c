/*
 * commit.c
 *		What is told to other processes after a commit.
 *
 * A callback of XACT_EVENT_COMMIT runs when the transaction is visible, but
 * before its invalidation messages are sent.  Whoever is woken from there may
 * look into a cache that is older than what woke him, find that there is
 * nothing to do, and be told no more.  So our processes are woken a step
 * later: the resource owner releases its locks after the messages are out.
 *
 * What is woken for is looked for in a transaction that begins after the
 * news was seen, and beginning one takes in what was sent: then no cache is
 * older than the news (queue/README.md, "No cache is older than the news").
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/common.h"
#include "utils/resowner.h"

#define MAX_TELLERS 8

/* Process-local. */
static saga_teller tellers[MAX_TELLERS];
static int	ntellers = 0;
static bool committed = false;	/* nobody was told of it yet */


/*
 * First the flag, so that a function that gets here again finds nothing to
 * tell.
 */
static void
tell(void)
{
	committed = false;
	for (int i = 0; i < ntellers; i++)
		tellers[i] ();
}

/* PREPARE has an event of its own, so that it tells nobody. */
static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		committed = true;
	else if (event == XACT_EVENT_ABORT && committed)
		tell();					/* something failed behind the commit, which stands */
}

/* Also called for the owners below that of the transaction, which are released before it. */
static void
release_callback(ResourceReleasePhase phase, bool isCommit, bool isTopLevel, void *arg)
{
	if (committed && phase == RESOURCE_RELEASE_LOCKS && isTopLevel)
		tell();
}

/* Functions stay registered as long as the process. */
void
saga_after_commit(saga_teller teller)
{
	if (ntellers == 0)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterResourceReleaseCallback(release_callback, NULL);
	}
	if (ntellers == MAX_TELLERS)
		elog(ERROR, "too many functions to call after a commit");
	tellers[ntellers++] = teller;
}
