/*
 * fake.h
 *		What stands in place of a server's functions, and how the tests read
 *		and write JSON.
 *
 * The files that are compiled with it ("FAKED" in the Makefile) have shared
 * memory of this process alone, workers that never start, and a clock that the
 * test sets.
 */
#ifndef SAGA_TEST_FAKE_H
#define SAGA_TEST_FAKE_H

#define ShmemInitStruct saga_fake_shmem
#define GetNamedLWLockTranche saga_fake_tranche
#define DefineCustomIntVariable saga_fake_define_int
#define GetBackgroundWorkerPid saga_fake_worker_pid
#define saga_monotonic_now saga_fake_now

#include "postgres.h"

#include "common/clock.h"
#include "lib/stringinfo.h"
#include "utils/json.h"
#include "utils/jsonb.h"

extern TimestampTz fake_now;

/* Members of an object, or what stands there for one that it has not. */
extern int64 fake_int(JsonbContainer *object, const char *name, int64 otherwise);
extern double fake_number(JsonbContainer *object, const char *name, double otherwise);
extern bool fake_bool(JsonbContainer *object, const char *name);
extern char *fake_text(JsonbContainer *object, const char *name);	/* NULL: it has none */
extern bool fake_has(JsonbContainer *object, const char *name);

/* An array of objects or numbers; NULL and 0 when there is none. */
extern JsonbContainer *fake_array(JsonbContainer *object, const char *name, int *n);
extern JsonbContainer *fake_object_at(JsonbContainer *array, int i);
extern int64 fake_int_at(JsonbContainer *array, int i);

/* JSON text with a comma where one belongs. */
extern void fake_next(StringInfo out);
extern void fake_member(StringInfo out, const char *name);
extern void fake_put_text(StringInfo out, const char *name, const char *text);	/* NULL: null */
extern void fake_put_int(StringInfo out, const char *name, int64 number);
extern void fake_put_bool(StringInfo out, const char *name, bool is_so);
extern Datum fake_result(StringInfo out);

#endif							/* SAGA_TEST_FAKE_H */
