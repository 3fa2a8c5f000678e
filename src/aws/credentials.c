/*
 * credentials.c
 *		AWS credentials: the environment of the server, or a shared credentials
 *		file as the AWS command line has it.
 */
#include "postgres.h"

#include "aws/credentials.h"
#include "net/secret.h"

#define SAGA_CREDENTIALS_MAX_BYTES (1024 * 1024)

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

static char *
parse_file(char *data, const char *profile, SagaCredentials *credentials)
{
	char	   *rest = data;
	char	   *line;
	bool		inside = false;
	bool		found = false;

	while ((line = strsep(&rest, "\n")) != NULL)
	{
		char	   *value;

		line = trim(line);
		if (*line == '[')
		{
			inside = is_section(line, profile);
			found |= inside;
			continue;
		}
		value = strchr(line, '=');
		if (!inside || *line == '#' || *line == ';' || value == NULL)
			continue;
		*value++ = '\0';
		line = trim(line);
		value = trim(value);
		if (strcmp(line, "aws_access_key_id") == 0)
			credentials->access_key = pstrdup(value);
		else if (strcmp(line, "aws_secret_access_key") == 0)
			credentials->secret_key = pstrdup(value);
		else if (strcmp(line, "aws_session_token") == 0)
			credentials->session_token = pstrdup(value);
	}
	if (!found)
		return psprintf("the credentials file has no profile \"%s\"", profile);
	return NULL;
}

static char *
read_file(const char *file, const char *profile, SagaCredentials *credentials)
{
	char	   *error;
	char	   *data = saga_secret_read_file(file, SAGA_CREDENTIALS_MAX_BYTES, &error);
	size_t		len;

	if (data == NULL)
		return error;
	len = strlen(data);
	error = parse_file(data, profile, credentials);
	explicit_bzero(data, len);
	pfree(data);
	return error;
}

static char *
copy_variable(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? pstrdup(value) : NULL;
}

char *
saga_credentials_read(const char *file, const char *profile, SagaCredentials *credentials)
{
	char	   *error = NULL;
	char	   *default_file = copy_variable("AWS_SHARED_CREDENTIALS_FILE");
	bool		named = file != NULL || profile != NULL;

	memset(credentials, 0, sizeof(*credentials));
	if (!named)
	{
		credentials->access_key = copy_variable("AWS_ACCESS_KEY_ID");
		credentials->secret_key = copy_variable("AWS_SECRET_ACCESS_KEY");
		credentials->session_token = copy_variable("AWS_SESSION_TOKEN");
	}
	if (credentials->access_key == NULL || credentials->secret_key == NULL)
	{
		memset(credentials, 0, sizeof(*credentials));
		if (file == NULL)
			file = default_file;
		if (profile == NULL)
			profile = copy_variable("AWS_PROFILE");
		if (profile == NULL)
			profile = "default";
		if (file == NULL && named && getenv("HOME") != NULL)
			file = psprintf("%s/.aws/credentials", getenv("HOME"));
		if (file == NULL)
			return pstrdup("there are no AWS credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor AWS_SHARED_CREDENTIALS_FILE is set");
		error = read_file(file, profile, credentials);
	}
	if (error == NULL && (credentials->access_key == NULL || credentials->secret_key == NULL ||
						  credentials->access_key[0] == '\0' || credentials->secret_key[0] == '\0'))
		error = pstrdup("the AWS credentials have no access key or no secret key");
	return error;
}
