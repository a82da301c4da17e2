/* Places of this program's own code, by its own debug information, and of the code of files that are
 * made to be expensive (tests/fuzz/make_seeds.py). */
#include "dwarf_priv.h"
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX = 16 };

static struct pmf_dwarf *open_file(const char *path, struct pmf_err *err)
{
	struct pmf_dwarf_opts opts = {.fd = open(path, O_RDONLY | O_CLOEXEC), .path = path};

	assert_true(opts.fd >= 0);
	/* The descriptor stays open to the end: the struct pmf_dwarf goes on reading from it. */
	return pmf_dwarf_open(&opts, err);
}

static int own_base(struct dl_phdr_info *info, size_t size, void *base)
{
	(void)size;
	*(uint64_t *)base = info->dlpi_addr;
	return 1; /* the program itself comes first */
}

/* Where this was called from, in the image. */
static __attribute__((noinline)) uint64_t here(void)
{
	uint64_t base = 0;

	dl_iterate_phdr(own_base, &base);
	return (uint64_t)(uintptr_t)__builtin_return_address(0) - 1 - base;
}

static volatile uint64_t sink; /* against tail calls */

enum { INNER = __LINE__ + 1 };
static inline __attribute__((always_inline)) uint64_t inner(void)
{
	sink = here();
	return sink;
}

enum { MIDDLE = __LINE__ + 1 };
static inline __attribute__((always_inline)) uint64_t middle(void)
{
	return inner() + sink;
}

enum { OUTER = __LINE__ + 1 };
static __attribute__((noinline)) uint64_t outer(void)
{
	return middle() - sink;
}

static void assert_place(const struct pmf_line *l, const char *function, uint32_t decl_line)
{
	assert_string_equal(l->function, function);
	assert_non_null(strstr(l->file, "test_dwarf.c"));
	assert_string_equal(l->decl_file, l->file);
	assert_int_equal(l->decl_line, decl_line);
	assert_int_equal(l->line, decl_line + 2);
}

static void test_inlined(void **state)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_dwarf *d = open_file("/proc/self/exe", &err);
	struct pmf_line l[MAX];
	uint64_t rva = outer();

	(void)state;
	assert_non_null(d);
	assert_int_equal(pmf_dwarf_find(d, rva, l, MAX), 3);
	assert_place(&l[0], "outer", OUTER);
	assert_place(&l[1], "middle", MIDDLE);
	assert_place(&l[2], "inner", INNER);
	assert_int_equal(pmf_dwarf_find(d, rva, l, 1), 1);
	assert_place(&l[0], "outer", OUTER);
	assert_int_equal(pmf_dwarf_find(d, 0, l, MAX), 0);
	assert_int_equal(pmf_dwarf_find(d, UINT64_MAX, l, MAX), 0);
	pmf_dwarf_close(d);
}

static void assert_refused(const char *path, enum pmf_status status)
{
	struct pmf_err err = PMF_ERR_INIT;

	assert_null(open_file(path, &err));
	assert_int_equal(err.status, status);
	assert_non_null(strstr(err.text, path));
}

static void test_no_dwarf(void **state)
{
	(void)state;
	assert_refused("/proc/self/maps", PMF_EFORMAT);
}

/* ---- Files that are made ---- */

enum { CODE = 0x1000, CALL = CODE + 16 };

static char *seed(const char *name)
{
	return pmf_asprintf("%s/tests/fuzz/seeds/fuzz_dwarf/%s", getenv("srcdir"), name);
}

static struct pmf_dwarf *open_seed(const char *name)
{
	char *path = seed(name);
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_dwarf *d = open_file(path, &err);

	assert_non_null(d);
	free(path);
	return d;
}

/* Whatever the file says, and however often it is asked, it takes no more than so many steps and
 * so much memory. */
static void close_seed(struct pmf_dwarf *d)
{
	/* The step that was too many was refused; it was a DIE's attributes at most. */
	assert_true(d->spent < pmf_dw_budget(d) + d->loaded);
	assert_true(d->held < PMF_DW_HELD_LEAST + 2 * d->loaded);
	pmf_dwarf_close(d);
}

static void test_plain(void **state)
{
	static const char *const names[] = {"plain", "compressed"};
	struct pmf_line l[MAX];
	size_t i;

	(void)state;
	for (i = 0; i < PMF_ARRAY_SIZE(names); i++) {
		struct pmf_dwarf *d = open_seed(names[i]);

		assert_int_equal(pmf_dwarf_find(d, CALL + 8, l, MAX), 2);
		assert_string_equal(l[0].function, "outer");
		assert_int_equal(l[0].decl_line, 5);
		assert_int_equal(l[0].line, 7);
		assert_string_equal(l[1].function, "inner");
		assert_int_equal(l[1].decl_line, 3);
		assert_string_equal(l[1].file, "/src/one.c");
		assert_int_equal(l[1].line, 15);
		assert_int_equal(pmf_dwarf_find(d, CALL - 1, l, MAX), 1);
		assert_int_equal(l[0].line, 10);
		close_seed(d);
	}
}

static void test_loop(void **state)
{
	struct pmf_dwarf *d = open_seed("loop");
	struct pmf_line l[MAX];

	(void)state;
	assert_int_equal(pmf_dwarf_find(d, CALL, l, MAX), 2);
	assert_string_equal(l[0].function, "outer");
	assert_null(l[1].function);
	assert_int_equal(l[1].line, 10);
	close_seed(d);
}

static void test_deep(void **state)
{
	struct pmf_dwarf *d = open_seed("deep");
	struct pmf_line l[4000];

	(void)state;
	assert_int_equal(pmf_dwarf_find(d, CALL, l, PMF_ARRAY_SIZE(l)), 2001);
	assert_string_equal(l[0].function, "outer");
	assert_string_equal(l[2000].function, "inner");
	assert_int_equal(l[2000].line, 10);
	assert_int_equal(pmf_dwarf_find(d, CALL, l, 2), 2);
	assert_string_equal(l[0].function, "outer");
	assert_int_equal(l[1].line, 7);
	close_seed(d);
}

static void test_expensive(void **state)
{
	static const char *const names[] = {"abbrevs", "names", "ranges", "rows"};
	struct pmf_line l[MAX];
	size_t i;

	(void)state;
	for (i = 0; i < PMF_ARRAY_SIZE(names); i++) {
		struct pmf_dwarf *d = open_seed(names[i]);
		uint64_t rva;

		for (rva = CODE; rva < CODE + 4000; rva++)
			pmf_dwarf_find(d, rva, l, MAX);
		close_seed(d);
	}
}

/* Two million units in 40 kilobytes, which would be half a gigabyte of what is known of them. */
static void test_too_many_units(void **state)
{
	char *path = seed("units");

	(void)state;
	assert_refused(path, PMF_EFORMAT);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inlined),
		cmocka_unit_test(test_no_dwarf),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_expensive),
		cmocka_unit_test(test_too_many_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
