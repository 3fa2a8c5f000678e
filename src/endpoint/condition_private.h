/*
 * condition_private.h
 *		What settings say of messages and answers: paths, templates, and
 *		conditions that an answer meets or not.
 *
 * Pure: no table, no GUC, no clock.  Everything is allocated in
 * CurrentMemoryContext; what was parsed may be used any number of times, also
 * from another context.  Nothing here raises for what a text or a document
 * can contain: an error is a message for people, without a final full stop,
 * of a text with the position of the fault (out of memory and a stack that is
 * too deep do raise).
 */
#ifndef SAGA_ENDPOINT_CONDITION_PRIVATE_H
#define SAGA_ENDPOINT_CONDITION_PRIVATE_H

#include "endpoint/destination.h"
#include "endpoint/template.h"
#include "value/scan.h"
#include "value/value.h"

/* ---------- paths into answers (answer_path.c) ---------- */

/*
 * One value, or nothing: Invoices[0].InvoiceID, [0].id, [-1], `a.b`.c.  No
 * mapping over arrays, and a leading [n] indexes the document itself.
 */
extern SagaAnswerPath *saga_answer_path_parse(const char *text, char **error);

/*
 * False: nothing is there; a JSON null is something.  The value points into
 * the document, which may be NULL.
 */
extern bool saga_answer_path_get(const SagaAnswerPath *path, Jsonb *doc, JsonbValue *value);

/*
 * Does the document say that nothing is at the path?  It does where the path
 * goes into a list that is empty, or ends at a member of an object that is
 * there and is null, false or an empty list.  What is not there at all says
 * nothing: so is an answer that is about something else.
 */
extern bool saga_answer_path_denied(const SagaAnswerPath *path, Jsonb *doc);

typedef struct SagaAnswerStep
{
	const char *name;			/* NULL: an index */
	int			len;
	int32		index;
} SagaAnswerStep;

struct SagaAnswerPath
{
	int			nsteps;
	SagaAnswerStep *steps;
};

extern SagaAnswerPath *saga_answer_path_scan(SagaScanner *s);

/* ---------- templates (template.c) ---------- */

/* NULL, or what is wrong with it. */
extern const char *saga_endpoint_template_check(const char *text);

/* Does it refer to the message at all? */
extern bool saga_endpoint_template_has_references(const char *text);

/* "$.headers" and "X-Name": $.headers["X-Name"] */
extern char *saga_endpoint_member_path(const char *parent, const char *name, int len);

/*
 * {"body": {"template": {...}}}: a string that is one reference and nothing
 * else becomes the value there, of whatever type; in other strings, references
 * are filled in as text.  Names of members are copied.  Check gives NULL, or
 * what is wrong, and its JSON path below "path" ("$.request.body.template").
 * Fill returns false, and NULL in *missing, also when more than 64 MB would be
 * filled in.
 */
extern const char *saga_endpoint_json_template_check(Jsonb *template, const char *path, char **fault_path);
extern bool saga_endpoint_json_template_fill(Jsonb *template, Jsonb *doc, Jsonb **result, char **missing);

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
 * All of what is given must hold.  NULL: *error says what is wrong, *fault_path where ("$.classify[0].status").
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
extern SagaCondition *saga_condition_parse_body_test(JsonbContainer *container, const char *path, const char *const *others,
													 char **fault_path, char **error);

extern const SagaConditionCost *saga_condition_cost(const SagaCondition *condition);

/*
 * "message" is what {name} references in operands look into; it may be NULL.
 * A test with a reference to nothing does not hold.
 */
extern bool saga_condition_holds(const SagaCondition *condition, const SagaAnswerView *answer, Jsonb *message);

/* Does it, of an answer with that status, ask for more than head and status? */
extern bool saga_condition_needs_body(const SagaCondition *condition, int status);

typedef enum SagaTestKind
{
	SAGA_TEST_EQUALS,
	SAGA_TEST_NOT_EQUALS,
	SAGA_TEST_IN,
	SAGA_TEST_CONTAINS,
	SAGA_TEST_MATCHES,
	SAGA_TEST_EXISTS,
	SAGA_TEST_GT,
	SAGA_TEST_LT
} SagaTestKind;

typedef struct SagaTestOperand
{
	JsonbValue	value;
	char	   *template;		/* a string with references; NULL: value as it is */
} SagaTestOperand;

typedef struct SagaTest
{
	SagaTestKind kind;
	int			noperands;		/* more than one only for "in" */
	SagaTestOperand *operands;
	SagaJsonataRegex *regex;	/* NULL: it was refused */
} SagaTest;

/* What is tested: a header, the value at a path, or the text of the body. */
typedef struct SagaSubject
{
	char	   *header;			/* NULL: the body */
	SagaAnswerPath *path;		/* NULL: all of its text */
	int			ntests;
	SagaTest   *tests;
} SagaSubject;

struct SagaCondition
{
	int			nstatus;		/* 0: any */
	int		   *status;			/* 100 to 599, or 1 to 5 for 1xx to 5xx */
	int			nsubjects;
	SagaSubject *subjects;
	SagaConditionCost cost;
};

#endif							/* SAGA_ENDPOINT_CONDITION_PRIVATE_H */
