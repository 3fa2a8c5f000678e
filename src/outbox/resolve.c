/*
 * resolve.c
 *		Which destination a request is for, and may this role use it.
 *
 * No URL of a payload is ever fetched: it selects one destination, which the
 * role must be allowed to use, and a path below that destination's URL.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "outbox/request_private.h"
#include "utils/builtins.h"
#include "value/doc.h"

static const char *
missing_error(const SagaOutboxEntry *entry)
{
	switch (entry->op)
	{
		case SAGA_OUTBOX_SNS:
			return "SNS.NotFoundException";
		case SAGA_OUTBOX_SQS:
			return "SQS.AmazonSQSException";
		default:
			return "States.Runtime";	/* what the owner has not set up; data has no part in it */
	}
}

/* ---------- what a text means ---------- */

/* "saga:NAME/path" or "destination:NAME/path": what follows the prefix, else NULL. */
static const char *
strip_scheme(const char *text)
{
	if (strncmp(text, "saga:", 5) == 0)
		return text + 5;
	if (strncmp(text, "destination:", 12) == 0)
		return text + 12;
	return NULL;
}

/* The end of a name in front of a path: quotes may hold what would end it. */
static size_t
name_length(const char *text)
{
	bool		quoted = false;
	const char *p;

	for (p = text; *p; p++)
	{
		if (*p == '"')
			quoted = !quoted;
		else if (!quoted && strchr("/?#", *p) != NULL)
			break;
	}
	return p - text;
}

/* NULL: it is gone, or not the role's to use. */
static SagaDestination *
usable(int32 destination_id, Oid role)
{
	SagaDestination *destination = destination_id != 0 ? saga_destination_by_id(destination_id) : NULL;

	return destination != NULL && saga_destination_may(destination, role, SAGA_RIGHT_USE) ? destination : NULL;
}

/* A destination that one may not use is not told apart from none. */
static SagaDestination *
find_named(const char *name, Oid role)
{
	SagaObject	object;

	if (!saga_name_object_find(SAGA_OBJECT_DESTINATION, name, role, SAGA_RIGHT_USE, &object))
		return NULL;
	return saga_destination_by_id(object.id);
}

/* What a definition's name meant, as long as that is there and may be used. */
static SagaDestination *
find_meant(const SagaOutboxEntry *entry, const char *name)
{
	return entry->meant ? usable(entry->meant(name, entry->meant_arg), entry->role) : NULL;
}

static bool
use_named(const SagaOutboxEntry *entry, const char *name, SagaResolved *resolved)
{
	char	   *elsewhere;

	resolved->destination = find_meant(entry, name);
	if (resolved->destination == NULL)
		resolved->destination = find_named(name, entry->role);
	if (resolved->destination != NULL)
		return true;
	elsewhere = saga_name_object_elsewhere(SAGA_OBJECT_DESTINATION, name, entry->role, SAGA_RIGHT_USE);
	if (elsewhere != NULL)
		return saga_outbox_reject(resolved, missing_error(entry),
								  "destination \"%s\" does not exist; another role's is written %s", name, elsewhere);
	return saga_outbox_reject(resolved, missing_error(entry),
							  "destination \"%s\" does not exist or is not yours to use", name);
}

/*
 * Does this destination have the topic, the queue, or a URL above the one that is asked
 * for?  Also asked of what a definition meant: a text may have been the URL of a queue
 * in one place and of a server in another, and settings change.
 */
static bool
covers(const SagaDestination *destination, SagaDestinationKind kind, const char *text, const SagaUrl *url)
{
	char	   *rest;

	if (destination->kind != kind)
		return false;
	if (kind == SAGA_DESTINATION_HTTP)
		return saga_url_covers(&destination->request.url, url, &rest);
	return strcmp(kind == SAGA_DESTINATION_SNS ? destination->topic_arn : destination->queue_url, text) == 0;
}

/*
 * By what it leads to.  The role's own come first, then those of the owners in its
 * pg_saga.owner_path, one after the other; so nobody else's destination can get
 * in the way.  *other: a second one of the same owner, between which nobody can choose.
 */
