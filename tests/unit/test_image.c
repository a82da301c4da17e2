#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "pmuflame/arch.h"
#include "pmuflame/mem.h"
#include "pmuflame/process.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the hook of the table saw. */
struct closing {
	size_t calls, n;
	bool all_open;
};

/* Files made by tests/fixtures/make_elf_fixtures.sh, and a copy that a test may spoil. */
static struct pmf_process_table table;
static char *copy;

static char *fixture(const char *name)
{
	return pmf_asprintf("%s/tests/fixtures/elf/bin/%s", getenv("builddir"), name);
}

static void copy_fixture(const char *name)
{
	char *from = fixture(name), *cmd = pmf_asprintf("cp '%s' '%s'", from, copy);

	assert_int_equal(system(cmd), 0);
	free(cmd);
	free(from);
}

static int setup(void **state)
{
	(void)state;
	pmf_process_table_init(&table, true);
	copy = pmf_asprintf("%s/test_image.%d.tmp", getenv("builddir"), (int)getpid());
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pmf_process_table_release(&table);
	unlink(copy);
	free(copy);
	return 0;
}

static struct pmf_image *get(const char *path, uint64_t ino)
{
	return pmf_image_get(&table, path, 0, ino, NULL, 0, getpid(), 0, 0);
}

static struct pmf_image *get_fixture(const char *name)
{
	char *path = fixture(name);
	struct pmf_image *im = get(path, 0);

	free(path);
	return im;
}

static uint64_t ino_of(const char *path)
{
	int fd = open(
		path, O_RDONLY | O_CLOEXEC); /* valgrind shows its own /proc/self/exe to stat */
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	return st.st_ino;
}

static void test_open(void **state)
{
	struct pmf_image *im = get_fixture("based.so");
	uint64_t lowest = UINT64_MAX;

	(void)state;
	assert_string_equal(im->why, "");
	assert_string_equal(im->name, "based.so");
	assert_non_null(im->elf);
	assert_int_equal(im->kind, PMF_IMAGE_FILE);
	assert_int_equal(im->elf_machine, pmf_arch_native()->elf_machine);
	assert_false(im->elf32);
	assert_int_equal(im->build_id_len, 20);
	assert_true(im->nr_segments >= 2);
	for (size_t i = 0; i < im->nr_segments; i++)
		lowest = PMF_MIN(lowest, im->segments[i].va);
	assert_int_equal(lowest, 0x400000);
	assert_ptr_equal(pmf_image_by_id(&table, im->id), im);
	assert_null(pmf_image_by_id(&table, 1000));
}

static void test_identity(void **state)
{
	struct pmf_image *im, *other;
	uint8_t id[20] = {1, 2, 3};

	(void)state;
	copy_fixture("shared.so");
	im = get(copy, ino_of(copy));
	assert_non_null(im->elf);
	assert_ptr_equal(get(copy, ino_of(copy)), im);
	/* The record told the inode before and the build id now: still the same file. */
	assert_ptr_equal(
		pmf_image_get(&table, copy, 0, 0, im->build_id, im->build_id_len, -1, 0, 0), im);
	/* And the other way round. */
	other = pmf_image_get(&table, copy, 0, 0, id, sizeof id, -1, 0, 0);
	assert_ptr_not_equal(other, im);
	assert_null(other->elf);
	assert_int_equal(table.images_replaced, 1);
	assert_ptr_equal(pmf_image_get(&table, copy, 0, 0, id, sizeof id, -1, 0, 0), other);
	assert_int_equal(table.images_replaced, 1);
	/* Two files of two devices may share an inode number. */
	other = pmf_image_get(&table, copy, 5, im->ino, NULL, 0, -1, 0, 0);
	assert_ptr_equal(other, im);
	assert_ptr_equal(pmf_image_get(&table, "/nowhere", 5, 9, NULL, 0, -1, 0, 0),
		pmf_image_get(&table, "/nowhere", 5, 9, NULL, 0, -1, 0, 0));
	assert_ptr_not_equal(pmf_image_get(&table, "/nowhere", 5, 9, NULL, 0, -1, 0, 0),
		pmf_image_get(&table, "/nowhere", 6, 9, NULL, 0, -1, 0, 0));
}

