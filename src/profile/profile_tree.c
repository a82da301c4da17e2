/* The call tree by name. Every step is linear in the number of nodes but the sorting of the
 * functions, of which there are few: ordering nodes by their functions' places is a counting
 * sort. */
#include "pmuflame/names.h"
#include "profile_priv.h"

#include <stdlib.h>
#include <string.h>

struct builder {
	struct pmf_tree *t;
	struct pmf_index func_index, node_index;
	uint32_t *func_of_frame;
	uint32_t *
		name_of; /* string → what it is without a clone's mark; UINT32_MAX: not yet known */
	uint32_t *tree_of_node; /* profile node → tree node of its innermost frame */
	uint8_t *hits; /* by profile node: what its stack matches, and whether it is needed */
};

enum { HIT_FOCUS = 1, HIT_IGNORE = 2, NEEDED = 4 };

static bool func_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_func *a = &((const struct pmf_tree *)ctx)->funcs[value], *b = key;

	return a->kind == b->kind && a->name == b->name && a->module == b->module &&
	       a->file == b->file && a->start_line == b->start_line && a->line == b->line;
}

uint32_t pmf_tree_add_string(struct pmf_tree *t, const char *text, size_t len)
{
	uint32_t id = pmf_strtab_find(&t->profile->strings, text, len);

	if (id == UINT32_MAX)
		id = (uint32_t)t->profile->strings.n + pmf_strtab_add(&t->strings, text, len);
	return id;
}

const char *pmf_tree_string(const struct pmf_tree *t, uint32_t id)
{
	size_t n = t->profile->strings.n;

	return id < n ? pmf_strtab_get(&t->profile->strings, id)
		      : pmf_strtab_get(&t->strings, (uint32_t)(id - n));
}

size_t pmf_tree_nr_strings(const struct pmf_tree *t)
{
	return t->profile->strings.n + t->strings.n;
}

/* Points and words are names like any others in languages that put points between theirs. */
static bool has_clones(const struct pmf_tree *t, const struct pmf_frame *f)
{
	const char *file = pmf_strtab_get(&t->profile->strings, f->file);
	const char *point = strrchr(file, '.');

	return !t->opts.keep_clones &&
	       (f->kind == PMF_FRAME_NATIVE || f->kind == PMF_FRAME_INLINED ||
		       f->kind == PMF_FRAME_KERNEL) &&
	       !(point && (strcmp(point, ".go") == 0 || strcmp(point, ".zig") == 0));
}

/* The name of @f as the tree has it; many frames have one name. */
static uint32_t name_of(struct builder *b, const struct pmf_frame *f)
{
	const struct pmf_profile *p = b->t->profile;
	uint32_t *known = &b->name_of[f->name];
	const char *name = pmf_strtab_get(&p->strings, f->name);

	if (!has_clones(b->t, f))
		return f->name;
	if (*known == UINT32_MAX) {
		size_t len = pmf_name_without_clone(name);

		*known = name[len] ? pmf_tree_add_string(b->t, name, len) : f->name;
	}
	return *known;
}

static uint32_t intern_func(struct builder *b, const struct pmf_frame *f)
{
	struct pmf_func fn = {.kind = f->kind,
		.name = name_of(b, f),
		.module = f->module,
		.path = f->path,
		.file = f->file,
		.start_line = f->start_line,
		.line = b->t->opts.lines ? f->line : 0,
		.unresolved = f->unresolved};
	uint64_t who = pmf_hash_u64((uint64_t)fn.name << 32 | fn.module);
	uint64_t where = pmf_hash_u64((uint64_t)fn.start_line << 32 | fn.line);
	uint64_t hash = pmf_hash_u64(who ^ where ^ ((uint64_t)fn.file << 32 | fn.kind));
	uint32_t id = pmf_index_find(&b->func_index, hash, func_eq, b->t, &fn);

	if (id == UINT32_MAX) {
		id = (uint32_t)b->t->nr_funcs;
		PMF_PUSH(b->t->funcs, b->t->nr_funcs, b->t->cap_funcs) = fn;
		pmf_index_add(&b->func_index, hash, id);
	}
	return id;
}

