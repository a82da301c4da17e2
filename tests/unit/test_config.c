/* pmuflame.ini: what is read, what is refused, and where it is looked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "pmuflame/mem.h"
#include "pmuflame/study.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/pmuflame-config-XXXXXX", *file;
static struct pmf_config config;
static struct pmf_err err;

static int setup(void **state)
{
	(void)state;
	strcpy(folder + sizeof folder - 7, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	file = pmf_asprintf("%s/pmuflame.ini", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pmf_config_release(&config);
	unlink(file);
	rmdir(folder);
	free(file);
	return 0;
}

static int read_text(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(file, 0644), 0);
	pmf_config_release(&config);
	return pmf_config_read(&config, file, &err);
}

static void a_target_says_all_about_a_run(void **state)
{
	const struct pmf_target *t;
	char *inside = pmf_asprintf("%s/research", folder);

	(void)state;
	assert_int_equal(read_text("# first\n"
				   "[target backtest]\n"
				   "command = python3 backtest.py\n"
				   "  --bars 500\n"
				   "folder = research\n"
				   "env.SEED = 1=2\n"
				   "setup = one\n"
				   "  two\n"
				   "events = cycles,{instructions,cache-misses:u}\n"
				   "events = @tlb\n"
				   "rate = 1999hz\n"
				   "\n"
				   "[target signal]\n"
				   "command = ./signal\n"
				   "rate = 1000003\n"
				   "[preset mine]\n"
				   "events = cycles\n"
				   "events = page-faults\n"),
		0);
	t = pmf_config_target(&config, "backtest");
	assert_non_null(t);
	assert_string_equal(t->command, "python3 backtest.py --bars 500");
	assert_string_equal(t->folder, inside);
	assert_string_equal(t->env[0], "SEED=1=2");
	assert_string_equal(t->setup, "one\ntwo");
	assert_null(t->teardown);
	assert_int_equal(t->nr_events, 2);
	assert_string_equal(t->events[0], "cycles,{instructions,cache-misses:u}");
	assert_int_equal(t->freq_hz, 1999);
	assert_int_equal(t->period, 0);
	t = pmf_config_target(&config, "signal");
	assert_non_null(t);
	assert_string_equal(t->folder, folder);
	assert_int_equal(t->period, 1000003);
	assert_string_equal(config.presets[0].events, "cycles,page-faults");
	assert_null(pmf_config_target(&config, "nothing"));
	free(inside);
}

static void budgets_are_of_a_target(void **state)
{
	char *baseline = pmf_asprintf("%s/base.json", folder);
	const struct pmf_budget_set *set;

	(void)state;
	/* A budget may stand before its target. */
	assert_int_equal(read_text("[budget signal]\n"
				   "expect = s < 1\n"
				   "[target signal]\n"
				   "command = ./signal\n"
				   "[budget slow]\n"
				   "target = signal\n"
				   "baseline = base.json\n"
				   "expect = regress(cycles:u) < 2%\n"
				   "  'cpu/event=0x3c/' < 3\n"
				   "expect = share(cycles, f) < 15%\n"),
		0);
	assert_int_equal(config.nr_budget_sets, 2);
	set = &config.budget_sets[0];
	assert_string_equal(set->name, "signal");
	assert_string_equal(set->target, "signal");
	assert_null(set->baseline);
	assert_int_equal(set->nr_budgets, 1);
	set = &config.budget_sets[1];
	assert_string_equal(set->target, "signal");
	assert_string_equal(set->baseline, baseline);
	assert_int_equal(set->nr_budgets, 3);
	assert_string_equal(set->budgets[0].text, "regress(cycles:u) < 2%");
	assert_string_equal(set->budgets[1].num, "cpu/event=0x3c/");
	assert_string_equal(set->budgets[2].function, "f");
	free(baseline);
}

