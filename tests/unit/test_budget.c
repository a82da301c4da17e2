/* Budgets: what their text means, where it stops making sense, and when runs keep to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/budget.h"
#include "pmuflame/measure.h"
#include "pmuflame/mem.h"
#include "pmuflame/profile.h"
#include "pmuflame/stats.h"
#include "pmuflame/sweep.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct pmf_budget budget;

static int teardown(void **state)
{
	(void)state;
	pmf_budget_release(&budget);
	return 0;
}

static void parse(const char *text)
{
	struct pmf_err err = PMF_ERR_INIT;

	pmf_budget_release(&budget);
	if (pmf_budget_parse(&budget, text, &err))
		fail_msg("%s", err.text);
}

static void a_budget_is_a_value_and_a_limit(void **state)
{
	static const struct {
		const char *text, *num, *den;
		bool at_most, or_equal;
		double limit;
		enum pmf_budget_limit written;
	} cases[] = {
		{"cycles/bar < 12000", "cycles", "bar", true, false, 12000, PMF_LIMIT_NUMBER},
		{" bars / s>100 ", "bars", "s", false, false, 100, PMF_LIMIT_NUMBER},
		{"s <= 1", "s", NULL, true, true, 1, PMF_LIMIT_NUMBER},
		{"s/bar < 2.5 ms", "s", "bar", true, false, 0.0025, PMF_LIMIT_TIME},
		{"task-clock < 90us", "task-clock", NULL, true, false, 90e-6, PMF_LIMIT_TIME},
		{"task-clock < 90µs", "task-clock", NULL, true, false, 90e-6, PMF_LIMIT_TIME},
		{"task-clock < 90ns", "task-clock", NULL, true, false, 90e-9, PMF_LIMIT_TIME},
		{"instructions/cycles >= .5", "instructions", "cycles", false, true, 0.5,
			PMF_LIMIT_NUMBER},
		{"cache-misses:u < 12k", "cache-misses:u", NULL, true, false, 12e3,
			PMF_LIMIT_NUMBER},
		{"arm_n1::INST_RETIRED < 3.5M", "arm_n1::INST_RETIRED", NULL, true, false, 3.5e6,
			PMF_LIMIT_NUMBER},
		{"instructions/s > 2G", "instructions", "s", false, false, 2e9, PMF_LIMIT_NUMBER},
		{"branch-misses/branches < 2%", "branch-misses", "branches", true, false, 0.02,
			PMF_LIMIT_PERCENT},
		{"'cpu/event=0x3c,umask=1/u' / 'it''s' < 7", "cpu/event=0x3c,umask=1/u", "it's",
			true, false, 7, PMF_LIMIT_NUMBER},
		{"share < 7", "share", NULL, true, false, 7, PMF_LIMIT_NUMBER},
		{"regress/shares < 7", "regress", "shares", true, false, 7, PMF_LIMIT_NUMBER},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		parse(cases[i].text);
		assert_int_equal(budget.kind, PMF_BUDGET_VALUE);
		assert_string_equal(budget.num, cases[i].num);
		if (cases[i].den)
			assert_string_equal(budget.den, cases[i].den);
		else
			assert_null(budget.den);
		assert_int_equal(budget.at_most, cases[i].at_most);
		assert_int_equal(budget.or_equal, cases[i].or_equal);
		assert_true(fabs(budget.limit - cases[i].limit) <= 1e-9 * cases[i].limit);
		assert_int_equal(budget.written, cases[i].written);
	}
	parse(" bars / s>100 ");
	assert_string_equal(budget.text, "bars / s>100");
}

static void a_share_names_a_function_or_a_pattern(void **state)
{
	(void)state;
	parse("share(cache-misses, calculate_atr) < 15%");
	assert_int_equal(budget.kind, PMF_BUDGET_SHARE);
	assert_string_equal(budget.num, "cache-misses");
	assert_string_equal(budget.function, "calculate_atr");
	assert_null(budget.pattern);
	assert_true(fabs(budget.limit - 0.15) <= 1e-12);
	parse("share(cycles,'ns::f<int>(char, \"x\")')<15%");
	assert_string_equal(budget.function, "ns::f<int>(char, \"x\")");
	parse("share ( 'a/b=1,c=2/' , /^(iter|apply) \\/ \\d\\)/ ) >= 1.5 %");
	assert_string_equal(budget.num, "a/b=1,c=2/");
	assert_string_equal(budget.function, "^(iter|apply) / \\d\\)");
	assert_true(pmf_regex_match(budget.pattern, "iter / 7)", 9));
	assert_false(pmf_regex_match(budget.pattern, "iter / x)", 9));
}

static void a_regression_is_of_a_value(void **state)
{
	(void)state;
	parse("regress(instructions) < 2%");
	assert_int_equal(budget.kind, PMF_BUDGET_REGRESS);
	assert_string_equal(budget.num, "instructions");
	assert_null(budget.den);
	parse("regress( bars / s ) <= -12.5%");
	assert_string_equal(budget.den, "s");
	assert_true(fabs(budget.limit + 0.125) <= 1e-12);
}

static void what_is_no_budget_says_where(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "budget \"\": at its end: expected an event"},
		{"cycles", "budget \"cycles\": at its end: expected <, <=, > or >="},
		{"cycles = 5", "at \"=\" (column 8): expected <"},
		{"cycles <", "at its end: expected a number"},
		{"cycles < -5", "at \"5\" (column 11): only regress() can be negative"},
		{"cycles < five", "at \"five\" (column 10): expected a number"},
		{"cycles < .", "at \".\" (column 10): expected a number"},
		{"cycles < nan", "at \"nan\" (column 10): expected a number"},
		{"cycles < 12 bananas", "at \"bananas\" (column 13): the limit ends with"},
		{"cycles < 5 m", "at \"m\" (column 12): the limit ends with"},
		{"cycles < 5 > 3", "at \">\" (column 12): the limit ends with"},
		{"cycles < 1e3", "at \"e3\" (column 11)"},
		{"cycles < 12%", "at \"%\" (column 12): a percentage of what?"},
		{"12000 > cycles", "at \"12000\" (column 1): expected an event"},
		{"-x < 3", "at \"-x\" (column 1): expected an event"},
		{"cycles/ < 3", "at \"<\" (column 9): expected what to divide by"},
		{"cycles/bar/s < 3", "at \"/\" (column 11): expected <"},
		{"cpu/event=0x3c/ < 3", "at \"=\" (column 10): expected <"},
		{"cycles@1000003 < 3", "at \"@1000003\" (column 7): expected <"},
		{"'cycles < 3", "at \"'cycles\" (column 1): the quote is not closed"},
		{"'' < 3", "nothing between the quotes"},
		{"share(cycles) < 3%", "at \")\" (column 13): expected a comma"},
		{"share(cycles, f < 3%", "at \"<\" (column 17): expected ')'"},
		{"share(cycles, f) < 3", "at its end: a share is limited by a percentage"},
		{"share(cycles, /a) < 3%", "at \"/\" (column 15): a regular expression stands"},
		{"share(cycles, //) < 3%", "at \"/\" (column 15): a regular expression stands"},
		{"share(cycles, /(/) < 3%", "(column 15): the pattern '(' is no regular"},
		{"share(cycles, /a\\", "(column 15): a regular expression stands"},
		{"regress(share(cycles, f)) < 3%", "at \"(\" (column 14): expected ')'"},
		{"regress(cycles) < 3", "at its end: a regression is limited by a percentage"},
		{"cycles < 5 \x1b[31m", "at \"?[31m\" (column 12)"},
		{"cycles < 99999999999999999999999999999999999999999", "expected a number"},
		{"é\xff < 3 \xc3\xa9\xc3\xa9", "(column 8)"},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		struct pmf_err err = PMF_ERR_INIT;

		pmf_budget_release(&budget);
		assert_int_equal(pmf_budget_parse(&budget, cases[i].text, &err), PMF_EUSAGE);
		if (!strstr(err.text, cases[i].says))
			fail_msg("case %zu: %s", i, err.text);
	}
}

static void no_length_is_too_much(void **state)
{
	enum { LONG = 3000 };
	char *text = pmf_zalloc(LONG + 1);
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	memset(text, '(', LONG);
	assert_int_equal(pmf_budget_parse(&budget, text, &err), PMF_EUSAGE);
	assert_non_null(strstr(err.text, "3000 bytes is too long"));
	memset(text, 'x', LONG);
	text[1999] = '\0';
	assert_int_equal(pmf_budget_parse(&budget, text, &err), PMF_EUSAGE);
	assert_non_null(strstr(err.text, "at its end: expected <"));
	free(text);
}

/* ---- Verdicts ---- */

