/* The time in which CPUs had nothing to do. A clock on a CPU runs on in it; a machine's picture would be
 * mostly that. Samples cannot tell how long it was: timers of a CPU that sleeps come late, or, on some
 * virtual machines, not at all. The kernel's own accounts can, to a hundredth of a second (proc(5), stat). */
#include "collect_priv.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAT_MAX = 16 << 20 };

/* Idle and waiting for I/O, of the CPUs in @cpus. */
static uint64_t idle_ns(const char *cpus)
{
	struct pmf_buf text = PMF_BUF_INIT;
	uint64_t ticks = 0, idle, iowait;
	char *line, *save = NULL;
	int cpu;

	if (pmf_file_read("/proc/stat", STAT_MAX, &text, NULL) == 0 && text.len)
		for (line = strtok_r(text.data, "\n", &save); line;
			line = strtok_r(NULL, "\n", &save))
			if (sscanf(line, "cpu%d %*u %*u %*u %" SCNu64 " %" SCNu64, &cpu, &idle,
				    &iowait) == 3 &&
				pmf_perf_cpu_listed(cpus, cpu))
				ticks += idle + iowait;
	pmf_buf_release(&text);
	return ticks * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

void pmf_idle_begin(struct pmf_idle *idle, const char *cpus)
{
	*idle = (struct pmf_idle){
		.hides = pmf_process_sees_all(), .cpus = cpus, .before_ns = idle_ns(cpus)};
}

void pmf_idle_look(struct pmf_idle *idle)
{
	if (idle->hides)
		idle->now_ns = idle_ns(idle->cpus);
}

void pmf_idle_next(struct pmf_idle *idle)
{
	idle->before_ns = idle->now_ns;
}

bool pmf_idle_hides(
	const struct pmf_idle *idle, enum pmf_event_class cls, const struct pmf_record *rec)
{
	return idle->hides && cls == PMF_EVENT_CLOCK && rec->pid == 0;
}

void pmf_idle_leave_out(
	const struct pmf_idle *idle, enum pmf_event_class cls, struct pmf_profile *p, size_t e)
{
	struct pmf_profile_event *pe = &p->events[e];
	char share[PMF_UNITS_MAX], time[PMF_UNITS_MAX];
	uint64_t ns, busy;

	if (!idle->hides || cls != PMF_EVENT_CLOCK)
		return;
	ns = idle->now_ns > idle->before_ns ? idle->now_ns - idle->before_ns : 0;
	/* Ticks are coarse; what was sampled was not idle. */
	busy = PMF_MAX(pe->counted > ns ? pe->counted - ns : 0, pe->weight);
	if (busy >= pe->counted)
		return;
	ns = pe->counted - busy;
	pmf_profile_note(p, PMF_NOTE_INFO, (int)e,
		"the CPUs were idle for %s of the time (%s), which is neither counted nor drawn",
		pmf_format_percent(share, (double)ns, (double)pe->counted),
		pmf_format_ns(time, ns));
	pe->counted = busy;
}
