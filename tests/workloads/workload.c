#include "workload.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* glibc's name of the program, without the folder. */
extern char *program_invocation_short_name;

void wl_die(int status, const char *fmt, ...)
{
	va_list ap;
	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

static double clock_seconds(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

double wl_now(void)
{
	return clock_seconds(CLOCK_MONOTONIC);
}

double wl_thread_cpu(void)
{
	return clock_seconds(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t wl_burn(double seconds)
{
	/* Around 20 µs between looks at the clock, which is a system call. */
	const uint64_t slice = 15000;
	const double end = wl_thread_cpu() + seconds;
	uint64_t x = 1;
	do {
		x = wl_spin(x, slice);
	} while (wl_thread_cpu() < end);
	return x;
}

static void print_help(const struct wl_option *options)
{
	printf("Usage: %s [OPTION VALUE]...\n", program_invocation_short_name);
	for (const struct wl_option *o = options; o->name; o++) {
		if (o->seconds)
			printf("  %-14s %s (%g)\n", o->name, o->help, *o->seconds);
		else
			printf("  %-14s %s (%llu)\n", o->name, o->help,
				(unsigned long long)*o->count);
	}
	exit(0);
}

static void read_count(const struct wl_option *o, const char *text)
{
	char *end;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	/* strtoull takes "-1" and " 1"; a count starts with a digit. */
	if (text[0] < '0' || text[0] > '9' || *end || errno || n < o->min || n > o->max)
		wl_die(2, "%s takes a whole number from %llu to %llu, not '%s'", o->name,
			(unsigned long long)o->min, (unsigned long long)o->max, text);
	*o->count = n;
}

static void read_seconds(const struct wl_option *o, const char *text)
{
	char *end;
	errno = 0;
	double s = strtod(text, &end);
	if (end == text || *end || errno || !isfinite(s) || s < (double)o->min ||
		s > (double)o->max)
		wl_die(2, "%s takes seconds from %llu to %llu, not '%s'", o->name,
			(unsigned long long)o->min, (unsigned long long)o->max, text);
	*o->seconds = s;
}

void wl_parse(int argc, char **argv, const struct wl_option *options)
{
	for (int i = 1; i < argc; i++) {
		const struct wl_option *o = options;
		if (strcmp(argv[i], "--help") == 0)
			print_help(options);
		while (o->name && strcmp(o->name, argv[i]) != 0)
			o++;
		if (!o->name)
			wl_die(2, "unknown argument '%s'; see --help", argv[i]);
		if (++i == argc)
			wl_die(2, "%s needs a value", o->name);
		if (o->seconds)
			read_seconds(o, argv[i]);
		else
			read_count(o, argv[i]);
	}
}
