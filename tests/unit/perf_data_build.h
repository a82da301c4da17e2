/* perf.data files and streams built by hand, and what the reader makes of them. */
#ifndef PMF_TEST_PERF_DATA_BUILD_H
#define PMF_TEST_PERF_DATA_BUILD_H

#include "pmuflame/buf.h"
#include "pmuflame/perf_data.h"
#include "record_build.h"

enum { PD_MAX_EVENTS = 4, PD_MAX_IDS = 4, PD_MAX_FEATURES = 16 };

struct pd_event {
	struct perf_event_attr attr;
	uint64_t ids[PD_MAX_IDS];
	size_t nr_ids;
};

struct pd_feature {
	unsigned bit;
	struct pmf_buf bytes;
};

struct pd_make {
	bool pipe, v1;
	bool unfinished;   /* data.size is 0, and nothing stands behind the records */
	size_t attr_bytes; /* 0: as this build's kernel headers have them */
	struct pd_event events[PD_MAX_EVENTS];
	size_t nr_events;
	struct pd_feature features[PD_MAX_FEATURES]; /* by bit */
	size_t nr_features;
	struct pmf_buf records;
	struct pmf_buf file; /* after pd_finish */
};

/* Fields of the sample_type that pd_event and pd_sample agree on. */
#define PD_TYPE (PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_PERIOD)

/* An event of PERF_TYPE_HARDWARE with sample_id_all and the id, if that is not 0. */
struct pd_event *pd_event(struct pd_make *m, uint64_t config, uint64_t sample_type, uint64_t id);
/* Bytes of a feature; @bit rises from call to call. */
void pd_feature(struct pd_make *m, unsigned bit, const struct build *b);
/* A feature of one string. */
void pd_text_feature(struct pd_make *m, unsigned bit, const char *text);
/* struct perf_header_string, padded as perf does. */
void pd_text(struct build *b, const char *text);
/* One more record. */
void pd_record(struct pd_make *m, struct build *b);
/* A SAMPLE of an event whose sample_type is PD_TYPE and any of IDENTIFIER and ID. */
void pd_sample(struct pd_make *m, const struct pd_event *e, uint64_t time_ns, uint64_t period);
void pd_comm(struct pd_make *m, const struct pd_event *e, uint64_t time_ns, const char *name);
/* A record that is only its header. */
void pd_mark(struct pd_make *m, uint32_t type);
/* The whole file or stream. */
const struct pmf_buf *pd_finish(struct pd_make *m);
void pd_release(struct pd_make *m);

struct pd_seen {
	uint32_t type, event;
	uint64_t id, time_ns, weight;
	uint32_t tid;
};

/* What a recording delivered, in order. */
struct pd_result {
	struct pmf_perf_data *pd;
	const struct pmf_perf_data_info *info;
	const struct pmf_perf_data_damage *damage;
	struct pd_seen *seen;
	size_t nr_seen, cap_seen;
	size_t stop_after; /* the callback fails at this record; 0: never */
	int ret;           /* of the open, or else of the drain */
	struct pmf_err err;
	int fd;
};

/* Read the bytes from a file, or from a pipe that somebody fills. */
void pd_read(struct pd_result *r, const void *bytes, size_t len);
void pd_read_pipe(struct pd_result *r, const void *bytes, size_t len);
/* What was made so far, which must be readable. */
void pd_read_made(struct pd_result *r, struct pd_make *m);
/* It was read whole, and the first event has so much. */
void pd_assert_read(const struct pd_result *r, uint64_t samples, uint64_t weight);
void pd_result_release(struct pd_result *r);
/* The times of the samples, or of all records, as text: "10 20 30". */
char *pd_times(const struct pd_result *r, bool samples_only);

#endif
