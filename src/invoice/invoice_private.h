/*
 * invoice_private.h
 *		The canonical invoice: its members as C structs, the figures computed
 *		from them, and the list of violated rules.
 *
 * One check reads the JSON text once (reader.c, shapes.c), computes the
 * figures (calc.c) and runs the rules (rules_*.c).  Nothing a document can
 * contain raises an error: it becomes a row of the report.  Everything is
 * allocated in CurrentMemoryContext and left to the caller's reset.
 */
#ifndef SAGA_INVOICE_PRIVATE_H
#define SAGA_INVOICE_PRIVATE_H

#include "common/compat.h"

#include "utils/numeric.h"

/*
 * Limits on what one document may make us do.  A decimal has at most this
 * many digits before and after the point, so that no sum or product comes
 * near the end of numeric.
 */
#define SAGA_INVOICE_MAX_BYTES		(64 * 1024 * 1024)
#define SAGA_INVOICE_MAX_ENTRIES	200000	/* of one list */
#define SAGA_INVOICE_MAX_OBJECTS	1000000 /* in all lists */
#define SAGA_INVOICE_MAX_NESTING	1000
#define SAGA_DECIMAL_MAX_DIGITS		40
#define SAGA_DECIMAL_MAX_LENGTH		200 /* characters, blanks included */

/* ---------- report (report.c) ---------- */

typedef enum SagaLevel
{
	SAGA_FATAL,
	SAGA_WARNING
} SagaLevel;

typedef struct SagaFinding
{
	const char *rule;
	SagaLevel	level;
	const char *location;		/* JSON pointer; "" is the document */
	const char *message;
} SagaFinding;

typedef struct SagaRuleCount
{
	const char *rule;
	SagaLevel	level;
	int64		n;
} SagaRuleCount;

typedef struct SagaReport
{
	MemoryContext context;		/* of what is kept */
	MemoryContext scratch;		/* of what is made for one row, see saga_report_begin */
	int			per_rule;		/* rows kept of one rule */
	int			nfindings;
	int			max_findings;
	SagaFinding *findings;
	int			nrules;			/* distinct rules, in order of appearance */
	int			max_rules;
	SagaRuleCount *rules;
	bool		fatal;
	bool		unstorable;		/* jsonb would refuse the document */
} SagaReport;

extern void saga_report_init(SagaReport *report, int per_rule);

/*
 * Around a saga_report whose arguments are made for it, so that what is not
 * kept does not pile up either: switches to a context that the next one
 * empties, and returns the one to switch back to.
 */
extern MemoryContext saga_report_begin(SagaReport *report);
extern void saga_report(SagaReport *report, const char *rule, SagaLevel level,
						const char *location, const char *format, ...) pg_attribute_printf(5, 6);
extern void saga_report_finish(SagaReport *report);
extern const char *saga_report_level_name(SagaLevel level);
extern char *saga_report_quote(const char *text, int len);

/* ---------- document (shapes.c) ---------- */

/* given and value NULL: not a decimal, already reported */
typedef struct SagaDecimal
{
	Numeric		value;
	int			scale;			/* decimals, trailing zeros ignored */
	bool		given;
} SagaDecimal;

typedef struct SagaDay
{
	char	   *text;			/* NULL: absent or blank */
	int			day;			/* yyyymmdd; 0: not a real date */
} SagaDay;

typedef struct SagaList
{
	int			n;
	int			max;
	char	   *items;
} SagaList;

#define SAGA_ITEM(type, list, i) (((type *) (list)->items) + (i))

typedef struct SagaPeriod
{
	SagaDay		start;
	SagaDay		end;
} SagaPeriod;

typedef struct SagaAddress
{
	char	   *country;
} SagaAddress;

/* an identifier, a bank account, a preceding invoice: what needs one text */
typedef struct SagaIdentifier
{
	char	   *id;
	char	   *scheme;
	SagaDay		date;
} SagaIdentifier;

typedef struct SagaContact
{
	char	   *unused;
} SagaContact;

typedef struct SagaParty
{
	char	   *name;
	char	   *trading_name;
	char	   *id;				/* payee only */
	SagaList	ids;			/* of SagaIdentifier */
	char	   *legal_registration_id;
	char	   *vat_id;
	char	   *tax_registration_id;
	SagaIdentifier *electronic_address;
	SagaAddress *address;
	SagaContact *contact;
} SagaParty;

typedef struct SagaDelivery
{
	SagaDay		date;
	SagaAddress *address;
} SagaDelivery;

typedef struct SagaCard
{
	char	   *number;
} SagaCard;

typedef struct SagaDirectDebit
{
	char	   *mandate_id;
} SagaDirectDebit;

typedef struct SagaPayment
{
	char	   *means_code;
	SagaList	accounts;		/* of SagaIdentifier */
	SagaCard   *card;
	SagaDirectDebit *direct_debit;
} SagaPayment;

