/* pmuflame/perf.h - the only caller of perf_event_open(2): descriptors, rings, permissions, limits.
 * Layer: perf (uses base, event, record). Threads: one owner per session. */
#ifndef PMUFLAME_PERF_H
#define PMUFLAME_PERF_H

#include "pmuflame/err.h"
#include "pmuflame/event.h"
#include "pmuflame/record.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- What this machine and this user may do ---- */

enum { PMF_PERF_PARANOID_UNKNOWN = -100 }; /* it cannot be read */

struct pmf_perf_limits {
	long long paranoid;    /* kernel.perf_event_paranoid */
	long long mlock_kb;    /* kernel.perf_event_mlock_kb */
	long long max_rate_hz; /* kernel.perf_event_max_sample_rate, 0 if it cannot be read */
	long long max_stack;   /* kernel.perf_event_max_stack */
	long long kptr_restrict;
	bool cap_perfmon; /* CAP_PERFMON or CAP_SYS_ADMIN is effective */
	bool cap_ipc_lock;
	bool cap_sys_ptrace; /* other users' processes may be looked into */
	bool cap_bpf;        /* CAP_BPF or CAP_SYS_ADMIN is effective */
	bool user_namespace; /* capabilities held here do not count for perf events */
	bool seccomp_filter; /* a filter (container, sandbox) decides about system calls */
	int cpus_online;
};
void pmf_perf_limits_read(struct pmf_perf_limits *l);
/* May this user sample the kernel's own code? */
bool pmf_perf_kernel_permitted(const struct pmf_perf_limits *l);

/* Is @cpu in @list ("0-3,8", as in sysfs)? NULL lists every CPU. */
bool pmf_perf_cpu_listed(const char *list, int cpu);

/* Fields of struct perf_event_attr that kernels learnt over time, found out by opening. */
struct pmf_perf_features {
	bool build_id;       /* attr.build_id (5.12) */
	bool ksymbol;        /* attr.ksymbol (5.1) */
	bool format_lost;    /* PERF_FORMAT_LOST (6.0) */
	bool inherited_read; /* PERF_SAMPLE_READ of inherited events (6.12) */
	bool sigtrap;        /* attr.sigtrap and attr.inherit_thread (5.13) */
};
/* 0, or the reason why the kernel refuses every event (seccomp filter, perf_event_paranoid 3, no
 * perf_event_open at all) with the remedy. */
int pmf_perf_features_probe(struct pmf_perf_features *f, struct pmf_err *err);

/* How far an event gets on this machine, by trying it on this thread. */
struct pmf_perf_try {
	bool opens, counts, samples;
	bool exercised; /* the trial made it happen; else counts means little, samples: it opens
			 * so */
	bool user_only; /* it only opens with exclude_kernel */
	int precise_ip; /* the highest that opens, if it samples */
	char why[400];  /* what stopped it: a sentence, "" if nothing did */
};
void pmf_perf_try_event(const struct pmf_event *ev, struct pmf_perf_try *out);
/* As pmf_event_can_open: does it open for sampling here? */
bool pmf_perf_can_open(void *ctx, const struct pmf_event *ev, struct pmf_err *why);
/* Do the @n @events count all the time when they are opened together for sampling? Tried over some
 * milliseconds of work on this thread. */
bool pmf_perf_together(const struct pmf_event *const *events, size_t n);
/* Is there a PMU: plain cycles opens and counts over a millisecond of work? @why gets the
 * reason. */
bool pmf_perf_has_pmu(struct pmf_err *why);

/* ---- A session: events open on a child, on tasks that run or on CPUs, in one ring per CPU ---- */

/* Who is counted. */
enum pmf_perf_target {
	/* opts.pid, stopped before its exec, and what it starts. */
	PMF_PERF_COMMAND,
	/* The processes opts.pids: each of their threads, those to come too, once; with opts.inherit
	 * also the processes that they start from now on. With opts.single just the threads
	 * opts.pids. */
	PMF_PERF_TASKS,
	PMF_PERF_CGROUP, /* whoever runs in opts.cgroup_fd */
	PMF_PERF_SYSTEM, /* whoever runs */
};

/* Whose timers sample the clocks (cpu-clock, task-clock) of TASKS. A task's are stopped and started at
 * each of its switches, a CPU's disturb whoever else runs there (docs/adr/0030). */
