/* Profiles of several runs as one. */
#include "profile_priv.h"

#include <stdlib.h>
#include <string.h>

/* ---- Frames and stacks ---- */

#define NO_EVENT SIZE_MAX

struct merger {
	struct pmf_profile *p;
	struct pmf_profile *from;
	struct pmf_index frame_index; /* of p's, by all that is known of them */
	struct pmf_index image_index; /* of p's, by build id */
	uint32_t *frames;             /* from's → p's, UINT32_MAX: not yet */
	size_t *events;               /* the same; NO_EVENT: left out */
	bool only_new;                /* leave out the events that p has */
};

/* Frame @f itself, then its inlined callees. */
static const struct pmf_frame *inline_at(
	const struct pmf_profile *p, const struct pmf_frame *f, uint32_t i)
{
	return i ? &p->frames[f->first_inline + i - 1] : f;
}

static uint64_t hash_frame(const struct pmf_profile *p, const struct pmf_frame *f)
{
	uint64_t h = 0;

	for (uint32_t i = 0; i <= f->nr_inline; i++) {
		const struct pmf_frame *at = inline_at(p, f, i);

		h = pmf_hash_u64(h ^ at->rva ^ (uint64_t)at->kind << 56);
		h = pmf_hash_u64(h ^ ((uint64_t)at->name << 32 | at->file));
		h = pmf_hash_u64(h ^ ((uint64_t)at->module << 32 | at->line));
		h = pmf_hash_u64(h ^ at->start_line);
	}
	return h;
}

/* All that is known of images is their build; many have none. */
static uint32_t build_of(const struct pmf_profile *p, const struct pmf_frame *f)
{
	return f->image < p->nr_build_ids ? p->build_ids[f->image] : 0;
}

static bool frame_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_profile *p = ctx;
	const struct pmf_frame *fa = &p->frames[value], *fb = key;

	if (fa->nr_inline != fb->nr_inline)
		return false;
	for (uint32_t i = 0; i <= fa->nr_inline; i++) {
		const struct pmf_frame *a = inline_at(p, fa, i), *b = inline_at(p, fb, i);

		if (a->kind != b->kind || a->name != b->name || a->module != b->module ||
			a->path != b->path || a->file != b->file || a->line != b->line ||
			a->start_line != b->start_line || a->rva != b->rva ||
			build_of(p, a) != build_of(p, b) || a->unresolved != b->unresolved)
			return false;
	}
	return true;
}

static bool image_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_profile *)ctx)->build_ids[value] == *(const uint32_t *)key;
}

static uint32_t take_string(struct merger *m, uint32_t id)
{
	return pmf_profile_take_string(m->p, m->from, id);
}

static uint32_t take_image(struct merger *m, uint32_t image)
{
	struct pmf_profile *p = m->p;
	uint32_t build_id = 0, mine;

	if (image == UINT32_MAX)
		return UINT32_MAX;
	if (image < m->from->nr_build_ids)
		build_id = take_string(m, m->from->build_ids[image]);
	mine = pmf_index_find(&m->image_index, pmf_hash_u64(build_id), image_eq, p, &build_id);
	if (mine == UINT32_MAX) {
		mine = (uint32_t)p->nr_build_ids;
		PMF_PUSH(p->build_ids, p->nr_build_ids, p->cap_build_ids) = build_id;
		pmf_index_add(&m->image_index, pmf_hash_u64(build_id), mine);
	}
	return mine;
}

static void push_frame(struct merger *m, const struct pmf_frame *f)
{
	struct pmf_profile *p = m->p;
	struct pmf_frame copy = *f;

	copy.module = take_string(m, f->module);
	copy.path = take_string(m, f->path);
	copy.name = take_string(m, f->name);
	copy.file = take_string(m, f->file);
	copy.image = take_image(m, f->image);
	PMF_PUSH(p->frames, p->nr_frames, p->cap_frames) = copy;
}

/* p's frame for @id of from: the copy is made first, then dropped if there is one like it. */
static uint32_t take_frame(struct merger *m, uint32_t id)
{
	struct pmf_profile *p = m->p;
	const struct pmf_frame *f = &m->from->frames[id];
	uint32_t start = (uint32_t)p->nr_frames, mine;
	uint64_t hash;

	if (m->frames[id] != UINT32_MAX)
		return m->frames[id];
	for (uint32_t i = 0; i <= f->nr_inline; i++)
		push_frame(m, inline_at(m->from, f, i));
	p->frames[start].first_inline = f->nr_inline ? start + 1 : 0;
	hash = hash_frame(p, &p->frames[start]);
	mine = pmf_index_find(&m->frame_index, hash, frame_eq, p, &p->frames[start]);
	if (mine == UINT32_MAX) {
		mine = start;
		pmf_index_add(&m->frame_index, hash, mine);
	} else {
		p->nr_frames = start;
	}
	return m->frames[id] = mine;
}

