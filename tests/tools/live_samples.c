#include "live_samples.h"

#include "collect_priv.h"
#include "pmuflame/collect.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 20 };

struct run {
	struct pmf_process_table *table;
	live_sample_cb *cb;
	void *ctx;
};

__attribute__((noreturn)) static void die(const struct pmf_err *err)
{
	fprintf(stderr, "%s\n", err->text);
	exit(1);
}

static int on_record(void *ctx, const struct pmf_record *rec)
{
	struct run *r = ctx;
	const struct pmf_sample *smp = &rec->sample;
	struct pmf_unwind_in in = {.arch = pmf_arch_native(), .table = r->table};
	size_t k = 0;

	if (rec->type != PERF_RECORD_SAMPLE) {
		pmf_process_apply(r->table, rec);
		r->cb(r->ctx, rec, NULL);
		return 0;
	}
	if (smp->regs_abi == PERF_SAMPLE_REGS_ABI_NONE)
		return 0;
	in.process = pmf_process_get(r->table, (pid_t)rec->pid);
	pmf_process_refresh(r->table, in.process, rec->time_ns);
	in.stack = smp->stack;
	in.stack_bytes = smp->stack_bytes;
	in.stack_asked = smp->stack_asked;
	in.now_ns = rec->time_ns;
	for (unsigned i = 0; i < PMF_ARCH_MAX_REGS; i++)
		if (smp->regs_mask >> i & 1)
			in.regs[i] = smp->regs[k++];
	r->cb(r->ctx, rec, &in);
	return 0;
}

static struct pmf_source *open_source(
	struct pmf_event_list *list, pid_t pid, uint64_t hz, uint32_t stack_bytes)
{
	static char spec[] = "cpu-clock";
	char *specs[] = {spec};
	struct pmf_plan_opts plan = {.specs = specs, .nr_specs = 1, .freq_hz = hz};
	struct pmf_perf_opts po = {.pid = pid,
		.inherit = true,
		.user_stacks = true,
		.stack_bytes = stack_bytes,
		.ring_bytes = 16 << 20};
	struct pmf_source *src;
	struct pmf_err err = PMF_ERR_INIT;

	pmf_event_list_init(list);
	if (pmf_plan_events(list, &plan, &err) || pmf_source_live(&src, list, &po, &err))
		die(&err);
	return src;
}

int live_samples(struct pmf_process_table *t, char **argv, uint64_t hz, uint32_t stack_bytes,
	live_sample_cb *cb, void *ctx)
{
	struct run r = {t, cb, ctx};
	struct pmf_launch launch = {0};
	struct pmf_event_list list;
	struct pmf_source *src;
	struct pmf_err err = PMF_ERR_INIT;
	int exec_errno = 0;

	pmf_process_table_init(t, true);
	if (pmf_launch_start(&launch, argv, environ, &err))
		die(&err);
	src = open_source(&list, launch.pid, hz, stack_bytes);
	if (pmf_launch_go(&launch, &exec_errno, &err))
		die(&err);
	if (exec_errno) {
		fprintf(stderr, "%s: %s\n", argv[0], strerror(exec_errno));
		exit(1);
	}
	while (!launch.exited) {
		int ret = src->ops->wait(src, launch.signal_fd, WAIT_MS, &err);

		if (ret < 0)
			die(&err);
		if (ret > 0)
			pmf_launch_signals(&launch);
		src->ops->drain(src, false, on_record, &r);
	}
	src->ops->stop(src);
	src->ops->drain(src, true, on_record, &r);
	pmf_launch_end(&launch);
	src->ops->free(src);
	pmf_event_list_release(&list);
	return WIFEXITED(launch.wait_status) ? WEXITSTATUS(launch.wait_status) : 1;
}
