/*
 * calc.c
 *		The figures of an invoice, from its lines, allowances and charges.
 *
 * Never reads totals or the amounts of vat_breakdown.  Rounding happens at
 * three points only: a line's price times quantity and its net, the base of a
 * VAT group, the tax of a VAT group.  Sums are exact.  What is absent counts
 * as zero, so there are figures for a faulty document too; they mean nothing.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "invoice/decimal_private.h"

/*
 * Groups by (category, rate).  Nearly every invoice has one to three, which
 * are found by looking at all; past FEW_GROUPS there is a hash table, since
 * nothing stops a sender from using a rate of its own on each line.
 */
#define FEW_GROUPS 8

typedef struct GroupEntry
{
	SagaVatGroup *key;
	char		status;
} GroupEntry;

/* Two are one group when category and rate agree; categories without a rate, as O, have one group each. */
static bool
same_group(const SagaVatGroup *a, const SagaVatGroup *b)
{
	return a->category == b->category && (a->rate == NULL || dec_cmp(a->rate, b->rate) == 0);
}

/* hash_numeric sees 19 and 19.00 as one */
static uint32
hash_group(const SagaVatGroup *group)
{
	uint32		hash = group->category;

	if (group->rate)
		hash ^= DatumGetUInt32(DirectFunctionCall1(hash_numeric, NumericGetDatum(group->rate)));
	return hash;
}

#define SH_PREFIX groups
#define SH_ELEMENT_TYPE GroupEntry
#define SH_KEY_TYPE SagaVatGroup *
#define SH_KEY key
#define SH_HASH_KEY(tb, key) hash_group(key)
#define SH_EQUAL(tb, a, b) same_group(a, b)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* The group that was remembered of this category and rate; NULL: none.  Few groups are looked through, many are hashed. */
static SagaVatGroup *
find_group(SagaCheck *check, SagaVatGroup *key)
{
	GroupEntry *entry;
	int			i;

	if (check->group_hash)
	{
		entry = groups_lookup(check->group_hash, key);
		return entry ? entry->key : NULL;
	}
	for (i = 0; i < check->ngroups; i++)
	{
		if (same_group(check->groups[i], key))
			return check->groups[i];
	}
	return NULL;
}

/* Keeps a group for find_group.  It stays where it is; only the list of pointers grows. */
static void
remember_group(SagaCheck *check, SagaVatGroup *group)
{
	bool		found;
	int			i;

	if (check->ngroups == check->max_groups)
	{
		check->max_groups = Max(FEW_GROUPS, check->max_groups * 2);
		check->groups = check->groups ?
			repalloc(check->groups, check->max_groups * sizeof(SagaVatGroup *)) :
			palloc(check->max_groups * sizeof(SagaVatGroup *));
	}
	check->groups[check->ngroups++] = group;
	if (check->group_hash)
		groups_insert(check->group_hash, group, &found);
	else if (check->ngroups > FEW_GROUPS)
	{
		check->group_hash = groups_create(CurrentMemoryContext, 8 * FEW_GROUPS, NULL);
		for (i = 0; i < check->ngroups; i++)
			groups_insert(check->group_hash, check->groups[i], &found);
	}
}

/* The group of a category and rate (NULL: zero); O has one group whatever the rate. */
SagaVatGroup *
saga_vat_group(SagaCheck *check, SagaVatCategory category, Numeric rate, bool create)
{
	SagaVatGroup key = {.category = category};
	SagaVatGroup *group;

	if (category != SAGA_VAT_O)
		key.rate = rate ? rate : check->zero;
	group = find_group(check, &key);
	if (group == NULL && create)
	{
		group = palloc(sizeof(SagaVatGroup));
		*group = key;
		group->sum = check->zero;
		remember_group(check, group);
	}
	return group;
}

/* Adds to the group and the category of an item; the amount may be negative. */
static void
add_to_group(SagaCheck *check, SagaVatCategory category, const SagaDecimal *rate, Numeric amount)
{
	SagaVatGroup *group;

	if (category == SAGA_VAT_UNKNOWN)
		return;
	group = saga_vat_group(check, category, rate->value, true);
	group->sum = dec_add(group->sum, amount);
	check->category_sum[category] = dec_add(check->category_sum[category], amount);
}

/* Adds the amounts of allowances or charges to a sum.  Amounts that are missing have their own finding. */
static Numeric
sum_of_amounts(Numeric sum, const SagaList *list)
{
	int			i;

	for (i = 0; i < list->n; i++)
	{
		const SagaDecimal *amount = &SAGA_ITEM(SagaAllowance, list, i)->amount;

		if (amount->value)
			sum = dec_add(sum, amount->value);
	}
	return sum;
}

/* r(quantity * unit_price / base quantity), then r(- allowances + charges) */
static Numeric
line_net(SagaCheck *check, const SagaLine *line)
{
	Numeric		net;

	if (line->quantity.value == NULL || line->unit_price.value == NULL)
		return NULL;
	net = dec_mul(line->quantity.value, line->unit_price.value);
	if (line->price_base_quantity.value && dec_cmp(line->price_base_quantity.value, check->zero) > 0)
		net = saga_decimal_divide(net, line->price_base_quantity.value, check->decimals);
	else
		net = dec_round(net, check->decimals);
	if (line->allowances.n > 0 || line->charges.n > 0)
	{
		net = dec_sub(net, sum_of_amounts(check->zero, &line->allowances));
		net = dec_round(sum_of_amounts(net, &line->charges), check->decimals);
	}
	return net;
}

