/* perf.data files and streams built by hand: order, groups, losses, streams, compressed records. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "perf_data_build.h"
#include "pmuflame/mem.h"
#include "skip.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef HAVE_LIBZSTD
#include <zstd.h>
#endif

enum {
	TRACING_DATA = 66,
	BUILD_ID = 67,
	ROUND = 68,
	AUXTRACE = 71,
	COMPRESSED = 81,
	COMPRESSED2 = 83,
};

static void assert_times(const struct pd_result *r, const char *want)
{
	char *times = pd_times(r, false);

	assert_string_equal(times, want);
	free(times);
}

static void test_without_rounds_all_is_sorted(void **state)
{
	struct pd_make m = {0};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	struct pd_result r = {0};

	(void)state;
	pd_sample(&m, e, 30, 1);
	pd_sample(&m, e, 10, 1);
	pd_comm(&m, e, 25, "name");
	pd_sample(&m, e, 20, 1);
	pd_read_made(&r, &m);
	assert_times(&r, "10 20 25 30");
	assert_int_equal(r.damage->out_of_order, 0);
	pd_result_release(&r);
	pd_release(&m);
}

/* Two rings of which each round takes what is there: the younger part of the first may be younger than
 * what the second ring has in the next round. */
static void test_rounds_bound_the_order(void **state)
{
	struct pd_make m = {0};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	struct pd_result r = {0};

	(void)state;
	pd_sample(&m, e, 10, 1);
	pd_sample(&m, e, 30, 1);
	pd_sample(&m, e, 5, 1);
	pd_mark(&m, ROUND);
	pd_sample(&m, e, 40, 1);
	pd_sample(&m, e, 20, 1);
	pd_sample(&m, e, 45, 1);
	pd_mark(&m, ROUND);
	pd_sample(&m, e, 28, 1); /* older than what the round before last had: it is too late */
	pd_sample(&m, e, 42, 1);
	pd_mark(&m, ROUND);
	pd_read_made(&r, &m);
	assert_times(&r, "5 10 20 30 28 40 42 45");
	assert_int_equal(r.damage->out_of_order, 1);
	pd_result_release(&r);
	pd_release(&m);
}

/* What has no time stays where it stands, and before all that waits. */
static void test_without_time_at_once(void **state)
{
	struct pd_make m = {0};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	struct pd_result r = {0};

	(void)state;
	pd_comm(&m, e, 3, "header's");
	pd_comm(&m, e, 0, "header's");
	pd_sample(&m, e, 10, 1);
	pd_comm(&m, e, 0, "between");
	pd_comm(&m, e, UINT64_MAX, "between");
	pd_read_made(&r, &m);
	assert_times(&r, "0 0 0 3 10");
	assert_int_equal(r.damage->out_of_order, 0);
	pd_result_release(&r);
	pd_release(&m);
}

static void test_the_callback_can_stop(void **state)
{
	struct pd_make m = {0};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	struct pd_result r = {.stop_after = 2};
	const struct pmf_buf *file;

	(void)state;
	for (uint64_t i = 1; i <= 4; i++)
		pd_sample(&m, e, 10 * i, 1);
	file = pd_finish(&m);
	pd_read(&r, file->data, file->len);
	assert_int_equal(r.ret, -1);
	assert_int_equal(r.nr_seen, 2);
	pd_result_release(&r);
	pd_release(&m);
}

enum { LEADER = 71, MEMBER = 72 };
#define GROUP_TYPE (PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_READ)

static void group_events(struct pd_make *m, bool inherit)
{
	for (uint64_t i = 0; i < 2; i++) {
		struct perf_event_attr *attr = &pd_event(m, i, GROUP_TYPE, LEADER + i)->attr;

		attr->read_format = PERF_FORMAT_GROUP | PERF_FORMAT_ID | PERF_FORMAT_LOST;
		attr->inherit = inherit;
	}
}

/* The counts of two members, the second of which has @id. */
static void group_sample(struct pd_make *m, uint64_t time_ns, uint32_t tid, uint64_t leader,
	uint64_t id, uint64_t member)
{
	static struct build b;

	build_start(&b, PERF_RECORD_SAMPLE, 0);
	build_u64(&b, LEADER);
	build_u32(&b, 7);
	build_u32(&b, tid);
	build_u64(&b, time_ns);
	build_u64(&b, 2);
	build_u64(&b, leader);
	build_u64(&b, LEADER);
	build_u64(&b, 0);
	build_u64(&b, member);
	build_u64(&b, id);
	build_u64(&b, 0);
	pd_record(m, &b);
}