static struct pmf_target target = {
	.name = (char *)"t", .unit = (char *)"bar", .units = (char *)"bars"};
static struct pmf_sweep_result measured; /* case 0 is now, 1 the baseline */
static struct pmf_verdict verdict;

static int two_cases(void **state)
{
	(void)state;
	pmf_sweep_add_case(&measured, "t", NULL, &target);
	pmf_sweep_add_case(&measured, "t", NULL, &target);
	return 0;
}

static int release(void **state)
{
	(void)state;
	pmf_sweep_release(&measured);
	pmf_verdict_release(&verdict);
	pmf_budget_release(&budget);
	return 0;
}

/* A run of 100 bars in @seconds, with so many cycles and so many milliseconds of task-clock. */
static void add_run(size_t place, double seconds, double cycles, double task_ms, double scale)
{
	struct pmf_count counts[] = {
		{.event = (char *)"cycles",
			.unit = (char *)"events",
			.count = cycles,
			.scale = scale},
		{.event = (char *)"task-clock",
			.unit = (char *)"ns",
			.count = task_ms * 1e6,
			.scale = 1},
	};
	const struct pmf_measured m = {.seconds = seconds,
		.work = 100,
		.counts = counts,
		.nr_counts = PMF_ARRAY_SIZE(counts)};
	struct pmf_err err = PMF_ERR_INIT;

	if (pmf_sweep_add_run(&measured.cases[place], 0, &m, NULL, &err))
		fail_msg("%s", err.text);
}

