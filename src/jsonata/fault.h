/*
 * fault.h
 *		What is wrong with an expression, or with what it was given.
 *
 * Nothing in jsonata/ raises for what a text or a document can contain: it
 * fills a fault, and returns false.  Out of memory and a stack that is too
 * deep do raise.
 */
#ifndef SAGA_JSONATA_FAULT_H
#define SAGA_JSONATA_FAULT_H

/* Callers pass it zeroed; the first fault is kept. */
typedef struct SagaJsonataFault
{
	char		code[6];		/* JSONata's: "T2001"; "": no fault */
	char	   *message;		/* for people, without the code and a final full stop; in CurrentMemoryContext */
	int			position;		/* in the expression, in bytes from its start; -1: not known (yet) */
} SagaJsonataFault;

#endif							/* SAGA_JSONATA_FAULT_H */
