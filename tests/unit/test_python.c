/* The recorder's half of Python: line tables, the merge, records from memory that may hold anything. */
#include "pmuflame/python.h"

#include "agent_priv.h"
#include "agent_protocol.h"
#include "bpf_protocol.h"
#include "pmuflame/mem.h"
#include "python_priv.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { NONE = PMF_PYTHON_LASTI_NONE };

/* ---- Line tables. Each is of this function, at line 10, as the interpreters themselves made it:
 *
 *  def f(a):
 *      b = a
 *
 *      for c in b:
 *          g(
 *            c)
 *      return b
 */

static void test_lines_38(void **state)
{
	static const uint8_t table[] = {0, 1, 4, 2, 8, 1, 2, 1, 2, 255, 8, 2};

	(void)state;
	assert_int_equal(pmf_python_table_line(8, 10, table, sizeof table, 0), 11);
	assert_int_equal(pmf_python_table_line(8, 10, table, sizeof table, 2), 11);
	assert_int_equal(pmf_python_table_line(8, 10, table, sizeof table, 4), 13);
	assert_int_equal(pmf_python_table_line(9, 10, table, sizeof table, 12), 14);
	assert_int_equal(pmf_python_table_line(9, 10, table, sizeof table, 14), 15);
	assert_int_equal(pmf_python_table_line(9, 10, table, sizeof table, 16), 14);
	assert_int_equal(pmf_python_table_line(8, 10, table, sizeof table, 200), 16);
	assert_int_equal(pmf_python_table_line(8, 10, table, sizeof table, NONE), 10);
}

static void test_lines_310(void **state)
{
	/* The second range is of no line. */
	static const uint8_t table[] = {4, 1, 2, 128, 6, 2, 4, 255};

	(void)state;
	assert_int_equal(pmf_python_table_line(10, 10, table, sizeof table, 0), 11);
	assert_int_equal(pmf_python_table_line(10, 10, table, sizeof table, 1), 11);
	assert_int_equal(pmf_python_table_line(10, 10, table, sizeof table, 2), 0);
	assert_int_equal(pmf_python_table_line(10, 10, table, sizeof table, 3), 13);
	assert_int_equal(pmf_python_table_line(10, 10, table, sizeof table, 6), 12);
	assert_int_equal(pmf_python_table_line(10, 10, table, sizeof table, 8), 0);
}

static void test_lines_311(void **state)
{
	static const uint8_t table[] = {
		0x80 | 0 << 3 | 0, 0x00,               /* 1 unit, the same line */
		0x80 | 11 << 3 | 1, 0x01, 0x02,        /* 2 units, one line on */
		0x80 | 14 << 3 | 7, 4, 0, 1, 2,        /* 8 units, two lines on */
		0x80 | 13 << 3 | 0, 3,                 /* 1 unit, one line back */
		0x80 | 15 << 3 | 1,                    /* 2 units of no line */
		0x80 | 13 << 3 | 0, 0x40 | 0x08, 0x02, /* 1 unit, 68 lines on */
	};

	(void)state;
	assert_int_equal(pmf_python_table_line(11, 10, table, sizeof table, 0), 10);
	assert_int_equal(pmf_python_table_line(11, 10, table, sizeof table, 1), 11);
	assert_int_equal(pmf_python_table_line(12, 10, table, sizeof table, 2), 11);
	assert_int_equal(pmf_python_table_line(12, 10, table, sizeof table, 3), 13);
	assert_int_equal(pmf_python_table_line(13, 10, table, sizeof table, 10), 13);
	assert_int_equal(pmf_python_table_line(13, 10, table, sizeof table, 11), 12);
	assert_int_equal(pmf_python_table_line(14, 10, table, sizeof table, 12), 0);
	assert_int_equal(pmf_python_table_line(14, 10, table, sizeof table, 13), 0);
	assert_int_equal(pmf_python_table_line(14, 10, table, sizeof table, 14), 80);
	assert_int_equal(pmf_python_table_line(14, 10, table, sizeof table, 15), 0);
}

/* Whatever the bytes are, the answer is a line or none. */
static void test_lines_hostile(void **state)
{
	uint8_t *table = pmf_malloc(64);
	uint32_t random = 1;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		size_t len = random % 64;

		for (size_t i = 0; i < 64; i++) {
			random = random * 1664525u + 1013904223u;
			table[i] = (uint8_t)(random >> 24);
		}
		/* The end of the memory is the end of the table, for a checker's eyes. */
		for (unsigned minor = 8; minor <= 14; minor++)
			assert_true(pmf_python_table_line(minor, random >> 1, table + 64 - len, len,
					    random % 100) <= INT32_MAX);
	}
	free(table);
}

