/* What functions are called in the call tree, and what of them is one. */
#include "pmuflame/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A static function of one name in two files, and twice in one. */
static void functions_are_told_apart_by_their_place(void **state)
{
	static const struct {
		const char *file;
		uint32_t start_line, line;
	} places[] = {{"a.c", 3, 4}, {"a.c", 9, 10}, {"b.c", 3, 4}, {"a.c", 3, 5}};
	struct pmf_profile p;
	struct pmf_tree t;

	(void)state;
	pmf_profile_init(&p, 1);
	for (uint32_t i = 0; i < PMF_ARRAY_SIZE(places); i++) {
		uint32_t frame = pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 0, 0, 0, 0x10 + i);

		pmf_profile_name_frame(&p, frame, "init", places[i].file, places[i].line);
		pmf_profile_set_start_line(&p, frame, places[i].start_line);
		pmf_profile_add(&p, 0, pmf_profile_node(&p, 0, frame), 1, 1);
	}
	pmf_tree_build(&t, &p, NULL);
	assert_int_equal(t.nr_funcs, 4);
	assert_string_equal(pmf_strtab_get(&p.strings, t.funcs[t.nodes[1].func].name), "init");
	assert_int_equal(t.funcs[t.nodes[1].func].start_line, 3);
	assert_true(pmf_tree_self(&t, 0, 1) == 2);
	assert_int_equal(t.funcs[t.nodes[2].func].start_line, 9);
	assert_string_equal(pmf_strtab_get(&p.strings, t.funcs[t.nodes[3].func].file), "b.c");
	pmf_tree_release(&t);
	pmf_tree_build(&t, &p, &(struct pmf_tree_opts){.lines = true});
	assert_int_equal(t.nr_funcs, 5);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

struct place {
	const char *module, *name, *file;
	uint32_t start_line;
	const char *label, *full_label; /* as they are wanted; full_label NULL: the name */
};

/* A function called @name at each of the places; their labels, whatever the order, must be those. */
static void expect_labels(
	const struct place *places, size_t n, enum pmf_frame_kind kind, enum pmf_tree_names names)
{
	struct pmf_profile p;
	struct pmf_tree t;

	pmf_profile_init(&p, 1);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t module = pmf_strtab_addz(&p.strings, places[i].module);
		uint32_t frame = pmf_profile_frame_at(&p, kind, 0, module, 0, i);

		pmf_profile_name_frame(&p, frame, places[i].name, places[i].file, 0);
		pmf_profile_set_start_line(&p, frame, places[i].start_line);
		pmf_profile_add(&p, 0, pmf_profile_node(&p, 0, frame), i + 1, 1);
	}
	pmf_tree_build(&t, &p, &(struct pmf_tree_opts){.names = names});
	assert_int_equal(t.nr_nodes, n + 1);
	for (uint32_t i = 1; i < t.nr_nodes; i++) {
		const struct place *want = &places[(size_t)pmf_tree_self(&t, 0, i) - 1];
		const struct pmf_func *f = &t.funcs[t.nodes[i].func];

		assert_string_equal(pmf_tree_string(&t, f->label), want->label);
		assert_string_equal(pmf_tree_string(&t, f->full_label),
			want->full_label ? want->full_label : want->name);
		assert_string_equal(pmf_tree_string(&t, f->name), want->name);
	}
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

