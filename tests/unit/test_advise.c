/* Advice: what of a profile fires its rules, and where loops are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/advise.h"
#include "pmuflame/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DAY_S = 86400 };

static char folder[] = "/tmp/pmuflame-advise-XXXXXX";
static char *rules_path, *source_path;
static struct pmf_rules rules;
static struct pmf_profile profile;
static struct pmf_tree tree;
static struct pmf_advices found;
static struct pmf_err err;

static int setup(void **state)
{
	(void)state;
	strcpy(folder + sizeof folder - 7, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	rules_path = pmf_asprintf("%s/advice.ini", folder);
	source_path = pmf_asprintf("%s/load.py", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pmf_advices_release(&found);
	pmf_tree_release(&tree);
	pmf_profile_release(&profile);
	pmf_rules_release(&rules);
	unlink(rules_path);
	unlink(source_path);
	rmdir(folder);
	free(rules_path);
	free(source_path);
	return 0;
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int read_rules(const char *text)
{
	write_text(rules_path, text);
	return pmf_rules_read(&rules, rules_path, &err);
}

static void read_installed(void)
{
	char *path = pmf_asprintf("%s/data/advice.ini", getenv("srcdir"));

	if (pmf_rules_read(&rules, path, &err))
		fail_msg("%s", err.text);
	free(path);
}

/* ---- A profile ---- */

static void begin(size_t nr_events, const char *const *labels)
{
	pmf_profile_init(&profile, nr_events);
	for (size_t e = 0; e < nr_events; e++)
		profile.events[e].label = pmf_strdup(labels[e]);
	profile.start_unix_ns = (uint64_t)(time(NULL) + DAY_S) * 1000000000;
}

/* The node of a frame called @name below @parent. A Python one's place is in its name. */
static uint32_t call(uint32_t parent, enum pmf_frame_kind kind, const char *name, const char *file)
{
	struct pmf_strtab *strs = &profile.strings;
	uint32_t f = pmf_profile_frame_at(&profile, kind, UINT32_MAX, pmf_strtab_addz(strs, "app"),
		pmf_strtab_addz(strs, file), pmf_strtab_addz(strs, name));

	pmf_profile_name_frame(&profile, f, name, kind == PMF_FRAME_PYTHON ? file : NULL, 0);
	return pmf_profile_node(&profile, parent, f);
}

static uint32_t python(uint32_t parent, const char *name, const char *file)
{
	return call(parent, PMF_FRAME_PYTHON, name, file);
}

/* A sample stands for @weight / @samples. */
static void add(size_t event, uint32_t node, uint64_t weight, uint64_t samples)
{
	pmf_profile_add(&profile, event, node, weight, samples);
	profile.events[event].samples += samples;
	profile.events[event].weight += weight;
	profile.events[event].counted += weight;
}

static void advise(void)
{
	pmf_tree_build(&tree, &profile, &(struct pmf_tree_opts){.lines = true});
	pmf_advise(&found, &rules, &tree);
}

/* That rule @rule spoke of @at, alone if @only. */
static const struct pmf_advice *expect(const char *rule, const char *at, bool only)
{
	if (only)
		assert_int_equal(found.n, 1);
	for (size_t i = 0; i < found.n; i++)
		if (strcmp(found.items[i].rule->name, rule) == 0 &&
			strcmp(found.items[i].at.name, at) == 0)
			return &found.items[i];
	fail_msg("rule %s says nothing of %s", rule, at);
	return NULL;
}

static bool is_not_judged(const char *rule)
{
	for (size_t i = 0; i < found.nr_not_judged; i++)
		if (strcmp(found.not_judged[i]->name, rule) == 0)
			return true;
	return false;
}

/* ---- Files of rules ---- */

#define EVENTS "[event time]\nlabel = ^cycles$\nrecord = cycles\n[rule a]\n"