static void test_a_group_sample_is_one_for_each_member(void **state)
{
	struct pd_make m = {0};
	struct pd_result r = {0};

	(void)state;
	group_events(&m, false);
	group_sample(&m, 10, 8, 1000, MEMBER, 50);
	group_sample(&m, 20, 9, 1700, MEMBER, 50); /* the member counted nothing */
	group_sample(&m, 30, 8, 1800, MEMBER, 53);
	group_sample(&m, 40, 8, 1900, 99, 7); /* who is that? */
	pd_read_made(&r, &m);
	assert_times(&r, "10 10 20 30 30 40");
	assert_int_equal(r.info->events[0].samples, 4);
	assert_int_equal(r.info->events[0].weight, 1900);
	assert_int_equal(r.info->events[1].samples, 2);
	assert_int_equal(r.info->events[1].weight, 53);
	assert_int_equal(r.seen[1].event, 1);
	assert_int_equal(r.seen[1].id, MEMBER);
	assert_int_equal(r.seen[4].weight, 3);
	assert_int_equal(r.damage->unknown, 1);
	pd_result_release(&r);
	pd_release(&m);
}

/* With inherit the counters are each thread's own. */
static void test_inherited_groups_count_by_thread(void **state)
{
	struct pd_make m = {0};
	struct pd_result r = {0};

	(void)state;
	group_events(&m, true);
	group_sample(&m, 10, 8, 1000, MEMBER, 50);
	group_sample(&m, 20, 9, 300, MEMBER, 10);
	group_sample(&m, 30, 8, 1500, MEMBER, 60);
	group_sample(&m, 40, 8, 100, MEMBER, 65); /* a new thread has the old one's tid */
	pd_read_made(&r, &m);
	assert_int_equal(r.info->events[0].weight, 1900);
	assert_int_equal(r.info->events[1].weight, 75);
	pd_result_release(&r);
	pd_release(&m);
}

/* PERF_SAMPLE_READ without a group: the count so far of the one event. */
static void test_a_sample_that_says_its_count(void **state)
{
	struct pd_make m = {0};
	struct pd_event *e = pd_event(&m, 0, GROUP_TYPE, 5);
	struct pd_result r = {0};
	static struct build b;

	(void)state;
	e->attr.read_format = PERF_FORMAT_ID | PERF_FORMAT_TOTAL_TIME_ENABLED;
	for (uint64_t i = 0; i < 2; i++) {
		build_start(&b, PERF_RECORD_SAMPLE, 0);
		build_u64(&b, 5);
		build_u64(&b, 7);
		build_u64(&b, 10 + i);
		build_u64(&b, 400 + 100 * i);
		build_u64(&b, 12345);
		build_u64(&b, 5);
		pd_record(&m, &b);
	}
	pd_read_made(&r, &m);
	assert_int_equal(r.info->events[0].samples, 2);
	assert_int_equal(r.info->events[0].weight, 500);
	pd_result_release(&r);
	pd_release(&m);
}

static void add_lost(
	struct pd_make *m, const struct pd_event *e, uint32_t type, uint16_t misc, uint64_t lost)
{
	struct build_ids ids = {e->ids[0], 50, 0, 0, 0};
	static struct build b;

	build_start(&b, type, misc);
	if (type == PERF_RECORD_LOST)
		build_u64(&b, e->ids[0]);
	build_u64(&b, lost);
	build_trailer(&b, e->attr.sample_type, &ids);
	pd_record(m, &b);
}

