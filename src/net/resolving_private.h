/*
 * resolving_private.h
 *		Host names that are being resolved, counted for who asked.
 */
#ifndef SAGA_NET_RESOLVING_PRIVATE_H
#define SAGA_NET_RESOLVING_PRIVATE_H

#include "net/transfer_private.h"

/* So many names at once, of a process with so many transfers; then they hold as told here. */
extern int	saga_resolving_max(int max_transfers);
extern void saga_resolving_set_max(int max);

/*
 * libcurl's CURLOPT_RESOLVER_START_FUNCTION, with the transfer: not zero is
 * no, and transfer->wait says what it has to wait for.
 */
extern int	saga_resolving_start(void *resolver_state, void *reserved, void *arg);

/* The transfer's name is resolved, or cannot be; may be called when none was. */
extern void saga_resolving_end(SagaTransfer *transfer);

/* Changes whenever a resolver has ended, so that another one may begin. */
extern uint32 saga_resolving_ended(void);

/* The host of its request, or the proxy: what is to be resolved.  False: no memory. */
extern bool saga_resolving_prepare(SagaTransfer *transfer);

#endif							/* SAGA_NET_RESOLVING_PRIVATE_H */
