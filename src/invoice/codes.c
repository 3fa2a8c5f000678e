/*
 * codes.c
 *		Code lists.
 *
 * Values of the EN 16931 code lists: UNTDID 1001 (document types, and which of
 * them are credit notes), UNTDID 5305 (VAT categories), UNTDID 4461 (payment
 * means), ISO 3166-1 (countries, with 1A and XI as EN 16931 has them) and
 * ISO 4217 (currencies with their minor units).  Sorted by byte, for
 * saga_code_find.  A test compares them with the published lists.  Longer lists
 * are in codes_list.c and codes_unit.c.
 */
#include "postgres.h"

#include "invoice/invoice_private.h"

static const SagaCode type_codes[] = {
	{"102", 0}, {"130", 0}, {"202", 0}, {"203", 0}, {"204", 0}, {"211", 0}, {"218", 0}, {"219", 0},
	{"261", 0}, {"262", 0}, {"295", 0}, {"296", 0}, {"308", 0}, {"325", 0}, {"326", 0}, {"331", 0},
	{"380", 0}, {"381", 0}, {"382", 0}, {"383", 0}, {"384", 0}, {"385", 0}, {"386", 0}, {"387", 0},
	{"388", 0}, {"389", 0}, {"390", 0}, {"393", 0}, {"394", 0}, {"395", 0}, {"396", 0}, {"420", 0},
	{"456", 0}, {"457", 0}, {"458", 0}, {"471", 0}, {"472", 0}, {"473", 0}, {"500", 0}, {"501", 0},
	{"502", 0}, {"503", 0}, {"527", 0}, {"532", 0}, {"553", 0}, {"575", 0}, {"623", 0}, {"633", 0},
	{"71", 0}, {"751", 0}, {"780", 0}, {"80", 0}, {"81", 0}, {"817", 0}, {"82", 0}, {"83", 0},
	{"84", 0}, {"870", 0}, {"875", 0}, {"876", 0}, {"877", 0}, {"935", 0}
};

static const SagaCode credit_note_type_codes[] = {
	{"261", 0}, {"262", 0}, {"296", 0}, {"308", 0}, {"381", 0}, {"396", 0}, {"420", 0}, {"458", 0},
	{"502", 0}, {"503", 0}, {"532", 0}, {"81", 0}, {"83", 0}
};

static const SagaCode vat_categories[] = {
	{"AE", 0}, {"B", 0}, {"E", 0}, {"G", 0}, {"K", 0}, {"L", 0}, {"M", 0}, {"O", 0}, {"S", 0},
	{"Z", 0}
};

static const SagaCode payment_means[] = {
	{"1", 0}, {"10", 0}, {"11", 0}, {"12", 0}, {"13", 0}, {"14", 0}, {"15", 0}, {"16", 0},
	{"17", 0}, {"18", 0}, {"19", 0}, {"2", 0}, {"20", 0}, {"21", 0}, {"22", 0}, {"23", 0},
	{"24", 0}, {"25", 0}, {"26", 0}, {"27", 0}, {"28", 0}, {"29", 0}, {"3", 0}, {"30", 0},
	{"31", 0}, {"32", 0}, {"33", 0}, {"34", 0}, {"35", 0}, {"36", 0}, {"37", 0}, {"38", 0},
	{"39", 0}, {"4", 0}, {"40", 0}, {"41", 0}, {"42", 0}, {"43", 0}, {"44", 0}, {"45", 0},
	{"46", 0}, {"47", 0}, {"48", 0}, {"49", 0}, {"5", 0}, {"50", 0}, {"51", 0}, {"52", 0},
	{"53", 0}, {"54", 0}, {"55", 0}, {"56", 0}, {"57", 0}, {"58", 0}, {"59", 0}, {"6", 0},
	{"60", 0}, {"61", 0}, {"62", 0}, {"63", 0}, {"64", 0}, {"65", 0}, {"66", 0}, {"67", 0},
	{"68", 0}, {"69", 0}, {"7", 0}, {"70", 0}, {"74", 0}, {"75", 0}, {"76", 0}, {"77", 0},
	{"78", 0}, {"8", 0}, {"9", 0}, {"91", 0}, {"92", 0}, {"93", 0}, {"94", 0}, {"95", 0},
	{"96", 0}, {"97", 0}, {"98", 0}, {"ZZZ", 0}
};

