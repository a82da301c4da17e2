/* Rings to records in time order: a heap of rings by the time of each one's first waiting
 * record. */
#include "record_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

/* header.size has 16 bits. */
enum { WRAP_BYTES = 65536 };

int pmf_merge_init(struct pmf_merge *m, const struct pmf_layouts *layouts, struct pmf_ring **rings,
	size_t n, struct pmf_err *err)
{
	memset(m, 0, sizeof *m);
	for (size_t i = 0; i < n; i++) {
		const struct pmf_ring *r = rings[i];

		if (r->size < 8 || r->size & (r->size - 1) || (uintptr_t)r->data % 8 || r->tail % 8)
			return pmf_err_set(err, PMF_EFORMAT,
				"ring %zu cannot be read: its size (%zu bytes) must be a power of "
				"two, its start and its tail multiples of 8",
				i, r->size);
	}
	m->rings = rings;
	m->n = n;
	m->layouts = layouts;
	m->heap = pmf_calloc(n, sizeof *m->heap);
	return 0;
}

void pmf_merge_release(struct pmf_merge *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->rings[i]->wrap);
		m->rings[i]->wrap = NULL;
	}
	free(m->heap);
	memset(m, 0, sizeof *m);
}

/* Eight bytes at an 8-byte aligned stream position, which never wrap. */
static uint64_t ring_u64(const struct pmf_ring *r, uint64_t pos)
{
	uint64_t v;

	memcpy(&v, r->data + (pos & (r->size - 1)), sizeof v);
	return v;
}

/* The time of the first record from @pos on that has one. UINT64_MAX if there is none yet, for then the
 * record that those before it belong to is still being written; 0 if that makes no sense. */
static uint64_t time_behind(
	const struct pmf_layouts *layouts, const struct pmf_ring *r, uint64_t pos)
{
	while (pos != r->head) {
		uint64_t word = ring_u64(r, pos), id;
		struct pmf_record_shape shape;
		struct perf_event_header h;
		size_t off;

		memcpy(&h, &word, sizeof h);
		if (h.size < sizeof h + sizeof id || h.size % 8 || h.size > r->head - pos)
			return 0;
		id = ring_u64(r, pos + pmf_record_id_offset(h.type, h.size));
		if (pmf_record_shape_find(layouts, h.type, id, &shape)) {
			off = pmf_record_time_offset(&shape, h.type, h.size);
			if (off)
				return ring_u64(r, pos + off);
		}
		pos += h.size;
	}
	return UINT64_MAX;
}

bool pmf_ring_look(const struct pmf_layouts *layouts, struct pmf_ring *r, struct pmf_merge_entry *e,
	uint64_t *malformed)
{
	for (;;) {
		/* The kernel's heads are multiples of 8; less than that is not a header yet. */
		uint64_t left = (r->head - r->tail) & ~(uint64_t)7, word, id;
		struct perf_event_header h;
		size_t off;

		if (left == 0)
			return false;
		word = ring_u64(r, r->tail);
		memcpy(&h, &word, sizeof h);
		if (left > r->size || h.size < sizeof h || h.size % 8 || h.size > left) {
			++*malformed;
			r->tail += left;
			return false;
		}
		e->len = h.size;
		e->type = h.type;
		if (h.size >= sizeof h + sizeof id) {
			id = ring_u64(r, r->tail + pmf_record_id_offset(h.type, h.size));
			if (pmf_record_shape_find(layouts, h.type, id, &e->shape)) {
				off = pmf_record_time_offset(&e->shape, h.type, h.size);
				e->time_ns = off ? ring_u64(r, r->tail + off) : 0;
				if (!off && e->shape.layout && e->shape.layout->leads)
					e->time_ns = time_behind(layouts, r, r->tail + h.size);
				return true;
			}
		}
		++*malformed;
		r->tail += h.size;
	}
}

static bool look(struct pmf_merge *m, struct pmf_merge_entry *e)
{
	return pmf_ring_look(m->layouts, m->rings[e->ring], e, &m->malformed);
}

