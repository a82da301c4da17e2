/* The steps of a sweep. */
#ifndef PMF_SWEEP_STEPS_H
#define PMF_SWEEP_STEPS_H

#include "sweep_args.h"
#include "target.h"

#include "pmuflame/err.h"
#include "pmuflame/sweep.h"
#include "pmuflame/sweep_plan.h"
#include <stdbool.h>

struct pmf_sweeping {
	struct pmf_sweep_args args;
	struct pmf_cli_config config;
	struct pmf_sweep_plan plan;
	struct pmf_sweep_result result;
	char *folder;    /* without a slash at its end */
	char *runs;      /* FOLDER/runs */
	int folder_fd;   /* locked while the sweep lasts; -1: not yet */
	size_t finished; /* runs that succeeded, those of an earlier call too */
	int stopped_by;  /* a signal, or 0 */
};

/* The cases: targets or the command, in every combination of what varies, with their events; the plan has
 * no passes yet. What cannot be measured here is in the result. */
int pmf_sweep_cases(struct pmf_sweeping *s, struct pmf_err *err);

/* Add what @specs, or --all, stand for to @list; what cannot be measured here goes to @r. */
int pmf_sweep_events(struct pmf_event_list *list, const struct pmf_sweep_args *a,
	char *const *specs, size_t nr_specs, struct pmf_sweep_result *r, struct pmf_err *err);
/* Find out by trial how @set's events fit together. */
void pmf_sweep_pack(struct pmf_sweep_set *set, struct pmf_sweep_result *r);

/* Does the folder hold finished runs? */
bool pmf_sweep_has_runs(const struct pmf_sweeping *s);
/* Do all runs that are not finished, or as many as it can until a signal; the result has what they
 * counted. */
int pmf_sweep_run(struct pmf_sweeping *s, struct pmf_err *err);

/* Write the pictures and profiles of every case that has runs. */
int pmf_sweep_draw(struct pmf_sweeping *s, struct pmf_err *err);

#endif
