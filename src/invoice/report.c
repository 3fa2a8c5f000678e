/*
 * report.c
 *		The list of violated rules.
 *
 * A document with 100,000 broken lines must not make a report of many
 * megabytes: so many rows of each rule are kept, and one more says how many
 * were left out.
 */
#include "postgres.h"

#include "common/text.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "invoice/invoice_private.h"

#define QUOTE_LENGTH 40

/* An empty report.  Of each rule only so many findings are kept: a large document may break one on every line. */
void
saga_report_init(SagaReport *report, int per_rule)
{
	memset(report, 0, sizeof(*report));
	report->context = CurrentMemoryContext;
	report->scratch = AllocSetContextCreate(CurrentMemoryContext, "invoice report", ALLOCSET_SMALL_SIZES);
	report->per_rule = per_rule;
}

MemoryContext
saga_report_begin(SagaReport *report)
{
	MemoryContextReset(report->scratch);
	return MemoryContextSwitchTo(report->scratch);
}

const char *
saga_report_level_name(SagaLevel level)
{
	return level == SAGA_FATAL ? "fatal" : "warning";
}

/* The last rule reported is often the next one too: search from the end. */
static SagaRuleCount *
count_of_rule(SagaReport *report, const char *rule, SagaLevel level)
{
	SagaRuleCount *count;
	int			i;

	for (i = report->nrules - 1; i >= 0; i--)
	{
		if (strcmp(report->rules[i].rule, rule) == 0)
			return &report->rules[i];
	}
	if (report->nrules == report->max_rules)
	{
		report->max_rules = Max(8, report->max_rules * 2);
		report->rules = report->rules ?
			repalloc(report->rules, report->max_rules * sizeof(SagaRuleCount)) :
			MemoryContextAlloc(report->context, report->max_rules * sizeof(SagaRuleCount));
	}
	count = &report->rules[report->nrules++];
	count->rule = MemoryContextStrdup(report->context, rule);
	count->level = level;
	count->n = 0;
	return count;
}

/* Appends a finding.  Its texts have to live as long as the report. */
static void
add_finding(SagaReport *report, const char *rule, SagaLevel level, const char *location,
			const char *message)
{
	SagaFinding *finding;

	if (report->nfindings == report->max_findings)
	{
		report->max_findings = Max(8, report->max_findings * 2);
		report->findings = report->findings ?
			repalloc_huge(report->findings, report->max_findings * sizeof(SagaFinding)) :
			MemoryContextAlloc(report->context, report->max_findings * sizeof(SagaFinding));
	}
	finding = &report->findings[report->nfindings++];
	finding->rule = rule;
	finding->level = level;
	finding->location = MemoryContextStrdup(report->context, location);
	finding->message = MemoryContextStrdup(report->context, message);
}

void
saga_report(SagaReport *report, const char *rule, SagaLevel level, const char *location,
			const char *format, ...)
{
	SagaRuleCount *count = count_of_rule(report, rule, level);
	va_list		args;
	char	   *message;

	if (level == SAGA_FATAL)
		report->fatal = true;
	if (count->n++ >= report->per_rule)
		return;

	va_start(args, format);
	message = saga_vformat(format, args);
	va_end(args);
	add_finding(report, count->rule, level, location, message);
	pfree(message);
}

/* Says what per_rule has left out. */
void
saga_report_finish(SagaReport *report)
{
	int			i;

	for (i = 0; i < report->nrules; i++)
	{
		SagaRuleCount *count = &report->rules[i];

		if (count->n > report->per_rule)
			add_finding(report, count->rule, count->level, "",
						psprintf("and at " INT64_FORMAT " more places", count->n - report->per_rule));
	}
}

/* The sender's own text in a message: quoted, and cut when it is long. */
char *
saga_report_quote(const char *text, int len)
{
	int			clipped = pg_mbcliplen(text, len, QUOTE_LENGTH);

	return psprintf("\"%.*s\"%s", clipped, text, clipped < len ? "..." : "");
}
