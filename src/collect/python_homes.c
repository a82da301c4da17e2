/* Which tasks the inherited events count in, so that a Python process with events of its own can be
 * freed of them: those of all others are opened again, and then the old ones are closed everywhere. */
#include "python_room.h"

#include "pmuflame/tasks.h"
#include <time.h>

enum {
	/* More tasks, or more events to open on them, are left as they are. */
	HOMES_MAX = 64,
	EVENTS_MAX = 1024,
	/* Until the records of what happened before now can be read in order. */
	SETTLED_NS = 3000000,
};

struct homes {
	struct pmf_py *py;
	struct pmf_source *src;
	pid_t pid; /* that waits */
	struct pmf_perf_home items[HOMES_MAX];
	size_t n;
	bool too_many;
};

static void add_tasks(struct homes *h, pid_t pid, bool asleep)
{
	DIR *tasks = pmf_tasks_open(pid);
	pid_t tid;

	while ((tid = pmf_tasks_next(tasks)))
		if (h->n == HOMES_MAX)
			h->too_many = true;
		else
			h->items[h->n++] = (struct pmf_perf_home){tid, asleep};
	pmf_tasks_close(tasks);
}

/* Each task of the command. */
static void list_homes(struct homes *h)
{
	const struct pmf_process_table *t = &h->py->stacks->table;

	h->n = 0;
	h->too_many = false;
	add_tasks(h, h->pid, true);
	for (size_t i = 0; i < t->n; i++)
		if (!t->procs[i]->exited && t->procs[i]->pid != h->pid)
			add_tasks(h, t->procs[i]->pid, pmf_py_sleeps(h->py, t->procs[i]->pid));
}

static bool is_among(const struct homes *h, const struct pmf_perf_home *home)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->items[i].tid == home->tid && h->items[i].asleep == home->asleep)
			return true;
	return false;
}

/* Whoever inherited events before the new ones were open has told by now, for its records are older
 * than this question. */
static bool is_settled(void *ctx)
{
	const struct timespec settled = {0, SETTLED_NS};
	struct homes *before = ctx, now = *before;

	nanosleep(&settled, NULL);
	pmf_py_read(now.py);
	now.src->ops->drain(now.src, false, pmf_stacks_record, now.py->stacks);
	list_homes(&now);
	for (size_t i = 0; i < now.n; i++)
		if (!is_among(before, &now.items[i]))
			return false;
	return !now.too_many && now.py->stacks->lost_records == 0;
}

bool pmf_py_release(struct pmf_py *py, pid_t pid, struct pmf_source *src)
{
	struct homes h = {.py = py, .src = src, .pid = pid};
	struct pmf_err err = PMF_ERR_INIT;

	if (!py->stacks->inherit)
		return false;
	pmf_py_read(py);
	src->ops->drain(src, false, pmf_stacks_record, py->stacks);
	list_homes(&h);
	if (h.too_many || h.n * src->facts.inherited_events > EVENTS_MAX)
		return false;
	/* Tasks whose events are not inherited tell nobody at their exit what they counted, so where
	 * all others do, only the command may be one of them. */
	if (src->facts.task_totals && (pid != py->main_pid || h.n > 1))
		return false;
	return pmf_perf_rehome(py->session, h.items, h.n, is_settled, &h, &err) == 0;
}
