/*
 * rules_sums.c
 *		Rules on the rows of the VAT breakdown and on the totals: what must be
 *		there, how many decimals it has, and the sums of the sender.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/formatting.h"

#include "invoice/decimal_private.h"

/* ---------- rows of the breakdown ---------- */

static char *
at_row(int i, const char *member)
{
	return psprintf("/vat_breakdown/%d/%s", i, member);
}

/* The declared tax of a row against its base and rate. */
static void
check_row_tax(SagaCheck *check, const SagaVatRow *row, int i)
{
	Numeric		expected = check->zero;
	Numeric		distance;

	if (row->taxable_amount.value == NULL || row->tax_amount.value == NULL)
		return;
	if (row->category != SAGA_VAT_O)
	{
		if (row->rate.value == NULL)
			return;
		expected = dec_round(saga_decimal_percent(row->taxable_amount.value, row->rate.value), check->decimals);
	}
	distance = dec_distance(row->tax_amount.value, expected);
	if (dec_cmp(distance, int64_to_numeric(1)) >= 0)
		FATAL_AT("BR-CO-17", at_row(i, "tax_amount"),
				 "found %s, expected %s, the tax on %s (the tolerance is less than 1.00)",
				 dec_text(row->tax_amount.value), dec_text(expected), dec_text(row->taxable_amount.value));
	if (dec_cmp(distance, check->zero) != 0)
		WARN_AT("INV-VAT", at_row(i, "tax_amount"), "found %s, expected exactly %s, the tax on %s",
				dec_text(row->tax_amount.value), dec_text(expected), dec_text(row->taxable_amount.value));
}

/* The list is in upper case, and its publisher's own examples are not. */
static void
check_exemption_code(SagaCheck *check, const SagaVatRow *row, int i)
{
	const char *code = row->exemption_reason_code;

	if (code != NULL && saga_code_find(SAGA_CODES_EXEMPTION_REASON, asc_toupper(code, strlen(code))) == NULL)
		CODE_AT(SAGA_FATAL, "BR-CL-22", SAGA_CODES_EXEMPTION_REASON, code, at_row(i, "exemption_reason_code"));
}

void
saga_rules_breakdown(SagaCheck *check)
{
	const SagaList *rows = &check->doc->vat_breakdown;
	bool		declared = check->doc->totals != NULL;
	int			i;

	if (declared && rows->n == 0)
		FATAL_AT("BR-CO-18", "/vat_breakdown", "there are totals but no VAT breakdown");
	for (i = 0; i < rows->n; i++)
	{
		const SagaVatRow *row = SAGA_ITEM(SagaVatRow, rows, i);

		CHECK_FOR_INTERRUPTS();
		if (row->category_code == NULL)
			FATAL_AT("BR-47", at_row(i, "category"), "row %d of the VAT breakdown has no category", i + 1);
		else if (row->category == SAGA_VAT_UNKNOWN)
			FATAL_AT("BR-CL-17", at_row(i, "category"), "found %s, expected a VAT category",
					 saga_report_quote(row->category_code, strlen(row->category_code)));
		check_exemption_code(check, row, i);
		if (!row->rate.given && row->category != SAGA_VAT_O)
			FATAL_AT("BR-48", at_row(i, "rate"), "row %d of the VAT breakdown has no rate", i + 1);
		if (declared && !row->taxable_amount.given)
			FATAL_AT("BR-45", at_row(i, "taxable_amount"), "row %d of the VAT breakdown has no taxable amount", i + 1);
		if (declared && !row->tax_amount.given)
			FATAL_AT("BR-46", at_row(i, "tax_amount"), "row %d of the VAT breakdown has no tax amount", i + 1);
		if (row->taxable_amount.scale > check->compare)
			saga_rule_decimals(check, "BR-DEC-19", &row->taxable_amount, at_row(i, "taxable_amount"));
		if (row->tax_amount.scale > check->compare)
			saga_rule_decimals(check, "BR-DEC-20", &row->tax_amount, at_row(i, "tax_amount"));
		if (declared)
			check_row_tax(check, row, i);
	}
}

/* ---------- totals ---------- */

/* One sum: skipped when the declared figure is absent. */
static void
check_sum(SagaCheck *check, const char *rule, const char *location, Numeric found, Numeric expected,
		  const char *what)
{
	if (found && expected && !saga_decimal_equal(check, found, expected))
		FATAL_AT(rule, location, "found %s, expected %s: %s", dec_text(found),
				 dec_text(dec_round(expected, check->compare)), what);
}

/* A total may be absent only when nothing is in it. */
static void
check_total_of(SagaCheck *check, const char *rule, const char *location, const SagaDecimal *found,
			   const SagaList *list, Numeric expected, const char *what)
{
	if (!found->given && list->n > 0)
		FATAL_AT(rule, location, "the total is missing, expected %s: %s",
				 dec_text(dec_round(expected, check->compare)), what);
	check_sum(check, rule, location, found->value, expected, what);
}

