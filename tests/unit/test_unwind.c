/* Walks of real stacks (this process's own), and of stacks made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "cfi_priv.h"
#include "shot.h"
#include "unwind_priv.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { DEPTH = 12 };

/* ---- A call chain ---- */

static struct shot chain_shot;

static __attribute__((noinline)) int chain(struct shot *s, int depth, int salt)
{
	int r;

	/* Two ways to call, so that frames differ in size and in saved registers. */
	if (depth == 0) {
		shot_capture(s);
		return salt;
	}
	if (depth & 1) {
		char room[24 * 8];

		snprintf(room, sizeof room, "%d %d", depth, salt);
		r = chain(s, depth - 1, salt + room[0]);
		return r + room[1];
	}
	r = chain(s, depth - 1, salt * 3);
	__asm__ volatile("" : "+r"(r));
	return r + depth;
}

static int setup_chain(void **state)
{
	int ret = shot_setup(state);

	chain_shot.stack = malloc(SHOT_MAX_DUMP);
	chain(&chain_shot, DEPTH, 1);
	return ret;
}

static int teardown_chain(void **state)
{
	free(chain_shot.stack);
	memset(&chain_shot, 0, sizeof chain_shot);
	return shot_teardown(state);
}

static void a_call_chain_is_walked_to_the_root(void **state)
{
	struct pmf_unwinder *u = shot_unwinder(PMF_UNWIND_AUTO);
	const struct shot *s = &chain_shot;
	struct pmf_unwind_out out =
		shot_unwind(u, s, s->stack_bytes, SHOT_MAX_DUMP, PMF_UNWIND_MAX_FRAMES);

	(void)state;
	assert_int_equal(out.end, PMF_END_ROOT);
	assert_true(s->nr_bt > DEPTH + 3);
	assert_int_equal(out.n, s->nr_bt);
	assert_int_equal(shot_frames[0].va, s->regs[shot_ip]);
	for (int i = 1; i < s->nr_bt; i++)
		assert_int_equal(shot_frames[i].va + 1, (uint64_t)(uintptr_t)s->bt[i]);
	for (size_t i = 0; i < out.n; i++) {
		assert_non_null(shot_frames[i].map);
		assert_int_equal(shot_frames[i].rva, shot_frames[i].va - shot_frames[i].map->bias);
		assert_ptr_equal(shot_frames[i].map, pmf_process_map(shot_self, shot_frames[i].va));
	}
	pmf_unwinder_free(u);
}

static void a_short_dump_gives_a_prefix(void **state)
{
	static struct pmf_unwind_frame whole[PMF_UNWIND_MAX_FRAMES];
	struct pmf_unwinder *u = shot_unwinder(PMF_UNWIND_AUTO);
	const struct shot *s = &chain_shot;
	struct pmf_unwind_out out =
		shot_unwind(u, s, s->stack_bytes, SHOT_MAX_DUMP, PMF_UNWIND_MAX_FRAMES);
	size_t n = out.n, nr_truncated = 0, last = 0;

	(void)state;
	memcpy(whole, shot_frames, n * sizeof *whole);
	for (size_t bytes = 0; bytes <= s->stack_bytes; bytes += 8) {
		out = shot_unwind(u, s, bytes, bytes, PMF_UNWIND_MAX_FRAMES);
		assert_in_range(out.n, PMF_MAX(last, (size_t)1), n);
		assert_memory_equal(shot_frames, whole, out.n * sizeof *whole);
		if (out.end == PMF_END_ROOT)
			assert_int_equal(out.n, n);
		else
			assert_int_equal(out.end, PMF_END_TRUNCATED);
		nr_truncated += out.end == PMF_END_TRUNCATED;
		last = out.n;
	}
	assert_true(nr_truncated > 50);
	/* A dump that had room left holds all there is: the stack itself is broken then. */
	out = shot_unwind(u, s, 64, SHOT_MAX_DUMP, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_BROKEN);
	/* And too few places for the frames are neither. */
	out = shot_unwind(u, s, s->stack_bytes, SHOT_MAX_DUMP, 5);
	assert_int_equal(out.end, PMF_END_FULL);
	assert_int_equal(out.n, 5);
	assert_memory_equal(shot_frames, whole, 5 * sizeof *whole);
	pmf_unwinder_free(u);
}

