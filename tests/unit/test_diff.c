/* Comparisons: exact values of the test, its error rates on simulated runs, and the joining. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/diff.h"
#include "pmuflame/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_near(double value, double want, double relative)
{
	if (!(fabs(value - want) <= relative * fabs(want)))
		fail_msg("%.12g is not %.12g", value, want);
}

/* Small shares: the binomial tail, added up term by term. */
static void small_counts_are_exact(void **state)
{
	const double n = 1e9;

	(void)state;
	assert_near(pmf_diff_p_value(0, n, 17, n, 1), 2 * pow(0.5, 17), 1e-4);
	assert_near(pmf_diff_p_value(17, n, 0, n, 1), 2 * pow(0.5, 17), 1e-4);
	assert_near(pmf_diff_p_value(0, 3 * n, 5, n, 1), 2 * pow(0.25, 5), 1e-4);
	/* The second is expected to have three times as much. */
	assert_near(pmf_diff_p_value(0, n, 5, n, 3), 2 * pow(0.75, 5), 1e-4);
	/* 2 and 8 of 10: 2 × (1 + 10 + 45) / 1024. */
	assert_near(pmf_diff_p_value(2, n, 8, n, 1), 112. / 1024, 1e-4);
	assert_near(pmf_diff_p_value(5, n, 5, n, 1), 1, 1e-4);
}

/* Many samples: the normal distribution's tail, of the difference of two proportions. */
static void large_counts_are_normal(void **state)
{
	static const double shares[] = {0.01, 0.2, 0.5, 0.9};
	const double n = 1e6;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(shares); i++) {
		double p = shares[i], sd = sqrt(2 * p * (1 - p) / n);

		for (int z = 1; z <= 4; z++) {
			double want = erfc(z / sqrt(2));
			double k = (p - z * sd / 2) * n;

			assert_near(pmf_diff_p_value(k, n, k + z * sd * n, n, 1), want, 0.05);
			assert_near(pmf_diff_p_value(k + z * sd * n, n, k, n, 1), want, 0.05);
		}
	}
}

static void nothing_follows_from_nothing(void **state)
{
	(void)state;
	assert_true(pmf_diff_p_value(0, 100, 0, 100, 1) == 1);
	assert_true(pmf_diff_p_value(5, 0, 5, 100, 1) == 1);
	assert_true(pmf_diff_p_value(5, 100, 5, 100, 0) == 1);
	assert_true(pmf_diff_p_value(100, 100, 100, 100, 1) > 0.9);
	assert_true(pmf_diff_p_value(1e7, 1e7, 1e7, 1e7, 1) > 0.9);
	assert_true(pmf_diff_p_value(1e7, 1e7, 1e7, 1e7, 1.05) < 1e-9);
}

static void holm_steps_down(void **state)
{
	struct pmf_diff_change c[] = {{.p = 0.02, .tested = true}, {.p = 0.011, .tested = true},
		{.p = 0.0001, .tested = false}, {.p = 0.2, .tested = true},
		{.p = 0.03, .tested = true}};

	(void)state;
	/* 0.011 <= 0.05 / 4, 0.02 > 0.05 / 3. */
	pmf_diff_judge(c, PMF_ARRAY_SIZE(c), 0.05);
	assert_true(c[1].real);
	assert_false(c[0].real || c[2].real || c[3].real || c[4].real);
	c[0].p = 0.016;
	c[1].real = false;
	/* and then 0.03 > 0.05 / 2. */
	pmf_diff_judge(c, PMF_ARRAY_SIZE(c), 0.05);
	assert_true(c[0].real && c[1].real);
	assert_false(c[4].real || c[3].real);
}

/* ---- Simulated runs ---- */

enum { FUNCTIONS = 60 };

struct simulation {
	uint64_t seed;
	double cumulated[FUNCTIONS];
};

static double uniform(struct simulation *s)
{
	return (double)(pmf_hash_u64(++s->seed) >> 11) * 0x1p-53;
}

/* Shares as programs have them, the i-th function's being 1 / i of the first's; @changed's is
 * multiplied. */