static void
check_presence(SagaCheck *check, const SagaTotals *totals)
{
	const SagaInvoice *doc = check->doc;

	if (!totals->line_total.given)
		FATAL_AT("BR-12", "/totals/line_total", "the sum of the lines is missing");
	if (!totals->tax_exclusive.given)
		FATAL_AT("BR-13", "/totals/tax_exclusive", "the total without VAT is missing");
	if (!totals->tax_inclusive.given)
		FATAL_AT("BR-14", "/totals/tax_inclusive", "the total with VAT is missing");
	if (!totals->payable.given)
		FATAL_AT("BR-15", "/totals/payable", "the amount due is missing");
	if (doc->tax_currency && (doc->currency == NULL || strcmp(doc->tax_currency, doc->currency) != 0) &&
		!totals->tax_total_accounting.given)
		FATAL_AT("BR-53", "/totals/tax_total_accounting",
				 "the VAT in %s is missing, which tax_currency asks for", doc->tax_currency);
}

static void
check_decimals(SagaCheck *check, const SagaTotals *totals)
{
	saga_rule_decimals(check, "BR-DEC-09", &totals->line_total, "/totals/line_total");
	saga_rule_decimals(check, "BR-DEC-10", &totals->allowance_total, "/totals/allowance_total");
	saga_rule_decimals(check, "BR-DEC-11", &totals->charge_total, "/totals/charge_total");
	saga_rule_decimals(check, "BR-DEC-12", &totals->tax_exclusive, "/totals/tax_exclusive");
	saga_rule_decimals(check, "BR-DEC-13", &totals->tax_total, "/totals/tax_total");
	saga_rule_decimals(check, "BR-DEC-14", &totals->tax_inclusive, "/totals/tax_inclusive");
	saga_rule_decimals(check, "BR-DEC-15", &totals->tax_total_accounting, "/totals/tax_total_accounting");
	saga_rule_decimals(check, "BR-DEC-18", &totals->payable, "/totals/payable");
}

/* NULL when there is no row (BR-CO-18 says so), or one without a tax amount. */
static Numeric
declared_taxes(SagaCheck *check)
{
	const SagaList *rows = &check->doc->vat_breakdown;
	Numeric		sum = check->zero;
	int			i;

	if (rows->n == 0)
		return NULL;
	for (i = 0; i < rows->n; i++)
	{
		const SagaDecimal *tax = &SAGA_ITEM(SagaVatRow, rows, i)->tax_amount;

		if (tax->value == NULL)
			return NULL;
		sum = dec_add(sum, tax->value);
	}
	return sum;
}

/* NULL when there is a line whose net is not known. */
static Numeric
sum_of_lines(SagaCheck *check)
{
	const SagaList *lines = &check->doc->lines;
	int			i;

	for (i = 0; i < lines->n; i++)
	{
		if (SAGA_ITEM(SagaLine, lines, i)->net == NULL)
			return NULL;
	}
	return check->line_total;
}

static void
check_sums(SagaCheck *check, const SagaTotals *totals)
{
	const SagaInvoice *doc = check->doc;
	Numeric		expected;

	check_sum(check, "BR-CO-10", "/totals/line_total", totals->line_total.value, sum_of_lines(check),
			  "the sum of the lines' net amounts");
	check_total_of(check, "BR-CO-11", "/totals/allowance_total", &totals->allowance_total,
				   &doc->allowances, check->allowance_total, "the sum of the document's allowances");
	check_total_of(check, "BR-CO-12", "/totals/charge_total", &totals->charge_total,
				   &doc->charges, check->charge_total, "the sum of the document's charges");

	expected = NULL;
	if (totals->line_total.value)
		expected = dec_add(dec_sub(totals->line_total.value, dec_value(&totals->allowance_total, check->zero)),
						   dec_value(&totals->charge_total, check->zero));
	check_sum(check, "BR-CO-13", "/totals/tax_exclusive", totals->tax_exclusive.value, expected,
			  "line_total - allowance_total + charge_total");

	check_sum(check, "BR-CO-14", "/totals/tax_total", totals->tax_total.value, declared_taxes(check),
			  "the sum of the VAT breakdown's tax amounts");

	expected = NULL;
	if (totals->tax_exclusive.value && totals->tax_total.value)
		expected = dec_add(totals->tax_exclusive.value, totals->tax_total.value);
	check_sum(check, "BR-CO-15", "/totals/tax_inclusive", totals->tax_inclusive.value, expected,
			  "tax_exclusive + tax_total");

	expected = NULL;
	if (totals->tax_inclusive.value)
		expected = dec_add(dec_sub(totals->tax_inclusive.value, check->prepaid), check->rounding);
	check_sum(check, "BR-CO-16", "/totals/payable", totals->payable.value, expected,
			  "tax_inclusive - prepaid_amount + rounding_amount");
}

void
saga_rules_sums(SagaCheck *check)
{
	const SagaTotals *totals = check->doc->totals;

	saga_rule_decimals(check, "BR-DEC-16", &check->doc->prepaid_amount, "/prepaid_amount");
	saga_rule_decimals(check, "BR-DEC-17", &check->doc->rounding_amount, "/rounding_amount");
	if (totals == NULL)
	{
		saga_rule_decimals(check, "BR-DEC-15", &check->doc->tax_total_accounting,
						   "/totals/tax_total_accounting");
		return;
	}
	check_presence(check, totals);
	check_decimals(check, totals);
	check_sums(check, totals);
}
