/* What the workloads share: strict arguments, CPU time to burn, and a mark that keeps a function a
 * frame of its own in every stack. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Not inlined, not cloned, not specialised: the name that the source has is the name in the stack.
 * (Tail calls are off for all workloads, see files.am.) */
#if defined(__GNUC__) && !defined(__clang__)
#define WL_FRAME __attribute__((noipa))
#else
#define WL_FRAME __attribute__((noinline))
#endif

/* An option "--name VALUE": a whole number, or seconds with a fraction. */
struct wl_option {
	const char *name;
	uint64_t *count; /* one of the two is set */
	double *seconds;
	uint64_t min, max; /* whole seconds for seconds */
	const char *help;
};

/* Read argv[1…] by @options (ended by a row without a name); anything else than what they describe
 * is one message and exit(2). --help prints them and ends. */
void wl_parse(int argc, char **argv, const struct wl_option *options);

/* Print "PROGRAM: sentence" on stderr and exit(@status). */
void wl_die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

double wl_now(void);        /* monotonic wall clock, seconds */
double wl_thread_cpu(void); /* CPU time of this thread, seconds */

/* A loop whose cost is bound by latency, so that neither alignment nor the neighbour changes it:
 * @n rounds of a dependent multiply and add. */
static inline __attribute__((always_inline)) uint64_t wl_spin(uint64_t x, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		__asm__ volatile("" : "+r"(x));
	}
	return x;
}

/* Spin until this thread has used @seconds more of CPU time. */
WL_FRAME uint64_t wl_burn(double seconds);

#ifdef __cplusplus
}
#endif
#endif
