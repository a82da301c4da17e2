/* Images read by another process: the same answers, and what a bad one costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "pmuflame/lines.h"
#include "pmuflame/mem.h"
#include "pmuflame/reader.h"
#include "reader_priv.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct pmf_sandbox *box;
static struct pmf_process_table table;
static char *root, *scratch;

static int setup(void **state)
{
	const char *preloaded = getenv("LD_PRELOAD");
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	box = preloaded && strstr(preloaded, "valgrind")
		      ? NULL
		      : pmf_sandbox_start(pmf_reader_serve, &err);
	pmf_process_table_init(&table, true);
	root = pmf_asprintf("%s/tests/fixtures/elf/debug", getenv("builddir"));
	scratch = pmf_asprintf("%s/test_reader.%d", getenv("builddir"), (int)getpid());
	return 0;
}

static int teardown(void **state)
{
	char *command = pmf_asprintf("rm -rf '%s'", scratch);

	(void)state;
	pmf_process_table_release(&table);
	pmf_sandbox_stop(box);
	assert_int_equal(system(command), 0);
	free(command);
	free(scratch);
	free(root);
	return 0;
}

static struct pmf_image *image_at(const char *path)
{
	return pmf_image_get(&table, path, 0, 0, NULL, 0, -1, 0, 0);
}

static struct pmf_image *fixture(const char *name)
{
	char *path = pmf_asprintf("%s/tests/fixtures/elf/bin/%s", getenv("builddir"), name);
	struct pmf_image *im = image_at(path);

	free(path);
	assert_non_null(im->elf);
	return im;
}

static struct pmf_symbolizer *symbolizer(bool sandboxed)
{
	struct pmf_symbolizer *s = pmf_symbolizer_new();

	pmf_symbolizer_set_debug_root(s, root);
	if (sandboxed)
		pmf_symbolizer_use_sandbox(s, box);
	return s;
}

/* Every fourth address of @im's code; how many have a function. */
static size_t compare(
	struct pmf_symbolizer *here, struct pmf_symbolizer *there, const struct pmf_image *im)
{
	enum { MAX = 20000 };
	uint64_t *rvas = pmf_calloc(MAX, sizeof *rvas);
	struct pmf_symbol a, b;
	size_t n = 0, found = 0;

	for (size_t s = 0; s < im->nr_segments; s++)
		if (im->segments[s].flags & PF_X)
			for (uint64_t at = 0; at < im->segments[s].filesz && n < MAX; at += 4)
				rvas[n++] = im->segments[s].va + at;
	pmf_symbolizer_ask(there, im, rvas, n);
	for (size_t i = 0; i < n; i++) {
		bool is = pmf_symbol_find(here, im, rvas[i], &a);

		assert_int_equal(pmf_symbol_find(there, im, rvas[i], &b), is);
		if (!is)
			continue;
		found++;
		assert_string_equal(a.name, b.name);
		assert_int_equal(a.start, b.start);
		assert_int_equal(a.size, b.size);
		assert_null(b.module);
	}
	free(rvas);
	return found;
}

static void test_same_functions(void **state)
{
	static const char *const names[] = {"shared.so", "stripped.so", "link-beside.so",
		"link-sub.so", "link-global.so", "link-lies.so", "mini-good.so", "mini-bomb.so",
		"static", "pie"};
	struct pmf_symbolizer *here, *there;
	size_t found = 0;

	(void)state;
	NEED_SANDBOX(box);
	here = symbolizer(false);
	there = symbolizer(true);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(names); i++)
		found += compare(here, there, fixture(names[i]));
	assert_true(found > 1000);
	assert_true(
		compare(here, there, pmf_image_get(&table, "[vdso]", 0, 0, NULL, 0, -1, 0, 0)) > 0);
	pmf_symbolizer_free(here);
	pmf_symbolizer_free(there);
}

/* Answers go with the image, and come again. */
static void test_forgotten_and_asked_again(void **state)
{
	struct pmf_symbolizer *here, *there;
	struct pmf_image *im;

	(void)state;
	NEED_SANDBOX(box);
	here = symbolizer(false);
	there = symbolizer(true);
	im = fixture("shared.so");
	for (int i = 0; i < 3; i++) {
		assert_true(compare(here, there, im) > 0);
		pmf_symbolizer_forget(there, im);
	}
	pmf_symbolizer_free(here);
	pmf_symbolizer_free(there);
}

