/*
 * retention.c
 *		Removes what has been kept for long enough, in small batches.
 *
 * Ids are made of the time, so the oldest rows lie at the left edge of the
 * primary key; each statement begins where the last one stopped.  What is
 * still running, waiting or unsent is in other tables or excluded.
 *
 * A statement looks at so many rows and bytes, whatever it can remove of
 * them: what somebody has locked, a letter that is being redriven for one, is
 * left for the next walk.  Rows that are older by their id than by what they
 * say, as ids of executions can be given, and those that still wait are walked
 * over in the same way.
 */
#include "postgres.h"

#include "common/guc.h"
#include "common/statement.h"
#include "endpoint/auth.h"
#include "endpoint/destination.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/procs_private.h"

#define ROWS_AT_ONCE	500
#define BATCH_MS		20		/* between two batches */
#define PASS_MS			(10 * 60 * 1000)	/* between two walks from the left edge */
#define TROUBLE_MS		(60 * 1000) /* after a batch that raised */

/* Of one destination before the next one has its turn, and of several in one turn. */
#define BATCHES_OF_ONE	20
#define DESTINATIONS_AT_ONCE 20

/* SQS keeps a message for 14 days at most, and so long it may come again. */
static double source_seen_retention_min = 15 * 24 * 60;

/*
 * A table to be cleaned: its statement takes $after, the id to begin after,
 * $before, the time, and $end, the first id that can be made at that time, so
 * that it does not walk over all that is younger; $destination_id, where the
 * key begins with one.  It returns the ids that it has looked at, in order.
 */
typedef struct Cleaner
{
	SagaStatement stmt;
	double	   *retention_min;
	bool		by_destination;
	int32		destination_id; /* the one it is at; 0: before the first */
	int			batches;		/* of that one */
	bool		again;			/* one had more than its turn */
	pg_uuid_t	position;
	TimestampTz next_at;		/* saga_monotonic_now */
} Cleaner;

/*
 * The next rows of a table, or of that part of it, by id: those that meet the
 * condition with their places, the others without.  The latter count as rows
 * too, but not for the bytes, which are not read of them.
 */
#define OLDEST(id, bytes, table, part, condition) \
	"seen AS MATERIALIZED (SELECT CASE WHEN is_old THEN at END AS at, id FROM (SELECT at, id, is_old, sum(bytes) OVER (ORDER BY id) - bytes AS before" \
	" FROM (SELECT ctid AS at, " id " AS id, " condition " AS is_old, CASE WHEN " condition " THEN (" bytes ")::bigint ELSE 0 END AS bytes" \
	" FROM " table " WHERE " part " AND " id " > $after AND " id " < $end ORDER BY " id " LIMIT " CppAsString2(ROWS_AT_ONCE) ") o) s" \
	" WHERE before < 16 * 1024 * 1024)"

/* Those of them that nobody holds. */
#define FREE(id, table, condition) \
	"free AS MATERIALIZED (SELECT ctid AS at, " id " AS id FROM " table \
	" WHERE ctid = ANY (ARRAY(SELECT at FROM seen WHERE at IS NOT NULL)) AND " condition " FOR UPDATE SKIP LOCKED)"

/*
 * What was not undone, or may be there, is kept until somebody has settled it
 * (src/engine/entry.c).  The records of an execution that lists anything stay
 * with it: to look into the list for each of them takes long where it is long.
 */
#define OPEN_ENTRY(list) "coalesce(" list " @? '$[*] ? (@.type() == \"object\" && !exists(@.closed))', false)"

/*
 * A call that nobody knew of may be taken up by the execution that was started
 * for its own, or for that one (src/outbox/again.c): as long as there is one.
 */
#define INHERITED "(heir IS NOT NULL AND taken_up_as IS NULL AND (" \
	"EXISTS (SELECT FROM saga.execution WHERE execution_id = outbox.heir) OR " \
	"EXISTS (SELECT FROM saga.continuation WHERE execution_id = outbox.heir) OR " \
	"EXISTS (SELECT FROM saga.dead_letter WHERE message_id = outbox.heir AND redriven_at IS NULL) OR " \
	"EXISTS (SELECT FROM " SAGA_QUEUE_STARTS("outbox.heir") ")))"

/*
 * Whoever has started it may collect its result or undo it as long as he runs;
 * and he may be one whom another one has started and undoes.  So a child is
 * kept until the record of its parent goes, and that one until its children
 * are done with.
 */
#define NEEDED_BY_PARENT "(children_id IS NOT NULL AND EXISTS (SELECT FROM saga.children c WHERE c.children_id = execution.children_id" \
	" AND (EXISTS (SELECT FROM saga.continuation WHERE execution_id = c.parent_id)" \
	" OR EXISTS (SELECT FROM saga.execution p WHERE p.execution_id = c.parent_id))))"
