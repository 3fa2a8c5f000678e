/*
 * turns.c
 *		The coordinator moves the timers of all owners.
 *
 * In one transaction when they are few, else in turns, so that whoever has
 * very many of them, or very large ones, makes only his own late.  In each
 * round an owner has a number of rows and of bytes, spent over his queues;
 * each transaction takes as many owners as it has room for.  One that raises,
 * for whatever reason, is put aside for a while.
 *
 * What one transaction moves is in turn_slice.c.
 */
#include "postgres.h"

#include "common/clock.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "queue/turns_private.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define OWNER_QUEUES		50

/* A round looks for due timers in so many queues; the next one goes on from there. */
#define QUEUES_LOOKED_AT	2000
#define QUEUES_AT_ONCE		1000

/* An owner whose timers raise is put aside, twice as long each time. */
#define ASIDE_MIN_MS		1000
#define ASIDE_MAX_MS		(60 * 1000)

static SagaStatement due_queues_stmt = {
	.sql = "SELECT q.queue_id, t.due IS NOT NULL AS has_due"
	" FROM saga.queue q LEFT JOIN LATERAL (SELECT 1 AS due FROM saga.timer"
	" WHERE (queue_id, wake_at) > (q.queue_id, $mark) AND (queue_id, wake_at) <= (q.queue_id, $now)"
	" ORDER BY queue_id, wake_at LIMIT 1) t ON true WHERE q.queue_id > $after ORDER BY q.queue_id LIMIT $limit"
};

/* Of a round: a queue that has due timers. */
typedef struct Part
{
	Oid			owner;
	int32		queue_id;
	uint32		order;			/* among those of the owner */
} Part;

/* An owner who is put aside. */
typedef struct Aside
{
	Oid			owner;
	int			failures;
	TimestampTz until;			/* saga_monotonic_now */
} Aside;

/* Process-local: the coordinator's round, in TopMemoryContext. */
static struct
{
	Part	   *parts;
	int			nparts;
	int			at;				/* all before it had their turn */
	int			begun;			/* where the transaction that is under way began */
	int			owners;			/* that it serves */
	Oid			serving;		/* the last of them */
	Oid			last_owner;		/* the first of this round: the next begins behind it */
	uint32		number;
	int			moved;
	bool		careful;		/* each owner in a transaction of its own */
	bool		some_locked;	/* of what was due first: queues are looked at one by one */
	bool		untold;			/* it is under way, or has committed; reset when it failed */
	int32		looked_to;		/* queues up to this one were looked at */
}			turns;
static List *asides = NIL;		/* of Aside */


/* ---------- owners that are put aside ---------- */

static Aside *
find_aside(Oid owner)
{
	ListCell   *lc;

	foreach(lc, asides)
		if (((Aside *) lfirst(lc))->owner == owner)
		return lfirst(lc);
	return NULL;
}

static void
put_aside(Oid owner)
{
	Aside	   *aside = find_aside(owner);
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	int64		ms;

	if (aside == NULL)
	{
		aside = palloc0(sizeof(Aside));
		aside->owner = owner;
		asides = lappend(asides, aside);
	}
	MemoryContextSwitchTo(old);
	ms = saga_backoff(ASIDE_MIN_MS, aside->failures, ASIDE_MAX_MS);
	aside->failures++;
	aside->until = TimestampTzPlusMilliseconds(saga_monotonic_now(), ms);
	ereport(LOG,
			(errmsg("timers of the queues of role %u are put aside for %d s", owner, (int) (ms / 1000))));
}

static void
forget_aside(Aside *aside)
{
	if (aside == NULL)
		return;
	asides = list_delete_ptr(asides, aside);
	pfree(aside);
}

/* ---------- rounds ---------- */

static bool
is_behind_last(Oid owner)
{
	return owner > turns.last_owner;
}

static int
compare_parts(const void *a, const void *b)
{
	const Part *x = a;
	const Part *y = b;

	if (x->owner != y->owner && is_behind_last(x->owner) != is_behind_last(y->owner))
		return is_behind_last(x->owner) ? -1 : 1;
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return (x->queue_id > y->queue_id) - (x->queue_id < y->queue_id);
}

