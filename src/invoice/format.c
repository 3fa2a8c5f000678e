/*
 * format.c
 *		Invoices in any shape: a sender's document becomes ours by an expression
 *		of JSONata.
 *
 * What an expression gives depends on the document alone, so that it can be
 * evaluated again, over the document that was kept, when somebody has to be
 * told which of the sender's members a violated rule is about.  Amounts are
 * decimals, which keep their digits.  JSONata works on UTF-8.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "common/compat.h"
#include "invoice/submit_private.h"
#include "jsonata/call_site.h"

/* A quarter of a second's work; the clock is for a machine that is far too slow for that. */
#define MAX_STEPS			5000000
#define MAX_MILLISECONDS	30000
#define MAX_BYTES			((Size) 256 * 1024 * 1024)

/* A longer place in a sender's document is not told. */
#define MAX_PLACE_BYTES		1000

PG_FUNCTION_INFO_V1(saga_invoice_format_check);
PG_FUNCTION_INFO_V1(saga_invoice_format_document);
PG_FUNCTION_INFO_V1(saga_invoice_sender_places);

static const SagaJsonataOptions options = {
	.decimal = true,
	.money = true,
	.immutable = true,
	.limits = {.steps = MAX_STEPS, .milliseconds = MAX_MILLISECONDS, .bytes = MAX_BYTES}
};

/* A text in UTF-8, without a copy where the database is. */
typedef struct Utf8
{
	const char *text;
	int			len;
} Utf8;

static Utf8
get_utf8(FunctionCallInfo fcinfo, int arg)
{
	text	   *value = PG_GETARG_TEXT_PP(arg);
	Utf8		result = {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};
	char	   *converted = pg_server_to_any(result.text, result.len, PG_UTF8);

	if (converted != result.text)
	{
		result.text = converted;
		result.len = strlen(converted);
	}
	return result;
}

/* $eval would let a sender's document be an expression. */
static void
refuse_eval(void *arg, const SagaJsonataMention *mention)
{
	SagaJsonataFault *fault = arg;

	if (strcmp(mention->name, "eval") != 0)
		return;
	strlcpy(fault->code, "T1006", sizeof(fault->code));
	fault->position = mention->position;
	fault->message = pstrdup("$eval is not there in a format");
}

/* invoice_format_check(expression): raises for what is no expression, or names what there is not. */
Datum
saga_invoice_format_check(PG_FUNCTION_ARGS)
{
	Utf8		expression = get_utf8(fcinfo, 0);
	SagaJsonata *compiled = saga_jsonata_at_call_site(fcinfo->flinfo, expression.text, expression.len, &options);
	SagaJsonataFault fault = {{0}};

	saga_jsonata_mentions(compiled, refuse_eval, &fault);
	if (fault.code[0] != '\0')
		saga_jsonata_raise(&fault, expression.text, expression.len, NULL, NULL, NULL);
	PG_RETURN_VOID();
}

/* In the encoding of the database; raises for a character that it does not have. */
static text *
to_server(const char *utf8, int len)
{
	char	   *converted = pg_any_to_server(utf8, len, PG_UTF8);

	return cstring_to_text_with_len(converted, converted == utf8 ? len : strlen(converted));
}

/* Names are the sender's, and may be as long as his document. */
static bool
is_told(const SagaJsonataOrigin *origin)
{
	return origin->place != NULL && origin->place[0] != '\0' && strlen(origin->place) <= MAX_PLACE_BYTES;
}

/* What a person is told of a place in the invoice; NULL: there is nothing to tell. */
static char *
note_of(const SagaJsonataOrigin *origin)
{
	bool		somewhere = is_told(origin);

	if (origin->missing && somewhere)
		return origin->within ? psprintf("the format makes no such member; sender: within %s", origin->place) :
			psprintf("the sender has no %s", origin->place);
	if (origin->missing)
		return pstrdup("the format makes no such member");
	if (!somewhere)
		return NULL;
	return psprintf("sender: %s%s", origin->within ? "within " : "", origin->place);
}