static void evidence_is_a_share_or_a_ratio(void **state)
{
	static const char *const wrong[] = {"share(time)", "share(time) >= 5",
		"share(time) >= 101%", "share(time) >= 0%", "share(time >= 5%", "share(time) > 5%",
		"time >= 5", "time / time", "time / time >= 5%", "time / time >= x",
		"time / time >= inf", "share(time) >= 5% x"};
	char *text;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(wrong); i++) {
		text = pmf_asprintf(EVENTS "evidence = %s\n", wrong[i]);
		assert_int_equal(read_rules(text), PMF_EFORMAT);
		if (!strstr(err.text, "is neither 'share(EVENT) >= N%'"))
			fail_msg("'%s': %s", wrong[i], err.text);
		pmf_rules_release(&rules);
		free(text);
	}
	assert_int_equal(read_rules(EVENTS "title = t\ntry = this\ntry = that\n"
					   "evidence = share( time )>=12.5 %\n"
					   "evidence = time/time >= 1e3\n"),
		0);
	assert_string_equal(rules.rules[0].advice, "this\nthat");
	assert_int_equal(rules.rules[0].nr_evidence, 2);
	assert_float_equal(rules.rules[0].evidence[0].least, 0.125, 0);
	assert_float_equal(rules.rules[0].evidence[1].least, 1000, 0);
	pmf_rules_release(&rules);
	assert_int_equal(read_rules(EVENTS "title = t\ntry = this\nmodule = x\n"
					   "evidence = share(time) >= 5%\n"),
		PMF_EFORMAT);
	assert_non_null(strstr(err.text, "has no 'frame'"));
}

static void a_later_file_replaces_rules(void **state)
{
	size_t n;

	(void)state;
	read_installed();
	n = rules.nr_rules;
	assert_int_equal(read_rules("[rule iterrows]\noff = yes\n"
				    "[rule mine]\ntitle = t\ntry = this\nframe = .\n"
				    "evidence = share(time) >= 1%\n"
				    "[event time]\nlabel = ^ticks$\n"),
		0);
	assert_int_equal(rules.nr_rules, n + 1);
	begin(1, (const char *[]){"ticks"});
	add(0,
		python(python(0, "main (a.py:3)", ""), "DataFrame.iterrows (frame.py:9)",
			"/usr/lib/python3/dist-packages/pandas/core/frame.py"),
		1000, 1000);
	advise();
	expect("mine", "main", true);
}

/* ---- Counters ---- */

/* What a walk along and one across the rows of a matrix cost; both as long. */
static void two_walks(uint64_t samples)
{
	uint32_t main = call(0, PMF_FRAME_NATIVE, "main", "/home/u/app");
	uint32_t rows = call(main, PMF_FRAME_NATIVE, "by_rows", "/home/u/app");
	uint32_t columns = call(main, PMF_FRAME_NATIVE, "by_columns", "/home/u/app");

	for (size_t e = 0; e < profile.nr_events; e++) {
		const char *label = profile.events[e].label;
		bool misses = strstr(label, "misses");

		add(e, columns, misses ? 25000000 : 100000000, samples);
		add(e, rows, misses ? 50000 : 100000000, samples / (misses ? 500 : 1));
	}
}

static void a_walk_across_memory_needs_its_counter(void **state)
{
	const struct pmf_advice *a;

	(void)state;
	read_installed();
	begin(3, (const char *[]){"cycles", "instructions", "dTLB-load-misses"});
	two_walks(5000);
	advise();
	a = expect("across-memory", "by_columns", true);
	assert_float_equal(a->gain, 0.5, 1e-9);
	assert_float_equal(a->findings[1].value, 0.25, 1e-9);
	assert_true(a->findings[1].error > 0.25 * 0.02 && a->findings[1].error < 0.25 * 0.05);
	assert_int_equal(a->nr_path, 2);
	assert_string_equal(a->path[0].name, "main");
	assert_true(is_not_judged("branch-misses"));
}

static void no_counter_no_advice(void **state)
{
	static const char *const need[] = {
		"across-memory", "cache-misses", "branch-misses", "page-fault-storm"};

	(void)state;
	read_installed();
	begin(1, (const char *[]){"cpu-clock"});
	two_walks(5000);
	advise();
	assert_int_equal(found.n, 0);
	assert_int_equal(found.nr_near, 0);
	assert_int_equal(found.nr_not_judged, PMF_ARRAY_SIZE(need));
	for (size_t i = 0; i < PMF_ARRAY_SIZE(need); i++)
		assert_true(is_not_judged(need[i]));
	assert_string_equal(found.missing,
		"page-faults,cpu-clock,dTLB-load-misses,instructions,cache-misses,branch-misses");
	assert_int_equal(found.nr_judged + found.nr_not_judged, rules.nr_rules);
}

