#include "perf_data_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

/* Up to the first record that is no header: then the events are known. */
static int read_start(struct pmf_perf_data *pd, struct pmf_err *err)
{
	int ret = pmf_pd_read_header(pd, err);

	if (ret)
		return ret;
	do
		pmf_pd_walk(pd, &pd->input);
	while (!pd->started && pd->damage.stopped.status == PMF_OK && pmf_pd_input_more(pd));
	if (pd->info.nr_events == 0)
		return pmf_err_set(err, PMF_EFORMAT,
			"'%s' describes no event: it is no recording that perf made, or only its "
			"beginning",
			pd->name);
	pmf_pd_finish_events(pd);
	return 0;
}

int pmf_perf_data_open(struct pmf_perf_data **out, int fd, const char *name, const void *head,
	size_t len, struct pmf_err *err)
{
	struct pmf_perf_data *pd = pmf_zalloc(sizeof *pd);
	int ret;

	pd->fd = fd;
	pd->name = pmf_strdup(name);
	ret = pmf_pd_input_open(pd, head, len, err);
	if (ret == 0)
		ret = read_start(pd, err);
	if (ret) {
		pmf_perf_data_free(pd);
		return ret;
	}
	*out = pd;
	return 0;
}

/* What the last record or its payload promises beyond the end; less than a header is padding. */
static uint64_t missing_at_end(const struct pmf_perf_data *pd)
{
	const struct pmf_pd_stream *in = &pd->input;
	size_t left = in->chunk->len - in->at;
	struct perf_event_header h;

	if (left < sizeof h)
		return pd->skip_bytes;
	memcpy(&h, in->chunk->data + in->at, sizeof h);
	return h.size > left ? h.size - left : 0;
}

int pmf_perf_data_drain(struct pmf_perf_data *pd, pmf_record_cb *cb, void *ctx)
{
	if (pd->cb)
		return 0; /* all is delivered */
	pd->cb = cb;
	pd->ctx = ctx;
	pmf_pd_flush(pd, 0); /* what had no time and had to wait for @cb */
	do
		pmf_pd_walk(pd, &pd->input);
	while (pd->ret >= 0 && pd->damage.stopped.status == PMF_OK && pmf_pd_input_more(pd));
	pmf_pd_flush(pd, UINT64_MAX);
	if (pd->ret >= 0 && pd->damage.stopped.status == PMF_OK)
		pd->damage.missing = PMF_MAX(pd->damage.missing, missing_at_end(pd));
	return pd->ret;
}

const struct pmf_perf_data_info *pmf_perf_data_info(const struct pmf_perf_data *pd)
{
	return &pd->info;
}

const struct pmf_perf_data_damage *pmf_perf_data_damage(const struct pmf_perf_data *pd)
{
	return &pd->damage;
}

const struct pmf_perf_data_lost *pmf_perf_data_lost(const struct pmf_perf_data *pd)
{
	return &pd->lost;
}

void pmf_perf_data_free(struct pmf_perf_data *pd)
{
	if (!pd)
		return;
	pmf_pd_unpack_release(pd);
	pmf_pd_bytes_release(pd);
	pmf_pd_header_release(pd);
	pmf_pd_events_release(pd);
	pmf_pd_queue_release(pd);
	free(pd->name);
	free(pd);
}
