/* pmuflame/budget.h - budgets: "cycles/bar < 12000", and whether measured runs keep to them.
 * Layer: study (uses base, profile). Threads: one owner per object. docs/adr/0019 says why noise is
 * judged as it is.
 *
 *     budget  = value ("<" | "<=" | ">" | ">=") number [unit]
 *     value   = ratio | "share(" name "," (name | "/" regex "/") ")" | "regress(" ratio ")"
 *     ratio   = name ["/" name]
 *     name    = letters, digits and _ . : @ - (no digit first), or anything between '...', where ''
 *               stands for a quote: 'cpu/event=0x3c/'
 *     unit    = "%" | "k" | "M" | "G" | "ns" | "us" | "ms" | "s"
 *
 * A name is an event's, "s" for the run's seconds, or the target's unit of work, "bar" or "bars". */
#ifndef PMUFLAME_BUDGET_H
#define PMUFLAME_BUDGET_H

#include "pmuflame/err.h"
#include "pmuflame/regex.h"
#include <stdbool.h>

enum pmf_budget_kind {
	PMF_BUDGET_VALUE,   /* of a run: num, or num per den */
	PMF_BUDGET_SHARE,   /* of event num that was spent in a function and in what it calls */
	PMF_BUDGET_REGRESS, /* the value's growth since a baseline, as a part of what it was */
};

/* How the limit was written: what its number means depends on it. */
enum pmf_budget_limit { PMF_LIMIT_NUMBER, PMF_LIMIT_PERCENT, PMF_LIMIT_TIME };

struct pmf_budget {
	char *text; /* as written, without the spaces around it */
	enum pmf_budget_kind kind;
	char *num, *den;           /* names; den is NULL where nothing is divided */
	char *function;            /* of a share: its name, or the pattern */
	struct pmf_regex *pattern; /* compiled; NULL: function is a name */
	bool at_most;              /* < or <=, else > or >= */
	bool or_equal;             /* the limit itself is met */
	double limit;              /* a percentage as a part of 1, a time in seconds */
	enum pmf_budget_limit written;
};

/* Read @text. PMF_EUSAGE, with the place in the text, for what is no budget. Release @b whatever the
 * result. */
int pmf_budget_parse(struct pmf_budget *b, const char *text, struct pmf_err *err);
void pmf_budget_release(struct pmf_budget *b);

#endif