static void labels_are_short_and_tell_functions_apart(void **state)
{
	static const struct place short_names[] = {
		{"m", "f(int)", NULL, 0, "f", NULL},
		/* One more parameter list: both show theirs. Elsewhere nobody is taken for another. */
		{"m", "g(int)", NULL, 0, "g(int)", NULL},
		{"m", "g(char)", NULL, 0, "g(char)", NULL},
		{"n", "g(long)", NULL, 0, "g", NULL},
		/* What parameters do not tell, arguments do, or both, or the type that is returned. */
		{"m", "h<std::string, 1>()", NULL, 0, "h<std::string, 1>", NULL},
		{"m", "h<std::string, 2>()", NULL, 0, "h<std::string, 2>", NULL},
		{"m", "k<a_long_name>(x)", NULL, 0, "k<…>(x)", NULL},
		{"m", "k<a_long_name>(y)", NULL, 0, "k<a_long_name>", NULL},
		{"m", "k<b_long_name>(y)", NULL, 0, "k<b_long_name>", NULL},
		{"m", "q<a_long_name>(x)", NULL, 0, "q<a_long_name>(x)", NULL},
		{"m", "q<a_long_name>(y)", NULL, 0, "q<a_long_name>(y)", NULL},
		{"m", "q<b_long_name>(x)", NULL, 0, "q<b_long_name>(x)", NULL},
		{"m", "q<b_long_name>(y)", NULL, 0, "q<b_long_name>(y)", NULL},

		{"m", "int r<int>(int)", NULL, 0, "int r<int>(int)", NULL},
		{"m", "char r<int>(int)", NULL, 0, "char r<int>(int)", NULL},
		/* A C function has no more to show than it does. */
		{"m", "c", NULL, 0, "c", NULL},
		{"m", "c()", NULL, 0, "c()", NULL},
	};
	static const struct place full_names[] = {
		{"m", "int f<int>(int)", "a.c", 1, "int f<int>(int) (a.c)",
			"int f<int>(int) (a.c)"},
		{"m", "int f<int>(int)", "b.c", 1, "int f<int>(int) (b.c)",
			"int f<int>(int) (b.c)"},
	};

	(void)state;
	expect_labels(short_names, PMF_ARRAY_SIZE(short_names), PMF_FRAME_NATIVE, PMF_NAMES_AUTO);
	expect_labels(full_names, PMF_ARRAY_SIZE(full_names), PMF_FRAME_NATIVE, PMF_NAMES_FULL);
}

static void labels_tell_places(void **state)
{
	static const struct place native[] = {
		/* One place, or none to tell from: no need to say it. */
		{"m", "one", "/s/a.c", 3, "one", NULL},
		{"m", "other", NULL, 0, "other", NULL},
		{"m", "other", "/s/a.c", 5, "other", NULL},
		{"m", "init", "/s/x/a.c", 7, "init", NULL},
		{"n", "init", "/s/y/a.c", 7, "init", NULL},
		/* The shortest form that tells all of a name apart. */
		{"m", "file(int)", "/s/a.c", 3, "file (a.c)", "file(int) (a.c)"},
		{"m", "file(int)", "/s/b.c", 3, "file (b.c)", "file(int) (b.c)"},
		{"m", "file(int)", NULL, 0, "file", NULL},
		{"m", "line", "/s/a.c", 3, "line (a.c:3)", "line (a.c:3)"},
		{"m", "line", "/s/a.c", 9, "line (a.c:9)", "line (a.c:9)"},
		{"m", "dir", "/s/x/a.c", 3, "dir (x/a.c)", "dir (x/a.c)"},
		{"m", "dir", "/s/y/a.c", 3, "dir (y/a.c)", "dir (y/a.c)"},
		{"m", "far", "/1/2/3/4/5/6/7/8/9/a.c", 3, "far (/1/2/3/4/5/6/7/8/9/a.c:3)",
			"far (/1/2/3/4/5/6/7/8/9/a.c:3)"},
		{"m", "far", "/0/2/3/4/5/6/7/8/9/a.c", 3, "far (/0/2/3/4/5/6/7/8/9/a.c:3)",
			"far (/0/2/3/4/5/6/7/8/9/a.c:3)"},
	};
	static const struct place python[] = {
		{"m", "f (a.py:3)", "/s/x/a.py", 0, "f (x/a.py:3)", "f (x/a.py:3)"},
		{"m", "f (a.py:3)", "/s/y/a.py", 0, "f (y/a.py:3)", "f (y/a.py:3)"},
		{"m", "f (b.py:3)", "/s/x/b.py", 0, "f (b.py:3)", NULL},
	};

	(void)state;
	expect_labels(native, PMF_ARRAY_SIZE(native), PMF_FRAME_NATIVE, PMF_NAMES_AUTO);
	expect_labels(python, PMF_ARRAY_SIZE(python), PMF_FRAME_PYTHON, PMF_NAMES_AUTO);
}

/* The path of names, each a native frame but those that begin with '>', which are inlined into the one
 * before; @cost at its end. */
static void add_path(struct pmf_profile *p, const char *const *names, uint64_t cost)
{
	static uint64_t rva;
	uint32_t node = 0, frame = 0;

	for (; *names; names++) {
		if (**names == '>') {
			pmf_profile_add_inline(p, frame, *names + 1, NULL, 0);
			continue;
		}
		if (frame)
			node = pmf_profile_node(p, node, frame);
		frame = pmf_profile_frame_at(p, PMF_FRAME_NATIVE, 0, 0, 0, ++rva);
		pmf_profile_name_frame(p, frame, *names, NULL, 0);
	}
	pmf_profile_add(p, 0, pmf_profile_node(p, node, frame), cost, 1);
}

