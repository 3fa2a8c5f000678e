/*
 * intrinsic_text.c
 *		Intrinsic functions on strings, JSON texts and encodings.
 *
 * Results are bounded by what a jsonb can hold (SAGA_VALUE_MAX_SIZE): a
 * longer one is the fault States.DataLimitExceeded and no error.  The
 * database's encoding matters only where bytes are meant, as for Base64 and
 * digests; these work on UTF-8 in every database.
 */
#include "postgres.h"

#include "common/base64.h"
#include "common/cryptohash.h"
#include "common/md5.h"
#include "common/sha1.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/shmem.h"

#include "jsonpath/jsonpath_private.h"
#include "common/compat.h"

/* The fault of a result beyond the limit; always false. */
static bool
too_large(SagaCall *call)
{
	return saga_fault(call->fault, "States.DataLimitExceeded",
					  "The result of the function '%s' is too large.", call->expr->text);
}

/* ---------- States.Format ---------- */

/*
 * The template's text is as written in the definition, where "\" escapes the
 * next character, or from data, where only "\{" and "\}" mean something.
 */
bool
saga_intrinsic_format(SagaCall *call)
{
	const JsonbValue *template;
	const char *raw = call->expr->args[0]->raw;
	const char *s,
			   *end;
	int			arg = 1;
	StringInfoData buf;

	if (!saga_jsonpath_call_string(call, 0, &template))
		return false;
	s = raw != NULL ? raw : template->val.string.val;
	end = s + (raw != NULL ? call->expr->args[0]->raw_len : template->val.string.len);
	initStringInfo(&buf);
	while (s < end)
	{
		if (*s == '\\' && s + 1 < end && (raw != NULL || s[1] == '{' || s[1] == '}'))
		{
			appendStringInfoChar(&buf, s[1]);
			s += 2;
		}
		else if (*s == '{' && s + 1 < end && s[1] == '}')
		{
			if (arg >= call->nargs)
				return saga_jsonpath_call_fault(call, "There are more {} than arguments");
			if (!saga_value_text(&buf, &call->args[arg++], true, SAGA_VALUE_MAX_SIZE))
				return too_large(call);
			s += 2;
		}
		else
			appendStringInfoChar(&buf, *s++);
	}
	if (arg < call->nargs)
		return saga_jsonpath_call_fault(call, "There are more arguments than {}");
	saga_value_set_string(call->result, buf.data, buf.len);
	return true;
}

/* ---------- JSON ---------- */

