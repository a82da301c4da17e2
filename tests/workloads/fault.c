/* What programs do that a profiler may get in the way of. Each mode burns --seconds, does it, burns as much
 * again, and ends with status 3. */
#include "workload.h"

#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS = 3, NOBODY = 65534, DEPTH = 48 };

struct mode {
	const char *name;
	void (*run)(double seconds);
	const char *help;
};

static _Noreturn void die_errno(const char *what)
{
	wl_die(1, "%s: %s", what, strerror(errno));
}

static WL_FRAME void burn_before(double seconds)
{
	wl_burn(seconds);
}

static WL_FRAME void burn_after(double seconds)
{
	wl_burn(seconds);
}

static void close_all(double seconds)
{
	(void)seconds;
	if (syscall(SYS_close_range, 0U, ~0U, 0U) < 0)
		for (int fd = (int)sysconf(_SC_OPEN_MAX); fd-- > 0;)
			close(fd);
}

/* Whoever started it is its tracer then, and learns of each signal. */
static void trace_me(double seconds)
{
	(void)seconds;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		die_errno("cannot be traced");
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
}

static void clear_environment(double seconds)
{
	(void)seconds;
	clearenv();
	if (system("env | sort") != 0)
		die_errno("cannot run a shell");
}

static void change_user(double seconds)
{
	(void)seconds;
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		setresuid(NOBODY, NOBODY, NOBODY) < 0)
		die_errno("cannot become nobody");
}

static void change_root(double seconds)
{
	(void)seconds;
	if (chroot(".") < 0 || chdir("/") < 0)
		die_errno("cannot change the root folder");
}

/* Of system calls it needs a few; others fail as they do where a sandbox forbids them. */
static void filter_calls(double seconds)
{
	static const int allowed[] = {
		SYS_write, SYS_exit_group, SYS_clock_gettime, SYS_rt_sigreturn};
	enum { N = sizeof allowed / sizeof *allowed };
	struct sock_filter code[2 * N + 2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	struct sock_fprog program = {2 * N + 2, code};

	(void)seconds;
	for (int i = 0; i < N; i++) {
		code[1 + 2 * i] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
		code[2 + 2 * i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[2 * N + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		die_errno("cannot filter");
}

static void block_signals(double seconds)
{
	sigset_t all;

	(void)seconds;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

/* A child lets it go on. */
static void stop(double seconds)
{
	pid_t self = getpid(), pid = fork();

	(void)seconds;
	if (pid < 0)
		die_errno("cannot fork");
	if (pid == 0) {
		usleep(300000);
		kill(self, SIGCONT);
		_exit(0);
	}
	raise(SIGSTOP);
	waitpid(pid, NULL, 0);
}

/* ---- Stacks that never come again ---- */

static WL_FRAME void go_left(uint64_t way, int depth);

static WL_FRAME void go_right(uint64_t way, int depth)
{
	if (depth == 0)
		wl_spin(way, 3000);
	else if (way & 1)
		go_left(way >> 1, depth - 1);
	else
		go_right(way >> 1, depth - 1);
}

static WL_FRAME void go_left(uint64_t way, int depth)
{
	if (depth == 0)
		wl_spin(way, 3000);
	else if (way & 1)
		go_left(way >> 1, depth - 1);
	else
		go_right(way >> 1, depth - 1);
}

static void many_stacks(double seconds)
{
	double end = wl_thread_cpu() + seconds;

	for (uint64_t way = 1; wl_thread_cpu() < end;) {
		way = wl_spin(way, 1);
		go_left(way >> (64 - DEPTH), DEPTH);
	}
}

/* ---- Many at once, and many that are over at once ---- */

static pthread_barrier_t together;

static void *wait_and_burn(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&together);
	wl_burn(2e-5);
	return NULL;
}

static void many_threads(double seconds)
{
	enum { THREADS = 10000, STACK_BYTES = 64 << 10 };
	static pthread_t threads[THREADS];
	pthread_attr_t attr;

	(void)seconds;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_barrier_init(&together, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if ((errno = pthread_create(&threads[i], &attr, wait_and_burn, NULL)))
			die_errno("cannot create a thread");
	pthread_barrier_wait(&together);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void exec_many(double seconds)
{
	char name[] = "tiny", *const argv[] = {name, NULL};
	double end = wl_now() + seconds;

	while (wl_now() < end) {
		int status;
		pid_t pid;

		if ((errno = posix_spawn(&pid, "./tiny", NULL, NULL, argv, environ)))
			die_errno("cannot start ./tiny");
		if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
			WEXITSTATUS(status) != STATUS)
			wl_die(1, "a child failed");
	}
}

static const struct mode modes[] = {
	{"close-all", close_all, "close all descriptors"},
	{"trace-me", trace_me, "ask to be traced by its parent, and take a signal"},
	{"clear-environment", clear_environment, "do without environment, as does a shell of it"},
	{"change-user", change_user, "become nobody"},
	{"change-root", change_root, "take the current folder for the root"},
	{"filter-calls", filter_calls, "forbid itself most system calls"},
	{"block-signals", block_signals, "block all signals"},
	{"stop", stop, "stop for a while"},
	{"many-stacks", many_stacks, "burn in stacks that are all different"},
	{"many-threads", many_threads, "have 10,000 threads"},
	{"exec-many", exec_many, "execute ./tiny all the time"},
};

int main(int argc, char **argv)
{
	double seconds = 0.2;
	const struct wl_option options[] = {
		{"--seconds", NULL, &seconds, 0, 3600, "CPU time before, and after"},
		{NULL, NULL, NULL, 0, 0, NULL},
	};
	const size_t nr_modes = sizeof modes / sizeof modes[0];

	if (argc < 2 || strcmp(argv[1], "--help") == 0) {
		FILE *f = argc < 2 ? stderr : stdout;
		fputs("Usage: fault MODE [--seconds S]\n", f);
		for (size_t i = 0; i < nr_modes; i++)
			fprintf(f, "  %-18s %s\n", modes[i].name, modes[i].help);
		return argc < 2 ? 2 : 0;
	}
	for (size_t i = 0; i < nr_modes; i++) {
		if (strcmp(argv[1], modes[i].name) == 0) {
			wl_parse(argc - 1, argv + 1, options);
			burn_before(seconds);
			modes[i].run(seconds);
			burn_after(seconds);
			puts("done");
			return STATUS;
		}
	}
	wl_die(2, "unknown mode '%s'; see --help", argv[1]);
}
