/* Finding FDEs, and refusing CFI that must not be run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cfi_priv.h"
#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pmf_process_table table;
static struct pmf_process *self;

static int setup(void **state)
{
	(void)state;
	pmf_process_table_init(&table, true);
	self = pmf_process_get(&table, getpid());
	return pmf_process_reread(&table, self, NULL);
}

static int teardown(void **state)
{
	(void)state;
	pmf_process_table_release(&table);
	return 0;
}

static void programs_that_must_not_run_are_refused(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[12];
		size_t len;
		bool ok;
	} cases[] = {
		{"nothing", {0}, 0, true},
		{"def_cfa r7+8; offset r16; advance; def_cfa_offset 16",
			{0x0c, 7, 8, 0x90, 1, 0x41, 0x0e, 16}, 8, true},
		{"remember, restore", {0x0a, 0x0b}, 2, true},
		{"advance_loc4 cut short", {0x04, 1, 2, 3}, 4, false},
		{"an endless uleb", {0x0e, 0x80, 0x80, 0x80}, 4, false},
		{"set_loc", {0x01, 1, 2, 3, 4, 5, 6, 7, 8}, 9, true},
		{"register r3 in r16", {0x09, 3, 16}, 3, true},
		{"register r3 in r17: outside libunwind's array", {0x09, 3, 17}, 3, false},
		{"val_offset: unknown to libunwind", {0x14, 3, 2}, 3, false},
		{"an unknown opcode", {0x3f}, 1, false},
		{"cfa = breg7 + 8, deref", {0x0f, 3, 0x77, 8, 0x06}, 5, true},
		{"an expression longer than the program", {0x0f, 4, 0x77, 8, 0x06}, 5, false},
		{"an operand longer than the expression", {0x0f, 2, 0x0c, 1, 0, 0, 0}, 7, false},
		{"bra: may loop", {0x0f, 4, 0x31, 0x28, 0xfd, 0xff}, 6, false},
		{"skip: may loop", {0x0f, 3, 0x2f, 0xfd, 0xff}, 5, false},
		{"div: may trap", {0x0f, 3, 0x31, 0x30, 0x1b}, 5, false},
		{"a register's expression", {0x10, 6, 2, 0x77, 0x78}, 5, true},
	};
	uint8_t deep[100];

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		/* On the heap, so that a sanitizer sees a read behind the end. */
		uint8_t *p = malloc(PMF_MAX(cases[i].len, (size_t)1));

		memcpy(p, cases[i].bytes, cases[i].len);
		if (pmf_cfi_program_ok(p, cases[i].len, 8) != cases[i].ok)
			fail_msg("wrong about: %s", cases[i].what);
		free(p);
	}
	assert_false(pmf_cfi_program_ok((const uint8_t *)"\1\1\1", 3, 0));
	memset(deep, 0x0a, sizeof deep);
	assert_false(pmf_cfi_program_ok(deep, sizeof deep, 8));
}

static struct pmf_image *libc_image(void)
{
	return pmf_process_map(self, (uint64_t)(uintptr_t)qsort)->image;
}

static void search_table_and_scan_agree(void **state)
{
	const struct pmf_cfi *cfi = pmf_cfi_of(libc_image(), pmf_arch_native());
	struct pmf_cfi scanned;
	struct pmf_cfi_fde a, b;
	size_t found = 0, missed = 0;

	(void)state;
	assert_non_null(cfi);
	assert_non_null(cfi->hdr_table);
	scanned = *cfi;
	scanned.hdr_table = NULL;
	pmf_cfi_build_table(&scanned.eh, cfi->dwarf_ra);
	assert_int_equal(scanned.eh.nr_table, cfi->nr_hdr);
	for (size_t i = 0; i < libc_image()->nr_segments; i++) {
		const struct pmf_segment *s = &libc_image()->segments[i];

		for (uint64_t rva = s->va; rva < s->va + s->filesz; rva += 61) {
			bool by_hdr = pmf_cfi_find(cfi, rva, &a);

			assert_int_equal(by_hdr, pmf_cfi_find(&scanned, rva, &b));
			if (!by_hdr) {
				missed++;
				continue;
			}
			found++;
			assert_int_equal(a.rva, b.rva);
			assert_int_equal(a.start, b.start);
			assert_int_equal(a.end, b.end);
			assert_true(rva >= a.start && rva < a.end);
		}
	}
	assert_true(found > 1000 && missed > 1000);
	free(scanned.eh.table);
}

