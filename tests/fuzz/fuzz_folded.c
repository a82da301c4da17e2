/* A text that says it is folded stacks: whatever it holds, it is a profile that can be drawn, or a
 * sentence. */
#include "pmuflame/err.h"
#include "pmuflame/profile.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;
	struct pmf_tree t;

	if (pmf_profile_load_folded(&p, data, size, &err)) {
		if (err.text[0] == '\0')
			abort();
		return 0;
	}
	pmf_tree_build(&t, &p, NULL);
	if (pmf_tree_total(&t, 0, 0) <= 0 || pmf_tree_samples(&t, 0, 0) != p.events[0].samples)
		abort();
	pmf_tree_release(&t);
	pmf_profile_release(&p);
	return 0;
}