static void make_shares(struct simulation *s, size_t changed, double factor)
{
	double sum = 0;

	for (size_t i = 0; i < FUNCTIONS; i++) {
		sum += (i == changed ? factor : 1) / (double)(i + 1);
		s->cumulated[i] = sum;
	}
	for (size_t i = 0; i < FUNCTIONS; i++)
		s->cumulated[i] /= sum;
}

static void take_samples(struct simulation *s, size_t n, double counts[FUNCTIONS])
{
	memset(counts, 0, FUNCTIONS * sizeof *counts);
	for (size_t i = 0; i < n; i++) {
		double u = uniform(s);
		size_t lo = 0, hi = FUNCTIONS - 1;

		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (u < s->cumulated[mid])
				hi = mid;
			else
				lo = mid + 1;
		}
		counts[lo]++;
	}
}

/* Compare two simulated runs function by function. */
static void compare_runs(struct simulation *s, size_t n1, size_t n2, double factor,
	struct pmf_diff_change out[FUNCTIONS])
{
	double a[FUNCTIONS], b[FUNCTIONS];

	make_shares(s, FUNCTIONS, 1);
	take_samples(s, n1, a);
	make_shares(s, 0, factor);
	take_samples(s, n2, b);
	for (size_t i = 0; i < FUNCTIONS; i++) {
		out[i] = (struct pmf_diff_change){.tested = a[i] + b[i] >= PMF_DIFF_LEAST};
		out[i].p = pmf_diff_p_value(a[i], (double)n1, b[i], (double)n2, 1);
	}
	pmf_diff_judge(out, FUNCTIONS, PMF_DIFF_LEVEL_PERCENT / 200.0);
}

static void equal_runs_are_seldom_called_different(void **state)
{
	static const size_t sizes[][2] = {{2000, 2000}, {500, 5000}, {6000, 300}};
	enum { RUNS = 400 };
	struct simulation s = {.seed = 42};
	struct pmf_diff_change c[FUNCTIONS];

	(void)state;
	for (size_t k = 0; k < PMF_ARRAY_SIZE(sizes); k++) {
		size_t wrong = 0, first = 0;
		/* Five standard errors above what is promised, of one test and of a table's column, and
		 * below what it should use. */
		double most = RUNS * 0.05 + 5 * sqrt(RUNS * 0.05 * 0.95);
		double least = RUNS * 0.04 - 5 * sqrt(RUNS * 0.04 * 0.96);
		double column = RUNS * 0.025 + 5 * sqrt(RUNS * 0.025 * 0.975);

		for (size_t r = 0; r < RUNS; r++) {
			bool any = false;

			compare_runs(&s, sizes[k][0], sizes[k][1], 1, c);
			for (size_t i = 0; i < FUNCTIONS; i++)
				any |= c[i].real;
			wrong += any;
			first += c[0].p <= 0.05;
		}
		assert_true((double)wrong <= column);
		/* A single test neither cries wolf nor is asleep. */
		assert_true((double)first <= most);
		assert_true((double)first >= PMF_MAX(least, 1));
	}
}

/* A function of 21 % becomes 5 % dearer. */
static void true_changes_are_found_with_enough_samples(void **state)
{
	enum { RUNS = 40 };
	struct simulation s = {.seed = 7};
	struct pmf_diff_change c[FUNCTIONS];
	size_t few = 0, many = 0;

	(void)state;
	for (size_t r = 0; r < RUNS; r++) {
		compare_runs(&s, 1000, 1000, 1.05, c);
		few += c[0].real;
		compare_runs(&s, 100000, 100000, 1.05, c);
		many += c[0].real;
	}
	/* Of many samples 84 % of the runs tell, of few hardly any: bounds of five standard errors. */
	assert_true(many >= RUNS * 5 / 8);
	assert_true(few <= RUNS / 4);
}

/* ---- Two profiles ---- */

static uint32_t named(struct pmf_profile *p, uint32_t parent, const char *name)
{
	return pmf_profile_node(p, parent, pmf_profile_frame_named(p, PMF_FRAME_NATIVE, name));
}

static void add(struct pmf_profile *p, size_t e, uint32_t node, uint64_t samples)
{
	pmf_profile_add(p, e, node, samples * 100, samples);
	p->events[e].samples += samples;
	p->events[e].weight += samples * 100;
	p->events[e].counted += samples * 100;
}

