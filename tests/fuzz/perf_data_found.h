/* What perf.data bytes hold, by reading all of it: as a file, or as a stream that begins with @head. */
#ifndef PMF_FUZZ_PERF_DATA_FOUND_H
#define PMF_FUZZ_PERF_DATA_FOUND_H

#include "pmuflame/perf_data.h"
#include "record_touch.h"
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct found {
	uint64_t records, times, sum;
	uint64_t samples, weight; /* of events that are drawn */
	int status;
};

static inline int add_found(void *ctx, const struct pmf_record *rec)
{
	struct found *f = ctx;

	f->records++;
	f->times += rec->time_ns;
	f->sum += touch_record(rec);
	return 0;
}

/* Closes @fd. */
static inline struct found find_all(int fd, const uint8_t *head, size_t len)
{
	struct found f = {0};
	struct pmf_perf_data *pd;

	if (fd < 0)
		abort();
	f.status = pmf_perf_data_open(&pd, fd, "bytes", head, len, NULL);
	if (f.status == 0) {
		const struct pmf_perf_data_info *info = pmf_perf_data_info(pd);

		f.status = pmf_perf_data_drain(pd, add_found, &f);
		for (size_t i = 0; i < info->nr_events; i++) {
			f.samples += info->events[i].sideband ? 0 : info->events[i].samples;
			f.weight += info->events[i].sideband ? 0 : info->events[i].weight;
		}
		pmf_perf_data_free(pd);
	}
	close(fd);
	return f;
}

static inline bool found_same(const struct found *a, const struct found *b)
{
	return a->records == b->records && a->times == b->times && a->sum == b->sum &&
	       a->status == b->status;
}

#endif
