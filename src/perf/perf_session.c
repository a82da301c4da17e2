/* A session: one ring per CPU, owned by a sideband event; every sampling event of that CPU writes
 * into it (PERF_EVENT_IOC_SET_OUTPUT). */
#include "pmuflame/perf.h"

#include "perf_priv.h"
#include "perf_session_priv.h"
#include "pmuflame/arch.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

int pmf_perf_add_layout(struct pmf_perf_session *s, int fd, const struct pmf_layout *like,
	const struct perf_event_attr *attr, struct pmf_err *err)
{
	struct pmf_layout l = *like;

	l.sample_type = attr->sample_type;
	l.read_format = attr->read_format;
	l.regs_user = attr->sample_regs_user;

	if (ioctl(fd, PERF_EVENT_IOC_ID, &l.id) < 0)
		return pmf_err_errno(
			err, PMF_EIO, errno, "cannot ask the kernel for an event's id");
	pmf_layouts_add(&s->layouts, &l);
	return 0;
}

static void common_attr(const struct pmf_perf_session *s, struct perf_event_attr *a)
{
	a->size = sizeof *a;
	a->sample_id_all = 1;
	a->inherit = s->opts.inherit;
	a->use_clockid = 1;
	a->clockid = CLOCK_MONOTONIC;
	a->read_format =
		PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING | PERF_FORMAT_ID;
	if (s->features.format_lost)
		a->read_format |= PERF_FORMAT_LOST;
	a->sample_type =
		PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU;
}

static int open_sideband(struct pmf_perf_session *s, struct pmf_perf_cpu *c, struct pmf_err *err)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_DUMMY};

	common_attr(s, &a);
	a.disabled = 1;
	a.enable_on_exec = 1;
	a.exclude_kernel = !s->kernel_permitted;
	a.exclude_hv = !s->kernel_permitted;
	a.mmap = 1;
	a.mmap2 = 1;
	a.mmap_data = s->opts.data_maps;
	a.build_id = s->features.build_id;
	a.ksymbol = s->features.ksymbol && s->kernel_permitted;
	a.comm = 1;
	a.comm_exec = 1;
	a.task = 1;
	a.watermark = 1;
	/* Bytes in the ring before a reader that sleeps in poll(2) is woken. Waking costs it some 10
	 * microseconds and the program that is sampled more; three quarters are left until it comes. */
	a.wakeup_watermark = (uint32_t)(s->ring_bytes / 4);
	c->fd = pmf_perf_sys_open(&a, s->opts.pid, c->cpu, -1, 0);
	if (c->fd < 0) {
		int errnum = -c->fd;

		c->fd = -1;
		if (errnum == ENODEV) /* the CPU went away since the list was read */
			return 0;
		return pmf_perf_explain(NULL, errnum, &a, &s->limits, err);
	}
	return pmf_perf_add_layout(s, c->fd, &(struct pmf_layout){.event = PMF_NO_EVENT}, &a, err);
}

static void close_sideband(struct pmf_perf_session *s)
{
	for (size_t i = 0; i < s->nr_cpus; i++) {
		pmf_perf_ring_unmap(&s->cpus[i]);
		if (s->cpus[i].fd >= 0)
			close(s->cpus[i].fd);
		s->cpus[i].fd = -1;
	}
	pmf_layouts_release(&s->layouts);
}

/* Every CPU's ring at the present size. 1 if that is more than may be locked, with nothing open. */
static int try_rings(struct pmf_perf_session *s, struct pmf_err *err)
{
	for (size_t i = 0; i < s->nr_cpus; i++) {
		int ret = open_sideband(s, &s->cpus[i], err);

		if (ret)
			return ret;
		if (s->cpus[i].fd < 0 || pmf_perf_ring_map(&s->cpus[i], s->ring_bytes))
			continue;
		if (errno != EPERM && errno != ENOMEM)
			return pmf_err_errno(err, PMF_EIO, errno, "cannot map a ring");
		close_sideband(s);
		return 1;
	}
	return 0;
}

/* The rings, as large as wanted or as the locked-memory limits permit, the same on every CPU. */
static int open_rings(struct pmf_perf_session *s, struct pmf_err *err)
{
	size_t least = 2 * (size_t)PMF_RECORD_MAX;
	int ret = 1;

	for (s->ring_bytes = s->opts.ring_bytes; s->ring_bytes >= least; s->ring_bytes /= 2) {
		ret = try_rings(s, err);
		if (ret <= 0)
			return ret;
	}
	return pmf_err_set(err, PMF_ELIMIT,
		"no room for %zu rings of %zu KiB within the locked-memory limits: raise them with "
		"'sysctl kernel.perf_event_mlock_kb=%zu' or 'ulimit -l'",
		s->nr_cpus, least / 1024, 4 * least / 1024);
}

