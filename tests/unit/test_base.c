/* The base module: memory, buffers, hashing, units, errors, architectures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/arch.h"
#include "pmuflame/buf.h"
#include "pmuflame/err.h"
#include "pmuflame/hash.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* ---- mem ---- */

static void test_arena(void **state)
{
	static const size_t sizes[] = {0, 1, 15, 16, 17, 4000, 70000, 1, 65536, 3};
	struct pmf_arena a;
	uint8_t *p[200];

	(void)state;
	pmf_arena_init(&a);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(p); i++) {
		p[i] = pmf_arena_alloc(&a, sizes[i % PMF_ARRAY_SIZE(sizes)]);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 16, 0);
		/* cppcheck-suppress sizeofDivisionMemfunc */
		memset(p[i], (int)i, sizes[i % PMF_ARRAY_SIZE(sizes)]);
	}
	for (size_t i = 0; i < PMF_ARRAY_SIZE(p); i++)
		for (size_t k = 0; k < sizes[i % PMF_ARRAY_SIZE(sizes)]; k++)
			if (p[i][k] != (uint8_t)i)
				fail_msg("allocation %zu was overwritten at %zu", i, k);
	assert_string_equal(pmf_arena_strndup(&a, "backtest", 4), "back");
	assert_true(a.total_bytes >= 20 * (4000 + 70000 + 65536));
	pmf_arena_release(&a);
	assert_int_equal(a.total_bytes, 0);
}

static void test_grow_and_push(void **state)
{
	struct {
		uint32_t *items;
		size_t n, cap;
	} list = {NULL, 0, 0};
	size_t grown = 0;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		size_t cap = list.cap;

		PMF_PUSH(list.items, list.n, list.cap) = i;
		grown += list.cap != cap;
	}
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(list.items[i], i);
	assert_in_range(grown, 2, 14);
	assert_ptr_equal(pmf_grow(list.items, &list.cap, list.cap, sizeof *list.items), list.items);
	free(list.items);
}

/* ---- buf ---- */

static void test_buf(void **state)
{
	struct pmf_buf b = PMF_BUF_INIT;
	char *long_text = pmf_zalloc(5001), *detached;

	(void)state;
	assert_string_equal(pmf_buf_str(&b), "");
	detached = pmf_buf_detach(&b);
	assert_string_equal(detached, "");
	free(detached);

	pmf_buf_add(&b, NULL, 0);
	assert_string_equal(b.data, "");
	pmf_buf_addstr(&b, "a");
	pmf_buf_addch(&b, 'b');
	pmf_buf_printf(&b, "%d%s", 7, "c");
	assert_string_equal(pmf_buf_str(&b), "ab7c");
	pmf_buf_addu64(&b, 0);
	pmf_buf_addu64(&b, 10);
	pmf_buf_addu64(&b, UINT64_MAX);
	assert_string_equal(pmf_buf_str(&b), "ab7c01018446744073709551615");
	pmf_buf_clear(&b);
	pmf_buf_addstr(&b, "ab7c");
	memset(long_text, 'x', 5000);
	pmf_buf_printf(&b, "%s", long_text);
	assert_int_equal(b.len, 5004);
	assert_int_equal(strlen(b.data), 5004);
	pmf_buf_clear(&b);
	assert_string_equal(pmf_buf_str(&b), "");
	pmf_buf_add(&b, "a\0b", 3);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
	detached = pmf_buf_detach(&b);
	assert_int_equal(b.len, 0);
	assert_null(b.data);
	free(detached);
	pmf_buf_release(&b);
	free(long_text);
}

/* ---- hash ---- */

static bool key_eq(const void *ctx, uint32_t value, const void *key)
{
	const uint64_t *keys = ctx;

	return keys[value] == *(const uint64_t *)key;
}

