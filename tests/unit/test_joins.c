/* Cut stacks and what proves their outer frames: stacks made by hand, in this process's own memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collect_priv.h"
#include "pmuflame/mem.h"
#include <linux/perf_event.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	FRAME_BYTES = 128,
	FRAME_WORDS = FRAME_BYTES / 8,
	MOST = 20000,
	DUMP = 8192,
	IN_DUMP = DUMP / FRAME_BYTES, /* frames whose return address a dump holds */
	TID = 77,
};

/* Frame k, counted from the outermost, begins FRAME_BYTES below frame k - 1, and its lowest word is the
 * return address of what it calls. All other words tell where they are. */
struct moment {
	uint64_t *top;
	uint64_t words[(MOST + 1) * FRAME_WORDS];
	struct pmf_joins joins;
	struct pmf_process process;
	struct pmf_process_table table;
	struct pmf_unwind_in in;
	struct pmf_unwind_frame frames[PMF_UNWIND_MAX_FRAMES];
	struct pmf_unwind_out out;
	uint32_t ids[PMF_UNWIND_MAX_FRAMES];
	uint64_t code[MOST]; /* of frame k */
};

static uint64_t *frame_words(struct moment *m, size_t k)
{
	return m->top - (k + 1) * FRAME_WORDS;
}

static int setup(void **state)
{
	struct moment *m = pmf_zalloc(sizeof *m);

	m->top = m->words + PMF_ARRAY_SIZE(m->words);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(m->words); i++)
		m->words[i] = i;
	for (size_t k = 0; k < MOST; k++)
		m->code[k] = 0x400000 + k * 16;
	m->process.pid = TID;
	m->in = (struct pmf_unwind_in){.arch = pmf_arch_by_name("x86_64"),
		.process = &m->process,
		.table = &m->table,
		.stack_asked = DUMP};
	m->out.frames = m->frames;
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct moment *m = *state;

	pmf_joins_release(&m->joins);
	free(m);
	return 0;
}

/* A sample @depth frames deep. Returns whether it is whole by itself. */
static bool take(struct moment *m, size_t depth)
{
	size_t n = PMF_MIN(depth, (size_t)IN_DUMP + 1);
	uint64_t sp = (uintptr_t)frame_words(m, depth - 1);

	for (size_t k = 0; k + 1 < depth; k++)
		frame_words(m, k)[-1] = m->code[k] + 1;
	m->in.regs[m->in.arch->reg_sp] = sp;
	m->in.stack = (const uint8_t *)frame_words(m, depth - 1);
	m->in.stack_bytes = PMF_MIN(depth * FRAME_BYTES, (size_t)DUMP);
	m->out.n = n;
	for (size_t i = 0; i < n; i++) {
		m->frames[i] = (struct pmf_unwind_frame){
			.va = m->code[depth - 1 - i], .sp = sp + i * FRAME_BYTES};
		m->ids[i] = (uint32_t)(depth - 1 - i);
	}
	m->out.end = n == depth ? PMF_END_ROOT : PMF_END_TRUNCATED;
	return n == depth;
}

/* The same, and what a recorder does with it. Returns how many frames it has now. */
static size_t record(struct moment *m, uint32_t tid, size_t depth)
{
	const struct pmf_join_frame *outer;
	size_t joined = 0;

	if (!take(m, depth)) {
		joined = pmf_joins_find(&m->joins, tid, &m->in, &m->out, &outer);
		for (size_t k = 0; k < joined; k++) {
			assert_int_equal(outer[k].id, k);
			assert_int_equal(outer[k].va, m->code[k]);
		}
		if (!joined)
			return 0;
	}
	pmf_joins_keep(&m->joins, tid, &m->in, &m->out, m->ids, joined);
	return joined + m->out.n;
}

static void a_deeper_stack_is_joined(void **state)
{
	struct moment *m = *state;

	assert_int_equal(record(m, TID, 60), 60);
	assert_int_equal(record(m, TID, 100), 100);
	/* And what it was joined to is none of its own words. */
	assert_int_equal(record(m, TID, 140), 140);
	assert_int_equal(record(m, TID, 90), 90);
	assert_int_equal(record(m, TID, 40), 40);
	/* No dump overlaps with it any more. */
	assert_int_equal(record(m, TID, 140), 0);
}

static void nothing_is_joined_to_nothing(void **state)
{
	struct moment *m = *state;

	assert_int_equal(record(m, TID, 100), 0);
	assert_int_equal(record(m, TID, 60), 60);
	assert_int_equal(record(m, TID + 1, 100), 0);
	assert_int_equal(record(m, TID, 100), 100);
}