/* Queues of those that are due first, which may be gone, and of all others that have any. */
static List *
find_due_queues(const SagaSlice *first, TimestampTz mark, TimestampTz now)
{
	List	   *ids = NIL;
	int			looked = 0;
	int			n;

	for (int i = 0; i < first->n; i++)
		if (i == 0 || first->queue_ids[i] != first->queue_ids[i - 1])
			ids = list_append_unique_int(ids, first->queue_ids[i]);
	do
	{
		SagaRows   *rows = saga_query(&due_queues_stmt, saga_param_timestamptz("mark", mark),
									  saga_param_timestamptz("now", now), saga_param_int4("after", turns.looked_to),
									  saga_param_int4("limit", QUEUES_AT_ONCE));

		while (saga_rows_next(rows))
		{
			turns.looked_to = saga_column_int4(rows, "queue_id");
			if (saga_column_bool(rows, "has_due") && !list_member_int(ids, turns.looked_to))
				ids = lappend_int(ids, turns.looked_to);
		}
		n = (int) rows->count;
		saga_rows_free(rows);
		looked += n;
		CHECK_FOR_INTERRUPTS();
	} while (n == QUEUES_AT_ONCE && looked < QUEUES_LOOKED_AT);
	if (n < QUEUES_AT_ONCE)
		turns.looked_to = 0;
	return ids;
}

static void
begin_round(const SagaSlice *first, TimestampTz mark, TimestampTz now)
{
	List	   *ids = find_due_queues(first, mark, now);
	int			n = list_length(ids);
	ListCell   *lc;

	turns.nparts = turns.at = turns.begun = turns.owners = turns.moved = 0;
	if (turns.parts != NULL)
		pfree(turns.parts);
	turns.parts = NULL;
	turns.parts = MemoryContextAllocHuge(TopMemoryContext, sizeof(Part) * Max(n, 1));
	turns.number++;
	foreach(lc, ids)
	{
		const SagaQueue *queue = saga_queue_by_id(lfirst_int(lc), true);
		Part	   *part = &turns.parts[turns.nparts++];

		part->owner = queue != NULL ? queue->owner : InvalidOid;
		part->queue_id = lfirst_int(lc);
		part->order = hash_combine(murmurhash32(turns.number), murmurhash32((uint32) part->queue_id));
	}
	qsort(turns.parts, turns.nparts, sizeof(Part), compare_parts);
	turns.last_owner = turns.nparts > 0 ? turns.parts[0].owner : InvalidOid;
}

static bool
round_is_under_way(void)
{
	return turns.at < turns.nparts;
}

/* The queues of the owner whose turn it is end before this one. */
static int
end_of_owner(int at)
{
	int			end = at;

	while (end < turns.nparts && turns.parts[end].owner == turns.parts[at].owner)
		end++;
	return end;
}

/* What the owner has in this round, in a slice that may have others' already. */
static void
add_owner(SagaSlice *slice, int at, int end, TimestampTz mark, TimestampTz now)
{
	int64		before = slice->bytes;

	for (int i = at; i < Min(end, at + OWNER_QUEUES); i++)
	{
		int32		queue_id = turns.parts[i].queue_id;
		int64		left = SAGA_OWNER_BYTES - (slice->bytes - before);
		int			n;

		if (slice->n == SAGA_SLICE_ROWS || left <= 0)
			break;
		n = saga_slice_add(slice, queue_id, saga_queue_cursor_of(queue_id, mark), now, SAGA_SLICE_ROWS - slice->n, left);
		if (n == 0)
			saga_queue_cursor_drop(queue_id);	/* from the beginning again */
	}
}

/*
 * Owners one after the other, as far as a transaction goes.  Who would make it
 * large waits for the next one, so that those before him do not wait for that.
 */
