/*
 * path_filter.c
 *		Filters of a JSONPath: "[?(@.price < 10 && @.tag in ['a', 'b'])]".
 *
 *		or:   and ('||' and)*          and: unary ('&&' unary)*
 *		unary: '!' unary | '(' or ')' | operand [operator operand]
 *
 * An operand alone must be a path and asks whether it leads anywhere.
 *
 * Begin reading with scan_or() for the syntax and saga_filter_match() for the
 * meaning.  A filter is a tree of comparisons; its paths are evaluated anew
 * for each node that is tested, out of the budget of the path around it.
 * Nothing in a filter is a fault, except that the budget may be spent: what
 * is not there or of another type does not match.
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "utils/builtins.h"

#include "jsonpath/jsonpath_private.h"

#define MAX_REGEX_TEXT	(16 * 1024 * 1024)

/* Longer ones first: the first that matches is taken. */
static const struct
{
	const char *text;
	SagaFilterKind kind;
}			operators[] =

{
	{"===", SAGA_FILTER_EQ},
	{"!==", SAGA_FILTER_NE},
	{"==", SAGA_FILTER_EQ},
	{"!=", SAGA_FILTER_NE},
	{"<=", SAGA_FILTER_LE},
	{">=", SAGA_FILTER_GE},
	{"=~", SAGA_FILTER_REGEX},
	{"<", SAGA_FILTER_LT},
	{">", SAGA_FILTER_GT},
	{"in", SAGA_FILTER_IN},
	{"nin", SAGA_FILTER_NIN},
	{"subsetof", SAGA_FILTER_SUBSETOF},
	{"anyof", SAGA_FILTER_ANYOF},
	{"noneof", SAGA_FILTER_NONEOF},
	{"contains", SAGA_FILTER_CONTAINS},
	{"size", SAGA_FILTER_SIZE},
	{"empty", SAGA_FILTER_EMPTY},
};

static SagaFilter *scan_or(SagaScanner *s);
static bool scan_literal(SagaScanner *s, JsonbValue *value);

/* ---------- parsing ---------- */

/*
 * Counts parentheses, lists and paths inside each other, which the callers
 * count down again unless they fail.
 */
static bool
enter(SagaScanner *s)
{
	if (++s->nesting > SAGA_MAX_NESTING)
		return saga_scan_error(s, "nested too deep");
	return true;
}

/*
 * [a, b, ...] of literals, the brackets included.  A comma must stand between
 * two of them and nowhere else.
 */
static bool
scan_list(SagaScanner *s, JsonbValue *value)
{
	int			n = 0,
				max = 4;
	JsonbValue *elems = palloc(max * sizeof(JsonbValue));

	if (!enter(s))
		return false;
	s->pos++;
	saga_scan_blanks(s);
	while (*s->pos != ']')
	{
		if (n > 0)
		{
			if (*s->pos != ',')
				return saga_scan_error(s, "\",\" or \"]\" was expected");
			s->pos++;
			saga_scan_blanks(s);
		}
		if (n == max)
		{
			max *= 2;
			elems = repalloc(elems, max * sizeof(JsonbValue));
		}
		if (!scan_literal(s, &elems[n++]))
			return false;
		saga_scan_blanks(s);
	}
	s->pos++;
	s->nesting--;
	saga_value_set_array(value, elems, n);
	return true;
}

/* A value in JSON's form, or a string in single quotes. */
static bool
scan_literal(SagaScanner *s, JsonbValue *value)
{
	int			len;

	if (*s->pos == '\'' || *s->pos == '"')
		return saga_scan_quoted(s, value);
	if (*s->pos == '[')
		return scan_list(s, value);
	if (saga_scan_word(s, "null"))
	{
		value->type = jbvNull;
		return true;
	}
	if (saga_scan_word(s, "true") || saga_scan_word(s, "false"))
	{
		value->type = jbvBool;
		value->val.boolean = s->pos[-2] == 'u';
		return true;
	}
	len = saga_number_length(s->pos);
	value->type = jbvNumeric;
	if (len == 0)
		return saga_scan_error(s, "a path or a value was expected");
	if (!saga_numeric_parse(s->pos, len, &value->val.numeric))
		return saga_scan_error(s, "the number is too large");
	s->pos += len;
	return true;
}

