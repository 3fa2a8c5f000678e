/*
 * guard_private.h
 *		Which addresses a request may be sent to, as libcurl has them.
 */
#ifndef SAGA_NET_GUARD_PRIVATE_H
#define SAGA_NET_GUARD_PRIVATE_H

#include <sys/socket.h>

#include "net/guard.h"

/* Safe in callbacks: allocates nothing, raises nothing. */
extern bool saga_guard_allows(const SagaGuard *guard, const struct sockaddr *address);

#endif							/* SAGA_NET_GUARD_PRIVATE_H */
