/* Rules in a word, the caches that keep them, and walks that go by them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include "unwind_priv.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FN_BYTES = 0x100, MAX_DUMP_WORDS = 64, MAX_FRAMES = 100 };
/* DWARF's numbers on x86-64, and where the made programs' code and stacks are. */
enum { RBX = 3, RBP = 6, RSP = 7, R10 = 10, RIP = 16 };
#define CODE UINT64_C(0x400000)
#define STACK UINT64_C(0x7ffc00000000)
#define EH_RVA 0x100000

static const struct pmf_arch *x86(void)
{
	return pmf_arch_by_name("x86_64");
}

/* ---- Programs of call frame information ---- */

struct program {
	uint8_t bytes[24];
	size_t len;
};
#define PROGRAM(...) \
	{ \
		{__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}) \
	}

static void close_record(struct pmf_buf *b, size_t from)
{
	uint32_t len;

	while ((b->len - from) % 4)
		pmf_buf_addch(b, 0);
	len = (uint32_t)(b->len - from - 4);
	memcpy(b->data + from, &len, sizeof len);
}

static void add_u32(struct pmf_buf *b, uint64_t n)
{
	uint32_t low = (uint32_t)n;

	pmf_buf_add(b, &low, sizeof low);
}

/* .eh_frame with a function of FN_BYTES for each program, from rva FN_BYTES on. Right after a call the
 * CFA is sp, or sp + 8 with the return address below it, unless the program says otherwise. */
static struct pmf_cfi *make_cfi(
	const struct pmf_arch *arch, const struct program *programs, size_t n)
{
	const uint8_t sp = arch->perf_to_dwarf[arch->reg_sp], ra = arch->dwarf_ra;
	const bool pushes = arch->reg_ra == PMF_REG_NONE;
	const uint8_t cie[] = {1, 'z', 'R', 0, 1, 0x78, ra, 1, 0x1b, 0x0c, sp, pushes ? 8 : 0,
		pushes ? 0x80 | ra : 0, pushes ? 1 : 0};
	struct pmf_cfi *cfi = pmf_zalloc(sizeof *cfi);
	struct pmf_buf b = PMF_BUF_INIT;

	add_u32(&b, 0);
	add_u32(&b, 0);
	pmf_buf_add(&b, cie, sizeof cie);
	close_record(&b, 0);
	for (size_t i = 0; i < n; i++) {
		size_t from = b.len;

		add_u32(&b, 0);
		add_u32(&b, b.len);
		add_u32(&b, (i + 1) * FN_BYTES - (EH_RVA + b.len));
		add_u32(&b, FN_BYTES);
		pmf_buf_addch(&b, 0);
		pmf_buf_add(&b, programs[i].bytes, programs[i].len);
		close_record(&b, from);
	}
	cfi->dwarf_ra = ra;
	cfi->rules = pmf_zalloc(sizeof *cfi->rules);
	cfi->eh.rva = EH_RVA;
	cfi->eh.size = b.len;
	cfi->converted = (uint8_t *)pmf_buf_detach(&b);
	cfi->eh.data = cfi->converted;
	pmf_cfi_build_table(&cfi->eh, cfi->dwarf_ra);
	return cfi;
}

static void free_cfi(void *priv)
{
	struct pmf_cfi *cfi = priv;

	pmf_image_rules_release(cfi->rules);
	free(cfi->rules);
	free(cfi->eh.table);
	free(cfi->converted);
	free(cfi);
}

static struct pmf_rule rule_of(const struct program *p, uint64_t rva)
{
	const struct pmf_arch *arch = x86();
	struct pmf_cfi *cfi = make_cfi(arch, p, 1);
	struct pmf_rule rule = pmf_rule_at(cfi, arch, rva);

	free_cfi(cfi);
	return rule;
}

