/*
 * text_picture.c
 *		Pictures of XPath's fn:format-number, read as JSONata's reference
 *		implementation does, with its order of errors.
 *
 * A picture has a prefix, a mantissa of digits and places for digits, perhaps
 * an exponent, and a suffix.  Begin with saga_jsonata_read_picture.
 */
#include "postgres.h"

#include "jsonata/text_picture_private.h"

/* A symbol that is not one character. */
#define NO_CHAR		((pg_wchar) 0xffffffff)

/* Parts of a picture, by their places in it. */
typedef struct Parts
{
	const SagaJsonataSigns *signs;
	SagaJsonataWide text;
	int			active;			/* what lies between prefix ... */
	int			suffix;			/* ... and suffix */
	SagaJsonataWide mantissa;
	SagaJsonataWide whole;
	SagaJsonataWide fraction;
	bool		has_exponent;
	SagaJsonataWide exponent;
} Parts;

/* ---------- symbols ---------- */

static const char *const symbol_names[SAGA_JSONATA_SYMBOLS] = {
	"decimal-separator", "grouping-separator", "exponent-separator", "infinity", "minus-sign", "NaN",
	"percent", "per-mille", "zero-digit", "digit", "pattern-separator"
};
static const char *const symbol_defaults[SAGA_JSONATA_SYMBOLS] = {
	".", ",", "e", "Infinity", "-", "NaN", "%", "\xe2\x80\xb0", "0", "#", ";"
};

/*
 * Sets all symbols to those that the reference has without options. They are
 * constants, which nobody frees.
 */
void
saga_jsonata_default_symbols(SagaJsonataSymbols *symbols)
{
	for (int i = 0; i < SAGA_JSONATA_SYMBOLS; i++)
	{
		symbols->symbols[i].s = symbol_defaults[i];
		symbols->symbols[i].len = strlen(symbol_defaults[i]);
	}
}

int
saga_jsonata_symbol(const char *name, int len)
{
	for (int i = 0; i < SAGA_JSONATA_SYMBOLS; i++)
		if (strlen(symbol_names[i]) == len && memcmp(symbol_names[i], name, len) == 0)
			return i;
	return -1;
}

/*
 * Makes characters of the symbols. The caller has converted the options to
 * UTF-8; the arrays are in CurrentMemoryContext. A symbol that must be one
 * character and is not is never found in a picture.
 */
void
saga_jsonata_signs(const SagaJsonataSymbols *symbols, SagaJsonataSigns *signs)
{
	pg_wchar	single[SAGA_JSONATA_SYMBOLS];

	for (int i = 0; i < SAGA_JSONATA_SYMBOLS; i++)
	{
		signs->wide[i] = saga_jsonata_wide(symbols->symbols[i].s, symbols->symbols[i].len);
		single[i] = signs->wide[i].len == 1 ? signs->wide[i].chars[0] : NO_CHAR;
	}
	/* of a longer one the first character counts */
	signs->zero = signs->wide[SAGA_JSONATA_ZERO_DIGIT].len > 0 ? signs->wide[SAGA_JSONATA_ZERO_DIGIT].chars[0] : '0';
	signs->point = single[SAGA_JSONATA_DECIMAL_SEPARATOR];
	signs->group = single[SAGA_JSONATA_GROUPING_SEPARATOR];
	signs->exponent = single[SAGA_JSONATA_EXPONENT_SEPARATOR];
	signs->digit = single[SAGA_JSONATA_DIGIT];
	signs->pattern = single[SAGA_JSONATA_PATTERN_SEPARATOR];
}

/* ---------- characters ---------- */

/* A digit of the family of ten that begins with the zero of the options. */
static bool
is_digit(const SagaJsonataSigns *signs, pg_wchar c)
{
	return c >= signs->zero && c - signs->zero <= 9;
}

/* A place for a digit that may be missing, or for one that must be there. */
static bool
is_place(const SagaJsonataSigns *signs, pg_wchar c)
{
	return c == signs->digit || is_digit(signs, c);
}

