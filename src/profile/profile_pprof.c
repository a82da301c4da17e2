/* What a pprof file of ours has in common for its writer and its reader. */
#include "pprof_priv.h"

#include <math.h>

const char *const pmf_pprof_kinds[] = {
	[PMF_FRAME_ROOT] = "root",
	[PMF_FRAME_PROCESS] = "process",
	[PMF_FRAME_KERNEL] = "kernel",
	[PMF_FRAME_NATIVE] = "native",
	[PMF_FRAME_INLINED] = "inlined",
	[PMF_FRAME_PYTHON] = "python",
	[PMF_FRAME_JIT] = "jit",
	[PMF_FRAME_SPECIAL] = "special",
};
const size_t pmf_pprof_nr_kinds = PMF_ARRAY_SIZE(pmf_pprof_kinds);

const struct pmf_pprof_label pmf_pprof_labels[] = {
	{PMF_FRAME_PROCESS, "process"},
};
const size_t pmf_pprof_nr_labels = PMF_ARRAY_SIZE(pmf_pprof_labels);
_Static_assert(PMF_ARRAY_SIZE(pmf_pprof_labels) <= PMF_PPROF_MAX_LABELS, "raise the limit");

/* A double is a whole number of 53 bits over a power of two, so products of it are exact in 128. */
__extension__ typedef unsigned __int128 wide;

bool pmf_pprof_scale_ok(double scale)
{
	return scale >= 0x1p-10 && scale <= 0x1p20;
}

static uint64_t split(double scale, unsigned *shift)
{
	int exponent;
	double fraction = frexp(scale, &exponent);

	*shift = (unsigned)(53 - exponent);
	return (uint64_t)ldexp(fraction, 53);
}

uint64_t pmf_pprof_scaled(uint64_t raw, double scale)
{
	unsigned shift;
	wide product = (wide)raw * split(scale, &shift);

	return (uint64_t)((product + ((wide)1 << (shift - 1))) >> shift);
}

uint64_t pmf_pprof_unscaled(uint64_t value, double scale)
{
	unsigned shift;
	uint64_t factor = split(scale, &shift);

	if (value == 0)
		return 0;
	return (uint64_t)((((wide)(2 * value - 1) << (shift - 1)) + factor - 1) / factor);
}