/* A name is added to the image that only a debug file of it has, as a server's file is. */
static void test_added_file(void **state)
{
	struct pmf_symbolizer *there;
	struct pmf_symbol sym, want;
	struct pmf_image *full, *bare;
	uint64_t rva = 0;

	(void)state;
	NEED_SANDBOX(box);
	full = fixture("shared.so");
	bare = fixture("link-lies.so");
	there = symbolizer(true);
	for (size_t s = 0; s < full->nr_segments && !rva; s++)
		for (uint64_t at = 0;
			full->segments[s].flags & PF_X && !rva && at < full->segments[s].filesz;
			at += 4)
			if (pmf_symbol_find(there, full, full->segments[s].va + at, &want) &&
				!pmf_symbol_find(there, bare, full->segments[s].va + at, &sym))
				rva = full->segments[s].va + at;
	assert_true(rva != 0);
	pmf_symbolizer_add_file(there, bare, full->fd);
	assert_true(pmf_symbol_find(there, bare, rva, &sym));
	assert_true(pmf_symbol_find(there, full, rva, &want));
	assert_string_equal(sym.name, want.name);
	pmf_symbolizer_free(there);
}

/* A compressed section is unpacked there. */
static void test_same_sections(void **state)
{
	static const char *const names[] = {".debug_info", ".debug_line", ".eh_frame"};
	struct pmf_process_table boxed;
	struct pmf_symbolizer *there;
	struct pmf_image *here, *im;

	(void)state;
	NEED_SANDBOX(box);
	there = symbolizer(true);
	pmf_process_table_init(&boxed, true);
	boxed.unpacker = (struct pmf_image_unpacker){pmf_symbolizer_unpack, there};
	here = fixture("packed.so");
	im = pmf_image_get(&boxed, here->path, 0, 0, NULL, 0, -1, 0, 0);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(names); i++) {
		size_t a_bytes, b_bytes;
		const uint8_t *a = pmf_image_section(here, names[i], &a_bytes, NULL);
		const uint8_t *b = pmf_image_section(im, names[i], &b_bytes, NULL);

		assert_non_null(a);
		assert_non_null(b);
		assert_int_equal(a_bytes, b_bytes);
		assert_memory_equal(a, b, a_bytes);
		assert_ptr_equal(pmf_image_section(im, names[i], &b_bytes, NULL), b);
	}
	pmf_symbolizer_free(there);
	pmf_process_table_release(&boxed);
}

/* ---- What goes wrong ---- */

/* link-beside.so with a debug file of 7 GiB, all holes but its start, whose CRC takes longer than reading an
 * image of that size should. */
static struct pmf_image *make_bomb(void)
{
	char *from = pmf_asprintf("%s/tests/fixtures/elf/bin/link-beside", getenv("builddir"));
	char *command = pmf_asprintf("mkdir '%s' && cp '%s.so' '%s.debug' '%s' && "
				     "truncate -s 7G '%s/link-beside.debug'",
		scratch, from, from, scratch, scratch);
	char *path = pmf_asprintf("%s/link-beside.so", scratch);
	struct pmf_image *im;

	assert_int_equal(system(command), 0);
	im = image_at(path);
	assert_non_null(im->elf);
	free(command);
	free(path);
	free(from);
	return im;
}

static uint64_t first_code(const struct pmf_image *im)
{
	for (size_t s = 0; s < im->nr_segments; s++)
		if (im->segments[s].flags & PF_X)
			return im->segments[s].va;
	return 0;
}

/* Other images cost nothing, before and after. */
static void assert_others_are_named(struct pmf_symbolizer *there)
{
	struct pmf_symbolizer *here = symbolizer(false);

	assert_true(compare(here, there, fixture("shared.so")) > 0);
	assert_true(compare(here, there, fixture("mini-good.so")) > 0);
	pmf_symbolizer_free(here);
}

static void test_one_that_spins(void **state)
{
	struct pmf_symbolizer *there;
	struct pmf_image *bomb;
	struct pmf_symbol sym;

	(void)state;
	NEED_SANDBOX(box);
	there = symbolizer(true);
	bomb = make_bomb();
	assert_others_are_named(there);
	assert_false(pmf_symbol_find(there, bomb, first_code(bomb), &sym));
	assert_non_null(strstr(pmf_symbolizer_why(there, bomb), "more time or memory"));
	/* It is not tried again. */
	assert_false(pmf_symbol_find(there, bomb, first_code(bomb) + 4, &sym));
	assert_others_are_named(there);
	assert_string_equal(pmf_symbolizer_why(there, fixture("shared.so")), "");
	pmf_symbolizer_free(there);
}

/* The number that stands @skip fields behind the name in /proc/@pid/stat (proc(5)), -1 if that is no reader. */
static long stat_field(int pid, int skip)
{
	char path[64], line[1024] = "", *p;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof line, f))
		line[0] = '\0';
	if (f)
		fclose(f);
	p = strrchr(line, ')');
	if (!p)
		return -1;
	for (p += 2; skip > 0 && *p; p++)
		skip -= *p == ' ';
	return strtol(p, NULL, 10);
}