/* One CIE (def_cfa r7+8, r16 at cfa-8) and two FDEs, the second one dropped by the linker. */
static const uint8_t debug_frame_v4[] = {0x14, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 4, 0, 8, 0, 1, 0x78,
	16, 0x0c, 7, 8, 0x90, 1, 0, 0, 0, 0, 0x1c, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x10, 0, 0, 0, 0, 0,
	0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x41, 0x0e, 16, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0};
static const uint8_t debug_frame_v1_64bit[] = {0xff, 0xff, 0xff, 0xff, 0x14, 0, 0, 0, 0, 0, 0, 0,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1, 0,
	0, 0xff, 0xff, 0xff, 0xff, 0x1c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x10, 0,
	0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x41, 0x0e, 16, 0};

static bool find_in_debug_frame(
	const uint8_t *bytes, size_t len, uint64_t rva, struct pmf_cfi_fde *out)
{
	struct pmf_cfi cfi = {.dwarf_ra = 16, .eh.word_bytes = 8, .debug.word_bytes = 8};
	uint8_t *in = malloc(len), *converted;
	bool found = false;

	memcpy(in, bytes, len);
	cfi.debug.rva = UINT64_C(1) << 62;
	converted = pmf_cfi_convert_debug_frame(
		in, len, pmf_arch_native(), cfi.debug.rva, &cfi.debug.size);
	cfi.debug.data = converted;
	if (converted) {
		pmf_cfi_build_table(&cfi.debug, cfi.dwarf_ra);
		found = pmf_cfi_find(&cfi, rva, out);
	}
	free(cfi.debug.table);
	free(converted);
	free(in);
	return found;
}

static void debug_frame_is_understood(void **state)
{
	static const struct {
		const uint8_t *bytes;
		size_t len;
	} in[] = {{debug_frame_v4, sizeof debug_frame_v4},
		{debug_frame_v1_64bit, sizeof debug_frame_v1_64bit}};
	struct pmf_cfi_fde fde;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(in); i++) {
		assert_true(find_in_debug_frame(in[i].bytes, in[i].len, 0x1000, &fde));
		assert_int_equal(fde.start, 0x1000);
		assert_int_equal(fde.end, 0x1040);
		assert_false(fde.signal_frame);
		assert_true(fde.rva > UINT64_C(1) << 62);
		assert_true(find_in_debug_frame(in[i].bytes, in[i].len, 0x103f, &fde));
		assert_false(find_in_debug_frame(in[i].bytes, in[i].len, 0x1040, &fde));
		assert_false(find_in_debug_frame(in[i].bytes, in[i].len, 0xfff, &fde));
		assert_false(find_in_debug_frame(in[i].bytes, in[i].len, 0x20, &fde));
	}
}

/* A CIE, then the FDEs of a function at 0x1000, of a part of it at 0x500, which starts with a frame
 * pointer and its register saved, and of PLT stubs at 0x400, which start with something pushed. */
static const uint8_t eh_frame_parts[] = {0x14, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1,
	3, 0x0c, 7, 8, 0x90, 1, 0, 0, /* function */ 0x10, 0, 0, 0, 28, 0, 0, 0, 0, 0x10, 0, 0,
	0x40, 0, 0, 0, 0, 0x41, 0x0e, 16, /* part */ 0x14, 0, 0, 0, 48, 0, 0, 0, 0, 5, 0, 0, 0x20,
	0, 0, 0, 0, 0x0c, 6, 16, 0x86, 2, 0, 0, /* stubs */ 0x10, 0, 0, 0, 72, 0, 0, 0, 0, 4, 0, 0,
	0x20, 0, 0, 0, 0, 0x0e, 16, 0x46};

