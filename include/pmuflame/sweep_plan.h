/* pmuflame/sweep_plan.h - what a sweep is going to run, and where it left off.
 * Layer: study (uses base, event). Threads: one owner.
 *
 * The plan stands in the sweep's folder as plan.json; beside it, a run that has succeeded is a profile
 * of its name in runs/. Nothing else says how far a sweep has come, so that it can be stopped, or
 * killed, at any moment (docs/adr/0017). */
#ifndef PMUFLAME_SWEEP_PLAN_H
#define PMUFLAME_SWEEP_PLAN_H

#include "pmuflame/err.h"
#include "pmuflame/event.h"
#include "pmuflame/passes.h"
#include "pmuflame/study.h"
#include <stddef.h>

/* Events that some cases have in common. */
struct pmf_sweep_set {
	struct pmf_event_list list;
	struct pmf_passes passes;
};

/* A target or a command, with all that varies settled. */
struct pmf_sweep_what {
	char *name;                      /* of its files; no other case's */
	char *title;                     /* "backtest layout=rows" */
	char *label;                     /* the target's name, or the command's */
	const struct pmf_target *target; /* NULL: a command; borrowed */
	char **words;                    /* as record takes them, NULL-terminated */
	char *command;                   /* as people read it */
	char **vary;                     /* "KEY=VALUE" */
	size_t nr_vary, cap_vary;
	size_t set; /* of sets */
};

struct pmf_sweep_plan {
	struct pmf_sweep_what *cases;
	size_t nr_cases, cap_cases;
	struct pmf_sweep_set *sets;
	size_t nr_sets, cap_sets;
	size_t repeats;
	char *const *options; /* for record: the rate and the like; borrowed */
	size_t nr_options;
};

void pmf_sweep_plan_release(struct pmf_sweep_plan *plan);
/* Give @w, a case that is not among @plan's yet, a name and a title of its label and what varies. */
void pmf_sweep_plan_name(const struct pmf_sweep_plan *plan, struct pmf_sweep_what *w);

/* One run: which case, pass and repeat, from 0. Those of a repeat stand together, so that a machine
 * that slows down does so for all passes. */
struct pmf_sweep_at {
	const struct pmf_sweep_what *what;
	size_t nr, pass, repeat;
};
size_t pmf_sweep_plan_runs(const struct pmf_sweep_plan *plan);
/* The run with number @i; false behind the last. */
bool pmf_sweep_plan_at(const struct pmf_sweep_plan *plan, size_t i, struct pmf_sweep_at *at);
const struct pmf_passes *pmf_sweep_plan_passes(
	const struct pmf_sweep_plan *plan, const struct pmf_sweep_what *w);
/* The name of its files below runs/. free(3) it. */
char *pmf_sweep_plan_run_name(const struct pmf_sweep_at *at);

int pmf_sweep_plan_save(const struct pmf_sweep_plan *plan, const char *path, struct pmf_err *err);
/* Fill in the passes of @plan's sets, which are empty, from the file. PMF_EUSAGE where that is the plan
 * of another sweep, PMF_ENOTFOUND where there is none. */
int pmf_sweep_plan_resume(struct pmf_sweep_plan *plan, const char *path, struct pmf_err *err);

#endif
