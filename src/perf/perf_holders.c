/* Which tasks have whose events: told by the records of births and ends. docs/adr/0023 has the
 * argument. */
#include "perf_session_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>

/* A fork takes less than half of this; a quarter, and so on, each time that the events are opened again,
 * for who starts threads without a pause would be in doubt for ever. */
enum { FORK_NS = 20000000 };

void pmf_perf_tasks_init(struct pmf_perf_tasks *t, const struct pmf_perf_opts *opts)
{
	*t = (struct pmf_perf_tasks){.threads = !opts->single,
		.processes = !opts->single && opts->inherit,
		.opening = true};
	pmf_index_init(&t->by_tid);
	for (size_t i = 0; i < opts->nr_pids; i++)
		PMF_PUSH(t->pids, t->nr_pids, t->cap_pids) = opts->pids[i];
}

void pmf_perf_tasks_free(struct pmf_perf_tasks *t)
{
	if (!t)
		return;
	pmf_index_release(&t->by_tid);
	free(t->holders);
	free(t->items);
	free(t->pids);
	free(t);
}

static uint64_t hash_of(pid_t tid)
{
	return pmf_hash_u64((uint64_t)tid);
}

static bool holder_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_perf_tasks *)ctx)->holders[value].tid == *(const pid_t *)key;
}

const struct pmf_perf_holder *pmf_perf_holder_find(const struct pmf_perf_tasks *t, pid_t tid)
{
	uint32_t i = pmf_index_find(&t->by_tid, hash_of(tid), holder_eq, t, &tid);

	return i == UINT32_MAX ? NULL : &t->holders[i];
}

void pmf_perf_holder_add(struct pmf_perf_tasks *t, pid_t tid, pid_t pid, uint32_t task)
{
	if (task != PMF_PERF_NO_TASK)
		t->items[task].holders++;
	pmf_index_add(&t->by_tid, hash_of(tid), (uint32_t)t->nr_holders);
	PMF_PUSH(t->holders, t->nr_holders, t->cap_holders) =
		(struct pmf_perf_holder){.tid = tid, .pid = pid, .task = task};
}

static void remove_holder(struct pmf_perf_tasks *t, const struct pmf_perf_holder *h)
{
	uint32_t at = (uint32_t)(h - t->holders), last = (uint32_t)t->nr_holders - 1,
		 task = h->task;

	pmf_index_remove(&t->by_tid, hash_of(h->tid), at);
	if (at != last) {
		pmf_index_remove(&t->by_tid, hash_of(t->holders[last].tid), last);
		pmf_index_add(&t->by_tid, hash_of(t->holders[last].tid), at);
		t->holders[at] = t->holders[last];
	}
	t->nr_holders--;
	if (task != PMF_PERF_NO_TASK && --t->items[task].holders == 0)
		t->ended++;
}

/* @pid's threads are looked for, too: what they had of events is gone. */
static void add_pid(struct pmf_perf_tasks *t, pid_t pid)
{
	for (size_t i = 0; i < t->nr_pids; i++)
		if (t->pids[i] == pid)
			return;
	PMF_PUSH(t->pids, t->nr_pids, t->cap_pids) = pid;
}

void pmf_perf_tasks_drop(struct pmf_perf_tasks *t, uint32_t task)
{
	for (size_t i = t->nr_holders; i-- > 0;) {
		const struct pmf_perf_holder *h = &t->holders[i];

		if (h->task != task)
			continue;
		add_pid(t, h->pid);
		remove_holder(t, h);
	}
}

/* How long after the last event a fork can end that began before. */
static uint64_t doubt_ns(const struct pmf_perf_task *task)
{
	return (uint64_t)FORK_NS >> PMF_MIN(task->times, 63u);
}

/* Was all that @task has copied at the birth whose record is @rec? One thread's forks come one after
 * another, so after the first that was told since its events were open there is no doubt. */
static bool was_whole(struct pmf_perf_task *task, const struct pmf_record *rec)
{
	bool first = !task->bore;

	task->bore = true;
	return rec->time_ns > task->opened_ns &&
	       (!first || task->asleep || rec->time_ns - task->opened_ns > doubt_ns(task));
}

bool pmf_perf_task_in_doubt(const struct pmf_perf_task *task, uint64_t now_ns)
{
	return task->holders > 0 && !task->bore && !task->asleep &&
	       now_ns - task->opened_ns <= doubt_ns(task);
}

static void birth(struct pmf_perf_tasks *t, const struct pmf_record *rec)
{
	pid_t tid = (pid_t)rec->tid, parent = (pid_t)rec->task.ptid;
	const struct pmf_perf_holder *h = pmf_perf_holder_find(t, parent),
				     *same = pmf_perf_holder_find(t, tid);
	struct pmf_perf_task *task;

	if (!(rec->pid == rec->task.ppid ? t->threads : t->processes))
		return;
	if (!h || h->task == PMF_PERF_NO_TASK || (same && same->task == h->task))
		return;
	task = &t->items[h->task];
	if (parent == task->tid) {
		/* Told by events that were closed again, or told again. */
		if (rec->time_ns < task->begun_ns ||
			(!t->opening && rec->time_ns <= task->opened_ns))
			return;
		if (t->opening && !was_whole(task, rec)) {
			t->nr_torn += !task->torn;
			task->torn = true;
			add_pid(t, (pid_t)rec->pid);
			return;
		}
	}
	if (same) /* its end was not told */
		remove_holder(t, same);
	/* Found again: the removal may have moved it. */
	h = pmf_perf_holder_find(t, parent);
	if (h)
		pmf_perf_holder_add(t, tid, (pid_t)rec->pid, h->task);
}

/* A thread that executes a program has the number of its process from then on. The others have ended before,
 * the one that had the number first of all. */
static void execute(struct pmf_perf_tasks *t, const struct pmf_record *rec)
{
	pid_t tid = (pid_t)rec->tid, before = 0;
	const struct pmf_perf_holder *same = pmf_perf_holder_find(t, tid);
	uint32_t task = PMF_PERF_NO_TASK;

	if (same && same->task != PMF_PERF_NO_TASK)
		return;
	for (const struct pmf_perf_holder *h = t->holders, *end = h + t->nr_holders;
		h < end && !before; h++)
		if (h->pid == (pid_t)rec->pid && h->task != PMF_PERF_NO_TASK) {
			before = h->tid;
			task = h->task;
		}
	if (!before)
		return;
	if (same)
		remove_holder(t, same);
	if (t->items[task].tid == before)
		t->items[task].tid = tid;
	/* Added first: the task keeps a holder. */
	pmf_perf_holder_add(t, tid, (pid_t)rec->pid, task);
	remove_holder(t, pmf_perf_holder_find(t, before));
}

void pmf_perf_tasks_record(struct pmf_perf_tasks *t, const struct pmf_record *rec)
{
	const struct pmf_perf_holder *h;

	switch (rec->type) {
	case PERF_RECORD_FORK:
		birth(t, rec);
		break;
	case PERF_RECORD_EXIT:
		h = pmf_perf_holder_find(t, (pid_t)rec->tid);
		if (h)
			remove_holder(t, h);
		break;
	case PERF_RECORD_COMM:
		if (rec->comm.exec)
			execute(t, rec);
		break;
	case PERF_RECORD_LOST:
		t->blind = true;
		break;
	default:
		break;
	}
}
