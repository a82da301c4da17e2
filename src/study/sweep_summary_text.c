/* summary.csv and summary.md, and all three files into a folder. */
#include "sweep_summary_priv.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static char *vary_text(const struct pmf_sweep_case *c)
{
	struct pmf_buf out = PMF_BUF_INIT;

	for (size_t i = 0; i < c->nr_vary; i++)
		pmf_buf_printf(&out, "%s%s", i ? ", " : "", c->vary[i]);
	return pmf_buf_detach(&out);
}

/* ---- CSV ---- */

static void csv_row(struct pmf_buf *out, const struct pmf_sweep_case *c, const char *vary,
	const struct sweep_row *row)
{
	const struct pmf_stats *s = &row->stats;
	const char *const texts[] = {
		c->target, vary, row->name, row->unit, sweep_row_kinds[row->kind]};
	const double numbers[] = {s->median, s->mean, s->low, s->high, s->sd, s->min, s->max};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(texts); i++) {
		pmf_buf_addcsv(out, texts[i]);
		pmf_buf_addch(out, ',');
	}
	pmf_buf_printf(out, "%zu,%s", s->n, row->paired ? "yes" : "no");
	for (size_t i = 0; i < PMF_ARRAY_SIZE(numbers); i++) {
		pmf_buf_addch(out, ',');
		if (isfinite(numbers[i]))
			pmf_buf_printf(out, "%.15g", numbers[i]);
	}
	pmf_buf_addstr(out, "\r\n");
}

void pmf_sweep_csv(const struct pmf_sweep_result *r, struct pmf_buf *out)
{
	pmf_buf_addstr(out, "target,vary,name,unit,kind,n,same_runs,median,mean,mean_low,mean_high,"
			    "sd,min,max\r\n");
	for (size_t i = 0; i < r->nr_cases; i++) {
		char *vary = vary_text(&r->cases[i]);
		size_t n;
		struct sweep_row *rows = sweep_rows(&r->cases[i], &n);

		for (size_t j = 0; j < n; j++)
			csv_row(out, &r->cases[i], vary, &rows[j]);
		sweep_rows_free(rows, n);
		free(vary);
	}
}

/* ---- Markdown ---- */

enum { COLUMNS_MAX = 4 };

/* A table of texts, whose columns are made as wide as their widest. */
struct cells {
	char **texts;
	size_t n, cap;
	size_t columns, width[COLUMNS_MAX];
};

/* Characters, for "±" and "µ" have two bytes. */
static size_t width_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

/* Takes @text over. */
static void add_cell(struct cells *t, char *text)
{
	size_t *width = &t->width[t->n % t->columns];

	*width = PMF_MAX(*width, width_of(text));
	PMF_PUSH(t->texts, t->n, t->cap) = text;
}

static void add_padding(struct pmf_buf *out, char c, size_t n)
{
	while (n-- > 0)
		pmf_buf_addch(out, c);
}

static void cells_print(const struct cells *t, struct pmf_buf *out)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t column = i % t->columns, pad = t->width[column] - width_of(t->texts[i]);

		pmf_buf_addstr(out, "| ");
		add_padding(out, ' ', column ? pad : 0);
		pmf_buf_addstr(out, t->texts[i]);
		add_padding(out, ' ', column ? 0 : pad);
		pmf_buf_addstr(out, column + 1 < t->columns ? " " : " |\n");
		if (i + 1 != t->columns)
			continue;
		for (column = 0; column < t->columns; column++) {
			pmf_buf_addstr(out, column ? "|-" : "|:");
			add_padding(out, '-', t->width[column]);
			pmf_buf_addch(out, column ? ':' : '-');
		}
		pmf_buf_addstr(out, "|\n");
	}
}

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* Is it @unit, or a ratio of @unit to another? */
static bool is_of(const char *whole, const char *unit)
{
	size_t len = strlen(unit);

	return begins(whole, unit) && (!whole[len] || whole[len] == '/');
}

/* @x of @unit as people read it. */
static char *number_text(double x, const char *unit)
{
	char text[PMF_UNITS_MAX];

	if (!isfinite(x))
		return pmf_strdup("");
	if (strcmp(unit, "%") == 0)
		return pmf_asprintf("%.2f%%", x);
	if (strcmp(unit, "GHz") == 0)
		return pmf_asprintf("%.3g GHz", x);
	if (is_of(unit, "s"))
		return number_text(x * 1e9, "ns");
	if (is_of(unit, "ns") && x < 1000)
		return pmf_asprintf("%.3g ns", x);
	if (is_of(unit, "ns") && x < 1e19)
		return pmf_strdup(pmf_format_ns(text, (uint64_t)x));
	return pmf_strdup(pmf_format_si(text, x));
}

/* How far from the mean its interval reaches. */
static char *spread_text(const struct pmf_stats *s)
{
	double half = 100 * (s->high - s->low) / 2 / s->mean;

	if (s->n > 1 && s->sd == 0)
		return pmf_strdup("all equal");
	if (!isfinite(half))
		return pmf_strdup("");
	return pmf_asprintf(half < 10 ? "±%.2g%%" : "±%.0f%%", half);
}

/* What quantity @row is per unit of work. */
static const struct sweep_row *per_work(
	const struct sweep_row *rows, size_t n, const struct sweep_row *row)
{
	size_t len = strlen(row->name);

	for (size_t i = 0; i < n && row->kind == SWEEP_ROW_QUANTITY; i++)
		if (rows[i].kind == SWEEP_ROW_PER_WORK && begins(rows[i].name, row->name) &&
			strrchr(rows[i].name, '/') == rows[i].name + len)
			return &rows[i];
	return NULL;
}

