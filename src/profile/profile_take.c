/* What one profile takes over from another. */
#include "profile_priv.h"

uint32_t pmf_profile_take_string(
	struct pmf_profile *p, const struct pmf_profile *from, uint32_t string)
{
	return pmf_strtab_addz(&p->strings, pmf_strtab_get(&from->strings, string));
}

void pmf_profile_take_name(struct pmf_profile *p, uint32_t frame, const struct pmf_profile *from,
	const struct pmf_frame *named)
{
	pmf_profile_name_frame(p, frame, pmf_strtab_get(&from->strings, named->name),
		pmf_strtab_get(&from->strings, named->file), named->line);
	pmf_profile_set_start_line(p, frame, named->start_line);
	p->frames[frame].unresolved = named->unresolved;
}

void pmf_profile_take_columns(struct pmf_profile *p, size_t event, const struct pmf_profile *from,
	size_t of, const uint32_t *nodes)
{
	for (size_t i = 0; i < from->nr_nodes; i++) {
		p->weights[event][nodes[i]] += from->weights[of][i];
		p->samples[event][nodes[i]] += from->samples[of][i];
		if (from->joined[of] && from->joined[of][i])
			pmf_profile_add_joined(p, event, nodes[i], from->joined[of][i]);
	}
}

void pmf_profile_take_event(struct pmf_profile_event *to, const struct pmf_profile_event *from)
{
	*to = *from;
	to->spec = pmf_strdup_or_null(from->spec);
	to->label = pmf_strdup_or_null(from->label);
	to->unit = pmf_strdup_or_null(from->unit);
	to->file_name = pmf_strdup_or_null(from->file_name);
	to->fallback_reason = pmf_strdup_or_null(from->fallback_reason);
	to->unsampled_name = pmf_strdup_or_null(from->unsampled_name);
}

void pmf_profile_add_sampled(struct pmf_profile_event *to, const struct pmf_profile_event *from)
{
	to->samples += from->samples;
	to->weight += from->weight;
	to->throttled += from->throttled;
	to->joined_stacks += from->joined_stacks;
	to->cut_stacks += from->cut_stacks;
	to->broken_stacks += from->broken_stacks;
	to->rooted_stacks += from->rooted_stacks;
	to->no_user_stack += from->no_user_stack;
	to->skewed_stacks += from->skewed_stacks;
	to->weight_sq += from->weight_sq;
}

void pmf_profile_init_like(struct pmf_profile *p, const struct pmf_profile *like)
{
	pmf_profile_init(p, like->nr_events);
	for (size_t e = 0; e < like->nr_events; e++)
		pmf_profile_take_event(&p->events[e], &like->events[e]);
	for (size_t i = 0; i < like->nr_notes; i++)
		pmf_profile_note(
			p, like->notes[i].level, like->notes[i].event, "%s", like->notes[i].text);
	p->host_note = pmf_strdup_or_null(like->host_note);
	p->watched = pmf_strdup_or_null(like->watched);
	p->ring_bytes = like->ring_bytes;
	p->cpus = like->cpus;
}
