/* The awkward things that programs do while they are profiled, one per subcommand. */
#include "plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the options of any mode say. */
struct params {
	double seconds;
	uint64_t times, mib;
	char *argv0;
};

struct mode {
	const char *name;
	int (*run)(const struct params *p);
	const char *help;
};

static _Noreturn void die_errno(const char *what)
{
	wl_die(1, "%s: %s", what, strerror(errno));
}

/* ---- Programs that are replaced, or end early ---- */

static WL_FRAME void burn_before_exec(double seconds)
{
	wl_burn(seconds);
}

static WL_FRAME void burn_after_exec(double seconds)
{
	wl_burn(seconds);
}

static int run_exec_self(const struct params *p)
{
	char seconds[40];
	snprintf(seconds, sizeof seconds, "%.9g", p->seconds);
	burn_before_exec(p->seconds);
	execl("/proc/self/exe", "edge-execed", "exec-end", "--seconds", seconds, (char *)NULL);
	die_errno("cannot execute itself");
}

static int run_exec_end(const struct params *p)
{
	burn_after_exec(p->seconds);
	puts("executed");
	return 0;
}

static int run_quick_exit(const struct params *p)
{
	(void)p;
	return 0;
}

static int run_self_kill(const struct params *p)
{
	wl_burn(p->seconds);
	kill(getpid(), SIGKILL);
	return 1;
}

static WL_FRAME void read_forbidden(const volatile char *page)
{
	(void)*page;
}

static int run_segv(const struct params *p)
{
	void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		die_errno("cannot map a page");
	/* A sanitizer's handler would turn the signal into an exit status. */
	signal(SIGSEGV, SIG_DFL);
	wl_burn(p->seconds);
	read_forbidden(page);
	return 1;
}

static int run_delete_self(const struct params *p)
{
	const char *slash = strrchr(p->argv0, '/');
	/* Only a copy made for this may go. */
	if (!slash || strcmp(slash, "/edge") == 0)
		wl_die(2, "delete-self runs from a copy under another name, by its path");
	if (unlink(p->argv0) != 0)
		die_errno("cannot delete itself");
	wl_burn(p->seconds);
	puts("deleted");
	return 0;
}

static WL_FRAME void burn_as_daemon(double seconds)
{
	wl_burn(seconds);
}

static int run_daemonise(const struct params *p)
{
	pid_t pid = fork();
	if (pid < 0)
		die_errno("cannot fork");
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);
		setsid();
		if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(1);
		burn_as_daemon(p->seconds);
		_exit(0);
	}
	wl_burn(p->seconds / 10);
	printf("daemon %d\n", (int)pid);
	return 0;
}

static int run_sigterm_ignore(const struct params *p)
{
	signal(SIGTERM, SIG_IGN);
	puts("ignoring");
	fflush(stdout);
	wl_burn(p->seconds);
	return 0;
}

static int run_output(const struct params *p)
{
	for (uint64_t i = 1; i <= p->times; i++)
		printf("line %llu\n", (unsigned long long)i);
	wl_burn(p->seconds);
	return 0;
}

/* ---- Code that comes and goes ---- */

static int run_dlopen(const struct params *p)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof path - sizeof "/plugin.so");
	if (len < 0)
		die_errno("cannot read /proc/self/exe");
	path[len] = '\0';
	strcpy(strrchr(path, '/'), "/plugin.so");
	uint64_t x = 1;
	for (uint64_t i = 0; i < p->times; i++) {
		void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!plugin)
			wl_die(1, "cannot load the plugin: %s", dlerror());
		uint64_t (*hot)(uint64_t, uint64_t);
		*(void **)&hot = dlsym(plugin, "plugin_hot_loop");
		if (!hot)
			wl_die(1, "the plugin has no plugin_hot_loop: %s", dlerror());
		double end = wl_thread_cpu() + p->seconds / (double)p->times;
		do {
			x = hot(x, 100000);
		} while (wl_thread_cpu() < end);
		dlclose(plugin);
	}
	printf("loaded %llu times\n", (unsigned long long)p->times);
	return 0;
}

/* ---- Memory and waiting ---- */

