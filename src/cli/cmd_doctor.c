/* pmuflame doctor: what limits profiling on this machine, and the command that lifts it. */
#include "cli.h"
#include "engine.h"

#include "pmuflame/buf.h"
#include "pmuflame/event.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/perf.h"
#include "pmuflame/process.h"
#include "pmuflame/python.h"
#include "pmuflame/units.h"
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum state { STATE_OK, STATE_LIMIT, STATE_BLOCKED };
enum { CHECKS_MAX = 48, WANTED_HZ = 997, WANTED_RING_KIB = 2048, KALLSYMS_LINES = 4096 };

struct check {
	const char *name;
	enum state state;
	char value[32]; /* of a setting, "" if it is none */
	char *meaning;
	char *command; /* what lifts it, lines of it, or NULL */
};

struct doctor {
	struct pmf_perf_limits limits;
	enum pmf_engine engine;
	bool opens;    /* perf_event_open works at all */
	bool filtered; /* a seccomp filter is why it does not */
	bool has_pmu;
	struct check checks[CHECKS_MAX];
	size_t n;
};

static const char *const state_names[] = {"ok", "limit", "blocked"};

static const char on_host[] = "on the host: ";

static bool is_sysctl(const char *command)
{
	return pmf_starts_with(command, "sudo sysctl");
}

