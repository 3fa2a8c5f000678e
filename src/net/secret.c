/*
 * secret.c
 *		References to secrets: {secret:NAME}, {secret:file:/path} and
 *		{secret:env:NAME}.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/compat.h"
#include "net/secret.h"
#include "storage/fd.h"

#define SAGA_SECRET_MAX_BYTES 16384

static const char prefix[] = "{secret:";

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS	"0123456789"

const char *
saga_secret_check_name(const char *name)
{
	size_t		len = strlen(name);

	/* no colon: "file:" and "env:" are something else */
	if (len == 0 || len > 100 || strspn(name, LETTERS DIGITS "_-.") != len)
		return "must have 1 to 100 letters, digits, \"_\", \"-\" and \".\"";
	return NULL;
}

/* The slash is of keys, see saga_secret_key. */
const char *
saga_secret_check_reference(const char *name)
{
	size_t		len = strlen(name);
	size_t		i;

	if (len == 0 || len > 300)
		return "must have 1 to 300 characters";
	for (i = 0; i < len; i++)
		if ((unsigned char) name[i] < ' ' || name[i] == 0x7f || name[i] == '{' || name[i] == '}')
			return "must have no braces and no control characters";
	return NULL;
}

const char *
saga_secret_check(const char *text, SagaSecretUse *use)
{
	const char *p = text;

	while ((p = strstr(p, prefix)) != NULL)
	{
		const char *ref = p + strlen(prefix);
		const char *close = strchr(ref, '}');

		if (close == NULL)
			return "has a reference without its closing brace";
		use->any = true;
		use->count++;
		if (strncmp(ref, "file:", 5) == 0)
		{
			if (ref[5] != '/')
				return "has a {secret:file:...} reference that is no absolute path";
			use->file = true;
		}
		else if (strncmp(ref, "env:", 4) == 0)
		{
			const char *name = ref + 4;

			if (name == close || (int) strspn(name, LETTERS DIGITS "_") != close - name)
				return "has a {secret:env:...} reference that is no name of a variable";
			use->environment = true;
		}
		else
		{
			char	   *name = pnstrdup(ref, close - ref);

			if (strchr(name, ':') != NULL || saga_secret_check_reference(name) != NULL)
				return "has a reference that is neither {secret:NAME} nor {secret:file:/path} nor {secret:env:NAME}";
			use->names = lappend(use->names, name);
		}
		p = close + 1;
	}
	return NULL;
}

char *
saga_secret_read_file(const char *path, int max_bytes, char **error)
{
	int			fd;
	struct stat st;
	char	   *data;
	ssize_t		got = 0;
	ssize_t		len = 0;

	*error = NULL;
	/* O_NONBLOCK: a pipe must not hang the publisher */
	fd = BasicOpenFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (fd < 0)
	{
		*error = psprintf("could not open file \"%s\": %s", path, strerror(errno));
		return NULL;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > max_bytes)
	{
		close(fd);
		*error = psprintf("file \"%s\" is not a regular file of at most %d bytes", path, max_bytes);
		return NULL;
	}
	data = palloc_extended(max_bytes + 1, MCXT_ALLOC_NO_OOM);
	while (data != NULL && len < max_bytes && (got = read(fd, data + len, max_bytes - len)) > 0)
		len += got;
	close(fd);
	if (data == NULL || got < 0)
	{
		*error = psprintf("could not read file \"%s\"", path);
		return NULL;
	}
	data[len] = '\0';
	return data;
}

/* The value of file:PATH, env:NAME or NAME; NULL and *error: it has none. */
static char *
read_reference(const char *ref, char **error)
{
	char	   *value;
	size_t		len;

	if (strncmp(ref, "file:", 5) == 0)
	{
		value = saga_secret_read_file(ref + 5, SAGA_SECRET_MAX_BYTES, error);
		if (value == NULL)
			return NULL;
		/* editors end a file with a line feed */
		len = strlen(value);
		while (len > 0 && (value[len - 1] == '\n' || value[len - 1] == '\r'))
			value[--len] = '\0';
	}
	else if (strncmp(ref, "env:", 4) == 0)
	{
		const char *variable = getenv(ref + 4);

		if (variable == NULL)
		{
			*error = psprintf("environment variable \"%s\" is not set", ref + 4);
			return NULL;
		}
		value = pstrdup(variable);
	}
	else
	{
		value = saga_secret_get(ref);
		if (value == NULL)
		{
			*error = psprintf("secret \"%s\" does not exist", saga_secret_key_name(ref));
			return NULL;
		}
	}
	if (value[0] == '\0' || strpbrk(value, "\r\n") != NULL)
	{
		explicit_bzero(value, strlen(value));
		*error = psprintf("the secret \"%s\" is empty or has more than one line",
						  strncmp(ref, "file:", 5) == 0 ? ref : saga_secret_key_name(ref));
		return NULL;
	}
	return value;
}

char *
saga_secret_fill(StringInfo out, const char *text, List **secrets)
{
	const char *p;

	while ((p = strstr(text, prefix)) != NULL)
	{
		const char *ref = p + strlen(prefix);
		const char *close = strchr(ref, '}');
		char	   *name;
		char	   *value;
		char	   *error;

		if (close == NULL)
			break;
		appendBinaryStringInfo(out, text, p - text);
		name = pnstrdup(ref, close - ref);
		value = read_reference(name, &error);
		if (value == NULL)
			return error;
		appendStringInfoString(out, value);
		*secrets = lappend(*secrets, value);
		text = close + 1;
	}
	appendStringInfoString(out, text);
	return NULL;
}

void
saga_secret_wipe(List *secrets)
{
	ListCell   *lc;

	foreach(lc, secrets)
	{
		char	   *secret = lfirst(lc);

		explicit_bzero(secret, strlen(secret));
	}
}
