/* The grammar of --event, on a machine that describes nothing: no sysfs, no tracefs. */
#include "../../src/event/event_priv.h"

#include "pmuflame/mem.h"
#include <linux/hw_breakpoint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct pmf_event_env bare = {"/nonexistent", {"/nonexistent", NULL}, false};
static const struct pmf_event_env with_pfm = {"/nonexistent", {"/nonexistent", NULL}, true};

/* What one event of a list must be; zero where nothing is said. */
struct want {
	const char *spec;
	enum pmf_event_class cls;
	uint32_t type;
	uint64_t config;
	uint64_t period, freq_hz;
	const char *exclude; /* of "ukh" */
	uint8_t precise;
	int group_plus_1;
	uint32_t bp_type;
	uint64_t bp_addr, bp_len;
	bool pinned, exclude_guest, exclude_host;
};

enum { WANT_MAX = 3 };

static const struct {
	const char *arg;
	struct want want[WANT_MAX + 1]; /* ends at the first without a spec */
} good[] = {
	{"cycles", {{.spec = "cycles"}}},
	{"cpu-cycles:u", {{.spec = "cpu-cycles:u", .exclude = "kh"}}},
	{"instructions:k", {{.spec = "instructions:k", .config = 1, .exclude = "uh"}}},
	{"branches:uk", {{.spec = "branches:uk", .config = 4, .exclude = "h"}}},
	{"branch-misses:h", {{.spec = "branch-misses:h", .config = 5, .exclude = "uk"}}},
	{"idle-cycles-frontend", {{.spec = "idle-cycles-frontend", .config = 7}}},
	{"ref-cycles@4kHZ", {{.spec = "ref-cycles", .config = 9, .freq_hz = 4000}}},
	{"bus-cycles:ppp", {{.spec = "bus-cycles:ppp", .config = 6, .precise = 3}}},
	{"cycles:P", {{.spec = "cycles:P"}}},
	{"cycles:upD@0x10", {{.spec = "cycles:upD",
				    .exclude = "kh",
				    .precise = 1,
				    .period = 16,
				    .pinned = true}}},
	{"cycles:G", {{.spec = "cycles:G", .exclude_host = true}}},
	{"cycles:H", {{.spec = "cycles:H", .exclude_guest = true}}},
	{"cycles:GH", {{.spec = "cycles:GH"}}},
	{"cpu-clock@1M",
		{{.spec = "cpu-clock", .cls = PMF_EVENT_CLOCK, .type = 1, .period = 1000000}}},
	{"task-clock", {{.spec = "task-clock", .cls = PMF_EVENT_CLOCK, .type = 1, .config = 1}}},
	{"faults:u@1", {{.spec = "faults:u",
			       .cls = PMF_EVENT_FAULT,
			       .type = 1,
			       .config = 2,
			       .period = 1,
			       .exclude = "kh"}}},
	{"major-faults",
		{{.spec = "major-faults", .cls = PMF_EVENT_FAULT, .type = 1, .config = 6}}},
	{"cs,migrations, cgroup-switches ",
		{{.spec = "cs", .cls = PMF_EVENT_SWITCH, .type = 1, .config = 3},
			{.spec = "migrations", .cls = PMF_EVENT_SWITCH, .type = 1, .config = 4},
			{.spec = "cgroup-switches",
				.cls = PMF_EVENT_SWITCH,
				.type = 1,
				.config = 11}}},
	{"dummy", {{.spec = "dummy", .cls = PMF_EVENT_OTHER, .type = 1, .config = 9}}},
	{"L1-dcache-load-misses",
		{{.spec = "L1-dcache-load-misses", .type = 3, .config = 0x10000}}},
	{"LLC-prefetches", {{.spec = "LLC-prefetches", .type = 3, .config = 0x202}}},
	{"dTLB-store-misses", {{.spec = "dTLB-store-misses", .type = 3, .config = 0x10103}}},
	{"iTLB-loads", {{.spec = "iTLB-loads", .type = 3, .config = 4}}},
	{"branch-load-misses", {{.spec = "branch-load-misses", .type = 3, .config = 0x10005}}},
	{"node-prefetch-misses", {{.spec = "node-prefetch-misses", .type = 3, .config = 0x10206}}},
	{"r1a8:p@100k",
		{{.spec = "r1a8:p", .type = 4, .config = 0x1a8, .precise = 1, .period = 100000}}},
	{"rffffffffffffffff", {{.spec = "rffffffffffffffff", .type = 4, .config = UINT64_MAX}}},
	{"mem:0x1000", {{.spec = "mem:0x1000",
			       .cls = PMF_EVENT_BREAKPOINT,
			       .type = 5,
			       .bp_type = HW_BREAKPOINT_RW,
			       .bp_addr = 0x1000,
			       .bp_len = 4}}},
	{"mem:0x1000/8:w:u@5,cycles", {{.spec = "mem:0x1000/8:w:u",
					       .cls = PMF_EVENT_BREAKPOINT,
					       .type = 5,
					       .period = 5,
					       .exclude = "kh",
					       .bp_type = HW_BREAKPOINT_W,
					       .bp_addr = 0x1000,
					       .bp_len = 8},
					      {.spec = "cycles"}}},
	{"mem:64:u", {{.spec = "mem:64:u",
			     .cls = PMF_EVENT_BREAKPOINT,
			     .type = 5,
			     .exclude = "kh",
			     .bp_type = HW_BREAKPOINT_RW,
			     .bp_addr = 64,
			     .bp_len = 4}}},
	{"mem:0xffffffffffffffff:x", {{.spec = "mem:0xffffffffffffffff:x",
					     .cls = PMF_EVENT_BREAKPOINT,
					     .type = 5,
					     .bp_type = HW_BREAKPOINT_X,
					     .bp_addr = UINT64_MAX,
					     .bp_len = sizeof(long)}}},
	{"{cycles:k,instructions}:u@99hz,cs",
		{{.spec = "cycles:ku", .freq_hz = 99, .exclude = "h", .group_plus_1 = 1},
			{.spec = "instructions:u",
				.config = 1,
				.freq_hz = 99,
				.exclude = "kh",
				.group_plus_1 = 1},
			{.spec = "cs", .cls = PMF_EVENT_SWITCH, .type = 1, .config = 3}}},
	/* Only a group's leader may be pinned. */
	{"{ cycles , instructions@7 }:D",
		{{.spec = "cycles:D", .group_plus_1 = 1, .pinned = true},
			{.spec = "instructions:D", .config = 1, .period = 7, .group_plus_1 = 1}}},
	{"{cycles},{branches}", {{.spec = "cycles", .group_plus_1 = 1},
					{.spec = "branches", .config = 4, .group_plus_1 = 2}}},
	{"@branch:u@1000",
		{{.spec = "branches:u", .config = 4, .period = 1000, .exclude = "kh"},
			{.spec = "branch-misses:u", .config = 5, .period = 1000, .exclude = "kh"}}},
};