static struct check *add(struct doctor *d, enum state state, const char *name, const char *command,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static struct check *add(struct doctor *d, enum state state, const char *name, const char *command,
	const char *fmt, ...)
{
	struct check *c = &d->checks[d->n++];
	struct pmf_buf meaning = PMF_BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	pmf_buf_vprintf(&meaning, fmt, ap);
	va_end(ap);
	/* A container's /proc/sys is the machine's, and is not for it to change. */
	*c = (struct check){.name = name,
		.state = state,
		.meaning = pmf_buf_detach(&meaning),
		.command =
			command ? pmf_asprintf("%s%s",
					  d->engine && is_sysctl(command) ? on_host : "", command)
				: NULL};
	return c;
}

/* The command as @text, which is taken over. */
static void set_command(struct check *c, char *text)
{
	free(c->command);
	c->command = text;
}

static void set_value(struct check *c, long long value)
{
	snprintf(c->value, sizeof c->value, "%lld", value);
}

static void check_python(struct doctor *d)
{
	struct pmf_perf_features f;
	struct pmf_err err = PMF_ERR_INIT;
	char *agent = pmf_python_agent_path(&err);

	if (!agent)
		add(d, STATE_LIMIT, "Python frames", "make install", "%s", err.text);
	else if (pmf_perf_features_probe(&f, &err) != 0)
		add(d, STATE_BLOCKED, "Python frames", NULL, "%s", err.text);
	else if (!f.sigtrap)
		add(d, STATE_LIMIT, "Python frames", NULL,
			"this kernel's events cannot signal to a thread (Linux 5.13 can): native "
			"frames only");
	else if (!f.inherited_read)
		add(d, STATE_LIMIT, "Python frames", NULL,
			"of CPython 3.8 to 3.14; software events have none in interpreters that "
			"other programs start (Linux 6.12 does)");
	else
		add(d, STATE_OK, "Python frames", NULL, "of CPython 3.8 to 3.14");
	free(agent);
}

/* Loading tells more than capabilities do: a kernel may lack what the program uses. */
static void check_attached_python(struct doctor *d)
{
	static const char name[] = "Python frames of what runs already";
	struct pmf_python_bpf *program;
	struct pmf_err err = PMF_ERR_INIT;

	if (pmf_python_bpf_load(&program, &err) == 0) {
		add(d, STATE_OK, name, NULL, "of CPython 3.8 to 3.14, by a BPF program");
		pmf_python_bpf_free(program);
		return;
	}
	add(d, STATE_LIMIT, name, NULL, "of CPython 3.14 only, which can be asked: %s", err.text);
}

static void check_open(struct doctor *d)
{
	struct pmf_perf_features f;
	struct pmf_err err = PMF_ERR_INIT;

	d->opens = pmf_perf_features_probe(&f, &err) == 0;
	/* At 3 and above, perf_event_paranoid refuses on its own. */
	d->filtered = err.status == PMF_EPERM && d->limits.seccomp_filter &&
		      (d->limits.cap_perfmon || d->limits.paranoid < 3);
	if (d->filtered)
		set_command(add(d, STATE_BLOCKED, "perf_event_open", NULL,
				    "a seccomp filter (container or sandbox) refuses every event: "
				    "docker's permits them with CAP_PERFMON (before Docker 23: "
				    "CAP_SYS_ADMIN), podman's older one with both; CAP_PERFMON is "
				    "%sheld here",
				    d->limits.cap_perfmon ? "" : "not "),
			pmf_engine_grant(d->engine, "PERFMON", true));
	else if (!d->opens)
		add(d, STATE_BLOCKED, "perf_event_open", NULL, "%s", err.text);
	else if (!f.format_lost || !f.build_id)
		add(d, STATE_LIMIT, "perf_event_open", NULL,
			"events open; this kernel is older than 6.0, so lost samples have no event "
			"and build ids are read from files");
	else
		add(d, STATE_OK, "perf_event_open", NULL, "events open");
}

/* The last resort of every machine must give samples, or nothing does. */
static void check_sampling(struct doctor *d)
{
	struct pmf_event_list list;
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_perf_try t = {.opens = false};

	if (!d->opens)
		return;
	pmf_event_list_init(&list);
	if (pmf_event_list_add(&list, "cpu-clock", NULL, NULL, &err) == 0)
		pmf_perf_try_event(&list.events[0], &t);
	pmf_event_list_release(&list);
	if (t.samples)
		add(d, STATE_OK, "sampling", NULL, "cpu-clock gives samples%s",
			t.user_only ? ", of user code only" : "");
	else
		add(d, STATE_BLOCKED, "sampling", NULL, "cpu-clock gives no samples: %s",
			t.why[0] ? t.why : err.text);
}

static void check_paranoid(struct doctor *d)
{
	const struct pmf_perf_limits *l = &d->limits;
	const char *name = "kernel.perf_event_paranoid";
	struct check *c;

	if (l->cap_perfmon)
		c = add(d, STATE_OK, name, NULL,
			"it does not bind this process, which has CAP_PERFMON");
	else if (l->paranoid <= 1)
		c = add(d, STATE_OK, name, NULL, "user and kernel code may be sampled");
	else if (l->paranoid == 2 || d->opens)
		c = add(d, STATE_LIMIT, name, "sudo sysctl kernel.perf_event_paranoid=1",
			"user code only: no kernel frames, and context-switches, cpu-migrations "
			"and "
			"tracepoints, which happen in the kernel, are refused");
	else
		c = add(d, STATE_BLOCKED, name, "sudo sysctl kernel.perf_event_paranoid=1",
			"Debian's and Ubuntu's kernels refuse every event to users at 3 and above");
	set_value(c, l->paranoid);
}

static void check_caps(struct doctor *d)
{
	const struct pmf_perf_limits *l = &d->limits;
	static const char setcap[] =
		"sudo setcap cap_perfmon,cap_ipc_lock+ep \"$(command -v pmuflame)\"";

	if (l->cap_perfmon)
		add(d, STATE_OK, "capabilities", NULL, "CAP_PERFMON or CAP_SYS_ADMIN is held");
	else if (pmf_perf_kernel_permitted(l))
		add(d, STATE_OK, "capabilities", NULL,
			"CAP_PERFMON is not held, and not needed with this perf_event_paranoid");
	else if (l->user_namespace)
		add(d, STATE_LIMIT, "capabilities", NULL,
			"this is a user namespace (rootless container), whose capabilities do not "
			"count for perf events: run outside it, or lower perf_event_paranoid on "
			"the host");
	else if (d->engine)
		set_command(
			add(d, STATE_LIMIT, "capabilities", NULL,
				"CAP_PERFMON is not held: with it, perf_event_paranoid would not "
				"matter"),
			pmf_engine_grant(d->engine, "PERFMON", false));
	else
		add(d, STATE_LIMIT, "capabilities", setcap,
			"CAP_PERFMON is not held: with it, perf_event_paranoid would not matter");
}

/* What is needed to look at others, with -p and -a. */
static void check_others(struct doctor *d)
{
	const struct pmf_perf_limits *l = &d->limits;
	struct check *c;

	if (l->cap_sys_ptrace)
		add(d, STATE_OK, "attaching", NULL, "CAP_SYS_PTRACE is held: to any process");
	else if (d->engine)
		set_command(add(d, STATE_LIMIT, "attaching", NULL,
				    "CAP_SYS_PTRACE is not held: processes of other users have no "
				    "names of functions"),
			pmf_engine_grant(d->engine, "SYS_PTRACE", false));
	else
		add(d, STATE_LIMIT, "attaching", "sudo pmuflame -p PID",
			"CAP_SYS_PTRACE is not held: to one's own processes only");
	if (!l->cap_bpf || !l->cap_perfmon)
		set_command(add(d, STATE_LIMIT, "Python when attached", NULL,
				    "without CAP_BPF and CAP_PERFMON, of CPython 3.14 only"),
			d->engine ? pmf_engine_grant(d->engine, "BPF", false)
				  : pmf_strdup("sudo pmuflame -p PID"));
	if (pmf_process_sees_all())
		return;
	c = add(d, STATE_LIMIT, "pid namespace", NULL,
		"this is a container's: processes outside of it cannot be attached to, and with -a "
		"they are one frame");
	set_command(c, pmf_engine_show_processes(d->engine));
}

static void check_seccomp(struct doctor *d)
{
	if (!d->limits.seccomp_filter)
		add(d, STATE_OK, "seccomp", NULL, "no filter: no container refuses system calls");
	else if (d->opens)
		add(d, STATE_OK, "seccomp", NULL,
			"a filter is set (container or sandbox), and it lets perf_event_open "
			"through");
	else if (!d->filtered)
		add(d, STATE_LIMIT, "seccomp", NULL,
			"a filter is set (container or sandbox), and it may refuse perf_event_open "
			"too");
}

/* x86 says so in its flags, others in the firmware's tables. */
static bool is_virtual_machine(void)
{
	struct pmf_buf info = PMF_BUF_INIT;
	char line[128];
	bool is;

	pmf_file_read("/proc/cpuinfo", 8 << 20, &info, NULL);
	is = strstr(pmf_buf_str(&info), " hypervisor") != NULL;
	pmf_buf_release(&info);
	return is || pmf_file_read_line("/sys/hypervisor/type", line, sizeof line, NULL) == 0;
}

static void check_pmu(struct doctor *d)
{
	struct pmf_err why = PMF_ERR_INIT;

	d->has_pmu = pmf_perf_has_pmu(&why);
	if (d->has_pmu)
		add(d, STATE_OK, "hardware PMU", NULL, "the cycles counter counts");
	else if (!d->opens)
		add(d, STATE_LIMIT, "hardware PMU", NULL,
			"not known: the kernel refuses every event");
	else if (why.status == PMF_EPERM)
		add(d, STATE_LIMIT, "hardware PMU", NULL, "not known: %s", why.text);
	else if (is_virtual_machine())
		add(d, STATE_LIMIT, "hardware PMU",
			"on the host: qemu-system-x86_64 -cpu host,pmu=on ... (VMware: "
			"\"Virtualize "
			"CPU performance counters\"; cloud: a bare-metal instance)",
			"%s: cycles is replaced by cpu-clock, and cache, branch and TLB events "
			"cannot be measured",
			why.text);
	else
		add(d, STATE_LIMIT, "hardware PMU", "sudo dmesg | grep -iE 'pmu|perf'",
			"%s: cycles is replaced by cpu-clock, and cache, branch and TLB events "
			"cannot "
			"be measured; the kernel's log may say why",
			why.text);
}

static void check_watchdog(struct doctor *d)
{
	const char *name = "kernel.nmi_watchdog";
	long long on;
	struct check *c;

	if (pmf_file_read_s64("/proc/sys/kernel/nmi_watchdog", &on, NULL)) {
		add(d, STATE_OK, name, NULL, "this kernel has no NMI watchdog");
		return;
	}
	if (on && d->has_pmu)
		c = add(d, STATE_LIMIT, name, "sudo sysctl kernel.nmi_watchdog=0",
			"the NMI watchdog holds one counter of each CPU: events share the others, "
			"and "
			"a group as large as the PMU never runs");
	else
		c = add(d, STATE_OK, name, NULL, "the NMI watchdog takes no counter");
	set_value(c, on);
}

/* The pool that rings come from belongs to the user: perf_event_mlock_kb for each CPU and
 * RLIMIT_MEMLOCK once (perf_event_open(2)). */
static void check_mlock(struct doctor *d)
{
	const struct pmf_perf_limits *l = &d->limits;
	const char *name = "kernel.perf_event_mlock_kb";
	struct rlimit lock = {0, 0};
	struct check *c;
	unsigned long long kib = l->mlock_kb > 0 ? (unsigned long long)l->mlock_kb : 0;

	getrlimit(RLIMIT_MEMLOCK, &lock);
	kib += lock.rlim_cur / 1024 / (unsigned)l->cpus_online;
	if (l->cap_ipc_lock || l->paranoid < 0 || lock.rlim_cur == RLIM_INFINITY)
		c = add(d, STATE_OK, name, NULL, "it does not bind this process");
	else if (kib >= WANTED_RING_KIB)
		c = add(d, STATE_OK, name, NULL, "rings may take %llu KiB of each CPU", kib);
	else
		c = add(d, STATE_LIMIT, name, "sudo sysctl kernel.perf_event_mlock_kb=8192",
			"rings may take %llu KiB of each CPU: with whole stacks in each sample "
			"they "
			"fill within a few samples, and samples get lost under load",
			kib);
	set_value(c, l->mlock_kb);
}

static void check_rate(struct doctor *d)
{
	const char *name = "kernel.perf_event_max_sample_rate";
	struct check *c;

	if (d->limits.max_rate_hz >= WANTED_HZ || d->limits.max_rate_hz == 0)
		c = add(d, STATE_OK, name, NULL, "the default of %d Hz fits", WANTED_HZ);
	else
		c = add(d, STATE_LIMIT, name,
			"sudo sysctl kernel.perf_event_max_sample_rate=100000",
			"samples come at %lld Hz at most, less than the default of %d Hz (the "
			"kernel "
			"lowers it by itself when interrupts take long)",
			d->limits.max_rate_hz, WANTED_HZ);
	set_value(c, d->limits.max_rate_hz);
}

/* Addresses in /proc/kallsyms are zeros for who may not see them; the first few are zero anyway. */
static bool kernel_names_visible(void)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char line[1024];
	bool visible = false;

	for (int i = 0; f && !visible && i < KALLSYMS_LINES && fgets(line, sizeof line, f); i++)
		visible = strtoull(line, NULL, 16) != 0;
	if (f)
		fclose(f);
	return visible;
}