/* A path, which begins with "$" or "@", or a literal. */
static bool
scan_operand(SagaScanner *s, SagaOperand *operand)
{
	saga_scan_blanks(s);
	if (*s->pos != '$' && *s->pos != '@')
		return scan_literal(s, &operand->value);
	if (!enter(s))
		return false;
	operand->path = saga_path_scan(s);
	s->nesting--;
	return operand->path != NULL;
}

/* "/pattern/i"; checked here, compiled and kept by the server's cache on use */
static bool
scan_regex(SagaScanner *s, SagaFilter *filter)
{
	StringInfoData buf;
	regex_t		re;
	pg_wchar   *wide;
	int			len;
	int			rc;

	saga_scan_blanks(s);
	if (*s->pos != '/')
		return saga_scan_error(s, "\"/\" was expected");
	initStringInfo(&buf);
	/* the whole text must match, as with Java's matches() */
	appendStringInfoString(&buf, "^(?:");
	for (s->pos++; *s->pos != '/'; s->pos++)
	{
		if (*s->pos == '\\' && s->pos[1] == '/')
			s->pos++;
		else if (*s->pos == '\\' && s->pos[1] != '\0')
			appendStringInfoChar(&buf, *s->pos++);
		if (*s->pos == '\0')
			return saga_scan_error(s, "the pattern has no end");
		appendStringInfoChar(&buf, *s->pos);
	}
	s->pos++;
	appendStringInfoString(&buf, ")$");
	filter->regex_flags = REG_ADVANCED | REG_NOSUB;
	if (saga_scan_word(s, "i"))
		filter->regex_flags |= REG_ICASE;

	wide = palloc((buf.len + 1) * sizeof(pg_wchar));
	len = pg_mb2wchar_with_len(buf.data, wide, buf.len);
	rc = pg_regcomp(&re, wide, len, filter->regex_flags, C_COLLATION_OID);
	pfree(wide);
	if (rc != REG_OKAY)
	{
		CHECK_FOR_INTERRUPTS();
		return saga_scan_error(s, "invalid regular expression");
	}
	pg_regfree(&re);
	filter->regex = cstring_to_text_with_len(buf.data, buf.len);
	return true;
}

/* ASCII alone: operators are made of nothing else. */
static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/*
 * Reads an operator; one of letters must end with its word, so that "index"
 * is not "in".  False, and nothing read: there is none.
 */
static bool
scan_operator(SagaScanner *s, SagaFilterKind *kind)
{
	for (int i = 0; i < lengthof(operators); i++)
	{
		const char *op = operators[i].text;
		size_t		len = strlen(op);

		if (strncmp(s->pos, op, len) != 0)
			continue;
		if (is_letter(*op) && is_letter(s->pos[len]))
			continue;
		s->pos += len;
		*kind = operators[i].kind;
		return true;
	}
	return false;
}

/* The operands of a comparison are set by who makes it. */
static SagaFilter *
make_filter(SagaFilterKind kind, SagaFilter *left, SagaFilter *right)
{
	SagaFilter *filter = palloc0(sizeof(SagaFilter));

	filter->kind = kind;
	filter->left = left;
	filter->right = right;
	return filter;
}

/* An operand, and behind an operator the second one. */
static SagaFilter *
scan_comparison(SagaScanner *s)
{
	SagaFilter *filter = make_filter(SAGA_FILTER_EXISTS, NULL, NULL);

	if (!scan_operand(s, &filter->a))
		return NULL;
	saga_scan_blanks(s);
	if (!scan_operator(s, &filter->kind))
	{
		if (filter->a.path != NULL)
			return filter;
		saga_scan_error(s, "an operator was expected");
		return NULL;
	}
	if (filter->kind == SAGA_FILTER_REGEX)
		return scan_regex(s, filter) ? filter : NULL;
	return scan_operand(s, &filter->b) ? filter : NULL;
}

/*
 * "!", parentheses or a comparison.  The nesting is counted here, because all
 * recursion of the syntax passes by.
 */
