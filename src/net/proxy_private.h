/*
 * proxy_private.h
 *		Which requests go through pg_saga.proxy.
 */
#ifndef SAGA_NET_PROXY_PRIVATE_H
#define SAGA_NET_PROXY_PRIVATE_H

#include "net/guard.h"

/* Signals are blocked; raises nothing. */
extern bool saga_proxy_serves(const char *url, const SagaGuard *guard);

#endif							/* SAGA_NET_PROXY_PRIVATE_H */
