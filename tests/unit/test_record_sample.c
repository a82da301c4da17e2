/* Samples built by hand, field by field, and bytes that nobody built. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/mem.h"
#include "record_check.h"
#include <stdlib.h>
#include <string.h>

#define HW_INDEX ((uint64_t)PERF_SAMPLE_BRANCH_HW_INDEX)
#define BRANCH_COUNTERS ((uint64_t)1 << 19) /* Linux 6.8 */

/* What a built sample holds, for the comparison. */
struct sample_made {
	uint64_t nr_callchain, nr_branches, abi, stack_size, dyn_size;
	size_t callchain_at, regs_at, stack_at;
};

static void build_sample_tail(
	struct build *b, const struct pmf_layout *l, bool empty_has_index, struct sample_made *m)
{
	uint64_t st = l->sample_type;

	if (st & PERF_SAMPLE_BRANCH_STACK) {
		build_u64(b, m->nr_branches);
		if (l->branch_sample_type & HW_INDEX && (m->nr_branches || empty_has_index))
			build_u64(b, 0xb1b1);
		build_words(b, 3 * m->nr_branches, 0xb000);
		if (l->branch_sample_type & BRANCH_COUNTERS)
			build_words(b, m->nr_branches, 0xb900);
	}
	if (st & PERF_SAMPLE_REGS_USER) {
		build_u64(b, m->abi);
		m->regs_at = b->len;
		if (m->abi)
			build_words(b, (uint64_t)__builtin_popcountll(l->regs_user), 0x5e00);
	}
	if (st & PERF_SAMPLE_STACK_USER) {
		build_u64(b, m->stack_size);
		m->stack_at = b->len;
		build_words(b, m->stack_size / 8, 0x57ac0000);
		if (m->stack_size)
			build_u64(b, m->dyn_size);
	}
	if (st & (PERF_SAMPLE_WEIGHT | PERF_SAMPLE_WEIGHT_STRUCT))
		build_u64(b, 0x3e1);
	if (st & PERF_SAMPLE_DATA_SRC)
		build_u64(b, 0xda7a);
	if (st & PERF_SAMPLE_TRANSACTION)
		build_u64(b, 0x7a);
	if (st & PERF_SAMPLE_REGS_INTR) {
		build_u64(b, PERF_SAMPLE_REGS_ABI_64);
		build_words(b, (uint64_t)__builtin_popcountll(l->regs_intr), 0x1e00);
	}
	if (st & PERF_SAMPLE_PHYS_ADDR)
		build_u64(b, 0xfa);
	if (st & PERF_SAMPLE_CGROUP)
		build_u64(b, 0xc6);
	if (st & PERF_SAMPLE_DATA_PAGE_SIZE)
		build_u64(b, 4096);
	if (st & PERF_SAMPLE_CODE_PAGE_SIZE)
		build_u64(b, 4096);
	if (st & PERF_SAMPLE_AUX) {
		build_u64(b, 16);
		build_words(b, 2, 0xa0a0);
	}
}

static void build_sample(
	struct build *b, const struct pmf_layout *l, bool empty_has_index, struct sample_made *m)
{
	uint64_t st = l->sample_type;

	build_start(b, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER);
	build_u64(b, l->id);
	if (st & PERF_SAMPLE_IP)
		build_u64(b, 0x401000);
	if (st & PERF_SAMPLE_TID) {
		build_u32(b, 100);
		build_u32(b, 101);
	}
	if (st & PERF_SAMPLE_TIME)
		build_u64(b, 7777);
	if (st & PERF_SAMPLE_ADDR)
		build_u64(b, 0xadd4);
	if (st & PERF_SAMPLE_ID)
		build_u64(b, l->id);
	if (st & PERF_SAMPLE_STREAM_ID)
		build_u64(b, 0x57);
	if (st & PERF_SAMPLE_CPU) {
		build_u32(b, 9);
		build_u32(b, 0);
	}
	if (st & PERF_SAMPLE_PERIOD)
		build_u64(b, 1009);
	if (st & PERF_SAMPLE_READ)
		check_build_read(b, l->read_format);
	if (st & PERF_SAMPLE_CALLCHAIN) {
		build_u64(b, m->nr_callchain);
		m->callchain_at = b->len;
		build_words(b, m->nr_callchain, 0xcc00);
	}
	if (st & PERF_SAMPLE_RAW) {
		build_u32(b, 12);
		build_bytes(b, "rawrawrawraw", 12);
	}
	build_sample_tail(b, l, empty_has_index, m);
	build_end(b);
}

