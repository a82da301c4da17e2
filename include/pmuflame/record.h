/* pmuflame/record.h - kernel ring bytes as typed records; merging rings by time.
 * Layer: record (uses base). Threads: pure functions; a merge has one owner.
 * Formats: include/uapi/linux/perf_event.h, perf_event_open(2) "Layout of the mmap buffer". */
#ifndef PMUFLAME_RECORD_H
#define PMUFLAME_RECORD_H

#include "pmuflame/arch.h"
#include "pmuflame/err.h"
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the records of one event id are laid out. */
struct pmf_layout {
	uint64_t id;    /* PERF_SAMPLE_IDENTIFIER value */
	uint32_t event; /* the caller's number of the event, PMF_NO_EVENT for sideband */
	uint64_t sample_type;
	uint64_t read_format;
	uint64_t regs_user; /* attr.sample_regs_user */
	uint64_t period;    /* weight of samples without PERF_SAMPLE_PERIOD */
	/* Only needed where sample_type has PERF_SAMPLE_BRANCH_STACK or PERF_SAMPLE_REGS_INTR: how
	 * long those fields are. */
	uint64_t branch_sample_type; /* attr.branch_sample_type */
	uint64_t regs_intr;          /* attr.sample_regs_intr */
	bool signals;  /* its overflows were signalled to an agent in the process, too */
	bool cpu_wide; /* it counts on a CPU, whoever runs there: sample.count is not the task's */
	/* Its samples are no samples, but what belongs to the record behind them in their ring: they have
	 * no time of their own, and go out right before that one. */
	bool leads;
};
#define PMF_NO_EVENT UINT32_MAX

/* The layouts of a recording, found by id. Every layout has PERF_SAMPLE_IDENTIFIER and every event
 * sample_id_all, so that the id stands at a fixed place of each record. */
struct pmf_layouts {
	struct pmf_layout *items; /* sorted by id once sealed */
	size_t n, cap;
	/* The sample_id trailer that all layouts share, as sample_type bits; 0 if they differ. With
	 * it, a sideband record of an unknown id can still be read (perf gives 0 to those it makes
	 * up). */
	uint64_t common_trailer;
};

/* Zeroed memory is an empty set. Add all, seal once, then find; an id is added once. */
void pmf_layouts_release(struct pmf_layouts *ls);
void pmf_layouts_add(struct pmf_layouts *ls, const struct pmf_layout *l);
void pmf_layouts_seal(struct pmf_layouts *ls);
/* The layout of @id, or NULL; valid until the next add. */
const struct pmf_layout *pmf_layouts_find(const struct pmf_layouts *ls, uint64_t id);

struct pmf_sample {
	uint64_t ip, weight;
	uint64_t
		count; /* of the event so far, in this task (or cpu_wide) on this CPU; if has_count */
	bool has_count;    /* PERF_SAMPLE_READ of a single event */
	uint64_t count_id; /* whose count it is; 0 if the layout does not say */
	/* PERF_SAMPLE_READ of a group: a value per member, behind each its id and its lost samples as
	 * far as read_format has them. */
	const uint64_t *group;
	size_t nr_group, group_words;
	const uint64_t *callchain; /* unaligned is not possible: records are 8-byte aligned */
	size_t nr_callchain;
	const uint8_t *raw; /* PERF_SAMPLE_RAW, padded by the kernel at its end */
	size_t raw_bytes;
	const struct perf_branch_entry *branches; /* newest first */
	size_t nr_branches;
	uint64_t regs_abi; /* 0: no user registers (PERF_SAMPLE_REGS_ABI_NONE) */
	uint64_t regs_mask;
	const uint64_t *regs; /* one for each bit of regs_mask, lowest first */
	const uint8_t *stack;
	size_t stack_bytes; /* copied by the kernel (dyn_size) */
	size_t stack_asked; /* room in the record (size) */
};

struct pmf_record {
	uint32_t type; /* PERF_RECORD_… */
	uint16_t misc;
	/* From the record, or from its sample_id trailer; 0 where the layout has no such field. */
	uint64_t id, time_ns;
	uint32_t pid, tid, cpu;
	uint32_t event;  /* of the layout; PMF_NO_EVENT for sideband */
	uint32_t reader; /* which of struct pmf_readers delivers it; 0 where there is but one */
	bool signals, cpu_wide; /* of the layout */
	/* All of the record, its header included. */
	const uint8_t *bytes;
	size_t size;
	union {
		struct pmf_sample sample;
		struct {
			uint64_t start, len, pgoff;
			uint64_t dev, ino; /* as in stat(2); 0 in the build-id form */
			const uint8_t *build_id;
			uint8_t build_id_len;
			uint32_t prot; /* PROT_…; PERF_RECORD_MMAP says only whether PROT_EXEC */
			const char *path; /* NUL-terminated inside the record */
		} mmap;
		struct {
			const char *comm;
			bool exec;
		} comm;
		struct {
			uint32_t ppid, ptid;
		} task; /* FORK and EXIT; pid and tid are the new or leaving one */
		struct {
			uint64_t lost;
		} lost; /* LOST and LOST_SAMPLES */
		struct {
			uint64_t value, enabled_ns, running_ns, id, lost;
		} read; /* of a group: the member that the record's id names, else its leader */
		struct {
			uint64_t addr;
			uint32_t len;
			uint16_t ksym_type, flags;
			const char *name;
		} ksymbol;
	};
};