static void test_replaced(void **state)
{
	struct pmf_image *im;

	(void)state;
	copy_fixture("shared.so");
	im = get(copy, ino_of(copy) + 1);
	assert_null(im->elf);
	assert_int_equal(im->fd, -1);
	assert_non_null(strstr(im->why, "another file"));
	assert_int_equal(table.images_replaced, 1);
	assert_int_equal(table.images_unreadable, 0);
	im = get("/nonexistent/lib.so", 0);
	assert_non_null(strstr(im->why, "No such file"));
	assert_int_equal(table.images_unreadable, 1);
}

/* A file that was deleted while mapped is found through the mapping, or through /proc/PID/exe. */
static void test_deleted(void **state)
{
	char *gone = pmf_asprintf("%s (deleted)", copy);
	uint64_t ino;
	struct pmf_image *im;
	void *p;
	int fd;

	(void)state;
	im = get("/nonexistent/program", ino_of("/proc/self/exe"));
	assert_string_equal(im->why, "");
	assert_non_null(im->elf);

	copy_fixture("shared.so");
	ino = ino_of(copy);
	fd = open(copy, O_RDONLY | O_CLOEXEC);
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	close(fd);
	unlink(copy);
	im = pmf_image_get(
		&table, gone, 0, ino, NULL, 0, getpid(), (uintptr_t)p, (uintptr_t)p + 4096);
	free(gone);
	assert_null(strchr(im->name, ' '));
	munmap(p, 4096);
	if (im->why[0] && geteuid() != 0)
		skip_because("/proc/PID/map_files needs a privilege");
	assert_string_equal(im->why, "");
	assert_non_null(im->elf);
	assert_int_equal(im->ino, ino);
	assert_int_equal(table.images_unreadable, 0);
}

static void test_not_elf(void **state)
{
	struct pmf_image *im;

	(void)state;
	copy_fixture("../../elf.stamp");
	im = get(copy, ino_of(copy));
	assert_null(im->elf);
	assert_int_equal(im->kind, PMF_IMAGE_FILE);
	assert_non_null(strstr(im->why, "not an ELF"));
	assert_int_equal(table.images_unreadable + table.images_replaced, 0);
	/* A FIFO must not block, nor a folder be read. */
	unlink(copy);
	assert_int_equal(mkfifo(copy, 0600), 0);
	im = get(copy, 0);
	assert_null(im->elf);
	im = get("/", 0);
	assert_null(im->elf);
	assert_string_equal(im->name, "");
}

static void test_kinds(void **state)
{
	static const struct {
		const char *path;
		enum pmf_image_kind kind;
	} cases[] = {
		{"//anon", PMF_IMAGE_ANON},
		{"", PMF_IMAGE_ANON},
		{"[heap]", PMF_IMAGE_ANON},
		{"[stack]", PMF_IMAGE_ANON},
		{"[uprobes]", PMF_IMAGE_ANON},
		{"[vsyscall]", PMF_IMAGE_ANON},
		{"/memfd:jit (deleted)", PMF_IMAGE_ANON},
		{"/dev/zero (deleted)", PMF_IMAGE_ANON},
		{"/dev/tty", PMF_IMAGE_ANON},
		{"anon_inode:[perf_event]", PMF_IMAGE_ANON},
		{"/SYSV00000000 (deleted)", PMF_IMAGE_ANON},
		{"[kernel.kallsyms]_text", PMF_IMAGE_KERNEL},
		{"/bin/sh", PMF_IMAGE_FILE},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		struct pmf_image *im = get(cases[i].path, 0);

		assert_int_equal(im->kind, cases[i].kind);
		if (im->kind != PMF_IMAGE_FILE) {
			assert_null(im->elf);
			assert_int_equal(im->fd, -1);
		}
	}
	assert_int_equal(table.images_unreadable, 0);
	assert_int_equal(pmf_image_kernel(&table)->kind, PMF_IMAGE_KERNEL);
	assert_ptr_equal(pmf_image_kernel(&table), pmf_image_kernel(&table));
}