/* In the encoding of the database; NULL for NULL. */
static char *
note_to_server(char *note)
{
	return note == NULL ? NULL : pg_any_to_server(note, strlen(note), PG_UTF8);
}

/* It is evaluated once more to find out which of the sender's members the fault is about. */
static void
raise_fault(const SagaJsonataFault *fault, Utf8 expression, const SagaJsonata *compiled, Utf8 original, const char *format)
{
	SagaJsonataFault again = {{0}};
	SagaJsonataOrigin origin = {0};
	StringInfoData out;
	bool		defined;

	/* not of a limit, which it would meet somewhere else */
	if (fault->code[0] != 'U')
	{
		initStringInfo(&out);
		(void) saga_jsonata_eval_traced(compiled, original.text, original.len, &options, NULL, 0, &out, &defined, &origin, &again);
		if (strcmp(again.code, fault->code) != 0 || again.position != fault->position)
			origin.place = NULL;
	}
	saga_jsonata_raise(fault, expression.text, expression.len, psprintf("format \"%s\"", format),
					   note_to_server(note_of(&origin)), NULL);
}

/* An invoice that nobody can track: it says what became of the member. */
static void
raise_lacking(const SagaJsonata *compiled, Utf8 original, const char *lacks, const char *format)
{
	SagaJsonataFault fault = {{0}};
	SagaJsonataOrigin origin = {0};
	StringInfoData out;
	const char *part = psprintf("/%s", lacks);
	char	   *note = NULL;
	bool		defined;

	initStringInfo(&out);
	if (saga_jsonata_eval_traced(compiled, original.text, original.len, &options, &part, 1, &out, &defined, &origin, &fault))
		note = note_of(&origin);
	note = note_to_server(note);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("format \"%s\" gives the invoice no %s", format, lacks),
			 note != NULL ? errdetail("At %s of the invoice: %s.", part, note) : 0,
			 strcmp(lacks, "number") == 0 ? errhint("Its expression has to make \"number\", a text or number that is not empty.") :
			 errhint("Its expression has to make \"seller\" with at least one of \"vat_id\", \"legal_registration_id\", \"ids\" and \"name\".")));
}

/* What the expression gives has to be one object. */
static void
check_made(const StringInfo made, bool defined, const char *format)
{
	if (!defined)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("format \"%s\" makes nothing of the document", format),
				 errhint("It may be a document of another format.")));
	if (made->data[0] == '[')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("format \"%s\" makes an array of the document", format),
				 errhint("A format makes one invoice of one document: submit the parts of this one, each by itself or with invoice_submit_batch.")));
	if (made->data[0] != '{')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("format \"%s\" does not make a JSON object of the document", format),
				 errhint("An invoice is {\"number\": ..., \"seller\": {...}, ...}.")));
}

/*
 * invoice_format_document(expression, original, format, complete): the invoice
 * that the expression makes of a sender's document.  The name of the format is
 * for messages.  complete: it must have what invoice_submit() needs.
 */
Datum
saga_invoice_format_document(PG_FUNCTION_ARGS)
{
	Utf8		expression = get_utf8(fcinfo, 0);
	Utf8		original = get_utf8(fcinfo, 1);
	char	   *format = text_to_cstring(PG_GETARG_TEXT_PP(2));
	SagaJsonata *compiled = saga_jsonata_at_call_site(fcinfo->flinfo, expression.text, expression.len, &options);
	SagaJsonataFault fault = {{0}};
	StringInfoData made;
	const char *lacks;
	bool		defined;

	saga_invoice_check_size(original.len);
	initStringInfo(&made);
	if (!saga_jsonata_eval_json(compiled, original.text, original.len, &options, &made, &defined, &fault))
		raise_fault(&fault, expression, compiled, original, format);
	check_made(&made, defined, format);
	lacks = PG_GETARG_BOOL(3) ? saga_invoice_lacks(made.data, made.len) : NULL;
	if (lacks != NULL)
		raise_lacking(compiled, original, lacks, format);
	PG_RETURN_TEXT_P(to_server(made.data, made.len));
}

