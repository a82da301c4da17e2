#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "pmuflame/mem.h"
#include "pmuflame/process.h"
#include "pmuflame/symbol.h"
#include "symbol_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Files made by tests/fixtures/make_elf_fixtures.sh; readelf and objdump say what is right. */
static struct pmf_process_table table;
static struct pmf_symbolizer *syms;
static char *root;

static char *fixture(const char *name)
{
	return pmf_asprintf("%s/tests/fixtures/elf/bin/%s", getenv("builddir"), name);
}

static int setup(void **state)
{
	(void)state;
	pmf_process_table_init(&table, true);
	syms = pmf_symbolizer_new();
	root = pmf_asprintf("%s/tests/fixtures/elf/debug", getenv("builddir"));
	pmf_symbolizer_set_debug_root(syms, root);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pmf_symbolizer_free(syms);
	pmf_process_table_release(&table);
	free(root);
	return 0;
}

static struct pmf_image *get_fixture(const char *name)
{
	char *path = fixture(name);
	struct pmf_image *im = pmf_image_get(&table, path, 0, 0, NULL, 0, -1, 0, 0);

	free(path);
	return im;
}

/* Run "@tool PATH"; the caller closes it with pclose. NULL if the fixture could not be built. */
static FILE *ask(const char *tool, const char *name)
{
	char *path = fixture(name), *cmd = pmf_asprintf("LC_ALL=C %s '%s' 2>/dev/null", tool, path);
	FILE *f = access(path, R_OK) == 0 ? popen(cmd, "r") : NULL;

	free(cmd);
	free(path);
	return f;
}

struct truth {
	uint64_t start, size;
	char name[256];
};

/* Functions with a size in .symtab, as readelf prints them. */
static struct truth *read_truth(const char *name, size_t *n)
{
	FILE *f = ask("readelf -sW", name);
	struct truth *all = NULL, t;
	char line[1024], size[32], type[16], bind[16], vis[16], ndx[16];
	bool in_symtab = false;
	size_t cap = 0;

	*n = 0;
	while (f && fgets(line, sizeof line, f)) {
		/* lld does not mark the file as one with GNU's symbol types. */
		char *os = strstr(line, "<OS specific>: 10");
		unsigned long long value;

		if (os)
			memcpy(os, "IFUNC            ", strlen("<OS specific>: 10"));
		if (strncmp(line, "Symbol table", 12) == 0)
			in_symtab = strstr(line, ".symtab") != NULL;
		if (!in_symtab || sscanf(line, " %*u: %llx %31s %15s %15s %15s %15s %255s", &value,
					  size, type, bind, vis, ndx, t.name) != 7)
			continue;
		t.start = value;
		t.size = strtoull(size, NULL, 0);
		t.name[1 + strcspn(t.name + 1, "@")] = '\0';
		if (t.size && ndx[0] >= '0' && ndx[0] <= '9' &&
			(strcmp(type, "FUNC") == 0 || strcmp(type, "IFUNC") == 0))
			PMF_PUSH(all, *n, cap) = t;
	}
	if (f)
		pclose(f);
	return all;
}

/* @addr belongs to the function that starts last among those that hold it, under any of its
 * names. */
static void check_address(
	struct pmf_image *im, const struct truth *all, size_t n, uint64_t addr, size_t *wrong)
{
	struct pmf_symbol got = {0};
	uint64_t start = 0;
	bool named = false;

	for (size_t i = 0; i < n; i++)
		if (addr - all[i].start < all[i].size && all[i].start >= start)
			start = all[i].start;
	if (pmf_symbol_find(syms, im, addr, &got))
		for (size_t i = 0; i < n; i++)
			named |= all[i].start == start && strcmp(all[i].name, got.name) == 0;
	if (!named || got.start != start || addr - got.start >= got.size) {
		print_error("%s: %llx is in the function at %llx, not in %s at %llx\n", im->name,
			(unsigned long long)addr, (unsigned long long)start,
			got.name ? got.name : "(none)", (unsigned long long)got.start);
		++*wrong;
	}
}

