/* Which fields a record has: layouts by id, and the fixed places of id and time. */
#include "record_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

void pmf_layouts_release(struct pmf_layouts *ls)
{
	free(ls->items);
	memset(ls, 0, sizeof *ls);
}

void pmf_layouts_add(struct pmf_layouts *ls, const struct pmf_layout *l)
{
	PMF_PUSH(ls->items, ls->n, ls->cap) = *l;
}

static int by_id(const void *a, const void *b)
{
	const struct pmf_layout *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

void pmf_layouts_seal(struct pmf_layouts *ls)
{
	size_t first = 0;

	if (ls->n == 0)
		return;
	qsort(ls->items, ls->n, sizeof *ls->items, by_id);
	while (first + 1 < ls->n && ls->items[first].leads)
		first++;
	ls->common_trailer = ls->items[first].sample_type & PMF_TRAILER_FIELDS;
	for (size_t i = first + 1; i < ls->n; i++)
		if (!ls->items[i].leads &&
			(ls->items[i].sample_type & PMF_TRAILER_FIELDS) != ls->common_trailer)
			ls->common_trailer = 0;
}

const struct pmf_layout *pmf_layouts_find(const struct pmf_layouts *ls, uint64_t id)
{
	size_t lo = 0, hi = ls->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ls->items[mid].id == id)
			return &ls->items[mid];
		if (ls->items[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

bool pmf_record_shape_find(
	const struct pmf_layouts *ls, uint32_t type, uint64_t id, struct pmf_record_shape *out)
{
	out->layout = pmf_layouts_find(ls, id);
	out->sample_type = out->layout ? out->layout->sample_type : ls->common_trailer;
	if (out->layout)
		return true;
	/* What these two hold depends on their own event; the rest only needs the trailer. */
	return type != PERF_RECORD_SAMPLE && type != PERF_RECORD_READ && ls->common_trailer;
}

size_t pmf_record_id_offset(uint32_t type, size_t len)
{
	return type == PERF_RECORD_SAMPLE ? sizeof(struct perf_event_header) : len - 8;
}

size_t pmf_record_time_offset(const struct pmf_record_shape *shape, uint32_t type, size_t len)
{
	uint64_t st = shape->sample_type;
	uint64_t behind = PERF_SAMPLE_TIME | PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID |
			  PERF_SAMPLE_CPU | PERF_SAMPLE_IDENTIFIER;
	uint64_t before = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID;
	size_t off = sizeof(struct perf_event_header);

	if (!(st & PERF_SAMPLE_TIME))
		return 0;
	if (type == PERF_RECORD_SAMPLE) {
		off += 8 * (size_t)__builtin_popcountll(st & before);
		return off + 8 <= len ? off : 0;
	}
	off = 8 * (size_t)__builtin_popcountll(st & behind);
	return sizeof(struct perf_event_header) + off <= len ? len - off : 0;
}
