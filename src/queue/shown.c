/*
 * shown.c
 *		What a worker runs, for saga.workers: the workflow and the state, beside
 *		the execution of its slot.
 *
 * Written by the process alone and read without a lock: a count that is odd
 * meanwhile tells who reads that he has read half of it.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "queue/shmem.h"

/* As much of the text as there is room for, cut between two characters. */
static void
put(char *to, int size, const char *text)
{
	int			length = strlen(text);

	if (length >= size)
		length = pg_mbcliplen(text, length, size - 1);
	memcpy(to, text, length);
	to[length] = '\0';
}

void
saga_proc_show(const char *workflow, const char *state)
{
	if (saga_my_proc == NULL)
		return;
	(void) pg_atomic_fetch_add_u32(&saga_my_proc->shown, 1);
	put(saga_my_proc->workflow, sizeof(saga_my_proc->workflow), workflow);
	put(saga_my_proc->state, sizeof(saga_my_proc->state), state);
	(void) pg_atomic_fetch_add_u32(&saga_my_proc->shown, 1);
}

bool
saga_proc_shown(int slot, int pid, SagaProcShown *shown)
{
	SagaProcSlot *proc = &saga_shared->procs[slot];
	uint32		run = pg_atomic_read_u32(&proc->run);
	uint32		count = pg_atomic_read_u32(&proc->shown);
	uint64		halves[2];

	pg_read_barrier();
	halves[0] = pg_atomic_read_u64(&proc->execution[0]);
	halves[1] = pg_atomic_read_u64(&proc->execution[1]);
	memcpy(shown->workflow, proc->workflow, sizeof(shown->workflow));
	memcpy(shown->state, proc->state, sizeof(shown->state));
	pg_read_barrier();
	memcpy(shown->execution_id.data, halves, sizeof(halves));
	return proc->pid == pid && run % 2 == 0 && count % 2 == 0 && run == pg_atomic_read_u32(&proc->run) &&
		count == pg_atomic_read_u32(&proc->shown) && (halves[0] != 0 || halves[1] != 0);
}
