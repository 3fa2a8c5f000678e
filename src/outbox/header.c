/*
 * header.c
 *		Headers of requests: which names and values can be sent.
 */
#include "postgres.h"

#include "outbox/destination.h"

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
		if (!isalnum((unsigned char) *p) && strchr("!#$%&'*+-.^_`|~", *p) == NULL)
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