static void assert_sample(const struct pmf_layout *l, const struct sample_made *m,
	const uint8_t *data, const struct pmf_record *rec)
{
	uint64_t st = l->sample_type;
	const struct pmf_sample *s = &rec->sample;
	bool regs = st & PERF_SAMPLE_REGS_USER && m->abi, stack = st & PERF_SAMPLE_STACK_USER;

	assert_int_equal(rec->type, PERF_RECORD_SAMPLE);
	assert_int_equal(rec->id, EVENT_ID);
	assert_int_equal(rec->event, EVENT);
	assert_int_equal(s->ip, st & PERF_SAMPLE_IP ? 0x401000 : 0);
	assert_int_equal(rec->pid, st & PERF_SAMPLE_TID ? 100 : 0);
	assert_int_equal(rec->tid, st & PERF_SAMPLE_TID ? 101 : 0);
	assert_int_equal(rec->time_ns, st & PERF_SAMPLE_TIME ? 7777 : 0);
	assert_int_equal(rec->cpu, st & PERF_SAMPLE_CPU ? 9 : 0);
	assert_int_equal(s->weight, st & PERF_SAMPLE_PERIOD ? 1009 : 50);
	assert_int_equal(s->nr_callchain, st & PERF_SAMPLE_CALLCHAIN ? m->nr_callchain : 0);
	if (s->nr_callchain)
		assert_ptr_equal(s->callchain, data + m->callchain_at);
	assert_int_equal(s->regs_abi, regs ? m->abi : 0);
	assert_int_equal(s->regs_mask, regs ? l->regs_user : 0);
	assert_ptr_equal(s->regs, regs ? data + m->regs_at : NULL);
	assert_int_equal(s->stack_asked, stack ? m->stack_size : 0);
	assert_int_equal(s->stack_bytes, stack && m->stack_size ? m->dyn_size : 0);
	assert_ptr_equal(s->stack, stack && m->stack_size ? data + m->stack_at : NULL);
}

/* Any mix of fields: the order and the lengths of what stands before a field decide where it is. */
static void test_sample_any_fields(void **state)
{
	uint64_t rnd = 20240607;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct pmf_layout l = {.id = EVENT_ID,
			.event = EVENT,
			.sample_type = PERF_SAMPLE_IDENTIFIER |
				       (test_random(&rnd) & (PERF_SAMPLE_MAX - 1)),
			.read_format = test_random(&rnd) % PERF_FORMAT_MAX,
			.regs_user = test_random(&rnd) & test_random(&rnd),
			.period = 50,
			.branch_sample_type = (test_random(&rnd) % 2 ? HW_INDEX : 0) |
					      (test_random(&rnd) % 2 ? BRANCH_COUNTERS : 0),
			.regs_intr = test_random(&rnd) & test_random(&rnd)};
		struct sample_made m = {.nr_callchain = test_random(&rnd) % 9,
			.nr_branches = test_random(&rnd) % 4,
			.abi = test_random(&rnd) % 3,
			.stack_size = test_random(&rnd) % 5 * 64};
		struct build b;
		struct pmf_layouts ls;
		struct pmf_record rec;
		uint8_t *copy;

		m.dyn_size = m.stack_size ? test_random(&rnd) % (m.stack_size + 1) : 0;
		check_layouts_make(&ls, &l);
		build_sample(&b, &l, test_random(&rnd) % 2, &m);
		check_parse(&ls, &b, &copy, &rec);
		assert_sample(&l, &m, copy, &rec);
		free(copy);
		pmf_layouts_release(&ls);
	}
}

