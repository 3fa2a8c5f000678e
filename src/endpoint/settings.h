/*
 * settings.h
 *		How settings in JSON are checked: objects, member by member.
 *
 * A section is an object with a table of its members.  Nothing here raises
 * for what settings can hold: the first fault is kept with its JSON path.
 * What sources and destinations have in common stands here, too.
 */
#ifndef SAGA_ENDPOINT_SETTINGS_H
#define SAGA_ENDPOINT_SETTINGS_H

#include "endpoint/destination.h"

#define SAGA_FOR_HTTP	1
#define SAGA_FOR_SNS	2
#define SAGA_FOR_SQS	4
#define SAGA_FOR_AWS	(SAGA_FOR_SNS | SAGA_FOR_SQS)
#define SAGA_FOR_ALL	(SAGA_FOR_HTTP | SAGA_FOR_AWS)

typedef struct SagaSettingsState
{
	SagaDestination *destination;
	JsonbContainer *settings;	/* all of them; NULL: of a source */
	char	   *path;			/* of the fault */
	const char *message;		/* NULL: no fault yet */
} SagaSettingsState;

/* field is where the member's value belongs: base + offset of its setting. */
typedef void (*saga_setting_fn) (SagaSettingsState *state, const char *path, JsonbValue *value,
								 void *field);

typedef enum SagaSettingType
{
	SAGA_SETTING_STRING,		/* char *; not given twice */
	SAGA_SETTING_INTEGER,		/* int */
	SAGA_SETTING_NUMBER,		/* double */
	SAGA_SETTING_BOOLEAN,
	SAGA_SETTING_OTHER			/* parse does it */
} SagaSettingType;

typedef struct SagaSetting
{
	const char *name;
	int			kinds;			/* SAGA_FOR_*; 0: any */
	SagaSettingType type;
	size_t		offset;			/* of the field, from base */
	double		min;			/* of numbers, as max */
	double		max;
	double		initial;		/* of numbers */
	saga_setting_fn parse;
} SagaSetting;

/* Keeps the first one.  A JSON null is as if the member were not there. */
extern void saga_settings_fault(SagaSettingsState *state, const char *path, const char *message);

extern void saga_settings_defaults(const SagaSetting *table, int n, void *base);

/* Any value: an object whose members are in the table; what: "is not a setting of ..." */
extern void saga_settings_members(SagaSettingsState *state, const char *path, JsonbContainer *object,
								  const SagaSetting *table, int n, void *base, const char *what);

/* ---------- what destinations and sources share (settings.c); fields of state->destination ---------- */

extern void saga_settings_allow_private(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);
extern void saga_settings_credentials(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);

/* What of queue_url, region, endpoint_url, credentials and ca_file hangs together; fifo. */
extern void saga_settings_finish_sqs(SagaSettingsState *state);
extern void saga_settings_finish_ca_file(SagaSettingsState *state);

#endif							/* SAGA_ENDPOINT_SETTINGS_H */
