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

struct probes {
	struct pmf_perf_fd *fds;
	size_t n, cap;
};

/* Was number @event on for all of the time? Of a hybrid CPU's two PMUs one is on at a time. */
static bool ran(const struct probes *p, size_t event)
{
	uint64_t enabled = 0, running = 0;
	struct times t;

	for (size_t i = 0; i < p->n; i++) {
		if (p->fds[i].event != event || read(p->fds[i].fd, &t, sizeof t) != sizeof t)
			continue;
		enabled = PMF_MAX(enabled, t.enabled_ns);
		running += t.running_ns;
	}
	return running >= enabled - enabled / 10;
}

/* Open each hardware event once more; the first gets number @first. */
static void open_set(
	struct probes *p, const struct pmf_event_list *list, bool kernel_permitted, size_t first)
{
	int *leaders = pmf_calloc((size_t)list->nr_groups, sizeof *leaders);

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
			PMF_PUSH(p->fds, p->n, p->cap) =
				(struct pmf_perf_fd){.fd = fd, .event = first + e};
			if (leader && *leader < 0)
				*leader = fd;
		}
	}
	free(leaders);
}

bool pmf_perf_counters_suffice(
	const struct pmf_event_list *list, size_t sets, bool kernel_permitted)
{
	struct probes p = {0};
	bool suffice = true;

	for (size_t i = 0; i < sets; i++)
		open_set(&p, list, kernel_permitted, i * list->n);
	if (p.n > 0)
		work();
	for (size_t e = 0; e < sets * list->n && suffice; e++)
		suffice = ran(&p, e);
	for (size_t i = 0; i < p.n; i++)
		close(p.fds[i].fd);
	free(p.fds);
	return suffice;
}
