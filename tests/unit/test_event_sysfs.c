/* Events that the kernel describes in files, from made-up trees of other machines. */
#include "../../src/event/event_priv.h"

#include "pmuflame/mem.h"
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct tree {
	char root[64];
	char *pmus, *trace;
	struct pmf_event_env env;
};

static void put(const struct tree *t, const char *name, const char *text)
{
	char *path = pmf_asprintf("%s/%s", t->root, name);
	FILE *f;

	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
		*p = '/';
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "%s\n", text);
	fclose(f);
	free(path);
}

static const char *const hybrid[][2] = {
	{"pmu/cpu_core/type", "4"},
	{"pmu/cpu_core/cpus", "0-3"},
	{"pmu/cpu_core/format/event", "config:0-7"},
	{"pmu/cpu_core/format/umask", "config:8-15"},
	{"pmu/cpu_core/format/edge", "config:18"},
	{"pmu/cpu_core/format/ldlat", "config1:0-15"},
	{"pmu/cpu_core/format/odd", "config2:8-11,32-39"},
	{"pmu/cpu_core/format/all", "config2:0-63"},
	{"pmu/cpu_core/format/strange", "config9:0-7"},
	{"pmu/cpu_core/format/backwards", "config:7-0"},
	{"pmu/cpu_core/events/mem-loads", "event=0xcd,umask=0x1,ldlat=3"},
	{"pmu/cpu_core/events/shared", "event=0x10"},
	{"pmu/cpu_core/events/open", "event=0x20,umask=?"},
	{"pmu/cpu_core/events/broken", "event=0x20,nosuch=1"},
	{"pmu/cpu_atom/type", "10"},
	{"pmu/cpu_atom/cpus", "4-7"},
	{"pmu/cpu_atom/format/event", "config:0-7"},
	{"pmu/cpu_atom/events/shared", "event=0x11"},
	{"pmu/uncore_imc_0/type", "20"},
	{"pmu/uncore_imc_0/cpumask", "0"},
	{"pmu/uncore_imc_0/format/event", "config:0-7"},
	{"pmu/uncore_imc_0/events/cas", "event=0x04"},
	{"pmu/uncore_imc_0/events/cas.unit", "MiB"},
	{"pmu/uncore_imc_0/events/cas.scale", "6.1e-5"},
	{"pmu/uncore_imc_0/events/shared", "event=0x12"},
	{"pmu/ibs_op/type", "11"},
	{"pmu/ibs_op/format/cnt_ctl", "config:19"},
	{"pmu/software/type", "1"},
	{"pmu/junk/type", "no number"},
	{"trace/events/sched/sched_switch/id", "316"},
	{"trace/events/sched/sched_broken/id", "-1"},
	{"trace/events/sched/enable", "0"},
};

