/*
 * settings_object.c
 *		Objects of settings, member by member: a table says which there are and
 *		of which type, and the first fault is kept with its JSON path.
 */
#include "postgres.h"

#include <math.h>

#include "common/text.h"
#include "endpoint/settings_private.h"
#include "net/secret.h"
#include "utils/builtins.h"
#include "value/doc.h"

void
saga_settings_fault(SagaSettingsState *state, const char *path, const char *message)
{
	if (state->message == NULL)
	{
		state->path = pstrdup(path);
		state->message = message;
	}
}

void
saga_settings_refuse(SagaSettingsState *state, const char *path, const char *message)
{
	if (state->destination->refused == NULL)
		state->destination->refused = psprintf("%s %s", path, message);
}

/* Names that are no plain words are shown as $.headers["a b"]. */
char *
saga_settings_path(const char *parent, const char *name)
{
	const char *p;

	for (p = name; *p; p++)
	{
		if (!saga_is_ascii_alnum(*p) && *p != '_')
			return psprintf("%s[\"%s\"]", parent, name);
	}
	return psprintf("%s.%s", parent, name);
}

/* Numbers only: other fields are zero, which means "not given". */
void
saga_settings_defaults(const SagaSetting *table, int n, void *base)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		char	   *field = (char *) base + table[i].offset;

		if (table[i].type == SAGA_SETTING_INTEGER)
			*(int *) field = (int) table[i].initial;
		else if (table[i].type == SAGA_SETTING_NUMBER)
			*(double *) field = table[i].initial;
	}
}

void
saga_settings_number(SagaSettingsState *state, const char *path, const SagaSetting *setting, JsonbValue *value,
					 void *field)
{
	double		number;

	if (value->type != jbvNumeric)
	{
		saga_settings_fault(state, path, "must be a number");
		return;
	}
	/* every bound is far below where a double is not exact */
	number = strtod(saga_doc_text(value), NULL);
	if (setting->type == SAGA_SETTING_INTEGER && number != rint(number))
		saga_settings_fault(state, path, "must be an integer");
	else if (!(number >= setting->min && number <= setting->max))
		saga_settings_fault(state, path, psprintf("must be between %g and %.0f", setting->min, setting->max));
	else if (setting->type == SAGA_SETTING_INTEGER)
		*(int *) field = (int) number;
	else
		*(double *) field = number;
}

/*
 * Writes the value into its field, or keeps the fault.  A string may be given
 * once, at the top or in a section, as a pointer that is set tells; numbers
 * may be given again.
 */
static void
set_member(SagaSettingsState *state, const char *path, const SagaSetting *setting, JsonbValue *value,
		   void *field)
{
	switch (setting->type)
	{
		case SAGA_SETTING_STRING:
			if (value->type != jbvString)
				saga_settings_fault(state, path, "must be a string");
			else if (*(char **) field != NULL)
				saga_settings_fault(state, path, "is given twice, here and in a section");
			else
				*(char **) field = saga_doc_text(value);
			break;
		case SAGA_SETTING_BOOLEAN:
			if (value->type != jbvBool)
				saga_settings_fault(state, path, "must be true or false");
			else
				*(bool *) field = value->val.boolean;
			break;
		case SAGA_SETTING_OTHER:
			setting->parse(state, path, value, field);
			break;
		default:
			saga_settings_number(state, path, setting, value, field);
	}
}

typedef struct MembersState
{
	SagaSettingsState *state;
	const char *path;
	const SagaSetting *table;
	int			n;
	int			kind;
	void	   *base;
	const char *what;
} MembersState;

/* A name may be in the table once for each kind of destination. */
static void
parse_member(const char *name, JsonbValue *value, void *arg)
{
	MembersState *members = arg;
	char	   *path = saga_settings_path(members->path, name);
	int			i;

	for (i = 0; i < members->n; i++)
	{
		const SagaSetting *setting = &members->table[i];

		if (strcmp(setting->name, name) != 0 ||
			(setting->kinds != 0 && (setting->kinds & members->kind) == 0))
			continue;
		/* as if it were not there */
		if (value->type != jbvNull)
			set_member(members->state, path, setting, value, (char *) members->base + setting->offset);
		return;
	}
	saga_settings_fault(members->state, path, members->what);
}

/* SAGA_FOR_* of the destination's kind. */
static int
kind_bit(const SagaDestination *destination)
{
	static const int bits[] = {
		[SAGA_DESTINATION_HTTP] = SAGA_FOR_HTTP,
		[SAGA_DESTINATION_SNS] = SAGA_FOR_SNS,
		[SAGA_DESTINATION_SQS] = SAGA_FOR_SQS
	};

	return bits[destination->kind];
}

void
saga_settings_members(SagaSettingsState *state, const char *path, JsonbContainer *object,
					  const SagaSetting *table, int n, void *base, const char *what)
{
	MembersState members = {state, path, table, n, kind_bit(state->destination), base, what};

	saga_doc_each(object, parse_member, &members);
}

void
saga_settings_object(SagaSettingsState *state, const char *path, JsonbValue *value,
					 const SagaSetting *table, int n, void *base, const char *what)
{
	if (!saga_doc_is_object(value))
		saga_settings_fault(state, path, "must be an object");
	else
		saga_settings_members(state, path, value->val.binary.data, table, n, base, what);
}

/* Each answer is searched for each of them. */
#define SAGA_MAX_SECRETS	16

void
saga_settings_secrets(SagaSettingsState *state, const char *path, const char *text, bool *any)
{
	SagaSecretUse use = {0};
	const char *error = saga_secret_check(text, &use);

	if (error != NULL)
		saga_settings_fault(state, path, error);
	state->destination->uses_files |= use.file;
	state->destination->uses_environment |= use.environment;
	state->destination->sends_secrets |= use.any;
	state->destination->nsecrets += use.count;
	if (state->destination->nsecrets > SAGA_MAX_SECRETS)
		saga_settings_refuse(state, path, psprintf("makes more than %d references to secrets", SAGA_MAX_SECRETS));
	state->destination->secrets = list_concat(state->destination->secrets, use.names);
	if (any != NULL)
		*any = use.any;
}