static WL_FRAME void touch_first(volatile char *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 4096)
		p[i] = 1;
}

static WL_FRAME void touch_again(volatile char *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 4096)
		p[i]++;
}

static int run_faults(const struct params *p)
{
	size_t bytes = (size_t)p->mib << 20;
	struct rusage before, after;
	void *fresh = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh == MAP_FAILED)
		die_errno("cannot map the memory");
	/* One fault per page: no huge pages. A kernel without them refuses, which is as good. */
	(void)madvise(fresh, bytes, MADV_NOHUGEPAGE);
	getrusage(RUSAGE_SELF, &before);
	touch_first(fresh, bytes);
	getrusage(RUSAGE_SELF, &after);
	for (int i = 0; i < 10; i++)
		touch_again(fresh, bytes);
	munmap(fresh, bytes);
	printf("pages  %zu\nfaults %ld\n", bytes / 4096, after.ru_minflt - before.ru_minflt);
	return 0;
}

static WL_FRAME void wait_for_peer(int fd)
{
	char c;
	if (read(fd, &c, 1) != 1)
		wl_die(1, "the peer went away");
}

static void send_to_peer(int fd)
{
	if (write(fd, "x", 1) != 1)
		die_errno("cannot write to the peer");
}

static int run_waits(const struct params *p)
{
	int there[2], back[2];
	if (pipe(there) != 0 || pipe(back) != 0)
		die_errno("cannot make a pipe");
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0)
		die_errno("cannot fork");
	for (uint64_t i = 0; i < p->times; i++) {
		if (pid == 0) {
			wait_for_peer(there[0]);
			send_to_peer(back[1]);
			continue;
		}
		const struct timespec nap = {0, 100000};
		nanosleep(&nap, NULL);
		send_to_peer(there[1]);
		wait_for_peer(back[0]);
	}
	if (pid == 0)
		_exit(0);
	int status;
	if (waitpid(pid, &status, 0) != pid || status != 0)
		wl_die(1, "the peer failed");
	struct rusage ru;
	getrusage(RUSAGE_SELF, &ru);
	printf("rounds   %llu\nswitches %ld\n", (unsigned long long)p->times, ru.ru_nvcsw);
	return 0;
}

/* ---- Stacks ---- */

static WL_FRAME void burn_under_big_frame(double seconds)
{
	/* More than a stack dump of 65,528 bytes can hold between this frame and its caller. */
	volatile char big[200 * 1024];
	for (size_t i = 0; i < sizeof big; i += 64)
		big[i] = (char)i;
	wl_burn(seconds);
	(void)big[0];
}

static int run_big_stack(const struct params *p)
{
	burn_under_big_frame(p->seconds);
	puts("done");
	return 0;
}

static WL_FRAME void burn_above_hole(double seconds)
{
	/* Its pages between the ends stay untouched. */
	volatile char big[16 * 1024];
	big[0] = 1;
	wl_burn(seconds);
	(void)big[0];
}

static int run_stack_hole(const struct params *p)
{
	burn_above_hole(p->seconds);
	puts("done");
	return 0;
}

static WL_FRAME void end_here(void)
{
	puts("done");
	fflush(stdout);
	_exit(0);
}

/* One call after the other, each of which works first: 144 bytes of stack a call on x86-64. None returns,
 * so that they stand in memory for as long as there is some, whenever a recorder looks. */
static WL_FRAME uint64_t work_and_dig(uint64_t calls, double seconds)
{
	volatile uint64_t room[8];

	room[calls % 8] = wl_burn(seconds);
	if (calls > 1)
		room[0] = work_and_dig(calls - 1, seconds);
	else
		end_here();
	return room[calls % 8] + 1;
}

static int run_recurse(const struct params *p)
{
	work_and_dig(p->times, p->seconds / (double)p->times);
	return 0;
}

static volatile double dig_seconds;

/* Most of the work at the end, and nothing on the stack that tells one time from another. */
static WL_FRAME void dig_and_work(uint64_t calls)
{
	volatile uint64_t room[8];

	for (size_t i = 0; i < 8; i++)
		room[i] = calls;
	wl_spin(calls, 100);
	if (calls > 1)
		dig_and_work(calls - 1);
	else
		wl_burn(dig_seconds);
	(void)room[0];
}

