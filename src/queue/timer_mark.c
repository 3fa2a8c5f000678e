/*
 * timer_mark.c
 *		The mark of a database's timers, on the time when they are due.
 *
 * One scan at a time may advance it, the coordinator's; README.md, "Timers".
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "queue/mark_private.h"
#include "utils/timestamp.h"

/* Of the current transaction. */
static TimestampTz pending_timer = DT_NOEND;	/* lowered to at commit */
static bool timers_moved = false;	/* off saga.timer: an abort brings them back */
static bool timer_scan = false; /* this process has the database's timer scan */


void
saga_note_timer(TimestampTz wake_at)
{
	if (saga_queue_my_database() != NULL)
		pending_timer = Min(pending_timer, wake_at);
}

void
saga_note_timers_moved(void)
{
	timers_moved = true;
}

/*
 * Begins a look at saga.timer.  Returns true when this process has the scan
 * and may advance the mark with saga_timer_scan_end; *mark is where to start.
 */
bool
saga_timer_scan_begin(bool all_queues, TimestampTz *mark)
{
	SagaDatabaseSlot *db = saga_queue_my_database();

	*mark = DT_NOBEGIN;
	if (db == NULL)
		return false;
	SpinLockAcquire(&db->mutex);
	*mark = db->timer_mark;
	if (all_queues && !db->timer_scan && !IsolationUsesXactSnapshot())
	{
		db->timer_scan = timer_scan = true;
		db->timer_cap = DT_NOEND;
		/* who makes a timer from now on lowers this again */
		db->next_wake = DT_NOEND;
	}
	SpinLockRelease(&db->mutex);
	return timer_scan;
}

/*
 * No timer is left at or before "empty_to"; the next one is due at next_wake.
 * Returns that, or an earlier one that came meanwhile.
 */
TimestampTz
saga_timer_scan_end(TimestampTz empty_to, TimestampTz next_wake)
{
	SagaDatabaseSlot *db;

	if (!timer_scan)
		return next_wake;
	timer_scan = false;
	db = saga_queue_my_database();
	if (db == NULL)
		return next_wake;
	SpinLockAcquire(&db->mutex);
	empty_to = Min(empty_to, db->timer_cap);
	if (db->timer_mark < empty_to)
		db->timer_mark = empty_to;
	db->timer_scan = false;
	next_wake = db->next_wake = Min(db->next_wake, next_wake);
	SpinLockRelease(&db->mutex);
	return next_wake;
}

void
saga_timer_mark_abort(void)
{
	SagaDatabaseSlot *db;

	if (!timer_scan && !timers_moved)
		return;
	db = saga_queue_my_database();
	if (timer_scan && db != NULL)
	{
		SpinLockAcquire(&db->mutex);
		db->timer_scan = false;
		SpinLockRelease(&db->mutex);
	}
	timer_scan = false;
	saga_timer_lower(db, DT_NOBEGIN);
}

void
saga_timer_mark_end(bool commit)
{
	if (timer_scan || !commit)
		saga_timer_mark_abort();
	if (commit && pending_timer != DT_NOEND)
		saga_timer_lower(saga_queue_my_database(), pending_timer);
	pending_timer = DT_NOEND;
	timers_moved = false;
}

/* What it noted is for the end of the prepared transaction; its scan has ended. */
TimestampTz
saga_timer_mark_prepare(void)
{
	TimestampTz next_wake = timers_moved ? DT_NOBEGIN : pending_timer;

	if (timer_scan)
		saga_timer_mark_abort();
	pending_timer = DT_NOEND;
	timers_moved = false;
	return next_wake;
}