/* The 64-bit vDSO is nowhere below 4 GiB: one there belongs to a 32-bit process, and is read from it. */
static void test_narrow_vdso(void **state)
{
	static char nothing[4096] __attribute__((aligned(4096)));
	const uint8_t *own = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
	uint64_t at = (uintptr_t)nothing;
	struct pmf_image *im;
	char *low;

	(void)state;
	im = pmf_image_get(&table, "[vdso]", 0, 0, NULL, 0, getpid(), 0x1000, 0x3000);
	assert_string_equal(im->path, "[vdso32]");
	assert_int_equal(im->kind, PMF_IMAGE_VDSO);
	assert_null(im->elf);
	assert_non_null(strstr(im->why, "gone before"));
	/* What is no ELF file stays unread, and the next mapping is asked. */
	im = pmf_image_get(&table, "[vdso32]", 0, 0, NULL, 0, getpid(), at, at + sizeof nothing);
	assert_null(im->elf);
#ifdef MAP_32BIT
	low = own ? mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0)
		  : MAP_FAILED;
	if (low == MAP_FAILED)
		skip_because("this process has no vDSO to copy");
	memcpy(low, own, 4096);
	at = (uintptr_t)low;
	assert_ptr_equal(
		pmf_image_get(&table, "[vdso]", 0, 0, NULL, 0, getpid(), at, at + 4096), im);
	assert_non_null(im->elf);
	assert_int_equal(im->file_bytes, 4096);
	assert_string_equal(im->why, "");
	munmap(low, 4096);
#else
	(void)own;
	(void)low;
#endif
}

static void test_vdso(void **state)
{
	const uint8_t *own = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
	struct pmf_image *im = get("[vdso]", 0), *foreign;
	struct pmf_process_table recorded;
	uint8_t bytes[64];

	(void)state;
	assert_int_equal(im->kind, PMF_IMAGE_VDSO);
	if (!own) {
		assert_non_null(strstr(im->why, "no vDSO"));
		skip_because("this process has no vDSO (valgrind)");
	}
	assert_string_equal(im->why, "");
	assert_true(pmf_image_read(im, im->segments[0].va, bytes, sizeof bytes));
	assert_memory_equal(bytes, own, sizeof bytes);
	assert_false(pmf_image_read(im, im->segments[0].va + im->segments[0].filesz - 1, bytes, 2));

	/* A recording's vDSO is taken for this one only if the build id says so. */
	pmf_process_table_init(&recorded, false);
	foreign = pmf_image_get(&recorded, "[vdso]", 0, 0, NULL, 0, 1, 0, 0);
	assert_null(foreign->elf);
	assert_non_null(strstr(foreign->why, "another kernel"));
	pmf_process_table_release(&recorded);
	pmf_process_table_init(&recorded, false);
	foreign = pmf_image_get(&recorded, "[vdso]", 0, 0, im->build_id, im->build_id_len, 1, 0, 0);
	assert_int_equal(foreign->elf != NULL, im->build_id_len > 0);
	pmf_process_table_release(&recorded);
}

/* What is read at an address is what the file holds at that segment's offset. */
static void test_read(void **state)
{
	struct pmf_image *im = get_fixture("based.so");
	uint8_t got[256], want[256];

	(void)state;
	for (size_t i = 0; i < im->nr_segments; i++) {
		const struct pmf_segment *s = &im->segments[i];
		size_t len = PMF_MIN(s->filesz, sizeof got);

		assert_true(pmf_image_read(im, s->va, got, len));
		assert_int_equal(pread(im->fd, want, len, (off_t)s->off), len);
		assert_memory_equal(got, want, len);
		assert_true(pmf_image_read(im, s->va + s->filesz - 1, got, 1));
		assert_false(pmf_image_read(im, s->va + s->filesz - 1, got, 2));
		assert_false(pmf_image_read(im, s->va, got, SIZE_MAX));
	}
	assert_false(pmf_image_read(im, 0, got, 1));
	assert_false(pmf_image_read(im, UINT64_MAX, got, 2));
}

/* A file that shrinks after it was opened gives no bytes and no signal. */
static void test_truncated(void **state)
{
	struct pmf_image *im;
	uint8_t got[16];
	size_t size;

	(void)state;
	copy_fixture("shared.so");
	im = get(copy, 0);
	assert_non_null(im->elf);
	assert_int_equal(truncate(copy, 64), 0);
	assert_false(pmf_image_read(im, im->segments[0].va + 64, got, sizeof got));
	assert_null(pmf_image_section(im, ".text", &size, NULL));
}