static void check_kptr(struct doctor *d)
{
	const char *name = "kernel.kptr_restrict";
	struct check *c;

	if (kernel_names_visible())
		c = add(d, STATE_OK, name, NULL, "kernel frames get their names");
	else if (!pmf_perf_kernel_permitted(&d->limits))
		c = add(d, STATE_OK, name, NULL,
			"kernel names are hidden, but kernel frames are not sampled either");
	else
		c = add(d, STATE_LIMIT, name, "sudo sysctl kernel.kptr_restrict=0",
			"kernel frames are sampled, but /proc/kallsyms hides their names");
	set_value(c, d->limits.kptr_restrict);
}

static void check_tracefs(struct doctor *d)
{
	struct pmf_err err = PMF_ERR_INIT;
	int ret = pmf_event_tracefs_check(&err);

	if (ret != 0 && d->engine) {
		add(d, STATE_LIMIT, "tracefs",
			"docker (or podman) run -v /sys/kernel/tracing:/sys/kernel/tracing:ro ..., "
			"Kubernetes: a hostPath volume",
			"no tracepoints: tracefs is not in this container, or closed to this user");
		return;
	}
	if (ret == 0)
		add(d, STATE_OK, "tracefs", NULL, "tracepoints can be looked up");
	else
		add(d, STATE_LIMIT, "tracefs",
			ret == PMF_EPERM ? "sudo mount -o remount,mode=755 /sys/kernel/tracing"
					 : "sudo mount -t tracefs nodev /sys/kernel/tracing",
			ret == PMF_EPERM ? "no tracepoints: tracefs is closed to this user"
					 : "no tracepoints: tracefs is not mounted");
}

