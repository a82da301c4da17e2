/* What runs are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "../../src/cli/target_name.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

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
		{"-rf", "_rf"}, {"g++", "g++"}, {"<b>&\n'", "_b____"}, {"ünï", "ünï"}};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char *got = pmf_target_file_name(names[i][0]);

		assert_string_equal(got, names[i][1]);
		free(got);
	}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_file_names),
		cmocka_unit_test(test_interpreters),
		cmocka_unit_test(test_runners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