/* In the order of their codes, which is the order of the VAT breakdown. */
typedef enum SagaVatCategory
{
	SAGA_VAT_AE,
	SAGA_VAT_B,
	SAGA_VAT_E,
	SAGA_VAT_G,
	SAGA_VAT_K,
	SAGA_VAT_L,
	SAGA_VAT_M,
	SAGA_VAT_O,
	SAGA_VAT_S,
	SAGA_VAT_Z,
	SAGA_VAT_UNKNOWN			/* absent, or not in the list */
} SagaVatCategory;

#define SAGA_VAT_CATEGORIES SAGA_VAT_UNKNOWN

/* an allowance or a charge, of the document or of a line */
typedef struct SagaAllowance
{
	SagaDecimal amount;
	SagaDecimal base_amount;
	SagaDecimal percent;
	SagaDecimal vat_rate;
	char	   *reason;
	char	   *reason_code;
	char	   *vat_category;
	SagaVatCategory category;	/* by calc.c */
} SagaAllowance;

typedef struct SagaVatRow
{
	char	   *category_code;
	SagaDecimal rate;
	SagaDecimal taxable_amount;
	SagaDecimal tax_amount;
	char	   *exemption_reason;
	char	   *exemption_reason_code;
	SagaVatCategory category;	/* by calc.c */
} SagaVatRow;

typedef struct SagaTotals
{
	SagaDecimal line_total;
	SagaDecimal allowance_total;
	SagaDecimal charge_total;
	SagaDecimal tax_exclusive;
	SagaDecimal tax_total;
	SagaDecimal tax_total_accounting;
	SagaDecimal tax_inclusive;
	SagaDecimal payable;
} SagaTotals;

typedef struct SagaLine
{
	char	   *id;
	char	   *name;
	char	   *unit_code;
	char	   *vat_category;
	SagaPeriod *period;
	SagaDecimal quantity;
	SagaDecimal unit_price;
	SagaDecimal price_discount;
	SagaDecimal gross_price;
	SagaDecimal price_base_quantity;
	SagaDecimal vat_rate;
	SagaDecimal net_amount;
	SagaList	allowances;		/* of SagaAllowance */
	SagaList	charges;
	SagaVatCategory category;	/* these three by calc.c */
	Numeric		computed;		/* NULL: an operand is absent */
	Numeric		net;			/* net_amount when given, else computed */
} SagaLine;

typedef struct SagaInvoice
{
	char	   *number;
	SagaDay		issue_date;
	char	   *type_code;
	char	   *currency;
	char	   *tax_currency;
	SagaDay		tax_point_date;
	char	   *tax_point_date_code;
	SagaDay		due_date;
	char	   *payment_terms;
	SagaList	preceding_invoices; /* of SagaIdentifier */
	SagaParty  *seller;
	SagaParty  *buyer;
	SagaParty  *payee;
	SagaParty  *tax_representative;
	SagaDelivery *delivery;
	SagaPeriod *invoicing_period;
	SagaPayment *payment;
	SagaList	allowances;		/* of SagaAllowance */
	SagaList	charges;
	SagaDecimal prepaid_amount;
	SagaDecimal rounding_amount;
	SagaList	vat_breakdown;	/* of SagaVatRow */
	bool		vat_breakdown_given;
	SagaTotals *totals;			/* NULL: compute mode */
	SagaDecimal tax_total_accounting;	/* in compute mode: the one total that nobody can compute */
	SagaList	lines;			/* of SagaLine */
} SagaInvoice;

/*
 * Reads a document; what is malformed goes to the report.  NULL when the
 * text is not a JSON object.
 */
extern SagaInvoice *saga_invoice_read(const char *text, int len, SagaReport *report);

/* ---------- computation (calc.c) ---------- */

typedef struct SagaVatGroup
{
	SagaVatCategory category;
	Numeric		rate;			/* NULL: category O */
	Numeric		sum;			/* exact */
	Numeric		base;			/* rounded */
	Numeric		tax;
} SagaVatGroup;

/* One check: the document, its report and the figures computed from it. */
typedef struct SagaCheck
{
	SagaInvoice *doc;
	SagaReport *report;
	int			decimals;		/* minor unit of the currency */
	int			compare;		/* decimals of comparisons: at least 2 */
	Numeric		zero;
	Numeric		tolerance;		/* of INV-NET and INV-AC */

	Numeric		line_total;
	Numeric		allowance_total;
	Numeric		charge_total;
	Numeric		tax_exclusive;
	Numeric		tax_total;
	Numeric		tax_inclusive;
	Numeric		prepaid;
	Numeric		rounding;
	Numeric		payable;

	int			ngroups;
	int			max_groups;
	SagaVatGroup **groups;		/* sorted by category, rate */
	struct groups_hash *group_hash; /* NULL while there are few */
	Numeric		category_sum[SAGA_VAT_CATEGORIES + 1];

	/* uses of a category */
	int			on_lines[SAGA_VAT_CATEGORIES + 1];
	int			on_allowances[SAGA_VAT_CATEGORIES + 1];
	int			on_charges[SAGA_VAT_CATEGORIES + 1];
	int			on_rows[SAGA_VAT_CATEGORIES + 1];
} SagaCheck;

