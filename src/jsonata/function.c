/*
 * function.c
 *		The functions of the language: their table, and calling one.
 *
 * Signatures are those of the reference implementation.  Each is parsed when
 * it is first needed, once in a process.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "jsonata/function_private.h"

/* More than any signature has. */
#define MAX_ARGS		4

/*
 * Where two have one name, saga_jsonata_builtin_find gives the first, and
 * saga_jsonata_builtin_in_flavour finds the other one.
 */
static const SagaJsonataBuiltin builtins[] = {
	{"$sum", saga_jsonata_fn_sum, "<a<n>:n>", 1},
	{"$count", saga_jsonata_fn_count, "<a:n>", 1},
	{"$max", saga_jsonata_fn_max, "<a<n>:n>", 1},
	{"$min", saga_jsonata_fn_min, "<a<n>:n>", 1},
	{"$average", saga_jsonata_fn_average, "<a<n>:n>", 1},
	{"$string", saga_jsonata_fn_string, "<x-b?:s>", 1},
	{"$substring", saga_jsonata_fn_substring, "<s-nn?:s>", 3},
	{"$substringBefore", saga_jsonata_fn_substring_before, "<s-s:s>", 2},
	{"$substringAfter", saga_jsonata_fn_substring_after, "<s-s:s>", 2},
	{"$lowercase", saga_jsonata_fn_lowercase, "<s-:s>", 1},
	{"$uppercase", saga_jsonata_fn_uppercase, "<s-:s>", 1},
	{"$length", saga_jsonata_fn_length, "<s-:n>", 1},
	{"$trim", saga_jsonata_fn_trim, "<s-:s>", 1},
	{"$pad", saga_jsonata_fn_pad, "<s-ns?:s>", 3},
	{"$match", saga_jsonata_fn_match, "<s-f<s:o>n?:a<o>>", 3},
	{"$contains", saga_jsonata_fn_contains, "<s-(sf):b>", 2},
	{"$replace", saga_jsonata_fn_replace, "<s-(sf)(sf)n?:s>", 4},
	{"$split", saga_jsonata_fn_split, "<s-(sf)n?:a<s>>", 3},
	{"$join", saga_jsonata_fn_join, "<a<s>s?:s>", 2},
	{"$formatNumber", saga_jsonata_fn_format_number, "<n-so?:s>", 3},
	{"$formatBase", saga_jsonata_fn_format_base, "<n-n?:s>", 2},
	{"$formatInteger", saga_jsonata_fn_format_integer, "<n-s:s>", 2},
	{"$parseInteger", saga_jsonata_fn_parse_integer, "<s-s:n>", 2},
	{"$number", saga_jsonata_fn_number, "<(nsb)-:n>", 1},
	{"$floor", saga_jsonata_fn_floor, "<n-:n>", 1},
	{"$ceil", saga_jsonata_fn_ceil, "<n-:n>", 1},
	{"$round", saga_jsonata_fn_round, "<n-n?:n>", 2},
	{"$abs", saga_jsonata_fn_abs, "<n-:n>", 1},
	{"$sqrt", saga_jsonata_fn_sqrt, "<n-:n>", 1},
	{"$power", saga_jsonata_fn_power, "<n-n:n>", 2},
	{"$random", saga_jsonata_fn_random, "<:n>", 0, SAGA_JB_NOT_AWS, true},
	{"$boolean", saga_jsonata_fn_boolean, "<x-:b>", 1},
	{"$not", saga_jsonata_fn_not, "<x-:b>", 1},
	{"$map", saga_jsonata_fn_map, "<af>", 2},
	{"$zip", saga_jsonata_fn_zip, "<a+>", 0},
	{"$filter", saga_jsonata_fn_filter, "<af>", 2},
	{"$single", saga_jsonata_fn_single, "<af?>", 2},
	{"$reduce", saga_jsonata_fn_reduce, "<afj?:j>", 3},
	{"$sift", saga_jsonata_fn_sift, "<o-f?:o>", 2},
	{"$keys", saga_jsonata_fn_keys, "<x-:a<s>>", 1},
	{"$lookup", saga_jsonata_fn_lookup, "<x-s:x>", 2},
	{"$append", saga_jsonata_fn_append, "<xx:a>", 2},
	{"$exists", saga_jsonata_fn_exists, "<x:b>", 1},
	{"$spread", saga_jsonata_fn_spread, "<x-:a<o>>", 1},
	{"$merge", saga_jsonata_fn_merge, "<a<o>:o>", 1},
	{"$reverse", saga_jsonata_fn_reverse, "<a:a>", 1},
	{"$each", saga_jsonata_fn_each, "<o-f:a>", 2},
	{"$error", saga_jsonata_fn_error, "<s?:x>", 1},
	{"$assert", saga_jsonata_fn_assert, "<bs?:x>", 2},
	{"$type", saga_jsonata_fn_type, "<x:s>", 1},
	{"$sort", saga_jsonata_fn_sort, "<af?:a>", 2},
	{"$shuffle", saga_jsonata_fn_shuffle, "<a:a>", 1, SAGA_JB_ALL, true},
	{"$distinct", saga_jsonata_fn_distinct, "<x:x>", 1},
	{"$base64encode", saga_jsonata_fn_base64_encode, "<s-:s>", 1},
	{"$base64decode", saga_jsonata_fn_base64_decode, "<s-:s>", 1},
	{"$encodeUrlComponent", saga_jsonata_fn_encode_url_component, "<s-:s>", 1},
	{"$encodeUrl", saga_jsonata_fn_encode_url, "<s-:s>", 1},
	{"$decodeUrlComponent", saga_jsonata_fn_decode_url_component, "<s-:s>", 1},
	{"$decodeUrl", saga_jsonata_fn_decode_url, "<s-:s>", 1},
	{"$eval", saga_jsonata_fn_eval, "<sx?:x>", 2, SAGA_JB_NOT_AWS},
	{"$toMillis", saga_jsonata_fn_to_millis, "<s-s?:n>", 2},
	{"$fromMillis", saga_jsonata_fn_from_millis, "<n-s?s?:s>", 3},
	{"$clone", saga_jsonata_fn_clone, "<(oa)-:o>", 1},
	{"$now", saga_jsonata_fn_now, "<s?s?:s>", 2, SAGA_JB_ALL, true},
	{"$millis", saga_jsonata_fn_millis, "<:n>", 0, SAGA_JB_ALL, true},
	{"$partition", saga_jsonata_fn_partition, "<an:a>", 2, SAGA_JB_AWS},
	{"$range", saga_jsonata_fn_range, "<nnn:a>", 3, SAGA_JB_AWS},
	{"$hash", saga_jsonata_fn_hash, "<s-s:s>", 2, SAGA_JB_AWS},
	{"$random", saga_jsonata_fn_random_seed, "<n?:n>", 1, SAGA_JB_AWS, true},
	{"$uuid", saga_jsonata_fn_uuid, "<:s>", 0, SAGA_JB_AWS, true},
	{"$parse", saga_jsonata_fn_parse, "<s-:x>", 1, SAGA_JB_AWS},
	{"$eval", saga_jsonata_fn_no_eval, "<sx?:x>", 2, SAGA_JB_AWS},
	{"$minor", saga_jsonata_fn_minor, "<(ns)n?:n>", 2, SAGA_JB_MONEY},
	{"$decimal", saga_jsonata_fn_decimal, "<(ns)n?:s>", 2, SAGA_JB_MONEY},
	{"$date", saga_jsonata_fn_date, "<ss:s>", 2, SAGA_JB_MONEY},
};

