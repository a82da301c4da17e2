/* A comparison as a table for people, and as JSON. */
#include "pmuflame/units.h"
#include "render_diff_priv.h"

#include <inttypes.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODULE_COLUMNS = 12 };

char *pmf_diff_format(const struct pmf_profile_event *ev, double change, char *out)
{
	char cost[PMF_UNITS_MAX];

	snprintf(out, PMF_UNITS_MAX, "%c%.38s", change < 0 ? '-' : '+',
		pmf_render_cost(ev, fabs(change), cost));
	return out;
}

char *pmf_diff_format_relative(double base, double now, char *out)
{
	if (base > 0 && now > 0)
		snprintf(out, PMF_UNITS_MAX, "%+.1f%%", 100 * (now / base - 1));
	else
		snprintf(out, PMF_UNITS_MAX, "%s", now > 0 ? "new" : base > 0 ? "gone" : "-");
	return out;
}

void pmf_diff_add_head(struct pmf_buf *out, const struct pmf_diff *d, size_t event)
{
	const struct pmf_profile_event *ev = &d->joined.events[event];
	double base = pmf_tree_total(&d->tree, d->nr_events + event, 0) * d->scale[event];
	double now = pmf_tree_total(&d->tree, event, 0);
	char a[PMF_UNITS_MAX], b[PMF_UNITS_MAX], c[PMF_UNITS_MAX], e[PMF_UNITS_MAX];

	pmf_buf_addclean(out, pmf_profile_label(ev), ' ');
	pmf_buf_printf(out, ": %s before, %s now: %s (%s)", pmf_render_cost(ev, base, a),
		pmf_render_cost(ev, now, b), pmf_diff_format(ev, now - base, c),
		pmf_diff_format_relative(base, now, e));
	pmf_buf_addstr(out, ", ");
	pmf_buf_addclean(out, d->per, ' ');
	pmf_buf_addch(out, '\n');
}

/* ---- Rows, the supported changes first, of those the larger ones ---- */

struct rows {
	const struct pmf_diff_change *self, *total;
	uint32_t *order;
	size_t n, nr_real;
};

static double size_of(const struct pmf_diff_change *c)
{
	return fabs(c->now - c->base);
}

static int compare_rows(const void *va, const void *vb, void *ctx)
{
	uint32_t a = *(const uint32_t *)va, b = *(const uint32_t *)vb;
	const struct rows *r = ctx;
	bool real_a = r->self[a].real || r->total[a].real;
	bool real_b = r->self[b].real || r->total[b].real;
	double x = size_of(&r->self[a]), y = size_of(&r->self[b]);

	if (real_a != real_b)
		return real_a ? -1 : 1;
	if (x == y) {
		x = size_of(&r->total[a]);
		y = size_of(&r->total[b]);
	}
	if (x != y)
		return x < y ? 1 : -1;
	return (a > b) - (a < b);
}

static void rows_init(
	struct rows *r, const struct pmf_diff *d, const struct pmf_table *t, size_t event)
{
	*r = (struct rows){.self = pmf_diff_rows(d, t, event, false),
		.total = pmf_diff_rows(d, t, event, true),
		.order = pmf_calloc(t->n, sizeof *r->order)};
	for (uint32_t i = 0; i < t->n; i++) {
		/* A row that only groups others says nothing of its own. */
		if (!pmf_frame_is_code(t->rows[i].kind) && r->self[i].base + r->self[i].now <= 0)
			continue;
		if (r->total[i].base + r->total[i].now <= 0)
			continue;
		r->order[r->n++] = i;
		r->nr_real += r->self[i].real || r->total[i].real;
	}
	qsort_r(r->order, r->n, sizeof *r->order, compare_rows, r);
}

static void rows_release(struct rows *r)
{
	free((void *)(uintptr_t)r->self);
	free((void *)(uintptr_t)r->total);
	free(r->order);
}

/* ---- Text ---- */

