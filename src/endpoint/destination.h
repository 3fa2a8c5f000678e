/*
 * destination.h
 *		Destinations: their settings, and the cache of saga.destination.
 */
#ifndef SAGA_ENDPOINT_DESTINATION_H
#define SAGA_ENDPOINT_DESTINATION_H

#include "common/common.h"
#include "common/table_cache.h"
#include "jsonata/regex.h"
#include "name/name.h"
#include "net/guard.h"
#include "net/url.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "utils/jsonb.h"

typedef enum SagaDestinationKind
{
	SAGA_DESTINATION_HTTP,
	SAGA_DESTINATION_SNS,
	SAGA_DESTINATION_SQS
} SagaDestinationKind;

extern const char *saga_destination_kind_name(SagaDestinationKind kind);
extern bool saga_destination_kind_parse(const char *name, SagaDestinationKind *kind);

/* What an answer means. */
typedef enum SagaClass
{
	SAGA_CLASS_SUCCESS,
	SAGA_CLASS_PENDING,			/* accepted; how it ends is asked for later */
	SAGA_CLASS_RETRY,			/* it had no effect */
	SAGA_CLASS_UNCERTAIN,		/* it may have had an effect */
	SAGA_CLASS_DUPLICATE,		/* the server says that it has this already */
	SAGA_CLASS_AUTH,			/* the credentials: an operator may repair them */
	SAGA_CLASS_SPLIT,			/* one of a batch is wrong: each is sent alone next */
	SAGA_CLASS_FATAL
} SagaClass;

extern const char *saga_class_name(SagaClass class);
extern int	saga_class_of_name(const char *name);	/* -1: it is none */

typedef struct SagaHeader
{
	char	   *name;
	char	   *value;			/* may hold {secret:...} and {name} references */
} SagaHeader;

/* See condition_private.h. */
typedef struct SagaAnswerPath SagaAnswerPath;	/* to one value of an answer */
typedef struct SagaCondition SagaCondition; /* that an answer meets or not */
typedef struct SagaExpression SagaExpression;	/* makes a body: expression_private.h */

/* What looking at an answer takes. */
typedef struct SagaConditionCost
{
	int			tests;
	int			operands;		/* of all tests */
	int			regexes;
	const char *refused;		/* not NULL: an expression that never matches, with its path, and why */
} SagaConditionCost;

/* ---------- requests of http destinations ---------- */

typedef enum SagaBodySource
{
	SAGA_BODY_MESSAGE,			/* the message as it is */
	SAGA_BODY_NONE,
	SAGA_BODY_EXPRESSION,
	SAGA_BODY_TEMPLATE
} SagaBodySource;

/* Of a request; servers take no more. */
#define SAGA_MAX_SENT_HEADERS	100

/* "request", and those of look-up, poll and compensation. */
typedef struct SagaRequestSpec
{
	char	   *method;
	char	   *url_text;		/* as given; url is the same, taken apart */
	SagaUrl		url;
	int			nheaders;
	SagaHeader *headers;
	SagaBodySource source;
	SagaExpression *expression;
	Jsonb	   *template;
	const char *form;			/* how arrays are written in a form; NULL: the body is JSON */
	int			timeout_ms;
	int			connect_timeout_ms;
	int			max_response_bytes;
} SagaRequestSpec;

/* Values kept from an answer, under a name that templates and expressions can use. */
typedef struct SagaCapture
{
	int			n;
	char	  **names;
	SagaAnswerPath **paths;
} SagaCapture;

typedef struct SagaRule
{
	SagaCondition *condition;
	SagaClass	as;
} SagaRule;

typedef struct SagaRules
{
	int			n;
	SagaRule   *rules;
} SagaRules;

/* Is it there already?  Asked before anything uncertain is sent again. */
typedef struct SagaLookup
{
	SagaRequestSpec request;
	SagaAnswerPath *found;		/* what was found */
	SagaCondition *absent;		/* what alone says that nothing was; NULL: classify.c knows */
	bool		absent_of_any;	/* that names its statuses; else it is asked of a 200 */
	SagaCondition *same;		/* NULL: whatever was found is ours */
	bool		has_capture;	/* else that of the destination */
	SagaCapture capture;
	char	   *id;				/* the captured value that no two have in common; NULL: all of them together */
	SagaRules	rules;
	int			delay_ms;		/* not before, after the uncertain answer */
	bool		delay_given;
} SagaLookup;

typedef struct SagaPoll
{
	SagaRequestSpec request;
	SagaAnswerPath *status;		/* the value there says how it ends */
	Jsonb	   *success;		/* arrays of values */
	Jsonb	   *fatal;
	bool		has_capture;
	SagaCapture capture;
	int			every_ms;		/* between two polls */
	int			deadline_s;
} SagaPoll;

