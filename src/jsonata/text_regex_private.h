/*
 * text_regex_private.h
 *		JavaScript's regular expressions, as PCRE2 reads them.
 */
#ifndef SAGA_JSONATA_TEXT_REGEX_PRIVATE_H
#define SAGA_JSONATA_TEXT_REGEX_PRIVATE_H

#include "jsonata/text_private.h"

/* Bytes; compiling one takes a few milliseconds at most. */
#define SAGA_JSONATA_MAX_REGEX	10000

/* The same expression in PCRE2's syntax; S0303 for what JavaScript does not have. */
extern bool saga_jsonata_regex_translate(const char *pattern, int len, StringInfo out, SagaJsonataFault *fault);

#endif							/* SAGA_JSONATA_TEXT_REGEX_PRIVATE_H */
