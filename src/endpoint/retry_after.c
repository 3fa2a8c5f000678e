/*
 * retry_after.c
 *		When a server says that a request may come again.
 *
 * A header is asked first, then the body, then the settings' own default,
 * which counts for 429 alone.  What a server asks for is bounded by the
 * settings elsewhere; here it is only kept from overflowing.
 */
#include "postgres.h"

#include <curl/curl.h>
#include <time.h>

#include "endpoint/exchange.h"
#include "endpoint/exchange_private.h"
#include "endpoint/regex_private.h"
#include "mb/pg_wchar.h"
#include "net/header.h"

/* Whatever a server says: no time overflows. */
#define SAGA_MAX_RETRY_AFTER_S 1e9

/* Seconds, or a date; -1: neither. */
static int64
header_retry_after_ms(const char *text)
{
	char	   *end;
	double		seconds;
	time_t		when;

	if (text == NULL || text[0] == '\0')
		return -1;

	/*
	 * some write 1.5; what strtod knows besides, as "nan" and "0x1F", is no
	 * number of seconds
	 */
	seconds = strtod(text, &end);
	if (end != text && *end == '\0' && strspn(text, "0123456789.eE-+ ") == strlen(text))
		return seconds < 0 ? -1 : (int64) (Min(seconds, SAGA_MAX_RETRY_AFTER_S) * 1000);
	when = curl_getdate(text, NULL);
	if (when == (time_t) -1)
		return -1;
	seconds = (double) when - (double) time(NULL);
	return (int64) (Max(Min(seconds, SAGA_MAX_RETRY_AFTER_S), 0) * 1000);
}

#define SAGA_MAX_REGEX_BODY	4096

/* "Try again in 55 seconds": the first group of the expression. */
static int64
body_retry_after_ms(SagaJsonataRegex *regex, const char *body)
{
	const char *group;
	int			len;
	char		digits[32];

	if (!saga_endpoint_regex_search(regex, body, strnlen(body, SAGA_MAX_REGEX_BODY + MAX_MULTIBYTE_CHAR_LEN), SAGA_MAX_REGEX_BODY,
									&group, &len) || group == NULL)
		return -1;
	/* more digits than that make no difference: it is a very long time */
	strlcpy(digits, group, Min(len + 1, (int) sizeof(digits) / MAX_MULTIBYTE_CHAR_LEN));
	return header_retry_after_ms(digits);
}

int64
saga_exchange_retry_after_ms(const SagaExchange *exchange, SagaClass class, int status)
{
	const SagaRetryAfter *settings = &exchange->destination->retry_after;
	int64		ms;

	if (exchange->head == NULL)
		return -1;
	ms = header_retry_after_ms(saga_header_get(exchange->head, settings->header ? settings->header : "Retry-After"));
	if (ms < 0 && settings->body_regex != NULL && class != SAGA_CLASS_SUCCESS)
		ms = body_retry_after_ms(settings->body_regex, exchange->text);
	if (ms < 0 && settings->default_s > 0 && status == 429)
		ms = (int64) settings->default_s * 1000;
	return ms;
}

/* Does the answer say when the request may come again? */
bool
saga_exchange_is_put_off(const SagaExchange *exchange)
{
	return saga_exchange_retry_after_ms(exchange, SAGA_CLASS_RETRY, exchange->transport.status) >= 0;
}