static SagaDestination *
find_covering(SagaDestinationKind kind, const char *text, const SagaUrl *url, Oid role,
			  SagaDestination **other)
{
	List	   *owners = lcons_oid(role, saga_name_owner_path(role));
	SagaDestination *found = NULL;
	ListCell   *lc;
	ListCell   *lc2;

	*other = NULL;
	foreach(lc, owners)
	{
		foreach(lc2, saga_destination_ids_of(lfirst_oid(lc)))
		{
			SagaObject	object = {SAGA_OBJECT_DESTINATION, lfirst_int(lc2), lfirst_oid(lc)};
			SagaDestination *destination;

			CHECK_FOR_INTERRUPTS();
			/* rights first: settings are not parsed for nothing */
			if (!saga_name_object_may(&object, role, SAGA_RIGHT_USE))
				continue;
			destination = usable(object.id, role);
			if (destination == NULL || !covers(destination, kind, text, url))
				continue;
			if (found != NULL)
			{
				*other = destination;
				return found;
			}
			found = destination;
		}
		if (found != NULL)
			return found;
	}
	return NULL;
}

int32
saga_outbox_destination_meaning(SagaOutboxOp op, const char *text, Oid role, char **name)
{
	const char *named = op == SAGA_OUTBOX_PUBLISH ? text : strip_scheme(text);
	SagaDestination *destination;
	SagaDestination *other = NULL;
	SagaUrl		url;

	if (named != NULL)
	{
		*name = pnstrdup(named, op == SAGA_OUTBOX_HTTP ? name_length(named) : strlen(named));
		destination = find_named(*name, role);
	}
	else
	{
		*name = pstrdup(text);
		if (op == SAGA_OUTBOX_HTTP && saga_url_parse(text, NULL, &url) != NULL)
			return 0;
		destination = find_covering(op == SAGA_OUTBOX_HTTP ? SAGA_DESTINATION_HTTP :
									op == SAGA_OUTBOX_SNS ? SAGA_DESTINATION_SNS : SAGA_DESTINATION_SQS,
									text, &url, role, &other);
	}
	return destination != NULL && other == NULL ? destination->destination_id : 0;
}

/* ---------- of a request ---------- */

/* The destination of a topic or a queue. */
static bool
use_aws(const SagaOutboxEntry *entry, SagaDestinationKind kind, const char *what, const char *name,
		SagaResolved *resolved)
{
	SagaDestination *other = NULL;

	resolved->destination = find_meant(entry, name);
	if (resolved->destination == NULL || !covers(resolved->destination, kind, name, NULL))
		resolved->destination = find_covering(kind, name, NULL, entry->role, &other);
	if (resolved->destination == NULL)
		return saga_outbox_reject(resolved, missing_error(entry),
								  "no destination that you may use has the %s \"%s\"", what, name);
	if (other != NULL)
		return saga_outbox_reject(resolved, missing_error(entry),
								  "several destinations have the %s \"%s\"; name one as \"saga:NAME\"", what, name);
	return true;
}

static bool
use_url(const SagaOutboxEntry *entry, const char *text, SagaResolved *resolved, char **rest)
{
	SagaUrl		url;
	const char *error = saga_url_parse(text, NULL, &url);
	SagaDestination *other = NULL;

	if (error != NULL)
		return saga_outbox_reject(resolved, saga_request_error(entry->op, NULL), "ApiEndpoint %s", error);
	resolved->destination = find_meant(entry, text);
	if (resolved->destination == NULL || !covers(resolved->destination, SAGA_DESTINATION_HTTP, text, &url))
		resolved->destination = find_covering(SAGA_DESTINATION_HTTP, text, &url, entry->role, &other);
	if (resolved->destination == NULL)
		return saga_outbox_reject(resolved, missing_error(entry),
								  "no destination that you may use covers the ApiEndpoint");
	if (other != NULL)
		return saga_outbox_reject(resolved, missing_error(entry),
								  "destinations \"%s\" and \"%s\" both cover the ApiEndpoint; name one as \"saga:NAME/path\"",
								  resolved->destination->name, other->name);
	(void) saga_url_covers(&resolved->destination->request.url, &url, rest);
	return true;
}

