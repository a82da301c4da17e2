/* Text that says it is a budget: whatever it holds, it is one, or a sentence. */
#include "pmuflame/budget.h"
#include "pmuflame/mem.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = pmf_strndup((const char *)data, size);
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_budget b;
	int ret = pmf_budget_parse(&b, text, &err);

	if (ret ? err.text[0] == '\0' : !b.num || !isfinite(b.limit))
		abort();
	pmf_budget_release(&b);
	free(text);
	return 0;
}