/* @n runs with @cycles, alternately a part of @noise more and less, and @ms milliseconds. */
static void add_runs(size_t place, size_t n, double cycles, double noise, double ms)
{
	for (size_t i = 0; i < n; i++)
		add_run(place, ms / 1e3, cycles * (1 + (i % 2 ? noise : -noise)), ms, 1);
}

static void judge_with(const char *text, const struct pmf_share *shares, size_t n)
{
	parse(text);
	pmf_verdict_release(&verdict);
	pmf_budget_judge(&verdict, &budget, &measured.cases[0],
		measured.cases[1].nr_values ? &measured.cases[1] : NULL, shares, n);
}

static void judge(const char *text)
{
	judge_with(text, NULL, 0);
}

static void expect(const char *text, enum pmf_verdict_kind kind, bool unsure)
{
	judge(text);
	if (verdict.kind != kind || verdict.unsure != unsure)
		fail_msg("'%s' is %s, %s: %f in %f to %f; %s", text, pmf_verdict_name(verdict.kind),
			verdict.unsure ? "unsure" : "sure", verdict.value, verdict.low,
			verdict.high, verdict.why ? verdict.why : "");
}

static void expect_text(const char *text, const char *says)
{
	struct pmf_buf out = PMF_BUF_INIT;

	judge(text);
	pmf_verdict_describe(&verdict, &budget, &out);
	assert_string_equal(pmf_buf_str(&out), says);
	pmf_buf_release(&out);
}

static void expect_unknown(const char *text, const char *why)
{
	judge(text);
	if (verdict.kind != PMF_VERDICT_UNKNOWN || !strstr(verdict.why, why))
		fail_msg("'%s': %s: %s", text, pmf_verdict_name(verdict.kind),
			verdict.why ? verdict.why : "");
}

/* Five runs of 1,000,000 cycles ± 0.1 %: the interval at 99.9 % is ± 0.42 %. */
static void a_value_is_judged_by_its_interval(void **state)
{
	(void)state;
	add_runs(0, 5, 1e6, 0.001, 50);
	expect("cycles < 1.01M", PMF_VERDICT_MET, false);
	expect("cycles > 990k", PMF_VERDICT_MET, false);
	expect("cycles < 990k", PMF_VERDICT_MISSED, false);
	expect("cycles > 1010k", PMF_VERDICT_MISSED, false);
	/* The interval holds the limit: the median, 999,000, decides. */
	expect("cycles < 1M", PMF_VERDICT_MET, true);
	expect("cycles > 1M", PMF_VERDICT_MISSED, true);
	expect("cycles <= 999k", PMF_VERDICT_MET, true);
	expect("cycles < 999k", PMF_VERDICT_MISSED, true);
	expect("cycles/bar < 10100", PMF_VERDICT_MET, false);
	expect("cycles/bars > 10100", PMF_VERDICT_MISSED, false);
	expect_text("cycles < 1.01M", "999,000 (995,582 to 1,004,018 in 5 runs)");
}

