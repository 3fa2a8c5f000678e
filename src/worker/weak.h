/*
 * weak.h
 *		References to modules that are not in the library yet.  To be removed with their arrival.
 */
#pragma weak saga_engine_batch
#pragma weak saga_engine_batch_aborted
#pragma weak saga_engine_batch_committed
#pragma weak saga_flight_hook
#pragma weak saga_in_step
#pragma weak saga_publisher_create
#pragma weak saga_publisher_turn
#pragma weak saga_set_constraints_seen
#pragma weak saga_suspect_forget_hook
#pragma weak saga_suspect_hook
