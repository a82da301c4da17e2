/* Renderers against golden files, and the text helpers. After a wanted change, look at the pictures
 * and write the golden files again: GOLDEN_UPDATE=1 tests/unit/test_render (with srcdir set). The
 * page's own style and script are not part of them. */
#include "pmuflame/file.h"
#include "pmuflame/render.h"
#include "render_html_priv.h"
#include "render_priv.h"
#include "sample_profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char *render_sample(const char *kind, const char *format, size_t *len)
{
	const struct pmf_renderer *r = pmf_renderer_by_name(format, strlen(format));
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;
	struct pmf_tree t;
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	assert_non_null(r);
	assert_non_null(f);
	assert_true(sample_profile(&p, kind));
	pmf_tree_build(&t, &p, NULL);
	assert_int_equal(r->render(f, &t, 0, &(struct pmf_render_opts){0}, &err), 0);
	assert_int_equal(fclose(f), 0);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
	return text;
}

static void drop_between(char *text, const char *start, const char *end)
{
	char *from = strstr(text, start), *to;

	assert_non_null(from);
	from += strlen(start);
	to = strstr(from, end);
	assert_non_null(to);
	memmove(from, to, strlen(to) + 1);
}

/* Leave out the script and the fixed part of the style: what stays depends on the profile. */
static void drop_embedded(char *text)
{
	drop_between(text, "<script><![CDATA[", "]]></script>");
	drop_between(text, "<style><![CDATA[", "\n/* palette */");
}

static void compare_with_golden(const char *text, const char *name)
{
	char *path = pmf_asprintf("%s/tests/golden/%s", getenv("srcdir"), name);
	struct pmf_buf want = PMF_BUF_INIT;
	struct pmf_err err = PMF_ERR_INIT;

	if (getenv("GOLDEN_UPDATE")) {
		FILE *f = fopen(path, "w");

		assert_non_null(f);
		fputs(text, f);
		assert_int_equal(fclose(f), 0);
	}
	if (pmf_file_read(path, 1 << 20, &want, &err) != 0)
		fail_msg("%s", err.text);
	if (strcmp(text, pmf_buf_str(&want)) != 0) {
		char *actual = pmf_asprintf("%s/tests/%s.actual", getenv("builddir"), name);
		char *diff = pmf_asprintf("diff -u '%s' '%s' >&2", path, actual);
		FILE *f = fopen(actual, "w");

		assert_non_null(f);
		fputs(text, f);
		assert_int_equal(fclose(f), 0);
		if (system(diff) == 0)
			fail_msg("the files are equal, but what was read is not");
		fail_msg("%s differs from the golden file; the result is in %s", name, actual);
	}
	pmf_buf_release(&want);
	free(path);
}

static void svg_golden(void **state)
{
	static const char *const kinds[] = {"normal", "hostile", "empty"};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(kinds); i++) {
		char *name = pmf_asprintf("%s.svg", kinds[i]);
		size_t len;
		char *text = render_sample(kinds[i], "svg", &len);

		drop_embedded(text);
		compare_with_golden(text, name);
		free(text);
		free(name);
	}
}

static void folded_golden(void **state)
{
	static const char *const kinds[] = {"normal", "hostile"};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(kinds); i++) {
		char *name = pmf_asprintf("%s.folded", kinds[i]);
		size_t len;
		char *text = render_sample(kinds[i], "folded", &len);

		compare_with_golden(text, name);
		free(text);
		free(name);
	}
}

/* The other formats; what made them, whose version changes, is left out. */
static void data_golden(void **state)
{
	static const char *const kinds[] = {"normal", "hostile", "empty"};
	static const char *const formats[][3] = {
		{"speedscope", "\"exporter\":\"", "\""},
		{"callgrind", "creator: ", "\n"},
		{"json", "\"version\":\"", "\""},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(kinds) * PMF_ARRAY_SIZE(formats); i++) {
		const char *kind = kinds[i % PMF_ARRAY_SIZE(kinds)];
		const char *const *format = formats[i / PMF_ARRAY_SIZE(kinds)];
		char *name = pmf_asprintf("%s.%s", kind, format[0]);
		size_t len;
		char *text = render_sample(kind, format[0], &len);

		assert_int_equal(strlen(text), len);
		drop_between(text, format[1], format[2]);
		compare_with_golden(text, name);
		free(text);
		free(name);
	}
}

/* Functions a, b, … by letter; the leaf has @weight. */
static void add_letters(struct pmf_profile *p, const char *stack, uint64_t weight)
{
	uint32_t node =
		pmf_profile_node(p, 0, pmf_profile_frame_named(p, PMF_FRAME_PROCESS, "proc"));

	for (; *stack; stack++) {
		char name[2] = {*stack, '\0'};

		node = pmf_profile_node(
			p, node, pmf_profile_frame_named(p, PMF_FRAME_NATIVE, name));
	}
	pmf_profile_add(p, 0, node, weight, 1);
}

