/* Two profiles into one that has both runs' columns, so that a tree of it holds both. */
#include "pmuflame/diff.h"

#include "profile_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Frame @i of @from. Addresses of different builds mean nothing to each other, so frames are only
 * put together by name, when the tree is built: here each is one of its own. */
static uint32_t take_frame(
	struct pmf_profile *p, const struct pmf_profile *from, uint32_t run, uint32_t i)
{
	const struct pmf_frame *f = &from->frames[i];
	uint32_t id =
		pmf_profile_frame_at(p, f->kind, run, pmf_profile_take_string(p, from, f->module),
			pmf_profile_take_string(p, from, f->path), i);

	pmf_profile_take_name(p, id, from, f);
	for (uint32_t k = 0; k < f->nr_inline; k++) {
		const struct pmf_frame *callee = &from->frames[f->first_inline + k];

		pmf_profile_set_start_line(p,
			pmf_profile_add_inline(p, id, pmf_strtab_get(&from->strings, callee->name),
				pmf_strtab_get(&from->strings, callee->file), callee->line),
			callee->start_line);
	}
	return id;
}

/* How much of its place tells a function from its namesakes. */
enum namesake_level { BY_NAME, BY_FILE_NAME, BY_LINE };

/* Functions that are alike up to a level, and where each run has them. */
struct namesakes {
	enum pmf_frame_kind kind;
	uint32_t name, module;
	uint32_t file_name;  /* of their source without its folder; 0: of any */
	uint32_t start_line; /* 0: any */
	struct {
		bool any;
		uint32_t file, start_line;
	} run[2];
	bool several; /* in one run */
};

struct name_groups {
	struct namesakes *items;
	size_t n, cap;
	struct pmf_index index;
};

static bool namesakes_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct namesakes *a = &((const struct name_groups *)ctx)->items[value], *b = key;

	return a->kind == b->kind && a->name == b->name && a->module == b->module &&
	       a->file_name == b->file_name && a->start_line == b->start_line;
}

/* The place of @f's group. */
static uint32_t namesakes_of(struct name_groups *g, struct pmf_profile *p,
	const struct pmf_frame *f, enum namesake_level level)
{
	struct namesakes key = {.kind = f->kind, .name = f->name, .module = f->module};
	const char *file = pmf_strtab_get(&p->strings, f->file), *slash = strrchr(file, '/');
	uint64_t hash;
	uint32_t id;

	if (level >= BY_FILE_NAME)
		key.file_name = pmf_strtab_addz(&p->strings, slash ? slash + 1 : file);
	if (level >= BY_LINE)
		key.start_line = f->start_line;
	hash = pmf_hash_u64((uint64_t)key.name << 32 | key.module);
	hash = pmf_hash_u64(hash ^ ((uint64_t)key.file_name << 32 | key.kind));
	hash = pmf_hash_u64(hash ^ key.start_line);
	id = pmf_index_find(&g->index, hash, namesakes_eq, g, &key);
	if (id == UINT32_MAX) {
		id = (uint32_t)g->n;
		PMF_PUSH(g->items, g->n, g->cap) = key;
		pmf_index_add(&g->index, hash, id);
	}
	return id;
}

static void add_namesake(struct namesakes *to, const struct pmf_frame *f)
{
	size_t run = f->image;

	if (to->run[run].any)
		to->several |=
			to->run[run].file != f->file || to->run[run].start_line != f->start_line;
	to->run[run].any = true;
	to->run[run].file = f->file;
	to->run[run].start_line = f->start_line;
}

/* Between two builds lines move, and folders are other ones: where each run has one function that is
 * alike up to @level, they are one, and where it now is, it was. */
static void join_namesakes(struct pmf_profile *p, enum namesake_level level)
{
	struct name_groups g = {0};
	uint32_t *of_frame = pmf_calloc(p->nr_frames, sizeof *of_frame);

	pmf_index_init(&g.index);
	for (size_t i = 1; i < p->nr_frames; i++) {
		of_frame[i] = namesakes_of(&g, p, &p->frames[i], level);
		add_namesake(&g.items[of_frame[i]], &p->frames[i]);
	}
	for (size_t i = 1; i < p->nr_frames; i++) {
		const struct namesakes *group = &g.items[of_frame[i]];

		if (group->several || !group->run[0].any)
			continue;
		p->frames[i].file = group->run[0].file;
		p->frames[i].start_line = group->run[0].start_line;
	}
	pmf_index_release(&g.index);
	free(g.items);
	free(of_frame);
}

