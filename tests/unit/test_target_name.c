/* What runs are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "../../src/cli/target_name.h"
#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(const char *want, const char *command)
{
	char *argv[32] = {NULL}, *copy = strdup(command), *save = NULL, *got;
	size_t n = 0;

	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	got = pmf_target_name(argv);
	assert_string_equal(got, want);
	free(got);
	free(copy);
}

static void test_commands(void **state)
{
	(void)state;
	check("backtest", "./build/backtest --bars 10");
	check("backtest", "backtest");
	check("a:b=c", "a:b=c x");
	check("g++", "/usr/bin/g++ -c x.cc");
	check("python-config", "python-config --libs");
}

static void test_file_names(void **state)
{
	static const char *const names[][2] = {{"a:b=c", "a_b_c"}, {".hidden", "_hidden"},
		{"-rf", "_rf"}, {"g++", "g++"}, {"<b>&\n'", "_b____"}, {"ünï", "ünï"}, {"", "_"}};
	/* Room for what comes behind, and no half of a character. */
	char longest[300], *short_name;

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char *got = pmf_target_file_name(names[i][0]);

		assert_string_equal(got, names[i][1]);
		free(got);
	}
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	memcpy(longest + 99, "ü", 2);
	short_name = pmf_target_file_name(longest);
	assert_int_equal(strlen(short_name), 99);
	assert_memory_equal(short_name, longest, 99);
	free(short_name);
}

static void test_interpreters(void **state)
{
	(void)state;
	check("strategy", "python3 strategy.py --fast");
	check("strategy", "/usr/bin/python3.11 -X dev -u -W ignore bin/strategy.py");
	check("pkg.mod", "python -m pkg.mod arg");
	check("python3", "python3 -c pass");
	check("python3", "python3");
	check("server", "node --require ./a.js dist/server.mjs");
	check("app", "java -Xmx2g -cp lib/x.jar -jar target/app.jar run");
	check("com.acme.Main", "java -cp lib com.acme.Main");
	check("build", "bash -e scripts/build.sh all");
	check("bash", "bash -c true");
}

static void test_runners(void **state)
{
	(void)state;
	check("x", "env A=1 B=2 node x.js");
	check("x", "env -u HOME python3 x.py");
	check("job", "poetry run python job.py");
	check("poetry", "poetry install");
	check("job", "uv run --with pandas job.py");
	check("test_x", "pytest -q tests/test_x.py");
	check("test_x", "python3 -m pytest -k fast tests/test_x.py");
	check("pytest", "python3 -m pytest");
	check("pytest", "pytest -n 2 -q");
	check("pytest", "python3 -m pytest -n 2 .");
	check("test_x", "pytest-3 -n 2 tests/test_x.py::test_one");
	check("tests", "pytest --maxfail 1 tests/");
	check("job", "poetry -C sub run python -X dev job.py");
	check("job", "python3 -m poetry run job.py");
	check("test_x", "uv --directory sub run -p 3.12 --extra dev pytest test_x.py");
	check("pkg.job", "uv run -m pkg.job");
	check("test_x", "uv run -m pytest test_x.py");
	check("uv", "uv sync");
	check("shop.wsgi", "gunicorn -w 2 -b 127.0.0.1:8000 shop.wsgi:application");
	check("shop", "python3 -m gunicorn --threads 2 shop:app");
	check("gunicorn", "gunicorn -c gunicorn.conf.py");
	check("notebook", "jupyter nbconvert --to notebook --execute notebook.ipynb");
	check("notebook", "jupyter-nbconvert --execute --stdout --to html notebook.ipynb");
	check("jupyter", "jupyter lab");
	check("env", "env");
	check("env", "env -u HOME A=1");
}

/* A process whose command line is @words, as it would be after execve(2). */
static void check_running(const char *want, const char *const *words)
{
	int fds[2];
	pid_t pid;
	char *got;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fds[0], 0);
		close(fds[1]);
		execv("/bin/cat", (char *const *)words);
		_exit(1);
	}
	close(fds[0]);
	/* Until its exec it has ours. */
	for (;;) {
		char **argv = pmf_target_command_of_pid(pid);
		bool there = argv && strcmp(argv[0], words[0]) == 0;

		for (size_t i = 0; argv && argv[i]; i++)
			free(argv[i]);
		free(argv);
		if (there || waitpid(pid, NULL, WNOHANG) == pid)
			break;
	}
	got = pmf_target_name_of_pid(pid);
	assert_string_equal(got, want);
	free(got);
	close(fds[1]);
	waitpid(pid, NULL, 0);
}

static void test_running(void **state)
{
	char *got;

	(void)state;
	check_running("server", (const char *const[]){"/usr/sbin/server", NULL});
	check_running("postgres", (const char *const[]){"postgres: 15/main: checkpointer ", NULL});
	check_running("nginx",
		(const char *const[]){"nginx: master process /usr/sbin/nginx -g daemon on;", NULL});
	check_running("bash", (const char *const[]){"-bash", NULL});
	/* Called by nothing: by the name of its file. */
	check_running("cat", (const char *const[]){"", "-u", NULL});
	/* Of a process that cannot be seen. */
	got = pmf_target_name_of_pid(0x7ffffff0);
	assert_string_equal(got, "pid-2147483632");
	free(got);
	assert_null(pmf_target_command_of_pid(0x7ffffff0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_file_names),
		cmocka_unit_test(test_interpreters),
		cmocka_unit_test(test_runners),
		cmocka_unit_test(test_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
