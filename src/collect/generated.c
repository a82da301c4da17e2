/* Frames of generated code. A runtime may tell of its code after samples of it were taken, as late as when it
 * ends: those get a frame of their own, which waits for a name until their process ends. */
#include "collect_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

enum {
	MEMOS = 1 << 14,
	/* A frame that waits stands for its address over this time, which grows with the time since the
	 * first one, so that there are only so many. */
	WINDOW_NS = 100000000,
	WINDOW_SHARE = 8,
};

/* The answer for an address, as long as it is good. */
struct pmf_generated_memo {
	uint64_t va, stamp, until_ns;
	uint32_t frame;
};

struct wait {
	uint64_t va, first_ns;
	uint32_t frame;
};

struct pmf_generated_process {
	pid_t pid;
	struct pmf_jit_process *jit;
	struct wait *waits;
	size_t n, cap;
	struct pmf_index by_va; /* the last wait of each address */
	uint64_t first_ns;
	bool node;    /* it is Node.js */
	bool own_map; /* its map was written for us */
};

void pmf_generated_init(struct pmf_generated *g, const struct pmf_jit_opts *opts)
{
	memset(g, 0, sizeof *g);
	g->jit = pmf_jit_new(opts);
	pmf_index_init(&g->by_pid);
}

void pmf_generated_use_recording(struct pmf_generated *g, const struct pmf_jit_opts *opts)
{
	pmf_jit_free(g->jit);
	g->jit = pmf_jit_new(opts);
}

static void process_free(struct pmf_generated_process *p)
{
	pmf_jit_process_free(p->jit);
	pmf_index_release(&p->by_va);
	free(p->waits);
	free(p);
}

void pmf_generated_release(struct pmf_generated *g)
{
	for (size_t i = 0; i < g->n; i++)
		process_free(g->procs[i]);
	free(g->procs);
	pmf_index_release(&g->by_pid);
	pmf_jit_free(g->jit);
	free(g->memos);
	memset(g, 0, sizeof *g);
}

void pmf_generated_restart(struct pmf_generated *g)
{
	for (size_t i = 0; i < g->n; i++) {
		g->procs[i]->n = 0;
		pmf_index_release(&g->procs[i]->by_va);
	}
	free(g->memos);
	g->memos = NULL;
}

/* ---- Processes ---- */

static bool pid_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_generated *)ctx)->procs[value]->pid == *(const pid_t *)key;
}

static uint32_t index_of(const struct pmf_generated *g, pid_t pid)
{
	return pmf_index_find(&g->by_pid, pmf_hash_u64((uint64_t)pid), pid_eq, g, &pid);
}

static struct pmf_generated_process *get_process(struct pmf_stacks *s, pid_t pid)
{
	struct pmf_generated *g = &s->generated;
	struct pmf_generated_process *p;
	uint32_t i;

	if (g->last && g->last->pid == pid)
		return g->last;
	i = index_of(g, pid);
	if (i != UINT32_MAX)
		return g->last = g->procs[i];
	p = pmf_zalloc(sizeof *p);
	p->pid = pid;
	p->jit = pmf_jit_process_new(g->jit, pid);
	p->first_ns = s->now_ns;
	pmf_index_init(&p->by_va);
	pmf_index_add(&g->by_pid, pmf_hash_u64((uint64_t)pid), (uint32_t)g->n);
	PMF_PUSH(g->procs, g->n, g->cap) = p;
	return g->last = p;
}

static void remove_process(struct pmf_generated *g, uint32_t i)
{
	struct pmf_generated_process *p = g->procs[i];
	uint32_t last = (uint32_t)g->n - 1;

	pmf_index_remove(&g->by_pid, pmf_hash_u64((uint64_t)p->pid), i);
	if (i != last) {
		uint64_t hash = pmf_hash_u64((uint64_t)g->procs[last]->pid);

		pmf_index_remove(&g->by_pid, hash, last);
		pmf_index_add(&g->by_pid, hash, i);
		g->procs[i] = g->procs[last];
	}
	g->n--;
	g->last = NULL;
	process_free(p);
}

/* ---- Frames ---- */

/* A function that its runtime says the source file of: one frame per file, line and name. */
static uint32_t sourced_frame(
	struct pmf_profile *p, const struct pmf_jit_label *l, const char *file, uint32_t line)
{
	const char *slash = strrchr(file, '/');
	uint32_t id = pmf_profile_frame_at(p, l->python ? PMF_FRAME_PYTHON : PMF_FRAME_JIT,
		UINT32_MAX, pmf_strtab_addz(&p->strings, slash ? slash + 1 : file),
		pmf_strtab_addz(&p->strings, file),
		(uint64_t)line << 32 | pmf_strtab_addz(&p->strings, l->name));

	pmf_profile_name_frame(p, id, l->name, file, line);
	pmf_profile_set_start_line(p, id, l->line);
	return id;
}

static uint32_t named_frame(struct pmf_profile *p, const struct pmf_jit_place *place)
{
	struct pmf_jit_label label;
	const char *file;
	uint32_t id;

	pmf_jit_label_init(&label, place->name);
	file = label.file ? label.file : place->file;
	id = file && file[0] ? sourced_frame(p, &label, file, place->line)
			     : pmf_profile_frame_named(p, PMF_FRAME_JIT, label.name);
	pmf_jit_label_release(&label);
	return id;
}

static bool va_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_generated_process *)ctx)->waits[value].va ==
	       *(const uint64_t *)key;
}

/* How long a frame may stand for all that runs at its address. Without times it does not matter. */
static uint64_t window_of(const struct pmf_stacks *s, const struct pmf_generated_process *p)
{
	if (!pmf_jit_has_times(p->jit))
		return UINT64_MAX;
	return PMF_MAX((uint64_t)WINDOW_NS, (s->now_ns - p->first_ns) / WINDOW_SHARE);
}

