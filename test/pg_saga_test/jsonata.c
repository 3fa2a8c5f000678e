/*
 * jsonata.c
 *		What JSONata's functions do with texts, numbers and times.
 *
 * A call is an array: the name of the function and its arguments, where a
 * regular expression is {"regex": "a+", "flags": "i"}.  What it gives is as the
 * reference gives it; a fault is {"code": "D3130"}.
 */
#include "fake.h"

#include <math.h>

#include "fmgr.h"
#include "jsonata/text_private.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define MAX_ARGS	6

typedef struct Call
{
	JsonbValue	args[MAX_ARGS];
	int			nargs;
	StringInfoData out;			/* a text, by most functions */
	SagaJsonataFault fault;
	int64		work;
	SagaJsonataWork charge;
} Call;

/* ---------- arguments ---------- */

static bool
has_arg(Call *call, int i)
{
	return i < call->nargs && call->args[i].type != jbvNull;
}

static SagaJsonataSlice
text_arg(Call *call, int i)
{
	SagaJsonataSlice text = {NULL, 0};

	if (!has_arg(call, i))
		return text;
	if (call->args[i].type != jbvString)
		elog(ERROR, "argument %d must be a text", i);
	text.s = call->args[i].val.string.val;
	text.len = call->args[i].val.string.len;
	return text;
}

static double
number_arg(Call *call, int i, double otherwise)
{
	if (!has_arg(call, i))
		return otherwise;
	if (call->args[i].type != jbvNumeric)
		elog(ERROR, "argument %d must be a number", i);
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(call->args[i].val.numeric)));
}

/* NULL: a text. */
static SagaJsonataRegex *
regex_arg(Call *call, int i)
{
	JsonbContainer *object;
	char	   *pattern;

	if (!has_arg(call, i) || call->args[i].type != jbvBinary)
		return NULL;
	object = call->args[i].val.binary.data;
	pattern = fake_text(object, "regex");
	return saga_jsonata_regex_compile(pattern, strlen(pattern), fake_has(object, "flags") ? fake_text(object, "flags") : "",
									  &call->fault);
}

static bool
count_work(void *arg, int64 steps)
{
	*(int64 *) arg += steps;
	return true;
}

/* ---------- results ---------- */

static void
put_text(StringInfo json, const char *s, int len)
{
	escape_json(json, pnstrdup(s, len));
}

static bool
put_number(StringInfo json, double number)
{
	char		text[SAGA_JSONATA_NUMBER_TEXT];

	saga_jsonata_number_text(number, text);
	appendStringInfoString(json, isfinite(number) ? text : "null");
	return true;
}

static bool
put_match(Call *call, StringInfo json, const SagaJsonataMatch *match, const char *subject)
{
	appendStringInfoString(json, "{\"match\": ");
	put_text(json, subject + match->start, match->end - match->start);
	appendStringInfo(json, ", \"index\": %d, \"groups\": [", saga_jsonata_utf16_length(subject, match->start));
	for (int i = 0; i < match->ngroups; i++)
	{
		appendStringInfoString(json, i > 0 ? ", " : "");
		if (match->groups[i].s == NULL)
			appendStringInfoString(json, "null");
		else
			put_text(json, match->groups[i].s, match->groups[i].len);
	}
	appendStringInfoString(json, "]}");
	return true;
}

/* ---------- functions: they write JSON, or a text into call->out ---------- */

static bool
do_string(Call *call, StringInfo json)
{
	char		text[SAGA_JSONATA_NUMBER_TEXT];

	saga_jsonata_number_text(saga_jsonata_fifteen_digits(number_arg(call, 0, 0)), text);
	appendStringInfoString(&call->out, text);
	return true;
}

static bool
do_number(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);
	double		number;

	if (!saga_jsonata_parse_number(s.s, s.len, &number))
		return saga_jsonata_fault(&call->fault, "D3030", "no number");
	return put_number(json, number);
}

static bool
do_round(Call *call, StringInfo json)
{
	return put_number(json, saga_jsonata_round(number_arg(call, 0, 0), (int) number_arg(call, 1, 0)));
}

static bool
do_format_base(Call *call, StringInfo json)
{
	return saga_jsonata_format_base(number_arg(call, 0, 0), number_arg(call, 1, 10), &call->out, &call->fault);
}