static bool child_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_tree_node *a = &((const struct pmf_tree *)ctx)->nodes[value], *b = key;

	return a->parent == b->parent && a->func == b->func;
}

static uint32_t child(struct builder *b, uint32_t parent, uint32_t func)
{
	struct pmf_tree *t = b->t;
	struct pmf_tree_node key = {func, parent, UINT32_MAX, UINT32_MAX, 0};
	uint64_t hash = pmf_hash_u64((uint64_t)parent << 32 | func);
	uint32_t id = pmf_index_find(&b->node_index, hash, child_eq, t, &key);

	if (id == UINT32_MAX) {
		id = (uint32_t)t->nr_nodes;
		key.depth = t->nodes[parent].depth + 1;
		t->max_depth = PMF_MAX(t->max_depth, key.depth);
		PMF_PUSH(t->nodes, t->nr_nodes, t->cap_nodes) = key;
		pmf_index_add(&b->node_index, hash, id);
	}
	return id;
}

/* Does the name match, or what labels make of it? */
static bool matches(struct pmf_regex *re, const char *name, const char *label)
{
	return re && (pmf_regex_match(re, name, strlen(name)) ||
			     pmf_regex_match(re, label, strlen(label)));
}

static uint8_t hits_of_func(const struct pmf_tree *t, const struct pmf_func *fn)
{
	const char *name = pmf_tree_string(t, fn->name);
	struct pmf_buf label = PMF_BUF_INIT;
	uint8_t hits = 0;

	if (fn->kind == PMF_FRAME_ROOT || (fn->kind == PMF_FRAME_THREAD && !t->opts.threads))
		return 0; /* not a name that is drawn, or not a choice */
	pmf_name_add_label(&label, name, (struct pmf_name_keep){0});
	if (matches(t->opts.focus, name, pmf_buf_str(&label)))
		hits |= HIT_FOCUS;
	if (matches(t->opts.ignore, name, pmf_buf_str(&label)))
		hits |= HIT_IGNORE;
	pmf_buf_release(&label);
	return hits;
}

static bool is_shown(const struct builder *b, size_t node)
{
	return (!b->t->opts.focus || (b->hits[node] & HIT_FOCUS)) && !(b->hits[node] & HIT_IGNORE);
}

/* Nodes with something in them or below. The others, and frames of nothing but them, are left out:
 * whether a profile has such is chance, and one that was saved has not. */
static void need(struct builder *b, const struct pmf_profile *p, bool filtered)
{
	for (size_t i = p->nr_nodes; i-- > 1;) {
		for (size_t e = 0; e < p->nr_events; e++)
			if ((!filtered || is_shown(b, i)) && (p->weights[e][i] || p->samples[e][i]))
				b->hits[i] |= NEEDED;
		b->hits[p->nodes[i].parent] |= b->hits[i] & NEEDED;
	}
}

/* Which stacks the filter shows. Every function is matched once. */
static void filter(struct builder *b, const struct pmf_profile *p)
{
	uint8_t *of_func = pmf_calloc(b->t->nr_funcs, sizeof *of_func);

	for (size_t i = 0; i < b->t->nr_funcs; i++)
		of_func[i] = hits_of_func(b->t, &b->t->funcs[i]);
	b->hits[0] = 0;
	for (size_t i = 1; i < p->nr_nodes; i++) {
		const struct pmf_frame *f = &p->frames[p->nodes[i].frame];

		b->hits[i] =
			b->hits[p->nodes[i].parent] | of_func[b->func_of_frame[p->nodes[i].frame]];
		for (uint32_t k = 0; k < f->nr_inline; k++)
			b->hits[i] |= of_func[b->func_of_frame[f->first_inline + k]];
	}
	free(of_func);
}

/* The functions of all nodes that are needed without a filter. */
static void intern_funcs(struct builder *b, const struct pmf_profile *p)
{
	bool *used = pmf_calloc(p->nr_frames, sizeof *used);

	used[p->nodes[0].frame] = true;
	for (size_t i = 1; i < p->nr_nodes; i++) {
		const struct pmf_frame *f = &p->frames[p->nodes[i].frame];

		if (!(b->hits[i] & NEEDED))
			continue;
		used[p->nodes[i].frame] = true;
		for (uint32_t k = 0; k < f->nr_inline; k++)
			used[f->first_inline + k] = true;
	}
	for (size_t i = 0; i < p->nr_frames; i++)
		if (used[i])
			b->func_of_frame[i] = intern_func(b, &p->frames[i]);
	free(used);
}

