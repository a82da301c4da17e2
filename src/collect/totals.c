/* Counters against samples: totals, scaling for multiplexing, what was counted but not sampled, and
 * the sentences of the ledger. */
#include "collect_priv.h"

#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pmf_totals_begin(struct pmf_profile *p, const struct pmf_event_list *list)
{
	for (size_t e = 0; e < list->n; e++) {
		const struct pmf_event *ev = &list->events[e];
		struct pmf_profile_event *pe = &p->events[e];

		pe->spec = pmf_strdup(ev->spec);
		pe->label = pmf_strdup(ev->label);
		pe->unit = pmf_strdup(pmf_event_unit(ev));
		pe->period = ev->freq_hz ? 0 : ev->period;
		pe->freq_hz = ev->freq_hz;
		pe->exclude_kernel = ev->attrs[0].attr.exclude_kernel;
		pe->exclude_user = ev->attrs[0].attr.exclude_user;
		pe->in_kernel = ev->cls == PMF_EVENT_SWITCH || ev->cls == PMF_EVENT_TRACEPOINT;
		pe->scale = 1;
		if (ev->fallback_reason)
			pe->fallback_reason = pmf_strdup(ev->fallback_reason);
	}
	pmf_profile_name_files(p);
	for (size_t i = 0; i < list->nr_dropped; i++)
		pmf_profile_note(p, PMF_NOTE_WARN, -1, "not recorded here: %s", list->dropped[i]);
}

/* Multiplexing: how long the tasks ran (the sideband event never leaves its CPU's tasks) against
 * how long this event counted. Below a thousandth it is the edge of opening and closing, not
 * sharing; and where the event's own time says that it never waited it did not share, either: the
 * kernel switches the two events one after the other, and time may pass between. */
static double scale_of(const struct pmf_event *ev, const struct pmf_perf_totals *t)
{
	double ratio, own_ns;

	if (ev->cls != PMF_EVENT_HARDWARE || t->running_ns == 0)
		return 1;
	own_ns = (double)t->enabled_ns / (double)PMF_MAX(t->nr_clocks, 1u);
	ratio = PMF_MIN((double)t->dummy_running_ns, own_ns) / (double)t->running_ns;
	return ratio < 1.001 ? 1 : ratio;
}

static void note_counts(struct pmf_profile *p, size_t e, const struct pmf_event *ev,
	const struct pmf_perf_totals *t)
{
	const struct pmf_profile_event *pe = &p->events[e];

	if (t->running_ns == 0 && t->dummy_running_ns > 0)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"'%s' was opened and never ran: its group needs more counters than the PMU "
			"has, or something else holds them",
			pe->label);
	else if (t->value == 0 && ev->cls == PMF_EVENT_HARDWARE)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"'%s' was opened and counted 0: either it did not happen, or this PMU "
			"accepts the code without counting it",
			pe->label);
	else if (t->value == 0)
		pmf_profile_note(
			p, PMF_NOTE_INFO, (int)e, "no samples: '%s' did not happen", pe->label);
	else if (pe->samples == 0)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"no samples: %s '%s'; a longer run, a higher -F or a smaller -c takes some",
			pe->cpu_timer ? "the CPUs' timers found nobody who spends"
				      : "no task counted a whole period of",
			pe->label);
}

/* Before Linux 6.12 samples of software events in frequency mode carry no count of their own, and
 * the period that they carry overstates bursts: the samples then share what was counted. */
static void tame_periods(struct pmf_stacks *s, size_t e, enum pmf_event_class cls)
{
	struct pmf_profile *p = s->profile;
	struct pmf_profile_event *pe = &p->events[e];
	char a[PMF_UNITS_MAX];

	/* What straddles an interval's edges is no exaggeration. */
	if (cls == PMF_EVENT_HARDWARE || !pe->freq_hz ||
		(cls == PMF_EVENT_CLOCK ? s->intervals : s->counts_seen) ||
		pe->weight <= pe->counted + pe->counted / 100)
		return;
	pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
		"'%s': the kernel's periods added up to %s of the count; all were scaled down "
		"alike",
		pe->label, pmf_format_percent(a, (double)pe->weight, (double)pe->counted));
	pmf_profile_scale_weights(p, e, PMF_MAX((double)pe->counted / (double)pe->weight, 0x1p-60));
}

