/*
 * simulate_private.h
 *		What the files of saga.simulate() share.
 */
#ifndef SAGA_SIMULATE_PRIVATE_H
#define SAGA_SIMULATE_PRIVATE_H

#include "asl/check_private.h"

/* What the script says about one state, found once. */
typedef struct SagaScript
{
	const char *state_name;		/* the machine's own string: compared by address */
	bool		known;
	JsonbValue	answer;
	int			calls;
} SagaScript;

/* An answer that comes later. */
typedef struct SagaPending
{
	int			task_id;
	TimestampTz at;
	TimestampTz heartbeat_at;
	int64		heartbeat_ms;	/* 0: sends none */
	JsonbValue	answer;
	Jsonb	   *input;
} SagaPending;

typedef struct SagaSimulation
{
	/* fixed */
	SagaMachine *machine;
	SagaRunEnv	env;
	Jsonb	   *input;
	JsonbValue	responses;
	TimestampTz start;
	int64		max_events;
	int64		repeat;
	bool		freeze;
	bool		raw_history;	/* show it as stored, too */
	TimestampTz stop_at;
	char	   *stop_error;
	char	   *stop_cause;
	bool		stop_compensate;

	/* one run */
	SagaRun    *run;
	TimestampTz now;
	uint64		random_state;
	List	   *scripts;		/* of SagaScript */
	List	   *pending;		/* of SagaPending */
	List	   *histories;		/* of bytea */
	SagaAction	action;			/* the last one */
	bool		unanswered;		/* action is a task without an answer */

	struct SagaCoverage *coverage;	/* NULL: nobody counts */
} SagaSimulation;

/*
 * simulate.c: what is to be simulated, and one run of it in the current memory
 * context.  Raises INVALID_PARAMETER_VALUE.
 */
extern void saga_simulation_set(SagaSimulation *sim, Jsonb *input, Jsonb *responses, Jsonb *options);
extern SagaMachine *saga_simulation_compile(Jsonb *definition, bool express);
extern void saga_simulation_run(SagaSimulation *sim);

/* simulate_result.c */
extern Jsonb *saga_simulation_result(SagaSimulation *sim, double microseconds);

#endif							/* SAGA_SIMULATE_PRIVATE_H */
