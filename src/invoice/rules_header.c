/*
 * rules_header.c
 *		Rules on the document itself, its parties and its payment: what must be
 *		there, in which form.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "invoice/decimal_private.h"

static void
need_code(SagaCheck *check, SagaCodeList list, const char *code, const char *rule, const char *location)
{
	if (!saga_code_fits(list, code))
		CODE_AT(SAGA_FATAL, rule, list, code, location);
}

/* ---------- document ---------- */

/* Rules of the members at the top of the document: number, dates, type, currencies, periods, references. */
void
saga_rules_header(SagaCheck *check)
{
	SagaInvoice *doc = check->doc;
	int			i;

	if (doc->number == NULL)
		FATAL_AT("BR-02", "/number", "the invoice number is missing");
	if (doc->issue_date.text == NULL)
		FATAL_AT("BR-03", "/issue_date", "the issue date is missing");
	if (doc->type_code == NULL)
		FATAL_AT("BR-04", "/type_code", "the type code is missing (380 is an invoice, 381 a credit note)");
	if (doc->currency == NULL)
		FATAL_AT("BR-05", "/currency", "the currency is missing");
	need_code(check, SAGA_CODES_TYPE, doc->type_code, "BR-CL-01", "/type_code");
	need_code(check, SAGA_CODES_CURRENCY, doc->currency, "BR-CL-04", "/currency");
	need_code(check, SAGA_CODES_CURRENCY, doc->tax_currency, "BR-CL-05", "/tax_currency");
	need_code(check, SAGA_CODES_TAX_POINT, doc->tax_point_date_code, "BR-CL-06", "/tax_point_date_code");

	if (doc->tax_point_date.text && doc->tax_point_date_code)
		FATAL_AT("BR-CO-03", "/tax_point_date_code", "tax_point_date and tax_point_date_code exclude each other");
	if (doc->invoicing_period)
		saga_rule_period(check, doc->invoicing_period, doc->tax_point_date_code != NULL,
						 "BR-29", "BR-CO-19", "/invoicing_period");
	for (i = 0; i < doc->preceding_invoices.n; i++)
	{
		if (SAGA_ITEM(SagaIdentifier, &doc->preceding_invoices, i)->id == NULL)
			FATAL_AT("BR-55", saga_rule_place(-1, "preceding_invoices", i, "number"),
					 "preceding invoice %d has no number", i + 1);
	}
	if (doc->delivery && doc->delivery->address)
	{
		if (doc->delivery->address->country == NULL)
			FATAL_AT("BR-57", "/delivery/address/country", "the delivery address has no country");
		need_code(check, SAGA_CODES_COUNTRY, doc->delivery->address->country, "BR-CL-14",
				  "/delivery/address/country");
	}
	if (doc->lines.n == 0)
		FATAL_AT("BR-16", "/lines", "the invoice has no line");
}

/* ---------- parties ---------- */

/* Whose rule is which. */
typedef struct PartyRules
{
	const char *member;			/* in the document */
	const char *title;			/* in a message */
	const char *name;
	const char *address;
	const char *country;
	const char *vat_id;			/* must be there; NULL: need not */
	const char *electronic;
} PartyRules;

static const PartyRules seller_rules =
{"seller", "seller", "BR-06", "BR-08", "BR-09", NULL, "BR-62"};
static const PartyRules buyer_rules =
{"buyer", "buyer", "BR-07", "BR-10", "BR-11", NULL, "BR-63"};
static const PartyRules representative_rules =
{"tax_representative", "tax representative", "BR-18", "BR-19", "BR-20", "BR-56", NULL};

/* ISO 3166-1, and EL for Greece; XI and 1A are in the list. */
static bool
has_country_prefix(const char *vat_id)
{
	char		prefix[3];

	strlcpy(prefix, vat_id, sizeof(prefix));
	return strcmp(prefix, "EL") == 0 || saga_code_find(SAGA_CODES_COUNTRY, prefix) != NULL;
}

