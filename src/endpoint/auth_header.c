/*
 * auth_header.c
 *		Headers that say who we are.
 */
#include "postgres.h"

#include "common/base64.h"
#include "common/compat.h"
#include "endpoint/auth_private.h"

/*
 * Lines of that name are taken out of the list, in whatever case they are
 * written; the others keep their order.
 */
void
saga_auth_set_header(SagaExchange *exchange, const char *name, char *value)
{
	List	   *others = NIL;
	ListCell   *lc;
	size_t		len = strlen(name);

	foreach(lc, exchange->http.headers)
	{
		char	   *line = lfirst(lc);

		if (pg_strncasecmp(line, name, len) != 0 || line[len] != ':')
			others = lappend(others, line);
		else
			explicit_bzero(line, strlen(line)); /* it may hold a secret */
	}
	exchange->http.headers = lappend(others, psprintf("%s: %s", name, value));
	explicit_bzero(value, strlen(value));
}

char *
saga_auth_basic(const char *user, const char *password, List **secrets)
{
	char	   *plain = psprintf("%s:%s", user, password);
	int			size = pg_b64_enc_len(strlen(plain));
	char	   *encoded = palloc(size + 1);
	int			len = saga_b64_encode(plain, strlen(plain), encoded, size);

	encoded[Max(len, 0)] = '\0';
	explicit_bzero(plain, strlen(plain));
	*secrets = lappend(*secrets, encoded);
	return psprintf("Authorization: Basic %s", encoded);
}
