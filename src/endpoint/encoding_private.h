/*
 * encoding_private.h
 *		Texts of the database in UTF-8 and back, where nothing may be raised for
 *		what they hold.
 */
#ifndef SAGA_ENDPOINT_ENCODING_PRIVATE_H
#define SAGA_ENDPOINT_ENCODING_PRIVATE_H

/*
 * False: a character has no place in the other encoding.  Where nothing has to
 * be converted, the result is the text itself; else it has a NUL at its end.
 * Needs a transaction in databases that are not UTF8.
 */
extern bool saga_endpoint_to_utf8(const char *text, int len, const char **result, int *result_len);
extern bool saga_endpoint_from_utf8(const char *text, int len, const char **result, int *result_len);

#endif							/* SAGA_ENDPOINT_ENCODING_PRIVATE_H */
