/* A call tree from the other end. A node of it is a range of stacks that have the same functions up
 * to there; sorting the range by the next caller makes the ranges of its children, in place. */
#include "pmuflame/profile.h"

#include <stdlib.h>
#include <string.h>

/* A stack of the tree: @leaf has its weight, @at is the caller that was reached. */
struct stack {
	uint32_t at, leaf;
};

/* A node to be made. */
struct range {
	size_t from, to;
	uint32_t parent, depth;
};

/* One event of one node, until all nodes are known. */
struct cell {
	double total, self;
	uint64_t samples_total, samples_self;
};

struct reversal {
	struct pmf_tree *out;
	const struct pmf_tree *t;
	struct stack *stacks;
	size_t nr_stacks, cap_stacks;
	struct range *todo;
	size_t nr_todo, cap_todo;
	struct cell *cells;
	size_t nr_cells, cap_cells;
	uint32_t *last_child;
	size_t nr_last, cap_last;
};

static int compare_stacks(const void *va, const void *vb, void *ctx)
{
	const struct stack *a = va, *b = vb;
	const struct pmf_tree *t = ctx;
	uint32_t fa = t->nodes[a->at].func, fb = t->nodes[b->at].func;

	/* The root ends a stack: it comes first. */
	if ((a->at == 0) != (b->at == 0))
		return a->at == 0 ? -1 : 1;
	if (fa != fb)
		return fa < fb ? -1 : 1;
	return (a->leaf > b->leaf) - (a->leaf < b->leaf);
}

static void take_stacks(struct reversal *r)
{
	const struct pmf_tree *t = r->t;

	for (uint32_t i = 0; i < t->nr_nodes; i++) {
		bool any = false;

		for (size_t e = 0; e < t->profile->nr_events && !any; e++)
			any = pmf_tree_self(t, e, i) > 0 || pmf_tree_samples_self(t, e, i);
		if (any)
			PMF_PUSH(r->stacks, r->nr_stacks, r->cap_stacks) = (struct stack){i, i};
	}
}

static uint32_t add_node(struct reversal *r, uint32_t func, const struct range *g)
{
	uint32_t id = (uint32_t)r->out->nr_nodes, last;

	PMF_PUSH(r->out->nodes, r->out->nr_nodes, r->out->cap_nodes) =
		(struct pmf_tree_node){func, g->parent, UINT32_MAX, UINT32_MAX, g->depth};
	PMF_PUSH(r->last_child, r->nr_last, r->cap_last) = UINT32_MAX;
	r->out->max_depth = PMF_MAX(r->out->max_depth, g->depth);
	if (g->parent == UINT32_MAX)
		return id;
	last = r->last_child[g->parent];
	if (last == UINT32_MAX)
		r->out->nodes[g->parent].first_child = id;
	else
		r->out->nodes[last].next_sibling = id;
	r->last_child[g->parent] = id;
	return id;
}

/* What the range holds, and what ends at its first @nr_ended stacks. */
static void add_cells(struct reversal *r, const struct range *g, size_t nr_ended)
{
	for (size_t e = 0; e < r->t->profile->nr_events; e++) {
		struct cell c = {0};

		for (size_t i = g->from; i < g->to; i++) {
			double weight = pmf_tree_self(r->t, e, r->stacks[i].leaf);
			uint64_t samples = pmf_tree_samples_self(r->t, e, r->stacks[i].leaf);

			c.total += weight;
			c.samples_total += samples;
			if (i - g->from < nr_ended) {
				c.self += weight;
				c.samples_self += samples;
			}
		}
		PMF_PUSH(r->cells, r->nr_cells, r->cap_cells) = c;
	}
}

/* The ranges of the callers, the last one first: they are taken from the end. */
static void add_callers(struct reversal *r, const struct range *g, size_t from, uint32_t node)
{
	for (size_t to = g->to; to > from;) {
		size_t i = to;

		while (i > from && r->t->nodes[r->stacks[i - 1].at].func ==
					   r->t->nodes[r->stacks[to - 1].at].func)
			i--;
		PMF_PUSH(r->todo, r->nr_todo, r->cap_todo) =
			(struct range){i, to, node, g->depth + 1};
		to = i;
	}
}

static double weight_of(const struct reversal *r, const struct range *g, size_t event)
{
	double sum = 0;

	for (size_t i = g->from; i < g->to; i++)
		sum += pmf_tree_self(r->t, event, r->stacks[i].leaf);
	return sum;
}

static void make_node(struct reversal *r, const struct range *g, size_t event, double least)
{
	bool is_root = g->parent == UINT32_MAX;
	bool grows = is_root || weight_of(r, g, event) >= least;
	uint32_t func = r->t->nodes[is_root ? 0 : r->stacks[g->from].at].func;
	uint32_t node = add_node(r, func, g);
	size_t ended = 0, n = g->to - g->from;

	if (!is_root)
		for (size_t i = g->from; i < g->to; i++)
			r->stacks[i].at = r->t->nodes[r->stacks[i].at].parent;
	if (grows) {
		qsort_r(r->stacks + g->from, n, sizeof *r->stacks, compare_stacks,
			(void *)(uintptr_t)r->t);
		while (ended < n && r->stacks[g->from + ended].at == 0)
			ended++;
	}
	add_cells(r, g, grows ? ended : n);
	if (grows)
		add_callers(r, g, g->from + ended, node);
}

/* Events were beside each other; a tree has them one after the other. */
static void fill_columns(struct reversal *r)
{
	struct pmf_tree *out = r->out;
	size_t events = r->t->profile->nr_events, places = out->nr_nodes * events;

	out->total = pmf_calloc(places, sizeof *out->total);
	out->self = pmf_calloc(places, sizeof *out->self);
	out->samples_total = pmf_calloc(places, sizeof *out->samples_total);
	out->samples_self = pmf_calloc(places, sizeof *out->samples_self);
	for (size_t e = 0; e < events; e++) {
		for (size_t i = 0; i < out->nr_nodes; i++) {
			const struct cell *c = &r->cells[i * events + e];
			size_t at = e * out->nr_nodes + i;

			out->total[at] = c->total;
			out->self[at] = c->self;
			out->samples_total[at] = c->samples_total;
			out->samples_self[at] = c->samples_self;
		}
	}
}

void pmf_tree_reverse(struct pmf_tree *out, const struct pmf_tree *t, size_t event, double least)
{
	struct reversal r = {.out = out, .t = t};

	memset(out, 0, sizeof *out);
	out->profile = t->profile;
	out->opts = t->opts;
	/* In their order, so that they have the same ids. */
	pmf_strtab_init(&out->strings);
	for (uint32_t i = 0; i < t->strings.n; i++)
		pmf_strtab_addz(&out->strings, pmf_strtab_get(&t->strings, i));
	out->funcs = pmf_calloc(t->nr_funcs, sizeof *out->funcs);
	memcpy(out->funcs, t->funcs, t->nr_funcs * sizeof *out->funcs);
	out->nr_funcs = out->cap_funcs = t->nr_funcs;
	out->whole = pmf_calloc(t->profile->nr_events, sizeof *out->whole);
	memcpy(out->whole, t->whole, t->profile->nr_events * sizeof *out->whole);
	take_stacks(&r);
	PMF_PUSH(r.todo, r.nr_todo, r.cap_todo) = (struct range){0, r.nr_stacks, UINT32_MAX, 0};
	while (r.nr_todo) {
		struct range g = r.todo[--r.nr_todo];

		make_node(&r, &g, event, least);
	}
	fill_columns(&r);
	free(r.stacks);
	free(r.todo);
	free(r.cells);
	free(r.last_child);
}
