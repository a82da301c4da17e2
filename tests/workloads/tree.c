/* A tree of processes that fork and exec themselves, or a storm of short-lived children. */
#include "workload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double children_cpu(void)
{
	struct rusage ru;
	getrusage(RUSAGE_CHILDREN, &ru);
	return (double)ru.ru_utime.tv_sec + (double)ru.ru_stime.tv_sec +
	       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1e-6;
}

static pid_t fork_or_die(void)
{
	pid_t pid = fork();
	if (pid < 0)
		wl_die(1, "cannot fork: %s", strerror(errno));
	return pid;
}

static void reap(pid_t pid)
{
	int status;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		wl_die(1, "child %d failed", (int)pid);
}

static _Noreturn void exec_subtree(uint64_t depth, uint64_t fanout, uint64_t micros)
{
	char d[24], f[24], m[24];
	snprintf(d, sizeof d, "%llu", (unsigned long long)depth);
	snprintf(f, sizeof f, "%llu", (unsigned long long)fanout);
	snprintf(m, sizeof m, "%llu", (unsigned long long)micros);
	execl("/proc/self/exe", "tree", "--depth", d, "--fanout", f, "--micros", m, "--inner", "1",
		(char *)NULL);
	fprintf(stderr, "tree: cannot execute itself: %s\n", strerror(errno));
	_exit(1);
}

static WL_FRAME void grow_tree(uint64_t depth, uint64_t fanout, uint64_t micros)
{
	pid_t children[16];
	for (uint64_t i = 0; depth && i < fanout; i++) {
		children[i] = fork_or_die();
		if (children[i] == 0)
			exec_subtree(depth - 1, fanout, micros);
	}
	wl_burn((double)micros * 1e-6);
	for (uint64_t i = 0; depth && i < fanout; i++)
		reap(children[i]);
}

static WL_FRAME void run_storm(uint64_t n, uint64_t micros)
{
	for (uint64_t i = 0; i < n; i++) {
		pid_t pid = fork_or_die();
		if (pid == 0) {
			wl_burn((double)micros * 1e-6);
			_exit(0);
		}
		reap(pid);
	}
}

static uint64_t tree_size(uint64_t depth, uint64_t fanout)
{
	uint64_t level = 1, sum = 1;
	for (uint64_t i = 0; i < depth; i++) {
		level *= fanout;
		sum += level;
	}
	return sum;
}

int main(int argc, char **argv)
{
	uint64_t depth = 3, fanout = 3, storm = 0, micros = 500, inner = 0;
	const struct wl_option options[] = {
		{"--depth", &depth, NULL, 0, 6, "generations below the first process"},
		{"--fanout", &fanout, NULL, 1, 16, "children of each"},
		{"--storm", &storm, NULL, 0, 1000000, "this many children in a row instead"},
		{"--micros", &micros, NULL, 0, 10000000, "CPU time of each process"},
		{"--inner", &inner, NULL, 0, 1, "1 in a child: prints nothing"},
		{NULL, NULL, NULL, 0, 0, NULL},
	};
	wl_parse(argc, argv, options);
	if (!storm && tree_size(depth, fanout) > 10000)
		wl_die(2, "--depth %llu with --fanout %llu makes more than 10000 processes",
			(unsigned long long)depth, (unsigned long long)fanout);

	if (storm)
		run_storm(storm, micros);
	else
		grow_tree(depth, fanout, micros);
	if (!inner) {
		printf("processes       %llu\n",
			(unsigned long long)(storm ? storm + 1 : tree_size(depth, fanout)));
		printf("children's CPU  %.3f s\n", children_cpu());
	}
	return 0;
}
