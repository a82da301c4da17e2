/* What recording.c and its ledger share. */
#ifndef PMF_RECORDING_PRIV_H
#define PMF_RECORDING_PRIV_H

#include "collect_priv.h"

struct recording {
	struct pmf_perf_data *pd;
	const struct pmf_perf_data_info *info;
	struct pmf_event_list list; /* all events but sideband */
	uint32_t *columns;          /* per event of the recording: its place in list */
	struct pmf_stacks stacks;
	struct pmf_shards shards;
	struct pmf_image_search search;
	struct pmf_symbol_kernel kernel;
	struct pmf_index build_ids;          /* of info->build_ids, by path */
	size_t nr_indexed;                   /* of them looked at */
	bool runs_workload;                  /* perf ran a program */
	char workload[16];                   /* its name */
	uint64_t samples, first_ns, last_ns; /* by the recording's clock */
	uint64_t foreign_dumps;              /* of an architecture that cannot be unwound here */
};

/* recording_notes.c: what a reader of the pictures must know, into the ledger. */
void pmf_recording_notes(struct recording *r, struct pmf_profile *p);

#endif
