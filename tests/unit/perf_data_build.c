#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "perf_data_build.h"

#include "pmuflame/mem.h"
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIPE_HEADER = 16, FILE_HEADER = 104, SECTION = 16, HEADER_ATTR = 64, FEATURE = 80 };

static void add_u64(struct pmf_buf *b, uint64_t v)
{
	pmf_buf_add(b, &v, sizeof v);
}

struct pd_event *pd_event(struct pd_make *m, uint64_t config, uint64_t sample_type, uint64_t id)
{
	struct pd_event *e = &m->events[m->nr_events++];

	assert(m->nr_events <= PD_MAX_EVENTS);
	e->attr.type = PERF_TYPE_HARDWARE;
	e->attr.config = config;
	e->attr.sample_type = sample_type;
	e->attr.sample_period = 1000;
	e->attr.sample_id_all = 1;
	e->ids[0] = id;
	e->nr_ids = id != 0;
	return e;
}

void pd_feature(struct pd_make *m, unsigned bit, const struct build *b)
{
	struct pd_feature *f = &m->features[m->nr_features++];

	assert(m->nr_features <= PD_MAX_FEATURES);
	f->bit = bit;
	pmf_buf_add(&f->bytes, b->bytes, b->len);
}

void pd_text(struct build *b, const char *text)
{
	char padded[64] = "";

	assert(strlen(text) < sizeof padded);
	snprintf(padded, sizeof padded, "%s", text);
	build_u32(b, sizeof padded);
	build_bytes(b, padded, sizeof padded);
}

void pd_text_feature(struct pd_make *m, unsigned bit, const char *text)
{
	static struct build b;

	b.len = 0;
	pd_text(&b, text);
	pd_feature(m, bit, &b);
}

void pd_record(struct pd_make *m, struct build *b)
{
	build_end(b);
	pmf_buf_add(&m->records, b->bytes, b->len);
}

void pd_sample(struct pd_make *m, const struct pd_event *e, uint64_t time_ns, uint64_t period)
{
	uint64_t st = e->attr.sample_type;
	static struct build b;

	build_start(&b, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER);
	if (st & PERF_SAMPLE_IDENTIFIER)
		build_u64(&b, e->ids[0]);
	build_u64(&b, 0x401000);
	build_u32(&b, 7);
	build_u32(&b, 8);
	build_u64(&b, time_ns);
	if (st & PERF_SAMPLE_ID)
		build_u64(&b, e->ids[0]);
	if (st & PERF_SAMPLE_PERIOD)
		build_u64(&b, period);
	pd_record(m, &b);
}

void pd_comm(struct pd_make *m, const struct pd_event *e, uint64_t time_ns, const char *name)
{
	struct build_ids ids = {e->ids[0], time_ns, 7, 8, 0};
	static struct build b;

	build_start(&b, PERF_RECORD_COMM, 0);
	build_u32(&b, 7);
	build_u32(&b, 8);
	build_str(&b, name);
	if (e->attr.sample_id_all)
		build_trailer(&b, e->attr.sample_type, &ids);
	pd_record(m, &b);
}

void pd_mark(struct pd_make *m, uint32_t type)
{
	struct build b;

	build_start(&b, type, 0);
	pd_record(m, &b);
}

/* An attribute of @bytes, with something in what is newer than this build. */
static void add_attr(struct pmf_buf *out, const struct perf_event_attr *attr, size_t bytes)
{
	struct perf_event_attr a = *attr;
	size_t known = PMF_MIN(bytes, sizeof a);

	a.size = (uint32_t)bytes;
	pmf_buf_add(out, &a, known);
	for (size_t i = known; i < bytes; i++)
		pmf_buf_addch(out, '\x5a');
}

static void finish_pipe(struct pd_make *m, size_t attr_bytes)
{
	struct perf_event_header h = {.type = HEADER_ATTR};

	pmf_buf_add(&m->file, "PERFILE2", 8);
	add_u64(&m->file, PIPE_HEADER);
	for (size_t i = 0; i < m->nr_events; i++) {
		const struct pd_event *e = &m->events[i];

		h.size = (uint16_t)(sizeof h + attr_bytes + 8 * e->nr_ids);
		pmf_buf_add(&m->file, &h, sizeof h);
		add_attr(&m->file, &e->attr, attr_bytes);
		pmf_buf_add(&m->file, e->ids, 8 * e->nr_ids);
	}
	h.type = FEATURE;
	for (size_t i = 0; i < m->nr_features; i++) {
		const struct pd_feature *f = &m->features[i];

		h.size = (uint16_t)(sizeof h + 8 + f->bytes.len);
		pmf_buf_add(&m->file, &h, sizeof h);
		add_u64(&m->file, f->bit);
		pmf_buf_add(&m->file, f->bytes.data, f->bytes.len);
	}
	pmf_buf_add(&m->file, m->records.data, m->records.len);
}

