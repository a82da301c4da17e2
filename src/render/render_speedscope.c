/* speedscope's own format (https://www.speedscope.app/file-format-schema.json): all events in one
 * file, each a profile of type "sampled" whose weights are the events of one stack, in its unit. It
 * has no place for the ledger but the names. */
#include "config.h"

#include "render_priv.h"

#include <stdlib.h>

static void add_frames(struct pmf_buf *out, const struct pmf_tree *t, FILE *f)
{
	const struct pmf_strtab *strs = &t->profile->strings;

	for (uint32_t i = 0; i < t->nr_funcs; i++) {
		const struct pmf_func *fn = &t->funcs[i];
		const char *file = pmf_strtab_get(strs, fn->file ? fn->file : fn->module);

		pmf_buf_addstr(out, i ? ",\n{\"name\":" : "\n{\"name\":");
		pmf_json_string(out, pmf_render_func_id(t, i));
		if (*file) {
			pmf_buf_addstr(out, ",\"file\":");
			pmf_json_string(out, file);
		}
		pmf_buf_addch(out, '}');
		pmf_render_flush(out, f, PMF_RENDER_CHUNK);
	}
}

/* The stacks with events of their own, as places in the frames; *sum gets all their events. */
static void add_samples(
	struct pmf_buf *out, const struct pmf_tree *t, size_t event, FILE *f, uint64_t *sum)
{
	uint32_t *path = pmf_calloc((size_t)t->max_depth + 1, sizeof *path);

	*sum = 0;
	for (uint32_t i = 0; i < t->nr_nodes; i++) {
		uint32_t depth = t->nodes[i].depth;
		uint64_t events = pmf_render_events(pmf_tree_self(t, event, i));

		path[depth] = t->nodes[i].func;
		if (!events)
			continue;
		pmf_buf_addstr(out, *sum ? ",\n[" : "\n[");
		/* "all" says nothing, unless it is the whole stack. */
		for (uint32_t d = depth > 0; d <= depth; d++) {
			pmf_json_comma(out, d > 1);
			pmf_buf_addu64(out, path[d]);
		}
		pmf_buf_addch(out, ']');
		pmf_render_flush(out, f, PMF_RENDER_CHUNK);
		*sum += events;
	}
	free(path);
}

static void add_weights(struct pmf_buf *out, const struct pmf_tree *t, size_t event, FILE *f)
{
	const char *before = "";

	for (uint32_t i = 0; i < t->nr_nodes; i++) {
		uint64_t events = pmf_render_events(pmf_tree_self(t, event, i));

		if (!events)
			continue;
		pmf_buf_addstr(out, before);
		pmf_buf_addu64(out, events);
		pmf_render_flush(out, f, PMF_RENDER_CHUNK);
		before = ",";
	}
}

static void add_profile(struct pmf_buf *out, const struct pmf_tree *t, size_t event, FILE *f)
{
	const struct pmf_profile_event *ev = &t->profile->events[event];
	uint64_t sum;

	pmf_buf_addstr(out, event ? ",\n{" : "\n{");
	pmf_buf_addstr(out, "\"type\":\"sampled\",\"name\":");
	pmf_json_string(out, pmf_profile_label(ev));
	pmf_buf_printf(out, ",\"unit\":\"%s\",\"samples\":[",
		pmf_profile_is_time(ev) ? "nanoseconds" : "none");
	add_samples(out, t, event, f, &sum);
	pmf_buf_addstr(out, "],\"weights\":[");
	add_weights(out, t, event, f);
	pmf_buf_addstr(out, "],\"startValue\":0,\"endValue\":");
	pmf_buf_addu64(out, sum);
	pmf_buf_addch(out, '}');
}

static int render(FILE *f, const struct pmf_tree *t, size_t event,
	const struct pmf_render_opts *opts, struct pmf_err *err)
{
	const char *title = opts->title ? opts->title : t->profile->title;
	struct pmf_buf out = PMF_BUF_INIT;

	(void)event;
	(void)err;
	pmf_buf_addstr(&out,
		"{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n"
		"\"exporter\":\"pmuflame " PACKAGE_VERSION "\",\n\"name\":");
	pmf_json_string(&out, title ? title : "");
	pmf_buf_addstr(&out, ",\n\"shared\":{\"frames\":[");
	add_frames(&out, t, f);
	pmf_buf_addstr(&out, "]},\n\"profiles\":[");
	for (size_t e = 0; e < t->profile->nr_events; e++)
		add_profile(&out, t, e, f);
	pmf_buf_addstr(&out, "]}\n");
	pmf_render_flush(&out, f, 0);
	pmf_buf_release(&out);
	return 0;
}

const struct pmf_renderer pmf_renderer_speedscope = {
	.name = "speedscope",
	.suffix = "speedscope.json",
	.per_event = false,
	.desc = "all events in one file for speedscope.app",
	.render = render,
};