static const SagaCode countries[] = {
	{"1A", 0}, {"AD", 0}, {"AE", 0}, {"AF", 0}, {"AG", 0}, {"AI", 0}, {"AL", 0}, {"AM", 0},
	{"AO", 0}, {"AQ", 0}, {"AR", 0}, {"AS", 0}, {"AT", 0}, {"AU", 0}, {"AW", 0}, {"AX", 0},
	{"AZ", 0}, {"BA", 0}, {"BB", 0}, {"BD", 0}, {"BE", 0}, {"BF", 0}, {"BG", 0}, {"BH", 0},
	{"BI", 0}, {"BJ", 0}, {"BL", 0}, {"BM", 0}, {"BN", 0}, {"BO", 0}, {"BQ", 0}, {"BR", 0},
	{"BS", 0}, {"BT", 0}, {"BV", 0}, {"BW", 0}, {"BY", 0}, {"BZ", 0}, {"CA", 0}, {"CC", 0},
	{"CD", 0}, {"CF", 0}, {"CG", 0}, {"CH", 0}, {"CI", 0}, {"CK", 0}, {"CL", 0}, {"CM", 0},
	{"CN", 0}, {"CO", 0}, {"CR", 0}, {"CU", 0}, {"CV", 0}, {"CW", 0}, {"CX", 0}, {"CY", 0},
	{"CZ", 0}, {"DE", 0}, {"DJ", 0}, {"DK", 0}, {"DM", 0}, {"DO", 0}, {"DZ", 0}, {"EC", 0},
	{"EE", 0}, {"EG", 0}, {"EH", 0}, {"ER", 0}, {"ES", 0}, {"ET", 0}, {"FI", 0}, {"FJ", 0},
	{"FK", 0}, {"FM", 0}, {"FO", 0}, {"FR", 0}, {"GA", 0}, {"GB", 0}, {"GD", 0}, {"GE", 0},
	{"GF", 0}, {"GG", 0}, {"GH", 0}, {"GI", 0}, {"GL", 0}, {"GM", 0}, {"GN", 0}, {"GP", 0},
	{"GQ", 0}, {"GR", 0}, {"GS", 0}, {"GT", 0}, {"GU", 0}, {"GW", 0}, {"GY", 0}, {"HK", 0},
	{"HM", 0}, {"HN", 0}, {"HR", 0}, {"HT", 0}, {"HU", 0}, {"ID", 0}, {"IE", 0}, {"IL", 0},
	{"IM", 0}, {"IN", 0}, {"IO", 0}, {"IQ", 0}, {"IR", 0}, {"IS", 0}, {"IT", 0}, {"JE", 0},
	{"JM", 0}, {"JO", 0}, {"JP", 0}, {"KE", 0}, {"KG", 0}, {"KH", 0}, {"KI", 0}, {"KM", 0},
	{"KN", 0}, {"KP", 0}, {"KR", 0}, {"KW", 0}, {"KY", 0}, {"KZ", 0}, {"LA", 0}, {"LB", 0},
	{"LC", 0}, {"LI", 0}, {"LK", 0}, {"LR", 0}, {"LS", 0}, {"LT", 0}, {"LU", 0}, {"LV", 0},
	{"LY", 0}, {"MA", 0}, {"MC", 0}, {"MD", 0}, {"ME", 0}, {"MF", 0}, {"MG", 0}, {"MH", 0},
	{"MK", 0}, {"ML", 0}, {"MM", 0}, {"MN", 0}, {"MO", 0}, {"MP", 0}, {"MQ", 0}, {"MR", 0},
	{"MS", 0}, {"MT", 0}, {"MU", 0}, {"MV", 0}, {"MW", 0}, {"MX", 0}, {"MY", 0}, {"MZ", 0},
	{"NA", 0}, {"NC", 0}, {"NE", 0}, {"NF", 0}, {"NG", 0}, {"NI", 0}, {"NL", 0}, {"NO", 0},
	{"NP", 0}, {"NR", 0}, {"NU", 0}, {"NZ", 0}, {"OM", 0}, {"PA", 0}, {"PE", 0}, {"PF", 0},
	{"PG", 0}, {"PH", 0}, {"PK", 0}, {"PL", 0}, {"PM", 0}, {"PN", 0}, {"PR", 0}, {"PS", 0},
	{"PT", 0}, {"PW", 0}, {"PY", 0}, {"QA", 0}, {"RE", 0}, {"RO", 0}, {"RS", 0}, {"RU", 0},
	{"RW", 0}, {"SA", 0}, {"SB", 0}, {"SC", 0}, {"SD", 0}, {"SE", 0}, {"SG", 0}, {"SH", 0},
	{"SI", 0}, {"SJ", 0}, {"SK", 0}, {"SL", 0}, {"SM", 0}, {"SN", 0}, {"SO", 0}, {"SR", 0},
	{"SS", 0}, {"ST", 0}, {"SV", 0}, {"SX", 0}, {"SY", 0}, {"SZ", 0}, {"TC", 0}, {"TD", 0},
	{"TF", 0}, {"TG", 0}, {"TH", 0}, {"TJ", 0}, {"TK", 0}, {"TL", 0}, {"TM", 0}, {"TN", 0},
	{"TO", 0}, {"TR", 0}, {"TT", 0}, {"TV", 0}, {"TW", 0}, {"TZ", 0}, {"UA", 0}, {"UG", 0},
	{"UM", 0}, {"US", 0}, {"UY", 0}, {"UZ", 0}, {"VA", 0}, {"VC", 0}, {"VE", 0}, {"VG", 0},
	{"VI", 0}, {"VN", 0}, {"VU", 0}, {"WF", 0}, {"WS", 0}, {"XI", 0}, {"YE", 0}, {"YT", 0},
	{"ZA", 0}, {"ZM", 0}, {"ZW", 0}
};

