/* Did the passes of a sweep measure the same thing? */
#include "pmuflame/sweep.h"

#include <string.h>

/* A false alarm in a hundred comparisons. */
#define LEVEL 0.99

static void compare(struct pmf_sweep_result *r, const struct pmf_sweep_case *c,
	const struct pmf_sweep_value *a, const struct pmf_sweep_value *b)
{
	struct pmf_buf title = PMF_BUF_INIT;
	struct pmf_change change;

	if (pmf_stats_change(&change, a->values, a->n, b->values, b->n, LEVEL) ||
		(change.low <= 0 && change.high >= 0))
		return;
	pmf_buf_addstr(&title, c->target);
	for (size_t i = 0; i < c->nr_vary; i++)
		pmf_buf_printf(&title, " %s", c->vary[i]);
	pmf_sweep_note(r,
		"drift: pass %zu of '%s' counted %+.2f %% %s against pass %zu (%.2f to %.2f %%), and what is "
		"made of counts of both is off by as much",
		b->pass + 1, pmf_buf_str(&title), change.ratio * 100, b->name, a->pass + 1,
		change.low * 100, change.high * 100);
	pmf_buf_release(&title);
}

void pmf_sweep_drift(struct pmf_sweep_result *r)
{
	for (size_t i = 0; i < r->nr_cases; i++) {
		const struct pmf_sweep_case *c = &r->cases[i];
		const struct pmf_sweep_value *first = NULL;

		for (size_t v = 0; v < c->nr_values; v++) {
			const struct pmf_sweep_value *value = &c->values[v];

			if (!value->anchor)
				continue;
			if (first)
				compare(r, c, first, value);
			else
				first = value;
		}
	}
}
