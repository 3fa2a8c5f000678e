/*
 * submit.c
 *		What invoice_submit() must know of a document: its number, its seller,
 *		and a few names for people.
 *
 * The text is json that the server has checked for its grammar and nothing
 * else: it may hold what text, jsonb and the operators ->> refuse (\u0000, a
 * lone surrogate).  Such a document is accepted and fails in the workflow, so
 * nothing here may raise for it.  One pass, no recursion, nothing decoded but
 * the few strings that are wanted.
 */
#include "postgres.h"

#include "common/common.h"
#include "fmgr.h"
#include "funcapi.h"
#include "invoice/invoice_private.h"
#include "invoice/submit.h"
#include "invoice/submit_private.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/guc.h"

/* GUC pg_invoice.max_document_size, in kB */
static int	max_document_kb = 1024;

/* Longer numbers and seller keys would not fit into one index entry. */
#define MAX_KEY_BYTES	500

/* What is longer is no code, and is not kept as one. */
#define MAX_CODE_BYTES	20

/* A piece of the text, nothing copied; start NULL: absent. */
typedef struct Slice
{
	const char *start;
	const char *end;
} Slice;

/* The members of a document that are looked at, as they are written. */
typedef struct Wanted
{
	Slice		number;
	Slice		type_code;
	Slice		issue_date;
	Slice		currency;
	Slice		seller;
	Slice		buyer;
} Wanted;

typedef struct Party
{
	Slice		name;
	Slice		vat_id;
	Slice		legal_registration_id;
	Slice		ids;
	Slice		first_scheme;
	Slice		first_id;
} Party;

void
saga_invoice_guc_define(void)
{
	DefineCustomIntVariable("pg_invoice.max_document_size",
							"Largest document that invoice_submit takes.",
							NULL,
							&max_document_kb, 1024, 1, 64 * 1024, PGC_SUSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
}

/* ---------- walking over the text ---------- */

/* The white space of JSON; p may be at the end. */
static inline const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

/* p is at a quote; returns what follows the closing one */
static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
	{
		if (*p == '\\')
			p++;
	}
	return p < end ? p + 1 : end;
}

/*
 * p is at the first character of a value; returns what follows its last one.
 * An object or array ends with the bracket that closes it; a number or word
 * where a comma, bracket or blank comes.
 */
static const char *
skip_value(const char *p, const char *end)
{
	int			depth = 0;

	if (p < end && *p != '"' && *p != '{' && *p != '[')
	{
		while (p < end && strchr(",}] \t\n\r", *p) == NULL)
			p++;
		return p;
	}
	while (p < end)
	{
		char		c = *p;

		p = c == '"' ? skip_string(p, end) : p + 1;
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		if (depth == 0)
			return p;
	}
	return end;
}

/*
 * The next member of the object whose inside is at *p; false at its end.  An
 * array is walked with key NULL.
 */
static bool
next_member(const char **p, const char *end, Slice *key, Slice *value)
{
	const char *at = skip_blanks(*p, end);

	if (at < end && *at == ',')
		at = skip_blanks(at + 1, end);
	if (at >= end || *at == '}' || *at == ']')
		return false;
	if (key)
	{
		key->start = at;
		key->end = at = skip_string(at, end);
		at = skip_blanks(at, end);
		if (at < end && *at == ':')
			at++;
		at = skip_blanks(at, end);
	}
	value->start = at;
	value->end = *p = skip_value(at, end);
	return true;
}

/* False for what is absent. */
static inline bool
slice_begins(const Slice *slice, char c)
{
	return slice->start != NULL && slice->start < slice->end && *slice->start == c;
}

/* ---------- strings ---------- */

