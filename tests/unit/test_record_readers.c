/* Several readers: each sees the whole timeline and its own samples, in order, and all of them
 * together see what one reader sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/mem.h"
#include "record_build.h"
#include <stdlib.h>
#include <string.h>

#define TYPE (PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME)

enum { SIDE_ID = 1, EVENT_ID = 2, RINGS = 5, RING_BYTES = 1 << 14, RECORDS = 4000 };

struct seen {
	uint64_t time_ns;
	uint32_t type, tid;
};

struct reader {
	struct seen *seen;
	size_t n, cap;
};

struct world {
	struct pmf_layouts layouts;
	struct pmf_ring rings[RINGS], *ptrs[RINGS];
	struct reader by[RINGS];
	struct pmf_readers *readers;
	struct build b;
	uint64_t random, time_ns;
	size_t written; /* records, and of them those of the timeline */
	size_t shared;
	int stop; /* what the callback returns for a sample of ring 0 */
};

static int on_record(void *ctx, const struct pmf_record *rec)
{
	struct world *w = ctx;
	struct reader *r = &w->by[rec->reader];

	PMF_PUSH(r->seen, r->n, r->cap) = (struct seen){rec->time_ns, rec->type, rec->tid};
	return rec->type == PERF_RECORD_SAMPLE && rec->tid == 0 ? w->stop : 0;
}

static void make_record(struct world *w, size_t ring, uint32_t type)
{
	struct build_ids ids = {SIDE_ID, w->time_ns, 1, (uint32_t)ring, 0};

	build_start(&w->b, type, 0);
	switch (type) {
	case PERF_RECORD_SAMPLE:
		build_u64(&w->b, EVENT_ID);
		build_u32(&w->b, 1);
		build_u32(&w->b, (uint32_t)ring);
		build_u64(&w->b, w->time_ns);
		break;
	case PERF_RECORD_COMM:
		build_u32(&w->b, 1);
		build_u32(&w->b, (uint32_t)ring);
		build_str(&w->b, "name");
		build_trailer(&w->b, TYPE, &ids);
		break;
	case PERF_RECORD_LOST:
		build_u64(&w->b, SIDE_ID);
		build_u64(&w->b, 1);
		build_trailer(&w->b, TYPE, &ids);
		break;
	default: /* FORK, EXIT */
		for (unsigned i = 0; i < 2; i++)
			build_u32(&w->b, 1);
		for (unsigned i = 0; i < 2; i++)
			build_u32(&w->b, (uint32_t)ring);
		build_u64(&w->b, w->time_ns);
		build_trailer(&w->b, TYPE, &ids);
	}
	build_end(&w->b);
}

/* A record on a random ring at the next nanosecond; false if its ring is full. */
static bool put_record(struct world *w)
{
	static const uint32_t shared[] = {
		PERF_RECORD_COMM, PERF_RECORD_FORK, PERF_RECORD_EXIT, PERF_RECORD_LOST};
	size_t ring = test_random(&w->random) % RINGS;
	bool sample = test_random(&w->random) % 4 != 0;
	struct pmf_ring *r = &w->rings[ring];

	w->time_ns++;
	make_record(w, ring,
		sample ? PERF_RECORD_SAMPLE
		       : shared[test_random(&w->random) % PMF_ARRAY_SIZE(shared)]);
	if (r->head + w->b.len - r->tail > r->size)
		return false;
	for (size_t i = 0; i < w->b.len; i++)
		((uint8_t *)r->data)[(r->head + i) & (r->size - 1)] = w->b.bytes[i];
	r->head += w->b.len;
	w->written++;
	w->shared += !sample;
	return true;
}

static struct world *world_new(size_t readers)
{
	static const struct pmf_layout layouts[] = {
		{.id = SIDE_ID, .event = PMF_NO_EVENT, .sample_type = TYPE},
		{.id = EVENT_ID, .event = 0, .sample_type = TYPE, .period = 1},
	};
	struct world *w = pmf_zalloc(sizeof *w);
	struct pmf_err err = PMF_ERR_INIT;