static SagaFilter *
scan_unary(SagaScanner *s)
{
	SagaFilter *filter;

	if (!enter(s))
		return NULL;
	saga_scan_blanks(s);
	if (*s->pos == '!')
	{
		s->pos++;
		filter = scan_unary(s);
		if (filter != NULL)
			filter = make_filter(SAGA_FILTER_NOT, filter, NULL);
	}
	else if (*s->pos == '(')
	{
		s->pos++;
		filter = scan_or(s);
		saga_scan_blanks(s);
		if (filter != NULL && !saga_scan_word(s, ")"))
		{
			saga_scan_error(s, "\")\" was expected");
			return NULL;
		}
	}
	else
		filter = scan_comparison(s);
	s->nesting--;
	return filter;
}

/* "a && b && c" becomes a && (b && c): matching walks the right side in a loop. */
static SagaFilter *
scan_chain(SagaScanner *s, const char *op, SagaFilterKind kind, SagaFilter *(*scan_part) (SagaScanner *))
{
	SagaFilter *filter = NULL;
	SagaFilter **last = &filter;

	for (;;)
	{
		*last = scan_part(s);
		if (*last == NULL)
			return NULL;
		saga_scan_blanks(s);
		if (!saga_scan_word(s, op))
			return filter;
		*last = make_filter(kind, *last, NULL);
		last = &(*last)->right;
	}
}

/* "&&" binds more tightly than "||". */
static SagaFilter *
scan_and(SagaScanner *s)
{
	return scan_chain(s, "&&", SAGA_FILTER_AND, scan_unary);
}

/* The whole of a filter, or of what stands in parentheses. */
static SagaFilter *
scan_or(SagaScanner *s)
{
	return scan_chain(s, "||", SAGA_FILTER_OR, scan_and);
}

SagaFilter *
saga_filter_scan(SagaScanner *s)
{
	return scan_or(s);
}

/* ---------- matching ---------- */

/* False: a path leads nowhere, or the budget is spent. */
static bool
operand_value(const SagaOperand *operand, const SagaScope *scope, const JsonbValue *current,
			  SagaBudget *budget, JsonbValue *result)
{
	if (operand->path != NULL)
		return saga_path_value_from(operand->path, scope, current, budget, result) == SAGA_FOUND;
	*result = operand->value;
	return true;
}

/* Is it one of the array's elements? */
static bool
array_has(const JsonbValue *array, const JsonbValue *v, SagaBudget *budget)
{
	SagaValueChildren c;

	saga_value_children_start(&c, array);
	while (!budget->spent && saga_value_children_next(&c))
	{
		if (--budget->nodes < 0)
			budget->spent = true;
		if (saga_value_compare(&c.value, v) == 0)
			return true;
	}
	return false;
}

/* Of a's elements: are all (any) in b? */
static bool
elements_in(const JsonbValue *a, const JsonbValue *b, bool all, SagaBudget *budget)
{
	SagaValueChildren c;

	saga_value_children_start(&c, a);
	while (saga_value_children_next(&c))
	{
		if (array_has(b, &c.value, budget) != all)
			return !all;
	}
	return all;
}

/* Characters of a string, elements of an array; -1 for anything else. */
static int
text_or_array_length(const JsonbValue *v)
{
	if (v->type == jbvString)
		return pg_mbstrlen_with_len(v->val.string.val, v->val.string.len);
	return saga_value_is_array(v) ? saga_value_count(v) : -1;
}

/* The size is compared as a number, so that 2.0 is a size of two as well. */
static bool
has_size(const JsonbValue *a, const JsonbValue *b)
{
	JsonbValue	n;
	int			length = text_or_array_length(a);

	if (b->type != jbvNumeric || length < 0)
		return false;
	saga_value_set_int(&n, length);
	return saga_value_compare(&n, b) == 0;
}

/*
 * An element of an array, or a part of a string; jsonb's strings hold no NUL,
 * so that strstr will do.
 */
static bool
contains(const JsonbValue *a, const JsonbValue *b, SagaBudget *budget)
{
	if (saga_value_is_array(a))
		return array_has(a, b, budget);
	if (a->type != jbvString || b->type != jbvString)
		return false;
	return strstr(pnstrdup(a->val.string.val, a->val.string.len),
				  pnstrdup(b->val.string.val, b->val.string.len)) != NULL;
}

