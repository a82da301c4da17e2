/* Clock events of many tasks. The kernel stops and starts a task's timer whenever the task is switched,
 * which costs a server of many threads more than its samples do. Timers of the CPUs run on: they sample
 * whoever is there, and the tasks' own events just count. docs/adr/0030 has the figures. */
#include "perf_priv.h"
#include "perf_session_priv.h"

#include "pmuflame/tasks.h"
#include <unistd.h>

/* Are there more threads than CPUs? Of a server that starts processes those count, too: more will come. */
static bool is_crowded(const struct pmf_perf_session *s)
{
	const struct pmf_perf_opts *opts = &s->opts;
	pid_t children[PMF_CPUS_MAX + 1];
	size_t n = 0;

	for (size_t i = 0; i < opts->nr_pids && n <= s->nr_cpus; i++) {
		n += pmf_tasks_count(opts->pids[i]);
		if (opts->inherit)
			n += pmf_tasks_children(opts->pids[i], children, s->nr_cpus + 1);
	}
	return n > s->nr_cpus;
}

static struct perf_event_attr timer_attr(const struct pmf_perf_opened *o)
{
	struct perf_event_attr a = o->attr;

	a.inherit = a.inherit_thread = 0;
	a.exclude_idle = 1;
	return a;
}

/* Can timers of the CPUs take @o's samples? */
static int try_timer(
	const struct pmf_perf_session *s, const struct pmf_perf_opened *o, struct pmf_err *err)
{
	const struct pmf_event *ev = &s->list->events[o->event];
	const struct pmf_perf_where where = pmf_perf_everyone(s);
	struct perf_event_attr a = timer_attr(o);
	int fd;

	if (ev->group >= 0)
		return pmf_err_set(err, PMF_EUNSUP,
			"timers of the CPUs cannot sample '%s', which is in a group: take it out of the braces",
			ev->spec);
	fd = pmf_perf_sys_open(&a, where.pid, s->cpus[0].cpu, -1, 0);
	if (fd < 0)
		return pmf_perf_explain_whom(s, ev, -fd, &a, &where, err);
	close(fd);
	if (a.exclude_kernel || a.exclude_user)
		return pmf_err_set(err, PMF_EUNSUP,
			"timers of the CPUs cannot sample '%s': where the kernel or user space is left out, "
			"samples do not stand for all that is counted; leave the modifier out",
			ev->spec);
	return 0;
}

int pmf_perf_choose_timers(struct pmf_perf_session *s, struct pmf_err *err)
{
	bool asked = s->opts.timers == PMF_PERF_TIMERS_CPUS;

	if (s->opts.target != PMF_PERF_TASKS || s->opts.timers == PMF_PERF_TIMERS_TASKS)
		return 0;
	/* Threads that could all have a CPU of their own are seldom switched. */
	if (!asked && (s->opts.single || !is_crowded(s)))
		return 0;
	/* An agent's process has events of its own. */
	if (s->opts.attachable)
		return !asked ? 0
			      : pmf_err_set(err, PMF_EUNSUP,
					"timers of the CPUs need a Python without an agent: '--python no'");
	for (size_t i = 0; i < s->nr_opened; i++) {
		const struct pmf_perf_opened *o = &s->opened[i];
		int ret;

		if (s->list->events[o->event].cls != PMF_EVENT_CLOCK)
			continue;
		ret = try_timer(s, o, asked ? err : NULL);
		if (ret == 0)
			s->granted[o->event].cpu_timer = s->has_timers = true;
		else if (asked)
			return ret;
	}
	if (asked && !s->has_timers)
		return pmf_err_set(err, PMF_EUSAGE,
			"--timers cpus is about cpu-clock and task-clock, and none is among the events");
	/* Who is counted is known to the first reader alone. */
	if (s->has_timers)
		s->opts.readers = 1;
	return 0;
}

bool pmf_perf_time_attr(const struct pmf_perf_session *s, const struct pmf_perf_opened *o,
	const struct pmf_perf_where *where, struct perf_event_attr *a)
{
	bool timed = s->granted[o->event].cpu_timer;

	if (where->timer)
		*a = timer_attr(o);
	else if (timed) {
		a->freq = 0;
		a->sample_period = 0;
		a->sample_type &= PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |
				  PERF_SAMPLE_CPU;
	}
	return timed || !where->timer;
}

bool pmf_perf_is_stranger(const struct pmf_perf_session *s, const struct pmf_record *rec)
{
	const struct pmf_perf_holder *h;

	if (!s->has_timers || !rec->cpu_wide || rec->type != PERF_RECORD_SAMPLE)
		return false;
	h = pmf_perf_holder_find(s->tasks, (pid_t)rec->tid);
	/* Where births were lost, a thread of a known process is one of those. */
	if (!h && s->tasks->blind && s->tasks->threads)
		h = pmf_perf_holder_find(s->tasks, (pid_t)rec->pid);
	return !h || h->task == PMF_PERF_NO_TASK;
}