static void times_have_units(void **state)
{
	(void)state;
	add_runs(0, 5, 1e6, 0.001, 50);
	expect("task-clock < 50.1ms", PMF_VERDICT_MET, false);
	expect("task-clock < 49900us", PMF_VERDICT_MISSED, false);
	expect("task-clock/bar < 0.51 ms", PMF_VERDICT_MET, false);
	expect("s < 0.06", PMF_VERDICT_MET, false);
	expect("s/bar < 600us", PMF_VERDICT_MET, false);
	expect("bars/s > 1900", PMF_VERDICT_MET, false);
	expect("bars/s > 2100", PMF_VERDICT_MISSED, false);
	/* Of one CPU, and a clock rate. */
	expect("task-clock/s < 101%", PMF_VERDICT_MET, false);
	expect("cycles/task-clock > 19M", PMF_VERDICT_MET, false);
	expect("cycles/task-clock > 21M", PMF_VERDICT_MISSED, false);
	expect_unknown("task-clock < 500", "write its limit with ns, us, ms or s");
	expect_unknown("cycles < 5ms", "the limit is a time");
	expect_unknown("task-clock/bar < 5%", "percentage of a time");
	expect_unknown("cache-misses < 5", "'cache-misses' was not measured");
}

/* The events of a sweep's two passes: the interval of their ratio is at the same level as all others. */
static void a_ratio_of_two_passes_is_judged_by_its_interval(void **state)
{
	static const double pass_counts[] = {0.999e6, 1.001e6, 0.999e6, 1.001e6, 0.999e6};
	static char *const names[] = {(char *)"cycles", (char *)"branches"};
	struct pmf_change change;
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < PMF_ARRAY_SIZE(pass_counts); i++) {
			struct pmf_count count = {
				.event = names[pass], .unit = (char *)"events", .scale = 1};
			const struct pmf_measured m = {
				.seconds = 1, .work = 100, .counts = &count, .nr_counts = 1};

			count.count = pass_counts[i];
			assert_int_equal(
				pmf_sweep_add_run(&measured.cases[0], pass, &m, NULL, &err), 0);
		}
	}
	assert_int_equal(pmf_stats_change(&change, pass_counts, PMF_ARRAY_SIZE(pass_counts),
				 pass_counts, PMF_ARRAY_SIZE(pass_counts), PMF_BUDGET_LEVEL),
		0);
	judge("cycles/branches < 2");
	assert_true(fabs(verdict.low - (1 + change.low)) < 1e-9);
	assert_true(fabs(verdict.high - (1 + change.high)) < 1e-9);
}

static void what_was_multiplexed_is_no_count(void **state)
{
	(void)state;
	add_run(0, 1, 1e6, 50, 1);
	add_run(0, 1, 1e6, 50, 1.5);
	expect_unknown("cycles < 5M", "shared its counter");
	expect("task-clock < 60ms", PMF_VERDICT_MET, false);
}

static void one_run_has_no_interval(void **state)
{
	(void)state;
	add_runs(0, 1, 1e6, 0, 50);
	expect("cycles < 1.01M", PMF_VERDICT_MET, true);
	expect_text("cycles < 900k", "1,000,000 (1 run, whose noise is not known)");
}

static void a_regression_is_beyond_noise(void **state)
{
	(void)state;
	add_runs(1, 5, 1e6, 0.001, 50);
	add_runs(0, 5, 1.001e6, 0.001, 50);
	expect("regress(cycles) < 2%", PMF_VERDICT_MET, false);
	expect("regress(cycles) <= 0%", PMF_VERDICT_MET, true);
	expect("regress(task-clock/s) < 2%", PMF_VERDICT_MET, false);
	expect("regress(cycles) < -2%", PMF_VERDICT_MISSED, false);
	expect_unknown("regress(instructions) < 2%", "not measured");
	pmf_sweep_release(&measured);
	two_cases(NULL);
	add_runs(1, 5, 1e6, 0.001, 50);
	add_runs(0, 5, 1.05e6, 0.001, 55);
	expect("regress(cycles) < 2%", PMF_VERDICT_MISSED, false);
	expect("regress(cycles/bar) < 2%", PMF_VERDICT_MISSED, false);
	expect("regress(cycles) < 6%", PMF_VERDICT_MET, false);
	/* More bars a second are no regression, fewer are. */
	expect("regress(bars/s) < 9%", PMF_VERDICT_MISSED, false);
	expect("regress(bars/s) < 11%", PMF_VERDICT_MET, false);
	expect_text("regress(s/bar) < 9%", "+10.00% (+10.00% to +10.00% in 5 runs, baseline 5)");
}