/* Right-aligned in @columns, whatever its bytes; in brackets unless it is @real. */
static void add_cell(struct pmf_buf *out, const char *text, bool real, size_t columns)
{
	size_t used = pmf_text_columns(text) + (real ? 0 : 2);

	for (; used < columns; used++)
		pmf_buf_addch(out, ' ');
	pmf_buf_printf(out, real ? "%s " : "(%s) ", text);
}

static void add_change(
	struct pmf_buf *out, const struct pmf_profile_event *ev, const struct pmf_diff_change *c)
{
	char text[PMF_UNITS_MAX];

	if (c->now == c->base)
		add_cell(out, "-", true, 10);
	else
		add_cell(out, pmf_diff_format(ev, c->now - c->base, text), c->real, 10);
}

static void text_row(FILE *f, const struct pmf_diff *d, const struct pmf_table_row *row,
	enum pmf_table_by by, size_t event, const struct pmf_diff_change *self,
	const struct pmf_diff_change *total, size_t columns)
{
	const struct pmf_profile_event *ev = &d->joined.events[event];
	struct pmf_buf out = PMF_BUF_INIT;
	char text[PMF_UNITS_MAX];

	add_cell(&out, pmf_render_cost(ev, self->base, text), true, 8);
	add_cell(&out, pmf_render_cost(ev, self->now, text), true, 8);
	add_change(&out, ev, self);
	add_cell(&out, self->error > 0 ? pmf_render_cost(ev, self->error, text) : "-", true, 8);
	add_cell(&out, pmf_diff_format_relative(self->base, self->now, text), true, 8);
	add_change(&out, ev, total);
	pmf_table_add_name(&out, row, by, MODULE_COLUMNS, columns);
	pmf_buf_addch(&out, '\n');
	fputs(pmf_buf_str(&out), f);
	pmf_buf_release(&out);
}

static void text_event(FILE *f, const struct pmf_diff *d, const struct pmf_table *t, size_t event,
	const struct pmf_table_view *v)
{
	struct pmf_buf head = PMF_BUF_INIT;
	struct rows r;
	size_t shown;

	rows_init(&r, d, t, event);
	shown = pmf_view_rows(v, r.n);
	pmf_diff_add_head(&head, d, event);
	pmf_tree_shown(&d->tree, d->nr_events + event, &head);
	pmf_tree_shown(&d->tree, event, &head);
	pmf_buf_printf(&head, "%8s %8s %10s %9s %8s %10s %-12s  %s\n", "before", "now", "change",
		"±", "", "in total", "module", pmf_table_by_name(t->by));
	fputs(pmf_buf_str(&head), f);
	for (size_t i = 0; i < shown; i++)
		text_row(f, d, &t->rows[r.order[i]], t->by, event, &r.self[r.order[i]],
			&r.total[r.order[i]], v->columns);
	fprintf(f, "%zu of %zu changed%s\n", r.nr_real, r.n,
		r.nr_real < r.n ? "; (in brackets) what the samples do not support" : "");
	pmf_buf_release(&head);
	rows_release(&r);
}

static void render_text(FILE *f, const struct pmf_diff *d, const struct pmf_table *t,
	const struct pmf_table_view *v)
{
	struct pmf_buf notes = PMF_BUF_INIT;

	for (size_t e = 0; e < d->nr_events; e++) {
		if (!pmf_view_wants(v, e))
			continue;
		text_event(f, d, t, e, v);
		fputc('\n', f);
	}
	for (size_t i = 0; i < d->joined.nr_notes; i++) {
		pmf_buf_addstr(&notes, "warning: ");
		pmf_buf_addclean(&notes, d->joined.notes[i].text, ' ');
		pmf_buf_addch(&notes, '\n');
	}
	fputs(pmf_buf_str(&notes), f);
	fprintf(f,
		"The chance that anything of an event is marked as changed in two runs that are alike "
		"is %d %%\nat most (Holm). What makes runs differ beside the program is not known "
		"here: repeat them.\n",
		PMF_DIFF_LEVEL_PERCENT);
	pmf_buf_release(&notes);
}

