/* What parsing and merging share inside the record module. */
#ifndef PMF_RECORD_PRIV_H
#define PMF_RECORD_PRIV_H

#include "pmuflame/record.h"

/* Fields of the sample_id trailer, in its order (linux/perf_event.h, "struct sample_id"). */
#define PMF_TRAILER_FIELDS \
	(PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID | \
		PERF_SAMPLE_CPU | PERF_SAMPLE_IDENTIFIER)

/* How to read one record: its event's layout, and the sample_type to take its fields from. */
struct pmf_record_shape {
	const struct pmf_layout *layout; /* NULL: sideband of an unknown id */
	uint64_t sample_type;
};

/* The shape of a record of @type whose identifier is @id; false if it cannot be read. */
bool pmf_record_shape_find(
	const struct pmf_layouts *ls, uint32_t type, uint64_t id, struct pmf_record_shape *out);
/* Where, inside a record of @len bytes, its identifier stands. */
size_t pmf_record_id_offset(uint32_t type, size_t len);
/* The same for its time; 0 if it has none. */
size_t pmf_record_time_offset(const struct pmf_record_shape *shape, uint32_t type, size_t len);

/* pmf_record_parse for a record whose shape is known; header.size is @len. */
int pmf_record_parse_shaped(const struct pmf_record_shape *shape, const void *data, size_t len,
	struct pmf_record *out, struct pmf_err *err);

/* A ring's first waiting record, as far as it was looked at to find its time. */
struct pmf_merge_entry {
	uint64_t time_ns;
	uint32_t ring;
	uint32_t len;
	uint32_t type;
	struct pmf_record_shape shape;
};

/* Find the first waiting record of @r that makes sense, and move the tail over what comes before it,
 * which *malformed counts. False when there is none. */
bool pmf_ring_look(const struct pmf_layouts *layouts, struct pmf_ring *r, struct pmf_merge_entry *e,
	uint64_t *malformed);

#endif
