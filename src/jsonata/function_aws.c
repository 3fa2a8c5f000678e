/*
 * function_aws.c
 *		What Step Functions adds to the language.
 */
#include "postgres.h"

#include <math.h>

#include "jsonata/function_private.h"

/* Parts of so many elements; the last may be shorter. */
bool
saga_jsonata_fn_partition(SagaJsonataCall *call)
{
	SagaJsonataEval *ev = call->ev;
	SagaJsonataList list = {0};
	SagaJsonataValue *elems;
	double		size = saga_jsonata_double(&call->args[1]);

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (saga_jsonata_is_nothing(&call->args[1]) || !(size >= 1) || size != floor(size))
		return saga_jsonata_fail(ev, "D3137", "argument 2 of $partition must be a positive integer");
	elems = saga_jsonata_elems(ev, &call->args[0]);
	for (int i = 0; i < call->args[0].count;)
	{
		SagaJsonataValue part = {0};

		/* a part shares its elements with the whole, which nothing changes */
		part.type = SAGA_JV_ARRAY;
		part.u.elems = elems + i;
		part.count = (int) Min(size, (double) (call->args[0].count - i));
		i += part.count;
		if (!saga_jsonata_tick(ev) || !saga_jsonata_push(ev, &list, &part))
			return false;
	}
	saga_jsonata_set_array(call->result, &list, 0);
	return true;
}

/* $range(first, last, step): the last is in it if a step leads there.  As at AWS, one number alone is that number. */
bool
saga_jsonata_fn_range(SagaJsonataCall *call)
{
	SagaJsonataEval *ev = call->ev;
	SagaJsonataList list = {0};
	double		first = saga_jsonata_double(&call->args[0]);
	double		last = saga_jsonata_double(&call->args[1]);
	double		step = saga_jsonata_double(&call->args[2]);
	double		n;

	for (int i = 0; i < 3; i++)
		if (saga_jsonata_is_nothing(&call->args[i]))
			return true;
	if (step == 0 || !isfinite(step) || !isfinite(first) || !isfinite(last))
		return saga_jsonata_fail(ev, "D3137", "argument 3 of $range must not be zero");
	n = floor((last - first) / step) + 1;
	if (n > SAGA_JSONATA_MAX_ELEMENTS)
		return saga_jsonata_fail(ev, "D2014", "a range has more than %d elements", SAGA_JSONATA_MAX_ELEMENTS);
	for (int i = 0; i < n; i++)
	{
		/* the number is to be an element, not the result of the call */
		SagaJsonataCall number = *call;
		SagaJsonataValue value;

		number.result = &value;
		if (!saga_jsonata_tick(ev) || !saga_jsonata_set_double(&number, first + i * step) ||
			!saga_jsonata_push(ev, &list, &value))
			return false;
	}
	saga_jsonata_set_array(call->result, &list, list.count == 1 ? SAGA_JV_SEQUENCE : 0);
	return true;
}

bool
saga_jsonata_fn_hash(SagaJsonataCall *call)
{
	SagaJsonataValue *data = &call->args[0];
	SagaJsonataValue *algorithm = &call->args[1];
	StringInfoData buf;

	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	if (!saga_jsonata_spend(call->ev, 32 + data->count / 8))
		return false;
	initStringInfo(&buf);
	if (!saga_jsonata_hash(data->u.string, data->count, algorithm->type == SAGA_JV_STRING ? algorithm->u.string : "",
						   algorithm->count, &buf, call->ev->fault))
		return saga_jsonata_fail(call->ev, "D3141", "$hash failed");
	saga_jsonata_set_buffer(call->ev, call->result, &buf);
	return true;
}

/* The same seed gives the same number. */
bool
saga_jsonata_fn_random_seed(SagaJsonataCall *call)
{
	uint64		state;

	if (saga_jsonata_is_nothing(&call->args[0]))
		return saga_jsonata_fn_random(call);
	state = saga_jsonata_random_seed(saga_jsonata_double(&call->args[0]));
	return saga_jsonata_set_double(call, saga_jsonata_random(&state));
}

bool
saga_jsonata_fn_uuid(SagaJsonataCall *call)
{
	uint8		random[16];
	StringInfoData buf;

	for (int i = 0; i < lengthof(random); i++)
		random[i] = (uint8) (saga_jsonata_random_number(call->ev) * 256);
	initStringInfo(&buf);
	saga_jsonata_uuid(random, &buf);
	saga_jsonata_set_buffer(call->ev, call->result, &buf);
	return saga_jsonata_spend(call->ev, 16);
}

/* A value of a text with JSON, which $eval is not to be used for. */
bool
saga_jsonata_fn_parse(SagaJsonataCall *call)
{
	SAGA_JSONATA_NOTHING_OF_NOTHING(call);
	return saga_jsonata_read_foreign(call->ev, call->args[0].u.string, call->args[0].count, call->result) ||
		saga_jsonata_fail(call->ev, "D3137", "the text given to $parse is no JSON");
}

/*
 * Step Functions has no $eval.  It is in the table for the sake of a message
 * that says what to use instead.
 */
bool
saga_jsonata_fn_no_eval(SagaJsonataCall *call)
{
	return saga_jsonata_fail(call->ev, "T1006", "$eval does not exist here; $parse makes a value of a text with JSON");
}