static void every_word_of_the_proof_counts(void **state)
{
	struct moment *m = *state;
	/* Of 100 frames the dump holds those from 36 on, and the return address to 35. */
	size_t refused = 0;

	for (size_t k = 36; k < 60; k++) {
		for (size_t w = 0; w < FRAME_WORDS - 1; w++) {
			uint64_t *word = &frame_words(m, k)[w];
			size_t got;

			assert_int_equal(record(m, TID, 60), 60);
			*word ^= UINT64_C(1) << (w * 4);
			got = record(m, TID, 100);
			assert_true(got == 0 || got == 100);
			refused += got == 0;
			assert_true(got == 100 || k < 40);
			*word ^= UINT64_C(1) << (w * 4);
		}
	}
	/* Four frames of 128 bytes: the outermost whole ones. */
	assert_int_equal(refused, 4 * (FRAME_WORDS - 1));
}

static void other_calls_at_the_same_places_are_not_joined(void **state)
{
	struct moment *m = *state;

	for (size_t k = 36; k < 39; k++) {
		assert_int_equal(record(m, TID, 60), 60);
		m->code[k] += 4;
		assert_int_equal(record(m, TID, 100), 0);
		assert_int_equal(record(m, TID, 60), 60);
		assert_int_equal(record(m, TID, 100), 100);
	}
}

static void a_stack_elsewhere_is_not_joined(void **state)
{
	struct moment *m = *state;
	const struct pmf_join_frame *outer;

	assert_int_equal(record(m, TID, 60), 60);
	take(m, 100);
	m->in.regs[m->in.arch->reg_sp] += 64;
	for (size_t i = 0; i < m->out.n; i++)
		m->frames[i].sp += 64;
	assert_int_equal(pmf_joins_find(&m->joins, TID, &m->in, &m->out, &outer), 0);
	/* A handler's own stack, further up: it says nothing about this one. */
	assert_int_equal(record(m, TID, 60), 60);
	take(m, 100);
	m->in.regs[m->in.arch->reg_sp] += 1 << 20;
	for (size_t i = 0; i < m->out.n; i++)
		m->frames[i].sp += 1 << 20;
	assert_int_equal(pmf_joins_find(&m->joins, TID, &m->in, &m->out, &outer), 0);
	assert_int_equal(record(m, TID, 100), 100);
	/* What is kept must grow outwards: this one came from a handler's own stack. */
	take(m, 60);
	m->frames[20].sp = 4096;
	pmf_joins_keep(&m->joins, TID, &m->in, &m->out, m->ids, 0);
	assert_int_equal(record(m, TID, 100), 0);
}

static void what_a_cut_stack_denies_is_dead(void **state)
{
	struct moment *m = *state;

	assert_int_equal(record(m, TID, 60), 60);
	m->code[37] += 4;
	assert_int_equal(record(m, TID, 100), 0);
	/* The old calls once more: they may come from anywhere. */
	m->code[37] -= 4;
	assert_int_equal(record(m, TID, 100), 0);
}

static void who_has_gone_is_forgotten(void **state)
{
	static const struct pmf_record gone[] = {
		{.type = PERF_RECORD_EXIT, .pid = TID, .tid = TID},
		{.type = PERF_RECORD_FORK, .pid = TID, .tid = TID},
		{.type = PERF_RECORD_COMM, .pid = TID, .tid = 5, .comm = {"new", true}},
		{.type = PERF_RECORD_LOST, .pid = 1, .tid = 1},
	};
	static const struct pmf_record others[] = {
		{.type = PERF_RECORD_EXIT, .pid = TID, .tid = TID + 1},
		{.type = PERF_RECORD_COMM, .pid = TID, .tid = TID, .comm = {"name", false}},
		{.type = PERF_RECORD_COMM, .pid = 5, .tid = 5, .comm = {"new", true}},
		{.type = PERF_RECORD_SAMPLE, .pid = TID, .tid = TID},
	};
	struct moment *m = *state;

	for (size_t i = 0; i < PMF_ARRAY_SIZE(gone); i++) {
		assert_int_equal(record(m, TID, 60), 60);
		pmf_joins_record(&m->joins, &gone[i]);
		assert_int_equal(record(m, TID, 100), 0);
	}
	for (size_t i = 0; i < PMF_ARRAY_SIZE(others); i++) {
		assert_int_equal(record(m, TID, 60), 60);
		pmf_joins_record(&m->joins, &others[i]);
		assert_int_equal(record(m, TID, 100), 100);
	}
}

static void recursion_stays_whole_as_it_deepens(void **state)
{
	struct moment *m = *state;
	struct mallinfo2 before, after;
	size_t depth;

	for (int round = 0; round < 2; round++) {
		before = mallinfo2();
		for (depth = 20; depth < 5000; depth += 20)
			assert_int_equal(record(m, TID, depth), depth);
		for (; depth > 20; depth -= 50)
			assert_int_equal(record(m, TID, depth), depth);
		after = mallinfo2();
		if (round > 0)
			assert_true(
				after.uordblks + after.hblkhd <= before.uordblks + before.hblkhd);
	}
	/* There is an end to it. */
	for (depth = 20; record(m, TID, depth); depth += 20)
		assert_in_range(depth, 20, PMF_JOIN_MAX_FRAMES);
	assert_in_range(depth, PMF_JOIN_MAX_FRAMES - 100, PMF_JOIN_MAX_FRAMES + 20);
}

