/* Damaged and lying ELF files: any answer will do, but a crash, a hang or a heap of memory. */
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
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static uint8_t *original;
static size_t original_bytes;
static char *victim;

static void load(const char *name)
{
	char *path = pmf_asprintf("%s/tests/fixtures/elf/bin/%s", getenv("builddir"), name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	original_bytes = (size_t)st.st_size;
	original = pmf_malloc(original_bytes);
	assert_int_equal(read(fd, original, original_bytes), original_bytes);
	close(fd);
	free(path);
}

static int setup(void **state)
{
	load(*state);
	victim = pmf_asprintf("%s/test_hostile.%d.tmp", getenv("builddir"), (int)getpid());
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(victim);
	free(victim);
	free(original);
	return 0;
}

/* On a slow machine, PMF_SPARSE=N: only every Nth of the files. */
static bool is_left_out(void)
{
	static unsigned long nr;
	const char *sparse = getenv("PMF_SPARSE");

	return sparse && nr++ % PMF_MAX(strtoul(sparse, NULL, 10), 1UL);
}

/* Ask everything about a file of these bytes. */
static void ask(const uint8_t *bytes, size_t len)
{
	static const char *const sections[] = {
		".text", ".eh_frame", ".debug_info", ".gnu_debugdata"};
	struct pmf_process_table table;
	struct pmf_symbolizer *s;
	struct pmf_symbol sym;
	struct pmf_image *im;
	uint8_t got[32];
	size_t size;
	int fd;

	if (is_left_out())
		return;
	s = pmf_symbolizer_new();
	fd = open(victim, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
	pmf_process_table_init(&table, false);
	pmf_symbolizer_set_debug_root(s, "/nonexistent");
	im = pmf_image_get(&table, victim, 0, 0, NULL, 0, -1, 0, 0);
	for (uint64_t rva = 0; rva < 0x4000; rva += 0x55) {
		if (pmf_symbol_find(s, im, rva, &sym)) {
			assert_non_null(sym.name);
			assert_true(rva - sym.start < sym.size);
		}
		pmf_image_read(im, rva, got, sizeof got);
	}
	pmf_symbol_find(s, im, UINT64_MAX, &sym);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(sections); i++) {
		const uint8_t *p = pmf_image_section(im, sections[i], &size, NULL);

		/* Every byte that was promised is there (a sanitizer watches). */
		for (size_t k = 0; p && k < size; k += 64)
			got[k % sizeof got] ^= p[k];
	}
	pmf_symbolizer_free(s);
	pmf_process_table_release(&table);
}

/* Put each of these into every word of the headers. */
static const uint64_t lies[] = {0, 1, 3, 0x7fffffff, 0xffffffff, UINT64_C(1) << 40,
	UINT64_C(1) << 63, UINT64_MAX - 7, UINT64_MAX};

static void lie_in(size_t from, size_t to, size_t word)
{
	uint8_t *bytes = pmf_malloc(original_bytes);

	assert_true(to <= original_bytes && to > from);
	for (size_t at = from; at + word <= to; at += word)
		for (size_t i = 0; i < PMF_ARRAY_SIZE(lies); i++) {
			memcpy(bytes, original, original_bytes);
			memcpy(bytes + at, &lies[i], word);
			ask(bytes, original_bytes);
		}
	free(bytes);
}

static void test_lying_headers(void **state)
{
	const Elf64_Ehdr *eh = (const void *)original;

	(void)state;
	lie_in(EI_NIDENT, sizeof *eh, 2);
	lie_in(eh->e_phoff, eh->e_phoff + (size_t)eh->e_phnum * eh->e_phentsize, 8);
	/* Offsets and sizes of every section; then types, flags and links of 4 bytes. */
	lie_in(eh->e_shoff, eh->e_shoff + (size_t)eh->e_shnum * eh->e_shentsize, 8);
}

/* A fixed sequence (Numerical Recipes' constants), so that a failure can be repeated. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void test_flipped_bytes(void **state)
{
	uint8_t *bytes = pmf_malloc(original_bytes);
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 1500; round++) {
		unsigned flips = 1 + next_random(&seed) % 64;

		memcpy(bytes, original, original_bytes);
		for (unsigned i = 0; i < flips; i++)
			bytes[EI_NIDENT + next_random(&seed) % (original_bytes - EI_NIDENT)] =
				(uint8_t)next_random(&seed);
		ask(bytes, original_bytes);
	}
	free(bytes);
}

static void test_truncated(void **state)
{
	(void)state;
	for (size_t len = 0; len < original_bytes; len += len < 256 ? 1 : 101)
		ask(original, len);
}

/* A symbol table of a terabyte in a file of a terabyte, all hole. */
static void test_sparse(void **state)
{
	const off_t huge = (off_t)1 << 40;
	uint8_t *bytes = pmf_malloc(original_bytes);
	const Elf64_Ehdr *eh = (const void *)original;
	struct rusage before, after;
	struct pmf_process_table table;
	struct pmf_symbolizer *s = pmf_symbolizer_new();
	struct pmf_image *im;
	struct pmf_symbol sym;
	size_t size;
	int fd = open(victim, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	memcpy(bytes, original, original_bytes);
	for (size_t i = 1; i < eh->e_shnum; i++) {
		Elf64_Shdr sh;
		uint8_t *at = bytes + eh->e_shoff + i * sizeof sh;

		memcpy(&sh, at, sizeof sh);
		if (i != eh->e_shstrndx && sh.sh_type != SHT_STRTAB)
			sh.sh_size = (uint64_t)huge - sh.sh_offset;
		memcpy(at, &sh, sizeof sh);
	}
	assert_int_equal(write(fd, bytes, original_bytes), original_bytes);
	free(bytes);
	if (ftruncate(fd, huge) != 0) {
		close(fd);
		pmf_symbolizer_free(s);
		skip_because("this file system has no such large files");
	}
	close(fd);
	getrusage(RUSAGE_SELF, &before);
	pmf_process_table_init(&table, false);
	im = pmf_image_get(&table, victim, 0, 0, NULL, 0, -1, 0, 0);
	pmf_symbol_find(s, im, 0x1000, &sym);
	assert_null(pmf_image_section(im, ".text", &size, NULL));
	pmf_symbolizer_free(s);
	pmf_process_table_release(&table);
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
}

int main(void)
{
#define HOSTILE(test, file) \
	{ \
#test " " file, test, setup, teardown, (void *)file \
	}
#if defined(__x86_64__)
	static char plt[] = "ibt"; /* stubs in two sections */
#else
	static char plt[] = "lazy";
#endif
	const struct CMUnitTest tests[] = {
		HOSTILE(test_lying_headers, "packed.so"),
		HOSTILE(test_lying_headers, "mini-good.so"),
		HOSTILE(test_flipped_bytes, "packed.so"),
		HOSTILE(test_flipped_bytes, "mini-good.so"),
		{"test_flipped_bytes PLT", test_flipped_bytes, setup, teardown, plt},
		HOSTILE(test_truncated, "mini-good.so"),
		HOSTILE(test_sparse, "shared.so"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
