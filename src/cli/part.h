/* The files of a run, and of its snapshots and intervals: NAME.snapshot-1.EVENT.svg,
 * NAME.20261123T031501Z.EVENT.svg. */
#ifndef PMF_PART_H
#define PMF_PART_H

#include "record_args.h"

struct pmf_part_files {
	struct pmf_output_opts output; /* the prefixes are its own, the rest is borrowed */
	char *summary_path;            /* or NULL */
};

/* @part: what @p is of a run; NULL: all. */
void pmf_part_files_init(struct pmf_part_files *f, const struct pmf_record_args *a,
	const struct pmf_part *part, const struct pmf_profile *p);
void pmf_part_files_release(struct pmf_part_files *f);
/* Remove the files of the interval that began at @start_unix_ns, if that is not 0; @p has its events. */
void pmf_part_expire(
	const struct pmf_record_args *a, const struct pmf_profile *p, uint64_t start_unix_ns);

/* Say in @p what was recorded. */
void pmf_part_describe(const struct pmf_record_args *a, struct pmf_profile *p);

struct pmf_part_writer {
	const struct pmf_record_args *args;
	const struct pmf_collect_result *res;
	const bool *live; /* a live line stands on the terminal */
};

/* For struct pmf_part_opts; @ctx is a struct pmf_part_writer. */
int pmf_part_write(
	void *ctx, struct pmf_profile *p, const struct pmf_part *part, struct pmf_err *err);
void pmf_part_failed(void *ctx, const struct pmf_part *part, const struct pmf_err *why);

#endif