/* All stacks of @from; its event events[e], of @n, becomes event first + e. */
static void take_stacks(struct pmf_profile *p, const struct pmf_profile *from, uint32_t run,
	const size_t *events, size_t first, size_t n)
{
	uint32_t *nodes = pmf_calloc(from->nr_nodes, sizeof *nodes);
	uint32_t *frames = pmf_calloc(from->nr_frames, sizeof *frames);

	for (uint32_t i = 1; i < from->nr_nodes; i++) {
		uint32_t of = from->nodes[i].frame;

		/* Frame 0 is the root's, which is no other node's. */
		if (!frames[of])
			frames[of] = take_frame(p, from, run, of);
		nodes[i] = pmf_profile_node(p, nodes[from->nodes[i].parent], frames[of]);
	}
	free(frames);
	for (size_t e = 0; e < n; e++)
		pmf_profile_take_columns(p, first + e, from, events[e], nodes);
	free(nodes);
}

static void take_event(
	struct pmf_profile_event *to, const struct pmf_profile_event *from, bool before)
{
	pmf_profile_take_event(to, from);
	free(to->label);
	to->label = pmf_asprintf("%s%s", pmf_profile_label(from), before ? " (before)" : "");
}

static const char *label_of(const struct pmf_profile *p, size_t e)
{
	return e < p->nr_events ? pmf_profile_label(&p->events[e]) : "";
}

/* The event of @p that is called @label, the first behind @nr_before others of that name; or -1. */
static int event_called(const struct pmf_profile *p, const char *label, size_t nr_before)
{
	for (size_t e = 0; e < p->nr_events; e++)
		if (strcmp(label_of(p, e), label) == 0 && nr_before-- == 0)
			return (int)e;
	return -1;
}

/* @p's event for @of's @e: the one with its label and unit, of several the one at its place among
 * them; or -1. */
static int same_event(const struct pmf_profile *p, const struct pmf_profile *of, size_t e)
{
	size_t nr_before = 0;
	int same;

	for (size_t i = 0; i < e; i++)
		nr_before += strcmp(label_of(of, i), label_of(of, e)) == 0;
	same = event_called(p, label_of(of, e), nr_before);
	return same >= 0 && pmf_profile_is_time(&p->events[same]) ==
				       pmf_profile_is_time(&of->events[e])
		       ? same
		       : -1;
}

static void note_alone(struct pmf_profile *joined, const struct pmf_profile *p,
	const struct pmf_profile *other, const char *which)
{
	for (size_t e = 0; e < p->nr_events; e++)
		if (same_event(other, p, e) < 0)
			pmf_profile_note(joined, PMF_NOTE_WARN, -1,
				"'%s' is not compared: only the %s run has it", label_of(p, e),
				which);
}

static void take_notes(struct pmf_profile *joined, const struct pmf_profile *p, const char *which)
{
	for (size_t i = 0; i < p->nr_notes; i++)
		if (p->notes[i].level == PMF_NOTE_WARN)
			pmf_profile_note(
				joined, PMF_NOTE_WARN, -1, "%s: %s", which, p->notes[i].text);
}

static int join(struct pmf_diff *d, const struct pmf_profile *base, const struct pmf_profile *now,
	struct pmf_err *err)
{
	size_t *of_now = pmf_calloc(now->nr_events, sizeof *of_now);
	size_t *of_base = pmf_calloc(now->nr_events, sizeof *of_base), n = 0;