#define HAS_OPEN_CHILDREN "EXISTS (SELECT FROM saga.children c WHERE c.parent_id = execution.execution_id AND c.phase NOT IN ('d', 'x'))"

#define SIZE(column) "coalesce(pg_column_size(" column "), 0)"

/*
 * What those executions have in saga.history, in their order, up to so many
 * rows or bytes: one that never ends its loop has millions.  The rows of the
 * last one, "stop", may not be all that it has: it stays until a statement has
 * come to its end.
 */
#define HISTORY_ROWS	1000
#define HISTORY_OF(executions) \
	"pieces AS MATERIALIZED (SELECT e.id, h.run, h.at, h.bytes FROM (SELECT id FROM " executions " ORDER BY id) e CROSS JOIN LATERAL" \
	" (SELECT run, ctid AS at, " SIZE("events") " + 100 AS bytes FROM saga.history WHERE execution_id = e.id ORDER BY run OFFSET 0) h" \
	" LIMIT " CppAsString2(HISTORY_ROWS) ")," \
	" taken AS MATERIALIZED (SELECT id, at FROM (SELECT *, sum(bytes) OVER (ORDER BY id, run) - bytes AS before FROM pieces) p" \
	" WHERE before < 16 * 1024 * 1024)," \
	" stop AS MATERIALIZED (SELECT id FROM taken WHERE (SELECT count(*) FROM pieces) = " CppAsString2(HISTORY_ROWS) \
	" OR (SELECT count(*) FROM pieces) > (SELECT count(*) FROM taken) ORDER BY id DESC LIMIT 1)"

/* The same of what is unpacked and walked over: its owner may have made it so that it compresses well. */
#define WALK(column) SIZE(column) " * 100"

