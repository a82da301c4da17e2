/* Tables of a tree's costs, their errors and ratios. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/mem.h"
#include "pmuflame/render.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t at(struct pmf_profile *p, uint32_t parent, enum pmf_frame_kind kind,
	const char *module, const char *name, const char *file, uint32_t line)
{
	uint32_t frame;

	if (kind == PMF_FRAME_PROCESS || kind == PMF_FRAME_THREAD || kind == PMF_FRAME_SPECIAL)
		return pmf_profile_node(p, parent, pmf_profile_frame_named(p, kind, name));
	frame = pmf_profile_frame_at(
		p, kind, 0, pmf_strtab_addz(&p->strings, module), 0, p->nr_frames);
	pmf_profile_name_frame(p, frame, name, file, line);
	return pmf_profile_node(p, parent, frame);
}

/* Two threads; recursion of walk; two lines of a Python function and two of a native one. */
static void fill(struct pmf_profile *p)
{
	static const char *const labels[] = {"cycles", "instructions", "L1-dcache-load-misses"};
	uint32_t app, main, worker, walk, py;

	pmf_profile_init(p, 3);
	for (size_t e = 0; e < 3; e++) {
		p->events[e].label = pmf_strdup(labels[e]);
		p->events[e].unit = pmf_strdup("events");
	}
	app = at(p, 0, PMF_FRAME_PROCESS, "", "app", NULL, 0);
	main = at(p, app, PMF_FRAME_THREAD, "", "app", NULL, 0);
	worker = at(p, app, PMF_FRAME_THREAD, "", "worker (7)", NULL, 0);
	walk = at(p, main, PMF_FRAME_NATIVE, "app", "walk", "walk.c", 10);
	pmf_profile_add(p, 0, walk, 100, 10);
	walk = at(p, walk, PMF_FRAME_NATIVE, "app", "walk", "walk.c", 11);
	pmf_profile_add(p, 0, walk, 300, 30);
	pmf_profile_add(p, 1, walk, 600, 60);
	pmf_profile_add(p, 2, walk, 3, 3);
	py = at(p, worker, PMF_FRAME_PYTHON, "loop.py", "loop (loop.py:3)", "/x/loop.py", 3);
	pmf_profile_add(p, 0, py, 200, 20);
	py = at(p, worker, PMF_FRAME_PYTHON, "loop.py", "loop (loop.py:4)", "/x/loop.py", 4);
	pmf_profile_add(p, 0, at(p, py, PMF_FRAME_KERNEL, "[kernel]", "read", NULL, 0), 250, 25);
	pmf_profile_add(p, 0, at(p, app, PMF_FRAME_SPECIAL, "", "[unsampled]", NULL, 0), 150, 0);
	p->events[0].samples = 85;
	p->events[0].weight = 850;
	p->events[0].counted = 1000;
	p->events[0].unsampled = 150;
	p->events[1].samples = 60;
	p->events[1].weight = p->events[1].counted = 600;
	p->events[2].samples = 3;
	p->events[2].weight = p->events[2].counted = 3;
}

static void build(const struct pmf_profile *p, enum pmf_table_by by, struct pmf_tree *tree,
	struct pmf_table *t)
{
	struct pmf_tree_opts opts = {0};

	pmf_table_needs(by, &opts);
	pmf_tree_build(tree, p, &opts);
	pmf_table_build(t, tree, by);
}

/* "name self total samples" of event 0 in order. */
static void assert_rows_of(void (*fill_in)(struct pmf_profile *), enum pmf_table_by by,
	bool by_total, const char *expected)
{
	struct pmf_buf text = PMF_BUF_INIT;
	struct pmf_profile p;
	struct pmf_table t;
	struct pmf_tree tree;
	double self = 0;
	uint32_t *rows;
	size_t n;

	fill_in(&p);
	build(&p, by, &tree, &t);
	rows = pmf_table_order(&t, 0, by_total, &n);
	for (size_t i = 0; i < n; i++) {
		const struct pmf_table_row *r = &t.rows[rows[i]];

		self += pmf_table_self(&t, 0, rows[i]);
		pmf_buf_printf(&text, "%s|%s:%u %.0f %.0f %u %u\n", r->module, r->name, r->line,
			pmf_table_self(&t, 0, rows[i]), pmf_table_total(&t, 0, rows[i]),
			(unsigned)pmf_table_samples_self(&t, 0, rows[i]),
			(unsigned)pmf_table_samples_total(&t, 0, rows[i]));
	}
	assert_string_equal(pmf_buf_str(&text), expected);
	assert_true(self == pmf_tree_total(&tree, 0, 0)); /* nothing is missing */
	free(rows);
	pmf_buf_release(&text);
	pmf_table_release(&t);
	pmf_tree_release(&tree);
	pmf_profile_release(&p);
}

