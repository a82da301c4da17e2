/* The lines of a summary: quantities, what they are per unit of work, and ratios that say something. */
#include "sweep_summary_priv.h"

#include "pmuflame/mem.h"
#include "pmuflame/table.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const sweep_row_kinds[] = {[SWEEP_ROW_QUANTITY] = "quantity",
	[SWEEP_ROW_PER_WORK] = "per work",
	[SWEEP_ROW_DERIVED] = "derived"};

static const char *const seconds[] = {PMF_SWEEP_SECONDS, NULL};
static const char *const task_clock[] = {"task-clock", "cpu-clock", NULL};
static const char *const cache_misses[] = {"cache-misses", NULL};
static const char *const cache_references[] = {"cache-references", NULL};
static const char *const branches[] = {
	"branches", "branch-instructions", "br_retired", "br_inst_retired", NULL};
static const char *const branch_misses[] = {
	"branch-misses", "br_mis_pred_retired", "br_misp_retired", NULL};
static const char *const dtlb_loads[] = {"dTLB-loads", NULL};
static const char *const dtlb_load_misses[] = {"dTLB-load-misses", NULL};
static const char *const l1d_loads[] = {"L1-dcache-loads", NULL};
static const char *const l1d_load_misses[] = {"L1-dcache-load-misses", NULL};
static const char *const llc_loads[] = {"LLC-loads", NULL};
static const char *const llc_load_misses[] = {"LLC-load-misses", NULL};
static const char *const page_faults[] = {"page-faults", "faults", NULL};

/* Misses per 1000 instructions come by themselves, see add_misses. */
static const struct derived {
	const char *name, *unit;
	const char *const *of, *const *per;
	double factor;
} derived[] = {
	{"instructions per cycle", "", pmf_names_of_instructions, pmf_names_of_cycles, 1},
	{"clock rate", "GHz", pmf_names_of_cycles, task_clock, 1},
	{"CPUs in use", "", task_clock, seconds, 1e-9},
	{"branch misses of branches", "%", branch_misses, branches, 100},
	{"cache misses of references", "%", cache_misses, cache_references, 100},
	{"L1 data misses of loads", "%", l1d_load_misses, l1d_loads, 100},
	{"last-level misses of loads", "%", llc_load_misses, llc_loads, 100},
	{"dTLB misses of loads", "%", dtlb_load_misses, dtlb_loads, 100},
	{"page faults per second", "", page_faults, seconds, 1},
};

struct list {
	const struct pmf_sweep_case *c;
	const struct pmf_sweep_value **values; /* an anchor of several passes is here once */
	size_t nr_values, cap_values;
	struct sweep_row *rows;
	size_t n, cap;
};

static void multiply(struct pmf_stats *s, double factor)
{
	s->median *= factor;
	s->mean *= factor;
	s->sd *= factor;
	s->min *= factor;
	s->max *= factor;
	s->low *= factor;
	s->high *= factor;
}

/* @of per @per, or nothing where that would be per 0. Takes @name over. */
static void add_row(struct list *l, enum sweep_row_kind kind, char *name, const char *of,
	const char *per, const char *unit, double factor)
{
	struct pmf_sweep_series s;

	if (pmf_sweep_series(&s, l->c, of, per, PMF_SWEEP_LEVEL, NULL)) {
		free(name);
		return;
	}
	multiply(&s.stats, factor);
	PMF_PUSH(l->rows, l->n, l->cap) =
		(struct sweep_row){name, pmf_strdup(unit ? unit : s.unit), kind, s.paired, s.stats};
	pmf_sweep_series_release(&s);
}

/* The first that one of @names means in the same code as @modifiers say, user's or all; time is
 * everybody's. */
static const struct pmf_sweep_value *partner(
	const struct list *l, const char *const *names, const char *modifiers)
{
	for (size_t i = 0; i < l->nr_values; i++) {
		const char *own = pmf_label_is(l->values[i]->name, names);

		if (own && (strcmp(own, modifiers) == 0 || names == seconds))
			return l->values[i];
	}
	return NULL;
}

static void add_derived(struct list *l, const struct derived *d)
{
	for (size_t i = 0; i < l->nr_values; i++) {
		const struct pmf_sweep_value *of = l->values[i], *per;
		const char *modifiers = pmf_label_is(of->name, d->of);

		/* task-clock and cpu-clock are the same of a task: one of them will do. */
		if (!modifiers || partner(l, d->of, modifiers) != of)
			continue;
		per = partner(l, d->per, modifiers);
		if (per)
			add_row(l, SWEEP_ROW_DERIVED, pmf_asprintf("%s%s", d->name, modifiers),
				of->name, per->name, d->unit, d->factor);
	}
}

static void add_misses(struct list *l)
{
	for (size_t i = 0; i < l->nr_values; i++) {
		const char *name = l->values[i]->name, *pmu = strstr(name, "::");
		const char *modifiers = strchr(pmu ? pmu + 2 : name, ':');
		const struct pmf_sweep_value *per;

		if (!pmf_label_is_miss(name))
			continue;
		per = partner(l, pmf_names_of_instructions, modifiers ? modifiers : "");
		if (per)
			add_row(l, SWEEP_ROW_DERIVED,
				pmf_asprintf("%s per 1000 instructions", name), name, per->name, "",
				1000);
	}
}

/* What each quantity is per unit of work, and how much work a second does. */
static void add_per_work(struct list *l)
{
	for (size_t i = 0; i < l->nr_values; i++) {
		const char *name = l->values[i]->name;

		if (strcmp(name, PMF_SWEEP_WORK) != 0)
			add_row(l, SWEEP_ROW_PER_WORK, pmf_asprintf("%s/%s", name, l->c->unit),
				name, PMF_SWEEP_WORK, NULL, 1);
	}
	add_row(l, SWEEP_ROW_DERIVED, pmf_asprintf("%s/s", l->c->units), PMF_SWEEP_WORK,
		PMF_SWEEP_SECONDS, NULL, 1);
}

struct sweep_row *sweep_rows(const struct pmf_sweep_case *c, size_t *n)
{
	struct list l = {.c = c};

	for (size_t i = 0; i < c->nr_values; i++)
		if (sweep_find(c, c->values[i].name, NULL) == &c->values[i])
			PMF_PUSH(l.values, l.nr_values, l.cap_values) = &c->values[i];
	for (size_t i = 0; i < l.nr_values; i++)
		add_row(&l, SWEEP_ROW_QUANTITY, pmf_strdup(l.values[i]->name), l.values[i]->name,
			NULL, NULL, 1);
	if (c->unit)
		add_per_work(&l);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(derived); i++)
		add_derived(&l, &derived[i]);
	add_misses(&l);
	free(l.values);
	*n = l.n;
	return l.rows;
}

void sweep_rows_free(struct sweep_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(rows[i].name);
		free(rows[i].unit);
	}
	free(rows);
}
