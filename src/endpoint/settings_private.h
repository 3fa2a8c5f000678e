/*
 * settings_private.h
 *		The sections of a destination's settings.
 */
#ifndef SAGA_ENDPOINT_SETTINGS_PRIVATE_H
#define SAGA_ENDPOINT_SETTINGS_PRIVATE_H

#include "endpoint/settings.h"

/* settings_request.c; field is a SagaRequestSpec, which keeps what it has */
extern void saga_settings_request(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);
extern const SagaSetting *saga_settings_request_table(int *n);
extern void saga_settings_finish_request(SagaSettingsState *state, const char *path, SagaRequestSpec *spec,
										 const char *default_method);
extern void saga_settings_headers(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);
extern void saga_settings_idempotency(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);
extern void saga_settings_retry_after(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);

/* Below the same origin when it begins with "/". */
extern void saga_settings_url(SagaSettingsState *state, const char *path, const char *text, bool templates,
							  SagaUrl *url);

/* settings_object.c: a number within the bounds of its setting; field is an int or a double */
extern void saga_settings_number(SagaSettingsState *state, const char *path, const SagaSetting *setting, JsonbValue *value,
								 void *field);

/* settings_answer.c */
extern void saga_settings_uncertain_as(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);
extern void saga_settings_rules(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);
extern void saga_settings_capture(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);
extern void saga_settings_lookup(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);
extern void saga_settings_poll(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);
extern void saga_settings_compensate(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);
extern void saga_settings_finish_answers(SagaSettingsState *state);

/* settings_auth.c; field is a SagaAuth */
extern void saga_settings_auth(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);
extern void saga_settings_finish_auth(SagaSettingsState *state);

/* settings_aws.c */
extern void saga_settings_credentials_secret(SagaSettingsState *state, const char *path);
extern void saga_settings_check_region(SagaSettingsState *state);
extern void saga_settings_note_credentials(SagaSettingsState *state);
extern void saga_settings_finish_sigv4(SagaSettingsState *state);

/* settings_limits.c; field is a SagaLimits */
extern void saga_settings_limits_defaults(SagaLimits *limits);
extern void saga_settings_limits(SagaSettingsState *state, const char *path, JsonbValue *value, void *field);

/* The same of what nobody may set any more, but may be stored: it works without it then. */
extern void saga_settings_refuse(SagaSettingsState *state, const char *path, const char *message);

/* "$.headers.a" or "$.headers["a b"]" */
extern char *saga_settings_path(const char *parent, const char *name);

extern void saga_settings_object(SagaSettingsState *state, const char *path, JsonbValue *value,
								 const SagaSetting *table, int n, void *base, const char *what);

/* Notes what the references of a text need; a fault when one is wrong. */
extern void saga_settings_secrets(SagaSettingsState *state, const char *path, const char *text,
								  bool *any);

#endif							/* SAGA_ENDPOINT_SETTINGS_PRIVATE_H */
