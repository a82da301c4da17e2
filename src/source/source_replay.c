#include "pmuflame/source.h"

#include "pmuflame/mem.h"
#include <stdlib.h>

struct replay {
	struct pmf_source base;
	struct pmf_merge merge;
};

static int replay_wait(struct pmf_source *src, int extra_fd, int timeout_ms, struct pmf_err *err)
{
	(void)src, (void)extra_fd, (void)timeout_ms, (void)err;
	return 0; /* everything is there */
}

static int replay_drain(struct pmf_source *src, bool final, pmf_record_cb *cb, void *ctx)
{
	struct replay *r = (struct replay *)src;
	int ret = pmf_merge_drain(&r->merge, UINT64_MAX, cb, ctx);

	(void) final;
	src->facts.out_of_order = r->merge.out_of_order;
	src->facts.malformed = r->merge.malformed;
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
	pmf_merge_release(&((struct replay *)src)->merge);
	free(src);
}

static const struct pmf_source_ops replay_ops = {
	replay_wait, replay_drain, replay_stop, replay_totals, replay_free};

int pmf_source_replay(struct pmf_source **out, const struct pmf_layouts *layouts,
	struct pmf_ring **rings, size_t n, struct pmf_err *err)
{
	struct replay *r = pmf_zalloc(sizeof *r);
	int ret = pmf_merge_init(&r->merge, layouts, rings, n, err);

	if (ret) {
		free(r);
		return ret;
	}
	r->base.ops = &replay_ops;
	*out = &r->base;
	return 0;
}
