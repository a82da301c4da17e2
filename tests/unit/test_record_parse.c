/* Records built by hand against what the parser makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/mem.h"
#include "record_check.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

static const struct build_ids ids = {SIDE_ID, 123456789, 41, 42, 7};

static void assert_sideband(const struct pmf_record *rec, uint32_t type)
{
	assert_int_equal(rec->type, type);
	assert_int_equal(rec->id, SIDE_ID);
	assert_int_equal(rec->time_ns, ids.time_ns);
	assert_int_equal(rec->cpu, ids.cpu);
	assert_int_equal(rec->event, PMF_NO_EVENT);
}

/* End @b as sideband, parse it, and try its truncations too. */
static void sideband(struct build *b, uint8_t **copy, struct pmf_record *rec)
{
	struct pmf_layouts ls;
	struct pmf_layout event = {
		.id = EVENT_ID, .event = EVENT, .sample_type = PERF_SAMPLE_IDENTIFIER};
	struct perf_event_header h;

	build_trailer(b, SIDE_TYPE, &ids);
	build_end(b);
	check_layouts_make(&ls, &event);
	check_parse(&ls, b, copy, rec);
	memcpy(&h, b->bytes, sizeof h);
	assert_sideband(rec, h.type);
	check_truncations_refused(&ls, b);
	pmf_layouts_release(&ls);
}

static void build_mmap_head(struct build *b, uint32_t type, uint16_t misc)
{
	build_start(b, type, misc);
	build_u32(b, 100);
	build_u32(b, 101);
	build_u64(b, 0x7f0000001000);
	build_u64(b, 0x2000);
	build_u64(b, 0x3000);
}

static void assert_mmap(const struct pmf_record *rec, const char *path)
{
	assert_int_equal(rec->pid, 100);
	assert_int_equal(rec->tid, 101);
	assert_int_equal(rec->mmap.start, 0x7f0000001000);
	assert_int_equal(rec->mmap.len, 0x2000);
	assert_int_equal(rec->mmap.pgoff, 0x3000);
	assert_string_equal(rec->mmap.path, path);
}

static void test_mmap(void **state)
{
	struct build b;
	struct pmf_record rec;
	uint8_t *copy;

	(void)state;
	build_mmap_head(&b, PERF_RECORD_MMAP, PERF_RECORD_MISC_USER);
	build_str(&b, "/usr/lib/libm.so.6");
	sideband(&b, &copy, &rec);
	assert_mmap(&rec, "/usr/lib/libm.so.6");
	assert_int_equal(rec.misc, PERF_RECORD_MISC_USER);
	assert_int_equal(rec.mmap.prot, PROT_READ | PROT_EXEC);
	free(copy);

	build_mmap_head(&b, PERF_RECORD_MMAP, PERF_RECORD_MISC_MMAP_DATA);
	build_str(&b, "//anon");
	sideband(&b, &copy, &rec);
	assert_mmap(&rec, "//anon");
	assert_int_equal(rec.mmap.prot, PROT_READ);
	free(copy);
}

static void test_mmap2(void **state)
{
	struct build b;
	struct pmf_record rec;
	uint8_t *copy;

	(void)state;
	build_mmap_head(&b, PERF_RECORD_MMAP2, 0);
	build_u32(&b, 8);
	build_u32(&b, 17);
	build_u64(&b, 0x1234567890);
	build_u64(&b, 5);
	build_u32(&b, PROT_READ | PROT_EXEC);
	build_u32(&b, MAP_PRIVATE);
	build_str(&b, "1234567"); /* fills its eight bytes exactly */
	sideband(&b, &copy, &rec);
	assert_mmap(&rec, "1234567");
	assert_int_equal(rec.mmap.dev, makedev(8, 17));
	assert_int_equal(rec.mmap.ino, 0x1234567890);
	assert_int_equal(rec.mmap.prot, PROT_READ | PROT_EXEC);
	assert_null(rec.mmap.build_id);
	assert_int_equal(rec.mmap.build_id_len, 0);
	free(copy);
}

static void build_mmap2_build_id(struct build *b, uint8_t len)
{
	uint8_t id[24] = {len};

	for (uint8_t i = 0; i < 20; i++)
		id[4 + i] = (uint8_t)(0xa0 + i);
	build_mmap_head(b, PERF_RECORD_MMAP2, PERF_RECORD_MISC_MMAP_BUILD_ID);
	build_bytes(b, id, sizeof id);
	build_u32(b, PROT_EXEC);
	build_u32(b, 0);
	build_str(b, "/bin/x");
}