static void
take_symbols(Call *call, int i, SagaJsonataSymbols *symbols)
{
	JsonbIterator *it;
	JsonbValue	v;
	JsonbIteratorToken token;
	int			symbol = -1;

	saga_jsonata_default_symbols(symbols);
	if (!has_arg(call, i))
		return;
	it = JsonbIteratorInit(call->args[i].val.binary.data);
	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			symbol = saga_jsonata_symbol(v.val.string.val, v.val.string.len);
		else if (token == WJB_VALUE && symbol >= 0)
		{
			symbols->symbols[symbol].s = v.val.string.val;
			symbols->symbols[symbol].len = v.val.string.len;
		}
	}
}

static bool
do_format_number(Call *call, StringInfo json)
{
	SagaJsonataSlice picture = text_arg(call, 1);
	SagaJsonataSymbols symbols;

	take_symbols(call, 2, &symbols);
	return saga_jsonata_format_number(number_arg(call, 0, 0), picture.s, picture.len, &symbols, &call->out, &call->fault);
}

static bool
do_format_numeric(Call *call, StringInfo json)
{
	SagaJsonataSlice picture = text_arg(call, 1);
	SagaJsonataSymbols symbols;

	take_symbols(call, 2, &symbols);
	return saga_jsonata_format_numeric(call->args[0].val.numeric, picture.s, picture.len, &symbols, &call->out, &call->fault);
}

static bool
do_format_integer(Call *call, StringInfo json)
{
	SagaJsonataSlice picture = text_arg(call, 1);

	return saga_jsonata_format_integer(number_arg(call, 0, 0), picture.s, picture.len, &call->out, &call->fault);
}

static bool
do_format_integer_numeric(Call *call, StringInfo json)
{
	SagaJsonataSlice picture = text_arg(call, 1);

	return saga_jsonata_format_integer_numeric(call->args[0].val.numeric, picture.s, picture.len, &call->out, &call->fault);
}

static bool
do_parse_integer(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);
	SagaJsonataSlice picture = text_arg(call, 1);
	double		number;

	return saga_jsonata_parse_integer(s.s, s.len, picture.s, picture.len, &number, &call->fault) && put_number(json, number);
}

static bool
do_from_millis(Call *call, StringInfo json)
{
	SagaJsonataSlice picture = text_arg(call, 1);
	SagaJsonataSlice zone = text_arg(call, 2);

	return saga_jsonata_format_datetime(number_arg(call, 0, 0), picture.s, picture.len, zone.s, zone.len, &call->out, &call->fault);
}

/* The third argument is the time that it is. */
static bool
do_to_millis(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);
	SagaJsonataSlice picture = text_arg(call, 1);
	double		millis;
	bool		matched;

	return saga_jsonata_parse_datetime(s.s, s.len, picture.s, picture.len, number_arg(call, 2, 0), &call->charge, &millis,
									   &matched, &call->fault) &&
		put_number(json, matched ? millis : NAN);
}

static bool
do_match(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);
	SagaJsonataRegex *regex = regex_arg(call, 1);
	SagaJsonataMatch match;
	bool		matched;
	double		limit = number_arg(call, 2, SAGA_JSONATA_NO_LIMIT);

	if (regex == NULL || !saga_jsonata_regex_exec(regex, s.s, s.len, 0, &call->charge, &match, &matched, &call->fault))
		return false;
	appendStringInfoChar(json, '[');
	for (int n = 0; matched && (limit == SAGA_JSONATA_NO_LIMIT || n < limit); n++)
	{
		appendStringInfoString(json, n > 0 ? ", " : "");
		put_match(call, json, &match, s.s);
		if (!saga_jsonata_regex_next(regex, s.s, s.len, &call->charge, &match, &matched, &call->fault))
			return false;
	}
	appendStringInfoChar(json, ']');
	return true;
}

static bool
do_contains(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);
	SagaJsonataRegex *regex = regex_arg(call, 1);
	SagaJsonataMatch match;
	bool		matched;

	if (call->fault.code[0] != '\0')
		return false;
	if (regex == NULL)
		matched = saga_jsonata_find(s.s, s.len, text_arg(call, 1).s, text_arg(call, 1).len, 0) >= 0;
	else if (!saga_jsonata_regex_exec(regex, s.s, s.len, 0, &call->charge, &match, &matched, &call->fault))
		return false;
	appendStringInfoString(json, matched ? "true" : "false");
	return true;
}

