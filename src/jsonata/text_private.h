/*
 * text_private.h
 *		What JSONata's functions do with texts, numbers and times: the parts
 *		that know nothing of values and expressions.
 *
 * Texts are UTF-8 whatever the encoding of the database; who calls from one in
 * another encoding converts.  They need no NUL byte at the end.  A half of a
 * surrogate pair, which "\ud800" in an expression can make, may stand in them
 * in its three bytes, and so may U+0000.  Results are appended to a StringInfo or allocated in
 * CurrentMemoryContext.
 *
 * What can fail returns false and fills the fault, with the code that the
 * reference implementation has for it; its position is left for the caller.
 * Names of arguments in messages are the functions' own ("$formatNumber").
 */
#ifndef SAGA_JSONATA_TEXT_PRIVATE_H
#define SAGA_JSONATA_TEXT_PRIVATE_H

#include "lib/stringinfo.h"
#include "utils/numeric.h"

#include "jsonata/fault.h"
#include "jsonata/regex.h"

/*
 * Counts work before it is done, a step being some 50 ns of it, and looks for
 * interrupts.  False: there is no more left; the callback has filled the fault
 * of its owner then, and what called it returns false without a fault of its
 * own.  A NULL work counts nothing.
 */
typedef struct SagaJsonataWork
{
	bool		(*charge) (void *arg, int64 steps);
	void	   *arg;
} SagaJsonataWork;

extern bool saga_jsonata_charge(const SagaJsonataWork *work, int64 steps);

/* Fills the fault, and returns false, for "return saga_jsonata_fault(...)" (fault.c). */
extern bool saga_jsonata_fault(SagaJsonataFault *fault, const char *code, const char *fmt, ...) pg_attribute_printf(3, 4);

/* A part of a text that lies elsewhere; s NULL: not there (undefined). */
typedef struct SagaJsonataSlice
{
	const char *s;
	int			len;
} SagaJsonataSlice;

/* No result gets longer than this; what would is the fault D2015. */
#define SAGA_JSONATA_MAX_TEXT	(64 * 1024 * 1024)

/* ---------- numbers (text_number.c) ---------- */

#define SAGA_JSONATA_NUMBER_TEXT	32

/* As JavaScript prints it, NUL-terminated; returns the length. */
extern int	saga_jsonata_number_text(double number, char *buf);

/* The same of a decimal, all digits of it kept; palloc'd. */
extern char *saga_jsonata_numeric_text(Numeric number);

/*
 * Fifteen significant digits are left of what is no integer, as $string and &
 * have it; then print that.
 */
extern double saga_jsonata_fifteen_digits(double number);

/* As $number takes strings; false: it is none (the caller's D3030). */
extern bool saga_jsonata_parse_number(const char *s, int len, double *number);
extern bool saga_jsonata_parse_numeric(const char *s, int len, Numeric *number);

/* $round: half to even; at so many digits, which may be negative. */
extern double saga_jsonata_round(double number, int digits);
extern Numeric saga_jsonata_round_numeric(Numeric number, int digits);

/* $formatBase; both are rounded here.  D3100. */
extern bool saga_jsonata_format_base(double number, double radix, StringInfo out, SagaJsonataFault *fault);

/* ---------- $formatNumber (text_picture.c, text_format.c) ---------- */

/* The symbols that the options may change; all must be set. */
typedef enum SagaJsonataSymbol
{
	SAGA_JSONATA_DECIMAL_SEPARATOR,
	SAGA_JSONATA_GROUPING_SEPARATOR,
	SAGA_JSONATA_EXPONENT_SEPARATOR,
	SAGA_JSONATA_INFINITY,
	SAGA_JSONATA_MINUS_SIGN,
	SAGA_JSONATA_NAN,
	SAGA_JSONATA_PERCENT,
	SAGA_JSONATA_PER_MILLE,
	SAGA_JSONATA_ZERO_DIGIT,
	SAGA_JSONATA_DIGIT,
	SAGA_JSONATA_PATTERN_SEPARATOR
} SagaJsonataSymbol;

