/* The text of the report's source lines: those that cost the most, with a few around each, as many as a
 * page may well hold. */
#include "render_html_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The columns bound the text of a generated line, which may be megabytes long. */
enum { MAX_LINES = 2000, AROUND = 5, COLUMNS = 400 };

struct place {
	uint32_t file, line;
};

/* The lines to show, and line 0 of files that cannot be shown, so that the page says why. */
struct places {
	const struct pmf_tree *tree; /* by line */
	const struct pmf_code_reader *code;
	struct place *items;
	size_t n, cap, nr_lines;
	struct pmf_index index;
};

static bool place_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct place *a = &((const struct places *)ctx)->items[value], *b = key;

	return a->file == b->file && a->line == b->line;
}

static void add_place(struct places *to, uint32_t file, uint32_t line)
{
	struct place at = {file, line};
	uint64_t hash = pmf_hash_u64((uint64_t)file << 32 | line);

	if ((line && to->nr_lines == MAX_LINES) ||
		pmf_index_find(&to->index, hash, place_eq, to, &at) != UINT32_MAX)
		return;
	pmf_index_add(&to->index, hash, (uint32_t)to->n);
	PMF_PUSH(to->items, to->n, to->cap) = at;
	to->nr_lines += line > 0;
}

/* What a function of the tree costs at the most, of all events. */
struct candidate {
	uint32_t func;
	double share;
};

static int compare_candidates(const void *va, const void *vb)
{
	const struct candidate *a = va, *b = vb;

	if (a->share != b->share)
		return a->share < b->share ? 1 : -1;
	return (a->func > b->func) - (a->func < b->func);
}

static struct candidate *rank(const struct pmf_tree *lines)
{
	struct candidate *out = pmf_calloc(lines->nr_funcs, sizeof *out);
	struct pmf_func_cost *costs = pmf_calloc(lines->nr_funcs, sizeof *costs);

	for (size_t e = 0; e < lines->profile->nr_events; e++) {
		double all = pmf_tree_total(lines, e, 0);

		pmf_tree_costs(lines, e, false, costs);
		for (uint32_t f = 0; f < lines->nr_funcs; f++) {
			out[f].func = f;
			if (all > 0)
				out[f].share = PMF_MAX(out[f].share, costs[f].total / all);
		}
	}
	free(costs);
	qsort(out, lines->nr_funcs, sizeof *out, compare_candidates);
	return out;
}

/* By name: the numbers of strings are others in a profile that was loaded. */
static int compare_places(const void *va, const void *vb, void *ctx)
{
	const struct place *a = va, *b = vb;
	const struct pmf_tree *t = ctx;

	if (a->file != b->file)
		return strcmp(pmf_tree_string(t, a->file), pmf_tree_string(t, b->file));
	return (a->line > b->line) - (a->line < b->line);
}

static void choose(struct places *to)
{
	struct candidate *ranked = rank(to->tree);

	for (size_t i = 0; i < to->tree->nr_funcs; i++) {
		const struct pmf_func *f = &to->tree->funcs[ranked[i].func];
		uint32_t first = f->line > AROUND ? f->line - AROUND : 1;
		size_t lines;

		if (!f->line || !f->file || to->nr_lines == MAX_LINES)
			continue;
		lines = to->code->get(to->code->ctx, pmf_tree_string(to->tree, f->file))->n;
		add_place(to, f->file, f->line <= lines ? f->line : 0);
		for (uint32_t line = first; line <= lines && line - first <= 2 * AROUND; line++)
			add_place(to, f->file, line);
	}
	if (to->n)
		qsort_r(to->items, to->n, sizeof *to->items, compare_places,
			(void *)(uintptr_t)to->tree);
	free(ranked);
}

/* The last line of @file that costs something. */
static uint32_t last_line(const struct pmf_tree *lines, uint32_t file)
{
	uint32_t last = 0;

	for (size_t f = 0; f < lines->nr_funcs; f++)
		if (lines->funcs[f].file == file)
			last = PMF_MAX(last, lines->funcs[f].line);
	return last;
}

/* One file: what is wrong with it, and line numbers and texts by turns. */
static void add_file(
	struct pmf_buf *out, const struct places *all, const struct place *places, size_t n)
{
	const char *name = pmf_tree_string(all->tree, places->file);
	const struct pmf_code_text *text = all->code->get(all->code->ctx, name);
	struct pmf_buf note = PMF_BUF_INIT;
	size_t shown = 0;

	pmf_buf_addch(out, '{');
	pmf_json_field(out, "file");
	pmf_json_string(out, name);
	pmf_code_note(&note, text, last_line(all->tree, places->file));
	pmf_json_field(out, "note");
	pmf_json_string(out, pmf_buf_str(&note));
	pmf_json_array(out, "lines");
	for (size_t i = 0; i < n; i++) {
		if (!places[i].line)
			continue;
		pmf_json_comma(out, shown++);
		pmf_buf_printf(out, "%" PRIu32 ",\"", places[i].line);
		pmf_text_add_code(out, text->lines[places[i].line - 1], COLUMNS, PMF_TEXT_JSON);
		pmf_buf_addch(out, '"');
	}
	pmf_buf_addstr(out, "]}");
	pmf_buf_release(&note);
}

void pmf_html_add_code(
	struct pmf_buf *out, const struct pmf_tree *lines, const struct pmf_code_reader *code)
{
	struct places all = {.tree = lines, .code = code};
	size_t files = 0;

	pmf_index_init(&all.index);
	choose(&all);
	pmf_json_array(out, "code");
	for (size_t i = 0, n; i < all.n; i += n) {
		for (n = 1; i + n < all.n && all.items[i + n].file == all.items[i].file;)
			n++;
		pmf_json_comma(out, files++);
		add_file(out, &all, &all.items[i], n);
	}
	pmf_buf_addch(out, ']');
	pmf_index_release(&all.index);
	free(all.items);
}
