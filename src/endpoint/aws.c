/*
 * aws.c
 *		What all services of AWS have in common: signature, credentials, error
 *		codes, the trace.
 *
 * libcurl signs (Signature Version 4), and does so rightly in a narrow lane
 * only, which the functions here keep requests in: the body given as a whole,
 * the query sorted and encoded in one way, no character in the path that
 * would have to be encoded twice, headers in ASCII, none empty, none twice.
 *
 * Begin reading with saga_endpoint_aws_sign_request: it checks the headers, gets the
 * credentials, and tells libcurl what to sign with.  The URL was brought into
 * its form when the request was composed (saga_endpoint_aws_normalize_url).  Answers
 * are read for their error code alone, which stands in another place for each
 * protocol of AWS.
 */
#include "postgres.h"

#include <curl/curl.h>
#include <time.h>

#include "endpoint/aws.h"
#include "endpoint/aws_private.h"
#include "net/header.h"
#include "net/json.h"
#include "net/url.h"
#include "net/xml.h"
#include "utils/timestamp.h"

/* Services allow five minutes. */
#define SAGA_CLOCK_SKEW_S		60
#define SAGA_SKEW_LOG_MS		60000

/* ---------- the signature ---------- */

SagaAwsSource
saga_endpoint_aws_source(const SagaDestination *destination)
{
	SagaAwsSource source = {0};

	source.secret = destination->credentials_secret;
	source.file = destination->credentials_file;
	source.profile = destination->profile;
	source.region = destination->region;
	return source;
}

/* Its secrets must be the caller's before anything else can go wrong. */
static void
own_secrets(List **secrets, SagaCredentials *credentials)
{
	*secrets = lappend(*secrets, credentials->secret_key);
	if (credentials->session_token != NULL)
		*secrets = lappend(*secrets, credentials->session_token);
}

/* They go into headers as they are. */
static bool
can_be_sent(const char *text)
{
	const char *p;

	for (p = text; *p; p++)
	{
		if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
			return false;
	}
	return true;
}

/* libcurl adds a type to an empty body, and would not sign it. */
static bool
needs_content_type(const SagaHttpRequest *request)
{
	static const char *const bare[] = {"GET", "HEAD", "OPTIONS", "DELETE"};
	int			i;

	for (i = 0; i < lengthof(bare); i++)
	{
		if (strcmp(request->method, bare[i]) == 0)
			return false;
	}
	return true;
}

/*
 * NULL, or which header cannot be signed.  Adds a type of content where
 * libcurl would add one behind our back.
 */
static char *
check_headers(SagaHttpRequest *request)
{
	bool		needs_type = needs_content_type(request);
	ListCell   *lc;

	foreach(lc, request->headers)
	{
		const char *line = lfirst(lc);
		const char *colon = strchr(line, ':');
		const char *wrong;
		char	   *name;

		if (colon == NULL)
			continue;
		name = pnstrdup(line, colon - line);
		wrong = saga_endpoint_aws_check_header(name, colon + 1);
		if (wrong != NULL)
			return psprintf("header \"%s\" %s", name, wrong);
		needs_type &= pg_strcasecmp(name, "Content-Type") != 0;
	}
	if (needs_type)
		request->headers = lappend(request->headers, pstrdup("Content-Type: application/octet-stream"));
	return NULL;
}

SagaReadiness
saga_endpoint_aws_sign_request(SagaHttpRequest *request, List **secrets, const SagaAwsSource *source,
							   const char *region, const char *service, SagaHttp *http, char **error)
{
	SagaCredentials credentials;
	SagaReadiness readiness;

	*error = check_headers(request);
	if (region == NULL)
		region = saga_aws_region();
	if (*error == NULL && region == NULL)
		*error = pstrdup("there is no region: neither the settings nor AWS_REGION or AWS_DEFAULT_REGION have one");
	if (*error != NULL)
		return SAGA_READY_NEVER;
	readiness = saga_aws_credentials(source, http, &credentials, error);
	if (readiness != SAGA_READY_NOW)
		return readiness;
	own_secrets(secrets, &credentials);
	if (!can_be_sent(credentials.access_key) ||
		(credentials.session_token != NULL && !can_be_sent(credentials.session_token)))
	{
		*error = pstrdup("the AWS credentials hold a character that no key and no token has");
		return SAGA_READY_NEVER;
	}
	if (credentials.session_token != NULL)
		request->headers = lappend(request->headers,
								   psprintf("X-Amz-Security-Token: %s", credentials.session_token));
	request->sigv4 = psprintf("aws:amz:%s:%s", region, service);
	request->access_key = credentials.access_key;
	request->secret_key = credentials.secret_key;
	return SAGA_READY_NOW;
}

SagaReadiness
saga_endpoint_aws_sign(SagaExchange *exchange, const SagaAwsSource *source, const char *region,
					   const char *service, SagaHttp *http, char **error)
{
	return saga_endpoint_aws_sign_request(&exchange->http, &exchange->secrets, source, region, service, http, error);
}

