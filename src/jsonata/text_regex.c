/*
 * text_regex.c
 *		Regular expressions, by PCRE2, and what a match may cost.
 *
 * PCRE2 goes back and tries again, so that some expressions take for ever on
 * some texts.  It calls us before each item of the expression ("callouts"):
 * there the work is counted, and looked whether somebody wants to interrupt.
 * Nothing is raised within PCRE2: the match is given up, the interrupt or the
 * charge is seen to outside, and the match begins anew with more work allowed
 * to it, so that what is done twice is a fraction of the whole.
 *
 * All that PCRE2 allocates lies in a memory context of the expression, which
 * is a child of the one that it was compiled in.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "jsonata/text_regex_private.h"

/* Work is counted in callouts, some 20 ns each, and in bytes that are gone over between two of them. */
#define BYTES_PER_UNIT		32
#define UNITS_PER_STEP		3
#define FIRST_ALLOWANCE		100000
#define MORE_ALLOWANCE		8
#define MAX_ALLOWANCE		(FIRST_ALLOWANCE * MORE_ALLOWANCE * MORE_ALLOWANCE * 4)

/* Ways back that one match may remember: in KiB, and what of it is kept for the next one, in bytes. */
#define MAX_HEAP			(64 * 1024)
#define KEPT_MEMORY			(256 * 1024)

/* What the callout gives up with; PCRE2's own errors end far above. */
#define GIVE_UP_INTERRUPTED	(-10001)
#define GIVE_UP_WORK		(-10002)

struct SagaJsonataRegex
{
	MemoryContext context;
	Size		used;			/* by PCRE2, at the moment */
	pcre2_general_context *general;
	pcre2_code *code;
	pcre2_match_context *limits;
	pcre2_match_data *data;		/* NULL: made when it is needed */
	int			ngroups;
	SagaJsonataSlice *groups;
};

/* The work of one try. */
typedef struct Count
{
	int64		units;
	int64		allowed;
	PCRE2_SIZE	position;
} Count;

/* ---------- memory ---------- */

/* In front of each piece of memory, so that it is known how much goes. */
typedef union Piece
{
	Size		size;
	char		padding[MAXIMUM_ALIGNOF];
} Piece;

/* Raises nothing: PCRE2 has an error of its own for NULL. */
static void *
take_memory(PCRE2_SIZE size, void *arg)
{
	SagaJsonataRegex *regex = arg;
	Piece	   *piece;

	if (size > (Size) MAX_HEAP * 1024 * 2)
		return NULL;
	piece = MemoryContextAllocExtended(regex->context, size + sizeof(Piece), MCXT_ALLOC_NO_OOM);
	if (piece == NULL)
		return NULL;
	piece->size = size;
	regex->used += size;
	return piece + 1;
}

/* The other half of take_memory(): PCRE2 calls it, also with NULL. */
static void
free_memory(void *p, void *arg)
{
	SagaJsonataRegex *regex = arg;
	Piece	   *piece = p;

	if (p == NULL)
		return;
	piece--;
	regex->used -= piece->size;
	pfree(piece);
}

/*
 * Must not be called while PCRE2 is on the stack. What has been allocated goes
 * with the memory context.
 */
static void
raise_no_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory"),
			 errdetail("Failed on a regular expression.")));
}

/* ---------- compiling ---------- */

/* What cannot be said with options of pcre2_compile(). The caller frees it. */
static pcre2_compile_context *
make_syntax(SagaJsonataRegex *regex)
{
	pcre2_compile_context *syntax = pcre2_compile_context_create(regex->general);

	if (syntax == NULL)
		raise_no_memory();
	/* JavaScript's dot leaves out these */
	pcre2_set_newline(syntax, PCRE2_NEWLINE_ANYCRLF);
	pcre2_set_bsr(syntax, PCRE2_BSR_UNICODE);
	/* "\ud800" in an expression is a text that may be looked for */
	pcre2_set_compile_extra_options(syntax, PCRE2_EXTRA_ALLOW_SURROGATE_ESCAPES);
	return syntax;
}

/*
 * Compiles an expression that is in the syntax of PCRE2. False (S0303): it is
 * none. UTF-8 is not checked, as halves of surrogate pairs may stand in it;
 * PCRE2_AUTO_CALLOUT is what makes PCRE2 call us at each item.  A caller with
 * an expression of his own (is_plain) tells himself what he has been given.
 */
