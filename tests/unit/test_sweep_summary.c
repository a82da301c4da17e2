/* A sweep's result: what its runs say, the files that say it, and what is read of those again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sweep_summary_priv.h"

#include "pmuflame/measure.h"
#include "pmuflame/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pmf_sweep_result result;
static struct pmf_err err;

static int teardown(void **state)
{
	(void)state;
	pmf_sweep_release(&result);
	return 0;
}

static void near(double got, double expected)
{
	if (!(fabs(got - expected) <= 1e-9 * fabs(expected)))
		fail_msg("%.12g, and not %.12g", got, expected);
}

struct event {
	const char *name, *unit;
	double count;
};

/* A run of @seconds that did @work, with the events up to one without a name. */
static int add_run(size_t pass, double seconds, double work, const struct event *events)
{
	struct pmf_count counts[8];
	struct pmf_measured m = {.seconds = seconds, .work = work, .counts = counts};

	for (; events[m.nr_counts].name; m.nr_counts++)
		counts[m.nr_counts] = (struct pmf_count){(char *)events[m.nr_counts].name,
			(char *)events[m.nr_counts].unit, events[m.nr_counts].count, 1, 0};
	return pmf_sweep_add_run(&result.cases[0], pass, &m, "cycles", &err);
}

static void must_add(size_t pass, double seconds, double work, const struct event *events)
{
	if (add_run(pass, seconds, work, events))
		fail_msg("%s", err.text);
}

/* Three runs of each of two passes, with cycles in both. */
static void fill(void)
{
	static const double counts[][6] = {
		/* seconds, cycles, instructions; seconds, cycles, misses */
		{1.0, 1000, 2000, 1.1, 1100, 30},
		{1.2, 1200, 2400, 1.0, 1000, 10},
		{0.8, 800, 2400, 1.5, 1500, 20},
	};
	const struct pmf_target t = {.unit = (char *)"bar", .units = (char *)"bars"};

	pmf_sweep_add_case(&result, "backtest", "python3 backtest.py", &t);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(counts); i++) {
		const double *n = counts[i];

		must_add(0, n[0], 10,
			(struct event[]){
				{"cycles", "events", n[1]}, {"instructions", "events", n[2]}, {0}});
		must_add(1, n[3], 10,
			(struct event[]){
				{"cycles", "events", n[4]}, {"cache-misses", "events", n[5]}, {0}});
	}
	result.repeats = 3;
	result.passes = 2;
}

static struct pmf_sweep_series series_of(const char *of, const char *per)
{
	struct pmf_sweep_series s;

	if (pmf_sweep_series(&s, &result.cases[0], of, per, &err))
		fail_msg("%s", err.text);
	return s;
}

static void all_passes_of_an_event_count(void **state)
{
	struct pmf_sweep_series s;

	(void)state;
	fill();
	s = series_of("cycles", NULL);
	assert_int_equal(s.n, 6);
	assert_int_equal(s.stats.n, 6);
	near(s.stats.median, 1050);
	near(s.stats.max, 1500);
	assert_string_equal(s.unit, "events");
	pmf_sweep_series_release(&s);
	s = series_of("instructions", NULL);
	assert_int_equal(s.n, 3);
	near(s.values[1], 2400);
	pmf_sweep_series_release(&s);
	s = series_of("s", NULL);
	assert_int_equal(s.n, 6);
	assert_string_equal(s.unit, "s");
	pmf_sweep_series_release(&s);
}

static void a_ratio_is_of_the_runs_that_have_both(void **state)
{
	static const char *const names_of_work[] = {"bar", "bars", "work"};
	struct pmf_sweep_series s;

	(void)state;
	fill();
	s = series_of("instructions", "cycles");
	assert_true(s.paired);
	assert_int_equal(s.n, 3);
	near(s.values[0], 2);
	near(s.values[2], 3);
	assert_string_equal(s.unit, "events/events");
	pmf_sweep_series_release(&s);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(names_of_work); i++) {
		s = series_of(names_of_work[i], "seconds");
		assert_int_equal(s.n, 6);
		near(s.stats.max, 10 / 0.8);
		assert_string_equal(s.unit, "bar/s");
		pmf_sweep_series_release(&s);
	}
}

static void counters_of_different_passes_are_not_paired(void **state)
{
	struct pmf_sweep_series s;

	(void)state;
	fill();
	s = series_of("cache-misses", "instructions");
	assert_false(s.paired);
	assert_int_equal(s.n, 0);
	assert_int_equal(s.stats.n, 3);
	near(s.stats.median, 20.0 / 2400);
	near(s.stats.mean, 60.0 / 6800);
	assert_true(s.stats.low < s.stats.mean && s.stats.mean < s.stats.high);
	assert_true(isnan(s.stats.sd) && isnan(s.stats.min) && isnan(s.stats.max));
	pmf_sweep_series_release(&s);
}

