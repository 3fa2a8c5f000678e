/*
 * settings_answer.c
 *		Settings that say what answers mean, and the requests that follow on
 *		them: look-up, poll and compensation.
 *
 * Paths and conditions are parsed by condition.c; what they cost together is
 * summed up for the whole destination (add_cost).  A section that is a
 * request as well is read by parse_section(), and finished after all others,
 * since its URL may be below that of the main request.
 */
#include "postgres.h"

#include "endpoint/condition_private.h"
#include "endpoint/settings_private.h"
#include "value/doc.h"

/*
 * A section that is a request with members of its own beside: its struct
 * begins with the SagaRequestSpec, so that the offsets of both tables fit.
 */
static void
parse_section(SagaSettingsState *state, const char *path, JsonbValue *value, const SagaSetting *own,
			  int nown, void *base, const char *what)
{
	int			nrequest;
	const SagaSetting *request = saga_settings_request_table(&nrequest);
	SagaSetting *all = palloc(sizeof(SagaSetting) * (nown + nrequest));

	memcpy(all, own, sizeof(SagaSetting) * nown);
	memcpy(all + nown, request, sizeof(SagaSetting) * nrequest);
	saga_settings_object(state, path, value, all, nown + nrequest, base, what);
}

/* ---------- paths and conditions ---------- */

/* What all conditions of a destination may take together. */
#define SAGA_MAX_TESTS			100
#define SAGA_MAX_OPERANDS		2000
#define SAGA_MAX_REGEXES		20

/* The field is a SagaAnswerPath *. */
static void
parse_path(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	char	   *error = NULL;

	if (value->type != jbvString)
	{
		saga_settings_fault(state, path, "must be a string");
		return;
	}
	*(SagaAnswerPath **) field = saga_answer_path_parse(saga_doc_text(value), &error);
	if (error != NULL)
		saga_settings_fault(state, path, psprintf("is no path: %s", error));
}

/* Each answer is looked at with all conditions, in the process that sends for everybody. */
static void
add_cost(SagaSettingsState *state, const char *path, const SagaConditionCost *cost)
{
	SagaConditionCost *total = &state->destination->conditions;

	total->tests += cost->tests;
	total->operands += cost->operands;
	total->regexes += cost->regexes;
	if (cost->refused != NULL && state->destination->refused == NULL)
		state->destination->refused = cost->refused;
	if (total->tests > SAGA_MAX_TESTS)
		saga_settings_refuse(state, path, psprintf("makes more than %d tests in all conditions", SAGA_MAX_TESTS));
	if (total->operands > SAGA_MAX_OPERANDS)
		saga_settings_refuse(state, path, psprintf("makes more than %d values to compare with in all conditions", SAGA_MAX_OPERANDS));
	if (total->regexes > SAGA_MAX_REGEXES)
		saga_settings_refuse(state, path, psprintf("makes more than %d regular expressions in all conditions", SAGA_MAX_REGEXES));
}

/*
 * NULL after a fault, whose path is that of the member inside.  With
 * body_test it is a lone test of the body.
 */
static SagaCondition *
parse_condition(SagaSettingsState *state, const char *path, JsonbValue *value, const char *const *others,
				bool body_test)
{
	SagaCondition *condition;
	char	   *fault_path = NULL;
	char	   *error = NULL;

	if (!saga_doc_is_object(value))
	{
		saga_settings_fault(state, path, "must be an object");
		return NULL;
	}
	if (body_test)
		condition = saga_condition_parse_body_test(value->val.binary.data, path, others, &fault_path, &error);
	else
		condition = saga_condition_parse(value->val.binary.data, path, others, &fault_path, &error);
	if (condition == NULL)
		saga_settings_fault(state, fault_path, error);
	else
		add_cost(state, path, saga_condition_cost(condition));
	return condition;
}

/* "same" of a look-up: a test of the body, since the answer is a good one. */
static void
parse_same(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	*(SagaCondition **) field = parse_condition(state, path, value, NULL, true);
}

/* A condition on the whole answer, of any status. */
static void
parse_already_done(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	*(SagaCondition **) field = parse_condition(state, path, value, NULL, false);
}

/* ---------- classify ---------- */

/* "split" is of the outbox's own. */
static bool
find_class(const char *name, SagaClass *class)
{
	int			i;

	for (i = SAGA_CLASS_SUCCESS; i <= SAGA_CLASS_FATAL; i++)
	{
		*class = (SagaClass) i;
		if (i != SAGA_CLASS_SPLIT && strcmp(saga_class_name(*class), name) == 0)
			return true;
	}
	return false;
}

/* A condition with its class in "as", which is no part of the condition. */
static void
parse_rule(SagaSettingsState *state, const char *path, JsonbValue *value, SagaRule *rule)
{
	static const char *const others[] = {"as", "comment", NULL};
	char	   *as;

	rule->condition = parse_condition(state, path, value, others, false);
	if (rule->condition == NULL)
		return;
	as = saga_doc_get_string(value->val.binary.data, "as");
	if (as == NULL || !find_class(as, &rule->as))
		saga_settings_fault(state, saga_settings_path(path, "as"),
							"must be success, pending, retry, uncertain, duplicate, auth or fatal");
}

