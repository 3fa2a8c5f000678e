/*
 * charset_private.h
 *		Texts of foreign servers in UTF-8, whatever they were written in.
 */
#ifndef SAGA_NET_CHARSET_PRIVATE_H
#define SAGA_NET_CHARSET_PRIVATE_H

typedef enum SagaCharsetResult
{
	SAGA_CHARSET_KEPT,			/* it is UTF-8, or no text */
	SAGA_CHARSET_CONVERTED,		/* *converted is it, malloc'ed */
	SAGA_CHARSET_UNREADABLE		/* nobody can say which characters these are */
} SagaCharsetResult;

/*
 * By the byte order mark, by what JSON looks like, by what Content-Type says
 * (NULL: nothing), in this order; what a charset that is not known may be is
 * taken if it is valid in the server's encoding.  A byte order mark of UTF-8
 * is moved away, and *len is less by it.
 *
 * Neither raises nor needs a transaction.  text and *converted have a NUL
 * behind them; *converted is *converted_size bytes.
 */
extern SagaCharsetResult saga_charset_to_utf8(const char *content_type, char *text, size_t *len,
											  char **converted, size_t *converted_len, size_t *converted_size);

/* Valid UTF-8 without NUL? */
extern bool saga_charset_is_utf8(const char *text, size_t len);

#endif							/* SAGA_NET_CHARSET_PRIVATE_H */