typedef struct SagaCompensation
{
	SagaRequestSpec request;
	SagaCondition *already_done;	/* this answer is a success too */
	bool		resend_uncertain;	/* as that of the destination */
	SagaRules	rules;
	SagaRequestSpec *other;		/* when it cannot be undone so; NULL: none */
	char	   *other_destination;	/* or this one gets the message; NULL: none */
} SagaCompensation;

typedef enum SagaKeyPlace
{
	SAGA_KEY_NONE,
	SAGA_KEY_HEADER,
	SAGA_KEY_QUERY,
	SAGA_KEY_BODY
} SagaKeyPlace;

typedef struct SagaIdempotency
{
	SagaKeyPlace place;
	char	   *name;			/* of the header, the parameter, or a.b of the body's member */
	bool		hex;			/* 32 hexadecimal digits, else a uuid's 36 characters */
	char	   *prefix;
	int			max_len;
	int			ttl_s;			/* how long the server knows it; 0: for ever */
	char	   *replay_header;	/* "true" in it: what was said to an earlier request under the key is said again */
} SagaIdempotency;

typedef struct SagaRetryAfter
{
	char	   *header;
	SagaJsonataRegex *body_regex;	/* its first group has the seconds; NULL: none */
	int			default_s;		/* of a 429 without any */
	int			max_s;
} SagaRetryAfter;

/* How it is found out whether a request that is not wanted any more was done. */
typedef enum SagaSettleBy
{
	SAGA_SETTLE_DEFAULT,		/* as the destination can */
	SAGA_SETTLE_LOOKUP,
	SAGA_SETTLE_RESEND,			/* the same request under the same key */
	SAGA_SETTLE_UNDO,			/* not at all: it is undone, whether it was done or not */
	SAGA_SETTLE_PERSON
} SagaSettleBy;

typedef struct SagaSettle
{
	SagaSettleBy by;
	int			deadline_s;
} SagaSettle;

/* ---------- who we are, how much we may ask ---------- */

typedef enum SagaAuthType
{
	SAGA_AUTH_NONE,
	SAGA_AUTH_BASIC,
	SAGA_AUTH_BEARER,
	SAGA_AUTH_HEADER,
	SAGA_AUTH_OAUTH_CLIENT,
	SAGA_AUTH_OAUTH_REFRESH,
	SAGA_AUTH_SIGV4
} SagaAuthType;

/* Texts may hold {secret:...} references unless they say otherwise. */
typedef struct SagaAuth
{
	SagaAuthType type;
	char	   *user;			/* basic */
	char	   *password;
	char	   *token;			/* bearer */
	char	   *name;			/* header */
	char	   *value;

	/* oauth2 */
	char	   *token_url_text;
	SagaUrl		token_url;
	char	   *client_id;
	char	   *client_secret;
	char	   *scope;
	char	   *audience;
	bool		basic;			/* client and secret as basic auth, else in the form */
	char	   *refresh_token;	/* the name of a row of saga.secret, which is rotated */
	int			early_refresh_s;
	char	   *token_key;		/* of saga.token: whose token, and with which settings */
	char	   *token_made_for;

	/* aws_sigv4: credentials as of sns */
	char	   *service;
} SagaAuth;

/* 0: no limit. */
typedef struct SagaLimits
{
	char	   *group;			/* shared with all destinations that name it; NULL: its own */
	int			concurrency;	/* requests in flight, over all publishers */
	int			per_second;
	int			per_minute;
	int			per_hour;
	int			per_day;
	int			slow_start_s;	/* after a start or an outage: from one request up to concurrency in it */
	int			breaker_window_s;	/* failures are counted over it; 0: no breaker */
	int			breaker_min_requests;	/* and not before so many */
	double		breaker_share;	/* opens at this share of failures */
	int			breaker_open_s; /* then nothing is sent for so long, then one request */
} SagaLimits;

/*
 * A row of saga.destination, its settings parsed.  It lives in a context of
 * its own; who keeps it longer than a transaction pins it.
 */