/* What all calls of function @name cost in callgrind's @text. */
static unsigned long cost_of_calls(const char *text, const char *name)
{
	char *definition = pmf_asprintf(") %s\n", name), *call;
	const char *at = strstr(text, definition);
	unsigned long sum = 0;

	assert_non_null(at);
	while (*at != '(')
		at--;
	call = pmf_asprintf("cfn=%.*s", (int)(strchr(at, ')') + 1 - at), at);
	for (at = text; (at = strstr(at, call)); at++)
		sum += strtoul(strstr(strstr(at, "calls="), "\n0 ") + 3, NULL, 10);
	free(definition);
	free(call);
	return sum;
}

static void recursion_costs_once(void **state)
{
	struct pmf_profile p;
	struct pmf_tree t;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	pmf_profile_init(&p, 1);
	p.events[0].label = pmf_strdup("cache-misses");
	p.events[0].unit = pmf_strdup("events");
	add_letters(&p, "abab", 1);
	add_letters(&p, "abbb", 10);
	add_letters(&p, "aba", 100);
	add_letters(&p, "cba", 1000);
	add_letters(&p, "c", 10000);
	pmf_tree_build(&t, &p, NULL);
	assert_int_equal(pmf_renderer_by_name("callgrind", 9)
				 ->render(f, &t, 0, &(struct pmf_render_opts){0}, NULL),
		0);
	fclose(f);
	assert_int_equal(cost_of_calls(text, "proc"), 11111);
	assert_int_equal(cost_of_calls(text, "a"), 1111);
	assert_int_equal(cost_of_calls(text, "b"), 1111);
	assert_int_equal(cost_of_calls(text, "c"), 11000);
	assert_non_null(strstr(text, "\nevent: cache_misses : cache-misses (events)\n"));
	assert_non_null(strstr(text, "\nevents: cache_misses\n"));
	assert_non_null(strstr(text, "\ntotals: 11111\n"));
	free(text);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

static int occurrences(const char *text, const char *what)
{
	int n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

static void hostile_names_stay_text(void **state)
{
	size_t len;
	char *text = render_sample("hostile", "svg", &len);

	(void)state;
	drop_embedded(text);
	assert_int_equal(strlen(text), strnlen(text, len));
	/* Two scripts begin and two CDATA sections end: ours. */
	assert_int_equal(occurrences(text, "<script"), 2);
	assert_int_equal(occurrences(text, "</script"), 2);
	assert_int_equal(occurrences(text, "]]>"), 2);
	assert_int_equal(occurrences(text, "<b>"), 0);
	assert_null(strchr(text, 1));
	assert_null(strchr(text, 0x1b));
	free(text);
	text = render_sample("hostile", "folded", &len);
	for (char *line = text; *line; line += strcspn(line, "\n") + 1)
		assert_true(line[strcspn(line, "\n") - 1] >= '0');
	free(text);
}

static void pruned_frames_are_stated(void **state)
{
	struct pmf_profile p;
	struct pmf_tree t;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	pmf_profile_init(&p, 1);
	for (unsigned i = 0; i < 100000; i++) {
		char name[16];
		uint32_t frame;

		snprintf(name, sizeof name, "f%u", i);
		frame = pmf_profile_frame_named(&p, PMF_FRAME_NATIVE, name);
		pmf_profile_add(&p, 0, pmf_profile_node(&p, 0, frame), i < 10 ? 100000 : 1, 1);
	}
	pmf_tree_build(&t, &p, NULL);
	assert_int_equal(pmf_renderer_by_name("svg", 3)->render(
				 f, &t, 0, &(struct pmf_render_opts){0}, NULL),
		0);
	fclose(f);
	assert_non_null(strstr(text, "99,990 frames narrower than 0.1 px"));
	assert_non_null(strstr(text, "they hold 9.09%"));
	assert_true(len < 100000);
	free(text);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

static size_t svg_size(const char *kind, const struct pmf_render_opts *opts, const char *has)
{
	struct pmf_profile p;
	struct pmf_tree t;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_true(sample_profile(&p, kind));
	pmf_tree_build(&t, &p, NULL);
	assert_int_equal(pmf_renderer_by_name("svg", 3)->render(f, &t, 0, opts, NULL), 0);
	assert_int_equal(fclose(f), 0);
	assert_non_null(strstr(text, has));
	free(text);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
	return len;
}

static void a_picture_opens_at_once_unless_more_is_asked_for(void **state)
{
	size_t plain = svg_size("wide", &(struct pmf_render_opts){0}, "(--min-width draws more)");
	size_t more = svg_size(
		"wide", &(struct pmf_render_opts){.min_width_px = 0.1}, "narrower than 0.1 px");
	size_t less = svg_size(
		"wide", &(struct pmf_render_opts){.min_width_px = 5}, "narrower than 5 px");

	(void)state;
	assert_true(plain < 2000000);
	assert_true(more > plain && less < plain);
	svg_size("normal", &(struct pmf_render_opts){.reverse = true}, "picture: reversed");
}

static void the_report_holds_no_name_outside_its_data(void **state)
{
	size_t len;
	char *text = render_sample("hostile", "html", &len), *data;

	(void)state;
	assert_int_equal(strlen(text), len);
	assert_int_equal(occurrences(text, "<script"), 2);
	assert_int_equal(occurrences(text, "</script"), 2);
	assert_int_equal(occurrences(text, "<title"), 1);
	assert_int_equal(occurrences(text, "<b>"), 0);
	assert_int_equal(occurrences(text, "<img"), 0);
	assert_null(strstr(text, "\xe2\x80\xae"));
	data = strstr(text, "id=\"data\">");
	assert_non_null(data);
	data += strlen("id=\"data\">");
	assert_int_equal(strspn(data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789+/="),
		strcspn(data, "<"));
	assert_int_equal(strcspn(data, "<") % 4, 0);
	free(text);
}

static const struct pmf_code_text *give_code(void *ctx, const char *file)
{
	static const struct pmf_code_text nothing = {.note = "not \"here\""};

	return strcmp(file, "big.c") == 0 ? ctx : &nothing;
}

/* Ten lines apart in one file, the last costs the most; and a line of another one, the last there can be. */
static void the_report_holds_the_text_of_what_costs_most(void **state)
{
	enum { LINES = 20000 };
	const char **lines = pmf_calloc(LINES, sizeof *lines);
	struct pmf_code_text text = {"big.c", NULL, lines, LINES};
	struct pmf_code_reader code = {give_code, &text};
	struct pmf_buf out = PMF_BUF_INIT;
	struct pmf_profile p;
	struct pmf_tree t;

	(void)state;
	pmf_profile_init(&p, 1);
	for (uint32_t i = 0; i < LINES; i++) {
		lines[i] = "</script>";
		if (i % 10)
			continue;
		uint32_t frame = pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 0, 0, 0, i);

		pmf_profile_name_frame(&p, frame, "f", "big.c", i + 1);
		pmf_profile_add(&p, 0, pmf_profile_node(&p, 0, frame), i + 1, 1);
	}
	uint32_t frame = pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 0, 0, 0, LINES);

	pmf_profile_name_frame(&p, frame, "g", "other.c", UINT32_MAX);
	pmf_profile_add(&p, 0, pmf_profile_node(&p, 0, frame), LINES, 1);
	pmf_tree_build(&t, &p, &(struct pmf_tree_opts){.lines = true});
	pmf_buf_addch(&out, '{');
	pmf_html_add_code(&out, &t, &code);
	assert_int_equal(occurrences(out.data, ",\"\\u003c/script\\u003e\""), 2000);
	assert_non_null(strstr(out.data, "19991,\"\\u003c/script"));
	assert_null(strstr(out.data, "[1,\""));
	assert_non_null(strstr(
		out.data, "\"file\":\"other.c\",\n\"note\":\"not \\\"here\\\"\",\n\"lines\":[]}"));
	pmf_buf_release(&out);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
	free(lines);
}

static void a_width_that_cannot_be_is_refused(void **state)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;
	struct pmf_tree t;

	(void)state;
	pmf_profile_init(&p, 1);
	pmf_tree_build(&t, &p, NULL);
	assert_int_equal(pmf_renderer_by_name("svg", 3)->render(
				 stdout, &t, 0, &(struct pmf_render_opts){.width_px = 1e9}, &err),
		PMF_EUSAGE);
	assert_non_null(strstr(err.text, "1000000000 px"));
	pmf_tree_release(&t);
	pmf_profile_release(&p);
}

static void text_is_escaped(void **state)
{
	static const struct {
		const char *in, *xml, *json;
	} cases[] = {
		{"plain", "plain", "plain"},
		{"<a href=\"x\">&'", "&lt;a href=&quot;x&quot;&gt;&amp;&#39;",
			"\\u003ca href=\\\"x\\\"\\u003e\\u0026'"},
		{"]]>", "]]&gt;", "]]\\u003e"},
		{"a\\b\n\x7f", "a\\b\xe2\x90\x8a\xe2\x90\xa1", "a\\\\b\xe2\x90\x8a\xe2\x90\xa1"},
		/* a right-to-left override, a line separator, a zero-width space */
		{"\xe2\x80\xae", "&lt;U+202E&gt;", "\\u003cU+202E\\u003e"},
		{"\xe2\x80\xa8\xe2\x80\x8b", "&lt;U+2028&gt;&lt;U+200B&gt;",
			"\\u003cU+2028\\u003e\\u003cU+200B\\u003e"},
		{"\xc2\x85", "\xef\xbf\xbd", "\xef\xbf\xbd"},
		{"\xc3\xa9\xf0\x9f\x94\xa5", "\xc3\xa9\xf0\x9f\x94\xa5",
			"\xc3\xa9\xf0\x9f\x94\xa5"},
		/* Overlong, a surrogate, beyond the last plane, cut off, and what XML forbids. */
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
			"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
			"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xef\xbf\xbf", "\xef\xbf\xbd", "\xef\xbf\xbd"},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		struct pmf_buf b = PMF_BUF_INIT;

		pmf_text_add(&b, cases[i].in, strlen(cases[i].in), PMF_TEXT_XML);
		assert_string_equal(pmf_buf_str(&b), cases[i].xml);
		pmf_buf_clear(&b);
		pmf_text_add(&b, cases[i].in, strlen(cases[i].in), PMF_TEXT_JSON);
		assert_string_equal(pmf_buf_str(&b), cases[i].json);
		pmf_buf_release(&b);
	}
}

