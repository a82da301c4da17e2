/* Events on whom a session counts. */
#include "perf_priv.h"

#include "perf_session_priv.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

void pmf_perf_leaders_init(struct pmf_perf_leaders *l, const struct pmf_perf_session *s)
{
	size_t n = s->nr_cpus * (size_t)s->list->nr_groups;

	l->nr_groups = (size_t)s->list->nr_groups;
	l->fds = pmf_calloc(n, sizeof *l->fds);
	for (size_t i = 0; i < n; i++)
		l->fds[i] = -1;
}

void pmf_perf_leaders_release(struct pmf_perf_leaders *l)
{
	free(l->fds);
}

int *pmf_perf_leader(struct pmf_perf_leaders *l, const struct pmf_event *ev, size_t c)
{
	return ev->group >= 0 ? &l->fds[c * l->nr_groups + (size_t)ev->group] : NULL;
}

bool pmf_perf_covers(const struct pmf_perf_session *s, const struct pmf_perf_opened *o, size_t c)
{
	return s->cpus[c].sampled && pmf_perf_cpu_listed(o->cpus, s->cpus[c].cpu);
}

static bool is_cpu_wide(const struct pmf_perf_where *where)
{
	return where->pid < 0 || (where->flags & PERF_FLAG_PID_CGROUP) != 0;
}

/* Open @attr in @where on CPU number @c, and send its records into the ring there. */
static int open_into(struct pmf_perf_session *s, const struct pmf_event *ev,
	struct perf_event_attr *attr, const struct pmf_perf_where *where, size_t c, int group_fd,
	struct pmf_layout *layout, struct pmf_err *err)
{
	int fd, ret;

	do
		fd = pmf_perf_sys_open(attr, where->pid, s->cpus[c].cpu, group_fd, where->flags);
	while (fd == -EMFILE && pmf_perf_raise_nofile());
	if (fd == -ESRCH || (fd == -ENODEV && is_cpu_wide(where)))
		return pmf_err_errno(err, PMF_ENOTFOUND, -fd, "cannot open an event");
	if (fd < 0)
		return pmf_perf_explain_whom(s, ev, -fd, attr, where, err);
	layout->cpu_wide = is_cpu_wide(where);
	if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, s->cpus[c].fd) < 0)
		ret = pmf_err_errno(
			err, PMF_EIO, errno, "cannot send an event into the ring of its CPU");
	else
		ret = pmf_perf_add_layout(s, fd, layout, attr, err);
	if (ret == 0)
		return fd;
	close(fd);
	return ret;
}

int pmf_perf_open_one(struct pmf_perf_session *s, const struct pmf_perf_opened *o,
	struct perf_event_attr attr, const struct pmf_perf_where *where, size_t c,
	struct pmf_perf_leaders *l, struct pmf_err *err)
{
	const struct pmf_event *ev = &s->list->events[o->event];
	int *leader = pmf_perf_leader(l, ev, c), group_fd = leader ? *leader : -1, fd;
	struct pmf_layout layout = {
		.event = (uint32_t)o->event, .period = ev->period, .signals = attr.sigtrap};

	if (group_fd >= 0) /* a member follows its leader */
		attr.disabled = attr.enable_on_exec = 0;
	fd = open_into(s, ev, &attr, where, c, group_fd, &layout, err);
	if (fd >= 0 && leader && group_fd < 0)
		*leader = fd;
	return fd;
}

static void add_fd(struct pmf_perf_session *s, int fd, uint32_t event, size_t c,
	const struct pmf_perf_where *where)
{
	const struct pmf_perf_fd f = {fd, event, (uint32_t)c, where->task, where->timer};

	PMF_PUSH(s->inherited.fds, s->inherited.n, s->inherited.cap) = f;
	pmf_perf_run_bpf(s, &f);
}

/* Is CPU number @c one on which to open in @where? */
static bool is_meant(const struct pmf_perf_session *s, const struct pmf_perf_where *where, size_t c)
{
	return s->cpus[c].online && (!where->cpu || where->cpu == &s->cpus[c]);
}

