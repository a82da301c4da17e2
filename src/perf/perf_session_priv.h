/* The inside of a session, shared by its files. */
#ifndef PMF_PERF_SESSION_PRIV_H
#define PMF_PERF_SESSION_PRIV_H

#include "pmuflame/hash.h"
#include "pmuflame/perf.h"
#include <linux/perf_event.h>
#include <poll.h>

enum {
	PMF_RECORD_MAX = 65536, /* header.size is 16 bits wide */
	PMF_CPUS_MAX = 8192,
	PMF_PERF_GUARDS = 2,
};

struct pmf_perf_cpu {
	int cpu;
	int fd; /* the event that owns the ring: COMMAND's sideband, else a dummy of our own */
	bool online;
	bool sampled; /* opts.cpus has it */
	struct perf_event_mmap_page *page;
	size_t mapped_bytes;
	struct pmf_ring ring;
	size_t reader;      /* whose it is */
	uint64_t published; /* the tail that the kernel knows */
	/* The sideband events' running time: of those that were closed again, and when counting started. */
	uint64_t past_ns, before_ns;
};

/* In an event's place. */
#define PMF_PERF_SIDEBAND UINT32_MAX
#define PMF_PERF_GUARD (UINT32_MAX - 1) /* against swaps with the contexts of children */

struct pmf_perf_fd {
	int fd;
	uint32_t event, cpu_index;
	uint32_t task; /* of a TASKS session's */
	bool timer;    /* as pmf_perf_where has it */
};

/* What perf_event_open(2) is told about who is counted: a task, a cgroup or (-1) everyone. */
struct pmf_perf_where {
	pid_t pid;
	unsigned long flags;
	uint32_t task; /* number of a TASKS session's */
	bool on_exec;  /* its events are enabled by an exec */
	bool timer; /* just sampled, everyone, for tasks whose own events count (perf_timers.c) */
	/* NULL: on all CPUs */
	const struct pmf_perf_cpu *cpu;
};

/* On a cache line of its own: each reader writes to its own only. */
struct pmf_perf_drain {
	unsigned since_publish;
	char apart[64 - sizeof(unsigned)];
};

/* An event as it was opened, without pid and CPU. */
struct pmf_perf_opened {
	size_t event;
	struct perf_event_attr attr;
	const char *cpus; /* borrowed from the list */
};

/* The events of the whole session: on the command or, after pmf_perf_rehome, on each home; on each
 * task; or on the CPUs. */
struct pmf_perf_inherited {
	struct pmf_perf_fd *fds;
	size_t n, cap;
};

struct pmf_perf_session {
	const struct pmf_event_list *list; /* borrowed */
	struct pmf_perf_opts opts;
	struct pmf_perf_limits limits;
	struct pmf_perf_features features;
	bool kernel_permitted;
	bool inherits;    /* children get copies of the events */
	bool waiting;     /* not started yet */
	bool task_totals; /* each task that ends tells its counts */
	bool has_timers;  /* of CPUs, in a TASKS session */
	size_t ring_bytes;
	struct pmf_perf_cpu *cpus;
	size_t nr_cpus, cap_cpus;
	struct pmf_perf_inherited inherited;
	struct pmf_perf_tasks *tasks; /* of a TASKS session */
	struct pmf_perf_opened *opened;
	size_t nr_opened, cap_opened;
	/* Per event, and at last for the sideband: what descriptors that were closed again had counted,
	 * from where on totals count, and what they are while they are frozen. */
	struct pmf_perf_totals *past, *base, *frozen;
	bool is_frozen;
	struct pmf_perf_process *attached; /* a list */
	struct pmf_perf_bpf bpf;           /* .output NULL: none */
	int *bpf_fds;                      /* that it writes to */
	size_t nr_bpf_fds, cap_bpf_fds;
	struct pmf_perf_granted *granted;
	struct pmf_layouts layouts;
	struct pmf_ring **rings;
	struct pmf_readers *readers;
	struct pmf_perf_drain *drains; /* one a reader */
	pmf_record_cb *cb;             /* of the drain that goes on */
	void *cb_ctx;
	struct pollfd *polls; /* one a CPU, and a place for the caller's */
	struct pmf_perf_hotplug hotplug;
	char *online; /* CPUs, as the kernel writes them, at cpus_seen_ns */
	uint64_t cpus_seen_ns;
	bool is_over; /* counting was ended */
};

/* ---- perf_session.c ---- */

/* Tell how the records of @fd, opened with @attr, are laid out. */
int pmf_perf_add_layout(struct pmf_perf_session *s, int fd, const struct pmf_layout *like,
	const struct perf_event_attr *attr, struct pmf_err *err);

/* The event that owns the ring of @c. */
int pmf_perf_open_owner(struct pmf_perf_session *s, struct pmf_perf_cpu *c, struct pmf_err *err);