void
saga_settings_rules(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaRules  *rules = field;
	JsonbContainer *array;
	int			i;

	if (!saga_doc_is_array(value))
	{
		saga_settings_fault(state, path, "must be an array of rules");
		return;
	}
	array = value->val.binary.data;
	rules->rules = palloc0(mul_size(JsonContainerSize(array) + 1, sizeof(SagaRule)));
	for (i = 0; i < (int) JsonContainerSize(array); i++)
		parse_rule(state, psprintf("%s[%d]", path, i), getIthJsonbValueFromContainer(array, i),
				   &rules->rules[rules->n++]);
}

void
saga_settings_uncertain_as(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	char	   *text = value->type == jbvString ? saga_doc_text(value) : NULL;

	if (text != NULL && strcmp(text, "retry") == 0)
		*(bool *) field = true;
	else if (text == NULL || strcmp(text, "uncertain") != 0)
		saga_settings_fault(state, path, "must be \"uncertain\" or \"retry\"");
}

/* ---------- capture ---------- */

typedef struct CaptureState
{
	SagaSettingsState *state;
	SagaCapture *capture;
	const char *path;
} CaptureState;

/*
 * The path is kept even after a fault, as NULL: nobody uses settings that
 * have one.
 */
static void
parse_captured(const char *name, JsonbValue *value, void *arg)
{
	CaptureState *captures = arg;
	SagaCapture *capture = captures->capture;

	capture->names[capture->n] = pstrdup(name);
	parse_path(captures->state, saga_settings_path(captures->path, name), value,
			   &capture->paths[capture->n]);
	capture->n++;
}

void
saga_settings_capture(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	CaptureState captures = {state, field, path};
	int			n;

	if (!saga_doc_is_object(value))
	{
		saga_settings_fault(state, path, "must be an object");
		return;
	}
	n = JsonContainerSize(value->val.binary.data) + 1;
	captures.capture->names = palloc0(mul_size(n, sizeof(char *)));
	captures.capture->paths = palloc0(mul_size(n, sizeof(SagaAnswerPath *)));
	saga_doc_each(value->val.binary.data, parse_captured, &captures);
}

/* ---------- look-up ---------- */

/* Given, even if empty, it takes the place of the destination's own. */
static void
parse_lookup_capture(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaLookup *lookup = field;

	lookup->has_capture = true;
	saga_settings_capture(state, path, value, &lookup->capture);
}

/* Without a status of its own the condition is asked of a 200 only. */
static void
parse_absent(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaLookup *lookup = field;

	lookup->absent = parse_condition(state, path, value, NULL, false);
	lookup->absent_of_any = lookup->absent != NULL && saga_doc_get(value->val.binary.data, "status") != NULL;
}

#define LOOKUP(f)	offsetof(SagaLookup, f)

static const SagaSetting lookup_settings[] = {
	{"found", 0, SAGA_SETTING_OTHER, LOOKUP(found), 0, 0, 0, parse_path},
	{"absent", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_absent},
	{"same", 0, SAGA_SETTING_OTHER, LOOKUP(same), 0, 0, 0, parse_same},
	{"capture", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_lookup_capture},
	{"id", 0, SAGA_SETTING_STRING, LOOKUP(id)},
	{"classify", 0, SAGA_SETTING_OTHER, LOOKUP(rules), 0, 0, 0, saga_settings_rules},
	{"delay_ms", 0, SAGA_SETTING_INTEGER, LOOKUP(delay_ms), 0, 3600000, 0},
};

void
saga_settings_lookup(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaLookup *lookup = palloc0(sizeof(SagaLookup));

	*(SagaLookup **) field = lookup;
	parse_section(state, path, value, lookup_settings, lengthof(lookup_settings), lookup,
				  "is not a setting of look-ups");
	if (lookup->found == NULL)
		saga_settings_fault(state, saga_settings_path(path, "found"), "is missing");
	lookup->delay_given = saga_doc_is_object(value) && saga_doc_get(value->val.binary.data, "delay_ms") != NULL;
}

/* ---------- poll ---------- */

/* One value or an array of them, kept as an array. */
static void
parse_values(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	JsonbParseState *parse = NULL;

	if (saga_doc_is_array(value))
	{
		*(Jsonb **) field = JsonbValueToJsonb(value);
		return;
	}
	if (saga_doc_is_object(value))
	{
		saga_settings_fault(state, path, "must be a value or an array of values");
		return;
	}
	pushJsonbValue(&parse, WJB_BEGIN_ARRAY, NULL);
	pushJsonbValue(&parse, WJB_ELEM, value);
	*(Jsonb **) field = JsonbValueToJsonb(pushJsonbValue(&parse, WJB_END_ARRAY, NULL));
}