static bool may_be_one(const struct pmf_func *a, const struct pmf_func *b)
{
	bool native_a = a->kind == PMF_FRAME_NATIVE || a->kind == PMF_FRAME_INLINED;
	bool native_b = b->kind == PMF_FRAME_NATIVE || b->kind == PMF_FRAME_INLINED;

	return (a->kind == b->kind ? pmf_frame_is_code(a->kind) : native_a && native_b) &&
	       a->name == b->name && a->module == b->module && a->file == b->file &&
	       a->start_line == b->start_line && a->line == b->line;
}

/* The node of frame @frame, which frame @caller called at node @at: that one, where a function goes on
 * to a part of itself, or calls itself and one frame is to stand for all. */
static uint32_t enter(struct builder *b, uint32_t at, uint32_t frame, uint32_t caller)
{
	const struct pmf_profile *p = b->t->profile;
	uint32_t func = b->func_of_frame[frame], name = p->frames[frame].name;

	if (!may_be_one(&b->t->funcs[b->t->nodes[at].func], &b->t->funcs[func]))
		return child(b, at, func);
	if (b->t->opts.fold_recursion ||
		(b->t->funcs[func].name != name && name != p->frames[caller].name &&
			pmf_name_is_part(pmf_strtab_get(&p->strings, name))))
		return at;
	return child(b, at, func);
}

/* Merge the profile's stacks by function. A profile node becomes the out-of-line function with its
 * inlined callees below it; the innermost of them is where its samples were taken. */
static void merge_stacks(struct builder *b, const struct pmf_profile *p)
{
	struct pmf_tree *t = b->t;

	need(b, p, false);
	intern_funcs(b, p);
	if (pmf_tree_is_filtered(t)) {
		filter(b, p);
		need(b, p, true);
	}
	PMF_PUSH(t->nodes, t->nr_nodes, t->cap_nodes) = (struct pmf_tree_node){
		b->func_of_frame[p->nodes[0].frame], UINT32_MAX, UINT32_MAX, UINT32_MAX, 0};
	for (size_t i = 1; i < p->nr_nodes; i++) {
		const struct pmf_frame *f = &p->frames[p->nodes[i].frame];
		const struct pmf_frame *up = &p->frames[p->nodes[p->nodes[i].parent].frame];
		uint32_t at = b->tree_of_node[p->nodes[i].parent], frame = p->nodes[i].frame;
		uint32_t caller = up->nr_inline ? up->first_inline + up->nr_inline - 1
						: p->nodes[p->nodes[i].parent].frame;

		b->tree_of_node[i] = at;
		if ((f->kind == PMF_FRAME_THREAD && !t->opts.threads) || !(b->hits[i] & NEEDED))
			continue;
		at = enter(b, at, frame, caller);
		for (uint32_t k = 0; k < f->nr_inline; k++) {
			caller = frame;
			frame = f->first_inline + k;
			at = enter(b, at, frame, caller);
		}
		b->tree_of_node[i] = at;
	}
}

static int compare_funcs(const void *va, const void *vb, void *ctx)
{
	const struct pmf_tree *t = ctx;
	const struct pmf_strtab *strs = &t->profile->strings;
	const struct pmf_func *a = &t->funcs[*(const uint32_t *)va];
	const struct pmf_func *b = &t->funcs[*(const uint32_t *)vb];
	int c = a->name == b->name
			? 0
			: strcmp(pmf_tree_string(t, a->name), pmf_tree_string(t, b->name));

	if (c == 0)
		c = strcmp(pmf_strtab_get(strs, a->module), pmf_strtab_get(strs, b->module));
	if (c == 0)
		c = (a->kind > b->kind) - (a->kind < b->kind);
	if (c == 0)
		c = strcmp(pmf_strtab_get(strs, a->file), pmf_strtab_get(strs, b->file));
	if (c == 0)
		c = (a->start_line > b->start_line) - (a->start_line < b->start_line);
	if (c == 0)
		c = (a->line > b->line) - (a->line < b->line);
	return c;
}

