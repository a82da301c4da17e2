/* The options that say which part of a profile is shown, the same in every command that shows one. */
#ifndef PMF_TREE_ARGS_H
#define PMF_TREE_ARGS_H

#include "pmuflame/err.h"
#include "pmuflame/profile.h"

/* getopt_long(3)'s val of the options, beyond those of any command. */
enum {
	PMF_OPT_FOCUS = 1000,
	PMF_OPT_IGNORE,
	PMF_OPT_NAMES,
	PMF_OPT_RECURSION,
	PMF_OPT_CLONES,
	PMF_OPT_THREADS,
};

/* clang-format off */
#define PMF_TREE_ARGS_FILTER \
	{"focus", required_argument, NULL, PMF_OPT_FOCUS}, \
	{"ignore", required_argument, NULL, PMF_OPT_IGNORE}, \
	{"names", required_argument, NULL, PMF_OPT_NAMES}, \
	{"recursion", required_argument, NULL, PMF_OPT_RECURSION}, \
	{"clones", required_argument, NULL, PMF_OPT_CLONES}
#define PMF_TREE_ARGS_THREADS {"threads", required_argument, NULL, PMF_OPT_THREADS}
/* clang-format on */

#define PMF_TREE_ARGS_HELP \
	"      --focus REGEX           only stacks with a frame that matches\n" \
	"      --ignore REGEX          no stack with a frame that matches\n" \
	"      --names auto|short|full labels without return types, parameters and long template\n" \
	"                              arguments, or all of the name (default auto: short in\n" \
	"                              pictures and tables, full in files for other programs)\n" \
	"      --recursion keep|fold   fold: a function that calls itself is one frame\n" \
	"                              (default keep)\n" \
	"      --clones fold|keep      fold: f.part.0, f.cold, f.constprop.0 and the like, which\n" \
	"                              compilers make, are f (default fold)\n"

#define PMF_TREE_ARGS_THREADS_HELP \
	"      --threads yes|no        a frame for each thread (default no)\n"

/* Take one of these options, with its @value; @o begins zeroed. */
int pmf_tree_arg(struct pmf_tree_opts *o, int opt, const char *value, struct pmf_err *err);
void pmf_tree_args_release(struct pmf_tree_opts *o);

#endif
