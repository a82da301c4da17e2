/* Source lines with every counter's costs beside them, for people and for programs. */
#include "pmuflame/units.h"
#include "render_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	WHOLE_LINES = 200, /* longer functions are shown around their costs only */
	CONTEXT = 5,
	NUMBER_COLUMNS = 8,
	SELF_COLUMNS = 14, /* of an event */
	BOTH_COLUMNS = 18,
	CODE_LEAST = 40,
};

/* One function, and how it is shown. */
struct listing {
	const struct pmf_annotation *a;
	const struct pmf_annotation_view *v;
	const struct pmf_table_row *func;
	uint32_t row;    /* that one's, in a->funcs */
	uint32_t *costs; /* rows of a->lines with a line, by line */
	size_t nr_costs;
	uint32_t *places; /* all of them; costs point into it */
	size_t nr_places;
	const struct pmf_code_text *text;
	uint32_t first, last; /* of the lines that may be shown, as far as there is text */
	size_t context;       /* SIZE_MAX: all of these */
};

static uint32_t line_of(const struct listing *l, size_t cost)
{
	return l->a->lines->rows[l->costs[cost]].line;
}

static void listing_init(struct listing *l, const struct pmf_annotation *a,
	const struct pmf_annotation_view *v, uint32_t row)
{
	size_t before;

	*l = (struct listing){.a = a, .v = v, .func = &a->funcs->rows[row], .row = row};
	l->places = pmf_table_lines(a->lines, l->func, &l->nr_places);
	l->costs = l->places;
	l->nr_costs = l->nr_places;
	while (l->nr_costs && line_of(l, 0) == 0) {
		l->costs++;
		l->nr_costs--;
	}
	l->text = a->code.get(a->code.ctx, l->func->file);
	if (l->nr_costs == 0)
		return;
	l->context = v->context;
	l->first = line_of(l, 0);
	l->last = line_of(l, l->nr_costs - 1);
	before = l->func->start_line && l->func->start_line <= l->first
			 ? l->first - l->func->start_line
			 : CONTEXT;
	if (v->context == SIZE_MAX && before + (l->last - l->first) >= WHOLE_LINES)
		l->context = CONTEXT;
	if (l->context != SIZE_MAX)
		before = PMF_MAX(before, l->context);
	l->first -= (uint32_t)PMF_MIN(before, l->first - 1);
	l->last = (uint32_t)PMF_MIN(
		l->last + PMF_MIN(v->context == SIZE_MAX ? CONTEXT : v->context, UINT32_MAX),
		l->text->n);
}

/* The next line to show behind @line, the cost behind *@cost, if any; 0 behind the last. Lines that the
 * file does not have are those that cost something. */
static uint32_t next_line(const struct listing *l, uint32_t line, size_t *cost)
{
	while (*cost < l->nr_costs && line_of(l, *cost) <= line)
		++*cost;
	if (line == UINT32_MAX)
		return 0;
	for (line = PMF_MAX(line + 1, l->first); line <= l->last; line++) {
		bool near = l->context == SIZE_MAX || line == l->func->start_line ||
			    (*cost < l->nr_costs && line_of(l, *cost) - line <= l->context) ||
			    (*cost > 0 && line - line_of(l, *cost - 1) <= l->context);

		if (near)
			return line;
	}
	return *cost < l->nr_costs ? line_of(l, *cost) : 0;
}

static const char *code_of(const struct listing *l, uint32_t line)
{
	return line <= l->text->n ? l->text->lines[line - 1] : NULL;
}

void pmf_code_note(struct pmf_buf *out, const struct pmf_code_text *text, uint32_t last)
{
	if (text->note)
		pmf_buf_addstr(out, text->note);
	if (text->path && last > text->n)
		pmf_buf_printf(out,
			"%s'%s' has %zu lines, and the profile line %" PRIu32
			": it is another version",
			out->len ? "; " : "", text->path, text->n, last);
}

static uint32_t last_line(const struct listing *l)
{
	return l->nr_costs ? line_of(l, l->nr_costs - 1) : 0;
}

/* ---- Text ---- */

static size_t event_columns(const struct listing *l)
{
	return l->v->self_only ? SELF_COLUMNS : BOTH_COLUMNS;
}

static void add_share(struct pmf_buf *out, const struct listing *l, double part, double whole)
{
	/* As perf's: what is worth a look, and what costs anything. */
	const char *colour = part >= 0.05 * whole    ? "\033[1;31m"
			     : part >= 0.005 * whole ? "\033[32m"
						     : "";
	int columns = l->v->self_only ? SELF_COLUMNS - 1 : BOTH_COLUMNS / 2 - 1;
	char text[PMF_UNITS_MAX] = "";

	if (part > 0)
		pmf_format_percent(text, part, whole);
	if (part > 0 && l->v->colours && *colour)
		pmf_buf_printf(out, " %s%*s\033[m", colour, columns, text);
	else
		pmf_buf_printf(out, " %*s", columns, text);
}

