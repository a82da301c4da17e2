/* The inside of a session, shared by its files. */
#ifndef PMF_PERF_SESSION_PRIV_H
#define PMF_PERF_SESSION_PRIV_H

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
	int fd; /* the sideband event, which owns the ring; -1 if the CPU went away */
	struct perf_event_mmap_page *page;
	size_t mapped_bytes;
	struct pmf_ring ring;
	size_t reader;      /* whose it is */
	uint64_t published; /* the tail that the kernel knows */
	uint64_t before_ns; /* the sideband event's running time when counting started */
	int *group_fds;     /* leader of each group on this CPU, -1 before it is open */
};

struct pmf_perf_fd {
	int fd;
	size_t event, cpu_index;
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

/* The inherited events: on the command or, after pmf_perf_rehome, on each home. */
struct pmf_perf_inherited {
	struct pmf_perf_fd *fds;
	size_t n, cap;
	size_t nr_homes;
	int *guards; /* of the homes, as the session's */
	size_t nr_guards, cap_guards;
};

struct pmf_perf_session {
	const struct pmf_event_list *list; /* borrowed */
	struct pmf_perf_opts opts;
	struct pmf_perf_limits limits;
	struct pmf_perf_features features;
	bool kernel_permitted;
	bool waiting;     /* delayed, and not started yet */
	bool task_totals; /* each task that ends tells its counts */
	size_t ring_bytes;
	int guard_fds[PMF_PERF_GUARDS]; /* against swaps with the contexts of children */
	struct pmf_perf_cpu *cpus;
	size_t nr_cpus, cap_cpus;
	struct pmf_perf_inherited inherited;
	struct pmf_perf_opened *opened;
	size_t nr_opened, cap_opened;
	/* Per event: what descriptors that were closed again had counted. */
	struct pmf_perf_totals *past;
	struct pmf_perf_process *attached; /* a list */
	struct pmf_perf_granted *granted;
	struct pmf_layouts layouts;
	struct pmf_ring **rings;
	struct pmf_readers *readers;
	struct pmf_perf_drain *drains; /* one a reader */
	pmf_record_cb *cb;             /* of the drain that goes on */
	void *cb_ctx;
	struct pollfd *polls; /* one a CPU, and a place for the caller's */
};

/* ---- perf_session.c ---- */

/* Tell how the records of @fd, opened with @attr, are laid out. */
int pmf_perf_add_layout(struct pmf_perf_session *s, int fd, const struct pmf_layout *like,
	const struct perf_event_attr *attr, struct pmf_err *err);
/* Events on @pid that are not inherited, against swaps of its contexts with its children's. @fds has
 * PMF_PERF_GUARDS places, filled with -1. */
int pmf_perf_open_guards(
	const struct pmf_perf_session *s, pid_t pid, int *fds, struct pmf_err *err);

/* ---- perf_totals.c ---- */

/* read(2) of one descriptor. */
int pmf_perf_read_fd(
	const struct pmf_perf_session *s, int fd, struct pmf_perf_totals *t, struct pmf_err *err);
/* Add what descriptor @fd says to the totals of its event: the count only if it is @alone, so that
 * nothing else counted the same. */
int pmf_perf_add_fd(const struct pmf_perf_session *s, int fd, bool alone,
	struct pmf_perf_totals *sum, struct pmf_err *err);

/* ---- perf_attach.c ---- */

/* Add what the events of single processes count to the totals of event @event. */
int pmf_perf_attached_totals(
	struct pmf_perf_session *s, size_t event, struct pmf_perf_totals *sum, struct pmf_err *err);
void pmf_perf_attached_start(struct pmf_perf_session *s);
void pmf_perf_attached_disable(struct pmf_perf_session *s);
void pmf_perf_attached_close(struct pmf_perf_session *s);
void pmf_perf_inherited_close(struct pmf_perf_inherited *in);

/* ---- perf_ring.c ---- */

/* Map a ring of @bytes of data (a power of two) for the sideband event; false with errno set. */
bool pmf_perf_ring_map(struct pmf_perf_cpu *c, size_t bytes);
void pmf_perf_ring_unmap(struct pmf_perf_cpu *c);
/* Take over the kernel's head. */
void pmf_perf_ring_refresh(struct pmf_perf_cpu *c);
/* Tell the kernel how far the ring was read. */
void pmf_perf_ring_publish(struct pmf_perf_cpu *c);

/* Is @cpu in @list ("0-3,8", as in sysfs)? NULL lists every CPU. */
bool pmf_perf_cpu_listed(const char *list, int cpu);

/* ---- perf_fit.c ---- */

/* Found out on this thread: can all hardware events of @list be on at once, each @sets times? Those
 * that do not open do not count. */
bool pmf_perf_counters_suffice(
	const struct pmf_event_list *list, size_t sets, bool kernel_permitted);

#endif
