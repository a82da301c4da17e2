/* What the running kernel lets this user do. Machines differ (PMU or none, root or not), so the
 * tests ask whether the answers fit together. */
#include "../../src/perf/perf_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "skip.h"
#include <cmocka.h>

/* Where nothing opens there is nothing to try. */
static void need_perf(void)
{
	struct pmf_perf_features f;
	struct pmf_err err = PMF_ERR_INIT;

	if (pmf_perf_features_probe(&f, &err))
		skip_because("%s", err.text);
}

static void get(const char *spec, struct pmf_event_list *list)
{
	struct pmf_err err = PMF_ERR_INIT;

	pmf_event_list_init(list);
	if (pmf_event_list_add(list, spec, NULL, NULL, &err))
		fail_msg("%s: %s", spec, err.text);
}

static struct pmf_perf_try try(const char *spec)
{
	struct pmf_event_list list;
	struct pmf_perf_try t;

	get(spec, &list);
	pmf_perf_try_event(&list.events[0], &t);
	pmf_event_list_release(&list);
	print_message("# %s: opens %d counts %d samples %d exercised %d: %s\n", spec, t.opens,
		t.counts, t.samples, t.exercised, t.why);
	assert_true(t.opens || (!t.counts && !t.samples && !t.user_only));
	/* Nothing is refused without a reason. */
	assert_true(t.samples || t.why[0]);
	return t;
}

static bool can_open(const char *spec, struct pmf_err *why)
{
	struct pmf_event_list list;
	bool can;

	get(spec, &list);
	can = pmf_perf_can_open(NULL, &list.events[0], why);
	pmf_event_list_release(&list);
	return can;
}

static void test_limits(void **state)
{
	struct pmf_perf_limits l;

	(void)state;
	pmf_perf_limits_read(&l);
	assert_true(l.cpus_online >= 1);
	assert_int_equal(
		access("/proc/sys/kernel/perf_event_paranoid", R_OK) == 0, l.paranoid != -100);
	l = (struct pmf_perf_limits){.paranoid = 1};
	assert_true(pmf_perf_kernel_permitted(&l));
	l.paranoid = 2;
	assert_false(pmf_perf_kernel_permitted(&l));
	l.cap_perfmon = true;
	assert_true(pmf_perf_kernel_permitted(&l));
}

static void test_sys_open_is_cloexec(void **state)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_DUMMY, .exclude_kernel = 1};
	int fd;

	(void)state;
	need_perf();
	fd = pmf_perf_sys_open(&attr, 0, -1, -1, 0);
	assert_true(fd >= 0);
	assert_int_equal(attr.size, sizeof attr);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	attr.type = UINT32_MAX;
	assert_true(pmf_perf_sys_open(&attr, 0, -1, -1, 0) < 0);
}

static void test_software(void **state)
{
	static const char *const specs[] = {
		"cpu-clock", "task-clock", "cpu-clock:u", "page-faults", "minor-faults:u"};
	struct pmf_perf_limits l;

	(void)state;
	need_perf();
	pmf_perf_limits_read(&l);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(specs); i++) {
		struct pmf_perf_try t = try(specs[i]);

		assert_true(t.opens && t.exercised && t.counts && t.samples);
		assert_int_equal(t.why[0], '\0');
		assert_int_equal(
			t.user_only, !pmf_perf_kernel_permitted(&l) && !strchr(specs[i], ':'));
		assert_true(can_open(specs[i], NULL));
	}
}

static void test_switches(void **state)
{
	struct pmf_err why = PMF_ERR_INIT;
	struct pmf_perf_limits l;
	struct pmf_perf_try t;

	(void)state;
	need_perf();
	pmf_perf_limits_read(&l);
	t = try("context-switches");
	assert_int_equal(t.samples && t.counts, pmf_perf_kernel_permitted(&l));
	assert_int_equal(can_open("context-switches", &why), pmf_perf_kernel_permitted(&l));
	if (!pmf_perf_kernel_permitted(&l))
		assert_non_null(strstr(why.text, "happens in the kernel"));
	/* Without the kernel nothing is left of it, whoever asks. */
	assert_false(try("context-switches:u").opens);
}

static void test_not_exercised(void **state)
{
	struct pmf_perf_try t;

	(void)state;
	need_perf();
	t = try("dummy");
	assert_true(t.opens && t.samples);
	assert_false(t.exercised || t.counts);
	assert_non_null(strstr(t.why, "not exercised"));
}

