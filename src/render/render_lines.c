/* Source lines as a table for people: one row a line, all counters side by side. */
#include "pmuflame/units.h"
#include "render_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum { EVENT_COLUMNS = 27, MODULE_COLUMNS = 16 };

/* What the columns of the table are of: the events that are wanted, and their ratios, each once. */
struct columns {
	const struct pmf_table *t;
	const struct pmf_table_view *v;
	size_t *events;
	struct pmf_ratio *ratios;
	size_t nr_events, nr_ratios;
};

static bool has_ratio(const struct columns *c, const struct pmf_ratio *r)
{
	for (size_t i = 0; i < c->nr_ratios; i++)
		if (c->ratios[i].num == r->num && c->ratios[i].den == r->den)
			return true;
	return false;
}

static void columns_init(
	struct columns *c, const struct pmf_table *t, const struct pmf_table_view *v)
{
	size_t n = t->tree->profile->nr_events;

	*c = (struct columns){.t = t,
		.v = v,
		.events = pmf_calloc(n, sizeof *c->events),
		.ratios = pmf_calloc(n, sizeof *c->ratios)};
	for (size_t e = 0; e < n; e++) {
		struct pmf_ratio room;
		const struct pmf_ratio *r;

		if (!pmf_view_wants(v, e))
			continue;
		c->events[c->nr_events++] = e;
		r = pmf_view_ratio(t, v, e, &room);
		if (r && !has_ratio(c, r))
			c->ratios[c->nr_ratios++] = *r;
	}
}

static void add_head(struct pmf_buf *out, const struct columns *c)
{
	const struct pmf_profile *p = c->t->tree->profile;

	for (size_t k = 0; k < c->nr_events; k++)
		pmf_view_add_head(out, c->t->tree, c->events[k]);
	for (size_t k = 0; k < c->nr_ratios; k++) {
		const struct pmf_ratio *r = &c->ratios[k];

		pmf_buf_printf(out, "ratio %zu: ", k + 1);
		if (r->per > 1) { /* "per 1000 instructions": elsewhere its table says of what */
			pmf_buf_addclean(out, pmf_profile_label(&p->events[r->num]), ' ');
			pmf_buf_addch(out, ' ');
		}
		pmf_buf_addclean(out, r->name, ' ');
		pmf_buf_addch(out, '\n');
	}
	for (size_t k = 0; k < c->nr_events; k++) {
		struct pmf_buf label = PMF_BUF_INIT;

		pmf_text_shorten(
			&label, pmf_profile_label(&p->events[c->events[k]]), EVENT_COLUMNS - 2);
		for (size_t n = pmf_text_columns(pmf_buf_str(&label)); n < EVENT_COLUMNS; n++)
			pmf_buf_addch(out, ' ');
		pmf_text_add(out, pmf_buf_str(&label), label.len, PMF_TEXT_PLAIN);
		pmf_buf_release(&label);
	}
	pmf_buf_addch(out, '\n');
	for (size_t k = 0; k < c->nr_events; k++)
		pmf_buf_printf(out, "%8s %8s %9s", "self", "total", "samples");
	for (size_t k = 0; k < c->nr_ratios; k++)
		pmf_buf_printf(out, "  ratio %zu", k + 1);
	pmf_buf_printf(out, "  %-*s  line\n", MODULE_COLUMNS, "module");
}

static void add_event(struct pmf_buf *out, const struct columns *c, size_t event, uint32_t row)
{
	double all = pmf_tree_total(c->t->tree, event, 0);
	double self = pmf_table_self(c->t, event, row), total = pmf_table_total(c->t, event, row);
	uint64_t samples = c->v->by_total ? pmf_table_samples_total(c->t, event, row)
					  : pmf_table_samples_self(c->t, event, row);
	char a[PMF_UNITS_MAX], b[PMF_UNITS_MAX], n[PMF_UNITS_MAX];

	pmf_buf_printf(out, "%8s %8s %9s", self > 0 ? pmf_format_percent(a, self, all) : "",
		total > 0 ? pmf_format_percent(b, total, all) : "",
		total > 0 ? pmf_format_count(n, samples) : "");
}

static void add_ratio(struct pmf_buf *out, const struct columns *c, size_t ratio, uint32_t row)
{
	double value;
	bool few;

	if (pmf_view_row_ratio(c->t, c->v, &c->ratios[ratio], row, &value, &few))
		pmf_buf_printf(out, " %s%7.3g", few ? "~" : " ", value);
	else
		pmf_buf_printf(out, " %8s", "-");
}

/* What the rows that are not shown have of each event. */
static void add_rest(struct pmf_buf *out, const struct columns *c, const uint32_t *rows, size_t n)
{
	char a[PMF_UNITS_MAX];

	for (size_t k = 0; k < c->nr_events; k++) {
		double rest = 0;

		for (size_t i = 0; i < n; i++)
			rest += pmf_table_self(c->t, c->events[k], rows[i]);
		pmf_buf_printf(out, "%8s %18s",
			pmf_format_percent(a, rest, pmf_tree_total(c->t->tree, c->events[k], 0)),
			"");
	}
	pmf_buf_printf(out, "  in %zu more\n", n);
}

void pmf_render_lines(FILE *f, const struct pmf_table *t, const struct pmf_table_view *v)
{
	struct pmf_buf out = PMF_BUF_INIT;
	struct columns c;
	uint32_t *rows;
	size_t n, shown;

	columns_init(&c, t, v);
	rows = pmf_table_order_all(t, v->events, v->by_total, &n);
	shown = pmf_view_rows(v, n);
	add_head(&out, &c);
	for (size_t i = 0; i < shown; i++) {
		struct pmf_buf line = PMF_BUF_INIT;

		for (size_t k = 0; k < c.nr_events; k++)
			add_event(&line, &c, c.events[k], rows[i]);
		for (size_t k = 0; k < c.nr_ratios; k++)
			add_ratio(&line, &c, k, rows[i]);
		pmf_buf_addstr(&line, "  ");
		pmf_table_add_name(&line, &t->rows[rows[i]], t->by, MODULE_COLUMNS, v->columns);
		pmf_buf_printf(&out, "%s\n", pmf_buf_str(&line));
		pmf_buf_release(&line);
	}
	if (shown < n)
		add_rest(&out, &c, rows + shown, n - shown);
	fwrite(out.data, 1, out.len, f);
	pmf_buf_release(&out);
	free(rows);
	free(c.events);
	free(c.ratios);
}