enum pmf_perf_timers {
	/* The CPUs', if there are more threads (and children, with opts.inherit) than CPUs and it can be;
	 * else the tasks'. */
	PMF_PERF_TIMERS_AUTO,
	PMF_PERF_TIMERS_TASKS,
	PMF_PERF_TIMERS_CPUS, /* pmf_perf_open() says why, if it cannot be */
};

/* COMMAND counts from its exec, unless opts.delayed. For all others what processes do (exec, map,
 * start and end) is recorded from pmf_perf_open() on, and counting begins with pmf_perf_start(). */
struct pmf_perf_opts {
	enum pmf_perf_target target;
	pid_t pid;         /* COMMAND */
	const pid_t *pids; /* TASKS: borrowed for the call */
	size_t nr_pids;
	bool single;
	enum pmf_perf_timers timers;
	int cgroup_fd;    /* CGROUP: of its folder, borrowed for the session's life */
	const char *cpus; /* count on these only, "0-3,8", borrowed for the call; NULL: on all */
	bool delayed;     /* COMMAND: count only from pmf_perf_start() on */
	bool inherit;     /* COMMAND and TASKS: processes that the counted ones start, too */
	bool user_stacks; /* registers and dump */
	uint32_t stack_bytes; /* dump size, multiple of 8, at most 65,528 */
	bool callchain_kernel;
	bool callchain_user; /* let the kernel walk user frame pointers */
	size_t readers; /* threads that drain, at most one a CPU; 0 is 1; with timers of CPUs 1 */
	size_t ring_bytes; /* wanted per CPU; halved until it fits */
	/* Processes may get events of their own (pmf_perf_attach): samples of one software event
	 * that is open twice are told apart by the count that they carry. */
	bool attachable;
	bool data_maps; /* mappings without code, too: perf looks there for a file's lowest address */
};

/* What became of one event. */
struct pmf_perf_granted {
	int precise_ip;
	bool exclude_kernel;
	bool exclude_kernel_forced; /* not asked for: the kernel permits no more */
	/* TASKS: counted in the tasks, and sampled by a timer of each CPU, whose samples of others are
	 * left out: those delivered share the count. Their weights are the timers' periods. */
	bool cpu_timer;
};

struct pmf_perf_session;

/* Open every event of @list on every CPU. The calling thread's end ends the rings. On failure nothing
 * stays open, and the sentence names the event or the target, the reason and the remedy. */
int pmf_perf_open(struct pmf_perf_session **out, const struct pmf_event_list *list,
	const struct pmf_perf_opts *opts, struct pmf_err *err);
void pmf_perf_close(struct pmf_perf_session *s);

const struct pmf_perf_granted *pmf_perf_granted(const struct pmf_perf_session *s, size_t event);
/* With what event @event was opened; of several core PMUs, on the first. Lives as long as @s. */
const struct perf_event_attr *pmf_perf_opened_attr(const struct pmf_perf_session *s, size_t event);
size_t pmf_perf_ring_bytes(const struct pmf_perf_session *s); /* granted, per CPU */
bool pmf_perf_has_format_lost(const struct pmf_perf_session *s);
/* Does each inherited task tell with a READ record what it counted? */
bool pmf_perf_has_task_totals(const struct pmf_perf_session *s);
/* CPUs that changed while a session counted. What was counted on one that went offline stays. */
struct pmf_perf_hotplug {
	size_t came;   /* online, and are counted on since then: SYSTEM, CGROUP, timers of CPUs */
	size_t went;   /* offline: the same */
	size_t missed; /* online, and are not counted on */
};
struct pmf_perf_hotplug pmf_perf_hotplug(const struct pmf_perf_session *s);
/* Over all CPUs, sideband included: what the kernel copies for each task that starts. */
size_t pmf_perf_inherited_events(const struct pmf_perf_session *s);
size_t pmf_perf_readers(const struct pmf_perf_session *s);

/* A session that is delayed, or not of a COMMAND, counts from now on, in all that inherited its
 * events. */
void pmf_perf_start(struct pmf_perf_session *s);

/* Wait until a ring has data worth reading, @extra_fd (or -1) is readable, or @timeout_ms is over.
 * Returns 1 if @extra_fd is readable, else 0, or a negative status. */
int pmf_perf_wait(struct pmf_perf_session *s, int extra_fd, int timeout_ms, struct pmf_err *err);

/* Deliver what the rings hold in time order; @final: everything, else only what no ring can still
 * write something older than. With several readers @cb runs in all of them, see pmf_readers_drain. */
int pmf_perf_drain(struct pmf_perf_session *s, bool final, pmf_record_cb *cb, void *ctx);

