/*
 * url.c
 *		URLs: taken apart, compared and written.
 *
 * The task's own URL is never fetched.  It only selects a destination and a
 * path below it, so two URLs must mean the same to us and to every server:
 * what can be read in two ways (userinfo, dot segments, also percent-encoded,
 * backslashes, control characters) is refused.
 *
 * saga_url_parse takes a URL apart; saga_url_covers decides which destination
 * a task's URL belongs to.  Nothing is decoded and encoded again: texts stay
 * as they were written, but for the case of the host.
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "common/text.h"
#include "net/url.h"

void
saga_url_encode(StringInfo out, const char *text, int len)
{
	static const char hex[] = "0123456789ABCDEF";

	for (int i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			c == '-' || c == '_' || c == '.' || c == '~')
			appendStringInfoChar(out, c);
		else
		{
			appendStringInfoChar(out, '%');
			appendStringInfoChar(out, hex[c >> 4]);
			appendStringInfoChar(out, hex[c & 15]);
		}
	}
}

bool
saga_url_is_dot_segment(const char *segment, int len)
{
	int			dots = 0;
	int			i = 0;

	while (i < len)
	{
		if (segment[i] == '.')
			i++;
		else if (i + 2 < len && segment[i] == '%' && segment[i + 1] == '2' &&
				 (segment[i + 2] == 'e' || segment[i + 2] == 'E'))
			i += 3;
		else
			return false;
		dots++;
	}
	return dots == 1 || dots == 2;
}

/* %2F and %5C count as separators here: a server may decode before it splits. */
static int
separator_length(const char *p)
{
	if (*p == '/' || *p == '\\')
		return 1;
	if (p[0] == '%' && ((p[1] == '2' && (p[2] == 'f' || p[2] == 'F')) ||
						(p[1] == '5' && (p[2] == 'c' || p[2] == 'C'))))
		return 3;
	return 0;
}

/* Is one of the path's segments "." or "..", however it is written? */
static bool
has_dot_segment(const char *path, const char *end)
{
	const char *segment = path;
	const char *p = path;

	while (p < end)
	{
		int			sep = separator_length(p);

		if (sep == 0)
		{
			p++;
			continue;
		}
		if (saga_url_is_dot_segment(segment, p - segment))
			return true;
		p += sep;
		segment = p;
	}
	return saga_url_is_dot_segment(segment, end - segment);
}

const char *
saga_url_check_path(const char *text, SagaTemplateCheck templates)
{
	const char *end = text + strcspn(text, "?");
	const char *p;

	for (p = text; *p; p++)
	{
		if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
			return "holds a character that must be percent-encoded";
		if (strchr("\"<>\\^`|", *p) != NULL)
			return "holds a character that must be percent-encoded";
		if (*p == '#')
			return "must not have a fragment";
		if (*p == '%' && (saga_hex_digit(p[1]) < 0 || saga_hex_digit(p[2]) < 0))
			return "holds a \"%\" that is not followed by two hexadecimal digits";
		if (*p == '{' || *p == '}')
		{
			const char *close;

			if (templates == NULL)
				return "holds a brace that must be percent-encoded";
			close = (*p == '{') ? strchr(p, '}') : NULL;
			if (close == NULL || close == p + 1)
				return "holds a brace that is not part of a {name}";
			p = close;
		}
	}
	if (has_dot_segment(text, end))
		return "must not have \".\" or \"..\" as a path segment";
	if (strstr(text, "{secret:") != NULL)
		return "must not hold a secret; use a header";
	return templates != NULL ? templates(text) : NULL;
}

/* NULL, or what is wrong with it. */
static const char *
parse_port(const char *p, const char *end, SagaUrl *url)
{
	long		port = 0;

	if (p == end)
		return "has an empty port";
	for (; p < end; p++)
	{
		if (*p < '0' || *p > '9')
			return "has a port that is not a number";
		port = port * 10 + (*p - '0');
		if (port > 65535)
			return "has a port above 65535";
	}
	if (port == 0)
		return "has port 0";
	url->port = (int) port;
	return NULL;
}

/* What stands between the brackets; a zone is none that others know. */
static bool
is_ipv6(const char *text, size_t len)
{
	char		address[INET6_ADDRSTRLEN];
	struct in6_addr parsed;

	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	return inet_pton(AF_INET6, address, &parsed) == 1;
}

/* The host and the port; NULL, or what is wrong with them. */
static const char *
parse_authority(const char *p, const char *end, SagaUrl *url)
{
	const char *host_end = p;
	char	   *c;

	if (memchr(p, '@', end - p) != NULL)
		return "must not hold a user name or password; use a header with a {secret:...} reference";
	if (*p == '[')
	{
		host_end = memchr(p, ']', end - p);
		if (host_end == NULL)
			return "has an IPv6 address without its closing bracket";
		host_end++;
		if (!is_ipv6(p + 1, host_end - p - 2))
			return "has an IPv6 address that is none";
	}
	else
	{
		while (host_end < end && (saga_is_ascii_alnum(*host_end) || *host_end == '-' ||
								  *host_end == '.' || *host_end == '_'))
			host_end++;
	}
	if (host_end == p)
		return "has no host name";
	if (host_end < end && *host_end != ':')
		return "has a host name with a character that is not allowed there";
	url->host = pnstrdup(p, host_end - p);
	for (c = url->host; *c; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	url->port = url->https ? 443 : 80;
	if (host_end < end)
		return parse_port(host_end + 1, end, url);
	return NULL;
}

const char *
saga_url_parse(const char *text, SagaTemplateCheck templates, SagaUrl *url)
{
	const char *p;
	const char *end;
	const char *error;
	const char *query;

	memset(url, 0, sizeof(*url));
	if (pg_strncasecmp(text, "https://", 8) == 0)
		url->https = true;
	else if (pg_strncasecmp(text, "http://", 7) != 0)
		return "must begin with https:// or http://";
	p = text + (url->https ? 8 : 7);
	end = p + strcspn(p, "/?#");
	error = parse_authority(p, end, url);

	/*
	 * the rest of the text is path and query, with the same rules as those
	 * that a task may add
	 */
	if (error == NULL)
		error = saga_url_check_path(end, templates);
	if (error != NULL)
		return error;
	query = strchr(end, '?');
	url->path = query ? pnstrdup(end, query - end) : pstrdup(end);
	url->query = query ? pstrdup(query + 1) : NULL;
	url->templates = strchr(end, '{') != NULL;
	return NULL;
}

bool
saga_url_covers(const SagaUrl *base, const SagaUrl *full, char **rest)
{
	size_t		len = strlen(base->path);
	const char *tail;

	/* a path that is filled in covers nothing: what it is is known only later */
	if (base->templates || base->https != full->https || base->port != full->port ||
		strcmp(base->host, full->host) != 0)
		return false;
	/* a slash at the end of the base makes no difference */
	while (len > 0 && base->path[len - 1] == '/')
		len--;
	if (strncmp(base->path, full->path, len) != 0)
		return false;
	tail = full->path + len;
	if (*tail != '\0' && *tail != '/')
		return false;
	/* "http://host" and "http://host/" are the same */
	if (strcmp(tail, "/") == 0 && (len == 0 || base->path[len] == '/'))
		tail = "";
	/* a query of the base's own ends it: only itself lies below */
	if (base->query != NULL &&
		(*tail != '\0' || full->query == NULL || strcmp(base->query, full->query) != 0))
		return false;
	if (full->query != NULL && base->query == NULL)
		*rest = psprintf("%s?%s", tail, full->query);
	else
		*rest = pstrdup(tail);
	return true;
}
