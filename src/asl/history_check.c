/*
 * history_check.c
 *		Checks the binary form of a jsonb that comes from outside.
 *
 * The server trusts what it finds in a jsonb: one that was made up by hand
 * can make it read past the end.  So every entry's place and length is
 * checked here, and what is inside strings and numbers.  The order of keys is
 * not: a wrong one makes a lookup fail, no more.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/jsonb.h"

#include "asl/history_private.h"

/* numeric.c keeps these to itself; they are part of the storage format. */
#define SAGA_NUMERIC_SIGN_MASK	0xC000
#define SAGA_NUMERIC_SHORT		0x8000
#define SAGA_NUMERIC_SPECIAL	0xC000
#define SAGA_NUMERIC_BASE		10000

static bool container_is_sound(const char *data, int64 length, bool root);

static uint32
read_uint32(const char *data)
{
	uint32		value;

	memcpy(&value, data, sizeof(value));
	return value;
}

static bool
numeric_is_sound(const char *data, int64 length)
{
	uint16		header;
	int64		offset = VARHDRSZ + sizeof(uint16);

	if (length < offset || !VARATT_IS_4B_U(data) || VARSIZE(data) != length)
		return false;
	memcpy(&header, data + VARHDRSZ, sizeof(header));
	if ((header & SAGA_NUMERIC_SIGN_MASK) == SAGA_NUMERIC_SPECIAL)
		return false;			/* NaN and infinities are no JSON */
	if ((header & SAGA_NUMERIC_SIGN_MASK) != SAGA_NUMERIC_SHORT)
		offset += sizeof(int16);
	if (length < offset || (length - offset) % sizeof(int16) != 0)
		return false;
	for (; offset < length; offset += sizeof(int16))
	{
		int16		digit;

		memcpy(&digit, data + offset, sizeof(digit));
		if (digit < 0 || digit >= SAGA_NUMERIC_BASE)
			return false;
	}
	return true;
}

/* "base" is the start of the data area, which "start" and "end" count from. */
static bool
entry_is_sound(JEntry entry, const char *base, int64 start, int64 end, bool is_key)
{
	if (is_key && !JBE_ISSTRING(entry))
		return false;
	if (JBE_ISSTRING(entry))
		return pg_verify_mbstr(GetDatabaseEncoding(), base + start, (int) (end - start), true);
	if (JBE_ISBOOL(entry) || JBE_ISNULL(entry))
		return start == end;
	start = INTALIGN(start);
	if (start >= end)
		return false;
	if (JBE_ISNUMERIC(entry))
		return numeric_is_sound(base + start, end - start);
	if (JBE_ISCONTAINER(entry))
		return container_is_sound(base + start, end - start, false);
	return false;
}

static bool
container_is_sound(const char *data, int64 length, bool root)
{
	uint32		header;
	int64		count;
	int64		entries;
	int64		size;
	int64		start = 0;
	int64		i;
	bool		is_object;

	check_stack_depth();
	if (length < (int64) sizeof(uint32))
		return false;
	header = read_uint32(data);
	count = header & JB_CMASK;
	is_object = (header & JB_FOBJECT) != 0;
	if (is_object == ((header & JB_FARRAY) != 0))
		return false;
	if ((header & JB_FSCALAR) != 0 && (is_object || !root || count != 1))
		return false;
	entries = is_object ? count * 2 : count;
	size = length - (int64) sizeof(uint32) - entries * (int64) sizeof(JEntry);
	if (size < 0)
		return false;
	for (i = 0; i < entries; i++)
	{
		JEntry		entry = read_uint32(data + sizeof(uint32) + i * sizeof(JEntry));
		int64		end = JBE_OFFLENFLD(entry) + (JBE_HAS_OFF(entry) ? 0 : start);

		if (end < start || end > size ||
			!entry_is_sound(entry, data + length - size, start, end, is_object && i < count))
			return false;
		if ((header & JB_FSCALAR) != 0 && JBE_ISCONTAINER(entry))
			return false;
		start = end;
	}
	return true;
}

bool
saga_asl_jsonb_is_sound(const char *data, int length)
{
	return container_is_sound(data, length, true);
}
