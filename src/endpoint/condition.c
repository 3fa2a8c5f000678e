/*
 * condition.c
 *		Conditions on answers: {"status": ..., "header": ..., "body": ...}.
 *
 * A condition is parsed once when a destination is saved or loaded, and
 * evaluated for each answer by condition_eval.c.  Begin reading with
 * parse_condition: it takes the members apart, parse_subject() does so for
 * one header or body test, and parse_test() reads what the value is compared
 * with.
 *
 * Each parse function returns false after fault(), which keeps the first
 * fault and its JSON path.  Strings and operands are copied out of the jsonb,
 * because the caller may free it.  saga_condition_cost() sums up what the
 * looks at an answer will take; who saves a destination holds it against the
 * limits.
 */
#include "postgres.h"

#include "endpoint/condition_private.h"
#include "endpoint/regex_private.h"
#include "utils/builtins.h"

#define MAX_ELEMENTS	1000

typedef struct Parser
{
	SagaCondition *condition;
	const char *const *others;	/* members of the caller's own */
	char	   *path;			/* of the first fault */
	char	   *error;
} Parser;

static const struct
{
	const char *name;
	SagaTestKind kind;
}			tests[] =

{
	{"equals", SAGA_TEST_EQUALS},
	{"not_equals", SAGA_TEST_NOT_EQUALS},
	{"in", SAGA_TEST_IN},
	{"contains", SAGA_TEST_CONTAINS},
	{"matches", SAGA_TEST_MATCHES},
	{"exists", SAGA_TEST_EXISTS},
	{"gt", SAGA_TEST_GT},
	{"lt", SAGA_TEST_LT},
};

/* For "return fault(...)": always false. */
static bool
fault(Parser *p, const char *path, const char *error)
{
	if (p->error == NULL)
	{
		p->path = pstrdup(path);
		p->error = pstrdup(error);
	}
	return false;
}

/*
 * Keys of jsonb are not terminated by a NUL, so they are compared by length.
 */
static bool
is_named(const JsonbValue *key, const char *name)
{
	return key->val.string.len == strlen(name) && memcmp(key->val.string.val, name, strlen(name)) == 0;
}

/*
 * A copy with a NUL at its end, which outlives the container that is parsed.
 */
