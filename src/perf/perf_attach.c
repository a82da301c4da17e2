/* Events of single processes, besides those that the whole tree inherits. docs/adr/0004 says how
 * their counts join. */
#include "perf_priv.h"
#include "perf_session_priv.h"
#include "pmuflame/mem.h"
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct pmf_perf_process {
	struct pmf_perf_process *next;
	struct pmf_perf_attach_opts opts;
	const struct pmf_perf_session *session;
	bool paused;
	int guard_fds[PMF_PERF_GUARDS]; /* as the session's */
	struct pmf_perf_fd *fds;
	size_t n, cap;
};

/* Can a second event of this kind run in a process and its samples be told apart? */
static bool can_repeat(const struct pmf_perf_session *s, const struct pmf_perf_opened *o)
{
	const struct pmf_event *ev = &s->list->events[o->event];

	return o->attr.type != PERF_TYPE_SOFTWARE || ev->cls == PMF_EVENT_CLOCK ||
	       (o->attr.sample_type & PERF_SAMPLE_READ) != 0;
}

static void process_free(struct pmf_perf_process *p)
{
	for (size_t i = 0; i < p->n; i++)
		close(p->fds[i].fd);
	for (size_t i = 0; i < PMF_PERF_GUARDS; i++)
		if (p->guard_fds[i] >= 0)
			close(p->guard_fds[i]);
	free(p->fds);
	free(p);
}

static int open_all(struct pmf_perf_session *s, struct pmf_perf_process *p, struct pmf_err *err)
{
	const struct pmf_perf_where where = {.pid = p->opts.pid};
	struct pmf_perf_leaders leaders;
	int ret = 0;

	pmf_perf_leaders_init(&leaders, s);
	for (size_t i = 0; i < s->nr_opened && ret >= 0; i++) {
		const struct pmf_perf_opened *o = &s->opened[i];
		struct perf_event_attr attr = o->attr;

		if (!p->opts.alone && !can_repeat(s, o))
			continue;
		attr.disabled = s->waiting;
		attr.enable_on_exec = 0;
		attr.inherit_thread = attr.inherit; /* processes greet for themselves */
		attr.inherit_stat = 0;
		attr.remove_on_exec = 1;
		attr.sigtrap = p->opts.signals;
		for (size_t c = 0; c < s->nr_cpus && ret >= 0; c++) {
			if (!pmf_perf_covers(s, o, c))
				continue;
			ret = pmf_perf_open_one(s, o, attr, &where, c, &leaders, err);
			if (ret >= 0)
				PMF_PUSH(p->fds, p->n, p->cap) = (struct pmf_perf_fd){.fd = ret,
					.event = (uint32_t)o->event,
					.cpu_index = (uint32_t)c};
		}
	}
	pmf_perf_leaders_release(&leaders);
	pmf_layouts_seal(&s->layouts);
	return ret < 0 ? ret : 0;
}

int pmf_perf_attach(struct pmf_perf_session *s, const struct pmf_perf_attach_opts *opts,
	struct pmf_perf_process **out, struct pmf_err *err)
{
	struct pmf_perf_process *p = pmf_zalloc(sizeof *p);
	int ret;

	p->opts = *opts;
	p->session = s;
	p->guard_fds[0] = p->guard_fds[1] = -1;
	ret = pmf_perf_open_guards(s, opts->pid, p->guard_fds, err);
	if (ret == 0)
		ret = open_all(s, p, err);
	if (ret) {
		process_free(p);
		return ret;
	}
	p->next = s->attached;
	s->attached = p;
	*out = p;
	return 0;
}

bool pmf_perf_attached_event(const struct pmf_perf_process *proc, size_t event)
{
	for (size_t i = 0; i < proc->n; i++)
		if (proc->fds[i].event == event)
			return true;
	return false;
}

void pmf_perf_detach(struct pmf_perf_session *s, struct pmf_perf_process *proc, uint64_t *counted)
{
	struct pmf_perf_process **link = &s->attached;

	for (size_t e = 0; e < s->list->n; e++)
		counted[e] = 0;
	for (size_t i = 0; i < proc->n; i++) {
		size_t e = proc->fds[i].event;
		struct pmf_perf_totals t;

		if (pmf_perf_read_fd(s, proc->fds[i].fd, &t, NULL) == 0)
			counted[e] += t.value;
		pmf_perf_add_fd(s, proc->fds[i].fd, proc->opts.alone, &s->past[e], NULL);
	}
	while (*link && *link != proc)
		link = &(*link)->next;
	if (*link)
		*link = proc->next;
	process_free(proc);
}