static char *name_text(const struct pmf_sweep_case *c, const struct sweep_row *row)
{
	bool is_work = row->kind == SWEEP_ROW_QUANTITY && strcmp(row->name, PMF_SWEEP_WORK) == 0;
	struct pmf_buf out = PMF_BUF_INIT;

	pmf_buf_addmarkdown(&out, is_work && c->units ? c->units : row->name);
	pmf_buf_addstr(&out, row->paired ? "" : " \\*");
	return pmf_buf_detach(&out);
}

static char *per_text(const char *unit)
{
	struct pmf_buf out = PMF_BUF_INIT;

	pmf_buf_addstr(&out, "per ");
	pmf_buf_addmarkdown(&out, unit);
	return pmf_buf_detach(&out);
}

static void case_table(const struct pmf_sweep_case *c, struct pmf_buf *out)
{
	struct cells t = {.columns = c->unit ? COLUMNS_MAX : COLUMNS_MAX - 1};
	struct sweep_row *rows;
	bool apart = false;
	size_t n;

	rows = sweep_rows(c, &n);
	add_cell(&t, pmf_strdup(""));
	add_cell(&t, pmf_strdup("median"));
	add_cell(&t, pmf_strdup("±"));
	if (c->unit)
		add_cell(&t, per_text(c->unit));
	for (size_t i = 0; i < n; i++) {
		const struct sweep_row *row = &rows[i], *per = per_work(rows, n, row);

		if (row->kind == SWEEP_ROW_PER_WORK)
			continue;
		add_cell(&t, name_text(c, row));
		add_cell(&t, number_text(row->stats.median, row->unit));
		add_cell(&t, spread_text(&row->stats));
		if (c->unit)
			add_cell(&t,
				per ? number_text(per->stats.median, per->unit) : pmf_strdup(""));
		apart = apart || !row->paired;
	}
	cells_print(&t, out);
	if (apart)
		pmf_buf_addstr(out, "\n\\* The two were counted in different runs: the ratio of "
				    "their medians.\n");
	for (size_t i = 0; i < t.n; i++)
		free(t.texts[i]);
	free(t.texts);
	sweep_rows_free(rows, n);
}

static void add_case(struct pmf_buf *out, const struct pmf_sweep_case *c)
{
	const struct pmf_sweep_value *v = sweep_find(c, PMF_SWEEP_SECONDS, NULL);
	char *vary = vary_text(c);

	pmf_buf_addstr(out, "\n### ");
	pmf_buf_addmarkdown(out, c->target);
	if (*vary) {
		pmf_buf_addstr(out, ": ");
		pmf_buf_addmarkdown(out, vary);
	}
	pmf_buf_addstr(out, "\n\n");
	if (c->nr_failed)
		pmf_buf_printf(
			out, "%zu run%s failed.\n\n", c->nr_failed, c->nr_failed == 1 ? "" : "s");
	if (v)
		case_table(c, out);
	free(vary);
}

static void add_skipped(struct pmf_buf *out, const struct pmf_sweep_result *r, size_t i)
{
	struct pmf_buf names = PMF_BUF_INIT;

	if (pmf_sweep_skipped_alike(r, i, &names)) {
		pmf_buf_addstr(out, i || r->nr_notes ? "- not counted: " : "\n- not counted: ");
		pmf_buf_addmarkdown(out, pmf_buf_str(&names));
		pmf_buf_addstr(out, ": ");
		pmf_buf_addmarkdown(out, r->skipped[i].why);
		pmf_buf_addch(out, '\n');
	}
	pmf_buf_release(&names);
}

void pmf_sweep_markdown(const struct pmf_sweep_result *r, struct pmf_buf *out)
{
	pmf_buf_printf(out, "## Counters: %zu run%s of %zu pass%s\n\n", r->repeats,
		r->repeats == 1 ? "" : "s", r->passes, r->passes == 1 ? "" : "es");
	pmf_buf_addmarkdown(out, r->host ? r->host : "");
	pmf_buf_addstr(out, ". ± is the mean's interval at 95%.\n");
	for (size_t i = 0; i < r->nr_cases; i++)
		add_case(out, &r->cases[i]);
	for (size_t i = 0; i < r->nr_notes; i++) {
		pmf_buf_addstr(out, i ? "- " : "\n- ");
		pmf_buf_addmarkdown(out, r->notes[i]);
		pmf_buf_addch(out, '\n');
	}
	for (size_t i = 0; i < r->nr_skipped; i++)
		add_skipped(out, r, i);
}

/* ---- Files ---- */

int pmf_sweep_save(const struct pmf_sweep_result *r, const char *folder, struct pmf_err *err)
{
	static const struct {
		const char *name;
		void (*add)(const struct pmf_sweep_result *r, struct pmf_buf *out);
	} files[] = {{"json", pmf_sweep_json}, {"csv", pmf_sweep_csv}, {"md", pmf_sweep_markdown}};
	int ret = 0;

	for (size_t i = 0; i < PMF_ARRAY_SIZE(files) && ret == 0; i++) {
		char *path = pmf_asprintf("%s/summary.%s", folder, files[i].name);
		struct pmf_buf out = PMF_BUF_INIT;
		struct pmf_outfile of;

		ret = pmf_outfile_open(&of, path, err);
		if (ret == 0) {
			files[i].add(r, &out);
			fwrite(out.data, 1, out.len, of.f);
			ret = pmf_outfile_commit(&of, err);
		}
		pmf_buf_release(&out);
		free(path);
	}
	return ret;
}