/* ---- perf_cpus.c ---- */

/* Are its events those of CPUs, SYSTEM's and CGROUP's, and not of tasks? */
bool pmf_perf_is_cpu_wide(const struct pmf_perf_session *s);
/* Who is meant by events of CPUs: SYSTEM's, CGROUP's and the timers of TASKS. */
struct pmf_perf_where pmf_perf_everyone(const struct pmf_perf_session *s);
/* The CPUs of the session; @wanted: those to count on, NULL for all. */
int pmf_perf_list_cpus(struct pmf_perf_session *s, const char *wanted, struct pmf_err *err);
/* Now and then: what came online, and what went. */
void pmf_perf_tend_cpus(struct pmf_perf_session *s);

/* ---- perf_attr.c ---- */

/* Events that only carry records: of who is counted, and one that just owns a ring. */
void pmf_perf_sideband_attr(const struct pmf_perf_session *s, struct perf_event_attr *a);
void pmf_perf_owner_attr(const struct pmf_perf_session *s, struct perf_event_attr *a);
/* Find out, on this thread, how each event of the list can be opened here: fills in what was granted
 * and what is to be opened. */
int pmf_perf_settle(struct pmf_perf_session *s, struct pmf_err *err);

/* ---- perf_open.c ---- */

/* The leader of each group on each CPU, while a set of events is opened. */
struct pmf_perf_leaders {
	int *fds;
	size_t nr_groups;
};
void pmf_perf_leaders_init(struct pmf_perf_leaders *l, const struct pmf_perf_session *s);
void pmf_perf_leaders_release(struct pmf_perf_leaders *l);
/* The place of @ev's group on CPU number @c, -1 while it has no leader; NULL if @ev is in no group. */
int *pmf_perf_leader(struct pmf_perf_leaders *l, const struct pmf_event *ev, size_t c);

/* Is @o to be counted on CPU number @c of the session, when that is online? */
bool pmf_perf_covers(const struct pmf_perf_session *s, const struct pmf_perf_opened *o, size_t c);
/* Open @o with @attr in @where on CPU number @c, into its ring. Returns the descriptor or a negative
 * status: PMF_ENOTFOUND if the task has ended or the CPU is offline. */
int pmf_perf_open_one(struct pmf_perf_session *s, const struct pmf_perf_opened *o,
	struct perf_event_attr attr, const struct pmf_perf_where *where, size_t c,
	struct pmf_perf_leaders *l, struct pmf_err *err);
/* Sideband events in @where, at work at once. Statuses as above. */
int pmf_perf_open_sidebands(
	struct pmf_perf_session *s, const struct pmf_perf_where *where, struct pmf_err *err);
/* All events of the session in @where, to be enabled. Statuses as above. */
int pmf_perf_open_events(
	struct pmf_perf_session *s, const struct pmf_perf_where *where, struct pmf_err *err);
/* Events on @pid that are not inherited, against swaps of its contexts with its children's. @fds has
 * PMF_PERF_GUARDS places, filled with -1. */
int pmf_perf_open_guards(
	const struct pmf_perf_session *s, pid_t pid, int *fds, struct pmf_err *err);
/* The same for the session's own events. */
int pmf_perf_guard(struct pmf_perf_session *s, pid_t pid, uint32_t task, struct pmf_err *err);

/* ---- perf_refused.c ---- */

/* As pmf_perf_explain(), for an open in @where. */
int pmf_perf_explain_whom(const struct pmf_perf_session *s, const struct pmf_event *ev, int errnum,
	const struct perf_event_attr *attr, const struct pmf_perf_where *where,
	struct pmf_err *err);
/* PMF_ENOTFOUND: there is no thread @tid, or process (not @single). */
int pmf_perf_explain_gone(pid_t tid, bool single, struct pmf_err *err);
/* Permit this process more descriptors, if it may; false if it has as many as it can. */
bool pmf_perf_raise_nofile(void);

/* ---- perf_tasks.c ---- */

/* The events of a TASKS session on all of its tasks. */
int pmf_perf_open_tasks(struct pmf_perf_session *s, struct pmf_err *err);
/* Close the events of tasks that have ended, with all that inherited from them. */
void pmf_perf_tend_tasks(struct pmf_perf_session *s);

/* ---- perf_timers.c ---- */

/* Which events of a TASKS session are sampled by timers of the CPUs. */
int pmf_perf_choose_timers(struct pmf_perf_session *s, struct pmf_err *err);
/* Make of @a, with which event @o samples, how it is opened in @where. False: not at all. */
bool pmf_perf_time_attr(const struct pmf_perf_session *s, const struct pmf_perf_opened *o,
	const struct pmf_perf_where *where, struct perf_event_attr *a);
/* Is @rec a sample that a timer took of someone who is not counted? */
bool pmf_perf_is_stranger(const struct pmf_perf_session *s, const struct pmf_record *rec);