	for (size_t e = 0; e < now->nr_events; e++) {
		int same = same_event(base, now, e);

		if (same < 0)
			continue;
		of_now[n] = e;
		of_base[n++] = (size_t)same;
	}
	pmf_profile_init(&d->joined, 2 * n);
	d->nr_events = n;
	for (size_t e = 0; e < n; e++) {
		take_event(&d->joined.events[e], &now->events[of_now[e]], false);
		take_event(&d->joined.events[n + e], &base->events[of_base[e]], true);
	}
	take_stacks(&d->joined, now, 0, of_now, 0, n);
	take_stacks(&d->joined, base, 1, of_base, n, n);
	for (enum namesake_level level = BY_NAME; level <= BY_LINE; level++)
		join_namesakes(&d->joined, level);
	free(of_now);
	free(of_base);
	if (n == 0)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"the two profiles have no event in common: one has '%s', the other '%s'",
			label_of(base, 0), label_of(now, 0));
	note_alone(&d->joined, base, now, "base");
	note_alone(&d->joined, now, base, "new");
	take_notes(&d->joined, base, "before");
	take_notes(&d->joined, now, "now");
	d->joined.title = pmf_strdup_or_null(now->title);
	d->joined.command = pmf_strdup_or_null(now->command);
	d->joined.watched = pmf_strdup_or_null(now->watched);
	d->joined.host_note = pmf_strdup_or_null(now->host_note);
	d->joined.start_unix_ns = now->start_unix_ns;
	d->joined.duration_ns = now->duration_ns;
	d->joined.cpus = now->cpus;
	return 0;
}

static double counted(const struct pmf_profile *p, int e)
{
	return (double)p->events[e].counted * p->events[e].scale;
}

/* The sizes of the two runs by which costs are divided, and in words what that is. */
static int sizes(struct pmf_diff *d, const struct pmf_profile *base, const struct pmf_profile *now,
	const struct pmf_diff_opts *o, double *before, double *after, struct pmf_err *err)
{
	int a, b;

	*before = *after = 1;
	switch (o->per) {
	case PMF_PER_RUN:
		d->per = pmf_strdup("per run: as if both runs did the same work");
		return 0;
	case PMF_PER_TOTAL:
		d->per = pmf_strdup("per total: shares of what each run spent");
		return 0;
	case PMF_PER_TIME:
		*before = (double)base->duration_ns;
		*after = (double)now->duration_ns;
		d->per = pmf_asprintf(
			"per time: the runs took %.2f s and %.2f s", *before / 1e9, *after / 1e9);
		break;
	case PMF_PER_COUNTER:
		a = event_called(base, o->counter, 0);
		b = event_called(now, o->counter, 0);
		if (a < 0 || b < 0)
			return pmf_err_set(err, PMF_ENOTFOUND,
				"'%s' is no event that both profiles have", o->counter);
		*before = counted(base, a);
		*after = counted(now, b);
		d->per = pmf_asprintf("per '%s': %.4g and %.4g", o->counter, *before, *after);
		break;
	case PMF_PER_WORK:
		*before = o->work_base;
		*after = o->work_new;
		d->per = pmf_asprintf("per unit of work: %.10g and %.10g", *before, *after);
		break;
	}
	if (!(*before > 0 && *after > 0))
		return pmf_err_set(
			err, PMF_EUSAGE, "cannot compare %s: both must be more than 0", d->per);
	return 0;
}

int pmf_diff_build(struct pmf_diff *d, const struct pmf_profile *base,
	const struct pmf_profile *now, const struct pmf_diff_opts *opts, struct pmf_err *err)
{
	double before, after;
	int ret;

	memset(d, 0, sizeof *d);
	ret = join(d, base, now, err);
	if (ret == 0)
		ret = sizes(d, base, now, opts, &before, &after, err);
	if (ret) {
		pmf_profile_release(&d->joined);
		free(d->per);
		return ret;
	}
	pmf_tree_build(&d->tree, &d->joined, &opts->tree);
	d->scale = pmf_calloc(d->nr_events, sizeof *d->scale);
	for (size_t e = 0; e < d->nr_events; e++) {
		double was = pmf_tree_total(&d->tree, d->nr_events + e, 0);

		d->scale[e] = after / before;
		if (opts->per == PMF_PER_TOTAL && was > 0)
			d->scale[e] = pmf_tree_total(&d->tree, e, 0) / was;
	}
	return 0;
}

void pmf_diff_release(struct pmf_diff *d)
{
	pmf_tree_release(&d->tree);
	pmf_profile_release(&d->joined);
	free(d->scale);
	free(d->per);
	memset(d, 0, sizeof *d);
}