static bool
compile(SagaJsonataRegex *regex, const char *pattern, int len, uint32 options, bool is_plain, SagaJsonataFault *fault)
{
	pcre2_compile_context *syntax = make_syntax(regex);
	int			error;
	PCRE2_SIZE	offset;
	PCRE2_UCHAR message[160];

	regex->code = pcre2_compile((PCRE2_SPTR) pattern, len,
								options | PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT |
								PCRE2_ALT_BSUX | PCRE2_MATCH_UNSET_BACKREF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS,
								&error, &offset, syntax);
	pcre2_compile_context_free(syntax);
	if (regex->code != NULL)
		return true;
	if (error == PCRE2_ERROR_NOMEMORY)
		raise_no_memory();
	pcre2_get_error_message(error, message, sizeof(message));
	if (is_plain)
		return saga_jsonata_fault(fault, "S0303", "%s", (char *) message);
	return saga_jsonata_fault(fault, "S0303", "\"%.*s\" is no regular expression: %s", Min(len, 200), pattern, (char *) message);
}

/* What is needed for each match, but for the memory of one. */
static void
prepare(SagaJsonataRegex *regex)
{
	uint32		ngroups;

	regex->limits = pcre2_match_context_create(regex->general);
	if (regex->limits == NULL)
		raise_no_memory();

	/*
	 * the callout counts; PCRE2's own count begins anew at each place of the
	 * text
	 */
	pcre2_set_match_limit(regex->limits, PG_UINT32_MAX);
	pcre2_set_heap_limit(regex->limits, MAX_HEAP);
	pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &ngroups);
	regex->ngroups = ngroups;
	regex->groups = MemoryContextAlloc(regex->context, sizeof(SagaJsonataSlice) * (ngroups + 1));
}

/*
 * From the context on a fault deletes it, and an error leaves it to its
 * parent.
 */
static SagaJsonataRegex *
new_regex(const char *pattern, int len, uint32 options, bool is_plain, SagaJsonataFault *fault)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "JSONata regular expression", ALLOCSET_SMALL_SIZES);
	SagaJsonataRegex *regex = MemoryContextAllocZero(context, sizeof(SagaJsonataRegex));

	regex->context = context;
	regex->general = pcre2_general_context_create(take_memory, free_memory, regex);
	if (regex->general == NULL)
		raise_no_memory();
	if (!compile(regex, pattern, len, options, is_plain, fault))
	{
		MemoryContextDelete(context);
		return NULL;
	}
	prepare(regex);
	return regex;
}

static uint32
options_of(const char *flags)
{
	return (strchr(flags, 'i') != NULL ? PCRE2_CASELESS : 0) | (strchr(flags, 'm') != NULL ? PCRE2_MULTILINE : 0);
}

SagaJsonataRegex *
saga_jsonata_regex_compile(const char *pattern, int len, const char *flags, SagaJsonataFault *fault)
{
	StringInfoData translated;

	if (len == 0)
	{
		saga_jsonata_fault(fault, "S0301", "a regular expression must not be empty");
		return NULL;
	}
	if (len > SAGA_JSONATA_MAX_REGEX)
	{
		saga_jsonata_fault(fault, "S0303", "a regular expression may not be longer than %d bytes", SAGA_JSONATA_MAX_REGEX);
		return NULL;
	}
	initStringInfo(&translated);
	if (!saga_jsonata_regex_translate(pattern, len, &translated, fault))
		return NULL;
	return new_regex(translated.data, translated.len, options_of(flags), false, fault);
}

SagaJsonataRegex *
saga_jsonata_regex_compile_plain(const char *pattern, int len, const char *flags, SagaJsonataFault *fault)
{
	return new_regex(pattern, len, options_of(flags) | PCRE2_DOTALL, true, fault);
}

int
saga_jsonata_regex_ngroups(const SagaJsonataRegex *regex)
{
	return regex->ngroups;
}

/* ---------- matching ---------- */

/* Called by PCRE2 in the midst of a match: counts, and raises nothing. */
static int
callout(pcre2_callout_block * block, void *arg)
{
	Count	   *count = arg;
	PCRE2_SIZE	moved = block->current_position > count->position ?
	block->current_position - count->position : count->position - block->current_position;

	count->position = block->current_position;
	count->units += 1 + moved / BYTES_PER_UNIT;
	if (InterruptPending)
		return GIVE_UP_INTERRUPTED;
	return count->units > count->allowed ? GIVE_UP_WORK : 0;
}

/* One try; gives up when it takes more work than is allowed. */
static int
try_match(SagaJsonataRegex *regex, const char *subject, int len, int start, Count *count)
{
	int			rc;

	if (regex->data == NULL)
		regex->data = pcre2_match_data_create_from_pattern(regex->code, regex->general);
	if (regex->data == NULL)
		raise_no_memory();
	pcre2_set_callout(regex->limits, callout, count);
	rc = pcre2_match(regex->code, (PCRE2_SPTR) subject, len, start, PCRE2_NO_UTF_CHECK, regex->data, regex->limits);
	if (rc == PCRE2_ERROR_NOMEMORY)
		raise_no_memory();
	return rc;
}