/* Timers of the CPUs say what ran how often, and the tasks' own clocks how long that was. */
static void share_count(struct pmf_profile *p, size_t e)
{
	const struct pmf_profile_event *pe = &p->events[e];
	double counted = (double)pe->counted, weight = (double)pe->weight;
	/* All CPUs' timers began together, so their samples are no more independent than one CPU's. */
	double expected = (double)pe->samples * counted / weight / PMF_MAX(p->cpus, 1);
	/* Standard errors that no chance explains, and what is worth telling. */
	double usual = fmax(5 / sqrt(fmax(expected, 1)), 0.05);
	char a[PMF_UNITS_MAX];

	/* Lost samples have a sentence of their own. */
	if (counted > 0 && !(pe->lost_known && pe->lost) &&
		fabs(weight - counted) > usual * counted)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"'%s': its samples stood for %s of the count, and were scaled to it: timers came "
			"late, as a virtual machine's may that has to wait for a CPU, or records of who "
			"is recorded were lost",
			pe->label, pmf_format_percent(a, weight, counted));
	pmf_profile_scale_weights(p, e, fmax(counted / weight, 0x1p-60));
}

/* The tasks that were not inherited by anybody, the command's first thread above all, tell nothing
 * when they exit: theirs is what remains of the total. Descendants that still run share it in
 * proportions that nobody told, so then it stands at the root. */
static void share_remainder(struct pmf_stacks *s, size_t e, struct pmf_process *main)
{
	uint64_t total = s->profile->events[e].counted, known = s->read_elsewhere[e], rest;
	size_t n = s->list->n;
	bool shared = !main || s->reads_missing;

	for (size_t i = 0; i < s->table.n; i++) {
		const struct pmf_process *proc = s->table.procs[i];
		const struct pmf_proc_cost *c = proc->user;

		known += c ? c->counted[e] : 0;
		shared |= c && !proc->exited && proc != main;
	}
	rest = total > known ? total - known : 0;
	if (!shared) {
		pmf_stacks_cost(s, main)->counted[e] += rest;
		return;
	}
	pmf_stacks_deficits(s, 0)[e] += (int64_t)rest;
	for (size_t i = 0; i < s->table.n; i++) {
		struct pmf_proc_cost *c = s->table.procs[i]->user;

		if (!c || (s->table.procs[i]->exited && s->table.procs[i] != main))
			continue;
		pmf_stacks_deficits(s, 0)[e] += (int64_t)(c->counted[e] - c->counted[n + e]);
		c->counted[e] = c->counted[n + e];
	}
}

static void note_survivors(struct pmf_stacks *s, const struct pmf_process *main)
{
	struct pmf_buf names = PMF_BUF_INIT;
	size_t alive = 0;

	for (size_t i = 0; i < s->table.n; i++) {
		const struct pmf_process *proc = s->table.procs[i];

		if (proc->exited || proc == main || proc->nr_tids == 0)
			continue;
		if (alive++ < 5)
			pmf_buf_printf(&names, "%s%s (%d)", alive > 1 ? ", " : "",
				proc->comm[0] ? proc->comm : "unnamed", (int)proc->pid);
	}
	if (alive)
		pmf_profile_note(s->profile, PMF_NOTE_WARN, -1,
			"%zu descendant%s outlived the command and %s recorded only until it "
			"ended: %s%s",
			alive, alive == 1 ? "" : "s", alive == 1 ? "was" : "were",
			pmf_buf_str(&names), alive > 5 ? ", …" : "");
	pmf_buf_release(&names);
}

static int next_stack_bytes(uint32_t stack_bytes)
{
	return stack_bytes >= PMF_STACK_BYTES_MAX / 2 ? PMF_STACK_BYTES_MAX : 2 * (int)stack_bytes;
}