static char *
get_string(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* Members that are not known here may be the caller's. */
static bool
unknown_member(Parser *p, const JsonbValue *key, const char *path)
{
	for (int i = 0; p->others != NULL && p->others[i] != NULL; i++)
		if (is_named(key, p->others[i]))
			return true;
	return fault(p, path, "is not known");
}

/* Calls fn for the value, or for each element if it is an array. */
static bool
for_one_or_many(Parser *p, const JsonbValue *value, const char *path, void *arg,
				bool (*fn) (Parser *p, const JsonbValue *value, const char *path, void *arg))
{
	SagaValueChildren c;
	int			index = 0;

	if (!saga_value_is_array(value))
		return fn(p, value, path, arg);
	if (saga_value_count(value) == 0)
		return fault(p, path, "must not be empty");
	if (saga_value_count(value) > MAX_ELEMENTS)
		return fault(p, path, "has too many elements");
	saga_value_children_start(&c, value);
	while (saga_value_children_next(&c))
		if (!fn(p, &c.value, psprintf("%s[%d]", path, index++), arg))
			return false;
	return true;
}

/*
 * How many entries for_one_or_many() will produce at most: more than
 * MAX_ELEMENTS are refused there, so that no more room is needed.
 */
static int
how_many(const JsonbValue *value)
{
	return saga_value_is_array(value) ? Min(saga_value_count(value), MAX_ELEMENTS) : 1;
}

/* ---------- status ---------- */

/*
 * Adds one status or class to the condition.  A class is stored as its first
 * digit, which no status can be.  The number is compared as numeric, so that
 * 200.0 counts as 200 and 200.5 is refused.
 */
static bool
parse_one_status(Parser *p, const JsonbValue *value, const char *path, void *arg)
{
	SagaCondition *condition = p->condition;

	if (value->type == jbvNumeric)
	{
		for (int status = 100; status < 600; status++)
		{
			if (saga_numeric_compare(value->val.numeric, int64_to_numeric(status)) == 0)
			{
				condition->status[condition->nstatus++] = status;
				return true;
			}
		}
	}
	else if (value->type == jbvString && value->val.string.len == 3 && value->val.string.val[0] >= '1' &&
			 value->val.string.val[0] <= '5' && memcmp(value->val.string.val + 1, "xx", 2) == 0)
	{
		condition->status[condition->nstatus++] = value->val.string.val[0] - '0';
		return true;
	}
	return fault(p, path, "must be a status from 100 to 599, or a class such as \"5xx\"");
}

/*
 * Makes room for all entries before the first one is read, as
 * parse_one_status only appends.
 */
static bool
parse_status(Parser *p, const JsonbValue *value, const char *path)
{
	p->condition->status = palloc(how_many(value) * sizeof(int));
	return for_one_or_many(p, value, path, NULL, parse_one_status);
}

/* ---------- operands ---------- */

/*
 * Reads one thing that a value is compared with.  A header and the body as a
 * whole are text, so that only a string can equal them; for gt and lt a
 * number is taken too, as text can be read as one.  A string may hold {path}
 * references into the message: these are filled in each time.  References to
 * secrets are refused, as nobody would fill them in here.
 */
static bool
parse_operand(Parser *p, const SagaSubject *subject, SagaTestKind kind, const JsonbValue *value,
			  const char *path, SagaTestOperand *operand)
{
	bool		is_text = subject->header != NULL || subject->path == NULL;

	if (value->type == jbvString)
	{
		char	   *text = get_string(value);
		const char *error = saga_endpoint_template_check(text);

		if (error != NULL)
			return fault(p, path, error);
		if (strstr(text, "{secret:") != NULL)
			return fault(p, path, "must not hold a secret");
		if (saga_endpoint_template_has_references(text))
			operand->template = text;
	}
	else if (kind == SAGA_TEST_CONTAINS)
		return fault(p, path, "must be a string");
	else if (kind == SAGA_TEST_GT || kind == SAGA_TEST_LT)
	{
		if (value->type != jbvNumeric)
			return fault(p, path, "must be a number or a string");
	}
	else if (is_text)
		return fault(p, path, "must be a string, as what it is compared with is text");

	/*
	 * a jsonb of its own, since the one that is parsed need not outlive the
	 * call
	 */
	saga_jsonb_value(saga_jsonb_from_value(value), &operand->value);
	return true;
}

/*
 * Reads the operand of a test, or all of them for "in".  noperands is counted
 * up only behind each whole operand.
 */
static bool
parse_operands(Parser *p, const SagaSubject *subject, const JsonbValue *value, const char *path, SagaTest *test)
{
	SagaValueChildren c;

	if (test->kind != SAGA_TEST_IN)
	{
		test->operands = palloc0(sizeof(SagaTestOperand));
		test->noperands = 1;
		return parse_operand(p, subject, test->kind, value, path, test->operands);
	}
	if (!saga_value_is_array(value) || saga_value_count(value) == 0)
		return fault(p, path, "must be an array that is not empty");
	test->operands = palloc0(mul_size(saga_value_count(value), sizeof(SagaTestOperand)));
	saga_value_children_start(&c, value);
	while (saga_value_children_next(&c))
	{
		if (!parse_operand(p, subject, test->kind, &c.value, psprintf("%s[%d]", path, test->noperands),
						   &test->operands[test->noperands]))
			return false;
		test->noperands++;
	}
	return true;
}

/*
 * One that an earlier version took, and this one does not, may be stored: it
 * never matches, and whoever makes a new one is told.
 */
static bool
parse_regex(Parser *p, const JsonbValue *value, const char *path, SagaTest *test)
{
	SagaConditionCost *total = &p->condition->cost;
	const char *error;

	if (value->type != jbvString)
		return fault(p, path, "must be a string");
	test->regex = saga_endpoint_regex_compile(value->val.string.val, value->val.string.len, &error);
	if (test->regex == NULL && total->refused == NULL)
		total->refused = psprintf("%s %s", path, error);
	total->regexes++;
	return true;
}

/*
 * Fills in a test whose kind is set already.  "exists" keeps its boolean as
 * the value of its one operand without counting it, as nothing is compared
 * with it.
 */
static bool
parse_test(Parser *p, const SagaSubject *subject, const JsonbValue *value, const char *path, SagaTest *test)
{
	switch (test->kind)
	{
		case SAGA_TEST_EXISTS:
			if (value->type != jbvBool)
				return fault(p, path, "must be true or false");
			test->operands = palloc0(sizeof(SagaTestOperand));
			test->operands->value = *value;
			return true;
		case SAGA_TEST_MATCHES:
			return parse_regex(p, value, path, test);
		default:
			return parse_operands(p, subject, value, path, test);
	}
}

/* ---------- headers and body ---------- */

/* The index in tests[], or -1 for a member that is no test. */
static int
find_test(const JsonbValue *key)
{
	for (int i = 0; i < lengthof(tests); i++)
		if (is_named(key, tests[i].name))
			return i;
	return -1;
}

/*
 * Reads what the tests of a subject are about: a header must be named, a body
 * need not have a path, and is then tested as text.  A name with a colon,
 * blank or line end could never match.
 */
static bool
parse_target(Parser *p, const JsonbValue *value, const char *path, bool is_header, SagaSubject *subject)
{
	const char *name = is_header ? "name" : "path";
	char	   *below = saga_endpoint_member_path(path, name, strlen(name));
	JsonbValue	member;
	char	   *text;
	char	   *error;

	if (!saga_value_member(value, name, strlen(name), &member))
		return is_header ? fault(p, below, "is missing") : true;
	if (member.type != jbvString || member.val.string.len == 0)
		return fault(p, below, "must be a string that is not empty");
	text = get_string(&member);
	if (is_header)
	{
		subject->header = text;
		return strpbrk(text, ": \t\r\n") == NULL || fault(p, below, "is not the name of a header");
	}
	subject->path = saga_answer_path_parse(text, &error);
	return subject->path != NULL || fault(p, below, psprintf("is no path: %s", error));
}

/* arg: whether it is a header */
static bool
parse_subject(Parser *p, const JsonbValue *value, const char *path, void *arg)
{
	bool		is_header = *(bool *) arg;
	SagaSubject *subject = &p->condition->subjects[p->condition->nsubjects];
	SagaValueChildren c;

	if (!saga_value_is_object(value))
		return fault(p, path, "must be an object");
	if (!parse_target(p, value, path, is_header, subject))
		return false;
	subject->tests = palloc0(lengthof(tests) * sizeof(SagaTest));
	saga_value_children_start(&c, value);
	while (saga_value_children_next(&c))
	{
		char	   *below = saga_endpoint_member_path(path, c.key.val.string.val, c.key.val.string.len);
		int			i = find_test(&c.key);

		if (i >= 0)
		{
			SagaTest   *test = &subject->tests[subject->ntests];

			test->kind = tests[i].kind;
			if (!parse_test(p, subject, &c.value, below, test))
				return false;
			subject->ntests++;
			p->condition->cost.tests++;
			p->condition->cost.operands += test->noperands;
		}
		else if (!is_named(&c.key, is_header ? "name" : "path") && !unknown_member(p, &c.key, below))
			return false;
	}
	if (subject->ntests == 0)
		return fault(p, path, "has no test (equals, not_equals, in, contains, matches, exists, gt, lt)");
	p->condition->nsubjects++;
	return true;
}

/*
 * Adds all headers or all body tests.  They share one array, which is made
 * anew with room for the second of the two, because both may be given.
 * Members of the caller's own are allowed beside "header" and "body", not
 * inside them.
 */
static bool
parse_subjects(Parser *p, const JsonbValue *value, const char *path, bool is_header)
{
	SagaCondition *condition = p->condition;
	const char *const *others = p->others;
	Size		size = (condition->nsubjects + how_many(value)) * sizeof(SagaSubject);
	SagaSubject *old = condition->subjects;
	bool		ok;

	condition->subjects = palloc0(size);
	if (old != NULL)
		memcpy(condition->subjects, old, condition->nsubjects * sizeof(SagaSubject));
	p->others = NULL;

	/*
	 * parse_subject() only appends, so nobody holds a pointer into the old
	 * array
	 */
	ok = for_one_or_many(p, value, path, &is_header, parse_subject);
	p->others = others;
	return ok;
}

/* ---------- conditions ---------- */

/* Points into the condition and lives as long as that. */
const SagaConditionCost *
saga_condition_cost(const SagaCondition *condition)
{
	return &condition->cost;
}

/*
 * Hands the first fault over to the caller, or the condition when there was
 * none.
 */
static SagaCondition *
finish(Parser *p, bool ok, char **fault_path, char **error)
{
	*fault_path = p->path;
	*error = p->error;
	return ok ? p->condition : NULL;
}

/*
 * Reads a condition's members.  One that tests nothing would hold for every
 * answer, so it is refused.
 */
static bool
parse_condition(Parser *p, const JsonbValue *value, const char *path)
{
	SagaValueChildren c;

	if (!saga_value_is_object(value))
		return fault(p, path, "must be an object");
	saga_value_children_start(&c, value);
	while (saga_value_children_next(&c))
	{
		char	   *below = saga_endpoint_member_path(path, c.key.val.string.val, c.key.val.string.len);
		bool		ok;

		if (is_named(&c.key, "status"))
			ok = parse_status(p, &c.value, below);
		else if (is_named(&c.key, "header"))
			ok = parse_subjects(p, &c.value, below, true);
		else if (is_named(&c.key, "body"))
			ok = parse_subjects(p, &c.value, below, false);
		else
			ok = unknown_member(p, &c.key, below);
		if (!ok)
			return false;
	}
	if (p->condition->nstatus == 0 && p->condition->nsubjects == 0)
		return fault(p, path, "needs \"status\", \"header\" or \"body\"");
	return true;
}

/* Wraps a container as the value that the children of other values come as. */
static void
container_value(JsonbContainer *container, JsonbValue *value)
{
	/* the length is not looked at: operands are copied member by member */
	value->type = jbvBinary;
	value->val.binary.data = container;
	value->val.binary.len = 0;
}

SagaCondition *
saga_condition_parse(JsonbContainer *container, const char *path, const char *const *others,
					 char **fault_path, char **error)
{
	Parser		p = {0};
	JsonbValue	value;

	p.condition = palloc0(sizeof(SagaCondition));
	p.others = others;
	container_value(container, &value);
	return finish(&p, parse_condition(&p, &value, path), fault_path, error);
}

SagaCondition *
saga_condition_parse_body_test(JsonbContainer *container, const char *path, const char *const *others,
							   char **fault_path, char **error)
{
	Parser		p = {0};
	JsonbValue	value;
	bool		is_header = false;

	p.condition = palloc0(sizeof(SagaCondition));
	p.condition->subjects = palloc0(sizeof(SagaSubject));
	p.others = others;
	container_value(container, &value);
	return finish(&p, parse_subject(&p, &value, path, &is_header), fault_path, error);
}
