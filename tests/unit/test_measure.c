/* Runs of a command, each in a process of its own. This program is what such a process executes:
 * called as "record", it becomes the real pmuflame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "pmuflame/file.h"
#include "pmuflame/measure.h"
#include "pmuflame/mem.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/pmuflame-measure-XXXXXX";
static char *specs[] = {(char *)"cpu-clock", (char *)"page-faults"};
static struct pmf_measured measured;
static struct pmf_err err;

static int teardown(void **state)
{
	(void)state;
	pmf_measured_release(&measured);
	return 0;
}

static struct pmf_measure_opts options(char **command)
{
	return (struct pmf_measure_opts){.command = command,
		.specs = specs,
		.nr_specs = PMF_ARRAY_SIZE(specs),
		.folder = folder,
		.name = "run"};
}

static void run_shell(const char *script)
{
	char *command[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
	struct pmf_measure_opts o = options(command);
	const char *preloaded = getenv("LD_PRELOAD");
	int ret;

	if (preloaded && strstr(preloaded, "vgpreload"))
		skip_because("this process cannot execute itself (valgrind)");
	ret = pmf_measure_run(&measured, &o, &err);
	if (ret && measured.status == 125)
		skip_because("nothing can be recorded here");
	assert_int_equal(ret, 0);
}

static void assert_output(const char *expected)
{
	char *path = pmf_asprintf("%s/run.out", folder);
	struct pmf_buf text = PMF_BUF_INIT;

	assert_int_equal(pmf_file_read(path, 1000, &text, &err), 0);
	assert_string_equal(pmf_buf_str(&text), expected);
	pmf_buf_release(&text);
	free(path);
}

static void a_run_gives_counts_output_and_status(void **state)
{
	struct pmf_measured again;
	struct pmf_measure_opts o = options(NULL);

	(void)state;
	/* Nothing comes from standard input, where a second run would find less than the first. */
	run_shell("cat; echo out; exit 3");
	assert_int_equal(measured.status, 3);
	assert_output("out\n");
	assert_int_equal(measured.nr_counts, 2);
	assert_string_equal(measured.counts[0].event, "cpu-clock");
	assert_string_equal(measured.counts[0].unit, "ns");
	assert_true(measured.counts[0].count > 0);
	assert_string_equal(measured.counts[1].event, "page-faults");
	assert_true(measured.counts[1].count >= 10);
	assert_true(measured.counts[1].scale == 1);
	assert_true(measured.seconds > 0);
	assert_int_equal(pmf_measure_load(&again, &o, &err), 0);
	assert_int_equal(again.status, 0);
	assert_true(again.counts[1].count == measured.counts[1].count);
	assert_true(again.seconds == measured.seconds);
	assert_string_equal(again.host, measured.host);
	pmf_measured_release(&again);
}

static void what_cannot_run_leaves_no_older_profile(void **state)
{
	char *command[] = {(char *)"/does/not/exist", NULL};
	struct pmf_measure_opts o = options(command);

	(void)state;
	run_shell("true");
	pmf_measured_release(&measured);
	assert_int_equal(pmf_measure_run(&measured, &o, &err), PMF_ENOTFOUND);
	assert_int_equal(measured.status, 127);
	assert_non_null(strstr(err.text, "'/does/not/exist'"));
	assert_int_not_equal(access(measured.profile_path, F_OK), 0);
}

static int stop_at_once(void *ctx)
{
	(void)ctx;
	return SIGTERM;
}

static void a_run_can_be_stopped(void **state)
{
	char *command[] = {(char *)"sleep", (char *)"600", NULL};
	struct pmf_measure_opts o = options(command);

	(void)state;
	o.tick = stop_at_once;
	/* Before record was there to leave a profile, or later. */
	if (pmf_measure_run(&measured, &o, &err))
		assert_int_equal(access(measured.profile_path, F_OK), -1);
	assert_int_equal(measured.status, 128 + SIGTERM);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_run_gives_counts_output_and_status, teardown),
		cmocka_unit_test_teardown(what_cannot_run_leaves_no_older_profile, teardown),
		cmocka_unit_test_teardown(a_run_can_be_stopped, teardown),
	};
	static const char *const files[] = {"run.out", "run.pb.gz"};
	const char *pmuflame = getenv("PMUFLAME");
	int failed;

	if (argc > 1 && strcmp(argv[1], "record") == 0) {
		if (pmuflame)
			execv(pmuflame, argv);
		return 125;
	}
	if (!mkdtemp(folder))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(files); i++) {
		char *path = pmf_asprintf("%s/%s", folder, files[i]);

		unlink(path);
		free(path);
	}
	rmdir(folder);
	return failed;
}