/* ---- JSON ---- */

static void json_change(struct pmf_buf *out, const char *name, const struct pmf_diff_change *c)
{
	pmf_buf_printf(out,
		",\"%s\":{\"before\":%.15g,\"now\":%.15g,\"error\":%.6g,\"p\":%.6g,\"tested\":%s,"
		"\"changed\":%s}",
		name, c->base, c->now, c->error, c->p, c->tested ? "true" : "false",
		c->real ? "true" : "false");
}

static void json_event(struct pmf_buf *out, const struct pmf_diff *d, const struct pmf_table *t,
	size_t event, const struct pmf_table_view *v)
{
	const struct pmf_profile_event *ev = &d->joined.events[event];
	struct rows r;

	rows_init(&r, d, t, event);
	pmf_buf_addstr(out, "{\"event\":");
	pmf_json_string(out, pmf_profile_label(ev));
	pmf_buf_addstr(out, ",\"unit\":");
	pmf_json_string(out, pmf_profile_unit(ev));
	pmf_buf_printf(out, ",\"scale\":%.15g,\"before\":%.15g,\"now\":%.15g", d->scale[event],
		pmf_tree_total(&d->tree, d->nr_events + event, 0) * d->scale[event],
		pmf_tree_total(&d->tree, event, 0));
	pmf_buf_printf(out,
		",\"samples_before\":%.15g,\"samples_now\":%.15g,\"changed\":%zu,\"rows\":[",
		(double)pmf_tree_samples(&d->tree, d->nr_events + event, 0),
		(double)pmf_tree_samples(&d->tree, event, 0), r.nr_real);
	for (size_t i = 0; i < pmf_view_rows(v, r.n); i++) {
		const struct pmf_table_row *row = &t->rows[r.order[i]];

		pmf_buf_addstr(out, i ? ",\n{\"name\":" : "\n{\"name\":");
		pmf_json_string(out, row->name);
		pmf_buf_printf(out, ",\"kind\":\"%s\",\"module\":", pmf_frame_kind_name(row->kind));
		pmf_json_string(out, row->module);
		pmf_buf_addstr(out, ",\"file\":");
		pmf_json_string(out, row->file);
		pmf_buf_printf(out, ",\"start_line\":%" PRIu32, row->start_line);
		json_change(out, "self", &r.self[r.order[i]]);
		json_change(out, "total", &r.total[r.order[i]]);
		pmf_buf_addch(out, '}');
	}
	pmf_buf_addstr(out, "]}");
	rows_release(&r);
}

static void render_json(FILE *f, const struct pmf_diff *d, const struct pmf_table *t,
	const struct pmf_table_view *v)
{
	struct pmf_buf out = PMF_BUF_INIT;
	bool first = true;

	pmf_buf_addstr(&out, "{\"schema\":1,\"per\":");
	pmf_json_string(&out, d->per);
	pmf_buf_printf(&out, ",\"level\":%g,\"events\":[", PMF_DIFF_LEVEL_PERCENT / 100.0);
	for (size_t e = 0; e < d->nr_events; e++) {
		if (!pmf_view_wants(v, e))
			continue;
		pmf_buf_addstr(&out, first ? "\n" : ",\n");
		json_event(&out, d, t, e, v);
		first = false;
	}
	pmf_buf_addstr(&out, "],\"notes\":[");
	for (size_t i = 0; i < d->joined.nr_notes; i++) {
		pmf_json_comma(&out, i);
		pmf_json_string(&out, d->joined.notes[i].text);
	}
	pmf_buf_addstr(&out, "]}\n");
	fwrite(out.data, 1, out.len, f);
	pmf_buf_release(&out);
}

void pmf_render_diff(FILE *f, const struct pmf_diff *d, const struct pmf_table *t,
	const struct pmf_table_view *v)
{
	if (v->form == PMF_TABLE_JSON)
		render_json(f, d, t, v);
	else
		render_text(f, d, t, v);
}
