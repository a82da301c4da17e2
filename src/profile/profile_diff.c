/* The statistics of a comparison (docs/adr/0012). */
#include "pmuflame/diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The regularized incomplete beta function by its continued fraction, evaluated from the front
 * (NIST's Digital Library of Mathematical Functions, 8.17.22 and 3.10). For x below its mean, where
 * it converges in about sqrt(a + b) steps. */
static double beta_fraction(double a, double b, double x)
{
	enum { STEPS_MAX = 100000 };
	const double tiny = 1e-300, enough = 1e-14;
	double c = 1, d = 1 - (a + b) * x / (a + 1), value;

	d = 1 / (fabs(d) < tiny ? tiny : d);
	value = d;
	for (int m = 1; m <= STEPS_MAX; m++) {
		const double terms[] = {m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
			-(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))};
		double change = 1;

		for (size_t i = 0; i < 2; i++) {
			d = 1 + terms[i] * d;
			d = 1 / (fabs(d) < tiny ? tiny : d);
			c = 1 + terms[i] / c;
			c = fabs(c) < tiny ? tiny : c;
			change = c * d;
			value *= change;
		}
		if (fabs(change - 1) < enough)
			break;
	}
	return value;
}

double pmf_diff_beta(double a, double b, double x)
{
	double front;

	if (x <= 0 || x >= 1)
		return x >= 1;
	front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(a, b, x) / a;
	return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

/* P(K >= k) for K of a binomial distribution with k + other trials of probability q; for what lies
 * between whole numbers, what the beta function makes of it. */
static double at_least(double k, double other, double q)
{
	return k > 0 ? pmf_diff_beta(k, other + 1, q) : 1;
}

double pmf_diff_p_value(double k1, double n1, double k2, double n2, double ratio)
{
	double share1, share2, most1, most2, q, tail;

	if (!(n1 > 0 && n2 > 0 && ratio > 0 && k1 + k2 > 0))
		return 1;
	/* What both shares would be if the claim were true. */
	share1 = (k1 + k2) / (n1 + ratio * n2);
	share2 = ratio * share1;
	/* Counts of a share near 1 vary less than Poisson's; divided by 1 - share they have again a
	 * variance equal to their mean. Where fewer than 100 samples fall outside, the chance of
	 * those is what counts, and 0.1 % is as exact as anything here. */
	most1 = 1 - PMF_MIN(PMF_MAX(100 / n1, 0.001), 1);
	most2 = 1 - PMF_MIN(PMF_MAX(100 / n2, 0.001), 1);
	share1 = PMF_MIN(share1, most1);
	share2 = PMF_MIN(share2, most2);
	k1 /= 1 - share1;
	n1 /= 1 - share1;
	k2 /= 1 - share2;
	n2 /= 1 - share2;
	/* Given both together, the second's part of two Poisson numbers is binomial. */
	q = ratio * n2 / (n1 + ratio * n2);
	tail = PMF_MIN(at_least(k2, k1, q), at_least(k1, k2, 1 - q));
	return PMF_MIN(2 * tail, 1);
}

static int compare_p(const void *va, const void *vb, void *ctx)
{
	const struct pmf_diff_change *changes = ctx;
	uint32_t a = *(const uint32_t *)va, b = *(const uint32_t *)vb;

	if (changes[a].p != changes[b].p)
		return changes[a].p < changes[b].p ? -1 : 1;
	return (a > b) - (a < b);
}

void pmf_diff_judge(struct pmf_diff_change *changes, size_t n, double level)
{
	uint32_t *order = pmf_calloc(n, sizeof *order);
	size_t tested = 0, i = 0;

	for (size_t k = 0; k < n; k++)
		if (changes[k].tested)
			order[tested++] = (uint32_t)k;
	qsort_r(order, tested, sizeof *order, compare_p, changes);
	for (; i < tested && changes[order[i]].p <= level / (double)(tested - i); i++)
		changes[order[i]].real = true;
	free(order);
}

/* ---- Of a diff ---- */

/* One run of one event: what its samples weigh together, and are worth, and what was counted. */
struct side {
	double sampled, effective, counted;
};

static struct side side_of(const struct pmf_diff *d, size_t event)
{
	const struct pmf_profile_event *ev = &d->joined.events[event];

	return (struct side){(double)ev->weight * ev->scale, pmf_profile_effective_samples(ev),
		(double)PMF_MAX(ev->counted, ev->weight) * ev->scale};
}

static double share_of(const struct side *s, double cost)
{
	return s->sampled > 0 ? PMF_MIN(cost / s->sampled, 1) : 0;
}

static double variance_of(const struct side *s, double share)
{
	return s->effective > 0 ? s->sampled * s->sampled * share * (1 - share) / s->effective : 0;
}

/* Which part of what was counted and not sampled belongs to a function is not known: none, or its
 * share of it. The claim that it costs the same must fail either way, or for all that lies
 * between. */
static double p_value(const struct side *before, const struct side *after, double share1,
	double share2, double scale)
{
	double sampled = before->sampled * scale / after->sampled;
	double counted = before->counted * scale / after->counted;
	double k1 = share1 * before->effective, k2 = share2 * after->effective;

	if (share2 >= share1 * PMF_MIN(sampled, counted) &&
		share2 <= share1 * PMF_MAX(sampled, counted))
		return 1;
	return PMF_MAX(pmf_diff_p_value(k1, before->effective, k2, after->effective, sampled),
		pmf_diff_p_value(k1, before->effective, k2, after->effective, counted));
}

/* What @base (of the base's own events) and @now are to each other. */
static struct pmf_diff_change compare(
	const struct pmf_diff *d, size_t event, double base, double now, bool sampled)
{
	struct side before = side_of(d, d->nr_events + event), after = side_of(d, event);
	double scale = d->scale[event];
	double share1 = share_of(&before, base), share2 = share_of(&after, now);
	double k = share1 * before.effective + share2 * after.effective;
	struct pmf_diff_change c = {.base = base * scale, .now = now, .p = 1};

	if (!sampled)
		return c;
	c.error = 1.96 *
		  sqrt(scale * scale * variance_of(&before, share1) + variance_of(&after, share2));
	c.tested = k >= PMF_DIFF_LEAST && before.sampled > 0 && after.sampled > 0;
	if (c.tested)
		c.p = p_value(&before, &after, share1, share2, scale);
	return c;
}

struct pmf_diff_change *pmf_diff_rows(
	const struct pmf_diff *d, const struct pmf_table *t, size_t event, bool total)
{
	struct pmf_diff_change *changes = pmf_calloc(t->n, sizeof *changes);
	size_t base = d->nr_events + event;

	for (size_t i = 0; i < t->n; i++)
		changes[i] = compare(d, event,
			total ? pmf_table_total(t, base, i) : pmf_table_self(t, base, i),
			total ? pmf_table_total(t, event, i) : pmf_table_self(t, event, i),
			pmf_table_samples_total(t, base, i) + pmf_table_samples_total(t, event, i) >
				0);
	/* A table has both columns: each gets half of the level, so that all of it keeps to
	 * that. */
	pmf_diff_judge(changes, t->n, PMF_DIFF_LEVEL_PERCENT / 200.0);
	return changes;
}

struct pmf_diff_change *pmf_diff_nodes(const struct pmf_diff *d, size_t event)
{
	const struct pmf_tree *t = &d->tree;
	struct pmf_diff_change *changes = pmf_calloc(t->nr_nodes, sizeof *changes);
	bool *as_parent = pmf_calloc(t->nr_nodes, sizeof *as_parent);
	size_t base = d->nr_events + event;

	for (uint32_t i = 0; i < t->nr_nodes; i++) {
		double before = pmf_tree_total(t, base, i), now = pmf_tree_total(t, event, i);
		uint32_t up = t->nodes[i].parent;

		/* A caller whose whole cost is one callee's asks no question of its own. */
		as_parent[i] = up != UINT32_MAX && before == pmf_tree_total(t, base, up) &&
			       now == pmf_tree_total(t, event, up);
		changes[i] = as_parent[i] ? changes[up]
					  : compare(d, event, before, now,
						    pmf_tree_samples(t, base, i) +
								    pmf_tree_samples(t, event, i) >
							    0);
		changes[i].tested &= !as_parent[i];
	}
	pmf_diff_judge(changes, t->nr_nodes, PMF_DIFF_LEVEL_PERCENT / 100.0);
	for (uint32_t i = 0; i < t->nr_nodes; i++) {
		if (!as_parent[i])
			continue;
		changes[i].tested = changes[t->nodes[i].parent].tested;
		changes[i].real = changes[t->nodes[i].parent].real;
	}
	free(as_parent);
	return changes;
}
