/* A pprof file from anywhere: loading it must read nothing outside and end soon, and what was loaded can
 * be drawn, added to itself and saved; what was saved loads again, and is then saved as it was. */
#include "pmuflame/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The profile as a file; NULL if its numbers are too large for one. */
static char *save(const struct pmf_profile *p, size_t *len)
{
	char *bytes = NULL;
	FILE *f = open_memstream(&bytes, len);
	int ret;

	if (!f)
		abort();
	ret = pmf_profile_save(p, f, NULL);
	fclose(f);
	if (ret == 0)
		return bytes;
	if (ret != PMF_ELIMIT)
		abort();
	free(bytes);
	return NULL;
}

static void check_saved(const struct pmf_profile *p)
{
	struct pmf_profile again;
	size_t first_len, second_len;
	char *first = save(p, &first_len), *second;

	if (!first)
		return;
	if (pmf_profile_load(&again, first, first_len, NULL))
		abort();
	second = save(&again, &second_len);
	if (!second || first_len != second_len || memcmp(first, second, first_len) != 0)
		abort();
	pmf_profile_release(&again);
	free(first);
	free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmf_buf ledger = PMF_BUF_INIT;
	struct pmf_profile p, other;
	struct pmf_tree t;

	if (pmf_profile_load(&p, data, size, NULL))
		return 0;
	pmf_tree_build(&t, &p, NULL);
	pmf_tree_release(&t);
	for (size_t e = 0; e < p.nr_events; e++)
		pmf_profile_ledger(&p, e, &ledger);
	pmf_buf_release(&ledger);
	check_saved(&p);
	if (pmf_profile_load(&other, data, size, NULL))
		abort();
	pmf_profile_merge(&p, &other);
	check_saved(&p);
	pmf_profile_release(&other);
	pmf_profile_release(&p);
	return 0;
}
