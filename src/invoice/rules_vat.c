/*
 * rules_vat.c
 *		Rules of the VAT categories.  They are the same dozen for each, with
 *		differences that a table can say.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "invoice/decimal_private.h"

typedef enum RateRule
{
	RATE_POSITIVE,
	RATE_NOT_NEGATIVE,
	RATE_ZERO,
	RATE_ABSENT
} RateRule;

typedef enum PartyRule
{
	SELLER_VAT_OR_TAX,			/* or the VAT id of the representative */
	SELLER_VAT_OR_TAX_BUYER,	/* and the buyer's VAT or legal id */
	SELLER_VAT,
	SELLER_VAT_BUYER_VAT,
	NO_VAT
} PartyRule;

typedef struct CategoryRules
{
	const char *prefix;			/* NULL: no rules of its own */
	bool		by_rate;		/* a breakdown row per rate; else one in all */
	PartyRule	party;
	RateRule	rate;
	bool		exempt;			/* a reason is required; else there is none */
} CategoryRules;

static const CategoryRules category_rules[SAGA_VAT_CATEGORIES] = {
	[SAGA_VAT_S] = {"BR-S", true, SELLER_VAT_OR_TAX, RATE_POSITIVE, false},
	[SAGA_VAT_L] = {"BR-AF", true, SELLER_VAT_OR_TAX, RATE_NOT_NEGATIVE, false},
	[SAGA_VAT_M] = {"BR-AG", true, SELLER_VAT_OR_TAX, RATE_NOT_NEGATIVE, false},
	[SAGA_VAT_Z] = {"BR-Z", false, SELLER_VAT_OR_TAX, RATE_ZERO, false},
	[SAGA_VAT_E] = {"BR-E", false, SELLER_VAT_OR_TAX, RATE_ZERO, true},
	[SAGA_VAT_AE] = {"BR-AE", false, SELLER_VAT_OR_TAX_BUYER, RATE_ZERO, true},
	[SAGA_VAT_K] = {"BR-IC", false, SELLER_VAT_BUYER_VAT, RATE_ZERO, true},
	[SAGA_VAT_G] = {"BR-G", false, SELLER_VAT, RATE_ZERO, true},
	[SAGA_VAT_O] = {"BR-O", false, NO_VAT, RATE_ABSENT, true},
};

/* Only called for a violation: the id is built then. */
static const char *
rule_id(SagaVatCategory category, int number)
{
	return psprintf("%s-%02d", category_rules[category].prefix, number);
}

static bool
has_rules(SagaVatCategory category)
{
	return category != SAGA_VAT_UNKNOWN && category_rules[category].prefix != NULL;
}

/* ---------- 01: rows of the breakdown ---------- */

static void
check_rows(SagaCheck *check, SagaVatCategory category)
{
	const CategoryRules *rules = &category_rules[category];
	int			rows = check->on_rows[category];
	bool		used = saga_vat_uses(check, category) > 0;
	const char *code = saga_vat_code(category);

	if (used && rows == 0)
		FATAL_AT(rule_id(category, 1), "/vat_breakdown",
				 "VAT category %s is used, but the VAT breakdown has no row for it", code);
	else if (!used && rules->by_rate && rows > 0)
		FATAL_AT(rule_id(category, 1), "/vat_breakdown",
				 "VAT category %s is not used, but the VAT breakdown has a row for it", code);
	else if (!rules->by_rate && rows > 1)
		FATAL_AT(rule_id(category, 1), "/vat_breakdown",
				 "the VAT breakdown has %d rows of VAT category %s, expected one", rows, code);
}

/* ---------- 02, 03, 04: identifiers of the parties ---------- */

static void
forbid_vat_id(SagaCheck *check, const SagaParty *party, const char *rule, const char *location)
{
	if (party && party->vat_id)
		FATAL_AT(rule, location, "found %s, expected no VAT identifier where VAT category O is used",
				 saga_report_quote(party->vat_id, strlen(party->vat_id)));
}

static void
check_ids(SagaCheck *check, SagaVatCategory category, int number, const char *where)
{
	const SagaInvoice *doc = check->doc;
	const SagaParty *seller = doc->seller;
	const SagaParty *buyer = doc->buyer;
	PartyRule	party = category_rules[category].party;
	const char *code = saga_vat_code(category);
	bool		seller_ok = (seller && seller->vat_id) ||
	(doc->tax_representative && doc->tax_representative->vat_id);
	bool		buyer_ok = true;

	if (party == NO_VAT)
	{
		const char *rule = rule_id(category, number);

		forbid_vat_id(check, seller, rule, "/seller/vat_id");
		forbid_vat_id(check, doc->tax_representative, rule, "/tax_representative/vat_id");
		forbid_vat_id(check, buyer, rule, "/buyer/vat_id");
		return;
	}
	if (party == SELLER_VAT_OR_TAX || party == SELLER_VAT_OR_TAX_BUYER)
		seller_ok |= (seller && seller->tax_registration_id);
	if (party == SELLER_VAT_OR_TAX_BUYER)
		buyer_ok = buyer && (buyer->vat_id || buyer->legal_registration_id);
	else if (party == SELLER_VAT_BUYER_VAT)
		buyer_ok = buyer && buyer->vat_id;

	if (!seller_ok)
		FATAL_AT(rule_id(category, number), "/seller/vat_id",
				 "VAT category %s of %s needs a VAT identifier of the seller or its tax representative", code, where);
	if (!buyer_ok)
		FATAL_AT(rule_id(category, number), "/buyer/vat_id",
				 "VAT category %s of %s needs a VAT identifier of the buyer", code, where);
}