static void test_mmap2_build_id(void **state)
{
	struct build b;
	struct pmf_record rec;
	struct pmf_layouts ls;
	uint8_t *copy;

	(void)state;
	build_mmap2_build_id(&b, 20);
	sideband(&b, &copy, &rec);
	assert_mmap(&rec, "/bin/x");
	assert_int_equal(rec.mmap.build_id_len, 20);
	assert_int_equal(rec.mmap.build_id[0], 0xa0);
	assert_int_equal(rec.mmap.build_id[19], 0xa0 + 19);
	assert_int_equal(rec.mmap.dev, 0);
	assert_int_equal(rec.mmap.ino, 0);
	assert_int_equal(rec.mmap.prot, PROT_EXEC);
	free(copy);

	build_mmap2_build_id(&b, 21);
	build_trailer(&b, SIDE_TYPE, &ids);
	build_end(&b);
	check_layouts_make(&ls, NULL);
	check_refused(&ls, b.bytes, b.len);
	pmf_layouts_release(&ls);
}

static void test_mmap_beyond_address_space(void **state)
{
	struct build b;
	struct pmf_layouts ls;
	struct pmf_record rec;
	uint64_t len = -(uint64_t)0x7f0000001000;
	uint8_t *copy;

	(void)state;
	check_layouts_make(&ls, NULL);
	build_mmap_head(&b, PERF_RECORD_MMAP, 0);
	build_str(&b, "x");
	build_trailer(&b, SIDE_TYPE, &ids);
	build_end(&b);
	memcpy(b.bytes + 24, &len, sizeof len);
	check_refused(&ls, b.bytes, b.len);
	len--; /* the end is the last address, as of perf's own record for the kernel */
	memcpy(b.bytes + 24, &len, sizeof len);
	check_parse(&ls, &b, &copy, &rec);
	assert_int_equal(rec.mmap.start + rec.mmap.len, UINT64_MAX);
	free(copy);
	pmf_layouts_release(&ls);
}

static void test_string_without_end(void **state)
{
	struct build b;
	struct pmf_layouts ls;

	(void)state;
	check_layouts_make(&ls, NULL);
	build_start(&b, PERF_RECORD_COMM, 0);
	build_u32(&b, 1);
	build_u32(&b, 1);
	build_bytes(&b, "abcdefgh", 8);
	/* The trailer's first bytes hold a zero, which must not end the name. */
	build_trailer(&b, SIDE_TYPE, &ids);
	build_end(&b);
	check_refused(&ls, b.bytes, b.len);
	pmf_layouts_release(&ls);
}

static void test_comm(void **state)
{
	struct build b;
	struct pmf_record rec;
	uint8_t *copy;

	(void)state;
	for (int exec = 0; exec < 2; exec++) {
		build_start(&b, PERF_RECORD_COMM, exec ? PERF_RECORD_MISC_COMM_EXEC : 0);
		build_u32(&b, 100);
		build_u32(&b, 101);
		build_str(&b, "backtest");
		sideband(&b, &copy, &rec);
		assert_int_equal(rec.pid, 100);
		assert_int_equal(rec.tid, 101);
		assert_string_equal(rec.comm.comm, "backtest");
		assert_int_equal(rec.comm.exec, exec);
		free(copy);
	}
}

static void test_task(void **state)
{
	static const uint32_t types[] = {PERF_RECORD_FORK, PERF_RECORD_EXIT};
	struct build b;
	struct pmf_record rec;
	uint8_t *copy;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(types); i++) {
		build_start(&b, types[i], 0);
		build_u32(&b, 100);
		build_u32(&b, 90);
		build_u32(&b, 101);
		build_u32(&b, 91);
		build_u64(&b, 99);
		sideband(&b, &copy, &rec);
		assert_int_equal(rec.pid, 100);
		assert_int_equal(rec.tid, 101);
		assert_int_equal(rec.task.ppid, 90);
		assert_int_equal(rec.task.ptid, 91);
		free(copy);
	}
}

