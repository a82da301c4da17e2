/* Costs by function, line, module, thread or process: a walk over the tree with a counter per row
 * of how often it is on the path, so that recursion counts once. */
#include "pmuflame/table.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NO_ROW = UINT32_MAX };

void pmf_table_needs(enum pmf_table_by by, struct pmf_tree_opts *opts)
{
	opts->lines = by == PMF_BY_LINE || by == PMF_BY_SOURCE || by == PMF_BY_SOURCE_LINE;
	opts->threads = by == PMF_BY_THREAD;
}

/* A Python function's label without the line: "name (file.py:12)" → "name (file.py)". */
static const char *without_line(struct pmf_table *t, const char *name)
{
	size_t len = strlen(name), end;
	char *cut;

	if (len < 3 || name[len - 1] != ')')
		return name;
	end = len - 1;
	while (end > 0 && isdigit((unsigned char)name[end - 1]))
		end--;
	if (end == len - 1 || end == 0 || name[end - 1] != ':')
		return name;
	cut = pmf_arena_strndup(&t->names, name, end);
	cut[end - 1] = ')';
	return cut;
}

static struct pmf_table_row row_of(struct pmf_table *t, const struct pmf_func *fn)
{
	const struct pmf_strtab *strs = &t->tree->profile->strings;
	struct pmf_table_row row = {.kind = fn->kind,
		.name = pmf_tree_string(t->tree, fn->name),
		.label = pmf_tree_string(t->tree, fn->label),
		.module = pmf_strtab_get(strs, fn->module),
		.file = pmf_strtab_get(strs, fn->file),
		.start_line = fn->start_line,
		.line = fn->line};

	if (t->by != PMF_BY_LINE && fn->kind == PMF_FRAME_PYTHON) {
		row.name = without_line(t, row.name);
		row.label = without_line(t, row.label);
	}
	if (t->by == PMF_BY_SOURCE)
		row.line = 0;
	if (t->by == PMF_BY_MODULE && pmf_frame_is_code(fn->kind)) {
		row = (struct pmf_table_row){.kind = fn->kind, .name = row.module};
		row.label = "";
		row.module = row.file = "";
		if (row.kind == PMF_FRAME_INLINED)
			row.kind = PMF_FRAME_NATIVE;
		if (!*row.name)
			row.name = row.kind == PMF_FRAME_JIT ? "[generated code]" : "[unknown]";
	}
	if (!*row.name)
		row.name = "[unknown]";
	if (!*row.label)
		row.label = row.name;
	return row;
}

/* What tells @row from others: the rest of it is empty. */
static struct pmf_table_row key_of(enum pmf_table_by by, const struct pmf_table_row *row)
{
	struct pmf_table_row key = *row;
	bool of_source = by == PMF_BY_SOURCE || by == PMF_BY_SOURCE_LINE;

	if (!*row->file || !(of_source || (by == PMF_BY_LINE && row->line)))
		return key;
	key.kind = PMF_FRAME_ROOT;
	key.module = "";
	if (!of_source) {
		key.name = "";
		key.start_line = 0;
	}
	return key;
}

static bool row_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_table *t = ctx;
	struct pmf_table_row a = key_of(t->by, &t->rows[value]);
	const struct pmf_table_row *b = key;

	return a.kind == b->kind && a.line == b->line && a.start_line == b->start_line &&
	       strcmp(a.name, b->name) == 0 && strcmp(a.module, b->module) == 0 &&
	       strcmp(a.file, b->file) == 0;
}

static uint64_t row_hash(const struct pmf_table_row *r)
{
	uint64_t h = pmf_hash_bytes(r->name, strlen(r->name));

	h = pmf_hash_u64(h ^ pmf_hash_bytes(r->module, strlen(r->module)));
	h = pmf_hash_u64(h ^ pmf_hash_bytes(r->file, strlen(r->file)) ^ r->start_line);
	return pmf_hash_u64(h ^ ((uint64_t)r->line << 8 | r->kind));
}