static void names_are_shortened_by_what_says_least(void **state)
{
	static const struct {
		const char *in;
		size_t columns;
		const char *out;
	} cases[] = {
		{"std::vector<int>::push_back(int&&)", 40, "std::vector<int>::push_back(int&&)"},
		{"std::vector<int, std::allocator<int> >::push_back(int&&)", 36,
			"std::vector<…>::push_back(int&&)"},
		{"std::vector<int, std::allocator<int> >::push_back(int&&)", 30,
			"std::vector<…>::push_back(…)"},
		{"std::vector<int, std::allocator<int> >::push_back(int&&)", 24,
			"vector<…>::push_back(…)"},
		{"std::vector<int, std::allocator<int> >::push_back(int&&)", 12, "push_back(…)"},
		{"std::vector<int, std::allocator<int> >::push_back(int&&)", 5, "push…"},
		{"std::vector<int>::push_back", 2, ""},
		{"<alloc::vec::Vec<Thing> as Index>::index", 36,
			"<alloc::vec::Vec<…> as Index>::index"},
		{"(anonymous namespace)::f(int)", 26, "f(…)"},
		{"std::max<double>(double, double)", 18, "std::max<…>(…)"},
		{"operator()(int, int)", 15, "operator()(…)"},
		{"operator<<(int)", 13, "operator<<(…)"},
		{"a<b", 10, "a<b"},
		{"a<bcdefgh(((", 6, "a<bcd…"},
		{"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 4, "\xe6\x97\xa5…"},
		{"<module>", 8, "<module>"},
		{"void a::b::longest_name()", 10, "void a::b…"},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		struct pmf_buf b = PMF_BUF_INIT;

		pmf_text_shorten(&b, cases[i].in, cases[i].columns);
		assert_string_equal(pmf_buf_str(&b), cases[i].out);
		pmf_buf_release(&b);
	}
}

static void colours_are_steady_and_tell_kinds_apart(void **state)
{
	unsigned a = pmf_colour_of(PMF_FRAME_NATIVE, "libc.so.6", "malloc");

	(void)state;
	/* A change here recolours everyone's pictures. */
	assert_int_equal(a, pmf_colour_of(PMF_FRAME_NATIVE, "libc.so.6", "malloc"));
	assert_int_not_equal(a, pmf_colour_of(PMF_FRAME_KERNEL, "libc.so.6", "malloc"));
	for (int dark = 0; dark < 2; dark++)
		for (unsigned k = PMF_FRAME_KERNEL; k <= PMF_FRAME_JIT; k++)
			for (unsigned l = k + 1; l <= PMF_FRAME_JIT; l++)
				assert_int_not_equal(
					pmf_colour_rgb(
						pmf_colour_of_kind((enum pmf_frame_kind)k), dark),
					pmf_colour_rgb(
						pmf_colour_of_kind((enum pmf_frame_kind)l), dark));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(svg_golden),
		cmocka_unit_test(folded_golden),
		cmocka_unit_test(data_golden),
		cmocka_unit_test(recursion_costs_once),
		cmocka_unit_test(hostile_names_stay_text),
		cmocka_unit_test(pruned_frames_are_stated),
		cmocka_unit_test(a_picture_opens_at_once_unless_more_is_asked_for),
		cmocka_unit_test(the_report_holds_no_name_outside_its_data),
		cmocka_unit_test(the_report_holds_the_text_of_what_costs_most),
		cmocka_unit_test(a_width_that_cannot_be_is_refused),
		cmocka_unit_test(text_is_escaped),
		cmocka_unit_test(names_are_shortened_by_what_says_least),
		cmocka_unit_test(colours_are_steady_and_tell_kinds_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
