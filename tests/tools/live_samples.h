/* A command's samples, one by one as pmf_unwind takes them: for programs that compare or time
 * unwinders. */
#ifndef LIVE_SAMPLES_H
#define LIVE_SAMPLES_H

#include "pmuflame/unwind.h"
#include <stdint.h>

/* @in lives until the callback returns; its process until the run is over. */
typedef void live_sample_cb(void *ctx, const struct pmf_unwind_in *in);

/* Run @argv under cpu-clock at @hz with dumps of @stack_bytes, and hand over what user stacks there
 * are. @t gets the processes, which the caller releases. Returns the command's exit status, or ends
 * the program with a sentence. */
int live_samples(struct pmf_process_table *t, char **argv, uint64_t hz, uint32_t stack_bytes,
	live_sample_cb *cb, void *ctx);

#endif