/* The frame of an address that nothing is known about so far. */
static uint32_t waiting_frame(struct pmf_stacks *s, struct pmf_generated_process *p,
	const struct pmf_image *im, uint64_t va)
{
	uint64_t hash = pmf_hash_u64(va);
	uint32_t i = pmf_index_find(&p->by_va, hash, va_eq, p, &va);

	if (i != UINT32_MAX && s->now_ns - p->waits[i].first_ns < window_of(s, p))
		return p->waits[i].frame;
	if (i != UINT32_MAX)
		pmf_index_remove(&p->by_va, hash, i);
	pmf_index_add(&p->by_va, hash, (uint32_t)p->n);
	PMF_PUSH(p->waits, p->n, p->cap) = (struct wait){.va = va,
		.first_ns = s->now_ns,
		.frame = pmf_stacks_image_frame(s, PMF_FRAME_JIT, im, ++s->generated.waited)};
	return p->waits[p->n - 1].frame;
}

uint32_t pmf_generated_frame(struct pmf_stacks *s, struct pmf_process *proc,
	const struct pmf_image *im, uint64_t va, uint64_t interpreted)
{
	struct pmf_generated *g = &s->generated;
	struct pmf_generated_process *p = get_process(s, proc->pid);
	struct pmf_generated_memo *memo;
	struct pmf_jit_place place;
	uint32_t java;

	pmf_jit_look(g->jit, p->jit, s->now_ns);
	if (!g->memos)
		g->memos = pmf_calloc(MEMOS, sizeof *g->memos);
	memo = &g->memos[pmf_hash_u64(va) % MEMOS];
	if (memo->va == va && memo->stamp == pmf_jit_stamp(p->jit) && s->now_ns < memo->until_ns)
		return memo->frame;
	java = pmf_java_frame(s, proc, va, interpreted);
	if (java != UINT32_MAX)
		return java;
	if (!pmf_jit_find(g->jit, p->jit, va, s->now_ns, &place))
		return waiting_frame(s, p, im, va);
	*memo = (struct pmf_generated_memo){.va = va,
		.stamp = pmf_jit_stamp(p->jit),
		.until_ns = place.until_ns,
		.frame = named_frame(s->profile, &place)};
	return memo->frame;
}

bool pmf_generated_find_code(
	void *ctx, const struct pmf_unwind_in *in, uint64_t va, struct pmf_unwind_code *out)
{
	struct pmf_generated *g = &((struct pmf_stacks *)ctx)->generated;
	uint32_t i = index_of(g, in->process->pid);
	struct pmf_jit_process *jit = i == UINT32_MAX ? NULL : g->procs[i]->jit;

	if (!jit || !pmf_jit_has_times(jit))
		return false;
	pmf_jit_look(g->jit, jit, in->now_ns);
	out->eh_frame = pmf_jit_eh_frame(g->jit, jit, va, in->now_ns, &out->start, &out->size);
	return out->eh_frame;
}

/* ---- What records say ---- */

static bool is_node(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && (strcmp(slash, "/node") == 0 || strcmp(slash, "/nodejs") == 0);
}

void pmf_generated_mapped(struct pmf_stacks *s, const struct pmf_record *rec)
{
	struct pmf_generated *g = &s->generated;

	if ((pid_t)rec->pid <= 0)
		return;
	if (is_node(rec->mmap.path)) {
		struct pmf_generated_process *p = get_process(s, (pid_t)rec->pid);

		p->node = true;
		p->own_map |= g->own_maps;
		g->saw_node |= g->own_maps;
	}
	if (pmf_jit_is_dump(rec->mmap.path))
		pmf_jit_mapped(get_process(s, (pid_t)rec->pid)->jit, rec->mmap.path);
}

static void end(struct pmf_stacks *s, uint32_t i)
{
	struct pmf_generated_process *p = s->generated.procs[i];
	struct pmf_jit_place place;
	size_t nameless = 0;

	pmf_jit_look_last(s->generated.jit, p->jit);
	for (size_t k = 0; k < p->n; k++)
		if (pmf_jit_find(
			    s->generated.jit, p->jit, p->waits[k].va, p->waits[k].first_ns, &place))
			pmf_profile_alias_frame(
				s->profile, p->waits[k].frame, named_frame(s->profile, &place));
		else
			nameless++;
	s->generated.nameless_node |= p->node && nameless;
	if (p->own_map && s->generated.own_maps)
		pmf_jit_remove_map(s->generated.jit, p->jit);
	remove_process(&s->generated, i);
}

void pmf_generated_end(struct pmf_stacks *s, pid_t pid)
{
	uint32_t i = index_of(&s->generated, pid);

	if (i != UINT32_MAX)
		end(s, i);
}

void pmf_generated_end_all(struct pmf_stacks *s)
{
	const struct pmf_err *why;
	size_t n;

	while (s->generated.n)
		end(s, (uint32_t)s->generated.n - 1);
	if (s->generated.nameless_node && s->target != PMF_PERF_COMMAND)
		pmf_profile_note(s->profile, PMF_NOTE_WARN, -1,
			"functions of Node.js have no names where it was not started with "
			"--perf-basic-prof (NODE_OPTIONS has it in children, too)");
	n = pmf_jit_refused(s->generated.jit, &why);
	if (n > 1)
		pmf_profile_note(s->profile, PMF_NOTE_WARN, -1,
			"%zu files with names of generated code were refused; the first: %s", n,
			why->text);
	else if (n)
		pmf_profile_note(s->profile, PMF_NOTE_WARN, -1,
			"names of generated code are missing: %s", why->text);
}
