/* Rings filled as the kernel fills them against the order, the bytes and the tails of the merge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/hash.h"
#include "pmuflame/mem.h"
#include "record_build.h"
#include <stdlib.h>
#include <string.h>

#define SIDE_TYPE (PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME)
#define SAMPLE_TYPE (SIDE_TYPE | PERF_SAMPLE_IP | PERF_SAMPLE_STACK_USER)
#define DUMMY_TYPE ((uint64_t)PERF_SAMPLE_IDENTIFIER)
#define LEADING_TYPE (PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_RAW)

enum { SIDE_ID = 11, EVENT_ID = 12, TIMELESS_ID = 13, LEADING_ID = 14, MAX_RINGS = 8 };

struct seen {
	uint64_t time_ns, ip, sum;
	const uint8_t *stack;
	uint32_t type;
};

struct world {
	struct pmf_layouts layouts;
	struct pmf_ring rings[MAX_RINGS], *ptrs[MAX_RINGS];
	struct pmf_merge merge;
	struct seen *seen;
	size_t nr_seen, cap_seen;
	uint64_t tail_before; /* of ring 0, as its first record is delivered */
	size_t stop_at;       /* the callback stops at this record, if not 0 */
	struct build b;
};

static struct world *world_new(size_t rings, size_t size)
{
	static const struct pmf_layout layouts[] = {
		{.id = SIDE_ID, .event = PMF_NO_EVENT, .sample_type = SIDE_TYPE},
		{.id = EVENT_ID, .event = 0, .sample_type = SAMPLE_TYPE, .period = 1},
		{.id = TIMELESS_ID, .event = PMF_NO_EVENT, .sample_type = DUMMY_TYPE},
		{.id = LEADING_ID,
			.event = PMF_NO_EVENT,
			.sample_type = LEADING_TYPE,
			.leads = true},
	};
	struct world *w = pmf_zalloc(sizeof *w);
	struct pmf_err err = PMF_ERR_INIT;

	for (size_t i = 0; i < PMF_ARRAY_SIZE(layouts); i++)
		pmf_layouts_add(&w->layouts, &layouts[i]);
	pmf_layouts_seal(&w->layouts);
	for (size_t i = 0; i < rings; i++) {
		w->rings[i].size = size;
		w->rings[i].data = pmf_zalloc(size);
		w->ptrs[i] = &w->rings[i];
	}
	assert_int_equal(pmf_merge_init(&w->merge, &w->layouts, w->ptrs, rings, &err), 0);
	return w;
}

static void world_free(struct world *w)
{
	size_t n = w->merge.n;

	pmf_merge_release(&w->merge);
	for (size_t i = 0; i < n; i++)
		free((void *)w->rings[i].data);
	pmf_layouts_release(&w->layouts);
	free(w->seen);
	free(w);
}

/* Write @n bytes at the ring's head, over its end if need be. */
static void ring_put(struct pmf_ring *r, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		((uint8_t *)r->data)[(r->head + i) & (r->size - 1)] = p[i];
	r->head += n;
}

static bool ring_fits(const struct pmf_ring *r, size_t n)
{
	return r->size - (r->head - r->tail) >= n;
}

static uint64_t stack_sum(const uint8_t *stack, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = sum * 31 + stack[i];
	return sum;
}

/* A sample whose dump depends on @ip; returns what stack_sum makes of the dump. */
static uint64_t make_sample(struct build *b, uint64_t time_ns, uint64_t ip, size_t stack_bytes)
{
	size_t at;

	build_start(b, PERF_RECORD_SAMPLE, 0);
	build_u64(b, EVENT_ID);
	build_u64(b, ip);
	build_u64(b, 0);
	build_u64(b, time_ns);
	build_u64(b, stack_bytes);
	at = b->len;
	for (size_t i = 0; i < stack_bytes / 8; i++)
		build_u64(b, pmf_hash_u64(ip + i));
	if (stack_bytes)
		build_u64(b, stack_bytes);
	build_end(b);
	return stack_sum(b->bytes + at, stack_bytes);
}

static void make_comm(struct build *b, uint64_t id, uint64_t time_ns)
{
	struct build_ids ids = {id, time_ns, 1, 1, 0};

	build_start(b, PERF_RECORD_COMM, 0);
	build_u64(b, 0);
	build_str(b, "comm");
	build_trailer(b, id == TIMELESS_ID ? DUMMY_TYPE : SIDE_TYPE, &ids);
	build_end(b);
}

static void put_comm(struct world *w, size_t ring, uint64_t id, uint64_t time_ns)
{
	make_comm(&w->b, id, time_ns);
	ring_put(&w->rings[ring], w->b.bytes, w->b.len);
}