/* main → { steady, moved, was }, and now { steady, moved, is }; the events stand the other way round in
 * the base. */
static void fill(struct pmf_profile *p, bool now)
{
	uint32_t main;
	size_t cycles = now ? 0 : 1, faults = 1 - cycles, frame;

	pmf_profile_init(p, 2);
	p->events[cycles].label = pmf_strdup("cycles");
	p->events[faults].label = pmf_strdup("faults");
	main = named(p, 0, "main");
	add(p, cycles, named(p, main, "steady"), now ? 4030 : 4000);
	add(p, cycles, named(p, main, "moved"), now ? 3000 : 2000);
	add(p, cycles, named(p, main, now ? "is" : "was"), 1000);
	add(p, faults, main, 50);
	/* An address with an inlined callee, twice on a stack. */
	frame = pmf_profile_frame_at(p, PMF_FRAME_NATIVE, 3, 0, 0, now ? 0x10 : 0x20);
	pmf_profile_name_frame(p, (uint32_t)frame, "outer", NULL, 0);
	pmf_profile_add_inline(p, (uint32_t)frame, "inner", NULL, 0);
	main = pmf_profile_node(p, main, (uint32_t)frame);
	add(p, cycles, pmf_profile_node(p, main, (uint32_t)frame), 10);
	p->duration_ns = now ? 2000000000 : 1000000000;
}

static int build(struct pmf_diff *d, const struct pmf_diff_opts *opts)
{
	struct pmf_profile base, now;
	struct pmf_err err = PMF_ERR_INIT;
	int ret;

	fill(&base, false);
	fill(&now, true);
	ret = pmf_diff_build(d, &base, &now, opts, &err);
	pmf_profile_release(&base);
	pmf_profile_release(&now);
	return ret;
}

static struct pmf_diff_change change_of(
	struct pmf_diff *d, size_t event, const char *name, bool total)
{
	struct pmf_diff_change *changes, found = {.p = -1};
	struct pmf_table t;

	pmf_table_build(&t, &d->tree, PMF_BY_FUNCTION);
	changes = pmf_diff_rows(d, &t, event, total);
	for (size_t i = 0; i < t.n; i++)
		if (strcmp(t.rows[i].name, name) == 0)
			found = changes[i];
	free(changes);
	pmf_table_release(&t);
	assert_true(found.p >= 0);
	return found;
}

static void functions_are_compared_by_name(void **state)
{
	struct pmf_diff_opts opts = {.per = PMF_PER_RUN};
	struct pmf_diff_change c;
	struct pmf_diff d;

	(void)state;
	assert_int_equal(build(&d, &opts), 0);
	assert_int_equal(d.nr_events, 2);
	assert_string_equal(d.joined.events[3].label, "faults (before)");
	c = change_of(&d, 0, "steady", false);
	assert_true(c.base == 400000 && c.now == 403000 && c.tested && !c.real);
	c = change_of(&d, 0, "moved", false);
	assert_true(c.base == 200000 && c.now == 300000 && c.real);
	c = change_of(&d, 0, "was", false);
	assert_true(c.base == 100000 && c.now == 0 && c.real);
	c = change_of(&d, 0, "is", true);
	assert_true(c.base == 0 && c.now == 100000 && c.real);
	c = change_of(&d, 0, "inner", true);
	assert_true(c.base == 1000 && c.now == 1000 && c.tested && !c.real);
	c = change_of(&d, 1, "main", false);
	assert_true(c.base == 5000 && c.now == 5000 && !c.real);
	c = change_of(&d, 1, "moved", false);
	assert_false(c.tested);
	/* main → outer → inner → outer → inner: once. */
	assert_int_equal(d.tree.nr_nodes, 10);
	pmf_diff_release(&d);
}

struct place {
	const char *name, *file;
	uint32_t start_line;
};