static void an_unknown_event_is_no_counter(void **state)
{
	(void)state;
	read_installed();
	begin(1, (const char *[]){"count"});
	add(0, python(python(0, "main (a.py:3)", ""), "DataFrame.iterrows (frame.py:9)", ""), 1, 1);
	advise();
	assert_int_equal(found.nr_judged, 0);
	assert_int_equal(found.n, 0);
}

static void few_samples_are_no_evidence(void **state)
{
	(void)state;
	read_installed();
	begin(3, (const char *[]){"cycles", "instructions", "dTLB-load-misses"});
	two_walks(8);
	advise();
	assert_int_equal(found.n, 0);
	assert_int_equal(found.nr_near, 1);
}

static void a_ratio_is_of_the_same_code(void **state)
{
	(void)state;
	read_installed();
	begin(3, (const char *[]){"cycles", "instructions:u", "dTLB-load-misses"});
	profile.events[1].exclude_kernel = true;
	two_walks(5000);
	advise();
	assert_true(is_not_judged("across-memory"));
	/* Recorded like this, they are. */
	assert_non_null(strstr(found.missing, ",instructions,"));
	assert_int_equal(found.n, 0);
}

/* ---- Frames ---- */

static void a_rule_speaks_of_the_users_line(void **state)
{
	static const char pandas[] = "/usr/lib/python3/dist-packages/pandas/core/frame.py";
	uint32_t main, lib;
	const struct pmf_advice *a;

	(void)state;
	read_installed();
	begin(1, (const char *[]){"cpu-clock"});
	main = python(0, "main (a.py:3)", "/home/u/a.py");
	lib = python(main, "read_all (frame.py:1)", pandas);
	add(0, python(lib, "DataFrame.iterrows (frame.py:9)", pandas), 300, 300);
	add(0, python(lib, "DataFrame.iterrows (frame.py:10)", pandas), 300, 300);
	/* Recursion counts once. */
	add(0,
		python(python(lib, "DataFrame.iterrows (frame.py:10)", pandas),
			"DataFrame.iterrows (frame.py:9)", pandas),
		200, 200);
	/* Nobody's: no line to change. */
	add(0, python(0, "DataFrame.iterrows (frame.py:9)", pandas), 200, 200);
	advise();
	a = expect("iterrows", "main", true);
	assert_int_equal(a->at.line, 3);
	assert_string_equal(a->at.file, "/home/u/a.py");
	assert_float_equal(a->findings[0].value, 0.8, 1e-9);
	assert_int_equal(a->findings[0].samples, 800);
	assert_int_equal(a->nr_path, 2);
}

static void apply_is_told_by_what_it_calls(void **state)
{
	static const char pandas[] = "/usr/lib/python3/dist-packages/pandas/core/frame.py";
	uint32_t apply;

	(void)state;
	read_installed();
	begin(1, (const char *[]){"cpu-clock"});
	/* Along columns, which is what it is for. */
	apply = python(python(0, "columns (a.py:3)", "/home/u/a.py"),
		"DataFrame.apply (frame.py:9)", pandas);
	add(0, python(apply, "columns.<locals>.<lambda> (a.py:3)", "/home/u/a.py"), 500, 500);
	apply = python(
		python(0, "rows (a.py:6)", "/home/u/a.py"), "DataFrame.apply (frame.py:9)", pandas);
	add(0, python(apply, "FrameColumnApply.series_generator (apply.py:1)", pandas), 1, 1);
	add(0, python(apply, "rows.<locals>.<lambda> (a.py:6)", "/home/u/a.py"), 500, 500);
	/* With a dict, not a function. */
	add(0,
		python(python(0, "look_up (a.py:8)", "/home/u/a.py"), "Series.map (series.py:2)",
			pandas),
		500, 500);
	apply = python(
		python(0, "each (a.py:9)", "/home/u/a.py"), "Series.map (series.py:2)", pandas);
	add(0, python(apply, "each.<locals>.<lambda> (a.py:9)", "/home/u/a.py"), 500, 500);
	advise();
	assert_int_equal(found.n, 2);
	expect("apply-rows", "rows", false);
	expect("apply-elements", "each", false);
}

