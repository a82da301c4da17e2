/* pmuflame/stats.h - a few repeated measurements: what they say, and how sure that is.
 * Layer: study (uses base, profile). Threads: pure functions. docs/adr/0018 says why these. */
#ifndef PMUFLAME_STATS_H
#define PMUFLAME_STATS_H

#include <stddef.h>

/* @low to @high is the confidence interval of the *mean*, by Student's t. There is none of fewer than
 * two values: they are -INFINITY and INFINITY then. */
struct pmf_stats {
	size_t n;
	double median, mean, sd, min, max; /* 0 without values; sd with n - 1, 0 of one value */
	double low, high;
};

/* @values are finite. @level is between 0 and 1: 0.95 makes an interval that misses the mean in one of
 * 40 samples on either side. */
void pmf_stats_of(struct pmf_stats *s, const double *values, size_t n, double level);

/* The change from one mean to another as a ratio: 0.05 is 5 % more. Its interval is Fieller's with
 * Welch's degrees of freedom: -1 to INFINITY where the values say nothing. Of a thousand comparisons of
 * the same thing with itself at @level 0.999, one at most has an interval without 0, if each side has five
 * values or more: fewer may all be disturbed by chance. */
struct pmf_change {
	double ratio, low, high;
};

/* From @a to @b, counts or times, so none below 0. PMF_EUSAGE where either has fewer than two values or
 * the mean of @a is 0: there is no ratio then, and @c is not written. */
int pmf_stats_change(
	struct pmf_change *c, const double *a, size_t na, const double *b, size_t nb, double level);

#endif
