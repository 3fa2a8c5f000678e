/*
 * regex.c
 *		What a regular expression of a destination may cost.
 *
 * The server's engine reads a text once, whatever the expression, if that has
 * neither back references nor look-around.  What is left to bound is how long
 * an expression gets when its bounds are written out, because that is what
 * each character may cost, and how many choices it has then: compiling takes
 * the third power of them.  Both are told from the text, before it is compiled.
 * The estimate may be too high, never too low.
 *
 * Begin reading with saga_regex_check: check_cost() measures the text, then
 * the server's compiler has its say.  The scanner must never take an
 * expression for cheaper than the compiler will find it; where the two could
 * read it differently, it counts for the larger.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "regex/regex.h"

#include "mapping/mapping.h"

#define MAX_LENGTH		1000

/* A tenth of a second to compile, and a second to search what is searched. */
#define MAX_ATOMS		1000
#define MAX_CHOICES		200

typedef struct RegexScanner
{
	const char *pos;
	const char *end;
	bool		expanded;		/* blanks and comments mean nothing */
} RegexScanner;

/* Moves a part's cost over to the whole and begins a new part. */
static void
add_part(SagaRegexCost *all, SagaRegexCost *part)
{
	all->atoms += part->atoms;
	all->choices += part->choices;
	all->groups += part->groups;
	all->repeats_group |= part->repeats_group;
	memset(part, 0, sizeof(*part));
}

/* The text is not terminated, so the rest must be long enough. */
static bool
is_at(const RegexScanner *s, const char *text)
{
	return s->end - s->pos >= strlen(text) && strncmp(s->pos, text, strlen(text)) == 0;
}

/*
 * A number of a bound, cut to MAX_LENGTH, which is beyond every limit
 * already.
 */
static int
scan_count(RegexScanner *s)
{
	int			n = 0;

	for (; s->pos < s->end && isdigit((unsigned char) *s->pos); s->pos++)
		n = Min(n * 10 + (*s->pos - '0'), MAX_LENGTH);
	return n;
}

/* "{m}", "{m,}" or "{m,n}": the part so many times, those beyond m by choice. */
static void
scan_bound(RegexScanner *s, SagaRegexCost *part)
{
	int			least;
	int			most;

	s->pos++;
	least = most = scan_count(s);
	if (s->pos < s->end && *s->pos == ',')
	{
		s->pos++;
		most = s->pos < s->end && isdigit((unsigned char) *s->pos) ? scan_count(s) : least + 1;
	}
	most = Max(most, 1);
	part->repeats_group |= part->groups > 0;
	part->atoms *= most;
	part->choices = part->choices * most + Max(most - least, 0);
	if (s->pos < s->end && *s->pos == '}')
		s->pos++;
}

/* [...], [^]...], with [:alpha:] and the like inside. */
static void
skip_bracket(RegexScanner *s)
{
	s->pos++;
	if (s->pos < s->end && *s->pos == '^')
		s->pos++;
	if (s->pos < s->end && *s->pos == ']')
		s->pos++;
	while (s->pos < s->end && *s->pos != ']')
	{
		if (*s->pos == '[' && s->pos + 1 < s->end && strchr(":.=", s->pos[1]) != NULL)
		{
			char		close = s->pos[1];

			for (s->pos += 2; s->pos + 1 < s->end && !(s->pos[0] == close && s->pos[1] == ']'); s->pos++);
			s->pos++;
		}
		else if (*s->pos == '\\')
			s->pos++;
		s->pos++;
	}
	s->pos = Min(s->pos + 1, s->end);
}

static SagaRegexCost measure(RegexScanner *s, bool top);

/* What stands in parentheses. */
static void
scan_group(RegexScanner *s, SagaRegexCost *all, SagaRegexCost *last)
{
	bool		comment = is_at(s, "(?#");
	bool		captures = !is_at(s, "(?");
	SagaRegexCost inner;

	s->pos++;
	if (!captures)
	{
		s->pos++;
		while (s->pos < s->end && strchr(":=!<#", *s->pos) != NULL)
			s->pos++;
	}
	inner = measure(s, false);
	inner.atoms++;
	inner.groups += captures;
	/* what comes next belongs to what was before a comment: to any of it */
	if (!comment)
		add_part(all, last);
	add_part(last, &inner);
	if (comment)
		add_part(last, all);
}

/*
 * Reads up to the end, or up to the parenthesis that closes a group.  A
 * quantifier multiplies only the part before it, so the last part is kept
 * apart from all others until it is known what follows.
 */
