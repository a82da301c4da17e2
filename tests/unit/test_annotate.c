/* Annotated source: which lines are shown, with which costs, and text that steers no terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/mem.h"
#include "pmuflame/render.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t at(struct pmf_profile *p, uint32_t parent, const char *name, const char *file,
	uint32_t start, uint32_t line)
{
	uint32_t frame = pmf_profile_frame_at(
		p, PMF_FRAME_NATIVE, 0, pmf_strtab_addz(&p->strings, "app"), 0, p->nr_frames);

	pmf_profile_name_frame(p, frame, name, file, line);
	pmf_profile_set_start_line(p, frame, start);
	return pmf_profile_node(p, parent, frame);
}

/* walk, from line 3 on, calls itself in line 4, has get inlined in line 6 and code of another file. */
static void fill(struct pmf_profile *p)
{
	uint32_t node;

	pmf_profile_init(p, 2);
	for (size_t e = 0; e < 2; e++) {
		p->events[e].label = pmf_strdup(e ? "cache-misses" : "cycles");
		p->events[e].unit = pmf_strdup("events");
		p->events[e].samples = p->events[e].counted = p->events[e].weight = 100;
	}
	node = at(p, 0, "walk", "walk.c", 3, 4);
	node = at(p, node, "walk", "walk.c", 3, 4);
	pmf_profile_add(p, 0, node, 20, 20);
	node = at(p, node, "walk", "walk.c", 3, 6);
	pmf_profile_add_inline(p, p->nodes[node].frame, "get", "get.h", 2);
	pmf_profile_add(p, 0, node, 70, 70);
	pmf_profile_add(p, 1, node, 100, 100);
	node = at(p, 0, "walk", "walk.c", 3, 0);
	pmf_profile_add(p, 0, node, 10, 10);
}

static const struct pmf_code_text *give(void *ctx, const char *file)
{
	static const struct pmf_code_text nothing = {.note = "cannot open it"};

	return strcmp(file, "walk.c") == 0 ? ctx : &nothing;
}

static char *render(const struct pmf_profile *p, const char *name, const struct pmf_code_text *text,
	const struct pmf_annotation_view *v)
{
	struct pmf_tree_opts opts = {0};
	struct pmf_table funcs, lines;
	struct pmf_tree tree;
	uint32_t wanted = 0;
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	assert_non_null(f);
	pmf_table_needs(PMF_BY_SOURCE, &opts);
	pmf_tree_build(&tree, p, &opts);
	pmf_table_build(&funcs, &tree, PMF_BY_SOURCE);
	pmf_table_build(&lines, &tree, PMF_BY_SOURCE_LINE);
	while (strcmp(funcs.rows[wanted].name, name) != 0)
		assert_true(++wanted < funcs.n);
	pmf_render_annotation(f,
		&(struct pmf_annotation){
			&funcs, &lines, &wanted, 1, {give, (void *)(uintptr_t)text}},
		v);
	fclose(f);
	pmf_table_release(&lines);
	pmf_table_release(&funcs);
	pmf_tree_release(&tree);
	return out;
}

/* The listing alone, without the ledger's lines. */
static void assert_listing(const char *name, const struct pmf_code_text *text,
	const struct pmf_annotation_view *v, const char *expected)
{
	struct pmf_profile p;
	char *out;

	fill(&p);
	out = render(&p, name, text, v);
	assert_string_equal(strstr(out, "\n\n") + 2, expected);
	free(out);
	pmf_profile_release(&p);
}

static const char *const code[] = {
	"#include <x>", "", "int walk(int n)", "{ walk(n);", "", "\treturn get(n);", "}", "//"};
static const struct pmf_code_text walk_c = {"./walk.c", NULL, code, 8};

static void a_function_is_shown_with_every_counter(void **state)
{
	struct pmf_annotation_view v = {.context = SIZE_MAX};

	(void)state;
	assert_listing("walk", &walk_c, &v,
		"walk  ./walk.c:3\n"
		"            cycles      cache-misses\n"
		"     self    total     self    total    line\n"
		"                                           3  int walk(int n)\n"
		"   20.00%   90.00%           100.00%       4  { walk(n);\n"
		"                                           5\n"
		"            70.00%           100.00%       6          return get(n);\n"
		"                                           7  }\n"
		"                                           8  //\n"
		"   10.00%   10.00%                         -  (of another file, or no line is known)\n"
		"   30.00%  100.00%           100.00%     all\n");
}

static void what_is_shown_can_be_chosen(void **state)
{
	static const bool first[] = {true, false};
	struct pmf_annotation_view v = {.context = 0, .events = first, .self_only = true};

	(void)state;
	assert_listing("walk", &walk_c, &v,
		"walk  ./walk.c:3\n"
		"        cycles\n"
		"          self    line\n"
		"                     3  int walk(int n)\n"
		"        20.00%       4  { walk(n);\n"
		"                     …\n"
		"                     6          return get(n);\n"
		"        10.00%       -  (of another file, or no line is known)\n"
		"        30.00%     all\n");
}