/* ---- Events of one process, besides those that are inherited by all ----
 * Their records come with the others, as samples of the same events; pmf_record.signals tells them
 * apart. */

struct pmf_perf_process;

struct pmf_perf_attach_opts {
	pid_t pid;
	/* Each overflow also sends a SIGTRAP (attr.sigtrap) to the thread that caused it: the
	 * process has a handler for it, or it ends. Gone when it executes a program. */
	bool signals;
	/* No other event of this session counts in @pid: what these count belongs to the totals. */
	bool alone;
};

/* Open every event on @opts->pid and the threads that it will start. Events that cannot be opened a
 * second time beside the inherited ones (software events before Linux 6.12) are left out. */
int pmf_perf_attach(struct pmf_perf_session *s, const struct pmf_perf_attach_opts *opts,
	struct pmf_perf_process **out, struct pmf_err *err);
/* Stop counting in @proc, or go on. */
void pmf_perf_pause(struct pmf_perf_process *proc, bool pause);
/* Is event @event among them? */
bool pmf_perf_attached_event(const struct pmf_perf_process *proc, size_t event);
/* Close them. @counted, of as many places as the session has events, gets what each counted in
 * that process. */
void pmf_perf_detach(struct pmf_perf_session *s, struct pmf_perf_process *proc, uint64_t *counted);

/* A task that inherited events count in, or sleep in until it executes a program. */
struct pmf_perf_home {
	pid_t tid;
	bool asleep;
};

/* End the inherited events, whose counts stay in the totals, and open the like of them on the @n
 * tasks @homes, whose descendants inherit them from there. @settled is asked in between: did this
 * begin with all tasks that have inherited events, and in these states? If it says no, or if an
 * event cannot be opened, or a delayed session was not started yet, all stays as it was, and a
 * negative status says so. */
int pmf_perf_rehome(struct pmf_perf_session *s, const struct pmf_perf_home *homes, size_t n,
	bool (*settled)(void *ctx), void *ctx, struct pmf_err *err);

/* ---- A BPF program at the overflows ----
 *
 * Each overflow of an event runs the program before the sample is written; what the program writes
 * (bpf_perf_event_output) into the event of its CPU stands before that sample in the same ring, as a
 * sample of PMF_NO_EVENT with raw data. */

struct pmf_perf_bpf {
	int prog_fd; /* of BPF_PROG_TYPE_PERF_EVENT */
	/* One a CPU: the descriptor @fd of what to write to on @cpu, which ends with the session. */
	int (*output)(void *ctx, int cpu, int fd, struct pmf_err *err);
	void *ctx;
	/* Of as many places as there are events: gets which of them take no program, as tracepoints do
	 * not. */
	bool *missing;
};

/* Before counting starts, for all events of the session, in tasks that inherit them and those opened later, too.
 * What @bpf points to lives as long as the session, unless this fails. */
int pmf_perf_set_bpf(
	struct pmf_perf_session *s, const struct pmf_perf_bpf *bpf, struct pmf_err *err);

/* Stop counting, descendants included. */
void pmf_perf_disable(struct pmf_perf_session *s);

/* Totals of event @event over its descriptors (read(2)); @dummy_running_ns: Σ over those CPUs of
 * the sideband events' running time, the base for multiplexing; @nr_clocks: how many of the descriptors have the
 * same time in their enabled_ns, a task's at all its CPUs. */
struct pmf_perf_totals {
	uint64_t value, enabled_ns, running_ns, lost;
	uint64_t dummy_running_ns, nr_clocks;
};
int pmf_perf_totals(
	struct pmf_perf_session *s, size_t event, struct pmf_perf_totals *out, struct pmf_err *err);
/* What pmf_perf_totals() and pmf_perf_lost_sideband() give from now on begins here; while they are
 * frozen, at the moment in which they were. */
void pmf_perf_mark(struct pmf_perf_session *s);
/* While @on, they give what they were at this call; pmf_perf_disable() freezes them for good. No
 * descriptor is read for it, so a child made by fork(2) can ask, too. */
void pmf_perf_freeze(struct pmf_perf_session *s, bool on);
/* Records lost from the rings that belong to no sampled event. */
uint64_t pmf_perf_lost_sideband(struct pmf_perf_session *s);
uint64_t pmf_perf_out_of_order(const struct pmf_perf_session *s);
uint64_t pmf_perf_malformed(const struct pmf_perf_session *s);

#endif
