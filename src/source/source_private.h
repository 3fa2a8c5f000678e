/*
 * source_private.h
 *		What the files of src/source share.
 */
#ifndef SAGA_SOURCE_PRIVATE_H
#define SAGA_SOURCE_PRIVATE_H

#include "aws/sqs.h"
#include "endpoint/destination.h"
#include "lib/ilist.h"
#include "net/http.h"
#include "queue/queue.h"
#include "source/source.h"

/* ---------- sources (settings.c, manage.c) ---------- */

struct SagaIntake;
typedef struct SagaSourceOwner SagaSourceOwner;

/* A row of saga.source, its settings parsed, in a context of its own. */
typedef struct SagaSource
{
	int32		source_id;
	char	   *name;
	Oid			owner;
	TimestampTz changed_at;
	int32		queue_id;		/* where its messages go */
	bool		inbox;			/* the queue is the inbox of an application: it gets envelopes */

	SagaDestination endpoint;	/* of kind sqs: where it is, and as whom we come */
	int			max_queued;		/* nothing is received while so many wait in the queue */
	int			max_dead_letters;	/* nor while so many dead letters of the queue do */
	int			wait_s;			/* how long the service waits for a message */
	int			batch;			/* messages asked for at once */
	int			receives;		/* requests for messages in flight, while batches are full */
	int			visibility_s;	/* how long the service hides what we have received */
	bool		unwrap_sns;
	bool		text;			/* the body is a text, else JSON */

	MemoryContext context;
	int			refs;			/* requests that point into it */
} SagaSource;

/* NULL, or what is wrong; *path is then the JSON path of the fault. */
extern const char *saga_source_parse(SagaSource *source, Jsonb *settings, char **path);

extern SagaSource *saga_source_new(MemoryContext parent);

/* The sources that are not paused, by id, each in a child of the context. */
extern List *saga_source_list(MemoryContext parent);

/*
 * Held until the end of the transaction: AccessShareLock to use it,
 * AccessExclusiveLock to drop it.  The process that serves all sources does
 * not wait for who drops one, and may take his time to commit.
 */
extern void saga_source_lock(int32 source_id, LOCKMODE mode);
extern bool saga_source_try_lock(int32 source_id);	/* AccessShareLock */
extern bool saga_source_exists(int32 source_id);

/* ---------- into the queue (accept.c); in a transaction ---------- */

/* The target as it is now; NULL, and *problem says why nothing can be put there. */
extern const SagaQueue *saga_source_target(const SagaSource *source, char **problem);

/* How many more messages the target may be given; not more than max_queued. */
extern int	saga_source_room(const SagaSource *source, const SagaQueue *queue);

typedef struct SagaAccepted
{
	int			seen;			/* messages that had their turn: the first ones */
	int			inserted;
	int			duplicates;
	int			dead;
	int			damaged;
} SagaAccepted;

/*
 * Each message becomes one of the queue or a dead letter, unless it was seen
 * before, and is settled.  One without its checksum is not: it comes again,
 * and with some luck whole.
 */
extern void saga_source_accept(const SagaSource *source, const SagaQueue *queue,
							   SagaSqsMessage **messages, int n, SagaAccepted *accepted);

/* FIFO: a message of the group of one that stays at the service is to stay there with it. */
extern void saga_source_hold_back(const SagaSource *source, const SagaSqsMessage *left, SagaSqsMessage *message);

/* What saga.sources shows; error NULL: the last one stays. */
extern void saga_source_note(int32 source_id, const char *state, const char *error);

/* ---------- requests (request.c); outside a transaction ---------- */

typedef enum SagaSourceAction
{
	SAGA_SOURCE_RECEIVE,
	SAGA_SOURCE_DELETE,
	SAGA_SOURCE_EXTEND
} SagaSourceAction;

typedef struct SagaSourceRequest SagaSourceRequest;

/*
 * Told the answer; error NULL: it is a good one.  The request is freed
 * afterwards.  That of a receive is read later: it may be large.
 */
typedef void (*SagaSourceAnswered) (SagaSourceRequest *request, const char *error, void *arg);

struct SagaSourceRequest
{
	SagaHttpUser user;
	dlist_node	node;			/* in one of the receiver's lists */
	MemoryContext context;		/* everything of it lives in it */
	SagaSource *source;			/* counted in its refs */
	int32		source_id;
	SagaSourceAction action;
	SagaHttpRequest http;
	struct SagaIntake *intake;	/* of the source, which stays while there are requests of it */
	SagaSourceOwner *owner;		/* the source's when the request was made: it is counted for him */
	SagaAccount *account;		/* of a receive: the owner's */
	size_t		held;			/* bytes of the answer, counted there */
	List	   *secrets;
	TimestampTz started_at;
	int			asked;			/* messages, of a receive */
	int			nreceipts;		/* of the others */
	char	   *receipts[SAGA_SNS_MAX_ENTRIES];
	int			tries;
	TimestampTz start_at;		/* not before */
	SagaSourceAnswered answered;
	void	   *arg;

	/* of a receive, until it is read */
	const char *no_answer;		/* why there is none */
	char	   *body;
	size_t		body_len;
	int			status;

	/* a good answer */
	SagaSqsMessage *messages;
	int			nmessages;
	int			ndone;			/* the first ones of them are committed */
	TimestampTz hidden_until;	/* then the messages may be given out again */
	int			nfailed;		/* receipts that are in "Failed": moved to the front */
	bool		too_large;		/* of an error: there were too many messages in it */
	bool		renewed;		/* of an error: the credentials were refused, and there are others */
};

extern SagaSourceRequest *saga_source_request_new(MemoryContext parent, SagaSource *source,
												  SagaSourceAction action);
extern void saga_source_request_free(SagaSourceRequest *request);

/* NOW: it has been started.  LATER: credentials are being fetched.  NEVER: *error says why. */
extern SagaReadiness saga_source_request_start(SagaSourceRequest *request, SagaHttp *http, char **error);

/* The answer of a receive: NULL, or an error. */
extern const char *saga_source_request_read(SagaSourceRequest *request);

extern void saga_source_release(SagaSource *source);

#endif							/* SAGA_SOURCE_PRIVATE_H */
