/* Every instruction, by single steps through the C library and code that is hard to walk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "shot.h"
#include "unwind_priv.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)

enum { MAX_SHOTS = 1500, SHOT_EVERY = 7 };

static struct shot shots[MAX_SHOTS];
static size_t nr_shots;
static unsigned long nr_traps, shot_every;

static void on_trap(int signo, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	struct shot *s = &shots[nr_shots];

	(void)signo;
	(void)info;
	if (nr_traps++ % shot_every || nr_shots == MAX_SHOTS)
		return;
	nr_shots++;
	shot_take_regs(s, uc);
	shot_copy_stack(s, SHOT_MAX_DUMP / 2);
	shot_take_backtrace(s, __builtin_return_address(0));
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static __attribute__((noinline)) void work(void)
{
	int v[40];
	char text[100];

	for (int i = 0; i < 40; i++)
		v[i] = i * 7919 % 41;
	qsort(v, 40, sizeof *v, by_value);
	for (int i = 0; i < 8; i++) {
		snprintf(text, sizeof text, "%d %s %g", v[i], "text", i / 3.0);
		free(strdup(text));
	}
}

/* The trap flag: Intel SDM volume 3, "Single-Stepping on Branches, Exceptions, and Interrupts". */
void test_trap_on(void);
void test_trap_off(void);
#define TRAP_FUNCTION(name, insn) \
	"	.globl " name "\n" name ":\n" \
	"	.cfi_startproc\n" \
	"	pushfq\n" \
	"	.cfi_adjust_cfa_offset 8\n" \
	"	" insn "\n" \
	"	popfq\n" \
	"	.cfi_adjust_cfa_offset -8\n" \
	"	ret\n" \
	"	.cfi_endproc\n"
__asm__("	.text\n" TRAP_FUNCTION("test_trap_on", "orq $0x100, (%rsp)")
		TRAP_FUNCTION("test_trap_off", "andq $~0x100, (%rsp)"));

static void single_step(void (*fn)(void))
{
	struct sigaction sa = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, old;

	sigaction(SIGTRAP, &sa, &old);
	test_trap_on();
	fn();
	test_trap_off();
	sigaction(SIGTRAP, &old, NULL);
}

/* Does the walk say what libgcc said? libgcc's frames are the handler, the trampoline, the stopped
 * code, and then return addresses. */
static bool agrees(const struct shot *s, const struct pmf_unwind_out *out)
{
	if (s->nr_bt < 4 || out->n != (size_t)s->nr_bt - 2 || out->end != PMF_END_ROOT ||
		shot_frames[0].va != s->regs[shot_ip])
		return false;
	for (int i = 3; i < s->nr_bt; i++)
		if (shot_frames[i - 2].va + 1 != (uint64_t)(uintptr_t)s->bt[i])
			return false;
	return true;
}

/* Code whose rule changes right at a return address, as after a callee that pops its argument: seen
 * as a caller's caller first, then stopped at. */
void test_call_popping(void);
__asm__("	.text\n"
	"	.globl test_call_popping\n"
	"test_leaf:\n"
	"	.cfi_startproc\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"test_pops:\n"
	"	.cfi_startproc\n"
	"	call test_leaf\n"
	"	ret $8\n"
	"	.cfi_endproc\n"
	"test_call_popping:\n"
	"	.cfi_startproc\n"
	"	pushq $1\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	call test_pops\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	nop\n"
	"	ret\n"
	"	.cfi_endproc\n");

/* Code that takes its return address off the stack and keeps it in a register, as glibc's vfork
 * does around its system call; getpid stands for that here. */