static void memory_is_bounded_however_many_threads(void **state)
{
	struct moment *m = *state;
	size_t deep = 0;

	for (size_t depth = 20; depth < 5000; depth += 20)
		for (uint32_t tid = 1; tid <= 40; tid++)
			record(m, tid, depth);
	for (size_t i = 0; i < PMF_JOIN_THREADS; i++)
		deep += m->joins.threads[i].n > 4000;
	assert_in_range(deep, 1, 40);
	for (uint32_t tid = 1; tid <= 3000; tid++)
		assert_int_equal(record(m, tid, 60), 60);
	assert_in_range(m->joins.room, 1, 256 * 1024);
	/* The last ones are there. */
	assert_int_equal(record(m, 3000, 100), 100);
	for (uint32_t tid = 1; tid <= 3000; tid++)
		pmf_joins_record(&m->joins,
			&(struct pmf_record){.type = PERF_RECORD_EXIT, .pid = tid, .tid = tid});
	assert_int_equal(m->joins.room, 0);
}

static void stacks_with_room_to_spare_cost_nothing(void **state)
{
	struct moment *m = *state;

	/* Less than half of a dump, and none was cut yet. */
	assert_int_equal(record(m, TID, IN_DUMP / 2 - 1), IN_DUMP / 2 - 1);
	assert_int_equal(m->joins.room, 0);
	assert_int_equal(record(m, TID, 60), 60);
	assert_true(m->joins.room > 0);
	/* A shallow one says that the deep one's calls have returned. */
	assert_int_equal(record(m, TID, 8), 8);
	assert_int_equal(record(m, TID, 100), 0);
	/* Now that one was cut, all are kept. */
	assert_int_equal(record(m, TID, 30), 30);
	assert_int_equal(record(m, TID, 80), 80);
	/* But not for ever. */
	for (size_t i = 0; i < PMF_JOIN_ARMED_FOR; i++)
		assert_int_equal(record(m, TID, 30), 30);
	assert_int_equal(record(m, TID, 80), 0);
	for (size_t i = 1; i < PMF_JOIN_ARMED_FOR; i++)
		assert_int_equal(record(m, TID, 30), 30);
	assert_int_equal(record(m, TID, 80), 80);
}

static void memory_of_the_thread_has_the_last_word(void **state)
{
	struct moment *m = *state;
	uint32_t tid = (uint32_t)gettid();
	uint64_t *ra = &frame_words(m, 9)[-1];
	const struct pmf_join_frame *outer;

	m->process.pid = getpid();
	m->table.live = true;
	m->in.now_ns = 1000;
	assert_int_equal(record(m, tid, 60), 60);
	assert_int_equal(record(m, tid, 100), 100);
	/* One look does for the samples before it. */
	take(m, 100);
	*ra += 4;
	for (int later = 0; later < 2; later++) {
		if (later)
			m->in.now_ns = UINT64_MAX;
		assert_int_equal(pmf_joins_find(&m->joins, tid, &m->in, &m->out, &outer),
			later ? 0 : 100 - m->out.n);
	}
	/* Nor does one at calls that have returned since. */
	assert_int_equal(record(m, tid, 60), 60);
	assert_int_equal(record(m, tid, 100), 100);
	m->code[10] += 4;
	assert_int_equal(record(m, tid, 60), 60);
	take(m, 100);
	*ra += 4;
	m->in.now_ns = 1000;
	assert_int_equal(pmf_joins_find(&m->joins, tid, &m->in, &m->out, &outer), 0);
	/* Nobody is there to be asked: the words must do. */
	assert_int_equal(record(m, INT32_MAX, 60), 60);
	take(m, 100);
	*ra += 4;
	assert_int_equal(
		pmf_joins_find(&m->joins, INT32_MAX, &m->in, &m->out, &outer), 100 - m->out.n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_deeper_stack_is_joined, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_joined_to_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(every_word_of_the_proof_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(
			other_calls_at_the_same_places_are_not_joined, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stack_elsewhere_is_not_joined, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_cut_stack_denies_is_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(who_has_gone_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(
			recursion_stays_whole_as_it_deepens, setup, teardown),
		cmocka_unit_test_setup_teardown(
			memory_is_bounded_however_many_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(
			stacks_with_room_to_spare_cost_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			memory_of_the_thread_has_the_last_word, setup, teardown),
	};

	return cmocka_run_group_tests_name("joins", tests, NULL, NULL);
}
