/*
 * server.c
 *		What jsonata/ asks of a server, for a program without one.
 *
 * Memory is malloc's, so that AddressSanitizer sees where each piece ends; a
 * context is a list of pieces.  An error leaves the evaluation by longjmp.
 * Exact decimals are not here (absent.c): the target evaluates with doubles.
 */
#include "postgres.h"

#include <setjmp.h>

#include "common/fe_memutils.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "server.h"

/* ---------- the calendar ---------- */

const int	day_tab[2][13] = {
	{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0},
	{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0}
};

/* ---------- memory ---------- */

typedef struct Piece
{
	struct Piece *next;
	struct Piece **previous;
	struct Context *context;
	Size		size;
} Piece;

typedef struct Context
{
	MemoryContextData data;		/* only looked at by its address */
	struct Context *parent;
	struct Context *children;
	struct Context *sibling;
	Piece	   *pieces;
	Size		allocated;
} Context;

/* The process's own, where caches are, and what one input takes. */
static Context top;
static Context input;

MemoryContext TopMemoryContext = (MemoryContext) &top;
MemoryContext CurrentMemoryContext = (MemoryContext) &input;
volatile sig_atomic_t InterruptPending = false;

jmp_buf		fuzz_error;
static char *stack_base;

static void *
take(Context *context, Size size, bool zero)
{
	Piece	   *piece = zero ? calloc(1, sizeof(Piece) + size) : malloc(sizeof(Piece) + size);

	if (piece == NULL)
		abort();
	piece->context = context;
	piece->size = size;
	piece->next = context->pieces;
	piece->previous = &context->pieces;
	if (piece->next != NULL)
		piece->next->previous = &piece->next;
	context->pieces = piece;
	context->allocated += size;
	return piece + 1;
}

void
pfree(void *p)
{
	Piece	   *piece = (Piece *) p - 1;

	*piece->previous = piece->next;
	if (piece->next != NULL)
		piece->next->previous = piece->previous;
	piece->context->allocated -= piece->size;
	free(piece);
}

void *
repalloc(void *p, Size size)
{
	Piece	   *piece = (Piece *) p - 1;
	void	   *new = take(piece->context, size, false);

	memcpy(new, p, Min(size, piece->size));
	pfree(p);
	return new;
}

void
MemoryContextDelete(MemoryContext context)
{
	Context    *c = (Context *) context;
	Context   **link = &c->parent->children;

	while (c->children != NULL)
		MemoryContextDelete((MemoryContext) c->children);
	while (c->pieces != NULL)
		pfree(c->pieces + 1);
	while (*link != c)
		link = &(*link)->sibling;
	*link = c->sibling;
	free(c);
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name, Size a, Size b, Size c)
{
	Context    *context = calloc(1, sizeof(Context));

	context->parent = (Context *) parent;
	context->sibling = context->parent->children;
	context->parent->children = context;
	return (MemoryContext) context;
}

Size
MemoryContextMemAllocated(MemoryContext context, bool recurse)
{
	Size		sum = ((Context *) context)->allocated;

	if (recurse)
		for (Context *c = ((Context *) context)->children; c != NULL; c = c->sibling)
			sum += MemoryContextMemAllocated((MemoryContext) c, true);
	return sum;
}

/* All that an input left. */
void
fuzz_reset(void)
{
	CurrentMemoryContext = (MemoryContext) &input;
	while (input.children != NULL)
		MemoryContextDelete((MemoryContext) input.children);
	while (input.pieces != NULL)
		pfree(input.pieces + 1);
}

#define CURRENT ((Context *) CurrentMemoryContext)

void *palloc(Size size) { return take(CURRENT, size, false); }
void *palloc0(Size size) { return take(CURRENT, size, true); }
void *palloc_extended(Size size, int flags) { return take(CURRENT, size, true); }
void *repalloc_huge(void *p, Size size) { return repalloc(p, size); }
void *MemoryContextAlloc(MemoryContext c, Size size) { return take((Context *) c, size, false); }
void *MemoryContextAllocZero(MemoryContext c, Size size) { return take((Context *) c, size, true); }
void *MemoryContextAllocHuge(MemoryContext c, Size size) { return take((Context *) c, size, false); }
void *MemoryContextAllocExtended(MemoryContext c, Size size, int flags) { return take((Context *) c, size, true); }
void *pg_malloc(size_t size) { return palloc(size); }
void *pg_malloc0(size_t size) { return palloc0(size); }
void *pg_malloc_extended(size_t size, int flags) { return palloc0(size); }
void *pg_realloc(void *p, size_t size) { return repalloc(p, size); }
void pg_free(void *p) { if (p != NULL) pfree(p); }
char *pg_strdup(const char *s) { return pnstrdup(s, strlen(s)); }
char *pstrdup(const char *s) { return pnstrdup(s, strlen(s)); }

char *
pnstrdup(const char *s, Size len)
{
	char	   *copy;

	len = strnlen(s, len);
	copy = palloc(len + 1);
	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

Size
mul_size(Size a, Size b)
{
	if (b != 0 && a > SIZE_MAX / b)
		abort();
	return a * b;
}

/* ---------- errors, the stack, the clock ---------- */

bool errstart(int level, const char *domain) { return true; }
bool errstart_cold(int level, const char *domain) { return true; }
int errcode(int code) { return 0; }
int errmsg(const char *fmt,...) { return 0; }
int errmsg_internal(const char *fmt,...) { return 0; }
int errdetail(const char *fmt,...) { return 0; }
int errhint(const char *fmt,...) { return 0; }
void errfinish(const char *file, int line, const char *function) { longjmp(fuzz_error, 1); }
void ProcessInterrupts(void) {}
TimestampTz GetCurrentTimestamp(void) { return 0; }

void
fuzz_set_stack(void *base)
{
	stack_base = base;
}

/* Frames are several times larger with AddressSanitizer. */
bool
stack_is_too_deep(void)
{
	char		here;

	return labs(stack_base - &here) > 6 * 1024 * 1024;
}

void
check_stack_depth(void)
{
	if (stack_is_too_deep())
		longjmp(fuzz_error, 1);
}
