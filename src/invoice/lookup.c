/*
 * lookup.c
 *		Codes, bank account numbers and dates: is this text a valid one?
 */
#include "postgres.h"

#include "parser/scansup.h"

#include "invoice/invoice_private.h"

/* The lists are sorted by code when they are written down; NULL: the code is not in the list. */
const SagaCode *
saga_code_find(SagaCodeList list, const char *code)
{
	const SagaCode *codes = saga_codes[list]->codes;
	int			low = 0;
	int			high = saga_codes[list]->n - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;
		int			order = strcmp(code, codes[middle].code);

		if (order == 0)
			return &codes[middle];
		if (order < 0)
			high = middle - 1;
		else
			low = middle + 1;
	}
	return NULL;
}

bool
saga_code_fits(SagaCodeList list, const char *code)
{
	return code == NULL || saga_code_find(list, code) != NULL;
}

/* The enum has the order of the list. */
SagaVatCategory
saga_vat_category(const char *code)
{
	const SagaCode *found = code ? saga_code_find(SAGA_CODES_VAT_CATEGORY, code) : NULL;

	return found ? (SagaVatCategory) (found - saga_codes[SAGA_CODES_VAT_CATEGORY]->codes) : SAGA_VAT_UNKNOWN;
}

/* The code of UNTDID 5305 that a category is written with. */
const char *
saga_vat_code(SagaVatCategory category)
{
	Assert(category < SAGA_VAT_CATEGORIES);
	return saga_codes[SAGA_CODES_VAT_CATEGORY]->codes[category].code;
}

/*
 * ISO 13616: the first four characters moved to the end, letters as 10 to 35,
 * the whole number modulo 97 is 1.  Blanks are for reading and do not count.
 */
bool
saga_invoice_iban_valid(const char *text)
{
	char		iban[35];
	int			n = 0;
	int			remainder = 0;
	int			i;

	for (; *text; text++)
	{
		if (scanner_isspace(*text))
			continue;
		if (n == sizeof(iban) - 1 || IS_HIGHBIT_SET(*text) || !isalnum((unsigned char) *text))
			return false;
		iban[n++] = *text;
	}
	if (n < 15 ||
		iban[0] < 'A' || iban[0] > 'Z' || iban[1] < 'A' || iban[1] > 'Z' ||
		!isdigit((unsigned char) iban[2]) || !isdigit((unsigned char) iban[3]))
		return false;
	for (i = 0; i < n; i++)
	{
		char		c = pg_ascii_toupper((unsigned char) iban[(i + 4) % n]);

		if (isdigit((unsigned char) c))
			remainder = (remainder * 10 + (c - '0')) % 97;
		else
			remainder = (remainder * 100 + (c - 'A' + 10)) % 97;
	}
	return remainder == 1;
}

/* YYYY-MM-DD, a day of the calendar: yyyymmdd, else 0. */
int
saga_invoice_day_parse(const char *text)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int			part[3] = {0, 0, 0};
	int			i;
	int			last;

	for (i = 0; i < 10; i++)
	{
		if (i == 4 || i == 7)
		{
			if (text[i] != '-')
				return 0;
		}
		else if (!isdigit((unsigned char) text[i]))
			return 0;
		else
			part[i < 4 ? 0 : i < 7 ? 1 : 2] = part[i < 4 ? 0 : i < 7 ? 1 : 2] * 10 + (text[i] - '0');
	}
	if (text[10] != '\0' || part[0] < 1 || part[1] < 1 || part[1] > 12)
		return 0;
	last = days[part[1] - 1];
	if (part[1] == 2 && part[0] % 4 == 0 && (part[0] % 100 != 0 || part[0] % 400 == 0))
		last = 29;
	if (part[2] < 1 || part[2] > last)
		return 0;
	return part[0] * 10000 + part[1] * 100 + part[2];
}