	w->random = 1 + readers;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(layouts); i++)
		pmf_layouts_add(&w->layouts, &layouts[i]);
	pmf_layouts_seal(&w->layouts);
	for (size_t i = 0; i < RINGS; i++) {
		w->rings[i] = (struct pmf_ring){.data = pmf_zalloc(RING_BYTES), .size = RING_BYTES};
		w->ptrs[i] = &w->rings[i];
	}
	if (pmf_readers_new(&w->readers, &w->layouts, w->ptrs, RINGS, readers, &err))
		fail_msg("%s", err.text);
	return w;
}

static void world_free(struct world *w)
{
	pmf_readers_free(w->readers);
	for (size_t i = 0; i < RINGS; i++) {
		free((void *)w->rings[i].data);
		free(w->by[i].seen);
	}
	pmf_layouts_release(&w->layouts);
	free(w);
}

static void check_reader(const struct world *w, size_t number, size_t *samples)
{
	const struct reader *r = &w->by[number];
	size_t shared = 0;

	for (size_t i = 0; i < r->n; i++) {
		assert_true(i == 0 || r->seen[i - 1].time_ns < r->seen[i].time_ns);
		if (r->seen[i].type == PERF_RECORD_SAMPLE)
			assert_int_equal(pmf_readers_of(w->readers, r->seen[i].tid), number);
		else
			shared++;
	}
	assert_int_equal(shared, w->shared);
	*samples += r->n - shared;
}

static void each_sees_the_timeline_and_its_samples(void **state)
{
	(void)state;
	for (size_t readers = 1; readers <= RINGS; readers++) {
		struct world *w = world_new(readers);
		size_t samples = 0;

		assert_int_equal(pmf_readers_count(w->readers), readers);
		/* The rings wrap many times, and the youngest records wait for the next round. */
		while (w->written < RECORDS) {
			for (unsigned i = 0; i < 100 && put_record(w); i++)
				;
			assert_int_equal(
				pmf_readers_drain(w->readers, w->time_ns - 20, on_record, w), 0);
			for (size_t i = 0; i < readers; i++)
				assert_true(
					w->by[i].seen[w->by[i].n - 1].time_ns < w->time_ns - 20);
		}
		assert_int_equal(pmf_readers_drain(w->readers, UINT64_MAX, on_record, w), 0);
		for (size_t i = 0; i < readers; i++)
			check_reader(w, i, &samples);
		assert_int_equal(samples, w->written - w->shared);
		for (size_t i = 0; i < RINGS; i++)
			assert_int_equal(w->rings[i].tail, w->rings[i].head);
		assert_int_equal(pmf_readers_out_of_order(w->readers), 0);
		assert_int_equal(pmf_readers_malformed(w->readers), 0);
		world_free(w);
	}
}

/* What makes no sense is counted by who owns it, and an error of one reader is everybody's. */
static void faults_are_told_once(void **state)
{
	struct world *w = world_new(3);
	int ret;

	(void)state;
	w->time_ns = 1;
	make_record(w, 0, PERF_RECORD_COMM);
	memset(w->b.bytes + 16, 'x', 8); /* the name has no end */
	memcpy((uint8_t *)w->rings[0].data, w->b.bytes, w->b.len);
	w->rings[0].head = w->b.len;
	assert_int_equal(pmf_readers_drain(w->readers, UINT64_MAX, on_record, w), 0);
	assert_int_equal(pmf_readers_malformed(w->readers), 1);

	w->stop = PMF_EIO;
	do
		put_record(w);
	while ((ret = pmf_readers_drain(w->readers, UINT64_MAX, on_record, w)) == 0);
	assert_int_equal(ret, PMF_EIO);
	assert_int_equal(w->by[0].seen[w->by[0].n - 1].type, PERF_RECORD_SAMPLE);
	world_free(w);
}

static void there_are_never_more_than_rings(void **state)
{
	struct world *w = world_new(100);

	(void)state;
	assert_int_equal(pmf_readers_count(w->readers), RINGS);
	for (size_t i = 0; i < RINGS; i++)
		assert_int_equal(pmf_readers_of(w->readers, i), i);
	world_free(w);
	w = world_new(0);
	assert_int_equal(pmf_readers_count(w->readers), 1);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_sees_the_timeline_and_its_samples),
		cmocka_unit_test(faults_are_told_once),
		cmocka_unit_test(there_are_never_more_than_rings),
	};

	return cmocka_run_group_tests_name("record_readers", tests, NULL, NULL);
}
