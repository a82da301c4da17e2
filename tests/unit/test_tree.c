/* The call tree by name: what a profile becomes in it, filters, the other way round, costs. */
#include "pmuflame/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint32_t named(struct pmf_profile *p, uint32_t parent, const char *name)
{
	return pmf_profile_node(p, parent, pmf_profile_frame_named(p, PMF_FRAME_NATIVE, name));
}

static const char *func_name(const struct pmf_tree *t, uint32_t node)
{
	return pmf_strtab_get(&t->profile->strings, t->funcs[t->nodes[node].func].name);
}

static void inlined_callees_stand_below_their_function(void **state)
{
	struct pmf_profile p;
	struct pmf_tree t;
	uint32_t outer, other, node;

	(void)state;
	pmf_profile_init(&p, 1);
	outer = pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 0, 0, 0, 0x10);
	other = pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 0, 0, 0, 0x20);
	pmf_profile_name_frame(&p, outer, "outer", NULL, 0);
	pmf_profile_name_frame(&p, other, "leaf", NULL, 0);
	pmf_profile_add_inline(&p, outer, "mid", "a.h", 1);
	pmf_profile_add_inline(&p, other, "leaf_inline", "a.h", 3);
	pmf_profile_add_inline(&p, outer, "inner", "a.h", 2); /* no longer in one piece: moves */
	node = pmf_profile_node(&p, 0, outer);
	pmf_profile_add(&p, 0, node, 7, 1);
	pmf_profile_add(&p, 0, pmf_profile_node(&p, node, other), 5, 1);
	pmf_tree_build(&t, &p, NULL);
	assert_int_equal(t.nr_nodes, 6);
	assert_string_equal(func_name(&t, 0), "all");
	assert_string_equal(func_name(&t, 1), "outer");
	assert_string_equal(func_name(&t, 2), "mid");
	assert_string_equal(func_name(&t, 3), "inner");
	assert_string_equal(func_name(&t, 4), "leaf");
	assert_string_equal(func_name(&t, 5), "leaf_inline");
	assert_int_equal(t.funcs[t.nodes[2].func].kind, PMF_FRAME_INLINED);
	assert_int_equal(t.nodes[5].depth, 5);
	assert_true(pmf_tree_self(&t, 0, 3) == 7);
	assert_true(pmf_tree_self(&t, 0, 1) == 0);
	assert_true(pmf_tree_total(&t, 0, 1) == 12);
	assert_int_equal(pmf_tree_samples(&t, 0, 1), 2);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

/* main → work → { parse, gc → sweep } and main → other; two events. */
static void fill_for_filters(struct pmf_profile *p)
{
	uint32_t main, work, gc;

	pmf_profile_init(p, 2);
	main = named(p, named(p, 0, "app"), "main");
	work = named(p, main, "work");
	gc = named(p, work, "gc");
	pmf_profile_add(p, 0, work, 100, 10);
	pmf_profile_add(p, 0, named(p, work, "parse"), 300, 30);
	pmf_profile_add(p, 0, named(p, gc, "sweep"), 600, 60);
	pmf_profile_add(p, 1, named(p, gc, "sweep"), 7, 7);
	pmf_profile_add(p, 0, named(p, main, "other"), 1000, 100);
	pmf_profile_add_joined(p, 0, work, 50);
	for (size_t e = 0; e < 2; e++) {
		p->events[e].label = pmf_strdup(e ? "faults" : "cycles");
		p->events[e].samples = e ? 7 : 200;
		p->events[e].weight = p->events[e].counted = e ? 7 : 2000;
	}
	p->events[0].scale = 2;
	p->events[0].weight_sq = 2000. * 2000 / 100; /* worth 100 of 200 samples */
}

static void build_filtered(struct pmf_tree *t, const struct pmf_profile *p,
	struct pmf_tree_opts *opts, const char *focus, const char *ignore)
{
	struct pmf_err err = PMF_ERR_INIT;