/* ---- The merge. Native frames and Python frames as words, innermost first: "E" is a loop, "C" the
 * way to it, a small letter anything else; in Python a capital is a frame that native code called. */

static char *merge(const char *native, const char *python, bool rooted, bool *agree)
{
	enum pmf_python_native kinds[32];
	struct pmf_python_frame frames[32];
	struct pmf_python_merged out[64];
	struct pmf_python_stack stack = {.n = strlen(python), .frames = frames};
	struct pmf_python_merge m = {
		.native = kinds, .n = strlen(native), .rooted = rooted, .stack = &stack};
	static char text[65];
	size_t n;

	for (size_t i = 0; i < m.n; i++)
		kinds[i] = native[i] == 'E'   ? PMF_NATIVE_EVAL
			   : native[i] == 'C' ? PMF_NATIVE_CALL
					      : PMF_NATIVE_OTHER;
	for (size_t i = 0; i < stack.n; i++)
		frames[i] = (struct pmf_python_frame){.entry = python[i] < 'a'};
	*agree = pmf_python_merge(&m, out, &n);
	for (size_t i = 0; i < n; i++)
		text[i] = out[i].python ? python[out[i].index] : native[out[i].index];
	text[n] = '\0';
	return text;
}

static void test_merge_pairs(void **state)
{
	bool agree;

	(void)state;
	/* One loop, one run of three frames. */
	assert_string_equal(merge("abECm", "xyZ", true, &agree), "abxyZm");
	assert_true(agree);
	/* Two loops: the native frames between stay between. */
	assert_string_equal(merge("aECsECm", "xYzW", true, &agree), "axYszWm");
	assert_true(agree);
	/* A loop that is being entered. */
	assert_string_equal(merge("ECsECm", "xY", true, &agree), "ECsxYm");
	assert_true(agree);
	/* No Python frames: nothing is hidden. */
	assert_string_equal(merge("aECm", "", true, &agree), "aECm");
	assert_true(agree);
}

static void test_merge_truncated(void **state)
{
	bool agree;

	(void)state;
	/* From the innermost outwards; what no loop is there for comes last. */
	assert_string_equal(merge("aECsE", "xYzWvV", false, &agree), "axYszWvV");
	assert_true(agree);
}

static void test_merge_disagrees(void **state)
{
	bool agree;

	(void)state;
	assert_string_equal(merge("aEbEcEm", "X", true, &agree), "aXm");
	assert_false(agree);
	assert_string_equal(merge("aEm", "XYZ", true, &agree), "aXYZm");
	assert_false(agree);
	assert_string_equal(merge("am", "X", true, &agree), "amX");
	assert_false(agree);
}

static void test_merge_interpreter(void **state)
{
	static const enum pmf_python_native kinds[] = {
		PMF_NATIVE_OTHER, PMF_NATIVE_EVAL, PMF_NATIVE_CALL};
	static const struct pmf_python_frame frames[] = {{.entry = true}};
	const struct pmf_python_stack stack = {.n = 1, .frames = frames};
	const struct pmf_python_merge m = {
		.native = kinds, .n = 3, .rooted = true, .interpreter = true, .stack = &stack};
	struct pmf_python_merged out[4];
	size_t n;

	(void)state;
	assert_true(pmf_python_merge(&m, out, &n));
	assert_int_equal(n, 4);
	assert_true(!out[0].python && out[1].python && !out[2].python && !out[3].python);
	assert_int_equal(out[2].index, 1);
}

static void test_merge_entering(void **state)
{
	static const enum pmf_python_native kinds[] = {
		PMF_NATIVE_EVAL, PMF_NATIVE_OTHER, PMF_NATIVE_EVAL};
	static const struct pmf_python_frame frames[] = {
		{.code = 1, .entry = true}, {.code = 2, .entry = true}};
	const struct pmf_python_stack stack = {.entering = true, .n = 2, .frames = frames};
	const struct pmf_python_merge m = {
		.native = kinds, .n = 3, .rooted = true, .stack = &stack};
	struct pmf_python_merged out[5];
	size_t n;

	(void)state;
	/* The innermost run is what is left of an earlier call. */
	assert_true(pmf_python_merge(&m, out, &n));
	assert_int_equal(n, 3);
	assert_true(!out[0].python && !out[1].python && out[2].python);
	assert_int_equal(out[2].index, 1);
}

/* ---- Records ---- */

struct memory {
	struct pmf_python_process *process;
	struct pmf_agent_ring *ring;
	size_t stacks, frames;
	struct pmf_python_stack last;
};