static Cleaner cleaners[] = {
	{
		/* the name goes with its execution, or the execution stays */
		.stmt.sql = "WITH " OLDEST("execution_id", SIZE("input") " + " SIZE("output") " + " SIZE("compensated") " + " WALK("not_compensated") " + " SIZE("left_over") " + " SIZE("undo") " + " SIZE("history")
								   " + (SELECT coalesce(sum(" SIZE("p.point") "), 0) FROM saga.redrive_point p"
								   " WHERE p.execution_id = e.execution_id)", "saga.execution e", "true", "stopped_at < $before") ", "
		FREE("execution_id", "saga.execution", "stopped_at < $before AND NOT " OPEN_ENTRY("not_compensated")
			 " AND NOT " NEEDED_BY_PARENT " AND NOT " HAS_OPEN_CHILDREN) ","
		" named AS MATERIALIZED (SELECT e.execution_id AS id, n.at FROM saga.execution e CROSS JOIN LATERAL ("
		"SELECT ctid AS at FROM saga.execution_name WHERE workflow_id = e.workflow_id AND name = e.name"
		" AND execution_id = e.execution_id) n WHERE e.ctid = ANY (ARRAY(SELECT at FROM free))),"
		" names AS MATERIALIZED (SELECT ctid AS at FROM saga.execution_name"
		" WHERE ctid = ANY (ARRAY(SELECT at FROM named)) FOR UPDATE SKIP LOCKED),"
		" able AS MATERIALIZED (SELECT at, id FROM free WHERE NOT EXISTS (SELECT FROM named"
		" WHERE named.id = free.id AND NOT EXISTS (SELECT FROM names WHERE names.at = named.at))),"
		HISTORY_OF("able") ","
		" old AS MATERIALIZED (SELECT at, id FROM able WHERE NOT EXISTS (SELECT FROM stop WHERE stop.id <= able.id)),"
		" gone AS (DELETE FROM saga.execution WHERE ctid = ANY (ARRAY(SELECT at FROM old))),"
		" points AS (DELETE FROM saga.redrive_point WHERE ctid = ANY (ARRAY(SELECT ctid FROM saga.redrive_point"
		" WHERE execution_id = ANY (ARRAY(SELECT id FROM old)) FOR UPDATE SKIP LOCKED))),"
		" history AS (DELETE FROM saga.history WHERE ctid = ANY (ARRAY(SELECT ctid FROM saga.history"
		" WHERE ctid = ANY (ARRAY(SELECT at FROM taken)) FOR UPDATE SKIP LOCKED)) RETURNING 1),"
		" given AS (DELETE FROM saga.given_id WHERE ctid = ANY (ARRAY(SELECT ctid FROM saga.given_id"
		" WHERE execution_id = ANY (ARRAY(SELECT id FROM old)) FOR UPDATE SKIP LOCKED))),"
		" children AS (DELETE FROM saga.children WHERE ctid = ANY (ARRAY(SELECT ctid FROM saga.children"
		" WHERE parent_id = ANY (ARRAY(SELECT id FROM old)) FOR UPDATE SKIP LOCKED))),"
		" unnamed AS (DELETE FROM saga.execution_name WHERE ctid = ANY (ARRAY("
		"SELECT named.at FROM named JOIN old USING (id)))),"

		/*
		 * where the history of one was not removed to its end, that one is
		 * the next; unless nothing of it could be removed
		 */
		" to_go_on AS (SELECT id FROM stop WHERE EXISTS (SELECT FROM history))"
		" SELECT id FROM (SELECT $after AS id FROM to_go_on UNION ALL"
		" SELECT id FROM seen WHERE NOT EXISTS (SELECT FROM to_go_on g WHERE g.id <= seen.id)) s ORDER BY id",
		.retention_min = &saga_execution_retention_min
	},
	{
		.stmt.sql = "WITH " OLDEST("dead_letter_id", SIZE("body") " + " SIZE("headers") " + " WALK("details"),
								   "saga.dead_letter", "true", "failed_at < $before") ", "
		FREE("dead_letter_id", "saga.dead_letter", "failed_at < $before AND NOT " OPEN_ENTRY("details -> 'not_compensated'")) ","
		" gone AS (DELETE FROM saga.dead_letter WHERE ctid = ANY (ARRAY(SELECT at FROM free)))"
		" SELECT id FROM seen ORDER BY id",
		.retention_min = &saga_dead_letter_retention_min
	},
	{
		.stmt.sql = "WITH " OLDEST("outbox_id", SIZE("request") " + " SIZE("response") " + " SIZE("captured"), "saga.outbox",
								   "destination_id = $destination_id", "(state <> 'waiting' AND coalesce(finished_at < $before, false))") ", "
		FREE("outbox_id", "saga.outbox", "state <> 'waiting' AND finished_at < $before AND NOT (outcome = 'in_doubt' AND EXISTS ("
			 "SELECT FROM saga.continuation c WHERE c.execution_id = outbox.execution_id)) AND NOT EXISTS ("
			 "SELECT FROM saga.execution e WHERE e.execution_id = outbox.execution_id AND e.not_compensated IS NOT NULL) AND NOT " INHERITED) ","
		" attempts AS (DELETE FROM saga.outbox_attempt WHERE ctid = ANY (ARRAY(SELECT a.at FROM free CROSS JOIN LATERAL ("
		"SELECT ctid AS at FROM saga.outbox_attempt WHERE destination_id = $destination_id AND outbox_id = free.id"
		" FOR UPDATE SKIP LOCKED) a))),"
		" gone AS (DELETE FROM saga.outbox WHERE ctid = ANY (ARRAY(SELECT at FROM free)))"
		" SELECT id FROM seen ORDER BY id",
		.retention_min = &saga_outbox_retention_min,
		.by_destination = true
	},
	{
		/*
		 * by the id alone, which was made when the message was taken: seen_at
		 * may be what its sender says
		 */
		.stmt.sql = "WITH " OLDEST("message_id", "100", "saga.source_seen", "true", "true") ", "
		FREE("message_id", "saga.source_seen", "message_id < $end") ","
		" gone AS (DELETE FROM saga.source_seen WHERE ctid = ANY (ARRAY(SELECT at FROM free)))"
		" SELECT id FROM seen ORDER BY id",
		.retention_min = &source_seen_retention_min
	},
};

/*
 * How far this walk has come at destinations where there was something to look
 * at: what cannot be removed yet does not keep what is behind it.
 */
typedef struct Place
{
	int32		destination_id;
	pg_uuid_t	position;
} Place;

static HTAB *places = NULL;

static SagaStatement destination_stmt = {
	.sql = "SELECT destination_id FROM saga.destination WHERE destination_id > $after ORDER BY destination_id LIMIT 1",
	.limit = 1
};

static TimestampTz tokens_next_at = 0;	/* saga_monotonic_now */

/* The smallest UUIDv7 of a time. */
static pg_uuid_t
first_id(TimestampTz at)
{
	int64		ms = at / 1000 + ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)) * SECS_PER_DAY * 1000;
	pg_uuid_t	id;

	memset(&id, 0, sizeof(id));
	for (int i = 5; i >= 0 && ms > 0; i--)
	{
		id.data[i] = (unsigned char) (ms & 0xff);
		ms >>= 8;
	}
	return id;
}

