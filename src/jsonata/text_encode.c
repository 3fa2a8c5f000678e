/*
 * text_encode.c
 *		Base64, and texts as parts of URLs.
 */
#include "postgres.h"

#include "common/text.h"
#include "mb/pg_wchar.h"

#include "jsonata/text_private.h"

/* ---------- Base64 ---------- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The bytes of a text of which each character is meant to be one: the low ones of its UTF-16 units. */
static int
low_bytes(const char *s, int len, uint8 *bytes)
{
	int			n = 0;

	for (int i = 0; i < len;)
	{
		int			size = pg_utf_mblen((const unsigned char *) s + i);
		pg_wchar	c;

		/* never read beyond the end, whatever the text */
		c = size > len - i ? (unsigned char) s[i] : utf8_to_unicode((const unsigned char *) s + i);
		if (c > 0xffff)
			bytes[n++] = (uint8) (0xd800 + ((c - 0x10000) >> 10));
		bytes[n++] = (uint8) c;
		i += size;
	}
	return n;
}

void
saga_jsonata_base64_encode(const char *s, int len, StringInfo out)
{
	uint8	   *bytes = palloc(len + 1);
	int			n = low_bytes(s, len, bytes);

	enlargeStringInfo(out, (n + 2) / 3 * 4);

	/*
	 * Three bytes are four characters; "=" stands for those that have no
	 * byte.
	 */
	for (int i = 0; i < n; i += 3)
	{
		uint32		three = (uint32) bytes[i] << 16;

		if (i + 1 < n)
			three |= (uint32) bytes[i + 1] << 8;
		if (i + 2 < n)
			three |= bytes[i + 2];
		appendStringInfoCharMacro(out, alphabet[three >> 18]);
		appendStringInfoCharMacro(out, alphabet[three >> 12 & 63]);
		appendStringInfoCharMacro(out, i + 1 < n ? alphabet[three >> 6 & 63] : '=');
		appendStringInfoCharMacro(out, i + 2 < n ? alphabet[three & 63] : '=');
	}
	pfree(bytes);
}

/* The six bits of a character, of either alphabet; -1: it is skipped. */
static int
six_bits(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

void
saga_jsonata_base64_decode(const char *s, int len, StringInfo out)
{
	uint32		bits = 0;
	int			nbits = 0;

	for (int i = 0; i < len && s[i] != '='; i++)
	{
		int			six = six_bits(s[i]);
		uint8		byte;

		if (six < 0)
			continue;

		/*
		 * Bits that have been used are shifted out at the top; only the last
		 * ones are read.
		 */
		bits = bits << 6 | six;
		nbits += 6;
		if (nbits < 8)
			continue;
		nbits -= 8;
		byte = (uint8) (bits >> nbits);

		/*
		 * A byte is the character of that number, which takes two bytes in
		 * UTF-8.
		 */
		if (byte >= 0x80)
		{
			appendStringInfoChar(out, (char) (0xC0 | byte >> 6));
			byte = 0x80 | (byte & 0x3F);
		}
		appendStringInfoChar(out, (char) byte);
	}
}

/* ---------- URLs ---------- */

/* What is left as it is. */
#define UNRESERVED	"-_.!~*'()"

/* What has a meaning in a whole URL. */
#define RESERVED	";/?:@&=+$,#"

/*
 * Whether a byte is in the set. U+0000, which texts may have, is in none,
 * though strchr() would find the end of the string.
 */
static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* ED A0 80 to ED BF BF: half of a surrogate pair, which no URL can have. */
static bool
is_surrogate(const char *s, int left)
{
	return left >= 2 && (unsigned char) s[0] == 0xED && (unsigned char) s[1] >= 0xA0;
}

/* The function's name as messages have it. */
static const char *
function_name(bool encode, bool component)
{
	if (encode)
		return component ? "$encodeUrlComponent" : "$encodeUrl";
	return component ? "$decodeUrlComponent" : "$decodeUrl";
}

bool
saga_jsonata_encode_url(const char *s, int len, bool component, StringInfo out, SagaJsonataFault *fault)
{
	for (int i = 0; i < len; i++)
	{
		if (is_surrogate(s + i, len - i))
			return saga_jsonata_fault(fault, "D3140", "the text passed to %s has half of a surrogate pair, which no URL can hold",
									  function_name(true, component));
		/* Each byte of a character beyond ASCII is escaped on its own. */
		if (saga_is_ascii_alnum(s[i]) || is_one_of(s[i], UNRESERVED) || (!component && is_one_of(s[i], RESERVED)))
			appendStringInfoChar(out, s[i]);
		else
		{
			unsigned char c = (unsigned char) s[i];

			appendStringInfoChar(out, '%');
			appendStringInfoChar(out, "0123456789ABCDEF"[c >> 4]);
			appendStringInfoChar(out, "0123456789ABCDEF"[c & 15]);
		}
	}
	return true;
}

/* %XX at i as a byte; -1: there is none. */
static int
escaped_byte(const char *s, int len, int i)
{
	int			high,
				low;

	if (i + 2 >= len || s[i] != '%')
		return -1;
	high = saga_hex_digit(s[i + 1]);
	low = saga_hex_digit(s[i + 2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Bytes of a character by its first one; 0: none begins so. */
static int
sequence_length(int first)
{
	return first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
}

/* The character whose bytes are escaped from i on; returns how many they are, 0 for what is no UTF-8. */
static int
escaped_char(const char *s, int len, int i, unsigned char *utf8)
{
	int			size = 1;

	for (int k = 0; k < size; k++)
	{
		int			byte = escaped_byte(s, len, i + 3 * k);

		if (byte < 0)
			return 0;
		utf8[k] = (unsigned char) byte;
		if (k == 0)
			size = sequence_length(byte);
	}
	return size > 0 && pg_utf8_islegal(utf8, size) ? size : 0;
}

bool
saga_jsonata_decode_url(const char *s, int len, bool component, StringInfo out, SagaJsonataFault *fault)
{
	for (int i = 0; i < len;)
	{
		unsigned char utf8[4];
		int			size;

		if (s[i] != '%')
		{
			appendStringInfoChar(out, s[i++]);
			continue;
		}
		size = escaped_char(s, len, i, utf8);
		if (size == 0)
			return saga_jsonata_fault(fault, "D3140", "the text passed to %s is no encoded URL at character %d",
									  function_name(false, component), saga_jsonata_length(s, i) + 1);
		/* in a whole URL these would change what it means */
		if (!component && size == 1 && is_one_of((char) utf8[0], RESERVED))
			appendBinaryStringInfo(out, s + i, 3);
		else
			appendBinaryStringInfo(out, (char *) utf8, size);
		i += 3 * size;
	}
	return true;
}
