/* The frames of threads, below those of their processes. Threads come and go by the million in a long
 * run, so what is drawn of them is bounded, and what is known of them goes when they do. */
#include "collect_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(uint32_t id)
{
	return pmf_hash_u64(id);
}

static bool thread_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_threads *)ctx)->items[value].tid == *(const uint32_t *)key;
}

static bool count_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_threads *)ctx)->counts[value].process == *(const uint32_t *)key;
}

void pmf_threads_release(struct pmf_threads *t)
{
	pmf_index_release(&t->by_tid);
	pmf_index_release(&t->by_process);
	free(t->items);
	free(t->counts);
	memset(t, 0, sizeof *t);
}

void pmf_threads_restart(struct pmf_threads *t)
{
	for (size_t i = 0; i < t->n; i++)
		t->items[i].process = UINT32_MAX;
	pmf_index_release(&t->by_process);
	t->nr_counts = 0;
}

static struct pmf_thread *find(const struct pmf_threads *t, uint32_t tid)
{
	uint32_t i = pmf_index_find(&t->by_tid, hash_of(tid), thread_eq, t, &tid);

	return i == UINT32_MAX ? NULL : &t->items[i];
}

static struct pmf_thread *get(struct pmf_threads *t, uint32_t tid)
{
	struct pmf_thread *th = find(t, tid);

	if (th)
		return th;
	pmf_index_add(&t->by_tid, hash_of(tid), (uint32_t)t->n);
	th = &PMF_PUSH(t->items, t->n, t->cap);
	*th = (struct pmf_thread){.tid = tid, .process = UINT32_MAX};
	return th;
}

static void forget(struct pmf_threads *t, uint32_t tid)
{
	struct pmf_thread *th = find(t, tid);
	uint32_t last = (uint32_t)t->n - 1;

	if (!th)
		return;
	pmf_index_remove(&t->by_tid, hash_of(tid), (uint32_t)(th - t->items));
	if (th != &t->items[last]) {
		*th = t->items[last];
		pmf_index_remove(&t->by_tid, hash_of(th->tid), last);
		pmf_index_add(&t->by_tid, hash_of(th->tid), (uint32_t)(th - t->items));
	}
	t->n--;
}

static void set_name(struct pmf_thread *th, const char *name)
{
	size_t len = strnlen(name, sizeof th->name - 1);

	memcpy(th->name, name, len);
	th->name[len] = '\0';
	th->process = UINT32_MAX;
}

/* A thread starts with the name of the one that started it. */
static void on_fork(
	struct pmf_threads *t, const struct pmf_process_table *table, const struct pmf_record *rec)
{
	const struct pmf_process *proc = pmf_process_find(table, (pid_t)rec->pid);
	const struct pmf_thread *parent = find(t, rec->task.ptid);
	char name[sizeof parent->name] = "";

	forget(t, rec->tid); /* whoever had the number before */
	if (rec->pid != rec->task.ppid)
		return;
	if (rec->task.ptid != rec->pid && parent)
		memcpy(name, parent->name, sizeof name);
	else if (proc)
		memcpy(name, proc->comm, sizeof name);
	set_name(get(t, rec->tid), name);
}

void pmf_threads_record(
	struct pmf_threads *t, const struct pmf_process_table *table, const struct pmf_record *rec)
{
	if (rec->type == PERF_RECORD_FORK)
		on_fork(t, table, rec);
	else if (rec->type == PERF_RECORD_EXIT)
		forget(t, rec->tid);
	else if (rec->type == PERF_RECORD_COMM && rec->pid != rec->tid)
		set_name(get(t, rec->tid), rec->comm.comm);
}

static struct pmf_thread_count *count_of(struct pmf_threads *t, uint32_t process)
{
	uint32_t i = pmf_index_find(&t->by_process, hash_of(process), count_eq, t, &process);

	if (i == UINT32_MAX) {
		i = (uint32_t)t->nr_counts;
		pmf_index_add(&t->by_process, hash_of(process), i);
		PMF_PUSH(t->counts, t->nr_counts, t->cap_counts) =
			(struct pmf_thread_count){.process = process};
	}
	return &t->counts[i];
}

/* The node below @process that is called @name, which counts in *n if it is new; UINT32_MAX if there
 * are enough of them. */
static uint32_t bounded_node(struct pmf_profile *p, uint32_t process, const char *name, uint32_t *n)
{
	size_t before = p->nr_nodes;
	uint32_t node;

	if (*n >= PMF_THREADS_MAX)
		return UINT32_MAX;
	node = pmf_profile_node(p, process, pmf_profile_frame_named(p, PMF_FRAME_THREAD, name));
	*n += p->nr_nodes > before;
	return node;
}

static uint32_t make_node(struct pmf_threads *t, struct pmf_profile *p, const struct pmf_thread *th,
	bool main, uint32_t process)
{
	struct pmf_thread_count *count = count_of(t, process);
	const char *name = th->name[0] ? th->name : "[unnamed thread]";
	uint32_t node = UINT32_MAX;

	if (!main) {
		char *numbered = pmf_asprintf("%s (%u)", name, (unsigned)th->tid);

		node = bounded_node(p, process, numbered, &count->numbered);
		free(numbered);
	}
	if (node == UINT32_MAX)
		node = bounded_node(p, process, name, &count->named);
	if (node == UINT32_MAX)
		node = pmf_profile_node(p, process,
			pmf_profile_frame_named(p, PMF_FRAME_THREAD, "[other threads]"));
	return node;
}

uint32_t pmf_threads_node(struct pmf_threads *t, struct pmf_profile *p,
	const struct pmf_record *rec, const char *comm, uint32_t process)
{
	struct pmf_thread *th = get(t, rec->tid);
	bool main = rec->pid == rec->tid;

	if (th->process == process)
		return th->node;
	/* Of a thread that no record told of, its process's name is the best guess. */
	if (main || !th->name[0])
		set_name(th, comm);
	th->node = make_node(t, p, th, main, process);
	th->process = process;
	return th->node;
}
