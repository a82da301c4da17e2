/* What runtimes write about the code that they generate: perf maps, jitdump files, names. */
#include "jit_priv.h"
#include "pmuflame/clock.h"
#include "pmuflame/mem.h"
#include "skip.h"
#include <byteswap.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct room {
	char folder[32], *map_path, *dump_path;
	struct pmf_jit *jit;
	struct pmf_jit_process *p;
	struct pmf_jit_place place;
};

static struct room *open_room(void)
{
	struct room *r = pmf_zalloc(sizeof *r);

	snprintf(r->folder, sizeof r->folder, "/tmp/pmuflame-jit.XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	r->map_path = pmf_asprintf("%s/perf-%d.map", r->folder, (int)getpid());
	r->dump_path = pmf_asprintf("%s/jit-%d.dump", r->folder, (int)getpid());
	r->jit = pmf_jit_new(&(struct pmf_jit_opts){.live = true, .folder = r->folder});
	r->p = pmf_jit_process_new(r->jit, getpid());
	umask(022);
	return r;
}

static void close_room(struct room *r)
{
	pmf_jit_process_free(r->p);
	pmf_jit_free(r->jit);
	unlink(r->map_path);
	unlink(r->dump_path);
	rmdir(r->folder);
	free(r->map_path);
	free(r->dump_path);
	free(r);
}

static int setup(void **state)
{
	*state = open_room();
	return 0;
}

static int teardown(void **state)
{
	close_room(*state);
	return 0;
}

static void write_to(const char *path, const void *bytes, size_t len)
{
	FILE *f = fopen(path, "ae");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void append(const struct room *r, const char *text)
{
	write_to(r->map_path, text, strlen(text));
}

/* The name at @va now, files looked at again. */
static const char *name_now(struct room *r, uint64_t va)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC);

	pmf_jit_look(r->jit, r->p, now);
	return pmf_jit_find(r->jit, r->p, va, now, &r->place) ? r->place.name : NULL;
}

static const char *name_at(struct room *r, uint64_t va, uint64_t time_ns)
{
	return pmf_jit_find(r->jit, r->p, va, time_ns, &r->place) ? r->place.name : NULL;
}

static void assert_refused(const struct room *r, const char *why)
{
	const struct pmf_err *first;

	assert_int_equal(pmf_jit_refused(r->jit, &first), 1);
	if (!strstr(first->text, why))
		fail_msg("'%s' does not say '%s'", first->text, why);
}

/* ---- Perf maps ---- */

static void map_lines_are_found(void **state)
{
	struct room *r = *state;

	append(r, "7f0000001000 10 second\n0x7f0000000ff0 0x10 first one\nnonsense\n 1 2\n"
		  "7f0000002000 0 empty\n7f0000003000 ffffffffffffffff huge\n7f0000004000 8 \n"
		  "7f0000005000 8 bell\ared\n7f0000006000 400000 many pages\n");
	assert_string_equal(name_now(r, 0x7f0000000ff0), "first one");
	assert_string_equal(name_now(r, 0x7f0000000fff), "first one");
	assert_string_equal(name_now(r, 0x7f0000001000), "second");
	assert_null(name_now(r, 0x7f0000001010));
	assert_null(name_now(r, 0x7f0000002000));
	assert_null(name_now(r, 0x7f0000003000));
	assert_null(name_now(r, 0x7f0000004000));
	assert_string_equal(name_now(r, 0x7f0000005007), "bell?red");
	assert_string_equal(name_now(r, 0x7f0000405fff), "many pages");
	assert_null(name_now(r, 0));
}

static void map_grows_and_addresses_are_used_again(void **state)
{
	struct room *r = *state;
	uint64_t before, between, stamp;

	assert_null(name_now(r, 0x1000));
	append(r, "1000 10 a\n2000 10 b");
	assert_string_equal(name_now(r, 0x1000), "a");
	assert_null(name_now(r, 0x2000)); /* half a line */
	before = pmf_clock_ns(CLOCK_MONOTONIC);
	stamp = pmf_jit_stamp(r->p);
	assert_null(name_now(r, 0x3000));
	assert_int_equal(pmf_jit_stamp(r->p), stamp);
	append(r, "c\n1008 10 over\n");
	between = pmf_clock_ns(CLOCK_MONOTONIC);
	assert_string_equal(name_now(r, 0x2000), "bc");
	assert_string_equal(name_now(r, 0x1007), "a");
	assert_string_equal(name_now(r, 0x1008), "over");
	assert_int_not_equal(pmf_jit_stamp(r->p), stamp);
	assert_string_equal(name_at(r, 0x1008, before), "a");
	assert_true(r->place.until_ns > before && r->place.until_ns < between);
	/* Nothing older stood there. */
	assert_string_equal(name_at(r, 0x1017, before), "over");
}