static void what_makes_no_sense_names_its_line(void **state)
{
	static const struct {
		const char *text, *line, *says;
	} cases[] = {
		{"[target a]\ncommand = x\nspeed = 3\n", ":3:", "no 'speed'"},
		{"[target a]\nno equals sign\n", ":2:", "key = value"},
		{"key = 1\n", ":1:", "before the first section"},
		{"[targets a]\ncommand = x\n", ":2:", "none of [target NAME]"},
		{"[target ../a]\ncommand = x\n", ":2:", "none of [target NAME]"},
		{"[target all]\ncommand = x\n", ":2:", "every target"},
		{"[target a]\nevents = cycles\n", ":2:", "no command"},
		{"[target a]\ncommand =\n", ":2:", "no value"},
		{"[target a]\ncommand = x\n[preset p]\nevents=e\n[target a]\ncommand = y\n",
			":6:", "twice"},
		{"[target a]\ncommand = make ; run\n", ":2:", "comment"},
		{"[target a]\ncommand = x\nrate = 0hz\n", ":3:", "at least 1"},
		{"[target a]\ncommand = x\nrate = fast\n", ":3:", "rate"},
		{"[target a]\ncommand = x\nwork = 0\n", ":3:", "more than 0"},
		{"[target a]\ncommand = x\nwork = bars\n", ":3:", "one group"},
		{"[target a]\ncommand = x\nwork = (\\d+) (bars)\n", ":3:", "this one has 2"},
		{"[target a]\ncommand = x\nwork = (\\d+\n", ":3:", "no regular expression"},
		{"[target a]\ncommand = x\nunit = bar\n", ":2:", "no work"},
		{"[target a]\ncommand = x\nunit = bar/s\n", ":3:", "one word"},
		{"[target a]\ncommand = x\nunit = second\n", ":3:", "unit of time"},
		{"[target a]\ncommand = x\nunit = seconds\n", ":3:", "unit of time"},
		{"[preset p]\ncolour = red\n", ":2:", "no 'colour'"},
		{"[budget a]\ncolour = red\n", ":2:", "no 'colour'"},
		{"[budget a]\nexpect = s <\n", ":2:", "budget \"s <\": at its end"},
		{"[target a]\ncommand = x\n[budget b]\nexpect = s < 1\n", ":4:", "not defined"},
		{"[target a]\ncommand = x\n[budget a]\nbaseline = f\n", ":4:", "nothing"},
		{"[target a]\ncommand = x\n[budget a]\nexpect = s < 1\n[preset p]\nevents = e\n"
		 "[budget a]\nexpect = s < 1\n",
			":8:", "twice"},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		memset(&err, 0, sizeof err);
		assert_int_equal(read_text(cases[i].text), PMF_EFORMAT);
		if (!strstr(err.text, cases[i].line) || !strstr(err.text, cases[i].says))
			fail_msg("case %zu: %s", i, err.text);
	}
}

static const struct pmf_target *target_with(const char *keys)
{
	char *text = pmf_asprintf("[target a]\ncommand = x\n%s", keys);

	if (read_text(text))
		fail_msg("%s", err.text);
	free(text);
	return &config.targets[0];
}

static void work_has_a_number_and_a_unit(void **state)
{
	const struct pmf_target *t = target_with("work = 2.5e3\n");

	(void)state;
	assert_true(pmf_target_work(t, "/nonexistent", &err) == 2500);
	assert_string_equal(t->unit, "unit");
	assert_string_equal(t->units, "units");
	t = target_with("work = 1\nunit = bar\n");
	assert_string_equal(t->unit, "bar");
	assert_string_equal(t->units, "bars");
	t = target_with("unit = query queries\nwork = (\\d+) queries\n");
	assert_string_equal(t->unit, "query");
	assert_string_equal(t->units, "queries");
	t = target_with("");
	assert_null(t->unit);
	assert_true(pmf_target_work(t, "/nonexistent", &err) == 0);
}

static void work_is_found_in_the_output(void **state)
{
	static const struct {
		const char *output;
		double work;
		const char *says;
	} cases[] = {
		{"250 bars\n", 250, NULL},
		{"ran 10 bars\r\nran 20 bars, then 1,234.5 bars\r\nend", 1234.5, NULL},
		{"1e3 bars", 1000, NULL},
		{"12,34 bars\n", -1, "'12,34' is no number above 0"},
		{"0 bars", -1, "'0' is no number above 0"},
		{"inf bars", -1, "'inf' is no number above 0"},
		{"1e999 bars", -1, "no number above 0"},
		{"3 ticks\n", -1, "no line of it matches its work, '(\\S+) bars$'"},
		{"", -1, "no line"},
	};
	const struct pmf_target *t = target_with("work = (\\S+) bars$\n");
	char *out_path = pmf_asprintf("%s/out", folder);

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		FILE *f = fopen(out_path, "w");

		assert_non_null(f);
		fputs(cases[i].output, f);
		fclose(f);
		memset(&err, 0, sizeof err);
		if (pmf_target_work(t, out_path, &err) != cases[i].work ||
			(cases[i].says && !strstr(err.text, cases[i].says)))
			fail_msg("case %zu: %s", i, err.text);
	}
	unlink(out_path);
	assert_true(pmf_target_work(t, out_path, &err) == -1);
	assert_non_null(strstr(err.text, out_path));
	free(out_path);
}

