/*
 * init.c
 *		The library's entry: settings, hooks, shared memory and the launcher.
 */
#include "postgres.h"

#include "common/guc.h"
#include "fmgr.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	saga_guc_define();
}