#define SAGA_JSONATA_SYMBOLS	(SAGA_JSONATA_PATTERN_SEPARATOR + 1)

typedef struct SagaJsonataSymbols
{
	SagaJsonataSlice symbols[SAGA_JSONATA_SYMBOLS];
} SagaJsonataSymbols;

extern void saga_jsonata_default_symbols(SagaJsonataSymbols *symbols);

/* The option of that name, "decimal-separator"; -1: there is none, it is ignored. */
extern int	saga_jsonata_symbol(const char *name, int len);

/* D3080 to D3093. */
extern bool saga_jsonata_format_number(double number, const char *picture, int len, const SagaJsonataSymbols *symbols,
									   StringInfo out, SagaJsonataFault *fault);
extern bool saga_jsonata_format_numeric(Numeric number, const char *picture, int len, const SagaJsonataSymbols *symbols,
										StringInfo out, SagaJsonataFault *fault);

/* ---------- $formatInteger, $parseInteger (text_integer.c, text_words.c) ---------- */

/* D3130, D3131.  *number is NaN where the reference has NaN, which is undefined in JSON. */
extern bool saga_jsonata_format_integer(double number, const char *picture, int len, StringInfo out, SagaJsonataFault *fault);
extern bool saga_jsonata_format_integer_numeric(Numeric number, const char *picture, int len, StringInfo out,
												SagaJsonataFault *fault);
extern bool saga_jsonata_parse_integer(const char *s, int len, const char *picture, int picture_len, double *number,
									   SagaJsonataFault *fault);

/* ---------- times (text_datetime.c and others) ---------- */

/* $fromMillis; picture NULL: ISO 8601, zone NULL: UTC.  D3130 to D3135; D3137 for what is no time. */
extern bool saga_jsonata_format_datetime(double millis, const char *picture, int len, const char *zone, int zone_len,
										 StringInfo out, SagaJsonataFault *fault);

/*
 * $toMillis; picture NULL: ISO 8601 (D3110).  now is $millis(), for what the
 * picture leaves out.  Not matched: undefined.
 */
extern bool saga_jsonata_parse_datetime(const char *s, int len, const char *picture, int picture_len, double now,
										const SagaJsonataWork *work, double *millis, bool *matched, SagaJsonataFault *fault);

/* ---------- regular expressions (text_regex.c) ---------- */

typedef struct SagaJsonataMatch
{
	int			start;			/* bytes */
	int			end;
	int			ngroups;
	SagaJsonataSlice *groups;	/* $1 ...; they point into the subject; valid until the next match of this regex */
} SagaJsonataMatch;

/*
 * flags are some of "im".  It lives as long as CurrentMemoryContext, and may
 * be executed while other matches of it go on.  S0303 for what is no regular
 * expression; S0301 for an empty one.
 */
extern SagaJsonataRegex *saga_jsonata_regex_compile(const char *pattern, int len, const char *flags, SagaJsonataFault *fault);

/*
 * The first match at or after start.  D1012 when it takes more than a regular
 * expression may.
 */
extern bool saga_jsonata_regex_exec(SagaJsonataRegex *regex, const char *subject, int len, int start,
									const SagaJsonataWork *work, SagaJsonataMatch *match, bool *matched,
									SagaJsonataFault *fault);

/*
 * The one after *match, as the next() of the reference's matches finds it:
 * D1004 when that is empty.  *match is changed.
 */
extern bool saga_jsonata_regex_next(SagaJsonataRegex *regex, const char *subject, int len,
									const SagaJsonataWork *work, SagaJsonataMatch *match, bool *matched,
									SagaJsonataFault *fault);

/* ---------- $split, $replace, $contains (text_replace.c) ---------- */

/* A limit that is not given. */
#define SAGA_JSONATA_NO_LIMIT	(-1.0)

/* The first place at or after "from" in bytes; -1: none.  Its work is to be charged before: len - from bytes. */
extern int	saga_jsonata_find(const char *s, int len, const char *part, int part_len, int from);