static void
fill_slice(SagaSlice *slice, TimestampTz mark, TimestampTz now)
{
	turns.begun = turns.at;
	turns.owners = 0;
	while (round_is_under_way())
	{
		int			end = end_of_owner(turns.at);
		Oid			owner = turns.parts[turns.at].owner;
		Oid			before = turns.serving;
		Aside	   *aside = find_aside(owner);
		int			n = slice->n;
		int64		bytes = slice->bytes;
		bool		alone = turns.careful || aside != NULL;

		if (aside != NULL && aside->until > saga_monotonic_now())
		{
			turns.at = end;
			continue;
		}
		if (turns.owners > 0 && alone)
			break;
		turns.serving = owner;
		turns.owners++;
		add_owner(slice, turns.at, end, mark, now);
		if (turns.owners > 1 && (slice->bytes > SAGA_SLICE_BYTES || slice->n == SAGA_SLICE_ROWS))
		{
			/* in the next one, with all that he may have */
			turns.serving = before;
			turns.owners--;
			slice->n = n;
			slice->bytes = bytes;
			break;
		}
		turns.at = end;
		if (alone)
			break;
	}
}

/* Nobody else has any: what is due first is his turn. */
static bool
is_round_of_one(void)
{
	if (!round_is_under_way() || turns.some_locked || asides != NIL ||
		turns.parts[0].owner != turns.parts[turns.nparts - 1].owner)
		return false;
	turns.begun = 0;
	turns.at = turns.nparts;
	turns.owners = 1;
	turns.serving = turns.parts[0].owner;
	return true;
}

/* The last transaction has committed: if it was one of somebody who was put aside, that is over. */
static void
note_success(void)
{
	if (turns.untold && turns.owners == 1)
		forget_aside(find_aside(turns.serving));
	turns.untold = false;
}

/* Who was put aside and has no due timers any more. */
static void
forget_asides_without_timers(void)
{
	ListCell   *lc;

	foreach(lc, asides)
	{
		Aside	   *aside = lfirst(lc);
		bool		has = aside->until > saga_monotonic_now();

		for (int i = 0; i < turns.nparts && !has; i++)
			has = turns.parts[i].owner == aside->owner;
		if (has)
			continue;
		asides = foreach_delete_current(asides, lc);
		pfree(aside);
	}
}

static bool
take_turn(TimestampTz now, TimestampTz *next_wake)
{
	TimestampTz mark;
	SagaSlice	slice;
	bool		in_round;
	bool		began_round = false;
	bool		again = false;
	bool		first = false;	/* the slice has what is due first, of all queues */
	int			moved;

	note_success();
	(void) saga_timer_scan_begin(true, &mark);
	saga_slice_init(&slice);
	if (!round_is_under_way())
	{
		int			n = saga_slice_add(&slice, 0, mark, now, SAGA_SLICE_ROWS, SAGA_SLICE_BYTES);

		first = !turns.careful && asides == NIL && n < SAGA_SLICE_ROWS && slice.n + slice.left == n;
		if (!first)
		{
			begin_round(&slice, mark, now);
			forget_asides_without_timers();
			turns.careful &= turns.nparts > 0;
			first = is_round_of_one();
			began_round = true;
		}
	}
	in_round = began_round ? turns.nparts > 0 : round_is_under_way();
	turns.untold = in_round;
	if (!first)
	{
		slice.n = 0;
		slice.bytes = 0;
		if (in_round)
			fill_slice(&slice, mark, now);
	}
	moved = saga_slice_move(&slice, mark, now, !first);
	turns.moved += moved;
	if (first)
		turns.some_locked = moved < slice.n;
	if (in_round && !round_is_under_way())
	{
		if (!first && !saga_queue_cursors_exist())
			turns.some_locked = false;
		/* those that are left had more than their turn, or are locked */
		again = turns.moved > 0;
		turns.careful = false;
	}
	again |= round_is_under_way();
	*next_wake = saga_timers_end_scan(mark, now, again);
	return again;
}

bool
saga_timers_turn(TimestampTz now, TimestampTz *next_wake)
{
	SagaRaised	save;
	bool		again;

	saga_raise(&save);
	again = take_turn(now, next_wake);
	saga_lower(&save);
	return again;
}

/* True: the others can go on at once. */
bool
saga_timers_failed(void)
{
	bool		in_round = turns.untold;

	turns.untold = false;
	if (in_round && turns.owners == 1)
	{
		put_aside(turns.serving);
		return true;
	}
	if (in_round)
		turns.at = turns.begun;
	if (turns.careful)
		return false;
	turns.careful = true;
	return true;
}