static void no_call_graph_is_the_leaf(void **state)
{
	struct pmf_unwinder *u = shot_unwinder(PMF_UNWIND_NONE);
	const struct shot *s = &chain_shot;
	struct pmf_unwind_out out =
		shot_unwind(u, s, s->stack_bytes, SHOT_MAX_DUMP, PMF_UNWIND_MAX_FRAMES);

	(void)state;
	assert_int_equal(out.n, 1);
	assert_int_equal(out.end, PMF_END_ROOT);
	assert_int_equal(shot_frames[0].va, s->regs[shot_ip]);
	pmf_unwinder_free(u);
}

static void mappings_found_late_restart_the_walk(void **state)
{
	struct pmf_unwinder *u = shot_unwinder(PMF_UNWIND_AUTO);
	const struct shot *s = &chain_shot;
	struct pmf_unwind_out out;

	(void)state;
	/* Only the test program itself is known: the C library's frames need /proc. */
	shot_self->maps[0] = *pmf_process_map(shot_self, s->regs[shot_ip]);
	shot_self->nr_maps = 1;
	shot_self->maps_generation++;
	shot_self->reread_ns = 0;
	out = shot_unwind(u, s, s->stack_bytes, SHOT_MAX_DUMP, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_ROOT);
	assert_int_equal(out.n, s->nr_bt);
	assert_true(shot_self->nr_maps > 1);
	for (size_t i = 0; i < out.n; i++)
		assert_ptr_equal(shot_frames[i].map, pmf_process_map(shot_self, shot_frames[i].va));
	pmf_unwinder_free(u);
}

/* ---- Signal frames ---- */

/* An instruction that raises SIGTRAP; and what the handler must do to leave it behind. */
#if defined(__x86_64__)
#define RAISE_TRAP() __asm__ volatile("int3")
static void step_over(ucontext_t *uc)
{
	(void)uc;
}
#elif defined(__aarch64__)
#define RAISE_TRAP() __asm__ volatile("brk #0")
static void step_over(ucontext_t *uc)
{
	uc->uc_mcontext.pc += 4;
}
#elif defined(__riscv)
#define RAISE_TRAP() __asm__ volatile(".option push\n.option norvc\nebreak\n.option pop")
static void step_over(ucontext_t *uc)
{
	uc->uc_mcontext.__gregs[0] += 4;
}
#endif

static struct shot handler_shot;
static struct shot stopped;

static void on_stop(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)info;
	shot_take_regs(&stopped, context);
	shot_capture(&handler_shot);
	step_over(context);
	__asm__ volatile(""); /* so that the call of shot_capture is no jump */
}

static void a_signal_frame_leads_to_the_stopped_code(void **state)
{
	struct sigaction sa = {.sa_sigaction = on_stop, .sa_flags = SA_SIGINFO}, old;
	struct pmf_unwinder *u = shot_unwinder(PMF_UNWIND_AUTO);
	struct pmf_unwind_out out;
	size_t at = 0;

	(void)state;
	handler_shot.stack = malloc(SHOT_MAX_DUMP);
	sigaction(SIGTRAP, &sa, &old);
	RAISE_TRAP();
	sigaction(SIGTRAP, &old, NULL);
	out = shot_unwind(
		u, &handler_shot, handler_shot.stack_bytes, SHOT_MAX_DUMP, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_ROOT);
	assert_int_equal(out.n, handler_shot.nr_bt);
	while (at < out.n && shot_frames[at].va != stopped.regs[shot_ip])
		at++;
	/* shot_capture, handler, trampoline, and the exact place that the signal stopped. */
	assert_int_equal(at, 3);
	assert_int_equal(shot_frames[at - 1].va, (uint64_t)(uintptr_t)handler_shot.bt[at - 1]);
	assert_int_equal(shot_frames[at + 1].va + 1, (uint64_t)(uintptr_t)handler_shot.bt[at + 1]);
	free(handler_shot.stack);
	pmf_unwinder_free(u);
}

/* ---- Stacks made by hand ---- */

static uint64_t made_stack[64];
static struct shot made = {.stack = (uint8_t *)made_stack};

/* A frame pointer's value for the frame whose two words stand at @word. */
#define FP_AT(word) (SP + (word)*8 - (uint64_t)(int64_t)pmf_arch_native()->fp_saved_fp)
#define SP UINT64_C(0x7ffd00001000)
#define CODE UINT64_C(0x10000000)