static const struct {
	const char *arg;
	int status;
	const char *words;
} bad[] = {
	{"", PMF_EUSAGE, "an event's name is missing"},
	{"cycles,", PMF_EUSAGE, "an event's name is missing"},
	{"cycles,,cs", PMF_EUSAGE, "an event's name is missing"},
	{"{}", PMF_EUSAGE, "an event's name is missing"},
	{"{cycles,}", PMF_EUSAGE, "an event's name is missing"},
	{"{cycles", PMF_EUSAGE, "lacks its closing '}'"},
	{"cycles}", PMF_EUSAGE, "'}' in 'cycles}' stands outside a group"},
	{"cycles{cs}", PMF_EUSAGE, "'{' in 'cycles{cs}' stands outside a group"},
	{"{cycles,{cs}}", PMF_EUSAGE, "cannot stand inside a group"},
	{"{@default}", PMF_EUSAGE, "cannot stand inside a group"},
	{"{cycles}u", PMF_EUSAGE, "'u' stands where ':modifiers'"},
	{"cycles:z", PMF_EUSAGE, "'z' is no modifier: there are u (user), k (kernel)"},
	{"cycles:pppp", PMF_EUSAGE, "ppp is the highest"},
	{"{cycles}:pppp", PMF_EUSAGE, "ppp is the highest"},
	{"cycles:S", PMF_EUSAGE, "'S' is no modifier"},
	{"page-faults:p", PMF_EUSAGE, "not a hardware event"},
	{"cycles@0", PMF_EUSAGE, "a period of 0 samples nothing"},
	{"cycles@0hz", PMF_EUSAGE, "a frequency of 0 samples nothing"},
	{"cycles@", PMF_EUSAGE, "the period behind '@'"},
	{"cycles@hz", PMF_EUSAGE, "the period behind '@' 'hz'"},
	{"cycles@-5", PMF_EUSAGE, "'-5' is not a whole number"},
	{"cycles@99999999999999999999", PMF_EUSAGE, "is not a whole number that fits"},
	{"{cycles}@x", PMF_EUSAGE, "the period behind '@' 'x'"},
	{"r12345678901234567", PMF_EUSAGE, "more than 16 hexadecimal digits"},
	{"mem:", PMF_EUSAGE, "has no address"},
	{"mem:xyz", PMF_EUSAGE, "has no address"},
	{"mem:0x1/9", PMF_EUSAGE, "watches 1 to 8 bytes, not '9'"},
	{"mem:0x1/", PMF_EUSAGE, "watches 1 to 8 bytes"},
	{"mem:0x1:rx", PMF_EUSAGE, "not for both"},
	{"mem:0x1:rr", PMF_EUSAGE, "'rr' is no access: a breakpoint waits for r, w, rw or x"},
	{"mem:0x1:q", PMF_EUSAGE, "'q' is no access"},
	{"mem:0x1:w:q", PMF_EUSAGE, "'q' is no modifier"},
	{"sched:*", PMF_EUSAGE, "is a pattern"},
	{"cpu/event=1", PMF_EUSAGE, "lacks the closing '/'"},
	{"cpu/event=1/", PMF_ENOTFOUND, "there is no PMU 'cpu'"},
	{"@nope", PMF_ENOTFOUND, "there is no preset '@nope': there are @default, @cache"},
	{"cylces", PMF_ENOTFOUND, "no event is called 'cylces' here: did you mean cycles?"},
	{"page_fualts:u", PMF_ENOTFOUND, "'page_fualts' here: did you mean page-faults"},
	{"L1-icache-stores", PMF_ENOTFOUND, "L1-dcache-stores"},
	{"qqqqqqqqqqqq", PMF_ENOTFOUND, "no event is called 'qqqqqqqqqqqq' here: 'pmuflame list'"},
	{"sched:sched_switch", PMF_ENOTFOUND,
		"cannot look up 'sched:sched_switch': tracefs, where tracepoints are described, is "
		"not "
		"mounted: 'sudo mount -t tracefs nodev /nonexistent'"},
};

