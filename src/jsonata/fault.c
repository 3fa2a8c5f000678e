/*
 * fault.c
 *		What is wrong with an expression, or with what it was given.
 */
#include "postgres.h"

#include "common/text.h"
#include "jsonata/text_private.h"

bool
saga_jsonata_fault(SagaJsonataFault *fault, const char *code, const char *fmt, ...)
{
	va_list		args;

	if (fault->code[0] != '\0')
		return false;
	strlcpy(fault->code, code, sizeof(fault->code));
	fault->position = -1;
	va_start(args, fmt);
	fault->message = saga_vformat(fmt, args);
	va_end(args);
	return false;
}
