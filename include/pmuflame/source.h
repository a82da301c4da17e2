/* pmuflame/source.h - where records come from: a live session or a recording, behind one interface.
 * Layer: source (uses base, event, perf, record). Threads: one owner.
 * Everything above it sees the same records in the same order whichever it is. To add a source: one
 * file src/source/source_NAME.c with its struct pmf_source_ops. */
#ifndef PMUFLAME_SOURCE_H
#define PMUFLAME_SOURCE_H

#include "pmuflame/err.h"
#include "pmuflame/event.h"
#include "pmuflame/perf.h"
#include "pmuflame/perf_data.h"
#include "pmuflame/record.h"

struct pmf_source;

struct pmf_source_ops {
	/* Wait for records, for @extra_fd (-1: none) or for the time to pass: 1 if @extra_fd is
	 * readable, else 0, or a negative status. */
	int (*wait)(struct pmf_source *src, int extra_fd, int timeout_ms, struct pmf_err *err);
	/* Deliver records in time order; @final: all that are left. A negative return of @cb
	 * stops. With facts.readers > 1 @cb runs in as many threads at once, rec->reader says in
	 * which, and each sees the whole timeline but only its own samples (pmf_readers_drain). */
	int (*drain)(struct pmf_source *src, bool final, pmf_record_cb *cb, void *ctx);
	/* End counting; totals are asked for after it. */
	void (*stop)(struct pmf_source *src);
	/* What the counters say. PMF_ENOTFOUND where a recording has no totals. */
	int (*totals)(struct pmf_source *src, size_t event, struct pmf_perf_totals *out,
		struct pmf_err *err);
	void (*free)(struct pmf_source *src);
};

/* What a source knows beside its records. */
struct pmf_source_facts {
	bool live;               /* pids are of this machine, now */
	bool lost_per_event;     /* totals.lost is filled in */
	bool task_totals;        /* READ records tell what each task counted */
	size_t ring_bytes;       /* per CPU, 0 if it does not apply */
	size_t readers;          /* at least 1 */
	size_t inherited_events; /* that every task started got a copy of; 0: none, or not known */
	uint64_t lost_sideband;  /* valid after stop, as is the next */
	struct pmf_perf_hotplug hotplug;
	uint64_t out_of_order, malformed;
};

struct pmf_source {
	const struct pmf_source_ops *ops;
	struct pmf_source_facts facts;
};

/* Counters of this machine on a child that was stopped before its exec. @list is borrowed. */
int pmf_source_live(struct pmf_source **out, const struct pmf_event_list *list,
	const struct pmf_perf_opts *opts, struct pmf_err *err);
const struct pmf_perf_granted *pmf_source_live_granted(const struct pmf_source *src, size_t event);
/* The session itself, for events of single processes (pmf_perf_attach). */
struct pmf_perf_session *pmf_source_live_session(struct pmf_source *src);

/* Ring bytes that were kept in memory: @n streams, laid out by @layouts; both are borrowed. */
int pmf_source_replay(struct pmf_source **out, const struct pmf_layouts *layouts,
	struct pmf_ring **rings, size_t n, struct pmf_err *err);
/* The same, read by up to @readers threads. */
int pmf_source_replay_by(struct pmf_source **out, const struct pmf_layouts *layouts,
	struct pmf_ring **rings, size_t n, size_t readers, struct pmf_err *err);

/* A perf.data file or stream that was opened and not drained yet; @pd is borrowed. What the facts
 * and totals of a live session say of events is in pmf_perf_data_info() and its neighbours. A drain
 * delivers everything, final or not. */
struct pmf_source *pmf_source_file(struct pmf_perf_data *pd);

#endif
