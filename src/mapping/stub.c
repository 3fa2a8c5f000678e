#include "postgres.h"
#include "mapping/mapping.h"
#define STUB elog(ERROR, "stub")
SagaMapping *saga_mapping_parse(const char *text, char **error){ *error = "stub"; return NULL; }
bool saga_mapping_eval(const SagaMapping *mapping, Jsonb *doc, Jsonb **result, char **error){ *error="stub"; return false; }
SagaAnswerPath *saga_answer_path_parse(const char *text, char **error){ *error="stub"; return NULL; }
bool saga_answer_path_get(const SagaAnswerPath *path, Jsonb *doc, JsonbValue *value){ return false; }
const char *saga_template_check(const char *text){ return NULL; }
bool saga_template_has_references(const char *text){ return false; }
bool saga_template_fill(StringInfo out, const char *text, Jsonb *doc, bool url_encode, char **missing){ appendStringInfoString(out, text); return true; }
const char *saga_json_template_check(Jsonb *template, const char *path, char **fault_path){ return NULL; }
bool saga_json_template_fill(Jsonb *template, Jsonb *doc, Jsonb **result, char **missing){ *result = template; return true; }
SagaCondition *saga_condition_parse(JsonbContainer *container, const char *path, const char *const *others, char **fault_path, char **error){ *fault_path = pstrdup(path); *error = "stub"; return NULL; }
SagaCondition *saga_body_test_parse(JsonbContainer *container, const char *path, const char *const *others, char **fault_path, char **error){ *fault_path = pstrdup(path); *error = "stub"; return NULL; }
bool saga_condition_holds(const SagaCondition *condition, const SagaAnswerView *answer, Jsonb *message){ return false; }
char *saga_head_get(const char *head, const char *name){
	size_t len = strlen(name); const char *line = head;
	while (line != NULL && *line) {
		if (pg_strncasecmp(line, name, len) == 0 && line[len] == ':') {
			const char *value = line + len + 1; size_t n = strcspn(value, "\r\n");
			while (n > 0 && (*value == ' ' || *value == '\t')) { value++; n--; }
			return pnstrdup(value, n);
		}
		line = strchr(line, '\n'); if (line != NULL) line++;
	}
	return NULL;
}
