/*
 * mapping.h
 *		The mapping language of destinations: expressions that make a request
 *		out of a message, paths into answers, templates, and conditions that
 *		an answer meets or not.
 *
 * Pure: no table, no GUC, no clock.  Everything is allocated in
 * CurrentMemoryContext; what was parsed may be used any number of times, also
 * from another context.  Nothing here raises for what a text or a document
 * can contain: an error is a message for people, without a final full stop,
 * of a text with the position of the fault (out of memory and a stack that is
 * too deep do raise).
 */
#ifndef SAGA_MAPPING_H
#define SAGA_MAPPING_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* ---------- expressions (parse.c, eval.c, function*.c) ---------- */

/* {"body": {"expr": "..."}}: a subset of JSONata, see README.md. */
typedef struct SagaMapping SagaMapping;

/* NULL, and a message with the position. */
extern SagaMapping *saga_mapping_parse(const char *text, char **error);

/*
 * True: *result is the value, or NULL for nothing.  False: *error says why.
 * A NULL document is nothing, as "$" and for every name.
 */
extern bool saga_mapping_eval(const SagaMapping *mapping, Jsonb *doc, Jsonb **result, char **error);

/* ---------- paths into answers (answer_path.c) ---------- */

/*
 * One value, or nothing: Invoices[0].InvoiceID, [0].id, [-1], `a.b`.c.  No
 * mapping over arrays, and a leading [n] indexes the document itself.
 */
typedef struct SagaAnswerPath SagaAnswerPath;

extern SagaAnswerPath *saga_mapping_answer_path_parse(const char *text, char **error);

/*
 * False: nothing is there; a JSON null is something.  The value points into
 * the document, which may be NULL.
 */
extern bool saga_mapping_answer_path_get(const SagaAnswerPath *path, Jsonb *doc, JsonbValue *value);

/*
 * Does the document say that nothing is at the path?  It does where the path
 * goes into a list that is empty, or ends at a member of an object that is
 * there and is null, false or an empty list.  What is not there at all says
 * nothing: so is an answer that is about something else.
 */
extern bool saga_mapping_answer_path_denied(const SagaAnswerPath *path, Jsonb *doc);

/* ---------- templates (template.c) ---------- */

/*
 * Text with {path} references into a message.  {secret:...} references are
 * copied as they are: they are filled by who may read secrets.
 */

/* NULL, or what is wrong with it. */
extern const char *saga_mapping_template_check(const char *text);

/*
 * Appends the text with its references filled in.  False, and the path of the
 * reference in *missing, when it leads to nothing, to what has no text (null,
 * an array, an object), or past the limit, which *out has in all.  With url_encode values are
 * percent-encoded, and one that is empty or only dots is refused as well: it
 * would change which resource is meant.  A value may hold any character
 * otherwise; who makes a header of it looks for line ends.
 */
extern bool saga_mapping_template_fill(StringInfo out, const char *text, Jsonb *doc, bool url_encode, int limit, char **missing);

/* Limits: what servers take of a URL or a header is far less. */
#define SAGA_MAX_URL_TEXT		(1024 * 1024)
#define SAGA_MAX_HEADER_TEXT	(64 * 1024)

/*
 * {"body": {"template": {...}}}: a string that is one reference and nothing
 * else becomes the value there, of whatever type; in other strings, references
 * are filled in as text.  Names of members are copied.  Check gives NULL, or
 * what is wrong, and its JSON path below "path" ("$.request.body.template").
 * Fill returns false, and NULL in *missing, also when more than 64 MB would be
 * filled in.
 */
extern const char *saga_mapping_json_template_check(Jsonb *template, const char *path, char **fault_path);
extern bool saga_mapping_json_template_fill(Jsonb *template, Jsonb *doc, Jsonb **result, char **missing);

/* ---------- regular expressions (regex.c) ---------- */

/* How much its bounds make of an expression. */
typedef struct SagaRegexCost
{
	double		atoms;			/* characters, or what stands for one */
	double		choices;		/* quantifiers, alternatives */
	int			groups;			/* that capture */
	bool		repeats_group;	/* one of them, which costs far more than the rest */
} SagaRegexCost;

typedef enum SagaRegexVerdict
{
	SAGA_REGEX_OK,
	SAGA_REGEX_WRONG,
	SAGA_REGEX_TOO_COSTLY		/* earlier versions took it, so that one may be stored */
} SagaRegexVerdict;

/* The flags are those of pg_regcomp; *error goes on after the name of what it is about. */
extern SagaRegexVerdict saga_regex_check(const char *text, int len, int flags, SagaRegexCost *cost, const char **error);

/* ---------- conditions on answers (condition.c, condition_eval.c) ---------- */

typedef struct SagaAnswerView
{
	int			status;
	const char *head;			/* header lines, CR LF between them; NULL: none */
	const char *text;			/* the body; NULL: none */
	size_t		text_len;
	Jsonb	   *doc;			/* the body; NULL: it is no JSON */
} SagaAnswerView;

/*
 * {"status": [200, "5xx"], "header": {...}, "body": {...}}, see README.md.
 * All of what is given must hold.
 */
typedef struct SagaCondition SagaCondition;

/*
 * NULL: *error says what is wrong, *fault_path where ("$.classify[0].status").
 * "path" is that of the condition itself; "others" are names of members that
 * are the caller's own (such as "as"), with NULL at the end, or NULL.
 * At least one of status, header, body must be there.  The container need not
 * outlive the call.
 */
extern SagaCondition *saga_condition_parse(JsonbContainer *container, const char *path, const char *const *others,
										   char **fault_path, char **error);

/*
 * The same for a lone body test, {"path": ..., "equals": ...} ("same" of a
 * look-up).
 */
extern SagaCondition *saga_mapping_body_test_parse(JsonbContainer *container, const char *path, const char *const *others,
												   char **fault_path, char **error);

/* What looking at an answer takes. */
typedef struct SagaConditionCost
{
	int			tests;
	int			operands;		/* of all tests */
	double		atoms;			/* of all regular expressions */
	double		choices;
	const char *refused;		/* not NULL: an expression that never matches, with its path, and why */
} SagaConditionCost;

extern const SagaConditionCost *saga_condition_cost(const SagaCondition *condition);

/*
 * "message" is what {name} references in operands look into; it may be NULL.
 * A test with a reference to nothing does not hold.
 */
extern bool saga_condition_holds(const SagaCondition *condition, const SagaAnswerView *answer, Jsonb *message);

/* Does it, of an answer with that status, ask for more than head and status? */
extern bool saga_condition_needs_body(const SagaCondition *condition, int status);

#endif							/* SAGA_MAPPING_H */
