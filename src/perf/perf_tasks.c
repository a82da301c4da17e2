/* Events on tasks that run already, each counted once: docs/adr/0023 says how. */
#include "perf_session_priv.h"

#include "pmuflame/clock.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/tasks.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	PAUSE_NS = 1000000,
	/* Births that are not settled by then come faster than events can be opened. */
	GIVE_UP_S = 10,
	NS_PER_S = 1000000000,
};

/* A thread that nothing is known of. */
struct candidate {
	pid_t pid, tid;
	bool told; /* a record of its birth, if there is one, was written by now */
};

struct opening {
	struct pmf_perf_session *s;
	struct pmf_perf_tasks *tasks;
	struct candidate *found;
	size_t nr_found, cap_found;
	bool again; /* another round is needed */
	/* The rings are read without taking anything from them. */
	struct pmf_ring *views, **rings;
	struct pmf_merge merge;
};

static void task_path(char path[64], pid_t pid, pid_t tid, const char *file)
{
	snprintf(path, 64, "/proc/%d/task/%d/%s", (int)pid, (int)tid, file);
}

/* The state of a thread as proc(5) writes it, 'R' for one that runs or wants to; '\0' if it has
 * ended. */
static char state_of(pid_t pid, pid_t tid)
{
	char path[64], line[128];
	const char *name_end;

	task_path(path, pid, tid, "stat");
	if (pmf_file_read_line(path, line, sizeof line, NULL))
		return '\0';
	name_end = strrchr(line, ')');
	return name_end && name_end[1] == ' ' ? name_end[2] : '\0';
}

/* A new thread runs for the first time only when the record of its birth was written. */
static bool has_run(pid_t pid, pid_t tid)
{
	unsigned long long run_ns, wait_ns, slices;
	char path[64], line[128];

	if (state_of(pid, tid) != 'R')
		return true;
	task_path(path, pid, tid, "schedstat");
	return pmf_file_read_line(path, line, sizeof line, NULL) ||
	       (sscanf(line, "%llu %llu %llu", &run_ns, &wait_ns, &slices) == 3 && slices > 0);
}

/* Add the threads of @pid that nothing is known of. */
static void find_threads(struct opening *o, pid_t pid, bool first)
{
	DIR *tasks = pmf_tasks_open(pid);
	pid_t tid;

	while ((tid = pmf_tasks_next(tasks)))
		if (!pmf_perf_holder_find(o->tasks, tid))
			PMF_PUSH(o->found, o->nr_found, o->cap_found) =
				(struct candidate){pid, tid, .told = first || has_run(pid, tid)};
	pmf_tasks_close(tasks);
}

static int take_record(void *ctx, const struct pmf_record *rec)
{
	pmf_perf_tasks_record(ctx, rec);
	return 0;
}

/* Read what was told of births and ends since the last time. */
static int read_births(struct opening *o, struct pmf_err *err)
{
	struct pmf_perf_session *s = o->s;

	pmf_layouts_seal(&s->layouts);
	for (size_t c = 0; c < s->nr_cpus; c++) {
		pmf_perf_ring_refresh(&s->cpus[c]);
		o->views[c].head = s->cpus[c].ring.head;
	}
	if (pmf_merge_drain(&o->merge, UINT64_MAX, take_record, o->tasks) < 0)
		return pmf_err_set(err, PMF_EIO, "cannot read the rings");
	for (uint32_t i = 0; i < o->tasks->n && o->tasks->nr_torn; i++)
		if (o->tasks->items[i].torn && o->tasks->items[i].holders) {
			pmf_perf_tasks_drop(o->tasks, i);
			o->again = true;
		}
	pmf_perf_tend_tasks(s);
	return 0;
}

static struct pmf_perf_task *task_for(struct pmf_perf_tasks *t, pid_t pid, pid_t tid)
{
	for (size_t i = 0; i < t->n && t->nr_torn; i++)
		if (t->items[i].torn && t->items[i].tid == tid) {
			t->nr_torn--;
			t->items[i].torn = false;
			return &t->items[i];
		}
	PMF_PUSH(t->items, t->n, t->cap) = (struct pmf_perf_task){.pid = pid, .tid = tid};
	return &t->items[t->n - 1];
}

/* Open all events on a thread; PMF_ENOTFOUND, with nothing open, if it has ended. */
static int open_task(struct pmf_perf_session *s, const struct candidate *found, struct pmf_err *err)
{
	struct pmf_perf_tasks *t = s->tasks;
	struct pmf_perf_task *task = task_for(t, found->pid, found->tid);
	uint32_t number = (uint32_t)(task - t->items);
	const struct pmf_perf_where where = {.pid = found->tid, .task = number};
	int ret;

	task->bore = false;
	task->times++;
	task->begun_ns = pmf_clock_ns(CLOCK_MONOTONIC);
	/* First what tells of births: a thread that was born untold has no event that counts. */
	ret = pmf_perf_open_sidebands(s, &where, err);
	if (ret == 0)
		ret = pmf_perf_open_events(s, &where, err);
	if (ret == 0)
		ret = pmf_perf_guard(s, found->tid, number, err);
	task->opened_ns = pmf_clock_ns(CLOCK_MONOTONIC);
	if (ret == 0) {
		task->opened = true;
		task->asleep = state_of(found->pid, found->tid) == 'S';
		pmf_perf_holder_add(t, found->tid, found->pid, number);
		return 0;
	}
	if (ret == PMF_ENOTFOUND) {
		/* A process that is no more than its first thread's remains is not asked again. */
		pmf_perf_holder_add(t, found->tid, found->pid, PMF_PERF_NO_TASK);
		task->torn = true;
		t->nr_torn++;
		t->ended++;
		pmf_perf_tend_tasks(s);
	}
	return ret;
}

