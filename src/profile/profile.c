#include "pmuflame/profile.h"
#include "pmuflame/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What makes two frames one. Frames made by name have no image and rva 0. */
struct frame_key {
	enum pmf_frame_kind kind;
	uint32_t image, module, path, name;
	uint64_t rva;
	bool by_name;
};

static bool frame_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_profile *p = ctx;
	const struct pmf_frame *f = &p->frames[value];
	const struct frame_key *k = key;

	if (f->kind != k->kind || f->image != k->image || f->rva != k->rva)
		return false;
	return k->by_name ? f->name == k->name : f->module == k->module && f->path == k->path;
}

static uint64_t frame_hash(const struct frame_key *k)
{
	uint64_t h = pmf_hash_u64(k->rva ^ (uint64_t)k->kind << 56 ^ (uint64_t)k->by_name << 55);

	h = pmf_hash_u64(h ^ ((uint64_t)k->image << 32 | k->name));
	return pmf_hash_u64(h ^ ((uint64_t)k->module << 32 | k->path));
}

static uint32_t intern_frame(struct pmf_profile *p, const struct frame_key *k)
{
	uint64_t hash = frame_hash(k);
	uint32_t id = pmf_index_find(&p->frame_index, hash, frame_eq, p, k);

	if (id != UINT32_MAX)
		return id;
	id = (uint32_t)p->nr_frames;
	PMF_PUSH(p->frames, p->nr_frames, p->cap_frames) = (struct pmf_frame){
		.kind = k->kind,
		.module = k->module,
		.path = k->path,
		.rva = k->rva,
		.image = k->image,
		.name = k->name,
	};
	pmf_index_add(&p->frame_index, hash, id);
	return id;
}

static bool node_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_profile *p = ctx;
	const struct pmf_node *n = key;

	return p->nodes[value].parent == n->parent && p->nodes[value].frame == n->frame;
}

static void grow_column(uint64_t **column, size_t from, size_t to)
{
	*column = pmf_reallocarray(*column, to, sizeof **column);
	memset(*column + from, 0, (to - from) * sizeof **column);
}

/* Columns grow with the nodes, so that adding a sample to a node that is there allocates
 * nothing. */
static uint32_t push_node(struct pmf_profile *p, uint32_t parent, uint32_t frame, uint64_t hash)
{
	uint32_t id = (uint32_t)p->nr_nodes;

	PMF_PUSH(p->nodes, p->nr_nodes, p->cap_nodes) = (struct pmf_node){parent, frame, hash};
	if (p->cap_columns < p->cap_nodes) {
		for (size_t e = 0; e < p->nr_events; e++) {
			grow_column(&p->weights[e], p->cap_columns, p->cap_nodes);
			grow_column(&p->samples[e], p->cap_columns, p->cap_nodes);
			if (p->joined[e])
				grow_column(&p->joined[e], p->cap_columns, p->cap_nodes);
		}
		p->cap_columns = p->cap_nodes;
	}
	return id;
}

const char *pmf_frame_kind_name(enum pmf_frame_kind kind)
{
	static const char *const names[PMF_FRAME_KINDS] = {
		[PMF_FRAME_ROOT] = "root",
		[PMF_FRAME_PROCESS] = "process",
		[PMF_FRAME_KERNEL] = "kernel",
		[PMF_FRAME_NATIVE] = "native",
		[PMF_FRAME_INLINED] = "inlined",
		[PMF_FRAME_PYTHON] = "python",
		[PMF_FRAME_JIT] = "jit",
		[PMF_FRAME_SPECIAL] = "special",
		[PMF_FRAME_THREAD] = "thread",
	};

	return names[kind];
}

void pmf_profile_init(struct pmf_profile *p, size_t nr_events)
{
	memset(p, 0, sizeof *p);
	pmf_strtab_init(&p->strings);
	pmf_index_init(&p->frame_index);
	pmf_index_init(&p->node_index);
	push_node(p, UINT32_MAX, pmf_profile_frame_named(p, PMF_FRAME_ROOT, "all"), 0);
	for (size_t e = 0; e < nr_events; e++)
		pmf_profile_add_event(p);
}

