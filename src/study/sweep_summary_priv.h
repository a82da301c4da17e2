/* What the files of a sweep's summary share. */
#ifndef PMF_SWEEP_SUMMARY_PRIV_H
#define PMF_SWEEP_SUMMARY_PRIV_H

#include "pmuflame/sweep.h"

/* What summary.json says of itself. */
#define SWEEP_KIND "pmuflame sweep"
enum { SWEEP_SCHEMA = 1 };

/* The first value of that name, of pass *@pass if that is not NULL; NULL if there is none. */
struct pmf_sweep_value *sweep_find(
	const struct pmf_sweep_case *c, const char *name, const size_t *pass);

/* A line of the summary: a quantity of a case, or what is derived from two. */
struct sweep_row {
	char *name; /* "cycles", "cycles/bar", "instructions per cycle" */
	char *unit; /* "" for a plain number */
	enum sweep_row_kind { SWEEP_ROW_QUANTITY, SWEEP_ROW_PER_WORK, SWEEP_ROW_DERIVED } kind;
	bool paired;
	struct pmf_stats stats;
};

/* All that can be said of @c, *@n of them: quantities first, then what they are per unit of work in the
 * same order, then what is derived. */
extern const char *const sweep_row_kinds[];
struct sweep_row *sweep_rows(const struct pmf_sweep_case *c, size_t *n);
void sweep_rows_free(struct sweep_row *rows, size_t n);

#endif
