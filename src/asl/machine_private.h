/*
 * machine_private.h
 *		A compiled definition, as the interpreter sees it.  Never changed once
 *		compiled; one machine may serve any number of runs.
 */
#ifndef SAGA_MACHINE_PRIVATE_H
#define SAGA_MACHINE_PRIVATE_H

#include "asl/asl.h"

/* Longest durations that a definition may name, as at AWS. */
#define SAGA_MAX_SECONDS		INT64CONST(99999999)
#define SAGA_MAX_CAUSE			32768	/* characters */
#define SAGA_MAX_DELAY_SECONDS	INT64CONST(31622400)

typedef enum SagaStateType
{
	SAGA_STATE_TASK,
	SAGA_STATE_PASS,
	SAGA_STATE_CHOICE,
	SAGA_STATE_WAIT,
	SAGA_STATE_SUCCEED,
	SAGA_STATE_FAIL,
	SAGA_STATE_PARALLEL,
	SAGA_STATE_MAP
} SagaStateType;

#define SAGA_STATE_TYPES (SAGA_STATE_MAP + 1)

typedef struct SagaState SagaState;

/* The events of a task are named after what it calls. */
typedef enum SagaTaskFamily
{
	SAGA_FAMILY_TASK,
	SAGA_FAMILY_LAMBDA,			/* a bare function ARN */
	SAGA_FAMILY_ACTIVITY
} SagaTaskFamily;

/* A value with expressions of JSONata in it: query_private.h. */
typedef struct SagaQuery SagaQuery;

/*
 * A field whose value is found by the run: at a path, or by an expression of
 * a JSONata state.
 */
typedef struct SagaPathField
{
	SagaPath   *path;			/* NULL: absent, or null was written */
	SagaQuery  *query;			/* NULL: none */
	const char *text;			/* as written, for messages */
	bool		is_root;		/* plain "$" */
	bool		discard;		/* null was written */
} SagaPathField;

/* Does the field leave its data as it is?  Absent and "$" are the same. */
#define SAGA_PATH_IS_IDENTITY(field) \
	(!(field)->discard && ((field)->path == NULL || (field)->is_root))

/* Is there anything to be found? */
#define SAGA_FIELD_IS_DYNAMIC(field) ((field)->path != NULL || (field)->query != NULL)

/* A value that the run makes: a payload template, or a value with expressions in a JSONata state. */
typedef struct SagaPayload
{
	SagaTemplate *template;
	SagaQuery  *query;
} SagaPayload;

/* What is made of the data on a way out of a state. */
typedef struct SagaExit
{
	SagaPayload *assign;		/* NULL: nothing */
	SagaPayload *output;		/* Output of a JSONata state; NULL: what goes out without it */
} SagaExit;

typedef struct SagaRetrier
{
	char	  **errors;
	int			nerrors;
	int64		interval_ms;
	int64		max_attempts;
	double		backoff_rate;
	int64		max_delay_ms;	/* 0: none */
	bool		full_jitter;
} SagaRetrier;

typedef struct SagaCatcher
{
	char	  **errors;
	int			nerrors;
	SagaState  *next;
	SagaPathField result_path;
	SagaExit	exit;
} SagaCatcher;

typedef struct SagaChoice
{
	SagaRule   *rule;
	SagaQuery  *condition;		/* in its place, of a JSONata state */
	SagaState  *next;
	SagaExit	exit;
} SagaChoice;

/* One States object: the machine's own, or that of a branch. */
typedef struct SagaStates
{
	SagaState  *start;
	SagaState **states;			/* in jsonb's key order: by length, then bytes */
	int			nstates;
	SagaState  *owner;			/* the Parallel or Map around it, or NULL */
} SagaStates;

/* What a Map says of its items. */
typedef struct SagaMapFields
{
	SagaPathField items_path;	/* or Items */
	SagaPayload *item_selector; /* or Parameters, its older name; NULL: the item itself */
	int64		max_concurrency;	/* 0: none */
	SagaPathField max_concurrency_path;
	bool		tolerant;		/* one of the four that follow is there */
	int64		tolerated_count;	/* -1: absent */
	SagaPathField tolerated_count_path;
	double		tolerated_percentage;	/* -1: absent */
	SagaPathField tolerated_percentage_path;
	char	   *label;
	bool		distributed;	/* ProcessorConfig */

	/* of a distributed one */
	SagaResource *reader;		/* NULL: the items are in the state's data */
	SagaPayload *reader_parameters;
	SagaReaderConfig reader_config;
	int64		max_items;		/* 0: all */
	SagaPathField max_items_path;
	bool		batches;
	int64		batch_items;	/* 0: no limit */
	int64		batch_bytes;
	SagaPathField batch_items_path;
	SagaPathField batch_bytes_path;
	SagaPayload *batch_input;
	SagaResource *writer;		/* NULL: the results are the state's */
	SagaPayload *writer_parameters;
	struct SagaState *failed;	/* in its place in what is to be undone when it has failed; NULL: itself */
} SagaMapFields;
struct SagaState
{
	SagaStateType type;
	char	   *name;
	SagaStates *scope;

	SagaState  *next;			/* NULL: the end of its States object */
	bool		reached;		/* while checking: some transition leads here */

	bool		jsonata;		/* its QueryLanguage */

	SagaPathField input_path;
	SagaPathField output_path;
	SagaPathField result_path;
	SagaPayload *parameters;	/* or Arguments */
	SagaPayload *result_selector;
	SagaExit	exit;			/* of a Choice: by its Default */

