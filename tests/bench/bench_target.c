/* bench_target FILE COMMAND [ARG...] - run the command and leave in FILE what it took: seconds of
 * wall clock, seconds of CPU, and when it had exited (ns of CLOCK_REALTIME). Under a profiler it
 * says what the profiler cannot say of itself: how slow the command became and when it was gone. */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

int main(int argc, char **argv)
{
	struct rusage ru;
	uint64_t start;
	int status;
	pid_t pid;
	FILE *f;

	if (argc < 3) {
		fputs("usage: bench_target FILE COMMAND [ARG...]\n", stderr);
		return 2;
	}
	start = now_ns(CLOCK_MONOTONIC);
	pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		fprintf(stderr, "bench_target: cannot run '%s': %s\n", argv[2], strerror(errno));
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &ru) != pid) {
		fprintf(stderr, "bench_target: cannot start a child: %s\n", strerror(errno));
		return 1;
	}
	f = fopen(argv[1], "w");
	if (!f) {
		fprintf(stderr, "bench_target: cannot open '%s': %s\n", argv[1], strerror(errno));
		return 1;
	}
	fprintf(f, "%.6f %.6f %" PRIu64 "\n", (double)(now_ns(CLOCK_MONOTONIC) - start) * 1e-9,
		seconds(ru.ru_utime) + seconds(ru.ru_stime), now_ns(CLOCK_REALTIME));
	fclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
