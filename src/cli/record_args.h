/* The command line of a recording, and what pmuflame.ini adds to it. */
#ifndef PMF_RECORD_ARGS_H
#define PMF_RECORD_ARGS_H

#include "output.h"
#include "target.h"
#include "who_args.h"

#include "pmuflame/collect.h"
#include "pmuflame/err.h"
#include "pmuflame/profile.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct pmf_record_args {
	struct pmf_plan_opts plan;
	size_t cap_specs;
	struct pmf_who_args who;
	struct pmf_collect_opts collect;
	struct pmf_output_opts output;
	struct pmf_tree_opts tree;
	char *name; /* of the target, as people see it */
	const char *summary_path;
	const char *title; /* for the outputs; NULL: the name */
	bool no_command;
	enum pmf_sandbox_mode sandbox;
	bool quiet;
	char **command;  /* NULL-terminated rest of argv, maybe empty; with settings, a copy */
	char **varied;   /* that copy; owned */
	char **settings; /* --set: "KEY=VALUE" */
	size_t nr_settings, cap_settings;
	struct pmf_cli_config config;
	const struct pmf_target *target; /* that the command names; NULL: it is a command */
	char **target_argv;              /* what runs then; owned */
	char **attached_argv;            /* of the first process that ran already; owned */
};

void pmf_record_args_help(FILE *f);
/* Fill in @a, which is zeroed. 0 to go on, 1 when help or version was all that was asked, or a
 * negative status. */
int pmf_record_args_parse(struct pmf_record_args *a, int argc, char **argv, struct pmf_err *err);

#endif
