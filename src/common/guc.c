/*
 * guc.c
 *		The settings pg_saga.*.
 *
 * Settings of processes are PGC_SIGHUP; those of batches also matter to
 * saga.drain() and can be set by a superuser in a session.  None of them may
 * be a plain user's: a worker's session is its owner's, and takes over what
 * ALTER ROLE ... SET says.
 *
 * Where 0 means "never" or "no limit" the setting is a real number: the
 * server rounds an integer to its unit, and so what is less than half of it,
 * '1s' of minutes, would be the contrary of what was meant.
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "common/guc.h"
#include "utils/guc.h"
#include "utils/varlena.h"

char	   *saga_databases = NULL;
int			saga_workers = 2;
int			saga_publishers = 1;
bool		saga_sources = true;
int			saga_worker_idle_timeout_ms = 60 * 1000;
int			saga_sweep_interval_ms = 10 * 60 * 1000;
int			saga_step_timeout_ms = 0;
int			saga_batch_size = 50;
int			saga_batch_time_ms = 50;
int			saga_step_lock_timeout_ms = 10;
int			saga_payload_limit_kb = 256;
int			saga_definition_limit_kb = 2048;
int			saga_map_concurrency = 40;
int			saga_crash_limit = 3;
int			saga_answer_limit_kb = 4096;
int			saga_answer_memory_kb = 64 * 1024;
int			saga_request_memory_kb = 64 * 1024;
double		saga_execution_retention_min = 0;
double		saga_dead_letter_retention_min = 0;
double		saga_outbox_retention_min = 0;
int			saga_aws_link = SAGA_AWS_AUTO;
char	   *saga_proxy = NULL;
char	   *saga_no_proxy = NULL;
char	   *saga_ca_file = NULL;
bool		saga_dump_secrets = false;
bool		saga_keep_owners = true;

/* As they were given; the variables above are rounded up. */
static double sweep_interval = 10 * 60 * 1000;
static double step_timeout = 0;
static double payload_limit = 256;

static const struct config_enum_entry aws_links[] = {
	{"auto", SAGA_AWS_AUTO, false},
	{"environment", SAGA_AWS_ENVIRONMENT, false},
	{"web_identity", SAGA_AWS_WEB_IDENTITY, false},
	{"file", SAGA_AWS_FILE, false},
	{"container", SAGA_AWS_CONTAINER, false},
	{"imds", SAGA_AWS_IMDS, false},
	{"secret", SAGA_AWS_SECRET, false},
	{NULL, 0, false}
};

/* Only the syntax: a database may be created later. */
static bool
check_databases(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *names;
	bool		ok = SplitGUCList(copy, ',', &names);

	if (!ok)
		GUC_check_errdetail("List syntax is invalid.");
	else
		list_free(names);
	pfree(copy);
	return ok;
}

/*
 * Rounded up, so that nothing above 0 becomes 0, which means "never"; so the
 * next two.
 */
static void
assign_sweep_interval(double newval, void *extra)
{
	saga_sweep_interval_ms = (int) ceil(newval);
}

static void
assign_step_timeout(double newval, void *extra)
{
	saga_step_timeout_ms = (int) ceil(newval);
}

static void
assign_payload_limit(double newval, void *extra)
{
	saga_payload_limit_kb = (int) ceil(newval);
}