static bool before(const struct pmf_merge_entry *a, const struct pmf_merge_entry *b)
{
	return a->time_ns < b->time_ns || (a->time_ns == b->time_ns && a->ring < b->ring);
}

static void sift_down(struct pmf_merge *m, size_t i)
{
	struct pmf_merge_entry e = m->heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= m->nr_heap)
			break;
		if (child + 1 < m->nr_heap && before(&m->heap[child + 1], &m->heap[child]))
			child++;
		if (!before(&m->heap[child], &e))
			break;
		m->heap[i] = m->heap[child];
		i = child;
	}
	m->heap[i] = e;
}

/* The whole record in one piece: in place, or copied if it goes over the ring's end. */
static const uint8_t *whole(struct pmf_ring *r, size_t len)
{
	size_t at = (size_t)(r->tail & (r->size - 1)), first = r->size - at;

	if (len <= first)
		return r->data + at;
	if (!r->wrap)
		r->wrap = pmf_malloc(WRAP_BYTES);
	memcpy(r->wrap, r->data + at, first);
	memcpy(r->wrap + first, r->data, len - first);
	return r->wrap;
}

/* The kernel wrote the ring on another CPU, so the first look at any part of it waits for memory and for
 * the page's address. What is read first of the next record, its head and the end of its dump, is
 * fetched while this one is worked on; where its size makes no sense, that does no harm. Always inline: a
 * function that does nothing but prefetch has no effects to gcc, which removes its calls. */
static inline __attribute__((always_inline)) void prefetch_behind(
	const struct pmf_ring *r, size_t len)
{
	enum { LINE_BYTES = 64, HEAD_LINES = 5 };
	uint64_t next = r->tail + len, mask = r->size - 1, word;
	struct perf_event_header h;

	if (r->head - next < sizeof h)
		return;
	word = ring_u64(r, next);
	memcpy(&h, &word, sizeof h);
	for (unsigned i = 0; i < HEAD_LINES; i++)
		__builtin_prefetch(r->data + ((next + i * LINE_BYTES) & mask));
	__builtin_prefetch(r->data + ((next + h.size - sizeof word) & mask));
}

static int deliver(
	struct pmf_merge *m, const struct pmf_merge_entry *e, pmf_record_cb *cb, void *ctx)
{
	struct pmf_ring *r = m->rings[e->ring];
	struct pmf_record rec;
	int ret = 0;

	if (pmf_record_parse_shaped(&e->shape, whole(r, e->len), e->len, &rec, NULL) == 0) {
		if (rec.time_ns && rec.time_ns < m->last_ns && !r->copied)
			m->out_of_order++;
		m->last_ns = PMF_MAX(m->last_ns, rec.time_ns);
		rec.reader = m->reader;
		prefetch_behind(r, e->len);
		ret = cb(ctx, &rec);
	} else if (!r->copied) {
		m->malformed++;
	}
	r->tail += e->len;
	return ret < 0 ? ret : 0;
}

int pmf_merge_drain(struct pmf_merge *m, uint64_t until_ns, pmf_record_cb *cb, void *ctx)
{
	int ret = 0;

	m->nr_heap = 0;
	for (size_t i = 0; i < m->n; i++) {
		struct pmf_merge_entry *e = &m->heap[m->nr_heap];

		e->ring = (uint32_t)i;
		m->nr_heap += look(m, e);
	}
	for (size_t i = m->nr_heap / 2; i-- > 0;)
		sift_down(m, i);
	while (m->nr_heap && ret == 0) {
		struct pmf_merge_entry *top = &m->heap[0];

		if (top->time_ns >= until_ns && until_ns != UINT64_MAX)
			break;
		ret = deliver(m, top, cb, ctx);
		if (!look(m, top))
			*top = m->heap[--m->nr_heap];
		if (m->nr_heap)
			sift_down(m, 0);
	}
	return ret;
}
