/*
 * diagram_private.h
 *		A machine that is drawn, and what an execution made of it.
 */
#ifndef SAGA_DIAGRAM_PRIVATE_H
#define SAGA_DIAGRAM_PRIVATE_H

#include "asl/machine_private.h"
#include "utils/hsearch.h"

/* What became of a state; several visits of it are the worst of them. */
typedef enum SagaMarkStatus
{
	SAGA_MARK_NONE,				/* never entered */
	SAGA_MARK_SUCCEEDED,
	SAGA_MARK_CAUGHT,			/* it has failed, and a catcher took it */
	SAGA_MARK_ABORTED,
	SAGA_MARK_RUNNING,
	SAGA_MARK_FAILED
} SagaMarkStatus;

typedef struct SagaMark
{
	SagaMarkStatus status;
	int64		entered;
	int64		left;			/* how many of these visits have ended */
	int64		attempts;		/* of a Task */
} SagaMark;

struct SagaDiagram
{
	const SagaMachine *machine;
	SagaMark   *marks;			/* as machine->states; NULL: no execution is shown */
	HTAB	   *events;			/* of which state an event is */
	HTAB	   *edges;			/* how often an execution went from one state to another */
};

/* The place of a state in machine->states; -1: there is none of that name. */
extern int	saga_diagram_index(const SagaDiagram *diagram, const char *name);

/* How often an execution went this way; caught: after a failure. */
extern int64 saga_diagram_passed(const SagaDiagram *diagram, int from, int to, bool caught);

#endif							/* SAGA_DIAGRAM_PRIVATE_H */
