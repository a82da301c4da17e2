#include "tree_args.h"

#include <string.h>

int pmf_tree_arg(struct pmf_tree_opts *o, int opt, const char *value, struct pmf_err *err)
{
	switch (opt) {
	case PMF_OPT_FOCUS:
		return pmf_regex_add(&o->focus, value, "--focus", err);
	case PMF_OPT_IGNORE:
		return pmf_regex_add(&o->ignore, value, "--ignore", err);
	default:
		o->threads = strcmp(value, "yes") == 0;
		if (!o->threads && strcmp(value, "no") != 0)
			return pmf_err_set(
				err, PMF_EUSAGE, "--threads '%s' is neither yes nor no", value);
		return 0;
	}
}

void pmf_tree_args_release(struct pmf_tree_opts *o)
{
	pmf_regex_free(o->focus);
	pmf_regex_free(o->ignore);
	memset(o, 0, sizeof *o);
}