static void rows_become_rules(void **state)
{
	static const struct {
		const char *what;
		struct program program;
		struct pmf_rule rule;
	} cases[] = {
		{"right after a call", PROGRAM(0), {PMF_RULE_SP, 0, 0, 0, 1, 0, -1}},
		{"a large frame", PROGRAM(0x0e, 0x88, 0x80, 1),
			{PMF_RULE_SP, 0, 0, 0, 2049, 0, -1}},
		{"frame pointer saved", PROGRAM(0x0e, 16, 0x80 | RBP, 2),
			{PMF_RULE_SP, PMF_RULE_FP_AT_CFA, 0, 0, 2, -2, -1}},
		{"by frame pointer", PROGRAM(0x0c, RBP, 16, 0x80 | RBP, 2),
			{PMF_RULE_FP, PMF_RULE_FP_AT_CFA, 0, 0, 2, -2, -1}},
		{"frame pointer lost", PROGRAM(0x07, RBP),
			{PMF_RULE_SP, PMF_RULE_FP_LOST, 0, 0, 1, 0, -1}},
		{"aligned stack: *(rbp - 8), rbp at rbp",
			PROGRAM(0x0f, 3, 0x76, 0x78, 0x06, 0x10, RBP, 2, 0x76, 0),
			{PMF_RULE_DEREF_FP, PMF_RULE_FP_AT_FP, 0, 0, -1, 0, -1}},
		{"assembly: *(rsp + 152) + 8", PROGRAM(0x0f, 6, 0x77, 0x98, 1, 0x06, 0x23, 8),
			{PMF_RULE_DEREF_SP, 0, 0, 1, 19, 0, -1}},
		{"the outermost frame", PROGRAM(0x07, RIP), {PMF_RULE_ROOT, 0, 0, 0, 0, 0, 0}},
		{"CFA in another register", PROGRAM(0x0c, R10, 0),
			{PMF_RULE_ROW, 0, 0, 0, 0, 0, 0}},
		{"too large a frame", PROGRAM(0x0e, 0x80, 0x80, 0x80, 1),
			{PMF_RULE_ROW, 0, 0, 0, 0, 0, 0}},
		{"half a word", PROGRAM(0x0e, 12), {PMF_RULE_ROW, 0, 0, 0, 0, 0, 0}},
		{"return address in a register", PROGRAM(0x09, RIP, 5),
			{PMF_RULE_ROW, 0, 0, 0, 0, 0, 0}},
		{"the caller's sp is not the CFA", PROGRAM(0x14, RSP, 2),
			{PMF_RULE_ROW, 0, 0, 0, 0, 0, 0}},
		{"an expression of another kind", PROGRAM(0x0f, 4, 0x77, 8, 0x08, 16),
			{PMF_RULE_ROW, 0, 0, 0, 0, 0, 0}},
		{"frame pointer by an expression on sp", PROGRAM(0x10, RBP, 2, 0x77, 8),
			{PMF_RULE_ROW, 0, 0, 0, 0, 0, 0}},
		{"an unknown instruction", PROGRAM(0x3f), {PMF_RULE_ROW, 0, 0, 0, 0, 0, 0}},
	};
	/* 8 and, behind the push that ends at byte 11 of each stub, 8 more. */
	static const struct program plt =
		PROGRAM(0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22);

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		struct pmf_rule got = rule_of(&cases[i].program, FN_BYTES + 0x10);

		if (memcmp(&got, &cases[i].rule, sizeof got) != 0)
			fail_msg("%s: kind %d fp_how %d add %d offsets %d %d %d", cases[i].what,
				got.kind, got.fp_how, got.add, got.cfa, got.fp, got.ra);
	}
	for (uint64_t at = FN_BYTES + 0x20; at < FN_BYTES + 0x30; at++) {
		assert_int_equal(rule_of(&plt, at).kind, PMF_RULE_SP);
		assert_int_equal(rule_of(&plt, at).cfa, at < FN_BYTES + 0x2b ? 1 : 2);
	}
	assert_int_equal(rule_of(&plt, 2 * FN_BYTES).kind, PMF_RULE_NONE);
}

/* ---- A rule steps as its row does ---- */

static uint64_t random_u64(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15u;
	return pmf_hash_u64(*seed);
}

