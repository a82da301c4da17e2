/* pmuflame/clock.h - the time, as one number.
 * Layer: base. Threads: any. */
#ifndef PMUFLAME_CLOCK_H
#define PMUFLAME_CLOCK_H

#include <stdint.h>
#include <time.h>

/* clock_gettime(2) in nanoseconds. Samples and records are timed by CLOCK_MONOTONIC. */
uint64_t pmf_clock_ns(clockid_t clock);

#endif