static void print_command(const char *lines)
{
	while (lines && *lines) {
		size_t len = strcspn(lines, "\n");

		printf("%-8s   %.*s\n", "", (int)len, lines);
		lines += len + (lines[len] != '\0');
	}
}

static void print_text(const struct doctor *d, bool blocked)
{
	bool sysctl = false;

	for (size_t i = 0; i < d->n; i++) {
		const struct check *c = &d->checks[i];

		printf("%-8s %s%s%s: %s\n", state_names[c->state], c->name,
			c->value[0] ? " = " : "", c->value, c->meaning);
		print_command(c->command);
		sysctl |= c->command && is_sysctl(c->command);
	}
	if (sysctl)
		puts("\nA sysctl lasts until the next boot; a line such as "
		     "'kernel.perf_event_paranoid = 1' in\n/etc/sysctl.d/99-pmuflame.conf keeps "
		     "it.");
	puts(blocked ? "\nNothing can be sampled here until what is blocked is lifted."
		     : "\nPrograms can be sampled here.");
}

static void print_json(const struct doctor *d, bool blocked)
{
	json_t *checks = json_array(), *root;

	for (size_t i = 0; i < d->n; i++) {
		const struct check *c = &d->checks[i];

		json_array_append_new(checks,
			json_pack("{ss ss ss? ss ss?}", "name", c->name, "state",
				state_names[c->state], "value", c->value[0] ? c->value : NULL,
				"meaning", c->meaning, "command", c->command));
	}
	root = json_pack("{sb so}", "blocked", blocked, "checks", checks);
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}