/* A moment in @rva of @map's code: registers and memory that lead to the dump, mostly. */
static void random_walk(struct pmf_walk *w, struct pmf_unwind_in *in, const struct pmf_map *map,
	uint64_t rva, uint64_t *words, uint64_t *seed)
{
	const struct pmf_arch *arch = in->arch;

	for (size_t i = 0; i < MAX_DUMP_WORDS; i++)
		words[i] = STACK + (random_u64(seed) & 0x3f8);
	in->stack = (const uint8_t *)words;
	in->stack_bytes = MAX_DUMP_WORDS * 8;
	in->regs[arch->reg_sp] = STACK;
	memset(w, 0, sizeof *w);
	w->in = in;
	w->map = map;
	w->dwarf_sp = arch->perf_to_dwarf[arch->reg_sp];
	w->dwarf_fp = arch->perf_to_dwarf[arch->reg_fp];
	for (size_t i = 0; i < PMF_CFI_COLUMNS; i++)
		w->regs[i] = STACK + (random_u64(seed) & 0x3f8);
	w->regs[w->dwarf_sp] = STACK + (random_u64(seed) & 0x78);
	w->known = (UINT64_C(1) << PMF_CFI_COLUMNS) - 1;
	w->pc = rva + map->bias;
	w->exact = true;
}

static void same_step(const struct pmf_map *map, const struct pmf_arch *arch, uint64_t rva,
	uint64_t *seed, size_t *nr_by_rule)
{
	struct pmf_rule rule = pmf_rule_at(pmf_cfi_of(map->image, arch), arch, rva);
	struct pmf_unwind_in in = {.arch = arch};
	uint64_t words[MAX_DUMP_WORDS], fp_bit;
	struct pmf_walk by_rule, by_row;
	enum pmf_step a, b;

	random_walk(&by_rule, &in, map, rva, words, seed);
	by_row = by_rule;
	fp_bit = UINT64_C(1) << by_row.dwarf_fp;
	if (rule.kind == PMF_RULE_ROOT)
		a = PMF_STEP_ROOT;
	else if (!pmf_step_rule(&by_rule, &rule, &a))
		return;
	b = pmf_unwind_cfi.step(NULL, &by_row);
	++*nr_by_rule;
	assert_int_equal(a, b == PMF_STEP_OK && by_row.pc == 0 ? PMF_STEP_ROOT : b);
	if (a != PMF_STEP_OK)
		return;
	assert_int_equal(by_rule.pc, by_row.pc);
	assert_int_equal(by_rule.regs[by_rule.dwarf_sp], by_row.regs[by_row.dwarf_sp]);
	assert_int_equal(by_rule.known & fp_bit, by_row.known & fp_bit);
	if (by_row.known & fp_bit)
		assert_int_equal(by_rule.regs[by_rule.dwarf_fp], by_row.regs[by_row.dwarf_fp]);
	assert_int_equal(by_rule.known & ~by_row.known, 0);
	if (arch->reg_ra != PMF_REG_NONE)
		assert_int_equal(by_rule.regs[arch->dwarf_ra], by_row.regs[arch->dwarf_ra]);
}

/* What the images of this process may not have. */
static void a_made_rule_steps_as_its_row_does(void **state)
{
	enum { X29 = 29, X30 = 30, S0 = 8, RA = 1 };
	static const struct {
		const char *arch;
		struct program program;
	} cases[] = {
		{"x86_64", PROGRAM(0x0e, 16, 0x80 | RBP, 2)},
		{"x86_64", PROGRAM(0x0c, RBP, 16, 0x80 | RBP, 2)},
		{"x86_64", PROGRAM(0x07, RBP)},
		{"x86_64", PROGRAM(0x0e, 32, 0x80 | RBP, 6)},
		{"x86_64", PROGRAM(0x0f, 3, 0x76, 0x78, 0x06, 0x10, RBP, 2, 0x76, 0)},
		{"x86_64", PROGRAM(0x0f, 6, 0x77, 0x18, 0x06, 0x23, 16, 0x96)},
		{"x86_64", PROGRAM(0x0f, 5, 0x77, 0x18, 0x06, 0x23, 16)},
		{"x86_64", PROGRAM(0x07, RIP)},
		{"aarch64", PROGRAM(0)},
		{"aarch64", PROGRAM(0x0e, 16)},
		{"aarch64", PROGRAM(0x0e, 32, 0x80 | X29, 4, 0x80 | X30, 3)},
		{"aarch64", PROGRAM(0x0c, X29, 32, 0x80 | X29, 4, 0x80 | X30, 3)},
		{"riscv64", PROGRAM(0)},
		{"riscv64", PROGRAM(0x0e, 32, 0x80 | RA, 1, 0x80 | S0, 2)},
		{"riscv64", PROGRAM(0x0c, S0, 0, 0x80 | RA, 1, 0x80 | S0, 2)},
	};
	uint64_t seed = 9;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		const struct pmf_arch *arch = pmf_arch_by_name(cases[i].arch);
		struct pmf_cfi *cfi = make_cfi(arch, &cases[i].program, 1);
		struct pmf_image im = {.kind = PMF_IMAGE_FILE, .fd = -1, .unwind_priv = cfi};
		struct pmf_map map = {
			.start = CODE, .end = CODE + 0x1000, .image = &im, .bias = CODE};
		size_t nr = 0;

		for (unsigned k = 0; k < 500; k++)
			same_step(&map, arch, FN_BYTES + 0x10, &seed, &nr);
		/* The sixth is no rule, for an operation that does nothing. */
		assert_true(i == 5 ? nr == 0 : nr > 50);
		free_cfi(cfi);
	}
}

