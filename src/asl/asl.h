/*
 * asl.h
 *		Amazon States Language: a definition is checked and compiled once into
 *		a machine; a run of it is a pure function of machine, state and event.
 *
 * Nothing here touches a table, SPI, a GUC, a clock or a random source: the
 * caller passes the time with each call, and randomness and token texts
 * through SagaRunEnv.  So it can be tested and fuzzed from one SQL function
 * (saga.simulate).
 *
 * Memory: a machine lives in a context of its own; a run, and all that its
 * actions point to, in the context that was current when it was started or
 * thawed.  Texts and values of answers are copied; the machine, the input and
 * the texts of SagaRunEnv must live as long as the run.
 */
#ifndef SAGA_ASL_H
#define SAGA_ASL_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "jsonpath/jsonpath.h"

/* ---------- definitions ---------- */

typedef struct SagaDiagnostic
{
	bool		is_error;		/* else a warning */
	const char *code;			/* AWS's names: MISSING_TRANSITION_TARGET, SCHEMA_VALIDATION_FAILED ... */
	char	   *location;		/* JSON pointer, "/States/A/Next"; "/" is the whole */
	char	   *message;
} SagaDiagnostic;

typedef enum SagaResourceKind
{
	SAGA_RES_SQL,				/* sql:schema.function; name = "schema.function" */
	SAGA_RES_PUBLISH,			/* saga:publish */
	SAGA_RES_HTTP,				/* arn:aws:states:::http:invoke */
	SAGA_RES_SNS,				/* arn:aws:states:::sns:publish */
	SAGA_RES_SQS,				/* arn:aws:states:::sqs:sendMessage */
	SAGA_RES_START_EXECUTION,	/* arn:aws:states:::states:startExecution */
	SAGA_RES_ACTIVITY,			/* arn:...:activity:NAME; name = NAME */
	SAGA_RES_UNDO_CHILDREN,		/* in no definition: what undoes the children of a state */
	SAGA_RES_TABLE,				/* saga:table, where items come from or results go to */
	SAGA_RES_OTHER				/* to be looked up in saga.resource; name = the ARN without its suffix */
} SagaResourceKind;

typedef struct SagaResource
{
	SagaResourceKind kind;
	char	   *name;
	char	   *text;			/* as written */
	bool		wait_for_token; /* .waitForTaskToken */
	int			sync;			/* 0, 1 = .sync, 2 = .sync:2 */
} SagaResource;

/* Returns false when the text is no resource URI at all. */
extern bool saga_resource_parse(const char *text, SagaResource *resource);

/* The name in a StateMachineArn, with what follows it: "arn:aws:states:REGION:ACCOUNT:stateMachine:NAME", "saga:NAME", "NAME". */
extern const char *saga_resource_workflow(const char *text);

typedef struct SagaMachine SagaMachine;

/*
 * Compiles a definition.  *diagnostics is a list of SagaDiagnostic; when one
 * of them is an error the result is NULL.  Never raises for a wrong
 * definition.
 */
extern SagaMachine *saga_machine_compile(Jsonb *definition, List **diagnostics);

/*
 * Every state of a definition as it was written, those of branches and of
 * processors behind theirs; location is a JSON pointer.  Of what is no valid
 * definition, as many as can be found.
 */
typedef void (*saga_state_fn) (const char *name, const char *location, const JsonbValue *state, void *arg);
extern void saga_definition_each_state(Jsonb *definition, saga_state_fn fn, void *arg);

/* Every resource of a Task, once each (for checks at creation): list of SagaResource. */
extern List *saga_machine_resources(const SagaMachine *machine);

/* May an execution of it have children: others that it waits for, or the items of a distributed Map? */
extern bool saga_machine_has_children(const SagaMachine *machine);

/* ---------- runs ---------- */

/* What is known of a call outside, in the caller's transaction. */
typedef enum SagaFate
{
	SAGA_FATE_NONE,				/* there is no such call */
	SAGA_FATE_NO_EFFECT,		/* it has none, and never will: taken back, or refused */
	SAGA_FATE_ANSWERED,			/* its answer is there: an event that is on its way */
	SAGA_FATE_DONE,				/* it was done, as "output" says; no event will come */
	SAGA_FATE_IN_DOUBT,			/* how it went is being found out: an event will come */
	SAGA_FATE_SUSPECTED,		/* nobody can find out, and undoing what was not done does no harm */
	SAGA_FATE_UNKNOWN			/* nobody can find out */
} SagaFate;