/* One statement.  Returns the number of rows that it has looked at. */
static int
clean(Cleaner *cleaner, TimestampTz now)
{
	TimestampTz before = now - (int64) (*cleaner->retention_min * USECS_PER_MINUTE);
	pg_uuid_t	end = first_id(before);
	SagaRows   *rows = saga_query(&cleaner->stmt,
								  saga_param_uuid("after", &cleaner->position),
								  saga_param_timestamptz("before", before),
								  saga_param_uuid("end", &end),
								  saga_param_int4("destination_id", cleaner->destination_id));
	int			n = (int) rows->count;

	cleaner->position = saga_uuid_min;
	if (n > 0)
	{
		saga_row(rows, n - 1);
		cleaner->position = saga_column_uuid(rows, "id");
	}
	saga_rows_free(rows);
	return n;
}

/* The walk through a destination's records goes on there the next time. */
static void
note_place(int32 destination_id, const pg_uuid_t *position)
{
	Place	   *place;

	if (places == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(int32), .entrysize = sizeof(Place), .hcxt = TopMemoryContext};

		places = hash_create("pg_saga retention", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	place = hash_search(places, &destination_id, HASH_ENTER, NULL);
	place->position = *position;
}

/* Where it goes on. */
static pg_uuid_t
find_place(int32 destination_id)
{
	Place	   *place = places != NULL ? hash_search(places, &destination_id, HASH_FIND, NULL) : NULL;

	return place != NULL ? place->position : saga_uuid_min;
}

/* Those of destinations that were dropped meanwhile too. */
static void
forget_places(void)
{
	if (places != NULL)
		hash_destroy(places);
	places = NULL;
}

/* False: there is none any more, and the walk begins anew. */
static bool
next_destination(Cleaner *cleaner)
{
	SagaRows   *rows = saga_query(&destination_stmt, saga_param_int4("after", cleaner->destination_id));
	bool		found = saga_rows_next(rows);

	cleaner->destination_id = found ? saga_column_int4(rows, "destination_id") : 0;
	cleaner->batches = 0;
	cleaner->position = find_place(cleaner->destination_id);
	saga_rows_free(rows);
	return found;
}

/*
 * One destination after the other, as far as one batch goes.  One that
 * somebody is dropping is passed over.  False: that was the last one, and
 * none had more than its turn.
 */
static bool
clean_destinations(Cleaner *cleaner, TimestampTz now)
{
	int			rows = 0;

	for (int i = 0; i < DESTINATIONS_AT_ONCE && rows < ROWS_AT_ONCE; i++)
	{
		int			n = 0;

		if (cleaner->destination_id == 0 && !next_destination(cleaner))
			return false;
		if (saga_destination_try_lock(cleaner->destination_id))
			n = clean(cleaner, now);
		rows += n;
		if (n > 0 && ++cleaner->batches < BATCHES_OF_ONE)
			continue;
		if (cleaner->batches > 0)
			note_place(cleaner->destination_id, n > 0 ? &cleaner->position : &saga_uuid_max);
		cleaner->again |= n > 0;
		if (!next_destination(cleaner))
		{
			bool		again = cleaner->again;

			cleaner->again = false;
			if (!again)
				forget_places();
			return again;
		}
	}
	return true;
}

/* Access tokens, which are found by their keys and not by time. */
static void
clean_tokens(TimestampTz now)
{
	tokens_next_at = TimestampTzPlusMilliseconds(now, TROUBLE_MS);
	tokens_next_at = TimestampTzPlusMilliseconds(now, saga_oauth_purge() ? BATCH_MS : PASS_MS);
}

/* When there is something to do, of saga_monotonic_now. */
TimestampTz
saga_retention_next(void)
{
	TimestampTz next = tokens_next_at;

	for (int i = 0; i < lengthof(cleaners); i++)
		if (*cleaners[i].retention_min > 0)
			next = Min(next, cleaners[i].next_at);
	return next;
}

/* One table.  The time of its next turn is set before: whatever raises does not come again at once. */
void
saga_retention_turn(void)
{
	TimestampTz now = saga_monotonic_now();
	Cleaner    *cleaner = NULL;
	bool		more;

	for (int i = 0; i < lengthof(cleaners); i++)
		if (*cleaners[i].retention_min > 0 && cleaners[i].next_at <= now &&
			(cleaner == NULL || cleaners[i].next_at < cleaner->next_at))
			cleaner = &cleaners[i];
	if (tokens_next_at <= now && (cleaner == NULL || tokens_next_at < cleaner->next_at))
	{
		clean_tokens(now);
		return;
	}
	if (cleaner == NULL)
		return;
	cleaner->next_at = TimestampTzPlusMilliseconds(now, TROUBLE_MS);
	more = cleaner->by_destination ? clean_destinations(cleaner, GetCurrentTimestamp()) : clean(cleaner, GetCurrentTimestamp()) > 0;
	cleaner->next_at = TimestampTzPlusMilliseconds(now, more ? BATCH_MS : PASS_MS);
}