/* The names of the tree in preorder, with their total costs. */
static void expect_tree(
	const struct pmf_profile *p, const struct pmf_tree_opts *opts, const char *want)
{
	struct pmf_buf got = PMF_BUF_INIT;
	struct pmf_tree t;

	pmf_tree_build(&t, p, opts);
	for (uint32_t i = 1; i < t.nr_nodes; i++)
		pmf_buf_printf(&got, "%*s%s %g\n", (int)t.nodes[i].depth - 1, "",
			pmf_tree_string(&t, t.funcs[t.nodes[i].func].name),
			pmf_tree_total(&t, 0, i));
	assert_string_equal(pmf_buf_str(&got), want);
	pmf_buf_release(&got);
	pmf_tree_release(&t);
}

static void clones_are_their_function(void **state)
{
	const struct pmf_tree_opts keep = {.keep_clones = true};
	struct pmf_profile p;

	(void)state;
	pmf_profile_init(&p, 1);
	add_path(&p, (const char *const[]){"main", "f.constprop.0", NULL}, 1);
	add_path(&p, (const char *const[]){"main", "f", NULL}, 2);
	/* A function goes on to a part of itself, which may call it, or itself when the start was
	 * inlined there. */
	add_path(&p, (const char *const[]){"main", "f", "f.part.0", NULL}, 4);
	add_path(&p, (const char *const[]){"g", ">f", "f.part.0", "f", "f.part.0", NULL}, 8);
	add_path(&p, (const char *const[]){"h.part.0", "h.part.0", NULL}, 16);
	add_path(&p, (const char *const[]){"k.isra.0", "k.isra.0", NULL}, 32);
	expect_tree(&p, NULL, "g 8\n f 8\n  f 8\nh 16\n h 16\nk 32\n k 32\nmain 7\n f 7\n");
	expect_tree(&p, &keep,
		"g 8\n f 8\n  f.part.0 8\n   f 8\n    f.part.0 8\n"
		"h.part.0 16\n h.part.0 16\nk.isra.0 32\n k.isra.0 32\n"
		"main 7\n f 6\n  f.part.0 4\n f.constprop.0 1\n");
	pmf_profile_release(&p);

	/* In Go these are names. */
	pmf_profile_init(&p, 1);
	add_path(&p, (const char *const[]){"main.cold", NULL}, 1);
	pmf_profile_name_frame(&p, 1, "main.cold", "/src/main.go", 3);
	expect_tree(&p, NULL, "main.cold 1\n");
	pmf_profile_release(&p);
}

static void recursion_is_one_frame_if_asked(void **state)
{
	const struct pmf_tree_opts fold = {.fold_recursion = true};
	struct pmf_func_cost costs[4];
	struct pmf_profile p;
	struct pmf_tree t;

	(void)state;
	pmf_profile_init(&p, 1);
	add_path(&p, (const char *const[]){"f", "f", "f", NULL}, 1);
	add_path(&p, (const char *const[]){"f", "f", "g", "f", NULL}, 2);
	add_path(&p, (const char *const[]){"f", ">f", "f", "g", NULL}, 4);
	expect_tree(&p, NULL, "f 7\n f 3\n  f 1\n  g 2\n   f 2\n f 4\n  f 4\n   g 4\n");
	/* Only what calls itself directly: f → g → f stays. */
	expect_tree(&p, &fold, "f 7\n g 6\n  f 2\n");
	pmf_tree_build(&t, &p, &fold);
	assert_int_equal(t.nr_funcs, 4); /* all, f, the inlined f, g */
	pmf_tree_costs(&t, 0, false, costs);
	assert_true(costs[1].total == 7 && costs[1].self == 3);
	assert_true(costs[3].total == 6 && costs[3].self == 4);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_are_told_apart_by_their_place),
		cmocka_unit_test(labels_are_short_and_tell_functions_apart),
		cmocka_unit_test(labels_tell_places),
		cmocka_unit_test(clones_are_their_function),
		cmocka_unit_test(recursion_is_one_frame_if_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