/* Four hexadecimal digits; -1 when there are none. */
static int
hex4(const char *p, const char *end)
{
	int			value = 0;
	int			i;

	if (end - p < 4)
		return -1;
	for (i = 0; i < 4; i++)
	{
		char		c = p[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return value;
}

/*
 * Appends the character of a \u escape at p (behind its 'u') and returns what
 * follows.  What text cannot hold stays as it is written: zero, half a
 * surrogate pair, and beyond ASCII whatever needs a conversion that could fail.
 */
static const char *
decode_unicode(const char *p, const char *end, StringInfo out)
{
	int			code = hex4(p, end);
	int			size = 4;

	if (code >= 0xD800 && code <= 0xDBFF && end - p >= 10 && p[4] == '\\' && p[5] == 'u')
	{
		int			low = hex4(p + 6, end);

		if (low >= 0xDC00 && low <= 0xDFFF)
		{
			code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
			size = 10;
		}
	}
	if (code > 0 && code < 0x80)
		appendStringInfoChar(out, (char) code);
	else if (code >= 0x80 && !(code >= 0xD800 && code <= 0xDFFF) &&
			 GetDatabaseEncoding() == PG_UTF8)
	{
		unsigned char utf8[8];

		unicode_to_utf8((pg_wchar) code, utf8);
		appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
	}
	else
	{
		size = Min(size, end - p);
		appendStringInfoString(out, "\\u");
		appendBinaryStringInfo(out, p, size);
	}
	return p + size;
}

/*
 * The slice has its quotes.  Escapes are resolved as far as text can hold
 * them.
 */
static void
decode_string(const Slice *slice, StringInfo out)
{
	const char *p = slice->start + 1;
	const char *end = slice->end - 1;

	while (p < end)
	{
		if (*p != '\\')
		{
			appendStringInfoChar(out, *p++);
			continue;
		}
		p++;
		if (p >= end)
			break;
		switch (*p++)
		{
			case 'b':
				appendStringInfoChar(out, '\b');
				break;
			case 'f':
				appendStringInfoChar(out, '\f');
				break;
			case 'n':
				appendStringInfoChar(out, '\n');
				break;
			case 'r':
				appendStringInfoChar(out, '\r');
				break;
			case 't':
				appendStringInfoChar(out, '\t');
				break;
			case 'u':
				p = decode_unicode(p, end, out);
				break;
			default:
				appendStringInfoChar(out, p[-1]);
		}
	}
}

/*
 * A string or number as text without blanks around it; NULL when it is
 * absent, blank or something else.
 */
static char *
scalar_text(const Slice *slice)
{
	StringInfoData text;
	char	   *start;
	char	   *end;

	if (slice->start == NULL || slice->start >= slice->end)
		return NULL;
	initStringInfo(&text);
	if (slice_begins(slice, '"'))
		decode_string(slice, &text);
	else if (*slice->start == '-' || (*slice->start >= '0' && *slice->start <= '9'))
		appendBinaryStringInfo(&text, slice->start, slice->end - slice->start);
	start = text.data;
	end = text.data + text.len;
	while (start < end && scanner_isspace(*start))
		start++;
	while (end > start && scanner_isspace(end[-1]))
		end--;
	*end = '\0';
	return start < end ? start : NULL;
}

/* Whether a key, which may be written with escapes, is this name. */
static bool
key_is(const Slice *key, const char *name)
{
	size_t		len = key->end - key->start - 2;
	StringInfoData text;

	if (memchr(key->start, '\\', key->end - key->start) == NULL)
		return len == strlen(name) && memcmp(key->start + 1, name, len) == 0;
	initStringInfo(&text);
	decode_string(key, &text);
	return strcmp(text.data, name) == 0;
}

/* ---------- the document ---------- */

/* As with json itself, the last of several members of one name counts. */
static void
find_members(const char *p, const char *end, Wanted *wanted)
{
	Slice		key;
	Slice		value;

	memset(wanted, 0, sizeof(Wanted));
	p = skip_blanks(p, end) + 1;
	while (next_member(&p, end, &key, &value))
	{
		if (key_is(&key, "number"))
			wanted->number = value;
		else if (key_is(&key, "type_code"))
			wanted->type_code = value;
		else if (key_is(&key, "issue_date"))
			wanted->issue_date = value;
		else if (key_is(&key, "currency"))
			wanted->currency = value;
		else if (key_is(&key, "seller"))
			wanted->seller = value;
		else if (key_is(&key, "buyer"))
			wanted->buyer = value;
	}
}

/*
 * The first entry of "ids", of which seller_key() makes a key when nothing
 * better is there.
 */
static void
find_first_id(Party *party)
{
	const char *p = party->ids.start + 1;
	Slice		entry;
	Slice		key;
	Slice		value;

	if (!next_member(&p, party->ids.end, NULL, &entry) || !slice_begins(&entry, '{'))
		return;
	p = entry.start + 1;
	while (next_member(&p, entry.end, &key, &value))
	{
		if (key_is(&key, "id"))
			party->first_id = value;
		else if (key_is(&key, "scheme"))
			party->first_scheme = value;
	}
}

/* Anything but an object has no members. */
static void
find_party(const Slice *slice, Party *party)
{
	const char *p;
	Slice		key;
	Slice		value;

	memset(party, 0, sizeof(Party));
	if (!slice_begins(slice, '{'))
		return;
	p = slice->start + 1;
	while (next_member(&p, slice->end, &key, &value))
	{
		if (key_is(&key, "name"))
			party->name = value;
		else if (key_is(&key, "vat_id"))
			party->vat_id = value;
		else if (key_is(&key, "legal_registration_id"))
			party->legal_registration_id = value;
		else if (key_is(&key, "ids"))
			party->ids = value;
	}
	if (slice_begins(&party->ids, '['))
		find_first_id(party);
}

/*
 * Makes one spelling of an identifier: ASCII letters in upper case, no blanks,
 * dots or hyphens ("de 123.456.789" is "DE123456789").
 */
static char *
normal_id(const char *kind, const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, kind);
	for (; *text; text++)
	{
		if (!scanner_isspace(*text) && *text != '.' && *text != '-')
			appendStringInfoChar(&out, pg_ascii_toupper((unsigned char) *text));
	}
	return out.data;
}

/* A name: ASCII letters in lower case, each run of blanks one space. */
static char *
normal_name(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "name:");
	for (; *text; text++)
	{
		if (!scanner_isspace(*text))
			appendStringInfoChar(&out, pg_ascii_tolower((unsigned char) *text));
		else if (!scanner_isspace(text[1]))
			appendStringInfoChar(&out, ' ');
	}
	return out.data;
}