/* 5 % more, where runs differ by 20 %. */
static void noise_is_no_regression(void **state)
{
	(void)state;
	add_runs(1, 5, 1e6, 0.2, 50);
	add_runs(0, 5, 1.05e6, 0.2, 50);
	expect("regress(cycles) < 2%", PMF_VERDICT_MET, true);
	expect("regress(cycles) < 0%", PMF_VERDICT_MET, true);
	pmf_sweep_release(&measured);
	two_cases(NULL);
	add_runs(1, 2, 1e6, 0.2, 50);
	add_runs(0, 2, 2e6, 0.2, 50);
	expect("regress(cycles) < 2%", PMF_VERDICT_MET, true);
	expect_text("regress(cycles) < 2%", "+100.00% (2 runs, baseline 2, too different to tell)");
}

static void one_run_is_as_noisy_as_many(void **state)
{
	(void)state;
	add_runs(1, 1, 1e6, 0, 50);
	add_runs(0, 5, 1.05e6, 0.001, 50);
	expect("regress(cycles) < 2%", PMF_VERDICT_MISSED, false);
	expect("regress(cycles) < 5%", PMF_VERDICT_MET, true);
	pmf_sweep_release(&measured);
	two_cases(NULL);
	add_runs(1, 5, 1e6, 0.001, 50);
	add_runs(0, 1, 1.05e6, 0, 50);
	expect("regress(cycles) < 2%", PMF_VERDICT_MISSED, false);
	pmf_sweep_release(&measured);
	two_cases(NULL);
	add_runs(0, 1, 1e6, 0.001, 50);
	expect_unknown("regress(cycles) < 2%", "no baseline");
	add_runs(1, 1, 1e6, 0.001, 50);
	expect_unknown("regress(cycles) < 2%", "one run before and one now");
}

static void nothing_has_no_percentage(void **state)
{
	(void)state;
	add_runs(1, 5, 0, 0, 50);
	add_runs(0, 5, 0, 0, 50);
	expect("regress(cycles) < 2%", PMF_VERDICT_MET, false);
	add_runs(0, 5, 1e6, 0, 50);
	expect_unknown("regress(cycles) < 2%", "0 in the baseline");
	expect_unknown("cycles/cycles > 1", "was 0");
}

/* ---- Shares ---- */

/* main calls a Python function with two lines, which calls itself in one, and a native one. */
static void share_of(struct pmf_share *out, const char *text)
{
	static const char *const names[] = {
		"main", "calc.atr (signals.py:3)", "calc.atr (signals.py:9)", "ns::copy(int*)"};
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;
	struct pmf_tree tree;
	uint32_t frame[PMF_ARRAY_SIZE(names)], main_node, first, deep;

	pmf_profile_init(&p, 1);
	p.events[0].label = pmf_strdup("cycles");
	for (size_t i = 0; i < PMF_ARRAY_SIZE(names); i++)
		frame[i] = pmf_profile_frame_named(&p,
			strstr(names[i], ".py") ? PMF_FRAME_PYTHON : PMF_FRAME_NATIVE, names[i]);
	main_node = pmf_profile_node(&p, 0, frame[0]);
	first = pmf_profile_node(&p, main_node, frame[1]);
	deep = pmf_profile_node(&p, first, frame[2]);
	pmf_profile_add(&p, 0, main_node, 40, 40);
	pmf_profile_add(&p, 0, first, 20, 20);
	pmf_profile_add(&p, 0, pmf_profile_node(&p, deep, frame[3]), 10, 10);
	pmf_profile_add(&p, 0, pmf_profile_node(&p, main_node, frame[3]), 30, 30);
	p.events[0].samples = p.events[0].weight = p.events[0].counted = 100;
	pmf_tree_build(&tree, &p, NULL);
	parse(text);
	if (pmf_budget_share(out, &budget, &tree, &err))
		fail_msg("%s", err.text);
	pmf_tree_release(&tree);
	pmf_profile_release(&p);
}

