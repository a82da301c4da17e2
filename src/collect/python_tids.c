/* Threads of a process that is in a pid namespace of its own: the agent's stacks have the numbers that
 * are known there, the kernel's records have ours. */
#include "python_room.h"

#include "pmuflame/tasks.h"
#include <stdlib.h>

enum { TIDS_MAX = 1 << 16 }; /* known at once; with more they are asked for again */

static bool inner_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_py_tids *)ctx)->items[value].inner == *(const uint32_t *)key;
}

static struct pmf_py_tid *find(const struct pmf_py_tids *t, uint32_t inner)
{
	uint32_t i = pmf_index_find(&t->by_inner, pmf_hash_u64(inner), inner_eq, t, &inner);

	return i == UINT32_MAX ? NULL : &t->items[i];
}

static bool is_known(const struct pmf_py_tids *t, uint32_t outer)
{
	const struct pmf_py_tid *items = t->items;

	for (size_t i = 0; items && i < t->n; i++)
		if (items[i].outer == outer)
			return true;
	return false;
}

static void add(struct pmf_py_tids *t, uint32_t inner, uint32_t outer)
{
	struct pmf_py_tid *known = find(t, inner);

	if (known) {
		known->outer = outer;
		return;
	}
	pmf_index_add(&t->by_inner, pmf_hash_u64(inner), (uint32_t)t->n);
	PMF_PUSH(t->items, t->n, t->cap) = (struct pmf_py_tid){inner, outer};
}

/* Ask /proc for the threads that are not known. */
static void learn(struct pmf_py_tids *t)
{
	DIR *tasks = pmf_tasks_open(t->pid);
	pid_t outer;

	while ((outer = pmf_tasks_next(tasks))) {
		uint32_t inner = 0;

		if (!is_known(t, (uint32_t)outer))
			inner = (uint32_t)pmf_process_inner_tid(t->pid, outer);
		if (inner)
			add(t, inner, (uint32_t)outer);
	}
	pmf_tasks_close(tasks);
}

void pmf_py_tids_init(struct pmf_py_tids *t, pid_t pid)
{
	pid_t inner = pmf_process_inner_tid(pid, pid);

	*t = (struct pmf_py_tids){.pid = pid, .differ = inner && inner != pid};
	pmf_index_init(&t->by_inner);
	if (t->differ)
		add(t, (uint32_t)inner, (uint32_t)pid);
}

void pmf_py_tids_release(struct pmf_py_tids *t)
{
	pmf_index_release(&t->by_inner);
	free(t->items);
}

uint32_t pmf_py_outer_tid(struct pmf_py_tids *t, uint32_t inner)
{
	const struct pmf_py_tid *known;

	if (!t->differ)
		return inner;
	if (!find(t, inner)) {
		if (t->n >= TIDS_MAX) {
			pmf_index_release(&t->by_inner);
			pmf_index_init(&t->by_inner);
			t->n = 0;
		}
		learn(t);
	}
	known = find(t, inner);
	if (known)
		return known->outer;
	add(t, inner, 0); /* it is gone, and all its stacks with it */
	return 0;
}

void pmf_py_tids_forget(struct pmf_py_tids *t, uint32_t outer)
{
	for (size_t i = 0; i < t->n; i++) {
		struct pmf_py_tid *last = &t->items[t->n - 1];

		if (t->items[i].outer != outer)
			continue;
		pmf_index_remove(&t->by_inner, pmf_hash_u64(t->items[i].inner), (uint32_t)i);
		if (i + 1 < t->n) {
			pmf_index_remove(
				&t->by_inner, pmf_hash_u64(last->inner), (uint32_t)(t->n - 1));
			pmf_index_add(&t->by_inner, pmf_hash_u64(last->inner), (uint32_t)i);
			t->items[i] = *last;
		}
		t->n--;
		return;
	}
}
