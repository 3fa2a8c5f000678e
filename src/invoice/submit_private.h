/*
 * submit_private.h
 *		What invoice_submit() takes.
 */
#ifndef SAGA_INVOICE_SUBMIT_PRIVATE_H
#define SAGA_INVOICE_SUBMIT_PRIVATE_H

/* Raises when a document of so many bytes is too large to be submitted. */
extern void saga_invoice_check_size(Size size);

/* Of a document that is an object, what invoice_submit() needs and does not find: "number", "seller"; NULL: it has both. */
extern const char *saga_invoice_lacks(const char *document, int len);

#endif							/* SAGA_INVOICE_SUBMIT_PRIVATE_H */