static void a_rule_steps_as_its_row_does(void **state)
{
	const struct pmf_arch *arch = pmf_arch_native();
	struct pmf_process_table table;
	struct pmf_process *self;
	uint64_t seed = 5;
	size_t nr = 0;

	(void)state;
	pmf_process_table_init(&table, true);
	self = pmf_process_get(&table, getpid());
	assert_int_equal(pmf_process_reread(&table, self, NULL), 0);
	for (size_t i = 0; i < self->nr_maps; i++) {
		const struct pmf_map *m = &self->maps[i];

		if (!pmf_cfi_of(m->image, arch))
			continue;
		for (unsigned k = 0; k < 3000; k++)
			same_step(m, arch,
				m->start - m->bias + random_u64(&seed) % (m->end - m->start), &seed,
				&nr);
	}
	assert_true(nr > 3000);
	pmf_process_table_release(&table);
}

/* ---- Walks through made programs ---- */

static struct pmf_process_table table;
static struct pmf_process *proc;
static struct pmf_unwind_frame frames[MAX_FRAMES];

static void map_code(const char *path, struct pmf_cfi *cfi)
{
	struct pmf_record rec = {.type = PERF_RECORD_MMAP2,
		.misc = PERF_RECORD_MISC_USER,
		.pid = 7,
		.tid = 7,
		.mmap = {.start = CODE, .len = 0x10000, .prot = 4, .path = path}};
	struct pmf_image *im;

	pmf_process_apply(&table, &rec);
	proc = pmf_process_find(&table, 7);
	im = pmf_process_map(proc, CODE)->image;
	if (im->unwind_priv) {
		free_cfi(cfi);
		return;
	}
	im->unwind_priv = cfi;
	im->unwind_free = free_cfi;
}