static void count_stack(void *ctx, const struct pmf_python_stack *stack)
{
	struct memory *m = ctx;

	m->stacks++;
	m->frames += stack->n;
	m->last = *stack;
}

static int open_memory(void **state)
{
	struct memory *m = pmf_zalloc(sizeof *m);
	struct pmf_python_greeting g = {.fd = -1, .minor = 11};

	if (pmf_python_process_new(&m->process, &g, NULL))
		return -1;
	m->ring = mmap(NULL, PMF_AGENT_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		pmf_python_process_memory(m->process), 0);
	*state = m;
	return m->ring == MAP_FAILED ? -1 : 0;
}

static int close_memory(void **state)
{
	struct memory *m = *state;

	munmap(m->ring, PMF_AGENT_MEMORY_BYTES);
	pmf_python_process_free(m->process);
	free(m);
	return 0;
}

static void write_stack(struct memory *m, uint32_t n)
{
	struct pmf_agent_stack *s =
		pmf_agent_ring_reserve(m->ring, sizeof *s + n * sizeof s->frames[0]);

	assert_non_null(s);
	s->time_ns = 7;
	s->nr_frames = n;
	for (uint32_t i = 0; i < n; i++)
		s->frames[i] = (struct pmf_agent_frame){i, i | (i % 2 ? PMF_AGENT_ENTRY : 0)};
	pmf_agent_ring_commit(s, PMF_AGENT_STACK, sizeof *s + n * sizeof s->frames[0]);
}

static void test_ring_goes_round(void **state)
{
	struct memory *m = *state;
	size_t written = 0;

	/* Far more than fits, in sizes that meet the end in many ways. */
	for (uint32_t i = 0; i < 20000; i++) {
		write_stack(m, i % 97);
		written += i % 97;
		if (i % 7 == 0)
			pmf_python_read(m->process, count_stack, m);
	}
	pmf_python_read(m->process, count_stack, m);
	assert_int_equal(m->stacks, 20000);
	assert_int_equal(m->frames, written);
	assert_int_equal(pmf_python_malformed(m->process), 0);
	assert_true(m->last.frames[1].entry && !m->last.frames[2].entry);
	assert_int_equal(m->last.frames[1].lasti, 1);
}

static void test_ring_full(void **state)
{
	struct memory *m = *state;
	size_t n = 0;

	while (pmf_agent_ring_reserve(m->ring, 4000))
		n++;
	assert_true(n >= 120 && n <= 131);
	assert_int_equal(pmf_python_dropped(m->process), 1);
	/* None is committed: nothing may be read yet. */
	pmf_python_read(m->process, count_stack, m);
	assert_int_equal(m->stacks, 0);
	assert_int_equal(pmf_python_malformed(m->process), 0);
}

static void test_code(void **state)
{
	static const char name[] = "f", lines[] = "\x80\x00";
	static const uint16_t file[] = {'/', 0xe4, 0x20ac, 0xd800};
	struct memory *m = *state;
	const size_t size = sizeof(struct pmf_agent_code) + 1 + sizeof file + 2;
	struct pmf_agent_code *c = pmf_agent_ring_reserve(m->ring, size);
	const struct pmf_python_code *got;

	assert_non_null(c);
	c->code = 5;
	c->first_line = 12;
	c->name = (struct pmf_agent_text){1, 1};
	c->file = (struct pmf_agent_text){4, 2};
	c->line_bytes = 2;
	memcpy(c->bytes, name, 1);
	memcpy(c->bytes + 1, file, sizeof file);
	memcpy(c->bytes + 1 + sizeof file, lines, 2);
	pmf_agent_ring_commit(c, PMF_AGENT_CODE, size);
	pmf_python_read(m->process, count_stack, m);
	got = pmf_python_code(pmf_python_process_codes(m->process), 5);
	assert_non_null(got);
	assert_string_equal(got->name, "f");
	assert_string_equal(got->file, "/\u00e4\u20ac\ufffd");
	assert_int_equal(pmf_python_line(pmf_python_process_codes(m->process),
				 &(struct pmf_python_frame){.code = 5}),
		12);
	assert_null(pmf_python_code(pmf_python_process_codes(m->process), 6));
	assert_null(pmf_python_code(pmf_python_process_codes(m->process), UINT32_MAX));
}

/* ---- What the BPF program writes ---- */

