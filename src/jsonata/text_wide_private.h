/*
 * text_wide_private.h
 *		Pictures and what they make, as arrays of characters.
 */
#ifndef SAGA_JSONATA_TEXT_WIDE_PRIVATE_H
#define SAGA_JSONATA_TEXT_WIDE_PRIVATE_H

#include "mb/pg_wchar.h"

#include "jsonata/text_private.h"

/* Bytes of a picture; what is done with one is at most some hundred steps a byte. */
#define SAGA_JSONATA_MAX_PICTURE	10000

typedef struct SagaJsonataWide
{
	pg_wchar   *chars;			/* in CurrentMemoryContext */
	int			len;
	int			max;
} SagaJsonataWide;

extern SagaJsonataWide saga_jsonata_wide(const char *s, int len);
extern void saga_jsonata_wide_char(SagaJsonataWide *wide, pg_wchar c);

/* Puts it in front of the character at a place, which is cut to those that there are. */
extern void saga_jsonata_wide_insert(SagaJsonataWide *wide, int at, const pg_wchar *chars, int n);

/* The first place at or after "from"; -1: none. */
extern int	saga_jsonata_wide_find(const SagaJsonataWide *wide, const pg_wchar *chars, int n, int from);
extern void saga_jsonata_append_wide(StringInfo out, const pg_wchar *chars, int n);

/*
 * The size of groups when the places of their separators, counted from the
 * right, are all multiples of one that are there up to the largest; else 0.
 */
extern int	saga_jsonata_regular_group(const int *positions, int n);

/* D2015 when it is too long. */
extern bool saga_jsonata_check_picture(int len, SagaJsonataFault *fault);

/* ---------- pictures of integers (text_integer.c) ---------- */

typedef enum SagaJsonataIntegerKind
{
	SAGA_JSONATA_DECIMAL,
	SAGA_JSONATA_LETTERS,
	SAGA_JSONATA_ROMAN,
	SAGA_JSONATA_WORDS,
	SAGA_JSONATA_SEQUENCE		/* is refused where it is used */
} SagaJsonataIntegerKind;

typedef enum SagaJsonataCase
{
	SAGA_JSONATA_LOWER,
	SAGA_JSONATA_UPPER,
	SAGA_JSONATA_TITLE
} SagaJsonataCase;

typedef struct SagaJsonataIntegerPicture
{
	SagaJsonataIntegerKind kind;
	SagaJsonataCase letters;
	bool		ordinal;
	const char *token;			/* the picture, for messages */
	int			token_len;
	/* DECIMAL */
	pg_wchar	zero;
	int			mandatory;		/* digits; -1: it is none with digits */
	int			optional;
	int			group;			/* > 0: all groups are of this size */
	int			nseparators;	/* from the right to the left */
	int		   *positions;		/* digits to the right of each */
	pg_wchar   *separators;
	int			parse_width;	/* > 0: exactly so many digits are read */
} SagaJsonataIntegerPicture;

extern bool saga_jsonata_integer_picture(const char *picture, int len, SagaJsonataIntegerPicture *result,
										 SagaJsonataFault *fault);

/* A whole number; digits: those of its absolute value when a double has too few, else NULL. */
extern bool saga_jsonata_write_integer(double number, const char *digits, const SagaJsonataIntegerPicture *picture,
									   StringInfo out, SagaJsonataFault *fault);

/* NaN when it is none.  Not for SAGA_JSONATA_SEQUENCE. */
extern double saga_jsonata_read_integer(const char *s, int len, const SagaJsonataIntegerPicture *picture);

extern bool saga_jsonata_sequence_fault(const SagaJsonataIntegerPicture *picture, SagaJsonataFault *fault);

/* As JavaScript's parseInt(): what comes first; NaN: no digit. */
extern double saga_jsonata_parse_int(const char *s, int len);

/* ---------- numbers in words (text_words.c) ---------- */

extern void saga_jsonata_write_words(double number, bool ordinal, StringInfo out);
extern double saga_jsonata_read_words(const char *s, int len);	/* lower case; NaN: an unknown word */

/* Alternatives of a regular expression, one for each word. */
extern void saga_jsonata_words_pattern(StringInfo out);

#endif							/* SAGA_JSONATA_TEXT_WIDE_PRIVATE_H */
