/*
 * text_wide.c
 *		Arrays of characters, and how groups of digits are told.
 */
#include "postgres.h"

#include "jsonata/text_wide_private.h"

/*
 * Makes room for n more characters. Twice the room is taken each time, so that
 * appending one by one does not copy it all over and over.
 */
static void
make_room(SagaJsonataWide *wide, int n)
{
	if (wide->len + n <= wide->max)
		return;
	wide->max = Max(wide->max * 2, wide->len + n);
	wide->chars = repalloc(wide->chars, mul_size(wide->max, sizeof(pg_wchar)));
}

/*
 * The characters of a text in UTF-8, in a new array of CurrentMemoryContext
 * with some room to append to.
 */
SagaJsonataWide
saga_jsonata_wide(const char *s, int len)
{
	SagaJsonataWide wide = {NULL, 0, Max(len, 32)};

	wide.chars = palloc(mul_size(wide.max, sizeof(pg_wchar)));
	for (int i = 0; i < len;)
	{
		int			size = pg_utf_mblen((const unsigned char *) s + i);

		/* never read beyond the end, whatever the text */
		wide.chars[wide.len++] = size > len - i ? (unsigned char) s[i] : utf8_to_unicode((const unsigned char *) s + i);
		i += size;
	}
	return wide;
}

/* Appends a character; the array may move. */
void
saga_jsonata_wide_char(SagaJsonataWide *wide, pg_wchar c)
{
	make_room(wide, 1);
	wide->chars[wide->len++] = c;
}

void
saga_jsonata_wide_insert(SagaJsonataWide *wide, int at, const pg_wchar *chars, int n)
{
	at = Max(Min(at, wide->len), 0);
	make_room(wide, n);
	memmove(wide->chars + at + n, wide->chars + at, (wide->len - at) * sizeof(pg_wchar));
	memcpy(wide->chars + at, chars, n * sizeof(pg_wchar));
	wide->len += n;
}

int
saga_jsonata_wide_find(const SagaJsonataWide *wide, const pg_wchar *chars, int n, int from)
{
	for (int i = from; i + n <= wide->len; i++)
		if (memcmp(wide->chars + i, chars, n * sizeof(pg_wchar)) == 0)
			return i;
	return -1;
}

void
saga_jsonata_append_wide(StringInfo out, const pg_wchar *chars, int n)
{
	for (int i = 0; i < n; i++)
	{
		unsigned char utf8[5];

		unicode_to_utf8(chars[i], utf8);
		appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
	}
}

/* By Euclid; of 0 and b it is b, so that one can begin with 0. */
static int
greatest_divisor(int a, int b)
{
	while (b != 0)
	{
		int			rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

int
saga_jsonata_regular_group(const int *positions, int n)
{
	int			size = 0;

	for (int i = 0; i < n; i++)
		size = greatest_divisor(size, positions[i]);
	if (size == 0)
		return 0;

	/*
	 * One of n places that are multiples of the size must be each of the
	 * first n multiples, as a picture with a gap has no regular groups.
	 */
	for (int turn = 1; turn <= n; turn++)
	{
		int			i;

		for (i = 0; i < n && positions[i] != turn * size; i++);
		if (i == n)
			return 0;
	}
	return size;
}

bool
saga_jsonata_check_picture(int len, SagaJsonataFault *fault)
{
	if (len > SAGA_JSONATA_MAX_PICTURE)
		return saga_jsonata_fault(fault, "D2015", "a picture may not be longer than %d bytes", SAGA_JSONATA_MAX_PICTURE);
	return true;
}
