/* Files and kernels of recordings: found where they are now, or not taken at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/mem.h"
#include "pmuflame/process.h"
#include "pmuflame/symbol.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pmf_process_table table;
static struct pmf_image_search search;
static char *folder;
static uint8_t id[20]; /* of the fixture */
static size_t id_len;

static void run(char *cmd)
{
	assert_int_equal(system(cmd), 0);
	free(cmd);
}

static char *fixture(void)
{
	return pmf_asprintf("%s/tests/fixtures/elf/bin/based.so", getenv("builddir"));
}

static void read_id(void)
{
	struct pmf_process_table t;
	char *path = fixture();
	struct pmf_image *im;

	pmf_process_table_init(&t, false);
	im = pmf_image_get(&t, path, 0, 0, NULL, 0, -1, 0, 0);
	assert_non_null(im->elf);
	id_len = im->build_id_len;
	memcpy(id, im->build_id, sizeof id);
	assert_int_equal(id_len, 20);
	pmf_process_table_release(&t);
	free(path);
}

static int setup(void **state)
{
	(void)state;
	folder = pmf_asprintf("%s/test_recorded.%d.tmp", getenv("builddir"), (int)getpid());
	run(pmf_asprintf("mkdir -p '%s'", folder));
	read_id();
	search = (struct pmf_image_search){0};
	pmf_process_table_init(&table, false);
	table.search = &search;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pmf_process_table_release(&table);
	run(pmf_asprintf("rm -rf '%s'", folder));
	free(folder);
	return 0;
}

/* Copy the fixture to @path below the folder. */
static void put(const char *path)
{
	char *from = fixture();

	run(pmf_asprintf("mkdir -p \"$(dirname '%s/%s')\" && cp '%s' '%s/%s'", folder, path, from,
		folder, path));
	free(from);
}

static struct pmf_image *get(const char *path, const uint8_t *build_id)
{
	return pmf_image_get(
		&table, path, 8, 12345, build_id, build_id ? id_len : 0, 1, 0x1000, 0x2000);
}

static void assert_found(const struct pmf_image *im, const char *path)
{
	char *whole = pmf_asprintf("%s/%s", folder, path);

	assert_non_null(im->elf);
	assert_string_equal(im->file, whole);
	free(whole);
}

static void below_symfs(void **state)
{
	(void)state;
	search.symfs = folder;
	put("opt/app/lib.so.1");
	put("flat.so");
	assert_found(get("/opt/app/lib.so.1", id), "opt/app/lib.so.1");
	assert_found(get("/opt/app/lib.so.1 (deleted)", NULL), "opt/app/lib.so.1");
	assert_found(get("/srv/elsewhere/flat.so", id), "flat.so");
	assert_null(get("/bin/sh", NULL)->elf);
}

static void by_build_id(void **state)
{
	char *hex, *path;

	(void)state;
	search.cache = folder;
	hex = pmf_build_id_path("", id, id_len, "/elf");
	put(hex + 1);
	assert_found(get("/gone/a.so", id), hex + 1);
	free(hex);

	search.cache = NULL;
	search.debug_root = path = pmf_asprintf("%s/debug", folder);
	hex = pmf_build_id_path("debug", id, id_len, "");
	put(hex);
	assert_found(get("/gone/b.so", id), hex);
	free(hex);
	free(path);
	assert_null(pmf_build_id_path("debug", id, 1, ""));
}

static void another_build(void **state)
{
	uint8_t other[20] = {1, 2, 3};
	struct pmf_image *im;

	(void)state;
	search.symfs = folder;
	put("lib.so");
	im = get("/lib.so", other);
	assert_null(im->elf);
	assert_null(im->file);
	assert_non_null(strstr(im->why, "another build"));
	assert_int_equal(table.images_replaced, 1);
}

static size_t told_id(void *ctx, const char *path, uint8_t out[20])
{
	const uint8_t *told = ctx;

	if (strcmp(path, "/told.so") != 0)
		return 0;
	memcpy(out, told, 20);
	return 20;
}

static void id_of_the_recording(void **state)
{
	uint8_t other[20] = {1, 2, 3};

	(void)state;
	search.symfs = folder;
	search.build_id = told_id;
	search.ctx = other;
	put("told.so");
	put("untold.so");
	assert_null(get("/told.so", NULL)->elf);
	assert_found(get("/untold.so", NULL), "untold.so");
	/* What the record says counts for more. */
	assert_found(get("/told.so", id), "told.so");
}

static void ids_filled_up(void **state)
{
	static const uint8_t full[20] = {1, 2, 3, 4}, longer[20] = {1, 2, 3, 4, 5};

	(void)state;
	assert_true(pmf_build_ids_equal(full, 20, full, 4));
	assert_true(pmf_build_ids_equal(full, 4, full, 20));
	assert_false(pmf_build_ids_equal(longer, 20, full, 4));
	assert_false(pmf_build_ids_equal(full, 4, longer, 5));
	assert_false(pmf_build_ids_equal(full, 0, full, 20));
}

