/*
 * function_private.h
 *		The functions of the language, for the table in function.c.
 */
#ifndef SAGA_JSONATA_FUNCTION_PRIVATE_H
#define SAGA_JSONATA_FUNCTION_PRIVATE_H

#include "jsonata/jsonata_private.h"

/* The first argument is nothing, and so is the result. */
#define SAGA_JSONATA_NOTHING_OF_NOTHING(call) \
	do { \
		if (saga_jsonata_is_nothing(&(call)->args[0])) \
			return true; \
	} while (0)

/* A function of an argument: what the higher-order ones call. */
extern bool saga_jsonata_call_with(SagaJsonataCall *call, const SagaJsonataValue *function, const SagaJsonataValue *args,
								   int nargs, SagaJsonataValue *result);
extern bool saga_jsonata_set_double(SagaJsonataCall *call, double number);
extern double saga_jsonata_random_number(SagaJsonataEval *ev);

/* function_number.c */
extern bool saga_jsonata_fn_sum(SagaJsonataCall *call);
extern bool saga_jsonata_fn_count(SagaJsonataCall *call);
extern bool saga_jsonata_fn_max(SagaJsonataCall *call);
extern bool saga_jsonata_fn_min(SagaJsonataCall *call);
extern bool saga_jsonata_fn_average(SagaJsonataCall *call);
extern bool saga_jsonata_fn_number(SagaJsonataCall *call);
extern bool saga_jsonata_fn_floor(SagaJsonataCall *call);
extern bool saga_jsonata_fn_ceil(SagaJsonataCall *call);
extern bool saga_jsonata_fn_round(SagaJsonataCall *call);
extern bool saga_jsonata_fn_abs(SagaJsonataCall *call);
extern bool saga_jsonata_fn_sqrt(SagaJsonataCall *call);
extern bool saga_jsonata_fn_power(SagaJsonataCall *call);
extern bool saga_jsonata_fn_random(SagaJsonataCall *call);

/* function_format.c */
extern bool saga_jsonata_fn_format_number(SagaJsonataCall *call);
extern bool saga_jsonata_fn_format_base(SagaJsonataCall *call);
extern bool saga_jsonata_fn_format_integer(SagaJsonataCall *call);
extern bool saga_jsonata_fn_parse_integer(SagaJsonataCall *call);
extern bool saga_jsonata_fn_now(SagaJsonataCall *call);
extern bool saga_jsonata_fn_millis(SagaJsonataCall *call);
extern bool saga_jsonata_fn_to_millis(SagaJsonataCall *call);
extern bool saga_jsonata_fn_from_millis(SagaJsonataCall *call);

/* function_text.c */
extern bool saga_jsonata_fn_string(SagaJsonataCall *call);
extern bool saga_jsonata_fn_substring(SagaJsonataCall *call);
extern bool saga_jsonata_fn_substring_before(SagaJsonataCall *call);
extern bool saga_jsonata_fn_substring_after(SagaJsonataCall *call);
extern bool saga_jsonata_fn_lowercase(SagaJsonataCall *call);
extern bool saga_jsonata_fn_uppercase(SagaJsonataCall *call);
extern bool saga_jsonata_fn_length(SagaJsonataCall *call);
extern bool saga_jsonata_fn_trim(SagaJsonataCall *call);
extern bool saga_jsonata_fn_pad(SagaJsonataCall *call);
extern bool saga_jsonata_fn_join(SagaJsonataCall *call);
extern bool saga_jsonata_fn_base64_encode(SagaJsonataCall *call);
extern bool saga_jsonata_fn_base64_decode(SagaJsonataCall *call);
extern bool saga_jsonata_fn_encode_url_component(SagaJsonataCall *call);
extern bool saga_jsonata_fn_encode_url(SagaJsonataCall *call);
extern bool saga_jsonata_fn_decode_url_component(SagaJsonataCall *call);
extern bool saga_jsonata_fn_decode_url(SagaJsonataCall *call);

/* function_match.c */
extern bool saga_jsonata_fn_match(SagaJsonataCall *call);
extern bool saga_jsonata_fn_contains(SagaJsonataCall *call);
extern bool saga_jsonata_fn_replace(SagaJsonataCall *call);
extern bool saga_jsonata_fn_split(SagaJsonataCall *call);

/* function_higher.c */
extern bool saga_jsonata_fn_map(SagaJsonataCall *call);
extern bool saga_jsonata_fn_filter(SagaJsonataCall *call);
extern bool saga_jsonata_fn_single(SagaJsonataCall *call);
extern bool saga_jsonata_fn_reduce(SagaJsonataCall *call);
extern bool saga_jsonata_fn_sift(SagaJsonataCall *call);
extern bool saga_jsonata_fn_each(SagaJsonataCall *call);
extern bool saga_jsonata_fn_sort(SagaJsonataCall *call);

/* function_array.c */
extern bool saga_jsonata_fn_append(SagaJsonataCall *call);
extern bool saga_jsonata_fn_reverse(SagaJsonataCall *call);
extern bool saga_jsonata_fn_shuffle(SagaJsonataCall *call);
extern bool saga_jsonata_fn_distinct(SagaJsonataCall *call);
extern bool saga_jsonata_fn_zip(SagaJsonataCall *call);

/* function_object.c */
extern bool saga_jsonata_fn_keys(SagaJsonataCall *call);
extern bool saga_jsonata_fn_lookup(SagaJsonataCall *call);
extern bool saga_jsonata_fn_spread(SagaJsonataCall *call);
extern bool saga_jsonata_fn_merge(SagaJsonataCall *call);
extern bool saga_jsonata_fn_exists(SagaJsonataCall *call);
extern bool saga_jsonata_fn_boolean(SagaJsonataCall *call);
extern bool saga_jsonata_fn_not(SagaJsonataCall *call);
extern bool saga_jsonata_fn_type(SagaJsonataCall *call);
extern bool saga_jsonata_fn_error(SagaJsonataCall *call);
extern bool saga_jsonata_fn_assert(SagaJsonataCall *call);
extern bool saga_jsonata_fn_clone(SagaJsonataCall *call);

/* function_eval.c */
extern bool saga_jsonata_fn_eval(SagaJsonataCall *call);

/* function_aws.c */
extern bool saga_jsonata_fn_partition(SagaJsonataCall *call);
extern bool saga_jsonata_fn_range(SagaJsonataCall *call);
extern bool saga_jsonata_fn_hash(SagaJsonataCall *call);
extern bool saga_jsonata_fn_random_seed(SagaJsonataCall *call);
extern bool saga_jsonata_fn_uuid(SagaJsonataCall *call);
extern bool saga_jsonata_fn_parse(SagaJsonataCall *call);
extern bool saga_jsonata_fn_no_eval(SagaJsonataCall *call);

/* function_money.c */
extern bool saga_jsonata_fn_minor(SagaJsonataCall *call);
extern bool saga_jsonata_fn_decimal(SagaJsonataCall *call);

/* function_date.c */
extern bool saga_jsonata_fn_date(SagaJsonataCall *call);

#endif							/* SAGA_JSONATA_FUNCTION_PRIVATE_H */