enum { PPID = 1, UTIME = 11, STIME = 12 };

/* A process with the comm @name whose parent is @parent; 0: there is none. */
static int child_named(int parent, const char *name)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int found = 0;

	while (d && !found && (e = readdir(d))) {
		char *path = pmf_asprintf("/proc/%s/comm", e->d_name), comm[32];
		int pid = atoi(e->d_name);

		if (pid > 0 && stat_field(pid, PPID) == parent &&
			pmf_file_read_line(path, comm, sizeof comm, NULL) == 0 &&
			strcmp(comm, name) == 0)
			found = pid;
		free(path);
	}
	if (d)
		closedir(d);
	return found;
}

/* Once a reader of @test's works for a fifth of a second: what a wild pointer does to it. */
static void crash_reader(int test)
{
	const struct timespec ms = {.tv_nsec = 5000000};

	for (int i = 0; i < 4000; i++) {
		int keeper = child_named(test, "pmuflame-keeper");
		int reader = keeper ? child_named(keeper, "pmuflame-reader") : 0;

		if (reader && stat_field(reader, UTIME) + stat_field(reader, STIME) >=
				      sysconf(_SC_CLK_TCK) / 5) {
			kill(reader, SIGSEGV);
			return;
		}
		nanosleep(&ms, NULL);
	}
}

static void test_one_that_crashes(void **state)
{
	struct pmf_symbolizer *there;
	struct pmf_image *bomb;
	struct pmf_symbol sym;
	int test = getpid();
	pid_t pid;

	(void)state;
	NEED_SANDBOX(box);
	there = symbolizer(true);
	bomb = make_bomb();
	assert_others_are_named(there);
	pid = fork();
	if (pid == 0) {
		crash_reader(test);
		_exit(0);
	}
	assert_false(pmf_symbol_find(there, bomb, first_code(bomb), &sym));
	assert_non_null(strstr(pmf_symbolizer_why(there, bomb), "crashed (Segmentation fault)"));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_others_are_named(there);
	pmf_symbolizer_free(there);
}

/* ---- Lines ---- */

static struct pmf_lines *lines(bool sandboxed)
{
	const struct pmf_image_search nowhere = {0};

	return pmf_lines_new(&nowhere, true, sandboxed ? box : NULL);
}

extern const char __executable_start; /* the linker's */

/* Where to ask about: this program's own functions, which have lines in any build, or the first code. */
static uint64_t asked_code(const struct pmf_image *im)
{
	if (strcmp(im->name, "exe") != 0)
		return first_code(im);
	return im->segments[0].va +
	       (uint64_t)((uintptr_t)first_code - (uintptr_t)&__executable_start);
}

/* Have @l answer for the code of @ims; one's debug info may be a bomb. */
static void ask_lines(struct pmf_lines *l, struct pmf_image *const *ims, size_t n)
{
	struct pmf_lines_state state;

	for (size_t i = 0; i < n; i++)
		for (uint64_t at = 0; at < 0x1000; at += 8)
			while (!pmf_lines_ask(l, ims[i], asked_code(ims[i]) + at))
				pmf_lines_wait(l, 1, &state);
	pmf_lines_hurry(l);
	while (!pmf_lines_wait(l, 1000, &state))
		;
	pmf_lines_stop(l);
}

