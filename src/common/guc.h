/*
 * guc.h
 *		The settings pg_saga.*, as variables. Times in milliseconds; a retention of 0 keeps all.
 */
#ifndef SAGA_GUC_H
#define SAGA_GUC_H

/* processes: postgresql.conf, taken over at a reload */
extern char *saga_databases;	/* names, separated by commas; "": all that have the extension */
extern int	saga_workers;		/* per database */
extern int	saga_publishers;	/* per database */
extern bool saga_sources;		/* messages are taken from sources */
extern int	saga_worker_idle_timeout_ms;	/* an idle worker leaves after it */
extern int	saga_sweep_interval_ms;
extern int	saga_step_timeout_ms;	/* of a step while others wait for its worker; 0: none */

/* batches */
extern int	saga_batch_size;	/* executions for one commit */
extern int	saga_batch_time_ms; /* and no longer than this */
extern int	saga_step_lock_timeout_ms;	/* a step in a batch waits no longer for a lock */
extern int	saga_payload_limit_kb;	/* JSON of a result or an output; 0: any */
extern int	saga_definition_limit_kb;	/* of a definition, as jsonb */
extern int	saga_map_concurrency;	/* items of an inline Map at once, whatever MaxConcurrency says */
extern int	saga_crash_limit;	/* crashes of the server during one execution */
extern int	saga_answer_limit_kb;	/* of one answer, unless its destination has another */
extern int	saga_request_memory_kb; /* of all requests that a publisher has and that have not ended */
extern int	saga_answer_memory_kb;	/* of all answers that a publisher has and has not recorded */

/* retention, in minutes (GUC_UNIT_MIN) */
extern double saga_execution_retention_min;
extern double saga_dead_letter_retention_min;
extern double saga_outbox_retention_min;

/* where credentials for AWS come from, unless a destination names its own */
typedef enum SagaAwsLink
{
	SAGA_AWS_AUTO,				/* all of the following but the last, in this order */
	SAGA_AWS_ENVIRONMENT,
	SAGA_AWS_WEB_IDENTITY,
	SAGA_AWS_FILE,
	SAGA_AWS_CONTAINER,
	SAGA_AWS_IMDS,
	SAGA_AWS_SECRET				/* a named secret alone */
} SagaAwsLink;

extern int	saga_aws_link;

/* network */
extern char *saga_proxy;		/* "": none */
extern char *saga_no_proxy;		/* hosts, separated by commas */
extern char *saga_ca_file;		/* "": the system's */
extern bool saga_dump_secrets;	/* read by pg_dump only, in the table's condition */
extern bool saga_keep_owners;	/* a role that owns something of ours is not dropped */

extern void saga_guc_define(void);	/* from _PG_init */

#endif							/* SAGA_GUC_H */
