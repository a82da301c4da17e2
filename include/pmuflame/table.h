/* pmuflame/table.h - a tree's costs as a table: by function, line, module, thread or process.
 * Layer: profile (uses base). Threads: pure functions over a tree that does not change. */
#ifndef PMUFLAME_TABLE_H
#define PMUFLAME_TABLE_H

#include "pmuflame/profile.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pmf_table_by {
	PMF_BY_FUNCTION, /* one row for all lines of a function */
	PMF_BY_LINE,     /* of a file, whatever functions have it; code without lines by function */
	PMF_BY_MODULE,
	PMF_BY_THREAD,
	PMF_BY_PROCESS,
	/* Functions as their source has them: inlined or not, of any module; and each of their lines. */
	PMF_BY_SOURCE,
	PMF_BY_SOURCE_LINE,
};

struct pmf_table_row {
	enum pmf_frame_kind kind;
	const char *name;   /* never empty; may hold anything */
	const char *label;  /* what it is shown as: short, and told from others of its name */
	const char *module; /* of a thread, its process; "" where it says nothing; or "[several]" */
	const char *file;   /* source; "" if not known */
	uint32_t start_line; /* of the function in file; 0 if not known */
	uint32_t line;       /* 0 if not known, or not asked for */
};

/* Columns as in struct pmf_tree: self[event * n + row]. Self values of all rows add up to the event's
 * total in the tree, so what was not sampled is a row, too. A total counts recursion once. Threads
 * and processes own all that was sampled in them: there self and total are the same. */
struct pmf_table {
	const struct pmf_tree *tree; /* borrowed */
	enum pmf_table_by by;
	struct pmf_table_row *rows; /* in the order of the tree's functions */
	size_t n, cap;
	double *self, *total;
	uint64_t *samples_self, *samples_total;
	struct pmf_arena names;
};

/* What a table needs of a tree's options. */
void pmf_table_needs(enum pmf_table_by by, struct pmf_tree_opts *opts);
void pmf_table_build(struct pmf_table *t, const struct pmf_tree *tree, enum pmf_table_by by);
void pmf_table_release(struct pmf_table *t);

double pmf_table_self(const struct pmf_table *t, size_t event, size_t row);
double pmf_table_total(const struct pmf_table *t, size_t event, size_t row);
uint64_t pmf_table_samples_self(const struct pmf_table *t, size_t event, size_t row);
uint64_t pmf_table_samples_total(const struct pmf_table *t, size_t event, size_t row);

/* The rows that cost something of event @event, most first, by total if @by_total; *n of them. free(3)
 * the list. */
uint32_t *pmf_table_order(const struct pmf_table *t, size_t event, bool by_total, size_t *n);

/* The rows that cost something of any of the events @events (NULL: all): those of the first in its order,
 * then what the second has beside them, and so on. */
uint32_t *pmf_table_order_all(
	const struct pmf_table *t, const bool *events, bool by_total, size_t *n);
/* The rows of @t, a table by PMF_BY_SOURCE_LINE, that are lines of @func, a row of one by PMF_BY_SOURCE,
 * by line: 0, for code of another file, is the first. *@n of them; free(3) the list. */
uint32_t *pmf_table_lines(const struct pmf_table *t, const struct pmf_table_row *func, size_t *n);

/* ± of share @share (0 to 1) at 95 %, from @effective samples: the normal approximation to the binomial
 * distribution; 0 without samples. */
double pmf_share_error(double share, double effective);

/* Is event @label, without PMU and modifiers and whatever its case, one of @names, which end with NULL? The
 * modifiers, ":u" or "", if it is; else NULL. */
const char *pmf_label_is(const char *label, const char *const *names);
/* What cycles and instructions are called on one machine or another. */
extern const char *const pmf_names_of_cycles[], *const pmf_names_of_instructions[];
/* Does it count misses of any kind? */
bool pmf_label_is_miss(const char *label);

/* One event's cost per another's: @per of event @den. */
struct pmf_ratio {
	size_t num, den;
	double per;
	const char *name; /* "cycles per instruction"; static */
};

/* A ratio that says something about event @event, where the run has both: cycles per instruction, or
 * misses per 1000 instructions, of the same code (user's or all). */
bool pmf_ratio_of(const struct pmf_profile *p, size_t event, struct pmf_ratio *out);

#endif
