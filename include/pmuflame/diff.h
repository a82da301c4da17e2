/* pmuflame/diff.h - two profiles side by side: what grew, what shrank, and what is only chance.
 * Layer: profile (uses base). Threads: one owner. docs/adr/0012 says why the statistics are these. */
#ifndef PMUFLAME_DIFF_H
#define PMUFLAME_DIFF_H

#include "pmuflame/err.h"
#include "pmuflame/profile.h"
#include "pmuflame/table.h"
#include <stdbool.h>
#include <stddef.h>

/* Costs per what are compared? */
enum pmf_diff_per {
	PMF_PER_RUN,     /* both runs did the same work */
	PMF_PER_TOTAL,   /* shares of what is shown */
	PMF_PER_TIME,    /* of the runs' duration */
	PMF_PER_COUNTER, /* event of another counter, which both have */
	PMF_PER_WORK,    /* unit of work, of which the user knows the numbers */
};

struct pmf_diff_opts {
	enum pmf_diff_per per;
	const char *counter;        /* its label */
	double work_base, work_new; /* > 0 */
	struct pmf_tree_opts tree;  /* of both */
};

/* Both profiles in one: event e of the joined profile is the new run's, event nr_events + e the base's
 * same event, labelled "… (before)". A function that both have is one. */
struct pmf_diff {
	size_t nr_events; /* that both have, in the new one's order */
	struct pmf_profile joined;
	struct pmf_tree tree;
	double *scale; /* per event: base's costs are multiplied with it before they are compared */
	char *per;     /* the comparison in words: "per run: …" */
};

/* What became of a function's or a frame's cost. Costs are in the new run's events. */
struct pmf_diff_change {
	double base, now;
	double error; /* ± of now - base at 95 %, of this one by itself; 0 without samples */
	double p;     /* probability that chance makes at least such a difference */
	bool tested;  /* there are enough samples for an answer */
	bool real;    /* the samples support it, among all that were tested together */
};

enum {
	/* Effective samples of the two runs together, below which nothing is tested. */
	PMF_DIFF_LEAST = 12,
	/* Of 100 comparisons of equal runs, in how many may anything be called real? */
	PMF_DIFF_LEVEL_PERCENT = 5,
};

/* Join @base and @now, neither of which is changed, and both may be released then. PMF_ENOTFOUND where
 * they have no event in common, or not that of opts->counter; PMF_EUSAGE where what is to be compared
 * with is 0. */
int pmf_diff_build(struct pmf_diff *d, const struct pmf_profile *base,
	const struct pmf_profile *now, const struct pmf_diff_opts *opts, struct pmf_err *err);
void pmf_diff_release(struct pmf_diff *d);

/* The changes of event @event in every row of @t, a table of d->tree, by self or by total; and in every
 * node of d->tree. free(3) them. Self and total are a family of tests together, nodes are another. */
struct pmf_diff_change *pmf_diff_rows(
	const struct pmf_diff *d, const struct pmf_table *t, size_t event, bool total);
struct pmf_diff_change *pmf_diff_nodes(const struct pmf_diff *d, size_t event);

/* ---- The statistics ---- */

/* @k1 of @n1 and @k2 of @n2 samples, not necessarily whole numbers, fell on something whose share is
 * @ratio times as large in the second, or so it is said. The probability, two-sided, of a difference
 * to that as large as this one or larger. */
double pmf_diff_p_value(double k1, double n1, double k2, double n2, double ratio);

/* The regularized incomplete beta function: what is below @x, from 0 to 1, of a beta distribution whose
 * parameters, above 0, are @a and @b. */
double pmf_diff_beta(double a, double b, double x);

/* Which of @changes, of which those that are tested count, are real: S. Holm's procedure of 1979. */
void pmf_diff_judge(struct pmf_diff_change *changes, size_t n, double level);

#endif
