#include "pmuflame/source.h"

#include "pmuflame/mem.h"
#include <stdlib.h>

struct recording {
	struct pmf_source base;
	struct pmf_perf_data *pd;
};

static int file_wait(struct pmf_source *src, int extra_fd, int timeout_ms, struct pmf_err *err)
{
	(void)src, (void)extra_fd, (void)timeout_ms, (void)err;
	return 0; /* the drain waits for what a stream has not given yet */
}

static int file_drain(struct pmf_source *src, bool final, pmf_record_cb *cb, void *ctx)
{
	struct pmf_perf_data *pd = ((struct recording *)src)->pd;
	const struct pmf_perf_data_damage *damage = pmf_perf_data_damage(pd);
	int ret = pmf_perf_data_drain(pd, cb, ctx);

	(void) final;
	src->facts.out_of_order = damage->out_of_order;
	src->facts.malformed = damage->malformed + damage->unknown;
	return ret;
}

static void file_stop(struct pmf_source *src)
{
	(void)src;
}

static int file_totals(
	struct pmf_source *src, size_t event, struct pmf_perf_totals *out, struct pmf_err *err)
{
	(void)src, (void)out;
	return pmf_err_set(err, PMF_ENOTFOUND, "a perf.data file has no total of event %zu", event);
}

static void file_free(struct pmf_source *src)
{
	free(src);
}

static const struct pmf_source_ops file_ops = {
	file_wait, file_drain, file_stop, file_totals, file_free};

struct pmf_source *pmf_source_file(struct pmf_perf_data *pd)
{
	struct recording *r = pmf_zalloc(sizeof *r);

	r->base.ops = &file_ops;
	r->base.facts.readers = 1;
	r->pd = pd;
	return &r->base;
}