/*
 * Who the seller is, for "the same seller and number": VAT id, else legal
 * registration id, else the first identifier with its scheme, else the name.
 */
static char *
seller_key(const Party *seller)
{
	char	   *text;

	if ((text = scalar_text(&seller->vat_id)) != NULL)
		return normal_id("vat:", text);
	if ((text = scalar_text(&seller->legal_registration_id)) != NULL)
		return normal_id("reg:", text);
	if ((text = scalar_text(&seller->first_id)) != NULL)
	{
		char	   *scheme = scalar_text(&seller->first_scheme);

		return normal_id(psprintf("id:%s:", scheme ? scheme : ""), text);
	}
	if ((text = scalar_text(&seller->name)) != NULL)
		return normal_name(text);
	return NULL;
}

/* NULL for what is too long to be one. */
static char *
type_code(const Slice *slice)
{
	char	   *text = scalar_text(slice);

	return text != NULL && strlen(text) <= MAX_CODE_BYTES ? text : NULL;
}

/* False: there is none, or it is no day of the calendar. */
static bool
issue_date(const Slice *slice, DateADT *date)
{
	char	   *text = scalar_text(slice);
	int			day = text != NULL ? saga_invoice_day_parse(text) : 0;

	if (day == 0)
		return false;
	*date = date2j(day / 10000, day / 100 % 100, day % 100) - POSTGRES_EPOCH_JDATE;
	return true;
}