/* @hash_mask makes collisions: with 0 all keys share one chain. */
static void check_index(uint64_t hash_mask, uint32_t n)
{
	struct pmf_index ix;
	uint64_t *keys = pmf_calloc(n, sizeof *keys);
	uint64_t absent = UINT64_MAX;

	pmf_index_init(&ix);
	assert_int_equal(pmf_index_find(&ix, 0, key_eq, keys, &absent), UINT32_MAX);
	assert_false(pmf_index_remove(&ix, 0, 0));
	for (uint32_t i = 0; i < n; i++) {
		keys[i] = i * 3;
		pmf_index_add(&ix, pmf_hash_u64(keys[i]) & hash_mask, i);
	}
	for (uint32_t i = 0; i < n; i += 2)
		assert_true(pmf_index_remove(&ix, pmf_hash_u64(keys[i]) & hash_mask, i));
	assert_false(pmf_index_remove(&ix, pmf_hash_u64(keys[0]) & hash_mask, 0));
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(pmf_index_find(&ix, pmf_hash_u64(keys[i]) & hash_mask, key_eq,
					 keys, &keys[i]),
			i % 2 ? i : UINT32_MAX);
	/* The removed ones can come back, and nothing that stayed is lost. */
	for (uint32_t i = 0; i < n; i += 2)
		pmf_index_add(&ix, pmf_hash_u64(keys[i]) & hash_mask, i);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(pmf_index_find(&ix, pmf_hash_u64(keys[i]) & hash_mask, key_eq,
					 keys, &keys[i]),
			i);
	assert_int_equal(
		pmf_index_find(&ix, pmf_hash_u64(absent) & hash_mask, key_eq, keys, &absent),
		UINT32_MAX);
	pmf_index_release(&ix);
	assert_int_equal(pmf_index_find(&ix, 0, key_eq, keys, &keys[0]), UINT32_MAX);
	free(keys);
}

static void test_index(void **state)
{
	(void)state;
	check_index(UINT64_MAX, 20000);
	check_index(7, 500);
	check_index(0, 300);
}

/* Pids come and go all day: tombstones must neither fill the table nor make it grow. */
static void test_index_churn(void **state)
{
	struct pmf_index ix;
	uint64_t keys[4] = {0};
	size_t mask = 0;

	(void)state;
	pmf_index_init(&ix);
	for (uint64_t i = 0; i < 100000; i++) {
		uint32_t slot = (uint32_t)(i % 4);

		if (i >= 4)
			assert_true(pmf_index_remove(&ix, pmf_hash_u64(keys[slot]), slot));
		keys[slot] = i;
		pmf_index_add(&ix, pmf_hash_u64(i), slot);
		assert_int_equal(pmf_index_find(&ix, pmf_hash_u64(i), key_eq, keys, &i), slot);
		mask = PMF_MAX(mask, ix.mask);
	}
	assert_true(mask < 256);
	pmf_index_release(&ix);
}

static void test_hash_bytes(void **state)
{
	uint8_t bytes[40] = {0};
	uint64_t seen[41];

	(void)state;
	/* Length alone tells zeroes apart, and one bit changes the sum. */
	for (size_t n = 0; n <= 40; n++) {
		seen[n] = pmf_hash_bytes(bytes, n);
		for (size_t k = 0; k < n; k++)
			assert_int_not_equal(seen[n], seen[k]);
	}
	bytes[39] ^= 1;
	assert_int_not_equal(pmf_hash_bytes(bytes, 40), seen[40]);
	assert_int_equal(pmf_hash_bytes(bytes, 39), seen[39]);
}

