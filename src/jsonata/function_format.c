/*
 * function_format.c
 *		Numbers and times by a picture.
 *
 * What is done is in text_*.c; here are arguments and what they cost.
 */
#include "postgres.h"

#include <math.h>

#include "jsonata/function_private.h"

/*
 * Makes the text that has been appended the result.  When done is false, the
 * helper has set a fault, which stays: D3141 is for one that has not.
 */
static bool
text_result(SagaJsonataCall *call, bool done, const StringInfoData *buf)
{
	if (!done)
		return saga_jsonata_fail(call->ev, "D3141", "%s failed", call->builtin->name);
	if (!saga_jsonata_spend_read(call->ev, buf->len))
		return false;
	saga_jsonata_set_buffer(call->ev, call->result, buf);
	return true;
}

/* The text of an argument; NULL when it is left out. */
static const char *
text_of(const SagaJsonataValue *v)
{
	return v->type == SAGA_JV_STRING ? v->u.string : NULL;
}

/*
 * The third argument of $formatNumber, such as {"decimal-separator": ","}.
 * Names that are not known, and values that are no strings, are ignored.  The
 * symbols point to the texts of the argument.
 */
static bool
read_options(SagaJsonataCall *call, SagaJsonataSymbols *symbols)
{
	SagaJsonataValue *options = &call->args[2];
	SagaJsonataPair *pairs;
	int			n;

	saga_jsonata_default_symbols(symbols);
	if (options->type != SAGA_JV_OBJECT)
		return true;
	n = saga_jsonata_count(options);
	pairs = saga_jsonata_pairs(call->ev, options);
	if (pairs == NULL || !saga_jsonata_spend(call->ev, n))
		return false;
	for (int i = 0; i < n; i++)
	{
		int			symbol = saga_jsonata_symbol(pairs[i].name, pairs[i].len);

		if (symbol < 0 || pairs[i].value.type != SAGA_JV_STRING)
			continue;
		symbols->symbols[symbol].s = pairs[i].value.u.string;
		symbols->symbols[symbol].len = pairs[i].value.count;
	}
	return true;
}

bool
saga_jsonata_fn_format_number(SagaJsonataCall *call)
{
	SagaJsonataValue *number = &call->args[0];
	SagaJsonataValue *picture = &call->args[1];
	SagaJsonataSymbols symbols;
	StringInfoData buf;
	bool		done;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!read_options(call, &symbols) || !saga_jsonata_spend(call->ev, 64 + picture->count))
		return false;
	initStringInfo(&buf);
	if (call->ev->options->decimal)
	{
		Numeric		numeric = saga_jsonata_numeric(number);

		if (numeric == NULL)
			return saga_jsonata_fail(call->ev, "D1001", "a number is out of range");
		done = saga_jsonata_format_numeric(numeric, picture->u.string, picture->count, &symbols, &buf, call->ev->fault);
	}
	else
		done = saga_jsonata_format_number(saga_jsonata_double(number), picture->u.string, picture->count, &symbols, &buf,
										  call->ev->fault);
	return text_result(call, done, &buf);
}

bool
saga_jsonata_fn_format_base(SagaJsonataCall *call)
{
	double		radix = saga_jsonata_is_nothing(&call->args[1]) ? 10 : saga_jsonata_double(&call->args[1]);
	StringInfoData buf;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	initStringInfo(&buf);
	return saga_jsonata_spend(call->ev, 32) &&
		text_result(call, saga_jsonata_format_base(saga_jsonata_double(&call->args[0]), radix, &buf, call->ev->fault), &buf);
}

bool
saga_jsonata_fn_format_integer(SagaJsonataCall *call)
{
	SagaJsonataValue *number = &call->args[0];
	SagaJsonataValue *picture = &call->args[1];
	StringInfoData buf;
	bool		done;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!saga_jsonata_spend(call->ev, 64 + picture->count))
		return false;
	initStringInfo(&buf);
	if (call->ev->options->decimal && number->flags != 0)
	{
		Numeric		numeric = saga_jsonata_numeric(number);

		if (numeric == NULL)
			return saga_jsonata_fail(call->ev, "D1001", "a number is out of range");
		done = saga_jsonata_format_integer_numeric(numeric, picture->u.string, picture->count, &buf, call->ev->fault);
	}
	else
		done = saga_jsonata_format_integer(saga_jsonata_double(number), picture->u.string, picture->count, &buf,
										   call->ev->fault);
	return text_result(call, done, &buf);
}

bool
saga_jsonata_fn_parse_integer(SagaJsonataCall *call)
{
	SagaJsonataValue *text = &call->args[0];
	SagaJsonataValue *picture = &call->args[1];
	double		number;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!saga_jsonata_spend(call->ev, 64 + text->count + picture->count))
		return false;
	if (!saga_jsonata_parse_integer(text->u.string, text->count, picture->u.string, picture->count, &number, call->ev->fault))
		return saga_jsonata_fail(call->ev, "D3141", "$parseInteger failed");
	return saga_jsonata_set_double(call, number);
}

/* ---------- times ---------- */

/*
 * What $now and $fromMillis have in common.  Picture and zone may be left out.
 */
static bool
format_time(SagaJsonataCall *call, double millis, const SagaJsonataValue *picture, const SagaJsonataValue *zone)
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (!saga_jsonata_spend(call->ev, 64 + picture->count))
		return false;
	return text_result(call, saga_jsonata_format_datetime(millis, text_of(picture), picture->count, text_of(zone), zone->count,
														  &buf, call->ev->fault), &buf);
}

bool
saga_jsonata_fn_now(SagaJsonataCall *call)
{
	return format_time(call, call->ev->options->now, &call->args[0], &call->args[1]);
}

bool
saga_jsonata_fn_millis(SagaJsonataCall *call)
{
	saga_jsonata_set_number(call->result, call->ev->options->now);
	return true;
}

bool
saga_jsonata_fn_from_millis(SagaJsonataCall *call)
{
	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	return format_time(call, saga_jsonata_double(&call->args[0]), &call->args[1], &call->args[2]);
}

/*
 * A picture that leaves parts out takes them from the time of the evaluation,
 * which an immutable one does not have: the parts are those of 1970 then.
 */
bool
saga_jsonata_fn_to_millis(SagaJsonataCall *call)
{
	SagaJsonataValue *text = &call->args[0];
	SagaJsonataValue *picture = &call->args[1];
	double		millis;
	bool		matched = false;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!saga_jsonata_spend(call->ev, 64 + text->count + picture->count))
		return false;
	if (!saga_jsonata_parse_datetime(text->u.string, text->count, text_of(picture), picture->count, call->ev->options->now,
									 &call->ev->work, &millis, &matched, call->ev->fault))
		return saga_jsonata_fail(call->ev, "D3141", "$toMillis failed");
	/* a text that the picture does not fit gives nothing, and is no fault */
	if (matched)
		saga_jsonata_set_number(call->result, millis);
	return true;
}