static void assert_rows(enum pmf_table_by by, bool by_total, const char *expected)
{
	assert_rows_of(fill, by, by_total, expected);
}

static void functions_count_recursion_once_and_their_lines_together(void **state)
{
	(void)state;
	assert_rows(PMF_BY_FUNCTION, false,
		"app|walk:0 400 400 40 40\n"
		"[kernel]|read:0 250 250 25 25\n"
		"loop.py|loop (loop.py):0 200 450 20 45\n"
		"|[unsampled]:0 150 150 0 0\n");
	assert_rows(PMF_BY_FUNCTION, true,
		"loop.py|loop (loop.py):0 200 450 20 45\n"
		"app|walk:0 400 400 40 40\n"
		"[kernel]|read:0 250 250 25 25\n"
		"|[unsampled]:0 150 150 0 0\n");
}

static void lines_are_told_apart(void **state)
{
	(void)state;
	assert_rows(PMF_BY_LINE, false,
		"app|walk:11 300 300 30 30\n"
		"[kernel]|read:0 250 250 25 25\n"
		"loop.py|loop (loop.py:3):3 200 200 20 20\n"
		"|[unsampled]:0 150 150 0 0\n"
		"app|walk:10 100 400 10 40\n"
		"loop.py|loop (loop.py:4):4 0 250 0 25\n");
}

/* sum, a template of two types, calls itself from line 7 and has get inlined at lines 7 and 8; get is
 * also a function of its own in a library. */
static void fill_source(struct pmf_profile *p)
{
	static const char *const names[] = {"sum<int>", "sum<char>"};
	uint32_t line7[2], line8, node;

	pmf_profile_init(p, 2);
	for (size_t e = 0; e < 2; e++) {
		p->events[e].label = pmf_strdup(e ? "cache-misses" : "cycles");
		p->events[e].unit = pmf_strdup("events");
	}
	for (int i = 0; i < 2; i++) {
		line7[i] = at(p, i ? line7[0] : 0, PMF_FRAME_NATIVE, "app", names[i], "sum.h", 7);
		pmf_profile_add_inline(p, p->nodes[line7[i]].frame, "get", "get.h", 3);
		pmf_profile_add(p, 0, line7[i], 10, 1);
	}
	line8 = at(p, line7[1], PMF_FRAME_NATIVE, "app", "sum<int>", "sum.h", 8);
	pmf_profile_add_inline(p, p->nodes[line8].frame, "get", "get.h", 3);
	pmf_profile_add(p, 0, line8, 20, 2);
	pmf_profile_add(p, 1, line8, 500, 5);
	node = at(p, line7[0], PMF_FRAME_NATIVE, "libget.so", "get", "get.h", 3);
	pmf_profile_add(p, 0, node, 40, 4);
	/* Code of sum that stands in another file. */
	node = at(p, line7[0], PMF_FRAME_NATIVE, "app", "sum<int>", "sum.h", 0);
	pmf_profile_add(p, 0, node, 1, 1);
	node = at(p, line7[0], PMF_FRAME_NATIVE, "libc.so", "strlen", NULL, 0);
	pmf_profile_add(p, 0, node, 5, 1);
	p->events[0].samples = 10;
	p->events[0].weight = p->events[0].counted = 86;
	p->events[1].samples = 5;
	p->events[1].weight = p->events[1].counted = 500;
}

static void lines_are_the_sources_whatever_function_has_them(void **state)
{
	(void)state;
	assert_rows_of(fill_source, PMF_BY_LINE, false,
		"[several]|get:3 80 86 8 10\n"
		"libc.so|strlen:0 5 5 1 1\n"
		"app|sum<int>:0 1 1 1 1\n"
		/* Once each, however often they are on a stack. */
		"app|sum<char> and others:7 0 86 0 10\n"
		"app|sum<int>:8 0 20 0 2\n");
}

