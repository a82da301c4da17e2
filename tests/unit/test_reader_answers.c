/* Readers that were taken over by a file: what they may answer, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "pmuflame/lines.h"
#include "pmuflame/mem.h"
#include "reader_priv.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Answers byte by byte and works in between: neither silence nor the length of a wait tells. */
static void drip(int fd)
{
	struct pmf_reader_head head;
	size_t nr_fds = 0;
	char data[64];

	if (!pmf_sandbox_recv(fd, &head, sizeof head, NULL, &nr_fds) || head.bytes > sizeof data ||
		!pmf_sandbox_recv(fd, data, head.bytes, NULL, NULL))
		return;
	head = (struct pmf_reader_head){.what = PMF_READ_ANSWER, .bytes = PMF_READ_ANSWER_MAX};
	if (!pmf_sandbox_send(fd, &head, sizeof head, NULL, 0))
		return;
	for (;;) {
		struct timespec from, now;

		if (!pmf_sandbox_send(fd, "x", 1, NULL, 0))
			return;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
		do
			clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
		while (now.tv_sec == from.tv_sec && now.tv_nsec - from.tv_nsec < 50000000);
	}
}

static void babble(int fd)
{
	const struct pmf_reader_head head = {.what = PMF_READ_FILE};
	char c;

	if (pmf_sandbox_send(fd, &head, sizeof head, NULL, 0))
		while (pmf_sandbox_recv(fd, &c, 1, NULL, NULL))
			;
}

/* Of one that does @work when it is asked. */
static void assert_why(void (*work)(int fd), const char *part)
{
	const char *preloaded = getenv("LD_PRELOAD");
	struct pmf_reader_question q = {.what = PMF_READ_SYMBOLS_FIND};
	struct pmf_dw_cursor c;
	struct pmf_reader *r;
	struct pmf_sandbox *box;
	const char *why;

	box = preloaded && strstr(preloaded, "valgrind") ? NULL : pmf_sandbox_start(work, NULL);
	if (!box)
		skip_because("no sandbox can be had here, or valgrind is in it");
	r = pmf_reader_new(box, false);
	pmf_reader_put_u64(&q.data, 0);
	assert_false(pmf_reader_ask(r, &q, &c, &why));
	assert_non_null(strstr(why, part));
	pmf_reader_free(r);
	pmf_sandbox_stop(box);
}

static void test_one_that_drips(void **state)
{
	(void)state;
	assert_why(drip, "more time or memory");
}

static void test_one_that_babbles(void **state)
{
	(void)state;
	assert_why(babble, "what was not asked");
}

static void test_damaged_answers(void **state)
{
	const struct pmf_symbol sym = {.name = "name", .start = 1, .size = 2};
	const struct pmf_line two[2] = {{.function = "f", .line = 1}, {.file = "x.c"}};
	struct pmf_line lines[PMF_LINES_DEPTH];
	struct pmf_buf b = PMF_BUF_INIT;
	struct pmf_dw_cursor c;
	struct pmf_symbol got;
	char *name;

	(void)state;
	pmf_reader_put_symbol(&b, &sym);
	for (size_t len = 0; len <= b.len; len++) {
		c = (struct pmf_dw_cursor){
			(const uint8_t *)b.data, (const uint8_t *)b.data + len, false};
		assert_int_equal(pmf_reader_take_symbol(&c, &got), len == b.len);
	}
	pmf_buf_clear(&b);
	pmf_reader_put_lines(&b, two, 2);
	for (size_t len = 0; len <= b.len; len++) {
		c = (struct pmf_dw_cursor){
			(const uint8_t *)b.data, (const uint8_t *)b.data + len, false};
		assert_int_equal(pmf_reader_take_lines(&c, lines), len == b.len ? 2 : 0);
		assert_int_equal(c.bad, len < b.len);
	}
	/* A name that would fill our memory: cut by who answers, refused where it was not. */
	name = pmf_malloc(PMF_READ_TEXT_MAX + 2);
	memset(name, 'n', PMF_READ_TEXT_MAX + 1);
	name[PMF_READ_TEXT_MAX + 1] = '\0';
	pmf_buf_clear(&b);
	pmf_reader_put_str(&b, name);
	c = (struct pmf_dw_cursor){(const uint8_t *)b.data, (const uint8_t *)b.data + b.len, false};
	assert_int_equal(strlen(pmf_reader_take_str(&c)), PMF_READ_TEXT_MAX);
	assert_false(c.bad);
	c = (struct pmf_dw_cursor){
		(const uint8_t *)name, (const uint8_t *)name + PMF_READ_TEXT_MAX + 2, false};
	assert_null(pmf_reader_take_str(&c));
	assert_true(c.bad);
	free(name);
	/* More than anybody asked for. */
	pmf_buf_clear(&b);
	pmf_reader_put_u64(&b, PMF_LINES_DEPTH + 1);
	c = (struct pmf_dw_cursor){(const uint8_t *)b.data, (const uint8_t *)b.data + b.len, false};
	assert_int_equal(pmf_reader_take_lines(&c, lines), 0);
	assert_true(c.bad);
	pmf_buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_that_drips),
		cmocka_unit_test(test_one_that_babbles),
		cmocka_unit_test(test_damaged_answers),
	};

	return cmocka_run_group_tests_name("reader_answers", tests, NULL, NULL);
}
