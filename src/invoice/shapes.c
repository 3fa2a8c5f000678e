/*
 * shapes.c
 *		The members of an invoice: their names, their JSON types, and where
 *		they are kept.  What is not here is an unknown member.
 */
#include "postgres.h"

#include "invoice/reader_private.h"

#define SHAPE(name, type) \
	static const SagaShape name = {sizeof(type), lengthof(name##_members), name##_members}

#define TEXT(type, field, name)		{name, SAGA_MEMBER_TEXT, offsetof(type, field)}
#define TEXT_OR_NULL(type, field, name) {name, SAGA_MEMBER_TEXT_OR_NULL, offsetof(type, field)}
#define NOTE(name)					{name, SAGA_MEMBER_NOTE}
#define DAY(type, field, name)		{name, SAGA_MEMBER_DAY, offsetof(type, field)}
#define DECIMAL(type, field, name)	{name, SAGA_MEMBER_DECIMAL, offsetof(type, field)}
#define OBJECT(type, field, name, shape) {name, SAGA_MEMBER_OBJECT, offsetof(type, field), &shape}
#define LIST(type, field, name, shape) {name, SAGA_MEMBER_LIST, offsetof(type, field), &shape}

static const SagaMember identifier_members[] = {
	TEXT(SagaIdentifier, id, "id"),
	TEXT_OR_NULL(SagaIdentifier, scheme, "scheme"),
};

SHAPE(identifier, SagaIdentifier);

static const SagaMember account_members[] = {
	TEXT(SagaIdentifier, id, "id"),
	NOTE("name"),
	NOTE("bic"),
};

SHAPE(account, SagaIdentifier);

static const SagaMember preceding_members[] = {
	TEXT(SagaIdentifier, id, "number"),
	DAY(SagaIdentifier, date, "issue_date"),
};

SHAPE(preceding, SagaIdentifier);

static const SagaMember address_members[] = {
	NOTE("line1"),
	NOTE("line2"),
	NOTE("line3"),
	NOTE("city"),
	NOTE("postal_code"),
	NOTE("subdivision"),
	TEXT(SagaAddress, country, "country"),
};

SHAPE(address, SagaAddress);

/* Nothing of a contact is used, but its members have a type. */
static const SagaMember contact_members[] = {
	NOTE("name"),
	NOTE("phone"),
	NOTE("email"),
};

SHAPE(contact, SagaContact);

static const SagaMember party_members[] = {
	TEXT(SagaParty, name, "name"),
	TEXT(SagaParty, trading_name, "trading_name"),
	LIST(SagaParty, ids, "ids", identifier),
	TEXT(SagaParty, legal_registration_id, "legal_registration_id"),
	TEXT(SagaParty, vat_id, "vat_id"),
	TEXT(SagaParty, tax_registration_id, "tax_registration_id"),
	NOTE("legal_info"),
	OBJECT(SagaParty, electronic_address, "electronic_address", identifier),
	OBJECT(SagaParty, address, "address", address),
	OBJECT(SagaParty, contact, "contact", contact),
};

SHAPE(party, SagaParty);

static const SagaMember payee_members[] = {
	TEXT(SagaParty, name, "name"),
	TEXT(SagaParty, id, "id"),
	NOTE("legal_registration_id"),
};

SHAPE(payee, SagaParty);

static const SagaMember representative_members[] = {
	TEXT(SagaParty, name, "name"),
	TEXT(SagaParty, vat_id, "vat_id"),
	OBJECT(SagaParty, address, "address", address),
};

SHAPE(representative, SagaParty);

static const SagaMember period_members[] = {
	DAY(SagaPeriod, start, "start_date"),
	DAY(SagaPeriod, end, "end_date"),
};

SHAPE(period, SagaPeriod);

static const SagaMember delivery_members[] = {
	NOTE("name"),
	NOTE("location_id"),
	DAY(SagaDelivery, date, "date"),
	OBJECT(SagaDelivery, address, "address", address),
};

SHAPE(delivery, SagaDelivery);

static const SagaMember card_members[] = {
	TEXT(SagaCard, number, "number"),
	NOTE("holder"),
};

SHAPE(card, SagaCard);

static const SagaMember direct_debit_members[] = {
	TEXT(SagaDirectDebit, mandate_id, "mandate_id"),
	NOTE("creditor_id"),
	NOTE("debited_account"),
};

SHAPE(direct_debit, SagaDirectDebit);

static const SagaMember payment_members[] = {
	TEXT(SagaPayment, means_code, "means_code"),
	NOTE("means_text"),
	NOTE("remittance_information"),
	LIST(SagaPayment, accounts, "accounts", account),
	OBJECT(SagaPayment, card, "card", card),
	OBJECT(SagaPayment, direct_debit, "direct_debit", direct_debit),
};

SHAPE(payment, SagaPayment);

static const SagaMember allowance_members[] = {
	DECIMAL(SagaAllowance, amount, "amount"),
	DECIMAL(SagaAllowance, base_amount, "base_amount"),
	DECIMAL(SagaAllowance, percent, "percent"),
	TEXT(SagaAllowance, reason, "reason"),
	TEXT(SagaAllowance, reason_code, "reason_code"),
	TEXT(SagaAllowance, vat_category, "vat_category"),
	DECIMAL(SagaAllowance, vat_rate, "vat_rate"),
};

SHAPE(allowance, SagaAllowance);

static const SagaMember vat_row_members[] = {
	TEXT(SagaVatRow, category_code, "category"),
	DECIMAL(SagaVatRow, rate, "rate"),
	DECIMAL(SagaVatRow, taxable_amount, "taxable_amount"),
	DECIMAL(SagaVatRow, tax_amount, "tax_amount"),
	TEXT(SagaVatRow, exemption_reason, "exemption_reason"),
	TEXT(SagaVatRow, exemption_reason_code, "exemption_reason_code"),
};

SHAPE(vat_row, SagaVatRow);

static const SagaMember totals_members[] = {
	DECIMAL(SagaTotals, line_total, "line_total"),
	DECIMAL(SagaTotals, allowance_total, "allowance_total"),
	DECIMAL(SagaTotals, charge_total, "charge_total"),
	DECIMAL(SagaTotals, tax_exclusive, "tax_exclusive"),
	DECIMAL(SagaTotals, tax_total, "tax_total"),
	DECIMAL(SagaTotals, tax_total_accounting, "tax_total_accounting"),
	DECIMAL(SagaTotals, tax_inclusive, "tax_inclusive"),
	DECIMAL(SagaTotals, payable, "payable"),
};

SHAPE(totals, SagaTotals);

static const SagaMember line_members[] = {
	TEXT(SagaLine, id, "id"),
	TEXT(SagaLine, name, "name"),
	DECIMAL(SagaLine, quantity, "quantity"),
	TEXT(SagaLine, unit_code, "unit_code"),
	DECIMAL(SagaLine, unit_price, "unit_price"),
	TEXT(SagaLine, vat_category, "vat_category"),
	DECIMAL(SagaLine, vat_rate, "vat_rate"),
	DECIMAL(SagaLine, net_amount, "net_amount"),
	NOTE("note"),
	NOTE("description"),
	NOTE("seller_item_id"),
	NOTE("order_line_reference"),
	NOTE("buyer_accounting_reference"),
	OBJECT(SagaLine, period, "period", period),
	DECIMAL(SagaLine, price_discount, "price_discount"),
	DECIMAL(SagaLine, gross_price, "gross_price"),
	DECIMAL(SagaLine, price_base_quantity, "price_base_quantity"),
	LIST(SagaLine, allowances, "allowances", allowance),
	LIST(SagaLine, charges, "charges", allowance),
};

SHAPE(line, SagaLine);

static const SagaMember invoice_members[] = {
	TEXT(SagaInvoice, number, "number"),
	DAY(SagaInvoice, issue_date, "issue_date"),
	TEXT(SagaInvoice, type_code, "type_code"),
	TEXT(SagaInvoice, currency, "currency"),
	TEXT(SagaInvoice, tax_currency, "tax_currency"),
	DAY(SagaInvoice, tax_point_date, "tax_point_date"),
	TEXT(SagaInvoice, tax_point_date_code, "tax_point_date_code"),
	DAY(SagaInvoice, due_date, "due_date"),
	NOTE("buyer_reference"),
	NOTE("project_reference"),
	NOTE("contract_reference"),
	NOTE("purchase_order_reference"),
	TEXT(SagaInvoice, payment_terms, "payment_terms"),
	{"notes", SAGA_MEMBER_NOTES},
	NOTE("business_process"),
	NOTE("specification_identifier"),
	LIST(SagaInvoice, preceding_invoices, "preceding_invoices", preceding),
	OBJECT(SagaInvoice, seller, "seller", party),
	OBJECT(SagaInvoice, buyer, "buyer", party),
	OBJECT(SagaInvoice, payee, "payee", payee),
	OBJECT(SagaInvoice, tax_representative, "tax_representative", representative),
	OBJECT(SagaInvoice, delivery, "delivery", delivery),
	OBJECT(SagaInvoice, invoicing_period, "invoicing_period", period),
	OBJECT(SagaInvoice, payment, "payment", payment),
	LIST(SagaInvoice, allowances, "allowances", allowance),
	LIST(SagaInvoice, charges, "charges", allowance),
	DECIMAL(SagaInvoice, prepaid_amount, "prepaid_amount"),
	DECIMAL(SagaInvoice, rounding_amount, "rounding_amount"),
	{"vat_breakdown", SAGA_MEMBER_LIST, offsetof(SagaInvoice, vat_breakdown), &vat_row,
	offsetof(SagaInvoice, vat_breakdown_given)},
	OBJECT(SagaInvoice, totals, "totals", totals),
	LIST(SagaInvoice, lines, "lines", line),
};

SHAPE(invoice, SagaInvoice);

/*
 * Whether the sender leaves all sums to us but the VAT in the accounting
 * currency, which cannot be computed without a rate of exchange.
 */
static bool
is_accounting_alone(const SagaTotals *totals)
{
	return totals->tax_total_accounting.given &&
		!(totals->line_total.given || totals->allowance_total.given || totals->charge_total.given ||
		  totals->tax_exclusive.given || totals->tax_total.given || totals->tax_inclusive.given ||
		  totals->payable.given);
}

SagaInvoice *
saga_invoice_read(const char *text, int len, SagaReport *report)
{
	SagaInvoice *doc = palloc0(sizeof(SagaInvoice));

	if (!saga_invoice_read_document(text, len, &invoice, doc, report))
		return NULL;
	if (doc->totals && is_accounting_alone(doc->totals))
	{
		doc->tax_total_accounting = doc->totals->tax_total_accounting;
		doc->totals = NULL;
	}
	return doc;
}