size_t pmf_profile_add_event(struct pmf_profile *p)
{
	size_t e = p->nr_events++;

	p->events = pmf_reallocarray(p->events, p->nr_events, sizeof *p->events);
	p->weights = pmf_reallocarray(p->weights, p->nr_events, sizeof *p->weights);
	p->samples = pmf_reallocarray(p->samples, p->nr_events, sizeof *p->samples);
	p->joined = pmf_reallocarray(p->joined, p->nr_events, sizeof *p->joined);
	p->events[e] = (struct pmf_profile_event){.scale = 1, .lost_known = true};
	p->weights[e] = pmf_calloc(p->cap_columns, sizeof *p->weights[e]);
	p->samples[e] = pmf_calloc(p->cap_columns, sizeof *p->samples[e]);
	p->joined[e] = NULL;
	return e;
}

void pmf_profile_release(struct pmf_profile *p)
{
	for (size_t e = 0; e < p->nr_events; e++) {
		free(p->events[e].spec);
		free(p->events[e].label);
		free(p->events[e].unit);
		free(p->events[e].file_name);
		free(p->events[e].fallback_reason);
		free(p->events[e].unsampled_name);
		free(p->weights[e]);
		free(p->samples[e]);
		free(p->joined[e]);
	}
	free(p->events);
	free(p->weights);
	free(p->samples);
	free(p->joined);
	for (size_t i = 0; i < p->nr_notes; i++)
		free(p->notes[i].text);
	free(p->notes);
	free(p->build_ids);
	free(p->frames);
	free(p->nodes);
	pmf_index_release(&p->frame_index);
	pmf_index_release(&p->node_index);
	pmf_strtab_release(&p->strings);
	free(p->title);
	free(p->command);
	free(p->watched);
	free(p->host_note);
	memset(p, 0, sizeof *p);
}

void pmf_profile_set_build_id(
	struct pmf_profile *p, uint32_t image, const uint8_t *build_id, size_t len)
{
	struct pmf_buf hex = PMF_BUF_INIT;

	for (size_t i = 0; i < len; i++)
		pmf_buf_printf(&hex, "%02x", build_id[i]);
	while (p->nr_build_ids <= image)
		PMF_PUSH(p->build_ids, p->nr_build_ids, p->cap_build_ids) = 0;
	p->build_ids[image] = pmf_strtab_addz(&p->strings, pmf_buf_str(&hex));
	pmf_buf_release(&hex);
}

static bool file_name_taken(const struct pmf_profile *p, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(p->events[i].file_name, name) == 0)
			return true;
	return false;
}

void pmf_profile_name_files(struct pmf_profile *p)
{
	for (size_t e = 0; e < p->nr_events; e++) {
		char *base = pmf_file_safe_name(p->events[e].label), *name = pmf_strdup(base);

		for (unsigned suffix = 2; file_name_taken(p, e, name); suffix++) {
			free(name);
			name = pmf_asprintf("%s-%u", base, suffix);
		}
		free(base);
		free(p->events[e].file_name);
		p->events[e].file_name = name;
	}
}

uint32_t pmf_profile_frame_at(struct pmf_profile *p, enum pmf_frame_kind kind, uint32_t image,
	uint32_t module, uint32_t path, uint64_t rva)
{
	struct frame_key k = {
		.kind = kind, .image = image, .module = module, .path = path, .rva = rva};

	return intern_frame(p, &k);
}

uint32_t pmf_profile_frame_named(struct pmf_profile *p, enum pmf_frame_kind kind, const char *name)
{
	struct frame_key k = {.kind = kind,
		.image = UINT32_MAX,
		.name = pmf_strtab_addz(&p->strings, name),
		.by_name = true};

	return intern_frame(p, &k);
}

uint32_t pmf_profile_process_frame(struct pmf_profile *p, const char *comm, const char *container)
{
	char *name = container ? pmf_asprintf("%s (%s)", comm, container) : NULL;
	uint32_t frame = pmf_profile_frame_named(p, PMF_FRAME_PROCESS, name ? name : comm);

	if (container)
		p->frames[frame].module = pmf_strtab_addz(&p->strings, container);
	free(name);
	return frame;
}

void pmf_profile_name_frame(
	struct pmf_profile *p, uint32_t frame, const char *name, const char *file, uint32_t line)
{
	struct pmf_frame *f = &p->frames[frame];

	f->name = pmf_strtab_addz(&p->strings, name);
	f->file = file ? pmf_strtab_addz(&p->strings, file) : 0;
	f->line = line;
}

void pmf_profile_set_start_line(struct pmf_profile *p, uint32_t frame, uint32_t line)
{
	p->frames[frame].start_line = line;
}

void pmf_profile_alias_frame(struct pmf_profile *p, uint32_t frame, uint32_t as)
{
	p->frames[frame] = p->frames[as];
}

