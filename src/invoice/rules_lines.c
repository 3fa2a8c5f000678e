/*
 * rules_lines.c
 *		Rules on lines, and on the allowances and charges of the document and of
 *		a line.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include "invoice/decimal_private.h"

/* ---------- allowances and charges ---------- */

typedef struct AllowanceRules
{
	const char *list;
	const char *title;
	const char *amount;
	const char *category;		/* NULL: has none */
	const char *reason;
	const char *reason_too;
	const char *amount_decimals;
	const char *base_decimals;
	SagaCodeList reasons;
	const char *reason_list;
} AllowanceRules;

static const AllowanceRules document_allowance =
{"allowances", "allowance", "BR-31", "BR-32", "BR-33", "BR-CO-21", "BR-DEC-01", "BR-DEC-02",
SAGA_CODES_ALLOWANCE_REASON, "BR-CL-19"};
static const AllowanceRules document_charge =
{"charges", "charge", "BR-36", "BR-37", "BR-38", "BR-CO-22", "BR-DEC-05", "BR-DEC-06",
SAGA_CODES_CHARGE_REASON, "BR-CL-20"};
static const AllowanceRules line_allowance =
{"allowances", "allowance", "BR-41", NULL, "BR-42", "BR-CO-23", "BR-DEC-24", "BR-DEC-25",
SAGA_CODES_ALLOWANCE_REASON, "BR-CL-19"};
static const AllowanceRules line_charge =
{"charges", "charge", "BR-43", NULL, "BR-44", "BR-CO-24", "BR-DEC-27", "BR-DEC-28",
SAGA_CODES_CHARGE_REASON, "BR-CL-20"};

/* The amount against its base and percent. */
static void
check_percentage(SagaCheck *check, const SagaAllowance *item, const AllowanceRules *rules, int line, int i)
{
	Numeric		expected;

	if (item->percent.given && !item->base_amount.given)
		WARN_AT("INV-AC-BASE", saga_rule_place(line, rules->list, i, "base_amount"),
				"the %s has a percentage but no base_amount", rules->title);
	if (item->base_amount.given && !item->percent.given)
		WARN_AT("INV-AC-PERCENT", saga_rule_place(line, rules->list, i, "percent"),
				"the %s has a base_amount but no percentage", rules->title);
	if (item->amount.value == NULL || item->base_amount.value == NULL || item->percent.value == NULL)
		return;
	expected = saga_decimal_percent(item->base_amount.value, item->percent.value);
	if (dec_cmp(dec_distance(item->amount.value, expected), check->tolerance) > 0)
		WARN_AT("INV-AC", saga_rule_place(line, rules->list, i, "amount"),
				"found %s, expected %s, which is %s %% of %s", dec_text(item->amount.value),
				dec_text(dec_round(expected, check->compare)), dec_text(item->percent.value),
				dec_text(item->base_amount.value));
}

/* Published invoices have charges with the code of an allowance. */
static bool
has_reason_code(const SagaAllowance *item, SagaCodeList reasons)
{
	return saga_code_fits(reasons, item->reason_code) ||
		(reasons == SAGA_CODES_CHARGE_REASON && saga_code_fits(SAGA_CODES_ALLOWANCE_REASON, item->reason_code));
}

/* Rules of one allowance or charge, of the document (line -1) or of a line. */
static void
check_allowance(SagaCheck *check, const SagaAllowance *item, const AllowanceRules *rules, int line, int i)
{
	if (!item->amount.given)
		FATAL_AT(rules->amount, saga_rule_place(line, rules->list, i, "amount"), "the %s has no amount", rules->title);
	if (rules->category && item->vat_category == NULL)
		FATAL_AT(rules->category, saga_rule_place(line, rules->list, i, "vat_category"),
				 "the %s has no VAT category", rules->title);
	if (rules->category && item->vat_category && item->category == SAGA_VAT_UNKNOWN)
		FATAL_AT("BR-CL-17", saga_rule_place(line, rules->list, i, "vat_category"),
				 "found %s, expected a VAT category", saga_report_quote(item->vat_category, strlen(item->vat_category)));
	if (item->reason == NULL && item->reason_code == NULL)
	{
		char	   *location = saga_rule_place(line, rules->list, i, "reason");

		FATAL_AT(rules->reason, location, "the %s has neither reason nor reason_code", rules->title);
		FATAL_AT(rules->reason_too, location, "the %s has neither reason nor reason_code", rules->title);
		pfree(location);
	}
	if (!has_reason_code(item, rules->reasons))
		CODE_AT(SAGA_FATAL, rules->reason_list, rules->reasons, item->reason_code,
				saga_rule_place(line, rules->list, i, "reason_code"));
	if (item->amount.scale > check->compare)
		saga_rule_decimals(check, rules->amount_decimals, &item->amount,
						   saga_rule_place(line, rules->list, i, "amount"));
	if (item->base_amount.scale > check->compare)
		saga_rule_decimals(check, rules->base_decimals, &item->base_amount,
						   saga_rule_place(line, rules->list, i, "base_amount"));
	check_percentage(check, item, rules, line, i);
}

/* The same for all of a list. */
static void
check_allowances(SagaCheck *check, const SagaList *list, const AllowanceRules *rules, int line)
{
	int			i;

	for (i = 0; i < list->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		check_allowance(check, SAGA_ITEM(SagaAllowance, list, i), rules, line, i);
	}
}

/* Rules of the allowances and charges of the document. */
void
saga_rules_allowances(SagaCheck *check)
{
	check_allowances(check, &check->doc->allowances, &document_allowance, -1);
	check_allowances(check, &check->doc->charges, &document_charge, -1);
}

/* ---------- lines ---------- */

