/*
 * limit.c
 *		What one evaluation may cost, in steps and in memory, and its first error.
 */
#include "postgres.h"

#include "common/text.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "mapping/mapping_private.h"

/* Bytes that one evaluation may hold; looked at before each step. */
#define MAX_MEMORY			((Size) 256 * 1024 * 1024)

/* What is done in the time of a step. */
#define BYTES_READ_PER_STEP		16
#define BYTES_COPIED_PER_STEP	64

bool
saga_map_error(SagaMapEval *ev, const char *fmt, ...)
{
	MemoryContext old;
	va_list		args;
	char	   *message;

	if (ev->error != NULL)
		return false;
	old = MemoryContextSwitchTo(ev->caller);
	va_start(args, fmt);
	message = saga_vformat(fmt, args);
	va_end(args);
	ev->error = message;
	MemoryContextSwitchTo(old);
	return false;
}

bool
saga_map_charge(SagaMapEval *ev, int64 steps)
{
	if (steps > ev->steps)
	{
		ev->steps = -1;
		return saga_map_error(ev, "the expression takes too many steps");
	}
	ev->steps -= steps;
	CHECK_FOR_INTERRUPTS();
	/* the context has no children: this reads one number */
	if (MemoryContextMemAllocated(ev->context, false) > MAX_MEMORY)
		return saga_map_error(ev, "the expression takes too much memory");
	return true;
}

bool
saga_map_charge_bytes(SagaMapEval *ev, int64 bytes)
{
	return saga_map_charge(ev, bytes / BYTES_READ_PER_STEP);
}

bool
saga_map_charge_copy(SagaMapEval *ev, int64 bytes)
{
	return saga_map_charge(ev, bytes / BYTES_COPIED_PER_STEP);
}

bool
saga_map_charge_number(SagaMapEval *ev, Numeric number)
{
	return saga_map_charge_bytes(ev, saga_map_written_size(number));
}

bool
saga_map_tick(SagaMapEval *ev)
{
	return saga_map_charge(ev, 1);
}

bool
saga_map_has_room(SagaMapEval *ev, int n, Size size)
{
	if (!saga_map_charge(ev, n))
		return false;
	if (mul_size(n, size) > MAX_MEMORY)
		return saga_map_error(ev, "the expression takes too much memory");
	return true;
}

typedef struct Sorting
{
	SagaMapEval *ev;
	int			(*compare) (const void *, const void *);
} Sorting;

static int
compare_counted(const void *a, const void *b, void *arg)
{
	Sorting    *sorting = arg;

	/* when all are equal, it comes to its end soon */
	return saga_map_tick(sorting->ev) ? sorting->compare(a, b) : 0;
}

bool
saga_map_sort(SagaMapEval *ev, void *base, size_t n, size_t size, int (*compare) (const void *, const void *))
{
	Sorting		sorting = {ev, compare};

	qsort_arg(base, n, size, compare_counted, &sorting);
	return ev->error == NULL;
}
