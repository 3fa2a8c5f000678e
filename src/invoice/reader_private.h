/*
 * reader_private.h
 *		A cursor over JSON text, and the tables that say which members we know.
 */
#ifndef SAGA_INVOICE_READER_PRIVATE_H
#define SAGA_INVOICE_READER_PRIVATE_H

#include "invoice/invoice_private.h"

typedef enum SagaMemberKind
{
	SAGA_MEMBER_TEXT,			/* string -> char *, NULL when blank */
	SAGA_MEMBER_TEXT_OR_NULL,
	SAGA_MEMBER_NOTE,			/* string, checked but not kept */
	SAGA_MEMBER_NOTES,			/* array of such */
	SAGA_MEMBER_DAY,			/* string -> SagaDay */
	SAGA_MEMBER_DECIMAL,		/* string or number -> SagaDecimal */
	SAGA_MEMBER_OBJECT,			/* -> pointer to a struct of its shape */
	SAGA_MEMBER_LIST			/* array of objects -> SagaList of its shape */
} SagaMemberKind;

typedef struct SagaShape SagaShape;

typedef struct SagaMember
{
	const char *name;
	SagaMemberKind kind;
	Size		offset;			/* in the struct of the object it is in */
	const SagaShape *shape;		/* OBJECT, LIST */
	Size		given;			/* LIST: offset of a bool "is there"; 0: none */
} SagaMember;

struct SagaShape
{
	Size		size;			/* of its struct */
	int			nmembers;
	const SagaMember *members;
};

/* ---------- the cursor (cursor.c) ---------- */

#define SAGA_CURSOR_MAX_PATH 16 /* shapes nest 5 deep, each step may be a list */

typedef struct SagaCursorStep
{
	const char *name;			/* NULL: an index */
	int			len;
	int			index;
} SagaCursorStep;

typedef struct SagaCursor
{
	const char *p;
	const char *end;
	SagaReport *report;
	bool		utf8;
	bool		broken;			/* not JSON: stop */
	int			objects;
	int			depth;
	SagaCursorStep path[SAGA_CURSOR_MAX_PATH];
} SagaCursor;

/* Where it is, as a JSON pointer; palloc'd. */
extern char *saga_cursor_place(const SagaCursor *r);

/* A member or, without a name, an entry of an array begins; at its end "depth" is one less again. */
extern void saga_cursor_enter(SagaCursor *r, const char *name, int len, int index);

/* Reports what is not as it has to be, under INV-FORM. */
extern void saga_cursor_malformed(SagaCursor *r, const char *found, const char *expected);

/* The same of something that jsonb would raise for. */
extern void saga_cursor_unstorable(SagaCursor *r, const char *found, const char *expected);

/* The same of what is not JSON: there is nothing behind it. */
extern void saga_cursor_not_json(SagaCursor *r);

/* The next character that is not white space; 0 at the end. */
extern char saga_cursor_peek(SagaCursor *r);

/* Goes over that character, if it is this one. */
extern bool saga_cursor_accept(SagaCursor *r, char c);

/*
 * Reads a string, and returns its length.  *text is its start: in the document
 * when there is nothing to decode, else a copy.  Without want, escapes are only
 * checked.  A string that jsonb cannot keep is reported at the current path.
 */
extern int	saga_cursor_string(SagaCursor *r, bool want, const char **text);

/* A number, true, false or null. */
extern int	saga_cursor_word(SagaCursor *r, const char **text);

/* A value that nobody reads: whatever is in it, jsonb must be able to keep it. */
extern void saga_cursor_skip(SagaCursor *r);

/* What a value is, for a message. */
extern const char *saga_cursor_kind(SagaCursor *r);

/* ---------- reading (reader.c) ---------- */

/*
 * Reads one object into a zeroed struct of its shape.  False when the text is
 * not an object.  As in jsonb the last of several members of one name counts.
 */
extern bool saga_invoice_read_document(const char *text, int len, const SagaShape *shape, void *result,
									   SagaReport *report);

#endif							/* SAGA_INVOICE_READER_PRIVATE_H */
