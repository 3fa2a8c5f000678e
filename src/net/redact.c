/*
 * redact.c
 *		Secrets in foreign texts, made unreadable.
 *
 * Servers send back what they were sent: as it was, in Base64, or encoded, and
 * they encode which characters they like.  So the text is searched twice, as
 * it is and with everything decoded that may stand for a character.  A secret
 * that itself looks encoded ("p%40ss") is looked for in the decoded text as it
 * is, and decoded too, because there may have been nothing that encoded it.
 *
 * Each search is one of the C library's memmem, and takes a time that grows
 * with the text.
 */
#include "postgres.h"

#include "common/base64.h"
#include "common/compat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "net/secret.h"

/* Shorter ones would hit innocent text. */
#define SAGA_REDACT_MIN_BYTES 6

/* What is searched before somebody may interrupt: most answers never get there. */
#define SAGA_REDACT_SLICE	((uint64) 16 * 1024 * 1024)

/* A text, and which of its bytes belong to a secret. */
typedef struct SearchedText
{
	char	   *data;
	size_t		len;
	bool	   *marks;
} SearchedText;

typedef struct Redaction
{
	SearchedText raw;
	SearchedText decoded;		/* data is NULL: that would be the same */
	uint64		searched;		/* bytes since interrupts were looked at */
} Redaction;

/* ---------- decoding ---------- */

#define SAGA_LONGEST_ENTITY	10	/* &#x10FFFF; */
#define SAGA_MAX_DECODED	MAX_MULTIBYTE_CHAR_LEN

/* Its value; -1: it is none. */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* n digits at p; -1: there is something else; -2: the text ends within them. */
static int
hex_number(const char *p, const char *end, int n)
{
	int			value = 0;

	for (int i = 0; i < n; i++)
	{
		if (p + i >= end)
			return -2;
		if (hex_digit(p[i]) < 0)
			return -1;
		value = value * 16 + hex_digit(p[i]);
	}
	return value;
}

/* Writes a character in UTF-8, and returns its bytes; 0: there is no such character. */
static int
put_code_point(pg_wchar c, char *out)
{
	if (c == 0 || c > 0x10ffff)
		return 0;
	unicode_to_utf8(c, (unsigned char *) out);
	return pg_utf_mblen((unsigned char *) out);
}

/*
 * These return how many bytes of the text they decode; 0: none, -1: the text
 * ends before one can tell.  *n is how many bytes came out.
 */
static int
decode_percent(const char *p, const char *end, char *out, int *n)
{
	int			value = hex_number(p + 1, end, 2);

	if (value < 0)
		return value == -2 ? -1 : 0;
	*out = (char) value;
	*n = 1;
	return 3;
}

/* As in JSON and JavaScript. */
static int
decode_backslash(const char *p, const char *end, char *out, int *n)
{
	int			value;
	int			low;

	if (p + 1 >= end)
		return -1;
	if (p[1] != 'u')
	{
		if (p[1] == '\0' || strchr("\"\\/'t", p[1]) == NULL)
			return 0;
		*out = p[1] == 't' ? '\t' : p[1];
		*n = 1;
		return 2;
	}
	value = hex_number(p + 2, end, 4);
	if (value < 0)
		return value == -2 ? -1 : 0;
	if (!is_utf16_surrogate_first(value))
	{
		*n = put_code_point(value, out);
		return *n > 0 ? 6 : 0;
	}
	if (p + 6 >= end || (p[6] == '\\' && p + 7 >= end))
		return -1;
	if (p[6] != '\\' || p[7] != 'u')
		return 0;
	low = hex_number(p + 8, end, 4);
	if (low < 0)
		return low == -2 ? -1 : 0;
	if (!is_utf16_surrogate_second(low))
		return 0;
	*n = put_code_point(surrogate_pair_to_codepoint(value, low), out);
	return 12;
}

