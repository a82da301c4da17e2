/* Tables of costs for people, for spreadsheets and for programs. */
#include "pmuflame/units.h"
#include "render_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MODULE_COLUMNS = 16, FEW_SAMPLES = 25 };

static const char *const by_names[] = {
	[PMF_BY_FUNCTION] = "function",
	[PMF_BY_LINE] = "line",
	[PMF_BY_MODULE] = "module",
	[PMF_BY_THREAD] = "thread",
	[PMF_BY_PROCESS] = "process",
};

const char *pmf_table_by_name(enum pmf_table_by by)
{
	return by <= PMF_BY_PROCESS ? by_names[by] : NULL;
}

char *pmf_render_cost(const struct pmf_profile_event *ev, double cost, char *out)
{
	return pmf_profile_is_time(ev) ? pmf_profile_format(ev, cost, out)
				       : pmf_format_si(out, cost);
}

bool pmf_view_wants(const struct pmf_table_view *v, size_t event)
{
	return !v->events || v->events[event];
}

size_t pmf_view_rows(const struct pmf_table_view *v, size_t n)
{
	return v->max ? PMF_MIN(v->max, n) : n;
}

const struct pmf_ratio *pmf_view_ratio(const struct pmf_table *t, const struct pmf_table_view *v,
	size_t event, struct pmf_ratio *room)
{
	if (v->ratio)
		return v->ratio;
	return pmf_ratio_of(t->tree->profile, event, room) ? room : NULL;
}

bool pmf_view_row_ratio(const struct pmf_table *t, const struct pmf_table_view *v,
	const struct pmf_ratio *r, size_t row, double *out, bool *few)
{
	double (*get)(const struct pmf_table *, size_t, size_t) =
		v->by_total ? pmf_table_total : pmf_table_self;
	uint64_t (*samples)(const struct pmf_table *, size_t, size_t) =
		v->by_total ? pmf_table_samples_total : pmf_table_samples_self;
	double den = get(t, r->den, row);
	uint64_t a = samples(t, r->num, row), b = samples(t, r->den, row);

	*few = PMF_MIN(a, b) < FEW_SAMPLES;
	*out = den > 0 ? r->per * get(t, r->num, row) / den : 0;
	return a > 0 && b > 0;
}

/* What was counted and not sampled has no error of sampling. */
static bool has_error(const struct pmf_table *t, size_t event, size_t row)
{
	return pmf_table_samples_self(t, event, row) > 0 || pmf_table_self(t, event, row) <= 0;
}

/* ---- Text ---- */

void pmf_view_add_head(struct pmf_buf *out, const struct pmf_tree *t, size_t event)
{
	struct pmf_buf ledger = PMF_BUF_INIT;
	const char *at;

	pmf_tree_ledger(t, event, &ledger);
	at = pmf_buf_str(&ledger);
	for (size_t i = 0; *at; i++) {
		size_t len = strcspn(at, "\n");

		if (i == 0 || (i == 1 && pmf_tree_is_filtered(t)) ||
			strncmp(at, "warning:", 8) == 0) {
			pmf_text_add(out, at, len, PMF_TEXT_PLAIN);
			pmf_buf_addch(out, '\n');
		}
		at += len + (at[len] == '\n');
	}
	pmf_buf_release(&ledger);
}

static void text_head(
	FILE *f, const struct pmf_table *t, size_t event, const struct pmf_ratio *ratio)
{
	struct pmf_buf head = PMF_BUF_INIT;

	pmf_view_add_head(&head, t->tree, event);
	fputs(pmf_buf_str(&head), f);
	if (ratio)
		fprintf(f, "ratio: %s\n", ratio->name);
	fprintf(f, "%8s %7s %8s %10s %9s%s%s  %s\n", "self", "±", "total", "count", "samples",
		ratio ? "    ratio" : "",
		t->by == PMF_BY_MODULE || t->by == PMF_BY_PROCESS ? ""
		: t->by == PMF_BY_THREAD                          ? "  process         "
								  : "  module          ",
		by_names[t->by]);
	pmf_buf_release(&head);
}