/* The two have frames of one size, and their callees cannot tell them apart. */
static WL_FRAME void dig_here(uint64_t calls, double seconds)
{
	dig_seconds = seconds;
	dig_and_work(calls);
	__asm__ volatile("" ::: "memory");
}

static WL_FRAME void dig_there(uint64_t calls, double seconds)
{
	dig_seconds = seconds;
	dig_and_work(calls);
	__asm__ volatile("" ::: "memory");
}

static int run_two_callers(const struct params *p)
{
	const double end = wl_thread_cpu() + p->seconds;

	do {
		dig_here(p->times, 0.001);
		dig_there(p->times, 0.003);
	} while (wl_thread_cpu() < end);
	puts("done");
	return 0;
}

static int run_next_caller(const struct params *p)
{
	const double end = wl_thread_cpu() + p->seconds / 5;

	do {
		dig_here(p->times, 0.001);
	} while (wl_thread_cpu() < end);
	dig_there(p->times, 4 * p->seconds / 5);
	puts("done");
	return 0;
}

static volatile double handler_seconds;
static volatile sig_atomic_t nr_handled;

static WL_FRAME void handle_on_altstack(int signo)
{
	(void)signo;
	wl_burn(handler_seconds);
	nr_handled++;
}

static WL_FRAME void raise_until_done(uint64_t times)
{
	for (uint64_t i = 0; i < times; i++)
		raise(SIGUSR1);
}

static int run_altstack(const struct params *p)
{
	const size_t size = 256 * 1024;
	stack_t old, alt = {.ss_sp = malloc(size), .ss_size = size};
	struct sigaction sa = {.sa_handler = handle_on_altstack, .sa_flags = SA_ONSTACK};
	if (!alt.ss_sp || sigaltstack(&alt, &old) != 0 || sigaction(SIGUSR1, &sa, NULL) != 0)
		die_errno("cannot install a handler on its own stack");
	handler_seconds = p->seconds / (double)p->times;
	raise_until_done(p->times);
	sigaltstack(&old, NULL);
	free(alt.ss_sp);
	printf("handled %d signals\n", (int)nr_handled);
	return 0;
}

/* ---- Code that no file holds ---- */

/* void code(void (*callee)(void), uint64_t spins), as a compiler at run time would write it: with a
 * frame pointer, and nothing to unwind by. It calls back, then spins. */
extern const char jit_code[], jit_code_end[];
#if defined(__x86_64__)
__asm__(".section .rodata\n"
	"	.globl jit_code, jit_code_end\n"
	"	.balign 4\n"
	"jit_code:\n"
	"	pushq %rbp\n"
	"	movq %rsp, %rbp\n"
	"	subq $16, %rsp\n"
	"	movq %rsi, -8(%rbp)\n"
	"	call *%rdi\n"
	"	movq -8(%rbp), %rax\n"
	"1:	decq %rax\n"
	"	jnz 1b\n"
	"	leave\n"
	"	ret\n"
	"jit_code_end:\n"
	".previous\n");
#elif defined(__aarch64__)
__asm__(".section .rodata\n"
	"	.globl jit_code, jit_code_end\n"
	"	.balign 4\n"
	"jit_code:\n"
	"	stp x29, x30, [sp, #-32]!\n"
	"	mov x29, sp\n"
	"	str x1, [sp, #16]\n"
	"	blr x0\n"
	"	ldr x1, [sp, #16]\n"
	"1:	subs x1, x1, #1\n"
	"	b.ne 1b\n"
	"	ldp x29, x30, [sp], #32\n"
	"	ret\n"
	"jit_code_end:\n"
	".previous\n");
#elif defined(__riscv)
__asm__(".section .rodata\n"
	"	.globl jit_code, jit_code_end\n"
	"	.balign 4\n"
	"jit_code:\n"
	"	addi sp, sp, -32\n"
	"	sd ra, 24(sp)\n"
	"	sd s0, 16(sp)\n"
	"	addi s0, sp, 32\n"
	"	sd a1, 8(sp)\n"
	"	jalr a0\n"
	"	ld a1, 8(sp)\n"
	"1:	addi a1, a1, -1\n"
	"	bnez a1, 1b\n"
	"	ld ra, 24(sp)\n"
	"	ld s0, 16(sp)\n"
	"	addi sp, sp, 32\n"
	"	ret\n"
	"jit_code_end:\n"
	".previous\n");