static SagaRegexCost
measure(RegexScanner *s, bool top)
{
	SagaRegexCost all = {0};
	SagaRegexCost last = {0};	/* what a quantifier that comes next is for */

	check_stack_depth();

	while (s->pos < s->end)
	{
		char		c = *s->pos;

		if (c == '(')
			scan_group(s, &all, &last);
		else if (c == ')')
		{
			s->pos++;
			if (!top)
				break;
			add_part(&last, &all);
		}
		else if (c == '*' || c == '+' || c == '?')
		{
			s->pos++;
			last.choices++;
			last.repeats_group |= last.groups > 0 && c != '?';
			if (s->pos < s->end && *s->pos == '?')
				s->pos++;
		}
		else if (c == '{' && s->pos + 1 < s->end && isdigit((unsigned char) s->pos[1]))
		{
			scan_bound(s, &last);
			if (s->pos < s->end && *s->pos == '?')
				s->pos++;
		}
		else if (s->expanded && (c == '#' || isspace((unsigned char) c)))
		{
			s->pos++;
			last.atoms++;
			add_part(&last, &all);
		}
		else
		{
			add_part(&all, &last);

			/*
			 * alternatives are choices, whatever they hold; any other
			 * character begins a part of its own
			 */
			if (c == '|')
				all.choices++;
			else
				last.atoms = 1;
			if (c == '[')
				skip_bracket(s);
			else
				s->pos = Min(s->pos + (c == '\\' ? 2 : 1), s->end);
		}
	}
	add_part(&all, &last);
	return all;
}

/* False: it is in an older syntax, where parentheses and brackets are read in another way. */
static bool
scan_options(RegexScanner *s)
{
	const char *p;

	if (is_at(s, "***"))
		s->pos = Min(s->pos + 4, s->end);
	if (!is_at(s, "(?"))
		return true;
	for (p = s->pos + 2; p < s->end && *p >= 'a' && *p <= 'z'; p++);
	if (p == s->pos + 2 || p == s->end || *p != ')')
		return true;
	if (memchr(s->pos, 'b', p - s->pos) != NULL || memchr(s->pos, 'e', p - s->pos) != NULL)
		return false;
	s->expanded = memchr(s->pos, 'x', p - s->pos) != NULL;
	s->pos = p + 1;
	return true;
}

/* NULL, or why it is too much. */
static const char *
check_cost(const char *text, int len, SagaRegexCost *cost)
{
	RegexScanner s = {text, text + len};

	if (len > MAX_LENGTH)
		return "is too long for a regular expression";
	if (!scan_options(&s))
		return "must be a regular expression in the advanced syntax";
	*cost = measure(&s, true);
	if (cost->atoms > MAX_ATOMS)
		return psprintf("is too much for a regular expression: its bounds make more than %d characters of it", MAX_ATOMS);
	if (cost->choices > MAX_CHOICES)
		return psprintf("is too much for a regular expression: its quantifiers and alternatives, multiplied by the bounds around them, are more than %d",
						MAX_CHOICES);
	return NULL;
}

/*
 * The compiled expression is thrown away: RE_compile_and_execute has a cache
 * of its own.  What costs too much is told apart from what is wrong, because
 * earlier versions stored it.
 */
SagaRegexVerdict
saga_regex_check(const char *text, int len, int flags, SagaRegexCost *cost, const char **error)
{
	regex_t		re;
	pg_wchar   *wide;
	int			nwide;
	int			rc;
	int			info;
	char		message[100];

	memset(cost, 0, sizeof(*cost));
	*error = check_cost(text, len, cost);
	if (*error != NULL)
		return SAGA_REGEX_TOO_COSTLY;
	wide = palloc((len + 1) * sizeof(pg_wchar));
	nwide = pg_mb2wchar_with_len(text, wide, len);
	rc = pg_regcomp(&re, wide, nwide, flags, C_COLLATION_OID);
	pfree(wide);
	if (rc != REG_OKAY)
	{
		/*
		 * the compiler gives up with an error of its own when it is
		 * interrupted
		 */
		CHECK_FOR_INTERRUPTS();
		pg_regerror(rc, &re, message, sizeof(message));
		*error = psprintf("is no regular expression: %s", message);
		return SAGA_REGEX_WRONG;
	}
	info = re.re_info;
	pg_regfree(&re);
	if (info & REG_UBACKREF)
	{
		*error = "must not have back references: they can take for ever";
		return SAGA_REGEX_WRONG;
	}
	if (info & REG_ULOOKAROUND)
	{
		*error = "must not have look-ahead or look-behind: they can take for ever";
		return SAGA_REGEX_TOO_COSTLY;
	}
	return SAGA_REGEX_OK;
}
