/*
 * call_site_sql.c
 *		Expressions that SQL functions are called with.
 *
 * A compiled expression is kept with the call site, so that a query with many
 * rows compiles it once.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "jsonata/call_site.h"

/* The expression of a call site. */
typedef struct Cached
{
	MemoryContext context;		/* of it, below fn_mcxt */
	char	   *text;
	int			len;
	SagaJsonata *expr;
} Cached;

static int
sqlstate_of(const SagaJsonataFault *fault)
{
	static const char *const limits[] = {"U1001", "U1002", "U1003", "D1012", "D2014", "D2015"};

	for (int i = 0; i < lengthof(limits); i++)
		if (strcmp(fault->code, limits[i]) == 0)
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	return ERRCODE_INVALID_PARAMETER_VALUE;
}

/* From one; 0: not known. */
static int
character_of(const SagaJsonataFault *fault, const char *text, int len)
{
	int			character = 1;

	if (fault->position < 0)
		return 0;
	/* each byte that begins one, but for the first: that is counted already */
	for (int i = 1; i <= Min(fault->position, len); i++)
		character += i == len || (text[i] & 0xC0) != 0x80;
	return character;
}

void
saga_jsonata_raise(const SagaJsonataFault *fault, const char *text, int len, const char *what, const char *about,
				   const char *hint)
{
	int			character = character_of(fault, text, len);
	char	   *message = pg_any_to_server(fault->message, strlen(fault->message), PG_UTF8);

	ereport(ERROR,
			(errcode(sqlstate_of(fault)),
			 what != NULL ? errmsg("%s: %s: %s", what, fault->code, message) : errmsg("%s: %s", fault->code, message),
			 character > 0 ? errdetail("At character %d of the expression%s%s.", character, about != NULL ? ", " : "",
									   about != NULL ? about : "") : 0,
			 hint != NULL ? errhint("%s", hint) : 0));
}

SagaJsonata *
saga_jsonata_at_call_site(FmgrInfo *flinfo, const char *text, int len, const SagaJsonataOptions *options)
{
	Cached	   *cached = flinfo->fn_extra;
	SagaJsonataFault fault = {{0}};
	MemoryContext context,
				old;

	if (cached != NULL && cached->len == len && memcmp(cached->text, text, len) == 0)
		return cached->expr;
	if (cached != NULL)
	{
		flinfo->fn_extra = NULL;
		MemoryContextDelete(cached->context);
	}
	/* below the caller's until it is complete */
	context = AllocSetContextCreate(CurrentMemoryContext, "saga jsonata expression", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	cached = palloc(sizeof(Cached));
	cached->context = context;
	cached->text = pnstrdup(text, len);
	cached->len = len;
	cached->expr = saga_jsonata_compile(text, len, &fault);
	MemoryContextSwitchTo(old);
	if (cached->expr == NULL || (options != NULL && !saga_jsonata_check(cached->expr, options, &fault)))
		saga_jsonata_raise(&fault, text, len, NULL, NULL, NULL);
	MemoryContextSetParent(context, flinfo->fn_mcxt);
	flinfo->fn_extra = cached;
	return cached->expr;
}
