/* Many threads at once, or many short-lived ones after each other. */
#include "workload.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_THREADS = 10000 };

struct job {
	pthread_t thread;
	double seconds; /* wall clock for long-lived ones, CPU time for short-lived ones */
};

static WL_FRAME uint64_t work_until(double end)
{
	uint64_t x = 1;
	while (wl_now() < end)
		x = wl_spin(x, 10000);
	return x;
}

static void *long_lived(void *arg)
{
	struct job *job = arg;
	work_until(wl_now() + job->seconds);
	return NULL;
}

static void *short_lived(void *arg)
{
	struct job *job = arg;
	wl_burn(job->seconds);
	return NULL;
}

static void start_job(struct job *job, void *(*run)(void *), uint64_t number)
{
	char name[16];
	int error = pthread_create(&job->thread, NULL, run, job);
	if (error)
		wl_die(1, "cannot start thread %llu: %s", (unsigned long long)number,
			strerror(error));
	snprintf(name, sizeof name, "worker-%llu", (unsigned long long)number);
	/* May fail only when the thread is already gone. */
	(void)pthread_setname_np(job->thread, name);
}

static void run_long_lived(uint64_t n, double seconds)
{
	struct job *jobs = calloc(n, sizeof *jobs);
	if (!jobs)
		wl_die(1, "cannot allocate %llu jobs", (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++) {
		jobs[i].seconds = seconds;
		start_job(&jobs[i], long_lived, i);
	}
	for (uint64_t i = 0; i < n; i++)
		pthread_join(jobs[i].thread, NULL);
	free(jobs);
}

/* Four at a time: a thread starts when the one four before it has ended. */
static void run_short_lived(uint64_t n, double seconds)
{
	enum { AT_ONCE = 4 };
	struct job jobs[AT_ONCE];
	for (uint64_t i = 0; i < n; i++) {
		struct job *job = &jobs[i % AT_ONCE];
		if (i >= AT_ONCE)
			pthread_join(job->thread, NULL);
		job->seconds = seconds;
		start_job(job, short_lived, i);
	}
	for (uint64_t i = n > AT_ONCE ? n - AT_ONCE : 0; i < n; i++)
		pthread_join(jobs[i % AT_ONCE].thread, NULL);
}

int main(int argc, char **argv)
{
	uint64_t threads = 64, nr_short = 0, micros = 200;
	double seconds = 1;
	const struct wl_option options[] = {
		{"--threads", &threads, NULL, 1, MAX_THREADS, "threads at once"},
		{"--seconds", NULL, &seconds, 0, 3600, "wall-clock time that they run"},
		{"--short-lived", &nr_short, NULL, 0, 10000000,
			"run this many short threads instead"},
		{"--micros", &micros, NULL, 0, 1000000, "CPU time of a short one"},
		{NULL, NULL, NULL, 0, 0, NULL},
	};
	wl_parse(argc, argv, options);

	double start = wl_now();
	if (nr_short)
		run_short_lived(nr_short, (double)micros * 1e-6);
	else
		run_long_lived(threads, seconds);
	printf("threads   %llu\n", (unsigned long long)(nr_short ? nr_short : threads));
	printf("elapsed   %.3f s\n", wl_now() - start);
	printf("CPU time  %.3f s\n", (double)clock() / CLOCKS_PER_SEC);
	return 0;
}