static void test_losses_are_kept_apart(void **state)
{
	struct pd_make m = {0};
	struct pd_event *a = pd_event(&m, 0, PD_TYPE | PERF_SAMPLE_IDENTIFIER, 1),
			*b = pd_event(&m, 1, PD_TYPE | PERF_SAMPLE_IDENTIFIER, 2);
	struct pd_result r = {0};

	(void)state;
	add_lost(&m, a, PERF_RECORD_LOST, 0, 10);
	add_lost(&m, b, PERF_RECORD_LOST, 0, 5);
	add_lost(&m, a, PERF_RECORD_LOST_SAMPLES, 0, 9);
	add_lost(&m, b, PERF_RECORD_LOST_SAMPLES, 0, 4);
	add_lost(&m, b, PERF_RECORD_LOST_SAMPLES, 1 << 15, 1000); /* a filter's doing */
	pd_read_made(&r, &m);
	assert_int_equal(pmf_perf_data_lost(r.pd)->records, 15);
	assert_int_equal(pmf_perf_data_lost(r.pd)->samples, 13);
	assert_int_equal(r.info->events[0].lost_samples, 9);
	assert_int_equal(r.info->events[1].lost_samples, 4);
	pd_result_release(&r);
	pd_release(&m);
}

/* Payloads that are not counted in their record's size; the first leaves what follows unaligned. */
static void add_payloads(struct pd_make *m)
{
	static struct build b;
	char bytes[48];

	memset(bytes, 9, sizeof bytes); /* read as records these would be samples */
	build_start(&b, TRACING_DATA, 0);
	build_u32(&b, 21);
	b.bytes[6] = 12;
	pmf_buf_add(&m->records, b.bytes, b.len);
	pmf_buf_add(&m->records, bytes, 24);
	build_start(&b, AUXTRACE, 0);
	build_u64(&b, 48);
	build_words(&b, 4, 0);
	pd_record(m, &b);
	pmf_buf_add(&m->records, bytes, 48);
}

static void add_last_build_id(struct pd_make *m)
{
	static struct build b;

	build_start(&b, BUILD_ID, PERF_RECORD_MISC_USER);
	build_u32(&b, UINT32_MAX);
	build_bytes(&b, "012345678901234567890123", 24);
	build_str(&b, "/bin/late");
	pd_record(m, &b);
}

/* A stream in small pieces, longer than a chunk, and the same bytes as a file. */
static void test_streams(void **state)
{
	enum { SAMPLES = 60000 };

	(void)state;
	for (int as_file = 0; as_file < 2; as_file++) {
		struct pd_make m = {.pipe = true};
		struct pd_event *e = pd_event(&m, 0, PD_TYPE | PERF_SAMPLE_IDENTIFIER, 5);
		struct pd_result r = {0};
		const struct pmf_buf *bytes;

		add_payloads(&m);
		for (uint64_t i = 0; i < SAMPLES; i++) {
			pd_sample(&m, e, 1000 + (i ^ 3), 2);
			if (i % 1000 == 999)
				pd_mark(&m, ROUND);
		}
		add_last_build_id(&m);
		bytes = pd_finish(&m);
		(as_file ? pd_read : pd_read_pipe)(&r, bytes->data, bytes->len);
		assert_int_equal(r.ret, 0);
		assert_true(r.info->pipe);
		assert_true(r.info->aux);
		assert_int_equal(r.info->events[0].samples, SAMPLES);
		assert_int_equal(r.info->events[0].weight, 2 * SAMPLES);
		for (size_t i = 0; i < SAMPLES; i++)
			assert_int_equal(r.seen[i].time_ns, 1000 + i);
		assert_int_equal(r.info->nr_build_ids, 1);
		assert_string_equal(r.info->build_ids[0].path, "/bin/late");
		assert_int_equal(r.damage->missing, 0);
		assert_int_equal(r.damage->malformed, 0);
		pd_result_release(&r);
		pd_release(&m);
	}
}

static void test_a_cut_stream(void **state)
{
	struct pd_make m = {.pipe = true};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	struct pd_result r = {0};
	const struct pmf_buf *bytes;

	(void)state;
	pd_sample(&m, e, 10, 1);
	pd_sample(&m, e, 20, 1);
	bytes = pd_finish(&m);
	pd_read_pipe(&r, bytes->data, bytes->len - 16);
	assert_int_equal(r.ret, 0);
	assert_int_equal(r.info->events[0].samples, 1);
	assert_int_equal(r.damage->missing, 16);
	pd_result_release(&r);
	pd_release(&m);
}

