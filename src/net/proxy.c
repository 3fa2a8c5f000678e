/*
 * proxy.c
 *		Which requests go through pg_saga.proxy.
 *
 * The lists are ours and not libcurl's, because the guard must know whether
 * the address that is connected to is the proxy's: what goes through it is
 * resolved there, and what it reaches is for whoever runs it to say.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "common/guc.h"
#include "net/proxy_private.h"

/* As libcurl understands the URL, "2130706433" is 127.0.0.1; without the brackets of IPv6. */
static bool
get_host(const char *url, char *host, size_t size)
{
	CURLU	   *parsed = curl_url();
	char	   *text = NULL;
	bool		ok = false;

	if (parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(parsed, CURLUPART_HOST, &text, 0) == CURLUE_OK)
	{
		size_t		bracket = text[0] == '[' ? 1 : 0;
		size_t		len = strlen(text) - 2 * bracket;

		ok = len < size;
		if (ok)
			strlcpy(host, text + bracket, len + 1);
	}
	curl_free(text);
	curl_url_cleanup(parsed);
	return ok;
}

/* Is it this machine itself, as far as its name says? */
static bool
is_loopback(const char *host)
{
	return pg_strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
		strcmp(host, "::1") == 0;
}

/* The host itself, a domain above it (with or without a dot before it), or "*". */
static bool
is_listed(const char *host, const char *list)
{
	size_t		host_len = strlen(host);
	const char *p = list;

	while (*(p += strspn(p, ", ")) != '\0')
	{
		size_t		len = strcspn(p, ", ");
		const char *entry = *p == '.' ? p + 1 : p;
		size_t		n = len - (entry - p);

		if (len == 1 && *p == '*')
			return true;
		if (n > 0 && host_len >= n && pg_strncasecmp(host + host_len - n, entry, n) == 0 &&
			(host_len == n || host[host_len - n - 1] == '.'))
			return true;
		p += len;
	}
	return false;
}

bool
saga_proxy_serves(const char *url, const SagaGuard *guard)
{
	char		host[256];
	SagaCidr	address;

	if (saga_proxy[0] == '\0' || !get_host(url, host, sizeof(host)) || is_listed(host, saga_no_proxy))
		return false;

	/*
	 * loopback would be the proxy's own; of what the guard refuses, it is
	 * asked once more
	 */
	return !is_loopback(host) &&
		(!saga_cidr_parse(host, &address) || saga_guard_allows_text(guard, host));
}
