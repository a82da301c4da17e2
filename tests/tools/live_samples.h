/* A command's samples, one by one as pmf_unwind takes them: for programs that compare or time
 * unwinders. */
#ifndef LIVE_SAMPLES_H
#define LIVE_SAMPLES_H

#include "pmuflame/unwind.h"
#include <stdint.h>

/* A record of a run; @in is NULL for all but samples with a user stack. It lives until the callback
 * returns; its process until the run is over. */
typedef void live_sample_cb(
	void *ctx, const struct pmf_record *rec, const struct pmf_unwind_in *in);

/* Run @argv under cpu-clock at @hz with dumps of @stack_bytes, and hand over its
 * records. @t gets the processes, which the caller releases. Returns the command's exit status, or ends
 * the program with a sentence. */
int live_samples(struct pmf_process_table *t, char **argv, uint64_t hz, uint32_t stack_bytes,
	live_sample_cb *cb, void *ctx);

#endif
