/*
 * frame.c
 *		Names of variables, and the frames that hold their values.
 *
 * Names are numbered when an expression is compiled, so that a frame compares
 * numbers.  A frame is searched from its end, then its parents are.  Frames
 * are never freed before the evaluation ends, since functions keep theirs.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "jsonata/jsonata_private.h"

int
saga_jsonata_symbol_find(const SagaJsonataNames *names, const char *name, int len)
{
	for (int i = 0; i < names->count; i++)
		if (names->symbols[i].len == len && memcmp(names->symbols[i].name, name, len) == 0)
			return i;
	return -1;
}

/*
 * The number of a name, which is added when it is new.  It is copied into the
 * context of the names.  Whether a function of the language has the name is
 * looked up later, by saga_jsonata_find_builtins.
 */
int
saga_jsonata_symbol_of(SagaJsonataNames *names, const char *name, int len)
{
	int			found = saga_jsonata_symbol_find(names, name, len);
	MemoryContext old;

	if (found >= 0)
		return found;
	old = MemoryContextSwitchTo(names->context);
	if (names->count >= names->max)
	{
		names->max = Max(names->max * 2, 8);
		names->symbols = names->symbols == NULL ? palloc(names->max * sizeof(*names->symbols)) :
			repalloc(names->symbols, names->max * sizeof(*names->symbols));
	}
	names->symbols[names->count].name = pnstrdup(name, len);
	names->symbols[names->count].len = len;
	names->symbols[names->count].builtin = NULL;
	MemoryContextSwitchTo(old);
	return names->count++;
}

/* With room for so many variables; more can be bound. */
SagaJsonataFrame *
saga_jsonata_frame(SagaJsonataEval *ev, SagaJsonataFrame *parent, int variables)
{
	SagaJsonataFrame *frame = saga_jsonata_alloc(ev, sizeof(SagaJsonataFrame) +
												 variables * sizeof(SagaJsonataVariable));

	frame->parent = parent;
	frame->count = 0;
	frame->max = variables;
	frame->variables = (SagaJsonataVariable *) (frame + 1);
	return frame;
}

/* It reads the tuple's variables where they are, until something is bound. */
SagaJsonataFrame *
saga_jsonata_tuple_frame(SagaJsonataEval *ev, SagaJsonataFrame *parent, const SagaJsonataTuple *tuple)
{
	SagaJsonataFrame *frame = saga_jsonata_frame(ev, parent, 0);

	frame->count = tuple->count;
	frame->variables = tuple->variables;
	return frame;
}

/*
 * Binds a variable in this frame, and in none of its parents.  An earlier
 * value is replaced in place, unless it is a tuple's: then the new one stands
 * behind it in a copy, where the search from the end finds it first.
 */
void
saga_jsonata_bind(SagaJsonataEval *ev, SagaJsonataFrame *frame, int symbol, const SagaJsonataValue *value)
{
	if (frame->max > 0)
	{
		for (int i = 0; i < frame->count; i++)
		{
			if (frame->variables[i].symbol == symbol)
			{
				frame->variables[i].value = *value;
				return;
			}
		}
	}
	if (frame->count >= frame->max)
	{
		SagaJsonataVariable *variables;

		frame->max = Max(frame->count + 2, frame->max * 2);
		variables = saga_jsonata_alloc(ev, frame->max * sizeof(SagaJsonataVariable));
		if (frame->count > 0)
			memcpy(variables, frame->variables, frame->count * sizeof(SagaJsonataVariable));
		frame->variables = variables;
	}
	frame->variables[frame->count].symbol = symbol;
	frame->variables[frame->count].value = *value;
	frame->count++;
}

/* False: no frame has it.  A variable may be bound to nothing. */
bool
saga_jsonata_frame_find(const SagaJsonataFrame *frame, int symbol, SagaJsonataValue *result)
{
	for (; frame != NULL; frame = frame->parent)
	{
		for (int i = frame->count - 1; i >= 0; i--)
		{
			if (frame->variables[i].symbol == symbol)
			{
				*result = frame->variables[i].value;
				return true;
			}
		}
	}
	return false;
}