/* Put the functions in order and let the nodes follow. */
static void sort_funcs(struct pmf_tree *t)
{
	uint32_t *order = pmf_calloc(t->nr_funcs, sizeof *order);
	uint32_t *place = pmf_calloc(t->nr_funcs, sizeof *place);
	struct pmf_func *sorted = pmf_calloc(t->nr_funcs, sizeof *sorted);

	for (size_t i = 0; i < t->nr_funcs; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, t->nr_funcs, sizeof *order, compare_funcs, t);
	for (size_t i = 0; i < t->nr_funcs; i++) {
		place[order[i]] = (uint32_t)i;
		sorted[i] = t->funcs[order[i]];
	}
	for (size_t i = 0; i < t->nr_nodes; i++)
		t->nodes[i].func = place[t->nodes[i].func];
	free(t->funcs);
	t->funcs = sorted;
	t->cap_funcs = t->nr_funcs;
	free(order);
	free(place);
}

/* Chain the children of every node in the order of their functions: taken from the last function to
 * the first, each node goes to the front of its parent's list. */
static void link_children(struct pmf_tree *t)
{
	size_t *start = pmf_calloc(t->nr_funcs + 1, sizeof *start);
	uint32_t *by_func = pmf_calloc(t->nr_nodes, sizeof *by_func);

	for (size_t i = 0; i < t->nr_nodes; i++)
		start[t->nodes[i].func + 1]++;
	for (size_t f = 0; f < t->nr_funcs; f++)
		start[f + 1] += start[f];
	for (size_t i = 0; i < t->nr_nodes; i++)
		by_func[start[t->nodes[i].func]++] = (uint32_t)i;
	for (size_t i = t->nr_nodes; i-- > 0;) {
		struct pmf_tree_node *n = &t->nodes[by_func[i]];

		if (n->parent == UINT32_MAX)
			continue;
		n->next_sibling = t->nodes[n->parent].first_child;
		t->nodes[n->parent].first_child = by_func[i];
	}
	free(start);
	free(by_func);
}

/* Number the nodes in preorder; @place gets each one's new number. */
static void renumber(struct pmf_tree *t, uint32_t *place)
{
	struct pmf_tree_node *out = pmf_calloc(t->nr_nodes, sizeof *out);
	uint32_t at = 0, n = 0;

	while (at != UINT32_MAX) {
		place[at] = n++;
		if (t->nodes[at].first_child != UINT32_MAX) {
			at = t->nodes[at].first_child;
			continue;
		}
		while (at != UINT32_MAX && t->nodes[at].next_sibling == UINT32_MAX)
			at = t->nodes[at].parent;
		if (at != UINT32_MAX)
			at = t->nodes[at].next_sibling;
	}
	for (size_t i = 0; i < t->nr_nodes; i++) {
		struct pmf_tree_node node = t->nodes[i];
		uint32_t *links[] = {&node.parent, &node.first_child, &node.next_sibling};

		for (size_t k = 0; k < PMF_ARRAY_SIZE(links); k++)
			if (*links[k] != UINT32_MAX)
				*links[k] = place[*links[k]];
		out[place[i]] = node;
	}
	free(t->nodes);
	t->nodes = out;
	t->cap_nodes = t->nr_nodes;
}

