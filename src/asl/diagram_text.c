/*
 * diagram_text.c
 *		A machine as a state diagram of Mermaid, or a graph of Graphviz.
 *
 * A state is called by its number, and its name is a text beside that, in
 * which whatever means something to either program is escaped.  Mermaid has no
 * colours for ways: one that was taken says so in words.
 */
#include "postgres.h"

#include "asl/diagram_private.h"
#include "miscadmin.h"

typedef struct Drawing
{
	const SagaDiagram *diagram;
	bool		dot;
	StringInfo	out;
} Drawing;

static const struct
{
	const char *name;
	const char *fill;
}			looks[] = {
	[SAGA_MARK_NONE] = {"untouched", "#ffffff"},
	[SAGA_MARK_SUCCEEDED] = {"succeeded", "#c6efce"},
	[SAGA_MARK_CAUGHT] = {"caught", "#ffeb9c"},
	[SAGA_MARK_ABORTED] = {"aborted", "#d9d9d9"},
	[SAGA_MARK_RUNNING] = {"running", "#bdd7ee"},
	[SAGA_MARK_FAILED] = {"failed", "#ffc7ce"},
};

static void draw_states(Drawing *drawing, const SagaStates *states, int depth);

/* ---------- texts ---------- */

/* Within quotes, or behind the colon of a way. */
static void
append_escaped(Drawing *drawing, const char *text)
{
	const unsigned char *p;

	for (p = (const unsigned char *) text; *p != '\0'; p++)
	{
		if (*p < ' ' || *p == 0x7f)
			appendStringInfoChar(drawing->out, ' ');
		else if (drawing->dot)
			appendStringInfo(drawing->out, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
		else if (strchr("\"#;:<>&\\%{}[]`", *p) != NULL)
			appendStringInfo(drawing->out, "#%d;", *p);
		else
			appendStringInfoChar(drawing->out, *p);
	}
}

static void
indent(Drawing *drawing, int depth)
{
	appendStringInfoSpaces(drawing->out, 4 * depth);
}

static int
number(const Drawing *drawing, const SagaState *state)
{
	return saga_diagram_index(drawing->diagram, state->name) + 1;
}

static const SagaMark *
mark_of(const Drawing *drawing, const SagaState *state)
{
	return drawing->diagram->marks == NULL ? NULL : &drawing->diagram->marks[number(drawing, state) - 1];
}

/* The name, and how often it was entered and tried where that is not once. */
static void
append_label(Drawing *drawing, const SagaState *state)
{
	const SagaMark *mark = mark_of(drawing, state);

	appendStringInfoChar(drawing->out, '"');
	append_escaped(drawing, state->name);
	if (mark != NULL && mark->entered > 1)
		appendStringInfo(drawing->out, ", " INT64_FORMAT " visits", mark->entered);
	if (mark != NULL && mark->attempts > mark->entered)
		appendStringInfo(drawing->out, ", " INT64_FORMAT " attempts", mark->attempts);
	appendStringInfoChar(drawing->out, '"');
}

/* ---------- ways ---------- */

typedef enum SagaWay
{
	SAGA_WAY_NEXT,
	SAGA_WAY_CATCH,
	SAGA_WAY_UNDO
} SagaWay;

/* The node that a way leads out of: of a Parallel or Map in DOT, the one where its threads meet. */
static void
append_source(Drawing *drawing, const SagaState *from, bool done)
{
	appendStringInfo(drawing->out, "s%d", number(drawing, from));
	if (drawing->dot && done && from->nbranches > 0)
		appendStringInfoString(drawing->out, "_end");
}

static void
draw_way(Drawing *drawing, int depth, const SagaState *from, const SagaState *to, SagaWay way, const char *label)
{
	static const char *const styles[] = {[SAGA_WAY_NEXT] = "",[SAGA_WAY_CATCH] = ", style=dashed",[SAGA_WAY_UNDO] = ", style=dotted"};
	int64		passed = saga_diagram_passed(drawing->diagram, number(drawing, from) - 1, number(drawing, to) - 1,
											 way == SAGA_WAY_CATCH);

	indent(drawing, depth);
	append_source(drawing, from, way == SAGA_WAY_NEXT);
	if (drawing->dot)
	{
		appendStringInfo(drawing->out, " -> s%d [label=\"", number(drawing, to));
		append_escaped(drawing, label);
		appendStringInfo(drawing->out, "\"%s%s];\n", styles[way], passed > 0 ? ", color=\"#1f6f3f\", penwidth=2.5" : "");
		return;
	}
	appendStringInfo(drawing->out, " --> s%d", number(drawing, to));
	if (label[0] != '\0' || passed > 0)
		appendStringInfoString(drawing->out, " : ");
	append_escaped(drawing, label);
	if (passed > 0)
		appendStringInfoString(drawing->out, label[0] != '\0' ? ", taken" : "taken");
	if (passed > 1)
		appendStringInfo(drawing->out, " " INT64_FORMAT " times", passed);
	appendStringInfoChar(drawing->out, '\n');
}

/* To the end of its States object. */
static void
draw_end(Drawing *drawing, int depth, const SagaState *state)
{
	const SagaState *owner = state->scope->owner;

	indent(drawing, depth);
	append_source(drawing, state, true);
	if (!drawing->dot)
		appendStringInfoString(drawing->out, " --> [*]\n");
	else if (owner != NULL)
		appendStringInfo(drawing->out, " -> s%d_end;\n", number(drawing, owner));
	else
		appendStringInfoString(drawing->out, " -> finish;\n");
}

static const char *
errors_label(const SagaCatcher *catcher)
{
	StringInfoData label;
	int			i;

	initStringInfo(&label);
	for (i = 0; i < catcher->nerrors; i++)
		appendStringInfo(&label, "%s%s", i > 0 ? ", " : "", catcher->errors[i]);
	return label.data;
}

static void
draw_ways(Drawing *drawing, const SagaState *state, int depth)
{
	int			i;

	for (i = 0; i < state->nchoices; i++)
		draw_way(drawing, depth, state, state->choices[i].next, SAGA_WAY_NEXT, psprintf("choice %d", i + 1));
	if (state->next != NULL)
		draw_way(drawing, depth, state, state->next, SAGA_WAY_NEXT, state->type == SAGA_STATE_CHOICE ? "default" : "");
	else if (!state->is_handler && state->type != SAGA_STATE_CHOICE)
		draw_end(drawing, depth, state);
	for (i = 0; i < state->ncatchers; i++)
		draw_way(drawing, depth, state, state->catchers[i].next, SAGA_WAY_CATCH, errors_label(&state->catchers[i]));
	/* one that no definition names undoes the children of a state */
	if (state->compensate != NULL && state->compensate->resource.kind != SAGA_RES_UNDO_CHILDREN)
		draw_way(drawing, depth, state, state->compensate, SAGA_WAY_UNDO, "undone by");
}

/* ---------- states ---------- */

static void
draw_start(Drawing *drawing, const SagaStates *states, int depth)
{
	indent(drawing, depth);
	if (!drawing->dot)
		appendStringInfo(drawing->out, "[*] --> s%d\n", number(drawing, states->start));
	else if (states->owner != NULL)
		appendStringInfo(drawing->out, "s%d -> s%d [style=dashed];\n", number(drawing, states->owner),
						 number(drawing, states->start));
	else
		appendStringInfo(drawing->out, "start -> s%d;\n", number(drawing, states->start));
}

static const char *
shape_of(const SagaState *state)
{
	switch (state->type)
	{
		case SAGA_STATE_CHOICE:
			return "diamond";
		case SAGA_STATE_PARALLEL:
		case SAGA_STATE_MAP:
			return "box3d";
		case SAGA_STATE_WAIT:
			return "octagon";
		default:
			return "box";
	}
}

static void
draw_node(Drawing *drawing, const SagaState *state, int depth)
{
	const SagaMark *mark = mark_of(drawing, state);

	indent(drawing, depth);
	if (!drawing->dot)
	{
		appendStringInfoString(drawing->out, "state ");
		append_label(drawing, state);
		appendStringInfo(drawing->out, " as s%d", number(drawing, state));
		return;
	}
	appendStringInfo(drawing->out, "s%d [label=", number(drawing, state));
	append_label(drawing, state);
	appendStringInfo(drawing->out, ", shape=%s", shape_of(state));
	if (mark != NULL)
		appendStringInfo(drawing->out, ", fillcolor=\"%s\", tooltip=\"%s\"", looks[mark->status].fill,
						 looks[mark->status].name);
	appendStringInfoString(drawing->out, "];\n");
}

/* What is inside a Parallel or Map: in Mermaid a state with regions, in DOT a cluster in a cluster. */
static void
draw_branches(Drawing *drawing, const SagaState *state, int depth)
{
	int			i;

	for (i = 0; i < state->nbranches; i++)
	{
		if (drawing->dot || i > 0)
			indent(drawing, depth);
		if (drawing->dot)
			appendStringInfo(drawing->out, "subgraph cluster_s%d_%d {\n", number(drawing, state), i + 1);
		else if (i > 0)
			appendStringInfoString(drawing->out, "--\n");
		draw_states(drawing, state->branches[i], drawing->dot ? depth + 1 : depth);
		if (drawing->dot)
		{
			indent(drawing, depth);
			appendStringInfoString(drawing->out, "}\n");
		}
	}
}

static void
draw_state(Drawing *drawing, const SagaState *state, int depth)
{
	if (drawing->dot && state->nbranches > 0)
	{
		indent(drawing, depth);
		appendStringInfo(drawing->out, "subgraph cluster_s%d {\n", number(drawing, state));
		draw_node(drawing, state, depth + 1);
		indent(drawing, depth + 1);
		appendStringInfo(drawing->out, "s%d_end [shape=point];\n", number(drawing, state));
		draw_branches(drawing, state, depth + 1);
		indent(drawing, depth);
		appendStringInfoString(drawing->out, "}\n");
		return;
	}
	draw_node(drawing, state, depth);
	if (drawing->dot)
		return;
	appendStringInfoString(drawing->out, state->nbranches > 0 ? " {\n" : "\n");
	if (state->nbranches == 0)
		return;
	draw_branches(drawing, state, depth + 1);
	indent(drawing, depth);
	appendStringInfoString(drawing->out, "}\n");
}

static void
draw_states(Drawing *drawing, const SagaStates *states, int depth)
{
	int			i;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	for (i = 0; i < states->nstates; i++)
		draw_state(drawing, states->states[i], depth);
	draw_start(drawing, states, depth);
	for (i = 0; i < states->nstates; i++)
		draw_ways(drawing, states->states[i], depth);
}

/* Mermaid: colours are classes, given at the end. */
static void
draw_classes(Drawing *drawing)
{
	const SagaMachine *machine = drawing->diagram->machine;
	int			status;
	int			i;

	for (status = SAGA_MARK_SUCCEEDED; status <= SAGA_MARK_FAILED; status++)
	{
		bool		used = false;

		for (i = 0; i < machine->nstates; i++)
		{
			if (drawing->diagram->marks[i].status != status ||
				machine->states[i]->resource.kind == SAGA_RES_UNDO_CHILDREN)
				continue;
			if (!used)
				appendStringInfo(drawing->out, "    classDef %s fill:%s,color:#000000\n", looks[status].name, looks[status].fill);
			used = true;
			appendStringInfo(drawing->out, "    class s%d %s\n", i + 1, looks[status].name);
		}
	}
}

char *
saga_diagram_text(const SagaDiagram *diagram, bool dot)
{
	StringInfoData out;
	Drawing		drawing = {diagram, dot, &out};

	initStringInfo(&out);
	appendStringInfoString(&out, dot ? "digraph workflow {\n"
						   "    node [style=\"rounded,filled\", fillcolor=\"#ffffff\"];\n"
						   "    start [shape=circle, label=\"\", fillcolor=\"#000000\", width=0.2];\n"
						   "    finish [shape=doublecircle, label=\"\", fillcolor=\"#000000\", width=0.15];\n" :
						   "stateDiagram-v2\n");
	draw_states(&drawing, diagram->machine->root, 1);
	if (dot)
		appendStringInfoString(&out, "}\n");
	else if (diagram->marks != NULL)
		draw_classes(&drawing);
	return out.data;
}