/* Not the exponent's sign, which can be a letter of the prefix or suffix. */
static bool
is_outer(const SagaJsonataSigns *signs, pg_wchar c)
{
	return is_place(signs, c) || c == signs->point || c == signs->group || c == signs->pattern;
}

/* Whether a character may stand between prefix and suffix. */
static bool
is_active(const SagaJsonataSigns *signs, pg_wchar c)
{
	return is_outer(signs, c) || c == signs->exponent;
}

/* The first place of a character at or behind "from"; -1: there is none. */
static int
find_char(const SagaJsonataWide *wide, pg_wchar c, int from)
{
	return saga_jsonata_wide_find(wide, &c, 1, from);
}

/*
 * Whether the picture has a symbol anywhere, prefix and suffix included.
 * *times is 2 at most: nobody asks for more.
 */
static bool
has_symbol(const Parts *p, SagaJsonataSymbol symbol, int *times)
{
	const SagaJsonataWide *sign = &p->signs->wide[symbol];
	int			at;

	*times = 0;
	for (at = saga_jsonata_wide_find(&p->text, sign->chars, sign->len, 0); at >= 0 && *times < 2;
		 at = saga_jsonata_wide_find(&p->text, sign->chars, sign->len, at + 1))
		(*times)++;
	return *times > 0;
}

/* Characters from "from" up to "to", both cut to what there is. */
static SagaJsonataWide
part_of(const SagaJsonataWide *wide, int from, int to)
{
	SagaJsonataWide part = *wide;

	to = Min(to, wide->len);
	from = Min(from, to);

	/*
	 * The part shares its memory with the whole, and nothing must be appended
	 * to it.
	 */
	part.chars += from;
	part.len = to - from;
	part.max = part.len;
	return part;
}

/* Counts places for digits, or with digits_only those where one must be. */
static int
count_places(const SagaJsonataSigns *signs, const SagaJsonataWide *wide, bool digits_only)
{
	int			n = 0;

	for (int i = 0; i < wide->len; i++)
		n += digits_only ? is_digit(signs, wide->chars[i]) : is_place(signs, wide->chars[i]);
	return n;
}

/* ---------- parts ---------- */

/* Takes the picture apart; the exponent's place is counted as the reference counts it, with the prefix. */
static void
split_parts(Parts *p)
{
	const SagaJsonataSigns *signs = p->signs;
	const SagaJsonataWide *sign = &signs->wide[SAGA_JSONATA_EXPONENT_SEPARATOR];
	SagaJsonataWide active;
	int			at;

	for (p->active = 0; p->active < p->text.len && !is_outer(signs, p->text.chars[p->active]); p->active++);
	for (p->suffix = p->text.len; p->suffix > 0 && !is_outer(signs, p->text.chars[p->suffix - 1]); p->suffix--);
	/* there is no place for a digit: it is neither prefix nor suffix */
	if (p->suffix == 0)
	{
		p->active = 0;
		p->suffix = p->text.len;
	}
	active = part_of(&p->text, p->active, p->suffix);
	at = saga_jsonata_wide_find(&p->text, sign->chars, sign->len, p->active);
	p->has_exponent = at >= 0 && at <= p->suffix;
	p->mantissa = p->has_exponent ? part_of(&active, 0, at) : active;
	p->exponent = p->has_exponent ? part_of(&active, at + 1, active.len) : part_of(&active, 0, 0);
	at = find_char(&p->mantissa, signs->point, 0);
	p->whole = at < 0 ? p->mantissa : part_of(&p->mantissa, 0, at);
	p->fraction = at < 0 ? part_of(&p->mantissa, 0, 0) : part_of(&p->mantissa, at + 1, p->mantissa.len);
}

/* The character at a place; none where there is none. */
static pg_wchar
char_at(const SagaJsonataWide *wide, int at)
{
	return at >= 0 && at < wide->len ? wide->chars[at] : NO_CHAR;
}

/* A sign that stands for one character and is there. */
static bool
is_sign(pg_wchar c, pg_wchar sign)
{
	return c == sign && sign != NO_CHAR;
}

/*
 * What is wrong with a picture; code NULL: nothing. Each check is given what
 * those before it have found, and puts its own in the place of that.
 */
typedef struct Complaint
{
	const char *code;
	const char *text;
} Complaint;