/* What is the same for every descriptor of @ev. */
static void sampling_attr(
	const struct pmf_perf_session *s, const struct pmf_event *ev, struct perf_event_attr *a)
{
	const struct pmf_arch *arch = pmf_arch_native();

	common_attr(s, a);
	a->sample_type |= PERF_SAMPLE_IP;
	a->inherit_stat = s->task_totals;
	if (ev->freq_hz) {
		a->freq = 1;
		a->sample_freq = ev->freq_hz;
		a->sample_type |= PERF_SAMPLE_PERIOD;
	} else {
		/* With PERF_SAMPLE_PERIOD a software event of fixed period would sample every event
		 * (perf_swevent_event in the kernel's core.c); its weight is the period anyway. */
		a->sample_period = ev->period;
	}
	/* The period that a software event reports is one that was set after the events that it
	 * stands for: on short bursts it is off by orders of magnitude. Its own count is exact
	 * (docs/adr/0003), and says whose sample it is (docs/adr/0004). */
	if ((ev->freq_hz || s->opts.attachable) && ev->cls != PMF_EVENT_HARDWARE &&
		ev->cls != PMF_EVENT_CLOCK && (s->features.inherited_read || !s->opts.inherit))
		a->sample_type |= PERF_SAMPLE_READ;
	if (!s->kernel_permitted && !ev->user_given) {
		a->exclude_kernel = 1;
		a->exclude_hv = 1;
	}
	if (s->opts.callchain_user || (s->opts.callchain_kernel && !a->exclude_kernel)) {
		a->sample_type |= PERF_SAMPLE_CALLCHAIN;
		a->exclude_callchain_user = !s->opts.callchain_user;
		a->exclude_callchain_kernel = a->exclude_kernel || !s->opts.callchain_kernel;
	}
	if (s->opts.callchain_user && arch->callchain_lacks_ra) {
		a->sample_type |= PERF_SAMPLE_REGS_USER;
		a->sample_regs_user = UINT64_C(1) << arch->reg_ra;
	}
	if (s->opts.user_stacks) {
		a->sample_type |= PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
		a->sample_regs_user = arch->user_regs;
		a->sample_stack_user = s->opts.stack_bytes;
	}
}

/* The highest precise_ip that opens, or just the one that was asked for. */
static int open_precise(const struct pmf_event *ev, struct perf_event_attr *a, pid_t pid, int cpu,
	int group_fd, bool settled)
{
	int fd;

	if (settled || ev->cls != PMF_EVENT_HARDWARE)
		return pmf_perf_sys_open(a, pid, cpu, group_fd, 0);
	for (a->precise_ip = ev->precise_given ? ev->precise : 3;; a->precise_ip--) {
		fd = pmf_perf_sys_open(a, pid, cpu, group_fd, 0);
		if (fd >= 0 || ev->precise_given || a->precise_ip == 0 || fd == -EMFILE)
			return fd;
	}
}

static int open_event_on_cpu(struct pmf_perf_session *s, size_t e, struct perf_event_attr *a,
	struct pmf_perf_cpu *c, bool settled, struct pmf_err *err)
{
	const struct pmf_event *ev = &s->list->events[e];
	int group_fd = -1, fd;

	if (ev->group >= 0)
		group_fd = c->group_fds[ev->group];
	/* A member follows its leader. */
	a->disabled = group_fd < 0;
	a->enable_on_exec = group_fd < 0 && !s->opts.delayed;
	fd = open_precise(ev, a, s->opts.pid, c->cpu, group_fd, settled);
	if (fd == -ENODEV)
		return 0;
	if (fd == -EINVAL && group_fd >= 0)
		return pmf_err_set(err, PMF_ELIMIT,
			"event '%s' does not fit into its group: the PMU cannot count all of them "
			"at once; take it out of the braces",
			ev->spec);
	if (fd < 0)
		return pmf_perf_explain(ev, -fd, a, &s->limits, err);
	if (ev->group >= 0 && group_fd < 0)
		c->group_fds[ev->group] = fd;
	PMF_PUSH(s->inherited.fds, s->inherited.n, s->inherited.cap) =
		(struct pmf_perf_fd){.fd = fd, .event = e, .cpu_index = (size_t)(c - s->cpus)};
	if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, c->fd) < 0)
		return pmf_err_errno(
			err, PMF_EIO, errno, "cannot send '%s' into the ring of its CPU", ev->spec);
	return pmf_perf_add_layout(
		s, fd, &(struct pmf_layout){.event = (uint32_t)e, .period = ev->period}, a, err);
}

