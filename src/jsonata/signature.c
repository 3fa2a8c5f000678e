/*
 * signature.c
 *		Signatures of functions, "<s-n?:b>", and arguments by them.
 *
 * The reference makes a regular expression of the parameters and matches it
 * with one letter for each argument.  Here the same is decided by a table of
 * which parameters can take which rest of the arguments, so that no signature
 * takes more than its parameters times the arguments.
 */
#include "postgres.h"

#include "jsonata/jsonata_private.h"

typedef struct Param
{
	int			types;			/* that fit: a bit for each SagaJsonataType */
	char		type;			/* as written; "(" for a choice */
	bool		context;		/* the context takes its place when it is left out */
	bool		optional;
	bool		repeated;
	char		subtype;		/* of the elements of an array; 0: any */
	int			subtype_len;
} Param;

struct SagaJsonataSignature
{
	int			count;
	Param	   *params;
};

/* Behind the bracket that closes the one at start. */
static int
closing(const char *s, int len, int start, char open, char close)
{
	int			depth = 1;
	int			i;

	for (i = start + 1; i < len; i++)
	{
		if (s[i] == close && --depth == 0)
			break;
		if (s[i] == open)
			depth++;
	}
	return i;
}

/* The type of a letter; "m" is nothing, as "missing".  -1: it is none. */
static int
type_of(char letter)
{
	/* in the order of SagaJsonataType */
	static const char letters[] = "mlbnsaof";
	const char *found = letter != '\0' ? strchr(letters, letter) : NULL;

	return found != NULL ? (int) (found - letters) : -1;
}

/* The letters are those of the reference's classes. */
static int
types_of(const char *letters, int len)
{
	int			types = 0;

	for (int i = 0; i < len; i++)
		if (type_of(letters[i]) >= 0)
			types |= 1 << type_of(letters[i]);
	return types;
}

static Param *
new_param(SagaJsonataSignature *signature, char type, const char *types)
{
	Param	   *param = &signature->params[signature->count++];

	memset(param, 0, sizeof(*param));
	param->type = type;
	param->types = types_of(types, strlen(types));
	return param;
}

/* "(sf)": letters that are no types fit nothing. */
static bool
parse_choice(SagaJsonataSignature *signature, const char *s, int len, int position, SagaJsonataFault *fault)
{
	Param	   *param = new_param(signature, '(', "m");

	if (memchr(s, '<', len) != NULL)
		return saga_jsonata_fault_at(fault, position, "S0402", "a choice of types cannot contain types with parameters");
	param->types |= types_of(s, len);
	return true;
}

/* One symbol, at *i, which is left at the last character of it. */
static bool
parse_symbol(SagaJsonataSignature *signature, const char *s, int len, int *i, int position, SagaJsonataFault *fault)
{
	Param	   *last = signature->count > 0 ? &signature->params[signature->count - 1] : NULL;
	char		symbol = s[*i];
	char		types[3] = {symbol, 'm', '\0'};
	int			end;

	switch (symbol)
	{
		case 's':
		case 'n':
		case 'b':
		case 'l':
		case 'o':
			new_param(signature, symbol, types);
			return true;
		case 'a':
		case 'x':
			new_param(signature, symbol, "asnblfom");
			return true;
		case 'f':
			new_param(signature, symbol, "f");
			return true;
		case 'j':
			new_param(signature, symbol, "asnblom");
			return true;
		case '-':
		case '?':
			if (last != NULL)
			{
				last->optional = true;
				last->context |= symbol == '-';
			}
			return true;
		case '+':
			if (last != NULL)
				last->repeated = true;
			return true;
		case '(':
			end = closing(s, len, *i, '(', ')');
			if (!parse_choice(signature, s + *i + 1, end - *i - 1, position + *i, fault))
				return false;
			*i = end;
			return true;
		case '<':
			if (last == NULL || (last->type != 'a' && last->type != 'f'))
				return saga_jsonata_fault_at(fault, position + *i, "S0401",
											 "only functions and arrays have types as parameters");
			end = closing(s, len, *i, '<', '>');
			last->subtype = end > *i + 1 ? s[*i + 1] : '\0';
			last->subtype_len = end - *i - 1;
			*i = end;
			return true;
		default:
			return true;
	}
}

/* What the function returns, behind ":", is not looked at. */
SagaJsonataSignature *
saga_jsonata_signature_parse(const char *definition, int len, int position, SagaJsonataFault *fault)
{
	SagaJsonataSignature *signature = palloc0(sizeof(SagaJsonataSignature));

	signature->params = palloc0(len * sizeof(Param));
	for (int i = 1; i < len && definition[i] != ':'; i++)
		if (!parse_symbol(signature, definition, len, &i, position, fault))
			return NULL;
	return signature;
}

/* ---------- arguments ---------- */

static inline bool
fits(const Param *param, const SagaJsonataValue *v)
{
	return (param->types & (1 << v->type)) != 0;
}

/*
 * Each argument fits the parameter in its place, and what is left may be left
 * out: no other way to match goes before this one.
 */
static bool
fits_in_order(const SagaJsonataSignature *signature, const SagaJsonataValue *args, int nargs)
{
	if (nargs > signature->count)
		return false;
	for (int i = 0; i < signature->count; i++)
	{
		const Param *param = &signature->params[i];

		if (param->repeated || (i < nargs ? !fits(param, &args[i]) : !param->optional))
			return false;
	}
	return true;
}

/*
 * can[i * (nargs + 1) + j]: the parameters from i on can take the arguments
 * from j on, all of them.
 */