static int setup_made(void **state)
{
	struct pmf_record rec = {.type = PERF_RECORD_MMAP2,
		.misc = PERF_RECORD_MISC_USER,
		.pid = 77,
		.mmap = {.start = CODE, .len = 0x10000, .prot = PROT_EXEC, .path = "//anon"}};

	(void)state;
	shot_name_regs();
	pmf_process_table_init(&shot_table, false);
	pmf_process_apply(&shot_table, &rec);
	shot_self = pmf_process_find(&shot_table, 77);
	memset(made_stack, 0, sizeof made_stack);
	memset(made.regs, 0, sizeof made.regs);
	made.regs[shot_sp] = SP;
	made.regs[shot_ip] = CODE + 0x10;
	made.regs[shot_fp] = FP_AT(2);
	/* Three frames with frame pointers, at words 2, 6 and 12. */
	made_stack[2] = FP_AT(6);
	made_stack[3] = CODE + 0x100;
	made_stack[6] = FP_AT(12);
	made_stack[7] = CODE + 0x200;
	made_stack[12] = 0;
	made_stack[13] = CODE + 0x300;
	return 0;
}

static void frame_pointers_lead_to_the_root(void **state)
{
	static const enum pmf_unwind_mode modes[] = {PMF_UNWIND_FP, PMF_UNWIND_AUTO};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(modes); i++) {
		struct pmf_unwinder *u = shot_unwinder(modes[i]);
		struct pmf_unwind_out out =
			shot_unwind(u, &made, sizeof made_stack, 8192, PMF_UNWIND_MAX_FRAMES);

		assert_int_equal(out.end, PMF_END_ROOT);
		assert_int_equal(out.n, 4);
		assert_int_equal(shot_frames[0].va, CODE + 0x10);
		assert_int_equal(shot_frames[1].va, CODE + 0xff);
		assert_int_equal(shot_frames[2].va, CODE + 0x1ff);
		assert_int_equal(shot_frames[3].va, CODE + 0x2ff);
		assert_int_equal(shot_frames[3].rva, shot_frames[3].va);

		out = shot_unwind(u, &made, 12 * 8, 12 * 8, PMF_UNWIND_MAX_FRAMES);
		assert_int_equal(out.end, PMF_END_TRUNCATED);
		assert_int_equal(out.n, 3);
		pmf_unwinder_free(u);
	}
}

static void dwarf_alone_does_not_guess(void **state)
{
	struct pmf_unwinder *u = shot_unwinder(PMF_UNWIND_DWARF);
	struct pmf_unwind_out out =
		shot_unwind(u, &made, sizeof made_stack, 8192, PMF_UNWIND_MAX_FRAMES);

	(void)state;
	assert_int_equal(out.n, 1);
	assert_int_equal(out.end, PMF_END_BROKEN);
	pmf_unwinder_free(u);
}

static void chains_that_lead_nowhere_are_broken(void **state)
{
	struct pmf_unwinder *u = shot_unwinder(PMF_UNWIND_AUTO);
	struct pmf_unwind_out out;

	(void)state;
	/* A loop: the last frame points back to the first. */
	made_stack[12] = FP_AT(2);
	out = shot_unwind(u, &made, sizeof made_stack, 8192, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_BROKEN);
	assert_int_equal(out.n, 4);
	/* A return address that is no code is not shown. */
	made_stack[7] = 0x1234;
	out = shot_unwind(u, &made, sizeof made_stack, 8192, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_BROKEN);
	assert_int_equal(out.n, 2);
	/* Registers that hold no frame pointer, and a pc outside all code: the leaf stays. */
	made.regs[shot_fp] = 3;
	made.regs[shot_ip] = 0xdead;
	out = shot_unwind(u, &made, sizeof made_stack, 8192, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_BROKEN);
	assert_int_equal(out.n, 1);
	assert_null(shot_frames[0].map);
	assert_int_equal(shot_frames[0].rva, 0xdead);
	out = shot_unwind(u, &made, 0, 8192, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.n, 1);
	pmf_unwinder_free(u);
}

