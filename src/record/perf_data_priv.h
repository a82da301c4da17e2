/* What the files of the perf.data reader share, and its writer. */
#ifndef PMF_PERF_DATA_PRIV_H
#define PMF_PERF_DATA_PRIV_H

#include "pmuflame/hash.h"
#include "pmuflame/perf_data.h"
#include "record_priv.h"

/* Record types of perf itself: tools/lib/perf/include/perf/event.h. */
enum {
	PMF_PD_HEADER_ATTR = 64,
	PMF_PD_HEADER_EVENT_TYPE = 65,
	PMF_PD_TRACING_DATA = 66,
	PMF_PD_BUILD_ID = 67,
	PMF_PD_FINISHED_ROUND = 68,
	PMF_PD_AUXTRACE_INFO = 70,
	PMF_PD_AUXTRACE = 71,
	PMF_PD_STAT = 76,
	PMF_PD_EVENT_UPDATE = 78,
	PMF_PD_FEATURE = 80,
	PMF_PD_COMPRESSED = 81,
	PMF_PD_COMPRESSED2 = 83,
	PMF_PD_USER_TYPES = 64, /* the first of them */
};

/* Bits of a file's header for what stands behind its records: perf.data-file-format.txt. */
enum {
	PMF_PD_FEAT_BUILD_ID = 2,
	PMF_PD_FEAT_HOSTNAME = 3,
	PMF_PD_FEAT_OSRELEASE = 4,
	PMF_PD_FEAT_VERSION = 5,
	PMF_PD_FEAT_ARCH = 6,
	PMF_PD_FEAT_NRCPUS = 7,
	PMF_PD_FEAT_CPUDESC = 8,
	PMF_PD_FEAT_CMDLINE = 11,
	PMF_PD_FEAT_EVENT_DESC = 12,
	PMF_PD_FEAT_STAT = 19,
	PMF_PD_FEAT_DIR_FORMAT = 24,
	PMF_PD_FEAT_CLOCK_DATA = 29,
	PMF_PD_FEAT_BITS = 256,
};

/* A part of a file. */
struct pmf_pd_section {
	uint64_t off, size;
};

enum {
	PMF_PD_RECORD_MAX = 65536, /* header.size has 16 bits */
	PMF_PD_CHUNK_BYTES = 1 << 20,
};

/* Memory that records stand in. Each byte has a position that no other ever has, rising from chunk to
 * chunk; the queue knows records by it. */
struct pmf_pd_chunk {
	uint64_t base; /* position of data[0] */
	uint8_t *data;
	size_t len, cap;
	size_t waiting; /* records in the queue */
	bool mapped;    /* the file: never freed */
};

/* Bytes that become records: the file's, a pipe's, or what comes out of compressed records. */
struct pmf_pd_stream {
	struct pmf_pd_chunk *chunk; /* the last one; NULL before the first byte */
	size_t at;                  /* behind the last record that was taken from it */
};

struct pmf_pd_waiting {
	uint64_t time_ns, pos;
};

/* What a counter of a group said in its last sample. */
struct pmf_pd_count {
	uint64_t id, value;
	uint32_t tid;
};

struct pmf_pd_id {
	uint64_t id;
	uint32_t event;
};

struct pmf_pd_type {
	uint64_t config;
	char *name;
};

struct pmf_perf_data {
	char *name;
	int fd;
	struct pmf_perf_data_info info;
	size_t cap_events, cap_build_ids;
	struct pmf_perf_data_damage damage;
	struct pmf_perf_data_lost lost;

	/* Events. */
	struct pmf_layout *layouts; /* one per event */
	size_t nr_layouts, cap_layouts;
	struct pmf_layout no_event; /* for sideband of no event in particular */
	struct pmf_pd_id *ids;
	size_t nr_ids, cap_ids;
	struct pmf_index by_id;
	bool trailers;     /* sample_id_all of the first event */
	size_t id_off;     /* of a sample's id from the record's start; 0: it has none */
	size_t id_back;    /* of a trailer's id from the record's end; 0: it has none */
	char **desc_names; /* of EVENT_DESC, by event */
	size_t nr_desc, cap_desc;
	struct pmf_pd_type *types; /* v1's names of events */
	size_t nr_types, cap_types;

	/* Bytes. */
	struct pmf_pd_stream input, unpacked;
	struct pmf_pd_chunk **chunks; /* by base */
	size_t nr_chunks, cap_chunks;
	uint64_t next_base;
	size_t held_bytes;      /* of the chunks that are memory of ours */
	uint64_t skip_bytes;    /* of a record's payload behind it */
	uint64_t touched_bytes; /* of the file since its pages were given back */
	struct ZSTD_DCtx_s *zstd;

