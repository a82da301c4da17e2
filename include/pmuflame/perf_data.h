/* pmuflame/perf_data.h - a perf.data file or stream as records in time order.
 * Layer: record (uses base). Threads: one owner.
 * Formats: tools/perf/Documentation/perf.data-file-format.txt of the kernel's source ("file mode"
 * and "pipe mode"), include/uapi/linux/perf_event.h for the records. What is not written there was
 * taken from recordings: docs/adr/0009 names it. */
#ifndef PMUFLAME_PERF_DATA_H
#define PMUFLAME_PERF_DATA_H

#include "pmuflame/arch.h"
#include "pmuflame/err.h"
#include "pmuflame/record.h"
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pmf_perf_data;

/* An event of the recording. A record's event is its place in info->events, PMF_NO_EVENT for
 * those of sideband events. */
struct pmf_perf_data_event {
	char *name;                  /* as perf prints it, "cpu_core/cycles/u"; never NULL */
	char *unit;                  /* of its counts, NULL where the recording names none */
	struct perf_event_attr attr; /* what the file had less than this is 0 */
	bool sideband;               /* a dummy, there to carry records of processes */
	uint64_t samples;            /* delivered so far */
	uint64_t weight;             /* the sum of their weights */
	uint64_t lost_samples;       /* LOST_SAMPLES that name it */
};

struct pmf_perf_data_build_id {
	const char *path; /* as in the MMAP records; "[kernel.kallsyms]" is the kernel's */
	uint32_t pid;     /* UINT32_MAX: the machine's own, else a guest's */
	uint16_t misc;    /* PERF_RECORD_MISC_KERNEL or _USER */
	uint8_t len;      /* 1 to 20 */
	uint8_t bytes[20];
};

/* What a recording says of itself. Strings are NULL where it does not. */
struct pmf_perf_data_info {
	struct pmf_perf_data_event *events;
	size_t nr_events;
	char *hostname, *release, *perf_version, *cpu;
	char *arch_name;             /* as uname -m printed it */
	const struct pmf_arch *arch; /* NULL: one without a row, or the file does not say */
	char **argv;                 /* perf's own command line */
	size_t argc;
	uint32_t cpus_online;
	/* Complete after the drain: a stream has them at its end. */
	struct pmf_perf_data_build_id *build_ids;
	size_t nr_build_ids;
	bool has_clock;             /* the next three are there */
	uint32_t clockid;           /* CLOCK_… of the records' times */
	uint64_t wall_ns, clock_ns; /* one moment, since 1970 and by clockid */
	bool pipe;                  /* written for a pipe, without an index */
	bool stat;                  /* made by "perf stat record": counts, no samples */
	bool aux;                   /* has hardware traces (Intel PT, SPE), which are not decoded */
};

/* What was wrong with the bytes, so far. Nothing here stops the reading of what is right. */
struct pmf_perf_data_damage {
	bool unfinished;       /* perf did not come to write the header's end */
	uint64_t missing;      /* bytes that the header or a record promises beyond the end */
	uint64_t malformed;    /* records that do not fit their sizes */
	uint64_t unknown;      /* samples with the id of no event */
	uint64_t out_of_order; /* delivered after a later one */
	/* The reading ended before the data's end, and why: a record of an impossible size, a read
	 * that failed, compressed records that are broken or, PMF_EUNSUP, that this build has no
	 * libzstd for. Status PMF_OK if it did not. */
	struct pmf_err stopped;
};

/* Losses that the recording admits. perf writes LOST_SAMPLES for what the LOST records of the same
 * rings tell already, so the larger one counts. */
struct pmf_perf_data_lost {
	uint64_t records; /* sum of LOST: records of any kind, event unknown */
	uint64_t samples; /* sum of LOST_SAMPLES, but for those that a filter threw away */
};

/* The first bytes of a perf.data file, for who has to tell what a file is. */
enum { PMF_PERF_DATA_MAGIC_BYTES = 8 };
bool pmf_perf_data_is(const void *head, size_t len);

/* Start to read what @fd gives: a file from its beginning (whatever its offset is), or a stream, of
 * which @head (@len bytes, may be 0) was read already. @fd is borrowed until the free, @name is for
 * sentences. Reads up to the first record that is no header, so that info->events is complete.
 * PMF_EFORMAT for what is no perf.data file or describes no event; PMF_EUNSUP for a big-endian one or
 * a folder; PMF_EIO. */
int pmf_perf_data_open(struct pmf_perf_data **out, int fd, const char *name, const void *head,
	size_t len, struct pmf_err *err);
void pmf_perf_data_free(struct pmf_perf_data *pd);

/* Deliver every record in time order, as perf orders them; once. A sample of a group that was read
 * with its leader comes once for each member that counted since the last, with what it counted as its
 * weight. What a record points to lives until @cb returns. A negative return of @cb stops and is
 * returned; damage is no error. */
int pmf_perf_data_drain(struct pmf_perf_data *pd, pmf_record_cb *cb, void *ctx);

/* Valid until the free; the counters in them grow with the drain. */
const struct pmf_perf_data_info *pmf_perf_data_info(const struct pmf_perf_data *pd);
const struct pmf_perf_data_damage *pmf_perf_data_damage(const struct pmf_perf_data *pd);
const struct pmf_perf_data_lost *pmf_perf_data_lost(const struct pmf_perf_data *pd);

#endif