static void add_shares(
	struct pmf_buf *out, const struct listing *l, const struct pmf_table *t, uint32_t row)
{
	for (size_t e = 0; e < t->tree->profile->nr_events; e++) {
		double all = pmf_tree_total(t->tree, e, 0);

		if (l->v->events && !l->v->events[e])
			continue;
		add_share(out, l, pmf_table_self(t, e, row), all);
		if (!l->v->self_only)
			add_share(out, l, pmf_table_total(t, e, row), all);
	}
}

static void add_title(struct pmf_buf *out, const struct listing *l)
{
	struct pmf_buf notes = PMF_BUF_INIT;

	pmf_buf_addclean(out, l->func->name, '?');
	pmf_buf_addstr(out, "  ");
	pmf_buf_addclean(out, l->text->path ? l->text->path : l->func->file, '?');
	if (l->func->start_line)
		pmf_buf_printf(out, ":%" PRIu32, l->func->start_line);
	pmf_buf_addch(out, '\n');
	pmf_code_note(&notes, l->text, last_line(l));
	if (notes.len) {
		pmf_buf_addstr(out, "warning: ");
		pmf_buf_addclean(out, pmf_buf_str(&notes), '?');
		pmf_buf_addch(out, '\n');
	}
	pmf_buf_release(&notes);
}

static void add_heads(struct pmf_buf *out, const struct listing *l)
{
	const struct pmf_profile *p = l->a->funcs->tree->profile;
	size_t columns = event_columns(l), n = 0;

	for (size_t e = 0; e < p->nr_events; e++) {
		struct pmf_buf label = PMF_BUF_INIT;

		if (l->v->events && !l->v->events[e])
			continue;
		n++;
		pmf_text_shorten(&label, pmf_profile_label(&p->events[e]), columns - 1);
		for (size_t k = pmf_text_columns(pmf_buf_str(&label)); k < columns; k++)
			pmf_buf_addch(out, ' ');
		pmf_text_add(out, pmf_buf_str(&label), label.len, PMF_TEXT_PLAIN);
		pmf_buf_release(&label);
	}
	pmf_buf_addch(out, '\n');
	while (n--)
		pmf_buf_addstr(out, l->v->self_only ? "          self" : "     self    total");
	pmf_buf_printf(out, "%*s\n", NUMBER_COLUMNS, "line");
}

/* A line of the listing: @number and @code, or a word and nothing. */
static void add_line(struct pmf_buf *out, const struct listing *l, const uint32_t *cost,
	const char *number, const char *code, size_t columns)
{
	size_t start = out->len;

	if (cost)
		add_shares(out, l, l->a->lines, *cost);
	else
		pmf_buf_printf(out, "%*s", (int)(columns - NUMBER_COLUMNS - 2), "");
	pmf_buf_printf(out, " %*s", NUMBER_COLUMNS - 1, number);
	if (code && *code) {
		size_t room = SIZE_MAX;

		if (l->v->columns)
			room = l->v->columns > columns + CODE_LEAST ? l->v->columns - columns
								    : CODE_LEAST;
		pmf_buf_addstr(out, "  ");
		pmf_text_add_code(out, code, room, PMF_TEXT_PLAIN);
	}
	while (out->len > start && out->data[out->len - 1] == ' ')
		out->len--;
	pmf_buf_addch(out, '\n');
}

static void add_listing(struct pmf_buf *out, const struct listing *l)
{
	size_t cost = 0, columns = NUMBER_COLUMNS + 2;
	uint32_t before = 0;

	for (size_t e = 0; e < l->a->funcs->tree->profile->nr_events; e++)
		columns += !l->v->events || l->v->events[e] ? event_columns(l) : 0;
	for (uint32_t line; (line = next_line(l, before, &cost)); before = line) {
		bool costs = cost < l->nr_costs && line_of(l, cost) == line;
		char number[16];

		if (before && line != before + 1)
			add_line(out, l, NULL, "…", NULL, columns + 2);
		snprintf(number, sizeof number, "%" PRIu32, line);
		add_line(out, l, costs ? &l->costs[cost] : NULL, number, code_of(l, line), columns);
	}
	for (size_t i = 0; &l->places[i] < l->costs; i++)
		add_line(out, l, &l->places[i], "-", "(of another file, or no line is known)",
			columns);
	add_shares(out, l, l->a->funcs, l->row);
	pmf_buf_printf(out, "%*s\n", NUMBER_COLUMNS, "all");
}

static void render_text(
	FILE *f, const struct pmf_annotation *a, const struct pmf_annotation_view *v)
{
	struct pmf_buf out = PMF_BUF_INIT;

	for (size_t e = 0; e < a->funcs->tree->profile->nr_events; e++)
		if (!v->events || v->events[e])
			pmf_view_add_head(&out, a->funcs->tree, e);
	for (size_t i = 0; i < a->nr_wanted; i++) {
		struct listing l;

		listing_init(&l, a, v, a->wanted[i]);
		pmf_buf_addch(&out, '\n');
		add_title(&out, &l);
		add_heads(&out, &l);
		add_listing(&out, &l);
		pmf_render_flush(&out, f, PMF_RENDER_CHUNK);
		free(l.places);
	}
	pmf_render_flush(&out, f, 0);
	pmf_buf_release(&out);
}

