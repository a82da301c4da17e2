/* Every byte that a record points to, for a sanitizer to see: a sum of them, so that nothing is left
 * out by the compiler. */
#ifndef PMF_FUZZ_RECORD_TOUCH_H
#define PMF_FUZZ_RECORD_TOUCH_H

#include "pmuflame/record.h"
#include <string.h>

static inline uint64_t sum_bytes(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += b[i];
	return sum;
}

static inline uint64_t touch_record(const struct pmf_record *rec)
{
	const struct pmf_sample *s = &rec->sample;

	switch (rec->type) {
	case PERF_RECORD_SAMPLE:
		return sum_bytes(s->callchain, s->nr_callchain * sizeof *s->callchain) +
		       sum_bytes(s->regs,
			       (size_t)__builtin_popcountll(s->regs ? s->regs_mask : 0) * 8) +
		       sum_bytes(s->stack, s->stack_bytes) +
		       sum_bytes(s->branches, s->nr_branches * sizeof *s->branches) +
		       sum_bytes(s->group, s->nr_group * s->group_words * sizeof *s->group);
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		return strlen(rec->mmap.path) +
		       sum_bytes(rec->mmap.build_id, rec->mmap.build_id_len);
	case PERF_RECORD_COMM:
		return strlen(rec->comm.comm);
	case PERF_RECORD_KSYMBOL:
		return strlen(rec->ksymbol.name);
	default:
		return 0;
	}
}

#endif