static void fill_places(struct pmf_profile *p, const struct place *places, size_t n, bool inlined)
{
	pmf_profile_init(p, 1);
	p->events[0].label = pmf_strdup("cycles");
	p->events[0].unit = pmf_strdup("events");
	p->events[0].weight = p->events[0].samples = p->events[0].counted = n;
	for (size_t i = 0; i < n; i++) {
		uint32_t frame = pmf_profile_frame_at(p, PMF_FRAME_NATIVE, 0, 0, 0, i), at = frame;

		pmf_profile_name_frame(p, frame, inlined ? "outer" : places[i].name,
			inlined ? NULL : places[i].file, 0);
		if (inlined)
			at = pmf_profile_add_inline(p, frame, places[i].name, places[i].file, 0);
		pmf_profile_set_start_line(p, at, places[i].start_line);
		pmf_profile_add(p, 0, pmf_profile_node(p, 0, frame), 1, 1);
	}
}

/* Another folder, more lines above, another file: the same function. Of two with one name each is
 * compared with that of its file, and of two in a file with that of its line. */
static void functions_move_between_builds(void **state)
{
	static const struct place before[] = {{"f", "/v1/f.c", 10}, {"init", "/v1/a.c", 3},
		{"init", "/v1/b.c", 3}, {"two", "/v1/t.c", 5}, {"two", "/v1/t.c", 9}};
	static const struct place after[] = {{"f", "/v2/g.c", 12}, {"init", "/v2/a.c", 8},
		{"init", "/v2/b.c", 4}, {"two", "/v2/t.c", 5}, {"two", "/v2/t.c", 11}};
	struct pmf_diff_opts opts = {.per = PMF_PER_RUN};
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	for (int inlined = 0; inlined < 2; inlined++) {
		struct pmf_profile base, now;
		struct pmf_diff d;
		size_t both = 0, funcs = 0;

		fill_places(&base, before, PMF_ARRAY_SIZE(before), inlined);
		fill_places(&now, after, PMF_ARRAY_SIZE(after), inlined);
		assert_int_equal(pmf_diff_build(&d, &base, &now, &opts, &err), 0);
		for (uint32_t i = 1u + (unsigned)inlined; i < d.tree.nr_nodes; i++) {
			funcs++;
			both += pmf_tree_total(&d.tree, 0, i) == 1 &&
				pmf_tree_total(&d.tree, 1, i) == 1;
		}
		/* f, both init and the first two. */
		assert_int_equal(both, 4);
		assert_int_equal(funcs, 6);
		pmf_diff_release(&d);
		pmf_profile_release(&base);
		pmf_profile_release(&now);
	}
}

/* Of several with one label, each is compared with the one at its place, and with none in another unit. */
static void events_of_one_label_are_told_apart(void **state)
{
	struct pmf_diff_opts opts = {.per = PMF_PER_RUN};
	struct pmf_profile base, now;
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_diff d;

	(void)state;
	fill(&base, false);
	fill(&now, true);
	for (size_t e = 0; e < 2; e++) {
		free(base.events[e].label);
		base.events[e].label = pmf_strdup("one");
		free(now.events[e].label);
		now.events[e].label = pmf_strdup("one");
	}
	assert_int_equal(pmf_diff_build(&d, &base, &now, &opts, &err), 0);
	assert_int_equal(d.nr_events, 2);
	for (uint32_t e = 0; e < 2; e++)
		assert_true(pmf_tree_total(&d.tree, 2 + e, 0) == (double)base.events[e].weight);
	pmf_diff_release(&d);
	now.events[1].unit = pmf_strdup("ns");
	assert_int_equal(pmf_diff_build(&d, &base, &now, &opts, &err), 0);
	assert_int_equal(d.nr_events, 1);
	assert_int_equal(d.joined.nr_notes, 2);
	pmf_diff_release(&d);
	pmf_profile_release(&base);
	pmf_profile_release(&now);
}

/* What would be enough if self were all that is looked at. */
static void self_and_total_share_the_level(void **state)
{
	const double level = PMF_DIFF_LEVEL_PERCENT / 100.0;
	struct pmf_diff_opts opts = {.per = PMF_PER_RUN};
	struct pmf_diff_change c;
	struct pmf_profile base, now;
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_diff d;

	(void)state;
	fill(&base, false);
	fill(&now, true);
	add(&now, 0, named(&now, named(&now, 0, "main"), "steady"), 115);
	assert_int_equal(pmf_diff_build(&d, &base, &now, &opts, &err), 0);
	c = change_of(&d, 0, "steady", false);
	/* "inner" is tested, too, and supports less. */
	assert_true(c.p < level / 2 && c.p > level / 4 && !c.real);
	pmf_diff_release(&d);
	pmf_profile_release(&base);
	pmf_profile_release(&now);
}