static void check_event(const char *arg, const struct pmf_event *ev, const struct want *w)
{
	const struct perf_event_attr *a = &ev->attrs[0].attr;
	const char *exclude = w->exclude ? w->exclude : "";

	print_message("# %s: %s\n", arg, ev->spec);
	assert_string_equal(ev->spec, w->spec);
	assert_string_equal(ev->label, w->spec);
	assert_int_equal(ev->cls, w->cls);
	assert_int_equal(ev->nr_attrs, 1);
	assert_int_equal(a->type, w->type);
	if (w->type != PERF_TYPE_BREAKPOINT)
		assert_int_equal(a->config, w->config);
	assert_int_equal(ev->period, w->period);
	assert_int_equal(ev->freq_hz, w->freq_hz);
	assert_int_equal(ev->rate_given, w->period || w->freq_hz);
	assert_int_equal(a->exclude_user, strchr(exclude, 'u') != NULL);
	assert_int_equal(a->exclude_kernel, strchr(exclude, 'k') != NULL);
	assert_int_equal(a->exclude_hv, strchr(exclude, 'h') != NULL);
	assert_int_equal(ev->user_given, *exclude != '\0');
	assert_int_equal(ev->precise, w->precise);
	assert_int_equal(ev->precise_given, w->precise > 0);
	assert_int_equal(a->precise_ip, w->precise);
	assert_int_equal(ev->group, w->group_plus_1 - 1);
	assert_int_equal(a->bp_type, w->bp_type);
	assert_int_equal(a->bp_addr, w->bp_addr);
	assert_int_equal(a->bp_len, w->bp_len);
	assert_int_equal(a->pinned, w->pinned);
	assert_int_equal(a->exclude_guest, w->exclude_guest);
	assert_int_equal(a->exclude_host, w->exclude_host);
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(good); i++) {
		struct pmf_event_list list;
		struct pmf_err err = PMF_ERR_INIT;
		size_t n = 0;

		pmf_event_list_init(&list);
		if (pmf_event_list_add_in(&bare, &list, good[i].arg, NULL, NULL, &err))
			fail_msg("%s: %s", good[i].arg, err.text);
		while (good[i].want[n].spec)
			n++;
		assert_int_equal(list.n, n);
		for (size_t k = 0; k < n; k++)
			check_event(good[i].arg, &list.events[k], &good[i].want[k]);
		pmf_event_list_release(&list);
	}
}

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(bad); i++) {
		struct pmf_event_list list;
		struct pmf_err err = PMF_ERR_INIT;
		int ret;

		pmf_event_list_init(&list);
		ret = pmf_event_list_add_in(&bare, &list, bad[i].arg, NULL, NULL, &err);
		if (ret != bad[i].status || !strstr(err.text, bad[i].words))
			fail_msg("'%s': status %d, '%s'", bad[i].arg, ret, err.text);
		assert_int_equal(err.status, ret);
		assert_int_equal(list.n + list.nr_dropped + (size_t)list.nr_groups, 0);
		pmf_event_list_release(&list);
	}
}