static void lines_without_text_have_their_costs(void **state)
{
	static const struct pmf_code_text cut = {"walk.c", NULL, code, 4};
	struct pmf_annotation_view v = {.context = SIZE_MAX, .self_only = true};

	(void)state;
	assert_listing("get", &walk_c, &v,
		"get  get.h\n"
		"warning: cannot open it\n"
		"        cycles  cache-misses\n"
		"          self          self    line\n"
		"        70.00%       100.00%       2\n"
		"        70.00%       100.00%     all\n");
	assert_listing("walk", &cut, &v,
		"walk  walk.c:3\n"
		"warning: 'walk.c' has 4 lines, and the profile line 6: it is another version\n"
		"        cycles  cache-misses\n"
		"          self          self    line\n"
		"                                   3  int walk(int n)\n"
		"        20.00%                     4  { walk(n);\n"
		"                                   …\n"
		"                                   6\n"
		"        10.00%                     -  (of another file, or no line is known)\n"
		"        30.00%                   all\n");
}

static void the_last_of_all_lines_ends_it(void **state)
{
	struct pmf_annotation_view v = {.context = SIZE_MAX};
	struct pmf_profile p;
	char *out;

	(void)state;
	pmf_profile_init(&p, 1);
	pmf_profile_add(&p, 0, at(&p, 0, "f", "walk.c", UINT32_MAX, UINT32_MAX), 1, 1);
	pmf_profile_add(&p, 0, at(&p, 0, "f", "walk.c", UINT32_MAX, 1), 1, 1);
	out = render(&p, "f", &walk_c, &v);
	assert_non_null(strstr(out, " 4294967295\n"));
	assert_non_null(strstr(out, "1  #include"));
	free(out);
	v.context = UINT32_MAX;
	out = render(&p, "f", &walk_c, &v);
	assert_non_null(strstr(out, "8  //\n"));
	free(out);
	pmf_profile_release(&p);
}

static void long_functions_are_shown_around_their_costs(void **state)
{
	struct pmf_annotation_view v = {.context = SIZE_MAX};
	struct pmf_code_text text = {"walk.c", NULL, NULL, 1000};
	const char **lines = pmf_calloc(1000, sizeof *lines);
	struct pmf_profile p;
	size_t shown = 0;
	char *out;

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		lines[i] = "x;";
	text.lines = lines;
	pmf_profile_init(&p, 1);
	pmf_profile_add(&p, 0, at(&p, 0, "f", "walk.c", 10, 100), 1, 1);
	pmf_profile_add(&p, 0, at(&p, 0, "f", "walk.c", 10, 600), 1, 1);
	out = render(&p, "f", &text, &v);
	for (const char *c = out; (c = strstr(c, "  x;\n")); c++)
		shown++;
	assert_int_equal(shown, 1 + 11 + 11);
	assert_non_null(strstr(out, "10  x;\n"));
	free(out);
	free(lines);
	pmf_profile_release(&p);
}

static void code_from_outside_is_safe(void **state)
{
	static const char *const lines[] = {"\ta\tb", "\xe4\xb8\xad\xe6\x96\x87 \"\\</script>",
		"\x1b[31m\xe2\x80\xae \xff", "0123456789012345678901234567890123456789+more"};
	static const struct pmf_code_text text = {"walk.c", NULL, lines, 4};
	struct pmf_annotation_view v = {.context = SIZE_MAX, .columns = 60};
	struct pmf_profile p;
	char *out;

	(void)state;
	pmf_profile_init(&p, 1);
	pmf_profile_add(&p, 0, at(&p, 0, "f", "walk.c", 1, 4), 1, 1);
	out = render(&p, "f", &text, &v);
	assert_non_null(strstr(out, "1          a       b\n"));
	assert_non_null(strstr(out, "3  ␛[31m<U+202E> \xef\xbf\xbd\n"));
	assert_non_null(strstr(out, "4  012345678901234567890123456789012345678…\n"));
	free(out);
	v.colours = true;
	out = render(&p, "f", &text, &v);
	assert_non_null(
		strstr(out, " \033[1;31m 100.00%\033[m \033[1;31m 100.00%\033[m       4  0123"));
	free(out);
	v.form = PMF_TABLE_JSON;
	out = render(&p, "f", &text, &v);
	assert_non_null(strstr(out, "\"text\":\"        a       b\""));
	assert_non_null(strstr(out, "\"text\":\"中文 \\\"\\\\\\u003c/script\\u003e\""));
	assert_non_null(strstr(out, "789+more\""));
	free(out);
	pmf_profile_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_function_is_shown_with_every_counter),
		cmocka_unit_test(what_is_shown_can_be_chosen),
		cmocka_unit_test(lines_without_text_have_their_costs),
		cmocka_unit_test(the_last_of_all_lines_ends_it),
		cmocka_unit_test(long_functions_are_shown_around_their_costs),
		cmocka_unit_test(code_from_outside_is_safe),
	};

	return cmocka_run_group_tests_name("annotate", tests, NULL, NULL);
}