static void a_share_counts_what_is_called_once(void **state)
{
	static const struct {
		const char *function;
		double share;
	} cases[] = {{"main", 1}, {"ns::copy", 0.4}, {"'ns::copy(int*)'", 0.4}, {"calc.atr", 0.3},
		{"'calc.atr (signals.py)'", 0.3}, {"'calc.atr (signals.py:9)'", 0.1},
		{"/^calc/", 0.3}, {"/calc|copy/", 0.6}, {"calc.at", 0}, {"calc", 0},
		{"'calc.atr (sig)'", 0}};
	struct pmf_share s;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		char *text = pmf_asprintf("share(cycles, %s) < 5%%", cases[i].function);

		share_of(&s, text);
		if (fabs(s.share - cases[i].share) > 1e-12 || s.found != (cases[i].share > 0))
			fail_msg("%s: %f", text, s.share);
		free(text);
	}
	share_of(&s, "share(cycles, ns::copy) < 5%");
	assert_true(fabs(s.error - 3.29 * sqrt(0.4 * 0.6 / 100)) < 1e-3);
}

static void shares_are_judged_over_runs(void **state)
{
	const struct pmf_share shares[] = {
		{0.149, 0.01, true}, {0.151, 0.01, true}, {0.15, 0.01, true}, {0.15, 0.01, true}};
	const struct pmf_share none[] = {{0, 0, false}, {0, 0, false}};

	(void)state;
	judge_with("share(cycles, f) < 16%", shares, 4);
	assert_true(verdict.kind == PMF_VERDICT_MET && !verdict.unsure && !verdict.why);
	judge_with("share(cycles, f) > 16%", shares, 4);
	assert_true(verdict.kind == PMF_VERDICT_MISSED && !verdict.unsure);
	/* Of one run, what sampling leaves open. */
	judge_with("share(cycles, f) < 15.5%", shares, 1);
	assert_true(verdict.kind == PMF_VERDICT_MET && verdict.unsure);
	judge_with("share(cycles, f) < 16%", shares, 1);
	assert_true(verdict.kind == PMF_VERDICT_MET && !verdict.unsure);
	judge_with("share(cycles, f) < 16%", none, 2);
	assert_true(verdict.kind == PMF_VERDICT_MET && !verdict.unsure);
	assert_non_null(strstr(verdict.why, "no sample has a function 'f'"));
	judge_with("share(cycles, f) < 16%", NULL, 0);
	assert_int_equal(verdict.kind, PMF_VERDICT_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_budget_is_a_value_and_a_limit, teardown),
		cmocka_unit_test_teardown(a_share_names_a_function_or_a_pattern, teardown),
		cmocka_unit_test_teardown(a_regression_is_of_a_value, teardown),
		cmocka_unit_test_teardown(what_is_no_budget_says_where, teardown),
		cmocka_unit_test_teardown(no_length_is_too_much, teardown),
		cmocka_unit_test_setup_teardown(
			a_value_is_judged_by_its_interval, two_cases, release),
		cmocka_unit_test_setup_teardown(times_have_units, two_cases, release),
		cmocka_unit_test_setup_teardown(
			a_ratio_of_two_passes_is_judged_by_its_interval, two_cases, release),
		cmocka_unit_test_setup_teardown(
			what_was_multiplexed_is_no_count, two_cases, release),
		cmocka_unit_test_setup_teardown(one_run_has_no_interval, two_cases, release),
		cmocka_unit_test_setup_teardown(a_regression_is_beyond_noise, two_cases, release),
		cmocka_unit_test_setup_teardown(noise_is_no_regression, two_cases, release),
		cmocka_unit_test_setup_teardown(one_run_is_as_noisy_as_many, two_cases, release),
		cmocka_unit_test_setup_teardown(nothing_has_no_percentage, two_cases, release),
		cmocka_unit_test_setup_teardown(
			a_share_counts_what_is_called_once, two_cases, release),
		cmocka_unit_test_setup_teardown(shares_are_judged_over_runs, two_cases, release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
