/* Maps of generated code, as runtimes write them. */
#include "pmuflame/mem.h"
#include "pmuflame/symbol.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define LATER UINT64_C(1000000000)

struct maps {
	char folder[32];
	char *path;
	struct pmf_perf_maps *maps;
};

static int setup(void **state)
{
	struct maps *m = pmf_zalloc(sizeof *m);

	snprintf(m->folder, sizeof m->folder, "/tmp/pmuflame-map.XXXXXX");
	if (!mkdtemp(m->folder))
		return -1;
	m->path = pmf_asprintf("%s/perf-%d.map", m->folder, (int)getpid());
	m->maps = pmf_perf_maps_new(m->folder);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct maps *m = *state;

	pmf_perf_maps_free(m->maps);
	unlink(m->path);
	rmdir(m->folder);
	free(m->path);
	free(m);
	return 0;
}

static void append(const struct maps *m, const char *text)
{
	FILE *f = fopen(m->path, "ae");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static const char *find(const struct maps *m, uint64_t va, uint64_t now_ns)
{
	return pmf_perf_maps_find(m->maps, getpid(), va, now_ns);
}

static void test_find(void **state)
{
	struct maps *m = *state;

	append(m, "7f0000001000 10 second\n7f0000000ff0 10 first one\nnonsense\n 1 2\n"
		  "7f0000002000 0 empty\n7f0000003000 ffffffffffffffff huge\n7f0000004000 8 \n");
	assert_string_equal(find(m, 0x7f0000000ff0, LATER), "first one");
	assert_string_equal(find(m, 0x7f0000000fff, LATER), "first one");
	assert_string_equal(find(m, 0x7f0000001000, LATER), "second");
	assert_null(find(m, 0x7f0000001010, LATER));
	assert_null(find(m, 0x7f0000002000, LATER));
	assert_null(find(m, 0x7f0000003000, LATER));
	assert_null(find(m, 0, LATER));
}

static void test_grows(void **state)
{
	struct maps *m = *state;

	assert_null(find(m, 0x1000, LATER));
	append(m, "1000 10 a\n2000 10 b");
	/* Not at every call, and no half lines. */
	assert_null(find(m, 0x1000, LATER + 1));
	assert_string_equal(find(m, 0x1000, 2 * LATER), "a");
	assert_null(find(m, 0x2000, 3 * LATER));
	append(m, "b\n1000 10 again\n");
	assert_string_equal(find(m, 0x2000, 4 * LATER), "bb");
	/* The newest name of a place counts. */
	assert_string_equal(find(m, 0x1008, 4 * LATER), "again");
	pmf_perf_maps_forget(m->maps, getpid());
	unlink(m->path);
	assert_null(find(m, 0x1000, 5 * LATER));
}

static void test_others_file(void **state)
{
	struct maps *m = *state;

	if (geteuid() != 0)
		skip();
	append(m, "1000 10 planted\n");
	/* This process is root's: names from anybody else are not taken. */
	assert_int_equal(chown(m->path, 65534, 65534), 0);
	assert_null(find(m, 0x1000, LATER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_grows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