/* cat perf.data | …: what is known at the end of a file comes from a pipe as well. */
static void test_a_file_through_a_pipe(void **state)
{
	struct pd_make m = {0};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	struct pd_result r = {0};
	const struct pmf_buf *bytes;

	(void)state;
	for (uint64_t i = 0; i < 50000; i++)
		pd_sample(&m, e, 50000 - i, 1);
	pd_text_feature(&m, 3, "far away");
	bytes = pd_finish(&m);
	pd_read_pipe(&r, bytes->data, bytes->len);
	assert_int_equal(r.ret, 0);
	assert_false(r.info->pipe);
	assert_string_equal(r.info->hostname, "far away");
	assert_int_equal(r.nr_seen, 50000);
	assert_int_equal(r.seen[0].time_ns, 1);
	pd_result_release(&r);
	pd_release(&m);
}

/* The first bytes were read by who wanted to know what this is. */
static void test_bytes_that_were_read_already(void **state)
{
	struct pd_make m = {.pipe = true};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	struct pmf_perf_data *pd;
	struct pmf_err err = PMF_ERR_INIT;
	const struct pmf_buf *bytes;
	int fds[2];

	(void)state;
	pd_sample(&m, e, 10, 1);
	bytes = pd_finish(&m);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], bytes->data + 11, bytes->len - 11), bytes->len - 11);
	close(fds[1]);
	assert_int_equal(pmf_perf_data_open(&pd, fds[0], "-", bytes->data, 11, &err), 0);
	assert_int_equal(pmf_perf_data_info(pd)->nr_events, 1);
	pmf_perf_data_free(pd);
	close(fds[0]);
	pd_release(&m);
}

#ifdef HAVE_LIBZSTD

/* @records as one zstd stream in records of @piece bytes of it. */
static void compress(struct pd_make *m, const struct pmf_buf *records, uint32_t type, size_t piece)
{
	size_t cap = ZSTD_compressBound(records->len);
	char *packed = pmf_malloc(cap);
	size_t len = ZSTD_compress(packed, cap, records->data, records->len, 3);
	static struct build b;

	assert_false(ZSTD_isError(len));
	for (size_t at = 0; at < len; at += piece) {
		size_t n = PMF_MIN(piece, len - at);

		build_start(&b, type, 0);
		if (type == COMPRESSED2)
			build_u64(&b, n);
		build_bytes(&b, packed + at, n);
		if (type == COMPRESSED2) { /* padded; the older kind is not */
			build_bytes(&b, "\0\0\0\0\0\0\0", (8 - b.len % 8) % 8);
			pd_record(m, &b);
		} else {
			uint16_t size = (uint16_t)b.len;

			memcpy(b.bytes + 6, &size, sizeof size);
			pmf_buf_add(&m->records, b.bytes, b.len);
		}
	}
	free(packed);
}

static void make_compressed(struct pd_make *m, uint32_t type, size_t piece)
{
	struct pd_event *e = pd_event(m, 0, PD_TYPE | PERF_SAMPLE_IDENTIFIER, 5);
	struct pmf_buf plain;

	for (uint64_t i = 0; i < 30000; i++)
		pd_sample(m, e, 30000 - i, 3);
	plain = m->records;
	m->records = (struct pmf_buf)PMF_BUF_INIT;
	pd_comm(m, e, 0, "first");
	compress(m, &plain, type, piece);
	pd_mark(m, ROUND);
	pmf_buf_release(&plain);
}

static void test_compressed_records(void **state)
{
	static const size_t pieces[] = {1, 333, 60000};

	(void)state;
	for (size_t i = 0; i < 4 * PMF_ARRAY_SIZE(pieces); i++) {
		struct pd_make m = {.pipe = i & 1};
		struct pd_result r = {0};
		const struct pmf_buf *bytes;

		make_compressed(&m, i & 2 ? COMPRESSED2 : COMPRESSED, pieces[i / 4]);
		bytes = pd_finish(&m);
		(i & 1 ? pd_read_pipe : pd_read)(&r, bytes->data, bytes->len);
		assert_int_equal(r.ret, 0);
		assert_int_equal(r.damage->stopped.status, PMF_OK);
		assert_int_equal(r.info->events[0].samples, 30000);
		assert_int_equal(r.info->events[0].weight, 90000);
		assert_int_equal(r.seen[0].type, PERF_RECORD_COMM);
		assert_int_equal(r.seen[30000].time_ns, 30000);
		assert_int_equal(r.damage->malformed, 0);
		pd_result_release(&r);
		pd_release(&m);
	}
}

