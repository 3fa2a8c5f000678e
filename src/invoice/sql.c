/*
 * sql.c
 *		The SQL functions: validate, calculate, check, and the code lists.
 *
 * Each function reads and checks the document anew, in the caller's context:
 * nothing is kept between calls.  Amounts leave as text with the decimals of
 * the currency, because many a reader of JSON would lose them in a number.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/jsonb.h"

#include "invoice/decimal_private.h"
#include "value/doc.h"

/* How many rows of one rule are kept: by invoice_check, whose verdict is stored, and by invoice_validate. */
#define CHECK_ROWS_PER_RULE 100
#define VALIDATE_ROWS_PER_RULE 50000

PG_FUNCTION_INFO_V1(saga_invoice_validate);
PG_FUNCTION_INFO_V1(saga_invoice_calculate);
PG_FUNCTION_INFO_V1(saga_invoice_check);
PG_FUNCTION_INFO_V1(saga_invoice_storable);
PG_FUNCTION_INFO_V1(saga_invoice_codes);
PG_FUNCTION_INFO_V1(saga_invoice_is_credit_note);

/* Reads and computes; false: not a JSON object, or too long to look at. */
static bool
start_check(SagaCheck *check, SagaReport *report, Datum json, int per_rule)
{
	text	   *document;

	memset(check, 0, sizeof(*check));
	saga_report_init(report, per_rule);
	check->report = report;
	if (toast_raw_datum_size(json) - VARHDRSZ > SAGA_INVOICE_MAX_BYTES)
	{
		report->unstorable = true;
		saga_report(report, "INV-FORM", SAGA_FATAL, "", "found %zu bytes, expected at most %d",
					(size_t) (toast_raw_datum_size(json) - VARHDRSZ), SAGA_INVOICE_MAX_BYTES);
		return false;
	}
	document = DatumGetTextPP(json);
	check->doc = saga_invoice_read(VARDATA_ANY(document), VARSIZE_ANY_EXHDR(document), report);
	if (check->doc == NULL)
		return false;
	saga_invoice_compute(check);
	return true;
}

/* Everything violated, in the order of the report. */
static bool
run_check(SagaCheck *check, SagaReport *report, Datum json, int per_rule)
{
	bool		computed = start_check(check, report, json, per_rule);

	if (computed)
	{
		saga_rules_header(check);
		saga_rules_parties(check);
		saga_rules_payment(check);
		saga_rules_allowances(check);
		saga_rules_lines(check);
		saga_rules_breakdown(check);
		saga_rules_sums(check);
		saga_rules_vat(check);
	}
	saga_report_finish(report);
	return computed;
}

/* ---------- jsonb ---------- */

/* Rounded to the minor unit of the currency. */
static void
push_amount(JsonbParseState **state, const SagaCheck *check, const char *name, Numeric amount)
{
	saga_doc_push_string(state, name, dec_text(dec_round(amount, check->decimals)));
}