uint32_t pmf_profile_add_inline(
	struct pmf_profile *p, uint32_t frame, const char *name, const char *file, uint32_t line)
{
	struct pmf_frame callee = {.kind = PMF_FRAME_INLINED,
		.module = p->frames[frame].module,
		.path = p->frames[frame].path,
		.rva = p->frames[frame].rva,
		.image = p->frames[frame].image};
	uint32_t id, first = p->frames[frame].first_inline, n = p->frames[frame].nr_inline;

	/* The callees stand in one piece: when other frames came behind them, they move to the
	 * end. */
	if (n == 0 || first + n != p->nr_frames) {
		size_t start = p->nr_frames;

		for (uint32_t i = 0; i < n; i++) {
			struct pmf_frame moved = p->frames[first + i];

			PMF_PUSH(p->frames, p->nr_frames, p->cap_frames) = moved;
		}
		p->frames[frame].first_inline = (uint32_t)start;
	}
	id = (uint32_t)p->nr_frames;
	PMF_PUSH(p->frames, p->nr_frames, p->cap_frames) = callee;
	p->frames[frame].nr_inline++;
	pmf_profile_name_frame(p, id, name, file, line);
	return id;
}

/* By the frames' numbers, not the parent's: so that of nodes on end all hashes are known before the first
 * of them is found. Of 64 bits, for in 32 the calls of a function by itself would come back to a hash after
 * some 80,000. */
static uint64_t node_hash(uint64_t parent_hash, uint32_t frame)
{
	return pmf_hash_u64(parent_hash ^ frame);
}

static uint32_t find_node(struct pmf_profile *p, uint32_t parent, uint32_t frame, uint64_t hash)
{
	struct pmf_node key = {parent, frame, hash};
	uint32_t id = pmf_index_find(&p->node_index, hash, node_eq, p, &key);

	if (id == UINT32_MAX) {
		id = push_node(p, parent, frame, hash);
		pmf_index_add(&p->node_index, hash, id);
	}
	return id;
}

uint32_t pmf_profile_node(struct pmf_profile *p, uint32_t parent, uint32_t frame)
{
	return find_node(p, parent, frame, node_hash(p->nodes[parent].hash, frame));
}

void pmf_profile_nodes(
	struct pmf_profile *p, uint32_t parent, const uint32_t *frames, size_t n, uint32_t *nodes)
{
	enum { AT_ONCE = 128 };
	uint64_t hash = p->nodes[parent].hash, hashes[AT_ONCE];

	for (size_t part; n > 0; n -= part, frames += part, nodes += part) {
		part = PMF_MIN(n, (size_t)AT_ONCE);
		for (size_t i = 0; i < part; i++) {
			hashes[i] = hash = node_hash(hash, frames[i]);
			pmf_index_prefetch(&p->node_index, hash);
		}
		/* No look-up waits for the node that the one before found. */
		for (size_t i = 0; i < part; i++)
			parent = nodes[i] = find_node(p, parent, frames[i], hashes[i]);
	}
}

void pmf_profile_add(
	struct pmf_profile *p, size_t event, uint32_t node, uint64_t weight, uint64_t samples)
{
	p->weights[event][node] += weight;
	p->samples[event][node] += samples;
	if (samples > 0)
		p->events[event].weight_sq += (double)weight * (double)weight / (double)samples;
}

void pmf_profile_add_joined(struct pmf_profile *p, size_t event, uint32_t node, uint64_t samples)
{
	if (!p->joined[event])
		grow_column(&p->joined[event], 0, p->cap_columns);
	p->joined[event][node] += samples;
}

double pmf_profile_effective_samples(const struct pmf_profile_event *ev)
{
	double samples = (double)ev->samples, weight = (double)ev->weight;

	/* Rounding must not make it more than what was taken. */
	return ev->weight_sq > 0 ? PMF_MIN(weight * weight / ev->weight_sq, samples) : samples;
}

void pmf_profile_note(
	struct pmf_profile *p, enum pmf_note_level level, int event, const char *fmt, ...)
{
	struct pmf_buf text = PMF_BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	pmf_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < p->nr_notes; i++) {
		if (p->notes[i].event == event &&
			strcmp(p->notes[i].text, pmf_buf_str(&text)) == 0) {
			pmf_buf_release(&text);
			return;
		}
	}
	PMF_PUSH(p->notes, p->nr_notes, p->cap_notes) =
		(struct pmf_note){level, event, pmf_buf_detach(&text)};
}