	SagaRetrier *retriers;
	int			nretriers;
	SagaCatcher *catchers;
	int			ncatchers;

	SagaState  *compensate;		/* the handler that undoes this state */
	bool		is_handler;

	/* Task */
	SagaResource resource;
	bool		commit;			/* what was done so far is committed when it has its answer */
	SagaTaskFamily family;
	char	   *resource_type;	/* resourceType and resource of its events */
	char	   *resource_action;
	SagaPayload *credentials;
	int64		timeout_ms;		/* 0: none */
	int64		heartbeat_ms;
	SagaPathField timeout_path;
	SagaPathField heartbeat_path;

	/* Pass */
	Jsonb	   *result;

	/* Choice; "next" is its Default */
	SagaChoice *choices;
	int			nchoices;

	/* Wait: the one that is set */
	int64		wait_ms;		/* -1: not this one */
	bool		has_wait_until;
	TimestampTz wait_until;
	SagaPathField seconds_path;
	SagaPathField timestamp_path;

	/* Fail */
	char	   *error;
	char	   *cause;
	SagaExpr   *error_path;
	SagaExpr   *cause_path;
	SagaPathField error_query;	/* in the place of a path, of a JSONata state */
	SagaPathField cause_query;

	/* Parallel, and Map: one */
	SagaStates **branches;
	int			nbranches;

	/* Map */
	SagaMapFields *map;
};

struct SagaMachine
{
	MemoryContext context;
	SagaStates *root;
	SagaState **states;			/* all of them, by name (strcmp order) */
	int			nstates;
	List	   *resources;		/* of SagaResource, each once */
	int64		timeout_ms;		/* 0: none */
	bool		has_children;	/* SAGA_HAS_CHILDREN of one of its states */
};

/* machine.c: as saga_machine_compile(), for a machine that may be EXPRESS, which AWS allows no callbacks. */
extern SagaMachine *saga_machine_compile_type(Jsonb *definition, bool express, List **diagnostics);

/*
 * The same, for the test of one of its states.  The machine cannot be run: it
 * may have what only a test knows.  "alone": the state is all there is in it,
 * and those that it leads to are made up.
 */
extern SagaMachine *saga_machine_compile_test(Jsonb *definition, bool alone, List **diagnostics);

/* machine_find.c */
extern int	saga_asl_compare_states(const void *a, const void *b);	/* for qsort of SagaState *, by name */
extern const char *saga_state_type_name(SagaStateType type);
extern bool saga_state_type_of(const char *name, SagaStateType *type);
extern SagaState *saga_asl_states_find(const SagaStates *scope, const char *name);
extern SagaState *saga_machine_find(const SagaMachine *machine, const char *name);

/* Types of check_private.h, here only by name. */
struct SagaCheck;
struct SagaLocation;

/* machine_state.c */
extern bool saga_state_compile(struct SagaCheck *check, SagaState *state, const JsonbValue *object,
							   const struct SagaLocation *at);

/* machine_map.c */
extern void saga_compile_map(struct SagaCheck *check, SagaState *state, const JsonbValue *object,
							 const struct SagaLocation *at);
extern const char *saga_asl_map_processor(const JsonbValue *object, JsonbValue *processor);
extern void saga_compile_processor(struct SagaCheck *check, SagaState *state, const JsonbValue *processor,
								   const struct SagaLocation *at);

/* machine_items.c */
extern void saga_compile_items(struct SagaCheck *check, SagaState *state, const JsonbValue *object,
							   const struct SagaLocation *at);

/* machine_undo.c: gives each state that has children what undoes them. */
extern void saga_machine_add_undo(SagaMachine *machine);

/* Are there executions that are this state's children, and that it waits for? */
#define SAGA_HAS_CHILDREN(state) \
	(((state)->type == SAGA_STATE_TASK && (state)->resource.kind == SAGA_RES_START_EXECUTION && \
	  (state)->resource.sync != 0) || \
	 ((state)->type == SAGA_STATE_MAP && (state)->map != NULL && (state)->map->distributed))
/* machine_error.c */
extern void saga_compile_retriers(struct SagaCheck *check, SagaState *state,
								  const JsonbValue *object, const struct SagaLocation *at);
extern void saga_compile_catchers(struct SagaCheck *check, SagaState *state,
								  const JsonbValue *object, const struct SagaLocation *at);
extern void saga_compile_compensate(struct SagaCheck *check, SagaState *state,
									const JsonbValue *object, const struct SagaLocation *at);

/* number.c */
typedef enum SagaNumberFault
{
	SAGA_NUMBER_OK,
	SAGA_NUMBER_NO_NUMBER,
	SAGA_NUMBER_NO_INTEGER,
	SAGA_NUMBER_TOO_SMALL,
	SAGA_NUMBER_TOO_LARGE
} SagaNumberFault;

extern SagaNumberFault saga_asl_number_to_int64(const JsonbValue *value, int64 min, int64 max, int64 *result);
extern bool saga_asl_number_to_double(const JsonbValue *value, double *result);
extern char *saga_asl_format_rfc3339(TimestampTz timestamp);
extern bool saga_asl_jsonb_scalar(const Jsonb *jsonb, JsonbValue *result);
extern bool saga_asl_jsonb_exceeds(Jsonb *jsonb, int64 limit);

#endif							/* SAGA_MACHINE_PRIVATE_H */
