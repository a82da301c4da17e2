/* pmuflame/perf_data_write.h - a recording as a perf.data file that stock perf reads.
 * Layer: record (uses base). Threads: one owner.
 * Format: tools/perf/Documentation/perf.data-file-format.txt of the kernel's source; docs/adr/0011
 * says what is written and why. */
#ifndef PMUFLAME_PERF_DATA_WRITE_H
#define PMUFLAME_PERF_DATA_WRITE_H

#include "pmuflame/err.h"
#include "pmuflame/record.h"
#include <linux/perf_event.h>
#include <stddef.h>
#include <stdint.h>

struct pmf_perf_data_writer;

struct pmf_perf_data_out {
	const char *path;
	/* Of each event, in the order of struct pmf_record's event: all have sample_id_all, and
	 * samples with IDENTIFIER, IP, TID, TIME and CPU. */
	const char *const *names;
	const struct perf_event_attr *const *attrs;
	size_t nr_events;
	char *const *argv; /* shown as the command line; NULL: none */
};

/* Begin the file, under a temporary name and for its owner's eyes only: dumps hold whatever stood on
 * the stack. @o is not needed afterwards. */
int pmf_perf_data_create(
	struct pmf_perf_data_writer **out, const struct pmf_perf_data_out *o, struct pmf_err *err);

/* Kernel code [@start, @start + @len), as perf names it: "[kernel.kallsyms]_text" with the symbol's
 * address as @pgoff, "[ext4]". */
void pmf_perf_data_kernel_map(struct pmf_perf_data_writer *w, const char *name, uint64_t start,
	uint64_t len, uint64_t pgoff);
/* Add the sample @rec, which stands for @weight events. */
void pmf_perf_data_sample(
	struct pmf_perf_data_writer *w, const struct pmf_record *rec, uint64_t weight);
/* Add any other record as it is. */
void pmf_perf_data_record(struct pmf_perf_data_writer *w, const struct pmf_record *rec);
/* What is added from now on is younger than what was. Until here the file can be read even if it is
 * never finished. */
void pmf_perf_data_round(struct pmf_perf_data_writer *w);

/* Complete the file and put it in its place. Says why if anything could not be written since it was
 * begun; nothing is left behind then. Frees @w. */
int pmf_perf_data_commit(struct pmf_perf_data_writer *w, struct pmf_err *err);
/* Leave nothing behind. @w may be NULL. */
void pmf_perf_data_abort(struct pmf_perf_data_writer *w);

#endif
