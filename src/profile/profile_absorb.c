/* One profile into another: what several recorders of one run saw. */
#include "profile_priv.h"

#include <stdlib.h>

static uint32_t take_frame(struct pmf_profile *p, const struct pmf_profile *from,
	const struct pmf_frame *f, const uint32_t *images)
{
	uint32_t id;

	if (f->image == UINT32_MAX && f->name) {
		id = pmf_profile_frame_named(p, f->kind, pmf_strtab_get(&from->strings, f->name));
		if (f->module && !p->frames[id].module)
			p->frames[id].module = pmf_profile_take_string(p, from, f->module);
		return id;
	}
	id = pmf_profile_frame_at(p, f->kind,
		f->image == UINT32_MAX ? UINT32_MAX : images[f->image],
		pmf_profile_take_string(p, from, f->module),
		pmf_profile_take_string(p, from, f->path), f->rva);
	if (f->name && !p->frames[id].name)
		pmf_profile_take_name(p, id, from, f);
	return id;
}

uint32_t pmf_profile_take_frame(struct pmf_profile *p, const struct pmf_profile *from,
	uint32_t frame, const uint32_t *images)
{
	return take_frame(p, from, &from->frames[frame], images);
}

uint32_t *pmf_profile_absorb(
	struct pmf_profile *p, const struct pmf_profile *from, const uint32_t *images)
{
	uint32_t *frames = pmf_calloc(from->nr_frames, sizeof *frames);
	uint32_t *nodes = pmf_calloc(from->nr_nodes, sizeof *nodes);

	for (size_t i = 0; i < from->nr_frames; i++)
		frames[i] = take_frame(p, from, &from->frames[i], images);
	/* Parents stand before their children; node 0 is the root of both. */
	for (size_t i = 1; i < from->nr_nodes; i++)
		nodes[i] = pmf_profile_node(
			p, nodes[from->nodes[i].parent], frames[from->nodes[i].frame]);
	for (size_t e = 0; e < from->nr_events; e++) {
		pmf_profile_take_columns(p, e, from, e, nodes);
		pmf_profile_add_sampled(&p->events[e], &from->events[e]);
	}
	free(frames);
	return nodes;
}
