/*
 * url.h
 *		URLs of destinations: taken apart and compared.
 */
#ifndef SAGA_OUTBOX_URL_H
#define SAGA_OUTBOX_URL_H

typedef struct SagaUrl
{
	bool		https;
	char	   *host;			/* lower case; an IPv6 address keeps its brackets */
	int			port;			/* never 0 */
	char	   *path;			/* "" or begins with '/' */
	char	   *query;			/* without '?'; NULL: none */
	bool		templates;		/* path or query hold {name} */
} SagaUrl;

/* NULL, or what is wrong with it.  Neither userinfo, nor fragment, nor dot segments. */
extern const char *saga_url_parse(const char *text, bool allow_templates, SagaUrl *url);

/* The same for what comes behind the host: "/path?query", "?query" or "". */
extern const char *saga_url_check_path(const char *text, bool allow_templates);

/*
 * Does "full" lie below "base"?  Host and port are equal and base's path is a
 * prefix on a segment boundary.  *rest is what follows: "", "/x?y", "?y".
 */
extern bool saga_url_covers(const SagaUrl *base, const SagaUrl *full, char **rest);

#endif							/* SAGA_OUTBOX_URL_H */