/*
 * Takes the places of a match from PCRE2. The array of groups is the one of
 * the expression, and the next match overwrites it. A group that had no part
 * in the match is undefined, which an empty one is not.
 */
static void
take_groups(SagaJsonataRegex *regex, const char *subject, SagaJsonataMatch *match)
{
	const		PCRE2_SIZE *places = pcre2_get_ovector_pointer(regex->data);

	match->start = places[0];
	match->end = places[1];

	/*
	 * "\K" is not in the language, but a look-behind must not turn a match
	 * round
	 */
	if (match->end < match->start)
		match->end = match->start;
	match->ngroups = regex->ngroups;
	match->groups = regex->groups;
	for (int i = 0; i < regex->ngroups; i++)
	{
		PCRE2_SIZE	from = places[2 * i + 2];
		bool		is_there = from != PCRE2_UNSET;

		regex->groups[i].s = is_there ? subject + from : NULL;
		regex->groups[i].len = is_there ? (int) (places[2 * i + 3] - from) : 0;
	}
}

/* A match that went far back leaves much memory, which is not kept with the expression. */
static void
forget_large(SagaJsonataRegex *regex)
{
	if (regex->used > KEPT_MEMORY && regex->data != NULL)
	{
		pcre2_match_data_free(regex->data);
		regex->data = NULL;
	}
}

bool
saga_jsonata_regex_exec(SagaJsonataRegex *regex, const char *subject, int len, int start, const SagaJsonataWork *work,
						SagaJsonataMatch *match, bool *matched, SagaJsonataFault *fault)
{
	Count		count = {0, FIRST_ALLOWANCE, start};
	int			rc;

	*matched = false;
	if (start > len)
		return true;
	for (;;)
	{
		/* what is left of the text may have to be gone over once */
		if (!saga_jsonata_charge(work, 2 + (len - start) / 64))
			return false;
		rc = try_match(regex, subject, len, start, &count);
		if (!saga_jsonata_charge(work, count.units / UNITS_PER_STEP))
			return false;

		/*
		 * Begin anew with more work allowed, up to the most that a match may
		 * take, or after an interrupt that did not end the statement with as
		 * much.
		 */
		if (rc == GIVE_UP_WORK && count.allowed < MAX_ALLOWANCE)
			count.allowed = Min(count.allowed * MORE_ALLOWANCE, MAX_ALLOWANCE);
		else if (rc != GIVE_UP_INTERRUPTED)
			break;
		CHECK_FOR_INTERRUPTS();
		count.units = 0;
		count.position = start;
	}

	/*
	 * The groups must be taken before forget_large(), as they are read from
	 * the memory that it may free.
	 */
	*matched = rc > 0;
	if (*matched)
		take_groups(regex, subject, match);
	forget_large(regex);
	if (rc == GIVE_UP_WORK)
		return saga_jsonata_fault(fault, "D1012", "a regular expression takes too long on a text");
	if (rc == PCRE2_ERROR_HEAPLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT)
		return saga_jsonata_fault(fault, "D1012", "a regular expression takes too much memory on a text");
	if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
		return saga_jsonata_fault(fault, "D1012", "a regular expression cannot be matched: error %d of PCRE2", rc);
	return true;
}

bool
saga_jsonata_regex_next(SagaJsonataRegex *regex, const char *subject, int len, const SagaJsonataWork *work,
						SagaJsonataMatch *match, bool *matched, SagaJsonataFault *fault)
{
	*matched = false;

	/*
	 * At the end of the text nothing is looked for, not even an empty match.
	 */
	if (match->end >= len)
		return true;
	if (!saga_jsonata_regex_exec(regex, subject, len, match->end, work, match, matched, fault))
		return false;
	/* it would be found again and again */
	if (*matched && match->end == match->start)
		return saga_jsonata_fault(fault, "D1004", "a regular expression matches an empty text");
	return true;
}

/* ---------- without an evaluation ---------- */

/* The steps of one search, counted down. */
static bool
charge_search(void *arg, int64 steps)
{
	int64	   *left = arg;

	*left -= steps;
	return *left >= 0;
}

bool
saga_jsonata_regex_search(SagaJsonataRegex *regex, const char *text, int len, int64 steps, const char **group, int *group_len,
						  SagaJsonataFault *fault)
{
	SagaJsonataWork work = {charge_search, &steps};
	SagaJsonataMatch match = {0};
	bool		matched;

	*group = NULL;
	*group_len = 0;
	if (!saga_jsonata_regex_exec(regex, text, len, 0, &work, &match, &matched, fault))
		return saga_jsonata_fault(fault, "D1012", "a regular expression takes too long on a text");
	if (matched && match.ngroups > 0)
	{
		*group = match.groups[0].s;
		*group_len = match.groups[0].len;
	}
	return matched;
}
