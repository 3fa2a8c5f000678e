/*
 * submit.h
 *		What invoice_submit() takes, and the setting of pg_invoice.
 */
#ifndef SAGA_INVOICE_SUBMIT_H
#define SAGA_INVOICE_SUBMIT_H

extern void saga_invoice_guc_define(void);	/* from _PG_init */

/* Raises when a document of so many bytes is too large to be submitted. */
extern void saga_invoice_check_size(Size size);

/* Of a document that is an object, what invoice_submit() needs and does not find: "number", "seller"; NULL: it has both. */
extern const char *saga_invoice_lacks(const char *document, int len);

#endif							/* SAGA_INVOICE_SUBMIT_H */