/* Half of the base was counted without samples: whether "moved" grew by half or shrank by a quarter, nobody
 * knows. */
static void what_was_not_sampled_may_be_anybodys(void **state)
{
	struct pmf_diff_opts opts = {.per = PMF_PER_RUN};
	struct pmf_profile base, now;
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_diff d;

	(void)state;
	fill(&base, false);
	fill(&now, true);
	base.events[1].counted *= 2;
	base.events[1].unsampled = base.events[1].weight;
	pmf_profile_add(&base, 1,
		pmf_profile_node(
			&base, 0, pmf_profile_frame_named(&base, PMF_FRAME_SPECIAL, "[unsampled]")),
		base.events[1].unsampled, 0);
	assert_int_equal(pmf_diff_build(&d, &base, &now, &opts, &err), 0);
	assert_false(change_of(&d, 0, "moved", false).real);
	assert_true(change_of(&d, 0, "is", false).real);
	assert_false(change_of(&d, 0, "[unsampled]", false).tested);
	pmf_diff_release(&d);
	pmf_profile_release(&base);
	pmf_profile_release(&now);
}

static void costs_are_divided_by_what_was_asked(void **state)
{
	static const struct {
		struct pmf_diff_opts opts;
		double steady; /* what the base's 400,000 become */
	} cases[] = {
		{{.per = PMF_PER_RUN}, 400000},
		{{.per = PMF_PER_TOTAL}, 400000. * 804000 / 701000},
		{{.per = PMF_PER_TIME}, 800000},
		{{.per = PMF_PER_COUNTER, .counter = "faults"}, 400000},
		{{.per = PMF_PER_WORK, .work_base = 4, .work_new = 1}, 100000},
	};
	struct pmf_diff d;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		assert_int_equal(build(&d, &cases[i].opts), 0);
		assert_near(change_of(&d, 0, "steady", false).base, cases[i].steady, 1e-9);
		pmf_diff_release(&d);
	}
	assert_int_equal(
		build(&d, &(struct pmf_diff_opts){.per = PMF_PER_COUNTER, .counter = "cycels"}),
		PMF_ENOTFOUND);
	assert_int_equal(build(&d, &(struct pmf_diff_opts){.per = PMF_PER_WORK}), PMF_EUSAGE);
}

static void frames_take_part_in_one_comparison(void **state)
{
	struct pmf_diff_opts opts = {.per = PMF_PER_RUN};
	struct pmf_diff_change *c;
	struct pmf_diff d;

	(void)state;
	assert_int_equal(build(&d, &opts), 0);
	c = pmf_diff_nodes(&d, 0);
	for (uint32_t i = 0; i < d.tree.nr_nodes; i++) {
		const char *name =
			pmf_strtab_get(&d.joined.strings, d.tree.funcs[d.tree.nodes[i].func].name);

		/* The root and main have the same costs, so the same answer. */
		assert_int_equal(c[i].real, strcmp(name, "moved") == 0 || strcmp(name, "is") == 0 ||
						    strcmp(name, "was") == 0 || i < 2);
	}
	free(c);
	pmf_diff_release(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_counts_are_exact),
		cmocka_unit_test(large_counts_are_normal),
		cmocka_unit_test(nothing_follows_from_nothing),
		cmocka_unit_test(holm_steps_down),
		cmocka_unit_test(equal_runs_are_seldom_called_different),
		cmocka_unit_test(true_changes_are_found_with_enough_samples),
		cmocka_unit_test(functions_are_compared_by_name),
		cmocka_unit_test(functions_move_between_builds),
		cmocka_unit_test(events_of_one_label_are_told_apart),
		cmocka_unit_test(self_and_total_share_the_level),
		cmocka_unit_test(what_was_not_sampled_may_be_anybodys),
		cmocka_unit_test(costs_are_divided_by_what_was_asked),
		cmocka_unit_test(frames_take_part_in_one_comparison),
	};

	return cmocka_run_group_tests_name("diff", tests, NULL, NULL);
}