static const SagaCode currencies[] = {
	{"AED", 2}, {"AFN", 2}, {"ALL", 2}, {"AMD", 2}, {"AOA", 2}, {"ARS", 2}, {"AUD", 2}, {"AWG", 2},
	{"AZN", 2}, {"BAM", 2}, {"BBD", 2}, {"BDT", 2}, {"BHD", 3}, {"BIF", 0}, {"BMD", 2}, {"BND", 2},
	{"BOB", 2}, {"BOV", 2}, {"BRL", 2}, {"BSD", 2}, {"BTN", 2}, {"BWP", 2}, {"BYN", 2}, {"BZD", 2},
	{"CAD", 2}, {"CDF", 2}, {"CHE", 2}, {"CHF", 2}, {"CHW", 2}, {"CLF", 4}, {"CLP", 0}, {"CNH", 2},
	{"CNY", 2}, {"COP", 2}, {"COU", 2}, {"CRC", 2}, {"CUP", 2}, {"CVE", 2}, {"CZK", 2}, {"DJF", 0},
	{"DKK", 2}, {"DOP", 2}, {"DZD", 2}, {"EGP", 2}, {"ERN", 2}, {"ETB", 2}, {"EUR", 2}, {"FJD", 2},
	{"FKP", 2}, {"GBP", 2}, {"GEL", 2}, {"GHS", 2}, {"GIP", 2}, {"GMD", 2}, {"GNF", 0}, {"GTQ", 2},
	{"GYD", 2}, {"HKD", 2}, {"HNL", 2}, {"HTG", 2}, {"HUF", 2}, {"IDR", 2}, {"ILS", 2}, {"INR", 2},
	{"IQD", 3}, {"IRR", 2}, {"ISK", 0}, {"JMD", 2}, {"JOD", 3}, {"JPY", 0}, {"KES", 2}, {"KGS", 2},
	{"KHR", 2}, {"KMF", 0}, {"KPW", 2}, {"KRW", 0}, {"KWD", 3}, {"KYD", 2}, {"KZT", 2}, {"LAK", 2},
	{"LBP", 2}, {"LKR", 2}, {"LRD", 2}, {"LSL", 2}, {"LYD", 3}, {"MAD", 2}, {"MDL", 2}, {"MGA", 2},
	{"MKD", 2}, {"MMK", 2}, {"MNT", 2}, {"MOP", 2}, {"MRU", 2}, {"MUR", 2}, {"MVR", 2}, {"MWK", 2},
	{"MXN", 2}, {"MXV", 2}, {"MYR", 2}, {"MZN", 2}, {"NAD", 2}, {"NGN", 2}, {"NIO", 2}, {"NOK", 2},
	{"NPR", 2}, {"NZD", 2}, {"OMR", 3}, {"PAB", 2}, {"PEN", 2}, {"PGK", 2}, {"PHP", 2}, {"PKR", 2},
	{"PLN", 2}, {"PYG", 0}, {"QAR", 2}, {"RON", 2}, {"RSD", 2}, {"RUB", 2}, {"RWF", 0}, {"SAR", 2},
	{"SBD", 2}, {"SCR", 2}, {"SDG", 2}, {"SEK", 2}, {"SGD", 2}, {"SHP", 2}, {"SLE", 2}, {"SOS", 2},
	{"SRD", 2}, {"SSP", 2}, {"STD", 2}, {"SVC", 2}, {"SYP", 2}, {"SZL", 2}, {"THB", 2}, {"TJS", 2},
	{"TMT", 2}, {"TND", 3}, {"TOP", 2}, {"TRY", 2}, {"TTD", 2}, {"TWD", 2}, {"TZS", 2}, {"UAH", 2},
	{"UGX", 0}, {"USD", 2}, {"USN", 2}, {"UYI", 0}, {"UYU", 2}, {"UYW", 4}, {"UZS", 2}, {"VED", 2},
	{"VES", 2}, {"VND", 0}, {"VUV", 0}, {"WST", 2}, {"XAF", 0}, {"XAG", 2}, {"XAU", 2}, {"XBA", 2},
	{"XBB", 2}, {"XBC", 2}, {"XBD", 2}, {"XCD", 2}, {"XCG", 2}, {"XDR", 2}, {"XOF", 0}, {"XPD", 2},
	{"XPF", 0}, {"XPT", 2}, {"XSU", 2}, {"XTS", 2}, {"XUA", 2}, {"XXX", 2}, {"YER", 2}, {"ZAR", 2},
	{"ZMW", 2}, {"ZWG", 2}
};

