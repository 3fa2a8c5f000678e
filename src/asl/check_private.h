/*
 * check_private.h
 *		Reading a definition: diagnostics, JSON pointers and typed members.
 *
 * A reader that finds a fault adds a diagnostic and gives a harmless value,
 * so that one pass reports every fault of a definition.
 */
#ifndef SAGA_CHECK_PRIVATE_H
#define SAGA_CHECK_PRIVATE_H

#include "asl/query_private.h"
#include "common/compat.h"

#define SAGA_SCHEMA_FAULT		"SCHEMA_VALIDATION_FAILED"
#define SAGA_TARGET_FAULT		"MISSING_TRANSITION_TARGET"
#define SAGA_DUPLICATE_FAULT	"DUPLICATE_STATE_NAME"
#define SAGA_LANGUAGE_FAULT		"UNSUPPORTED_QUERY_LANGUAGE"
#define SAGA_LATER_FAULT		"UNSUPPORTED_STATE_TYPE"

/* Where a value stands: a chain on the C stack, made a JSON pointer only for a diagnostic. */
typedef struct SagaLocation
{
	const struct SagaLocation *up;	/* NULL: this is the whole document */
	const char *name;			/* member name; NULL: an array element */
	int			index;
} SagaLocation;

typedef struct SagaCheck
{
	SagaMachine *machine;
	List	   *diagnostics;	/* of SagaDiagnostic */
	bool		failed;			/* one of them is an error */
	bool		express;
	bool		whole_jsonata;	/* QueryLanguage of the machine */
	bool		inner_jsonata;	/* of the states that are read, where they say nothing */
	bool		jsonata;		/* of the state that is read */
	const SagaLocation *state_at;	/* and where that is */
	bool		testing;		/* one of its states is tested by itself: it may be of a kind that cannot be run yet */
	bool		alone;			/* and that state is all there is: where it leads to is made up */
	MemoryContext diagnostics_context;	/* outlives a machine that is thrown away */
} SagaCheck;

extern void saga_check_error(SagaCheck *check, const SagaLocation *at, const char *code,
							 const char *format, ...) pg_attribute_printf(4, 5);

/* The same, for the member "name" of the object at "at". */
extern void saga_check_member_error(SagaCheck *check, const SagaLocation *at, const char *name,
									const char *code, const char *format, ...) pg_attribute_printf(5, 6);

/* The same, at "below" (a JSON pointer, or NULL) under "at". */
extern void saga_check_error_below(SagaCheck *check, const SagaLocation *at, const char *below,
								   const char *code, const char *message);

extern void saga_check_raise(List *diagnostics, const char *hint) pg_attribute_noreturn();

extern bool saga_asl_is_object(const JsonbValue *value);
extern bool saga_asl_is_array(const JsonbValue *value);
extern bool saga_asl_member(const JsonbValue *object, const char *name, JsonbValue *result);
extern char *saga_asl_string_of(const JsonbValue *value);

extern void saga_check_known(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
							 const char *const *known, int nknown);
extern char *saga_check_string(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
							   const char *name, bool required);
extern bool saga_check_bool(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
							const char *name);
extern bool saga_check_integer(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
							   const char *name, int64 min, int64 max, int64 *result);
extern bool saga_check_double(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
							  const char *name, double min, double *result);
extern bool saga_check_array(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
							 const char *name, JsonbValue *result);
extern void saga_check_path(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
							const char *name, bool nullable, bool reference, SagaPathField *field);
extern SagaExpr *saga_check_expr(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
								 const char *name);
extern SagaTemplate *saga_check_template(SagaCheck *check, const JsonbValue *object,
										 const SagaLocation *at, const char *name);
extern bool saga_check_language(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, bool *jsonata);
extern SagaState *saga_check_find(SagaCheck *check, const SagaStates *scope, char *name);
extern SagaState *saga_check_target(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
									const char *name, const SagaStates *scope);

/* How many of these fields, which exclude each other, are there. */
extern int	saga_check_exclusive(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
								 const char *const *names, int nnames);
extern void saga_check_pair(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
							const char *field, const char *path_field);

/* check_query.c: fields in the language of their state */
extern SagaQuery *saga_check_query(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, const char *name,
								   SagaSees sees);
extern SagaPayload *saga_check_payload(SagaCheck *check, const JsonbValue *object, const SagaLocation *at,
									   const char *name, SagaSees sees);
extern bool saga_check_count(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, const char *name,
							 int64 min, int64 max, int64 *result, SagaPathField *field);
extern bool saga_check_share(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, const char *name,
							 double min, double *result, SagaPathField *field);
extern char *saga_check_text(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, const char *name,
							 SagaPathField *field);
extern SagaPayload *saga_check_assign(SagaCheck *check, const JsonbValue *object, const SagaLocation *at, SagaSees sees);

#endif							/* SAGA_CHECK_PRIVATE_H */