	memset(opts, 0, sizeof *opts);
	assert_true(!focus || pmf_regex_add(&opts->focus, focus, "--focus", &err) == 0);
	assert_true(!ignore || pmf_regex_add(&opts->ignore, ignore, "--ignore", &err) == 0);
	pmf_tree_build(t, p, opts);
}

static void release_filtered(struct pmf_tree *t, struct pmf_tree_opts *opts)
{
	pmf_tree_release(t);
	pmf_regex_free(opts->focus);
	pmf_regex_free(opts->ignore);
}

static void a_filter_takes_whole_stacks(void **state)
{
	static const struct {
		const char *focus, *ignore;
		double shown, shown2;
		size_t nodes;
	} cases[] = {
		{NULL, NULL, 4000, 7, 8},
		{"^work$", NULL, 2000, 7, 7}, /* frames below and above what matches stay */
		{"sweep|parse", NULL, 1800, 7, 7},
		{"work", "^gc$", 800, 0, 5},
		{NULL, "work", 2000, 0, 4},
		{"nothing", NULL, 0, 0, 1},
		{"^all$", NULL, 0, 0, 1}, /* the root is no frame of a stack */
		{"main", "main", 0, 0, 1},
	};
	struct pmf_tree_opts opts;
	struct pmf_profile p;
	struct pmf_tree t;

	(void)state;
	fill_for_filters(&p);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		build_filtered(&t, &p, &opts, cases[i].focus, cases[i].ignore);
		assert_true(pmf_tree_total(&t, 0, 0) == cases[i].shown);
		assert_true(pmf_tree_total(&t, 1, 0) == cases[i].shown2);
		assert_int_equal(t.nr_nodes, cases[i].nodes);
		assert_true(t.whole[0] == 4000 && t.whole[1] == 7);
		release_filtered(&t, &opts);
	}
	pmf_profile_release(&p);
}

static void a_filter_says_what_it_shows(void **state)
{
	struct pmf_buf text = PMF_BUF_INIT;
	struct pmf_tree_opts opts;
	struct pmf_profile p;
	struct pmf_tree t;

	(void)state;
	fill_for_filters(&p);
	build_filtered(&t, &p, &opts, "work", "gc");
	pmf_tree_ledger(&t, 0, &text);
	assert_non_null(strstr(pmf_buf_str(&text),
		"shown: cycles 800 of 4,000 (20.00%), 40 of 200 samples · only stacks with 'work' · "
		"without 'gc'\ncycles: 4,000 events counted"));
	assert_true(pmf_tree_effective_samples(&t, 0) == 20);
	assert_true(pmf_tree_effective_samples(&t, 1) == 0);
	/* No more samples were joined than there are. */
	assert_int_equal(pmf_tree_joined(&t, 0, 0), 40);
	release_filtered(&t, &opts);
	pmf_buf_clear(&text);
	build_filtered(&t, &p, &opts, NULL, NULL);
	pmf_tree_ledger(&t, 0, &text);
	assert_true(strncmp(pmf_buf_str(&text), "cycles: ", 8) == 0);
	assert_int_equal(pmf_tree_joined(&t, 0, 0), 50);
	release_filtered(&t, &opts);
	pmf_buf_release(&text);
	pmf_profile_release(&p);
}

/* A line for each node, as far from the margin as it is deep: name, total, self. */
static char *tree_text(const struct pmf_tree *t, size_t event)
{
	struct pmf_buf out = PMF_BUF_INIT;

	for (uint32_t i = 0; i < t->nr_nodes; i++)
		pmf_buf_printf(&out, "%*s%s %.0f %.0f\n", (int)t->nodes[i].depth, "",
			func_name(t, i), pmf_tree_total(t, event, i), pmf_tree_self(t, event, i));
	return pmf_buf_detach(&out);
}

