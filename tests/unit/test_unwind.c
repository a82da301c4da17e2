/* Walks of real stacks (this process's own), and of stacks made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "cfi_priv.h"
#include "pmuflame/unwind.h"
#include "unwind_priv.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { MAX_DUMP = 32768, MAX_BT = 64, DEPTH = 12, MAX_SHOTS = 1500, SHOT_EVERY = 7 };

/* A moment of this process: what perf would have recorded, and what libgcc's unwinder says. */
struct shot {
	uint64_t regs[PMF_ARCH_MAX_REGS];
	uint8_t *stack;
	size_t stack_bytes;
	void *bt[MAX_BT];
	int nr_bt;
};

static struct pmf_process_table table;
static struct pmf_process *self;
static uint64_t stack_top;
static int memory_fd = -1;
static uint8_t ip, sp, fp; /* perf's numbers of these registers */
static void *libgcc;       /* stays loaded */
static int (*libgcc_backtrace)(int (*fn)(void *ctx, void *arg), void *arg);
static uintptr_t (*libgcc_ip)(void *ctx);
static struct pmf_unwind_frame frames[PMF_UNWIND_MAX_FRAMES];

static void name_regs(void)
{
	ip = pmf_arch_native()->reg_ip;
	sp = pmf_arch_native()->reg_sp;
	fp = pmf_arch_native()->reg_fp;
}

static int setup(void **state)
{
	pthread_attr_t attr;
	void *low = NULL;
	size_t size = 0;

	(void)state;
	name_regs();
	libgcc = dlopen("libgcc_s.so.1", RTLD_NOW);
	pmf_process_table_init(&table, true);
	self = pmf_process_get(&table, getpid());
	pthread_getattr_np(pthread_self(), &attr);
	if (pthread_attr_getstack(&attr, &low, &size))
		return -1;
	pthread_attr_destroy(&attr);
	stack_top = (uint64_t)(uintptr_t)low + size;
	/* By hand, for libunwind has functions of the same names, and backtrace(3) too. */
	*(void **)&libgcc_backtrace = libgcc ? dlsym(libgcc, "_Unwind_Backtrace") : NULL;
	*(void **)&libgcc_ip = libgcc ? dlsym(libgcc, "_Unwind_GetIP") : NULL;
	memory_fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	if (!libgcc_backtrace || !libgcc_ip || memory_fd < 0)
		return -1;
	return pmf_process_reread(&table, self, NULL);
}

static int teardown(void **state)
{
	(void)state;
	pmf_process_table_release(&table);
	close(memory_fd);
	memory_fd = -1;
	return 0;
}

static struct pmf_unwinder *unwinder(enum pmf_unwind_mode mode)
{
	return pmf_unwinder_new(mode, PMF_UNWIND_BY_AUTO, pmf_arch_native());
}

/* By the kernel's hand: sanitizers and valgrind would object to parts of a raw stack. */
static void copy_stack(struct shot *s, size_t max)
{
	ssize_t n = pread(memory_fd, s->stack, PMF_MIN(max, (size_t)(stack_top - s->regs[sp])),
		(off_t)s->regs[sp]);

	s->stack_bytes = n > 0 ? (size_t)n / 8 * 8 : 0;
}

#if defined(__x86_64__)
static void take_regs(struct shot *s, const ucontext_t *uc)
{
	static const int greg[] = {REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP,
		REG_RSP, REG_RIP, REG_EFL};
	static const int high[] = {
		REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(greg); i++)
		s->regs[i] = (uint64_t)uc->uc_mcontext.gregs[greg[i]];
	for (size_t i = 0; i < PMF_ARRAY_SIZE(high); i++)
		s->regs[16 + i] = (uint64_t)uc->uc_mcontext.gregs[high[i]];
}
#elif defined(__aarch64__)
static void take_regs(struct shot *s, const ucontext_t *uc)
{
	for (size_t i = 0; i < 31; i++)
		s->regs[i] = uc->uc_mcontext.regs[i];
	s->regs[31] = uc->uc_mcontext.sp;
	s->regs[32] = uc->uc_mcontext.pc;
}
#elif defined(__riscv)
static void take_regs(struct shot *s, const ucontext_t *uc)
{
	for (size_t i = 0; i < 32; i++)
		s->regs[i] = uc->uc_mcontext.__gregs[i];
}
#endif

