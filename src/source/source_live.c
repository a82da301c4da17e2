#include "pmuflame/source.h"

#include "pmuflame/mem.h"
#include <stdlib.h>

struct live {
	struct pmf_source base;
	struct pmf_perf_session *session;
};

static int live_wait(struct pmf_source *src, int extra_fd, int timeout_ms, struct pmf_err *err)
{
	return pmf_perf_wait(((struct live *)src)->session, extra_fd, timeout_ms, err);
}

static int live_drain(struct pmf_source *src, bool final, pmf_record_cb *cb, void *ctx)
{
	struct live *l = (struct live *)src;
	int ret = pmf_perf_drain(l->session, final, cb, ctx);

	src->facts.out_of_order = pmf_perf_out_of_order(l->session);
	src->facts.malformed = pmf_perf_malformed(l->session);
	return ret;
}

static void live_stop(struct pmf_source *src)
{
	struct live *l = (struct live *)src;

	pmf_perf_disable(l->session);
	src->facts.lost_sideband = pmf_perf_lost_sideband(l->session);
	src->facts.hotplug = pmf_perf_hotplug(l->session);
}

static int live_totals(
	struct pmf_source *src, size_t event, struct pmf_perf_totals *out, struct pmf_err *err)
{
	return pmf_perf_totals(((struct live *)src)->session, event, out, err);
}

static void live_free(struct pmf_source *src)
{
	pmf_perf_close(((struct live *)src)->session);
	free(src);
}

static const struct pmf_source_ops live_ops = {
	live_wait, live_drain, live_stop, live_totals, live_free};

int pmf_source_live(struct pmf_source **out, const struct pmf_event_list *list,
	const struct pmf_perf_opts *opts, struct pmf_err *err)
{
	struct live *l = pmf_zalloc(sizeof *l);
	int ret = pmf_perf_open(&l->session, list, opts, err);

	if (ret) {
		free(l);
		return ret;
	}
	l->base.ops = &live_ops;
	l->base.facts.live = true;
	l->base.facts.lost_per_event = pmf_perf_has_format_lost(l->session);
	l->base.facts.task_totals = pmf_perf_has_task_totals(l->session);
	l->base.facts.inherited_events = pmf_perf_inherited_events(l->session);
	l->base.facts.readers = pmf_perf_readers(l->session);
	l->base.facts.ring_bytes = pmf_perf_ring_bytes(l->session);
	*out = &l->base;
	return 0;
}

const struct pmf_perf_granted *pmf_source_live_granted(const struct pmf_source *src, size_t event)
{
	return pmf_perf_granted(((const struct live *)src)->session, event);
}

struct pmf_perf_session *pmf_source_live_session(struct pmf_source *src)
{
	return ((struct live *)src)->session;
}
