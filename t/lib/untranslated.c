/*
 * untranslated.c
 *		Messages and locales as they are: with libasan preloaded, libraries of
 *		some systems take locks of the C library before it is ready, and whoever
 *		takes them next waits for ever.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <locale.h>

static int	ready;

static void __attribute__((constructor))
begin(void)
{
	ready = 1;					/* preloaded, so after other libraries */
}

locale_t
newlocale(int mask, const char *name, locale_t base)
{
	locale_t	(*real) (int, const char *, locale_t) = dlsym(RTLD_NEXT, "newlocale");

	return ready ? real(mask, name, base) : LC_GLOBAL_LOCALE;
}

void
freelocale(locale_t locale)
{
	void		(*real) (locale_t) = dlsym(RTLD_NEXT, "freelocale");

	if (locale != LC_GLOBAL_LOCALE)
		real(locale);
}

char	   *bindtextdomain(const char *domain, const char *dir) { return (char *) dir; }
char	   *bind_textdomain_codeset(const char *domain, const char *codeset) { return (char *) codeset; }
char	   *textdomain(const char *domain) { return (char *) domain; }
char	   *gettext(const char *text) { return (char *) text; }
char	   *dgettext(const char *domain, const char *text) { return (char *) text; }
char	   *dcgettext(const char *domain, const char *text, int category) { return (char *) text; }
char	   *ngettext(const char *one, const char *many, unsigned long n) { return (char *) (n == 1 ? one : many); }

char *
dngettext(const char *domain, const char *one, const char *many, unsigned long n)
{
	return (char *) (n == 1 ? one : many);
}
