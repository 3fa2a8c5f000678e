/*
 * intrinsic.c
 *		The table of intrinsic functions, and how they look at their arguments.
 *
 * The number of arguments is checked against this table when an expression is
 * parsed, so that no function looks at it again except those with a varying
 * number.  Names are sorted for people; with so few of them a search from the
 * beginning will do.
 */
#include "postgres.h"


#include "jsonpath/jsonpath_private.h"

static const SagaIntrinsic intrinsics[] =
{
	{"Array", 0, -1, saga_intrinsic_array},
	{"ArrayContains", 2, 2, saga_intrinsic_array_contains},
	{"ArrayGetItem", 2, 2, saga_intrinsic_array_get_item},
	{"ArrayLength", 1, 1, saga_intrinsic_array_length},
	{"ArrayPartition", 2, 2, saga_intrinsic_array_partition},
	{"ArrayRange", 3, 3, saga_intrinsic_array_range},
	{"ArrayUnique", 1, 1, saga_intrinsic_array_unique},
	{"Base64Decode", 1, 1, saga_intrinsic_base64_decode},
	{"Base64Encode", 1, 1, saga_intrinsic_base64_encode},
	{"Format", 1, -1, saga_intrinsic_format},
	{"Hash", 2, 2, saga_intrinsic_hash},
	{"JsonMerge", 3, 3, saga_intrinsic_json_merge},
	{"JsonToString", 1, 1, saga_intrinsic_json_to_string},
	{"MathAdd", 2, 2, saga_intrinsic_math_add},
	{"MathRandom", 2, 3, saga_intrinsic_math_random},
	{"StringSplit", 2, 2, saga_intrinsic_string_split},
	{"StringToJson", 1, 1, saga_intrinsic_string_to_json},
	{"UUID", 0, 0, saga_intrinsic_uuid},
};

/*
 * NULL: there is none of that name, which comes without "States." and is not
 * terminated.
 */
const SagaIntrinsic *
saga_intrinsic_find(const char *name, int len)
{
	for (int i = 0; i < lengthof(intrinsics); i++)
	{
		if (strlen(intrinsics[i].name) == len && memcmp(intrinsics[i].name, name, len) == 0)
			return &intrinsics[i];
	}
	return NULL;
}
