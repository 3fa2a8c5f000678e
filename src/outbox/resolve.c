/*
 * resolve.c
 *		Which destination a request is for, and may this role use it.
 *
 * No URL of a payload is ever fetched: it selects one destination, which the
 * role must be allowed to use, and a path below that destination's URL.
 */
#include "postgres.h"

#include "outbox/doc.h"
#include "outbox/request.h"
#include "utils/acl.h"
#include "utils/builtins.h"

bool
saga_reject(SagaResolved *resolved, const char *error, const char *fmt,...)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&buf, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&buf, needed);
	}
	resolved->error = error;
	resolved->cause = buf.data;
	return false;
}

/* A destination of another role is not told apart from none. */
static bool
use_named(const SagaOutboxEntry *entry, const char *name, SagaResolved *resolved)
{
	SagaDestination *destination = saga_destination_by_name(name);

	if (destination == NULL || !has_privs_of_role(entry->role, destination->owner))
		return saga_reject(resolved, "States.Runtime",
						   "destination \"%s\" does not exist or is not yours to use", name);
	resolved->destination = destination;
	return true;
}

/* The destination of a topic or a queue. */
static bool
use_aws(const SagaOutboxEntry *entry, SagaDestinationKind kind, const char *what, const char *name,
		SagaResolved *resolved)
{
	ListCell   *lc;
	int			nusable = 0;
	int			nown = 0;
	SagaDestination *own = NULL;

	foreach(lc, saga_destination_list())
	{
		SagaDestination *destination = lfirst(lc);

		if (destination->kind != kind ||
			strcmp(kind == SAGA_DESTINATION_SNS ? destination->topic_arn : destination->queue_url, name) != 0 ||
			!has_privs_of_role(entry->role, destination->owner))
			continue;
		resolved->destination = destination;
		nusable++;
		if (destination->owner == entry->role)
		{
			own = destination;
			nown++;
		}
	}
	if (nusable > 1 && nown == 1)
	{
		resolved->destination = own;
		nusable = 1;
	}
	if (nusable == 0)
		return saga_reject(resolved, "States.Runtime",
						   "no destination that you may use has the %s \"%s\"", what, name);
	if (nusable > 1)
		return saga_reject(resolved, "States.Runtime",
						   "several destinations have the %s \"%s\"; name one as \"saga:NAME\"", what, name);
	return true;
}

static bool
use_url(const SagaOutboxEntry *entry, const char *text, SagaResolved *resolved, char **rest)
{
	ListCell   *lc;
	SagaUrl		url;
	const char *error = saga_url_parse(text, false, &url);
	SagaDestination *found = NULL;

	if (error != NULL)
		return saga_reject(resolved, "States.Runtime", "ApiEndpoint %s", error);
	foreach(lc, saga_destination_list())
	{
		SagaDestination *destination = lfirst(lc);
		char	   *tail;

		if (destination->kind != SAGA_DESTINATION_HTTP ||
			!has_privs_of_role(entry->role, destination->owner) ||
			!saga_url_covers(&destination->request.url, &url, &tail))
			continue;
		if (found != NULL)
			return saga_reject(resolved, "States.Runtime",
							   "destinations \"%s\" and \"%s\" both cover the ApiEndpoint; name one as \"saga:NAME/path\"",
							   found->name, destination->name);
		found = destination;
		*rest = tail;
	}
	if (found == NULL)
		return saga_reject(resolved, "States.Runtime",
						   "no destination that you may use covers the ApiEndpoint");
	resolved->destination = found;
	return true;
}

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
		return saga_reject(resolved, "States.Runtime", "ApiEndpoint is missing or is no string");
	named = strip_scheme(endpoint);
	if (named == NULL)
		return use_url(entry, endpoint, resolved, rest);
	len = strcspn(named, "/?#");
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
		return saga_reject(resolved, "States.Runtime", "%s is missing or is no string", member);
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
		return saga_reject(resolved, "States.Runtime", "Destination is missing or is no string");
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
	if (resolved->destination == NULL || !has_privs_of_role(entry->role, resolved->destination->owner))
		return saga_reject(resolved, "States.Runtime",
						   "destination \"%s\" does not exist or is not yours to use", name);
	return true;
}

static bool
require_kind(SagaResolved *resolved, SagaDestinationKind kind)
{
	if (resolved->destination->kind == kind)
		return true;
	return saga_reject(resolved, "States.Runtime", "destination \"%s\" is not of kind %s",
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
		return saga_reject(resolved, "States.Runtime", "the input of the task must be an object");
	switch (entry->op)
	{
		case SAGA_OUTBOX_HTTP:
			ok = resolve_http(entry, resolved, &rest) && require_kind(resolved, SAGA_DESTINATION_HTTP);
			break;
		case SAGA_OUTBOX_SNS:
			ok = resolve_aws(entry, resolved) && require_kind(resolved, SAGA_DESTINATION_SNS);
			break;
		case SAGA_OUTBOX_SQS:
			ok = resolve_aws(entry, resolved) && require_kind(resolved, SAGA_DESTINATION_SQS);
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