static int open_event(struct pmf_perf_session *s, size_t e, struct pmf_err *err)
{
	const struct pmf_event *ev = &s->list->events[e];
	struct pmf_perf_granted *g = &s->granted[e];
	size_t opened = s->inherited.n;
	int ret = pmf_perf_refuse_kernel_only(ev, &s->limits, err);

	if (ret)
		return ret;
	for (size_t k = 0; k < ev->nr_attrs; k++) {
		struct perf_event_attr a = ev->attrs[k].attr;
		size_t before = s->inherited.n;

		sampling_attr(s, ev, &a);
		for (size_t i = 0; i < s->nr_cpus; i++) {
			struct pmf_perf_cpu *c = &s->cpus[i];

			if (c->fd < 0 || !pmf_perf_cpu_listed(ev->attrs[k].cpus, c->cpu))
				continue;
			ret = open_event_on_cpu(s, e, &a, c, s->inherited.n > before, err);
			if (ret)
				return ret;
		}
		PMF_PUSH(s->opened, s->nr_opened, s->cap_opened) =
			(struct pmf_perf_opened){.event = e, .attr = a, .cpus = ev->attrs[k].cpus};
		if (k == 0 || a.precise_ip < g->precise_ip)
			g->precise_ip = a.precise_ip;
		g->exclude_kernel = a.exclude_kernel;
		g->exclude_kernel_forced = a.exclude_kernel && !ev->attrs[k].attr.exclude_kernel;
	}
	if (s->inherited.n == opened)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"event '%s' exists on none of the CPUs that are online", ev->spec);
	return 0;
}

static int open_guard(const struct pmf_perf_session *s, const struct pmf_event *ev,
	struct perf_event_attr a, pid_t pid, int *fd, struct pmf_err *err)
{
	a.size = sizeof a;
	a.disabled = 1;
	a.exclude_kernel |= !s->kernel_permitted;
	a.exclude_hv |= !s->kernel_permitted;
	*fd = pmf_perf_sys_open(&a, pid, -1, -1, 0);
	return *fd < 0 ? pmf_perf_explain(ev, -*fd, &a, &s->limits, err) : 0;
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

	if (!s->opts.inherit)
		return 0;
	ret = open_guard(s, NULL, dummy, pid, &fds[0], err);
	for (size_t e = 0; e < s->list->n && ret == 0; e++) {
		const struct pmf_event *ev = &s->list->events[e];

		if (ev->cls == PMF_EVENT_HARDWARE)
			return open_guard(s, ev, ev->attrs[0].attr, pid, &fds[1], err);
	}
	return ret;
}

static void list_cpus(struct pmf_perf_session *s)
{
	char online[4096];

	/* Without sysfs, as in a bare chroot, CPUs are taken to be numbered without gaps. */
	if (pmf_file_read_line("/sys/devices/system/cpu/online", online, sizeof online, NULL))
		snprintf(online, sizeof online, "0-%ld", sysconf(_SC_NPROCESSORS_ONLN) - 1);
	for (int cpu = 0; cpu < PMF_CPUS_MAX; cpu++) {
		struct pmf_perf_cpu c = {.cpu = cpu, .fd = -1};

		if (!pmf_perf_cpu_listed(online, cpu))
			continue;
		c.group_fds = pmf_calloc((size_t)s->list->nr_groups, sizeof *c.group_fds);
		for (int g = 0; g < s->list->nr_groups; g++)
			c.group_fds[g] = -1;
		PMF_PUSH(s->cpus, s->nr_cpus, s->cap_cpus) = c;
	}
}

