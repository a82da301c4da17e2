/* A text that says it is Python: each line gets the loop around it, which begins there or before. */
#include "advise_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t nr_lines;
	uint32_t *loops = pmf_python_loops((const char *)data, size, &nr_lines);

	for (size_t i = 0; i <= nr_lines; i++)
		if (loops[i] > i)
			abort();
	free(loops);
	return 0;
}
