/*
 * uuid.c
 *		UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, 12 bits of a fraction
 *		of the millisecond, one bit of ours, 61 random bits.
 *
 * Ids of one process only go up: when the clock stands still or goes back, the
 * fraction counts on.  Between processes order is that of the clocks, which is
 * enough: inserts stay at the right edge of the index.  No correctness hangs
 * on the order (queue/README.md).
 */
#include "postgres.h"

#include <sys/time.h>
#include <time.h>

#include "access/xact.h"
#include "common/common.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

const pg_uuid_t saga_uuid_min = {{0}};
const pg_uuid_t saga_uuid_max = {{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
}};

/* The first random bit, which tells our ids from those that saga.make_id() makes for others. */
#define OWN_BIT 0x20

/* Milliseconds << 12 | fraction: the last one given out by this process. */
static uint64 last_stamp = 0;

/* Raises when the system has no random bits. */
pg_uuid_t
saga_uuid_new(void)
{
	pg_uuid_t	id;
	struct timespec now;
	uint64		stamp;
	int			i;

	clock_gettime(CLOCK_REALTIME, &now);
	stamp = ((uint64) now.tv_sec * 1000 + now.tv_nsec / 1000000) << 12;
	stamp |= (uint64) (now.tv_nsec % 1000000) * 4096 / 1000000;
	if (stamp <= last_stamp)
		/* the clock stood still or went back: ids go on from the last one */
		stamp = last_stamp + 1;
	last_stamp = stamp;

	if (!pg_strong_random(id.data + 8, 8))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	for (i = 0; i < 6; i++)
		id.data[i] = (unsigned char) (stamp >> (52 - 8 * i));
	id.data[6] = 0x70 | ((stamp >> 8) & 0x0f);
	id.data[7] = stamp & 0xff;
	id.data[8] = 0x80 | OWN_BIT | (id.data[8] & 0x1f);
	return id;
}

pg_uuid_t
saga_uuid_new_to_give(void)
{
	pg_uuid_t	id = saga_uuid_new();

	id.data[8] &= ~OWN_BIT;
	return id;
}

bool
saga_uuid_is_own(const pg_uuid_t *id)
{
	return (id->data[8] & OWN_BIT) != 0;
}

/*
 * The last ids given out; all zero: none, or used.  The transaction and the
 * client's statement that they were made in.
 */
static pg_uuid_t offers[16];
static LocalTransactionId offers_xact = InvalidLocalTransactionId;
static TimestampTz offers_statement = 0;

/*
 * Called before each use: nothing tells this process that a statement has
 * ended.
 */
static void
forget_old_offers(void)
{
	if (offers_xact == saga_my_lxid() && offers_statement == GetCurrentStatementStartTimestamp())
		return;
	memset(offers, 0, sizeof(offers));
	offers_xact = saga_my_lxid();
	offers_statement = GetCurrentStatementStartTimestamp();
}

/*
 * At most 16 can be open; the oldest is forgotten, which only means that it
 * is looked up like any other.
 */
pg_uuid_t
saga_uuid_offer(void)
{
	static int	next = 0;
	pg_uuid_t	id = saga_uuid_new();

	forget_old_offers();
	offers[next++ % lengthof(offers)] = id;
	next %= lengthof(offers);
	return id;
}

/* Each can be taken once. */
bool
saga_uuid_take_offer(const pg_uuid_t *id)
{
	int			i;

	/* what a place without an offer has */
	if (saga_uuid_cmp(id, &saga_uuid_min) == 0)
		return false;
	forget_old_offers();
	for (i = 0; i < lengthof(offers); i++)
	{
		if (saga_uuid_cmp(&offers[i], id) != 0)
			continue;
		offers[i] = saga_uuid_min;
		return true;
	}
	return false;
}

TimestampTz
saga_uuid_time(const pg_uuid_t *id)
{
	int64		ms = 0;
	int			i;

	if ((id->data[6] & 0xf0) != 0x70)
		return DT_NOEND;
	for (i = 0; i < 6; i++)
		ms = ms << 8 | id->data[i];
	return (ms - (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000) * 1000;
}

/* Ids have the time since 1970, not before, and it has 48 bits of milliseconds. */
pg_uuid_t
saga_uuid_of_time(TimestampTz at)
{
	const TimestampTz epoch = -(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	pg_uuid_t	id = saga_uuid_min;
	uint64		stamp;
	int64		us;

	if (at <= epoch)
		return saga_uuid_min;
	/* infinity, and what the difference would leave the range of its type at */
	if (at > PG_INT64_MAX + epoch || (at - epoch) / 1000 >= INT64CONST(1) << 48)
		return saga_uuid_max;
	us = at - epoch;
	stamp = ((uint64) us / 1000) << 12 | (uint64) (us % 1000) * 4096 / 1000;
	for (int i = 0; i < 6; i++)
		id.data[i] = (unsigned char) (stamp >> (52 - 8 * i));
	id.data[6] = 0x70 | ((stamp >> 8) & 0x0f);
	id.data[7] = stamp & 0xff;
	return id;
}

pg_uuid_t
saga_uuid_previous(const pg_uuid_t *id)
{
	pg_uuid_t	result = *id;
	int			i;

	if (saga_uuid_cmp(id, &saga_uuid_min) == 0)
		return result;
	for (i = UUID_LEN - 1; i >= 0; i--)
		if (result.data[i]-- != 0)
			break;
	return result;
}

char *
saga_uuid_to_cstring(const pg_uuid_t *id)
{
	static const char hex[] = "0123456789abcdef";
	char	   *text = palloc(37);
	char	   *p = text;
	int			i;

	for (i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[id->data[i] >> 4];
		*p++ = hex[id->data[i] & 15];
	}
	*p = '\0';
	return text;
}

/* Only the canonical form: what saga_uuid_to_cstring writes, in any case. */
bool
saga_uuid_parse(const char *text, pg_uuid_t *id)
{
	int			nibble = 0;
	const char *p;

	if (strlen(text) != 36)
		return false;
	memset(id, 0, sizeof(*id));
	for (p = text; *p; p++)
	{
		int			v;

		if (p - text == 8 || p - text == 13 || p - text == 18 || p - text == 23)
		{
			if (*p != '-')
				return false;
			continue;
		}
		if (*p >= '0' && *p <= '9')
			v = *p - '0';
		else if (*p >= 'a' && *p <= 'f')
			v = *p - 'a' + 10;
		else if (*p >= 'A' && *p <= 'F')
			v = *p - 'A' + 10;
		else
			return false;
		id->data[nibble / 2] |= (nibble % 2 == 0) ? v << 4 : v;
		nibble++;
	}
	return true;
}
