/*
 * test_state_private.h
 *		What the files of saga.test_state() share.
 */
#ifndef SAGA_TEST_STATE_PRIVATE_H
#define SAGA_TEST_STATE_PRIVATE_H

#include "asl/run_private.h"

/* Against what a mocked result is checked: the model of the API that it stands for. */
typedef enum SagaMockMode
{
	SAGA_MOCK_STRICT,			/* what the API always answers is there, and all of it fits */
	SAGA_MOCK_PRESENT,			/* what is there fits */
	SAGA_MOCK_NONE				/* nothing is checked */
} SagaMockMode;

/* What a Task's call, or all that is inside a Map or Parallel, is said to have come to. */
typedef struct SagaMock
{
	bool		given;
	Jsonb	   *result;			/* NULL: it has failed */
	const char *error;
	const char *cause;
	SagaMockMode mode;
} SagaMock;

/* What is looked at on the way through the state; NULL: it has not come so far, or has no such thing. */
typedef struct SagaInspection
{
	Jsonb	   *after_input_path;
	Jsonb	   *after_parameters;
	Jsonb	   *after_items_path;
	Jsonb	   *after_items_pointer;
	Jsonb	   *after_item_selector;	/* an array with what each item becomes */
	Jsonb	   *after_item_batcher; /* an array of the batches */
	Jsonb	   *result;
	Jsonb	   *after_result_selector;
	Jsonb	   *after_result_path;
	int64		max_concurrency;	/* these are -1 when absent */
	int64		tolerated_count;
	double		tolerated_percentage;
	int			retry_index;
	int			catch_index;
	int64		backoff_seconds;
} SagaInspection;

typedef struct SagaTest
{
	/* what is asked for */
	SagaMachine *machine;
	const SagaState *state;
	SagaRunEnv	env;
	uint64		random_state;
	TimestampTz now;
	Jsonb	   *input;
	Jsonb	   *context;		/* the context object, "$$" */
	Jsonb	   *variables;		/* NULL: none */
	SagaMock	mock;
	bool		inspect;		/* of level DEBUG or TRACE */
	int64		retries;		/* these are -1 when not said */
	int64		failed_items;
	const char *culprit;		/* the state inside a Map or Parallel that has failed; NULL: not said */
	Jsonb	   *reader_data;	/* what the ItemReader of a Map has read; NULL: not said */

	/* the state on its way */
	SagaRun    *run;
	SagaThread *thread;

	/* what has become of it */
	const char *status;
	Jsonb	   *output;			/* NULL: none */
	const char *error;
	const char *cause;
	const char *next_state;		/* NULL: none */
	SagaInspection found;
} SagaTest;

/* test_state_model.c: what is wrong with a result as that of the resource; NULL: nothing, or nobody knows */
extern char *saga_model_fault(const SagaResource *resource, Jsonb *result, bool strict);

/* test_state_args.c */
extern void saga_test_read_options(SagaTest *test, Jsonb *options);
extern void saga_test_read_mock(SagaTest *test, Jsonb *mock);
extern void saga_test_check_options(SagaTest *test);
extern Jsonb *saga_test_object(Jsonb *value, const char *name);

/* test_state_context.c */
extern Jsonb *saga_test_context(const SagaTest *test);
extern Jsonb *saga_test_item(const SagaMapItem *item);
extern int64 saga_test_context_retries(Jsonb *context);
extern void saga_test_use_context(SagaTest *test);

/* test_state_reader.c */
extern int	saga_test_count(Jsonb *items);
extern Jsonb *saga_test_element(Jsonb *items, int index);
extern Jsonb *saga_test_read_items(SagaTest *test, bool *keyed, SagaFault *fault);

/* test_state_map.c */
extern SagaTransition saga_test_map(SagaTest *test);

/* test_state_run.c */
extern void saga_test_one(SagaTest *test);

/* test_state_result.c */
extern Jsonb *saga_test_result(const SagaTest *test);

#endif							/* SAGA_TEST_STATE_PRIVATE_H */