static void test_lost(void **state)
{
	struct build b;
	struct pmf_record rec;
	uint8_t *copy;

	(void)state;
	build_start(&b, PERF_RECORD_LOST, 0);
	build_u64(&b, 0x999);
	build_u64(&b, 558);
	sideband(&b, &copy, &rec);
	assert_int_equal(rec.lost.lost, 558);
	assert_int_equal(rec.pid, ids.pid);
	assert_int_equal(rec.tid, ids.tid);
	free(copy);

	build_start(&b, PERF_RECORD_LOST_SAMPLES, 0);
	build_u64(&b, 34);
	sideband(&b, &copy, &rec);
	assert_int_equal(rec.lost.lost, 34);
	free(copy);
}

static void test_throttle(void **state)
{
	static const uint32_t types[] = {PERF_RECORD_THROTTLE, PERF_RECORD_UNTHROTTLE};
	struct build b;
	struct pmf_record rec;
	uint8_t *copy;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(types); i++) {
		build_start(&b, types[i], 0);
		for (uint64_t word = 1; word <= 3; word++)
			build_u64(&b, word);
		sideband(&b, &copy, &rec);
		assert_int_equal(rec.pid, ids.pid);
		free(copy);
	}
}

static void test_unknown_type(void **state)
{
	static const uint32_t types[] = {PERF_RECORD_SWITCH, PERF_RECORD_MAX + 70, UINT32_MAX};
	struct build b;
	struct pmf_layouts ls;
	struct pmf_record rec;
	uint8_t *copy;

	(void)state;
	check_layouts_make(&ls, NULL);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(types); i++) {
		build_start(&b, types[i], 0);
		build_u64(&b, 1);
		build_trailer(&b, SIDE_TYPE, &ids);
		build_end(&b);
		check_parse(&ls, &b, &copy, &rec);
		assert_sideband(&rec, types[i]);
		assert_int_equal(rec.tid, ids.tid);
		free(copy);
		/* Not even the trailer fits. */
		copy = build_exact(&b, 48, 48);
		memcpy(copy + 40, &ids.id, 8);
		check_refused(&ls, copy, 48);
		free(copy);
	}
	pmf_layouts_release(&ls);
}

static void test_ksymbol(void **state)
{
	struct build b;
	struct pmf_record rec;
	uint8_t *copy;

	(void)state;
	build_start(&b, PERF_RECORD_KSYMBOL, 0);
	build_u64(&b, 0xffffffffc0001000);
	build_u32(&b, 77);
	build_u16(&b, PERF_RECORD_KSYMBOL_TYPE_BPF);
	build_u16(&b, PERF_RECORD_KSYMBOL_FLAGS_UNREGISTER);
	build_str(&b, "bpf_prog_1");
	sideband(&b, &copy, &rec);
	assert_int_equal(rec.ksymbol.addr, 0xffffffffc0001000);
	assert_int_equal(rec.ksymbol.len, 77);
	assert_int_equal(rec.ksymbol.ksym_type, PERF_RECORD_KSYMBOL_TYPE_BPF);
	assert_int_equal(rec.ksymbol.flags, PERF_RECORD_KSYMBOL_FLAGS_UNREGISTER);
	assert_string_equal(rec.ksymbol.name, "bpf_prog_1");
	free(copy);
}