static void test_failure_keeps_list(void **state)
{
	struct pmf_event_list list;

	(void)state;
	pmf_event_list_init(&list);
	assert_int_equal(pmf_event_list_add_in(&bare, &list, "{cycles,cs}", NULL, NULL, NULL), 0);
	assert_int_equal(pmf_event_list_add_in(&bare, &list, "{faults},nosuch", NULL, NULL, NULL),
		PMF_ENOTFOUND);
	assert_int_equal(list.n, 2);
	assert_int_equal(list.nr_groups, 1);
	/* The next group gets the next number. */
	assert_int_equal(pmf_event_list_add_in(&bare, &list, "{faults}", NULL, NULL, NULL), 0);
	assert_int_equal(list.events[2].group, 1);
	pmf_event_list_release(&list);
}

/* libpfm4's own "perf" PMU is there on every machine. */
static void test_pfm(void **state)
{
	static const struct {
		const char *spec;
		uint32_t type;
		uint64_t config;
		const char *exclude;
		uint8_t precise;
	} names[] = {
		{"perf::cycles", 0, 0, "", 0},
		{"perf::cycles:u", 0, 0, "kh", 0},
		{"perf::cycles:k", 0, 0, "uh", 0},
		{"perf::cycles:upp", 0, 0, "kh", 2},
		{"perf::cycles:u=1:pp", 0, 0, "kh", 2},
		{"PERF_COUNT_SW_PAGE_FAULTS", 1, 2, "", 0},
		{"perf::page-faults:u", 1, 2, "kh", 0},
		{"perf::LLC-LOAD-MISSES", 3, 0x10002, "", 0},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(names); i++) {
		struct pmf_event_list list;
		struct pmf_err err = PMF_ERR_INIT;
		const struct perf_event_attr *a;

		pmf_event_list_init(&list);
		if (pmf_event_list_add_in(&with_pfm, &list, names[i].spec, NULL, NULL, &err))
			fail_msg("%s: %s", names[i].spec, err.text);
		print_message("# %s\n", names[i].spec);
		a = &list.events[0].attrs[0].attr;
		assert_int_equal(a->type, names[i].type);
		assert_int_equal(a->config, names[i].config);
		assert_int_equal(a->exclude_user, strchr(names[i].exclude, 'u') != NULL);
		assert_int_equal(a->exclude_kernel, strchr(names[i].exclude, 'k') != NULL);
		assert_int_equal(a->exclude_hv, strchr(names[i].exclude, 'h') != NULL);
		assert_int_equal(a->exclude_guest, 0);
		assert_int_equal(list.events[0].precise, names[i].precise);
		assert_int_equal(list.events[0].user_given, *names[i].exclude != '\0');
		pmf_event_list_release(&list);
	}
}