/* The net amount of each line, their total, and which VAT categories are used on lines. */
static void
compute_lines(SagaCheck *check)
{
	SagaList   *lines = &check->doc->lines;
	int			i;

	check->line_total = check->zero;
	for (i = 0; i < lines->n; i++)
	{
		SagaLine   *line = SAGA_ITEM(SagaLine, lines, i);

		CHECK_FOR_INTERRUPTS();
		line->category = saga_vat_category(line->vat_category);
		check->on_lines[line->category]++;
		line->computed = line_net(check, line);
		line->net = line->net_amount.value ? line->net_amount.value : line->computed;
		/* More decimals than BR-DEC-23 allows do not reach the sums. */
		if (line->net_amount.scale > check->compare)
			line->net = dec_round(line->net, check->compare);
		if (line->net)
			check->line_total = dec_add(check->line_total, line->net);
		add_to_group(check, line->category, &line->vat_rate, line->net ? line->net : check->zero);
	}
}

/* The total of allowances or charges of the document; notes the categories that they use, and adds them to their VAT groups. */
static Numeric
compute_allowances(SagaCheck *check, SagaList *list, int *uses, bool subtract)
{
	Numeric		total = check->zero;
	int			i;

	for (i = 0; i < list->n; i++)
	{
		SagaAllowance *item = SAGA_ITEM(SagaAllowance, list, i);
		Numeric		amount = dec_value(&item->amount, check->zero);

		CHECK_FOR_INTERRUPTS();
		item->category = saga_vat_category(item->vat_category);
		uses[item->category]++;
		total = dec_add(total, amount);
		add_to_group(check, item->category, &item->vat_rate,
					 subtract ? dec_sub(check->zero, amount) : amount);
	}
	return total;
}

/* Notes the categories that the VAT breakdown of the document names. */
static void
classify_rows(SagaCheck *check)
{
	SagaList   *rows = &check->doc->vat_breakdown;
	int			i;

	for (i = 0; i < rows->n; i++)
	{
		SagaVatRow *row = SAGA_ITEM(SagaVatRow, rows, i);

		CHECK_FOR_INTERRUPTS();
		row->category = saga_vat_category(row->category_code);
		check->on_rows[row->category]++;
	}
}

/* Breakdowns are written in the order of categories, and of rates within one. */
static int
compare_groups(const void *a, const void *b)
{
	const SagaVatGroup *left = *(SagaVatGroup *const *) a;
	const SagaVatGroup *right = *(SagaVatGroup *const *) b;

	if (left->category != right->category)
		return left->category < right->category ? -1 : 1;
	return left->rate ? dec_cmp(left->rate, right->rate) : 0;
}

/* The base and the tax of each VAT group, rounded to the decimals of the currency as EN 16931 does it: each group by itself. */
static void
compute_groups(SagaCheck *check)
{
	int			i;

	check->tax_total = check->zero;
	for (i = 0; i < check->ngroups; i++)
	{
		SagaVatGroup *group = check->groups[i];

		CHECK_FOR_INTERRUPTS();
		group->base = dec_round(group->sum, check->decimals);
		group->tax = check->zero;
		if (group->rate)
			group->tax = dec_round(saga_decimal_percent(group->base, group->rate), check->decimals);
		check->tax_total = dec_add(check->tax_total, group->tax);
	}
	if (check->ngroups > 1)
		qsort(check->groups, check->ngroups, sizeof(SagaVatGroup *), compare_groups);
}

/* check->doc and check->report are set; fills the rest. */
void
saga_invoice_compute(SagaCheck *check)
{
	SagaInvoice *doc = check->doc;
	const SagaCode *currency = doc->currency ? saga_code_find(SAGA_CODES_CURRENCY, doc->currency) : NULL;
	int			i;

	check->decimals = currency ? currency->minor_unit : 2;
	check->compare = Max(2, check->decimals);
	check->zero = int64_to_numeric(0);
	check->tolerance = saga_decimal_constant(doc->currency && strcmp(doc->currency, "HUF") == 0 ? "0.5" : "0.02");
	for (i = 0; i < lengthof(check->category_sum); i++)
		check->category_sum[i] = check->zero;

	compute_lines(check);
	check->allowance_total = compute_allowances(check, &doc->allowances, check->on_allowances, true);
	check->charge_total = compute_allowances(check, &doc->charges, check->on_charges, false);
	classify_rows(check);
	compute_groups(check);

	check->prepaid = dec_value(&doc->prepaid_amount, check->zero);
	check->rounding = dec_value(&doc->rounding_amount, check->zero);
	check->tax_exclusive = dec_add(dec_sub(check->line_total, check->allowance_total), check->charge_total);
	check->tax_inclusive = dec_add(check->tax_exclusive, check->tax_total);
	check->payable = dec_add(dec_sub(check->tax_inclusive, check->prepaid), check->rounding);
}