typedef enum SagaWish
{
	SAGA_WISH_IDENTIFY,			/* only its ids; of saga:publish, whether it is done or IN_DOUBT, too */
	SAGA_WISH_RETRY,			/* still wanted, unless it can be taken back */
	SAGA_WISH_SETTLE,			/* not wanted any more, and to be undone if it was done */
	SAGA_WISH_TAKE_BACK,		/* the same, of a message whose state has completed: saga:publish */
	SAGA_WISH_DROP,				/* not wanted any more */
	SAGA_WISH_ADOPT				/* the call of the execution that this one undoes is its task from now on; DONE: it is */
} SagaWish;

typedef struct SagaOutside
{
	int			task_id;
	bool		activity;		/* the task of an activity, which a worker may have */
	bool		answered;		/* its failure in doubt has come */

	/* filled in; to adopt it, message_id says which one is meant */
	SagaFate	fate;
	Jsonb	   *output;			/* DONE */
	const char *destination;	/* these are NULL without a call */
	const char *message_id;
	const char *key;
} SagaOutside;

/* What a run comes to in a state: for who wants to know what a set of runs has come to. */
typedef enum SagaCovered
{
	SAGA_COVERED_ENTERED,		/* the state itself; of a handler: it has been started */
	SAGA_COVERED_LEFT,			/* by Next, End or Default */
	SAGA_COVERED_CHOICE,		/* one of Choices */
	SAGA_COVERED_RETRY,			/* one of Retry: another attempt */
	SAGA_COVERED_CATCH,			/* one of Catch */
	SAGA_COVERED_UNDONE			/* by Compensate */
} SagaCovered;

struct SagaState;

typedef struct SagaRunEnv
{
	/* for the context object */
	const char *execution_id;	/* $$.Execution.Id */
	const char *execution_name;
	const char *role;			/* $$.Execution.RoleArn: the owner's name */
	const char *machine_id;		/* $$.StateMachine.Id */
	const char *machine_name;
	TimestampTz started_at;		/* $$.Execution.StartTime */

	int			redrive_count;	/* $$.Execution.RedriveCount */

	int64		data_limit;		/* most bytes of JSON of a result or output (AWS: 262144); 0: any */
	int			map_concurrency;	/* most items of an inline Map that run at once; 0: AWS's 40 */
	bool		express;		/* as AWS's EXPRESS: no history, no RedriveCount */
	bool		distributed;	/* the caller runs the items of a distributed Map; else they are run inline */
	bool		redrivable;		/* when it fails, what saga_run_redrive() needs is wanted */

	uint64		(*random) (void *arg);
	char	   *(*make_token) (void *arg, int task_id, const SagaResource *resource);	/* text of $$.Task.Token, palloc'd */
	void		(*call_fate) (void *arg, SagaWish wish, SagaOutside *call); /* NULL: there are no calls outside */
	void		(*took) (void *arg, const struct SagaState *state, SagaCovered what, int index);	/* of several; NULL: nobody asks */
	void	   *arg;
} SagaRunEnv;

typedef struct SagaRun SagaRun;

typedef enum SagaActionKind
{
	SAGA_ACTION_TASK,			/* start this task, then answer with one of saga_run_task_* */
	SAGA_ACTION_PARK,			/* nothing to do before an event or wake_at */
	SAGA_ACTION_FINISHED		/* the end */
} SagaActionKind;

typedef enum SagaStatus
{
	SAGA_RUNNING,
	SAGA_SUCCEEDED,
	SAGA_FAILED,
	SAGA_TIMED_OUT,
	SAGA_ABORTED,
	SAGA_COMPENSATING
} SagaStatus;

extern const char *saga_asl_status_name(SagaStatus status);

/* Where AWS reads items from, here bound to a function (saga.bind_resource), and where it writes their results. */
#define SAGA_S3_GET_OBJECT		"arn:aws:states:::s3:getObject"
#define SAGA_S3_LIST_OBJECTS	"arn:aws:states:::s3:listObjectsV2"
#define SAGA_S3_PUT_OBJECT		"arn:aws:states:::s3:putObject"