/*
 * A scheme of four digits is one of ISO 6523.  Others are no mistake: SEPA, those
 * of XRechnung's extension (XR03) and of countries beyond the EU (CRN) are in
 * published invoices.
 */
static void
check_schemes(SagaCheck *check, const SagaParty *party, const PartyRules *rules)
{
	int			i;

	for (i = 0; i < party->ids.n; i++)
	{
		const char *scheme = SAGA_ITEM(SagaIdentifier, &party->ids, i)->scheme;

		if (scheme && strlen(scheme) == 4 && strspn(scheme, "0123456789") == 4 &&
			!saga_code_fits(SAGA_CODES_IDENTIFIER_SCHEME, scheme))
			CODE_AT(SAGA_FATAL, "BR-CL-10", SAGA_CODES_IDENTIFIER_SCHEME, scheme,
					psprintf("/%s/ids/%d/scheme", rules->member, i));
	}
}

/* Rules that seller, buyer and tax representative have in common: name, address, country, identifiers. */
static void
check_party(SagaCheck *check, const SagaParty *party, const PartyRules *rules)
{
	static const SagaParty nobody;

	if (party == NULL)
		party = &nobody;
	if (party->name == NULL)
		FATAL_AT(rules->name, psprintf("/%s/name", rules->member), "the %s has no name", rules->title);
	if (party->address == NULL)
		FATAL_AT(rules->address, psprintf("/%s/address", rules->member), "the %s has no address", rules->title);
	else if (party->address->country == NULL)
		FATAL_AT(rules->country, psprintf("/%s/address/country", rules->member),
				 "the address of the %s has no country", rules->title);
	else if (saga_code_find(SAGA_CODES_COUNTRY, party->address->country) == NULL)
		FATAL_AT("BR-CL-14", psprintf("/%s/address/country", rules->member),
				 "found %s, expected a country code of ISO 3166-1",
				 saga_report_quote(party->address->country, strlen(party->address->country)));
	if (party->vat_id == NULL && rules->vat_id)
		FATAL_AT(rules->vat_id, psprintf("/%s/vat_id", rules->member), "the %s has no VAT identifier",
				 rules->title);
	if (party->vat_id && !has_country_prefix(party->vat_id))
		FATAL_AT("BR-CO-09", psprintf("/%s/vat_id", rules->member),
				 "found %s, expected a VAT identifier that starts with its country code",
				 saga_report_quote(party->vat_id, strlen(party->vat_id)));
	if (party->electronic_address && party->electronic_address->scheme == NULL && rules->electronic)
		FATAL_AT(rules->electronic, psprintf("/%s/electronic_address/scheme", rules->member),
				 "the electronic address of the %s has no scheme", rules->title);
	if (party->electronic_address && !saga_code_fits(SAGA_CODES_ADDRESS_SCHEME, party->electronic_address->scheme))
		CODE_AT(SAGA_FATAL, "BR-CL-25", SAGA_CODES_ADDRESS_SCHEME, party->electronic_address->scheme,
				psprintf("/%s/electronic_address/scheme", rules->member));
	check_schemes(check, party, rules);
}

/* Can the seller be told from others by any of the identifiers that BR-CO-26 counts? */
static bool
is_identified(const SagaParty *seller)
{
	int			i;

	if (seller == NULL)
		return false;
	if (seller->vat_id || seller->legal_registration_id)
		return true;
	for (i = 0; i < seller->ids.n; i++)
	{
		const SagaIdentifier *id = SAGA_ITEM(SagaIdentifier, &seller->ids, i);

		if (id->id && (id->scheme == NULL || strcmp(id->scheme, "SEPA") != 0))
			return true;
	}
	return false;
}

