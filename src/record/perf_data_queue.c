/* Records in time order. perf writes what it finds in each ring in turn, and FINISHED_ROUND after the
 * last; a ring is in order by itself. So once a second round is over, nothing older than the first
 * one's newest record can follow. Records without a time go out at once, as in perf. */
#include "perf_data_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

#define NO_TIME UINT64_MAX         /* perf writes this or 0 into records of its own making */
enum { LOST_BY_FILTER = 1 << 15 }; /* misc of LOST_SAMPLES: bpf filters dropped them as asked */

static bool same_count(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_pd_count *have = &((const struct pmf_perf_data *)ctx)->counts[value],
				  *want = key;

	return have->id == want->id && have->tid == want->tid;
}

/* What counter @id counted since it was last asked. With inherit each thread counts for itself. A lower
 * count is a new one: the tid is another thread's now. */
static uint64_t count_since(struct pmf_perf_data *pd, uint64_t id, uint32_t tid, uint64_t value)
{
	struct pmf_pd_count key = {id, value, tid}, *c;
	uint64_t hash = pmf_hash_u64(id ^ (uint64_t)tid << 32), since = value;
	uint32_t i = pmf_index_find(&pd->by_count, hash, same_count, pd, &key);

	if (i == UINT32_MAX) {
		pmf_index_add(&pd->by_count, hash, (uint32_t)pd->nr_counts);
		PMF_PUSH(pd->counts, pd->nr_counts, pd->cap_counts) = key;
		return since;
	}
	c = &pd->counts[i];
	if (value >= c->value)
		since -= c->value;
	c->value = value;
	return since;
}

static void give(struct pmf_perf_data *pd, const struct pmf_record *rec)
{
	int ret;

	if (rec->type == PERF_RECORD_SAMPLE && rec->event != PMF_NO_EVENT) {
		struct pmf_perf_data_event *e = &pd->info.events[rec->event];

		e->samples++;
		e->weight += rec->sample.weight;
	}
	ret = pd->cb(pd->ctx, rec);
	pd->ret = PMF_MIN(ret, 0);
}

/* A sample that says what @event counted so far stands for what it counted since. */
static void give_counted(struct pmf_perf_data *pd, struct pmf_record *rec, uint32_t leader,
	uint64_t id, uint64_t value)
{
	const struct perf_event_attr *attr = &pd->info.events[leader].attr;
	bool per_thread = attr->inherit && attr->sample_type & PERF_SAMPLE_TID;
	uint64_t since = count_since(pd, id, per_thread ? rec->tid : 0, value);

	rec->id = id;
	rec->sample.weight = since;
	rec->sample.has_count = false; /* what it counted is its weight now */
	if (since && pd->ret >= 0)
		give(pd, rec);
}

static void give_sample(struct pmf_perf_data *pd, struct pmf_record *rec, uint32_t leader)
{
	const struct pmf_sample s = rec->sample;

	if (!(pd->layouts[leader].sample_type & PERF_SAMPLE_READ)) {
		give(pd, rec);
		return;
	}
	if (s.has_count) {
		give_counted(pd, rec, leader, s.count_id ? s.count_id : rec->id, s.count);
		return;
	}
	for (size_t i = 0; i < s.nr_group; i++) {
		const uint64_t *member = s.group + i * s.group_words;
		uint32_t event =
			s.group_words > 1 ? pmf_pd_event_by_id(pd, member[1]) : PMF_NO_EVENT;

		if (event == PMF_NO_EVENT) {
			pd->damage.unknown++;
			continue;
		}
		rec->event = pd->layouts[event].event;
		give_counted(pd, rec, leader, member[1], member[0]);
	}
}

static void note_lost(struct pmf_perf_data *pd, const struct pmf_record *rec)
{
	if (rec->type == PERF_RECORD_LOST) {
		pd->lost.records += rec->lost.lost;
	} else if (!(rec->misc & LOST_BY_FILTER)) {
		pd->lost.samples += rec->lost.lost;
		if (rec->event != PMF_NO_EVENT)
			pd->info.events[rec->event].lost_samples += rec->lost.lost;
	}
}

