/* Go's own table of functions, in each of its formats: names, depths, and rules made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/buf.h"
#include "pmuflame/go_table.h"
#include "pmuflame/mem.h"
#include "pmuflame/symbol.h"
#include "rule_priv.h"
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT = 0x401000, TABLE = 0x500000, NR_FUNCS = 5 };

static const struct {
	const char *name;
	uint64_t start, end;
	uint8_t flags, steps;
} funcs[NR_FUNCS] = {
	{"main.work", 0, 0x40, 0, 1},
	{"runtime.goexit", 0x40, 0x50, 1, 9},
	{"runtime.systemstack", 0x50, 0x80, 2, 9},
	{"runtime.cgocallback", 0x80, 0xa0, 2, 9},
	{"runtime.systemstack_switch", 0xa0, 0xb0, 0, 9},
};
/* main.work: 0 bytes deep for 4 instructions' bytes, then 8, then 0x48, and 0 at its last; the others
 * never grow. Offset 0 stands for no steps. */
static const uint8_t steps[] = {0, 2, 4, 16, 1, 128, 1, 54, 143, 1, 5, 0, 0};
static const uint8_t flat[] = {2, 0x30, 0};

static void add_uint(struct pmf_buf *b, uint64_t n, size_t bytes)
{
	pmf_buf_add(b, &n, bytes);
}

static void put_uint(struct pmf_buf *b, size_t off, uint64_t n, size_t bytes)
{
	memcpy(b->data + off, &n, bytes);
}

static size_t add_steps(struct pmf_buf *b)
{
	size_t off = b->len;

	pmf_buf_add(b, steps, sizeof steps);
	pmf_buf_add(b, flat, sizeof flat);
	return off;
}

/* The table as Go @version writes it for amd64. */
static void make_table(struct pmf_buf *b, int version)
{
	static const uint32_t magics[] = {
		[2] = 0xfffffffb, [16] = 0xfffffffa, [18] = 0xfffffff0, [20] = 0xfffffff1};
	size_t words = version == 2 ? 1 : version == 16 ? 7 : 8, first_off = version == 16 ? 2 : 3;
	size_t entry = version >= 18 ? 4 : 8, names[NR_FUNCS], names_off = 0, steps_off = 0, index;
	uint64_t base = version >= 18 ? 0 : TEXT;

	add_uint(b, magics[version], 4);
	add_uint(b, 0, 2);
	add_uint(b, 1, 1);
	add_uint(b, 8, 1);
	for (size_t i = 0; i < words; i++)
		add_uint(b, i == 0 ? NR_FUNCS : i == 2 && words == 8 ? TEXT : 0, 8);
	index = version == 2 ? 0 : b->len;
	if (version != 2) {
		names_off = b->len;
		put_uint(b, 8 + 8 * first_off, names_off, 8);
	}
	/* In the oldest, the pairs follow the header and the rest is found from them. */
	if (version == 2)
		for (size_t i = 0; i < 2 * NR_FUNCS + 1; i++)
			add_uint(b, 0, 8);
	for (size_t i = 0; i < NR_FUNCS; i++) {
		names[i] = b->len - names_off;
		pmf_buf_add(b, funcs[i].name, strlen(funcs[i].name) + 1);
	}
	if (version != 2)
		put_uint(b, 8 + 8 * (first_off + 1), b->len, 8);
	steps_off = add_steps(b);
	if (version != 2) {
		put_uint(b, 8 + 8 * (first_off + 3), steps_off, 8);
		index = b->len;
		put_uint(b, 8 + 8 * (first_off + 4), index, 8);
		for (size_t i = 0; i < 2 * NR_FUNCS + 1; i++)
			add_uint(b, 0, entry);
		steps_off = 0;
	}
	for (size_t i = 0; i < NR_FUNCS; i++) {
		size_t pair = (version == 2 ? 16 : index) + 2 * entry * i;
		size_t at = steps_off + funcs[i].steps + (funcs[i].steps > 1 ? 4u : 0u);

		put_uint(b, pair, base + funcs[i].start, entry);
		put_uint(b, pair + entry, b->len - index, entry);
		put_uint(b, pair + 2 * entry, base + funcs[i].end, entry);
		add_uint(b, base + funcs[i].start, entry);
		add_uint(b, names[i], 4);
		add_uint(b, 0, 8);
		add_uint(b, at, 4);
		add_uint(b, 0, 8);
		add_uint(b, 0, version == 2 ? 4 : 8);
		if (version == 20)
			add_uint(b, 17, 4);
		add_uint(b, 0, 1);
		add_uint(b, version >= 18 ? funcs[i].flags : 0, 1);
		add_uint(b, 0, 2);
	}
}