static void what_leads_to_a_frame_may_except_it(void **state)
{
	uint32_t module;

	(void)state;
	read_installed();
	begin(2, (const char *[]){"cpu-clock", "page-faults"});
	module = python(0, "<module> (a.py:1)", "/home/u/a.py");
	for (size_t e = 0; e < 2; e++) {
		/* 1,000 faults in 5 ms each. */
		uint64_t weight = e ? 1000 : 5000000;

		add(e,
			python(module, "_find_and_load (<frozen importlib._bootstrap>:1)",
				"<frozen>"),
			weight, 1000);
		add(e, call(0, PMF_FRAME_NATIVE, "fill", "/home/u/app"), weight, 1000);
	}
	advise();
	expect("page-fault-storm", "fill", true);
}

static void allocation_is_the_callers(void **state)
{
	uint32_t build;

	(void)state;
	read_installed();
	begin(1, (const char *[]){"cycles"});
	build = call(0, PMF_FRAME_NATIVE, "build_tree", "/home/u/app");
	add(0, call(build, PMF_FRAME_NATIVE, "malloc", "/usr/lib/x86_64-linux-gnu/libc.so.6"), 300,
		300);
	add(0, call(build, PMF_FRAME_NATIVE, "_int_free", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
		300, 300);
	add(0, build, 400, 400);
	/* An interpreter allocates all the time. */
	build = python(0, "make (a.py:1)", "/home/u/a.py");
	add(0, call(build, PMF_FRAME_NATIVE, "malloc", "/usr/lib/x86_64-linux-gnu/libc.so.6"), 500,
		500);
	advise();
	assert_float_equal(expect("allocations", "build_tree", true)->gain, 0.4, 1e-9);
}

/* ---- Loops ---- */

static const char source[] =
	"import db\n" /* 1 */
	"\n"
	"def load(names):\n"
	"    for name in db.all():\n" /* 4: what it goes through is not in it */
	"        x = db.query(\n"
	"  'a', name)\n" /* 6 */
	"        if x:\n"
	"\t# a comment\n"
	"            return x\n" /* 9 */
	"    else:\n"
	"        x = 1\n" /* 11 */
	"    while db.more('''\n"
	"for x in y:\n"
	"    '''):\n" /* 14 */
	"        def inner():\n"
	"            return 'it\\'s # 1'\n" /* 16 */
	"        x = [1,\n"
	"  2] \\\n"
	"    + x\n" /* 19 */
	"    return x\n"
	"async def f():\n"
	"    async for a in b: pass\n"
	"    fortune = 1\n" /* 23 */
	"    async for a in b:\n"
	"        c = {'}': '''\"'''}; d\n" /* 25 */
	"d = 'open\n"
	"for e in f:\n"
	"    g\n" /* 28 */
	"    x = 1 + \\\r\n"
	"2\r\n"
	"    g(x,\n" /* 31 */
	"  y)";

static void loops_are_found_by_indentation(void **state)
{
	static const uint32_t expected[] = {0, 0, 0, 0, 0, 4, 4, 4, 0, 4, 0, 0, 12, 12, 12, 12, 0,
		12, 12, 12, 0, 0, 0, 0, 0, 24, 0, 0, 27, 27, 27, 27, 27};
	uint32_t line;
	const struct pmf_place *loop;

	(void)state;
	read_installed();
	for (line = 1; line < PMF_ARRAY_SIZE(expected); line++) {
		char *name = pmf_asprintf("load (load.py:%u)", (unsigned)line);

		write_text(source_path, source);
		begin(1, (const char *[]){"cpu-clock"});
		add(0,
			python(python(0, name, source_path), "Connection.execute (base.py:1)",
				"/usr/lib/python3/dist-packages/sqlalchemy/engine/base.py"),
			1000, 1000);
		advise();
		loop = found.n ? &found.items[0].loop : NULL;
		if ((loop ? loop->line : 0) != expected[line] || found.nr_notes)
			fail_msg("line %u: in the loop of line %u, not %u", (unsigned)line,
				loop ? (unsigned)loop->line : 0, (unsigned)expected[line]);
		pmf_advices_release(&found);
		pmf_tree_release(&tree);
		pmf_profile_release(&profile);
		free(name);
	}
}

/* A query at line 5, or by a function that line 5 calls; an object made in that. */
static void run_loop(void)
{
	static const char engine[] = "/usr/lib/python3/dist-packages/sqlalchemy/engine/base.py";
	uint32_t helper;

	begin(1, (const char *[]){"cpu-clock"});
	helper = python(
		python(0, "load (load.py:5)", source_path), "ask (ask.py:1)", "/nowhere/ask.py");
	add(0, python(helper, "Connection.execute (base.py:1)", engine), 500, 500);
	add(0, python(helper, "Asker.__init__ (ask.py:9)", "/nowhere/ask.py"), 500, 500);
	advise();
}

static void a_callers_loop_counts_for_queries(void **state)
{
	const struct pmf_advice *a;

	(void)state;
	read_installed();
	write_text(source_path, source);
	run_loop();
	a = expect("query-per-iteration", "ask", true);
	assert_string_equal(a->loop.name, "load");
	assert_int_equal(a->loop.line, 4);
	/* For objects it would have to be the line itself, whose source is not there. */
	assert_int_equal(found.nr_notes, 1);
	assert_non_null(
		strstr(found.notes[0], "rule 'object-per-iteration' was not judged at ask"));
	assert_non_null(strstr(found.notes[0], "'/nowhere/ask.py' cannot be read"));
}

/* The kernel's own files have no size, and reading one may wait for ever. */
static void a_source_of_the_kernels_is_not_read(void **state)
{
	(void)state;
	read_installed();
	begin(1, (const char *[]){"cpu-clock"});
	add(0,
		python(python(0, "load (status:1)", "/proc/self/status"),
			"Connection.execute (base.py:1)",
			"/usr/lib/python3/dist-packages/sqlalchemy/engine/base.py"),
		500, 500);
	advise();
	assert_int_equal(found.n, 0);
	assert_int_equal(found.nr_notes, 1);
	assert_non_null(strstr(found.notes[0], "'/proc/self/status' is empty"));
}

static void a_source_that_has_changed_says_nothing(void **state)
{
	(void)state;
	read_installed();
	write_text(source_path, source);
	begin(1, (const char *[]){"cpu-clock"});
	profile.start_unix_ns -= UINT64_C(2) * DAY_S * 1000000000;
	add(0,
		python(python(0, "load (load.py:5)", source_path), "Connection.execute (base.py:1)",
			"/usr/lib/python3/dist-packages/sqlalchemy/engine/base.py"),
		500, 500);
	advise();
	assert_int_equal(found.n, 0);
	assert_int_equal(found.nr_notes, 1);
	assert_non_null(strstr(found.notes[0], "has changed since it ran"));
}

static void a_comprehension_is_a_loop(void **state)
{
	(void)state;
	read_installed();
	begin(1, (const char *[]){"cpu-clock"});
	add(0,
		python(python(0, "load.<locals>.<listcomp> (load.py:7)", "load.py"),
			"Connection.execute (sqlalchemy/engine/base.py:1)", ""),
		500, 500);
	/* Without a source there is no knowing. */
	add(0,
		python(python(0, "once (load.py:9)", "load.py"),
			"Connection.execute (sqlalchemy/engine/base.py:1)", ""),
		500, 500);
	advise();
	expect("query-per-iteration", "load.<locals>.<listcomp>", true);
	assert_non_null(strstr(found.notes[0], "does not say where its source is"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(evidence_is_a_share_or_a_ratio, setup, teardown),
		cmocka_unit_test_setup_teardown(a_later_file_replaces_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_walk_across_memory_needs_its_counter, setup, teardown),
		cmocka_unit_test_setup_teardown(no_counter_no_advice, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unknown_event_is_no_counter, setup, teardown),
		cmocka_unit_test_setup_teardown(few_samples_are_no_evidence, setup, teardown),
		cmocka_unit_test_setup_teardown(a_ratio_is_of_the_same_code, setup, teardown),
		cmocka_unit_test_setup_teardown(a_rule_speaks_of_the_users_line, setup, teardown),
		cmocka_unit_test_setup_teardown(apply_is_told_by_what_it_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_leads_to_a_frame_may_except_it, setup, teardown),
		cmocka_unit_test_setup_teardown(allocation_is_the_callers, setup, teardown),
		cmocka_unit_test_setup_teardown(loops_are_found_by_indentation, setup, teardown),
		cmocka_unit_test_setup_teardown(a_callers_loop_counts_for_queries, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_source_of_the_kernels_is_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_source_that_has_changed_says_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_comprehension_is_a_loop, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