static int on_record(void *ctx, const struct pmf_record *rec)
{
	struct world *w = ctx;
	struct seen *s;

	if (w->nr_seen == 0)
		w->tail_before = w->rings[0].tail;
	s = &PMF_PUSH(w->seen, w->nr_seen, w->cap_seen);
	*s = (struct seen){.time_ns = rec->time_ns, .type = rec->type};
	if (rec->type == PERF_RECORD_SAMPLE) {
		s->ip = rec->sample.ip;
		s->stack = rec->sample.stack;
		s->sum = stack_sum(rec->sample.stack, rec->sample.stack_bytes);
	}
	return w->nr_seen == w->stop_at ? PMF_EIO : 0;
}

static int drain(struct world *w, uint64_t until_ns)
{
	return pmf_merge_drain(&w->merge, until_ns, on_record, w);
}

static void assert_times(const struct world *w, const uint64_t *times, size_t n)
{
	assert_int_equal(w->nr_seen, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(w->seen[i].time_ns, times[i]);
}

static void test_two_rings_in_time_order(void **state)
{
	static const uint64_t want[] = {10, 15, 20, 25, 30, 31};
	struct world *w = world_new(3, 4096); /* the third stays idle and stalls nothing */

	(void)state;
	put_comm(w, 0, SIDE_ID, 10);
	put_comm(w, 0, SIDE_ID, 20);
	put_comm(w, 0, SIDE_ID, 30);
	put_comm(w, 1, SIDE_ID, 15);
	put_comm(w, 1, SIDE_ID, 25);
	put_comm(w, 1, SIDE_ID, 31);
	assert_int_equal(drain(w, UINT64_MAX), 0);
	assert_times(w, want, PMF_ARRAY_SIZE(want));
	assert_int_equal(w->merge.last_ns, 31);
	assert_int_equal(w->merge.out_of_order, 0);
	assert_int_equal(w->merge.malformed, 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(w->rings[i].tail, w->rings[i].head);
	world_free(w);
}

static void test_margin(void **state)
{
	static const uint64_t want[] = {10, 20, 25, 30, 40};
	struct world *w = world_new(2, 4096);

	(void)state;
	put_comm(w, 0, SIDE_ID, 10);
	put_comm(w, 0, SIDE_ID, 30);
	assert_int_equal(drain(w, 10), 0);
	assert_times(w, want, 0);
	assert_int_equal(w->rings[0].tail, 0);
	/* Late from the other CPU, but not later than the margin. */
	put_comm(w, 1, SIDE_ID, 20);
	assert_int_equal(drain(w, 30), 0);
	assert_times(w, want, 2);
	put_comm(w, 1, SIDE_ID, 25);
	put_comm(w, 1, SIDE_ID, 40);
	assert_int_equal(drain(w, 31), 0);
	assert_times(w, want, 4);
	assert_int_equal(drain(w, UINT64_MAX), 0);
	assert_times(w, want, 5);
	assert_int_equal(drain(w, UINT64_MAX), 0);
	assert_times(w, want, 5);
	assert_int_equal(w->merge.out_of_order, 0);
	world_free(w);
}

static void test_tail_moves_after_the_callback(void **state)
{
	struct world *w = world_new(1, 4096);

	(void)state;
	w->rings[0].head = w->rings[0].tail = 64;
	put_comm(w, 0, SIDE_ID, 10);
	put_comm(w, 0, SIDE_ID, 11);
	w->stop_at = 1;
	assert_int_equal(drain(w, UINT64_MAX), PMF_EIO);
	assert_int_equal(w->tail_before, 64);
	assert_int_equal(w->rings[0].tail, 64 + w->b.len);
	assert_int_equal(w->nr_seen, 1);
	/* The rest comes with the next call. */
	assert_int_equal(drain(w, UINT64_MAX), 0);
	assert_int_equal(w->nr_seen, 2);
	assert_int_equal(w->seen[1].time_ns, 11);
	world_free(w);
}

/* A record at every place of the ring, most of all over its end: the same bytes, in place where it
 * can be. The stream positions themselves pass 2^64 on the way. */
static void test_wrap_at_every_offset(void **state)
{
	enum { SIZE = 2048, STACK = 1024 };
	struct world *w = world_new(1, SIZE);
	struct pmf_ring *r = &w->rings[0];

	(void)state;
	for (size_t i = 0; i < SIZE / 8; i++) {
		uint64_t sum = make_sample(&w->b, 100, i, STACK),
			 start = i * 8 - (uint64_t)SIZE / 2;
		size_t at = start & (SIZE - 1), stack_at = w->b.len - 8 - STACK;
		bool wraps = at + w->b.len > SIZE;

		r->head = r->tail = start;
		ring_put(r, w->b.bytes, w->b.len);
		w->nr_seen = 0;
		assert_int_equal(drain(w, UINT64_MAX), 0);
		assert_int_equal(w->nr_seen, 1);
		assert_int_equal(w->seen[0].ip, i);
		assert_int_equal(w->seen[0].sum, sum);
		assert_int_equal(r->tail, start + w->b.len);
		assert_ptr_equal(w->seen[0].stack, (wraps ? r->wrap : r->data + at) + stack_at);
	}
	assert_int_equal(w->merge.malformed, 0);
	world_free(w);
}

static int by_time(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

/* One run of the kernel and the reader: records with growing times go to any ring that has room,
 * and the reader drains with a margin now and then. Compare with a plain sort. */
static void check_merge_is_sort(size_t rings, uint64_t seed)
{
	enum { RECORDS = 4000, MARGIN = 40 };
	struct world *w = world_new(rings, 4096);
	struct seen *want = pmf_calloc(RECORDS, sizeof *want);
	uint64_t now = 1000, late[MAX_RINGS] = {0};
	size_t n = 0;

	while (n < RECORDS) {
		size_t i = test_random(&seed) % rings;
		struct seen s = {0};

		/* A record's time is taken before it stands in the ring: not in order between
		 * rings. */
		now += 1 + test_random(&seed) % 20;
		s.time_ns = now - test_random(&seed) % MARGIN;
		if (s.time_ns <= late[i])
			s.time_ns = late[i] + 1;
		if (test_random(&seed) % 4) {
			s.type = PERF_RECORD_SAMPLE;
			s.ip = test_random(&seed);
			s.sum = make_sample(&w->b, s.time_ns, s.ip, test_random(&seed) % 100 * 8);
		} else {
			s.type = PERF_RECORD_COMM;
			make_comm(&w->b, SIDE_ID, s.time_ns);
		}
		if (ring_fits(&w->rings[i], w->b.len)) {
			ring_put(&w->rings[i], w->b.bytes, w->b.len);
			late[i] = s.time_ns;
			now = PMF_MAX(now, s.time_ns);
			want[n++] = s;
		}
		if (test_random(&seed) % 8 == 0)
			assert_int_equal(drain(w, now - MARGIN), 0);
	}
	assert_int_equal(drain(w, UINT64_MAX), 0);
	assert_int_equal(w->merge.malformed, 0);
	assert_int_equal(w->merge.out_of_order, 0);
	assert_int_equal(w->nr_seen, n);
	qsort(want, n, sizeof *want, by_time);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(w->seen[i].time_ns, want[i].time_ns);
		/* Records of the same time may come in either order. */
		if (i + 1 < n && want[i + 1].time_ns == want[i].time_ns)
			continue;
		if (i > 0 && want[i - 1].time_ns == want[i].time_ns)
			continue;
		assert_int_equal(w->seen[i].type, want[i].type);
		assert_int_equal(w->seen[i].ip, want[i].ip);
		assert_int_equal(w->seen[i].sum, want[i].sum);
	}
	free(want);
	world_free(w);
}

static void test_merge_is_sort(void **state)
{
	(void)state;
	for (size_t rings = 1; rings <= MAX_RINGS; rings++)
		check_merge_is_sort(rings, 1000 + rings);
}

static void test_out_of_order(void **state)
{
	static const uint64_t want[] = {10, 30, 20, 40};
	struct world *w = world_new(1, 4096);

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(want); i++)
		put_comm(w, 0, SIDE_ID, want[i]);
	assert_int_equal(drain(w, UINT64_MAX), 0);
	assert_times(w, want, PMF_ARRAY_SIZE(want));
	assert_int_equal(w->merge.out_of_order, 1);
	assert_int_equal(w->merge.last_ns, 40);
	world_free(w);
}

static void test_records_without_time(void **state)
{
	static const uint64_t want[] = {10, 0, 20};
	struct world *w = world_new(1, 4096);

	(void)state;
	put_comm(w, 0, SIDE_ID, 10);
	put_comm(w, 0, TIMELESS_ID, 0);
	put_comm(w, 0, SIDE_ID, 20);
	assert_int_equal(drain(w, 15), 0);
	assert_times(w, want, 2);
	assert_int_equal(drain(w, UINT64_MAX), 0);
	assert_times(w, want, 3);
	assert_int_equal(w->merge.out_of_order, 0);
	world_free(w);
}

/* A size that cannot be takes the rest of the ring with it; what is written afterwards is fine. */
/* What a BPF program wrote: @value. */
static void put_leading(struct world *w, size_t ring, uint32_t value)
{
	build_start(&w->b, PERF_RECORD_SAMPLE, 0);
	build_u64(&w->b, LEADING_ID);
	build_u32(&w->b, sizeof value);
	build_u32(&w->b, value);
	build_end(&w->b);
	ring_put(&w->rings[ring], w->b.bytes, w->b.len);
}

static void put_sample(struct world *w, size_t ring, uint64_t time_ns)
{
	make_sample(&w->b, time_ns, time_ns, 0);
	ring_put(&w->rings[ring], w->b.bytes, w->b.len);
}

static int note_raw(void *ctx, const struct pmf_record *rec)
{
	struct world *w = ctx;
	uint32_t value = (uint32_t)rec->time_ns;

	if (rec->sample.raw) {
		assert_int_equal(rec->event, PMF_NO_EVENT);
		assert_int_equal(rec->sample.raw_bytes, sizeof value);
		memcpy(&value, rec->sample.raw, sizeof value);
	}
	PMF_PUSH(w->seen, w->nr_seen, w->cap_seen) = (struct seen){.sum = value};
	return 0;
}

/* They go out right before the record that they lead, whatever other rings hold, and wait for it. */
static void test_leading_records(void **state)
{
	static const uint64_t order[] = {5, 901, 10, 15, 902, 903, 20, 25};
	struct world *w = world_new(2, 4096);

	(void)state;
	put_leading(w, 0, 901);
	put_sample(w, 0, 10);
	put_leading(w, 0, 902);
	put_leading(w, 0, 903);
	put_sample(w, 1, 5);
	put_sample(w, 1, 15);
	assert_int_equal(pmf_merge_drain(&w->merge, 20, note_raw, w), 0);
	assert_int_equal(w->nr_seen, 4); /* what the last two lead is not written yet */
	put_sample(w, 0, 20);
	put_sample(w, 1, 25);
	assert_int_equal(pmf_merge_drain(&w->merge, UINT64_MAX, note_raw, w), 0);
	assert_int_equal(w->nr_seen, PMF_ARRAY_SIZE(order));
	for (size_t i = 0; i < PMF_ARRAY_SIZE(order); i++)
		assert_int_equal(w->seen[i].sum, order[i]);
	assert_int_equal(w->merge.out_of_order, 0);
	assert_int_equal(w->merge.malformed, 0);
	world_free(w);
}

/* One that leads nothing waits for the end, and one before garbage does not. */
static void test_leading_nothing(void **state)
{
	struct world *w = world_new(1, 4096);

	(void)state;
	put_leading(w, 0, 901);
	assert_int_equal(pmf_merge_drain(&w->merge, UINT64_MAX - 1, note_raw, w), 0);
	assert_int_equal(w->nr_seen, 0);
	assert_int_equal(pmf_merge_drain(&w->merge, UINT64_MAX, note_raw, w), 0);
	assert_int_equal(w->nr_seen, 1);
	put_leading(w, 0, 902);
	ring_put(&w->rings[0], "no record", 8);
	assert_int_equal(pmf_merge_drain(&w->merge, 1, note_raw, w), 0);
	assert_int_equal(w->nr_seen, 2);
	assert_int_equal(w->merge.malformed, 1);
	world_free(w);
}

static void test_resync_at_head(void **state)
{
	static const uint16_t sizes[] = {0, 4, 7, 12, 49, 65528};
	static const uint64_t want[] = {10, 40};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(sizes); i++) {
		struct world *w = world_new(2, 4096);

		put_comm(w, 0, SIDE_ID, 10);
		make_comm(&w->b, SIDE_ID, 20);
		memcpy(w->b.bytes + 6, &sizes[i], 2);
		ring_put(&w->rings[0], w->b.bytes, w->b.len);
		put_comm(w, 0, SIDE_ID, 30);
		assert_int_equal(drain(w, UINT64_MAX), 0);
		assert_int_equal(w->merge.malformed, 1);
		assert_int_equal(w->rings[0].tail, w->rings[0].head);
		put_comm(w, 0, SIDE_ID, 40);
		assert_int_equal(drain(w, UINT64_MAX), 0);
		assert_times(w, want, PMF_ARRAY_SIZE(want));
		assert_int_equal(w->merge.malformed, 1);
		world_free(w);
	}
}