/* As in XML and HTML. */
static int
decode_entity(const char *p, const char *end, char *out, int *n)
{
	static const struct
	{
		const char *name;
		char		c;
	}			entities[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
	size_t		most = Min(end - p, SAGA_LONGEST_ENTITY);
	size_t		len = 1;
	bool		hex;
	uint32		value = 0;

	while (len < most && (hex_digit(p[len]) >= 0 || p[len] == '#' || (p[len] >= 'a' && p[len] <= 'z') || p[len] == 'X'))
		len++;
	if (len == end - p)
		return most < SAGA_LONGEST_ENTITY ? -1 : 0;
	if (len == most || p[len] != ';')
		return 0;
	for (int i = 0; i < lengthof(entities); i++)
	{
		if (strlen(entities[i].name) == len - 1 && strncmp(p + 1, entities[i].name, len - 1) == 0)
		{
			*out = entities[i].c;
			*n = 1;
			return len + 1;
		}
	}
	if (p[1] != '#' || len < 3)
		return 0;
	hex = p[2] == 'x' || p[2] == 'X';
	for (size_t i = hex ? 3 : 2; i < len; i++)
	{
		int			digit = hex_digit(p[i]);

		if (digit < 0 || (!hex && digit > 9))
			return 0;
		value = value * (hex ? 16 : 10) + digit;
	}
	*n = put_code_point(value, out);
	return *n > 0 ? len + 1 : 0;
}

/* One character or byte, encoded or not; a plus may be a blank, so that both are blanks. */
static int
decode_one(const char *p, const char *end, char *out, int *n)
{
	int			used = 0;

	if (*p == '%')
		used = decode_percent(p, end, out, n);
	else if (*p == '\\')
		used = decode_backslash(p, end, out, n);
	else if (*p == '&')
		used = decode_entity(p, end, out, n);
	if (used == 0)
	{
		*out = *p;
		*n = 1;
		used = 1;
	}
	if (used > 0 && *out == '+')
		*out = ' ';
	return used;
}

/* No longer than it was.  False: its end is missing, because it was cut off within a character. */
static bool
decode(const char *data, size_t len, char *result, size_t *result_len)
{
	const char *end = data + len;
	char	   *out = result;
	int			n = 0;
	int			used = 0;

	for (const char *p = data; p < end; p += used)
	{
		char		bytes[SAGA_MAX_DECODED];

		used = decode_one(p, end, bytes, &n);
		if (used < 0)
			break;
		memcpy(out, bytes, n);
		out += n;
	}
	*result_len = out - result;
	return used >= 0;
}

/* ---------- searching ---------- */

/* After so many bytes a search can be interrupted. */
static void
look_at_interrupts(Redaction *redaction, uint64 bytes)
{
	redaction->searched += bytes;
	if (redaction->searched > SAGA_REDACT_SLICE)
	{
		redaction->searched = 0;
		CHECK_FOR_INTERRUPTS();
	}
}

/* How many bytes of the secret are at the end of the text, which was cut off there. */
static size_t
part_at_end(const SearchedText *text, const char *secret, size_t len)
{
	int		   *shorter = palloc(len * sizeof(int));	/* the longest part at its own end */
	size_t		n = 0;

	shorter[0] = 0;
	for (size_t i = 1; i < len; i++)
	{
		while (n > 0 && secret[i] != secret[n])
			n = shorter[n - 1];
		n += secret[i] == secret[n];
		shorter[i] = n;
	}
	n = 0;
	for (size_t i = text->len - Min(text->len, len - 1); i < text->len; i++)
	{
		while (n > 0 && text->data[i] != secret[n])
			n = shorter[n - 1];
		n += text->data[i] == secret[n];
	}
	pfree(shorter);
	return n;
}

/* Marks a secret wherever it stands in the text, and a part of it where the text is cut off. */
static void
search(Redaction *redaction, const SearchedText *text, const char *secret, size_t len)
{
	const char *p = text->data;
	const char *end = text->data + text->len;
	size_t		part;

	look_at_interrupts(redaction, text->len);
	while ((p = memmem(p, end - p, secret, len)) != NULL)
	{
		memset(text->marks + (p - text->data), true, len);
		p += len;
	}
	part = part_at_end(text, secret, len);
	if (part >= SAGA_REDACT_MIN_BYTES)
		memset(text->marks + text->len - part, true, part);
}

/* Marks one form of a secret in the text as it is, and in the text without its encodings. */
static void
search_form(Redaction *redaction, const char *secret)
{
	size_t		len = strlen(secret);
	char	   *other;
	size_t		other_len;

	if (len < SAGA_REDACT_MIN_BYTES)
		return;
	search(redaction, &redaction->raw, secret, len);
	if (redaction->decoded.data == NULL)
		return;
	other = pstrdup(secret);
	for (char *p = other; *p != '\0'; p++)
		if (*p == '+')
			*p = ' ';
	search(redaction, &redaction->decoded, other, len);
	if (decode(secret, len, other, &other_len) && other_len != len && other_len >= SAGA_REDACT_MIN_BYTES)
		search(redaction, &redaction->decoded, other, other_len);
	explicit_bzero(other, len);
	pfree(other);
}

/*
 * The characters of the secret alone, when so many bytes more than a multiple of
 * three are before it, and whatever follows: "user:" and a password, say.
 */
static char *
base64_behind(const char *secret, int before)
{
	size_t		len = before + strlen(secret);
	int			size = pg_b64_enc_len(len);
	char	   *plain = palloc0(len + 1);
	char	   *out = palloc(size + 1);
	int			n;

	memcpy(plain + before, secret, len - before);
	n = Max(saga_b64_encode(plain, len, out, size), 0);
	out[n] = '\0';
	out[strcspn(out, "=")] = '\0';

	/*
	 * the last character also holds bits of what follows, the first ones of
	 * what is before
	 */
	if (len % 3 != 0 && out[0] != '\0')
		out[strlen(out) - 1] = '\0';
	n = before == 0 ? 0 : Min(before + 1, (int) strlen(out));
	memmove(out, out + n, strlen(out) + 1 - n);
	explicit_bzero(plain, len);
	pfree(plain);
	return out;
}

/* Of both alphabets, wherever in an encoded text it begins. */
static void
search_base64(Redaction *redaction, const char *secret)
{
	for (int before = 0; before < 3; before++)
	{
		char	   *encoded = base64_behind(secret, before);
		bool		differs = false;

		search_form(redaction, encoded);
		for (char *p = encoded; *p != '\0'; p++)
		{
			if (*p != '+' && *p != '/')
				continue;
			*p = *p == '+' ? '-' : '_';
			differs = true;
		}
		if (differs)
			search_form(redaction, encoded);
		explicit_bzero(encoded, strlen(encoded));
		pfree(encoded);
	}
}

/* The order of secrets, so that each is searched for once. */
static int
by_bytes(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* ---------- both ---------- */

/* Prepares the text, and if it has encodings, a copy without them. */
static void
start(Redaction *redaction, char *data, size_t len)
{
	memset(redaction, 0, sizeof(*redaction));
	redaction->raw.data = data;
	redaction->raw.len = len;

	/*
	 * marks first, stars at the end: a star in the middle would hide another
	 * secret
	 */
	redaction->raw.marks = palloc0(len);
	if (memchr(data, '%', len) == NULL && memchr(data, '\\', len) == NULL &&
		memchr(data, '&', len) == NULL && memchr(data, '+', len) == NULL)
		return;
	redaction->decoded.data = palloc(len);
	/* decoding never makes a text longer */
	(void) decode(data, len, redaction->decoded.data, &redaction->decoded.len);
	redaction->decoded.marks = palloc0(len);
}

/* What was found in the decoded text, where it is in the text. */
static void
mark_encoded(Redaction *redaction)
{
	const SearchedText *raw = &redaction->raw;
	const SearchedText *decoded = &redaction->decoded;
	const char *end = raw->data + raw->len;
	size_t		at = 0;
	bool		marked = false;
	int			n = 0;
	int			used;

	for (const char *p = raw->data; p < end; p += used)
	{
		char		bytes[SAGA_MAX_DECODED];

		used = decode_one(p, end, bytes, &n);
		if (used < 0)
		{
			/* what is cut off belongs to what is before it */
			used = end - p;
			n = 0;
		}
		else
			marked = memchr(decoded->marks + at, true, n) != NULL;
		if (marked)
			memset(raw->marks + (p - raw->data), true, used);
		at += n;
	}
}

/* Writes stars over what was marked, and overwrites the copy. */
static void
finish(Redaction *redaction)
{
	const SearchedText *raw = &redaction->raw;

	if (redaction->decoded.data != NULL)
	{
		mark_encoded(redaction);
		explicit_bzero(redaction->decoded.data, redaction->decoded.len);
		pfree(redaction->decoded.data);
		pfree(redaction->decoded.marks);
	}
	for (size_t i = 0; i < raw->len; i++)
		if (raw->marks[i])
			raw->data[i] = '*';
	pfree(raw->marks);
}

void
saga_secret_redact(char *data, size_t len, List *secrets)
{
	Redaction	redaction;
	List	   *sorted;
	const char *last = NULL;
	ListCell   *lc;

	if (secrets == NIL || len == 0)
		return;
	start(&redaction, data, len);
	/* the caller's list stays as it is */
	sorted = list_copy(secrets);
	list_sort(sorted, by_bytes);
	foreach(lc, sorted)
	{
		const char *secret = lfirst(lc);

		if (last != NULL && strcmp(last, secret) == 0)
			continue;
		last = secret;
		search_form(&redaction, secret);
		search_base64(&redaction, secret);
	}
	list_free(sorted);
	finish(&redaction);
}
