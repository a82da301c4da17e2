/* Reading a pprof file, in three files: profile_load.c walks it and adds the stacks,
 * profile_load_events.c makes events of its sample types, profile_load_frames.c frames of its
 * locations. */
#ifndef PMF_PROFILE_LOAD_PRIV_H
#define PMF_PROFILE_LOAD_PRIV_H

#include "pprof_priv.h"
#include "protobuf_priv.h"

/* Ids are the writer's own: which place in a table each has. */
struct pmf_pprof_ids {
	uint64_t *items;
	size_t n, cap;
	struct pmf_index index;
};

/* Strings are ids of the profile's table. */
struct pmf_pprof_type {
	uint32_t name, unit;
};
struct pmf_pprof_mapping {
	uint64_t start, offset;
	uint32_t path;
};
struct pmf_pprof_function {
	uint32_t name, system_name, file;
	uint32_t start_line;
};
struct pmf_pprof_line {
	uint64_t function_id, line;
};

/* Where an event's numbers come from, and their sums so far. */
struct pmf_pprof_column {
	size_t weights; /* place of the sample type */
	size_t samples; /* the same; SIZE_MAX: not told */
	uint64_t factor;
	uint32_t joined_key;
	uint64_t value_sum, weight_sum, samples_sum; /* as in the file, not scaled, samples */
	double weight_sq;
};

struct pmf_pprof_loader {
	struct pmf_profile *p;
	bool ours;
	uint32_t *strings;
	size_t nr_strings, cap_strings;
	struct pmf_pprof_type *types;
	size_t nr_types, cap_types;
	struct pmf_pprof_ids mapping_ids, function_ids, location_ids;
	struct pmf_pprof_mapping *mappings;
	size_t nr_mappings, cap_mappings;
	struct pmf_pprof_function *functions;
	size_t nr_functions, cap_functions;
	uint32_t *frames; /* by location */
	size_t nr_frames, cap_frames;
	struct pmf_pprof_column *columns; /* by event */
	uint64_t *comments;
	size_t nr_comments, cap_comments;
	struct pmf_pprof_type period_type;
	uint64_t period;
	/* Of the message at hand. */
	struct pmf_pprof_line *lines;
	size_t nr_lines, cap_lines;
	uint64_t *stack, *values;
	size_t nr_stack, cap_stack, nr_values, cap_values;
	size_t nr_cells;   /* of the picture's nodes */
	uint64_t negative; /* values that were, and count as 0 */
	bool bad_string;   /* a string was missing */
};

/* Real profiles stay far below; a file of some kilobytes must not ask for more. */
enum {
	PMF_PPROF_MAX_BYTES = 1 << 28, /* uncompressed */
	PMF_PPROF_MAX_ITEMS = 1 << 22, /* strings, mappings, functions, frames: of each */
	PMF_PPROF_MAX_TYPES = 512,
	PMF_PPROF_MAX_COMMENTS = 1 << 12,      /* notes are compared with each other, */
	PMF_PPROF_MAX_COMMENT_BYTES = 1 << 23, /* byte by byte */
	PMF_PPROF_MAX_CELLS = 1 << 24,         /* nodes × (events + 1) */
};

/* "It is no valid pprof file: @what", and "it has more @what than a profile needs". */
int pmf_pprof_malformed(struct pmf_err *err, const char *what);
int pmf_pprof_too_many(struct pmf_err *err, const char *what);

/* The profile's id of string @id; where there is none, l->bad_string is set. */
uint32_t pmf_pprof_string(struct pmf_pprof_loader *l, uint64_t id);
/* The place of @id, or UINT32_MAX. */
uint32_t pmf_pprof_place(const struct pmf_pprof_ids *ids, uint64_t id);
int pmf_pprof_add_id(struct pmf_pprof_ids *ids, uint64_t id, const char *what, struct pmf_err *err);

/* Make an event of each sample type that does not belong to another, and find their columns. */
void pmf_pprof_make_events(struct pmf_pprof_loader *l);
/* All samples were added: what a ledger of ours does not say follows from them. */
void pmf_pprof_end_events(struct pmf_pprof_loader *l);

/* Field @f, a location of the file: its frame. */
int pmf_pprof_add_location(
	struct pmf_pprof_loader *l, const struct pmf_pb_field *f, struct pmf_err *err);

#endif