/* A record whose size is fine but whose inside is not is skipped alone. */
static void test_bad_record_is_skipped_alone(void **state)
{
	static const uint64_t want[] = {10, 30};
	struct world *w = world_new(1, 4096);
	uint64_t lie = 4096;

	(void)state;
	put_comm(w, 0, SIDE_ID, 10);
	make_sample(&w->b, 20, 1, 64);
	memcpy(w->b.bytes + 40, &lie, 8); /* the dump's size */
	ring_put(&w->rings[0], w->b.bytes, w->b.len);
	put_comm(w, 0, 999, 21); /* an id that nobody has, and the trailers differ */
	build_start(&w->b, PERF_RECORD_SWITCH, 0);
	build_end(&w->b); /* a header and nothing else */
	ring_put(&w->rings[0], w->b.bytes, w->b.len);
	put_comm(w, 0, SIDE_ID, 30);
	assert_int_equal(drain(w, UINT64_MAX), 0);
	assert_times(w, want, PMF_ARRAY_SIZE(want));
	assert_int_equal(w->merge.malformed, 3);
	world_free(w);
}

static void test_impossible_heads(void **state)
{
	static const uint64_t want[] = {10};
	struct world *w = world_new(1, 4096);

	(void)state;
	/* A few bytes that are no header yet. */
	w->rings[0].head = 5;
	assert_int_equal(drain(w, UINT64_MAX), 0);
	assert_int_equal(w->merge.malformed, 0);
	assert_int_equal(w->rings[0].tail, 0);
	/* More than the ring holds: it was overwritten, however well the bytes at the tail look. */
	w->rings[0].head = 0;
	put_comm(w, 0, SIDE_ID, 9);
	w->rings[0].head = 8192;
	assert_int_equal(drain(w, UINT64_MAX), 0);
	assert_int_equal(w->merge.malformed, 1);
	assert_int_equal(w->rings[0].tail, 8192);
	/* Backwards. */
	w->rings[0].head = 4096;
	assert_int_equal(drain(w, UINT64_MAX), 0);
	assert_int_equal(w->merge.malformed, 2);
	assert_int_equal(w->rings[0].tail, 4096);
	put_comm(w, 0, SIDE_ID, 10);
	assert_int_equal(drain(w, UINT64_MAX), 0);
	assert_times(w, want, PMF_ARRAY_SIZE(want));
	world_free(w);
}