static void check_all(const char *name)
{
	struct pmf_image *im = get_fixture(name);
	size_t n, wrong = 0;
	struct truth *all = read_truth(name, &n);

	assert_true(n >= 5);
	for (size_t i = 0; i < n; i++) {
		check_address(im, all, n, all[i].start, &wrong);
		check_address(im, all, n, all[i].start + all[i].size / 2, &wrong);
		check_address(im, all, n, all[i].start + all[i].size - 1, &wrong);
	}
	free(all);
	assert_int_equal(wrong, 0);
}

static bool built(const char *name)
{
	char *path = fixture(name);
	bool yes = access(path, R_OK) == 0;

	free(path);
	if (!yes)
		print_message("# %s: this toolchain does not link it\n", name);
	return yes;
}

static void test_every_symbol(void **state)
{
	static const char *const needed[] = {"pie", "nopie", "shared.so", "based.so", "packed.so"};
	static const char *const more[] = {
		"static", "static-pie", "lazy", "ibt", "lld", "lld-lazy", "gold", "m32.so"};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(needed); i++)
		check_all(needed[i]);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(more); i++)
		if (built(more[i]))
			check_all(more[i]);
}

/* The address of @sym in the fixture, and its size. */
static uint64_t address_of(const char *name, const char *sym, uint64_t *size)
{
	FILE *f = ask("nm -S", name);
	char line[1024], a[32], b[32], c[32], d[256];
	uint64_t found = 0;

	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		int n = sscanf(line, "%31s %31s %31s %255s", a, b, c, d);

		if (strcmp(n == 4 ? d : c, sym) != 0)
			continue;
		found = strtoull(a, NULL, 16);
		*size = n == 4 ? strtoull(b, NULL, 16) : 0;
	}
	pclose(f);
	assert_int_not_equal(found, 0);
	return found;
}

static void expect(struct pmf_image *im, uint64_t addr, const char *name)
{
	struct pmf_symbol got = {.name = "(none)"};

	pmf_symbol_find(syms, im, addr, &got);
	assert_string_equal(got.name, name);
}

static void test_choice(void **state)
{
	struct pmf_image *im = get_fixture("pie");
	struct pmf_symbol got;
	uint64_t size, at = address_of("pie", "_sample_under", &size);

	(void)state;
	expect(im, at, "sample_alias");
	/* A label is not a function; the function around it goes on behind an inner one. */
	at = address_of("pie", "sample_outer", &size);
	expect(im, at, "sample_outer");
	expect(im, at + 1, "sample_outer");
	expect(im, at + 2, "sample_inner");
	expect(im, at + 3, "sample_inner");
	expect(im, at + 4, "sample_outer");
	expect(im, at + size - 1, "sample_outer");
	/* Padding belongs to nobody, what has no size reaches to the next. */
	assert_false(pmf_symbol_find(syms, im, at + size, &got));
	at = address_of("pie", "sample_asm", &size);
	assert_int_equal(size, 0);
	assert_false(pmf_symbol_find(syms, im, at - 1, &got));
	expect(im, at, "sample_asm");
	expect(im, at + 2, "sample_asm");
	expect(im, at + 3, "sample_after");
	assert_true(pmf_symbol_find(syms, im, at, &got));
	assert_int_equal(got.start, at);
	assert_int_equal(got.size, 3);
	assert_null(got.module);
	assert_false(pmf_symbol_find(syms, im, 0, &got));
	assert_false(pmf_symbol_find(syms, im, UINT64_MAX, &got));
}

/* The code of PLT stubs as objdump shows it, which finds them by its own knowledge of each linker. */
static FILE *ask_objdump(const char *name)
{
	const char *objdump = getenv("OBJDUMP");
	char *tool = pmf_asprintf(
		"%s -d -j .plt -j .plt.sec -j .plt.got", objdump && *objdump ? objdump : "objdump");
	FILE *f = ask(tool, name);

	free(tool);
	return f;
}

static bool objdump_knows(const char *name)
{
	FILE *f = ask_objdump(name);
	bool section = false;
	char line[1024];

	while (f && fgets(line, sizeof line, f))
		section |= strstr(line, "section .plt") != NULL;
	if (f)
		pclose(f);
	return section;
}

