/* Checks that the tests of the parser share: a record is taken whole, or refused in every shorter
 * form. */
#ifndef PMF_TEST_RECORD_CHECK_H
#define PMF_TEST_RECORD_CHECK_H

#include "record_build.h"

#define SIDE_TYPE \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | \
		PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID)

enum { SIDE_ID = 0x51de, EVENT_ID = 0xe0e0, EVENT = 3 };

/* Sideband with every trailer field, and one event with @event_layout's (which may be NULL). Their
 * trailers differ where they can, so that an unknown id cannot be read. */
void check_layouts_make(struct pmf_layouts *ls, const struct pmf_layout *event_layout);

void check_refused(const struct pmf_layouts *ls, const uint8_t *data, size_t len);
/* Every shorter form of a valid record is refused, whether or not its header admits it. */
void check_truncations_refused(const struct pmf_layouts *ls, const struct build *b);
/* Parse a whole record that stands at the end of its memory; *copy, for free(3), keeps what @rec
 * points into. */
void check_parse(const struct pmf_layouts *ls, const struct build *b, uint8_t **copy,
	struct pmf_record *rec);

/* What a read of EVENT_ID gives by @format. The members of a group are (10, id 0xa, lost 1), (20,
 * EVENT_ID, 2), (30, 0xc, 3). */
void check_build_read(struct build *b, uint64_t format);

#endif
