/*
 * rate.c
 *		Requests per time: how many may start, and when.  Pure.
 *
 * Rates are exact for every window of time, not on the average.  "per_second"
 * is a distance between requests; the longer ones are counts in 32 buckets,
 * which are kept until none of their requests can be in the window any more.
 */
#include "postgres.h"

#include "limit/rate_private.h"
#include "utils/timestamp.h"

#define SAGA_WINDOW_PARTS 30	/* a bucket is a part of its window */

/* A request starts up to this later than it was meant to, and its way to the server may vary. */
#define SAGA_LATE_US	30000
#define SAGA_GUARD_US	50000	/* of per_second: more than LATE_US */
#define SAGA_WINDOW_LATE_US 200000
#define SAGA_WINDOW_GUARD_US 500000

/* So far ahead requests are given their time: fewer writes. */
#define SAGA_HORIZON_US 100000

static const int64 bucket_us[SAGA_RATE_WINDOWS] = {
	60 * USECS_PER_SEC / SAGA_WINDOW_PARTS,
	3600 * USECS_PER_SEC / SAGA_WINDOW_PARTS,
	86400 * USECS_PER_SEC / SAGA_WINDOW_PARTS
};

/* The requests that may start in the window of this number; 0: no limit. */
static int
window_limit(const SagaLimits *limits, int i)
{
	const int	per[SAGA_RATE_WINDOWS] = {limits->per_minute, limits->per_hour, limits->per_day};

	return per[i];
}

/*
 * Makes the bucket of "at" the newest.  A clock may go back a little, and
 * nothing is moved; when it was set back, what is counted holds from now on,
 * and not for as long as the clock was wrong.
 */
static void
shift_window(SagaRateWindow *window, int i, TimestampTz at)
{
	int64		bucket = at / bucket_us[i];
	int64		by = bucket - window->bucket;

	if (by < -1)
		window->bucket = (int32) bucket;
	if (by <= 0)
		return;
	by = Min(by, SAGA_RATE_BUCKETS);
	memmove(window->counts + by, window->counts, sizeof(int32) * (SAGA_RATE_BUCKETS - by));
	memset(window->counts, 0, sizeof(int32) * by);
	window->bucket = (int32) bucket;
}

/* When the last request of a bucket is in no window any more. */
static TimestampTz
bucket_ends(const SagaRateWindow *window, int i, int age)
{
	return (window->bucket - age + 1 + SAGA_WINDOW_PARTS) * bucket_us[i] + SAGA_WINDOW_GUARD_US;
}

/* How many more may start now; if none, *until is when. */
static int64
window_room(SagaRateWindow *window, int i, int limit, TimestampTz now, TimestampTz *until)
{
	int64		room = limit;
	int			age;

	shift_window(window, i, now);
	for (age = 0; age < SAGA_RATE_BUCKETS; age++)
	{
		if (bucket_ends(window, i, age) > now)
			room -= window->counts[age];
	}
	for (age = SAGA_RATE_BUCKETS - 1; age >= 0 && room <= 0; age--)
	{
		TimestampTz ends = bucket_ends(window, i, age);

		if (ends <= now || window->counts[age] == 0)
			continue;
		room += window->counts[age];
		if (room > 0)
		{
			*until = Max(*until, ends);
			return 0;
		}
	}
	return Max(room, 0);
}

void
saga_rate_grant(const SagaLimits *limits, SagaRate *rate, TimestampTz now, SagaGrant *grant)
{
	int			i;

	for (i = 0; i < SAGA_RATE_WINDOWS; i++)
	{
		int			limit = window_limit(limits, i);

		if (limit == 0)
			continue;
		grant->n = (int) Min(grant->n, window_room(&rate->windows[i], i, limit, now, &grant->until));
		grant->late_us = SAGA_WINDOW_LATE_US;
		grant->first = now;
	}
	if (limits->per_second > 0)
	{
		int64		step = (USECS_PER_SEC + SAGA_GUARD_US + limits->per_second - 1) / limits->per_second;

		/*
		 * What is further ahead than that comes from a clock that was set
		 * back.  At once, as only what is granted is written: a later time
		 * would be as far ahead when it is asked for again.
		 */
		if (rate->next_start_at > now + 2 * USECS_PER_SEC)
			rate->next_start_at = now;
		grant->first = Max(rate->next_start_at, now);
		grant->step_us = step;
		grant->late_us = SAGA_LATE_US;
		if (grant->first > now + SAGA_HORIZON_US)
		{
			grant->n = 0;
			grant->until = Max(grant->until, grant->first - SAGA_HORIZON_US / 2);
		}
		else
			grant->n = (int) Min(grant->n, (now + SAGA_HORIZON_US - grant->first) / step + 1);
	}
}

void
saga_rate_use(const SagaLimits *limits, bool shared, SagaRate *rate, const SagaGrant *grant, int n)
{
	TimestampTz last = grant->first + grant->step_us * (n - 1);
	int			i;

	for (i = 0; i < SAGA_RATE_WINDOWS; i++)
	{
		SagaRateWindow *window = &rate->windows[i];

		if (window_limit(limits, i) > 0 || (shared && window->bucket != 0))
		{
			shift_window(window, i, last);
			window->counts[0] += n;
		}
		else
			memset(window, 0, sizeof(SagaRateWindow));	/* not limited any more */
	}
	if (limits->per_second > 0)
		rate->next_start_at = last + grant->step_us;
}