int pmf_perf_open_sidebands(
	struct pmf_perf_session *s, const struct pmf_perf_where *where, struct pmf_err *err)
{
	for (size_t c = 0; c < s->nr_cpus; c++) {
		struct perf_event_attr attr;
		int fd;

		if (!is_meant(s, where, c))
			continue;
		pmf_perf_sideband_attr(s, &attr);
		fd = open_into(s, NULL, &attr, where, c, -1,
			&(struct pmf_layout){.event = PMF_NO_EVENT}, err);
		if (fd < 0 && !(fd == PMF_ENOTFOUND && is_cpu_wide(where)))
			return fd;
		if (fd >= 0)
			add_fd(s, fd, PMF_PERF_SIDEBAND, c, where);
	}
	return 0;
}

int pmf_perf_open_events(
	struct pmf_perf_session *s, const struct pmf_perf_where *where, struct pmf_err *err)
{
	struct pmf_perf_leaders leaders;
	int fd = 0;

	pmf_perf_leaders_init(&leaders, s);
	for (size_t i = 0; i < s->nr_opened && fd >= 0; i++) {
		const struct pmf_perf_opened *o = &s->opened[i];
		struct perf_event_attr attr = o->attr;

		if (!pmf_perf_time_attr(s, o, where, &attr))
			continue;
		attr.disabled = 1;
		attr.enable_on_exec = where->on_exec;
		for (size_t c = 0; c < s->nr_cpus && fd >= 0; c++) {
			if (!is_meant(s, where, c) || !pmf_perf_covers(s, o, c))
				continue;
			fd = pmf_perf_open_one(s, o, attr, where, c, &leaders, err);
			if (fd >= 0)
				add_fd(s, fd, (uint32_t)o->event, c, where);
			else if (fd == PMF_ENOTFOUND && is_cpu_wide(where))
				fd = 0;
		}
	}
	pmf_perf_leaders_release(&leaders);
	return fd < 0 ? fd : 0;
}

static int open_guard(const struct pmf_perf_session *s, const struct pmf_event *ev,
	struct perf_event_attr a, pid_t pid, int *fd, struct pmf_err *err)
{
	const struct pmf_perf_where where = {.pid = pid};

	a.size = sizeof a;
	a.disabled = 1;
	a.exclude_kernel |= !s->kernel_permitted;
	a.exclude_hv |= !s->kernel_permitted;
	do
		*fd = pmf_perf_sys_open(&a, pid, -1, -1, 0);
	while (*fd == -EMFILE && pmf_perf_raise_nofile());
	if (*fd == -ESRCH)
		return pmf_err_errno(err, PMF_ENOTFOUND, ESRCH, "cannot open an event");
	return *fd < 0 ? pmf_perf_explain_whom(s, ev, -*fd, &a, &where, err) : 0;
}

/* Events that count nothing and are not inherited. A task's events and its child's clone of them
 * can stand in another order, and the kernel, which swaps whole contexts instead of events between
 * such tasks, then hands counts to the wrong event (__perf_event_sync_stat in its core.c pairs them
 * by place); it also lets the command's own events exit with a child, unread. With a guard nothing
 * is a clone of the command's context. Before Linux 6.2 software and hardware events have a context
 * each, and each needs its guard. docs/adr/0002 has the measurements. */
int pmf_perf_open_guards(const struct pmf_perf_session *s, pid_t pid, int *fds, struct pmf_err *err)
{
	const struct perf_event_attr dummy = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_DUMMY};
	int ret;

	if (!s->inherits)
		return 0;
	ret = open_guard(s, NULL, dummy, pid, &fds[0], err);
	for (size_t e = 0; e < s->list->n && ret == 0; e++) {
		const struct pmf_event *ev = &s->list->events[e];

		if (ev->cls == PMF_EVENT_HARDWARE)
			return open_guard(s, ev, ev->attrs[0].attr, pid, &fds[1], err);
	}
	return ret;
}

int pmf_perf_guard(struct pmf_perf_session *s, pid_t pid, uint32_t task, struct pmf_err *err)
{
	const struct pmf_perf_where where = {.task = task};
	int guards[PMF_PERF_GUARDS] = {-1, -1};
	int ret = pmf_perf_open_guards(s, pid, guards, err);

	for (size_t i = 0; i < PMF_PERF_GUARDS; i++)
		if (guards[i] >= 0)
			add_fd(s, guards[i], PMF_PERF_GUARD, 0, &where);
	return ret;
}
