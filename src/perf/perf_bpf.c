/* A BPF program that runs at the overflows of a session's events, and where it writes to. */
#include "perf_priv.h"
#include "perf_session_priv.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

void pmf_perf_run_bpf(struct pmf_perf_session *s, const struct pmf_perf_fd *f)
{
	if (s->bpf.output && f->event < s->list->n && !s->bpf.missing[f->event] &&
		f->timer == s->granted[f->event].cpu_timer)
		s->bpf.missing[f->event] = ioctl(f->fd, PERF_EVENT_IOC_SET_BPF, s->bpf.prog_fd) < 0;
}

static int open_output(struct pmf_perf_session *s, struct pmf_perf_cpu *c, struct pmf_err *err)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_CPU | PERF_SAMPLE_RAW,
		.sample_id_all = 1, /* for LOST */
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		/* Else each record would wake the reader. */
		.watermark = 1,
		.wakeup_watermark = (uint32_t)(s->ring_bytes / 4)};
	int fd = pmf_perf_sys_open(&a, -1, c->cpu, -1, 0);

	if (fd < 0)
		return pmf_perf_explain(NULL, -fd, &a, &s->limits, err);
	PMF_PUSH(s->bpf_fds, s->nr_bpf_fds, s->cap_bpf_fds) = fd;
	if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, c->fd) < 0)
		return pmf_err_errno(err, PMF_EIO, errno,
			"cannot send what the BPF program writes into the ring of its CPU");
	return pmf_perf_add_layout(
		s, fd, &(struct pmf_layout){.event = PMF_NO_EVENT, .leads = true}, &a, err);
}

int pmf_perf_bpf_join(struct pmf_perf_session *s, size_t c, struct pmf_err *err)
{
	int ret;

	if (!s->bpf.output)
		return 0;
	ret = open_output(s, &s->cpus[c], err);
	if (ret)
		return ret;
	return s->bpf.output(s->bpf.ctx, s->cpus[c].cpu, s->bpf_fds[s->nr_bpf_fds - 1], err);
}

int pmf_perf_set_bpf(
	struct pmf_perf_session *s, const struct pmf_perf_bpf *bpf, struct pmf_err *err)
{
	int ret = 0;

	s->bpf = *bpf;
	for (size_t e = 0; e < s->list->n; e++)
		/* Those take programs of another kind, which run for all events of the tracepoint. */
		bpf->missing[e] = s->list->events[e].cls == PMF_EVENT_TRACEPOINT;
	for (size_t c = 0; c < s->nr_cpus && ret == 0; c++)
		if (s->cpus[c].fd >= 0)
			ret = pmf_perf_bpf_join(s, c, err);
	pmf_layouts_seal(&s->layouts);
	for (size_t i = 0; i < s->inherited.n && ret == 0; i++)
		pmf_perf_run_bpf(s, &s->inherited.fds[i]);
	if (ret)
		s->bpf.output = NULL;
	return ret;
}

void pmf_perf_bpf_close(struct pmf_perf_session *s)
{
	for (size_t i = 0; i < s->nr_bpf_fds; i++)
		close(s->bpf_fds[i]);
	free(s->bpf_fds);
}
