/*
 * settings_auth.c
 *		Settings that say who we are to a server: basic, bearer, a header, a
 *		token of OAuth 2, or a signature.
 *
 * auth_settings lists all members of all types, members[] says which belong
 * to which; a member of another type is a fault, because it would be thought
 * to do something.  saga_settings_finish_auth() then looks at the whole
 * destination: headers that auth sets itself, and secrets that would go over
 * http.
 */
#include "postgres.h"

#include "endpoint/oauth_private.h"
#include "endpoint/settings_private.h"
#include "net/header.h"
#include "net/secret.h"
#include "value/doc.h"

#define AUTH(f)	offsetof(SagaAuth, f)

/* In the order of SagaAuthType. */
static const char *const types[] = {
	"none", "basic", "bearer", "header", "oauth2_client_credentials", "oauth2_refresh_token", "aws_sigv4"
};

/* The field is a SagaAuthType. */
static void
parse_type(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;
	int			i;

	for (i = 0; i < lengthof(types); i++)
	{
		if (text != NULL && strcmp(text, types[i]) == 0)
		{
			*(SagaAuthType *) field = (SagaAuthType) i;
			return;
		}
	}
	saga_settings_fault(state, path,
						"must be none, basic, bearer, header, oauth2_client_credentials, oauth2_refresh_token or aws_sigv4");
}

/* The field is a bool: as basic auth, which is the default. */
static void
parse_send(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;

	if (text != NULL && strcmp(text, "form") == 0)
		*(bool *) field = false;
	else if (text == NULL || strcmp(text, "basic") != 0)
		saga_settings_fault(state, path, "must be \"basic\" or \"form\"");
}

/* A text that is a secret as a whole: never in plain. */
static void
parse_secret(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;
	bool		any = false;

	if (text == NULL)
		saga_settings_fault(state, path, "must be a string");
	else
		saga_settings_secrets(state, path, text, &any);
	if (text != NULL && !any)
		saga_settings_fault(state, path,
							"must not be a literal secret; write {secret:NAME}, {secret:file:/path} or {secret:env:NAME}");
	*(char **) field = text;
}

/* A text that may hold references to secrets, or none. */
static void
parse_text(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;

	if (text == NULL || text[0] == '\0')
		saga_settings_fault(state, path, "must be a string that is not empty");
	else
		saga_settings_secrets(state, path, text, NULL);
	*(char **) field = text;
}

/* The name of the header of type "header". */
static void
parse_name(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;
	const char *error = text != NULL ? saga_header_check_name(text) : "must be a string";

	if (error != NULL)
		saga_settings_fault(state, path, error);
	*(char **) field = text;
}

/* Not a reference: the row's value is replaced each time it is used. */
static void
parse_refresh_token(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaDestination *destination = state->destination;
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;

	if (text == NULL || saga_secret_check_reference(text) != NULL)
		saga_settings_fault(state, path, "must be the name of a secret, made with saga.set_secret");
	else
		destination->secrets = lappend(destination->secrets, text);
	*(char **) field = text;
}

static const SagaSetting auth_settings[] = {
	{"type", 0, SAGA_SETTING_OTHER, AUTH(type), 0, 0, 0, parse_type},
	{"user", 0, SAGA_SETTING_OTHER, AUTH(user), 0, 0, 0, parse_text},
	{"password", 0, SAGA_SETTING_OTHER, AUTH(password), 0, 0, 0, parse_secret},
	{"token", 0, SAGA_SETTING_OTHER, AUTH(token), 0, 0, 0, parse_secret},
	{"name", 0, SAGA_SETTING_OTHER, AUTH(name), 0, 0, 0, parse_name},
	{"value", 0, SAGA_SETTING_OTHER, AUTH(value), 0, 0, 0, parse_secret},
	{"token_url", 0, SAGA_SETTING_STRING, AUTH(token_url_text)},
	{"client_id", 0, SAGA_SETTING_OTHER, AUTH(client_id), 0, 0, 0, parse_text},
	{"client_secret", 0, SAGA_SETTING_OTHER, AUTH(client_secret), 0, 0, 0, parse_secret},
	{"scope", 0, SAGA_SETTING_STRING, AUTH(scope)},
	{"audience", 0, SAGA_SETTING_STRING, AUTH(audience)},
	{"send", 0, SAGA_SETTING_OTHER, AUTH(basic), 0, 0, 0, parse_send},
	{"refresh_token", 0, SAGA_SETTING_OTHER, AUTH(refresh_token), 0, 0, 0, parse_refresh_token},
	{"early_refresh_s", 0, SAGA_SETTING_INTEGER, AUTH(early_refresh_s), 0, 86400, 60},
	{"service", 0, SAGA_SETTING_STRING, AUTH(service)},
};