/* Caches of the process: signatures, and the function that each is as a value. */
static SagaJsonataFunction functions[lengthof(builtins)];

/*
 * The first function of a name, which is given without the "$"; NULL: there is
 * none.  It may belong to the other flavour of the language.
 */
const SagaJsonataBuiltin *
saga_jsonata_builtin_find(const char *name, int len)
{
	for (int i = 0; i < lengthof(builtins); i++)
		if (strncmp(builtins[i].name + 1, name, len) == 0 && builtins[i].name[len + 1] == '\0')
			return &builtins[i];
	return NULL;
}

/* Is a function of this flavour there with these options? */
static bool
has_flavour(const SagaJsonataOptions *options, SagaJsonataFlavour flavour)
{
	switch (flavour)
	{
		case SAGA_JB_AWS:
			return options->aws;
		case SAGA_JB_NOT_AWS:
			return !options->aws;
		case SAGA_JB_MONEY:
			return options->money;
		default:
			return true;
	}
}

/* The one of that name in this flavour of the language; NULL: it has none. */
const SagaJsonataBuiltin *
saga_jsonata_builtin_in_flavour(const SagaJsonataOptions *options, const SagaJsonataBuiltin *builtin)
{
	if (has_flavour(options, builtin->flavour))
		return builtin;
	for (int i = 0; i < lengthof(builtins); i++)
		if (has_flavour(options, builtins[i].flavour) && strcmp(builtins[i].name, builtin->name) == 0)
			return &builtins[i];
	return NULL;
}

