/* The thread that looks up lines: every answer is the debug info's own, whoever asks when. The debug info is
 * this program's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "pmuflame/lines.h"
#include "pmuflame/mem.h"
#include "pmuflame/symbol.h"
#include <dirent.h>
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ADDRESSES = 400, STEP = 61, WAIT_MS = 60000 };

static const struct pmf_image_search nowhere;
static struct pmf_process_table table;

static int setup(void **state)
{
	(void)state;
	unsetenv("DEBUGINFOD_URLS");
	pmf_process_table_init(&table, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pmf_process_table_release(&table);
	return 0;
}

static struct pmf_image *own_image(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	assert_true(n > 0);
	path[n] = '\0';
	return pmf_image_get(&table, path, 0, 0, NULL, 0, -1, 0, 0);
}

/* Where this function stands in its file. */
static uint64_t here(void)
{
	struct link_map *map = NULL;
	Dl_info info;

	assert_true(dladdr1((void *)(uintptr_t)here, &info, (void **)&map, RTLD_DL_LINKMAP));
	return (uintptr_t)here - map->l_addr;
}

/* What it is compared with knows this program. */
static struct pmf_dwarf *own_dwarf(const struct pmf_image *im)
{
	struct pmf_line line;
	struct pmf_dwarf_opts opts = {.fd = im->fd, .path = im->file};
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_dwarf *d = pmf_dwarf_open(&opts, &err);

	if (!d && err.status == PMF_EUNSUP)
		skip_because("%s", err.text);
	assert_non_null(d);
	assert_int_equal(pmf_dwarf_find(d, here(), &line, 1), 1);
	assert_string_equal(line.function, "here");
	return d;
}

