/* Intervals of few values, against published values and by simulation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/err.h"
#include "pmuflame/hash.h"
#include "pmuflame/mem.h"
#include "pmuflame/stats.h"
#include <math.h>

static void near(double got, double expected, double share)
{
	if (!(fabs(got - expected) <= share * fabs(expected)))
		fail_msg("%.12g, and not %.12g", got, expected);
}

static void values_are_described(void **state)
{
	const double values[] = {4.5, 1.5, 2.5, 9.5};
	struct pmf_stats s;

	(void)state;
	pmf_stats_of(&s, values, 4, 0.95);
	assert_int_equal(s.n, 4);
	near(s.median, 3.5, 0);
	near(s.mean, 4.5, 0);
	near(s.min, 1.5, 0);
	near(s.max, 9.5, 0);
	near(s.sd, sqrt((0 + 9 + 4 + 25) / 3.0), 1e-15);
	pmf_stats_of(&s, values, 3, 0.95);
	near(s.median, 2.5, 0);
	pmf_stats_of(&s, values, 1, 0.95);
	near(s.median, 4.5, 0);
	near(s.sd, 0, 0);
	assert_true(isinf(s.low) && isinf(s.high) && s.low < 0 && s.high > 0);
	pmf_stats_of(&s, values, 0, 0.95);
	assert_int_equal(s.n, 0);
	near(s.mean, 0, 0);
}

/* NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2: critical values of Student's t, to three
 * places. -a and a have a standard deviation of a √2, so their interval is ± a t; n values make it as wide as
 * t / √n standard deviations. */
static void the_interval_is_students(void **state)
{
	static const struct {
		size_t n;
		double level, t;
	} cases[] = {{2, 0.95, 12.706}, {2, 0.998, 318.313}, {3, 0.95, 4.303}, {3, 0.998, 22.327},
		{5, 0.95, 2.776}, {5, 0.99, 4.604}, {10, 0.95, 2.262}, {10, 0.998, 4.297},
		{31, 0.95, 2.042}, {101, 0.998, 3.174}};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		double values[101] = {0.25}; /* no whole numbers */
		struct pmf_stats s;

		for (size_t j = 1; j < cases[i].n; j++)
			values[j] = j % 2 ? 1.25 : -0.75;
		pmf_stats_of(&s, values, cases[i].n, cases[i].level);
		near(s.high - s.mean, cases[i].t * s.sd / sqrt((double)cases[i].n), 2e-4);
		near(s.mean - s.low, s.high - s.mean, 1e-9);
	}
}

static void whole_numbers_are_known_to_a_unit(void **state)
{
	const double few[] = {7, 7, 7}, one_more[] = {8, 8, 8};
	const double many[] = {1000, 1000, 1000, 1000, 1000},
		     five[] = {1050, 1050, 1050, 1050, 1050};
	const double times[] = {0.7, 0.7, 0.7};
	struct pmf_change c;
	struct pmf_stats s;

	(void)state;
	pmf_stats_of(&s, few, 3, 0.95);
	near(s.high, 7 + 4.303 / sqrt(12 * 3), 1e-4);
	pmf_stats_of(&s, times, 3, 0.95);
	near(s.low, 0.7, 1e-12);
	near(s.high, 0.7, 1e-12);
	/* What is exact is seen to be so, and a single page fault is no regression. */
	assert_int_equal(pmf_stats_change(&c, few, 3, one_more, 3, 0.999), 0);
	near(c.ratio, 1.0 / 7, 1e-12);
	assert_true(c.low < 0 && c.high > c.ratio);
	assert_int_equal(pmf_stats_change(&c, many, 5, five, 5, 0.999), 0);
	assert_true(c.low > 0.04 && c.high < 0.06);
}