static const char others[] = " and others";

static const char *with_others(struct pmf_table *t, const char *name)
{
	size_t len = strlen(name), n = strlen(others);
	char *longer = pmf_asprintf("%s%s", name, others);

	name = pmf_arena_strndup(&t->names, longer, len + n);
	free(longer);
	return name;
}

/* @more has the key of @row, too: a line of several functions, or a function of several modules. */
static void join_row(
	struct pmf_table *t, struct pmf_table_row *row, const struct pmf_table_row *more)
{
	size_t len = strlen(row->name), cut = strlen(others);

	if (strcmp(row->module, more->module) != 0)
		row->module = "[several]";
	if (strcmp(row->name, more->name) == 0 ||
		(len > cut && strcmp(row->name + len - cut, others) == 0))
		return;
	row->name = with_others(t, row->name);
	row->label = with_others(t, row->label);
}

/* May functions of this kind have a row? */
static bool has_row(enum pmf_table_by by, enum pmf_frame_kind kind)
{
	switch (by) {
	case PMF_BY_THREAD:
		return kind == PMF_FRAME_THREAD || kind == PMF_FRAME_PROCESS ||
		       kind == PMF_FRAME_ROOT;
	case PMF_BY_PROCESS:
		return kind == PMF_FRAME_PROCESS || kind == PMF_FRAME_ROOT;
	default:
		return true;
	}
}

static uint32_t *rows_of_funcs(struct pmf_table *t)
{
	uint32_t *rows = pmf_calloc(t->tree->nr_funcs, sizeof *rows);
	struct pmf_index index;

	pmf_index_init(&index);
	for (size_t f = 0; f < t->tree->nr_funcs; f++) {
		struct pmf_table_row row, key;
		uint64_t hash;

		rows[f] = NO_ROW;
		if (!has_row(t->by, t->tree->funcs[f].kind))
			continue;
		row = row_of(t, &t->tree->funcs[f]);
		key = key_of(t->by, &row);
		hash = row_hash(&key);
		rows[f] = pmf_index_find(&index, hash, row_eq, t, &key);
		if (rows[f] != UINT32_MAX) {
			join_row(t, &t->rows[rows[f]], &row);
			continue;
		}
		rows[f] = (uint32_t)t->n;
		PMF_PUSH(t->rows, t->n, t->cap) = row;
		pmf_index_add(&index, hash, rows[f]);
	}
	pmf_index_release(&index);
	return rows;
}

/* Where the walk stands: a function's row, and the one that pays for what is sampled there. */
struct step {
	uint32_t row, payer;
};

static void add_node(struct pmf_table *t, uint32_t node, const struct step *at, bool outermost)
{
	const struct pmf_tree *tree = t->tree;

	for (size_t e = 0; e < tree->profile->nr_events; e++) {
		size_t column = e * t->n;

		t->self[column + at->payer] += pmf_tree_self(tree, e, node);
		t->samples_self[column + at->payer] += pmf_tree_samples_self(tree, e, node);
		if (!outermost)
			continue;
		t->total[column + at->row] += pmf_tree_total(tree, e, node);
		t->samples_total[column + at->row] += pmf_tree_samples(tree, e, node);
	}
}

static void add_up(struct pmf_table *t, const uint32_t *rows)
{
	const struct pmf_tree *tree = t->tree;
	uint32_t *open = pmf_calloc(t->n, sizeof *open);
	struct step *path = pmf_calloc((size_t)tree->max_depth + 1, sizeof *path);
	size_t depth = 0;

	for (uint32_t i = 0; i < tree->nr_nodes; i++) {
		uint32_t row = rows[tree->nodes[i].func];

		for (; depth > tree->nodes[i].depth; depth--)
			if (path[depth - 1].row != NO_ROW)
				open[path[depth - 1].row]--;
		/* The root always has a row, so there is always a payer. */
		path[depth].row = row;
		path[depth].payer = row != NO_ROW ? row : path[depth - 1].payer;
		add_node(t, i, &path[depth], row != NO_ROW && open[row]++ == 0);
		depth++;
	}
	free(open);
	free(path);
}

