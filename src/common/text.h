/*
 * text.h
 *		Small help with text.
 */
#ifndef SAGA_TEXT_H
#define SAGA_TEXT_H

#include <stdarg.h>

/* As psprintf, for functions that have variable arguments of their own; palloc'd. */
extern char *saga_vformat(const char *fmt, va_list args) pg_attribute_printf(1, 0);

/* A letter or digit of ASCII, whatever the locale of the server. */
static inline bool
saga_is_ascii_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The value of a hexadecimal digit; -1: it is none. */
extern int	saga_hex_digit(char c);

#endif							/* SAGA_TEXT_H */