static const struct pmf_layout full_layout = {.id = EVENT_ID,
	.event = EVENT,
	.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID |
		       PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_READ |
		       PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_RAW | PERF_SAMPLE_REGS_USER |
		       PERF_SAMPLE_STACK_USER | PERF_SAMPLE_REGS_INTR | PERF_SAMPLE_AUX,
	.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_ID,
	.regs_user = 0xff0fff,
	.period = 50,
	.regs_intr = 0xf};

static void test_sample_truncated(void **state)
{
	struct sample_made m = {.nr_callchain = 5, .abi = 2, .stack_size = 128, .dyn_size = 100};
	struct build b;
	struct pmf_layouts ls;

	(void)state;
	check_layouts_make(&ls, &full_layout);
	build_sample(&b, &full_layout, true, &m);
	check_truncations_refused(&ls, &b);
	/* And one word too many is as wrong as one too few. */
	build_u64(&b, 0);
	build_end(&b);
	check_refused(&ls, b.bytes, b.len);
	pmf_layouts_release(&ls);
}

/* Sizes inside a sample that pass its end, among them those that overflow when multiplied. */
static void test_sample_lying_sizes(void **state)
{
	static const uint64_t lies[] = {6, 1000, UINT64_MAX, UINT64_MAX / 8 + 1, UINT64_MAX / 8 + 6,
		(uint64_t)1 << 61, (uint64_t)1 << 63};
	struct sample_made m = {.nr_callchain = 5, .abi = 2, .stack_size = 128, .dyn_size = 100};
	struct build b, lying;
	struct pmf_layouts ls;

	(void)state;
	check_layouts_make(&ls, &full_layout);
	build_sample(&b, &full_layout, true, &m);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(lies); i++) {
		size_t places[] = {
			m.callchain_at - 8, m.stack_at - 8, m.stack_at + 128, b.len - 24};

		for (size_t k = 0; k < PMF_ARRAY_SIZE(places); k++) {
			if (places[k] == m.stack_at + 128 && lies[i] <= 128)
				continue;
			lying = b;
			memcpy(lying.bytes + places[k], &lies[i], 8);
			check_refused(&ls, lying.bytes, lying.len);
		}
	}
	/* Raw data that would leave the registers unaligned. */
	lying = b;
	lying.bytes[m.callchain_at + 40] = 13;
	check_refused(&ls, lying.bytes, lying.len);
	pmf_layouts_release(&ls);
}

static void test_unknown_fields_are_behind(void **state)
{
	struct pmf_layout l = {.id = EVENT_ID,
		.event = EVENT,
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_MAX};
	struct sample_made m = {0};
	struct build b;
	struct pmf_layouts ls;
	struct pmf_record rec;
	uint8_t *copy;

	(void)state;
	check_layouts_make(&ls, &l);
	build_sample(&b, &l, true, &m);
	build_u64(&b, 1);
	build_end(&b);
	check_parse(&ls, &b, &copy, &rec);
	assert_int_equal(rec.sample.ip, 0x401000);
	free(copy);
	pmf_layouts_release(&ls);
}

static uint64_t sum_bytes(const void *data, size_t n, const uint8_t *rec, size_t len)
{
	const uint8_t *p = data;
	uint64_t sum = 0;

	if (n) {
		assert_true(p >= rec && n <= len && p - rec <= (ptrdiff_t)(len - n));
		for (size_t i = 0; i < n; i++)
			sum += p[i];
	}
	return sum;
}