/* One count for each CPU, whoever runs there. */
static bool counts_cpus(const struct pmf_stacks *s)
{
	return s->target == PMF_PERF_SYSTEM || s->target == PMF_PERF_CGROUP;
}

/* Every task starts with a whole period on every CPU, so at its end less than one of each remains. */
static bool tasks_explain_unsampled(const struct pmf_stacks *s, const struct pmf_profile_event *pe)
{
	double period = (double)pe->weight / (double)pe->samples;
	uint64_t tasks = counts_cpus(s) ? 1 : 1 + s->nr_adopted + s->table.tasks_started;
	uint64_t remains = tasks * (uint64_t)s->profile->cpus;

	return (double)pe->unsampled <= period * (double)remains;
}

static void note_unsampled(struct pmf_stacks *s, size_t e, enum pmf_event_class cls)
{
	struct pmf_profile *p = s->profile;
	const struct pmf_profile_event *pe = &p->events[e];
	char share[PMF_UNITS_MAX];

	pmf_format_percent(share, (double)pe->unsampled, (double)pe->counted);
	if (pe->unsampled_name)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e, "%s of '%s' is %s", share, pe->label,
			pe->unsampled_name);
	else if (pmf_mem_is_low())
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"%s of '%s' is [unsampled]: it was counted when memory had run out", share,
			pe->label);
	else if (pe->freq_hz && cls != PMF_EVENT_HARDWARE && cls != PMF_EVENT_CLOCK)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"%s of '%s' is [unsampled]: by frequency the kernel samples its bursts "
			"sparsely; a fixed period ('%s@%" PRIu64 "') takes more",
			share, pe->label, pe->spec, pe->counted / 10000 + 1);
	else if (!tasks_explain_unsampled(s, pe) && cls == PMF_EVENT_CLOCK)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"%s of '%s' is [unsampled]: its timer came late, as a virtual machine's may "
			"that has to wait for a CPU; shares are of what was sampled",
			share, pe->label);
	else if (!tasks_explain_unsampled(s, pe))
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"%s of '%s' is [unsampled]: the PMU counted whole periods without telling "
			"so, as some virtual ones do; shares are of what was sampled",
			share, pe->label);
	else
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"%s of '%s' is [unsampled]: tasks too short for a sample at this rate; a "
			"higher -F or a smaller -c samples more",
			share, pe->label);
}

/* Is most of what was not sampled what the lost samples stood for? Their own note says so. */
static bool lost_explains_unsampled(const struct pmf_profile_event *pe)
{
	double lost = (double)pe->lost;

	return pe->lost_known && 2 * lost * (double)pe->counted >=
					 (double)pe->unsampled * (lost + (double)pe->samples);
}

/* What a reader of the picture must know before the numbers, with its cure. */
static void note_shares(struct pmf_stacks *s, size_t e)
{
	struct pmf_profile *p = s->profile;
	enum pmf_event_class cls = s->list->events[e].cls;
	uint32_t stack_bytes = s->stack_bytes;
	const struct pmf_profile_event *pe = &p->events[e];
	char a[PMF_UNITS_MAX], b[PMF_UNITS_MAX], c[PMF_UNITS_MAX];

	if (pe->lost_known && pe->lost && pe->cpu_timer)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"%s samples of '%s', of whoever ran, were lost: the rings of %s per CPU were "
			"full; fewer samples (-F, -c) or less stack with each (--stack-bytes) avoid it",
			pmf_format_count(a, pe->lost), pe->label,
			pmf_format_bytes(c, p->ring_bytes));
	else if (pe->lost_known && pe->lost)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"%s samples of '%s' were lost (%s): the rings of %s per CPU were full; "
			"fewer samples (-F, -c) or less stack with each (--stack-bytes) avoid it",
			pmf_format_count(a, pe->lost), pe->label,
			pmf_format_percent(b, (double)pe->lost, (double)(pe->lost + pe->samples)),
			pmf_format_bytes(c, p->ring_bytes));
	if (stack_bytes && pe->cut_stacks * 100 > pe->samples && stack_bytes < PMF_STACK_BYTES_MAX)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"%s of the stacks of '%s' were cut, deeper than the %s copied with each: "
			"'--stack-bytes %d' copies more",
			pmf_format_percent(a, (double)pe->cut_stacks, (double)pe->samples),
			pe->label, pmf_format_bytes(b, stack_bytes), next_stack_bytes(stack_bytes));
	if (pe->throttled && pe->cpu_timer)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"'%s' was throttled %s times: the kernel then stops a CPU's timer until its next "
			"tick, so what ran there has too small a share; a lower -F or a larger -c avoid it",
			pe->label, pmf_format_count(a, pe->throttled));
	else if (pe->throttled)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"'%s' was throttled %s times: the kernel then stops it, counting too, until "
			"its next tick, so all its numbers are too low; fewer samples (-F, -c) avoid it",
			pe->label, pmf_format_count(a, pe->throttled));
	if (pe->samples && pe->unsampled * 10 > pe->counted && !lost_explains_unsampled(pe))
		note_unsampled(s, e, cls);
}