/* The same with plain addresses of 32 bits; the second function's end is beyond the last. */
static void addresses_may_have_four_bytes(void **state)
{
	static const uint8_t bytes[] = {0x14, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x7c, 8, 1, 0,
		0x0c, 4, 4, 0x88, 1, 0, 0, 0x10, 0, 0, 0, 0x1c, 0, 0, 0, 0x00, 0x10, 0, 0, 0x40, 0,
		0, 0, 0, 0x41, 0x0e, 8, 0x10, 0, 0, 0, 0x30, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff, 0xf,
		0, 0, 0, 0, 0, 0, 0};
	struct pmf_cfi cfi = {
		.dwarf_ra = 8, .eh = {.data = bytes, .size = sizeof bytes, .word_bytes = 4}};
	struct pmf_cfi_fde fde;
	struct pmf_cfi_row row;

	(void)state;
	pmf_cfi_build_table(&cfi.eh, cfi.dwarf_ra);
	assert_int_equal(cfi.eh.nr_table, 2);
	assert_true(pmf_cfi_find(&cfi, 0x103f, &fde));
	assert_int_equal(fde.start, 0x1000);
	assert_int_equal(fde.end, 0x1040);
	assert_true(pmf_cfi_row_at(&fde, 0x1001, &row));
	assert_int_equal(row.cfa_reg, 4);
	assert_int_equal(row.cfa_off, 8);
	assert_int_equal(row.regs[8].how, PMF_CFI_AT_CFA);
	assert_int_equal(row.regs[8].n, -4);
	assert_true(pmf_cfi_find(&cfi, 0xfffffffe, &fde));
	assert_int_equal(fde.start, 0xfffffff0);
	assert_false(pmf_cfi_find(&cfi, 0x1040, &fde));
	free(cfi.eh.table);
}

static void a_part_is_its_functions(void **state)
{
	struct pmf_cfi_parts parts = {0};
	struct pmf_cfi cfi = {.dwarf_ra = 16,
		.parts = &parts,
		.eh = {.data = eh_frame_parts, .size = sizeof eh_frame_parts, .word_bytes = 8}};
	static const struct {
		uint64_t rva, function;
	} cases[] = {{0x1000, 0x1000}, {0x103f, 0x1000}, {0x500, 0x1000}, {0x51f, 0x1000},
		{0x400, 0x400}};
	struct pmf_cfi_fde fde;

	(void)state;
	pmf_cfi_build_table(&cfi.eh, cfi.dwarf_ra);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		assert_true(pmf_cfi_find(&cfi, cases[i].rva, &fde));
		assert_int_equal(pmf_cfi_function_start(&cfi, &fde), cases[i].function);
	}
	free(cfi.eh.table);
	free(parts.items);
}

static uint64_t random_u64(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15u;
	return pmf_hash_u64(*seed);
}

