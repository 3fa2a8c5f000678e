/*
 * mark.c
 *		The low-water mark: what the end of a transaction, or of a savepoint,
 *		does with what was noted.  The protocol and its proof are in README.md.
 *
 * Claims are in claims.c, notes in notes.c, the timers' mark in timer_mark.c;
 * nothing in what is called here may raise or allocate.  What a commit pushes
 * it pushes after its invalidation messages (common/commit.c).
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "queue/mark_private.h"
#include "utils/guc.h"

int			saga_test_mutant = 0;

static int	prepared_news = 0;	/* of other modules, for the end of what is being prepared */


void
saga_prepared_note_news(int news)
{
	prepared_news |= news;
}

/* ---------- transactions ---------- */

static void
end_transaction(bool commit)
{
	saga_claims_abort(0);
	saga_notes_push(commit);
	saga_timer_mark_end(commit);
	saga_waiter_end_transaction(commit);
	if (saga_queue_take_foreign() && commit)
		saga_sweep_soon(saga_queue_my_database(), saga_monotonic_now(), 3);
	prepared_news = 0;
	saga_prepared_reset();
}

static void
tell_commit(void)
{
	end_transaction(true);
}

/* Whichever way it ends: everything noted is pushed then. */
static void
prepare_transaction(void)
{
	SagaPrepared entry;

	saga_claims_abort(0);
	memset(&entry, 0, sizeof(entry));
	entry.news = prepared_news;

	/*
	 * slots are put right by a sweep: when it is committed, its locks go
	 * before anything of ours runs
	 */
	if (saga_queue_take_foreign() || saga_notes_give())
		entry.news |= SAGA_NEWS_SWEEP;
	if (saga_waiter_prepare_transaction())
		entry.news |= SAGA_NEWS_ENDED;
	saga_notes_prepare(&entry);
	entry.next_wake = saga_timer_mark_prepare();
	saga_prepared_store(&entry);
	saga_notes_forget();
	prepared_news = 0;
	saga_prepared_reset();
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:

			/*
			 * the locks on the queues are still held: who comes to them next
			 * finds the slots as we leave them; nobody is woken yet
			 */
			saga_notes_change_slots();
			break;
		case XACT_EVENT_ABORT:
			end_transaction(false);
			break;
		case XACT_EVENT_PREPARE:
			prepare_transaction();
			break;
		default:
			break;
	}
}

/* ---------- savepoints ---------- */

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		saga_claims_commit_level(level);
		saga_notes_commit_level(level);
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		saga_claims_abort(level);
		saga_notes_abort_level(level);
		saga_timer_mark_abort();
	}
}

void
saga_mark_init(void)
{
	DefineCustomIntVariable("pg_saga.test_mutant",
							"Leaves out parts of the protocol of the low-water mark.",
							"For the test that shows that they are needed: it loses messages until the next sweep.",
							&saga_test_mutant, 0, 0, 63, PGC_SUSET,
							GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	saga_after_commit(tell_commit);
}