extern void saga_invoice_compute(SagaCheck *check);
extern SagaVatGroup *saga_vat_group(SagaCheck *check, SagaVatCategory category, Numeric rate,
									bool create);

static inline int
saga_vat_uses(const SagaCheck *check, SagaVatCategory category)
{
	return check->on_lines[category] + check->on_allowances[category] + check->on_charges[category];
}

/* ---------- rules (rules_*.c), in the order of the report ---------- */

/* in a function with a SagaCheck *check */
#define REPORT_AT(level, rule, location, ...) \
	do { \
		MemoryContext report_old_ = saga_report_begin(check->report); \
\
		saga_report(check->report, rule, level, location, __VA_ARGS__); \
		MemoryContextSwitchTo(report_old_); \
	} while (0)
#define FATAL_AT(rule, location, ...) REPORT_AT(SAGA_FATAL, rule, location, __VA_ARGS__)
#define WARN_AT(rule, location, ...) REPORT_AT(SAGA_WARNING, rule, location, __VA_ARGS__)

extern void saga_rules_header(SagaCheck *check);
extern void saga_rules_parties(SagaCheck *check);
extern void saga_rules_payment(SagaCheck *check);
extern void saga_rules_allowances(SagaCheck *check);
extern void saga_rules_lines(SagaCheck *check);
extern void saga_rules_breakdown(SagaCheck *check);
extern void saga_rules_sums(SagaCheck *check);
extern void saga_rules_vat(SagaCheck *check);

/* ---------- what rules share (rules.c) ---------- */

/* Location of a member of an entry of a list: line < 0 is the document's list. */
extern char *saga_rule_place(int line, const char *list, int index, const char *member);

/* At most check->compare decimals. */
extern void saga_rule_decimals(SagaCheck *check, const char *rule, const SagaDecimal *amount,
							   const char *location);

/* A period: its end is not before its start (order), and it has one of them (given). */
extern void saga_rule_period(SagaCheck *check, const SagaPeriod *period, bool dated,
							 const char *order, const char *given, const char *location);

/* ---------- codes (codes.c, lookup.c) ---------- */

typedef enum SagaCodeList
{
	SAGA_CODES_TYPE,
	SAGA_CODES_CREDIT_NOTE,
	SAGA_CODES_VAT_CATEGORY,
	SAGA_CODES_PAYMENT_MEANS,
	SAGA_CODES_COUNTRY,
	SAGA_CODES_CURRENCY,
	SAGA_CODES_TAX_POINT,
	SAGA_CODES_IDENTIFIER_SCHEME,
	SAGA_CODES_ALLOWANCE_REASON,
	SAGA_CODES_CHARGE_REASON,
	SAGA_CODES_EXEMPTION_REASON,
	SAGA_CODES_UNIT,
	SAGA_CODES_ADDRESS_SCHEME
} SagaCodeList;

#define SAGA_CODE_LISTS (SAGA_CODES_ADDRESS_SCHEME + 1)

/* minor unit of a currency, 0 in the other lists */
typedef struct SagaCode
{
	char		code[23];
	int8		minor_unit;
} SagaCode;

typedef struct SagaCodes
{
	const char *name;
	int			n;
	const SagaCode *codes;		/* sorted by strcmp */
} SagaCodes;

extern const SagaCodes *const saga_codes[SAGA_CODE_LISTS];
extern const SagaCodes saga_codes_tax_point;
extern const SagaCodes saga_codes_identifier_scheme;
extern const SagaCodes saga_codes_allowance_reason;
extern const SagaCodes saga_codes_charge_reason;
extern const SagaCodes saga_codes_exemption_reason;
extern const SagaCodes saga_codes_unit;
extern const SagaCodes saga_codes_address_scheme;

extern const SagaCode *saga_code_find(SagaCodeList list, const char *code);

/* False: there is a code, and it is not in the list. */
extern bool saga_code_fits(SagaCodeList list, const char *code);

/* In a function with a SagaCheck *check: what to say of one that is not. */
#define CODE_AT(level, rule, list, code, location) \
	REPORT_AT(level, rule, location, "found %s, expected a code of the list %s", \
			  saga_report_quote(code, strlen(code)), saga_codes[list]->name)

extern SagaVatCategory saga_vat_category(const char *code);
extern const char *saga_vat_code(SagaVatCategory category);
extern bool saga_invoice_iban_valid(const char *text);
extern int	saga_invoice_day_parse(const char *text);

#endif							/* SAGA_INVOICE_PRIVATE_H */