static size_t check_plt(const char *name)
{
	FILE *f = ask_objdump(name);
	struct pmf_image *im = get_fixture(name);
	unsigned long long addr;
	char line[1024], label[256];
	size_t n = 0;

	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "%llx <%255[^>]>:", &addr, label) != 2 ||
			strcmp(label + strlen(label) - PMF_MIN(strlen(label), (size_t)4), "@plt") !=
				0)
			continue;
		/* An IFUNC of this file: objdump has no name for it. */
		if (strncmp(label, "*ABS*", 5) == 0)
			strcpy(label, "sample_ifunc@plt");
		label[strcspn(label, "@")] = '\0';
		strcat(label, "@plt");
		expect(im, addr, label);
		expect(im, addr + 7, label);
		n++;
	}
	if (f)
		pclose(f);
	return n;
}

static void test_plt(void **state)
{
	static const char *const needed[] = {"pie", "nopie", "shared.so", "based.so", "lazy"};
	static const char *const more[] = {"ibt", "ibt-now", "bti", "lld", "lld-lazy", "gold"};
	uint64_t addr;
	size_t size;

	(void)state;
	if (!objdump_knows("pie"))
		skip_because("no objdump that can read this machine's code (set OBJDUMP)");
	for (size_t i = 0; i < PMF_ARRAY_SIZE(needed); i++)
		assert_true(check_plt(needed[i]) >= 3);
	/* Before the first of them. */
	assert_non_null(pmf_image_section(get_fixture("lazy"), ".plt", &size, &addr));
	expect(get_fixture("lazy"), addr, ".plt");
	expect(get_fixture("lazy"), addr + 15, ".plt");
	for (size_t i = 0; i < PMF_ARRAY_SIZE(more); i++)
		if (built(more[i]))
			assert_true(check_plt(more[i]) >= 3);
}

/* A static program's stubs lead to IFUNCs only, which its own symbols name. */
static void test_plt_static(void **state)
{
	struct pmf_symbol got;
	struct pmf_image *im;
	uint64_t addr;
	size_t size;

	(void)state;
	if (!built("static"))
		skip_because("no static C library to link with");
	im = get_fixture("static");
	assert_non_null(pmf_image_section(im, ".plt", &size, &addr));
	for (size_t at = 0; at + 8 <= size; at += 8) {
		assert_true(pmf_symbol_find(syms, im, addr + at, &got));
		assert_non_null(strstr(got.name, "@plt"));
		assert_true(got.name[0] != '@');
	}
}

/* Debug files for a whole system lie by the path of the file that they are for: were the fixtures
 * made where they are now? */
static bool made_here(void)
{
	char *bin = fixture(""), *real = realpath(bin, NULL);
	char *debug = pmf_asprintf("%s%s/link-global.debug", root, real ? real : "");
	bool here = access(debug, R_OK) == 0;

	free(debug);
	free(real);
	free(bin);
	return here;
}

/* What a stripped file lacks comes from elsewhere, if that belongs to it. */
static void test_elsewhere(void **state)
{
	static const struct {
		const char *name;
		bool found;
	} cases[] = {
		{"stripped.so", true}, /* by its build id */
		{"link-beside.so", true},
		{"link-sub.so", true},
		{"link-global.so", true},
		{"link-lies.so", false},
		{"mini-good.so", true},
		{"mini-damaged.so", false},
		{"mini-bomb.so", false},
	};
	uint64_t size, hidden = address_of("shared.so", "sample_static", &size);
	uint64_t exported = address_of("shared.so", "sample_global", &size);
	struct rusage before, after;

	(void)state;
	getrusage(RUSAGE_SELF, &before);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		struct pmf_image *im = get_fixture(cases[i].name);
		struct pmf_symbol got = {.name = ""};

		if (strcmp(cases[i].name, "link-global.so") == 0 && !made_here()) {
			print_message("# link-global.so: was made in another folder\n");
			continue;
		}
		assert_non_null(im->elf);
		/* Only the first may be found by build id. */
		pmf_symbolizer_set_debug_root(syms, i < 4 ? root : "/nonexistent");
		if (pmf_symbol_find(syms, im, hidden, &got) != cases[i].found)
			fail_msg("%s: found '%s'", cases[i].name, got.name);
		assert_string_equal(got.name, cases[i].found ? "sample_static" : "");
		expect(im, exported, "sample_global");
	}
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024); /* the bomb holds 256 MiB */
}

