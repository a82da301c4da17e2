/* The profile as JSON for programs; man/pmuflame.1, JSON, says what the fields mean. Frames are
 * functions, as in the pictures; every stack has a value and a number of samples per event. */
#include "config.h"

#include "render_priv.h"

#include <stdlib.h>

static void add_text(struct pmf_buf *out, const char *key, const char *value)
{
	pmf_buf_printf(out, "\"%s\":", key);
	if (value)
		pmf_json_string(out, value);
	else
		pmf_buf_addstr(out, "null");
}

static void add_number(struct pmf_buf *out, const char *key, uint64_t value)
{
	pmf_buf_printf(out, ",\"%s\":", key);
	pmf_buf_addu64(out, value);
}

/* null where it is not known. */
static void add_number_if(struct pmf_buf *out, const char *key, bool known, uint64_t value)
{
	if (known)
		add_number(out, key, value);
	else
		pmf_buf_printf(out, ",\"%s\":null", key);
}

static void add_event(struct pmf_buf *out, const struct pmf_tree *t, size_t e)
{
	const struct pmf_profile_event *ev = &t->profile->events[e];

	pmf_buf_addstr(out, e ? ",\n{" : "\n{");
	add_text(out, "event", ev->label);
	pmf_buf_addch(out, ',');
	add_text(out, "asked", ev->spec);
	pmf_buf_addch(out, ',');
	add_text(out, "unit", ev->unit);
	add_number(out, "period", ev->period);
	add_number(out, "freq_hz", ev->freq_hz);
	/* In a recording it stands for the weight of the samples (only_samples). */
	add_number_if(out, "counted", !ev->only_samples, ev->counted);
	add_number(out, "weight", ev->weight);
	add_number(out, "unsampled", ev->unsampled);
	add_number(out, "samples", ev->samples);
	add_number_if(out, "lost", ev->lost_known, ev->lost);
	pmf_buf_printf(out, ",\"scale\":%.17g", ev->scale);
	add_number(out, "total", pmf_render_events(pmf_tree_total(t, e, 0)));
	pmf_buf_addstr(out, ",\"ledger\":");
	pmf_json_ledger(out, t, e);
	pmf_buf_addch(out, '}');
}

static void add_frames(struct pmf_buf *out, const struct pmf_tree *t, FILE *f)
{
	const struct pmf_strtab *strs = &t->profile->strings;

	for (uint32_t i = 0; i < t->nr_funcs; i++) {
		const struct pmf_func *fn = &t->funcs[i];

		pmf_buf_addstr(out, i ? ",\n{" : "\n{");
		add_text(out, "name", pmf_render_func_name(t, i));
		pmf_buf_addch(out, ',');
		add_text(out, "kind", pmf_frame_kind_name(fn->kind));
		pmf_buf_addch(out, ',');
		add_text(out, "module", fn->module ? pmf_strtab_get(strs, fn->module) : NULL);
		pmf_buf_addch(out, ',');
		add_text(out, "file", fn->file ? pmf_strtab_get(strs, fn->file) : NULL);
		add_number_if(out, "start_line", fn->start_line > 0, fn->start_line);
		pmf_buf_printf(out, ",\"unresolved\":%s}", fn->unresolved ? "true" : "false");
		pmf_render_flush(out, f, PMF_RENDER_CHUNK);
	}
}

/* The columns of node @i, all 0 or not. */
static bool add_columns(struct pmf_buf *out, const struct pmf_tree *t, uint32_t i)
{
	bool any = false;

	pmf_buf_addstr(out, "],\"values\":[");
	for (size_t e = 0; e < t->profile->nr_events; e++) {
		uint64_t events = pmf_render_events(pmf_tree_self(t, e, i));

		pmf_json_comma(out, e);
		pmf_buf_addu64(out, events);
		any |= events > 0;
	}
	pmf_buf_addstr(out, "],\"samples\":[");
	for (size_t e = 0; e < t->profile->nr_events; e++) {
		uint64_t samples = pmf_tree_samples_self(t, e, i);

		pmf_json_comma(out, e);
		pmf_buf_addu64(out, samples);
		any |= samples > 0;
	}
	pmf_buf_addstr(out, "]}");
	return any;
}

static void add_stacks(struct pmf_buf *out, const struct pmf_tree *t, FILE *f)
{
	uint32_t *path = pmf_calloc((size_t)t->max_depth + 1, sizeof *path);
	const char *before = "\n";

	for (uint32_t i = 0; i < t->nr_nodes; i++) {
		uint32_t depth = t->nodes[i].depth;
		size_t start = out->len;

		path[depth] = t->nodes[i].func;
		pmf_buf_addstr(out, before);
		pmf_buf_addstr(out, "{\"frames\":[");
		for (uint32_t d = 1; d <= depth; d++) {
			pmf_json_comma(out, d - 1);
			pmf_buf_addu64(out, path[d]);
		}
		if (add_columns(out, t, i))
			before = ",\n";
		else
			out->len = start;
		pmf_render_flush(out, f, PMF_RENDER_CHUNK);
	}
	free(path);
}

static int render(FILE *f, const struct pmf_tree *t, size_t event,
	const struct pmf_render_opts *opts, struct pmf_err *err)
{
	const struct pmf_profile *p = t->profile;
	struct pmf_buf out = PMF_BUF_INIT;

	(void)event;
	(void)err;
	pmf_buf_addstr(&out, "{\"schema\":1,\"version\":\"" PACKAGE_VERSION "\",\n");
	add_text(&out, "name", opts->title ? opts->title : p->title);
	pmf_buf_addstr(&out, ",\n");
	add_text(&out, "command", p->command);
	pmf_buf_addstr(&out, ",\n");
	if (p->watched) {
		add_text(&out, "watched", p->watched);
		pmf_buf_addstr(&out, ",\n");
	}
	add_text(&out, "host", p->host_note);
	add_number(&out, "start_unix_ns", p->start_unix_ns);
	add_number(&out, "duration_ns", p->duration_ns);
	pmf_buf_addstr(&out, ",\n\"events\":[");
	for (size_t e = 0; e < p->nr_events; e++)
		add_event(&out, t, e);
	pmf_buf_addstr(&out, "],\n\"frames\":[");
	add_frames(&out, t, f);
	pmf_buf_addstr(&out, "],\n\"stacks\":[");
	add_stacks(&out, t, f);
	pmf_buf_addstr(&out, "]}\n");
	pmf_render_flush(&out, f, 0);
	pmf_buf_release(&out);
	return 0;
}

const struct pmf_renderer pmf_renderer_json = {
	.name = "json",
	.suffix = "json",
	.per_event = false,
	.desc = "frames, stacks and all events for programs",
	.render = render,
};