static int examine(bool json)
{
	static void (*const checks[])(struct doctor *) = {check_open, check_sampling,
		check_paranoid, check_caps, check_others, check_seccomp, check_pmu, check_watchdog,
		check_mlock, check_rate, check_kptr, check_tracefs, check_python,
		check_attached_python};
	struct doctor d = {.n = 0};
	bool blocked = false;

	_Static_assert(
		3 * PMF_ARRAY_SIZE(checks) <= CHECKS_MAX, "a check adds three lines at most");
	pmf_perf_limits_read(&d.limits);
	d.engine = pmf_engine_here();
	for (size_t i = 0; i < PMF_ARRAY_SIZE(checks); i++)
		checks[i](&d);
	for (size_t i = 0; i < d.n; i++)
		blocked |= d.checks[i].state == STATE_BLOCKED;
	if (json)
		print_json(&d, blocked);
	else
		print_text(&d, blocked);
	for (size_t i = 0; i < d.n; i++) {
		free(d.checks[i].meaning);
		free(d.checks[i].command);
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		return pmf_cli_failf(
			PMF_EXIT_FAILED, "cannot write the findings to the standard output");
	return blocked ? PMF_EXIT_NO : PMF_EXIT_OK;
}

static const char help[] =
	"Usage: pmuflame doctor [--json]\n"
	"\n"
	"Say what limits profiling on this machine, each with the command that lifts it. A line\n"
	"starts with ok, with limit (less can be seen), or with blocked (nothing can be sampled:\n"
	"exit status 1).\n"
	"\n"
	"  --json      an object instead of text\n"
	"  -h, --help  this text\n";

static int run(int argc, char **argv)
{
	int json = 0;
	const struct option options[] = {
		{"json", no_argument, &json, 1},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct pmf_err err = PMF_ERR_INIT;
	int ret = pmf_cli_options(argc, argv, ":h", options, help, NULL, NULL, &err);

	if (ret)
		return pmf_cli_status(ret, &err);
	if (optind < argc)
		return pmf_cli_failf(
			PMF_EXIT_USAGE, "doctor takes no argument such as '%s'", argv[optind]);
	return examine(json);
}

const struct pmf_cmd pmf_cmd_doctor = {
	"doctor",
	"say what limits profiling here, and the command that lifts it",
	run,
};