static void test_strtab(void **state)
{
	struct pmf_strtab t;
	char name[32];
	const char *first;

	(void)state;
	pmf_strtab_init(&t);
	assert_int_equal(pmf_strtab_addz(&t, ""), 0);
	assert_int_equal(pmf_strtab_addz(&t, "main"), 1);
	first = pmf_strtab_get(&t, 1);
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "f%d", i);
		assert_int_equal(pmf_strtab_addz(&t, name), 2 + i);
	}
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "f%d", i);
		assert_int_equal(pmf_strtab_add(&t, name, strlen(name)), 2 + i);
		assert_string_equal(pmf_strtab_get(&t, 2 + (uint32_t)i), name);
	}
	assert_ptr_equal(pmf_strtab_get(&t, 1), first);
	/* A prefix is another string, and bytes behind the length do not count. */
	assert_int_equal(pmf_strtab_add(&t, "mainly", 4), 1);
	assert_int_equal(pmf_strtab_add(&t, "main", 3), 5002);
	/* A NUL ends the string. */
	assert_int_equal(pmf_strtab_add(&t, "main\0x", 6), 1);
	assert_string_equal(pmf_strtab_get(&t, 99999), "");
	pmf_strtab_release(&t);
}

/* ---- units ---- */

static void test_format_count(void **state)
{
	char out[PMF_UNITS_MAX];

	(void)state;
	assert_string_equal(pmf_format_count(out, 0), "0");
	assert_string_equal(pmf_format_count(out, 999), "999");
	assert_string_equal(pmf_format_count(out, 1000), "1,000");
	assert_string_equal(pmf_format_count(out, 1234567), "1,234,567");
	assert_string_equal(pmf_format_count(out, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void test_format_si(void **state)
{
	char out[PMF_UNITS_MAX];

	(void)state;
	assert_string_equal(pmf_format_si(out, 0), "0");
	assert_string_equal(pmf_format_si(out, 999), "999");
	assert_string_equal(pmf_format_si(out, 999.9), "1 k");
	assert_string_equal(pmf_format_si(out, 1234567), "1.23 M");
	assert_string_equal(pmf_format_si(out, -2500), "-2.5 k");
	assert_string_equal(pmf_format_si(out, 999999), "1 M");
	assert_string_equal(pmf_format_si(out, 1.8446744e19), "18.4 E");
}

static void test_format_percent(void **state)
{
	char out[PMF_UNITS_MAX];

	(void)state;
	assert_string_equal(pmf_format_percent(out, 1, 3), "33.33%");
	assert_string_equal(pmf_format_percent(out, 0, 3), "0.00%");
	assert_string_equal(pmf_format_percent(out, 0, 0), "-");
	assert_string_equal(pmf_format_percent(out, 1, 0), "-");
}

static void test_format_bytes(void **state)
{
	char out[PMF_UNITS_MAX];

	(void)state;
	assert_string_equal(pmf_format_bytes(out, 0), "0 B");
	assert_string_equal(pmf_format_bytes(out, 1023), "1023 B");
	assert_string_equal(pmf_format_bytes(out, 1024), "1 KiB");
	assert_string_equal(pmf_format_bytes(out, 1536), "1.5 KiB");
	assert_string_equal(pmf_format_bytes(out, 1048575), "1.0 MiB");
	assert_string_equal(pmf_format_bytes(out, 32768), "32 KiB");
	assert_string_equal(pmf_format_bytes(out, UINT64_MAX), "16 EiB");
}

static void test_format_ns(void **state)
{
	char out[PMF_UNITS_MAX];

	(void)state;
	assert_string_equal(pmf_format_ns(out, 0), "0 ns");
	assert_string_equal(pmf_format_ns(out, 999), "999 ns");
	assert_string_equal(pmf_format_ns(out, 1500), "1.5 µs");
	assert_string_equal(pmf_format_ns(out, 999400), "999 µs");
	assert_string_equal(pmf_format_ns(out, 999600), "1 ms");
	assert_string_equal(pmf_format_ns(out, 45600000), "45.6 ms");
	assert_string_equal(pmf_format_ns(out, 999900000), "1.00 s");
	assert_string_equal(pmf_format_ns(out, 1234567890), "1.23 s");
	assert_true(strlen(pmf_format_ns(out, UINT64_MAX)) < PMF_UNITS_MAX);
}

static void test_parse_u64(void **state)
{
	static const struct {
		const char *text;
		uint64_t want;
	} good[] = {{"0", 0}, {"10", 10}, {"010", 10}, {"10k", 10000}, {"3K", 3000},
		{"2m", 2000000}, {"2M", 2000000}, {"4g", 4000000000}, {"0x1f", 31},
		{"18446744073709551615", UINT64_MAX}, {"18446744073g", 18446744073000000000u}};
	static const char *const bad[] = {"", "k", "-1", "+1", " 1", "1 ", "1.5", "1kk", "1e6",
		"0x", "0xg", "18446744073709551616", "18446744074g",
		"00000000000000000000000000000000001"};
	struct pmf_err err = PMF_ERR_INIT;
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(good); i++) {
		n = 1;
		assert_int_equal(
			pmf_parse_u64(good[i].text, strlen(good[i].text), &n, "--count", &err), 0);
		assert_int_equal(n, good[i].want);
	}
	assert_int_equal(pmf_parse_u64("123,4", 3, &n, "--count", &err), 0);
	assert_int_equal(n, 123);
	assert_int_equal(err.status, PMF_OK);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(bad); i++) {
		err.status = PMF_OK;
		n = 77;
		if (pmf_parse_u64(bad[i], strlen(bad[i]), &n, "--count", &err) != PMF_EUSAGE)
			fail_msg("'%s' was taken as %llu", bad[i], (unsigned long long)n);
		assert_int_equal(n, 77);
		assert_non_null(strstr(err.text, "--count"));
	}
}

static void test_parse_seconds(void **state)
{
	static const struct {
		const char *text;
		uint64_t want_ns;
	} good[] = {{"0", 0}, {"10", 10000000000}, {"0.5", 500000000}, {".5", 500000000},
		{"250ms", 250000000}, {"2s", 2000000000}, {"2m", 120000000000},
		{"1h", 3600000000000}};
	static const char *const bad[] = {"", ".", "s", "-1", "+1", " 1", "1 s", "1d", "1ns", "nan",
		"inf", "1e300", "0x10", "876001h"};
	struct pmf_err err = PMF_ERR_INIT;
	uint64_t ns;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(good); i++) {
		assert_int_equal(pmf_parse_seconds(good[i].text, &ns, "--delay", &err), 0);
		assert_int_equal(ns, good[i].want_ns);
	}
	for (size_t i = 0; i < PMF_ARRAY_SIZE(bad); i++) {
		if (pmf_parse_seconds(bad[i], &ns, "--delay", &err) != PMF_EUSAGE)
			fail_msg("'%s' was taken as %llu", bad[i], (unsigned long long)ns);
		assert_non_null(strstr(err.text, "--delay"));
	}
}