typedef struct IdEntry
{
	const char *id;
	int			line;
	char		status;
} IdEntry;

#define SH_PREFIX line_ids
#define SH_ELEMENT_TYPE IdEntry
#define SH_KEY_TYPE const char *
#define SH_KEY id
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* The JSON pointer to a member of a line. */
static char *
at_line(int i, const char *member)
{
	return psprintf("/lines/%d/%s", i, member);
}

/* What each line must have. */
static void
check_presence(SagaCheck *check, const SagaLine *line, int i)
{
	if (line->id == NULL)
		FATAL_AT("BR-21", at_line(i, "id"), "line %d has no identifier", i + 1);
	if (!line->quantity.given)
		FATAL_AT("BR-22", at_line(i, "quantity"), "line %d has no quantity", i + 1);
	if (line->unit_code == NULL)
		FATAL_AT("BR-23", at_line(i, "unit_code"), "line %d has no unit of measure", i + 1);
	else if (!saga_code_fits(SAGA_CODES_UNIT, line->unit_code))
		CODE_AT(SAGA_FATAL, "BR-CL-23", SAGA_CODES_UNIT, line->unit_code, at_line(i, "unit_code"));
	if (line->name == NULL)
		FATAL_AT("BR-25", at_line(i, "name"), "line %d has no item name", i + 1);
	if (!line->unit_price.given)
		FATAL_AT("BR-26", at_line(i, "unit_price"), "line %d has no unit price", i + 1);
	if (line->vat_category == NULL)
		FATAL_AT("BR-CO-04", at_line(i, "vat_category"), "line %d has no VAT category", i + 1);
	else if (line->category == SAGA_VAT_UNKNOWN)
		FATAL_AT("BR-CL-18", at_line(i, "vat_category"), "found %s, expected a VAT category",
				 saga_report_quote(line->vat_category, strlen(line->vat_category)));
}

/* Rules of the prices of a line: the net price is the gross price less the discount, exactly. */
static void
check_prices(SagaCheck *check, const SagaLine *line, int i)
{
	Numeric		price = line->unit_price.value;
	Numeric		gross = line->gross_price.value;
	Numeric		base = line->price_base_quantity.value;
	Numeric		net;

	if (price && dec_cmp(price, check->zero) < 0)
		FATAL_AT("BR-27", at_line(i, "unit_price"), "found %s, expected a price that is not negative",
				 dec_text(price));
	if (gross && dec_cmp(gross, check->zero) < 0)
		FATAL_AT("BR-28", at_line(i, "gross_price"), "found %s, expected a price that is not negative",
				 dec_text(gross));
	if (base && dec_cmp(base, check->zero) <= 0)
		FATAL_AT("INV-BASEQ", at_line(i, "price_base_quantity"), "found %s, expected more than zero",
				 dec_text(base));
	if (price && gross)
	{
		net = dec_sub(gross, dec_value(&line->price_discount, check->zero));
		/* exactly: prices have no limit of decimals */
		if (dec_cmp(price, net) != 0)
			WARN_AT("INV-PRICE", at_line(i, "unit_price"),
					"found %s, expected %s, which is the gross price less its discount", dec_text(price),
					dec_text(net));
	}
}

static void
check_net(SagaCheck *check, const SagaLine *line, int i)
{
	if (line->net_amount.value == NULL)
		return;
	if (line->net_amount.scale > check->compare)
		saga_rule_decimals(check, "BR-DEC-23", &line->net_amount, at_line(i, "net_amount"));
	if (line->computed &&
		dec_cmp(dec_distance(line->net_amount.value, line->computed), check->tolerance) > 0)
		WARN_AT("INV-NET", at_line(i, "net_amount"),
				"found %s, expected %s from quantity, price, allowances and charges",
				dec_text(line->net_amount.value), dec_text(line->computed));
}

static void
check_line_period(SagaCheck *check, const SagaLine *line, int i)
{
	const SagaPeriod *period = line->period;
	const SagaPeriod *whole = check->doc->invoicing_period;

	saga_rule_period(check, period, false, "BR-30", "BR-CO-20", psprintf("/lines/%d/period", i));
	if (whole == NULL)
		return;
	if (period->start.day && whole->start.day && period->start.day < whole->start.day)
		WARN_AT("INV-PERIOD", at_line(i, "period/start_date"),
				"the line's period starts on %s, before the invoicing period on %s",
				period->start.text, whole->start.text);
	if (period->end.day && whole->end.day && period->end.day > whole->end.day)
		WARN_AT("INV-PERIOD", at_line(i, "period/end_date"),
				"the line's period ends on %s, after the invoicing period on %s",
				period->end.text, whole->end.text);
}

void
saga_rules_lines(SagaCheck *check)
{
	SagaList   *lines = &check->doc->lines;
	line_ids_hash *ids = line_ids_create(CurrentMemoryContext, lines->n, NULL);
	IdEntry    *entry;
	bool		found;
	int			i;

	for (i = 0; i < lines->n; i++)
	{
		const SagaLine *line = SAGA_ITEM(SagaLine, lines, i);

		CHECK_FOR_INTERRUPTS();
		check_presence(check, line, i);
		if (line->id)
		{
			entry = line_ids_insert(ids, line->id, &found);
			if (found)
				WARN_AT("INV-LINE-ID", at_line(i, "id"), "found %s, which line %d has too",
						saga_report_quote(line->id, strlen(line->id)), entry->line + 1);
			else
				entry->line = i;
		}
		check_prices(check, line, i);
		if (line->period)
			check_line_period(check, line, i);
		check_allowances(check, &line->allowances, &line_allowance, i);
		check_allowances(check, &line->charges, &line_charge, i);
		check_net(check, line, i);
	}
}