/* Append @s, at most @columns wide (0: all of it), padded to that if @pad. */
static void add_text(struct pmf_buf *out, const char *s, size_t columns, bool pad)
{
	struct pmf_buf text = PMF_BUF_INIT;
	size_t start = out->len;

	if (columns)
		pmf_text_shorten(&text, s, columns);
	else
		pmf_buf_addstr(&text, s);
	pmf_text_add(out, pmf_buf_str(&text), text.len, PMF_TEXT_PLAIN);
	for (size_t n = pmf_text_columns(pmf_buf_str(out) + start); pad && n < columns; n++)
		pmf_buf_addch(out, ' ');
	pmf_buf_release(&text);
}

void pmf_table_add_name(struct pmf_buf *out, const struct pmf_table_row *row, enum pmf_table_by by,
	size_t module_columns, size_t columns)
{
	enum { NAME_LEAST = 20 };
	const char *slash = strrchr(row->file, '/');
	char *where = NULL;

	if (by != PMF_BY_MODULE && by != PMF_BY_PROCESS) {
		add_text(out, row->module, module_columns, true);
		pmf_buf_addstr(out, "  ");
	}
	if (columns) {
		size_t used = pmf_text_columns(pmf_buf_str(out));

		columns = used + NAME_LEAST < columns ? columns - used : NAME_LEAST;
	}
	/* Python's names have theirs. */
	if (row->line && row->kind != PMF_FRAME_PYTHON)
		where = pmf_asprintf("%s (%s:%" PRIu32 ")", row->label,
			slash ? slash + 1 : row->file, row->line);
	add_text(out, where ? where : row->label, columns, false);
	free(where);
}

static void text_row(FILE *f, const struct pmf_table *t, const struct pmf_table_view *v,
	size_t event, const struct pmf_ratio *ratio, size_t row)
{
	const struct pmf_profile_event *ev = &t->tree->profile->events[event];
	double all = pmf_tree_total(t->tree, event, 0), self = pmf_table_self(t, event, row);
	double effective = pmf_tree_effective_samples(t->tree, event);
	bool few;
	char error[PMF_UNITS_MAX] = "-";
	char a[PMF_UNITS_MAX], b[PMF_UNITS_MAX], c[PMF_UNITS_MAX], d[PMF_UNITS_MAX];
	struct pmf_buf out = PMF_BUF_INIT;
	double value;

	if (has_error(t, event, row))
		snprintf(error, sizeof error, "%.2f",
			100 * pmf_share_error(all > 0 ? self / all : 0, effective));
	pmf_render_cost(ev, self, c);
	/* A µ takes two bytes and one column, and so does the heading's ±. */
	pmf_buf_printf(&out, "%8s %6s %8s %*s %9s", pmf_format_percent(a, self, all), error,
		pmf_format_percent(b, pmf_table_total(t, event, row), all),
		strstr(c, "µ") ? 11 : 10, c,
		pmf_format_count(d, pmf_table_samples_self(t, event, row)));
	if (ratio && pmf_view_row_ratio(t, v, ratio, row, &value, &few))
		pmf_buf_printf(&out, " %s%7.3g", few ? "~" : " ", value);
	else if (ratio)
		pmf_buf_printf(&out, " %8s", "-");
	pmf_buf_addstr(&out, "  ");
	pmf_table_add_name(&out, &t->rows[row], t->by, MODULE_COLUMNS, v->columns);
	pmf_buf_addch(&out, '\n');
	fputs(pmf_buf_str(&out), f);
	pmf_buf_release(&out);
}

static void text_rest(FILE *f, const struct pmf_table *t, size_t event, const uint32_t *rows,
	size_t from, size_t n)
{
	double rest = 0;
	char a[PMF_UNITS_MAX];

	for (size_t i = from; i < n; i++)
		rest += pmf_table_self(t, event, rows[i]);
	if (from < n)
		fprintf(f, "%8s  in %zu more\n",
			pmf_format_percent(a, rest, pmf_tree_total(t->tree, event, 0)), n - from);
}

