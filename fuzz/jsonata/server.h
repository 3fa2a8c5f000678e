/*
 * server.h
 *		What stands in place of a server.
 */
#ifndef SAGA_FUZZ_SERVER_H
#define SAGA_FUZZ_SERVER_H

#include <setjmp.h>

extern jmp_buf fuzz_error;		/* where errors go */
extern void fuzz_reset(void);	/* frees what was allocated since the last time */
extern void fuzz_set_stack(void *base);

#endif							/* SAGA_FUZZ_SERVER_H */
