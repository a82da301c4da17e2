/* A sweep's result: what its runs say, the files that say it, and what is read of those again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "sweep_summary_priv.h"

#include "pmuflame/measure.h"
#include "pmuflame/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pmf_sweep_result result;
static struct pmf_err err;

static int teardown(void **state)
{
	(void)state;
	pmf_sweep_release(&result);
	return 0;
}

static void near(double got, double expected)
{
	if (!(fabs(got - expected) <= 1e-9 * fabs(expected)))
		fail_msg("%.12g, and not %.12g", got, expected);
}

struct event {
	const char *name, *unit;
	double count;
};

/* A run of @seconds that did @work, with the events up to one without a name. */
static int add_run(size_t pass, double seconds, double work, const struct event *events)
{
	struct pmf_count counts[8];
	struct pmf_measured m = {.seconds = seconds, .work = work, .counts = counts};

	for (; events[m.nr_counts].name; m.nr_counts++)
		counts[m.nr_counts] = (struct pmf_count){(char *)events[m.nr_counts].name,
			(char *)events[m.nr_counts].unit, events[m.nr_counts].count, 1, 0};
	return pmf_sweep_add_run(&result.cases[0], pass, &m, "cycles", &err);
}

static void must_add(size_t pass, double seconds, double work, const struct event *events)
{
	if (add_run(pass, seconds, work, events))
		fail_msg("%s", err.text);
}

/* Three runs of each of two passes, with cycles in both. */
static void fill(void)
{
	static const double counts[][6] = {
		/* seconds, cycles, instructions; seconds, cycles, misses */
		{1.0, 1000, 2000, 1.1, 1100, 30},
		{1.2, 1200, 2400, 1.0, 1000, 10},
		{0.8, 800, 2400, 1.5, 1500, 20},
	};
	const struct pmf_target t = {.unit = (char *)"bar", .units = (char *)"bars"};

	pmf_sweep_add_case(&result, "backtest", "python3 backtest.py", &t);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(counts); i++) {
		const double *n = counts[i];

		must_add(0, n[0], 10,
			(struct event[]){
				{"cycles", "events", n[1]}, {"instructions", "events", n[2]}, {0}});
		must_add(1, n[3], 10,
			(struct event[]){
				{"cycles", "events", n[4]}, {"cache-misses", "events", n[5]}, {0}});
	}
	result.repeats = 3;
	result.passes = 2;
}

static struct pmf_sweep_series series_of(const char *of, const char *per)
{
	struct pmf_sweep_series s;

	if (pmf_sweep_series(&s, &result.cases[0], of, per, PMF_SWEEP_LEVEL, &err))
		fail_msg("%s", err.text);
	return s;
}

static void all_passes_of_an_event_count(void **state)
{
	struct pmf_sweep_series s;

	(void)state;
	fill();
	s = series_of("cycles", NULL);
	assert_int_equal(s.n, 6);
	assert_int_equal(s.stats.n, 6);
	near(s.stats.median, 1050);
	near(s.stats.max, 1500);
	assert_string_equal(s.unit, "events");
	pmf_sweep_series_release(&s);
	s = series_of("instructions", NULL);
	assert_int_equal(s.n, 3);
	near(s.values[1], 2400);
	pmf_sweep_series_release(&s);
	s = series_of("s", NULL);
	assert_int_equal(s.n, 6);
	assert_string_equal(s.unit, "s");
	pmf_sweep_series_release(&s);
}

static void a_ratio_is_of_the_runs_that_have_both(void **state)
{
	static const char *const names_of_work[] = {"bar", "bars", "work"};
	struct pmf_sweep_series s;

	(void)state;
	fill();
	s = series_of("instructions", "cycles");
	assert_true(s.paired);
	assert_int_equal(s.n, 3);
	near(s.values[0], 2);
	near(s.values[2], 3);
	assert_string_equal(s.unit, "events/events");
	pmf_sweep_series_release(&s);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(names_of_work); i++) {
		s = series_of(names_of_work[i], "seconds");
		assert_int_equal(s.n, 6);
		near(s.stats.max, 10 / 0.8);
		assert_string_equal(s.unit, "bar/s");
		pmf_sweep_series_release(&s);
	}
}