static void add_stacks(struct merger *m)
{
	const struct pmf_profile *from = m->from;
	struct pmf_profile *p = m->p;
	uint32_t *nodes = pmf_calloc(from->nr_nodes, sizeof *nodes);

	/* Parents stand before their children; node 0 is the root of both. */
	for (size_t i = 1; i < from->nr_nodes; i++)
		nodes[i] = pmf_profile_node(
			p, nodes[from->nodes[i].parent], take_frame(m, from->nodes[i].frame));
	for (size_t e = 0; e < from->nr_events; e++)
		if (m->events[e] != NO_EVENT)
			pmf_profile_take_columns(p, m->events[e], from, e, nodes);
	free(nodes);
}

/* ---- Events ---- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* From now on the event's numbers are scaled ones. */
static void apply_scale(struct pmf_profile *p, size_t e)
{
	struct pmf_profile_event *ev = &p->events[e];

	pmf_profile_scale_weights(p, e, ev->scale);
	ev->counted = pmf_profile_scaled(ev->counted, ev->scale);
	ev->scale = 1;
	/* What would explain the scale, and does no more. */
	ev->enabled_ns = ev->running_ns = ev->task_ns = 0;
}

static void note_difference(struct pmf_profile *p, size_t e, const char *what)
{
	pmf_profile_note(p, PMF_NOTE_WARN, (int)e, "'%s' differs between the merged profiles in %s",
		p->events[e].label, what);
}

/* What cannot be added is kept where both agree, or else what holds for both. */
static void settle_event(struct pmf_profile *p, size_t e, const struct pmf_profile_event *from)
{
	struct pmf_profile_event *ev = &p->events[e];

	if (ev->period != from->period || ev->freq_hz != from->freq_hz) {
		ev->period = ev->freq_hz = 0;
		note_difference(p, e, "its rate");
	}
	if (ev->precise_ip != from->precise_ip) {
		ev->precise_ip = PMF_MIN(ev->precise_ip, from->precise_ip);
		note_difference(p, e, "its precision, of which the ledger has the lowest");
	}
	if (ev->exclude_kernel != from->exclude_kernel || ev->exclude_user != from->exclude_user) {
		ev->exclude_kernel &= from->exclude_kernel;
		ev->exclude_user &= from->exclude_user;
		note_difference(p, e, "whether the kernel and user code were sampled");
	}
	if (ev->only_samples != from->only_samples) {
		ev->only_samples = true;
		note_difference(p, e,
			"whether it was counted beside its samples: what was counted without them "
			"is known in part");
	}
	ev->in_kernel &= from->in_kernel;
	if (!ev->fallback_reason)
		ev->fallback_reason = pmf_strdup_or_null(from->fallback_reason);
	if (!same_text(ev->unsampled_name, from->unsampled_name)) {
		free(ev->unsampled_name);
		ev->unsampled_name = NULL;
	}
}

static void add_event(struct pmf_profile *p, size_t e, const struct pmf_profile_event *from)
{
	struct pmf_profile_event *ev = &p->events[e];

	pmf_profile_add_sampled(ev, from);
	ev->counted += from->counted;
	ev->enabled_ns += from->enabled_ns;
	ev->running_ns += from->running_ns;
	ev->task_ns += from->task_ns;
	ev->unsampled += from->unsampled;
	ev->lost += from->lost;
	ev->lost_known &= from->lost_known;
	ev->frames += from->frames;
	ev->unresolved_frames += from->unresolved_frames;
	settle_event(p, e, from);
}

/* p's event for @from's @e: the one with its label that no earlier event of from has taken. */
static size_t find_event(const struct merger *m, size_t e, size_t nr_before)
{
	const struct pmf_profile_event *ev = &m->from->events[e];

	for (size_t i = 0; i < nr_before; i++) {
		bool taken = false;

		for (size_t k = 0; k < e; k++)
			taken |= m->events[k] == i;
		if (!taken && same_text(m->p->events[i].label, ev->label) &&
			same_text(m->p->events[i].unit, ev->unit))
			return i;
	}
	return NO_EVENT;
}

