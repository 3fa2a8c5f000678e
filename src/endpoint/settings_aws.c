/*
 * settings_aws.c
 *		Settings of destinations at AWS: credentials, region, and what can be
 *		signed.
 */
#include "postgres.h"

#include "endpoint/aws.h"
#include "endpoint/settings_private.h"
#include "net/secret.h"

/* "credentials": {"secret": NAME}, beside which nothing else can be meant. */
void
saga_settings_credentials_secret(SagaSettingsState *state, const char *path)
{
	SagaDestination *destination = state->destination;

	if (destination->credentials_secret[0] == '\0')
		saga_settings_fault(state, path, "must not be empty");
	else if (destination->credentials_file != NULL || destination->profile != NULL)
		saga_settings_fault(state, path, "cannot be given beside a file or a profile");
	else
		destination->secrets = lappend(destination->secrets, destination->credentials_secret);
}

void
saga_settings_check_region(SagaSettingsState *state)
{
	const char *region = state->destination->region;

	if (region != NULL &&
		(region[0] == '\0' || strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(region)))
		saga_settings_fault(state, "$.region", "must be the name of a region");
}

/* Whose credentials are used: only some roles may use the server's own. */
void
saga_settings_note_credentials(SagaSettingsState *state)
{
	SagaDestination *destination = state->destination;

	if (destination->credentials_file != NULL || destination->profile != NULL)
		destination->uses_files = true;
	else if (destination->credentials_secret == NULL)
		destination->uses_environment = true;
}

/*
 * What of one request libcurl could not sign: its path, and its headers as
 * they are written.  References in the path stand in braces here and are
 * looked at again when they are filled in.
 */
static void
check_request(SagaSettingsState *state, const char *path, const SagaRequestSpec *spec)
{
	int			i;

	if (spec->url.path != NULL &&
		strspn(spec->url.path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._~-{}[]") !=
		strlen(spec->url.path))
		saga_settings_fault(state, strcmp(path, "$") == 0 ? "$.url" : saga_settings_path(path, "url"),
							"has a path with a character other than letters, digits and / . _ ~ -, which would be signed wrongly");
	for (i = 0; i < spec->nheaders; i++)
	{
		const SagaHeader *header = &spec->headers[i];
		const char *wrong = saga_endpoint_aws_check_header(header->name, header->value);

		if (wrong != NULL)
			saga_settings_fault(state, saga_settings_path(saga_settings_path(path, "headers"), header->name), wrong);
	}
}

/* Everything is parsed; the look-up, the poll and the compensation are signed too. */
void
saga_settings_finish_sigv4(SagaSettingsState *state)
{
	SagaDestination *destination = state->destination;
	const char *service = destination->auth.service;

	if (service == NULL)
		saga_settings_fault(state, "$.auth.service", "is missing");
	else if (service[0] == '\0' || strspn(service, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(service))
		saga_settings_fault(state, "$.auth.service", "must be the name of a service, such as \"execute-api\"");
	else if (strcmp(service, "s3") == 0)
		saga_settings_fault(state, "$.auth.service", "cannot be s3, which wants a hash that is not sent");
	saga_settings_check_region(state);
	saga_settings_note_credentials(state);
	check_request(state, "$", &destination->request);
	if (destination->lookup != NULL)
		check_request(state, "$.lookup", &destination->lookup->request);
	if (destination->poll != NULL)
		check_request(state, "$.poll", &destination->poll->request);
	if (destination->compensation != NULL)
	{
		check_request(state, "$.compensate", &destination->compensation->request);
		if (destination->compensation->other != NULL)
			check_request(state, "$.compensate.else", destination->compensation->other);
	}
}