static void deliver(struct pmf_perf_data *pd, const uint8_t *data, size_t len)
{
	struct pmf_record_shape shape;
	struct pmf_record rec;

	if ((uintptr_t)data % sizeof *pd->bounce) {
		if (!pd->bounce)
			pd->bounce = pmf_malloc(PMF_PD_RECORD_MAX);
		memcpy(pd->bounce, data, len);
		data = (const uint8_t *)pd->bounce;
	}
	if (!pmf_pd_shape(pd, data, len, &shape) ||
		pmf_record_parse_shaped(&shape, data, len, &rec, NULL)) {
		pd->damage.malformed++;
		return;
	}
	if (rec.time_ns == NO_TIME)
		rec.time_ns = 0;
	if (rec.time_ns && rec.time_ns < pd->delivered_ns)
		pd->damage.out_of_order++;
	pd->delivered_ns = PMF_MAX(pd->delivered_ns, rec.time_ns);
	if (rec.type == PERF_RECORD_LOST || rec.type == PERF_RECORD_LOST_SAMPLES)
		note_lost(pd, &rec);
	if (rec.type == PERF_RECORD_SAMPLE)
		give_sample(pd, &rec, (uint32_t)(shape.layout - pd->layouts));
	else
		give(pd, &rec);
}

void pmf_pd_enqueue(struct pmf_perf_data *pd, struct pmf_pd_chunk *chunk, size_t at, size_t len)
{
	const uint8_t *data = chunk->data + at;
	struct perf_event_header h;
	struct pmf_record_shape shape;
	uint64_t time_ns = 0;
	size_t off;

	memcpy(&h, data, sizeof h);
	if (!pmf_pd_shape(pd, data, len, &shape)) {
		pd->damage.unknown++;
		return;
	}
	off = pmf_record_time_offset(&shape, h.type, len);
	if (off)
		memcpy(&time_ns, data + off, sizeof time_ns);
	if (time_ns == NO_TIME)
		time_ns = 0;
	if (!time_ns && pd->cb) {
		deliver(pd, data, len);
		return;
	}
	PMF_PUSH(pd->queue, pd->nr_queue, pd->cap_queue) =
		(struct pmf_pd_waiting){time_ns, chunk->base + at};
	chunk->waiting++;
	pd->newest_ns = PMF_MAX(pd->newest_ns, time_ns);
}

static int by_time(const void *a, const void *b)
{
	const struct pmf_pd_waiting *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return (x->pos > y->pos) - (x->pos < y->pos);
}

static void sort(struct pmf_perf_data *pd)
{
	if (pd->nr_queue)
		qsort(pd->queue, pd->nr_queue, sizeof *pd->queue, by_time);
}

/* Deliver the first @n of the sorted queue. */
static void deliver_first(struct pmf_perf_data *pd, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t pos = pd->queue[i].pos;
		struct pmf_pd_chunk *chunk = pmf_pd_chunk_at(pd, pos);
		const uint8_t *data = chunk->data + (pos - chunk->base);
		struct perf_event_header h;

		if (pd->ret >= 0) {
			memcpy(&h, data, sizeof h);
			deliver(pd, data, h.size);
			pmf_pd_touch(pd, chunk, h.size);
		}
		pmf_pd_chunk_leave(pd, chunk);
	}
	if (n) {
		pd->nr_queue -= n;
		memmove(pd->queue, pd->queue + n, pd->nr_queue * sizeof *pd->queue);
	}
}

void pmf_pd_flush(struct pmf_perf_data *pd, uint64_t until_ns)
{
	size_t n = 0;

	sort(pd);
	while (n < pd->nr_queue && pd->queue[n].time_ns <= until_ns)
		n++;
	deliver_first(pd, n);
}

void pmf_pd_round(struct pmf_perf_data *pd)
{
	pmf_pd_flush(pd, pd->round_ns);
	pd->round_ns = pd->newest_ns;
}

void pmf_pd_flush_half(struct pmf_perf_data *pd)
{
	sort(pd);
	deliver_first(pd, pd->nr_queue - pd->nr_queue / 2);
}

void pmf_pd_queue_release(struct pmf_perf_data *pd)
{
	free(pd->queue);
	free(pd->counts);
	free(pd->bounce);
	pmf_index_release(&pd->by_count);
}