/* Files whose functions have no names, or somebody else's. */
static void note_images(struct pmf_stacks *s)
{
	char a[PMF_UNITS_MAX];

	for (size_t i = 0; i < s->table.nr_images; i++)
		if (s->table.images[i]->why[0])
			pmf_info("%s: %s", s->table.images[i]->path, s->table.images[i]->why);
	pmf_info("/proc/PID/maps was read %s times", pmf_format_count(a, s->table.maps_reread));
	if (s->table.images_unreadable)
		pmf_profile_note(s->profile, PMF_NOTE_WARN, -1,
			"%s mapped file%s could not be opened, so their functions have no names: "
			"-v says which",
			pmf_format_count(a, s->table.images_unreadable),
			s->table.images_unreadable == 1 ? "" : "s");
	if (s->table.images_replaced)
		pmf_profile_note(s->profile, PMF_NOTE_WARN, -1,
			"%s mapped file%s replaced or deleted on disk while in use",
			pmf_format_count(a, s->table.images_replaced),
			s->table.images_replaced == 1 ? " was" : "s were");
}

/* Each task that starts gets a copy of every event of every CPU. What that costs was measured
 * (docs/benchmarks.md, fork, exec and wait); it is the command that pays. */
static void note_inheritance(struct pmf_stacks *s, const struct pmf_source *src)
{
	enum { COPY_NS = 1000, WORTH_TELLING = 20 }; /* 1 in 20 */
	uint64_t copies = s->table.tasks_started * src->facts.inherited_events,
		 ns = copies * COPY_NS, task_ns = s->profile->events[0].task_ns;
	char a[PMF_UNITS_MAX], b[PMF_UNITS_MAX], c[PMF_UNITS_MAX];

	if (ns * WORTH_TELLING < task_ns || ns < (uint64_t)COPY_NS * 1000)
		return;
	pmf_profile_note(s->profile, PMF_NOTE_WARN, -1,
		"%s processes and threads were started, and each start copies %zu events (those "
		"asked for and one more, for every CPU): that took about %s of the command's %s "
		"of CPU time; fewer events in one run take less",
		pmf_format_count(a, s->table.tasks_started), src->facts.inherited_events,
		pmf_format_ns(b, ns), pmf_format_ns(c, task_ns));
}

/* CPUs that came online or went offline meanwhile. */
static void note_hotplug(struct pmf_profile *p, const struct pmf_perf_hotplug *h)
{
	if (h->went)
		pmf_profile_note(p, PMF_NOTE_INFO, -1,
			"%zu time%s a CPU went offline: what was counted there until then is here",
			h->went, h->went == 1 ? "" : "s");
	if (h->came)
		pmf_profile_note(p, PMF_NOTE_INFO, -1,
			"%zu time%s a CPU came online: it is recorded from a tenth of a second later "
			"on",
			h->came, h->came == 1 ? "" : "s");
	if (h->missed)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"%zu CPU%s came online: what ran there was not counted, for events are on "
			"the CPUs that were online at the beginning",
			h->missed, h->missed == 1 ? "" : "s");
}