static void test_pmu_answers_agree(void **state)
{
	struct pmf_err why = PMF_ERR_INIT;
	struct pmf_perf_try t;
	bool has;

	(void)state;
	need_perf();
	has = pmf_perf_has_pmu(&why);
	t = try("cycles");
	assert_int_equal(has, t.counts);
	assert_true(has || why.text[0]);
	why = (struct pmf_err)PMF_ERR_INIT;
	assert_int_equal(can_open("cycles", &why), t.samples);
	if (!t.opens) {
		assert_non_null(strstr(t.why, "no hardware PMU"));
		assert_non_null(strstr(t.why, "cpu-clock"));
	}
}

/* In a process of its own, for a filter stays. */
static void test_refused_pmu_is_not_missing(void **state)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {PMF_ARRAY_SIZE(filter), filter};
	struct pmf_err why = PMF_ERR_INIT;
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
			prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
			_exit(1);
		_exit(pmf_perf_has_pmu(&why)                  ? 2
			: why.status != PMF_EPERM             ? 3
			: !strstr(why.text, "seccomp filter") ? 4
							      : 0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_preset_runs(void **state)
{
	struct pmf_event_list list;
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	need_perf();
	pmf_event_list_init(&list);
	if (pmf_event_list_add(&list, "@default", pmf_perf_can_open, NULL, &err))
		fail_msg("%s", err.text);
	assert_true(list.n > 0);
	for (size_t i = 0; i < list.n; i++)
		assert_true(try(list.events[i].spec).samples);
	pmf_event_list_release(&list);
}

/* The sentence of each refusal, by what the kernel said and what this user may. */
static void test_explain(void **state)
{
	static const struct {
		const char *spec;
		int errnum;
		long long paranoid;
		bool caps, seccomp, user_ns, exclude_kernel;
		int status;
		const char *words;
	} cases[] = {
		{"cpu-clock", EACCES, 2, false, false, false, false, PMF_EPERM,
			"'sudo sysctl kernel.perf_event_paranoid=1'"},
		{"cpu-clock", EACCES, 2, false, false, true, false, PMF_EPERM, "user namespace"},
		{"cpu-clock", EACCES, 4, false, false, false, true, PMF_EPERM,
			"'sudo sysctl kernel.perf_event_paranoid=2'"},
		{"cpu-clock", EACCES, 2, false, false, false, true, PMF_EPERM,
			"'sudo sysctl kernel.perf_event_paranoid=-1'"},
		{"cpu-clock", EACCES, 2, true, false, false, false, PMF_EPERM, "security module"},
		{"cpu-clock", EPERM, 1, false, true, false, false, PMF_EPERM, "--cap-add PERFMON"},
		{"cpu-clock", ENOSYS, 2, false, true, false, false, PMF_EPERM,
			"(ENOSYS; container or sandbox)"},
		{"cpu-clock", ENOSYS, PMF_PERF_PARANOID_UNKNOWN, false, true, false, false,
			PMF_EUNSUP, "CONFIG_PERF_EVENTS"},
		{"cpu-clock", EMFILE, 2, true, false, false, false, PMF_ELIMIT, "ulimit -n"},
		{"cpu-clock", ENFILE, 2, true, false, false, false, PMF_ELIMIT, "fs.file-max"},
		{"mem:0x10:w", ENOSPC, 2, true, false, false, false, PMF_ELIMIT,
			"breakpoint registers are all in use"},
		{"mem:0x10:r", EINVAL, 2, true, false, false, false, PMF_EUSAGE,
			"the processor cannot watch this"},
		{"cycles", EBUSY, 2, true, false, false, false, PMF_ELIMIT,
			"sudo sysctl kernel.nmi_watchdog=0"},
		{"cycles", E2BIG, 2, true, false, false, false, PMF_EUNSUP, "newer kernel"},
		{"cycles:pp", EINVAL, 2, true, false, false, false, PMF_EUSAGE, "precision 2"},
		{"cycles:u", EINVAL, 2, true, false, false, true, PMF_EUSAGE, "without u, k and h"},
		{"cycles", EINVAL, 2, true, false, false, false, PMF_EUSAGE, "EINVAL"},
		{"cycles", EOVERFLOW, 2, true, false, false, false, PMF_ELIMIT,
			"perf_event_max_stack"},
		{"cycles", EIO, 2, true, false, false, false, PMF_EIO, "cannot open 'cycles': "},
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(cases); i++) {
		struct pmf_perf_limits l = {.paranoid = cases[i].paranoid,
			.cap_perfmon = cases[i].caps,
			.seccomp_filter = cases[i].seccomp,
			.user_namespace = cases[i].user_ns,
			.cpus_online = 2};
		struct pmf_err err = PMF_ERR_INIT;
		struct pmf_event_list list;
		struct perf_event_attr attr;
		int ret;

		get(cases[i].spec, &list);
		attr = list.events[0].attrs[0].attr;
		attr.exclude_kernel = cases[i].exclude_kernel;
		ret = pmf_perf_explain(&list.events[0], cases[i].errnum, &attr, &l, &err);
		if (ret != cases[i].status || !strstr(err.text, cases[i].words))
			fail_msg("%s, errno %d: status %d, '%s'", cases[i].spec, cases[i].errnum,
				ret, err.text);
		assert_int_equal(err.status, ret);
		pmf_event_list_release(&list);
	}
}

static void test_refuse_kernel_only(void **state)
{
	const struct pmf_perf_limits closed = {.paranoid = 2}, open = {.paranoid = 1};
	static const char *const kernel[] = {"cs", "cpu-migrations", "cgroup-switches"};
	struct pmf_event tracepoint = {.cls = PMF_EVENT_TRACEPOINT};
	struct pmf_event_attr attr = {.pmu = NULL};
	char sched[] = "sched:sched_switch", syscalls[] = "syscalls:sys_enter_read";
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_event_list list;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(kernel); i++) {
		get(kernel[i], &list);
		assert_int_equal(
			pmf_perf_refuse_kernel_only(&list.events[0], &closed, &err), PMF_EPERM);
		assert_non_null(strstr(err.text, "': it happens in the kernel, needs "
						 "kernel.perf_event_paranoid ≤ 1 or CAP_PERFMON"));
		assert_int_equal(pmf_perf_refuse_kernel_only(&list.events[0], &open, &err), 0);
		pmf_event_list_release(&list);
	}
	get("cs:u", &list);
	assert_int_equal(pmf_perf_refuse_kernel_only(&list.events[0], &open, &err), PMF_EUSAGE);
	assert_string_equal(err.text, "cannot open 'cs:u': it happens in the kernel: drop ':u'");
	pmf_event_list_release(&list);
	get("page-faults", &list);
	assert_int_equal(pmf_perf_refuse_kernel_only(&list.events[0], &closed, &err), 0);
	pmf_event_list_release(&list);

	tracepoint.attrs = &attr;
	tracepoint.nr_attrs = 1;
	tracepoint.spec = tracepoint.label = sched;
	assert_int_equal(pmf_perf_refuse_kernel_only(&tracepoint, &closed, &err), PMF_EPERM);
	/* A system call's registers are the program's: it counts without the kernel. */
	tracepoint.spec = tracepoint.label = syscalls;
	assert_int_equal(pmf_perf_refuse_kernel_only(&tracepoint, &closed, &err), 0);
}