/* ---- err ---- */

static void test_err(void **state)
{
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	assert_int_equal(pmf_err_set(&err, PMF_ELIMIT, "ring %d", 3), PMF_ELIMIT);
	assert_int_equal(err.status, PMF_ELIMIT);
	assert_string_equal(err.text, "ring 3");
	assert_int_equal(pmf_err_prefix(&err, "cpu %d", 1), PMF_ELIMIT);
	assert_string_equal(err.text, "cpu 1: ring 3");
	assert_int_equal(pmf_err_errno(&err, PMF_EIO, ENOENT, "cannot open '%s'", "x"), PMF_EIO);
	assert_string_equal(err.text, "cannot open 'x': No such file or directory");
	assert_int_equal(pmf_err_set(NULL, PMF_EIO, "nobody reads this"), PMF_EIO);
	assert_int_equal(pmf_err_errno(NULL, PMF_EIO, EIO, "nor this"), PMF_EIO);
	assert_true(pmf_err_prefix(NULL, "x") < 0);
}

/* Whatever the lengths, the prefix stays in front and the text is cut, not overrun. */
static void test_err_prefix_is_cut(void **state)
{
	char long_text[1200], prefix[1200];
	struct pmf_err err;

	(void)state;
	memset(long_text, 'x', sizeof long_text);
	long_text[sizeof long_text - 1] = '\0';
	for (size_t n = 0; n < sizeof prefix; n += n < 985 || n > 1005 ? 97 : 1) {
		memset(prefix, 'p', n);
		prefix[n] = '\0';
		assert_int_equal(pmf_err_set(&err, PMF_EIO, "%s", long_text), PMF_EIO);
		assert_int_equal(strlen(err.text), sizeof err.text - 1);
		assert_int_equal(pmf_err_prefix(&err, "%s", prefix), PMF_EIO);
		assert_int_equal(strlen(err.text), sizeof err.text - 1);
		if (n + 3 < sizeof err.text) {
			assert_memory_equal(err.text, prefix, n);
			assert_memory_equal(err.text + n, ": x", 3);
		}
	}
}

