/* Records built by hand against what the parser makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/mem.h"
#include "record_build.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#define SIDE_TYPE \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | \
		PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID)
#define HW_INDEX ((uint64_t)PERF_SAMPLE_BRANCH_HW_INDEX)
#define BRANCH_COUNTERS ((uint64_t)1 << 19) /* Linux 6.8 */

enum { SIDE_ID = 0x51de, EVENT_ID = 0xe0e0, EVENT = 3 };

static const struct build_ids ids = {SIDE_ID, 123456789, 41, 42, 7};

/* Sideband with every trailer field, and one event with @event_layout's. Their trailers differ, so
 * an unknown id cannot be read. */
static void layouts_make(struct pmf_layouts *ls, const struct pmf_layout *event_layout)
{
	struct pmf_layout side = {.id = SIDE_ID, .event = PMF_NO_EVENT, .sample_type = SIDE_TYPE};

	memset(ls, 0, sizeof *ls);
	pmf_layouts_add(ls, &side);
	if (event_layout)
		pmf_layouts_add(ls, event_layout);
	pmf_layouts_seal(ls);
}

static void assert_refused(const struct pmf_layouts *ls, const uint8_t *data, size_t len)
{
	struct pmf_record rec;
	struct pmf_err err = PMF_ERR_INIT;

	assert_int_equal(pmf_record_parse(ls, data, len, &rec, &err), PMF_EFORMAT);
	assert_int_equal(err.status, PMF_EFORMAT);
	assert_true(strlen(err.text) > 20);
}

/* Every shorter form of a valid record is refused, whether or not its header admits it. */
static void assert_truncations_refused(const struct pmf_layouts *ls, const struct build *b)
{
	for (size_t len = 0; len < b->len; len++) {
		uint8_t *lying = build_exact(b, len, b->len), *honest = build_exact(b, len, len);

		assert_refused(ls, lying, len);
		assert_int_equal(pmf_record_time(ls, lying, len), 0);
		assert_refused(ls, honest, len);
		pmf_record_time(ls, honest, len); /* any answer, no read outside */
		free(lying);
		free(honest);
	}
}

/* Parse a whole record that stands at the end of its memory; *copy keeps what @rec points into. */
static void parse(
	const struct pmf_layouts *ls, const struct build *b, uint8_t **copy, struct pmf_record *rec)
{
	struct pmf_err err = PMF_ERR_INIT;

	*copy = build_exact(b, b->len, b->len);
	if (pmf_record_parse(ls, *copy, b->len, rec, &err))
		fail_msg("%s", err.text);
	assert_int_equal(rec->time_ns, pmf_record_time(ls, *copy, b->len));
}

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
	layouts_make(&ls, &event);
	parse(&ls, b, copy, rec);
	memcpy(&h, b->bytes, sizeof h);
	assert_sideband(rec, h.type);
	assert_truncations_refused(&ls, b);
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
	layouts_make(&ls, NULL);
	assert_refused(&ls, b.bytes, b.len);
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
	layouts_make(&ls, NULL);
	build_mmap_head(&b, PERF_RECORD_MMAP, 0);
	build_str(&b, "x");
	build_trailer(&b, SIDE_TYPE, &ids);
	build_end(&b);
	memcpy(b.bytes + 24, &len, sizeof len);
	assert_refused(&ls, b.bytes, b.len);
	len--; /* the end is the last address, as of perf's own record for the kernel */
	memcpy(b.bytes + 24, &len, sizeof len);
	parse(&ls, &b, &copy, &rec);
	assert_int_equal(rec.mmap.start + rec.mmap.len, UINT64_MAX);
	free(copy);
	pmf_layouts_release(&ls);
}