static void render_text(FILE *f, const struct pmf_table *t, const struct pmf_table_view *v)
{
	bool first = true;

	for (size_t e = 0; e < t->tree->profile->nr_events; e++) {
		struct pmf_ratio room;
		const struct pmf_ratio *ratio;
		uint32_t *rows;
		size_t n, shown;

		if (!pmf_view_wants(v, e))
			continue;
		if (!first)
			fputc('\n', f);
		first = false;
		ratio = pmf_view_ratio(t, v, e, &room);
		rows = pmf_table_order(t, e, v->by_total, &n);
		shown = pmf_view_rows(v, n);
		text_head(f, t, e, ratio);
		for (size_t i = 0; i < shown; i++)
			text_row(f, t, v, e, ratio, rows[i]);
		text_rest(f, t, e, rows, shown, n);
		free(rows);
	}
}

/* ---- CSV (RFC 4180) and JSON ---- */

static void add_quoted(struct pmf_buf *out, const char *s)
{
	struct pmf_buf plain = PMF_BUF_INIT;

	pmf_text_add(&plain, s, strlen(s), PMF_TEXT_PLAIN);
	pmf_buf_addch(out, '"');
	for (const char *c = pmf_buf_str(&plain); *c; c++) {
		if (*c == '"')
			pmf_buf_addch(out, '"');
		pmf_buf_addch(out, *c);
	}
	pmf_buf_addch(out, '"');
	pmf_buf_release(&plain);
}

/* One field of a row, and its comma. */
static void add_number(struct pmf_buf *out, bool json, const char *key, double value, bool known)
{
	if (json)
		pmf_buf_printf(out, "\"%s\":", key);
	if (known)
		pmf_buf_printf(out, "%.15g,", value);
	else
		pmf_buf_addstr(out, json ? "null," : ",");
}

static void add_string(struct pmf_buf *out, bool json, const char *key, const char *value)
{
	if (json) {
		pmf_buf_printf(out, "\"%s\":", key);
		pmf_json_string(out, value);
	} else {
		add_quoted(out, value);
	}
	pmf_buf_addch(out, ',');
}

static void add_row(struct pmf_buf *out, bool json, const struct pmf_table *t,
	const struct pmf_table_view *v, size_t e, const struct pmf_ratio *ratio, size_t row)
{
	const struct pmf_table_row *r = &t->rows[row];
	double all = pmf_tree_total(t->tree, e, 0), value = 0;
	double effective = pmf_tree_effective_samples(t->tree, e);
	double self = pmf_table_self(t, e, row), total = pmf_table_total(t, e, row);
	double self_share = all > 0 ? self / all : 0, total_share = all > 0 ? total / all : 0;
	bool few, known = ratio && pmf_view_row_ratio(t, v, ratio, row, &value, &few);

	add_string(out, json, "name", r->name);
	add_string(out, json, "kind", pmf_frame_kind_name(r->kind));
	add_string(out, json, "module", r->module);
	add_string(out, json, "file", r->file);
	add_number(out, json, "line", r->line, r->line > 0);
	add_number(out, json, "self", self, true);
	add_number(out, json, "self_share", self_share, true);
	add_number(out, json, "self_error", pmf_share_error(self_share, effective),
		has_error(t, e, row));
	add_number(out, json, "total", total, true);
	add_number(out, json, "total_share", total_share, true);
	add_number(out, json, "total_error", pmf_share_error(total_share, effective), true);
	add_number(out, json, "samples_self", (double)pmf_table_samples_self(t, e, row), true);
	add_number(out, json, "samples_total", (double)pmf_table_samples_total(t, e, row), true);
	add_number(out, json, "ratio", value, known);
	add_number(out, json, "start_line", r->start_line, r->start_line > 0);
	out->len--; /* the last comma */
}