/* What an ItemReader says of the text that it reads. */
typedef struct SagaReaderConfig
{
	char	   *input_type;		/* JSON, JSONL, CSV ...; NULL: JSON */
	char	   *items_pointer;	/* a JSON pointer to the items in it; NULL: it is the items */
	List	   *csv_headers;	/* names of the columns of a CSV file; NIL: its first line has them */
	char		csv_delimiter;
} SagaReaderConfig;

/* The items of a distributed Map: the caller runs each, or each batch of them, by saga_run_start_item(). */
typedef struct SagaMapCall
{
	const char *name;			/* of this run of it, in the history: the execution's id, the label, the task */
	Jsonb	   *items;			/* an array; NULL: they are read */
	bool		keyed;			/* of an object: they are {"Key", "Value"} */
	const SagaResource *reader;
	const SagaReaderConfig *reader_config;	/* of its texts */
	Jsonb	   *reader_input;
	int64		max_items;		/* of the reader's; 0: all; less: it fails */
	int64		concurrency;	/* 0: as many as the caller likes */
	int64		tolerated_count;	/* -1: no such limit */
	double		tolerated_percentage;	/* -1: no such limit; without both limits no item may fail */
	int64		batch_items;	/* ItemBatcher; 0: no such limit */
	int64		batch_bytes;
	Jsonb	   *batch_input;	/* NULL: none */
	const SagaResource *writer; /* of the results; NULL: they are the task's result */
	Jsonb	   *writer_input;
} SagaMapCall;

typedef struct SagaAction
{
	SagaActionKind kind;

	/* TASK */
	int			task_id;		/* counts attempts: a retry has a new one */
	int			call_id;		/* the same for all attempts of one visit of a state: part of idempotency keys */
	bool		compensation;	/* this is a handler */
	int			undoes;			/* then: the task_id of what it undoes, 0: that had none */
	bool		resume;			/* the call of this task is in doubt: go on with it, make no other one */
	bool		answered;		/* then: its failure has come */
	const char *state_name;
	const SagaResource *resource;
	Jsonb	   *input;			/* effective input (after InputPath and Parameters) */
	const char *token;			/* task token, of wait_for_token, sync and an activity; else NULL */
	int64		timeout_ms;		/* effective TimeoutSeconds, 0: none */
	bool		commit;			/* Commit: nothing more is run before its answer is committed */
	bool		undone_later;	/* the state has Compensate */
	const SagaMapCall *map;		/* a distributed Map, which has no resource; NULL: it is none */
	int			redrives;		/* then: the task of its run before, which has failed, and goes on if it can; 0: there is none */

	/* PARK */
	TimestampTz wake_at;		/* earliest wait, retry or timeout; DT_NOEND: none */

	/* FINISHED */
	SagaStatus	status;
	Jsonb	   *output;			/* SUCCEEDED */
	const char *error;			/* else, may be NULL */
	const char *cause;
	const char *failed_state;	/* the innermost state that has failed, or in which it was ended; NULL: not known */
	Jsonb	   *report;			/* of that failure, as SagaTaskError's */
	Jsonb	   *compensated;	/* array of names of the states undone, in that order; NULL: none */
	Jsonb	   *not_compensated;	/* array of what was not undone, as run_end.c makes it; NULL: nothing */
	Jsonb	   *left;			/* what saga_run_undo needs of those that have a message; NULL: nothing */
	Jsonb	   *effects;		/* array of {"state","message_id"} of calls without Compensate that were given up; NULL: none */
	bool		open;			/* not_compensated has more than it had when the execution was redriven */
	Jsonb	   *standing;		/* what saga_run_redrive() needs to know of this end; NULL: it is not to be redriven */
	int			redriven;		/* then: how often it was, before this end */
} SagaAction;

extern SagaRun *saga_run_start(const SagaMachine *machine, const SagaRunEnv *env,
							   Jsonb *input, TimestampTz now);

/* A run of the processor of a distributed Map, for one item: an execution of its own. */
extern SagaRun *saga_run_start_item(const SagaMachine *machine, const char *map_state, const SagaRunEnv *env,
									Jsonb *input, TimestampTz now);

/* One item of a Map, as the context object has it. */
typedef struct SagaMapItem
{
	int64		index;
	Jsonb	   *value;
	bool		keyed;			/* "value" is {"Key", "Value"}, a member of an object */
	const char *source;
} SagaMapItem;