void
saga_invoice_check_size(Size size)
{
	if ((size + 1023) / 1024 > max_document_kb)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("invoice document is too large"),
				 errdetail("It has %zu kB, the limit is %d kB.", (size_t) (size + 1023) / 1024, max_document_kb),
				 errhint("Raise \"pg_invoice.max_document_size\" if such invoices are wanted.")));
}

/*
 * Raises for a document that is too large, or is no object.  The size is that
 * of the text as it came.
 */
static void
check_document(const char *p, const char *end)
{
	saga_invoice_check_size(end - p);
	p = skip_blanks(p, end);
	if (p >= end || *p != '{')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invoice document is not a JSON object"),
				 errhint("Send one invoice as {\"number\": ..., \"seller\": {...}, ...}; use invoice_submit_batch for an array.")));
}

const char *
saga_invoice_lacks(const char *document, int len)
{
	const char *end = document + len;
	Wanted		wanted;
	Party		seller;

	find_members(document, end, &wanted);
	find_party(&wanted.seller, &seller);
	if (scalar_text(&wanted.number) == NULL)
		return "number";
	return seller_key(&seller) == NULL ? "seller" : NULL;
}

/*
 * Raises for a key that is missing or too long; "what" names it.  The value
 * is shown to nobody.
 */
static void
check_key(const char *what, const char *text, const char *hint)
{
	if (text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invoice document has no %s", what),
				 errhint("%s", hint)));
	if (strlen(text) > MAX_KEY_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s of the invoice document is too long", what),
				 errdetail("It has %zu bytes, the limit is %d.", strlen(text), MAX_KEY_BYTES)));
}

PG_FUNCTION_INFO_V1(saga_invoice_document_key);

/*
 * invoice_document_key(json, OUT tracking_id, OUT number, OUT seller_key,
 * OUT seller, OUT buyer, OUT currency, OUT type_code, OUT issue_date,
 * OUT credit_note)
 *
 * Raises for what invoice_submit() refuses; every other document has a number
 * and a seller key.  The tracking id is new with each call.
 */
Datum
saga_invoice_document_key(PG_FUNCTION_ARGS)
{
	text	   *document = PG_GETARG_TEXT_PP(0);
	const char *start = VARDATA_ANY(document);
	const char *end = start + VARSIZE_ANY_EXHDR(document);
	TupleDesc	tupdesc;
	Wanted		wanted;
	Party		seller;
	Party		buyer;
	char	   *texts[6];
	pg_uuid_t	tracking_id;
	DateADT		date = 0;
	Datum		values[lengthof(texts) + 3];
	bool		nulls[lengthof(texts) + 3];
	int			i;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	check_document(start, end);
	find_members(start, end, &wanted);
	find_party(&wanted.seller, &seller);
	find_party(&wanted.buyer, &buyer);

	texts[0] = scalar_text(&wanted.number);
	check_key("number", texts[0], "Give the invoice number as \"number\".");
	texts[1] = seller_key(&seller);
	check_key("seller", texts[1],
			  "Give \"seller\" with at least one of \"vat_id\", \"legal_registration_id\", \"ids\" and \"name\".");
	texts[2] = scalar_text(&seller.name);
	texts[3] = scalar_text(&buyer.name);
	texts[4] = scalar_text(&wanted.currency);
	texts[5] = type_code(&wanted.type_code);

	tracking_id = saga_uuid_offer();
	values[0] = UUIDPGetDatum(&tracking_id);
	nulls[0] = false;
	for (i = 0; i < lengthof(texts); i++)
	{
		nulls[i + 1] = texts[i] == NULL;
		values[i + 1] = nulls[i + 1] ? (Datum) 0 : CStringGetTextDatum(texts[i]);
	}
	i++;
	nulls[i] = !issue_date(&wanted.issue_date, &date);
	values[i++] = DateADTGetDatum(date);
	nulls[i] = false;
	values[i] = BoolGetDatum(texts[5] != NULL && saga_code_find(SAGA_CODES_CREDIT_NOTE, texts[5]) != NULL);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls)));
}