/* The server makes four bytes of each character, which must not be too many. */
static bool
regex_matches(const SagaFilter *filter, const JsonbValue *a, SagaBudget *budget)
{
	if (a->type != jbvString)
		return false;
	if (a->val.string.len > MAX_REGEX_TEXT)
	{
		budget->spent = true;
		return false;
	}
	return RE_compile_and_execute(filter->regex, a->val.string.val, a->val.string.len,
								  filter->regex_flags, C_COLLATION_OID, 0, NULL);
}

/* Only numbers with numbers and strings with strings have an order here. */
static bool
order_matches(SagaFilterKind kind, const JsonbValue *a, const JsonbValue *b)
{
	int			cmp;

	if (a->type != b->type || (a->type != jbvNumeric && a->type != jbvString))
		return false;
	cmp = saga_value_compare(a, b);
	switch (kind)
	{
		case SAGA_FILTER_LT:
			return cmp < 0;
		case SAGA_FILTER_LE:
			return cmp <= 0;
		case SAGA_FILTER_GT:
			return cmp > 0;
		default:
			return cmp >= 0;
	}
}

/*
 * Two sides that are both missing are neither equal nor unequal; where one is
 * missing only "!=" matches.  A path with many matches exists when there is
 * at least one.
 */
static bool
comparison_matches(const SagaFilter *filter, const SagaScope *scope, const JsonbValue *current,
				   SagaBudget *budget)
{
	JsonbValue	a,
				b;
	bool		has_a = operand_value(&filter->a, scope, current, budget, &a);
	bool		has_b;

	if (filter->kind == SAGA_FILTER_EXISTS)
		return has_a && (saga_path_is_single(filter->a.path) || saga_value_count(&a) > 0);
	if (filter->kind == SAGA_FILTER_REGEX)
		return has_a && regex_matches(filter, &a, budget);

	has_b = operand_value(&filter->b, scope, current, budget, &b);
	if (!has_a || !has_b)
		return filter->kind == SAGA_FILTER_NE && has_a != has_b;

	switch (filter->kind)
	{
		case SAGA_FILTER_EQ:
			return saga_value_compare(&a, &b) == 0;
		case SAGA_FILTER_NE:
			return saga_value_compare(&a, &b) != 0;
		case SAGA_FILTER_IN:
			return saga_value_is_array(&b) && array_has(&b, &a, budget);
		case SAGA_FILTER_NIN:
			return !saga_value_is_array(&b) || !array_has(&b, &a, budget);
		case SAGA_FILTER_SUBSETOF:
			return saga_value_is_array(&a) && saga_value_is_array(&b) && elements_in(&a, &b, true, budget);
		case SAGA_FILTER_ANYOF:
			return saga_value_is_array(&a) && saga_value_is_array(&b) && elements_in(&a, &b, false, budget);
		case SAGA_FILTER_NONEOF:
			return saga_value_is_array(&a) && saga_value_is_array(&b) && !elements_in(&a, &b, false, budget);
		case SAGA_FILTER_CONTAINS:
			return contains(&a, &b, budget);
		case SAGA_FILTER_SIZE:
			return has_size(&a, &b);
		case SAGA_FILTER_EMPTY:
			return b.type == jbvBool && text_or_array_length(&a) >= 0 &&
				(text_or_array_length(&a) == 0) == b.val.boolean;
		default:
			return order_matches(filter->kind, &a, &b);
	}
}

/*
 * The right side of a chain is taken in a loop, not by recursion, so that
 * long chains need no stack.
 */
bool
saga_filter_match(const SagaFilter *filter, const SagaScope *scope, const JsonbValue *current,
				  SagaBudget *budget)
{
	check_stack_depth();

	while (filter->kind == SAGA_FILTER_AND || filter->kind == SAGA_FILTER_OR)
	{
		bool		left = saga_filter_match(filter->left, scope, current, budget);

		if (left == (filter->kind == SAGA_FILTER_OR))
			return left;
		filter = filter->right;
	}
	if (filter->kind == SAGA_FILTER_NOT)
		return !saga_filter_match(filter->left, scope, current, budget);
	return comparison_matches(filter, scope, current, budget);
}