	/* Order. */
	struct pmf_pd_waiting *queue;
	size_t nr_queue, cap_queue;
	uint64_t newest_ns, round_ns; /* of all so far; of all up to the last round */
	uint64_t delivered_ns;
	struct pmf_pd_count *counts;
	size_t nr_counts, cap_counts;
	struct pmf_index by_count;
	uint64_t *bounce;  /* a record whose place is not aligned */
	bool started;      /* the first record that is no header is reached */
	bool finished;     /* no event is added any more */
	pmf_record_cb *cb; /* NULL before the drain */
	void *ctx;
	int ret; /* of cb */
};

/* perf_data_bytes.c: where bytes come from. */

/* Take what is there of @head and @fd; a regular file is mapped. */
int pmf_pd_input_open(struct pmf_perf_data *pd, const void *head, size_t len, struct pmf_err *err);
/* Copy the rest of a stream to a file, for what can only be read as one. */
int pmf_pd_input_spool(struct pmf_perf_data *pd, struct pmf_err *err);
/* Read on: false at the end, also where reading fails (damage.stopped). */
bool pmf_pd_input_more(struct pmf_perf_data *pd);
/* At least @min bytes to fill behind those of @s->chunk, which may be a new one: the bytes from
 * @s->at on are then copied to its beginning. */
uint8_t *pmf_pd_room(struct pmf_perf_data *pd, struct pmf_pd_stream *s, size_t min, size_t *room);
struct pmf_pd_chunk *pmf_pd_chunk_at(const struct pmf_perf_data *pd, uint64_t pos);
/* A record of @chunk left the queue. */
void pmf_pd_chunk_leave(struct pmf_perf_data *pd, struct pmf_pd_chunk *chunk);
/* @bytes of @chunk were looked at: a mapped file's pages are given back now and then. */
void pmf_pd_touch(struct pmf_perf_data *pd, const struct pmf_pd_chunk *chunk, size_t bytes);
void pmf_pd_bytes_release(struct pmf_perf_data *pd);

/* perf_data_zstd.c. The records inside, walked over; damage.stopped where that fails. */
void pmf_pd_unpack(struct pmf_perf_data *pd, const uint8_t *data, size_t len);
void pmf_pd_unpack_release(struct pmf_perf_data *pd);

/* perf_data_header.c: what comes before the records. */
int pmf_pd_read_header(struct pmf_perf_data *pd, struct pmf_err *err);
/* A record of perf's own, of @len bytes: what it says about the recording, if anything. */
void pmf_pd_header_record(
	struct pmf_perf_data *pd, uint32_t type, uint16_t misc, const uint8_t *data, size_t len);
void pmf_pd_header_release(struct pmf_perf_data *pd);

/* perf_data_event.c. */
/* @len bytes of a perf_event_attr of any age; false if they make no sense. *@used: its size. */
bool pmf_pd_attr(const uint8_t *data, size_t len, struct perf_event_attr *out, size_t *used);
void pmf_pd_add_event(struct pmf_perf_data *pd, const struct perf_event_attr *attr,
	const uint8_t *ids, size_t nr_ids);
/* After the last event: names for all. */
void pmf_pd_finish_events(struct pmf_perf_data *pd);
uint32_t pmf_pd_event_by_id(const struct pmf_perf_data *pd, uint64_t id);
/* How the record at @data is to be read; false: a sample of no known event. */
bool pmf_pd_shape(const struct pmf_perf_data *pd, const uint8_t *data, size_t len,
	struct pmf_record_shape *shape);
void pmf_pd_events_release(struct pmf_perf_data *pd);
/* perf_data_name.c. What perf would call the event; free(3) it. */
char *pmf_pd_name_of(const struct perf_event_attr *attr);

/* perf_data_walk.c. Deal with the whole records from @s->at on. Before the drain that ends at the
 * first record that is no header. */
void pmf_pd_walk(struct pmf_perf_data *pd, struct pmf_pd_stream *s);
/* perf_data_queue.c. */
void pmf_pd_enqueue(struct pmf_perf_data *pd, struct pmf_pd_chunk *chunk, size_t at, size_t len);
/* FINISHED_ROUND was met. */
void pmf_pd_round(struct pmf_perf_data *pd);
/* Deliver what is not younger than @until_ns; the older half of what waits. */
void pmf_pd_flush(struct pmf_perf_data *pd, uint64_t until_ns);
void pmf_pd_flush_half(struct pmf_perf_data *pd);
void pmf_pd_queue_release(struct pmf_perf_data *pd);

#endif
