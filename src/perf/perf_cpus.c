/* On which CPUs a session counts: those that are online, and those that come. */
#include "perf_session_priv.h"

#include "pmuflame/clock.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LIST_MAX = 4096, LOOK_NS = 100000000 };

bool pmf_perf_is_cpu_wide(const struct pmf_perf_session *s)
{
	return s->opts.target == PMF_PERF_SYSTEM || s->opts.target == PMF_PERF_CGROUP;
}

struct pmf_perf_where pmf_perf_everyone(const struct pmf_perf_session *s)
{
	if (s->opts.target == PMF_PERF_CGROUP)
		return (struct pmf_perf_where){
			.pid = s->opts.cgroup_fd, .flags = PERF_FLAG_PID_CGROUP};
	return (struct pmf_perf_where){.pid = -1, .timer = s->opts.target == PMF_PERF_TASKS};
}

/* Without sysfs, as in a bare chroot, CPUs are taken to be numbered without gaps. */
static void read_list(const char *which, char list[LIST_MAX])
{
	char path[64];

	snprintf(path, sizeof path, "/sys/devices/system/cpu/%s", which);
	if (pmf_file_read_line(path, list, LIST_MAX, NULL))
		snprintf(list, LIST_MAX, "0-%ld", sysconf(_SC_NPROCESSORS_ONLN) - 1);
}

/* Is @list numbers and ranges of them, and nothing else? */
static bool is_list(const char *list)
{
	for (;;) {
		char *end;
		unsigned long first, last;

		if (*list < '0' || *list > '9')
			return false;
		first = last = strtoul(list, &end, 10);
		if (*end == '-') {
			list = end + 1;
			if (*list < '0' || *list > '9')
				return false;
			last = strtoul(list, &end, 10);
		}
		if (last < first || last >= PMF_CPUS_MAX)
			return false;
		if (!*end)
			return true;
		if (*end != ',')
			return false;
		list = end + 1;
	}
}

static int check_wanted(const char *wanted, const char *online, struct pmf_err *err)
{
	if (!is_list(wanted))
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s' is no list of CPUs: write numbers and ranges, such as 0-3,8", wanted);
	for (int cpu = 0; cpu < PMF_CPUS_MAX; cpu++)
		if (pmf_perf_cpu_listed(wanted, cpu) && !pmf_perf_cpu_listed(online, cpu))
			return pmf_err_set(err, PMF_EUSAGE,
				"CPU %d of '%s' is not online: those that are have the numbers %s",
				cpu, wanted, online);
	return 0;
}

int pmf_perf_list_cpus(struct pmf_perf_session *s, const char *wanted, struct pmf_err *err)
{
	/* A task's events are on the CPUs that are there when they are opened; to those of CPUs
	 * others can be added. */
	char online[LIST_MAX], present[LIST_MAX];
	int ret = 0;

	read_list("online", online);
	read_list(pmf_perf_is_cpu_wide(s) ? "present" : "online", present);
	if (wanted)
		ret = check_wanted(wanted, online, err);
	/* What processes do elsewhere is recorded all the same: it concerns their address spaces. */
	for (int cpu = 0; cpu < PMF_CPUS_MAX; cpu++)
		if (pmf_perf_cpu_listed(present, cpu))
			PMF_PUSH(s->cpus, s->nr_cpus, s->cap_cpus) = (struct pmf_perf_cpu){
				.cpu = cpu,
				.fd = -1,
				.online = pmf_perf_cpu_listed(online, cpu),
				.sampled = pmf_perf_cpu_listed(wanted, cpu),
			};
	s->online = pmf_strdup(online);
	return ret;
}

/* The kernel has taken the CPU's events away, tasks' excepted. What they counted can be read, and their
 * records stay in the ring. */
static void take_leave(struct pmf_perf_session *s, size_t c)
{
	struct pmf_perf_inherited *in = &s->inherited;
	size_t kept = 0;

	for (size_t i = 0; i < in->n; i++) {
		if (in->fds[i].cpu_index != c || (s->tasks && !in->fds[i].timer)) {
			in->fds[kept++] = in->fds[i];
			continue;
		}
		pmf_perf_keep(s, &in->fds[i]);
		close(in->fds[i].fd);
	}
	in->n = kept;
}

/* Count on a CPU that came online. */
static bool join(struct pmf_perf_session *s, size_t c)
{
	struct pmf_perf_where where = pmf_perf_everyone(s);
	size_t before = s->inherited.n;
	struct pmf_perf_cpu *cpu = &s->cpus[c];

	where.cpu = cpu;
	/* A ring of ours stays when its CPU goes. */
	if (!cpu->page &&
		(pmf_perf_open_owner(s, cpu, NULL) || !pmf_perf_ring_map(cpu, s->ring_bytes)))
		return false;
	s->polls[c].fd = cpu->fd;
	if (pmf_perf_bpf_join(s, c, NULL) ||
		(!where.timer && pmf_perf_open_sidebands(s, &where, NULL)) ||
		pmf_perf_open_events(s, &where, NULL))
		return false;
	pmf_layouts_seal(&s->layouts);
	for (size_t i = before; i < s->inherited.n && !s->waiting; i++)
		ioctl(s->inherited.fds[i].fd, PERF_EVENT_IOC_ENABLE, 0);
	return true;
}

static void follow(struct pmf_perf_session *s, const char *online)
{
	for (size_t c = 0; c < s->nr_cpus; c++) {
		bool was = s->cpus[c].online, is = pmf_perf_cpu_listed(online, s->cpus[c].cpu);

		if (is == was)
			continue;
		s->cpus[c].online = is;
		if (is && join(s, c)) {
			s->hotplug.came++;
			continue;
		}
		take_leave(s, c);
		s->cpus[c].online = false;
		s->hotplug.went += !is;
		s->hotplug.missed += is;
	}
}

/* CPUs that were not there at first. A task's events on one that was go on when it comes back. */
static void count_missed(struct pmf_perf_session *s, const char *online)
{
	size_t missed = 0, known = 0;

	for (int cpu = 0; cpu < PMF_CPUS_MAX; cpu++) {
		while (known < s->nr_cpus && s->cpus[known].cpu < cpu)
			known++;
		missed += pmf_perf_cpu_listed(online, cpu) &&
			  !(known < s->nr_cpus && s->cpus[known].cpu == cpu);
	}
	s->hotplug.missed = PMF_MAX(s->hotplug.missed, missed);
	if (missed && s->tasks)
		s->tasks->blind = true;
}

void pmf_perf_tend_cpus(struct pmf_perf_session *s)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC);
	char online[LIST_MAX];

	if (s->is_over || now - s->cpus_seen_ns < LOOK_NS)
		return;
	s->cpus_seen_ns = now;
	read_list("online", online);
	if (strcmp(online, s->online) == 0)
		return;
	free(s->online);
	s->online = pmf_strdup(online);
	if (pmf_perf_is_cpu_wide(s) || s->has_timers)
		follow(s, online);
	count_missed(s, online);
}
