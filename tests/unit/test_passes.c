/* Packing events into passes on a made-up PMU, and the plan of a sweep on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include "pmuflame/passes.h"
#include "pmuflame/sweep_plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Counters that any event can have, and an event that none can count. */
struct pmu {
	size_t counters;
	const char *never;
	size_t *asked; /* counts the questions, if not NULL */
};

static bool fit(void *ctx, const struct pmf_event *const *events, size_t n)
{
	const struct pmu *pmu = ctx;

	if (pmu->asked)
		++*pmu->asked;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(events[i]->cls, PMF_EVENT_HARDWARE);
		for (size_t k = 0; k < i; k++)
			assert_ptr_not_equal(events[i], events[k]);
		if (pmu->never && strcmp(events[i]->spec, pmu->never) == 0)
			return false;
	}
	return n <= pmu->counters;
}

static void get(struct pmf_event_list *list, const char *specs)
{
	struct pmf_err err = PMF_ERR_INIT;

	pmf_event_list_init(list);
	if (pmf_event_list_add(list, specs, NULL, NULL, &err))
		fail_msg("%s", err.text);
}

/* "a b|c d": the passes as text. free(3) it. */
static char *pack(const char *specs, struct pmu pmu, struct pmf_passes *p)
{
	struct pmf_event_list list, anchors;
	struct pmf_buf out = PMF_BUF_INIT;

	get(&list, specs);
	get(&anchors, "cycles,cpu-clock");
	pmf_passes_pack(p, &list, &anchors, fit, &pmu);
	for (size_t i = 0; i < p->n; i++)
		for (size_t s = 0; s < p->items[i].nr_specs; s++)
			pmf_buf_printf(&out, "%s%s", s ? " " : i ? "|" : "", p->items[i].specs[s]);
	pmf_event_list_release(&list);
	pmf_event_list_release(&anchors);
	return pmf_buf_detach(&out);
}

static void events_fill_passes_and_one_is_in_all(void **state)
{
	static const struct {
		const char *specs;
		size_t counters;
		const char *passes, *anchor;
	} cases[] = {
		{"r1,r2,page-faults", 2, "r1 r2 page-faults", NULL},
		{"cpu-clock,cs", 0, "cpu-clock cs", NULL},
		{"r1,r2,r3", 2, "cycles r1|cycles r2|cycles r3", "cycles"},
		{"r1,r2,r3,cs,r4", 3, "cycles r1 r2 cs|cycles r3 r4", "cycles"},
		/* Its rate and spelling stay, and it takes one counter. */
		{"r1,cpu-cycles@1000003,r2", 2, "cpu-cycles@1000003 r1|cpu-cycles@1000003 r2",
			"cpu-cycles"},
		{"cycles:u,r1,r2", 2, "cycles:u r1|cycles:u r2", "cycles:u"},
		{"r1@99hz,r2:u@7", 1, "cpu-clock r1@99hz|cpu-clock r2:u@7", "cpu-clock"},
		{"{r1,r2@5},r3,{r4,r5}", 3, "cycles {r1,r2@5}|cycles r3|cycles {r4,r5}", "cycles"},
		/* What fits only without the first anchor has the second. */
		{"{r1,r2,r3},r4", 3, "cpu-clock {r1,r2,r3}|cpu-clock r4", "cpu-clock"},
		/* In a group it cannot be in all passes. */
		{"{cycles,r1},r2", 2, "cpu-clock {cycles,r1}|cpu-clock r2", "cpu-clock"},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		struct pmf_passes p;
		char *text = pack(cases[i].specs, (struct pmu){.counters = cases[i].counters}, &p);

		assert_string_equal(text, cases[i].passes);
		assert_int_equal(p.nr_unfit, 0);
		assert_int_equal(p.anchor != NULL, cases[i].anchor != NULL);
		if (p.anchor)
			assert_string_equal(p.anchor, cases[i].anchor);
		free(text);
		pmf_passes_release(&p);
	}
}

static void what_never_gets_a_counter_is_named(void **state)
{
	struct pmf_passes p;
	char *text = pack("r1,{r2,r3,r4},r5,r6", (struct pmu){.counters = 2, .never = "r5"}, &p);

	(void)state;
	assert_string_equal(text, "r1 r6");
	assert_int_equal(p.nr_unfit, 2);
	assert_string_equal(p.unfit[0].spec, "{r2,r3,r4}");
	assert_non_null(strstr(p.unfit[0].why, "group"));
	assert_string_equal(p.unfit[1].spec, "r5");
	free(text);
	pmf_passes_release(&p);
	text = pack("r5", (struct pmu){.counters = 2, .never = "r5"}, &p);
	assert_int_equal(p.n, 0);
	free(text);
	pmf_passes_release(&p);
}

static void a_thousand_events_take_few_questions(void **state)
{
	struct pmf_buf specs = PMF_BUF_INIT;
	struct pmf_passes p;
	size_t asked = 0;

	(void)state;
	for (int i = 1; i <= 1000; i++)
		pmf_buf_printf(&specs, "%sr%x", i > 1 ? "," : "", (unsigned)i);
	free(pack(pmf_buf_str(&specs), (struct pmu){.counters = 6, .asked = &asked}, &p));
	assert_int_equal(p.n, 200); /* five beside the anchor */
	/* Each alone, then without an anchor, then with it. */
	assert_true(asked < 8000);
	pmf_buf_release(&specs);
	pmf_passes_release(&p);
}

