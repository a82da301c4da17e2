/* The SVG flame graph in two files: render_svg.c draws what everyone sees, render_svg_data.c writes
 * what only the page's script reads. */
#ifndef PMF_RENDER_SVG_PRIV_H
#define PMF_RENDER_SVG_PRIV_H

#include "pmuflame/diff.h"
#include "render_priv.h"

/* A frame that is drawn: wide enough, and so is its caller. In preorder, as the tree's nodes. */
struct svg_frame {
	uint32_t node;
	uint32_t parent; /* place in svg.frames */
	double x, width; /* px, in the chart's own picture */
	double next_x;   /* where the next callee goes */
};

/* The picture of a comparison: colours are changes, and the ledger is its own. */
struct svg_diff {
	const struct pmf_diff *d;
	size_t event;                          /* of the diff */
	const struct pmf_diff_change *changes; /* per node */
	const uint8_t *paints;                 /* per node, an enum pmf_paint */
	struct pmf_buf ledger;
};

struct svg {
	const struct pmf_tree *t;
	size_t event;
	const struct svg_diff *diff; /* NULL: an ordinary picture */
	const struct pmf_profile_event *ev;
	char *title;
	double width;
	struct svg_frame *frames;
	size_t n, cap;
	uint32_t depth;       /* of the deepest drawn frame */
	double total;         /* weight of everything */
	double min_px;        /* narrower frames are left out */
	bool reversed;
	size_t pruned;        /* nodes left out */
	double pruned_weight; /* what the topmost of them hold */
	unsigned *colour_of_func;
	/* Colours in use, in the order of their first frame; a frame's CSS class is the place. */
	unsigned *colours;
	size_t nr_colours, cap_colours;
	uint32_t *class_of_colour; /* UINT32_MAX if not in use */
	struct pmf_buf ledger;     /* lines of text, the pruning included */
};

/* The colour of drawn frame @i. */
unsigned pmf_svg_colour(const struct svg *s, size_t i);
/* Draw event @event of @t to @f, as a renderer does; @diff may be NULL. */
int pmf_svg_render(FILE *f, const struct pmf_tree *t, size_t event,
	const struct pmf_render_opts *opts, const struct svg_diff *diff, struct pmf_err *err);
/* Append the JSON object that svg.js reads: the frames' numbers as columns, names as a table. */
void pmf_svg_add_data(struct pmf_buf *out, const struct svg *s);

#endif