/* ---------- 05, 06, 07: rates ---------- */

static void
check_rate(SagaCheck *check, SagaVatCategory category, int number, const SagaDecimal *rate,
		   int i, const char *list)
{
	static const char *const expected[] = {
		[RATE_POSITIVE] = "more than zero",
		[RATE_NOT_NEGATIVE] = "zero or more",
		[RATE_ZERO] = "zero",
		[RATE_ABSENT] = "no rate",
	};
	RateRule	rule;
	int			sign;
	bool		ok;

	if (!has_rules(category))
		return;
	rule = category_rules[category].rate;
	sign = rate->value ? dec_cmp(rate->value, check->zero) : 0;
	switch (rule)
	{
		case RATE_POSITIVE:
			ok = sign > 0;
			break;
		case RATE_NOT_NEGATIVE:
			ok = rate->value && sign >= 0;
			break;
		case RATE_ZERO:
			ok = rate->value && sign == 0;
			break;
		default:
			ok = !rate->given;
			break;
	}
	if (!ok)
		FATAL_AT(rule_id(category, number), saga_rule_place(-1, list, i, "vat_rate"),
				 "found %s, expected %s with VAT category %s",
				 rate->value ? dec_text(rate->value) : rate->given ? "no decimal" : "no rate",
				 expected[rule], saga_vat_code(category));
}

static void
check_rates(SagaCheck *check)
{
	const SagaInvoice *doc = check->doc;
	int			i;

	for (i = 0; i < doc->lines.n; i++)
	{
		const SagaLine *line = SAGA_ITEM(SagaLine, &doc->lines, i);

		CHECK_FOR_INTERRUPTS();
		check_rate(check, line->category, 5, &line->vat_rate, i, "lines");
	}
	for (i = 0; i < doc->allowances.n; i++)
	{
		const SagaAllowance *item = SAGA_ITEM(SagaAllowance, &doc->allowances, i);

		check_rate(check, item->category, 6, &item->vat_rate, i, "allowances");
	}
	for (i = 0; i < doc->charges.n; i++)
	{
		const SagaAllowance *item = SAGA_ITEM(SagaAllowance, &doc->charges, i);

		check_rate(check, item->category, 7, &item->vat_rate, i, "charges");
	}
}

/* ---------- 08, 09, 10: amounts and reasons of a row ---------- */

static void
check_row_base(SagaCheck *check, const SagaVatRow *row, int i)
{
	const char *location = psprintf("/vat_breakdown/%d/taxable_amount", i);
	const char *code = saga_vat_code(row->category);
	Numeric		found = row->taxable_amount.value;
	SagaVatGroup *group;

	if (!category_rules[row->category].by_rate)
	{
		Numeric		expected = dec_round(check->category_sum[row->category], check->decimals);

		if (!saga_decimal_equal(check, found, expected))
			FATAL_AT(rule_id(row->category, 8), location, "found %s, expected %s, the sum of VAT category %s",
					 dec_text(found), dec_text(expected), code);
		return;
	}
	group = saga_vat_group(check, row->category, row->rate.value, false);
	if (group == NULL)
	{
		FATAL_AT(rule_id(row->category, 8), location,
				 "found %s, but nothing has VAT category %s at this rate", dec_text(found), code);
		return;
	}
	if (dec_cmp(dec_distance(found, group->base), int64_to_numeric(1)) >= 0)
		FATAL_AT(rule_id(row->category, 8), location,
				 "found %s, expected %s, the sum of VAT category %s at this rate (the tolerance is less than 1.00)",
				 dec_text(found), dec_text(group->base), code);
	if (!saga_decimal_equal(check, found, group->base))
		WARN_AT("INV-BASE", location, "found %s, expected exactly %s, the sum of VAT category %s at this rate",
				dec_text(found), dec_text(group->base), code);
}

static void
check_row_tax(SagaCheck *check, const SagaVatRow *row, int i)
{
	Numeric		found = row->tax_amount.value;
	Numeric		expected = check->zero;
	bool		ok;

	if (!category_rules[row->category].by_rate)
		ok = saga_decimal_equal(check, found, expected);
	else if (row->taxable_amount.value == NULL || row->rate.value == NULL)
		return;
	else
	{
		expected = dec_round(saga_decimal_percent(row->taxable_amount.value, row->rate.value), check->decimals);
		ok = dec_cmp(dec_distance(found, expected), int64_to_numeric(1)) < 0;
	}
	if (!ok)
		FATAL_AT(rule_id(row->category, 9), psprintf("/vat_breakdown/%d/tax_amount", i),
				 "found %s, expected %s with VAT category %s", dec_text(found), dec_text(expected),
				 saga_vat_code(row->category));
}

