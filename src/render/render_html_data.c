/* The report's data: the call tree in preorder with its own weights and samples by event, so that the
 * page can add them up along any tree that it makes of them. docs/adr/0013. */
#include "render_html_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct data {
	const struct pmf_tree *t;
	struct pmf_id_table strings, colours;
};

typedef double (*column_fn)(const struct data *, size_t event, uint32_t node);

/* Not scaled: whole numbers, whose sums are exact; the page multiplies them by the event's scale. */
static double raw_self(const struct data *d, size_t event, uint32_t node)
{
	return nearbyint(pmf_tree_self(d->t, event, node) / d->t->profile->events[event].scale);
}

static double samples_self(const struct data *d, size_t event, uint32_t node)
{
	return (double)pmf_tree_samples_self(d->t, event, node);
}

static double joined(const struct data *d, size_t event, uint32_t node)
{
	return (double)pmf_tree_joined(d->t, event, node);
}

static bool has_self(const struct data *d, size_t event, uint32_t node)
{
	return pmf_tree_self(d->t, event, node) > 0 || pmf_tree_samples_self(d->t, event, node) > 0;
}

/* Nodes with weight of their own, each by its distance from the one before. */
static void add_places(struct pmf_buf *out, const struct data *d, size_t event)
{
	uint32_t last = 0;

	pmf_json_array(out, "nodes");
	for (uint32_t i = 0, n = 0; i < d->t->nr_nodes; i++) {
		if (!has_self(d, event, i))
			continue;
		pmf_json_comma(out, n++);
		pmf_buf_addu64(out, i - last);
		last = i;
	}
	pmf_buf_addch(out, ']');
}

static void add_column(
	struct pmf_buf *out, const struct data *d, const char *key, size_t event, column_fn get)
{
	pmf_json_array(out, key);
	for (uint32_t i = 0, n = 0; i < d->t->nr_nodes; i++) {
		if (!has_self(d, event, i))
			continue;
		pmf_json_comma(out, n++);
		pmf_json_weight(out, get(d, event, i));
	}
	pmf_buf_addch(out, ']');
}

/* Inclusive and of all nodes: a node may be joined where it has no weight of its own. */
static void add_joined(struct pmf_buf *out, const struct data *d, size_t event)
{
	if (pmf_tree_joined(d->t, event, 0) == 0)
		return;
	pmf_json_array(out, "joined");
	for (uint32_t i = 0; i < d->t->nr_nodes; i++) {
		pmf_json_comma(out, i);
		pmf_json_weight(out, joined(d, event, i));
	}
	pmf_buf_addch(out, ']');
}

static void add_event(struct pmf_buf *out, const struct data *d, size_t event)
{
	const struct pmf_profile_event *ev = &d->t->profile->events[event];
	const char *label = pmf_profile_label(ev);

	pmf_buf_addch(out, '{');
	pmf_json_field(out, "label");
	pmf_json_string(out, label);
	pmf_json_field(out, "id");
	pmf_json_string(out, ev->file_name ? ev->file_name : label);
	pmf_json_field(out, "unit");
	pmf_json_string(out, pmf_profile_unit(ev));
	pmf_buf_printf(out, ",\n\"scale\":%.17g,\n\"inKernel\":%s", ev->scale,
		ev->in_kernel ? "true" : "false");
	pmf_json_field(out, "effective");
	pmf_json_weight(out, pmf_tree_effective_samples(d->t, event));
	add_places(out, d, event);
	add_column(out, d, "self", event, raw_self);
	add_column(out, d, "samples", event, samples_self);
	add_joined(out, d, event);
	pmf_json_field(out, "ledger");
	pmf_json_ledger(out, d->t, event);
	pmf_buf_addch(out, '}');
}

/* Functions, flat: name, kind, module, path, file, colour, first line; strings and colours by place. */
static void add_funcs(struct pmf_buf *out, struct data *d)
{
	const struct pmf_strtab *strs = &d->t->profile->strings;

	pmf_json_array(out, "funcs");
	for (size_t i = 0; i < d->t->nr_funcs; i++) {
		const struct pmf_func *f = &d->t->funcs[i];
		uint32_t ids[] = {f->name, f->module, f->path, f->file}, places[4];

		for (size_t k = 0; k < PMF_ARRAY_SIZE(ids); k++)
			places[k] = pmf_id_table_add(&d->strings, ids[k]);
		pmf_json_comma(out, i);
		pmf_buf_printf(out,
			"%" PRIu32 ",%d,%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32,
			places[0], (int)f->kind, places[1], places[2], places[3],
			pmf_id_table_add(
				&d->colours, pmf_colour_of(f->kind, pmf_strtab_get(strs, f->module),
						     pmf_tree_string(d->t, f->name))),
			f->start_line);
	}
	pmf_buf_addch(out, ']');
	pmf_json_labels(out, d->t, NULL, &d->strings);
}