static void a_reversed_tree_has_callers_upon_what_they_call(void **state)
{
	struct pmf_profile p;
	struct pmf_tree t, r;
	char *text;

	(void)state;
	fill_for_filters(&p);
	pmf_tree_build(&t, &p, NULL);
	pmf_tree_reverse(&r, &t, 0, 0);
	text = tree_text(&r, 0);
	assert_string_equal(text, "all 4000 0\n"
				  " other 2000 0\n"
				  "  main 2000 0\n"
				  "   app 2000 2000\n"
				  " parse 600 0\n"
				  "  work 600 0\n"
				  "   main 600 0\n"
				  "    app 600 600\n"
				  " sweep 1200 0\n"
				  "  gc 1200 0\n"
				  "   work 1200 0\n"
				  "    main 1200 0\n"
				  "     app 1200 1200\n"
				  " work 200 0\n"
				  "  main 200 0\n"
				  "   app 200 200\n");
	free(text);
	/* The other event is beside it, samples too, and links lead where the order does. */
	assert_true(pmf_tree_total(&r, 1, 0) == 7 && pmf_tree_total(&r, 1, 8) == 7);
	assert_true(pmf_tree_samples(&r, 0, 8) == 60 && pmf_tree_samples_self(&r, 0, 12) == 60);
	assert_int_equal(r.nodes[0].first_child, 1);
	assert_int_equal(r.nodes[1].next_sibling, 4);
	assert_int_equal(r.max_depth, 5);
	pmf_tree_release(&r);
	pmf_tree_reverse(&r, &t, 0, 700);
	text = tree_text(&r, 0);
	assert_non_null(strstr(text, " parse 600 600\n sweep 1200 0\n"));
	assert_non_null(strstr(text, "\n work 200 200\n"));
	free(text);
	pmf_tree_release(&r);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

static void every_function_has_its_costs(void **state)
{
	struct pmf_func_cost costs[8];
	struct pmf_profile p;
	struct pmf_tree t;

	(void)state;
	fill_for_filters(&p);
	pmf_tree_build(&t, &p, NULL);
	assert_int_equal(t.nr_funcs, 8);
	pmf_tree_costs(&t, 0, false, costs);
	for (uint32_t f = 0; f < t.nr_funcs; f++) {
		const char *name = pmf_strtab_get(&p.strings, t.funcs[f].name);

		assert_int_equal(costs[f].func, f);
		if (strcmp(name, "work") == 0)
			assert_true(costs[f].self == 200 && costs[f].total == 2000);
		if (strcmp(name, "gc") == 0)
			assert_true(costs[f].self == 0 && costs[f].total == 1200);
	}
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

static void frames_of_one_function_merge_and_siblings_are_in_order(void **state)
{
	struct pmf_profile p;
	struct pmf_tree t;
	uint32_t f[3];

	(void)state;
	pmf_profile_init(&p, 1);
	for (uint32_t i = 0; i < 3; i++) {
		f[i] = pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 0, 0, 0, 0x10 + i);
		pmf_profile_name_frame(&p, f[i], i == 1 ? "zeta" : "same", NULL, i);
	}
	pmf_profile_add(&p, 0, pmf_profile_node(&p, 0, f[1]), 1, 1);
	pmf_profile_add(&p, 0, pmf_profile_node(&p, 0, f[0]), 2, 1);
	pmf_profile_add(&p, 0, pmf_profile_node(&p, 0, f[2]), 4, 1);
	pmf_profile_add(&p, 0, named(&p, 0, "alpha"), 8, 1);
	p.events[0].scale = 1.5;
	pmf_tree_build(&t, &p, NULL);
	assert_int_equal(t.nr_nodes, 4);
	assert_string_equal(func_name(&t, 1), "alpha");
	assert_string_equal(func_name(&t, 2), "same");
	assert_string_equal(func_name(&t, 3), "zeta");
	assert_int_equal(t.nodes[0].first_child, 1);
	assert_int_equal(t.nodes[1].next_sibling, 2);
	assert_int_equal(t.nodes[3].next_sibling, UINT32_MAX);
	assert_true(pmf_tree_total(&t, 0, 2) == 9);
	assert_true(pmf_tree_total(&t, 0, 0) == 22.5);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

static void top_counts_recursion_once_and_leaves_specials_out(void **state)
{
	struct pmf_profile p;
	struct pmf_tree t;
	struct pmf_func_cost top[4];
	uint32_t a, b, special;

	(void)state;
	pmf_profile_init(&p, 1);
	a = named(&p, 0, "fib");
	b = named(&p, a, "fib");
	pmf_profile_add(&p, 0, named(&p, b, "leaf"), 30, 3);
	pmf_profile_add(&p, 0, b, 20, 2);
	special = pmf_profile_frame_named(&p, PMF_FRAME_SPECIAL, "[unsampled]");
	pmf_profile_add(&p, 0, pmf_profile_node(&p, 0, special), 500, 0);
	pmf_tree_build(&t, &p, NULL);
	assert_int_equal(pmf_tree_top(&t, 0, false, top, 4), 2);
	assert_string_equal(pmf_strtab_get(&p.strings, t.funcs[top[0].func].name), "leaf");
	assert_true(top[0].self == 30 && top[0].total == 30 && top[0].samples_self == 3);
	assert_string_equal(pmf_strtab_get(&p.strings, t.funcs[top[1].func].name), "fib");
	assert_true(top[1].self == 20 && top[1].total == 50);
	assert_int_equal(pmf_tree_top(&t, 0, false, top, 1), 1);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

static const char *top_name(const struct pmf_tree *t, const struct pmf_func_cost *cost)
{
	return pmf_strtab_get(&t->profile->strings, t->funcs[cost->func].name);
}

static uint32_t of_kind(
	struct pmf_profile *p, uint32_t parent, enum pmf_frame_kind kind, const char *name)
{
	return pmf_profile_node(p, parent, pmf_profile_frame_named(p, kind, name));
}

static void top_of_the_user_side_is_who_called_into_the_kernel(void **state)
{
	struct pmf_profile p;
	struct pmf_tree t;
	struct pmf_func_cost top[5];
	uint32_t proc, reader, waiter, node;

	(void)state;
	pmf_profile_init(&p, 1);
	proc = of_kind(&p, 0, PMF_FRAME_PROCESS, "app");
	reader = named(&p, proc, "read");
	waiter = named(&p, reader, "poll");
	for (int i = 0; i < 2; i++) {
		node = of_kind(&p, i ? waiter : reader, PMF_FRAME_KERNEL, "do_syscall_64");
		pmf_profile_add(&p, 0, of_kind(&p, node, PMF_FRAME_KERNEL, "schedule"),
			i ? 100 : 30, i ? 10 : 3);
	}
	pmf_profile_add(&p, 0, waiter, 5, 1);
	/* Without a function of the program: a kernel thread, and a stack cut at the border. */
	pmf_profile_add(&p, 0, of_kind(&p, proc, PMF_FRAME_KERNEL, "kthread"), 20, 2);
	node = of_kind(&p, proc, PMF_FRAME_SPECIAL, "[truncated stack]");
	pmf_profile_add(&p, 0, of_kind(&p, node, PMF_FRAME_KERNEL, "irq"), 10, 1);
	pmf_tree_build(&t, &p, NULL);
	assert_int_equal(pmf_tree_top(&t, 0, true, top, 5), 4);
	assert_string_equal(top_name(&t, &top[0]), "poll");
	assert_true(top[0].self == 105 && top[0].total == 105 && top[0].samples_self == 11);
	assert_string_equal(top_name(&t, &top[1]), "read");
	assert_true(top[1].self == 30 && top[1].total == 135 && top[1].samples_self == 3);
	assert_string_equal(top_name(&t, &top[2]), "kthread");
	assert_true(top[2].self == 20);
	assert_string_equal(top_name(&t, &top[3]), "irq");
	assert_true(top[3].self == 10);
	assert_int_equal(pmf_tree_top(&t, 0, false, top, 5), 4);
	assert_string_equal(top_name(&t, &top[0]), "schedule");
	assert_true(top[0].self == 130);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

static void a_million_nodes_and_a_deep_stack_build(void **state)
{
	enum { WIDE = 1000, NODES = 1000 * 1000, DEEP = 100 * 1000 };
	struct pmf_profile p;
	struct pmf_tree t;
	uint32_t at = 0;

	(void)state;
	pmf_profile_init(&p, 1);
	for (uint32_t i = 0; i < NODES; i++) {
		uint32_t frame = pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 0, 0, 0, i % WIDE);
		char name[32];

		if (i < WIDE) {
			snprintf(name, sizeof name, "f%u", i);
			pmf_profile_name_frame(&p, frame, name, NULL, 0);
		}
		at = pmf_profile_node(&p, i < WIDE ? 0 : i / WIDE, frame);
		pmf_profile_add(&p, 0, at, 1, 1);
	}
	for (int i = 0; i < DEEP; i++)
		at = named(&p, at, "deep");
	pmf_profile_add(&p, 0, at, 1, 1);
	pmf_tree_build(&t, &p, NULL);
	assert_true(pmf_tree_total(&t, 0, 0) == NODES + 1);
	assert_true(t.max_depth > DEEP);
	for (uint32_t i = 1; i < t.nr_nodes; i++)
		assert_true(t.nodes[i].parent < i);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

static void joined_stacks_reach_from_where_they_were_joined_to_the_root(void **state)
{
	struct pmf_buf out = PMF_BUF_INIT;
	struct pmf_profile p, other;
	uint32_t outer, inner, leaf, *nodes;
	struct pmf_tree t;

	(void)state;
	pmf_profile_init(&p, 2);
	pmf_profile_init(&other, 2);
	/* Several readers' are added up, whichever has seen them first. */
	outer = named(&other, 0, "outer");
	inner = named(&other, outer, "inner");
	leaf = named(&other, inner, "leaf");
	pmf_profile_add(&other, 1, leaf, 1, 5);
	pmf_profile_add_joined(&other, 1, inner, 2);
	pmf_profile_add_joined(&other, 1, outer, 1);
	other.events[1].joined_stacks = 3;
	other.events[1].samples = 5;
	for (int i = 0; i < 2; i++) {
		nodes = pmf_profile_absorb(&p, &other, NULL);
		free(nodes);
	}
	pmf_tree_build(&t, &p, NULL);
	for (uint32_t i = 0; i < t.nr_nodes; i++) {
		static const uint64_t want[] = {6, 6, 4, 0}; /* all, outer, inner, leaf */

		assert_int_equal(pmf_tree_joined(&t, 1, i), want[t.nodes[i].depth]);
		assert_int_equal(pmf_tree_joined(&t, 0, i), 0);
	}
	pmf_profile_ledger(&p, 1, &out);
	assert_non_null(strstr(pmf_buf_str(&out), "stacks: rooted 0 (0.00%) · joined 6 (60.00%) · "
						  "cut 0 (0.00%)"));
	pmf_buf_release(&out);
	pmf_tree_release(&t);
	pmf_profile_release(&other);
	/* Columns grow with the nodes, and where nothing was joined there is none. */
	for (uint32_t i = 0, at = 0; i < 1000; i++)
		at = named(&p, at, i % 2 ? "a" : "b");
	pmf_profile_add_joined(&p, 1, (uint32_t)p.nr_nodes - 1, 1);
	pmf_tree_build(&t, &p, NULL);
	assert_int_equal(pmf_tree_joined(&t, 1, 0), 7);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inlined_callees_stand_below_their_function),
		cmocka_unit_test(a_filter_takes_whole_stacks),
		cmocka_unit_test(a_filter_says_what_it_shows),
		cmocka_unit_test(a_reversed_tree_has_callers_upon_what_they_call),
		cmocka_unit_test(every_function_has_its_costs),
		cmocka_unit_test(frames_of_one_function_merge_and_siblings_are_in_order),
		cmocka_unit_test(top_counts_recursion_once_and_leaves_specials_out),
		cmocka_unit_test(top_of_the_user_side_is_who_called_into_the_kernel),
		cmocka_unit_test(a_million_nodes_and_a_deep_stack_build),
		cmocka_unit_test(joined_stacks_reach_from_where_they_were_joined_to_the_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