static void a_list_is_taken_apart(void **state)
{
	static const char list[] = "a,{b,c}@5,pmu/x=1,y=2/u,@default,{d";
	static const char *const items[] = {"a", "{b,c}@5", "pmu/x=1,y=2/u", "@default", "{d"};
	const char *s = list;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(items); i++) {
		size_t len = pmf_event_spec_len(s);

		assert_int_equal(len, strlen(items[i]));
		assert_memory_equal(s, items[i], len);
		s += len + (s[len] == ',');
	}
	assert_int_equal(*s, '\0');
}

/* ---- Plans ---- */

static char *options[] = {(char *)"-F", (char *)"99"};

static void make_plan(struct pmf_sweep_plan *plan, const char *value, const char *specs)
{
	struct pmu pmu = {.counters = 2};

	*plan = (struct pmf_sweep_plan){.repeats = 3, .options = options, .nr_options = 2};
	for (int i = 0; i < 2; i++) {
		struct pmf_sweep_set *set = &PMF_PUSH(plan->sets, plan->nr_sets, plan->cap_sets);
		struct pmf_sweep_what w = {.label = pmf_strdup("back test"),
			.command = pmf_strdup("./backtest {n}"),
			.set = (size_t)i};
		struct pmf_event_list anchors;

		memset(set, 0, sizeof *set);
		get(&set->list, i ? specs : "r1,r2,r3");
		get(&anchors, "cycles");
		pmf_passes_pack(&set->passes, &set->list, &anchors, fit, &pmu);
		pmf_event_list_release(&anchors);
		PMF_PUSH(w.vary, w.nr_vary, w.cap_vary) = pmf_asprintf("n=%s", value);
		pmf_sweep_plan_name(plan, &w);
		PMF_PUSH(plan->cases, plan->nr_cases, plan->cap_cases) = w;
	}
}

static void runs_of_a_repeat_stand_together(void **state)
{
	static const char *const names[] = {"back_test.n-a_b.p1.r1", "back_test.n-a_b.p2.r1",
		"back_test.n-a_b.p3.r1", "back_test.n-a_b-2.p1.r1", "back_test.n-a_b.p1.r2"};
	struct pmf_sweep_plan plan;
	struct pmf_sweep_at at;

	(void)state;
	make_plan(&plan, "a/b", "r1");
	assert_string_equal(plan.cases[0].title, "back test n=a/b");
	assert_int_equal(pmf_sweep_plan_runs(&plan), 12);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(names); i++) {
		char *name;

		assert_true(pmf_sweep_plan_at(&plan, i, &at));
		name = pmf_sweep_plan_run_name(&at);
		assert_string_equal(name, names[i]);
		free(name);
	}
	assert_false(pmf_sweep_plan_at(&plan, 12, &at));
	pmf_sweep_plan_release(&plan);
}

static void a_plan_is_found_again_and_no_other_passes_for_it(void **state)
{
	char path[] = "/tmp/pmuflame-plan-XXXXXX";
	struct pmf_sweep_plan plan, again;
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	close(mkstemp(path));
	make_plan(&plan, "1", "r1");
	assert_int_equal(pmf_sweep_plan_save(&plan, path, &err), 0);
	make_plan(&again, "1", "r1");
	for (size_t i = 0; i < again.nr_sets; i++)
		pmf_passes_release(&again.sets[i].passes);
	assert_int_equal(pmf_sweep_plan_resume(&again, path, &err), 0);
	assert_int_equal(again.sets[0].passes.n, 3);
	assert_string_equal(again.sets[0].passes.anchor, "cycles");
	assert_string_equal(again.sets[0].passes.items[2].specs[1], "r3");
	assert_null(again.sets[1].passes.anchor);
	again.repeats++;
	assert_int_equal(pmf_sweep_plan_resume(&again, path, &err), PMF_EUSAGE);
	pmf_sweep_plan_release(&again);
	make_plan(&again, "2", "r1");
	assert_int_equal(pmf_sweep_plan_resume(&again, path, &err), PMF_EUSAGE);
	pmf_sweep_plan_release(&again);
	make_plan(&again, "1", "r1:u");
	assert_int_equal(pmf_sweep_plan_resume(&again, path, &err), PMF_EUSAGE);
	assert_non_null(strstr(err.text, "another sweep"));
	pmf_sweep_plan_release(&again);
	pmf_sweep_plan_release(&plan);
	unlink(path);
}

static void a_damaged_plan_is_told(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "{\"schema\": 1}"};
	char path[] = "/tmp/pmuflame-plan-XXXXXX";
	struct pmf_sweep_plan plan;
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	close(mkstemp(path));
	make_plan(&plan, "1", "r1");
	for (size_t i = 0; i < PMF_ARRAY_SIZE(bad); i++) {
		FILE *f = fopen(path, "w");

		assert_non_null(f);
		fputs(bad[i], f);
		fclose(f);
		assert_true(pmf_sweep_plan_resume(&plan, path, &err) < 0);
		assert_non_null(strstr(err.text, path));
	}
	unlink(path);
	assert_int_equal(pmf_sweep_plan_resume(&plan, path, &err), PMF_ENOTFOUND);
	pmf_sweep_plan_release(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_fill_passes_and_one_is_in_all),
		cmocka_unit_test(what_never_gets_a_counter_is_named),
		cmocka_unit_test(a_thousand_events_take_few_questions),
		cmocka_unit_test(a_list_is_taken_apart),
		cmocka_unit_test(runs_of_a_repeat_stand_together),
		cmocka_unit_test(a_plan_is_found_again_and_no_other_passes_for_it),
		cmocka_unit_test(a_damaged_plan_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
