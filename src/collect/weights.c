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

static bool task_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_weights *)ctx)->lasts[value].tid == *(const uint32_t *)key;
}

static uint32_t find(const struct pmf_weights *w, uint32_t tid, uint64_t id)
{
	struct pmf_weight_last key = {.id = id, .tid = tid};

	return pmf_index_find(&w->index, hash_of(tid, id), last_eq, w, &key);
}

void pmf_weights_release(struct pmf_weights *w)
{
	pmf_index_release(&w->index);
	pmf_index_release(&w->tasks);
	free(w->lasts);
	memset(w, 0, sizeof *w);
}

/* Whose count a sample carries: a task's, or (0) that of all who run on the CPU. */
static uint32_t owner(const struct pmf_record *rec)
{
	return rec->cpu_wide ? 0 : rec->tid;
}

static void add(struct pmf_weights *w, const struct pmf_record *rec)
{
	struct pmf_weight_last last = {
		.id = rec->id, .count = rec->sample.count, .tid = owner(rec), .next = UINT32_MAX};
	uint32_t at = w->unused,
		 first = pmf_index_find(&w->tasks, pmf_hash_u64(last.tid), task_eq, w, &last.tid);

	if (w->nr_unused) {
		w->nr_unused--;
		w->unused = w->lasts[at].next;
	} else {
		at = (uint32_t)w->n;
		PMF_PUSH(w->lasts, w->n, w->cap) = last;
	}
	if (first == UINT32_MAX) {
		pmf_index_add(&w->tasks, pmf_hash_u64(last.tid), at);
	} else {
		last.next = w->lasts[first].next;
		w->lasts[first].next = at;
	}
	w->lasts[at] = last;
	pmf_index_add(&w->index, hash_of(last.tid, last.id), at);
}

uint64_t pmf_weights_of(struct pmf_weights *w, const struct pmf_record *rec)
{
	const struct pmf_sample *smp = &rec->sample;
	uint64_t before;
	uint32_t i;

	if (!smp->has_count)
		return smp->weight;
	i = find(w, owner(rec), rec->id);
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
	i = find(w, owner(rec), rec->id);
	if (i == UINT32_MAX) {
		add(w, rec);
		i = find(w, owner(rec), rec->id);
	}
	w->lasts[i].count = UINT64_MAX;
}

void pmf_weights_forget(struct pmf_weights *w, uint32_t tid)
{
	uint32_t i = pmf_index_find(&w->tasks, pmf_hash_u64(tid), task_eq, w, &tid), next;

	if (i == UINT32_MAX)
		return;
	pmf_index_remove(&w->tasks, pmf_hash_u64(tid), i);
	for (; i != UINT32_MAX; i = next) {
		next = w->lasts[i].next;
		pmf_index_remove(&w->index, hash_of(tid, w->lasts[i].id), i);
		w->lasts[i].next = w->unused;
		w->unused = i;
		w->nr_unused++;
	}
}
