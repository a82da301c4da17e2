/* What processes counted, against what was sampled of them: the difference is [unsampled]. */
#include "collect_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

enum {
	/* READ records of a task come after its EXIT record (perf_event_exit_task in the kernel's
	 * core.c), from whichever CPU; after this long they have all passed. */
	SETTLE_AFTER_NS = 1000000000,
};

/* No record names it: it was never started. This is how perf calls it. */
static const char idle_task[] = "swapper";
static const char outside_tasks[] = "[outside]";

/* Which container @proc runs in; of one that is gone, which one its parent ran in. */
static void find_container(struct pmf_stacks *s, struct pmf_process *proc)
{
	const char *name;

	switch (pmf_containers_ask(&s->containers, proc->pid, &name)) {
	case PMF_CONTAINER_OTHER:
		proc->container =
			pmf_strtab_get(&s->table.strings, pmf_strtab_addz(&s->table.strings, name));
		break;
	case PMF_CONTAINER_SAME:
		proc->container = NULL;
		break;
	case PMF_CONTAINER_UNKNOWN:
		break;
	}
}

static uint32_t process_node(struct pmf_stacks *s, struct pmf_process *proc)
{
	if (s->table.outside && proc->pid <= 0)
		return pmf_profile_node(s->profile, 0,
			pmf_profile_process_frame(
				s->profile, "[outside this pid namespace]", NULL));
	if (s->name_containers)
		find_container(s, proc);
	return pmf_profile_node(s->profile, 0,
		pmf_profile_process_frame(s->profile,
			proc->comm[0] ? proc->comm : "[unknown process]", proc->container));
}

struct pmf_proc_cost *pmf_stacks_cost(struct pmf_stacks *s, struct pmf_process *proc)
{
	struct pmf_proc_cost *c = proc->user;

	if (proc->pid == 0 && !proc->comm[0])
		strcpy(proc->comm, s->table.outside ? outside_tasks : idle_task);
	if (!c) {
		c = pmf_zalloc(sizeof *c + 2 * s->list->n * sizeof c->counted[0]);
		c->node = UINT32_MAX;
		proc->user = c;
		proc->user_free = free;
		proc->refs++;
	}
	if (c->node == UINT32_MAX || strncmp(c->comm, proc->comm, sizeof c->comm) != 0) {
		memcpy(c->comm, proc->comm, sizeof c->comm);
		c->node = process_node(s, proc);
	}
	return c;
}

static bool deficit_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_stacks *s = ctx;

	return s->deficit_nodes[value] == *(const uint32_t *)key;
}

int64_t *pmf_stacks_deficits(struct pmf_stacks *s, uint32_t node)
{
	size_t n = s->list->n;
	uint64_t hash = pmf_hash_u64(node);
	uint32_t i = pmf_index_find(&s->deficit_index, hash, deficit_eq, s, &node);

	if (i == UINT32_MAX) {
		i = (uint32_t)s->nr_deficits;
		s->deficits =
			pmf_grow(s->deficits, &s->cap_deficits, (i + 1) * n, sizeof *s->deficits);
		memset(s->deficits + i * n, 0, n * sizeof *s->deficits);
		PMF_PUSH(s->deficit_nodes, s->nr_deficits, s->cap_deficit_nodes) = node;
		pmf_index_add(&s->deficit_index, hash, i);
	}
	return s->deficits + i * n;
}

void pmf_stacks_settle(struct pmf_stacks *s, struct pmf_process *proc)
{
	struct pmf_proc_cost *c = proc->user;
	int64_t *deficits;
	size_t n = s->list->n;

	if (!c)
		return;
	c = pmf_stacks_cost(s, proc);
	deficits = pmf_stacks_deficits(s, c->node);
	for (size_t e = 0; e < n; e++) {
		/* Weights of recordings have no bounds, nor do they matter here. */
		deficits[e] = (int64_t)((uint64_t)deficits[e] + c->counted[e] - c->counted[n + e]);
		s->read_elsewhere[e] += c->counted[e];
	}
	free(c);
	proc->user = NULL;
	proc->refs--;
}

void pmf_costs_restart(struct pmf_stacks *s)
{
	size_t n = s->list->n;

	for (size_t i = 0; i < s->table.n; i++) {
		struct pmf_proc_cost *c = s->table.procs[i]->user;

		if (!c)
			continue;
		c->node = UINT32_MAX;
		memset(c->counted, 0, 2 * n * sizeof *c->counted);
	}
	pmf_index_release(&s->deficit_index);
	s->nr_deficits = 0;
	memset(s->read_elsewhere, 0, n * sizeof *s->read_elsewhere);
}

void pmf_stacks_draw_unsampled(struct pmf_stacks *s, size_t e)
{
	struct pmf_profile_event *pe = &s->profile->events[e];
	size_t n = s->list->n;
	uint64_t missing = pe->counted > pe->weight ? pe->counted - pe->weight : 0, sum = 0;

	for (size_t i = 0; i < s->nr_deficits; i++)
		sum += (uint64_t)PMF_MAX(s->deficits[i * n + e], (int64_t)0);
	/* The kernel swaps half-run periods between tasks of one family, so a name can have more
	 * samples than it counted: the others' shares then shrink to what is missing in all. */
	for (size_t i = 0; i < s->nr_deficits && sum > 0; i++) {
		int64_t deficit = s->deficits[i * n + e];
		uint64_t share;

		if (deficit <= 0)
			continue;
		share = (uint64_t)((double)deficit / (double)sum * (double)missing);
		pmf_profile_add(s->profile, e,
			pmf_profile_node(s->profile, s->deficit_nodes[i], s->unsampled_frames[e]),
			share, 0);
		pe->unsampled += share;
	}
}

void pmf_stacks_sweep(struct pmf_stacks *s)
{
	/* Not more work than the records since: their times may jump. */
	if (s->now_ns - s->swept_ns < SETTLE_AFTER_NS || ++s->unswept < s->table.n)
		return;
	s->swept_ns = s->now_ns;
	s->unswept = 0;
	for (size_t i = 0; i < s->table.n; i++) {
		struct pmf_process *proc = s->table.procs[i];
		struct pmf_proc_cost *c = proc->user;

		if (!proc->exited || !c)
			continue;
		if (!c->exit_ns)
			c->exit_ns = s->now_ns;
		else if (s->now_ns - c->exit_ns >= SETTLE_AFTER_NS)
			pmf_stacks_settle(s, proc);
	}
	pmf_process_table_reap(&s->table);
}