/* ---- JSON ---- */

static void json_costs(
	struct pmf_buf *out, const struct listing *l, const struct pmf_table *t, uint32_t row)
{
	bool first = true;

	pmf_json_array(out, "costs");
	for (size_t e = 0; e < t->tree->profile->nr_events; e++) {
		double all = pmf_tree_total(t->tree, e, 0);
		double self = pmf_table_self(t, e, row), total = pmf_table_total(t, e, row);

		if (l->v->events && !l->v->events[e])
			continue;
		pmf_buf_printf(out,
			"%s{\"self\":%.15g,\"self_share\":%.15g,\"total\":%.15g,\"total_share\":%.15g,"
			"\"samples_self\":%" PRIu64 ",\"samples_total\":%" PRIu64 "}",
			first ? "" : ",", self, all > 0 ? self / all : 0, total,
			all > 0 ? total / all : 0, pmf_table_samples_self(t, e, row),
			pmf_table_samples_total(t, e, row));
		first = false;
	}
	pmf_buf_addch(out, ']');
}

static void json_line(
	struct pmf_buf *out, const struct listing *l, uint32_t line, const uint32_t *cost)
{
	const char *code = line ? code_of(l, line) : NULL;

	pmf_buf_addch(out, '{');
	pmf_json_field(out, "line");
	pmf_buf_printf(out, line ? "%" PRIu32 : "null", line);
	pmf_json_field(out, "text");
	if (code) {
		pmf_buf_addch(out, '"');
		pmf_text_add_code(out, code, SIZE_MAX, PMF_TEXT_JSON);
		pmf_buf_addch(out, '"');
	} else {
		pmf_buf_addstr(out, "null");
	}
	if (cost)
		json_costs(out, l, l->a->lines, *cost);
	pmf_buf_addch(out, '}');
}

static void json_function(struct pmf_buf *out, const struct listing *l)
{
	struct pmf_buf notes = PMF_BUF_INIT;
	size_t cost = 0, n = 0;

	pmf_buf_addch(out, '{');
	pmf_json_field(out, "name");
	pmf_json_string(out, l->func->name);
	pmf_json_field(out, "file");
	pmf_json_string(out, l->func->file);
	pmf_json_field(out, "start_line");
	pmf_buf_printf(out, l->func->start_line ? "%" PRIu32 : "null", l->func->start_line);
	pmf_json_field(out, "source");
	if (l->text->path)
		pmf_json_string(out, l->text->path);
	else
		pmf_buf_addstr(out, "null");
	pmf_code_note(&notes, l->text, last_line(l));
	pmf_json_field(out, "note");
	if (notes.len)
		pmf_json_string(out, pmf_buf_str(&notes));
	else
		pmf_buf_addstr(out, "null");
	json_costs(out, l, l->a->funcs, l->row);
	pmf_json_array(out, "lines");
	for (size_t i = 0; &l->places[i] < l->costs; i++) {
		pmf_json_comma(out, n++);
		json_line(out, l, 0, &l->places[i]);
	}
	for (uint32_t line = 0; (line = next_line(l, line, &cost));) {
		pmf_json_comma(out, n++);
		json_line(out, l, line,
			cost < l->nr_costs && line_of(l, cost) == line ? &l->costs[cost] : NULL);
	}
	pmf_buf_addstr(out, "]}");
	pmf_buf_release(&notes);
}

static void render_json(
	FILE *f, const struct pmf_annotation *a, const struct pmf_annotation_view *v)
{
	const struct pmf_profile *p = a->funcs->tree->profile;
	struct pmf_buf out = PMF_BUF_INIT;
	size_t n = 0;

	pmf_buf_addstr(&out, "{\"schema\":1");
	pmf_json_array(&out, "events");
	for (size_t e = 0; e < p->nr_events; e++) {
		if (v->events && !v->events[e])
			continue;
		pmf_buf_addstr(&out, n++ ? ",{" : "{");
		pmf_json_field(&out, "event");
		pmf_json_string(&out, pmf_profile_label(&p->events[e]));
		pmf_json_field(&out, "unit");
		pmf_json_string(&out, pmf_profile_unit(&p->events[e]));
		pmf_buf_printf(&out, ",\"shown\":%.15g,\"whole\":%.15g}",
			pmf_tree_total(a->funcs->tree, e, 0), a->funcs->tree->whole[e]);
	}
	pmf_buf_addch(&out, ']');
	pmf_json_array(&out, "functions");
	for (size_t i = 0; i < a->nr_wanted; i++) {
		struct listing l;

		listing_init(&l, a, v, a->wanted[i]);
		pmf_json_comma(&out, i);
		json_function(&out, &l);
		pmf_render_flush(&out, f, PMF_RENDER_CHUNK);
		free(l.places);
	}
	pmf_buf_addstr(&out, "]}\n");
	pmf_render_flush(&out, f, 0);
	pmf_buf_release(&out);
}

void pmf_render_annotation(
	FILE *f, const struct pmf_annotation *a, const struct pmf_annotation_view *v)
{
	if (v->form == PMF_TABLE_JSON)
		render_json(f, a, v);
	else
		render_text(f, a, v);
}
