#include "tree_args.h"

#include "cli.h"

#include <string.h>

int pmf_tree_arg(struct pmf_tree_opts *o, int opt, const char *value, struct pmf_err *err)
{
	static const char *const names[] = {[PMF_NAMES_AUTO] = "auto",
		[PMF_NAMES_SHORT] = "short",
		[PMF_NAMES_FULL] = "full",
		NULL};
	static const char *const what[] = {"keep", "fold", NULL};
	int i;

	switch (opt) {
	case PMF_OPT_FOCUS:
		return pmf_regex_add(&o->focus, value, "--focus", err);
	case PMF_OPT_IGNORE:
		return pmf_regex_add(&o->ignore, value, "--ignore", err);
	case PMF_OPT_NAMES:
		i = pmf_cli_choice("--names", value, names, err);
		o->names = i < 0 ? PMF_NAMES_AUTO : (enum pmf_tree_names)i;
		return PMF_MIN(i, 0);
	case PMF_OPT_RECURSION:
		i = pmf_cli_choice("--recursion", value, what, err);
		o->fold_recursion = i == 1;
		return PMF_MIN(i, 0);
	case PMF_OPT_CLONES:
		i = pmf_cli_choice("--clones", value, what, err);
		o->keep_clones = i == 0;
		return PMF_MIN(i, 0);
	default:
		return pmf_cli_switch("--threads", value, &o->threads, err);
	}
}

void pmf_tree_args_release(struct pmf_tree_opts *o)
{
	pmf_regex_free(o->focus);
	pmf_regex_free(o->ignore);
	memset(o, 0, sizeof *o);
}
