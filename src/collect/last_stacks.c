/* The nodes of a stack: its outer frames are mostly those that its thread had a moment ago. */
#include "collect_priv.h"

#include "pmuflame/hash.h"
#include "pmuflame/mem.h"
#include <stdlib.h>

void pmf_last_stacks_release(struct pmf_last_stacks *ls)
{
	for (size_t i = 0; i < PMF_ARRAY_SIZE(ls->threads); i++) {
		free(ls->threads[i]);
		ls->threads[i] = NULL;
	}
}

uint32_t pmf_last_stacks_node(struct pmf_last_stacks *ls, struct pmf_profile *p, uint32_t tid,
	uint32_t root, const uint32_t *ids, size_t n)
{
	size_t slot = pmf_hash_u64(tid) % PMF_ARRAY_SIZE(ls->threads), same = 0;
	struct pmf_last_stack *last = ls->threads[slot];
	uint32_t node = root;

	if (!last)
		last = ls->threads[slot] = pmf_zalloc(sizeof *last);
	/* Frames and nodes mean the same for every thread: a slot's other one is no harm. */
	if (last->root == root)
		while (same < n && same < last->n && last->frames[same] == ids[n - 1 - same])
			same++;
	if (same)
		node = last->nodes[same - 1];
	for (size_t i = same; i < n; i++)
		last->frames[i] = ids[n - 1 - i];
	pmf_profile_nodes(p, node, last->frames + same, n - same, last->nodes + same);
	last->root = root;
	last->n = n;
	return n ? last->nodes[n - 1] : root;
}