static void test_read(void **state)
{
	struct pmf_layout l = {.id = EVENT_ID,
		.event = EVENT,
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME};
	struct build_ids of_event = {EVENT_ID, 55, 1, 2, 0};
	struct build b;
	struct pmf_record rec;
	struct pmf_layouts ls;
	uint8_t *copy;

	(void)state;
	for (uint64_t f = 0; f < PERF_FORMAT_MAX; f++) {
		/* Without ids a group's leader is the only member that is known. */
		bool leader = (f & PERF_FORMAT_GROUP) && !(f & PERF_FORMAT_ID);

		l.read_format = f;
		check_layouts_make(&ls, &l);
		build_start(&b, PERF_RECORD_READ, 0);
		build_u32(&b, 100);
		build_u32(&b, 101);
		check_build_read(&b, f);
		build_trailer(&b, l.sample_type, &of_event);
		build_end(&b);
		check_parse(&ls, &b, &copy, &rec);
		assert_int_equal(rec.event, EVENT);
		assert_int_equal(rec.time_ns, 55);
		assert_int_equal(rec.pid, 100);
		assert_int_equal(rec.tid, 101);
		assert_int_equal(rec.read.value, leader ? 10 : 20);
		assert_int_equal(
			rec.read.enabled_ns, f & PERF_FORMAT_TOTAL_TIME_ENABLED ? 4000 : 0);
		assert_int_equal(
			rec.read.running_ns, f & PERF_FORMAT_TOTAL_TIME_RUNNING ? 3000 : 0);
		assert_int_equal(rec.read.id, EVENT_ID);
		assert_int_equal(rec.read.lost, !(f & PERF_FORMAT_LOST) ? 0 : leader ? 1 : 2);
		free(copy);
		/* A group may end in fewer members than it says only by being refused. */
		if (f & PERF_FORMAT_GROUP) {
			uint64_t nr[] = {4, UINT64_MAX, UINT64_MAX / 8 + 1};

			for (size_t i = 0; i < PMF_ARRAY_SIZE(nr); i++) {
				memcpy(b.bytes + 16, &nr[i], 8);
				check_refused(&ls, b.bytes, b.len);
			}
		}
		pmf_layouts_release(&ls);
	}
}

static void test_unknown_id(void **state)
{
	struct pmf_layout same = {.id = EVENT_ID, .event = EVENT, .sample_type = SIDE_TYPE},
			  differs = {.id = EVENT_ID,
				  .event = EVENT,
				  .sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TIME};
	struct build_ids unknown = {0, 60, 1, 2, 3};
	struct build comm, sample, read;
	struct pmf_layouts ls;
	struct pmf_record rec;
	uint8_t *copy;

	(void)state;
	build_start(&comm, PERF_RECORD_COMM, 0);
	build_u32(&comm, 100);
	build_u32(&comm, 101);
	build_str(&comm, "x");
	build_trailer(&comm, SIDE_TYPE, &unknown);
	build_end(&comm);
	build_start(&sample, PERF_RECORD_SAMPLE, 0);
	build_words(&sample, 8, 0);
	build_end(&sample);
	build_start(&read, PERF_RECORD_READ, 0);
	build_words(&read, 2, 0);
	build_trailer(&read, SIDE_TYPE, &unknown);
	build_end(&read);

	check_layouts_make(&ls, &same);
	check_parse(&ls, &comm, &copy, &rec);
	assert_string_equal(rec.comm.comm, "x");
	assert_int_equal(rec.time_ns, 60);
	assert_int_equal(rec.event, PMF_NO_EVENT);
	free(copy);
	check_refused(&ls, sample.bytes, sample.len);
	check_refused(&ls, read.bytes, read.len);
	pmf_layouts_release(&ls);

	check_layouts_make(&ls, &differs);
	check_refused(&ls, comm.bytes, comm.len);
	assert_int_equal(pmf_record_time(&ls, comm.bytes, comm.len), 0);
	pmf_layouts_release(&ls);
}

static void test_layouts_find(void **state)
{
	struct pmf_layouts ls = {0};
	uint64_t rnd = 5;

	(void)state;
	pmf_layouts_seal(&ls);
	assert_null(pmf_layouts_find(&ls, 1));
	for (uint32_t i = 0; i < 300; i++) {
		/* 7 and 300 share no factor: every multiple of 2 below 600 once, shuffled. */
		struct pmf_layout l = {.id = i * 7 % 300 * 2, .event = i};

		pmf_layouts_add(&ls, &l);
	}
	pmf_layouts_seal(&ls);
	for (int i = 0; i < 1000; i++) {
		uint64_t id = test_random(&rnd) % 610;
		const struct pmf_layout *l = pmf_layouts_find(&ls, id);

		if (id % 2 || id >= 600)
			assert_null(l);
		else
			assert_int_equal(l->event * 7 % 300 * 2, id);
	}
	pmf_layouts_release(&ls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mmap),
		cmocka_unit_test(test_mmap2),
		cmocka_unit_test(test_mmap2_build_id),
		cmocka_unit_test(test_mmap_beyond_address_space),
		cmocka_unit_test(test_string_without_end),
		cmocka_unit_test(test_comm),
		cmocka_unit_test(test_task),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_throttle),
		cmocka_unit_test(test_unknown_type),
		cmocka_unit_test(test_ksymbol),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_unknown_id),
		cmocka_unit_test(test_layouts_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