void test_call_vfork_like(void);
__asm__("	.text\n"
	"	.globl test_call_vfork_like\n"
	"test_vfork_like:\n"
	"	.cfi_startproc\n"
	"	popq %rdi\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	.cfi_register %rip, %rdi\n"
	"	movl $39, %eax\n"
	"	syscall\n"
	"	pushq %rdi\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	cmpl $-4095, %eax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"test_call_vfork_like:\n"
	"	.cfi_startproc\n"
	"	pushq $1\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	call test_vfork_like\n"
	"	popq %rax\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	"	.cfi_endproc\n");

static int setup_shots(void **state, void (*fn)(void), unsigned long every)
{
	int ret = shot_setup(state);

	nr_shots = nr_traps = 0;
	shot_every = every;
	shots[0].stack = malloc((size_t)MAX_SHOTS * (SHOT_MAX_DUMP / 2));
	for (size_t i = 1; i < MAX_SHOTS; i++)
		shots[i].stack = shots[i - 1].stack + SHOT_MAX_DUMP / 2;
	fn(); /* resolves what is bound lazily */
	single_step(fn);
	return ret;
}

static int setup_work(void **state)
{
	return setup_shots(state, work, SHOT_EVERY);
}

static int setup_popping(void **state)
{
	return setup_shots(state, test_call_popping, 1);
}

static int setup_vfork_like(void **state)
{
	return setup_shots(state, test_call_vfork_like, 1);
}

static int teardown_steps(void **state)
{
	free(shots[0].stack);
	return shot_teardown(state);
}

static void every_instruction_is_walked_as_libgcc_does(void **state)
{
	struct pmf_unwinder *u, *plain, *own;
	size_t wrong = 0, differs = 0;

	(void)state;
	if (nr_traps == 0)
		skip_because("the trap flag does nothing here (valgrind)");
	u = shot_unwinder(PMF_UNWIND_AUTO);
	plain = pmf_unwinder_new(PMF_UNWIND_AUTO, PMF_UNWIND_BY_LIBUNWIND, pmf_arch_native());
	for (size_t i = 0; i < nr_shots; i++) {
		struct pmf_unwind_out out = shot_unwind(
			u, &shots[i], shots[i].stack_bytes, SHOT_MAX_DUMP, PMF_UNWIND_MAX_FRAMES);

		if (!agrees(&shots[i], &out) && wrong++ < 5)
			print_message("pc %llx: %zu frames, end %d, libgcc %d frames\n",
				(unsigned long long)shots[i].regs[shot_ip], out.n, out.end,
				shots[i].nr_bt - 2);
	}
	assert_int_equal(wrong, 0);

	/* Once more from the filled cache, and without any. */
	pmf_unwind_libunwind_uncache(plain->priv);
	for (size_t i = 0; i < nr_shots; i++) {
		struct pmf_unwind_out out = shot_unwind(
			u, &shots[i], shots[i].stack_bytes, SHOT_MAX_DUMP, PMF_UNWIND_MAX_FRAMES);

		differs += !agrees(&shots[i], &out);
	}
	pmf_unwind_forget(shot_self);
	for (size_t i = 0; i < nr_shots; i++) {
		struct pmf_unwind_out out = shot_unwind(plain, &shots[i], shots[i].stack_bytes,
			SHOT_MAX_DUMP, PMF_UNWIND_MAX_FRAMES);

		differs += !agrees(&shots[i], &out);
	}
	assert_int_equal(differs, 0);

	/* And without libunwind. */
	own = pmf_unwinder_with(&pmf_unwind_cfi, true, pmf_arch_native());
	for (size_t i = 0; i < nr_shots; i++) {
		struct pmf_unwind_out out = shot_unwind(
			own, &shots[i], shots[i].stack_bytes, SHOT_MAX_DUMP, PMF_UNWIND_MAX_FRAMES);

		if (!agrees(&shots[i], &out) && differs++ < 5)
			print_message("own: pc %llx: %zu frames, end %d, libgcc %d frames\n",
				(unsigned long long)shots[i].regs[shot_ip], out.n, out.end,
				shots[i].nr_bt - 2);
	}
	assert_int_equal(differs, 0);
	pmf_unwinder_free(own);
	pmf_unwinder_free(plain);
	pmf_unwinder_free(u);
}

#else

static void no_single_steps_here(void **state)
{
	(void)state;
	skip_because("a program cannot make itself stop at every instruction but on x86");
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
#if defined(__x86_64__)
		cmocka_unit_test_setup_teardown(
			every_instruction_is_walked_as_libgcc_does, setup_work, teardown_steps),
		cmocka_unit_test_setup_teardown(
			every_instruction_is_walked_as_libgcc_does, setup_popping, teardown_steps),
		cmocka_unit_test_setup_teardown(every_instruction_is_walked_as_libgcc_does,
			setup_vfork_like, teardown_steps),
#else
		cmocka_unit_test(no_single_steps_here),
#endif
	};

	return cmocka_run_group_tests_name("unwind steps", tests, NULL, NULL);
}