static void get(const char *spec, struct pmf_event_list *list)
{
	pmf_event_list_init(list);
	assert_int_equal(pmf_event_list_add_in(&bare, list, spec, NULL, NULL, NULL), 0);
}

static void test_default_rate(void **state)
{
	static const struct {
		const char *spec;
		uint64_t period, freq, max; /* of -c, -F and the kernel */
		uint64_t want_period, want_freq;
		const char *words; /* of the refusal */
	} rates[] = {
		{"cycles", 0, 0, 0, 0, 997, NULL},
		{"cpu-clock", 0, 0, 100000, 0, 997, NULL},
		{"page-faults", 0, 0, 0, 0, 997, NULL},
		{"cycles", 0, 0, 250, 0, 250, NULL},
		{"cs", 0, 0, 0, 1, 0, NULL},
		{"mem:0x10", 0, 0, 0, 1, 0, NULL},
		{"cycles", 5000, 0, 0, 5000, 0, NULL},
		{"cs", 0, 99, 0, 0, 99, NULL},
		{"cycles@7", 5000, 0, 0, 7, 0, NULL},
		{"cycles@99hz", 0, 500, 0, 0, 99, NULL},
		{"cpu-clock@10000", 0, 0, 0, 10000, 0, NULL},
		{"cpu-clock@9999", 0, 0, 0, 0, 0, "no clock period under 10,000"},
		{"task-clock", 100, 0, 0, 0, 0, "no clock period under 10,000"},
		{"cycles@5000hz", 0, 0, 4000, 0, 0,
			"kernel.perf_event_max_sample_rate is 4000: ask for less"},
		{"cycles", 0, 4001, 4000, 0, 0, "4001 Hz is more than this kernel samples"},
		{"cycles", UINT64_C(1) << 63, 0, 0, 0, 0, "63 bits"},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(rates); i++) {
		struct pmf_err err = PMF_ERR_INIT;
		struct pmf_event_list list;
		int ret;

		get(rates[i].spec, &list);
		print_message("# %s\n", rates[i].spec);
		ret = pmf_event_default_rate(
			&list.events[0], rates[i].period, rates[i].freq, rates[i].max, &err);
		if (rates[i].words) {
			assert_int_equal(ret, PMF_EUSAGE);
			assert_non_null(strstr(err.text, rates[i].words));
		} else {
			assert_int_equal(ret, 0);
			assert_int_equal(list.events[0].period, rates[i].want_period);
			assert_int_equal(list.events[0].freq_hz, rates[i].want_freq);
		}
		pmf_event_list_release(&list);
	}
}

