/*
 * history_private.h
 *		Events of a run: noted as small structs that point to what they name,
 *		written as one binary value when the caller stores it.
 */
#ifndef SAGA_HISTORY_PRIVATE_H
#define SAGA_HISTORY_PRIVATE_H

#include "asl/machine_private.h"

/*
 * These numbers are stored: append only, change none.  The events of one
 * family follow each other in the same order.
 */
typedef enum SagaEventType
{
	SAGA_EVENT_EXECUTION_STARTED = 1,
	SAGA_EVENT_EXECUTION_SUCCEEDED = 2,
	SAGA_EVENT_EXECUTION_FAILED = 3,
	SAGA_EVENT_EXECUTION_TIMED_OUT = 4,
	SAGA_EVENT_EXECUTION_ABORTED = 5,
	SAGA_EVENT_EXECUTION_REDRIVEN = 6,

	/* + SagaStateType */
	SAGA_EVENT_STATE_ENTERED = 10,
	SAGA_EVENT_STATE_EXITED = 20,
	SAGA_EVENT_STATE_ABORTED = 30,

	/* + SagaTaskEvent */
	SAGA_EVENT_TASK = 40,
	SAGA_EVENT_LAMBDA = 50,
	SAGA_EVENT_ACTIVITY = 60,

	SAGA_EVENT_PARALLEL_STARTED = 70,
	SAGA_EVENT_PARALLEL_FAILED = 71,
	SAGA_EVENT_MAP_STARTED = 72,
	SAGA_EVENT_MAP_FAILED = 73,
	SAGA_EVENT_MAP_SUCCEEDED = 74,
	SAGA_EVENT_ITERATION_STARTED = 75,
	SAGA_EVENT_ITERATION_SUCCEEDED = 76,
	SAGA_EVENT_ITERATION_FAILED = 77,
	SAGA_EVENT_ITERATION_ABORTED = 78,

	SAGA_EVENT_COMPENSATION_STARTED = 80,
	SAGA_EVENT_COMPENSATION_SUCCEEDED = 81,
	SAGA_EVENT_COMPENSATION_FAILED = 82,

	SAGA_EVENT_MAP_RUN_STARTED = 90,
	SAGA_EVENT_MAP_RUN_SUCCEEDED = 91,
	SAGA_EVENT_MAP_RUN_FAILED = 92,
	SAGA_EVENT_MAP_RUN_ABORTED = 93,
	SAGA_EVENT_MAP_RUN_REDRIVEN = 94,

	SAGA_EVENT_EVALUATION_FAILED = 100,

	SAGA_EVENT_TYPES
} SagaEventType;

typedef enum SagaTaskEvent
{
	SAGA_TASK_SCHEDULED,
	SAGA_TASK_STARTED,
	SAGA_TASK_SUBMITTED,
	SAGA_TASK_SUCCEEDED,
	SAGA_TASK_FAILED,
	SAGA_TASK_TIMED_OUT,
	SAGA_TASK_REPORTED			/* failed, with a report; of no activity */
} SagaTaskEvent;

/* The name of a value whose members are details by themselves; there are so many at most. */
#define SAGA_EVENT_REPORT	"report"
#define SAGA_REPORT_MEMBERS	3

#define SAGA_EVENT_STRINGS	5
#define SAGA_EVENT_VALUES	2
#define SAGA_EVENT_NUMBERS	2

/* What each of them means depends on the type: see saga_asl_event_shape(). */
typedef struct SagaEventRecord
{
	SagaEventType type;
	int64		previous_id;
	TimestampTz timestamp;
	const char *strings[SAGA_EVENT_STRINGS];
	Jsonb	   *values[SAGA_EVENT_VALUES];
	int64		numbers[SAGA_EVENT_NUMBERS];	/* the number + 1; 0: absent */
} SagaEventRecord;

/* The names of an event's details, in the order of its record; NULL ends each list. */
typedef struct SagaEventShape
{
	const char *type;			/* NULL: no such event */
	const char *strings[SAGA_EVENT_STRINGS];
	const char *values[SAGA_EVENT_VALUES];
	const char *numbers[SAGA_EVENT_NUMBERS];
} SagaEventShape;

typedef struct SagaHistory
{
	MemoryContext context;
	bool		off;			/* count, but keep nothing */
	int64		first_id;		/* of events[0] */
	int64		next_id;
	SagaEventRecord *events;
	int			nevents;
	int			size;
	SagaEventRecord scratch;	/* filled in vain when off */
} SagaHistory;

extern const SagaEventShape *saga_asl_event_shape(int type);

extern void saga_history_init(SagaHistory *history, MemoryContext context, int64 next_id, bool off);

/* The new event's record, zeroed but for its type; its id is next_id - 1. */
extern SagaEventRecord *saga_history_add(SagaHistory *history, SagaEventType type);
extern bytea *saga_history_encode(const SagaHistory *history, const Jsonb *input, const Jsonb *output);

/* ---------- reading: history_decode.c ---------- */

typedef struct SagaEvent
{
	int64		id;
	int64		previous_id;
	const char *type;			/* as in the AWS API: "TaskStateEntered" */
	TimestampTz timestamp;
	Jsonb	   *details;
} SagaEvent;

typedef void (*SagaEventFunction) (const SagaEvent *event, void *arg);

/*
 * Decodes one stored value and calls fn for each event; raises
 * ERRCODE_DATA_CORRUPTED if it is none.  An event's details are gone when fn
 * returns: many of them may have one large value.  All together they have
 * *room bytes at most; what is left of it is there afterwards.
 */
extern void saga_history_decode(bytea *history, Jsonb *input, Jsonb *output, Size *room,
								SagaEventFunction fn, void *arg);

/* history_check.c: is this the binary form of a jsonb, safe to look into? */
extern bool saga_asl_jsonb_is_sound(const char *data, int length);

#endif							/* SAGA_HISTORY_PRIVATE_H */
