/*
 * target.c
 *		libFuzzer's target: an expression, a NUL byte, a document.
 *
 * Whatever they are, nothing crashes and all ends within the limits; the same
 * text is read the same way twice, and gives the same twice, also when it is
 * asked where parts of it are from; a fault has a code and a message.  A document that is no JSON is none.
 */
#include "postgres.h"

#include "jsonata/jsonata.h"
#include "mb/pg_wchar.h"

#include "server.h"

/* ---------- whether a text is JSON: what the evaluator may rely on ---------- */

static const char *value_end(const char *s, const char *end, int depth);

static const char *
skip_blanks(const char *s, const char *end)
{
	while (s < end && memchr(" \t\r\n", *s, 4) != NULL)
		s++;
	return s;
}

/* Behind a string; NULL: it is none.  Half of a surrogate pair is let through, as the type json does. */
static const char *
string_end(const char *s, const char *end)
{
	for (s++; s < end && *s != '"'; s++)
	{
		if ((unsigned char) *s < 0x20)
			return NULL;
		if (*s != '\\')
			continue;
		if (++s == end)
			return NULL;
		if (*s == 'u')
		{
			for (int i = 0; i < 4; i++)
				if (++s == end || !isxdigit((unsigned char) *s))
					return NULL;
		}
		else if (memchr("\"\\/bfnrt", *s, 8) == NULL)
			return NULL;
	}
	return s < end ? s + 1 : NULL;
}

static const char *
number_end(const char *s, const char *end)
{
	const char *digits;

	if (s < end && *s == '-')
		s++;
	digits = s;
	while (s < end && isdigit((unsigned char) *s))
		s++;
	if (s == digits || (*digits == '0' && s - digits > 1) || s - digits > 300)
		return NULL;
	if (s < end && *s == '.')
	{
		digits = ++s;
		while (s < end && isdigit((unsigned char) *s))
			s++;
		if (s == digits)
			return NULL;
	}
	if (s < end && (*s == 'e' || *s == 'E'))
	{
		s++;
		if (s < end && (*s == '+' || *s == '-'))
			s++;
		digits = s;
		while (s < end && isdigit((unsigned char) *s))
			s++;
		if (s == digits || s - digits > 3)
			return NULL;
	}
	return s;
}

/* "[" or "{" up to its end. */
static const char *
container_end(const char *s, const char *end, int depth)
{
	bool		is_object = *s == '{';
	char		close = is_object ? '}' : ']';

	s = skip_blanks(s + 1, end);
	if (s < end && *s == close)
		return s + 1;
	for (;;)
	{
		if (is_object)
		{
			if (s == NULL || s == end || *s != '"' || (s = string_end(s, end)) == NULL)
				return NULL;
			s = skip_blanks(s, end);
			if (s == end || *s++ != ':')
				return NULL;
		}
		s = value_end(s, end, depth + 1);
		if (s == NULL)
			return NULL;
		s = skip_blanks(s, end);
		if (s < end && *s == close)
			return s + 1;
		if (s == end || *s++ != ',')
			return NULL;
		s = skip_blanks(s, end);
	}
}

static const char *
value_end(const char *s, const char *end, int depth)
{
	static const char *const words[] = {"null", "true", "false"};

	s = skip_blanks(s, end);
	if (s == end || depth > 100)
		return NULL;
	if (*s == '"')
		return string_end(s, end);
	if (*s == '[' || *s == '{')
		return container_end(s, end, depth);
	for (int i = 0; i < lengthof(words); i++)
		if (end - s >= strlen(words[i]) && memcmp(s, words[i], strlen(words[i])) == 0)
			return s + strlen(words[i]);
	return number_end(s, end);
}

static bool
is_json(const char *s, int len)
{
	const char *end = value_end(s, s + len, 0);

	return end != NULL && skip_blanks(end, s + len) == s + len;
}

/* ---------- the target ---------- */

typedef struct Outcome
{
	char		code[6];		/* "": none */
	bool		defined;
	char	   *text;
	int			len;
} Outcome;

static const char *const parts[] = {"/0", "/0/0", "/a", "/a/0", "/a/b", "/1/a", "/b/1"};

static void
check_origins(const SagaJsonataOrigin *origins, int n)
{
	for (int i = 0; i < n; i++)
		if (origins[i].place != NULL && origins[i].place[0] != '\0' && origins[i].place[0] != '/')
			abort();
}

static void
run(const char *expr, int expr_len, const char *document, int len, bool traced, Outcome *outcome)
{
	SagaJsonataOrigin origins[lengthof(parts)] = {{0}};
	SagaJsonataFault fault = {0};
	SagaJsonataOptions options = {0};
	SagaJsonata *compiled;
	StringInfoData out;

	memset(outcome, 0, sizeof(*outcome));
	options.now = 1.7e12;
	options.seed = 1;
	options.limits.steps = 100000;
	options.limits.depth = 200;
	options.limits.bytes = 32 * 1024 * 1024;
	initStringInfo(&out);
	compiled = saga_jsonata_compile(expr, expr_len, &fault);
	if (compiled == NULL ||
		!saga_jsonata_eval_traced(compiled, document, len, &options, parts, traced ? lengthof(parts) : 0, &out,
								  &outcome->defined, traced ? origins : NULL, &fault))
	{
		check_origins(origins, 1);
		if (fault.code[0] == '\0' || fault.message == NULL || fault.position > expr_len)
			abort();
		strlcpy(outcome->code, fault.code, sizeof(outcome->code));
		return;
	}
	if (fault.code[0] != '\0')
		abort();
	check_origins(origins, lengthof(parts));
	outcome->text = out.data;
	outcome->len = out.len;
	if (outcome->defined && !is_json(out.data, out.len))
		abort();
}

static bool
is_same(const Outcome *a, const Outcome *b)
{
	return strcmp(a->code, b->code) == 0 && a->defined == b->defined && a->len == b->len &&
		(!a->defined || memcmp(a->text, b->text, a->len) == 0);
}

/* A limit, which comes earlier when origins are asked for. */
static bool
is_limit(const Outcome *outcome)
{
	return outcome->code[0] == 'U' || strcmp(outcome->code, "D1012") == 0 || strcmp(outcome->code, "D2015") == 0;
}

int			LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	const char *expr = (const char *) data;
	const char *document = memchr(data, 0, size);
	int			expr_len = document != NULL ? document - expr : (int) size;
	int			len = document != NULL ? (int) size - expr_len - 1 : 0;
	Outcome		first;
	Outcome		second;
	char		base;

	fuzz_set_stack(&base);
	if (size > 0 && pg_encoding_verifymbstr(PG_UTF8, expr, expr_len) != expr_len)
		return 0;
	document = document != NULL && pg_encoding_verifymbstr(PG_UTF8, document + 1, len) == len && is_json(document + 1, len) ?
		document + 1 : NULL;
	if (setjmp(fuzz_error) == 0)
	{
		run(expr, expr_len, document, document != NULL ? len : 0, false, &first);
		run(expr, expr_len, document, document != NULL ? len : 0, false, &second);
		if (!is_same(&first, &second))
			abort();
		run(expr, expr_len, document, document != NULL ? len : 0, true, &second);
		if (!is_same(&first, &second) && !is_limit(&first) && !is_limit(&second))
			abort();
	}
	fuzz_reset();
	return 0;
}
