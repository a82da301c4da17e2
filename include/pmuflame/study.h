/* pmuflame/study.h - pmuflame.ini: named targets, presets and budgets.
 * Layer: study (uses base, event, profile, collect). Threads: one owner per object.
 *
 * The file is looked for from a folder upwards and not beyond its file system. It names commands
 * that pmuflame runs, so it must belong to the user or to root, and nobody else may write to it.
 */
#ifndef PMUFLAME_STUDY_H
#define PMUFLAME_STUDY_H

#include "pmuflame/budget.h"
#include "pmuflame/err.h"
#include <stddef.h>
#include <stdint.h>

/* [target NAME]: a command and how to measure it. */
struct pmf_target {
	char *name;
	char *command;          /* for /bin/sh -c; arguments of the caller's follow as "$@" */
	char *folder;           /* absolute: where it runs */
	char *setup, *teardown; /* for /bin/sh -c, before and after, not measured; NULL if none */
	char **env;             /* "NAME=VALUE" */
	size_t nr_env, cap_env;
	char **events; /* as --event takes them; none: the caller's default */
	size_t nr_events, cap_events;
	uint64_t freq_hz, period; /* at most one of them is not 0 */
	/* How much one run does: a number, or a regular expression that finds it in the output; or
	 * neither: 0 and NULL. */
	double work;
	char *work_pattern;
	char *unit, *units; /* of that, one and several: "bar", "bars"; NULL without work */
	int line;           /* of the section */
};

/* [preset NAME]: events that @NAME stands for. */
struct pmf_preset {
	char *name;
	char *events;
	int line;
};

/* [budget NAME]: what a target must keep to. */
struct pmf_budget_set {
	char *name;
	char *target;   /* that there is */
	char *baseline; /* absolute: what regress() compares with; NULL: not said */
	struct pmf_budget *budgets;
	size_t nr_budgets, cap_budgets;
	int line;
};

struct pmf_config {
	char *path; /* of the file; NULL: there is none */
	struct pmf_target *targets;
	size_t nr_targets, cap_targets;
	struct pmf_preset *presets;
	size_t nr_presets, cap_presets;
	struct pmf_budget_set *budget_sets;
	size_t nr_budget_sets, cap_budget_sets;
};

/* Read the pmuflame.ini of @folder or of the nearest folder above it. PMF_ENOTFOUND if there is
 * none, PMF_EPERM if it is not to be trusted, PMF_EFORMAT with file and line if it makes no sense.
 * Release @c whatever the result. */
int pmf_config_find(struct pmf_config *c, const char *folder, struct pmf_err *err);
/* The same for one file, which has to be trustworthy too. */
int pmf_config_read(struct pmf_config *c, const char *path, struct pmf_err *err);
void pmf_config_release(struct pmf_config *c);

const struct pmf_target *pmf_config_target(const struct pmf_config *c, const char *name);

/* The units of work that a run of @t did whose stdout is in file @out_path: the last match of work_pattern
 * in a line of that counts. 0 if @t says nothing of work; -1, with @err set, where the output has no
 * number above 0 there or is larger than 64 MiB. */
double pmf_target_work(const struct pmf_target *t, const char *out_path, struct pmf_err *err);

/* The commented file that `pmuflame init` writes. */
extern const char pmf_config_example[];

#endif