static void jit_code_is_crossed_between_compiled_frames(void **state)
{
	/* chain_shot's frames, called back from anonymous code that keeps a frame pointer: put in
	 * front of the real stack, as a leaf that stands in the JIT. */
	struct pmf_unwinder *u = shot_unwinder(PMF_UNWIND_AUTO);
	uint8_t *jit = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct shot s = chain_shot;
	uint64_t fp_frame[2] = {chain_shot.regs[shot_fp], chain_shot.regs[shot_ip]};
	struct pmf_unwind_out out;

	(void)state;
	assert_ptr_not_equal(jit, MAP_FAILED);
	assert_int_equal(pmf_process_reread(&shot_table, shot_self, NULL), 0);
	s.stack = malloc(s.stack_bytes + sizeof fp_frame);
	memcpy(s.stack, fp_frame, sizeof fp_frame);
	memcpy(s.stack + sizeof fp_frame, chain_shot.stack, s.stack_bytes);
	s.stack_bytes += sizeof fp_frame;
	s.regs[shot_sp] -= sizeof fp_frame;
	s.regs[shot_fp] = s.regs[shot_sp] - (uint64_t)(int64_t)pmf_arch_native()->fp_saved_fp;
	s.regs[shot_ip] = (uint64_t)(uintptr_t)jit + 100;
	out = shot_unwind(u, &s, s.stack_bytes, s.stack_bytes + 8, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_ROOT);
	assert_int_equal(out.n, chain_shot.nr_bt + 1);
	assert_int_equal(shot_frames[0].map->image->kind, PMF_IMAGE_ANON);
	assert_int_equal(shot_frames[1].va + 1, chain_shot.regs[shot_ip]);
	for (int i = 1; i < chain_shot.nr_bt; i++)
		assert_int_equal(shot_frames[i + 1].va + 1, (uint64_t)(uintptr_t)chain_shot.bt[i]);
	free(s.stack);
	munmap(jit, 4096);
	pmf_unwinder_free(u);
}

/* ---- Nonsense ---- */

static uint64_t random_u64(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15u;
	return pmf_hash_u64(*seed);
}

static void nonsense_is_bounded(void **state)
{
	struct pmf_unwinder *const unwinders[] = {shot_unwinder(PMF_UNWIND_AUTO),
		shot_unwinder(PMF_UNWIND_DWARF), shot_unwinder(PMF_UNWIND_FP),
		pmf_unwinder_with(&pmf_unwind_cfi, true, pmf_arch_native())};
	uint64_t seed = 1, words[128];
	size_t ends[4] = {0};

	(void)state;
	for (size_t m = 0; m < PMF_ARRAY_SIZE(unwinders); m++) {
		struct pmf_unwinder *u = unwinders[m];
		struct shot s = {.stack = (uint8_t *)words};

		for (unsigned i = 0; i < 10000; i++) {
			uint64_t low = random_u64(&seed) & 0x7ffffffffff8;

			for (size_t j = 0; j < PMF_ARRAY_SIZE(words) + 40; j++) {
				uint64_t r = random_u64(&seed), v;
				const struct pmf_map *map =
					&shot_self->maps[r % shot_self->nr_maps];

				switch (r >> 60 & 3) {
				case 0:
					v = map->start + (r >> 8) % (map->end - map->start);
					break;
				case 1:
					v = low + ((r >> 8) & 0x7f8);
					break;
				default:
					v = r >> (r & 63);
				}
				*(j < 40 ? &s.regs[j] : &words[j - 40]) = v;
			}
			s.regs[shot_sp] = low;
			if (i & 1) {
				const struct pmf_map *map =
					&shot_self->maps[i % shot_self->nr_maps];

				s.regs[shot_ip] = map->start + seed % (map->end - map->start);
			}
			struct pmf_unwind_out out =
				shot_unwind(u, &s, (i & 63) * 16, (i & 64) * 16 + 8, 100);
			assert_in_range(out.n, 1, 100);
			assert_in_range(out.end, PMF_END_ROOT, PMF_END_FULL);
			ends[out.end]++;
		}
		pmf_unwinder_free(u);
	}
	assert_true(ends[PMF_END_BROKEN] > 0 && ends[PMF_END_TRUNCATED] > 0);
}