static void older_map_is_another_process_s(void **state)
{
	struct room *r = *state;
	const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};

	append(r, "1000 10 stale\n");
	assert_int_equal(utimensat(AT_FDCWD, r->map_path, old, 0), 0);
	assert_null(name_now(r, 0x1000));
	append(r, "2000 10 fresh\n");
	assert_string_equal(name_now(r, 0x2000), "fresh");
}

static void hostile_maps_are_refused(void **state)
{
	static const char *const whys[] = {"other users may write it", "symbolic link",
		"no regular file", "START SIZE NAME", "a megabyte", "no line of START"};
	char *zeros = pmf_zalloc(2 << 20);

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(whys); i++) {
		struct room *r = open_room();

		if (i == 1)
			assert_int_equal(symlink("/etc/hostname", r->map_path), 0);
		else if (i == 2)
			assert_int_equal(mkfifo(r->map_path, 0600), 0);
		else if (i == 3)
			for (int k = 0; k < 1001; k++)
				append(r, "no\n");
		else if (i == 4)
			write_to(r->map_path, zeros, 2 << 20);
		else
			append(r, i == 5 ? "binary" : "1000 10 a\n");
		if (i == 0)
			assert_int_equal(chmod(r->map_path, 0666), 0);
		assert_null(name_now(r, 0x1000));
		pmf_jit_look_last(r->jit, r->p);
		assert_null(name_now(r, 0x1000));
		assert_refused(r, whys[i]);
		close_room(r);
	}
	free(zeros);
}

static void map_of_another_user_is_refused(void **state)
{
	struct room *r = *state;

	NEED_ROOT("gives files away");
	append(r, "1000 10 a\n");
	assert_int_equal(chown(r->map_path, 12345, 12345), 0);
	assert_null(name_now(r, 0x1000));
	assert_refused(r, "another user");
}

static void one_page_holds_so_many(void **state)
{
	struct pmf_jit_codes codes;
	uint64_t until;

	(void)state;
	pmf_jit_codes_init(&codes);
	for (uint32_t i = 0; i < 10000; i++) {
		char name[16];
		int len = snprintf(name, sizeof name, "f%u", i);
		struct pmf_jit_code code = {.start = 0x1000,
			.size = 16,
			.from_ns = i,
			.name = pmf_jit_codes_name(&codes, name, (size_t)len)};

		assert_true(pmf_jit_codes_add(&codes, &code));
	}
	assert_int_equal(pmf_jit_codes_find(&codes, 0x1000, 9000, &until)->from_ns, 9000);
	assert_int_equal(until, 9001);
	assert_int_equal(pmf_jit_codes_find(&codes, 0x1000, UINT64_MAX, &until)->from_ns, 9999);
	assert_int_equal(until, UINT64_MAX);
	assert_true(codes.pages[0].n <= 4096);
	pmf_jit_codes_release(&codes);
}

/* Code that covers many pages, each of its own, takes memory that no file has the size of. */
static void so_many_pages_are_known(void **state)
{
	struct pmf_jit_codes codes;
	uint64_t n;

	(void)state;
	pmf_jit_codes_init(&codes);
	codes.nr_places = (8 << 20) - 1000;
	for (n = 0; n < 1000; n++) {
		struct pmf_jit_code code = {.start = n << 18, .size = 1 << 18};

		if (!pmf_jit_codes_add(&codes, &code))
			break;
	}
	assert_int_equal(n, 1000 / 64 + 1);
	assert_int_equal(codes.nr_pages, n * 64);
	pmf_jit_codes_release(&codes);
	pmf_jit_codes_init(&codes);
	codes.name_bytes = (256 << 20) - 1;
	assert_int_equal(pmf_jit_codes_name(&codes, "two", 3), 1);
	assert_int_equal(pmf_jit_codes_name(&codes, "none", 4), 0);
	assert_false(pmf_jit_codes_add(&codes, &(struct pmf_jit_code){.start = 1, .size = 1}));
	pmf_jit_codes_release(&codes);
}

