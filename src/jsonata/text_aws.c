/*
 * text_aws.c
 *		What AWS Step Functions adds to JSONata: digests, ids, random numbers.
 */
#include "postgres.h"

#include <math.h>

#include "common/cryptohash.h"
#include "common/md5.h"
#include "common/sha1.h"
#include "common/sha2.h"

#include "jsonata/text_private.h"

/* The names that AWS documents for $hash, and what the server has for each. */
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

bool
saga_jsonata_hash(const char *data, int len, const char *algorithm, int algorithm_len, StringInfo out,
				  SagaJsonataFault *fault)
{
	for (int i = 0; i < lengthof(digests); i++)
	{
		uint8		digest[PG_SHA512_DIGEST_LENGTH];

		/*
		 * A name counts only as it is written here: "sha-1" is the fault
		 * below.
		 */
		if (strlen(digests[i].name) != algorithm_len || memcmp(digests[i].name, algorithm, algorithm_len) != 0)
			continue;
		if (!compute_digest(digests[i].type, data, len, digest, digests[i].len))
			return saga_jsonata_fault(fault, "D3137", "this server cannot compute %s for $hash", digests[i].name);
		for (int j = 0; j < digests[i].len; j++)
			appendStringInfo(out, "%02x", digest[j]);
		return true;
	}
	return saga_jsonata_fault(fault, "T0410", "argument 2 of $hash must be one of MD5, SHA-1, SHA-256, SHA-384, SHA-512");
}

/* splitmix64; the upper 53 bits of it are all that a double has. */
double
saga_jsonata_random(uint64 *state)
{
	uint64		z = (*state += UINT64CONST(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94d049bb133111eb);
	z ^= z >> 31;
	return ldexp((double) (z >> 11), -53);
}

/* Equal numbers are equal seeds: 0 and -0 are. */
uint64
saga_jsonata_random_seed(double seed)
{
	uint64		bits;

	/*
	 * The sum of -0 and 0 is 0, so that both have the same bits from here on.
	 */
	seed += 0.0;
	memcpy(&bits, &seed, sizeof(bits));
	return bits;
}

/* Random but for the six bits that say so. */
void
saga_jsonata_uuid(const uint8 *random, StringInfo out)
{
	for (int i = 0; i < 16; i++)
	{
		uint8		byte = random[i];

		/* RFC 4122 keeps these bits: the version, 4, and the variant. */
		if (i == 6)
			byte = (byte & 0x0F) | 0x40;
		else if (i == 8)
			byte = (byte & 0x3F) | 0x80;
		if (i == 4 || i == 6 || i == 8 || i == 10)
			appendStringInfoChar(out, '-');
		appendStringInfo(out, "%02x", byte);
	}
}
