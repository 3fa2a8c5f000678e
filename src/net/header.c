/*
 * header.c
 *		Headers of HTTP: which can be sent, and what an answer has.
 *
 * Names are compared without regard to case, in ASCII alone.  An answer's
 * head is text with CR LF between its lines, the status line first; a header
 * may come several times, of which the first is given.
 */
#include "postgres.h"

#include "common/text.h"
#include "net/header.h"

bool
saga_header_is_secret(const char *name)
{
	static const char *const secret[] = {
		"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "apikey",
		"x-auth-token", "x-access-token", "x-amz-security-token", "x-functions-key",
		"ocp-apim-subscription-key", "private-token", "x-csrf-token"
	};
	int			i;

	for (i = 0; i < lengthof(secret); i++)
	{
		if (pg_strcasecmp(name, secret[i]) == 0)
			return true;
	}
	return false;
}

const char *
saga_header_check_name(const char *name)
{
	/* what the publisher sets itself, or what would change the framing */
	static const char *const own[] = {
		"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te",
		"trailer", "keep-alive", "proxy-connection"
	};
	const char *p;
	int			i;

	if (name[0] == '\0' || strlen(name) > 128)
		return "is not the name of a header";
	for (p = name; *p; p++)
	{
		if (!saga_is_ascii_alnum(*p) && strchr("!#$%&'*+-.^_`|~", *p) == NULL)
			return "is not the name of a header";
	}
	for (i = 0; i < lengthof(own); i++)
	{
		if (pg_strcasecmp(name, own[i]) == 0)
			return "is a header that cannot be set";
	}
	return NULL;
}

/* libcurl would pass a CR LF on: a header of somebody else's choice. */
const char *
saga_header_check_value(const char *value)
{
	const char *p;

	if (value[0] == '\0' || strspn(value, " \t") == strlen(value))
		return "must not be empty";
	for (p = value; *p; p++)
	{
		if (((unsigned char) *p < ' ' && *p != '\t') || *p == 0x7f)
			return "must not hold a control character";
	}
	return strlen(value) > 8192 ? "is longer than 8192 bytes" : NULL;
}

char *
saga_header_get(const char *head, const char *name)
{
	size_t		len = strlen(name);
	const char *line = head;

	while (line != NULL && *line)
	{
		if (pg_strncasecmp(line, name, len) == 0 && line[len] == ':')
		{
			const char *value = line + len + 1;
			size_t		value_len = strcspn(value, "\r\n");

			while (value_len > 0 && (*value == ' ' || *value == '\t'))
			{
				value++;
				value_len--;
			}
			while (value_len > 0 && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t'))
				value_len--;
			return pnstrdup(value, value_len);
		}
		line = strchr(line, '\n');
		if (line != NULL)
			line++;
	}
	return NULL;
}
