/* The functions of a unit, the calls inlined in them, and the namespaces and classes around them, from one
 * walk over its DIEs. */
#include "dwarf_priv.h"

#include <stdlib.h>

enum {
	MAX_NESTED = 4096, /* what is nested deeper counts as nested so deep */
};

/* A DIE whose children are being read, of a function, an inlined call or a space. */
struct open_die {
	uint32_t depth;        /* of the children */
	uint32_t scope, space; /* one of them, or none */
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
	pmf_dw_hold(w->u->file->d, sizeof *s->items);
	return scope;
}

static uint32_t add_space(struct walk *w, const struct pmf_dw_die *die)
{
	struct pmf_dw_scopes *s = w->scopes;
	uint32_t outer = w->nr_open ? w->open[w->nr_open - 1].space : PMF_DW_NONE;

	PMF_PUSH(s->spaces, s->nr_spaces, s->cap_spaces) =
		(struct pmf_dw_space){die->off, w->u->end, outer};
	pmf_dw_hold(w->u->file->d, sizeof *s->spaces);
	return (uint32_t)s->nr_spaces - 1;
}

static void visit(struct walk *w, const struct pmf_dw_die *die)
{
	struct open_die open = {w->depth + 1, PMF_DW_NONE, PMF_DW_NONE};
	/* What is inlined in a function without code of its own is inlined in nothing that runs. */
	bool push = false;

	switch (die->tag) {
	case PMF_DW_TAG_SUBPROGRAM:
	case PMF_DW_TAG_INLINED:
		open.scope = add_scope(w, die);
		push = die->tag == PMF_DW_TAG_SUBPROGRAM || open.scope != PMF_DW_NONE;
		break;
	case PMF_DW_TAG_NAMESPACE:
	case PMF_DW_TAG_CLASS:
	case PMF_DW_TAG_STRUCTURE:
	case PMF_DW_TAG_UNION:
		push = die->children && w->nr_open < MAX_NESTED;
		if (push)
			open.space = add_space(w, die);
		break;
	default:
		break;
	}
	if (!die->children)
		return;
	w->depth++;
	if (push && w->nr_open < MAX_NESTED)
		PMF_PUSH(w->open, w->nr_open, w->cap_open) = open;
}

/* A null entry at @off: the children of a DIE end. */
static void leave(struct walk *w, uint32_t off)
{
	const struct open_die *open = w->nr_open ? &w->open[w->nr_open - 1] : NULL;

	if (open && open->depth == w->depth) {
		if (open->space != PMF_DW_NONE)
			w->scopes->spaces[open->space].end = off;
		w->nr_open--;
	}
	w->depth--;
}

static struct pmf_dw_scopes *read_scopes(struct pmf_dw_unit *u)
{
	struct pmf_dw_bytes info = {u->file->sec[PMF_DW_INFO].data, u->end};
	struct pmf_dw_cursor c = pmf_dw_at(info, u->die);
	struct walk w = {.u = u, .scopes = pmf_zalloc(sizeof *w.scopes)};
	struct pmf_dw_die die;

	while (c.at < c.end && !c.bad) {
		if (pmf_dw_die_walk(u, &c, &die))
			visit(&w, &die);
		else if (!c.bad && w.depth)
			leave(&w, die.off);
	}
	free(w.open);
	pmf_dw_ranges_flatten(&w.ranges, &w.scopes->segments);
	return w.scopes;
}

const struct pmf_dw_scopes *pmf_dw_scopes_of(struct pmf_dw_unit *u)
{
	if (!u->scopes)
		u->scopes = read_scopes(u);
	return u->scopes;
}

uint32_t pmf_dw_space_around(const struct pmf_dw_scopes *s, uint64_t off)
{
	size_t lo = 0, hi = s->nr_spaces;
	uint32_t i;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->spaces[mid].die < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	/* The one that begins last before it, or one around that. */
	for (i = lo ? (uint32_t)lo - 1 : PMF_DW_NONE; i != PMF_DW_NONE; i = s->spaces[i].outer)
		if (off < s->spaces[i].end)
			break;
	return i;
}

void pmf_dw_scopes_free(struct pmf_dw_scopes *s)
{
	if (!s)
		return;
	free(s->segments.items);
	free(s->items);
	free(s->spaces);
	free(s);
}
