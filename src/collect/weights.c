/* How many events a sample stands for. Most say it themselves (their period); software events in
 * frequency mode do not know it, so there it is the difference of two counts. */
#include "collect_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(uint32_t tid, uint64_t id)
{
	return pmf_hash_u64(id << 32 ^ tid);
}

static bool last_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_weights *w = ctx;
	const struct pmf_weight_last *k = key;

	return w->lasts[value].tid == k->tid && w->lasts[value].id == k->id;
}

static uint32_t find(const struct pmf_weights *w, uint32_t tid, uint64_t id)
{
	struct pmf_weight_last key = {.id = id, .tid = tid};

	return pmf_index_find(&w->index, hash_of(tid, id), last_eq, w, &key);
}

void pmf_weights_release(struct pmf_weights *w)
{
	pmf_index_release(&w->index);
	free(w->lasts);
	free(w->ids);
	memset(w, 0, sizeof *w);
}

static void add(struct pmf_weights *w, const struct pmf_record *rec)
{
	size_t i = 0;

	while (i < w->nr_ids && w->ids[i] != rec->id)
		i++;
	if (i == w->nr_ids)
		PMF_PUSH(w->ids, w->nr_ids, w->cap_ids) = rec->id;
	pmf_index_add(&w->index, hash_of(rec->tid, rec->id), (uint32_t)w->n);
	PMF_PUSH(w->lasts, w->n, w->cap) = (struct pmf_weight_last){
		.id = rec->id, .count = rec->sample.count, .tid = rec->tid};
}

uint64_t pmf_weights_of(struct pmf_weights *w, const struct pmf_record *rec)
{
	const struct pmf_sample *smp = &rec->sample;
	uint64_t before;
	uint32_t i;

	if (!smp->has_count)
		return smp->weight;
	i = find(w, rec->tid, rec->id);
	if (i == UINT32_MAX) {
		add(w, rec);
		return smp->count;
	}
	before = w->lasts[i].count;
	w->lasts[i].count = smp->count;
	/* A count that fell was another task's: nothing is known of this one's step. */
	return smp->count >= before ? smp->count - before : 0;
}

void pmf_weights_skip(struct pmf_weights *w, const struct pmf_record *rec)
{
	uint32_t i;

	if (!rec->sample.has_count)
		return;
	i = find(w, rec->tid, rec->id);
	if (i == UINT32_MAX) {
		i = (uint32_t)w->n;
		add(w, rec);
	}
	w->lasts[i].count = UINT64_MAX;
}

void pmf_weights_forget(struct pmf_weights *w, uint32_t tid)
{
	for (size_t k = 0; k < w->nr_ids; k++) {
		uint32_t i = find(w, tid, w->ids[k]), last = (uint32_t)w->n - 1;

		if (i == UINT32_MAX)
			continue;
		pmf_index_remove(&w->index, hash_of(tid, w->ids[k]), i);
		if (i != last) {
			struct pmf_weight_last *moved = &w->lasts[last];

			pmf_index_remove(&w->index, hash_of(moved->tid, moved->id), last);
			pmf_index_add(&w->index, hash_of(moved->tid, moved->id), i);
			w->lasts[i] = *moved;
		}
		w->n--;
	}
}
