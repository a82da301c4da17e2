/* A server: does what the lines of its standard input say, one after the other, and says "done" after each, so
 * that a test decides what happens before a profiler has attached, and what after. At the input's end it ends. */
#include "plugin.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef uint64_t plugin_fn(uint64_t x, uint64_t n);

static WL_FRAME void first(double seconds)
{
	wl_burn(seconds);
}

static WL_FRAME void second(double seconds)
{
	wl_burn(seconds);
}

static WL_FRAME void in_child(double seconds)
{
	wl_burn(seconds);
}

static WL_FRAME void *in_thread(void *seconds)
{
	wl_burn(*(double *)seconds);
	return NULL;
}

/* The first write to each of @pages pages: as many page faults. */
static WL_FRAME void touch(uint64_t pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), len = pages * page;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || madvise(p, len, MADV_NOHUGEPAGE) < 0)
		wl_die(1, "no memory to touch");
	for (size_t i = 0; i < len; i += page)
		*(volatile char *)(p + i) = 1;
	munmap(p, len);
}

static WL_FRAME void start_threads(unsigned n, double seconds)
{
	pthread_t threads[64];

	for (unsigned i = 0; i < n && i < 64; i++)
		if (pthread_create(&threads[i], NULL, in_thread, &seconds))
			wl_die(1, "cannot start a thread");
	for (unsigned i = 0; i < n && i < 64; i++)
		pthread_join(threads[i], NULL);
}

static void *rest(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* Threads that never run again. */
static void start_sleepers(unsigned n)
{
	pthread_t thread;

	while (n-- > 0)
		if (pthread_create(&thread, NULL, rest, NULL))
			wl_die(1, "cannot start a thread");
}

static WL_FRAME void start_child(double seconds)
{
	pid_t pid = fork();

	if (pid == 0) {
		in_child(seconds);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		wl_die(1, "cannot start a child");
}

/* From a shared object that was not mapped before. */
static WL_FRAME void load(const char *path, double seconds)
{
	void *plugin = dlopen(path, RTLD_NOW);
	plugin_fn *hot = plugin ? (plugin_fn *)dlsym(plugin, "plugin_hot_loop") : NULL;
	double end = wl_thread_cpu() + seconds;

	if (!hot)
		wl_die(1, "%s", dlerror());
	for (uint64_t x = 1; wl_thread_cpu() < end;)
		x = hot(x, 100000);
}

static void *again(void *self)
{
	execl("/proc/self/exe", self, "again", (char *)NULL);
	wl_die(1, "cannot execute itself");
}

/* A thread that is not the first becomes the first of another program. */
static void execute_in_thread(char *self)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, again, self))
		wl_die(1, "cannot start a thread");
	pthread_join(thread, NULL);
}

static WL_FRAME void obey(char *line, char *self)
{
	char word[32], path[4096];
	double x = 0;

	if (sscanf(line, "%31s %lf", word, &x) < 1)
		return;
	if (strcmp(word, "first") == 0)
		first(x);
	else if (strcmp(word, "second") == 0)
		second(x);
	else if (strcmp(word, "thread") == 0)
		start_threads(1, x);
	else if (strcmp(word, "threads") == 0)
		start_threads(8, x);
	else if (strcmp(word, "sleepers") == 0)
		start_sleepers((unsigned)x);
	else if (strcmp(word, "fork") == 0)
		start_child(x);
	else if (strcmp(word, "touch") == 0)
		touch((uint64_t)x);
	else if (sscanf(line, "load %lf %4095s", &x, path) == 2)
		load(path, x);
	else if (strcmp(word, "exec") == 0)
		again(self);
	else if (strcmp(word, "exec-in-thread") == 0)
		execute_in_thread(self);
	else
		wl_die(2, "'%s' is no order", word);
	puts("done");
}

int main(int argc, char **argv)
{
	char line[5000];

	/* Lines that stand in a buffer would be lost at an exec. */
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2)
		puts("done");
	while (fgets(line, sizeof line, stdin))
		obey(line, argv[0]);
	return 0;
}