/* ---- Jitdump ---- */

static bool swap; /* write in the other byte order */

static void u32(FILE *f, uint32_t n)
{
	n = swap ? bswap_32(n) : n;
	fwrite(&n, sizeof n, 1, f);
}

static void u64(FILE *f, uint64_t n)
{
	n = swap ? bswap_64(n) : n;
	fwrite(&n, sizeof n, 1, f);
}

static void header(FILE *f, uint32_t version, uint64_t flags)
{
	const uint32_t words[] = {0x4a695444, version, 40, 62, 0, (uint32_t)getpid()};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(words); i++)
		u32(f, words[i]);
	u64(f, 1);
	u64(f, flags);
}

static void load(FILE *f, uint64_t time_ns, uint64_t va, uint64_t size, const char *name)
{
	const char code[8] = "";

	u32(f, 0);
	u32(f, (uint32_t)(16 + 40 + strlen(name) + 1 + sizeof code));
	u64(f, time_ns);
	u32(f, (uint32_t)getpid());
	u32(f, (uint32_t)getpid());
	u64(f, va);
	u64(f, va);
	u64(f, size);
	u64(f, 1);
	fwrite(name, 1, strlen(name) + 1, f);
	fwrite(code, 1, sizeof code, f);
}

static void move(FILE *f, uint64_t time_ns, uint64_t from, uint64_t to, uint64_t size)
{
	u32(f, 1);
	u32(f, 16 + 48);
	u64(f, time_ns);
	u64(f, 0);
	u64(f, to);
	u64(f, from);
	u64(f, to);
	u64(f, size);
	u64(f, 1);
}

static void lines(FILE *f, uint64_t va)
{
	u32(f, 2);
	u32(f, 16 + 16 + 2 * 16 + 5 + 2);
	u64(f, 1);
	u64(f, va);
	u64(f, 2);
	u64(f, va + 4);
	u32(f, 10);
	u32(f, 0);
	fwrite("/a.c", 1, 5, f);
	u64(f, va + 8);
	u32(f, 20);
	u32(f, 0);
	fwrite("\xff", 1, 2, f);
}

/* Records of unwinding: @both bytes are told, of which the last @hdr are .eh_frame_hdr's, and @there follow. */
static void unwinding(FILE *f, uint64_t both, uint64_t hdr, size_t there)
{
	u32(f, 4);
	u32(f, (uint32_t)(16 + 24 + there));
	u64(f, 1);
	u64(f, both);
	u64(f, hdr);
	u64(f, 0);
	for (size_t i = 0; i < there; i++)
		fputc((int)(i % 251), f);
}

static FILE *dump(const struct room *r)
{
	FILE *f = fopen(r->dump_path, "ae");

	assert_non_null(f);
	return f;
}

static void records_are_taken_by_time(void **state)
{
	struct room *r = *state;
	FILE *f = dump(r);

	header(f, 1, 0);
	lines(f, 0x1000);
	load(f, 100, 0x1000, 64, "a");
	load(f, 200, 0x1000, 64, "b");
	move(f, 300, 0x1000, 0x8000, 64);
	u32(f, 77); /* of a later version */
	u32(f, 24);
	u64(f, 300);
	u64(f, 0);
	load(f, 400, 0x1000, 64, "c");
	fclose(f);
	pmf_jit_mapped(r->p, "/tmp/other-1.dump");
	assert_false(pmf_jit_has_times(r->p));
	pmf_jit_mapped(r->p, r->dump_path);
	assert_true(pmf_jit_has_times(r->p));
	assert_string_equal(name_now(r, 0x1000), "c");
	assert_string_equal(name_at(r, 0x1002, 150), "a");
	assert_null(r->place.file);
	assert_int_equal(r->place.until_ns, 200);
	assert_string_equal(name_at(r, 0x1007, 100), "a");
	assert_string_equal(r->place.file, "/a.c");
	assert_int_equal(r->place.line, 10);
	assert_string_equal(name_at(r, 0x1008, 100), "a");
	assert_string_equal(r->place.file, "/a.c");
	assert_int_equal(r->place.line, 20);
	assert_string_equal(name_at(r, 0x1000, 399), "b");
	assert_null(r->place.file);
	assert_string_equal(name_at(r, 0x803f, 300), "b");
	assert_null(name_at(r, 0x8040, 300));
	/* A piece that is not there yet, and then the rest of it. */
	f = dump(r);
	load(f, 500, 0x2000, 64, "d");
	fclose(f);
	assert_int_equal(truncate(r->dump_path, 40 + 71 + 3 * 66 + 64 + 24 + 30), 0);
	assert_null(name_now(r, 0x2000));
	assert_int_equal(truncate(r->dump_path, 40 + 71 + 3 * 66 + 64 + 24), 0);
	f = dump(r);
	load(f, 500, 0x2000, 64, "d");
	fclose(f);
	assert_string_equal(name_now(r, 0x2000), "d");
}