/* ---------- what belongs to which type ---------- */

typedef struct Member
{
	const char *name;
	int			needed;			/* by these types, as bits */
	int			allowed;		/* with these too */
} Member;

#define BIT(type)	(1 << SAGA_AUTH_ ## type)
#define OAUTH		(BIT(OAUTH_CLIENT) | BIT(OAUTH_REFRESH))

static const Member members[] = {
	{"user", BIT(BASIC)},
	{"password", BIT(BASIC)},
	{"token", BIT(BEARER)},
	{"name", BIT(HEADER)},
	{"value", BIT(HEADER)},
	{"token_url", OAUTH},
	{"client_id", OAUTH},
	/* an application on its own has none */
	{"client_secret", BIT(OAUTH_CLIENT), BIT(OAUTH_REFRESH)},
	{"scope", 0, OAUTH},
	{"audience", 0, OAUTH},
	{"send", 0, OAUTH},
	{"refresh_token", BIT(OAUTH_REFRESH)},
	{"early_refresh_s", 0, OAUTH},
	{"service", BIT(SIGV4)},
};

/*
 * Reports what is missing and what does not belong to the type.  A JSON null
 * is not there.
 */
static void
check_members(SagaSettingsState *state, const char *path, JsonbContainer *object, SagaAuthType type)
{
	int			i;

	for (i = 0; i < lengthof(members); i++)
	{
		const Member *member = &members[i];
		JsonbValue *value = saga_doc_get(object, member->name);
		bool		there = value != NULL && value->type != jbvNull;

		if (!there && (member->needed & (1 << type)) != 0)
			saga_settings_fault(state, saga_settings_path(path, member->name),
								psprintf("is missing; \"%s\" needs it", types[type]));
		if (there && ((member->needed | member->allowed) & (1 << type)) == 0)
			saga_settings_fault(state, saga_settings_path(path, member->name),
								psprintf("does not belong to \"%s\"", types[type]));
	}
}

void
saga_settings_auth(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaAuth   *auth = field;
	JsonbValue *type;

	auth->basic = true;
	saga_settings_defaults(auth_settings, lengthof(auth_settings), auth);
	saga_settings_object(state, path, value, auth_settings, lengthof(auth_settings), auth,
						 "is not a setting of auth");
	if (state->message != NULL)
		return;
	type = saga_doc_get(value->val.binary.data, "type");
	if (type == NULL || type->type == jbvNull)
		saga_settings_fault(state, saga_settings_path(path, "type"), "is missing");
	else
		check_members(state, path, value->val.binary.data, auth->type);
}

/* ---------- when all settings are known ---------- */

/* The header that auth of this type sets; NULL: none of its own. */
static const char *
own_header(const SagaAuth *auth)
{
	if (auth->type == SAGA_AUTH_NONE)
		return NULL;
	return auth->type == SAGA_AUTH_HEADER ? auth->name : "Authorization";
}

/*
 * A header of the settings would be sent beside that of auth, or in place of
 * it.
 */
static void
check_header_clash(SagaSettingsState *state, const char *path, const SagaRequestSpec *spec)
{
	const char *own = own_header(&state->destination->auth);
	int			i;

	for (i = 0; own != NULL && i < spec->nheaders; i++)
	{
		if (pg_strcasecmp(spec->headers[i].name, own) == 0)
			saga_settings_fault(state, saga_settings_path(path, spec->headers[i].name), "is set by auth too");
	}
}