/* ---- The kernel ---- */

static const char kallsyms[] = "ffffffff81000000 T _text\n"
			       "ffffffff81000000 T startup_64\n"
			       "ffffffff81000100 T do_work\n"
			       "ffffffff81000200 T do_more\n"
			       "ffffffff81001000 T _etext\n"
			       "ffffffffc0100010 t ext4_read\t[ext4]\n"
			       "ffffffffc0100080 t ext4_write\t[ext4]\n"
			       "ffffffffc0200010 t xfs_read\t[xfs]\n";

static const char *kernel_name(struct pmf_symbolizer *s, uint64_t va)
{
	struct pmf_symbol sym;

	return pmf_symbol_find(s, pmf_image_kernel(&table), va, &sym) ? sym.name : "";
}

static void put_kallsyms(const uint8_t *kernel_id)
{
	char *path = pmf_build_id_path(folder, kernel_id, 20, "/kallsyms");
	FILE *f;

	run(pmf_asprintf("mkdir -p \"$(dirname '%s')\"", path));
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(kallsyms, f);
	fclose(f);
	free(path);
}

static void moved_kernel(void **state)
{
	struct pmf_symbol_module modules[] = {{0xffffffffc0100000, 0xffffffffc0110000, "[ext4]"},
		{0xffffffffc0300000, 0xffffffffc0310000, "[xfs]"}};
	struct pmf_symbol_kernel k = {.build_id = {9, 8, 7},
		.build_id_len = 20,
		.start = 0xffffffffa1000000,
		.end = 0xffffffffa1001000,
		.ref_va = 0xffffffffa1000000,
		.ref = "_text",
		.modules = modules,
		.nr_modules = 2};
	struct pmf_symbolizer *s = pmf_symbolizer_new();

	(void)state;
	search.cache = folder;
	put_kallsyms(k.build_id);
	pmf_symbolizer_use_recording(s, &k, &search);
	assert_int_equal(pmf_symbol_kernel_status(s, NULL), PMF_OK);
	/* Another boot: 512 MiB higher. */
	assert_string_equal(kernel_name(s, 0xffffffffa1000110), "do_work");
	assert_string_equal(kernel_name(s, 0xffffffffa1000210), "do_more");
	assert_string_equal(kernel_name(s, 0xffffffff81000110), "");
	assert_string_equal(kernel_name(s, 0xffffffffa1001010), "");
	/* A module that is where it was, and one that is not. */
	assert_string_equal(kernel_name(s, 0xffffffffc0100090), "ext4_write");
	assert_string_equal(kernel_name(s, 0xffffffffc0300010), "");
	assert_string_equal(kernel_name(s, 0xffffffffc0200010), "");
	pmf_symbolizer_free(s);
}

static void unknown_kernel(void **state)
{
	struct pmf_symbol_kernel k = {.build_id = {9, 8, 6},
		.build_id_len = 20,
		.this_host = true, /* the build id counts for more */
		.start = 0xffffffff81000000,
		.end = 0xffffffff81001000,
		.ref_va = 0xffffffff81000000,
		.ref = "_text"};
	struct pmf_symbolizer *s = pmf_symbolizer_new();
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	search.cache = folder;
	pmf_symbolizer_use_recording(s, &k, &search);
	assert_string_equal(kernel_name(s, 0xffffffff81000110), "");
	assert_int_equal(pmf_symbol_kernel_status(s, &err), PMF_ENOTFOUND);
	assert_non_null(strstr(err.text, "perf archive"));
	pmf_symbolizer_free(s);

	/* Nothing says where it was. */
	s = pmf_symbolizer_new();
	k.ref_va = 0;
	put_kallsyms(k.build_id);
	pmf_symbolizer_use_recording(s, &k, &search);
	assert_string_equal(kernel_name(s, 0xffffffff81000110), "");
	assert_int_equal(pmf_symbol_kernel_status(s, &err), PMF_ENOTFOUND);
	assert_non_null(strstr(err.text, "kptr_restrict"));
	pmf_symbolizer_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(below_symfs, setup, teardown),
		cmocka_unit_test_setup_teardown(by_build_id, setup, teardown),
		cmocka_unit_test_setup_teardown(another_build, setup, teardown),
		cmocka_unit_test_setup_teardown(id_of_the_recording, setup, teardown),
		cmocka_unit_test(ids_filled_up),
		cmocka_unit_test_setup_teardown(moved_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_kernel, setup, teardown),
	};

	return cmocka_run_group_tests_name("recorded", tests, NULL, NULL);
}