static bool
do_split(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);
	SagaJsonataRegex *regex = regex_arg(call, 1);
	SagaJsonataSlice separator = {NULL, 0};
	SagaJsonataSlice *parts;
	int			n;

	if (call->fault.code[0] != '\0')
		return false;
	if (regex == NULL)
		separator = text_arg(call, 1);
	if (!saga_jsonata_split(s.s, s.len, regex == NULL ? &separator : NULL, regex, number_arg(call, 2, SAGA_JSONATA_NO_LIMIT),
							&call->charge, &parts, &n, &call->fault))
		return false;
	appendStringInfoChar(json, '[');
	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(json, i > 0 ? ", " : "");
		put_text(json, parts[i].s, parts[i].len);
	}
	appendStringInfoChar(json, ']');
	return true;
}

static bool
do_replace(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);
	SagaJsonataRegex *regex = regex_arg(call, 1);
	SagaJsonataSlice pattern = {NULL, 0};
	SagaJsonataSlice replacement = text_arg(call, 2);

	if (call->fault.code[0] != '\0')
		return false;
	if (regex == NULL)
		pattern = text_arg(call, 1);
	return saga_jsonata_replace(s.s, s.len, regex == NULL ? &pattern : NULL, regex, replacement.s, replacement.len,
								number_arg(call, 3, SAGA_JSONATA_NO_LIMIT), &call->charge, &call->out, &call->fault);
}

static bool
do_length(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);

	return put_number(json, saga_jsonata_length(s.s, s.len));
}

/* Whether the first text comes before the other one: -1, 0 or 1. */
static bool
do_compare(Call *call, StringInfo json)
{
	SagaJsonataSlice a = text_arg(call, 0);
	SagaJsonataSlice b = text_arg(call, 1);

	return put_number(json, saga_jsonata_compare(a.s, a.len, b.s, b.len));
}

static bool
do_substring(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);

	s = saga_jsonata_substring(s.s, s.len, number_arg(call, 1, 0), number_arg(call, 2, NAN));
	appendBinaryStringInfo(&call->out, s.s, s.len);
	return true;
}

static bool
do_pad(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);
	SagaJsonataSlice fill = text_arg(call, 2);

	return saga_jsonata_pad(s.s, s.len, number_arg(call, 1, 0), fill.s, fill.len, &call->charge, &call->out, &call->fault);
}

static bool
do_trim(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);

	saga_jsonata_trim(s.s, s.len, &call->out);
	return true;
}

static bool
do_uppercase(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);

	return saga_jsonata_change_case(s.s, s.len, true, &call->out, &call->fault);
}

static bool
do_lowercase(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);

	return saga_jsonata_change_case(s.s, s.len, false, &call->out, &call->fault);
}

static bool
do_base64encode(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);

	saga_jsonata_base64_encode(s.s, s.len, &call->out);
	return true;
}

static bool
do_base64decode(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);

	saga_jsonata_base64_decode(s.s, s.len, &call->out);
	return true;
}

static bool
do_encode_component(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);

	return saga_jsonata_encode_url(s.s, s.len, true, &call->out, &call->fault);
}

static bool
do_encode_url(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);

	return saga_jsonata_encode_url(s.s, s.len, false, &call->out, &call->fault);
}

static bool
do_decode_component(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);

	return saga_jsonata_decode_url(s.s, s.len, true, &call->out, &call->fault);
}

static bool
do_decode_url(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);

	return saga_jsonata_decode_url(s.s, s.len, false, &call->out, &call->fault);
}

static bool
do_hash(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);
	SagaJsonataSlice algorithm = text_arg(call, 1);

	return saga_jsonata_hash(s.s, s.len, algorithm.s, algorithm.len, &call->out, &call->fault);
}