/* A stripped program with @table; returns its name, for the caller to unlink and free. */
static char *write_program(const struct pmf_buf *table)
{
	static const char names[] = "\0.text\0.gopclntab\0.shstrtab";
	char *path = pmf_strdup("go_table.XXXXXX");
	size_t text_off = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), table_off = text_off + 0xb0,
	       names_off = table_off + table->len;
	Elf64_Ehdr eh = {.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof eh,
		.e_shoff = names_off + sizeof names,
		.e_ehsize = sizeof eh,
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 4,
		.e_shstrndx = 3};
	Elf64_Phdr ph = {.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = text_off,
		.p_vaddr = TEXT,
		.p_filesz = 0xb0,
		.p_memsz = 0xb0};
	Elf64_Shdr sh[4] = {{0},
		{1, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, TEXT, text_off, 0xb0, 0, 0, 16, 0},
		{7, SHT_PROGBITS, SHF_ALLOC, TABLE, table_off, table->len, 0, 0, 8, 0},
		{18, SHT_STRTAB, 0, 0, names_off, sizeof names, 0, 0, 1, 0}};
	FILE *f = fdopen(mkstemp(path), "w");

	assert_non_null(f);
	memcpy(eh.e_ident, ELFMAG "\2\1\1", 7);
	fwrite(&eh, sizeof eh, 1, f);
	fwrite(&ph, sizeof ph, 1, f);
	for (int i = 0; i < 0xb0; i++)
		putc(0x90, f);
	fwrite(table->data, table->len, 1, f);
	fwrite(names, sizeof names, 1, f);
	fwrite(sh, sizeof sh, 1, f);
	fclose(f);
	return path;
}

static struct pmf_process_table table;

/* The image of a program with @b for its table. */
static struct pmf_image *open_program(const struct pmf_buf *b)
{
	char *path = write_program(b), *full = realpath(path, NULL);
	struct pmf_image *im = pmf_image_get(&table, full, 0, 0, NULL, 0, -1, 0, 0);

	unlink(path);
	free(path);
	free(full);
	assert_non_null(im->elf);
	return im;
}