static void test_bpf_stack(void **state)
{
	struct pmf_python_codes *codes = pmf_python_codes_new(11);
	struct pmf_bpf_stack *raw = pmf_zalloc(sizeof *raw);
	const size_t size = offsetof(struct pmf_bpf_stack, frames) + 2 * sizeof raw->frames[0];
	struct pmf_python_bpf_record rec;
	struct pmf_python_frame frames[2];

	(void)state;
	raw->rec = (struct pmf_bpf_record){PMF_BPF_STACK, 12, 13, 11};
	raw->ip = 0x4000;
	raw->flags = PMF_BPF_UNREAD | PMF_BPF_UNTOLD;
	raw->nr_frames = 2;
	raw->frames[0] = (struct pmf_bpf_frame){.code = 99, .lasti = 7};
	raw->frames[1] =
		(struct pmf_bpf_frame){.code = 98, .lasti = PMF_BPF_LASTI_NONE | PMF_BPF_ENTRY};
	assert_true(pmf_python_bpf_parse((const uint8_t *)raw, size, &rec));
	assert_false(rec.is_code);
	assert_int_equal(rec.pid, 12);
	assert_int_equal(rec.tid, 13);
	assert_int_equal(rec.minor, 11);
	assert_int_equal(rec.ip, 0x4000);
	assert_true(rec.cut && rec.unread && rec.untold && !rec.entering);
	assert_int_equal(rec.n, 2);
	pmf_python_bpf_frames(&rec, codes, frames);
	assert_null(pmf_python_code(codes, frames[0].code));
	assert_int_equal(frames[0].lasti, 7);
	assert_false(frames[0].entry);
	assert_int_equal(frames[1].lasti, PMF_PYTHON_LASTI_NONE);
	assert_true(frames[1].entry);
	/* More frames than bytes, than there can be, and a head that is cut. */
	assert_false(pmf_python_bpf_parse((const uint8_t *)raw, size - 1, &rec));
	raw->nr_frames = PMF_BPF_FRAMES_MAX + 1;
	assert_false(pmf_python_bpf_parse((const uint8_t *)raw, sizeof *raw, &rec));
	raw->nr_frames = 0;
	for (size_t len = 0; len < offsetof(struct pmf_bpf_stack, frames); len++)
		assert_false(pmf_python_bpf_parse((const uint8_t *)raw, len, &rec));
	raw->rec.type = 77;
	assert_false(pmf_python_bpf_parse((const uint8_t *)raw, sizeof *raw, &rec));
	free(raw);
	pmf_python_codes_free(codes);
}

static void test_bpf_code(void **state)
{
	struct pmf_python_codes *codes = pmf_python_codes_new(11);
	struct pmf_bpf_code *raw = pmf_zalloc(sizeof *raw);
	/* A name, a file, and a line table: one instruction, a line further. */
	static const uint8_t bytes[] = {'f', '/', 0, 0xe4, 0, 0x80 | 11 << 3, 0};
	const size_t size = offsetof(struct pmf_bpf_code, bytes) + sizeof bytes;
	struct pmf_bpf_stack stack = {.rec = {PMF_BPF_STACK, 1, 1, 11},
		.nr_frames = 1,
		.frames = {{.code = UINT64_C(0x123456789ab), .lasti = 0}}};
	struct pmf_python_bpf_record rec;
	struct pmf_python_frame frame;

	(void)state;
	raw->rec = (struct pmf_bpf_record){PMF_BPF_CODE, 1, 1, 11};
	raw->code = stack.frames[0].code;
	raw->first_line = 12;
	raw->line_bytes = 2;
	raw->name = (struct pmf_bpf_text){.chars = 1, .width = 1};
	raw->file = (struct pmf_bpf_text){.chars = 2, .width = 2};
	memcpy(raw->bytes, bytes, sizeof bytes);
	assert_true(pmf_python_bpf_parse((const uint8_t *)raw, size, &rec));
	assert_true(rec.is_code);
	pmf_python_bpf_tell(&rec, codes);
	pmf_python_bpf_tell(&rec, codes); /* again: it is the same */
	assert_true(pmf_python_bpf_parse((const uint8_t *)&stack, sizeof stack, &rec));
	pmf_python_bpf_frames(&rec, codes, &frame);
	assert_non_null(pmf_python_code(codes, frame.code));
	assert_string_equal(pmf_python_code(codes, frame.code)->name, "f");
	assert_string_equal(pmf_python_code(codes, frame.code)->file, "/\u00e4");
	assert_int_equal(pmf_python_line(codes, &frame), 13);
	assert_false(pmf_python_bpf_parse((const uint8_t *)raw, size - 1, &rec));
	for (size_t len = 0; len < size; len++)
		assert_false(pmf_python_bpf_parse((const uint8_t *)raw, len, &rec));
	raw->name.chars = PMF_BPF_TEXT_MAX + 1;
	assert_false(pmf_python_bpf_parse((const uint8_t *)raw, sizeof *raw, &rec));
	raw->name.chars = 1;
	raw->file.width = 3;
	assert_false(pmf_python_bpf_parse((const uint8_t *)raw, size, &rec));
	free(raw);
	pmf_python_codes_free(codes);
}

