/* Words of ours in pprof files. */
#include "pprof_priv.h"

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