static bool same_string(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static size_t compare_lines(
	const struct pmf_lines *a, const struct pmf_lines *b, const struct pmf_image *im)
{
	struct pmf_line x[PMF_LINES_DEPTH], y[PMF_LINES_DEPTH];
	size_t found = 0;

	for (uint64_t at = 0; at < 0x1000; at += 8) {
		uint64_t rva = asked_code(im) + at;
		size_t n = pmf_lines_find(a, im->id, rva, x, PMF_LINES_DEPTH);

		assert_int_equal(n, pmf_lines_find(b, im->id, rva, y, PMF_LINES_DEPTH));
		for (size_t i = 0; i < n; i++) {
			assert_true(same_string(x[i].function, y[i].function));
			assert_true(same_string(x[i].decl_file, y[i].decl_file));
			assert_true(same_string(x[i].file, y[i].file));
			assert_int_equal(x[i].line, y[i].line);
			assert_int_equal(x[i].decl_line, y[i].decl_line);
		}
		found += n;
	}
	return found;
}

static void test_same_lines(void **state)
{
	struct pmf_image *ims[4];
	struct pmf_lines *here, *there;

	(void)state;
	NEED_SANDBOX(box);
	ims[0] = image_at("/proc/self/exe");
	ims[1] = fixture("packed.so");
	ims[2] = fixture("stripped.so");
	ims[3] = fixture("pie");
	here = lines(false);
	there = lines(true);
	ask_lines(here, ims, PMF_ARRAY_SIZE(ims));
	ask_lines(there, ims, PMF_ARRAY_SIZE(ims));
	assert_true(compare_lines(here, there, ims[0]) > 0);
	for (size_t i = 1; i < PMF_ARRAY_SIZE(ims); i++)
		compare_lines(here, there, ims[i]);
	assert_true(pmf_lines_file(there, ims[0]->id).path != NULL);
	assert_null(pmf_lines_file(there, ims[2]->id).path);
	pmf_lines_free(here);
	pmf_lines_free(there);
}

static void test_lines_of_one_that_spins(void **state)
{
	struct pmf_image *ims[3];
	struct pmf_lines *here, *there;
	const char *why;

	(void)state;
	NEED_SANDBOX(box);
	ims[0] = image_at("/proc/self/exe");
	ims[1] = make_bomb();
	ims[2] = fixture("packed.so");
	here = lines(false);
	there = lines(true);
	ask_lines(here, (struct pmf_image *const[]){ims[0], ims[2]}, 2);
	ask_lines(there, ims, PMF_ARRAY_SIZE(ims));
	why = pmf_lines_file(there, ims[1]->id).why;
	assert_non_null(strstr(why, "more time or memory"));
	assert_true(compare_lines(here, there, ims[0]) > 0);
	compare_lines(here, there, ims[2]);
	pmf_lines_free(here);
	pmf_lines_free(there);
}

/* Nobody waits for a reader that is at work when its lines are not wanted any more. */
static void test_lines_left_early(void **state)
{
	struct pmf_image *bomb;
	struct pmf_lines *there;

	(void)state;
	NEED_SANDBOX(box);
	bomb = make_bomb();
	there = lines(true);
	assert_true(pmf_lines_ask(there, bomb, first_code(bomb)));
	pmf_lines_free(there);
}

/* ---- Files that a reader asks for ---- */

static char *make_file(const char *name, const char *bytes, size_t len, mode_t mode, int owner)
{
	char *path = pmf_asprintf("%s/%s", scratch, name);
	int fd;

	mkdir(scratch, 0700);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	if (owner)
		assert_int_equal(fchown(fd, (uid_t)owner, (gid_t)owner), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

static void test_files_it_gets(void **state)
{
	enum { OTHER = 4321 };
	struct pmf_debug_dirs dirs = {.root = scratch, .cache = "/nowhere"};
	struct pmf_reader_files beside = {&dirs, OTHER}, below = beside;
	const bool is_root = geteuid() == 0;
	struct {
		const char *name, *bytes;
		mode_t mode;
		int owner;
		bool given, given_below;
	} files[] = {
		{"readable", ELFMAG "rest", 0644, 0, true, true},
		{"secret", ELFMAG "rest", 0600, 0, false, true},
		{"its-own", ELFMAG "rest", 0600, is_root ? OTHER : 0, is_root, true},
		{"no-elf", "root:x:0:", 0644, 0, false, false},
		{"short", "\177E", 0644, 0, false, false},
	};
	struct stat st;
	char *path;
	int fd;

	(void)state;
	beside.dirs = &(struct pmf_debug_dirs){.root = "/nowhere"};
	for (size_t i = 0; i < PMF_ARRAY_SIZE(files); i++) {
		path = make_file(files[i].name, files[i].bytes, strlen(files[i].bytes),
			files[i].mode, files[i].owner);
		fd = pmf_reader_open_wanted(&beside, path, &st);
		assert_int_equal(fd >= 0, files[i].given);
		if (fd >= 0)
			close(fd);
		fd = pmf_reader_open_wanted(&below, path, &st);
		assert_int_equal(fd >= 0, files[i].given_below);
		if (fd >= 0)
			close(fd);
		free(path);
	}
	/* Out of the folder again. */
	path = pmf_asprintf("%s/../%s/secret", scratch, strrchr(scratch, '/') + 1);
	assert_int_equal(pmf_reader_open_wanted(&below, path, &st), -1);
	assert_int_equal(errno, EACCES);
	free(path);
	path = pmf_asprintf("%s/fifo", scratch);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(pmf_reader_open_wanted(&below, path, &st), -1);
	free(path);
	assert_int_equal(pmf_reader_open_wanted(&below, "/nowhere/file", &st), -1);
	assert_int_equal(errno, ENOENT);
	/* Root's, as most images are, and an ELF file; but all of the kernel's memory. */
	beside.owner = 0;
	assert_int_equal(pmf_reader_open_wanted(&beside, "/proc/kcore", &st), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_same_functions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forgotten_and_asked_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_added_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_sections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_spins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_crashes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines_of_one_that_spins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines_left_early, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_it_gets, setup, teardown),
	};

	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