/* JSON's white space alone; true of an empty text. */
static bool
is_blank(const char *s, int len)
{
	while (len > 0 && (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r'))
	{
		s++;
		len--;
	}
	return len == 0;
}

/*
 * States.StringToJson.  What is no JSON, or more than jsonb can hold, is a
 * fault.
 */
bool
saga_intrinsic_string_to_json(SagaCall *call)
{
	const JsonbValue *s;
	Jsonb	   *jsonb;

	if (!saga_jsonpath_call_string(call, 0, &s))
		return false;
	/* as a reader of JSON streams does: no text, no value */
	if (is_blank(s->val.string.val, s->val.string.len))
	{
		call->result->type = jbvNull;
		return true;
	}
	jsonb = saga_jsonb_parse(s->val.string.val, s->val.string.len);
	if (jsonb == NULL)
		return saga_jsonpath_call_fault(call, "The string is not valid JSON");
	saga_jsonb_value(jsonb, call->result);
	return true;
}

/* States.JsonToString: JSON without blanks. */
bool
saga_intrinsic_json_to_string(SagaCall *call)
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (!saga_value_text(&buf, &call->args[0], false, SAGA_VALUE_MAX_SIZE))
		return too_large(call);
	saga_value_set_string(call->result, buf.data, buf.len);
	return true;
}

/* False at the end; the pair stays as it was then. */
static bool
next_pair(SagaValueChildren *c, JsonbPair *pair)
{
	if (!saga_value_children_next(c))
		return false;
	pair->key = c->key;
	pair->value = c->value;
	return true;
}

/* Both are sorted by name; of one name the second object's value is taken. */
static void
merge_objects(const JsonbValue *a, const JsonbValue *b, JsonbValue *result)
{
	JsonbPair  *pairs = palloc_extended(mul_size(saga_value_count(a) + saga_value_count(b) + 1,
												 sizeof(JsonbPair)), MCXT_ALLOC_HUGE);
	SagaValueChildren ca,
				cb;
	JsonbPair	pa,
				pb;
	bool		has_a,
				has_b;
	int			n = 0;

	saga_value_children_start(&ca, a);
	saga_value_children_start(&cb, b);
	has_a = next_pair(&ca, &pa);
	has_b = next_pair(&cb, &pb);
	while (has_a || has_b)
	{
		int			cmp = !has_a ? 1 : !has_b ? -1 : saga_pair_compare(&pa, &pb);

		pairs[n++] = cmp < 0 ? pa : pb;
		if (cmp <= 0)
			has_a = next_pair(&ca, &pa);
		if (cmp >= 0)
			has_b = next_pair(&cb, &pb);
	}
	result->type = jbvObject;
	result->val.object.pairs = pairs;
	result->val.object.nPairs = n;
}

/*
 * States.JsonMerge: shallow alone, as at AWS, whose third argument must be
 * false, too.
 */
bool
saga_intrinsic_json_merge(SagaCall *call)
{
	for (int i = 0; i < 2; i++)
	{
		if (!saga_value_is_object(&call->args[i]))
			return saga_jsonpath_call_fault(call, "Argument %d must be an object, but was: %s",
											i + 1, saga_value_type_name(&call->args[i]));
	}
	if (call->args[2].type != jbvBool)
		return saga_jsonpath_call_fault(call, "Argument 3 must be a boolean, but was: %s",
										saga_value_type_name(&call->args[2]));
	if (call->args[2].val.boolean)
		return saga_jsonpath_call_fault(call, "Only a shallow merge is supported: argument 3 must be false");
	merge_objects(&call->args[0], &call->args[1], call->result);
	return true;
}

/* ---------- encodings and digests ---------- */

/* The string's bytes in UTF-8; digests must not depend on the database. */
static const char *
utf8_bytes(const JsonbValue *s, int *len)
{
	char	   *converted;

	*len = s->val.string.len;
	if (GetDatabaseEncoding() == PG_UTF8)
		return s->val.string.val;
	converted = pg_server_to_any(s->val.string.val, s->val.string.len, PG_UTF8);
	if (converted != s->val.string.val)
		*len = strlen(converted);
	return converted;
}

bool
saga_intrinsic_base64_encode(SagaCall *call)
{
	const JsonbValue *s;
	const char *bytes;
	int			len;
	int			size;
	char	   *out;

	if (!saga_jsonpath_call_string(call, 0, &s))
		return false;
	bytes = utf8_bytes(s, &len);
	/* four bytes for three: looked at before anything is allocated */
	if (len > SAGA_VALUE_MAX_SIZE / 2)
		return too_large(call);
	size = pg_b64_enc_len(len) + 1;
	out = palloc(size);
	len = saga_b64_encode(bytes, len, out, size);
	if (len < 0)
		return saga_jsonpath_call_fault(call, "Cannot be encoded");
	saga_value_set_string(call->result, out, len);
	return true;
}

/* The decoded bytes are taken as text in the database's encoding. */
bool
saga_intrinsic_base64_decode(SagaCall *call)
{
	const JsonbValue *s;
	int			size;
	int			len;
	char	   *out;

	if (!saga_jsonpath_call_string(call, 0, &s))
		return false;
	size = pg_b64_dec_len(s->val.string.len) + 1;
	out = palloc(size);
	len = saga_b64_decode(s->val.string.val, s->val.string.len, out, size);
	if (len < 0)
		return saga_jsonpath_call_fault(call, "The string is not valid Base64");
	if (!pg_verify_mbstr(GetDatabaseEncoding(), out, len, true))
		return saga_jsonpath_call_fault(call, "The decoded bytes are not text in %s", GetDatabaseEncodingName());
	saga_value_set_string(call->result, out, len);
	return true;
}

static const struct
{
	const char *name;
	pg_cryptohash_type type;
	int			len;
}			digests[] =

{
	{"MD5", PG_MD5, MD5_DIGEST_LENGTH},
	{"SHA-1", PG_SHA1, SHA1_DIGEST_LENGTH},
	{"SHA-256", PG_SHA256, PG_SHA256_DIGEST_LENGTH},
	{"SHA-384", PG_SHA384, PG_SHA384_DIGEST_LENGTH},
	{"SHA-512", PG_SHA512, PG_SHA512_DIGEST_LENGTH},
};

/*
 * False when the server's library refuses the digest, as OpenSSL under FIPS
 * does with MD5.  The context is freed on every path, since it can hold
 * memory of the library's own.
 */
static bool
compute_digest(pg_cryptohash_type type, const char *data, int len, uint8 *digest, int digest_len)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(type);
	bool		ok;

	if (ctx == NULL)
		return false;
	ok = pg_cryptohash_init(ctx) >= 0 &&
		pg_cryptohash_update(ctx, (const uint8 *) data, len) >= 0 &&
		pg_cryptohash_final(ctx, digest, digest_len) >= 0;
	pg_cryptohash_free(ctx);
	return ok;
}