static bool any_unsampled(const struct pmf_profile *p)
{
	uint64_t sum = 0;

	for (size_t e = 0; e < p->nr_events; e++)
		sum += p->events[e].unsampled;
	return sum > 0;
}

static void note_quality(struct pmf_stacks *s, const struct pmf_source *src)
{
	struct pmf_profile *p = s->profile;
	char a[PMF_UNITS_MAX];

	p->lost_sideband = src->facts.lost_sideband;
	if (!src->facts.lost_per_event)
		p->lost_unattributed = s->lost_records;
	if (p->lost_sideband)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"%s record%s about processes and mappings %s lost; maps were read again from "
			"/proc",
			pmf_format_count(a, p->lost_sideband), p->lost_sideband == 1 ? "" : "s",
			p->lost_sideband == 1 ? "was" : "were");
	if (src->facts.out_of_order)
		pmf_profile_note(p, PMF_NOTE_INFO, -1, "%s record%s came later than %s time",
			pmf_format_count(a, src->facts.out_of_order),
			src->facts.out_of_order == 1 ? "" : "s",
			src->facts.out_of_order == 1 ? "its" : "their");
	if (src->facts.malformed)
		pmf_profile_note(p, PMF_NOTE_WARN, -1, "%s record%s made no sense and %s skipped",
			pmf_format_count(a, src->facts.malformed),
			src->facts.malformed == 1 ? "" : "s",
			src->facts.malformed == 1 ? "was" : "were");
	if (s->reads_missing && s->inherit && !counts_cpus(s) && any_unsampled(p))
		pmf_profile_note(p, PMF_NOTE_INFO, -1,
			"[unsampled] is drawn for all processes together: what each counted can be "
			"told on one CPU only, when no events take turns, and for whole runs");
	if (s->table.search) /* a recording: its own sentences follow */
		return;
	note_images(s);
	note_inheritance(s, src);
	note_hotplug(p, &src->facts.hotplug);
}

static void settle_all(struct pmf_stacks *s)
{
	for (size_t i = 0; i < s->table.n; i++)
		pmf_stacks_settle(s, s->table.procs[i]);
}

int pmf_totals_end(
	struct pmf_stacks *s, struct pmf_source *src, pid_t main_pid, struct pmf_err *err)
{
	struct pmf_profile *p = s->profile;
	struct pmf_process *main = main_pid ? pmf_process_get(&s->table, main_pid) : NULL;

	s->reads_missing = (!src->facts.task_totals || s->intervals) && s->has_descendants;
	for (size_t e = 0; e < s->list->n; e++) {
		struct pmf_profile_event *pe = &p->events[e];
		struct pmf_perf_totals t;
		int ret = src->ops->totals(src, e, &t, err);

		if (ret == PMF_ENOTFOUND) { /* a recording: the samples are all there is */
			pe->counted = pe->weight;
			pe->only_samples = true;
			continue;
		}
		if (ret)
			return ret;
		pe->counted = t.value;
		pe->enabled_ns = t.enabled_ns;
		pe->running_ns = t.running_ns;
		pe->task_ns = t.dummy_running_ns;
		pe->scale = scale_of(&s->list->events[e], &t);
		pe->lost = t.lost;
		pe->lost_known = src->facts.lost_per_event;
		if (!s->not_started)
			note_counts(p, e, &s->list->events[e], &t);
		pmf_idle_leave_out(&s->idle, s->list->events[e].cls, p, e);
		share_remainder(s, e, main);
	}
	if (s->not_started)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"no samples: the %s ended before --delay was over, so nothing was counted",
			s->target == PMF_PERF_COMMAND ? "command" : "recording");
	if (s->inherit && s->target == PMF_PERF_COMMAND && !s->goes_on)
		note_survivors(s, main);
	settle_all(s);
	for (size_t e = 0; e < s->list->n; e++) {
		if (p->events[e].cpu_timer && p->events[e].samples) {
			share_count(p, e);
		} else {
			pmf_stacks_draw_unsampled(s, e);
			tame_periods(s, e, s->list->events[e].cls);
		}
		if (!s->table.search)
			note_shares(s, e);
	}
	note_quality(s, src);
	return 0;
}
