/* What `pmuflame check` judges: groups of budgets, a group for each target or command. */
#ifndef PMF_CHECK_H
#define PMF_CHECK_H

#include "target.h"

#include "pmuflame/budget.h"
#include "pmuflame/err.h"
#include "pmuflame/sweep.h"
#include <stdbool.h>
#include <stddef.h>

/* One budget of a group, and what became of it. */
struct pmf_check_item {
	const struct pmf_budget *budget; /* borrowed, as is all that is const here */
	const char *name;                /* of its [budget NAME], or the group's */
	const char *baseline_path;       /* NULL: none */
	const struct pmf_sweep_case *baseline;
	struct pmf_share *shares; /* of a share: one for each run */
	size_t nr_shares, cap_shares;
	bool cannot; /* its events cannot be counted here: the verdict is made, and says why */
	struct pmf_verdict verdict;
};

struct pmf_check_group {
	char *label;                     /* of the target or the command */
	const struct pmf_target *target; /* NULL: a command, or not known any more */
	char **command;                  /* NULL-terminated; the array is owned; NULL: not run */
	struct pmf_check_item *items;
	size_t n, cap;
	struct pmf_sweep_case *measured; /* in the result below */
	bool failed;                     /* a run did: what is measured is not all */
};

/* A profile that was read, and the case that it is a run of. */
struct pmf_check_profile {
	char *path;
	size_t at; /* its place among the cases */
};

struct pmf_check_profiles {
	struct pmf_check_profile *items;
	size_t n, cap;
};

struct pmf_check {
	struct pmf_cli_config config;
	struct pmf_check_group *groups;
	size_t n, cap;
	struct pmf_sweep_result result; /* a case for each group */
	/* Options. */
	size_t repeat, max_repeat;
	const char *folder; /* that keeps what was measured; NULL: nothing does */
	bool save_baseline;
};

/* ---- check_input.c ---- */

/* Read summary.json files, profiles, or folders of either into @r: a case for each target and what was
 * varied. @profiles, which may be NULL, gets those that were read. Release @r whatever the result. */
int pmf_check_load(struct pmf_sweep_result *r, struct pmf_check_profiles *profiles,
	char *const *paths, size_t n, struct pmf_err *err);
void pmf_check_profiles_release(struct pmf_check_profiles *profiles);
/* What @baseline has of @c: the case of the same target and variation, or NULL. */
const struct pmf_sweep_case *pmf_check_find(
	const struct pmf_sweep_result *baseline, const struct pmf_sweep_case *c);
/* The shares that the group's budgets ask of the profile at @path, one more for each. */
int pmf_check_add_shares(struct pmf_check_group *g, const char *path, struct pmf_err *err);
/* Write what was measured to @path, a .json file or a folder, for the groups that have this baseline;
 * what it has of others is kept. */
int pmf_check_save_baseline(const struct pmf_check *c, const char *path, struct pmf_err *err);

/* ---- check_measure.c ---- */

/* Run every group's command until its budgets are judged, or cannot be. *@sig is the signal that asked for
 * an early end, or 0. */
int pmf_check_measure(struct pmf_check *c, int *sig, struct pmf_err *err);
/* The verdict on @item, which nothing will change any more: the sentence says why it is unknown. */
void pmf_check_cannot(struct pmf_check_item *item, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The verdicts on what @g has measured so far. */
void pmf_check_judge(const struct pmf_check *c, struct pmf_check_group *g);

/* ---- check_report.c ---- */

/* A line for each budget on standard output. */
void pmf_check_print(const struct pmf_check *c);
/* The same for programs that show tests, and for people's reviews. */
int pmf_check_write_junit(const struct pmf_check *c, const char *path, struct pmf_err *err);
int pmf_check_write_markdown(const struct pmf_check *c, const char *path, struct pmf_err *err);

#endif