static void test_fallback(void **state)
{
	static const struct {
		const char *spec;
		bool plain;
		const char *label;
	} events[] = {
		{"cycles", true, "cpu-clock"},
		{"cpu-cycles:u@99hz", true, "cpu-clock:u"},
		{"cycles:ukP", true, "cpu-clock:uk"},
		{"cycles@1000", false, NULL},
		{"cycles:p", false, NULL},
		{"instructions", false, NULL},
		{"r0", false, NULL},
		{"cpu-clock", false, NULL},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(events); i++) {
		struct pmf_event_list list;
		struct pmf_event *ev;
		bool exclude_kernel;

		get(events[i].spec, &list);
		ev = &list.events[0];
		exclude_kernel = ev->attrs[0].attr.exclude_kernel;
		print_message("# %s\n", events[i].spec);
		assert_int_equal(pmf_event_is_plain_cycles(ev), events[i].plain);
		if (events[i].plain) {
			pmf_event_fall_back_to_clock(ev, "no PMU");
			assert_string_equal(ev->label, events[i].label);
			assert_int_equal(strncmp(ev->spec, "c", 1), 0);
			assert_string_equal(ev->fallback_reason, "no PMU");
			assert_int_equal(ev->cls, PMF_EVENT_CLOCK);
			assert_int_equal(ev->nr_attrs, 1);
			assert_int_equal(ev->attrs[0].attr.type, PERF_TYPE_SOFTWARE);
			assert_int_equal(ev->attrs[0].attr.config, PERF_COUNT_SW_CPU_CLOCK);
			assert_int_equal(ev->attrs[0].attr.exclude_kernel, exclude_kernel);
			assert_string_equal(pmf_event_unit(ev), "ns");
			assert_false(pmf_event_is_plain_cycles(ev));
		}
		pmf_event_list_release(&list);
	}
}

/* Lets through what @ctx, a comma list, names; the others for want of the first. */
static bool only(void *ctx, const struct pmf_event *ev, struct pmf_err *why)
{
	if (strstr(ctx, ev->spec))
		return true;
	pmf_err_set(why, PMF_EUNSUP, "cannot open 'cycles': not today");
	return false;
}

static void test_presets(void **state)
{
	char cycles[] = "cycles,branch-misses", software[] = "cpu-clock,page-faults",
	     nothing[] = "-";
	struct pmf_event_list list;
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	pmf_event_list_init(&list);
	assert_int_equal(pmf_event_list_add_in(&bare, &list, "@default", only, cycles, &err), 0);
	assert_int_equal(list.n, 2);
	assert_string_equal(list.events[1].spec, "branch-misses");
	assert_int_equal(list.nr_dropped, 2);
	assert_string_equal(list.dropped[0], "instructions: not today");
	pmf_event_list_release(&list);

	/* No PMU: the preset's other half. */
	assert_int_equal(pmf_event_list_add_in(&bare, &list, "@default", only, software, &err), 0);
	assert_int_equal(list.n, 2);
	assert_string_equal(list.events[0].spec, "cpu-clock");
	assert_int_equal(list.nr_dropped, 4);
	pmf_event_list_release(&list);

	assert_int_equal(
		pmf_event_list_add_in(&bare, &list, "@cache", only, nothing, &err), PMF_EUNSUP);
	assert_non_null(strstr(err.text, "no event of @cache can run here"));
	assert_int_equal(list.n + list.nr_dropped, 0);

	for (const struct pmf_event_preset *p = pmf_event_presets(); p->name; p++) {
		assert_int_equal(pmf_event_list_add_in(&bare, &list, p->name, NULL, NULL, &err), 0);
		assert_int_equal(list.nr_dropped, 0);
	}
	pmf_event_list_release(&list);
}

static int count(void *ctx, const struct pmf_event_info *info)
{
	struct pmf_event_list list;
	size_t *n = ctx;

	/* What the walk names can be asked for. */
	pmf_event_list_init(&list);
	if (pmf_event_list_add_in(&with_pfm, &list, info->name, NULL, NULL, NULL))
		fail_msg("'%s' does not parse", info->name);
	pmf_event_list_release(&list);
	++*n;
	return strcmp(info->name, "node-prefetch-misses") == 0 ? 42 : 0;
}

static void test_walk(void **state)
{
	size_t n = 0;

	(void)state;
	assert_int_equal(pmf_event_walk_in(&bare, count, &n, NULL), 42);
	assert_int_equal(n, 29 + 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_failure_keeps_list),
		cmocka_unit_test(test_pfm),
		cmocka_unit_test(test_default_rate),
		cmocka_unit_test(test_fallback),
		cmocka_unit_test(test_presets),
		cmocka_unit_test(test_walk),
	};

	return cmocka_run_group_tests_name("event_spec", tests, NULL, NULL);
}