static void functions_of_the_source_have_their_lines(void **state)
{
	struct pmf_table funcs, lines;
	struct pmf_profile p;
	struct pmf_tree tree;
	uint32_t *rows;
	size_t n;

	(void)state;
	assert_rows_of(fill_source, PMF_BY_SOURCE, false,
		"[several]|get:0 80 86 8 10\n"
		"libc.so|strlen:0 5 5 1 1\n"
		"app|sum<int>:0 1 86 1 10\n"
		"app|sum<char>:0 0 30 0 3\n");
	fill_source(&p);
	build(&p, PMF_BY_SOURCE, &tree, &funcs);
	pmf_table_build(&lines, &tree, PMF_BY_SOURCE_LINE);
	for (size_t f = 0; f < funcs.n; f++) {
		if (strcmp(funcs.rows[f].name, "sum<int>") != 0)
			continue;
		rows = pmf_table_lines(&lines, &funcs.rows[f], &n);
		assert_int_equal(n, 3);
		assert_int_equal(lines.rows[rows[0]].line, 0);
		assert_int_equal(lines.rows[rows[1]].line, 7);
		assert_int_equal(lines.rows[rows[2]].line, 8);
		/* What is inlined into a line is its total, of every event. */
		assert_true(pmf_table_total(&lines, 0, rows[1]) == 86);
		assert_true(pmf_table_total(&lines, 0, rows[2]) == 20);
		assert_true(pmf_table_total(&lines, 1, rows[1]) == 500);
		assert_true(pmf_table_self(&lines, 1, rows[2]) == 0);
		free(rows);
	}
	pmf_table_release(&lines);
	pmf_table_release(&funcs);
	pmf_tree_release(&tree);
	pmf_profile_release(&p);
}

static void modules_threads_and_processes_add_up(void **state)
{
	(void)state;
	assert_rows(PMF_BY_MODULE, false,
		"|app:0 400 400 40 40\n"
		"|[kernel]:0 250 250 25 25\n"
		"|loop.py:0 200 450 20 45\n"
		"|[unsampled]:0 150 150 0 0\n");
	assert_rows(PMF_BY_THREAD, false,
		"app|worker (7):0 450 450 45 45\n"
		"app|app:0 400 400 40 40\n"
		"|app:0 150 150 0 0\n");
	assert_rows(PMF_BY_PROCESS, false, "|app:0 1000 1000 85 85\n");
}

/* Two processes have a thread of one name, which is one row, and neither's. */
static void threads_of_one_name_are_of_several_processes(void **state)
{
	struct pmf_tree_opts opts = {0};
	struct pmf_profile p;
	struct pmf_table table;
	struct pmf_tree tree;
	uint32_t node;

	(void)state;
	pmf_profile_init(&p, 1);
	for (int i = 0; i < 2; i++) {
		node = at(&p, 0, PMF_FRAME_PROCESS, "", i ? "one" : "other", NULL, 0);
		node = at(&p, node, PMF_FRAME_THREAD, "", "worker", NULL, 0);
		pmf_profile_add(&p, 0, node, 10, 1);
	}
	pmf_table_needs(PMF_BY_THREAD, &opts);
	pmf_tree_build(&tree, &p, &opts);
	pmf_table_build(&table, &tree, PMF_BY_THREAD);
	for (size_t i = 0; i < table.n; i++) {
		if (table.rows[i].kind != PMF_FRAME_THREAD)
			continue;
		assert_string_equal(table.rows[i].module, "[several]");
		assert_true(pmf_table_self(&table, 0, i) == 20);
	}
	pmf_table_release(&table);
	pmf_tree_release(&tree);
	pmf_profile_release(&p);
}

static void errors_are_those_of_shares(void **state)
{
	(void)state;
	assert_true(fabs(pmf_share_error(0.5, 10000) - 0.0098) < 1e-12);
	assert_true(fabs(pmf_share_error(0.1, 900) - 0.0196) < 1e-12);
	assert_true(pmf_share_error(0, 100) == 0 && pmf_share_error(1, 100) == 0);
	assert_true(pmf_share_error(0.3, 0) == 0);
}

static void ratios_are_of_the_same_code(void **state)
{
	struct pmf_profile p;
	struct pmf_ratio r;

	(void)state;
	fill(&p);
	assert_true(pmf_ratio_of(&p, 0, &r));
	assert_true(r.num == 0 && r.den == 1 && r.per == 1);
	assert_false(pmf_ratio_of(&p, 1, &r));
	assert_true(pmf_ratio_of(&p, 2, &r));
	assert_true(r.num == 2 && r.den == 1 && r.per == 1000);
	p.events[1].exclude_kernel = true;
	assert_false(pmf_ratio_of(&p, 2, &r));
	p.events[2].exclude_kernel = true;
	assert_true(pmf_ratio_of(&p, 2, &r));
	pmf_profile_release(&p);
}

