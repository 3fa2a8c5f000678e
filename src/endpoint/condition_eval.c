/*
 * condition_eval.c
 *		Whether a condition holds for an answer.
 *
 * What is not there meets only "exists": false.  JSON's types are kept apart,
 * but for an operand with {name} references: that is text, and compared as a
 * number where both sides are decimals.
 *
 * Begin reading with saga_condition_holds: for each subject it fetches the
 * header, the value or the text, and asks test_holds() for every test of it.
 * Nothing here raises for what an answer holds, and values point into the
 * answer: nothing is kept beyond the call.
 */
#include "postgres.h"

#include "endpoint/condition_private.h"
#include "endpoint/regex_private.h"
#include "miscadmin.h"
#include "net/header.h"
#include "utils/memutils.h"

#define MAX_REGEX_TEXT	(64 * 1024)
#define MAX_OPERAND		(64 * 1024) /* with its references filled in */

/* ---------- values ---------- */

/*
 * Reads as a decimal: without exponent, and without zeroes in front, because
 * "007" and "7" are different numbers of invoices.
 */
static bool
parse_decimal(const JsonbValue *text, Numeric *number)
{
	const char *s = text->val.string.val;
	int			len = text->val.string.len;

	return memchr(s, 'e', len) == NULL && memchr(s, 'E', len) == NULL && len < 1000 &&
		saga_numeric_parse(s, len, number);
}

/* A scalar but null as text. */
static bool
as_text(const JsonbValue *value, JsonbValue *text)
{
	StringInfoData buf;

	*text = *value;
	if (value->type == jbvString)
		return true;
	if (value->type != jbvNumeric && value->type != jbvBool)
		return false;
	initStringInfo(&buf);
	(void) saga_value_text(&buf, value, false, MaxAllocSize);
	saga_value_set_string(text, buf.data, buf.len);
	return true;
}

/* False for anything that is no number and does not read as one. */
static bool
as_number(const JsonbValue *value, Numeric *number)
{
	if (value->type != jbvNumeric)
		return value->type == jbvString && parse_decimal(value, number);
	*number = value->val.numeric;
	return true;
}

/* With references filled in; false: one leads to nothing, or to too much. */
static bool
get_operand(const SagaTestOperand *operand, Jsonb *message, JsonbValue *value)
{
	StringInfoData buf;
	char	   *missing;

	*value = operand->value;
	if (operand->template == NULL)
		return true;
	initStringInfo(&buf);
	if (!saga_endpoint_template_fill(&buf, operand->template, message, false, MAX_OPERAND, &missing))
		return false;
	saga_value_set_string(value, buf.data, buf.len);
	return true;
}

/* By value: as numbers if both are decimals, else as text.  False: they have no order. */
static bool
compare_loosely(const JsonbValue *a, const JsonbValue *b, int *cmp)
{
	Numeric		x,
				y;
	JsonbValue	s,
				t;

	if (as_number(a, &x) && as_number(b, &y))
		*cmp = saga_numeric_compare(x, y);
	else if (as_text(a, &s) && as_text(b, &t))
		*cmp = saga_string_compare(&s, &t);
	else
		return false;
	return true;
}

/* ---------- tests ---------- */

/*
 * An operand without references is compared as jsonb, types and all; one with
 * references has become text and is compared by value.
 */
static bool
equals(const SagaTestOperand *operand, const JsonbValue *value, const JsonbValue *other)
{
	int			cmp;

	if (operand->template != NULL)
		return compare_loosely(value, other, &cmp) && cmp == 0;
	return saga_value_compare(value, other) == 0;
}

/* The value is text where the answer has no types: there, a decimal is as good as a number. */
static bool
in_order(const SagaTest *test, const JsonbValue *value, const JsonbValue *other, bool is_text)
{
	int			cmp;

	/* a number and a string of a JSON body have no order */
	if (test->operands[0].template == NULL && value->type != other->type && !is_text)
		return false;
	if (test->operands[0].template == NULL && value->type == jbvString && other->type == jbvString)
		cmp = saga_string_compare(value, other);
	else if (other->type == jbvNumeric && value->type == jbvString)
	{
		Numeric		number;

		if (!parse_decimal(value, &number))
			return false;
		cmp = saga_numeric_compare(number, other->val.numeric);
	}
	else if (!compare_loosely(value, other, &cmp))
		return false;
	return test->kind == SAGA_TEST_GT ? cmp > 0 : cmp < 0;
}

