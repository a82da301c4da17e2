/* Places of this program's own code, by its own debug information. */
#include "pmuflame/dwarf.h"
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX = 16 };

static struct pmf_dwarf *open_file(const char *path, struct pmf_err *err)
{
	struct pmf_dwarf_opts opts = {open(path, O_RDONLY | O_CLOEXEC), path, NULL};

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inlined),
		cmocka_unit_test(test_no_dwarf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