static void counters_of_different_passes_are_not_paired(void **state)
{
	struct pmf_sweep_series s;

	(void)state;
	fill();
	s = series_of("cache-misses", "instructions");
	assert_false(s.paired);
	assert_int_equal(s.n, 0);
	assert_int_equal(s.stats.n, 3);
	near(s.stats.median, 20.0 / 2400);
	near(s.stats.mean, 60.0 / 6800);
	assert_true(s.stats.low < s.stats.mean && s.stats.mean < s.stats.high);
	assert_true(isnan(s.stats.sd) && isnan(s.stats.min) && isnan(s.stats.max));
	pmf_sweep_series_release(&s);
}

static void what_was_not_measured_is_said(void **state)
{
	struct pmf_sweep_series s;

	(void)state;
	fill();
	assert_int_equal(
		pmf_sweep_series(&s, &result.cases[0], "cycles", "queries", PMF_SWEEP_LEVEL, &err),
		PMF_ENOTFOUND);
	assert_string_equal(err.text,
		"'queries' was not measured of 'backtest': there is seconds, work, cycles, "
		"instructions, cache-misses");
	pmf_sweep_add_case(&result, "other", NULL, NULL);
	assert_int_equal(
		pmf_sweep_series(&s, &result.cases[1], "bars", NULL, PMF_SWEEP_LEVEL, &err),
		PMF_ENOTFOUND);
	assert_non_null(strstr(err.text, "nothing"));
}

static void nothing_is_divided_by_zero(void **state)
{
	struct pmf_sweep_series s;

	(void)state;
	pmf_sweep_add_case(&result, "a", NULL, NULL);
	must_add(
		0, 1, 0, (struct event[]){{"branches", "events", 0}, {"faults", "events", 3}, {0}});
	must_add(1, 1, 0, (struct event[]){{"cycles", "events", 3}, {0}});
	assert_int_equal(
		pmf_sweep_series(&s, &result.cases[0], "faults", "branches", PMF_SWEEP_LEVEL, &err),
		PMF_EUSAGE);
	assert_non_null(strstr(err.text, "which was 0"));
	assert_int_equal(
		pmf_sweep_series(&s, &result.cases[0], "cycles", "branches", PMF_SWEEP_LEVEL, &err),
		PMF_EUSAGE);
}

static void runs_of_a_pass_count_the_same_events(void **state)
{
	(void)state;
	fill();
	assert_int_equal(
		add_run(0, 1, 10, (struct event[]){{"cycles", "events", 1}, {0}}), PMF_EFORMAT);
	assert_non_null(strstr(err.text, "other events"));
	assert_int_equal(
		add_run(1, 1, 10,
			(struct event[]){{"cycles", "events", 1}, {"cache-misses", "events", 1},
				{"branches", "events", 1}, {0}}),
		PMF_EFORMAT);
	assert_int_equal(
		add_run(0, 1, 0, (struct event[]){{"cycles", "events", 1}, {0}}), PMF_EFORMAT);
	assert_non_null(strstr(err.text, "how many bars"));
	/* A refused run leaves nothing behind; an event that is asked for twice counts once. */
	must_add(0, 1, 10,
		(struct event[]){{"cycles", "events", 1}, {"cycles", "events", 1},
			{"instructions", "events", 1}, {0}});
	for (size_t i = 0; i < result.cases[0].nr_values; i++)
		assert_int_equal(
			result.cases[0].values[i].n, result.cases[0].values[i].pass ? 3 : 4);
}

static const struct sweep_row *row_called(const struct sweep_row *rows, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static void rows_are_derived_where_they_say_something(void **state)
{
	static const struct {
		const char *name, *unit;
		double median;
		bool paired;
	} expected[] = {
		{"cycles", "events", 1050, true},
		{"cycles/bar", "events/bar", 105, true},
		{"seconds/bar", "s/bar", 0.105, true},
		{"bars/s", "bar/s", (10 / 1.1 + 10) / 2, true},
		{"instructions per cycle", "", 2, true},
		{"cache-misses per 1000 instructions", "", 1000 * 20.0 / 2400, false},
	};
	struct sweep_row *rows;
	size_t n;

	(void)state;
	fill();
	rows = sweep_rows(&result.cases[0], &n);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(expected); i++) {
		const struct sweep_row *row = row_called(rows, n, expected[i].name);

		assert_non_null(row);
		assert_string_equal(row->unit, expected[i].unit);
		assert_int_equal(row->paired, expected[i].paired);
		near(row->stats.median, expected[i].median);
	}
	/* 5 quantities, 4 of which are costs of work. */
	assert_int_equal(n, 5 + 4 + 3);
	sweep_rows_free(rows, n);
}