/* What is wrong with separators of groups. */
static Complaint
check_groups(const Parts *p, Complaint last)
{
	pg_wchar	group = p->signs->group;
	int			point = find_char(&p->text, p->signs->point, 0);
	pg_wchar	two[2] = {group, group};

	if (point >= 0)
	{
		if (is_sign(char_at(&p->text, point - 1), group) || is_sign(char_at(&p->text, point + 1), group))
			last = (Complaint)
		{
			"D3087", "a separator of groups beside the decimal separator"
		};
	}
	else if (is_sign(char_at(&p->whole, p->whole.len - 1), group))
		last = (Complaint)
	{
		"D3088", "a separator of groups at the end of its whole part"
	};
	if (saga_jsonata_wide_find(&p->text, two, 2, 0) >= 0)
		last = (Complaint)
	{
		"D3089", "two separators of groups side by side"
	};
	return last;
}

/* Places that may stay empty come first in front of the point, and last behind it. */
static Complaint
check_places(const Parts *p, Complaint last)
{
	const SagaJsonataSigns *signs = p->signs;
	SagaJsonataWide part;
	int			at = find_char(&p->whole, signs->digit, 0);

	if (at >= 0)
	{
		part = part_of(&p->whole, 0, at);
		if (count_places(signs, &part, true) > 0)
			last = (Complaint)
		{
			"D3090", "a digit in front of an optional digit in its whole part"
		};
	}
	for (at = p->fraction.len - 1; at >= 0 && p->fraction.chars[at] != signs->digit; at--);
	if (at >= 0)
	{
		part = part_of(&p->fraction, at, p->fraction.len);
		if (count_places(signs, &part, true) > 0)
			last = (Complaint)
		{
			"D3091", "a digit behind an optional digit in its fraction"
		};
	}
	return last;
}

/* Signs of which there may be one, and what may stand between the outermost ones. */
static Complaint
check_signs(const Parts *p)
{
	const SagaJsonataSigns *signs = p->signs;
	Complaint	last = {NULL, NULL};
	int			percents;
	int			per_milles;
	int			at = find_char(&p->text, signs->point, 0);

	if (at >= 0 && find_char(&p->text, signs->point, at + 1) >= 0)
		last = (Complaint)
	{
		"D3081", "more than one decimal separator"
	};
	has_symbol(p, SAGA_JSONATA_PERCENT, &percents);
	has_symbol(p, SAGA_JSONATA_PER_MILLE, &per_milles);
	if (percents > 1)
		last = (Complaint)
	{
		"D3082", "more than one percent sign"
	};
	if (per_milles > 1)
		last = (Complaint)
	{
		"D3083", "more than one per-mille sign"
	};
	if (percents > 0 && per_milles > 0)
		last = (Complaint)
	{
		"D3084", "both a percent and a per-mille sign"
	};
	if (count_places(signs, &p->mantissa, false) == 0)
		last = (Complaint)
	{
		"D3085", "no place for a digit"
	};
	for (int i = p->active; i < p->suffix; i++)
	{
		if (!is_active(signs, p->text.chars[i]))
			last = (Complaint)
		{
			"D3086", "other characters between those that stand for digits"
		};
	}
	return last;
}

/* Of several faults the one that the reference looks for last is told. */
static bool
check_parts(const Parts *p, SagaJsonataFault *fault)
{
	Complaint	last = check_places(p, check_groups(p, check_signs(p)));
	int			times;

	if (p->has_exponent)
	{
		if (p->exponent.len > 0 &&
			(has_symbol(p, SAGA_JSONATA_PERCENT, &times) || has_symbol(p, SAGA_JSONATA_PER_MILLE, &times)))
			last = (Complaint)
		{
			"D3092", "an exponent and a percent or per-mille sign"
		};
		if (p->exponent.len == 0 || count_places(p->signs, &p->exponent, true) < p->exponent.len)
			last = (Complaint)
		{
			"D3093", "an exponent of something else than digits"
		};
	}
	if (last.code == NULL)
		return true;
	return saga_jsonata_fault(fault, last.code, "the picture of $formatNumber has %s", last.text);
}

