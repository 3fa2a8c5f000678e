/*
 * limit.h
 *		Limits that hold over all publishers: requests in flight, requests per
 *		time, pauses and the circuit breaker.  See README.md.
 *
 * A group is what has its limits in common: one destination, or all of an
 * owner's that name the same "group".  Its key is saga.destination.limit_key.
 */
#ifndef SAGA_LIMIT_LIMIT_H
#define SAGA_LIMIT_LIMIT_H

#include "endpoint/destination.h"
#include "lib/ilist.h"
#include "utils/hsearch.h"

#define SAGA_MAX_PLACES 1000	/* the largest "concurrency" */

/* How a probe of a breaker went. */
typedef enum SagaProbe
{
	SAGA_PROBE_NONE,
	SAGA_PROBE_VOID,			/* nothing was sent: somebody else may try */
	SAGA_PROBE_PASSED,
	SAGA_PROBE_FAILED
} SagaProbe;

/* What became of requests, not yet written to the row. */
typedef struct SagaLimitNews
{
	int			successes;
	int			failures;
	bool		auth;
	SagaProbe	probe;
	TimestampTz pause_until;	/* 0: the server asked for none */
	TimestampTz last_success_at;
	TimestampTz last_error_at;
	char	   *error;			/* of the last failure */
	char	   *cause;			/* foreign text */
	TimestampTz since;			/* 0: there is nothing */
} SagaLimitNews;

/* What a publisher knows of a group.  Forgotten when nothing has asked for it for a while. */
typedef struct SagaLimitGroup
{
	struct SagaLimiter *limiter;
	struct SagaLimitGroup *next;	/* whose key has the same hash */
	char	   *key;
	Oid			owner;			/* as of the destination that was used last; of one with a name it never changes */
	int32		destination_id; /* the only one; 0: it has a name */
	SagaLimits	limits;			/* as of the destination that was used last; its texts are not ours */
	bool		shared;			/* it has a name */
	uint64		seen;			/* what saga_table_watch said before the row was asked */
	bool		held;			/* and said: not now */
	TimestampTz hold_until;		/* nothing may start before, as far as is known; 0: it may */
	TimestampTz slow_from;		/* 0: never */
	int32		last_served;	/* destination_id: the next one has its turn */
	bool		mine[SAGA_MAX_PLACES + 1];	/* places that this publisher has */
	SagaLimitNews news;
	bool		writing;		/* news is being written */
	bool		used;			/* since groups were forgotten last */
	TimestampTz report_at;		/* not before: somebody has the row */
	int			locked_tries;	/* that the row was somebody's */
	int			claim_failures; /* in a row: claiming from it raised */
	size_t		growth;			/* a request that was composed got so much larger, of late */
	int32		short_of;		/* of this destination the next message takes more memory than there was */
	size_t		short_bytes;	/* namely so much; 0: not so */
	TimestampTz short_until;	/* as far as is known till then */
	TimestampTz settle_at;		/* saga_monotonic_now: no unwanted call is asked for before, so that half of the rates is left */
	int			tries;
} SagaLimitGroup;

/* A destination nothing is taken from for now, although it may have messages. */
typedef struct SagaWait
{
	int32		destination_id; /* the key */
	dlist_node	node;			/* in SagaLimiter.waits */
	Oid			owner;
	SagaLimitGroup *group;		/* NULL: it was not loaded */
	TimestampTz look_at;		/* then look */
	TimestampTz quiet_until;	/* before, not even when its queue becomes ready */
	bool		for_place;		/* or one of our own requests ends */
	bool		for_owner;		/* or one of its owner's requests ends */
	bool		cleared;		/* its queue's ready flag is, and nothing was looked for */
	bool		brief;			/* CALL saga.publish() waits for this */
} SagaWait;

/* Is whoever had a lease gone, who was to try whether a breaker may close? */
typedef bool (*saga_lease_is_dead_fn) (int64 lease);

typedef struct SagaLimiter
{
	MemoryContext context;
	saga_lease_is_dead_fn lease_is_dead;
	List	   *groups;
	HTAB	   *groups_by_key;	/* the first one, by the hash of its key */
	dlist_head	waits;
	HTAB	   *waits_by_id;	/* of SagaWait */
} SagaLimiter;

/* ---------- the publisher's own view (limit.c) ---------- */