static void test_section(void **state)
{
	struct pmf_image *plain = get_fixture("shared.so"), *packed = get_fixture("packed.so");
	static const char *const names[] = {".text", ".eh_frame", ".debug_info", ".debug_line"};
	uint64_t addr, packed_addr;
	size_t size, packed_size;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(names); i++) {
		const uint8_t *p = pmf_image_section(plain, names[i], &size, &addr);
		const uint8_t *q = pmf_image_section(packed, names[i], &packed_size, &packed_addr);

		assert_non_null(p);
		assert_non_null(q);
		assert_int_equal(size, packed_size);
		assert_int_equal(addr, packed_addr);
		assert_int_equal(addr != 0, names[i][1] != 'd');
		assert_memory_equal(p, q, size);
		assert_ptr_equal(pmf_image_section(packed, names[i], &packed_size, NULL), q);
	}
	assert_null(pmf_image_section(plain, ".bss", &size, NULL));
	assert_null(pmf_image_section(plain, ".nothing", &size, NULL));
	assert_null(pmf_image_section(get("//anon", 0), ".text", &size, NULL));
}

/* Holes take no room on a disk, but would in memory. */
static void test_section_of_holes(void **state)
{
	struct pmf_elf_section *s;
	struct pmf_image *im;
	size_t size;

	(void)state;
	copy_fixture("shared.so");
	assert_int_equal(truncate(copy, 64 << 20), 0);
	im = get(copy, 0);
	assert_non_null(im->elf);
	assert_non_null(pmf_image_section(im, ".text", &size, NULL));
	assert_false(im->elf->left_out);
	s = pmf_elf_find(im->elf, ".eh_frame");
	s->size = 48 << 20;
	assert_null(pmf_image_section(im, ".eh_frame", &size, NULL));
	assert_true(im->elf->left_out);
}

static void test_sections_of_all(void **state)
{
	enum { FILES = PMF_ELF_ALL_HELD_MAX / PMF_ELF_HELD_MAX };
	struct pmf_image *im = get_fixture("shared.so");
	struct pmf_elf *e[FILES];

	(void)state;
	for (size_t i = 0; i < FILES; i++) {
		e[i] = pmf_elf_open(im->fd, NULL, im->file_bytes);
		assert_non_null(e[i]);
		assert_true(pmf_elf_hold(e[i], PMF_ELF_HELD_MAX));
		assert_false(pmf_elf_hold(e[i], 1));
	}
	assert_false(pmf_elf_hold(im->elf, 1));
	for (size_t i = 0; i < FILES; i++)
		pmf_elf_close(e[i]);
	assert_true(pmf_elf_hold(im->elf, 1));
}

