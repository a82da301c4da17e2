#include "pmuflame/source.h"

#include "pmuflame/mem.h"
#include <stdlib.h>

struct replay {
	struct pmf_source base;
	struct pmf_readers *readers;
};

static int replay_wait(struct pmf_source *src, int extra_fd, int timeout_ms, struct pmf_err *err)
{
	(void)src, (void)extra_fd, (void)timeout_ms, (void)err;
	return 0; /* everything is there */
}

static int replay_drain(struct pmf_source *src, bool final, pmf_record_cb *cb, void *ctx)
{
	struct replay *r = (struct replay *)src;
	int ret = pmf_readers_drain(r->readers, UINT64_MAX, cb, ctx);

	(void) final;
	src->facts.out_of_order = pmf_readers_out_of_order(r->readers);
	src->facts.malformed = pmf_readers_malformed(r->readers);
	return ret;
}

static void replay_stop(struct pmf_source *src)
{
	(void)src;
}

static int replay_totals(
	struct pmf_source *src, size_t event, struct pmf_perf_totals *out, struct pmf_err *err)
{
	(void)src, (void)out;
	return pmf_err_set(err, PMF_ENOTFOUND, "a replay has no total of event %zu", event);
}

static void replay_free(struct pmf_source *src)
{
	pmf_readers_free(((struct replay *)src)->readers);
	free(src);
}

static const struct pmf_source_ops replay_ops = {
	replay_wait, replay_drain, replay_stop, replay_totals, replay_free};

int pmf_source_replay_by(struct pmf_source **out, const struct pmf_layouts *layouts,
	struct pmf_ring **rings, size_t n, size_t readers, struct pmf_err *err)
{
	struct replay *r = pmf_zalloc(sizeof *r);
	int ret = pmf_readers_new(&r->readers, layouts, rings, n, readers, err);

	if (ret) {
		free(r);
		return ret;
	}
	r->base.ops = &replay_ops;
	r->base.facts.readers = pmf_readers_count(r->readers);
	*out = &r->base;
	return 0;
}

int pmf_source_replay(struct pmf_source **out, const struct pmf_layouts *layouts,
	struct pmf_ring **rings, size_t n, struct pmf_err *err)
{
	return pmf_source_replay_by(out, layouts, rings, n, 1, err);
}