/* Where items come from that are in the state's data. */
#define SAGA_STATE_DATA			"STATE_DATA"

/* What ItemSelector makes of an item of an open distributed Map; NULL, and *error (with *cause) is set: it fails. */
extern Jsonb *saga_run_item_input(SagaRun *run, int task_id, const SagaMapItem *item, const char **error,
								  const char **cause);

/* items.c: items that are read. */
extern Jsonb *saga_asl_items_parse(const SagaReaderConfig *reader, const char *text, int len, char **fault);
extern Jsonb *saga_asl_items_pointed(Jsonb *value, const char *pointer);
extern Jsonb *saga_asl_items_of(Jsonb *value, bool *keyed);

/* A parked run as one jsonb (with a format version), and back. */
extern Jsonb *saga_run_freeze(SagaRun *run);
extern SagaRun *saga_run_thaw(const SagaMachine *machine, const SagaRunEnv *env, Jsonb *frozen);

/*
 * Why a run that was parked with this machine could not be thawed with another
 * one, and go on: it names the first state that is in the way.  NULL: it could.
 */
extern char *saga_run_misfit(const SagaMachine *machine, const SagaMachine *other, Jsonb *frozen);

/*
 * After the end: a run that does nothing but undo the call of this message,
 * of what SagaAction.left kept.  It succeeds or fails as the handler does.
 * output: what the call has answered; NULL: what is known of that.  *input
 * becomes the handler's.  NULL: nothing was kept of it.
 */
extern SagaRun *saga_run_undo(const SagaMachine *machine, const SagaRunEnv *env, Jsonb *left, const char *message_id,
							  Jsonb *output, TimestampTz now, Jsonb **input);

/*
 * After the end of one that has succeeded: what it has done, to be undone when
 * whoever started it fails (NULL: nothing), and a run that undoes all of it,
 * the last step first, for that error.  Messages that it has sent are this
 * run's then.  undo false: it does nothing, and is there to be stopped, which
 * lists what was done.
 */
extern Jsonb *saga_run_done(SagaRun *run);
extern SagaRun *saga_run_undo_all(const SagaMachine *machine, const SagaRunEnv *env, Jsonb *done, const char *error,
								  const char *cause, bool undo, TimestampTz now);

/*
 * Redriving.  point: where the run has failed, known since then to the
 * process in which that happened, and to be kept by the caller (NULL: nothing
 * is to be kept); with what the end has said in "standing" it is a run again,
 * which goes on there, or at the first state that was undone.  record: {"compensated",
 * "not_compensated", "effects"} as they are recorded now.  input: of the
 * state that is entered again; NULL: as it was.  *entered becomes how many
 * are: with an input there must be one.  saga_run_point_calls: the visits, by
 * their call_id, that had not ended, each of which is made once more.
 */
extern Jsonb *saga_run_point(const SagaRun *run);
extern List *saga_run_point_calls(const SagaMachine *machine, const SagaRunEnv *env, Jsonb *point);
extern SagaRun *saga_run_redrive(const SagaMachine *machine, const SagaRunEnv *env, Jsonb *point, Jsonb *standing,
								 Jsonb *record, Jsonb *input, int redrives, TimestampTz now, int *entered);

/*
 * The next thing to do.  Runs every branch as far as it gets without the
 * caller.  Waits, retries and timeouts that are due at "now" fire first.
 */
extern void saga_run_next(SagaRun *run, TimestampTz now, SagaAction *action);

/* How a task failed.  Retry and Catch match either name. */
typedef struct SagaTaskError
{
	const char *error;			/* may be NULL */
	const char *cause;			/* may be NULL */
	const char *other;			/* in doubt: what it would be called otherwise; NULL: nothing else */
	Jsonb	   *report;			/* what else a SQL error has said: {"detail", "hint", "context"}; NULL: nothing */
	bool		in_doubt;		/* a call outside, which may have had its effect */
} SagaTaskError;

/*
 * Answers.  "parked" says that an event will come later; the others may come
 * at once or after a thaw.  They return false, and change nothing, when the
 * task is not open any more (timed out, retried, its branch is gone).
 */