static const SagaCodes type_codes_list = {"type_codes", lengthof(type_codes), type_codes};
static const SagaCodes credit_note_type_codes_list = {"credit_note_type_codes", lengthof(credit_note_type_codes), credit_note_type_codes};
static const SagaCodes vat_categories_list = {"vat_categories", lengthof(vat_categories), vat_categories};
static const SagaCodes payment_means_list = {"payment_means", lengthof(payment_means), payment_means};
static const SagaCodes countries_list = {"countries", lengthof(countries), countries};
static const SagaCodes currencies_list = {"currencies", lengthof(currencies), currencies};

const SagaCodes *const saga_codes[SAGA_CODE_LISTS] = {
	[SAGA_CODES_TYPE] = &type_codes_list,
	[SAGA_CODES_CREDIT_NOTE] = &credit_note_type_codes_list,
	[SAGA_CODES_VAT_CATEGORY] = &vat_categories_list,
	[SAGA_CODES_PAYMENT_MEANS] = &payment_means_list,
	[SAGA_CODES_COUNTRY] = &countries_list,
	[SAGA_CODES_CURRENCY] = &currencies_list,
	[SAGA_CODES_TAX_POINT] = &saga_codes_tax_point,
	[SAGA_CODES_IDENTIFIER_SCHEME] = &saga_codes_identifier_scheme,
	[SAGA_CODES_ALLOWANCE_REASON] = &saga_codes_allowance_reason,
	[SAGA_CODES_CHARGE_REASON] = &saga_codes_charge_reason,
	[SAGA_CODES_EXEMPTION_REASON] = &saga_codes_exemption_reason,
	[SAGA_CODES_UNIT] = &saga_codes_unit,
	[SAGA_CODES_ADDRESS_SCHEME] = &saga_codes_address_scheme
};
