/*
 * destination.h
 *		Destinations: their settings, and the cache of saga.destination.
 */
#ifndef SAGA_OUTBOX_DESTINATION_H
#define SAGA_OUTBOX_DESTINATION_H

#include "common/common.h"
#include "nodes/pg_list.h"
#include "outbox/guard.h"
#include "outbox/url.h"
#include "storage/lockdefs.h"
#include "utils/jsonb.h"

typedef enum SagaDestinationKind
{
	SAGA_DESTINATION_HTTP,
	SAGA_DESTINATION_SNS
} SagaDestinationKind;

typedef struct SagaHeader
{
	char	   *name;
	char	   *value;			/* may hold {secret:...} references */
} SagaHeader;

/*
 * A row of saga.destination, its settings parsed.  It lives in a context of
 * its own; who keeps it longer than a transaction pins it.
 */
typedef struct SagaDestination
{
	int32		destination_id;
	char	   *name;
	SagaDestinationKind kind;
	Oid			owner;
	bool		paused;

	/* settings of every kind */
	int			timeout_ms;
	int			connect_timeout_ms;
	int			max_attempts;
	int			base_ms;
	double		factor;
	int			cap_ms;
	bool		jitter;			/* full jitter, else none */
	int			retry_after_cap_ms;
	int			max_response_bytes;
	int			concurrency;	/* requests in flight, per publisher */
	SagaGuard	guard;
	char	   *ca_file;

	/* http */
	char	   *url_text;		/* as given; url is the same, taken apart */
	SagaUrl		url;
	char	   *method;
	int			nheaders;
	SagaHeader *headers;
	char	   *idempotency_header;	/* "": none is sent */

	/* sns */
	char	   *topic_arn;
	bool		fifo;
	char	   *region;
	char	   *endpoint_url;	/* NULL: the region's own */
	char	   *credentials_file;	/* NULL: the environment */
	char	   *profile;
	int			batch;

	/* what a setting asks of the server: only some roles may */
	bool		uses_files;		/* reads a file of the server */
	bool		uses_environment;	/* reads a variable of the server */
	bool		uses_private;	/* connects to private addresses */

	/* the cache's own */
	MemoryContext context;
	int			refs;
	bool		stale;			/* not in the cache any more */
} SagaDestination;

/*
 * Fills what follows from kind and settings.  Returns NULL, or what is wrong;
 * *path is then the JSON path of the fault.  Never raises for wrong settings.
 */
extern const char *saga_settings_parse(SagaDestination *destination, Jsonb *settings, char **path);

/* Headers that hold secrets by their nature: never as plain text. */
extern bool saga_header_is_secret(const char *name);

/* NULL, or why this cannot be the name or the value of a header. */
extern const char *saga_header_check_name(const char *name);
extern const char *saga_header_check_value(const char *value);

/*
 * The cache.  Entries are valid until the next transaction, or as long as
 * they are pinned.  Need SPI_connect.
 */
extern SagaDestination *saga_destination_by_name(const char *name);
extern SagaDestination *saga_destination_by_id(int32 destination_id);
extern List *saga_destination_list(void);	/* all, by id */
extern bool saga_destination_is_paused(int32 destination_id);	/* not from the cache */

/* Held until the transaction ends: AccessShareLock to use it, AccessExclusiveLock to drop it. */
extern void saga_destination_lock(int32 destination_id, LOCKMODE mode);

extern void saga_destination_pin(SagaDestination *destination);
extern void saga_destination_unpin(SagaDestination *destination);

#endif							/* SAGA_OUTBOX_DESTINATION_H */
