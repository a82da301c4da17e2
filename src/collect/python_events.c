/* The events of one Python process: one set, which its threads inherit as they start; of a process that
 * had threads before it greeted, one for each of them. */
#include "python_room.h"

#include "pmuflame/tasks.h"
#include <stdlib.h>

/* Rounds of asking who is there until nobody is new. Threads that know of Python cannot start meanwhile:
 * the greeting thread has the interpreter's lock. */
enum { ROUNDS_MAX = 16 };

static bool has_task(const struct pmf_py_process *proc, pid_t tid)
{
	for (size_t i = 0; i < proc->nr_tasks; i++)
		if (proc->tasks[i].tid == tid)
			return true;
	return false;
}

static int add_task(struct pmf_py *py, struct pmf_py_process *proc, pid_t tid, bool signals,
	struct pmf_err *err)
{
	struct pmf_perf_attach_opts opts = {.pid = tid, .signals = signals, .alone = proc->alone};
	struct pmf_perf_process *events;
	int ret = pmf_perf_attach(py->session, &opts, &events, err);

	if (ret == 0)
		PMF_PUSH(proc->tasks, proc->nr_tasks, proc->cap_tasks) =
			(struct pmf_py_task){tid, events};
	return ret;
}

/* Those that have no events yet; *added gets how many there were. */
static int add_others(struct pmf_py *py, struct pmf_py_process *proc, bool signals, size_t *added,
	struct pmf_err *err)
{
	DIR *tasks = pmf_tasks_open(proc->pid);
	pid_t tid;
	int ret = 0;

	*added = 0;
	while (ret == 0 && (tid = pmf_tasks_next(tasks))) {
		if (has_task(proc, tid) || !pmf_py_wants(py, tid))
			continue;
		ret = add_task(py, proc, tid, signals, err);
		if (ret == PMF_ENOTFOUND) /* it has ended */
			ret = 0;
		else
			(*added)++;
	}
	pmf_tasks_close(tasks);
	return ret;
}

int pmf_py_events_open(
	struct pmf_py *py, struct pmf_py_process *proc, bool signals, bool all, struct pmf_err *err)
{
	size_t added = 1;
	int ret = all ? 0 : add_task(py, proc, proc->pid, signals, err);

	for (int i = 0; all && i < ROUNDS_MAX && added && ret == 0; i++)
		ret = add_others(py, proc, signals, &added, err);
	if (ret == 0 && !proc->nr_tasks)
		ret = pmf_err_set(err, PMF_ENOTFOUND, "it has no thread that is recorded");
	return ret;
}

void pmf_py_events_close(struct pmf_py *py, struct pmf_py_process *proc, uint64_t *counted)
{
	size_t n = py->stacks->list->n;
	uint64_t *one = pmf_calloc(n, sizeof *one);

	for (size_t i = 0; i < proc->nr_tasks; i++) {
		pmf_perf_detach(py->session, proc->tasks[i].events, one);
		for (size_t e = 0; e < n; e++)
			counted[e] += one[e];
	}
	proc->nr_tasks = 0;
	free(one);
}

bool pmf_py_events_have(const struct pmf_py_process *proc, size_t event)
{
	return proc->nr_tasks && pmf_perf_attached_event(proc->tasks[0].events, event);
}

void pmf_py_events_pause(struct pmf_py_process *proc, bool pause)
{
	for (size_t i = 0; i < proc->nr_tasks; i++)
		pmf_perf_pause(proc->tasks[i].events, pause);
}