static void a_change_needs_something_to_change(void **state)
{
	const double none[] = {0, 0, 0}, some[] = {1, 2, 3}, wild[] = {1, 1000};
	struct pmf_change c = {.ratio = 5};

	(void)state;
	assert_int_equal(pmf_stats_change(&c, none, 3, some, 3, 0.95), PMF_EUSAGE);
	assert_int_equal(pmf_stats_change(&c, some, 1, some, 3, 0.95), PMF_EUSAGE);
	assert_int_equal(pmf_stats_change(&c, some, 3, some, 1, 0.95), PMF_EUSAGE);
	near(c.ratio, 5, 0);
	assert_int_equal(pmf_stats_change(&c, some, 3, none, 3, 0.95), 0);
	near(c.ratio, -1, 0);
	near(c.low, -1, 0);
	/* A base that may be as good as nothing. */
	assert_int_equal(pmf_stats_change(&c, wild, 2, some, 3, 0.999), 0);
	near(c.low, -1, 0);
	assert_true(isinf(c.high));
}

/* The same numbers at every run: hashes of a counter. */
static double uniform(uint64_t *seed)
{
	return ((double)(pmf_hash_u64((*seed)++) >> 11) + 0.5) * 0x1p-53;
}

static double normal(uint64_t *seed)
{
	double radius = sqrt(-2 * log(uniform(seed)));

	return radius * cos(2 * acos(-1) * uniform(seed));
}

/* How runs differ: evenly, by factors, or by a busy machine now and then. */
static double run_of(int kind, double noise, uint64_t *seed)
{
	double z = normal(seed);

	if (kind == 0)
		return 1e6 * (1 + noise * z);
	if (kind == 1)
		return 1e6 * exp(noise * z);
	return 1e6 * (1 + noise * (0.2 * z + (uniform(seed) < 0.2 ? 3 : 0)));
}

/* In how many of @pairs comparisons of @n runs with @n that cost @more does the interval lie above 0? */
static int seen(int pairs, size_t n, int kind, double noise, double more, double level)
{
	uint64_t seed = 1 + (uint64_t)kind * 1000003 + n * 7919;
	int found = 0;

	for (int i = 0; i < pairs; i++) {
		double a[10], b[10];
		struct pmf_change c;

		for (size_t j = 0; j < n; j++) {
			a[j] = run_of(kind, noise, &seed);
			b[j] = (1 + more) * run_of(kind, noise, &seed);
		}
		assert_int_equal(pmf_stats_change(&c, a, n, b, n, level), 0);
		assert_true(c.low <= c.ratio && c.ratio <= c.high);
		found += c.low > 0;
	}
	return found;
}

/* One in 40 is promised at 95 %, on this side, and one in 2,000 at 99.9 %: 5 standard errors of 4,000
 * pairs are another 50, and 8. Three runs may all be disturbed while three others are not. */
static void equal_runs_are_rarely_told_apart(void **state)
{
	static const size_t sizes[] = {3, 5, 10};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(sizes); i++) {
		for (int kind = 0; kind < (sizes[i] < 5 ? 2 : 3); kind++) {
			assert_in_range(seen(4000, sizes[i], kind, 0.05, 0, 0.95), 0, 150);
			assert_in_range(seen(4000, sizes[i], kind, 0.05, 0, 0.999), 0, 10);
		}
		/* The interval is no wider than it has to be. */
		assert_true(seen(4000, sizes[i], 0, 0.05, 0, 0.95) > 30);
	}
}

static void five_percent_are_seen_in_a_quiet_counter(void **state)
{
	(void)state;
	assert_int_equal(seen(2000, 5, 0, 0.001, 0.05, 0.999), 2000);
	assert_int_equal(seen(2000, 10, 2, 0.001, 0.05, 0.999), 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_described),
		cmocka_unit_test(the_interval_is_students),
		cmocka_unit_test(whole_numbers_are_known_to_a_unit),
		cmocka_unit_test(a_change_needs_something_to_change),
		cmocka_unit_test(equal_runs_are_rarely_told_apart),
		cmocka_unit_test(five_percent_are_seen_in_a_quiet_counter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
