#include "tree_args.h"

#include "cli.h"

#include <string.h>

int pmf_tree_arg(struct pmf_tree_opts *o, int opt, const char *value, struct pmf_err *err)
{
	switch (opt) {
	case PMF_OPT_FOCUS:
		return pmf_regex_add(&o->focus, value, "--focus", err);
	case PMF_OPT_IGNORE:
		return pmf_regex_add(&o->ignore, value, "--ignore", err);
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
