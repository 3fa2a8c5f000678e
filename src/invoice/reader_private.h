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

/*
 * Reads one object into a zeroed struct of its shape.  False when the text is
 * not an object.  As in jsonb the last of several members of one name counts.
 */
extern bool saga_read_document(const char *text, int len, const SagaShape *shape, void *result,
							   SagaReport *report);

#endif							/* SAGA_INVOICE_READER_PRIVATE_H */