/* Open what was found and is still unknown. */
static int open_found(struct opening *o, struct pmf_err *err)
{
	int ret = 0;

	for (size_t i = 0; i < o->nr_found && ret == 0; i++) {
		const struct candidate *c = &o->found[i];

		if (pmf_perf_holder_find(o->tasks, c->tid))
			continue;
		o->again = true;
		if (!c->told)
			continue;
		ret = open_task(o->s, c, err);
		if (ret == PMF_ENOTFOUND)
			ret = 0;
	}
	return ret;
}

/* Has a thread's first fork since its events were opened perhaps begun before? */
static bool in_doubt(const struct pmf_perf_tasks *t)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; i < t->n; i++)
		if (pmf_perf_task_in_doubt(&t->items[i], now))
			return true;
	return false;
}

static int open_threads(struct opening *o, struct pmf_err *err)
{
	const struct timespec pause = {0, PAUSE_NS};
	uint64_t give_up_ns =
		pmf_clock_ns(CLOCK_MONOTONIC) + (uint64_t)GIVE_UP_S * (uint64_t)NS_PER_S;

	for (bool first = true;; first = false) {
		int ret;

		o->nr_found = 0;
		o->again = false;
		for (size_t i = 0; i < o->tasks->nr_pids; i++)
			find_threads(o, o->tasks->pids[i], first);
		ret = read_births(o, err);
		if (ret == 0)
			ret = open_found(o, err);
		if (ret)
			return ret;
		if (!o->again && !in_doubt(o->tasks))
			return 0;
		if (pmf_clock_ns(CLOCK_MONOTONIC) > give_up_ns)
			return pmf_err_set(err, PMF_ELIMIT,
				"process %d starts threads faster than events can be opened on "
				"them",
				(int)o->tasks->pids[0]);
		if (!first)
			nanosleep(&pause, NULL);
	}
}

static int open_singles(struct pmf_perf_session *s, struct pmf_err *err)
{
	int ret = 0;

	for (size_t i = 0; i < s->opts.nr_pids && ret == 0; i++) {
		const struct candidate c = {s->opts.pids[i], s->opts.pids[i], true};

		if (pmf_perf_holder_find(s->tasks, c.tid))
			continue;
		ret = open_task(s, &c, err);
		if (ret == PMF_ENOTFOUND)
			ret = pmf_perf_explain_gone(c.tid, true, err);
	}
	return ret;
}

/* Were events opened on @pid, a thread or a process, or on one of its threads? */
static bool is_open(const struct pmf_perf_tasks *t, pid_t pid)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->items[i].opened && (t->items[i].pid == pid || t->items[i].tid == pid))
			return true;
	return false;
}

int pmf_perf_open_tasks(struct pmf_perf_session *s, struct pmf_err *err)
{
	struct opening o = {.s = s};
	int ret;

	s->tasks = o.tasks = pmf_malloc(sizeof *s->tasks);
	pmf_perf_tasks_init(s->tasks, &s->opts);
	o.views = pmf_calloc(s->nr_cpus, sizeof *o.views);
	o.rings = pmf_calloc(s->nr_cpus, sizeof *o.rings);
	for (size_t c = 0; c < s->nr_cpus; c++) {
		o.views[c] = s->cpus[c].ring;
		o.rings[c] = &o.views[c];
	}
	ret = pmf_merge_init(&o.merge, &s->layouts, o.rings, s->nr_cpus, err);
	if (ret == 0)
		ret = s->opts.single ? open_singles(s, err) : open_threads(&o, err);
	for (size_t i = 0; i < s->opts.nr_pids && ret == 0; i++)
		if (!is_open(s->tasks, s->opts.pids[i]))
			ret = pmf_perf_explain_gone(s->opts.pids[i], s->opts.single, err);
	s->opts.pids = NULL; /* borrowed for the call */
	s->tasks->opening = false;
	pmf_merge_release(&o.merge);
	free(o.views);
	free(o.rings);
	free(o.found);
	return ret;
}

void pmf_perf_tend_tasks(struct pmf_perf_session *s)
{
	struct pmf_perf_inherited *in = &s->inherited;
	struct pmf_perf_tasks *t = s->tasks;
	size_t kept = 0;

	if (!t || t->ended == 0)
		return;
	t->ended = 0;
	for (size_t i = 0; i < in->n; i++) {
		const struct pmf_perf_task *task = &t->items[in->fds[i].task];

		if (in->fds[i].timer || task->holders > 0 || (t->blind && !task->torn)) {
			in->fds[kept++] = in->fds[i];
			continue;
		}
		pmf_perf_keep(s, &in->fds[i]);
		close(in->fds[i].fd);
	}
	in->n = kept;
}
