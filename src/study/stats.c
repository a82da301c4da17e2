/* Intervals of means and of their ratio, for few values (docs/adr/0018). */
#include "pmuflame/stats.h"

#include "pmuflame/diff.h"
#include "pmuflame/err.h"
#include "pmuflame/mem.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What a t of @df degrees of freedom exceeds, on either side, with probability 1 - @level together:
 * that is the incomplete beta function of x = df / (df + t²) (NIST's Digital Library of Mathematical
 * Functions, 8.17 with Student's density), which rises with x. */
static double student(double level, double df)
{
	double low = 0, high = 1;

	/* A step makes x known to half as much; it is as small as 1e-12 for one degree of freedom. */
	for (int i = 0; i < 100; i++) {
		double x = (low + high) / 2;

		if (pmf_diff_beta(df / 2, 0.5, x) < 1 - level)
			low = x;
		else
			high = x;
	}
	return sqrt(df * (1 - high) / high);
}

static int compare_doubles(const void *va, const void *vb)
{
	double a = *(const double *)va, b = *(const double *)vb;

	return (a > b) - (a < b);
}

/* The median, smallest and largest of @values. */
static void order(struct pmf_stats *s, const double *values, size_t n)
{
	double *sorted = pmf_calloc(n, sizeof *sorted);

	memcpy(sorted, values, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, compare_doubles);
	s->min = sorted[0];
	s->max = sorted[n - 1];
	s->median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
	free(sorted);
}

static void moments(struct pmf_stats *s, const double *values, size_t n)
{
	double sum = 0, squares = 0;

	for (size_t i = 0; i < n; i++)
		sum += values[i];
	s->mean = sum / (double)n;
	for (size_t i = 0; i < n; i++)
		squares += (values[i] - s->mean) * (values[i] - s->mean);
	s->sd = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
}

/* The variance of the mean of @values. Whole numbers are known to a unit only: three counts of 7 do not
 * say that the next is 7. */
static double variance_of_mean(const struct pmf_stats *s, const double *values)
{
	double variance = s->sd * s->sd;
	bool whole = true;

	for (size_t i = 0; i < s->n; i++)
		whole = whole && values[i] == floor(values[i]);
	return (whole ? PMF_MAX(variance, 1.0 / 12) : variance) / (double)s->n;
}

void pmf_stats_of(struct pmf_stats *s, const double *values, size_t n, double level)
{
	double half = INFINITY;

	*s = (struct pmf_stats){.n = n, .low = -INFINITY, .high = INFINITY};
	if (n == 0)
		return;
	order(s, values, n);
	moments(s, values, n);
	if (n > 1)
		half = student(level, (double)(n - 1)) * sqrt(variance_of_mean(s, values));
	s->low = s->mean - half;
	s->high = s->mean + half;
}

int pmf_stats_change(
	struct pmf_change *c, const double *a, size_t na, const double *b, size_t nb, double level)
{
	struct pmf_stats sa = {.n = na}, sb = {.n = nb};
	double va, vb, ratio, scaled, df, t2, denominator, root;

	if (na < 2 || nb < 2)
		return PMF_EUSAGE;
	moments(&sa, a, na);
	moments(&sb, b, nb);
	if (!(sa.mean > 0))
		return PMF_EUSAGE;
	va = variance_of_mean(&sa, a);
	vb = variance_of_mean(&sb, b);
	ratio = sb.mean / sa.mean;
	*c = (struct pmf_change){.ratio = ratio - 1, .low = ratio - 1, .high = ratio - 1};
	scaled = ratio * ratio * va;
	if (!(scaled + vb > 0))
		return 0;
	df = (scaled + vb) * (scaled + vb) /
	     (scaled * scaled / (double)(na - 1) + vb * vb / (double)(nb - 1));
	t2 = pow(student(level, df), 2);
	/* Every r is in the interval for which mean(b) - r mean(a) is within t of its own error. */
	denominator = sa.mean * sa.mean - t2 * va;
	if (denominator <= 0) {
		c->low = -1;
		c->high = INFINITY;
		return 0;
	}
	root = sqrt(t2 * (sb.mean * sb.mean * va + denominator * vb));
	c->low = PMF_MAX((sa.mean * sb.mean - root) / denominator - 1, -1);
	c->high = (sa.mean * sb.mean + root) / denominator - 1;
	return 0;
}
