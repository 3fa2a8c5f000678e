/*
 * function_error.c
 *		How the functions of expressions fail.
 */
#include "postgres.h"

#include "common/text.h"
#include "mb/pg_wchar.h"

#include "mapping/mapping_private.h"

/* Names the function and where it is called. */
bool
saga_map_call_error(SagaMapCall *call, const char *fmt, ...)
{
	va_list		args;
	char	   *message;

	va_start(args, fmt);
	message = saga_vformat(fmt, args);
	va_end(args);
	return saga_map_error(call->ev, "$%s %s at position %d", call->node->function->name, message,
						  pg_mbstrlen_with_len(call->ev->mapping->text, call->node->offset) + 1);
}
