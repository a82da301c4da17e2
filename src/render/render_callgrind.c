/* Callgrind's profile format, version 1 (Callgrind Format Specification, valgrind.org), for
 * KCachegrind and callgrind_annotate: functions with their own events, and calls between them with
 * what the calls cost. All events of the profile are its events.
 *
 * Both readers take a function's inclusive cost from the calls to it, so these must add up to that:
 * the cost of a stack goes to the call of a function's outermost frame in it, and what recursion
 * calls again costs nothing more. The number of calls is not known; how many samples, of all
 * events, saw one stands for it. */
#include "config.h"

#include "render_priv.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A function is its name and its file to the readers: the source's, or else the module's name. */
struct entry {
	uint32_t name, file;
	uint32_t func; /* one of the tree's */
	size_t first_call, nr_calls;
};

/* What a line of a function costs: by itself (callee NO_CALL), or by what it calls. */
struct call {
	uint32_t caller, callee; /* places in entries */
	uint32_t line;           /* of the caller's file; 0: not known */
	uint64_t samples;
	size_t cost; /* place of the first of nr_events in costs */
};

#define NO_CALL UINT32_MAX

struct graph {
	const struct pmf_tree *t; /* with lines */
	size_t nr_events;
	uint32_t *entry_of_func;
	struct entry *entries;
	size_t nr_entries, cap_entries;
	struct pmf_index entry_index;
	struct call *calls;
	size_t nr_calls, cap_calls;
	struct pmf_index call_index;
	double *costs;
	size_t nr_costs, cap_costs;
};

static bool entry_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct entry *a = &((const struct graph *)ctx)->entries[value], *b = key;

	return a->name == b->name && a->file == b->file;
}

static void make_entries(struct graph *g)
{
	for (uint32_t i = 0; i < g->t->nr_funcs; i++) {
		const struct pmf_func *fn = &g->t->funcs[i];
		struct entry key = {.name = fn->full_label,
			.file = fn->file ? fn->file : fn->module,
			.func = i};
		uint64_t hash = pmf_hash_u64((uint64_t)key.name << 32 | key.file);
		uint32_t id = pmf_index_find(&g->entry_index, hash, entry_eq, g, &key);

		if (id == UINT32_MAX) {
			id = (uint32_t)g->nr_entries;
			PMF_PUSH(g->entries, g->nr_entries, g->cap_entries) = key;
			pmf_index_add(&g->entry_index, hash, id);
		}
		g->entry_of_func[i] = id;
	}
}

static bool call_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct call *a = &((const struct graph *)ctx)->calls[value], *b = key;

	return a->caller == b->caller && a->callee == b->callee && a->line == b->line;
}

static struct call *call_of(struct graph *g, uint32_t caller, uint32_t line, uint32_t callee)
{
	struct call key = {.caller = caller, .callee = callee, .line = line, .cost = g->nr_costs};
	uint64_t hash = pmf_hash_u64(pmf_hash_u64((uint64_t)caller << 32 | callee) ^ line);
	uint32_t id = pmf_index_find(&g->call_index, hash, call_eq, g, &key);

	if (id == UINT32_MAX) {
		id = (uint32_t)g->nr_calls;
		PMF_PUSH(g->calls, g->nr_calls, g->cap_calls) = key;
		pmf_index_add(&g->call_index, hash, id);
		for (size_t e = 0; e < g->nr_events; e++)
			PMF_PUSH(g->costs, g->nr_costs, g->cap_costs) = 0;
	}
	return &g->calls[id];
}

static void add_own(struct graph *g, uint32_t node, uint32_t id)
{
	const struct pmf_tree *t = g->t;
	struct call *own;
	bool any = false;

	for (size_t e = 0; e < g->nr_events; e++)
		any |= pmf_tree_self(t, e, node) > 0;
	if (!any)
		return;
	own = call_of(g, id, t->funcs[t->nodes[node].func].line, NO_CALL);
	for (size_t e = 0; e < g->nr_events; e++)
		g->costs[own->cost + e] += pmf_tree_self(t, e, node);
}