static void what_was_not_measured_is_said(void **state)
{
	struct pmf_sweep_series s;

	(void)state;
	fill();
	assert_int_equal(
		pmf_sweep_series(&s, &result.cases[0], "cycles", "queries", &err), PMF_ENOTFOUND);
	assert_string_equal(err.text,
		"'queries' was not measured of 'backtest': there is seconds, work, cycles, "
		"instructions, cache-misses");
	pmf_sweep_add_case(&result, "other", NULL, NULL);
	assert_int_equal(pmf_sweep_series(&s, &result.cases[1], "bars", NULL, &err), PMF_ENOTFOUND);
	assert_non_null(strstr(err.text, "nothing"));
}

static void nothing_is_divided_by_zero(void **state)
{
	struct pmf_sweep_series s;

	(void)state;
	pmf_sweep_add_case(&result, "a", NULL, NULL);
	must_add(
		0, 1, 0, (struct event[]){{"branches", "events", 0}, {"faults", "events", 3}, {0}});
	must_add(1, 1, 0, (struct event[]){{"cycles", "events", 3}, {0}});
	assert_int_equal(
		pmf_sweep_series(&s, &result.cases[0], "faults", "branches", &err), PMF_EUSAGE);
	assert_non_null(strstr(err.text, "which was 0"));
	assert_int_equal(
		pmf_sweep_series(&s, &result.cases[0], "cycles", "branches", &err), PMF_EUSAGE);
}

static void runs_of_a_pass_count_the_same_events(void **state)
{
	(void)state;
	fill();
	assert_int_equal(
		add_run(0, 1, 10, (struct event[]){{"cycles", "events", 1}, {0}}), PMF_EFORMAT);
	assert_non_null(strstr(err.text, "other events"));
	assert_int_equal(
		add_run(1, 1, 10,
			(struct event[]){{"cycles", "events", 1}, {"cache-misses", "events", 1},
				{"branches", "events", 1}, {0}}),
		PMF_EFORMAT);
	assert_int_equal(
		add_run(0, 1, 0, (struct event[]){{"cycles", "events", 1}, {0}}), PMF_EFORMAT);
	assert_non_null(strstr(err.text, "how many bars"));
	/* A refused run leaves nothing behind; an event that is asked for twice counts once. */
	must_add(0, 1, 10,
		(struct event[]){{"cycles", "events", 1}, {"cycles", "events", 1},
			{"instructions", "events", 1}, {0}});
	for (size_t i = 0; i < result.cases[0].nr_values; i++)
		assert_int_equal(
			result.cases[0].values[i].n, result.cases[0].values[i].pass ? 3 : 4);
}

static const struct sweep_row *row_called(const struct sweep_row *rows, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static void rows_are_derived_where_they_say_something(void **state)
{
	static const struct {
		const char *name, *unit;
		double median;
		bool paired;
	} expected[] = {
		{"cycles", "events", 1050, true},
		{"cycles/bar", "events/bar", 105, true},
		{"seconds/bar", "s/bar", 0.105, true},
		{"bars/s", "bar/s", (10 / 1.1 + 10) / 2, true},
		{"instructions per cycle", "", 2, true},
		{"cache-misses per 1000 instructions", "", 1000 * 20.0 / 2400, false},
	};
	struct sweep_row *rows;
	size_t n;

	(void)state;
	fill();
	rows = sweep_rows(&result.cases[0], &n);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(expected); i++) {
		const struct sweep_row *row = row_called(rows, n, expected[i].name);

		assert_non_null(row);
		assert_string_equal(row->unit, expected[i].unit);
		assert_int_equal(row->paired, expected[i].paired);
		near(row->stats.median, expected[i].median);
	}
	/* 5 quantities, 4 of which are costs of work. */
	assert_int_equal(n, 5 + 4 + 3);
	sweep_rows_free(rows, n);
}

static void user_events_are_not_divided_by_all(void **state)
{
	struct sweep_row *rows;
	size_t n;

	(void)state;
	pmf_sweep_add_case(&result, "a", NULL, NULL);
	must_add(0, 2, 0,
		(struct event[]){{"arm_n1::CPU_CYCLES:u", "events", 8},
			{"instructions", "events", 6}, {"arm_n1::INST_RETIRED:u", "events", 4},
			{"task-clock", "ns", 1e9}, {0}});
	rows = sweep_rows(&result.cases[0], &n);
	assert_null(row_called(rows, n, "instructions per cycle"));
	assert_non_null(row_called(rows, n, "instructions per cycle:u"));
	near(row_called(rows, n, "instructions per cycle:u")->stats.median, 0.5);
	near(row_called(rows, n, "CPUs in use")->stats.median, 0.5);
	sweep_rows_free(rows, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(all_passes_of_an_event_count, teardown),
		cmocka_unit_test_teardown(a_ratio_is_of_the_runs_that_have_both, teardown),
		cmocka_unit_test_teardown(counters_of_different_passes_are_not_paired, teardown),
		cmocka_unit_test_teardown(what_was_not_measured_is_said, teardown),
		cmocka_unit_test_teardown(nothing_is_divided_by_zero, teardown),
		cmocka_unit_test_teardown(runs_of_a_pass_count_the_same_events, teardown),
		cmocka_unit_test_teardown(rows_are_derived_where_they_say_something, teardown),
		cmocka_unit_test_teardown(user_events_are_not_divided_by_all, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