/* Parse the record at @data (8-byte aligned, @len bytes: header.size). What it points to lives as
 * long as the bytes. PMF_EFORMAT for anything that does not fit its own sizes; nothing outside
 * [data, data + len) is read. A type without a member in the union gives its header and trailer
 * only. An unknown id is PMF_EFORMAT for SAMPLE and READ, and for the others where the layouts
 * share no trailer. */
int pmf_record_parse(const struct pmf_layouts *ls, const void *data, size_t len,
	struct pmf_record *out, struct pmf_err *err);

/* The time of the record at @data without parsing all of it; 0 if it has none or makes no sense. */
uint64_t pmf_record_time(const struct pmf_layouts *ls, const void *data, size_t len);

/* ---- Rings: byte streams in, records in time order out ---- */

/* One kernel ring seen from the reader. For a live session head comes from data_head; for replay it
 * is the size of the stream. */
struct pmf_ring {
	const uint8_t *data;
	size_t size;         /* power of two */
	uint64_t head, tail; /* head: bytes that may be read; tail: consumed so far (both grow) */
	uint8_t *
		wrap; /* room for one record that wraps, 64 KiB; owned by the merge, made when needed */
	/* Copies of another reader's records: what is wrong with them is counted there. */
	bool copied;
};

struct pmf_merge {
	struct pmf_ring **rings;
	size_t n;
	struct pmf_merge_entry *heap; /* rings with a record waiting, by its time */
	size_t nr_heap;
	const struct pmf_layouts *layouts; /* borrowed */
	uint64_t last_ns;                  /* time of the newest record delivered */
	uint32_t reader;                   /* for every record's reader */
	/* Records older than one already delivered. An NMI inside the kernel's own writing makes a
	 * few; records without a time are none of them and go out at once. */
	uint64_t out_of_order;
	/* Skipped: their bytes made no sense. A record whose size is impossible takes all bytes up
	 * to head with it, for nothing behind it can be found again; it counts once. */
	uint64_t malformed;
};

/* @rings are borrowed until the release, which also frees their wrap buffers. PMF_EFORMAT if a
 * ring's size is no power of two, or its data or tail is not 8-byte aligned. */
int pmf_merge_init(struct pmf_merge *m, const struct pmf_layouts *layouts, struct pmf_ring **rings,
	size_t n, struct pmf_err *err);
void pmf_merge_release(struct pmf_merge *m);

/* Deliver all records older than @until_ns (UINT64_MAX: all there are) in time order. @cb must be
 * done with a record when it returns; its bytes are given back to the kernel (tail moves on) after
 * that. A negative return of @cb stops and is returned; that record counts as delivered. The caller
 * sets every ring's head before the call, and not during it. Allocates only at a ring's first record
 * that wraps. */
typedef int pmf_record_cb(void *ctx, const struct pmf_record *rec);
int pmf_merge_drain(struct pmf_merge *m, uint64_t until_ns, pmf_record_cb *cb, void *ctx);

/* ---- Many rings: several readers, each with rings of its own, and one timeline ----
 *
 * One thread can unwind the samples of some thirty busy CPUs. Beyond that the rings are dealt out to
 * readers, threads that share nothing: each gets the samples of its own rings, and of all rings what
 * changes processes and address spaces (MMAP, MMAP2, COMM, FORK, EXIT) or says that such a record was
 * lost, all in time order. So each can keep a process timeline of its own, and unwind without a
 * lock. docs/adr/0005 has the reasons. */

struct pmf_readers;

/* As pmf_merge_init, for @nr readers (at least 1, at most one a ring), of which the calling thread is
 * the first. */
int pmf_readers_new(struct pmf_readers **out, const struct pmf_layouts *layouts,
	struct pmf_ring **rings, size_t n, size_t nr, struct pmf_err *err);
void pmf_readers_free(struct pmf_readers *r);
size_t pmf_readers_count(const struct pmf_readers *r);
/* Which reader ring @ring belongs to: neighbours to the same one. */
size_t pmf_readers_of(const struct pmf_readers *r, size_t ring);

/* As pmf_merge_drain. @cb runs in all readers at once, and rec->reader says in which; it has returned
 * for the last time when this returns. Negative if any of them did. */
int pmf_readers_drain(struct pmf_readers *r, uint64_t until_ns, pmf_record_cb *cb, void *ctx);

/* Sums over the readers, as in struct pmf_merge. */
uint64_t pmf_readers_out_of_order(const struct pmf_readers *r);
uint64_t pmf_readers_malformed(const struct pmf_readers *r);

#endif