static void add_nodes(struct pmf_buf *out, const struct pmf_tree *t)
{
	pmf_json_array(out, "depth");
	for (size_t i = 0; i < t->nr_nodes; i++) {
		pmf_json_comma(out, i);
		pmf_buf_addu64(out, t->nodes[i].depth);
	}
	pmf_buf_addch(out, ']');
	pmf_json_array(out, "func");
	for (size_t i = 0; i < t->nr_nodes; i++) {
		pmf_json_comma(out, i);
		pmf_buf_addu64(out, t->nodes[i].func);
	}
	pmf_buf_addch(out, ']');
}

static void add_colours(struct pmf_buf *out, const char *key, const struct data *d, bool dark)
{
	pmf_json_array(out, key);
	for (size_t i = 0; i < d->colours.n; i++)
		pmf_buf_printf(out, "%s\"#%06x\"", i ? "," : "",
			pmf_colour_rgb(d->colours.items[i], dark));
	pmf_buf_addch(out, ']');
}

static bool has_lines(const struct pmf_profile *p)
{
	for (size_t i = 0; i < p->nr_frames; i++)
		if (p->frames[i].line)
			return true;
	return false;
}

/* One column of a line's costs, for each event: not scaled, as all weights here. */
static void add_line_costs(struct pmf_buf *out, const struct pmf_tree *lines, size_t event)
{
	struct pmf_func_cost *costs = pmf_calloc(lines->nr_funcs, sizeof *costs);
	double scale = lines->profile->events[event].scale;

	pmf_tree_costs(lines, event, false, costs);
	pmf_buf_addch(out, '[');
	for (size_t i = 0, n = 0; i < lines->nr_funcs; i++) {
		if (!lines->funcs[i].line)
			continue;
		pmf_json_comma(out, n++);
		pmf_json_weight(out, nearbyint(costs[i].self / scale));
		pmf_buf_addch(out, ',');
		pmf_json_weight(out, nearbyint(costs[i].total / scale));
		pmf_buf_addch(out, ',');
		pmf_buf_addu64(out, costs[i].samples_self);
	}
	pmf_buf_addch(out, ']');
	free(costs);
}

/* What is known by line: "lines" has the function and the line of each, "lineCosts" by event the self,
 * total and own samples of each, "code" the text of some. A tree by line has its functions in the order of @t's, whose number goes up where
 * more than the line differs. */
static void add_lines(
	struct pmf_buf *out, const struct pmf_tree *t, const struct pmf_code_reader *code)
{
	struct pmf_tree_opts opts = t->opts;
	struct pmf_tree lines;
	uint32_t func = 0;

	if (!has_lines(t->profile))
		return;
	opts.lines = true;
	pmf_tree_build(&lines, t->profile, &opts);
	pmf_json_array(out, "lines");
	for (size_t i = 0, n = 0; i < lines.nr_funcs; i++) {
		const struct pmf_func *f = &lines.funcs[i], *before = i ? f - 1 : f;

		if (f->name != before->name || f->module != before->module ||
			f->kind != before->kind || f->file != before->file ||
			f->start_line != before->start_line)
			func++;
		if (!f->line)
			continue;
		pmf_json_comma(out, n++);
		pmf_buf_printf(out, "%" PRIu32 ",%" PRIu32, func, f->line);
	}
	pmf_buf_addch(out, ']');
	pmf_json_array(out, "lineCosts");
	for (size_t e = 0; e < t->profile->nr_events; e++) {
		pmf_json_comma(out, e);
		add_line_costs(out, &lines, e);
	}
	pmf_buf_addch(out, ']');
	if (code)
		pmf_html_add_code(out, &lines, code);
	pmf_tree_release(&lines);
}

void pmf_html_add_data(struct pmf_buf *out, const struct pmf_tree *t, const char *title,
	const struct pmf_code_reader *code)
{
	const struct pmf_profile *p = t->profile;
	struct data d = {.t = t};

	pmf_id_table_init(&d.strings, pmf_tree_nr_strings(t));
	pmf_id_table_init(&d.colours, (size_t)PMF_FRAME_KINDS * PMF_COLOURS_PER_KIND);
	pmf_buf_addch(out, '{');
	pmf_json_field(out, "title");
	pmf_json_string(out, title);
	pmf_json_field(out, "command");
	pmf_json_string(out, p->command ? p->command : "");
	pmf_json_field(out, "watched");
	pmf_json_string(out, p->watched ? p->watched : "");
	pmf_json_field(out, "host");
	pmf_json_string(out, p->host_note ? p->host_note : "");
	pmf_buf_printf(out, ",\n\"startMs\":%" PRIu64 ",\n\"durationNs\":%" PRIu64,
		p->start_unix_ns / 1000000, p->duration_ns);
	add_nodes(out, t);
	add_funcs(out, &d);
	add_lines(out, t, code);
	add_colours(out, "light", &d, false);
	add_colours(out, "dark", &d, true);
	pmf_json_strings(out, t, &d.strings);
	pmf_json_array(out, "events");
	for (size_t e = 0; e < p->nr_events; e++) {
		pmf_json_comma(out, e);
		add_event(out, &d, e);
	}
	pmf_buf_addstr(out, "]}");
	pmf_id_table_release(&d.strings);
	pmf_id_table_release(&d.colours);
}