/* Records lie across the ends of what is read at once, wherever those are. */
static void every_record_has_its_lines(void **state)
{
	struct room *r = *state;
	FILE *f = dump(r);
	char name[3000];

	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	header(f, 1, 0);
	for (uint64_t i = 1; i <= 200; i++) {
		lines(f, i << 12);
		load(f, 100, i << 12, 64, name + i);
	}
	fclose(f);
	pmf_jit_mapped(r->p, r->dump_path);
	for (uint64_t i = 1; i <= 200; i++) {
		assert_string_equal(name_now(r, (i << 12) + 4), name + i);
		assert_string_equal(r->place.file ? r->place.file : "", "/a.c");
		assert_int_equal(r->place.line, 10);
	}
}

static void both_byte_orders_are_read(void **state)
{
	swap = true;
	records_are_taken_by_time(state);
	swap = false;
}

/* How many bytes of .eh_frame are known of the code at @va. */
static size_t eh_frame_at(const struct room *r, uint64_t va, uint64_t time_ns, uint64_t *start)
{
	size_t size = 0;
	const uint8_t *p = pmf_jit_eh_frame(r->jit, r->p, va, time_ns, start, &size);

	assert_int_equal(p != NULL, size > 0);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(p[i], i % 251);
	return size;
}

static void unwinding_goes_with_the_next_code(void **state)
{
	static const struct {
		uint64_t both, hdr;
		size_t there, kept;
	} cases[] = {
		{32, 20, 32, 12},
		{32, 20, 40, 12}, /* aligned */
		{20, 20, 20, 0},  /* V8: there is none */
		{19, 20, 32, 0},
		{32, 20, 31, 0},
		{UINT64_MAX, UINT64_MAX - 1, 32, 0},
		{UINT64_MAX, 20, 32, 0},
		{65536 + 20, 20, 65536 + 20, 65536},
		{65537 + 20, 20, 65537 + 20, 0},
	};
	struct room *r = *state;
	FILE *f = dump(r);
	uint64_t start;

	header(f, 1, 0);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		unwinding(f, cases[i].both, cases[i].hdr, cases[i].there);
		lines(f, 0x10000 * i);
		load(f, 100, 0x10000 * i, 64, "told");
		load(f, 100, 0x10000 * i + 0x1000, 64, "not told");
	}
	move(f, 200, 0, 0x8000, 64);
	fclose(f);
	pmf_jit_mapped(r->p, r->dump_path);
	assert_string_equal(name_now(r, 0), "told");
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		assert_int_equal(
			eh_frame_at(r, 0x10000 * i + 63, 100, &start), swap ? 0 : cases[i].kept);
		if (cases[i].kept && !swap)
			assert_int_equal(start, 0x10000 * i);
		assert_int_equal(eh_frame_at(r, 0x10000 * i + 0x1000, 100, &start), 0);
	}
	assert_int_equal(eh_frame_at(r, 0x803f, 200, &start), swap ? 0 : 12);
	if (!swap)
		assert_int_equal(start, 0x8000);
	assert_int_equal(eh_frame_at(r, 0x8040, 200, &start), 0);
}

static void unwinding_of_the_other_byte_order_is_left(void **state)
{
	swap = true;
	unwinding_goes_with_the_next_code(state);
	swap = false;
}

static void unwinding_has_so_much_room(void **state)
{
	struct pmf_jit_codes codes;
	uint8_t *bytes = pmf_zalloc(1 << 16);
	uint32_t size = 1 << 16;

	(void)state;
	pmf_jit_codes_init(&codes);
	for (uint32_t i = 0; i < 1024; i++) {
		assert_int_equal(pmf_jit_codes_eh_frame(&codes, bytes, &size), i << 16);
		assert_int_equal(size, 1 << 16);
	}
	size = 1;
	pmf_jit_codes_eh_frame(&codes, bytes, &size);
	assert_int_equal(size, 0);
	pmf_jit_codes_release(&codes);
	free(bytes);
}

