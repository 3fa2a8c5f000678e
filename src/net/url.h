/*
 * url.h
 *		URLs: taken apart, compared and written.
 */
#ifndef SAGA_URL_H
#define SAGA_URL_H

#include "lib/stringinfo.h"

typedef struct SagaUrl
{
	bool		https;
	char	   *host;			/* lower case; an IPv6 address keeps its brackets */
	int			port;			/* never 0 */
	char	   *path;			/* "" or begins with '/' */
	char	   *query;			/* without '?'; NULL: none */
	bool		templates;		/* path or query hold {name} */
} SagaUrl;

/*
 * What may be wrong with a text that has {name} references; NULL: nothing.
 * Where there is no such check, a URL must have none.
 */
typedef const char *(*SagaTemplateCheck) (const char *text);

/* NULL, or what is wrong with it.  Neither userinfo, nor fragment, nor dot segments. */
extern const char *saga_url_parse(const char *text, SagaTemplateCheck templates, SagaUrl *url);

/* The same for what comes behind the host: "/path?query", "?query" or "". */
extern const char *saga_url_check_path(const char *text, SagaTemplateCheck templates);

/*
 * Does "full" lie below "base"?  Host and port are equal and base's path is a
 * prefix on a segment boundary.  *rest is what follows: "", "/x?y", "?y".
 */
extern bool saga_url_covers(const SagaUrl *base, const SagaUrl *full, char **rest);

/* Only A-Z a-z 0-9 - _ . ~ stay as they are. */
extern void saga_url_encode(StringInfo out, const char *text, int len);

/* Is this "." or ".." to a server that decodes it? */
extern bool saga_url_is_dot_segment(const char *segment, int len);

#endif							/* SAGA_URL_H */