static void test_string_without_end(void **state)
{
	struct build b;
	struct pmf_layouts ls;

	(void)state;
	layouts_make(&ls, NULL);
	build_start(&b, PERF_RECORD_COMM, 0);
	build_u32(&b, 1);
	build_u32(&b, 1);
	build_bytes(&b, "abcdefgh", 8);
	/* The trailer's first bytes hold a zero, which must not end the name. */
	build_trailer(&b, SIDE_TYPE, &ids);
	build_end(&b);
	assert_refused(&ls, b.bytes, b.len);
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
	layouts_make(&ls, NULL);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(types); i++) {
		build_start(&b, types[i], 0);
		build_u64(&b, 1);
		build_trailer(&b, SIDE_TYPE, &ids);
		build_end(&b);
		parse(&ls, &b, &copy, &rec);
		assert_sideband(&rec, types[i]);
		assert_int_equal(rec.tid, ids.tid);
		free(copy);
		/* Not even the trailer fits. */
		copy = build_exact(&b, 48, 48);
		memcpy(copy + 40, &ids.id, 8);
		assert_refused(&ls, copy, 48);
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

/* The members of a group are (10, id 0xa, lost 1), (20, EVENT_ID, 2), (30, 0xc, 3). */
static void build_read_format(struct build *b, uint64_t format)
{
	static const uint64_t group_ids[] = {0xa, EVENT_ID, 0xc};
	bool group = format & PERF_FORMAT_GROUP;

	build_u64(b, group ? 3 : 20);
	if (format & PERF_FORMAT_TOTAL_TIME_ENABLED)
		build_u64(b, 4000);
	if (format & PERF_FORMAT_TOTAL_TIME_RUNNING)
		build_u64(b, 3000);
	for (uint64_t i = group ? 0 : 1; i < (group ? 3 : 2); i++) {
		if (group)
			build_u64(b, 10 * (i + 1));
		if (format & PERF_FORMAT_ID)
			build_u64(b, group_ids[i]);
		if (format & PERF_FORMAT_LOST)
			build_u64(b, i + 1);
	}
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
		layouts_make(&ls, &l);
		build_start(&b, PERF_RECORD_READ, 0);
		build_u32(&b, 100);
		build_u32(&b, 101);
		build_read_format(&b, f);
		build_trailer(&b, l.sample_type, &of_event);
		build_end(&b);
		parse(&ls, &b, &copy, &rec);
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
				assert_refused(&ls, b.bytes, b.len);
			}
		}
		pmf_layouts_release(&ls);
	}
}

/* What a built sample holds, for the comparison. */
struct sample_made {
	uint64_t nr_callchain, nr_branches, abi, stack_size, dyn_size;
	size_t callchain_at, regs_at, stack_at;
};

static void build_words(struct build *b, uint64_t n, uint64_t first)
{
	for (uint64_t i = 0; i < n; i++)
		build_u64(b, first + i);
}

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
		build_read_format(b, l->read_format);
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
		layouts_make(&ls, &l);
		build_sample(&b, &l, test_random(&rnd) % 2, &m);
		parse(&ls, &b, &copy, &rec);
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
	layouts_make(&ls, &full_layout);
	build_sample(&b, &full_layout, true, &m);
	assert_truncations_refused(&ls, &b);
	/* And one word too many is as wrong as one too few. */
	build_u64(&b, 0);
	build_end(&b);
	assert_refused(&ls, b.bytes, b.len);
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
	layouts_make(&ls, &full_layout);
	build_sample(&b, &full_layout, true, &m);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(lies); i++) {
		size_t places[] = {
			m.callchain_at - 8, m.stack_at - 8, m.stack_at + 128, b.len - 24};

		for (size_t k = 0; k < PMF_ARRAY_SIZE(places); k++) {
			if (places[k] == m.stack_at + 128 && lies[i] <= 128)
				continue;
			lying = b;
			memcpy(lying.bytes + places[k], &lies[i], 8);
			assert_refused(&ls, lying.bytes, lying.len);
		}
	}
	/* Raw data that would leave the registers unaligned. */
	lying = b;
	lying.bytes[m.callchain_at + 40] = 13;
	assert_refused(&ls, lying.bytes, lying.len);
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
	layouts_make(&ls, &l);
	build_sample(&b, &l, true, &m);
	build_u64(&b, 1);
	build_end(&b);
	parse(&ls, &b, &copy, &rec);
	assert_int_equal(rec.sample.ip, 0x401000);
	free(copy);
	pmf_layouts_release(&ls);
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

	layouts_make(&ls, &same);
	parse(&ls, &comm, &copy, &rec);
	assert_string_equal(rec.comm.comm, "x");
	assert_int_equal(rec.time_ns, 60);
	assert_int_equal(rec.event, PMF_NO_EVENT);
	free(copy);
	assert_refused(&ls, sample.bytes, sample.len);
	assert_refused(&ls, read.bytes, read.len);
	pmf_layouts_release(&ls);

	layouts_make(&ls, &differs);
	assert_refused(&ls, comm.bytes, comm.len);
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

		layouts_make(&ls, &l);
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
		cmocka_unit_test(test_sample_any_fields),
		cmocka_unit_test(test_sample_truncated),
		cmocka_unit_test(test_sample_lying_sizes),
		cmocka_unit_test(test_unknown_fields_are_behind),
		cmocka_unit_test(test_unknown_id),
		cmocka_unit_test(test_layouts_find),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
