/*
 * header.h
 *		Headers of HTTP: which can be sent, and what an answer has.
 */
#ifndef SAGA_HEADER_H
#define SAGA_HEADER_H

/* Headers that hold secrets by their nature: never as plain text. */
extern bool saga_header_is_secret(const char *name);

/* NULL, or why this cannot be the name or the value of a header. */
extern const char *saga_header_check_name(const char *name);
extern const char *saga_header_check_value(const char *value);

/*
 * The value of the first header of that name in the head of an answer, without
 * blanks around it; palloc'd.  NULL: not there.
 */
extern char *saga_header_get(const char *head, const char *name);

#endif							/* SAGA_HEADER_H */
