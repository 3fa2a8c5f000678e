/*
 * limit.c
 *		What one evaluation may cost, in steps, levels, memory and time, and
 *		its first fault.
 *
 * Steps are counted down from a fixed number, so that the same expression on
 * the same document fails or works everywhere alike.  Memory, the clock and
 * interrupts are looked at every few hundred steps: no work between two looks
 * takes long, because it is counted before it is done.
 *
 * After a fault no steps are left, so that whatever is counted next fails too,
 * also where a caller has not looked at an answer.
 */
#include "postgres.h"

#include "common/text.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "jsonata/jsonata_private.h"

/* Steps between two looks. */
#define STEPS_PER_LOOK		500

/* Memory is taken from the evaluation's context in pieces of this. */
#define ROOM_SIZE			(8 * 1024)
#define FIRST_ROOM_SIZE		(4 * 1024)

/* Keeps the first fault and ignores later ones, which are mostly its consequences. */
static void
pg_attribute_printf(3, 0)
set_fault(SagaJsonataEval *ev, const char *code, const char *fmt, va_list args)
{
	SagaJsonataFault *fault = ev->fault;

	ev->steps = ev->next_look = -1;
	if (fault->code[0] != '\0')
		return;
	strlcpy(fault->code, code, sizeof(fault->code));
	fault->position = -1;
	fault->message = saga_vformat(fmt, args);
}

bool
saga_jsonata_fail(SagaJsonataEval *ev, const char *code, const char *fmt, ...)
{
	va_list		args;

	va_start(args, fmt);
	set_fault(ev, code, fmt, args);
	va_end(args);
	return false;
}

/* Positions count from one, 0 is a text without any: what $eval was given. */
bool
saga_jsonata_failed_at(SagaJsonataEval *ev, const SagaJsonataNode *node)
{
	if (ev->fault->position < 0 && ev->text != NULL)
		ev->fault->position = node->position;
	ev->steps = ev->next_look = -1;
	return false;
}

bool
saga_jsonata_fail_at(SagaJsonataEval *ev, const SagaJsonataNode *node, const char *code, const char *fmt, ...)
{
	va_list		args;

	va_start(args, fmt);
	set_fault(ev, code, fmt, args);
	va_end(args);
	return saga_jsonata_failed_at(ev, node);
}

/* For the text functions, which know of no evaluation. */
static bool
charge(void *arg, int64 steps)
{
	return saga_jsonata_spend(arg, steps);
}

static double
clock_now(void)
{
	return (double) GetCurrentTimestamp();
}

void
saga_jsonata_start_limits(SagaJsonataEval *ev)
{
	const SagaJsonataLimits *limits = &ev->options->limits;

	ev->steps = limits->steps > 0 ? limits->steps : SAGA_JSONATA_DEFAULT_STEPS;
	ev->next_look = Max(ev->steps - STEPS_PER_LOOK, 0);
	ev->max_depth = limits->depth > 0 ? limits->depth : SAGA_JSONATA_DEFAULT_DEPTH;
	ev->max_bytes = limits->bytes > 0 ? limits->bytes : SAGA_JSONATA_DEFAULT_BYTES;
	ev->deadline = limits->milliseconds > 0 ? clock_now() + limits->milliseconds * 1000.0 : 0;
	ev->work.charge = charge;
	ev->work.arg = ev;
}

/* Every few hundred steps, and before anything large. */
bool
saga_jsonata_look(SagaJsonataEval *ev)
{
	if (ev->fault->code[0] != '\0')
	{
		ev->steps = ev->next_look = -1;
		return false;
	}
	CHECK_FOR_INTERRUPTS();
	if (ev->steps < 0)
		return saga_jsonata_fail(ev, "U1002", "the expression takes too many steps");
	ev->next_look = Max(ev->steps - STEPS_PER_LOOK, 0);
	if (MemoryContextMemAllocated(ev->context, true) > ev->max_bytes)
		return saga_jsonata_fail(ev, "U1003", "the expression takes too much memory");
	if (ev->deadline > 0 && clock_now() > ev->deadline)
		return saga_jsonata_fail(ev, "D1012", "the expression takes longer than " INT64_FORMAT " milliseconds",
								 ev->options->limits.milliseconds);
	return true;
}

/*
 * Against an allocation that is too large by itself, or that comes on top of
 * what is there; what grows step by step is seen by saga_jsonata_look().
 */
bool
saga_jsonata_has_room(SagaJsonataEval *ev, int64 n, Size size)
{
	if (!saga_jsonata_spend(ev, n * size / 64 + 1))
		return false;
	if (n * size > 16 * 1024 &&
		(n > ev->max_bytes / size || MemoryContextMemAllocated(ev->context, true) + n * size > ev->max_bytes))
		return saga_jsonata_fail(ev, "U1003", "the expression takes too much memory");
	return true;
}

/*
 * The stack of the server may be short of room before the limit is met, when
 * the evaluation began deep inside something else.
 */
bool
saga_jsonata_enter(SagaJsonataEval *ev)
{
	if (unlikely(ev->depth >= ev->max_depth || stack_is_too_deep()))
		return saga_jsonata_fail(ev, "U1001", "calls, or the values, are nested too deep");
	ev->depth++;
	return saga_jsonata_spend(ev, 1);
}

/* Nothing is freed by itself, so that taking memory is an addition. */
void *
saga_jsonata_alloc(SagaJsonataEval *ev, Size size)
{
	char	   *result;

	size = MAXALIGN(size);
	if (unlikely(size > ev->room_left))
	{
		if (size > ROOM_SIZE / 4)
			return MemoryContextAllocHuge(ev->context, size);
		ev->room_left = ev->room == NULL ? FIRST_ROOM_SIZE : ROOM_SIZE;
		ev->room = MemoryContextAlloc(ev->context, ev->room_left);
	}
	result = ev->room;
	ev->room += size;
	ev->room_left -= size;
	return result;
}