static int start_merge(struct pmf_perf_session *s, struct pmf_err *err)
{
	size_t n = 0;
	int ret;

	pmf_layouts_seal(&s->layouts);
	s->rings = pmf_calloc(s->nr_cpus, sizeof *s->rings);
	s->polls = pmf_calloc(s->nr_cpus + 1, sizeof *s->polls);
	for (size_t i = 0; i < s->nr_cpus; i++) {
		s->polls[i].fd = s->cpus[i].fd;
		s->polls[i].events = POLLIN;
		if (s->cpus[i].fd >= 0)
			s->rings[n++] = &s->cpus[i].ring;
	}
	if (n == 0)
		return pmf_err_set(err, PMF_ENOTFOUND, "no CPU is online for perf events");
	ret = pmf_readers_new(&s->readers, &s->layouts, s->rings, n, s->opts.readers, err);
	if (ret)
		return ret;
	for (size_t i = 0, ring = 0; i < s->nr_cpus; i++)
		if (s->cpus[i].fd >= 0)
			s->cpus[i].reader = pmf_readers_of(s->readers, ring++);
	s->drains = pmf_calloc(pmf_readers_count(s->readers), sizeof *s->drains);
	return 0;
}

int pmf_perf_open(struct pmf_perf_session **out, const struct pmf_event_list *list,
	const struct pmf_perf_opts *opts, struct pmf_err *err)
{
	struct pmf_perf_session *s = pmf_zalloc(sizeof *s);
	int ret;

	s->list = list;
	s->inherited.nr_homes = 1;
	s->guard_fds[0] = s->guard_fds[1] = -1;
	s->opts = *opts;
	s->waiting = opts->delayed;
	pmf_perf_limits_read(&s->limits);
	s->kernel_permitted = pmf_perf_kernel_permitted(&s->limits);
	s->granted = pmf_calloc(list->n, sizeof *s->granted);
	s->past = pmf_calloc(list->n, sizeof *s->past);
	ret = pmf_perf_features_probe(&s->features, err);
	if (ret == 0)
		list_cpus(s);
	/* Events that take turns change their order, and with it the order that their clones get; the
	 * kernel pairs by order when it settles the counts of two tasks (docs/adr/0002). And what a
	 * task tells of its events on other CPUs can ruin their rings (docs/adr/0006). A Python that
	 * another program starts has each event twice (docs/adr/0004). */
	s->task_totals =
		opts->inherit && s->nr_cpus == 1 &&
		pmf_perf_counters_suffice(list, opts->attachable ? 2 : 1, s->kernel_permitted);
	if (ret == 0)
		ret = open_rings(s, err);
	for (size_t e = 0; e < list->n && ret == 0; e++)
		ret = open_event(s, e, err);
	if (ret == 0)
		ret = pmf_perf_open_guards(s, opts->pid, s->guard_fds, err);
	if (ret == 0)
		ret = start_merge(s, err);
	if (ret) {
		pmf_perf_close(s);
		return ret;
	}
	*out = s;
	return 0;
}

void pmf_perf_close(struct pmf_perf_session *s)
{
	if (!s)
		return;
	pmf_perf_attached_close(s);
	pmf_perf_inherited_close(&s->inherited);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(s->guard_fds); i++)
		if (s->guard_fds[i] >= 0)
			close(s->guard_fds[i]);
	pmf_readers_free(s->readers);
	free(s->drains);
	close_sideband(s);
	for (size_t i = 0; i < s->nr_cpus; i++)
		free(s->cpus[i].group_fds);
	free(s->cpus);
	free(s->opened);
	free(s->past);
	free(s->granted);
	free(s->rings);
	free(s->polls);
	free(s);
}

const struct pmf_perf_granted *pmf_perf_granted(const struct pmf_perf_session *s, size_t event)
{
	return &s->granted[event];
}

const struct perf_event_attr *pmf_perf_opened_attr(const struct pmf_perf_session *s, size_t event)
{
	size_t i = 0;

	while (s->opened[i].event != event)
		i++;
	return &s->opened[i].attr;
}

size_t pmf_perf_ring_bytes(const struct pmf_perf_session *s)
{
	return s->ring_bytes;
}

size_t pmf_perf_inherited_events(const struct pmf_perf_session *s)
{
	size_t n = s->inherited.n / s->inherited.nr_homes;

	for (size_t i = 0; i < s->nr_cpus; i++)
		n += s->cpus[i].fd >= 0;
	return s->opts.inherit ? n : 0;
}

size_t pmf_perf_readers(const struct pmf_perf_session *s)
{
	return pmf_readers_count(s->readers);
}

bool pmf_perf_has_format_lost(const struct pmf_perf_session *s)
{
	return s->features.format_lost;
}

bool pmf_perf_has_task_totals(const struct pmf_perf_session *s)
{
	return s->task_totals;
}