int pmf_perf_attached_totals(
	struct pmf_perf_session *s, size_t event, struct pmf_perf_totals *sum, struct pmf_err *err)
{
	int ret = 0;

	for (const struct pmf_perf_process *p = s->attached; p; p = p->next)
		for (size_t i = 0; i < p->n && ret == 0; i++)
			if (p->fds[i].event == event)
				ret = pmf_perf_add_fd(s, p->fds[i].fd, p->opts.alone, sum, err);
	return ret;
}

void pmf_perf_pause(struct pmf_perf_process *proc, bool pause)
{
	proc->paused = pause;
	if (proc->session->waiting)
		return;
	for (size_t i = 0; i < proc->n; i++)
		ioctl(proc->fds[i].fd, pause ? PERF_EVENT_IOC_DISABLE : PERF_EVENT_IOC_ENABLE, 0);
}

void pmf_perf_attached_start(struct pmf_perf_session *s)
{
	for (struct pmf_perf_process *p = s->attached; p; p = p->next)
		pmf_perf_pause(p, p->paused);
}

void pmf_perf_attached_disable(struct pmf_perf_session *s)
{
	for (struct pmf_perf_process *p = s->attached; p; p = p->next)
		pmf_perf_pause(p, true);
}

void pmf_perf_attached_close(struct pmf_perf_session *s)
{
	while (s->attached) {
		struct pmf_perf_process *p = s->attached;

		s->attached = p->next;
		process_free(p);
	}
}

/* ---- Inherited events that move ---- */

void pmf_perf_inherited_close(struct pmf_perf_inherited *in)
{
	for (size_t i = 0; i < in->n; i++)
		close(in->fds[i].fd);
	free(in->fds);
}

/* The session's events once more, on @home and not enabled. */
static int open_home(
	struct pmf_perf_session *s, const struct pmf_perf_home *home, struct pmf_err *err)
{
	const struct pmf_perf_where where = {.pid = home->tid, .on_exec = home->asleep};
	int ret = pmf_perf_guard(s, home->tid, 0, err);

	return ret ? ret : pmf_perf_open_events(s, &where, err);
}

static int open_homes(struct pmf_perf_session *s, const struct pmf_perf_home *homes, size_t n,
	bool asleep, struct pmf_err *err)
{
	int ret = 0;

	for (size_t i = 0; i < n && ret == 0; i++)
		if (homes[i].asleep == asleep)
			ret = open_home(s, &homes[i], err);
	return ret;
}

static void retire(struct pmf_perf_session *s, struct pmf_perf_inherited *in)
{
	for (size_t i = 0; i < in->n; i++)
		pmf_perf_keep(s, &in->fds[i]);
	pmf_perf_inherited_close(in);
}

/* One event on one CPU at a time: what happens there between two calls is not counted. */
static void control(
	const struct pmf_perf_fd *fds, size_t n, size_t event, size_t cpu_index, unsigned long what)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i].event == event && fds[i].cpu_index == cpu_index)
			ioctl(fds[i].fd, what, 0);
}

int pmf_perf_rehome(struct pmf_perf_session *s, const struct pmf_perf_home *homes, size_t n,
	bool (*settled)(void *ctx), void *ctx, struct pmf_err *err)
{
	struct pmf_perf_inherited old = s->inherited, *now = &s->inherited;
	size_t nr_awake;
	int ret;

	if (s->opts.target != PMF_PERF_COMMAND)
		return pmf_err_set(err, PMF_EUNSUP, "only a command's events can move");
	if (s->waiting)
		return pmf_err_set(err, PMF_EUNSUP,
			"events that wake at an exec would not wait for the start of counting");
	*now = (struct pmf_perf_inherited){0};
	ret = open_homes(s, homes, n, false, err);
	nr_awake = now->n;
	if (ret == 0)
		ret = open_homes(s, homes, n, true, err);
	pmf_layouts_seal(&s->layouts);
	if (ret == 0 && !settled(ctx))
		ret = pmf_err_set(err, PMF_EUNSUP, "the command's tasks come and go");
	if (ret) {
		retire(s, now); /* a program that was executed meanwhile has woken some */
		*now = old;
		return ret;
	}
	for (size_t e = 0; e < s->list->n; e++)
		for (size_t c = 0; c < s->nr_cpus; c++) {
			control(old.fds, old.n, e, c, PERF_EVENT_IOC_DISABLE);
			control(now->fds, nr_awake, e, c, PERF_EVENT_IOC_ENABLE);
		}
	retire(s, &old);
	return 0;
}
