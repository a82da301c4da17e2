/* A session's counters: started, stopped and read. */
#include "perf_session_priv.h"

#include "pmuflame/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The sideband events' running time on each CPU so far. */
static void sideband_running(struct pmf_perf_session *s, uint64_t *running_ns)
{
	struct pmf_perf_totals t = {0};

	for (size_t c = 0; c < s->nr_cpus; c++)
		running_ns[c] = s->cpus[c].past_ns +
				(pmf_perf_read_fd(s, s->cpus[c].fd, &t, NULL) ? 0 : t.running_ns);
	for (size_t i = 0; i < s->inherited.n; i++) {
		const struct pmf_perf_fd *f = &s->inherited.fds[i];

		if (f->event == PMF_PERF_SIDEBAND && pmf_perf_read_fd(s, f->fd, &t, NULL) == 0)
			running_ns[f->cpu_index] += t.running_ns;
	}
}

/* Each with all that inherited it (perf_event_for_each_child in the kernel's core.c). */
static void control_sampling(struct pmf_perf_session *s, unsigned long what)
{
	for (size_t i = 0; i < s->inherited.n; i++)
		if (s->inherited.fds[i].event < PMF_PERF_GUARD)
			ioctl(s->inherited.fds[i].fd, what, 0);
}

void pmf_perf_start(struct pmf_perf_session *s)
{
	uint64_t *running_ns = pmf_calloc(s->nr_cpus, sizeof *running_ns);

	s->waiting = false;
	sideband_running(s, running_ns);
	for (size_t c = 0; c < s->nr_cpus; c++)
		s->cpus[c].before_ns = running_ns[c];
	free(running_ns);
	control_sampling(s, PERF_EVENT_IOC_ENABLE);
	pmf_perf_attached_start(s);
}

void pmf_perf_disable(struct pmf_perf_session *s)
{
	control_sampling(s, PERF_EVENT_IOC_DISABLE);
	pmf_perf_attached_disable(s);
	for (size_t i = 0; i < s->nr_cpus; i++)
		ioctl(s->cpus[i].fd, PERF_EVENT_IOC_DISABLE, 0);
	for (size_t i = 0; i < s->inherited.n; i++)
		if (s->inherited.fds[i].event == PMF_PERF_SIDEBAND)
			ioctl(s->inherited.fds[i].fd, PERF_EVENT_IOC_DISABLE, 0);
	pmf_perf_freeze(s, true);
	s->is_over = true;
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

/* Where what descriptor @f counts belongs in a set of totals; NULL: nowhere. */
static struct pmf_perf_totals *place_of(
	const struct pmf_perf_session *s, const struct pmf_perf_fd *f, struct pmf_perf_totals *all)
{
	if (f->event == PMF_PERF_GUARD)
		return NULL;
	return &all[f->event == PMF_PERF_SIDEBAND ? s->list->n : f->event];
}

void pmf_perf_keep(struct pmf_perf_session *s, const struct pmf_perf_fd *f)
{
	struct pmf_perf_totals *sum = place_of(s, f, s->past), t = {0};

	if (sum)
		pmf_perf_add_fd(s, f->fd, !f->timer, sum, NULL);
	if (f->event == PMF_PERF_SIDEBAND && pmf_perf_read_fd(s, f->fd, &t, NULL) == 0)
		s->cpus[f->cpu_index].past_ns += t.running_ns;
}

/* Is event @e open on CPU number @c? */
static bool counts_on(const struct pmf_perf_session *s, size_t e, size_t c)
{
	for (size_t i = 0; i < s->nr_opened; i++)
		if (s->opened[i].event == e && pmf_perf_covers(s, &s->opened[i], c))
			return true;
	return false;
}

/* Totals since the session was opened: of each event, and at last of the sideband. */
static int read_all(struct pmf_perf_session *s, struct pmf_perf_totals *all, struct pmf_err *err)
{
	uint64_t *running_ns = pmf_calloc(s->nr_cpus, sizeof *running_ns);
	size_t n = s->list->n;
	int ret = 0;

	memcpy(all, s->past, (n + 1) * sizeof *all);
	for (size_t i = 0; i < s->inherited.n && ret == 0; i++) {
		const struct pmf_perf_fd *f = &s->inherited.fds[i];
		struct pmf_perf_totals *sum = place_of(s, f, all);

		if (sum)
			ret = pmf_perf_add_fd(s, f->fd, !f->timer, sum, err);
	}
	for (size_t e = 0; e < n && ret == 0; e++)
		ret = pmf_perf_attached_totals(s, e, &all[e], err);
	for (size_t c = 0; c < s->nr_cpus; c++)
		pmf_perf_add_fd(s, s->cpus[c].fd, true, &all[n], NULL);
	sideband_running(s, running_ns);
	for (size_t e = 0; e < n; e++) {
		uint64_t cpus = 0;

		for (size_t c = 0; c < s->nr_cpus; c++)
			if (counts_on(s, e, c)) {
				all[e].dummy_running_ns += running_ns[c] - s->cpus[c].before_ns;
				cpus++;
			}
		/* A task's event is enabled on all its CPUs while the task runs on one of them. */
		all[e].nr_clocks = pmf_perf_is_cpu_wide(s) ? 1 : cpus;
	}
	free(running_ns);
	return ret;
}

void pmf_perf_mark(struct pmf_perf_session *s)
{
	size_t bytes = (s->list->n + 1) * sizeof *s->base;
	struct pmf_perf_totals *now = pmf_malloc(bytes);

	if (s->is_frozen)
		memcpy(s->base, s->frozen, bytes);
	else if (read_all(s, now, NULL) == 0)
		memcpy(s->base, now, bytes);
	free(now);
}

void pmf_perf_freeze(struct pmf_perf_session *s, bool on)
{
	s->is_frozen = on && read_all(s, s->frozen, NULL) == 0;
}

/* Number @at of all totals since the mark. */
static int since_mark(
	struct pmf_perf_session *s, size_t at, struct pmf_perf_totals *out, struct pmf_err *err)
{
	struct pmf_perf_totals *all =
		s->is_frozen ? s->frozen : pmf_calloc(s->list->n + 1, sizeof *all);
	const struct pmf_perf_totals *base = &s->base[at];
	int ret = s->is_frozen ? 0 : read_all(s, all, err);

	if (ret == 0)
		*out = (struct pmf_perf_totals){
			.value = all[at].value - base->value,
			.enabled_ns = all[at].enabled_ns - base->enabled_ns,
			.running_ns = all[at].running_ns - base->running_ns,
			.lost = all[at].lost - base->lost,
			.dummy_running_ns = all[at].dummy_running_ns - base->dummy_running_ns,
			.nr_clocks = all[at].nr_clocks,
		};
	if (all != s->frozen)
		free(all);
	return ret;
}

int pmf_perf_totals(
	struct pmf_perf_session *s, size_t event, struct pmf_perf_totals *out, struct pmf_err *err)
{
	return since_mark(s, event, out, err);
}

uint64_t pmf_perf_lost_sideband(struct pmf_perf_session *s)
{
	struct pmf_perf_totals t = {0};

	return since_mark(s, s->list->n, &t, NULL) ? 0 : t.lost;
}