/* ---------- what they say ---------- */

/*
 * Places of separators, by the digits to the right of each, or to the left.
 * From the second one on the reference looks into the whole part for those of
 * the fraction, too.
 */
static int
group_positions(const Parts *p, const SagaJsonataWide *part, bool to_left, int **positions)
{
	int			n = 0;
	int			at = find_char(part, p->signs->group, 0);

	*positions = palloc(sizeof(int) * (p->text.len + 1));
	while (at >= 0)
	{
		SagaJsonataWide side = to_left ? part_of(part, 0, at) : part_of(part, at, part->len);

		(*positions)[n++] = count_places(p->signs, &side, false);
		at = find_char(&p->whole, p->signs->group, at + 1);
	}
	return n;
}

/*
 * Tells from the parts how numbers are to be written. The picture has been
 * checked before; its arrays are in CurrentMemoryContext.
 */
static void
analyse(const Parts *p, SagaJsonataPicture *picture)
{
	const SagaJsonataSigns *signs = p->signs;
	int			times;

	memset(picture, 0, sizeof(*picture));
	picture->text = p->text;
	picture->prefix = p->active;
	picture->suffix = p->suffix;
	picture->has_point = find_char(&p->text, signs->point, 0) >= 0;
	picture->factor = has_symbol(p, SAGA_JSONATA_PERCENT, &times) ? 100 :
		has_symbol(p, SAGA_JSONATA_PER_MILLE, &times) ? 1000 : 1;
	picture->nwhole_groups = group_positions(p, &p->whole, false, &picture->whole_groups);
	picture->group = saga_jsonata_regular_group(picture->whole_groups, picture->nwhole_groups);
	picture->nfraction_groups = group_positions(p, &p->fraction, true, &picture->fraction_groups);
	picture->min_whole = picture->scaling = count_places(signs, &p->whole, true);
	picture->min_fraction = count_places(signs, &p->fraction, true);
	picture->max_fraction = count_places(signs, &p->fraction, false);
	picture->has_exponent = p->has_exponent;

	/*
	 * A number has at least one digit, even if the picture has none that must
	 * be there. These steps are in the order of XPath, each of which sees
	 * what the one before has set.
	 */
	if (picture->min_whole == 0 && picture->max_fraction == 0)
	{
		if (p->has_exponent)
			picture->min_fraction = picture->max_fraction = 1;
		else
			picture->min_whole = 1;
	}
	if (p->has_exponent && picture->min_whole == 0 && find_char(&p->whole, signs->digit, 0) >= 0)
		picture->min_whole = 1;
	if (picture->min_whole == 0 && picture->min_fraction == 0)
		picture->min_fraction = 1;
	if (p->has_exponent)
		picture->min_exponent = count_places(signs, &p->exponent, true);
}

bool
saga_jsonata_read_picture(const char *picture, int len, const SagaJsonataSigns *signs, SagaJsonataPicture *pictures,
						  int *npictures, SagaJsonataFault *fault)
{
	SagaJsonataWide all;
	Parts		parts[2];
	int			at;

	if (!saga_jsonata_check_picture(len, fault))
		return false;
	all = saga_jsonata_wide(picture, len);
	at = find_char(&all, signs->pattern, 0);
	*npictures = at < 0 ? 1 : 2;
	if (at >= 0 && find_char(&all, signs->pattern, at + 1) >= 0)
		return saga_jsonata_fault(fault, "D3080", "the picture of $formatNumber has more than two parts");
	parts[0].text = at < 0 ? all : part_of(&all, 0, at);
	parts[1].text = at < 0 ? all : part_of(&all, at + 1, all.len);

	/*
	 * Each step is done for both pictures before the next one, so that a
	 * fault of either comes in the order of the reference.
	 */
	for (int i = 0; i < *npictures; i++)
	{
		parts[i].signs = signs;
		split_parts(&parts[i]);
	}
	for (int i = 0; i < *npictures; i++)
	{
		if (!check_parts(&parts[i], fault))
			return false;
	}
	for (int i = 0; i < *npictures; i++)
		analyse(&parts[i], &pictures[i]);
	return true;
}