static void test_debug_file_of_another_build(void **state)
{
	struct pmf_image *im = get_fixture("stripped.so");
	uint64_t size, hidden = address_of("shared.so", "sample_static", &size);
	struct pmf_symbol got;

	(void)state;
	im->build_id[19] ^= 1;
	assert_false(pmf_symbol_find(syms, im, hidden, &got));
}

static void test_vdso(void **state)
{
	struct pmf_image *im = pmf_image_get(&table, "[vdso]", 0, 0, NULL, 0, getpid(), 0, 0);
	struct pmf_symbol got;
	uint64_t addr;
	bool found = false;
	size_t size;

	(void)state;
	if (!im->elf)
		skip_because("this process has no vDSO (valgrind)");
	assert_non_null(pmf_image_section(im, ".text", &size, &addr));
	for (size_t at = 0; at < size; at++)
		if (pmf_symbol_find(syms, im, addr + at, &got))
			found |= strstr(got.name, "clock_gettime") != NULL;
	assert_true(found);
}

static void test_no_file(void **state)
{
	struct pmf_symbol got;

	(void)state;
	assert_false(pmf_symbol_find(
		syms, pmf_image_get(&table, "//anon", 0, 0, NULL, 0, 1, 0, 0), 0x1000, &got));
	assert_false(pmf_symbol_find(syms,
		pmf_image_get(&table, "/nonexistent", 0, 0, NULL, 0, -1, 0, 0), 0x1000, &got));
}

/* Every 97th function of the kernel has its name. */
static void check_kernel(struct pmf_symbolizer *symbols)
{
	struct pmf_image *kernel = pmf_image_kernel(&table);
	struct pmf_err err = PMF_ERR_INIT;
	char line[1024], name[512], type;
	unsigned long long addr;
	struct pmf_symbol got;
	size_t asked = 0, found = 0, n = 0;
	FILE *f;

	if (pmf_symbol_kernel_status(symbols, &err) < 0) {
		print_message("# %s\n", err.text);
		assert_int_equal(err.status, PMF_EPERM);
		assert_non_null(strstr(err.text, "kernel.kptr_restrict=0"));
		assert_false(pmf_symbol_find(symbols, kernel, 0xffffffff81000000, &got));
		skip_because("/proc/kallsyms shows no addresses to this user");
	}
	f = fopen("/proc/kallsyms", "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, "%llx %c %511s", &addr, &type, name) != 3 || !strchr("tT", type) ||
			n++ % 97)
			continue;
		asked++;
		found += pmf_symbol_find(symbols, kernel, addr, &got) && got.start == addr;
	}
	fclose(f);
	assert_true(asked > 10);
	assert_int_equal(found, asked);
}

static void test_kernel(void **state)
{
	struct pmf_symbolizer *ahead = pmf_symbolizer_new();

	(void)state;
	pmf_symbolizer_read_ahead(ahead);
	check_kernel(syms);
	check_kernel(ahead);
	pmf_symbolizer_free(ahead);
}

/* Starts that differ in their low, middle and high bytes, each three times with other ranks. */
static void test_sort(void **state)
{
	enum { N = 3000 };
	struct pmf_symtab t;
	uint64_t x = 1;

	(void)state;
	pmf_symtab_init(&t);
	for (unsigned i = 0; i < N; i++) {
		x = x * UINT64_C(6364136223846793005) + 1;
		PMF_PUSH(t.syms, t.n, t.cap) =
			(struct pmf_sym){.start = i % 3 ? t.syms[i - 1].start : x >> (x >> 59) / 2,
				.rank = (uint8_t)(x >> 40)};
	}
	pmf_symtab_sort(&t);
	assert_int_equal(t.n, N);
	for (unsigned i = 1; i < N; i++)
		assert_true(t.syms[i - 1].start < t.syms[i].start ||
			    (t.syms[i - 1].start == t.syms[i].start &&
				    t.syms[i - 1].rank <= t.syms[i].rank));
	for (unsigned i = 0; i < N; i += 3)
		assert_true(t.syms[i].start == t.syms[i + 2].start);
	pmf_symtab_release(&t);
}

