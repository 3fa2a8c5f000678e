/*
 * scan.h
 *		A text that is being read: a path, an expression.
 */
#ifndef SAGA_SCAN_H
#define SAGA_SCAN_H

#include "value/value.h"

/* parentheses and calls inside each other, in a text */
#define SAGA_MAX_NESTING		100

typedef struct SagaScanner
{
	const char *text;			/* all of it, for positions; a NUL ends it */
	const char *pos;			/* what is read next */
	int			nesting;		/* so deep, of SAGA_MAX_NESTING */
	bool		in_filter;		/* operators end a name */
	char	   *error;			/* the first */
} SagaScanner;

extern bool saga_scan_error(SagaScanner *s, const char *fmt, ...) pg_attribute_printf(2, 3);
extern void saga_scan_blanks(SagaScanner *s);
extern bool saga_scan_word(SagaScanner *s, const char *word);	/* skips it if it is next */

/* A string in the quotes that s->pos is at, with JavaScript's escapes. */
extern bool saga_scan_quoted(SagaScanner *s, JsonbValue *result);

#endif							/* SAGA_SCAN_H */
