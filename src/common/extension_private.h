/*
 * extension_private.h
 *		The lock on the extension, for statements of ours.
 */
#ifndef SAGA_EXTENSION_PRIVATE_H
#define SAGA_EXTENSION_PRIVATE_H

/* saga_extension_lock, unless this transaction has it already. */
extern void saga_extension_lock_once(void);

#endif							/* SAGA_EXTENSION_PRIVATE_H */
