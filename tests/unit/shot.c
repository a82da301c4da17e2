#include "shot.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pmf_process_table shot_table;
struct pmf_process *shot_self;
static uint64_t stack_top;
static int memory_fd = -1;
uint8_t shot_ip, shot_sp, shot_fp;
static void *libgcc; /* stays loaded */
static int (*libgcc_backtrace)(int (*fn)(void *ctx, void *arg), void *arg);
static uintptr_t (*libgcc_ip)(void *ctx);
struct pmf_unwind_frame shot_frames[PMF_UNWIND_MAX_FRAMES];

void shot_name_regs(void)
{
	shot_ip = pmf_arch_native()->reg_ip;
	shot_sp = pmf_arch_native()->reg_sp;
	shot_fp = pmf_arch_native()->reg_fp;
}

int shot_setup(void **state)
{
	pthread_attr_t attr;
	void *low = NULL;
	size_t size = 0;

	(void)state;
	shot_name_regs();
	libgcc = dlopen("libgcc_s.so.1", RTLD_NOW);
	pmf_process_table_init(&shot_table, true);
	shot_self = pmf_process_get(&shot_table, getpid());
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
	return pmf_process_reread(&shot_table, shot_self, NULL);
}

int shot_teardown(void **state)
{
	(void)state;
	pmf_process_table_release(&shot_table);
	close(memory_fd);
	memory_fd = -1;
	return 0;
}

struct pmf_unwinder *shot_unwinder(enum pmf_unwind_mode mode)
{
	return pmf_unwinder_new(mode, PMF_UNWIND_BY_AUTO, pmf_arch_native());
}

/* By the kernel's hand: sanitizers and valgrind would object to parts of a raw stack. */
void shot_copy_stack(struct shot *s, size_t max)
{
	ssize_t n = pread(memory_fd, s->stack, PMF_MIN(max, (size_t)(stack_top - s->regs[shot_sp])),
		(off_t)s->regs[shot_sp]);

	s->stack_bytes = n > 0 ? (size_t)n / 8 * 8 : 0;
}

#if defined(__x86_64__)
void shot_take_regs(struct shot *s, const ucontext_t *uc)
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
void shot_take_regs(struct shot *s, const ucontext_t *uc)
{
	for (size_t i = 0; i < 31; i++)
		s->regs[i] = uc->uc_mcontext.regs[i];
	s->regs[31] = uc->uc_mcontext.sp;
	s->regs[32] = uc->uc_mcontext.pc;
}
#elif defined(__riscv)
void shot_take_regs(struct shot *s, const ucontext_t *uc)
{
	for (size_t i = 0; i < 32; i++)
		s->regs[i] = uc->uc_mcontext.__gregs[i];
}
#endif

struct pmf_unwind_out shot_unwind(
	struct pmf_unwinder *u, const struct shot *s, size_t bytes, size_t asked, size_t cap)
{
	struct pmf_unwind_in in = {.arch = pmf_arch_native(),
		.stack = s->stack,
		.stack_bytes = bytes,
		.stack_asked = asked,
		.process = shot_self,
		.table = &shot_table,
		.now_ns = 1};
	struct pmf_unwind_out out = {.frames = shot_frames, .cap = cap};

	memcpy(in.regs, s->regs, sizeof in.regs);
	pmf_unwind(u, &in, &out);
	return out;
}

static int add_ip(void *ctx, void *arg)
{
	struct shot *s = arg;

	uintptr_t pc = libgcc_ip(ctx);

	/* After the outermost frame it gives one at 0. */
	if (s->nr_bt == SHOT_MAX_BT || pc == 0)
		return 1;
	s->bt[s->nr_bt++] = (void *)pc;
	return 0;
}

void shot_take_backtrace(struct shot *s, const void *ra)
{
	int skip = 1;

	s->nr_bt = 0;
	libgcc_backtrace(add_ip, s);
	while (skip < s->nr_bt && s->bt[skip] != ra)
		skip++;
	s->nr_bt -= skip - 1;
	memmove(s->bt, s->bt + skip - 1, (size_t)s->nr_bt * sizeof *s->bt);
}

void shot_capture(struct shot *s)
{
	ucontext_t uc;

	memset(&uc, 0, sizeof uc); /* not all registers are getcontext's to fill in */
	getcontext(&uc);
	shot_take_regs(s, &uc);
	shot_copy_stack(s, SHOT_MAX_DUMP);
	shot_take_backtrace(s, __builtin_return_address(0));
}