#endif

static double jit_seconds;

static WL_FRAME void burn_below_jit(void)
{
	wl_burn(jit_seconds);
}

static WL_FRAME void call_jit(void (*code)(void (*callee)(void), uint64_t spins))
{
	code(burn_below_jit, 2000000);
}

static int run_jit(const struct params *p)
{
	size_t size = (uintptr_t)jit_code_end - (uintptr_t)jit_code;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void (*code)(void (*callee)(void), uint64_t spins);

	if (page == MAP_FAILED)
		die_errno("cannot map a page");
	memcpy(page, jit_code, size);
	__builtin___clear_cache(page, (char *)page + size);
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0)
		die_errno("cannot make a page executable");
	memcpy(&code, &page, sizeof code);
	jit_seconds = p->seconds / (double)p->times;
	for (uint64_t i = 0; i < p->times; i++)
		call_jit(code);
	munmap(page, 4096);
	puts("generated");
	return 0;
}

static const struct mode modes[] = {
	{"exec-self", run_exec_self, "burn, exec itself, burn again"},
	{"exec-end", run_exec_end, "what exec-self becomes"},
	{"quick-exit", run_quick_exit, "end at once"},
	{"self-kill", run_self_kill, "burn, then SIGKILL itself"},
	{"segv", run_segv, "burn, then crash"},
	{"delete-self", run_delete_self, "delete its own file (a copy), then burn"},
	{"daemonise", run_daemonise, "leave a child that burns on"},
	{"sigterm-ignore", run_sigterm_ignore, "burn, whatever SIGTERM says"},
	{"output", run_output, "print --times lines, then burn"},
	{"dlopen", run_dlopen, "load, run and unload plugin.so --times times"},
	{"faults", run_faults, "touch --mib of fresh memory, then again"},
	{"waits", run_waits, "sleep and ping-pong over pipes, --times rounds"},
	{"big-stack", run_big_stack, "burn below a frame of 200 KiB"},
	{"recurse", run_recurse, "burn in each of --times calls, one below the other"},
	{"two-callers", run_two_callers, "burn below --times calls from two functions, 1:3"},
	{"next-caller", run_next_caller, "the same, often from one, then once from the other, 1:4"},
	{"stack-hole", run_stack_hole, "burn below 16 KiB of stack that nothing touches"},
	{"jit", run_jit, "burn below code in anonymous memory, --times times"},
	{"altstack", run_altstack, "burn in --times signal handlers on a stack of their own"},
};

int main(int argc, char **argv)
{
	struct params p = {.seconds = 0.2, .times = 20, .mib = 32, .argv0 = argv[0]};
	const struct wl_option options[] = {
		{"--seconds", NULL, &p.seconds, 0, 3600, "CPU time to spend"},
		{"--times", &p.times, NULL, 1, 1000000, "rounds"},
		{"--mib", &p.mib, NULL, 1, 16384, "memory to touch"},
		{NULL, NULL, NULL, 0, 0, NULL},
	};
	const size_t nr_modes = sizeof modes / sizeof modes[0];
	if (argc < 2 || strcmp(argv[1], "--help") == 0) {
		FILE *f = argc < 2 ? stderr : stdout;
		fputs("Usage: edge MODE [--seconds S] [--times N] [--mib N]\n", f);
		for (size_t i = 0; i < nr_modes; i++)
			fprintf(f, "  %-15s %s\n", modes[i].name, modes[i].help);
		return argc < 2 ? 2 : 0;
	}
	for (size_t i = 0; i < nr_modes; i++) {
		if (strcmp(argv[1], modes[i].name) == 0) {
			wl_parse(argc - 1, argv + 1, options);
			return modes[i].run(&p);
		}
	}
	wl_die(2, "unknown mode '%s'; see --help", argv[1]);
}
