/* pmuflame/budget.h - budgets: "cycles/bar < 12000", and whether measured runs keep to them.
 * Layer: study (uses base, profile). Threads: one owner per object. docs/adr/0019 says why noise is
 * judged as it is.
 *
 *     budget  = value ("<" | "<=" | ">" | ">=") number [unit]
 *     value   = ratio | "share(" name "," (name | "/" regex "/") ")" | "regress(" ratio ")"
 *     ratio   = name ["/" name]
 *     name    = letters, digits and _ . : - (no digit or hyphen first), or anything between '...', where ''
 *               stands for a quote: 'cpu/event=0x3c/'
 *     unit    = "%" | "k" | "M" | "G" | "ns" | "us" | "ms" | "s"
 *
 * A name is an event's, "s" for the run's seconds, or the target's unit of work, "bar" or "bars". */
#ifndef PMUFLAME_BUDGET_H
#define PMUFLAME_BUDGET_H

#include "pmuflame/buf.h"
#include "pmuflame/err.h"
#include "pmuflame/regex.h"
#include <stdbool.h>
#include <stddef.h>

struct pmf_sweep_case;
struct pmf_tree;

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

/* ---- Do runs keep to it? ---- */

/* Of a thousand verdicts on a program that is exactly at its limit, one is clear and wrong. */
#define PMF_BUDGET_LEVEL 0.999

/* What part of an event one run spent in a function. */
struct pmf_share {
	double share; /* 0 to 1 */
	double error; /* of sampling, at PMF_BUDGET_LEVEL; 0 without samples */
	bool found;   /* there is such a function */
};

/* The share that @b, a share, is about. Names are as `top` prints them, of Python functions also without
 * the file; what several functions have together counts once. PMF_ENOTFOUND where the run has no such
 * event, or counted none of it. */
int pmf_budget_share(struct pmf_share *out, const struct pmf_budget *b, const struct pmf_tree *t,
	struct pmf_err *err);

enum pmf_verdict_kind { PMF_VERDICT_MET, PMF_VERDICT_MISSED, PMF_VERDICT_UNKNOWN };

struct pmf_verdict {
	enum pmf_verdict_kind kind;
	bool unsure;  /* the interval holds the limit: more runs may tell */
	bool is_time; /* value, low and high are seconds */
	double value; /* the median; of a regression, how much the mean has grown: 0.02 is 2 % */
	double low, high; /* the interval at PMF_BUDGET_LEVEL; -INFINITY and INFINITY: not known */
	size_t n, n_base; /* runs; of the baseline, 0 where there is none */
	char *why; /* a sentence: why it is unknown, or what is to be doubted; NULL: nothing */
};

/* What the runs measured: @now, and @base (NULL: there is no baseline); of a share, @shares of @nr_shares
 * runs. A value is judged by its interval, or by the median where that holds the limit. A regression is
 * missed only if all of its interval is beyond the limit. Release @v. */
void pmf_budget_judge(struct pmf_verdict *v, const struct pmf_budget *b,
	const struct pmf_sweep_case *now, const struct pmf_sweep_case *base,
	const struct pmf_share *shares, size_t nr_shares);
void pmf_verdict_release(struct pmf_verdict *v);
/* "met", "missed", "unknown" */
const char *pmf_verdict_name(enum pmf_verdict_kind kind);
/* Append what was measured, for people: "11,234 (11,100 to 11,400 in 5 runs), within noise", or why
 * nothing was. */
void pmf_verdict_describe(
	const struct pmf_verdict *v, const struct pmf_budget *b, struct pmf_buf *out);

#endif