typedef struct SagaDestination
{
	SagaCached	cached;
	int32		destination_id;
	char	   *name;
	SagaDestinationKind kind;
	Oid			owner;			/* whose rights and limits count */
	bool		paused;
	TimestampTz changed_at;
	char	   *limit_key;		/* the same for all that have their limits in common */

	/* settings of every kind */
	int			timeout_ms;
	int			connect_timeout_ms;
	int			max_attempts;
	int			base_ms;		/* pause before the first retry ... */
	double		factor;			/* ... multiplied by this each time ... */
	int			cap_ms;			/* ... up to this */
	bool		jitter;			/* full jitter, else none */
	int			deadline_s;		/* after it was accepted, nothing is sent any more; 0: none */
	SagaRetryAfter retry_after;
	SagaSettle	settle;
	int			max_response_bytes;
	SagaLimits	limits;
	SagaGuard	guard;
	char	   *ca_file;
	char	   *region;
	char	   *endpoint_url;	/* NULL: the region's own */
	char	   *credentials_secret; /* a row of saga.secret; these three NULL: the server's chain */
	char	   *credentials_file;
	char	   *profile;

	/* http */
	bool		allow_http;		/* secrets may go over http:// */
	SagaRequestSpec request;
	SagaAuth	auth;
	SagaIdempotency idempotency;
	SagaRules	rules;
	char	   *retry_hint_header;	/* "true" or "false" in it overrides the class */
	bool		resend_uncertain;	/* "uncertain_as": "retry": it is safe to send again */
	SagaCapture capture;
	SagaLookup *lookup;			/* NULL: none */
	SagaPoll   *poll;
	SagaCompensation *compensation;

	/* sns, sqs */
	char	   *topic_arn;
	char	   *queue_url;		/* names the queue; what is connected to is the endpoint */
	SagaUrl		endpoint;
	bool		fifo;
	int			batch;
	int			max_bytes;		/* of a message and of a batch, attributes included */

	/* what a setting asks of the server: only some roles may */
	bool		uses_files;		/* reads a file of the server */
	bool		uses_environment;	/* reads a variable of the server */
	bool		sends_secrets;	/* has a reference of any kind */
	bool		uses_private;	/* connects to private addresses */
	int			nsecrets;		/* references of any kind */
	List	   *secrets;		/* char *: names of rows of saga.secret that it refers to */

	/*
	 * for settings of earlier versions: what would not be accepted now, with
	 * its path, or NULL
	 */
	const char *refused;
	SagaConditionCost conditions;	/* of all of them */
} SagaDestination;

/*
 * Fills what follows from kind and settings.  Returns NULL, or what is wrong;
 * *path is then the JSON path of the fault.  Never raises for wrong settings.
 */
extern const char *saga_settings_parse(SagaDestination *destination, Jsonb *settings, char **path);

/* Raises when settings that somebody makes now are larger than any need to be. */
extern void saga_settings_check_size(const char *kind, const char *name, Jsonb *settings);

/* What of the settings only some roles may ask for, to go on with "may"; NULL: nothing. */
extern const char *saga_settings_need_rights(const SagaDestination *destination);

/* The path of a max_response_bytes that is larger than pg_saga.answer_limit; NULL: there is none. */
extern const char *saga_settings_too_large(const SagaDestination *destination);

/* Does it take a value of this name? (captured.c) */
extern bool saga_capture_has(const SagaCapture *capture, const char *name);

/* Bytes that an answer may have, to a request of this kind or (NULL) to a service of AWS. */
extern size_t saga_answer_limit(const SagaDestination *destination, const SagaRequestSpec *spec);

/* Without settings. */
extern SagaDestination *saga_destination_new(MemoryContext context, const char *name, const char *kind);

/*
 * The cache: of what this process uses, loaded by id.  Entries are valid until the
 * end of the transaction, or as long as they are pinned (saga_cache_pin).
 */
extern SagaDestination *saga_destination_by_id(int32 destination_id);

/*
 * Ids in their order, not from the cache: of one owner; of all owners whose privileges a user has.
 */
extern List *saga_destination_ids_of(Oid owner);
extern List *saga_destination_ids_for(Oid user);

extern bool saga_destination_may(const SagaDestination *destination, Oid user, int rights);
extern bool saga_destination_is_paused(int32 destination_id);	/* not from the cache */
extern bool saga_destination_is_outdated(const SagaDestination *destination);	/* its settings have changed */


/* ---------- secrets that settings refer to (secret_reference.c) ---------- */

/*
 * Looks the names up as the caller means them, who needs the right to use each, and
 * keeps what they mean for the settings of a destination or a source (referrer, id).
 * Raises UNDEFINED_OBJECT.
 */
extern void saga_endpoint_secret_store_references(const char *referrer, int32 id, const char *name, List *secrets);
extern void saga_endpoint_secret_forget_references(const char *referrer, int32 id);

/*
 * Settings as they are stored, with each reference to a secret by what it meant:
 * see saga_secret_key.  A copy in the caller's memory.
 */
extern Jsonb *saga_endpoint_secret_qualify(const char *referrer, int32 id, Jsonb *settings);

/* The destination that "compensate.else" named when the settings were made; 0: none then. */
extern void saga_destination_store_other(int32 id, int32 other_id, const char *other);
extern int32 saga_destination_other(int32 id);

/* For saga_name_object_on_revoke. */
extern void saga_endpoint_secret_right_revoked(SagaObjectKind kind);

/* For saga_name_object_register (secret.c). */
extern bool saga_endpoint_secret_look_up(Oid owner, const char *name, SagaObject *object);

/* Held until the transaction ends: AccessShareLock to use it, AccessExclusiveLock to drop it. */
extern void saga_destination_lock(int32 destination_id, LOCKMODE mode);

/* Against its being dropped; false: somebody is about to, and is not waited for. */
extern bool saga_destination_try_lock(int32 destination_id);

#endif							/* SAGA_ENDPOINT_DESTINATION_H */
