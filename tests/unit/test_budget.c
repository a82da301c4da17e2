/* Budgets: what their text means, where it stops making sense, and when runs keep to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/budget.h"
#include "pmuflame/mem.h"
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
		{"instructions@1000003/s > 2G", "instructions@1000003", "s", false, false, 2e9,
			PMF_LIMIT_NUMBER},
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_budget_is_a_value_and_a_limit, teardown),
		cmocka_unit_test_teardown(a_share_names_a_function_or_a_pattern, teardown),
		cmocka_unit_test_teardown(a_regression_is_of_a_value, teardown),
		cmocka_unit_test_teardown(what_is_no_budget_says_where, teardown),
		cmocka_unit_test_teardown(no_length_is_too_much, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
