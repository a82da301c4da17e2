/* Steps out of generated code by the CFI that its runtime wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/mem.h"
#include "shot.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct shot caller;

static int setup(void **state)
{
	int ret = shot_setup(state);

	caller.stack = malloc(SHOT_MAX_DUMP);
	shot_capture(&caller);
	return ret;
}

static int teardown(void **state)
{
	free(caller.stack);
	return shot_teardown(state);
}

/* CFI of code that has 32 bytes of stack from its fourth byte on, the caller's frame pointer and the return
 * address in front of them. */
enum { EH_RA = 18, EH_CIE = 28, EH_LENGTH = 36, EH_PROGRAM = 41, EH_BYTES = 48, EH_TWO_BYTES = 72 };

static void make_eh_frame(uint8_t out[EH_TWO_BYTES])
{
	const struct pmf_arch *arch = pmf_arch_native();
	const uint8_t ra = arch->dwarf_ra, sp = arch->perf_to_dwarf[arch->reg_sp],
		      fp = arch->perf_to_dwarf[arch->reg_fp];
	const uint8_t cie[24] = {20, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, ra, 1, 0x1b,
		0x80 | ra, 1, 0x0c, sp, 8};
	const uint8_t fde[24] = {20, 0, 0, 0, 28, 0, 0, 0, 0xd0, 0xff, 0xff, 0xff, 0xc8, 0, 0, 0, 0,
		0x44, 0x0e, 32, 0x80 | fp, 2};

	memcpy(out, cie, sizeof cie);
	memcpy(out + 24, fde, sizeof fde);
	memcpy(out + 48, fde, sizeof fde);
	out[48 + 4] = 52;
}

static bool find_code(
	void *ctx, const struct pmf_unwind_in *in, uint64_t va, struct pmf_unwind_code *out)
{
	const struct pmf_unwind_code *code = ctx;

	*out = *code;
	return in->process == shot_self && va - code->start < 4096;
}

/* @caller, having called @code, which stands at its byte @at and has @fp: does that lead to the root? */
static bool leaves_code(
	struct pmf_unwinder *u, struct pmf_unwind_code *code, uint64_t at, uint64_t fp)
{
	const struct pmf_arch *arch = pmf_arch_native();
	const uint64_t frame[4] = {0, 0, caller.regs[shot_fp], caller.regs[shot_ip]};
	size_t bytes = sizeof frame + caller.stack_bytes;
	uint8_t *stack = malloc(bytes);
	struct pmf_unwind_in in = {.arch = arch,
		.stack = stack,
		.stack_bytes = bytes,
		.stack_asked = bytes + 8,
		.process = shot_self,
		.find_code = find_code,
		.ctx = code};
	struct pmf_unwind_out out = {.frames = shot_frames, .cap = PMF_UNWIND_MAX_FRAMES};

	memcpy(stack, frame, sizeof frame);
	memcpy(stack + sizeof frame, caller.stack, caller.stack_bytes);
	memcpy(in.regs, caller.regs, sizeof in.regs);
	in.regs[shot_sp] -= sizeof frame;
	in.regs[shot_fp] = fp;
	in.regs[shot_ip] = code->start + at;
	if (arch->reg_ra != PMF_REG_NONE)
		in.regs[arch->reg_ra] = 0;
	pmf_unwind(u, &in, &out);
	free(stack);
	if (out.end != PMF_END_ROOT || out.n == 1)
		return false;
	assert_int_equal(out.n, caller.nr_bt + 1);
	for (int i = 1; i < caller.nr_bt; i++)
		assert_int_equal(shot_frames[i + 1].va + 1, (uint64_t)(uintptr_t)caller.bt[i]);
	return true;
}

