/* Names of code that the kernel makes and frees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/symbol.h"
#include <stdio.h>

static struct pmf_ksymbols k;

static int setup(void **state)
{
	(void)state;
	pmf_ksymbols_init(&k);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pmf_ksymbols_release(&k);
	return 0;
}

static void expect(uint64_t va, const char *name)
{
	const char *got = pmf_ksymbols_find(&k, va);

	if (name)
		assert_string_equal(got, name);
	else
		assert_null(got);
}

static void code_has_its_name_while_it_is_there(void **state)
{
	(void)state;
	expect(0x1000, NULL);
	pmf_ksymbols_add(&k, 0x3000, 0x100, "bpf_prog_3");
	pmf_ksymbols_add(&k, 0x1000, 0x100, "bpf_prog_1");
	pmf_ksymbols_add(&k, 0x2000, 0x100, "bpf_prog_2");
	expect(0xfff, NULL);
	expect(0x1000, "bpf_prog_1");
	expect(0x10ff, "bpf_prog_1");
	expect(0x1100, NULL);
	expect(0x2080, "bpf_prog_2");
	expect(0x3080, "bpf_prog_3");
	pmf_ksymbols_remove(&k, 0x2000, 0x100, "bpf_prog_2");
	expect(0x2080, NULL);
	expect(0x1080, "bpf_prog_1");
	expect(0x3080, "bpf_prog_3");
	pmf_ksymbols_add(&k, 0x2000, 0x40, "bpf_prog_4");
	expect(0x203f, "bpf_prog_4");
	expect(0x2040, NULL);
	/* That one was known when it ran. */
	assert_null(pmf_ksymbols_find_gone(&k, 0x2080));
}

static void new_code_takes_the_place_of_old(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		pmf_ksymbols_add(&k, 0x1000 + 0x100 * i, 0x100, "old");
	pmf_ksymbols_add(&k, 0x1180, 0x300, "new");
	expect(0x1000, "old");
	expect(0x1100, NULL); /* what the new one overlaps is gone altogether */
	expect(0x1180, "new");
	expect(0x147f, "new");
	expect(0x1480, NULL);
	expect(0x1500, "old");
	assert_int_equal(k.nr_live, 7);
}

static void code_of_before_is_named_when_it_goes(void **state)
{
	(void)state;
	pmf_ksymbols_remove(&k, 0x1000, 0x100, "first");
	pmf_ksymbols_add(&k, 0x1000, 0x100, "second");
	pmf_ksymbols_remove(&k, 0x1000, 0x100, "second");
	pmf_ksymbols_remove(&k, 0x1000, 0x100, "told again");
	expect(0x1000, NULL);
	assert_string_equal(pmf_ksymbols_find_gone(&k, 0x10ff), "first");
	assert_null(pmf_ksymbols_find_gone(&k, 0x1100));
}

static void nonsense_names_nothing(void **state)
{
	(void)state;
	pmf_ksymbols_add(&k, 0x1000, 0, "empty");
	pmf_ksymbols_add(&k, UINT64_MAX - 8, 0x100, "wraps");
	pmf_ksymbols_add(&k, 0x2000, 0x100, "");
	expect(0x1000, NULL);
	expect(UINT64_MAX - 4, NULL);
	expect(0x2000, NULL);
}

static void memory_is_bounded(void **state)
{
	char name[32];

	(void)state;
	for (uint64_t i = 0; i < 70000; i++) {
		snprintf(name, sizeof name, "%u", (unsigned)i % 100);
		pmf_ksymbols_add(&k, 0x100000 + i * 16, 16, name);
	}
	assert_int_equal(k.nr_live, 65536);
	expect(0x100000 + 16 * 123, "23");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			code_has_its_name_while_it_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(new_code_takes_the_place_of_old, setup, teardown),
		cmocka_unit_test_setup_teardown(
			code_of_before_is_named_when_it_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_names_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_is_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
