/* The pictures of a comparison: a flame graph whose colours are changes. */
#include "render_diff_priv.h"
#include "render_svg_priv.h"

#include <stdlib.h>
#include <string.h>

/* How much a cost may have grown, or shrunk to, for each step of the colour but the last. */
static const double grown[] = {1.1, 1.25, 2}, shrunk[] = {0.9, 0.75, 0.5};

static enum pmf_paint paint_of(const struct pmf_diff_change *c)
{
	size_t step = 0;

	if (!c->real)
		return PMF_PAINT_CHANCE;
	if (c->now >= c->base) {
		while (step < PMF_ARRAY_SIZE(grown) && c->now >= c->base * grown[step])
			step++;
		return (enum pmf_paint)(PMF_PAINT_GREW + step);
	}
	while (step < PMF_ARRAY_SIZE(shrunk) && c->now <= c->base * shrunk[step])
		step++;
	return (enum pmf_paint)(PMF_PAINT_SHRANK + step);
}

static void add_ledger(struct pmf_buf *out, const struct pmf_diff *d, size_t event, bool before)
{
	struct pmf_buf base = PMF_BUF_INIT;

	pmf_diff_add_head(out, d, event);
	pmf_buf_printf(out,
		"picture: widths are those of the run %s; orange grew, blue shrank, grey is what the "
		"samples do not support: %d %% chance that anything is coloured in runs that are alike (Holm)\n",
		before ? "before" : "now", PMF_DIFF_LEVEL_PERCENT);
	pmf_tree_ledger(&d->tree, event, out);
	pmf_tree_shown(&d->tree, d->nr_events + event, &base);
	pmf_profile_ledger(&d->joined, d->nr_events + event, &base);
	pmf_buf_add(out, pmf_buf_str(&base), strcspn(pmf_buf_str(&base), "\n"));
	pmf_buf_addch(out, '\n');
	pmf_buf_release(&base);
}

int pmf_render_diff_svg(FILE *f, const struct pmf_diff *d, size_t event, bool before,
	const struct pmf_render_opts *opts, struct pmf_err *err)
{
	struct pmf_diff_change *changes = pmf_diff_nodes(d, event);
	uint8_t *paints = pmf_calloc(d->tree.nr_nodes, sizeof *paints);
	const char *title = d->joined.title;
	struct svg_diff sd = {.d = d, .event = event, .changes = changes, .paints = paints};
	struct pmf_render_opts own = opts ? *opts : (struct pmf_render_opts){0};
	char *name = NULL;
	int ret;

	for (size_t i = 0; i < d->tree.nr_nodes; i++)
		paints[i] = (uint8_t)paint_of(&changes[i]);
	own.reverse = false; /* paints belong to the nodes of this tree */
	add_ledger(&sd.ledger, d, event, before);
	if (!own.title)
		own.title = name = pmf_asprintf("%s%s%s, %s", title ? title : "", title ? ": " : "",
			pmf_profile_label(&d->joined.events[event]),
			before ? "before, and what became of it" : "now against before");
	ret = pmf_svg_render(f, &d->tree, before ? d->nr_events + event : event, &own, &sd, err);
	pmf_buf_release(&sd.ledger);
	free(name);
	free(paints);
	free(changes);
	return ret;
}