static void finish_file(struct pd_make *m, size_t attr_bytes)
{
	size_t ids_at = FILE_HEADER, attrs_at = ids_at + 8 * PD_MAX_IDS * m->nr_events,
	       data_at = attrs_at + (attr_bytes + SECTION) * m->nr_events, at;
	uint64_t flags[4] = {0};

	for (size_t i = 0; i < m->nr_features; i++)
		flags[0] |= UINT64_C(1) << m->features[i].bit;
	pmf_buf_add(&m->file, m->v1 ? "PERFFILE" : "PERFILE2", 8);
	add_u64(&m->file, FILE_HEADER);
	add_u64(&m->file, attr_bytes + SECTION);
	add_u64(&m->file, attrs_at);
	add_u64(&m->file, data_at - attrs_at);
	add_u64(&m->file, data_at);
	add_u64(&m->file, m->unfinished ? 0 : m->records.len);
	add_u64(&m->file, 0);
	add_u64(&m->file, 0);
	pmf_buf_add(&m->file, flags, sizeof flags);
	for (size_t i = 0; i < m->nr_events; i++)
		pmf_buf_add(&m->file, m->events[i].ids, sizeof m->events[i].ids);
	for (size_t i = 0; i < m->nr_events; i++) {
		add_attr(&m->file, &m->events[i].attr, attr_bytes);
		add_u64(&m->file, ids_at + i * 8 * PD_MAX_IDS);
		add_u64(&m->file, 8 * m->events[i].nr_ids);
	}
	pmf_buf_add(&m->file, m->records.data, m->records.len);
	if (m->unfinished)
		return;
	at = m->file.len + SECTION * m->nr_features;
	for (size_t i = 0; i < m->nr_features; i++) {
		add_u64(&m->file, at);
		add_u64(&m->file, m->features[i].bytes.len);
		at += m->features[i].bytes.len;
	}
	for (size_t i = 0; i < m->nr_features; i++)
		pmf_buf_add(&m->file, m->features[i].bytes.data, m->features[i].bytes.len);
}

const struct pmf_buf *pd_finish(struct pd_make *m)
{
	size_t attr_bytes = m->attr_bytes ? m->attr_bytes : sizeof(struct perf_event_attr);

	pmf_buf_clear(&m->file);
	if (m->pipe)
		finish_pipe(m, attr_bytes);
	else
		finish_file(m, attr_bytes);
	return &m->file;
}

void pd_release(struct pd_make *m)
{
	for (size_t i = 0; i < m->nr_features; i++)
		pmf_buf_release(&m->features[i].bytes);
	pmf_buf_release(&m->records);
	pmf_buf_release(&m->file);
	memset(m, 0, sizeof *m);
}

static int on_record(void *ctx, const struct pmf_record *rec)
{
	struct pd_result *r = ctx;

	PMF_PUSH(r->seen, r->nr_seen, r->cap_seen) = (struct pd_seen){.type = rec->type,
		.event = rec->event,
		.id = rec->id,
		.time_ns = rec->time_ns,
		.weight = rec->type == PERF_RECORD_SAMPLE ? rec->sample.weight : 0,
		.tid = rec->tid};
	return r->nr_seen == r->stop_after ? -1 : 0;
}

static void read_fd(struct pd_result *r, int fd)
{
	size_t stop_after = r->stop_after;

	memset(r, 0, sizeof *r);
	r->stop_after = stop_after;
	r->fd = fd;
	r->ret = pmf_perf_data_open(&r->pd, fd, "t.data", NULL, 0, &r->err);
	if (r->ret)
		return;
	r->info = pmf_perf_data_info(r->pd);
	r->damage = pmf_perf_data_damage(r->pd);
	r->ret = pmf_perf_data_drain(r->pd, on_record, r);
}

void pd_read(struct pd_result *r, const void *bytes, size_t len)
{
	int fd = memfd_create("perf.data", MFD_CLOEXEC);
	ssize_t n = write(fd, bytes, len);

	assert(n == (ssize_t)len);
	read_fd(r, fd);
}

struct writer {
	const uint8_t *bytes;
	size_t len;
	int fd;
};

/* In pieces that break records anywhere. A reader that gives up must be given less than a pipe
 * holds. */
static void *write_pieces(void *arg)
{
	enum { PIECE = 1013 };
	const struct writer *w = arg;

	for (size_t at = 0; at < w->len;) {
		ssize_t n = write(w->fd, w->bytes + at, PMF_MIN(w->len - at, (size_t)PIECE));

		assert(n > 0);
		at += (size_t)n;
	}
	close(w->fd);
	return NULL;
}

void pd_read_pipe(struct pd_result *r, const void *bytes, size_t len)
{
	struct writer w = {.bytes = bytes, .len = len};
	pthread_t thread;
	int fds[2], ret = pipe(fds);

	assert(ret == 0);
	w.fd = fds[1];
	ret = pthread_create(&thread, NULL, write_pieces, &w);
	assert(ret == 0);
	read_fd(r, fds[0]);
	pthread_join(thread, NULL);
}

void pd_read_made(struct pd_result *r, struct pd_make *m)
{
	const struct pmf_buf *file = pd_finish(m);

	pd_read(r, file->data, file->len);
	if (r->ret)
		fail_msg("%s", r->err.text);
}

void pd_assert_read(const struct pd_result *r, uint64_t samples, uint64_t weight)
{
	if (r->ret)
		fail_msg("%s", r->err.text);
	assert_int_equal(r->info->events[0].samples, samples);
	assert_int_equal(r->info->events[0].weight, weight);
	assert_int_equal(r->damage->malformed, 0);
	assert_int_equal(r->damage->unknown, 0);
	assert_int_equal(r->damage->missing, 0);
	assert_int_equal(r->damage->stopped.status, PMF_OK);
}

void pd_result_release(struct pd_result *r)
{
	pmf_perf_data_free(r->pd);
	close(r->fd);
	free(r->seen);
	memset(r, 0, sizeof *r);
}

char *pd_times(const struct pd_result *r, bool samples_only)
{
	struct pmf_buf b = PMF_BUF_INIT;

	for (size_t i = 0; i < r->nr_seen; i++)
		if (!samples_only || r->seen[i].type == PERF_RECORD_SAMPLE)
			pmf_buf_printf(&b, "%s%llu", b.len ? " " : "",
				(unsigned long long)r->seen[i].time_ns);
	return pmf_buf_detach(&b);
}