static void the_entry_point_is_the_root(void **state)
{
	struct pmf_unwinder *u = shot_unwinder(PMF_UNWIND_DWARF);
	struct shot s = {.stack = (uint8_t *)made_stack};
	size_t nr_tried = 0;

	(void)state;
	memset(made_stack, 0xff, sizeof made_stack);
	for (size_t i = 0; i < shot_self->nr_maps; i++) {
		const struct pmf_map *m = &shot_self->maps[i];
		const struct pmf_cfi *cfi;
		struct pmf_unwind_out out;

		/* ld.so's has no CFI; the program's own says that it has no caller. */
		if (strncmp(m->image->name, "ld-linux", 8) != 0)
			continue;
		cfi = pmf_cfi_of(m->image, pmf_arch_native());
		s.regs[shot_fp] = s.regs[shot_sp] = SP;
		s.regs[shot_ip] = cfi->entry_rva + m->bias;
		out = shot_unwind(u, &s, sizeof made_stack, 8192, PMF_UNWIND_MAX_FRAMES);
		assert_int_equal(out.end, PMF_END_ROOT);
		assert_int_equal(out.n, 1);
		nr_tried++;
	}
	if (nr_tried == 0)
		skip_because("the loader has no start code without CFI");
	pmf_unwinder_free(u);
}

static void check_hostile_cfi(const struct pmf_unwinder_ops *ops)
{
	struct pmf_unwinder *u = pmf_unwinder_with(ops, true, pmf_arch_native());
	const struct shot *s = &chain_shot;
	uint64_t seed = 3;
	struct pmf_unwind_out out;
	size_t at, whole = 0;

	for (int i = 0; i < 300; i++) {
		/* The image that most frames of the chain are in: this program. */
		const struct pmf_map *m = pmf_process_map(shot_self, s->regs[shot_ip]);
		struct pmf_cfi *cfi = (struct pmf_cfi *)pmf_cfi_of(m->image, pmf_arch_native());
		const uint8_t *good = cfi->eh.data;
		uint8_t *bad = malloc(cfi->eh.size);

		memcpy(bad, good, cfi->eh.size);
		for (size_t j = 0; j < cfi->eh.size / 64; j++) {
			at = random_u64(&seed) % cfi->eh.size;
			bad[at] = (uint8_t)random_u64(&seed);
		}
		cfi->eh.data = bad;
		pmf_image_rules_release(cfi->rules);
		shot_self->maps_generation++;
		out = shot_unwind(u, s, s->stack_bytes, SHOT_MAX_DUMP, PMF_UNWIND_MAX_FRAMES);
		assert_in_range(out.n, 1, PMF_UNWIND_MAX_FRAMES);
		whole += out.end == PMF_END_ROOT;
		cfi->eh.data = good;
		pmf_image_rules_release(cfi->rules);
		free(bad);
	}
	assert_true(whole < 300);
	shot_self->maps_generation++;
	out = shot_unwind(u, s, s->stack_bytes, SHOT_MAX_DUMP, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_ROOT);
	pmf_unwinder_free(u);
}

static void hostile_cfi_is_survived(void **state)
{
	(void)state;
	check_hostile_cfi(&pmf_unwind_cfi);
	if (pmf_unwind_libunwind_can(pmf_arch_native()))
		check_hostile_cfi(&pmf_unwind_libunwind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_call_chain_is_walked_to_the_root, setup_chain, teardown_chain),
		cmocka_unit_test_setup_teardown(
			a_short_dump_gives_a_prefix, setup_chain, teardown_chain),
		cmocka_unit_test_setup_teardown(
			no_call_graph_is_the_leaf, setup_chain, teardown_chain),
		cmocka_unit_test_setup_teardown(
			mappings_found_late_restart_the_walk, setup_chain, teardown_chain),
		cmocka_unit_test_setup_teardown(
			jit_code_is_crossed_between_compiled_frames, setup_chain, teardown_chain),
		cmocka_unit_test_setup_teardown(
			a_signal_frame_leads_to_the_stopped_code, shot_setup, shot_teardown),
		cmocka_unit_test_setup_teardown(
			frame_pointers_lead_to_the_root, setup_made, shot_teardown),
		cmocka_unit_test_setup_teardown(
			dwarf_alone_does_not_guess, setup_made, shot_teardown),
		cmocka_unit_test_setup_teardown(
			chains_that_lead_nowhere_are_broken, setup_made, shot_teardown),
		cmocka_unit_test_setup_teardown(nonsense_is_bounded, shot_setup, shot_teardown),
		cmocka_unit_test_setup_teardown(
			the_entry_point_is_the_root, shot_setup, shot_teardown),
		cmocka_unit_test_setup_teardown(
			hostile_cfi_is_survived, setup_chain, teardown_chain),
	};

	return cmocka_run_group_tests_name("unwind", tests, NULL, NULL);
}