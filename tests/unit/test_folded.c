/* Folded stacks of other programs. */
#include "pmuflame/err.h"
#include "pmuflame/file.h"
#include "pmuflame/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *folded_again(const struct pmf_profile *p)
{
	struct pmf_tree t;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	pmf_tree_build(&t, p, NULL);
	assert_int_equal(pmf_renderer_by_name("folded", 6)
				 ->render(f, &t, 0, &(struct pmf_render_opts){0}, NULL),
		0);
	assert_int_equal(fclose(f), 0);
	pmf_tree_release(&t);
	return text;
}

static void loads_as(const char *in, double total, const char *out)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;
	char *text;

	if (pmf_profile_load_folded(&p, in, strlen(in), &err))
		fail_msg("%s", err.text);
	text = folded_again(&p);
	assert_string_equal(text, out);
	assert_true((double)p.events[0].counted * p.events[0].scale == total);
	assert_true(p.events[0].only_samples);
	assert_int_equal(p.notes[0].level, PMF_NOTE_WARN);
	free(text);
	pmf_profile_release(&p);
}

static void every_writer_is_read(void **state)
{
	(void)state;
	/* stackcollapse-perf.pl, with counts of a frame's name behind it, and DOS line ends. */
	loads_as("java;[libjvm.so];Foo.bar_[j];do_syscall_64_[k] 12\r\njava;write 3\r\n", 15,
		"java;[libjvm.so];Foo.bar_[j];do_syscall_64_[k] 12\njava;write 3\n");
	/* inferno: a stack that stands twice, no newline at the end. */
	loads_as("a;b c(int, char) 1\n\na;b c(int, char) 2", 3, "a;b c(int, char) 3\n");
	/* py-spy. */
	loads_as("main (a b.py:3);<module> (<string>:1) 7\n", 7,
		"main (a b.py:3);<module> (<string>:1) 7\n");
	/* Fractions, blanks and a comment. */
	loads_as("# folded\na 1.5 \t\na;b 2.25\na;c 0.0\n", 3.75, "a 2\na;b 2\n");
	loads_as("a;b 100.000000\n", 100, "a;b 100\n");
	/* Empty names are known to be unknown. */
	loads_as(";a; 1\n", 1, "[unknown];a;[unknown] 1\n");
	loads_as("18446744073709551609 1\n", 1, "18446744073709551609 1\n");
}

static void names_say_what_frames_are(void **state)
{
	static const struct {
		const char *name;
		enum pmf_frame_kind kind;
		bool unresolved;
	} cases[] = {
		{"f", PMF_FRAME_NATIVE, false},
		{"f_[k]", PMF_FRAME_KERNEL, false},
		{"f_[i]", PMF_FRAME_INLINED, false},
		{"f_[j]", PMF_FRAME_JIT, false},
		{"_[k]", PMF_FRAME_NATIVE, false},
		{"f_[x]", PMF_FRAME_NATIVE, false},
		{"f (m.py:12)", PMF_FRAME_PYTHON, false},
		{"f (m.py)", PMF_FRAME_PYTHON, false},
		{"f (<stdin>:1)", PMF_FRAME_PYTHON, false},
		{"f(m.py)", PMF_FRAME_NATIVE, false},
		{"f (int)", PMF_FRAME_NATIVE, false},
		{" (.py)", PMF_FRAME_NATIVE, false},
		{"[unsampled]", PMF_FRAME_SPECIAL, false},
		{"[unknown]", PMF_FRAME_NATIVE, true},
		{"[libc.so.6+0x12]", PMF_FRAME_NATIVE, true},
		{"[]", PMF_FRAME_NATIVE, false},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		char *line = pmf_asprintf("%s 1\n", cases[i].name);
		struct pmf_profile p;
		struct pmf_tree t;

		assert_int_equal(pmf_profile_load_folded(&p, line, strlen(line), NULL), 0);
		pmf_tree_build(&t, &p, NULL);
		assert_int_equal(t.funcs[t.nodes[1].func].kind, cases[i].kind);
		assert_int_equal(t.funcs[t.nodes[1].func].unresolved, cases[i].unresolved);
		pmf_tree_release(&t);
		pmf_profile_release(&p);
		free(line);
	}
}

static void what_is_no_stack_is_named(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"a;b 1\nfoo bar\n", "line 2: it does not end with a stack's count ('foo bar')"},
		{"a;b 1\n\n 5\n", "line 3: it does not end with a stack's count (' 5')"},
		{"a -5", "line 1: it does not end"},
		{"a 1e5", "line 1: it does not end"},
		{"a .", "line 1: it does not end"},
		{"a5", "line 1: it does not end"},
		{"a 1.2.3", "line 1: its count is no number"},
		{"a 18446744073709551616", "line 1: its count is too large"},
		{"a 18446744073709551615.5", "line 1: its count is too large"},
		{"a 10000000000000000000\nb 10000000000000000000", "line 2: with it the counts"},
		{"a 10000000000000000000\nb 0.25", "line 1: with it the counts"},
		{"\n\n", "it has no stacks"},
		{"a 0", "it has no stacks"},
		{"", "it has no stacks"},
		{"x\x1b[31m", "('x?[31m')"},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		struct pmf_err err = PMF_ERR_INIT;
		struct pmf_profile p;

		assert_int_equal(
			pmf_profile_load_folded(&p, cases[i].text, strlen(cases[i].text), &err),
			PMF_EFORMAT);
		if (!strstr(err.text, cases[i].says))
			fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
	}
}

static void our_own_come_back(void **state)
{
	char *path = pmf_asprintf("%s/tests/golden/normal.folded", getenv("srcdir"));
	struct pmf_buf text = PMF_BUF_INIT;
	struct pmf_profile p;
	char *again;

	(void)state;
	assert_int_equal(pmf_file_read(path, 1 << 20, &text, NULL), 0);
	assert_int_equal(pmf_profile_load_folded(&p, text.data, text.len, NULL), 0);
	again = folded_again(&p);
	assert_string_equal(again, pmf_buf_str(&text));
	free(again);
	pmf_profile_release(&p);
	pmf_buf_release(&text);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_writer_is_read),
		cmocka_unit_test(names_say_what_frames_are),
		cmocka_unit_test(what_is_no_stack_is_named),
		cmocka_unit_test(our_own_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