/* What was unpacked before the damage counts, and the damage is told. */
static void test_broken_compressed_records(void **state)
{
	struct pd_make m = {0};
	struct pd_result r = {0};
	const struct pmf_buf *bytes;

	(void)state;
	make_compressed(&m, COMPRESSED, 333);
	for (size_t at = 0; at < m.records.len;) {
		struct perf_event_header h;

		memcpy(&h, m.records.data + at, sizeof h);
		if (h.type == COMPRESSED && at > m.records.len / 2)
			memset(m.records.data + at + sizeof h, 0xff, h.size - sizeof h);
		at += h.size;
	}
	bytes = pd_finish(&m);
	pd_read(&r, bytes->data, bytes->len);
	assert_int_equal(r.ret, 0);
	assert_int_not_equal(r.damage->stopped.status, PMF_OK);
	assert_in_range(r.info->events[0].samples, 1, 29999);
	pd_result_release(&r);
	pd_release(&m);
}

/* Compressed inside compressed: perf does not, and a file must not make the reader recurse. */
static void test_nested_compression_is_refused(void **state)
{
	struct pd_make m = {0};
	struct pd_result r = {0};
	struct pmf_buf inner;

	(void)state;
	make_compressed(&m, COMPRESSED2, 60000);
	inner = m.records;
	m.records = (struct pmf_buf)PMF_BUF_INIT;
	compress(&m, &inner, COMPRESSED2, 60000);
	pd_read_made(&r, &m);
	assert_int_equal(r.info->events[0].samples, 0);
	assert_true(r.damage->malformed > 0);
	pmf_buf_release(&inner);
	pd_result_release(&r);
	pd_release(&m);
}

/* A few bytes that unpack to gigabytes end with a sentence. */
static void test_a_bomb_is_refused(void **state)
{
	struct pd_make m = {0};
	struct pd_result r = {0};
	struct pmf_buf rounds = PMF_BUF_INIT;

	(void)state;
	pd_event(&m, 0, PD_TYPE, 0);
	for (size_t i = 0; i < (260u << 20) / 8; i++)
		pmf_buf_add(&rounds, "\x44\0\0\0\0\0\x8\0", 8); /* FINISHED_ROUND */
	compress(&m, &rounds, COMPRESSED, 65000);
	pmf_buf_release(&rounds);
	pd_read_made(&r, &m);
	assert_int_equal(r.damage->stopped.status, PMF_EFORMAT);
	assert_non_null(strstr(r.damage->stopped.text, "more than perf writes"));
	pd_result_release(&r);
	pd_release(&m);
}

#else

static void test_compressed_records(void **state)
{
	struct pd_make m = {0};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	struct pd_result r = {0};

	(void)state;
	pd_comm(&m, e, 0, "first");
	pd_mark(&m, COMPRESSED);
	pd_read_made(&r, &m);
	assert_int_equal(r.nr_seen, 1);
	assert_int_equal(r.damage->stopped.status, PMF_EUNSUP);
	assert_non_null(strstr(r.damage->stopped.text, "libzstd-dev"));
	pd_result_release(&r);
	pd_release(&m);
}

#define NEEDS_ZSTD(name) \
	static void name(void **state) \
	{ \
		(void)state; \
		skip_because("built without libzstd"); \
	}
NEEDS_ZSTD(test_broken_compressed_records)
NEEDS_ZSTD(test_nested_compression_is_refused)
NEEDS_ZSTD(test_a_bomb_is_refused)

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_rounds_all_is_sorted),
		cmocka_unit_test(test_rounds_bound_the_order),
		cmocka_unit_test(test_without_time_at_once),
		cmocka_unit_test(test_the_callback_can_stop),
		cmocka_unit_test(test_a_group_sample_is_one_for_each_member),
		cmocka_unit_test(test_inherited_groups_count_by_thread),
		cmocka_unit_test(test_a_sample_that_says_its_count),
		cmocka_unit_test(test_losses_are_kept_apart),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_a_cut_stream),
		cmocka_unit_test(test_a_file_through_a_pipe),
		cmocka_unit_test(test_bytes_that_were_read_already),
		cmocka_unit_test(test_compressed_records),
		cmocka_unit_test(test_broken_compressed_records),
		cmocka_unit_test(test_nested_compression_is_refused),
		cmocka_unit_test(test_a_bomb_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
