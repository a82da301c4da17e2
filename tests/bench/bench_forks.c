/* bench_forks ROUNDS - what inherited events cost when a task starts and ends. On a machine with many
 * CPUs a task has each event once for every CPU, and all but those of the CPU that it runs on lie
 * idle. That is simulated here: everything runs on the first CPU, and the events of all other CPUs
 * are opened on the second, each CPU's in a ring of their own as the profiler does. (A ring that
 * more events share would cost more: an exiting event wakes the readers of all of them.) */
#include "pmuflame/mem.h"
#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RING_PAGES = 1 };

static void die(const char *what)
{
	fprintf(stderr, "bench_forks: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int open_event(uint64_t config, int cpu)
{
	struct perf_event_attr a = {.size = sizeof a,
		.type = PERF_TYPE_SOFTWARE,
		.config = config,
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.inherit = 1,
		.sample_id_all = 1};
	int fd;

	if (config != PERF_COUNT_SW_DUMMY) {
		a.sample_period = 1000000; /* opened to be inherited, not to sample */
		a.inherit_stat = 1;
	}
	fd = (int)syscall(SYS_perf_event_open, &a, 0, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		die("cannot open an event");
	return fd;
}

/* A CPU's sideband event with its ring, and @events that write into it, appended to @fds. */
static size_t open_cpu(int *fds, bool first, size_t events)
{
	size_t bytes = (1 + RING_PAGES) * (size_t)sysconf(_SC_PAGESIZE), n = 0;
	const void *ring; /* stays until the process ends */

	fds[n++] = open_event(PERF_COUNT_SW_DUMMY, !first);
	ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	if (ring == MAP_FAILED)
		die("cannot map a ring");
	for (size_t e = 0; e < events; e++, n++) {
		fds[n] = open_event(PERF_COUNT_SW_PAGE_FAULTS, !first);
		if (ioctl(fds[n], PERF_EVENT_IOC_SET_OUTPUT, fds[0]) < 0)
			die("cannot redirect an event");
	}
	return n;
}

static double process_us(void)
{
	static char name[] = "/bin/true";
	char *const argv[] = {name, NULL}, *const env[] = {NULL};
	double start = now_us();
	pid_t pid = fork();

	if (pid == 0) {
		execve(name, argv, env);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		die("cannot start a process");
	return now_us() - start;
}

static void *nothing(void *arg)
{
	return arg;
}

static double thread_us(void)
{
	double start = now_us();
	pthread_t thread;

	if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
		die("cannot start a thread");
	return now_us() - start;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double (*measure)(void), double *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		values[i] = measure();
	qsort(values, n, sizeof *values, by_value);
	return values[n / 2];
}

/* One row of the table. */
static void measure(size_t cpus, size_t events, size_t rounds, const double *bare, double *out)
{
	int *fds = pmf_calloc(cpus * (events + 1) + 1, sizeof *fds);
	double *values = pmf_calloc(rounds, sizeof *values);
	size_t n = 0;

	for (size_t c = 0; c < cpus; c++)
		n += open_cpu(fds + n, c == 0, events);
	out[0] = median(process_us, values, rounds);
	out[1] = median(thread_us, values, rounds);
	printf("| %zu | %zu | %zu ", cpus, events, n);
	for (size_t k = 0; k < 2; k++) {
		if (n)
			printf("| %.0f | %.2f | %.2f ", out[k], out[k] / bare[k],
				(out[k] - bare[k]) / (double)n);
		else
			printf("| %.0f | 1 | ", out[k]);
	}
	puts("|");
	free(fds);
	free(values);
}

/* The same in a child, whose end takes its events with it. */
static void measure_apart(size_t cpus, size_t events, size_t rounds, const double *bare)
{
	double with[2];
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		measure(cpus, events, rounds, bare, with);
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		die("cannot start a process");
}

int main(int argc, char **argv)
{
	static const size_t cpus[] = {1, 4, 16, 64, 256}, events[] = {1, 4};
	size_t rounds = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	struct rlimit files = {.rlim_cur = 4096, .rlim_max = 4096};
	double bare[2];
	cpu_set_t first = {0};

	if (rounds == 0 || rounds > 1000000) {
		fputs("usage: bench_forks ROUNDS\n", stderr);
		return 2;
	}
	CPU_SET(0, &first);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2 || sched_setaffinity(0, sizeof first, &first) < 0) {
		puts("needs two CPUs");
		return 0;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	puts("| CPUs | events | opened | fork, exec, wait: µs | × | µs per event opened | thread, "
	     "join: µs | × | µs per event opened |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
	measure(0, 0, rounds, NULL, bare);
	for (size_t e = 0; e < PMF_ARRAY_SIZE(events); e++)
		for (size_t c = 0; c < PMF_ARRAY_SIZE(cpus); c++)
			measure_apart(cpus[c], events[e], rounds, bare);
	return 0;
}