static int setup(void **state)
{
	(void)state;
	pmf_process_table_init(&table, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pmf_process_table_release(&table);
	return 0;
}

static const int versions[] = {2, 16, 18, 20};

static void every_format_is_read(void **state)
{
	struct pmf_go_table t;
	struct pmf_go_func f = {0};

	(void)state;
	for (size_t v = 0; v < PMF_ARRAY_SIZE(versions); v++) {
		struct pmf_buf b = PMF_BUF_INIT;

		make_table(&b, versions[v]);
		assert_true(pmf_go_table_read(open_program(&b), &t));
		assert_int_equal(t.version, versions[v]);
		assert_int_equal(t.nr_funcs, NR_FUNCS);
		for (size_t i = 0; i < NR_FUNCS; i++) {
			uint64_t start = TEXT + funcs[i].start, end = TEXT + funcs[i].end;

			for (uint64_t rva = start; rva < end; rva++) {
				assert_true(pmf_go_table_find(&t, rva, &f));
				assert_int_equal(f.start, start);
				assert_int_equal(f.end, end);
			}
			assert_string_equal(pmf_go_func_name(&t, &f), funcs[i].name);
			assert_int_equal(f.outermost, i == 1);
			assert_int_equal(f.switches, i == 2);
		}
		assert_false(pmf_go_table_find(&t, TEXT - 1, &f));
		assert_false(pmf_go_table_find(&t, TEXT + 0xb0, &f));
		pmf_buf_release(&b);
	}
}

static void depths_follow_the_instructions(void **state)
{
	static const uint8_t want[][2] = {
		{0, 0}, {3, 0}, {4, 8}, {5, 0x48}, {0x3a, 0x48}, {0x3b, 0}, {0x3f, 0}};
	struct pmf_buf b = PMF_BUF_INIT;
	struct pmf_go_table t;
	struct pmf_go_func f;
	uint64_t depth;

	(void)state;
	make_table(&b, 20);
	assert_true(pmf_go_table_read(open_program(&b), &t));
	assert_true(pmf_go_table_find(&t, TEXT, &f));
	for (size_t i = 0; i < PMF_ARRAY_SIZE(want); i++) {
		assert_true(pmf_go_func_depth(&t, &f, TEXT + want[i][0], &depth));
		assert_int_equal(depth, want[i][1]);
	}
	/* Behind the last step, and where there are none. */
	assert_false(pmf_go_func_depth(&t, &f, TEXT + 0x40, &depth));
	f.steps_off = 0;
	assert_false(pmf_go_func_depth(&t, &f, TEXT, &depth));
	pmf_buf_release(&b);
}

static void rules_are_made_of_it(void **state)
{
	const struct pmf_arch *x86 = pmf_arch_by_name("x86_64");
	struct pmf_buf b = PMF_BUF_INIT;
	const struct pmf_cfi *cfi;
	struct pmf_cfi_row row;
	struct pmf_rule r;

	(void)state;
	make_table(&b, 20);
	cfi = pmf_cfi_of(open_program(&b), x86);
	assert_non_null(cfi);
	r = pmf_rule_at(cfi, x86, TEXT);
	assert_int_equal(r.kind, PMF_RULE_SP);
	assert_int_equal(r.cfa, 1);
	assert_int_equal(r.ra, -1);
	assert_int_equal(r.fp_how, PMF_RULE_FP_SAME);
	r = pmf_rule_at(cfi, x86, TEXT + 8);
	assert_int_equal(r.kind, PMF_RULE_SP);
	assert_int_equal(r.cfa, 10);
	assert_int_equal(r.fp_how, PMF_RULE_FP_AT_CFA);
	assert_int_equal(r.fp, -2);
	assert_int_equal(pmf_rule_at(cfi, x86, TEXT + 0x40).kind, PMF_RULE_ROOT);
	assert_int_equal(pmf_rule_at(cfi, x86, TEXT + 0x50).kind, PMF_RULE_ROW);
	assert_int_equal(pmf_cfi_go_row(cfi, x86, TEXT + 0x50, &row), PMF_CFI_GO_SWITCH);
	assert_int_equal(pmf_cfi_go_row(cfi, x86, TEXT + 0x80, &row), PMF_CFI_GO_ROW);
	/* "Called" from its first instruction, as old runtimes have it. */
	assert_int_equal(pmf_cfi_go_row(cfi, x86, TEXT + 0x9f, &row), PMF_CFI_GO_RESUMED);
	assert_int_equal(pmf_cfi_go_row(cfi, x86, TEXT + 0xb0, &row), PMF_CFI_GO_NOTHING);
	pmf_buf_release(&b);
}

/* A link register: the return address stands at the inner end of a frame. */
static void rules_for_arm64_are_made_of_it(void **state)
{
	const struct pmf_arch *arm64 = pmf_arch_by_name("aarch64");
	struct pmf_buf b = PMF_BUF_INIT;
	struct pmf_cfi cfi = {.dwarf_ra = arm64->dwarf_ra};
	struct pmf_go_table t;
	struct pmf_cfi_row row;

	(void)state;
	make_table(&b, 20);
	assert_true(pmf_go_table_read(open_program(&b), &t));
	cfi.go = &t;
	assert_int_equal(pmf_cfi_go_row(&cfi, arm64, TEXT, &row), PMF_CFI_GO_ROW);
	assert_int_equal(row.cfa_off, 0);
	assert_int_equal(row.regs[30].how, PMF_CFI_SAME);
	assert_int_equal(pmf_cfi_go_row(&cfi, arm64, TEXT + 8, &row), PMF_CFI_GO_ROW);
	assert_int_equal(row.cfa_reg, 31);
	assert_int_equal(row.cfa_off, 0x48);
	assert_int_equal(row.regs[30].how, PMF_CFI_AT_CFA);
	assert_int_equal(row.regs[30].n, -0x48);
	pmf_buf_release(&b);
}

static void a_stripped_program_has_names(void **state)
{
	struct pmf_symbolizer *s = pmf_symbolizer_new();
	struct pmf_buf b = PMF_BUF_INIT;
	struct pmf_symbol sym;
	struct pmf_image *im;

	(void)state;
	make_table(&b, 18);
	im = open_program(&b);
	assert_true(pmf_symbol_find(s, im, TEXT + 0x3f, &sym));
	assert_string_equal(sym.name, "main.work");
	assert_int_equal(sym.start, TEXT);
	assert_int_equal(sym.size, 0x40);
	assert_false(pmf_symbol_find(s, im, TEXT + 0xb0, &sym));
	pmf_symbolizer_free(s);
	pmf_buf_release(&b);
}

/* Whatever the bytes are, answers lie inside them. */
static void damaged_tables_are_bounded(void **state)
{
	size_t read = 0, tried = 0;
	struct pmf_go_table t;
	struct pmf_go_func f;
	uint64_t depth;

	(void)state;
	for (size_t v = 0; v < PMF_ARRAY_SIZE(versions); v++) {
		struct pmf_buf b = PMF_BUF_INIT;
		size_t len;

		make_table(&b, versions[v]);
		len = b.len;
		for (size_t i = 4; i < 2 * len; i++) {
			uint8_t was = (uint8_t)b.data[i % len];

			if (i < len)
				b.data[i] = (char)0xff;
			else
				b.len = 2 * len - i;
			tried++;
			if (pmf_go_table_read(open_program(&b), &t)) {
				read++;
				for (size_t k = 0; k < NR_FUNCS + 2; k++)
					if (pmf_go_table_func(&t, k, &f)) {
						assert_true(f.end > f.start);
						assert_non_null(pmf_go_func_name(&t, &f));
						pmf_go_func_depth(&t, &f, f.start, &depth);
						pmf_go_table_find(&t, f.start, &f);
					}
			}
			if (i < len)
				b.data[i] = (char)was;
			pmf_process_table_release(&table);
			pmf_process_table_init(&table, true);
		}
		pmf_buf_release(&b);
	}
	assert_true(read > 100 && tried - read > 50);
}

/* Steps that lead nowhere, and a name without an end, cost no more than some. */
static void no_end_is_waited_for(void **state)
{
	enum { BYTES = 1 << 20 };
	uint8_t *bytes = pmf_malloc(BYTES);
	struct pmf_go_table t = {.names = {bytes, BYTES}, .steps = {bytes, BYTES}, .quantum = 1};
	struct pmf_go_func f = {.start = 0x1000, .end = 0x2000, .name_off = 1, .steps_off = 1};
	uint64_t depth;

	(void)state;
	memset(bytes, 'n', BYTES);
	bytes[BYTES - 1] = '\0';
	assert_string_equal(pmf_go_func_name(&t, &f), "");
	f.name_off = UINT32_MAX;
	assert_string_equal(pmf_go_func_name(&t, &f), "");
	f.name_off = BYTES - 3;
	assert_string_equal(pmf_go_func_name(&t, &f), "nn");
	/* Up and down, for no instruction; then for all. */
	for (size_t i = 1; i < BYTES - 1; i++)
		bytes[i] = i % 2 ? i / 2 % 2 ? 3 : 4 : 0;
	bytes[BYTES - 2] = 127;
	assert_false(pmf_go_func_depth(&t, &f, 0x1000, &depth));
	bytes[2] = 127;
	assert_true(pmf_go_func_depth(&t, &f, 0x1000, &depth));
	assert_int_equal(depth, 1);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_format_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(depths_follow_the_instructions, setup, teardown),
		cmocka_unit_test_setup_teardown(rules_are_made_of_it, setup, teardown),
		cmocka_unit_test_setup_teardown(rules_for_arm64_are_made_of_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stripped_program_has_names, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_tables_are_bounded, setup, teardown),
		cmocka_unit_test(no_end_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