static void fill_columns(struct builder *b, const struct pmf_profile *p, const uint32_t *place)
{
	struct pmf_tree *t = b->t;
	size_t places = t->nr_nodes * p->nr_events;

	t->total = pmf_calloc(places, sizeof *t->total);
	t->self = pmf_calloc(places, sizeof *t->self);
	t->samples_total = pmf_calloc(places, sizeof *t->samples_total);
	t->samples_self = pmf_calloc(places, sizeof *t->samples_self);
	t->whole = pmf_calloc(p->nr_events, sizeof *t->whole);
	for (size_t e = 0; e < p->nr_events; e++) {
		double *total = t->total + e * t->nr_nodes, *self = t->self + e * t->nr_nodes;
		uint64_t *s_total = t->samples_total + e * t->nr_nodes;
		uint64_t *s_self = t->samples_self + e * t->nr_nodes;

		/* Whole numbers are added before they are scaled: sums of doubles would depend on
		 * the order in which stacks appeared. */
		for (size_t i = 0; i < p->nr_nodes; i++) {
			uint32_t at = place[b->tree_of_node[i]];

			t->whole[e] += (double)p->weights[e][i];
			if (!is_shown(b, i))
				continue;
			self[at] += (double)p->weights[e][i];
			s_self[at] += p->samples[e][i];
		}
		memcpy(total, self, t->nr_nodes * sizeof *total);
		memcpy(s_total, s_self, t->nr_nodes * sizeof *s_total);
		for (size_t i = t->nr_nodes; i-- > 1;) {
			total[t->nodes[i].parent] += total[i];
			s_total[t->nodes[i].parent] += s_total[i];
		}
		for (size_t i = 0; i < t->nr_nodes; i++) {
			total[i] *= p->events[e].scale;
			self[i] *= p->events[e].scale;
		}
		t->whole[e] *= p->events[e].scale;
	}
}

/* Where a stack was joined, all the callers are the earlier stack's, too. */
static void fill_joined(struct builder *b, const struct pmf_profile *p, const uint32_t *place)
{
	struct pmf_tree *t = b->t;

	for (size_t e = 0; e < p->nr_events; e++) {
		uint64_t *joined;

		if (!p->joined[e])
			continue;
		if (!t->joined)
			t->joined = pmf_calloc(t->nr_nodes * p->nr_events, sizeof *t->joined);
		joined = t->joined + e * t->nr_nodes;
		for (size_t i = 0; i < p->nr_nodes; i++)
			joined[place[b->tree_of_node[i]]] += p->joined[e][i];
		for (size_t i = t->nr_nodes; i-- > 1;)
			joined[t->nodes[i].parent] += joined[i];
		for (uint32_t i = 0; i < t->nr_nodes; i++)
			joined[i] = PMF_MIN(joined[i], pmf_tree_samples(t, e, i));
	}
}

void pmf_tree_build(
	struct pmf_tree *t, const struct pmf_profile *p, const struct pmf_tree_opts *opts)
{
	struct builder b = {.t = t,
		.func_of_frame = pmf_calloc(p->nr_frames, sizeof *b.func_of_frame),
		.name_of = pmf_calloc(p->strings.n, sizeof *b.name_of),
		.tree_of_node = pmf_calloc(p->nr_nodes, sizeof *b.tree_of_node),
		.hits = pmf_calloc(p->nr_nodes, sizeof *b.hits)};
	uint32_t *place;

	memset(t, 0, sizeof *t);
	t->profile = p;
	if (opts)
		t->opts = *opts;
	pmf_strtab_init(&t->strings);
	memset(b.name_of, 0xff, p->strings.n * sizeof *b.name_of);
	pmf_index_init(&b.func_index);
	pmf_index_init(&b.node_index);
	merge_stacks(&b, p);
	sort_funcs(t);
	pmf_tree_add_labels(t);
	link_children(t);
	place = pmf_calloc(t->nr_nodes, sizeof *place);
	renumber(t, place);
	fill_columns(&b, p, place);
	fill_joined(&b, p, place);
	free(place);
	free(b.func_of_frame);
	free(b.name_of);
	free(b.tree_of_node);
	free(b.hits);
	pmf_index_release(&b.func_index);
	pmf_index_release(&b.node_index);
}

void pmf_tree_release(struct pmf_tree *t)
{
	free(t->funcs);
	free(t->nodes);
	free(t->total);
	free(t->self);
	free(t->samples_total);
	free(t->samples_self);
	free(t->joined);
	free(t->whole);
	pmf_strtab_release(&t->strings);
	memset(t, 0, sizeof *t);
}

bool pmf_tree_is_filtered(const struct pmf_tree *t)
{
	return t->opts.focus || t->opts.ignore;
}

