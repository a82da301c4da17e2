/* Why an event did not open, and what to do about it. */
#include "perf_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SUGGEST = 3 };

struct suggest {
	const char *label; /* of the event that does not open */
	bool permit_kernel, hardware;
	struct {
		char name[48];
		int score;
	} best[SUGGEST];
	size_t n;
};

/* How many words of @a stand in @b too: LLC-load-misses is closer to cache-misses than to
 * cycles. */
static int shared_words(const char *a, const char *b)
{
	int shared = 0;

	while (*a) {
		size_t len = 0;

		while (isalnum((unsigned char)a[len]))
			len++;
		for (const char *p = b; len && *p; p++) {
			if ((p == b || !isalnum((unsigned char)p[-1])) &&
				strncasecmp(p, a, len) == 0 && !isalnum((unsigned char)p[len])) {
				shared++;
				break;
			}
		}
		a += len + (a[len] != '\0');
	}
	return shared;
}

static bool opens(const struct pmf_event_attr *a, bool permit_kernel)
{
	struct perf_event_attr attr = a->attr;
	int fd;

	attr.disabled = 1;
	attr.precise_ip = 0;
	attr.exclude_kernel |= !permit_kernel;
	fd = pmf_perf_sys_open(&attr, 0, -1, -1, 0);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int consider(void *ctx, const struct pmf_event_info *info)
{
	struct suggest *s = ctx;
	struct pmf_event_list list;
	int score = shared_words(s->label, info->name);
	size_t at = s->n;
	bool ok, software = strcmp(info->kind, "software") == 0;

	/* Aliases and cache names come first in the walk; the rest is too much to try. */
	if (!software && strcmp(info->kind, "hardware") != 0 && strcmp(info->kind, "cache") != 0)
		return 1;
	if (software == s->hardware || strncmp(info->desc, "another name", 12) == 0)
		return 0;
	while (at > 0 && s->best[at - 1].score < score)
		at--;
	if (at == SUGGEST)
		return 0;
	pmf_event_list_init(&list);
	ok = pmf_event_list_add(&list, info->name, NULL, NULL, NULL) == 0 &&
	     (s->hardware || list.events[0].cls == PMF_EVENT_CLOCK ||
		     list.events[0].cls == PMF_EVENT_FAULT) &&
	     opens(&list.events[0].attrs[0], s->permit_kernel);
	pmf_event_list_release(&list);
	if (!ok)
		return 0;
	if (s->n < SUGGEST)
		s->n++;
	memmove(&s->best[at + 1], &s->best[at], (s->n - 1 - at) * sizeof s->best[0]);
	snprintf(s->best[at].name, sizeof s->best[at].name, "%s", info->name);
	s->best[at].score = score;
	return 0;
}

/* "; a, b and c work here" into @out; "" if nothing does. */
static void suggest(
	struct pmf_buf *out, const char *label, bool hardware, const struct pmf_perf_limits *l)
{
	struct suggest s = {.label = label,
		.permit_kernel = pmf_perf_kernel_permitted(l),
		.hardware = hardware};

	pmf_event_walk(consider, &s, NULL);
	for (size_t i = 0; i < s.n; i++)
		pmf_buf_printf(out, "%s%s",
			i == 0         ? "; "
			: i + 1 == s.n ? " and "
				       : ", ",
			s.best[i].name);
	if (s.n)
		pmf_buf_addstr(out, s.n == 1 ? " works here" : " work here");
}

static bool pmu_opens(const struct pmf_perf_limits *l)
{
	struct pmf_event_attr cycles = {
		.attr = {.type = PERF_TYPE_HARDWARE, .config = PERF_COUNT_HW_CPU_CYCLES}};

	return opens(&cycles, pmf_perf_kernel_permitted(l));
}

static int explain_missing(const struct pmf_event *ev, const char *name, int errnum,
	const struct pmf_perf_limits *l, struct pmf_err *err)
{
	bool hardware = ev && ev->cls == PMF_EVENT_HARDWARE, pmu = hardware && pmu_opens(l);
	struct pmf_buf near = PMF_BUF_INIT;

	suggest(&near, ev ? ev->label : "", pmu, l);
	if (hardware && !pmu)
		pmf_err_set(err, PMF_EUNSUP,
			"cannot open %s: this machine has no hardware PMU (a virtual machine "
			"without one?)%s",
			name, pmf_buf_str(&near));
	else if (hardware)
		pmf_err_set(err, PMF_EUNSUP, "cannot open %s: this processor's PMU cannot do it%s",
			name, pmf_buf_str(&near));
	else
		pmf_err_set(err, PMF_EUNSUP, "cannot open %s: this kernel does not have it (%s)%s",
			name, strerror(errnum), pmf_buf_str(&near));
	pmf_buf_release(&near);
	return PMF_EUNSUP;
}

/* Docker's filter lets perf_event_open through with CAP_PERFMON since 23.0, and answers EPERM without;
 * podman's wanted CAP_SYS_ADMIN as well for long, and answers ENOSYS without CAP_PERFMON. */
static int explain_filter(const char *name, int errnum, struct pmf_err *err)
{
	return pmf_err_set(err, PMF_EPERM,
		"cannot open %s: a seccomp filter refuses perf_event_open (%s; container or "
		"sandbox): start the container with '--cap-add PERFMON', or with "
		"'--security-opt seccomp=unconfined' too (docker, podman; 'pmuflame doctor' has "
		"Kubernetes' words)",
		name, errnum == ENOSYS ? "ENOSYS" : "EPERM");
}

static int explain_permission(const char *name, int errnum, const struct perf_event_attr *attr,
	const struct pmf_perf_limits *l, struct pmf_err *err)
{
	const char *caps = l->user_namespace
				   ? "run it outside this user namespace (rootless container) with "
				     "CAP_PERFMON"
				   : "give pmuflame CAP_PERFMON "
				     "('sudo setcap cap_perfmon,cap_ipc_lock+ep PATH-OF-PMUFLAME')";

	/* A filter answers EPERM, perf_event_paranoid EACCES. */
	if (errnum == EPERM && l->seccomp_filter)
		return explain_filter(name, errnum, err);
	if (!l->cap_perfmon && l->paranoid >= 3)
		return pmf_err_set(err, PMF_EPERM,
			"cannot open %s: kernel.perf_event_paranoid is %lld, with which Debian's "
			"and Ubuntu's kernels refuse every event to users: 'sudo sysctl "
			"kernel.perf_event_paranoid=2' (1 to see the kernel's code too), or %s",
			name, l->paranoid, caps);
	if (!l->cap_perfmon && l->paranoid >= 2 && attr && !attr->exclude_kernel)
		return pmf_err_set(err, PMF_EPERM,
			"cannot open %s: kernel.perf_event_paranoid is %lld, so that users may not "
			"look into the kernel: 'sudo sysctl kernel.perf_event_paranoid=1', or %s, "
			"or add the modifier :u",
			name, l->paranoid, caps);
	if (!l->cap_perfmon && l->paranoid >= 0)
		return pmf_err_set(err, PMF_EPERM,
			"cannot open %s: kernel.perf_event_paranoid is %lld, and this needs -1 "
			"(raw tracepoints) or 0 (whole CPUs): 'sudo sysctl "
			"kernel.perf_event_paranoid=-1', or %s",
			name, l->paranoid, caps);
	return pmf_err_set(err, PMF_EPERM,
		"cannot open %s: %s, though kernel.perf_event_paranoid (%lld) would permit it: a "
		"security module (SELinux, AppArmor, kernel lockdown) or the profiled process's "
		"owner is in the way",
		name, strerror(errnum), l->paranoid);
}

static int explain_invalid(const struct pmf_event *ev, const char *name,
	const struct perf_event_attr *attr, struct pmf_err *err)
{
	if (attr && attr->type == PERF_TYPE_BREAKPOINT)
		return pmf_err_set(err, PMF_EUSAGE,
			"cannot open %s: the processor cannot watch this: it takes 1, 2, 4 or 8 "
			"bytes at an address that is a multiple of them, and many (x86) know w, rw "
			"and x but not r alone",
			name);
	if (ev && ev->cls == PMF_EVENT_OTHER && ev->attrs[0].cpus)
		return pmf_err_set(err, PMF_EUSAGE,
			"cannot open %s: its PMU '%s' counts for a whole package, not for a "
			"program, so it cannot be sampled",
			name, ev->attrs[0].pmu);
	if (attr && attr->precise_ip && ev && ev->precise_given)
		return pmf_err_set(err, PMF_EUSAGE,
			"cannot open %s: no counter of this machine samples it with precision %d: "
			"ask for fewer p, or none for the highest that works",
			name, attr->precise_ip);
	if (attr && (attr->exclude_user || attr->exclude_kernel) && ev && ev->user_given)
		return pmf_err_set(err, PMF_EUSAGE,
			"cannot open %s: the kernel refuses its terms or modifiers: its PMU may "
			"not tell user from kernel, so try it without u, k and h",
			name);
	return pmf_err_set(err, PMF_EUSAGE,
		"cannot open %s: the kernel refuses its terms (EINVAL): the event does not exist "
		"on this PMU, or it cannot be sampled; 'pmuflame list' shows what works",
		name);
}

static int explain_used_up(const char *name, int errnum, const struct perf_event_attr *attr,
	const struct pmf_perf_limits *l, struct pmf_err *err)
{
	struct rlimit files = {0, 0};

	if (errnum == EMFILE) {
		getrlimit(RLIMIT_NOFILE, &files);
		return pmf_err_set(err, PMF_ELIMIT,
			"cannot open %s: more than %llu open files: an event takes one on each of "
			"%d CPUs: ask for fewer events, or 'ulimit -n %llu'",
			name, (unsigned long long)files.rlim_cur, l->cpus_online,
			(unsigned long long)files.rlim_cur * 4);
	}
	if (errnum == ENFILE)
		return pmf_err_set(err, PMF_ELIMIT,
			"cannot open %s: the whole system has too many files open: raise it with "
			"'sudo sysctl fs.file-max=N'",
			name);
	if (attr && attr->type == PERF_TYPE_BREAKPOINT)
		return pmf_err_set(err, PMF_ELIMIT,
			"cannot open %s: the processor's breakpoint registers are all in use (by a "
			"debugger, or by more mem: events than the processor has)",
			name);
	return pmf_err_errno(err, PMF_ELIMIT, errnum,
		"cannot open %s: the kernel has no room for another event", name);
}

/* Was @attr refused only because it samples? Then @ev opens for counting. */
static bool only_counts(const struct pmf_event *ev, const struct perf_event_attr *attr)
{
	return ev && attr && attr->sample_period && attr->type != PERF_TYPE_BREAKPOINT &&
	       opens(&ev->attrs[0], !attr->exclude_kernel);
}

int pmf_perf_explain(const struct pmf_event *ev, int errnum, const struct perf_event_attr *attr,
	const struct pmf_perf_limits *l, struct pmf_err *err)
{
	char name[160] = "any event";

	if (ev)
		snprintf(name, sizeof name, "'%.150s'", ev->label);
	if ((errnum == EINVAL || errnum == EOPNOTSUPP) && only_counts(ev, attr) &&
		!(ev->precise_given && attr->precise_ip))
		return pmf_err_set(err, PMF_EUNSUP,
			"cannot sample %s: it can be counted, but its PMU does not interrupt",
			name);
	switch (errnum) {
	case EPERM:
	case EACCES:
		return explain_permission(name, errnum, attr, l, err);
	case ENOSYS:
		/* A kernel without perf events has no such setting either. */
		if (l->seccomp_filter && l->paranoid != PMF_PERF_PARANOID_UNKNOWN)
			return explain_filter(name, errnum, err);
		return pmf_err_set(err, PMF_EUNSUP,
			"cannot open %s: there is no perf_event_open here: the kernel was built "
			"without CONFIG_PERF_EVENTS, or a sandbox%s hides it",
			name, l->seccomp_filter ? " (a seccomp filter is set)" : "");
	case ENOENT:
	case ENODEV:
	case ENXIO:
	case EOPNOTSUPP:
		return explain_missing(ev, name, errnum, l, err);
	case EINVAL:
		return explain_invalid(ev, name, attr, err);
	case EMFILE:
	case ENFILE:
	case ENOSPC:
	case ENOMEM:
		return explain_used_up(name, errnum, attr, l, err);
	case EBUSY:
		return pmf_err_set(err, PMF_ELIMIT,
			"cannot open %s: somebody else holds the counter: another profiler, or the "
			"NMI watchdog ('sudo sysctl kernel.nmi_watchdog=0')",
			name);
	case E2BIG:
		return pmf_err_set(err, PMF_EUNSUP,
			"cannot open %s: it needs a newer kernel: this one knows %u of the event "
			"description's %zu bytes",
			name, attr ? attr->size : 0, sizeof *attr);
	case EOVERFLOW:
		return pmf_err_set(err, PMF_ELIMIT,
			"cannot open %s: the kernel's call chains may be %lld frames deep at most: "
			"'sudo sysctl kernel.perf_event_max_stack=N'",
			name, l->max_stack);
	default:
		return pmf_err_errno(err, PMF_EIO, errnum, "cannot open %s", name);
	}
}

/* A tracepoint fires in the kernel, but for a few whose registers are the program's: system calls
 * and probes on user code. */
static bool kernel_tracepoint(const char *spec)
{
	static const char *const user[] = {"syscalls:", "uprobes:", "probe_"};

	if (strncmp(spec, "perf::", 6) == 0)
		spec += 6;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(user); i++)
		if (strncmp(spec, user[i], strlen(user[i])) == 0)
			return false;
	return true;
}

int pmf_perf_refuse_kernel_only(
	const struct pmf_event *ev, const struct pmf_perf_limits *l, struct pmf_err *err)
{
	const char *mods;

	if (ev->cls != PMF_EVENT_SWITCH &&
		!(ev->cls == PMF_EVENT_TRACEPOINT && kernel_tracepoint(ev->spec)))
		return 0;
	if (ev->user_given && ev->attrs[0].attr.exclude_kernel) {
		mods = strrchr(ev->label, ':');
		return pmf_err_set(err, PMF_EUSAGE,
			"cannot open '%.150s': it happens in the kernel: drop %s%s%s", ev->label,
			mods ? "'" : "", mods ? mods : "its modifiers", mods ? "'" : "");
	}
	if (pmf_perf_kernel_permitted(l))
		return 0;
	return pmf_err_set(err, PMF_EPERM,
		"cannot open '%.150s': it happens in the kernel, needs "
		"kernel.perf_event_paranoid ≤ 1 or CAP_PERFMON "
		"(it is %lld): 'sudo sysctl kernel.perf_event_paranoid=1'",
		ev->label, l->paranoid);
}
