/* {KEY} placeholders: what is replaced, and what a shell makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/mem.h"
#include "pmuflame/vary.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *settings[] = {
	(char *)"layout=rows", (char *)"text=it's $(false) \"x\" \\", (char *)"n=", (char *)"nn=7"};
enum { NR_SETTINGS = PMF_ARRAY_SIZE(settings) };

static void a_setting_has_a_key_and_a_value(void **state)
{
	static const char *const good[] = {"a=b", "A_1=", "k=a=b"};
	static const char *const bad[] = {"", "a", "=b", "a b=c", "{a}=b", "a-b=c"};
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(good); i++)
		assert_int_equal(pmf_vary_check(good[i], &err), 0);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(bad); i++) {
		assert_int_equal(pmf_vary_check(bad[i], &err), PMF_EUSAGE);
		assert_non_null(strstr(err.text, "KEY=VALUE"));
	}
}

static void only_known_keys_are_replaced(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"{layout}", "rows"},
		{"--l={layout},{nn}.{n}", "--l=rows,7."},
		{"{other} {layout {layout}} {} {", "{other} {layout rows} {} {"},
		{"{{nn}}", "{7}"},
		{"${nn}{nn}$", "${nn}7$"},
		{"{text}", "it's $(false) \"x\" \\"},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		char *text = pmf_vary_text(cases[i].text, settings, NR_SETTINGS);

		assert_string_equal(text, cases[i].expected);
		free(text);
	}
	assert_true(pmf_vary_in_text("a{nn}", "nn=7"));
	assert_false(pmf_vary_in_text("a{nn}", "n=7"));
	assert_false(pmf_vary_in_text("a${nn}", "nn=7"));
	assert_false(pmf_vary_in_text(NULL, "n=7"));
}

/* What /bin/sh prints for @script, one of a target whose settings are put in. */
static void assert_prints(const char *script, const char *expected)
{
	struct pmf_target t = {.command = pmf_strdup(script)};
	struct pmf_err err = PMF_ERR_INIT;
	char printed[200] = "";
	FILE *f;

	assert_int_equal(pmf_vary_target(&t, settings, NR_SETTINGS, &err), 0);
	f = popen(t.command, "r");
	assert_non_null(f);
	printed[fread(printed, 1, sizeof printed - 1, f)] = '\0';
	assert_int_equal(pclose(f), 0);
	assert_string_equal(printed, expected);
	free(t.command);
}

static void a_shell_reads_values_as_single_words(void **state)
{
	(void)state;
	assert_prints("printf '%s|' {layout} \"{layout}\" 'l={layout}'", "rows|rows|l=rows|");
	assert_prints("nn=8; printf '%s|' ${nn} {nn}", "8|7|");
	assert_prints("printf '%s|' {text} a{text} {n}", "it's $(false) \"x\" \\|"
							 "ait's $(false) \"x\" \\||");
	assert_prints("printf '%s|' it\\'s {text}", "it's|it's $(false) \"x\" \\|");
}

static void a_value_with_quotes_needs_a_place_without(void **state)
{
	static const char *const bad[] = {"echo \"{text}\"", "echo '{text}'",
		"echo 'a'\"\\\"{text}\"", "echo \"$(echo \"{text}\")\"",
		"echo \"`echo \"{text}\"`\""};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(bad); i++) {
		struct pmf_target t = {.command = pmf_strdup(bad[i])};
		struct pmf_err err = PMF_ERR_INIT;

		assert_int_equal(pmf_vary_target(&t, settings, NR_SETTINGS, &err), PMF_EUSAGE);
		assert_non_null(strstr(err.text, "place of {text}"));
		assert_string_equal(t.command, bad[i]);
		free(t.command);
	}
}

static void all_of_a_target_is_replaced(void **state)
{
	char *env[] = {pmf_strdup("TEXT={text}"), pmf_strdup("L={layout}")};
	struct pmf_target t = {.command = pmf_strdup("run"),
		.setup = pmf_strdup("make {layout}"),
		.teardown = pmf_strdup("rm {layout}"),
		.env = env,
		.nr_env = PMF_ARRAY_SIZE(env)};
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	assert_true(pmf_vary_in_target(&t, "layout=x"));
	assert_true(pmf_vary_in_target(&t, "text=x"));
	assert_false(pmf_vary_in_target(&t, "nn=x"));
	assert_false(pmf_vary_in_target(NULL, "nn=x"));
	assert_int_equal(pmf_vary_target(&t, settings, NR_SETTINGS, &err), 0);
	assert_string_equal(t.setup, "make rows");
	assert_string_equal(t.teardown, "rm rows");
	assert_string_equal(env[0], "TEXT=it's $(false) \"x\" \\");
	assert_string_equal(env[1], "L=rows");
	free(t.command);
	free(t.setup);
	free(t.teardown);
	free(env[0]);
	free(env[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_setting_has_a_key_and_a_value),
		cmocka_unit_test(only_known_keys_are_replaced),
		cmocka_unit_test(a_shell_reads_values_as_single_words),
		cmocka_unit_test(a_value_with_quotes_needs_a_place_without),
		cmocka_unit_test(all_of_a_target_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