/*
 * States.Hash: of a string its bytes are hashed, of anything else its JSON
 * text.  Hexadecimal digits in lower case.
 */
bool
saga_intrinsic_hash(SagaCall *call)
{
	const JsonbValue *name;
	JsonbValue	data = call->args[0];
	int			len;
	const char *bytes;

	if (!saga_jsonpath_call_string(call, 1, &name))
		return false;
	if (data.type != jbvString)
	{
		StringInfoData buf;

		initStringInfo(&buf);
		if (!saga_value_text(&buf, &call->args[0], false, SAGA_VALUE_MAX_SIZE))
			return too_large(call);
		saga_value_set_string(&data, buf.data, buf.len);
	}
	bytes = utf8_bytes(&data, &len);
	for (int i = 0; i < lengthof(digests); i++)
	{
		uint8		digest[PG_SHA512_DIGEST_LENGTH];
		char	   *hex;

		if (strlen(digests[i].name) != name->val.string.len ||
			memcmp(digests[i].name, name->val.string.val, name->val.string.len) != 0)
			continue;
		if (!compute_digest(digests[i].type, bytes, len, digest, digests[i].len))
			return saga_jsonpath_call_fault(call, "This server cannot compute %s", digests[i].name);
		hex = palloc(2 * digests[i].len + 1);
		for (int j = 0; j < digests[i].len; j++)
			snprintf(hex + 2 * j, 3, "%02x", digest[j]);
		saga_value_set_string(call->result, hex, 2 * digests[i].len);
		return true;
	}
	return saga_jsonpath_call_fault(call, "Argument 2 must be one of MD5, SHA-1, SHA-256, SHA-384, SHA-512");
}

/* ---------- States.StringSplit ---------- */

/* Whether a character, of one or more bytes, is among those that split. */
static bool
is_delimiter(const char *c, int len, const JsonbValue *delimiters)
{
	const char *d = delimiters->val.string.val;
	const char *end = d + delimiters->val.string.len;

	while (d < end)
	{
		int			dlen = pg_mblen(d);

		if (dlen == len && memcmp(c, d, len) == 0)
			return true;
		d += dlen;
	}
	return false;
}

/* Each character of the second argument splits; empty parts are left out. */
bool
saga_intrinsic_string_split(SagaCall *call)
{
	const JsonbValue *s,
			   *delimiters;
	const char *part,
			   *p,
			   *end;
	int			n = 0;
	int			max = 8;
	JsonbValue *elems = palloc(max * sizeof(JsonbValue));

	if (!saga_jsonpath_call_string(call, 0, &s) || !saga_jsonpath_call_string(call, 1, &delimiters))
		return false;
	part = p = s->val.string.val;
	end = p + s->val.string.len;
	for (;;)
	{
		int			len = p < end ? pg_mblen(p) : 0;

		CHECK_FOR_INTERRUPTS();
		if (p < end && !is_delimiter(p, len, delimiters))
		{
			p += len;
			continue;
		}
		if (p > part)
		{
			if (n == max)
			{
				max *= 2;
				elems = repalloc_huge(elems, mul_size(max, sizeof(JsonbValue)));
			}
			saga_value_set_string(&elems[n++], part, p - part);
		}
		if (p >= end)
			break;
		p += len;
		part = p;
	}
	saga_value_set_array(call->result, elems, n);
	return true;
}