static void user_events_are_not_divided_by_all(void **state)
{
	struct sweep_row *rows;
	size_t n;

	(void)state;
	pmf_sweep_add_case(&result, "a", NULL, NULL);
	must_add(0, 2, 0,
		(struct event[]){{"arm_n1::CPU_CYCLES:u", "events", 8},
			{"instructions", "events", 6}, {"arm_n1::INST_RETIRED:u", "events", 4},
			{"task-clock", "ns", 1e9}, {0}});
	rows = sweep_rows(&result.cases[0], &n);
	assert_null(row_called(rows, n, "instructions per cycle"));
	assert_non_null(row_called(rows, n, "instructions per cycle:u"));
	near(row_called(rows, n, "instructions per cycle:u")->stats.median, 0.5);
	near(row_called(rows, n, "CPUs in use")->stats.median, 0.5);
	sweep_rows_free(rows, n);
}

/* ---- Files ---- */

static char *text_of(void (*add)(const struct pmf_sweep_result *r, struct pmf_buf *out))
{
	struct pmf_buf out = PMF_BUF_INIT;

	add(&result, &out);
	return pmf_buf_detach(&out);
}

static void must_have(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no '%s' in\n%s", part, text);
}

static void the_table_is_markdown_and_readable(void **state)
{
	char *text;

	(void)state;
	fill();
	result.host = pmf_strdup("x86_64, 2 CPUs");
	pmf_sweep_add_vary(&result.cases[0], "layout=rows");
	pmf_sweep_note(&result, "The anchor drifted by %d %%.", 3);
	pmf_sweep_note(&result, "The anchor drifted by %d %%.", 3);
	pmf_sweep_skip(&result, "LLC-loads", "not supported");
	pmf_sweep_skip(&result, "rNNN", "not a number");
	pmf_sweep_skip(&result, "LLC-stores", "not supported");
	result.cases[0].nr_failed = 1;
	text = text_of(pmf_sweep_markdown);
	assert_string_equal(text,
		"## Counters: 3 runs of 2 passes\n"
		"\n"
		"x86_64, 2 CPUs. ± is the mean's interval at 95%.\n"
		"\n"
		"### backtest: layout=rows\n"
		"\n"
		"1 run failed.\n"
		"\n"
		"|                                       | median |         ± | per bar |\n"
		"|:--------------------------------------|-------:|----------:|--------:|\n"
		"| seconds                               | 1.05 s |      ±23% |  105 ms |\n"
		"| bars                                  |     10 | all equal |         |\n"
		"| cycles                                | 1.05 k |      ±23% |     105 |\n"
		"| instructions                          |  2.4 k |      ±25% |     240 |\n"
		"| cache-misses                          |     20 |     ±124% |       2 |\n"
		"| bars/s                                |  9.545 |      ±22% |         |\n"
		"| instructions per cycle                |      2 |      ±61% |         |\n"
		"| cache-misses per 1000 instructions \\* |  8.333 |     ±114% |         |\n"
		"\n"
		"\\* The two were counted in different runs: the ratio of their medians.\n"
		"\n"
		"- The anchor drifted by 3 %.\n"
		"- not counted: LLC-loads, LLC-stores: not supported\n"
		"- not counted: rNNN: not a number\n");
	free(text);
}

static void counts_that_are_all_zero_are_all_equal(void **state)
{
	char *text;

	(void)state;
	pmf_sweep_add_case(&result, "backtest", "python3 backtest.py", NULL);
	for (int i = 0; i < 3; i++)
		must_add(0, 1, 0, (struct event[]){{"major-faults", "events", 0}, {0}});
	text = text_of(pmf_sweep_markdown);
	assert_non_null(strstr(text, "| major-faults |      0 | all equal |\n"));
	free(text);
}

static void names_from_outside_are_only_names(void **state)
{
	char *text;

	(void)state;
	pmf_sweep_add_case(&result, "=cmd|'/c calc'!A1", "a\"b", NULL);
	result.cases[0].unit = pmf_strdup("b|r");
	result.cases[0].units = pmf_strdup("b|rs");
	must_add(0, 1, 1, (struct event[]){{"x|y`<b>_z_\n\"q\"\xff", "events", 1}, {0}});
	text = text_of(pmf_sweep_csv);
	must_have(text, "\r\n\"'=cmd|'/c calc'!A1\",\"\",\"x|y`<b>_z_?\"\"q\"\"");
	free(text);
	text = text_of(pmf_sweep_markdown);
	must_have(text, "### =cmd\\|'/c calc'\\!A1\n");
	must_have(text, "| x\\|y\\`\\<b\\>\\_z\\_?\"q\"");
	must_have(text, "per b\\|r |\n");
	free(text);
	text = text_of(pmf_sweep_json);
	must_have(text, "\"x|y`<b>_z_\\n\\\"q\\\"?\"");
	free(text);
}