/* Read all that @rec points to: it must lie inside the record. */
static uint64_t touch(const struct pmf_record *rec, const uint8_t *data, size_t len)
{
	const struct pmf_sample *s = &rec->sample;

	switch (rec->type) {
	case PERF_RECORD_SAMPLE:
		assert_true(s->stack_bytes <= s->stack_asked);
		assert_true((uintptr_t)s->regs % 8 == 0 && (uintptr_t)s->callchain % 8 == 0);
		return sum_bytes(s->callchain, s->nr_callchain * 8, data, len) +
		       sum_bytes(
			       s->regs, 8 * (size_t)__builtin_popcountll(s->regs_mask), data, len) +
		       sum_bytes(s->stack, s->stack_asked, data, len);
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		return sum_bytes(rec->mmap.path, strlen(rec->mmap.path) + 1, data, len) +
		       sum_bytes(rec->mmap.build_id, rec->mmap.build_id_len, data, len);
	case PERF_RECORD_COMM:
		return sum_bytes(rec->comm.comm, strlen(rec->comm.comm) + 1, data, len);
	case PERF_RECORD_KSYMBOL:
		return sum_bytes(rec->ksymbol.name, strlen(rec->ksymbol.name) + 1, data, len);
	default:
		return 0;
	}
}

/* Random bytes with a header that leads into the parser: small numbers are common, so that some
 * sizes fit and the parser comes further than the first field. */
static uint8_t *random_record(uint64_t *rnd, size_t *len)
{
	struct perf_event_header h;
	uint64_t id = test_random(rnd) % 2 ? EVENT_ID : SIDE_ID;
	uint8_t *data;

	*len = 16 + test_random(rnd) % 40 * 8;
	data = pmf_malloc(*len);
	for (size_t i = 0; i < *len; i += 8) {
		uint64_t r = test_random(rnd), v = r % 4 ? r >> 8 & 15 : r;

		memcpy(data + i, &v, 8);
	}
	h.type = test_random(rnd) % 2 ? PERF_RECORD_SAMPLE
				      : (uint32_t)(test_random(rnd) % (PERF_RECORD_MAX + 1));
	h.misc = (uint16_t)test_random(rnd);
	h.size = (uint16_t)*len;
	memcpy(data, &h, sizeof h);
	memcpy(data + (h.type == PERF_RECORD_SAMPLE ? 8 : *len - 8), &id, 8);
	return data;
}

static void test_random_bytes(void **state)
{
	uint64_t rnd = 99, parsed = 0, samples = 0, sum = 0;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct pmf_layout l = {.id = EVENT_ID,
			.event = EVENT,
			.sample_type = PERF_SAMPLE_IDENTIFIER |
				       (test_random(&rnd) & test_random(&rnd) &
					       (2 * (uint64_t)PERF_SAMPLE_MAX - 1)),
			.read_format = test_random(&rnd) % PERF_FORMAT_MAX,
			.regs_user = test_random(&rnd) & test_random(&rnd) & test_random(&rnd),
			.branch_sample_type = test_random(&rnd)};
		struct pmf_layouts ls;
		struct pmf_record rec;
		size_t len;
		uint8_t *data = random_record(&rnd, &len);

		check_layouts_make(&ls, &l);
		pmf_record_time(&ls, data, len);
		if (pmf_record_parse(&ls, data, len, &rec, NULL) == 0) {
			parsed++;
			samples += rec.type == PERF_RECORD_SAMPLE;
			sum += touch(&rec, data, len);
		}
		free(data);
		pmf_layouts_release(&ls);
	}
	/* The generator reaches both outcomes, or it tests nothing. */
	assert_in_range(parsed, 5000, 95000);
	assert_true(samples > 500);
	assert_true(sum > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample_any_fields),
		cmocka_unit_test(test_sample_truncated),
		cmocka_unit_test(test_sample_lying_sizes),
		cmocka_unit_test(test_unknown_fields_are_behind),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