/* How many processes there are and when they look for work. */
static void
define_process_settings(void)
{
	DefineCustomStringVariable("pg_saga.databases",
							   "Databases whose work is done by background workers.",
							   "Names separated by commas; empty: every database that has the extension.",
							   &saga_databases, "", PGC_SIGHUP, GUC_LIST_INPUT,
							   check_databases, NULL, NULL);
	DefineCustomIntVariable("pg_saga.workers",
							"Number of workers per database that run executions.",
							NULL,
							&saga_workers, 2, 0, 1000, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_saga.publishers",
							"Number of processes per database that send outbox messages.",
							NULL,
							&saga_publishers, 1, 0, 100, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("pg_saga.sources",
							 "Takes messages from sources, in one process per database.",
							 NULL,
							 &saga_sources, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_saga.worker_idle_timeout",
							"Time after which a worker or publisher without work leaves.",
							"It comes back when there is work.",
							&saga_worker_idle_timeout_ms, 60 * 1000, 100, INT_MAX, PGC_SIGHUP,
							GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomRealVariable("pg_saga.step_timeout",
							 "Longest time of a step while others wait for its worker.",
							 "Then it is cancelled, as by its TimeoutSeconds; 0: it may take as long as it likes.",
							 &step_timeout, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, NULL, assign_step_timeout, NULL);
	DefineCustomRealVariable("pg_saga.sweep_interval",
							 "Time between two searches for messages that no commit announced.",
							 "Restored or copied rows are found by it; 0 turns it off.",
							 &sweep_interval, 10 * 60 * 1000, 0, INT_MAX, PGC_SIGHUP,
							 GUC_UNIT_MS, NULL, assign_sweep_interval, NULL);
}

/* What one batch or one execution may take. */
static void
define_batch_settings(void)
{
	DefineCustomIntVariable("pg_saga.batch_size",
							"Number of executions that one commit serves.",
							NULL,
							&saga_batch_size, 50, 1, 1000, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_saga.batch_time",
							"Time after which a batch begins no further execution.",
							NULL,
							&saga_batch_time_ms, 50, 1, 60 * 1000, PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_saga.lock_timeout",
							"Time that a step in a batch waits for a lock.",
							"After it the execution runs alone, under the lock_timeout of its owner.",
							&saga_step_lock_timeout_ms, 10, 1, 60 * 1000, PGC_SUSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomRealVariable("pg_saga.payload_limit",
							 "Largest JSON text of a task's result or a state's output.",
							 "Beyond it a state fails with States.DataLimitExceeded, as at AWS; 0: no limit.",
							 &payload_limit, 256, 0, 1024 * 1024, PGC_SUSET, GUC_UNIT_KB, NULL, assign_payload_limit, NULL);
	DefineCustomIntVariable("pg_saga.definition_limit",
							"Largest definition of a workflow, as jsonb.",
							"AWS takes 1 MB of text.",
							&saga_definition_limit_kb, 2048, 1, 64 * 1024, PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_saga.map_concurrency",
							"Number of items of an inline Map that run at once.",
							"A smaller MaxConcurrency counts instead; at AWS it is 40.",
							&saga_map_concurrency, 40, 1, 10000, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_saga.crash_limit",
							"Number of crashes of the server that an execution may be there for.",
							"Past it the execution becomes a dead letter with the reason Saga.WorkerCrashed.",
							&saga_crash_limit, 3, 1, 1000, PGC_SIGHUP, 0, NULL, NULL, NULL);
}

/* How long what has ended is kept. */
static void
define_retention_settings(void)
{
	DefineCustomRealVariable("pg_saga.execution_retention",
							 "Time that ended executions and their history are kept.",
							 "0 keeps them for ever.",
							 &saga_execution_retention_min, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN,
							 NULL, NULL, NULL);
	DefineCustomRealVariable("pg_saga.dead_letter_retention",
							 "Time that dead letters are kept.",
							 "0 keeps them for ever.",
							 &saga_dead_letter_retention_min, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN,
							 NULL, NULL, NULL);
	DefineCustomRealVariable("pg_saga.outbox_retention",
							 "Time that the records of sent and failed outbox messages are kept.",
							 "0 keeps them for ever.",
							 &saga_outbox_retention_min, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN,
							 NULL, NULL, NULL);
}

/* Where credentials come from when a destination names no secret. */
static void
define_aws_settings(void)
{
	DefineCustomEnumVariable("pg_saga.aws_credentials",
							 "Where credentials for AWS come from.",
							 "auto: the first of environment, web identity, files, container and instance metadata that is there. "
							 "What a destination or a source names itself is not affected.",
							 &saga_aws_link, SAGA_AWS_AUTO, aws_links, PGC_SIGHUP, 0, NULL, NULL, NULL);
}

/* A setting is shown to everybody: nothing secret may be in it. */
static bool
check_proxy(char **newval, void **extra, GucSource source)
{
	const char *host = *newval;

	if (host[0] == '\0')
		return true;
	if (strncmp(host, "http://", 7) != 0 && strncmp(host, "https://", 8) != 0)
	{
		GUC_check_errdetail("A proxy is given as http://host:port or https://host:port.");
		return false;
	}
	if (strchr(host, '@') != NULL)
	{
		GUC_check_errdetail("User and password cannot be a part of it.");
		return false;
	}
	return true;
}

/*
 * Relative ones would depend on the data directory, which people do not think
 * of.
 */
static bool
check_absolute_path(char **newval, void **extra, GucSource source)
{
	if ((*newval)[0] == '\0' || (*newval)[0] == '/')
		return true;
	GUC_check_errdetail("It must be an absolute path.");
	return false;
}

/* How servers are reached and how much of their answers is kept. */
static void
define_network_settings(void)
{
	DefineCustomStringVariable("pg_saga.proxy",
							   "Proxy that outbox messages are sent through.",
							   "http://host:port; empty: none. The server's environment is not looked at. "
							   "The proxy resolves names: private addresses behind them are its to refuse.",
							   &saga_proxy, "", PGC_SIGHUP, 0, check_proxy, NULL, NULL);
	DefineCustomStringVariable("pg_saga.no_proxy",
							   "Hosts that are reached without pg_saga.proxy.",
							   "Names, with all that is below them, and addresses, separated by commas; * is every host.",
							   &saga_no_proxy, "", PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pg_saga.ca_file",
							   "File of the certificates that servers are checked against.",
							   "Empty: the system's. A destination can have its own.",
							   &saga_ca_file, "", PGC_SIGHUP, 0, check_absolute_path, NULL, NULL);
	DefineCustomIntVariable("pg_saga.answer_limit",
							"Largest answer that a destination may allow.",
							"A larger max_response_bytes is refused; one that is stored counts as this.",
							&saga_answer_limit_kb, 4096, 1, 64 * 1024, PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_saga.answer_memory",
							"Memory for answers that a publisher has not recorded yet.",
							"An owner has at most two thirds of it; what is more waits at the server that sends it.",
							&saga_answer_memory_kb, 64 * 1024, 1024, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_saga.request_memory",
							"Memory for requests that a publisher has taken and that have not ended.",
							"An owner has at most two thirds of it, and one request in any case; other messages stay in their queue.",
							&saga_request_memory_kb, 64 * 1024, 1024, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomBoolVariable("pg_saga.dump_secrets",
							 "Makes pg_dump include the table saga.secret.",
							 NULL,
							 &saga_dump_secrets, false, PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomBoolVariable("pg_saga.keep_owners",
							 "Refuses DROP ROLE and DROP OWNED of a role that owns objects of pg_saga in this database.",
							 NULL,
							 &saga_keep_owners, true, PGC_SUSET, 0, NULL, NULL, NULL);
}

void
saga_guc_define(void)
{
	define_process_settings();
	define_batch_settings();
	define_retention_settings();
	define_aws_settings();
	define_network_settings();
}