static void hostile_dumps_are_refused(void **state)
{
	static const char *const whys[] = {
		"no jitdump", "version", "arch_timestamp", "impossible size", "symbolic link"};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(whys); i++) {
		struct room *r = open_room();
		FILE *f;

		if (i == 4) {
			assert_int_equal(symlink("/etc/hostname", r->dump_path), 0);
		} else {
			f = dump(r);
			if (i == 0)
				fputs("no header, but as long as one ..........", f);
			header(f, i == 1 ? 2 : 1, i == 2);
			load(f, 1, 0x1000, 64, "a");
			u32(f, 0);
			u32(f, 15);
			u64(f, 1);
			fclose(f);
		}
		pmf_jit_mapped(r->p, r->dump_path);
		assert_int_equal(name_now(r, 0x1000) != NULL, i == 3);
		assert_refused(r, whys[i]);
		close_room(r);
	}
}

/* ---- Names ---- */

static void names_are_taken_apart(void **state)
{
	static const struct {
		const char *told, *name, *file;
		uint32_t line;
	} cases[] = {
		{"JS:*fib /tmp/a/work.js:3:13", "fib (work.js)", "/tmp/a/work.js", 3},
		{"JS:~fib /tmp/a/work.js:3:13", "fib (work.js)", "/tmp/a/work.js", 3},
		{"JS:* /tmp/a/work.js:7:5", "(anonymous) (work.js:7)", "/tmp/a/work.js", 7},
		{"JS:^load node:internal/loader:9:1", "load (loader)", "node:internal/loader", 9},
		{"JS:*get size /a b/work.js:3:13 ", "get size (work.js)", "/a b/work.js", 3},
		{"JS:~get x evalmachine.<anonymous>:2:1", "get x (evalmachine.<anonymous>)",
			"evalmachine.<anonymous>", 2},
		{"JS:*anonymous :3:1", "anonymous ([eval])", "[eval]", 3},
		{"JS:*fib", "JS:*fib", NULL, 0},
		{"JS:*fib /x.js", "JS:*fib /x.js", NULL, 0},
		{"RegExp:a(b c", "RegExp:a(b c", NULL, 0},
		{"py::f.<locals>.g:/a/b.py", "f.<locals>.g (b.py)", "/a/b.py", 0},
		{"py::f", "py::f", NULL, 0},
		{"Ljava/lang/String;charAt(I)C", "java.lang.String.charAt(int)", NULL, 0},
		{"La/B;f([[JLa/C;Z)V", "a.B.f(long[][], a.C, boolean)", NULL, 0},
		{"La/B;f([[JLa/C", "La/B;f([[JLa/C", NULL, 0},
		{"Little()", "Little()", NULL, 0},
		{"char java.lang.String.charAt(int)", "java.lang.String.charAt(int)", NULL, 0},
		{"StubRoutines (1)", "StubRoutines (1)", NULL, 0},
		{"", "", NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		struct pmf_jit_label l;

		pmf_jit_label_init(&l, cases[i].told);
		assert_string_equal(l.name, cases[i].name);
		assert_int_equal(l.line, cases[i].line);
		assert_string_equal(l.file ? l.file : "", cases[i].file ? cases[i].file : "");
		pmf_jit_label_release(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(map_lines_are_found, setup, teardown),
		cmocka_unit_test_setup_teardown(
			map_grows_and_addresses_are_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(older_map_is_another_process_s, setup, teardown),
		cmocka_unit_test(hostile_maps_are_refused),
		cmocka_unit_test_setup_teardown(map_of_another_user_is_refused, setup, teardown),
		cmocka_unit_test(one_page_holds_so_many),
		cmocka_unit_test(so_many_pages_are_known),
		cmocka_unit_test_setup_teardown(records_are_taken_by_time, setup, teardown),
		cmocka_unit_test_setup_teardown(both_byte_orders_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(every_record_has_its_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(unwinding_goes_with_the_next_code, setup, teardown),
		cmocka_unit_test_setup_teardown(
			unwinding_of_the_other_byte_order_is_left, setup, teardown),
		cmocka_unit_test(unwinding_has_so_much_room),
		cmocka_unit_test(hostile_dumps_are_refused),
		cmocka_unit_test(names_are_taken_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