/* Preorder: @path holds the functions above a node, @open how often each entry is among them. */
static void add_up(struct graph *g)
{
	const struct pmf_tree *t = g->t;
	uint32_t *path = pmf_calloc((size_t)t->max_depth + 1, sizeof *path);
	uint32_t *open = pmf_calloc(g->nr_entries, sizeof *open);
	size_t depth = 0;

	for (uint32_t i = 0; i < t->nr_nodes; i++) {
		uint32_t id = g->entry_of_func[t->nodes[i].func];

		while (depth > t->nodes[i].depth)
			open[g->entry_of_func[path[--depth]]]--;
		if (depth > 0 && open[id] == 0) {
			uint32_t caller = path[depth - 1];
			struct call *c =
				call_of(g, g->entry_of_func[caller], t->funcs[caller].line, id);

			for (size_t e = 0; e < g->nr_events; e++) {
				g->costs[c->cost + e] += pmf_tree_total(t, e, i);
				c->samples += pmf_tree_samples(t, e, i);
			}
		}
		add_own(g, i, id);
		path[depth++] = t->nodes[i].func;
		open[id]++;
	}
	free(path);
	free(open);
}

static int compare_calls(const void *va, const void *vb)
{
	const struct call *a = va, *b = vb;

	if (a->caller != b->caller)
		return a->caller < b->caller ? -1 : 1;
	if ((a->callee == NO_CALL) != (b->callee == NO_CALL))
		return a->callee == NO_CALL ? -1 : 1;
	if (a->callee != b->callee)
		return a->callee < b->callee ? -1 : 1;
	return (a->line > b->line) - (a->line < b->line);
}

static void sort_calls(struct graph *g)
{
	if (g->nr_calls)
		qsort(g->calls, g->nr_calls, sizeof *g->calls, compare_calls);
	for (size_t i = 0; i < g->nr_calls; i++) {
		struct entry *from = &g->entries[g->calls[i].caller];

		if (from->nr_calls++ == 0)
			from->first_call = i;
	}
}

/* The label with letters, digits and underscores only, which KCachegrind's formulas take, and another
 * than those of the @n events before. */