const char *
saga_endpoint_aws_check_header(const char *name, const char *value)
{
	static const char *const own[] = {
		"Authorization", "Host", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256"
	};
	const char *p;
	int			i;

	for (i = 0; i < lengthof(own); i++)
	{
		if (pg_strcasecmp(name, own[i]) == 0)
			return "is set by the signature";
	}
	if (value[strspn(value, " \t")] == '\0')
		return "is empty, and could not be signed";
	for (p = value; *p; p++)
	{
		if (IS_HIGHBIT_SET(*p))
			return "holds a character beyond ASCII, and could not be signed";
	}
	return NULL;
}

/* ---------- the URL ---------- */

typedef struct Parameter
{
	char	   *key;			/* encoded */
	char	   *value;
} Parameter;

/*
 * By bytes, as the signature's rules have it; of equal keys by their values.
 */
static int
compare_parameters(const void *a, const void *b)
{
	const Parameter *x = a;
	const Parameter *y = b;
	int			order = strcmp(x->key, y->key);

	return order != 0 ? order : strcmp(x->value, y->value);
}

/* -1: no hexadecimal digit. */
static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* Decoded, where "+" is a space, and encoded anew. */
static char *
encode_anew(const char *text, size_t len)
{
	StringInfoData plain;
	StringInfoData out;
	size_t		i;

	initStringInfo(&plain);
	for (i = 0; i < len; i++)
	{
		if (text[i] == '%' && i + 2 < len && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0)
		{
			appendStringInfoChar(&plain, (char) (hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
			i += 2;
		}
		else
			appendStringInfoChar(&plain, text[i] == '+' ? ' ' : text[i]);
	}
	initStringInfo(&out);
	saga_url_encode(&out, plain.data, plain.len);
	return out.data;
}

/*
 * Appends the query, with "?" before it unless it is empty.  A parameter
 * without a value gets the empty one.
 */
static void
append_sorted(StringInfo out, const char *query)
{
	int			max = 1;
	int			n = 0;
	const char *p;
	Parameter  *parameters;
	int			i;

	for (p = query; *p; p++)
		max += *p == '&';
	parameters = palloc(mul_size(max, sizeof(Parameter)));
	while (*query)
	{
		size_t		len = strcspn(query, "&");
		size_t		key_len = Min(strcspn(query, "="), len);

		if (len > 0)
		{
			parameters[n].key = encode_anew(query, key_len);
			parameters[n].value = key_len < len ?
				encode_anew(query + key_len + 1, len - key_len - 1) : pstrdup("");
			n++;
		}
		query += len + (query[len] == '&' ? 1 : 0);
	}
	qsort(parameters, n, sizeof(Parameter), compare_parameters);
	for (i = 0; i < n; i++)
		appendStringInfo(out, "%c%s=%s", i == 0 ? '?' : '&', parameters[i].key, parameters[i].value);
}

char *
saga_endpoint_aws_normalize_url(const char *url, char **error)
{
	const char *host = strstr(url, "://");
	const char *path = host != NULL ? strchr(host + 3, '/') : NULL;
	size_t		len;
	StringInfoData out;

	*error = NULL;
	path = path != NULL ? path : url + strlen(url);
	len = strcspn(path, "?");
	if (strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._~-") < len)
	{
		*error = pstrdup("the URL has a path with a character other than letters, digits and / . _ ~ -, which would be signed wrongly");
		return NULL;
	}
	initStringInfo(&out);
	appendBinaryStringInfo(&out, url, path + len - url);
	if (path[len] == '?')
		append_sorted(&out, path + len + 1);
	return out.data;
}

/* ---------- answers ---------- */

/*
 * A name that ends with "*" stands for all that begin so: services add
 * "Exception" to a code, or do not.
 */
static bool
is_one_of(const char *code, const char *const *list, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		size_t		len = strlen(list[i]);

		/* "Throttling*" */
		if (list[i][len - 1] == '*' ? strncmp(code, list[i], len - 1) == 0 : strcmp(code, list[i]) == 0)
			return true;
	}
	return false;
}

/*
 * Codes are those of SNS and SQS, and of KMS, which stands behind topics and
 * queues that are encrypted.  Rights and a missing topic count as credentials:
 * an operator repairs them, and the messages wait.
 */
SagaClass
saga_endpoint_aws_class(const char *code, int status)
{
	static const char *const retry[] = {
		"Throttl*", "RequestThrottled*", "TooManyRequests*", "OverLimit*", "KMSThrottling*",
		"RequestLimitExceeded"
	};
	static const char *const uncertain[] = {
		"InternalFailure*", "InternalError*", "InternalServerError*", "ServiceUnavailable*"
	};
	static const char *const auth[] = {
		"ExpiredToken*", "InvalidClientTokenId*", "InvalidToken*", "UnrecognizedClient*",
		"MissingAuthenticationToken*", "SignatureDoesNotMatch*", "InvalidSignature*", "RequestTimeTooSkewed*",
		"IncompleteSignature*", "OptInRequired", "AuthorizationError*", "AccessDenied*", "KMSAccessDenied*",
		"KMSDisabled*", "KMSOptInRequired*", "KMSInvalidState*", "KMSNotFound*", "NotFound*",
		"QueueDoesNotExist*", "AWS.SimpleQueueService.NonExistentQueue"
	};

	if (is_one_of(code, retry, lengthof(retry)) || status == 429)
		return SAGA_CLASS_RETRY;
	if (is_one_of(code, uncertain, lengthof(uncertain)) || status == 408 || status >= 500)
		return SAGA_CLASS_UNCERTAIN;
	if (is_one_of(code, auth, lengthof(auth)) || status == 401 || status == 403)
		return SAGA_CLASS_AUTH;
	return SAGA_CLASS_FATAL;
}

/* "aws.service#ExpiredTokenException:http://..." */
static char *
bare_code(const char *text)
{
	const char *hash = strrchr(text, '#');

	text = hash != NULL ? hash + 1 : text;
	return pnstrdup(text, strcspn(text, ": "));
}

/* In a header, as a member of JSON, or as an element of XML; "": nowhere. */
static char *
error_code(const SagaExchange *exchange)
{
	SagaJsonMember members[] = {{"__type"}, {"code"}, {"Code"}};
	SagaSnsAnswer *xml;
	char	   *header = saga_header_get(exchange->head, "x-amzn-ErrorType");
	int			i;

	if (header != NULL)
		return bare_code(header);
	if (saga_json_get_members(exchange->answer, exchange->answer_len, members, lengthof(members)))
	{
		for (i = 0; i < lengthof(members); i++)
		{
			if (members[i].text != NULL)
				return bare_code(members[i].text);
		}
		return pstrdup("");
	}
	xml = palloc(sizeof(SagaSnsAnswer));
	return saga_net_sns_parse(exchange->answer, exchange->answer_len, xml) ? bare_code(xml->code) : pstrdup("");
}

/*
 * A code goes over the status, since services answer 400 for nearly
 * everything.
 */
SagaClass
saga_endpoint_aws_class_of_answer(const SagaExchange *exchange, SagaClass class)
{
	static const char *const auth[] = {
		"MissingAuthenticationToken*", "RequestTimeTooSkewed*", "IncompleteSignature*", "AccessDenied*"
	};
	char	   *code;

	if (exchange->head == NULL || exchange->transport.status < 400)
		return class;
	code = error_code(exchange);
	if (saga_aws_is_credentials_error(code) || is_one_of(code, auth, lengthof(auth)))
		return SAGA_CLASS_AUTH;
	return saga_endpoint_aws_class(code, 0) == SAGA_CLASS_RETRY ? SAGA_CLASS_RETRY : class;
}

/*
 * Told at most once a minute by one process: each request of each destination
 * would say the same.
 */
static void
log_clock_skew(const SagaExchange *exchange)
{
	static TimestampTz logged_at = 0;
	char	   *date = saga_header_get(exchange->head, "Date");
	time_t		theirs = date != NULL ? curl_getdate(date, NULL) : (time_t) -1;
	int64		skew = (int64) time(NULL) - (int64) theirs;
	TimestampTz now = GetCurrentTimestamp();

	if (theirs == (time_t) -1 || (skew < SAGA_CLOCK_SKEW_S && skew > -SAGA_CLOCK_SKEW_S) ||
		now < TimestampTzPlusMilliseconds(logged_at, SAGA_SKEW_LOG_MS))
		return;
	logged_at = now;
	ereport(LOG,
			(errmsg("the clock of this server is " INT64_FORMAT " seconds %s that of the service of destination \"%s\"",
					skew < 0 ? -skew : skew, skew < 0 ? "behind" : "ahead of", exchange->destination->name),
			 errhint("Signatures are refused when clocks differ by more than five minutes.")));
}

bool
saga_endpoint_aws_refused(SagaExchange *exchange)
{
	SagaAwsSource source = saga_endpoint_aws_source(exchange->destination);
	char	   *code;

	if (exchange->head == NULL || exchange->http.access_key == NULL)
		return false;
	log_clock_skew(exchange);
	code = error_code(exchange);
	return saga_aws_is_credentials_error(code) &&
		saga_aws_credentials_refused(&source, exchange->http.access_key);
}

/* ---------- the trace ---------- */

char *
saga_endpoint_aws_traceparent(const pg_uuid_t *execution_id, const pg_uuid_t *idempotency_key)
{
	StringInfoData out;
	int			i;

	initStringInfo(&out);
	appendStringInfoString(&out, "00-");
	for (i = 0; i < UUID_LEN; i++)
		appendStringInfo(&out, "%02x", execution_id->data[i]);
	appendStringInfoChar(&out, '-');
	/* the second half: the first one is a time, and the same for many */
	for (i = UUID_LEN / 2; i < UUID_LEN; i++)
		appendStringInfo(&out, "%02x", idempotency_key->data[i]);
	appendStringInfoString(&out, "-01");
	Assert(out.len == SAGA_TRACEPARENT_LEN);
	return out.data;
}
