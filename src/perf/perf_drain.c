/* What a session's rings hold, delivered in time order. */
#include "perf_session_priv.h"

#include "pmuflame/clock.h"
#include <errno.h>

/* Two writers of one CPU can publish in the other order than they took their time stamps (an
 * interrupt inside a software event), and a stopped virtual CPU can sit between the two: records
 * younger than this wait for the next drain. */
enum { ORDER_MARGIN_NS = 2000000 };

int pmf_perf_wait(struct pmf_perf_session *s, int extra_fd, int timeout_ms, struct pmf_err *err)
{
	struct pollfd *extra = &s->polls[s->nr_cpus];

	*extra = (struct pollfd){.fd = extra_fd, .events = POLLIN};
	if (poll(s->polls, s->nr_cpus + 1, timeout_ms) < 0) {
		if (errno == EINTR)
			return 0;
		return pmf_err_errno(err, PMF_EIO, errno, "cannot wait for the rings");
	}
	/* A ring whose tasks have all gone hangs up for ever: it is drained by time from then
	 * on. */
	for (size_t i = 0; i < s->nr_cpus; i++)
		if (s->polls[i].revents & (POLLHUP | POLLERR | POLLNVAL))
			s->polls[i].fd = -1;
	return (extra->revents & (POLLIN | POLLHUP)) ? 1 : 0;
}

static void publish(struct pmf_perf_session *s, size_t reader)
{
	for (size_t i = 0; i < s->nr_cpus; i++)
		if (s->cpus[i].reader == reader)
			pmf_perf_ring_publish(&s->cpus[i]);
}

/* The kernel gets its bytes back while a long drain goes on, not after it. */
static int drain_record(void *ctx, const struct pmf_record *rec)
{
	enum { PUBLISH_EVERY = 64 };
	struct pmf_perf_session *s = ctx;
	struct pmf_perf_drain *d = &s->drains[rec->reader];

	if (s->tasks && rec->reader == 0)
		pmf_perf_tasks_record(s->tasks, rec);
	if (++d->since_publish == PUBLISH_EVERY) {
		d->since_publish = 0;
		publish(s, rec->reader);
	}
	if (pmf_perf_is_stranger(s, rec))
		return 0;
	/* Two events of one kind that overflow at once share the record's header in the kernel
	 * (do_perf_sw_event in its core.c): the count says whose it is. */
	if (rec->type == PERF_RECORD_SAMPLE && rec->sample.count_id &&
		rec->sample.count_id != rec->id) {
		const struct pmf_layout *l = pmf_layouts_find(&s->layouts, rec->sample.count_id);
		struct pmf_record own = *rec;

		if (l) {
			own.id = l->id;
			own.event = l->event;
			own.signals = l->signals;
			own.cpu_wide = l->cpu_wide;
			return s->cb(s->cb_ctx, &own);
		}
	}
	return s->cb(s->cb_ctx, rec);
}

int pmf_perf_drain(struct pmf_perf_session *s, bool final, pmf_record_cb *cb, void *ctx)
{
	uint64_t until_ns;
	int ret;

	s->cb = cb;
	s->cb_ctx = ctx;
	/* The time first, the heads after it: what a head does not show yet is younger. */
	until_ns = pmf_clock_ns(CLOCK_MONOTONIC) - ORDER_MARGIN_NS;
	for (size_t i = 0; i < s->nr_cpus; i++)
		pmf_perf_ring_refresh(&s->cpus[i]);
	ret = pmf_readers_drain(s->readers, final ? UINT64_MAX : until_ns, drain_record, s);
	for (size_t i = 0; i < s->nr_cpus; i++)
		pmf_perf_ring_publish(&s->cpus[i]);
	pmf_perf_tend_tasks(s);
	pmf_perf_tend_cpus(s);
	return ret;
}

uint64_t pmf_perf_out_of_order(const struct pmf_perf_session *s)
{
	return pmf_readers_out_of_order(s->readers);
}

uint64_t pmf_perf_malformed(const struct pmf_perf_session *s)
{
	return pmf_readers_malformed(s->readers);
}
