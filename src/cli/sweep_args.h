/* The command line of a sweep. */
#ifndef PMF_SWEEP_ARGS_H
#define PMF_SWEEP_ARGS_H

#include "pmuflame/err.h"
#include <stdbool.h>
#include <stddef.h>

struct pmf_sweep_args {
	char **specs; /* -e */
	size_t nr_specs, cap_specs;
	char **vary; /* "KEY=V1,V2" */
	size_t nr_vary, cap_vary;
	char **options; /* for record: "-F", "997" */
	size_t nr_options, cap_options;
	size_t repeats;
	const char *path; /* -o; NULL: NAME.sweep */
	bool all_events, resume, strict, quiet;
	char **words; /* COMMAND|TARGET|all [ARG...]: NULL-terminated rest of argv */
	char **argv;  /* all of it, to be said again */
};

/* Fill in @a, which is zeroed; returns as pmf_cli_options(). */
int pmf_sweep_args_parse(struct pmf_sweep_args *a, int argc, char **argv, struct pmf_err *err);
void pmf_sweep_args_release(struct pmf_sweep_args *a);

#endif