/*
 * The function as a value.  It is made when it is first asked for, and stays
 * with its signature in TopMemoryContext.  Nothing changes it, so that all
 * evaluations share it.  The definitions in the table have no faults to be
 * looked at.
 */
static SagaJsonataFunction *
function_of(const SagaJsonataBuiltin *builtin)
{
	SagaJsonataFunction *f = &functions[builtin - builtins];

	if (f->builtin == NULL)
	{
		SagaJsonataFault fault = {{0}};
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		f->signature = saga_jsonata_signature_parse(builtin->definition, strlen(builtin->definition), 0, &fault);
		MemoryContextSwitchTo(old);
		f->kind = SAGA_JF_BUILTIN;
		f->arity = builtin->arity;
		f->builtin = builtin;
	}
	return f;
}

/* After names have come: which of them the language has functions for. */
void
saga_jsonata_find_builtins(SagaJsonataNames *names)
{
	for (int i = 0; i < names->count; i++)
		if (names->symbols[i].builtin == NULL)
			names->symbols[i].builtin = saga_jsonata_builtin_find(names->symbols[i].name, names->symbols[i].len);
}

/* A function of the language is there unless a variable, even an empty one, has its name. */
void
saga_jsonata_variable(SagaJsonataEval *ev, const SagaJsonataFrame *frame, int symbol, SagaJsonataValue *result)
{
	const SagaJsonataBuiltin *builtin;

	if (saga_jsonata_frame_find(frame, symbol, result))
		return;
	saga_jsonata_set_nothing(result);
	builtin = ev->names->symbols[symbol].builtin;
	if (builtin != NULL)
		builtin = saga_jsonata_builtin_in_flavour(ev->options, builtin);
	if (builtin == NULL)
		return;
	result->type = SAGA_JV_FUNCTION;
	result->u.function = function_of(builtin);
}

/*
 * Calls a function of the language.  It gets the arguments as its signature
 * arranges them, and at least MAX_ARGS of them: those that are missing are
 * nothing, so that it need not count them.  U1005: only functions that always
 * give the same are allowed here.
 */
bool
saga_jsonata_builtin_call(SagaJsonataEval *ev, const SagaJsonataBuiltin *builtin, SagaJsonataValue *args, int nargs,
						  const SagaJsonataValue *input, SagaJsonataFrame *frame, SagaJsonataValue *result)
{
	SagaJsonataCall call = {ev, builtin};
	SagaJsonataValue padded[MAX_ARGS];

	if (builtin->is_volatile && ev->options->immutable)
		return saga_jsonata_fail(ev, "U1005", "%s gives something else each time, which is not allowed here", builtin->name);
	if (!saga_jsonata_signature_validate(ev, function_of(builtin)->signature, builtin->name, args, nargs, input,
										 &call.args, &call.nargs))
		return false;
	if (call.nargs < MAX_ARGS)
	{
		memset(padded, 0, sizeof(padded));
		memcpy(padded, call.args, call.nargs * sizeof(SagaJsonataValue));
		call.args = padded;
	}
	call.input = input;
	call.frame = frame;
	call.result = result;
	saga_jsonata_set_nothing(result);
	return builtin->eval(&call);
}
