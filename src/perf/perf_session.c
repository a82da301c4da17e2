/* A session: one ring per CPU, owned by an event; all others of that CPU write into it
 * (PERF_EVENT_IOC_SET_OUTPUT). A command's ring is owned by its sideband event. Anyone else's by an
 * event on our own thread, for a ring hangs up when its owner's task ends. */
#include "perf_priv.h"
#include "perf_session_priv.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
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

int pmf_perf_open_owner(struct pmf_perf_session *s, struct pmf_perf_cpu *c, struct pmf_err *err)
{
	bool command = s->opts.target == PMF_PERF_COMMAND;
	struct perf_event_attr a;

	pmf_perf_owner_attr(s, &a);
	c->fd = pmf_perf_sys_open(&a, command ? s->opts.pid : 0, c->cpu, -1, 0);
	if (c->fd < 0) {
		int errnum = -c->fd;

		c->fd = -1;
		return pmf_perf_explain(NULL, errnum, &a, &s->limits, err);
	}
	return pmf_perf_add_layout(s, c->fd, &(struct pmf_layout){.event = PMF_NO_EVENT}, &a, err);
}

static void close_rings(struct pmf_perf_session *s)
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
		int ret = s->cpus[i].online ? pmf_perf_open_owner(s, &s->cpus[i], err) : 0;

		if (ret)
			return ret;
		if (!s->cpus[i].online || pmf_perf_ring_map(&s->cpus[i], s->ring_bytes))
			continue;
		if (errno != EPERM && errno != ENOMEM)
			return pmf_err_errno(err, PMF_EIO, errno, "cannot map a ring");
		close_rings(s);
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

static int start_merge(struct pmf_perf_session *s, struct pmf_err *err)
{
	int ret;

	pmf_layouts_seal(&s->layouts);
	s->rings = pmf_calloc(s->nr_cpus, sizeof *s->rings);
	s->polls = pmf_calloc(s->nr_cpus + 1, sizeof *s->polls);
	for (size_t i = 0; i < s->nr_cpus; i++) {
		s->cpus[i].ring.size = s->ring_bytes; /* empty, where the CPU is offline */
		s->polls[i] = (struct pollfd){.fd = s->cpus[i].fd, .events = POLLIN};
		s->rings[i] = &s->cpus[i].ring;
	}
	ret = pmf_readers_new(&s->readers, &s->layouts, s->rings, s->nr_cpus, s->opts.readers, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < s->nr_cpus; i++)
		s->cpus[i].reader = pmf_readers_of(s->readers, i);
	s->drains = pmf_calloc(pmf_readers_count(s->readers), sizeof *s->drains);
	return 0;
}

/* The events on whom the session counts. */
static int open_target(struct pmf_perf_session *s, struct pmf_err *err)
{
	struct pmf_perf_where where = pmf_perf_everyone(s);
	int ret;

	switch (s->opts.target) {
	case PMF_PERF_COMMAND:
		where = (struct pmf_perf_where){.pid = s->opts.pid, .on_exec = !s->opts.delayed};
		ret = pmf_perf_open_events(s, &where, err);
		return ret ? ret : pmf_perf_guard(s, s->opts.pid, 0, err);
	case PMF_PERF_TASKS:
		ret = pmf_perf_open_tasks(s, err);
		return ret || !s->has_timers ? ret : pmf_perf_open_events(s, &where, err);
	case PMF_PERF_CGROUP:
	case PMF_PERF_SYSTEM:
		break;
	}
	ret = pmf_perf_open_sidebands(s, &where, err);
	return ret ? ret : pmf_perf_open_events(s, &where, err);
}

int pmf_perf_open(struct pmf_perf_session **out, const struct pmf_event_list *list,
	const struct pmf_perf_opts *opts, struct pmf_err *err)
{
	struct pmf_perf_session *s = pmf_zalloc(sizeof *s);
	bool command = opts->target == PMF_PERF_COMMAND;
	int ret;

	s->list = list;
	s->opts = *opts;
	s->inherits = command ? opts->inherit : opts->target == PMF_PERF_TASKS && !opts->single;
	s->waiting = opts->delayed || !command;
	s->opts.cpus = NULL; /* borrowed for the call */
	pmf_perf_limits_read(&s->limits);
	s->kernel_permitted = pmf_perf_kernel_permitted(&s->limits);
	s->granted = pmf_calloc(list->n, sizeof *s->granted);
	s->past = pmf_calloc(list->n + 1, sizeof *s->past);
	s->base = pmf_calloc(list->n + 1, sizeof *s->base);
	s->frozen = pmf_calloc(list->n + 1, sizeof *s->frozen);
	ret = pmf_perf_features_probe(&s->features, err);
	if (ret == 0)
		ret = pmf_perf_list_cpus(s, opts->cpus, err);
	/* Events that take turns change their order, and with it the order that their clones get; the
	 * kernel pairs by order when it settles the counts of two tasks (docs/adr/0002). And what a
	 * task tells of its events on other CPUs can ruin their rings (docs/adr/0006). A Python that
	 * another program starts has each event twice (docs/adr/0004). */
	s->task_totals =
		command && opts->inherit && s->nr_cpus == 1 &&
		pmf_perf_counters_suffice(list, opts->attachable ? 2 : 1, s->kernel_permitted);
	if (ret == 0 && opts->target == PMF_PERF_TASKS && s->inherits && !opts->inherit &&
		!s->features.sigtrap)
		ret = pmf_err_set(err, PMF_EUNSUP,
			"threads to come, but no processes to come, needs Linux 5.13: leave "
			"'--inherit no' out, or name single threads (-t)");
	if (ret == 0)
		ret = pmf_perf_settle(s, err);
	if (ret == 0)
		ret = pmf_perf_choose_timers(s, err);
	if (ret == 0)
		ret = open_rings(s, err);
	if (ret == 0)
		ret = open_target(s, err);
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
	pmf_perf_bpf_close(s);
	pmf_perf_inherited_close(&s->inherited);
	pmf_perf_tasks_free(s->tasks);
	pmf_readers_free(s->readers);
	free(s->drains);
	close_rings(s);
	free(s->cpus);
	free(s->online);
	free(s->opened);
	free(s->past);
	free(s->base);
	free(s->frozen);
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
	size_t n = s->nr_cpus;

	for (size_t i = 0; i < s->nr_opened; i++)
		for (size_t c = 0; c < s->nr_cpus; c++)
			n += pmf_perf_covers(s, &s->opened[i], c);
	return s->inherits ? n : 0;
}

size_t pmf_perf_readers(const struct pmf_perf_session *s)
{
	return pmf_readers_count(s->readers);
}

struct pmf_perf_hotplug pmf_perf_hotplug(const struct pmf_perf_session *s)
{
	return s->hotplug;
}

bool pmf_perf_has_format_lost(const struct pmf_perf_session *s)
{
	return s->features.format_lost;
}

bool pmf_perf_has_task_totals(const struct pmf_perf_session *s)
{
	return s->task_totals;
}