static int setup(void **state)
{
	(void)state;
	pmf_process_table_init(&table, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pmf_process_table_release(&table);
	return 0;
}

static struct pmf_unwind_out walk(
	struct pmf_unwinder *u, uint64_t pc, uint64_t rbx, const uint64_t *words, size_t n)
{
	const struct pmf_arch *arch = x86();
	struct pmf_unwind_in in = {.arch = arch,
		.stack = (const uint8_t *)words,
		.stack_bytes = n * 8,
		.stack_asked = 8192,
		.process = proc};
	struct pmf_unwind_out out = {.frames = frames, .cap = MAX_FRAMES};

	in.regs[arch->reg_ip] = pc;
	in.regs[arch->reg_sp] = STACK;
	in.regs[1] = rbx; /* perf's number */
	pmf_unwind(u, &in, &out);
	return out;
}

static struct pmf_unwinder *by_cfi(void)
{
	return pmf_unwinder_new(PMF_UNWIND_DWARF, PMF_UNWIND_BY_CFI, x86());
}

/* Function 0 is a leaf, 1 has a frame of 16 bytes, 2 is the root. */
static const struct program small[] = {PROGRAM(0), PROGRAM(0x0e, 16), PROGRAM(0x07, RIP)};
/* The same, but for the frame of 1: 32 bytes. */
static const struct program large[] = {PROGRAM(0), PROGRAM(0x0e, 32), PROGRAM(0x07, RIP)};
static const uint64_t small_stack[] = {CODE + 0x220, 1, CODE + 0x320, 2, 3, 4};
static const uint64_t large_stack[] = {CODE + 0x220, 1, 2, 3, CODE + 0x320, 4};

static void check_walk(struct pmf_unwinder *u, const uint64_t *stack, enum pmf_unwind_end end)
{
	struct pmf_unwind_out out = walk(u, CODE + 0x120, 0, stack, 6);

	assert_int_equal(out.end, end);
	if (end != PMF_END_ROOT)
		return;
	assert_int_equal(out.n, 3);
	assert_int_equal(frames[0].va, CODE + 0x120);
	assert_int_equal(frames[1].va, CODE + 0x21f);
	assert_int_equal(frames[2].va, CODE + 0x31f);
}

static void rules_are_forgotten_when_maps_change(void **state)
{
	const struct pmf_record exec = {
		.type = PERF_RECORD_COMM, .pid = 7, .tid = 7, .comm = {.comm = "x", .exec = true}};
	struct pmf_unwinder *u = by_cfi();

	(void)state;
	map_code("/made/small", make_cfi(x86(), small, 3));
	check_walk(u, small_stack, PMF_END_ROOT);
	check_walk(u, large_stack, PMF_END_BROKEN);
	/* Mapped over, as dlclose(3) and dlopen(3) at the same address look. */
	map_code("/made/large", make_cfi(x86(), large, 3));
	check_walk(u, large_stack, PMF_END_ROOT);
	check_walk(u, small_stack, PMF_END_BROKEN);
	/* Another program in the same process. */
	pmf_process_apply(&table, &exec);
	check_walk(u, large_stack, PMF_END_BROKEN);
	map_code("/made/small", make_cfi(x86(), small, 3));
	check_walk(u, small_stack, PMF_END_ROOT);
	pmf_unwinder_free(u);
}

static void what_is_remembered_stays_until_maps_change(void **state)
{
	struct pmf_unwinder *u = by_cfi();

	(void)state;
	map_code("/made/small", make_cfi(x86(), small, 3));
	check_walk(u, small_stack, PMF_END_ROOT);
	assert_int_equal(frames[1].user, 0);
	pmf_unwind_remember(proc, &frames[1], 42);
	check_walk(u, small_stack, PMF_END_ROOT);
	assert_int_equal(frames[0].user, 0);
	assert_int_equal(frames[1].user, 42);
	map_code("/made/small", make_cfi(x86(), small, 3));
	/* Too late: it was said of the maps before. */
	pmf_unwind_remember(proc, &frames[1], 43);
	check_walk(u, small_stack, PMF_END_ROOT);
	assert_int_equal(frames[1].user, 0);
	pmf_unwinder_free(u);
}

static void a_register_that_rules_lose_is_found_by_rows(void **state)
{
	/* 0 is a leaf, 1 keeps its caller's rbx, whose frame is found by it alone: as in ld.so's
	 * _dl_runtime_resolve. */
	static const struct program programs[] = {PROGRAM(0), PROGRAM(0x0e, 16, 0x80 | RBX, 2),
		PROGRAM(0x0c, RBX, 24), PROGRAM(0x07, RIP)};
	static const uint64_t stack[] = {
		CODE + 0x220, STACK + 32, CODE + 0x320, 0, 0, 0, CODE + 0x420};
	struct pmf_unwinder *u = by_cfi();
	struct pmf_unwind_out out;

	(void)state;
	map_code("/made/rbx", make_cfi(x86(), programs, 4));
	for (int i = 0; i < 2; i++) {
		out = walk(u, CODE + 0x120, 1, stack, PMF_ARRAY_SIZE(stack));
		assert_int_equal(out.end, PMF_END_ROOT);
		assert_int_equal(out.n, 4);
		assert_int_equal(frames[3].va, CODE + 0x41f);
	}
	pmf_unwinder_free(u);
}

static void what_cannot_be_run_here_is_left_to_libunwind(void **state)
{
	/* More states are remembered than the evaluator has room for, and taken back. */
	static const struct program programs[] = {
		PROGRAM(0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0b, 0x0b,
			0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0e, 24),
		PROGRAM(0x07, RIP)};
	static const uint64_t stack[] = {1, 2, CODE + 0x220, 3};
	const struct pmf_arch *arch = x86();
	struct pmf_unwinder *u = by_cfi();
	struct pmf_unwind_out out;

	(void)state;
	map_code("/made/deep", make_cfi(x86(), programs, 2));
	out = walk(u, CODE + 0x120, 0, stack, PMF_ARRAY_SIZE(stack));
	assert_int_equal(out.end, PMF_END_BROKEN);
	pmf_unwinder_free(u);
	if (!pmf_unwinder_can(PMF_UNWIND_BY_LIBUNWIND, arch))
		skip_because("libunwind is for x86-64 only");
	u = pmf_unwinder_new(PMF_UNWIND_DWARF, PMF_UNWIND_BY_AUTO, arch);
	for (int i = 0; i < 2; i++) {
		out = walk(u, CODE + 0x120, 0, stack, PMF_ARRAY_SIZE(stack));
		assert_int_equal(out.end, PMF_END_ROOT);
		assert_int_equal(out.n, 2);
		assert_int_equal(frames[1].va, CODE + 0x21f);
	}
	pmf_unwinder_free(u);
}

/* ---- The caches ---- */

static void caches_grow_with_what_is_put_in_and_no_further(void **state)
{
	const struct pmf_arch *arch = x86();
	struct pmf_pc_cache c = {0};
	size_t places = 0, nr_found = 0, nr_growths = 0;

	(void)state;
	map_code("/made/small", make_cfi(x86(), small, 3));
	pmf_pc_cache_sync(&c, proc);
	/* A process of one sample costs little. */
	assert_in_range((c.mask + 1) * sizeof *c.entries, 1, 16384);
	for (uint64_t i = 0; i < 200000; i++) {
		const struct pmf_pc *e = pmf_pc_cache_fill(
			&c, proc, &proc->maps[0], arch, CODE + i % 0x300 + (i << 20));

		assert_int_equal(e->va, CODE + i % 0x300 + (i << 20));
		assert_ptr_equal(e, pmf_pc_cache_find(&c, e->va));
		nr_growths += places && c.mask + 1 != places;
		places = c.mask + 1;
	}
	assert_in_range(nr_growths, 2, 10);
	assert_in_range(places * sizeof *c.entries, 65536 * sizeof *c.entries, 4 << 20);
	for (uint64_t va = CODE; va < CODE + 0x300; va++)
		pmf_pc_cache_fill(&c, proc, &proc->maps[0], arch, va);
	for (uint64_t va = CODE; va < CODE + 0x300; va++)
		nr_found += pmf_pc_cache_find(&c, va) != NULL;
	assert_in_range(nr_found, 0x2f0, 0x300);
	/* All of it goes at once. */
	proc->maps_generation++;
	pmf_pc_cache_sync(&c, proc);
	for (uint64_t va = CODE; va < CODE + 0x300; va++)
		assert_null(pmf_pc_cache_find(&c, va));
	pmf_pc_cache_release(&c);
}

static void a_stamp_that_wraps_revives_nothing(void **state)
{
	const struct pmf_arch *arch = x86();
	struct pmf_pc_cache c = {0};

	(void)state;
	map_code("/made/small", make_cfi(x86(), small, 3));
	pmf_pc_cache_sync(&c, proc);
	pmf_pc_cache_fill(&c, proc, &proc->maps[0], arch, CODE + 1);
	assert_int_equal(c.stamp, 1);
	c.stamp = UINT32_MAX;
	proc->maps_generation++;
	pmf_pc_cache_sync(&c, proc);
	assert_null(pmf_pc_cache_find(&c, CODE + 1));
	assert_null(pmf_pc_cache_find(&c, 0));
	pmf_pc_cache_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_become_rules),
		cmocka_unit_test(a_rule_steps_as_its_row_does),
		cmocka_unit_test(a_made_rule_steps_as_its_row_does),
		cmocka_unit_test_setup_teardown(
			rules_are_forgotten_when_maps_change, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_remembered_stays_until_maps_change, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_register_that_rules_lose_is_found_by_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_cannot_be_run_here_is_left_to_libunwind, setup, teardown),
		cmocka_unit_test_setup_teardown(
			caches_grow_with_what_is_put_in_and_no_further, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_stamp_that_wraps_revives_nothing, setup, teardown),
	};

	return cmocka_run_group_tests_name("rule", tests, NULL, NULL);
}