static bool
resolve_http(const SagaOutboxEntry *entry, SagaResolved *resolved, char **rest)
{
	char	   *endpoint = saga_doc_get_string(&entry->request->root, "ApiEndpoint");
	const char *named;
	size_t		len;

	*rest = "";
	if (entry->destination != NULL)
		return use_named(entry, entry->destination, resolved);
	if (endpoint == NULL)
		return saga_outbox_reject(resolved, saga_request_error(entry->op, NULL), "ApiEndpoint is missing or is no string");
	named = strip_scheme(endpoint);
	if (named == NULL)
		return use_url(entry, endpoint, resolved, rest);
	len = name_length(named);
	*rest = pstrdup(named + len);
	return use_named(entry, pnstrdup(named, len), resolved);
}

static bool
resolve_aws(const SagaOutboxEntry *entry, SagaResolved *resolved)
{
	bool		sns = entry->op == SAGA_OUTBOX_SNS;
	const char *member = sns ? "TopicArn" : "QueueUrl";
	char	   *name = saga_doc_get_string(&entry->request->root, member);
	const char *named;

	if (entry->destination != NULL)
		return use_named(entry, entry->destination, resolved);
	if (name == NULL)
		return saga_outbox_reject(resolved, saga_request_error(entry->op, NULL), "%s is missing or is no string", member);
	named = strip_scheme(name);
	if (named != NULL)
		return use_named(entry, named, resolved);
	return use_aws(entry, sns ? SAGA_DESTINATION_SNS : SAGA_DESTINATION_SQS, sns ? "topic" : "queue", name,
				   resolved);
}

static bool
resolve_publish(const SagaOutboxEntry *entry, SagaResolved *resolved)
{
	const char *name = entry->destination;

	if (name == NULL)
		name = saga_doc_get_string(&entry->request->root, "Destination");
	if (name == NULL)
		return saga_outbox_reject(resolved, saga_request_error(entry->op, NULL), "Destination is missing or is no string");
	return use_named(entry, name, resolved);
}

/*
 * The lock makes saga.drop_destination wait for us, and us for it: a message
 * for a destination that is gone would never be seen again.
 */
static bool
hold_destination(const SagaOutboxEntry *entry, SagaResolved *resolved)
{
	int32		id = resolved->destination->destination_id;
	char	   *name = pstrdup(resolved->destination->name);

	saga_destination_lock(id, AccessShareLock);
	resolved->destination = saga_destination_by_id(id);
	if (resolved->destination == NULL || !saga_destination_may(resolved->destination, entry->role, SAGA_RIGHT_USE))
		return saga_outbox_reject(resolved, missing_error(entry),
								  "destination \"%s\" does not exist or is not yours to use", name);
	return true;
}

static bool
require_kind(const SagaOutboxEntry *entry, SagaResolved *resolved, SagaDestinationKind kind)
{
	if (resolved->destination->kind == kind)
		return true;
	return saga_outbox_reject(resolved, missing_error(entry), "destination \"%s\" is not of kind %s",
							  resolved->destination->name,
							  saga_destination_kind_name(kind));
}

bool
saga_request_resolve(const SagaOutboxEntry *entry, SagaResolved *resolved)
{
	char	   *rest = "";
	bool		ok;

	memset(resolved, 0, sizeof(*resolved));
	if (entry->request == NULL || !JB_ROOT_IS_OBJECT(entry->request))
		return saga_outbox_reject(resolved, saga_request_error(entry->op, NULL), "the input of the task must be an object");
	switch (entry->op)
	{
		case SAGA_OUTBOX_HTTP:
			ok = resolve_http(entry, resolved, &rest) && require_kind(entry, resolved, SAGA_DESTINATION_HTTP);
			break;
		case SAGA_OUTBOX_SNS:
			ok = resolve_aws(entry, resolved) && require_kind(entry, resolved, SAGA_DESTINATION_SNS);
			break;
		case SAGA_OUTBOX_SQS:
			ok = resolve_aws(entry, resolved) && require_kind(entry, resolved, SAGA_DESTINATION_SQS);
			break;
		default:
			ok = resolve_publish(entry, resolved);
	}
	if (!ok || !hold_destination(entry, resolved))
		return false;
	if (resolved->destination->kind != SAGA_DESTINATION_HTTP)
		return saga_request_check_aws(entry, resolved);
	return saga_request_check_http(entry, resolved, rest);
}
