/*
 * rules.c
 *		What rules of several parts of a document share.
 */
#include "postgres.h"

#include "invoice/decimal_private.h"

char *
saga_rule_place(int line, const char *list, int index, const char *member)
{
	return line < 0 ? psprintf("/%s/%d/%s", list, index, member) :
		psprintf("/lines/%d/%s/%d/%s", line, list, index, member);
}

void
saga_rule_decimals(SagaCheck *check, const char *rule, const SagaDecimal *amount, const char *location)
{
	if (amount->value && amount->scale > check->compare)
		FATAL_AT(rule, location, "found %s, expected at most %d decimals", dec_text(amount->value),
				 check->compare);
}

void
saga_rule_period(SagaCheck *check, const SagaPeriod *period, bool dated,
				 const char *order, const char *given, const char *location)
{
	if (period->start.text == NULL && period->end.text == NULL && !dated)
		FATAL_AT(given, location, "the period has neither start_date nor end_date");
	if (period->start.day && period->end.day && period->end.day < period->start.day)
		FATAL_AT(order, psprintf("%s/end_date", location), "the period ends on %s, before its start on %s",
				 period->end.text, period->start.text);
}
