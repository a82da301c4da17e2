/* The events of a recording: their attributes of any age, and which of them a record belongs to. */
#include "perf_data_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

/* An id per event and CPU or thread: more than any machine has, less than a broken file claims. Every
 * event costs a picture and a column of the profile: there are tracepoints for some thousands. */
enum { IDS_MAX = 1 << 20, EVENTS_MAX = 1 << 12 };

bool pmf_pd_attr(const uint8_t *data, size_t len, struct perf_event_attr *out, size_t *used)
{
	memset(out, 0, sizeof *out);
	if (len < PERF_ATTR_SIZE_VER0)
		return false;
	memcpy(out, data, PMF_MIN(len, sizeof *out));
	*used = out->size ? out->size : PERF_ATTR_SIZE_VER0; /* older than its own size field */
	if (*used < PERF_ATTR_SIZE_VER0 || *used > len)
		return false;
	if (*used < sizeof *out)
		memset((uint8_t *)out + *used, 0, sizeof *out - *used);
	return true;
}

static bool same_id(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_perf_data *pd = ctx;
	const uint64_t *id = key;

	return pd->ids[value].id == *id;
}

uint32_t pmf_pd_event_by_id(const struct pmf_perf_data *pd, uint64_t id)
{
	uint32_t i = pmf_index_find(&pd->by_id, pmf_hash_u64(id), same_id, pd, &id);

	return i == UINT32_MAX ? PMF_NO_EVENT : pd->ids[i].event;
}

/* Where records keep their ids is the same for all events, or they could not be told apart:
 * evlist__valid_sample_type() in tools/perf/util/evlist.c refuses to record otherwise. */
static void place_ids(struct pmf_perf_data *pd, const struct perf_event_attr *first)
{
	uint64_t st = first->sample_type;

	pd->trailers = first->sample_id_all;
	if (st & PERF_SAMPLE_IDENTIFIER) {
		pd->id_off = sizeof(struct perf_event_header);
		pd->id_back = 8;
	} else if (st & PERF_SAMPLE_ID) {
		uint64_t before =
			PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR;
		uint64_t from = PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID | PERF_SAMPLE_CPU;

		pd->id_off = sizeof(struct perf_event_header) +
			     8 * (size_t)__builtin_popcountll(st & before);
		pd->id_back = 8 * (size_t)__builtin_popcountll(st & from);
	}
}

void pmf_pd_add_event(struct pmf_perf_data *pd, const struct perf_event_attr *attr,
	const uint8_t *ids, size_t nr_ids)
{
	struct pmf_perf_data_info *info = &pd->info;
	uint32_t number = (uint32_t)info->nr_events;
	bool sideband = attr->type == PERF_TYPE_SOFTWARE && attr->config == PERF_COUNT_SW_DUMMY;

	if (number == EVENTS_MAX || pd->nr_ids + nr_ids > IDS_MAX) {
		pd->damage.malformed++;
		return;
	}
	if (number == 0)
		place_ids(pd, attr);
	PMF_PUSH(info->events, info->nr_events, pd->cap_events) =
		(struct pmf_perf_data_event){.attr = *attr, .sideband = sideband};
	for (size_t i = 0; i < nr_ids; i++) {
		uint64_t id;

		memcpy(&id, ids + i * sizeof id, sizeof id);
		if (pmf_pd_event_by_id(pd, id) == PMF_NO_EVENT)
			pmf_index_add(&pd->by_id, pmf_hash_u64(id), (uint32_t)pd->nr_ids);
		PMF_PUSH(pd->ids, pd->nr_ids, pd->cap_ids) = (struct pmf_pd_id){id, number};
	}
	PMF_PUSH(pd->layouts, pd->nr_layouts, pd->cap_layouts) =
		(struct pmf_layout){.event = sideband ? PMF_NO_EVENT : number,
			.sample_type = attr->sample_type,
			.read_format = attr->read_format,
			.regs_user = attr->sample_regs_user,
			.period = attr->sample_period,
			.branch_sample_type = attr->branch_sample_type,
			.regs_intr = attr->sample_regs_intr};
	if (number == 0) {
		pd->no_event = pd->layouts[0];
		pd->no_event.event = PMF_NO_EVENT;
	}
}

void pmf_pd_finish_events(struct pmf_perf_data *pd)
{
	pd->finished = true;
	for (size_t i = 0; i < pd->info.nr_events; i++) {
		struct pmf_perf_data_event *e = &pd->info.events[i];

		if (!e->name && i < pd->nr_desc && *pd->desc_names[i])
			e->name = pmf_strdup(pd->desc_names[i]);
		for (size_t j = 0; j < pd->nr_types && !e->name; j++)
			if (pd->types[j].config == e->attr.config &&
				e->attr.type == PERF_TYPE_TRACEPOINT)
				e->name = pmf_strdup(pd->types[j].name);
		if (!e->name)
			e->name = pmf_pd_name_of(&e->attr);
	}
}

static bool id_at(const uint8_t *data, size_t len, size_t off, uint64_t *id)
{
	if (off < sizeof(struct perf_event_header) || off > len - sizeof *id)
		return false;
	memcpy(id, data + off, sizeof *id);
	return true;
}

bool pmf_pd_shape(const struct pmf_perf_data *pd, const uint8_t *data, size_t len,
	struct pmf_record_shape *shape)
{
	struct perf_event_header h;
	uint32_t event;
	uint64_t id = 0;
	bool sample;

	memcpy(&h, data, sizeof h);
	sample = h.type == PERF_RECORD_SAMPLE;
	shape->layout = &pd->no_event;
	if (pd->info.nr_events == 1) {
		if (sample || h.type == PERF_RECORD_READ || h.type == PERF_RECORD_LOST_SAMPLES)
			shape->layout = &pd->layouts[0];
	} else if (len >= sizeof h + sizeof id &&
		   (sample ? pd->id_off && id_at(data, len, pd->id_off, &id)
			   : pd->trailers && pd->id_back &&
					   id_at(data, len, len - pd->id_back, &id))) {
		event = pmf_pd_event_by_id(pd, id);
		if (event != PMF_NO_EVENT)
			shape->layout = &pd->layouts[event];
	}
	if (sample && shape->layout == &pd->no_event)
		return false;
	shape->sample_type = sample || pd->trailers ? shape->layout->sample_type : 0;
	return true;
}

void pmf_pd_events_release(struct pmf_perf_data *pd)
{
	for (size_t i = 0; i < pd->info.nr_events; i++) {
		free(pd->info.events[i].name);
		free(pd->info.events[i].unit);
	}
	for (size_t i = 0; i < pd->nr_desc; i++)
		free(pd->desc_names[i]);
	for (size_t i = 0; i < pd->nr_types; i++)
		free(pd->types[i].name);
	free(pd->desc_names);
	free(pd->types);
	free(pd->info.events);
	free(pd->layouts);
	free(pd->ids);
	pmf_index_release(&pd->by_id);
}