static void check_code(enum pmf_unwind_by by)
{
	static const struct {
		size_t size, at; /* of the section, and where it has @value */
		uint8_t value;
		uint64_t pc;
		bool good;
	} cases[] = {
		{EH_BYTES, 0, 20, 100, true},
		{EH_BYTES, 0, 20, 4, true},
		{EH_BYTES, 0, 20, 3, false}, /* the row before */
		{EH_BYTES, 0, 20, 199, true},
		{EH_BYTES, 0, 20, 200, false}, /* behind the end */
		{EH_BYTES, EH_LENGTH, 0, 100, false},
		{EH_BYTES, EH_RA, 4, 100, false}, /* no return address stands there */
		{EH_BYTES, EH_CIE, 27, 100, false},
		{EH_BYTES, EH_PROGRAM, 0x3f, 100, false},
		{EH_BYTES - 1, 0, 20, 100, false},
		{EH_TWO_BYTES, 0, 20, 100, false},
	};
	struct pmf_unwinder *u = pmf_unwinder_new(PMF_UNWIND_AUTO, by, pmf_arch_native());
	uint8_t *jit = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t fp = caller.regs[shot_sp] - 16 - (uint64_t)(int64_t)pmf_arch_native()->fp_saved_fp;

	assert_ptr_not_equal(jit, MAP_FAILED);
	assert_int_equal(pmf_process_reread(&shot_table, shot_self, NULL), 0);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		uint8_t all[EH_TWO_BYTES], *eh_frame = malloc(cases[i].size);
		struct pmf_unwind_code code = {(uintptr_t)jit, eh_frame, cases[i].size};

		make_eh_frame(all);
		all[cases[i].at] = cases[i].value;
		memcpy(eh_frame, all, cases[i].size);
		if (leaves_code(u, &code, cases[i].pc, 1) != cases[i].good)
			fail_msg("case %zu", i);
		/* Where there is a frame pointer, it is good for all. */
		assert_true(leaves_code(u, &code, cases[i].pc, fp));
		free(eh_frame);
	}
	munmap(jit, 4096);
	pmf_unwinder_free(u);
}

static void code_is_left_as_its_runtime_says(void **state)
{
	(void)state;
	check_code(PMF_UNWIND_BY_CFI);
	if (pmf_unwinder_can(PMF_UNWIND_BY_LIBUNWIND, pmf_arch_native()))
		check_code(PMF_UNWIND_BY_LIBUNWIND);
}

/* CFI that takes the dump's end to be reached says so: a frame pointer might lead anywhere. */
static void a_dump_that_ends_is_no_reason_to_guess(void **state)
{
	struct pmf_unwinder *u = shot_unwinder(PMF_UNWIND_AUTO);
	uint8_t *jit = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t eh_frame[EH_TWO_BYTES];
	uint64_t fp_frame[2] = {caller.regs[shot_fp], caller.regs[shot_ip]};
	struct pmf_unwind_code code = {(uintptr_t)jit, eh_frame, EH_BYTES};
	struct pmf_unwind_in in = {.arch = pmf_arch_native(),
		.stack = (uint8_t *)fp_frame,
		.stack_bytes = sizeof fp_frame,
		.stack_asked = sizeof fp_frame,
		.process = shot_self,
		.find_code = find_code,
		.ctx = &code};
	struct pmf_unwind_out out = {.frames = shot_frames, .cap = PMF_UNWIND_MAX_FRAMES};

	(void)state;
	assert_ptr_not_equal(jit, MAP_FAILED);
	assert_int_equal(pmf_process_reread(&shot_table, shot_self, NULL), 0);
	make_eh_frame(eh_frame);
	in.regs[shot_sp] = caller.regs[shot_sp];
	in.regs[shot_fp] = in.regs[shot_sp] - (uint64_t)(int64_t)in.arch->fp_saved_fp;
	in.regs[shot_ip] = code.start + 100;
	pmf_unwind(u, &in, &out);
	assert_int_equal(out.end, PMF_END_TRUNCATED);
	assert_int_equal(out.n, 1);
	munmap(jit, 4096);
	pmf_unwinder_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(code_is_left_as_its_runtime_says, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_dump_that_ends_is_no_reason_to_guess, setup, teardown),
	};

	return cmocka_run_group_tests_name("unwind generated code", tests, NULL, NULL);
}