/* A process may write anything: nothing is read outside of its memory, and it ends. */
static void test_ring_hostile(void **state)
{
	struct memory *m = *state;
	uint32_t *words = (uint32_t *)(void *)m->ring, random = 3;
	const size_t first = PMF_AGENT_HEADER_BYTES / sizeof *words;

	for (unsigned round = 0; round < 300; round++) {
		for (size_t i = first; i < first + 4096; i++) {
			random = random * 1664525u + 1013904223u;
			words[i] = random >> 8 & (round % 2 ? 0xfff0 : 0xff);
		}
		/* A record that is nearly right comes first. */
		words[first] = 16 * (random >> 20 & 63);
		words[first + 1] = PMF_AGENT_STACK + random % 2;
		m->ring->head += 16 * (random >> 16 & 1023);
		pmf_python_read(m->process, count_stack, m);
	}
	m->ring->head = UINT64_MAX - 5;
	pmf_python_read(m->process, count_stack, m);
	assert_true(pmf_python_malformed(m->process) > 0);
}

/* ---- The agent's tables ---- */

static void test_layouts(void **state)
{
	char why[PMF_AGENT_WHY_CHARS];
	uint64_t words[64] = {0};
	const struct pmf_agent_layout *l;
	struct pmf_agent_threads t;

	(void)state;
	assert_non_null(pmf_agent_layout_find("3.8.18 (default)", NULL, why));
	assert_non_null(pmf_agent_layout_find("3.12.1 (main)", NULL, why));
	assert_null(pmf_agent_layout_find("3.7.16 (default)", NULL, why));
	assert_string_equal(why, "CPython 3.7.16 is none of 3.8 to 3.14");
	assert_null(pmf_agent_layout_find("3.15.0a1 (main)", NULL, why));
	assert_null(pmf_agent_layout_find("2.7.18", NULL, why));
	assert_null(
		pmf_agent_layout_find("3.13.0 experimental free-threading build (x)", words, why));
	assert_non_null(strstr(why, "free-threaded"));
	/* From 3.13 on the interpreter says itself where things are: a build that differs is not
	 * read. */
	assert_null(pmf_agent_layout_find("3.13.0 (main)", words, why));
	assert_non_null(strstr(why, "not those of its version"));
	memcpy(words, "xdebugpy", 8);
	words[1] = 0x030d00f0;
	words[23] = 72;
	words[29] = 8;
	words[30] = 0;
	words[31] = 56;
	words[33] = 70;
	words[35] = 112;
	words[37] = 128;
	words[38] = 136;
	words[39] = 68;
	words[43] = 200;
	words[8] = 7264;
	words[25] = 160;
	l = pmf_agent_layout_find("3.13.0 (main)", words, why);
	assert_non_null(l);
	/* So it does for the way to its threads, which the table has for those before. */
	pmf_agent_threads_find(l, words, &t);
	assert_int_equal(t.interp_next, 7264);
	assert_int_equal(t.tstate_id, 160);
	pmf_agent_threads_find(pmf_agent_layout_find("3.10.13 (main)", NULL, why), NULL, &t);
	assert_true(t.id_in_pthread);
	assert_int_equal(t.interp_threads, 8);
	words[29] = 16;
	assert_null(pmf_agent_layout_find("3.13.0 (main)", words, why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_38),
		cmocka_unit_test(test_lines_310),
		cmocka_unit_test(test_lines_311),
		cmocka_unit_test(test_lines_hostile),
		cmocka_unit_test(test_merge_pairs),
		cmocka_unit_test(test_merge_truncated),
		cmocka_unit_test(test_merge_disagrees),
		cmocka_unit_test(test_merge_interpreter),
		cmocka_unit_test(test_merge_entering),
		cmocka_unit_test_setup_teardown(test_ring_goes_round, open_memory, close_memory),
		cmocka_unit_test_setup_teardown(test_ring_full, open_memory, close_memory),
		cmocka_unit_test_setup_teardown(test_code, open_memory, close_memory),
		cmocka_unit_test(test_bpf_stack),
		cmocka_unit_test(test_bpf_code),
		cmocka_unit_test_setup_teardown(test_ring_hostile, open_memory, close_memory),
		cmocka_unit_test(test_layouts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