/* The same, and NULL instead of an error. */
static text *
to_server_if_possible(const char *utf8, int len)
{
	int			encoding = GetDatabaseEncoding();
	Oid			conversion;
	char	   *converted;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return cstring_to_text_with_len(utf8, len);
	conversion = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(conversion) || (Size) len >= MaxAllocSize / MAX_CONVERSION_GROWTH)
		return NULL;
	converted = palloc((Size) len * MAX_CONVERSION_GROWTH + 1);
	if (pg_do_encoding_conversion_buf(conversion, PG_UTF8, encoding, (unsigned char *) unconstify(char *, utf8), len,
									  (unsigned char *) converted, len * MAX_CONVERSION_GROWTH + 1, true) != len)
		return NULL;
	return cstring_to_text(converted);
}

/* The places in an array of texts, none of which may be NULL; "" is that of the whole. */
static const char **
get_parts(ArrayType *array, int *nparts)
{
	const char **parts;
	Datum	   *elems;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elems, NULL, nparts);
	parts = palloc((*nparts + 1) * sizeof(char *));
	for (int i = 0; i < *nparts; i++)
	{
		char	   *place = TextDatumGetCString(elems[i]);

		parts[i] = pg_server_to_any(place, strlen(place), PG_UTF8);
	}
	return parts;
}

static Datum
make_texts(Datum *texts, bool *nulls, int n)
{
	int			lower = 1;

	return PointerGetDatum(construct_md_array(texts, nulls, 1, &n, &lower, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * invoice_sender_places(expression, original, document, locations, OUT
 * senders, OUT notes): for each place in the invoice that a violated rule is
 * about the place in the sender's document, and both in words.  Where nothing
 * is known it is NULL; so is everything when the expression does not make this
 * document, which a person has corrected then.  Does not raise for what the
 * documents hold: it is called when something is wrong already.
 */
Datum
saga_invoice_sender_places(PG_FUNCTION_ARGS)
{
	Utf8		expression = get_utf8(fcinfo, 0);
	Utf8		original = get_utf8(fcinfo, 1);
	Utf8		document = get_utf8(fcinfo, 2);
	SagaJsonata *compiled = saga_jsonata_at_call_site(fcinfo->flinfo, expression.text, expression.len, &options);
	SagaJsonataFault fault = {{0}};
	SagaJsonataOrigin *origins;
	StringInfoData made;
	TupleDesc	tupdesc;
	const char **parts;
	int			nparts;
	bool		known;
	Datum		values[2];
	bool		nulls[2] = {false};
	Datum	   *texts;
	bool	   *missing;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	parts = get_parts(PG_GETARG_ARRAYTYPE_P(3), &nparts);
	origins = palloc0((nparts + 1) * sizeof(SagaJsonataOrigin));
	texts = palloc0((nparts + 1) * 2 * sizeof(Datum));
	missing = palloc0((nparts + 1) * 2 * sizeof(bool));
	initStringInfo(&made);
	if (!saga_jsonata_eval_traced(compiled, original.text, original.len, &options, parts, nparts, &made, &known, origins, &fault))
		known = false;
	known = known && made.len == document.len && memcmp(made.data, document.text, made.len) == 0;
	for (int i = 0; i < nparts; i++)
	{
		/* of all of it there is no place to tell */
		char	   *note = known && parts[i][0] != '\0' ? note_of(&origins[i]) : NULL;
		char	   *place = note != NULL && is_told(&origins[i]) ? origins[i].place : NULL;
		text	   *note_text = note == NULL ? NULL : to_server_if_possible(note, strlen(note));
		text	   *place_text = place == NULL || note_text == NULL ? NULL : to_server_if_possible(place, strlen(place));

		missing[i] = place_text == NULL;
		texts[i] = PointerGetDatum(place_text);
		missing[nparts + i] = note_text == NULL;
		texts[nparts + i] = PointerGetDatum(note_text);
	}
	values[0] = make_texts(texts, missing, nparts);
	values[1] = make_texts(texts + nparts, missing + nparts, nparts);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls)));
}