static void damaged_sections_are_bounded(void **state)
{
	const struct pmf_cfi *cfi = pmf_cfi_of(libc_image(), pmf_arch_native());
	size_t len = PMF_MIN(cfi->eh.size, (size_t)4096), found = 0;
	uint64_t seed = 7;
	struct pmf_cfi_fde fde;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		struct pmf_cfi damaged = {.dwarf_ra = cfi->dwarf_ra, .eh = {.rva = cfi->eh.rva}};
		uint8_t *bytes = malloc(len);
		uint8_t debug[sizeof debug_frame_v4];

		memcpy(bytes, cfi->eh.data, len);
		for (unsigned j = 0; j < i % 16; j++)
			bytes[random_u64(&seed) % len] = (uint8_t)random_u64(&seed);
		damaged.eh.data = bytes;
		damaged.eh.size = len - i % 8;
		pmf_cfi_build_table(&damaged.eh, damaged.dwarf_ra);
		for (size_t j = 0; j < 50; j++) {
			int32_t rel;

			memcpy(&rel, cfi->hdr_table + j * 8, sizeof rel);
			found +=
				pmf_cfi_find(&damaged, cfi->hdr_rva + (uint64_t)(int64_t)rel, &fde);
		}
		free(damaged.eh.table);
		free(bytes);

		memcpy(debug, debug_frame_v4, sizeof debug);
		debug[random_u64(&seed) % sizeof debug] = (uint8_t)random_u64(&seed);
		find_in_debug_frame(debug, sizeof debug - i % 3, 0x1010, &fde);
	}
	/* Damage hides some functions, not all. */
	assert_in_range(found, 3000, 3000 * 50 - 3000);
}

/* ---- Rows and expressions ---- */

static void rows_follow_the_instructions(void **state)
{
	/* As arm64 has it: instructions of 4 bytes, slots of 8, a signed return address. */
	static const uint8_t cie[] = {0x0c, 31, 0};
	static const uint8_t own[] = {0x41, 0x2d, 0x41, 0x0e, 32, 0x9d, 4, 0x9e, 3, 0x41, 0x0a,
		0x0c, 29, 16, 0x14, 19, 1, 0x41, 0x0b, 0x41, 0xde, 0xdd, 0x0e, 0, 0x2d};
	const struct pmf_cfi_fde fde = {.start = 0x1000,
		.end = 0x1020,
		.cie_program = {cie, cie + sizeof cie, false},
		.program = {own, own + sizeof own, false},
		.code_align = 4,
		.data_align = -8};
	struct pmf_cfi_row row;

	(void)state;
	for (uint64_t at = 0x1000; at < 0x1008; at++) {
		assert_true(pmf_cfi_row_at(&fde, at, &row));
		assert_int_equal(row.cfa_reg, 31);
		assert_int_equal(row.cfa_off, 0);
		assert_int_equal(row.regs[30].how, PMF_CFI_SAME);
	}
	assert_true(pmf_cfi_row_at(&fde, 0x1008, &row));
	assert_int_equal(row.cfa_off, 32);
	assert_int_equal(row.regs[29].how, PMF_CFI_AT_CFA);
	assert_int_equal(row.regs[29].n, -32);
	assert_int_equal(row.regs[30].n, -24);
	assert_true(pmf_cfi_row_at(&fde, 0x100f, &row));
	assert_int_equal(row.cfa_reg, 29);
	assert_int_equal(row.cfa_off, 16);
	assert_int_equal(row.regs[19].how, PMF_CFI_CFA_PLUS);
	assert_int_equal(row.regs[19].n, -8);
	assert_true(pmf_cfi_row_at(&fde, 0x1010, &row));
	assert_int_equal(row.cfa_reg, 31);
	assert_int_equal(row.cfa_off, 32);
	assert_int_equal(row.regs[19].how, PMF_CFI_SAME);
	assert_true(pmf_cfi_row_at(&fde, 0x1014, &row));
	assert_int_equal(row.cfa_off, 0);
	assert_int_equal(row.regs[29].how, PMF_CFI_SAME);
	assert_int_equal(row.regs[30].how, PMF_CFI_SAME);
}

static void rows_that_make_no_sense_are_none(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[12];
		size_t len;
	} cases[] = {
		{"restore_state without remember_state", {0x0b}, 1},
		{"nine states to remember", {10, 10, 10, 10, 10, 10, 10, 10, 10}, 9},
		{"an operand cut short", {0x0e, 0x80}, 2},
		{"an expression longer than the rest", {0x0f, 9, 0x70}, 3},
		{"no instruction", {0x3f}, 1},
	};
	struct pmf_cfi_row row;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		struct pmf_cfi_fde fde = {.start = 0, .end = 8, .code_align = 1};
		uint8_t *p = malloc(cases[i].len);

		memcpy(p, cases[i].bytes, cases[i].len);
		fde.program = (struct pmf_cfi_cursor){p, p + cases[i].len, false};
		if (pmf_cfi_row_at(&fde, 4, &row))
			fail_msg("made a row of: %s", cases[i].what);
		free(p);
	}
}