static char *event_name(const struct pmf_profile *p, size_t n, char *const *before)
{
	const char *label = pmf_profile_label(&p->events[n]);
	char *name = pmf_asprintf("%s%s", isalpha((unsigned char)*label) ? "" : "_", label);

	for (char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '_';
	for (size_t i = 0; i < n;) {
		if (strcmp(before[i++], name) == 0) {
			char *longer = pmf_asprintf("%s_", name);

			free(name);
			name = longer;
			i = 0;
		}
	}
	return name;
}

static void add_header(struct pmf_buf *out, const struct pmf_tree *t)
{
	const struct pmf_profile *p = t->profile;
	char **names = pmf_calloc(p->nr_events, sizeof *names);

	pmf_buf_addstr(
		out, "# callgrind format\nversion: 1\ncreator: pmuflame " PACKAGE_VERSION "\n");
	if (p->command) {
		pmf_buf_addstr(out, "cmd: ");
		pmf_text_add(out, p->command, strlen(p->command), PMF_TEXT_PLAIN);
		pmf_buf_addch(out, '\n');
	}
	pmf_buf_addstr(out, "positions: line\n");
	for (size_t e = 0; e < p->nr_events; e++) {
		const char *label = pmf_profile_label(&p->events[e]);
		const char *unit = pmf_profile_unit(&p->events[e]);

		names[e] = event_name(p, e, names);
		pmf_buf_printf(out, "event: %s : ", names[e]);
		pmf_text_add(out, label, strlen(label), PMF_TEXT_PLAIN);
		pmf_buf_addstr(out, " (");
		pmf_text_add(out, unit, strlen(unit), PMF_TEXT_PLAIN);
		pmf_buf_addstr(out, ")\n");
	}
	pmf_buf_addstr(out, "events:");
	for (size_t e = 0; e < p->nr_events; e++) {
		pmf_buf_printf(out, " %s", names[e]);
		free(names[e]);
	}
	free(names);
	pmf_buf_addch(out, '\n');
}

/* The numbers that names have in the file, in the order in which it says them, from 1: those of strings
 * depend on how the profile came to be. 0: not yet said. */
struct numbers {
	uint32_t *of;
	uint32_t n;
};

/* "KEY=(NUMBER) NAME", and once that was said, the number alone. */
static void add_name(struct pmf_buf *out, const char *key, struct numbers *numbers, uint32_t id,
	const char *name)
{
	bool said = numbers->of[id];

	if (!said)
		numbers->of[id] = ++numbers->n;
	pmf_buf_printf(out, "%s=(%" PRIu32 ")", key, numbers->of[id]);
	if (!said) {
		pmf_buf_addch(out, ' ');
		pmf_text_add(out, name, strlen(name), PMF_TEXT_PLAIN);
	}
	pmf_buf_addch(out, '\n');
}

struct named {
	struct numbers fns, files, objects;
};

static void add_function(
	struct pmf_buf *out, const struct graph *g, uint32_t id, bool callee, struct named *named)
{
	const struct pmf_strtab *strs = &g->t->profile->strings;
	const struct entry *en = &g->entries[id];
	const char *file = pmf_strtab_get(strs, en->file);
	uint32_t module = g->t->funcs[en->func].module;

	/* "???" is the readers' unknown file. */
	add_name(out, callee ? "cob" : "ob", &named->objects, module, pmf_strtab_get(strs, module));
	add_name(out, callee ? "cfi" : "fl", &named->files, en->file, *file ? file : "???");
	add_name(out, callee ? "cfn" : "fn", &named->fns, id, pmf_render_func_id(g->t, en->func));
}

static void add_cost(struct pmf_buf *out, uint32_t line, const double *costs, size_t n)
{
	pmf_buf_addu64(out, line);
	for (size_t e = 0; e < n; e++) {
		pmf_buf_addch(out, ' ');
		pmf_buf_addu64(out, pmf_render_events(costs[e]));
	}
	pmf_buf_addch(out, '\n');
}

static void add_functions(struct pmf_buf *out, const struct graph *g, FILE *f)
{
	size_t nr_strings = g->t->profile->strings.n;
	struct named named = {.fns.of = pmf_calloc(g->nr_entries, sizeof(uint32_t)),
		.files.of = pmf_calloc(nr_strings, sizeof(uint32_t)),
		.objects.of = pmf_calloc(nr_strings, sizeof(uint32_t))};

	for (uint32_t id = 0; id < g->nr_entries; id++) {
		const struct entry *en = &g->entries[id];

		pmf_buf_addch(out, '\n');
		add_function(out, g, id, false, &named);
		for (size_t i = 0; i < en->nr_calls; i++) {
			const struct call *c = &g->calls[en->first_call + i];

			if (c->callee != NO_CALL) {
				add_function(out, g, c->callee, true, &named);
				/* KCachegrind takes costs of no calls for no costs. */
				pmf_buf_printf(out, "calls=%" PRIu64 " %" PRIu32 "\n",
					PMF_MAX(c->samples, 1),
					g->t->funcs[g->entries[c->callee].func].start_line);
			}
			add_cost(out, c->line, &g->costs[c->cost], g->nr_events);
		}
		pmf_render_flush(out, f, PMF_RENDER_CHUNK);
	}
	free(named.fns.of);
	free(named.files.of);
	free(named.objects.of);
}

static int render(FILE *f, const struct pmf_tree *t, size_t event,
	const struct pmf_render_opts *opts, struct pmf_err *err)
{
	struct pmf_tree_opts with_lines = t->opts;
	struct pmf_tree lines;
	struct graph g = {.t = &lines, .nr_events = t->profile->nr_events};
	struct pmf_buf out = PMF_BUF_INIT;

	(void)event;
	(void)opts;
	(void)err;
	with_lines.lines = true;
	pmf_tree_build(&lines, t->profile, &with_lines);
	g.entry_of_func = pmf_calloc(lines.nr_funcs, sizeof *g.entry_of_func);
	pmf_index_init(&g.entry_index);
	pmf_index_init(&g.call_index);
	make_entries(&g);
	add_up(&g);
	sort_calls(&g);
	add_header(&out, t);
	add_functions(&out, &g, f);
	pmf_buf_addstr(&out, "\ntotals:");
	for (size_t e = 0; e < g.nr_events; e++) {
		pmf_buf_addch(&out, ' ');
		pmf_buf_addu64(&out, pmf_render_events(pmf_tree_total(t, e, 0)));
	}
	pmf_buf_addch(&out, '\n');
	pmf_render_flush(&out, f, 0);
	pmf_buf_release(&out);
	pmf_index_release(&g.entry_index);
	pmf_index_release(&g.call_index);
	free(g.entry_of_func);
	free(g.entries);
	free(g.calls);
	free(g.costs);
	pmf_tree_release(&lines);
	return 0;
}

const struct pmf_renderer pmf_renderer_callgrind = {
	.name = "callgrind",
	.suffix = "callgrind",
	.per_event = false,
	.desc = "all events in one file for KCachegrind and callgrind_annotate",
	.render = render,
};
