/* What the events of a recording are called: as it says, or else as perf would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "perf_data_build.h"
#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

enum { FEAT_EVENT_DESC = 12 };
enum { EVENT_TYPE = 65, EVENT_UPDATE = 78, UPDATE_UNIT = 0, UPDATE_SCALE = 1, UPDATE_NAME = 2 };

static void add_desc(struct pd_make *m, const char *const *names, uint32_t n)
{
	static struct build b;

	b.len = 0;
	build_u32(&b, n);
	build_u32(&b, 72);
	for (uint32_t i = 0; i < n; i++) {
		build_words(&b, 9, 0);
		build_u32(&b, 1);
		pd_text(&b, names[i]);
		build_u64(&b, i);
	}
	pd_feature(m, FEAT_EVENT_DESC, &b);
}

static void add_update(struct pd_make *m, uint64_t kind, uint64_t id, const char *text)
{
	static struct build b;

	build_start(&b, EVENT_UPDATE, 0);
	build_u64(&b, kind);
	build_u64(&b, id);
	build_str(&b, text);
	pd_record(m, &b);
}

static void test_names_come_from_the_recording(void **state)
{
	static const char *const names[] = {"cpu_core/cycles/u", "name with spaces", "", "mine"};

	(void)state;
	for (int pipe = 0; pipe < 2; pipe++) {
		struct pd_make m = {.pipe = pipe};
		struct pd_event *e = NULL;
		struct pd_result r = {0};

		for (uint64_t i = 0; i < 4; i++)
			e = pd_event(&m, i, PD_TYPE | PERF_SAMPLE_IDENTIFIER, 30 + i);
		add_desc(&m, names, 4);
		pd_comm(&m, e, 0, "before the names");
		add_update(&m, UPDATE_NAME, 33, "better");
		add_update(&m, UPDATE_UNIT, 30, "Joules");
		add_update(&m, UPDATE_SCALE, 30, "????????");
		add_update(&m, UPDATE_NAME, 99, "nobody's");
		pd_sample(&m, e, 10, 1);
		add_update(&m, UPDATE_NAME, 31, "too late");
		pd_read_made(&r, &m);
		assert_int_equal(r.ret, 0);
		assert_string_equal(r.info->events[0].name, "cpu_core/cycles/u");
		assert_string_equal(r.info->events[0].unit, "Joules");
		assert_string_equal(r.info->events[1].name, "name with spaces");
		assert_null(r.info->events[1].unit);
		assert_string_equal(r.info->events[2].name, "cache-references");
		assert_string_equal(r.info->events[3].name, "better");
		pd_result_release(&r);
		pd_release(&m);
	}
}

/* Old versions of perf told the names of tracepoints so. */
static void test_names_of_event_types(void **state)
{
	struct pd_make m = {.pipe = true};
	struct pd_event *e = pd_event(&m, 317, PD_TYPE, 0);
	struct pd_result r = {0};
	static struct build b;
	char name[64] = "sched:sched_switch";

	(void)state;
	e->attr.type = PERF_TYPE_TRACEPOINT;
	build_start(&b, EVENT_TYPE, 0);
	build_u64(&b, 317);
	build_bytes(&b, name, sizeof name);
	pd_record(&m, &b);
	pd_sample(&m, e, 10, 1);
	pd_read_made(&r, &m);
	pd_assert_read(&r, 1, 1);
	assert_string_equal(r.info->events[0].name, "sched:sched_switch");
	pd_result_release(&r);
	pd_release(&m);
}

static char *name_of(const struct perf_event_attr *attr)
{
	struct pd_make m = {0};
	struct pd_result r = {0};
	char *name;

	pd_event(&m, 0, PD_TYPE, 0)->attr = *attr;
	pd_read_made(&r, &m);
	assert_int_equal(r.ret, 0);
	name = pmf_strdup(r.info->events[0].name);
	pd_result_release(&r);
	pd_release(&m);
	return name;
}

static void test_names_are_made_as_perf_makes_them(void **state)
{
	static const struct {
		struct perf_event_attr attr;
		const char *name;
	} cases[] = {
		{{.type = PERF_TYPE_HARDWARE, .config = 5}, "branch-misses"},
		{{.type = PERF_TYPE_HARDWARE,
			 .config = 4ull << 32,
			 .exclude_kernel = 1,
			 .exclude_hv = 1},
			"cycles:u"},
		{{.type = PERF_TYPE_HARDWARE,
			 .config = 0,
			 .precise_ip = 2,
			 .exclude_user = 1,
			 .exclude_hv = 1},
			"cycles:kpp"},
		{{.type = PERF_TYPE_SOFTWARE, .config = 2}, "page-faults"},
		{{.type = PERF_TYPE_HW_CACHE, .config = 0x10003}, "dTLB-load-misses"},
		{{.type = PERF_TYPE_HW_CACHE, .config = 0x100}, "L1-dcache-stores"},
		{{.type = PERF_TYPE_HW_CACHE, .config = 0x3000000},
			"unknown-ext-hardware-cache-type 0x3000000"},
		{{.type = PERF_TYPE_RAW, .config = 0x1cd}, "raw 0x1cd"},
		{{.type = PERF_TYPE_TRACEPOINT, .config = 317}, "tracepoint 317"},
		{{.type = PERF_TYPE_BREAKPOINT, .bp_addr = 0x1234}, "mem:0x1234"},
		{{.type = 9, .config = 0x74}, "pmu9/config=0x74/"},
		{{.type = PERF_TYPE_HARDWARE, .config = 77}, "pmu0/config=0x4d/"},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		char *name = name_of(&cases[i].attr);

		assert_string_equal(name, cases[i].name);
		free(name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_come_from_the_recording),
		cmocka_unit_test(test_names_of_event_types),
		cmocka_unit_test(test_names_are_made_as_perf_makes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