static bool env_reg(void *ctx, uint64_t reg, uint64_t *out)
{
	(void)ctx;
	*out = reg * 1000;
	return reg < 32;
}

static bool env_read(void *ctx, uint64_t va, uint64_t *out)
{
	(void)ctx;
	*out = va * 3;
	return va < 100000;
}

static void expressions_are_evaluated(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[16];
		size_t len;
		bool ok;
		uint64_t value;
	} cases[] = {
		{"breg7+8, breg16, lit15, and, lit11, ge, lit3, shl, plus",
			{0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22}, 11, true,
			7008},
		{"first, plus_uconst 2", {0x23, 2}, 2, true, 502},
		{"const1s -2, neg, deref", {0x09, 0xfe, 0x1f, 0x06}, 4, true, 6},
		{"const2u 300, deref_size 1", {0x0a, 0x2c, 1, 0x94, 1}, 5, true, 900 & 0xff},
		{"lit1, lit2, lit3, rot, drop, minus", {0x31, 0x32, 0x33, 0x17, 0x13, 0x1c}, 6,
			true, 2},
		{"lit1, lit2, swap, minus", {0x31, 0x32, 0x16, 0x1c}, 4, true, 1},
		{"const1s -16, lit2, shra, abs", {0x09, 0xf0, 0x32, 0x26, 0x19}, 5, true, 4},
		{"lit1, const1u 64, shl", {0x31, 0x08, 64, 0x24}, 4, true, 0},
		{"register 40", {0x92, 40, 0}, 3, false, 0},
		{"memory that is not there", {0x0c, 0xff, 0xff, 0xff, 0xff, 0x06}, 6, false, 0},
		{"drop, drop", {0x13, 0x13}, 2, false, 0},
		{"drop, lit1, plus", {0x13, 0x31, 0x22}, 3, false, 0},
		{"lit1, pick 2", {0x31, 0x15, 2}, 3, false, 0},
		{"skip", {0x2f, 0xfd, 0xff}, 3, false, 0},
		{"constant cut short", {0x0e, 1, 2}, 3, false, 0},
	};
	const struct pmf_cfi_env env = {.reg = env_reg, .read = env_read};
	uint8_t pushes[33];
	uint64_t first = 500, got;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		const uint8_t *p = cases[i].bytes;
		bool ok = pmf_cfi_eval(
			(struct pmf_cfi_cursor){p, p + cases[i].len, false}, &env, &first, &got);

		if (ok != cases[i].ok || (ok && got != cases[i].value))
			fail_msg("wrong about: %s", cases[i].what);
	}
	memset(pushes, 0x30, sizeof pushes);
	assert_true(pmf_cfi_eval(
		(struct pmf_cfi_cursor){pushes, pushes + 32, false}, &env, NULL, &got));
	assert_false(pmf_cfi_eval(
		(struct pmf_cfi_cursor){pushes, pushes + 33, false}, &env, NULL, &got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_that_must_not_run_are_refused),
		cmocka_unit_test_setup_teardown(search_table_and_scan_agree, setup, teardown),
		cmocka_unit_test(debug_frame_is_understood),
		cmocka_unit_test(addresses_may_have_four_bytes),
		cmocka_unit_test(a_part_is_its_functions),
		cmocka_unit_test(rows_follow_the_instructions),
		cmocka_unit_test(rows_that_make_no_sense_are_none),
		cmocka_unit_test(expressions_are_evaluated),
		cmocka_unit_test_setup_teardown(damaged_sections_are_bounded, setup, teardown),
	};

	return cmocka_run_group_tests_name("cfi", tests, NULL, NULL);
}