static void test_no_descriptors(void **state)
{
	struct rlimit old, none;
	struct pmf_image *im;
	char *path = fixture("shared.so");

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	im = get(path, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	free(path);
	assert_null(im->elf);
	assert_non_null(strstr(im->why, "ulimit -n"));
	assert_int_equal(table.images_unreadable, 1);
}

static void see_closing(void *ctx, struct pmf_image *const *images, size_t n)
{
	struct closing *c = ctx;

	c->calls++;
	c->n += n;
	for (size_t i = 0; i < n; i++)
		c->all_open &= images[i]->elf && images[i]->fd >= 0;
}

/* The same file under as many names as one likes. */
static struct pmf_image *get_alias(unsigned number)
{
	char *dots = pmf_zalloc(2 * number + 1), *path, *name = strrchr(copy, '/');
	struct pmf_image *im;

	for (unsigned i = 0; i < 2 * number; i++)
		dots[i] = i % 2 ? '/' : '.';
	path = pmf_asprintf("%.*s/%s%s", (int)(name - copy), copy, dots, name + 1);
	im = get(path, 0);
	free(path);
	free(dots);
	return im;
}

static void test_trim(void **state)
{
	enum { N = PMF_IMAGES_OPEN + 1, MAPPED = 3, AGAIN = 5, IDLE = 7 };
	struct closing seen = {.all_open = true};
	struct pmf_record rec = {
		.type = PERF_RECORD_MMAP2, .pid = (uint32_t)getpid(), .mmap.prot = PROT_EXEC};
	struct pmf_image *im;
	size_t open_now = 0;

	(void)state;
	table.images_closing = see_closing;
	table.closing_ctx = &seen;
	copy_fixture("pie");
	for (unsigned i = 0; i < N - 1; i++)
		get_alias(i);
	pmf_process_table_reap(&table);
	assert_int_equal(seen.calls, 0);
	get_alias(N - 1);
	rec.mmap.start = 0x10000;
	rec.mmap.len = 0x1000;
	rec.mmap.path = get_alias(MAPPED)->path;
	pmf_process_apply(&table, &rec);
	get_alias(AGAIN);
	/* Old use does not count, being mapped does. */
	for (unsigned i = 100; i < N; i++)
		get_alias(i);
	get_alias(AGAIN);
	pmf_process_table_reap(&table);
	assert_int_equal(seen.calls, 1);
	assert_int_equal(seen.n, N - PMF_IMAGES_OPEN / 2);
	assert_true(seen.all_open);
	for (size_t i = 0; i < table.nr_images; i++)
		open_now += table.images[i]->elf != NULL;
	assert_int_equal(open_now, PMF_IMAGES_OPEN / 2);
	assert_non_null(pmf_image_by_id(&table, MAPPED)->elf);
	assert_non_null(pmf_image_by_id(&table, AGAIN)->elf);
	assert_non_null(pmf_image_by_id(&table, N - 1)->elf);
	im = pmf_image_by_id(&table, IDLE);
	assert_true(im->closed && im->fd < 0 && !im->nr_segments);
	/* It opens again, as itself. */
	assert_ptr_equal(get_alias(IDLE), im);
	assert_true(!im->closed && im->elf && im->fd >= 0 && im->nr_segments);
	/* Not if another file came in its place. */
	im = pmf_image_by_id(&table, IDLE + 1);
	assert_true(im->closed && im->build_id_len);
	copy_fixture("static");
	get_alias(IDLE + 1);
	assert_null(im->elf);
	assert_non_null(strstr(im->why, "another file"));
}

static void count_gone(void *ctx, const struct pmf_image *im)
{
	assert_non_null(im->elf);
	++*(size_t *)ctx;
}

static void test_forget(void **state)
{
	enum { N = 10, MAPPED = 3, AGAIN = 5, GONE = 7 };
	struct pmf_record rec = {
		.type = PERF_RECORD_MMAP2, .pid = (uint32_t)getpid(), .mmap.prot = PROT_EXEC};
	const struct pmf_image *kernel = pmf_image_kernel(&table), *mapped, *again;
	struct pmf_process *p;
	size_t gone = 0;
	uint32_t *ids;
	char *path;

	(void)state;
	copy_fixture("pie");
	for (unsigned i = 0; i < N; i++)
		get_alias(i);
	mapped = get_alias(MAPPED);
	again = get_alias(AGAIN);
	path = pmf_strdup(again->path);
	rec.mmap.start = 0x10000;
	rec.mmap.len = 0x1000;
	rec.mmap.path = mapped->path;
	pmf_process_apply(&table, &rec);
	p = pmf_process_find(&table, getpid());
	p->container = pmf_strtab_get(&table.strings, pmf_strtab_addz(&table.strings, "web-1"));
	/* All were asked for just now. */
	ids = pmf_process_table_forget_images(&table, count_gone, &gone);
	assert_int_equal(gone, 0);
	for (uint32_t i = 0; i <= N; i++)
		assert_int_equal(ids[i], i);
	free(ids);
	get_alias(AGAIN);
	ids = pmf_process_table_forget_images(&table, count_gone, &gone);
	assert_int_equal(gone, N - 2);
	assert_int_equal(table.nr_images, 3);
	assert_int_equal(ids[0], kernel->id);
	assert_int_equal(ids[1 + MAPPED], mapped->id);
	assert_int_equal(ids[1 + AGAIN], again->id);
	assert_int_equal(ids[1 + GONE], UINT32_MAX);
	assert_string_equal(again->path, path);
	assert_string_equal(p->container, "web-1");
	/* They are found as before, and what has gone comes anew. */
	for (uint32_t i = 0; i < table.nr_images; i++)
		assert_int_equal(table.images[i]->id, i);
	assert_ptr_equal(get_alias(AGAIN), again);
	assert_ptr_equal(pmf_image_kernel(&table), kernel);
	assert_ptr_equal(
		pmf_process_map(pmf_process_find(&table, getpid()), 0x10000)->image, mapped);
	assert_int_equal(get_alias(GONE)->id, 3);
	assert_non_null(get_alias(GONE)->elf);
	free(ids);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deleted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_elf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_narrow_vdso, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vdso, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_section, setup, teardown),
		cmocka_unit_test_setup_teardown(test_section_of_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sections_of_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trim, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_descriptors, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
