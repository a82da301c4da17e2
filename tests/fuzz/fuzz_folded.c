/* A text that says it is folded stacks: whatever it holds, it is a profile that can be drawn, whatever
 * its functions are called, or a sentence. */
#include "pmuflame/err.h"
#include "pmuflame/profile.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is drawn has the profile's weight, and nothing without a label. */
static void check_tree(const struct pmf_profile *p, const struct pmf_tree_opts *opts)
{
	struct pmf_tree t;

	pmf_tree_build(&t, p, opts);
	if (pmf_tree_total(&t, 0, 0) <= 0 || pmf_tree_samples(&t, 0, 0) != p->events[0].samples)
		abort();
	for (uint32_t i = 0; i < t.nr_funcs; i++)
		if (*pmf_tree_string(&t, t.funcs[i].name) &&
			!*pmf_tree_string(&t, t.funcs[i].label))
			abort();
	pmf_tree_release(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;

	if (pmf_profile_load_folded(&p, data, size, &err)) {
		if (err.text[0] == '\0')
			abort();
		return 0;
	}
	check_tree(&p, NULL);
	check_tree(&p, &(struct pmf_tree_opts){.fold_recursion = true, .keep_clones = true});
	pmf_profile_release(&p);
	return 0;
}