/* So many numbers of a seed. */
static bool
do_random(Call *call, StringInfo json)
{
	uint64		state = saga_jsonata_random_seed(number_arg(call, 0, 0));

	appendStringInfoChar(json, '[');
	for (int i = 0; i < number_arg(call, 1, 1); i++)
	{
		appendStringInfoString(json, i > 0 ? ", " : "");
		put_number(json, saga_jsonata_random(&state));
	}
	appendStringInfoChar(json, ']');
	return true;
}

/* Of bytes that are all the same. */
static bool
do_uuid(Call *call, StringInfo json)
{
	uint8		random[16];

	memset(random, (int) number_arg(call, 0, 0), sizeof(random));
	saga_jsonata_uuid(random, &call->out);
	return true;
}

static bool
do_numeric_text(Call *call, StringInfo json)
{
	appendStringInfoString(&call->out, saga_jsonata_numeric_text(call->args[0].val.numeric));
	return true;
}

static bool
do_parse_numeric(Call *call, StringInfo json)
{
	SagaJsonataSlice s = text_arg(call, 0);
	Numeric		number;

	if (!saga_jsonata_parse_numeric(s.s, s.len, &number))
		return saga_jsonata_fault(&call->fault, "D3030", "no number");
	appendStringInfoString(json, DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number))));
	return true;
}

static bool
do_round_numeric(Call *call, StringInfo json)
{
	Numeric		number = saga_jsonata_round_numeric(call->args[0].val.numeric, (int) number_arg(call, 1, 0));

	appendStringInfoString(json, DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number))));
	return true;
}

static const struct
{
	const char *name;
	bool		(*run) (Call *call, StringInfo json);
}			functions[] =

{
	{"string", do_string}, {"number", do_number}, {"round", do_round}, {"formatBase", do_format_base},
	{"formatNumber", do_format_number}, {"formatInteger", do_format_integer}, {"parseInteger", do_parse_integer},
	{"fromMillis", do_from_millis}, {"toMillis", do_to_millis}, {"match", do_match}, {"contains", do_contains},
	{"split", do_split}, {"replace", do_replace}, {"length", do_length}, {"substring", do_substring}, {"pad", do_pad},
	{"trim", do_trim}, {"uppercase", do_uppercase}, {"lowercase", do_lowercase}, {"base64encode", do_base64encode},
	{"base64decode", do_base64decode}, {"encodeUrlComponent", do_encode_component}, {"encodeUrl", do_encode_url},
	{"decodeUrlComponent", do_decode_component}, {"decodeUrl", do_decode_url},
	/* the reference does not have these */
	{"compare", do_compare}, {"hash", do_hash}, {"random", do_random}, {"uuid", do_uuid}, {"numericText", do_numeric_text},
	{"parseNumeric", do_parse_numeric}, {"roundNumeric", do_round_numeric}, {"formatNumeric", do_format_numeric},
	{"formatIntegerNumeric", do_format_integer_numeric},
};

PG_FUNCTION_INFO_V1(saga_test_jsonata);

Datum
saga_test_jsonata(PG_FUNCTION_ARGS)
{
	JsonbContainer *array = &PG_GETARG_JSONB_P(0)->root;
	int			n = JsonContainerSize(array);
	JsonbValue *name = getIthJsonbValueFromContainer(array, 0);
	Call		call = {0};
	StringInfoData json;

	initStringInfo(&json);
	initStringInfo(&call.out);
	call.charge.charge = count_work;
	call.charge.arg = &call.work;
	for (call.nargs = 0; call.nargs < n - 1; call.nargs++)
		call.args[call.nargs] = *getIthJsonbValueFromContainer(array, call.nargs + 1);
	for (int i = 0; i < lengthof(functions); i++)
	{
		if (strlen(functions[i].name) != name->val.string.len ||
			memcmp(functions[i].name, name->val.string.val, name->val.string.len) != 0)
			continue;
		if (functions[i].run(&call, &json))
		{
			if (json.len == 0)
				put_text(&json, call.out.data, call.out.len);
		}
		else
		{
			if (call.fault.code[0] == '\0' || call.fault.message == NULL)
				elog(ERROR, "%s failed without a fault", functions[i].name);
			resetStringInfo(&json);
			appendStringInfo(&json, "{\"code\": \"%s\"}", call.fault.code);
		}
		return fake_result(&json);
	}
	elog(ERROR, "there is no such function");
}
