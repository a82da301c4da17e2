#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/mem.h"
#include "pmuflame/regex.h"
#include <stdlib.h>
#include <string.h>

static struct pmf_regex *set_of(const char *a, const char *b)
{
	struct pmf_regex *re = NULL;
	struct pmf_err err = PMF_ERR_INIT;

	if (pmf_regex_add(&re, a, "--focus", &err) || (b && pmf_regex_add(&re, b, "--focus", &err)))
		fail_msg("%s", err.text);
	return re;
}

static bool matches(struct pmf_regex *re, const char *s)
{
	return pmf_regex_match(re, s, strlen(s));
}

static void any_pattern_of_a_set_matches_anywhere(void **state)
{
	struct pmf_regex *re = set_of("^mark_to", "\\bgc$");
	struct pmf_buf text = PMF_BUF_INIT;

	(void)state;
	assert_true(matches(re, "mark_to_market"));
	assert_true(matches(re, "run gc"));
	assert_false(matches(re, "remark_to"));
	assert_false(matches(re, ""));
	pmf_regex_describe(re, &text);
	assert_string_equal(pmf_buf_str(&text), "'^mark_to', '\\bgc$'");
	pmf_buf_release(&text);
	pmf_regex_free(re);
}

static void case_matters_to_patterns_with_capitals(void **state)
{
	struct pmf_regex *any = set_of("frame", NULL), *exact = set_of("Frame", NULL);

	(void)state;
	assert_true(matches(any, "DataFrame.iterrows"));
	assert_true(matches(exact, "DataFrame.iterrows"));
	assert_true(matches(any, "stack_frame"));
	assert_false(matches(exact, "stack_frame"));
	pmf_regex_free(any);
	any = set_of("frame\\S+$", NULL);
	assert_true(matches(any, "DataFrame.iterrows"));
	pmf_regex_free(any);
	pmf_regex_free(exact);
}

static void names_need_not_be_utf8(void **state)
{
	struct pmf_regex *re = set_of("ü.é", NULL);

	(void)state;
	assert_true(matches(re, "xü日é"));
	assert_true(matches(re, "\xff\xc0ü日é\xed\xa0\x80"));
	assert_false(matches(re, "\xff\xc3"));
	pmf_regex_free(re);
}

static void a_bad_pattern_is_said_where(void **state)
{
	static const struct {
		const char *pattern, *place;
	} bad[] = {
		{"foo(", "character 5"},
		{"ü[b", "character 4"},
		{"*a", "character 1"},
		{"ab\xff", "character 3"},
		{"(a{1000}){1000}{1000}", "character"},
	};
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_regex *re = NULL;
	char *longest = pmf_zalloc(20001);

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(bad); i++) {
		assert_int_equal(pmf_regex_add(&re, bad[i].pattern, "--focus", &err), PMF_EUSAGE);
		assert_non_null(strstr(err.text, bad[i].place));
		assert_non_null(strstr(err.text, "--focus"));
	}
	memset(longest, 'a', 20000);
	assert_int_equal(pmf_regex_add(&re, longest, "--focus", &err), PMF_EUSAGE);
	assert_null(re);
	free(longest);
}

static void a_group_is_found_in_its_place(void **state)
{
	static const char text[] = "then 250 bars";
	struct pmf_regex *re = set_of("(\\d+)? bars", NULL), *plain = set_of("bars", NULL);
	const char *group = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(pmf_regex_nr_groups(re), 1);
	assert_true(pmf_regex_group(re, text, strlen(text), &group, &len));
	assert_ptr_equal(group, text + 5);
	assert_int_equal(len, 3);
	assert_false(pmf_regex_group(re, "no bars", 7, &group, &len));
	assert_false(pmf_regex_group(re, "250", 3, &group, &len));
	assert_int_equal(pmf_regex_nr_groups(plain), 0);
	assert_false(pmf_regex_group(plain, text, strlen(text), &group, &len));
	pmf_regex_free(re);
	pmf_regex_free(plain);
}

/* Without a bound each of these would take 2^60 steps. */
static void a_match_that_costs_too_much_is_given_up(void **state)
{
	struct pmf_regex *re = set_of("^(a+|a)+$", NULL);
	char name[62];

	(void)state;
	memset(name, 'a', 60);
	strcpy(name + 60, "b");
	assert_true(pmf_regex_match(re, name, 60));
	for (int i = 0; i < 100; i++)
		assert_false(matches(re, name));
	assert_int_equal(pmf_regex_given_up(re), 100);
	assert_false(matches(re, "a"));
	pmf_regex_free(re);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_pattern_of_a_set_matches_anywhere),
		cmocka_unit_test(case_matters_to_patterns_with_capitals),
		cmocka_unit_test(names_need_not_be_utf8),
		cmocka_unit_test(a_bad_pattern_is_said_where),
		cmocka_unit_test(a_group_is_found_in_its_place),
		cmocka_unit_test(a_match_that_costs_too_much_is_given_up),
	};

	return cmocka_run_group_tests_name("regex", tests, NULL, NULL);
}