double pmf_tree_effective_samples(const struct pmf_tree *t, size_t event)
{
	const struct pmf_profile_event *ev = &t->profile->events[event];
	double all = (double)ev->samples;

	return all > 0 ? pmf_profile_effective_samples(ev) * (double)pmf_tree_samples(t, event, 0) /
				 all
		       : 0;
}

double pmf_tree_total(const struct pmf_tree *t, size_t event, uint32_t node)
{
	return t->total[event * t->nr_nodes + node];
}

double pmf_tree_self(const struct pmf_tree *t, size_t event, uint32_t node)
{
	return t->self[event * t->nr_nodes + node];
}

uint64_t pmf_tree_samples(const struct pmf_tree *t, size_t event, uint32_t node)
{
	return t->samples_total[event * t->nr_nodes + node];
}

uint64_t pmf_tree_samples_self(const struct pmf_tree *t, size_t event, uint32_t node)
{
	return t->samples_self[event * t->nr_nodes + node];
}

uint64_t pmf_tree_joined(const struct pmf_tree *t, size_t event, uint32_t node)
{
	return t->joined ? t->joined[event * t->nr_nodes + node] : 0;
}

static int compare_costs(const void *va, const void *vb)
{
	const struct pmf_func_cost *a = va, *b = vb;

	if (a->self != b->self)
		return a->self < b->self ? 1 : -1;
	/* As tables are ordered. */
	if (a->total != b->total)
		return a->total < b->total ? 1 : -1;
	return (a->func > b->func) - (a->func < b->func);
}

bool pmf_frame_is_code(enum pmf_frame_kind kind)
{
	return kind != PMF_FRAME_ROOT && kind != PMF_FRAME_PROCESS && kind != PMF_FRAME_THREAD &&
	       kind != PMF_FRAME_SPECIAL;
}

/* Where the walk stands: the functions of the path, and of each the nearest that is not the
 * kernel's, itself included; UINT32_MAX if that is no code. */
struct path_step {
	uint32_t func, user;
};

static struct path_step step_to(const struct pmf_tree *t, uint32_t func, uint32_t caller_user)
{
	enum pmf_frame_kind kind = t->funcs[func].kind;

	if (kind == PMF_FRAME_KERNEL)
		return (struct path_step){func, caller_user};
	return (struct path_step){func, pmf_frame_is_code(kind) ? func : UINT32_MAX};
}

void pmf_tree_costs(
	const struct pmf_tree *t, size_t event, bool user_side, struct pmf_func_cost *out)
{
	uint32_t *open = pmf_calloc(t->nr_funcs, sizeof *open); /* times on the current path */
	struct path_step *path = pmf_calloc((size_t)t->max_depth + 1, sizeof *path);
	size_t depth = 0;

	for (uint32_t f = 0; f < t->nr_funcs; f++)
		out[f] = (struct pmf_func_cost){.func = f};
	for (uint32_t i = 0; i < t->nr_nodes; i++) {
		uint32_t func = t->nodes[i].func, payer;

		while (depth > t->nodes[i].depth)
			open[path[--depth].func]--;
		path[depth] = step_to(t, func, depth ? path[depth - 1].user : UINT32_MAX);
		payer = user_side && path[depth].user != UINT32_MAX ? path[depth].user : func;
		depth++;
		if (open[func]++ == 0)
			out[func].total += pmf_tree_total(t, event, i);
		out[payer].self += pmf_tree_self(t, event, i);
		out[payer].samples_self += pmf_tree_samples_self(t, event, i);
	}
	free(open);
	free(path);
}

size_t pmf_tree_top(const struct pmf_tree *t, size_t event, bool user_side,
	struct pmf_func_cost *out, size_t max)
{
	struct pmf_func_cost *costs = pmf_calloc(t->nr_funcs, sizeof *costs);
	size_t n = 0;

	pmf_tree_costs(t, event, user_side, costs);
	for (uint32_t f = 0; f < t->nr_funcs; f++)
		if (costs[f].self > 0 && pmf_frame_is_code(t->funcs[f].kind))
			costs[n++] = costs[f];
	qsort(costs, n, sizeof *costs, compare_costs);
	n = PMF_MIN(n, max);
	if (n)
		memcpy(out, costs, n * sizeof *out);
	free(costs);
	return n;
}