static struct pmf_unwind_out unwind(
	struct pmf_unwinder *u, const struct shot *s, size_t bytes, size_t asked, size_t cap)
{
	struct pmf_unwind_in in = {.arch = pmf_arch_native(),
		.stack = s->stack,
		.stack_bytes = bytes,
		.stack_asked = asked,
		.process = self,
		.table = &table,
		.now_ns = 1};
	struct pmf_unwind_out out = {.frames = frames, .cap = cap};

	memcpy(in.regs, s->regs, sizeof in.regs);
	pmf_unwind(u, &in, &out);
	return out;
}

/* ---- A call chain ---- */

static struct shot chain_shot;

static int add_ip(void *ctx, void *arg)
{
	struct shot *s = arg;

	uintptr_t pc = libgcc_ip(ctx);

	/* After the outermost frame it gives one at 0. */
	if (s->nr_bt == MAX_BT || pc == 0)
		return 1;
	s->bt[s->nr_bt++] = (void *)pc;
	return 0;
}

/* What libgcc says, from the frame of the function that returns to @ra on. */
static void take_backtrace(struct shot *s, const void *ra)
{
	int skip = 1;

	s->nr_bt = 0;
	libgcc_backtrace(add_ip, s);
	while (skip < s->nr_bt && s->bt[skip] != ra)
		skip++;
	s->nr_bt -= skip - 1;
	memmove(s->bt, s->bt + skip - 1, (size_t)s->nr_bt * sizeof *s->bt);
}

static __attribute__((noinline)) void capture(struct shot *s)
{
	ucontext_t uc;

	memset(&uc, 0, sizeof uc); /* not all registers are getcontext's to fill in */
	getcontext(&uc);
	take_regs(s, &uc);
	copy_stack(s, MAX_DUMP);
	take_backtrace(s, __builtin_return_address(0));
}

