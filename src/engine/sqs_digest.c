/*
 * sqs_digest.c
 *		The digest that SQS gives of a message's attributes.
 */
#include "postgres.h"

#include "common/base64.h"
#include "common/compat.h"
#include "common/md5.h"
#include "engine/task_private.h"
#include "lib/stringinfo.h"
#include "port/pg_bswap.h"
#include "value/value.h"

/* Types of an attribute's value, as they are counted in the digest. */
#define STRING_VALUE	1
#define BINARY_VALUE	2

typedef struct Attribute
{
	char	   *name;
	Jsonb	   *value;
} Attribute;

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const Attribute *) a)->name, ((const Attribute *) b)->name);
}

/* Four bytes of length, the first the highest, and the bytes. */
static void
add_part(StringInfo out, const char *data, int len)
{
	uint32		size = pg_hton32((uint32) len);

	appendBinaryStringInfo(out, (char *) &size, sizeof(size));
	appendBinaryStringInfo(out, data, len);
}

/* False: it has no value that SQS knows. */
static bool
add_attribute(StringInfo out, const Attribute *attribute)
{
	char	   *type = saga_jsonb_get_string(attribute->value, "DataType");
	char	   *text = saga_jsonb_get_string(attribute->value, "StringValue");
	char	   *binary = saga_jsonb_get_string(attribute->value, "BinaryValue");

	if (type == NULL || (text == NULL && binary == NULL))
		return false;
	add_part(out, attribute->name, strlen(attribute->name));
	add_part(out, type, strlen(type));
	appendStringInfoChar(out, text != NULL ? STRING_VALUE : BINARY_VALUE);
	if (text != NULL)
		add_part(out, text, strlen(text));
	else
	{
		int			size = pg_b64_dec_len(strlen(binary));
		char	   *bytes = palloc(size + 1);
		int			len = saga_b64_decode(binary, strlen(binary), bytes, size);

		if (len < 0)
			return false;
		add_part(out, bytes, len);
	}
	return true;
}

/*
 * MD5OfMessageAttributes of {"NAME": {"DataType", "StringValue" or
 * "BinaryValue"}}, into hex of 33 bytes.  False: they are none, or there is no
 * MD5 (FIPS).
 */
bool
saga_engine_sqs_attributes_md5(Jsonb *attributes, char *hex)
{
	int			count = JB_ROOT_IS_OBJECT(attributes) ? JB_ROOT_COUNT(attributes) : 0;
	Attribute  *list = palloc(sizeof(Attribute) * Max(count, 1));
	JsonbIterator *it = JsonbIteratorInit(&attributes->root);
	JsonbIteratorToken token;
	JsonbValue	v;
	StringInfoData bytes;
	const char *why;
	int			n = 0;

	if (count == 0)
		return false;
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			list[n].name = pnstrdup(v.val.string.val, v.val.string.len);
		else if (token == WJB_VALUE)
			list[n++].value = saga_jsonb_from_value(&v);
	}
	qsort(list, n, sizeof(Attribute), by_name);
	initStringInfo(&bytes);
	for (int i = 0; i < n; i++)
	{
		if (!JB_ROOT_IS_OBJECT(list[i].value) || !add_attribute(&bytes, &list[i]))
			return false;
	}
	return saga_md5_hash(bytes.data, bytes.len, hex, &why);
}
