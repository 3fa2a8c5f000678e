/*
 * template.h
 *		Texts with references into a message.
 */
#ifndef SAGA_ENDPOINT_TEMPLATE_H
#define SAGA_ENDPOINT_TEMPLATE_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/*
 * Text with {path} references into a message.  {secret:...} references are
 * copied as they are: they are filled by who may read secrets.
 *
 * Appends the text with its references filled in.  False, and the path of the
 * reference in *missing, when it leads to nothing, to what has no text (null,
 * an array, an object), or past the limit, which *out has in all.  With url_encode values are
 * percent-encoded, and one that is empty or only dots is refused as well: it
 * would change which resource is meant.  A value may hold any character
 * otherwise; who makes a header of it looks for line ends.
 */
extern bool saga_endpoint_template_fill(StringInfo out, const char *text, Jsonb *doc, bool url_encode, int limit, char **missing);

/* Limits: what servers take of a URL or a header is far less. */
#define SAGA_MAX_URL_TEXT		(1024 * 1024)
#define SAGA_MAX_HEADER_TEXT	(64 * 1024)

#endif							/* SAGA_ENDPOINT_TEMPLATE_H */