static __attribute__((noinline)) int chain(struct shot *s, int depth, int salt)
{
	int r;

	/* Two ways to call, so that frames differ in size and in saved registers. */
	if (depth == 0) {
		capture(s);
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
	int ret = setup(state);

	chain_shot.stack = malloc(MAX_DUMP);
	chain(&chain_shot, DEPTH, 1);
	return ret;
}

static int teardown_chain(void **state)
{
	free(chain_shot.stack);
	memset(&chain_shot, 0, sizeof chain_shot);
	return teardown(state);
}

static void a_call_chain_is_walked_to_the_root(void **state)
{
	struct pmf_unwinder *u = unwinder(PMF_UNWIND_AUTO);
	const struct shot *s = &chain_shot;
	struct pmf_unwind_out out = unwind(u, s, s->stack_bytes, MAX_DUMP, PMF_UNWIND_MAX_FRAMES);

	(void)state;
	assert_int_equal(out.end, PMF_END_ROOT);
	assert_true(s->nr_bt > DEPTH + 3);
	assert_int_equal(out.n, s->nr_bt);
	assert_int_equal(frames[0].va, s->regs[ip]);
	for (int i = 1; i < s->nr_bt; i++)
		assert_int_equal(frames[i].va + 1, (uint64_t)(uintptr_t)s->bt[i]);
	for (size_t i = 0; i < out.n; i++) {
		assert_non_null(frames[i].map);
		assert_int_equal(frames[i].rva, frames[i].va - frames[i].map->bias);
		assert_ptr_equal(frames[i].map, pmf_process_map(self, frames[i].va));
	}
	pmf_unwinder_free(u);
}

static void a_short_dump_gives_a_prefix(void **state)
{
	static struct pmf_unwind_frame whole[PMF_UNWIND_MAX_FRAMES];
	struct pmf_unwinder *u = unwinder(PMF_UNWIND_AUTO);
	const struct shot *s = &chain_shot;
	struct pmf_unwind_out out = unwind(u, s, s->stack_bytes, MAX_DUMP, PMF_UNWIND_MAX_FRAMES);
	size_t n = out.n, nr_truncated = 0, last = 0;

	(void)state;
	memcpy(whole, frames, n * sizeof *whole);
	for (size_t bytes = 0; bytes <= s->stack_bytes; bytes += 8) {
		out = unwind(u, s, bytes, bytes, PMF_UNWIND_MAX_FRAMES);
		assert_in_range(out.n, PMF_MAX(last, (size_t)1), n);
		assert_memory_equal(frames, whole, out.n * sizeof *whole);
		if (out.end == PMF_END_ROOT)
			assert_int_equal(out.n, n);
		else
			assert_int_equal(out.end, PMF_END_TRUNCATED);
		nr_truncated += out.end == PMF_END_TRUNCATED;
		last = out.n;
	}
	assert_true(nr_truncated > 50);
	/* A dump that had room left holds all there is: the stack itself is broken then. */
	out = unwind(u, s, 64, MAX_DUMP, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_BROKEN);
	/* And too few places for the frames are neither. */
	out = unwind(u, s, s->stack_bytes, MAX_DUMP, 5);
	assert_int_equal(out.end, PMF_END_FULL);
	assert_int_equal(out.n, 5);
	assert_memory_equal(frames, whole, 5 * sizeof *whole);
	pmf_unwinder_free(u);
}

static void no_call_graph_is_the_leaf(void **state)
{
	struct pmf_unwinder *u = unwinder(PMF_UNWIND_NONE);
	const struct shot *s = &chain_shot;
	struct pmf_unwind_out out = unwind(u, s, s->stack_bytes, MAX_DUMP, PMF_UNWIND_MAX_FRAMES);

	(void)state;
	assert_int_equal(out.n, 1);
	assert_int_equal(out.end, PMF_END_ROOT);
	assert_int_equal(frames[0].va, s->regs[ip]);
	pmf_unwinder_free(u);
}

static void mappings_found_late_restart_the_walk(void **state)
{
	struct pmf_unwinder *u = unwinder(PMF_UNWIND_AUTO);
	const struct shot *s = &chain_shot;
	struct pmf_unwind_out out;

	(void)state;
	/* Only the test program itself is known: the C library's frames need /proc. */
	self->maps[0] = *pmf_process_map(self, s->regs[ip]);
	self->nr_maps = 1;
	self->maps_generation++;
	self->reread_ns = 0;
	out = unwind(u, s, s->stack_bytes, MAX_DUMP, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_ROOT);
	assert_int_equal(out.n, s->nr_bt);
	assert_true(self->nr_maps > 1);
	for (size_t i = 0; i < out.n; i++)
		assert_ptr_equal(frames[i].map, pmf_process_map(self, frames[i].va));
	pmf_unwinder_free(u);
}

#if defined(__x86_64__)

/* ---- Every instruction: single steps through the C library ---- */

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
	take_regs(s, uc);
	copy_stack(s, MAX_DUMP / 2);
	take_backtrace(s, __builtin_return_address(0));
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
		frames[0].va != s->regs[ip])
		return false;
	for (int i = 3; i < s->nr_bt; i++)
		if (frames[i - 2].va + 1 != (uint64_t)(uintptr_t)s->bt[i])
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
	int ret = setup(state);

	nr_shots = nr_traps = 0;
	shot_every = every;
	shots[0].stack = malloc((size_t)MAX_SHOTS * (MAX_DUMP / 2));
	for (size_t i = 1; i < MAX_SHOTS; i++)
		shots[i].stack = shots[i - 1].stack + MAX_DUMP / 2;
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
	return teardown(state);
}

