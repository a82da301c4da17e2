/* With what attributes events are opened. */
#include "perf_priv.h"

#include "perf_session_priv.h"
#include "pmuflame/arch.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void common_attr(const struct pmf_perf_session *s, struct perf_event_attr *a)
{
	a->size = sizeof *a;
	a->sample_id_all = 1;
	a->inherit = s->inherits;
	a->inherit_thread = s->opts.target == PMF_PERF_TASKS && s->inherits && !s->opts.inherit;
	a->use_clockid = 1;
	a->clockid = CLOCK_MONOTONIC;
	a->read_format =
		PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING | PERF_FORMAT_ID;
	if (s->features.format_lost)
		a->read_format |= PERF_FORMAT_LOST;
	a->sample_type =
		PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU;
}

void pmf_perf_sideband_attr(const struct pmf_perf_session *s, struct perf_event_attr *a)
{
	*a = (struct perf_event_attr){.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_DUMMY};
	common_attr(s, a);
	a->exclude_kernel = !s->kernel_permitted;
	a->exclude_hv = !s->kernel_permitted;
	a->mmap = 1;
	a->mmap2 = 1;
	a->mmap_data = s->opts.data_maps;
	a->build_id = s->features.build_id;
	a->ksymbol = s->features.ksymbol && s->kernel_permitted;
	a->comm = 1;
	a->comm_exec = 1;
	a->task = 1;
}

void pmf_perf_owner_attr(const struct pmf_perf_session *s, struct perf_event_attr *a)
{
	if (s->opts.target == PMF_PERF_COMMAND) {
		pmf_perf_sideband_attr(s, a);
		a->enable_on_exec = 1;
	} else {
		*a = (struct perf_event_attr){
			.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_DUMMY};
		common_attr(s, a);
		a->inherit = 0;
		a->inherit_thread = 0;
		a->exclude_kernel = 1;
		a->exclude_hv = 1;
	}
	a->disabled = 1;
	a->watermark = 1;
	/* Bytes in the ring before a reader that sleeps in poll(2) is woken. Waking costs it some 10
	 * microseconds and the program that is sampled more; three quarters are left until it comes. */
	a->wakeup_watermark = (uint32_t)(s->ring_bytes / 4);
}

/* What is the same for every descriptor of @ev. */
static void sampling_attr(
	const struct pmf_perf_session *s, const struct pmf_event *ev, struct perf_event_attr *a)
{
	const struct pmf_arch *arch = pmf_arch_native();

	common_attr(s, a);
	a->sample_type |= PERF_SAMPLE_IP;
	a->inherit_stat = s->task_totals;
	if (ev->freq_hz) {
		a->freq = 1;
		a->sample_freq = ev->freq_hz;
		a->sample_type |= PERF_SAMPLE_PERIOD;
	} else {
		/* With PERF_SAMPLE_PERIOD a software event of fixed period would sample every event
		 * (perf_swevent_event in the kernel's core.c); its weight is the period anyway. */
		a->sample_period = ev->period;
	}
	/* The period that a software event reports is one that was set after the events that it
	 * stands for: on short bursts it is off by orders of magnitude. Its own count is exact
	 * (docs/adr/0003), and says whose sample it is (docs/adr/0004). */
	if ((ev->freq_hz || s->opts.attachable) && ev->cls != PMF_EVENT_HARDWARE &&
		ev->cls != PMF_EVENT_CLOCK && (s->features.inherited_read || !s->inherits))
		a->sample_type |= PERF_SAMPLE_READ;
	if (!s->kernel_permitted && !ev->user_given) {
		a->exclude_kernel = 1;
		a->exclude_hv = 1;
	}
	if (s->opts.callchain_user || (s->opts.callchain_kernel && !a->exclude_kernel)) {
		a->sample_type |= PERF_SAMPLE_CALLCHAIN;
		a->exclude_callchain_user = !s->opts.callchain_user;
		a->exclude_callchain_kernel = a->exclude_kernel || !s->opts.callchain_kernel;
	}
	if (s->opts.callchain_user && arch->callchain_lacks_ra) {
		a->sample_type |= PERF_SAMPLE_REGS_USER;
		a->sample_regs_user = UINT64_C(1) << arch->reg_ra;
	}
	if (s->opts.user_stacks) {
		a->sample_type |= PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
		a->sample_regs_user = arch->user_regs;
		a->sample_stack_user = s->opts.stack_bytes;
	}
}