/* A number that is not known to be the last one is none. */
static void work_behind_a_costly_line_is_not_guessed(void **state)
{
	static const char costly[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx y 8\n";
	const struct pmf_target *t = target_with("work = (?:x+x+)+y (\\d+)\n");
	char *out_path = pmf_asprintf("%s/out", folder);

	(void)state;
	for (int last = 0; last < 2; last++) {
		FILE *f = fopen(out_path, "w");

		assert_non_null(f);
		fprintf(f, "xxy 7\n%s%s", costly, last ? "xxy 9\n" : "");
		fclose(f);
		assert_true(pmf_target_work(t, out_path, &err) == (last ? 9 : -1));
	}
	assert_non_null(strstr(err.text, "it costs too much to compare its lines with its work"));
	unlink(out_path);
	free(out_path);
}

static void no_long_line_is_cut(void **state)
{
	char text[1000] = "[target a]\ncommand = ";
	size_t at = strlen(text);

	(void)state;
	memset(text + at, 'x', 400);
	strcpy(text + at + 400, "\n");
	assert_int_equal(read_text(text), PMF_EFORMAT);
	assert_non_null(strstr(err.text, ":2:"));
	strcpy(text, "[target ");
	memset(text + 8, 'x', 100);
	strcpy(text + 108, "]\ncommand = a\n");
	assert_int_equal(read_text(text), PMF_EFORMAT);
	assert_non_null(strstr(err.text, ":1:"));
}

static void what_others_may_change_is_refused(void **state)
{
	(void)state;
	assert_int_equal(read_text("[target a]\ncommand = x\n"), 0);
	assert_int_equal(chmod(file, 0664), 0);
	pmf_config_release(&config);
	assert_int_equal(pmf_config_read(&config, file, &err), PMF_EPERM);
	assert_non_null(strstr(err.text, "chmod go-w"));
	assert_int_equal(config.nr_targets, 0);
	NEED_ROOT("can give a file to somebody else");
	assert_int_equal(chmod(file, 0644), 0);
	assert_int_equal(chown(file, 65534, 65534), 0);
	pmf_config_release(&config);
	assert_int_equal(pmf_config_read(&config, file, &err), PMF_EPERM);
	assert_non_null(strstr(err.text, "belongs to user 65534"));
	/* But sudo(8) runs for its caller. */
	assert_int_equal(setenv("SUDO_UID", "65534", 1), 0);
	pmf_config_release(&config);
	assert_int_equal(pmf_config_read(&config, file, &err), 0);
	unsetenv("SUDO_UID");
}

static void it_is_found_from_the_folders_below(void **state)
{
	char *inner = pmf_asprintf("%s/inner", folder);

	(void)state;
	assert_int_equal(read_text("[target a]\ncommand = x\n"), 0);
	assert_int_equal(mkdir(inner, 0755), 0);
	pmf_config_release(&config);
	assert_int_equal(pmf_config_find(&config, inner, &err), 0);
	assert_string_equal(config.path, file);
	assert_string_equal(config.targets[0].folder, folder);
	pmf_config_release(&config);
	/* Another file system, without one. */
	assert_int_equal(pmf_config_find(&config, "/proc/self", &err), PMF_ENOTFOUND);
	assert_null(config.path);
	rmdir(inner);
	free(inner);
}

static void the_example_can_be_read(void **state)
{
	(void)state;
	if (read_text(pmf_config_example))
		fail_msg("%s", err.text);
	assert_non_null(pmf_config_target(&config, "backtest"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_target_says_all_about_a_run, setup, teardown),
		cmocka_unit_test_setup_teardown(budgets_are_of_a_target, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_makes_no_sense_names_its_line, setup, teardown),
		cmocka_unit_test_setup_teardown(work_has_a_number_and_a_unit, setup, teardown),
		cmocka_unit_test_setup_teardown(work_is_found_in_the_output, setup, teardown),
		cmocka_unit_test_setup_teardown(
			work_behind_a_costly_line_is_not_guessed, setup, teardown),
		cmocka_unit_test_setup_teardown(no_long_line_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(what_others_may_change_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			it_is_found_from_the_folders_below, setup, teardown),
		cmocka_unit_test_setup_teardown(the_example_can_be_read, setup, teardown),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
