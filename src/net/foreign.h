/*
 * foreign.h
 *		Foreign bytes as text and jsonb of ours.  In a transaction: what the
 *		server refuses is undone with a subtransaction.
 */
#ifndef SAGA_NET_FOREIGN_H
#define SAGA_NET_FOREIGN_H

#include "utils/jsonb.h"

/* In the server's encoding, what is invalid replaced; cut to so many bytes. */
extern char *saga_foreign_text(const char *text, size_t len, size_t max_bytes);
extern char *saga_foreign_text_of(char *text, size_t len);	/* all of it, itself if it can be */
extern Jsonb *saga_foreign_json(const char *text, size_t len, bool lenient);	/* NULL: it is none; see saga_net_jsonb_read */

#endif							/* SAGA_NET_FOREIGN_H */