static void read_text(struct pmf_symtab *t, const char *text, int status)
{
	char *path = pmf_asprintf("%s/test_symbol.%d.tmp", getenv("builddir"), (int)getpid());
	FILE *f = fopen(path, "w");
	struct pmf_err err = PMF_ERR_INIT;

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	pmf_symtab_init(t);
	assert_int_equal(pmf_kallsyms_read(t, path, NULL, NULL, &err), status);
	unlink(path);
	free(path);
}

static void expect_kernel(struct pmf_symtab *t, uint64_t addr, const char *name, const char *module)
{
	const struct pmf_sym *s = pmf_symtab_find(t, addr);

	if (!name) {
		assert_null(s);
		return;
	}
	assert_non_null(s);
	assert_string_equal(pmf_symtab_name(t, s), name);
	assert_string_equal(pmf_strtab_get(&t->modules, s->module), module);
}

static void test_kallsyms(void **state)
{
	struct pmf_symtab t;

	(void)state;
	read_text(&t,
		"0000000000000000 A fixed_percpu_data\n"
		"ffffffffc0002000 t second\t[ext4]\n"
		"ffffffffc0001000 t first\t[ext4]\n"
		"ffffffff81000000 T _stext\n"
		"ffffffff81000000 T startup\n"
		"ffffffff81000000 t local_name\n"
		"ffffffff81000040 W weak_one\n"
		"ffffffff81000080 D some_data\n"
		"ffffffff81000090 t last\n"
		"ffffffff81000060 t __do_sys_getpid\n"
		"ffffffff81000060 T __ia32_sys_getpid\n"
		"ffffffff81000060 T __x64_sys_getpid\n"
		"ffffffff81000070 t __do_compat_sys_sigreturn\n"
		"ffffffff81000070 T __ia32_compat_sys_sigreturn\n"
		"ffffffffc0100000 t bpf_prog_1234\t[bpf]\n"
		"nonsense\n"
		"ffffffff81000050\n"
		"ffffffff81000050 T\n",
		0);
	expect_kernel(&t, 0xffffffff81000000, "startup", "");
	expect_kernel(&t, 0xffffffff8100003f, "startup", "");
	expect_kernel(&t, 0xffffffff8100005f, "weak_one", "");
	expect_kernel(&t, 0xffffffff81000060, "__x64_sys_getpid", "");
	expect_kernel(&t, 0xffffffff8100007f, "__ia32_compat_sys_sigreturn", "");
	expect_kernel(&t, 0xffffffff81000080, NULL, NULL);
	expect_kernel(&t, 0xffffffff81001fff, "last", "");
	expect_kernel(&t, 0xffffffff81002000, NULL, NULL);
	expect_kernel(&t, 0xffffffffc0001fff, "first", "[ext4]");
	expect_kernel(&t, 0xffffffffc0002fff, "second", "[ext4]");
	expect_kernel(&t, 0xffffffffc0003000, NULL, NULL);
	expect_kernel(&t, 0xffffffffc0100000, "bpf_prog_1234", "[bpf]");
	expect_kernel(&t, 0x1000, NULL, NULL);
	pmf_symtab_release(&t);

	read_text(&t, "0000000000000000 T _stext\n0000000000000000 T startup\n", PMF_EPERM);
	pmf_symtab_release(&t);
	read_text(&t, "", PMF_EUNSUP);
	pmf_symtab_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_symbol, setup, teardown),
		cmocka_unit_test_setup_teardown(test_choice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plt_static, setup, teardown),
		cmocka_unit_test_setup_teardown(test_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_debug_file_of_another_build, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vdso, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kernel, setup, teardown),
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_kallsyms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