/* The same where settings of earlier versions may hold such a header. */
static void
refuse_header_clash(SagaSettingsState *state, const char *path, const SagaRequestSpec *spec)
{
	const char *own = own_header(&state->destination->auth);

	for (int i = 0; own != NULL && i < spec->nheaders; i++)
	{
		if (pg_strcasecmp(spec->headers[i].name, own) == 0)
			saga_settings_refuse(state, saga_settings_path(path, spec->headers[i].name), "is set by auth too");
	}
}

/* Without https, unless the host is this machine or has a private address. */
static bool
is_in_the_clear(const SagaUrl *url)
{
	static const SagaGuard nothing = {0};
	const char *host = url->host;
	SagaCidr	address;

	if (url->https || host == NULL || strcmp(host, "localhost") == 0)
		return false;
	if (host[0] == '[')
		host = pnstrdup(host + 1, strlen(host) - 2);
	/* an address that is not private, or a name, which may have any address */
	return !saga_cidr_parse(host, &address) || saga_guard_allows_text(&nothing, host);
}

/* The fault of a URL that a secret would be sent to in the clear. */
static void
check_clear(SagaSettingsState *state, const char *path, const SagaUrl *url)
{
	if (is_in_the_clear(url))
		saga_settings_fault(state, path,
							"would send a secret in the clear; use https, or set allow_http to true");
}

/*
 * The token endpoint always gets secrets, the others only if auth or a
 * reference has one.
 */
static void
check_secrets_in_the_clear(SagaSettingsState *state)
{
	const SagaDestination *destination = state->destination;
	const SagaCompensation *compensation = destination->compensation;

	if (destination->allow_http)
		return;
	if (destination->auth.token_url.host != NULL)
		check_clear(state, "$.auth.token_url", &destination->auth.token_url);
	if (destination->auth.type == SAGA_AUTH_NONE && !destination->sends_secrets)
		return;
	check_clear(state, "$.url", &destination->request.url);
	if (destination->lookup != NULL)
		check_clear(state, "$.lookup.url", &destination->lookup->request.url);
	if (destination->poll != NULL)
		check_clear(state, "$.poll.url", &destination->poll->request.url);
	if (compensation != NULL)
		check_clear(state, "$.compensate.url", &compensation->request.url);
	if (compensation != NULL && compensation->other != NULL)
		check_clear(state, "$.compensate.else.url", &compensation->other->url);
}

void
saga_settings_finish_auth(SagaSettingsState *state)
{
	SagaDestination *destination = state->destination;
	SagaAuth   *auth = &destination->auth;
	const char *key = destination->idempotency.place == SAGA_KEY_HEADER ? destination->idempotency.name : NULL;

	if (auth->token_url_text != NULL)
		saga_settings_url(state, "$.auth.token_url", auth->token_url_text, false, &auth->token_url);
	check_header_clash(state, "$.headers", &destination->request);
	if (destination->lookup != NULL)
		check_header_clash(state, "$.lookup.headers", &destination->lookup->request);
	if (destination->poll != NULL)
		check_header_clash(state, "$.poll.headers", &destination->poll->request);
	if (destination->compensation != NULL)
		check_header_clash(state, "$.compensate.headers", &destination->compensation->request);
	if (destination->compensation != NULL && destination->compensation->other != NULL)
		refuse_header_clash(state, "$.compensate.else.headers", destination->compensation->other);
	if (own_header(auth) != NULL && key != NULL && pg_strcasecmp(own_header(auth), key) == 0)
		saga_settings_fault(state, "$.auth.name", "is the header of the idempotency key");
	if (state->message == NULL)
		check_secrets_in_the_clear(state);
	if (auth->type == SAGA_AUTH_OAUTH_CLIENT || auth->type == SAGA_AUTH_OAUTH_REFRESH)
		saga_oauth_identify(auth, destination->owner);
}
