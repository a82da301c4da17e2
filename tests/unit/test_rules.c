/* Files of rules: what they may not say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/advise.h"
#include "pmuflame/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/pmuflame-rules-XXXXXX";
static char *rules_path;
static struct pmf_rules rules;
static struct pmf_err err;

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	rules_path = pmf_asprintf("%s/advice.ini", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(rules_path);
	rmdir(folder);
	free(rules_path);
	return 0;
}

static int read_rules(const char *text)
{
	FILE *f = fopen(rules_path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return pmf_rules_read(&rules, rules_path, &err);
}

static void a_wrong_line_is_named(void **state)
{
	static const struct {
		const char *text, *line, *why;
	} files[] = {
		{"label = x\n", ":1: ", "'label' stands before the first section"},
		{"[event a]\nlabel = (\n", ":2: ", "label '(' is no regular expression"},
		{"[event a]\nlabel = x\n", ":2: ", "[event a] has no 'record'"},
		{"[event a]\nrecord = x\n", ":2: ", "[event a] has no 'label'"},
		{"[event a]\neach = 0\n", ":2: ", "each '0' is no number of events above 0"},
		{"[event a]\neach = nan\n", ":2: ", "each 'nan' is no number of events above 0"},
		{"[event a]\ncolour = red\n", ":2: ", "an event has no 'colour'"},
		{"[library]\nname = x\n", ":2: ", "[library] has no 'name'"},
		{"[rules a]\nx = y\n", ":2: ", "'[rules a]' is none of"},
		{"[rule a b]\nx = y\n", ":2: ", "'[rule a b]' is none of"},
		{"[rule a]\ncolour = red\n", ":2: ", "a rule has no 'colour'"},
		{"[rule a]\nown = maybe\n", ":2: ", "own 'maybe' is neither yes nor no"},
		{"[rule a]\nkind = python,root\n", ":2: ", "'root' is none of kernel"},
		{"[rule a]\nloop = yes\n", ":2: ", "loop 'yes' is neither line nor caller"},
		{"[rule a]\nevidence = share(time) >= 5%\n", ":2: ", "no [event time] before this"},
		{"[rule a]\ntitle = x\nevidence =\n", ":3: ", "'evidence' has no value"},
		{"[rule a]\ntitle = x\n\n", ":2: ", "rule 'a' has no 'try'"},
		{"[rule a]\noff = yes\n[rule b]\noff = yes\n[rule a]\noff = yes\n",
			":6: ", "rule 'a' is defined twice"},
		{"[rule a]\nnonsense\n", ":2: ", "neither '[section]' nor 'key = value'"},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(files); i++) {
		assert_int_equal(read_rules(files[i].text), PMF_EFORMAT);
		assert_non_null(strstr(err.text, files[i].why));
		assert_ptr_equal(strstr(err.text, rules_path), err.text);
		assert_ptr_equal(strstr(err.text, files[i].line), err.text + strlen(rules_path));
		pmf_rules_release(&rules);
	}
	assert_int_equal(pmf_rules_read(&rules, folder, &err), PMF_EUSAGE);
	assert_non_null(strstr(err.text, "is no regular file"));
	unlink(rules_path);
	assert_int_equal(pmf_rules_read(&rules, rules_path, &err), PMF_ENOTFOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_wrong_line_is_named, setup, teardown),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