/*
 * $split with a string, or with a regex (then separator is NULL).  The limit
 * is not negative.  *parts lies in CurrentMemoryContext, its texts in s.
 */
extern bool saga_jsonata_split(const char *s, int len, const SagaJsonataSlice *separator, SagaJsonataRegex *regex, double limit,
							   const SagaJsonataWork *work, SagaJsonataSlice **parts, int *nparts, SagaJsonataFault *fault);

/* $replace with a string for a string, or for a regex (then pattern is NULL) with $0, $1, $$ in it. */
extern bool saga_jsonata_replace(const char *s, int len, const SagaJsonataSlice *pattern, SagaJsonataRegex *regex,
								 const char *replacement, int replacement_len, double limit, const SagaJsonataWork *work,
								 StringInfo out, SagaJsonataFault *fault);

/* What a replacement makes of one match: for matchers that are functions. */
extern void saga_jsonata_append_replacement(StringInfo out, const char *replacement, int len, const SagaJsonataSlice *match,
											const SagaJsonataSlice *groups, int ngroups);

/* ---------- characters (text_chars.c) ---------- */

/* Code points, as $length counts them. */
extern int	saga_jsonata_length(const char *s, int len);

/* UTF-16 units, as "index" of $match counts them. */
extern int	saga_jsonata_utf16_length(const char *s, int len);

/* By UTF-16 units as JavaScript's < has it: differs from memcmp beyond U+FFFF. */
extern int	saga_jsonata_compare(const char *a, int alen, const char *b, int blen);

/* $substring: numbers as they were given, NaN: no length. */
extern SagaJsonataSlice saga_jsonata_substring(const char *s, int len, double start, double length);

/* $pad; fill NULL or empty: a blank.  D2015 when it gets too long. */
extern bool saga_jsonata_pad(const char *s, int len, double width, const char *fill, int fill_len,
							 const SagaJsonataWork *work, StringInfo out, SagaJsonataFault *fault);

/* $trim: blanks in one, none at the ends. */
extern void saga_jsonata_trim(const char *s, int len, StringInfo out);

/* ---------- letters (text_case.c) ---------- */

/*
 * Unicode's, with those of one letter to several; not the locale's.  False (D3001)
 * where the system has no C.UTF-8, for what is beyond ASCII.
 */
extern bool saga_jsonata_change_case(const char *s, int len, bool upper, StringInfo out, SagaJsonataFault *fault);

/* ---------- encodings (text_encode.c) ---------- */

/* The reference's: one byte a character, so that beyond U+00FF it is the low byte. */
extern void saga_jsonata_base64_encode(const char *s, int len, StringInfo out);

/* What is not of the alphabet is skipped; each byte becomes a character, U+0000 included. */
extern void saga_jsonata_base64_decode(const char *s, int len, StringInfo out);

/* component: $encodeUrlComponent, else $encodeUrl.  D3140. */
extern bool saga_jsonata_encode_url(const char *s, int len, bool component, StringInfo out, SagaJsonataFault *fault);
extern bool saga_jsonata_decode_url(const char *s, int len, bool component, StringInfo out, SagaJsonataFault *fault);

/* ---------- AWS's functions (text_aws.c) ---------- */

/* $hash: MD5, SHA-1, SHA-256, SHA-384, SHA-512; hexadecimal.  T0410 for another name. */
extern bool saga_jsonata_hash(const char *data, int len, const char *algorithm, int algorithm_len, StringInfo out,
							  SagaJsonataFault *fault);

/* $random: 0 <= n < 1.  The state is a seed that is changed. */
extern double saga_jsonata_random(uint64 *state);
extern uint64 saga_jsonata_random_seed(double seed);

/* $uuid: version 4 of sixteen random bytes; 36 characters. */
extern void saga_jsonata_uuid(const uint8 *random, StringInfo out);

#endif							/* SAGA_JSONATA_TEXT_PRIVATE_H */