static bool *
make_table(SagaJsonataEval *ev, const SagaJsonataSignature *signature, const SagaJsonataValue *args, int nargs)
{
	int			width = nargs + 1;
	bool	   *can = saga_jsonata_alloc(ev, (signature->count + 1) * width);

	memset(can, false, (signature->count + 1) * width);
	can[signature->count * width + nargs] = true;
	for (int i = signature->count - 1; i >= 0; i--)
	{
		const Param *param = &signature->params[i];

		for (int j = nargs; j >= 0; j--)
		{
			bool		next = j < nargs && fits(param, &args[j]);

			can[i * width + j] = (param->optional && can[(i + 1) * width + j]) ||
				(next && can[(i + 1) * width + j + 1]) ||
				(next && param->repeated && can[i * width + j + 1]);
		}
	}
	return can;
}

/* Of which argument the fault is: the first that no parameter takes any more. */
static bool
fail_argument(SagaJsonataEval *ev, const SagaJsonataSignature *signature, const char *name,
			  const SagaJsonataValue *args, int nargs)
{
	int			good = 0;

	for (int i = 0; i < signature->count; i++)
	{
		const Param *param = &signature->params[i];
		bool		first = good < nargs && fits(param, &args[good]);

		if (!first && !param->optional)
			break;
		while (first && good < nargs && fits(param, &args[good]))
		{
			good++;
			first = param->repeated;
		}
	}
	return saga_jsonata_fail(ev, "T0410", "argument %d of %s does not match the function's signature", good + 1, name);
}

/* The elements of an array must all have the type, of which only the first letter counts. */
static bool
check_elements(SagaJsonataEval *ev, const Param *param, SagaJsonataValue *array)
{
	SagaJsonataValue *elems;
	int			n = saga_jsonata_count(array);

	if (n == 0)
		return true;
	if (array->flags & SAGA_JV_RANGE)
		return param->subtype == 'n';
	elems = saga_jsonata_elems(ev, array);
	if (!saga_jsonata_spend(ev, n / 4))
		return false;
	for (int i = 0; i < array->count; i++)
		if (elems[i].type != type_of(param->subtype))
			return false;
	return true;
}

static const char *
elements_name(char type)
{
	switch (type)
	{
		case 'a':
			return "arrays";
		case 'b':
			return "booleans";
		case 'f':
			return "functions";
		case 'n':
			return "numbers";
		case 'o':
			return "objects";
		case 's':
			return "strings";
		default:
			return "another type";
	}
}

/* One argument for an array: anything else becomes the only element of one. */
static bool
array_argument(SagaJsonataEval *ev, const Param *param, const char *name, int position, SagaJsonataValue *arg)
{
	bool		fine = true;

	if (saga_jsonata_is_nothing(arg))
		return true;
	if (param->subtype != '\0')
	{
		if (arg->type == SAGA_JV_ARRAY)
			fine = check_elements(ev, param, arg);
		else
			fine = param->subtype_len == 1 && type_of(param->subtype) == arg->type;
	}
	if (!fine)
		return saga_jsonata_fail(ev, "T0412", "argument %d of %s must be an array of %s", position + 1, name,
								 elements_name(param->subtype));
	if (arg->type != SAGA_JV_ARRAY)
	{
		if (!saga_jsonata_sequence_of(ev, arg, arg))
			return false;
		arg->flags = 0;
	}
	return true;
}

bool
saga_jsonata_signature_validate(SagaJsonataEval *ev, const SagaJsonataSignature *signature, const char *name,
								const SagaJsonataValue *args, int nargs, const SagaJsonataValue *context,
								SagaJsonataValue **valid, int *nvalid)
{
	SagaJsonataValue nothing = {0};
	SagaJsonataValue *out;
	bool	   *can = NULL;
	int			width = nargs + 1;
	int			matched = 0;	/* arguments that the table has given away */
	int			arg = 0;		/* the one that the reference hands over next */
	int			n = 0;

	if (!fits_in_order(signature, args, nargs))
	{
		if (!saga_jsonata_has_room(ev, (int64) (signature->count + 1) * width, 4))
			return false;
		can = make_table(ev, signature, args, nargs);
		if (!can[0])
			return fail_argument(ev, signature, name, args, nargs);
	}
	out = saga_jsonata_alloc(ev, (nargs + signature->count + 1) * sizeof(SagaJsonataValue));
	for (int i = 0; i < signature->count; i++)
	{
		const Param *param = &signature->params[i];
		int			taken = 0;

		/* as many as it can take, as a regular expression does */
		while (matched < nargs && fits(param, &args[matched]) &&
			   (taken == 0 || param->repeated) &&
			   (can == NULL || can[(i + 1) * width + matched + 1] || (param->repeated && can[i * width + matched + 1])))
		{
			out[n] = arg < nargs ? args[arg] : nothing;
			if (param->type == 'a' && !array_argument(ev, param, name, arg, &out[n]))
				return false;
			n++;
			arg++;
			matched++;
			taken++;
		}
		if (taken > 0)
			continue;
		if (param->context)
		{
			const SagaJsonataValue *value = context != NULL ? context : &nothing;

			if (context != NULL ? !fits(param, value) : (param->types & (1 << SAGA_JV_NULL)) == 0)
				return saga_jsonata_fail(ev, "T0411", "the context is no fitting value for argument %d of %s",
										 arg + 1, name);
			out[n++] = *value;
		}
		else
		{
			out[n++] = arg < nargs ? args[arg] : nothing;
			arg++;
		}
	}
	*valid = out;
	*nvalid = n;
	return true;
}