/*
 * True when the value, as text, holds the operand as a substring, byte by
 * byte.  Arrays and objects hold nothing.
 */
static bool
contains(const JsonbValue *value, const JsonbValue *other)
{
	JsonbValue	text;

	return as_text(value, &text) && other->val.string.len <= text.val.string.len &&
		(other->val.string.len == 0 ||
		 memmem(text.val.string.val, text.val.string.len, other->val.string.val, other->val.string.len) != NULL);
}

/*
 * Only the beginning of a long text is searched.  The bytes of an answer may
 * be no text at all.
 */
static bool
matches(const SagaTest *test, const JsonbValue *value)
{
	JsonbValue	text;
	const char *group;
	int			group_len;

	return test->regex != NULL && as_text(value, &text) &&
		saga_endpoint_regex_search(test->regex, text.val.string.val, text.val.string.len, MAX_REGEX_TEXT, &group, &group_len);
}

/*
 * Whether one test holds; value is NULL where there is nothing.  Of "in" one
 * operand that fits is enough; the other kinds have a single operand, and a
 * reference in it that leads to nothing makes the test fail, not_equals too.
 */
static bool
test_holds(const SagaTest *test, const JsonbValue *value, bool is_text, Jsonb *message)
{
	JsonbValue	other;

	if (test->kind == SAGA_TEST_EXISTS)
		return (value != NULL) == test->operands[0].value.val.boolean;
	if (value == NULL)
		return false;
	if (test->kind == SAGA_TEST_MATCHES)
		return matches(test, value);
	for (int i = 0; i < test->noperands; i++)
	{
		const SagaTestOperand *operand = &test->operands[i];

		CHECK_FOR_INTERRUPTS();
		if (!get_operand(operand, message, &other))
			continue;
		switch (test->kind)
		{
			case SAGA_TEST_EQUALS:
			case SAGA_TEST_IN:
				if (equals(operand, value, &other))
					return true;
				break;
			case SAGA_TEST_NOT_EQUALS:
				return !equals(operand, value, &other);
			case SAGA_TEST_CONTAINS:
				return contains(value, &other);
			default:
				return in_order(test, value, &other, is_text);
		}
	}
	return false;
}

/* ---------- conditions ---------- */

/* What a subject's tests are about; false: it is not there. */
static bool
get_subject(const SagaSubject *subject, const SagaAnswerView *answer, JsonbValue *value)
{
	char	   *header;

	if (subject->header != NULL)
	{
		header = saga_header_get(answer->head, subject->header);
		if (header == NULL)
			return false;
		saga_value_set_string(value, header, strlen(header));
		return true;
	}
	if (subject->path != NULL)
		return saga_answer_path_get(subject->path, answer->doc, value);
	if (answer->text == NULL || answer->text_len == 0 || answer->text_len > PG_INT32_MAX)
		return false;
	saga_value_set_string(value, answer->text, (int) answer->text_len);
	return true;
}

/*
 * A class is stored as 1 to 5, which no status is, so one list serves both.
 * An empty list takes any status.
 */
static bool
status_holds(const SagaCondition *condition, int status)
{
	for (int i = 0; i < condition->nstatus; i++)
		if (condition->status[i] == status || condition->status[i] == status / 100)
			return true;
	return condition->nstatus == 0;
}

/*
 * A body is read only when a condition could turn on it: without this, each
 * answer would have to be stored and parsed.
 */
bool
saga_condition_needs_body(const SagaCondition *condition, int status)
{
	if (!status_holds(condition, status))
		return false;
	for (int i = 0; i < condition->nsubjects; i++)
		if (condition->subjects[i].header == NULL)
			return true;
	return false;
}

/*
 * The status is looked at first, since it is the cheapest and most conditions
 * have one.  The body's text has no types, as a header has none; only the
 * value at a path has.
 */
bool
saga_condition_holds(const SagaCondition *condition, const SagaAnswerView *answer, Jsonb *message)
{
	if (!status_holds(condition, answer->status))
		return false;
	for (int i = 0; i < condition->nsubjects; i++)
	{
		const SagaSubject *subject = &condition->subjects[i];
		JsonbValue	value;
		bool		found = get_subject(subject, answer, &value);

		for (int j = 0; j < subject->ntests; j++)
			if (!test_holds(&subject->tests[j], found ? &value : NULL,
							subject->header != NULL || subject->path == NULL, message))
				return false;
	}
	return true;
}
