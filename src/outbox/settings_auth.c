/*
 * settings_auth.c
 *		Settings that say who we are to a server: basic, bearer, a header, a
 *		token of OAuth 2, or a signature.
 */
#include "postgres.h"

#include "outbox/doc.h"
#include "outbox/settings_private.h"

#define AUTH(f)	offsetof(SagaAuth, f)

/* In the order of SagaAuthType. */
static const char *const types[] = {
	"none", "basic", "bearer", "header", "oauth2_client_credentials", "oauth2_refresh_token", "aws_sigv4"
};

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

static const SagaSetting auth_settings[] = {
	{"type", 0, SAGA_SETTING_OTHER, AUTH(type), 0, 0, 0, parse_type},
	{"user", 0, SAGA_SETTING_OTHER, AUTH(user), 0, 0, 0, parse_text},
	{"password", 0, SAGA_SETTING_OTHER, AUTH(password), 0, 0, 0, parse_secret},
	{"token", 0, SAGA_SETTING_OTHER, AUTH(token), 0, 0, 0, parse_secret},
	{"name", 0, SAGA_SETTING_STRING, AUTH(name)},
	{"value", 0, SAGA_SETTING_OTHER, AUTH(value), 0, 0, 0, parse_secret},
	{"token_url", 0, SAGA_SETTING_STRING, AUTH(token_url_text)},
	{"client_id", 0, SAGA_SETTING_OTHER, AUTH(client_id), 0, 0, 0, parse_text},
	{"client_secret", 0, SAGA_SETTING_OTHER, AUTH(client_secret), 0, 0, 0, parse_secret},
	{"scope", 0, SAGA_SETTING_STRING, AUTH(scope)},
	{"audience", 0, SAGA_SETTING_STRING, AUTH(audience)},
	{"send", 0, SAGA_SETTING_OTHER, AUTH(basic), 0, 0, 0, parse_send},
	{"refresh_token", 0, SAGA_SETTING_STRING, AUTH(refresh_token)},
	{"early_refresh_s", 0, SAGA_SETTING_INTEGER, AUTH(early_refresh_s), 0, 86400, 60},
	{"service", 0, SAGA_SETTING_STRING, AUTH(service)},
};

void
saga_settings_auth(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaAuth   *auth = field;

	auth->basic = true;
	saga_settings_defaults(auth_settings, lengthof(auth_settings), auth);
	saga_settings_object(state, path, value, auth_settings, lengthof(auth_settings), auth,
						 "is not a setting of auth");
}