static void render_csv(FILE *f, const struct pmf_table *t, const struct pmf_table_view *v)
{
	fputs("event,unit,name,kind,module,file,line,self,self_share,self_error,total,total_share,"
	      "total_error,samples_self,samples_total,ratio,start_line\r\n",
		f);
	for (size_t e = 0; e < t->tree->profile->nr_events; e++) {
		const struct pmf_profile_event *ev = &t->tree->profile->events[e];
		struct pmf_ratio room;
		const struct pmf_ratio *ratio = pmf_view_ratio(t, v, e, &room);
		size_t n = 0;
		uint32_t *rows =
			pmf_view_wants(v, e) ? pmf_table_order(t, e, v->by_total, &n) : NULL;

		for (size_t i = 0; i < pmf_view_rows(v, n); i++) {
			struct pmf_buf out = PMF_BUF_INIT;

			add_string(&out, false, NULL, pmf_profile_label(ev));
			add_string(&out, false, NULL, pmf_profile_unit(ev));
			add_row(&out, false, t, v, e, ratio, rows[i]);
			fwrite(out.data, 1, out.len, f);
			fputs("\r\n", f);
			pmf_buf_release(&out);
		}
		free(rows);
	}
}

static void json_event(
	struct pmf_buf *out, const struct pmf_table *t, const struct pmf_table_view *v, size_t e)
{
	const struct pmf_profile_event *ev = &t->tree->profile->events[e];
	struct pmf_ratio room;
	const struct pmf_ratio *ratio = pmf_view_ratio(t, v, e, &room);
	uint32_t *rows;
	size_t n;

	pmf_buf_addch(out, '{');
	add_string(out, true, "event", pmf_profile_label(ev));
	add_string(out, true, "unit", pmf_profile_unit(ev));
	add_number(out, true, "shown", pmf_tree_total(t->tree, e, 0), true);
	add_number(out, true, "whole", t->tree->whole[e], true);
	add_number(out, true, "samples", (double)pmf_tree_samples(t->tree, e, 0), true);
	add_number(out, true, "effective_samples", pmf_tree_effective_samples(t->tree, e), true);
	if (ratio)
		add_string(out, true, "ratio", ratio->name);
	else
		pmf_buf_addstr(out, "\"ratio\":null,");
	pmf_buf_addstr(out, "\"rows\":[");
	rows = pmf_table_order(t, e, v->by_total, &n);
	for (size_t i = 0; i < pmf_view_rows(v, n); i++) {
		pmf_buf_addstr(out, i ? ",\n{" : "\n{");
		add_row(out, true, t, v, e, ratio, rows[i]);
		pmf_buf_addch(out, '}');
	}
	pmf_buf_addstr(out, "]}");
	free(rows);
}

static void render_json(FILE *f, const struct pmf_table *t, const struct pmf_table_view *v)
{
	struct pmf_buf out = PMF_BUF_INIT;
	bool first = true;

	pmf_buf_printf(&out, "{\"schema\":1,\"by\":\"%s\",\"sort\":\"%s\",\"events\":[",
		by_names[t->by], v->by_total ? "total" : "self");
	for (size_t e = 0; e < t->tree->profile->nr_events; e++) {
		if (!pmf_view_wants(v, e))
			continue;
		pmf_buf_addstr(&out, first ? "\n" : ",\n");
		json_event(&out, t, v, e);
		first = false;
	}
	pmf_buf_addstr(&out, "]}\n");
	fwrite(out.data, 1, out.len, f);
	pmf_buf_release(&out);
}

static bool wants_several(const struct pmf_table *t, const struct pmf_table_view *v)
{
	size_t n = 0;

	for (size_t e = 0; e < t->tree->profile->nr_events; e++)
		n += pmf_view_wants(v, e);
	return n > 1;
}

void pmf_render_table(FILE *f, const struct pmf_table *t, const struct pmf_table_view *v)
{
	switch (v->form) {
	case PMF_TABLE_TEXT:
		if (t->by == PMF_BY_LINE && wants_several(t, v))
			pmf_render_lines(f, t, v);
		else
			render_text(f, t, v);
		break;
	case PMF_TABLE_CSV:
		render_csv(f, t, v);
		break;
	case PMF_TABLE_JSON:
		render_json(f, t, v);
		break;
	}
}
