/* Folded stacks: "comm;outer;…;leaf WEIGHT", one line per stack with weight of its own, in the
 * order of the tree. Frames of the kernel, of inlined functions and of JIT code end in _[k], _[i]
 * and _[j], which flamegraph.pl's palettes know. The format has no comments: what reads it would
 * take the ledger for a stack, so the ledger is not here. */
#include "render_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *suffix(enum pmf_frame_kind kind)
{
	switch (kind) {
	case PMF_FRAME_KERNEL:
		return "_[k]";
	case PMF_FRAME_INLINED:
		return "_[i]";
	case PMF_FRAME_JIT:
		return "_[j]";
	default:
		return "";
	}
}

static void add_frame(struct pmf_buf *line, const struct pmf_tree *t, uint32_t func)
{
	const char *name = pmf_render_func_id(t, func);
	size_t start = line->len;

	pmf_text_add(line, name, strlen(name), PMF_TEXT_PLAIN);
	for (size_t i = start; i < line->len; i++)
		if (line->data[i] == ';')
			line->data[i] = ':';
	pmf_buf_addstr(line, suffix(t->funcs[func].kind));
}

static int render(FILE *f, const struct pmf_tree *t, size_t event,
	const struct pmf_render_opts *opts, struct pmf_err *err)
{
	struct pmf_buf line = PMF_BUF_INIT;
	/* Where the line ends without the frames at this depth and below. */
	size_t *ends = pmf_calloc((size_t)t->max_depth + 2, sizeof *ends);

	(void)opts;
	(void)err;
	for (uint32_t i = 0; i < t->nr_nodes; i++) {
		uint32_t depth = t->nodes[i].depth;
		uint64_t weight = pmf_render_events(pmf_tree_self(t, event, i));

		/* "all" says nothing, unless it is the whole stack. */
		line.len = depth > 0 ? ends[depth] : 0;
		if (depth > 1)
			pmf_buf_addch(&line, ';');
		add_frame(&line, t, t->nodes[i].func);
		ends[depth + 1] = depth > 0 ? line.len : 0;
		if (weight) {
			fwrite(line.data, 1, line.len, f);
			fprintf(f, " %" PRIu64 "\n", weight);
		}
	}
	free(ends);
	pmf_buf_release(&line);
	return 0;
}

const struct pmf_renderer pmf_renderer_folded = {
	.name = "folded",
	.suffix = "folded",
	.per_event = true,
	.desc = "one line per stack, for flamegraph.pl, speedscope and grep",
	.render = render,
};
