/* Does the PMU have a counter for each hardware event at once, or must they take turns? */
#include "perf_priv.h"

#include "perf_session_priv.h"
#include "pmuflame/clock.h"
#include "pmuflame/mem.h"
#include <stdlib.h>
#include <unistd.h>

enum { WORK_NS = 300000 }; /* less than a tick, after which events change places */

struct times {
	uint64_t value, enabled_ns, running_ns;
};

static void work(void)
{
	uint64_t until_ns = pmf_clock_ns(CLOCK_MONOTONIC) + WORK_NS;

	while (pmf_clock_ns(CLOCK_MONOTONIC) < until_ns)
		;
}

/* Was the event on for all of the time? Of a hybrid CPU's two PMUs one is on at a time. */
static bool ran(const struct pmf_perf_fd *fds, size_t n, size_t event)
{
	uint64_t enabled = 0, running = 0;
	struct times t;

	for (size_t i = 0; i < n; i++) {
		if (fds[i].event != event || read(fds[i].fd, &t, sizeof t) != sizeof t)
			continue;
		enabled = PMF_MAX(enabled, t.enabled_ns);
		running += t.running_ns;
	}
	return running >= enabled - enabled / 10;
}

bool pmf_perf_counters_suffice(const struct pmf_event_list *list, bool kernel_permitted)
{
	int *leaders = pmf_calloc((size_t)list->nr_groups, sizeof *leaders);
	struct pmf_perf_fd *fds = NULL;
	size_t n = 0, cap = 0;
	bool suffice = true;

	for (int g = 0; g < list->nr_groups; g++)
		leaders[g] = -1;
	for (size_t e = 0; e < list->n; e++) {
		const struct pmf_event *ev = &list->events[e];
		int *leader = ev->group >= 0 ? &leaders[ev->group] : NULL;

		for (size_t k = 0; k < ev->nr_attrs && ev->cls == PMF_EVENT_HARDWARE; k++) {
			struct perf_event_attr a = ev->attrs[k].attr;
			int fd;

			a.read_format =
				PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
			a.exclude_kernel |= !kernel_permitted;
			a.exclude_hv |= !kernel_permitted;
			fd = pmf_perf_sys_open(&a, 0, -1, leader ? *leader : -1, 0);
			if (fd < 0)
				continue; /* whoever opens it to sample says why */
			PMF_PUSH(fds, n, cap) = (struct pmf_perf_fd){.fd = fd, .event = e};
			if (leader && *leader < 0)
				*leader = fd;
		}
	}
	if (n > 0)
		work();
	for (size_t e = 0; e < list->n && suffice; e++)
		suffice = ran(fds, n, e);
	for (size_t i = 0; i < n; i++)
		close(fds[i].fd);
	free(fds);
	free(leaders);
	return suffice;
}