static void every_instruction_is_walked_as_libgcc_does(void **state)
{
	struct pmf_unwinder *u, *plain, *own;
	size_t wrong = 0, differs = 0;

	(void)state;
	if (nr_traps == 0)
		skip_because("the trap flag does nothing here (valgrind)");
	u = unwinder(PMF_UNWIND_AUTO);
	plain = pmf_unwinder_new(PMF_UNWIND_AUTO, PMF_UNWIND_BY_LIBUNWIND, pmf_arch_native());
	for (size_t i = 0; i < nr_shots; i++) {
		struct pmf_unwind_out out =
			unwind(u, &shots[i], shots[i].stack_bytes, MAX_DUMP, PMF_UNWIND_MAX_FRAMES);

		if (!agrees(&shots[i], &out) && wrong++ < 5)
			print_message("pc %llx: %zu frames, end %d, libgcc %d frames\n",
				(unsigned long long)shots[i].regs[ip], out.n, out.end,
				shots[i].nr_bt - 2);
	}
	assert_int_equal(wrong, 0);

	/* Once more from the filled cache, and without any. */
	pmf_unwind_libunwind_uncache(plain->priv);
	for (size_t i = 0; i < nr_shots; i++) {
		struct pmf_unwind_out out =
			unwind(u, &shots[i], shots[i].stack_bytes, MAX_DUMP, PMF_UNWIND_MAX_FRAMES);

		differs += !agrees(&shots[i], &out);
	}
	pmf_unwind_space_drop(self);
	for (size_t i = 0; i < nr_shots; i++) {
		struct pmf_unwind_out out = unwind(
			plain, &shots[i], shots[i].stack_bytes, MAX_DUMP, PMF_UNWIND_MAX_FRAMES);

		differs += !agrees(&shots[i], &out);
	}
	assert_int_equal(differs, 0);

	/* And without libunwind. */
	own = pmf_unwinder_with(&pmf_unwind_cfi, true, pmf_arch_native());
	for (size_t i = 0; i < nr_shots; i++) {
		struct pmf_unwind_out out = unwind(
			own, &shots[i], shots[i].stack_bytes, MAX_DUMP, PMF_UNWIND_MAX_FRAMES);

		if (!agrees(&shots[i], &out) && differs++ < 5)
			print_message("own: pc %llx: %zu frames, end %d, libgcc %d frames\n",
				(unsigned long long)shots[i].regs[ip], out.n, out.end,
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
	take_regs(&stopped, context);
	capture(&handler_shot);
	step_over(context);
	__asm__ volatile(""); /* so that the call of capture is no jump */
}

static void a_signal_frame_leads_to_the_stopped_code(void **state)
{
	struct sigaction sa = {.sa_sigaction = on_stop, .sa_flags = SA_SIGINFO}, old;
	struct pmf_unwinder *u = unwinder(PMF_UNWIND_AUTO);
	struct pmf_unwind_out out;
	size_t at = 0;

	(void)state;
	handler_shot.stack = malloc(MAX_DUMP);
	sigaction(SIGTRAP, &sa, &old);
	RAISE_TRAP();
	sigaction(SIGTRAP, &old, NULL);
	out = unwind(u, &handler_shot, handler_shot.stack_bytes, MAX_DUMP, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_ROOT);
	assert_int_equal(out.n, handler_shot.nr_bt);
	while (at < out.n && frames[at].va != stopped.regs[ip])
		at++;
	/* capture, handler, trampoline, and the exact place that the signal stopped. */
	assert_int_equal(at, 3);
	assert_int_equal(frames[at - 1].va, (uint64_t)(uintptr_t)handler_shot.bt[at - 1]);
	assert_int_equal(frames[at + 1].va + 1, (uint64_t)(uintptr_t)handler_shot.bt[at + 1]);
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
	name_regs();
	pmf_process_table_init(&table, false);
	pmf_process_apply(&table, &rec);
	self = pmf_process_find(&table, 77);
	memset(made_stack, 0, sizeof made_stack);
	memset(made.regs, 0, sizeof made.regs);
	made.regs[sp] = SP;
	made.regs[ip] = CODE + 0x10;
	made.regs[fp] = FP_AT(2);
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
		struct pmf_unwinder *u = unwinder(modes[i]);
		struct pmf_unwind_out out =
			unwind(u, &made, sizeof made_stack, 8192, PMF_UNWIND_MAX_FRAMES);

		assert_int_equal(out.end, PMF_END_ROOT);
		assert_int_equal(out.n, 4);
		assert_int_equal(frames[0].va, CODE + 0x10);
		assert_int_equal(frames[1].va, CODE + 0xff);
		assert_int_equal(frames[2].va, CODE + 0x1ff);
		assert_int_equal(frames[3].va, CODE + 0x2ff);
		assert_int_equal(frames[3].rva, frames[3].va);

		out = unwind(u, &made, 12 * 8, 12 * 8, PMF_UNWIND_MAX_FRAMES);
		assert_int_equal(out.end, PMF_END_TRUNCATED);
		assert_int_equal(out.n, 3);
		pmf_unwinder_free(u);
	}
}

static void dwarf_alone_does_not_guess(void **state)
{
	struct pmf_unwinder *u = unwinder(PMF_UNWIND_DWARF);
	struct pmf_unwind_out out =
		unwind(u, &made, sizeof made_stack, 8192, PMF_UNWIND_MAX_FRAMES);

	(void)state;
	assert_int_equal(out.n, 1);
	assert_int_equal(out.end, PMF_END_BROKEN);
	pmf_unwinder_free(u);
}

static void chains_that_lead_nowhere_are_broken(void **state)
{
	struct pmf_unwinder *u = unwinder(PMF_UNWIND_AUTO);
	struct pmf_unwind_out out;

	(void)state;
	/* A loop: the last frame points back to the first. */
	made_stack[12] = FP_AT(2);
	out = unwind(u, &made, sizeof made_stack, 8192, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_BROKEN);
	assert_int_equal(out.n, 4);
	/* A return address that is no code is not shown. */
	made_stack[7] = 0x1234;
	out = unwind(u, &made, sizeof made_stack, 8192, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_BROKEN);
	assert_int_equal(out.n, 2);
	/* Registers that hold no frame pointer, and a pc outside all code: the leaf stays. */
	made.regs[fp] = 3;
	made.regs[ip] = 0xdead;
	out = unwind(u, &made, sizeof made_stack, 8192, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_BROKEN);
	assert_int_equal(out.n, 1);
	assert_null(frames[0].map);
	assert_int_equal(frames[0].rva, 0xdead);
	out = unwind(u, &made, 0, 8192, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.n, 1);
	pmf_unwinder_free(u);
}

static void jit_code_is_crossed_between_compiled_frames(void **state)
{
	/* chain_shot's frames, called back from anonymous code that keeps a frame pointer: put in
	 * front of the real stack, as a leaf that stands in the JIT. */
	struct pmf_unwinder *u = unwinder(PMF_UNWIND_AUTO);
	uint8_t *jit = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct shot s = chain_shot;
	uint64_t fp_frame[2] = {chain_shot.regs[fp], chain_shot.regs[ip]};
	struct pmf_unwind_out out;

	(void)state;
	assert_ptr_not_equal(jit, MAP_FAILED);
	assert_int_equal(pmf_process_reread(&table, self, NULL), 0);
	s.stack = malloc(s.stack_bytes + sizeof fp_frame);
	memcpy(s.stack, fp_frame, sizeof fp_frame);
	memcpy(s.stack + sizeof fp_frame, chain_shot.stack, s.stack_bytes);
	s.stack_bytes += sizeof fp_frame;
	s.regs[sp] -= sizeof fp_frame;
	s.regs[fp] = s.regs[sp] - (uint64_t)(int64_t)pmf_arch_native()->fp_saved_fp;
	s.regs[ip] = (uint64_t)(uintptr_t)jit + 100;
	out = unwind(u, &s, s.stack_bytes, s.stack_bytes + 8, PMF_UNWIND_MAX_FRAMES);
	assert_int_equal(out.end, PMF_END_ROOT);
	assert_int_equal(out.n, chain_shot.nr_bt + 1);
	assert_int_equal(frames[0].map->image->kind, PMF_IMAGE_ANON);
	assert_int_equal(frames[1].va + 1, chain_shot.regs[ip]);
	for (int i = 1; i < chain_shot.nr_bt; i++)
		assert_int_equal(frames[i + 1].va + 1, (uint64_t)(uintptr_t)chain_shot.bt[i]);
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
	struct pmf_unwinder *const unwinders[] = {unwinder(PMF_UNWIND_AUTO),
		unwinder(PMF_UNWIND_DWARF), unwinder(PMF_UNWIND_FP),
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
				const struct pmf_map *map = &self->maps[r % self->nr_maps];

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
			s.regs[sp] = low;
			if (i & 1) {
				const struct pmf_map *map = &self->maps[i % self->nr_maps];

				s.regs[ip] = map->start + seed % (map->end - map->start);
			}
			struct pmf_unwind_out out =
				unwind(u, &s, (i & 63) * 16, (i & 64) * 16 + 8, 100);
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
	struct pmf_unwinder *u = unwinder(PMF_UNWIND_DWARF);
	struct shot s = {.stack = (uint8_t *)made_stack};
	size_t nr_tried = 0;

	(void)state;
	memset(made_stack, 0xff, sizeof made_stack);
	for (size_t i = 0; i < self->nr_maps; i++) {
		const struct pmf_map *m = &self->maps[i];
		const struct pmf_cfi *cfi;
		struct pmf_unwind_out out;

		/* ld.so's has no CFI; the program's own says that it has no caller. */
		if (strncmp(m->image->name, "ld-linux", 8) != 0)
			continue;
		cfi = pmf_cfi_of(m->image, pmf_arch_native());
		s.regs[fp] = s.regs[sp] = SP;
		s.regs[ip] = cfi->entry_rva + m->bias;
		out = unwind(u, &s, sizeof made_stack, 8192, PMF_UNWIND_MAX_FRAMES);
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
		const struct pmf_map *m = pmf_process_map(self, s->regs[ip]);
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
		self->maps_generation++;
		out = unwind(u, s, s->stack_bytes, MAX_DUMP, PMF_UNWIND_MAX_FRAMES);
		assert_in_range(out.n, 1, PMF_UNWIND_MAX_FRAMES);
		whole += out.end == PMF_END_ROOT;
		cfi->eh.data = good;
		pmf_image_rules_release(cfi->rules);
		free(bad);
	}
	assert_true(whole < 300);
	self->maps_generation++;
	out = unwind(u, s, s->stack_bytes, MAX_DUMP, PMF_UNWIND_MAX_FRAMES);
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
		cmocka_unit_test_setup_teardown(
			a_signal_frame_leads_to_the_stopped_code, setup, teardown),
		cmocka_unit_test_setup_teardown(
			frame_pointers_lead_to_the_root, setup_made, teardown),
		cmocka_unit_test_setup_teardown(dwarf_alone_does_not_guess, setup_made, teardown),
		cmocka_unit_test_setup_teardown(
			chains_that_lead_nowhere_are_broken, setup_made, teardown),
		cmocka_unit_test_setup_teardown(nonsense_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(the_entry_point_is_the_root, setup, teardown),
		cmocka_unit_test_setup_teardown(
			hostile_cfi_is_survived, setup_chain, teardown_chain),
	};

	return cmocka_run_group_tests_name("unwind", tests, NULL, NULL);
}
