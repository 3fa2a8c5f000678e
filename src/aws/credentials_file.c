/*
 * credentials_file.c
 *		AWS credentials from the shared files of the AWS command line: static
 *		keys only.
 *
 * A profile that says more, a role to assume or a program to run, is refused
 * by name: taking its static keys would be acting as somebody else than the
 * command line does.
 */
#include "postgres.h"

#include <unistd.h>

#include "aws/credentials_private.h"
#include "net/secret.h"

typedef struct Profile
{
	const char *name;
	bool		found;
	SagaCredentials credentials;
	char	   *refused;		/* a member that is not supported */
} Profile;

/* Without white space around it, within its own memory. */
static char *
trim(char *text)
{
	char	   *end = text + strlen(text);

	while (isspace((unsigned char) *text))
		text++;
	while (end > text && isspace((unsigned char) end[-1]))
		*--end = '\0';
	return text;
}

/* "[name]" or "[profile name]" */
static bool
is_section(char *line, const char *profile)
{
	char	   *close = strchr(line, ']');
	char	   *name;

	if (close == NULL)
		return false;
	*close = '\0';
	name = trim(line + 1);
	if (strncmp(name, "profile ", 8) == 0)
		name = trim(name + 8);
	return strcmp(name, profile) == 0;
}

/* Does this setting of a profile ask for something that we do not do? */
static bool
is_refused(const char *name)
{
	static const char *const names[] = {
		"credential_process", "source_profile", "credential_source", "role_arn", "web_identity_token_file"
	};
	int			i;

	for (i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return strncmp(name, "sso_", 4) == 0;
}

/* The first file that has a member wins. */
static void
set_member(Profile *profile, const char *name, const char *value)
{
	SagaCredentials *credentials = &profile->credentials;
	char	  **field = NULL;

	if (strcmp(name, "aws_access_key_id") == 0)
		field = &credentials->access_key;
	else if (strcmp(name, "aws_secret_access_key") == 0)
		field = &credentials->secret_key;
	else if (strcmp(name, "aws_session_token") == 0)
		field = &credentials->session_token;
	else if (is_refused(name) && profile->refused == NULL)
		profile->refused = pstrdup(name);
	if (field != NULL && *field == NULL && value[0] != '\0')
		*field = pstrdup(value);
}

/* Reads the settings of one profile; the text is changed. */
static void
parse_file(char *data, Profile *profile)
{
	char	   *rest = data;
	char	   *line;
	bool		inside = false;

	while ((line = strsep(&rest, "\n")) != NULL)
	{
		char	   *value;

		line = trim(line);
		if (*line == '[')
		{
			inside = is_section(line, profile->name);
			profile->found |= inside;
			continue;
		}
		value = strchr(line, '=');
		if (!inside || *line == '#' || *line == ';' || value == NULL)
			continue;
		*value++ = '\0';
		set_member(profile, trim(line), trim(value));
	}
}

/* NULL, or an error. */
static char *
read_file(const char *path, Profile *profile)
{
	char	   *error;
	char	   *data = saga_secret_read_file(path, SAGA_AWS_MAX_BYTES, &error);
	size_t		len;

	if (data == NULL)
		return error;
	len = strlen(data);
	parse_file(data, profile);
	explicit_bzero(data, len);
	pfree(data);
	return NULL;
}

/* One of the two files that the environment, or a home directory, may have. */
static char *
read_usual_file(const char *variable, const char *below_home, Profile *profile, bool *named)
{
	const char *path = saga_aws_variable(variable);
	const char *home = saga_aws_variable("HOME");

	if (path != NULL)
	{
		*named = true;
		return read_file(path, profile);
	}
	if (home == NULL)
		return NULL;
	path = psprintf("%s/%s", home, below_home);
	return access(path, R_OK) == 0 ? read_file(path, profile) : NULL;
}

SagaAwsOutcome
saga_aws_read_files(const SagaAwsProvider *provider, SagaCredentials *credentials, char **error)
{
	const char *name = provider->profile ? provider->profile : saga_aws_variable("AWS_PROFILE");
	bool		named = name != NULL || provider->file != NULL;
	Profile		profile = {name ? name : "default"};
	SagaCredentials *found = &profile.credentials;

	*error = NULL;
	if (provider->file != NULL)
		*error = read_file(provider->file, &profile);
	else
	{
		*error = read_usual_file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", &profile, &named);
		if (*error == NULL)
			*error = read_usual_file("AWS_CONFIG_FILE", ".aws/config", &profile, &named);
	}
	if (*error == NULL && profile.refused != NULL)
		*error = psprintf("profile \"%s\" of the credentials files has \"%s\", which is not supported: only static keys are",
						  profile.name, profile.refused);
	else if (*error == NULL && (found->access_key == NULL) != (found->secret_key == NULL))
		*error = psprintf("profile \"%s\" of the credentials files has no %s", profile.name,
						  found->access_key ? "aws_secret_access_key" : "aws_access_key_id");
	else if (*error == NULL && found->access_key == NULL && named)
		*error = psprintf(profile.found ? "profile \"%s\" of the credentials files has no keys"
						  : "the credentials files have no profile \"%s\"", profile.name);
	if (*error == NULL && found->access_key != NULL)
	{
		*credentials = *found;
		return SAGA_AWS_GOT;
	}
	saga_aws_wipe(found);
	return *error != NULL ? SAGA_AWS_FAILED : SAGA_AWS_ABSENT;
}