/* Open @a on this thread, with the highest precise_ip that opens, or just the one asked for. */
static int try_open(const struct pmf_event *ev, struct perf_event_attr *a, int cpu, int group_fd)
{
	int fd;

	if (ev->cls != PMF_EVENT_HARDWARE)
		return pmf_perf_sys_open(a, 0, cpu, group_fd, 0);
	for (a->precise_ip = ev->precise_given ? ev->precise : 3;; a->precise_ip--) {
		fd = pmf_perf_sys_open(a, 0, cpu, group_fd, 0);
		if (fd >= 0 || ev->precise_given || a->precise_ip == 0 || fd == -EMFILE)
			return fd;
	}
}

/* The first CPU on which @o is counted; nr_cpus if there is none. */
static size_t first_cpu(const struct pmf_perf_session *s, const struct pmf_perf_opened *o)
{
	size_t c = 0;

	while (c < s->nr_cpus && !pmf_perf_covers(s, o, c))
		c++;
	return c;
}

/* What was opened to find out: the members of a group stay open together, as they will count. */
struct trials {
	struct pmf_perf_leaders leaders;
	int *fds;
	size_t n, cap;
};

static int settle_attr(struct pmf_perf_session *s, struct pmf_perf_opened *o, struct trials *t,
	struct pmf_err *err)
{
	const struct pmf_event *ev = &s->list->events[o->event];
	size_t c = first_cpu(s, o);
	int *leader = pmf_perf_leader(&t->leaders, ev, c), group_fd = leader ? *leader : -1, fd;

	/* A member follows its leader. One that waits for an exec, which does not come, is counted when
	 * the kernel sees whether a group fits; one that is only disabled is not (arm_pmu.c). */
	o->attr.disabled = o->attr.enable_on_exec = group_fd < 0;
	fd = try_open(ev, &o->attr, s->cpus[c].cpu, group_fd);
	if (fd == -EINVAL && group_fd >= 0)
		return pmf_err_set(err, PMF_ELIMIT,
			"event '%s' does not fit into its group: the PMU cannot count all of them "
			"at once; take it out of the braces",
			ev->spec);
	if (fd < 0)
		return pmf_perf_explain(ev, -fd, &o->attr, &s->limits, err);
	PMF_PUSH(t->fds, t->n, t->cap) = fd;
	if (leader && group_fd < 0)
		*leader = fd;
	return 0;
}

static int settle_event(struct pmf_perf_session *s, size_t e, struct trials *t, struct pmf_err *err)
{
	const struct pmf_event *ev = &s->list->events[e];
	struct pmf_perf_granted *g = &s->granted[e];
	size_t before = s->nr_opened;
	int ret = pmf_perf_refuse_kernel_only(ev, &s->limits, err);

	for (size_t k = 0; k < ev->nr_attrs && ret == 0; k++) {
		struct pmf_perf_opened o = {
			.event = e, .attr = ev->attrs[k].attr, .cpus = ev->attrs[k].cpus};

		sampling_attr(s, ev, &o.attr);
		if (first_cpu(s, &o) == s->nr_cpus)
			continue;
		ret = settle_attr(s, &o, t, err);
		if (s->nr_opened == before || o.attr.precise_ip < g->precise_ip)
			g->precise_ip = o.attr.precise_ip;
		g->exclude_kernel = o.attr.exclude_kernel;
		g->exclude_kernel_forced =
			o.attr.exclude_kernel && !ev->attrs[k].attr.exclude_kernel;
		PMF_PUSH(s->opened, s->nr_opened, s->cap_opened) = o;
	}
	if (ret == 0 && s->nr_opened == before)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"event '%s' exists on none of the CPUs that are to count", ev->spec);
	return ret;
}

int pmf_perf_settle(struct pmf_perf_session *s, struct pmf_err *err)
{
	struct trials t = {0};
	int ret = 0;

	pmf_perf_leaders_init(&t.leaders, s);
	for (size_t e = 0; e < s->list->n && ret == 0; e++)
		ret = settle_event(s, e, &t, err);
	pmf_perf_leaders_release(&t.leaders);
	for (size_t i = 0; i < t.n; i++)
		close(t.fds[i]);
	free(t.fds);
	return ret;
}