/* A payee is somebody else than the seller, or it is left out. */
static void
check_payee(SagaCheck *check, const SagaParty *payee, const SagaParty *seller)
{
	const char *seller_name;
	int			i;

	if (payee->name == NULL)
		FATAL_AT("BR-17", "/payee/name", "the payee has no name");
	if (seller == NULL)
		return;
	seller_name = seller->trading_name ? seller->trading_name : seller->name;
	if (payee->name && seller_name && strcmp(payee->name, seller_name) == 0)
		FATAL_AT("BR-17", "/payee/name", "the payee has the name of the seller; leave it out when it is the seller");
	for (i = 0; payee->id && i < seller->ids.n; i++)
	{
		const char *id = SAGA_ITEM(SagaIdentifier, &seller->ids, i)->id;

		if (id == NULL || strcmp(payee->id, id) != 0)
			continue;
		FATAL_AT("BR-17", "/payee/id", "the payee has an identifier of the seller; leave it out when it is the seller");
		break;
	}
}

/* Rules of the parties to the invoice. */
void
saga_rules_parties(SagaCheck *check)
{
	SagaInvoice *doc = check->doc;

	check_party(check, doc->seller, &seller_rules);
	if (!is_identified(doc->seller))
		FATAL_AT("BR-CO-26", "/seller",
				 "the seller has no VAT identifier, no legal registration identifier and no other identifier");
	check_party(check, doc->buyer, &buyer_rules);
	if (doc->tax_representative)
		check_party(check, doc->tax_representative, &representative_rules);
	if (doc->payee)
		check_payee(check, doc->payee, doc->seller);
}

/* ---------- payment ---------- */

/* Rules of the accounts to pay to; of a credit transfer there has to be one. */
static void
check_accounts(SagaCheck *check, const SagaPayment *payment)
{
	bool		sepa = payment->means_code && strcmp(payment->means_code, "58") == 0;
	bool		transfer = sepa || (payment->means_code && strcmp(payment->means_code, "30") == 0);
	bool		found = false;
	int			i;

	for (i = 0; i < payment->accounts.n; i++)
	{
		const char *id = SAGA_ITEM(SagaIdentifier, &payment->accounts, i)->id;

		if (id == NULL)
			FATAL_AT("BR-50", psprintf("/payment/accounts/%d/id", i), "account %d has no identifier", i + 1);
		else if (sepa && !saga_invoice_iban_valid(id))
			WARN_AT("INV-IBAN", psprintf("/payment/accounts/%d/id", i),
					"found %s, expected an IBAN with a valid checksum", saga_report_quote(id, strlen(id)));
		found |= (id != NULL);
	}
	if (transfer && !found)
		FATAL_AT("BR-61", "/payment/accounts", "payment means %s (credit transfer) needs an account",
				 payment->means_code);
}

/* Rules of the means of payment. */
void
saga_rules_payment(SagaCheck *check)
{
	SagaInvoice *doc = check->doc;
	SagaPayment *payment = doc->payment;
	const char *means = payment ? payment->means_code : NULL;

	if (payment)
	{
		if (means == NULL)
			FATAL_AT("BR-49", "/payment/means_code", "the payment has no means code");
		need_code(check, SAGA_CODES_PAYMENT_MEANS, means, "BR-CL-16", "/payment/means_code");
		check_accounts(check, payment);
		if (payment->card && payment->card->number &&
			pg_mbstrlen(payment->card->number) > 10)
			FATAL_AT("BR-51", "/payment/card/number",
					 "found %d characters, expected at most 10: only the last digits of a card number are sent",
					 pg_mbstrlen(payment->card->number));
		if (means && (strcmp(means, "49") == 0 || strcmp(means, "59") == 0) &&
			(payment->direct_debit == NULL || payment->direct_debit->mandate_id == NULL))
			WARN_AT("INV-MANDATE", "/payment/direct_debit/mandate_id",
					"payment means %s (direct debit) needs a mandate", means);
	}
	if (dec_cmp(check->payable, check->zero) > 0 && doc->due_date.text == NULL && doc->payment_terms == NULL)
		WARN_AT("BR-CO-25", "/due_date", "%s is to be paid, but there is neither due_date nor payment_terms",
				dec_text(check->payable));
}