/* The figures as one object. */
static JsonbValue *
push_result(JsonbParseState **state, const SagaCheck *check)
{
	const SagaList *lines = &check->doc->lines;
	int			i;

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_amount(state, check, "line_total", check->line_total);
	push_amount(state, check, "allowance_total", check->allowance_total);
	push_amount(state, check, "charge_total", check->charge_total);
	push_amount(state, check, "tax_exclusive", check->tax_exclusive);
	push_amount(state, check, "tax_total", check->tax_total);
	push_amount(state, check, "tax_inclusive", check->tax_inclusive);
	push_amount(state, check, "prepaid", check->prepaid);
	push_amount(state, check, "rounding", check->rounding);
	push_amount(state, check, "payable", check->payable);

	saga_jsonb_push_key(state, "lines");
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (i = 0; i < lines->n; i++)
	{
		Numeric		net = SAGA_ITEM(SagaLine, lines, i)->net;

		saga_jsonb_push_string(state, WJB_ELEM, dec_text(dec_round(net ? net : check->zero, check->decimals)));
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);

	saga_jsonb_push_key(state, "vat_breakdown");
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (i = 0; i < check->ngroups; i++)
	{
		const SagaVatGroup *group = check->groups[i];

		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		saga_doc_push_string(state, "category", saga_vat_code(group->category));
		if (group->rate)
			saga_doc_push_string(state, "rate", dec_text(dec_trim(group->rate)));
		push_amount(state, check, "taxable_amount", group->base);
		push_amount(state, check, "tax_amount", group->tax);
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
	return pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* The report as an array, in its order. */
static void
push_findings(JsonbParseState **state, const SagaReport *report)
{
	int			i;

	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (i = 0; i < report->nfindings; i++)
	{
		const SagaFinding *finding = &report->findings[i];

		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		saga_doc_push_string(state, "rule", finding->rule);
		saga_doc_push_string(state, "level", saga_report_level_name(finding->level));
		saga_doc_push_string(state, "location", finding->location);
		saga_doc_push_string(state, "message", finding->message);
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* invoice_calculate(json): the figures; NULL when the document is not an object. */
Datum
saga_invoice_calculate(PG_FUNCTION_ARGS)
{
	JsonbParseState *state = NULL;
	SagaCheck	check;
	SagaReport	report;

	if (!start_check(&check, &report, PG_GETARG_DATUM(0), 1))
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(JsonbValueToJsonb(push_result(&state, &check)));
}

/*
 * invoice_check(json): {"rules": [...], "fatal": bool, "warnings": [ids],
 * "totals": figures, or null when a fatal rule is violated}.
 */
Datum
saga_invoice_check(PG_FUNCTION_ARGS)
{
	JsonbParseState *state = NULL;
	JsonbValue	jbv;
	SagaCheck	check;
	SagaReport	report;
	bool		computed;
	int			i;

	computed = run_check(&check, &report, PG_GETARG_DATUM(0), CHECK_ROWS_PER_RULE);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	saga_jsonb_push_key(&state, "rules");
	push_findings(&state, &report);

	saga_jsonb_push_key(&state, "fatal");
	jbv.type = jbvBool;
	jbv.val.boolean = report.fatal;
	pushJsonbValue(&state, WJB_VALUE, &jbv);

	saga_jsonb_push_key(&state, "warnings");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (i = 0; i < report.nrules; i++)
	{
		if (report.rules[i].level == SAGA_WARNING)
			saga_jsonb_push_string(&state, WJB_ELEM, report.rules[i].rule);
	}
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);

	saga_jsonb_push_key(&state, "totals");
	if (computed && !report.fatal)
		push_result(&state, &check);
	else
	{
		jbv.type = jbvNull;
		pushJsonbValue(&state, WJB_VALUE, &jbv);
	}
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/* invoice_storable(json): could it be converted to jsonb without an error? */
Datum
saga_invoice_storable(PG_FUNCTION_ARGS)
{
	SagaReport	report;
	SagaCheck	check;

	start_check(&check, &report, PG_GETARG_DATUM(0), 1);
	PG_RETURN_BOOL(!report.unstorable);
}

/* ---------- sets ---------- */

/*
 * The first call of a set-returning function: its row type, blessed, in the
 * memory that lives over all calls.
 */
static FuncCallContext *
start_set(FunctionCallInfo fcinfo)
{
	FuncCallContext *set = SRF_FIRSTCALL_INIT();
	MemoryContext previous = MemoryContextSwitchTo(set->multi_call_memory_ctx);

	if (get_call_result_type(fcinfo, NULL, &set->tuple_desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	set->tuple_desc = BlessTupleDesc(set->tuple_desc);
	MemoryContextSwitchTo(previous);
	return set;
}

/* invoice_validate(json): one row for each place where a rule is violated. */
Datum
saga_invoice_validate(PG_FUNCTION_ARGS)
{
	FuncCallContext *set;
	SagaReport *report;
	const SagaFinding *finding;
	Datum		values[4];
	bool		nulls[4] = {false};

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext previous;
		SagaCheck	check;

		set = start_set(fcinfo);
		previous = MemoryContextSwitchTo(set->multi_call_memory_ctx);
		report = palloc(sizeof(SagaReport));
		run_check(&check, report, PG_GETARG_DATUM(0), VALIDATE_ROWS_PER_RULE);
		set->user_fctx = report;
		MemoryContextSwitchTo(previous);
	}
	set = SRF_PERCALL_SETUP();
	report = set->user_fctx;
	if (set->call_cntr >= report->nfindings)
		SRF_RETURN_DONE(set);

	finding = &report->findings[set->call_cntr];
	values[0] = CStringGetTextDatum(finding->rule);
	values[1] = CStringGetTextDatum(saga_report_level_name(finding->level));
	values[2] = CStringGetTextDatum(finding->location);
	values[3] = CStringGetTextDatum(finding->message);
	SRF_RETURN_NEXT(set, HeapTupleGetDatum(heap_form_tuple(set->tuple_desc, values, nulls)));
}

/* invoice_codes(): the code lists. */
Datum
saga_invoice_codes(PG_FUNCTION_ARGS)
{
	FuncCallContext *set;
	Datum		values[3];
	bool		nulls[3] = {false};
	uint64		i;
	int			list;

	if (SRF_IS_FIRSTCALL())
		start_set(fcinfo);
	set = SRF_PERCALL_SETUP();

	i = set->call_cntr;
	for (list = 0; list < SAGA_CODE_LISTS && i >= saga_codes[list]->n; list++)
		i -= saga_codes[list]->n;
	if (list == SAGA_CODE_LISTS)
		SRF_RETURN_DONE(set);

	values[0] = CStringGetTextDatum(saga_codes[list]->name);
	values[1] = CStringGetTextDatum(saga_codes[list]->codes[i].code);
	values[2] = Int32GetDatum(saga_codes[list]->codes[i].minor_unit);
	nulls[2] = (list != SAGA_CODES_CURRENCY);
	SRF_RETURN_NEXT(set, HeapTupleGetDatum(heap_form_tuple(set->tuple_desc, values, nulls)));
}

/* invoice_is_credit_note(type_code): amounts are positive, the type gives the sign. */
Datum
saga_invoice_is_credit_note(PG_FUNCTION_ARGS)
{
	char	   *code = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(saga_code_find(SAGA_CODES_CREDIT_NOTE, code) != NULL);
}