static void what_is_not_known_is_left_out(void **state)
{
	char *text;

	(void)state;
	pmf_sweep_add_case(&result, "a", NULL, NULL);
	must_add(0, 1.5, 0, (struct event[]){{"cycles", "events", 7}, {0}});
	text = text_of(pmf_sweep_csv);
	must_have(text, "\"a\",\"\",\"cycles\",\"events\",\"quantity\",1,yes,7,7,,,0,7,7\r\n");
	free(text);
	text = text_of(pmf_sweep_json);
	must_have(text, "\"mean_low\": null");
	must_have(text, "\"command\": null");
	free(text);
	text = text_of(pmf_sweep_markdown);
	must_have(text, "| cycles  |      7 |   |\n");
	free(text);
}

/* ---- Reading ---- */

static char path[] = "/tmp/pmuflame-summary-XXXXXX";

static void write_text(const char *text)
{
	FILE *f;
	int fd;

	strcpy(path + sizeof path - 7, "XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int load_text(struct pmf_sweep_result *r, const char *text)
{
	int ret;

	write_text(text);
	ret = pmf_sweep_load(r, path, &err);
	unlink(path);
	return ret;
}

/* Everything that a summary can have is documented. */
static void the_json_is_what_its_schema_says(void **state)
{
	char *text, *command;
	int status;

	(void)state;
	if (system("/usr/bin/python3 -c 'import jsonschema' 2>/dev/null"))
		skip_because("python3-jsonschema is not installed");
	fill();
	pmf_sweep_add_vary(&result.cases[0], "layout=rows");
	pmf_sweep_add_case(&result, "failed", NULL, NULL)->nr_failed = 3;
	pmf_sweep_note(&result, "a note");
	pmf_sweep_skip(&result, "LLC-loads", "not supported");
	text = text_of(pmf_sweep_json);
	write_text(text);
	command = pmf_asprintf("/usr/bin/python3 '%s/tests/check_schema.py' "
			       "'%s/docs/summary.schema.json' %s >&2",
		getenv("srcdir"), getenv("srcdir"), path);
	status = system(command);
	unlink(path);
	free(command);
	free(text);
	assert_int_equal(status, 0);
}

static void what_is_written_is_read_again(void **state)
{
	struct pmf_sweep_result again;
	char *before, *after;

	(void)state;
	fill();
	must_add(0, 0.333333333, 10,
		(struct event[]){
			{"cycles", "events", 1e15 + 1}, {"instructions", "events", 0.1}, {0}});
	pmf_sweep_add_vary(&result.cases[0], "layout=rows=1");
	pmf_sweep_add_vary(&result.cases[0], "n=");
	pmf_sweep_add_case(&result, "failed", NULL, NULL)->nr_failed = 3;
	pmf_sweep_note(&result, "a note");
	pmf_sweep_skip(&result, "LLC-loads", "not supported");
	result.host = pmf_strdup("host");
	result.start_unix_ns = 1700000000000000001;
	before = text_of(pmf_sweep_json);
	if (load_text(&again, before))
		fail_msg("%s", err.text);
	pmf_sweep_release(&result);
	result = again;
	after = text_of(pmf_sweep_json);
	assert_string_equal(before, after);
	assert_string_equal(result.cases[0].vary[0], "layout=rows=1");
	free(before);
	free(after);
}

static void what_is_no_summary_is_refused_at_its_place(void **state)
{
	static const struct {
		const char *from, *to, *says;
	} changes[] = {
		{"\"kind\": \"pmuflame sweep\"", "\"kind\": 3", "'kind' is not"},
		{"\"schema\": 1", "\"schema\": 2", "schema is not 1"},
		{"\"repeats\": 3", "\"repeats\": -3", "'repeats' is no whole number"},
		{"\"passes\": 2", "\"passes\": 2e9", "'passes' is no whole number"},
		{"\"target\": \"backtest\"", "\"target\": null", "cases[0]: 'target' is no text"},
		{"\"vary\": {}", "\"vary\": {\"a\": 1}", "'a' of 'vary' is no text"},
		{"\"units\": \"bars\"", "\"units\": null", "'units' is no text"},
		{"\"anchor\": false,\n          \"scale\": 1", "\"scale\": 0.5",
			"cases[0].measured[0]: 'scale'"},
		{"0.8\n", "\"0.8\"\n", "value 2 is no number from 0 to 1e+60"},
		{"0.8\n", "1e200\n", "value 2 is no number from 0 to 1e+60"},
		{"0.8\n", "-0.8\n", "value 2 is no number"},
		{"1.2,\n            0.8\n", "1.2\n",
			"cases[0].measured[1]: pass 0 has 2 values before, and 3 here"},
		{"\"name\": \"instructions\",\n          \"unit\": \"events\",\n          \"pass\"",
			"\"name\": \"cycles\", \"unit\": \"events\", \"pass\"",
			"has 'cycles' twice"},
		{"\"notes\": []", "\"notes\": [[]]", "notes[0] is no text"},
		{"\"skipped\": []", "\"skipped\": [1]", "skipped[0]: 'event'"},
		{"\"cases\"", "\"cases\": [], \"cases\"", "line"},
		{"\"cases\"", "cases", "line"},
	};
	char *text;

	(void)state;
	fill();
	text = text_of(pmf_sweep_json);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(changes); i++) {
		char *place = strstr(text, changes[i].from), *changed;
		struct pmf_sweep_result r;

		assert_non_null(place);
		changed = pmf_asprintf("%.*s%s%s", (int)(place - text), text, changes[i].to,
			place + strlen(changes[i].from));
		assert_int_equal(load_text(&r, changed), PMF_EFORMAT);
		pmf_sweep_release(&r);
		free(changed);
		if (!strstr(err.text, changes[i].says))
			fail_msg("case %zu: %s", i, err.text);
	}
	free(text);
}

static void no_input_is_taken_on_trust(void **state)
{
#define HEAD "{\"kind\": \"pmuflame sweep\", \"schema\": 1"
	static const char *const inputs[] = {"", "[]", "{}", "null", HEAD, HEAD "}",
		HEAD ", \"host\": \"\", \"start_unix_ns\": 0, \"repeats\": 1, \"passes\": 1, "
		     "\"notes\": [], \"skipped\": [], \"cases\": [[]]}"};
	struct pmf_sweep_result r;
	char *deep = pmf_malloc(100001);

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(inputs); i++) {
		assert_int_equal(load_text(&r, inputs[i]), PMF_EFORMAT);
		pmf_sweep_release(&r);
	}
	memset(deep, '[', 100000);
	deep[100000] = '\0';
	assert_int_equal(load_text(&r, deep), PMF_EFORMAT);
	pmf_sweep_release(&r);
	free(deep);
	assert_int_equal(pmf_sweep_load(&r, "/nonexistent", &err), PMF_ENOTFOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(all_passes_of_an_event_count, teardown),
		cmocka_unit_test_teardown(a_ratio_is_of_the_runs_that_have_both, teardown),
		cmocka_unit_test_teardown(counters_of_different_passes_are_not_paired, teardown),
		cmocka_unit_test_teardown(what_was_not_measured_is_said, teardown),
		cmocka_unit_test_teardown(nothing_is_divided_by_zero, teardown),
		cmocka_unit_test_teardown(runs_of_a_pass_count_the_same_events, teardown),
		cmocka_unit_test_teardown(rows_are_derived_where_they_say_something, teardown),
		cmocka_unit_test_teardown(user_events_are_not_divided_by_all, teardown),
		cmocka_unit_test_teardown(the_table_is_markdown_and_readable, teardown),
		cmocka_unit_test_teardown(counts_that_are_all_zero_are_all_equal, teardown),
		cmocka_unit_test_teardown(names_from_outside_are_only_names, teardown),
		cmocka_unit_test_teardown(what_is_not_known_is_left_out, teardown),
		cmocka_unit_test_teardown(the_json_is_what_its_schema_says, teardown),
		cmocka_unit_test_teardown(what_is_written_is_read_again, teardown),
		cmocka_unit_test_teardown(what_is_no_summary_is_refused_at_its_place, teardown),
		cmocka_unit_test(no_input_is_taken_on_trust),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
