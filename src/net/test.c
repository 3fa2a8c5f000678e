/*
 * test.c
 *		What sql/outbox_bounds.sql looks at.
 *
 * The extension does not declare it: the test does, as a superuser.
 */
#include "postgres.h"

#include "fmgr.h"
#include "net/jsonb_read_private.h"
#include "utils/builtins.h"

/* saga_test_jsonb_read(text) returns jsonb; NULL: it is no JSON. */
PG_FUNCTION_INFO_V1(saga_test_jsonb_read);

Datum
saga_test_jsonb_read(PG_FUNCTION_ARGS)
{
	char	   *json = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *doc = saga_net_jsonb_read(json, strlen(json), false);

	if (doc == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(doc);
}