static void test_status_of_errno(void **state)
{
	(void)state;
	assert_int_equal(pmf_status_of_errno(0), PMF_OK);
	assert_int_equal(pmf_status_of_errno(EACCES), PMF_EPERM);
	assert_int_equal(pmf_status_of_errno(ENOENT), PMF_ENOTFOUND);
	assert_int_equal(pmf_status_of_errno(EMFILE), PMF_ELIMIT);
	assert_int_equal(pmf_status_of_errno(EOPNOTSUPP), PMF_EUNSUP);
	assert_int_equal(pmf_status_of_errno(EIO), PMF_EIO);
}

/* ---- arch ---- */

static void check_arch(const struct pmf_arch *a)
{
	bool used[256] = {false};

	assert_ptr_equal(pmf_arch_by_elf(a->elf_machine), a);
	/* DWARF numbers name one register each, and every register that is asked for has one, but
	 * for the pc where a link register has its column. */
	for (size_t i = 0; i < PMF_ARCH_MAX_REGS; i++) {
		uint8_t dwarf = a->perf_to_dwarf[i];

		if (dwarf == PMF_REG_NONE) {
			assert_true(i == a->reg_ip || !(a->user_regs >> i & 1));
			continue;
		}
		assert_true(a->user_regs >> i & 1);
		assert_false(used[dwarf]);
		used[dwarf] = true;
	}
	if (a->reg_ra == PMF_REG_NONE)
		assert_int_equal(a->perf_to_dwarf[a->reg_ip], a->dwarf_ra);
	else
		assert_int_equal(a->perf_to_dwarf[a->reg_ra], a->dwarf_ra);
	assert_int_not_equal(a->perf_to_dwarf[a->reg_sp], PMF_REG_NONE);
	assert_int_not_equal(a->perf_to_dwarf[a->reg_fp], PMF_REG_NONE);
}

static void test_arch(void **state)
{
	static const char *const names[] = {"aarch64", "i686", "riscv64", "x86_64"};
	struct utsname host;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(names); i++) {
		const struct pmf_arch *a = pmf_arch_by_name(names[i]);

		assert_non_null(a);
		assert_string_equal(a->name, names[i]);
		check_arch(a);
	}
	assert_ptr_equal(pmf_arch_by_name("x86_64")->narrow, pmf_arch_by_name("i686"));
	assert_null(pmf_arch_by_name("vax"));
	assert_null(pmf_arch_by_elf(0));
	assert_int_equal(uname(&host), 0);
	assert_string_equal(pmf_arch_native()->name, host.machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena),
		cmocka_unit_test(test_grow_and_push),
		cmocka_unit_test(test_buf),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_index_churn),
		cmocka_unit_test(test_hash_bytes),
		cmocka_unit_test(test_strtab),
		cmocka_unit_test(test_format_count),
		cmocka_unit_test(test_format_si),
		cmocka_unit_test(test_format_percent),
		cmocka_unit_test(test_format_bytes),
		cmocka_unit_test(test_format_ns),
		cmocka_unit_test(test_parse_u64),
		cmocka_unit_test(test_parse_seconds),
		cmocka_unit_test(test_err),
		cmocka_unit_test(test_err_prefix_is_cut),
		cmocka_unit_test(test_status_of_errno),
		cmocka_unit_test(test_arch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
