/*
 * diagram.c
 *		A machine to be drawn: what the events of an execution say of its
 *		states, and of the ways between them.
 *
 * An event names the one before it in its thread.  That of a state's entry
 * names the state; the others are of the state of the event before them.
 */
#include "postgres.h"

#include "asl/diagram_private.h"
#include "utils/memutils.h"

typedef struct EventEntry
{
	int64		id;
	int			state;
	bool		failed;			/* it is a failure, or the end of a state by one that was caught */
} EventEntry;

typedef struct EdgeKey
{
	int32		from;
	int32		to;
	int32		caught;			/* by a catcher; those that lead to one state are not told apart, and no choices */
} EdgeKey;

typedef struct EdgeEntry
{
	EdgeKey		key;
	int64		passed;
} EdgeEntry;

static HTAB *
make_table(const char *name, Size key, Size entry)
{
	HASHCTL		ctl = {.keysize = key, .entrysize = entry, .hcxt = CurrentMemoryContext};

	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

SagaDiagram *
saga_diagram_begin(const SagaMachine *machine, bool of_execution)
{
	SagaDiagram *diagram = palloc0(sizeof(SagaDiagram));

	diagram->machine = machine;
	if (of_execution)
	{
		diagram->marks = palloc0(sizeof(SagaMark) * Max(machine->nstates, 1));
		diagram->events = make_table("saga diagram events", sizeof(int64), sizeof(EventEntry));
		diagram->edges = make_table("saga diagram edges", sizeof(EdgeKey), sizeof(EdgeEntry));
	}
	return diagram;
}

int
saga_diagram_index(const SagaDiagram *diagram, const char *name)
{
	SagaState	wanted = {.name = unconstify(char *, name)};
	SagaState  *key = &wanted;
	SagaState **found = bsearch(&key, diagram->machine->states, diagram->machine->nstates, sizeof(SagaState *),
								saga_asl_compare_states);

	return found == NULL ? -1 : (int) (found - diagram->machine->states);
}

int64
saga_diagram_passed(const SagaDiagram *diagram, int from, int to, bool caught)
{
	EdgeKey		key = {from, to, caught};
	EdgeEntry  *entry = diagram->edges == NULL ? NULL : hash_search(diagram->edges, &key, HASH_FIND, NULL);

	return entry == NULL ? 0 : entry->passed;
}

/* ---------- events ---------- */

static void
pass(SagaDiagram *diagram, int from, int to, bool caught)
{
	EdgeKey		key = {from, to, caught};
	bool		found;
	EdgeEntry  *entry = hash_search(diagram->edges, &key, HASH_ENTER, &found);

	if (!found)
		entry->passed = 0;
	entry->passed++;
}

static void
leave(SagaMark *mark, SagaMarkStatus status)
{
	mark->left++;
	mark->status = Max(mark->status, status);
}

static bool
ends_with(const char *text, const char *end)
{
	size_t		length = strlen(text);
	size_t		tail = strlen(end);

	return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* Of the compensation of a state, "name", by its handler. */
static int
compensation_event(SagaDiagram *diagram, const char *type, const char *name, const char *handler)
{
	int			state = handler != NULL ? saga_diagram_index(diagram, handler) : -1;
	int			undone = name != NULL ? saga_diagram_index(diagram, name) : -1;

	if (state < 0)
		return -1;
	if (ends_with(type, "Started"))
	{
		diagram->marks[state].entered++;
		pass(diagram, undone, state, false);
	}
	else
		leave(&diagram->marks[state], ends_with(type, "Failed") ? SAGA_MARK_FAILED : SAGA_MARK_SUCCEEDED);
	return state;
}

/* before: the event before it; NULL: it is none of a state. */
static int
state_event(SagaDiagram *diagram, const EventEntry *before, const char *type, const char *name)
{
	int			from = before != NULL ? before->state : -1;
	int			state = name != NULL && strstr(type, "State") != NULL ? saga_diagram_index(diagram, name) : from;

	if (state < 0)
		return -1;
	if (ends_with(type, "StateEntered"))
	{
		diagram->marks[state].entered++;
		pass(diagram, from, state, before != NULL && before->failed);
	}
	else if (ends_with(type, "StateExited"))
		leave(&diagram->marks[state], before != NULL && before->failed ? SAGA_MARK_CAUGHT : SAGA_MARK_SUCCEEDED);
	else if (ends_with(type, "StateAborted"))
		leave(&diagram->marks[state], SAGA_MARK_ABORTED);
	else if (ends_with(type, "Scheduled"))
		diagram->marks[state].attempts++;
	return state;
}

void
saga_diagram_event(SagaDiagram *diagram, int64 id, int64 previous_id, const char *type, const char *name,
				   const char *handler)
{
	EventEntry *before = hash_search(diagram->events, &previous_id, HASH_FIND, NULL);
	bool		failed = ends_with(type, "Failed") || ends_with(type, "TimedOut") ||
	(ends_with(type, "StateExited") && before != NULL && before->failed);
	int			state = strncmp(type, "Compensation", strlen("Compensation")) == 0 ?
	compensation_event(diagram, type, name, handler) : state_event(diagram, before, type, name);
	EventEntry *entry = hash_search(diagram->events, &id, HASH_ENTER, NULL);

	entry->state = state;
	entry->failed = failed;
}

/* What is open is what it failed or waits in. */
void
saga_diagram_ended(SagaDiagram *diagram, SagaStatus status)
{
	int			i;

	for (i = 0; i < diagram->machine->nstates; i++)
	{
		SagaMark   *mark = &diagram->marks[i];

		if (mark->entered <= mark->left)
			continue;
		leave(mark, status == SAGA_RUNNING || status == SAGA_COMPENSATING ? SAGA_MARK_RUNNING :
			  status == SAGA_ABORTED ? SAGA_MARK_ABORTED : SAGA_MARK_FAILED);
	}
}