/* Threads and processes own what is below them: all of it, but what is another one's. */
static void own_all(struct pmf_table *t)
{
	size_t places = t->n * t->tree->profile->nr_events;

	if (t->by != PMF_BY_THREAD && t->by != PMF_BY_PROCESS)
		return;
	memcpy(t->total, t->self, places * sizeof *t->total);
	memcpy(t->samples_total, t->samples_self, places * sizeof *t->samples_total);
}

/* The process of each thread; of threads that bear one name in several, none. */
static void name_processes(struct pmf_table *t, const uint32_t *rows)
{
	const struct pmf_tree *tree = t->tree;

	for (uint32_t i = 0; i < tree->nr_nodes && t->by == PMF_BY_THREAD; i++) {
		const struct pmf_tree_node *n = &tree->nodes[i];
		struct pmf_table_row *row;
		const char *process;

		if (tree->funcs[n->func].kind != PMF_FRAME_THREAD || n->parent == UINT32_MAX ||
			rows[tree->nodes[n->parent].func] == NO_ROW)
			continue;
		row = &t->rows[rows[n->func]];
		process = t->rows[rows[tree->nodes[n->parent].func]].name;
		row->module =
			*row->module && strcmp(row->module, process) != 0 ? "[several]" : process;
	}
}

void pmf_table_build(struct pmf_table *t, const struct pmf_tree *tree, enum pmf_table_by by)
{
	size_t places;
	uint32_t *rows;

	memset(t, 0, sizeof *t);
	t->tree = tree;
	t->by = by;
	pmf_arena_init(&t->names);
	rows = rows_of_funcs(t);
	places = t->n * tree->profile->nr_events;
	t->self = pmf_calloc(places, sizeof *t->self);
	t->total = pmf_calloc(places, sizeof *t->total);
	t->samples_self = pmf_calloc(places, sizeof *t->samples_self);
	t->samples_total = pmf_calloc(places, sizeof *t->samples_total);
	add_up(t, rows);
	own_all(t);
	name_processes(t, rows);
	free(rows);
}

void pmf_table_release(struct pmf_table *t)
{
	free(t->rows);
	free(t->self);
	free(t->total);
	free(t->samples_self);
	free(t->samples_total);
	pmf_arena_release(&t->names);
	memset(t, 0, sizeof *t);
}

double pmf_table_self(const struct pmf_table *t, size_t event, size_t row)
{
	return t->self[event * t->n + row];
}

double pmf_table_total(const struct pmf_table *t, size_t event, size_t row)
{
	return t->total[event * t->n + row];
}

uint64_t pmf_table_samples_self(const struct pmf_table *t, size_t event, size_t row)
{
	return t->samples_self[event * t->n + row];
}

uint64_t pmf_table_samples_total(const struct pmf_table *t, size_t event, size_t row)
{
	return t->samples_total[event * t->n + row];
}

struct order {
	const double *first, *second;
};

static int compare_rows(const void *va, const void *vb, void *ctx)
{
	uint32_t a = *(const uint32_t *)va, b = *(const uint32_t *)vb;
	const struct order *o = ctx;

	if (o->first[a] != o->first[b])
		return o->first[a] < o->first[b] ? 1 : -1;
	if (o->second[a] != o->second[b])
		return o->second[a] < o->second[b] ? 1 : -1;
	return (a > b) - (a < b);
}

uint32_t *pmf_table_order(const struct pmf_table *t, size_t event, bool by_total, size_t *n)
{
	const double *self = t->self + event * t->n, *total = t->total + event * t->n;
	struct order o = {by_total ? total : self, by_total ? self : total};
	uint32_t *rows = pmf_calloc(t->n, sizeof *rows);

	*n = 0;
	for (uint32_t i = 0; i < t->n; i++)
		if (self[i] > 0 || (total[i] > 0 && pmf_frame_is_code(t->rows[i].kind)))
			rows[(*n)++] = i;
	qsort_r(rows, *n, sizeof *rows, compare_rows, &o);
	return rows;
}