static void tree_init(struct tree *t, const char *const files[][2], size_t n)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(t->root, sizeof t->root, "%.40s/pmf-sysfs-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(t->root));
	for (size_t i = 0; i < n; i++)
		put(t, files[i][0], files[i][1]);
	t->pmus = pmf_asprintf("%s/pmu", t->root);
	t->trace = pmf_asprintf("%s/trace", t->root);
	t->env = (struct pmf_event_env){t->pmus, {t->trace, NULL}, false};
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void tree_release(struct tree *t)
{
	nftw(t->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(t->pmus);
	free(t->trace);
}

/* One way to open an event. */
struct way {
	const char *pmu, *cpus;
	uint32_t type;
	uint64_t config, config1, config2;
};

static void expect(const struct tree *t, const char *spec, enum pmf_event_class cls,
	const struct way *ways, size_t n)
{
	struct pmf_event_list list;
	struct pmf_err err = PMF_ERR_INIT;
	const struct pmf_event *ev;

	pmf_event_list_init(&list);
	if (pmf_event_list_add_in(&t->env, &list, spec, NULL, NULL, &err))
		fail_msg("%s: %s", spec, err.text);
	print_message("# %s\n", spec);
	assert_int_equal(list.n, 1);
	ev = &list.events[0];
	assert_int_equal(ev->cls, cls);
	assert_int_equal(ev->nr_attrs, n);
	for (size_t i = 0; i < n; i++) {
		const struct pmf_event_attr *a = &ev->attrs[i];

		assert_int_equal(a->attr.type, ways[i].type);
		assert_int_equal(a->attr.config, ways[i].config);
		assert_int_equal(a->attr.config1, ways[i].config1);
		assert_int_equal(a->attr.config2, ways[i].config2);
		if (ways[i].pmu)
			assert_string_equal(a->pmu, ways[i].pmu);
		else
			assert_null(a->pmu);
		if (ways[i].cpus)
			assert_string_equal(a->cpus, ways[i].cpus);
		else
			assert_null(a->cpus);
	}
	pmf_event_list_release(&list);
}

static void refuse(const struct tree *t, const char *spec, int status, const char *words)
{
	struct pmf_event_list list;
	struct pmf_err err = PMF_ERR_INIT;
	int ret;

	pmf_event_list_init(&list);
	ret = pmf_event_list_add_in(&t->env, &list, spec, NULL, NULL, &err);
	if (ret != status || !strstr(err.text, words))
		fail_msg("'%s': status %d, '%s'", spec, ret, err.text);
	pmf_event_list_release(&list);
}

#define EXPECT(t, spec, cls, ...) \
	expect(t, spec, cls, (const struct way[]){__VA_ARGS__}, \
		sizeof((const struct way[]){__VA_ARGS__}) / sizeof(struct way))

static int setup(void **state)
{
	struct tree *t = pmf_zalloc(sizeof *t);

	tree_init(t, hybrid, PMF_ARRAY_SIZE(hybrid));
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	tree_release(*state);
	free(*state);
	return 0;
}

static void test_hybrid_generic(void **state)
{
	const struct tree *t = *state;

	EXPECT(t, "cycles", PMF_EVENT_HARDWARE, {"cpu_atom", "4-7", 0, UINT64_C(10) << 32, 0, 0},
		{"cpu_core", "0-3", 0, UINT64_C(4) << 32, 0, 0});
	EXPECT(t, "LLC-load-misses:u", PMF_EVENT_HARDWARE,
		{"cpu_atom", "4-7", 3, UINT64_C(10) << 32 | 0x10002, 0, 0},
		{"cpu_core", "0-3", 3, UINT64_C(4) << 32 | 0x10002, 0, 0});
	/* A raw config has no room for the PMU: its type says it. */
	EXPECT(t, "r1c2", PMF_EVENT_HARDWARE, {"cpu_atom", "4-7", 10, 0x1c2, 0, 0},
		{"cpu_core", "0-3", 4, 0x1c2, 0, 0});
	EXPECT(t, "cpu-clock", PMF_EVENT_CLOCK, {"software", NULL, 1, 0, 0, 0});
	EXPECT(t, "cpu_core/cycles/", PMF_EVENT_HARDWARE,
		{"cpu_core", "0-3", 0, UINT64_C(4) << 32, 0, 0});
}

static void test_hybrid_cycles_is_plain(void **state)
{
	const struct tree *t = *state;
	struct pmf_event_list list;

	pmf_event_list_init(&list);
	assert_int_equal(pmf_event_list_add_in(&t->env, &list, "cycles:u", NULL, NULL, NULL), 0);
	assert_true(pmf_event_is_plain_cycles(&list.events[0]));
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(list.events[0].attrs[i].attr.exclude_kernel, 1);
	pmf_event_fall_back_to_clock(&list.events[0], "why");
	assert_int_equal(list.events[0].nr_attrs, 1);
	assert_null(list.events[0].attrs[0].cpus);
	assert_string_equal(list.events[0].label, "cpu-clock:u");
	pmf_event_list_release(&list);
}

static void test_terms(void **state)
{
	const struct tree *t = *state;
	const enum pmf_event_class hw = PMF_EVENT_HARDWARE;

	EXPECT(t, "cpu_core/event=0x3c,umask=1/", hw, {"cpu_core", "0-3", 4, 0x13c, 0, 0});
	EXPECT(t, "cpu_core/event=60,edge/", hw, {"cpu_core", "0-3", 4, 0x4003c, 0, 0});
	EXPECT(t, "cpu_core//", hw, {"cpu_core", "0-3", 4, 0, 0, 0});
	EXPECT(t, "cpu_core/mem-loads/pp", hw, {"cpu_core", "0-3", 4, 0x1cd, 3, 0});
	EXPECT(t, "cpu_core/mem-loads,ldlat=30/:u", hw, {"cpu_core", "0-3", 4, 0x1cd, 30, 0});
	EXPECT(t, "cpu_core/open,umask=0x7/", hw, {"cpu_core", "0-3", 4, 0x720, 0, 0});
	/* Bits in two places, the lowest first; what stood there before is gone. */
	EXPECT(t, "cpu_core/odd=0xabc/", hw,
		{"cpu_core", "0-3", 4, 0, 0, UINT64_C(0xab) << 32 | 0xc << 8});
	EXPECT(t, "cpu_core/all=0xffffffffffffffff,odd=0/", hw,
		{"cpu_core", "0-3", 4, 0, 0, ~(UINT64_C(0xff) << 32 | UINT64_C(0xf) << 8)});
	EXPECT(t, "cpu_core/config=0x1234,config1=5,config2=6,event=0xff/", hw,
		{"cpu_core", "0-3", 4, 0x12ff, 5, 6});
	EXPECT(t, "ibs_op/cnt_ctl=1/", hw, {"ibs_op", NULL, 11, 1 << 19, 0, 0});
	EXPECT(t, "software/config=2/", PMF_EVENT_FAULT, {"software", NULL, 1, 2, 0, 0});
}

static void test_bare_names(void **state)
{
	const struct tree *t = *state;

	EXPECT(t, "mem-loads", PMF_EVENT_HARDWARE, {"cpu_core", "0-3", 4, 0x1cd, 3, 0});
	/* Every core PMU that has it, and none of the others. */
	EXPECT(t, "shared:u", PMF_EVENT_HARDWARE, {"cpu_atom", "4-7", 10, 0x11, 0, 0},
		{"cpu_core", "0-3", 4, 0x10, 0, 0});
	EXPECT(t, "cas", PMF_EVENT_OTHER, {"uncore_imc_0", "0", 20, 4, 0, 0});
	EXPECT(t, "uncore_imc_0/cas/", PMF_EVENT_OTHER, {"uncore_imc_0", "0", 20, 4, 0, 0});
}

static void test_rate_terms(void **state)
{
	const struct tree *t = *state;
	struct pmf_event_list list;

	pmf_event_list_init(&list);
	assert_int_equal(pmf_event_list_add_in(&t->env, &list,
				 "cpu_core/event=1,period=10k/u,cpu_core/event=2,freq=99/,cycles",
				 NULL, NULL, NULL),
		0);
	assert_int_equal(list.n, 3);
	assert_int_equal(list.events[0].period, 10000);
	assert_true(list.events[0].rate_given && list.events[0].user_given);
	assert_int_equal(list.events[1].freq_hz, 99);
	assert_false(list.events[2].rate_given);
	pmf_event_list_release(&list);
}

static void test_refused_terms(void **state)
{
	const struct tree *t = *state;

	refuse(t, "cpu_core/event=0x100/", PMF_EUSAGE, "'cpu_core' has 8 bits for it");
	refuse(t, "cpu_core/edge=2/", PMF_EUSAGE, "has 1 bits for it");
	refuse(t, "cpu_core/event=abc/", PMF_EUSAGE, "needs a number");
	refuse(t, "cpu_core/config/", PMF_EUSAGE, "'config' needs a number");
	refuse(t, "cpu_core/,event=1/", PMF_EUSAGE, "has an empty term");
	refuse(t, "cpu_core/nosuch/", PMF_ENOTFOUND, "has no term or event 'nosuch'");
	refuse(t, "cpu_core/mem-load/", PMF_ENOTFOUND, "cpu_core/mem-loads/ come near");
	refuse(t, "cpu_core/nosuch=1/", PMF_ENOTFOUND, "edge, event, ldlat");
	refuse(t, "cpu_core/../", PMF_ENOTFOUND, "has no term or event '..'");
	refuse(t, "uncore_imc_0/cas.unit/", PMF_ENOTFOUND, "has no term or event 'cas.unit'");
	refuse(t, "cas.scale", PMF_ENOTFOUND, "no event is called 'cas.scale'");
	refuse(t, "uncore_imc_0/cycles/", PMF_ENOTFOUND, "has no term or event 'cycles'");
	refuse(t, "cpu_core/open/", PMF_EUSAGE, "needs a value for 'umask'");
	refuse(t, "cpu_core/broken/", PMF_EUNSUP, "with the term 'nosuch'");
	refuse(t, "cpu_core/strange=1/", PMF_EUNSUP, "as 'config9:0-7'");
	refuse(t, "cpu_core/backwards=1/", PMF_EUNSUP, "as 'config:7-0'");
	refuse(t, "cpu_core/call-graph=fp/", PMF_EUSAGE, "perf's term 'call-graph'");
	refuse(t, "cpu_core/period=0/", PMF_EUSAGE, "at least 1");
	refuse(t, "cpu_core/event=1,period=5/@7", PMF_EUSAGE, "keep one");
	refuse(t, "cpu_core/event=1/z", PMF_EUSAGE, "'z' is no modifier");
	refuse(t, "cpu/event=1/", PMF_ENOTFOUND, "it has cpu_atom, cpu_core");
	refuse(t, "junk/event=1/", PMF_ENOTFOUND, "there is no PMU 'junk'");
	refuse(t, "mem-laods", PMF_ENOTFOUND, "did you mean cpu_core/mem-loads/");
}

static void test_tracepoints(void **state)
{
	const struct tree *t = *state;
	struct pmf_event_env none = t->env;
	struct pmf_err err = PMF_ERR_INIT;

	EXPECT(t, "sched:sched_switch", PMF_EVENT_TRACEPOINT, {"tracepoint", NULL, 2, 316, 0, 0});
	EXPECT(t, "sched:sched_switch:k@10", PMF_EVENT_TRACEPOINT,
		{"tracepoint", NULL, 2, 316, 0, 0});
	refuse(t, "sched:sched_switch:z", PMF_EUSAGE, "'z' is no modifier");
	refuse(t, "sched:sched_swich", PMF_ENOTFOUND, "did you mean sched:sched_switch");
	refuse(t, "sched:sched_broken", PMF_EFORMAT, "holds no tracepoint id");
	refuse(t, "../sched:sched_switch", PMF_EUSAGE, "lacks the closing '/'");
	assert_int_equal(pmf_event_tracefs_check_in(&t->env, &err), 0);
	none.tracefs[0] = t->pmus;
	assert_int_equal(pmf_event_tracefs_check_in(&none, &err), PMF_ENOTFOUND);
	assert_non_null(strstr(err.text, "sudo mount -t tracefs nodev"));
}

static void test_unreadable_tracefs(void **state)
{
	enum { NOBODY = 65534 };
	const struct tree *t = *state;
	char *events = pmf_asprintf("%s/events", t->trace);
	int status = -1;
	pid_t pid;

	chmod(events, 0);
	pid = fork();
	if (pid == 0) {
		struct pmf_event_list list;
		struct pmf_err err = PMF_ERR_INIT;
		bool right;

		/* Root may read everything, so it has to become somebody else. */
		if (geteuid() == 0 && setuid(NOBODY) < 0)
			_exit(2);
		pmf_event_list_init(&list);
		right = pmf_event_tracefs_check_in(&t->env, &err) == PMF_EPERM &&
			strstr(err.text, "sudo mount -o remount,mode=755") &&
			pmf_event_list_add_in(&t->env, &list, "sched:sched_switch", NULL, NULL,
				&err) == PMF_EPERM &&
			strstr(err.text, "cannot look up 'sched:sched_switch'");
		free(events);
		_exit(right ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	chmod(events, 0755);
	free(events);
	assert_int_equal(status, 0);
}

struct seen {
	bool cas, unit, tracepoint;
	size_t n;
};

static int see(void *ctx, const struct pmf_event_info *info)
{
	struct seen *s = ctx;

	s->n++;
	if (strcmp(info->name, "uncore_imc_0/cas/") == 0) {
		s->cas = true;
		assert_string_equal(info->kind, "pmu");
		assert_string_equal(info->pmu, "uncore_imc_0");
		assert_string_equal(info->desc, "event=0x04");
	}
	s->unit |= strstr(info->name, ".unit") || strstr(info->name, ".scale");
	s->tracepoint |= strcmp(info->name, "sched:sched_switch") == 0;
	return 0;
}

static void test_walk(void **state)
{
	const struct tree *t = *state;
	struct seen s = {.n = 0};

	assert_int_equal(pmf_event_walk_in(&t->env, see, &s, NULL), 0);
	assert_true(s.cas && s.tracepoint);
	assert_false(s.unit);
}

static void test_other_machines(void **state)
{
	static const char *const arm[][2] = {
		{"pmu/armv8_cortex_a53/type", "8"},
		{"pmu/armv8_cortex_a53/cpus", "0-3"},
		{"pmu/armv8_cortex_a72/type", "9"},
		{"pmu/armv8_cortex_a72/cpus", "4-5"},
	};
	static const char *const x86[][2] = {
		{"pmu/cpu/type", "4"},
		{"pmu/cpu/format/event", "config:0-7,32-35"},
		{"pmu/cpu/events/cache-misses", "event=0x64"},
	};
	static const char *const offline[][2] = {
		{"pmu/cpu_core/type", "4"},
		{"pmu/cpu_core/cpus", "0-3"},
		{"pmu/cpu_atom/type", "10"},
		{"pmu/cpu_atom/cpus", ""},
	};
	struct tree t;

	(void)state;
	tree_init(&t, arm, PMF_ARRAY_SIZE(arm));
	EXPECT(&t, "instructions", PMF_EVENT_HARDWARE,
		{"armv8_cortex_a53", "0-3", 0, UINT64_C(8) << 32 | 1, 0, 0},
		{"armv8_cortex_a72", "4-5", 0, UINT64_C(9) << 32 | 1, 0, 0});
	tree_release(&t);

	tree_init(&t, x86, PMF_ARRAY_SIZE(x86));
	EXPECT(&t, "instructions", PMF_EVENT_HARDWARE, {"cpu", NULL, 0, 1, 0, 0});
	EXPECT(&t, "cpu/event=0x1c2/", PMF_EVENT_HARDWARE,
		{"cpu", NULL, 4, UINT64_C(1) << 32 | 0xc2, 0, 0});
	EXPECT(&t, "cpu/cache-misses/", PMF_EVENT_HARDWARE, {"cpu", NULL, 4, 0x64, 0, 0});
	EXPECT(&t, "cpu/branch-misses/", PMF_EVENT_HARDWARE, {"cpu", NULL, 0, 5, 0, 0});
	tree_release(&t);

	/* A core type whose CPUs are all offline is not asked. */
	tree_init(&t, offline, PMF_ARRAY_SIZE(offline));
	EXPECT(&t, "cycles", PMF_EVENT_HARDWARE, {"cpu_atom", NULL, 0, 0, 0, 0});
	tree_release(&t);
}

#if defined(__x86_64__)
/* libpfm4 made to believe that it runs on a Skylake (libpfm(3), LIBPFM_FORCE_PMU); the core PMU of
 * its raw type is sysfs's. */
static void test_pfm_masks(void **state)
{
	const struct tree *t = *state;
	struct tree skylake = *t;
	struct pmf_event_list list;

	setenv("LIBPFM_FORCE_PMU", "skl", 1);
	skylake.env.pfm = true;
	EXPECT(&skylake, "skl::L2_RQSTS:MISS", PMF_EVENT_HARDWARE,
		{"cpu_core", "0-3", 4, 0x3f24, 0, 0});
	EXPECT(&skylake, "L2_RQSTS:MISS:c=1:upp", PMF_EVENT_HARDWARE,
		{"cpu_core", "0-3", 4, 0x1003f24, 0, 0});
	EXPECT(&skylake, "OFFCORE_RESPONSE_0", PMF_EVENT_HARDWARE,
		{"cpu_core", "0-3", 4, 0x1b7, 0x18007, 0});
	refuse(&skylake, "L2_RQSTS:MISSES", PMF_EUSAGE, "'pmuflame list L2_RQSTS' shows");
	refuse(&skylake, "L2_RQST", PMF_ENOTFOUND, "did you mean skl::L2_RQSTS");

	pmf_event_list_init(&list);
	assert_int_equal(
		pmf_event_list_add_in(&skylake.env, &list,
			"L2_RQSTS:MISS:k,L2_RQSTS:MISS:u=1:pp,L2_RQSTS:MISS", NULL, NULL, NULL),
		0);
	assert_int_equal(list.events[0].attrs[0].attr.exclude_user, 1);
	assert_int_equal(list.events[0].attrs[0].attr.exclude_hv, 1);
	assert_int_equal(list.events[1].attrs[0].attr.exclude_kernel, 1);
	assert_int_equal(list.events[1].precise, 2);
	assert_int_equal(list.events[2].attrs[0].attr.exclude_hv, 0);
	assert_false(list.events[2].user_given);
	pmf_event_list_release(&list);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hybrid_generic),
		cmocka_unit_test(test_hybrid_cycles_is_plain),
		cmocka_unit_test(test_terms),
		cmocka_unit_test(test_bare_names),
		cmocka_unit_test(test_rate_terms),
		cmocka_unit_test(test_refused_terms),
		cmocka_unit_test(test_tracepoints),
		cmocka_unit_test(test_unreadable_tracefs),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_other_machines),
#if defined(__x86_64__)
		cmocka_unit_test(test_pfm_masks),
#endif
	};

	return cmocka_run_group_tests_name("event_sysfs", tests, setup, teardown);
}