extern SagaLimiter *saga_limiter_create(MemoryContext parent, saga_lease_is_dead_fn lease_is_dead);
extern void saga_limiter_destroy(SagaLimiter *limiter);
extern SagaLimitGroup *saga_limiter_group(SagaLimiter *limiter, const SagaDestination *destination);

/*
 * Forgets the groups that are not "used" since the last call: the caller has
 * marked those that his sendings point to.  What was known of one is read anew.
 */
extern void saga_limiter_forget_groups(SagaLimiter *limiter);

/*
 * Places: a group has as many as its concurrency, each is a session lock.
 * Take returns 0 when there is none.
 */
extern int	saga_place_count(const SagaLimitGroup *group, TimestampTz now); /* allowed now */
extern int	saga_place_take(SagaLimitGroup *group, TimestampTz now);
extern void saga_place_give(SagaLimitGroup *group, int place);

/* There was none: when to look again, at the latest when one of our own comes back. */
extern TimestampTz saga_place_look_at(const SagaLimitGroup *group, TimestampTz now, bool *others);

extern SagaWait *saga_limiter_wait(SagaLimiter *limiter, const SagaDestination *destination,
								   SagaLimitGroup *group, TimestampTz look_at, TimestampTz quiet_until);

/* The same for one that is not loaded. */
extern SagaWait *saga_limiter_put_off(SagaLimiter *limiter, int32 destination_id, Oid owner,
									  TimestampTz look_at, TimestampTz quiet_until);
extern SagaWait *saga_limiter_waiting(const SagaLimiter *limiter, int32 destination_id);
extern void saga_limiter_forget(SagaLimiter *limiter, int32 destination_id);

/* How a request went, as far as it says something of the server. */
typedef struct SagaLimitOutcome
{
	TimestampTz at;
	bool		failed;			/* the server is in trouble, or cannot be reached */
	bool		auth;			/* it does not accept the credentials, or they cannot be read */
	int64		pause_ms;		/* it asked for; 0: it did not */
	const char *error;			/* NULL: it went well */
	const char *cause;			/* foreign text */
} SagaLimitOutcome;

extern void saga_limit_tell(SagaLimitGroup *group, bool probe, const SagaLimitOutcome *outcome);

/* The probe ended without a request: somebody else may try. */
extern void saga_limit_probe_void(SagaLimitGroup *group, TimestampTz at);

/* When news should be written; DT_NOEND: there is none. */
extern TimestampTz saga_limiter_report_at(const SagaLimiter *limiter);

/* ---------- the row (limit_row.c); all in a transaction ---------- */

typedef struct SagaLimitRow SagaLimitRow;

typedef struct SagaGrant
{
	int			n;				/* so many requests may be started */
	bool		probe;			/* n is 1: it decides about the breaker */
	TimestampTz first;			/* when the first may start, 0: at once */
	int64		step_us;		/* and each of the others after the one before */
	int64		late_us;		/* and no later than this after its time; 0: any time */
	TimestampTz until;			/* n is 0: ask again then */
	bool		brief;			/* ... because of the rate only */
	SagaLimitRow *row;			/* NULL: nothing to be written */
} SagaGrant;

static inline bool
saga_limit_has_rate(const SagaLimitGroup *group)
{
	return group->limits.per_second > 0 || group->limits.per_minute > 0 ||
		group->limits.per_hour > 0 || group->limits.per_day > 0;
}

/* Has the row to be asked before something is claimed? */
extern bool saga_limit_must_ask(const SagaLimitGroup *group);

/* Never waits for another publisher.  The row stays locked when something was granted. */
extern void saga_limit_ask(SagaLimitGroup *group, int want, bool is_probe, SagaGrant *grant);

/* n of what was granted is used.  Returns when there may be more. */
extern TimestampTz saga_limit_use(SagaLimitGroup *group, SagaGrant *grant, int n, int64 lease,
								  int64 probe_ms);

/* Writes what is known of all groups whose row is free; after the commit: reported. */
extern void saga_limit_report(SagaLimiter *limiter);
extern void saga_limit_reported(SagaLimiter *limiter);

/* A person says: go on.  Also wakes the other destinations of the group. */
extern void saga_limit_resume(const char *key);

#endif							/* SAGA_LIMIT_LIMIT_H */