/* Rings full of noise: every byte is consumed, nothing outside is read. */
static void test_random_rings(void **state)
{
	uint64_t rnd = 3, delivered = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct world *w = world_new(2, 1024);

		for (size_t k = 0; k < 2; k++) {
			struct pmf_ring *r = &w->rings[k];

			r->head = r->tail = test_random(&rnd) & ~(uint64_t)7;
			while (ring_fits(r, 64)) {
				uint64_t words[8];

				for (size_t j = 0; j < 8; j++)
					words[j] = test_random(&rnd) % 64;
				words[0] |= (uint64_t)(16 + test_random(&rnd) % 6 * 8) << 48;
				ring_put(r, words, words[0] >> 48);
			}
		}
		assert_int_equal(drain(w, UINT64_MAX), 0);
		for (size_t k = 0; k < 2; k++)
			assert_int_equal(w->rings[k].tail, w->rings[k].head);
		delivered += w->nr_seen;
		world_free(w);
	}
	assert_true(delivered > 100);
}

static void test_init_refuses(void **state)
{
	static const uint64_t aligned[8];
	struct pmf_ring good = {.data = (const uint8_t *)aligned, .size = 64}, bad[4];
	struct pmf_layouts ls = {0};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].size = 48;
	bad[1].size = 4;
	bad[2].data++;
	bad[3].tail = 4;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(bad); i++) {
		struct pmf_ring *rings[] = {&good, &bad[i]};
		struct pmf_merge m;
		struct pmf_err err = PMF_ERR_INIT;

		assert_int_equal(pmf_merge_init(&m, &ls, rings, 2, &err), PMF_EFORMAT);
		assert_non_null(strstr(err.text, "ring 1"));
		pmf_merge_release(&m); /* of a failed init: nothing to do */
		assert_null(good.wrap);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_rings_in_time_order),
		cmocka_unit_test(test_margin),
		cmocka_unit_test(test_tail_moves_after_the_callback),
		cmocka_unit_test(test_wrap_at_every_offset),
		cmocka_unit_test(test_merge_is_sort),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_records_without_time),
		cmocka_unit_test(test_leading_records),
		cmocka_unit_test(test_leading_nothing),
		cmocka_unit_test(test_resync_at_head),
		cmocka_unit_test(test_bad_record_is_skipped_alone),
		cmocka_unit_test(test_impossible_heads),
		cmocka_unit_test(test_random_rings),
		cmocka_unit_test(test_init_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