uint32_t *pmf_table_order_all(
	const struct pmf_table *t, const bool *events, bool by_total, size_t *n)
{
	uint32_t *out = pmf_calloc(t->n, sizeof *out);
	bool *seen = pmf_calloc(t->n, sizeof *seen);

	*n = 0;
	for (size_t e = 0; e < t->tree->profile->nr_events; e++) {
		size_t nr_rows = 0;
		uint32_t *rows = NULL;

		if (!events || events[e])
			rows = pmf_table_order(t, e, by_total, &nr_rows);
		for (size_t i = 0; i < nr_rows; i++) {
			if (!seen[rows[i]])
				out[(*n)++] = rows[i];
			seen[rows[i]] = true;
		}
		free(rows);
	}
	free(seen);
	return out;
}

static int compare_lines(const void *va, const void *vb, void *ctx)
{
	const struct pmf_table_row *rows = ctx;
	uint32_t a = rows[*(const uint32_t *)va].line, b = rows[*(const uint32_t *)vb].line;

	return (a > b) - (a < b);
}

uint32_t *pmf_table_lines(const struct pmf_table *t, const struct pmf_table_row *func, size_t *n)
{
	uint32_t *rows = pmf_calloc(t->n, sizeof *rows);

	*n = 0;
	for (uint32_t i = 0; i < t->n; i++)
		if (t->rows[i].start_line == func->start_line &&
			strcmp(t->rows[i].name, func->name) == 0 &&
			strcmp(t->rows[i].file, func->file) == 0)
			rows[(*n)++] = i;
	qsort_r(rows, *n, sizeof *rows, compare_lines, t->rows);
	return rows;
}

double pmf_share_error(double share, double effective)
{
	/* 1.96: the normal distribution's 97.5 % quantile. */
	return effective > 0 && share > 0 && share < 1
		       ? 1.96 * sqrt(share * (1 - share) / effective)
		       : 0;
}

/* ---- Ratios ---- */

const char *const pmf_names_of_cycles[] = {
	"cycles", "cpu-cycles", "cpu_cycles", "cpu_clk_unhalted", NULL};
const char *const pmf_names_of_instructions[] = {
	"instructions", "inst_retired", "instructions_retired", NULL};

const char *pmf_label_is(const char *label, const char *const *names)
{
	const char *pmu = strstr(label, "::");

	if (pmu)
		label = pmu + 2;
	for (; *names; names++) {
		size_t len = strlen(*names);

		if (strncasecmp(label, *names, len) == 0 && (!label[len] || label[len] == ':'))
			return label + len;
	}
	return NULL;
}

bool pmf_label_is_miss(const char *label)
{
	static const char *const parts[] = {"miss", "refill"};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(parts); i++)
		if (strcasestr(label, parts[i]))
			return true;
	return false;
}

bool pmf_ratio_of(const struct pmf_profile *p, size_t event, struct pmf_ratio *out)
{
	const struct pmf_profile_event *ev = &p->events[event];
	bool is_cycles = ev->label && pmf_label_is(ev->label, pmf_names_of_cycles);

	if (!ev->label || !(is_cycles || pmf_label_is_miss(ev->label)))
		return false;
	for (size_t e = 0; e < p->nr_events; e++) {
		const struct pmf_profile_event *den = &p->events[e];

		if (!den->label || !pmf_label_is(den->label, pmf_names_of_instructions) ||
			den->exclude_kernel != ev->exclude_kernel ||
			den->exclude_user != ev->exclude_user)
			continue;
		*out = (struct pmf_ratio){event, e, is_cycles ? 1 : 1000,
			is_cycles ? "cycles per instruction" : "per 1000 instructions"};
		return true;
	}
	return false;
}