extern void saga_run_task_parked(SagaRun *run, int task_id, Jsonb *output, TimestampTz now);	/* output: what a step said; or NULL */
extern bool saga_run_task_succeeded(SagaRun *run, int task_id, Jsonb *output, TimestampTz now);
extern bool saga_run_task_failed(SagaRun *run, int task_id, const SagaTaskError *error, TimestampTz now);
extern bool saga_run_task_heartbeat(SagaRun *run, int task_id, TimestampTz now);

/* A worker (NULL: without a name) has taken the task of an activity; of anything else this says nothing. */
extern bool saga_run_task_started(SagaRun *run, int task_id, const char *worker, TimestampTz now);

/*
 * An answer that comes after its time limit, but before saga_run_next() has
 * fired that, still counts: what was done is done.
 */

/* The open task of a token; 0 when there is none. */
extern int	saga_run_find_token(SagaRun *run, const char *token);

/* Ask it to end: status ABORTED, after compensation if wanted. */
extern void saga_run_stop(SagaRun *run, const char *error, const char *cause, bool compensate,
						  TimestampTz now);

/* Fail, after compensation: status FAILED.  The engine gives up (poison, trouble without end). */
extern void saga_run_give_up(SagaRun *run, const char *error, const char *cause, TimestampTz now);

/* End now, without compensation: a handler is what crashes. */
extern void saga_run_kill(SagaRun *run, const char *error, const char *cause, TimestampTz now);

extern SagaStatus saga_run_status(const SagaRun *run);	/* RUNNING or COMPENSATING while it lives */
extern const char *saga_run_current_state(const SagaRun *run);	/* of the outermost open state */

/* What a parked run waits for; several of them are bits of one number. */
typedef enum SagaWaitsFor
{
	SAGA_WAITS_NOTHING,			/* another thread of the run, or the outcome of a call */
	SAGA_WAITS_WORKER,			/* it can go on */
	SAGA_WAITS_RETRY,
	SAGA_WAITS_TIMER,			/* a Wait */
	SAGA_WAITS_CALL,			/* a message for a destination, until it was answered */
	SAGA_WAITS_CALLBACK,		/* the same, until its task token is answered */
	SAGA_WAITS_TOKEN,
	SAGA_WAITS_ACTIVITY,
	SAGA_WAITS_CHILD
} SagaWaitsFor;

typedef struct SagaWaiting
{
	uint32		what;			/* 1 << SagaWaitsFor */
	TimestampTz since;			/* DT_NOEND: it waits for an outcome alone */
	TimestampTz until;			/* when it goes on, or fails, by itself; DT_NOEND: never */
	int			attempt;		/* the one that is under way, or comes next; 0: of nothing */
	const char *last_error;		/* of the state's last attempt, or why it is undone; NULL: none */
	const char *failed_state;	/* NULL: it has not failed */
} SagaWaiting;

extern void saga_run_waiting(const SagaRun *run, SagaWaiting *waiting);
extern char *saga_run_waiting_for(const SagaRun *run);	/* the outcome of a call that was given up; NULL: of none */
extern Jsonb *saga_run_context(SagaRun *run, int task_id);	/* the context object as that task sees it */

/* ---------- diagrams ---------- */

/*
 * A machine to be drawn; with the events of an execution, all of them in their
 * order (name and handler: of its details, may be NULL), and at last how it stands.
 */
typedef struct SagaDiagram SagaDiagram;

extern SagaDiagram *saga_diagram_begin(const SagaMachine *machine, bool of_execution);
extern void saga_diagram_event(SagaDiagram *diagram, int64 id, int64 previous_id, const char *type, const char *name,
							   const char *handler);
extern void saga_diagram_ended(SagaDiagram *diagram, SagaStatus status);

/* As a graph of Graphviz, else as a state diagram of Mermaid. */
extern char *saga_diagram_text(const SagaDiagram *diagram, bool dot);

/* ---------- history ---------- */

/*
 * The events since start or thaw, as one compact binary value (bytea): each
 * event is a few bytes; a jsonb that several events name is kept once. The execution's
 * input and output, known by their addresses, are not repeated in it: the
 * caller keeps them, and hands them to saga.history_events() (NULL: it keeps
 * none).
 */
extern bytea *saga_run_history(SagaRun *run, Jsonb *input, Jsonb *output);

#endif							/* SAGA_ASL_H */
