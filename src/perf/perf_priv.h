/* perf_priv.h - what the files of the perf module share. */
#ifndef PMF_PERF_PRIV_H
#define PMF_PERF_PRIV_H

#include "pmuflame/perf.h"

/* The project's only perf_event_open(2), always with PERF_FLAG_FD_CLOEXEC. Fills in attr->size.
 * Returns the descriptor, or a negative errno value (not a pmf_status). A kernel older than these
 * headers answers E2BIG and writes the size that it knows into attr->size. */
int pmf_perf_sys_open(
	struct perf_event_attr *attr, pid_t pid, int cpu, int group_fd, unsigned long flags);

/* Turn a failed open of @ev into one sentence with its remedy, by @errnum (positive), @attr as it
 * was opened last, and @l. @ev and @attr may be NULL: any event. Returns the status: PMF_EPERM for
 * what a permission lifts, PMF_EUNSUP for what this machine or kernel does not have, PMF_ELIMIT for
 * what is used up, PMF_EUSAGE for what the event's terms or modifiers cause, else PMF_EIO. */
int pmf_perf_explain(const struct pmf_event *ev, int errnum, const struct perf_event_attr *attr,
	const struct pmf_perf_limits *l, struct pmf_err *err);

/* PMF_EPERM with the sentence if @ev happens only in the kernel and this user may not see that: it
 * would open with exclude_kernel and count 0. Else 0. */
int pmf_perf_refuse_kernel_only(
	const struct pmf_event *ev, const struct pmf_perf_limits *l, struct pmf_err *err);

#endif
