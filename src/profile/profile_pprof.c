/* Words of ours in pprof files. */
#include "pprof_priv.h"

const struct pmf_pprof_label pmf_pprof_labels[] = {
	{PMF_FRAME_PROCESS, "process"},
	{PMF_FRAME_THREAD, "thread"},
};
const size_t pmf_pprof_nr_labels = PMF_ARRAY_SIZE(pmf_pprof_labels);
_Static_assert(PMF_ARRAY_SIZE(pmf_pprof_labels) <= PMF_PPROF_MAX_LABELS, "raise the limit");
