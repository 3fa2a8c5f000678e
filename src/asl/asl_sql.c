/*
 * asl_sql.c
 *		SQL functions of the language: what is wrong with a definition, and
 *		the events in a stored history.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "asl/history_private.h"
#include "common/compat.h"

PG_FUNCTION_INFO_V1(saga_validate);
PG_FUNCTION_INFO_V1(saga_history_events);

/* validate(definition jsonb, type text): one row for each fault */
Datum
saga_validate(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Jsonb	   *definition = PG_GETARG_JSONB_P(0);
	char	   *type = text_to_cstring(PG_GETARG_TEXT_PP(1));
	bool		express = strcmp(type, "EXPRESS") == 0;
	List	   *diagnostics = NIL;
	ListCell   *lc;

	if (!express && strcmp(type, "STANDARD") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized workflow type \"%s\"", type),
				 errhint("It is \"STANDARD\" or \"EXPRESS\".")));
	saga_init_srf(fcinfo);
	(void) saga_machine_compile_type(definition, express, &diagnostics);
	foreach(lc, diagnostics)
	{
		SagaDiagnostic *diagnostic = lfirst(lc);
		Datum		values[4];
		bool		nulls[4] = {0};

		values[0] = CStringGetTextDatum(diagnostic->is_error ? "ERROR" : "WARNING");
		values[1] = CStringGetTextDatum(diagnostic->code);
		values[2] = CStringGetTextDatum(diagnostic->location);
		values[3] = CStringGetTextDatum(diagnostic->message);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* What one stored value may become: a hundred bytes of it can name one of ten megabytes thousands of times. */
#define MAX_EVENT_BYTES	((Size) 1024 * 1024 * 1024)

static void
put_event(const SagaEvent *event, void *arg)
{
	ReturnSetInfo *rsinfo = arg;
	Datum		values[5];
	bool		nulls[5] = {0};

	values[0] = Int64GetDatum(event->id);
	values[1] = Int64GetDatum(event->previous_id);
	values[2] = CStringGetTextDatum(event->type);
	values[3] = TimestampTzGetDatum(event->timestamp);
	values[4] = JsonbPGetDatum(event->details);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	pfree(DatumGetPointer(values[2]));
}

/* history_events(history bytea): the events of one stored value */
Datum
saga_history_events(PG_FUNCTION_ARGS)
{
	Size		room = MAX_EVENT_BYTES;

	saga_init_srf(fcinfo);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	saga_history_decode(PG_GETARG_BYTEA_PP(0),
						PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1),
						PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2),
						&room, put_event, fcinfo->resultinfo);
	return (Datum) 0;
}