static char *render_by(
	const struct pmf_profile *p, enum pmf_table_by by, const struct pmf_table_view *v)
{
	struct pmf_table t;
	struct pmf_tree tree;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	build(p, by, &tree, &t);
	pmf_render_table(f, &t, v);
	fclose(f);
	pmf_table_release(&t);
	pmf_tree_release(&tree);
	return text;
}

static char *render(const struct pmf_profile *p, const struct pmf_table_view *v)
{
	return render_by(p, PMF_BY_FUNCTION, v);
}

static void lines_have_all_counters_beside_them(void **state)
{
	static const bool two[] = {true, true, false};
	struct pmf_table_view v = {.max = 3, .events = two, .columns = 80};
	struct pmf_profile p;
	char *text;

	(void)state;
	fill(&p);
	text = render_by(&p, PMF_BY_LINE, &v);
	assert_string_equal(text,
		"cycles: 1,000 events counted · samples 85 stand for 85.00% of the count · lost 0\n"
		"instructions: 600 events counted · samples 60 stand for 100.00% of the count · lost 0\n"
		"ratio 1: cycles per instruction\n"
		"                     cycles               instructions\n"
		"    self    total   samples    self    total   samples  ratio 1  module            line\n"
		"  30.00%   30.00%        30 100.00%  100.00%        60      0.5  app               walk (walk.c:11)\n"
		"  25.00%   25.00%        25                                   -  [kernel]          read\n"
		"  20.00%   20.00%        20                                   -  loop.py           loop (loop.py:3)\n"
		"  25.00%                      0.00%                     in 3 more\n");
	free(text);
	pmf_profile_release(&p);
}

static void text_says_what_it_left_out(void **state)
{
	static const bool first[] = {true, false, false};
	struct pmf_table_view v = {.max = 2, .events = first};
	struct pmf_profile p;
	char *text;

	(void)state;
	fill(&p);
	text = render(&p, &v);
	assert_string_equal(text,
		"cycles: 1,000 events counted · samples 85 stand for 85.00% of the count · lost 0\n"
		"ratio: cycles per instruction\n"
		"    self      ±    total      count   samples    ratio  module            function\n"
		"  40.00%  10.41   40.00%        400        40    0.667  app               walk\n"
		"  25.00%   9.21   25.00%        250        25        -  [kernel]          read\n"
		"  35.00%  in 2 more\n");
	free(text);
	pmf_profile_release(&p);
}

static void hostile_names_stay_in_their_fields(void **state)
{
	struct pmf_table_view csv = {.form = PMF_TABLE_CSV}, json = {.form = PMF_TABLE_JSON};
	struct pmf_table_view text = {.columns = 80};
	struct pmf_profile p;
	char *out;

	(void)state;
	pmf_profile_init(&p, 1);
	p.events[0].label = pmf_strdup("a\"b");
	pmf_profile_add(&p, 0,
		at(&p, 0, PMF_FRAME_NATIVE, "m,\n", "say \"hi\"\\\r\n\x1b[31m</script>", NULL, 0),
		5, 5);
	p.events[0].samples = p.events[0].weight = p.events[0].counted = 5;
	out = render(&p, &csv);
	assert_non_null(strstr(out, "\"a\"\"b\",\"events\",\"say \"\"hi\"\"\\␍␊␛[31m</script>\","
				    "\"native\",\"m,␊\",\"\",,5,1,0,5,1,0,5,5,,\r\n"));
	free(out);
	out = render(&p, &json);
	assert_non_null(strstr(out, "\"name\":\"say \\\"hi\\\"\\\\␍␊␛[31m\\u003c/script\\u003e\""));
	assert_non_null(strstr(out, "\"line\":null"));
	assert_non_null(strstr(out, "\"ratio\":null,\"start_line\":null}"));
	free(out);
	out = render(&p, &text);
	for (const char *c = out; *c; c++)
		assert_true(*c == '\n' || (unsigned char)*c >= ' ');
	free(out);
	pmf_profile_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_count_recursion_once_and_their_lines_together),
		cmocka_unit_test(lines_are_told_apart),
		cmocka_unit_test(lines_are_the_sources_whatever_function_has_them),
		cmocka_unit_test(functions_of_the_source_have_their_lines),
		cmocka_unit_test(modules_threads_and_processes_add_up),
		cmocka_unit_test(threads_of_one_name_are_of_several_processes),
		cmocka_unit_test(errors_are_those_of_shares),
		cmocka_unit_test(ratios_are_of_the_same_code),
		cmocka_unit_test(lines_have_all_counters_beside_them),
		cmocka_unit_test(text_says_what_it_left_out),
		cmocka_unit_test(hostile_names_stay_in_their_fields),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
