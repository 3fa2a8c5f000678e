/*
 * submit.h
 *		The setting of pg_invoice.
 */
#ifndef SAGA_INVOICE_SUBMIT_H
#define SAGA_INVOICE_SUBMIT_H

extern void saga_invoice_guc_define(void);	/* from _PG_init */

#endif							/* SAGA_INVOICE_SUBMIT_H */
