/*
 * jsonb_read_private.h
 *		Foreign JSON as jsonb.
 */
#ifndef SAGA_NET_JSONB_READ_PRIVATE_H
#define SAGA_NET_JSONB_READ_PRIVATE_H

#include "utils/jsonb.h"

/*
 * text is in the server's encoding, valid, and has a NUL behind it.  NULL: it
 * is no JSON.  Raises for what jsonb cannot hold.  Interrupts are answered,
 * and the network is served, while it works.
 *
 * What jsonb has no characters for, \u0000 and half a surrogate pair, makes it
 * no JSON, and so does NaN.  Unless "lenient": then such an escape stays in
 * its string as it was written, and NaN and Infinity become strings.
 */
extern Jsonb *saga_net_jsonb_read(const char *text, size_t len, bool lenient);

#endif							/* SAGA_NET_JSONB_READ_PRIVATE_H */
