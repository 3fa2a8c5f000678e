/*
 * hold.c
 *		Pauses and breaker of a group: from the row and what was heard of its
 *		requests follows the next row.
 */
#include "postgres.h"

#include "common/clock.h"
#include "limit/hold_private.h"

/* Back-off after refused credentials. */
#define SAGA_AUTH_MIN_S 1
#define SAGA_AUTH_MAX_S 300

/*
 * What is counted began in the past.  If it lies ahead, the clock was set back
 * since, by that much at least: the times of the row are moved along, so that
 * no hold lasts longer than it was meant to by more than a window.
 */
bool
saga_hold_heed_clock(SagaLimitRow *row, TimestampTz now)
{
	int64		by = now - row->counted_from;

	if (by >= 0)
		return false;
	row->counted_from = now;
	if (row->pause_until != 0)
		row->pause_until += by;
	if (row->breaker_until != 0)
		row->breaker_until += by;
	if (row->slow_from != 0)
		row->slow_from += by;
	return true;
}

TimestampTz
saga_hold_until(const SagaLimitRow *row, TimestampTz now, saga_lease_is_dead_fn lease_is_dead, bool *probe)
{
	if (row->pause_until > now)
		return row->pause_until;
	if (row->breaker == SAGA_BREAKER_CLOSED)
		return 0;
	if (row->breaker_until > now &&
		(row->breaker == SAGA_BREAKER_OPEN || row->probe_lease == 0 || !lease_is_dead(row->probe_lease)))
		return row->breaker_until;
	*probe = true;
	return 0;
}

/* Nothing is sent from now on until the breaker lets one request through, as a probe.  Refused credentials hold twice as long each time: a person has to repair them. */
static void
open_breaker(SagaLimitRow *row, const SagaLimits *limits, const char *reason, TimestampTz now)
{
	/*
	 * a probe of credentials that failed otherwise opens no breaker where
	 * nobody asked for one
	 */
	int64		seconds = limits->breaker_window_s > 0 ? limits->breaker_open_s : SAGA_AUTH_MIN_S;

	if (row->breaker_reason == NULL || strcmp(row->breaker_reason, reason) != 0)
		row->opened = 0;
	row->opened++;
	if (strcmp(reason, "auth") == 0)
		seconds = saga_backoff(SAGA_AUTH_MIN_S, row->opened - 1, SAGA_AUTH_MAX_S);
	row->breaker = SAGA_BREAKER_OPEN;
	row->breaker_until = now + seconds * USECS_PER_SEC;
	row->breaker_reason = pstrdup(reason);
	row->probe_lease = 0;
}

void
saga_hold_end(SagaLimitRow *row, TimestampTz now)
{
	row->breaker = SAGA_BREAKER_CLOSED;
	row->breaker_until = 0;
	row->breaker_reason = NULL;
	row->opened = 0;
	row->probe_lease = 0;
	row->slow_from = now;
	row->counted_from = now;
	row->requests = row->failures = 0;
}

/* The share of failures counts only when there were enough requests in the window to speak of one. */
static bool
too_many_failed(const SagaLimitRow *row, const SagaLimits *limits)
{
	return limits->breaker_window_s > 0 && row->requests >= limits->breaker_min_requests &&
		row->failures >= row->requests * limits->breaker_share;
}

void
saga_hold_apply(SagaLimitRow *row, const SagaLimits *limits, const SagaLimitNews *news,
				TimestampTz now)
{
	if (row->counted_from + limits->breaker_window_s * USECS_PER_SEC <= now)
	{
		row->counted_from = now;
		row->requests = row->failures = 0;
	}
	row->requests += news->successes + news->failures;
	row->failures += news->failures;
	if (news->pause_until > row->pause_until && news->pause_until > now)
		row->pause_until = row->slow_from = news->pause_until;

	/* a probe of before somebody said "resume" decides nothing */
	if (news->probe != SAGA_PROBE_NONE && row->breaker == SAGA_BREAKER_HALF_OPEN)
	{
		if (news->probe == SAGA_PROBE_PASSED)
			saga_hold_end(row, now);
		else if (news->probe == SAGA_PROBE_FAILED)
			open_breaker(row, limits, news->auth ? "auth" : "failures", now);
		else
		{
			row->breaker = SAGA_BREAKER_OPEN;
			row->breaker_until = now;
			row->probe_lease = 0;
		}
	}
	else if (row->breaker == SAGA_BREAKER_CLOSED && news->auth)
		open_breaker(row, limits, "auth", now);
	else if (row->breaker == SAGA_BREAKER_CLOSED && news->failures > 0 && too_many_failed(row, limits))
		open_breaker(row, limits, "failures", now);
}
