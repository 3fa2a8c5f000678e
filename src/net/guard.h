/*
 * guard.h
 *		Which addresses a destination may connect to.
 */
#ifndef SAGA_NET_GUARD_H
#define SAGA_NET_GUARD_H

typedef struct SagaCidr
{
	int			family;			/* AF_INET or AF_INET6 */
	unsigned char address[16];
	int			bits;
} SagaCidr;

typedef struct SagaGuard
{
	bool		allow_all;		/* private addresses too */
	bool		only;			/* nothing but "allowed", public or not */
	int			nallowed;
	SagaCidr   *allowed;		/* private addresses that are allowed all the same */
} SagaGuard;

/* "10.0.0.0/8", "fd00::/8", "127.0.0.1".  False: it is none. */
extern bool saga_cidr_parse(const char *text, SagaCidr *cidr);

/* Safe in callbacks, as in guard_private.h. */
extern bool saga_guard_allows_text(const SagaGuard *guard, const char *ip);

#endif							/* SAGA_NET_GUARD_H */
