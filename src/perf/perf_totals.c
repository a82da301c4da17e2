/* A session's counters: started, stopped and read. */
#include "perf_session_priv.h"

#include "pmuflame/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

void pmf_perf_start(struct pmf_perf_session *s)
{
	struct pmf_perf_totals t = {0};

	s->waiting = false;
	for (size_t i = 0; i < s->nr_cpus; i++)
		if (s->cpus[i].fd >= 0 && pmf_perf_read_fd(s, s->cpus[i].fd, &t, NULL) == 0)
			s->cpus[i].before_ns = t.running_ns;
	/* Each with all that inherited it (perf_event_for_each_child in the kernel's core.c). */
	for (size_t i = 0; i < s->inherited.n; i++)
		ioctl(s->inherited.fds[i].fd, PERF_EVENT_IOC_ENABLE, 0);
	pmf_perf_attached_start(s);
}

void pmf_perf_disable(struct pmf_perf_session *s)
{
	for (size_t i = 0; i < s->inherited.n; i++)
		ioctl(s->inherited.fds[i].fd, PERF_EVENT_IOC_DISABLE, 0);
	pmf_perf_attached_disable(s);
	for (size_t i = 0; i < s->nr_cpus; i++)
		if (s->cpus[i].fd >= 0)
			ioctl(s->cpus[i].fd, PERF_EVENT_IOC_DISABLE, 0);
}

/* The fields are in the order of read_format, perf_event_open(2). */
int pmf_perf_read_fd(
	const struct pmf_perf_session *s, int fd, struct pmf_perf_totals *t, struct pmf_err *err)
{
	uint64_t v[5] = {0};
	ssize_t want = s->features.format_lost ? 40 : 32, n = read(fd, v, sizeof v);

	if (n < want)
		return pmf_err_errno(err, PMF_EIO, n < 0 ? errno : EIO, "cannot read a counter");
	*t = (struct pmf_perf_totals){
		.value = v[0], .enabled_ns = v[1], .running_ns = v[2], .lost = v[4]};
	return 0;
}

int pmf_perf_add_fd(const struct pmf_perf_session *s, int fd, bool alone,
	struct pmf_perf_totals *sum, struct pmf_err *err)
{
	struct pmf_perf_totals t = {0};
	int ret = pmf_perf_read_fd(s, fd, &t, err);

	if (ret)
		return ret;
	sum->lost += t.lost;
	if (alone) {
		sum->value += t.value;
		sum->enabled_ns += t.enabled_ns;
		sum->running_ns += t.running_ns;
	}
	return 0;
}

int pmf_perf_totals(
	struct pmf_perf_session *s, size_t event, struct pmf_perf_totals *out, struct pmf_err *err)
{
	struct pmf_perf_totals sum = s->past[event], t = {0};
	bool *dummy_seen = pmf_calloc(s->nr_cpus, sizeof *dummy_seen);
	int ret = 0;

	for (size_t i = 0; i < s->inherited.n && ret == 0; i++) {
		size_t c = s->inherited.fds[i].cpu_index;

		if (s->inherited.fds[i].event != event)
			continue;
		ret = pmf_perf_add_fd(s, s->inherited.fds[i].fd, true, &sum, err);
		if (ret || dummy_seen[c])
			continue;
		dummy_seen[c] = true;
		ret = pmf_perf_read_fd(s, s->cpus[c].fd, &t, err);
		sum.dummy_running_ns += t.running_ns - s->cpus[c].before_ns;
	}
	free(dummy_seen);
	if (ret == 0)
		ret = pmf_perf_attached_totals(s, event, &sum, err);
	if (ret == 0)
		*out = sum;
	return ret;
}

uint64_t pmf_perf_lost_sideband(struct pmf_perf_session *s)
{
	struct pmf_perf_totals t = {0};
	uint64_t lost = 0;

	for (size_t i = 0; i < s->nr_cpus; i++)
		if (s->cpus[i].fd >= 0 && pmf_perf_read_fd(s, s->cpus[i].fd, &t, NULL) == 0)
			lost += t.lost;
	return lost;
}