static void match_events(struct merger *m)
{
	struct pmf_profile *p = m->p;
	size_t nr_before = p->nr_events;

	for (size_t e = 0; e < m->from->nr_events; e++) {
		size_t mine = find_event(m, e, nr_before);

		if (mine != NO_EVENT && m->only_new) {
			m->events[e] = NO_EVENT;
			continue;
		}
		m->events[e] = mine == NO_EVENT ? pmf_profile_add_event(p) : mine;
		if (mine == NO_EVENT) {
			pmf_profile_take_event(&p->events[m->events[e]], &m->from->events[e]);
			continue;
		}
		if (p->events[mine].scale != m->from->events[e].scale) {
			apply_scale(p, mine);
			apply_scale(m->from, e);
		}
		add_event(p, mine, &m->from->events[e]);
	}
	pmf_profile_name_files(p);
}

/* Say which events only some of the profiles have. */
static void note_missing(struct merger *m, size_t nr_before)
{
	for (size_t i = 0; i < m->p->nr_events; i++) {
		bool there = false;

		for (size_t e = 0; e < m->from->nr_events; e++)
			there |= m->events[e] == i;
		if (!there || i >= nr_before)
			pmf_profile_note(m->p, PMF_NOTE_WARN, (int)i,
				"only some of the merged profiles have '%s'",
				m->p->events[i].label);
	}
}

/* ---- The run ---- */

static void keep_if_same(char **mine, const char *other)
{
	if (same_text(*mine, other))
		return;
	free(*mine);
	*mine = NULL;
}

static void merge_run(struct merger *m)
{
	const struct pmf_profile *from = m->from;
	struct pmf_profile *p = m->p;

	if (p->host_note && from->host_note && strcmp(p->host_note, from->host_note) != 0)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"the merged profiles were recorded on different systems: %s; %s",
			p->host_note, from->host_note);
	keep_if_same(&p->title, from->title);
	keep_if_same(&p->command, from->command);
	keep_if_same(&p->watched, from->watched);
	keep_if_same(&p->host_note, from->host_note);
	if (from->start_unix_ns && (!p->start_unix_ns || from->start_unix_ns < p->start_unix_ns))
		p->start_unix_ns = from->start_unix_ns;
	p->duration_ns += from->duration_ns;
	p->lost_sideband += from->lost_sideband;
	p->lost_unattributed += from->lost_unattributed;
	if (p->ring_bytes != from->ring_bytes)
		p->ring_bytes = 0;
	if (p->cpus != from->cpus)
		p->cpus = 0;
	for (size_t i = 0; i < from->nr_notes; i++) {
		const struct pmf_note *note = &from->notes[i];
		size_t e = note->event < 0 ? NO_EVENT : m->events[note->event];

		if (note->event < 0 || e != NO_EVENT)
			pmf_profile_note(
				p, note->level, note->event < 0 ? -1 : (int)e, "%s", note->text);
	}
}

static void merge(struct pmf_profile *p, struct pmf_profile *from, bool only_new)
{
	size_t nr_before = p->nr_events;
	struct merger m = {.p = p,
		.from = from,
		.only_new = only_new,
		.frames = pmf_calloc(from->nr_frames, sizeof *m.frames),
		.events = pmf_calloc(from->nr_events, sizeof *m.events)};

	memset(m.frames, 0xff, from->nr_frames * sizeof *m.frames);
	pmf_index_init(&m.frame_index);
	pmf_index_init(&m.image_index);
	for (size_t i = 0; i < p->nr_frames; i++)
		pmf_index_add(&m.frame_index, hash_frame(p, &p->frames[i]), (uint32_t)i);
	for (size_t i = 0; i < p->nr_build_ids; i++)
		pmf_index_add(&m.image_index, pmf_hash_u64(p->build_ids[i]), (uint32_t)i);
	match_events(&m);
	if (!only_new)
		note_missing(&m, nr_before);
	add_stacks(&m);
	merge_run(&m);
	pmf_index_release(&m.frame_index);
	pmf_index_release(&m.image_index);
	free(m.frames);
	free(m.events);
}

void pmf_profile_merge(struct pmf_profile *p, struct pmf_profile *from)
{
	merge(p, from, false);
}

void pmf_profile_join(struct pmf_profile *p, struct pmf_profile *from)
{
	merge(p, from, true);
}
