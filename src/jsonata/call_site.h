/*
 * call_site.h
 *		Expressions that SQL functions are called with.
 *
 * Here a fault is raised, because somebody waits for the answer.
 */
#ifndef SAGA_JSONATA_CALL_SITE_H
#define SAGA_JSONATA_CALL_SITE_H

#include "common/compat.h"
#include "fmgr.h"

#include "jsonata/jsonata.h"

/*
 * An expression, compiled now or at the call before, whose fn_extra keeps it
 * as long as its text stays the same.  The text is UTF-8.  Raises when it is no
 * expression, or names what saga_jsonata_check does not find; without options
 * names are not looked at.
 */
extern SagaJsonata *saga_jsonata_at_call_site(FmgrInfo *flinfo, const char *text, int len, const SagaJsonataOptions *options);

/*
 * The code of the fault is in the message, its place in the text, in characters
 * from one on as those of the server's own messages, is the detail.  What the
 * message begins with, what it is about, for the detail, and the hint may be
 * NULL.
 */
extern void saga_jsonata_raise(const SagaJsonataFault *fault, const char *text, int len, const char *what,
							   const char *about, const char *hint) pg_attribute_noreturn();

#endif							/* SAGA_JSONATA_CALL_SITE_H */