/* As that of a look-up. */
static void
parse_poll_capture(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaPoll   *poll = field;

	poll->has_capture = true;
	saga_settings_capture(state, path, value, &poll->capture);
}

#define POLL(f)	offsetof(SagaPoll, f)

static const SagaSetting poll_settings[] = {
	{"path", 0, SAGA_SETTING_OTHER, POLL(status), 0, 0, 0, parse_path},
	{"success", 0, SAGA_SETTING_OTHER, POLL(success), 0, 0, 0, parse_values},
	{"fatal", 0, SAGA_SETTING_OTHER, POLL(fatal), 0, 0, 0, parse_values},
	{"capture", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_poll_capture},
	{"every_ms", 0, SAGA_SETTING_INTEGER, POLL(every_ms), 1, 86400000, 2000},
	{"deadline_s", 0, SAGA_SETTING_INTEGER, POLL(deadline_s), 1, 31622400, 86400},
};

void
saga_settings_poll(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaPoll   *poll = palloc0(sizeof(SagaPoll));

	*(SagaPoll **) field = poll;
	saga_settings_defaults(poll_settings, lengthof(poll_settings), poll);
	parse_section(state, path, value, poll_settings, lengthof(poll_settings), poll,
				  "is not a setting of polls");
	if (poll->status == NULL)
		saga_settings_fault(state, saga_settings_path(path, "path"), "is missing");
	if (poll->success == NULL)
		saga_settings_fault(state, saga_settings_path(path, "success"), "is missing");
}

/* ---------- compensation ---------- */

/*
 * "else": another request, or the name of a destination, which is looked up
 * when the settings are stored.
 */
static void
parse_other(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaCompensation *compensation = field;

	if (value->type == jbvString)
	{
		compensation->other_destination = saga_doc_text(value);
		return;
	}
	compensation->other = palloc0(sizeof(SagaRequestSpec));
	saga_settings_request(state, path, value, compensation->other);
}

#define COMPENSATION(f)	offsetof(SagaCompensation, f)

static const SagaSetting compensation_settings[] = {
	{"already_done", 0, SAGA_SETTING_OTHER, COMPENSATION(already_done), 0, 0, 0, parse_already_done},
	{"classify", 0, SAGA_SETTING_OTHER, COMPENSATION(rules), 0, 0, 0, saga_settings_rules},
	{"else", 0, SAGA_SETTING_OTHER, 0, 0, 0, 0, parse_other},
	{"uncertain_as", 0, SAGA_SETTING_OTHER, COMPENSATION(resend_uncertain), 0, 0, 0, saga_settings_uncertain_as},
};

void
saga_settings_compensate(SagaSettingsState *state, const char *path, JsonbValue *value, void *field)
{
	SagaCompensation *compensation = palloc0(sizeof(SagaCompensation));

	*(SagaCompensation **) field = compensation;
	parse_section(state, path, value, compensation_settings, lengthof(compensation_settings), compensation,
				  "is not a setting of compensations");
}

/* ---------- what hangs together ---------- */

/* Does any rule make an answer pending, which only a poll can end? */
static bool
says_pending(const SagaRules *rules)
{
	int			i;

	for (i = 0; i < rules->n; i++)
	{
		if (rules->rules[i].as == SAGA_CLASS_PENDING)
			return true;
	}
	return false;
}

/* A GET has no body unless one is asked for. */
static void
finish_section(SagaSettingsState *state, const char *path, SagaRequestSpec *spec, const char *method)
{
	saga_settings_finish_request(state, path, spec, method);
	if (spec->source == SAGA_BODY_MESSAGE)
		spec->source = SAGA_BODY_NONE;
}

void
saga_settings_finish_answers(SagaSettingsState *state)
{
	SagaDestination *destination = state->destination;
	SagaCompensation *compensation = destination->compensation;

	if (destination->lookup != NULL)
	{
		const SagaLookup *lookup = destination->lookup;

		finish_section(state, "$.lookup", &destination->lookup->request, "GET");
		if (lookup->id != NULL &&
			!saga_capture_has(lookup->has_capture ? &lookup->capture : &destination->capture, lookup->id))
			saga_settings_fault(state, "$.lookup.id", "is not the name of a value that the look-up captures");
	}
	if (destination->poll != NULL)
		finish_section(state, "$.poll", &destination->poll->request, "GET");
	if (compensation != NULL)
		finish_section(state, "$.compensate", &compensation->request, "POST");
	if (compensation != NULL && compensation->other != NULL)
		finish_section(state, "$.compensate.else", compensation->other, "POST");
	if (destination->poll == NULL && says_pending(&destination->rules))
		saga_settings_fault(state, "$.poll", "is missing, and a rule in $.classify says \"pending\"");
}

bool
saga_capture_has(const SagaCapture *capture, const char *name)
{
	int			i;

	for (i = 0; i < capture->n; i++)
	{
		if (strcmp(capture->names[i], name) == 0)
			return true;
	}
	return false;
}
