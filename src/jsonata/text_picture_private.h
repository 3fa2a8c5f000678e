/*
 * text_picture_private.h
 *		Pictures of $formatNumber, read and checked.
 */
#ifndef SAGA_JSONATA_TEXT_PICTURE_PRIVATE_H
#define SAGA_JSONATA_TEXT_PICTURE_PRIVATE_H

#include "jsonata/text_wide_private.h"

/* The symbols as characters; those that must be one and are not, match none. */
typedef struct SagaJsonataSigns
{
	pg_wchar	zero;
	pg_wchar	point;
	pg_wchar	group;
	pg_wchar	exponent;
	pg_wchar	digit;
	pg_wchar	pattern;
	SagaJsonataWide wide[SAGA_JSONATA_SYMBOLS]; /* all of each */
} SagaJsonataSigns;

/* What one picture says, of a number that is positive or negative. */
typedef struct SagaJsonataPicture
{
	SagaJsonataWide text;		/* as it was given */
	int			prefix;			/* characters in front ... */
	int			suffix;			/* ... and where those behind begin */
	bool		has_point;
	int			factor;			/* 1, 100 or 1000 */
	int			min_whole;
	int			scaling;		/* digits in front of the point, with an exponent */
	int			min_fraction;
	int			max_fraction;
	bool		has_exponent;
	int			min_exponent;
	int			group;			/* > 0: all groups have this size */
	int			nwhole_groups;
	int		   *whole_groups;	/* digits to the right of each separator */
	int			nfraction_groups;
	int		   *fraction_groups;	/* digits to the left */
} SagaJsonataPicture;

extern void saga_jsonata_signs(const SagaJsonataSymbols *symbols, SagaJsonataSigns *signs);

/* One or two pictures; of one, the second is the same. */
extern bool saga_jsonata_read_picture(const char *picture, int len, const SagaJsonataSigns *signs,
									  SagaJsonataPicture *pictures, int *npictures, SagaJsonataFault *fault);

#endif							/* SAGA_JSONATA_TEXT_PICTURE_PRIVATE_H */