/* ---- perf_holders.c ---- */

/* Opened on one task. */
struct pmf_perf_task {
	pid_t pid, tid;
	uint64_t begun_ns, opened_ns; /* before the first event, after the last */
	bool asleep;                  /* at opened_ns or later it was in no fork */
	bool bore;                    /* a child since then */
	bool torn;                    /* a child may have some of the events: open them again */
	bool opened;                  /* at least once */
	unsigned times;               /* tried so far */
	size_t holders;               /* tasks with its events that have not ended */
};

/* A task whose events are known: those of task number @task (or copies of them), or none. */
struct pmf_perf_holder {
	pid_t tid, pid;
	uint32_t task;
};
#define PMF_PERF_NO_TASK UINT32_MAX

struct pmf_perf_tasks {
	struct pmf_perf_task *items;
	size_t n, cap;
	struct pmf_perf_holder *holders;
	size_t nr_holders, cap_holders;
	struct pmf_index by_tid; /* holders */
	pid_t *pids;             /* whose threads are counted */
	size_t nr_pids, cap_pids;
	bool threads, processes; /* those to come inherit */
	bool opening;
	bool blind;     /* not every birth was told: who has ended cannot be known */
	size_t ended;   /* tasks that lost their last holder: their events can be closed */
	size_t nr_torn; /* tasks whose events are to be opened again */
};

void pmf_perf_tasks_init(struct pmf_perf_tasks *t, const struct pmf_perf_opts *opts);
void pmf_perf_tasks_free(struct pmf_perf_tasks *t); /* NULL is none */
const struct pmf_perf_holder *pmf_perf_holder_find(const struct pmf_perf_tasks *t, pid_t tid);
void pmf_perf_holder_add(struct pmf_perf_tasks *t, pid_t tid, pid_t pid, uint32_t task);
/* What a FORK, EXIT, COMM (of an exec) or LOST record says of who has whose events. Told again, it changes nothing. */
void pmf_perf_tasks_record(struct pmf_perf_tasks *t, const struct pmf_record *rec);
/* Can a birth from @task before @now_ns be in doubt that no record told of yet? */
bool pmf_perf_task_in_doubt(const struct pmf_perf_task *task, uint64_t now_ns);
/* Nobody has the events of task number @task any more. */
void pmf_perf_tasks_drop(struct pmf_perf_tasks *t, uint32_t task);

/* ---- perf_totals.c ---- */

/* read(2) of one descriptor. */
int pmf_perf_read_fd(
	const struct pmf_perf_session *s, int fd, struct pmf_perf_totals *t, struct pmf_err *err);
/* Add what descriptor @fd says to the totals of its event: the count only if it is @alone, so that
 * nothing else counted the same. */
int pmf_perf_add_fd(const struct pmf_perf_session *s, int fd, bool alone,
	struct pmf_perf_totals *sum, struct pmf_err *err);

/* Keep what descriptor @f, which is to be closed, has counted. */
void pmf_perf_keep(struct pmf_perf_session *s, const struct pmf_perf_fd *f);

/* ---- perf_attach.c ---- */

/* Add what the events of single processes count to the totals of event @event. */
int pmf_perf_attached_totals(
	struct pmf_perf_session *s, size_t event, struct pmf_perf_totals *sum, struct pmf_err *err);
void pmf_perf_attached_start(struct pmf_perf_session *s);
void pmf_perf_attached_disable(struct pmf_perf_session *s);
void pmf_perf_attached_close(struct pmf_perf_session *s);
void pmf_perf_inherited_close(struct pmf_perf_inherited *in);

/* ---- perf_bpf.c ---- */

/* If there is a program: let it run at the overflows of @f, if that samples. */
void pmf_perf_run_bpf(struct pmf_perf_session *s, const struct pmf_perf_fd *f);
/* If there is a program: let it write on CPU number @c. */
int pmf_perf_bpf_join(struct pmf_perf_session *s, size_t c, struct pmf_err *err);
void pmf_perf_bpf_close(struct pmf_perf_session *s);

/* ---- perf_ring.c ---- */

/* Map a ring of @bytes of data (a power of two) for its owner; false with errno set. */
bool pmf_perf_ring_map(struct pmf_perf_cpu *c, size_t bytes);
void pmf_perf_ring_unmap(struct pmf_perf_cpu *c);
/* Take over the kernel's head. */
void pmf_perf_ring_refresh(struct pmf_perf_cpu *c);
/* Tell the kernel how far the ring was read. */
void pmf_perf_ring_publish(struct pmf_perf_cpu *c);

/* ---- perf_fit.c ---- */

/* Found out on this thread: can all hardware events of @list be on at once, each @sets times? Those
 * that do not open do not count. */
bool pmf_perf_counters_suffice(
	const struct pmf_event_list *list, size_t sets, bool kernel_permitted);

#endif
