/* From record to record through the bytes: what is the kernel's goes to the queue, what is perf's is
 * dealt with. */
#include "perf_data_priv.h"
#include "pmuflame/buf.h"

#include <string.h>

/* Beyond HELD_MAX of chunks in memory the older half of the queue is delivered though no round is
 * finished. */
enum { START_MAX = 64 << 20, HELD_MAX = 512 << 20 };

/* Bytes that stand behind a record without being counted in its size. */
static uint64_t payload(const struct perf_event_header *h, const uint8_t *rec)
{
	if (h->type == PMF_PD_TRACING_DATA && h->size >= 12)
		return ((uint64_t)pmf_u32_at(rec + 8) + 7) & ~(uint64_t)7;
	if (h->type == PMF_PD_AUXTRACE && h->size >= 16)
		return pmf_u64_at(rec + 8);
	return 0;
}

static void unpack(struct pmf_perf_data *pd, const struct pmf_pd_stream *from,
	const struct perf_event_header *h, const uint8_t *rec)
{
	size_t head = sizeof *h, len = h->size - sizeof *h;

	if (h->type == PMF_PD_COMPRESSED2) {
		head += sizeof(uint64_t);
		if (h->size < head || pmf_u64_at(rec + sizeof *h) > h->size - head) {
			pd->damage.malformed++;
			return;
		}
		len = (size_t)pmf_u64_at(rec + sizeof *h);
	}
	if (from == &pd->unpacked) /* perf compresses once */
		pd->damage.malformed++;
	else
		pmf_pd_unpack(pd, rec + head, len);
}

static void take_record(
	struct pmf_perf_data *pd, struct pmf_pd_stream *s, const struct perf_event_header *h)
{
	const uint8_t *rec = s->chunk->data + s->at;

	if (h->type < PMF_PD_USER_TYPES) {
		pmf_pd_enqueue(pd, s->chunk, s->at, h->size);
		return;
	}
	switch (h->type) {
	case PMF_PD_FINISHED_ROUND:
		pmf_pd_round(pd);
		break;
	case PMF_PD_COMPRESSED:
	case PMF_PD_COMPRESSED2:
		unpack(pd, s, h, rec);
		break;
	default:
		if (s == &pd->input)
			pd->skip_bytes = payload(h, rec);
		pmf_pd_header_record(pd, h->type, h->misc, rec, h->size);
	}
}

/* What events there are, and their names, is known when one of these comes. */
static bool ends_start(const struct pmf_perf_data *pd, uint32_t type)
{
	return type == PERF_RECORD_SAMPLE || type == PMF_PD_FINISHED_ROUND ||
	       type == PMF_PD_COMPRESSED || type == PMF_PD_COMPRESSED2 ||
	       pd->held_bytes > START_MAX;
}

static void skip(struct pmf_perf_data *pd, struct pmf_pd_stream *s)
{
	size_t left = s->chunk->len - s->at,
	       n = pd->skip_bytes < left ? (size_t)pd->skip_bytes : left;

	s->at += n;
	pd->skip_bytes -= n;
}

void pmf_pd_walk(struct pmf_perf_data *pd, struct pmf_pd_stream *s)
{
	while (pd->ret >= 0 && pd->damage.stopped.status == PMF_OK) {
		struct perf_event_header h;
		size_t left;

		skip(pd, s);
		left = s->chunk->len - s->at;
		if (left < sizeof h)
			return;
		memcpy(&h, s->chunk->data + s->at, sizeof h);
		if (h.size < sizeof h) {
			pmf_err_set(&pd->damage.stopped, PMF_EFORMAT,
				"a record of '%s' says that it is %u bytes long: what follows it "
				"cannot be found",
				pd->name, (unsigned)h.size);
			return;
		}
		pd->started = pd->started || ends_start(pd, h.type);
		if (h.size > left || (pd->started && !pd->cb))
			return;
		take_record(pd, s, &h);
		pmf_pd_touch(pd, s->chunk, h.size);
		s->at += h.size;
		if (pd->cb && pd->held_bytes > HELD_MAX)
			pmf_pd_flush_half(pd);
	}
}