/* Ask until it is taken. */
static void ask(struct pmf_lines *l, const struct pmf_image *im, uint64_t rva)
{
	struct pmf_lines_state state;

	while (!pmf_lines_ask(l, im, rva))
		pmf_lines_wait(l, 1, &state);
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check(
	struct pmf_lines *l, struct pmf_dwarf *d, const struct pmf_image *im, uint64_t rva)
{
	struct pmf_line want[PMF_LINES_DEPTH], got[PMF_LINES_DEPTH];
	size_t n = pmf_dwarf_find(d, rva, want, PMF_LINES_DEPTH);

	assert_int_equal(pmf_lines_find(l, im->id, rva, got, PMF_LINES_DEPTH), n);
	for (size_t i = 0; i < n; i++) {
		assert_true(same(got[i].function, want[i].function));
		assert_true(same(got[i].decl_file, want[i].decl_file));
		assert_true(same(got[i].file, want[i].file));
		assert_int_equal(got[i].decl_line, want[i].decl_line);
		assert_int_equal(got[i].line, want[i].line);
	}
}

static void every_answer_is_the_debug_infos(void **state)
{
	struct pmf_image *im = own_image();
	struct pmf_dwarf *d = own_dwarf(im);
	struct pmf_lines *l = pmf_lines_new(&nowhere, true, NULL);
	struct pmf_lines_state at;
	uint64_t start = here();

	(void)state;
	for (uint64_t i = 0; i < ADDRESSES; i++) {
		ask(l, im, start + i * STEP);
		ask(l, im, start + i / 2 * STEP); /* again */
		if (i == ADDRESSES / 2)
			pmf_lines_hurry(l);
	}
	assert_true(pmf_lines_wait(l, WAIT_MS, &at));
	assert_int_equal(at.asked, ADDRESSES);
	assert_int_equal(at.answered, ADDRESSES);
	pmf_lines_stop(l);
	for (uint64_t i = 0; i < ADDRESSES; i++)
		check(l, d, im, start + i * STEP);
	assert_int_equal(pmf_lines_find(l, im->id, start + 1, &(struct pmf_line){0}, 1), 0);
	assert_string_equal(pmf_lines_file(l, im->id).path, im->file);
	pmf_lines_free(l);
	pmf_dwarf_close(d);
}

/* The image may be closed as soon as it was asked about, and opened again later. */
static void closing_the_image_disturbs_nobody(void **state)
{
	struct pmf_image *im = own_image();
	struct pmf_dwarf *d = own_dwarf(im);
	struct pmf_lines *l = pmf_lines_new(&nowhere, true, NULL);
	struct pmf_lines_state at;
	uint64_t start = here();
	int fd = im->fd;

	(void)state;
	ask(l, im, start);
	im->fd = -1;
	ask(l, im, start + STEP);
	im->fd = fd;
	pmf_lines_hurry(l);
	assert_true(pmf_lines_wait(l, WAIT_MS, &at));
	pmf_lines_stop(l);
	check(l, d, im, start);
	check(l, d, im, start + STEP);
	pmf_lines_free(l);
	pmf_dwarf_close(d);
}

static size_t open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* As many files as a build has programs: a few are open at a time, and all have their lines. */
static void files_are_held_for_a_while(void **state)
{
	enum { FILES = 300, MOST = 200 };
	struct pmf_image *im = own_image(), copies[FILES];
	struct pmf_dwarf *d = own_dwarf(im);
	struct pmf_lines *l = pmf_lines_new(&nowhere, true, NULL);
	struct pmf_lines_state at;
	size_t before = open_files(), most = 0;

	(void)state;
	pmf_lines_hurry(l);
	for (uint32_t i = 0; i < FILES; i++) {
		copies[i] = *im;
		copies[i].id = i;
		ask(l, &copies[i], here());
		most = PMF_MAX(most, open_files());
	}
	assert_true(most - before < MOST);
	/* One that was closed meanwhile answers again. */
	ask(l, &copies[0], here() + STEP);
	assert_true(pmf_lines_wait(l, WAIT_MS, &at));
	pmf_lines_stop(l);
	for (uint32_t i = 0; i < FILES; i++)
		check(l, d, &copies[i], here());
	check(l, d, &copies[0], here() + STEP);
	pmf_lines_free(l);
	assert_true(open_files() <= before);
	pmf_dwarf_close(d);
}

static void what_is_no_program_has_no_lines(void **state)
{
	char path[] = "/tmp/pmuflame-lines-XXXXXX";
	struct pmf_lines *l = pmf_lines_new(&nowhere, true, NULL);
	struct pmf_lines_state at;
	struct pmf_image im = {.id = 3, .path = path, .fd = mkstemp(path)};

	(void)state;
	assert_true(im.fd >= 0);
	unlink(path);
	ask(l, &im, 1);
	ask(l, &im, 2);
	pmf_lines_hurry(l);
	assert_true(pmf_lines_wait(l, WAIT_MS, &at));
	ask(l, &im, 3);
	pmf_lines_stop(l);
	assert_int_equal(pmf_lines_find(l, 3, 1, &(struct pmf_line){0}, 1), 0);
	assert_true(pmf_lines_file(l, 3).looked);
	assert_null(pmf_lines_file(l, 3).path);
	pmf_lines_free(l);
	close(im.fd);
}

static void nobody_waits_for_questions_that_are_open(void **state)
{
	struct pmf_image *im = own_image();
	struct pmf_lines *l = pmf_lines_new(&nowhere, true, NULL);
	uint64_t start = here();

	(void)state;
	for (uint64_t i = 0; i < ADDRESSES; i++)
		ask(l, im, start + i);
	pmf_lines_free(l);
}

static void without_lines_and_servers_there_is_nothing_to_do(void **state)
{
	(void)state;
	assert_null(pmf_lines_new(&nowhere, false, NULL));
	pmf_lines_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_answer_is_the_debug_infos),
		cmocka_unit_test(closing_the_image_disturbs_nobody),
		cmocka_unit_test(files_are_held_for_a_while),
		cmocka_unit_test(what_is_no_program_has_no_lines),
		cmocka_unit_test(nobody_waits_for_questions_that_are_open),
		cmocka_unit_test(without_lines_and_servers_there_is_nothing_to_do),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
