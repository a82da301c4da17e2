/* The functions of a unit and the calls inlined in them, from one walk over its DIEs. */
#include "dwarf_priv.h"

#include <stdlib.h>

/* A DIE whose children are being read, of a function or an inlined call. */
struct open_die {
	uint32_t depth; /* of the children */
	uint32_t scope;
};

struct walk {
	struct pmf_dw_unit *u;
	struct pmf_dw_scopes *scopes;
	struct pmf_dw_ranges ranges;
	struct open_die *open;
	size_t nr_open, cap_open;
	uint32_t depth;
};

/* @die as a scope, if it has code. */
static uint32_t add_scope(struct walk *w, const struct pmf_dw_die *die)
{
	struct pmf_dw_scopes *s = w->scopes;
	uint32_t scope = (uint32_t)s->n, outer = PMF_DW_NONE;
	size_t before = w->ranges.n;

	pmf_dw_ranges_of(w->u, die, scope, &w->ranges);
	if (w->ranges.n == before)
		return PMF_DW_NONE;
	if (die->tag == PMF_DW_TAG_INLINED && w->nr_open)
		outer = w->open[w->nr_open - 1].scope;
	PMF_PUSH(s->items, s->n, s->cap) = (struct pmf_dw_scope){die->off, outer};
	return scope;
}

static void visit(struct walk *w, const struct pmf_dw_die *die)
{
	bool function = die->tag == PMF_DW_TAG_SUBPROGRAM;
	uint32_t scope = PMF_DW_NONE;

	if (function || die->tag == PMF_DW_TAG_INLINED)
		scope = add_scope(w, die);
	if (!die->children)
		return;
	w->depth++;
	/* What is inlined in a function without code of its own is inlined in nothing that runs. */
	if (function || scope != PMF_DW_NONE)
		PMF_PUSH(w->open, w->nr_open, w->cap_open) = (struct open_die){w->depth, scope};
}

/* A null entry: the children of a DIE end. */
static void leave(struct walk *w)
{
	if (w->nr_open && w->open[w->nr_open - 1].depth == w->depth)
		w->nr_open--;
	w->depth--;
}

struct pmf_dw_scopes *pmf_dw_scopes_new(struct pmf_dw_unit *u)
{
	struct pmf_dw_bytes info = {u->file->sec[PMF_DW_INFO].data, u->end};
	struct pmf_dw_cursor c = pmf_dw_at(info, u->die);
	struct walk w = {.u = u, .scopes = pmf_zalloc(sizeof *w.scopes)};
	struct pmf_dw_die die;

	while (c.at < c.end && !c.bad) {
		if (pmf_dw_die_walk(u, &c, &die))
			visit(&w, &die);
		else if (!c.bad && w.depth)
			leave(&w);
	}
	free(w.open);
	pmf_dw_ranges_flatten(&w.ranges, &w.scopes->segments);
	return w.scopes;
}

void pmf_dw_scopes_free(struct pmf_dw_scopes *s)
{
	if (!s)
		return;
	free(s->segments.items);
	free(s->items);
	free(s);
}