static void
check_row_reason(SagaCheck *check, const SagaVatRow *row, int i)
{
	bool		given = row->exemption_reason || row->exemption_reason_code;

	if (category_rules[row->category].exempt == given)
		return;
	FATAL_AT(rule_id(row->category, 10), psprintf("/vat_breakdown/%d/exemption_reason", i),
			 given ? "VAT category %s has no exemption reason" :
			 "VAT category %s needs an exemption_reason or exemption_reason_code",
			 saga_vat_code(row->category));
}

static void
check_row(SagaCheck *check, const SagaVatRow *row, int i)
{
	if (!has_rules(row->category))
		return;
	if (check->doc->totals && row->taxable_amount.value)
		check_row_base(check, row, i);
	if (check->doc->totals && row->tax_amount.value)
		check_row_tax(check, row, i);
	check_row_reason(check, row, i);
}

/* ---------- intra-community supply, and outside the scope of VAT ---------- */

static void
check_delivery(SagaCheck *check)
{
	const SagaInvoice *doc = check->doc;
	const SagaDelivery *delivery = doc->delivery;
	const SagaPeriod *period = doc->invoicing_period;

	if ((delivery == NULL || delivery->date.text == NULL) &&
		(period == NULL || (period->start.text == NULL && period->end.text == NULL)))
		FATAL_AT("BR-IC-11", "/delivery/date",
				 "VAT category K needs a delivery date or an invoicing period");
	if (delivery == NULL || delivery->address == NULL || delivery->address->country == NULL)
		FATAL_AT("BR-IC-12", "/delivery/address/country", "VAT category K needs the country of delivery");
}

static void
only_o(SagaCheck *check, const char *rule, SagaVatCategory found, const char *list, int i, const char *member)
{
	if (found != SAGA_VAT_O)
		FATAL_AT(rule, saga_rule_place(-1, list, i, member), "found %s, expected O, since the VAT breakdown has category O",
				 found == SAGA_VAT_UNKNOWN ? "no known VAT category" : saga_vat_code(found));
}

static void
check_only_o(SagaCheck *check)
{
	const SagaInvoice *doc = check->doc;
	int			i;

	for (i = 0; i < doc->vat_breakdown.n; i++)
		only_o(check, "BR-O-11", SAGA_ITEM(SagaVatRow, &doc->vat_breakdown, i)->category,
			   "vat_breakdown", i, "category");
	for (i = 0; i < doc->lines.n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		only_o(check, "BR-O-12", SAGA_ITEM(SagaLine, &doc->lines, i)->category, "lines", i, "vat_category");
	}
	for (i = 0; i < doc->allowances.n; i++)
		only_o(check, "BR-O-13", SAGA_ITEM(SagaAllowance, &doc->allowances, i)->category,
			   "allowances", i, "vat_category");
	for (i = 0; i < doc->charges.n; i++)
		only_o(check, "BR-O-14", SAGA_ITEM(SagaAllowance, &doc->charges, i)->category,
			   "charges", i, "vat_category");
}

void
saga_rules_vat(SagaCheck *check)
{
	const SagaInvoice *doc = check->doc;
	bool		rows_given = doc->totals != NULL || doc->vat_breakdown_given;
	SagaVatCategory category;
	int			i;

	for (category = 0; category < SAGA_VAT_CATEGORIES; category++)
	{
		if (!has_rules(category))
			continue;
		if (rows_given)
			check_rows(check, category);
		if (check->on_lines[category] > 0)
			check_ids(check, category, 2, "a line");
		if (check->on_allowances[category] > 0)
			check_ids(check, category, 3, "an allowance");
		if (check->on_charges[category] > 0)
			check_ids(check, category, 4, "a charge");
		/* without totals a row is still needed, for its reason */
		if (doc->totals == NULL && category_rules[category].exempt && check->on_rows[category] == 0 &&
			saga_vat_uses(check, category) > 0)
			FATAL_AT(rule_id(category, 10), "/vat_breakdown",
					 "VAT category %s needs a row in vat_breakdown with its exemption_reason",
					 saga_vat_code(category));
	}
	check_rates(check);
	for (i = 0; i < doc->vat_breakdown.n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		check_row(check, SAGA_ITEM(SagaVatRow, &doc->vat_breakdown, i), i);
	}
	if (saga_vat_uses(check, SAGA_VAT_K) > 0 || check->on_rows[SAGA_VAT_K] > 0)
		check_delivery(check);
	if (check->on_rows[SAGA_VAT_O] > 0)
		check_only_o(check);
}