/* Does the list of @specs count without taking turns? */
static bool together(const char *specs)
{
	const struct pmf_event *events[64];
	struct pmf_event_list list;
	bool fit;

	get(specs, &list);
	for (size_t i = 0; i < list.n; i++)
		events[i] = &list.events[i];
	fit = pmf_perf_together(events, list.n);
	pmf_event_list_release(&list);
	return fit;
}

static void test_together(void **state)
{
	struct pmf_buf many = PMF_BUF_INIT;
	struct pmf_err why = PMF_ERR_INIT;

	(void)state;
	need_perf();
	assert_true(together("cpu-clock:u,page-faults:u,task-clock:u"));
	/* No PMU has counters for all of these; without a PMU none opens. */
	for (int i = 0; i < 40; i++)
		pmf_buf_printf(&many, "%sr%x:u", i ? "," : "", 0x11 + ((unsigned)i << 8));
	assert_false(together(pmf_buf_str(&many)));
	pmf_buf_release(&many);
	assert_int_equal(together("cycles:u"), can_open("cycles:u", &why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_sys_open_is_cloexec),
		cmocka_unit_test(test_software),
		cmocka_unit_test(test_switches),
		cmocka_unit_test(test_not_exercised),
		cmocka_unit_test(test_pmu_answers_agree),
		cmocka_unit_test(test_refused_pmu_is_not_missing),
		cmocka_unit_test(test_preset_runs),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_refuse_kernel_only),
		cmocka_unit_test(test_together),
	};

	return cmocka_run_group_tests_name("perf_try", tests, NULL, NULL);
}
